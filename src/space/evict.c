/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Evictions: which busy segments must be freed so that a request fits (kva/evict.h).
 *
 * RUNS. The candidates are in a tree by address. A RUN is a maximal range of candidates and of free addresses
 * between and beside them: the hole that would arise if all candidates were freed.
 *
 *      | busy | free |  1  | free |  3  |  2  | busy | free |  4  | deferred |
 *             |<------- a run ------------->|        |<- a run -->|
 *                    low          .     high         low = high
 *
 * INVARIANT. The lowest and the highest candidate of a run hold the run's range and a pointer to each other.
 * Inner candidates need not: a new candidate is busy, so it lies in no run. It joins the runs that it
 * touches, and those that only a hole separates from it.
 *
 *      add 5:    low ... high  | free |  5  | free |  low ... high      the left high and the right low
 *                low ......................................... high     become inner candidates
 *
 * COST. O(log candidates + log n) for each candidate, plus the filter: only the run of the new candidate has
 * grown, so the request fits there or nowhere (docs/theory/policies.md, "Evictions").
 *
 * CHANGES BETWEEN TWO CALLS may leave a run wider or narrower than the hole that would arise.
 * kva_evict_finish checks every segment again, under the lock, and returns KVA_EAGAIN if one is neither free
 * nor a candidate as it was added. No other decision depends on a run: a wrong one costs a call, and breaks
 * nothing.
 *
 * SOURCE. The scan (feed candidates until the request fits, then list those that must go) is modelled on that
 * of the range manager of Linux's graphics drivers (drm_mm). Policies, shapes and windows in it, the runs and
 * the check at the end are our own. The code was written afresh.
 */
#include "../base/rbtree.h"
#include "pool.h"
#include "verify.h"

#include <kva/evict.h>

enum {
    EVICTION_ADDING, /* also the stage of a zeroed eviction, which has no space */
    EVICTION_FOUND,
    EVICTION_OVER,
};

/* ------------------------------------------------------------------------------- the tree of candidates */

static inline struct kva_candidate *candidate_of(struct kva_rb_node *node)
{
    return node ? kva_container_of(node, struct kva_candidate, node) : NULL;
}

static inline struct kva_candidate *candidate_beside(const struct kva_candidate *candidate,
                                                     enum kva_rb_side side)
{
    return candidate_of(kva_rb_neighbour(&candidate->node, side));
}

static inline struct kva_candidate *lowest_candidate(const struct kva_eviction *eviction)
{
    return candidate_of(kva_rb_outermost(&(struct kva_rb_tree){eviction->root, NULL}, KVA_RB_LEFT));
}

/** The highest candidate that starts at or below an address; NULL: none. */
static struct kva_candidate *candidate_below(const struct kva_eviction *eviction, uint64_t address)
{
    struct kva_candidate *below = NULL;
    struct kva_rb_node *node = eviction->root;

    while (node) {
        struct kva_candidate *candidate = candidate_of(node);
        bool is_below = candidate->start <= address;
        if (is_below)
            below = candidate;
        node = node->child[is_below ? KVA_RB_RIGHT : KVA_RB_LEFT];
    }
    return below;
}

/** Insert a candidate between its two neighbours in the tree, either of which may be NULL. One of them has no
 *  child on this side. */
static void insert_candidate(struct kva_eviction *eviction, struct kva_candidate *candidate,
                             struct kva_candidate *below, struct kva_candidate *above)
{
    struct kva_rb_tree tree = {eviction->root, NULL};

    if (below && !below->node.child[KVA_RB_RIGHT])
        kva_rb_insert(&tree, &candidate->node, &below->node, KVA_RB_RIGHT);
    else
        kva_rb_insert(&tree, &candidate->node, above ? &above->node : NULL, KVA_RB_LEFT);
    eviction->root = tree.root;
}

/* ----------------------------------------------------------------------------------------------- runs */

struct eviction_run {
    uint64_t start;
    uint64_t last;
    struct kva_candidate *low; /* the lowest and the highest candidate */
    struct kva_candidate *high;
};

/** Whether the run of a candidate extends above it. */
static bool goes_on_above(const struct kva_candidate *candidate)
{
    return !candidate->other || candidate->other->start > candidate->start;
}

static inline bool is_free_or_pooled(const struct kva_segment *segment)
{
    return segment->state == KVA_FREE || segment->state == KVA_POOLED;
}

/** Extend a run downwards as far as it reaches: join the run below where the two touch, else include free
 *  addresses. The ends that meet become inner candidates. */
