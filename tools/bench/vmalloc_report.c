/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "vmalloc.h"

#include "cells.h"
#include "fatal.h"

#include "../test/suite.h"

#include <inttypes.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------ rows */

static void pages_cell(struct table *table, size_t pages)
{
    char text[NUMBER_ROOM];
    if (pages == 0)
        table_cell(table, "1..%d", VMALLOC_RANDOM_MOST);
    else
        table_cell(table, "%s", format_count(text, pages));
}

static void measured_cells(struct table *table, const struct vmalloc_row *row)
{
    char text[NUMBER_ROOM];
    ns_cell(table, row->median_ns);
    table_cell(table, "%s %%", format_fixed(text, 100 * row->spread, 0));
    fixed_cell(table, row->ratio, 2);
    ns_cell(table, row->latency.p50);
    ns_cell(table, row->latency.p99);
    ns_cell(table, row->latency.p999);
    ns_cell(table, row->latency.max);
    fixed_cell(table, row->faults, 4);
    fixed_cell(table, row->calls, 4);
    fixed_cell(table, row->calls < 0 ? -1 : row->flushing, 4);
}

static void row_cells(struct table *table, const struct vmalloc_row *row)
{
    pages_cell(table, row->pages);
    table_cell(table, "%s", row->who);
    if (row->refused == KVA_OK) {
        measured_cells(table, row);
        return;
    }
    for (int i = 0; i < 10; i++)
        table_cell(table, "-");
}

/* Below a table: what is missing, and what was not what the case says. */
static void notes(const struct vmalloc_row *rows, size_t count, FILE *out)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].refused != KVA_OK)
            fprintf(out, "  %s, %zu pages: %s\n", rows[i].who, rows[i].pages,
                    kva_status_text(rows[i].refused));
        if (rows[i].found_again > 0 && strcmp(rows[i].what, VMALLOC_MAP_FRESH) == 0)
            fprintf(out, "  %s, %zu pages: %" PRIu64 " maps were not fresh, but found again\n", rows[i].who,
                    rows[i].pages, rows[i].found_again);
    }
}

/* The rows of one case, which stand together. */
static void report_case(const struct vmalloc_row *rows, size_t count, FILE *out)
{
    static const char *const heads[] = {"pages", "who",   "ns",  "spread",    "x mmap",   "p50",
                                        "p99",   "p99.9", "max", "faults/op", "calls/op", "flushes/op"};
    fprintf(out, "\nvmalloc %s (times in ns)\n", rows[0].what);
    struct table *table = table_create("rlrrrrrrrrrr");
    table_row(table, heads);
    table_rule(table);
    for (size_t i = 0; i < count; i++)
        row_cells(table, &rows[i]);
    finish_table(table, out);
    notes(rows, count, out);
}

static void report_cases(const struct vmalloc_results *results, FILE *out)
{
    size_t begin = 0;
    for (size_t end = 1; end <= results->row_count; end++) {
        if (end < results->row_count && strcmp(results->rows[end].what, results->rows[begin].what) == 0)
            continue;
        report_case(&results->rows[begin], end - begin, out);
        begin = end;
    }
}

/* ----------------------------------------------------------------------------------------------- the rest */

/* The sum over the tests of a mask. */
static void sum_cells(struct table *table, const char *name, const struct vmalloc_suite *suite, unsigned mask)
{
    double list = 0, kva = 0;
    for (size_t i = 0; i < VMALLOC_SUITE_TESTS; i++) {
        bool counts = (mask & suite_tests[i].id) != 0;
        list += counts ? suite->list_us[i] : 0;
        kva += counts ? suite->kva_us[i] : 0;
    }
    table_cell(table, "%s", name);
    fixed_cell(table, list, 0);
    fixed_cell(table, kva, 0);
    fixed_cell(table, vmalloc_suite_ratio(suite, mask), 2);
}

static void report_suite(const struct vmalloc_suite *suite, FILE *out)
{
    fprintf(out, "\nvmalloc suite: the eight tests of 2019, a million loops each (times in us)\n");
    struct table *table = table_create("lrrr");
    table_row(table, (const char *const[]){"test", "list", "kva", "list/kva"});
    table_rule(table);
    for (size_t i = 0; i < VMALLOC_SUITE_TESTS; i++)
        sum_cells(table, suite_tests[i].name, suite, suite_tests[i].id);
    table_rule(table);
    sum_cells(table, "tests 2 and 4", suite, 2 | 4);
    sum_cells(table, "all eight", suite, SUITE_RANGES_MASK);
    finish_table(table, out);
    if (suite->scaled)
        fputs("  Loops were cut short, and their times scaled to the full count.\n", out);
    if (suite->failed != NULL)
        fprintf(out, "  A test of %s failed: run kva test to see which.\n", suite->failed);
}

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

void vmalloc_report(const struct vmalloc_results *results, const struct bench_options *options)
{
    FILE *out = options->out;
    progress_clear(&bench_progress);
    fprintf(out, "\nvmalloc: kva is %s, closed pages are %s\n", results->engine, results->mechanism);
    report_cases(results, out);
    report_suite(&results->suite, out);
    report_resident(&results->resident, out);
    aims_report(&results->aims, "vmalloc", out);
    fflush(out);
}
