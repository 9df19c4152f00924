/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva/vm.h: vmalloc for user space. Address ranges joined to real memory.
 *
 * An INSTANCE owns a reservation of virtual memory, reserved at once and backed by nothing (the RESERVE), a space
 * (kva/kva.h) over it, and a page source. It allocates AREAS: whole pages, each area followed by a guard page
 * that faults when touched, and one such page in front of the first:
 *
 *      |c|  area A         |g|   area B  |g|         free          |  area C                      |g|  free ...
 *         ^ kva_vmalloc returns this                                guard pages: not part of the area's size
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
 * A freed area may stay mapped for a while, to be allocated again without a system call; a stale pointer can read and
 * write it until then. A HARDENED instance (kva_vm_config.hardened) unmaps at once. See THE LIFE OF AN AREA.
 *
 * This header begins with what everybody needs: create, allocate, resize, free, destroy. CONVENTIONS, after that, define
 * the terms of the blocks, in addition to those of kva/kva.h; then comes the rest of an instance. Further headers:
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

/** Create an instance on a system with a port (Linux). What the configuration leaves 0 is taken from the system. Reserves
 *  addresses; no page is opened. Any thread may use it, unless config.one_thread is set.
 *
 *  In:      config  NULL stands for one that is all zero; see struct kva_vm_config
 *  Out:     vm      the new instance
 *  Returns: as kva_vm_create_from
 *  Cost:    as kva_vm_create_from
 *  Locking: None
 *  Failure: everything is given back
 */
KVA_API enum kva_status kva_vm_create(const struct kva_vm_config *config, struct kva_vm **vm);

/** Allocate `size` bytes: whole pages, and a guard page after them. Their contents are undefined.
 *
 *  This and the functions down to kva_vmalloc_aligned are short forms of kva_vm_alloc, which has requests, costs and locking.
 *
 *  In/Out:  vm
 *  In:      size    1 .. bytes; rounded up to whole pages
 *  Returns: the first byte; NULL on failure, and kva_vm_status then returns why
 */
KVA_API void *kva_vmalloc(struct kva_vm *vm, size_t size);

/** Allocate `size` bytes that read as zero. Otherwise as kva_vmalloc. */
KVA_API void *kva_vzalloc(struct kva_vm *vm, size_t size);

/** Allocate `size` bytes in huge pages where that pays. Otherwise as kva_vmalloc. */
KVA_API void *kva_vmalloc_huge(struct kva_vm *vm, size_t size);

/** Allocate `size` bytes at a multiple of `align`, a power of two; 0 stands for 1. Otherwise as kva_vmalloc. */
KVA_API void *kva_vmalloc_aligned(struct kva_vm *vm, size_t size, size_t align);

/** Change the size of an area: in place if it can be, else by moving it. Contents up to the smaller size are kept. A short form of
 *  kva_vm_realloc.
 *
 *  In/Out:  vm
 *  In:      memory  as kva_vmalloc returned it, or NULL: allocate
 *           size    the new size; 0: free the area, and return NULL
 *           flags   KVA_VM_ZERO: bytes that are added read as zero
 *  Returns: the first byte, now; NULL on failure: then the area is as it was, and kva_vm_status returns why
 */
KVA_API void *kva_vrealloc(struct kva_vm *vm, void *memory, size_t size, unsigned flags);

/** Free an area.
 *
 *  The pages may stay mapped for the next owner. So what the caller did to them must be undone before, unless the area is marked
 *  as foreign (kva_vm_mark_foreign):
 *
 *      done to the pages                            undone by
 *      mprotect, pkey_mprotect                      mprotect(PROT_READ | PROT_WRITE); pkey_mprotect with key 0
 *      mlock, mlock2                                munlock
 *      madvise: MADV_DONTFORK, MADV_DONTDUMP        MADV_DOFORK, MADV_DODUMP
 *               MADV_WIPEONFORK, MADV_MERGEABLE     MADV_KEEPONFORK, MADV_UNMERGEABLE
 *               MADV_RANDOM, MADV_SEQUENTIAL        MADV_NORMAL
 *               MADV_GUARD_INSTALL                  MADV_GUARD_REMOVE
 *      mbind                                        mbind(MPOL_DEFAULT), or as config.node or request.node has it
 *      userfaultfd                                  UFFDIO_UNREGISTER
 *      mmap(MAP_FIXED), mremap, munmap, and         mmap of just these pages: PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE |
 *      MADV_HUGEPAGE, MADV_NOHUGEPAGE, which        MAP_ANONYMOUS | MAP_NORESERVE. It undoes all that stands above, too
 *      no advice undoes
 *      mseal                                        nothing: never seal a part of the reserve
 *
 *  kva_vm_check finds what was forgotten, but for protection keys, markers and policies, which it cannot see.
 *
 *  In/Out:  vm
 *  In:      memory  as kva_vmalloc, kva_vm_alloc_congruent and their kin returned it; NULL: nothing is done
 *  Returns: KVA_OK
 *           KVA_ENULL       vm is NULL
 *           KVA_EUNKNOWN    no area of this instance: the address lies outside the reserve
 *           KVA_EINTERIOR   an address inside an area or in its guard page, not its start
 *           KVA_EDOUBLE     no live area: freed before, and cached or purged since; or another thread is just freeing it
 *           KVA_EDEFERRED   freed before: it is parked, in quarantine, or waits for a grace period
 *           KVA_EREENTRY    kva_vrealloc is at work on the area: in another thread, or it has called the reclaim callback
 *                           that this is called from
 *           KVA_EINVAL      the area is of another kind: use kva_vunmap, kva_unmap_ram or kva_pcpu_free
 *  Cost:    into the cache O(1), no call. Parked: O(log n), no call; never takes memory. A purge of m areas comes on
 *           top at times: O(m log n), one call for each run of neighbours; with nodes, and for marked areas, as many as
 *           kva_vm_purge makes. With threads, runs end with each 2 MiB, those of one area with each 8 MiB, and a free that finds
 *           another thread's purge under way takes one run of it. A call comes on top for each district that is given back
 *  Locking: CPU where the cache serves, else Instance. Of frees of one area at the same time one wins, and the others are told
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vfree(struct kva_vm *vm, void *memory);

/** Why the last call on an instance that failed did so; KVA_OK if none has. With threads that is whichever thread's call; who
 *  wants to know for sure uses the forms that return a status.
 *
 *  Cost:    O(1). Locking: None. Failure: cannot fail; KVA_ENULL for a NULL instance
 */
