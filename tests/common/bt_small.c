/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The bt engine with small nodes of odd sizes; see harness.h. */
#define BT_ENTRIES 5
#define BT_CHILDREN 3
#define BT_SIMD BT_SCALAR
#define BT_ENGINE test_engine_bt_small
#define BT_NAME "bt-small"

#include "harness.h"

#include "engine/bt_engine.h"
