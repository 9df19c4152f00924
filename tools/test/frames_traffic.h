/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Random traffic on one frame set: the operations of a worker. See frames_traffic.c.
 */
#ifndef KVA_TOOLS_TEST_FRAMES_TRAFFIC_H
#define KVA_TOOLS_TEST_FRAMES_TRAFFIC_H

#include "../common/rng.h"
#include "frames_table.h"

#include <pthread.h>

/** The operations. */
enum traffic_kind {
    TRAFFIC_TAKE,
    TRAFFIC_TAKE_MANY,
    TRAFFIC_RESERVE,
    TRAFFIC_GIVE,
    TRAFFIC_GIVE_MANY,
    TRAFFIC_GIVE_PART,
    TRAFFIC_SWAP,
    TRAFFIC_LOOK,
    TRAFFIC_WRONG,
    TRAFFIC_OFFLINE,
    TRAFFIC_ONLINE,
    TRAFFIC_DRAIN,
    TRAFFIC_COMPACT,
    TRAFFIC_COUNT,
    TRAFFIC_CHECK,
    TRAFFIC_KINDS
};

/** Their names, for reports. */
const char *traffic_name(enum traffic_kind kind);

/** A record of frames of a worker: a run, or a range that it took offline. It is the only reference to the
 *  run, and compaction changes `first`. So the lock is held while the record is used, and workers exchange
 *  whole records. */
struct traffic_held {
    atomic_bool locked;
    bool is_movable;
    uint32_t owner;    /* the owner in the table; OWNER_OFFLINE: out of the set */
    uint32_t contents; /* of the first frame; each next frame has one more */
    uint64_t first;
    uint64_t count; /* 0: empty */
};

/** Places where workers exchange records. Each has a lock. */
#define TRAFFIC_EXCHANGE 64

/** State of traffic_move, in which only one thread may be at a time. */
struct traffic_moves {
    atomic_bool inside;
    struct rng rng;
    uint64_t runs; /* moved */
    uint64_t frames;
};

struct traffic {
    struct traffic_table table;
    struct kva_frames *frames;
    struct traffic_held *held; /* all records: first those of the slots, then those of the exchange */
    size_t held_count;
    struct traffic_held *exchange[TRAFFIC_EXCHANGE];
    pthread_mutex_t lock[TRAFFIC_EXCHANGE];
    struct traffic_moves moves;
    atomic_bool failed; /* all workers stop before their next operation */
    pthread_mutex_t fault_lock;
    char fault[FRAMES_FAULT]; /* the first; "": none */
};

struct traffic_worker {
    struct traffic *traffic;
    struct rng rng;
    uint32_t owner; /* its number, from 1 */
    bool fills;     /* it takes more than it frees; false: less */
    size_t slots;
    size_t at; /* the slot of the operation; its record is locked */
    struct traffic_held **held;
    uint64_t done[TRAFFIC_KINDS];
    uint64_t refused[TRAFFIC_KINDS]; /* no free frames, or frames in use */
};

/** Record a fault, printf-style, unless there was one before, and stop the traffic. Always returns false. */
bool traffic_fail(struct traffic *traffic, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Fail unless `status` is `wanted`. `first` and `count`: the frames of the call. */
bool traffic_expect(struct traffic *traffic, const char *call, uint64_t first, uint64_t count,
                    enum kva_status status, enum kva_status wanted);

/** Do one operation. False: see the fault. */
bool traffic_step(struct traffic_worker *worker);

/** Free the frames of a record, if any, or take them online. The caller holds the record's lock. */
bool traffic_give(struct traffic *traffic, struct traffic_held *held);

/** Whether kva_frames_check finds no fault. */
bool traffic_check(struct traffic *traffic);

#endif
