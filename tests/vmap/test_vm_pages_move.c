/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Moving mapped frames: the Linux page source alone, without an instance over it.
 *
 * The linker binds this program's calls to the functions below (--wrap), as in test_vm_pages.c. In the moving
 * thread ("the mover") they are the points at which it is stopped, refused or interrupted, so that other
 * threads run between any two of its system calls.
 *
 * Where the system cannot hold stores back (32-bit kernels, 64-bit Arm before Linux 6.10, emulators), mapped
 * frames do not move; the tests expect that. Under Valgrind userfaultfd is refused: Valgrind runs one thread
 * at a time, and a thread that waits for a page would block the others.
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
    unsigned refuse;   /* number of the first refused call, from 1; 0: none */
    unsigned more;     /* refused calls after it */
    int refusal;       /* errno */
    unsigned refused;  /* kinds of the refused calls: bits by enum call */
    bool leaves_holes; /* a refused mmap unmaps the old pages, as before Linux 6.12 */
    unsigned stop;     /* the point to sleep at, from 1; there is one before and one after each call */
    unsigned points;
    void (*at_point)(enum call call); /* called at each point */
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
        plan.on = false; /* calls of at_point are not the mover's */
        plan.at_point(call);
        plan.on = true;
    }
    if (++plan.points == plan.stop || (plan.refuse > 0 && plan.calls >= plan.refuse))
        sleep_a_little();
}

/** Before a call: whether to refuse it. */
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

/** After a call: return its result with its errno. */
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

/** Pass a call on unless it is refused. A host with 32-bit offsets calls the names with 64. */
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

/** Whether a system call counts, and as which call: the library maps over pages in use by SYS_mmap. */
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

/** Whether the system can hold back threads that touch shared memory. Does not use the library. */
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

/** A reservation, a movable frame set, and maps of it. */
struct world {
    struct kva_pages pages;
    struct kva_reservation reservation;
    void *frame_set;
    uint64_t place_of[PAGES]; /* the place that a page maps; UINT64_MAX: closed */
    struct kva_pages_map maps[MAPS];
    size_t map_count;
    uint64_t apart; /* a page at which a new run begins in any case */
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

/** Find the runs of pages that map frames of a range. */
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

/** Move frames, with the current plan. */
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

/** The first word of a place, read from the file; 0 for a hole. */
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

/* -------------------------------------------------------------------------------------- the kernel's view */

/** Count the mappings in the reservation. */
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

/** Fail unless each page maps its place, and is not registered with a userfaultfd. An emulator may report its
 *  own mappings. */
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
                       "%s: page %" PRIu64 " does not map place %" PRIu64 ":%s", what, i, world->place_of[i],
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

static void *frame_set_number(void *context, size_t number)
{
    const struct world *world = context;

    return number == 0 ? world->frame_set : NULL;
}

/** The result of the source's own check. */
static const char *check(struct world *world)
{
    const struct kva_pages_view view = {use_of, frame_set_number, world};
    uint64_t at;

    return world->pages.check(world->pages.context, world->reservation.handle, &view, &at);
}

static void expect_sound(struct world *world, const char *what)
{
    const char *wrong = check(world);

    check_that(wrong == NULL, "%s: the check reports %s", what, wrong);
    expect_maps(world, what);
}

/** Two maps of the frames at places 10 .. 13, one of them in two parts, and a map of a single page. The first
 *  three frames have contents. */
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
                   "%s: frame %u holds %" PRIu64 " and %" PRIu64 " by its two maps", what, i,
                   load(world, 2 + i, 0), load(world, 20 + i, 0));
    }
    check_that(load(world, 40, 0) == 1001, "%s: page 40 holds %" PRIu64 ", not 1001", what,
               load(world, 40, 0));
}

/* ------------------------------------------------------------------------------------------------- moving */

