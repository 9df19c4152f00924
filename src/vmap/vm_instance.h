/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * An instance: what it holds, its locks, and how it refuses a call.
 *
 *      the reservation   |c| private part: vmalloc, per-CPU             | frames part: vmap, map_ram |
 *                          first                                        frames_first                 last
 *      c: a closed page that is nobody's, so that a touch in front of the first area faults, too
 *
 * Each group of fields belongs to one room, which is named there. The invariants are listed in vm_check.c.
 *
 * LOCKS: base/locks.h has their order. Without threads there are none.
 *   main        the space, the page source, the tables' entries, the parked ring: all that is not named
 *               below. Not held for more than one slice of a purge (but for kva_purge_frozen)
 *   the CPUs'   their bins and counts, and each look-up by kva_vfree and kva_vm_usable_size: see vm_area.h
 *
 * In the headers of vmap, a function needs the main lock unless its comment says otherwise.
 */
#ifndef KVA_VMAP_VM_INSTANCE_H
#define KVA_VMAP_VM_INSTANCE_H

#include "../base/callbacks.h"
#include "../base/list.h"
#include "../base/memory.h"
#include "../base/nodes.h"
#include "../base/sparse.h"
#include "vm_descriptor.h"

#include <kva/report.h>

/** How many areas are in some state, and the bytes of their pages. */
struct kva_count {
    uint64_t areas;
    uint64_t bytes;
};

/** vm_park: areas that wait for a purge. */
struct kva_parked {
    struct kva_descriptor ring; /* next: the area parked first, prev: last. No area itself */
    uintptr_t tickets;          /* areas that were ever parked: the next one's number */
    struct kva_count count;
    size_t foreign;       /* areas of these whose owners have changed how they are mapped */
    uint64_t span;        /* bytes of what is parked, guards included */
    uint64_t short_bytes; /* of the short-lived maps among that */
    uint64_t limit;       /* of `span` */
    uint64_t head_closed; /* bytes of the first parked area that are closed already */
    uint64_t slice_bytes; /* closed under one hold of the lock, at most; a power of two */
    unsigned purgers;     /* threads that purge because a limit was passed */
    uint64_t purges;
    uint64_t purged_runs;
};

/** vm_park: areas of a hardened instance that are unmapped, and whose addresses are kept out of use. First
 *  in, first out. */
struct kva_quarantine {
    struct kva_descriptor *head;
    struct kva_descriptor **tail;
    struct kva_count count;
    uint64_t span; /* bytes, guards included */
    uint64_t limit;
};

/** vm_ended: short-lived maps that are kept when they end. */
struct kva_ended {
    struct kva_descriptor **index; /* chains of ended maps; NULL until the first short-lived map */
    struct kva_descriptor ring;    /* next: the map that ended first, prev: last. No map itself */
    struct kva_count count;
    uint64_t live;   /* maps that will be kept when they end */
    uint64_t hits;   /* maps that were found again */
    uint64_t misses; /* and those that were not */
};

/** An area that was purged, for kva_vm_fault_describe. */
struct kva_past {
    uintptr_t start;
    size_t bytes; /* of its pages; 0: this entry is empty */
    const void *caller;
    const void *freed_by;
};

/** vm_park: the areas that were purged last. */
struct kva_history {
    struct kva_past past[KVA_VM_HISTORY];
    unsigned next; /* the entry that is overwritten next */
};

_Static_assert(KVA_VM_HISTORY * sizeof(struct kva_past) <= 8192, "the history takes 8 KiB, as kva/vm.h says");

/** vm_district: addresses whose pages come from particular nodes. */
struct kva_district {
    uint64_t start;
    uint64_t end; /* the last byte's successor */
    /** The number of a per-CPU allocator, whose groups have stripes of it; 0: none; KVA_DISTRICT_NOBODYS. */
    uint64_t owner;
    size_t areas;   /* that lie in it, of whatever state */
    uint8_t number; /* of its nodes, if it has no owner */
};

/** Values of `node` that an instance tells apart: as many as a descriptor's number can be. */
enum { KVA_VM_NODES_MOST = 256 };

