/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * THEORY
 *   Only busy AREAS are kept: in a tree sorted by address, for frees, and on a list in the same order, for
 *   the walk. Free space is what lies between neighbours. The sizes of the gaps are not recorded, so an
 *   allocation examines them one by one:
 *
 *      lowest busy area
 *          |
 *       [AAAA]..[BB][CCC]....[DD]......[EEEEE]............
 *             ^^         ^^^^
 *             too short  the lowest fit
 *
 *   That is O(busy areas). Programs often repeat similar requests, so the walk remembers where it ended. The
 *   CACHE consists of
 *
 *      position    an area, the predecessor of the last hole: the next walk starts there
 *      start       the lowest address that the request which set the position could have used
 *      align       the alignment of that request
 *      skipped     the most aligned bytes in any hole that was passed because it was too short
 *
 *   INVARIANT (L1): with a position, no hole that begins at or above `start` and ends below the position has
 *   more than `skipped` bytes from its first multiple of `align` on. So a request may continue from the
 *   position if it is larger than `skipped`, begins at or above `start`, and has at least the alignment
 *   `align`: no hole before the position fits it. Any other request drops the cache, walks from the lowest
 *   busy area, and sets a new cache.
 *
 *   Why it holds: an allocation only makes holes smaller. A free above the position changes no hole below it.
 *   A free at or below the position moves the position to the predecessor of the freed area; without a
 *   predecessor, the cache is dropped.
 *
 *   The original design continues for any request that is "not smaller than the largest skipped hole". But a
 *   request of exactly that size fits the skipped hole, which is then the lowest fit. Here such a request
 *   drops the cache, so that all addresses are the same as kva's and a driver can compare them.
 *
 * CONGRUENT AREAS
 *   They are placed from the top, so that per-CPU chunks stay out of the way of the walk. The base begins at
 *   the highest value that keeps all parts inside. A part that overlaps a busy area lowers the base until the
 *   part ends below that area: every base in between overlaps it as well. The base only falls, so each part
 *   passes over the list once, from the top.
 *
 * MEMORY
 *   One node per busy area, by malloc, taken before anything changes.
 *
 * NOT DONE
 *   Lazy freeing, guard pages, and the lock, which the driver has.
 *
 * SOURCE
 *   The published descriptions of Linux's vmap areas from 2.6.28 to 5.1. The code is our own.
 */
#include "list_walk.h"

#include "../../src/base/arith.h"
#include "../../src/base/list.h"
#include "../../src/base/rbtree.h"

#include <stdlib.h>

struct area {
    struct kva_rb_node node;
    struct kva_list link;
    uint64_t start;
    uint64_t last;
};

struct list_walk {
    uint64_t first;
    uint64_t last;
    uint64_t quantum;
    struct kva_rb_tree tree;
    struct kva_list areas;
    struct {
        struct area *position; /* NULL: dropped; the other members have no meaning then */
        uint64_t start;
        uint64_t align;
        uint64_t skipped;
    } cache;
};

/* --------------------------------------------------------------------------------- tree and list of areas */

static struct area *area_of_node(struct kva_rb_node *node)
{
    return kva_container_of(node, struct area, node);
}

static struct area *area_of_link(struct kva_list *link)
{
    return kva_container_of(link, struct area, link);
}

/* The neighbours on the list; NULL past its ends. */
static struct area *next_area(struct list_walk *walk, struct area *area)
{
    return area->link.next == &walk->areas ? NULL : area_of_link(area->link.next);
}

static struct area *prev_area(struct list_walk *walk, struct area *area)
{
    return area->link.prev == &walk->areas ? NULL : area_of_link(area->link.prev);
}

static struct area *highest_area(struct list_walk *walk)
{
    return list_is_empty(&walk->areas) ? NULL : area_of_link(walk->areas.prev);
}

