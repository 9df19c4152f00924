/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva/vmap.h: page frames of an instance (kva/vm.h), mapped by their numbers, in any order and any number of
 * times. A write through one map is read through all.
 *
 *      struct kva_vm_frames *frames;
 *      uint64_t numbers[4];
 *      struct kva_vm_frames_config config = {.count = 1024};
 *
 *      kva_vm_frames_create(vm, &config, &frames);         // 1024 frames; memory when they are written
 *      kva_vm_frames_alloc(frames, 4, numbers);
 *      char *map = kva_vmap(vm, frames, numbers, 4);       // four pages side by side
 *      kva_vunmap(vm, map);
 *      kva_vm_frames_free(frames, numbers, 4);
 *
 * kva_map_ram does the same for maps that are small and short-lived. A set may be MOVABLE: then kva moves its
 * frames together, under their maps, until large contiguous memory is free (kva_vm_frames_compact).
 */
#ifndef KVA_VMAP_H
#define KVA_VMAP_H

#include <kva/frames.h>
#include <kva/vm.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A FRAME SET: page frames that can be mapped at several addresses. (Linux: a memfd.) A frame has a NUMBER,
 *  from 0 to count - 1, and lies at a PLACE in the set's file. A frame's number never changes.
 *  Its place is its number, unless the set is movable. Frames are CONSECUTIVE if their places are: mapped in
 *  that order, they take one mapping. A BLOCK is an aligned group of as many frames as a huge page covers:
 *  512 (order 9) on most machines, and where there are no huge pages; at most 8192.
 *
 *  MOVABLE FRAMES. In a set that is made with `movable`, kva may move frames to other places while their maps
 *  are in use:
 *
 *      places     |#.#..#..|###.####|.#......|        before
 *      places     |........|########|.##..#..|        after kva_vm_frames_compact: the first block is free
 *
 *  A thread that stores to a frame on the move waits in the kernel for the 20 us or so that a move takes;
 *  longer, if many pages map the frame (some 10 us for each range of them, 64 at most), or if it belongs to a
 *  long run (kva_vm_frames_alloc_run). Loads wait for a part of that time, if several pages map one of the
 *  frames that move together. No load or store of a thread is lost, and no address changes. In exchange, the
 *  owner of a movable set gives up
 *    - the file descriptor: kva_vm_frames_descriptor returns -1;
 *    - forks: a child does not inherit the set's maps (MADV_DONTFORK). The set is LOST to it, and a touch of
 *      the maps faults. A child that uses or ends the instance needs the three calls of kva_vm_fork_prepare,
 *      also in a program of one thread;
 *    - and for frames that are not pinned (kva_vm_pin):
 *      - system calls that store to them: one that meets a frame on the move returns EFAULT, and what it has
 *        read until then may be lost. If several pages map one of the frames that move together, the same is
 *        true of system calls that load from them;
 *      - I/O by devices that were given the pages (O_DIRECT, registered buffers of io_uring, RDMA, VFIO):
 *        they keep using the old place;
 *      - locks, condition variables and semaphores in them. If processes share them, a thread that waits at
 *        the old place is not woken. If only the threads of one process do, their system calls may return
 *        EFAULT;
 *      - stacks, signal stacks and thread-local memory in them: the kernel cannot deliver a signal there;
 *      - what the owner does to their maps: a move undoes mprotect, mlock, madvise and mbind, and replaces
 *        mappings that were put over them.
 *  The thread that compacts must not need a frame of the set to go on, and the instance's own memory must not
 *  lie in one. That thread defers signals and cancellation while it moves a frame. Once a map refers to the
 *  new place, the move is completed: a request that the system refuses from then on is repeated until it is
 *  granted.
 *
 *  Moving mapped frames requires userfaultfd with write protection of shared memory: Linux 6.1 on x86-64,
 *  6.10 on ARM64, and a system that does not forbid it, as the seccomp filters of some containers do.
 *  (Linux 5.19 and 6.0 have it, but may lose the protection of pages that they move themselves. Before
 *  6.3, a frame stays if the owner has divided its map by mprotect, mlock or madvise.) Elsewhere only
 *  frames without a map move. */
struct kva_vm_frames;

/** What a set is made with. Zero-initialise it, then set at least `count`. */
struct kva_vm_frames_config {
    uint64_t count; /* 1 .. 2^32 - 2 frames; each takes memory when it is written */
    bool movable;   /* see MOVABLE FRAMES */
};

