/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "pidmap.h"

#include <stdbool.h>
#include <stdlib.h>

/** The slot of `key`, or the empty one where it belongs. There is an empty slot, because the map is at
 *  most half full. The multiplier is the odd constant nearest 2^64 / golden ratio: the high bits of its
 *  products spread consecutive numbers, such as those of processes. */
static struct pidmap_slot *probe(const struct pidmap *map, uint64_t key)
{
    size_t at = (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (map->room - 1);
    while (map->slots[at].key != 0 && map->slots[at].key != key)
        at = (at + 1) & (map->room - 1);
    return &map->slots[at];
}

/** Ensure room for one more key. */
static bool grow(struct pidmap *map)
{
    struct pidmap larger = {.room = map->room == 0 ? 16 : map->room * 2, .used = map->used};
    if (map->used * 2 < map->room)
        return true;
    larger.slots = calloc(larger.room, sizeof *larger.slots);
    if (larger.slots == NULL)
        return false;
    for (size_t i = 0; i < map->room; i++)
        if (map->slots[i].key != 0)
            *probe(&larger, map->slots[i].key) = map->slots[i];
    free(map->slots);
    *map = larger;
    return true;
}

void **pidmap_at(struct pidmap *map, uint32_t pid)
{
    if (!grow(map))
        return NULL;
    struct pidmap_slot *slot = probe(map, (uint64_t)pid + 1);
    if (slot->key == 0) {
        slot->key = (uint64_t)pid + 1;
        map->used++;
    }
    return &slot->value;
}

void *pidmap_get(const struct pidmap *map, uint32_t pid)
{
    return map->room == 0 ? NULL : probe(map, (uint64_t)pid + 1)->value;
}

void pidmap_fini(struct pidmap *map)
{
    free(map->slots);
    *map = (struct pidmap){0};
}
