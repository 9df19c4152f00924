/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "report.h"

#include "../common/json.h"
#include "../common/table.h"

#include <string.h>

/* ------------------------------------------------------------------------------------------------ figures */

/** Nanoseconds per call in a round: `which` 0 the fastest, 0.5 the median, 1 the slowest. */
static double ns_per_call(const struct report *report, const struct engine_report *engine, double which)
{
    size_t index = (size_t)((double)(engine->rounds - 1) * which);
    return report->script->calls == 0 ? 0 : (double)engine->rounds_ns[index] / (double)report->script->calls;
}

uint64_t report_played(const struct script_counts *counts)
{
    return counts->mmaps + counts->munmaps + counts->mremaps + counts->brks;
}

/** Seconds between the first operation of the log and number `op`; negative if the clock went back. */
static double seconds_at(const struct strace_log *log, uint64_t op)
{
    return (double)(int64_t)(log->ops[op].time_ns - log->ops[0].time_ns) / 1e9;
}

/** Crumbs as a share of crumbs and mappings. */
static double crumb_share(const struct sample *sample)
{
    uint64_t extent = sample->crumb_bytes + sample->busy_bytes;
    return extent == 0 ? 0 : (double)sample->crumb_bytes / (double)extent;
}

/* --------------------------------------------------------------------------------------------------- text */

/** A number of bytes in the largest unit that gives at least 1: "127.9 TiB". */
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

/** The skipped lines, by kind; nothing if there are none. */
static void print_skipped_counts(const struct strace_log *log)
{
    char text[NUMBER_ROOM];
    uint64_t lines = strace_skipped_lines(log);
    const char *between = ": ";
    if (lines == 0)
        return;
    printf("  odd      %s line%s skipped", format_count(text, lines), lines == 1 ? "" : "s");
    for (enum strace_odd odd = 0; odd < STRACE_ODDS; odd++) {
        if (log->skipped[odd].lines == 0)
            continue;
        printf("%s%s %s", between, format_count(text, log->skipped[odd].lines), strace_odd_name(odd));
        between = ", ";
    }
    printf("\n");
}

/** The call of a note. */
static void print_op(const struct strace_op *op)
{
    const char *name = strace_call_name((enum strace_call)op->call);
    unsigned long long address = op->address, length = op->length, result = op->result;
    if (op->call == STRACE_MREMAP)
        printf("%s(0x%llx, %llu, %llu) = 0x%llx\n", name, address, length, (unsigned long long)op->new_length,
               result);
    else if (op->call == STRACE_MMAP || op->call == STRACE_MUNMAP)
        printf("%s(0x%llx, %llu) = 0x%llx\n", name, address, length, result);
    else
        printf("%s = 0x%llx\n", name, result);
}

/** The lines with notes, in the order of the replay. */
static void print_notes(const struct report *report)
{
    const struct script *script = report->script;
    if (script->note_count != 0)
        printf("\nNotes, by line:\n\n");
    for (size_t i = 0; i < script->note_count; i++) {
        const struct strace_op *op = &report->log->ops[script->notes[i].op];
        printf("%s:%lu: %s: ", report->file, (unsigned long)op->line,
               script_note_name((enum script_note_kind)script->notes[i].kind));
        print_op(op);
    }
}

