/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Opening private pages. There are two mechanisms.
 *
 * GUARD REGIONS. Accessible pages that are not in use carry a marker (MADV_GUARD_INSTALL). A marker faults
 * like an inaccessible page, but splits no mapping:
 *
 *      inaccessible                                            inaccessible         inaccessible
 *      ...........|  A   |m|   B      |m|m m m m m m m m m m m m|..............| L        |......
 *                 ^ one mapping, a grain long                                  ^ another
 *
 * A small area among markers is opened by removing them (MADV_GUARD_REMOVE). Where it is inaccessible, one
 * call makes the inaccessible pages of its whole GRAIN (512 pages) accessible, and up to two more mark those
 * that the area does not cover. A large area (L) becomes a mapping of its own, and needs no markers.
 *
 * MAPPINGS. Each area is a mapping of its own, or shares one with its neighbours where mappings run short
 * (pages_join.c).
 *
 * WHAT IS LARGE. Measured on Linux 6.18: a marker costs 15 ns to put and 17 ns to remove per page, on top of
 * 0.4 us a call, and pages that were touched and carry markers have a page table to be walked. To open an
 * area, touch it and close it again takes, in us; the last row is mmap, touch and munmap:
 *
 *      pages       1     16     64    256   1024   16384
 *      markers   3.6    3.9    5.6   12.7   36.6     -
 *      mapping   4.8    4.5    4.7    5.8    6.3    6.4
 *      mmap      4.8    4.4    4.4    4.9    5.6    6.3
 *
 * So an area of 64 pages or more becomes a mapping. It takes up to two of the mappings that a process may
 * have. An eighth of the reservation's limit is for this; after that, large areas are opened as small ones
 * are.
 */
#include "gnu.h"

#include "pages_open.h"

#include "pages_bind.h"
#include "pages_close.h"
#include "pages_count.h"
#include "pages_join.h"
#include "pages_pieces.h"
#include "pages_retry.h"
#include "pages_steps.h"

/** After a refusal of markers, so many openings get a mapping each before markers are tried again. */
enum { APART = 64 };

/** Open an inaccessible run: make it accessible, and mark the pages outside `range`. Locked pages take no
 *  markers: after mlockall the range becomes a mapping of its own, and so do the next ones. */
static enum kva_status open_inaccessible(struct reservation *reservation, struct run run, struct run range)
{
    struct run head = {run.from, min_u64(range.from, run.end)};
    struct run tail = {max_u64(range.end, run.from), run.end};
    uint64_t *calls = &reservation->stats.calls.open;

    enum kva_status status = kva_port_make_accessible(reservation, run);
    if (status != KVA_OK)
        return status;
    if (advise(reservation, head, MADV_GUARD_INSTALL, calls) &&
        advise(reservation, tail, MADV_GUARD_INSTALL, calls))
        return KVA_OK;
    if (kva_port_make_inaccessible(reservation, run, kva_port_ends_of(reservation, run))) {
        reservation->apart = APART;
        return open_inaccessible(reservation, common(run, range), range);
    }
    kva_port_close_accessible(reservation, run);
    return kva_port_why_refused(&reservation->budget);
}

/** Whether to replace marked pages rather than remove their markers: a replacement takes the same time for
 *  any number of pages. */
static bool pays_to_renew(const struct reservation *reservation, struct run run)
{
    return reservation->guards && length(run) >= LARGE_PAGES &&
           (has_share(&reservation->budget) ||
            kva_port_ends_if_fresh(reservation, run) <= kva_port_ends_of(reservation, run));
}

/** Make unfinished unmaps readable and writable, and discard them: they may be denied, or may have been
 *  touched. On failure they may be failed unmaps. */
static bool permit_and_discard(struct reservation *reservation, struct run run, uint64_t *calls)
{
    if (!kva_port_permit(reservation, run, calls))
        return false;
    kva_port_note_unmap(reservation, run, UNMAP_FAILED);
    return kva_port_discard(reservation, run, calls);
}

