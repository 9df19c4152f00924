/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Tests of the Cost rows of a public header. A test has a table with at least one line for each row that
 * states how a cost grows, or how many system calls are made. A line quotes the CLAIM, which must be in the
 * function's row; it sets up two sizes of the quantity in the claim, and runs an operation at each. The steps
 * of one operation may grow from the smaller to the larger size only as the claim permits.
 *
 * A public function whose row makes such a claim, but which no line of the table names, fails the test.
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
    COST_ROUNDS = 64,  /* operations at each size, unless a line specifies it */
    COST_FEW = 256,    /* default sizes: a logarithm grows by 1.6, */
    COST_MANY = 8192,  /* a linear cost by 32 */
    COST_NO_CALL = -1, /* for most_calls */
};

struct cost_line {
    const char *function;
    const char *claim; /* a part of the function's Cost row */
    const char *what;  /* which quantity has the size, and the operation */
    enum cost_growth growth;
    void (*set_up)(uint64_t size);
    /** Counted between counted_start and counted_stop. NULL: it does not return, and is not measured. */
    void (*work)(uint64_t round);
    uint64_t few;    /* 0: COST_FEW */
    uint64_t many;   /* 0: COST_MANY */
    uint64_t rounds; /* 0: COST_ROUNDS; at most `few` if a round uses something up */
    int most_calls;  /* of one operation; COST_NO_CALL: none; 0: not checked */
    /** Some rounds have additional work: the mean of all rounds is compared, not the longest. */
    bool at_times;
};

/** A line. After the growth: the set-up function, the operation, and designated fields that are not
 * default. */
#define COST_LINE(function_, claim_, what_, growth_, ...)                                                    \
    {                                                                                                        \
        .function = function_, .claim = claim_, .what = what_, .growth = growth_, .set_up = __VA_ARGS__      \
    }

/** Measure all lines; `tear_down` is called after each size. `label` names the conditions in messages. */
void cost_measure(const struct cost_line *lines, size_t count, void (*tear_down)(void), const char *label);

/** Fail unless each function of these headers (a list that ends with NULL) whose Cost row makes a claim has a
 * line, and the claim of each line is in its row. */
void cost_expect_complete(const char *const *headers, const struct cost_line *lines, size_t count);

#endif
