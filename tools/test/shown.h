/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The progress line of a run: elapsed time, work done, and what each worker does.
 *
 *      bt 0:12:34 of 1:00:00, 1.23 G loops | 0: full_fit 4/20 | 1: vrealloc 11/20
 *      rb 0:00:07, 34 %, 812 k loops | 0: fix_size 2/3
 *
 * If the line has no room for all workers, they take turns.
 */
#ifndef KVA_TOOLS_TEST_SHOWN_H
#define KVA_TOOLS_TEST_SHOWN_H

#include "suite.h"

struct shown_run {
    const char *name;
    uint64_t elapsed_ns;
    uint64_t time_ns; /* of the whole run; 0: until each worker has done `trials` trials */
    uint64_t trials;
    uint64_t repeats; /* of each test */
    size_t workers;
};

/** Write the line into `text`, cut to `room` bytes with the zero at its end. */
void shown_text(char *text, size_t room, const struct shown_run *run, const struct shown *workers);

#endif
