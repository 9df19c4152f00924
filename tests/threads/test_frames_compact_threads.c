/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Compaction beside other threads: random traffic, and all schedules of two threads on tiny sets. Owners keep
 * a table of their runs under a lock, like owners of memory, and the move callback updates it. Each frame has
 * contents, which move with its run.
 */
#include "common/schedules.h"
#include "stamps.h"

#include "../../ports/test/yielding.h"

#include <kva/frames.h>
#include <kva/threads.h>

#include <pthread.h>
#include <string.h>

enum { FRAMES = 2048, BASE = 0x100000, HELD = 48, THREADS_MOST = 8 };

/** A run as its owner knows it. id 0: none. */
struct run {
    uint64_t first;
    uint64_t count;
    unsigned id;
    bool movable;
};

/* ------------------------------------------------------------------------------------------------ traffic */

struct crowd {
    struct kva_frames *frames;
    struct kva_threads threads;
    unsigned block_order;
    uint64_t operations;  /* of each thread */
    pthread_mutex_t lock; /* of all fields below */
    unsigned ids;
    struct run *owner[FRAMES]; /* of the run that begins with a frame */
    unsigned contents[FRAMES]; /* the run's id; 0: no owner */
    struct test_rng rng;
    uint64_t moved;
    uint64_t refused;
};

struct worker {
    struct crowd *crowd;
    struct test_rng rng;
    struct run held[HELD];
    bool compacts;
    pthread_t thread;
};

static void lock(struct crowd *crowd)
{
    must(pthread_mutex_lock(&crowd->lock) == 0);
}

static void unlock(struct crowd *crowd)
{
    must(pthread_mutex_unlock(&crowd->lock) == 0);
}

/** With the lock: change the contents of the frames [first, first + count). */
static void write_contents(struct crowd *crowd, uint64_t first, uint64_t count, unsigned from, unsigned to)
{
    for (uint64_t i = 0; i < count; i++) {
        must(crowd->contents[first - BASE + i] == from);
        crowd->contents[first - BASE + i] = to;
    }
}

/** With the lock. */
static void move_contents(struct crowd *crowd, struct run *run, uint64_t to)
{
    write_contents(crowd, to, run->count, 0, run->id);
    write_contents(crowd, run->first, run->count, run->id, 0);
    crowd->owner[run->first - BASE] = NULL;
    run->first = to;
    crowd->owner[to - BASE] = run;
    crowd->moved++;
}

/** A run without an owner was freed, is about to be freed, or was just allocated. */
static enum kva_frames_moved move(void *context, uint64_t from, uint64_t to, uint64_t count)
{
    struct crowd *crowd = context;
    enum kva_frames_moved outcome = KVA_FRAMES_GONE;

    lock(crowd);
    struct run *run = crowd->owner[from - BASE];
    if (run) {
        must(run->first == from && run->count == count && run->movable);
        outcome = KVA_FRAMES_MOVED;
        if (test_one_in(&crowd->rng, 8))
            outcome = test_one_in(&crowd->rng, 2) ? KVA_FRAMES_PINNED : KVA_FRAMES_BUSY;
    }
    if (outcome == KVA_FRAMES_MOVED)
        move_contents(crowd, run, to);
    else
        crowd->refused++;
    unlock(crowd);
    return outcome;
}

/** From now on a run may be moved. */
static void own(struct crowd *crowd, struct run *run)
{
    lock(crowd);
    run->id = ++crowd->ids;
    write_contents(crowd, run->first, run->count, 0, run->id);
    crowd->owner[run->first - BASE] = run;
    unlock(crowd);
}

/** From now on the run may not be moved. */
static void disown(struct crowd *crowd, struct run *run)
{
    lock(crowd);
    must(crowd->owner[run->first - BASE] == run);
    crowd->owner[run->first - BASE] = NULL;
    write_contents(crowd, run->first, run->count, run->id, 0);
    unlock(crowd);
}