KVA_API enum kva_status kva_vm_status(const struct kva_vm *vm);

/** Called for each area that is still live, or waits for a grace period, when its instance is to end. */
typedef void kva_vm_leak(void *context, const struct kva_vm_area *area);

/** End an instance of which no area is live, nor waits for a grace period, and give everything back: its addresses, its
 *  pages, its memory.
 *
 *  Areas count, of every kind: allocated, mapped, and those of a per-CPU allocator that has objects in them. Frame sets
 *  and per-CPU allocators end with the instance, with whatever frames are taken. Where areas are live, free them, or
 *  call kva_vm_abandon.
 *
 *  In:      vm       on KVA_OK a dangling pointer
 *           leak     called for each area that is still live or later, lowest address first; may be NULL
 *           context  handed to it
 *  Returns: KVA_OK
 *           KVA_EBUSY      there are such areas: the instance lives on
 *           KVA_ENULL      vm is NULL
 *           KVA_EREENTRY   called from inside a reclaim callback
 *  Cost:    O(n log n), as kva_vm_purge, and some calls
 *  Locking: Sole; leak may look at the instance, and must not change it
 *  Failure: nothing has changed, but areas whose grace period is over have been freed
 */
KVA_API enum kva_status kva_vm_destroy(struct kva_vm *vm, kva_vm_leak *leak, void *context);

/* --------------------------------------------------------------------------------- life of an area, conventions */

/** THE LIFE OF AN AREA. Unmapping costs a system call and a TLB flush, so a freed area takes its time:
 *
 *                 kva_vmalloc                          kva_vfree
 *      free -------------------------------> live ---------------------+----------------> cached
 *       ^                                     ^  \                     | a common size,     |  still mapped, and
 *       |                                     |   \ kva_vfree_later    | and room for it    |  the first to go out
 *       |                                     |    v                   |                    |  again, without a
 *       |                                     |   later                | otherwise          |  system call
 *       |          a system call for          |    |  grace period     v                    |
 *       +------- a whole batch: PURGE ------ (reuse)  is over ------> parked <--------------+  the cache is full
 *
 *   live     the caller's
 *   later    given back, but others may read it until a grace period is over (kva_vfree_later)
 *   cached   still mapped, contents and all; serves the next request of exactly that many pages
 *   parked   waits for the next purge, contents and all. A purge unmaps all that is parked: neighbours are merged,
 *            and each run costs one system call. It happens when more than a limit is parked, when space or memory
 *            is short, and when kva_vm_purge asks for it
 *   free     unmapped: a touch faults, and the memory has gone back to the system
 *
 * WHAT A STALE POINTER SEES. Through a pointer to a cached or parked area, its old contents can still be read and
 * written, and after the area has been handed out again, its new owner's. Only after a purge does the touch fault.
 * An instance that is HARDENED has neither cache nor parking: an area is unmapped before kva_vfree returns, its
 * addresses are kept out of use for a while, and new areas are placed at random. (Pages that kva_vrealloc cuts off
 * an area are unmapped at once, too, but their addresses may be used again at once.)
 *
 * WHERE MAPPINGS RUN SHORT. Before Linux 6.13 a page that faults takes mappings of its own, of which a process has few
 * (KVA_MECHANISM_MAPPINGS). There areas are joined when the process has many thousands of them: what is closed between
 * two joined areas, guard pages and freed pages, can still be touched. It holds nothing, and what is written there
 * reaches no owner; kva_vm_stats counts these pages (failed_unmap_pages), kva_vm_area and the report mark the areas. When there
 * are mappings again, later calls and kva_vm_purge make them fault. A hardened instance refuses with KVA_ELIMIT instead. */

