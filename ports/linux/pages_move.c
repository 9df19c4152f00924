/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Moving frames to other places of their pool, while threads use them. With two maps A and B of the frames:
 *
 *                     A shows   B shows   stores     loads
 *      1  hold        old       old       wait       go on
 *      2  copy        old       old       wait       go on      old -> new
 *      3  hold loads  old       old       wait       wait       only if a frame is shown twice
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
 *     the old place would miss that. Where no frame is shown twice nobody can see the difference.
 *   - Wake after all maps show the new place: a thread that is woken earlier only waits again.
 *   - One wake for each map reaches all who wait there: a fault keeps the mapping from being replaced until
 *     the thread stands in the queue of those who wait. So when mmap returns, all who have found the old map
 *     are in the queue; later ones find the new map. It is not registered: they do not wait.
 *   - Drain last: until then the old place can be shown again.
 *
 * PEACE (uninterrupted.h) lasts all the while: a handler of this thread that stores to a frame under way would wait
 * for the thread that it interrupts, and a thread that is cancelled would leave others waiting for ever.
 * Other threads wait so that signals are handled meanwhile.
 *
 * SYSTEM CALLS that store to the frames return EFAULT from 1 until their map shows the new place; from 3 on,
 * those that load, too (pages_gate.c).
 *
 * FAILURE. Until the first map shows the new place nothing has changed, and who waits is let go. From then on
 * threads may have stored there, and there is no way back that would take less than the way on: so the move
 * goes on, and asks for what is refused until it is granted.
 *
 * WHAT MUST BE GRANTED makes no mapping more. Maps that are neighbours, and show neighbours, are one mapping
 * while they are held alike:
 *
 *         map A   map B
 *      ..|-------|-------|..        one range, when it is to be let go, or to be shown at last
 *
 * To let go of A alone would divide it, and the kernel would refuse that at the limit on mappings. Just above
 * it the kernel refuses all; the spare (pages_spare.h) takes the process below it.
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
    uint64_t maps;        /* that there are */
    uint64_t touched;     /* of these, the first: they may be held */
    uint64_t more;        /* ends of mappings that the move may make */
    uint64_t end;         /* behind the last of the frames that have been counted */
    bool is_mapped_twice; /* some frame */
    bool is_copied;       /* something may have been written to the new place */
    bool is_begun;        /* a map shows the new place */
};

/* ----------------------------------------------------------------------------------------------- the maps */

/** Maps by their numbers, in the order in which they are named: [first, end). */
struct window {
    uint64_t first;
    uint64_t end;
};

/** The next map to be named, and its number. All zero: the first. */
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

/** What is done to maps: a run of pages that shows frames from number `frame` on, counted from the first that
 *  is moved. False: refused. */
typedef bool map_step(struct course *course, struct run run, uint64_t frame);

static bool take_step(struct course *course, map_step *step, const struct kva_pages_map *map)
{
    struct reservation *reservation = course->reservation;

    return step(course, run_at(reservation, map->start, map->count * reservation->page), map->frame);
}

/** Take a step for one map after the other, until it is refused. Returns for how many it was not. */
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

/** Whether b goes on where a ends, in addresses and in frames. */
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

/** Take a step for maps of a window, neighbours together, until it is refused. This looks at each pair of
 *  maps: only failures do it. Returns whether none was refused. */
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

/** Each map may become a mapping of its own. A frame is shown twice if a map begins before the end of one
 *  that was named before it. (In another order of names than that of the frames, it may not be, which is no
 *  harm.) */
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

/** Give back the mapping in hand: other threads have taken the process to its limit, or above it. */
static void lower_spare(struct reservation *reservation)
{
    set_spare(&reservation->spare, false, &reservation->stats.calls.map);
}

/** Show frames of the pool from a place on. */
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

/** Unlock the pages of a map, if that is why it was refused: the kernel counts what a locked mapping will
 *  lock before it drops what the old one has. (A new one is locked again, if the program locks all that it
 *  maps.) */
static void unlock(struct course *course, struct run run)
{
    struct reservation *reservation = course->reservation;

    if (errno != EAGAIN)
        return;
    reservation->stats.calls.map++;
    (void)munlock(run_address(reservation, run), run_bytes(reservation, run));
}

/** Once the new place is shown, it must be shown by all maps. */
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

/** Maps that show the new place are mapped anew: as all maps of the pool, they are for this process only.
 *  Until then they merge with no others, so that nothing had to divide them. What is refused is asked for
 *  once more, with less mappings; the move is done in any case. */
static bool keep_from_child(struct course *course, struct run run, uint64_t frame)
{
    (void)frame;
    if (kva_port_keep_from_child(course->reservation, run))
        return true;
    lower_spare(course->reservation);
    (void)kva_port_keep_from_child(course->reservation, run);
    return true;
}

/** Before Linux 6.12, an mmap that is refused may leave a hole. That children do not inherit the map is said
 *  once more: this changes nothing, and is refused for a hole. */
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

/** Bytes of a file, and where they are to be. */
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
    char buffer[4096]; /* of the caller's stack */

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

/** Step 4. One map after the other may take mappings, where neighbours are divided; all that is refused,
 *  then, with the spare, and neighbours together. False: no map shows the new place. */
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

/** Steps 1 to 4. KVA_ELIMIT: a call on mappings was refused, for whatever reason. */
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

/** Should the kernel say that it will never let go of a range, it does when the gate is closed. */
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

/** The same, if the system can hold threads back, and there is room for the mappings. */
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
