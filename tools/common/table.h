/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Text tables with aligned columns, and numbers with thousands separators.
 *
 *      test                    list        rb   ratio        first row: the heading, underlined by a rule
 *      ------------------  --------  --------  ------
 *      fix_size_alloc_test    1,234       567    2.18        text to the left, numbers to the right
 *
 * If memory runs out, table_print reports it, once. A failed write shows in ferror of the file.
 */
#ifndef KVA_TOOLS_TABLE_H
#define KVA_TOOLS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct table;

/** A new table. `sides` has one letter for each column: 'l' aligns its cells to the left, 'r' to the right
 *  ("lrrr"); it must outlive the table. NULL: no memory (the functions below accept NULL). */
struct table *table_create(const char *sides);

/** Add a row of as many cells as there are columns; the texts are copied. NULL is an empty cell. */
void table_row(struct table *table, const char *const *cells);

/** Add one cell to the current row, printf-style; a full row ends automatically. */
void table_cell(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Add a line of dashes below the rows so far. */
void table_rule(struct table *table);

/** Write the table, each line after `indent` blanks. Returns false and writes nothing if memory ran out
 *  while it was filled. */
bool table_print(const struct table *table, FILE *out, int indent);

void table_destroy(struct table *table);

/** Room for any number that the functions below write. */
#define NUMBER_ROOM 48

/** "1,234,567". Returns `text`. */
const char *format_count(char text[NUMBER_ROOM], uint64_t value);

/** "1,234.57" with 0 to 6 decimals; "-" for a value that is negative, infinite or not a number. Returns
 *  `text`. From 10^15 on, "1.00e+15". */
const char *format_fixed(char text[NUMBER_ROOM], double value, int decimals);

#endif
