/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * All schedules of two or three threads of a few operations each, on a tiny frame set (common/schedules.h). A
 * letter of the map is a frame; '#' is an absent one. The result of each call must be one that it could have
 * at some moment between its beginning and its end. kva_frames_alloc_many counts as one request for each run,
 * each at a moment of its own; where it fails, too few runs were free at some moment.
 */
#include "common/schedules.h"

#include <kva/frames.h>
#include <kva/threads.h>

#include <string.h>

enum { THREADS_MOST = 3, STEPS_MOST = 4, BEFORE_MOST = 8, SLOTS = 12, MANY_MOST = 4 };

/** One step of a thread. */
struct step {
    /** A allocate 2^n frames; M the same, movable; C allocate n consecutive frames; N allocate n frames by
     *  one call; R reserve n frames at x; F free; G free n frames from frame x of a run on; P split into
     *  single frames; O take n frames at x offline; U bring n frames at x online; D drain; X find x; S
     *  read the counts; 0: end */
    char what;
    unsigned slot; /* where the first frame of a run is kept */
    unsigned n;
    unsigned x;
};

struct scenario {
    const char *name;
    unsigned frames;
    unsigned block_order;
    unsigned cpus;
    unsigned split; /* where a second zone begins, on node 1; 0: one zone */
    unsigned threads;
    unsigned changes; /* at most; 0: any number */
    /** Done one after the other before the threads begin; x is the CPU of an allocation. */
    struct step before[BEFORE_MOST];
    struct step thread[THREADS_MOST][STEPS_MOST];
};

struct op {
    struct step step;
    enum kva_status status;
    unsigned at; /* the first frame that the operation concerns */
    unsigned obstacle;
    struct kva_frames_found found;
    struct kva_frames_stats stats;
};

struct play {
    const struct scenario *scenario;
    uint64_t first; /* the number of the map's first frame */
    struct kva_threads threads;
    struct kva_frames *frames;
    struct op op[SCHEDULES_OPS];
    uint64_t slot[SLOTS]; /* KVA_NO_FRAME: empty */
    struct schedules_history history;
};

static unsigned unit_of(const struct play *play, uint64_t frame)
{
    return (unsigned)(frame - play->first);
}

static char letter_of(const struct play *play, const struct op *op)
{
    return (char)('A' + (op - play->op));
}

/* --------------------------------------------------------------------------------------------- operations */

static bool takes(char what)
{
    return strchr("AMCR", what) != NULL;
}

static unsigned size_of(const struct step *step)
{
    return step->what == 'A' || step->what == 'M' ? 1U << step->n : step->n;
}

static struct kva_frames_request request_of(const struct step *step)
{
    struct kva_frames_request request = {.type = step->what == 'M' ? KVA_MOVABLE : KVA_UNMOVABLE};

    if (step->what == 'C')
        request.count = step->n;
    else if (step->what != 'N')
        request.order = step->n;
    return request;
}

/** Perform an operation of any kind but N. A slot is filled as soon as its run is allocated, and keeps its
 *  number, so that other threads may free the run twice. */
static void perform(struct play *play, struct op *op)
{
    const struct step *step = &op->step;
    struct kva_frames_request request = request_of(step);
    uint64_t run = play->slot[step->slot], there = play->first + step->x, obstacle = play->first;
    struct kva_frames *frames = play->frames;

    op->at = strchr("FGP", step->what) ? unit_of(play, run) : step->x;
    switch (step->what) {
    case 'A':
    case 'M':
    case 'C':
        op->status = kva_frames_alloc(frames, &request, &there);
        op->at = unit_of(play, there);
        break;
    case 'R':
        op->status = kva_frames_reserve(frames, there, step->n, KVA_MOVABLE, &obstacle);
        break;
    case 'F':
        op->status = kva_frames_free(frames, run);
        break;
    case 'G':
        op->at += step->x;
        op->status = kva_frames_free_range(frames, run + step->x, step->n);
        break;
    case 'P':
        op->status = kva_frames_split(frames, run);
        break;
    case 'O':
        op->status = kva_frames_offline(frames, there, step->n, &obstacle);
        break;
    case 'U':
        op->status = kva_frames_online(frames, there, step->n, &obstacle);
        break;
    case 'D':
        op->status = kva_frames_drain(frames);
        break;
    case 'S':
        op->status = kva_frames_stats_read(frames, KVA_FRAMES_ALL_ZONES, &op->stats);
        break;
    default:
        op->status = kva_frames_find(frames, there, &op->found);
        break;
    }
    op->obstacle = unit_of(play, obstacle);
    if (takes(step->what) && op->status == KVA_OK)
        play->slot[step->slot] = there;
}