/* The lowest area that ends at or above `address`; NULL if there is none. */
static struct area *lowest_area_from(struct list_walk *walk, uint64_t address)
{
    struct area *found = NULL;
    for (struct kva_rb_node *node = walk->tree.root; node != NULL;) {
        struct area *area = area_of_node(node);
        if (area->last >= address)
            found = area;
        node = node->child[area->last >= address ? KVA_RB_LEFT : KVA_RB_RIGHT];
    }
    return found;
}

/* Insert an area whose start and last are set. Its place in the tree gives its place on the list: a new left
 * child immediately precedes its parent in order, a new right child immediately follows it. */
static void enter_area(struct list_walk *walk, struct area *area)
{
    struct kva_rb_node *parent = NULL;
    enum kva_rb_side side = KVA_RB_LEFT;
    for (struct kva_rb_node *node = walk->tree.root; node != NULL; node = node->child[side]) {
        parent = node;
        side = area->start < area_of_node(node)->start ? KVA_RB_LEFT : KVA_RB_RIGHT;
    }
    if (parent == NULL)
        list_insert_after(&walk->areas, &area->link);
    else if (side == KVA_RB_LEFT)
        list_insert_before(&area_of_node(parent)->link, &area->link);
    else
        list_insert_after(&area_of_node(parent)->link, &area->link);
    kva_rb_insert(&walk->tree, &area->node, parent, side);
}

/* ---------------------------------------------------------------------------------------- create, destroy */

enum kva_status list_walk_create(uint64_t first, uint64_t last, uint64_t quantum, struct list_walk **walk)
{
    if (!is_power_of_two(quantum) || !is_aligned(first, quantum) || !is_aligned(last + 1, quantum))
        return KVA_EALIGN;
    if (first > last)
        return KVA_ERANGE;
    struct list_walk *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return KVA_ENOMEM;
    made->first = first;
    made->last = last;
    made->quantum = quantum;
    list_init(&made->areas);
    *walk = made;
    return KVA_OK;
}

enum kva_status list_walk_destroy(struct list_walk *walk)
{
    enum kva_status status = list_is_empty(&walk->areas) ? KVA_OK : KVA_EBUSY;
    while (!list_is_empty(&walk->areas)) {
        struct area *area = area_of_link(walk->areas.next);
        list_remove(&area->link);
        free(area);
    }
    free(walk);
    return status;
}

/* --------------------------------------------------------------------------------------------- allocation */

/* A request, checked and rounded. */
struct spec {
    uint64_t size;
    uint64_t align;
    uint64_t min;
    uint64_t max;
};

static enum kva_status check_spec(const struct list_walk *walk, struct spec *spec)
{
    if (spec->size == 0)
        return KVA_ESIZE;
    if (!is_power_of_two(spec->align))
        return KVA_EALIGN;
    if (!align_up(spec->size, walk->quantum, &spec->size))
        return KVA_EWRAP;
    if (spec->min > spec->max || spec->min > walk->last || spec->max < walk->first)
        return KVA_EWINDOW;
    spec->align = max_u64(spec->align, walk->quantum);
    spec->min = max_u64(spec->min, walk->first);
    spec->max = min_u64(spec->max, walk->last);
    return KVA_OK;
}

/* Drop the cache unless, by L1, this request may continue from it. Then record the request's start and
 * alignment. */
static void revise_cache(struct list_walk *walk, const struct spec *spec)
{
    bool usable = walk->cache.position != NULL && spec->size > walk->cache.skipped &&
                  spec->min >= walk->cache.start && spec->align >= walk->cache.align;
    if (!usable) {
        walk->cache.position = NULL;
        walk->cache.skipped = 0;
    }
    walk->cache.start = spec->min;
    walk->cache.align = spec->align;
}

/* The walk. `area` is the first one that ends at or above *from. Sets *from to the lowest aligned address at
 * or above it with enough room before the next area; ignores the end of the window. False past 2^64 - 1. */