/** CONVENTIONS are those of kva/kva.h, and
 *   Memory      is a void pointer to its first byte. No area begins at NULL.
 *   Caller      Every area remembers who asked for it: the return address of the call, unless the request says
 *               otherwise. Reports name it.
 *   n, m        In a Cost row: areas; areas that are parked. A "call" is a system call.
 *   Locking     An instance that is made with kva_vm_config.threads, as kva_vm_create does by itself, locks for itself: any
 *               thread may call at any time, and free what another has allocated. One that is made without takes no lock,
 *               and pays nothing for it: one thread at a time may use it. Different instances are independent. In a row,
 *                 CPU       with threads, takes the lock of the CPU that the caller runs on, which hardly anybody else wants;
 *                           without, the caller serializes the call with every other one on the same instance;
 *                 Instance  likewise, with the instance's lock, and CPUs' locks for moments;
 *                 Look      likewise, with the instance's lock and those of all CPUs at once, so that what is seen is
 *                           the state of one moment: O(CPUs) comes on top of the cost. Never on a fast path;
 *                 Sole      with threads or without, no other call on the same instance may run;
 *                 None      needs nothing.
 *               Reclaim callbacks, grace periods' functions, and the functions that lines are given to run without any of these
 *               locks. The page source, the memory source and hooks are called with the instance's lock: by one
 *               thread at a time, and they must not call the instance.
 *   Waiting     The instance's lock is held for one call of the page source at most; while purging, on no more than 2 MiB of
 *               small areas, or 8 MiB of a larger one: some 0.1 ms, or 0.3 ms, if all of it was touched, in pages of 4 KiB. A
 *               purge drops it after each such slice, and lets in who waits; so does kva_vm_frames_compact, after some 32 frames,
 *               for which it looks at all blocks of the set, and asks for what may be pinned.
 *               It is held for longer where one request is large in itself: a map of many runs of frames, giving back many frames, a large area's shrinking or its
 *               end in a hardened instance; where somebody wants to see all (kva_vm_check); where kva_vm_purge gives tables back; in
 *               the last purge of a request that finds no room, which takes what others have freed during the purge before; and in a
 *               purge after the system has refused to close pages, for one call for each run of them.
 *   Fork        The child has its own copy of an instance and goes on with it: private pages are copied when
 *               written, frames stay shared between both. In a program of one thread nothing needs to be done, unless a set of frames is movable, or it keeps
 *               pages of marked areas from children; then, and with more threads, see kva_vm_fork_prepare. The kernel merges less in a child, so mappings are counted higher there, and
 *               large areas take mappings of their own less often. The end of a thread needs nothing: nothing belongs to one.
 *   State       There is none outside the instances, but for the fault reporter's list of them.
 *   Heap        An instance that kva_vm_create makes with config.memory given uses no other: no function calls the program's
 *               heap, stdio or the dynamic linker, at any time, in any thread. So an instance can serve a malloc. The shared
 *               library's thread-local data is of the initial-exec model (glibc), for the same reason.
 */

/* ------------------------------------------------------------------------------------------- requests */

enum kva_vm_flag {
    /** The bytes that are asked for read as zero. Without this they may hold what an earlier area left; and what is behind
     *  them up to the end of the last page may in either case. */
    KVA_VM_ZERO = 1,
    KVA_VM_HUGE = 2, /* in huge pages, if it is at least one; the pages are rounded up to whole ones */
    /** Take what is at hand and refuse otherwise: nothing is flushed, purged, reclaimed or waited for. The
     *  calls that open pages are made. Where nothing fits, and a purge or a reclaim callback might have made
     *  room, the result is KVA_EAGAIN. */
    KVA_VM_NO_BLOCK = 4,
    KVA_VM_FOREIGN = 8 /* as if kva_vm_mark_foreign were called with the area */
};

enum kva_vm_nodes_policy {
    KVA_VM_NODES_ANY = 0,        /* as the thread has it that touches a page first; no set */
    KVA_VM_NODES_PREFERRED = 1,  /* from the one node of the set; from others where that has no memory */
    KVA_VM_NODES_BOUND = 2,      /* from the nodes of the set, and from no other */
    KVA_VM_NODES_INTERLEAVED = 3 /* from the nodes of the set by turns, page by page */
};

/** Where pages come from, on a machine whose memory lies on several nodes (NUMA). All zero: no wish.
 *
 *      struct kva_vm_nodes local = {KVA_VM_NODES_PREFERRED, UINT64_C(1) << 1};     node 1
 *
 *  It holds for pages that are touched from then on; no page is moved. Where nodes with KVA_VM_NODES_BOUND have no memory, a
 *  touch ends as the system sees fit: no call fails before. A machine with one node, or a system that knows none,
 *  has node 0: to ask for that is harmless. */
struct kva_vm_nodes {
    enum kva_vm_nodes_policy policy;
    uint64_t set; /* bit n: node n. Nodes from 64 on cannot be named */
};

/** What an allocation asks for. Fields that are left at 0 stand for the usual values, which kva_vm_request_of spells out. */
struct kva_vm_request {
    size_t size;    /* 1 .. bytes; rounded up to whole pages */
    size_t align;   /* a power of two; below the page it counts as the page. 0 stands for 1 */
    uintptr_t min;  /* the window, both ends included; it is cut to the reserve's private part. The guard */
    uintptr_t max;  /*   page may lie outside. min = max = 0 stands for all of that part */
    unsigned flags; /* enum kva_vm_flag */
    const void *caller;       /* who asks; NULL: the caller of this function */
    void *owner;              /* the caller's, any value; kept with the area, never followed */
    struct kva_vm_nodes node; /* where its pages come from: see "Nodes" at kva_vm_alloc */
};

