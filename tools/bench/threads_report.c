/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "threads.h"

#include "cells.h"
#include "fatal.h"

#include <inttypes.h>
#include <string.h>

/* A crew that hardly ever sleeps and got less than this of its CPUs shared them with other programs. */
#define SHARE_LEAST 0.9

static void percent_cell(struct table *table, double value)
{
    char text[NUMBER_ROOM];
    table_cell(table, "%s %%", format_fixed(text, 100 * value, 0));
}

/* ------------------------------------------------------------------------------------------------- rows */

static bool is_find(const struct threads_row *row)
{
    return strcmp(row->what, THREADS_FIND) == 0;
}

static void row_cells(struct table *table, const struct threads_row *row)
{
    table_cell(table, "%zu", row->threads);
    table_cell(table, "%s", row->who);
    fixed_cell(table, 1000 / row->median_ns, 2);
    percent_cell(table, row->spread);
    fixed_cell(table, row->speedup, 2);
    fixed_cell(table, row->ratio, 2);
    fixed_cell(table, is_find(row) && row->threads > 1 ? -1 : row->cpu_ns, 1); /* half of it is the churn's */
    percent_cell(table, row->share);
}

/* The rows of one case and n, which stand together. */
static void report_case(const struct threads_row *rows, size_t count, FILE *out)
{
    static const char *const heads[] = {"threads", "who",    "M op/s",    "spread",
                                        "x one",   "x 2019", "CPU ns/op", "of the CPUs"};
    char text[NUMBER_ROOM];
    fprintf(out, "\nthreads %s", rows[0].what);
    if (rows[0].n > 0)
        fprintf(out, " (n = %s live ranges)", format_count(text, rows[0].n));
    fputc('\n', out);
    struct table *table = table_create("rlrrrrrr");
    table_row(table, heads);
    table_rule(table);
    for (size_t i = 0; i < count; i++)
        row_cells(table, &rows[i]);
    finish_table(table, out);
    if (is_find(&rows[0]))
        fputs("  With 2 threads, one finds and is counted; the other allocates and frees without pause.\n",
              out);
}

static bool stand_together(const struct threads_row *a, const struct threads_row *b)
{
    return strcmp(a->what, b->what) == 0 && a->n == b->n;
}

/* Threads with pools hardly ever sleep: what they did not get, others had. */
static void note_on_others(const struct threads_results *results, FILE *out)
{
    double least = 1;
    for (size_t i = 0; i < results->row_count; i++) {
        const struct threads_row *row = &results->rows[i];
        bool churns = strcmp(row->what, THREADS_CHURN) == 0 && strcmp(row->who, THREADS_POOLS) == 0;
        if (churns && row->share < least)
            least = row->share;
    }
    if (least < SHARE_LEAST)
        fprintf(
            out,
            "\nOther programs had up to %.0f %% of the CPUs: figures by the clock say little. Distrust the "
            "ratios.\n",
            100 * (1 - least));
}

static void report_rows(const struct threads_results *results, FILE *out)
{
    size_t begin = 0;
    for (size_t end = 1; end <= results->row_count; end++) {
        if (end < results->row_count && stand_together(&results->rows[end], &results->rows[begin]))
            continue;
        report_case(&results->rows[begin], end - begin, out);
        begin = end;
    }
    note_on_others(results, out);
}

/* ------------------------------------------------------------------------------------------------ waits */

