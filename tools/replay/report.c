/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "report.h"
#include "../common/table.h"

#include <jansson.h>

#include <string.h>

/* ----------------------------------------------------------------------------------------------- figures */

/** Nanoseconds per call in a round: `which` 0 the fastest, 0.5 the median, 1 the slowest. */
static double ns_per_call(const struct report *report, const struct engine_report *engine, double which)
{
    size_t index = (size_t)((double)(engine->rounds - 1) * which);
    return report->script->calls == 0 ? 0 : (double)engine->rounds_ns[index] / (double)report->script->calls;
}

static uint64_t played(const struct script_counts *counts)
{
    return counts->mmaps + counts->munmaps + counts->mremaps + counts->brks;
}

/** Seconds between the first operation of the log and number `op`; negative where the clock went back. */
static double seconds_at(const struct strace_log *log, uint64_t op)
{
    return (double)(int64_t)(log->ops[op].time_ns - log->ops[0].time_ns) / 1e9;
}

/** Crumbs as a share of what they stand among. */
static double crumb_share(const struct sample *sample)
{
    uint64_t extent = sample->crumb_bytes + sample->busy_bytes;
    return extent == 0 ? 0 : (double)sample->crumb_bytes / (double)extent;
}

/* -------------------------------------------------------------------------------------------------- text */

