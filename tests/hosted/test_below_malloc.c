/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva below a malloc: with a memory source of the caller's, no function calls the heap, stdio or the dynamic
 * linker.
 *
 * The heap is this program's (heap.h), which records its callers. The library is the shared one, loaded by
 * dlopen, so that threads exist that are older than its thread-local data. Each scene runs in the main
 * thread, in a thread that is older than the library, and in new threads. The last test reads the headers:
 * every function in them must have been called.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kva/deferred.h>
#include <kva/engine.h>
#include <kva/evict.h>
#include <kva/pcpu.h>
#include <kva/ranges.h>
#include <kva/report.h>
#include <kva/threads.h>
#include <kva/vmap.h>

#include "heap.h"

#define MIB (UINT64_C(1) << 20)

/* -------------------------------------------------------------------------------------------- the library */

static void *library;

/** The findings of the scenes, shared with children: texts are literals, which have the same address in each
 * process. */
static struct found {
    /** A symbol that was looked up in the library: a function, in order to call it, or an engine. */
    struct symbol {
        const char *name;
        void *address;
    } symbols[256];
    size_t symbol_count;

    /** The first expectation that failed. */
    const char *unmet; /* NULL: none */
    int line;
} * found;

static struct symbol *find_symbol(const char *name)
{
    size_t i = 0;

    while (i < found->symbol_count && strcmp(found->symbols[i].name, name) != 0)
        i++;
    return i < found->symbol_count ? &found->symbols[i] : NULL;
}

/** The dynamic linker may use the heap: this program causes that, and it is not recorded. Threads take turns
 * here. */
static void *symbol(const char *name)
{
    const size_t most = sizeof found->symbols / sizeof found->symbols[0];
    struct symbol *known = find_symbol(name);

    if (known)
        return known->address;
    bool watched = heap_watch(false);
    void *address = dlsym(library, name);
    if (!address || found->symbol_count == most)
        abort();
    found->symbols[found->symbol_count++] = (struct symbol){name, address};
    (void)heap_watch(watched);
    return address;
}

/** A public function, as the header declares it. */
#define CALL(name) ((__typeof__(&name))(uintptr_t)symbol(#name))

static void note_unmet(int line, const char *text)
{
    if (found->unmet)
        return;
    found->line = line;
    found->unmet = text;
}

/* A thread other than cmocka's, and a child, must not end a test: they record the failure. */
#define EXPECT(condition)                                                                                    \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            note_unmet(__LINE__, #condition);                                                                \
    } while (0)
#define EXPECT_OK(call) EXPECT((call) == KVA_OK)

/* --------------------------------------------------------------------------------------- the surroundings */

/** Memory directly from the system, and the number of bytes outstanding. */
static _Atomic size_t bytes_out;

static void *take(void *context, size_t bytes)
{
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)context;
    if (block == MAP_FAILED)
        return NULL;
    bytes_out += bytes;
    return block;
}

static void give(void *context, void *block, size_t bytes)
{
    (void)context;
    bytes_out -= bytes;
    (void)munmap(block, bytes);
}

static const struct kva_memory memory = {take, give, NULL};

/** The objects that the scenes use. */
struct stage {
    const struct kva_engine *engine;
    enum kva_mechanism mechanism;
    bool threads;
    bool window; /* all addresses but one: its place is searched for in the list of mappings */
    bool hardened;
};

static void count_line(void *context, const char *text, size_t length)
{
    (void)text;
    *(size_t *)context += length;
}

/** A flush callback that walks the ranges; its context points to a pointer to the space. */
static void list_ranges(void *context, uint64_t start, uint64_t last)
{
    struct kva_space *const *space = context;
    struct kva_segment range;
    enum kva_status status = CALL(kva_flush_first)(*space, &range);

    EXPECT(status == KVA_OK && range.start == start);
    for (; status == KVA_OK; status = CALL(kva_flush_next)(*space, &range))
        EXPECT(range.last <= last);
}

/* ------------------------------------------------------------------------------------------------- spaces */

static bool refuse_space(void *context, struct kva_space *space, const struct kva_request *request)
{
    (void)space;
    (void)request;
    ++*(unsigned *)context;
    return false;
}

