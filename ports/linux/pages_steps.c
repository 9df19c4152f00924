/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The steps that a run of pages can take.
 *
 * At the limit on mappings the kernel refuses some of them, and a close cannot fail. With M mappings of
 * vm.max_map_count, Linux allows
 *
 *                                           M < max       M = max        M = max + 1, or more
 *        mmap, anywhere                     yes           yes            no
 *        mmap over a whole mapping          yes           yes            no
 *        mmap over an end of a mapping      yes           yes            no
 *        mmap in the middle of one          yes           no             no
 *        mprotect of whole mappings         yes           yes            yes
 *        mprotect of a part of one          while M < max after each split, else no
 *        markers, MADV_DONTNEED             yes           yes            yes
 *
 * (One mmap more than the limit is Linux's own arithmetic. M is larger still where an administrator has
 * lowered the limit.) So what is to be closed goes down this list until a call is accepted:
 *
 *        replaced     a shut mapping; final
 *        marked       final in the private part
 *        DENIED       PROT_NONE, as whole mappings. It faults, but it is still the old mapping
 *        WEAK         dropped, and it can still be touched. Frames cannot even be dropped: a stale write
 *                     reaches the frame
 *
 * Denied and weak pages are debts (pages_unmaps.h), and so are frames' pages with markers.
 */
#include "gnu.h"

#include "pages_steps.h"

#include "pages_count.h"
#include "pages_unmaps.h"

/** Which calls a close counts among. */
static uint64_t *closing_calls(struct reservation *reservation, struct run run)
{
    struct kva_vm_calls *calls = &reservation->stats.calls;

    return is_of_frames(reservation, run) ? &calls->unmap : &calls->close;
}

/** Replace a run by a shut mapping, with the mapping that the spare gives back. Only what lies between shut
 *  pages surely is whole mappings, so that it becomes fewer of them. */
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

/** What was denied can be marked once it may be touched; what is strange, once it is fresh. */
bool kva_port_make_markable(struct reservation *reservation, struct run run, uint64_t *calls)
{
    if (!has_unfinished(reservation, run))
        return true;
    return has_foreign_pages(reservation, run) ? kva_port_renew(reservation, run, calls)
                                               : protect_run(reservation, run, PROT_READ | PROT_WRITE, calls);
}

/** Locked pages take no markers, so these are replaced first. */
bool kva_port_mark(struct reservation *reservation, struct run run)
{
    uint64_t *calls = &reservation->stats.calls.close;

    return advise(reservation, run, MADV_GUARD_INSTALL, calls) ||
           (kva_port_renew(reservation, run, calls) && advise(reservation, run, MADV_GUARD_INSTALL, calls));
}

/** MADV_DONTNEED is refused to locked pages, MADV_DONTNEED_LOCKED before Linux 5.18. Fresh pages come
 *  last: where the program locks all that it maps, the kernel puts memory into them at once. */
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

/** At the limit the kernel allows that for whole mappings, and makes them fewer if it merges them with shut
 *  ones. If it refuses that for one of several, those before it are denied: then all are owed. */
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
    if (!kva_port_deny(reservation, run)) /* what was permitted of it */
        kva_port_note_unmap(reservation, run, UNMAP_FAILED);
    return false;
}

/** Of frames there is nothing to drop: they are the pool's. What is strange is replaced, as it may show a
 *  file that nothing can be dropped from. */
void kva_port_leave_mapped(struct reservation *reservation, struct run run)
{
    uint64_t *calls = closing_calls(reservation, run);

    reservation->stats.failed_unmaps++;
    if (!is_of_frames(reservation, run) &&
        !(has_foreign_pages(reservation, run) && kva_port_renew(reservation, run, calls)))
        (void)kva_port_discard(reservation, run, calls);
    kva_port_note_unmap(reservation, run, UNMAP_FAILED);
}