/** The usual request: `size` bytes, anywhere, no flags, no owner. */
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
 *  A request without window or huge pages is served from the cache, if an area of as many pages, at such an address
 *  as is asked for, is among the last few that came there. Otherwise the area goes to the lowest address that fits
 *  (hardened: to a random one) and its pages are opened. When space or memory is short, what is cached, parked and in
 *  quarantine is purged and the attempt repeated; then the reclaim callbacks are asked, one by one.
 *
 *  Nodes. Areas that ask for the same nodes lie together in DISTRICTS of the reserve, each bound to its nodes
 *  by one call, since every such call takes two mappings. So 10,000 areas with a node take some ten mappings
 *  more than areas without, and as many of them fit as without: any number (KVA_MECHANISM_MAPPINGS). The first district for some nodes has 1/1024
 *  of the private part, at least a huge page, or what the area needs; each further one is as large as all before
 *  it, but no larger than a sixteenth of the private part unless an area is. Where there is no room for that, it
 *  is smaller. Its free addresses serve no other nodes. A purge gives back the districts in which nothing is
 *  left, but for one for each value of request.node; a purge of all that is idle (kva_vm_purge; when anything is
 *  short), those, too. The cache serves a request only with areas of the same nodes. An instance knows 255
 *  different values of request.node at most, of requests that have been granted; groups of per-CPU allocators
 *  count as requests. One that equals config.node is no wish, and does not count.
 *
 *  In/Out:  vm
 *  In:      request  see struct kva_vm_request
 *  Out:     memory   the first byte
 *  Returns: KVA_OK
 *           KVA_ENOSPC     no free range of the reserve fits; or node is the 256th value of its kind
 *           KVA_EAGAIN     with KVA_VM_NO_BLOCK, for KVA_ENOSPC of either kind: a purge or a reclaim callback might help
 *           KVA_ENOMEM     the system has no memory
 *           KVA_ELIMIT     the process has as many mappings as the system allows (Linux: raise vm.max_map_count)
 *           KVA_ENOENT     the machine lacks a node of node.set, or does not let the program use it (told before
 *                          KVA_ENOSPC, if the page source has has_nodes)
 *           KVA_ENULL      vm, request or memory is NULL
 *           KVA_ESIZE      size is 0
 *           KVA_EALIGN     align is neither 0 nor a power of two
 *           KVA_EINVAL     flags has bits that are none; or node is not in order, as kva_vm_create_from says of config.node
 *           KVA_EWRAP      size, rounded up, passes SIZE_MAX
 *           KVA_EWINDOW    min > max, or the window and the private part of the reserve do not meet
 *                          (of these six, the misuse hook is told the field)
 *  Cost:    from the cache O(1), no call. Else O(log n) and one call; up to three where it reaches into addresses
 *           that were never used, or reaches over both kinds; two more at most where no area has been near, for tables (of an
 *           area of many GiB, one for each eighth by which they grow). With threads, O(CPUs) for a look into the caches of all. At an
 *           alignment above the page, the search is kva_alloc's, O((k + 1) log n); that of a huge page is a declared class.
 *           Zeroing of cached memory comes on top. With a node, O(values of request.node + districts) comes on
 *           top, the search is made in each district of these nodes, and a new district takes a call more. Where pages of a
 *           marked area could not be replaced when that was purged, this does it, with one call more, or two with nodes. Where
 *           there is no room, purges come on top: at most two, one more for each reclaim callback, and one after all of them,
 *           however much other threads free meanwhile
 *  Locking: CPU where the cache serves, else Instance, dropped while others' leavings are purged and callbacks run. KVA_ENOSPC is
 *           true of one moment of the call, at which nothing was cached, parked or in quarantine, by whatever CPU or thread: if
 *           other threads have freed during the first purge, the second holds all locks
 *  Failure: nothing was taken; but what was cached or parked may have been purged
 */
KVA_API enum kva_status kva_vm_alloc(struct kva_vm *vm, const struct kva_vm_request *request, void **memory);

/** Change the size of an area, where it stands if possible. Contents up to the smaller size are kept.
 *
 *  Shrinking gives the pages behind the new end back, and moves the guard page down to it. Growing takes free addresses
 *  behind the area, or else moves it. With KVA_VM_ZERO, what is added reads as zero, up to the last byte of the
 *  last page, whatever lay there before; without it, bytes between the old size and its page's end keep what was
 *  written there. An area in huge pages stays in them; one that was asked for at an alignment, or with nodes, keeps them,
 *  but a window is forgotten. Caller, owner and flags stay those of the first request. With threads, an area that moves lies
 *  at both places for as long as the call takes: others find it at either. Pages that are cut off or left behind are freed,
 *  and pages that are added are like those of a new area: what the caller did to the old pages must be undone before, as
 *  kva_vfree says. Marked or not (kva_vm_mark_foreign), all pages must be readable and writable when the area is resized, as the
 *  library reads and writes them; and what was done to the pages of a marked area does not move along.
 *
 *  In/Out:  vm
 *  In:      memory  a live vmalloc area, or NULL: allocate
 *           size    the new size; 0: free, and *moved = NULL
 *           flags   KVA_VM_ZERO, KVA_VM_NO_BLOCK; KVA_VM_HUGE and KVA_VM_FOREIGN count only where memory is NULL
 *  Out:     moved   the first byte, now
 *  Returns: KVA_OK
 *           KVA_ENOSPC, KVA_EAGAIN, KVA_ENOMEM, KVA_ELIMIT, KVA_ENOENT, KVA_EWRAP   as kva_vm_alloc: the area is as it was
 *           KVA_ENULL      vm or moved is NULL
 *           KVA_EINVAL     flags has bits that are none, or the area is no vmalloc area
 *           KVA_EUNKNOWN, KVA_EINTERIOR, KVA_EDOUBLE, KVA_EDEFERRED, KVA_EREENTRY   as kva_vfree
 *  Cost:    O(1) within the last page. In place O(log n) and up to two calls; with nodes, up to three. Else an allocation, a
 *           copy and a free
 *  Locking: Instance
 *  Failure: nothing has changed, but what was cached or parked may have been purged
 */
KVA_API enum kva_status kva_vm_realloc(struct kva_vm *vm, void *memory, size_t size, unsigned flags,
                                       void **moved);

/** The bytes from an area's start to the end of its last page: all may be used. (In a build for AddressSanitizer, which
 *  watches the rest of the last page: the size that was asked for.)
 *
 *  In:      vm
 *           memory  a live area's first byte: of memory that was allocated or mapped, not of a per-CPU object
 *  Returns: the bytes, or 0 if no such area starts there
 *  Cost:    O(1)
 *  Locking: CPU
 *  Failure: cannot fail
 */
KVA_API size_t kva_vm_usable_size(const struct kva_vm *vm, const void *memory);

