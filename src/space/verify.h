/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Checks: all of a space on demand (kva_space_check); its neighbourhood, or all, after each change, at the
 * levels of base/check.h.
 */
#ifndef KVA_SPACE_VERIFY_H
#define KVA_SPACE_VERIFY_H

#include "core.h"

/** The checks of levels 2 and 3 after a change of the segment that holds, or held, `address`. */
void kva_verify_change(const struct kva_space *space, const char *where, uint64_t address);

static inline void verify_change(const struct kva_space *space, const char *where, uint64_t address)
{
    if (KVA_CHECK_LEVEL >= 2)
        kva_verify_change(space, where, address);
}

#endif
