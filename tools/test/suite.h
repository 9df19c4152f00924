/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The tests: the eight of 2019, and five later ones that need memory; each is a function over a target. See
 * suite.c and memory.c.
 */
#ifndef KVA_TOOLS_TEST_SUITE_H
#define KVA_TOOLS_TEST_SUITE_H

#include "../common/rng.h"
#include "../common/target.h"
#include "params.h"

#include <stdatomic.h>

/** The page, and the quantum of ranges. */
#define SUITE_PAGE TARGET_PAGE

/** The range for kinds of ranges: x86-64's region for vmalloc with four-level page tables, 32 TiB from
 *  0xffffc90000000000. Its start is a multiple of 2^40, so the first address is aligned up to 1 TiB. */
#define SUITE_FIRST UINT64_C(0xffffc90000000000)
#define SUITE_BYTES (UINT64_C(1) << 45)
#define SUITE_LAST (SUITE_FIRST + (SUITE_BYTES - 1))

#define SUITE_TESTS 13
#define SUITE_MASK 8191       /* the sum of the ids 1, 2, 4 .. 4096 */
#define SUITE_RANGES_MASK 255 /* of the tests that run on ranges: 1 .. 128 */

/** How a run of a test ended. */
enum outcome {
    OUTCOME_PASSED,
    OUTCOME_FAILED,
    OUTCOME_XFAILED /* an expected or permitted failure */
};

/** The cause of a failed test. */
struct failure {
    const char *what; /* NULL: nothing failed */
    enum kva_status status;
    uint64_t size;
    uint64_t align;
    uint64_t addr;
};

/** Progress of a worker: written now and then, read by another thread. */
struct shown {
    _Atomic uint64_t test;   /* index into suite_tests; SUITE_TESTS: the worker is done */
    _Atomic uint64_t repeat; /* of that test, from 1 */
    _Atomic uint64_t trials; /* trials that have ended */
    _Atomic uint64_t before; /* their loops */
    _Atomic uint64_t loops;  /* of the current trial */
    _Atomic uint64_t wanted; /* all loops of the current trial; 0: its loop has not begun */
};

/** One run of one test: its inputs and results. */
struct trial {
    struct target *target;
    const struct params *params;
    struct rng rng;
    uint64_t cpus;
    uint64_t deadline_ns;  /* the loop ends at this time at the latest; UINT64_MAX: none */
    uint64_t loops_wanted; /* set when the loop begins; 0: no loop */
    uint64_t loops_done;
    uint64_t loop_ns;       /* time spent in the loop, without set-up and clean-up */
    struct shown *shown;    /* for the progress line */
    struct failure failure; /* the first one */
};

struct suite_test {
    unsigned id;
    unsigned needs; /* enum target_ability */
    const char *name;
    enum outcome (*run)(struct trial *trial);
};

/** All tests, by ascending id. */
extern const struct suite_test suite_tests[SUITE_TESTS];

/** The mask of all tests that this memory allows. */
static inline unsigned suite_mask(enum target_memory memory)
{
    return memory == TARGET_PAGES ? SUITE_MASK : SUITE_RANGES_MASK;
}

/** Whether a kind can run a test. */
static inline bool suite_can_run(const struct target_kind *kind, size_t test)
{
    return (suite_mask(kind->memory) & suite_tests[test].id) != 0 &&
           target_can(kind, suite_tests[test].needs);
}

/** Record a failure, unless there was one before. Always returns OUTCOME_FAILED. */
enum outcome trial_fail(struct trial *trial, const char *what, enum kva_status status);

/** Record a failure of one area, unless there was one before. Always returns false. */
bool trial_fail_at(struct trial *trial, const char *what, enum kva_status status, uint64_t size,
                   uint64_t align, uint64_t addr);

/** Allocate, and verify that the area is aligned and inside the range. False: the trial has failed.
 *  `flags`: enum target_flag. */
bool trial_take_as(struct trial *trial, uint64_t size, uint64_t align, unsigned flags, uint64_t *addr);

/** The same, without flags. */
bool trial_take(struct trial *trial, uint64_t size, uint64_t align, uint64_t *addr);

/** Verify an allocated address, as trial_take does. */
bool trial_verify(struct trial *trial, uint64_t size, uint64_t align, uint64_t addr);

/** Write one byte at the start of an area, if it has memory. */
void trial_touch(const struct trial *trial, uint64_t addr);

/** Free. False: refused, and the trial has failed. */
bool trial_give(struct trial *trial, uint64_t addr, uint64_t size);

/** OUTCOME_FAILED if anything has failed so far. */
enum outcome trial_outcome(const struct trial *trial);

/** A loop of `count` rounds: trial_loop_begin, then trial_loop until it returns false. It ends early when
 *  the deadline has passed. A test has one such loop. */
void trial_loop_begin(struct trial *trial, uint64_t count);
bool trial_loop(struct trial *trial);

/** Test 128, in pcpu.c. */
enum outcome pcpu_alloc_test(struct trial *trial);

/** Tests 256 to 4096, in memory.c. */
enum outcome kvfree_rcu_1_arg_vmalloc_test(struct trial *trial);
enum outcome kvfree_rcu_2_arg_vmalloc_test(struct trial *trial);
enum outcome vm_map_ram_test(struct trial *trial);
enum outcome no_block_alloc_test(struct trial *trial);
enum outcome vrealloc_test(struct trial *trial);

#endif
