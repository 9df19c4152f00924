/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** A program that names one engine, ENGINE. one_engine.sh checks that it links no other. */
#include <kva/engine.h>
#include <kva/kva.h>

static unsigned char block[64 << 10];

int main(void)
{
    struct kva_arena arena;
    struct kva_space space;
    struct kva_config config = {.last = 0xffff, .quantum = 0x1000, .engine = &ENGINE};
    struct kva_request request = kva_request_of(0x2000);
    uint64_t start;

    config.memory = kva_arena_init(&arena, block, sizeof block);
    bool good = kva_space_init(&space, &config) == KVA_OK && kva_alloc(&space, &request, &start) == KVA_OK &&
                start == 0 && kva_free(&space, start) == KVA_OK && kva_space_fini(&space) == KVA_OK;
    return good ? 0 : 1;
}
