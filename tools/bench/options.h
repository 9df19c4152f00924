/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The command line of kva bench.
 */
#ifndef KVA_TOOLS_BENCH_OPTIONS_H
#define KVA_TOOLS_BENCH_OPTIONS_H

#include "runner.h"

/** The largest n: ten million ranges of up to 512 pages fit the space of 2^46 bytes. */
#define SIZE_LIMIT 10000000

/** Parse the command line, and open the output. Exits for --help and on errors. */
void bench_options_parse(struct bench_options *options, int argc, char **argv);

/** Close the output file, if there is one. False if a write failed; errno has the reason. */
bool bench_options_close(struct bench_options *options);

#endif
