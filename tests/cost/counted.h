/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Steps and system calls of the library, counted rather than timed: the same on every run, however busy the
 * machine.
 *
 * The library is built once more for these tests, with -fsanitize-coverage=trace-pc: the compiler then puts a
 * call of __sanitizer_cov_trace_pc into each basic block. That is a STEP. So is each line of 64 bytes that
 * memcpy, memmove, memset or memcmp is called for. Its check level is 1, as it ships. The linker sends its
 * system calls through this file.
 *
 * Only what happens between counted_start and counted_stop counts.
 */
#ifndef KVA_TESTS_COST_COUNTED_H
#define KVA_TESTS_COST_COUNTED_H

#include <stdbool.h>
#include <stdint.h>

struct counted {
    bool is_on;
    uint64_t steps;
    uint64_t calls;
};

extern struct counted counted;

static inline void counted_start(void)
{
    counted.is_on = true;
}

static inline void counted_stop(void)
{
    counted.is_on = false;
}

/** Count while something is done. */
#define counting(...)                                                                                        \
    do {                                                                                                     \
        counted_start();                                                                                     \
        __VA_ARGS__;                                                                                         \
        counted_stop();                                                                                      \
    } while (0)

#endif
