/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "report.h"

#include "../common/json.h"

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

static json_t *json_of_latency(const struct latency *latency, bool *good)
{
    json_t *object = json_object();
    json_put(object, "samples", json_count(latency->samples), good);
    json_put(object, "p50", json_measure(latency->p50), good);
    json_put(object, "p90", json_measure(latency->p90), good);
    json_put(object, "p99", json_measure(latency->p99), good);
    json_put(object, "p99.9", json_measure(latency->p999), good);
    json_put(object, "max", json_measure(latency->max), good);
    return object;
}

static void set_sample(json_t *object, const struct sample *sample, bool scattered, bool *good)
{
    json_put(object, "live", json_count(sample->live), good);
    json_put(object, "live_bytes", json_count(sample->live_bytes), good);
    json_put(object, "memory_bytes", json_count(sample->memory_bytes), good);
    json_put(object, "used_bytes", json_count(sample->used_bytes), good);
    json_put(object, "bytes_per_live", json_measure((double)sample->memory_bytes / (double)sample->live),
             good);
    json_put(object, "fragmentation",
             scattered ? json_null() : json_measure((double)sample->used_bytes / (double)sample->live_bytes),
             good);
    json_put(object, "requests", json_count(sample->requests), good);
    json_put(object, "no_fit", json_count(sample->no_fit), good);
}

static void set_measures(json_t *object, const struct row *row, bool *good)
{
    json_t *turns = json_array();
    for (size_t i = 0; i < row->turns; i++)
        json_add(turns, json_measure(row->turn_ns[i]), good);
    set_sample(object, &row->sample, row->workload->scattered, good);
    json_put(object, "setup_ns", json_measure(row->setup_ns), good);
    json_put(object, "warmup_ns", json_measure(row->warmup_ns), good);
    json_put(object, "ns", json_measure(row->median_ns), good);
    json_put(object, "spread", json_measure(row->spread), good);
    json_put(object, "turns_ns", turns, good);
    json_put(object, "ratio", row->ratio < 0 ? json_null() : json_measure(row->ratio), good);
    json_put(object, "latency_ns", json_of_latency(&row->latency, good), good);
}

static json_t *json_of_row(const struct row *row, bool *good)
{
    json_t *object = json_object();
    json_put(object, "workload", json_string(row->workload->name), good);
    json_put(object, "phase", row->phase->name == NULL ? json_null() : json_string(row->phase->name), good);
    json_put(object, "unit", json_string(row->workload->unit), good);
    json_put(object, "n", json_count(row->n), good);
    json_put(object, "engine", json_string(row->engine), good);
    json_put(object, "skipped", json_boolean(row->skipped), good);
    if (!row->skipped)
        set_measures(object, row, good);
    return object;
}

static json_t *json_of_longest(const struct longest *longest, bool *good)
{
    json_t *object = json_object();
    json_put(object, "n", json_count(longest->n), good);
    json_put(object, "engine", json_string(longest->engine), good);
    json_put(object, "operations", json_count(longest->operations), good);
    json_put(object, "capped", json_boolean(longest->capped), good);
    set_sample(object, &longest->sample, false, good);
    json_put(object, "latency_ns", json_of_latency(&longest->latency, good), good);
    json_put(object, "empty_max_ns", json_measure(longest->empty_max), good);
    json_put(object, "empty_p99.999_ns", json_measure(longest->empty_p99999), good);
    json_put(object, "above_empty_max", json_count(longest->above_empty), good);
    json_put(object, "repeated_max_ns", json_measure(longest->repeated_max), good);
    json_put(object, "repeated_max_in", json_string(longest->repeated_is_free ? "free" : "alloc"), good);
    json_put(object, "repeated_above_empty_p99.999", json_count(longest->repeated_above), good);
    return object;
}

/* ---------------------------------------------------------------------------------------------- vmalloc */

static void set_vmalloc_measures(json_t *object, const struct vmalloc_row *row, bool *good)
{
    json_t *turns = json_array();
    for (size_t i = 0; i < row->turns; i++)
        json_add(turns, json_measure(row->turn_ns[i]), good);
    json_put(object, "ns", json_measure(row->median_ns), good);
    json_put(object, "spread", json_measure(row->spread), good);
    json_put(object, "turns_ns", turns, good);
    json_put(object, "ratio", row->ratio < 0 ? json_null() : json_measure(row->ratio), good);
    json_put(object, "latency_ns", json_of_latency(&row->latency, good), good);
    json_put(object, "operations", json_count(row->operations), good);
    json_put(object, "faults", json_measure(row->faults), good);
    json_put(object, "calls", row->calls < 0 ? json_null() : json_measure(row->calls), good);
    json_put(object, "flushing_calls", row->calls < 0 ? json_null() : json_measure(row->flushing), good);
    json_put(object, "found_again", json_count(row->found_again), good);
}