/** Create a frame set.
 *
 *  In/Out:  vm
 *  In:      config  see struct kva_vm_frames_config
 *  Out:     frames  the set
 *  Returns: KVA_OK
 *           KVA_ENULL    vm, config or frames is NULL
 *           KVA_ESIZE    count is 0 or too large
 *           KVA_ENOMEM   no memory for its bookkeeping, or the system has no memory, or no file descriptor
 *                        (Linux: each set keeps one; a movable set that has been compacted shares a second
 *                        one with the instance's other sets)
 *  Cost:    O(1), five calls; eight if it is movable, eleven for the first movable set. Bookkeeping takes 2.2
 *           bits a frame: for the first 2^20 frames when the first one is taken, then for as many again
 *           whenever all are taken. Used frames take 4 bytes each, or 20 if the set is movable
 *  Locking: Instance
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_frames_create(struct kva_vm *vm, const struct kva_vm_frames_config *config,
                                             struct kva_vm_frames **frames);

/** End a frame set and free all its frames. Its parked maps are unmapped first.
 *
 *  In:      frames  on KVA_OK a dangling pointer
 *  Returns: KVA_OK
 *           KVA_ENULL   frames is NULL
 *           KVA_EBUSY   live areas map some of its frames, or a thread compacts it: the set remains. Pins do
 *                       not matter
 *  Cost:    as kva_vm_purge, and a call
 *  Locking: Instance
 *  Failure: nothing has changed, except that cached and parked areas may have been purged
 */
KVA_API enum kva_status kva_vm_frames_destroy(struct kva_vm_frames *frames);

/** Allocate frames. They read as zero. A block or more are consecutive if possible; else whole blocks are
 *  taken as long as there are free ones.
 *
 *  In/Out:  frames
 *  In:      count    1 ..
 *  Out:     numbers  `count` frame numbers; on failure, undefined
 *  Returns: KVA_OK
 *           KVA_ENULL    frames or numbers is NULL
 *           KVA_ESIZE    count is 0
 *           KVA_ENOSPC   fewer are free
 *           KVA_ENOMEM   no memory for the bookkeeping, which grows
 *           KVA_ENOENT   the set is lost: it is movable, and this is a child of the process that created it
 *  Cost:    O(count + log n) up to a block, O(count + n / 512) for more, n being the set's frames
 *  Locking: Instance
 *  Failure: nothing was allocated
 */
KVA_API enum kva_status kva_vm_frames_alloc(struct kva_vm_frames *frames, size_t count, uint64_t *numbers);

/** Allocate consecutive frames, the first at a place that is a multiple of `align`. They read as zero. A map
 *  of them takes one mapping, and huge pages with KVA_VM_HUGE if they are whole blocks (align: a block).
 *
 *  Where free memory is scattered, this fails: kva_vm_frames_compact makes room. In a movable set the frames
 *  move together. Their new place is aligned to their count, rounded up to a power of two, but to no more
 *  than the old one: a larger `align` is lost by a move. A run moves only if it lies in one block and does
 *  not fill it.
 *
 *  In/Out:  frames
 *  In:      count    1 ..
 *           align    in frames; a power of two; 0 stands for 1
 *  Out:     numbers  `count` frame numbers, in the order of their places; in a set that is not movable, they
 *                    are consecutive. On failure, undefined
 *  Returns: as kva_vm_frames_alloc, and
 *           KVA_EALIGN   align is neither 0 nor a power of two
 *           KVA_ENOSPC   no such frames are free. A set of more than 2^20 frames is divided at 2^20, 2^21
 *                        ...: no run crosses these places
 *  Cost:    as kva_frames_alloc, and O(count)
 *  Locking: Instance
 *  Failure: nothing was allocated
 */
KVA_API enum kva_status kva_vm_frames_alloc_run(struct kva_vm_frames *frames, size_t count, uint64_t align,
                                                uint64_t *numbers);

/** Free frames. Their memory goes back to the system. A stale pointer through a parked map sees zeroes,
 *  and later the stores of the next user: if that matters, call kva_vm_purge before.
 *
 *  In/Out:  frames
 *  In:      numbers  `count` of them, in any order, however they were allocated
 *           count    0: no effect
 *  Returns: KVA_OK
 *           KVA_ENULL    frames or numbers is NULL
 *           KVA_ERANGE   the set does not have a number
 *           KVA_EDOUBLE  one of them is free already (or named twice)
 *           KVA_EBUSY    a live area maps one of them, or one is pinned
 *  Cost:    O(count), a call for each run of neighbours. On a machine with several nodes five, because a
 *           policy that the program has given frames (Linux: mbind of a map of them) belongs to the set, and
 *           is forgotten; where the system refuses a mapping for that, they keep it. The first such call on
 *           an instance asks the system for its nodes, unless a request with nodes has done so: one call, and
 *           some more where the system does not let the program choose
 *  Locking: Instance
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_frames_free(struct kva_vm_frames *frames, const uint64_t *numbers,
                                           size_t count);

/** Get the file descriptor of a set: frame i is the page at offset i * page size. It serves to share the
 *  frames with another process, or to map them by hand. It is closed with the set.
 *
 *  In:      frames
 *  Returns: the descriptor; -1 where the page source has none, the set is movable, or frames is NULL
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API intptr_t kva_vm_frames_descriptor(const struct kva_vm_frames *frames);

/* --------------------------------------------------------------------------------------------------- maps */

