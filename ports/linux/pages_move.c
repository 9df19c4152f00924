/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Moving frames to other places of their pool, while threads use them. With two maps A and B of the frames:
 *
 *                     A shows   B shows   stores     loads
 *      1  hold        old       old       wait       go on
 *      2  copy        old       old       wait       go on      old -> new
 *      3  hold loads  old       old       wait       wait       only if there are several maps
 *      4  show        new       old       at A: go on; at B: wait
 *                     new       new       go on      go on
 *      5  wake        new       new       who has waited goes on
 *      6  drain                                                 old
 *
 * WHY IN THIS ORDER
 *   - Copy after hold: when write protection has been set, the page tables of all CPUs say so, and no store
 *     is under way. What is copied stays as it is.
 *   - Hold loads before the first map shows the new place: it is not held (the kernel has no call that maps
 *     and protects at once), so threads may store there at once, and a load through a map that still shows
 *     the old place would miss that. With a single map nobody can see the difference.
 *   - Wake after all maps show the new place: a thread that is woken earlier only waits again.
 *   - One wake for each map reaches all who wait there: a fault keeps the mapping from being replaced until
 *     the thread stands in the queue of those who wait. So when mmap returns, all who have found the old map
 *     are in the queue; later ones find the new map. It is not registered: they do not wait.
 *   - Drain last: until then the old place can be shown again.
 *
 * SIGNALS of this thread are blocked from before 1 until after 5: a handler that stores to a frame under way
 * would wait for the thread that it interrupts. Other threads wait so that signals are handled meanwhile.
 *
 * SYSTEM CALLS that store to the frames return EFAULT from 1 until their map shows the new place; from 3 on,
 * those that load, too (pages_gate.c).
 *
 * FAILURE. Up to 3 nothing has changed, and who waits is let go. From 4 on threads may have stored at the new
 * place. Each mmap replaces just what was registered, which is a mapping or several by then: so it makes
 * mappings no more. Should it be refused all the same, for memory, or because other threads have taken the
 * process over its limit, the frames move back: the same steps with the places exchanged, for the maps that
 * show the new place. They need nothing that was not granted before, but memory for pages that have been
 * stored to since. A refusal is asked again, many times; there is nothing else left to do.
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64 /* as in pages_frames.c */
#include "pages_move.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>

#include "pages_count.h"
#include "pages_frames.h"
#include "pages_settle.h"

/** A move under way. */
struct course {
    struct stretch *stretch;
    const struct kva_pages_move *move;
    uint64_t maps;  /* that there are */
    uint64_t shown; /* of these, the first that show the new place */
    uint64_t more;  /* ends of mappings that the move may make */
    bool copied;    /* something may have been written to the new place */
};

/* ---------------------------------------------------------------------------------------------- the maps */

/** What is done to a map: a run of pages that shows frames from number `frame` on, counted from the first
 *  that is moved. False: refused. */
typedef bool map_step(struct course *course, struct run run, uint64_t frame);

/** Take a step for each of the first `most` maps, until it is refused. Returns for how many it was not. */
static uint64_t each_map(struct course *course, map_step *step, uint64_t most)
{
    const struct kva_pages_move *move = course->move;
    struct stretch *stretch = course->stretch;
    struct kva_pages_map map;
    uint64_t cursor = 0;
    uint64_t done = 0;

    while (done < most && move->next(move->context, &cursor, &map)) {
        if (!step(course, run_at(stretch, map.start, map.count * stretch->page), map.frame))
            break;
        done++;
    }
    return done;
}

static struct gated gated_of(const struct stretch *stretch, struct run run)
{
    return (struct gated){(uintptr_t)start_of(stretch, run), bytes_of(stretch, run)};
}

/** Each map may become a mapping of its own. */
static bool count_map(struct course *course, struct run run, uint64_t frame)
{
    (void)frame;
    course->more += 2 - min_u64(2, kva_port_ends_in(course->stretch, run));
    return true;
}

