/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva/memory.h: the memory for bookkeeping. Kernels need this header, and programs that supply that memory;
 * kva_space_create and kva_vm_create take the system's by default.
 */
#ifndef KVA_MEMORY_H
#define KVA_MEMORY_H

#include <stddef.h>

#include <kva/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The source of a space's node memory. The caller supplies it; every call receives `context`.
 *
 *  take   returns `bytes` bytes aligned for any object (max_align_t), or NULL when there are none. `bytes` is
 *         any number. The rb and bt engines take some hundred bytes once, then rarely slabs that grow from
 *         4 KiB to 2 MiB; if one is refused, they ask for a smaller one. The scan engine takes arrays that
 *         double.
 *  give   takes back one block that take returned, with the same `bytes`.
 *
 *  Neither may call the space. A space gives its memory back when it ends (or its init fails), last taken
 *  first. Before that, it gives back only the memory of a refused kva_preload, and arrays that scan has
 *  outgrown. */
struct kva_memory {
    void *(*take)(void *context, size_t bytes);
    void (*give)(void *context, void *block, size_t bytes);
    void *context;
};

/** A source over a fixed block of memory: for kernels and programs without a heap. */
struct kva_arena {
    unsigned char *next; /* private */
    size_t left;         /* private */
};

/** Make a source out of a fixed block, for one space after the other. It reuses a returned block only if that
 *  was taken last. So the next space can use all of the block, unless two spaces have taken memory by turns
 *  or the scan engine has outgrown an array.
 *
 *  In:      block   at least `bytes` bytes, any alignment; must outlive every space that uses it. NULL makes
 *                   a source that always refuses
 *           bytes   any number; the rb engine takes 4 KiB at first, and 64 bytes a segment
 *  Out:     arena   the state of the source; must outlive every space that uses it
 *  Returns: the source, for kva_config.memory. With a NULL arena, a source without functions, which
 *           kva_space_init refuses with KVA_ENULL
 *  Cost:    O(1)
 *  Locking: None; spaces that share an arena count as one space for locking
 *  Failure: cannot fail
 */
KVA_API struct kva_memory kva_arena_init(struct kva_arena *arena, void *block, size_t bytes);

/** Hosted builds: the host's node memory, for kva_config.memory: malloc; for multiples of 2 MiB, mappings
 *  that ask for huge pages.
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