/** Contents and holes move to the new place, all maps refer to it, and the old place is discarded. A store
 *  through one map is read through the others. Without a gate nothing changes. */
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
        check_that(status == (can ? KVA_OK : KVA_ENOENT), "%s expected, %s returned",
                   can ? "KVA_OK" : "KVA_ENOENT", kva_status_name(status));
        assert_int_equal(pages_in_file(&world), used);
        for (unsigned i = 0; i < 4 && can; i++) {
            assert_int_equal(word_at(&world, to + i), i < 3 ? 1000 + i : 0);
            assert_int_equal(word_at(&world, from + i), 0);
        }
        expect_sound(&world, "moved");
        if (!can)
            break;
    }
    expect_contents(&world, "moved back and forth");
    store(&world, 21, 5, 77);
    assert_int_equal(load(&world, 3, 5), 77);
    assert_int_equal(load(&world, 40, 5), 77);
    finish(&world);
}

/** Move some of the frames of a map; the others stay. */
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

/** More frames than the source copies at once, with holes: the file gets no additional pages. */
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

/** The counted mappings equal the kernel's. Where frames become consecutive again, the kernel merges their
 *  maps; the source does not count that. */
static void test_mappings_are_counted(void **state)
{
    struct world world;

    (void)state;
    if (!has_gate() || !test_is_on_its_own("counting mappings of moved maps"))
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

/** Frames without maps move on every system. */
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

/** If the system has no userfaultfd, the source asks once; if it has no free descriptor, each time. */
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
    assert_int_equal(move(&world, 30, 100, 4), KVA_OK); /* frames without maps */
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

/** The check finds attributes that others have set on maps; MADV_DONTFORK is expected on movable maps
 *  only. */
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

/** A request for huge pages changes neither contents nor attributes. */
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

/** Two maps of the first block of a frame set, by whole huge pages. */
struct huge_world {
    struct world world; /* its maps are at[] */
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

/** Move `count` pages from block `from` to block `to`. */
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

/** Maps with huge pages move as a whole and in parts. */
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

/* ------------------------------------------------------------------------------------- with other threads */

enum { THREADS = 4 };

/** A thread that stores to its own words through one map and loads them through another, without a pause; it
 *  also checks that no other thread's word decreases. The last thread uses only the frame with three maps,
 *  so that other frames do not hold it up. */
struct traffic {
    const struct world *world;
    unsigned number; /* of the thread; also the index of its word, from 1 */
    uint64_t rounds; /* completed rounds */
    atomic_bool *over;
    const char *wrong;
};

static bool has_frame(unsigned number, unsigned frame)
{
    return number < THREADS || frame == 1;
}

/** The pages that map frame `frame`, in turn. */
static uint64_t page_of(unsigned frame, uint64_t turn)
{
    if (frame == 1 && turn % 3 == 2)
        return 40;
    return (turn % 2 == 0 ? 2 : 20) + frame;
}

static void expect_no_older_word(struct traffic *traffic, unsigned frame, uint64_t round)
{
    unsigned other = 1 + traffic->number % THREADS;
    uint64_t before = load(traffic->world, page_of(frame, round), other);
    uint64_t then = load(traffic->world, page_of(frame, round + 1), other);

    if (then < before)
        traffic->wrong = "a word of another thread was larger through another map before";
}

static void *store_and_load(void *argument)
{
    struct traffic *traffic = argument;

    while (!atomic_load(traffic->over) && !traffic->wrong) {
        uint64_t round = ++traffic->rounds;
        for (unsigned frame = 0; frame < 4; frame++) {
            if (!has_frame(traffic->number, frame))
                continue;
            if (load(traffic->world, page_of(frame, round + 1), traffic->number) != round - 1)
                traffic->wrong = "a word does not hold its last store";
            store(traffic->world, page_of(frame, round), traffic->number, round);
            if (load(traffic->world, page_of(frame, round + 1), traffic->number) != round ||
                load(traffic->world, page_of(frame, round + 2), traffic->number) != round)
                traffic->wrong = "a store through one map was not seen through another";
            expect_no_older_word(traffic, frame, round);
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
        assert_int_equal(pthread_create(&crew->threads[i], NULL, store_and_load, &crew->traffic[i]), 0);
    }
}

/** End the threads. Fail unless all their stores are visible through every map. */
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
                           "%s %u: thread %u stored %" PRIu64 " to frame %u, which holds %" PRIu64, what,
                           number, i, crew->traffic[i].rounds, frame, value);
            }
        }
    }
}

/** Frames move back and forth without a pause. */
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

