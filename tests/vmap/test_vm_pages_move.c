/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Moving frames under their maps: the Linux page source alone, without an instance over it.
 *
 * The linker binds this program's calls to the functions below (--wrap), as in test_vm_pages.c. In the thread
 * that moves they are the points at which it is stopped, refused or interrupted; so every moment between two
 * of its system calls is seen by the other threads.
 *
 * Where the system cannot hold stores back (32-bit kernels, 64-bit Arm before Linux 6.10, emulators), mapped
 * frames do not move, which is what is tested there. Under valgrind the calls are refused: it runs one thread
 * at a time, and a thread that waits for a page would keep the others from running.
 */
#define _GNU_SOURCE
#include "../common/harness.h"
#include "../common/vmap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static size_t page; /* bytes */

/* ------------------------------------------------------------------------- the system calls of the mover */

enum call { MMAP, MADVISE, READ, WRITE, SEEK, PUNCH, NEW_GATE, CONTROL };

/** What happens at the mover's calls. */
static _Thread_local struct plan {
    bool on;           /* this thread is the mover */
    unsigned calls;    /* so far */
    unsigned refuse;   /* this call, from 1; 0: none */
    int refusal;       /* errno */
    enum call refused; /* what that was */
    unsigned stop;     /* at this point, from 1; there is one before each call, and one after it */
    unsigned points;
    void (*at_point)(enum call call); /* at each */
} plan;

static bool no_gates; /* a system without userfaultfd */
static atomic_uint gates_opened;

static void sleep_a_little(void)
{
    const struct timespec time = {0, 300000};

    (void)nanosleep(&time, NULL);
}

static void point(enum call call)
{
    if (!plan.on)
        return;
    if (plan.at_point) {
        plan.on = false; /* its own calls are none of the mover's */
        plan.at_point(call);
        plan.on = true;
    }
    if (++plan.points == plan.stop || (plan.refuse > 0 && plan.calls >= plan.refuse))
        sleep_a_little();
}

/** Before a call: whether it is refused. */
static bool refused(enum call call)
{
    point(call);
    if (!plan.on)
        return false;
    if (++plan.calls != plan.refuse)
        return false;
    plan.refused = call;
    errno = plan.refusal;
    return true;
}

/** After a call: its result, and errno as it left it. */
#define AFTER(kind, type, result)                                                                            \
    do {                                                                                                     \
        type after = (result);                                                                               \
        int error = errno;                                                                                   \
        point(kind);                                                                                         \
        errno = error;                                                                                       \
        return after;                                                                                        \
    } while (0)

/** A call that is passed on unless it is refused. The names with 64 are those that a host with offsets of 32
 *  bits calls. */
#define WRAP(kind, type, failed, name, parameters, arguments)                                                \
    type __real_##name parameters;                                                                           \
    type __wrap_##name parameters;                                                                           \
    type __wrap_##name parameters                                                                            \
    {                                                                                                        \
        if (refused(kind))                                                                                   \
            return failed;                                                                                   \
        AFTER(kind, type, __real_##name arguments);                                                          \
    }

WRAP(MMAP, void *, MAP_FAILED, mmap,
     (void *at, size_t bytes, int protection, int flags, int file, off_t offset),
     (at, bytes, protection, flags, file, offset))
WRAP(MMAP, void *, MAP_FAILED, mmap64,
     (void *at, size_t bytes, int protection, int flags, int file, off64_t offset),
     (at, bytes, protection, flags, file, offset))
WRAP(MADVISE, int, -1, madvise, (void *at, size_t bytes, int advice), (at, bytes, advice))
WRAP(READ, ssize_t, -1, pread, (int file, void *to, size_t bytes, off_t at), (file, to, bytes, at))
WRAP(READ, ssize_t, -1, pread64, (int file, void *to, size_t bytes, off64_t at), (file, to, bytes, at))
WRAP(WRITE, ssize_t, -1, pwrite, (int file, const void *from, size_t bytes, off_t at),
     (file, from, bytes, at))
WRAP(WRITE, ssize_t, -1, pwrite64, (int file, const void *from, size_t bytes, off64_t at),
     (file, from, bytes, at))
WRAP(SEEK, off_t, -1, lseek, (int file, off_t at, int whence), (file, at, whence))
WRAP(SEEK, off64_t, -1, lseek64, (int file, off64_t at, int whence), (file, at, whence))
WRAP(PUNCH, int, -1, fallocate, (int file, int mode, off_t at, off_t bytes), (file, mode, at, bytes))
WRAP(PUNCH, int, -1, fallocate64, (int file, int mode, off64_t at, off64_t bytes), (file, mode, at, bytes))

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

long __wrap_syscall(long number, ...)
{
    va_list list;
    long arguments[6];

    va_start(list, number);
    for (unsigned i = 0; i < 6; i++)
        arguments[i] = va_arg(list, long);
    va_end(list);
    enum call call = number == SYS_ioctl ? CONTROL : NEW_GATE;
    bool is_ours = number == SYS_ioctl || number == SYS_userfaultfd;
    gates_opened += number == SYS_userfaultfd;
    if (is_ours && no_gates) {
        errno = ENOSYS;
        return -1;
    }
    if (is_ours && refused(call))
        return -1;
    long result = __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                                 arguments[5]);
    int error = errno;
    if (is_ours)
        point(call);
    errno = error;
    return result;
}

/** Whether the system can hold back who touches shared memory: what the library needs, by itself. */
static bool has_gate(void)
{
    const uint64_t wish = 1 << 12 | 1 << 10 | 1 << 5; /* write protection of shared memory; minor; missing */
    struct uffdio_api api = {.api = UFFD_API, .features = wish};

    if (no_gates)
        return false;
    int file = (int)__real_syscall(SYS_userfaultfd, (long)O_CLOEXEC | 1L);
    if (file < 0)
        return false;
    bool has = __real_syscall(SYS_ioctl, (long)file, (unsigned long)UFFDIO_API, &api) == 0 &&
               (api.features & wish) == wish;
    (void)close(file);
    return has;
}

