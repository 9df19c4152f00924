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
    uint64_t sequential_test_order; /* 0: each worker shuffles an order of its own; 1: by ascending id */
    uint64_t test_repeat_count;
    uint64_t test_loop_count;
    uint64_t nr_pages;
    uint64_t use_huge; /* 1: areas of 2 MiB and more are asked for in huge pages in fix_size_alloc_test */
    uint64_t run_test_mask;
    uint64_t nr_pcpu_objects;
    const char *mode; /* "performance", "smoke", "stress", or "custom" when only pairs were given */
};

#define PARAMS_KEYS 8

/** A key, the values that it takes, and what it means. */
struct params_key {
    const char *name;
    uint64_t low;
    uint64_t high;
    const char *meaning;
};

/** All keys, in the order of struct params. */
extern const struct params_key params_keys[PARAMS_KEYS];

/** The value that belongs to params_keys[index]. */
uint64_t params_value(const struct params *params, size_t index);

/** What is run when nothing is said. `cpus` and `mask` as below. */
void params_default(struct params *params, uint64_t cpus, uint64_t mask);

/** Room for any message of params_parse. */
#define PARAMS_MESSAGE 512

/** Read the arguments. `cpus` is the number of workers where "one per CPU" is meant; `mask`, the sum of the
 *  ids of all tests that can be run on the memory that was asked for.
 *  Returns NULL, or what is wrong, for the user, in `message`. */
const char *params_parse(struct params *params, char *const *arguments, size_t count, uint64_t cpus,
                         uint64_t mask, char message[PARAMS_MESSAGE]);

#endif
