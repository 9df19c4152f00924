/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The kind "mmap": a program that calls the system for every area and gives it back at once. No guard page:
 * that would take another call.
 *
 * Calls are counted as they are made; munmap is the one that flushes TLBs.
 */
#define _GNU_SOURCE
#include "target.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct mapper {
    _Atomic uint64_t calls;
    _Atomic uint64_t unmaps; /* part of `calls` */
};

struct mapped_frames {
    int file;
};

static void *pointer_of(uint64_t addr)
{
    return (void *)(uintptr_t)addr;
}

static void count(struct mapper *mapper, bool unmaps)
{
    atomic_fetch_add_explicit(&mapper->calls, 1, memory_order_relaxed);
    if (unmaps)
        atomic_fetch_add_explicit(&mapper->unmaps, 1, memory_order_relaxed);
}

static enum kva_status mapper_create(const struct target_kind *kind, struct target_range *range, void **state)
{
    struct mapper *mapper = calloc(1, sizeof(*mapper));
    (void)kind;
    if (mapper == NULL)
        return KVA_ENOMEM;
    range->first = 0; /* any address */
    range->last = UINT64_MAX;
    *state = mapper;
    return KVA_OK;
}

static enum kva_status mapper_destroy(void *state)
{
    free(state);
    return KVA_OK;
}

static enum kva_status map_anonymous(struct mapper *mapper, uint64_t size, int flags, uint64_t *addr)
{
    void *mapping =
        mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    count(mapper, false);
    if (mapping == MAP_FAILED)
        return KVA_ENOMEM;
    *addr = (uintptr_t)mapping;
    return KVA_OK;
}

static enum kva_status mapper_free(void *state, uint64_t addr, uint64_t size)
{
    count(state, true);
    return munmap(pointer_of(addr), (size_t)size) == 0 ? KVA_OK : KVA_EUNKNOWN;
}

/* mmap aligns to pages. For larger alignments, map `align` bytes more, and unmap both ends.
 *
 *      |-- before --|==== size ====|-- after --|        before + after = align
 *
 * MAP_NORESERVE: most of the mapping is unmapped at once. */
static enum kva_status map_aligned(struct mapper *mapper, uint64_t size, uint64_t align, uint64_t *addr)
{
    uint64_t whole;
    if (size > UINT64_MAX - align)
        return KVA_ENOSPC;
    enum kva_status status = map_anonymous(mapper, size + align, MAP_NORESERVE, &whole);
    if (status != KVA_OK)
        return status;
    uint64_t before = (0 - whole) & (align - 1);
    *addr = whole + before;
    if (before > 0)
        mapper_free(mapper, whole, before);
    mapper_free(mapper, *addr + size, align - before);
    return KVA_OK;
}

static enum kva_status mapper_alloc(void *state, uint64_t size, uint64_t align, unsigned flags,
                                    uint64_t *addr)
{
    (void)flags;
    return align <= TARGET_PAGE ? map_anonymous(state, size, 0, addr) : map_aligned(state, size, align, addr);
}

#if defined(__SANITIZE_THREAD__)
/* ThreadSanitizer sees mmap and munmap, but not mremap: if one mapping moves to where another thread's
 * mapping was, it would report a data race. */
static void *move_mapping(void *from, size_t size, size_t to)
{
    void *mapping = mmap(NULL, to, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED)
        return mapping;
    memcpy(mapping, from, size < to ? size : to);
    munmap(from, size);
    return mapping;
}
#else
static void *move_mapping(void *from, size_t size, size_t to)
{
    return mremap(from, size, to, MREMAP_MAYMOVE);
}
#endif

static enum kva_status mapper_resize(void *state, uint64_t addr, uint64_t from, uint64_t to, uint64_t *moved)
{
    void *mapping = move_mapping(pointer_of(addr), (size_t)from, (size_t)to);
    count(state, to < from);
    if (mapping == MAP_FAILED)
        return KVA_ENOMEM;
    *moved = (uintptr_t)mapping;
    return KVA_OK;
}

static enum kva_status mapper_frames_take(void *state, uint64_t count, void **frames)
{
    struct mapped_frames *own = malloc(sizeof(*own));
    (void)state;
    if (own == NULL)
        return KVA_ENOMEM;
    own->file = memfd_create("kva test", MFD_CLOEXEC);
    if (own->file >= 0 && ftruncate(own->file, (off_t)(count * TARGET_PAGE)) == 0) {
        *frames = own;
        return KVA_OK;
    }
    if (own->file >= 0)
        close(own->file);
    free(own);
    return KVA_ENOMEM;
}

static enum kva_status mapper_frames_give(void *state, void *frames)
{
    struct mapped_frames *own = frames;
    (void)state;
    close(own->file);
    free(own);
    return KVA_OK;
}

static enum kva_status mapper_map(void *state, void *frames, uint64_t first, uint64_t count_of_frames,
                                  uint64_t *addr)
{
    struct mapped_frames *own = frames;
    void *mapping = mmap(NULL, (size_t)(count_of_frames * TARGET_PAGE), PROT_READ | PROT_WRITE, MAP_SHARED,
                         own->file, (off_t)(first * TARGET_PAGE));
    count(state, false);
    if (mapping == MAP_FAILED)
        return KVA_ENOMEM;
    *addr = (uintptr_t)mapping;
    return KVA_OK;
}

static enum kva_status mapper_unmap(void *state, uint64_t addr, uint64_t count_of_frames)
{
    return mapper_free(state, addr, count_of_frames * TARGET_PAGE);
}

static bool mapper_calls(void *state, struct target_calls *calls)
{
    struct mapper *mapper = state;
    calls->all = atomic_load_explicit(&mapper->calls, memory_order_relaxed);
    calls->flushing = atomic_load_explicit(&mapper->unmaps, memory_order_relaxed);
    return true;
}

void target_kind_of_mmap(struct target_kind *kind)
{
    *kind = (struct target_kind){
        .name = "mmap",
        .about = "the system: mmap for each area, munmap at once, no guard page",
        .memory = TARGET_PAGES,
        .locks = true,
        .abilities = TARGET_CAN_LATER | TARGET_CAN_MAP | TARGET_CAN_RESIZE,
        .cannot = "128: cannot map areas at fixed distances; 2048: cannot promise not to wait",
        .create = mapper_create,
        .destroy = mapper_destroy,
        .alloc = mapper_alloc,
        .free = mapper_free,
        .resize = mapper_resize,
        .frames_take = mapper_frames_take,
        .frames_give = mapper_frames_give,
        .map = mapper_map,
        .unmap = mapper_unmap,
        .calls = mapper_calls,
    };
}
