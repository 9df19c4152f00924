/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The output of `kva test frames`: text and JSON. */
#ifndef KVA_TOOLS_TEST_FRAMES_REPORT_H
#define KVA_TOOLS_TEST_FRAMES_REPORT_H

#include "frames_run.h"

/** Print the plan, with the seed. */
void traffic_report_plan(const struct traffic_plan *plan);

/** Print the results of one shape. False: no memory. */
bool traffic_report_shape(const struct traffic_report *report);

/** Print everything as one JSON document. False: no memory. */
bool traffic_report_json(const struct traffic_plan *plan, const struct traffic_report *reports, size_t count);

/** Report the fault, if any, on stderr. Returns the exit code. */
int traffic_report_fault(const struct traffic_report *report);

#endif