static void play_ranges(struct kva_space *space)
{
    static const struct kva_part parts[] = {{0, 4096}, {65536, 4096}};
    struct kva_request request = kva_request_of(4096);
    uint64_t start[200];
    uint64_t base;

    EXPECT_OK(CALL(kva_preload)(space, 10));
    for (size_t i = 0; i < 200; i++) {
        request.size = 4096 * (1 + i % 7);
        EXPECT_OK(CALL(kva_alloc)(space, &request, &start[i]));
    }
    EXPECT_OK(CALL(kva_alloc_congruent)(space, &request, parts, 2, &base));
    EXPECT_OK(CALL(kva_free)(space, base));
    EXPECT_OK(CALL(kva_free)(space, base + 65536));
    EXPECT_OK(CALL(kva_reserve)(space, 512 * MIB, MIB, NULL, NULL));
    EXPECT_OK(CALL(kva_resize)(space, 512 * MIB, 2 * MIB));
    EXPECT_OK(CALL(kva_free_range)(space, 512 * MIB, MIB));
    EXPECT_OK(CALL(kva_free)(space, 513 * MIB));
    for (size_t i = 0; i < 200; i++) {
        EXPECT_OK(i % 2 == 0 ? CALL(kva_free)(space, start[i]) : CALL(kva_free_deferred)(space, start[i]));
    }
    EXPECT_OK(CALL(kva_flush)(space));
}

static void look_at(struct kva_space *space)
{
    struct kva_segment segment;
    struct kva_stats stats;
    struct kva_fault fault;
    size_t length = 0;

    EXPECT_OK(CALL(kva_find)(space, 4096, &segment));
    EXPECT_OK(CALL(kva_first)(space, &segment));
    while (CALL(kva_next)(space, &segment) == KVA_OK)
        EXPECT(segment.start <= segment.last);
    EXPECT_OK(CALL(kva_stats_read)(space, &stats));
    EXPECT_OK(CALL(kva_space_check)(space, &fault));
    EXPECT_OK(CALL(kva_space_dump)(space, count_line, &length));
    EXPECT(length > 0);
}

static void walk(struct kva_space *space)
{
    enum kva_status status;
    struct kva_segment segment;

    for (status = CALL(kva_last)(space, &segment); status == KVA_OK; status = CALL(kva_prev)(space, &segment))
        EXPECT(segment.start <= segment.last);
    EXPECT_OK(CALL(kva_first_hole)(space, 4096, &segment));
    EXPECT(CALL(kva_next_hole)(space, UINT64_MAX, &segment) == KVA_ENOENT);
    EXPECT_OK(CALL(kva_last_hole)(space, 4096, &segment));
    EXPECT(CALL(kva_prev_hole)(space, UINT64_MAX, &segment) == KVA_ENOENT);
    EXPECT_OK(CALL(kva_first_in)(space, 0, UINT64_MAX, &segment));
    while (CALL(kva_next_in)(space, UINT64_MAX, &segment) == KVA_OK)
        EXPECT(segment.start <= segment.last);
}

/** The calls of kva/ranges.h on segments and regions. */
static void play_changes(struct kva_space *space)
{
    uint64_t bytes = 0;

    EXPECT_OK(CALL(kva_reserve)(space, 512 * MIB, MIB, NULL, NULL));
    EXPECT_OK(CALL(kva_split)(space, 512 * MIB + 4096));
    EXPECT_OK(CALL(kva_join)(space, 512 * MIB));
    EXPECT_OK(CALL(kva_set_owner)(space, 512 * MIB, space));
    EXPECT_OK(CALL(kva_move)(space, 512 * MIB, 600 * MIB, NULL));
    EXPECT_OK(CALL(kva_reserve_over)(space, 600 * MIB - 4096, 8192, NULL, &bytes));
    EXPECT(bytes == 4096);
    EXPECT_OK(CALL(kva_free_sized)(space, 600 * MIB - 4096, 8192));
    EXPECT_OK(CALL(kva_clear)(space, 600 * MIB, MIB, &bytes));
    EXPECT(bytes == MIB - 4096);
    EXPECT_OK(CALL(kva_space_remove)(space, 700 * MIB, 2 * MIB));
    EXPECT_OK(CALL(kva_space_add)(space, 700 * MIB, 2 * MIB));
    EXPECT_OK(CALL(kva_space_shrink)(space, 0, 1000 * MIB - 1));
}

static void play_eviction(struct kva_space *space)
{
    struct kva_request request = {.size = 2 * MIB, .min = 800 * MIB, .max = 802 * MIB - 1};
    struct kva_eviction eviction;
    struct kva_candidate candidate;
    uint64_t start;

    EXPECT_OK(CALL(kva_search)(space, &request, &start));
    EXPECT_OK(CALL(kva_reserve)(space, 801 * MIB, 4096, NULL, NULL));
    EXPECT_OK(CALL(kva_evict_begin)(space, &request, &eviction));
    EXPECT_OK(CALL(kva_evict_add)(&eviction, &candidate, 801 * MIB));
    EXPECT(CALL(kva_evict_first)(&eviction) == &candidate);
    EXPECT(!CALL(kva_evict_next)(&eviction, &candidate));
    EXPECT_OK(CALL(kva_evict_finish)(&eviction, &start));
    EXPECT(start == 800 * MIB);
    EXPECT_OK(CALL(kva_free)(space, start));
}

