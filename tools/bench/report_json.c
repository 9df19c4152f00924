/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "report.h"

#include <jansson.h>

/* jansson's setters take over the value and accept NULL, which they report: an object that could not be
 * filled for want of memory is noticed by `set`, and the whole report fails. */
static bool failed;

static void set(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0)
        failed = true;
}

static void append(json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) != 0)
        failed = true;
}

static json_t *integer(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *json_of_machine(const struct machine *machine)
{
    json_t *object = json_object();
    json_t *caches = json_array();
    for (size_t i = 0; i < machine->cache_count; i++)
        append(caches, json_string(machine->cache[i]));
    set(object, "cpu", json_string(machine->cpu));
    set(object, "cpus", json_integer(machine->cpus));
    set(object, "virtual", json_boolean(machine->virtual_machine));
    set(object, "caches", caches);
    set(object, "kernel", json_string(machine->kernel));
    set(object, "huge_pages", json_string(machine->huge_pages));
    set(object, "compiler", json_string(machine->compiler));
    set(object, "flags", json_string(machine->flags));
    set(object, "optimized", json_boolean(machine->optimized));
    set(object, "sanitized", json_boolean(machine->sanitized));
    set(object, "check_level", machine->check_level < 0 ? json_null() : json_integer(machine->check_level));
    set(object, "pinned_to", machine->pinned_to < 0 ? json_null() : json_integer(machine->pinned_to));
    return object;
}

static json_t *json_of_latency(const struct latency *latency)
{
    json_t *object = json_object();
    set(object, "samples", integer(latency->samples));
    set(object, "p50", json_real(latency->p50));
    set(object, "p90", json_real(latency->p90));
    set(object, "p99", json_real(latency->p99));
    set(object, "p99.9", json_real(latency->p999));
    set(object, "max", json_real(latency->max));
    return object;
}

static void set_sample(json_t *object, const struct sample *sample, bool scattered)
{
    set(object, "live", integer(sample->live));
    set(object, "live_bytes", integer(sample->live_bytes));
    set(object, "memory_bytes", integer(sample->memory_bytes));
    set(object, "used_bytes", integer(sample->used_bytes));
    set(object, "bytes_per_live", json_real((double)sample->memory_bytes / (double)sample->live));
    set(object, "fragmentation",
        scattered ? json_null() : json_real((double)sample->used_bytes / (double)sample->live_bytes));
    set(object, "requests", integer(sample->requests));
    set(object, "no_fit", integer(sample->no_fit));
}

static void set_measures(json_t *object, const struct row *row)
{
    json_t *turns = json_array();
    for (size_t i = 0; i < row->turns; i++)
        append(turns, json_real(row->turn_ns[i]));
    set_sample(object, &row->sample, row->workload->scattered);
    set(object, "setup_ns", json_real(row->setup_ns));
    set(object, "warmup_ns", json_real(row->warmup_ns));
    set(object, "ns", json_real(row->median_ns));
    set(object, "spread", json_real(row->spread));
    set(object, "turns_ns", turns);
    set(object, "ratio", row->ratio < 0 ? json_null() : json_real(row->ratio));
    set(object, "latency_ns", json_of_latency(&row->latency));
}

static json_t *json_of_row(const struct row *row)
{
    json_t *object = json_object();
    set(object, "workload", json_string(row->workload->name));
    set(object, "phase", row->phase->name == NULL ? json_null() : json_string(row->phase->name));
    set(object, "unit", json_string(row->workload->unit));
    set(object, "n", integer(row->n));
    set(object, "engine", json_string(row->engine));
    set(object, "skipped", json_boolean(row->skipped));
    if (!row->skipped)
        set_measures(object, row);
    return object;
}

static json_t *json_of_longest(const struct longest *longest)
{
    json_t *object = json_object();
    set(object, "n", integer(longest->n));
    set(object, "engine", json_string(longest->engine));
    set(object, "operations", integer(longest->operations));
    set_sample(object, &longest->sample, false);
    set(object, "latency_ns", json_of_latency(&longest->latency));
    set(object, "empty_max_ns", json_real(longest->empty_max));
    set(object, "empty_p99.999_ns", json_real(longest->empty_p99999));
    set(object, "above_empty_max", integer(longest->above_empty));
    set(object, "repeated_max_ns", json_real(longest->repeated_max));
    set(object, "repeated_max_in", json_string(longest->repeated_is_free ? "free" : "alloc"));
    set(object, "repeated_above_empty_p99.999", integer(longest->repeated_above));
    return object;
}

static json_t *json_of_clock(const struct bench_clock *clock)
{
    json_t *object = json_object();
    set(object, "ns_per_tick", json_real(clock->ns_per_tick));
    set(object, "reading_ns", json_real((double)clock->cost_ticks * clock->ns_per_tick));
    return object;
}

static void set_results(json_t *root, const struct results *results)
{
    json_t *rows = json_array();
    json_t *longest = json_array();
    for (size_t i = 0; i < results->row_count; i++)
        append(rows, json_of_row(&results->rows[i]));
    for (size_t i = 0; i < results->longest_count; i++)
        append(longest, json_of_longest(&results->longest[i]));
    set(root, "rows", rows);
    set(root, "longest", longest);
}

bool bench_report_json(const struct results *results, const struct machine *machine,
                       const struct bench_options *options, const struct bench_clock *clock)
{
    failed = false;
    json_t *root = json_object();
    set(root, "program", json_string("kva bench"));
    set(root, "version", json_sprintf("%d.%d.%d", KVA_VERSION_MAJOR, KVA_VERSION_MINOR, KVA_VERSION_PATCH));
    set(root, "date", json_string(machine->date));
    set(root, "seed", json_sprintf("%llu", (unsigned long long)options->seed)); /* may exceed 2^63 */
    set(root, "base", json_string(options->base));
    set(root, "reps", integer(options->reps));
    set(root, "turn_ms", json_real((double)options->turn_ns / 1e6));
    set(root, "preemptions", integer(results->preemptions));
    set(root, "machine", json_of_machine(machine));
    set(root, "stopwatch", json_of_clock(clock));
    set_results(root, results);
    bool written = !failed && json_dumpf(root, options->out, JSON_INDENT(2)) == 0;
    json_decref(root);
    return written && fputc('\n', options->out) != EOF;
}
