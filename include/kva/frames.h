/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva/frames.h: page frames, for kernels, hypervisors, unikernels and managers of device memory.
 *
 * A FRAME is a page of memory, known by its number. A FRAME SET allocates frames: one, a naturally aligned
 * group of 2^order, or any number of consecutive ones. It covers ZONES, each a half-open interval [start,
 * end) of frame numbers on one NUMA node, with HOLES where there is no memory:
 *
 *      zone 0, node 0                                           zone 1, node 1
 *      | block 0   | block 1   | block 2   |    hole   | block |          | block 0   | block 1   |
 *      0x0         0x200       0x400       0x600       0x800  0x9c0       0x100000    0x100200    0x100400
 *
 * A BLOCK (a pageblock) is an aligned group of 2^block_order frames, 512 by default: the size of a huge page.
 * Small requests fill blocks that are already in use, so that whole blocks stay free for large requests.
 * Movable and unmovable frames are kept in separate blocks.
 *
 *      static struct kva_frames_zone zone = {.start = 0, .end = 1 << 20};          4 GiB of 4 KiB frames
 *      struct kva_frames_config config = {.zones = &zone, .zone_count = 1, .memory = kva_memory_host()};
 *      struct kva_frames *frames;
 *      uint64_t first;
 *
 *      if (kva_frames_create(&config, &frames) == KVA_OK) {
 *          struct kva_frames_request request = {.order = 3, .type = KVA_MOVABLE};  8 frames, aligned to 8
 *          if (kva_frames_alloc(frames, &request, &first) == KVA_OK)
 *              kva_frames_free(frames, first);
 *          kva_frames_destroy(frames);
 *      }
 *
 * The set never touches the frames themselves. All bookkeeping lies in memory that the caller supplies: 2.18
 * bits a frame in blocks of 512, two of them the state of the frame. A free by number alone distinguishes the
 * start of a run, its inside and a free frame, and each wrong free has its own status.
 *
 * CONVENTIONS are those of kva/kva.h: the object first, then inputs, then outputs; outputs are written only
 * on KVA_OK unless the function's comment says otherwise; a status other than KVA_OK means that nothing has
 * changed.
 *   Units     Frame numbers and counts are in frames. Numbers run from 0 to 2^64 - 2.
 *   RUN       The frames that one request took: consecutive, and in one zone.
 *   n         In a Cost row: the number of blocks in all zones. A step over one block counts as O(1),
 *             whatever block_order is.
 *   Locking   In a Locking row,
 *               Blocks  with kva_frames_config.threads, any thread may call at any time: the call locks the
 *                       blocks that it changes, each for some ten instructions. Calls for different blocks do
 *                       not wait for each other. Without threads, one thread at a time may use the set;
 *               All     as Blocks, and it stops all other calls on the set while it runs;
 *               Sole    no other call on the same set may run;
 *               None    takes no lock: any thread may call at any time.
 */
#ifndef KVA_FRAMES_H
#define KVA_FRAMES_H

#include <kva/kva.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kva_frames;

/** No frame has this number. */
#define KVA_NO_FRAME UINT64_MAX

/* ------------------------------------------------------------------------------------- create and destroy */

/** A zone: the frames [start, end) of one node. */
struct kva_frames_zone {
    uint64_t start;
    uint64_t end;  /* above start; at most 2^64 - 1 */
    unsigned node; /* 0 .. KVA_FRAMES_NODES - 1 */
};

/** Consecutive frames. */
struct kva_frames_range {
    uint64_t first;
    uint64_t count;
};

/** Result of a move. */
enum kva_frames_moved {
    KVA_FRAMES_MOVED = 0,  /* the contents are at the new place, and all references refer to it */
    KVA_FRAMES_PINNED = 1, /* the run stays for long: a device uses it, or the new place does not suit it */
    KVA_FRAMES_BUSY = 2,   /* the run stays this time */
    KVA_FRAMES_GONE = 3    /* it has no references: it has been freed, is about to be, or is not in use yet */
};

/** Move the run of `count` movable frames at `from` to the frames at `to`: copy the contents, and change all
 *  references. The frames at `to` belong to this function until it returns.
 *
 *  The owner of a frame removes its own references before it calls kva_frames_free. Under the lock that
 *  protects the references, this function checks whether the run is in use. If not, it touches nothing and
 *  returns KVA_FRAMES_GONE. A run is not in use yet while the call that takes it has not returned.
 *  `to` lies in the same zone. It has the alignment of `from`, up to the run's length rounded up to a power
 *  of two. The set does not remember larger alignments and windows of the request: return KVA_FRAMES_PINNED
 *  where `to` does not suit.
 *  The only lock of the set that is held lets one thread at a time compact. The function may call the set. A
 *  request from inside it does not compact, and kva_frames_compact returns KVA_EREENTRY. It must not wait for
 *  another thread that compacts. */
