/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * An instance: its fields, its locks, and how a public call refuses its arguments.
 *
 *      the reservation   |c| private part: vmalloc, per-CPU             | frames part: vmap, map_ram |
 *                          first                                        frames_first                 last
 *      c: a closed page that belongs to no area, so that a touch just below the first area faults
 *
 * Each group of fields belongs to the room that its comment names. vm_check.c lists the invariants.
 *
 * LOCKS: base/locks.h has their order. An instance without threads takes none.
 *   main        the space, the page source, writes to the tables, the parked ring, and every field that is
 *               not named below. A purge holds it for one slice at a time, except in kva_purge_frozen,
 *               kva_purge_parked and kva_purge_foreign
 *   the CPUs'   each CPU's bins and counts. kva_vfree and kva_vm_usable_size look an area up under one of
 *               them: vm_area.h has the proof
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

/** The number of areas in one state, and the bytes of their pages. */
struct kva_count {
    uint64_t areas;
    uint64_t bytes;
};

/** vm_park: areas that wait for a purge. */
struct kva_parked {
    struct kva_descriptor ring; /* the sentinel; next: the oldest, prev: the newest */
    uintptr_t tickets;          /* areas ever parked; the next area's ticket */
    struct kva_count count;
    size_t foreign;         /* foreign areas among them */
    uint64_t segment_bytes; /* bytes of their segments, guards included */
    uint64_t short_bytes;   /* bytes of the short-lived maps among them */
    uint64_t limit;         /* of `segment_bytes`; above it, a purge starts */
    uint64_t head_closed;   /* bytes of the oldest parked area that are already closed */
    uint64_t slice_bytes;   /* the size of a grain (vm_park.c); a power of two */
    unsigned purgers;       /* threads in a purge that a limit started */
    uint64_t purges;
    uint64_t purged_runs;
};

/** vm_park: unmapped areas of a hardened instance, whose addresses are not reused yet. First in, first
 *  out. */
struct kva_quarantine {
    struct kva_descriptor *head;
    struct kva_descriptor **tail;
    struct kva_count count;
    uint64_t segment_bytes; /* bytes, guards included */
    uint64_t limit;
};

/** vm_ended: short-lived maps that stay mapped after they end. */
struct kva_ended {
    struct kva_descriptor **index; /* chains of ended maps; NULL until the first short-lived map */
    struct kva_descriptor ring;    /* the sentinel; next: the map that ended first, prev: last */
    struct kva_count count;
    uint64_t live;   /* live maps that stay mapped after they end */
    uint64_t hits;   /* ended maps that were found again */
    uint64_t misses; /* maps that had to be made */
};

/** A purged area, for kva_vm_fault_describe. */
struct kva_past {
    uintptr_t start;
    size_t bytes; /* of its pages; 0: the entry is empty */
    const void *caller;
    const void *freed_by;
};

/** vm_park: the most recently purged areas. */
struct kva_history {
    struct kva_past past[KVA_VM_HISTORY];
    unsigned next; /* the entry to overwrite next */
};

_Static_assert(KVA_VM_HISTORY * sizeof(struct kva_past) <= 8192, "the history takes 8 KiB, as kva/vm.h says");

/** vm_district: addresses whose pages come from particular nodes. */
struct kva_district {
    uint64_t start;
    uint64_t end; /* one past the last byte */
    /** The per-CPU allocator whose groups have stripes of the district; 0: none; KVA_DISTRICT_UNUSABLE. */
    uint64_t owner;
    size_t areas;   /* that lie in it, in any state */
    uint8_t number; /* of its nodes; valid if owner is 0 */
};

/** The most distinct values of `node` in one instance: a descriptor keeps 8 bits. */
enum { KVA_VM_NODES_MOST = 256 };

struct kva_districts {
    struct kva_vm_nodes nodes[KVA_VM_NODES_MOST]; /* by number; 0: the instance's own */
    _Atomic unsigned numbered;
    bool emptied;              /* a district may have become empty since the last trim */
    unsigned promised;         /* numbers given, and those promised by the attempt under way */
    uint64_t fresh;            /* start of the district that the attempt under way took; 0: none */
    struct kva_district *list; /* by address */
    size_t count;
    size_t room;
    uint64_t bytes;  /* of all districts */
    uint64_t owners; /* per-CPU allocators ever created with nodes */
    /** The segments of areas in districts. Its map is NULL until the first district. */
    struct kva_space space;
};

struct kva_vm {
    /* Read by kva_vmalloc and kva_vfree; rarely written. */
    uintptr_t first;
    size_t bytes;         /* of the reservation */
    struct sparse table;  /* vm_table: of _Atomic(struct kva_descriptor *) */
    size_t fast_bytes;    /* the largest size for which kva_vmalloc pops its bin directly */
    uint64_t cache_share; /* the most bytes that a CPU may cache */
    uint32_t cache_pages; /* of the largest cacheable area */
    uint8_t page_shift;
    uint8_t guard; /* pages of guard after each area: 0 or 1 */
    bool hardened;
    bool zero_always;
    _Atomic unsigned lookers;          /* running calls of kva_vm_fault_describe */
    _Atomic(struct kva_later *) ready; /* vm_ready: a stack of records whose grace period has ended */
    void *reservation;                 /* the page source's handle */
    uint64_t frames_first;