static bool walk_to_fit(struct list_walk *walk, const struct spec *spec, struct area *area, uint64_t *from)
{
    uint64_t address = *from;
    while (align_up(address, spec->align, &address)) {
        uint64_t room = area == NULL ? UINT64_MAX : area->start <= address ? 0 : area->start - address;
        if (room >= spec->size) {
            *from = address;
            return true;
        }
        walk->cache.skipped = max_u64(walk->cache.skipped, room);
        if (!add_checked(area->last, 1, &address))
            return false;
        area = next_area(walk, area);
    }
    return false;
}

/* Find the lowest fit, from the cached position or from the lowest busy area in the window. */
static bool find_fit(struct list_walk *walk, const struct spec *spec, uint64_t *start)
{
    struct area *position = walk->cache.position;
    uint64_t last;
    *start = spec->min;
    if (position != NULL && position->last >= spec->min) {
        if (!add_checked(position->last, 1, start) ||
            !walk_to_fit(walk, spec, next_area(walk, position), start))
            return false;
    } else if (!walk_to_fit(walk, spec, lowest_area_from(walk, spec->min), start)) {
        return false;
    }
    return last_of_range(*start, spec->size, &last) && last <= spec->max;
}

enum kva_status list_walk_alloc(struct list_walk *walk, uint64_t size, uint64_t align, uint64_t min,
                                uint64_t max, uint64_t *start)
{
    struct spec spec = {.size = size, .align = align, .min = min, .max = max};
    enum kva_status status = check_spec(walk, &spec);
    if (status != KVA_OK)
        return status;
    struct area *area = malloc(sizeof(*area));
    if (area == NULL)
        return KVA_ENOMEM;
    revise_cache(walk, &spec);
    if (!find_fit(walk, &spec, &area->start)) {
        free(area);
        return KVA_ENOSPC;
    }
    area->last = area->start + (spec.size - 1);
    enter_area(walk, area);
    walk->cache.position = area;
    *start = area->start;
    return KVA_OK;
}

/* --------------------------------------------------------------------------------------------------- free */

/* The status for a free at `start`, where no area begins. */
static enum kva_status explain_bad_free(const struct list_walk *walk, const struct area *area, uint64_t start)
{
    if (start < walk->first || start > walk->last)
        return KVA_EUNKNOWN;
    return area != NULL && area->start < start ? KVA_EINTERIOR : KVA_EDOUBLE;
}

enum kva_status list_walk_free(struct list_walk *walk, uint64_t start)
{
    struct area *area = lowest_area_from(walk, start);
    if (area == NULL || area->start != start)
        return explain_bad_free(walk, area, start);
    if (walk->cache.position != NULL && start <= walk->cache.position->start)
        walk->cache.position = prev_area(walk, area); /* L1: nothing below the predecessor has changed */
    kva_rb_erase(&walk->tree, &area->node);
    list_remove(&area->link);
    free(area);
    return KVA_OK;
}

/* ---------------------------------------------------------------------------------------- congruent areas */

/* One part of a congruent request: its area, and the busy area that its descent has reached. */
struct descent {
    struct area *area;
    struct area *below; /* the highest one that starts at or below the part's end */
    uint64_t offset;
    uint64_t size;
};

/* Check the parts as kva_alloc_congruent does, and round their sizes. */
static enum kva_status check_parts(const struct list_walk *walk, const struct kva_part *parts, size_t count,
                                   uint64_t align, struct descent *descents)
{
    uint64_t free_from = 0; /* the end of the previous part, relative to the base */
    if (!is_power_of_two(align))
        return KVA_EALIGN;
    for (size_t i = 0; i < count; i++) {
        uint64_t offset = parts[i].offset, size;
        if (parts[i].size == 0)
            return KVA_ESIZE;
        if (!is_aligned(offset, align) || !is_aligned(offset, walk->quantum))
            return KVA_EALIGN;
        if (!align_up(parts[i].size, walk->quantum, &size))
            return KVA_EWRAP;
        if (i == 0 ? offset != 0 : offset < free_from)
            return KVA_EINVAL;
        if (!add_checked(offset, size, &free_from))
            return KVA_EWRAP;
        descents[i] = (struct descent){.offset = offset, .size = size};
    }
    return KVA_OK;
}

