/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** A memory source, and the number of bytes taken from it through the ledger. */
#ifndef KVA_BASE_LEDGER_H
#define KVA_BASE_LEDGER_H

#include "check.h"

#include <kva/memory.h>

struct kva_slab;

struct kva_ledger {
    struct kva_memory memory;
    struct kva_hooks hooks;
    uint64_t bytes;               /* taken from `memory` and not given back */
    struct kva_slab *newest_slab; /* the last one taken by any node cache on this ledger (nodes.h) */
};

/** Take a block of `bytes` and count it; NULL if the source refuses. */
static inline void *ledger_take(struct kva_ledger *ledger, size_t bytes)
{
    void *block = ledger->memory.take(ledger->memory.context, bytes);

    if (block)
        ledger->bytes += bytes;
    return block;
}

static inline void ledger_give(struct kva_ledger *ledger, void *block, size_t bytes)
{
    ledger->bytes -= bytes;
    ledger->memory.give(ledger->memory.context, block, bytes);
}

#endif
