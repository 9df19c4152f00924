/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Steps and system calls of the library, counted rather than timed: the same on every run and every machine
 * load.
 *
 * The library is built again for these tests, with -fsanitize-coverage=trace-pc: the compiler inserts a call
 * of __sanitizer_cov_trace_pc into each basic block. That is a STEP. Each line of 64 bytes of a memcpy,
 * memmove, memset or memcmp is a step as well. The check level is 1, as shipped. The linker redirects the
 * system calls of this library to this file.
 *
 * Only events between counted_start and counted_stop are counted.
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

/** Count while the statements run. */
#define counting(...)                                                                                        \
    do {                                                                                                     \
        counted_start();                                                                                     \
        __VA_ARGS__;                                                                                         \
        counted_stop();                                                                                      \
    } while (0)

#endif