/* Walk down to the highest area that starts at or below the part's end. True if it overlaps the part. */
static bool meets_area(struct list_walk *walk, struct descent *part, uint64_t base)
{
    uint64_t start = base + part->offset;
    uint64_t last = start + (part->size - 1);
    while (part->below != NULL && part->below->start > last)
        part->below = prev_area(walk, part->below);
    return part->below != NULL && part->below->last >= start;
}

/* *base = the highest aligned base at which `part` ends below `limit`; false when that is below the range. */
static bool lower_base(const struct list_walk *walk, const struct descent *part, uint64_t align,
                       uint64_t limit, uint64_t *base)
{
    uint64_t reach = part->offset + part->size; /* does not wrap: check_parts() */
    if (limit < reach)
        return false;
    *base = align_down(limit - reach, align);
    return *base >= walk->first;
}

/* Find the highest base: visit the parts in turn, and lower the base until `count` parts in a row fit. */
static bool find_base(struct list_walk *walk, struct descent *parts, size_t count, uint64_t align,
                      uint64_t *base)
{
    const struct descent *top = &parts[count - 1];
    uint64_t extent = top->offset + (top->size - 1); /* from the base to the last address of all parts */
    if (walk->last - walk->first < extent)
        return false;
    *base = align_down(walk->last - extent, align);
    if (*base < walk->first)
        return false;
    size_t agreed = 0;
    size_t i = count - 1;
    while (agreed < count) {
        if (!meets_area(walk, &parts[i], *base)) {
            agreed++;
            i = (i == 0 ? count : i) - 1;
        } else if (lower_base(walk, &parts[i], align, parts[i].below->start, base)) {
            agreed = 0; /* the same part again: it may overlap the next area below */
        } else {
            return false;
        }
    }
    return true;
}

static void free_nodes(struct descent *parts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(parts[i].area);
}

/* Allocate a node for each part, and start each descent at the top of the list. */
static bool prepare_descents(struct list_walk *walk, struct descent *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        parts[i].below = highest_area(walk);
        parts[i].area = malloc(sizeof(*parts[i].area));
        if (parts[i].area == NULL) {
            free_nodes(parts, i);
            return false;
        }
    }
    return true;
}

static void enter_parts(struct list_walk *walk, const struct descent *parts, size_t count, uint64_t base)
{
    for (size_t i = 0; i < count; i++) {
        parts[i].area->start = base + parts[i].offset;
        parts[i].area->last = parts[i].area->start + (parts[i].size - 1);
        enter_area(walk, parts[i].area);
    }
}

/* list_walk_congruent() once the parts are checked. */
static enum kva_status take_parts(struct list_walk *walk, struct descent *parts, size_t count, uint64_t align,
                                  uint64_t *base)
{
    uint64_t found;
    if (!prepare_descents(walk, parts, count))
        return KVA_ENOMEM;
    if (!find_base(walk, parts, count, max_u64(align, walk->quantum), &found)) {
        free_nodes(parts, count);
        return KVA_ENOSPC;
    }
    enter_parts(walk, parts, count, found);
    *base = found;
    return KVA_OK;
}

enum kva_status list_walk_congruent(struct list_walk *walk, const struct kva_part *parts, size_t count,
                                    uint64_t align, uint64_t *base)
{
    if (count == 0)
        return KVA_EINVAL;
    struct descent *descents = calloc(count, sizeof(*descents));
    if (descents == NULL)
        return KVA_ENOMEM;
    enum kva_status status = check_parts(walk, parts, count, align, descents);
    if (status == KVA_OK)
        status = take_parts(walk, descents, count, align, base);
    free(descents);
    return status;
}