/** Make accessible pages usable: remove their markers, which only guard regions have, and finish their
 *  unmaps. */
static enum kva_status unmark(struct reservation *reservation, struct run run)
{
    uint64_t *calls = &reservation->stats.calls.open;

    if ((pays_to_renew(reservation, run) || has_foreign_pages(reservation, run)) &&
        kva_port_renew(reservation, run, calls))
        return KVA_OK;
    if (has_foreign_pages(reservation, run))
        return has_room_for(&reservation->budget, 2) ? kva_port_why_refused(&reservation->budget)
                                                     : KVA_ELIMIT;
    if ((has_unfinished(reservation, run) && !permit_and_discard(reservation, run, calls)) ||
        (reservation->guards && !advise(reservation, run, MADV_GUARD_REMOVE, calls)))
        return kva_port_why_refused(&reservation->budget);
    forget_unfinished(reservation, run);
    return KVA_OK;
}

/** The pages to make accessible for a range: the grains that it touches, or the range alone if it becomes a
 *  mapping of its own. */
static struct run window_of(struct reservation *reservation, struct run range)
{
    uint64_t end;

    if (as_mapping(reservation, range))
        return range;
    if (reservation->apart > 0) {
        reservation->apart--;
        return range;
    }
    end = align_down(range.end - 1, GRAIN_PAGES) + GRAIN_PAGES;
    return (struct run){align_down(range.from, GRAIN_PAGES), min_u64(end, reservation->pages)};
}

static enum kva_status open_run(struct reservation *reservation, struct run range)
{
    struct run window = window_of(reservation, range);
    enum kva_status status = kva_port_prepare_rows(reservation, window);

    for (struct run run = {window.from, window.from}; status == KVA_OK && run.end < window.end;) {
        run = alike(reservation, run.end, window.end);
        struct run part = common(run, range);
        if (length(part) == 0)
            continue;
        status = is_inaccessible(reservation, run) ? open_inaccessible(reservation, run, range)
                                                   : unmark(reservation, part);
        if (status != KVA_OK)
            kva_port_close_run(reservation, (struct run){range.from, max_u64(run.from, range.from)});
    }
    return status;
}

/** Open a run, and bind it to its nodes where that was lost, now or earlier (pages_nodes.c). No page of it
 *  has been touched yet. */
static enum kva_status open_bound(struct reservation *reservation, struct run run)
{
    enum kva_status status = open_run(reservation, run);

    if (status != KVA_OK)
        return status;
    status = bind_before_use(reservation, run);
    if (status != KVA_OK)
        kva_port_close_run(reservation, run);
    return status;
}

/** Ask for huge pages: a hint, because small pages serve as well. The run becomes a mapping with an attribute
 *  of its own; or, where the kernel refuses the rest, an end of it does. */
static void want_huge(struct reservation *reservation, struct run run)
{
    if (!(may_join(reservation) ? kva_port_has_plenty : has_room_for)(&reservation->budget, 2))
        return;
    if (advise(reservation, run, MADV_HUGEPAGE, &reservation->stats.calls.open)) {
        row_set_range(&reservation->rows, ROW_HUGE, run.from, run.end, true);
        reservation->has_huge = true;
    }
    kva_port_fence(reservation, run);
}

enum kva_status kva_port_open(void *context, void *handle, uint64_t start, uint64_t bytes, bool huge)
{
    struct reservation *reservation = handle;
    struct run run = run_at(reservation, start, bytes);

    (void)context;
    retry_some(reservation);
    if (huge) /* a page table, even of markers, prevents a huge page */
        kva_port_close_run(reservation, run);
    enum kva_status status = open_bound(reservation, run);
    if (status != KVA_OK)
        return status;
    row_set_range(&reservation->rows, ROW_USED, run.from, run.end, true);
    if (huge)
        want_huge(reservation, run);
    return KVA_OK;
}

void kva_port_close(void *context, void *handle, uint64_t start, uint64_t bytes)
{
    (void)context;
    kva_port_close_run(handle, run_at(handle, start, bytes));
    retry_some(handle);
}