/* -------------------------------------------------------------------------------------------- the frames */

enum { PLACES = 256, PAGES = 64, MAPS = 8 };

/** A stretch, a movable pool, and maps of it. */
struct world {
    struct kva_pages pages;
    struct kva_stretch stretch;
    void *pool;
    uint64_t place_of[PAGES]; /* that a page shows; UINT64_MAX: it is closed */
    struct kva_pages_map maps[MAPS];
    size_t map_count;
};

static uint64_t address(const struct world *world, uint64_t number)
{
    return world->stretch.first + world->stretch.bytes - world->stretch.frames + number * page;
}

/** Word `index` of a page. */
static _Atomic uint64_t *word(const struct world *world, uint64_t number, unsigned index)
{
    return (_Atomic uint64_t *)(uintptr_t)address(world, number) + index;
}

/** ThreadSanitizer takes an mmap for a store to all that it maps; so it does not see loads and stores of
 *  frames under way. */
#ifdef __SANITIZE_THREAD__
#define UNSEEN __attribute__((no_sanitize_thread, noinline))
#else
#define UNSEEN
#endif

UNSEEN static uint64_t load(const struct world *world, uint64_t number, unsigned index)
{
    return atomic_load_explicit(word(world, number, index), memory_order_relaxed);
}

UNSEEN static void store(const struct world *world, uint64_t number, unsigned index, uint64_t value)
{
    atomic_store_explicit(word(world, number, index), value, memory_order_relaxed);
}

static void begin(struct world *world)
{
    *world = (struct world){
        .pages = kva_pages_host(KVA_MECHANISM_BEST),
        .stretch = {.bytes = 8 * TEST_MIB, .least = 8 * TEST_MIB, .max = UINT64_MAX, .frames = 4 * TEST_MIB},
    };
    for (unsigned i = 0; i < PAGES; i++)
        world->place_of[i] = UINT64_MAX;
    world->stretch.align = page;
    assert_int_equal(world->pages.reserve(world->pages.context, &world->stretch), KVA_OK);
    assert_int_equal(
        world->pages.pool(world->pages.context, world->stretch.handle, PLACES, true, &world->pool), KVA_OK);
}

static void finish(struct world *world)
{
    world->pages.release(world->pages.context, world->stretch.handle);
    (void)close((int)world->pages.descriptor(world->pages.context, world->pool));
}

static void map(struct world *world, uint64_t number, uint64_t place, uint64_t count)
{
    assert_int_equal(world->pages.map(world->pages.context, world->stretch.handle, address(world, number),
                                      world->pool, place, count),
                     KVA_OK);
    for (uint64_t i = 0; i < count; i++)
        world->place_of[number + i] = place + i;
}

static void unmap(struct world *world, uint64_t number, uint64_t count)
{
    world->pages.unmap(world->pages.context, world->stretch.handle, address(world, number), count * page);
    for (uint64_t i = 0; i < count; i++)
        world->place_of[number + i] = UINT64_MAX;
}

/** The pages that show frames of a range, as runs. */
static void find_maps(struct world *world, uint64_t from, uint64_t count)
{
    world->map_count = 0;
    for (uint64_t i = 0; i < PAGES; i++) {
        uint64_t place = world->place_of[i];
        struct kva_pages_map *last = world->map_count > 0 ? &world->maps[world->map_count - 1] : NULL;
        if (place == UINT64_MAX || place < from || place >= from + count)
            continue;
        if (last && last->start + last->count * page == address(world, i) &&
            last->frame + last->count == place - from) {
            last->count++;
            continue;
        }
        assert_true(world->map_count < MAPS);
        world->maps[world->map_count++] = (struct kva_pages_map){address(world, i), place - from, 1};
    }
}

static bool next_map(void *context, uint64_t *cursor, struct kva_pages_map *map_out)
{
    const struct world *world = context;

    if (*cursor == world->map_count)
        return false;
    *map_out = world->maps[(*cursor)++];
    return true;
}

/** Move frames, by the plan that is set. */
static enum kva_status move(struct world *world, uint64_t from, uint64_t to, uint64_t count)
{
    struct kva_pages_move wish = {world->pool, from, to, count, next_map, world};

    find_maps(world, from, count);
    plan.on = true;
    enum kva_status status = world->pages.move(world->pages.context, world->stretch.handle, &wish);
    plan.on = false;
    for (uint64_t i = 0; i < PAGES && status == KVA_OK; i++) {
        if (world->place_of[i] != UINT64_MAX && world->place_of[i] >= from &&
            world->place_of[i] < from + count)
            world->place_of[i] += to - from;
    }
    return status;
}

static int file_of_pool(const struct world *world)
{
    return (int)world->pages.descriptor(world->pages.context, world->pool);
}

static uint64_t pages_in_file(const struct world *world)
{
    struct stat about;

    assert_int_equal(fstat(file_of_pool(world), &about), 0);
    return (uint64_t)about.st_blocks * 512 / page;
}

/** The first word of a place, without a map; 0 for a hole. */
static uint64_t word_at(const struct world *world, uint64_t place)
{
    uint64_t value = 1;

    assert_int_equal(pread(file_of_pool(world), &value, sizeof value, (off_t)(place * page)), sizeof value);
    return value;
}

static struct kva_pages_stats stats_of(const struct world *world)
{
    struct kva_pages_stats stats;

    world->pages.stats(world->pages.context, world->stretch.handle, &stats);
    return stats;
}

/* ------------------------------------------------------------------------------------- the kernel's word */

/** The mappings that lie in the stretch. */
static uint64_t mappings_in(const struct world *world)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    struct test_mapping mapping;
    uint64_t count = 0;

    assert_non_null(maps);
    while (test_next_mapping(maps, &mapping))
        count += mapping.first < world->stretch.first + world->stretch.bytes &&
                 mapping.last >= world->stretch.first;
    fclose(maps);
    return count;
}

/** Fail unless each page shows the place that it should, and is registered nowhere. Where the kernel is
 *  emulated, what it says may be about the emulator. */
