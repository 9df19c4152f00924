/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The rb engine: an exact search for the lowest or highest fit, over two red-black trees.
 *
 * STRUCTURE. The holes are in a tree by address, augmented with the largest extent below each node, and in a
 * list by address (rb_holes.c). The segments in use are in a second tree by address. A segment keeps its node
 * of 64 bytes when it changes its state (rb_map.h).
 *
 * TAKING. A search finds the hole; the range is then cut out of it. The busy segment needs a node, and a hole
 * that vanishes leaves its own. So the number of new nodes depends on how the range FITS its hole:
 *
 *      full        |=========|      the hole vanishes; the busy segment gets its node      0 new nodes
 *      left edge   |=====|---|      the hole's start moves                                 1
 *      right edge  |---|=====|      the hole's last address moves                          1
 *      no edge     |--|====|-|      the hole keeps the part after the range; the part      2
 *                                   before it becomes a new hole
 *
 * FREEING. The node leaves the used tree and becomes a hole, or merges with adjacent holes. A descent by
 * address finds its slot among the holes; the list gives the neighbours.
 *
 * COST. A descent visits at most 2 log2(n + 1) nodes, each one cache line; a descent by size also reads the
 * line of the near child and prefetches that of the far one. An allocation is a search (rb_holes.c), a
 * propagation and a descent in the used tree; a free is a descent in each tree and a propagation.
 *
 * NOT DONE: no hint from the previous search, which would break the lowest fit; no lock.
 *
 * SOURCE. The design follows U. Rezki, "mm/vmap: keep track of free blocks for vmap allocation", 2019 (Linux,
 * mm/vmalloc.c): free blocks in a tree augmented with the largest size, and in a list by address, the search
 * for the lowest match, and the four kinds of fit. The code was written afresh; the search is exact
 * (rb_holes.c).
 */
#include "rb_map.h"

#include <kva/engine.h>

static struct rb_map *rb_of(struct kva_address_map *map)
{
    return (struct rb_map *)map;
}

static const struct rb_map *rb_of_const(const struct kva_address_map *map)
{
    return (const struct rb_map *)map;
}

static struct rb_segment *new_segment(struct rb_map *rb, uint64_t start, uint64_t last)
{
    struct rb_segment *segment = kva_nodes_pop(&rb->nodes);

    segment->start = start;
    segment->last = last;
    return segment;
}

static void add_hole(struct rb_map *rb, struct rb_segment *segment)
{
    kva_rb_holes_add(rb, segment, find_slot(&rb->holes, segment->start));
}

/** Extend a hole downwards to `start`. */
static void lower_hole_start(struct rb_map *rb, struct rb_segment *hole, uint64_t start)
{
    hole_gained(&rb->common, start, hole->last, start, hole->start - 1);
    kva_rb_hole_set_start(hole, start);
}

/** Extend a hole upwards to `last`. */
static void raise_hole_last(struct rb_map *rb, struct rb_segment *hole, uint64_t last)
{
    hole_gained(&rb->common, hole->start, last, hole->last + 1, last);
    kva_rb_hole_set_last(hole, last);
}

/* ---------------------------------------------------------------------------------------- life cycle */

static void rb_destroy(struct kva_address_map *map)
{
    end_map(map, sizeof(struct rb_map));
}

static enum kva_status rb_create(const struct kva_address_map *common, struct kva_address_map **map)
{
    struct rb_map *rb = new_map(common, sizeof *rb);

    if (!rb)
        return KVA_ENOMEM;
    kva_nodes_init(&rb->nodes, &rb->common.ledger, RB_NODE_BYTES);
    kva_rb_holes_init(rb);
    rb->used.root = NULL;
    rb->used.augment = NULL;
    for (unsigned epoch = 0; epoch < KVA_EPOCHS; epoch++)
        list_init(&rb->deferred[epoch]);
    if (!kva_nodes_ensure(&rb->nodes, 1)) {
        rb_destroy(&rb->common);
        return KVA_ENOMEM;
    }
    add_hole(rb, new_segment(rb, common->first, common->last));
    rb->common.tally.bytes[KVA_FREE] = common->last - common->first + 1;
    *map = &rb->common;
    return KVA_OK;
}