static void take(struct worker *worker, struct run *run)
{
    struct crowd *crowd = worker->crowd;
    struct test_rng *rng = &worker->rng;
    unsigned most = test_one_in(rng, 6) ? crowd->block_order + 1 : 3;
    struct kva_frames_request request = {.order = (unsigned)test_below(rng, most),
                                         .type = test_one_in(rng, 12) ? KVA_UNMOVABLE : KVA_MOVABLE,
                                         .flags = test_one_in(rng, 2) ? KVA_FRAMES_COMPACT : 0};
    uint64_t first;
    enum kva_status status = kva_frames_alloc(crowd->frames, &request, &first);

    must(status == KVA_OK || status == KVA_ENOSPC);
    if (status != KVA_OK)
        return;
    *run = (struct run){
        .first = first, .count = UINT64_C(1) << request.order, .movable = request.type == KVA_MOVABLE};
    own(crowd, run);
}

static void give(struct crowd *crowd, struct run *run)
{
    disown(crowd, run);
    must(kva_frames_free(crowd->frames, run->first) == KVA_OK);
    run->id = 0;
}

/** Free the tail of a run. The set refuses while the run is being moved. */
static void give_tail(struct worker *worker, struct run *run)
{
    struct crowd *crowd = worker->crowd;
    enum kva_status status;

    disown(crowd, run);
    uint64_t head = 1 + test_below(&worker->rng, run->count - 1);
    do {
        status = kva_frames_free_range(crowd->frames, run->first + head, run->count - head);
        must(status == KVA_OK || status == KVA_EBUSY);
    } while (status != KVA_OK);
    run->count = head;
    own(crowd, run);
}

/** The run and its contents are where the owner expects them. */
static void look_at(struct crowd *crowd, const struct run *run)
{
    struct kva_frames_found found;

    lock(crowd);
    for (uint64_t i = 0; i < run->count; i++)
        must(crowd->contents[run->first - BASE + i] == run->id);
    must(kva_frames_find(crowd->frames, run->first + (run->count - 1), &found) == KVA_OK);
    must(found.state == KVA_FRAMES_USED && found.first == run->first && found.count == run->count);
    unlock(crowd);
}

static void act(struct worker *worker)
{
    struct run *run = &worker->held[test_below(&worker->rng, HELD)];
    uint64_t which = test_below(&worker->rng, 8);

    if (run->id == 0)
        take(worker, run);
    else if (which < 4)
        give(worker->crowd, run);
    else if (which < 5 && run->count > 1)
        give_tail(worker, run);
    else
        look_at(worker->crowd, run);
}

static void compact(struct worker *worker)
{
    struct crowd *crowd = worker->crowd;
    struct kva_frames_compacted done;
    unsigned order = test_one_in(&worker->rng, 2)
                         ? KVA_FRAMES_ALL_BLOCKS
                         : (unsigned)test_below(&worker->rng, crowd->block_order + 1);
    uint64_t most = test_one_in(&worker->rng, 2) ? UINT64_MAX : test_below(&worker->rng, 100);

    must(kva_frames_compact(crowd->frames, test_one_in(&worker->rng, 2) ? KVA_FRAMES_ALL_ZONES : 1, order,
                            most, &done) == KVA_OK);
    must(done.moved_frames >= done.moved_runs);
    if (test_one_in(&worker->rng, 8))
        must(kva_frames_check(crowd->frames, NULL) == KVA_OK);
}

static void *work(void *context)
{
    struct worker *worker = context;

    for (uint64_t i = 0; i < worker->crowd->operations; i++) {
        if (worker->compacts && i % 16 == 0)
            compact(worker);
        act(worker);
    }
    for (size_t i = 0; i < HELD; i++) {
        if (worker->held[i].id != 0)
            give(worker->crowd, &worker->held[i]);
    }
    return NULL;
}

