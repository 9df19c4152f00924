/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Closing pages.
 *
 * A large run is replaced by a shut mapping, which gives its page tables back, too. A small one gets markers,
 * which drop the pages. Whatever makes mappings fewer is shut, together with what is idle beside it. What the
 * kernel refuses is left as a debt.
 */
#include "gnu.h"

#include "pages_close.h"

#include "pages_count.h"
#include "pages_debts.h"
#include "pages_steps.h"

/* ------------------------------------------------------------------------------------------ private pages */

void kva_port_close_open(struct stretch *stretch, struct run run)
{
    uint64_t *calls = &stretch->stats.calls.close;

    if (stretch->guards && kva_port_make_markable(stretch, run, calls) && kva_port_mark(stretch, run)) {
        forget_debt(stretch, run);
        return;
    }
    uint64_t now = kva_port_ends_of(stretch, run);
    bool spares = may_join(stretch) && !may_split(stretch, run, now, ends_if_shut(stretch, run));
    if (spares || (!kva_port_shut_at_any_price(stretch, run, now) && !kva_port_deny(stretch, run)))
        kva_port_leave_weak(stretch, run);
}

/** A shut run has no page tables, and no markers to be removed one by one. So what is large is shut if that
 *  makes no mapping more, or its share allows one; what is small if it makes fewer; and whole grains leave
 *  few ends anyway. */
static bool pays_to_shut(const struct stretch *stretch, struct run run, struct run wide, uint64_t now)
{
    uint64_t ends = ends_if_shut(stretch, wide);

    if (ends < now || length(run) >= GRAIN_PAGES)
        return true;
    return (ends == now && length(run) >= LARGE_PAGES) || as_mapping(stretch, run);
}

/** The pages before a run, `most` at most, that are open and unused (markers, or less), if what is before
 *  them is shut. */
static uint64_t idle_before(const struct stretch *stretch, struct run run, uint64_t most)
{
    uint64_t low = run.from > most ? run.from - most : 0;
    struct run idle = {row_last_end(&stretch->rows, ROW_USED, true, low, run.from), run.from};

    idle.from = max_u64(idle.from, row_last_end(&stretch->rows, ROW_OPEN, false, low, run.from));
    return before_is_open(stretch, idle) ? 0 : length(idle);
}

/** The same after it. */
static uint64_t idle_after(const struct stretch *stretch, struct run run, uint64_t most)
{
    uint64_t high = min_u64(run.end + most, stretch->pages);

    if (!after_is_open(stretch, run))
        return 0;
    struct run idle = alike(stretch, run.end, high);
    idle.end = row_first(&stretch->rows, ROW_USED, idle.from, idle.end);
    return after_is_open(stretch, idle) ? 0 : length(idle);
}

/** A run with the weak pages at its ends, as far as one looks (pages_join.c). */
static struct run with_weak_beside(const struct stretch *stretch, struct run run)
{
    uint64_t low = run.from - min_u64(run.from, far_pages(stretch));
    uint64_t high = min_u64(run.end + far_pages(stretch), stretch->pages);

    if (stretch->stats.weak_pages == 0)
        return run;
    run.from = row_last_end(&stretch->rows, ROW_WEAK, false, low, run.from);
    if (run.end < high && row_bit(&stretch->rows, ROW_WEAK, run.end))
        run.end = row_end_of_run(&stretch->rows, ROW_WEAK, run.end, high);
    return run;
}

/** What to shut in order to close a run: also what is idle beside it, if that makes mappings fewer. Not so
 *  much beside a small run that the next small area would find its grain shut. But all that is weak there: it
 *  ought to be shut anyway, and makes no mapping more. */
static struct run worth_shutting(const struct stretch *stretch, struct run run)
{
    uint64_t most = length(run) >= LARGE_PAGES ? GRAIN_PAGES : LARGE_PAGES;
    struct run weak = with_weak_beside(stretch, run);

    return (struct run){min_u64(weak.from, run.from - idle_before(stretch, run, most)),
                        max_u64(weak.end, run.end + idle_after(stretch, run, most))};
}

/** By one call if it can be: all from the first open page to the last is shut. */
void kva_port_close_run(struct stretch *stretch, struct run range)
{
    struct run all = open_in(stretch, range);

    if (length(all) == 0)
        return;
    row_set_range(&stretch->rows, ROW_USED, all.from, all.end, false);
    struct run wide = worth_shutting(stretch, all);
    uint64_t now = kva_port_ends_in(stretch, wide);
    if (pays_to_shut(stretch, all, wide, now) && may_split(stretch, wide, now, ends_if_shut(stretch, wide)) &&
        (kva_port_shut_at_any_price(stretch, wide, now) || kva_port_deny(stretch, wide)))
        return;
    for (struct run run = {all.from, all.from}; run.end < all.end;) {
        run = alike(stretch, run.end, all.end);
        if (!is_shut(stretch, run))
            kva_port_close_open(stretch, run);
    }
}

/* ------------------------------------------------------------------------------------------ frames' pages */

/** Close a piece of frames, which no seam divides. Markers on it do not outlive the mapping, so it stays
 *  owed. */
static void close_frames_piece(struct stretch *stretch, struct run piece)
{
    if (kva_port_shut_at_any_price(stretch, piece, kva_port_ends_of(stretch, piece)) ||
        kva_port_deny(stretch, piece))
        return;
    if (stretch->guards && advise(stretch, piece, MADV_GUARD_INSTALL, &stretch->stats.calls.unmap))
        kva_port_note_debt(stretch, piece, OWED);
    else
        kva_port_leave_weak(stretch, piece);
}

/** By one call if it can be; else each piece by itself. */
void kva_port_close_frames(struct stretch *stretch, struct run range)
{
    struct run all = open_in(stretch, range);

    if (length(all) == 0 || kva_port_shut_at_any_price(stretch, all, kva_port_ends_in(stretch, all)) ||
        kva_port_deny(stretch, all))
        return;
    for (struct run piece = {all.from, all.from}; piece.end < all.end;) {
        piece = alike(stretch, piece.end, all.end);
        piece.end = row_first(&stretch->rows, ROW_SEAMS, piece.from + 1, piece.end);
        if (!is_shut(stretch, piece))
            close_frames_piece(stretch, piece);
    }
}
