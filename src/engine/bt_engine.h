/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * One form of the bt engine, as a table. The including file defines its instruction set (BT_SIMD) and its
 * names (BT_ENGINE, BT_NAME): bt.c for plain C, and bt_avx2.c, bt_avx512.c and bt_neon.c.
 */
#ifndef KVA_ENGINE_BT_ENGINE_H
#define KVA_ENGINE_BT_ENGINE_H

#include "bt_check.h"

/** The table of an engine with the given name and create function. */
#define BT_TABLE(called, make)                                                                               \
    {                                                                                                        \
        .name = called, .create = make, .destroy = bt_destroy, .prepare = bt_prepare, .search = bt_search,   \
        .locate = bt_locate, .occupy = bt_occupy, .free = bt_free, .punch = bt_punch, .trim = bt_trim,       \
        .resize = bt_resize, .clear = bt_clear, .own = bt_own, .defer = bt_defer,                            \
        .free_deferred = bt_free_deferred, .next_deferred = bt_next_deferred, .undefer = bt_undefer,         \
        .extend = bt_extend, .narrow = bt_narrow, .lookup = bt_lookup, .has_try_lookup = true,               \
        .try_lookup = bt_try_lookup, .largest = bt_largest, .check = bt_check, .check_near = bt_check_near,  \
    }

const struct kva_engine BT_ENGINE = BT_TABLE(BT_NAME, bt_create);

#endif
