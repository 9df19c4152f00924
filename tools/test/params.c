/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The modes and pairs are those of the kernel's driver, with its defaults of 2019, the date of the published
 * figures (three pages in the fixed-size test; later versions use one). The kernel's driver takes a mode or
 * pairs; here pairs may also follow a mode and override it, for example for a short `performance`.
 *
 * As in the kernel's driver, a value below 1 is an error; so the two switches can only be turned on.
 */
#include "params.h"

#include "../common/number.h"
#include "suite.h"

#include <stdio.h>
#include <string.h>

/* The range of kinds of ranges, 2^45 bytes (see suite.h), has 2^33 pages. A worker's loops and repeats
 * together are at most 10^15: four months at 10 ns per loop. */
#define MAX_PAGES (UINT64_C(1) << 33)
#define MAX_LOOPS UINT64_C(1000000000)
#define MAX_REPEATS UINT64_C(1000000)
#define MAX_OBJECTS UINT64_C(100000000)

/* A meaning ends with a semicolon and the default. */
const struct params_key params_keys[PARAMS_KEYS] = {
    {"nr_threads", 1, 65535, "workers at once; one per CPU"},
    {"sequential_test_order", 1, 1, "run tests by ascending id; shuffled"},
    {"test_repeat_count", 1, MAX_REPEATS, "runs of each test; 1"},
    {"test_loop_count", 1, MAX_LOOPS, "loops in one run; 1000000"},
    {"nr_pages", 1, MAX_PAGES, "pages in tests 1 and 1024; 3"},
    {"use_huge", 1, 1, "huge pages for large areas in test 1; off"},
    {"run_test_mask", 1, SUITE_MASK, "sum of test ids; all"},
    {"nr_pcpu_objects", 1, MAX_OBJECTS, "objects in test 128; 35000"},
};

static uint64_t *value_at(struct params *params, size_t index)
{
    uint64_t *values[PARAMS_KEYS] = {
        &params->nr_threads,        &params->sequential_test_order,
        &params->test_repeat_count, &params->test_loop_count,
        &params->nr_pages,          &params->use_huge,
        &params->run_test_mask,     &params->nr_pcpu_objects,
    };
    return values[index];
}

uint64_t params_value(const struct params *params, size_t index)
{
    struct params copy = *params;
    return *value_at(&copy, index);
}

void params_default(struct params *params, uint64_t cpus, uint64_t mask)
{
    *params = (struct params){
        .nr_threads = cpus,
        .sequential_test_order = 0,
        .test_repeat_count = 1,
        .test_loop_count = 1000000,
        .nr_pages = 3,
        .use_huge = 0,
        .run_test_mask = mask,
        .nr_pcpu_objects = 35000,
        .mode = "custom",
    };
}

/* Apply a mode; false if `name` is not one. It sets only values that differ from the defaults: `stress`
 * runs one worker per CPU in shuffled order because these are the defaults. */
static bool apply_mode(struct params *params, const char *name)
{
    if (strcmp(name, "performance") == 0) {
        params->nr_threads = 1;
        params->sequential_test_order = 1;
        params->test_repeat_count = 3;
        params->mode = "performance";
    } else if (strcmp(name, "smoke") == 0) {
        params->nr_threads = 1;
        params->test_loop_count = 10000;
        params->test_repeat_count = 10;
        params->mode = "smoke";
    } else if (strcmp(name, "stress") == 0) {
        params->test_repeat_count = 20;
        params->mode = "stress";
    } else {
        return false;
    }
    return true;
}

/* Write "<problem> '<text>': <advice> nr_threads, ..."; without a problem, "<advice> nr_threads, ...".
 * Long texts are cut. */
static const char *complain_with_keys(char message[PARAMS_MESSAGE], const char *problem, const char *text,
                                      const char *advice)
{
    int at = problem == NULL ? snprintf(message, PARAMS_MESSAGE, "%s", advice)
                             : snprintf(message, PARAMS_MESSAGE, "%s '%.60s': %s", problem, text, advice);
    for (size_t i = 0; i < PARAMS_KEYS && at < PARAMS_MESSAGE; i++)
        at += snprintf(message + at, (size_t)(PARAMS_MESSAGE - at), "%s %s", i == 0 ? "" : ",",
                       params_keys[i].name);
    return message;
}

static const char *complain_about_value(char message[PARAMS_MESSAGE], const struct params_key *key,
                                        const char *value)
{
    char complaint[NUMBER_MESSAGE];
    if (key->low == key->high)
        snprintf(message, PARAMS_MESSAGE, "%s takes only %llu; leave it out to turn it off", key->name,
                 (unsigned long long)key->low);
    else
        snprintf(message, PARAMS_MESSAGE, "%s",
                 number_complaint(complaint, key->name, key->low, key->high, value));
    return message;
}

/* The index of the key named by the `length` bytes at `name`; PARAMS_KEYS: none. */
static size_t find_key(const char *name, size_t length)
{
    size_t i = 0;
    while (i < PARAMS_KEYS &&
           (strlen(params_keys[i].name) != length || memcmp(params_keys[i].name, name, length) != 0))
        i++;
    return i;
}

/* Read one pair. `seen` has a bit for each key given so far. */
static const char *parse_pair(struct params *params, const char *pair, unsigned *seen,
                              char message[PARAMS_MESSAGE])
{
    const char *equals = strchr(pair, '=');
    if (equals == NULL)
        return complain_with_keys(message, "unexpected argument", pair,
                                  "the modes are performance, smoke and stress (one, before all pairs); "
                                  "the keys are");
    size_t index = find_key(pair, (size_t)(equals - pair));
    if (index == PARAMS_KEYS)
        return complain_with_keys(message, "unknown key in", pair, "the keys are");
    if (*seen & (1U << index)) {
        snprintf(message, PARAMS_MESSAGE, "%s is given twice", params_keys[index].name);
        return message;
    }
    *seen |= 1U << index;
    const struct params_key *key = &params_keys[index];
    uint64_t value;
    if (!number_parse(equals + 1, key->low, key->high, &value))
        return complain_about_value(message, key, equals + 1);
    *value_at(params, index) = value;
    return NULL;
}

/* Tests that need memory cannot run on ranges. */
static const char *check_mask(const struct params *params, uint64_t mask, char message[PARAMS_MESSAGE])
{
    if (params->run_test_mask <= mask)
        return NULL;
    snprintf(message, PARAMS_MESSAGE,
             "run_test_mask takes a number from 1 to %llu with --memory ranges, not '%llu'",
             (unsigned long long)mask, (unsigned long long)params->run_test_mask);
    return message;
}

const char *params_parse(struct params *params, char *const *arguments, size_t count, uint64_t cpus,
                         uint64_t mask, char message[PARAMS_MESSAGE])
{
    unsigned seen = 0;
    const char *wrong = NULL;
    params_default(params, cpus, mask);
    if (count == 0)
        return complain_with_keys(
            message, NULL, NULL,
            "name a mode (performance, smoke or stress) or key=value pairs; the keys are");
    size_t i = apply_mode(params, arguments[0]) ? 1 : 0;
    while (wrong == NULL && i < count)
        wrong = parse_pair(params, arguments[i++], &seen, message);
    return wrong != NULL ? wrong : check_mask(params, mask, message);
}
