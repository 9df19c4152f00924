/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Sheets: rows of figures that are described once, and written as a table or as JSON.
 *
 * A function describes a row. It passes the heading of every figure in the table (NULL: not in the table),
 * its key in JSON (NULL: not in JSON) and its value:
 *
 *      sheet_count(sheet, "n", "n", row->n);                         n       "n": 1000,
 *      sheet_ns(sheet, "p50", "latency_ns/p50", latency->p50);       p50     "latency_ns": {"p50": 71.5}
 *      sheet_flag(sheet, "capped", row->capped);                             "capped": false
 *
 * It must pass the same headings for all rows of a table. A measure that is negative, infinite or NaN is
 * unknown: "-" in the table, null in JSON.
 */
#ifndef KVA_TOOLS_BENCH_SHEET_H
#define KVA_TOOLS_BENCH_SHEET_H

#include "../common/json.h"
#include "../common/table.h"
#include "times.h"

struct sheet;

/** Describes a row. */
typedef void sheet_row(struct sheet *sheet, const void *row);

/** Write `count` rows of `bytes` each as a table. Ends the program without memory for that. */
void sheet_print(sheet_row *describe, const void *rows, size_t count, size_t bytes, FILE *out);

/** An array with an object for each row. */
json_t *sheet_to_json(sheet_row *describe, const void *rows, size_t count, size_t bytes, bool *good);

/* --------------------------------------------------------------------------- to describe a row with
 * A key "a/b" is the member b of the object a. */

void sheet_text(struct sheet *sheet, const char *head, const char *key, const char *text);
void sheet_count(struct sheet *sheet, const char *head, const char *key, uint64_t value);

/** Nanoseconds; the table shows a decimal for small values. */
void sheet_ns(struct sheet *sheet, const char *head, const char *key, double ns);

/** A measure; the table shows it in multiples of `unit`, with `decimals` decimals. */
void sheet_measure(struct sheet *sheet, const char *head, const char *key, double value, double unit,
                   int decimals);

/** A share of 1; the table shows percent. */
void sheet_share(struct sheet *sheet, const char *head, const char *key, double value);

/** For JSON only. */
void sheet_flag(struct sheet *sheet, const char *key, bool value);
void sheet_null(struct sheet *sheet, const char *key);

/** For tables only: a cell on the side 'l' or 'r', printf-style; and a line of dashes above the row. */
void sheet_cell(struct sheet *sheet, char side, const char *head, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void sheet_rule(struct sheet *sheet);

/** Median, spread and turns. The caller describes the ratio. */
void sheet_times(struct sheet *sheet, const char *ns_head, const struct times *times);
void sheet_latency(struct sheet *sheet, const char *p99_head, const char *max_head,
                   const struct latency *latency);

/** If `absent`, this row has no values for the following figures. */
void sheet_absent(struct sheet *sheet, bool absent);

#endif