typedef enum kva_frames_moved kva_frames_move(void *context, uint64_t from, uint64_t to, uint64_t count);

#define KVA_FRAMES_ZONES 1024 /* the most zones of a set */
#define KVA_FRAMES_NODES 64   /* the most nodes */
#define KVA_FRAMES_CPUS 4095  /* the most CPUs that hold blocks */

/** The largest block_order: blocks of 8192 frames. */
#define KVA_FRAMES_BLOCK_ORDER 13

/** Configuration of a set. Zero-initialise it, then set at least `zones`, `zone_count` and `memory`. */
struct kva_frames_config {
    /** Zones that do not overlap, in any order of addresses. Of equally near zones, a request takes the one
     *  that is first here; put memory that every device can reach last. struct kva_frames_request lists the
     *  exceptions. Two zones may share a block: each keeps its own part. A zone has at most 2^32 - 2
     *  blocks. */
    const struct kva_frames_zone *zones;
    size_t zone_count; /* 1 .. KVA_FRAMES_ZONES */

    /** Frames of the zones that do not exist, in any order. Holes may overlap, and may span adjacent zones.
     *  kva_frames_online adds their frames later. */
    const struct kva_frames_range *holes;
    size_t hole_count;

    /** 1 .. KVA_FRAMES_BLOCK_ORDER; 0 stands for 9. Below 6, a block takes as much bookkeeping as one of 64
     *  frames. */
    unsigned block_order;

    /** The distance from node `from` to node `to` is distances[from * node_count + to], in any unit. NULL:
     *  all other nodes are equally far. A node is nearest to itself, whatever its entry is. */
    const unsigned char *distances;
    unsigned node_count; /* with distances: above every zone's node, at most KVA_FRAMES_NODES */

    struct kva_memory memory; /* called once, for kva_frames_bytes bytes */

    /** The number of CPUs that hold blocks of their own, 1 .. KVA_FRAMES_CPUS. Two of them do not write to
     *  the same cache lines while each takes from its own blocks. 0 stands for threads->cpus, or 1. Without
     *  threads: 1. */
    unsigned cpus;
    const struct kva_threads *threads; /* NULL: one thread at a time, and no lock */

    kva_frames_move *move; /* NULL: frames are never moved */
    void *move_context;

    kva_hook *on_misuse;     /* NULL: only the status reports misuse */
    kva_hook *on_corruption; /* NULL: stop the program by a trap instruction */
    void *hook_context;
};

/** Compute how much memory a set takes.
 *
 *  In:      config  as for kva_frames_create
 *  Returns: bytes; 0 if kva_frames_create would refuse the configuration, or if they exceed SIZE_MAX
 *  Cost:    O(zones (zones + holes))
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API size_t kva_frames_bytes(const struct kva_frames_config *config);

/** Create a set in which every frame outside the holes is free.
 *
 *  In:      config  not referred to after the call, except for what threads, memory and hooks point to
 *  Out:     frames  the set
 *  Returns: KVA_OK
 *           KVA_ENULL    config, frames, zones, memory.take, memory.give or a function of threads other than
 *                        point is NULL, or holes is NULL with hole_count > 0
 *                        (for this status and the next three, the misuse hook receives the field:
 *                        "zones[i].end" ...)
 *           KVA_EINVAL   block_order, zone_count, cpus, node_count or a zone's node is out of range
 *           KVA_ERANGE   a zone is empty or has too many blocks; a hole is empty or has a frame that lies in
 *                        no zone
 *           KVA_EEXIST   two zones overlap
 *           KVA_ENOMEM   no memory
 *  Cost:    O(zones (zones nodes + holes + CPUs) + n + h), h being the blocks that each hole reaches over
 *  Locking: None
 *  Failure: all memory is given back
 */
KVA_API enum kva_status kva_frames_create(const struct kva_frames_config *config, struct kva_frames **frames);

/** Destroy a set and give its memory back, even if frames are in use.
 *
 *  In:      frames  afterwards a dangling pointer
 *  Returns: KVA_OK, or KVA_ENULL when frames is NULL
 *  Cost:    one give
 *  Locking: Sole
 *  Failure: cannot fail
 */
