/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What every test shares: cmocka with the headers that it wants before it, a seed and a scale from the
 * environment, a random number generator that is the same on every host, and a check that says more than
 * its line number when it fails.
 */
#ifndef KVA_TESTS_COMMON_HARNESS_H
#define KVA_TESTS_COMMON_HARNESS_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <kva/kva.h>

/** Fail the test unless the condition holds; the rest is a format and its values: say where it happened. */
#define check_that(condition, ...)                                                                           \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            test_fail(__FILE__, __LINE__, #condition, __VA_ARGS__);                                          \
    } while (0)

__attribute__((noreturn, format(__printf__, 4, 5))) void
test_fail(const char *file, int line, const char *condition, const char *format, ...);

/** How often to do what is done `count` times at scale 1; at least once. KVA_TEST_SCALE may be a fraction. */
uint64_t test_scaled(uint64_t count);

/** After how many seconds to give up on what takes far less than `seconds`. KVA_TEST_PATIENCE multiplies
 *  it: an emulator is slow. */
unsigned test_patience(unsigned seconds);

/** At scale 1 or more: 1. Below: every how manieth case of an exhaustive test to visit. */
uint64_t test_stride(void);

/** Whether the scale is below 0.1: as in emulators. What has no scale of its own may then visit fewer
 *  cases. */
bool test_is_brief(void);

/** The seed: KVA_TEST_SEED if set ("random": from the clock), else the same in every run. Printed once. */
uint64_t test_seed(void);

struct test_rng {
    uint64_t state;
};

/** A generator of its own for each test: the seed, and a number that keeps the tests apart. */
struct test_rng test_rng_of(uint64_t stream);

uint64_t test_random(struct test_rng *rng);

/** A number in [0, bound - 1]; the slight bias of the remainder does not matter here. */
uint64_t test_below(struct test_rng *rng, uint64_t bound);

/** True once in `n` times. */
bool test_one_in(struct test_rng *rng, uint64_t n);

/** The bt engine with nodes so small that splits and merges of every level happen within 12 units: leaves
 *  of 3 and of 5 entries (2 and 3 in their wide form), inner nodes of up to 4 and 3 children. */
extern const struct kva_engine test_engine_bt_tiny;
extern const struct kva_engine test_engine_bt_small;

/** What is tested, one by one: the public engines, with every form of bt that this machine can run in the
 *  place of bt, and the two small ones above; NULL past the last. */
const struct kva_engine *test_engine(size_t index);

/** Its name, for messages: not all are known to kva_engine_by_name. */
const char *test_engine_name(size_t index);

/** Whether an engine is bt, in any form and size. */
bool test_engine_is_bt(const struct kva_engine *engine);

/** `for_each_engine (engine, index)`: the body runs once for each of them. */
#define for_each_engine(engine, index)                                                                       \
    for (size_t index = 0; ((engine) = test_engine(index)) != NULL; index++)

#endif
