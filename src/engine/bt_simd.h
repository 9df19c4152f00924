/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Which forms of the bt engine this build holds. Vector instructions are for hosted builds: a kernel may not save
 * the vector registers, so freestanding builds are plain C. So is a build with KVA_FREESTANDING, whatever the
 * compiler was told.
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

/** What every operation runs through is inlined into it, so that it saves its registers once; what few run through stays
 *  out of its way. Compilers would decide by size alone. */
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
