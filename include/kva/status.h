/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva/status.h: what calls return, and the hooks that are told of bugs and of corruption.
 */
#ifndef KVA_STATUS_H
#define KVA_STATUS_H

#include <stddef.h>
#include <stdint.h>

#include <kva/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What a call returns. The numbers are stable; new ones are added at the end of their class. */
enum kva_status {
    KVA_OK = 0,

    /* The environment's: ordinary results that a correct program must expect. */
    KVA_ENOSPC = 1, /* no free range satisfies the request */
    KVA_ENOMEM = 2, /* no memory: for the operation's bookkeeping, or (kva/vm.h) from the system */
    KVA_EEXIST = 3, /* the range asked for is not wholly free */
    KVA_ENOENT = 4, /* no such segment, engine or callback */
    KVA_EBUSY = 5,  /* something of it is still in use: it lives on, and nothing has changed */
    KVA_ELIMIT = 6, /* a limit of the system on mappings (kva/vm.h; Linux: vm.max_map_count) */
    KVA_EAGAIN = 7, /* not everything was tried, or the space has changed meanwhile: trying again may help */

    /* The caller's bugs: reported to the misuse hook as well. */
    KVA_ENULL = 32,     /* a required pointer is NULL, or the space is not initialised */
    KVA_EINVAL = 33,    /* a field has an invalid value */
    KVA_ESIZE = 34,     /* a size of 0, or another than the segment's; a boundary below the size */
    KVA_EALIGN = 35,    /* a malformed alignment, phase or boundary; an address that misses the quantum */
    KVA_EWRAP = 36,     /* a size, rounded up, or a range's end would pass 2^64 - 1 */
    KVA_EWINDOW = 37,   /* a window with min > max, or wholly outside the space */
    KVA_ERANGE = 38,    /* part of a range lies outside the space or its segment, or is absent */
    KVA_EUNKNOWN = 39,  /* the address lies outside the space, or is absent (kva/ranges.h) */
    KVA_EINTERIOR = 40, /* the address lies inside a busy segment, not at its start */
    KVA_EDOUBLE = 41,   /* the address is free already */
    KVA_EDEFERRED = 42, /* the address was given back already and waits for a flush */
    KVA_EREENTRY = 43,  /* a call that a callback of the space must not make */

    /* Corruption. */
    KVA_ECORRUPT = 64 /* a broken invariant: memory was overwritten, or kva has a bug */
};

/** Name a status.
 *
 *  In:      status  any value
 *  Returns: "KVA_ENOSPC" and so on; "KVA_E?" for a value that is no status. Never NULL
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API const char *kva_status_name(enum kva_status status);

/** Say in a few words what a status means, for an error message.
 *
 *  In:      status  any value
 *  Returns: "no free range satisfies the request" and so on. Never NULL
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API const char *kva_status_text(enum kva_status status);

/* -------------------------------------------------------------------------------------------- hooks */

/** What went wrong, where: handed to the hooks, and filled in by kva_space_check. */
struct kva_fault {
    enum kva_status status; /* a caller's bug, or KVA_ECORRUPT */
    const char *where;      /* the function that found it */
    const char *what;       /* the status in words, or the invariant: "I3: two adjacent free segments" */
    uint64_t address;       /* the address in question; 0 where there is none */
    /** A caller's bug: the argument, or the field of the request or of the configuration, that has the bad value: "align",
     *  "busy[i].start". NULL where no single value is bad, but what the address holds, or when the call was made */
    const char *field;
    size_t index; /* the i of such a field; else 0 */
};

/** A hook: called with the fault before the call that found it returns. It must not call back into the space.
 *  A misuse hook may print, count or stop the program. A corruption hook must not return: kva would go on, on a
 *  structure that is known to be broken. (A test may let it return, to read what was found, and then drop the
 *  space.) */
typedef void kva_hook(void *context, const struct kva_fault *fault);

/** Hosted builds: the host's corruption hook, for kva_config.on_corruption. It writes one line to standard error, and stops
 *  the program by a trap instruction:
 *
 *      kva: kva_free: I6: a busy segment is found by one way and not by another, at 0x0000000000003000
 *
 *  kva_space_create and kva_vm_create take it where they are given none; kva_space_init and kva_vm_create_from do not.
 *
 *  In:      context  not used
 *           fault    what is broken, and where
 *  Returns: not at all
 *  Cost:    one system call
 *  Locking: None; async-signal-safe: it uses neither the heap nor stdio
 *  Failure: where nothing can be written, it stops the program all the same
 */
KVA_API void kva_corruption_host(void *context, const struct kva_fault *fault);

#ifdef __cplusplus
}
#endif

#endif