static enum kva_status rb_prepare(struct kva_address_map *map, size_t operations)
{
    if (operations > SIZE_MAX / KVA_SEGMENTS_PER_OPERATION)
        return KVA_ENOMEM;
    bool ready = kva_nodes_ensure(&rb_of(map)->nodes, operations * KVA_SEGMENTS_PER_OPERATION) &&
                 index_is_ready(map, operations);
    return ready ? KVA_OK : KVA_ENOMEM;
}

/** The hole at one end of the address map; NULL if the segment there is in use. */
static struct rb_segment *hole_at_end(const struct rb_map *rb, enum kva_rb_side side)
{
    struct kva_rb_node *link = kva_rb_outermost(&rb->holes, side);
    struct rb_segment *hole = link ? segment_of_link(link) : NULL;
    bool at_end =
        hole && (side == KVA_RB_LEFT ? hole->start == rb->common.first : hole->last == rb->common.last);

    return at_end ? hole : NULL;
}

static enum kva_status rb_extend(struct kva_address_map *map, uint64_t first, uint64_t last)
{
    struct rb_map *rb = rb_of(map);
    struct rb_segment *lowest = hole_at_end(rb, KVA_RB_LEFT);
    struct rb_segment *highest = hole_at_end(rb, KVA_RB_RIGHT);
    bool new_below = first < map->first && !lowest;
    bool new_above = last > map->last && !highest;

    if (!kva_nodes_ensure(&rb->nodes, (size_t)new_below + new_above))
        return KVA_ENOMEM;
    if (new_below)
        add_hole(rb, new_segment(rb, first, map->first - 1));
    else if (first < map->first)
        lower_hole_start(rb, lowest, first);
    if (new_above)
        add_hole(rb, new_segment(rb, map->last + 1, last));
    else if (last > map->last)
        raise_hole_last(rb, highest, last);
    map->tally.bytes[KVA_FREE] += (map->first - first) + (last - map->last);
    map->first = first;
    map->last = last;
    return KVA_OK;
}

/** Remove a hole and free its node. */
static void drop_hole(struct rb_map *rb, struct rb_segment *hole)
{
    kva_rb_holes_remove(rb, hole);
    kva_nodes_push(&rb->nodes, hole);
}

static enum kva_status rb_narrow(struct kva_address_map *map, uint64_t first, uint64_t last)
{
    struct rb_map *rb = rb_of(map);
    struct rb_segment *lowest = first > map->first ? hole_at_end(rb, KVA_RB_LEFT) : NULL;
    struct rb_segment *highest = last < map->last ? hole_at_end(rb, KVA_RB_RIGHT) : NULL;

    if (first > map->first && (!lowest || lowest->last < first - 1))
        return KVA_EBUSY;
    if (last < map->last && (!highest || highest->start > last + 1))
        return KVA_EBUSY;
    if (lowest)
        hole_lost(map, lowest->start, lowest->last, lowest->start, first - 1);
    if (lowest && lowest->last == first - 1)
        drop_hole(rb, lowest);
    else if (lowest)
        kva_rb_hole_set_start(lowest, first);
    if (highest)
        hole_lost(map, highest->start, highest->last, last + 1, highest->last);
    if (highest && highest->start == last + 1)
        drop_hole(rb, highest);
    else if (highest)
        kva_rb_hole_set_last(highest, last);
    map->tally.bytes[KVA_FREE] -= (first - map->first) + (map->last - last);
    map->first = first;
    map->last = last;
    return KVA_OK;
}

/* ----------------------------------------------------------------------------------------- used tree */

static struct rb_segment *busy_at(const struct rb_map *rb, uint64_t start)
{
    struct rb_segment *segment = floor_segment(&rb->used, start);
    bool found = segment && segment->start == start && state_of_used(segment) == KVA_BUSY;

