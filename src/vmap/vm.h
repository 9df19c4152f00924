/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What the files of vmap share: the instance, the descriptors of its areas, and the way from an address to one.
 *
 *      the reserve   |c| private part: vmalloc, per-CPU             | frames part: vmap, map_ram |
 *                      first                                        frames_first                 last
 *                     c: a closed page that is nobody's, so that a touch in front of the first area faults, too
 *
 *      the space       tiles it: a busy segment for each area and its guard page, also for one that is parked
 *      the table       one pointer for each page: the descriptor of the area that STARTS there, else NULL. It is sparse
 *                      (src/base/sparse.h): only pieces of it have memory, for 32 MiB of pages of 4 KiB each. So is the table of
 *                      numbers, which says for each page of the frames part that is mapped which frame is behind it.
 *                      Whoever takes addresses has pieces for them first (kva_ready_tables); kva_vm_flush gives
 *                      back those in which nothing is left
 *
 *      address --space (O(log n))--> segment --its start, table (O(1))--> descriptor
 *      start of an area -----------------------table (O(1))-------------> descriptor
 *
 * Whose job is what:
 *
 *      vm.c          an instance's beginning and end           vm_frames.c   pools of frames
 *      vm_alloc.c    taking areas; what to do when short       vm_map.c      vmap
 *      vm_free.c     parking, purge, quarantine                vm_ram.c      map_ram: a cache of ended maps
 *      vm_cache.c    the CPUs' bins of areas still mapped      vm_sync.c     locks, forks
 *      vm_realloc.c  changing sizes                            vm_pcpu.c     per-CPU objects
 *      vm_later.c    grace periods                             vm_look.c     find, next, statistics, check
 *                                                              vm_report.c, vm_fault.c   words for people
 *
 * INVARIANTS (kva_vm_check verifies them; the names appear in its answers)
 *   V1  Every segment that is not free has one descriptor, found in the table at its start, and covers the area and
 *       its guard page exactly.
 *   V2  The parked list holds each parked descriptor once, in the order in which they came.
 *   V3  A cached descriptor lies in a CPU's bin of its page count, and each bin holds only such.
 *   V4  The counts of areas and bytes are what a walk finds.
 *   V5  Vmalloc and per-CPU areas lie in the private part, maps in the frames part.
 *   V6  Each ended map is in the index once, in the chain of its frames, and on the ring once. Nothing else is in either, and no
 *       more pages are kept than the limit.
 *   V7  A frame's count is that of its live maps, and of those that are being made.
 *   V8  What kva_vfree_ready is given names an area that waits for it.
 *   V9  A per-CPU chunk's areas name it. It is on the list of those without memory, or of those without objects, or has objects.
 *   V10 Pages that nobody owns are mapped as the page source has left them: protection, file, attributes.
 *   V11 Of each part of the table of areas it is known how many entries are in use.
 *
 * LOCKS: base/locks.h has their order. Without threads there are none.
 *   main        the space, the page source, the table's entries, the parked list, all that is not named below. Not held for
 *               more than one slice of a purge (but kva_purge_frozen)
 *   the CPUs'   their bins and counts, and each look-up by kva_vfree and kva_vm_usable_size
 *
 * A FREE LOOKS WITHOUT THE INSTANCE'S LOCK. kva_vfree(p) reads the table's entry for p, and changes the descriptor's key
 * from "starts at p, vmalloc, live" to "starts at p, vmalloc, claimed" in one atomic step. That is right because
 *   1. An entry is set, with release, when the descriptor is whole; who reads it with acquire sees all of it.
 *   2. Descriptors are type-stable: one that was dropped may be read, and its key matches no address until it is used
 *      again. Its memory goes back to the system only with all CPUs' locks held (kva_vm_flush), and readers hold one.
 *   3. The key holds the start, the kind and the state in one word. So where the step succeeds, a live vmalloc area
 *      starts at p at that moment, whatever has become of the descriptor since the entry was read.
 *   4. Of two frees of p, one makes the step; the other finds a key that is not live, or an entry that is empty.
 *   5. A piece of the table is given back only with all CPUs' locks held, too; where there is none, the entry is empty.
 *   6. Who has claimed an area has it alone: all others leave alone what is not live, cached in their bin, or on the
 *      parked list. Its other fields change without more ado, and are read by those who look (find, report, check) only
 *      with all locks held, while a cached area can change hands only under a CPU's.
 */
#ifndef KVA_VMAP_VM_H
#define KVA_VMAP_VM_H

#include <stdatomic.h>

#include <kva/vm.h>

#include "../base/callbacks.h"
#include "../base/list.h"
#include "../base/memory.h"
#include "../base/nodes.h"
#include "../base/sparse.h"
#include "../space/congruent.h"
#include "poison.h"

