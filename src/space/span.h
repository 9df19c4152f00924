/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Spans: what the pools (pool.h) are filled from.
 *
 *      SPAN  |ooo|ooo|ooo|ooo| ... |ooo|ooo|rest|            objects of one size, side by side
 *            start                              start + span_bytes
 *
 * A span is a block of span_bytes, aligned to its size. The tree holds it as a busy segment, of which the
 * rest at the end has been given back at once. It is cut into OBJECTS of one exact size, each in one of these
 * states:
 *
 *      gone       it is the tree's business again: free there, or part of any segment
 *      free       in the span, for refills               changes under the space's lock
 *      deferred   waits for a flush, in an epoch         changes under the space's lock
 *      live       handed out                             an atomic word; with a CPU's lock or the space's
 *      pooled     in a magazine: none of the above
 *
 *         gone <---- free <------> pooled <------> live ----> deferred ----> free
 *              drain     refill, spill    take, give    defer          flush
 *
 * A span is AT HOME with one CPU, whose refills look there first. So what two CPUs hand out comes to lie in
 * different spans, though it was mixed once, and the lines that taking and giving write stay where they are.
 * A CPU that has no span of a size asks one other, in turn, for one that it can spare, before it makes one.
 * (Hoard, Berger et al. 2000, moves blocks that are half empty between its heaps for the same two ends.)
 *
 * WHY A DOUBLE FREE BY TWO THREADS IS SEEN. Giving back begins with an atomic step that clears the word
 * `live` and returns what it was. Of two threads one finds that it was set, and goes on; the other one finds
 * out why it was not. Taking needs no such step, only a store: what lies in a magazine belongs to one CPU.
 *
 * THE DIRECTORY finds the span that covers an address, in O(1): a hash table by span number with open
 * addressing. It is written under the space's lock; a thread that gives a range back reads it under its CPU's
 * lock alone. That is right because:
 *   1. A slot goes from empty to a span to TAKEN OUT (a span at no address) and to a span again, but never
 *      back to empty. So the slots that a search passes on the way to a span stay passable for as long as the
 *      span is there.
 *   2. A span is complete before it is put in (release), and is read after it was found (acquire).
 *   3. A grown table is filled before it takes the place of the old one; the old one stays as it was,
 *      readable, until the space ends (all of them together are no larger than the last).
 *   4. A thread that gives back a live object got it after its span was put in, so it sees the table that has
 *      the span; and the span stays while an object of it is live.
 *   5. A thread that gives back what is not its own may find a span that is just being taken out, but not one
 *      whose memory serves another already: such memory waits in LIMBO until every CPU's lock has been seen
 *      free once. A search that began before has ended by then. Nothing in a span in limbo is live: nothing
 *      can be given back to it.
 *   6. Looking up a live object needs no more: its place and size do not change while its span is there. Its
 *      owner is written (release) before it becomes live, and read (acquire) between two looks at `live`. If
 *      both find it set, the owner is that of a life that the second look has seen: had the object been given
 *      back and taken again in between, then a thread that reads the new owner also sees the word that was
 *      cleared before it, or set after it. An owner that is set during a life is seen, or the one before.
 *   7. What the tree tells a lookup without the space's lock is a user's, not a piece of a span, if the
 *      directory has no span there at the same moment. Spans and the tree change together, in a COMPOUND
 *      change (enter.h); a lookup that met one begins anew.
 *
 * COUNTS are of quanta, not of bytes: all 2^64 addresses are 2^64 bytes, which no count can tell from none.
 * In quanta of two bytes or more they are 2^63 at most; and of one byte no host has memory for the 2^54 spans
 * that cover them. What leaves this folder is bytes, saturated.
 *
 * INVARIANT, beside those of engine.h, with all locks held:
 *   I8  Every object is in one state. One that is not gone lies in a busy segment of the tree, one in a
 *       magazine is in no other. What the pools count is what a walk over spans and magazines counts, and no
 *       CPU holds more than its share.
 *
 * MEMORY. Spans come from node caches on the address map's ledger; a span that was given back is reused when it
 * has left limbo.
 */
#ifndef KVA_SPACE_SPAN_H
#define KVA_SPACE_SPAN_H

#include "../base/bits.h"
#include "../base/list.h"
#include "../base/nodes.h"
#include "core.h"
#include "enter.h"