/** Two zones that share a block, and a hole. */
static void make_set(struct crowd *crowd)
{
    struct kva_frames_zone zones[] = {{BASE + 3, BASE + 1001, 0}, {BASE + 1001, BASE + FRAMES - 5, 0}};
    struct kva_frames_range hole = {BASE + 500, 20};
    struct kva_frames_config config = {.zones = zones,
                                       .zone_count = 2,
                                       .holes = &hole,
                                       .hole_count = 1,
                                       .block_order = crowd->block_order,
                                       .memory = kva_memory_host(),
                                       .threads = &crowd->threads,
                                       .move = move,
                                       .move_context = crowd};

    assert_int_equal(kva_frames_create(&config, &crowd->frames), KVA_OK);
}

static void expect_empty(struct crowd *crowd)
{
    struct kva_frames_stats stats;

    assert_int_equal(kva_frames_check(crowd->frames, NULL), KVA_OK);
    assert_int_equal(kva_frames_stats_read(crowd->frames, KVA_FRAMES_ALL_ZONES, &stats), KVA_OK);
    assert_int_equal(stats.used_frames, 0);
    assert_int_equal(stats.moved_runs, crowd->moved);
    for (size_t i = 0; i < FRAMES; i++)
        assert_int_equal(crowd->contents[i], 0);
}

/** How many runs were moved, and how many moves the callback refused. */
struct tally {
    uint64_t moved;
    uint64_t refused;
};

static struct tally run(unsigned threads, unsigned compacting, unsigned block_order, uint64_t operations)
{
    static struct worker workers[THREADS_MOST];
    static struct crowd crowd;

    memset(&crowd, 0, sizeof(crowd));
    memset(workers, 0, sizeof(workers));
    crowd.threads = kva_yielding_threads(8, 3);
    crowd.block_order = block_order;
    crowd.operations = test_scaled(operations);
    crowd.rng = test_rng_of(700 + block_order);
    assert_int_equal(pthread_mutex_init(&crowd.lock, NULL), 0);
    make_set(&crowd);
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (struct worker){
            .crowd = &crowd, .rng = test_rng_of(800 + 10 * block_order + i), .compacts = i < compacting};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < threads; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    print_message("%u threads, blocks of %u: %" PRIu64 " runs moved, %" PRIu64 " refused\n", threads,
                  1U << block_order, crowd.moved, crowd.refused);
    expect_empty(&crowd);
    assert_int_equal(kva_frames_destroy(crowd.frames), KVA_OK);
    assert_int_equal(pthread_mutex_destroy(&crowd.lock), 0);
    return (struct tally){crowd.moved, crowd.refused};
}

/** Which runs move depends on timing. At full scale some are moved and some refused, over all crowds
 *  together. */
static void traffic_beside_compaction(void **state)
{
    (void)state;
    static const struct {
        unsigned threads;
        unsigned compacting;
        unsigned block_order;
        uint64_t operations;
    } crowds[] = {{2, 1, 3, 20000}, {4, 1, 5, 10000}, {8, 2, 6, 5000}, {4, 4, 2, 5000}, {4, 1, 9, 10000}};
    struct tally all = {0, 0};

    for (size_t i = 0; i < sizeof(crowds) / sizeof(crowds[0]); i++) {
        struct tally tally =
            run(crowds[i].threads, crowds[i].compacting, crowds[i].block_order, crowds[i].operations);
        all.moved += tally.moved;
        all.refused += tally.refused;
    }
    if (test_stride() == 1)
        check_that(all.moved > 0 && all.refused > 0,
                   "moves and refusals expected; found %" PRIu64 " moves, %" PRIu64 " refusals", all.moved,
                   all.refused);
}

/* ---------------------------------------------------------------------------------------------- schedules */

enum { UNITS_MOST = 16, RUNS_MOST = 12, BLOCK_ORDER = 2 };

/**
 * PROGRAMS. What a thread does, one letter after the other:
 *
 *      C   compact all blocks            c   move at most one frame      B   compact for one free block
 *      0 ..  free that run               P   free the last frame of run 0
 *      S   allocate a frame              G   allocate a block            (both must succeed)
 *      g   allocate a block, with compaction, which may fail
 *      D   free run 0 twice
 *      E   evacuate the first block
 *      X   find run 0                    T   read the statistics
 */
