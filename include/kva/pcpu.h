/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva/pcpu.h: small objects that have one copy for each CPU, in memory of an instance (kva/vm.h).
 */
#ifndef KVA_PCPU_H
#define KVA_PCPU_H

#include <kva/vm.h>

#ifdef __cplusplus
extern "C" {
#endif

/** An allocator of small objects that have one copy for each CPU. Its memory comes in CHUNKS of congruent
 *  areas:
 *
 *      group 0                     group 1                     a group: CPUs side by side (of one NUMA node)
 *      | cpu 0 | cpu 1 |g|         | cpu 2 | cpu 3 |g|         a unit: one CPU's copies of many objects
 *        ^obj            ^obj        ^obj    ^obj
 *      base              base + distance of cpu 2: the same for every chunk
 *
 *  So a copy's address is the object's plus a distance that depends on the CPU alone. */
struct kva_pcpu;

struct kva_pcpu_config {
    unsigned cpus; /* 0: the instance's */

    /** 1 .. cpus; 0: 1. The first cpus / groups (rounded up) CPUs are the first group, and so on. */
    unsigned groups;
    size_t unit; /* bytes of a chunk for each CPU; rounded up to whole pages; 0: 64 KiB */

    /** Where the pages of each group come from: `groups` values. NULL: kva_vm_config.node. With nodes,
     *  the groups lie far apart, so that the areas of one group in many chunks lie side by side, in
     *  districts:
     *
     *      district of group 0               district of group 1
     *      | chunk 0 |g| chunk 1 |g| ...     | chunk 0 |g| chunk 1 |g| ...
     */
    const struct kva_vm_nodes *nodes;
};

/** Create a per-CPU allocator.
 *
 *  In/Out:  vm
 *  In:      config  NULL stands for one that is all zero
 *  Out:     pcpu    the new allocator
 *  Returns: KVA_OK
 *           KVA_ENULL    vm or pcpu is NULL
 *           KVA_EINVAL   groups > cpus; or one of nodes is invalid, as config.node of kva_vm_create_from
 *           KVA_EWRAP    unit, rounded up, passes 2^64 - 1
 *           KVA_ENOSPC   the reservation is too short for one chunk
 *           KVA_ENOMEM   no memory
 *  Cost:    O(cpus); no chunk is taken yet
 *  Locking: Instance
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_pcpu_create(struct kva_vm *vm, const struct kva_pcpu_config *config,
                                        struct kva_pcpu **pcpu);

/** End a per-CPU allocator and free its chunks.
 *
 *  In:      pcpu    on KVA_OK a dangling pointer
 *  Returns: KVA_OK
 *           KVA_EBUSY      there are live objects: the allocator remains
 *           KVA_EREENTRY   kva_pcpu_alloc is taking a chunk: in another thread, or it has called the reclaim
 *                          callback that makes this call
 *           KVA_ENULL      pcpu is NULL
 *  Cost:    as kva_vfree for each chunk and group
 *  Locking: Instance
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_pcpu_destroy(struct kva_pcpu *pcpu);

/** Allocate an object: `size` bytes for each CPU, which read as zero.
 *
 *  In/Out:  pcpu
 *  In:      size    1 .. the unit's bytes
 *           align   a power of two, at most the page
 *  Out:     object  the address of CPU 0's copy
 *  Returns: KVA_OK
 *           KVA_ENULL    pcpu or object is NULL
 *           KVA_ESIZE    size is 0, or more than a unit holds
 *           KVA_EALIGN   align is no power of two, or more than a page
 *           KVA_ENOSPC, KVA_ENOMEM, KVA_ELIMIT, KVA_ENOENT   for a new chunk, as kva_vm_alloc_congruent
 *  Cost:    O(log objects), of as many as there ever were at once, and clearing cpus * size bytes. At an
 *           alignment above 16, the search is kva_alloc's, O((k + 1) log objects). A new chunk comes on top
 *           at times, as kva_vm_alloc_congruent, and with nodes a new district, a call for each group
 *  Locking: Instance
 *  Failure: nothing was allocated
 */
KVA_API enum kva_status kva_pcpu_alloc(struct kva_pcpu *pcpu, size_t size, size_t align, void **object);

/** Free an object. If its chunk has no objects left and there is another such chunk, this frees the chunk.
 *
 *  In/Out:  pcpu
 *  In:      object  as kva_pcpu_alloc returned it; NULL: no effect
 *  Returns: KVA_OK
 *           KVA_ENULL       pcpu is NULL
 *           KVA_EUNKNOWN    the address lies in none of its chunks (in CPU 0's unit)
 *           KVA_EINTERIOR   the address lies inside an object
 *           KVA_EDOUBLE     there is no object: freed before
 *           KVA_ECORRUPT    the bookkeeping of objects is broken; only if the corruption hook returns
 *  Cost:    O(log n + log objects), of as many objects as there ever were at once
 *  Locking: Instance
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_pcpu_free(struct kva_pcpu *pcpu, void *object);

/** Get the address of one CPU's copy.
 *
 *  In:      pcpu
 *           object  as kva_pcpu_alloc returned it, or an address inside that object
 *           cpu     0 .. cpus - 1
 *  Returns: the address; NULL if cpu is out of range, or pcpu is NULL
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API void *kva_pcpu_of(const struct kva_pcpu *pcpu, void *object, unsigned cpu);

/** Get the address of the current CPU's copy. The thread may move to another CPU at any time.
 *
 *  In:      as kva_pcpu_of
 *  Returns: the address; on a CPU whose number is not below cpus, that of CPU (number modulo cpus); NULL if
 *           pcpu is NULL
 *  Cost:    O(1), and finding out the CPU
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API void *kva_pcpu_here(const struct kva_pcpu *pcpu, void *object);

#ifdef __cplusplus
}
#endif

#endif