static void play_shortage(struct kva_space *space)
{
    unsigned asked = 0;
    struct kva_reclaim reclaim = {.callback = refuse_space, .context = &asked};
    struct kva_request request = kva_request_of(UINT64_C(1) << 60);
    uint64_t start;

    EXPECT_OK(CALL(kva_reclaim_add)(space, &reclaim));
    EXPECT(CALL(kva_alloc)(space, &request, &start) == KVA_ENOSPC);
    EXPECT(asked == 1);
    EXPECT_OK(CALL(kva_reclaim_remove)(space, &reclaim));
    EXPECT_OK(CALL(kva_pools_drain)(space));
    EXPECT_OK(CALL(kva_set_deferred_limit)(space, 4 * MIB));
    EXPECT_OK(CALL(kva_space_grow)(space, 0, 2048 * MIB - 1));
}

/** `listed` is the flush callback's context. */
static void play_space(struct kva_space *space, struct kva_space **listed)
{
    *listed = space;
    play_ranges(space);
    look_at(space);
    walk(space);
    play_changes(space);
    play_eviction(space);
    play_shortage(space);
    EXPECT_OK(CALL(kva_space_reset)(space));
    EXPECT_OK(CALL(kva_space_fork_prepare)(space));
    EXPECT_OK(CALL(kva_space_fork_parent)(space));
}

static struct kva_config config_of_space(const struct stage *stage)
{
    struct kva_config config = {
        .last = 1024 * MIB - 1,
        .quantum = 4096,
        .engine = stage->engine,
        .memory = memory,
        .flush = list_ranges,
        .threads = stage->threads ? CALL(kva_threads_host)() : NULL,
        .pool_bytes = stage->window ? 4 * MIB : 0, /* on half of the stages */
    };

    return config;
}

static void play_made_space(const struct kva_config *config)
{
    struct kva_space *space;

    if (CALL(kva_space_create)(config, &space) != KVA_OK) {
        note_unmet(__LINE__, "kva_space_create");
        return;
    }
    play_space(space, config->flush_context);
    EXPECT_OK(CALL(kva_space_destroy)(space));
}

/** In the caller's memory, with nodes in a block. */
static void play_space_in_place(struct kva_config config)
{
    struct kva_space space;
    struct kva_arena arena;
    void *block = take(NULL, MIB);

    config.memory = CALL(kva_arena_init)(&arena, block, MIB);
    EXPECT_OK(CALL(kva_space_init)(&space, &config));
    play_space(&space, config.flush_context);
    EXPECT_OK(CALL(kva_space_fork_child)(&space)); /* no fork happened: nothing forbids this call */
    EXPECT_OK(CALL(kva_space_fini)(&space));
    EXPECT_OK(CALL(kva_space_init)(&space, &config));
    EXPECT_OK(CALL(kva_space_abandon)(&space));
    give(NULL, block, MIB);
}

static void play_spaces(const struct stage *stage)
{
    struct kva_config config = config_of_space(stage);
    struct kva_space *listed = NULL;

    config.flush_context = &listed;
    play_made_space(&config);
    play_space_in_place(config);
}

/* ---------------------------------------------------------------------------------------------- instances */

static struct kva_later *waiting; /* for the end of a grace period */

static void after(void *context, struct kva_later *record)
{
    (void)context;
    waiting = record;
}

static bool refuse_instance(void *context, struct kva_vm *vm, size_t size)
{
    (void)vm;
    (void)size;
    ++*(unsigned *)context;
    return false;
}

static void play_areas(struct kva_vm *vm)
{
    struct kva_vm_request request = kva_vm_request_of(10000);
    void *kept[300];
    void *memory_of;
    void *area;

    for (size_t i = 0; i < 300; i++) {
        kept[i] = CALL(kva_vmalloc)(vm, 4096 * (1 + i % 100));
        EXPECT(kept[i]);
    }
    for (size_t i = 0; i < 300; i++)
        EXPECT_OK(CALL(kva_vfree)(vm, kept[i]));
    EXPECT_OK(CALL(kva_vm_alloc)(vm, &request, &memory_of));
    EXPECT_OK(CALL(kva_vm_realloc)(vm, memory_of, 500000, 0, &memory_of));
    area = CALL(kva_vrealloc)(vm, memory_of, 5000, KVA_VM_ZERO);
    EXPECT(CALL(kva_vm_usable_size)(vm, area) >= 5000);
    EXPECT_OK(CALL(kva_vfree)(vm, area));
    request.node = (struct kva_vm_nodes){KVA_VM_NODES_INTERLEAVED, 1};
    EXPECT_OK(CALL(kva_vm_alloc)(vm, &request, &memory_of));
    EXPECT_OK(CALL(kva_vm_mark_foreign)(vm, memory_of));
    EXPECT_OK(CALL(kva_vfree)(vm, memory_of));
    EXPECT_OK(CALL(kva_vfree)(vm, CALL(kva_vzalloc)(vm, 9000)));
    EXPECT_OK(CALL(kva_vfree)(vm, CALL(kva_vmalloc_huge)(vm, 4 * MIB)));
    EXPECT_OK(CALL(kva_vfree)(vm, CALL(kva_vmalloc_aligned)(vm, 9000, 65536)));
}

