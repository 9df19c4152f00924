/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What is known of an area. Its KEY is one word, so that a free can look at it and change it in one atomic
 * step:
 *
 *      | address of the first page                | kind (3 bits) | state (3 bits) |
 */
#ifndef KVA_VMAP_VM_DESCRIPTOR_H
#define KVA_VMAP_VM_DESCRIPTOR_H

#include <stdatomic.h>

#include <kva/vm.h>

#include "../base/assumptions.h"

/** One cache line, so that kva_vfree misses once here and once in the table. */
struct kva_descriptor {
    struct kva_descriptor *next; /* in its bin, in the quarantine, or on the ring of parked or ended ones */
    struct kva_descriptor *prev; /* on such a ring; NULL: it is on none */
    _Atomic uintptr_t key;       /* start, kind and state: see key_of */
    size_t size;                 /* as asked for */
    const void *caller;
    union {
        void *owner;                  /* live: the caller's */
        size_t chunk;                 /* live per-CPU areas: the number of their chunk */
        struct kva_descriptor **home; /* live short-lived maps: their chain of the index */
        struct kva_descriptor *chain; /* ended ones: the next map in that chain */
        const void *freed_by;         /* later, cached, parked, quarantined: the return address of the free */
    } by;
    union {
        struct kva_vm_frames *frames; /* live and ended maps: their pool */
        struct kva_pcpu *pcpu;        /* live per-CPU areas: their allocator */
        struct kva_later *record;     /* later: the record, if it is the library's own; else NULL */
        uintptr_t ticket;             /* parked: its number */
    } of;
    _Atomic uint32_t pages; /* also read by kva_vm_usable_size, which may be late */
    uint8_t flags;          /* enum kva_vm_flag */
    uint8_t guard;          /* pages of guard after its own */
    uint8_t align_shift;    /* the alignment that was asked for is 2 to this */
    uint8_t nodes;          /* that its pages come from: their number (vm_district.h) */
};

_Static_assert(sizeof(struct kva_descriptor) <= KVA_LINE, "a descriptor is one cache line");

/** States that users do not hear of. */
enum {
    KVA_VM_CLAIMED = 5,  /* some thread is about to free it */
    KVA_VM_RESIZING = 6, /* in the middle of a change of size: neither to be freed nor to be resized, be it by
                            another thread, or by a reclaim callback that is asked for room on the way */
    KVA_VM_ENDED = 7     /* a short-lived map that can be found again; to users it is parked */
};

/** The key's lower bits, which the address of a page leaves free. */
enum { KEY_STATE = 7, KEY_KIND_SHIFT = 3, KEY_BITS = 63 };

/** The key of a descriptor of no area: no area has this kind, and none starts at 0. */
enum { KVA_VM_GONE = KEY_BITS };

static inline uintptr_t key_of(uintptr_t start, unsigned kind, unsigned state)
{
    return start | (uintptr_t)kind << KEY_KIND_SHIFT | state;
}

static inline uintptr_t area_key(const struct kva_descriptor *area)
{
    return atomic_load_explicit(&area->key, memory_order_relaxed);
}

static inline uintptr_t start_of(const struct kva_descriptor *area)
{
    return area_key(area) & ~(uintptr_t)KEY_BITS;
}

static inline void *memory_of(const struct kva_descriptor *area)
{
    return (void *)start_of(area);
}

static inline unsigned area_kind(const struct kva_descriptor *area)
{
    return (unsigned)(area_key(area) >> KEY_KIND_SHIFT & KEY_STATE);
}

static inline unsigned state_of(const struct kva_descriptor *area)
{
    return (unsigned)(area_key(area) & KEY_STATE);
}

/** The state that users see. */
static inline enum kva_vm_state public_state(const struct kva_descriptor *area)
{
    unsigned state = state_of(area);

    if (state == KVA_VM_ENDED)
        return KVA_VM_PARKED;
    return state <= KVA_VM_QUARANTINED ? (enum kva_vm_state)state : KVA_VM_LIVE;
}

static inline bool is_live(const struct kva_descriptor *area)
{
    return public_state(area) == KVA_VM_LIVE;
}

/** For the thread that has the area alone. The next thread that claims the area sees what was done to it
 *  before. */
static inline void set_state(struct kva_descriptor *area, unsigned state)
{
    atomic_store_explicit(&area->key, (area_key(area) & ~(uintptr_t)KEY_STATE) | state, memory_order_release);
}

/** Whether an area's owner has changed how its pages are mapped. */
static inline bool is_foreign(const struct kva_descriptor *area)
{
    return (area->flags & KVA_VM_FOREIGN) != 0;
}

/** Whether an area is a live map of frames. */
static inline bool is_live_map(const struct kva_descriptor *area)
{
    return (area_kind(area) == KVA_VM_VMAP || area_kind(area) == KVA_VM_RAM) && is_live(area);
}

/** Make an area the last of a ring, whose head is no area itself. */
static inline void ring_add(struct kva_descriptor *ring, struct kva_descriptor *area)
{
    area->next = ring;
    area->prev = ring->prev;
    area->prev->next = area;
    ring->prev = area;
}

static inline void ring_remove(struct kva_descriptor *area)
{
    area->prev->next = area->next;
    area->next->prev = area->prev;
    area->prev = NULL;
}

#endif
