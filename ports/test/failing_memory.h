/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A memory source for tests: it fails on demand, and counts the blocks that are outstanding.
 *
 * The n-th take from now can be made to fail, alone or with all after it, and every take above a size can be
 * refused. A block is filled with a pattern when it is taken and when it is given back, so that a test does
 * not pass by luck when it reads memory that was never written, or was given back. The program stops when a
 * block is given back twice, without having been taken, or with another size.
 */
#ifndef KVA_PORTS_TEST_FAILING_MEMORY_H
#define KVA_PORTS_TEST_FAILING_MEMORY_H

#include <kva/memory.h>
#include <stdbool.h>
#include <stdint.h>

struct kva_failing_block;

struct kva_failing_memory {
    uint64_t takes;                   /* calls of take, refused ones included */
    uint64_t refused;                 /* takes that returned NULL */
    uint64_t gives;                   /* calls of give */
    size_t blocks;                    /* outstanding: taken, and not given back */
    size_t bytes;                     /* outstanding */
    uint64_t fail_at;                 /* the number of the take that fails; 0: none */
    bool from_then_on;                /* and all after it */
    size_t largest;                   /* refuse larger blocks; 0: no such limit */
    bool give_is_a_bug;               /* stop the program at a give: set while a space must not give */
    struct kva_failing_block *newest; /* the list of outstanding blocks, for tests that look inside */
};

/** Reset the counters and return the source. Nothing may be outstanding. */
struct kva_memory kva_failing_memory_init(struct kva_failing_memory *memory);

/** The n-th take from now (1: the next) fails, and all after it if `from_then_on`. n = 0: none fails. */
void kva_failing_memory_fail(struct kva_failing_memory *memory, uint64_t n, bool from_then_on);

/** The outstanding blocks one by one: pass NULL for the first; NULL after the last. */
struct kva_failing_block *kva_failing_memory_next(const struct kva_failing_memory *memory,
                                                  const struct kva_failing_block *block);

/** The bytes of a block, and their count. */
unsigned char *kva_failing_block_bytes(struct kva_failing_block *block, size_t *count);

#endif
