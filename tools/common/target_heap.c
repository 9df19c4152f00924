/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The kinds "malloc", "jemalloc" and "mimalloc": heaps that allocate page-aligned memory. None has guard
 * pages.
 *
 * jemalloc and mimalloc are loaded on demand, if installed, and do not replace the program's malloc
 * (RTLD_LOCAL).
 *
 * STATIC TLS. Distributions build jemalloc with some kilobytes of static thread-local storage. The C library
 * sets little of it aside for libraries that are loaded later; dlopen then fails with "cannot allocate memory
 * in static TLS block". The amount is fixed at program start (glibc.rtld.optional_static_tls), so the program
 * restarts itself with more.
 */
#define _GNU_SOURCE
#include "target.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A heap's functions. `resize` keeps the contents and the alignment to pages; NULL: none. */
struct heap {
    void *(*alloc)(uint64_t size, uint64_t align);
    void (*free)(void *memory);
    void *(*resize)(void *memory, uint64_t size);
};

static void *pointer_of(uint64_t addr)
{
    return (void *)(uintptr_t)addr;
}

static enum kva_status heap_open(const struct heap *heap, struct target_range *range, void **state)
{
    range->first = 0; /* any address */
    range->last = UINT64_MAX;
    *state = (void *)(uintptr_t)heap; /* only read */
    return KVA_OK;
}

static enum kva_status heap_destroy(void *state)
{
    (void)state; /* the state is a table of functions */
    return KVA_OK;
}

static enum kva_status heap_alloc(void *state, uint64_t size, uint64_t align, unsigned flags, uint64_t *addr)
{
    const struct heap *heap = state;
    (void)flags;
    void *memory = heap->alloc(size, align < TARGET_PAGE ? TARGET_PAGE : align);
    if (memory == NULL)
        return KVA_ENOMEM;
    *addr = (uintptr_t)memory;
    return KVA_OK;
}

static enum kva_status heap_free(void *state, uint64_t addr, uint64_t size)
{
    const struct heap *heap = state;
    (void)size;
    heap->free(pointer_of(addr));
    return KVA_OK;
}

static enum kva_status heap_resize(void *state, uint64_t addr, uint64_t from, uint64_t to, uint64_t *moved)
{
    const struct heap *heap = state;
    (void)from;
    void *memory = heap->resize(pointer_of(addr), to);
    if (memory == NULL)
        return KVA_ENOMEM;
    *moved = (uintptr_t)memory;
    return KVA_OK;
}

/* The common part of all heaps. */
static const struct target_kind heap_kind = {
    .memory = TARGET_PAGES,
    .locks = true,
    .abilities = TARGET_CAN_LATER,
    .destroy = heap_destroy,
    .alloc = heap_alloc,
    .free = heap_free,
};

#define NO_FRAMES "128, 1024: has no areas at fixed distances and no frames; 2048: cannot promise not to wait"

/* ------------------------------------------------------------------------------ the C library's allocator */

/* A sanitizer marks each byte before an aligned block, and runs out of memory before malloc fails. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MALLOC_MOST_ALIGN (UINT64_C(1) << 26)
#else
#define MALLOC_MOST_ALIGN UINT64_MAX
#endif

/* Not aligned_alloc: C11 requires sizes that are multiples of the alignment. */
static void *malloc_alloc(uint64_t size, uint64_t align)
{
    void *memory;
    bool refused = align > MALLOC_MOST_ALIGN || posix_memalign(&memory, (size_t)align, (size_t)size) != 0;
    return refused ? NULL : memory;
}

static const struct heap malloc_heap = {malloc_alloc, free, NULL};

static enum kva_status malloc_create(const struct target_kind *kind, struct target_range *range, void **state)
{
    (void)kind;
    return heap_open(&malloc_heap, range, state);
}

void target_kind_of_malloc(struct target_kind *kind)
{
    *kind = heap_kind;
    kind->name = "malloc";
    kind->about = "the C library's posix_memalign";
    kind->cannot = NO_FRAMES "; 4096: its realloc keeps no alignment";
    kind->create = malloc_create;
}

/* --------------------------------------------------------------------------------------- loaded libraries */

#if defined(__SANITIZE_THREAD__)

/* ThreadSanitizer does not see how these libraries pass memory between threads and would report data
 * races. So they count as not installed under it. */
static void *open_library(const char *name)
{
    (void)name;
    return NULL;
}

#else

#define STATIC_TLS "glibc.rtld.optional_static_tls="
#define TUNABLES "GLIBC_TUNABLES"

/* jemalloc 5.3 takes 2.6 KiB. */
#define STATIC_TLS_BYTES "16384"

/* The words of the command line that this program was started with; NULL if the system does not report them.
 * They are never freed. */
