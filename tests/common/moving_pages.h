/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A page source that moves frames on any host, in programs of one thread: nobody stores to a frame while it
 * is under way, so nothing need be held back. It wraps another source, and lets that one move what it can.
 *
 *      the other source has a `move`, and it does not return KVA_ENOENT   that is what happens
 *      else                                                               by hand: copy, map the new place, drain the old one
 *
 * By hand, contents are copied through a map of the pool's descriptor.
 */
#ifndef KVA_TESTS_COMMON_MOVING_PAGES_H
#define KVA_TESTS_COMMON_MOVING_PAGES_H

#include <kva/pages.h>

struct kva_moving_pages {
    struct kva_pages inner;
    bool always_by_hand;
    uint64_t by_hand; /* moves that were made so */
};

/** The source, which wraps `inner`. */
struct kva_pages kva_moving_pages_init(struct kva_moving_pages *pages, const struct kva_pages *inner);

#endif
