/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Arrays: of a given number of elements, and arrays that grow by one element at a time. */
#ifndef KVA_TOOLS_GROW_H
#define KVA_TOOLS_GROW_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/** An array of `count` elements, all zero; NULL if there is no memory, or if `count` exceeds size_t. */
static inline void *zeroed_array(uint64_t count, size_t bytes)
{
    return count <= SIZE_MAX ? calloc((size_t)count, bytes) : NULL;
}

/** Ensure that an array of `count` elements has room for one more, doubling *room if necessary. Returns the
 *  array, which may have moved; NULL if there is no memory: then the array is unchanged. */
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
