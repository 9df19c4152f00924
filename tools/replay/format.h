/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Files that are no logs of strace, but that people may take for something to replay: which kind they are.
 */
#ifndef KVA_TOOLS_REPLAY_FORMAT_H
#define KVA_TOOLS_REPLAY_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

/** Name the kind of a file by its first bytes, which no text begins with: "an xz file". NULL: it is none of
 *  those that are known. */
const char *format_of_bytes(const char *head, size_t length);

/** Name the kind of a text by the lines in its beginning: "the output of perf script". NULL: not known.
 *  Only for a text that is no log of strace: a program under strace may write such lines itself. */
const char *format_of_lines(const char *head, size_t length);

/** "this is <format>, which kva replay does not read yet". */
#define FORMAT_MESSAGE "this is %s, which kva replay does not read yet"

#endif
