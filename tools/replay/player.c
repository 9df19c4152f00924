/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "player.h"
#include "../common/clock.h"
#include "copy.h"

#include <kva/ranges.h>
#include <stdlib.h>
#include <string.h>

/** Statistics of one space, as last read. */
struct glance {
    uint64_t busy_segments;
    uint64_t busy_bytes;
    uint64_t memory_bytes;
};

struct player {
    const struct strace_log *log;
    const struct script *script;
    const struct kva_engine *engine;
    struct kva_space *spaces; /* script->spaces of them; initialised between their creation and their end */
    struct glance *glances;   /* as many */
    struct glance sum;        /* over the spaces that exist */
};

struct player *player_create(const struct strace_log *log, const struct script *script,
                             const struct kva_engine *engine)
{
    struct player *player = calloc(1, sizeof *player);
    if (player == NULL)
        return NULL;
    *player = (struct player){.log = log, .script = script, .engine = engine};
    player->spaces = calloc((size_t)script->spaces + 1, sizeof *player->spaces);
    player->glances = calloc((size_t)script->spaces + 1, sizeof *player->glances);
    if (player->spaces == NULL || player->glances == NULL) {
        player_destroy(player);
        return NULL;
    }
    return player;
}

/** Abandon all spaces. This is harmless for a space that is not initialised. */
static void end_all(struct player *player)
{
    for (uint32_t i = 0; i < player->script->spaces; i++) {
        kva_space_abandon(&player->spaces[i]);
        player->glances[i] = (struct glance){0};
    }
    player->sum = (struct glance){0};
}

void player_destroy(struct player *player)
{
    if (player == NULL)
        return;
    if (player->spaces != NULL && player->glances != NULL)
        end_all(player);
    free(player->spaces);
    free(player->glances);
    free(player);
}

/* ----------------------------------------------------------------------------------------------- one step */

/** Result of a call. */
struct answer {
    enum kva_status status;
    uint64_t start; /* the address that it returned; the step's own if it returns none */
    uint64_t bytes; /* the busy bytes that it reported; 0 if it reports none */
};

static inline enum kva_status call(struct kva_space *space, const struct step *step, struct answer *answer)
{
    struct kva_request request;
    switch ((enum step_kind)step->kind) {
    case STEP_ALLOC:
    case STEP_ALLOC_HIGH:
        request = kva_request_of(step->size);
        request.policy = KVA_HIGHEST;
        request.max = step->kind == STEP_ALLOC ? SCRIPT_MMAP_BASE - 1 : SCRIPT_LAST;
        return kva_alloc(space, &request, &answer->start);
    case STEP_RESERVE:
        return kva_reserve(space, step->start, step->size, NULL, NULL);
    case STEP_RESERVE_OVER:
        return kva_reserve_over(space, step->start, step->size, NULL, &answer->bytes);
    case STEP_CLEAR:
        return kva_clear(space, step->start, step->size, &answer->bytes);
    case STEP_RESIZE:
        return kva_resize(space, step->start, step->size);
    case STEP_BEGIN:
    case STEP_FORK:
    case STEP_END:
        break;
    }
    return KVA_EINVAL;
}

/** Make the call of a step; returns whether the result is that of the script. */
static inline bool call_agrees(struct kva_space *spaces, const struct step *step, struct answer *answer)
{
    answer->start = step->start;
    answer->bytes = 0;
    answer->status = call(&spaces[step->space], step, answer);
    return answer->status == (enum kva_status)step->status && answer->start == step->start &&
           answer->bytes == step->bytes;
}

