/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Taking frames: requests are validated and turned into demands. The block that the CPU holds serves most of
 * them, under that block's lock alone. frames_find.c serves the others.
 */
#include "frames_compact.h"
#include "frames_evacuate.h"
#include "frames_find.h"

/* ---------------------------------------------------------------------------------------- requests */

static enum kva_status validate_frames_request(const struct kva_frames *frames,
                                               const struct kva_frames_request *request, const char **field)
{
    *field = "order";
    if (request->order > 63 || (request->order > 0 && request->count > 0))
        return KVA_EINVAL;
    *field = "type";
    if (request->type != KVA_UNMOVABLE && request->type != KVA_MOVABLE)
        return KVA_EINVAL;
    *field = "flags";
    if ((request->flags & ~(unsigned)(KVA_FRAMES_THIS_NODE | KVA_FRAMES_COMPACT)) != 0)
        return KVA_EINVAL;
    *field = "node";
    if (request->node >= frames->node_count)
        return KVA_EINVAL;
    *field = "align";
    if ((request->align & (request->align - 1)) != 0)
        return KVA_EALIGN;
    *field = "min";
    return request->min > request->max ? KVA_EWINDOW : KVA_OK;
}

/** Whether a window holds a frame of some zone. */
static bool meets_zone(const struct kva_frames *frames, uint64_t min, uint64_t last)
{
    for (size_t i = 0; i < frames->zone_count; i++) {
        const struct frames_zone *zone = &frames->zones[i];
        if (min < zone->end && last >= zone->start)
            return true;
    }
    return false;
}

static enum kva_status frames_demand_of(const struct kva_frames *frames,
                                        const struct kva_frames_request *request,
                                        struct frames_demand *demand, const char **field)
{
    enum kva_status status = validate_frames_request(frames, request, field);
    bool anywhere = request->min == 0 && request->max == 0;

    if (status != KVA_OK)
        return status;
    *demand = (struct frames_demand){
        .count = request->count ? request->count : UINT64_C(1) << request->order,
        .align =
            max_u64(request->align ? request->align : 1, request->count ? 1 : UINT64_C(1) << request->order),
        .min = request->min,
        .last = anywhere ? UINT64_MAX : request->max,
        .kind = kind_of_type(request->type),
        .this_node = (request->flags & KVA_FRAMES_THIS_NODE) != 0,
        .may_compact = (request->flags & KVA_FRAMES_COMPACT) != 0,
        .node = request->node,
    };
    kva_shape_demand(frames, demand);
    return meets_zone(frames, demand->min, demand->last) ? KVA_OK : KVA_EWINDOW;
}

/* --------------------------------------------------------------------------------- the held block */

/** Whether a request is a valid one for a group anywhere. `window`: min | max, or 0 if the caller checks the
 *  window. */
static inline bool is_group(const struct kva_frames *frames, const struct kva_frames_request *request,
                            uint64_t window)
{
    return (request->count | request->align | window | (request->flags & ~(unsigned)KVA_FRAMES_COMPACT)) ==
               0 &&
           (unsigned)request->type <= KVA_MOVABLE && request->order <= frames->order &&
           request->node < frames->node_count;
}

/** Whether a request is one for a group without a window, which the held block may serve. Others, and invalid
 *  ones, take the slow path. */
static inline bool is_plain(const struct kva_frames *frames, const struct kva_frames_request *request)
{
    return is_group(frames, request, request->min | request->max);
}

/** Whether the held block may serve a request because the window covers the zone that is searched first. */
static bool is_wide(const struct kva_frames *frames, const struct kva_frames_request *request)
{
    const struct frames_zone *zone = is_group(frames, request, 0) ? frames->near[request->node] : NULL;

    return zone && request->min <= zone->start && request->max >= zone->end - 1;
}

/** The block that a slot names, plus one; 0: none. The header decides whether the CPU still holds it. */
static inline uint32_t held_block(const struct kva_frames *frames, const struct frames_zone *zone,
                                  unsigned cpu, unsigned slot)
{
    return zone ? atomic_load_explicit(slot_of(frames, zone, cpu, slot), memory_order_relaxed) : 0;
}

/** Take the lowest free group of an order below 6 from a locked held block, whose head, tail and top are
 *  undefined. Returns the position; `size` if there is none. */
FRAMES_HOT uint32_t take_in_word(const struct kva_frames *frames, struct frames_word *words, uint64_t *h,
                                 unsigned order)
{
    uint32_t w = hint_of(*h) << frames->hint_shift;
    uint64_t groups = groups_in_word(free_bits(&words[w]), order);

    if (groups == 0) {
        do {
            if (++w == frames->words)
                return frames->size;
            groups = groups_in_word(free_bits(&words[w]), order);
        } while (groups == 0);
        if (order == 0)
            *h = with_hint(*h, w >> frames->hint_shift);
    }
    uint64_t first = groups & (0 - groups);
    words[w].taken |= (first << ((UINT64_C(1) << order) - 1) << 1) - first;
    words[w].first |= first;
    *h = with_taken(*h, UINT64_C(1) << order);
    return w * 64 + lowest_bit(first);
}

