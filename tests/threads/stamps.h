/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Ownership stamps: a shadow of a space in which each quantum that a thread holds is stamped, by
 * compare-and-swap, with who holds it. A stamp where there should be none is a range handed out twice; one
 * that is left over is a range lost.
 *
 *      0            nobody's
 *      1 ..         the thread's that took it
 *      PARKED       given back, deferred: nobody's from the flush callback on that covers it
 *
 * What fails here stops the program: the harness's checks jump, which is for the thread that runs the test
 * alone.
 */
#ifndef KVA_TESTS_THREADS_STAMPS_H
#define KVA_TESTS_THREADS_STAMPS_H

#include <stdatomic.h>

#include "common/harness.h"

/** Stop the program unless the condition holds. */
#define must(condition) ((condition) ? (void)0 : stamps_stop(__FILE__, __LINE__, #condition))

_Noreturn void stamps_stop(const char *file, int line, const char *condition);

enum { STAMP_PARKED = UINT16_MAX };

struct stamps {
    uint64_t first;
    uint64_t quantum;
    size_t count;
    _Atomic uint16_t *stamp;
};

struct stamps stamps_make(uint64_t first, uint64_t quantum, size_t count);

/** Fails if one is left. */
void stamps_drop(struct stamps *stamps);

/** Each quantum of [start, last], which must be `from`, becomes `to`. */
void stamps_change(struct stamps *stamps, uint64_t start, uint64_t last, uint16_t from, uint16_t to);

/** What a flush of [start, last] may free: what is parked there becomes nobody's. */
void stamps_flushed(struct stamps *stamps, uint64_t start, uint64_t last);

#endif
