/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The bt engine with AVX2; see bt_tree.h. */
#include "bt_simd.h"

#if BT_HAS_X86

/* The code below may use these instructions. bt.c selects it only where they exist. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,lzcnt,popcnt")
#endif

#define BT_SIMD BT_AVX2
#define BT_ENGINE kva_engine_bt_avx2
#define BT_NAME "bt-avx2"
#include "bt_engine.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
