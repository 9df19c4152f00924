/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The bt engine with NEON, which every 64-bit ARM processor has; see bt_tree.h. */
#include "bt_simd.h"

#if BT_HAS_NEON
#define BT_SIMD BT_NEON
#define BT_ENGINE kva_engine_bt_neon
#define BT_NAME "bt-neon"
#include "bt_engine.h"
#endif
