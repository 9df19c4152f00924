/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The forms of the bt engine in this build. Only hosted builds use vector instructions: a kernel may not save
 * the vector registers. Builds with KVA_FREESTANDING are plain C with any compiler flags.
 */
#ifndef KVA_ENGINE_BT_SIMD_H
#define KVA_ENGINE_BT_SIMD_H

#include "engine.h"

#define BT_SCALAR 0
#define BT_AVX2 1
#define BT_AVX512 2
#define BT_NEON 3

#if __STDC_HOSTED__ && !defined(KVA_FREESTANDING) && defined(__GNUC__)
#define BT_MAY_USE_VECTORS 1
#else
#define BT_MAY_USE_VECTORS 0
#endif

#if BT_MAY_USE_VECTORS && defined(__x86_64__)
#define BT_HAS_X86 1
#else
#define BT_HAS_X86 0
#endif

#if BT_MAY_USE_VECTORS && defined(__aarch64__)
#define BT_HAS_NEON 1
#else
#define BT_HAS_NEON 0
#endif

/** BT_HOT: on the path of every operation, and inlined, so that an operation saves its registers once.
 *  BT_RARE: out of line. Without these attributes compilers decide by size. */
#if defined(__GNUC__)
#define BT_HOT static inline __attribute__((always_inline))
#define BT_RARE static __attribute__((noinline))
#else
#define BT_HOT static inline
#define BT_RARE static
#endif

extern const struct kva_engine kva_engine_bt_scalar;
extern const struct kva_engine kva_engine_bt_avx2;
extern const struct kva_engine kva_engine_bt_avx512;
extern const struct kva_engine kva_engine_bt_neon;

#endif
