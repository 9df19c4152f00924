/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva/vm.h: vmalloc for user space, which allocates address ranges with real memory.
 *
 * An INSTANCE owns a RESERVATION: addresses that are reserved at once and have no memory. A space (kva/kva.h)
 * divides them, and a page source opens and closes their pages. The instance allocates AREAS: whole pages,
 * each area followed by a guard page that faults when touched. A closed page also lies in front of the first
 * area:
 *
 *      |c|  area A         |g|   area B  |g|         free          |  area C               |g|  free ...
 *         ^ kva_vmalloc returns this         g: guard page, not part of an area's size; c: closed page
 *
 *      struct kva_vm *vm;
 *
 *      if (kva_vm_create(NULL, &vm) != KVA_OK)         // 1 TiB of addresses; no memory yet
 *          return 1;
 *      char *text = kva_vzalloc(vm, 10000);            // 3 pages of zeroes, and a guard page
 *      if (!text)
 *          return kva_vm_status(vm);
 *      kva_vfree(vm, text);                            // unmapped later, with others
 *      kva_vm_destroy(vm, NULL, NULL);
 *
 * A freed area may stay mapped for a while, to be allocated again without a system call; until it is
 * unmapped, a stale pointer can read and write it. A HARDENED instance (kva_vm_config.hardened) unmaps at
 * once. See AREA STATES.
 *
 * This header is in the order of use: create, allocate, free, resize, destroy. AREA STATES and CONVENTIONS
 * follow; the latter define the terms of the function blocks, in addition to those of kva/kva.h. Then come
 * requests and configuration, and the rest of an instance. Further headers:
 *
 *      kva/vmap.h     the same pages at several addresses; frame sets, compaction under maps
 *      kva/pcpu.h     objects with one copy for each CPU
 *      kva/report.h   reports of all areas; sentences about addresses that fault
 *      kva/pages.h    where pages come from: Linux's ways, and the table for a kernel's own
 */
#ifndef KVA_VM_H
#define KVA_VM_H

#include <kva/kva.h>
#include <kva/pages.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kva_vm;
struct kva_vm_config;
struct kva_vm_area;

/** Create an instance on a system with a port (Linux). What the configuration leaves 0 is taken from the
 *  system. This reserves addresses and opens no page. Any thread may use the instance, unless
 *  config.one_thread is set.
 *
 *  In:      config  NULL stands for a configuration that is all zero; see struct kva_vm_config
 *  Out:     vm      the new instance
 *  Returns: as kva_vm_create_from
 *  Cost:    as kva_vm_create_from
 *  Locking: None
 *  Failure: everything is given back
 */
KVA_API enum kva_status kva_vm_create(const struct kva_vm_config *config, struct kva_vm **vm);

/** Allocate `size` bytes: whole pages with undefined contents, and a guard page after them.
 *
 *  This function and the next three are short forms of kva_vm_alloc.
 *
 *  In/Out:  vm
 *  In:      size    1 .. bytes; rounded up to whole pages
 *  Returns: the first byte; NULL on failure, and kva_vm_status then returns the reason
 *  Cost, Locking, Failure: as kva_vm_alloc
 */
KVA_API void *kva_vmalloc(struct kva_vm *vm, size_t size);

/** Allocate `size` bytes that read as zero. Otherwise as kva_vmalloc. */
KVA_API void *kva_vzalloc(struct kva_vm *vm, size_t size);

/** Allocate `size` bytes, in huge pages if `size` is at least one huge page. Otherwise as kva_vmalloc. */
KVA_API void *kva_vmalloc_huge(struct kva_vm *vm, size_t size);

/** Allocate `size` bytes at a multiple of `align`, a power of two; 0 stands for 1. Otherwise as
 *  kva_vmalloc. */
KVA_API void *kva_vmalloc_aligned(struct kva_vm *vm, size_t size, size_t align);

/** Free an area.
 *
 *  Its pages may stay mapped for the next owner. The caller must therefore undo beforehand what it did to
 *  them, unless the area is marked as foreign (kva_vm_mark_foreign):
 *
 *      done to the pages                           undone by
 *      mprotect, pkey_mprotect                     mprotect(PROT_READ | PROT_WRITE); pkey_mprotect with key 0
 *      mlock, mlock2                               munlock
 *      madvise: MADV_DONTFORK, MADV_DONTDUMP       MADV_DOFORK, MADV_DODUMP
 *               MADV_WIPEONFORK, MADV_MERGEABLE    MADV_KEEPONFORK, MADV_UNMERGEABLE
 *               MADV_RANDOM, MADV_SEQUENTIAL       MADV_NORMAL
 *               MADV_GUARD_INSTALL                 MADV_GUARD_REMOVE
 *      mbind                                       mbind: MPOL_DEFAULT, or the policy of config.node or
 *                                                  request.node
 *      userfaultfd                                 UFFDIO_UNREGISTER
 *      mmap(MAP_FIXED), mremap, munmap, and        mmap of just these pages: PROT_READ | PROT_WRITE,
 *      MADV_HUGEPAGE, MADV_NOHUGEPAGE, which       MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE.
 *      no advice undoes                            It also undoes all of the above
 *      mseal                                       nothing: never seal a part of the reservation
 *
 *  kva_vm_check finds what was not undone, except protection keys, guard markers and policies, which it
 *  cannot see.
 *
 *  In/Out:  vm
 *  In:      memory  as kva_vmalloc, kva_vm_alloc, kva_vrealloc or kva_vm_alloc_congruent returned it; NULL:
 *                   no effect
 *  Returns: KVA_OK
 *           KVA_ENULL       vm is NULL
 *           KVA_EUNKNOWN    the address lies outside the reservation
 *           KVA_EINTERIOR   an address inside an area or in its guard page, not its start
 *           KVA_EDOUBLE     no live area: freed before, and cached or purged since (or never allocated); or
 *                           another thread is freeing it
 *           KVA_EDEFERRED   freed before: it is parked, in quarantine, or waits for a grace period
 *           KVA_EREENTRY    kva_vrealloc is at work on the area: in another thread, or it has called the
 *                           reclaim callback that makes this call
 *           KVA_EINVAL      the area is of another kind: call kva_vfree, kva_vunmap, kva_unmap_ram or
 *                           kva_pcpu_free, whichever is for that kind
 *  Cost:    into the cache O(1), no call. Parked: O(log n), no call; never takes memory. Hardened: as the
 *           purge of one area. A purge of m areas comes on top at times: O(m log n), one call for each run of
 *           neighbours, or as many as kva_vm_purge makes with nodes and for marked areas. With threads, runs
 *           end with each 2 MiB, those of one area with each 8 MiB, and a free that finds another thread's
 *           purge under way takes one run of it. For each district that is given back, a call comes on top
 *  Locking: CPU where the cache takes the area, else Instance. Of concurrent frees of one area, one returns
 *           KVA_OK
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vfree(struct kva_vm *vm, void *memory);

/** Change the size of an area: in place if possible, else by moving it. Contents up to the smaller size are
 *  kept. A short form of kva_vm_realloc.
 *
 *  In/Out:  vm
 *  In:      memory  as for kva_vfree, or NULL: allocate
 *           size    the new size; 0: free the area, and return NULL
 *           flags   KVA_VM_ZERO: bytes that are added read as zero; and the others of kva_vm_realloc
 *  Returns: the first byte of the area's present place; NULL on failure: then the area is unchanged, and
 *           kva_vm_status returns the reason
 *  Cost, Locking, Failure: as kva_vm_realloc
 */