static void print_summary(const struct report *report)
{
    const struct script_counts *counts = &report->script->counts;
    const struct strace_log *log = report->log;
    char lines[NUMBER_ROOM], calls[NUMBER_ROOM];
    printf("%s: %s line%s, %llu process%s", report->file, format_count(lines, log->lines),
           log->lines == 1 ? "" : "s", (unsigned long long)counts->processes,
           counts->processes == 1 ? "" : "es");
    if (log->timed && log->count != 0)
        printf(", %.3f s", seconds_at(log, log->count - 1));
    printf("\n  played   %s: %llu mmap, %llu munmap, %llu mremap, %llu brk\n",
           format_count(calls, report_played(counts)), (unsigned long long)counts->mmaps,
           (unsigned long long)counts->munmaps, (unsigned long long)counts->mremaps,
           (unsigned long long)counts->brks);
    printf("  skipped  %llu mprotect, %llu that failed, %llu other call%s\n",
           (unsigned long long)counts->mprotects, (unsigned long long)counts->failed,
           (unsigned long long)log->others, log->others == 1 ? "" : "s");
    print_skipped_counts(log);
    printf("  notes    %llu of unknown addresses, %llu implied, %llu displaced, %llu refused\n",
           (unsigned long long)counts->unknown, (unsigned long long)counts->implied,
           (unsigned long long)counts->displaced, (unsigned long long)counts->refused);
    printf("  became   %s call%s of kva on %lu address space%s\n\n",
           format_count(calls, report->script->calls), report->script->calls == 1 ? "" : "s",
           (unsigned long)report->script->spaces, report->script->spaces == 1 ? "" : "s");
}

static bool print_engines(const struct report *report)
{
    static const char *const heading[] = {"engine",    "operations", "ns/op",
                                          "fastest",   "slowest",    "rounds",
                                          "peak busy", "peak bytes", "least largest hole"};
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
           "smaller than all mapped bytes, their bytes, and these as a share of crumbs and mappings):\n\n");
    if (!print_samples(report))
        return false;
    if (report->engine_count > 1)
        printf("\nAll engines gave the same addresses in all %llu call%s.\n",
               (unsigned long long)report->script->calls, report->script->calls == 1 ? "" : "s");
    if (report->left_out != NULL)
        printf("\nLeft out: %s, which is slow with so many segments. --engine=all includes it.\n",
               report->left_out);
    if (report->verbose)
        print_notes(report);
    if (strace_skipped_lines(report->log) != 0)
        printf("\nSkipped lines, the first of each kind:\n\n");
    strace_skipped_print(stdout, report->file, report->log);
    return true;
}

/* --------------------------------------------------------------------------------------------------- JSON */

/** The numbers of skipped lines, of all kinds. */
static json_t *skipped_json(const struct strace_log *log, bool *good)
{
    json_t *object = json_object();
    for (enum strace_odd odd = 0; odd < STRACE_ODDS; odd++)
        json_put(object, strace_odd_name(odd), json_count(log->skipped[odd].lines), good);
    return object;
}

/** The first skipped line of each kind. */
static json_t *first_skipped_json(const struct strace_log *log, bool *good)
{
    json_t *array = json_array();
    for (enum strace_odd odd = 0; odd < STRACE_ODDS; odd++) {
        const struct strace_error *first = &log->skipped[odd].first;
        if (log->skipped[odd].lines == 0)
            continue;
        json_t *object = json_object();
        json_put(object, "kind", json_string(strace_odd_name(odd)), good);
        json_put(object, "line", json_count(first->line), good);
        json_put(object, "column", json_count(first->column), good);
        json_put(object, "message", json_text(first->message), good);
        json_add(array, object, good);
    }
    return array;
}

/** The lines with notes. */
static json_t *notes_json(const struct report *report, bool *good)
{
    json_t *array = json_array();
    for (size_t i = 0; i < report->script->note_count; i++) {
        const struct script_note *note = &report->script->notes[i];
        const struct strace_op *op = &report->log->ops[note->op];
        json_t *object = json_object();
        json_put(object, "kind", json_string(script_note_name((enum script_note_kind)note->kind)), good);
        json_put(object, "line", json_count(op->line), good);
        json_put(object, "call", json_string(strace_call_name((enum strace_call)op->call)), good);
        json_add(array, object, good);
    }
    return array;
}