/** Each run is an operation of its own, and lasts as long as the call. */
static void take_many(struct play *play, const struct step *step)
{
    struct kva_frames_request request = request_of(step);
    struct schedules_history *history = &play->history;
    uint64_t firsts[MANY_MOST];
    unsigned call = schedules_begin(history);
    enum kva_status status = kva_frames_alloc_many(play->frames, &request, step->n, firsts);

    for (unsigned i = 0; i < (status == KVA_OK ? step->n : 1); i++) {
        unsigned number = i == 0 ? call : schedules_begin(history);
        history->began[number] = history->began[call];
        play->op[number] = (struct op){.step = *step, .status = status};
        if (status == KVA_OK) {
            play->op[number].at = unit_of(play, firsts[i]);
            play->slot[step->slot + i] = firsts[i];
        }
        schedules_end(history, number);
    }
}

static void do_step(struct play *play, const struct step *step)
{
    bool wants_slot = step->what == 'F' || step->what == 'G';

    if (wants_slot && play->slot[step->slot] == KVA_NO_FRAME)
        return; /* no run to free */
    if (step->what == 'N') {
        take_many(play, step);
        return;
    }
    unsigned number = schedules_begin(&play->history);
    play->op[number] = (struct op){.step = *step};
    perform(play, &play->op[number]);
    schedules_end(&play->history, number);
}

static void body(void *context, unsigned thread)
{
    struct play *play = context;
    const struct step *step = play->scenario->thread[thread];

    for (unsigned i = 0; i < STEPS_MOST && step[i].what; i++)
        do_step(play, &step[i]);
}

/** 'S' where a run starts, 's' where it continues; the set does not know the owners of runs. */
static void picture(struct play *play)
{
    struct kva_frames_found found;

    for (unsigned i = 0; i < play->scenario->frames; i++) {
        assert_int_equal(kva_frames_find(play->frames, play->first + i, &found), KVA_OK);
        if (found.state == KVA_FRAMES_USED)
            play->history.found[i] = found.first == play->first + i ? 'S' : 's';
        else
            play->history.found[i] = found.state == KVA_FRAMES_FREE ? '.' : '#';
    }
    play->history.found[play->scenario->frames] = '\0';
}

/* ------------------------------------------------------------------------------------------ serial orders */

static bool is_all(const char *at, unsigned n, char letter)
{
    while (n > 0 && at[n - 1] == letter)
        n--;
    return n == 0;
}

/** Whether the frames [at, at + n) lie in one zone. */
static bool is_in_one_zone(const struct scenario *scenario, unsigned at, unsigned n)
{
    return at + n <= scenario->frames && (at >= scenario->split || at + n <= scenario->split);
}

/** Whether the map has room at this frame for one run of the request. */
static bool has_place_at(const struct play *play, const char *map, const struct step *step, unsigned at)
{
    unsigned size = step->what == 'N' ? 1 : size_of(step);
    uint64_t align = step->what == 'A' || step->what == 'M' ? size : 1;

    return is_in_one_zone(play->scenario, at, size) && is_all(map + at, size, '.') &&
           ((play->first + at) & (align - 1)) == 0;
}

static unsigned places(const struct play *play, const char *map, const struct step *step)
{
    unsigned count = 0;

    for (unsigned at = 0; at < play->scenario->frames; at++)
        count += has_place_at(play, map, step, at);
    return count;
}