KVA_API enum kva_status kva_frames_destroy(struct kva_frames *frames);

/* ------------------------------------------------------------------------------------- allocate and free */

/** Whether the contents of frames can be moved. */
enum kva_frames_type {
    KVA_UNMOVABLE = 0, /* they stay where they are: page tables, buffers of devices, a kernel's objects */
    KVA_MOVABLE = 1    /* the owner can change all references to them */
};

enum kva_frames_flags {
    KVA_FRAMES_THIS_NODE = 1, /* from the request's node and from no other */
    KVA_FRAMES_COMPACT = 2    /* if free memory is fragmented, move frames out of the way: see COMPACTION */
};

/** A request. Zero-initialised, it asks for one unmovable frame.
 *
 *  The set first searches all zones for room in blocks of the request's type and in unused blocks, except
 *  blocks that other CPUs hold: first the zones of the request's node, then nearer nodes before farther ones.
 *  Only if no zone has such room does it search all zones again: first with the blocks that CPUs held,
 *  then in blocks of the other type, then for runs over several blocks. */
struct kva_frames_request {
    unsigned order; /* 2^order frames, their first number a multiple of 2^order; 0 .. 63 */
    unsigned node;  /* the node to search first; it need not have zones */
    uint64_t count; /* 0: 2^order frames. Else that many consecutive frames, and order is 0 */
    uint64_t align; /* the first number is a multiple of this power of two; 0 stands for 1 */
    uint64_t min;   /* the window, both ends included, in which all the frames lie. */
    uint64_t max;   /*   min = max = 0 stands for all frames. A device's mask is a max */
    enum kva_frames_type type;
    unsigned flags; /* of enum kva_frames_flags */
};

/** Allocate a run of frames.
 *
 *  Which of the frames that satisfy a request are taken is undefined: each CPU takes from its own blocks.
 *
 *  In/Out:  frames
 *  In:      request  see struct kva_frames_request
 *  Out:     first    the number of the first frame
 *  Returns: KVA_OK
 *           KVA_ENOSPC    at one moment of the call no such frames were free, in any CPU's blocks. While a
 *                         thread compacts, runs under way are in use twice: see COMPACTION
 *           KVA_ENULL     frames, request or first is NULL
 *           KVA_EINVAL    order is above 63; order and count are both given; type or flags has an unknown
 *                         value; node is above the largest node of a zone or, with distances, not below
 *                         node_count
 *           KVA_EALIGN    align is neither 0 nor a power of two
 *           KVA_EWINDOW   min > max, or the window and the zones do not meet
 *                         (for these four, the misuse hook receives the field)
 *  Cost:    O(1) from the block that the CPU holds for such requests. Else O(zones + log n) for a request by
 *           order up to block_order, and O(log n) for each zone in which it finds nothing; a block that was
 *           taken from in another way (in a window, as a given range) may be searched in vain once. Other
 *           shapes: O(b) on top if one block holds the run, where b counts the blocks whose largest free
 *           group may be a quarter of its length or more, and that have no place for it; else O(n + c / 64),
 *           c being the count. A request that finds nothing, or asks for more than a block, makes all CPUs
 *           give up the blocks that they hold: O(CPUs zones)
 *  Locking: Blocks. A request that finds nothing in the block that its CPU holds takes the lock of its CPU;
 *           one that would fail, or asks for more than a block, takes those of all CPUs
 *  Failure: nothing was allocated
 */
KVA_API enum kva_status kva_frames_alloc(struct kva_frames *frames, const struct kva_frames_request *request,
                                         uint64_t *first);

/** Allocate many runs of the same shape, all or none: the fastest way to get many single frames.
 *
 *  In/Out:  frames
 *  In:      request  as for kva_frames_alloc
 *           runs     how many; 0: nothing is done
 *  Out:     firsts   the first number of each run; on failure, undefined
 *  Returns: as kva_frames_alloc, and KVA_ENULL when firsts is NULL and runs is not 0. KVA_ENOSPC: at some
 *           moment of the call, fewer were free
 *  Cost:    a lock for each block that single frames are taken from; other shapes as `runs` calls of
 *           kva_frames_alloc
 *  Locking: as kva_frames_alloc
 *  Failure: all allocated runs are freed; meanwhile other requests may have failed for lack of them. Blocks
 *           that held unmovable ones may count as unmovable until nothing is in use in them, and
 *           changed_blocks, strayed_runs and elsewhere_runs keep what they counted
 */