static void expect_maps(const struct world *world, const char *what)
{
    if (test_is_emulated() || test_under_valgrind())
        return;
    FILE *smaps = fopen("/proc/self/smaps", "r");
    struct test_mapping mapping;

    assert_non_null(smaps);
    while (test_next_mapping(smaps, &mapping)) {
        unsigned long offset = 0;
        test_mapping_details(smaps, &mapping);
        (void)sscanf(mapping.about, " %*s %lx", &offset);
        for (uint64_t i = 0; i < PAGES; i++) {
            uint64_t at = address(world, i);
            if (at < mapping.first || at > mapping.last)
                continue;
            bool is_map = strncmp(mapping.about, " rw-s", 5) == 0;
            check_that(is_map == (world->place_of[i] != UINT64_MAX), "%s: page %" PRIu64 ":%s", what, i,
                       mapping.about);
            check_that(!is_map || (offset + (at - mapping.first)) / page == world->place_of[i],
                       "%s: page %" PRIu64 " does not show place %" PRIu64 ":%s", what, i, world->place_of[i],
                       mapping.about);
            check_that(!strstr(mapping.flags, " uw") && !strstr(mapping.flags, " um") &&
                           !strstr(mapping.flags, " ui"),
                       "%s: page %" PRIu64 " is registered: %s", what, i, mapping.flags);
            check_that(is_map == (strstr(mapping.flags, " dc") != NULL), "%s: page %" PRIu64 ": %s", what, i,
                       mapping.flags);
        }
    }
    fclose(smaps);
}

static enum kva_pages_use use_of(void *context, uint64_t at, uint64_t *end)
{
    const struct world *world = context;
    const uint64_t first = address(world, 0);

    if (at < first || at >= first + PAGES * page) {
        *end = at < first ? first : UINT64_MAX;
        return KVA_PAGES_IDLE;
    }
    *end = at + page;
    return world->place_of[(at - first) / page] == UINT64_MAX ? KVA_PAGES_IDLE : KVA_PAGES_MAPPED;
}

static void *pool_number(void *context, size_t number)
{
    const struct world *world = context;

    return number == 0 ? world->pool : NULL;
}

/** What the source's own check says. */
static const char *check(struct world *world)
{
    const struct kva_pages_view view = {use_of, pool_number, world};
    uint64_t at;

    return world->pages.check(world->pages.context, world->stretch.handle, &view, &at);
}

static void expect_sound(struct world *world, const char *what)
{
    const char *wrong = check(world);

    check_that(wrong == NULL, "%s: %s", what, wrong);
    expect_maps(world, what);
}

/** Two maps of frames at places 10 .. 13, one of them in two parts, and a single page; what they hold. The
 *  last frame is not written to. */
static void lay_out(struct world *world)
{
    begin(world);
    map(world, 2, 10, 4);
    map(world, 20, 10, 2);
    map(world, 22, 12, 2);
    map(world, 40, 11, 1);
    for (unsigned i = 0; i < 3; i++)
        store(world, 2 + i, 0, 1000 + i);
}

static void expect_contents(const struct world *world, const char *what)
{
    for (unsigned i = 0; i < 4; i++) {
        uint64_t value = i < 3 ? 1000 + i : 0;
        check_that(load(world, 2 + i, 0) == value && load(world, 20 + i, 0) == value,
                   "%s: frame %u holds %" PRIu64 " and %" PRIu64, what, i, load(world, 2 + i, 0),
                   load(world, 20 + i, 0));
    }
    check_that(load(world, 40, 0) == 1001, "%s: %" PRIu64, what, load(world, 40, 0));
}

/* ------------------------------------------------------------------------------------------------ moving */

/** Contents and holes get to the new place, all maps show it, the old one is drained; and a store through one
 *  map is read through the others. Without a gate nothing happens. */
static void test_frames_move_under_their_maps(void **state)
{
    struct world world;
    const bool can = has_gate();

    (void)state;
    lay_out(&world);
    uint64_t used = pages_in_file(&world);
    for (unsigned round = 0; round < 4; round++) {
        uint64_t from = round % 2 == 0 ? 10 : 100;
        uint64_t to = 110 - from;
        enum kva_status status = move(&world, from, to, 4);
        check_that(status == (can ? KVA_OK : KVA_ENOENT), "%s", kva_status_name(status));
        assert_int_equal(pages_in_file(&world), used);
        for (unsigned i = 0; i < 4 && can; i++) {
            assert_int_equal(word_at(&world, to + i), i < 3 ? 1000 + i : 0);
            assert_int_equal(word_at(&world, from + i), 0);
        }
        expect_sound(&world, "moved");
        if (!can)
            break;
    }
    expect_contents(&world, "moved to and fro");
    store(&world, 21, 5, 77);
    assert_int_equal(load(&world, 3, 5), 77);
    assert_int_equal(load(&world, 40, 5), 77);
    finish(&world);
}

/** Some of the frames of a map: the others stay. */
static void test_parts_of_maps_move(void **state)
{
    struct world world;

    (void)state;
    if (!has_gate())
        return;
    for (uint64_t from = 10; from < 14; from++) {
        for (uint64_t count = 1; from + count <= 14; count++) {
            lay_out(&world);
            assert_int_equal(move(&world, from, 200, count), KVA_OK);
            expect_contents(&world, "a part");
            expect_sound(&world, "a part");
            assert_int_equal(move(&world, 200, from, count), KVA_OK);
            expect_contents(&world, "a part, back again");
            expect_sound(&world, "a part, back again");
            finish(&world);
        }
    }
}

