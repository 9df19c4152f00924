/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The two hooks of check.h. */
#include "check.h"

enum kva_status kva_report_misuse(const struct kva_hooks *hooks, enum kva_status status, const char *where,
                                  uint64_t address, const struct kva_bad *bad)
{
    if (hooks->on_misuse) {
        struct kva_fault fault = {
            .status = status,
            .where = where,
            .what = kva_status_text(status),
            .address = address,
            .field = bad ? bad->field : NULL,
            .index = bad ? bad->index : 0,
        };
        hooks->on_misuse(hooks->context, &fault);
    }
    return status;
}

void kva_report_corruption(const struct kva_hooks *hooks, const char *where, const char *what,
                           uint64_t address)
{
    struct kva_fault fault = {.status = KVA_ECORRUPT, .where = where, .what = what, .address = address};

    if (!hooks->on_corruption)
        __builtin_trap(); /* freestanding: there is no abort() to call */
    hooks->on_corruption(hooks->context, &fault);
}
