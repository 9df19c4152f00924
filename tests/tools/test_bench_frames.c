/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva bench frames: the state of its sets after set-up, wrong contenders end the program, its rows, and the
 * conclusions from them. Nothing here depends on the speed of the machine.
 */
#define _GNU_SOURCE
#include "common/harness.h"

#include "tools/bench/frames.h"
#include "tools/bench/machine.h"
#include "tools/bench/ticks.h"
#include "tools/common/exit.h"

#include <kva/threads.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEED 5
#define SMALL UINT64_C(16384)

/* -------------------------------------------------------------------------------------------- a whole run */

static const struct frames_row *row_of(const struct frames_results *results, const char *what, unsigned order,
                                       unsigned percent, const char *contender)
{
    const struct frames_row *row = frames_find(results, what, order, percent, contender);
    if (row == NULL)
        fail_msg("no row %s, order %u, %u %%, %s", what, order, percent, contender);
    return row;
}

static const struct frames_crew *crew_of(const struct frames_results *results, const char *what,
                                         size_t threads, bool alone, const char *contender)
{
    const struct frames_crew *crew = frames_find_crew(results, what, threads, alone, contender);
    if (crew == NULL)
        fail_msg("no row %s, %zu threads, %s", what, threads, contender);
    return crew;
}

static void check_shape(const struct frames_row *row)
{
    const struct frames_shape *shape = &row->shape;
    bool mixed = strcmp(row->what, FRAMES_MIXED) == 0;
    uint64_t possible = row->frames * (100 - row->percent) / 100 / FRAMES_BLOCK;
    /* Single frames reach their share exactly. With mixed orders there may be room for one more run. */
    assert_true(shape->huge_possible >= possible && (mixed || shape->huge_possible == possible));
    assert_true(shape->huge_free <= shape->huge_possible);
    assert_true(shape->huge_taken <= shape->huge_asked && shape->huge_taken <= shape->huge_free);
    assert_true(shape->huge_asked == (shape->huge_possible < 100 ? shape->huge_possible : 100));
    assert_true(shape->refused < shape->requests || (!mixed && shape->requests == 0));
}

static void check_row(const struct frames_results *results, const char *what, unsigned order,
                      unsigned percent)
{
    for (size_t i = 0; i < FRAMES_CONTENDERS; i++) {
        const struct frames_row *row = row_of(results, what, order, percent, frames_contenders[i].name);
        assert_int_equal(row->times.turns, 2);
        assert_true(row->times.median_ns > 0 && row->times.spread >= 0);
        assert_true(row->frames == SMALL);
        assert_true(strcmp(row->contender, FRAMES_BUDDY) != 0 || fabs(row->times.ratio - 1) < 1e-9);
        if (percent > 0)
            check_shape(row);
        else
            assert_true(row->shape.huge_possible == 0 && row->shape.huge_asked == 0);
    }
}

/* A row for each place, and the set's shape is not measured. */
static void check_places(const struct frames_results *results, const char *what, unsigned order,
                         unsigned percent)
{
    for (size_t i = 0; i < FRAMES_PLACES; i++) {
        const struct frames_row *row = row_of(results, what, order, percent, frames_places[i].name);
        assert_true(row->places && row->times.turns == 2 && row->times.median_ns > 0);
        assert_true(row->frames == SMALL && row->shape.huge_possible == 0);
        assert_true(strcmp(row->contender, FRAMES_PLAIN) != 0 || fabs(row->times.ratio - 1) < 1e-9);
    }
}

static void check_crew(const struct frames_results *results, const char *what, size_t threads, bool alone)
{
    for (size_t i = 0; i < FRAMES_CONTENDERS; i++) {
        const struct frames_crew *crew = crew_of(results, what, threads, alone, frames_contenders[i].name);
        bool is_one = threads == 1 && !alone;
        assert_int_equal(crew->times.turns, 2);
        assert_int_equal(crew->cpu.turns, 2);
        assert_true(crew->times.median_ns > 0 && crew->share > 0);
        assert_true(!is_one || (fabs(crew->over_one - 1) < 1e-9 && fabs(crew->over_one_cpu - 1) < 1e-9));
        assert_true(strcmp(what, FRAMES_HANDOVER) != 0 || (crew->over_one < 0 && crew->over_one_cpu < 0));
        assert_true(strcmp(crew->contender, FRAMES_BUDDY) != 0 || fabs(crew->times.ratio - 1) < 1e-9);
    }
}

