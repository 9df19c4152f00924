/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Shared by all tests: cmocka with the headers that it needs before it, a seed and a scale from the
 * environment, a random number generator that is the same on every host, and a check with a message.
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

/** Fail the test unless the condition holds. The other arguments are a format and its values: they name the
 * place. */
#define check_that(condition, ...)                                                                           \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            test_fail(__FILE__, __LINE__, #condition, __VA_ARGS__);                                          \
    } while (0)

__attribute__((noreturn, format(__printf__, 4, 5))) void
test_fail(const char *file, int line, const char *condition, const char *format, ...);

/** The number of repetitions of a loop that has `count` at scale 1; at least 1. KVA_TEST_SCALE may be a
 * fraction. */
uint64_t test_scaled(uint64_t count);

/** The timeout for an operation that takes much less than `seconds`. KVA_TEST_PATIENCE multiplies it: an
 * emulator is slow. */
unsigned test_patience(unsigned seconds);

/** At scale 1 or more: 1. Below: visit every n-th case of an exhaustive test. */
uint64_t test_stride(void);

/** Whether the scale is below 0.1, as in emulators. A test without a scale of its own may then visit fewer
 * cases. */
bool test_is_brief(void);

/** The seed: KVA_TEST_SEED if set ("random": from the clock); otherwise always the same. Printed once. */
uint64_t test_seed(void);

struct test_rng {
    uint64_t state;
};

/** A generator for each test: from the seed and a number that separates the tests. */
struct test_rng test_rng_of(uint64_t stream);

uint64_t test_random(struct test_rng *rng);

/** A number in [0, bound - 1]; the slight bias of the remainder is harmless here. */
uint64_t test_below(struct test_rng *rng, uint64_t bound);

/** True with a probability of 1/n. */
bool test_one_in(struct test_rng *rng, uint64_t n);

/** The bt engine with nodes so small that splits and merges of every level happen within 12 units: leaves of
 * 3 and of 5 entries (2 and 3 in their wide form), inner nodes of up to 4 and 3 children. */
extern const struct kva_engine test_engine_bt_tiny;
extern const struct kva_engine test_engine_bt_small;

/** The engines under test: the public ones, with every form of bt that this machine can run instead of bt,
 * and the two small ones above; NULL after the last. */
const struct kva_engine *test_engine(size_t index);

/** Its name, for messages: kva_engine_by_name does not know all of them. */
const char *test_engine_name(size_t index);

/** Whether an engine is bt, in any form and size. */
bool test_engine_is_bt(const struct kva_engine *engine);

/** `for_each_engine (engine, index)`: the body runs once for each engine. */
#define for_each_engine(engine, index)                                                                       \
    for (size_t index = 0; ((engine) = test_engine(index)) != NULL; index++)

#endif