/** More than a buffer's worth, with holes: no page is in the file that was not. */
static void test_holes_stay_holes(void **state)
{
    struct world world;

    (void)state;
    begin(&world);
    for (uint64_t i = 0; i < 60; i++) {
        uint64_t value = i + 1;
        if (i % 7 < 3 || (i > 20 && i < 40))
            assert_int_equal(pwrite(file_of_pool(&world), &value, sizeof value, (off_t)(i * page)),
                             sizeof value);
    }
    uint64_t used = pages_in_file(&world);
    for (unsigned mapped = 0; mapped < (has_gate() ? 2 : 1); mapped++) {
        if (mapped == 1)
            map(&world, 1, 0, 60);
        assert_int_equal(move(&world, 0, 150, 60), KVA_OK);
        assert_int_equal(pages_in_file(&world), used);
        for (uint64_t i = 0; i < 60; i++) {
            assert_int_equal(word_at(&world, i), 0);
            assert_int_equal(word_at(&world, 150 + i), i % 7 < 3 || (i > 20 && i < 40) ? i + 1 : 0);
        }
        assert_int_equal(move(&world, 150, 0, 60), KVA_OK);
        assert_int_equal(pages_in_file(&world), used);
    }
    expect_sound(&world, "holes");
    finish(&world);
}

/** What is counted, against the kernel's own list. Where frames come to lie in a row again, the kernel merges
 *  their maps, which is not counted. */
static void test_mappings_are_counted(void **state)
{
    struct world world;

    (void)state;
    if (!has_gate() || !test_is_on_its_own("what is counted of moved maps"))
        return;
    begin(&world);
    assert_int_equal(stats_of(&world).mappings, mappings_in(&world));
    map(&world, 4, 0, 8);
    map(&world, 30, 0, 8);
    assert_int_equal(stats_of(&world).mappings, mappings_in(&world));
    assert_int_equal(move(&world, 3, 100, 2), KVA_OK);
    assert_int_equal(stats_of(&world).mappings, mappings_in(&world));
    assert_int_equal(stats_of(&world).mappings, 5 + 4);
    assert_int_equal(move(&world, 100, 120, 1), KVA_OK);
    assert_int_equal(stats_of(&world).mappings, mappings_in(&world));
    assert_int_equal(move(&world, 120, 3, 1), KVA_OK);
    assert_int_equal(move(&world, 101, 4, 1), KVA_OK);
    assert_int_equal(mappings_in(&world), 5);
    assert_true(stats_of(&world).mappings >= 5);
    unmap(&world, 0, PAGES);
    assert_int_equal(stats_of(&world).mappings, 1);
    assert_int_equal(mappings_in(&world), 1);
    finish(&world);
}

