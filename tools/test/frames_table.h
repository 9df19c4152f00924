/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The frames of a shape, and the owner of each: a word for each frame number, in memory outside the allocator
 * under test. The worker that takes a run changes the words of its frames from 0 to its number, one by one,
 * with compare-and-swap; it changes them back BEFORE it frees the run. So an unexpected word means that a
 * frame was handed out twice, and it names both workers.
 *
 *      frame     0x13 0x14 0x15 0x16 0x17 0x18 ...
 *      owner        0    3    3    0    7 hole ...         worker 3 has a run of two, worker 7 a run of one
 *      holder       0   41    0    0   12    0 ...         the record of the run that begins here
 *      contents     ?   80   81    ?   23    ? ...         written by the run's owner
 *
 * Compaction moves holder and contents (frames_move.h).
 */
#ifndef KVA_TOOLS_TEST_FRAMES_TABLE_H
#define KVA_TOOLS_TEST_FRAMES_TABLE_H

#include <kva/frames.h>

#include <stdatomic.h>
#include <stdbool.h>

/** Limits of the frames of a shape, which has about as many as requested. With FRAMES_LEAST, each zone has
 *  several blocks; with FRAMES_MOST, the three words of each frame take 3 GiB. */
#define FRAMES_LEAST (UINT64_C(1) << 16)
#define FRAMES_MOST (UINT64_C(1) << 28)

#define FRAMES_SHAPES 3
#define FRAMES_ZONES_MOST 5
#define FRAMES_HOLES_MOST 6

/** Zones and holes. */
struct traffic_shape {
    const char *name;
    const char *about;
    unsigned block_order;
    unsigned node_count;
    size_t zone_count;
    size_t hole_count;
    struct kva_frames_zone zones[FRAMES_ZONES_MOST];
    struct kva_frames_range holes[FRAMES_HOLES_MOST];
};

/** Make shape number `index`, 0 .. FRAMES_SHAPES - 1, of about `frames` frames. */
void traffic_shape_make(struct traffic_shape *shape, size_t index, uint64_t frames);

/** The owner of a frame: OWNER_NONE, a worker's number from 1 on, or one of the last four. */
enum { OWNER_NONE = 0 };
#define OWNER_MOVES (UINT32_MAX - 3)   /* the destination of a move */
#define OWNER_CHECKS (UINT32_MAX - 2)  /* the checks between rounds */
#define OWNER_OFFLINE (UINT32_MAX - 1) /* a worker took it offline */
#define OWNER_HOLE UINT32_MAX          /* never part of the set */

/** Size of the description of a fault. */
#define FRAMES_FAULT 240

struct traffic_table {
    struct traffic_shape shape;
    uint64_t present; /* frames outside holes */
    /** The words of each zone, by frame number - start. */
    _Atomic uint32_t *owner[FRAMES_ZONES_MOST];
    _Atomic uint32_t *holder[FRAMES_ZONES_MOST];
    /** Not atomic: the set and the record's lock order accesses. */
    uint32_t *contents[FRAMES_ZONES_MOST];
};

/** Allocate the words. False: no memory; nothing was allocated. */
bool traffic_table_init(struct traffic_table *table, const struct traffic_shape *shape);
void traffic_table_fini(struct traffic_table *table);

/** The index of the zone that holds a frame; zone_count: none. */
size_t traffic_table_zone(const struct traffic_table *table, uint64_t frame);

/** The owner of a frame; OWNER_HOLE outside the zones. */
uint32_t traffic_table_owner(const struct traffic_table *table, uint64_t frame);

/** Change the owner of consecutive frames. False, with the reason in `fault`: they are not in one zone, or
 *  one of them has another owner than `from`; the words before that one have been changed. */
bool traffic_table_change(struct traffic_table *table, uint64_t first, uint64_t count, uint32_t from,
                          uint32_t to, char fault[FRAMES_FAULT]);

/** Of a frame in a zone: the holder of the run that begins there, and the contents. */
_Atomic uint32_t *traffic_table_holder(const struct traffic_table *table, uint64_t frame);
uint32_t *traffic_table_contents(const struct traffic_table *table, uint64_t frame);

/** The owner words of a zone, summed up while no worker runs. */
struct traffic_count {
    uint64_t free;
    uint64_t used;
    uint64_t absent;
    uint64_t longest;                            /* the most consecutive free frames */
    uint64_t groups[KVA_FRAMES_BLOCK_ORDER + 1]; /* as kva_frames_orders counts them, all types together */
};

/** Add a zone to *count, which must be all zero at first; `longest` becomes the larger one. */
void traffic_table_count(const struct traffic_table *table, size_t zone, struct traffic_count *count);

#endif
