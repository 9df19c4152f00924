/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The checks of the rb engine: I1-I7 of engine.h. check walks everything; check_near visits O(log n)
 *  nodes. */
#include "rb_map.h"

/** The violation of an invariant. */
struct finding {
    const char *what; /* NULL: none */
    uint64_t address;
};

static const struct finding fine = {NULL, 0};

static struct finding found(const char *what, const struct rb_segment *segment)
{
    struct finding finding = {what, segment ? segment->start : 0};
    return finding;
}

/* ------------------------------------------------------------------------------------ shape and order */

static struct finding check_shape(const struct kva_rb_tree *tree)
{
    const struct kva_rb_node *at;
    const char *broken = kva_rb_check(tree, &at);

    return broken ? found(broken, at ? segment_of_link(at) : NULL) : fine;
}

static struct rb_segment *first_of(const struct kva_rb_tree *tree)
{
    struct kva_rb_node *link = kva_rb_outermost(tree, KVA_RB_LEFT);
    return link ? segment_of_link(link) : NULL;
}

static struct rb_segment *next_of(const struct rb_segment *segment)
{
    struct kva_rb_node *link = kva_rb_neighbour(&segment->link, KVA_RB_RIGHT);
    return link ? segment_of_link(link) : NULL;
}

/** I6: the list of holes has the tree's order, in both directions; I4 at each hole. */
static struct finding check_holes(const struct rb_map *rb)
{
    const struct kva_list *link = &rb->order;

    for (const struct rb_segment *hole = first_of(&rb->holes); hole; hole = next_of(hole)) {
        if (link->next != &hole->order || hole->order.prev != link)
            return found("I6: the list and the tree of holes differ", hole);
        if (hole->largest != kva_rb_largest_of(hole))
            return found("I4: a cached maximum is not the true one", hole);
        link = link->next;
    }
    return link->next == &rb->order ? fine : found("I6: a hole is on the list and not in the tree", NULL);
}

/** I7 for an epoch: the segments on its list are in the used tree, and as many as the tally counts. */
static struct finding check_list(const struct rb_map *rb, unsigned epoch)
{
    const struct kva_list *head = &rb->deferred[epoch];
    uint64_t count = 0;

    for (const struct kva_list *link = head->next; link != head; link = link->next) {
        const struct rb_segment *segment = segment_of_order(link);
        if (link->prev->next != link)
            return found("I7: the list of deferred segments is broken", segment);
        if (floor_segment(&rb->used, segment->start) != segment)
            return found("I7: a deferred segment is not in use", segment);
        if (epoch_of_deferred(segment) != epoch)
            return found("I7: a deferred segment is marked with another epoch than its list's", segment);
        if (++count > rb->common.tally.deferred[epoch])
            return found("I7: more segments wait for a flush than are deferred", segment);
    }
    return count == rb->common.tally.deferred[epoch]
               ? fine
               : found("I7: a deferred segment does not wait for a flush", NULL);
}

static struct finding check_deferred_of_rb(const struct rb_map *rb)
{
    const struct kva_tally *tally = &rb->common.tally;
    struct finding finding = fine;

    for (unsigned epoch = 0; epoch < KVA_EPOCHS && !finding.what; epoch++)
        finding = check_list(rb, epoch);
    if (!finding.what && tally->deferred[0] + tally->deferred[1] != tally->segments[KVA_DEFERRED])
        finding = found("I7: a deferred segment belongs to no epoch, or to both", NULL);
    return finding;
}

/* ------------------------------------------------------------------------------------------ address map */

/** I3 for an absent segment. */
static struct finding check_absent(const struct rb_map *rb, const struct rb_segment *before,
                                   bool before_is_free, const struct rb_segment *segment)
{
    if (!before || segment->last == rb->common.last)
        return found("I3: an end of the space is absent", segment);
    if (!before_is_free && state_of_used(before) == KVA_ABSENT)
        return found("I3: two adjacent absent segments", segment);
    return fine;
}

/** I2 for one segment, and I1, I3 against the one before it (NULL: none). */
static struct finding check_rb_segment(const struct rb_map *rb, const struct rb_segment *before,
                                       bool before_is_free, const struct rb_segment *segment, bool is_free)
{
    const struct kva_address_map *common = &rb->common;
    bool joined =
        before ? segment->start != 0 && before->last == segment->start - 1 : segment->start == common->first;

    if (!joined)
        return found("I1: a gap or an overlap before a segment", segment);
    if (segment->last < segment->start || segment->last > common->last)
        return found("I1: a segment is reversed, or ends outside the space", segment);
    if (!is_aligned(segment->start, common->quantum) || !is_aligned(segment->last + 1, common->quantum))
        return found("I2: a segment misses the quantum", segment);
    if (is_free && before_is_free)
        return found("I3: two adjacent free segments", segment);
    if (!is_free && state_of_used(segment) == KVA_ABSENT)
        return check_absent(rb, before, before_is_free, segment);
    return fine;
}

