/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** A hosted program that names no engine. one_engine.sh checks that it links only the default one. */
#include <kva/vm.h>

int main(void)
{
    struct kva_config config = {.last = 0xffff};
    struct kva_request request = kva_request_of(0x2000);
    struct kva_space *space;
    struct kva_vm *vm;
    uint64_t start;

    bool good = kva_space_create(&config, &space) == KVA_OK && kva_alloc(space, &request, &start) == KVA_OK &&
                start == 0 && kva_free(space, start) == KVA_OK && kva_space_destroy(space) == KVA_OK;
    good = good && kva_vm_create(NULL, &vm) == KVA_OK && kva_vfree(vm, kva_vmalloc(vm, 1)) == KVA_OK &&
           kva_vm_destroy(vm, NULL, NULL) == KVA_OK;
    return good ? 0 : 1;
}