static bool hold_stores(struct course *course, struct run run, uint64_t frame)
{
    struct stretch *stretch = course->stretch;

    (void)frame;
    return kva_port_hold_stores(&stretch->gate, gated_of(stretch, run), &stretch->stats.calls.map);
}

static bool hold_loads(struct course *course, struct run run, uint64_t frame)
{
    struct stretch *stretch = course->stretch;

    (void)frame;
    return kva_port_hold_loads(&stretch->gate, gated_of(stretch, run), &stretch->stats.calls.map);
}

static bool let_go(struct course *course, struct run run, uint64_t frame)
{
    struct stretch *stretch = course->stretch;

    (void)frame;
    kva_port_let_go(&stretch->gate, gated_of(stretch, run), &stretch->stats.calls.map);
    return true;
}

static bool wake(struct course *course, struct run run, uint64_t frame)
{
    struct stretch *stretch = course->stretch;

    (void)frame;
    kva_port_wake(&stretch->gate, gated_of(stretch, run), &stretch->stats.calls.map);
    return true;
}

/** Show frames of the pool. Above the limit on mappings not even one that takes none more is granted, but the
 *  spare makes room for it. */
static bool show(struct course *course, struct run run, uint64_t frame, bool *mapped)
{
    struct stretch *stretch = course->stretch;
    const uint64_t now = kva_port_ends_in(stretch, run);

    if (kva_port_show(stretch, run, course->move->pool, frame, now, mapped))
        return true;
    if (*mapped || !stretch->spare.is_up)
        return false;
    set_spare(&stretch->spare, false, &stretch->stats.calls.map);
    return kva_port_show(stretch, run, course->move->pool, frame, now, mapped);
}

static bool show_new(struct course *course, struct run run, uint64_t frame)
{
    bool mapped;
    bool done = show(course, run, course->move->to + frame, &mapped);

    course->shown += mapped;
    return done;
}

static bool show_old(struct course *course, struct run run, uint64_t frame)
{
    bool mapped;

    return show(course, run, course->move->from + frame, &mapped);
}

/* ----------------------------------------------------------------------------------------------- copying */

/** Bytes of a file, and where they are to be. */
struct copy {
    int file;
    off_t from;
    off_t to;
    off_t bytes;
};

static bool write_all(int file, const char *bytes, size_t count, off_t at)
{
    while (count > 0) {
        ssize_t done = pwrite(file, bytes, count, at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        bytes += done;
        at += done;
        count -= (size_t)done;
    }
    return true;
}

static bool copy_data(struct copy copy, uint64_t *calls)
{
    char buffer[16384];

    while (copy.bytes > 0) {
        size_t most = (size_t)min_u64((uint64_t)copy.bytes, sizeof buffer);
        ssize_t count = pread(copy.file, buffer, most, copy.from);
        *calls += 2;
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0 || !write_all(copy.file, buffer, (size_t)count, copy.to))
            return false;
        copy.from += count;
        copy.to += count;
        copy.bytes -= count;
    }
    return true;
}

/** The data that come next, before `end`; empty after the last. What was never written to is a hole of the
 *  file. False: refused. */
static bool find_data(int file, off_t *from, off_t *to, off_t end, uint64_t *calls)
{
    ++*calls;
    *from = lseek(file, *from, SEEK_DATA);
    if (*from < 0 && errno != ENXIO)
        return false;
    if (*from < 0 || *from >= end) {
        *from = *to = end;
        return true;
    }
    ++*calls;
    *to = lseek(file, *from, SEEK_HOLE);
    if (*to < 0)
        return false;
    *to = *to < end ? *to : end;
    return true;
}

/** Copy, and leave holes where there are holes. */
static bool copy_all(struct copy copy, uint64_t *calls)
{
    const off_t end = copy.from + copy.bytes;
    const off_t distance = copy.to - copy.from;
    off_t to = copy.from;

    for (off_t from = copy.from; to < end; from = to) {
        if (!find_data(copy.file, &from, &to, end, calls) ||
            !copy_data((struct copy){copy.file, from, from + distance, to - from}, calls))
            return false;
    }
    return true;
}

