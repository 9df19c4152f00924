/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva/pages.h: where an instance of kva/vm.h takes its pages from. A PAGE SOURCE is a table of functions that
 * reserve addresses, open and close pages there, and map frames. The Linux port has one; a kernel brings its
 * own.
 */
#ifndef KVA_PAGES_H
#define KVA_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kva/export.h>
#include <kva/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kva_vm_nodes;

/* ---------------------------------------------------------------------------------------- the system's */

/** How the Linux page source keeps closed pages closed. */
enum kva_mechanism {
    /** The cheapest that the running kernel has. */
    KVA_MECHANISM_BEST = 0,

    /** Readable and writable mappings, in which every page that is not open carries a guard marker
     *  (MADV_GUARD_INSTALL; Linux 6.13 and later). Markers split no mapping: any number of areas fits. */
    KVA_MECHANISM_GUARDS = 1,

    /** A mapping for each area, with inaccessible ones between: any Linux. An area takes two of the
     *  mappings that a process may have: vm.max_map_count, 65530 by default. Where that would leave less
     *  than a quarter of them to the program, areas share mappings, so that any number of areas fits: see
     *  WHERE MAPPINGS RUN SHORT in kva/vm.h. An area that is farther than a 4096th of the reservation from
     *  all others takes mappings of its own nevertheless, until 15/16 of them are taken. So do maps of
     *  frames: at most some 30,000 fit. */
    KVA_MECHANISM_MAPPINGS = 2
};

/** System calls that a page source has made, by purpose. */
struct kva_vm_calls {
    uint64_t reserve; /* reserve and release addresses, probe the system */
    uint64_t open;    /* make pages usable */
    uint64_t close;   /* take pages away: the calls that flush TLBs */
    uint64_t map;     /* map frames */
    uint64_t unmap;   /* unmap frames */
    uint64_t frames;  /* create and destroy frame sets, discard frames */
    uint64_t tables;  /* open and close the tables of the instance and of the page source */
    uint64_t nodes;   /* choose the nodes that pages come from */
};

/** How a page source works, and how close it is to the system's limits. */
struct kva_pages_stats {
    struct kva_vm_calls calls;
    const char *mechanism; /* in a few words: "guard regions" or "protected mappings" on Linux */

    /** Mappings of the reservation: an upper bound. In a child of a fork there may be far fewer. */
    uint64_t mappings;

    /** Estimate of how many mappings the reservation may have, as of the last check; checked again before
     *  KVA_ELIMIT. 0: there is no limit, or it is not known (on Linux without /proc, or without a free file
     *  descriptor). */
    uint64_t mappings_limit;

    uint64_t failed_unmaps;      /* ranges so far that a call left as failed unmaps: see `close` */
    uint64_t failed_unmap_pages; /* pages that are failed unmaps at present */
};

/* ----------------------------------------------------------------------------------- a source of your own */

/** An instance's tables come in PIECES of this many bytes, each opened and closed as a whole. */
#define KVA_VM_PIECE 65536

/** The request to `reserve` of struct kva_pages, and its result:
 *
 *      | closed | private pages                                   | frames              |
 *               ^ first                                                                 ^ first + bytes
 *
 *      | zero |  1  |  2  | ... |  given  | ...                         |  given + pieces  |
 *      ^ tables     usable from the beginning         each usable after open_piece
 */
struct kva_reservation {
    /** In: the bytes to reserve. Out: the bytes that are reserved, a multiple of the page: fewer where the
     *  system refuses, or where the window has no room for the closed page in front. */
    uint64_t bytes;
    uint64_t least;  /* in: fewer bytes than this are of no use */
    uint64_t min;    /* in: the window, both ends included */
    uint64_t max;    /* in */
    uint64_t align;  /* in: of the reservation; a power of two, at least the page */
    uint64_t frames; /* in, out: how many of `bytes`, at the upper end, are for frames; halved with `bytes` */
    bool strict;     /* in: `open` returns KVA_ELIMIT rather than leave a failed unmap */
    uint64_t first;  /* out: lowest address; a multiple of align, or one page above such a multiple */
    uint64_t given;  /* in: pieces that are open from the beginning: numbers 1 .. given */
    uint64_t pieces; /* in: pieces that may be opened later: numbers up to given + pieces */
    void *tables;    /* out: piece 0, which reads as zero and is never written; see KVA_VM_PIECE */
    void *handle;    /* out: the source's own; passed to its other functions as `reservation` */
};

/** What a page of a reservation is used for: see `check` of struct kva_pages. */
enum kva_pages_use {
    /** The page has an owner, who may have changed how it is mapped. */
    KVA_PAGES_OWNED = 0,

    /** The page has no owner. A private page is as the source has left it, open or closed; one for frames is
     *  closed. */
    KVA_PAGES_IDLE = 1,