/** The largest area, in pages, that has a bin of its own in the cache. One area of each size 1 .. 127 takes 8128 pages: 31.75
 *  MiB of 4 KiB each, just below the least default limit of the cache (32 MiB, on one CPU). So a program that uses all
 *  of these sizes by turns finds each of them cached. */
enum { KVA_VM_CLASSES = 127 };

/** Larger ones share bins, 8 to each doubling, from 2^7 pages up to what 32 bits count. */
enum { KVA_VM_BINS = KVA_VM_CLASSES + 1 + 8 * (32 - 7) };

/** How many areas of a bin are looked at for one of the right size and alignment. They are used in turns, the last freed
 *  first, so those that serve a program come to lie on top; 16 is more than there are alignments from 4 KiB to 4 MiB. */
enum { KVA_VM_CACHE_DEPTH = 16 };

/** What is known of an area: one cache line, so that kva_vfree misses once here and once in the table. */
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
        struct kva_frames *frames; /* live and ended maps: their pool */
        struct kva_pcpu *pcpu;     /* live per-CPU areas: their allocator */
        struct kva_later *record;  /* later: the record, if it is the library's own; else NULL */
        uintptr_t ticket;          /* parked: its number */
    } of;
    _Atomic uint32_t pages; /* also read by kva_vm_usable_size, which may be late */
    uint8_t flags;          /* enum kva_vm_flag */
    uint8_t guard;          /* pages of guard after its own */
    uint8_t align_shift;    /* the alignment that was asked for is 2 to this */
};

_Static_assert(sizeof(struct kva_descriptor) <= KVA_LINE, "a descriptor is one cache line");

/** States that users do not hear of. */
enum {
    KVA_VM_CLAIMED = 5, /* somebody is about to free it */
    KVA_VM_RESIZING =
        6, /* in the middle of a change of size: neither to be freed nor to be resized by others, be they other
                            threads, or a reclaim callback that is asked for room on the way */
    KVA_VM_ENDED = 7 /* a short-lived map that can be found again; users are told that it is parked */
};

/** The key's lower bits, which an address of a page leaves free, hold the kind and the state. */
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

static inline unsigned kind_of(const struct kva_descriptor *area)
{
    return (unsigned)(area_key(area) >> KEY_KIND_SHIFT & KEY_STATE);
}

static inline unsigned state_of(const struct kva_descriptor *area)
{
    return (unsigned)(area_key(area) & KEY_STATE);
}

/** What users are told of its state. */
static inline enum kva_vm_state told_state(const struct kva_descriptor *area)
{
    unsigned state = state_of(area);

    if (state == KVA_VM_ENDED)
        return KVA_VM_PARKED;
    return state <= KVA_VM_QUARANTINED ? (enum kva_vm_state)state : KVA_VM_LIVE;
}

static inline bool is_live(const struct kva_descriptor *area)
{
    return told_state(area) == KVA_VM_LIVE;
}

/** By whom has the area alone. What was done to the area before is seen by who claims it next. */
static inline void set_state(struct kva_descriptor *area, unsigned state)
{
    atomic_store_explicit(&area->key, (area_key(area) & ~(uintptr_t)KEY_STATE) | state, memory_order_release);
}

/** An area that was purged, for kva_vm_fault_describe. */
struct kva_past {
    uintptr_t start;
    size_t bytes; /* of its pages; 0: this entry is empty */
    const void *caller;
    const void *freed_by;
};

_Static_assert(KVA_VM_HISTORY * sizeof(struct kva_past) <= 8192, "the history takes 8 KiB, as kva/vm.h says");

/** A first-in, first-out list of descriptors. */
struct kva_queue {
    struct kva_descriptor *head;
    struct kva_descriptor **tail;
};

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

/** Cached areas, the last freed first. */
struct kva_bin {
    struct kva_descriptor *head;
    uint64_t used; /* when an area came in last, in frees of the CPU */
};

/** How many areas are in some state, and the bytes of their pages. */
struct kva_count {
    uint64_t areas;
    uint64_t bytes;
};

/** What one CPU keeps at hand, on cache lines of its own. "CPU" is only where a thread looks first: any thread may use any,
 *  under its lock, and areas go to the bins of whoever frees them. */
struct kva_vm_cpu {
    _Alignas(KVA_LINE) struct kva_lock lock;
    struct kva_count cached;
    uint64_t hits;
    uint64_t frees;
    uint64_t claims;                 /* areas that were claimed here and could not be cached */
    struct kva_bin bin[KVA_VM_BINS]; /* see bin_of */
};

