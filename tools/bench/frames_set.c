/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "frames_set.h"

#include "fatal.h"

#include <stdlib.h>
#include <string.h>

/* Replacements for each live run in a set-up. A run survives all of them with probability e^-16, so that of a
 * million runs none stays where the fill put it. */
#define ROUNDS 16

/* The most requests for blocks. */
#define HUGE_ASKED 100

#define ORDERS (FRAMES_BLOCK_ORDER + 1)

/* ---------------------------------------------------------------------------------------- create, destroy */

void frames_must(const struct frames_set *set, enum kva_status status, const char *what)
{
    if (status == KVA_ENOMEM)
        bench_fatal(TOOL_REFUSED, "frames: %s: %s: %s", set->contender->name, what, kva_status_text(status));
    if (status != KVA_OK)
        bench_fatal(TOOL_WRONG, "frames: %s: %s must not fail, but returned: %s", set->contender->name, what,
                    kva_status_text(status));
}

struct frames_set *frames_set_create(const struct frames_contender *contender, uint64_t frames, uint64_t seed)
{
    struct frames_set *set = calloc(1, sizeof(*set));
    if (set != NULL) {
        set->held = malloc((size_t)frames * sizeof(*set->held));
        set->all = malloc((size_t)frames * sizeof(*set->all));
    }
    if (set == NULL || set->held == NULL || set->all == NULL)
        bench_fatal(TOOL_REFUSED, "no memory for %zu frame numbers", (size_t)frames);
    set->contender = contender;
    set->frames = frames;
    for (unsigned order = 0; order < ORDERS; order++)
        set->requests[order] = (struct kva_frames_request){.order = order, .type = KVA_MOVABLE};
    if (contender->place != NULL)
        contender->place(set);
    frames_set_order(set, 0);
    rng_seed(&set->rng, seed);
    frames_must(set, contender->create(frames, &set->state), "a set");
    return set;
}

void frames_set_order(struct frames_set *set, unsigned order)
{
    set->request = set->requests[order];
}

void frames_set_destroy(struct frames_set *set)
{
    frames_must(set, set->contender->destroy(set->state), "destroying a set");
    free(set->held);
    free(set->all);
    free(set);
}

/* ------------------------------------------------------------------------------------------ the live runs */

static void push(struct frames_set *set, uint64_t first, unsigned order)
{
    set->held[set->count++] = (struct frames_held){(uint32_t)first, order};
    set->used += UINT64_C(1) << order;
}

/* Choose a random run of the first `count`, and swap it with the last of them. */
static struct frames_held choose_one(struct frames_held *held, size_t count, struct rng *rng)
{
    size_t index = (size_t)rng_below(rng, count);
    struct frames_held chosen = held[index];
    held[index] = held[count - 1];
    held[count - 1] = chosen;
    return chosen;
}

static struct frames_held pop_random(struct frames_set *set)
{
    struct frames_held chosen = choose_one(set->held, set->count, &set->rng);
    set->count--;
    set->used -= UINT64_C(1) << chosen.order;
    return chosen;
}

/* False if nothing is left. KVA_ENOSPC is the only permitted error. */
static bool take(struct frames_set *set, unsigned order)
{
    uint64_t first;
    enum kva_status status = set->contender->alloc(set->state, &set->requests[order], &first);
    if (status == KVA_ENOSPC)
        return false;
    frames_must(set, status, "an allocation");
    push(set, first, order);
    return true;
}

void frames_set_fill(struct frames_set *set)
{
    while (set->used < set->frames)
        if (!take(set, 0))
            bench_fatal(TOOL_WRONG, "frames: %s: a free frame was not found", set->contender->name);
}

void frames_set_comb(struct frames_set *set, uint64_t step)
{
    size_t count = set->count;
    set->count = 0;
    set->used = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t frame = set->held[i].first;
        if (frame % step == 0)
            push(set, frame, 0);
        else
            frames_must(set, set->contender->free(set->state, frame), "a free");
    }
}

/* The number of trailing zeros of a random number: j with probability 2^-(j+1), so that each order has
 * about as many frames as any other. The largest order gets the rest, which is twice as much. */
static unsigned draw_order(struct rng *rng)
{
    uint64_t draw = rng_next(rng);
    unsigned order = 0;
    while (order < FRAMES_BLOCK_ORDER && (draw >> order & 1) == 0)
        order++;
    return order;
}

static void thin(struct frames_set *set, unsigned percent)
{
    set->quota = set->frames * percent / 100;
    while (set->used > set->quota)
        frames_must(set, set->contender->free(set->state, pop_random(set).first), "a free");
}

void frames_set_thinned(struct frames_set *set, unsigned percent, bool mixed)
{
    if (!mixed)
        frames_set_fill(set);
    while (mixed && take(set, draw_order(&set->rng)))
        continue;
    thin(set, percent);
}

void frames_set_churned(struct frames_set *set, unsigned percent)
{
    frames_set_thinned(set, percent, false);
    for (size_t left = ROUNDS * set->count; left > 0;) {
        size_t steps = frames_churn_prepare(set);
        (void)frames_churn_run(set, steps);
        frames_churn_finish(set, steps);
        left -= steps < left ? steps : left;
    }
}

/* Each step is a free or an allocation. */
static void churn_mixed(struct frames_set *set, size_t steps)
{
    set->asked = set->refused = 0;
    for (size_t done = 0; done < steps; done += FRAMES_BATCH) {
        size_t count = frames_mixed_prepare(set);
        (void)frames_mixed_run(set, count);
        frames_mixed_finish(set, count);
    }
}

void frames_set_mixed(struct frames_set *set, unsigned percent)
{
    frames_set_thinned(set, percent, true);
    churn_mixed(set, ROUNDS * set->count);
    churn_mixed(set, ROUNDS * set->count);
}