struct scenario {
    const char *name;
    const char *picture; /* R r: a movable run */
    const char *program[2];
    unsigned changes;
    unsigned free_blocks; /* at the end, at least */
};

struct stage {
    const struct scenario *scenario;
    uint64_t first;
    struct kva_threads threads;
    struct kva_frames *frames;
    unsigned runs;
    struct run run[RUNS_MOST + 8]; /* those of the picture, and those allocated by the programs */
    unsigned contents[UNITS_MOST];
    bool held; /* run 0 must not be moved now */
};

static void fill(struct stage *stage, const struct run *run, unsigned contents)
{
    for (uint64_t i = 0; i < run->count; i++)
        stage->contents[run->first - stage->first + i] = contents;
}

/** The threads take turns, so no lock is needed. */
static enum kva_frames_moved move_on_stage(void *context, uint64_t from, uint64_t to, uint64_t count)
{
    struct stage *stage = context;

    for (unsigned i = 0; i < stage->runs; i++) {
        struct run *run = &stage->run[i];
        if (run->id == 0 || run->first != from)
            continue;
        if (i == 0 && stage->held)
            return KVA_FRAMES_BUSY;
        must(run->count == count);
        for (uint64_t f = 0; f < count; f++)
            must(stage->contents[to - stage->first + f] == 0);
        fill(stage, run, 0);
        run->first = to;
        fill(stage, run, run->id);
        return KVA_FRAMES_MOVED;
    }
    return KVA_FRAMES_GONE;
}

static void add_run(struct stage *stage, uint64_t first, uint64_t count)
{
    struct run *run = &stage->run[stage->runs++];

    *run = (struct run){.first = first, .count = count, .id = stage->runs, .movable = true};
    for (uint64_t i = 0; i < count; i++)
        must(stage->contents[first - stage->first + i] == 0);
    fill(stage, run, run->id);
}

static void take_on_stage(struct stage *stage, unsigned order, unsigned flags, bool surely)
{
    struct kva_frames_request request = {.order = order, .type = KVA_MOVABLE, .flags = flags};
    uint64_t first;
    enum kva_status status = kva_frames_alloc(stage->frames, &request, &first);

    must(status == KVA_OK || (!surely && status == KVA_ENOSPC));
    if (status == KVA_OK)
        add_run(stage, first, UINT64_C(1) << order);
}

static void give_on_stage(struct stage *stage, struct run *run)
{
    uint64_t first = run->first;

    fill(stage, run, 0);
    run->id = 0;
    must(kva_frames_free(stage->frames, first) == KVA_OK);
}

static void give_twice(struct stage *stage, struct run *run)
{
    uint64_t first = run->first;

    give_on_stage(stage, run);
    must(kva_frames_free(stage->frames, first) == KVA_EDOUBLE);
}

static void give_last_of(struct stage *stage, struct run *run)
{
    unsigned *contents = &stage->contents[run->first - stage->first + (run->count - 1)];

    stage->held = true;
    *contents = 0; /* before: another run may come there at once */
    enum kva_status status = kva_frames_free_range(stage->frames, run->first + (run->count - 1), 1);
    must(status == KVA_OK || status == KVA_EBUSY);
    if (status == KVA_OK)
        run->count--;
    else
        *contents = run->id;
    stage->held = false;
}

static void look_on_stage(const struct stage *stage)
{
    struct kva_frames_stats stats;

    must(kva_frames_stats_read(stage->frames, 0, &stats) == KVA_OK);
    must(stats.free_frames + stats.used_frames == strlen(stage->scenario->picture));
}

static void find_on_stage(struct stage *stage, const struct run *run)
{
    struct kva_frames_found found;

    stage->held = true;
    must(kva_frames_find(stage->frames, run->first, &found) == KVA_OK);
    must(found.state == KVA_FRAMES_USED && found.first == run->first && found.count == run->count);
    stage->held = false;
}

