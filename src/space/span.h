/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Spans: the blocks of objects from which the pools (pool.h) are filled.
 *
 *      SPAN  |ooo|ooo|ooo|ooo| ... |ooo|ooo|rest|            objects of one size, side by side
 *            start                              start + span_bytes
 *
 * A span is a block of span_bytes, aligned to its size. The tree holds it as a busy segment; the rest at the
 * end is freed at once. It is divided into OBJECTS of one exact size, each in one of these states:
 *
 *      gone       back in the tree: free there, or part of any segment
 *      free       in the span, for refills               changes under the space's lock
 *      deferred   waits for a flush, in an epoch         changes under the space's lock
 *      live       allocated                              an atomic word; under a CPU's lock or the space's
 *      pooled     in a magazine: none of the above
 *
 *         gone <---- free <------> pooled <------> live ----> deferred ----> free
 *              drain     refill, spill   alloc, free    defer          flush
 *
 * A span is AT HOME with one CPU, whose refills look there first. So the objects that two CPUs allocate come
 * to lie in different spans, even if they were mixed, and the cache lines that allocating and freeing write
 * stay with one CPU. A CPU that has no span of a size asks one other CPU, in turn, for a span that it can
 * spare, before it makes one.
 *
 * INVARIANT, beside those of engine.h, with all locks held:
 *
 *   I8  Every object is in one state. One that is not gone lies in a busy segment of the tree. The pools'
 *       counts are what a walk over spans and magazines counts, and no CPU holds more than its share.
 *
 * DOUBLE FREES BY TWO THREADS are detected. A free begins with an atomic exchange that clears the word `live`
 * and returns its old value: one of the two threads finds it set, and the other reports the misuse. An
 * allocation needs only a store, because an object in a magazine belongs to one CPU.
 *
 * THE DIRECTORY finds the span that covers an address, in O(1): a hash table by span number with open
 * addressing. It is written under the space's lock. A thread that frees a range, or looks one up, reads it
 * under its CPU's lock alone. That is right because:
 *
 *   1. A slot changes from empty to a span, to TAKEN OUT (a span at no address), and to a span again, but
 *      never back to empty. So no slot that a search passes on the way to a span becomes empty while the span
 *      is there.
 *   2. A span is complete before it is inserted (release), and is read after it was found (acquire).
 *   3. A new table is filled before it replaces the old one (release). The slots of the old one stay as they
 *      are, and readable, while it is in LIMBO: until a thread with the space's lock has held every CPU's
 *      lock, at once or one after the other. A search that held one of these locks before that thread has
 *      ended by then; one that takes it after that thread sees the new table.
 *   4. A thread that frees a live object received it after its span was inserted, so it sees a table that has
 *      the span; and the span stays while an object of it is live.
 *   5. A thread that frees or looks up any other range may find a span that has been taken out, but not one
 *      whose memory serves another span: such memory waits in limbo as well. No object of a span in limbo is
 *      live, so none can be freed.
 *
 * lookup.h has the proofs for lookups.
 *
 * COUNTS are in quanta, not in bytes: all 2^64 addresses are 2^64 bytes, which a count cannot tell from 0.
 * With quanta of two bytes or more they are 2^63 at most; with quanta of one byte, no host has memory for the
 * 2^54 spans that cover them. Public results are in bytes, saturated.
 *
 * MEMORY. Spans come from node caches on the address map's ledger. The memory of spans and tables is reused
 * once it has left limbo. A table is made only if no replaced one is large enough, so there are at most two
 * of one size. If the only one that is large enough is in limbo, no span is made: free objects of other CPUs'
 * spans serve the request, or the tree.
 *
 * SOURCE. Spans of objects of one size, found by address: S. Ghemawat and P. Menage, TCMalloc. Blocks that
 * have a home, and move when they are half empty: E. Berger et al., "Hoard", 2000. Hashing by a multiple of
 * the golden ratio: D. E. Knuth, The Art of Computer Programming, volume 3, section 6.4.
 */
#ifndef KVA_SPACE_SPAN_H
#define KVA_SPACE_SPAN_H

#include "../base/bits.h"
#include "../base/list.h"
#include "../base/nodes.h"
#include "core.h"
#include "enter.h"

