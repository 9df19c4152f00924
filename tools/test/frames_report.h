/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** What `kva test frames` tells: text for people, JSON for programs. */
#ifndef KVA_TOOLS_TEST_FRAMES_REPORT_H
#define KVA_TOOLS_TEST_FRAMES_REPORT_H

#include "frames_run.h"

/** Say what is about to be run, the seed included. */
void traffic_report_plan(const struct traffic_plan *plan);

/** The lines of one shape. False: no memory. */
bool traffic_report_shape(const struct traffic_report *report);

/** Everything as one JSON document. False: no memory. */
bool traffic_report_json(const struct traffic_plan *plan, const struct traffic_report *reports, size_t count);

/** Say on stderr what was wrong, if anything was. Returns the exit code. */
int traffic_report_fault(const struct traffic_report *report);

#endif
