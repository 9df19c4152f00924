/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What a run tells: the lines that people grep for, the table that compares engines, and JSON for programs.
 */
#ifndef KVA_TOOLS_TEST_REPORT_H
#define KVA_TOOLS_TEST_REPORT_H

#include "runner.h"

/** Say what is about to be run, the seed included. */
void suite_report_plan(const struct plan *plan);

/** The lines of one engine: a summary of each test of each worker, and each worker's cycles. */
void suite_report_engine(const struct plan *plan, const struct report *report);

/** The table that compares two engines or more. False: no memory. */
bool suite_report_comparison(const struct plan *plan, const struct report *reports, size_t count);

/** Everything as one JSON document. False: no memory. */
bool suite_report_json(const struct plan *plan, const struct report *reports, size_t count);

/** Say on stderr what failed, if anything did. Returns the exit code. */
int suite_report_failures(const struct report *report);

#endif