static bool explain_alloc(const struct play *play, char *map, const struct op *op)
{
    unsigned size = op->step.what == 'N' ? 1 : size_of(&op->step);

    if (op->status == KVA_ENOSPC)
        return places(play, map, &op->step) < (op->step.what == 'N' ? op->step.n : 1);
    if (op->status != KVA_OK || !has_place_at(play, map, &op->step, op->at))
        return false;
    memset(map + op->at, letter_of(play, op), size);
    return true;
}

/** Whether the reported obstacle is the lowest frame in the way. */
static bool is_obstacle(const struct op *op, const char *map, bool (*stands)(char c))
{
    unsigned at = op->at;

    while (at < op->at + op->step.n && !stands(map[at]))
        at++;
    return at < op->at + op->step.n && at == op->obstacle;
}

static bool is_present(char c)
{
    return c != '#';
}

/** Reserve, offline, online: the whole range changes at one moment. */
static bool explain_range(const struct play *play, char *map, const struct op *op)
{
    bool adds = op->step.what == 'U';
    bool meets_hole = memchr(map + op->at, '#', op->step.n) != NULL;
    char after = op->step.what == 'R' ? letter_of(play, op) : adds ? '.' : '#';

    if (op->status == KVA_ERANGE)
        return meets_hole && !adds;
    if (op->status == (op->step.what == 'O' ? KVA_EBUSY : KVA_EEXIST))
        return is_obstacle(op, map, adds ? is_present : map_is_used);
    if (op->status != KVA_OK || !is_all(map + op->at, op->step.n, adds ? '#' : '.'))
        return false;
    memset(map + op->at, after, op->step.n);
    return true;
}

static bool is_inside(const char *map, unsigned at)
{
    return at > 0 && map_is_used(map[at]) && map[at - 1] == map[at];
}

/** A refused free or split. */
static bool explain_refusal(const char *map, const struct op *op)
{
    if (op->status == KVA_EDOUBLE)
        return map[op->at] == '.';
    if (op->status == KVA_EUNKNOWN)
        return map[op->at] == '#';
    return op->status == KVA_EINTERIOR && is_inside(map, op->at);
}

static bool explain_free(char *map, const struct op *op)
{
    char *at = map + op->at;

    if (op->status != KVA_OK)
        return explain_refusal(map, op);
    if (!map_is_used(*at) || is_inside(map, op->at))
        return false;
    memset(at, '.', map_run(at));
    return true;
}

/** Single frames alternate between two letters that no operation has, so that two neighbours do not look
 *  like a run. */
static bool explain_split(char *map, const struct op *op)
{
    if (op->status != KVA_OK)
        return explain_refusal(map, op);
    if (!map_is_used(map[op->at]) || is_inside(map, op->at))
        return false;
    for (unsigned at = op->at, end = at + map_run(map + at); at < end; at++)
        map[at] = at % 2 != 0 ? 'Y' : 'Z';
    return true;
}

static bool explain_free_range(char *map, const struct op *op)
{
    char *at = map + op->at;

    if (op->status == KVA_EDOUBLE)
        return *at == '.';
    if (op->status == KVA_EUNKNOWN)
        return *at == '#';
    if (!map_is_used(*at))
        return false;
    if (op->status == KVA_ERANGE)
        return map_run(at) < op->step.n;
    if (op->status != KVA_OK || map_run(at) < op->step.n)
        return false;
    memset(at, '.', op->step.n);
    return true;
}

static bool explain_find(const struct play *play, const char *map, const struct op *op)
{
    unsigned at = op->at;

    if (op->status != KVA_OK)
        return false;
    if (op->found.state == KVA_FRAMES_ABSENT)
        return map[at] == '#';
    if (op->found.state == KVA_FRAMES_FREE)
        return map[at] == '.';
    while (is_inside(map, at))
        at--;
    return map_is_used(map[at]) && op->found.first == play->first + at &&
           op->found.count == map_run(map + at);
}

static bool explain_count(const char *map, const struct op *op)
{
    uint64_t free_frames = 0, absent = 0, used = 0;

    for (; *map; map++) {
        free_frames += *map == '.';
        absent += *map == '#';
        used += map_is_used(*map);
    }
    return op->status == KVA_OK && op->stats.free_frames == free_frames &&
           op->stats.absent_frames == absent && op->stats.used_frames == used;
}