/** The mover sleeps before or after each of its calls, in turn, while the others run. */
static void test_mover_stops_at_each_point(void **state)
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

/** Threads that wait for the mover to stop, then store to a hole through one map and load it through the
 *  other. */
struct first_store {
    const struct world *world;
    unsigned number; /* of the thread: its word in the frame */
    uint64_t to;     /* the page it stores to */
    uint64_t from;   /* the page it loads */
    uint64_t before; /* loaded before its store, and after it */
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

/** Give both threads time to run as far as the mover lets them. */
static void give_turn(enum call call)
{
    (void)call;
    if (plan.points + 1 != turn_at)
        return;
    atomic_store(&turn, 1);
    for (unsigned i = 0; i < 20 && atomic_load(&turns_done) < 2; i++)
        sleep_a_little();
}

/** All maps agree on holes: the first store may happen at any point of a move. */
static void test_maps_agree_on_holes(void **state)
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
                       "point %u: thread %u loaded %" PRIu64 ", and %" PRIu64 " after its store", turn_at, i,
                       firsts[i].before, firsts[i].after);
        }
        expect_contents(&world, "holes beside threads");
        finish(&world);
    }
}

/** Whether one call can protect a range of several mappings: Linux 6.3 and later. */
static bool protects_several(void)
{
    struct utsname name;
    char *minor;

    assert_int_equal(uname(&name), 0);
    unsigned long major = strtoul(name.release, &minor, 10);
    return major > 6 || (major == 6 && *minor == '.' && strtoul(minor + 1, NULL, 10) >= 3);
}

/** Maps that the owner has locked in part or as a whole move, and are not locked afterwards. */
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

/** Refusals may leave these: a map without MADV_DONTFORK, if that is refused every time; and places that
 *  could be neither discarded nor overwritten. */
static bool is_all_marked(void)
{
    return !was_refused(MADVISE) || plan.more == 0;
}

static bool is_all_discarded(void)
{
    return !was_refused(PUNCH) || !was_refused(WRITE);
}

static void expect_discarded(const struct world *world, uint64_t place)
{
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(word_at(world, place + i), 0);
}

/** Calls of a move are refused by the plan. The move succeeds, or changes nothing; the next move succeeds. */
static void move_by_plan(struct world *world)
{
    enum kva_status status = move(world, 10, 100, 4);
    const bool marked = is_all_marked();
    const bool discarded = is_all_discarded();

    check_that(status == KVA_OK || status == KVA_ENOMEM,
               "call %u and %u more refused: KVA_OK or KVA_ENOMEM expected, %s returned", plan.refuse,
               plan.more, kva_status_name(status));
    plan.refuse = 0;
    plan.stop = 0;
    if (marked)
        expect_sound(world, "refused");
    if (discarded)
        expect_discarded(world, status == KVA_OK ? 10 : 100);
    if (status == KVA_OK)
        return;
    assert_int_equal(move(world, 10, 100, 4), KVA_OK);
    expect_sound(world, "after a refusal");
    if (discarded)
        expect_discarded(world, 10);
}

/** The same with other threads; the mover is slow after the refusal. Returns whether there was a k-th
 *  call. */
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

/** Refusals go on for a long time: once a map refers to the new place, the mover repeats the call until it is
 *  granted. */
static void test_repeated_refusals(void **state)
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

/** Kernels on which a refused mmap unmaps the old pages. */
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

/** A signal handler in the mover's thread stores to the frames. The signal is raised at every point of a
 *  move, and handled when the mover no longer blocks signals. */
static void test_signal_handlers_store(void **state)
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

/** While stores are held, system calls that store fail. */
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

/** At every point of a move, a system call reads a frame. */
static void write_from_frame(enum call call)
{
    char bytes[8];

    (void)call;
    if (write(pipe_ends[1], (const void *)word(signalled, 2, 0), sizeof bytes) < 0)
        faulted += errno == EFAULT;
    else
        assert_int_equal(read(pipe_ends[0], bytes, sizeof bytes), sizeof bytes);
}