struct kva_districts {
    struct kva_vm_nodes nodes[KVA_VM_NODES_MOST]; /* by number: 0 is the instance's own */
    _Atomic unsigned numbered;
    bool emptied;              /* one may have become empty since they were looked at last */
    unsigned promised;         /* numbered, and those to which the attempt under way promises a number */
    uint64_t fresh;            /* the start of the district that the attempt under way has taken; 0: none */
    struct kva_district *list; /* by address */
    size_t count;
    size_t room;
    uint64_t bytes;  /* of all districts */
    uint64_t owners; /* per-CPU allocators that there ever were with nodes */
    struct kva_space
        space; /* segments of the areas in districts; no address map: there was no district yet */
};

struct kva_vm {
    /* What kva_vmalloc and kva_vfree read, and hardly any thread writes. */
    uintptr_t first;
    size_t bytes;         /* of the reservation */
    struct sparse table;  /* vm_table: of _Atomic(struct kva_descriptor *) */
    size_t fast_bytes;    /* kva_vmalloc looks into the cache by itself up to this size */
    uint64_t cache_share; /* bytes that each CPU may cache */
    uint32_t cache_pages; /* the largest area that is cached */
    uint8_t page_shift;
    uint8_t guard; /* pages of guard after each area: 0 or 1 */
    bool hardened;
    bool zero_always;
    _Atomic unsigned lookers;          /* calls of kva_vm_fault_describe under way */
    _Atomic(struct kva_later *) ready; /* vm_ready: a stack of records whose grace period is over */
    void *reservation;                 /* the page source's */
    uint64_t frames_first;

    struct kva_locks locks; /* the CPUs' records are of struct kva_vm_cpu (vm_cache.h) */

    /* The rest, under the main lock. */
    size_t taken_bytes; /* of the block of memory that the instance and its CPUs lie in */
    void *taken;
    struct kva_ledger ledger;
    struct kva_pages pages;
    enum kva_huge_policy huge;
    unsigned cpus;
    struct kva_grace grace;
    kva_symbol *symbol;
    void *symbol_context;
    _Atomic int status;

    /* vm_place */
    struct kva_space *space; /* one of `spaces`; the other serves kva_vm_purge, which makes it anew */
    struct kva_space spaces[2];
    struct kva_config space_config;
    uint64_t random;
    uint64_t scatter;        /* hardened: areas go to the KVA_VM_SCATTER bytes from here, */
    uint64_t scatter_frames; /* maps to those from here */

    struct kva_districts districts;

    struct sparse numbers; /* vm_table: of uint32_t, the frame of each page of frames that is mapped */

    /* vm_area */
    struct kva_nodes areas;   /* descriptors */
    struct kva_count all;     /* of every segment that is not free */
    _Atomic uint32_t longest; /* pages of the longest area that there ever was, its guard included */

    struct kva_parked parked;
    struct kva_quarantine quarantine;
    struct kva_history history;
    struct kva_ended ended;

    struct kva_vm_frames *frame_sets; /* vm_names */
    struct kva_page_link *links;      /* vm_names: a table with an entry for each page of the frames part */

    /* vm_ready */
    struct kva_nodes records; /* struct kva_later for kva_vfree_later without one */
    struct kva_count later;

    struct kva_callbacks reclaim; /* vm_obtain */

    struct kva_list plans;  /* vm_congruent: memory that calls under way have taken */
    struct kva_pcpu *pcpus; /* vm_pcpu */
    unsigned resizing;      /* vm_realloc: areas in that state */
    uint64_t claims_met;    /* vm_free: claims of the CPUs' that have come to the lock, and so to an end */

    /* Statistics that are no room's own. */
    uint64_t slow_allocations; /* those that the cache did not serve */
    uint64_t slow_frees;       /* those that a CPU's lock was not enough for */
    uint64_t misses;           /* of the cache */
    uint64_t retries;
    uint64_t grown;
    uint64_t moved;
};

/* ------------------------------------------------------------------------------------------ pages, counts */

static inline uint64_t page_of(const struct kva_vm *vm)
{
    return UINT64_C(1) << vm->page_shift;
}

