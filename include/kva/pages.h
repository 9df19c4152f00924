/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva/pages.h: where an instance of kva/vm.h takes its pages from. A PAGE SOURCE is a table of functions that reserve a reservation
 * of addresses, open and close its pages, and map frames in it. The Linux port has one; a kernel brings its own.
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

/** Ways in which the Linux page source can keep closed pages closed. */
enum kva_mechanism {
    KVA_MECHANISM_BEST = 0, /* the lightest that the running kernel has */

    /** Readable and writable mappings, in which every page that is not open carries a guard marker (MADV_GUARD_INSTALL;
     *  Linux 6.13 and later). Guards split no mapping: any number of areas fits. */
    KVA_MECHANISM_GUARDS = 1,

    /** A mapping of its own for each area, with inaccessible ones between: any Linux. An area takes two of the mappings that a
     *  process may have: vm.max_map_count, 65530 unless it was raised. Where that would leave less than a quarter of
     *  them to the program, areas share mappings, so that any number of them fits: see WHERE MAPPINGS RUN SHORT in
     *  kva/vm.h. What is farther than a 4096th of the reserve from all other areas takes mappings all the same, up to 15/16 of
     *  them; and so do maps of frames, of which there are some 30,000 at most. */
    KVA_MECHANISM_MAPPINGS = 2
};

/** System calls that a page source has made, by what they were for. */
struct kva_vm_calls {
    uint64_t reserve; /* taking and releasing a reservation, probing the system */
    uint64_t open;    /* making pages usable */
    uint64_t close;   /* taking pages away: the ones that flush TLBs */
    uint64_t map;     /* mapping frames */
    uint64_t unmap;   /* unmapping frames */
    uint64_t frames;  /* making frame pools, giving frames back to the system */
    uint64_t tables;  /* opening and closing the tables that all this is kept in */
    uint64_t nodes;   /* saying which nodes pages come from */
};

/** How a page source works, and how near it is to the system's limits. */
struct kva_pages_stats {
    struct kva_vm_calls calls;
    const char *mechanism; /* in a few words: "guard regions" or "protected mappings" on Linux */

    /** That the reservation takes up: as counted, at most. In a child of fork there may be far fewer. */
    uint64_t mappings;

    /** That it could take up, as counted, when it was last looked at what others leave; there is another look before KVA_ELIMIT.
     *  0: no such limit, or none that is known (on Linux without /proc, or a file descriptor to read it by). */
    uint64_t mappings_limit;

    uint64_t failed_unmaps;      /* closes, so far, after which a touch may not have faulted: see `close` */
    uint64_t failed_unmap_pages; /* pages that are closed at present, but so that a touch may not fault */
};

/* ------------------------------------------------------------------------------------ a source of your own */

/** An instance's tables come in PIECES of this many bytes, in which they are opened and given back. */
#define KVA_VM_PIECE 65536

/** The reservation that a page source is asked to reserve, and gets:
 *
 *      | closed | private pages                                   | frames              |
 *               ^ first                                                                 ^ first + bytes
 *
 *      | zero |  1  |  2  | ... |  given  | ...                         |  given + pieces  |
 *      ^ tables     usable from the beginning         each usable once it was taken
 */
struct kva_reservation {
    /** In: as asked for. Out: a multiple of the page; less where the system refuses, or where the window leaves no room for the
     *  closed page in front. */
    uint64_t bytes;
    uint64_t least;  /* in: fewer bytes than this are of no use */
    uint64_t min;    /* in: the window, both ends included */
    uint64_t max;    /* in */
    uint64_t align;  /* in: of the reservation; a power of two, at least the page */
    uint64_t frames; /* in, out: of these, bytes at the upper end that are for frames; halved with `bytes` */
    bool strict;     /* in: `open` returns KVA_ELIMIT rather than let a closed page be touched */
    uint64_t first;  /* out: lowest address; a multiple of align, or one page above such a multiple */
    uint64_t given;  /* in: pieces of tables that are taken from the beginning: numbers 1 .. given */
    uint64_t pieces; /* in: so many more will be taken at most: numbers up to given + pieces */
    void *tables;    /* out: piece 0, which reads as zero and is never written; see KVA_VM_PIECE */
    void *handle;    /* out: the source's own; handed to its other functions as `reservation` */
};

/** Whose the pages of a reservation are, for `check` of struct kva_pages. */
enum kva_pages_use {
    KVA_PAGES_OWNED = 0, /* an owner's, which may have changed them */
    KVA_PAGES_IDLE =
        1, /* nobody's: private pages as the source has left them, open or closed; pages for frames: closed */
    KVA_PAGES_MAPPED = 2 /* nobody's, but frames are mapped there */
};