/** Report how the result of a step differs. */
static enum played disagree(const struct player *player, const struct step *step, const struct answer *answer,
                            char message[PLAYER_MESSAGE])
{
    bool counts =
        step->kind == STEP_CLEAR || step->kind == STEP_RESERVE_OVER; /* bytes; others give an address */
    if (answer->status == KVA_ENOMEM) {
        snprintf(message, PLAYER_MESSAGE, "no memory for the nodes");
        return PLAYED_REFUSED;
    }
    snprintf(message, PLAYER_MESSAGE,
             "line %lu of the log: %s, %llu bytes: expected %s, 0x%llx, but it returned %s, 0x%llx",
             (unsigned long)player->log->ops[step->op].line, step_name((enum step_kind)step->kind),
             (unsigned long long)step->size, kva_status_name((enum kva_status)step->status),
             (unsigned long long)(counts ? step->bytes : step->start), kva_status_name(answer->status),
             (unsigned long long)(counts ? answer->bytes : answer->start));
    return PLAYED_WRONG;
}

/** Create a space, empty or as a copy. */
static enum kva_status begin_space(struct player *player, const struct step *step)
{
    struct kva_config config = {.first = SCRIPT_FIRST,
                                .last = SCRIPT_LAST,
                                .quantum = SCRIPT_PAGE,
                                .engine = player->engine,
                                .memory = kva_memory_host()};
    struct kva_space *space = &player->spaces[step->space];
    return step->kind == STEP_FORK ? copy_space(&player->spaces[step->start], &config, space)
                                   : kva_space_init(space, &config);
}

/** A step that creates or destroys a space. */
static enum played live(struct player *player, const struct step *step, char message[PLAYER_MESSAGE])
{
    if (step->kind == STEP_END) {
        kva_space_abandon(&player->spaces[step->space]);
        return PLAYED_OK;
    }
    enum kva_status status = begin_space(player, step);
    if (status == KVA_OK)
        return PLAYED_OK;
    snprintf(message, PLAYER_MESSAGE, "a space cannot be created: %s", kva_status_text(status));
    return status == KVA_ENOMEM ? PLAYED_REFUSED : PLAYED_WRONG;
}

/* ---------------------------------------------------------------------------------------------- measuring */

/** Play the calls from step *at on, up to the next step that is not a call, with the clock running. False:
 *  the result of the call at *at differs. */
static bool measure_calls(const struct player *player, size_t *at, uint64_t *ns, struct answer *answer)
{
    const struct step *steps = player->script->steps;
    size_t count = player->script->count;
    size_t i = *at;
    bool agrees = true;
    uint64_t begin = clock_ns();
    while (i < count && steps[i].kind < STEP_CALLS &&
           (agrees = call_agrees(player->spaces, &steps[i], answer)))
        i++;
    *ns += clock_ns() - begin;
    *at = i;
    return agrees;
}

enum played player_measure(struct player *player, uint64_t *ns, char message[PLAYER_MESSAGE])
{
    const struct script *script = player->script;
    enum played played = PLAYED_OK;
    struct answer answer;
    *ns = 0;
    for (size_t at = 0; played == PLAYED_OK && at < script->count;) {
        if (script->steps[at].kind >= STEP_CALLS)
            played = live(player, &script->steps[at++], message);
        else if (!measure_calls(player, &at, ns, &answer))
            played = disagree(player, &script->steps[at], &answer, message);
    }
    end_all(player);
    return played;
}

/* ---------------------------------------------------------------------------------------------- observing */

static void raise_to(uint64_t *peak, uint64_t value)
{
    if (value > *peak)
        *peak = value;
}

/** Read a space's statistics, and update the sums and peaks. */
static void look(struct player *player, uint32_t number, struct observed *observed)
{
    struct glance *glance = &player->glances[number];
    struct glance *sum = &player->sum;
    struct kva_stats stats = {0};
    bool alive = kva_stats_read(&player->spaces[number], &stats) == KVA_OK;
    sum->busy_segments += stats.busy_segments - glance->busy_segments;
    sum->busy_bytes += stats.busy_bytes - glance->busy_bytes;
    sum->memory_bytes += stats.memory_bytes - glance->memory_bytes;
    *glance = (struct glance){stats.busy_segments, stats.busy_bytes, stats.memory_bytes};
    raise_to(&observed->peak_segments, sum->busy_segments);
    raise_to(&observed->peak_segments_one, stats.busy_segments + stats.free_segments);
    raise_to(&observed->peak_busy_bytes, sum->busy_bytes);
    raise_to(&observed->peak_memory_bytes, sum->memory_bytes);
    if (alive && stats.largest_free < observed->least_largest_hole)
        observed->least_largest_hole = stats.largest_free;
}

