/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The bt engine in plain C, and the choice among its forms.
 *
 * An address map keeps the engine that created it. kva_engine_bt is the plain form with a create function of
 * its own, which creates address maps in the best form for this machine.
 */
#define BT_SIMD BT_SCALAR
#define BT_ENGINE kva_engine_bt_scalar
#define BT_NAME "bt-scalar"
#include "../base/text.h"
#include "bt_simd.h"
#include "bt_engine.h"

#include <kva/engine.h>

#if BT_HAS_X86
#include <cpuid.h>
#include <stdatomic.h>

/** The vector registers that the system saves, from XGETBV: bits 1-2 for AVX, and 5-7 for AVX-512. */
static uint64_t saved_registers(void)
{
    uint32_t low;
    uint32_t high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/** The best form for the processor. AVX2 needs bits 5 (AVX2), 3 and 8 (BMI 1 and 2) of EBX in leaf 7;
 *  AVX-512 as used here also 16 (F), 17 (DQ), 30 (BW) and 31 (VL); both need XSAVE enabled (leaf 1, ECX
 *  bit 27). Source: Intel SDM, volume 2, CPUID. */
static const struct kva_engine *ask_processor(void)
{
    const uint32_t avx2 = 1u << 5 | 1u << 3 | 1u << 8;
    const uint32_t avx512 = avx2 | 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    uint32_t a;
    uint32_t b;
    uint32_t c;
    uint32_t d;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1) || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return &kva_engine_bt_scalar;
    uint64_t saved = saved_registers();
    if ((b & avx512) == avx512 && (saved & 0xe6) == 0xe6)
        return &kva_engine_bt_avx512;
    return (b & avx2) == avx2 && (saved & 0x6) == 0x6 ? &kva_engine_bt_avx2 : &kva_engine_bt_scalar;
}

/** The best form, cached, because in a virtual machine each CPUID costs some ten microseconds. Threads
 *  that compute it at once store the same value. */
static const struct kva_engine *machine_form(void)
{
    static const struct kva_engine *_Atomic known;
    const struct kva_engine *form = atomic_load_explicit(&known, memory_order_relaxed);

    if (!form) {
        form = ask_processor();
        atomic_store_explicit(&known, form, memory_order_relaxed);
    }
    return form;
}
#elif BT_HAS_NEON
static const struct kva_engine *machine_form(void)
{
    return &kva_engine_bt_neon; /* NEON is part of the architecture */
}
#else
static const struct kva_engine *machine_form(void)
{
    return &kva_engine_bt_scalar;
}
#endif

const struct kva_engine *kva_engine_bt_form(const char *instructions)
{
#if BT_HAS_X86
    const struct kva_engine *best = machine_form();
    const struct kva_engine *const forms[] = {
        &kva_engine_bt_scalar,
        best == &kva_engine_bt_scalar ? NULL : &kva_engine_bt_avx2,
        best == &kva_engine_bt_avx512 ? best : NULL,
    };
#elif BT_HAS_NEON
    const struct kva_engine *const forms[] = {&kva_engine_bt_scalar, &kva_engine_bt_neon};
#else
    const struct kva_engine *const forms[] = {&kva_engine_bt_scalar};
#endif

    for (size_t i = 0; instructions && i < sizeof forms / sizeof forms[0]; i++) {
        if (forms[i] && same_text(text_after(forms[i]->name, "bt-"), instructions))
            return forms[i];
    }
    return NULL;
}

static enum kva_status create_best(const struct kva_address_map *common, struct kva_address_map **map)
{
    struct kva_address_map with_form = *common;

    with_form.engine = machine_form();
    return with_form.engine->create(&with_form, map);
}

const struct kva_engine kva_engine_bt = BT_TABLE("bt", create_best);