/** The same for a group of one or more words. */
FRAMES_HOT uint32_t take_words(const struct kva_frames *frames, struct frames_word *words, uint64_t *h,
                               unsigned order)
{
    uint32_t size = UINT32_C(1) << (order - 6);

    for (uint32_t w = (hint_of(*h) << frames->hint_shift) & ~(size - 1); w < frames->words; w += size) {
        if (words_are_free(words, w, w + size)) {
            mark_words(words, w, w + size);
            *h = with_taken(*h, UINT64_C(64) << (order - 6));
            return w * 64;
        }
    }
    return frames->size;
}

/** The same for the whole block: its states stay as they are. */
FRAMES_HOT uint32_t take_whole(const struct kva_frames *frames, uint64_t *h)
{
    if (free_of(*h) < frames->size)
        return frames->size;
    *h = with_taken(*h, frames->size) | (uint64_t)WHOLE_FIRST << WHOLE_AT;
    return 0;
}

/** Find room; if there is none, compact or evacuate where the demand allows it. */
static enum kva_status take_demand(const struct kva_frames *frames, const struct frames_demand *demand,
                                   uint64_t *first)
{
    enum kva_status status = kva_find_and_take(frames, demand, first);

    if (status != KVA_ENOSPC || !demand->may_compact)
        return status;
    if (demand->count > frames->size || demand->align > frames->size) {
        if (kva_evacuate_for(frames, demand, first))
            return KVA_OK;
    } else if (!kva_compact_for(frames, demand)) {
        return status;
    }
    return kva_find_and_take(frames, demand, first); /* owners may also have given frames back meanwhile */
}

/** Serve a request that the held block does not serve. */
FRAMES_APART enum kva_status take_elsewhere(const struct kva_frames *frames,
                                            const struct kva_frames_request *request, uint64_t *first)
{
    const char *field;
    struct frames_demand demand;
    enum kva_status status = frames_demand_of(frames, request, &demand, &field);

    if (status != KVA_OK)
        return refuse(frames, status, "kva_frames_alloc", request->min, field);
    return take_demand(frames, &demand, first);
}

/** The same, after the lock of a held block is dropped. */
FRAMES_APART enum kva_status leave_held(const struct kva_frames *frames, const struct frames_zone *zone,
                                        uint32_t block, uint64_t h, const struct kva_frames_request *request,
                                        uint64_t *first)
{
    unlock_block(frames, zone, block, h);
    return take_elsewhere(frames, request, first);
}

/** Take a group from a locked block if the CPU holds it for such requests and it has one; else from
 *  elsewhere. */
FRAMES_HOT enum kva_status take_from_locked(const struct kva_frames *frames, const struct frames_zone *zone,
                                            uint32_t block, uint64_t hold,
                                            const struct kva_frames_request *request, unsigned order,
                                            unsigned size_class, uint64_t *first)
{
    struct frames_word *words = words_of(frames, zone, block);
    uint64_t h = block_header(&zone->headers[block]);
    uint32_t position;

    if ((h & HOLD_MASK) != hold || free_of(h) >> order == 0)
        return leave_held(frames, zone, block, h, request, first);
    if (size_class == CLASS_BLOCK)
        position = take_whole(frames, &h);
    else if (order < 6)
        position = take_in_word(frames, words, &h, order);
    else
        position = take_words(frames, words, &h, order);
    if (position == frames->size)
        return leave_held(frames, zone, block, h, request, first);
    *first = first_frame(frames, zone, block) + position;
    unlock_block(frames, zone, block, h);
    return KVA_OK;
}

/** The rest of take_at_hand when the block's lock is not free. */
FRAMES_APART enum kva_status take_after_wait(const struct kva_frames *frames, const struct frames_zone *zone,
                                             uint32_t block, uint64_t hold,
                                             const struct kva_frames_request *request, uint64_t *first)
{
    (void)lock_block(frames, zone, block);
    return take_from_locked(frames, zone, block, hold, request, request->order,
                            class_of_order(frames, request->order), first);
}

/** Take a group, if possible from the block that the CPU holds for such requests. */
FRAMES_HOT enum kva_status take_at_hand(const struct kva_frames *frames,
                                        const struct kva_frames_request *request, unsigned order,
                                        unsigned size_class, uint64_t *first)
{
    unsigned cpu = cpu_number(frames);
    const struct frames_zone *zone = frames->near[request->node];
    enum frames_kind kind = kind_of_type(request->type);
    unsigned slot = slot_number(kind, size_class);
    uint32_t held = held_block(frames, zone, cpu, slot);

    if (held == 0)
        return take_elsewhere(frames, request, first);
    if (!block_lock_at_once(&zone->headers[held - 1], &frames->locking))
        return take_after_wait(frames, zone, held - 1, hold_bits(cpu, slot, kind), request, first);
    return take_from_locked(frames, zone, held - 1, hold_bits(cpu, slot, kind), request, order, size_class,
                            first);
}

