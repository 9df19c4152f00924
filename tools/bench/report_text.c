/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "report.h"

#include "cells.h"
#include "fatal.h"

#include <inttypes.h>

/* --------------------------------------------------------------------------------------------- machine */

void bench_report_machine(const struct machine *machine, const struct bench_options *options,
                          const struct bench_clock *clock)
{
    FILE *out = options->out;
    fprintf(out, "%s, %ld CPUs%s, %s, %s\n", machine->cpu, machine->cpus,
            machine->virtual_machine ? " (virtual)" : "", machine->kernel, machine->compiler);
    fprintf(out, "seed %" PRIu64 ", %zu turn%s of %.0f ms, stopwatch %.0f ns a reading", options->seed,
            options->reps, options->reps == 1 ? "" : "s", (double)options->turn_ns / 1e6,
            (double)clock->cost_ticks * clock->ns_per_tick);
    if (machine->pinned_to >= 0)
        fprintf(out, ", pinned to CPU %d\n", machine->pinned_to);
    else
        fprintf(out, "\nnote: the system refused to pin the run to a CPU; expect more spread\n");
    if (!machine->optimized)
        fprintf(out, "note: built without optimization; the figures say nothing about speed\n");
    if (machine->sanitized)
        fprintf(out, "note: built with a sanitizer; the figures say nothing about speed\n");
    if (machine->check_level > 1)
        fprintf(out, "note: built with check level %d; the figures say nothing about speed\n",
                machine->check_level);
}

void bench_report_preemptions(const struct results *results, const struct bench_options *options)
{
    if (results->preemptions > 0)
        fprintf(options->out,
                "\nnote: the system took the CPU away %" PRIu64 " time%s; this is in the figures\n",
                results->preemptions, results->preemptions == 1 ? "" : "s");
}

/* ------------------------------------------------------------------------------------------------ rows */

static void heading(struct table *table, const struct row *row, const char *base)
{
    if (row->workload->phase_count > 1)
        table_cell(table, "phase");
    table_cell(table, "n");
    table_cell(table, "engine");
    table_cell(table, "ns/%s", row->workload->unit);
    table_cell(table, "spread");
    table_cell(table, "x %s", base);
    table_cell(table, "p50");
    table_cell(table, "p99");
    table_cell(table, "p99.9");
    table_cell(table, "max");
    table_cell(table, "bytes/live");
    table_cell(table, "used/live");
    table_rule(table);
}

static void time_cells(struct table *table, const struct row *row)
{
    char text[NUMBER_ROOM];
    ns_cell(table, row->median_ns);
    table_cell(table, "%s %%", format_fixed(text, 100 * row->spread, 0));
    fixed_cell(table, row->ratio, 2);
    ns_cell(table, row->latency.p50);
    ns_cell(table, row->latency.p99);
    ns_cell(table, row->latency.p999);
    ns_cell(table, row->latency.max);
}

static void space_cells(struct table *table, const struct row *row)
{
    const struct sample *sample = &row->sample;
    fixed_cell(table, (double)sample->memory_bytes / (double)sample->live, 1);
    if (row->workload->scattered)
        table_cell(table, "-");
    else
        fixed_cell(table, (double)sample->used_bytes / (double)sample->live_bytes, 4);
}

static void row_cells(struct table *table, const struct row *row)
{
    if (row->workload->phase_count > 1)
        table_cell(table, "%s", row->phase->name);
    count_cell(table, row->n);
    table_cell(table, "%s", row->engine);
    if (row->skipped) {
        for (int i = 0; i < 9; i++)
            table_cell(table, "-");
    } else {
        time_cells(table, row);
        space_cells(table, row);
    }
}

/** Below the table: why rows are empty (once for each engine), and how many requests found no fit. */
static void notes(const struct row *rows, size_t count, FILE *out)
{
    for (size_t i = 0; i < count; i++) {
        bool said = false;
        for (size_t j = 0; j < i; j++)
            said |= rows[j].skipped && rows[j].engine == rows[i].engine;
        if (rows[i].skipped && !said)
            fprintf(out, "  %s is O(n) and left out above n = %zu; --uncapped runs it\n", rows[i].engine,
                    bench_engine_cap(rows[i].engine));
        if (rows[i].sample.no_fit > 0)
            fprintf(out, "  %s, n = %zu: %.1f %% of the requests rightly found no fit\n", rows[i].engine,
                    rows[i].n, 100 * (double)rows[i].sample.no_fit / (double)rows[i].sample.requests);
    }
}

void bench_report_rows(const struct row *rows, size_t count, const struct bench_options *options)
{
    if (count == 0)
        return;
    progress_clear(&bench_progress);
    fprintf(options->out, "\n%s (n = %s; times in ns)\n", rows[0].workload->name, rows[0].workload->counts);
    struct table *table = table_create(rows[0].workload->phase_count > 1 ? "lrlrrrrrrrrr" : "rlrrrrrrrrr");
    heading(table, &rows[0], options->base);
    for (size_t i = 0; i < count; i++)
        row_cells(table, &rows[i]);
    finish_table(table, options->out);
    notes(rows, count, options->out);
    fflush(options->out);
}

/* --------------------------------------------------------------------------------------------- longest */

static void longest_cells(struct table *table, const struct longest *longest)
{
    const char *mark = longest->capped ? "*" : "";
    char text[NUMBER_ROOM];
    table_cell(table, "%s%s", format_count(text, longest->n), mark);
    table_cell(table, "%s", longest->engine);
    table_cell(table, "%s%s", format_count(text, longest->operations), mark);
    ns_cell(table, longest->latency.p50);
    ns_cell(table, longest->latency.p999);
    ns_cell(table, longest->latency.max);
    ns_cell(table, longest->empty_max);
    ns_cell(table, longest->empty_p99999);
    count_cell(table, longest->above_empty);
    ns_cell(table, longest->repeated_max);
    table_cell(table, "%s", longest->repeated_is_free ? "free" : "alloc");
}

/** Below the table: what was cut, once for each engine. */
static void longest_notes(const struct longest *longest, size_t count, FILE *out)
{
    char n[NUMBER_ROOM], operations[NUMBER_ROOM];
    for (size_t i = 0; i < count; i++) {
        bool said = false;
        for (size_t j = 0; j < i; j++)
            said |= longest[j].capped && longest[j].engine == longest[i].engine;
        if (longest[i].capped && !said)
            fprintf(out,
                    "  * %s is O(n): at most n = %s and %s operations, which do not compare with the others; "
                    "--uncapped lifts both\n",
                    longest[i].engine, format_count(n, bench_engine_cap(longest[i].engine)),
                    format_count(operations, bench_engine_operations_cap(longest[i].engine)));
    }
}

void bench_report_longest(const struct longest *longest, size_t count, const struct bench_options *options)
{
    static const char *const heads[] = {
        "n",       "engine",        "operations",    "p50",         "p99.9",
        "longest", "empty longest", "empty p99.999", "above empty", "longest twice",
        "in"};
    progress_clear(&bench_progress);
    fprintf(options->out, "\nlongest (n = %s; times in ns, single operations)\n", longest->workload->counts);
    struct table *table = table_create("rlrrrrrrrrl");
    table_row(table, heads);
    table_rule(table);
    for (size_t i = 0; i < count; i++)
        longest_cells(table, &longest[i]);
    finish_table(table, options->out);
    fprintf(options->out,
            "  empty: a loop that does nothing, timed beside it for as long. above empty: operations "
            "longer than its longest.\n"
            "  longest twice: each operation counts with the shorter of two identical runs.\n");
    longest_notes(longest, count, options->out);
    fflush(options->out);
}