/** Nothing shows the frames: they move on every system. */
static void test_frames_without_maps_move(void **state)
{
    struct world world;

    (void)state;
    lay_out(&world);
    unmap(&world, 0, PAGES);
    unsigned opened = gates_opened;
    assert_int_equal(move(&world, 10, 50, 4), KVA_OK);
    assert_int_equal(gates_opened, opened);
    assert_int_equal(pages_in_file(&world), 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(word_at(&world, 50 + i), 1000 + i);
    assert_int_equal(word_at(&world, 10), 0);
    expect_sound(&world, "without maps");
    finish(&world);
}

/** A system that has no userfaultfd for us is asked once; one that has no descriptor, each time. */
static void test_systems_without_a_gate(void **state)
{
    struct world world;
    const bool had_none = no_gates;

    (void)state;
    lay_out(&world);
    no_gates = true;
    unsigned opened = gates_opened;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(move(&world, 10, 100, 4), KVA_ENOENT);
    assert_int_equal(gates_opened, opened + 1);
    expect_contents(&world, "no gate");
    expect_sound(&world, "no gate");
    assert_int_equal(move(&world, 30, 100, 4), KVA_OK); /* not mapped */
    no_gates = had_none;
    finish(&world);
    if (!has_gate())
        return;
    static const struct {
        int refusal;
        bool passes;
    } rows[] = {{EMFILE, true}, {ENFILE, true}, {ENOMEM, true}, {EPERM, false}, {ENOSYS, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        lay_out(&world);
        plan = (struct plan){.refuse = 1, .refusal = rows[i].refusal};
        assert_int_equal(move(&world, 10, 100, 4), KVA_ENOENT);
        plan = (struct plan){.on = false};
        expect_sound(&world, "refused");
        assert_int_equal(move(&world, 10, 100, 4), rows[i].passes ? KVA_OK : KVA_ENOENT);
        expect_contents(&world, "refused once");
        finish(&world);
    }
}

/** Marks that others have put on maps are found; that of movable maps is theirs alone. */
static void test_check_knows_movable_maps(void **state)
{
    struct world world;

    (void)state;
    if (!test_is_on_its_own("attributes of maps"))
        return;
    lay_out(&world);
    assert_null(check(&world));
    assert_int_equal(madvise((void *)(uintptr_t)address(&world, 3), page, MADV_DONTDUMP), 0);
    assert_non_null(check(&world));
    assert_int_equal(madvise((void *)(uintptr_t)address(&world, 3), page, MADV_DODUMP), 0);
    assert_null(check(&world));
    void *movable = world.pool;
    assert_int_equal(world.pages.pool(world.pages.context, world.stretch.handle, 4, false, &world.pool),
                     KVA_OK);
    unmap(&world, 0, PAGES);
    map(&world, 5, 0, 4);
    assert_null(check(&world));
    assert_int_equal(madvise((void *)(uintptr_t)address(&world, 5), page, MADV_DONTFORK), 0);
    assert_non_null(check(&world));
    unmap(&world, 0, PAGES);
    world.pages.drop(world.pages.context, world.stretch.handle, world.pool);
    world.pool = movable;
    finish(&world);
}

/** Asking for huge pages changes no contents, and no attribute. */
static void test_collapse_changes_nothing(void **state)
{
    struct kva_pages pages = kva_pages_host(KVA_MECHANISM_BEST);
    const uint64_t huge = pages.huge;
    struct kva_stretch stretch = {
        .bytes = 8 * huge, .least = 8 * huge, .max = UINT64_MAX, .frames = 4 * huge};
    void *pool;

    (void)state;
    if (huge == 0 || huge > 4 * TEST_MIB)
        return;
    stretch.align = huge;
    assert_int_equal(pages.reserve(pages.context, &stretch), KVA_OK);
    assert_int_equal(pages.pool(pages.context, stretch.handle, 2 * huge / page, true, &pool), KVA_OK);
    uint64_t at = (stretch.first + stretch.bytes - 3 * huge) & ~(huge - 1);
    assert_int_equal(pages.map(pages.context, stretch.handle, at, pool, 0, 2 * huge / page), KVA_OK);
    for (uint64_t i = 0; i < 2 * huge / page; i += 3)
        *(uint64_t *)(uintptr_t)(at + i * page) = i;
    pages.collapse(pages.context, stretch.handle, at, 2 * huge);
    for (uint64_t i = 0; i < 2 * huge / page; i++)
        assert_int_equal(*(uint64_t *)(uintptr_t)(at + i * page), i % 3 == 0 ? i : 0);
    pages.unmap(pages.context, stretch.handle, at, 2 * huge);
    pages.drop(pages.context, stretch.handle, pool);
    pages.release(pages.context, stretch.handle);
}

/* ---------------------------------------------------------------------------------------- beside threads */

enum { THREADS = 4 };

/** A thread that stores to words of its own through one map and loads them through another, without pause;
 *  and sees others' words grow. The last one keeps to the frame with three maps, so that no other holds it
 *  up. */
struct traffic {
    const struct world *world;
    unsigned number; /* of the thread: its word in each frame, from 1 */
    uint64_t rounds; /* that it has done */
    atomic_bool *over;
    const char *wrong;
};

static bool has_frame(unsigned number, unsigned frame)
{
    return number < THREADS || frame == 1;
}

/** The pages that show frame `frame` of four, in turn. */
static uint64_t page_of(unsigned frame, uint64_t turn)
{
    if (frame == 1 && turn % 3 == 2)
        return 40;
    return (turn % 2 == 0 ? 2 : 20) + frame;
}

static void look_at_another(struct traffic *traffic, unsigned frame, uint64_t round)
{
    unsigned other = 1 + traffic->number % THREADS;
    uint64_t before = load(traffic->world, page_of(frame, round), other);
    uint64_t then = load(traffic->world, page_of(frame, round + 1), other);

    if (then < before)
        traffic->wrong = "another thread's word was larger through another map, before";
}

static void *go_on(void *argument)
{
    struct traffic *traffic = argument;

    while (!atomic_load(traffic->over) && !traffic->wrong) {
        uint64_t round = ++traffic->rounds;
        for (unsigned frame = 0; frame < 4; frame++) {
            if (!has_frame(traffic->number, frame))
                continue;
            if (load(traffic->world, page_of(frame, round + 1), traffic->number) != round - 1)
                traffic->wrong = "a word is not what it was";
            store(traffic->world, page_of(frame, round), traffic->number, round);
            if (load(traffic->world, page_of(frame, round + 1), traffic->number) != round ||
                load(traffic->world, page_of(frame, round + 2), traffic->number) != round)
                traffic->wrong = "a store through one map was not seen through another";
            look_at_another(traffic, frame, round);
        }
        if (round % 64 == 0)
            (void)sched_yield();
    }
    return NULL;
}

struct crew {
    struct traffic traffic[THREADS];
    pthread_t threads[THREADS];
    atomic_bool over;
};

static void start(struct crew *crew, const struct world *world)
{
    atomic_store(&crew->over, false);
    for (unsigned i = 0; i < THREADS; i++) {
        crew->traffic[i] = (struct traffic){.world = world, .number = i + 1, .over = &crew->over};
        assert_int_equal(pthread_create(&crew->threads[i], NULL, go_on, &crew->traffic[i]), 0);
    }
}

/** End the threads. All that they have stored must be there, through every map. */
static void stop(struct crew *crew, const struct world *world, const char *what, unsigned number)
{
    atomic_store(&crew->over, true);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(crew->threads[i], NULL), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        check_that(crew->traffic[i].wrong == NULL, "%s %u: %s", what, number, crew->traffic[i].wrong);
        for (unsigned frame = 0; frame < 4; frame++) {
            for (uint64_t turn = 0; turn < 3 && has_frame(i + 1, frame); turn++) {
                uint64_t value = load(world, page_of(frame, turn), i + 1);
                check_that(value == crew->traffic[i].rounds,
                           "%s %u: thread %u has stored %" PRIu64 " to frame %u, but there is %" PRIu64, what,
                           number, i, crew->traffic[i].rounds, frame, value);
            }
        }
    }
}

/** Frames move to and fro without pause. */
static void test_no_store_is_lost(void **state)
{
    struct world world;
    struct crew crew;

    (void)state;
    if (!has_gate())
        return;
    lay_out(&world);
    start(&crew, &world);
    const uint64_t moves = test_scaled(1000);
    for (uint64_t i = 0; i < moves; i++) {
        uint64_t from = i % 2 == 0 ? 10 : 100;
        assert_int_equal(move(&world, from, 110 - from, 4), KVA_OK);
        if (i % 8 == 0)
            (void)sched_yield();
    }
    stop(&crew, &world, "moves", 0);
    expect_contents(&world, "no store is lost");
    expect_sound(&world, "no store is lost");
    finish(&world);
}

/** The mover sleeps before or after each of its calls, in turn, while the others go on. */
static void test_a_mover_that_stops_anywhere(void **state)
{
    struct world world;
    struct crew crew;

    (void)state;
    if (!has_gate())
        return;
    unsigned visited = 0;
    bool reached = true;
    for (unsigned k = 1; reached; k += (unsigned)test_stride()) {
        lay_out(&world);
        start(&crew, &world);
        sleep_a_little();
        plan = (struct plan){.stop = k};
        assert_int_equal(move(&world, 10, 100, 4), KVA_OK);
        reached = plan.points >= k;
        plan = (struct plan){.on = false};
        stop(&crew, &world, "stopped at point", k);
        expect_contents(&world, "stopped");
        expect_sound(&world, "stopped");
        finish(&world);
        visited++;
    }
    print_message("visited %u points\n", visited);
}

/** Whether a refusal of a kind can be got over: by another way, or by asking again. */
static void expect_status(enum kva_status status, unsigned k)
{
    check_that(status == KVA_OK || status == KVA_ENOMEM || (status == KVA_ENOENT && k <= 2), "call %u: %s", k,
               kva_status_name(status));
}

/** The call number k is refused, beside threads or without any, and the mover is slow from there on: the move is
 *  made, or nothing has happened; and then it is made. Returns whether there was such a call. */
static bool refuse_one(unsigned k, int refusal, bool is_crowded)
{
    struct world world;
    struct crew crew;

    lay_out(&world);
    if (is_crowded)
        start(&crew, &world);
    plan = (struct plan){.refuse = k, .refusal = refusal};
    enum kva_status status = move(&world, 10, 100, 4);
    bool reached = plan.calls >= k;
    enum call call = plan.refused;
    plan = (struct plan){.on = false};
    expect_status(status, k);
    if (status == KVA_OK && !(reached && call == MADVISE))
        expect_sound(&world, "refused, and done all the same");
    if (status != KVA_OK) {
        expect_sound(&world, "refused");
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(word_at(&world, 100 + i), 0);
        assert_int_equal(move(&world, 10, 100, 4), KVA_OK);
        expect_sound(&world, "after a refusal");
    }
    if (is_crowded)
        stop(&crew, &world, "refused call", k);
    expect_contents(&world, "refused");
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(word_at(&world, 10 + i), 0);
    finish(&world);
    return reached;
}

static void test_each_call_is_refused(void **state)
{
    static const int refusals[] = {ENOMEM, EAGAIN, EINTR};
    unsigned visited = 0;

    (void)state;
    if (!has_gate())
        return;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        for (unsigned k = 1; refuse_one(k, refusals[i], true); k += (unsigned)test_stride())
            visited++;
    }
    for (unsigned k = 1; refuse_one(k, ENOMEM, false); k++) /* all of them, since this is quick */
        visited++;
    print_message("visited %u refusals\n", visited);
}

