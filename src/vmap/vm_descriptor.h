/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The descriptor of an area. Its KEY packs start, kind and state into one word, so that a free can compare
 * and change all three in one atomic step:
 *
 *      | address of the first page                | kind (3 bits) | state (3 bits) |
 */
#ifndef KVA_VMAP_VM_DESCRIPTOR_H
#define KVA_VMAP_VM_DESCRIPTOR_H

#include <stdatomic.h>

#include <kva/vm.h>

#include "../base/assumptions.h"

/** One cache line: kva_vfree misses once here and once in the table. */
struct kva_descriptor {
    struct kva_descriptor *next; /* in its bin, in the quarantine, or on the parked or the ended ring */
    struct kva_descriptor *prev; /* on such a ring; NULL: on none */
    _Atomic uintptr_t key;       /* start, kind and state: see key_of */
    size_t size;                 /* as requested */
    const void *caller;
    union {
        void *owner;                  /* live: the caller's */
        size_t chunk;                 /* live per-CPU areas: their chunk's number */
        struct kva_descriptor **home; /* live short-lived maps: their chain in the index */
        struct kva_descriptor *chain; /* ended maps: the next one in that chain */
        const void *freed_by;         /* later, cached, parked, quarantined: the return address of the free */
    } by;
    union {
        struct kva_vm_frames *frames; /* live and ended maps: their frame set */
        struct kva_pcpu *pcpu;        /* live per-CPU areas: their allocator */
        struct kva_later *record;     /* later: the record, if it is the library's; else NULL */
        uintptr_t ticket;             /* parked: its ticket (vm_park.c) */
    } of;
    _Atomic uint32_t pages; /* kva_vm_usable_size reads it without the lock */
    uint8_t flags;          /* enum kva_vm_flag */
    uint8_t guard;          /* pages of guard after its pages */
    uint8_t align_shift;    /* log2 of the requested alignment */
    uint8_t nodes;          /* the number of the nodes of its pages (vm_district.h) */
};

_Static_assert(sizeof(struct kva_descriptor) <= KVA_LINE, "a descriptor is one cache line");

/** Internal states; public_state() maps them to public ones. */
enum {
    KVA_VM_CLAIMED = 5, /* a thread is freeing it, and owns it */
    /** Its size is being changed. No thread, and no reclaim callback, may free or resize it. */
    KVA_VM_RESIZING = 6,
    KVA_VM_ENDED = 7 /* a short-lived map that can be found again; in public: parked */
};

/** The key's low bits, which are zero in the address of a page. */
enum { KEY_STATE = 7, KEY_KIND_SHIFT = 3, KEY_BITS = 63 };

/** The key of a descriptor without an area: no kind has this value, and no area starts at 0. */
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

/** The state that the public calls report. */
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

/** The caller owns the area exclusively. Release store; pairs with the acquire in claim_area_as()
 *  and in kva_vm_usable_size(). */
static inline void set_state(struct kva_descriptor *area, unsigned state)
{
    atomic_store_explicit(&area->key, (area_key(area) & ~(uintptr_t)KEY_STATE) | state, memory_order_release);
}

/** Whether the area's owner has changed how its pages are mapped. */
static inline bool is_foreign(const struct kva_descriptor *area)
{
    return (area->flags & KVA_VM_FOREIGN) != 0;
}

/** Whether an area is a live map of frames. */
static inline bool is_live_map(const struct kva_descriptor *area)
{
    return (area_kind(area) == KVA_VM_VMAP || area_kind(area) == KVA_VM_RAM) && is_live(area);
}

/** Append an area to a ring. The ring's head is a sentinel. */
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
