/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The memory of both tables, and walks over the noted numbers: see vm_table.h. */
#include "vm_table.h"

_Static_assert(KVA_VM_PIECE == SPARSE_PIECE, "a piece has the size that kva/pages.h promises");

/** The bytes of the table of areas, and of the numbers. */
static uint64_t table_bytes(const struct kva_vm *vm, const struct kva_reservation *reservation)
{
    return (reservation->bytes >> vm->page_shift) * sizeof(struct kva_descriptor *);
}

static uint64_t numbers_bytes(const struct kva_vm *vm, const struct kva_reservation *reservation)
{
    return (reservation->frames >> vm->page_shift) * sizeof(uint32_t);
}

void kva_ask_for_tables(const struct kva_vm *vm, struct kva_reservation *reservation)
{
    uint64_t table = table_bytes(vm, reservation);
    uint64_t numbers = numbers_bytes(vm, reservation);

    reservation->pieces = sparse_parts(table) + sparse_parts(numbers);
    reservation->given = sparse_parts(sparse_directory_bytes(table) + sparse_directory_bytes(numbers));
}

/** The reservation may be smaller than requested. The directory of the numbers follows that of the table. */
void kva_init_tables(struct kva_vm *vm, const struct kva_reservation *reservation)
{
    char *given = (char *)reservation->tables + KVA_VM_PIECE;

    sparse_init(&vm->table, reservation->tables, given);
    sparse_init(&vm->numbers, reservation->tables,
                given + sparse_directory_bytes(table_bytes(vm, reservation)));
}

/** Open pieces for `count` entries of a table from entry `at` on; a piece holds `each`. */
static enum kva_status ready_table(struct kva_vm *vm, struct sparse *table, uint64_t at, uint64_t count,
                                   uint64_t each)
{
    return sparse_ensure(table, at / each, (at + (count - 1)) / each + 1, vm->pages.open_piece,
                         vm->pages.context, vm->reservation);
}

enum kva_status kva_ready_tables(struct kva_vm *vm, uint64_t start, uint64_t areas, uint64_t frames)
{
    enum kva_status status =
        ready_table(vm, &vm->table, entry_number(vm, (uintptr_t)start), areas, PIECE_SLOTS);

    if (status != KVA_OK || frames == 0)
        return status;
    return ready_table(vm, &vm->numbers, frame_page(vm, start), frames, PIECE_NUMBERS);
}

/** The table's first piece always stays: the next areas will use it. */
bool kva_trim_tables(struct kva_vm *vm)
{
    const struct kva_pages *pages = &vm->pages;

    sparse_hide(&vm->table, 1);
    /* A read-modify-write, so that it is ordered against the reader's increment: a reader that counts itself
       later sees the hidden pieces as hidden, and one that counted itself earlier is seen here. */
    bool is_read = atomic_fetch_add_explicit(&vm->lookers, 0, memory_order_acq_rel) != 0;
    sparse_give_ended(&vm->table, is_read, pages->close_piece, pages->context, vm->reservation);
    sparse_trim(&vm->numbers, pages->close_piece, pages->context, vm->reservation);
    return is_read;
}

/* -------------------------------------------------------------------------------------------- the numbers */

void kva_note_numbers(struct kva_vm *vm, uint64_t start, const uint64_t *numbers, size_t count)
{
    for (struct noted noted = noted_from(start, count); next_noted(vm, &noted);) {
        const uint32_t some = (uint32_t)noted.count;
        for (size_t i = 0; numbers && i < noted.count; i++)
            noted.numbers[i] = (uint32_t)*numbers++;
        sparse_count(&vm->numbers, frame_page(vm, noted.start) / PIECE_NUMBERS, numbers ? some : 0,
                     numbers ? 0 : some);
    }
}

void kva_copy_numbers(const struct kva_vm *vm, const struct kva_descriptor *map, uint64_t *copy)
{
    for (struct noted noted = noted_from(start_of(map), map->pages); next_noted(vm, &noted);) {
        for (size_t i = 0; i < noted.count; i++)
            *copy++ = noted.numbers[i];
    }
}

bool kva_has_numbers(const struct kva_vm *vm, const struct kva_descriptor *map, const uint64_t *numbers)
{
    uint64_t difference = 0; /* no early exit, so that the loop can be vectorized */

    for (struct noted noted = noted_from(start_of(map), map->pages); next_noted(vm, &noted);) {
        for (size_t i = 0; i < noted.count; i++)
            difference |= noted.numbers[i] ^ numbers[i];
        numbers += noted.count;
    }
    return difference == 0;
}

/* ------------------------------------------------------------------------------------------------- checks */

/** Whether the directory's count of a part's entries is right. */
static bool is_part_counted(const struct kva_vm *vm, uint64_t part)
{
    const struct kva_descriptor *_Atomic *slot = (void *)vm->table.pieces;
    size_t at = sparse_place(&vm->table, (size_t)part * PIECE_SLOTS, PIECE_SLOTS);
    uint32_t entries = 0;

    for (size_t i = 0; i < PIECE_SLOTS; i++)
        entries += atomic_load_explicit(&slot[at + i], memory_order_relaxed) != NULL;
    return entries == vm->table.directory[part].used;
}

/** V11, and the sum of the counts: one entry per area. */
const char *kva_check_tables(const struct kva_vm *vm)
{
    uint64_t entries = 0;

    for (uint64_t part = vm->table.from; part < vm->table.end; part++) {
        if (!is_part_counted(vm, part))
            return "V11: the directory's count of a part of the table is wrong";
        entries += vm->table.directory[part].used;
    }
    return entries == vm->all.areas ? NULL : "V11: the table's entries are not as many as the areas";
}
