/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * One description, used in three modes: for the headings and sides of a table's columns, for its cells, and
 * for JSON.
 */
#include "sheet.h"

#include "fatal.h"

#include <stdarg.h>
#include <string.h>

/* The widest table has fifteen columns; each heading is shorter. */
#define COLUMNS 16
#define HEAD_BYTES 32

enum walk { HEADS, CELLS, MEMBERS };

struct sheet {
    enum walk walk;
    bool absent; /* the rest of this row is absent */
    bool *good;  /* false: no memory for JSON */
    /* HEADS */
    size_t columns;
    char sides[COLUMNS + 1];
    char head[COLUMNS][HEAD_BYTES];
    /* CELLS */
    struct table *table;
    /* MEMBERS */
    json_t *object;
};

/* ------------------------------------------------------------------------------------------------ figures */

static void add_head(struct sheet *sheet, char side, const char *head)
{
    size_t column = sheet->columns++;
    if (column == COLUMNS)
        bench_fatal(TOOL_WRONG, "a table has more than %d columns", COLUMNS);
    sheet->sides[column] = side;
    snprintf(sheet->head[column], HEAD_BYTES, "%s", head);
}

static void put_cell(struct sheet *sheet, char side, const char *head, const char *text)
{
    if (head == NULL)
        return;
    if (sheet->walk == HEADS)
        add_head(sheet, side, head);
    if (sheet->walk == CELLS)
        table_cell(sheet->table, "%s", sheet->absent ? "-" : text);
}

/** The object of a key's member, created if necessary, and the member's name. */
static json_t *parent_of(struct sheet *sheet, const char **key)
{
    char name[HEAD_BYTES];
    const char *slash = strchr(*key, '/');
    if (slash == NULL)
        return sheet->object;
    snprintf(name, sizeof(name), "%.*s", (int)(slash - *key), *key);
    if (json_object_get(sheet->object, name) == NULL)
        json_put(sheet->object, name, json_object(), sheet->good);
    *key = slash + 1;
    return json_object_get(sheet->object, name);
}

/** Takes ownership of the value. */
static void put_member(struct sheet *sheet, const char *key, json_t *value)
{
    if (key == NULL || sheet->walk != MEMBERS || sheet->absent) {
        json_decref(value);
        return;
    }
    json_t *parent = parent_of(sheet, &key);
    json_put(parent, key, value, sheet->good);
}

static json_t *json_if_known(double value)
{
    return value < 0 ? json_null() : json_measure(value);
}

void sheet_text(struct sheet *sheet, const char *head, const char *key, const char *text)
{
    put_cell(sheet, 'l', head, text == NULL ? "-" : text);
    put_member(sheet, key, text == NULL ? json_null() : json_string(text));
}

void sheet_count(struct sheet *sheet, const char *head, const char *key, uint64_t value)
{
    char text[NUMBER_ROOM];
    put_cell(sheet, 'r', head, format_count(text, value));
    put_member(sheet, key, json_count(value));
}

void sheet_measure(struct sheet *sheet, const char *head, const char *key, double value, double unit,
                   int decimals)
{
    char text[NUMBER_ROOM];
    put_cell(sheet, 'r', head, format_fixed(text, value / unit, decimals));
    put_member(sheet, key, json_if_known(value));
}

void sheet_ns(struct sheet *sheet, const char *head, const char *key, double ns)
{
    sheet_measure(sheet, head, key, ns, 1, ns < 100 ? 1 : 0);
}

void sheet_share(struct sheet *sheet, const char *head, const char *key, double value)
{
    char text[NUMBER_ROOM];
    sheet_cell(sheet, 'r', head, "%s %%", format_fixed(text, 100 * value, 0));
    put_member(sheet, key, json_if_known(value));
}

void sheet_flag(struct sheet *sheet, const char *key, bool value)
{
    put_member(sheet, key, json_boolean(value));
}

void sheet_null(struct sheet *sheet, const char *key)
{
    put_member(sheet, key, json_null());
}

void sheet_cell(struct sheet *sheet, char side, const char *head, const char *format, ...)
{
    char text[128]; /* a longer cell is cut */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    put_cell(sheet, side, head, text);
}

void sheet_rule(struct sheet *sheet)
{
    if (sheet->walk == CELLS)
        table_rule(sheet->table);
}

void sheet_times(struct sheet *sheet, const char *ns_head, const struct times *times)
{
    json_t *turns = json_array();
    for (size_t i = 0; i < times->turns; i++)
        json_add(turns, json_measure(times->turn_ns[i]), sheet->good);
    sheet_ns(sheet, ns_head, "ns", times->median_ns);
    sheet_share(sheet, "spread", "spread", times->spread);
    put_member(sheet, "turns_ns", turns);
}

void sheet_latency(struct sheet *sheet, const char *p99_head, const char *max_head,
                   const struct latency *latency)
{
    sheet_count(sheet, NULL, "latency_ns/samples", latency->samples);
    sheet_ns(sheet, "p50", "latency_ns/p50", latency->p50);
    sheet_ns(sheet, NULL, "latency_ns/p90", latency->p90);
    sheet_ns(sheet, p99_head, "latency_ns/p99", latency->p99);
    sheet_ns(sheet, "p99.9", "latency_ns/p99.9", latency->p999);
    sheet_ns(sheet, max_head, "latency_ns/max", latency->max);
}

void sheet_absent(struct sheet *sheet, bool absent)
{
    sheet->absent = absent;
}

/* ------------------------------------------------------------------------------------------------- sheets */

static const void *row_at(const void *rows, size_t index, size_t bytes)
{
    return (const char *)rows + index * bytes;
}

void sheet_print(sheet_row *describe, const void *rows, size_t count, size_t bytes, FILE *out)
{
    bool good = true; /* unused: there is no JSON */
    struct sheet sheet = {.walk = HEADS, .good = &good};
    describe(&sheet, rows);
    sheet.walk = CELLS;
    sheet.table = table_create(sheet.sides);
    for (size_t column = 0; column < sheet.columns; column++)
        table_cell(sheet.table, "%s", sheet.head[column]);
    table_rule(sheet.table);
    for (size_t i = 0; i < count; i++) {
        sheet.absent = false;
        describe(&sheet, row_at(rows, i, bytes));
    }
    if (!table_print(sheet.table, out, 2))
        bench_fatal(TOOL_REFUSED, "no memory for a table");
    table_destroy(sheet.table);
}

json_t *sheet_to_json(sheet_row *describe, const void *rows, size_t count, size_t bytes, bool *good)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) {
        struct sheet sheet = {.walk = MEMBERS, .object = json_object(), .good = good};
        describe(&sheet, row_at(rows, i, bytes));
        json_add(array, sheet.object, good);
    }
    return array;
}