static void play_parts(struct kva_vm *vm)
{
    static const struct kva_part parts[] = {{0, 4096}, {MIB, 4096}};
    struct kva_vm_request request = kva_vm_request_of(0);
    void *both[2];

    EXPECT_OK(CALL(kva_vm_alloc_congruent)(vm, &request, parts, 2, both));
    EXPECT_OK(CALL(kva_vfree_later)(vm, both[0], NULL));
    CALL(kva_vfree_ready)(waiting);
    EXPECT_OK(CALL(kva_vfree)(vm, both[1]));
}

static void play_frames(struct kva_vm *vm)
{
    struct kva_vm_frames *frames;
    uint64_t numbers[100];
    void *map;

    EXPECT_OK(CALL(kva_vm_frames_create)(vm, &(struct kva_vm_frames_config){.count = 1000}, &frames));
    EXPECT(CALL(kva_vm_frames_descriptor)(frames) >= 0);
    EXPECT_OK(CALL(kva_vm_frames_alloc)(frames, 100, numbers));
    EXPECT_OK(CALL(kva_vm_map)(vm, frames, numbers, 100, 0, &map));
    EXPECT_OK(CALL(kva_vunmap)(vm, map));
    EXPECT_OK(CALL(kva_vunmap)(vm, CALL(kva_vmap)(vm, frames, numbers, 3)));
    EXPECT_OK(CALL(kva_vm_map_ram)(vm, frames, numbers, 5, &map));
    EXPECT_OK(CALL(kva_unmap_ram)(vm, map));
    EXPECT_OK(CALL(kva_unmap_ram)(vm, CALL(kva_map_ram)(vm, frames, numbers + 5, 5)));
    EXPECT_OK(CALL(kva_vm_purge)(vm));
    EXPECT_OK(CALL(kva_vm_frames_free)(frames, numbers, 100));
    EXPECT_OK(CALL(kva_vm_frames_destroy)(frames));
}

static void see_line(void *context, const char *text, size_t length)
{
    (void)text;
    (void)length;
    ++*(unsigned *)context;
}

static void play_movable_frames(struct kva_vm *vm)
{
    const struct kva_vm_frames_config config = {.count = 2000, .movable = true};
    struct kva_vm_frames *frames;
    struct kva_frames_stats stats;
    struct kva_frames_compacted done;
    uint64_t numbers[1000];
    unsigned lines = 0;

    EXPECT_OK(CALL(kva_vm_frames_create)(vm, &config, &frames));
    EXPECT_OK(CALL(kva_vm_frames_alloc)(frames, 996, numbers));
    EXPECT_OK(CALL(kva_vm_frames_alloc_run)(frames, 4, 4, numbers + 996));
    void *map = CALL(kva_vmap)(vm, frames, numbers + 990, 10);
    EXPECT_OK(CALL(kva_vm_frames_free)(frames, numbers, 990));
    EXPECT_OK(CALL(kva_vm_pin)(vm, map, 1));
    EXPECT_OK(CALL(kva_vm_unpin)(vm, map, 1));
    EXPECT_OK(CALL(kva_vm_frames_compact)(frames, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX, &done));
    EXPECT_OK(CALL(kva_vm_frames_stats_read)(frames, &stats));
    EXPECT_OK(CALL(kva_vm_frames_picture)(frames, see_line, &lines));
    EXPECT(stats.used_frames == 10 && lines > 0);
    EXPECT_OK(CALL(kva_vunmap)(vm, map));
    EXPECT_OK(CALL(kva_vm_frames_free)(frames, numbers + 990, 10));
    EXPECT_OK(CALL(kva_vm_frames_destroy)(frames));
}

static void play_per_cpu(struct kva_vm *vm)
{
    static const struct kva_vm_nodes nodes = {KVA_VM_NODES_PREFERRED, 1};
    const struct kva_pcpu_config config = {.nodes = &nodes};
    struct kva_pcpu *pcpu;
    void *object[50];

    EXPECT_OK(CALL(kva_pcpu_create)(vm, &config, &pcpu));
    for (size_t i = 0; i < 50; i++)
        EXPECT_OK(CALL(kva_pcpu_alloc)(pcpu, 5000, 16, &object[i]));
    EXPECT(CALL(kva_pcpu_of)(pcpu, object[7], 0) == object[7]);
    EXPECT(CALL(kva_pcpu_here)(pcpu, object[7]));
    for (size_t i = 0; i < 50; i++)
        EXPECT_OK(CALL(kva_pcpu_free)(pcpu, object[i]));
    EXPECT_OK(CALL(kva_pcpu_destroy)(pcpu));
}