/** Say that the program changes by itself how the pages of an area are mapped, or has done so: by mprotect, madvise, mbind, mlock,
 *  mmap over them. Then nothing of that need be undone before the area is freed. It is never cached; when it is purged, its
 *  pages are replaced as a whole, and the next owner gets fresh ones. Where the system refuses that at the limit on mappings, they
 *  are closed in another way, and replaced later; until then they cannot be allocated again. The mark lasts as long as the area,
 *  wherever kva_vrealloc moves it. While such an area is parked, what its owner did stays in effect.
 *
 *  Pages must not be sealed (mseal), nor unmapped (munmap, mremap), marked or not: another thread's mmap could take their
 *  place. A fork unmaps pages with MADV_DONTFORK in the child: see kva_vm_fork_prepare. An area that kva_vrealloc resizes must be
 *  readable and writable: see there.
 *  Maps of frames need no mark: their pages are always replaced.
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

/** Allocate several areas at fixed distances, all or none: memory[i] = memory[0] + parts[i].offset. Each has a
 *  guard page of its own and is freed on its own, with kva_vfree.
 *
 *  In/Out:  vm
 *  In:      request  size is not read; of the flags only KVA_VM_ZERO and KVA_VM_FOREIGN; align holds for the base, node for all
 *           parts    see kva_alloc_congruent; offsets are multiples of align and of the page. With guard pages, a part
 *                    and its guard page must end before the next offset
 *           count    1 ..
 *  Out:     memory   `count` pointers
 *  Returns: as kva_vm_alloc and kva_alloc_congruent
 *  Cost:    as kva_alloc_congruent, and up to two calls for each part
 *  Locking: Instance
 *  Failure: as kva_vm_alloc; memory was not written
 */
KVA_API enum kva_status kva_vm_alloc_congruent(struct kva_vm *vm, const struct kva_vm_request *request,
                                               const struct kva_part *parts, size_t count, void **memory);

/* ----------------------------------------------------------------------------------------- find and look */

enum kva_vm_kind {
    KVA_VM_VMALLOC = 0, /* private pages */
    KVA_VM_VMAP = 1,    /* frames */
    KVA_VM_RAM = 2,     /* frames, by kva_map_ram */
    KVA_VM_PCPU = 3     /* one group of a per-CPU chunk */
};

enum kva_vm_state {
    KVA_VM_LIVE = 0,
    KVA_VM_LATER = 1,      /* waits for a grace period */
    KVA_VM_CACHED = 2,     /* freed, still mapped, first to be used again */
    KVA_VM_PARKED = 3,     /* freed, mapped until the next purge */
    KVA_VM_QUARANTINED = 4 /* freed and unmapped, its addresses out of use (hardened) */
};

/** What is known of an area. */
struct kva_vm_area {
    uintptr_t start;
    uintptr_t last;  /* of its last page; the guard page comes after this */
    uintptr_t guard; /* bytes of guard behind */
    size_t size;     /* as asked for */
    size_t pages;
    enum kva_vm_kind kind;
    enum kva_vm_state state;
    unsigned flags; /* of the request, but for KVA_VM_NO_BLOCK */
    bool
        failed_unmap; /* a touch of a closed page of it, its guard, does not fault: see kva_pages_stats.failed_unmap_pages */
    const void *caller; /* the code that asked for it */
    /** The code that freed it; NULL while it is live, and for a map that kva_map_ram can find again, or could until it was
     *  parked. */
    const void *freed_by;
    void *owner;
    struct kva_vm_nodes node; /* of the request; all zero if it is config.node */
};

/** Find the area that an address lies in, or whose guard page it lies in.
 *
 *  In:      vm
 *           address  any
 *  Out:     area
 *  Returns: KVA_OK
 *           KVA_ENOENT   no area there: free, or outside the reserve
 *           KVA_ENULL    vm or area is NULL
 *  Cost:    O(log n)
 *  Locking: Look
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_find(const struct kva_vm *vm, const void *address, struct kva_vm_area *area);

/** Begin an iteration in address order: the lowest area, of whatever state.
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

/** Go on with an iteration: the next area, of whatever state. The instance may change in between.
 *
 *  In:      vm
 *  In/Out:  area   as the last step gave it; all zero: the first
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
    uint64_t reservation_first; /* the reserve: where areas may lie. The page before it is closed for ever */
    uint64_t reservation_last;
    uint64_t live_areas, live_bytes; /* short-lived maps included */
    uint64_t later_areas, later_bytes;
    uint64_t cached_areas, cached_bytes;
    uint64_t parked_areas, parked_bytes;
    uint64_t quarantined_areas, quarantined_bytes;
    /** Maps of map_ram: live ones that it can find again once they have ended, and ended ones that it can find now. The latter
     *  count nowhere else. */
    uint64_t ram_live, ram_parked;
    uint64_t frames_taken;              /* of all sets */
    uint64_t allocations, frees;        /* that succeeded, of every kind but map_ram */
    uint64_t cache_hits, cache_misses;  /* of requests that the cache could have served */
    uint64_t ram_hits, ram_misses;      /* of map_ram: found again, mapped afresh */
    uint64_t purges, purged_runs;       /* batches, and the runs of neighbours in them */
    uint64_t retries;                   /* allocations for which all that was idle was purged, or reclaimed */
    uint64_t grown_in_place, moved;     /* by realloc */
    uint64_t districts, district_bytes; /* of addresses for areas with a node: see kva_vm_alloc */
    uint64_t memory_bytes;              /* for bookkeeping, without the tables */

    /** Pieces of tables in use, KVA_VM_PIECE bytes each: one for 32 MiB of pages of 4 KiB in which areas begin, one for 64 MiB
     *  of mapped frames. They take memory where they were written to. */
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

