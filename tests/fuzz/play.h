/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A byte string as a program: the first bytes choose a space, the rest are operations. They are played on two
 * forms of bt, among them the small ones, and on scan. Statuses, addresses and listings must not differ.
 *
 * PLACE AND SIZE   A space has up to 4096 units. The unit is the quantum (1, 2, a page, ...) shifted left by
 *   a number in the header; sizes are a few quanta or a few units. With large units and small sizes,
 *   neighbours are so far apart that the compact form of a leaf cannot hold both. The space begins at 0, ends
 *   at 2^64 - 1, lies between, or is all addresses, in quanta of 1 or of 2^54 to 2^60, so that its bytes are
 *   2^64.
 *
 * POOLS   By the header, the engines are one with pools and scan. Pools may choose any free range; so scan,
 *   which has none, takes the same one, and fails if it is not free. A request that fails must fail for scan.
 *   Statuses, flushes, and busy and deferred ranges must not differ.
 *
 * THREADS   By the header, the spaces have a table of threads, and locks. One thread plays, on changing CPUs.
 *
 * MEMORY   An operation may have to do without memory. Then bt may return KVA_ENOMEM, if it has changed
 *   nothing and the same call succeeds with memory; a free may not.
 *
 * SHAPES   By the header, requests may have an alignment of any number of quanta, a phase and a boundary,
 *   alone or together.
 *
 * CHOICES   With shapes, requests may also have any policy, a filter, and KVA_NO_BLOCK, and searches are
 *   made. Spaces may keep an index of holes by size.
 *
 * RANGES   By the header, a quarter of the instructions are the calls of ranges.h and evict.h; an eviction is
 *   one instruction. Then a space may have absent ranges, and shrink. With pools there are no walks, because
 *   they would return pooled segments.
 *
 * Any byte string is a program: bytes missing at the end are 0, and each number is reduced modulo its range.
 */
#ifndef KVA_TESTS_FUZZ_PLAY_H
#define KVA_TESTS_FUZZ_PLAY_H

#include <stddef.h>
#include <stdint.h>

/** Play a program. If the engines differ, print the difference on stderr and abort. Returns the number of
 * operations played. */
size_t play_bytes(const uint8_t *bytes, size_t count);

#endif
