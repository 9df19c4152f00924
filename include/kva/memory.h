/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva/memory.h: where the memory for bookkeeping comes from. Needed by programs that bring their own, and by kernels;
 * kva_space_create and kva_vm_create take the system's by themselves.
 */
#ifndef KVA_MEMORY_H
#define KVA_MEMORY_H

#include <stddef.h>

#include <kva/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Where a space takes the memory for its nodes. The caller supplies one; every call gets `context`.
 *
 *  take   returns `bytes` bytes aligned for any object (max_align_t), or NULL when there are none. `bytes`
 *         is any number. The rb and bt engines ask for some hundred bytes once, then rarely, for chunks that grow from
 *         4 KiB to 2 MiB, and ask again for less when they are refused; the scan engine for arrays that double.
 *  give   takes back one block that take returned, with the same `bytes`.
 *
 *  Neither may call back into the space. Memory is given back when the space ends (or its init fails), last
 *  taken first, and not before; but for what a refused kva_preload took, and arrays that scan has outgrown. */
struct kva_memory {
    void *(*take)(void *context, size_t bytes);
    void (*give)(void *context, void *block, size_t bytes);
    void *context;
};

/** A fixed block of memory that serves as a kva_memory: for kernels and programs without a heap. */
struct kva_arena {
    unsigned char *next; /* private */
    size_t left;         /* private */
};

/** Make a memory source out of a fixed block, for one space after the other. It reuses what is given back if
 *  that was taken last: so all of it once a space has ended, but nothing of what two spaces took by turns, and no
 *  array that the scan engine has outgrown.
 *
 *  In:      block   at least `bytes` bytes, any alignment; must outlive every space that draws on it. NULL
 *                   makes a source that always refuses
 *           bytes   any number; the rb engine wants 64 bytes a segment and 4 KiB to begin with
 *  Out:     arena   the state behind the source; must outlive it, too
 *  Returns: the source, to be put in kva_config.memory. With a NULL arena, a source without functions,
 *           which kva_space_init refuses with KVA_ENULL
 *  Cost:    O(1)
 *  Locking: None; spaces that share an arena are one space as far as locking goes
 *  Failure: cannot fail
 */
KVA_API struct kva_memory kva_arena_init(struct kva_arena *arena, void *block, size_t bytes);

/** Hosted builds: the host's node memory, for kva_config.memory. malloc for small chunks; from 2 MiB on,
 *  mappings that ask for huge pages.
 *
 *  Returns: the source; it may be shared by any number of spaces
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API struct kva_memory kva_memory_host(void);

#ifdef __cplusplus
}
#endif

#endif
