/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A byte string as a program: the first bytes choose a space, the rest are operations, played on two forms
 * of bt, among them the small ones, and on scan. Statuses, addresses and listings must not differ.
 *
 * WHERE AND HOW LARGE   A space has up to 4096 units. The unit is the quantum shifted left by what the header says;
 *   sizes are a few quanta or a few units. With large units and small sizes, neighbours lie so far apart that the
 *   compact form of a leaf cannot hold both.
 *
 * MEMORY   An operation may be told to do without. Then bt may answer KVA_ENOMEM, if it has changed nothing and the
 *   same call succeeds with memory; giving back may not.
 *
 * Any byte string is a program: what is missing at the end is 0, and each number is taken modulo what there is.
 */
#ifndef KVA_TESTS_FUZZ_PLAY_H
#define KVA_TESTS_FUZZ_PLAY_H

#include <stddef.h>
#include <stdint.h>

/** Play a program; says what is wrong on stderr and aborts if the engines differ. Returns the operations played. */
size_t play_bytes(const uint8_t *bytes, size_t count);

#endif