    struct kva_locks locks; /* its CPU records are struct kva_vm_cpu (vm_cache.h) */

    /* The rest: under the main lock. */
    size_t taken_bytes; /* of the block that holds the instance and its CPU records */
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
    /** The current one of `spaces`; kva_vm_purge replaces it by the other. */
    struct kva_space *space;
    struct kva_space spaces[2];
    struct kva_config space_config;
    uint64_t random;
    uint64_t scatter;        /* hardened: areas go to the KVA_VM_SCATTER bytes from here on, */
    uint64_t scatter_frames; /* maps to those from here on */

    struct kva_districts districts;

    struct sparse numbers; /* vm_table: of uint32_t, the number of the frame that each page maps */

    /* vm_area */
    struct kva_nodes areas;   /* descriptors */
    struct kva_count all;     /* all areas, in any state */
    _Atomic uint32_t longest; /* pages of the longest area ever entered, guard included */

    struct kva_parked parked;
    struct kva_quarantine quarantine;
    struct kva_history history;
    struct kva_ended ended;

    struct kva_vm_frames *frame_sets; /* vm_names */
    struct kva_page_link *links;      /* vm_names: a table with an entry for each page of the frames part */

    /* vm_ready */
    struct kva_nodes records; /* struct kva_later, for calls of kva_vfree_later without a record */
    struct kva_count later;

    struct kva_callbacks reclaim; /* vm_obtain */

    struct kva_list plans;  /* vm_congruent: the plans of running calls */
    struct kva_pcpu *pcpus; /* vm_pcpu */
    unsigned resizing;      /* vm_realloc: areas in state KVA_VM_RESIZING */
    /** vm_free: claims under a CPU's lock that have since been finished under the main lock. */
    uint64_t claims_met;

    /* Statistics that belong to no room. */
    uint64_t slow_allocations; /* allocations that the cache did not serve */
    uint64_t slow_frees;       /* frees that needed the main lock */
    uint64_t misses;           /* cacheable allocations that the cache did not serve */
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

/** The bytes of an area's pages, without its guard. An area lies in memory, so they fit size_t. */
static inline size_t area_bytes(const struct kva_vm *vm, const struct kva_descriptor *area)
{
    return (size_t)bytes_of_pages(vm, area->pages);
}

/** The bytes of an area's segment: its pages and its guard. */
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

/** Queries receive a const instance. They cast the const away to count readers and to call the page
 *  source. */
static inline struct kva_vm *without_const(const struct kva_vm *vm)
{
    return (struct kva_vm *)(uintptr_t)vm;
}

/** Whether the caller runs inside a reclaim callback of the instance. */
static inline bool is_reclaiming(const struct kva_vm *vm)
{
    return is_in_callback(&vm->reclaim, vm->locks.threads);
}

/* ----------------------------------------------------------------------------------------------- refusing */

/** The return address of the function in which this is expanded. */
#define CALLER() ((const void *)__builtin_return_address(0))

/** The end of a public call: record a failure, and call the misuse hook if it is a misuse. `bad` is NULL
 *  where no single value is bad. Hooks run under the lock, one at a time. Returns `status`. */
static inline enum kva_status finish(struct kva_vm *vm, enum kva_status status, const char *where,
                                     uint64_t address, const struct kva_bad *bad)
{
    if (status == KVA_OK)
        return KVA_OK;
    atomic_store_explicit(&vm->status, (int)status, memory_order_relaxed);
    return is_misuse(status) ? kva_report_misuse(&vm->ledger.hooks, status, where, address, bad) : status;
}

/** Take the lock. Inside a reclaim callback of the instance: KVA_EREENTRY, and the lock is not held. */
static inline enum kva_status lock_unless_reclaiming(struct kva_vm *vm, const char *where)
{
    main_take(&vm->locks);
    if (!is_reclaiming(vm))
        return KVA_OK;
    (void)finish(vm, KVA_EREENTRY, where, 0, NULL);
    main_drop(&vm->locks);
    return KVA_EREENTRY;
}

/** Take the lock for finish() of a failure. */
static inline enum kva_status lock_and_refuse(struct kva_vm *vm, enum kva_status status, const char *where,
                                              uint64_t address, const struct kva_bad *bad)
{
    main_take(&vm->locks);
    (void)finish(vm, status, where, address, bad);
    main_drop(&vm->locks);
    return status;
}

/** lock_and_refuse() for a NULL pointer. */
static inline enum kva_status refuse_null(struct kva_vm *vm, const char *where, uint64_t address,
                                          const char *field)
{
    return lock_and_refuse(vm, KVA_ENULL, where, address, &(struct kva_bad){field, 0});
}

/** Refuse a NULL pointer in a query. The instance does not change: its status is not set. */
static inline enum kva_status refuse_look(const struct kva_vm *vm, const char *where, const char *field)
{
    main_take(&vm->locks);
    (void)kva_report_misuse(&vm->ledger.hooks, KVA_ENULL, where, 0, &(struct kva_bad){field, 0});
    main_drop(&vm->locks);
    return KVA_ENULL;
}

#endif
