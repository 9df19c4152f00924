/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Moving frames to other places of their set, while threads use them. docs/theory/vmap.md, "One move", has
 * the proof that no store is lost, no load is stale and no waiting thread is missed. With two maps A and B of
 * the frames:
 *
 *                     A maps    B maps    stores     loads
 *      1  hold        old       old       wait       go on
 *      2  copy        old       old       wait       go on      old -> new
 *      3  hold loads  old       old       wait       wait       only if a frame is mapped twice
 *      4  map         new       old       at A: go on; at B: wait
 *                     new       new       go on      go on
 *      5  wake        new       new       waiting threads go on
 *      6  discard                                               old
 *
 * NO INTERRUPTION (uninterrupted.h) until the end: a signal handler of this thread that stores to a moving
 * frame would wait for the thread that it interrupts, and a cancelled thread would leave others waiting for
 * ever. Waiting threads handle signals meanwhile.
 *
 * SYSTEM CALLS that store to the frames return EFAULT from step 1 until their map has the new place; from
 * step 3 on, those that load as well (pages_gate.c).
 *
 * FAILURE. Until the first map has the new place, a refusal lets the waiting threads go, and nothing has
 * changed. After that the move repeats refused calls until they are granted: vmap.md, "Failures".
 *
 * CALLS THAT MUST BE GRANTED take no further mapping. Adjacent maps of adjacent places are one mapping while
 * they are held alike:
 *
 *         map A   map B
 *      ..|-------|-------|..        one range, to be let go, or mapped at last
 *
 * To let go of A alone would split it, which the kernel refuses at the limit on mappings. One mapping above
 * the limit the kernel refuses every mmap; to take the spare down (pages_spare.h) brings the process back to
 * the limit.
 */
#include "gnu.h"

#include "pages_move.h"

#include <errno.h>

#include "pages_count.h"
#include "pages_frames.h"
#include "pages_retry.h"
#include "uninterrupted.h"

/** A move under way. */
struct course {
    struct reservation *reservation;
    const struct kva_pages_move *move;
    uint64_t maps;        /* all maps of the frames */
    uint64_t touched;     /* of these, the first ones that may be held */
    uint64_t more;        /* ends of mappings that the move may add */
    uint64_t end;         /* after the last frame that was counted */
    bool is_mapped_twice; /* some frame is */
    bool is_copied;       /* the new place may have contents */
    bool is_begun;        /* a map has the new place */
};

/* ----------------------------------------------------------------------------------------------- the maps */

/** Maps by number, in the order of the walk: [first, end). */
struct window {
    uint64_t first;
    uint64_t end;
};

/** A walk over the maps: the next one, and its number. All zero: the first. */
struct map_walk {
    uint64_t cursor;
    uint64_t number;
};

static bool next_map(const struct course *course, struct window window, struct map_walk *walk,
                     struct kva_pages_map *map)
{
    while (walk->number < window.end && course->move->next(course->move->context, &walk->cursor, map)) {
        if (walk->number++ >= window.first)
            return true;
    }
    return false;
}

/** A step for one map: a run of pages that maps frames from number `frame` on, counted from the first moved
 *  one. False: refused. */
typedef bool map_step(struct course *course, struct run run, uint64_t frame);

static bool take_step(struct course *course, map_step *step, const struct kva_pages_map *map)
{
    struct reservation *reservation = course->reservation;

    return step(course, run_at(reservation, map->start, map->count * reservation->page), map->frame);
}

/** Take a step for each map, up to the first refusal. Returns how many were not refused. */
static uint64_t each_map(struct course *course, map_step *step)
{
    const struct window all = {0, UINT64_MAX};
    struct map_walk walk = {0, 0};
    struct kva_pages_map map;
    uint64_t done = 0;

    while (next_map(course, all, &walk, &map) && take_step(course, step, &map))
        done++;
    return done;
}

/** Whether b continues a, in addresses and in frames. */
static bool follows(const struct course *course, const struct kva_pages_map *a, const struct kva_pages_map *b)
{
    return a->start + a->count * course->reservation->page == b->start && a->frame + a->count == b->frame;
}

static bool is_continued(const struct course *course, struct window window, const struct kva_pages_map *map,
                         struct kva_pages_map *by)
{
    struct map_walk walk = {0, 0};

    while (next_map(course, window, &walk, by)) {
        if (follows(course, map, by))
            return true;
    }
    return false;
}

static bool continues_another(const struct course *course, struct window window,
                              const struct kva_pages_map *map)
{
    struct map_walk walk = {0, 0};
    struct kva_pages_map other;

    while (next_map(course, window, &walk, &other)) {
        if (follows(course, &other, map))
            return true;
    }
    return false;
}

/** Take a step for the maps of a window, neighbours together, up to the first refusal. This compares each
 *  pair of maps, so only failures do it. Returns whether none was refused. */
