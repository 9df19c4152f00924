/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Checking a reservation against the kernel's list of its mappings (V10 of src/vmap/vm_check.c): pages
 * without an owner must be mapped as kva left them. The caller knows what a page is used for; the rows know
 * whether it is accessible, and how.
 */
#include "gnu.h"

#include "pages_check.h"

#include <errno.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "maps.h"
#include "pages_frames.h"
#include "pages_reservation.h"

#ifndef PR_GET_MEMORY_MERGE
#define PR_GET_MEMORY_MERGE 68 /* Linux 6.4 */
#endif

/** A comparison under way. */
struct comparison {
    const struct reservation *reservation;
    const struct kva_pages_view *view;
    uint64_t at;           /* all pages before this address are right; after an error, the wrong page */
    struct stat frame_set; /* the set that was seen last */
    bool is_movable;       /* that set is */
    bool has_asked_for_locks;
    bool locks_all;
};

static bool is_locked(void *page, uint64_t bytes)
{
    return msync(page, (size_t)bytes, MS_INVALIDATE) != 0 && errno == EBUSY;
}

/** Whether the program called mlockall, which is not about the reservation: then our own bookkeeping is
 *  locked, or a fresh mapping is. */
static bool locks_all(const struct reservation *reservation)
{
    uint64_t calls = 0; /* not counted */
    void *fresh = map_inaccessible(NULL, reservation->page, 0, &calls);
    bool locked = is_locked(reservation->tables.is_first_process, reservation->page);

    if (!fresh)
        return locked;
    locked = locked || is_locked(fresh, reservation->page);
    (void)munmap(fresh, (size_t)reservation->page);
    return locked;
}

/** The same, found out once for a check. */
static bool is_all_locked(struct comparison *comparison)
{
    if (!comparison->has_asked_for_locks)
        comparison->locks_all = locks_all(comparison->reservation);
    comparison->has_asked_for_locks = true;
    return comparison->locks_all;
}

/** Whether the kernel makes all readable mappings executable. */
static bool executes_all(void)
{
    return (personality(0xffffffff) & READ_IMPLIES_EXEC) != 0;
}

/** Whether a mapping has attributes that neither kva nor a setting of the whole program gave it. */
static bool has_foreign_attributes(struct comparison *comparison, unsigned attributes, unsigned own)
{
    unsigned rest = attributes & ~own;

    if ((rest & KVA_ATTRIBUTE_LOCKED) && is_all_locked(comparison))
        rest &= ~(unsigned)KVA_ATTRIBUTE_LOCKED;
    if ((rest & KVA_ATTRIBUTE_MERGEABLE) && prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0) == 1)
        rest &= ~(unsigned)KVA_ATTRIBUTE_MERGEABLE;
    return rest != 0;
}

static bool is_mapped_from(const struct stat *file, const struct kva_mapping *mapping)
{
    return file->st_ino == mapping->inode && major(file->st_dev) == mapping->major &&
           minor(file->st_dev) == mapping->minor;
}

/** Whether a mapping maps frames of a set: usually of the one that the mapping before maps. */
static bool maps_frames(struct comparison *comparison, const struct kva_mapping *mapping)
{
    const struct kva_pages_view *view = comparison->view;
    const void *frame_set;

    if (!mapping->shared || mapping->inode == 0)
        return false;
    if (is_mapped_from(&comparison->frame_set, mapping))
        return true;
    for (size_t i = 0; (frame_set = view->frame_set(view->context, i)); i++) {
        if (fstat(file_of(frame_set), &comparison->frame_set) != 0 ||
            !is_mapped_from(&comparison->frame_set, mapping))
            continue;
        comparison->is_movable = is_movable_set(frame_set);
        return true;
    }
    return false;
}

static bool is_anonymous(const struct kva_mapping *mapping)
{
    return !mapping->shared && mapping->inode == 0;
}

/** How pages without an owner should be mapped. */
struct expected {
    bool is_accessible;
    bool has_frames;
    bool wants_huge;
};

/** The attributes that kva may have given such pages. A map of movable frames without MADV_DONTFORK is not
 *  wrong: not every system grants it. */
static unsigned attributes_of(const struct comparison *comparison, struct expected expected)
{
    if (expected.has_frames)
        return comparison->is_movable ? (unsigned)KVA_ATTRIBUTE_OWN : 0;
    return expected.wants_huge ? (unsigned)KVA_ATTRIBUTE_HUGE : 0;
}