static void count(struct kva_tally *tally, const struct rb_segment *segment, bool is_free)
{
    enum kva_state state = is_free ? KVA_FREE : state_of_used(segment);

    tally->segments[state]++;
    tally->bytes[state] += extent_of(segment) + 1;
}

static bool same_tally(const struct kva_tally *a, const struct kva_tally *b)
{
    bool same = true;

    for (int state = KVA_FREE; state < KVA_STATES; state++)
        same = same && a->segments[state] == b->segments[state] && a->bytes[state] == b->bytes[state];
    return same;
}

/** I1, I2, I3 and I5: walk both trees at once, in the order of addresses. */
static struct finding check_map(const struct rb_map *rb)
{
    const struct rb_segment *hole = first_of(&rb->holes);
    const struct rb_segment *used = first_of(&rb->used);
    const struct rb_segment *before = NULL;
    bool before_is_free = false;
    struct kva_tally tally = {{0}, {0}, {0}};

    while (hole || used) {
        bool is_free = !used || (hole && hole->start < used->start);
        const struct rb_segment *segment = is_free ? hole : used;
        struct finding finding = check_rb_segment(rb, before, before_is_free, segment, is_free);
        if (finding.what)
            return finding;
        count(&tally, segment, is_free);
        before = segment;
        before_is_free = is_free;
        hole = is_free ? next_of(hole) : hole;
        used = is_free ? used : next_of(used);
    }
    if (!before || before->last != rb->common.last)
        return found("I1: the segments do not reach the end of the space", before);
    return same_tally(&tally, &rb->common.tally)
               ? fine
               : found("I5: the tally differs from what a walk counts", NULL);
}

const char *kva_rb_map_check(const struct kva_address_map *map, uint64_t *address)
{
    const struct rb_map *rb = (const struct rb_map *)map;
    struct finding finding = check_shape(&rb->holes);

    if (!finding.what)
        finding = check_shape(&rb->used);
    if (!finding.what)
        finding = check_holes(rb);
    if (!finding.what)
        finding = check_map(rb);
    if (!finding.what)
        finding = check_deferred_of_rb(rb);
    *address = finding.address;
    return finding.what;
}

/* ------------------------------------------------------------------------------------------- near check */

/** I4 from a hole up to the root. */
static struct finding check_maxima_above(const struct rb_segment *hole)
{
    for (const struct kva_rb_node *link = &hole->link; link; link = rb_parent(link)) {
        const struct rb_segment *ancestor = segment_of_link(link);
        if (ancestor->largest != kva_rb_largest_of(ancestor))
            return found("I4: a cached maximum is not the true one", ancestor);
    }
    return fine;
}

/** The segment that holds `address`, in either tree; NULL, which breaks I1, if both or neither hold it. */
static const struct rb_segment *holder(const struct rb_map *rb, uint64_t address, bool *is_free)
{
    const struct rb_segment *hole = floor_segment(&rb->holes, address);
    const struct rb_segment *used = floor_segment(&rb->used, address);

    *is_free = hole && address <= hole->last;
    if (*is_free)
        return used && address <= used->last ? NULL : hole;
    return used && address <= used->last ? used : NULL;
}

/** I1-I3 for the segment that holds `at` and the one before it; I4 from either up to the root if it is a
 *  hole. */
static struct finding check_joint(const struct rb_map *rb, uint64_t at)
{
    bool is_free;
    bool before_is_free = false;
    const struct rb_segment *before = NULL;
    const struct rb_segment *segment = holder(rb, at, &is_free);

    if (!segment)
        return (struct finding){"I1: an address is in no segment, or in two", at};
    if (segment->start > rb->common.first) {
        before = holder(rb, segment->start - 1, &before_is_free);
        if (!before)
            return (struct finding){"I1: an address is in no segment, or in two", segment->start - 1};
    }
    struct finding finding = check_rb_segment(rb, before, before_is_free, segment, is_free);
    if (!finding.what && is_free)
        finding = check_maxima_above(segment);
    if (!finding.what && before_is_free)
        finding = check_maxima_above(before);
    return finding;
}

const char *kva_rb_map_check_near(const struct kva_address_map *map, uint64_t at, uint64_t *address)
{
    const struct rb_map *rb = (const struct rb_map *)map;
    struct finding finding = check_joint(rb, at);

    if (!finding.what) {
        bool is_free;
        const struct rb_segment *segment = holder(rb, at, &is_free);
        if (segment->last < map->last)
            finding = check_joint(rb, segment->last + 1);
    }
    *address = finding.address;
    return finding.what;
}
