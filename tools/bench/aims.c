/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "aims.h"

#include "sheet.h"

void aims_add(struct aims *aims, const char *what, const char *unit, bool at_least, double wanted,
              double measured)
{
    if (aims->count < AIMS_MAX)
        aims->aim[aims->count++] = (struct aim){what, unit, at_least, wanted, measured};
}

void aims_append(struct aims *aims, const struct aims *more)
{
    for (size_t i = 0; i < more->count && aims->count < AIMS_MAX; i++)
        aims->aim[aims->count++] = more->aim[i];
}

bool aim_is_met(const struct aim *aim)
{
    if (aim->measured < 0)
        return false;
    return aim->at_least ? aim->measured >= aim->wanted : aim->measured <= aim->wanted;
}

static void describe_aim(struct sheet *sheet, const void *item)
{
    const struct aim *aim = item;
    char text[NUMBER_ROOM];
    bool known = aim->measured >= 0;
    sheet_text(sheet, "what", "what", aim->what);
    sheet_text(sheet, NULL, "unit", aim->unit);
    sheet_cell(sheet, 'l', "", "%s", aim->at_least ? "at least" : "at most");
    sheet_cell(sheet, 'r', "aim", "%g %s", aim->wanted, aim->unit);
    sheet_measure(sheet, NULL, aim->at_least ? "at_least" : "at_most", aim->wanted, 1, 0);
    sheet_cell(sheet, 'r', "measured", "%s %s", format_fixed(text, aim->measured, aim->measured < 10 ? 4 : 1),
               aim->unit);
    sheet_measure(sheet, NULL, "measured", aim->measured, 1, 0);
    sheet_cell(sheet, 'l', "", "%s", !known ? "not measured" : aim_is_met(aim) ? "met" : "MISSED");
    if (known)
        sheet_flag(sheet, "met", aim_is_met(aim));
    else
        sheet_null(sheet, "met");
}

void aims_report(const struct aims *aims, const char *workload, FILE *out)
{
    fprintf(out, "\n%s aims\n", workload);
    sheet_print(describe_aim, aims->aim, aims->count, sizeof(*aims->aim), out);
}

json_t *aims_to_json(const struct aims *aims, bool *good)
{
    return sheet_to_json(describe_aim, aims->aim, aims->count, sizeof(*aims->aim), good);
}
