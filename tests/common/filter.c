/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The filters of filter.h. */
#include "filter.h"

static bool is_busy(const struct kva_segment *segment)
{
    return segment != NULL && segment->state == KVA_BUSY;
}

static unsigned kind_of(const struct kva_segment *segment)
{
    return (uintptr_t)segment->owner & 1;
}

/** Whether the rules require a gap next to this neighbour. */
static bool wants_gap(unsigned rules, const struct kva_segment *neighbour)
{
    if (neighbour == NULL)
        return (rules & TEST_GAP_AT_ENDS) != 0;
    return is_busy(neighbour) && kind_of(neighbour) == 1 && (rules & TEST_GAP_BESIDE_BUSY) != 0;
}

static bool refuses(unsigned rules, const struct kva_hole *hole)
{
    bool between = is_busy(hole->before) && is_busy(hole->after);
    uint64_t mixed = (hole->start ^ (hole->last - hole->start)) * UINT64_C(0x9e3779b97f4a7c15);

    if ((rules & TEST_REFUSE_TWO_KINDS) && between && kind_of(hole->before) != kind_of(hole->after))
        return true;
    return (rules & TEST_REFUSE_SOME) != 0 && mixed >> 62 == 0;
}

/** Nothing remains when both gaps together are as long as the hole. */
static void trim(struct kva_hole *hole, uint64_t low, uint64_t high)
{
    uint64_t extent = hole->last - hole->start;

    if (low > extent || high > extent - low) {
        hole->start = UINT64_MAX;
        hole->last = 0;
        return;
    }
    hole->start += low;
    hole->last -= high;
}

static void widen(struct kva_hole *hole, uint64_t by)
{
    hole->start -= by < hole->start ? by : hole->start;
    hole->last += by < UINT64_MAX - hole->last ? by : UINT64_MAX - hole->last;
}

bool test_filter(void *context, struct kva_hole *hole)
{
    struct test_filter *filter = context;
    unsigned rules = filter->rules;
    bool low = wants_gap(rules, hole->before);
    bool high = wants_gap(rules, hole->after);

    filter->calls++;
    if (hole->before != NULL && hole->before->state == KVA_DEFERRED && (rules & TEST_GAP_BESIDE_DEFERRED))
        low = true;
    if (refuses(rules, hole))
        return false;
    if ((rules & TEST_WIDEN) && !low && !high)
        widen(hole, filter->gap);
    else
        trim(hole, low ? filter->gap : 0, high ? filter->gap : 0);
    return true;
}
