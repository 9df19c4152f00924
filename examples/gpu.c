/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Addresses of a graphics processor: 48 bits, pages of 4 KiB, 64 KiB and 2 MiB. A texture is bound to a range
 * of addresses, aligned to the largest page that it fills. The hardware fixes the place of a table of
 * descriptors, and shaders reach only a window of 1 GiB. When the window is full, textures that were not used
 * recently are evicted. These are not simply the oldest ones: a hole for a large texture needs neighbours.
 *
 *      | 7 | descriptors | 2 |  5  | free | 9 |  4  | 1 | 8 |     1: least recently used
 *                        |<-- 2, 5: room -->|                     kva/evict.h chooses 2 and 5; 1 and 4 stay
 */
#include <inttypes.h>
#include <kva/evict.h>
#include <stdio.h>

enum { TEXTURES = 400 };

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)

static struct texture {
    uint64_t start, size;
    int bound;
    struct kva_candidate candidate;
} textures[TEXTURES]; /* least recently used first */

static uint64_t page_of(uint64_t size)
{
    return size >= 2 * MIB ? 2 * MIB : size >= 64 * KIB ? 64 * KIB : 4 * KIB;
}

static struct texture *texture_of(struct kva_candidate *candidate)
{
    return (struct texture *)(void *)((char *)candidate - offsetof(struct texture, candidate));
}

/* Nothing fits: unbind the textures that must go, and take their place. Returns how many were unbound, or -1
 * if nothing makes room. */
static int replace(struct kva_space *space, const struct kva_request *request, uint64_t *start)
{
    struct kva_eviction eviction;
    int unbound = 0;

    if (kva_evict_begin(space, request, &eviction) != KVA_OK)
        return -1;
    for (int i = 0; i < TEXTURES && !kva_evict_first(&eviction); i++)
        if (textures[i].bound)
            kva_evict_add(&eviction, &textures[i].candidate, textures[i].start);
    for (struct kva_candidate *c = kva_evict_first(&eviction); c; c = kva_evict_next(&eviction, c), unbound++)
        texture_of(c)->bound = 0; /* a driver also clears its page tables; the space has not changed yet */
    return kva_evict_finish(&eviction, start) == KVA_OK ? unbound : -1;
}

static int bind(struct kva_space *space, struct texture *texture)
{
    struct kva_request request = kva_request_of(texture->size);
    int unbound = 0;

    request.align = page_of(texture->size);
    request.max = 1024 * MIB - 1;
    request.owner = texture;
    if (kva_alloc(space, &request, &texture->start) != KVA_OK)
        unbound = replace(space, &request, &texture->start);
    texture->bound = unbound >= 0;
    return unbound;
}

int main(void)
{
    static const uint64_t sizes[] = {20 * KIB, 9 * MIB, 256 * KIB, 5 * MIB, 40 * MIB, 64 * KIB, 14 * MIB};
    struct kva_config config = {
        .last = (UINT64_C(1) << 48) - 1, .quantum = 4 * KIB, .align_class = {64 * KIB, 2 * MIB}};
    struct texture screen = {.size = 200 * MIB};
    int refused = 0, misplaced = 0, evictions = 0, unbound = 0;
    struct kva_segment found;
    struct kva_space *space;

    if (kva_space_create(&config, &space) != KVA_OK)
        return 1;
    /* the descriptors: [1 MiB, 2 MiB) */
    enum kva_status status = kva_reserve(space, MIB, MIB, &config, NULL);
    printf("descriptors: %s\n", kva_status_name(status));
    for (int i = 0; i < TEXTURES; i++) {
        textures[i].size = sizes[i % 7] + (uint64_t)i % 5 * 4 * KIB;
        int gone = bind(space, &textures[i]);
        evictions += gone > 0;
        unbound += gone > 0 ? gone : 0;
        refused += gone < 0;
        misplaced += textures[i].start % page_of(textures[i].size) != 0;
    }
    printf("%d textures, %d refused, %d misplaced: %d evictions unbound %d\n", TEXTURES, refused, misplaced,
           evictions, unbound);
    unbound = bind(space, &screen);
    printf("a screen of 200 MiB at 0x%" PRIx64 " unbound %d\n", screen.start, unbound);
    kva_find(space, MIB, &found);
    printf("descriptors are where they were: %s\n", found.owner == &config ? "yes" : "no");
    kva_space_abandon(space); /* with all that is still bound */
    return kva_space_destroy(space) == KVA_OK ? 0 : 1;
}
