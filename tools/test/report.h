/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The output of a run: lines for grep, a table that compares engines, and JSON.
 */
#ifndef KVA_TOOLS_TEST_REPORT_H
#define KVA_TOOLS_TEST_REPORT_H

#include "runner.h"

/** Print the plan, with the seed. */
void suite_report_plan(const struct plan *plan);

/** Print the lines of one engine: a summary of each test of each worker, and each worker's cycles. */
void suite_report_engine(const struct plan *plan, const struct report *report);

/** Print the table that compares engines. False: no memory. */
bool suite_report_comparison(const struct plan *plan, const struct report *reports, size_t count);

/** Print everything as one JSON document. False: no memory. */
bool suite_report_json(const struct plan *plan, const struct report *reports, size_t count);

/** Report failures on stderr. Returns the exit code. */
int suite_report_failures(const struct report *report);

#endif