/** What an instance tells `check` of struct kva_pages. */
struct kva_pages_view {
    /** Whose the page at an address of the reservation is; *end: where the pages end that follow it and are of the same use. */
    enum kva_pages_use (*use)(void *context, uint64_t address, uint64_t *end);
    void *(*frame_set)(void *context,
                       size_t number); /* the pools that there are, from 0 on; NULL after the last */
    void *context;
};

/** Pages that show frames which are to be moved. */
struct kva_pages_map {
    uint64_t start; /* the address of the first page */
    uint64_t frame; /* the frame that it shows, counted from the first one that is moved */
    uint64_t count; /* pages, which show consecutive frames */
};

/** A move of `count` frames of a pool, from place `from` on to place `to` on. The places do not meet, and the new ones read as
 *  zero. No map that lives, or can be found again, shows the new places; parked areas may show either.
 *
 *  From a moment on, no store reaches the old place: a thread that tries waits. Then the contents are copied, all maps show the
 *  new place, the waiting threads go on there, and the old place is drained. A thread that loads meanwhile sees the same contents
 *  at either place, or waits. KVA_ENOENT: the pages are mapped, and the source has no way to hold stores back. After any failure
 *  all is as before the call. */
struct kva_pages_move {
    void *frame_set;
    uint64_t from;
    uint64_t to;
    uint64_t count;

    /** All maps of the frames, one after the other, in the same order each time. *cursor: 0 begins; false: that was the last. */
    bool (*next)(void *context, uint64_t *cursor, struct kva_pages_map *map);
    void *context;
};

/** Where an instance takes pages from: a table of functions. Every call gets `context`. None may call back into the
 *  instance. For one reservation, one call runs at a time (but this_cpu and descriptor); for different reservations, any number. The Linux
 *  port has one (kva_pages_host); a kernel brings its own.
 *
 *  Ranges are whole pages inside the reservation. A status is KVA_OK, KVA_ENOMEM (the system has no memory), or
 *  KVA_ELIMIT (a limit on mappings); after a failure everything is as it was before the call.
 *
 *  reserve   take a reservation of addresses, in which the frames have at least a page, and less than all. Every page of it
 *            is CLOSED: a touch faults. So is the page in front of it, which belongs to the reservation, too, and is never opened.
 *            And take addresses for tables, whose pieces cost nothing before they are taken
 *  release   give it back, whatever is open or mapped in it
 *  open      make closed private pages usable: read-write and zero-filled. With `huge`, the range is whole huge
 *            pages, and huge pages are wanted. Where mappings run short, closed pages beside the range may become weak (see
 *            `close`), unless the reservation is strict
 *  close     close private pages again, open ones and closed ones alike; their memory goes back. Cannot fail: where
 *            the system refuses every way to close them, or mappings run short, their memory goes back, but a touch may not
 *            fault. That is a weak close, counted in failed_unmaps, and its pages in failed_unmap_pages as long as they stay so: until a
 *            later call closes them, or until they are opened again, which drops whatever they hold then, or fails
 *  dismiss   close, as `close` does, open private pages whose owner may have changed how they are mapped (kva_vm_mark_foreign),
 *            and see to it that no page of that mapping is opened again: it is replaced by a fresh one. Cannot fail: where the
 *            system refuses the replacement, the pages are closed in another way, and `open` replaces them, or fails.
 *            May be NULL: `close` leaves nothing of what an owner can do to pages
 *  bind      from now on, pages of this private range come from those nodes, whatever is opened and closed in it, until another
 *            call says otherwise (KVA_VM_NODES_ANY: none). All of it is closed. Returns KVA_ENOENT if the machine lacks one of the
 *            nodes, or the program may not use it; KVA_ELIMIT and KVA_ENOMEM as `open`. Undoing a binding takes no mapping,
 *            unless it divides another. May be NULL: there is one node, and it is node 0
 *  has_nodes whether the machine has all of these nodes, and the program may use them, as far as can be told before pages are bound.
 *            May be NULL: `bind` tells
 *  map       map `count` frames from number `frame` on, read-write, over pages of the frames' part: closed ones, or ones that
 *            show other frames and from then on do not
 *  unmap     close a range of the frames' part, whatever is mapped in it. As close, it cannot fail; a stale write to a page
 *            that is closed weakly reaches the frame. (On Linux only a part of a mapping is ever closed weakly, while the
 *            process has as many mappings as it may)
 *  settle    close what is closed weakly, as much of it as the system allows now. Every call above but `bind` tries it for a few
 *            pages; this one for all. May be NULL
 *  weak      whether any page of a range is closed weakly at present. May be NULL
 *  collapse  ask the system to put the frames that a range of whole huge pages shows, if they are whole huge pages of the pool,
 *            on huge pages. May do nothing, and may be NULL
 *  move      move frames of a movable pool to places that are free, with what they hold: see struct kva_pages_move. May be NULL:
 *            none is ever moved
 *  pool      make a pool of `count` frames that read as zero and take memory when they are written. With `movable`, its maps are
 *            not inherited by a child of fork, where the system can see to it
 *  drain     forget what `count` frames from `frame` on hold: their memory goes back, they read as zero. What a program has said of
 *            the nodes that their pages come from is forgotten, too, as far as the system allows that
 *  drop      end a pool; none of its frames is mapped, or the reservation is about to be released
 *  piece     take a piece of the tables; it reads as zero. The lowest numbers first, so that what is in use stays together
 *  unpiece   give a piece back, whatever it holds. Cannot fail
 *  trim      make what was given back, and what the source's own bookkeeping no longer needs, cost nothing again. What the
 *            system refuses to take stays until it is needed. Cannot fail
 *  table     take a table of its own, `bytes` of memory that reads as zero and takes room only where it is written; or NULL
 *  untable   give such a table back
 *  check     compare the system's mappings of the reservation with what the source knows of them: where nobody owns the pages, each
 *            must have the protection, the file and the attributes that the source gave it. Returns NULL if all do, or
 *            if that cannot be known; else what is wrong, in words that begin with the invariant's name, and *address. May be NULL
 *  this_cpu  the CPU that the caller runs on, from 0; may be out of date when it is used
 *  stats     how it works, and what it has done for this reservation
 */
