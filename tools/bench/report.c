/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "report.h"

#include "fatal.h"
#include "sheet.h"

#include <inttypes.h>

/* ------------------------------------------------------------------------------------------------ machine */

void bench_report_machine(const struct machine *machine, const struct bench_options *options)
{
    FILE *out = options->out;
    fprintf(out, "%s, %ld CPUs%s, %s, %s\n", machine->cpu, machine->cpus,
            machine->virtual_machine ? " (virtual)" : "", machine->kernel, machine->compiler);
    fprintf(out, "seed %" PRIu64 ", %zu turn%s of %.0f ms, stopwatch %.0f ns a reading", options->seed,
            options->reps, options->reps == 1 ? "" : "s", (double)options->turn_ns / 1e6,
            (double)options->clock.cost_ticks * options->clock.ns_per_tick);
    if (machine->pinned_to >= 0)
        fprintf(out, ", pinned to CPU %d\n", machine->pinned_to);
    else
        fprintf(out, "\nnote: the system refused to pin the run to a CPU; expect more spread\n");
    if (!machine->optimized)
        fprintf(out, "note: built without optimization; times are meaningless\n");
    if (machine->sanitized)
        fprintf(out, "note: built with a sanitizer; times are meaningless\n");
    if (machine->check_level > 1)
        fprintf(out, "note: built with check level %d; times are meaningless\n", machine->check_level);
}

void bench_report_preemptions(const struct results *results, const struct bench_options *options)
{
    if (results->preemptions > 0)
        fprintf(options->out,
                "\nnote: the system preempted the run %" PRIu64 " time%s; the figures include this\n",
                results->preemptions, results->preemptions == 1 ? "" : "s");
}

static json_t *json_of_machine(const struct machine *machine, bool *good)
{
    json_t *object = json_object();
    json_t *caches = json_array();
    for (size_t i = 0; i < machine->cache_count; i++)
        json_add(caches, json_text(machine->cache[i]), good);
    json_put(object, "cpu", json_text(machine->cpu), good);
    json_put(object, "cpus", json_integer(machine->cpus), good);
    json_put(object, "virtual", json_boolean(machine->virtual_machine), good);
    json_put(object, "caches", caches, good);
    json_put(object, "kernel", json_text(machine->kernel), good);
    json_put(object, "huge_pages", json_text(machine->huge_pages), good);
    json_put(object, "compiler", json_string(machine->compiler), good);
    json_put(object, "flags", json_text(machine->flags), good);
    json_put(object, "optimized", json_boolean(machine->optimized), good);
    json_put(object, "sanitized", json_boolean(machine->sanitized), good);
    json_put(object, "check_level",
             machine->check_level < 0 ? json_null() : json_integer(machine->check_level), good);
    json_put(object, "pinned_to", machine->pinned_to < 0 ? json_null() : json_integer(machine->pinned_to),
             good);
    return object;
}

static json_t *json_of_clock(const struct bench_clock *clock, bool *good)
{
    json_t *object = json_object();
    json_put(object, "ns_per_tick", json_measure(clock->ns_per_tick), good);
    json_put(object, "reading_ns", json_measure((double)clock->cost_ticks * clock->ns_per_tick), good);
    return object;
}

/* --------------------------------------------------------------------------------------------------- rows */

/** The extent of all live ranges over their bytes; unknown where they are scattered on purpose. */
static double fragmentation(const struct sample *sample, bool scattered)
{
    return scattered ? -1 : (double)sample->used_bytes / (double)sample->live_bytes;
}

static double bytes_per_live(const struct sample *sample)
{
    return (double)sample->memory_bytes / (double)sample->live;
}

