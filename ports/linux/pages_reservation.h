/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A reservation, and runs of its pages by number.
 *
 *      front | private pages 0 .. pages - 1           | pages for frames             |
 *            ^ first                                                                 ^ first + bytes
 *
 * A page is ACCESSIBLE or INACCESSIBLE, by the mapping that it lies in:
 *
 *      inaccessible   a PROT_NONE mapping: a touch faults
 *      accessible     private: a readable and writable mapping; for frames: a map of a frame set
 *
 * An accessible page may be closed all the same: it carries a marker (pages_open.c), or it is an
 * unfinished unmap (pages_unmaps.h), even one that mprotect has denied access.
 *
 * THE FRONT is a closed page. It is a part of the reservation's mapping, so that nothing else can be mapped
 * there. Where a window has no room for it, page 0 stays closed instead.
 */
#ifndef KVA_PORTS_LINUX_PAGES_RESERVATION_H
#define KVA_PORTS_LINUX_PAGES_RESERVATION_H

#include <kva/pages.h>

#include "pages_budget.h"
#include "pages_gate.h"
#include "pages_nodes.h"
#include "pages_spare.h"
#include "reader.h"
#include "rows.h"
#include "system.h"
#include "tables.h"

/** A grain is the pages that one page table maps. */
enum { GRAIN_PAGES = 512 };

/** The size of a huge page of anonymous memory; 0 if there are none, or if it is not a multiple of a
 *  grain. */
static inline uint64_t huge_page(uint64_t page)
{
    uint64_t huge = read_number("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");

    return is_power_of_two(huge) && huge % (GRAIN_PAGES * page) == 0 ? huge : 0;
}

struct reservation {
    char *first;    /* start of page 0; a multiple of a grain */
    uint64_t bytes; /* from `first` on */
    uint64_t front; /* closed bytes before `first`: a page, or 0 where page 0 stays closed instead */
    uint64_t page;
    uint64_t huge;  /* bytes of a huge page; 0: there are none, or it has not been read yet */
    uint64_t pages; /* private ones; the pages for frames follow */
    bool guards;    /* the mechanism is guard regions: see pages_open.c */
    bool strict;    /* a lack of mappings must not leave closed pages touchable: see pages_join.c */
    bool has_huge;  /* some pages want huge pages, or did */
    /** Private pages were denied, or lost their nodes for a while: they may not merge as fresh ones do. */
    bool merges_less;
    unsigned apart; /* so many openings to come get a mapping each, because markers were refused */
    struct spare spare;
    struct budget budget;
    struct gate gate;
    struct bindings bindings;
    struct tables tables;
    /**
     * Bits for each page:
     *
     *      accessible   see above
     *      used         private: opened, and not closed since
     *      seams        accessible, as the page before it, but maybe in another mapping
     *      huge         private: in a mapping that wants huge pages
     *      failed       a failed unmap (stats.failed_unmap_pages counts these)
     *      partial      a partial unmap (partial_unmap_pages counts these)
     *      foreign      an unfinished unmap whose mapping must be replaced before it is opened
     */
    struct sparse rows;
    uint64_t seam_count;
    uint64_t partial_unmap_pages;
    uint64_t *blocks;             /* a bit for each block of pages: some may be unfinished unmaps */
    uint64_t next_retry;          /* the page from which the next call looks for unfinished unmaps */
    struct kva_pages_stats stats; /* mappings and mappings_limit are in the budget */
};

/** Pages by number: [from, end). */
struct run {
    uint64_t from;
    uint64_t end;
};

static inline struct run run_at(const struct reservation *reservation, uint64_t start, uint64_t bytes)
{
    uint64_t from = (start - (uintptr_t)reservation->first) / reservation->page;

    return (struct run){from, from + bytes / reservation->page};
}

static inline uint64_t length(struct run run)
{
    return run.end > run.from ? run.end - run.from : 0;
}

static inline struct run common(struct run a, struct run b)
{
    return (struct run){max_u64(a.from, b.from), min_u64(a.end, b.end)};
}

static inline bool is_of_frames(const struct reservation *reservation, struct run run)
{
    return run.from >= reservation->pages;
}

/** The pages from `from` on, at most to `end`, that are all accessible or all inaccessible. */
static inline struct run alike(const struct reservation *reservation, uint64_t from, uint64_t end)
{
    return (struct run){from, row_end_of_run(&reservation->rows, ROW_ACCESSIBLE, from, end)};
}

/** From the first accessible page of a range to the last. */
static inline struct run accessible_in(const struct reservation *reservation, struct run range)
{
    return (struct run){row_first(&reservation->rows, ROW_ACCESSIBLE, range.from, range.end),
                        row_last_end(&reservation->rows, ROW_ACCESSIBLE, true, range.from, range.end)};
}

static inline bool is_all_inaccessible(const struct reservation *reservation, struct run run)
{
    return row_first(&reservation->rows, ROW_ACCESSIBLE, run.from, run.end) == run.end;
}

/** The same for a run whose pages are alike. */
static inline bool is_inaccessible(const struct reservation *reservation, struct run run)
{
    return !row_bit(&reservation->rows, ROW_ACCESSIBLE, run.from);
}

static inline bool before_is_accessible(const struct reservation *reservation, struct run run)
{
    return run.from > 0 && row_bit(&reservation->rows, ROW_ACCESSIBLE, run.from - 1);
}

static inline bool after_is_accessible(const struct reservation *reservation, struct run run)
{
    return row_bit(&reservation->rows, ROW_ACCESSIBLE, run.end);
}

static inline char *run_address(const struct reservation *reservation, struct run run)
{
    return reservation->first + run.from * reservation->page;
}

static inline size_t run_bytes(const struct reservation *reservation, struct run run)
{
    return (size_t)(length(run) * reservation->page);
}

/** madvise a run, for markers or other advice. An empty run needs no call. */
static inline bool advise(const struct reservation *reservation, struct run run, int advice, uint64_t *calls)
{
    return length(run) == 0 ||
           advise_memory(run_address(reservation, run), run_bytes(reservation, run), advice, calls);
}

static inline bool protect_run(const struct reservation *reservation, struct run run, int protection,
                               uint64_t *calls)
{
    return protect_memory(run_address(reservation, run), run_bytes(reservation, run), protection, calls);
}

/** Count the mappings that the bindings may take, after a change. `before`: their binding_ends before it. */
static inline void note_binding_ends(struct reservation *reservation, uint64_t before)
{
    reservation->budget.taken += binding_ends(&reservation->bindings) - before;
}

/** Bind fresh pages to the nodes of the pages that they replace. Pages that lose their nodes, and are marked
 *  then, do not merge with their neighbours when they are bound again. */
static inline void rebind(struct reservation *reservation, struct run run)
{
    uint64_t before = binding_ends(&reservation->bindings);
    uintptr_t start = (uintptr_t)run_address(reservation, run);

    if (before == 0)
        return;
    kva_port_rebind(&reservation->bindings, start, start + run_bytes(reservation, run),
                    &reservation->stats.calls.nodes);
    reservation->merges_less = reservation->merges_less || binding_ends(&reservation->bindings) > before;
    note_binding_ends(reservation, before);
}

/** Replace a run by a fresh mapping with this protection. */
static inline bool replace(struct reservation *reservation, struct run run, int protection, uint64_t *calls)
{
    if (!replace_memory(run_address(reservation, run), run_bytes(reservation, run), protection, calls))
        return false;
    rebind(reservation, run);
    return true;
}

#endif
