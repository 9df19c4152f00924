/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva bench: measure the engines.
 *
 *      options.c    the command line
 *      workload.c   the list of workloads: replace.c, shapes.c, policies.c, ranges.c, lifo.c,
 *                   needle.c, fill_drain.c
 *      subject.c    one engine at work on one workload
 *      runner.c     turns, statistics, interleaving; longest.c: the longest single operation
 *      goals.c      the aims of these workloads
 *      evictions.c  the ranges that are evicted to make room
 *      threads.c    many threads on one space, or on one instance of vmalloc
 *      vmalloc.c    memory instead of addresses, beside mmap and heaps
 *      frames.c     page frames, beside a buddy system
 *      ticks.c, histogram.c, times.c, machine.c    stopwatch, statistics, description of the machine
 *      sheet.c, report.c                           the results as text and as JSON
 */
#include "../common/commands.h"

#include "fatal.h"
#include "options.h"
#include "report.h"
#include "ticks.h"

#include <errno.h>
#include <string.h>

/** Run one workload at all its sizes, then report it. */
static void run_sizes(const struct workload *workload, const struct bench_options *options,
                      struct results *results)
{
    size_t first_row = results->row_count;
    size_t first_longest = results->longest_count;
    const size_t *sizes = options->size_count > 0 ? options->sizes : workload->sizes;
    size_t room = options->size_count > 0 ? options->size_count : WORKLOAD_SIZES;
    for (size_t i = 0; i < room && sizes[i] != 0; i++) {
        if (workload->single)
            bench_run_longest(workload, sizes[i], options, results);
        else
            bench_run_workload(workload, sizes[i], options, results);
    }
    struct aims aims = {0};
    bench_judge(results->rows + first_row, results->row_count - first_row, &aims);
    aims_append(&results->aims, &aims);
    if (options->json)
        return;
    if (workload->single)
        bench_report_longest(results->longest + first_longest, results->longest_count - first_longest,
                             options);
    else
        bench_report_rows(results->rows + first_row, results->row_count - first_row, options);
    if (aims.count > 0)
        aims_report(&aims, workload->name, options->out);
}

static void run_evictions(const struct bench_options *options, struct evictions_results *results)
{
    evictions_run(options, results);
    if (!options->json)
        evictions_report(results, options);
}

static void run_vmalloc(const struct bench_options *options, struct vmalloc_results *results)
{
    vmalloc_run(options, results);
    if (!options->json)
        vmalloc_report(results, options);
}

static void run_threads(const struct bench_options *options, struct threads_results *results)
{
    threads_run(options, results);
    if (!options->json)
        threads_report(results, options);
}

static void run_frames(const struct bench_options *options, struct frames_results *results)
{
    frames_run(options, results);
    if (!options->json)
        frames_report(results, options);
}

int kva_cmd_bench(int argc, char **argv)
{
    struct bench_options options;
    struct results results = {0};
    struct evictions_results evictions = {0};
    struct vmalloc_results vmalloc = {0};
    struct threads_results threads = {0};
    struct frames_results frames = {0};
    struct machine machine;
    bench_options_parse(&options, argc, argv);
    if (options.vmalloc_chosen)
        vmalloc_open_peers();
    progress_begin(&bench_progress);
    machine_describe(&machine, machine_pin());
    options.clock = (struct bench_clock){.ns_per_tick = ticks_calibrate(), .cost_ticks = ticks_cost()};
    if (!options.json)
        bench_report_machine(&machine, &options);

    uint64_t preemptions = machine_preemptions();
    const struct workload *workload;
    for (size_t i = 0; (workload = workload_at(i)) != NULL; i++)
        if (options.workload_chosen[i])
            run_sizes(workload, &options, &results);
    if (options.evictions_chosen)
        run_evictions(&options, &evictions);
    if (options.frames_chosen) /* before any other thread is started */
        run_frames(&options, &frames);
    if (options.vmalloc_chosen)
        run_vmalloc(&options, &vmalloc);
    if (options.threads_chosen)
        run_threads(&options, &threads);

    results.preemptions = machine_preemptions() - preemptions;
    progress_clear(&bench_progress);
    if (!options.json)
        bench_report_preemptions(&results, &options);
    bool made = !options.json ||
                bench_report_json(&results, &evictions, &vmalloc, &threads, &frames, &machine, &options);
    bench_results_destroy(&results);
    evictions_results_destroy(&evictions);
    vmalloc_results_destroy(&vmalloc);
    threads_results_destroy(&threads);
    frames_results_destroy(&frames);
    if (!made)
        bench_fatal(TOOL_REFUSED, "no memory for the results");
    if (!bench_options_close(&options))
        bench_fatal(TOOL_REFUSED, "%s could not be written: %s", options.output, strerror(errno));
    return tool_finish(TOOL_OK);
}
