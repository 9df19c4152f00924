/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Words for areas, shared by reports and faults. */
#ifndef KVA_VMAP_VM_WORDS_H
#define KVA_VMAP_VM_WORDS_H

#include "../base/text.h"
#include "vm.h"

/** The digits that an address is written with in a column. */
enum { KVA_ADDRESS_DIGITS = 16 };

/** The longest name that a symbol gets; a longer one is cut. */
enum { KVA_SYMBOL_BYTES = 96 };

/** A code address by its name, if the instance's symbol function knows one, else as a number. */
static inline void put_code(struct kva_text *text, const struct kva_vm *vm, const void *address)
{
    char name[KVA_SYMBOL_BYTES];

    if (vm->symbol && vm->symbol(vm->symbol_context, address, name, sizeof name) > 0)
        text_put(text, name);
    else
        text_put_hex(text, (uintptr_t)address, KVA_ADDRESS_DIGITS);
}

#endif