enum {
    /** The largest object: a quarter of the largest span, so that a span has at least four. */
    KVA_POOL_QUANTA = 256,
    KVA_SPAN_QUANTA = 4 * KVA_POOL_QUANTA,
    /* A refill or a spill moves half a magazine. 16 objects share one hold of the space's lock, which costs
     * some 100 ns with all that it involves: below 10 ns for each. Larger magazines would gain little, and
     * keep more ranges from other CPUs. */
    KVA_MAGAZINE = 32,
    KVA_BATCH = KVA_MAGAZINE / 2,
    /* What a CPU holds with all magazines full, in quanta: the largest share. It fits 21 bits. */
    KVA_HELD_MOST = KVA_MAGAZINE * (KVA_POOL_QUANTA * (KVA_POOL_QUANTA + 1) / 2),
    KVA_EMPTY_SPANS = 2, /* wholly free ones that are kept: one being filled and one being emptied */
    KVA_DECAY = 64,      /* a CPU's refills and spills between two looks for an idle CPU */
    KVA_SPAN_KINDS = 3,  /* descriptors for up to 32, 128 and 1024 objects */
};

/** Every allocation and free of an object writes here: both members are on one cache line. */
struct kva_object_state {
    _Atomic(void *) owner;
    _Atomic uint32_t live; /* 1 or 0; a word, because not every machine can exchange less */
};

/** Two cache lines where pointers have 64 bits: what every use of an object reads, and what changes under the
 *  space's lock. A write to the second does not take the first away from other CPUs. */
struct kva_span {
    uint64_t start;
    uint64_t bytes;                 /* size of an object */
    struct kva_object_state *state; /* of each object */
    uint16_t quanta;
    uint16_t count;    /* objects, in any state */
    uint32_t home;     /* the CPU that lists it while it has free objects */
    uint64_t *is_free; /* bit i of a row: object i is in this state */
    uint64_t *is_gone;
    uint64_t *is_deferred[KVA_EPOCHS];

    /** On its home's `with_free` of its size while it has free objects; or in limbo. */
    _Alignas(KVA_LINE) struct kva_list link;

    /** On the pools' `deferred_spans` while it has objects deferred in the epoch. */
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
    struct kva_object object[KVA_MAGAZINE]; /* the last one is allocated next */
};

/** The pool of one CPU. */
struct kva_cpu {
    _Alignas(KVA_LINE) struct kva_lock lock;
    uint32_t held; /* quanta in the magazines: at most KVA_HELD_MOST */
    /** Allocated here less freed here, modulo 2^64. The sums over all CPUs, plus moved_quanta and
     *  moved_segments, count the live objects. */
    uint64_t live_quanta;
    uint64_t live_segments;
    uint32_t uses;        /* allocations and frees here */
    uint32_t uses_seen;   /* at the last look for an idle CPU */
    uint32_t events;      /* refills and spills */
    uint32_t next_victim; /* the next magazine to spill when the CPU holds its share */
    struct kva_magazine *magazine[KVA_POOL_QUANTA];

    /* Protected by the space's lock. */
    struct kva_list with_free[KVA_POOL_QUANTA]; /* the spans at home here that have free objects, by size */
    uint32_t spans_with_free;                   /* on all of these lists */
    uint32_t next_host;                         /* the CPU to ask next for a span, if there is none here */
};

_Static_assert(offsetof(struct kva_cpu, lock) == 0, "a CPU's record begins with its lock");

struct kva_directory {
    size_t mask;
    size_t used;                /* slots that are not empty */
    struct kva_directory *next; /* in the list of old or of spare ones */
    _Atomic(struct kva_span *) slot[];
};

/** As in a span: first what every call reads, then what changes under the space's lock. */
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
    struct kva_directory *old_directories;   /* replaced ones that a search may still read */
    struct kva_directory *spare_directories; /* replaced ones that no search reads */
    uint32_t empty_spans;
    uint32_t next_victim;
    uint64_t tree_segments; /* busy segments of the tree that hold objects */
    uint64_t quanta;        /* and their quanta: all objects that are not gone */
    uint64_t objects;       /* that are not gone */
    uint64_t deferred_segments[KVA_EPOCHS];
    uint64_t deferred_quanta;
    /* Added to the CPUs' counts of live objects, modulo 2^64: objects that are freed or moved under the
     * space's lock count down here. */
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

