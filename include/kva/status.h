/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva/status.h: statuses, and the hooks for misuse and corruption.
 */
#ifndef KVA_STATUS_H
#define KVA_STATUS_H

#include <stddef.h>
#include <stdint.h>

#include <kva/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Result of a call. The numbers are stable; new ones are added at the end of their class. */
enum kva_status {
    KVA_OK = 0,

    /* The environment's: a correct program must expect them. */
    KVA_ENOSPC = 1, /* no free range satisfies the request */
    KVA_ENOMEM = 2, /* no memory for the operation: for bookkeeping, or (kva/vm.h) from the system */
    KVA_EEXIST = 3, /* the range is not wholly free, or the object is registered already */
    KVA_ENOENT = 4, /* not found: no such segment, area, registration, frame, node or mechanism */
    KVA_EBUSY = 5,  /* a part of the object or range is in use */
    KVA_ELIMIT = 6, /* the process has as many mappings as the system allows (kva/vm.h) */
    KVA_EAGAIN = 7, /* not everything was tried, or the space has changed: a retry may help */

    /* The caller's bugs: also reported to the misuse hook. */
    KVA_ENULL = 32,     /* a required pointer is NULL, or the space is not initialised */
    KVA_EINVAL = 33,    /* a field has an invalid value, or the object is of the wrong kind or state */
    KVA_ESIZE = 34,     /* a size is 0, too large or not the segment's; or a boundary is below the size */
    KVA_EALIGN = 35,    /* an alignment, phase or boundary is invalid; or an address misses the quantum */
    KVA_EWRAP = 36,     /* a size, rounded up, or a range's end passes 2^64 - 1 */
    KVA_EWINDOW = 37,   /* a window has min > max, or lies wholly outside the space */
    KVA_ERANGE = 38,    /* part of a range lies outside the space or its segment, or is absent */
    KVA_EUNKNOWN = 39,  /* the address lies outside the space, or is absent (kva/ranges.h) */
    KVA_EINTERIOR = 40, /* the address lies inside a busy segment, not at its start */
    KVA_EDOUBLE = 41,   /* the address is free already */
    KVA_EDEFERRED = 42, /* the address was freed already, and is not reusable yet */
    KVA_EREENTRY = 43,  /* a callback must not make this call */

    /* Corruption. */
    KVA_ECORRUPT = 64 /* an invariant is broken: memory was overwritten, or kva has a bug */
};

/** Name a status.
 *
 *  In:      status  any value
 *  Returns: "KVA_ENOSPC" and so on; "KVA_E?" for a value that is not a status. Never NULL
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API const char *kva_status_name(enum kva_status status);

/** Describe a status in a few words, for an error message.
 *
 *  In:      status  any value
 *  Returns: "no free range satisfies the request" and so on. Never NULL
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API const char *kva_status_text(enum kva_status status);

/* -------------------------------------------------------------------------------------------- hooks */

/** A misuse or a corruption: passed to the hooks, and filled in by kva_space_check. */
struct kva_fault {
    enum kva_status status; /* a caller's bug, or KVA_ECORRUPT */
    const char *where;      /* the function that found it */
    const char *what;       /* the status in words, or the invariant: "I3: two adjacent free segments" */
    uint64_t address;       /* the address in question; 0 where there is none */

    /** A caller's bug: the argument, or the field of the request or of the configuration, that has the bad
     *  value: "align", "busy[i].start". NULL if no single value is bad: the bug then is the state of the
     *  address, or the time of the call */
    const char *field;
    size_t index; /* the i of such a field; else 0 */
};

/** A hook. The library calls it with the fault before the failing call returns. It must not call the
 *  space. A misuse hook may print, count or stop the program. A corruption hook must not return: kva would
 *  continue on a structure that is known to be broken. (In a test it may return. The test must not use the
 *  space after that.) */
typedef void kva_hook(void *context, const struct kva_fault *fault);

/** Hosted builds: the host's corruption hook, for kva_config.on_corruption. It writes one line to standard
 *  error, and stops the program by a trap instruction:
 *
 *      kva: kva_free: I6: a busy segment is found by one lookup and not by another, at 0x0000000000003000
 *
 *  It is the default of kva_space_create and kva_vm_create, but not of kva_space_init and kva_vm_create_from.
 *
 *  In:      context  not used
 *           fault    what is broken, and where
 *  Returns: never
 *  Cost:    one system call
 *  Locking: None; async-signal-safe: it uses neither the heap nor stdio
 *  Failure: if nothing can be written, it still stops the program
 */
KVA_API void kva_corruption_host(void *context, const struct kva_fault *fault);

#ifdef __cplusplus
}
#endif

#endif
