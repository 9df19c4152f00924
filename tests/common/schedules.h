/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * All schedules of a few threads with a few operations each, and the serial orders that may explain what they
 * answered
 * (linearizability): some order of the operations that keeps those apart that do not overlap in time, in
 * which each, done alone, answers as it has.
 *
 * WHAT IT IS ABOUT is a string, the MAP, with a letter for each unit of addresses:
 *
 *      .         free
 *      A B ...   in use: by the operation of that number, 0 for A, which has taken it
 *      a b ...   given back by the operation of that number, and not free yet: deferred, cached, parked. That
 *      it becomes free is no
 *                operation but something that may happen at any moment
 *      #         absent: it does not belong to the space
 */
#ifndef KVA_TESTS_COMMON_SCHEDULES_H
#define KVA_TESTS_COMMON_SCHEDULES_H

#include "harness.h"

#include "../../ports/test/turns.h"

/** Letters suffice for that many operations. */
enum { SCHEDULES_OPS = 24, SCHEDULES_UNITS = 40 };

/* ---------------------------------------------------------------------------------------------- schedules */

/** What is run on each schedule. */
struct schedules {
    const char *name;
    unsigned threads;
    unsigned changes; /* of threads that could go on, at most; 0: any number */
    void (*set_up)(void *context, struct kva_turns *turns);
    void (*body)(void *context, unsigned thread);
    void (*look_back)(void *context, uint64_t schedule);
    void *context;
};

/** Run all schedules at scale 1; below, as many as the scale lets. Says how many, and returns that. */
uint64_t schedules_run(const struct schedules *schedules);

/* ------------------------------------------------------------------------------------------ serial orders */

/** What has happened on one schedule. The first part begins empty, and the functions below fill it; the test
 *  sets the rest. */
struct schedules_history {
    unsigned count; /* of operations */
    unsigned clock;
    unsigned began[SCHEDULES_OPS];
    unsigned ended[SCHEDULES_OPS];
    char found[SCHEDULES_UNITS + 1]; /* the map in the end, as the test has found it */

    unsigned units; /* of the map; to begin with, all are free */
    const void *context;

    /** Whether operation `number`, done now, returns what it has returned; it changes the map accordingly. */
    bool (*explain)(const void *context, char *map, unsigned number);

    /** Whether a map is what was found. */
    bool (*matches)(const char *map, const char *found);

    /** Print what operation `number` was and what it has returned: the rest of a line. */
    void (*show)(const void *context, unsigned number);
};

/** An operation begins. Returns its number. */
unsigned schedules_begin(struct schedules_history *history);

/** Operation `number` ends. */
void schedules_end(struct schedules_history *history, unsigned number);

/** Whether two operations overlap in time. */
bool schedules_overlap(const struct schedules_history *history, unsigned one, unsigned other);

/** Fail the test, and print the history, unless some serial order explains it. */
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

/** How many units from here on have the same letter. */
unsigned map_run(const char *at);

/** What has this letter becomes free. */
void map_free_letter(char *map, char letter);

/** All that is idle becomes free. */
void map_free_idle(char *map);

/** What the operations gave back that had ended before operation `number` began becomes free. */
void map_free_older(char *map, const struct schedules_history *history, unsigned number);

/** The lowest run of n free units; the map's length when there is none. */
unsigned map_lowest_run(const char *map, unsigned n);

/** Whether a map is what was found, in which any letter stands for what is idle. */
bool map_matches(const char *map, const char *found);

/** Whether [at, at + n) holds nothing that is used or absent; what is idle there becomes free. */
bool map_clear(char *map, unsigned at, unsigned n);

#endif
