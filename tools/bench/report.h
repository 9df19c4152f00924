/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The results of a run: tables, one workload after the other, or one JSON object at the end.
 */
#ifndef KVA_TOOLS_BENCH_REPORT_H
#define KVA_TOOLS_BENCH_REPORT_H

#include "evictions.h"
#include "frames.h"
#include "machine.h"
#include "runner.h"
#include "threads.h"
#include "vmalloc.h"

/** Describe the machine and the options; warn about conditions that spoil the figures. */
void bench_report_machine(const struct machine *machine, const struct bench_options *options);

/** Write a table of the rows of one workload, with notes. */
void bench_report_rows(const struct row *rows, size_t count, const struct bench_options *options);

/** Write a table of the longest operations. */
void bench_report_longest(const struct longest *longest, size_t count, const struct bench_options *options);

/** Write a note if the system preempted the run. */
void bench_report_preemptions(const struct results *results, const struct bench_options *options);

/** Write everything as JSON. False: no memory. */
bool bench_report_json(const struct results *results, const struct evictions_results *evictions,
                       const struct vmalloc_results *vmalloc, const struct threads_results *threads,
                       const struct frames_results *frames, const struct machine *machine,
                       const struct bench_options *options);

#endif
