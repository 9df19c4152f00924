/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "rows.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------------------------------------- measuring */

/** The cost of one operation at one size. */
struct measure {
    double steps;
    double calls;
};

static struct measure measure(const struct cost_line *line, uint64_t size, void (*tear_down)(void))
{
    const uint64_t rounds = line->rounds != 0 ? line->rounds : COST_ROUNDS;
    struct measure sum = {0, 0};
    struct measure most = {0, 0};

    line->set_up(size);
    for (uint64_t i = 0; i < rounds; i++) {
        counted = (struct counted){false, 0, 0};
        line->work(i);
        double steps = (double)counted.steps;
        double calls = (double)counted.calls;
        assert_false(counted.is_on);
        check_that(steps > 0, "%s, %s: nothing was counted", line->function, line->what);
        sum.steps += steps;
        most.steps = steps > most.steps ? steps : most.steps;
        most.calls = calls > most.calls ? calls : most.calls;
    }
    tear_down();
    return line->at_times ? (struct measure){sum.steps / (double)rounds, most.calls} : most;
}

/** The binary logarithm of a size; linear between powers of two. */
static double logarithm(double size)
{
    double whole = 0;

    while (size >= 2) {
        size /= 2;
        whole++;
    }
    return whole + (size - 1);
}

/** The factor by which a cost may grow. */
static double growth_of(enum cost_growth growth, double few, double many)
{
    switch (growth) {
    case COST_CONSTANT:
        return 1;
    case COST_LOGARITHM:
        return logarithm(many) / logarithm(few);
    case COST_LINEAR:
        return many / few;
    default:
        return many / few * logarithm(many) / logarithm(few);
    }
}

/** Report a line whose claim does not hold. */
static bool report_broken(const struct cost_line *line, const char *label, const char *unit, double a,
                          double b)
{
    print_error("%s, %s (%s): \"%s\", but %.0f %s at the smaller size, %.0f at the larger\n", line->function,
                line->what, label, line->claim, a, unit, b);
    return false;
}

/** The limit is loose, because trees grow by whole levels, and loops have a constant part. A linear cost, in
 * place of a promised logarithm, grows 32-fold and exceeds it. */
static bool claim_holds(const struct cost_line *line, const char *label, void (*tear_down)(void))
{
    const uint64_t few = line->few != 0 ? line->few : COST_FEW;
    const uint64_t many = line->many != 0 ? line->many : COST_MANY;
    const double slack = 60;
    struct measure a = measure(line, few, tear_down);
    struct measure b = measure(line, many, tear_down);
    double factor = line->growth == COST_CONSTANT ? 1.2 : 1.6;
    double limit = a.steps * growth_of(line->growth, (double)few, (double)many) * factor + slack;
    double calls = line->most_calls == COST_NO_CALL ? 0 : line->most_calls;

    if (getenv("KVA_TEST_VERBOSE") != NULL)
        print_message("%-24s %-44s %9.0f %9.0f of %9.0f steps; %3.0f %3.0f calls\n", line->function,
                      line->what, a.steps, b.steps, limit, a.calls, b.calls);
    if (b.steps > limit)
        return report_broken(line, label, "steps", a.steps, b.steps);
    if (line->most_calls != 0 && (a.calls > calls || b.calls > calls))
        return report_broken(line, label, "calls", a.calls, b.calls);
    return true;
}

void cost_measure(const struct cost_line *lines, size_t count, void (*tear_down)(void), const char *label)
{
    size_t broken = 0;

    for (size_t i = 0; i < count; i++)
        broken += lines[i].work != NULL && !claim_holds(&lines[i], label, tear_down);
    check_that(broken == 0, "%zu of %zu claims do not hold", broken, count);
}

/* --------------------------------------------------------------------------------------------- the header */

