/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The steps that a run of pages can take.
 *
 * A close cannot fail, but at the limit on mappings the kernel refuses some calls: docs/theory/vmap.md,
 * "Failed unmaps", has the table. So pages_close.c tries several steps, until the kernel accepts one:
 *
 *        replaced      by an inaccessible mapping; final
 *        marked        final for private pages; frames' pages become partial unmaps
 *        denied        PROT_NONE, as whole mappings: partial unmaps. The run is still the old mapping
 *        left mapped   failed unmaps. Private pages are discarded; frames cannot be, and a stale store
 *                      reaches the frame
 *
 * pages_unmaps.h defines partial and failed unmaps.
 */
#include "gnu.h"

#include "pages_steps.h"

#include "pages_count.h"
#include "pages_unmaps.h"

/** The count to which a close adds its calls. */
static uint64_t *closing_calls(struct reservation *reservation, struct run run)
{
    struct kva_vm_calls *calls = &reservation->stats.calls;

    return is_of_frames(reservation, run) ? &calls->unmap : &calls->close;
}

/** Make a run inaccessible with the mapping that the spare gives back. Only a run between inaccessible pages
 *  is surely whole mappings, so that it becomes fewer of them. */
static bool replace_with_spare(struct reservation *reservation, struct run run, uint64_t *calls)
{
    if (before_is_accessible(reservation, run) || after_is_accessible(reservation, run) ||
        !reservation->spare.is_up)
        return false;
    set_spare(&reservation->spare, false, calls);
    return replace(reservation, run, PROT_NONE, calls);
}

bool kva_port_force_inaccessible(struct reservation *reservation, struct run run, uint64_t now)
{
    uint64_t *calls = closing_calls(reservation, run);

    if (!replace(reservation, run, PROT_NONE, calls) && !replace_with_spare(reservation, run, calls))
        return false;
    kva_port_note_run(reservation, run, false, now);
    return true;
}

bool kva_port_make_inaccessible(struct reservation *reservation, struct run run, uint64_t now)
{
    return may_split(reservation, run, now, ends_if_inaccessible(reservation, run)) &&
           kva_port_force_inaccessible(reservation, run, now);
}

bool kva_port_renew(struct reservation *reservation, struct run run, uint64_t *calls)
{
    uint64_t now = kva_port_ends_of(reservation, run);

    if (!has_room_for_ends(&reservation->budget, now, kva_port_ends_if_fresh(reservation, run)) ||
        !replace(reservation, run, PROT_READ | PROT_WRITE, calls))
        return false;
    kva_port_note_run(reservation, run, true, now);
    return true;
}

/** A denied run can be marked once it may be touched; a foreign one, once it is fresh. */
bool kva_port_make_markable(struct reservation *reservation, struct run run, uint64_t *calls)
{
    if (!has_unfinished(reservation, run))
        return true;
    return has_foreign_pages(reservation, run) ? kva_port_renew(reservation, run, calls)
                                               : protect_run(reservation, run, PROT_READ | PROT_WRITE, calls);
}

/** Locked pages take no markers, so they are replaced first. */
bool kva_port_mark(struct reservation *reservation, struct run run)
{
    uint64_t *calls = &reservation->stats.calls.close;

    return advise(reservation, run, MADV_GUARD_INSTALL, calls) ||
           (kva_port_renew(reservation, run, calls) && advise(reservation, run, MADV_GUARD_INSTALL, calls));
}

/** The kernel refuses MADV_DONTNEED for locked pages, and MADV_DONTNEED_LOCKED before Linux 5.18. Fresh pages
 *  come last: after mlockall the kernel puts memory into them at once. */
bool kva_port_discard(struct reservation *reservation, struct run run, uint64_t *calls)
{
    return discard_memory(run_address(reservation, run), run_bytes(reservation, run), calls) ||
           kva_port_renew(reservation, run, calls);
}

/** Whether no mapping ends inside a run. */
static bool is_one_mapping(const struct reservation *reservation, struct run run)
{
    return length(run) < 2 || row_count_changes(&reservation->rows, ROW_ACCESSIBLE, run.from + 1, run.end) +
                                      row_count(&reservation->rows, ROW_SEAMS, run.from + 1, run.end) ==
                                  0;
}

/** At the limit the kernel allows this for whole mappings, and makes them fewer if it merges them with
 *  inaccessible ones. If it refuses one of several, those before it are denied: all are noted as partial
 *  unmaps, and the caller closes them in another way, or notes them as failed ones. */
bool kva_port_deny(struct reservation *reservation, struct run run)
{
    uint64_t *calls = closing_calls(reservation, run);
    bool is_private = !is_of_frames(reservation, run);

    bool done = protect_run(reservation, run, PROT_NONE, calls);
    if (!done && is_one_mapping(reservation, run))
        return false;
    if (done && is_private)
        (void)discard_memory(run_address(reservation, run), run_bytes(reservation, run), calls);
    reservation->merges_less = reservation->merges_less || is_private;
    kva_port_fence(reservation, run);
    kva_port_note_unmap(reservation, run, UNMAP_PARTIAL);
    return done;
}

bool kva_port_permit(struct reservation *reservation, struct run run, uint64_t *calls)
{
    if (protect_run(reservation, run, PROT_READ | PROT_WRITE, calls))
        return true;
    if (!kva_port_deny(reservation, run)) /* the part that was permitted */
        kva_port_note_unmap(reservation, run, UNMAP_FAILED);
    return false;
}

/** Frames are not discarded: they belong to their set. A foreign run is replaced, because it may map a file
 *  whose contents cannot be discarded. */
void kva_port_leave_mapped(struct reservation *reservation, struct run run)
{
    uint64_t *calls = closing_calls(reservation, run);

    reservation->stats.failed_unmaps++;
    if (!is_of_frames(reservation, run) &&
        !(has_foreign_pages(reservation, run) && kva_port_renew(reservation, run, calls)))
        (void)kva_port_discard(reservation, run, calls);
    kva_port_note_unmap(reservation, run, UNMAP_FAILED);
}
