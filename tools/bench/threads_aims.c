/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The aims of kva bench threads. */
#include "threads.h"

#include <string.h>

const struct threads_row *threads_find(const struct threads_results *results, const char *what,
                                       const char *contender, size_t threads, size_t n)
{
    for (size_t i = 0; i < results->row_count; i++) {
        const struct threads_row *row = &results->rows[i];
        if (row->threads == threads && (n == 0 || row->n == n) && strcmp(row->what, what) == 0 &&
            strcmp(row->contender, contender) == 0)
            return row;
    }
    return NULL;
}

const struct times *threads_times(const struct threads_results *results, const char *what,
                                  const char *contender, size_t threads, size_t n)
{
    const struct threads_row *row = threads_find(results, what, contender, threads, n);
    return row == NULL ? NULL : &row->times;
}

/* How many times as fast the second one is; negative with one CPU, which measures nothing about two
 * threads. */
static double faster(const struct threads_results *results, const char *what, const char *contender,
                     size_t threads, const char *by, size_t by_threads)
{
    bool possible = results->cpus >= 2 || (threads == 1 && by_threads == 1);
    return possible ? times_quotient(threads_times(results, what, contender, threads, 0),
                                     threads_times(results, what, by, by_threads, 0))
                    : -1;
}

static double wait_ms(const struct threads_results *results, const char *contender)
{
    for (size_t i = 0; i < results->wait_count && results->cpus >= 2; i++)
        if (strcmp(results->waits[i].contender, contender) == 0)
            return results->waits[i].longest / 1e6;
    return -1;
}

void threads_judge(struct threads_results *results)
{
    struct aims *aims = &results->aims;
    const char *churn_case = THREADS_CHURN, *pools = THREADS_POOLS;
    aims_add(aims, "churn, 2 threads with pools: times one thread", "x", true, 1.8,
             faster(results, churn_case, pools, 1, pools, 2));
    aims_add(aims, "churn, one thread: time with pools over the time without threads", "x", false, 1.1,
             faster(results, churn_case, pools, 1, THREADS_ALONE, 1));
    aims_add(aims, "churn, one thread: with pools times as fast as without threads", "x", true, 3,
             faster(results, churn_case, THREADS_ALONE, 1, pools, 1));
    aims_add(aims, "churn, 2 threads: with pools times as fast as the 2019 design", "x", true, 8,
             faster(results, churn_case, THREADS_2019, 2, pools, 2));
    aims_add(aims, "churn, 64 threads with pools: times 2 threads", "x", true, 0.9,
             faster(results, churn_case, pools, 2, pools, 64));
    aims_add(aims, "vmalloc, 2 threads: times one thread", "x", true, 1.8,
             faster(results, THREADS_VMALLOC, THREADS_KVA, 1, THREADS_KVA, 2));
    aims_add(aims, "find beside a churn, with pools: times find alone", "x", true, 0.8,
             faster(results, THREADS_FIND, pools, 1, pools, 2));
    aims_add(aims, "find beside a churn, without pools: times find alone", "x", true, 0.8,
             faster(results, THREADS_FIND, THREADS_LOCK, 1, THREADS_LOCK, 2));
    aims_add(aims, "longest wait beside a flush, with pools", "ms", false, 1, wait_ms(results, pools));
    aims_add(aims, "longest wait beside a flush, without pools", "ms", false, 1,
             wait_ms(results, THREADS_LOCK));
    aims_add(aims, "longest wait beside a purge, vmalloc", "ms", false, 1, wait_ms(results, THREADS_KVA));
}