/** A file as one string, to be freed. */
static char *text_of_file(const char *path)
{
    FILE *file = fopen(path, "r");
    size_t room = (size_t)1 << 20;
    char *text = malloc(room);

    check_that(file != NULL && text != NULL, "cannot read %s", path);
    size_t length = fread(text, 1, room - 1, file);
    assert_true(length > 0 && length < room - 1);
    text[length] = '\0';
    fclose(file);
    return text;
}

/** The name of the function that a comment declares; false if no function follows it. */
static bool name_after(const char *comment_end, char *name, size_t room)
{
    const char *at = comment_end + strspn(comment_end, " \n");
    size_t length = strcspn(at, "(;{=/");
    size_t begin = length;

    if (at[length] != '(' || strncmp(at, "typedef", 7) == 0 || at[0] == '#')
        return false;
    while (begin > 0 && (isalnum((unsigned char)at[begin - 1]) || at[begin - 1] == '_'))
        begin--;
    snprintf(name, room, "%.*s", (int)(length - begin), at + begin);
    return length > begin;
}

/** The Cost row of a comment, as one line; empty if there is none. */
static void cost_row_of(const char *comment, const char *end, char *row, size_t room)
{
    const char *at = strstr(comment, "Cost:");
    size_t length = 0;

    row[0] = '\0';
    if (at == NULL || at > end)
        return;
    const char *stop = strstr(at, "Locking:");
    stop = stop == NULL || stop > end ? end : stop;
    bool is_margin = false; /* from a line feed to the text of the next line */
    for (at += strlen("Cost:"); at < stop && length + 1 < room; at++) {
        is_margin = *at == '\n' || (is_margin && (*at == ' ' || *at == '*'));
        bool is_space = is_margin || *at == ' ';
        if (is_space && (length == 0 || row[length - 1] == ' '))
            continue;
        row[length++] = is_space ? ' ' : *at;
    }
    row[length] = '\0';
}

/** Whether a row states a growth, a number of things, or a number of system calls. */
static bool makes_claim(const char *row)
{
    for (const char *at = row; (at = strstr(at, "O(")) != NULL; at += 2) {
        if (strncmp(at, "O(1)", 4) != 0)
            return true;
    }
    return strstr(row, " call") != NULL || strstr(row, " each ") != NULL;
}

/** seen[i] is set if the header has the function of line i. */
static void expect_lines_for(const char *name, const char *row, const struct cost_line *lines, size_t count,
                             bool *seen)
{
    size_t found = 0;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(lines[i].function, name) != 0)
            continue;
        found++;
        seen[i] = true;
        check_that(strstr(row, lines[i].claim) != NULL, "%s: \"%s\" is not in its row: %s", name,
                   lines[i].claim, row);
    }
    check_that(found > 0 || !makes_claim(row), "%s is not measured: %s", name, row);
}

/** Check the Cost rows of one header; returns their number. */
static size_t expect_rows_of(const char *header, const struct cost_line *lines, size_t count, bool *seen)
{
    char *text = text_of_file(header);
    size_t rows = 0;

    for (const char *at = text; (at = strstr(at, "/**")) != NULL;) {
        const char *end = strstr(at, "*/");
        char name[64];
        char row[2048];
        assert_non_null(end);
        cost_row_of(at, end, row, sizeof(row));
        if (row[0] != '\0' && name_after(end + 2, name, sizeof(name))) {
            expect_lines_for(name, row, lines, count, seen);
            rows++;
        }
        at = end;
    }
    free(text);
    return rows;
}

void cost_expect_complete(const char *const *headers, const struct cost_line *lines, size_t count)
{
    bool *seen = calloc(count, sizeof *seen);
    size_t rows = 0;

    assert_non_null(seen);
    for (size_t i = 0; headers[i]; i++)
        rows += expect_rows_of(headers[i], lines, count, seen);
    print_message("%zu Cost rows, %zu lines\n", rows, count);
    for (size_t i = 0; i < count; i++)
        check_that(seen[i], "no header declares %s", lines[i].function);
    free(seen);
}