static void check_compaction(const struct compaction_results *results, const char *set_up, bool mixed,
                             unsigned percent)
{
    bool traffic = strcmp(set_up, COMPACTION_TRAFFIC) == 0;
    bool thinned = strcmp(set_up, COMPACTION_THINNED) == 0;
    const struct compaction_row *counts = compaction_find(results, set_up, mixed, percent, COMPACTION_COUNTS);
    const struct compaction_row *scanners =
        compaction_find(results, set_up, mixed, percent, COMPACTION_SCANNERS);
    assert_true(counts != NULL && scanners != NULL && counts->frames == SMALL && scanners->frames == SMALL);
    assert_true(counts->after.huge_free <= counts->after.huge_possible);
    assert_true(counts->after.huge_free >= counts->before.huge_free || traffic);
    assert_true(counts->moved_frames >= counts->moved_runs &&
                (mixed || counts->moved_frames == counts->moved_runs));
    assert_true(traffic || (counts->pinned_runs == 0 && scanners->pinned_runs == 0));
    /* A turn without moves does not count; it may depend on the CPUs of the thread. */
    assert_true(counts->run.turns <= (traffic ? 0 : 2));
    assert_true(counts->run.turns > 0 || counts->moved_runs == 0 || traffic);
    assert_true(!thinned || counts->run.turns == 2);
    assert_true(counts->alone.turns == counts->run.turns && scanners->one.turns == 0);
    assert_true(!thinned || (counts->one.turns == 2 && counts->one.median_ns > 0));
    if (!mixed && !traffic) { /* as many free blocks as possible, with the fewest moves */
        assert_true(counts->after.huge_free == counts->after.huge_possible);
        assert_true(counts->moved_frames == counts->fewest && scanners->moved_frames >= scanners->fewest);
        assert_true(scanners->after.huge_free == scanners->after.huge_possible);
    }
}

/* The number of moved frames depends on where the system lets mapped frames move. The benchmark verifies
 * that none is lost. */
static void check_maps(const struct maps_results *maps)
{
    assert_int_equal(maps->row_count, 2 * 2);
    for (unsigned percent = 25; percent <= 50; percent += 25) {
        const struct maps_row *row = maps_find(maps, percent);
        assert_true(row != NULL && row->frames == SMALL);
        assert_true(row->possible == SMALL * (100 - percent) / 100 / FRAMES_BLOCK);
        assert_true(row->moved_frames > 0 && row->each.turns == 2 && row->each.median_ns > 0);
        assert_true(row->gap.turns == (row->mapped && machine_cpus() > 1 ? 2 : 0));
        assert_true(row->after.free_blocks > row->before.free_blocks);
        assert_true(row->after.free_blocks <= row->possible);
        assert_true(row->after.runs_taken >= row->after.free_blocks &&
                    row->after.runs_taken <= row->possible);
    }
    const struct maps_view *scattered = maps_find_view(maps, FRAMES_BLOCK, MAPS_SCATTERED);
    const struct maps_view *runs = maps_find_view(maps, FRAMES_BLOCK, MAPS_RUNS);
    const struct maps_view *huge = maps_find_view(maps, FRAMES_BLOCK, MAPS_HUGE);
    assert_true(scattered != NULL && runs != NULL && huge != NULL && maps->view_count == 2 * 3);
    assert_true(scattered->mappings > FRAMES_BLOCK / 2 && runs->mappings == 1 && huge->mappings == 1);
    assert_true(scattered->huge_bytes == 0 && huge->touch.turns == 2);
    assert_int_equal(maps->cost_count, 2 * 8);
    const struct maps_cost *again = maps_find_cost(maps, MAPS_RAM_AGAIN, 16, MAPS_MOVABLE);
    const struct maps_cost *fresh = maps_find_cost(maps, MAPS_MAP, 512, MAPS_FIXED);
    assert_true(again != NULL && again->calls < 0.5 && again->times.turns == 2);
    assert_true(fresh != NULL && fresh->calls >= 1 && fabs(fresh->times.ratio - 1) < 1e-9);
}