struct kva_frames {
    struct kva_vm *vm;
    struct kva_frames *next;  /* of the instance's pools */
    struct kva_frames **link; /* what points to this one */
    void *pool;               /* the page source's */
    uint32_t *uses;           /* a table: 0 for a free frame; else 1 + the live maps of it */
    uint64_t count;
    uint64_t taken;
    uint64_t lowest;  /* no frame below this is free */
    uint64_t pending; /* frames that are counted for maps which are not there yet, once for each map */
    uint64_t shown; /* the live maps of all frames, and those pending: what `uses` adds up to, less `taken` */
};

/** Short-lived maps, but for those that are no longer than others; see vm_ram.c. */
struct kva_ram {
    struct kva_descriptor **index; /* chains of ended maps; NULL until the first short-lived map */
    struct kva_descriptor ring;    /* next: the map that ended first, prev: last. No map itself */
    struct kva_count ended;
    uint64_t live;   /* maps */
    uint64_t hits;   /* maps that were found again */
    uint64_t misses; /* and those that were not */
};

struct kva_vm {
    /* What kva_vmalloc and kva_vfree read, and hardly anybody writes. */
    uintptr_t first;
    size_t bytes;         /* of the reserve */
    struct sparse table;  /* of _Atomic(struct kva_descriptor *) */
    size_t fast_bytes;    /* kva_vmalloc looks into the cache by itself up to this size */
    uint64_t cache_share; /* bytes that each CPU may cache */
    uint32_t cache_pages; /* the largest area that is cached */
    uint8_t page_shift;
    uint8_t guard; /* pages of guard behind each area: 0 or 1 */
    bool hardened;
    bool zero_always;
    _Atomic unsigned lookers;          /* calls of kva_vm_fault_describe under way */
    _Atomic(struct kva_later *) ready; /* a stack: records whose grace period is over */
    void *stretch;
    uint64_t frames_first;

    struct kva_locks locks; /* the CPUs' records are of struct kva_vm_cpu */

    /* The rest, under the main lock. */
    size_t taken_bytes; /* of the block of memory that the instance and its CPUs lie in */
    void *taken;
    struct kva_space *space; /* one of `spaces`; the other serves kva_vm_flush, which makes it anew */
    struct kva_space spaces[2];
    struct kva_config space_config;
    struct kva_pages pages;
    struct sparse numbers; /* of uint32_t: the frame behind each page of the frames part that is mapped */

    struct kva_ledger ledger;
    struct kva_nodes areas;   /* descriptors */
    struct kva_nodes records; /* struct kva_later for kva_vfree_later without one */

    struct kva_descriptor parked_ring; /* next: the area parked first, prev: last. No area itself */
    uintptr_t tickets;                 /* areas that were ever parked: the next one's number */
    uint64_t parked_span;              /* bytes of what is parked, guards included */
    uint64_t parked_ram;               /* bytes of short-lived maps among that */
    uint64_t head_closed;              /* bytes of the first parked area that are closed already */
    uint64_t slice_bytes;              /* closed under one hold of the lock, at most; a power of two */
    struct kva_queue quarantine;
    uint64_t lazy_limit;
    uint64_t quarantine_limit;
    uint64_t quarantine_held; /* bytes, guards included */
    uint64_t random;
    uint64_t scatter;        /* hardened: areas go to the KVA_VM_SCATTER bytes from here, */
    uint64_t scatter_frames; /* maps to those from here */

    struct kva_count all; /* of every segment that is not free */
    struct kva_count later;
    struct kva_count parked;
    struct kva_count quarantined;
    uint64_t slow_allocations; /* those that the cache did not serve */
    uint64_t slow_frees;       /* those that a CPU's lock was not enough for */
    uint64_t misses;
    uint64_t purges;
    uint64_t purged_runs;
    uint64_t retries;
    uint64_t grown;
    uint64_t moved;

    struct kva_frames *pools;
    struct kva_ram ram;
    struct kva_pcpu *pcpus;
    struct kva_callbacks reclaim;
    _Atomic int status;
    enum kva_huge_policy huge;
    unsigned cpus;
    unsigned purgers;         /* threads that purge because the limit was passed */
    unsigned resizing;        /* areas in that state */
    uint64_t claims_met;      /* claims of the CPUs' that have come to the lock, and so to an end */
    struct kva_list plans;    /* memory that congruent allocations under way have taken */
    _Atomic uint32_t longest; /* pages of the longest area that there ever was, its guard included */
    unsigned past_next;       /* the entry of `past` that is overwritten next */
    struct kva_grace grace;
    kva_symbol *symbol;
    void *symbol_context;
    struct kva_past past[KVA_VM_HISTORY];
};

/** How far hardened areas are strewn: 2^18 pages of 4 KiB for an attacker to guess among, and yet, should they lie one
 *  in each 2 MiB, no more than 512 page tables and 1,025 mappings. */
#define KVA_VM_SCATTER (UINT64_C(1) << 30)

