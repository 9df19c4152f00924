/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "vmalloc.h"

#include "fatal.h"
#include "sheet.h"

#include "../test/suite.h"

#include <inttypes.h>
#include <string.h>

/* --------------------------------------------------------------------------------------------------- rows */

static bool is_of(const struct vmalloc_row *row, const char *what)
{
    return strcmp(row->what, what) == 0;
}

/* A count; negative: unknown. */
static void describe_count(struct sheet *sheet, const char *head, const char *key, int64_t count)
{
    if (count < 0) {
        sheet_cell(sheet, 'r', head, "-");
        sheet_null(sheet, key);
    } else {
        sheet_count(sheet, head, key, (uint64_t)count);
    }
}

/* In `many` the number of pages is always the same, and the table has no room for it. */
static void describe_pages(struct sheet *sheet, const struct vmalloc_row *row)
{
    if (row->pages == 0) {
        sheet_cell(sheet, 'r', "pages", "1..%d", VMALLOC_RANDOM_MOST);
        sheet_null(sheet, "pages");
    } else {
        sheet_count(sheet, is_of(row, VMALLOC_MANY) ? NULL : "pages", "pages", row->pages);
    }
}

static void describe_row(struct sheet *sheet, const void *item)
{
    const struct vmalloc_row *row = item;
    bool many = is_of(row, VMALLOC_MANY);
    sheet_text(sheet, NULL, "case", row->what);
    describe_count(sheet, many ? "areas" : NULL, "areas", many ? (int64_t)row->areas : -1);
    describe_pages(sheet, row);
    sheet_text(sheet, "contender", "contender", row->contender);
    sheet_text(sheet, NULL, "status", kva_status_name(row->refused));
    sheet_absent(sheet, row->refused != KVA_OK);
    sheet_times(sheet, "ns", &row->times);
    sheet_measure(sheet, "x mmap", "ratio", row->times.ratio, 1, 2);
    sheet_latency(sheet, "p99", "max", &row->latency);
    sheet_count(sheet, NULL, "operations", row->operations);
    sheet_measure(sheet, "faults/op", "faults", row->faults, 1, 4);
    sheet_measure(sheet, "calls/op", "calls", row->calls, 1, 4);
    sheet_measure(sheet, "flushes/op", "flushing_calls", row->calls < 0 ? -1 : row->flushing, 1, 4);
    sheet_count(sheet, NULL, "found_again", row->found_again);
    sheet_ns(sheet, many ? "fill" : NULL, "fill_ns", row->fill_ns);
    describe_count(sheet, many ? "mappings" : NULL, "mappings", row->mappings);
    describe_count(sheet, many ? "failed unmaps" : NULL, "failed_unmap_pages", row->failed_unmap_pages);
}

/* Explain rows without figures, and report maps that were not fresh. */
static void notes_on_rows(const struct vmalloc_row *rows, size_t count, FILE *out)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].refused != KVA_OK && is_of(&rows[i], VMALLOC_MANY))
            fprintf(out, "  %s held %zu areas; the next allocation failed: %s\n", rows[i].contender,
                    rows[i].areas, kva_status_text(rows[i].refused));
        else if (rows[i].refused != KVA_OK)
            fprintf(out, "  %s, %zu pages: %s\n", rows[i].contender, rows[i].pages,
                    kva_status_text(rows[i].refused));
        if (rows[i].found_again > 0 && is_of(&rows[i], VMALLOC_MAP_FRESH))
            fprintf(out, "  %s, %zu pages: %" PRIu64 " maps were not fresh but reused\n", rows[i].contender,
                    rows[i].pages, rows[i].found_again);
    }
}

/* The number of rows, from the first on, of the same case. */
static size_t rows_of_case(const struct vmalloc_row *rows, size_t count)
{
    size_t same = 1;
    while (same < count && is_of(&rows[same], rows[0].what))
        same++;
    return same;
}