/* --------------------------------------------------------------------------------- signals, system calls */

static const struct world *signalled;
static volatile sig_atomic_t signals;

static void store_in_handler(int number)
{
    (void)number;
    signals++;
    store(signalled, 3, 9, (uint64_t)signals);
}

static void interrupt(enum call call)
{
    (void)call;
    (void)raise(SIGUSR1);
}

/** A handler in the mover's thread that stores to the frames, due at every moment of the move: it runs when
 *  it can. */
static void test_handlers_may_store(void **state)
{
    struct world world;
    struct sigaction action = {.sa_handler = store_in_handler};
    struct sigaction before;

    (void)state;
    if (!has_gate())
        return;
    lay_out(&world);
    signalled = &world;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    plan = (struct plan){.at_point = interrupt};
    assert_int_equal(move(&world, 10, 100, 4), KVA_OK);
    plan = (struct plan){.on = false};
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
    assert_true(signals > 0);
    assert_int_equal(load(&world, 21, 9), signals);
    assert_int_equal(load(&world, 40, 9), signals);
    expect_contents(&world, "signals");
    finish(&world);
}

static int pipe_ends[2];
static unsigned faulted;

/** While stores are held, the kernel does not store for a system call, either. */
static void read_into_frame(enum call call)
{
    char byte = 'x';

    if (call != READ)
        return;
    assert_int_equal(write(pipe_ends[1], &byte, 1), 1);
    ssize_t got = read(pipe_ends[0], (void *)(uintptr_t)address(signalled, 21), 1);
    faulted += got < 0 && errno == EFAULT;
}

static void test_system_calls_get_efault(void **state)
{
    struct world world;

    (void)state;
    if (!has_gate())
        return;
    lay_out(&world);
    signalled = &world;
    assert_int_equal(pipe(pipe_ends), 0);
    plan = (struct plan){.at_point = read_into_frame};
    assert_int_equal(move(&world, 10, 100, 4), KVA_OK);
    plan = (struct plan){.on = false};
    assert_true(faulted > 0);
    expect_contents(&world, "system calls");
    assert_int_equal(write(pipe_ends[1], "yyyyyyyy", 8), 8);
    assert_true(read(pipe_ends[0], (void *)(word(&world, 21, 7)), 8) > 0);
    assert_true(load(&world, 3, 7) != 0);
    (void)close(pipe_ends[0]);
    (void)close(pipe_ends[1]);
    finish(&world);
}

/* ------------------------------------------------------------------------- when the first map is elsewhere */

/** What happens before the mover's calls, in this order. */
static struct moments {
    bool is_after; /* the next point is the one after a call */
    unsigned maps; /* calls of mmap so far, this one included */
    unsigned refused;
    bool goes_back;    /* frames are copied after a refusal */
    unsigned controls; /* calls to the gate since then */
} moments;

/** Whether a point is one before a call; counts them. */
static bool is_before(enum call call)
{
    moments.is_after = !moments.is_after;
    if (!moments.is_after)
        return false;
    moments.maps += call == MMAP;
    moments.goes_back |= call == READ && moments.refused > 0;
    return true;
}

/** At a point before a call: refuse it. */
static void refuse_now(int refusal)
{
    plan.refuse = plan.calls + 1;
    plan.refusal = refusal;
    moments.refused++;
    moments.is_after = false; /* there will be none */
}

/** Threads that load what two frames hold, one of which is a hole, through the second map. */
static struct look {
    pthread_t thread;
    uint64_t page;
    atomic_bool has_begun;
    uint64_t value;
} looks[2];

static void *look_through_another_map(void *argument)
{
    struct look *look = argument;

    atomic_store(&look->has_begun, true);
    look->value = load(signalled, look->page, 9);
    return NULL;
}

static void begin_to_look(struct look *look, uint64_t number)
{
    look->page = number;
    atomic_store(&look->has_begun, false);
    assert_int_equal(pthread_create(&look->thread, NULL, look_through_another_map, look), 0);
    while (!atomic_load(&look->has_begun))
        (void)sched_yield();
}

/** When the first map shows the new place, and the second one does not yet: store through the first. */
static void store_when_one_is_there(enum call call)
{
    if (!is_before(call) || call != MMAP || moments.maps != 2)
        return;
    store(signalled, 3, 9, 77);
    store(signalled, 5, 9, 78);
    begin_to_look(&looks[0], 21);
    begin_to_look(&looks[1], 23);
    for (unsigned i = 0; i < 3; i++)
        sleep_a_little();
}