/* -------------------------------------------------------------------------------------------- pages, words */

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

static inline void *memory_of(const struct kva_descriptor *area)
{
    return (void *)start_of(area);
}

/* --------------------------------------------------------------------------------------------------- locks */

/** Those who look take a constant instance. A few of its fields they change all the same: what counts them, and what a page
 *  source's callback is handed. */
static inline struct kva_vm *without_const(const struct kva_vm *vm)
{
    return (struct kva_vm *)(uintptr_t)vm;
}

static inline void vm_enter(const struct kva_vm *vm)
{
    main_take(&vm->locks);
}

static inline void vm_leave(const struct kva_vm *vm)
{
    main_drop(&vm->locks);
}

/** The record of CPU number i. */
static inline struct kva_vm_cpu *vm_cpu(const struct kva_vm *vm, unsigned i)
{
    return cpu_record(&vm->locks, i);
}

/** The record to look in first. */
static inline struct kva_vm_cpu *vm_cpu_here(const struct kva_vm *vm)
{
    return cpu_here(&vm->locks);
}

/** Whether the caller is inside a reclaim callback of the instance. */
static inline bool is_reclaiming(const struct kva_vm *vm)
{
    return is_in_callback(&vm->reclaim, vm->locks.threads);
}

/* -------------------------------------------------------------------------------------------------- words */

/** What the function that this is expanded in was called from. */
#define CALLER() ((const void *)__builtin_return_address(0))

/** Note a failure, and tell the misuse hook if it is the caller's; returns `status`. `bad` is NULL where no single value is bad.
 *  With the lock held, so that hooks run one at a time. */
static inline enum kva_status refuse_of(struct kva_vm *vm, enum kva_status status, const char *where,
                                        uint64_t address, const struct kva_bad *bad)
{
    atomic_store_explicit(&vm->status, (int)status, memory_order_relaxed);
    return is_misuse(status) ? kva_report_misuse(&vm->ledger.hooks, status, where, address, bad) : status;
}

static inline enum kva_status refuse(struct kva_vm *vm, enum kva_status status, const char *where,
                                     uint64_t address)
{
    return refuse_of(vm, status, where, address, NULL);
}

static inline enum kva_status finish_of(struct kva_vm *vm, enum kva_status status, const char *where,
                                        uint64_t address, const struct kva_bad *bad)
{
    return status == KVA_OK ? KVA_OK : refuse_of(vm, status, where, address, bad);
}

static inline enum kva_status finish(struct kva_vm *vm, enum kva_status status, const char *where,
                                     uint64_t address)
{
    return finish_of(vm, status, where, address, NULL);
}

/** refuse_of, with the lock taken for it. */
static inline enum kva_status refuse_unlocked(struct kva_vm *vm, enum kva_status status, const char *where,
                                              uint64_t address, const struct kva_bad *bad)
{
    vm_enter(vm);
    (void)refuse_of(vm, status, where, address, bad);
    vm_leave(vm);
    return status;
}

/** The same, for a pointer that is NULL. */
static inline enum kva_status refuse_pointer(struct kva_vm *vm, const char *where, uint64_t address,
                                             const char *field)
{
    return refuse_unlocked(vm, KVA_ENULL, where, address, &(struct kva_bad){field, 0});
}