static void report_rows(const struct vmalloc_row *rows, size_t count, FILE *out)
{
    for (size_t done = 0, same; done < count; done += same, rows += same) {
        same = rows_of_case(rows, count - done);
        fprintf(out, "\nvmalloc %s (times in ns)\n", rows->what);
        sheet_print(describe_row, rows, same, sizeof(*rows), out);
        notes_on_rows(rows, same, out);
    }
}

/* ---------------------------------------------------------------------------------------------- the suite */

/* A line of the suite's table. */
struct sum_line {
    const char *name;
    struct vmalloc_suite_sum sum;
    bool below_rule;
};

static void describe_sum(struct sheet *sheet, const void *item)
{
    const struct sum_line *line = item;
    if (line->below_rule)
        sheet_rule(sheet);
    sheet_text(sheet, "test", NULL, line->name);
    sheet_measure(sheet, "list", NULL, line->sum.list_us, 1, 0);
    sheet_measure(sheet, "kva", NULL, line->sum.kva_us, 1, 0);
    sheet_measure(sheet, "list/kva", NULL, line->sum.ratio, 1, 2);
}

static void report_suite(const struct vmalloc_suite *suite, FILE *out)
{
    struct sum_line lines[VMALLOC_SUITE_TESTS + 2] = {0};
    for (size_t i = 0; i < VMALLOC_SUITE_TESTS; i++)
        lines[i] = (struct sum_line){suite_tests[i].name, vmalloc_suite_sum(suite, suite_tests[i].id), false};
    lines[VMALLOC_SUITE_TESTS] = (struct sum_line){"tests 2 and 4", vmalloc_suite_sum(suite, 2 | 4), true};
    lines[VMALLOC_SUITE_TESTS + 1] =
        (struct sum_line){"all eight", vmalloc_suite_sum(suite, SUITE_RANGES_MASK), false};
    fprintf(out, "\nvmalloc suite: the eight tests of 2019, a million loops each (times in us)\n");
    sheet_print(describe_sum, lines, VMALLOC_SUITE_TESTS + 2, sizeof(*lines), out);
    if (suite->scaled)
        fputs("  Loops were cut short; their times are scaled to the full count.\n", out);
    if (suite->failed != NULL)
        fprintf(out, "  A test of %s failed; kva test shows which.\n", suite->failed);
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

/* --------------------------------------------------------------------------------------------- all tables */

static void report_resident(const struct vmalloc_resident *resident, FILE *out)
{
    char start[NUMBER_ROOM], full[NUMBER_ROOM], end[NUMBER_ROOM];
    fprintf(
        out,
        "\nvmalloc resident memory (KiB): at the start %s, all areas written %s, all freed and flushed once "
        "%s\n",
        format_count(start, resident->start >> 10), format_count(full, resident->full >> 10),
        format_count(end, resident->end >> 10));
}

static json_t *json_of_resident(const struct vmalloc_resident *resident, bool *good)
{
    json_t *object = json_object();
    json_put(object, "start", json_count(resident->start), good);
    json_put(object, "full", json_count(resident->full), good);
    json_put(object, "end", json_count(resident->end), good);
    return object;
}

void vmalloc_report(const struct vmalloc_results *results, const struct bench_options *options)
{
    FILE *out = options->out;
    progress_clear(&bench_progress);
    fprintf(out, "\nvmalloc: kva is %s, closed pages are %s\n", results->engine, results->mechanism);
    report_rows(results->rows, results->row_count, out);
    report_suite(&results->suite, out);
    report_resident(&results->resident, out);
    aims_report(&results->aims, "vmalloc", out);
    fflush(out);
}

json_t *vmalloc_to_json(const struct vmalloc_results *results, bool *good)
{
    json_t *object = json_object();
    json_put(object, "engine", json_string(results->engine), good);
    json_put(object, "mechanism", json_string(results->mechanism), good);
    json_put(object, "rows",
             sheet_to_json(describe_row, results->rows, results->row_count, sizeof(struct vmalloc_row), good),
             good);
    json_put(object, "suite", json_of_suite(&results->suite, good), good);
    json_put(object, "resident_bytes", json_of_resident(&results->resident, good), good);
    json_put(object, "aims", aims_to_json(&results->aims, good), good);
    return object;
}
