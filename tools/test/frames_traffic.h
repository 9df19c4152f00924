/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Random traffic on one frame set: what a worker does, operation by operation. See frames_traffic.c.
 */
#ifndef KVA_TOOLS_TEST_FRAMES_TRAFFIC_H
#define KVA_TOOLS_TEST_FRAMES_TRAFFIC_H

#include "../common/rng.h"
#include "frames_table.h"

#include <pthread.h>

/** The operations, by their place in traffic_rows. */
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

/** A record of frames that a worker has: a run, or a range that it has taken out of the set. It is the one
 *  reference to the run: compaction changes `first`. So the lock is held while the record is used; to
 *  change hands, records do, not what is in them. */
struct traffic_held {
    atomic_bool locked;
    bool is_movable;
    uint32_t owner;    /* whose number the words hold; OWNER_OFFLINE: out of the set */
    uint32_t contents; /* of the first frame; the next one has one more, and so on */
    uint64_t first;
    uint64_t count; /* 0: nothing */
};

/** Where runs change hands. Each place has a lock. */
#define TRAFFIC_EXCHANGE 64

/** What the function that moves runs keeps: no two threads may be in it at once. */
struct traffic_moves {
    atomic_bool inside;
    struct rng rng;
    uint64_t runs; /* that were moved */
    uint64_t frames;
};

struct traffic {
    struct traffic_table table;
    struct kva_frames *frames;
    struct traffic_held *held; /* all records: those of the slots, then those in the exchange */
    size_t held_count;
    struct traffic_held *exchange[TRAFFIC_EXCHANGE];
    pthread_mutex_t lock[TRAFFIC_EXCHANGE];
    struct traffic_moves moves;
    atomic_bool failed; /* all workers end at their next operation */
    pthread_mutex_t fault_lock;
    char fault[FRAMES_FAULT]; /* the first; "" without one */
};

struct traffic_worker {
    struct traffic *traffic;
    struct rng rng;
    uint32_t owner; /* its number, from 1 */
    bool fills;     /* it takes more than it gives, or the other way round */
    size_t slots;
    size_t at; /* the slot that the operation is about; its record is locked */
    struct traffic_held **held;
    uint64_t done[TRAFFIC_KINDS];
    uint64_t refused[TRAFFIC_KINDS]; /* for want of free frames, or since frames were in use */
};

/** Remember a fault, printf-style, unless there was one before, and stop the traffic. Always false. */
bool traffic_fail(struct traffic *traffic, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Fail unless the status of a call is the one that it has to be. `first` and `count`: the frames that it
 *  was about. */
bool traffic_expect(struct traffic *traffic, const char *call, uint64_t first, uint64_t count,
                    enum kva_status status, enum kva_status wanted);

/** Do one operation. False: something was wrong, see the fault. */
bool traffic_step(struct traffic_worker *worker);

/** Give back what is held, if anything, or put it into the set again. The caller has the record's lock. */
bool traffic_give(struct traffic *traffic, struct traffic_held *held);

/** Whether kva_frames_check finds nothing. */
bool traffic_check(struct traffic *traffic);

#endif