KVA_API void *kva_vrealloc(struct kva_vm *vm, void *memory, size_t size, unsigned flags);

/** Read the status of the last failed call on an instance; KVA_OK if no call has failed. With threads, it may
 *  be another thread's call: use the functions that return a status to be certain. Calls that only read the
 *  instance (const struct kva_vm *) do not count.
 *
 *  In:      vm
 *  Returns: the status; KVA_ENULL when vm is NULL
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API enum kva_status kva_vm_status(const struct kva_vm *vm);

/** Called by kva_vm_destroy and kva_vm_abandon for each area that is still live or waits for a grace
 *  period. */
typedef void kva_vm_leak(void *context, const struct kva_vm_area *area);

/** End an instance, and give back its addresses, its pages and its memory. No area may be live or wait for a
 *  grace period.
 *
 *  Areas of every kind count: allocated ones, maps, and those of a per-CPU allocator that has objects in
 *  them. Frame sets and per-CPU allocators end with the instance, even if frames are allocated. If areas are
 *  live, free them, or call kva_vm_abandon.
 *
 *  In:      vm       on KVA_OK a dangling pointer
 *           leak     called for each such area, lowest address first; may be NULL
 *           context  passed to it
 *  Returns: KVA_OK
 *           KVA_EBUSY      there are such areas: the instance remains
 *           KVA_ENULL      vm is NULL
 *           KVA_EREENTRY   called from inside a reclaim callback
 *  Cost:    O(n log n), as kva_vm_purge, and some calls
 *  Locking: Sole; leak may look at the instance, and must not change it
 *  Failure: nothing has changed, except that areas whose grace period is over have been freed
 */
KVA_API enum kva_status kva_vm_destroy(struct kva_vm *vm, kva_vm_leak *leak, void *context);

/* ------------------------------------------------------------------------------- area states, conventions */

/** AREA STATES. Unmapping costs a system call and a TLB flush, so freed areas are unmapped later, many in one
 * call:
 *
 *                          allocation of the same size: no call
 *              +-----------------------------------------------------+
 *              v                                                     |
 *          +------+  kva_vfree, and the cache takes it: no call  +--------+
 *          | live |--------------------------------------------->| cached |
 *          +------+                                              +--------+
 *           ^ | | |                                                  |  the cache is full, or all that
 *           | | | |                                                  v  is idle must be purged: no call
 *           | | | |  kva_vfree, otherwise: no call               +--------+
 *           | | | +--------------------------------------------->| parked |
 *           | | |                                                +--------+
 *           | | |  kva_vfree_later       +-------------+             |
 *           | | +----------------------->| later       |             |
 *           | |    then as kva_vfree     +-------------+             |  PURGE: one call for
 *           | |  kva_vfree, hardened     +-------------+             |  each run of neighbours
 *           | +------------------------->| quarantined |             |
 *           |    one call                +-------------+             |
 *           |                                   |  quarantine_bytes  |
 *           |                                   v  freed after it    v
 *           |  allocation: one call      +--------------------------------+
 *           +----------------------------| free                           |
 *                                        +--------------------------------+
 *
 *   live         the caller's
 *   later        freed, but others may read it until a grace period is over (kva_vfree_later)
 *   cached       freed, still mapped with its contents; serves the next request for exactly as many pages
 *   parked       freed, still mapped with its contents; waits for the next purge
 *   quarantined  freed and unmapped; its addresses are kept out of use (hardened instances)
 *   free         unmapped: a touch faults, and the memory has gone back to the system
 *
 * A PURGE unmaps parked areas: neighbours are merged, and each run costs one system call. It happens when
 * more than a limit is parked, when space, memory or mappings are short, and in kva_vm_purge. In the last two
 * cases, the cache and the quarantine are emptied as well.
 *
 * WHAT A STALE POINTER SEES. A touch of a cached or parked area does not fault: it reads and writes the old
 * contents, and after the area is allocated again, those of its new owner. Only after a purge does a touch
 * fault. A HARDENED instance has neither cache nor parking: it unmaps an area before kva_vfree returns, keeps
 * its addresses out of use for a while, and places new areas at random. (Pages that kva_vrealloc cuts off are
 * unmapped at once in every instance, but their addresses may be used again at once.)
 *
 * WHERE MAPPINGS RUN SHORT. Before Linux 6.13 a page that faults takes mappings of its own, of which a
 * process has few (KVA_MECHANISM_MAPPINGS). When the process has many thousands of them, areas are joined:
 * the closed pages between two joined areas, guard pages and freed pages, become failed unmaps. A touch of
 * one does not fault. Such a page holds no data, and a store to it reaches no owner. kva_vm_stats counts
 * these pages (failed_unmap_pages); kva_vm_area and the report mark the areas. When there are mappings again,
 * later calls and kva_vm_purge make the pages fault. A hardened instance returns KVA_ELIMIT instead. */