static bool explain(const void *context, char *map, unsigned number)
{
    const struct play *play = context;
    const struct op *op = &play->op[number];

    switch (op->step.what) {
    case 'A':
    case 'M':
    case 'C':
    case 'N':
        return explain_alloc(play, map, op);
    case 'R':
    case 'O':
    case 'U':
        return explain_range(play, map, op);
    case 'F':
        return explain_free(map, op);
    case 'G':
        return explain_free_range(map, op);
    case 'P':
        return explain_split(map, op);
    case 'D':
        return op->status == KVA_OK;
    case 'S':
        return explain_count(map, op);
    default:
        return explain_find(play, map, op);
    }
}

static bool matches(const char *map, const char *found)
{
    for (unsigned i = 0; map[i]; i++) {
        char wanted = !map_is_used(map[i]) ? map[i] : is_inside(map, i) ? 's' : 'S';
        if (found[i] != wanted)
            return false;
    }
    return true;
}

static void show(const void *context, unsigned number)
{
    const struct play *play = context;
    const struct op *op = &play->op[number];

    print_message("%c slot %u n %u x %u: %s at %u, obstacle %u, state %d\n", op->step.what, op->step.slot,
                  op->step.n, op->step.x, kva_status_name(op->status), op->at, op->obstacle,
                  (int)op->found.state);
}

/* ---------------------------------------------------------------------------------------------- scenarios */

