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

/** An allocator of small objects that have one copy for each CPU. Its memory comes in CHUNKS of congruent areas:
 *
 *      group 0                     group 1                     the CPUs of a group (a NUMA node) lie side by side
 *      | cpu 0 | cpu 1 |g|         | cpu 2 | cpu 3 |g|         a unit holds one CPU's copies of many objects
 *        ^obj            ^obj        ^obj    ^obj
 *      base              base + distance of cpu 2: the same for every chunk
 *
 *  so that a copy's address is the object's plus a distance that depends on the CPU alone. */
struct kva_pcpu;

struct kva_pcpu_config {
    unsigned cpus;   /* 0: the instance's */
    unsigned groups; /* 1 .. cpus; 0: 1. The first cpus / groups (rounded up) CPUs are the first, and so on */
    size_t unit;     /* bytes of a chunk for each CPU; rounded up to whole pages; 0: 64 KiB */

    /** Where the pages of each group come from, `groups` values; NULL: as the instance has it. Then groups lie far apart, so that
     *  the areas of one group in many chunks lie side by side, in districts:
     *
     *      district of group 0               district of group 1
     *      | chunk 0 |g| chunk 1 |g| ...     | chunk 0 |g| chunk 1 |g| ...
     */
    const struct kva_vm_nodes *nodes;
};

/** Make a per-CPU allocator.
 *
 *  In/Out:  vm
 *  In:      config  NULL: all zero
 *  Out:     pcpu
 *  Returns: KVA_OK
 *           KVA_ENULL    vm or pcpu is NULL
 *           KVA_EINVAL   groups > cpus; or one of nodes is not in order, as kva_vm_create_from says of config.node
 *           KVA_EWRAP    unit, rounded up, passes 2^64 - 1
 *           KVA_ENOSPC   the reserve is too short for one chunk
 *           KVA_ENOMEM   no memory
 *  Cost:    O(cpus); no chunk is taken yet
 *  Locking: Instance
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_pcpu_create(struct kva_vm *vm, const struct kva_pcpu_config *config,
                                        struct kva_pcpu **pcpu);

/** End a per-CPU allocator and free its chunks.
 *
 *  In:      pcpu    afterwards a dangling pointer
 *  Returns: KVA_OK
 *           KVA_EBUSY    there are live objects: the allocator lives on
 *           KVA_EREENTRY   called from inside a reclaim callback that is asked on behalf of this allocator
 *           KVA_ENULL    pcpu is NULL
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
 *           KVA_ENOSPC, KVA_ENOMEM, KVA_ELIMIT, KVA_ENOENT   a new chunk was needed: as kva_vm_alloc_congruent
 *  Cost:    O(log objects), of as many as there ever were at once, and clearing cpus * size bytes. At an alignment above 16, the
 *           search is kva_alloc's, O((k + 1) log objects). A new chunk comes on top at times, as kva_vm_alloc_congruent, and with
 *           nodes a new district, a call for each group
 *  Locking: Instance
 *  Failure: nothing was taken
 */
KVA_API enum kva_status kva_pcpu_alloc(struct kva_pcpu *pcpu, size_t size, size_t align, void **object);

/** Free an object. A chunk without objects is freed, too, if there is another such.
 *
 *  In/Out:  pcpu
 *  In:      object  as kva_pcpu_alloc gave it; NULL: nothing is done
 *  Returns: KVA_OK
 *           KVA_ENULL       pcpu is NULL
 *           KVA_EUNKNOWN    an address in none of its chunks (for CPU 0)
 *           KVA_EINTERIOR   inside an object
 *           KVA_EDOUBLE     no object: freed before
 *  Cost:    O(log n + log objects), of as many objects as there ever were at once
 *  Locking: Instance
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_pcpu_free(struct kva_pcpu *pcpu, void *object);

/** The address of one CPU's copy. `object` may point inside an object.
 *
 *  In:      pcpu
 *           object  an address that kva_pcpu_alloc gave, or inside that object
 *           cpu     0 .. cpus - 1
 *  Returns: the address; NULL if cpu is out of range
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API void *kva_pcpu_of(const struct kva_pcpu *pcpu, void *object, unsigned cpu);

/** The address of the copy of the CPU that the caller runs on; the thread may move on to another at any time.
 *
 *  In:      as kva_pcpu_of
 *  Returns: the address; on a CPU whose number is not below cpus: that of CPU number modulo cpus
 *  Cost:    O(1), and finding out the CPU
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API void *kva_pcpu_here(const struct kva_pcpu *pcpu, void *object);

#ifdef __cplusplus
}
#endif

#endif
