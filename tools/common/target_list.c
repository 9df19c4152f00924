/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The kind "list" on pages: bench/list/list_pages.c.
 */
#include "target.h"

#include "../../bench/list/list_pages.h"

static enum kva_status list_create(const struct target_kind *kind, struct target_range *range, void **state)
{
    struct list_pages *list;
    (void)kind;
    enum kva_status status = list_pages_create(&list);
    if (status != KVA_OK)
        return status;
    list_pages_range(list, &range->first, &range->last);
    *state = list;
    return KVA_OK;
}

static enum kva_status list_destroy(void *state)
{
    return list_pages_destroy(state);
}

static enum kva_status list_alloc(void *state, uint64_t size, uint64_t align, unsigned flags, uint64_t *addr)
{
    (void)flags;
    return list_pages_alloc(state, size, align, addr);
}

static enum kva_status list_free(void *state, uint64_t addr, uint64_t size)
{
    return list_pages_free(state, addr, size);
}

static enum kva_status list_congruent(void *state, const struct kva_part *parts, size_t count, uint64_t align,
                                      uint64_t *base)
{
    return list_pages_congruent(state, parts, count, align, base);
}

static enum kva_status list_frames_take(void *state, uint64_t count, void **frames)
{
    return list_pages_create_frames(state, count, frames);
}

static enum kva_status list_frames_give(void *state, void *frames)
{
    list_pages_destroy_frames(state, frames);
    return KVA_OK;
}

static enum kva_status list_map(void *state, void *frames, uint64_t first, uint64_t count, uint64_t *addr)
{
    return list_pages_map(state, frames, first, count, addr);
}

static enum kva_status list_unmap(void *state, uint64_t addr, uint64_t count)
{
    return list_pages_unmap(state, addr, count);
}

static bool list_calls(void *state, struct target_calls *calls)
{
    struct kva_vm_calls made;
    list_pages_calls(state, &made);
    calls->all = made.reserve + made.open + made.close + made.map + made.unmap + made.frames;
    calls->flushing = made.close + made.unmap;
    return true;
}

void target_kind_of_list_pages(struct target_kind *kind)
{
    *kind = (struct target_kind){
        .name = "list",
        .about = "the list walk of Linux before 2019; guard pages, no caches",
        .memory = TARGET_PAGES,
        .exact = true,
        .abilities = TARGET_CAN_PCPU | TARGET_CAN_MAP,
        .cannot = "256, 512: cannot free after a grace period; 2048: cannot promise not to wait; 4096: "
                  "cannot resize",
        .create = list_create,
        .destroy = list_destroy,
        .alloc = list_alloc,
        .free = list_free,
        .congruent = list_congruent,
        .frames_take = list_frames_take,
        .frames_give = list_frames_give,
        .map = list_map,
        .unmap = list_unmap,
        .calls = list_calls,
    };
}