KVA_API enum kva_status kva_frames_alloc_many(struct kva_frames *frames,
                                              const struct kva_frames_request *request, size_t runs,
                                              uint64_t *firsts);

/** Reserve a given range as one run, if all of it is free.
 *
 *  In/Out:  frames
 *  In:      first     the range
 *           count     1 ..
 *           type      of the run
 *  Out:     obstacle  on KVA_EEXIST the lowest frame of the range that is in use; may be NULL
 *  Returns: KVA_OK
 *           KVA_EEXIST   part of it is in use, or is room that was taken for a run under way: see COMPACTION
 *           KVA_ENULL    frames is NULL
 *           KVA_EINVAL   type has an unknown value
 *           KVA_ESIZE    count is 0
 *           KVA_EWRAP    first + count exceeds 2^64 - 1
 *           KVA_ERANGE   it does not lie in one zone, or meets a hole. Where it meets both a hole and a frame
 *                        in use, the lower one decides: KVA_ERANGE or KVA_EEXIST
 *  Cost:    O(log zones + CPUs + count / 64), and O(log n) for each block
 *  Locking: Blocks, those of the range together, and the locks of all CPUs
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_frames_reserve(struct kva_frames *frames, uint64_t first, uint64_t count,
                                           enum kva_frames_type type, uint64_t *obstacle);

/** Free a run.
 *
 *  In/Out:  frames
 *  In:      first   the number of its first frame
 *  Returns: KVA_OK          the run is free. One that is being moved becomes free when the moves under way
 *                           end, and so does the room that was taken for it: see COMPACTION
 *           KVA_ENULL       frames is NULL
 *           KVA_EUNKNOWN    first lies outside the zones or in a hole
 *           KVA_EINTERIOR   first lies inside a run, not at its start
 *           KVA_EDOUBLE     first is free already, or has been freed while it is being moved
 *  Cost:    O(log zones + c / 64) for a run of c frames; O(log n) on top for each block that becomes eligible
 *           for further requests
 *  Locking: Blocks, those of the run together. Never waits for a move
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_frames_free(struct kva_frames *frames, uint64_t first);

/** Free many runs.
 *
 *  In/Out:  frames
 *  In:      firsts  the first numbers; fastest in the order in which kva_frames_alloc_many returned them
 *           runs    how many
 *  Out:     done    how many have been freed, whatever the call returns; may be NULL
 *  Returns: KVA_OK, or what kva_frames_free returns for the first wrong one; KVA_ENULL when frames or, with
 *           runs > 0, firsts is NULL
 *  Cost:    a lock for each sequence of single frames in one block; else as `runs` calls of kva_frames_free
 *  Locking: as kva_frames_free
 *  Failure: the runs before firsts[*done] have been freed; that one and all after it are unchanged
 */
KVA_API enum kva_status kva_frames_free_many(struct kva_frames *frames, const uint64_t *firsts, size_t runs,
                                             size_t *done);

/** Free part of a run. The rests before and after it become runs of their own.
 *
 *  In/Out:  frames
 *  In:      first   the part
 *           count   1 ..
 *  Returns: KVA_OK
 *           KVA_ENULL      frames is NULL
 *           KVA_ESIZE      count is 0
 *           KVA_EWRAP      first + count exceeds 2^64 - 1
 *           KVA_EUNKNOWN   first lies outside the zones or in a hole
 *           KVA_EDOUBLE    first is free already
 *           KVA_ERANGE     the part reaches beyond the run that first lies in
 *           KVA_EBUSY      the run is being moved: try again
 *  Cost:    as kva_frames_free; never takes memory
 *  Locking: Blocks, those of the part together, with the block before a part that begins with a block and the
 *           block after a part that ends with one
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_frames_free_range(struct kva_frames *frames, uint64_t first, uint64_t count);

/** Divide a run into single frames: each becomes a run of its own. (Linux calls this split_page.) Nothing
 *  becomes free.
 *
 *  In/Out:  frames
 *  In:      first   the number of its first frame
 *  Returns: KVA_OK          (also for a run of one frame)
 *           KVA_ENULL       frames is NULL
 *           KVA_EUNKNOWN    first lies outside the zones or in a hole
 *           KVA_EINTERIOR   first lies inside a run, not at its start
 *           KVA_EDOUBLE     first is free already, or has been freed while it is being moved
 *           KVA_EBUSY       the run is being moved: try again
 *  Cost:    O(log zones + c / 64) for a run of c frames; never takes memory
 *  Locking: Blocks, those of the run together. Never waits for a move
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_frames_split(struct kva_frames *frames, uint64_t first);

/* --------------------------------------------------------------------------------------------- compaction */

