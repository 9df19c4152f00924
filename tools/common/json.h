/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The JSON documents that the commands write: their common head, and values as all of them write them.
 *
 * Every value is handed to its parent at once, and jansson refuses a parent or a value that could not be
 * made; so one flag for the whole document, `good`, tells whether memory sufficed throughout.
 */
#ifndef KVA_TOOLS_JSON_H
#define KVA_TOOLS_JSON_H

#include <jansson.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/** A new document with its head: "command", "version", "date" (UTC, ISO 8601; null when the system has no
 *  clock) and, unless it is NULL, "seed". The seed is a string: a number would end at 2^63 - 1 here, and lose
 *  digits above 2^53 in many readers. */
json_t *json_begin(const char *command, const uint64_t *seed, bool *good);

/** Set a member, or add an element. Take over the value; NULL, and *good is false. */
void json_put(json_t *object, const char *key, json_t *value, bool *good);
void json_add(json_t *array, json_t *value, bool *good);

/** A count: a number below 2^63. */
json_t *json_count(uint64_t value);

/** A measure: null where it is infinite or no number. */
json_t *json_measure(double value);

/** An address: a string, "0x..." , since it needs all of 64 bits. */
json_t *json_address(uint64_t value);

/** A text from outside: "(not UTF-8)" where it is not, which JSON must be. */
json_t *json_text(const char *text);

/** Write the document if it is good, and give it back. False: no memory. A failed write shows on `out`, where
 *  the caller looks. */
bool json_end(json_t *document, FILE *out, bool good);

#endif