static void extend_down(const struct kva_space *space, struct eviction_run *run)
{
    struct kva_candidate *below = candidate_beside(run->low, KVA_RB_LEFT);
    struct kva_segment segment;

    while (run->start > space->map->first) {
        if (below && below->run_last >= run->start - 1) {
            run->start = below->run_start;
            run->low->other = NULL;
            run->low = below->other;
            below->other = NULL;
            below = candidate_beside(run->low, KVA_RB_LEFT);
            continue;
        }
        kva_lookup(space, run->start - 1, &segment);
        if (!is_free_or_pooled(&segment))
            return;
        run->start = below ? max_u64(segment.start, below->run_last + 1) : segment.start;
    }
}

/** The same upwards. */
static void extend_up(const struct kva_space *space, struct eviction_run *run)
{
    struct kva_candidate *above = candidate_beside(run->high, KVA_RB_RIGHT);
    struct kva_segment segment;

    while (run->last < space->map->last) {
        if (above && above->run_start <= run->last + 1) {
            run->last = above->run_last;
            run->high->other = NULL;
            run->high = above->other;
            above->other = NULL;
            above = candidate_beside(run->high, KVA_RB_RIGHT);
            continue;
        }
        kva_lookup(space, run->last + 1, &segment);
        if (!is_free_or_pooled(&segment))
            return;
        run->last = above ? min_u64(segment.last, above->run_start - 1) : segment.last;
    }
}

static void record_run(const struct eviction_run *run)
{
    run->low->other = run->high;
    run->high->other = run->low;
    run->low->run_start = run->high->run_start = run->start;
    run->low->run_last = run->high->run_last = run->last;
}

/* ----------------------------------------------------------------------------------- what fits in a run */

/** The demand of the eviction's request in the present space, which may have grown or shrunk; false if no
 *  place can satisfy it. */
static bool eviction_demand(const struct kva_eviction *eviction, struct kva_demand *demand)
{
    struct kva_bad bad;

    if (kva_space_demand_of(eviction->space, &eviction->request, demand, &bad) != KVA_OK)
        return false;
    return demand->max - demand->min >= demand->size - 1;
}

/** Whether the request's filter admits the place in the hole [start, last]. */
static bool filter_admits(const struct kva_eviction *eviction, uint64_t start, uint64_t last)
{
    struct kva_demand demand;
    uint64_t at;

    if (!eviction->request.filter)
        return true;
    if (!eviction_demand(eviction, &demand))
        return false;
    demand.policy = KVA_LOWEST;
    demand.min = eviction->start;
    demand.max = eviction->last;
    return kva_policy_in_hole(eviction->space->map, &demand, start, last, &at);
}

/** The nearest candidate of a run that stays, below or above the range that is cleared; NULL: none. */
static struct kva_candidate *stays_below(const struct kva_eviction *eviction, const struct eviction_run *run)
{
    struct kva_candidate *candidate = candidate_below(eviction, eviction->clear_start);

    if (candidate && candidate->last >= eviction->clear_start)
        candidate = candidate_beside(candidate, KVA_RB_LEFT);
    return candidate && candidate->start >= run->start ? candidate : NULL;
}

static struct kva_candidate *stays_above(const struct kva_eviction *eviction, const struct eviction_run *run)
{
    struct kva_candidate *candidate = candidate_below(eviction, eviction->clear_last);

    candidate = candidate ? candidate_beside(candidate, KVA_RB_RIGHT) : lowest_candidate(eviction);
    return candidate && candidate->last <= run->last ? candidate : NULL;
}

/** Whether the filter admits the place between the candidates of the run that stay. */
static bool is_admitted(const struct kva_eviction *eviction, const struct eviction_run *run)
{
    const struct kva_candidate *below = stays_below(eviction, run);
    const struct kva_candidate *above = stays_above(eviction, run);

    return filter_admits(eviction, below ? below->last + 1 : run->start,
                         above ? above->start - 1 : run->last);
}

/** The filter has admitted the place in the whole run, but candidates that stay make the hole smaller. Where
 *  the filter refuses the place beside one of them, that one must go as well; of two, the lower one if that
 *  suffices. */
static void clear_for_filter(struct kva_eviction *eviction, const struct eviction_run *run)
{
    while (!is_admitted(eviction, run)) {
        const struct kva_candidate *below = stays_below(eviction, run);
        const struct kva_candidate *above = stays_above(eviction, run);
        uint64_t start = eviction->clear_start;

        if (!below && !above)
            return;
        if (below) {
            eviction->clear_start = below->start;
            if (is_admitted(eviction, run))
                return;
        }
        if (above) {
            eviction->clear_start = start;
            eviction->clear_last = above->last;
            if (is_admitted(eviction, run))
                return;
        }
        if (below)
            eviction->clear_start = below->start;
    }
}

/* ------------------------------------------------------------------------------------------ begin, add */