/** The caller of an area is in this program and is printed as a number: no symbol is looked up. */
static void expect_a_number(void *context, const char *text, size_t length)
{
    const char *caller = strstr(text, " 9000 ");

    EXPECT(strlen(text) == length);
    if (!caller)
        return;
    EXPECT(strncmp(caller, " 9000 0x", 8) == 0);
    ++*(size_t *)context;
}

static void look_at_instance(struct kva_vm *vm)
{
    enum kva_status status;
    struct kva_vm_area area;
    struct kva_vm_stats stats;
    struct kva_fault fault;
    char text[256];
    size_t numbers = 0;
    void *kept = CALL(kva_vmalloc)(vm, 9000);

    EXPECT_OK(CALL(kva_vm_find)(vm, kept, &area));
    for (status = CALL(kva_vm_first)(vm, &area); status == KVA_OK; status = CALL(kva_vm_next)(vm, &area))
        EXPECT(area.start <= area.last);
    EXPECT_OK(CALL(kva_vm_report)(vm, expect_a_number, &numbers));
    EXPECT(numbers == 1);
    EXPECT_OK(CALL(kva_vm_stats_read)(vm, &stats));
    EXPECT_OK(CALL(kva_vm_check)(vm, &fault));
    EXPECT(CALL(kva_vm_space)(vm));
    EXPECT(CALL(kva_vm_fault_describe)(vm, (char *)kept - 1, true, text, sizeof text) > 0);
    EXPECT_OK(CALL(kva_vfree)(vm, kept));
}

static void play_shortage_of_room(struct kva_vm *vm)
{
    unsigned asked = 0;
    struct kva_vm_reclaim reclaim = {.callback = refuse_instance, .context = &asked};

    EXPECT_OK(CALL(kva_vm_reclaim_add)(vm, &reclaim));
    EXPECT(!CALL(kva_vmalloc)(vm, 900 * MIB));
    EXPECT(CALL(kva_vm_status)(vm) == KVA_ENOSPC);
    EXPECT(asked > 0);
    EXPECT_OK(CALL(kva_vm_reclaim_remove)(vm, &reclaim));
}

/** In a child: uses what its parent had, then faults; the report goes to /dev/null. */
_Noreturn static void use_and_fault(struct kva_vm *vm, char *guard)
{
    int nowhere = open("/dev/null", O_WRONLY);

    (void)signal(SIGSEGV, SIG_DFL); /* cmocka has handlers of its own */
    (void)signal(SIGBUS, SIG_DFL);
    EXPECT_OK(CALL(kva_vm_fork_child)(vm));
    play_areas(vm);
    EXPECT_OK(CALL(kva_fault_reporter_add)(vm));
    EXPECT_OK(CALL(kva_fault_reporter_remove)(vm));
    EXPECT_OK(CALL(kva_fault_reporter_add)(vm));
    EXPECT(dup2(nowhere, STDERR_FILENO) >= 0);
    *(volatile char *)guard = 1;
    _exit(0);
}

static void play_fork(struct kva_vm *vm)
{
    char *area = CALL(kva_vmalloc)(vm, 1);
    char *guard = area + CALL(kva_vm_usable_size)(vm, area);
    int how = 0;

    EXPECT_OK(CALL(kva_vm_fork_prepare)(vm));
    bool watched = heap_watch(false); /* the C library's part */
    pid_t child = fork();
    (void)heap_watch(watched);
    if (child == 0)
        use_and_fault(vm, guard);
    EXPECT_OK(CALL(kva_vm_fork_parent)(vm));
    EXPECT(waitpid(child, &how, 0) == child);
    EXPECT(WIFSIGNALED(how) && (WTERMSIG(how) == SIGSEGV || WTERMSIG(how) == SIGBUS));
    EXPECT_OK(CALL(kva_vfree)(vm, area));
}

static void play_instance(struct kva_vm *vm)
{
    play_areas(vm);
    play_parts(vm);
    play_frames(vm);
    play_movable_frames(vm);
    play_per_cpu(vm);
    look_at_instance(vm);
    play_shortage_of_room(vm);
    play_fork(vm);
    EXPECT_OK(CALL(kva_vm_purge)(vm));
}

static struct kva_vm_config config_of_instance(const struct stage *stage)
{
    struct kva_vm_config config = {
        .reservation = 256 * MIB,
        .max = stage->window ? UINTPTR_MAX / 2 : 0,
        .hardened = stage->hardened,
        .engine = stage->engine,
        .memory = memory,
        .pages = CALL(kva_pages_host)(stage->mechanism),
        .grace = {.after = after},
        .one_thread = !stage->threads,
    };