/** A number of bytes in the largest unit of which there is at least one: "127.9 TiB". */
static const char *format_bytes(char text[NUMBER_ROOM], uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    snprintf(text, NUMBER_ROOM, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}

static void print_summary(const struct report *report)
{
    const struct script_counts *counts = &report->script->counts;
    const struct strace_log *log = report->log;
    char lines[NUMBER_ROOM], calls[NUMBER_ROOM];
    printf("%s: %s lines, %llu processes", report->file, format_count(lines, log->lines),
           (unsigned long long)counts->processes);
    if (log->timed && log->count != 0)
        printf(", %.3f s", seconds_at(log, log->count - 1));
    printf("\n  played   %s: %llu mmap, %llu munmap, %llu mremap, %llu brk\n",
           format_count(calls, played(counts)), (unsigned long long)counts->mmaps,
           (unsigned long long)counts->munmaps, (unsigned long long)counts->mremaps,
           (unsigned long long)counts->brks);
    printf("  skipped  %llu mprotect, %llu that failed, %llu other calls\n",
           (unsigned long long)counts->mprotects, (unsigned long long)counts->failed,
           (unsigned long long)log->others);
    printf("  notes    %llu of unknown addresses, %llu implied frees, %llu displaced, %llu refused\n",
           (unsigned long long)counts->unknown, (unsigned long long)counts->implied,
           (unsigned long long)counts->displaced, (unsigned long long)counts->refused);
    printf("  became   %s calls of kva on %lu address spaces\n\n", format_count(calls, report->script->calls),
           (unsigned long)report->script->spaces);
}

static bool print_engines(const struct report *report)
{
    static const char *const heading[] = {"engine", "operations",    "ns/op",     "min",         "max",
                                          "rounds", "peak segments", "peak busy", "largest hole"};
    char text[NUMBER_ROOM];
    struct table *table = table_create("lrrrrrrrr");
    table_row(table, heading);
    table_rule(table);
    for (size_t i = 0; i < report->engine_count; i++) {
        const struct engine_report *engine = &report->engines[i];
        table_cell(table, "%s", engine->name);
        table_cell(table, "%s", format_count(text, report->script->calls));
        table_cell(table, "%s", format_fixed(text, ns_per_call(report, engine, 0.5), 1));
        table_cell(table, "%s", format_fixed(text, ns_per_call(report, engine, 0), 1));
        table_cell(table, "%s", format_fixed(text, ns_per_call(report, engine, 1), 1));
        table_cell(table, "%s", format_count(text, engine->rounds));
        table_cell(table, "%s", format_count(text, engine->observed.peak_segments));
        table_cell(table, "%s", format_bytes(text, engine->observed.peak_busy_bytes));
        table_cell(table, "%s", format_bytes(text, engine->observed.least_largest_hole));
    }
    bool good = table_print(table, stdout, 0);
    table_destroy(table);
    return good;
}

static bool print_samples(const struct report *report)
{
    static const char *const heading[] = {"seconds", "operations",  "spaces",  "busy",
                                          "free",    "busy bytes",  "largest", "frag",
                                          "crumbs",  "crumb bytes", "share"};
    char text[NUMBER_ROOM];
    struct table *table = table_create("rrrrrrrrrrr");
    table_row(table, heading);
    table_rule(table);
    for (size_t i = 0; i < report->sample_count; i++) {
        const struct sample *sample = &report->samples[i];
        if (report->log->timed)
            table_cell(table, "%.3f", seconds_at(report->log, sample->op));
        else
            table_cell(table, "-");
        table_cell(table, "%s", format_count(text, sample->calls));
        table_cell(table, "%s", format_count(text, sample->spaces));
        table_cell(table, "%s", format_count(text, sample->busy_segments));
        table_cell(table, "%s", format_count(text, sample->free_segments));
        table_cell(table, "%s", format_bytes(text, sample->busy_bytes));
        table_cell(table, "%s", format_bytes(text, sample->largest_hole));
        table_cell(table, "%.1f %%", sample_fragmentation(sample) * 100);
        table_cell(table, "%s", format_count(text, sample->crumbs));
        table_cell(table, "%s", format_bytes(text, sample->crumb_bytes));
        table_cell(table, "%.1f %%", crumb_share(sample) * 100);
    }
    bool good = table_print(table, stdout, 0);
    table_destroy(table);
    return good;
}

bool report_text(const struct report *report)
{
    print_summary(report);
    if (!print_engines(report))
        return false;
    printf("\nOver time (frag: 1 - largest free range / free bytes; crumbs: holes between mappings that are\n"
           "smaller than all that is mapped, their bytes, and these as a share of crumbs and mappings):\n\n");
    if (!print_samples(report))
        return false;
    if (report->engine_count > 1)
        printf("\nAll engines gave the same addresses in all %llu calls.\n",
               (unsigned long long)report->script->calls);
    return true;
}

/* -------------------------------------------------------------------------------------------------- JSON */

static json_t *json_count(uint64_t value)
{
    return json_integer((json_int_t)value);
}

/** Set a key, and remember in *good when that fails for want of memory. */
static void set(json_t *object, const char *key, json_t *value, bool *good)
{
    if (json_object_set_new(object, key, value) != 0)
        *good = false;
}

static json_t *log_json(const struct report *report, bool *good)
{
    const struct script_counts *counts = &report->script->counts;
    const struct strace_log *log = report->log;
    json_t *object = json_object();
    json_t *file = json_string(report->file); /* NULL also for a name that is not UTF-8 */
    set(object, "file", file != NULL ? file : json_string("(not UTF-8)"), good);
    set(object, "lines", json_count(log->lines), good);
    set(object, "processes", json_count(counts->processes), good);
    set(object, "spaces", json_count(report->script->spaces), good);
    set(object, "seconds", log->timed ? json_real(seconds_at(log, log->count - 1)) : json_null(), good);
    set(object, "mmap", json_count(counts->mmaps), good);
    set(object, "munmap", json_count(counts->munmaps), good);
    set(object, "mremap", json_count(counts->mremaps), good);
    set(object, "brk", json_count(counts->brks), good);
    set(object, "mprotect", json_count(counts->mprotects), good);
    set(object, "failed", json_count(counts->failed), good);
    set(object, "others", json_count(log->others), good);
    set(object, "unknown", json_count(counts->unknown), good);
    set(object, "implied", json_count(counts->implied), good);
    set(object, "displaced", json_count(counts->displaced), good);
    set(object, "refused", json_count(counts->refused), good);
    return object;
}

static json_t *engine_json(const struct report *report, const struct engine_report *engine, bool *good)
{
    json_t *object = json_object();
    set(object, "name", json_string(engine->name), good);
    set(object, "operations", json_count(report->script->calls), good);
    set(object, "rounds", json_count(engine->rounds), good);
    set(object, "ns_per_operation", json_real(ns_per_call(report, engine, 0.5)), good);
    set(object, "ns_per_operation_min", json_real(ns_per_call(report, engine, 0)), good);
    set(object, "ns_per_operation_max", json_real(ns_per_call(report, engine, 1)), good);
    set(object, "peak_busy_segments", json_count(engine->observed.peak_segments), good);
    set(object, "peak_segments_of_a_space", json_count(engine->observed.peak_segments_one), good);
    set(object, "peak_busy_bytes", json_count(engine->observed.peak_busy_bytes), good);
    set(object, "peak_memory_bytes", json_count(engine->observed.peak_memory_bytes), good);
    set(object, "largest_hole_at_least", json_count(engine->observed.least_largest_hole), good);
    return object;
}

static json_t *sample_json(const struct report *report, const struct sample *sample, bool *good)
{
    json_t *object = json_object();
    set(object, "seconds", report->log->timed ? json_real(seconds_at(report->log, sample->op)) : json_null(),
        good);
    set(object, "operations", json_count(sample->calls), good);
    set(object, "spaces", json_count(sample->spaces), good);
    set(object, "busy_segments", json_count(sample->busy_segments), good);
    set(object, "free_segments", json_count(sample->free_segments), good);
    set(object, "busy_bytes", json_count(sample->busy_bytes), good);
    set(object, "free_bytes", json_count(sample->free_bytes), good);
    set(object, "largest_hole", json_count(sample->largest_hole), good);
    set(object, "fragmentation", json_real(sample_fragmentation(sample)), good);
    set(object, "crumbs", json_count(sample->crumbs), good);
    set(object, "crumb_bytes", json_count(sample->crumb_bytes), good);
    set(object, "crumb_share", json_real(crumb_share(sample)), good);
    return object;
}

bool report_json(const struct report *report)
{
    bool good = true;
    json_t *root = json_object();
    json_t *engines = json_array();
    json_t *samples = json_array();
    for (size_t i = 0; i < report->engine_count; i++)
        if (json_array_append_new(engines, engine_json(report, &report->engines[i], &good)) != 0)
            good = false;
    for (size_t i = 0; i < report->sample_count; i++)
        if (json_array_append_new(samples, sample_json(report, &report->samples[i], &good)) != 0)
            good = false;
    set(root, "command", json_string("kva replay"), &good);
    set(root, "log", log_json(report, &good), &good);
    set(root, "engines", engines, &good);
    set(root, "samples", samples, &good);
    if (good)
        good = json_dumpf(root, stdout, JSON_INDENT(2)) == 0 || ferror(stdout);
    if (good)
        putchar('\n');
    json_decref(root);
    return good;
}