/** COMPACTION. Fragmented free memory is of no use to a request for a whole block. Compaction moves the
 *  frames of blocks with few frames in use into blocks with many, until whole blocks are free:
 *
 *      before   | #.#..#.. | ####.### | .#...... | ##.####. |
 *      after    | ........ | ######## | ........ | ######## | + 1 frame elsewhere
 *
 *  Only blocks with movable frames alone take part. In each, only the frames that lie in both the block and
 *  its zone are considered. A run that reaches over the end of its block stays where it is; only an
 *  evacuation moves it.
 *
 *  Triggers           A request with KVA_FRAMES_COMPACT that finds no room compacts directly, until there is
 *                     room or nothing more to gain.
 *                     A program can call kva_frames_compact in slices: from a helper thread, or before it
 *                     needs large memory.
 *  When it helps      A lower bound of the fragmentation index (kva_frames_fragmentation) decides. It is
 *                     computed from the number of free frames in each block and the largest free group there.
 *                     Nothing is moved where it is not above 0 (memory is short, and not fragmented), or for
 *                     a window without a whole block.
 *                     A request for more than a block needs consecutive blocks, which the index does not
 *                     reflect. For it, the suitable blocks with the fewest used frames are evacuated, if
 *                     enough frames are free in the zone; in each zone, pinned runs are avoided three times.
 *                     After a direct compaction that did not help, the next 1, 3, 7 ... 63 requests of that
 *                     order or a larger one do not compact.
 *  One at a time      One thread at a time compacts a set. A request waits for its turn.
 *  Runs under way     A compaction moves up to 32 runs together, each in one block; an evacuation one run of
 *                     any length. Until all of them have been moved, each is in use twice: at its old place,
 *                     and as the room that was taken for it. Meanwhile other requests may find too little
 *                     free, and given ranges may be in use; kva_frames_find and the statistics report two
 *                     runs. A run that is freed meanwhile becomes free, with its room, when these moves
 *                     end. */

/** Result of a call of kva_frames_compact. */
struct kva_frames_compacted {
    uint64_t moved_runs;
    uint64_t moved_frames;
    uint64_t freed_blocks; /* blocks that became wholly free */
    uint64_t pinned_runs;  /* runs whose move returned KVA_FRAMES_PINNED or KVA_FRAMES_BUSY */
    bool is_finished;      /* nothing more can be gained at present; false where `most` was reached */
};

/** For kva_frames_compact: free as many blocks as possible, not just one group. A block that a pinned or busy
 *  run keeps in use provides room for others, and another block is emptied in its place. Each call tries such
 *  runs again. */
#define KVA_FRAMES_ALL_BLOCKS UINT32_MAX

