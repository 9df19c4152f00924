/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A memory source over a buffer of fixed size.
 *
 *      buffer                       next                  end
 *      | pad | block | block | .... |        left          |
 *
 * Every block occupies a multiple of the strictest alignment, so padding precedes only the first one. A block
 * that is given back becomes usable again only if it was the last one taken. That suffices: a space reuses
 * its own nodes, and gives its blocks back in reverse order when it ends.
 */
#include <kva/memory.h>
#include <stdint.h>

enum { ALIGN = _Alignof(max_align_t) };

/** Bytes from `value` up to the next multiple of the alignment. */
static size_t padding(uintptr_t value)
{
    return (size_t)(-value & (ALIGN - 1));
}

static void *arena_take(void *context, size_t bytes)
{
    struct kva_arena *arena = context;
    size_t before = padding((uintptr_t)arena->next);
    size_t after = padding(bytes);

    if (before > arena->left || bytes > arena->left - before || after > arena->left - before - bytes)
        return NULL;
    void *block = arena->next + before;
    arena->next += before + bytes + after;
    arena->left -= before + bytes + after;
    return block;
}

static void arena_give(void *context, void *block, size_t bytes)
{
    struct kva_arena *arena = context;
    size_t whole = bytes + padding(bytes);

    if ((unsigned char *)block + whole == arena->next) {
        arena->next -= whole;
        arena->left += whole;
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