static const struct scenario scenarios[] = {
    {.name = "two threads want the last frame",
     .frames = 8,
     .block_order = 2,
     .cpus = 2,
     .threads = 2,
     .changes = 4,
     .before = {{'C', 0, 7, 0}},
     .thread = {{{'A', 1, 0, 0}, {'F', 1, 0, 0}}, {{'A', 2, 0, 0}}}},
    {.name = "the last frame lies in the other CPU's block",
     .frames = 8,
     .block_order = 2,
     .cpus = 2,
     .threads = 2,
     .changes = 4,
     .before = {{'A', 0, 2, 0}, {'A', 1, 0, 1}, {'A', 2, 0, 1}, {'A', 3, 0, 1}},
     .thread = {{{'A', 4, 0, 0}}, {{'F', 3, 0, 0}, {'A', 5, 0, 0}}}},
    {.name = "there is always a free frame, and a request finds it",
     .frames = 8,
     .block_order = 1,
     .cpus = 3,
     .threads = 3,
     .changes = 2,
     .before = {{'C', 0, 4, 0}, {'A', 1, 0, 1}, {'A', 2, 0, 2}, {'A', 3, 0, 0}},
     .thread = {{{'A', 4, 0, 0}}, {{'F', 1, 0, 0}, {'A', 5, 0, 0}}, {{'F', 2, 0, 0}}}},
    {.name = "neighbours in a block are freed at the same time",
     .frames = 8,
     .block_order = 2,
     .cpus = 2,
     .threads = 2,
     .changes = 4,
     .before = {{'A', 0, 2, 0}, {'A', 1, 0, 0}, {'A', 2, 0, 0}, {'A', 3, 1, 0}},
     .thread = {{{'F', 1, 0, 0}, {'A', 4, 1, 0}}, {{'F', 2, 0, 0}, {'F', 3, 0, 0}}}},
    {.name = "a large request runs while a block becomes whole",
     .frames = 8,
     .block_order = 2,
     .cpus = 2,
     .threads = 2,
     .changes = 4,
     .before = {{'A', 0, 2, 0}, {'A', 1, 1, 0}, {'A', 2, 1, 0}},
     .thread = {{{'A', 3, 2, 0}}, {{'F', 1, 0, 0}, {'F', 2, 0, 0}}}},
    {.name = "a large request, and a small one that spoils the block",
     .frames = 12,
     .block_order = 2,
     .cpus = 2,
     .threads = 2,
     .changes = 4,
     .before = {{'A', 0, 2, 0}, {'A', 1, 2, 0}},
     .thread = {{{'A', 2, 2, 0}, {'F', 2, 0, 0}}, {{'M', 3, 0, 0}, {'F', 3, 0, 0}}}},
    {.name = "a double free by two threads",
     .frames = 8,
     .block_order = 2,
     .cpus = 2,
     .threads = 2,
     .before = {{'A', 0, 1, 0}},
     .thread = {{{'F', 0, 0, 0}, {'X', 0, 0, 0}}, {{'F', 0, 0, 0}, {'X', 0, 0, 1}}}},
    {.name = "a double free of whole blocks, and a request for them",
     .frames = 8,
     .block_order = 1,
     .cpus = 2,
     .threads = 3,
     .changes = 2,
     .before = {{'A', 0, 2, 0}, {'A', 1, 2, 0}},
     .thread = {{{'F', 0, 0, 0}}, {{'F', 0, 0, 0}}, {{'A', 2, 2, 0}}}},
    {.name = "part of a run is freed while all of it is",
     .frames = 8,
     .block_order = 2,
     .cpus = 2,
     .threads = 2,
     .before = {{'C', 0, 3, 0}},
     .thread = {{{'G', 0, 1, 1}, {'X', 0, 0, 2}}, {{'F', 0, 0, 0}, {'X', 0, 0, 0}}}},
    {.name = "parts of a run over three blocks",
     .frames = 8,
     .block_order = 1,
     .cpus = 2,
     .threads = 2,
     .changes = 3,
     .before = {{'C', 0, 6, 0}},
     .thread = {{{'G', 0, 3, 0}, {'A', 1, 1, 0}}, {{'G', 0, 2, 3}, {'F', 0, 0, 0}}}},
    {.name = "a run over blocks is freed, and its blocks are allocated one after the other",
     .frames = 8,
     .block_order = 1,
     .cpus = 2,
     .threads = 2,
     .changes = 4,
     .before = {{'C', 0, 6, 0}, {'A', 1, 1, 0}},
     .thread = {{{'F', 0, 0, 0}}, {{'A', 2, 1, 0}, {'A', 3, 1, 0}, {'C', 4, 2, 0}}}},
    {.name = "part of a run over blocks is freed, and its blocks are allocated",
     .frames = 8,
     .block_order = 1,
     .cpus = 2,
     .threads = 2,
     .changes = 4,
     .before = {{'C', 0, 7, 0}, {'A', 1, 0, 0}},
     .thread = {{{'G', 0, 4, 1}}, {{'A', 2, 0, 0}, {'A', 3, 0, 0}, {'A', 4, 1, 0}}}},
    {.name = "a run over blocks is split while it is freed by its first frame",
     .frames = 8,
     .block_order = 1,
     .cpus = 2,
     .threads = 2,
     .changes = 4,
     .before = {{'C', 0, 6, 0}},
     .thread = {{{'P', 0, 0, 0}, {'X', 0, 0, 3}}, {{'F', 0, 0, 0}, {'X', 0, 0, 4}, {'A', 1, 1, 0}}}},
    {.name = "a run over blocks is split while a part of it is freed",
     .frames = 8,
     .block_order = 1,
     .cpus = 2,
     .threads = 2,
     .changes = 4,
     .before = {{'C', 0, 7, 0}},
     .thread = {{{'P', 0, 0, 0}, {'F', 0, 0, 0}}, {{'G', 0, 2, 3}, {'X', 0, 0, 6}, {'S', 0, 0, 0}}}},
    {.name = "blocks come online, and are allocated one after the other",
     .frames = 8,
     .block_order = 1,
     .cpus = 2,
     .threads = 2,
     .changes = 4,
     .before = {{'O', 0, 4, 4}, {'A', 0, 2, 0}},
     .thread = {{{'U', 0, 4, 4}}, {{'A', 1, 1, 0}, {'A', 2, 1, 0}}}},
    {.name = "a run over blocks is found while it is freed and its frames are allocated again",
     .frames = 8,
     .block_order = 1,
     .cpus = 2,
     .threads = 2,
     .changes = 3,
     .before = {{'C', 0, 6, 0}},
     .thread = {{{'X', 0, 0, 2}, {'X', 0, 0, 5}}, {{'F', 0, 0, 0}, {'C', 1, 5, 0}, {'A', 2, 0, 0}}}},
    {.name = "a reserve and a request",
     .frames = 8,
     .block_order = 2,
     .cpus = 2,
     .threads = 2,
     .changes = 4,
     .before = {{'A', 0, 0, 0}, {'A', 1, 0, 1}},
     .thread = {{{'R', 2, 3, 3}, {'F', 2, 0, 0}}, {{'A', 3, 1, 0}, {'F', 0, 0, 0}}}},
    {.name = "two threads reserve overlapping ranges",
     .frames = 8,
     .block_order = 1,
     .cpus = 2,
     .threads = 2,
     .changes = 3,
     .thread = {{{'R', 0, 4, 1}, {'S', 0, 0, 0}}, {{'R', 1, 4, 3}, {'X', 0, 0, 4}}}},
    {.name = "consecutive frames over blocks, and single frames",
     .frames = 8,
     .block_order = 1,
     .cpus = 2,
     .threads = 2,
     .changes = 3,
     .before = {{'A', 0, 0, 0}},
     .thread = {{{'C', 1, 5, 0}, {'F', 1, 0, 0}}, {{'A', 2, 0, 0}, {'F', 0, 0, 0}}}},
    {.name = "frames go offline while others are allocated",
     .frames = 8,
     .block_order = 2,
     .cpus = 2,
     .threads = 2,
     .changes = 4,
     .before = {{'A', 0, 2, 0}},
     .thread = {{{'O', 0, 2, 4}, {'U', 0, 2, 4}}, {{'A', 1, 0, 0}, {'F', 1, 0, 0}}}},
    {.name = "frames come online while a request looks for them",
     .frames = 8,
     .block_order = 1,
     .cpus = 2,
     .threads = 2,
     .changes = 3,
     .before = {{'O', 0, 4, 4}, {'A', 0, 2, 0}},
     .thread = {{{'U', 0, 2, 5}, {'S', 0, 0, 0}}, {{'A', 1, 1, 0}, {'A', 2, 0, 0}}}},
    {.name = "a hole is filled while another thread meets it",
     .frames = 8,
     .block_order = 2,
     .cpus = 2,
     .threads = 2,
     .changes = 4,
     .before = {{'O', 0, 2, 4}},
     .thread = {{{'U', 0, 2, 4}}, {{'R', 1, 2, 4}, {'O', 0, 2, 4}}}},
    {.name = "a drain while others allocate and free",
     .frames = 8,
     .block_order = 2,
     .cpus = 2,
     .threads = 2,
     .changes = 4,
     .before = {{'A', 0, 0, 0}, {'A', 1, 0, 1}},
     .thread = {{{'D', 0, 0, 0}, {'A', 2, 2, 0}}, {{'F', 1, 0, 0}, {'A', 3, 0, 0}}}},
    {.name = "many frames by one call, while another thread frees one",
     .frames = 8,
     .block_order = 1,
     .cpus = 2,
     .threads = 2,
     .changes = 3,
     .before = {{'C', 0, 4, 0}, {'A', 1, 0, 1}},
     .thread = {{{'N', 4, 3, 0}}, {{'F', 1, 0, 0}, {'S', 0, 0, 0}}}},
    {.name = "the counts while frames are allocated and freed",
     .frames = 8,
     .block_order = 1,
     .cpus = 2,
     .threads = 2,
     .changes = 4,
     .before = {{'A', 0, 0, 0}},
     .thread = {{{'S', 0, 0, 0}}, {{'A', 1, 1, 0}, {'F', 0, 0, 0}}}},
    {.name = "a movable run and an unmovable one for the last block",
     .frames = 4,
     .block_order = 1,
     .cpus = 2,
     .threads = 2,
     .changes = 4,
     .before = {{'A', 0, 0, 0}},
     .thread = {{{'M', 1, 0, 0}, {'F', 1, 0, 0}}, {{'A', 2, 1, 0}, {'F', 0, 0, 0}}}},
    {.name = "two zones: the last frame is on the other node",
     .frames = 8,
     .block_order = 2,
     .cpus = 2,
     .split = 3,
     .threads = 2,
     .changes = 4,
     .before = {{'A', 0, 1, 0}, {'R', 1, 4, 3}},
     .thread = {{{'A', 2, 0, 0}, {'F', 2, 0, 0}}, {{'A', 3, 0, 0}, {'F', 1, 0, 0}}}},
    {.name = "three threads, one CPU's blocks",
     .frames = 6,
     .block_order = 1,
     .cpus = 1,
     .threads = 3,
     .changes = 3,
     .before = {{'A', 0, 1, 0}, {'A', 1, 0, 0}},
     .thread = {{{'A', 2, 0, 0}, {'F', 2, 0, 0}}, {{'F', 1, 0, 0}}, {{'A', 3, 1, 0}}}},
};

