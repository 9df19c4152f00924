/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The kernels with NEON. */
#include "engine/bt_simd.h"

#if BT_HAS_NEON
#define BT_SIMD BT_NEON
#define TABLE bt_kernels_neon
#define ENGINE "bt-neon"
#include "bt_kernel_table.h"
#endif
