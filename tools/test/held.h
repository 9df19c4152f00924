/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Areas that are allocated before a run and freed after it: they stand for the rest of the system.
 */
#ifndef KVA_TOOLS_TEST_HELD_H
#define KVA_TOOLS_TEST_HELD_H

#include "../common/target.h"

struct held {
    uint64_t *addr;
    uint64_t *size;
    uint64_t count;
};

/** Allocate `count` areas with holes between them, the same for every engine with the same seed. On
 *  failure nothing is held. */
enum kva_status held_take(struct held *held, struct target *target, uint64_t count, uint64_t seed);

/** Free them. Returns the first status that is not KVA_OK. */
enum kva_status held_give(struct held *held, struct target *target);

#endif
