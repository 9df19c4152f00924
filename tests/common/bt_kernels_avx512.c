/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The kernels with AVX-512. The instruction set is selected as in src/engine/bt_avx512.c. */
#include "engine/bt_simd.h"

#if BT_HAS_X86

#if defined(__clang__)
#pragma clang attribute push(                                                                                \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,bmi,bmi2,lzcnt,popcnt"))),                \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx2,bmi,bmi2,lzcnt,popcnt")
#endif

#define BT_SIMD BT_AVX512
#define TABLE bt_kernels_avx512
#define ENGINE "bt-avx512"
#include "bt_kernel_table.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