static struct bench_options short_run(size_t *sizes, size_t count)
{
    struct bench_options options = {
        .reps = 2, .turn_ns = 3000000, .seed = SEED, .sizes = sizes, .size_count = count};
    options.clock = (struct bench_clock){.ns_per_tick = ticks_calibrate(), .cost_ticks = ticks_cost()};
    return options;
}

static void all_rows_are_measured(void **state)
{
    (void)state;
    static size_t sizes[] = {SMALL + 3, 5, SMALL, 4096 + 100}; /* 3rd: rounded as the 1st; 4th: as the 2nd */
    struct frames_results results = {0};
    struct bench_options options = short_run(sizes, 4);
    const char *alone = kva_threads_host()->alone;
    bool was_alone = alone != NULL && *alone != 0;
    frames_run(&options, &results);
    assert_true(results.measured && results.alone == was_alone);
    assert_int_equal(results.cpus, machine_cpus());
    assert_int_equal(results.row_count,
                     (size_t)2 * (FRAMES_CONTENDERS * (4 + 2 + 2 * 10 + 3 + 2) + FRAMES_PLACES * 8));
    for (unsigned order = 0; order <= 9; order += 3)
        check_row(&results, FRAMES_HOT, order, 0);
    for (unsigned order = 0; order <= 9; order++) {
        check_row(&results, FRAMES_FILL, order, 0);
        check_row(&results, FRAMES_FREE, order, 0);
    }
    check_row(&results, FRAMES_BULK, 0, 0);
    check_row(&results, FRAMES_FAIL, 6, 0);
    for (unsigned percent = 25; percent <= 75; percent += 25)
        check_row(&results, FRAMES_CHURN, 0, percent);
    check_row(&results, FRAMES_MIXED, 0, 50);
    check_row(&results, FRAMES_MIXED, 0, 90);
    assert_null(frames_find(&results, FRAMES_HOT, 1, 0, FRAMES_BUDDY));
    check_places(&results, FRAMES_HOT, 0, 0);
    check_places(&results, FRAMES_HOT, 9, 0);
    check_places(&results, FRAMES_BULK, 0, 0);
    check_places(&results, FRAMES_FAIL, 6, 0);
    check_places(&results, FRAMES_FILL, 0, 0);
    check_places(&results, FRAMES_FREE, 0, 0);
    check_places(&results, FRAMES_CHURN, 0, 25);
    check_places(&results, FRAMES_MIXED, 0, 50);
    for (size_t i = 0; i < FRAMES_PLACES; i++)
        for (size_t aim = 0; aim < results.place_aims[i].count; aim++)
            assert_true(results.place_aims[i].aim[aim].measured > 0);
    assert_int_equal(results.crew_count, (size_t)2 * FRAMES_CONTENDERS * (1 + 5 + 1));
    check_crew(&results, FRAMES_CHURN, 1, true);
    for (size_t threads = 1; threads <= 16; threads *= 2)
        check_crew(&results, FRAMES_CHURN, threads, false);
    check_crew(&results, FRAMES_HANDOVER, 2, false);
    for (size_t i = 0; i < results.crew_count; i++) /* all of one size, then the next */
        assert_true(results.crews[i].frames == (i < results.crew_count / 2 ? SMALL : FRAMES_LEAST));
    assert_int_equal(results.memory_count, (size_t)2 * FRAMES_CONTENDERS);
    for (size_t i = 0; i < results.memory_count; i++)
        assert_true(results.memory[i].bytes > results.memory[i].frames / 8); /* at least one bit per frame */
    assert_int_equal(results.compaction.count, (size_t)2 * COMPACTION_WAYS * (2 * 2 * 3 + 1));
    for (unsigned percent = 25; percent <= 75; percent += 25)
        for (int mixed = 0; mixed < 2; mixed++) {
            check_compaction(&results.compaction, COMPACTION_THINNED, mixed != 0, percent);
            check_compaction(&results.compaction, COMPACTION_CHURNED, mixed != 0, percent);
        }
    check_compaction(&results.compaction, COMPACTION_TRAFFIC, false, 50);
    check_maps(&results.maps);
    frames_results_destroy(&results);
}