/** Verify every invariant of the instance and of its space. The names are those in docs/theory/vmap.md.
 *
 *  V10 is about the system: pages of the reserve that nobody owns, be they free, guards, cached, parked or in quarantine, must be
 *  mapped as kva has left them, with the same protection, file, advice and locks. If they are not, an owner has forgotten to
 *  undo something (see kva_vfree), or other code has changed what is not its own. What owners do to live areas is not looked
 *  at. On Linux this reads /proc/self/smaps once, or /proc/self/maps, which knows no advice and no locks; where there is neither,
 *  V10 is left out. Locks are not named if the program locks all that it has (mlockall).
 *
 *  In:      vm
 *  Out:     fault   on KVA_ECORRUPT: which invariant is broken, and at which address; may be NULL
 *  Returns: KVA_OK, KVA_ECORRUPT, or KVA_ENULL when vm is NULL
 *  Cost:    O(n log n), and KVA_VM_PIECE bytes to be read for each piece of the tables. And reading the list: three calls, one for
 *           each 4 KiB of it, and, where a parked map is of another set than the one before, one for each set at most. For the
 *           list, the kernel visits all pages of the process that are resident
 *  Locking: Look
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_check(const struct kva_vm *vm, struct kva_fault *fault);

/** The space behind an instance, to be looked at: kva_stats_read, kva_first, kva_space_dump. Never to be changed. The
 *  pointer is good until the next kva_vm_purge, which may put another space in its place. A district (see kva_vm_alloc) is one
 *  busy segment of it, whatever lies there.
 *
 *  Cost:    O(1). Locking: None; what is then done with it: Sole, as that space has no lock. Failure: cannot fail; NULL for a
 *  NULL instance
 */
KVA_API const struct kva_space *kva_vm_space(const struct kva_vm *vm);

/* ------------------------------------------------------------------------------------- giving memory back */

/** Purge now: free what has become ready, empty the cache and the quarantine, unmap all that is parked and all
 *  short-lived maps that have ended. The memory of tables about addresses at which nothing is left goes back, too; if no
 *  area is left at all, so does the rest of the bookkeeping's. What the system refused
 *  to close earlier (failed_unmap_pages in the statistics) is closed as far as the system allows it now.
 *
 *  In/Out:  vm
 *  Returns: KVA_OK
 *           KVA_ENULL      vm is NULL
 *           KVA_EREENTRY   called from inside a reclaim callback, which need not: what it frees is purged
 *  Cost:    O(m log n), one call for each run of neighbours; with nodes (config.node or request.node) two, as what is mapped
 *           afresh is bound again; for marked areas two, with nodes three; with threads, runs end with each 2 MiB, those of one area
 *           with each 8 MiB. Then a call for each district in which nothing is left, O(1) for each piece of the tables, a call for each run of pieces that goes back, and one for each
 *           2 MiB that were kept open for small areas, if there is none within 256 MiB
 *  Locking: Instance, dropped between runs; any number of threads may purge at once. What was cached or parked before the call
 *           is unmapped when it returns, whichever thread has done it
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_purge(struct kva_vm *vm);

/** Asked when addresses, pages, mappings or the memory for an area's bookkeeping are short, after a purge: give areas of
 *  `vm` back and return true, or return false. It may make every call on the instance but kva_vm_destroy,
 *  kva_vm_abandon, kva_vm_purge, and those that change the list of callbacks; the area that is being resized, and the per-CPU allocator that is growing,
 *  return KVA_EREENTRY when it is they that are to go. An allocation that fails inside is not reclaimed for again. Making
 *  a set of frames or an allocator, and the bookkeeping of per-CPU objects, asks nobody.
 *  With threads: one thread at a time asks, and the instance is not locked meanwhile. Others that are short wait, and try again
 *  before they ask; so the callback must not wait for them. */
typedef bool kva_vm_reclaim_callback(void *context, struct kva_vm *vm, size_t size);

/** A reclaim callback's registration; the caller's memory, to be kept until it is removed. */
struct kva_vm_reclaim {
    kva_vm_reclaim_callback *callback;
    void *context;
    struct kva_link link; /* private */
};

/** Register a reclaim callback. They are asked in the order of their registration.
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
 *  Returns: KVA_OK, KVA_ENOENT (it is not registered), KVA_ENULL, KVA_EREENTRY as kva_vm_reclaim_add
 *  Cost:    O(callbacks)
 *  Locking: Instance; waits for a reclaim under way: behind it, the callback does not run any more
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_reclaim_remove(struct kva_vm *vm, struct kva_vm_reclaim *reclaim);

/* ------------------------------------------------------------------------------------------ grace periods */

struct kva_later;

/** How to wait until no reader can hold an old pointer any more: RCU, or what else the program has.
 *
 *  after   arrange that kva_vfree_ready(record) is called, once, from any thread, when a grace period has passed
 *          that begins now or later. It must not fail, block, or call it at once
 *  wait    return when such a grace period has passed; needed only by kva_vfree_later without a record, when there
 *          is no memory. NULL: KVA_ENOMEM then
 *
 *  Both are called without a lock, and by any number of threads. */
struct kva_grace {
    void (*after)(void *context, struct kva_later *record);
    void (*wait)(void *context);
    void *context;
};

/** One freed area on its way to the end of a grace period. It lies in memory that nobody else writes to until the area
 *  is freed: most simply in the area itself.
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

/** Free an area once nobody can still be reading it: when a grace period is over.
 *
 *  What the caller did to its pages must be undone before this call, as kva_vfree says. The area can be read until then, also by
 *  those who find the pointer; it is freed by the first call after
 *  kva_vfree_ready that allocates, maps, resizes or frees areas, purges, or ends the instance; but not by one that must
 *  not block (KVA_VM_NO_BLOCK).
 *
 *  In/Out:  vm
 *  In:      memory  as for kva_vfree; NULL: nothing is done
 *           record  memory for the record, inside the area or elsewhere: this never sleeps. NULL: the library takes
 *                   memory for one; if there is none, it sleeps for a grace period and frees the area at once
 *  Returns: KVA_OK
 *           KVA_ENOENT     the instance was made without config.grace.after
 *           KVA_ENOMEM     no record, no memory for one, and no config.grace.wait
 *           and as kva_vfree
 *  Cost:    O(1), and what config.grace.after costs
 *  Locking: Instance
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vfree_later(struct kva_vm *vm, void *memory, struct kva_later *record);

/** Say that a record's grace period is over. The record must not be used any more.
 *
 *  In:      record  as config.grace.after was given it
 *  Cost:    O(1); no lock, no wait
 *  Locking: None: from any thread, at any time before the instance ends
 *  Failure: cannot fail
 */