/** Move frames until there is a free group of an order, or as many free blocks as possible. `most` limits the
 *  call.
 *
 *  In/Out:  frames
 *  In:      zone    its index in kva_frames_config.zones, or KVA_FRAMES_ALL_ZONES: until one of them has the
 *                   group
 *           order   0 .. block_order, or KVA_FRAMES_ALL_BLOCKS
 *           most    frames to move in this call: the run that reaches this number is the last one. Only moved
 *                   frames count. 0: none is moved; UINT64_MAX: no limit
 *  Out:     done    written on KVA_OK; may be NULL
 *  Returns: KVA_OK         see done->is_finished
 *           KVA_ENOENT     the set has no move function
 *           KVA_ENULL      frames is NULL
 *           KVA_EINVAL     there is no such zone; order is out of range
 *           KVA_EREENTRY   called from inside the move function
 *  Cost:    as kva_frames_drain; O(n) for the zones, 8 bytes for each block, but O(n block_order) where many
 *           frames are in use in the blocks to be emptied, or many blocks cannot be emptied, and O(n
 *           block_order log n) where pinned runs keep many; then for each move O(log n), and the cost of the
 *           move
 *  Locking: Blocks; waits for a compaction under way. Takes the locks of all CPUs at the beginning, for
 *           kva_frames_drain
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_frames_compact(struct kva_frames *frames, size_t zone, unsigned order,
                                           uint64_t most, struct kva_frames_compacted *done);

/** Move all frames out of a given range, and reserve it as one run.
 *
 *  In/Out:  frames
 *  In:      first, count, type   as for kva_frames_reserve
 *  Out:     obstacle  on KVA_EBUSY and KVA_ENOSPC the lowest frame that could not be moved; may be NULL
 *  Returns: KVA_OK
 *           KVA_EBUSY      a frame is not movable, is pinned or busy, or is about to be freed. If a used
 *                          frame of the range lies in a block with unmovable ones, nothing is moved, and the
 *                          obstacle is that frame
 *           KVA_ENOSPC     there is no room in the zone, outside the range, for a run that is in the way
 *           KVA_ENOENT     the set has no move function, and something is in the way
 *           KVA_EREENTRY   called from inside the move function, and something is in the way
 *           KVA_ENULL, KVA_EINVAL, KVA_ESIZE, KVA_EWRAP   as kva_frames_reserve
 *           KVA_ERANGE     the range does not lie in one zone, or meets a hole before any unmovable frame
 *  Cost:    as kva_frames_reserve if nothing is in the way. Else
 *           O(CPUs zones + count / 64) and, for each block and each move, O(log n), and the cost of the
 *           moves; a move for which no block of movable frames has room costs as kva_frames_alloc in a window
 *  Locking: Blocks, those of a run together, and the locks of all CPUs at the beginning; waits for a
 *           compaction under way
 *  Failure: the range is unchanged, except for runs that have been moved out of it
 */
KVA_API enum kva_status kva_frames_evacuate(struct kva_frames *frames, uint64_t first, uint64_t count,
                                            enum kva_frames_type type, uint64_t *obstacle);

/* --------------------------------------------------------------------------- memory that comes and goes */

/** Take free frames out of the set: they become a hole.
 *
 *  In/Out:  frames
 *  In:      first     the range
 *           count     1 ..
 *  Out:     obstacle  on KVA_EBUSY the lowest frame of the range that is in use; may be NULL
 *  Returns: KVA_OK
 *           KVA_EBUSY    part of it is in use, or is room that was taken for a run under way: see COMPACTION
 *           KVA_ENULL, KVA_ESIZE, KVA_EWRAP, KVA_ERANGE   as kva_frames_reserve, with KVA_EBUSY instead of
 *                        KVA_EEXIST
 *  Cost:    O(log zones + CPUs + count / 64), and O(log n) for each block
 *  Locking: Blocks, those of the range together, and the locks of all CPUs
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_frames_offline(struct kva_frames *frames, uint64_t first, uint64_t count,
                                           uint64_t *obstacle);

/** Add memory in a hole: its frames become free.
 *
 *  In/Out:  frames
 *  In:      first     the range
 *           count     1 ..
 *  Out:     obstacle  on KVA_EEXIST the lowest frame of the range that is in the set already; may be NULL
 *  Returns: KVA_OK
 *           KVA_EEXIST   part of it is in the set already
 *           KVA_ENULL, KVA_ESIZE, KVA_EWRAP   as kva_frames_reserve
 *           KVA_ERANGE   it does not lie in one zone
 *  Cost:    O(log zones + CPUs + count / 64), and O(log n) for each block
 *  Locking: Blocks, those of the range together, and the locks of all CPUs
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_frames_online(struct kva_frames *frames, uint64_t first, uint64_t count,
                                          uint64_t *obstacle);

/** Make all CPUs give up the blocks that they hold, so that any CPU can take from them.
 *
 *  In/Out:  frames
 *  Returns: KVA_OK, or KVA_ENULL when frames is NULL
 *  Cost:    O(CPUs zones), and O(log n) for each block that is given up
 *  Locking: Blocks, and the locks of all CPUs
 *  Failure: cannot fail
 */
KVA_API enum kva_status kva_frames_drain(struct kva_frames *frames);

/* ----------------------------------------------------------------------------------------- look and count */

enum kva_frames_state {
    KVA_FRAMES_FREE = 0,
    KVA_FRAMES_USED = 1,
    KVA_FRAMES_ABSENT = 2 /* a hole */
};

/** What is at a number. */
struct kva_frames_found {
    enum kva_frames_state state;
    uint64_t first; /* used: the run. Else: the consecutive frames of its block and zone in that state */
    uint64_t count;
    enum kva_frames_type type; /* of its block; KVA_MOVABLE where the block is unused */
    size_t zone;               /* the index of its zone in kva_frames_config.zones */
    unsigned node;
};