/** CONVENTIONS are those of kva/kva.h, and
 *   Memory      is a void pointer to its first byte. No area begins at NULL.
 *   Caller      Every area keeps the code address of its allocation: the return address of the call, unless
 *               the request gives another one. Reports name it.
 *   n, m        In a Cost row: areas; parked areas. A "call" is a system call.
 *   Locking     An instance with threads (kva_vm_config.threads, which kva_vm_create sets by default) takes
 *               its own locks: any thread may call at any time, and free what another has allocated. An
 *               instance without threads takes no lock: one thread at a time may use it. Different instances
 *               are independent. In a Locking row,
 *                 CPU       with threads, takes the current CPU's lock (rarely contended) and drops it before
 *                           it returns; without, the caller serializes the call with every other one on the
 *                           same instance;
 *                 Instance  as CPU, but takes the instance's lock, and CPUs' locks for moments;
 *                 Look      as CPU, but takes the instance's lock and all CPUs' locks at once, so that the
 *                           result is the state of one moment. O(CPUs) comes on top of the cost. Not for a
 *                           fast path;
 *                 Sole      with threads or without, no other call on the same instance may run;
 *                 None      takes no lock: any thread may call at any time.
 *               Reclaim callbacks, the functions of struct kva_grace, kva_vm_leak and the line callback of
 *               kva_vm_report run without these locks. The page source, the memory source, hooks and the line
 *               callback of kva_vm_frames_picture are called with the instance's lock, and must not call the
 *               instance.
 *   Waiting     The instance's lock is held for at most one call of the page source. In a purge, this closes
 *               no more than 2 MiB of small areas, or 8 MiB of a larger one: some 0.1 ms, or 0.3 ms, if all
 *               of it was touched, in pages of 4 KiB. After each such slice a purge yields to waiters. So
 *               does kva_vm_frames_compact, after some 32 frames; each of its slices looks at all blocks of
 *               the set, and finds out which runs are pinned. These hold the lock for longer: a single large
 *               request (a map of many runs of frames, many frames that are given back, a large area that
 *               shrinks, or that is freed in a hardened instance); kva_vm_check; kva_vm_purge where it gives
 *               tables back; the last purge of a request that finds no room, which takes what others have
 *               freed during the purge before; and a purge after the system has refused to close pages, for
 *               one call for each run of them.
 *   Fork        The child has its own copy of an instance and may use it: private pages are copied when
 *               written, frames are shared by both. A program of one thread need do nothing, unless a frame
 *               set is movable, or the program keeps pages of marked areas from children; then, and with more
 *               threads, see kva_vm_fork_prepare. The kernel merges fewer mappings in a child, so more are
 *               counted there, and large areas take mappings of their own less often. The end of a thread
 *               needs nothing: an instance keeps nothing for a thread.
 *   State       The library has none outside the instances, except the fault reporter's list of them.
 *   Heap        An instance that kva_vm_create makes with config.memory set uses no other memory: no function
 *               calls the program's heap, stdio or the dynamic linker, at any time, in any thread. So an
 *               instance can serve a malloc. For the same reason, the shared library's thread-local data is
 *               of the initial-exec model (glibc).
 */

/* ----------------------------------------------------------------------------------------------- requests */

enum kva_vm_flag {
    /** The bytes of the request read as zero. Without this flag, they may hold what an earlier area left;
     *  with or without it, so may the bytes after them, up to the end of the last page. */
    KVA_VM_ZERO = 1,

    /** Use huge pages, if the size is at least one huge page. It is rounded up to whole huge pages. */
    KVA_VM_HUGE = 2,

    /** Wait for nothing but locks, and make no room: purge nothing, call no reclaim callback. (Calls that
     *  open pages are made.) If nothing fits, and one of these might have made room, the result is
     *  KVA_EAGAIN. */
    KVA_VM_NO_BLOCK = 4,

    /** As if kva_vm_mark_foreign were called for the area. */
    KVA_VM_FOREIGN = 8
};

enum kva_vm_nodes_policy {
    KVA_VM_NODES_ANY = 0,        /* as the policy of the thread that first touches a page; the set is empty */
    KVA_VM_NODES_PREFERRED = 1,  /* from the one node of the set; from others if that has no memory */
    KVA_VM_NODES_BOUND = 2,      /* from the nodes of the set, and from no other */
    KVA_VM_NODES_INTERLEAVED = 3 /* from the nodes of the set by turns, page by page */
};

/** Where pages come from, on a machine whose memory lies on several nodes (NUMA). All zero: no choice.
 *
 *      struct kva_vm_nodes local = {KVA_VM_NODES_PREFERRED, UINT64_C(1) << 1};     node 1
 *
 *  It applies to pages that are touched later; no page is moved. If the nodes of KVA_VM_NODES_BOUND have no
 *  memory, no call fails for that: the system decides how the touch ends. A machine with one node, or a
 *  system without nodes, has node 0, which a request may name. */
struct kva_vm_nodes {
    enum kva_vm_nodes_policy policy;
    uint64_t set; /* bit n: node n. Nodes from 64 on cannot be named */
};

/** What an allocation asks for. A field that is 0 has its usual value; kva_vm_request_of sets all of them. */
struct kva_vm_request {
    size_t size;  /* 1 .. bytes; rounded up to whole pages */
    size_t align; /* 0 or a power of two; less than the page counts as the page */

    /** The window: both ends are included, and are clipped to the reservation's private part. The guard
     *  page may lie outside. min = max = 0 stands for all of that part */
    uintptr_t min;
    uintptr_t max;
    unsigned flags;           /* enum kva_vm_flag */
    const void *caller;       /* see Caller in CONVENTIONS; NULL: the return address of the call */
    void *owner;              /* any value; kept with the area, never dereferenced */
    struct kva_vm_nodes node; /* where its pages come from: see "Nodes" at kva_vm_alloc */
};

