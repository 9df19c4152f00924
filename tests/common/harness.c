/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Seed, scale, randomness and failure messages for all tests. */
#include "harness.h"

#include <kva/engine.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/engine.h"

#define DEFAULT_SEED UINT64_C(20190406)

void test_fail(const char *file, int line, const char *condition, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    print_error("%s\n    %s (seed %" PRIu64 ")\n", condition, text, test_seed());
    _fail(file, line); /* jumps out of the test */
    abort();
}

/* A factor; 1 unless the variable is a number above 0. */
static double factor(const char *variable)
{
    const char *text = getenv(variable);
    double value = text != NULL ? strtod(text, NULL) : 1.0;
    return value > 0.0 ? value : 1.0;
}

static double scale(void)
{
    return factor("KVA_TEST_SCALE");
}

unsigned test_patience(unsigned seconds)
{
    return (unsigned)(seconds * factor("KVA_TEST_PATIENCE"));
}

uint64_t test_scaled(uint64_t count)
{
    double scaled = (double)count * scale();
    return scaled < 1.0 ? 1 : (uint64_t)scaled;
}

uint64_t test_stride(void)
{
    double value = scale();
    return value >= 1.0 ? 1 : (uint64_t)(1.0 / value);
}

bool test_is_brief(void)
{
    return scale() < 0.1;
}

static uint64_t seed_from_environment(void)
{
    const char *text = getenv("KVA_TEST_SEED");
    if (text == NULL)
        return DEFAULT_SEED;
    if (strcmp(text, "random") == 0)
        return (uint64_t)time(NULL) * UINT64_C(1000003) + (uint64_t)clock();
    return strtoull(text, NULL, 0);
}

uint64_t test_seed(void)
{
    static uint64_t seed;
    static bool known;

    if (!known) {
        seed = seed_from_environment();
        known = true;
        print_message("seed %" PRIu64 " (KVA_TEST_SEED), scale %g (KVA_TEST_SCALE)\n", seed, scale());
    }
    return seed;
}

struct test_rng test_rng_of(uint64_t stream)
{
    struct test_rng rng = {.state = test_seed() ^ (stream * UINT64_C(0xd1342543de82ef95))};
    return rng;
}

/* SplitMix64 (Steele, Lea and Flood, 2014): one addition and a mixing of bits; any seed is valid. */
uint64_t test_random(struct test_rng *rng)
{
    uint64_t z = rng->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t test_below(struct test_rng *rng, uint64_t bound)
{
    return test_random(rng) % bound;
}

bool test_one_in(struct test_rng *rng, uint64_t n)
{
    return test_below(rng, n) == 0;
}

/* ------------------------------------------------------------------------------------------------ engines */

#define ENGINES_MOST 12

/** The engines under test, in order; the rest is NULL. kva_engine_bt only selects a form: its forms are
 * listed instead, so that each is tested. */
static void list_engines(const struct kva_engine **list)
{
    static const char *const forms[] = {"bt-scalar", "bt-avx2", "bt-avx512", "bt-neon"};
    size_t count = 0;
    const char *name;

    for (size_t i = 0; (name = kva_engine_name(i)) != NULL && count < ENGINES_MOST; i++) {
        if (strcmp(name, "bt") != 0)
            list[count++] = kva_engine_by_name(name);
    }
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]) && count < ENGINES_MOST - 2; i++) {
        const struct kva_engine *form = kva_engine_by_name(forms[i]);
        if (form != NULL)
            list[count++] = form;
    }
    list[count++] = &test_engine_bt_tiny;
    list[count++] = &test_engine_bt_small;
}

const struct kva_engine *test_engine(size_t index)
{
    static const struct kva_engine *list[ENGINES_MOST + 1];

    if (list[0] == NULL)
        list_engines(list);
    return index <= ENGINES_MOST ? list[index] : NULL;
}

bool test_engine_is_bt(const struct kva_engine *engine)
{
    return strncmp(engine->name, "bt", 2) == 0;
}

const char *test_engine_name(size_t index)
{
    const struct kva_engine *engine = test_engine(index);
    return engine != NULL ? engine->name : NULL;
}