/** Find what is at a number. A run under way is in use at both of its places, even if it has been freed:
 *  see COMPACTION.
 *
 *  In:      frames
 *           frame   any
 *  Out:     found
 *  Returns: KVA_OK
 *           KVA_ENOENT   no zone holds the number
 *           KVA_ENULL    frames or found is NULL
 *  Cost:    O(log zones + c / 64) for a run of c frames
 *  Locking: Blocks, those of the run together
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_frames_find(const struct kva_frames *frames, uint64_t frame,
                                        struct kva_frames_found *found);

/** All zones: for kva_frames_compact, kva_frames_stats_read and kva_frames_orders_read. */
#define KVA_FRAMES_ALL_ZONES SIZE_MAX

/** Statistics of a zone, or of the set. */
struct kva_frames_stats {
    uint64_t free_frames;
    uint64_t used_frames;   /* of a run under way both places: see COMPACTION */
    uint64_t absent_frames; /* in holes */
    uint64_t blocks;
    uint64_t free_blocks;      /* all frames of which are free; never a block with a hole in it */
    uint64_t movable_blocks;   /* in use, with movable frames only */
    uint64_t unmovable_blocks; /* all others in use: until nothing is in use in them */
    uint64_t held_blocks;      /* held by CPUs; counted above as well */
    /** How often a movable block in use became an unmovable one: because nothing else was left, for a given
     *  range, or for a run of more frames than a block has. */
    uint64_t changed_blocks;
    /** How often a movable run was put into an unmovable block, for the same reasons. */
    uint64_t strayed_runs;
    uint64_t moved_runs; /* by compaction */
    uint64_t moved_frames;
    uint64_t elsewhere_runs; /* how often a run was taken from another node than the request's */
    uint64_t memory_bytes;   /* held for bookkeeping; of the whole set */
};

/** Read the statistics.
 *
 *  In:      frames
 *           zone    its index in kva_frames_config.zones, or KVA_FRAMES_ALL_ZONES
 *  Out:     stats
 *  Returns: KVA_OK
 *           KVA_ENULL    frames or stats is NULL
 *           KVA_EINVAL   there is no such zone
 *  Cost:    O(n + CPUs zones), whichever zone: all blocks are locked
 *  Locking: All, so that the sums are exact
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_frames_stats_read(const struct kva_frames *frames, size_t zone,
                                              struct kva_frames_stats *stats);

/** Free frames by order: the number of naturally aligned free groups of 2^order frames. Each frame counts in
 *  the largest group that it is part of; groups of whole blocks count as blocks. */
struct kva_frames_orders {
    unsigned block_order;                           /* orders 0 .. block_order are in use below */
    uint64_t unmovable[KVA_FRAMES_BLOCK_ORDER + 1]; /* in blocks with unmovable frames */
    uint64_t movable[KVA_FRAMES_BLOCK_ORDER + 1];   /* in blocks with movable frames only */
    uint64_t unused[KVA_FRAMES_BLOCK_ORDER + 1];    /* in blocks that are not in use */
};

/** Count the free frames by order.
 *
 *  In:      frames
 *           zone    its index in kva_frames_config.zones, or KVA_FRAMES_ALL_ZONES
 *  Out:     orders
 *  Returns: KVA_OK
 *           KVA_ENULL    frames or orders is NULL
 *           KVA_EINVAL   there is no such zone
 *  Cost:    O(n + CPUs), whichever zone, and O(g) for g free groups
 *  Locking: All
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_frames_orders_read(const struct kva_frames *frames, size_t zone,
                                               struct kva_frames_orders *orders);

/** The share of the free memory that a request of an order cannot use, because it lies in smaller groups.
 *  (The measure of Linux's /sys/kernel/debug/extfrag/unusable_index.)
 *
 *  In:      orders  as read
 *           order   0 .. orders->block_order
 *  Returns: 0 (all is usable) to 1000 (none is); 0 when nothing is free or orders is NULL; 1000 for a larger
 *           order
 *  Cost:    O(order)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API unsigned kva_frames_unusable(const struct kva_frames_orders *orders, unsigned order);

/** Why a request of an order fails: towards 0 memory is short, towards 1000 it is fragmented and compaction
 *  would help. (Linux's extfrag_index: 1 - (1 + F / 2^order) / (number of groups), F being the free frames.)
 *
 *  In:      orders  as read
 *           order   0 .. orders->block_order
 *  Returns: 0 to 1000, or -1 if such a request would not fail, orders is NULL, or order is larger
 *  Cost:    O(order)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API int kva_frames_fragmentation(const struct kva_frames_orders *orders, unsigned order);

/* ---------------------------------------------------------------------------------------- text and checks */

