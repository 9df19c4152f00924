/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The kernels with AVX2. The instruction set is selected as in src/engine/bt_avx2.c. */
#include "engine/bt_simd.h"

#if BT_HAS_X86

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,lzcnt,popcnt")
#endif

#define BT_SIMD BT_AVX2
#define TABLE bt_kernels_avx2
#define ENGINE "bt-avx2"
#include "bt_kernel_table.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
