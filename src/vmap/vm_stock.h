/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The stock of a frame set: its places, and which of them are free. The page-frame allocator of kva/frames.h
 * keeps that, in sets that are made as frames are used: one for the first 2^20 places, then, whenever all are
 * taken, one for as many places as there were before.
 *
 *      set       0              1              2
 *      places   | 0 .. 2^20    | .. 2^21      | .. 2^22                     | ...
 */
#ifndef KVA_VMAP_VM_STOCK_H
#define KVA_VMAP_VM_STOCK_H

#include "vm_instance.h"

#include <kva/frames.h>

/** log2 of the places of the first set (2^20 frames take 280 KB of bookkeeping), and the number of sets that
 *  cover 2^32 places. */
enum { KVA_STOCK_SHIFT = 20, KVA_STOCK_SETS = 32 - KVA_STOCK_SHIFT + 1 };

struct kva_stock {
    struct kva_frames *sets[KVA_STOCK_SETS]; /* NULL: neither it nor any after it was made yet */
    uint64_t taken[KVA_STOCK_SETS];          /* places of each set that are not free */
    uint64_t count;                          /* places in all */
    kva_frames_move *move;                   /* NULL: the frames are not movable */
    void *move_context;
};

/** The places of a set: [start, end). Empty if it would lie after the last place. */
static inline uint64_t stock_start(const struct kva_stock *stock, unsigned set)
{
    return set == 0 ? 0 : min_u64(UINT64_C(1) << (KVA_STOCK_SHIFT + set - 1), stock->count);
}

static inline uint64_t stock_end(const struct kva_stock *stock, unsigned set)
{
    return min_u64(UINT64_C(1) << (KVA_STOCK_SHIFT + set), stock->count);
}

/** The end of the sets that were made: no place from there on was ever taken. */
static inline uint64_t stock_used_end(const struct kva_stock *stock)
{
    unsigned sets = 0;

    while (sets < KVA_STOCK_SETS && stock->sets[sets])
        sets++;
    return stock_start(stock, sets);
}

/** The order of a block: that of a huge page, where there are any. */
unsigned kva_stock_block_order(const struct kva_vm *vm);

/** Take `count` single places, all or none: consecutive, or in whole blocks, where they are a block or more
 *  and that is possible. KVA_OK, KVA_ENOSPC or KVA_ENOMEM. */
enum kva_status kva_stock_take(struct kva_vm *vm, struct kva_stock *stock, size_t count, uint64_t *places);

/** Take consecutive places, the first at a multiple of the power of two `align`; movable ones move together:
 *  KVA_OK, KVA_ENOSPC or KVA_ENOMEM. */
enum kva_status kva_stock_take_run(struct kva_vm *vm, struct kva_stock *stock, size_t count, uint64_t align,
                                   uint64_t *places);

/** Free consecutive places, however they were taken. */
void kva_stock_give(struct kva_stock *stock, uint64_t first, uint64_t count);

/** Free the bookkeeping. */
void kva_stock_end(struct kva_stock *stock);

/** kva_frames_stats_read() of all places; those without bookkeeping are free. */
void kva_stock_stats(const struct kva_vm *vm, const struct kva_stock *stock, struct kva_frames_stats *stats);

/** V13: NULL, or how it is broken. */
const char *kva_stock_check(const struct kva_stock *stock);

#endif