/** Write the free groups of each zone by type and order, similar to Linux's files buddyinfo and pagetypeinfo:
 *
 *      zone 0 node 0 frames 0x0-0xfffff: 1048576 present, 786432 free, 0 absent
 *      zone 0 unmovable      12      3      1      0      2 ...     blocks 3
 *      zone 0 movable       ...
 *      zone 0 unused        ...
 *      zone 0 unusable    0.000  0.001 ...
 *      zone 0 fragmented      -      - ...
 *
 *  In:      frames
 *           line     called for each line; it must not call the set
 *           context  passed to it
 *  Returns: KVA_OK, or KVA_ENULL when frames or line is NULL
 *  Cost:    O(zones (n + CPUs)), and O(g) for g free groups
 *  Locking: All, twice for each zone; not while `line` is called
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_frames_dump(const struct kva_frames *frames, kva_dump_line *line, void *context);

/** Draw a zone, a character for each block, 64 to a line:
 *
 *      0x0000000000000000 UUUu4MMMMMm731................................................:::
 *
 *      .  unused      M       movable, full
 *      :  a hole      m       movable, nine tenths used or more
 *                     1 .. 8  movable, so many tenths used (0: less than one)
 *                     U       unmovable, full
 *                     u       unmovable, in part
 *      In a block with a hole, only the frames that exist count.
 *
 *  In:      frames
 *           zone     its index in kva_frames_config.zones
 *           line     called for each line; it must not call the set
 *           context  passed to it
 *  Returns: KVA_OK
 *           KVA_ENULL    frames or line is NULL
 *           KVA_EINVAL   there is no such zone
 *  Cost:    O(zones + n), n being the zone's
 *  Locking: Blocks, one by one: concurrent changes may or may not be drawn
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_frames_picture(const struct kva_frames *frames, size_t zone, kva_dump_line *line,
                                           void *context);

/** Verify every invariant of the set: docs/theory/frames.md lists them.
 *
 *  In:      frames
 *  Out:     fault   on KVA_ECORRUPT: which invariant is broken, and at which frame; may be NULL
 *  Returns: KVA_OK
 *           KVA_ECORRUPT   see fault; the corruption hook is not called
 *           KVA_ENULL      frames is NULL
 *  Cost:    O(n + CPUs)
 *  Locking: All
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_frames_check(const struct kva_frames *frames, struct kva_fault *fault);

/* ------------------------------------------------------------------------------------------------- forks */

/** Before a fork of a program with threads: lock all of the set, so that it is consistent in the child. In
 *  the three handlers of pthread_atfork, call these three for each set that the child will use. Without
 *  threads they do nothing.
 *
 *  It waits for moves under way, unless the move function calls it. A lock that the move function takes must
 *  be taken AFTER this call: otherwise the move waits for the lock, and the fork for the move. (Prepare
 *  handlers run in the reverse order of their registration: register the lock's handlers first.)
 *
 *  In/Out:  frames
 *  Returns: KVA_OK, and the set is locked; or KVA_ENULL when frames is NULL
 *  Cost:    O(n + CPUs)
 *  Locking: All; waits for a compaction under way; held until the fork is over
 *  Failure: cannot fail
 */
KVA_API enum kva_status kva_frames_fork_prepare(struct kva_frames *frames);

/** After a fork, in the parent: release the locks of kva_frames_fork_prepare.
 *
 *  In/Out:  frames
 *  Returns: KVA_OK, or KVA_ENULL when frames is NULL
 *  Cost:    O(n + CPUs)
 *  Locking: releases all locks that kva_frames_fork_prepare took
 *  Failure: cannot fail
 */
KVA_API enum kva_status kva_frames_fork_parent(struct kva_frames *frames);

/** After a fork, in the child, which has no other threads: reset the locks of kva_frames_fork_prepare.
 *
 *  In/Out:  frames
 *  Returns: KVA_OK, or KVA_ENULL when frames is NULL
 *  Cost:    O(n + CPUs)
 *  Locking: releases all locks that kva_frames_fork_prepare took
 *  Failure: cannot fail
 */
KVA_API enum kva_status kva_frames_fork_child(struct kva_frames *frames);

#ifdef __cplusplus
}
#endif

#endif