    return found ? segment : NULL;
}

static void link_busy(struct rb_map *rb, struct rb_segment *segment, void *owner)
{
    struct rb_slot slot = find_slot(&rb->used, segment->start);

    segment->owner = rb->common.owners ? owner : NULL;
    list_clear(&segment->order);
    kva_rb_insert(&rb->used, &segment->link, slot.parent, slot.side);
    rb->common.tally.segments[KVA_BUSY]++;
}

/** Move a segment from the used tree to the holes, where `slot` is its slot. */
static void make_hole(struct rb_map *rb, struct rb_segment *segment, enum kva_state from, struct rb_slot slot)
{
    kva_tally_move_bytes(&rb->common.tally, from, KVA_FREE, extent_of(segment) + 1);
    rb->common.tally.segments[from]--;
    kva_rb_erase(&rb->used, &segment->link);
    kva_rb_holes_add(rb, segment, slot);
}

/* --------------------------------------------------------------------------------------------- taking */

enum fit { FIT_FULL, FIT_LEFT_EDGE, FIT_RIGHT_EDGE, FIT_NO_EDGE };

static enum fit classify_fit(const struct rb_segment *hole, const struct kva_place *place)
{
    if (place->start == hole->start)
        return place->last == hole->last ? FIT_FULL : FIT_LEFT_EDGE;
    return place->last == hole->last ? FIT_RIGHT_EDGE : FIT_NO_EDGE;
}

/** The new nodes that a fit needs: TAKING, above. */
static size_t nodes_for(enum fit fit)
{
    return fit == FIT_FULL ? 0 : fit == FIT_NO_EDGE ? 2 : 1;
}

/** Cut a place out of its hole. Returns its node, which is in no tree. */
static struct rb_segment *carve(struct rb_map *rb, struct rb_segment *hole, const struct kva_place *place,
                                enum fit fit)
{
    if (fit == FIT_FULL) {
        kva_rb_holes_remove(rb, hole);
        return hole;
    }
    struct rb_segment *taken = new_segment(rb, place->start, place->last);
    if (fit == FIT_RIGHT_EDGE) {
        kva_rb_hole_set_last(hole, place->start - 1);
        return taken;
    }
    uint64_t left = hole->start;
    kva_rb_hole_set_start(hole, place->last + 1);
    if (fit == FIT_NO_EDGE)
        kva_rb_holes_insert_before(rb, new_segment(rb, left, place->start - 1), hole);
    return taken;
}

static enum kva_status rb_occupy(struct kva_address_map *map, const struct kva_place *place, void *owner)
{
    struct rb_map *rb = rb_of(map);
    struct rb_segment *hole = rb->found;
    enum fit fit = classify_fit(hole, place);

    check_contract(&map->ledger.hooks, hole->start <= place->start && place->last <= hole->last, __func__,
                   "the place is not inside its hole", place->start);
    if (!kva_nodes_ensure(&rb->nodes, nodes_for(fit)) || !index_is_ready(map, 1))
        return KVA_ENOMEM;
    hole_lost(map, hole->start, hole->last, place->start, place->last);
    link_busy(rb, carve(rb, hole, place, fit), owner);
    kva_tally_move_bytes(&map->tally, KVA_FREE, KVA_BUSY, place->last - place->start + 1);
    return KVA_OK;
}

/** Level 3: a linear search over the list of holes must give the same result as the tree. */
static void compare_with_linear(const struct rb_map *rb, const struct kva_demand *demand, bool found,
                                const struct kva_place *place)
{
    uint64_t best = 0;
    bool any = false;

    for (struct kva_list *link = rb->order.next; link != &rb->order; link = link->next) {
        const struct rb_segment *hole = segment_of_order(link);
        uint64_t at;
        if (!kva_fit_in_hole(hole->start, hole->last, demand, &at))
            continue;
        if (!any || demand->policy == KVA_HIGHEST) /* the list ascends: the last one is the highest */
            best = at;
        any = true;
    }
    if (any != found || (any && best != place->start))
        kva_report_corruption(&rb->common.ledger.hooks, __func__,
                              "I4: the tree search and the linear search disagree", best);
}

