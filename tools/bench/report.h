/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What a run says: tables for people, workload by workload as they are done, or one JSON object at the end.
 */
#ifndef KVA_TOOLS_BENCH_REPORT_H
#define KVA_TOOLS_BENCH_REPORT_H

#include "evictions.h"
#include "frames.h"
#include "machine.h"
#include "runner.h"
#include "threads.h"
#include "vmalloc.h"

/** What the run was made on and with; warnings about what spoils the figures. */
void bench_report_machine(const struct machine *machine, const struct bench_options *options);

/** A table of the rows of one workload, and notes on those that need a word. */
void bench_report_rows(const struct row *rows, size_t count, const struct bench_options *options);

/** A table of the longest operations. */
void bench_report_longest(const struct longest *longest, size_t count, const struct bench_options *options);

/** A note when the system took the CPU away, which is in the figures. */
void bench_report_preemptions(const struct results *results, const struct bench_options *options);

/** Everything as JSON. False: no memory. */
bool bench_report_json(const struct results *results, const struct evictions_results *evictions,
                       const struct vmalloc_results *vmalloc, const struct threads_results *threads,
                       const struct frames_results *frames, const struct machine *machine,
                       const struct bench_options *options);

#endif
