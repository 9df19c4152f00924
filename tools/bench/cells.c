/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "cells.h"

#include "fatal.h"

void count_cell(struct table *table, uint64_t value)
{
    char text[NUMBER_ROOM];
    table_cell(table, "%s", format_count(text, value));
}

void fixed_cell(struct table *table, double value, int decimals)
{
    char text[NUMBER_ROOM];
    table_cell(table, "%s", format_fixed(text, value, decimals));
}

void ns_cell(struct table *table, double ns)
{
    fixed_cell(table, ns, ns < 100 ? 1 : 0);
}

void finish_table(struct table *table, FILE *out)
{
    if (table == NULL || !table_print(table, out, 2))
        bench_fatal(TOOL_REFUSED, "no memory for a table");
    table_destroy(table);
}