/** What was stored through a map that shows the new place is loaded through one that shows the old one: the load
 *  waits until that shows the new one, too. */
static void test_loads_wait_for_their_map(void **state)
{
    struct world world;

    (void)state;
    if (!has_gate())
        return;
    for (unsigned round = 0; round < 6; round++) {
        begin(&world);
        map(&world, 2, 10, 4);
        map(&world, 20, 10, 4);
        if (round % 2 != 0)
            map(&world, 40, 11, 1);
        store(&world, 2, 0, 1);
        if (round >= 2)
            store(&world, 3, 0, 1);
        assert_int_equal(load(&world, 21, 0), round >= 2); /* in the page tables */
        signalled = &world;
        moments = (struct moments){.maps = 0};
        atomic_store(&looks[1].has_begun, false);
        plan = (struct plan){.at_point = store_when_one_is_there};
        assert_int_equal(move(&world, 10, 100, 4), KVA_OK);
        plan = (struct plan){.on = false};
        assert_true(atomic_load(&looks[1].has_begun));
        for (unsigned i = 0; i < 2; i++) {
            assert_int_equal(pthread_join(looks[i].thread, NULL), 0);
            assert_int_equal(looks[i].value, 77 + i);
        }
        expect_sound(&world, "loads");
        finish(&world);
    }
}

/** The second map is refused, for good, when something was stored through the first; so the move is undone. Stores
 *  are held meanwhile. On the way back the gate refuses every other call: it is asked again. */
static void refuse_the_second_map(enum call call)
{
    if (!is_before(call))
        return;
    if (call == READ && moments.goes_back) {
        char byte = 'x';
        assert_int_equal(write(pipe_ends[1], &byte, 1), 1);
        ssize_t got = read(pipe_ends[0], (void *)(uintptr_t)address(signalled, 2), 1);
        faulted += got < 0 && errno == EFAULT;
    }
    if (call == CONTROL && moments.goes_back && moments.controls++ % 2 == 0)
        refuse_now(ENOMEM);
    if (call != MMAP || moments.maps < 2 || moments.goes_back)
        return;
    if (moments.maps == 2)
        store(signalled, 3, 9, 77);
    refuse_now(ENOMEM);
}

static void test_stores_come_back(void **state)
{
    struct world world;

    (void)state;
    if (!has_gate())
        return;
    lay_out(&world);
    signalled = &world;
    moments = (struct moments){.maps = 0};
    faulted = 0;
    assert_int_equal(pipe(pipe_ends), 0);
    plan = (struct plan){.at_point = refuse_the_second_map};
    assert_int_equal(move(&world, 10, 100, 4), KVA_ENOMEM);
    plan = (struct plan){.on = false};
    assert_true(moments.goes_back && faulted > 0);
    (void)close(pipe_ends[0]);
    (void)close(pipe_ends[1]);
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(load(&world, 3, 9), 77);
        assert_int_equal(load(&world, 21, 9), 77);
        assert_int_equal(load(&world, 40, 9), 77);
        expect_contents(&world, "back again");
        expect_sound(&world, "back again");
        if (round == 0)
            assert_int_equal(move(&world, 10, 100, 4), KVA_OK);
    }
    finish(&world);
}

static void refuse_first_map(enum call call)
{
    if (is_before(call) && call == MMAP && moments.refused == 0)
        refuse_now(ENOMEM);
}

/** Above the limit the system refuses a map that takes no mapping: then it is made in place of the source's
 *  spare. */
static void test_the_spare_makes_room(void **state)
{
    struct world world;

    (void)state;
    if (!has_gate() || !test_is_on_its_own("the limit on mappings"))
        return;
    lay_out(&world);
    for (uint64_t i = 0; i < 2; i++) {
        moments = (struct moments){.maps = 0};
        plan = (struct plan){.at_point = refuse_first_map};
        enum kva_status status = move(&world, i == 0 ? 10 : 100, i == 0 ? 100 : 10, 4);
        plan = (struct plan){.on = false};
        assert_int_equal(status, KVA_OK);
        assert_int_equal(moments.refused, 1);
        expect_contents(&world, "with the spare's room");
        expect_sound(&world, "with the spare's room");
        map(&world, 60, 20, 1); /* which has the spare again */
        unmap(&world, 60, 1);
    }
    finish(&world);
}

static void refuse_first_advice(enum call call)
{
    if (is_before(call) && call == MADVISE && moments.refused == 0)
        refuse_now(EINVAL);
}

/** A map that cannot be kept from children is refused, and nothing is there. */
static void test_maps_that_children_would_have(void **state)
{
    struct world world;

    (void)state;
    begin(&world);
    moments = (struct moments){.maps = 0};
    plan = (struct plan){.at_point = refuse_first_advice, .on = true};
    enum kva_status status =
        world.pages.map(world.pages.context, world.stretch.handle, address(&world, 2), world.pool, 10, 4);
    plan = (struct plan){.on = false};
    assert_int_equal(moments.refused, 1);
    assert_int_not_equal(status, KVA_OK);
    expect_sound(&world, "refused");
    map(&world, 2, 10, 4);
    expect_sound(&world, "granted");
    finish(&world);
}

/* ----------------------------------------------------------------------------------------- forks, limits */

/** Whether nothing is mapped at a page. */
static bool is_hole(const struct world *world, uint64_t number)
{
    unsigned char in_memory;

    return mincore((void *)(uintptr_t)address(world, number), page, &in_memory) != 0 && errno == ENOMEM;
}

/** A child has holes in place of the maps. It closes them, and moves frames of its own by a gate of its own.
 *  */