/** The zones of a scenario; returns their number. */
static size_t zones_of(const struct play *play, struct kva_frames_zone zone[2])
{
    const struct scenario *scenario = play->scenario;
    uint64_t end = play->first + scenario->frames;

    zone[0] = (struct kva_frames_zone){.start = play->first, .end = end};
    if (scenario->split == 0)
        return 1;
    zone[0].end = play->first + scenario->split;
    zone[1] = (struct kva_frames_zone){.start = zone[0].end, .end = end, .node = 1};
    return 2;
}

static void set_up(void *context, struct kva_turns *turns)
{
    struct play *play = context;
    const struct scenario *scenario = play->scenario;
    struct kva_frames_zone zone[2];
    struct kva_frames_config config = {.zones = zone,
                                       .zone_count = zones_of(play, zone),
                                       .block_order = scenario->block_order,
                                       .memory = kva_memory_host(),
                                       .cpus = scenario->cpus,
                                       .threads = &play->threads};

    play->threads = kva_turns_threads(turns);
    play->history = (struct schedules_history){
        .units = scenario->frames, .context = play, .explain = explain, .matches = matches, .show = show};
    for (unsigned i = 0; i < SLOTS; i++)
        play->slot[i] = KVA_NO_FRAME;
    assert_int_equal(kva_frames_create(&config, &play->frames), KVA_OK);
    for (unsigned i = 0; i < BEFORE_MOST && scenario->before[i].what; i++) {
        const struct step *step = &scenario->before[i];
        kva_turns_set_cpu(turns, strchr("AMC", step->what) ? step->x : 0);
        do_step(play, step);
    }
}