enum {
    KVA_POOL_QUANTA =
        256, /* the largest object: a quarter of the largest span, so that a span serves four at least */
    KVA_SPAN_QUANTA = 4 * KVA_POOL_QUANTA,
    /* A refill or a spill moves half a magazine. 16 objects share one hold of the space's lock, which costs
     * some 100 ns with what comes with it: below 10 ns for each. More would help little, and keep more from
     * others. */
    KVA_MAGAZINE = 32,
    KVA_BATCH = KVA_MAGAZINE / 2,
    /* What a CPU holds when all its magazines are full, in quanta: the bound of a pool without one. It fits
     * 21 bits. */
    KVA_HELD_MOST = KVA_MAGAZINE * (KVA_POOL_QUANTA * (KVA_POOL_QUANTA + 1) / 2),
    KVA_EMPTY_SPANS = 2, /* wholly free ones that are kept: one that is filled and one that is emptied */
    KVA_DECAY = 64, /* a CPU's refills and spills between two looks at whether another one has gone idle */
    KVA_SPAN_KINDS = 3, /* descriptors for up to 32, 128 and 1024 objects */
};

/** What is written whenever an object is taken or given back: both on one line. */
struct kva_object_state {
    _Atomic(void *) owner;
    _Atomic uint32_t live; /* 1 or 0; a word, since not every machine can swap less */
};

/** Two lines where pointers have 64 bits: what every use of an object reads, and what changes with the space
 *  locked. A write to the second does not take the first away from other CPUs. */
struct kva_span {
    uint64_t start;
    uint64_t bytes;                 /* of an object */
    struct kva_object_state *state; /* of each object */
    uint16_t quanta;
    uint16_t count;    /* objects, in any state */
    uint32_t home;     /* the CPU on whose list it is when it has free objects */
    uint64_t *is_free; /* bit i of each of these: object i is in this state */
    uint64_t *is_gone;
    uint64_t *is_deferred[KVA_EPOCHS];

    /** On its home's `with_free` of its size, if it has free objects; in limbo. */
    _Alignas(KVA_LINE) struct kva_list link;

    /** On the pools' `deferred_spans`, if it has objects deferred in the epoch. */
    struct kva_list deferred_link[KVA_EPOCHS];
    uint32_t free;
    uint32_t gone;
    uint32_t deferred[KVA_EPOCHS];
};

struct kva_object {
    struct kva_span *span;
    uint32_t index;
};

struct kva_magazine {
    uint32_t count;
    struct kva_object object[KVA_MAGAZINE]; /* the one to go out next is the last */
};

/** One CPU's pool. */
struct kva_cpu {
    _Alignas(KVA_LINE) struct kva_lock lock;
    uint32_t held;          /* quanta in the magazines: at most KVA_HELD_MOST */
    uint64_t live_quanta;   /* taken here, less what was given back here, modulo 2^64; */
    uint64_t live_segments; /*   summed over all CPUs, what is live */
    uint32_t uses;
    uint32_t uses_seen;   /* at the last look whether it is idle */
    uint32_t events;      /* refills and spills */
    uint32_t next_victim; /* the magazine that is the next to give way when the CPU holds all that it may */
    struct kva_magazine *magazine[KVA_POOL_QUANTA];

    /* Under the space's lock. */
    struct kva_list with_free[KVA_POOL_QUANTA]; /* the spans at home here that have free objects, by size */
    uint32_t spans_with_free;                   /* on all of these lists */
    uint32_t next_host;                         /* the CPU to ask next for a span, when there is none here */
};

_Static_assert(offsetof(struct kva_cpu, lock) == 0, "a CPU's record begins with its lock");

struct kva_directory {
    size_t mask;
    size_t used;                /* slots that are not empty */
    struct kva_directory *next; /* of those in limbo, or of the spare ones */
    _Atomic(struct kva_span *) slot[];
};

/** As with a span: what every call reads, and after it what changes with the space locked. */
struct kva_pools {
    uint64_t span_bytes;
    unsigned span_shift;
    unsigned quantum_shift;
    uint32_t span_quanta;
    uint32_t most_quanta; /* of an object */
    unsigned cpus;
    bool owners; /* whether they are kept */
    struct kva_cpu *cpu;
    uint32_t share; /* of the bound, for each CPU, in quanta: at most KVA_HELD_MOST */
    _Atomic(struct kva_directory *) directory;
    struct kva_span taken_out;

    size_t spans;
    struct kva_nodes span_nodes[KVA_SPAN_KINDS];
    struct kva_nodes magazine_nodes;
    struct kva_list deferred_spans[KVA_EPOCHS];
    struct kva_list limbo;                   /* spans that a search may still read */
    struct kva_directory *old_directories;   /* in limbo, too */
    struct kva_directory *spare_directories; /* that no search reads any more */
    uint32_t empty_spans;
    uint32_t next_victim;
    uint64_t tree_segments; /* of what the tree counts as busy: those that are spans */
    uint64_t quanta;        /*   and their quanta: all objects that are not gone */
    uint64_t objects;       /* that are not gone */
    uint64_t deferred_segments[KVA_EPOCHS];
    uint64_t deferred_quanta;
    /* To be added to what the CPUs count as live, modulo 2^64: what ended with the space's lock counts
     * down. */
    uint64_t moved_quanta;
    uint64_t moved_segments;
};

