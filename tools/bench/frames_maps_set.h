/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** A program that uses movable frames through its maps, and its figures from /proc. */
#ifndef KVA_TOOLS_BENCH_FRAMES_MAPS_SET_H
#define KVA_TOOLS_BENCH_FRAMES_MAPS_SET_H

#include "frames_maps.h"
#include "frames_set.h"

#include <kva/status.h>

/** The contents of a page. */
struct maps_page {
    volatile uint64_t number; /* of its frame */
    volatile uint64_t stored; /* the last value stored */
};

struct maps_set {
    struct kva_vm *vm;
    struct kva_vm_frames *frames;
    uint64_t count;
    uint64_t *number; /* of all frames, in random order; the first `used` are in use */
    size_t used;
    struct maps_page **page; /* where each frame in use is mapped; NULL: not mapped */
    size_t bytes;            /* of a page */
    struct rng rng;
};

/** Create an instance with the defaults. */
struct kva_vm *maps_vm(void);

/** Create a set of `frames` frames, allocate all, and free random ones until `percent` are left. `mapped`:
 *  map these in a random order. */
struct maps_set *maps_set_create(uint64_t frames, unsigned percent, bool mapped, uint64_t seed);

/** Destroy a set. Ends the program if a page maps another frame than before. */
void maps_set_destroy(struct maps_set *set);

/** Read the state of a set. */
struct maps_state maps_set_state(struct maps_set *set);

/** End the program unless the call succeeded. */
void maps_must(enum kva_status status, const char *what);

/** Allocate zeroed memory, or end the program. */
void *maps_memory(size_t count, size_t bytes);

/** The number of mappings of the process that meet [first, last]. */
uint64_t maps_count_mappings(uintptr_t first, uintptr_t last);

/** Bytes that huge pages of shared memory map, in mappings that meet [first, last]. */
uint64_t maps_huge_bytes(uintptr_t first, uintptr_t last);

/** Bytes of all memory files of the program. */
uint64_t maps_file_bytes(void);

#endif
