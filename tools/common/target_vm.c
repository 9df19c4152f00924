/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Kinds that are instances of kva/vm.h. They call what a program would call: kva_vmalloc without alignment
 * and flags, kva_vm_alloc otherwise.
 */
#include "target.h"

#include "grace.h"
#include "grow.h"

#include <kva/engine.h>
#include <kva/pcpu.h>
#include <kva/vmap.h>
#include <stdlib.h>

static void *pointer_of(uint64_t addr)
{
    return (void *)(uintptr_t)addr;
}

/* Store a pointer's address; if the pointer is NULL, return why. */
static enum kva_status address_of(struct kva_vm *vm, void *memory, uint64_t *addr)
{
    if (memory == NULL)
        return kva_vm_status(vm);
    *addr = (uintptr_t)memory;
    return KVA_OK;
}

/* The part of the reservation for private pages: by default, all except the upper quarter. */
static void report_range(struct kva_vm *vm, const struct kva_vm_config *config, struct target_range *range)
{
    struct kva_vm_stats stats;
    if (kva_vm_stats_read(vm, &stats) != KVA_OK)
        return;
    uint64_t bytes = stats.reservation_last - stats.reservation_first + 1;
    uint64_t frames = config->frames_part == 0 ? bytes / 4 : config->frames_part;
    range->first = stats.reservation_first;
    range->last = stats.reservation_last - frames;
}

static enum kva_status vm_create(const struct target_kind *kind, struct target_range *range, void **state)
{
    struct kva_vm_config config = kind->vm;
    struct kva_vm *vm;
    config.grace = grace_of_host();
    enum kva_status status = kva_vm_create(&config, &vm);
    if (status != KVA_OK)
        return status;
    report_range(vm, &config, range);
    *state = vm;
    return KVA_OK;
}

static enum kva_status vm_destroy(void *state)
{
    enum kva_status status = kva_vm_destroy(state, NULL, NULL);
    if (status == KVA_EBUSY)
        (void)kva_vm_abandon(state, NULL, NULL);
    return status;
}

static unsigned flags_of(unsigned flags)
{
    return ((flags & TARGET_HUGE) != 0 ? (unsigned)KVA_VM_HUGE : 0) |
           ((flags & TARGET_NO_BLOCK) != 0 ? (unsigned)KVA_VM_NO_BLOCK : 0);
}

static enum kva_status vm_alloc(void *state, uint64_t size, uint64_t align, unsigned flags, uint64_t *addr)
{
    if (align <= TARGET_PAGE && flags == 0)
        return address_of(state, kva_vmalloc(state, (size_t)size), addr);
    struct kva_vm_request request = kva_vm_request_of((size_t)size);
    void *memory;
    request.align = (size_t)align;
    request.flags = flags_of(flags);
    enum kva_status status = kva_vm_alloc(state, &request, &memory);
    if (status == KVA_OK)
        *addr = (uintptr_t)memory;
    return status;
}

static enum kva_status vm_free(void *state, uint64_t addr, uint64_t size)
{
    (void)size;
    return kva_vfree(state, pointer_of(addr));
}

static enum kva_status vm_resize(void *state, uint64_t addr, uint64_t from, uint64_t to, uint64_t *moved)
{
    void *memory;
    (void)from;
    enum kva_status status = kva_vm_realloc(state, pointer_of(addr), (size_t)to, 0, &memory);
    if (status == KVA_OK)
        *moved = (uintptr_t)memory;
    return status;
}

static enum kva_status vm_free_later(void *state, uint64_t addr, struct kva_later *record)
{
    return kva_vfree_later(state, pointer_of(addr), record);
}

/* ------------------------------------------------------------------------------------------------- frames */

struct vm_frames {
    struct kva_vm_frames *set;
    uint64_t *numbers;
    uint64_t count;
};

static enum kva_status vm_frames_give(void *state, void *frames)
{
    struct vm_frames *own = frames;
    (void)state;
    enum kva_status status = kva_vm_frames_destroy(own->set);
    free(own->numbers);
    free(own);
    return status;
}

/* Create a frame set and allocate all its frames. */
static enum kva_status fill_set(struct kva_vm *vm, struct vm_frames *own)
{
    enum kva_status status =
        kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = own->count}, &own->set);
    if (status != KVA_OK)
        return status;
    status = kva_vm_frames_alloc(own->set, (size_t)own->count, own->numbers);
    if (status != KVA_OK)
        kva_vm_frames_destroy(own->set);
    return status;
}