/** Map frames side by side, in the order given. A frame may be in many maps, and several times in one.
 *
 *  In/Out:  vm
 *  In:      frames   a set of this instance
 *           numbers  `count` frames that were allocated from it
 *           count    1 ..
 *           flags    KVA_VM_NO_BLOCK; KVA_VM_HUGE: the map begins at a multiple of a huge page, and wherever
 *                    whole aligned blocks of frames fall on whole huge pages of addresses, the system is
 *                    asked to make each of them one huge page (Linux 6.1: MADV_COLLAPSE, unless shmem_enabled
 *                    forbids it). A refusal is no failure
 *  Out:     memory   the first byte
 *  Returns: KVA_OK
 *           KVA_ENULL    vm, frames, numbers or memory is NULL
 *           KVA_ESIZE    count is 0
 *           KVA_EWRAP    count pages pass SIZE_MAX
 *           KVA_EINVAL   the set belongs to another instance, or flags has other bits
 *           KVA_ERANGE   the set does not have a number
 *           KVA_ENOENT   a frame is not allocated, or the set is lost (in a child of a fork)
 *           KVA_ENOSPC, KVA_EAGAIN, KVA_ENOMEM, KVA_ELIMIT   as kva_vm_alloc. KVA_ENOSPC also when a frame
 *                        would be in more than 2^32 - 2 maps, including those that other threads are making
 *  Cost:    O(log n + count), a call for each run of consecutive frames, two if the set is movable; for
 *           tables, two more at most where no map has been near (for a map of many GiB, one for each eighth
 *           by which they grow)
 *  Locking: Instance
 *  Failure: nothing was mapped. Cached and parked areas may have been purged
 */
KVA_API enum kva_status kva_vm_map(struct kva_vm *vm, struct kva_vm_frames *frames, const uint64_t *numbers,
                                   size_t count, unsigned flags, void **memory);

/** Map frames side by side: a short form of kva_vm_map, without flags. Returns the first byte; NULL on
 *  failure, and kva_vm_status then returns the reason. */
KVA_API void *kva_vmap(struct kva_vm *vm, struct kva_vm_frames *frames, const uint64_t *numbers,
                       size_t count);

/** End a map. It is parked, or, in a hardened instance, unmapped. The frames stay the caller's.
 *
 *  What the caller did to the pages must be undone before, as for kva_vfree; but pages over which another
 *  mapping was put must map their frames again: mmap(MAP_FIXED | MAP_SHARED) of kva_vm_frames_descriptor.
 *
 *  In/Out:  vm
 *  In:      memory  as kva_vmap returned it; NULL: no effect
 *  Returns: as kva_vfree
 *  Cost:    O(log n + count), no call; a purge comes on top at times
 *  Locking: Instance
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vunmap(struct kva_vm *vm, void *memory);

/** Map frames for a short time. As kva_vm_map, but
 *
 *    - maps of up to KVA_MAP_RAM_MOST frames have no guard page: successive maps lie side by side, and an
 *      access past the end of one may reach the next;
 *    - such a map stays mapped when it ends, and a request for the same frames in the same order finds it
 *      again without a call. Up to 3584 pages are kept in this way. Beyond that, the map that ended first is
 *      no longer found: a fresh map of its length replaces it, or else it is parked. A purge follows when 512
 *      pages of such maps are parked, or more than lazy_bytes in all. So fewer than 4096 pages are idle
 *      because of map_ram, not counting those that other threads are purging at the moment.
 *
 *  In a hardened instance, and with more frames, maps are as those of kva_vm_map.
 *
 *  In/Out:  vm
 *  In:      frames, numbers, count   as for kva_vm_map
 *  Out:     memory   the first byte
 *  Returns: as kva_vm_map
 *  Cost:    found again: O(count), no call. Else O(log n + count), a call for each run of consecutive frames,
 *           two if the set is movable; for tables as kva_vm_map
 *  Locking: Instance
 *  Failure: as kva_vm_map
 */
KVA_API enum kva_status kva_vm_map_ram(struct kva_vm *vm, struct kva_vm_frames *frames,
                                       const uint64_t *numbers, size_t count, void **memory);

/** The most frames of a map that can be found again: an eighth of the pages that one page table maps. */
#define KVA_MAP_RAM_MOST 64

/** Map frames for a short time: a short form of kva_vm_map_ram. Returns the first byte; NULL on failure, and
 *  kva_vm_status then returns the reason. */
KVA_API void *kva_map_ram(struct kva_vm *vm, struct kva_vm_frames *frames, const uint64_t *numbers,
                          size_t count);