/** Loads are held only if several pages map a frame that moves: else all loads see the same page. */
static void test_loads_held_only_if_mapped_twice(void **state)
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
        check_that((faulted > 0) == (twice == 1), "mapped twice: %u, failed calls: %u", twice, faulted);
        assert_int_equal(load(&world, 2, 0), 7);
        expect_sound(&world, "loads go on");
        (void)close(pipe_ends[0]);
        (void)close(pipe_ends[1]);
        finish(&world);
    }
}

/** Threads that load words of two frames through the second map. */
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

/** A system call fails where a thread would wait. */
static void expect_held(uint64_t number)
{
    const ssize_t done = write(pipe_ends[1], (const void *)word(signalled, number, 9), 8);

    check_that(done < 0 && errno == EFAULT, "loads from page %" PRIu64 " are not held", number);
}

static unsigned points_at_mmap;

/** Called at every point. At the third point of mmap calls, the first map refers to the new place, and the
 *  second one not yet. Store through the first, and start threads that load through the second. */
static void store_through_first_map(enum call call)
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

/** A load through a map of the old place waits until that map refers to the new place, and then sees a store
 *  made through the first map. Of the two frames, the second is a hole. The rounds differ in: whether the
 *  first is a hole, whether the page tables contain it, and whether a third map refers to it. */
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
            assert_int_equal(load(&world, 21, 0), 1); /* now the page tables contain it */
        }
        signalled = &world;
        points_at_mmap = 0;
        plan = (struct plan){.at_point = store_through_first_map};
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
    check_that(state == PTHREAD_CANCEL_ENABLE, "the cancel state should be PTHREAD_CANCEL_ENABLE, not %d",
               state);
    return NULL;
}

/** A cancellation during a move takes effect after it. */
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

/** Moves that write beyond the limit on the size of files are refused. */
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

/** The source raises no SIGXFSZ, which ends a process that does not expect it. A pending SIGXFSZ remains
 *  pending. */
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

/* --------------------------------------------------------------------------------------- forks and limits */

static void refuse_first_advice(enum call call)
{
    if (call == MADVISE && plan.refuse == 0)
        plan.refuse = plan.calls + 1;
}

/** If MADV_DONTFORK is refused, the map is refused, and its pages are closed. */
static void test_refused_dontfork(void **state)
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

/** A child has holes in place of the maps. It closes them, and moves frames of its own set by its own
 *  gate. */
static int move_in_child(void *context)
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

/** The locked memory, as RLIMIT_MEMLOCK counts it. */
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

/** An unprivileged program locks all that it maps. The limit leaves room to map the first map again, but not
 *  the second one, whose old pages count until they are unmapped. */