static json_t *json_of_vmalloc_row(const struct vmalloc_row *row, bool *good)
{
    json_t *object = json_object();
    json_put(object, "case", json_string(row->what), good);
    json_put(object, "pages", row->pages == 0 ? json_null() : json_count(row->pages), good);
    json_put(object, "who", json_string(row->who), good);
    json_put(object, "status", json_string(kva_status_name(row->refused)), good);
    if (row->refused == KVA_OK)
        set_vmalloc_measures(object, row, good);
    return object;
}

static json_t *json_of_suite(const struct vmalloc_suite *suite, bool *good)
{
    json_t *object = json_object();
    json_t *list = json_array();
    json_t *kva = json_array();
    for (size_t i = 0; i < VMALLOC_SUITE_TESTS; i++) {
        json_add(list, json_measure(suite->list_us[i]), good);
        json_add(kva, json_measure(suite->kva_us[i]), good);
    }
    json_put(object, "list_microseconds", list, good);
    json_put(object, "kva_microseconds", kva, good);
    json_put(object, "scaled", json_boolean(suite->scaled), good);
    json_put(object, "failed", suite->failed == NULL ? json_null() : json_string(suite->failed), good);
    return object;
}

static json_t *json_of_vmalloc(const struct vmalloc_results *results, bool *good)
{
    json_t *object = json_object();
    json_t *rows = json_array();
    json_t *resident = json_object();
    for (size_t i = 0; i < results->row_count; i++)
        json_add(rows, json_of_vmalloc_row(&results->rows[i], good), good);
    json_put(resident, "start", json_count(results->resident.start), good);
    json_put(resident, "full", json_count(results->resident.full), good);
    json_put(resident, "end", json_count(results->resident.end), good);
    json_put(object, "engine", json_string(results->engine), good);
    json_put(object, "mechanism", json_string(results->mechanism), good);
    json_put(object, "rows", rows, good);
    json_put(object, "suite", json_of_suite(&results->suite, good), good);
    json_put(object, "resident_bytes", resident, good);
    json_put(object, "aims", aims_to_json(&results->aims, good), good);
    return object;
}

static json_t *json_of_clock(const struct bench_clock *clock, bool *good)
{
    json_t *object = json_object();
    json_put(object, "ns_per_tick", json_measure(clock->ns_per_tick), good);
    json_put(object, "reading_ns", json_measure((double)clock->cost_ticks * clock->ns_per_tick), good);
    return object;
}

static void set_results(json_t *root, const struct results *results, bool *good)
{
    json_t *rows = json_array();
    json_t *longest = json_array();
    for (size_t i = 0; i < results->row_count; i++)
        json_add(rows, json_of_row(&results->rows[i], good), good);
    for (size_t i = 0; i < results->longest_count; i++)
        json_add(longest, json_of_longest(&results->longest[i], good), good);
    json_put(root, "rows", rows, good);
    json_put(root, "longest", longest, good);
}

bool bench_report_json(const struct results *results, const struct vmalloc_results *vmalloc,
                       const struct threads_results *threads, const struct machine *machine,
                       const struct bench_options *options, const struct bench_clock *clock)
{
    bool good = true;
    json_t *root = json_begin("kva bench", &options->seed, &good);
    json_put(root, "base", json_string(options->base), &good);
    json_put(root, "reps", json_count(options->reps), &good);
    json_put(root, "turn_ms", json_measure((double)options->turn_ns / 1e6), &good);
    json_put(root, "preemptions", json_count(results->preemptions), &good);
    json_put(root, "machine", json_of_machine(machine, &good), &good);
    json_put(root, "stopwatch", json_of_clock(clock, &good), &good);
    set_results(root, results, &good);
    json_put(root, "vmalloc", vmalloc->mechanism == NULL ? json_null() : json_of_vmalloc(vmalloc, &good),
             &good);
    json_put(root, "threads", threads->measured ? threads_to_json(threads, &good) : json_null(), &good);
    return json_end(root, options->out, good);
}
