/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A plug-in that contains kva: a shared object with the static library in it, and one exported function. It
 * uses the Linux port: the system's memory, threads (with thread-local data), and pages.
 */
#include <kva/kva.h>
#include <kva/vm.h>

int plugin_run(void);

static int use_space(void)
{
    struct kva_config config = {.first = 0x1000, .last = 0xffffff};
    struct kva_space *space;
    if (kva_space_create(&config, &space) != KVA_OK)
        return 1;
    struct kva_request request = kva_request_of(64);
    uint64_t start;
    if (kva_alloc(space, &request, &start) != KVA_OK || kva_free(space, start) != KVA_OK)
        return 2;
    return kva_space_destroy(space) == KVA_OK ? 0 : 3;
}

static int use_memory(void)
{
    struct kva_vm *vm;
    if (kva_vm_create(NULL, &vm) != KVA_OK)
        return 4;
    char *area = kva_vmalloc(vm, 100000);
    if (area == NULL)
        return 5;
    area[0] = area[99999] = 1;
    if (kva_vfree(vm, area) != KVA_OK)
        return 6;
    return kva_vm_destroy(vm, NULL, NULL) == KVA_OK ? 0 : 7;
}

int plugin_run(void)
{
    int failed = use_space();
    return failed ? failed : use_memory();
}
