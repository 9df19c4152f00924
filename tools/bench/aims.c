/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "aims.h"

#include "cells.h"

void aims_add(struct aims *aims, const char *what, const char *unit, bool at_least, double wanted,
              double measured)
{
    if (aims->count < AIMS_MAX)
        aims->aim[aims->count++] = (struct aim){what, unit, at_least, wanted, measured};
}

bool aim_is_met(const struct aim *aim)
{
    if (aim->measured < 0)
        return false;
    return aim->at_least ? aim->measured >= aim->wanted : aim->measured <= aim->wanted;
}

void aims_report(const struct aims *aims, const char *workload, FILE *out)
{
    char text[NUMBER_ROOM];
    fprintf(out, "\n%s aims\n", workload);
    struct table *table = table_create("llrrl");
    table_row(table, (const char *const[]){"what", "", "aim", "measured", ""});
    table_rule(table);
    for (size_t i = 0; i < aims->count; i++) {
        const struct aim *aim = &aims->aim[i];
        bool known = aim->measured >= 0;
        table_cell(table, "%s", aim->what);
        table_cell(table, "%s", aim->at_least ? "at least" : "at most");
        table_cell(table, "%g %s", aim->wanted, aim->unit);
        table_cell(table, "%s %s", format_fixed(text, aim->measured, aim->measured < 10 ? 4 : 1), aim->unit);
        table_cell(table, "%s", !known ? "not measured" : aim_is_met(aim) ? "met" : "MISSED");
    }
    finish_table(table, out);
}

json_t *aims_to_json(const struct aims *aims, bool *good)
{
    json_t *array = json_array();
    for (size_t i = 0; i < aims->count; i++) {
        const struct aim *aim = &aims->aim[i];
        json_t *object = json_object();
        json_put(object, "what", json_string(aim->what), good);
        json_put(object, "unit", json_string(aim->unit), good);
        json_put(object, aim->at_least ? "at_least" : "at_most", json_measure(aim->wanted), good);
        json_put(object, "measured", aim->measured < 0 ? json_null() : json_measure(aim->measured), good);
        json_put(object, "met", aim->measured < 0 ? json_null() : json_boolean(aim_is_met(aim)), good);
        json_add(array, object, good);
    }
    return array;
}
