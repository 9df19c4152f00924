/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "table.h"

#include "grow.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* A row of cells; or a rule, whose `cells` is NULL. */
struct line {
    char **cells;
};

struct table {
    const char *sides;
    size_t columns;
    struct line *lines;
    size_t count;
    size_t room;
    size_t filled; /* cells of the last line that are set; 0 or `columns`: the next cell begins a line */
    bool failed;   /* memory ran out */
};

struct table *table_create(const char *sides)
{
    struct table *table = calloc(1, sizeof(*table));
    if (table != NULL) {
        table->sides = sides;
        table->columns = strlen(sides);
    }
    return table;
}

/* Append a line without cells; NULL: no memory. */
static struct line *add_line(struct table *table)
{
    struct line *lines = with_room(table->lines, table->count, &table->room, sizeof(*lines));
    if (lines == NULL) {
        table->failed = true;
        return NULL;
    }
    table->lines = lines;
    struct line *line = &table->lines[table->count++];
    line->cells = NULL;
    table->filled = 0;
    return line;
}

/* The line that receives the next cell; NULL: no memory. */
static struct line *open_line(struct table *table)
{
    if (table->filled != 0 && table->filled != table->columns)
        return &table->lines[table->count - 1];
    struct line *line = add_line(table);
    if (line == NULL)
        return NULL;
    line->cells = calloc(table->columns, sizeof(*line->cells));
    if (line->cells == NULL) {
        table->failed = true;
        return NULL;
    }
    return line;
}

void table_cell(struct table *table, const char *format, ...)
{
    if (table == NULL || table->failed)
        return;
    char text[256]; /* longer cells are cut */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    struct line *line = open_line(table);
    if (line == NULL)
        return;
    char *copy = malloc(strlen(text) + 1);
    if (copy == NULL) {
        table->failed = true;
        return;
    }
    strcpy(copy, text);
    line->cells[table->filled++] = copy;
}

void table_row(struct table *table, const char *const *cells)
{
    for (size_t i = 0; table != NULL && i < table->columns; i++)
        table_cell(table, "%s", cells[i] == NULL ? "" : cells[i]);
}

void table_rule(struct table *table)
{
    if (table != NULL && !table->failed)
        add_line(table);
}

static const char *cell_text(const struct line *line, size_t column)
{
    return line->cells == NULL || line->cells[column] == NULL ? "" : line->cells[column];
}

static int column_width(const struct table *table, size_t column)
{
    size_t width = 1;
    for (size_t i = 0; i < table->count; i++) {
        size_t length = strlen(cell_text(&table->lines[i], column));
        if (length > width)
            width = length;
    }
    return (int)width;
}

static void print_dashes(FILE *out, int count)
{
    while (count-- > 0)
        fputc('-', out);
}

/* Print one line. A left-aligned last column gets no trailing blanks. */
static void print_line(const struct table *table, const struct line *line, FILE *out, const int *widths)
{
    for (size_t i = 0; i < table->columns; i++) {
        const char *gap = i == 0 ? "" : "  ";
        int width = table->sides[i] == 'r' ? widths[i] : i + 1 == table->columns ? 0 : -widths[i];
        fputs(gap, out);
        if (line->cells == NULL)
            print_dashes(out, widths[i]);
        else
            fprintf(out, "%*s", width, cell_text(line, i));
    }
    fputc('\n', out);
}

bool table_print(const struct table *table, FILE *out, int indent)
{
    if (table == NULL || table->failed)
        return false;
    int *widths = calloc(table->columns + 1, sizeof(*widths));
    if (widths == NULL)
        return false;
    for (size_t i = 0; i < table->columns; i++)
        widths[i] = column_width(table, i);
    for (size_t i = 0; i < table->count; i++) {
        fprintf(out, "%*s", indent, "");
        print_line(table, &table->lines[i], out, widths);
    }
    free(widths);
    return true;
}

void table_destroy(struct table *table)
{
    if (table == NULL)
        return;
    for (size_t i = 0; i < table->count; i++) {
        for (size_t j = 0; table->lines[i].cells != NULL && j < table->columns; j++)
            free(table->lines[i].cells[j]);
        free(table->lines[i].cells);
    }
    free(table->lines);
    free(table);
}

/* Copy `count` digits into `text`, with a comma before each group of three counted from the right. */
static char *group_digits(char *text, const char *digits, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i != 0 && (count - i) % 3 == 0)
            *text++ = ',';
        *text++ = digits[i];
    }
    return text;
}

const char *format_count(char text[NUMBER_ROOM], uint64_t value)
{
    char digits[24]; /* 2^64 has 20 digits */
    int count = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);
    *group_digits(text, digits, (size_t)count) = '\0';
    return text;
}

const char *format_fixed(char text[NUMBER_ROOM], double value, int decimals)
{
    if (!isfinite(value) || value < 0) {
        strcpy(text, "-");
        return text;
    }
    if (value >= 1e15) {
        snprintf(text, NUMBER_ROOM, "%.*e", decimals, value);
        return text;
    }
    char digits[32]; /* 15 or 16 digits, the point, 6 decimals */
    snprintf(digits, sizeof(digits), "%.*f", decimals, value);
    size_t whole = strcspn(digits, ".");
    strcpy(group_digits(text, digits, whole), digits + whole);
    return text;
}