KVA_API void kva_vfree_ready(struct kva_later *record);

/* ---------------------------------------------------------------------------------- the life of an instance */

/** Write what is known of a code address ("main+0x1c") into `text`, at most `bytes` with the zero byte; returns the
 *  length, or 0 if nothing is known. For reports, and for kva_vm_fault_describe: it may run in a signal handler. Any bytes will
 *  do: a line of text has a question mark in place of each control character. */
typedef size_t kva_symbol(void *context, const void *address, char *text, size_t bytes);

enum kva_huge_policy {
    KVA_HUGE_ASKED = 0, /* huge pages for kva_vmalloc_huge and KVA_VM_HUGE */
    KVA_HUGE_NEVER = 1, /* such requests get small pages */
    KVA_HUGE_LARGE = 2  /* for every request of at least a huge page without a window, too */
};

/** Asks for no cache, or for a purge at each free. (0 stands for the default, as everywhere.) */
#define KVA_VM_NONE UINT64_MAX

/** What an instance is made with. Zero-initialise it, then set what is to differ; with kva_vm_create all of it may
 *  stay zero. */
struct kva_vm_config {
    /** Bytes of address range. 0: 1 TiB on a 64-bit host, 512 MiB on a 32-bit one. Less is taken where the system
     *  refuses that, or memory for its tables, down to `reservation_least`; 0: 16 MiB, or `reservation` if that is less. Never
     *  more than 2^31 pages (8 TiB in pages of 4 KiB), and on a 32-bit host 2 GiB: a larger `reservation` counts as that, and a
     *  larger `reservation_least` is KVA_ENOSPC. A `reservation` below `reservation_least` counts as `reservation_least`. The closed page in
     *  front of the first area comes on top; where the window has no room for it, the reserve is a page shorter (than `reservation_least`,
     *  too) and begins a page later. Tables take memory for what areas need (kva_vm_stats.table_bytes). */
    uint64_t reservation;
    uint64_t reservation_least;

    /** The window for the reserve, both ends included; max 0: no upper end. On Linux the reserve begins at a multiple of 512
     *  pages and of a huge page, and is the lowest that fits, as /proc/self/maps has it. Where that cannot be read (no /proc, or no file
     *  descriptor left), places are tried: all that there are, lowest first, if they are 4096 or fewer; else as many, spread
     *  evenly, the lowest and the highest among them. */
    uint64_t min;
    uint64_t max;

    /** Bytes at the reserve's upper end that are kept for vmap and map_ram. 0: a quarter. If less is reserved than was
     *  asked for, this shrinks with it. */
    uint64_t frames_part;

    bool without_guards; /* no guard page behind each area */
    bool zero_always;    /* every allocation is zeroed, as if by kva_vzalloc */
    bool hardened;       /* no cache, unmap at once, place at random, quarantine: see THE LIFE OF AN AREA */

    /** Purge when more than this is parked. 0: kva_set_deferred_limit's default, 32 MiB times the binary digits of
     *  the CPU count. KVA_VM_NONE: purge at each free that the cache does not take. */
    uint64_t lazy_bytes;

    /** Keep at most this much cached. 0: lazy_bytes' default. KVA_VM_NONE: no cache. An area of more than 127 pages is cached
     *  if it takes no more than a quarter of this. When the cache is full, the sizes that were freed longest ago are
     *  parked. With threads, each CPU has an equal share, for which this holds; what one keeps serves the others, too. */
    uint64_t cache_bytes;

    /** Hardened: a freed area's addresses are kept out of use until this many bytes were freed after it. 0: lazy_bytes'
     *  default. KVA_VM_NONE: no quarantine. */
    uint64_t quarantine_bytes;

    /** Hardened: of the random placement. 0: the host's randomness (kva_vm_create_from: a fixed number). */
    uint64_t seed;

    enum kva_huge_policy huge;

    /** Where the pages of all areas come from that do not ask for others: vmalloc and per-CPU ones. It holds as long as the
     *  instance does. Frames have none: what the program says of them by mbind holds until they are given back. */
    struct kva_vm_nodes node;

    const struct kva_engine *engine; /* of the space; kva_vm_create: NULL for kva_engine_host() */

    /** For descriptors and nodes; kva_vm_create: zero for the host's. See Heap in CONVENTIONS */
    struct kva_memory memory;

    struct kva_pages pages; /* kva_vm_create: zero for kva_pages_host(KVA_MECHANISM_BEST) */
    struct kva_grace grace; /* for kva_vfree_later; zero: that returns KVA_ENOENT */

    /** Names code in reports. NULL: numbers; kva_vm_create without `memory`: the names that the dynamic linker knows (those of
     *  shared libraries, and of programs that are linked with -rdynamic). dladdr takes the linker's lock for them, so in a
     *  signal handler it may have to wait until another thread is done with dlopen; a function of your own avoids that. With
     *  `memory`, the default is numbers: dlopen calls malloc while it holds that lock, and malloc may call the instance. */
    kva_symbol *symbol;
    void *symbol_context;

    unsigned cpus; /* 0 stands for 1 (kva_vm_create asks the system) */

    /** As in kva_config. NULL: kva_vm_create takes kva_threads_host(), unless one_thread says that only one thread at a time will
     *  use the instance; kva_vm_create_from takes no locks then. */
    const struct kva_threads *threads;
    bool one_thread; /* no locks, whatever `threads` is */

    kva_hook *on_misuse;     /* as in kva_config */
    kva_hook *on_corruption; /* NULL: a trap instruction; kva_vm_create: kva_corruption_host */
    void *hook_context;
};