static void sizes_are_whole_blocks(void **state)
{
    (void)state;
    assert_true(frames_of_size(1) == FRAMES_LEAST);
    assert_true(frames_of_size(4096) == 4096 && frames_of_size(4607) == 4096 && frames_of_size(4608) == 4608);
    assert_true(frames_of_size(FRAMES_USUAL) == FRAMES_USUAL);
}

/* --------------------------------------------------------------------------------------------------- sets */

static uint64_t frames_in_table(const struct frames_set *set)
{
    uint64_t frames = 0;
    for (size_t i = 0; i < set->count; i++)
        frames += UINT64_C(1) << set->held[i].order;
    return frames;
}

/* The share is exact, and remains exact. */
static void single_frames_keep_their_share(void **state)
{
    (void)state;
    for (size_t i = 0; i < FRAMES_CONTENDERS; i++) {
        struct frames_set *set = frames_set_create(&frames_contenders[i], SMALL, SEED);
        frames_set_churned(set, 25);
        assert_true(set->used == SMALL / 4 && set->count == SMALL / 4 && frames_in_table(set) == set->used);
        struct frames_held before = set->held[0];
        for (size_t batch = 0; batch < 200; batch++) {
            size_t steps = frames_churn_prepare(set);
            assert_int_equal(steps, FRAMES_BATCH);
            assert_true(frames_churn_run(set, steps) == steps);
            frames_churn_finish(set, steps);
        }
        assert_true(set->used == SMALL / 4 && frames_in_table(set) == set->used);
        assert_true(before.order == 0 && set->held[0].order == 0);
        (void)frames_set_shape(set); /* it checks for overlaps */
        frames_set_destroy(set);
    }
}

static void mixed_orders_keep_to_their_share(void **state)
{
    (void)state;
    for (size_t i = 0; i < FRAMES_CONTENDERS; i++) {
        size_t of_order[FRAMES_BLOCK_ORDER + 1] = {0};
        struct frames_set *set = frames_set_create(&frames_contenders[i], 4 * SMALL, SEED);
        frames_set_mixed(set, 50);
        assert_true(set->quota == 2 * SMALL && set->used <= set->quota);
        assert_true(set->used > set->quota - 2 * FRAMES_BLOCK && frames_in_table(set) == set->used);
        for (size_t run = 0; run < set->count; run++)
            of_order[set->held[run].order]++;
        for (unsigned order = 0; order < 5; order++) /* each about half as often as the previous one */
            assert_true(of_order[order] > of_order[order + 1] && of_order[order] < 4 * of_order[order + 1]);
        struct frames_shape shape = frames_set_shape(set);
        assert_true(shape.requests > set->count && shape.refused < shape.requests / 2);
        assert_true(shape.huge_possible == (set->frames - set->used) / FRAMES_BLOCK);
        frames_set_destroy(set);
    }
}

