/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The parameters of `kva test`: a mode, then key=value pairs that override it.
 */
#ifndef KVA_TOOLS_TEST_PARAMS_H
#define KVA_TOOLS_TEST_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The values, named as their keys. */
struct params {
    uint64_t nr_threads;
    uint64_t sequential_test_order; /* 0: each worker shuffles its order; 1: by ascending id */
    uint64_t test_repeat_count;
    uint64_t test_loop_count;
    uint64_t nr_pages;
    uint64_t use_huge; /* 1: fix_size_alloc_test requests huge pages for areas of 2 MiB or more */
    uint64_t run_test_mask;
    uint64_t nr_pcpu_objects;
    const char *mode; /* "performance", "smoke", "stress", or "custom" when only pairs were given */
};

#define PARAMS_KEYS 8

/** A key, its values, and its meaning. */
struct params_key {
    const char *name;
    uint64_t low;
    uint64_t high;
    const char *meaning;
};

/** All keys, in the order of struct params. */
extern const struct params_key params_keys[PARAMS_KEYS];

/** The value of params_keys[index]. */
uint64_t params_value(const struct params *params, size_t index);

/** The defaults. `cpus` and `mask` as below. */
void params_default(struct params *params, uint64_t cpus, uint64_t mask);

/** Size of the message of params_parse. */
#define PARAMS_MESSAGE 512

/** Read the arguments. `cpus`: the default of nr_threads. `mask`: the sum of the ids of all tests that the
 *  chosen memory allows. Returns NULL, or what is wrong, in `message`. */
const char *params_parse(struct params *params, char *const *arguments, size_t count, uint64_t cpus,
                         uint64_t mask, char message[PARAMS_MESSAGE]);

#endif
