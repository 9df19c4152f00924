/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The command line of kva bench.
 */
#ifndef KVA_TOOLS_BENCH_OPTIONS_H
#define KVA_TOOLS_BENCH_OPTIONS_H

#include "runner.h"

/** No n may be larger: ten million ranges of up to 512 pages still fit the space of 2^46 bytes. */
#define SIZE_LIMIT 10000000

/** Read the command line, and open the output. Leaves the program for --help and for whatever is wrong. */
void bench_options_parse(struct bench_options *options, int argc, char **argv);

/** Close the output file, if there is one. False when something that was written did not reach it; errno
 *  says why. */
bool bench_options_close(struct bench_options *options);

#endif
