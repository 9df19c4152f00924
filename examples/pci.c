/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The physical addresses of an emulated machine. The registers of a device lie in windows (BARs), each
 * aligned to its size, a power of two. Firmware places the windows: those with 32 address bits below 4 GiB,
 * large ones with 64 bits above. The guest may move them, and an access must find the device.
 */
#include <inttypes.h>
#include <kva/kva.h>
#include <kva/ranges.h>
#include <stdio.h>

#define MIB UINT64_C(0x100000)
#define GIB UINT64_C(0x40000000)

struct bar {
    const char *name;
    uint64_t size;
    bool is_64; /* and prefetchable */
    uint64_t start;
};

/** Place a window as firmware does. */
static enum kva_status place(struct kva_space *space, struct bar *bar)
{
    struct kva_request request = {.size = bar->size, .align = bar->size, .owner = bar};

    if (bar->is_64) { /* the lowest place above 4 GiB */
        request.min = 4 * GIB;
        request.max = UINT64_MAX;
    } else { /* the highest one below */
        request.policy = KVA_HIGHEST;
        request.max = 4 * GIB - 1;
    }
    return kva_alloc(space, &request, &bar->start);
}

/** The guest writes an address to a window's register. If that range is taken, the window does not move. */
static void program(struct kva_space *space, struct bar *bar, uint64_t address)
{
    struct kva_segment conflict;
    uint64_t to = address & ~(bar->size - 1); /* the low bits of the register are 0 */
    enum kva_status status = kva_move(space, bar->start, to, &conflict);

    if (status == KVA_OK)
        bar->start = to;
    printf("%s to 0x%" PRIx64 ": %s\n", bar->name, to, kva_status_name(status));
    if (status == KVA_EEXIST && conflict.owner)
        printf("  there is %s\n", ((struct bar *)conflict.owner)->name);
}

/** The guest reads or writes an address. */
static void access_at(struct kva_space *space, uint64_t address)
{
    struct kva_segment segment;

    if (kva_find(space, address, &segment) == KVA_OK && segment.state == KVA_BUSY && segment.owner)
        printf("0x%" PRIx64 " is %s + 0x%" PRIx64 "\n", address, ((struct bar *)segment.owner)->name,
               address - segment.start);
    else
        printf("0x%" PRIx64 " is no device\n", address);
}

int main(void)
{
    const struct kva_range fixed[] = {{0, 2 * GIB, NULL},            /* RAM */
                                      {0xfec00000, 0x1400000, NULL}, /* interrupt controllers, firmware */
                                      {4 * GIB, 6 * GIB, NULL}};     /* RAM */
    struct kva_config config = {
        .last = (UINT64_C(1) << 40) - 1, .quantum = 4096, .busy = fixed, .busy_count = 3};
    struct bar bars[] = {{"net", 128 << 10, false, 0}, /* KiB */
                         {"display", 16 * MIB, false, 0},
                         {"disk", 16 << 10, false, 0},
                         {"gpu", 8 * GIB, true, 0}};
    struct kva_space *space;

    if (kva_space_create(&config, &space) != KVA_OK)
        return 1;
    for (size_t i = 0; i < sizeof bars / sizeof bars[0]; i++) {
        enum kva_status status = place(space, &bars[i]);
        printf("%s %s 0x%" PRIx64 "\n", kva_status_name(status), bars[i].name, bars[i].start);
    }
    program(space, &bars[0], 0xe0001000);              /* rounded down: net moves to 0xe0000000 */
    program(space, &bars[1], bars[1].start - 8 * MIB); /* half a window down: rounded to its size */
    program(space, &bars[2], bars[0].start + 0x4000);  /* disk onto net */
    program(space, &bars[3], 24 * GIB);
    access_at(space, 0xe0000010);
    access_at(space, 0xfebe0010); /* where net was */
    access_at(space, 28 * GIB);
    kva_space_abandon(space); /* with all that it still holds */
    return kva_space_destroy(space) == KVA_OK ? 0 : 1;
}
