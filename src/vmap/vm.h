/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What the files of vmap share: the instance, the descriptors of its areas, and the way from an address to one.
 *
 *      the reserve     | private part: vmalloc, per-CPU             | frames part: vmap, map_ram |
 *                      first                                        frames_first                 last
 *
 *      the space       tiles it: a busy segment for each area and its guard page, a deferred one for each parked area
 *      the table       one pointer for each page: the descriptor of the area that STARTS there, else NULL. It is
 *                      addresses only, but for the pages of it that were written to
 *
 *      address --space (O(log n))--> segment --its start, table (O(1))--> descriptor
 *      start of an area -----------------------table (O(1))-------------> descriptor
 *
 * Whose job is what:
 *
 *      vm.c          an instance's beginning and end           vm_frames.c   pools of frames
 *      vm_alloc.c    taking areas; what to do when short       vm_map.c      vmap
 *      vm_free.c     cache, parking, purge, quarantine         vm_ram.c      map_ram: blocks, maps found again
 *      vm_realloc.c  changing sizes                            vm_pcpu.c     per-CPU objects
 *      vm_later.c    grace periods                             vm_look.c     find, next, statistics, check
 *                                                              vm_report.c, vm_fault.c   words for people
 *
 * INVARIANTS (kva_vm_check verifies them; the names appear in its answers)
 *   V1  Every segment that is not free has one descriptor, found in the table at its start, and covers the area and
 *       its guard page exactly.
 *   V2  A deferred segment's descriptor is parked, a busy one's is not; the parked list holds each once.
 *   V3  A cached descriptor lies in the bin of its page count, and each bin holds only such.
 *   V4  The counts of areas and bytes are what a walk finds.
 *   V5  Vmalloc and per-CPU areas lie in the private part, maps and blocks in the frames part.
 *   V6  A short-lived map lies inside its block, whose bits and counts say so; parked ones are in the index.
 *   V7  A frame's count is that of its live maps.
 *   V8  What kva_vfree_ready is given names an area that waits for it.
 */
#ifndef KVA_VMAP_VM_H
#define KVA_VMAP_VM_H

#include <stdatomic.h>

#include <kva/vm.h>

#include "../base/memory.h"
#include "../engine/nodes.h"
#include "../space/space.h"
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
    struct kva_descriptor
        *next; /* in its bin, in the parked list, in the quarantine, or in the index of maps */
    uintptr_t start;
    size_t size; /* as asked for */
    const void *caller;
    void *owner; /* live: the caller's; freed: the return address of who freed it */
    void *
        of; /* maps: the pool; blocks: struct kva_ram_block; vmalloc: a record of the library's own, or NULL */
    uint32_t pages;
    uint8_t kind;        /* enum kva_vm_kind */
    uint8_t state;       /* enum kva_vm_state */
    uint8_t flags;       /* enum kva_vm_flag */
    uint8_t guard;       /* pages of guard behind */
    uint8_t align_shift; /* vmalloc: the alignment that was asked for is 2 to this */
};

/** In the middle of a change of size, and live for everybody else. A reclaim callback that is asked for room on the way
 *  must neither free nor resize it. */
enum { KVA_VM_RESIZING = KVA_VM_QUARANTINED + 1 };

/** What users are told of its state. */
static inline enum kva_vm_state state_of(const struct kva_descriptor *area)
{
    return area->state == KVA_VM_RESIZING ? KVA_VM_LIVE : (enum kva_vm_state)area->state;
}

_Static_assert(sizeof(struct kva_descriptor) <= KVA_LINE, "a descriptor is one cache line");

/** An area that was purged, for kva_vm_fault_describe. */
struct kva_past {
    uintptr_t start;
    size_t bytes; /* of its pages; 0: this entry is empty */
    size_t guard; /* bytes */
    const void *caller;
    const void *freed_by;
};

_Static_assert(KVA_VM_HISTORY * sizeof(struct kva_past) <= 16384,
               "the history takes 16 KiB, as kva/vm.h says");

/** A first-in, first-out list of descriptors. */
struct kva_queue {
    struct kva_descriptor *head;
    struct kva_descriptor **tail;
};