/* -------------------------------------------------------------------------------------------------- shape */

/* Count the blocks without live runs. Two runs that share a frame end the program. */
static uint64_t count_huge(const struct frames_set *set)
{
    size_t blocks = (size_t)(set->frames / FRAMES_BLOCK);
    unsigned char *taken = calloc((size_t)set->frames, 1);
    uint64_t huge = 0;
    if (taken == NULL)
        bench_fatal(TOOL_REFUSED, "no memory for %zu frames", (size_t)set->frames);
    for (size_t i = 0; i < set->count; i++) {
        uint64_t first = set->held[i].first, end = first + (UINT64_C(1) << set->held[i].order);
        for (; first < end; first++)
            if (first >= set->frames || taken[first]++ != 0)
                bench_fatal(TOOL_WRONG, "frames: %s: gave a frame outside the set, or in use",
                            set->contender->name);
    }
    for (size_t block = 0; block < blocks; block++)
        huge += memchr(taken + block * FRAMES_BLOCK, 1, FRAMES_BLOCK) == NULL;
    free(taken);
    return huge;
}

static void ask_for_huge(struct frames_set *set, struct frames_shape *shape)
{
    uint64_t first[HUGE_ASKED];
    shape->huge_asked = shape->huge_possible < HUGE_ASKED ? shape->huge_possible : HUGE_ASKED;
    while (shape->huge_taken < shape->huge_asked) {
        enum kva_status status =
            set->contender->alloc(set->state, &set->requests[FRAMES_BLOCK_ORDER], &first[shape->huge_taken]);
        if (status == KVA_ENOSPC)
            break;
        frames_must(set, status, "an allocation");
        shape->huge_taken++;
    }
    for (size_t i = 0; i < shape->huge_taken; i++)
        frames_must(set, set->contender->free(set->state, first[i]), "a free");
}

struct frames_shape frames_set_shape(struct frames_set *set)
{
    struct frames_shape shape = {
        .huge_free = count_huge(set),
        .huge_possible = (set->frames - set->used) / FRAMES_BLOCK,
        .requests = set->asked,
        .refused = set->refused,
    };
    ask_for_huge(set, &shape);
    return shape;
}

/* ------------------------------------------------------------------------------------------ single frames */

size_t frames_steps(size_t count, size_t most)
{
    size_t half = count / 2 == 0 ? 1 : count / 2;
    return half < most ? half : most;
}

void frames_choose(struct frames_held *held, size_t count, size_t steps, uint64_t *first, struct rng *rng)
{
    for (size_t i = 0; i < steps; i++)
        first[i] = choose_one(held, count - i, rng).first;
}

void frames_replace(const struct frames_set *set, size_t steps, uint64_t *first)
{
    const struct frames_contender *contender = set->contender;
    void *state = set->state;
    for (size_t i = 0; i < steps; i++) {
        enum kva_status status = contender->free(state, first[i]);
        if (status == KVA_OK)
            status = contender->alloc(state, &set->requests[0], &first[i]);
        if (status != KVA_OK)
            frames_must(set, status, "a free and an allocation");
    }
}

void frames_enter(struct frames_held *held, size_t count, size_t steps, const uint64_t *first)
{
    for (size_t i = 0; i < steps; i++)
        held[count - 1 - i].first = (uint32_t)first[i];
}

size_t frames_churn_prepare(struct frames_set *set)
{
    size_t steps = frames_steps(set->count, FRAMES_BATCH);
    frames_choose(set->held, set->count, steps, set->batch.first, &set->rng);
    return steps;
}

uint64_t frames_churn_run(struct frames_set *set, size_t steps)
{
    frames_replace(set, steps, set->batch.first);
    return steps;
}

void frames_churn_finish(struct frames_set *set, size_t steps)
{
    frames_enter(set->held, set->count, steps, set->batch.first);
}

/* ------------------------------------------------------------------------------------------- mixed orders */

/* A step allocates a run of the drawn order if the quota has room for it; until then, steps free. The runs to
 * free are older than the batch. */
size_t frames_mixed_prepare(struct frames_set *set)
{
    uint64_t coming = 0;
    for (size_t i = 0; i < FRAMES_BATCH; i++) {
        uint64_t next = UINT64_C(1) << set->next_order;
        if (set->used + coming + next <= set->quota || set->count == 0) {
            set->batch.order[i] = (unsigned char)set->next_order;
            set->next_order = draw_order(&set->rng);
            coming += next;
        } else {
            set->batch.order[i] = FRAMES_GIVE;
            set->batch.first[i] = pop_random(set).first;
        }
    }
    return FRAMES_BATCH;
}

/* In the long run, half of the steps free and half allocate: two steps are a pair. */
uint64_t frames_mixed_run(struct frames_set *set, size_t steps)
{
    const struct frames_contender *contender = set->contender;
    for (size_t i = 0; i < steps; i++) {
        unsigned char order = set->batch.order[i];
        enum kva_status status =
            order == FRAMES_GIVE ? contender->free(set->state, set->batch.first[i])
                                 : contender->alloc(set->state, &set->requests[order], &set->batch.first[i]);
        if (status == KVA_ENOSPC && order != FRAMES_GIVE)
            set->batch.first[i] = KVA_NO_FRAME;
        else if (status != KVA_OK)
            frames_must(set, status, "a free or an allocation");
    }
    return steps / 2;
}

void frames_mixed_finish(struct frames_set *set, size_t steps)
{
    for (size_t i = 0; i < steps; i++) {
        if (set->batch.order[i] == FRAMES_GIVE)
            continue;
        set->asked++;
        if (set->batch.first[i] == KVA_NO_FRAME)
            set->refused++;
        else
            push(set, set->batch.first[i], set->batch.order[i]);
    }
}
