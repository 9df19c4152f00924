/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A memory source for tests: it fails where it is told to, and counts what is outstanding.
 *
 * The n-th take from now can be made to fail, once or from then on, and every take above a size can be
 * refused. Blocks are filled with a pattern when they are taken and when they are given back, so that a
 * read of memory that was never written, or of memory given back, does not pass by luck. A block that is
 * given back twice, never taken, or of another size stops the program.
 */
#ifndef KVA_PORTS_TEST_FAILING_MEMORY_H
#define KVA_PORTS_TEST_FAILING_MEMORY_H

#include <kva/memory.h>
#include <stdbool.h>
#include <stdint.h>

struct kva_failing_block;

struct kva_failing_memory {
    uint64_t takes;                   /* calls of take, refused ones included */
    uint64_t refused;                 /* how many of them returned NULL */
    uint64_t gives;                   /* calls of give */
    size_t blocks;                    /* outstanding: taken, not given back */
    size_t bytes;                     /* outstanding */
    uint64_t fail_at;                 /* the take that fails, counted as `takes`; 0: none */
    bool from_then_on;                /* and all after it */
    size_t largest;                   /* refuse what is larger; 0: no such limit */
    bool give_is_a_bug;               /* stop the program at a give: set while a space is alive */
    struct kva_failing_block *newest; /* the outstanding blocks, for tests that look inside */
};

/** Reset the counters and return the source. Nothing may be outstanding. */
struct kva_memory kva_failing_memory_init(struct kva_failing_memory *memory);

/** The n-th take from now (1: the next) fails; so do all after it if `from_then_on`. n = 0: none fails. */
void kva_failing_memory_fail(struct kva_failing_memory *memory, uint64_t n, bool from_then_on);

/** The outstanding blocks one by one: pass NULL for the first; NULL past the last. */
struct kva_failing_block *kva_failing_memory_next(const struct kva_failing_memory *memory,
                                                  const struct kva_failing_block *block);

/** What a block holds: its bytes, and how many there are. */
unsigned char *kva_failing_block_bytes(struct kva_failing_block *block, size_t *count);

#endif
