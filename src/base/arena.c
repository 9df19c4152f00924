/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A fixed block as a memory source: hand out from the bottom, never look back.
 *
 *      block                 next                         end
 *      | taken | taken | pad | left                         |
 *
 * What is given back is reused only if it was the last block taken. That is enough here: a space keeps its
 * nodes and reuses them itself; it gives memory back only when it ends, and then in any order.
 */
#include <kva/kva.h>

static void *arena_take(void *context, size_t bytes)
{
    struct kva_arena *arena = context;
    size_t align = _Alignof(max_align_t);
    size_t pad = (align - (uintptr_t)arena->next % align) % align;

    if (pad > arena->left || bytes > arena->left - pad)
        return NULL;
    void *block = arena->next + pad;
    arena->next += pad + bytes;
    arena->left -= pad + bytes;
    return block;
}

static void arena_give(void *context, void *block, size_t bytes)
{
    struct kva_arena *arena = context;

    if ((unsigned char *)block + bytes == arena->next) {
        arena->next -= bytes;
        arena->left += bytes;
    }
}

struct kva_memory kva_arena_init(struct kva_arena *arena, void *block, size_t bytes)
{
    struct kva_memory none = {NULL, NULL, NULL};
    struct kva_memory source = {arena_take, arena_give, arena};

    if (!arena)
        return none;
    arena->next = block;
    arena->left = block ? bytes : 0;
    return source;
}
