/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Two sparse tables (base/sparse.h): only some of their pieces have memory.
 *
 *      the table     for each page of the reservation, the descriptor of the area that STARTS there, or
 *                    NULL. A piece serves 32 MiB of pages of 4 KiB
 *      the numbers   for each page of the frames part, the number of the frame that it maps
 *
 * A call that takes addresses opens the pieces for them first (kva_ready_tables); kva_vm_purge closes the
 * empty ones. The table's entries are read without the main lock (vm_area.h has the proof), the numbers only
 * under it.
 */
#ifndef KVA_VMAP_VM_TABLE_H
#define KVA_VMAP_VM_TABLE_H

#include "vm_instance.h"

/** Entries in a piece of each table. */
enum {
    PIECE_SLOTS = SPARSE_PIECE / sizeof(struct kva_descriptor *),
    PIECE_NUMBERS = SPARSE_PIECE / sizeof(uint32_t)
};

/** Set what the tables of a reservation need: the number of pieces, and how many of them from the start. */
void kva_ask_for_tables(const struct kva_vm *vm, struct kva_reservation *reservation);

/** Start with empty tables over a new reservation. */
void kva_init_tables(struct kva_vm *vm, const struct kva_reservation *reservation);

/** Open the pieces for areas that start in the `areas` pages from `start` on, at least one, and for the
 *  numbers of `frames` pages. KVA_OK, or why the page source refused one; pieces opened before that stay. */
enum kva_status kva_ready_tables(struct kva_vm *vm, uint64_t start, uint64_t areas, uint64_t frames);

/** Close the empty pieces. With the locks of all CPUs. Returns whether kva_vm_fault_describe is running: it
 *  may have found the pieces of the table, so those stay. */
bool kva_trim_tables(struct kva_vm *vm);

/** V11: NULL, or how it is broken. */
const char *kva_check_tables(const struct kva_vm *vm);

/* ------------------------------------------------------------------------------------- the table of areas */

/** The number of the table's entry for an address. */
static inline size_t entry_number(const struct kva_vm *vm, uintptr_t address)
{
    return (address - vm->first) >> vm->page_shift;
}

/** The slot of an address. It may be written only after kva_ready_tables for the address. */
static inline _Atomic(struct kva_descriptor *) *table_slot(const struct kva_vm *vm, uintptr_t address)
{
    _Atomic(struct kva_descriptor *) *slots = (void *)vm->table.pieces;

    return &slots[sparse_place(&vm->table, entry_number(vm, address), PIECE_SLOTS)];
}

/** Acquire load; pairs with the release in slot_write(). */
static inline struct kva_descriptor *slot_read(const struct kva_vm *vm, uintptr_t address)
{
    return atomic_load_explicit(table_slot(vm, address), memory_order_acquire);
}

/** Enter a complete area at an address without one; or, with NULL, remove it. Release store; pairs with the
 *  acquire in slot_read(). */
static inline void slot_write(struct kva_vm *vm, uintptr_t address, struct kva_descriptor *area)
{
    sparse_count(&vm->table, entry_number(vm, address) / PIECE_SLOTS, area != NULL, area == NULL);
    atomic_store_explicit(table_slot(vm, address), area, memory_order_release);
}

/** The area that starts at an address; NULL if there is none. */
static inline struct kva_descriptor *area_starting_at(const struct kva_vm *vm, uintptr_t address)
{
    return is_in_reservation(vm, address) && (address & (page_of(vm) - 1)) == 0 ? slot_read(vm, address)
                                                                                : NULL;
}

/* -------------------------------------------------------------------------------------------- the numbers */

/** The number of the page of the frames part that starts at an address. */
static inline size_t frame_page(const struct kva_vm *vm, uint64_t start)
{
    return (size_t)((start - vm->frames_first) >> vm->page_shift);
}

/** The frames' numbers of mapped pages from `start` on: as many as are contiguous in the table, *count at
 *  most. */
static inline uint32_t *numbers_at(const struct kva_vm *vm, uint64_t start, size_t *count)
{
    uint32_t *numbers = (void *)vm->numbers.pieces;
    size_t page = frame_page(vm, start);

    *count = (size_t)min_u64(*count, PIECE_NUMBERS - page % PIECE_NUMBERS);
    return &numbers[sparse_place(&vm->numbers, page, PIECE_NUMBERS)];
}

/** A walk over the noted numbers of mapped pages, by contiguous parts:
 *
 *      for (struct noted noted = noted_from(start, pages); next_noted(vm, &noted);)
 *          for (size_t i = 0; i < noted.count; i++)
 *              use(noted.numbers[i]);
 */
struct noted {
    uint64_t start; /* the address of the first page of the part */
    size_t left;    /* pages from `start` on */
    size_t count;
    uint32_t *numbers;
};

static inline struct noted noted_from(uint64_t start, size_t pages)
{
    return (struct noted){.start = start, .left = pages};
}

static inline bool next_noted(const struct kva_vm *vm, struct noted *noted)
{
    noted->start += bytes_of_pages(vm, noted->count);
    noted->left -= noted->count;
    noted->count = noted->left;
    if (noted->left == 0)
        return false;
    noted->numbers = numbers_at(vm, noted->start, &noted->count);
    return true;
}

/** Copy the numbers of a map's frames. */
void kva_copy_numbers(const struct kva_vm *vm, const struct kva_descriptor *map, uint64_t *copy);

/** Whether a map maps exactly these `map->pages` frames, in this order. */
bool kva_has_numbers(const struct kva_vm *vm, const struct kva_descriptor *map, const uint64_t *numbers);

/** Note the numbers of the frames that the pages from `start` on map; or, with NULL, that they map none any
 *  more. */
void kva_note_numbers(struct kva_vm *vm, uint64_t start, const uint64_t *numbers, size_t count);

#endif
