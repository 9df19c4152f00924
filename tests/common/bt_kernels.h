/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The inner loops of the bt engine in each form, for engine/test_bt_kernels.c. */
#ifndef KVA_TESTS_COMMON_BT_KERNELS_H
#define KVA_TESTS_COMMON_BT_KERNELS_H

#include <stddef.h>
#include <stdint.h>

struct bt_fit;

struct bt_kernels {
    const char
        *engine; /* the form of bt that uses them; a machine that has none of that name cannot run them */
    unsigned (*children_at_most)(const uint64_t *keys, unsigned count, uint64_t key);
    unsigned (*entries_at_most)(const uint32_t *start, unsigned count, uint32_t key);
    unsigned (*first_at_least)(const uint64_t *values, unsigned from, unsigned count, uint64_t least);
    unsigned (*past_last_at_least)(const uint64_t *values, unsigned count, uint64_t least);
    uint64_t (*greatest)(const uint64_t *values, unsigned count, unsigned except);
    unsigned (*first_gap)(const uint32_t *start, const uint32_t *last, unsigned from, unsigned count,
                          const struct bt_fit *fit);
    unsigned (*last_gap)(const uint32_t *start, const uint32_t *last, unsigned before,
                         const struct bt_fit *fit);
    uint32_t (*greatest_run)(const uint32_t *start, const uint32_t *last, unsigned count, unsigned except,
                             const struct bt_fit *fit);
    uint32_t (*greatest_gap)(const uint32_t *start, const uint32_t *last, unsigned count, unsigned except);
    void (*open_entry)(uint32_t *array, unsigned i, uint32_t value);
    void (*close_entry)(uint32_t *array, unsigned i);
    void (*open_slot)(uint8_t *slot, unsigned i, uint8_t value);
    void (*close_slot)(uint8_t *slot, unsigned i);
};

/** The forms in this build, whether or not this machine can run them; NULL after the last. */
const struct bt_kernels *bt_kernels_of(size_t index);

extern const struct bt_kernels bt_kernels_scalar;
extern const struct bt_kernels bt_kernels_avx2;
extern const struct bt_kernels bt_kernels_avx512;
extern const struct bt_kernels bt_kernels_neon;

#endif