static bool each_union(struct course *course, map_step *step, struct window window)
{
    struct map_walk walk = {0, 0};
    struct kva_pages_map map, other;

    while (next_map(course, window, &walk, &map)) {
        if (continues_another(course, window, &map))
            continue;
        while (is_continued(course, window, &map, &other))
            map.count += other.count;
        if (!take_step(course, step, &map))
            return false;
    }
    return true;
}

/* ---------------------------------------------------------------------------------------------- the steps */

/** Each map may become a mapping of its own. A frame counts as mapped twice if a map begins before the end of
 *  an earlier one. If the walk is not in the order of frames, this may hold loads needlessly. */
static bool count_map(struct course *course, struct run run, uint64_t frame)
{
    course->more += 2 - min_u64(2, kva_port_ends_in(course->reservation, run));
    course->is_mapped_twice = course->is_mapped_twice || frame < course->end;
    course->end = max_u64(course->end, frame + length(run));
    return true;
}

static struct gated gated_of(const struct reservation *reservation, struct run run)
{
    return (struct gated){(uintptr_t)run_address(reservation, run), run_bytes(reservation, run)};
}

static bool hold_stores(struct course *course, struct run run, uint64_t frame)
{
    struct reservation *reservation = course->reservation;
    bool touched;

    (void)frame;
    bool done = kva_port_hold_stores(&reservation->gate, gated_of(reservation, run), &touched,
                                     &reservation->stats.calls.map);
    course->touched += touched;
    return done;
}

static bool at_gate(struct course *course, struct run run, kva_gate_step *step)
{
    struct reservation *reservation = course->reservation;

    return step(&reservation->gate, gated_of(reservation, run), &reservation->stats.calls.map);
}

static bool hold_loads(struct course *course, struct run run, uint64_t frame)
{
    (void)frame;
    return at_gate(course, run, kva_port_hold_loads);
}

static bool wake(struct course *course, struct run run, uint64_t frame)
{
    (void)frame;
    return at_gate(course, run, kva_port_wake);
}

static bool let_go(struct course *course, struct run run, uint64_t frame)
{
    (void)frame;
    return at_gate(course, run, kva_port_let_go);
}

/** Take the spare down: a refusal means that the process may be at its limit on mappings, or above it. */
static void lower_spare(struct reservation *reservation)
{
    set_spare(&reservation->spare, false, &reservation->stats.calls.map);
}

/** Map frames of the set, from a place on. */
static bool map_places(struct course *course, struct run run, uint64_t place)
{
    struct reservation *reservation = course->reservation;
    const uint64_t now = kva_port_ends_in(reservation, run);

    if (!map_file_in_use(run_address(reservation, run), run_bytes(reservation, run),
                         file_of(course->move->frame_set), (off_t)(place * reservation->page),
                         &reservation->stats.calls.map))
        return false;
    kva_port_note_run(reservation, run, true, now);
    return true;
}

static bool map_new_place(struct course *course, struct run run, uint64_t frame)
{
    bool done = map_places(course, run, course->move->to + frame);

    course->is_begun = course->is_begun || done;
    return done;
}

/** Unlock the pages of a map, if they are why it was refused: the kernel charges a new locked mapping before
 *  it releases the old one. (After mlockall the new one is locked again.) */
static void unlock(struct course *course, struct run run)
{
    struct reservation *reservation = course->reservation;

    if (errno != EAGAIN)
        return;
    reservation->stats.calls.map++;
    (void)munlock(run_address(reservation, run), run_bytes(reservation, run));
}

/** Map the new place. Once any map has it, repeat this until it is granted. */
static bool insist_on_new_place(struct course *course, struct run run, uint64_t frame)
{
    for (unsigned tries = 0; !map_new_place(course, run, frame); tries++) {
        if (!course->is_begun)
            return false;
        unlock(course, run);
        wait_to_try_again(tries);
    }
    return true;
}

/** Keep a new map from children, as all maps of a movable set. Until this call new maps merge with no others,
 *  so that no earlier call had to split them. A refused call is repeated once with fewer mappings; the move
 *  is done in any case. */
static bool keep_from_child(struct course *course, struct run run, uint64_t frame)
{
    (void)frame;
    if (kva_port_keep_from_child(course->reservation, run))
        return true;
    lower_spare(course->reservation);
    (void)kva_port_keep_from_child(course->reservation, run);
    return true;
}

/** Map the old place again, if a refused mmap left a hole (before Linux 6.12). MADV_DONTFORK finds out: it
 *  fails for a hole, and otherwise changes nothing. */
static bool mend(struct course *course, struct run run, uint64_t frame)
{
    if (kva_port_keep_from_child(course->reservation, run))
        return true;
    for (unsigned tries = 0; !map_places(course, run, course->move->from + frame); tries++) {
        unlock(course, run);
        wait_to_try_again(tries);
    }
    return keep_from_child(course, run, frame);
}