static void look_back(void *context, uint64_t schedule)
{
    struct play *play = context;
    struct kva_fault fault;
    enum kva_status status = kva_frames_check(play->frames, &fault);

    check_that(status == KVA_OK, "%s, from %#" PRIx64 ", schedule %" PRIu64 ": %s at %#" PRIx64,
               play->scenario->name, play->first, schedule, fault.what, fault.address);
    picture(play);
    schedules_expect_order(&play->history, play->scenario->name, schedule);
    assert_int_equal(kva_frames_destroy(play->frames), KVA_OK);
}

static uint64_t enumerate(struct play *play)
{
    const struct schedules schedules = {.name = play->scenario->name,
                                        .threads = play->scenario->threads,
                                        .changes = play->scenario->changes,
                                        .set_up = set_up,
                                        .body = body,
                                        .look_back = look_back,
                                        .context = play};

    return schedules_run(&schedules);
}

/** On a set that begins at `first`; KVA_NO_FRAME: on one that ends there. */
static void run_all(uint64_t first)
{
    static struct play play;
    uint64_t sum = 0;

    for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        play.scenario = &scenarios[i];
        play.first = first != KVA_NO_FRAME ? first : KVA_NO_FRAME - play.scenario->frames;
        sum += enumerate(&play);
    }
    print_message("%8" PRIu64 " schedules\n", sum);
}

static void every_schedule_has_a_serial_order(void **state)
{
    (void)state;
    run_all(0x1000);
}

/** The same where the zone is not aligned to blocks, and its last frame is the largest number. */
static void every_schedule_at_the_top_has_a_serial_order(void **state)
{
    (void)state;
    run_all(KVA_NO_FRAME);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_schedule_has_a_serial_order),
        cmocka_unit_test(every_schedule_at_the_top_has_a_serial_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
