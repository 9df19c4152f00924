/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A page source for tests: it wraps another one, fails on demand, counts what is outstanding, and holds its
 * caller to the contract in kva/pages.h.
 *
 * The calls that may fail are reserve, open, bind, map, move, create_frames, open_piece and alloc_zeroed. The
 * n-th of them from now can be made to fail, alone or with all after it. For each page the source knows
 * whether it is closed, open or mapped. The program stops at a call that
 *
 *   - opens or binds a page that is not closed;
 *   - closes pages for frames, or unmaps private ones;
 *   - reaches outside the reservation;
 *   - gives back a reservation, a frame set, a table or a piece that it has not taken;
 *   - moves frames, and does not name all pages that map them, each once, and in the same order each time;
 *   - moves frames to places that overlap theirs, or that a page maps.
 */
#ifndef KVA_PORTS_TEST_FAILING_PAGES_H
#define KVA_PORTS_TEST_FAILING_PAGES_H

#include <kva/pages.h>

struct kva_failing_reservation;
struct kva_failing_frames;

struct kva_failing_pages {
    struct kva_pages inner; /* the source that does the work */
    uint64_t calls;         /* calls that may fail */
    uint64_t refused;       /* calls that failed on demand */
    uint64_t fail_at;       /* the number of the call that fails; 0: none */
    bool from_then_on;      /* and all after it */
    enum kva_status status; /* what it returns; KVA_ENOMEM unless set (alloc_zeroed: NULL) */
    uint64_t closes;        /* calls of close, dismiss and unmap */
    uint64_t dismissals;    /* calls of dismiss */
    uint64_t binds;         /* calls of bind that succeeded */
    uint64_t maps;          /* calls of map that succeeded */
    uint64_t moves;         /* calls of move that succeeded */
    uint64_t moved_frames;  /* frames that these moved */
    uint64_t collapses;     /* calls of collapse */
    uint64_t reservations;  /* outstanding */
    uint64_t frame_sets;    /* outstanding */
    uint64_t tables;        /* outstanding */
    uint64_t pieces;        /* outstanding, of the tables of all reservations */
    uint64_t open_pages;    /* private pages that are open, of all reservations */
    uint64_t mapped_pages;  /* pages of the frames part that are mapped */
    unsigned cpu;           /* what this_cpu returns, if `fixed_cpu` */
    bool fixed_cpu;
    /** Accept moves that do not name all maps: some end meanwhile, and parked areas map the old places. */
    bool allows_unnamed_maps;
    struct kva_failing_reservation *reservation; /* private: the outstanding ones, the last one first */
    struct kva_failing_frames *frame_set;        /* private: the outstanding ones, the last one first */
};

/** Reset the counters and return the source, which wraps `inner`. Nothing may be outstanding. */
struct kva_pages kva_failing_pages_init(struct kva_failing_pages *pages, const struct kva_pages *inner);

/** The n-th call from now that may fail (1: the next) fails, and all after it if `from_then_on`. n = 0: none
 *  fails. */
void kva_failing_pages_fail(struct kva_failing_pages *pages, uint64_t n, bool from_then_on);

/** The place of the frame that an address maps, as recorded from the first map of a movable set on.
 *  UINT64_MAX: it is not recorded, or the page maps no frame. */
uint64_t kva_failing_pages_place(const struct kva_failing_pages *pages, const void *address);

/** The frame set that was created last, of the outstanding ones; NULL: there is none. */
void *kva_failing_pages_frames(const struct kva_failing_pages *pages);

#endif