/* On one CPU, because each CPU has its own blocks. */
static void the_seed_determines_the_set(void **state)
{
    (void)state;
    cpu_set_t before;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    if (machine_pin() < 0)
        skip();
    for (size_t i = 0; i < FRAMES_CONTENDERS; i++) {
        struct frames_shape shapes[3];
        for (uint64_t seed = 0; seed < 3; seed++) {
            struct frames_set *set = frames_set_create(&frames_contenders[i], SMALL, seed == 2 ? 8 : 7);
            frames_set_mixed(set, 90);
            shapes[seed] = frames_set_shape(set);
            frames_set_destroy(set);
        }
        assert_memory_equal(&shapes[0], &shapes[1], sizeof(shapes[0]));
        assert_memory_not_equal(&shapes[0], &shapes[2], sizeof(shapes[0]));
    }
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

/* Every 32nd frame of a full set remains: no group of 64 is free, but groups of 16 are. */
static void a_comb_leaves_only_small_groups(void **state)
{
    (void)state;
    for (size_t i = 0; i < FRAMES_CONTENDERS; i++) {
        const struct frames_contender *contender = &frames_contenders[i];
        struct frames_set *set = frames_set_create(contender, FRAMES_LEAST, SEED);
        struct kva_frames_request request = {.order = 6, .type = KVA_MOVABLE};
        uint64_t first;
        frames_set_fill(set);
        assert_true(set->used == FRAMES_LEAST);
        frames_set_comb(set, 32);
        assert_true(set->used == FRAMES_LEAST / 32);
        assert_int_equal(contender->alloc(set->state, &request, &first), KVA_ENOSPC);
        request.order = 4;
        assert_int_equal(contender->alloc(set->state, &request, &first), KVA_OK);
        assert_true(first % 32 == 16);
        frames_set_destroy(set);
    }
}

static void many_are_taken_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < FRAMES_CONTENDERS; i++) {
        const struct frames_contender *contender = &frames_contenders[i];
        struct frames_set *set = frames_set_create(contender, FRAMES_LEAST, SEED);
        struct kva_frames_request request = {.order = 9, .type = KVA_MOVABLE};
        uint64_t firsts[9];
        assert_int_equal(contender->alloc_many(set->state, &request, 9, firsts),
                         KVA_ENOSPC); /* the set has 8 */
        assert_int_equal(contender->alloc_many(set->state, &request, 8, firsts), KVA_OK);
        assert_int_equal(contender->alloc(set->state, &request, &firsts[8]), KVA_ENOSPC);
        assert_int_equal(contender->free_many(set->state, firsts, 8), KVA_OK);
        assert_int_not_equal(contender->free_many(set->state, firsts, 1), KVA_OK); /* already free */
        frames_set_destroy(set);
    }
}

/* ------------------------------------------------------------------------------------------ wrong results */

/** Run `body` in a child, without its messages. Returns the exit code; -1: it was killed. */
static int exit_code_of(void (*body)(void))
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        (void)signal(SIGSEGV, SIG_DFL); /* cmocka's handler would exit with the expected status */
        body();
        _exit(99); /* it should not have returned */
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The buddy system; tests replace one call. */
static struct frames_contender lying(void)
{
    return frames_contenders[FRAMES_CONTENDERS - 1];
}

/* Returns each frame twice. */
static enum kva_status alloc_twice(void *state, const struct kva_frames_request *request, uint64_t *first)
{
    static uint64_t calls;
    (void)state;
    (void)request;
    *first = calls++ / 2;
    return KVA_OK;
}

static void return_frames_twice(void)
{
    struct frames_contender contender = lying();
    struct frames_set *set = frames_set_create(&contender, FRAMES_LEAST, SEED);
    contender.alloc = alloc_twice;
    frames_set_fill(set);
    (void)frames_set_shape(set);
}

static enum kva_status find_nothing(void *state, const struct kva_frames_request *request, uint64_t *first)
{
    (void)state;
    (void)request;
    (void)first;
    return KVA_ENOSPC;
}

static void refuse_a_request_that_fits(void)
{
    struct frames_contender contender = lying();
    struct frames_set *set = frames_set_create(&contender, FRAMES_LEAST, SEED);
    contender.alloc = find_nothing;
    frames_set_fill(set);
}

static enum kva_status refuse_free(void *state, uint64_t first)
{
    (void)state;
    (void)first;
    return KVA_EDOUBLE;
}

static void refuse_to_free(void)
{
    struct frames_contender contender = lying();
    contender.free = refuse_free;
    frames_set_churned(frames_set_create(&contender, FRAMES_LEAST, SEED), 25);
}

static enum kva_status break_at_the_end(void *state)
{
    (void)state;
    return KVA_ECORRUPT;
}

static void be_broken_at_the_end(void)
{
    struct frames_contender contender = lying();
    contender.destroy = break_at_the_end;
    frames_set_destroy(frames_set_create(&contender, FRAMES_LEAST, SEED));
}

static enum kva_status have_no_memory(uint64_t frames, void **state)
{
    (void)frames;
    (void)state;
    return KVA_ENOMEM;
}