static void report_waits(const struct threads_results *results, FILE *out)
{
    static const char *const heads[] = {
        "who",     "operations",         "p50",           "p99.9",   "longest seen",
        "longest", "empty longest seen", "empty longest", "purge ms"};
    char text[NUMBER_ROOM];
    fprintf(out, "\nthreads wait: while another thread gives back %s areas (times in us)\n",
            format_count(text, results->waits[0].areas));
    struct table *table = table_create("lrrrrrrrr");
    table_row(table, heads);
    table_rule(table);
    for (size_t i = 0; i < results->wait_count; i++) {
        const struct threads_wait *wait = &results->waits[i];
        table_cell(table, "%s", wait->who);
        table_cell(table, "%s", format_count(text, wait->operations));
        fixed_cell(table, wait->latency.p50 / 1e3, 2);
        fixed_cell(table, wait->latency.p999 / 1e3, 1);
        fixed_cell(table, wait->latency.max / 1e3, 1);
        fixed_cell(table, wait->longest / 1e3, 1);
        fixed_cell(table, wait->empty_max / 1e3, 1);
        fixed_cell(table, wait->empty_longest / 1e3, 1);
        fixed_cell(table, wait->purge_ns / 1e6, 1);
    }
    finish_table(table, out);
    if (!results->waits[0].delays_known)
        fputs("  The system does not tell how long a thread waits for a CPU: that is in these figures.\n",
              out);
}

void threads_report(const struct threads_results *results, const struct bench_options *options)
{
    FILE *out = options->out;
    progress_clear(&bench_progress);
    fprintf(out, "\nthreads: on %zu %s, engine %s\n", results->cpus, results->cpus == 1 ? "CPU" : "CPUs",
            results->engine);
    report_rows(results, out);
    report_waits(results, out);
    aims_report(&results->aims, "threads", out);
    fflush(out);
}

/* ------------------------------------------------------------------------------------------------- JSON */

static json_t *json_unless_negative(double value)
{
    return value < 0 ? json_null() : json_measure(value);
}

static json_t *json_of_row(const struct threads_row *row, bool *good)
{
    json_t *object = json_object();
    json_t *turns = json_array();
    for (size_t i = 0; i < row->turns; i++)
        json_add(turns, json_measure(row->turn_ns[i]), good);
    json_put(object, "case", json_string(row->what), good);
    json_put(object, "who", json_string(row->who), good);
    json_put(object, "n", row->n == 0 ? json_null() : json_count(row->n), good);
    json_put(object, "threads", json_count(row->threads), good);
    json_put(object, "ns", json_measure(row->median_ns), good);
    json_put(object, "spread", json_measure(row->spread), good);
    json_put(object, "turns_ns", turns, good);
    json_put(object, "times_one_thread", json_unless_negative(row->speedup), good);
    json_put(object, "times_2019", json_unless_negative(row->ratio), good);
    json_put(object, "cpu_ns", json_measure(row->cpu_ns), good);
    json_put(object, "cpu_share", json_measure(row->share), good);
    return object;
}

static json_t *json_of_wait(const struct threads_wait *wait, bool *good)
{
    json_t *object = json_object();
    json_put(object, "who", json_string(wait->who), good);
    json_put(object, "areas", json_count(wait->areas), good);
    json_put(object, "operations", json_count(wait->operations), good);
    json_put(object, "p50_ns", json_measure(wait->latency.p50), good);
    json_put(object, "p99.9_ns", json_measure(wait->latency.p999), good);
    json_put(object, "longest_seen_ns", json_measure(wait->latency.max), good);
    json_put(object, "longest_ns", json_measure(wait->longest), good);
    json_put(object, "empty_longest_seen_ns", json_measure(wait->empty_max), good);
    json_put(object, "empty_longest_ns", json_measure(wait->empty_longest), good);
    json_put(object, "purge_ns", json_measure(wait->purge_ns), good);
    json_put(object, "delays_known", json_boolean(wait->delays_known), good);
    return object;
}

json_t *threads_to_json(const struct threads_results *results, bool *good)
{
    json_t *object = json_object();
    json_t *rows = json_array();
    json_t *waits = json_array();
    for (size_t i = 0; i < results->row_count; i++)
        json_add(rows, json_of_row(&results->rows[i], good), good);
    for (size_t i = 0; i < results->wait_count; i++)
        json_add(waits, json_of_wait(&results->waits[i], good), good);
    json_put(object, "engine", json_string(results->engine), good);
    json_put(object, "cpus", json_count(results->cpus), good);
    json_put(object, "rows", rows, good);
    json_put(object, "waits", waits, good);
    json_put(object, "aims", aims_to_json(&results->aims, good), good);
    return object;
}
