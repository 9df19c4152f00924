/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Words for areas, shared by reports and faults. */
#ifndef KVA_VMAP_VM_WORDS_H
#define KVA_VMAP_VM_WORDS_H

#include "../base/text.h"
#include "vm_instance.h"

/** The digits that an address is written with in a column. */
enum { KVA_ADDRESS_DIGITS = 16 };

/** The longest name that a symbol gets; a longer one is cut. */
enum { KVA_SYMBOL_BYTES = 96 };

/** A code address by its name, if the instance's symbol function knows one, else as a number. */
static inline void name_code(char name[KVA_SYMBOL_BYTES], const struct kva_vm *vm, const void *address)
{
    if (vm->symbol && vm->symbol(vm->symbol_context, address, name, KVA_SYMBOL_BYTES) > 0)
        return;
    struct kva_text text = text_of(name, KVA_SYMBOL_BYTES);
    text_put_hex(&text, (uintptr_t)address, KVA_ADDRESS_DIGITS);
}

/** The same as a part of a line, which a control character in a name must not break. */
static inline void put_code(struct kva_text *text, const struct kva_vm *vm, const void *address)
{
    char name[KVA_SYMBOL_BYTES];

    name_code(name, vm, address);
    for (char *at = name; *at; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = '?';
    }
    text_put(text, name);
}

#endif
