/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Ownership stamps: a shadow of a space. A thread stamps each quantum that it holds with its number, by
 * compare-and-swap. An unexpected stamp means that a range was allocated twice; a stamp that is left over
 * means that a range was lost.
 *
 *      0            free
 *      1 ..         the number of the owning thread
 *      DEFERRED     deferred: free once the flush callback that covers it has run
 *
 * A failure here stops the program: the harness's checks jump, which only the thread that runs the test may
 * do.
 */
#ifndef KVA_TESTS_THREADS_STAMPS_H
#define KVA_TESTS_THREADS_STAMPS_H

#include <stdatomic.h>

#include "common/harness.h"

/** Stop the program unless the condition holds. */
#define must(condition) ((condition) ? (void)0 : stamps_stop(__FILE__, __LINE__, #condition))

_Noreturn void stamps_stop(const char *file, int line, const char *condition);

enum { STAMP_DEFERRED = UINT16_MAX };

struct stamps {
    uint64_t first;
    uint64_t quantum;
    size_t count;
    _Atomic uint16_t *stamp;
};

struct stamps stamps_make(uint64_t first, uint64_t quantum, size_t count);

/** Stops the program if a stamp is left. */
void stamps_drop(struct stamps *stamps);

/** Change the stamp of each quantum in [start, last], which must be `from`, to `to`. */
void stamps_change(struct stamps *stamps, uint64_t start, uint64_t last, uint16_t from, uint16_t to);

/** A flush may free [start, last]: the deferred quanta there become free. */
void stamps_flushed(struct stamps *stamps, uint64_t start, uint64_t last);

#endif
