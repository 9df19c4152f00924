/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#define _POSIX_C_SOURCE 200809L /* gmtime_r */
#include "json.h"

#include <kva/kva.h>

#include <inttypes.h>
#include <math.h>
#include <time.h>

void json_put(json_t *object, const char *key, json_t *value, bool *good)
{
    if (json_object_set_new(object, key, value) != 0)
        *good = false;
}

void json_add(json_t *array, json_t *value, bool *good)
{
    if (json_array_append_new(array, value) != 0)
        *good = false;
}

json_t *json_count(uint64_t value)
{
    return json_integer((json_int_t)value);
}

json_t *json_measure(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *json_address(uint64_t value)
{
    return json_sprintf("0x%" PRIx64, value);
}

json_t *json_text(const char *text)
{
    json_t *value = json_string(text); /* also NULL without memory: then the next call fails too */
    return value != NULL ? value : json_string("(not UTF-8)");
}

static json_t *date(void)
{
    char text[32];
    time_t now = time(NULL);
    struct tm utc;
    if (now == (time_t)-1 || gmtime_r(&now, &utc) == NULL ||
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
        return json_null();
    return json_string(text);
}

json_t *json_begin(const char *command, const uint64_t *seed, bool *good)
{
    json_t *document = json_object();
    json_put(document, "command", json_string(command), good);
    json_put(document, "version",
             json_sprintf("%d.%d.%d", KVA_VERSION_MAJOR, KVA_VERSION_MINOR, KVA_VERSION_PATCH), good);
    json_put(document, "date", date(), good);
    if (seed != NULL)
        json_put(document, "seed", json_sprintf("%" PRIu64, *seed), good);
    return document;
}

bool json_end(json_t *document, FILE *out, bool good)
{
    /* Twelve digits hide the error of the binary fraction. */
    if (good)
        good = json_dumpf(document, out, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) == 0 || ferror(out);
    if (good)
        fputc('\n', out);
    json_decref(document);
    return good;
}