/* kva_frames_alloc only classifies a request and jumps to one of these. They jump to another function when
 * the held block does not serve it. Each function thus saves only its own registers, and once. */

FRAMES_APART enum kva_status take_single(const struct kva_frames *frames,
                                         const struct kva_frames_request *request, uint64_t *first)
{
    return take_at_hand(frames, request, 0, 0, first);
}

FRAMES_APART enum kva_status take_group(const struct kva_frames *frames,
                                        const struct kva_frames_request *request, uint64_t *first)
{
    return take_at_hand(frames, request, request->order, class_of_order(frames, request->order), first);
}

FRAMES_APART enum kva_status take_with_care(const struct kva_frames *frames,
                                            const struct kva_frames_request *request, uint64_t *first)
{
    return is_wide(frames, request) ? take_group(frames, request, first)
                                    : take_elsewhere(frames, request, first);
}

FRAMES_APART enum kva_status refuse_null_alloc(const struct kva_frames *frames, const char *field)
{
    return refuse(frames, KVA_ENULL, "kva_frames_alloc", KVA_NO_FRAME, field);
}

enum kva_status kva_frames_alloc(struct kva_frames *frames, const struct kva_frames_request *request,
                                 uint64_t *first)
{
    if (!frames)
        return KVA_ENULL;
    if (!request || !first)
        return refuse_null_alloc(frames, request ? "first" : "request");
    if (!is_plain(frames, request))
        return take_with_care(frames, request, first);
    return request->order == 0 ? take_single(frames, request, first) : take_group(frames, request, first);
}

/* -------------------------------------------------------------------------------------- many at once */

/** Take up to `most` single frames of a locked held block. Returns how many. */
static size_t take_singles(const struct kva_frames *frames, struct frames_word *words, uint64_t begin,
                           uint64_t *h, size_t most, uint64_t *firsts)
{
    uint32_t w = hint_of(*h) << frames->hint_shift;
    size_t count = 0;

    most = most < free_of(*h) ? most : free_of(*h);
    for (; count < most; w++) {
        uint64_t free = free_bits(&words[w]);
        uint64_t left = free;
        if (free == UINT64_MAX && most - count >= 64) {
            for (uint32_t i = 0; i < 64; i++)
                firsts[count + i] = begin + w * 64 + i;
            count += 64;
            left = 0;
        }
        for (; left != 0 && count < most; left &= left - 1)
            firsts[count++] = begin + w * 64 + lowest_bit(left);
        words[w].taken |= free & ~left;
        words[w].first |= free & ~left;
        *h = with_hint(*h, w >> frames->hint_shift);
    }
    *h = with_taken(*h, count);
    return count;
}

/** Take up to `most` single frames from the held block. Returns how many. */
static size_t take_some_at_hand(const struct kva_frames *frames, const struct kva_frames_request *request,
                                size_t most, uint64_t *firsts)
{
    struct frames_zone *zone = frames->near[request->node];
    enum frames_kind kind = kind_of_type(request->type);
    unsigned cpu = cpu_number(frames);
    unsigned slot = slot_number(kind, 0);
    uint32_t held = held_block(frames, zone, cpu, slot);
    size_t count = 0;

    if (held == 0)
        return 0;
    uint64_t before = lock_block(frames, zone, held - 1);
    uint64_t h = before;
    if ((h & HOLD_MASK) == hold_bits(cpu, slot, kind))
        count = take_singles(frames, words_of(frames, zone, held - 1), first_frame(frames, zone, held - 1),
                             &h, most, firsts);
    commit_block(frames, zone, held - 1, before, h);
    return count;
}

enum kva_status kva_frames_alloc_many(struct kva_frames *frames, const struct kva_frames_request *request,
                                      size_t runs, uint64_t *firsts)
{
    const char *field;
    struct frames_demand demand;

    if (!frames)
        return KVA_ENULL;
    if (!request || (!firsts && runs > 0))
        return refuse(frames, KVA_ENULL, __func__, KVA_NO_FRAME, request ? "firsts" : "request");
    enum kva_status status = frames_demand_of(frames, request, &demand, &field);
    if (status != KVA_OK)
        return refuse(frames, status, __func__, request->min, field);
    bool at_hand_first = is_plain(frames, request) || is_wide(frames, request);
    bool singles = at_hand_first && request->order == 0;
    bool groups = at_hand_first && request->order > 0;
    size_t taken = 0;
    while (taken < runs && status == KVA_OK) {
        size_t at_hand = 0;
        if (singles)
            at_hand = take_some_at_hand(frames, request, runs - taken, &firsts[taken]);
        if (at_hand == 0)
            status = groups ? take_group(frames, request, &firsts[taken])
                            : take_demand(frames, &demand, &firsts[taken]);
        taken += at_hand + (at_hand == 0 && status == KVA_OK);
    }
    if (status != KVA_OK)
        (void)kva_frames_free_many(frames, firsts, taken, NULL);
    return status;
}
