/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The kernels in plain C, and the list of all forms. */
#define BT_SIMD BT_SCALAR
#define TABLE bt_kernels_scalar
#define ENGINE "bt-scalar"

#include "engine/bt_simd.h"

#include "bt_kernel_table.h"

const struct bt_kernels *bt_kernels_of(size_t index)
{
    static const struct bt_kernels *const forms[] = {
        &bt_kernels_scalar,
#if BT_HAS_X86
        &bt_kernels_avx2,
        &bt_kernels_avx512,
#elif BT_HAS_NEON
        &bt_kernels_neon,
#endif
    };

    return index < sizeof(forms) / sizeof(forms[0]) ? forms[index] : NULL;
}
