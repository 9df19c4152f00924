/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Counting the reservation's own mappings, by their ends. There is one mapping more than there are
 *
 *      edges   between inaccessible pages and accessible ones
 *      seams   between accessible pages of which the kernel may have made two mappings (*)
 *
 *        inaccessible    accessible    accessible     inaccessible
 *      ................|             *             |................      2 edges, 1 seam: 4 mappings at most
 *
 * Where two maps of frames meet there is a seam, whatever the frames are.
 *
 * The kernel merges a fresh mapping with its neighbours unless pages of both were touched before they met,
 * or, in a child of fork, unless the neighbour comes from the parent. It does not report merges, so there is
 * a seam wherever it may not have merged. Thus there are never more mappings than are counted, except those
 * that the program splits itself (mlock, madvise), and adjacent inaccessible mappings, of which one was
 * denied after its pages were touched. A look (pages_budget.c) counts these as the program's; once all pages
 * are inaccessible, they become one mapping again (pages_retry.c).
 */
#include "gnu.h"

#include "pages_count.h"

#include "pages_unmaps.h"

static uint64_t seams_in(const struct reservation *reservation, struct run run)
{
    if (reservation->seam_count == 0 ||
        row_first(&reservation->rows, ROW_SEAMS, run.from, run.end + 1) > run.end)
        return 0;
    return row_count(&reservation->rows, ROW_SEAMS, run.from, run.end + 1);
}

uint64_t kva_port_ends_in(const struct reservation *reservation, struct run run)
{
    return row_count_changes(&reservation->rows, ROW_ACCESSIBLE, run.from, run.end + 1) +
           seams_in(reservation, run);
}

uint64_t kva_port_ends_of(const struct reservation *reservation, struct run run)
{
    bool is_accessible = !is_inaccessible(reservation, run);

    return (before_is_accessible(reservation, run) != is_accessible) +
           (uint64_t)(after_is_accessible(reservation, run) != is_accessible) + seams_in(reservation, run);
}

/** Whether an end of a fresh mapping may stay one although the page beyond it is accessible. */
struct seams {
    bool before;
    bool after;
};

/**
 * The seams of a run, all alike, that is about to become a fresh accessible mapping. The kernel merges it
 * with its neighbours, except
 *
 *   - in a child of fork: with mappings of the parent (fresh ones merge, but cannot be distinguished);
 *   - with mappings that may have been denied, or were marked while they had lost their nodes;
 *   - with maps of frames, which may be of any set;
 *   - with mappings that want huge pages;
 *   - on both sides, unless the two were one mapping before: pages of both may have been touched before they
 *     met.
 */
static struct seams seams_of_fresh(const struct reservation *reservation, struct run run)
{
    bool before = before_is_accessible(reservation, run);
    bool after = after_is_accessible(reservation, run);
    if (is_of_frames(reservation, run))
        return (struct seams){before, after};
    bool is_child = *reservation->tables.is_first_process == 0;
    bool any = is_child || reservation->merges_less; /* perhaps none merges */
    bool were_one = !is_inaccessible(reservation, run) && seams_in(reservation, run) == 0;
    struct seams seams = {
        .before = before && (any || row_bit(&reservation->rows, ROW_HUGE, run.from - 1)),
        .after = after && (any || run.end == reservation->pages ||
                           row_bit(&reservation->rows, ROW_HUGE, run.end) || (before && !were_one)),
    };

    return seams;
}

static uint64_t ends_with(const struct reservation *reservation, struct run run, struct seams seams)
{
    return (uint64_t)(seams.before || !before_is_accessible(reservation, run)) +
           (uint64_t)(seams.after || !after_is_accessible(reservation, run));
}

uint64_t kva_port_ends_if_fresh(const struct reservation *reservation, struct run run)
{
    return ends_with(reservation, run, seams_of_fresh(reservation, run));
}

static void set_seam(struct reservation *reservation, uint64_t at)
{
    reservation->seam_count += !row_bit(&reservation->rows, ROW_SEAMS, at);
    row_set_range(&reservation->rows, ROW_SEAMS, at, at + 1, true);
}

static void set_seams(struct reservation *reservation, struct run run, struct seams seams)
{
    if (seams.before)
        set_seam(reservation, run.from);
    if (seams.after)
        set_seam(reservation, run.end);
}

void kva_port_fence_at(struct reservation *reservation, uint64_t at)
{
    if (at == 0 || !row_bit(&reservation->rows, ROW_ACCESSIBLE, at - 1) ||
        !row_bit(&reservation->rows, ROW_ACCESSIBLE, at) || row_bit(&reservation->rows, ROW_SEAMS, at))
        return;
    set_seam(reservation, at);
    reservation->budget.taken++;
}

void kva_port_fence(struct reservation *reservation, struct run run)
{
    kva_port_fence_at(reservation, run.from);
    kva_port_fence_at(reservation, run.end);
}

void kva_port_note_run(struct reservation *reservation, struct run run, bool is_accessible, uint64_t now)
{
    struct seams seams = {false, false};

    if (is_accessible)
        seams = seams_of_fresh(reservation, run);
    reservation->budget.taken -= now;
    reservation->budget.taken +=
        is_accessible ? ends_with(reservation, run, seams) : ends_if_inaccessible(reservation, run);
    row_set_range(&reservation->rows, ROW_ACCESSIBLE, run.from, run.end, is_accessible);
    uint64_t gone = seams_in(reservation, run);
    if (gone > 0) {
        reservation->seam_count -= gone;
        row_set_range(&reservation->rows, ROW_SEAMS, run.from, run.end + 1, false);
    }
    set_seams(reservation, run, seams);
    if (reservation->has_huge && !is_of_frames(reservation, run))
        row_set_range(&reservation->rows, ROW_HUGE, run.from, run.end, false);
    forget_unfinished(reservation, run);
}