/** Make an instance from what the config holds, without a host. Reserves addresses; no page is opened.
 *
 *  In:      config  engine, memory and pages must be set
 *  Out:     vm      the new instance
 *  Returns: KVA_OK
 *           KVA_ENULL    config, vm or engine is NULL, or a function of memory or pages is, or one of threads other
 *                        than point
 *                        (of these and the next four, the misuse hook is told the field: "pages.page", "frames_part" ...)
 *           KVA_EINVAL   huge is none of its kind; or node.policy is; or node.set has no bit, more than one with
 *                        KVA_VM_NODES_PREFERRED, or any with KVA_VM_NODES_ANY
 *           KVA_EALIGN   pages.page or pages.huge is no power of two, or the page too small
 *           KVA_EWINDOW  min > max, with max not 0
 *           KVA_ESIZE    frames_part leaves no room for private pages
 *           KVA_ENOSPC   not even reservation_least bytes of addresses can be had, or it is more than there ever are
 *           KVA_ENOMEM   no memory
 *           KVA_ELIMIT   the process has as many mappings as the system allows (Linux: raise vm.max_map_count)
 *           KVA_ENOENT   the system lacks the mechanism asked for; or a node of node.set, or does not let the program use it
 *  Cost:    some calls
 *  Locking: None
 *  Failure: everything is given back
 */
KVA_API enum kva_status kva_vm_create_from(const struct kva_vm_config *config, struct kva_vm **vm);

/** End an instance whatever is live in it, and give everything back. What its areas held is gone.
 *
 *  Nobody may be about to call kva_vfree_ready for it: let all grace periods end first (liburcu: rcu_barrier()).
 *
 *  In:      vm       afterwards a dangling pointer
 *           leak     as for kva_vm_destroy
 *           context  handed to it
 *  Returns: KVA_OK
 *           KVA_ENULL      vm is NULL
 *           KVA_EREENTRY   called from inside a reclaim callback
 *  Cost:    O(n log n), as kva_vm_destroy
 *  Locking: Sole; leak may look at the instance, and must not change it
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_abandon(struct kva_vm *vm, kva_vm_leak *leak, void *context);

/** Before a fork of a program with threads: lock all of an instance, so that the child finds it whole. In the three handlers
 *  of pthread_atfork, call these three for each instance that the child will use, in the same order of instances:
 *
 *      static void before(void) { kva_vm_fork_prepare(vm); }
 *      static void in_parent(void) { kva_vm_fork_parent(vm); }
 *      static void in_child(void) { kva_vm_fork_child(vm); }
 *      ... pthread_atfork(before, in_parent, in_child);
 *
 *  In the child, the calls that other threads had under way are over. An area whose size was being changed is as it was before;
 *  one that was about to be freed is freed (a marked one is purged at once); a map, or a chunk of per-CPU objects, that was being made is not there. What remains
 *  of other threads in the child:
 *    - whatever they had been given, down to what a call was about to return, stays live: nobody may know of it. (The new place
 *      of an area that kva_vrealloc was moving is such an area; the old place holds the contents, and is the area)
 *    - an area that waits for a grace period goes on waiting. Whether that period ends in the child is for config.grace to say;
 *      where kva_vfree_later slept for want of a record, it does not, and the area stays "later" until the instance ends
 *    - frames are shared with the parent, but each side counts its own maps of them. Those of a movable set are lost: its maps
 *      stay areas, closed ones, until the child ends them; kva_vm_frames_alloc and kva_vm_map return KVA_ENOENT for the set
 *  Without threads these functions lock nothing, but they are needed if a set of frames is movable. Its maps are holes in the
 *  child, until kva_vm_fork_child closes them: handlers that run before it must not map memory.
 *
 *  Where the owner of a marked area (kva_vm_mark_foreign) has kept its pages from children (MADV_DONTFORK), the child has
 *  a hole there, which the system may give to whatever the child maps. Such areas that are parked are purged before the fork, so
 *  that no later purge maps over that. Of those that are live, or wait for a grace period, the child must free none, nor end the
 *  instance, before it has mapped private memory over the hole again (MAP_FIXED, in the third handler).
 *
 *  In/Out:  vm
 *  Returns: KVA_OK, and the instance is locked
 *           KVA_ENULL      vm is NULL
 *           KVA_EREENTRY   called from inside a reclaim callback
 *  Cost:    O(CPUs), and O(sets of frames). A reclaim under way, or a slice of a purge or a compaction, comes on top; and, where marked
 *           areas are parked, a purge of these and of all that was parked before them; where a set of frames is movable, of
 *           all that is parked
 *  Locking: Instance, all CPUs' locks, and the reclaim lock: held until the fork is over
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_fork_prepare(struct kva_vm *vm);

/** After a fork, in the parent: unlock what kva_vm_fork_prepare has locked.
 *
 *  In/Out:  vm
 *  Returns: KVA_OK, or KVA_ENULL when vm is NULL
 *  Cost:    O(CPUs)
 *  Locking: ends kva_vm_fork_prepare's
 *  Failure: cannot fail
 */
KVA_API enum kva_status kva_vm_fork_parent(struct kva_vm *vm);

/** After a fork, in the child: likewise, where the threads that waited for the locks are no more; and end their calls.
 *
 *  In/Out:  vm
 *  Returns: KVA_OK, or KVA_ENULL when vm is NULL
 *  Cost:    O(CPUs + sets of frames + allocators of per-CPU objects). Where another thread was changing a size, was about to free
 *           an area, or was mapping frames, a look at all areas comes on top: O(n log n), and O(frames) of the set
 *  Locking: ends kva_vm_fork_prepare's
 *  Failure: cannot fail
 */
KVA_API enum kva_status kva_vm_fork_child(struct kva_vm *vm);

#ifdef __cplusplus
}
#endif

#endif
