/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** A program that uses movable frames through its maps, and what /proc tells of it. */
#ifndef KVA_TOOLS_BENCH_FRAMES_MAPS_SET_H
#define KVA_TOOLS_BENCH_FRAMES_MAPS_SET_H

#include "frames_maps.h"
#include "frames_set.h"

#include <kva/status.h>

/** A page, as the program sees it. */
struct maps_page {
    volatile uint64_t number; /* of its frame */
    volatile uint64_t stored; /* what was stored here last */
};

struct maps_set {
    struct kva_vm *vm;
    struct kva_vm_frames *frames;
    uint64_t count;
    uint64_t *number; /* frames: the first `used` of them are in use, in no order */
    size_t used;
    struct maps_page **page; /* where each frame in use is mapped; NULL: nowhere */
    size_t bytes;            /* of a page */
    struct rng rng;
};

/** An instance of the usual kind, unless the command line says otherwise. */
struct kva_vm *maps_vm(void);

/** Of `frames` frames that were all in use, random ones were given back until `percent` were left; with
 *  `mapped`, these are mapped in a random order. */
struct maps_set *maps_set_create(uint64_t frames, unsigned percent, bool mapped, uint64_t seed);

/** Also ends the program if a page is not as the set has left it. */
void maps_set_destroy(struct maps_set *set);

/** Look at it. */
struct maps_state maps_set_state(struct maps_set *set);

/** End the program unless the call has succeeded. */
void maps_must(enum kva_status status, const char *what);

/** Memory, or the program ends. */
void *maps_memory(size_t count, size_t bytes);

/** Mappings of the process within a range; UINTPTR_MAX for `last`: all. */
uint64_t maps_count_mappings(uintptr_t first, uintptr_t last);

/** Bytes within a range that huge pages of shared memory map. */
uint64_t maps_huge_bytes(uintptr_t first, uintptr_t last);

/** Bytes that all memory files of the program hold. */
uint64_t maps_file_bytes(void);

#endif
