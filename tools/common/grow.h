/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Arrays: of a number of elements that an option gives, and those that grow by one element at a time. */
#ifndef KVA_TOOLS_GROW_H
#define KVA_TOOLS_GROW_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/** An array of `count` elements, all zero; NULL when there is no memory, or no size_t for that many. */
static inline void *zeroed_array(uint64_t count, size_t bytes)
{
    return count <= SIZE_MAX ? calloc((size_t)count, bytes) : NULL;
}

/** Make sure that an array of `count` elements has room for one more; *room doubles where it has not. Returns
 *  the array, where it is now; NULL when there is no memory: then it stays as it is. */
static inline void *with_room(void *array, size_t count, size_t *room, size_t bytes)
{
    size_t wanted = *room == 0 ? 64 : *room * 2;
    if (count < *room)
        return array;
    void *grown = realloc(array, wanted * bytes);
    if (grown != NULL)
        *room = wanted;
    return grown;
}

#endif
