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
#include "../../ports/linux/userfault.h"
#include "../common/harness.h"
#include "../common/vmap.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static size_t page; /* bytes */

/* -------------------------------------------------------------------------- the system calls of the mover */

enum call { MMAP, MADVISE, READ, WRITE, SEEK, PUNCH, NEW_GATE, CONTROL };

/** What happens at the mover's calls. */
static _Thread_local struct plan {
    bool on;           /* this thread is the mover */
    unsigned calls;    /* so far */
    unsigned refuse;   /* this call, from 1; 0: none */
    unsigned more;     /* so many after it, too */
    int refusal;       /* errno */
    unsigned refused;  /* what these were: bits by enum call */
    bool leaves_holes; /* an mmap that is refused unmaps what was there, as before Linux 6.12 */
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
    plan.calls++;
    if (plan.refuse == 0 || plan.calls < plan.refuse || plan.calls > plan.refuse + plan.more)
        return false;
    plan.refused |= 1U << call;
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

static bool was_refused(enum call call)
{
    return (plan.refused >> call & 1) != 0;
}

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

/** Which of the calls a number is: the library maps what is in use by it. */
static bool is_watched(long number, enum call *call)
{
    *call = number == SYS_userfaultfd ? NEW_GATE : CONTROL;
#ifdef SYS_mmap
    if (number == SYS_mmap)
        *call = MMAP;
    return number == SYS_ioctl || number == SYS_userfaultfd || number == SYS_mmap;
#else
    return number == SYS_ioctl || number == SYS_userfaultfd;
#endif
}

long __wrap_syscall(long number, ...)
{
    va_list list;
    long arguments[6];
    enum call call;

    va_start(list, number);
    for (unsigned i = 0; i < 6; i++)
        arguments[i] = va_arg(list, long);
    va_end(list);
    bool watched = is_watched(number, &call);
    gates_opened += number == SYS_userfaultfd;
    if (watched && call != MMAP && no_gates) {
        errno = ENOSYS;
        return -1;
    }
    if (watched && refused(call)) {
        int error = errno;
        if (call == MMAP && plan.leaves_holes)
            (void)munmap((void *)arguments[0], (size_t)arguments[1]);
        errno = error;
        return -1;
    }
    long result = __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                                 arguments[5]);
    int error = errno;
    if (watched)
        point(call);
    errno = error;
    return result;
}

/** Whether the system can hold back who touches shared memory: what the library needs, by itself. */
static bool has_gate(void)
{
    const uint64_t spec = 1 << 12 | 1 << 10 | 1 << 5; /* write protection of shared memory; minor; missing */
    struct uffdio_api api = {.api = UFFD_API, .features = spec};

    if (no_gates)
        return false;
    int file = (int)__real_syscall(SYS_userfaultfd, (long)O_CLOEXEC | 1L);
    if (file < 0)
        return false;
    bool has = __real_syscall(SYS_ioctl, (long)file, (unsigned long)UFFDIO_API, &api) == 0 &&
               (api.features & spec) == spec;
    (void)close(file);
    return has;
}

/* --------------------------------------------------------------------------------------------- the frames */

enum { PLACES = 256, PAGES = 64, MAPS = 8 };

static enum kva_mechanism mechanism = KVA_MECHANISM_BEST;

/** A stretch, a movable pool, and maps of it. */
struct world {
    struct kva_pages pages;
    struct kva_reservation reservation;
    void *frame_set;
    uint64_t place_of[PAGES]; /* that a page shows; UINT64_MAX: it is closed */
    struct kva_pages_map maps[MAPS];
    size_t map_count;
    uint64_t apart; /* the page that a map begins with in any case */
};

static uint64_t address(const struct world *world, uint64_t number)
{
    return world->reservation.first + world->reservation.bytes - world->reservation.frames + number * page;
}

/** Word `index` of a page. */
static _Atomic uint64_t *word(const struct world *world, uint64_t number, unsigned index)
{
    return (_Atomic uint64_t *)(uintptr_t)address(world, number) + index;
}

static uint64_t load(const struct world *world, uint64_t number, unsigned index)
{
    return atomic_load_explicit(word(world, number, index), memory_order_relaxed);
}

static void store(const struct world *world, uint64_t number, unsigned index, uint64_t value)
{
    atomic_store_explicit(word(world, number, index), value, memory_order_relaxed);
}

static void begin(struct world *world)
{
    *world = (struct world){
        .pages = kva_pages_host(mechanism),
        .reservation = {.bytes = 8 * TEST_MIB,
                        .least = 8 * TEST_MIB,
                        .max = UINT64_MAX,
                        .frames = 4 * TEST_MIB},
    };
    for (unsigned i = 0; i < PAGES; i++)
        world->place_of[i] = UINT64_MAX;
    world->reservation.align = page;
    assert_int_equal(world->pages.reserve(world->pages.context, &world->reservation), KVA_OK);
    assert_int_equal(world->pages.create_frames(world->pages.context, world->reservation.handle, PLACES, true,
                                                &world->frame_set),
                     KVA_OK);
}

