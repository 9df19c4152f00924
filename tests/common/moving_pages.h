/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A page source that moves frames on any host, in single-threaded programs: no thread can store to a frame
 * during the move, so no stores need to be held back. It wraps another source, and lets that one move what it
 * can.
 *
 *      the other source's `move` does not return KVA_ENOENT   its result is used
 *      otherwise, or without a `move`                         by hand: copy, map, discard the old place
 *
 * By hand, contents are copied through a map of the frame set's descriptor.
 */
#ifndef KVA_TESTS_COMMON_MOVING_PAGES_H
#define KVA_TESTS_COMMON_MOVING_PAGES_H

#include <kva/pages.h>

struct kva_moving_pages {
    struct kva_pages inner;
    bool always_by_hand;
    uint64_t by_hand; /* moves made by hand */
};

/** The source, which wraps `inner`. */
struct kva_pages kva_moving_pages_init(struct kva_moving_pages *pages, const struct kva_pages *inner);

#endif