/** The bytes of a number of quanta, saturated. */
static inline uint64_t bytes_of_quanta(const struct kva_pools *pools, uint64_t quanta)
{
    return shift_saturated(quanta, pools->quantum_shift);
}

/** The pool of the current CPU, locked. */
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

/* The functions below require the space's lock, unless a comment names another. */

/** Initialise the pools' spans. There is one CPU or more. */
void kva_spans_init(struct kva_pools *pools, struct kva_ledger *ledger);

/** The span that covers an address; NULL: none. Requires the space's lock, or a CPU's. */
struct kva_span *kva_span_find(const struct kva_pools *pools, uint64_t address);

/** Take up to `most` free objects of a size for a CPU, making spans as needed; returns their number. */
uint32_t kva_spans_take(struct kva_space *space, struct kva_cpu *cpu, uint32_t quanta,
                        struct kva_object *objects, uint32_t most);

/** Make an object free that is in no other state. Its segment of the tree may be freed if all objects in it
 *  are free. */
void kva_span_give(struct kva_space *space, const struct kva_object *object);

/** Give all wholly free spans back to the tree. Takes no memory. */
void kva_spans_trim(struct kva_space *space);

/** Give every free object back to the tree. KVA_OK; KVA_ENOMEM if some are left. */
enum kva_status kva_spans_break_up(struct kva_space *space);

/** Move a live object to the tree, as a busy segment of its own. KVA_OK; or KVA_EDOUBLE (it is no longer
 *  live), KVA_ENOMEM: nothing has changed. */
enum kva_status kva_span_move_to_tree(struct kva_space *space, const struct kva_object *object);

/** Whether spans that were taken out, or tables that were replaced, are in limbo. */
bool kva_spans_in_limbo(const struct kva_pools *pools);

/** Let the memory of spans and tables in limbo be reused. Requires that every CPU's lock has been held since
 *  they came there (THE DIRECTORY, point 3). */
void kva_spans_end_limbo(struct kva_pools *pools);

/** The object of a span, gone or not, that holds an address; false if there is none. object->span is NULL if
 *  no span covers the address. Requires the space's lock, or a CPU's. */
bool kva_object_at(const struct kva_pools *pools, uint64_t address, struct kva_object *object);

/** The lowest object deferred in an epoch that starts at or above an address; false if there is none. O(spans
 *  that have objects deferred in the epoch). */
bool kva_spans_next_deferred(const struct kva_pools *pools, unsigned epoch, uint64_t from,
                             struct kva_object *object);

/** The object, not gone, that holds an address; false if there is none, or no pools. */
static inline bool kva_pool_object(const struct kva_space *space, uint64_t address, struct kva_object *object)
{
    const struct kva_pools *pools = pools_of(space);

    return pools && kva_object_at(pools, address, object) &&
           !bit_is_set(object->span->is_gone, object->index);
}

/** End the state live of an object; false if it was not live. The caller chooses its next state. Requires the
 *  space's lock, or a CPU's. */
static inline bool object_clear_live(const struct kva_space *space, const struct kva_object *object)
{
    sync_point(threads_of(space));
    return atomic_exchange_explicit(&state_of_object(object)->live, 0, memory_order_acq_rel) != 0;
}

/** Move the busy segment that starts at `start` to the tree, if it is an object. KVA_OK; or KVA_EDOUBLE,
 *  KVA_ENOMEM of kva_span_move_to_tree. */
static inline enum kva_status leave_pool(struct kva_space *space, uint64_t start)
{
    struct kva_object object;

    return kva_pool_object(space, start, &object) ? kva_span_move_to_tree(space, &object) : KVA_OK;
}

/** object_clear_live, and count the object out of the live ones. */
bool kva_object_count_out(const struct kva_space *space, const struct kva_object *object);

/** The live objects, counted over all CPUs. Requires all locks. */
struct kva_live {
    uint64_t segments;
    uint64_t quanta;
};

struct kva_live kva_pools_live(const struct kva_space *space);

#endif