    return config;
}

static void play_instances(const struct stage *stage)
{
    struct kva_vm_config config = config_of_instance(stage);
    struct kva_vm *vm;

    enum kva_status status = CALL(kva_vm_create)(&config, &vm);
    if (status == KVA_ENOENT && stage->mechanism == KVA_MECHANISM_GUARDS)
        return; /* the kernel does not support it */
    EXPECT_OK(status);
    if (status != KVA_OK)
        return;
    play_instance(vm);
    EXPECT_OK(CALL(kva_vm_destroy)(vm, NULL, NULL));
    config.threads = CALL(kva_threads_host)();
    EXPECT_OK(CALL(kva_vm_create_from)(&config, &vm));
    void *live = CALL(kva_vmalloc)(vm, 1);
    EXPECT(live != NULL);
    EXPECT(CALL(kva_vm_destroy)(vm, NULL, NULL) == KVA_EBUSY);
    EXPECT_OK(CALL(kva_vm_abandon)(vm, NULL, NULL));
}

/* -------------------------------------------------------------------------------------------- page frames */

static void play_runs(struct kva_frames *frames)
{
    struct kva_frames_request request = {.type = KVA_MOVABLE};
    uint64_t firsts[200];
    uint64_t obstacle;
    uint64_t first;
    size_t done;

    EXPECT_OK(CALL(kva_frames_alloc_many)(frames, &request, 200, firsts));
    EXPECT_OK(CALL(kva_frames_free_many)(frames, firsts, 200, &done));
    EXPECT(done == 200);
    for (request.order = 0; request.order < 12; request.order++) {
        EXPECT_OK(CALL(kva_frames_alloc)(frames, &request, &first));
        EXPECT_OK(CALL(kva_frames_free)(frames, first));
    }
    request = (struct kva_frames_request){.count = 700, .max = 4000, .node = 1};
    EXPECT_OK(CALL(kva_frames_alloc)(frames, &request, &first));
    EXPECT(CALL(kva_frames_free)(frames, first + 1) == KVA_EINTERIOR);
    EXPECT_OK(CALL(kva_frames_free_range)(frames, first + 1, 698));
    EXPECT(CALL(kva_frames_reserve)(frames, first, 2, KVA_UNMOVABLE, &obstacle) == KVA_EEXIST);
    EXPECT_OK(CALL(kva_frames_free)(frames, first));
    EXPECT_OK(CALL(kva_frames_free)(frames, first + 699));
    EXPECT_OK(CALL(kva_frames_reserve)(frames, first, 700, KVA_UNMOVABLE, NULL));
    EXPECT_OK(CALL(kva_frames_split)(frames, first));
    for (uint64_t frame = first; frame < first + 700; frame++)
        EXPECT_OK(CALL(kva_frames_free)(frames, frame));
    EXPECT_OK(CALL(kva_frames_offline)(frames, first, 700, NULL));
    EXPECT_OK(CALL(kva_frames_online)(frames, first, 700, NULL));
    request = (struct kva_frames_request){.order = 40};
    EXPECT(CALL(kva_frames_alloc)(frames, &request, &first) == KVA_ENOSPC);
    EXPECT_OK(CALL(kva_frames_drain)(frames));
}

/** Move callback: no pointers to these frames exist, so it has nothing to update. */
static enum kva_frames_moved note_move(void *context, uint64_t from, uint64_t to, uint64_t count)
{
    (void)from;
    (void)count;
    *(uint64_t *)context = to;
    return KVA_FRAMES_MOVED;
}

static void play_moves(struct kva_frames *frames, const uint64_t *moved_to)
{
    struct kva_frames_compacted done;
    uint64_t obstacle;

    EXPECT_OK(CALL(kva_frames_reserve)(frames, 20 * 512 + 7, 1, KVA_MOVABLE, NULL));
    EXPECT_OK(CALL(kva_frames_reserve)(frames, 21 * 512, 300, KVA_MOVABLE, NULL));
    EXPECT_OK(
        CALL(kva_frames_compact)(frames, KVA_FRAMES_ALL_ZONES, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX, &done));
    EXPECT(done.moved_runs == 1 && *moved_to / 512 == 21);
    uint64_t first = *moved_to;
    EXPECT_OK(CALL(kva_frames_evacuate)(frames, first, 2, KVA_UNMOVABLE, &obstacle));
    EXPECT(*moved_to - first >= 2);
    EXPECT_OK(CALL(kva_frames_free)(frames, first));
    EXPECT_OK(CALL(kva_frames_free)(frames, *moved_to));
    EXPECT_OK(CALL(kva_frames_free)(frames, 21 * 512));
}