static void finish(struct world *world)
{
    world->pages.release(world->pages.context, world->reservation.handle);
    (void)close((int)world->pages.descriptor(world->pages.context, world->frame_set));
}

static void map(struct world *world, uint64_t number, uint64_t place, uint64_t count)
{
    assert_int_equal(world->pages.map(world->pages.context, world->reservation.handle, address(world, number),
                                      world->frame_set, place, count),
                     KVA_OK);
    for (uint64_t i = 0; i < count; i++)
        world->place_of[number + i] = place + i;
}

static void unmap(struct world *world, uint64_t number, uint64_t count)
{
    world->pages.unmap(world->pages.context, world->reservation.handle, address(world, number), count * page);
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
        if (last && last->start + last->count * page == address(world, i) && i != world->apart &&
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
    struct kva_pages_move spec = {world->frame_set, from, to, count, next_map, world};

    find_maps(world, from, count);
    plan.on = true;
    enum kva_status status = world->pages.move(world->pages.context, world->reservation.handle, &spec);
    plan.on = false;
    for (uint64_t i = 0; i < PAGES && status == KVA_OK; i++) {
        if (world->place_of[i] != UINT64_MAX && world->place_of[i] >= from &&
            world->place_of[i] < from + count)
            world->place_of[i] += to - from;
    }
    return status;
}

static int file_of_set(const struct world *world)
{
    return (int)world->pages.descriptor(world->pages.context, world->frame_set);
}

static uint64_t pages_in_file(const struct world *world)
{
    struct stat about;

    assert_int_equal(fstat(file_of_set(world), &about), 0);
    return (uint64_t)about.st_blocks * 512 / page;
}

/** The first word of a place, without a map; 0 for a hole. */
static uint64_t word_at(const struct world *world, uint64_t place)
{
    uint64_t value = 1;

    assert_int_equal(pread(file_of_set(world), &value, sizeof value, (off_t)(place * page)), sizeof value);
    return value;
}

static struct kva_pages_stats stats_of(const struct world *world)
{
    struct kva_pages_stats stats;

    world->pages.stats(world->pages.context, world->reservation.handle, &stats);
    return stats;
}

/* -------------------------------------------------------------------------------------- the kernel's word */

/** The mappings that lie in the stretch. */
static uint64_t mappings_in(const struct world *world)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    struct test_mapping mapping;
    uint64_t count = 0;

    assert_non_null(maps);
    while (test_next_mapping(maps, &mapping))
        count += mapping.first < world->reservation.first + world->reservation.bytes &&
                 mapping.last >= world->reservation.first;
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
        test_mapping_details(smaps, &mapping);
        const uint64_t offset = strtoull(mapping.about + strlen(" rw-s "), NULL, 16);
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

    return number == 0 ? world->frame_set : NULL;
}

