/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The shadow map of stamps.h. */
#include "stamps.h"

#include <stdio.h>
#include <stdlib.h>

void stamps_stop(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: %s\n", file, line, condition);
    abort();
}

struct stamps stamps_make(uint64_t first, uint64_t quantum, size_t count)
{
    struct stamps stamps = {first, quantum, count, calloc(count, sizeof(_Atomic uint16_t))};
    must(stamps.stamp != NULL);
    return stamps;
}

void stamps_drop(struct stamps *stamps)
{
    for (size_t i = 0; i < stamps->count; i++)
        must(stamps->stamp[i] == 0);
    free(stamps->stamp);
}

static size_t index_of(const struct stamps *stamps, uint64_t address)
{
    must(address >= stamps->first && (address - stamps->first) / stamps->quantum < stamps->count);
    return (size_t)((address - stamps->first) / stamps->quantum);
}

void stamps_change(struct stamps *stamps, uint64_t start, uint64_t last, uint16_t from, uint16_t to)
{
    size_t end = index_of(stamps, last);

    for (size_t i = index_of(stamps, start); i <= end; i++) {
        uint16_t found = from;
        must(atomic_compare_exchange_strong(&stamps->stamp[i], &found, to));
    }
}

void stamps_flushed(struct stamps *stamps, uint64_t start, uint64_t last)
{
    size_t end = index_of(stamps, last);

    for (size_t i = index_of(stamps, start); i <= end; i++) {
        uint16_t found = STAMP_DEFERRED;
        (void)atomic_compare_exchange_strong(&stamps->stamp[i], &found, 0);
    }
}