struct kva_pages {
    enum kva_status (*reserve)(void *context, struct kva_reservation *spec);
    void (*release)(void *context, void *reservation);
    enum kva_status (*open)(void *context, void *reservation, uint64_t start, uint64_t bytes, bool huge);
    void (*close)(void *context, void *reservation, uint64_t start, uint64_t bytes);
    void (*dismiss)(void *context, void *reservation, uint64_t start, uint64_t bytes); /* may be NULL */
    enum kva_status (*bind)(void *context, void *reservation, uint64_t start, uint64_t bytes,
                            const struct kva_vm_nodes *nodes);                             /* may be NULL */
    bool (*has_nodes)(void *context, void *reservation, const struct kva_vm_nodes *nodes); /* may be NULL */
    enum kva_status (*map)(void *context, void *reservation, uint64_t start, void *frame_set, uint64_t frame,
                           uint64_t count);
    void (*unmap)(void *context, void *reservation, uint64_t start, uint64_t bytes);
    void (*retry_unmaps)(void *context, void *reservation); /* may be NULL */
    bool (*has_failed_unmap)(void *context, void *reservation, uint64_t start,
                             uint64_t bytes);                                           /* may be NULL */
    void (*collapse)(void *context, void *reservation, uint64_t start, uint64_t bytes); /* may be NULL */
    enum kva_status (*move)(void *context, void *reservation,
                            const struct kva_pages_move *move); /* may be NULL */
    enum kva_status (*create_frames)(void *context, void *reservation, uint64_t count, bool movable,
                                     void **frame_set);
    void (*discard_frames)(void *context, void *reservation, void *frame_set, uint64_t frame, uint64_t count);
    void (*destroy_frames)(void *context, void *reservation, void *frame_set);
    enum kva_status (*open_piece)(void *context, void *reservation, uint32_t *number);
    void (*close_piece)(void *context, void *reservation, uint32_t number);
    void (*trim)(void *context, void *reservation);
    void *(*alloc_zeroed)(void *context, uint64_t bytes);
    void (*free_zeroed)(void *context, void *memory, uint64_t bytes);
    unsigned (*this_cpu)(void *context);
    void (*stats)(void *context, void *reservation, struct kva_pages_stats *stats);
    const char *(*check)(void *context, void *reservation, const struct kva_pages_view *view,
                         uint64_t *address);
    intptr_t (*descriptor)(void *context,
                           void *frame_set); /* the pool's file descriptor, or -1; may be NULL */
    uint64_t page;                           /* bytes of a page: a power of two, at least 64 */
    uint64_t huge;                           /* bytes of a huge page; 0: there are none */
    void *context;
};

/** Hosted builds: the system's page source.
 *
 *  In:      mechanism  KVA_MECHANISM_BEST, or one in particular
 *  Returns: the source; it may be shared by any number of instances. Its reserve returns KVA_ENOENT when the
 *           kernel lacks the mechanism. For a value that is none of its kind, a source without functions, which
 *           kva_vm_create refuses with KVA_ENULL
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API struct kva_pages kva_pages_host(enum kva_mechanism mechanism);

#ifdef __cplusplus
}
#endif

#endif
