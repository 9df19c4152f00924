/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A reservation, and runs of its pages by number.
 *
 *      front | private pages 0 .. pages - 1           | frames' pages |
 *            ^ first                                                  ^ first + bytes
 *
 * A page is SHUT, which means that it lies in an inaccessible mapping, or OPEN: a private page in a mapping
 * that is readable and writable, a frames' page in a mapping of a pool.
 *
 * THE CLOSED PAGE IN FRONT is a part of the reservation's mapping, so that nothing else can come to lie
 * there. Where a window has no room for it, page 0 of the reservation stays shut instead.
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

/** A grain is what one page table maps. */
enum { GRAIN_PAGES = 512 };

/** The size of a huge page that anonymous memory may have; 0 if there are none, or none that grains would
 *  fill. */
static inline uint64_t huge_page(uint64_t page)
{
    uint64_t huge = read_number("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");

    return is_power_of_two(huge) && huge % (GRAIN_PAGES * page) == 0 ? huge : 0;
}

struct reservation {
    char *first;    /* a multiple of a grain; page 0 begins here */
    uint64_t bytes; /* from there */
    uint64_t front; /* bytes in front of that, closed: a page, or none where page 0 stays closed instead */
    uint64_t page;
    uint64_t huge;    /* bytes of a huge page, once it was asked for; 0: it was not, or there are none */
    uint64_t pages;   /* of the private part; then come the frames */
    bool guards;      /* the mechanism: see pages_open.c */
    bool strict;      /* no closed page may be left touchable for want of mappings: see pages_join.c */
    bool has_huge;    /* or had */
    bool merges_less; /* mappings may merge less than fresh ones do: private pages have been denied, or have
                         lost their nodes for a while */
    unsigned apart;   /* so many openings get a mapping each, since markers were refused */
    struct spare spare;
    struct budget budget;
    struct gate gate;
    struct bindings bindings;
    struct tables tables;
    struct sparse rows; /* bits for each page:
                             open    not shut
                             used    private: opened, and not closed since
                             huge    private: in a mapping that wants huge pages
                             seams   open, as the one before, but maybe in another mapping
                             weak    closed, but a touch may not fault (stats.failed_unmap_pages counts them)
                             owed    closed, and it faults, but its mapping is yet to be replaced
                             strange weak or owed, and not to be opened before its mapping is replaced */
    uint64_t seam_count;
    uint64_t partial_unmap_pages;
    uint64_t *blocks;             /* a bit for each block of pages: one of them may be weak or owed */
    uint64_t next_retry;          /* the page from which the next call looks for debts */
    struct kva_pages_stats stats; /* without mappings and mappings_limit, which the budget has */
};

/** Pages of one part, by number: [from, end). */
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

/** The pages from `from` on that are alike, shut or not, as far as `end`. */
static inline struct run alike(const struct reservation *reservation, uint64_t from, uint64_t end)
{
    return (struct run){from, row_end_of_run(&reservation->rows, ROW_ACCESSIBLE, from, end)};
}

/** All from the first open page in a range to the last. */
static inline struct run accessible_in(const struct reservation *reservation, struct run range)
{
    return (struct run){row_first(&reservation->rows, ROW_ACCESSIBLE, range.from, range.end),
                        row_last_end(&reservation->rows, ROW_ACCESSIBLE, true, range.from, range.end)};
}

static inline bool is_all_inaccessible(const struct reservation *reservation, struct run run)
{
    return row_first(&reservation->rows, ROW_ACCESSIBLE, run.from, run.end) == run.end;
}

/** Whether a run whose pages are all alike is shut. */
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

/** Put or remove markers, or another advice; nothing to do for an empty run. */
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

/** After a change of the bindings: count what they may take of the mappings. `before` is what they took. */
static inline void note_binding_ends(struct reservation *reservation, uint64_t before)
{
    reservation->budget.taken += binding_ends(&reservation->bindings) - before;
}

/** Fresh pages come from the nodes that the old ones came from. What loses that, and is marked then, does not
 *  merge with its neighbours when it is bound again. */
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

/** Replace a run by fresh pages that may be touched or not. */
static inline bool replace(struct reservation *reservation, struct run run, int protection, uint64_t *calls)
{
    if (!replace_memory(run_address(reservation, run), run_bytes(reservation, run), protection, calls))
        return false;
    rebind(reservation, run);
    return true;
}

#endif