/** Tell the misuse hook that a pointer is NULL; the instance stays as it is. Without the lock. */
static inline enum kva_status refuse_null(const struct kva_vm *vm, const char *where, const char *field)
{
    const struct kva_bad bad = {field, 0};

    vm_enter(vm);
    enum kva_status status = kva_report_misuse(&vm->ledger.hooks, KVA_ENULL, where, 0, &bad);
    vm_leave(vm);
    return status;
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

/* ---------------------------------------------------------------------------------------- address to area */

static inline bool is_in_reserve(const struct kva_vm *vm, uintptr_t address)
{
    return address - vm->first < vm->bytes; /* wraps to a large number below the reserve */
}

/** The table's entries in a piece of it. */
enum { PIECE_SLOTS = SPARSE_PIECE / sizeof(struct kva_descriptor *) };

/** The number of the table's entry for an address. */
static inline size_t slot_number(const struct kva_vm *vm, uintptr_t address)
{
    return (address - vm->first) >> vm->page_shift;
}

/** To be written only where kva_ready_tables was called for the address. */
static inline _Atomic(struct kva_descriptor *) *table_slot(const struct kva_vm *vm, uintptr_t address)
{
    _Atomic(struct kva_descriptor *) *slots = (void *)vm->table.pieces;

    return &slots[sparse_place(&vm->table, slot_number(vm, address), PIECE_SLOTS)];
}

static inline struct kva_descriptor *slot_read(const struct kva_vm *vm, uintptr_t address)
{
    return atomic_load_explicit(table_slot(vm, address), memory_order_acquire);
}

/** Let an area be found that is whole, at an address at which there is none. */
static inline void slot_fill(struct kva_vm *vm, uintptr_t address, struct kva_descriptor *area)
{
    sparse_count(&vm->table, slot_number(vm, address) / PIECE_SLOTS, 1, 0);
    atomic_store_explicit(table_slot(vm, address), area, memory_order_release);
}

/** Let the area that starts at an address be found no longer. */
static inline void slot_clear(struct kva_vm *vm, uintptr_t address)
{
    sparse_count(&vm->table, slot_number(vm, address) / PIECE_SLOTS, 0, 1);
    atomic_store_explicit(table_slot(vm, address), NULL, memory_order_release);
}

/** The area that starts at an address; NULL if none does. */
static inline struct kva_descriptor *area_at(const struct kva_vm *vm, uintptr_t address)
{
    uintptr_t offset = address - vm->first;

    if (offset >= vm->bytes || (offset & (page_of(vm) - 1)) != 0)
        return NULL;
    return slot_read(vm, address);
}

/** Claim the live vmalloc area that starts at an address; NULL if there is none. With a CPU's lock or the instance's held;
 *  see the top. The entry is that of the address' page; the key says whether the area starts just there, as long as the bits for
 *  kind and state are the address' own. */
static inline struct kva_descriptor *claim_area(struct kva_vm *vm, uintptr_t address)
{
    uintptr_t live = key_of(address, KVA_VM_VMALLOC, KVA_VM_LIVE);

    if (!is_in_reserve(vm, address) || (address & KEY_BITS) != 0)
        return NULL;
    struct kva_descriptor *area = slot_read(vm, address);
    if (!area || area_key(area) != live)
        return NULL;
    if (!vm->locks.threads || is_alone(vm->locks.threads)) {
        set_state(area, KVA_VM_CLAIMED);
        return area;
    }
    sync_point(vm->locks.threads);
    return atomic_compare_exchange_strong_explicit(&area->key, &live,
                                                   key_of(address, KVA_VM_VMALLOC, KVA_VM_CLAIMED),
                                                   memory_order_acquire, memory_order_relaxed)
               ? area
               : NULL;
}

/** The area whose segment holds an address; NULL if that is free or outside. */
struct kva_descriptor *kva_area_around(const struct kva_vm *vm, uintptr_t address);

/** The bytes of an area that its owner may use. */
static inline size_t usable_bytes(const struct kva_vm *vm, const struct kva_descriptor *area)
{
    return KVA_POISONS ? area->size : area_bytes(vm, area);
}

/** The live area of a kind other than vmalloc that starts at an address; else NULL, and *status says why: one of kva_vfree's.
 *  With the lock held, under which alone such areas change. */
struct kva_descriptor *kva_live_area(const struct kva_vm *vm, const void *memory, enum kva_vm_kind kind,
                                     enum kva_status *status);

/** Why an area of a kind that starts at an address cannot be claimed. With the lock held. */
enum kva_status kva_why_not_live(const struct kva_vm *vm, uintptr_t address, enum kva_vm_kind kind);

/** What users are told of it. */
void kva_describe_area(const struct kva_vm *vm, const struct kva_descriptor *area, struct kva_vm_area *out);

static inline bool is_in_frames_part(const struct kva_vm *vm, uint64_t address)
{
    return address >= vm->frames_first;
}

/* -------------------------------------------------------------------------------------- vm_alloc.c: taking */

/** What an area is to be, once the request has been found to be in order. */
struct kva_wish {
    uint64_t bytes; /* of the segment: pages and guard */
    uint64_t align;
    uint64_t min; /* the window of the segment, cut to the part of the reserve that it goes to */
    uint64_t max;
    size_t size;
    uint32_t pages;
    uint8_t guard; /* pages of guard after them */
    unsigned flags;
    enum kva_vm_kind kind;
    bool anywhere; /* no window was asked for */
    const void *caller;
    void *owner;
};

/** Attempt it; when that fails for want of something and the flags allow, purge, reclaim and attempt it again. The lock, which is
 *  held, is dropped in between; from the last attempt on it is not. */
enum kva_status kva_obtain(struct kva_vm *vm, size_t size, unsigned flags, kva_attempt *attempt,
                           void *context);

/** A random number in [0, bound - 1]. */
uint64_t kva_vm_random_below(struct kva_vm *vm, uint64_t bound);

/** Have tables for areas that start in the `areas` pages from `start` on, one at least, and for frames behind `frames` pages. KVA_OK, or why the page
 *  source has none; then nothing has changed but that it may have given some. */
enum kva_status kva_ready_tables(struct kva_vm *vm, uint64_t start, uint64_t areas, uint64_t frames);

/** Take addresses for a wish; nothing is opened. */
enum kva_status kva_place_area(struct kva_vm *vm, const struct kva_wish *wish, uint64_t *start);

/** Enter an area whose addresses are taken; a node has been ensured. */
struct kva_descriptor *kva_enter_area(struct kva_vm *vm, const struct kva_wish *wish, uint64_t start);

/** Let an area be found that is whole but for its key. */
void kva_publish_area(struct kva_vm *vm, struct kva_descriptor *area, uintptr_t key);

/** Whether areas of a kind count among the allocations and frees: short-lived maps do not. */
static inline bool is_counted(unsigned kind)
{
    return kind != KVA_VM_RAM;
}

/** Where an area lies that was just allocated: not its descriptor, since with a stale pointer another thread may free it at any
 *  moment from when it is live, and then that is another area's. */
struct kva_taken {
    char *memory;
    size_t bytes; /* of its pages */
    bool fresh;   /* its pages are new, and read as zero */
};

/** Allocate a vmalloc area, from the cache if that serves. Without the lock. */
enum kva_status kva_take_area(struct kva_vm *vm, const struct kva_vm_request *request, const char *where,
                              struct kva_taken *taken);

/** Allocate congruent areas of a kind. With the lock held, which is dropped when something is short, but not from the moment on at
 *  which the areas are there. */
enum kva_status kva_take_congruent(struct kva_vm *vm, const struct kva_vm_request *request,
                                   const struct kva_part *parts, size_t count, enum kva_vm_kind kind,
                                   void **memory, struct kva_bad *bad);

/** After a fork, in the child: give back what congruent allocations of other threads had taken. */
void kva_congruent_forget_plans(struct kva_vm *vm);

/** Round a size up to whole pages (huge ones for KVA_VM_HUGE, where they pay): KVA_OK; or KVA_ESIZE, KVA_EWRAP, and *bad is
 *  "size". */
enum kva_status kva_pages_of(const struct kva_vm *vm, size_t size, unsigned *flags, uint32_t *pages,
                             struct kva_bad *bad);

/* --------------------------------------------------------------------------------------- vm_free.c: giving */

/** The bin for areas of so many pages. Above KVA_VM_CLASSES: by the highest bit and the three behind it. */
static inline unsigned bin_of(uint32_t pages)
{
    if (pages <= KVA_VM_CLASSES)
        return pages;
    unsigned high = 31 - (unsigned)__builtin_clz(pages);
    return KVA_VM_CLASSES + 1 + (high - 7) * 8 + (pages >> (high - 3) & 7);
}

/** Make an area that may be cached, and that is claimed, the first of its bin. With the CPU's lock held. */
static inline void cache_push(const struct kva_vm *vm, struct kva_vm_cpu *cpu, struct kva_descriptor *area,
                              const void *by)
{
    size_t bytes = area_bytes(vm, area);

    area->by.freed_by = by;
    struct kva_bin *bin = &cpu->bin[bin_of(area->pages)];
    area->next = bin->head;
    bin->head = area;
    bin->used = cpu->frees;
    count_in(&cpu->cached, bytes);
    poison(memory_of(area), bytes);
    set_state(area, KVA_VM_CACHED);
}

/** Take an area out of its bin, in which `link` points to it. With the CPU's lock held. */
static inline struct kva_descriptor *cache_pop(const struct kva_vm *vm, struct kva_vm_cpu *cpu,
                                               struct kva_descriptor **link)
{
    struct kva_descriptor *area = *link;

    *link = area->next;
    count_out(&cpu->cached, area_bytes(vm, area));
    return area;
}

/** Flags are the area's, but for what says how to look for it. */
static inline uint8_t flags_of_area(unsigned flags)
{
    return (uint8_t)(flags & ~(unsigned)KVA_VM_NO_BLOCK);
}

/** Make a cached area the caller's, to which `link` points. With the CPU's lock held; but once it is live, another CPU's is enough
 *  to free it, and so that comes last. */
static inline struct kva_taken cache_revive(const struct kva_vm *vm, struct kva_vm_cpu *cpu,
                                            struct kva_descriptor **link, size_t size, size_t align,
                                            unsigned flags, const void *caller, void *owner)
{
    struct kva_descriptor *area = cache_pop(vm, cpu, link);
    const struct kva_taken taken = {memory_of(area), area_bytes(vm, area), false};

    cpu->hits++;
    area->flags = flags_of_area(flags);
    area->align_shift = (uint8_t)lowest_bit(align);
    area->size = size;
    area->caller = caller;
    area->by.owner = owner;
    unpoison(taken.memory, size);
    set_state(area, KVA_VM_LIVE);
    sync_point(vm->locks.threads);
    return taken;
}

/** Whether a vmalloc area is of a sort that can be cached, room aside. */
static inline bool is_cacheable(const struct kva_vm *vm, const struct kva_descriptor *area)
{
    return area->pages <= vm->cache_pages && !(area->flags & KVA_VM_HUGE);
}

/** Serve a wish out of some CPU's bins, if that can be. Without the instance's lock. */
bool kva_cache_take(struct kva_vm *vm, const struct kva_wish *wish, struct kva_taken *taken);

/** Put a claimed area into the cache, and park what has to make way for it; whether there was room. With the lock held. */
bool kva_cache_put(struct kva_vm *vm, struct kva_descriptor *area, const void *by);

/** Park all that is cached, whether there was any. The lock, which is held, is dropped in between. */
bool kva_cache_park_all(struct kva_vm *vm);

/** Park all that is cached, in one step, with the locks of all CPUs held. */
void kva_cache_park_frozen(struct kva_vm *vm);

/** What all CPUs count. With their locks held. */
struct kva_vm_cpu_sums {
    struct kva_count cached;
    uint64_t hits;
    uint64_t frees;
};
struct kva_vm_cpu_sums kva_cache_sums(const struct kva_vm *vm);

/** Let an area wait for the next purge. With the lock held; nothing is purged. */
void kva_park_area(struct kva_vm *vm, struct kva_descriptor *area);

/** Give an area up that nobody else can claim: to the cache, to be parked, or into quarantine. With the lock held; it is not
 *  dropped, and so nothing is purged: call kva_purge_excess when the lock may be dropped. */
void kva_retire_area(struct kva_vm *vm, struct kva_descriptor *area, const void *by);

/** Purge one slice of what was parked before the ticket, the next that was then to be given out; false if all of it is gone. With
 *  the lock held, which is not dropped. */
bool kva_purge_some(struct kva_vm *vm, uintptr_t ticket);

/** Purge if more is parked than a limit, which short-lived maps have one of their own of. The lock, which is held, is dropped between
 *  slices. */
void kva_purge_excess(struct kva_vm *vm);

/** Unmap what is in a segment, whichever part it lies in. */
void kva_close_range(struct kva_vm *vm, uint64_t start, uint64_t bytes);

/** Give a descriptor back that no table entry points to. */
void kva_drop_descriptor(struct kva_vm *vm, struct kva_descriptor *area);

/** Drop an area whose pages are closed: its descriptor and its place in the table, but not its segment. */
void kva_forget_area(struct kva_vm *vm, struct kva_descriptor *area);

/** Undo what was done for an area that is not to be: its pages are closed, its segment is freed. */
void kva_drop_area(struct kva_vm *vm, struct kva_descriptor *area);

/** Purge all that is cached, parked, in quarantine, or mapped for nobody. Returns whether there was any. The lock, which is held, is
 *  dropped between slices; what was idle when this was called is gone when it returns, whoever has closed it. */
bool kva_purge_idle(struct kva_vm *vm);

/** The same in one step: the lock is not dropped, and those of all CPUs are held. So at the moment at which it has ended, nothing is
 *  idle. It keeps everybody waiting: only for what has become idle while kva_purge_idle was at work. */
void kva_purge_frozen(struct kva_vm *vm);

/* ---------------------------------------------------------------------------------------------- vm_later.c */

/** Free the areas whose grace period is over. With the lock held, which is dropped in between. */
void kva_free_ready(struct kva_vm *vm);

static inline bool has_ready(struct kva_vm *vm)
{
    return atomic_load_explicit(&vm->ready, memory_order_relaxed) != NULL;
}

/** The same on the way into a call with these flags. Who must not block must not purge, which a free may come to. */
static inline void free_ready_for(struct kva_vm *vm, unsigned flags)
{
    if (has_ready(vm) && !(flags & KVA_VM_NO_BLOCK))
        kva_free_ready(vm);
}

/** The same, without the lock. */
static inline void free_ready_unlocked(struct kva_vm *vm, unsigned flags)
{
    if (!has_ready(vm) || (flags & KVA_VM_NO_BLOCK))
        return;
    vm_enter(vm);
    kva_free_ready(vm);
    vm_leave(vm);
}

/* ------------------------------------------------------------------------------- vm_frames.c, vm_map.c, vm_ram.c */

/** When so many pages of short-lived maps are parked, they are purged: as many as one page table maps. If they are neighbours, that is
 *  one call, or two. */
enum { KVA_VM_PARKED_RAM = 512 };

/** Whether maps of a kind and so many pages are short-lived ones that stay mapped when they end, to be found again. They have no
 *  guard page: those that are mapped one after the other lie side by side. */
static inline bool is_short_map(const struct kva_vm *vm, unsigned kind, size_t pages)
{
    return kind == KVA_VM_RAM && pages <= KVA_MAP_RAM_MOST && !vm->hardened;
}

/** Count one more live map of each of `count` frames, if they are taken frames of a pool of this instance: KVA_OK, or
 *  kva_vm_map's statuses. */
enum kva_status kva_use_frames(const struct kva_vm *vm, struct kva_frames *frames, const uint32_t *numbers,
                               size_t count, struct kva_bad *bad);

/** Count one live map less of each. */
void kva_unuse_frames(struct kva_frames *frames, const uint32_t *numbers, size_t count);

/** Map frames at a segment's start, a call for each run, and note their numbers; on failure nothing is mapped. */
enum kva_status kva_map_runs(struct kva_vm *vm, uint64_t start, const struct kva_frames *frames,
                             const uint32_t *numbers, size_t count);

/** Numbers of frames in a piece of their table. */
enum { PIECE_NUMBERS = SPARSE_PIECE / sizeof(uint32_t) };

/** Which page of the frames part starts at an address. */
static inline size_t frame_page(const struct kva_vm *vm, uint64_t start)
{
    return (size_t)((start - vm->frames_first) >> vm->page_shift);
}

/** The numbers of the frames behind pages that are mapped, from `start` on: as many as lie side by side, *count at most. */
static inline uint32_t *numbers_at(const struct kva_vm *vm, uint64_t start, size_t *count)
{
    uint32_t *numbers = (void *)vm->numbers.pieces;
    size_t page = frame_page(vm, start);

    *count = (size_t)min_u64(*count, PIECE_NUMBERS - page % PIECE_NUMBERS);
    return &numbers[sparse_place(&vm->numbers, page, PIECE_NUMBERS)];
}

/** The numbers of the frames behind a map that lie in two pieces, copied to lie side by side. */
const uint32_t *kva_copy_numbers(const struct kva_vm *vm, const struct kva_descriptor *map, uint32_t *copy);

/** The numbers of the frames behind a map, side by side: in `copy`, if they have to be copied. */
static inline const uint32_t *numbers_of(const struct kva_vm *vm, const struct kva_descriptor *map,
                                         uint32_t *copy)
{
    size_t run = map->pages;
    const uint32_t *noted = numbers_at(vm, start_of(map), &run);

    return run == map->pages ? noted : kva_copy_numbers(vm, map, copy);
}

/** The pages from `start` on are no longer mapped. */
void kva_forget_numbers(struct kva_vm *vm, uint64_t start, size_t count);

/** Count one live map less of each of the frames behind an area's pages. */
void kva_unuse_map(const struct kva_vm *vm, const struct kva_descriptor *area);

/** A fresh map of frames that were counted. */
enum kva_status kva_take_map(struct kva_vm *vm, struct kva_frames *frames, const uint32_t *numbers,
                             size_t count, unsigned flags, enum kva_vm_kind kind, const void *caller,
                             struct kva_descriptor **map);

/** Park all short-lived maps that have ended. Returns whether there was any. The lock, which is held, is dropped in between. */
bool kva_ram_park_all(struct kva_vm *vm);

/** The same in one step. */
void kva_ram_park_frozen(struct kva_vm *vm);

/** Compare the system's mappings with what is known of pages that nobody owns: NULL, or the invariant that is broken, and at which
 *  address. With all locks held. */
const char *kva_check_mappings(const struct kva_vm *vm, uint64_t *address);

/** kva_vm_next, with all locks held. */
enum kva_status kva_look_next(const struct kva_vm *vm, struct kva_vm_area *area);

/** Whether an area is a live map. */
static inline bool is_live_map(const struct kva_vm_area *area)
{
    return (area->kind == KVA_VM_VMAP || area->kind == KVA_VM_RAM) && area->state == KVA_VM_LIVE;
}

/** After a fork, in the child: forget the maps that other threads were making; the chunks that they were asking for. */
void kva_frames_forget_pending(struct kva_vm *vm);
void kva_pcpu_forget_growing(struct kva_vm *vm);

/** Whether the index and the ring hold each ended map, and nothing else: NULL, or the invariant that is broken. */
const char *kva_ram_check(const struct kva_vm *vm);

/** Whether the chunks of per-CPU allocators are on their lists, and their areas know them; else the invariant that is broken. */
const char *kva_pcpu_check(const struct kva_vm *vm);

/** Give back the chunks of per-CPU allocators that hold no object. */
void kva_pcpu_trim(struct kva_vm *vm);

/** Whether the live per-CPU area that starts at an address belongs to such a chunk. */
bool kva_pcpu_is_empty(const struct kva_vm *vm, uintptr_t start);

/** Give back the memory of what is left when an instance ends. */
void kva_ram_end(struct kva_vm *vm);
void kva_frames_end(struct kva_vm *vm);
void kva_pcpu_end(struct kva_vm *vm);

#endif
