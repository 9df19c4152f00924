/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The JSON documents that the commands write: their common head, and common forms of values.
 *
 * Every value goes to its parent at once, and jansson refuses a NULL parent or value. So one flag for the
 * whole document, `good`, shows whether memory sufficed.
 */
#ifndef KVA_TOOLS_JSON_H
#define KVA_TOOLS_JSON_H

#include <jansson.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/** A new document with its head: "command", "version", "date" (UTC, ISO 8601; null if the system has no
 *  clock) and, unless `seed` is NULL, "seed". The seed is a string: jansson's integers end at 2^63 - 1,
 *  and many readers lose digits above 2^53. */
json_t *json_begin(const char *command, const uint64_t *seed, bool *good);

/** Set a member, or add an element. The value changes owner. If it is NULL, *good becomes false. */
void json_put(json_t *object, const char *key, json_t *value, bool *good);
void json_add(json_t *array, json_t *value, bool *good);

/** A count: a number below 2^63. */
json_t *json_count(uint64_t value);

/** A measure: null if it is infinite or not a number. */
json_t *json_measure(double value);

/** An address: a string, "0x...", because it may need all 64 bits. */
json_t *json_address(uint64_t value);

/** A text from outside: "(not UTF-8)" if it is not UTF-8, which JSON requires. */
json_t *json_text(const char *text);

/** Write the document if it is good, and free it. False: no memory. The caller checks `out` for a failed
 *  write. */
bool json_end(json_t *document, FILE *out, bool good);

#endif
