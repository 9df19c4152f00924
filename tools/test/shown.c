/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "shown.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SECOND_NS UINT64_C(1000000000)

/* How long workers are shown before the next ones: long enough to read. */
#define TURN_NS (2 * SECOND_NS)

struct line {
    char *text;
    size_t room;
    size_t used; /* below room */
};

__attribute__((format(printf, 2, 3))) static void add(struct line *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line->text + line->used, line->room - line->used, format, arguments);
    va_end(arguments);
    if (length > 0)
        line->used += (size_t)length;
    if (line->used >= line->room)
        line->used = line->room - 1;
}

static uint64_t load(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

/* 0:12:34 */
static void add_time(struct line *line, uint64_t ns)
{
    uint64_t s = ns / SECOND_NS;
    add(line, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, s / 3600, s / 60 % 60, s % 60);
}

/* "999", "1.23 k", "45.6 M" */
static void add_count(struct line *line, uint64_t count)
{
    static const char *const units[] = {"", " k", " M", " G", " T", " P"};
    double value = (double)count;
    size_t unit = 0;
    for (; value >= 999.5 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
        value /= 1000;
    add(line, "%.3g%s", value, units[unit]);
}

/* The trials of a worker so far, with the part of the current one. */
static double trials_of(const struct shown *worker)
{
    uint64_t wanted = load(&worker->wanted);
    double part = wanted == 0 ? 0 : (double)load(&worker->loops) / (double)wanted;
    return (double)load(&worker->trials) + (part < 1 ? part : 1);
}

static unsigned percent_of(const struct shown_run *run, const struct shown *workers)
{
    double wanted = (double)run->workers * (double)run->trials;
    double done = 0;
    for (size_t i = 0; i < run->workers; i++)
        done += trials_of(&workers[i]);
    return wanted > 0 ? (unsigned)(100 * done / wanted) : 100;
}

static uint64_t loops_of(const struct shown_run *run, const struct shown *workers)
{
    uint64_t loops = 0;
    for (size_t i = 0; i < run->workers; i++)
        loops += load(&workers[i].before) + load(&workers[i].loops);
    return loops;
}

/* " | 1: full_fit 4/20"; the common end of the names of tests is left out. */
static void add_worker(struct line *line, const struct shown_run *run, size_t index,
                       const struct shown *worker)
{
    uint64_t test = load(&worker->test);
    if (test >= SUITE_TESTS) {
        add(line, " | %zu: done", index);
        return;
    }
    const char *name = suite_tests[test].name;
    const char *end = strstr(name, "_alloc_test");
    if (end == NULL)
        end = strstr(name, "_test");
    add(line, " | %zu: %.*s %" PRIu64 "/%" PRIu64, index, (int)(end - name), name, load(&worker->repeat),
        run->repeats);
}

/* All workers, if they fit; else as many as fit, in turn. */
static void add_workers(struct line *line, const struct shown_run *run, const struct shown *workers)
{
    size_t first = 0;
    size_t begin = line->used;
    for (int attempt = 0; attempt < 2; attempt++) {
        size_t shown = 0, whole = begin;
        line->used = begin;
        for (; shown < run->workers && line->used + 1 < line->room; shown++) {
            size_t index = (first + shown) % run->workers;
            whole = line->used;
            add_worker(line, run, index, &workers[index]);
        }
        if (line->used + 1 < line->room)
            return;
        line->used = whole;
        line->text[whole] = '\0';
        first = (size_t)(run->elapsed_ns / TURN_NS % run->workers);
    }
}

void shown_text(char *text, size_t room, const struct shown_run *run, const struct shown *workers)
{
    struct line line = {.text = text, .room = room};
    add(&line, "%s ", run->name);
    add_time(&line, run->elapsed_ns);
    if (run->time_ns != 0) {
        add(&line, " of ");
        add_time(&line, run->time_ns);
    } else {
        add(&line, ", %u %%", percent_of(run, workers));
    }
    add(&line, ", ");
    add_count(&line, loops_of(run, workers));
    add(&line, " loops");
    add_workers(&line, run, workers);
}
