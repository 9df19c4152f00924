/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The Cost rows of a public header, held to their word. A test has a table with one line or more for each row
 * that says how a cost grows, or how many system calls are made. A line quotes the CLAIM, which must stand in
 * the function's row, and says how to bring about two sizes of what the claim names, and what to do at each.
 * The steps of one operation at the larger size may be as many more as the claim lets them grow.
 *
 * A public function whose row makes such a claim and that no line of the table names fails the test.
 */
#ifndef KVA_TESTS_COST_ROWS_H
#define KVA_TESTS_COST_ROWS_H

#include "../common/harness.h"
#include "counted.h"

enum cost_growth {
    COST_CONSTANT,
    COST_LOGARITHM,
    COST_LINEAR,
    COST_N_LOG_N,
};

enum {
    COST_ROUNDS = 64,  /* operations at each size, unless a line says otherwise */
    COST_FEW = 256,    /* sizes, likewise: the logarithm grows by 1.6, */
    COST_MANY = 8192,  /* a line by 32 */
    COST_NO_CALL = -1, /* for most_calls */
};

struct cost_line {
    const char *function;
    const char *claim; /* as it stands in the function's Cost row */
    const char *what;  /* is of which size, and what is done */
    enum cost_growth growth;
    void (*set_up)(uint64_t size);
    /** What is between counted_start and counted_stop in it counts. NULL: it does not return, and is not
     *  measured. */
    void (*work)(uint64_t round);
    uint64_t few;    /* 0: COST_FEW */
    uint64_t many;   /* 0: COST_MANY */
    uint64_t rounds; /* 0: COST_ROUNDS; no more than `few` where a round uses something up */
    int most_calls;  /* of one operation; COST_NO_CALL: none; 0: no matter */
    bool
        at_times; /* something comes on top at times: not the longest round is compared, but the mean of all */
};

/** A line: the function to set up and the one that works come after the growth, and then what is not as
 *  usual. */
#define COST_LINE(function_, claim_, what_, growth_, ...)                                                    \
    {                                                                                                        \
        .function = function_, .claim = claim_, .what = what_, .growth = growth_, .set_up = __VA_ARGS__      \
    }

/** Measure all lines; `tear_down` follows on each size. `label` says under which conditions, for messages. */
void cost_measure(const struct cost_line *lines, size_t count, void (*tear_down)(void), const char *label);

/** Fail unless each function of these headers (a list that ends with NULL) whose Cost row makes a claim
 *  has a line, and each line's claim stands in its row. */
void cost_expect_complete(const char *const *headers, const struct cost_line *lines, size_t count);

#endif