/** The usual request: `size` bytes, anywhere, no flags, no owner.
 *
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
static inline struct kva_vm_request kva_vm_request_of(size_t size)
{
    struct kva_vm_request request;
    request.size = size;
    request.align = 1;
    request.min = 0;
    request.max = UINTPTR_MAX;
    request.flags = 0;
    request.caller = NULL;
    request.owner = NULL;
    request.node.policy = KVA_VM_NODES_ANY;
    request.node.set = 0;
    return request;
}

/** Allocate an area.
 *
 *  The cache serves a request without window or huge pages, if one of the last few areas of as many pages
 *  that it took lies at a suitable address. Otherwise the area goes to the lowest address that fits
 *  (hardened: to a random one), and its pages are opened. When space, memory or mappings are short, all
 *  cached, parked and quarantined areas are purged and the attempt is repeated. Then the reclaim callbacks
 *  are called in the order of their registration, with an attempt after each.
 *
 *  Nodes. Areas that ask for the same nodes lie together in DISTRICTS of the reservation. One call binds a
 *  whole district, because each binding takes two mappings: 10,000 areas with a node take some ten mappings
 *  more than areas without, and as many of them fit: any number (KVA_MECHANISM_MAPPINGS). The first district
 *  for some nodes has 1/1024 of the private part, at least a huge page, or what the area needs. Each further
 *  one is as large as all before it, but no larger than a sixteenth of the private part unless an area is.
 *  Where there is no room for that, it is smaller. Its free addresses serve no other nodes. A purge gives
 *  back the districts in which nothing is left, except one for each value of request.node; a purge of all
 *  that is idle also gives back those. The cache serves a request only with areas of the same nodes. An
 *  instance knows at most 255 different values of request.node, of requests that have been granted; groups of
 *  per-CPU allocators count as requests. A value that equals config.node does not count.
 *
 *  In/Out:  vm
 *  In:      request  see struct kva_vm_request
 *  Out:     memory   the first byte
 *  Returns: KVA_OK
 *           KVA_ENOSPC     no free range of the reservation fits; or node would be the 256th different value
 *           KVA_EAGAIN     with KVA_VM_NO_BLOCK, for KVA_ENOSPC of either kind: a purge or a reclaim callback
 *                          might help
 *           KVA_ENOMEM     no memory for bookkeeping, or from the system
 *           KVA_ELIMIT     the process has as many mappings as the system allows (Linux: raise
 *                          vm.max_map_count)
 *           KVA_ENOENT     the machine lacks a node of node.set, or the program may not use it (returned
 *                          before KVA_ENOSPC, if the page source has has_nodes)
 *           KVA_ENULL      vm, request or memory is NULL
 *           KVA_ESIZE      size is 0
 *           KVA_EALIGN     align is neither 0 nor a power of two
 *           KVA_EINVAL     flags has unknown bits; or node is invalid, as config.node of kva_vm_create_from
 *           KVA_EWRAP      size, rounded up, passes SIZE_MAX
 *           KVA_EWINDOW    min > max, or the window and the private part of the reservation do not meet
 *                          (for these six, the misuse hook receives the field)
 *  Cost:    from the cache O(1), no call. Else O(log n) and one call; up to three where it reaches into
 *           addresses that were never used, or reaches over both kinds; for tables, two more at most where no
 *           area has been near (for an area of many GiB, one for each eighth by which they grow). With
 *           threads, O(CPUs) for a look into the caches of all. At an alignment above the page, the search is
 *           kva_alloc's, O((k + 1) log n); that of a huge page is a declared class. Zeroing of cached memory
 *           comes on top. With a node, O(values of request.node + districts) comes on top, the search is made
 *           in each district of these nodes, and a new district takes one more call. Pages of a marked area
 *           that could not be replaced at its purge are replaced here, by one more call, or two with nodes.
 *           Where there is no room, purges come on top: at most two, one more for each reclaim callback, and
 *           one after all of them, however much other threads free meanwhile
 *  Locking: CPU where the cache serves, else Instance, dropped between slices of a purge and while callbacks
 *           run. KVA_ENOSPC holds for one moment of the call, at which nothing was cached, parked or in
 *           quarantine on any CPU: if other threads have freed during the first purge, the second holds all
 *           locks
 *  Failure: nothing was allocated. Cached and parked areas may have been purged
 */
KVA_API enum kva_status kva_vm_alloc(struct kva_vm *vm, const struct kva_vm_request *request, void **memory);

/** Change the size of an area: in place if possible, else by moving it. Contents up to the smaller size are
 *  kept.
 *
 *  Shrinking gives back the pages after the new end, and moves the guard page down to it. Growing takes free
 *  addresses after the area, or else moves it. With KVA_VM_ZERO, added bytes read as zero, up to the last
 *  byte of the last page, whatever lay there before; without it, bytes between the old size and its page's
 *  end keep what was written there.
 *
 *  An area in huge pages stays in them. An alignment and nodes that were asked for are kept, but a window is
 *  forgotten. Caller, owner and flags stay those of the first request. With threads, an area that moves lies
 *  at both places during the call: other threads find it at either. Pages that are cut off or left are freed,
 *  and added pages are like those of a new area: what the caller did to the old pages must be undone before,
 *  as for kva_vfree. Marked or not (kva_vm_mark_foreign), all pages must be readable and writable when the
 *  area is resized, because the library reads and writes them; and what was done to the pages of a marked
 *  area does not move with it.
 *
 *  In/Out:  vm
 *  In:      memory  a live vmalloc area, or NULL: allocate
 *           size    the new size; 0: free, and *moved = NULL
 *           flags   KVA_VM_ZERO, KVA_VM_NO_BLOCK; KVA_VM_HUGE and KVA_VM_FOREIGN count only where memory is
 *                   NULL
 *  Out:     moved   the first byte of the area's present place
 *  Returns: KVA_OK
 *           KVA_ENOSPC, KVA_EAGAIN, KVA_ENOMEM, KVA_ELIMIT, KVA_ENOENT, KVA_EWRAP   as kva_vm_alloc: the area
 *           is unchanged
 *           KVA_ENULL      vm or moved is NULL
 *           KVA_EINVAL     flags has unknown bits, or the area is of another kind
 *           KVA_EUNKNOWN, KVA_EINTERIOR, KVA_EDOUBLE, KVA_EDEFERRED, KVA_EREENTRY   as kva_vfree
 *  Cost:    O(1) within the last page. In place O(log n) and up to two calls; with nodes, up to three. Else
 *           an allocation, a copy and a free
 *  Locking: Instance
 *  Failure: nothing has changed, except that cached and parked areas may have been purged
 */
KVA_API enum kva_status kva_vm_realloc(struct kva_vm *vm, void *memory, size_t size, unsigned flags,
                                       void **moved);

/* ------------------------------------------------------------------------------------------ configuration */

/** Write what is known of a code address ("main+0x1c") into `text`, at most `bytes` with the zero byte.
 *  Returns the length, or 0 if nothing is known. For reports and for kva_vm_fault_describe: it may run in
 *  a signal handler. Any bytes are allowed: a line of text has a question mark in place of each control
 *  character. */
typedef size_t kva_symbol(void *context, const void *address, char *text, size_t bytes);

enum kva_huge_policy {
    KVA_HUGE_ASKED = 0, /* huge pages for kva_vmalloc_huge and KVA_VM_HUGE */
    KVA_HUGE_NEVER = 1, /* such requests get small pages */
    KVA_HUGE_LARGE = 2  /* also for every request of at least a huge page without a window */
};

struct kva_later;

/** How the program waits until no reader can hold an old pointer: RCU, or another scheme.
 *
 *  after   arrange one call of kva_vfree_ready(record), from any thread, after a grace period that begins now
 *          or later. It must not fail, block, or make that call itself
 *  wait    return after such a grace period. Needed only by kva_vfree_later without a record, when there is
 *          no memory for one. NULL: the result is KVA_ENOMEM in that case
 *
 *  Both are called without a lock, and by any number of threads. */
struct kva_grace {
    void (*after)(void *context, struct kva_later *record);
    void (*wait)(void *context);
    void *context;
};

/** For cache_bytes: no cache. For lazy_bytes: a purge at each free that the cache does not take. For
 *  quarantine_bytes: no quarantine. (0 stands for the default.) */
#define KVA_VM_NONE UINT64_MAX

/** What an instance is made with. Zero-initialise it, then set what differs from the default; with
 *  kva_vm_create, all of it may stay zero. */