static void have_no_memory_for_a_set(void)
{
    struct frames_contender contender = lying();
    contender.create = have_no_memory;
    (void)frames_set_create(&contender, FRAMES_LEAST, SEED);
}

static void wrong_results_end_the_program(void **state)
{
    (void)state;
    assert_int_equal(exit_code_of(return_frames_twice), TOOL_WRONG);
    assert_int_equal(exit_code_of(refuse_a_request_that_fits), TOOL_WRONG);
    assert_int_equal(exit_code_of(refuse_to_free), TOOL_WRONG);
    assert_int_equal(exit_code_of(be_broken_at_the_end), TOOL_WRONG);
    assert_int_equal(exit_code_of(have_no_memory_for_a_set), TOOL_REFUSED);
}

/* -------------------------------------------------------------------------------------------- conclusions */

static struct frames_row rows[10];
static struct frames_crew crews[3];

static struct frames_row made_up(const char *what, unsigned order, unsigned percent, const char *contender,
                                 double ns)
{
    struct frames_row row = {
        .what = what, .contender = contender, .frames = FRAMES_USUAL, .order = order, .percent = percent};
    times_add(&row.times, ns);
    times_summarize(&row.times);
    return row;
}

static struct frames_crew made_up_crew(const char *what, size_t threads, double cpu_ns, double over_one_cpu)
{
    struct frames_crew crew = {
        .what = what, .contender = FRAMES_KVA, .threads = threads, .over_one_cpu = over_one_cpu};
    times_add(&crew.cpu, cpu_ns);
    times_summarize(&crew.cpu);
    return crew;
}

static struct compaction_row packings[4];

static struct compaction_row made_up_packing(const char *contender, const char *set_up, bool mixed,
                                             unsigned percent, uint64_t moved, double run_ns)
{
    struct compaction_row row = {.contender = contender,
                                 .state = set_up,
                                 .mixed = mixed,
                                 .percent = percent,
                                 .moved_frames = moved,
                                 .fewest = 1000};
    times_add(&row.run, run_ns);
    times_add(&row.alone, 5);
    times_add(&row.one, 1000 * run_ns);
    times_summarize(&row.run);
    times_summarize(&row.alone);
    times_summarize(&row.one);
    return row;
}

static struct frames_results make_up(size_t cpus)
{
    packings[0] = made_up_packing(COMPACTION_COUNTS, COMPACTION_THINNED, false, 25, 1010, 35);
    packings[1] = made_up_packing(COMPACTION_SCANNERS, COMPACTION_THINNED, false, 25, 1500, 99);
    packings[2] = made_up_packing(COMPACTION_COUNTS, COMPACTION_THINNED, true, 75, 1030, 105.5);
    packings[3] = made_up_packing(COMPACTION_COUNTS, COMPACTION_TRAFFIC, false, 50, 1250, 400);
    rows[0] = made_up(FRAMES_HOT, 0, 0, FRAMES_KVA, 14);
    rows[1] = made_up(FRAMES_HOT, 9, 0, FRAMES_KVA, 13);
    rows[2] = made_up(FRAMES_FILL, 0, 0, FRAMES_KVA, 10);
    rows[3] = made_up(FRAMES_FREE, 0, 0, FRAMES_KVA, 11);
    rows[4] = made_up(FRAMES_CHURN, 0, 25, FRAMES_KVA, 20);
    rows[4].shape.huge_free = 1480;
    rows[5] = made_up(FRAMES_CHURN, 0, 25, FRAMES_BUDDY, 90);
    rows[6] = made_up(FRAMES_MIXED, 0, 50, FRAMES_KVA, 101);
    rows[6].shape.huge_free = 599;
    rows[7] = made_up(FRAMES_FAIL, 6, 0, FRAMES_KVA, 500);
    rows[8] = made_up(FRAMES_BULK, 0, 0, FRAMES_KVA, 1.25);
    rows[9] = made_up(FRAMES_HOT, 0, 0, FRAMES_BUDDY, 1);
    crews[0] = made_up_crew(FRAMES_CHURN, 2, 50, 1.75);
    crews[1] = made_up_crew(FRAMES_CHURN, 16, 50, 1.6625);
    crews[2] = made_up_crew(FRAMES_HANDOVER, 2, 99, -1);
    struct frames_results results = {.measured = true,
                                     .cpus = cpus,
                                     .rows = rows,
                                     .row_count = sizeof(rows) / sizeof(rows[0]),
                                     .compaction = {packings, sizeof(packings) / sizeof(packings[0])},
                                     .crews = crews,
                                     .crew_count = sizeof(crews) / sizeof(crews[0])};
    return results;
}