static void compact_on_stage(struct stage *stage, unsigned order, uint64_t most)
{
    must(kva_frames_compact(stage->frames, 0, order, most, NULL) == KVA_OK);
}

/** The runs of the block have moved by then, and their contents with them. */
static void evacuate_on_stage(struct stage *stage)
{
    uint64_t count = UINT64_C(1) << BLOCK_ORDER;
    enum kva_status status = kva_frames_evacuate(stage->frames, stage->first, count, KVA_MOVABLE, NULL);

    must(status == KVA_OK || status == KVA_EBUSY || status == KVA_ENOSPC);
    if (status == KVA_OK)
        add_run(stage, stage->first, count);
}

static void do_letter(struct stage *stage, char letter)
{
    switch (letter) {
    case 'C':
        compact_on_stage(stage, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
        break;
    case 'c':
        compact_on_stage(stage, KVA_FRAMES_ALL_BLOCKS, 1);
        break;
    case 'B':
        compact_on_stage(stage, BLOCK_ORDER, UINT64_MAX);
        break;
    case 'E':
        evacuate_on_stage(stage);
        break;
    case 'D':
        give_twice(stage, &stage->run[0]);
        break;
    case 'P':
        give_last_of(stage, &stage->run[0]);
        break;
    case 'S':
        take_on_stage(stage, 0, 0, true);
        break;
    case 'G':
        take_on_stage(stage, BLOCK_ORDER, 0, true);
        break;
    case 'g':
        take_on_stage(stage, BLOCK_ORDER, KVA_FRAMES_COMPACT, false);
        break;
    case 'X':
        find_on_stage(stage, &stage->run[0]);
        break;
    case 'T':
        look_on_stage(stage);
        break;
    default:
        give_on_stage(stage, &stage->run[letter - '0']);
        break;
    }
}

static void body(void *context, unsigned thread)
{
    struct stage *stage = context;

    for (const char *letter = stage->scenario->program[thread]; *letter != '\0'; letter++)
        do_letter(stage, *letter);
}

static void set_up(void *context, struct kva_turns *turns)
{
    struct stage *stage = context;
    const char *picture = stage->scenario->picture;
    struct kva_frames_zone zone = {stage->first, stage->first + strlen(picture), 0};
    struct kva_frames_config config = {.zones = &zone,
                                       .zone_count = 1,
                                       .block_order = BLOCK_ORDER,
                                       .memory = kva_memory_host(),
                                       .cpus = 2,
                                       .threads = &stage->threads,
                                       .move = move_on_stage,
                                       .move_context = stage};

    stage->threads = kva_turns_threads(turns);
    assert_int_equal(kva_frames_create(&config, &stage->frames), KVA_OK);
    stage->runs = 0;
    stage->held = false;
    memset(stage->contents, 0, sizeof(stage->contents));
    for (unsigned i = 0, count; picture[i] != '\0'; i += count) {
        for (count = 1; picture[i] == 'R' && picture[i + count] == 'r';)
            count++;
        if (picture[i] != 'R')
            continue;
        assert_int_equal(kva_frames_reserve(stage->frames, stage->first + i, count, KVA_MOVABLE, NULL),
                         KVA_OK);
        add_run(stage, stage->first + i, count);
    }
}

/** Every run is where its owner left it, and all other frames are free and can be allocated. */
static void look_back(void *context, uint64_t schedule)
{
    struct stage *stage = context;
    struct kva_frames_request one = {.order = 0};
    struct kva_frames_stats stats;
    struct kva_fault fault;
    uint64_t used = 0, first;

    check_that(kva_frames_check(stage->frames, &fault) == KVA_OK, "%s, schedule %" PRIu64 ": %s at %#" PRIx64,
               stage->scenario->name, schedule, fault.what, fault.address);
    for (unsigned i = 0; i < stage->runs; i++) {
        const struct run *run = &stage->run[i];
        struct kva_frames_found found;
        if (run->id == 0)
            continue;
        used += run->count;
        assert_int_equal(kva_frames_find(stage->frames, run->first, &found), KVA_OK);
        check_that(found.state == KVA_FRAMES_USED && found.first == run->first && found.count == run->count,
                   "%s, schedule %" PRIu64 ": run %u is not where its owner left it", stage->scenario->name,
                   schedule, i);
        for (uint64_t f = 0; f < run->count; f++)
            assert_int_equal(stage->contents[run->first - stage->first + f], run->id);
    }
    assert_int_equal(kva_frames_stats_read(stage->frames, 0, &stats), KVA_OK);
    check_that(stats.used_frames == used,
               "%s, schedule %" PRIu64 ": %" PRIu64 " frames in use, %" PRIu64 " expected",
               stage->scenario->name, schedule, stats.used_frames, used);
    check_that(stats.free_blocks >= stage->scenario->free_blocks,
               "%s, schedule %" PRIu64 ": %" PRIu64 " free blocks, at least %u expected",
               stage->scenario->name, schedule, stats.free_blocks, stage->scenario->free_blocks);
    for (uint64_t i = 0; i < stats.free_frames; i++)
        assert_int_equal(kva_frames_alloc(stage->frames, &one, &first), KVA_OK);
    assert_int_equal(kva_frames_alloc(stage->frames, &one, &first), KVA_ENOSPC);
    assert_int_equal(kva_frames_destroy(stage->frames), KVA_OK);
}

static const struct scenario scenarios[] = {
    {"a run is freed while it is moved", "R...RRR.", {"C", "0"}, 4, 1},
    {"a run is freed twice while it is moved", "R...RRR.", {"C", "D"}, 4, 1},
    {"two runs are freed while they are moved", "RR..RR..", {"C", "01"}, 4, 1},
    {"the block that runs are moved to is freed", "R...RR..", {"C", "12"}, 4, 1},
    {"the last frames are found while a run is being moved", "R...RR..", {"C", "SSSS"}, 3, 0},
    {"the last frames are found where blocks cut by the zone's end take part",
     "RR..RRR.R",
     {"C", "SS"},
     3,
     0},
    {"a free block is found", "R...RR......", {"C", "G"}, 4, 0},
    {"a free block is found that another thread has just freed", "R...RR..Rrrr", {"C", "3G"}, 3, 0},
    {"two compact", "R...RR..R...R...", {"C", "C"}, 3, 2},
    {"two compact, in slices and for a block", "R...RR..R...R...", {"ccc", "B"}, 2, 1},
    {"two requests compact", "R.R.R.R.R.R.R.R.", {"g", "g"}, 3, 0},
    {"a request compacts while a run is freed", "R.R.R.R.R.R.", {"g", "0"}, 3, 0},
    {"a request compacts while frames are taken", "R.R.R.R.R.R.", {"g", "SS"}, 3, 0},
    {"a block is evacuated beside compaction", "R...RR......", {"E", "C"}, 3, 0},
    {"a block is evacuated while its run is freed", "RR..R...", {"E", "0"}, 4, 0},
    {"part of a run is freed while it is moved", "Rr..RR..", {"C", "P"}, 4, 0},
    {"a run is looked at while it is moved", "Rr..RR..", {"C", "XT"}, 3, 0},
};

static void every_schedule(void **state)
{
    static struct stage stage;
    (void)state;

    for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        const struct schedules schedules = {.name = scenarios[i].name,
                                            .threads = 2,
                                            .changes = scenarios[i].changes,
                                            .set_up = set_up,
                                            .body = body,
                                            .look_back = look_back,
                                            .context = &stage};
        stage.scenario = &scenarios[i];
        stage.first = BASE;
        (void)schedules_run(&schedules);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traffic_beside_compaction),
        cmocka_unit_test(every_schedule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