static void describe_sample(struct sheet *sheet, const struct sample *sample, bool scattered)
{
    sheet_count(sheet, NULL, "live", sample->live);
    sheet_count(sheet, NULL, "live_bytes", sample->live_bytes);
    sheet_count(sheet, NULL, "memory_bytes", sample->memory_bytes);
    sheet_count(sheet, NULL, "used_bytes", sample->used_bytes);
    sheet_measure(sheet, NULL, "bytes_per_live", bytes_per_live(sample), 1, 1);
    sheet_measure(sheet, NULL, "fragmentation", fragmentation(sample, scattered), 1, 4);
    sheet_count(sheet, NULL, "requests", sample->requests);
    sheet_count(sheet, NULL, "no_fit", sample->no_fit);
}

static void describe_row(struct sheet *sheet, const void *item)
{
    const struct row *row = item;
    const struct workload *workload = row->workload;
    bool scattered = workload->scattered || row->phase->scattered;
    char per_unit[16], times_base[32], times_first[32];
    snprintf(per_unit, sizeof(per_unit), "ns/%s", workload->unit);
    snprintf(times_base, sizeof(times_base), "x %s", row->base);
    snprintf(times_first, sizeof(times_first), "x %s", workload->phases[0].name);
    sheet_text(sheet, NULL, "workload", workload->name);
    sheet_text(sheet, workload->phase_count > 1 ? "phase" : NULL, "phase", row->phase->name);
    sheet_text(sheet, NULL, "unit", workload->unit);
    sheet_count(sheet, "n", "n", row->n);
    sheet_text(sheet, "engine", "engine", row->engine);
    sheet_flag(sheet, "skipped", row->skipped);
    sheet_absent(sheet, row->skipped);
    describe_sample(sheet, &row->sample, scattered);
    sheet_ns(sheet, NULL, "setup_ns", row->setup_ns);
    sheet_ns(sheet, NULL, "warmup_ns", row->warmup_ns);
    sheet_times(sheet, per_unit, &row->times);
    sheet_measure(sheet, times_base, "ratio", row->times.ratio, 1, 2);
    sheet_measure(sheet, workload->beside_first ? times_first : NULL, "times_first", row->times_first, 1, 2);
    sheet_latency(sheet, "p99", "max", &row->latency);
    sheet_measure(sheet, "bytes/live", NULL, bytes_per_live(&row->sample), 1, 1);
    sheet_measure(sheet, "used/live", NULL, fragmentation(&row->sample, scattered), 1, 4);
}

/** Explain empty rows (once for each engine), and report how many requests found no fit. */
static void notes_on_rows(const struct row *rows, size_t count, FILE *out)
{
    for (size_t i = 0; i < count; i++) {
        bool said = false;
        for (size_t j = 0; j < i; j++)
            said |= rows[j].skipped && rows[j].engine == rows[i].engine;
        if (rows[i].skipped && !said)
            fprintf(out, "  %s is O(n) and skipped above n = %zu; --uncapped runs it\n", rows[i].engine,
                    bench_engine_cap(rows[i].engine));
        if (rows[i].sample.no_fit > 0)
            fprintf(out, "  %s, n = %zu: %.1f %% of the requests correctly found no fit\n", rows[i].engine,
                    rows[i].n, 100 * (double)rows[i].sample.no_fit / (double)rows[i].sample.requests);
    }
}

void bench_report_rows(const struct row *rows, size_t count, const struct bench_options *options)
{
    if (count == 0)
        return;
    progress_clear(&bench_progress);
    fprintf(options->out, "\n%s (n = %s; times in ns)\n", rows[0].workload->name, rows[0].workload->counts);
    sheet_print(describe_row, rows, count, sizeof(*rows), options->out);
    notes_on_rows(rows, count, options->out);
    fflush(options->out);
}

/* ------------------------------------------------------------------------------------------------ longest */

/** Write a count, with a mark in the table if it was capped. */
static void describe_cut(struct sheet *sheet, const char *name, uint64_t count, bool cut)
{
    char text[NUMBER_ROOM];
    sheet_cell(sheet, 'r', name, "%s%s", format_count(text, count), cut ? "*" : "");
    sheet_count(sheet, NULL, name, count);
}

