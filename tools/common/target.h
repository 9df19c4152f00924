/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What the driver drives: an address-range allocator behind a small table of functions.
 *
 * There is one KIND for each of kva's engines (through the public API) and one for the list walk, the peer
 * under bench/list. A TARGET is a kind at work on one range. The allocators take no lock; a target that is
 * shared by several threads has one mutex, held around each call, so all kinds pay the same for it.
 *
 * Statuses are kva's for every kind.
 */
#ifndef KVA_TOOLS_TARGET_H
#define KVA_TOOLS_TARGET_H

#include "engines.h"

#include <kva/kva.h>

#include <pthread.h>

/** The range that a target hands out, [first, last] in units of the quantum. */
struct target_range {
    uint64_t first;
    uint64_t last;
    uint64_t quantum;
};

struct target_kind {
    const char *name;
    const char *about; /* a line for people */
    enum kva_status (*create)(const struct target_kind *kind, const struct target_range *range, void **state);
    enum kva_status (*destroy)(void *state);
    enum kva_status (*alloc)(void *state, uint64_t size, uint64_t align, uint64_t *addr);
    enum kva_status (*free)(void *state, uint64_t addr);
    enum kva_status (*congruent)(void *state, const struct kva_part *parts, size_t count, uint64_t align,
                                 uint64_t *base);
};

struct target {
    struct target_kind kind;
    struct target_range range;
    void *state;
    bool shared;
    pthread_mutex_t lock; /* taken when shared */
};

/** No build has more kinds than this. */
#define TARGET_KINDS ENGINES_MAX

/** Enumerate the kinds: the list walk first, then kva's engines, the default one first. False past the end. */
bool target_kind_at(size_t index, struct target_kind *kind);

/** Read a list of kinds, as engines_parse does. Returns NULL, or what is wrong, in `message`. */
const char *target_kinds_parse(const char *text, struct target_kind kinds[TARGET_KINDS], size_t *count,
                               char message[ENGINES_MESSAGE]);

/** Set a target up. `shared`: several threads will use it. On failure there is nothing to destroy. */
enum kva_status target_create(struct target *target, const struct target_kind *kind,
                              const struct target_range *range, bool shared);

/** End a target. KVA_EBUSY when something was still taken; its memory is given back all the same. */
enum kva_status target_destroy(struct target *target);

/** Take the lowest range of `size` bytes at a multiple of `align`, a power of two. */
enum kva_status target_alloc(struct target *target, uint64_t size, uint64_t align, uint64_t *addr);

/** Give back the range that starts at `addr`. */
enum kva_status target_free(struct target *target, uint64_t addr);

/** Take all parts at one base, the highest possible. Each becomes a range of its own. */
enum kva_status target_congruent(struct target *target, const struct kva_part *parts, size_t count,
                                 uint64_t align, uint64_t *base);

#endif