static void check_aim(const struct frames_results *results, const char *begin, double measured, bool met)
{
    for (size_t i = 0; i < results->aims.count; i++) {
        const struct aim *aim = &results->aims.aim[i];
        if (strncmp(aim->what, begin, strlen(begin)) != 0)
            continue;
        check_that(fabs(aim->measured - measured) < 1e-9, "%s: %g, not %g", aim->what, aim->measured,
                   measured);
        assert_int_equal(aim_is_met(aim), met);
        return;
    }
    fail_msg("no aim begins with '%s'", begin);
}

static void aims_are_judged(void **state)
{
    (void)state;
    struct frames_results results = make_up(2);
    frames_judge(&results);
    assert_int_equal(results.aims.count, 20);
    check_aim(&results, "one frame", 14, true);
    check_aim(&results, "order 9", 13, false);
    check_aim(&results, "fill", 10, true);
    check_aim(&results, "free single", 11, false);
    check_aim(&results, "churn, a quarter used", 20, true);
    check_aim(&results, "churn, a quarter used: free blocks", 1480, true);
    check_aim(&results, "churn, a quarter used: times", 4.5, false);
    check_aim(&results, "mixed orders, half used", 101, false);
    check_aim(&results, "mixed orders, half used: free blocks", 599, false);
    check_aim(&results, "order 6 that fails", 500, true);
    check_aim(&results, "64 frames", 1.25, true);
    check_aim(&results, "churn, 2 threads", 1.75, false);
    check_aim(&results, "churn, 16 threads", 0.95, true);
    check_aim(&results, "a frame that another CPU frees", 99, true);
    check_aim(&results, "compaction of single frames: moves", 1.01, true);
    check_aim(&results, "compaction of mixed orders: moves", 1.03, false);
    check_aim(&results, "compaction in traffic", 1.25, true);
    check_aim(&results, "compaction of single frames: a move", 30, true);
    check_aim(&results, "compaction of mixed orders: a move", 100.5, false);
    check_aim(&results, "compaction for one request", 35, false);
}

/* One CPU cannot measure two threads, and other sizes cannot measure blocks of a million frames. */
static void missing_measurements_are_not_judged(void **state)
{
    (void)state;
    struct frames_results results = make_up(1);
    rows[4].frames = rows[6].frames = SMALL;
    frames_judge(&results);
    check_aim(&results, "churn, 2 threads", -1, false);
    check_aim(&results, "churn, 16 threads", -1, false);
    check_aim(&results, "a frame that another CPU frees", -1, false);
    check_aim(&results, "churn, a quarter used", 20, true);
    check_aim(&results, "churn, a quarter used: free blocks", -1, false);
    check_aim(&results, "mixed orders, half used: free blocks", -1, false);
    struct frames_results nothing = {.measured = true, .cpus = 2};
    frames_judge(&nothing);
    for (size_t i = 0; i < nothing.aims.count; i++)
        assert_true(nothing.aims.aim[i].measured < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_rows_are_measured), /* must be first, while the program has one thread */
        cmocka_unit_test(sizes_are_whole_blocks),
        cmocka_unit_test(single_frames_keep_their_share),
        cmocka_unit_test(mixed_orders_keep_to_their_share),
        cmocka_unit_test(the_seed_determines_the_set),
        cmocka_unit_test(a_comb_leaves_only_small_groups),
        cmocka_unit_test(many_are_taken_at_once),
        cmocka_unit_test(wrong_results_end_the_program),
        cmocka_unit_test(aims_are_judged),
        cmocka_unit_test(missing_measurements_are_not_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
