/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** All schedules, and a search for serial orders: see schedules.h. */
#include "schedules.h"

#include <string.h>

/* ---------------------------------------------------------------------------------------------- schedules */

uint64_t schedules_run(const struct schedules *schedules)
{
    struct kva_turns *turns = kva_turns_create(schedules->threads);
    uint64_t most = test_stride() == 1 ? UINT64_MAX : test_scaled(10000);
    uint64_t count = 0;
    bool more = true;

    kva_turns_begin(turns, schedules->changes);
    for (; more && count < most; count++) {
        schedules->set_up(schedules->context, turns);
        kva_turns_run(turns, schedules->body, schedules->context);
        schedules->look_back(schedules->context, count);
        more = kva_turns_next(turns);
    }
    print_message("%8" PRIu64 "%s schedules", count, more ? "  of the" : ", all the");
    if (schedules->changes > 0)
        print_message(" with up to %u preemptions", schedules->changes);
    print_message(": %s\n", schedules->name);
    kva_turns_destroy(turns);
    return count;
}

/* ------------------------------------------------------------------------------------------ serial orders */

unsigned schedules_begin(struct schedules_history *history)
{
    unsigned number = history->count++;

    assert_true(number < SCHEDULES_OPS);
    history->began[number] = history->clock++;
    return number;
}

void schedules_end(struct schedules_history *history, unsigned number)
{
    history->ended[number] = history->clock++;
}

bool schedules_overlap(const struct schedules_history *history, unsigned one, unsigned other)
{
    return history->began[one] < history->ended[other] && history->began[other] < history->ended[one];
}

/** A partial order: the operations done so far, and the map after them. */
struct serial {
    const struct schedules_history *history;
    bool done[SCHEDULES_OPS];
    char map[SCHEDULES_UNITS + 1];
};

/** Whether an operation may come next: no outstanding operation ended before it began. */
static bool may_be_next(const struct serial *serial, unsigned number)
{
    const struct schedules_history *history = serial->history;

    for (unsigned i = 0; i < history->count; i++) {
        if (!serial->done[i] && history->ended[i] < history->began[number])
            return false;
    }
    return !serial->done[number];
}

static bool can_be_ended(const struct serial *serial)
{
    const struct schedules_history *history = serial->history;
    bool all = true;

    for (unsigned i = 0; i < history->count; i++) {
        if (!may_be_next(serial, i)) {
            all = all && serial->done[i];
            continue;
        }
        all = false;
        struct serial next = *serial;
        next.done[i] = true;
        if (history->explain(history->context, next.map, i) && can_be_ended(&next))
            return true;
    }
    return all && history->matches(serial->map, history->found);
}

static void show(const struct schedules_history *history)
{
    for (unsigned i = 0; i < history->count; i++) {
        print_message("  %c: %2u-%2u ", 'A' + (int)i, history->began[i], history->ended[i]);
        history->show(history->context, i);
    }
    print_message("  left: %s\n", history->found);
}

void schedules_expect_order(const struct schedules_history *history, const char *name, uint64_t schedule)
{
    struct serial serial = {.history = history};

    memset(serial.map, '.', history->units);
    bool explained = can_be_ended(&serial);
    if (!explained)
        show(history);
    check_that(explained, "%s, schedule %" PRIu64 ": no serial order explains it", name, schedule);
}

/* ------------------------------------------------------------------------------------------------ the map */

unsigned map_run(const char *at)
{
    unsigned run = 1;

    while (at[run] == *at)
        run++;
    return run;
}

void map_free_letter(char *map, char letter)
{
    for (; *map; map++)
        *map = *map == letter ? '.' : *map;
}

void map_free_idle(char *map)
{
    for (; *map; map++)
        *map = map_is_idle(*map) ? '.' : *map;
}

void map_free_older(char *map, const struct schedules_history *history, unsigned number)
{
    for (unsigned i = 0; i < history->count; i++) {
        if (history->ended[i] < history->began[number])
            map_free_letter(map, (char)('a' + i));
    }
}

unsigned map_lowest_run(const char *map, unsigned n)
{
    unsigned run = 0;
    unsigned at = 0;

    for (; map[at]; at++) {
        run = map[at] == '.' ? run + 1 : 0;
        if (run == n)
            return at + 1 - n;
    }
    return at;
}

bool map_matches(const char *map, const char *found)
{
    for (; *found; map++, found++) {
        bool same = map_is_idle(*found)   ? map_is_idle(*map)
                    : map_is_used(*found) ? *map == *found
                                          : !map_is_used(*map);
        if (!same || (*map == '#') != (*found == '#'))
            return false;
    }
    return true;
}

bool map_clear(char *map, unsigned at, unsigned n)
{
    for (unsigned i = at; i < at + n; i++) {
        if (map_is_used(map[i]) || map[i] == '#' || map[i] == '\0')
            return false;
    }
    for (unsigned i = at; i < at + n; i++) {
        if (map_is_idle(map[i]))
            map_free_letter(map, map[i]);
    }
    return true;
}
