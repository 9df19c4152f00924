/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A byte string as a program: the first bytes choose a space, the rest are operations, played on two forms
 * of bt, among them the small ones, and on scan. Statuses, addresses and listings must not differ.
 *
 * WHERE AND HOW LARGE   A space has up to 4096 units. The unit is the quantum (1, 2, a page, ...) shifted
 *   left by what the header says; sizes are a few quanta or a few units. With large units and small sizes,
 *   neighbours lie so far apart that the compact form of a leaf cannot hold both. It begins at 0, ends at
 *   2^64 - 1, lies in between, or is all addresses, in quanta of 1, or so large (2^54 to 2^60) that its bytes
 *   are 2^64.
 *
 * POOLS   If the header says so, one engine plays that has pools. Which of the free ranges they hand out is
 *   theirs to choose; so scan, which has none, is made to take the same one, and refuses if it is not free.
 *   What fails must fail for scan. Statuses, flushes, and what is busy or deferred must not differ.
 *
 * THREADS   If the header says so, the spaces have the tables of threads, and locks. One thread plays, and is
 *   now on this CPU, now on that.
 *
 * MEMORY   An operation may be told to do without. Then bt may answer KVA_ENOMEM, if it has changed nothing
 *   and the same call succeeds with memory; giving back may not.
 *
 * SHAPES   If the header says so, requests may ask for an alignment of any number of quanta, a phase and a
 *   boundary, alone or together.
 *
 * CHOICES   Then they may also ask for any policy, have a filter, and not block, and searches say where they
 *   would go. Spaces may keep an index of holes by size.
 *
 * RANGES   If the header says so, a quarter of the instructions are the calls of ranges.h and evict.h; of an
 *   eviction, all calls at once. Then a space may have absent ranges, and shrink. With pools, there are no
 *   walks: they would show what is pooled.
 *
 * Any byte string is a program: what is missing at the end is 0, and each number is taken modulo what there
 * is.
 */
#ifndef KVA_TESTS_FUZZ_PLAY_H
#define KVA_TESTS_FUZZ_PLAY_H

#include <stddef.h>
#include <stdint.h>

/** Play a program; says what is wrong on stderr and aborts if the engines differ. Returns the operations
 *  played. */
size_t play_bytes(const uint8_t *bytes, size_t count);

#endif