static enum kva_status vm_frames_take(void *state, uint64_t count, void **frames)
{
    struct vm_frames *own = malloc(sizeof(*own));
    if (own == NULL)
        return KVA_ENOMEM;
    own->count = count;
    own->numbers = zeroed_array(count, sizeof(*own->numbers));
    enum kva_status status = own->numbers == NULL ? KVA_ENOMEM : fill_set(state, own);
    if (status == KVA_OK) {
        *frames = own;
    } else {
        free(own->numbers);
        free(own);
    }
    return status;
}

static enum kva_status vm_map(void *state, void *frames, uint64_t first, uint64_t count, uint64_t *addr)
{
    struct vm_frames *own = frames;
    return address_of(state, kva_map_ram(state, own->set, own->numbers + first, (size_t)count), addr);
}

static enum kva_status vm_unmap(void *state, uint64_t addr, uint64_t count)
{
    (void)count;
    return kva_unmap_ram(state, pointer_of(addr));
}

/* ------------------------------------------------------------------------------------------------ per CPU */

static enum kva_status vm_pcpu_create(void *state, void **pcpu)
{
    static const struct kva_pcpu_config config = {
        .cpus = TARGET_PCPU_CPUS,
        .groups = TARGET_PCPU_GROUPS,
        .unit = TARGET_PCPU_UNIT,
    };
    struct kva_pcpu *made;
    enum kva_status status = kva_pcpu_create(state, &config, &made);
    if (status == KVA_OK)
        *pcpu = made;
    return status;
}

static enum kva_status vm_pcpu_destroy(void *pcpu)
{
    return kva_pcpu_destroy(pcpu);
}

static enum kva_status vm_pcpu_alloc(void *pcpu, uint64_t size, uint64_t align, uint64_t *addr)
{
    void *object;
    enum kva_status status = kva_pcpu_alloc(pcpu, (size_t)size, (size_t)align, &object);
    if (status == KVA_OK)
        *addr = (uintptr_t)object;
    return status;
}

static enum kva_status vm_pcpu_free(void *pcpu, uint64_t addr)
{
    return kva_pcpu_free(pcpu, pointer_of(addr));
}

/* ----------------------------------------------------------------------------------------------- the kind */

static enum kva_status vm_flush(void *state)
{
    return kva_vm_purge(state);
}

static bool vm_calls(void *state, struct target_calls *calls)
{
    struct kva_vm_stats stats;
    if (kva_vm_stats_read(state, &stats) != KVA_OK)
        return false;
    const struct kva_vm_calls *made = &stats.pages.calls;
    calls->all =
        made->reserve + made->open + made->close + made->map + made->unmap + made->frames + made->tables;
    calls->flushing = made->close + made->unmap;
    return true;
}

void target_kind_of_vm(struct target_kind *kind, const char *engine)
{
    *kind = (struct target_kind){
        .name = engine,
        .about = target_about_engine(engine),
        .memory = TARGET_PAGES,
        .locks = true,
        .exact = true,
        .recycles = true,
        .abilities =
            TARGET_CAN_PCPU | TARGET_CAN_LATER | TARGET_CAN_MAP | TARGET_CAN_NO_BLOCK | TARGET_CAN_RESIZE,
        .vm = {.engine = kva_engine_by_name(engine)},
        .create = vm_create,
        .destroy = vm_destroy,
        .alloc = vm_alloc,
        .free = vm_free,
        .resize = vm_resize,
        .free_later = vm_free_later,
        .frames_take = vm_frames_take,
        .frames_give = vm_frames_give,
        .map = vm_map,
        .unmap = vm_unmap,
        .pcpu_create = vm_pcpu_create,
        .pcpu_destroy = vm_pcpu_destroy,
        .pcpu_alloc = vm_pcpu_alloc,
        .pcpu_free = vm_pcpu_free,
        .flush = vm_flush,
        .calls = vm_calls,
    };
}

void target_kind_of_mutex(struct target_kind *kind)
{
    target_kind_of_vm(kind, "bt");
    kind->name = "bt-mutex";
    kind->about = "bt in an instance for one thread, under one mutex";
    kind->locks = false;
    kind->vm.one_thread = true;
}
