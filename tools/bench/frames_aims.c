/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The aims of kva bench frames. */
#include "frames.h"

#include <string.h>

const struct frames_row *frames_find(const struct frames_results *results, const char *what, unsigned order,
                                     unsigned percent, const char *contender)
{
    for (size_t i = 0; i < results->row_count; i++) {
        const struct frames_row *row = &results->rows[i];
        if (row->order == order && row->percent == percent && strcmp(row->what, what) == 0 &&
            strcmp(row->contender, contender) == 0)
            return row;
    }
    return NULL;
}

const struct frames_crew *frames_find_crew(const struct frames_results *results, const char *what,
                                           size_t threads, bool alone, const char *contender)
{
    for (size_t i = 0; i < results->crew_count; i++) {
        const struct frames_crew *crew = &results->crews[i];
        if (crew->threads == threads && crew->alone == alone && strcmp(crew->what, what) == 0 &&
            strcmp(crew->contender, contender) == 0)
            return crew;
    }
    return NULL;
}

/* The aims for calls, in a set with any zones. */
static void judge_calls(const struct frames_results *results, const char *contender, struct aims *aims)
{
    static const struct {
        const char *text;
        double ns;
        const char *what;
        unsigned order;
        unsigned percent;
    } calls[] = {
        {"one frame, allocate and free again", 15, FRAMES_HOT, 0, 0},
        {"order 9, allocate and free again", 12, FRAMES_HOT, 9, 0},
        {"fill with single frames", 10, FRAMES_FILL, 0, 0},
        {"free single frames in random order", 10, FRAMES_FREE, 0, 0},
        {"churn, a quarter used", 35, FRAMES_CHURN, 0, 25},
        {"mixed orders, half used", 100, FRAMES_MIXED, 0, 50},
        {"order 6 that fails", 500, FRAMES_FAIL, 6, 0},
        {"64 frames by one call, freed by another, per frame", 1.5, FRAMES_BULK, 0, 0},
    };
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        const struct frames_row *row =
            frames_find(results, calls[i].what, calls[i].order, calls[i].percent, contender);
        aims_add(aims, calls[i].text, "ns", false, calls[i].ns, row == NULL ? -1 : row->times.median_ns);
    }
}

/* Free blocks; the aims hold for 2^20 frames only. */
static double huge(const struct frames_results *results, const char *what, unsigned percent)
{
    const struct frames_row *row = frames_find(results, what, 0, percent, FRAMES_KVA);
    return row == NULL || row->frames != FRAMES_USUAL ? -1 : (double)row->shape.huge_free;
}

/* How many times as fast as the buddy system kva is. */
static double faster(const struct frames_results *results, const char *what, unsigned percent)
{
    const struct frames_row *kva = frames_find(results, what, 0, percent, FRAMES_KVA);
    const struct frames_row *buddy = frames_find(results, what, 0, percent, FRAMES_BUDDY);
    return kva == NULL || buddy == NULL ? -1 : times_quotient(&buddy->times, &kva->times);
}

/* NULL with one CPU, which measures nothing about two threads. */
static const struct frames_crew *crew_of(const struct frames_results *results, const char *what,
                                         size_t threads)
{
    return results->cpus < 2 ? NULL : frames_find_crew(results, what, threads, false, FRAMES_KVA);
}

static double over_one(const struct frames_results *results, size_t threads)
{
    const struct frames_crew *crew = crew_of(results, FRAMES_CHURN, threads);
    return crew == NULL ? -1 : crew->over_one_cpu;
}

static double sixteen_over_two(const struct frames_results *results)
{
    double two = over_one(results, 2), sixteen = over_one(results, 16);
    return two > 0 && sixteen > 0 ? sixteen / two : -1;
}

static double handover(const struct frames_results *results)
{
    const struct frames_crew *crew = crew_of(results, FRAMES_HANDOVER, 2);
    /* 0: the turns were too short to hand over a batch. */
    return crew == NULL || crew->cpu.median_ns <= 0 ? -1 : crew->cpu.median_ns;
}

static const struct compaction_row *counts(const struct frames_results *results, const char *state,
                                           bool mixed, unsigned percent)
{
    return compaction_find(&results->compaction, state, mixed, percent, COMPACTION_COUNTS);
}

/* The largest figure of all thinned set-ups of the first size, with single frames or with mixed orders.
 * After a churn there are few moves, so that scans of all headers dominate. */
static double most(const struct frames_results *results, bool mixed,
                   double (*figure)(const struct compaction_row *row))
{
    double most = -1;
    for (size_t i = 0; i < results->compaction.count; i++) {
        const struct compaction_row *row = &results->compaction.rows[i];
        if (row->frames == results->compaction.rows[0].frames && row->mixed == mixed &&
            strcmp(row->contender, COMPACTION_COUNTS) == 0 && strcmp(row->state, COMPACTION_THINNED) == 0 &&
            figure(row) > most)
            most = figure(row);
    }
    return most;
}

static double excess_in_traffic(const struct frames_results *results)
{
    const struct compaction_row *row = counts(results, COMPACTION_TRAFFIC, false, 50);
    return row == NULL ? -1 : compaction_excess(row);
}

static double one_block(const struct frames_results *results)
{
    const struct compaction_row *row = counts(results, COMPACTION_THINNED, false, 25);
    return row == NULL || row->one.turns == 0 ? -1 : row->one.median_ns / 1000;
}

static void judge_compaction(struct frames_results *results)
{
    struct aims *aims = &results->aims;
    aims_add(aims, "compaction of single frames: moves over the fewest", "x", false, 1.02,
             most(results, false, compaction_excess));
    aims_add(aims, "compaction of mixed orders: moves over the fewest", "x", false, 1.02,
             most(results, true, compaction_excess));
    aims_add(aims, "compaction in traffic, 1 % pinned: moves over the fewest", "x", false, 1.25,
             excess_in_traffic(results));
    aims_add(aims, "compaction of single frames: a move without its function", "ns", false, 30,
             most(results, false, compaction_bookkeeping));
    aims_add(aims, "compaction of mixed orders: a move without its function", "ns", false, 100,
             most(results, true, compaction_bookkeeping));
    aims_add(aims, "compaction for one request of order 9, a quarter used", "us", false, 10,
             one_block(results));
}

void frames_judge(struct frames_results *results)
{
    struct aims *aims = &results->aims;
    judge_calls(results, FRAMES_KVA, aims);
    for (size_t i = 0; i < FRAMES_PLACES; i++)
        judge_calls(results, frames_places[i].name, &results->place_aims[i]);
    aims_add(aims, "churn, a quarter used: free blocks of 1536", "", true, 1480,
             huge(results, FRAMES_CHURN, 25));
    aims_add(aims, "churn, a quarter used: times as fast as the buddy system", "x", true, 5,
             faster(results, FRAMES_CHURN, 25));
    aims_add(aims, "mixed orders, half used: free blocks of 1024", "", true, 600,
             huge(results, FRAMES_MIXED, 50));
    aims_add(aims, "churn, 2 threads: times one thread beside an idle one, by CPU time", "x", true, 1.8,
             over_one(results, 2));
    aims_add(aims, "churn, 16 threads: times 2 threads, by CPU time", "x", true, 0.9,
             sixteen_over_two(results));
    aims_add(aims, "a frame that another CPU frees, both calls, by CPU time", "ns", false, 100,
             handover(results));
    judge_compaction(results);
}
