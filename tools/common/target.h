/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What the driver drives: an allocator behind a small table of functions.
 *
 * A KIND is an allocator; a TARGET is a kind at work. A kind hands out one of two things:
 *
 *      ranges   addresses only, from a range that the driver chooses; nothing may be touched
 *                   list                         bench/list, what Linux had before 2019
 *                   rb, bt, scan                 kva's engines, through kva/kva.h
 *                   bt-lock, bt-pools            bt in a space that locks for itself, without and with pools
 *      pages    memory, wherever the kind has it
 *                   list                         the same list walk, pages taken and given back at once
 *                   rb, bt, scan                 kva/vm.h over that engine, which locks for itself
 *                   bt-mutex                     the same made for one thread, behind the mutex of below
 *                   mmap                         the system, without an allocator
 *                   malloc, jemalloc, mimalloc   heaps; the last two if they are installed
 *
 * and is a file of its own each: target_ranges.c, target_vm.c, target_list.c, target_mmap.c, target_heap.c.
 *
 * What a kind cannot do it has no function for; target_can tells. Statuses are kva's for every kind.
 *
 * LOCKS. Most of the allocators take none; a target of theirs that is shared by several threads has one
 * mutex, held around each call, so all pay the same for it. Kinds that lock for themselves are called
 * without.
 */
#ifndef KVA_TOOLS_TARGET_H
#define KVA_TOOLS_TARGET_H

#include "engines.h"

#include <kva/vm.h>

#include <pthread.h>

enum target_memory { TARGET_RANGES, TARGET_PAGES };

/** The page that sizes are counted in, and the quantum of ranges. */
#define TARGET_PAGE UINT64_C(4096)

/** The range that a target hands out of, [first, last] in units of the quantum. */
struct target_range {
    uint64_t first;
    uint64_t last;
    uint64_t quantum;
};

/** What an allocation may ask for beyond size and alignment. Kinds that know nothing of it ignore
 *  TARGET_HUGE. */
enum target_spec { TARGET_HUGE = 1, TARGET_NO_BLOCK = 2 };

/** System calls that a target has made, and how many of them flush TLBs. */
struct target_calls {
    uint64_t all;
    uint64_t flushing;
};

/** What a target can be asked for. Bits; everyone can allocate and free. */
enum target_ability {
    TARGET_CAN_PCPU = 1,     /* per-CPU objects, or the congruent areas that they can be made of */
    TARGET_CAN_LATER = 2,    /* free after a grace period */
    TARGET_CAN_MAP = 4,      /* map frames */
    TARGET_CAN_NO_BLOCK = 8, /* promise not to wait */
    TARGET_CAN_RESIZE = 16
};

struct target_kind {
    const char *name;
    const char *about; /* a line for people */
    enum target_memory memory;
    bool locks;              /* by itself: no mutex is needed around it */
    bool exact;              /* says "no space" only when there is none */
    bool recycles;           /* hands out what was freed, wherever it is, before what is lower */
    unsigned abilities;      /* enum target_ability */
    const char *cannot;      /* what is missing, and why, for people; NULL: nothing */
    struct kva_config space; /* for kinds over kva/kva.h: what the space is made with, but for its range */
    struct kva_vm_config vm; /* for kinds over kva/vm.h: what the instance is made with */

    bool (*open)(void); /* find the library that it is; false: not installed. NULL: nothing to find */

    /* Ranges are handed out of *range as it is. Other kinds say there where their memory lies. */
    enum kva_status (*create)(const struct target_kind *kind, struct target_range *range, void **state);
    enum kva_status (*destroy)(void *state);
    enum kva_status (*alloc)(void *state, uint64_t size, uint64_t align, unsigned wishes, uint64_t *addr);
    enum kva_status (*free)(void *state, uint64_t addr, uint64_t size);
    enum kva_status (*congruent)(void *state, const struct kva_part *parts, size_t count, uint64_t align,
                                 uint64_t *base);
    enum kva_status (*resize)(void *state, uint64_t addr, uint64_t from, uint64_t to, uint64_t *moved);

    /* `record`: memory in the area for the free's own use, or NULL. A kind that locks by itself needs
     * none: it is freed by `free` when the grace period is over. */
    enum kva_status (*free_later)(void *state, uint64_t addr, struct kva_later *record);

    /* Frames, as a worker owns them; mapped from `first` on, as many as one says. */
    enum kva_status (*frames_take)(void *state, uint64_t count, void **frames);
    enum kva_status (*frames_give)(void *state, void *frames);
    enum kva_status (*map)(void *state, void *frames, uint64_t first, uint64_t count, uint64_t *addr);
    enum kva_status (*unmap)(void *state, uint64_t addr, uint64_t count);