static int be_a_child(void *context)
{
    struct world *world = context;
    struct kva_pages *pages = &world->pages;
    bool can = has_gate();

    child_that(test_is_emulated() || (is_hole(world, 2) && is_hole(world, 23) && is_hole(world, 40)));
    pages->unmap(pages->context, world->stretch.handle, address(world, 0), PAGES * page);
    child_that(test_is_emulated() || (!is_hole(world, 2) && !is_hole(world, 23) && !is_hole(world, 40)));
    child_that(test_is_closed((void *)(uintptr_t)address(world, 2)));
    child_that(stats_of(world).mappings == 1);
    child_that(pages->pool(pages->context, world->stretch.handle, PLACES, true, &world->pool) == KVA_OK);
    child_that(pages->map(pages->context, world->stretch.handle, address(world, 2), world->pool, 10, 1) ==
               KVA_OK);
    store(world, 2, 0, 5);
    struct kva_pages_move wish = {world->pool, 10, 100, 1, next_map, world};
    world->maps[0] = (struct kva_pages_map){address(world, 2), 0, 1};
    world->map_count = 1;
    unsigned opened = gates_opened;
    for (unsigned i = 0; i < 3; i++) {
        child_that(pages->move(pages->context, world->stretch.handle, &wish) == (can ? KVA_OK : KVA_ENOENT));
        wish.from = 110 - wish.from;
        wish.to = 110 - wish.to;
    }
    child_that(gates_opened == opened + 1);
    child_that(load(world, 2, 0) == 5);
    return 0;
}

static void test_children_have_their_own(void **state)
{
    struct world world;
    enum kva_status expected = has_gate() ? KVA_OK : KVA_ENOENT;

    (void)state;
    lay_out(&world);
    assert_int_equal(move(&world, 10, 100, 4), expected);
    struct world copy = world;
    struct test_child child = test_in_child(be_a_child, &copy);
    test_expect_success(&child, "a child");
    expect_contents(&world, "a child has been there");
    store(&world, 3, 8, 1);
    assert_int_equal(move(&world, world.place_of[2], 50, 4), expected);
    expect_contents(&world, "a child has been there, and moved");
    expect_sound(&world, "a child has been there");
    finish(&world);
}

/** A child asks for itself. */
static int be_a_child_of_a_refused(void *context)
{
    no_gates = test_under_valgrind();
    return be_a_child(context);
}

static void test_children_of_a_refused_process(void **state)
{
    struct world world;
    const bool had_none = no_gates;

    (void)state;
    lay_out(&world);
    no_gates = true;
    assert_int_equal(move(&world, 10, 100, 4), KVA_ENOENT);
    struct world copy = world;
    struct test_child child = test_in_child(be_a_child_of_a_refused, &copy);
    test_expect_success(&child, "a child of a refused process");
    assert_int_equal(move(&world, 10, 100, 4), KVA_ENOENT);
    no_gates = had_none;
    finish(&world);
}

/** Map single frames, until there is no room for more mappings. */
static void use_up_mappings(struct world *world)
{
    enum kva_status status = KVA_OK;

    for (uint64_t i = PAGES + 1; i < 1000 && status == KVA_OK; i += 2)
        status = world->pages.map(world->pages.context, world->stretch.handle, address(world, i), world->pool,
                                  PLACES - 1, 1);
    assert_int_equal(status, KVA_ELIMIT);
}

static void unmap_rest(const struct world *world)
{
    world->pages.unmap(world->pages.context, world->stretch.handle, address(world, PAGES),
                       world->stretch.frames - PAGES * page);
}

/** Where mappings run short, a part of a map stays where it is: be it that the source leaves the last ones to
 *  others, or that others have taken them, so that the kernel refuses. What takes no mapping moves. */
static void test_the_limit_on_mappings(void **state)
{
    const uint64_t left_to_others = test_number_in("/proc/sys/vm/max_map_count", 0) / 16;
    struct world world;

    (void)state;
    if (!has_gate() || !test_is_on_its_own("the limit on mappings"))
        return;
    for (unsigned late = 0; late < 2; late++) {
        struct test_crowd crowd = {NULL, 0};
        if (late == 0)
            crowd = test_crowd_in(left_to_others + 80);
        lay_out(&world);
        map(&world, 50, 30, 1);
        assert_int_equal(move(&world, 10, 60, 1), KVA_OK);
        assert_int_equal(move(&world, 60, 10, 1), KVA_OK);
        if (late == 1)
            crowd = test_crowd_in(1);
        if (crowd.first != NULL) {
            if (late == 0)
                use_up_mappings(&world);
            check_that(move(&world, 30, 110, 1) == KVA_OK, "a map of its own, late: %u", late);
            check_that(move(&world, 12, 100, 1) == KVA_ELIMIT, "late: %u", late);
            expect_contents(&world, "at the limit");
            test_leave(&crowd);
            unmap_rest(&world);
            expect_sound(&world, "at the limit");
        }
        assert_int_equal(move(&world, 12, 100, 1), KVA_OK);
        expect_contents(&world, "below the limit");
        finish(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_move_under_their_maps),
        cmocka_unit_test(test_parts_of_maps_move),
        cmocka_unit_test(test_holes_stay_holes),
        cmocka_unit_test(test_mappings_are_counted),
        cmocka_unit_test(test_frames_without_maps_move),
        cmocka_unit_test(test_systems_without_a_gate),
        cmocka_unit_test(test_check_knows_movable_maps),
        cmocka_unit_test(test_collapse_changes_nothing),
        cmocka_unit_test(test_no_store_is_lost),
        cmocka_unit_test(test_a_mover_that_stops_anywhere),
        cmocka_unit_test(test_each_call_is_refused),
        cmocka_unit_test(test_handlers_may_store),
        cmocka_unit_test(test_system_calls_get_efault),
        cmocka_unit_test(test_loads_wait_for_their_map),
        cmocka_unit_test(test_stores_come_back),
        cmocka_unit_test(test_the_spare_makes_room),
        cmocka_unit_test(test_maps_that_children_would_have),
        cmocka_unit_test(test_children_have_their_own),
        cmocka_unit_test(test_children_of_a_refused_process),
        cmocka_unit_test(test_the_limit_on_mappings),
    };

    page = test_page();
    no_gates = test_under_valgrind();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