static int move_with_little_locked_memory(void *context)
{
    struct world *world = context;
    struct kva_pages *pages = &world->pages;
    struct kva_pages_move spec = {world->frame_set, 10, 100, 4, next_map, world};
    const uint64_t numbers[] = {2, 20};
    const uint64_t counts[] = {1, 4};

    child_that(geteuid() != 0 || setresuid(65534, 65534, 65534) == 0);
    if (mlockall(MCL_FUTURE) != 0) /* not permitted */
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

static void test_locked_memory_limit(void **state)
{
    struct world world;

    (void)state;
    if (!has_gate() || test_is_emulated())
        return;
    begin(&world);
    struct test_child child = test_in_child(move_with_little_locked_memory, &world);
    test_expect_success(&child, "locked");
    finish(&world);
}

static void test_children_move_own_frames(void **state)
{
    struct world world;
    enum kva_status expected = has_gate() ? KVA_OK : KVA_ENOENT;

    (void)state;
    lay_out(&world);
    assert_int_equal(move(&world, 10, 100, 4), expected);
    struct world copy = world;
    struct test_child child = test_in_child(move_in_child, &copy);
    test_expect_success(&child, "a child");
    expect_contents(&world, "after a child");
    store(&world, 3, 8, 1);
    assert_int_equal(move(&world, world.place_of[2], 50, 4), expected);
    expect_contents(&world, "a child has been there, and moved");
    expect_sound(&world, "after a child");
    finish(&world);
}

/** The child asks the system itself. */
static int move_in_child_after_refusal(void *context)
{
    no_gates = test_under_valgrind();
    return move_in_child(context);
}

/** A refusal of userfaultfd is permanent in the parent; a child asks again. */
static void test_children_after_refusal(void **state)
{
    struct world world;
    const bool had_none = no_gates;

    (void)state;
    lay_out(&world);
    no_gates = true;
    assert_int_equal(move(&world, 10, 100, 4), KVA_ENOENT);
    struct world copy = world;
    struct test_child child = test_in_child(move_in_child_after_refusal, &copy);
    test_expect_success(&child, "a child of a refused process");
    assert_int_equal(move(&world, 10, 100, 4), KVA_ENOENT);
    no_gates = had_none;
    finish(&world);
}

/** Map single frames, until no more mappings are available. */
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

/** If mappings are short, a part of a map does not move: the source leaves the last mappings to others, or
 *  others have taken them, and the kernel refuses. A whole map moves, because that takes no mapping. */
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
            check_that(move(&world, 30, 110, 1) == KVA_OK, "a move of a whole map should succeed; late: %u",
                       late);
            check_that(move(&world, 12, 100, 1) == KVA_ELIMIT,
                       "a move of a part of a map should return KVA_ELIMIT; late: %u", late);
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

/** Mappings that others take and release. */
static struct {
    void *pages[FEW];
    unsigned count;
    unsigned from; /* take all available mappings at `times` points of the mover, beginning here */
    unsigned times;
    unsigned until; /* the point at which they are released */
} others;

/** Take all mappings that the kernel grants: one more than the limit. */
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

static void take_or_give(enum call call)
{
    const unsigned now = plan.points + 1;

    (void)call;
    if (now >= others.from && now < others.from + others.times)
        take_mappings();
    if (now == others.until)
        give_mappings();
}

/** Neighbouring maps of neighbouring frames: pages 2 and 3; after the move, page 3 will be the neighbour of
 *  one that stays. The map of pages 30 .. 35 is divided into three mappings. */
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

/** Move while others take all mappings at point k: once, and keep them; or several times, and release them
 *  later, because nothing works without one. Returns whether the move has reached point k. */
static bool move_beside_takers(struct world *world, unsigned k, unsigned times)
{
    others.from = k;
    others.times = times;
    others.until = times == 1 ? 0 : k + times + 10;
    plan = (struct plan){.at_point = take_or_give};
    enum kva_status status = move(world, 10, 100, 2);
    const bool reached = plan.points >= k;
    plan = (struct plan){.on = false};
    expect_neighbours(world, k);
    give_mappings();
    check_that(status == KVA_OK || status == KVA_ENOMEM || status == KVA_ELIMIT,
               "point %u: KVA_OK, KVA_ENOMEM or KVA_ELIMIT expected, %s returned", k,
               kva_status_name(status));
    if (status == KVA_OK)
        assert_int_equal(move(world, 100, 10, 2), KVA_OK);
    expect_neighbours(world, k);
    return reached;
}

/** Other threads take all available mappings at each point of a move, including the one that the mover has
 *  released. No contents are lost, and no thread stays held. */
static void play_takers(unsigned times, bool divided)
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
    play_takers(1, true);
    play_takers(30, false);
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
        cmocka_unit_test(test_mover_stops_at_each_point),
        cmocka_unit_test(test_maps_agree_on_holes),
        cmocka_unit_test(test_locked_maps_move),
        cmocka_unit_test(test_locked_memory_limit),
        cmocka_unit_test(test_each_call_is_refused),
        cmocka_unit_test(test_repeated_refusals),
        cmocka_unit_test(test_refusals_that_leave_holes),
        cmocka_unit_test(test_signal_handlers_store),
        cmocka_unit_test(test_system_calls_get_efault),
        cmocka_unit_test(test_loads_held_only_if_mapped_twice),
        cmocka_unit_test(test_loads_wait_for_their_map),
        cmocka_unit_test(test_a_cancelled_mover),
        cmocka_unit_test(test_the_limit_on_files),
        cmocka_unit_test(test_refused_dontfork),
        cmocka_unit_test(test_children_move_own_frames),
        cmocka_unit_test(test_children_after_refusal),
        cmocka_unit_test(test_the_limit_on_mappings),
        cmocka_unit_test(test_mappings_taken_meanwhile),
    };

    page = test_page();
    no_gates = test_under_valgrind();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