    enum kva_status (*pcpu_create)(void *state, void **pcpu);
    enum kva_status (*pcpu_destroy)(void *pcpu);
    enum kva_status (*pcpu_alloc)(void *pcpu, uint64_t size, uint64_t align, uint64_t *addr);
    enum kva_status (*pcpu_free)(void *pcpu, uint64_t addr);

    enum kva_status (*flush)(void *state); /* give all that is idle back; NULL: nothing is kept */
    bool (*calls)(void *state, struct target_calls *calls); /* false, or NULL: not known */
};

struct target {
    struct target_kind kind;
    struct target_range range;
    void *state;
    bool shared;
    pthread_mutex_t lock; /* taken when shared, unless the kind locks by itself */
};

/** No build has more kinds than this. */
#define TARGET_KINDS ENGINES_MAX

/** Enumerate the kinds, installed or not: the list walk first, then kva's engines, the default one first,
 *  then the others. False past the end. */
bool target_kind_at(enum target_memory memory, size_t index, struct target_kind *kind);

/** Read a list of kinds, as engines_parse does; "all" leaves out what is not installed. Returns NULL, or
 *  what is wrong, in `message`. It may start the program once more: see target_heap.c. So nothing may have
 *  been written yet. */
const char *target_kinds_parse(const char *text, enum target_memory memory,
                               struct target_kind kinds[TARGET_KINDS], size_t *count,
                               char message[ENGINES_MESSAGE]);

/** Whether all these abilities are there. */
static inline bool target_can(const struct target_kind *kind, unsigned abilities)
{
    return (kind->abilities & abilities) == abilities;
}

/** Whether the kind is installed, and if so, ready to be created. */
static inline bool target_kind_open(const struct target_kind *kind)
{
    return kind->open == NULL || kind->open();
}

/* The makers of kinds, for the list above. */
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

/** What there is to say about an engine of the library; it only knows names. */
const char *target_about_engine(const char *engine);

/** Set a target up. `range` is read for kinds of ranges. `shared`: several threads will use it. On failure
 *  there is nothing to destroy. */
enum kva_status target_create(struct target *target, const struct target_kind *kind,
                              const struct target_range *range, bool shared);

/** End a target. KVA_EBUSY when something was still taken; its memory is given back all the same. */
enum kva_status target_destroy(struct target *target);

/** Take `size` bytes at a multiple of `align`, a power of two: the lowest range, for kinds that have an
 *  order. */
enum kva_status target_alloc(struct target *target, uint64_t size, uint64_t align, unsigned wishes,
                             uint64_t *addr);

/** Give back what starts at `addr` and was taken with `size`. */
enum kva_status target_free(struct target *target, uint64_t addr, uint64_t size);

/** Take all parts at one base, the highest possible. Each becomes a range of its own. */
enum kva_status target_congruent(struct target *target, const struct kva_part *parts, size_t count,
                                 uint64_t align, uint64_t *base);

/** Change a size. */
enum kva_status target_resize(struct target *target, uint64_t addr, uint64_t from, uint64_t to,
                              uint64_t *moved);

/** Give all that is idle back. Nothing is, where the kind has no such function. */
enum kva_status target_flush(struct target *target);

/** Give back after a grace period. `in_place`: the end of the area may be used for what has to be
 *  remembered until then; else memory is taken for it, or the call waits. */
enum kva_status target_free_later(struct target *target, uint64_t addr, uint64_t size, bool in_place);

enum kva_status target_frames_take(struct target *target, uint64_t count, void **frames);
enum kva_status target_frames_give(struct target *target, void *frames);
enum kva_status target_map(struct target *target, void *frames, uint64_t first, uint64_t count,
                           uint64_t *addr);
enum kva_status target_unmap(struct target *target, uint64_t addr, uint64_t count);

/** An allocator of per-CPU objects of the target's own. Only with kind.pcpu_create. */
enum kva_status target_pcpu_create(struct target *target, void **pcpu);
enum kva_status target_pcpu_destroy(struct target *target, void *pcpu);
enum kva_status target_pcpu_alloc(struct target *target, void *pcpu, uint64_t size, uint64_t align,
                                  uint64_t *addr);
enum kva_status target_pcpu_free(struct target *target, void *pcpu, uint64_t addr);

/** Per-CPU chunks are laid out for so many CPUs in so many groups: a server with four nodes, as small as
 *  it can be to have several CPUs on each. */
#define TARGET_PCPU_CPUS 16
#define TARGET_PCPU_GROUPS 4
#define TARGET_PCPU_UNIT (UINT64_C(64) << 10)

#endif