static bool copy_frames(struct course *course, uint64_t from, uint64_t to)
{
    const uint64_t page = course->stretch->page;
    const struct kva_pages_move *move = course->move;

    return copy_all((struct copy){.file = file_of(move->pool),
                                  .from = (off_t)(from * page),
                                  .to = (off_t)(to * page),
                                  .bytes = (off_t)(move->count * page)},
                    &course->stretch->stats.calls.pool);
}

/** From the old place to the new one. */
static bool copy_there(struct course *course)
{
    course->copied = true;
    return copy_frames(course, course->move->from, course->move->to);
}

static void drain(struct course *course, uint64_t from)
{
    kva_port_drain_pool(NULL, course->stretch, course->move->pool, from, course->move->count);
}

/* ------------------------------------------------------------------------------------------ the way back */

/** How often to ask for what has been granted before. */
enum { MANY = 1000 };

/** Take a step for all maps that show the new place, if it is granted sooner or later. */
static void insist(struct course *course, map_step *step)
{
    for (unsigned i = 0; i < MANY && each_map(course, step, course->shown) < course->shown; i++)
        (void)sched_yield();
}

/** Show the old place again, with what was stored at the new one. */
static void go_back(struct course *course)
{
    const struct kva_pages_move *move = course->move;

    if (course->shown == 0)
        return;
    insist(course, hold_stores);
    for (unsigned i = 0; i < MANY && !copy_frames(course, move->to, move->from); i++)
        (void)sched_yield();
    if (course->maps > 1)
        insist(course, hold_loads);
    insist(course, show_old);
}

/* ---------------------------------------------------------------------------------------------- the move */

static enum kva_status why_refused(struct course *course)
{
    return kva_port_why_refused(&course->stretch->budget);
}

/** Steps 2 to 4, with stores held. */
static enum kva_status copy_and_show(struct course *course)
{
    if (!copy_there(course))
        return KVA_ENOMEM;
    if (course->maps > 1 && each_map(course, hold_loads, course->maps) < course->maps)
        return why_refused(course);
    if (each_map(course, show_new, course->maps) == course->maps)
        return KVA_OK;
    enum kva_status status = why_refused(course);
    go_back(course);
    return status;
}

/** Steps 1 to 5. */
static enum kva_status move_maps(struct course *course)
{
    uint64_t held = each_map(course, hold_stores, course->maps);
    enum kva_status status = held == course->maps ? copy_and_show(course) : why_refused(course);

    (void)each_map(course, status == KVA_OK ? wake : let_go, held);
    return status;
}

/** The same, with signals blocked. */
static enum kva_status move_in_peace(struct course *course)
{
    sigset_t all, before;

    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    enum kva_status status = move_maps(course);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return status;
}

/** The same, if the system can hold threads back, and there is room for the mappings. */
static enum kva_status move_mapped(struct course *course)
{
    struct stretch *stretch = course->stretch;

    if (!kva_port_gate_open(&stretch->gate, &stretch->stats.calls.map))
        return KVA_ENOENT;
    if (!has_room_for(&stretch->budget, course->more))
        return KVA_ELIMIT;
    return move_in_peace(course);
}

enum kva_status kva_port_move_frames(void *context, void *handle, const struct kva_pages_move *move)
{
    struct stretch *stretch = handle;
    struct course course = {.stretch = stretch, .move = move};
    enum kva_status status;

    (void)context;
    pay_some(stretch);
    course.maps = each_map(&course, count_map, UINT64_MAX);
    if (course.maps > 0)
        status = move_mapped(&course);
    else
        status = copy_there(&course) ? KVA_OK : KVA_ENOMEM;
    if (course.copied)
        drain(&course, status == KVA_OK ? move->from : move->to);
    return status;
}