/** Cached areas, the last freed first. */
struct kva_bin {
    struct kva_descriptor *head;
    uint64_t used; /* when an area came in last, in frees of the instance */
};

/** How many areas are in some state, and the bytes of their pages. */
struct kva_count {
    uint64_t areas;
    uint64_t bytes;
};

struct kva_frames {
    struct kva_vm *vm;
    struct kva_frames *next; /* of the instance's pools */
    void *pool;              /* the page source's */
    uint32_t *uses;          /* a table: 0 for a free frame; else 1 + the live maps of it */
    uint64_t count;
    uint64_t taken;
    uint64_t lowest; /* no frame below this is free */
};

struct kva_ram;

struct kva_vm {
    /* What kva_vmalloc and kva_vfree touch when the cache serves them, together. */
    uintptr_t first;
    size_t bytes; /* of the reserve */
    struct kva_descriptor **table;
    size_t fast_bytes; /* kva_vmalloc looks into the cache by itself up to this size */
    uint64_t cache_limit;
    struct kva_count cached;
    uint64_t hits;
    uint64_t frees;
    _Atomic(struct kva_later *) ready; /* a stack: records whose grace period is over */
    uint8_t page_shift;
    uint8_t guard; /* pages of guard behind each area: 0 or 1 */
    bool hardened;
    bool zero_always;
    uint32_t cache_pages;            /* the largest area that is cached */
    struct kva_bin bin[KVA_VM_BINS]; /* see bin_of */

    /* The rest. */
    struct kva_space *space; /* one of `spaces`; the other serves kva_vm_flush, which makes it anew */
    struct kva_space spaces[2];
    struct kva_config space_config;
    struct kva_pages pages;
    void *stretch;
    uint64_t table_bytes;
    uint64_t frames_first;
    uint32_t
        *frame_at; /* a table: the number of the frame behind each page of the frames part that is mapped */
    uint64_t frame_at_bytes;

    struct kva_tiling ledger; /* no tiling: the memory source, byte count and hooks that node caches want */
    struct kva_nodes areas;   /* descriptors */
    struct kva_nodes records; /* struct kva_later for kva_vfree_later without one */
    struct kva_nodes blocks;  /* struct kva_ram_block */

    struct kva_descriptor *parked_list;
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
    uint64_t misses;
    uint64_t purges;
    uint64_t purged_runs;
    uint64_t retries;
    uint64_t grown;
    uint64_t moved;

    struct kva_frames *pools;
    struct kva_ram *ram; /* NULL until the first short-lived map */
    struct kva_pcpu *pcpus;
    struct kva_vm_reclaim *reclaim;
    bool reclaiming;
    enum kva_status status;
    enum kva_huge_policy huge;
    unsigned cpus;
    struct kva_grace grace;
    kva_symbol *symbol;
    void *symbol_context;
    struct kva_past past[KVA_VM_HISTORY];
    unsigned past_next;
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
    return (void *)area->start;
}

/** What the function that this is expanded in was called from. */
#define CALLER() ((const void *)__builtin_return_address(0))

/** Note a failure, and tell the misuse hook if it is the caller's; returns `status`. */
static inline enum kva_status refuse(struct kva_vm *vm, enum kva_status status, const char *where,
                                     uint64_t address)
{
    vm->status = status;
    return is_misuse(status) ? kva_report_misuse(&vm->ledger.hooks, status, where, address) : status;
}

