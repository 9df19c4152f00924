/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The names of code addresses in reports and in sentences about faults. */
#ifndef KVA_VMAP_VM_WORDS_H
#define KVA_VMAP_VM_WORDS_H

#include "../base/text.h"
#include "vm_instance.h"

/** The digits of an address in a column. */
enum { KVA_ADDRESS_DIGITS = 16 };

/** The longest name of a symbol, terminator included; a longer one is cut. */
enum { KVA_SYMBOL_BYTES = 96 };

/** Write the name of a code address if the instance's symbol function knows one, else the address as a
 *  number. */
static inline void name_code(char name[KVA_SYMBOL_BYTES], const struct kva_vm *vm, const void *address)
{
    if (vm->symbol && vm->symbol(vm->symbol_context, address, name, KVA_SYMBOL_BYTES) > 0)
        return;
    struct kva_text text = text_of(name, KVA_SYMBOL_BYTES);
    text_put_hex(&text, (uintptr_t)address, KVA_ADDRESS_DIGITS);
}

/** Append name_code() to a line. Control characters are replaced, so that a name cannot break the line. */
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