struct kva_vm_config {
    /** Bytes of addresses. 0: 1 TiB on a 64-bit host, 512 MiB on a 32-bit one. At most 2^31 pages (8 TiB
     *  in pages of 4 KiB), and on a 32-bit host 2 GiB: a larger value counts as that. A value below
     *  `reservation_least` counts as `reservation_least`. Less is reserved if the system refuses so much, or
     *  refuses memory for its tables. The closed page in front of the first area comes on top; where the
     *  window has no room for it, the reservation is a page shorter, even if that is less than
     *  `reservation_least`, and begins a page later. Tables take memory where areas need it
     *  (kva_vm_stats.table_bytes). */
    uint64_t reservation;

    /** Fewer bytes than this are not reserved. 0: 16 MiB, or `reservation` if that is less. More than
     *  `reservation` can ever be is KVA_ENOSPC. */
    uint64_t reservation_least;

    /** The window for the reservation, both ends included; max 0: no upper end. On Linux the reservation
     *  begins at a multiple of 512 pages and of a huge page. With a window, it is the lowest that fits, by
     *  /proc/self/maps. Where that cannot be read (no /proc, or no free file descriptor), places are tried:
     *  all of them, lowest first, if they are 4096 or fewer; else as many, spread evenly, the lowest and the
     *  highest among them. */
    uint64_t min;
    uint64_t max;

    /** Bytes at the reservation's upper end that are kept for vmap and map_ram. 0: a quarter. If less is
     *  reserved than was asked for, this shrinks with it. */
    uint64_t frames_part;

    bool without_guards; /* no guard page after each area */
    bool zero_always;    /* every allocation is zeroed, as if by kva_vzalloc */
    bool hardened;       /* no cache, unmap at once, place at random, quarantine: see AREA STATES */

    /** Purge when more than this is parked. 0: kva_set_deferred_limit's default, 32 MiB times the binary
     *  digits of the CPU count. KVA_VM_NONE: purge at each free that the cache does not take. */
    uint64_t lazy_bytes;

    /** Keep at most this much cached. 0: lazy_bytes' default. KVA_VM_NONE: no cache. An area of more than
     *  127 pages is cached if it takes no more than a quarter of this. When the cache is full, the sizes
     *  that were freed longest ago are parked. With threads, each CPU has an equal share, to which this
     *  applies; an area in one CPU's share can serve another CPU. */
    uint64_t cache_bytes;

    /** Hardened: a freed area's addresses are kept out of use until this many bytes were freed after it.
     *  0: lazy_bytes' default. KVA_VM_NONE: no quarantine. */
    uint64_t quarantine_bytes;

    /** Hardened: of the random placement. 0: the host's randomness (kva_vm_create_from: a fixed number). */
    uint64_t seed;

    enum kva_huge_policy huge;

    /** Where the pages come from, for vmalloc and per-CPU areas that ask for no nodes of their own. It holds
     *  as long as the instance does. It does not apply to frames: what the program chooses for them by
     *  mbind holds until they are given back. */
    struct kva_vm_nodes node;

    const struct kva_engine *engine; /* of the space; kva_vm_create: NULL for kva_engine_host() */

    /** For descriptors and nodes; kva_vm_create: zero for the host's. See Heap in CONVENTIONS */
    struct kva_memory memory;

    struct kva_pages pages; /* kva_vm_create: zero for kva_pages_host(KVA_MECHANISM_BEST) */
    struct kva_grace grace; /* for kva_vfree_later; zero: that returns KVA_ENOENT */

    /** Names code addresses in reports. NULL: numbers; kva_vm_create without `memory`: the names that the
     *  dynamic linker knows (those of shared libraries, and of programs that are linked with -rdynamic).
     *  dladdr, which finds them, takes the linker's lock: in a signal handler it may wait for another
     *  thread's dlopen. A function of your own avoids that. With `memory`, the default is numbers: dlopen
     *  calls malloc under that lock, and malloc may call the instance. */
    kva_symbol *symbol;
    void *symbol_context;

    unsigned cpus; /* 0 stands for 1 (kva_vm_create asks the system) */

    /** As in kva_config. NULL: kva_vm_create takes kva_threads_host(), unless one_thread is set;
     *  kva_vm_create_from takes no locks. */
    const struct kva_threads *threads;
    bool one_thread; /* one thread at a time uses the instance: no locks, whatever `threads` is */

    kva_hook *on_misuse;     /* as in kva_config */
    kva_hook *on_corruption; /* NULL: a trap instruction; kva_vm_create: kva_corruption_host */
    void *hook_context;
};

/** Create an instance from what the configuration holds, without a host. This reserves addresses and opens no
 *  page.
 *
 *  In:      config  engine, memory and pages must be set
 *  Out:     vm      the new instance
 *  Returns: KVA_OK
 *           KVA_ENULL    config, vm or engine is NULL, or so is a function that memory, pages or threads must
 *                        have (for this and the next four, the misuse hook receives the field of config:
 *                        "pages.page", "frames_part" ...)
 *           KVA_EINVAL   huge or node.policy has an invalid value; or node.set has no bit, more than one with
 *                        KVA_VM_NODES_PREFERRED, or any with KVA_VM_NODES_ANY
 *           KVA_EALIGN   pages.page or pages.huge is no power of two, or is too small
 *           KVA_EWINDOW  min > max, with max not 0
 *           KVA_ESIZE    frames_part leaves no room for private pages
 *           KVA_ENOSPC   not even reservation_least bytes of addresses can be had, or it is more than there
 *                        ever are
 *           KVA_ENOMEM   no memory
 *           KVA_ELIMIT   the process has as many mappings as the system allows (Linux: raise
 *                        vm.max_map_count)
 *           KVA_ENOENT   the system lacks the mechanism asked for, or a node of node.set, or the program may
 *                        not use it
 *  Cost:    some calls
 *  Locking: None
 *  Failure: everything is given back
 */
KVA_API enum kva_status kva_vm_create_from(const struct kva_vm_config *config, struct kva_vm **vm);

/* ------------------------------------------------------------------------------------- further operations */

/** Read how many bytes of an area may be used: from its start to the end of its last page. (In a build for
 *  AddressSanitizer, which watches the rest of the last page: the size that was asked for.)
 *
 *  In:      vm
 *           memory  a live area's first byte: of memory that was allocated or mapped, not of a per-CPU object
 *  Returns: the bytes, or 0 if no such area starts there
 *  Cost:    O(1)
 *  Locking: CPU
 *  Failure: cannot fail
 */
KVA_API size_t kva_vm_usable_size(const struct kva_vm *vm, const void *memory);

