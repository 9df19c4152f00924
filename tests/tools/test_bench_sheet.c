/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Sheets: from one description of a row, a table and JSON. */
#define _GNU_SOURCE
#include "common/harness.h"

#include "tools/bench/sheet.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct row {
    const char *name;
    uint64_t count;
    double ns;
    double share;
    bool absent;
};

static const struct row rows[] = {
    {"first", 1234567, 12.25, 0.5, false},
    {"second", 7, 1500, -1, false},
    {NULL, 8, INFINITY, 0, false},
    {"fourth", 9, 1, 1, true},
};

static void describe(struct sheet *sheet, const void *item)
{
    const struct row *row = item;

    if (row->count == 8)
        sheet_rule(sheet);
    sheet_text(sheet, "name", "name", row->name);
    sheet_count(sheet, "count", NULL, row->count);
    sheet_absent(sheet, row->absent);
    sheet_ns(sheet, "ns", "inner/ns", row->ns);
    sheet_measure(sheet, "us", NULL, row->ns, 1e3, 2);
    sheet_share(sheet, "share", "inner/share", row->share);
    sheet_cell(sheet, 'l', "last", "<%s>", row->name == NULL ? "" : row->name);
    sheet_flag(sheet, "flag", row->count > 7);
    sheet_null(sheet, "nothing");
    sheet_count(sheet, NULL, "count", row->count);
}

static void a_table_has_the_cells_with_a_head(void **state)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_non_null(out);
    sheet_print(describe, rows, sizeof rows / sizeof rows[0], sizeof rows[0], out);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, "  name        count     ns    us  share  last\n"
                              "  ------  ---------  -----  ----  -----  --------\n"
                              "  first   1,234,567   12.2  0.01   50 %  <first>\n"
                              "  second          7  1,500  1.50    - %  <second>\n"
                              "  ------  ---------  -----  ----  -----  --------\n"
                              "  -               8      -     -    0 %  <>\n"
                              "  fourth          9      -     -      -  -\n");
    free(text);
}

static void json_has_the_values_with_a_key(void **state)
{
    bool good = true;
    json_t *array = sheet_to_json(describe, rows, sizeof rows / sizeof rows[0], sizeof rows[0], &good);
    char *text = json_dumps(array, JSON_COMPACT | JSON_REAL_PRECISION(6));

    (void)state;
    assert_true(good);
    assert_non_null(text);
    assert_string_equal(text, "[{\"name\":\"first\",\"inner\":{\"ns\":12.25,\"share\":0.5},\"flag\":true,"
                              "\"nothing\":null,\"count\":1234567},"
                              "{\"name\":\"second\",\"inner\":{\"ns\":1500.0,\"share\":null},\"flag\":false,"
                              "\"nothing\":null,\"count\":7},"
                              "{\"name\":null,\"inner\":{\"ns\":null,\"share\":0.0},\"flag\":true,"
                              "\"nothing\":null,\"count\":8},"
                              "{\"name\":\"fourth\"}]");
    free(text);
    json_decref(array);
}

static void describe_times(struct sheet *sheet, const void *item)
{
    const struct times *times = item;
    const struct latency latency = {.samples = 5, .p50 = 1, .p90 = 2, .p99 = 3, .p999 = 4, .max = 5};

    sheet_times(sheet, "ns/op", times);
    sheet_latency(sheet, NULL, "longest", &latency);
}

/** Turns of 3, 1 and 2 ns: the median is 2, the spread (3 - 1) / 2. */
static void times_are_described_alike(void **state)
{
    struct times times = {0};
    bool good = true;

    (void)state;
    times_add(&times, 3);
    times_add(&times, 1);
    times_add(&times, 2);
    times_summarize(&times);
    json_t *array = sheet_to_json(describe_times, &times, 1, sizeof times, &good);
    char *text = json_dumps(array, JSON_COMPACT);
    assert_true(good);
    assert_non_null(text);
    assert_string_equal(text,
                        "[{\"ns\":2.0,\"spread\":1.0,\"turns_ns\":[3.0,1.0,2.0],\"latency_ns\":"
                        "{\"samples\":5,\"p50\":1.0,\"p90\":2.0,\"p99\":3.0,\"p99.9\":4.0,\"max\":5.0}}]");
    free(text);
    json_decref(array);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_has_the_cells_with_a_head),
        cmocka_unit_test(json_has_the_values_with_a_key),
        cmocka_unit_test(times_are_described_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
