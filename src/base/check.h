/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Check levels, and the two hooks that receive the findings.
 *
 *   level   what is verified                                              when             cost
 *     0     nothing beyond the arguments of public calls                  always           -
 *     1     contracts between the floors, each O(1) (the default)         at each contract a few instructions
 *     2     the neighbourhood of the place that an operation changed      after a change   O(log n)
 *           (of a flush: of both ends of the range that it covered)
 *     3     the whole structure; every search against the linear one      after a change   O(n log n)
 *           (of kva_vm_purge: also pages without an owner against the system's list of mappings)
 *
 * The level is a compile-time constant, tested in plain `if`s, so the compiler sees every check at every
 * level. Bad arguments of public calls are detected at all levels, because the public contract promises it.
 */
#ifndef KVA_BASE_CHECK_H
#define KVA_BASE_CHECK_H

#include <kva/status.h>
#include <stdbool.h>

#ifndef KVA_CHECK_LEVEL
#define KVA_CHECK_LEVEL 1
#endif

_Static_assert(KVA_CHECK_LEVEL >= 0 && KVA_CHECK_LEVEL <= 3, "KVA_CHECK_LEVEL is 0, 1, 2 or 3");

struct kva_hooks {
    kva_hook *on_misuse;     /* NULL: nothing */
    kva_hook *on_corruption; /* NULL: a trap instruction */
    void *context;
};

/** The argument or field that has a bad value. A check writes it only when it fails. */
struct kva_bad {
    const char *field; /* as in struct kva_fault */
    size_t index;
};

/** Record the field that failed a check; a caller that walks an array sets the index afterwards. Returns
 *  `status`. */
static inline enum kva_status bad_field(struct kva_bad *bad, enum kva_status status, const char *field)
{
    *bad = (struct kva_bad){field, 0};
    return status;
}

/** Whether a status stands for a caller's bug. */
static inline bool is_misuse(enum kva_status status)
{
    return status >= KVA_ENULL && status < KVA_ECORRUPT;
}

/** Report a caller's bug that the public function `where` found; returns `status`. `bad` is NULL if no single
 *  value is bad. */
enum kva_status kva_report_misuse(const struct kva_hooks *hooks, enum kva_status status, const char *where,
                                  uint64_t address, const struct kva_bad *bad);

/** Report a broken invariant. Returns only if the hook does. */
void kva_report_corruption(const struct kva_hooks *hooks, const char *where, const char *what,
                           uint64_t address);

/** A contract between floors (level 1): `what` names it, `address` is the address concerned. */
static inline void check_contract(const struct kva_hooks *hooks, bool holds, const char *where,
                                  const char *what, uint64_t address)
{
    if (KVA_CHECK_LEVEL >= 1 && !holds)
        kva_report_corruption(hooks, where, what, address);
}

#endif