/** What the source's own check says. */
static const char *check(struct world *world)
{
    const struct kva_pages_view view = {use_of, pool_number, world};
    uint64_t at;

    return world->pages.check(world->pages.context, world->reservation.handle, &view, &at);
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

/* ------------------------------------------------------------------------------------------------- moving */

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
static void move_parts_of_maps(void)
{
    struct world world;

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

static void test_parts_of_maps_move(void **state)
{
    (void)state;
    if (!has_gate())
        return;
    for_each_mechanism (mechanism, index)
        move_parts_of_maps();
    mechanism = KVA_MECHANISM_BEST;
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
            assert_int_equal(pwrite(file_of_set(&world), &value, sizeof value, (off_t)(i * page)),
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
        assert_int_equal(move(&world, 10, 100, 4), rows[i].passes ? KVA_ENOMEM : KVA_ENOENT);
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
    void *movable = world.frame_set;
    assert_int_equal(
        world.pages.create_frames(world.pages.context, world.reservation.handle, 4, false, &world.frame_set),
        KVA_OK);
    unmap(&world, 0, PAGES);
    map(&world, 5, 0, 4);
    assert_null(check(&world));
    assert_int_equal(madvise((void *)(uintptr_t)address(&world, 5), page, MADV_DONTFORK), 0);
    assert_non_null(check(&world));
    unmap(&world, 0, PAGES);
    world.pages.destroy_frames(world.pages.context, world.reservation.handle, world.frame_set);
    world.frame_set = movable;
    finish(&world);
}

/** Asking for huge pages changes no contents, and no attribute. */
static void test_collapse_changes_nothing(void **state)
{
    struct kva_pages pages = kva_pages_host(KVA_MECHANISM_BEST);
    const uint64_t huge = pages.huge;
    struct kva_reservation reservation = {
        .bytes = 8 * huge, .least = 8 * huge, .max = UINT64_MAX, .frames = 4 * huge};
    void *frame_set;

    (void)state;
    if (huge == 0 || huge > 4 * TEST_MIB)
        return;
    reservation.align = huge;
    assert_int_equal(pages.reserve(pages.context, &reservation), KVA_OK);
    assert_int_equal(
        pages.create_frames(pages.context, reservation.handle, 2 * huge / page, true, &frame_set), KVA_OK);
    uint64_t at = (reservation.first + reservation.bytes - 3 * huge) & ~(huge - 1);
    assert_int_equal(pages.map(pages.context, reservation.handle, at, frame_set, 0, 2 * huge / page), KVA_OK);
    for (uint64_t i = 0; i < 2 * huge / page; i += 3)
        *(uint64_t *)(uintptr_t)(at + i * page) = i;
    pages.collapse(pages.context, reservation.handle, at, 2 * huge);
    for (uint64_t i = 0; i < 2 * huge / page; i++)
        assert_int_equal(*(uint64_t *)(uintptr_t)(at + i * page), i % 3 == 0 ? i : 0);
    pages.unmap(pages.context, reservation.handle, at, 2 * huge);
    pages.destroy_frames(pages.context, reservation.handle, frame_set);
    pages.release(pages.context, reservation.handle);
}

enum { HUGE_BLOCKS = 4 };

/** Two maps of whole huge pages: the first block of a pool. */
struct huge_world {
    struct world world; /* its maps are these */
    uint64_t huge;
    uint64_t at[2];
};

static uint64_t *huge_word(const struct huge_world *huge, unsigned map, uint64_t number)
{
    return (uint64_t *)(uintptr_t)(huge->at[map] + number * page);
}

static void begin_huge(struct huge_world *huge)
{
    struct world *world = &huge->world;
    struct kva_pages *pages = &world->pages;
    const uint64_t bytes = huge->huge;

    world->reservation = (struct kva_reservation){
        .bytes = 12 * bytes, .least = 12 * bytes, .max = UINT64_MAX, .frames = 8 * bytes, .align = bytes};
    assert_int_equal(pages->reserve(pages->context, &world->reservation), KVA_OK);
    assert_int_equal(pages->create_frames(pages->context, world->reservation.handle,
                                          HUGE_BLOCKS * bytes / page, true, &world->frame_set),
                     KVA_OK);
    for (unsigned i = 0; i < 2; i++) {
        huge->at[i] = ((world->reservation.first + 6 * bytes) & ~(bytes - 1)) + i * 2 * bytes;
        assert_int_equal(pages->map(pages->context, world->reservation.handle, huge->at[i], world->frame_set,
                                    0, bytes / page),
                         KVA_OK);
    }
    for (uint64_t i = 0; i < bytes / page; i += 3)
        *huge_word(huge, 0, i) = i + 1;
    for (unsigned i = 0; i < 2; i++)
        pages->collapse(pages->context, world->reservation.handle, huge->at[i], bytes);
}

static void expect_huge(const struct huge_world *huge)
{
    for (uint64_t i = 0; i < huge->huge / page; i++) {
        const uint64_t value = i % 3 == 0 ? i + 1 : 0;
        assert_int_equal(*huge_word(huge, 0, i), value);
        assert_int_equal(*huge_word(huge, 1, i), value);
    }
}

/** Move some of the pages from block to block. */
static void move_huge(struct huge_world *huge, uint64_t first, uint64_t count, uint64_t from, uint64_t to)
{
    struct world *world = &huge->world;
    const uint64_t block = huge->huge / page;
    const struct kva_pages_move spec = {
        world->frame_set, from * block + first, to * block + first, count, next_map, world};

    world->map_count = 2;
    for (unsigned i = 0; i < 2; i++)
        world->maps[i] = (struct kva_pages_map){huge->at[i] + first * page, 0, count};
    assert_int_equal(world->pages.move(world->pages.context, world->reservation.handle, &spec), KVA_OK);
}

/** Maps by huge pages, where the system gives them, move as a whole and in parts. */
static void test_huge_maps_move(void **state)
{
    struct huge_world huge = {.world = {.pages = kva_pages_host(KVA_MECHANISM_BEST)}};
    const uint64_t part = 32;

    (void)state;
    huge.huge = huge.world.pages.huge;
    if (!has_gate() || huge.huge == 0 || huge.huge > 4 * TEST_MIB)
        return;
    begin_huge(&huge);
    expect_huge(&huge);
    move_huge(&huge, 0, huge.huge / page, 0, 1);
    expect_huge(&huge);
    for (uint64_t i = 0; i < huge.huge / page; i += part) {
        move_huge(&huge, i, part, 1, 2);
        if (i == part)
            expect_huge(&huge);
    }
    expect_huge(&huge);
    finish(&huge.world);
}

/* ----------------------------------------------------------------------------------------- beside threads */

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

/** Threads that wait for the mover to stop, then store to a frame that nobody has written to through one map
 *  and load it through the other. */
struct first_store {
    const struct world *world;
    unsigned number; /* of the thread: its word in the frame */
    uint64_t to;     /* the page it stores to */
    uint64_t from;   /* the one it loads */
    uint64_t before; /* what it has loaded before its store, and after it */
    uint64_t after;
};

static atomic_uint turn;
static atomic_uint turns_done;
static unsigned turn_at;

static void *store_first(void *argument)
{
    struct first_store *first = argument;

    while (atomic_load(&turn) == 0)
        (void)sched_yield();
    first->before = load(first->world, first->from, first->number);
    store(first->world, first->to, first->number, 5);
    first->after = load(first->world, first->from, first->number);
    atomic_fetch_add(&turns_done, 1);
    return NULL;
}

/** Both threads have time to come as far as the mover lets them. */
static void give_turn(enum call call)
{
    (void)call;
    if (plan.points + 1 != turn_at)
        return;
    atomic_store(&turn, 1);
    for (unsigned i = 0; i < 20 && atomic_load(&turns_done) < 2; i++)
        sleep_a_little();
}

/** Holes are seen alike through all maps, too: the first store may come at any moment of a move. */
static void test_holes_are_seen_alike(void **state)
{
    struct world world;
    bool reached = true;

    (void)state;
    if (!has_gate())
        return;
    for (turn_at = 1; reached; turn_at += (unsigned)test_stride()) {
        struct first_store firsts[2] = {{&world, 1, 5, 23, 0, 0}, {&world, 2, 23, 5, 0, 0}};
        pthread_t threads[2];
        lay_out(&world);
        atomic_store(&turn, 0);
        atomic_store(&turns_done, 0);
        for (unsigned i = 0; i < 2; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, store_first, &firsts[i]), 0);
        plan = (struct plan){.at_point = give_turn};
        assert_int_equal(move(&world, 10, 100, 4), KVA_OK);
        reached = plan.points >= turn_at;
        plan = (struct plan){.on = false};
        atomic_store(&turn, 1);
        for (unsigned i = 0; i < 2; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            check_that(firsts[i].before == 0 && firsts[i].after == 5,
                       "point %u: thread %u has loaded %" PRIu64 ", and %" PRIu64 " after its store", turn_at,
                       i, firsts[i].before, firsts[i].after);
        }
        expect_contents(&world, "holes beside threads");
        finish(&world);
    }
}

/** Whether the kernel can protect a range of several mappings by one call: Linux 6.3 and later. */
static bool protects_several(void)
{
    struct utsname name;
    char *minor;

    assert_int_equal(uname(&name), 0);
    unsigned long major = strtoul(name.release, &minor, 10);
    return major > 6 || (major == 6 && *minor == '.' && strtoul(minor + 1, NULL, 10) >= 3);
}

/** Memory that the owner has locked, also a part of a map: it moves, and is locked no more. */
static void test_locked_maps_move(void **state)
{
    struct world world;
    struct crew crew;

    (void)state;
    if (!has_gate())
        return;
    lay_out(&world);
    start(&crew, &world);
    const uint64_t moves = test_scaled(200);
    for (uint64_t i = 0; i < moves; i++) {
        const uint64_t from = i % 2 == 0 ? 10 : 100;
        for (uint64_t number = 2; i % 3 == 0 && number <= 20; number += 18)
            (void)mlock((void *)(uintptr_t)address(&world, number), (size_t)(i % 4 + 1) * page);
        if (move(&world, from, 110 - from, 4) == KVA_OK)
            continue;
        assert_false(protects_several());
        (void)munlock((void *)(uintptr_t)address(&world, 0), PAGES * page);
        assert_int_equal(move(&world, from, 110 - from, 4), KVA_OK);
    }
    stop(&crew, &world, "locked", 0);
    expect_contents(&world, "locked");
    (void)munlock((void *)(uintptr_t)address(&world, 0), PAGES * page);
    expect_sound(&world, "locked");
    finish(&world);
}

/** What a plan's refusals cannot but leave behind: a map without the mark, if that is refused for good; and
 *  what could neither be drained nor cleared. */
static bool is_all_marked(void)
{
    return !was_refused(MADVISE) || plan.more == 0;
}

static bool is_all_drained(void)
{
    return !was_refused(PUNCH) || !was_refused(WRITE);
}

static void expect_drained(const struct world *world, uint64_t place)
{
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(word_at(world, place + i), 0);
}

/** Call number k of a move is refused, and so many after it: the move is made, or nothing has happened; and
 *  then it is made. */
static void move_by_plan(struct world *world)
{
    enum kva_status status = move(world, 10, 100, 4);
    const bool marked = is_all_marked();
    const bool drained = is_all_drained();

    check_that(status == KVA_OK || status == KVA_ENOMEM, "call %u, and %u: %s", plan.refuse, plan.more,
               kva_status_name(status));
    plan.refuse = 0;
    plan.stop = 0;
    if (marked)
        expect_sound(world, "refused");
    if (drained)
        expect_drained(world, status == KVA_OK ? 10 : 100);
    if (status == KVA_OK)
        return;
    assert_int_equal(move(world, 10, 100, 4), KVA_OK);
    expect_sound(world, "after a refusal");
    if (drained)
        expect_drained(world, 10);
}

/** The same beside threads, and the mover is slow from there on. Returns whether there was such a call. */
static bool refuse_some(unsigned k, unsigned more, int refusal)
{
    struct world world;
    struct crew crew;

    lay_out(&world);
    start(&crew, &world);
    plan = (struct plan){.refuse = k, .more = more, .refusal = refusal};
    move_by_plan(&world);
    bool reached = plan.refused != 0;
    plan = (struct plan){.on = false};
    stop(&crew, &world, "refused call", k);
    expect_contents(&world, "refused");
    finish(&world);
    return reached;
}

static void test_each_call_is_refused(void **state)
{
    static const struct {
        int refusal;
        unsigned more;
    } rows[] = {{ENOMEM, 0}, {EAGAIN, 0}, {EINTR, 0}, {ENOMEM, 1}, {ENOMEM, 20}, {EAGAIN, 20}};
    unsigned visited = 0;

    (void)state;
    if (!has_gate())
        return;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (unsigned k = 1; refuse_some(k, rows[i].more, rows[i].refusal); k += (unsigned)test_stride())
            visited++;
    }
    print_message("visited %u refusals\n", visited);
}

/** A refusal that lasts: who has begun to show the new place does not give up. */
static void test_a_refusal_that_lasts(void **state)
{
    const unsigned tries = 1 + (unsigned)test_scaled(1100);

    (void)state;
    if (!has_gate())
        return;
    for (unsigned k = 1;; k++) {
        struct world world;
        lay_out(&world);
        plan = (struct plan){.refuse = k, .refusal = ENOMEM};
        (void)move(&world, 10, 100, 4);
        bool is_mmap = was_refused(MMAP);
        plan = (struct plan){.on = false};
        finish(&world);
        if (!is_mmap)
            continue;
        lay_out(&world);
        plan = (struct plan){.refuse = k + 1, .more = tries, .refusal = ENOMEM};
        assert_int_equal(move(&world, 10, 100, 4), KVA_OK);
        plan = (struct plan){.on = false};
        expect_contents(&world, "a refusal that lasts");
        expect_sound(&world, "a refusal that lasts");
        finish(&world);
        break;
    }
}

/** Kernels on which a refused mmap unmaps what was there. */
static void test_refusals_that_leave_holes(void **state)
{
    bool reached = true;

    (void)state;
    if (!has_gate())
        return;
    for (unsigned more = 0; more < 3; more++) {
        reached = true;
        for (unsigned k = 1; reached; k += (unsigned)test_stride()) {
            struct world world;
            lay_out(&world);
            plan = (struct plan){.refuse = k, .more = more, .refusal = ENOMEM, .leaves_holes = true};
            move_by_plan(&world);
            reached = plan.refused != 0;
            plan = (struct plan){.on = false};
            expect_contents(&world, "holes");
            finish(&world);
        }
    }
}

/* ---------------------------------------------------------------------------------- signals, system calls */

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

/** A system call that reads a frame, at every moment of a move. */
static void write_from_frame(enum call call)
{
    char bytes[8];

    (void)call;
    if (write(pipe_ends[1], (const void *)word(signalled, 2, 0), sizeof bytes) < 0)
        faulted += errno == EFAULT;
    else
        assert_int_equal(read(pipe_ends[0], bytes, sizeof bytes), sizeof bytes);
}

/** Loads are held only where a frame is shown twice: else nobody can see a difference. */
static void test_loads_go_on(void **state)
{
    struct world world;

    (void)state;
    if (!has_gate())
        return;
    for (unsigned twice = 0; twice < 2; twice++) {
        begin(&world);
        map(&world, 2, 10, 2);
        map(&world, 20, 12, 2);
        if (twice == 1)
            map(&world, 30, 11, 1);
        store(&world, 2, 0, 7);
        signalled = &world;
        faulted = 0;
        assert_int_equal(pipe(pipe_ends), 0);
        plan = (struct plan){.at_point = write_from_frame};
        assert_int_equal(move(&world, 10, 100, 4), KVA_OK);
        plan = (struct plan){.on = false};
        check_that((faulted > 0) == (twice == 1), "shown twice: %u, failed: %u", twice, faulted);
        assert_int_equal(load(&world, 2, 0), 7);
        expect_sound(&world, "loads go on");
        (void)close(pipe_ends[0]);
        (void)close(pipe_ends[1]);
        finish(&world);
    }
}

/** Threads that load what two frames hold through the second map of them. */
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

/** A system call does not wait: it fails where a thread would. */
static void expect_held(uint64_t number)
{
    const ssize_t done = write(pipe_ends[1], (const void *)word(signalled, number, 9), 8);

    check_that(done < 0 && errno == EFAULT, "page %" PRIu64 " is loaded from", number);
}

static unsigned points_at_mmap;

/** When the first map shows the new place, and the second one does not yet: the third of the points before
 *  and after the calls that show it. What is stored through the first is looked for through the second. */
static void store_when_one_is_there(enum call call)
{
    if (call != MMAP || ++points_at_mmap != 3)
        return;
    store(signalled, 3, 9, 77);
    store(signalled, 5, 9, 78);
    expect_held(21);
    expect_held(23);
    begin_to_look(&looks[0], 21);
    begin_to_look(&looks[1], 23);
    for (unsigned i = 0; i < 3; i++)
        sleep_a_little();
}

/** What was stored through a map that shows the new place is loaded through one that shows the old one: the
 *  load waits until that shows the new one, too. Of the two frames the second is a hole, and the first may
 *  be; it may be in the page tables; and a third map may show it. */
static void test_loads_wait_for_their_map(void **state)
{
    struct world world;

    (void)state;
    if (!has_gate())
        return;
    assert_int_equal(pipe(pipe_ends), 0);
    for (unsigned round = 0; round < 4; round++) {
        begin(&world);
        map(&world, 2, 10, 4);
        map(&world, 20, 10, 4);
        if (round % 2 == 1)
            map(&world, 40, 11, 1);
        store(&world, 2, 0, 1);
        if (round >= 2) {
            store(&world, 3, 0, 1);
            assert_int_equal(load(&world, 21, 0), 1); /* in the page tables */
        }
        signalled = &world;
        points_at_mmap = 0;
        plan = (struct plan){.at_point = store_when_one_is_there};
        assert_int_equal(move(&world, 10, 100, 4), KVA_OK);
        plan = (struct plan){.on = false};
        assert_true(points_at_mmap > 3);
        for (unsigned i = 0; i < 2; i++) {
            assert_int_equal(pthread_join(looks[i].thread, NULL), 0);
            assert_int_equal(looks[i].value, 77 + i);
        }
        expect_sound(&world, "loads");
        finish(&world);
    }
    (void)close(pipe_ends[0]);
    (void)close(pipe_ends[1]);
}

static void cancel_me(enum call call)
{
    (void)call;
    if (plan.points == 0)
        (void)pthread_cancel(pthread_self());
}

static enum kva_status cancelled_move;

static void *move_cancelled(void *argument)
{
    int state = -1;

    cancelled_move = KVA_EBUSY;
    plan = (struct plan){.at_point = cancel_me};
    cancelled_move = move(argument, 10, 100, 4);
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    check_that(state == PTHREAD_CANCEL_ENABLE, "cancelling is %d", state);
    return NULL;
}

/** A thread that is cancelled while it moves frames is so after the move. */
static void test_a_cancelled_mover(void **state)
{
    struct world world;
    pthread_t thread;

    (void)state;
    for (unsigned mapped = has_gate() ? 2 : 1; mapped-- > 0;) {
        lay_out(&world);
        if (mapped == 0)
            unmap(&world, 0, PAGES);
        assert_int_equal(pthread_create(&thread, NULL, move_cancelled, &world), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(cancelled_move, KVA_OK);
        assert_int_equal(word_at(&world, 101), 1001);
        if (mapped == 1)
            expect_contents(&world, "cancelled");
        expect_sound(&world, "cancelled");
        finish(&world);
    }
}

static bool is_too_large_pending(void)
{
    sigset_t pending;

    assert_int_equal(sigpending(&pending), 0);
    return sigismember(&pending, SIGXFSZ) == 1;
}

/** Moves that write beyond the limit on the size of files: refused, and that is all. */
static void move_beyond_the_limit(struct world *world)
{
    struct rlimit before;
    void *frame_set;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit limit = {50 * page, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    enum kva_status status = move(world, 10, 100, 4);
    enum kva_status made =
        world->pages.create_frames(world->pages.context, world->reservation.handle, PLACES, true, &frame_set);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(status, KVA_ENOMEM);
    assert_int_equal(made, KVA_ENOMEM);
}

/** SIGXFSZ ends a process that does not expect it. One that was there before stays. */
static void test_the_limit_on_files(void **state)
{
    struct world world;
    sigset_t one, before;
    int number;

    (void)state;
    if (!test_is_on_its_own("the limit on the size of files"))
        return;
    for (unsigned mapped = has_gate() ? 2 : 1; mapped-- > 0;) {
        lay_out(&world);
        if (mapped == 0)
            unmap(&world, 0, PAGES);
        const uint64_t used = pages_in_file(&world);
        move_beyond_the_limit(&world);
        (void)sigemptyset(&one);
        (void)sigaddset(&one, SIGXFSZ);
        assert_int_equal(pthread_sigmask(SIG_BLOCK, &one, &before), 0);
        move_beyond_the_limit(&world);
        assert_false(is_too_large_pending());
        assert_int_equal(raise(SIGXFSZ), 0);
        move_beyond_the_limit(&world);
        assert_true(is_too_large_pending());
        assert_int_equal(sigwait(&one, &number), 0);
        assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
        assert_int_equal(pages_in_file(&world), used);
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(word_at(&world, 10 + i), 1000 + i);
        if (mapped == 1)
            expect_contents(&world, "beyond the limit");
        expect_sound(&world, "beyond the limit");
        finish(&world);
    }
}

/* ------------------------------------------------------------------------------------------ forks, limits */

static void refuse_first_advice(enum call call)
{
    if (call == MADVISE && plan.refuse == 0)
        plan.refuse = plan.calls + 1;
}

/** A map that cannot be kept from children is refused, and nothing is there. */
static void test_maps_that_children_would_have(void **state)
{
    struct world world;

    (void)state;
    begin(&world);
    plan = (struct plan){.on = true, .refusal = EINVAL, .at_point = refuse_first_advice};
    const enum kva_status status = world.pages.map(world.pages.context, world.reservation.handle,
                                                   address(&world, 2), world.frame_set, 10, 4);
    const bool reached = was_refused(MADVISE);
    plan = (struct plan){.on = false};
    assert_true(reached);
    assert_int_equal(status, KVA_ENOMEM);
    expect_sound(&world, "refused");
    map(&world, 2, 10, 4);
    expect_sound(&world, "granted");
    finish(&world);
}

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
    pages->unmap(pages->context, world->reservation.handle, address(world, 0), PAGES * page);
    child_that(test_is_emulated() || (!is_hole(world, 2) && !is_hole(world, 23) && !is_hole(world, 40)));
    child_that(test_under_valgrind() || test_is_closed((void *)(uintptr_t)address(world, 2)));
    child_that(stats_of(world).mappings == 1);
    child_that(pages->create_frames(pages->context, world->reservation.handle, PLACES, true,
                                    &world->frame_set) == KVA_OK);
    child_that(pages->map(pages->context, world->reservation.handle, address(world, 2), world->frame_set, 10,
                          1) == KVA_OK);
    store(world, 2, 0, 5);
    struct kva_pages_move spec = {world->frame_set, 10, 100, 1, next_map, world};
    world->maps[0] = (struct kva_pages_map){address(world, 2), 0, 1};
    world->map_count = 1;
    unsigned opened = gates_opened;
    for (unsigned i = 0; i < 3; i++) {
        child_that(pages->move(pages->context, world->reservation.handle, &spec) ==
                   (can ? KVA_OK : KVA_ENOENT));
        spec.from = 110 - spec.from;
        spec.to = 110 - spec.to;
    }
    child_that(gates_opened == opened + 1);
    child_that(load(world, 2, 0) == 5);
    return 0;
}

/** How much memory is locked, as RLIMIT_MEMLOCK counts it. */
static rlim_t locked_bytes(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    rlim_t kib = 0;
    char line[256];

    child_that(file != NULL);
    while (fgets(line, sizeof line, file) != NULL)
        kib = strncmp(line, "VmLck:", 6) == 0 ? (rlim_t)strtoull(line + 6, NULL, 10) : kib;
    fclose(file);
    return 1024 * kib;
}

/** A program that locks all that it maps, as far as an unprivileged one may. There is room for the first
 *  map to be mapped again, but not for the second one, whose old pages count until they are gone. */
static int be_short_of_locked_memory(void *context)
{
    struct world *world = context;
    struct kva_pages *pages = &world->pages;
    struct kva_pages_move spec = {world->frame_set, 10, 100, 4, next_map, world};
    const uint64_t numbers[] = {2, 20};
    const uint64_t counts[] = {1, 4};

    child_that(geteuid() != 0 || setresuid(65534, 65534, 65534) == 0);
    if (mlockall(MCL_FUTURE) != 0) /* not even that is allowed */
        return 0;
    for (unsigned i = 0; i < 2; i++) {
        child_that(pages->map(pages->context, world->reservation.handle, address(world, numbers[i]),
                              world->frame_set, 10, counts[i]) == KVA_OK);
        world->maps[i] = (struct kva_pages_map){address(world, numbers[i]), 0, counts[i]};
    }
    world->map_count = 2;
    store(world, 20, 0, 7);
    const rlim_t most = locked_bytes() + 2 * page;
    child_that(setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){most, most}) == 0);
    child_that(pages->move(pages->context, world->reservation.handle, &spec) == KVA_OK);
    child_that(load(world, 2, 0) == 7 && load(world, 20, 0) == 7);
    store(world, 2, 0, 8);
    child_that(load(world, 20, 0) == 8);
    return 0;
}