/** Mark an area as foreign: the program itself changes how its pages are mapped, or has done so (by mprotect,
 *  madvise, mbind, mlock, mmap over them). It need not undo that before it frees the area.
 *
 *  The area is never cached. When it is purged, its pages are replaced as a whole, and the next owner gets
 *  fresh ones. Where the system refuses that at the limit on mappings, they are closed in another way, and
 *  replaced later; until then they cannot be allocated again. The mark lasts as long as the area, wherever
 *  kva_vrealloc moves it. While the area is parked, what its owner did stays in effect. Maps of frames need
 *  no mark: their pages are always replaced.
 *
 *  Marked or not, pages must not be sealed (mseal) or unmapped (munmap, mremap): another thread's mmap could
 *  take their place. A fork unmaps pages with MADV_DONTFORK in the child: see kva_vm_fork_prepare. An area
 *  that kva_vrealloc resizes must be readable and writable: see kva_vm_realloc.
 *
 *  In/Out:  vm
 *  In:      memory  a live vmalloc area's first byte
 *  Returns: KVA_OK
 *           KVA_ENULL    vm or memory is NULL
 *           KVA_EUNKNOWN, KVA_EINTERIOR, KVA_EDOUBLE, KVA_EDEFERRED, KVA_EREENTRY, KVA_EINVAL   as kva_vfree
 *  Cost:    O(1), no call
 *  Locking: Instance
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_mark_foreign(struct kva_vm *vm, void *memory);

/** Allocate several areas at fixed distances, all or none: memory[i] = memory[0] + parts[i].offset. Each has
 *  its own guard page and is freed by its own kva_vfree.
 *
 *  In/Out:  vm
 *  In:      request  size is not read. Of the flags, only KVA_VM_ZERO and KVA_VM_FOREIGN are allowed. align
 *                    holds for the base, node for all areas
 *           parts    see struct kva_part; offsets are multiples of align and of the page. With guard
 *                    pages, a part and its guard page must end before the next offset
 *           count    1 ..
 *  Out:     memory   `count` pointers
 *  Returns: as kva_vm_alloc, and
 *           KVA_ENULL    parts is NULL
 *           KVA_EINVAL   other flags; count is 0; the first offset is not 0; or parts overlap or do not
 *                        ascend
 *           KVA_ESIZE    the size of a part is 0
 *           KVA_EALIGN   an offset is no multiple of align or of the page
 *           KVA_EWRAP    the size of a part, rounded up, passes SIZE_MAX, or its end passes 2^64 - 1
 *  Cost:    as kva_alloc_congruent, and up to two calls for each part
 *  Locking: Instance
 *  Failure: as kva_vm_alloc
 */
KVA_API enum kva_status kva_vm_alloc_congruent(struct kva_vm *vm, const struct kva_vm_request *request,
                                               const struct kva_part *parts, size_t count, void **memory);

/* ------------------------------------------------------------------------------------------ find and look */

enum kva_vm_kind {
    KVA_VM_VMALLOC = 0, /* private pages */
    KVA_VM_VMAP = 1,    /* frames */
    KVA_VM_RAM = 2,     /* frames, by kva_map_ram */
    KVA_VM_PCPU = 3     /* one group of a per-CPU chunk */
};

/** See AREA STATES. */
enum kva_vm_state {
    KVA_VM_LIVE = 0,
    KVA_VM_LATER = 1,
    KVA_VM_CACHED = 2,
    KVA_VM_PARKED = 3,
    KVA_VM_QUARANTINED = 4
};

/** What is known of an area. */
struct kva_vm_area {
    uintptr_t start;
    uintptr_t last;  /* of its last page; the guard page comes after this */
    uintptr_t guard; /* bytes of guard after it */
    size_t size;     /* as asked for */
    size_t pages;
    enum kva_vm_kind kind;
    enum kva_vm_state state;
    unsigned flags; /* of the request, except KVA_VM_NO_BLOCK */

    /** Its guard is a failed unmap: a touch of it may not fault (kva_pages_stats.failed_unmap_pages). */
    bool failed_unmap;
    const void *caller; /* the code that asked for it */

    /** The code that freed it; NULL while it is live, and for a map that kva_map_ram can find again, or
     *  could until it was parked. */
    const void *freed_by;
    void *owner;
    struct kva_vm_nodes node; /* of the request; all zero if it is config.node */
};

/** Find the area in which, or in whose guard page, an address lies.
 *
 *  In:      vm
 *           address  any
 *  Out:     area
 *  Returns: KVA_OK
 *           KVA_ENOENT   no area is there: the address is free, or outside the reservation
 *           KVA_ENULL    vm or area is NULL
 *  Cost:    O(log n)
 *  Locking: Look
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_find(const struct kva_vm *vm, const void *address, struct kva_vm_area *area);

/** Begin an iteration in address order: the lowest area, of any state.
 *
 *      struct kva_vm_area area;
 *      for (enum kva_status s = kva_vm_first(vm, &area); s == KVA_OK; s = kva_vm_next(vm, &area))
 *          use(&area);
 *
 *  In:      vm
 *  Out:     area
 *  Returns: KVA_OK
 *           KVA_ENOENT   there is no area
 *           KVA_ENULL    vm or area is NULL
 *  Cost:    O(log n)
 *  Locking: Look
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_first(const struct kva_vm *vm, struct kva_vm_area *area);

/** Continue an iteration: the next area, of any state. The instance may change in between.
 *
 *  In:      vm
 *  In/Out:  area   as the last step returned it; all zero: the first
 *  Returns: KVA_OK
 *           KVA_ENOENT   that was the last
 *           KVA_ENULL    vm or area is NULL
 *  Cost:    O(log n)
 *  Locking: Look
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_next(const struct kva_vm *vm, struct kva_vm_area *area);

/** What an instance holds and has done. Bytes are whole pages without guards. */
struct kva_vm_stats {
    /** The reservation: where areas may lie. The page before it is always closed. */
    uint64_t reservation_first;
    uint64_t reservation_last;
    uint64_t live_areas, live_bytes; /* short-lived maps included */
    uint64_t later_areas, later_bytes;
    uint64_t cached_areas, cached_bytes;
    uint64_t parked_areas, parked_bytes;
    uint64_t quarantined_areas, quarantined_bytes;

    /** Maps of map_ram: live ones that it can find again once they have ended, and ended ones that it can
     *  find now. The latter count nowhere else. */
    uint64_t ram_live, ram_parked;
    uint64_t frames_taken;              /* of all sets */
    uint64_t allocations, frees;        /* that succeeded, of every kind but map_ram */
    uint64_t cache_hits, cache_misses;  /* of requests that the cache could have served */
    uint64_t ram_hits, ram_misses;      /* of map_ram: found again, mapped afresh */
    uint64_t purges, purged_runs;       /* batches, and the runs of neighbours in them */
    uint64_t retries;                   /* requests that found something short, and purged or reclaimed */
    uint64_t grown_in_place, moved;     /* by realloc */
    uint64_t districts, district_bytes; /* of addresses for areas with a node: see kva_vm_alloc */
    uint64_t memory_bytes;              /* for bookkeeping, without the tables */