static char **own_arguments(void)
{
    FILE *file = fopen("/proc/self/cmdline", "r");
    char *text = NULL;
    size_t room = 0, count = 0;
    char **arguments = NULL;
    while (file != NULL && getdelim(&text, &room, '\0', file) > 0) {
        char **more = realloc(arguments, (count + 2) * sizeof(*more));
        if (more == NULL)
            break;
        arguments = more;
        arguments[count++] = text;
        arguments[count] = NULL;
        text = NULL;
        room = 0;
    }
    if (file != NULL)
        fclose(file);
    free(text);
    return arguments;
}

/* Restart this program with more static TLS, unless that was done already. Returns only on failure. */
static void start_again_with_room(void)
{
    char value[1024];
    const char *old = getenv(TUNABLES);
    if (old != NULL && strstr(old, STATIC_TLS) != NULL)
        return;
    int length = snprintf(value, sizeof(value), "%s%s" STATIC_TLS STATIC_TLS_BYTES, old == NULL ? "" : old,
                          old == NULL ? "" : ":");
    char **arguments = own_arguments();
    if (arguments != NULL && length < (int)sizeof(value) && setenv(TUNABLES, value, 1) == 0)
        execv("/proc/self/exe", arguments);
}

static void *open_library(const char *name)
{
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library != NULL)
        return library;
    const char *why = dlerror();
    if (why != NULL && strstr(why, "static TLS") != NULL)
        start_again_with_room();
    return NULL;
}

#endif

/* Copy the address of a function into the pointer at `function`: C has no cast for it. False: not found. */
static bool find_function(void *library, const char *name, void *function)
{
    void *address = dlsym(library, name);
    memcpy(function, &address, sizeof(address));
    return address != NULL;
}

/* jemalloc's flags encode an alignment of 2^n as n. */
static struct {
    void *(*mallocx)(size_t size, int flags);
    void *(*rallocx)(void *memory, size_t size, int flags);
    void (*dallocx)(void *memory, int flags);
} jemalloc;

static void *jemalloc_alloc(uint64_t size, uint64_t align)
{
    return jemalloc.mallocx((size_t)size, __builtin_ctzll(align));
}

static void jemalloc_free(void *memory)
{
    jemalloc.dallocx(memory, 0);
}

static void *jemalloc_resize(void *memory, uint64_t size)
{
    return jemalloc.rallocx(memory, (size_t)size, __builtin_ctzll(TARGET_PAGE));
}

static const struct heap jemalloc_heap = {jemalloc_alloc, jemalloc_free, jemalloc_resize};

static enum kva_status jemalloc_create(const struct target_kind *kind, struct target_range *range,
                                       void **state)
{
    (void)kind;
    return heap_open(&jemalloc_heap, range, state);
}

static bool jemalloc_open(void)
{
    if (jemalloc.mallocx != NULL)
        return true;
    void *library = open_library("libjemalloc.so.2");
    return library != NULL && find_function(library, "dallocx", &jemalloc.dallocx) &&
           find_function(library, "rallocx", &jemalloc.rallocx) &&
           find_function(library, "mallocx", &jemalloc.mallocx);
}

void target_kind_of_jemalloc(struct target_kind *kind)
{
    *kind = heap_kind;
    kind->name = "jemalloc";
    kind->about = "jemalloc's mallocx";
    kind->abilities |= TARGET_CAN_RESIZE;
    kind->cannot = NO_FRAMES;
    kind->open = jemalloc_open;
    kind->create = jemalloc_create;
    kind->resize = heap_resize;
}

static struct {
    void *(*alloc)(size_t size, size_t align);
    void *(*realloc)(void *memory, size_t size, size_t align);
    void (*free)(void *memory);
} mimalloc;

static void *mimalloc_alloc(uint64_t size, uint64_t align)
{
    return mimalloc.alloc((size_t)size, (size_t)align);
}

static void mimalloc_free(void *memory)
{
    mimalloc.free(memory);
}

static void *mimalloc_resize(void *memory, uint64_t size)
{
    return mimalloc.realloc(memory, (size_t)size, TARGET_PAGE);
}

static const struct heap mimalloc_heap = {mimalloc_alloc, mimalloc_free, mimalloc_resize};

static enum kva_status mimalloc_create(const struct target_kind *kind, struct target_range *range,
                                       void **state)
{
    (void)kind;
    return heap_open(&mimalloc_heap, range, state);
}

static bool mimalloc_open(void)
{
    if (mimalloc.alloc != NULL)
        return true;
    void *library = open_library("libmimalloc.so.2");
    return library != NULL && find_function(library, "mi_free", &mimalloc.free) &&
           find_function(library, "mi_realloc_aligned", &mimalloc.realloc) &&
           find_function(library, "mi_malloc_aligned", &mimalloc.alloc);
}

void target_kind_of_mimalloc(struct target_kind *kind)
{
    *kind = heap_kind;
    kind->name = "mimalloc";
    kind->about = "mimalloc's mi_malloc_aligned";
    kind->abilities |= TARGET_CAN_RESIZE;
    kind->cannot = NO_FRAMES;
    kind->open = mimalloc_open;
    kind->create = mimalloc_create;
    kind->resize = heap_resize;
}
