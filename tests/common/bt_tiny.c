/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The bt engine with tiny nodes; see harness.h. */
#define BT_ENTRIES 3
#define BT_CHILDREN 4
#define BT_SIMD BT_SCALAR
#define BT_ENGINE test_engine_bt_tiny
#define BT_NAME "bt-tiny"

#include "harness.h"

#include "engine/bt_engine.h"