static inline struct kva_object_state *state_of_object(const struct kva_object *object)
{
    return &object->span->state[object->index];
}

static inline bool object_is_live(const struct kva_object *object)
{
    return atomic_load_explicit(&state_of_object(object)->live, memory_order_acquire) != 0;
}

static inline void *object_owner(const struct kva_object *object)
{
    return atomic_load_explicit(&state_of_object(object)->owner, memory_order_acquire);
}

static inline uint64_t object_start(const struct kva_object *object)
{
    return object->span->start + object->index * object->span->bytes;
}

/** The bytes of so many quanta, saturated. */
static inline uint64_t bytes_of_quanta(const struct kva_pools *pools, uint64_t quanta)
{
    return shift_saturated(quanta, pools->quantum_shift);
}

/** The pool of the CPU that the caller probably runs on, locked. */
static inline struct kva_cpu *cpu_lock(const struct kva_space *space)
{
    struct kva_cpu *cpu = cpu_here(locks_of(space));

    lock_take(&cpu->lock, threads_of(space));
    return cpu;
}

static inline void cpu_unlock(const struct kva_space *space, struct kva_cpu *cpu)
{
    lock_drop(&cpu->lock, threads_of(space));
}

/* All that follows needs the space's lock, unless a comment names another. */

/** Empty pools for a space with one CPU or more. */
void kva_spans_init(struct kva_pools *pools, struct kva_ledger *ledger);

/** The span that covers an address; NULL when none does. With the space's lock, or a CPU's. */
struct kva_span *kva_span_find(const struct kva_pools *pools, uint64_t address);

/** Take up to `most` free objects of a size for a CPU, making spans as needed; how many there are. */
uint32_t kva_spans_take(struct kva_space *space, struct kva_cpu *cpu, uint32_t quanta,
                        struct kva_object *objects, uint32_t most);

/** An object that is in no other state becomes free; what is wholly free may go back to the tree. */
void kva_span_give(struct kva_space *space, const struct kva_object *object);

/** Give all that is wholly free back to the tree: never takes memory. */
void kva_spans_trim(struct kva_space *space);

/** Give every free object back to the tree. KVA_OK, or KVA_ENOMEM when some are left. */
enum kva_status kva_spans_break_up(struct kva_space *space);

/** Make a live object an ordinary busy segment. KVA_OK; or KVA_EDOUBLE (it is live no more), KVA_ENOMEM:
 *  nothing was done. */
enum kva_status kva_span_move_to_tree(struct kva_space *space, const struct kva_object *object);

/** Whether anything is in limbo: spans that were taken out of the directory, or directories that were replaced. */
bool kva_spans_in_limbo(const struct kva_pools *pools);

/** The memory of what is in limbo may be used again. */
void kva_spans_end_limbo(struct kva_pools *pools);

/** The object of a span that holds an address, gone or not; false if none does. With the space's lock, or a
 *  CPU's. */
bool kva_object_at(const struct kva_pools *pools, uint64_t address, struct kva_object *object);

/** The lowest object deferred in an epoch that starts at or above an address; false when there is none. It
 *  looks at every span that has objects deferred in the epoch. */
bool kva_spans_next_deferred(const struct kva_pools *pools, unsigned epoch, uint64_t from,
                             struct kva_object *object);

/** The object, not gone, that holds an address; the space may have no pools. */
static inline bool kva_pool_object(const struct kva_space *space, uint64_t address, struct kva_object *object)
{
    const struct kva_pools *pools = pools_of(space);

    return pools && kva_object_at(pools, address, object) &&
           !bit_is_set(object->span->is_gone, object->index);
}

/** A live object is live no more: false if it was not. Its next state is up to the caller. With the space's
 *  lock, or a CPU's. */
static inline bool object_clear_live(const struct kva_space *space, const struct kva_object *object)
{
    sync_point(threads_of(space));
    return atomic_exchange_explicit(&state_of_object(object)->live, 0, memory_order_acq_rel) != 0;
}

/** The busy segment that starts there becomes an ordinary one, if it is an object. KVA_OK; or KVA_EDOUBLE,
 *  KVA_ENOMEM as of kva_span_move_to_tree. */
static inline enum kva_status leave_pool(struct kva_space *space, uint64_t start)
{
    struct kva_object object;

    return kva_pool_object(space, start, &object) ? kva_span_move_to_tree(space, &object) : KVA_OK;
}

/** object_clear_live, and it is counted out of what is live on CPUs. */
bool kva_object_count_out(const struct kva_space *space, const struct kva_object *object);

/** What is live, all CPUs summed, with all locks held. */
struct kva_live {
    uint64_t segments;
    uint64_t quanta;
};

struct kva_live kva_pools_live(const struct kva_space *space);

#endif