    /** Pieces of tables in use, KVA_VM_PIECE bytes each: one for 32 MiB of pages of 4 KiB in which areas
     *  begin, one for 64 MiB of mapped frames. They take memory where they were written to. */
    uint64_t table_bytes;
    struct kva_pages_stats pages;
};

/** Read the statistics.
 *
 *  In:      vm
 *  Out:     stats
 *  Returns: KVA_OK, or KVA_ENULL when vm or stats is NULL
 *  Cost:    O(1) with the rb and bt engines
 *  Locking: Look
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_stats_read(const struct kva_vm *vm, struct kva_vm_stats *stats);

/** Verify every invariant of the instance and of its space: src/vmap/vm_check.c and src/engine/engine.h list
 *  them.
 *
 *  V10 is about the system: pages of the reservation without an owner (free ones, guards, cached, parked and
 *  quarantined ones) must be mapped as kva has left them, with the same protection, file, advice and locks.
 *  If they are not, an owner has not undone something (see kva_vfree), or other code has changed pages that
 *  are not its own. Live areas are not checked. On Linux this reads /proc/self/smaps once, or
 *  /proc/self/maps, which has no advice and no locks; where there is neither, V10 is left out. Locks are not
 *  compared if the program locks all its memory (mlockall).
 *
 *  In:      vm
 *  Out:     fault   on KVA_ECORRUPT: which invariant is broken, and at which address; may be NULL
 *  Returns: KVA_OK
 *           KVA_ECORRUPT   see fault; the corruption hook is not called
 *           KVA_ENULL      vm is NULL
 *  Cost:    O(n log n), and KVA_VM_PIECE bytes to be read for each piece of the tables. Reading the list
 *           takes three calls, one for each 4 KiB of it, and, where a parked map is of another set than the
 *           one before, one for each set at most. For the list, the kernel visits all resident pages of the
 *           process
 *  Locking: Look
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_check(const struct kva_vm *vm, struct kva_fault *fault);

/** Get the space of an instance, to read it: kva_stats_read, kva_first, kva_space_dump. It must not be
 *  changed. The pointer is valid until the next kva_vm_purge, which may replace the space. In this space, a
 *  district (see kva_vm_alloc) is one busy segment.
 *
 *  In:      vm
 *  Returns: the space; NULL for a NULL instance
 *  Cost:    O(1)
 *  Locking: None; for calls on the space, Sole: it has no lock
 *  Failure: cannot fail
 */
KVA_API const struct kva_space *kva_vm_space(const struct kva_vm *vm);

/* ------------------------------------------------------------------------------------- giving memory back */

/** Purge now: free areas whose grace period is over, end the quarantine, and unmap all cached and parked
 *  areas and all short-lived maps that have ended. The memory of tables for addresses without areas goes
 *  back; if no area is left, so does that of the rest of the bookkeeping. Failed unmaps (failed_unmap_pages
 *  in the statistics) are closed as far as the system allows it now.
 *
 *  In/Out:  vm
 *  Returns: KVA_OK
 *           KVA_ENULL      vm is NULL
 *           KVA_EREENTRY   called from inside a reclaim callback, where it is not needed: a purge follows the
 *                          callback
 *  Cost:    O(m log n), one call for each run of neighbours; with nodes (config.node or request.node) two,
 *           because pages that are mapped afresh are bound again; for marked areas two, with nodes three;
 *           with threads, runs end with each 2 MiB, those of one area with each 8 MiB. Then a call for each
 *           district in which nothing is left, O(1) for each piece of the tables, a call for each run of
 *           pieces that goes back, and one for each 2 MiB that were kept open for small areas, if there is
 *           none within 256 MiB
 *  Locking: Instance, dropped between runs; any number of threads may purge at once. Areas that were cached
 *           or parked before the call are unmapped when it returns, by whichever thread
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_purge(struct kva_vm *vm);

/** A reclaim callback: free areas of `vm` and return true, or return false. It is called after a purge,
 *  when addresses, pages, mappings or the memory for an area's bookkeeping are still short.
 *
 *  It may make every call on the instance except kva_vm_destroy, kva_vm_abandon, kva_vm_purge,
 *  kva_vm_frames_compact, kva_vm_fork_prepare, and those that change the list of callbacks: these return
 *  KVA_EREENTRY. So do a free of the area that is being resized, and the end of a per-CPU allocator that is
 *  growing. A request that fails inside calls no reclaim callback. No callback is called for the creation of
 *  a frame set or of a per-CPU allocator, and for the bookkeeping of per-CPU objects.
 *
 *  With threads, callbacks run in one thread at a time, and the instance is not locked meanwhile. Other
 *  threads that find something short wait, and try again before they call one. So the callback must not wait
 *  for another thread that allocates, maps or resizes. */
typedef bool kva_vm_reclaim_callback(void *context, struct kva_vm *vm, size_t size);

/** A reclaim callback's registration: the caller's memory, kept until it is removed. */
struct kva_vm_reclaim {
    kva_vm_reclaim_callback *callback;
    void *context;
    struct kva_link link; /* private */
};

/** Register a reclaim callback. Callbacks are called in the order of their registration.
 *
 *  In/Out:  vm
 *           reclaim   callback and context set
 *  Returns: KVA_OK
 *           KVA_ENULL      vm, reclaim or its callback is NULL
 *           KVA_EEXIST     it is registered already
 *           KVA_EREENTRY   called from inside a reclaim callback
 *  Cost:    O(callbacks)
 *  Locking: Instance; waits for a reclaim under way
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_reclaim_add(struct kva_vm *vm, struct kva_vm_reclaim *reclaim);

/** Remove a reclaim callback.
 *
 *  In/Out:  vm
 *           reclaim   as registered
 *  Returns: KVA_OK
 *           KVA_ENULL      vm or reclaim is NULL
 *           KVA_ENOENT     it is not registered
 *           KVA_EREENTRY   called from inside a reclaim callback
 *  Cost:    O(callbacks)
 *  Locking: Instance; waits for a reclaim under way. Once this returns, the callback is not called again
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_reclaim_remove(struct kva_vm *vm, struct kva_vm_reclaim *reclaim);

/* ------------------------------------------------------------------------------------------ grace periods */