static inline enum kva_status finish(struct kva_vm *vm, enum kva_status status, const char *where,
                                     uint64_t address)
{
    return status == KVA_OK ? KVA_OK : refuse(vm, status, where, address);
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

static inline struct kva_descriptor **table_slot(const struct kva_vm *vm, uintptr_t address)
{
    return &vm->table[(address - vm->first) >> vm->page_shift];
}

/** The area or short-lived map that starts at an address; NULL if none does. */
static inline struct kva_descriptor *area_at(const struct kva_vm *vm, uintptr_t address)
{
    uintptr_t offset = address - vm->first;

    if (offset >= vm->bytes || (offset & (page_of(vm) - 1)) != 0)
        return NULL;
    return vm->table[offset >> vm->page_shift];
}

/** The area whose segment holds an address; NULL if that is free or outside. */
struct kva_descriptor *kva_area_around(const struct kva_vm *vm, uintptr_t address);

/** The bytes of an area that its owner may use. */
static inline size_t usable_bytes(const struct kva_vm *vm, const struct kva_descriptor *area)
{
    return KVA_POISONS ? area->size : area_bytes(vm, area);
}

/** The live area of a kind that starts at an address; else NULL, and *status says why: one of kva_vfree's. */
struct kva_descriptor *kva_live_area(const struct kva_vm *vm, const void *memory, enum kva_vm_kind kind,
                                     enum kva_status *status);

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
    unsigned flags;
    enum kva_vm_kind kind;
    bool anywhere; /* no window was asked for */
    const void *caller;
    void *owner;
};

/** Something that may fail for want of space, memory or mappings, and then leaves everything as it was. */
typedef enum kva_status kva_vm_attempt(struct kva_vm *vm, void *context);

/** Attempt it; when that fails for want of something and the flags allow, purge, reclaim and attempt it again. */
enum kva_status kva_obtain(struct kva_vm *vm, size_t size, unsigned flags, kva_vm_attempt *attempt,
                           void *context);

/** A random number in [0, bound - 1]. */
uint64_t kva_vm_random_below(struct kva_vm *vm, uint64_t bound);

/** Take addresses for a wish; nothing is opened. */
enum kva_status kva_place_area(struct kva_vm *vm, const struct kva_wish *wish, uint64_t *start);

/** Enter an area whose addresses are taken; a node has been ensured. */
struct kva_descriptor *kva_enter_area(struct kva_vm *vm, const struct kva_wish *wish, uint64_t start);

/** Whether areas of a kind count among the allocations and frees: short-lived maps and their blocks do not. */
static inline bool is_counted(unsigned kind)
{
    return kind != KVA_VM_RAM && kind != KVA_VM_BLOCK;
}

/** Allocate a vmalloc area, from the cache if that serves. *fresh: its pages are new, and read as zero. */
enum kva_status kva_take_area(struct kva_vm *vm, const struct kva_vm_request *request, const char *where,
                              struct kva_descriptor **area, bool *fresh);

/** Allocate congruent areas of a kind. */
enum kva_status kva_take_congruent(struct kva_vm *vm, const struct kva_vm_request *request,
                                   const struct kva_part *parts, size_t count, enum kva_vm_kind kind,
                                   void **memory);

/** Round a size up to whole pages (huge ones for KVA_VM_HUGE, where they pay): KVA_OK, KVA_ESIZE or KVA_EWRAP. */
enum kva_status kva_pages_of(const struct kva_vm *vm, size_t size, unsigned *flags, uint32_t *pages);

/* --------------------------------------------------------------------------------------- vm_free.c: giving */

/** The bin for areas of so many pages. Above KVA_VM_CLASSES: by the highest bit and the three behind it. */
static inline unsigned bin_of(uint32_t pages)
{
    if (pages <= KVA_VM_CLASSES)
        return pages;
    unsigned high = 31 - (unsigned)__builtin_clz(pages);
    return KVA_VM_CLASSES + 1 + (high - 7) * 8 + (pages >> (high - 3) & 7);
}

/** Make an area that may be cached the first of its bin. */
static inline void cache_push(struct kva_vm *vm, struct kva_descriptor *area, const void *by)
{
    size_t bytes = area_bytes(vm, area);

    area->state = KVA_VM_CACHED;
    area->owner = (void *)(uintptr_t)by;
    struct kva_bin *bin = &vm->bin[bin_of(area->pages)];
    area->next = bin->head;
    bin->head = area;
    bin->used = vm->frees;
    count_in(&vm->cached, bytes);
    poison(memory_of(area), bytes);
}

/** Take an area out of its bin, in which `link` points to it. */
static inline struct kva_descriptor *cache_pop(struct kva_vm *vm, struct kva_descriptor **link)
{
    struct kva_descriptor *area = *link;

    *link = area->next;
    count_out(&vm->cached, area_bytes(vm, area));
    return area;
}