    /** The page has no owner, but maps a frame. */
    KVA_PAGES_MAPPED = 2
};

/** What an instance passes to `check` of struct kva_pages. */
struct kva_pages_view {
    /** Return the use of the page at an address of the reservation. *end: where the following pages of the
     *  same use end. */
    enum kva_pages_use (*use)(void *context, uint64_t address, uint64_t *end);

    /** Return frame set `number`, from 0 on; NULL after the last. */
    void *(*frame_set)(void *context, size_t number);
    void *context;
};

/** Pages that map some of the frames of a move. */
struct kva_pages_map {
    uint64_t start; /* the address of the first page */
    uint64_t frame; /* the frame that it maps, counted from the first frame of the move */
    uint64_t count; /* pages, which map consecutive frames */
};

/** A move of `count` frames of a set, from place `from` on to place `to` on. The two ranges of places do not
 *  overlap, and the new one reads as zero. No live map, and no ended map that can be found again, maps the
 *  new places; parked areas may map old and new ones.
 *
 *  First, threads that store to the old place are made to wait. Then the contents are copied, all maps are
 *  changed to the new place, the waiting threads go on there, and the old place is discarded. A thread
 *  that loads meanwhile sees the same contents at either place, or waits. */
struct kva_pages_move {
    void *frame_set;
    uint64_t from;
    uint64_t to;
    uint64_t count;

    /** Enumerate the maps of the frames, in the same order each time. *cursor: 0 begins. Returns false
     *  after the last one. */
    bool (*next)(void *context, uint64_t *cursor, struct kva_pages_map *map);
    void *context;
};

/** A page source: the functions from which an instance gets its pages. Every function receives `context`,
 *  and must not call the instance. On one reservation, one call runs at a time, except this_cpu and
 *  descriptor; on different reservations, any number.
 *
 *  A range (start, bytes) is whole pages inside the reservation. A status is KVA_OK, KVA_ENOMEM (the system
 *  has no memory), KVA_ELIMIT (a limit on mappings), or what the function's comment adds; after a failure,
 *  everything is as before the call. A function that returns void cannot fail. A function must be there
 *  unless its comment says that it may be NULL.
 *
 *  A FAILED UNMAP is a closed page on which a touch may not fault, because the system has refused to close
 *  it, or because mappings run short. */
struct kva_pages {
    /** Reserve addresses. The part for frames has at least a page, and not all of them. Every page is
     *  CLOSED: a touch faults. So is the page in front of the reservation, which is never opened. Also
     *  reserve addresses for tables; their pieces cost nothing before they are opened. KVA_ENOSPC: there
     *  are no such addresses; KVA_ENOENT: the kernel lacks the mechanism. */
    enum kva_status (*reserve)(void *context, struct kva_reservation *spec);

    /** Release a reservation, whatever is open or mapped in it. */
    void (*release)(void *context, void *reservation);

    /** Make closed private pages usable: readable, writable, zero-filled. With `huge`, the range is whole
     *  huge pages, and huge pages are wanted. Where mappings run short, closed pages beside the range may
     *  become failed unmaps, unless the reservation is strict. */
    enum kva_status (*open)(void *context, void *reservation, uint64_t start, uint64_t bytes, bool huge);

    /** Close private pages, which may be open or closed, and give their memory back. Where the system refuses
     *  every way to close them, or mappings run short, they become failed unmaps: their memory goes back,
     *  failed_unmaps and failed_unmap_pages count them, and they remain so until a later call closes them,
     *  or `open` opens them. `open` drops their contents, or fails. */
    void (*close)(void *context, void *reservation, uint64_t start, uint64_t bytes);

    /** Close open private pages whose owner may have changed how they are mapped (kva_vm_mark_foreign),
     *  and replace the mapping by a fresh one before any of these pages is opened again. Where the system
     *  refuses the replacement, close the pages in another way; `open` then replaces the mapping, or
     *  fails. May be NULL: `close` leaves nothing of what an owner can do to pages. */
    void (*dismiss)(void *context, void *reservation, uint64_t start, uint64_t bytes);

    /** Choose the nodes that pages of a private range come from, until another call changes that
     *  (KVA_VM_NODES_ANY: no choice). Opening and closing keeps the choice. All of the range is closed. Also
     *  returns KVA_ENOENT: the machine lacks one of the nodes, or the program may not use it. Undoing a
     *  choice takes no mapping, unless it divides another. May be NULL: there is one node, node 0. */
    enum kva_status (*bind)(void *context, void *reservation, uint64_t start, uint64_t bytes,
                            const struct kva_vm_nodes *nodes);