static json_t *log_json(const struct report *report, bool *good)
{
    const struct script_counts *counts = &report->script->counts;
    const struct strace_log *log = report->log;
    json_t *object = json_object();
    json_put(object, "file", json_text(report->file), good);
    json_put(object, "lines", json_count(log->lines), good);
    json_put(object, "processes", json_count(counts->processes), good);
    json_put(object, "spaces", json_count(report->script->spaces), good);
    json_put(object, "seconds", log->timed ? json_measure(seconds_at(log, log->count - 1)) : json_null(),
             good);
    json_put(object, "mmap", json_count(counts->mmaps), good);
    json_put(object, "munmap", json_count(counts->munmaps), good);
    json_put(object, "mremap", json_count(counts->mremaps), good);
    json_put(object, "brk", json_count(counts->brks), good);
    json_put(object, "mprotect", json_count(counts->mprotects), good);
    json_put(object, "failed", json_count(counts->failed), good);
    json_put(object, "others", json_count(log->others), good);
    json_put(object, "skipped_lines", json_count(strace_skipped_lines(log)), good);
    json_put(object, "skipped", skipped_json(log, good), good);
    json_put(object, "first_skipped", first_skipped_json(log, good), good);
    json_put(object, "unknown", json_count(counts->unknown), good);
    json_put(object, "implied", json_count(counts->implied), good);
    json_put(object, "displaced", json_count(counts->displaced), good);
    json_put(object, "refused", json_count(counts->refused), good);
    return object;
}

static json_t *engine_json(const struct report *report, const struct engine_report *engine, bool *good)
{
    json_t *object = json_object();
    json_put(object, "name", json_string(engine->name), good);
    json_put(object, "operations", json_count(report->script->calls), good);
    json_put(object, "rounds", json_count(engine->rounds), good);
    json_put(object, "ns_per_operation", json_measure(ns_per_call(report, engine, 0.5)), good);
    json_put(object, "ns_per_operation_min", json_measure(ns_per_call(report, engine, 0)), good);
    json_put(object, "ns_per_operation_max", json_measure(ns_per_call(report, engine, 1)), good);
    json_put(object, "peak_busy_segments", json_count(engine->observed.peak_segments), good);
    json_put(object, "peak_segments_of_a_space", json_count(engine->observed.peak_segments_one), good);
    json_put(object, "peak_busy_bytes", json_count(engine->observed.peak_busy_bytes), good);
    json_put(object, "peak_memory_bytes", json_count(engine->observed.peak_memory_bytes), good);
    json_put(object, "largest_hole_at_least", json_count(engine->observed.least_largest_hole), good);
    return object;
}

static json_t *sample_json(const struct report *report, const struct sample *sample, bool *good)
{
    json_t *object = json_object();
    json_put(object, "seconds",
             report->log->timed ? json_measure(seconds_at(report->log, sample->op)) : json_null(), good);
    json_put(object, "operations", json_count(sample->calls), good);
    json_put(object, "spaces", json_count(sample->spaces), good);
    json_put(object, "busy_segments", json_count(sample->busy_segments), good);
    json_put(object, "free_segments", json_count(sample->free_segments), good);
    json_put(object, "busy_bytes", json_count(sample->busy_bytes), good);
    json_put(object, "free_bytes", json_count(sample->free_bytes), good);
    json_put(object, "largest_hole", json_count(sample->largest_hole), good);
    json_put(object, "fragmentation", json_measure(sample_fragmentation(sample)), good);
    json_put(object, "crumbs", json_count(sample->crumbs), good);
    json_put(object, "crumb_bytes", json_count(sample->crumb_bytes), good);
    json_put(object, "crumb_share", json_measure(crumb_share(sample)), good);
    return object;
}

bool report_json(const struct report *report)
{
    bool good = true;
    json_t *root = json_begin("kva replay", NULL, &good);
    json_t *engines = json_array();
    json_t *samples = json_array();
    for (size_t i = 0; i < report->engine_count; i++)
        json_add(engines, engine_json(report, &report->engines[i], &good), &good);
    for (size_t i = 0; i < report->sample_count; i++)
        json_add(samples, sample_json(report, &report->samples[i], &good), &good);
    json_put(root, "log", log_json(report, &good), &good);
    if (report->verbose)
        json_put(root, "notes", notes_json(report, &good), &good);
    json_put(root, "engines", engines, &good);
    json_put(root, "left_out", report->left_out == NULL ? json_null() : json_string(report->left_out), &good);
    json_put(root, "samples", samples, &good);
    return json_end(root, stdout, good);
}
