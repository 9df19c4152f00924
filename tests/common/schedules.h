/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * All schedules of a few threads with a few operations each, and a search for a serial order that explains
 * their results (linearizability): an order of the operations that preserves the order of those that do not
 * overlap in time, and in which each operation, done alone, returns the same.
 *
 * The state of the addresses is a string, the MAP, with a letter for each unit:
 *
 *      .         free
 *      A B ...   in use: allocated by operation 0 (A), 1 (B), ...
 *      a b ...   freed by operation 0, 1, ... but idle: deferred, cached or parked. The unit may become free
 *                at any moment, without an operation
 *      #         absent: not part of the space
 */
#ifndef KVA_TESTS_COMMON_SCHEDULES_H
#define KVA_TESTS_COMMON_SCHEDULES_H

#include "harness.h"

#include "../../ports/test/turns.h"

/** The letters suffice for so many operations. */
enum { SCHEDULES_OPS = 24, SCHEDULES_UNITS = 40 };

/* ---------------------------------------------------------------------------------------------- schedules */

/** The program to run on each schedule. */
struct schedules {
    const char *name;
    unsigned threads;
    unsigned changes; /* the largest number of preemptions; 0: any number */
    void (*set_up)(void *context, struct kva_turns *turns);
    void (*body)(void *context, unsigned thread);
    void (*look_back)(void *context, uint64_t schedule);
    void *context;
};

/** Run all schedules at scale 1; below, as many as the scale permits. Prints and returns their number. */
uint64_t schedules_run(const struct schedules *schedules);

/* ------------------------------------------------------------------------------------------ serial orders */

/** The events of one schedule. The first part begins empty, and the functions below fill it; the test sets
 * the rest. */
struct schedules_history {
    unsigned count; /* of operations */
    unsigned clock;
    unsigned began[SCHEDULES_OPS];
    unsigned ended[SCHEDULES_OPS];
    char found[SCHEDULES_UNITS + 1]; /* the final map, as the test found it */

    unsigned units; /* of the map; initially all are free */
    const void *context;

    /** Whether operation `number`, done now, returns its recorded result; changes the map accordingly. */
    bool (*explain)(const void *context, char *map, unsigned number);

    /** Whether a map matches the one found. */
    bool (*matches)(const char *map, const char *found);

    /** Print operation `number` and its result: the rest of a line. */
    void (*show)(const void *context, unsigned number);
};

/** An operation begins. Returns its number. */
unsigned schedules_begin(struct schedules_history *history);

/** Operation `number` ends. */
void schedules_end(struct schedules_history *history, unsigned number);

/** Whether two operations overlap in time. */
bool schedules_overlap(const struct schedules_history *history, unsigned one, unsigned other);

/** Fail the test and print the history unless some serial order explains it. */
void schedules_expect_order(const struct schedules_history *history, const char *name, uint64_t schedule);

/* ------------------------------------------------------------------------------------------------ the map */

static inline bool map_is_used(char c)
{
    return c >= 'A' && c <= 'Z';
}

static inline bool map_is_idle(char c)
{
    return c >= 'a' && c <= 'z';
}

/** The number of units from here on with the same letter. */
unsigned map_run(const char *at);

/** Units with this letter become free. */
void map_free_letter(char *map, char letter);

/** All idle units become free. */
void map_free_idle(char *map);

/** Units freed by operations that had ended before operation `number` began become free. */
void map_free_older(char *map, const struct schedules_history *history, unsigned number);

/** The lowest run of n free units; the length of the map if there is none. */
unsigned map_lowest_run(const char *map, unsigned n);

/** Whether a map matches the one found, in which any letter stands for idle units. */
bool map_matches(const char *map, const char *found);

/** Whether [at, at + n) contains no unit in use or absent; its idle units become free. */
bool map_clear(char *map, unsigned at, unsigned n);

#endif