static void test_all_is_locked(void **state)
{
    struct world world;

    (void)state;
    if (!has_gate() || test_is_emulated())
        return;
    begin(&world);
    struct test_child child = test_in_child(be_short_of_locked_memory, &world);
    test_expect_success(&child, "locked");
    finish(&world);
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

/** The system has refused the parent for good; a child it may not. */
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
        status = world->pages.map(world->pages.context, world->reservation.handle, address(world, i),
                                  world->frame_set, PLACES - 1, 1);
    assert_int_equal(status, KVA_ELIMIT);
}

static void unmap_rest(const struct world *world)
{
    world->pages.unmap(world->pages.context, world->reservation.handle, address(world, PAGES),
                       world->reservation.frames - PAGES * page);
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

enum { FEW = 200 };

/** Mappings that another thread takes and gives back, as it were. */
static struct {
    void *pages[FEW];
    unsigned count;
    unsigned from; /* the points of the mover at which all that there are are taken */
    unsigned times;
    unsigned until; /* the one at which they are given back */
} others;

/** As many as the kernel grants: it allows one more than the limit. */
static void take_mappings(void)
{
    while (others.count < FEW) {
        const int protection = others.count % 2 == 0 ? PROT_READ : PROT_NONE;
        void *at = __real_mmap(NULL, page, protection, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED)
            return;
        others.pages[others.count++] = at;
    }
}

static void give_mappings(void)
{
    while (others.count > 0)
        (void)munmap(others.pages[--others.count], page);
}

static void meddle(enum call call)
{
    const unsigned now = plan.points + 1;

    (void)call;
    if (now >= others.from && now < others.from + others.times)
        take_mappings();
    if (now == others.until)
        give_mappings();
}

/** Maps that are neighbours, and show neighbours: pages 2 and 3, of which the last will be the neighbour of
 *  one that stays; and a range of three mappings, by what its owner has done. */
static void lay_out_neighbours(struct world *world)
{
    begin(world);
    map(world, 2, 10, 1);
    map(world, 3, 11, 1);
    map(world, 4, 102, 1);
    map(world, 20, 10, 2);
    map(world, 30, 8, 6);
    world->apart = 3;
    store(world, 2, 0, 1);
    store(world, 3, 0, 2);
    assert_int_equal(move(world, 50, 51, 1), KVA_OK);
    assert_int_equal(move(world, 10, 60, 1), KVA_OK);
    assert_int_equal(move(world, 60, 10, 1), KVA_OK);
}

static void expect_neighbours(const struct world *world, unsigned k)
{
    for (unsigned i = 0; i < 2; i++) {
        const uint64_t values[] = {load(world, 2 + i, 0), load(world, 20 + i, 0), load(world, 32 + i, 0)};
        check_that(values[0] == i + 1 && values[1] == i + 1 && values[2] == i + 1,
                   "point %u: frame %u holds %" PRIu64 ", %" PRIu64 ", %" PRIu64, k, i, values[0], values[1],
                   values[2]);
        store(world, 2 + i, 1, k);
        store(world, 20 + i, 2, k);
        store(world, 32 + i, 3, k);
    }
}

/** A move while others take all mappings at point k: once, and keep them; or several times, and give them
 *  back after a while, as nothing can be done without one. Returns whether the move has come so far. */
static bool move_beside_takers(struct world *world, unsigned k, unsigned times)
{
    others.from = k;
    others.times = times;
    others.until = times == 1 ? 0 : k + times + 10;
    plan = (struct plan){.at_point = meddle};
    enum kva_status status = move(world, 10, 100, 2);
    const bool reached = plan.points >= k;
    plan = (struct plan){.on = false};
    expect_neighbours(world, k);
    give_mappings();
    check_that(status == KVA_OK || status == KVA_ENOMEM || status == KVA_ELIMIT, "point %u: %s", k,
               kva_status_name(status));
    if (status == KVA_OK)
        assert_int_equal(move(world, 100, 10, 2), KVA_OK);
    expect_neighbours(world, k);
    return reached;
}

/** Other threads take all the mappings there are at any moment of a move, and the one that the mover gives
 *  back, too: nothing is lost, and nobody waits. */
static void meet_takers(unsigned times, bool divided)
{
    struct world world;
    unsigned visited = 0;

    lay_out_neighbours(&world);
    struct test_crowd crowd = test_crowd_in(FEW / 2);
    for (unsigned k = 1;; k += (unsigned)test_stride()) {
        if (divided)
            assert_int_equal(madvise((void *)(uintptr_t)address(&world, 31), 2 * page, MADV_SEQUENTIAL), 0);
        const bool reached = move_beside_takers(&world, k, times);
        visited++;
        if (!reached)
            break;
    }
    test_leave(&crowd);
    assert_int_equal(madvise((void *)(uintptr_t)address(&world, 31), 2 * page, MADV_NORMAL), 0);
    expect_sound(&world, "beside takers");
    print_message("visited %u points\n", visited);
    finish(&world);
}

static void test_mappings_taken_meanwhile(void **state)
{
    (void)state;
    if (!has_gate() || !test_is_on_its_own("the limit on mappings"))
        return;
    meet_takers(1, true);
    meet_takers(30, false);
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
        cmocka_unit_test(test_huge_maps_move),
        cmocka_unit_test(test_no_store_is_lost),
        cmocka_unit_test(test_a_mover_that_stops_anywhere),
        cmocka_unit_test(test_holes_are_seen_alike),
        cmocka_unit_test(test_locked_maps_move),
        cmocka_unit_test(test_all_is_locked),
        cmocka_unit_test(test_each_call_is_refused),
        cmocka_unit_test(test_a_refusal_that_lasts),
        cmocka_unit_test(test_refusals_that_leave_holes),
        cmocka_unit_test(test_handlers_may_store),
        cmocka_unit_test(test_system_calls_get_efault),
        cmocka_unit_test(test_loads_go_on),
        cmocka_unit_test(test_loads_wait_for_their_map),
        cmocka_unit_test(test_a_cancelled_mover),
        cmocka_unit_test(test_the_limit_on_files),
        cmocka_unit_test(test_maps_that_children_would_have),
        cmocka_unit_test(test_children_have_their_own),
        cmocka_unit_test(test_children_of_a_refused_process),
        cmocka_unit_test(test_the_limit_on_mappings),
        cmocka_unit_test(test_mappings_taken_meanwhile),
    };

    page = test_page();
    no_gates = test_under_valgrind();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