static void look_at_frames(struct kva_frames *frames)
{
    struct kva_frames_orders orders;
    struct kva_frames_found at;
    struct kva_frames_stats stats;
    struct kva_fault fault;
    size_t length = 0;

    EXPECT_OK(CALL(kva_frames_find)(frames, 4096, &at));
    EXPECT_OK(CALL(kva_frames_stats_read)(frames, KVA_FRAMES_ALL_ZONES, &stats));
    EXPECT_OK(CALL(kva_frames_orders_read)(frames, KVA_FRAMES_ALL_ZONES, &orders));
    EXPECT(CALL(kva_frames_unusable)(&orders, 9) < 1000);
    EXPECT(CALL(kva_frames_fragmentation)(&orders, 9) == -1);
    EXPECT_OK(CALL(kva_frames_dump)(frames, count_line, &length));
    EXPECT_OK(CALL(kva_frames_picture)(frames, 0, count_line, &length));
    EXPECT(length > 0);
    EXPECT_OK(CALL(kva_frames_check)(frames, &fault));
}

static void play_page_frames(const struct stage *stage)
{
    static const struct kva_frames_zone zones[] = {{100, 20000, 0}, {20000, 60000, 1}};
    static const struct kva_frames_range hole = {5000, 1000};
    uint64_t moved_to = 0;
    const struct kva_frames_config config = {
        .zones = zones,
        .zone_count = 2,
        .holes = &hole,
        .hole_count = 1,
        .memory = memory,
        .threads = stage->threads ? CALL(kva_threads_host)() : NULL,
        .move = note_move,
        .move_context = &moved_to,
    };
    struct kva_frames *frames;

    EXPECT(CALL(kva_frames_bytes)(&config) > 0);
    if (CALL(kva_frames_create)(&config, &frames) != KVA_OK) {
        note_unmet(__LINE__, "kva_frames_create");
        return;
    }
    play_runs(frames);
    play_moves(frames, &moved_to);
    look_at_frames(frames);
    EXPECT_OK(CALL(kva_frames_fork_prepare)(frames));
    EXPECT_OK(CALL(kva_frames_fork_parent)(frames));
    EXPECT_OK(CALL(kva_frames_fork_prepare)(frames));
    EXPECT_OK(CALL(kva_frames_fork_child)(frames)); /* no fork happened: this process acts as the child */
    EXPECT_OK(CALL(kva_frames_destroy)(frames));
}

/* --------------------------------------------------------------------------------------------- the scenes */

static void play_words(void)
{
    EXPECT(CALL(kva_engine_by_name)("rb") == symbol("kva_engine_rb"));
    EXPECT(CALL(kva_engine_name)(0));
    EXPECT(CALL(kva_engine_bt_form)("scalar"));
    EXPECT(CALL(kva_engine_host)());
    EXPECT(CALL(kva_version)() == KVA_VERSION);
    EXPECT(strcmp(CALL(kva_status_name)(KVA_ENOMEM), "KVA_ENOMEM") == 0);
    EXPECT(CALL(kva_status_text)(KVA_ENOMEM)[0] != '\0');
    EXPECT(CALL(kva_memory_host)().take);
}

/** The hosted corruption hook aborts the program, a child here. */
static void play_corruption(void)
{
    const struct kva_fault fault = {.status = KVA_ECORRUPT, .where = "here", .what = "I0: none"};
    int how = 0;

    bool watched = heap_watch(false); /* the C library's part */
    pid_t child = fork();
    (void)heap_watch(watched);
    if (child == 0) {
        for (int number = 1; number < 32; number++)
            (void)signal(number, SIG_DFL); /* cmocka has handlers of its own */
        EXPECT(dup2(open("/dev/null", O_WRONLY), STDERR_FILENO) >= 0);
        CALL(kva_corruption_host)(NULL, &fault);
        _exit(0);
    }
    EXPECT(waitpid(child, &how, 0) == child);
    EXPECT(WIFSIGNALED(how));
}

/** All scenes, on every kind of stage, watched. */
static void play_all(void)
{
    static const char *const engines[] = {"kva_engine_rb", "kva_engine_bt", "kva_engine_scan"};
    static const enum kva_mechanism mechanisms[] = {KVA_MECHANISM_GUARDS, KVA_MECHANISM_MAPPINGS};

    (void)heap_watch(true);
    play_words();
    play_corruption();
    for (unsigned i = 0; i < 24; i++) {
        struct stage stage = {
            .engine = symbol(engines[i / 8]),
            .mechanism = mechanisms[i / 4 % 2],
            .threads = i / 2 % 2 != 0,
            .window = i % 2 != 0,
            .hardened = i % 8 == 3,
        };
        play_spaces(&stage);
        play_instances(&stage);
        play_page_frames(&stage);
    }
    (void)heap_watch(false);
}