static enum kva_status rb_search(struct kva_address_map *map, const struct kva_demand *demand,
                                 struct kva_place *place)
{
    struct rb_map *rb = rb_of(map);
    bool found = kva_rb_holes_search(rb, demand, place);

    if (KVA_CHECK_LEVEL >= 3)
        compare_with_linear(rb, demand, found, place);
    return found ? KVA_OK : KVA_ENOSPC;
}

static enum kva_status rb_locate(struct kva_address_map *map, uint64_t start, uint64_t last,
                                 struct kva_place *place)
{
    struct rb_map *rb = rb_of(map);
    struct rb_segment *hole = floor_segment(&rb->holes, start);

    if (!hole || hole->last < last)
        return KVA_EEXIST;
    *place = (struct kva_place){start, last, hole->start, hole->last};
    rb->found = hole;
    return KVA_OK;
}

/* ---------------------------------------------------------------------------------------------- freeing */

/** Descend both trees in lock-step, for the segment that starts at `start` and for its slot among the
 *  holes, so that the cache misses of both descents overlap. */
static enum kva_status rb_free(struct kva_address_map *map, uint64_t start)
{
    struct rb_map *rb = rb_of(map);
    struct kva_rb_node *used = rb->used.root;
    struct kva_rb_node *hole = rb->holes.root;
    struct rb_slot slot = {NULL, KVA_RB_LEFT};

    while (used && segment_of_link(used)->start != start) {
        hole = hole ? step_to_slot(&slot, hole, start) : NULL;
        used = used->child[segment_of_link(used)->start < start];
    }
    while (hole)
        hole = step_to_slot(&slot, hole, start);
    if (!used || state_of_used(segment_of_link(used)) != KVA_BUSY)
        return KVA_ENOENT;
    make_hole(rb, segment_of_link(used), KVA_BUSY, slot);
    return KVA_OK;
}

static enum kva_status rb_punch(struct kva_address_map *map, uint64_t start, uint64_t first, uint64_t last)
{
    struct rb_map *rb = rb_of(map);
    struct rb_segment *segment = busy_at(rb, start);

    if (!segment)
        return KVA_ENOENT;
    if (!kva_nodes_ensure(&rb->nodes, 2) || !index_is_ready(map, 1))
        return KVA_ENOMEM;
    link_busy(rb, new_segment(rb, last + 1, segment->last), segment->owner);
    segment->last = first - 1;
    add_hole(rb, new_segment(rb, first, last));
    kva_tally_move_bytes(&map->tally, KVA_BUSY, KVA_FREE, last - first + 1);
    return KVA_OK;
}

static enum kva_status rb_trim(struct kva_address_map *map, uint64_t start, uint64_t first)
{
    struct rb_map *rb = rb_of(map);
    struct rb_segment *segment = busy_at(rb, start);

    if (!segment)
        return KVA_ENOENT;
    struct rb_segment *before = start > map->first ? floor_segment(&rb->holes, start - 1) : NULL;
    bool touches = before && before->last == start - 1;
    if (!touches && !kva_nodes_ensure(&rb->nodes, 1))
        return KVA_ENOMEM;
    segment->start = first; /* keeps its place in the order */
    if (touches)
        raise_hole_last(rb, before, first - 1);
    else
        add_hole(rb, new_segment(rb, start, first - 1));
    kva_tally_move_bytes(&map->tally, KVA_BUSY, KVA_FREE, first - start);
    return KVA_OK;
}

/** The hole that starts at `last` + 1; NULL if there is none. */
static struct rb_segment *hole_after(const struct rb_map *rb, uint64_t last)
{
    if (last == rb->common.last)
        return NULL;
    struct rb_segment *hole = floor_segment(&rb->holes, last + 1);
    return hole && hole->start == last + 1 ? hole : NULL;
}