/** The record of a freed area that waits for a grace period. It must lie in memory to which nothing else
 *  writes until the area is freed: most simply in the area itself.
 *
 *  `room` is for config.grace.after: space for what the program's RCU keeps there. With liburcu:
 *
 *      static void ready(struct rcu_head *head)
 *      {
 *          kva_vfree_ready((struct kva_later *)head);          // room stands first
 *      }
 *
 *      static void after(void *context, struct kva_later *record)
 *      {
 *          call_rcu((struct rcu_head *)record->room, ready);   // struct rcu_head: two pointers
 *      }
 */
struct kva_later {
    void *room[4];          /* config.grace.after's */
    struct kva_vm *vm;      /* private */
    void *memory;           /* private */
    struct kva_later *next; /* private */
};

/** Free an area when a grace period is over, so that no reader can hold a pointer to it.
 *
 *  What the caller did to its pages must be undone before this call, as for kva_vfree. Until the grace period
 *  is over, the area can be read, also by threads that find the pointer only now. After kva_vfree_ready, the
 *  next call that allocates, maps, resizes or frees areas, purges, or ends the instance frees it; but not one
 *  that must not block (KVA_VM_NO_BLOCK).
 *
 *  In/Out:  vm
 *  In:      memory  as for kva_vfree; NULL: no effect
 *           record  memory for the record, inside the area or elsewhere: with it, this never sleeps. NULL:
 *                   the library takes memory for one; if there is none, it sleeps for a grace period and
 *                   frees the area at once
 *  Returns: KVA_OK
 *           KVA_ENOENT     the instance was made without config.grace.after
 *           KVA_ENOMEM     no record, no memory for one, and no config.grace.wait
 *           and as kva_vfree
 *  Cost:    O(1), and what config.grace.after costs
 *  Locking: Instance
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vfree_later(struct kva_vm *vm, void *memory, struct kva_later *record);

/** Report that a record's grace period is over. The record must not be used any more.
 *
 *  In:      record  as config.grace.after received it
 *  Cost:    O(1); no lock, no wait
 *  Locking: None: from any thread, at any time before the instance ends
 *  Failure: cannot fail
 */
KVA_API void kva_vfree_ready(struct kva_later *record);

/* ------------------------------------------------------------------------------------------ abandon, fork */

/** End an instance even if areas are live in it, and give everything back. The contents of its areas are
 *  lost.
 *
 *  No thread may call kva_vfree_ready for it afterwards: let all grace periods end first (liburcu:
 *  rcu_barrier()).
 *
 *  In:      vm       afterwards a dangling pointer
 *           leak     as for kva_vm_destroy
 *           context  passed to it
 *  Returns: KVA_OK
 *           KVA_ENULL      vm is NULL
 *           KVA_EREENTRY   called from inside a reclaim callback
 *  Cost:    O(n log n), as kva_vm_destroy
 *  Locking: Sole; leak may look at the instance, and must not change it
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_abandon(struct kva_vm *vm, kva_vm_leak *leak, void *context);

/** Before a fork of a program with threads: lock all of an instance, so that it is consistent in the child.
 *  In the three handlers of pthread_atfork, call these three for each instance that the child will use, in
 *  the same order of instances:
 *
 *      static void before(void) { kva_vm_fork_prepare(vm); }
 *      static void in_parent(void) { kva_vm_fork_parent(vm); }
 *      static void in_child(void) { kva_vm_fork_child(vm); }
 *      ... pthread_atfork(before, in_parent, in_child);
 *
 *  In the child, the calls that other threads had under way are over. An area whose size was being changed is
 *  as it was before; one that was about to be freed is freed (a marked one is purged at once); a map, or a
 *  chunk of per-CPU objects, that was being made is not there. This remains of other threads' calls:
 *    - What they had allocated stays live. So does an area that a call was about to return, which no code may
 *      know of. (When kva_vrealloc was moving an area, the new place is such an area; the old place is still
 *      the area, and holds the contents.)
 *    - An area that waits for a grace period keeps waiting. config.grace decides whether that period ends
 *      in the child. Where kva_vfree_later slept because it had no record, it does not end, and the area
 *      stays "later" until the instance ends.
 *    - Frames are shared with the parent, but each side counts its own maps of them. A movable set is lost:
 *      its maps remain areas, with closed pages, until the child ends them; kva_vm_frames_alloc and
 *      kva_vm_map return KVA_ENOENT for the set.
 *  Without threads these functions lock nothing, but they are needed if a frame set is movable. Its maps are
 *  holes in the child, until kva_vm_fork_child closes them: handlers that run before it must not map memory.
 *
 *  Where the owner of a marked area (kva_vm_mark_foreign) has kept its pages from children (MADV_DONTFORK),
 *  the child has a hole there, which the system may give to any mapping of the child. Marked areas that are
 *  parked are purged before the fork, so that no later purge maps over that. If they are live, or wait for a
 *  grace period, the child must not free them or end the instance before it has mapped private memory over
 *  the hole again (MAP_FIXED, in the third handler).
 *
 *  In/Out:  vm
 *  Returns: KVA_OK, and the instance is locked
 *           KVA_ENULL      vm is NULL
 *           KVA_EREENTRY   called from inside a reclaim callback
 *  Cost:    O(CPUs), and O(sets of frames). A reclaim under way, or a slice of a purge or a compaction, comes
 *           on top; where marked areas are parked, a purge of these and of all that was parked before them;
 *           and where a frame set is movable, a purge of all that is parked
 *  Locking: Instance, all CPUs' locks, and the reclaim lock: held until the fork is over
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_fork_prepare(struct kva_vm *vm);

/** After a fork, in the parent: release the locks of kva_vm_fork_prepare.
 *
 *  In/Out:  vm
 *  Returns: KVA_OK, or KVA_ENULL when vm is NULL
 *  Cost:    O(CPUs)
 *  Locking: releases all locks that kva_vm_fork_prepare took
 *  Failure: cannot fail
 */
KVA_API enum kva_status kva_vm_fork_parent(struct kva_vm *vm);

/** After a fork, in the child, which has no other threads: reset the locks of kva_vm_fork_prepare, and end
 *  the calls that other threads had under way.
 *
 *  In/Out:  vm
 *  Returns: KVA_OK, or KVA_ENULL when vm is NULL
 *  Cost:    O(CPUs + sets of frames + allocators of per-CPU objects). Where another thread was changing a
 *           size, was about to free an area, or was mapping frames, a look at all areas comes on top:
 *           O(n log n), and O(frames) of the set
 *  Locking: releases all locks that kva_vm_fork_prepare took
 *  Failure: cannot fail
 */
KVA_API enum kva_status kva_vm_fork_child(struct kva_vm *vm);

#ifdef __cplusplus
}
#endif

#endif