static void expect_no_heap(void)
{
    const char *first;
    unsigned noted = heap_noted(&first);

    if (noted > 0)
        fail_msg("%u calls of the heap, the first is %s", noted, first);
    if (found->unmet)
        fail_msg("line %d: not %s", found->line, found->unmet);
    assert_int_equal(bytes_out, 0);
}

/* ---------------------------------------------------------------------------------------------- the tests */

/** Without a memory source of the caller's the library uses the heap, and the watch detects it. */
static void test_the_watch_sees_the_library(void **state)
{
    struct kva_config config = {.last = 1023};
    struct kva_space *space;
    const char *first;

    (void)state;
    (void)heap_watch(true);
    enum kva_status status = CALL(kva_space_create)(&config, &space);
    (void)heap_watch(false);
    assert_int_equal(status, KVA_OK);
    assert_true(heap_noted(&first) > 0);
    assert_string_equal(first, "malloc");
    assert_int_equal(CALL(kva_space_destroy)(space), KVA_OK);
}

static void test_in_the_main_thread(void **state)
{
    (void)state;
    play_all();
    expect_no_heap();
}

static void *play_in_thread(void *begin)
{
    if (begin)
        (void)sem_wait(begin);
    play_all();
    return NULL;
}

static sem_t library_is_there;
static pthread_t older_thread;

/** The library's thread-local data must also reach a thread that is older than the library. */
static void test_in_a_thread_older_than_the_library(void **state)
{
    (void)state;
    assert_int_equal(sem_post(&library_is_there), 0);
    assert_int_equal(pthread_join(older_thread, NULL), 0);
    expect_no_heap();
}

static void test_in_new_threads(void **state)
{
    pthread_t thread;

    (void)state;
    for (unsigned i = 0; i < 2; i++) { /* the second has the stack of the first */
        assert_int_equal(pthread_create(&thread, NULL, play_in_thread, NULL), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        expect_no_heap();
    }
}

/** Fail unless every name of a header that the library exports was looked up. Returns how many there are. */
static size_t expect_all_called(const char *path)
{
    static char text[256 * 1024];
    int file = open(path, O_RDONLY);
    ssize_t length = read(file, text, sizeof text - 1);
    size_t count = 0;

    assert_true(length > 0 && (size_t)length < sizeof text - 1);
    text[length] = '\0';
    (void)close(file);
    for (char *name = text; (name = strstr(name, "kva_")) != NULL;) {
        char *end = name + strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
        char kept = *end;
        *end = '\0';
        if (dlsym(library, name)) {
            count++;
            if (!find_symbol(name))
                fail_msg("%s names %s, which this test does not call", path, name);
        }
        *end = kept;
        name = end;
    }
    return count;
}

static void test_every_public_function_was_called(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        size_t names; /* at least */
    } headers[] = {
        {KVA_HEADERS "/kva/status.h", 3},  {KVA_HEADERS "/kva/memory.h", 2},
        {KVA_HEADERS "/kva/kva.h", 21},    {KVA_HEADERS "/kva/deferred.h", 7},
        {KVA_HEADERS "/kva/threads.h", 5}, {KVA_HEADERS "/kva/engine.h", 7},
        {KVA_HEADERS "/kva/ranges.h", 19}, {KVA_HEADERS "/kva/evict.h", 5},
        {KVA_HEADERS "/kva/frames.h", 25}, {KVA_HEADERS "/kva/vm.h", 30},
        {KVA_HEADERS "/kva/pages.h", 1},   {KVA_HEADERS "/kva/vmap.h", 15},
        {KVA_HEADERS "/kva/pcpu.h", 6},    {KVA_HEADERS "/kva/report.h", 4},
    };

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        assert_true(expect_all_called(headers[i].path) >= headers[i].names);
}

/** The library is loaded after a thread that will use it was created. */
static int set_up(void **state)
{
    void *shared = mmap(NULL, sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    (void)state;
    if (shared == MAP_FAILED)
        return -1;
    found = shared;
    heap_init();
    if (sem_init(&library_is_there, 0, 0) != 0 ||
        pthread_create(&older_thread, NULL, play_in_thread, &library_is_there) != 0)
        return -1;
    library = dlopen(KVA_SHARED_LIBRARY, RTLD_LAZY | RTLD_LOCAL);
    if (!library)
        print_error("%s\n", dlerror());
    return library ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_watch_sees_the_library),
        cmocka_unit_test(test_in_a_thread_older_than_the_library),
        cmocka_unit_test(test_in_new_threads),
        cmocka_unit_test(test_in_the_main_thread),
        cmocka_unit_test(test_every_public_function_was_called),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
