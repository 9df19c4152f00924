/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The example of the README: allocate, grow, find, pass a wrong address, free. */
#include <kva/vm.h>
#include <stdio.h>

int main(void)
{
    struct kva_vm *vm;
    struct kva_vm_area area;

    if (kva_vm_create(NULL, &vm) != KVA_OK) /* a terabyte of addresses, and no memory yet */
        return 1;
    void *text = kva_vzalloc(vm, 10000); /* 3 pages of zeroes, and a guard page after them */
    enum kva_status status = kva_vm_realloc(vm, text, 50000, 0, &text); /* grown in place, to 13 */
    if (status != KVA_OK || kva_vm_find(vm, (char *)text + 45000, &area) != KVA_OK)
        return 1;
    printf("%zu bytes asked for, %zu pages, guard page %s\n", area.size, area.pages,
           area.guard > 0 ? "yes" : "no");
    printf("%s\n", kva_status_text(kva_vfree(vm, (char *)text + 4096))); /* a bug in the caller: refused */
    printf("%s\n", kva_status_name(kva_vfree(vm, text)));                /* unmapped later, with others */
    return kva_vm_destroy(vm, NULL, NULL) == KVA_OK ? 0 : 1;             /* no area is left */
}