/** End a short-lived map. What the caller did to the pages must be undone before, as for kva_vunmap.
 *
 *  In/Out:  vm
 *  In:      memory  as kva_map_ram returned it; NULL: no effect
 *  Returns: as kva_vfree
 *  Cost:    O(count), no call; a purge comes on top at times. More than KVA_MAP_RAM_MOST frames: as
 *           kva_vunmap
 *  Locking: Instance
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_unmap_ram(struct kva_vm *vm, void *memory);

/* --------------------------------------------------------------------------------------------- compaction */

/** Compact a movable set: move its frames together, until consecutive ones are free. Places that become free
 *  hold no memory.
 *
 *  In/Out:  frames
 *  In:      order  until 2^order consecutive places are free, the first a multiple of 2^order; up to the
 *                  order of a block; or KVA_FRAMES_ALL_BLOCKS: until as many whole blocks are free as there
 *                  can be
 *           most   frames to move in this call: the run that reaches this number is the last one. UINT64_MAX:
 *                  no limit
 *  Out:     done   as for kva_frames_compact; pinned_runs also counts runs that could not be moved this time.
 *                  May be NULL
 *  Returns: KVA_OK        see done->is_finished
 *           KVA_ENULL     frames is NULL
 *           KVA_EINVAL    order is out of its range
 *           KVA_ENOENT    the set is not movable, or lost (in a child of a fork)
 *           KVA_EREENTRY  called from inside a reclaim callback
 *  Cost:    a purge of all parked areas. Then, for each slice of up to 32 frames (in sets of more than 2^23
 *           frames, of one for 2^18 frames), as kva_frames_compact; and for each run of frames that is moved,
 *           five calls that copy it and give the old place back, and five for each range of pages that maps
 *           it, seven if several pages map a frame. A run counts as pinned if more than 64 ranges map it, or
 *           if any does and the page source cannot hold stores back
 *  Locking: Instance, dropped between slices. Other threads may call meanwhile, and several may compact
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_frames_compact(struct kva_vm_frames *frames, unsigned order, uint64_t most,
                                              struct kva_frames_compacted *done);

/** Pin the frames that a range of memory maps: they stay at their places, so that the kernel or a device may
 *  write to them. Pins are counted for each frame: each pin takes one kva_vm_unpin. For memory that kva never
 *  moves, this has no effect.
 *
 *      if (kva_vm_pin(vm, buffer, length) == KVA_OK) {
 *          got = read(file, buffer, length);
 *          kva_vm_unpin(vm, buffer, length);
 *      }
 *
 *  In/Out:  vm
 *  In:      memory  anywhere in a live area
 *           bytes   1 .. up to the end of the area's last page
 *  Returns: KVA_OK
 *           KVA_ENULL     vm or memory is NULL
 *           KVA_ESIZE     bytes is 0
 *           KVA_EUNKNOWN  memory does not lie in a live area
 *           KVA_ERANGE    the range reaches beyond the area's last page
 *           KVA_ENOSPC    a frame has 2^32 - 1 pins
 *  Cost:    O(log n), and O(1) for each page of the range if the area maps movable frames
 *  Locking: Instance. Waits for a frame that is being moved
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_pin(struct kva_vm *vm, const void *memory, size_t bytes);

/** Undo one kva_vm_pin. Call this before the map ends: pins belong to the frames, and outlast the map.
 *
 *  In/Out:  vm
 *  In:      memory, bytes   as for kva_vm_pin
 *  Returns: as kva_vm_pin, but instead of KVA_ENOSPC
 *           KVA_EDOUBLE   a frame of the range has no pin
 *  Cost:    as kva_vm_pin
 *  Locking: Instance
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_unpin(struct kva_vm *vm, const void *memory, size_t bytes);

/** Read the statistics of a set: free and used frames, whole free blocks, moved frames.
 *
 *  In:      frames
 *  Out:     stats  as for kva_frames_stats_read, of all zones; frames that have no bookkeeping yet count as
 *                  free
 *  Returns: KVA_OK, or KVA_ENULL when frames or stats is NULL
 *  Cost:    O(n / 512), n being the set's frames
 *  Locking: Instance
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_frames_stats_read(const struct kva_vm_frames *frames,
                                                 struct kva_frames_stats *stats);

/** Draw a set, a character for each block: see kva_frames_picture. Blocks that were never in use are not
 *  drawn.
 *
 *  In:      frames
 *           line     called for each line; it must not call the instance
 *           context  passed to it
 *  Returns: KVA_OK, or KVA_ENULL when frames or line is NULL
 *  Cost:    O(n / 512), n being the set's frames
 *  Locking: Instance
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_frames_picture(const struct kva_vm_frames *frames, kva_dump_line *line,
                                              void *context);

#ifdef __cplusplus
}
#endif

#endif