static inline uint64_t bytes_of_pages(const struct kva_vm *vm, uint64_t pages)
{
    return pages << vm->page_shift;
}

/** The bytes of an area's pages, without its guard. It lies in memory, so they fit a size. */
static inline size_t area_bytes(const struct kva_vm *vm, const struct kva_descriptor *area)
{
    return (size_t)bytes_of_pages(vm, area->pages);
}

/** The bytes of its segment. */
static inline size_t segment_bytes(const struct kva_vm *vm, const struct kva_descriptor *area)
{
    return (size_t)bytes_of_pages(vm, (uint64_t)area->pages + area->guard);
}

static inline bool is_in_reservation(const struct kva_vm *vm, uintptr_t address)
{
    return address - vm->first < vm->bytes; /* wraps to a large number below the reservation */
}

static inline bool is_in_frames_part(const struct kva_vm *vm, uint64_t address)
{
    return address >= vm->frames_first;
}

static inline void count_in(struct kva_count *count, uint64_t bytes)
{
    count->areas++;
    count->bytes += bytes;
}

static inline void count_out(struct kva_count *count, uint64_t bytes)
{
    count->areas--;
    count->bytes -= bytes;
}

static inline bool same_count(const struct kva_count *a, const struct kva_count *b)
{
    return a->areas == b->areas && a->bytes == b->bytes;
}

/* -------------------------------------------------------------------------------------------------- locks */

/** Functions that look have a constant instance. A few of its fields they change all the same: what counts
 *  them, and what a page source's callback is handed. */
static inline struct kva_vm *without_const(const struct kva_vm *vm)
{
    return (struct kva_vm *)(uintptr_t)vm;
}

/** Whether the caller is inside a reclaim callback of the instance. */
static inline bool is_reclaiming(const struct kva_vm *vm)
{
    return is_in_callback(&vm->reclaim, vm->locks.threads);
}

/* ----------------------------------------------------------------------------------------------- refusing */

/** What the function that this is expanded in was called from. */
#define CALLER() ((const void *)__builtin_return_address(0))

/** The end of a public call: note a failure, and tell the misuse hook if it is the caller's; returns
 *  `status`. `bad` is NULL where no single value is bad. Hooks run under the lock, one at a time. */
static inline enum kva_status finish(struct kva_vm *vm, enum kva_status status, const char *where,
                                     uint64_t address, const struct kva_bad *bad)
{
    if (status == KVA_OK)
        return KVA_OK;
    atomic_store_explicit(&vm->status, (int)status, memory_order_relaxed);
    return is_misuse(status) ? kva_report_misuse(&vm->ledger.hooks, status, where, address, bad) : status;
}

/** Take the lock; KVA_EREENTRY, and no lock, inside a reclaim callback of the instance. */
static inline enum kva_status lock_unless_reclaiming(struct kva_vm *vm, const char *where)
{
    main_take(&vm->locks);
    if (!is_reclaiming(vm))
        return KVA_OK;
    (void)finish(vm, KVA_EREENTRY, where, 0, NULL);
    main_drop(&vm->locks);
    return KVA_EREENTRY;
}

/** finish() for a failure, with the lock taken for it. */
static inline enum kva_status lock_and_refuse(struct kva_vm *vm, enum kva_status status, const char *where,
                                              uint64_t address, const struct kva_bad *bad)
{
    main_take(&vm->locks);
    (void)finish(vm, status, where, address, bad);
    main_drop(&vm->locks);
    return status;
}

/** The same for a pointer that is NULL. */
static inline enum kva_status refuse_null(struct kva_vm *vm, const char *where, uint64_t address,
                                          const char *field)
{
    return lock_and_refuse(vm, KVA_ENULL, where, address, &(struct kva_bad){field, 0});
}

/** The same for a call that looks: the instance stays as it is. */
static inline enum kva_status refuse_look(const struct kva_vm *vm, const char *where, const char *field)
{
    main_take(&vm->locks);
    (void)kva_report_misuse(&vm->ledger.hooks, KVA_ENULL, where, 0, &(struct kva_bad){field, 0});
    main_drop(&vm->locks);
    return KVA_ENULL;
}

#endif
