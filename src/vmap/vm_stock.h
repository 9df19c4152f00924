/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The places of a pool's frames, and which of them are free: the page-frame allocator of kva/frames.h knows.
 * Its bookkeeping is made as frames are used: a frame set for the first 2^20 places, then one for as many
 * places as there were before, whenever all are taken.
 *
 *      set       0              1              2
 *      places   | 0 .. 2^20    | .. 2^21      | .. 2^22                     | ...
 */
#ifndef KVA_VMAP_VM_STOCK_H
#define KVA_VMAP_VM_STOCK_H

#include "vm_instance.h"

#include <kva/frames.h>

/** The places of the first set, as a power of two: 2^20 frames take 280 KB of bookkeeping. And how many sets
 *  2^32 places make. */
enum { KVA_STOCK_SHIFT = 20, KVA_STOCK_SETS = 32 - KVA_STOCK_SHIFT + 1 };

struct kva_stock {
    struct kva_frames *sets[KVA_STOCK_SETS]; /* NULL: there is none yet, nor any after it */
    uint64_t taken[KVA_STOCK_SETS];          /* places of each set that are not free */
    uint64_t count;                          /* places in all */
    kva_frames_move *move;                   /* NULL: frames are not movable */
    void *move_context;
};

/** The places of a set: [start, end), empty for a set that there cannot be. */
static inline uint64_t stock_start(const struct kva_stock *stock, unsigned set)
{
    return set == 0 ? 0 : min_u64(UINT64_C(1) << (KVA_STOCK_SHIFT + set - 1), stock->count);
}

static inline uint64_t stock_end(const struct kva_stock *stock, unsigned set)
{
    return min_u64(UINT64_C(1) << (KVA_STOCK_SHIFT + set), stock->count);
}

/** Of all places from there on, none was ever taken. */
static inline uint64_t stock_used_end(const struct kva_stock *stock)
{
    unsigned sets = 0;

    while (sets < KVA_STOCK_SETS && stock->sets[sets])
        sets++;
    return stock_start(stock, sets);
}

/** The order of a block: a huge page, where there are any. */
unsigned kva_stock_block_order(const struct kva_vm *vm);

/** Take `count` single places, all or none: consecutive ones, or at least in whole blocks, if they are a block
 *  or more and that can be. KVA_OK, KVA_ENOSPC or KVA_ENOMEM. */
enum kva_status kva_stock_take(struct kva_vm *vm, struct kva_stock *stock, size_t count, uint64_t *places);

/** Take consecutive places, the first a multiple of a power of two, which move together: KVA_OK, KVA_ENOSPC or
 *  KVA_ENOMEM. */
enum kva_status kva_stock_take_run(struct kva_vm *vm, struct kva_stock *stock, size_t count, uint64_t align,
                                   uint64_t *places);

/** Give back consecutive places, however they were taken. */
void kva_stock_give(struct kva_stock *stock, uint64_t first, uint64_t count);

/** Give back the bookkeeping's memory. */
void kva_stock_end(struct kva_stock *stock);

/** What the places are, those of which there is no bookkeeping yet included: as kva_frames_stats_read. */
void kva_stock_stats(const struct kva_vm *vm, const struct kva_stock *stock, struct kva_frames_stats *stats);

/** What is wrong with the frame sets; NULL if nothing is. */
const char *kva_stock_check(const struct kva_stock *stock);

#endif
