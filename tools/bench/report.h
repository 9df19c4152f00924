/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What a run says: tables for people, workload by workload as they are done, or one JSON object at the end.
 */
#ifndef KVA_TOOLS_BENCH_REPORT_H
#define KVA_TOOLS_BENCH_REPORT_H

#include "machine.h"
#include "runner.h"
#include "threads.h"
#include "vmalloc.h"

/** What the run was made on and with; warnings about what spoils the figures. */
void bench_report_machine(const struct machine *machine, const struct bench_options *options,
                          const struct bench_clock *clock);

/** The tables of one workload: of its rows, and of its longest operations, from the first of each on. */
void bench_report_rows(const struct results *results, size_t first_row, size_t first_longest,
                       const struct bench_options *options);

/** A note when the system took the CPU away, which is in the figures. */
void bench_report_preemptions(const struct results *results, const struct bench_options *options);

/** Everything as JSON. False: no memory. */
bool bench_report_json(const struct results *results, const struct vmalloc_results *vmalloc,
                       const struct threads_results *threads, const struct machine *machine,
                       const struct bench_options *options, const struct bench_clock *clock);

#endif