enum kva_status kva_evict_begin(struct kva_space *space, const struct kva_request *request,
                                struct kva_eviction *eviction)
{
    struct kva_demand demand;
    struct kva_bad bad;

    if (eviction)
        eviction->space = NULL;
    enum kva_status status = enter(space);
    if (status != KVA_OK)
        return status;
    if (!request || !eviction)
        return leave(space, misuse_null(space, __func__, 0, request ? "eviction" : "request"));
    status = kva_demand_of(space->map, request, &demand, &bad);
    if (status != KVA_OK)
        return leave(space, misuse_of(space, status, __func__, request->min, &bad));
    *eviction = (struct kva_eviction){.space = space, .request = *request, .stage = EVICTION_ADDING};
    return leave(space, KVA_OK);
}

/** Choose the place in a run, if the request fits there. */
static bool find_in_run(struct kva_eviction *eviction, const struct eviction_run *run)
{
    struct kva_demand demand;

    if (!eviction_demand(eviction, &demand) ||
        !kva_policy_in_hole(eviction->space->map, &demand, run->start, run->last, &eviction->start))
        return false;
    eviction->last = eviction->start + (demand.size - 1);
    eviction->clear_start = eviction->start;
    eviction->clear_last = eviction->last;
    eviction->stage = EVICTION_FOUND;
    clear_for_filter(eviction, run);
    return true;
}

static inline bool is_as_added(const struct kva_candidate *candidate, const struct kva_segment *segment)
{
    return candidate->start == segment->start && candidate->last == segment->last &&
           candidate->owner == segment->owner;
}

/** Make a busy segment a candidate. If it lies inside a run, it was free when the run was computed, and the
 *  run stays as it is. */
static enum kva_status add_segment(struct kva_eviction *eviction, struct kva_candidate *candidate,
                                   const struct kva_segment *segment)
{
    struct kva_candidate *below = candidate_below(eviction, segment->last);
    struct eviction_run run = {segment->start, segment->last, candidate, candidate};

    if (below && below->last >= segment->start)
        return is_as_added(below, segment) ? KVA_EEXIST : KVA_EAGAIN;
    candidate->start = segment->start;
    candidate->last = segment->last;
    candidate->owner = segment->owner;
    candidate->other = NULL;
    insert_candidate(eviction, candidate, below,
                     below ? candidate_beside(below, KVA_RB_RIGHT) : lowest_candidate(eviction));
    if (below && goes_on_above(below))
        return KVA_ENOSPC;
    extend_down(eviction->space, &run);
    extend_up(eviction->space, &run);
    record_run(&run);
    return find_in_run(eviction, &run) ? KVA_OK : KVA_ENOSPC;
}

/** Add the busy segment that starts at an address; a status of misuse if none does. */
static enum kva_status add_start(struct kva_eviction *eviction, struct kva_candidate *candidate,
                                 uint64_t start)
{
    const struct kva_space *space = eviction->space;
    struct kva_segment segment;

    if (!core_holds(space->map, start))
        return KVA_EUNKNOWN;
    kva_lookup(space, start, &segment);
    enum kva_status status = kva_status_of_start(&segment, start);
    return status == KVA_OK ? add_segment(eviction, candidate, &segment) : status;
}

/** Report that the eviction is at another stage than the call requires. */
static enum kva_status misuse_stage(const struct kva_space *space, const char *where, uint64_t address)
{
    return misuse_of(space, KVA_EINVAL, where, address, &(struct kva_bad){"eviction", 0});
}

enum kva_status kva_evict_add(struct kva_eviction *eviction, struct kva_candidate *candidate, uint64_t start)
{
    struct kva_space *space = eviction ? eviction->space : NULL;
    enum kva_status status = enter_change(space, __func__);

    if (status != KVA_OK)
        return status;
    if (!candidate)
        return leave(space, misuse_null(space, __func__, start, "candidate"));
    if (eviction->stage != EVICTION_ADDING)
        return leave(space, misuse_stage(space, __func__, start));
    status = add_start(eviction, candidate, start);
    if (is_misuse(status))
        (void)misuse(space, status, __func__, start);
    return leave(space, status);
}

/* ------------------------------------------------------------------------- the candidates that must go */

/** The candidate itself if it must go, else NULL. It does not end below the range that is cleared. */
static struct kva_candidate *if_it_must_go(const struct kva_eviction *eviction,
                                           struct kva_candidate *candidate)
{
    return candidate && candidate->start <= eviction->clear_last ? candidate : NULL;
}

