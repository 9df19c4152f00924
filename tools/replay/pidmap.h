/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A map from process numbers to pointers: open addressing in one array, at most half full.
 *
 * Keys are never removed (a log has few processes); an unused key has the value NULL.
 */
#ifndef KVA_TOOLS_REPLAY_PIDMAP_H
#define KVA_TOOLS_REPLAY_PIDMAP_H

#include <stddef.h>
#include <stdint.h>

struct pidmap_slot {
    uint64_t key; /* pid + 1; 0 marks an empty slot */
    void *value;
};

struct pidmap {
    struct pidmap_slot *slots;
    size_t room; /* a power of two, or 0 before the first key */
    size_t used;
};

/** The slot for the value of `pid`; created with NULL if there is none. It is valid until the next call.
 *  NULL: no memory. */
void **pidmap_at(struct pidmap *map, uint32_t pid);

/** The value of `pid`, or NULL. Does not change the map. */
void *pidmap_get(const struct pidmap *map, uint32_t pid);

/** Free the map, not what its values point to. An all-zero map is empty. */
void pidmap_fini(struct pidmap *map);

#endif