static void describe_longest(struct sheet *sheet, const void *item)
{
    const struct longest *longest = item;
    describe_cut(sheet, "n", longest->n, longest->capped);
    sheet_text(sheet, "engine", "engine", longest->engine);
    describe_cut(sheet, "operations", longest->operations, longest->capped);
    sheet_flag(sheet, "capped", longest->capped);
    describe_sample(sheet, &longest->sample, false);
    sheet_latency(sheet, NULL, "longest", &longest->latency);
    sheet_ns(sheet, "empty longest", "empty_max_ns", longest->empty_max);
    sheet_ns(sheet, "empty p99.999", "empty_p99.999_ns", longest->empty_p99999);
    sheet_count(sheet, "above empty", "above_empty_max", longest->above_empty);
    sheet_ns(sheet, "longest twice", "repeated_max_ns", longest->repeated_max);
    sheet_text(sheet, "in", "repeated_max_in", longest->repeated_is_free ? "free" : "alloc");
    sheet_count(sheet, NULL, "repeated_above_empty_p99.999", longest->repeated_above);
}

/** Explain the columns, and the capped rows, once for each engine. */
static void notes_on_longest(const struct longest *longest, size_t count, FILE *out)
{
    char n[NUMBER_ROOM], operations[NUMBER_ROOM];
    fprintf(out, "  empty: an empty loop, timed in between for as long. above empty: operations longer than "
                 "its longest.\n"
                 "  longest twice: each operation counts with the shorter of two identical runs.\n");
    for (size_t i = 0; i < count; i++) {
        bool said = false;
        for (size_t j = 0; j < i; j++)
            said |= longest[j].capped && longest[j].engine == longest[i].engine;
        if (longest[i].capped && !said)
            fprintf(out,
                    "  * %s is O(n): at most n = %s and %s operations; do not compare this row with the "
                    "others. --uncapped lifts both limits\n",
                    longest[i].engine, format_count(n, bench_engine_cap(longest[i].engine)),
                    format_count(operations, bench_engine_operations_cap(longest[i].engine)));
    }
}

void bench_report_longest(const struct longest *longest, size_t count, const struct bench_options *options)
{
    progress_clear(&bench_progress);
    fprintf(options->out, "\nlongest (n = %s; times in ns, single operations)\n", longest->workload->counts);
    sheet_print(describe_longest, longest, count, sizeof(*longest), options->out);
    notes_on_longest(longest, count, options->out);
    fflush(options->out);
}

/* --------------------------------------------------------------------------------------------- all tables */

bool bench_report_json(const struct results *results, const struct evictions_results *evictions,
                       const struct vmalloc_results *vmalloc, const struct threads_results *threads,
                       const struct frames_results *frames, const struct machine *machine,
                       const struct bench_options *options)
{
    bool good = true;
    json_t *root = json_begin("kva bench", &options->seed, &good);
    json_put(root, "base", json_string(options->base), &good);
    json_put(root, "reps", json_count(options->reps), &good);
    json_put(root, "turn_ms", json_measure((double)options->turn_ns / 1e6), &good);
    json_put(root, "preemptions", json_count(results->preemptions), &good);
    json_put(root, "machine", json_of_machine(machine, &good), &good);
    json_put(root, "stopwatch", json_of_clock(&options->clock, &good), &good);
    json_put(root, "rows",
             sheet_to_json(describe_row, results->rows, results->row_count, sizeof(struct row), &good),
             &good);
    json_put(root, "longest",
             sheet_to_json(describe_longest, results->longest, results->longest_count, sizeof(struct longest),
                           &good),
             &good);
    json_put(root, "aims", aims_to_json(&results->aims, &good), &good);
    json_put(root, "evictions", evictions->measured ? evictions_to_json(evictions, &good) : json_null(),
             &good);
    json_put(root, "vmalloc", vmalloc->mechanism == NULL ? json_null() : vmalloc_to_json(vmalloc, &good),
             &good);
    json_put(root, "threads", threads->measured ? threads_to_json(threads, &good) : json_null(), &good);
    json_put(root, "frames", frames->measured ? frames_to_json(frames, &good) : json_null(), &good);
    return json_end(root, options->out, good);
}