struct kva_candidate *kva_evict_first(const struct kva_eviction *eviction)
{
    if (!eviction || !eviction->space || eviction->stage == EVICTION_ADDING)
        return NULL;
    struct kva_candidate *candidate = candidate_below(eviction, eviction->clear_start);
    if (!candidate)
        candidate = lowest_candidate(eviction);
    else if (candidate->last < eviction->clear_start)
        candidate = candidate_beside(candidate, KVA_RB_RIGHT);
    return if_it_must_go(eviction, candidate);
}

struct kva_candidate *kva_evict_next(const struct kva_eviction *eviction,
                                     const struct kva_candidate *candidate)
{
    if (!eviction || !candidate)
        return NULL;
    return if_it_must_go(eviction, candidate_beside(candidate, KVA_RB_RIGHT));
}

/* -------------------------------------------------------------------------------------------- the end */

/** Whether each segment of the range that is cleared is free, or a candidate as it was added. KVA_OK, and
 *  `whole` is the range with all of the segments at its ends; KVA_EAGAIN; KVA_ENOSPC if a drain has left an
 *  object in a pool for lack of memory. */
static enum kva_status verify_candidates(const struct kva_eviction *eviction, struct kva_segment *whole)
{
    const struct kva_space *space = eviction->space;
    struct kva_segment segment;

    if (!core_holds(space->map, eviction->clear_start) || !core_holds(space->map, eviction->clear_last))
        return KVA_EAGAIN;
    kva_lookup(space, eviction->clear_start, &segment);
    whole->start = segment.start;
    for (;; kva_lookup(space, segment.last + 1, &segment)) {
        if (segment.state == KVA_POOLED)
            return KVA_ENOSPC;
        if (segment.state == KVA_BUSY) {
            const struct kva_candidate *candidate = candidate_below(eviction, segment.start);
            if (!candidate || !is_as_added(candidate, &segment))
                return KVA_EAGAIN;
        } else if (segment.state != KVA_FREE) {
            return KVA_EAGAIN;
        }
        if (segment.last >= eviction->clear_last)
            break;
    }
    whole->last = segment.last;
    return KVA_OK;
}

/** Whether the filter still admits the place, in the hole that will arise. */
static bool is_still_admitted(const struct kva_eviction *eviction, const struct kva_segment *whole)
{
    const struct kva_space *space = eviction->space;
    uint64_t start = whole->start;
    uint64_t last = whole->last;
    struct kva_segment segment;

    if (!eviction->request.filter)
        return true;
    if (start > space->map->first) {
        kva_lookup(space, start - 1, &segment);
        start = segment.state == KVA_FREE ? segment.start : start;
    }
    if (last < space->map->last) {
        kva_lookup(space, last + 1, &segment);
        last = segment.state == KVA_FREE ? segment.last : last;
    }
    return filter_admits(eviction, start, last);
}

/** Free the candidates that must go, and take the place. Memory is prepared. */
static enum kva_status replace_candidates(const struct kva_eviction *eviction,
                                          const struct kva_segment *whole)
{
    const struct kva_space *space = eviction->space;
    struct kva_address_map *map = space->map;

    begin_compound(space);
    map->engine->clear(map, whole->start, whole->last);
    sync_point(threads_of(space));
    enum kva_status status = core_reserve(map, eviction->start, eviction->last, eviction->request.owner);
    check_contract(&map->ledger.hooks, status == KVA_OK, __func__, "E1: a prepared change has failed",
                   eviction->start);
    end_compound(space);
    return status;
}

static enum kva_status attempt_eviction(void *instance, void *operation)
{
    struct kva_space *space = instance;
    const struct kva_eviction *eviction = operation;
    struct kva_segment whole;
    enum kva_status status = verify_candidates(eviction, &whole);

    if (status == KVA_OK && !is_still_admitted(eviction, &whole))
        return KVA_EAGAIN;
    if (status == KVA_OK)
        status = kva_pools_leave(space, whole.start, whole.last);
    if (status == KVA_OK)
        status = space->map->engine->prepare(space->map, 1);
    return status == KVA_OK ? replace_candidates(eviction, &whole) : status;
}

enum kva_status kva_evict_finish(struct kva_eviction *eviction, uint64_t *start)
{
    struct kva_space *space = eviction ? eviction->space : NULL;
    enum kva_status status = enter_change(space, __func__);

    if (status != KVA_OK)
        return status;
    if (!start)
        return leave(space, misuse_null(space, __func__, 0, "start"));
    if (eviction->stage != EVICTION_FOUND)
        return leave(space, misuse_stage(space, __func__, 0));
    status = kva_attempt_drained(space, attempt_eviction, eviction);
    if (status != KVA_OK)
        return leave(space, status);
    eviction->stage = EVICTION_OVER;
    *start = eviction->start;
    verify_change(space, __func__, eviction->start);
    verify_change(space, __func__, eviction->last);
    return leave(space, KVA_OK);
}