/** What is wrong with a mapping; NULL if nothing is. */
static const char *what_is_wrong(struct comparison *comparison, const struct kva_mapping *mapping,
                                 struct expected expected)
{
    if (mapping->readable != expected.is_accessible || mapping->writable != expected.is_accessible ||
        (mapping->executable && !(expected.is_accessible && executes_all())))
        return "V10: unowned pages of the reservation have another protection than kva set";
    if (expected.has_frames ? !maps_frames(comparison, mapping) : !is_anonymous(mapping))
        return "V10: unowned pages of the reservation map a file that is not kva's";
    if (has_foreign_attributes(comparison, mapping->attributes, attributes_of(comparison, expected)))
        return "V10: unowned pages of the reservation are locked or advised, but not by kva";
    return NULL;
}

/** The end of the pages from `from` on, at most `end`, that should be mapped alike. *known: whether kva knows
 *  how; of unfinished unmaps it does not. */
static uint64_t next_alike(const struct reservation *reservation, uint64_t from, uint64_t end,
                           enum kva_pages_use use, struct expected *expected, bool *known)
{
    bool is_private = from < reservation->pages;

    *known = !row_bit(&reservation->rows, ROW_FAILED_UNMAP, from) &&
             !row_bit(&reservation->rows, ROW_PARTIAL_UNMAP, from);
    end = row_end_of_run(&reservation->rows, ROW_FAILED_UNMAP, from, end);
    end = row_end_of_run(&reservation->rows, ROW_PARTIAL_UNMAP, from, end);
    *expected = (struct expected){use == KVA_PAGES_MAPPED, use == KVA_PAGES_MAPPED, false};
    if (!is_private)
        return end;
    expected->is_accessible = row_bit(&reservation->rows, ROW_ACCESSIBLE, from);
    expected->wants_huge = row_bit(&reservation->rows, ROW_HUGE, from);
    end = row_end_of_run(&reservation->rows, ROW_ACCESSIBLE, from, min_u64(end, reservation->pages));
    return row_end_of_run(&reservation->rows, ROW_HUGE, from, end);
}

/** Compare pages without an owner, from `at` on, with the one mapping that they lie in. */
static const char *compare_idle(struct comparison *comparison, uint64_t end, enum kva_pages_use use,
                                const struct kva_mapping *mapping)
{
    const struct reservation *reservation = comparison->reservation;
    struct run run = run_at(reservation, comparison->at, end - comparison->at);
    const char *wrong = NULL;

    while (run.from < run.end) {
        struct expected expected;
        bool known;
        uint64_t next = next_alike(reservation, run.from, run.end, use, &expected, &known);
        wrong = known ? what_is_wrong(comparison, mapping, expected) : NULL;
        if (wrong)
            break;
        run.from = next;
    }
    comparison->at = (uintptr_t)run_address(reservation, run);
    return wrong;
}

/** Compare all pages up to `end` with the mapping that they lie in; NULL: with none. */
static const char *compare(struct comparison *comparison, uint64_t end, const struct kva_mapping *mapping)
{
    const struct kva_pages_view *view = comparison->view;
    const char *wrong = NULL;
    uint64_t next;

    while (comparison->at < end && !wrong) {
        enum kva_pages_use use = view->use(view->context, comparison->at, &next);
        next = min_u64(next, end);
        if (use == KVA_PAGES_OWNED)
            comparison->at = next;
        else if (mapping)
            wrong = compare_idle(comparison, next, use, mapping);
        else
            wrong = "V10: unowned pages of the reservation are not mapped";
    }
    return wrong;
}

/** Compare the reservation with the list of mappings. A list that is empty or was cut short by an error
 *  proves no mapping missing. */
static const char *compare_with(struct comparison *comparison, uint64_t end, struct kva_maps *maps)
{
    struct kva_mapping mapping;
    const char *wrong = NULL;
    bool any = false;

    while (!wrong && comparison->at < end && kva_maps_next(maps, &mapping)) {
        any = true;
        if (mapping.end <= comparison->at)
            continue;
        wrong = compare(comparison, min_u64(mapping.start, end), NULL);
        if (!wrong)
            wrong = compare(comparison, min_u64(mapping.end, end), &mapping);
    }
    return wrong || !any || maps->reader.failed ? wrong : compare(comparison, end, NULL);
}

const char *kva_port_check(void *context, void *handle, const struct kva_pages_view *view, uint64_t *address)
{
    const struct reservation *reservation = handle;
    struct comparison comparison = {
        .reservation = reservation, .view = view, .at = (uintptr_t)reservation->first};
    struct kva_maps maps;

    (void)context;
    if (!kva_maps_open(&maps, true) && !kva_maps_open(&maps, false))
        return NULL;
    const char *wrong = compare_with(&comparison, comparison.at + reservation->bytes, &maps);
    kva_maps_close(&maps);
    *address = comparison.at;
    return wrong;
}