/** Whether an area is of a sort that can be cached, room aside. */
static inline bool is_cacheable(const struct kva_vm *vm, const struct kva_descriptor *area)
{
    return area->kind == KVA_VM_VMALLOC && area->pages <= vm->cache_pages && !(area->flags & KVA_VM_HUGE);
}

/** Give a live area up: to the cache, to be parked, or into quarantine. */
void kva_retire_area(struct kva_vm *vm, struct kva_descriptor *area, const void *by);

/** Unmap what is in a segment, whichever part it lies in. */
void kva_close_range(struct kva_vm *vm, uint64_t start, uint64_t bytes);

/** Drop an area whose pages are closed: its descriptor and its place in the table, but not its segment. */
void kva_forget_area(struct kva_vm *vm, struct kva_descriptor *area);

/** Undo what was done for an area that is not to be: its pages are closed, its segment is freed. */
void kva_drop_area(struct kva_vm *vm, struct kva_descriptor *area);

/** Purge all that is cached, parked, in quarantine, or mapped for nobody. Returns whether there was any. */
bool kva_purge_idle(struct kva_vm *vm);

/** The space's flush callback. */
kva_flush_callback kva_purge_parked;

/* ---------------------------------------------------------------------------------------------- vm_later.c */

/** Free the areas whose grace period is over. */
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

/* ------------------------------------------------------------------------------- vm_frames.c, vm_map.c, vm_ram.c */

/** The bytes of a struct kva_ram_block, for its node cache. */
size_t kva_ram_block_bytes(void);

/** Count one more live map of each of `count` frames, if they are taken frames of a pool of this instance: KVA_OK, or
 *  kva_vm_map's statuses. */
enum kva_status kva_use_frames(const struct kva_vm *vm, struct kva_frames *frames, const uint32_t *numbers,
                               size_t count);

/** Count one live map less of each. */
void kva_unuse_frames(struct kva_frames *frames, const uint32_t *numbers, size_t count);

/** Map frames at a segment's start, a call for each run, and note their numbers; on failure nothing is mapped. */
enum kva_status kva_map_runs(struct kva_vm *vm, uint64_t start, const struct kva_frames *frames,
                             const uint32_t *numbers, size_t count);

/** The numbers of the frames behind the pages from `start` on, which lies in the frames part. */
static inline uint32_t *numbers_at(const struct kva_vm *vm, uint64_t start)
{
    return &vm->frame_at[(start - vm->frames_first) >> vm->page_shift];
}

/** A map with a segment of its own, of frames that were counted. */
enum kva_status kva_take_map(struct kva_vm *vm, struct kva_frames *frames, const uint32_t *numbers,
                             size_t count, unsigned flags, enum kva_vm_kind kind, const void *caller,
                             struct kva_descriptor **map);

/** Unmap all short-lived maps that have ended, and free the blocks without live ones. Whether there was any. */
bool kva_ram_flush(struct kva_vm *vm);

/** The map in a block that lies behind an address, or the next one in it at or above; NULL if none. */
struct kva_descriptor *kva_ram_map_around(const struct kva_vm *vm, const struct kva_descriptor *block,
                                          uintptr_t address);
struct kva_descriptor *kva_ram_map_from(const struct kva_vm *vm, const struct kva_descriptor *block,
                                        uintptr_t address);

void kva_ram_stats(const struct kva_vm *vm, struct kva_vm_stats *stats);
const char *kva_ram_check(const struct kva_vm *vm, const struct kva_descriptor *block);

/** Whether the index of parked maps holds each of them, and nothing else; else the invariant that is broken. */
const char *kva_ram_check_index(const struct kva_vm *vm);

/** Give back the chunks of per-CPU allocators that hold no object. */
void kva_pcpu_trim(struct kva_vm *vm);

/** Give back the memory of what is left when an instance ends. */
void kva_ram_end(struct kva_vm *vm);
void kva_frames_end(struct kva_vm *vm);
void kva_pcpu_end(struct kva_vm *vm);

#endif
