/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Foreign areas: their owner changes how their pages are mapped. The descriptor has a flag for it:
 *
 *      live --- kva_vm_mark_foreign ---> live, foreign ---> parked ---> purged by `dismiss`, not by `close`
 *                                              (never cached)
 */
#include "vm_area.h"

/** The thread claims the area, so it owns it while it sets the flag; the main lock keeps a fork out. The
 *  state is that of a resize, in which queries see a live area. */
static enum kva_status mark(struct kva_vm *vm, void *memory)
{
    struct kva_descriptor *area = claim_area_as(vm, (uintptr_t)memory, KVA_VM_RESIZING);

    if (!area)
        return kva_why_not_live(vm, (uintptr_t)memory, KVA_VM_VMALLOC);
    sync_point(vm->locks.threads);
    area->flags |= KVA_VM_FOREIGN;
    set_state(area, KVA_VM_LIVE);
    return KVA_OK;
}

enum kva_status kva_vm_mark_foreign(struct kva_vm *vm, void *memory)
{
    if (!vm)
        return KVA_ENULL;
    if (!memory)
        return refuse_null(vm, __func__, 0, "memory");
    main_take(&vm->locks);
    enum kva_status status = finish(vm, mark(vm, memory), __func__, (uintptr_t)memory, NULL);
    main_drop(&vm->locks);
    return status;
}