/* ------------------------------------------------------------------------------------------------ copying */

/** Bytes of a file, and where to copy them. */
struct copy {
    int file;
    off_t from;
    off_t to;
    off_t bytes;
};

static bool write_all_at(int file, const char *bytes, size_t count, off_t at)
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
    char buffer[4096]; /* on the caller's stack */

    while (copy.bytes > 0) {
        size_t most = (size_t)min_u64((uint64_t)copy.bytes, sizeof buffer);
        ssize_t count = pread(copy.file, buffer, most, copy.from);
        *calls += 2;
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0 || !write_all_at(copy.file, buffer, (size_t)count, copy.to))
            return false;
        copy.from += count;
        copy.to += count;
        copy.bytes -= count;
    }
    return true;
}

/** Find the next data [*from, *to) of a file before `end`; empty after the last. Pages that were never
 *  written are a hole of the file. False: refused. */
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

/** Copy the data, and leave the holes. */
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

static void discard_place(struct course *course, uint64_t from)
{
    kva_port_discard_frames(NULL, course->reservation, course->move->frame_set, from, course->move->count);
}

/* ----------------------------------------------------------------------------------------------- the move */

static bool copy_there(struct course *course)
{
    const uint64_t page = course->reservation->page;
    const struct kva_pages_move *move = course->move;

    course->is_copied = true;
    return copy_all((struct copy){.file = file_of(move->frame_set),
                                  .from = (off_t)(move->from * page),
                                  .to = (off_t)(move->to * page),
                                  .bytes = (off_t)(move->count * page)},
                    &course->reservation->stats.calls.frames);
}

/** Step 4. Map by map, which may split neighbours and take mappings; after a refusal the rest with the spare
 *  down, neighbours together. False: no map has the new place. */
static bool map_all_anew(struct course *course)
{
    const uint64_t mapped = each_map(course, map_new_place);

    if (mapped == course->maps)
        return true;
    lower_spare(course->reservation);
    if (each_union(course, insist_on_new_place, (struct window){mapped, course->maps}))
        return true;
    (void)each_union(course, mend, (struct window){0, course->maps});
    return false;
}

/** Steps 1 to 4. KVA_ELIMIT: a call on mappings was refused, for any reason. */
static enum kva_status hold_and_map(struct course *course)
{
    if (each_map(course, hold_stores) < course->maps)
        return KVA_ELIMIT;
    if (!copy_there(course))
        return KVA_ENOMEM;
    if (course->is_mapped_twice && each_map(course, hold_loads) < course->maps)
        return KVA_ELIMIT;
    return map_all_anew(course) ? KVA_OK : KVA_ELIMIT;
}

/** Let go of all held ranges. If the kernel refuses one for good, closing the gate lets go of it. */
static void let_all_go(struct course *course)
{
    struct reservation *reservation = course->reservation;

    lower_spare(reservation);
    if (!each_union(course, let_go, (struct window){0, course->touched}))
        kva_port_gate_close(&reservation->gate);
}

/** Steps 1 to 5. */
static enum kva_status move_maps(struct course *course)
{
    enum kva_status status = hold_and_map(course);

    if (status != KVA_OK) {
        let_all_go(course);
        return status == KVA_ELIMIT ? kva_port_why_refused(&course->reservation->budget) : status;
    }
    (void)each_map(course, wake);
    (void)each_map(course, keep_from_child);
    return KVA_OK;
}

/** The same, if the system can hold threads and there is room for the mappings. */
static enum kva_status move_mapped(struct course *course)
{
    struct reservation *reservation = course->reservation;
    enum kva_status status = kva_port_gate_open(&reservation->gate, &reservation->stats.calls.map);

    if (status != KVA_OK)
        return status;
    return has_room_for(&reservation->budget, course->more) ? move_maps(course) : KVA_ELIMIT;
}

static enum kva_status move_frames(struct course *course)
{
    const struct kva_pages_move *move = course->move;
    enum kva_status status;

    retry_some(course->reservation);
    course->maps = each_map(course, count_map);
    if (course->maps > 0)
        status = move_mapped(course);
    else
        status = copy_there(course) ? KVA_OK : KVA_ENOMEM;
    if (course->is_copied)
        discard_place(course, status == KVA_OK ? move->from : move->to);
    return status;
}

enum kva_status kva_port_move_frames(void *context, void *handle, const struct kva_pages_move *move)
{
    struct course course = {.reservation = handle, .move = move};
    struct uninterrupted section;

    (void)context;
    begin_uninterrupted(&section);
    enum kva_status status = move_frames(&course);
    end_uninterrupted(&section);
    return status;
}
