/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** What the text reports of the benchmark put into their tables. */
#ifndef KVA_TOOLS_BENCH_CELLS_H
#define KVA_TOOLS_BENCH_CELLS_H

#include "../common/table.h"

/** A whole number. */
void count_cell(struct table *table, uint64_t value);

/** A number with so many decimals; "-" if it is negative. */
void fixed_cell(struct table *table, double value, int decimals);

/** Nanoseconds, with a decimal where it says something. */
void ns_cell(struct table *table, double ns);

/** Write a table, and destroy it. Ends the program if there was no memory for it. */
void finish_table(struct table *table, FILE *out);

#endif
