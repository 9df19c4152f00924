/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The heap is one array. A block is never reused, so no call waits and no block is cleared:
 *
 *      | size | block | size | block          |  untouched, zero ...
 *                                             ^ taken
 */
#define _GNU_SOURCE
#include "heap.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HEAP_BYTES = 32 << 20, LEAST_ALIGN = _Alignof(max_align_t) };

static _Alignas(max_align_t) char heap[HEAP_BYTES];
static atomic_size_t taken;

/** Shared with children. The names are literals, which have the same address in each process. */
static struct notes {
    atomic_uint count;
    _Atomic(const char *) first;
} * notes;

static _Thread_local bool is_watched;

void heap_init(void)
{
    void *shared = mmap(NULL, sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (shared == MAP_FAILED)
        abort();
    notes = shared;
}

bool heap_watch(bool watched)
{
    bool before = is_watched;

    is_watched = watched;
    return before;
}

unsigned heap_noted(const char **first)
{
    *first = atomic_exchange(&notes->first, NULL);
    return atomic_exchange(&notes->count, 0);
}

static void note(const char *name)
{
    const char *none = NULL;

    if (!is_watched)
        return;
    atomic_fetch_add(&notes->count, 1);
    (void)atomic_compare_exchange_strong(&notes->first, &none, name);
}

/* ----------------------------------------------------------------------------------------------- the heap */

/** The size of a block is stored before it. */
static void *take(size_t bytes, size_t align)
{
    size_t room;

    if (bytes > HEAP_BYTES || align > HEAP_BYTES) {
        errno = ENOMEM;
        return NULL;
    }
    room = LEAST_ALIGN + align + (bytes + LEAST_ALIGN - 1) / LEAST_ALIGN * LEAST_ALIGN;
    size_t at = atomic_fetch_add(&taken, room);
    if (at > HEAP_BYTES - room) {
        errno = ENOMEM;
        return NULL;
    }
    char *block = heap + at + LEAST_ALIGN;
    block += -(uintptr_t)block & (align - 1);
    memcpy(block - sizeof bytes, &bytes, sizeof bytes);
    return block;
}

void *malloc(size_t bytes)
{
    note("malloc");
    return take(bytes, LEAST_ALIGN);
}

void *calloc(size_t count, size_t bytes)
{
    note("calloc");
    return bytes != 0 && count > HEAP_BYTES / bytes ? NULL : take(count * bytes, LEAST_ALIGN);
}

void *realloc(void *block, size_t bytes)
{
    size_t before = 0;

    note("realloc");
    void *moved = take(bytes, LEAST_ALIGN);
    if (block)
        memcpy(&before, (char *)block - sizeof before, sizeof before);
    if (moved && block)
        memcpy(moved, block, before < bytes ? before : bytes);
    return moved;
}

void free(void *block)
{
    if (block)
        note("free");
}

void *aligned_alloc(size_t align, size_t bytes)
{
    note("aligned_alloc");
    return take(bytes, align > LEAST_ALIGN ? align : LEAST_ALIGN);
}

void *memalign(size_t align, size_t bytes);
void *memalign(size_t align, size_t bytes)
{
    note("memalign");
    return take(bytes, align > LEAST_ALIGN ? align : LEAST_ALIGN);
}

int posix_memalign(void **block, size_t align, size_t bytes)
{
    note("posix_memalign");
    *block = take(bytes, align > LEAST_ALIGN ? align : LEAST_ALIGN);
    return *block ? 0 : ENOMEM;
}

/* ------------------------------------------------------------- functions that take memory or locks inside */

int dladdr(const void *address, Dl_info *info)
{
    (void)address;
    (void)info;
    note("dladdr");
    return 0;
}

DIR *opendir(const char *path)
{
    DIR *(*next)(const char *) = (DIR * (*)(const char *))(uintptr_t)dlsym(RTLD_NEXT, "opendir");

    note("opendir");
    return next(path);
}

static FILE *open_next(const char *name, const char *path, const char *mode)
{
    FILE *(*next)(const char *, const char *) =
        (FILE * (*)(const char *, const char *))(uintptr_t)dlsym(RTLD_NEXT, name);

    return next(path, mode);
}

FILE *fopen(const char *path, const char *mode)
{
    note("fopen");
    return open_next("fopen", path, mode);
}

#ifndef fopen64 /* in musl it is another name of fopen */
FILE *fopen64(const char *path, const char *mode)
{
    note("fopen64");
    return open_next("fopen64", path, mode);
}
#endif