/** Add one space to a sample. */
static void sample_space(const struct kva_space *space, const struct kva_stats *stats, struct sample *sample)
{
    struct kva_segment segment;
    bool inner = false; /* a busy segment precedes it */
    uint64_t hole = 0;  /* the hole just before `segment`, if a busy segment precedes it */
    for (enum kva_status s = kva_first(space, &segment); s == KVA_OK; s = kva_next(space, &segment)) {
        if (segment.state == KVA_FREE) {
            hole = inner ? segment.last - segment.start + 1 : 0;
            continue;
        }
        if (hole != 0 && hole < stats->busy_bytes) {
            sample->crumbs++;
            sample->crumb_bytes += hole;
        }
        inner = true;
        hole = 0;
    }
    sample->spaces++;
    sample->busy_segments += stats->busy_segments;
    sample->free_segments += stats->free_segments;
    sample->busy_bytes += stats->busy_bytes;
    sample->free_bytes += stats->free_bytes;
    sample->largest_holes += stats->largest_free;
    raise_to(&sample->largest_hole, stats->largest_free);
}

/** Visit all segments, and check every invariant, of every space. */
static enum played take_sample(const struct player *player, struct sample *sample,
                               char message[PLAYER_MESSAGE])
{
    struct kva_stats stats;
    struct kva_fault fault = {0};
    for (uint32_t i = 0; i < player->script->spaces; i++) {
        const struct kva_space *space = &player->spaces[i];
        if (kva_stats_read(space, &stats) != KVA_OK)
            continue; /* not created yet, or destroyed */
        if (kva_space_check(space, &fault) != KVA_OK) {
            snprintf(message, PLAYER_MESSAGE, "after %llu calls, at 0x%llx: %s",
                     (unsigned long long)sample->calls, (unsigned long long)fault.address, fault.what);
            return PLAYED_WRONG;
        }
        sample_space(space, &stats, sample);
    }
    return PLAYED_OK;
}

/** The number of calls after which sample `index` of `count` is taken; the last one follows all calls. */
static uint64_t sample_moment(uint64_t calls, size_t index, size_t count)
{
    return calls / count * (index + 1) + calls % count * (index + 1) / count;
}

enum played player_observe(struct player *player, struct sample *samples, size_t count,
                           struct observed *observed, char message[PLAYER_MESSAGE])
{
    const struct script *script = player->script;
    enum played played = PLAYED_OK;
    uint64_t calls = 0;
    struct answer answer;
    if (count > script->calls)
        count = script->calls;
    *observed = (struct observed){.least_largest_hole = SCRIPT_LAST - SCRIPT_FIRST + 1};
    for (size_t i = 0; played == PLAYED_OK && i < script->count; i++) {
        const struct step *step = &script->steps[i];
        bool is_call = step->kind < STEP_CALLS;
        if (!is_call)
            played = live(player, step, message);
        else if (!call_agrees(player->spaces, step, &answer))
            played = disagree(player, step, &answer, message);
        look(player, step->space, observed);
        calls += is_call ? 1 : 0;
        if (played != PLAYED_OK || !is_call ||
            calls != sample_moment(script->calls, observed->sample_count, count))
            continue;
        struct sample *sample = &samples[observed->sample_count++];
        *sample = (struct sample){.calls = calls, .op = step->op};
        played = take_sample(player, sample, message);
    }
    end_all(player);
    return played;
}

double sample_fragmentation(const struct sample *sample)
{
    if (sample->free_bytes == 0)
        return 0;
    return 1 - (double)sample->largest_holes / (double)sample->free_bytes;
}
