/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Targets of the driver: allocators with a common table of functions.
 *
 * A KIND is an allocator; a TARGET is an instance of one. A kind hands out ranges or pages:
 *
 *      ranges   addresses only, from a range that the driver chooses; they must not be touched
 *                   list                         bench/list, the design of Linux before 2019
 *                   rb, bt, scan                 kva's engines, through kva/kva.h
 *                   bt-lock, bt-pools            bt in a space that locks for itself, without and with pools
 *      pages    memory, at addresses that the kind chooses
 *                   list                         the same list walk, pages are opened and closed at once
 *                   rb, bt, scan                 kva/vm.h over that engine, which locks for itself
 *                   bt-mutex                     the same for one thread, under the target's mutex
 *                   mmap                         the system, without an allocator
 *                   malloc, jemalloc, mimalloc   heaps; the last two if they are installed
 *
 * target_ranges.c, target_vm.c, target_list.c, target_mmap.c and target_heap.c implement the kinds.
 *
 * A kind has no function for an operation that it cannot do; target_can reports that. All kinds return kva's
 * statuses.
 *
 * LOCKS. A target that several threads share has one mutex, held around each call, unless its kind locks for
 * itself.
 */
#ifndef KVA_TOOLS_TARGET_H
#define KVA_TOOLS_TARGET_H

#include "engines.h"

#include <kva/vm.h>

#include <pthread.h>

enum target_memory { TARGET_RANGES, TARGET_PAGES };

/** The page that sizes are counted in, and the quantum of ranges. */
#define TARGET_PAGE UINT64_C(4096)

/** Where a target's areas lie: the addresses [first, last]. */
struct target_range {
    uint64_t first;
    uint64_t last;
    uint64_t quantum;
};

/** Flags of an allocation. A kind without huge pages ignores TARGET_HUGE. */
enum target_flag { TARGET_HUGE = 1, TARGET_NO_BLOCK = 2 };

/** System calls that a target has made, and how many of them flush TLBs. */
struct target_calls {
    uint64_t all;
    uint64_t flushing;
};

/** Bits: what a kind can do beside allocating and freeing. */
enum target_ability {
    TARGET_CAN_PCPU = 1,     /* per-CPU objects, or the congruent areas that they can be made of */
    TARGET_CAN_LATER = 2,    /* free after a grace period */
    TARGET_CAN_MAP = 4,      /* map frames */
    TARGET_CAN_NO_BLOCK = 8, /* promise not to wait */
    TARGET_CAN_RESIZE = 16
};

struct target_kind {
    const char *name;
    const char *about; /* one line of --help */
    enum target_memory memory;
    bool locks;              /* for itself: needs no mutex around its calls */
    bool exact;              /* returns KVA_ENOSPC only if nothing fits */
    bool recycles;           /* may reuse a freed area although a lower one fits */
    unsigned abilities;      /* enum target_ability */
    const char *cannot;      /* for --help: the tests that it cannot run, and why; NULL: none */
    struct kva_config space; /* for kinds over kva/kva.h: the space's configuration, except its range */
    struct kva_vm_config vm; /* for kinds over kva/vm.h: the instance's configuration */

    bool (*open)(void); /* load its library; false: not installed. NULL: no library */

    /* Kinds of ranges read *range; the others set it to where their memory lies. */
    enum kva_status (*create)(const struct target_kind *kind, struct target_range *range, void **state);
    enum kva_status (*destroy)(void *state);
    enum kva_status (*alloc)(void *state, uint64_t size, uint64_t align, unsigned flags, uint64_t *addr);
    enum kva_status (*free)(void *state, uint64_t addr, uint64_t size);
    enum kva_status (*congruent)(void *state, const struct kva_part *parts, size_t count, uint64_t align,
                                 uint64_t *base);
    enum kva_status (*resize)(void *state, uint64_t addr, uint64_t from, uint64_t to, uint64_t *moved);

    /* `record`: memory in the area for the free's own use, or NULL. A kind that locks for itself may leave
     * free_later NULL: target_free_later then calls `free` after the grace period. */
    enum kva_status (*free_later)(void *state, uint64_t addr, struct kva_later *record);

    /* Frames of one worker. `map` maps `count` of them, from number `first` on. */
    enum kva_status (*frames_take)(void *state, uint64_t count, void **frames);
    enum kva_status (*frames_give)(void *state, void *frames);
    enum kva_status (*map)(void *state, void *frames, uint64_t first, uint64_t count, uint64_t *addr);
    enum kva_status (*unmap)(void *state, uint64_t addr, uint64_t count);

    enum kva_status (*pcpu_create)(void *state, void **pcpu);
    enum kva_status (*pcpu_destroy)(void *pcpu);
    enum kva_status (*pcpu_alloc)(void *pcpu, uint64_t size, uint64_t align, uint64_t *addr);
    enum kva_status (*pcpu_free)(void *pcpu, uint64_t addr);

