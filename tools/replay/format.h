/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Recognises files that are not logs of strace but that users may try to replay.
 */
#ifndef KVA_TOOLS_REPLAY_FORMAT_H
#define KVA_TOOLS_REPLAY_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

/** Name the kind of a file by its first bytes, which begin no text: "an xz file". NULL: unknown. */
const char *format_of_bytes(const char *head, size_t length);

/** Name the kind of a text by its first lines: "the output of perf script". NULL: unknown. Only for a text
 *  that is not a log of strace: a program under strace may write such lines itself. */
const char *format_of_lines(const char *head, size_t length);

/** "this is <format>; ...": what the file is, and what kva replay reads. */
#define FORMAT_MESSAGE "this is %s; kva replay reads logs of strace, plain or compressed by gzip"

#endif