    /** Return whether the machine has all of these nodes, and the program may use them, as far as that is
     *  known before pages are bound. May be NULL: `bind` finds out. */
    bool (*has_nodes)(void *context, void *reservation, const struct kva_vm_nodes *nodes);

    /** Map `count` frames from number `frame` on, readable and writable, over pages of the part for
     *  frames. These are closed, or map other frames, which the new ones replace. */
    enum kva_status (*map)(void *context, void *reservation, uint64_t start, void *frame_set, uint64_t frame,
                           uint64_t count);

    /** Close a range of the part for frames, whatever is mapped there. A failed unmap is possible as in
     *  `close`; a stale store to such a page reaches the frame. (On Linux only a part of a mapping can
     *  become one, and only while the process has as many mappings as it may have.) */
    void (*unmap)(void *context, void *reservation, uint64_t start, uint64_t bytes);

    /** Close failed unmaps, as many as the system allows now. Other functions try it for a few ranges; this
     *  one for all. May be NULL. */
    void (*retry_unmaps)(void *context, void *reservation);

    /** Return whether any page of a range is a failed unmap. May be NULL. */
    bool (*has_failed_unmap)(void *context, void *reservation, uint64_t start, uint64_t bytes);

    /** Ask the system for huge pages under a range of whole huge pages that map frames, where these are
     *  whole huge pages of the set. May do nothing. May be NULL. */
    void (*collapse)(void *context, void *reservation, uint64_t start, uint64_t bytes);

    /** Move frames of a movable set, with their contents, to free places: see struct kva_pages_move. Also
     *  returns KVA_ENOENT: the frames are mapped, and the source has no way to hold stores back. May be
     *  NULL: no frame ever moves. */
    enum kva_status (*move)(void *context, void *reservation, const struct kva_pages_move *move);

    /** Create a set of `count` frames, which read as zero and take memory when they are written. With
     *  `movable`, a child of a fork does not inherit its maps, where the system supports that. */
    enum kva_status (*create_frames)(void *context, void *reservation, uint64_t count, bool movable,
                                     void **frame_set);

    /** Let go of the contents of `count` frames from `frame` on: their memory goes back, and they read as
     *  zero. The program's choice of nodes for their pages is forgotten as well, as far as the system
     *  allows. */
    void (*discard_frames)(void *context, void *reservation, void *frame_set, uint64_t frame, uint64_t count);

    /** End a frame set. None of its frames is mapped, or the reservation is about to be released. */
    void (*destroy_frames)(void *context, void *reservation, void *frame_set);

    /** Open a piece of the tables, which reads as zero. Lowest numbers first, so that open pieces stay
     *  together. */
    enum kva_status (*open_piece)(void *context, void *reservation, uint32_t *number);

    /** Close a piece, whatever it holds. */
    void (*close_piece)(void *context, void *reservation, uint32_t number);

    /** Give back the memory of closed pieces, and of the source's own bookkeeping where it is not needed.
     *  What the system refuses to take stays until it is needed again. */
    void (*trim)(void *context, void *reservation);

    /** Allocate a separate table: `bytes` of memory that reads as zero and takes room only where it is
     *  written. NULL: there is no memory. */
    void *(*alloc_zeroed)(void *context, uint64_t bytes);

    /** Free such a table. */
    void (*free_zeroed)(void *context, void *memory, uint64_t bytes);

    /** Return the current CPU's number, from 0. It may be out of date when it is used. */
    unsigned (*this_cpu)(void *context);

    /** Read how the source works, and what it has done for this reservation. */
    void (*stats)(void *context, void *reservation, struct kva_pages_stats *stats);

    /** Compare the system's mappings of the reservation with what the source knows: each page without an
     *  owner must have the protection, the file and the attributes that the source gave it. Return NULL if
     *  all do, or if that cannot be known; else *address, and a message that begins with the invariant's
     *  name. May be NULL. */
    const char *(*check)(void *context, void *reservation, const struct kva_pages_view *view,
                         uint64_t *address);

    /** Return the file descriptor of a frame set, or -1. May be NULL: no set has one. */
    intptr_t (*descriptor)(void *context, void *frame_set);

    uint64_t page; /* bytes of a page: a power of two, at least 64 */
    uint64_t huge; /* bytes of a huge page; 0: there are none */
    void *context;
};

/** Hosted builds: the system's page source.
 *
 *  In:      mechanism  KVA_MECHANISM_BEST, or one in particular
 *  Returns: the source; any number of instances may share it. Its reserve returns KVA_ENOENT when the kernel
 *           lacks the mechanism. For an invalid value, a source without functions, which kva_vm_create
 *           refuses with KVA_ENULL
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API struct kva_pages kva_pages_host(enum kva_mechanism mechanism);

#ifdef __cplusplus
}
#endif

#endif
