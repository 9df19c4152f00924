/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Address ranges without memory: allocations in the 4 GiB of addresses that a device sees. */
#include <inttypes.h>
#include <kva/kva.h>
#include <stdio.h>

static void print(void *context, const char *line, size_t length)
{
    (void)context;
    (void)length;
    puts(line);
}

int main(void)
{
    struct kva_config config = {.last = 0xffffffff, .quantum = 4096}; /* 4 GiB in pages */
    struct kva_space *space;
    uint64_t ring, frame;

    if (kva_space_create(&config, &space) != KVA_OK)
        return 1;
    struct kva_request request = kva_request_of(10000);    /* rounded up to 3 pages */
    kva_reserve(space, 0xfee00000, 0x100000, NULL, NULL);  /* the interrupt window: keep out */
    kva_alloc(space, &request, &ring);                     /* the lowest address that fits */
    request.align = 2 << 20, request.policy = KVA_HIGHEST; /* 2 MiB aligned, from the top */
    enum kva_status status = kva_alloc(space, &request, &frame);
    printf("%s ring 0x%" PRIx64 " frame 0x%" PRIx64 "\n", kva_status_name(status), ring, frame);
    printf("%s\n", kva_status_text(kva_free(space, ring + 4096))); /* a bug in the caller: refused */
    kva_space_dump(space, print, NULL);
    kva_space_abandon(space); /* with all that it still holds */
    return kva_space_destroy(space) == KVA_OK ? 0 : 1;
}
