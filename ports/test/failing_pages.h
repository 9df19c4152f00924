/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A page source for tests: it wraps another one, fails where it is told to, counts what is outstanding, and
 * holds its caller to the contract in kva/vm.h.
 *
 * The calls that may fail are reserve, open, bind, map, move, pool, piece and table; the n-th of them from
 * now can be made to fail, once or from then on. For each page the source knows whether it is closed, open or
 * mapped. To open a page that is not closed, to bind one that is not, to map over one, to close a range of
 * frames or unmap a private one, to reach outside the reservation, or to give back what was never taken,
 * stops the program. So does a move that does not name all pages that show its frames, each once, and in the
 * same order whenever it is asked; or that goes to where it comes from, or to a place that a page shows.
 */
#ifndef KVA_PORTS_TEST_FAILING_PAGES_H
#define KVA_PORTS_TEST_FAILING_PAGES_H

#include <kva/pages.h>

struct kva_failing_reservation;
struct kva_failing_frames;

struct kva_failing_pages {
    struct kva_pages inner; /* the source that does the work */
    uint64_t calls;         /* of those that may fail */
    uint64_t refused;       /* how many of them failed on demand */
    uint64_t fail_at;       /* the call that fails, counted as `calls`; 0: none */
    bool from_then_on;      /* and all after it */
    enum kva_status status; /* what it says; KVA_ENOMEM unless it is set otherwise (table: NULL) */
    uint64_t closes;        /* calls of close, dismiss and unmap */
    uint64_t dismissals;    /* calls of dismiss */
    uint64_t binds;         /* calls of bind that were granted */
    uint64_t maps;          /* calls of map that were granted */
    uint64_t moves;         /* calls of move that were granted */
    uint64_t moved_frames;  /* by these */
    uint64_t collapses;     /* calls of collapse */
    uint64_t reservations;  /* outstanding */
    uint64_t frame_sets;    /* outstanding */
    uint64_t tables;        /* outstanding */
    uint64_t pieces;        /* outstanding, of the tables of all reservations */
    uint64_t open_pages;    /* private pages that are open, of all reservations */
    uint64_t mapped_pages;  /* pages of the frames part that are mapped */
    unsigned cpu;           /* what this_cpu says, if `fixed_cpu` */
    bool fixed_cpu;
    /** Accept moves that do not name all maps: some end meanwhile, and parked areas map the old places. */
    bool allows_unnamed_maps;
    struct kva_failing_reservation *reservation; /* private: those that are outstanding, the last one first */
    struct kva_failing_frames *frame_set;        /* private: likewise */
};

/** Reset the counters and return the source, which wraps `inner`. Nothing may be outstanding. */
struct kva_pages kva_failing_pages_init(struct kva_failing_pages *pages, const struct kva_pages *inner);

/** The n-th call that may fail from now (1: the next) fails; so do all after it if `from_then_on`. n = 0:
 *  none does. */
void kva_failing_pages_fail(struct kva_failing_pages *pages, uint64_t n, bool from_then_on);

/** The place of the frame that an address shows, where it is known: from the first map of a movable pool
 *  on. UINT64_MAX: it is not, or the page shows none. */
uint64_t kva_failing_pages_place(const struct kva_failing_pages *pages, const void *address);

/** The pool that was made last, of those that are outstanding; NULL: there is none. */
void *kva_failing_pages_frames(const struct kva_failing_pages *pages);

#endif