/** Move a segment's last address up, into the hole after it. */
static enum kva_status enlarge_segment(struct rb_map *rb, struct rb_segment *segment, uint64_t last)
{
    struct rb_segment *hole = hole_after(rb, segment->last);

    if (!hole || hole->last < last)
        return KVA_ENOSPC;
    hole_lost(&rb->common, hole->start, hole->last, hole->start, last);
    kva_tally_move_bytes(&rb->common.tally, KVA_FREE, KVA_BUSY, last - segment->last);
    segment->last = last;
    if (hole->last > last) {
        kva_rb_hole_set_start(hole, last + 1);
    } else {
        kva_rb_holes_remove(rb, hole);
        kva_nodes_push(&rb->nodes, hole);
    }
    return KVA_OK;
}

/** Move a segment's last address down; the hole after it grows, or a new one appears. */
static enum kva_status shrink_segment(struct rb_map *rb, struct rb_segment *segment, uint64_t last)
{
    struct rb_segment *hole = hole_after(rb, segment->last);

    if (!hole && !kva_nodes_ensure(&rb->nodes, 1))
        return KVA_ENOMEM;
    kva_tally_move_bytes(&rb->common.tally, KVA_BUSY, KVA_FREE, segment->last - last);
    if (hole)
        lower_hole_start(rb, hole, last + 1);
    else
        add_hole(rb, new_segment(rb, last + 1, segment->last));
    segment->last = last;
    return KVA_OK;
}

static enum kva_status rb_resize(struct kva_address_map *map, uint64_t start, uint64_t last)
{
    struct rb_map *rb = rb_of(map);
    struct rb_segment *segment = busy_at(rb, start);

    if (!segment)
        return KVA_ENOENT;
    if (last > segment->last)
        return enlarge_segment(rb, segment, last);
    return last < segment->last ? shrink_segment(rb, segment, last) : KVA_OK;
}

/** The used segment with the lowest start that is at least `address`; NULL if there is none. */
static struct rb_segment *used_from(const struct rb_map *rb, uint64_t address)
{
    struct rb_segment *segment = floor_segment(&rb->used, address);

    if (segment && segment->start == address)
        return segment;
    struct kva_rb_node *link =
        segment ? kva_rb_neighbour(&segment->link, KVA_RB_RIGHT) : kva_rb_outermost(&rb->used, KVA_RB_LEFT);
    return link ? segment_of_link(link) : NULL;
}

/** A freed segment leaves the used tree, so its successor is read first. */
static void rb_clear(struct kva_address_map *map, uint64_t first, uint64_t last)
{
    struct rb_map *rb = rb_of(map);
    struct rb_segment *next;

    for (struct rb_segment *at = used_from(rb, first); at && at->last <= last; at = next) {
        struct kva_rb_node *link = kva_rb_neighbour(&at->link, KVA_RB_RIGHT);
        next = link ? segment_of_link(link) : NULL;
        if (state_of_used(at) == KVA_BUSY)
            make_hole(rb, at, KVA_BUSY, find_slot(&rb->holes, at->start));
    }
}

static enum kva_status rb_own(struct kva_address_map *map, uint64_t start, void *owner)
{
    struct rb_segment *segment = busy_at(rb_of(map), start);

    if (!segment)
        return KVA_ENOENT;
    segment->owner = map->owners ? owner : NULL;
    return KVA_OK;
}

static enum kva_status rb_defer(struct kva_address_map *map, uint64_t start, unsigned epoch, uint64_t *last)
{
    struct rb_map *rb = rb_of(map);
    struct rb_segment *segment = busy_at(rb, start);