    enum kva_status (*flush)(void *state); /* give idle memory back; NULL: the kind keeps none */
    bool (*calls)(void *state, struct target_calls *calls); /* false, or NULL: unknown */
};

struct target {
    struct target_kind kind;
    struct target_range range;
    void *state;
    bool shared;
    pthread_mutex_t lock; /* taken if shared */
};

/** The most kinds of any build. */
#define TARGET_KINDS ENGINES_MAX

/** Enumerate the kinds, installed or not: the list walk, kva's engines (the default first), the others. False
 *  past the end. */
bool target_kind_at(enum target_memory memory, size_t index, struct target_kind *kind);

/** Read a list of kinds, as engines_parse does; "all" leaves out kinds that are not installed. Returns
 *  NULL, or what is wrong, in `message`. Call it before any output: it may restart the program (see
 *  target_heap.c). */
const char *target_kinds_parse(const char *text, enum target_memory memory,
                               struct target_kind kinds[TARGET_KINDS], size_t *count,
                               char message[ENGINES_MESSAGE]);

/** Whether the kind has all these abilities. */
static inline bool target_can(const struct target_kind *kind, unsigned abilities)
{
    return (kind->abilities & abilities) == abilities;
}

/** Whether the kind is installed; loads its library. */
static inline bool target_kind_open(const struct target_kind *kind)
{
    return kind->open == NULL || kind->open();
}

/* Fill in one kind each, for target_kind_at. */
void target_kind_of_space(struct target_kind *kind, const char *engine);
void target_kind_of_lock(struct target_kind *kind);
void target_kind_of_pools(struct target_kind *kind);
void target_kind_of_list_walk(struct target_kind *kind);
void target_kind_of_vm(struct target_kind *kind, const char *engine);
void target_kind_of_mutex(struct target_kind *kind);
void target_kind_of_list_pages(struct target_kind *kind);
void target_kind_of_mmap(struct target_kind *kind);
void target_kind_of_malloc(struct target_kind *kind);
void target_kind_of_jemalloc(struct target_kind *kind);
void target_kind_of_mimalloc(struct target_kind *kind);

/** One line about an engine of the library, by its name. */
const char *target_about_engine(const char *engine);

/** Create a target. Kinds of ranges read `range`. `shared`: several threads will use it. On failure there is
 *  nothing to destroy. */
enum kva_status target_create(struct target *target, const struct target_kind *kind,
                              const struct target_range *range, bool shared);

/** Destroy a target. KVA_EBUSY: something was still allocated; its memory is given back anyway. */
enum kva_status target_destroy(struct target *target);

/** Allocate `size` bytes at a multiple of `align`, a power of two. Kinds with an order take the lowest place.
 *  `flags`: enum target_flag. */
enum kva_status target_alloc(struct target *target, uint64_t size, uint64_t align, unsigned flags,
                             uint64_t *addr);

/** Free the area at `addr`, which was allocated with `size`. */
enum kva_status target_free(struct target *target, uint64_t addr, uint64_t size);

/** Allocate all parts at one base, the highest possible. Each part becomes a range of its own. */
enum kva_status target_congruent(struct target *target, const struct kva_part *parts, size_t count,
                                 uint64_t align, uint64_t *base);

/** Resize an area, which may move. */
enum kva_status target_resize(struct target *target, uint64_t addr, uint64_t from, uint64_t to,
                              uint64_t *moved);

/** Give idle memory back. Does nothing if the kind keeps none. */
enum kva_status target_flush(struct target *target);

/** Free after a grace period. `in_place`: the end of the area may hold the record of the free; else memory is
 *  allocated for it, or the call waits. */
enum kva_status target_free_later(struct target *target, uint64_t addr, uint64_t size, bool in_place);

enum kva_status target_frames_take(struct target *target, uint64_t count, void **frames);
enum kva_status target_frames_give(struct target *target, void *frames);
enum kva_status target_map(struct target *target, void *frames, uint64_t first, uint64_t count,
                           uint64_t *addr);
enum kva_status target_unmap(struct target *target, uint64_t addr, uint64_t count);

/** The target's own allocator of per-CPU objects. Only if kind.pcpu_create is not NULL. */
enum kva_status target_pcpu_create(struct target *target, void **pcpu);
enum kva_status target_pcpu_destroy(struct target *target, void *pcpu);
enum kva_status target_pcpu_alloc(struct target *target, void *pcpu, uint64_t size, uint64_t align,
                                  uint64_t *addr);
enum kva_status target_pcpu_free(struct target *target, void *pcpu, uint64_t addr);

/** The layout of per-CPU chunks: the smallest server with four nodes that has several CPUs on each. */
#define TARGET_PCPU_CPUS 16
#define TARGET_PCPU_GROUPS 4
#define TARGET_PCPU_UNIT (UINT64_C(64) << 10)

#endif
