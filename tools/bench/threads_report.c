/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "threads.h"

#include "fatal.h"
#include "sheet.h"

#include <inttypes.h>
#include <string.h>

/* A crew that hardly sleeps and got a smaller share of its CPUs shared them with other programs. */
#define SHARE_LEAST 0.9

/* --------------------------------------------------------------------------------------------------- rows */

static bool is_find(const struct threads_row *row)
{
    return strcmp(row->what, THREADS_FIND) == 0;
}

static void describe_row(struct sheet *sheet, const void *item)
{
    const struct threads_row *row = item;
    bool half_is_the_churns = is_find(row) && row->threads > 1;
    sheet_text(sheet, NULL, "case", row->what);
    sheet_count(sheet, "threads", NULL, row->threads);
    sheet_text(sheet, "contender", "contender", row->contender);
    if (row->n == 0)
        sheet_null(sheet, "n");
    else
        sheet_count(sheet, NULL, "n", row->n);
    sheet_count(sheet, NULL, "threads", row->threads);
    sheet_measure(sheet, "M op/s", NULL, 1000 / row->times.median_ns, 1, 2);
    sheet_times(sheet, NULL, &row->times);
    sheet_measure(sheet, "x one", "times_one_thread", row->speedup, 1, 2);
    sheet_measure(sheet, "x 2019", "times_2019", row->times.ratio, 1, 2);
    sheet_measure(sheet, "CPU ns/op", NULL, half_is_the_churns ? -1 : row->cpu_ns, 1, 1);
    sheet_measure(sheet, NULL, "cpu_ns", row->cpu_ns, 1, 1);
    sheet_share(sheet, "of the CPUs", "cpu_share", row->share);
}

/* The number of rows, from the first on, of the same case and n. */
static size_t rows_of_case(const struct threads_row *rows, size_t count)
{
    size_t same = 1;
    while (same < count && strcmp(rows[same].what, rows[0].what) == 0 && rows[same].n == rows[0].n)
        same++;
    return same;
}

static void report_rows(const struct threads_row *rows, size_t count, FILE *out)
{
    char n[NUMBER_ROOM];
    for (size_t done = 0, same; done < count; done += same, rows += same) {
        same = rows_of_case(rows, count - done);
        fprintf(out, "\nthreads %s", rows->what);
        if (rows->n > 0)
            fprintf(out, " (n = %s live ranges)", format_count(n, rows->n));
        fputc('\n', out);
        sheet_print(describe_row, rows, same, sizeof(*rows), out);
        if (is_find(rows))
            fputs("  With 2 threads, only the finds of one are counted; the other allocates and frees "
                  "without pause.\n",
                  out);
    }
}

/* Threads with pools hardly sleep, so CPU time that they did not get went to other programs. */
static void note_on_others(const struct threads_results *results, FILE *out)
{
    double least = 1;
    for (size_t i = 0; i < results->row_count; i++) {
        const struct threads_row *row = &results->rows[i];
        bool churns = strcmp(row->what, THREADS_CHURN) == 0 && strcmp(row->contender, THREADS_POOLS) == 0;
        if (churns && row->share < least)
            least = row->share;
    }
    if (least < SHARE_LEAST)
        fprintf(out,
                "\nOther programs had up to %.0f %% of the CPUs: clock times and ratios are unreliable.\n",
                100 * (1 - least));
}

/* -------------------------------------------------------------------------------------------------- waits */

#define US 1e3
#define MS 1e6

static void describe_wait(struct sheet *sheet, const void *item)
{
    const struct threads_wait *wait = item;
    sheet_text(sheet, "contender", "contender", wait->contender);
    sheet_count(sheet, NULL, "areas", wait->areas);
    sheet_count(sheet, "operations", "operations", wait->operations);
    sheet_measure(sheet, "p50", "p50_ns", wait->latency.p50, US, 2);
    sheet_measure(sheet, "p99.9", "p99.9_ns", wait->latency.p999, US, 1);
    sheet_measure(sheet, "longest seen", "longest_seen_ns", wait->latency.max, US, 1);
    sheet_measure(sheet, "longest", "longest_ns", wait->longest, US, 1);
    sheet_measure(sheet, "empty longest seen", "empty_longest_seen_ns", wait->empty_max, US, 1);
    sheet_measure(sheet, "empty longest", "empty_longest_ns", wait->empty_longest, US, 1);
    sheet_measure(sheet, "purge ms", "purge_ns", wait->purge_ns, MS, 1);
    sheet_flag(sheet, "delays_known", wait->delays_known);
}

static void report_waits(const struct threads_wait *waits, size_t count, FILE *out)
{
    char areas[NUMBER_ROOM];
    fprintf(out, "\nthreads wait: while another thread frees %s areas (times in us)\n",
            format_count(areas, waits->areas));
    sheet_print(describe_wait, waits, count, sizeof(*waits), out);
    if (!waits->delays_known)
        fputs("  The system does not report how long a thread waits for a CPU; these figures include it.\n",
              out);
}

/* --------------------------------------------------------------------------------------------- all tables */

void threads_report(const struct threads_results *results, const struct bench_options *options)
{
    FILE *out = options->out;
    progress_clear(&bench_progress);
    fprintf(out, "\nthreads: on %zu %s, engine %s\n", results->cpus, results->cpus == 1 ? "CPU" : "CPUs",
            results->engine);
    report_rows(results->rows, results->row_count, out);
    note_on_others(results, out);
    report_waits(results->waits, results->wait_count, out);
    aims_report(&results->aims, "threads", out);
    fflush(out);
}

json_t *threads_to_json(const struct threads_results *results, bool *good)
{
    json_t *object = json_object();
    json_put(object, "engine", json_string(results->engine), good);
    json_put(object, "cpus", json_count(results->cpus), good);
    json_put(object, "rows",
             sheet_to_json(describe_row, results->rows, results->row_count, sizeof(struct threads_row), good),
             good);
    json_put(
        object, "waits",
        sheet_to_json(describe_wait, results->waits, results->wait_count, sizeof(struct threads_wait), good),
        good);
    json_put(object, "aims", aims_to_json(&results->aims, good), good);
    return object;
}