    if (!segment)
        return KVA_ENOENT;
    if (epoch == KVA_EPOCH_ABSENT) {
        list_init(&segment->order);
    } else {
        list_insert_before(&rb->deferred[epoch], &segment->order);
        rb_set_mark(&segment->link, epoch != 0);
    }
    kva_tally_defer(&map->tally, epoch, extent_of(segment) + 1);
    *last = segment->last;
    return KVA_OK;
}

static void rb_free_deferred(struct kva_address_map *map, unsigned epoch, uint64_t most)
{
    struct rb_map *rb = rb_of(map);

    for (; !list_is_empty(&rb->deferred[epoch]) && most > 0; most--) {
        struct rb_segment *segment = segment_of_order(rb->deferred[epoch].next);
        list_remove(&segment->order);
        map->tally.deferred[epoch]--;
        make_hole(rb, segment, KVA_DEFERRED, find_slot(&rb->holes, segment->start));
    }
}

static enum kva_status rb_undefer(struct kva_address_map *map, uint64_t start)
{
    struct rb_segment *segment = floor_segment(&rb_of(map)->used, start);

    if (!segment || segment->start != start || state_of_used(segment) != KVA_ABSENT)
        return KVA_ENOENT;
    list_clear(&segment->order);
    kva_tally_undefer(&map->tally, extent_of(segment) + 1);
    return KVA_OK;
}

/* --------------------------------------------------------------------------------------------- looking */

/** Walk the used tree, because the lists of deferred segments are not in the order of addresses. */
static enum kva_status rb_next_deferred(const struct kva_address_map *map, unsigned epoch, uint64_t from,
                                        uint64_t to, struct kva_segment *found)
{
    const struct rb_map *rb = rb_of_const(map);
    struct rb_segment *segment = floor_segment(&rb->used, from);
    const struct kva_rb_node *link =
        segment ? &segment->link : kva_rb_outermost(&rb->used, KVA_RB_LEFT); /* may start below `from` */

    for (; link && segment_of_link(link)->start <= to; link = kva_rb_neighbour(link, KVA_RB_RIGHT)) {
        segment = segment_of_link(link);
        enum kva_state state = state_of_used(segment);
        if (state != state_of_epoch(epoch) || segment->start < from ||
            (state == KVA_DEFERRED && epoch_of_deferred(segment) != epoch))
            continue;
        *found = (struct kva_segment){segment->start, segment->last, segment->owner, state};
        return KVA_OK;
    }
    return KVA_ENOENT;
}

static void rb_lookup(const struct kva_address_map *map, uint64_t address, struct kva_segment *found)
{
    const struct rb_map *rb = rb_of_const(map);
    struct rb_segment *segment = floor_segment(&rb->used, address);

    if (segment && address <= segment->last) {
        found->state = state_of_used(segment);
        found->owner = segment->owner;
    } else {
        segment = floor_segment(&rb->holes, address);
        found->state = KVA_FREE;
        found->owner = NULL;
    }
    found->start = segment->start;
    found->last = segment->last;
}

static bool rb_largest(const struct kva_address_map *map, uint64_t *extent)
{
    const struct kva_rb_node *root = rb_of_const(map)->holes.root;

    if (!root)
        return false;
    *extent = segment_of_link(root)->largest;
    return true;
}

const struct kva_engine kva_engine_rb = {
    .name = "rb",
    .create = rb_create,
    .destroy = rb_destroy,
    .prepare = rb_prepare,
    .search = rb_search,
    .locate = rb_locate,
    .occupy = rb_occupy,
    .free = rb_free,
    .punch = rb_punch,
    .trim = rb_trim,
    .resize = rb_resize,
    .clear = rb_clear,
    .own = rb_own,
    .defer = rb_defer,
    .free_deferred = rb_free_deferred,
    .undefer = rb_undefer,
    .next_deferred = rb_next_deferred,
    .extend = rb_extend,
    .narrow = rb_narrow,
    .lookup = rb_lookup,
    .has_try_lookup = false,
    .try_lookup = no_try_lookup,
    .largest = rb_largest,
    .check = kva_rb_map_check,
    .check_near = kva_rb_map_check_near,
};
