/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A kernel for a 32-bit PC, without a C library, that uses kva for its addresses and its page frames. It
 * allocates some of both, prints them, frees all, frees one of each twice, which kva refuses, and stops.
 */
#include <kva/engine.h>
#include <kva/frames.h>
#include <kva/kva.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

enum { PAGE_SHIFT = 12, PAGE = 1 << PAGE_SHIFT, MEGABYTE = 1 << 20, HUGE_PAGE = 4 * MEGABYTE };

/* -------------------------------------------------------------------------------------------- the machine */

enum { COM1 = 0x3f8, EXIT_PORT = 0xf4 };     /* EXIT_PORT: QEMU's device isa-debug-exit ... */
enum outcome { WELL = 0x10, FAILED = 0x11 }; /* ... makes 2n + 1 of these: 33 or 35 is the exit status */

static void out(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t in(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static _Noreturn void leave(enum outcome outcome)
{
    out(EXIT_PORT, (uint8_t)outcome);
    for (;;) /* a machine without that port */
        __asm__ volatile("cli; hlt");
}

/* The four functions that kva and every compiler require. A compiler may replace such a loop by a call of the
 * same function; volatile prevents that. */

void *memset(void *to, int byte, size_t bytes)
{
    for (volatile unsigned char *target = to; bytes > 0; bytes--)
        *target++ = (unsigned char)byte;
    return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
    volatile unsigned char *target = to;
    const unsigned char *source = from;

    for (size_t i = 0; i < bytes; i++) { /* no byte is overwritten before it is read */
        size_t at = (uintptr_t)to < (uintptr_t)from ? i : bytes - 1 - i;
        target[at] = source[at];
    }
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    return memmove(to, from, bytes);
}

int memcmp(const void *a, const void *b, size_t bytes)
{
    const unsigned char *one = a, *other = b;

    while (bytes > 0 && *one == *other)
        bytes--, one++, other++;
    return bytes > 0 ? *one - *other : 0;
}

/* ----------------------------------------------------------------------------------------------- printing */

static void print(const char *text)
{
    for (; *text; text++) {
        while (!(in(COM1 + 5) & 0x20)) /* the last byte is still on its way */
            ;
        out(COM1, (uint8_t)*text);
    }
}

static void print_number(const char *before, uint64_t number)
{
    print(before);
    print("0x");
    for (int shift = 28; shift >= 0; shift -= 4)
        print((const char[]){"0123456789abcdef"[number >> shift & 15], 0});
    print("\n");
}

static void print_line(void *context, const char *text, size_t length)
{
    (void)context, (void)length;
    print(text);
    print("\n");
}

/** Both hooks. After misuse the kernel goes on; corruption ends it. */
static void on_fault(void *context, const struct kva_fault *fault)
{
    (void)context;
    print(fault->where);
    print(": ");
    print(fault->what);
    print_number(", at ", fault->address);
    if (fault->status == KVA_ECORRUPT)
        leave(FAILED);
}

/** For calls that cannot fail here. */
static void must(enum kva_status status)
{
    if (status == KVA_OK)
        return;
    print("kernel: unexpected: ");
    print_line(NULL, kva_status_text(status), 0);
    leave(FAILED);
}

/* ------------------------------------------------------------------------------------ zones and the space */

/** The information from a Multiboot loader, as far as this kernel uses it. */
struct loader {
    uint32_t flags;
    uint32_t unused[10];
    uint32_t map_bytes;
    uint32_t map; /* the address of the first region */
};
struct region {
    uint32_t bytes; /* from `start` to the next region */
    uint64_t start; /* on a 32-bit PC, at a multiple of 4 */
    uint64_t size;
    uint32_t type;
};
enum { LOADER_MAGIC = 0x2badb002, HAS_MAP = 1 << 6, USABLE = 1 };

extern unsigned char image_start[], image_end[]; /* kernel.ld */

static struct kva_frames *frames;
static struct kva_space space;

/** kva's own memory. The frame set takes 2.18 bits a frame (kva_frames_bytes returns the exact size): 279
 *  KiB for the 4 GiB that this kernel can reach. The engine rb takes 4 KiB at the start, and 64 bytes a
 *  segment: the rest suffices for 500 segments. */
static unsigned char block[320 << 10];
static struct kva_arena arena;

/** Make a zone for each usable region above the first megabyte and below 4 GiB. Returns how many. */
static size_t find_zones(const struct loader *loader, struct kva_frames_zone *zones, size_t most)
{
    size_t count = 0;

    for (uintptr_t at = loader->map; at < loader->map + loader->map_bytes && count < most;) {
        const struct region *region = (const struct region *)at;
        uint64_t end = region->start + region->size;
        struct kva_frames_zone zone = {.start = (region->start + PAGE - 1) >> PAGE_SHIFT};
        zone.end = (end <= UINT32_MAX ? end : UINT32_MAX) >> PAGE_SHIFT;
        if (region->type == USABLE && region->start >= MEGABYTE && zone.start < zone.end)
            zones[count++] = zone;
        at += sizeof(region->bytes) + region->bytes;
    }
    return count;
}

static void make_frames(const struct loader *loader, struct kva_memory memory)
{
    struct kva_frames_zone zones[8];
    struct kva_frames_range image = {.first = (uintptr_t)image_start >> PAGE_SHIFT,
                                     .count = (uintptr_t)(image_end - image_start) >> PAGE_SHIFT};
    struct kva_frames_config config = {.zones = zones, .holes = &image, .hole_count = 1, .memory = memory};

    config.zone_count = find_zones(loader, zones, LENGTH(zones));
    config.on_misuse = config.on_corruption = on_fault;
    must(kva_frames_create(&config, &frames));
}

/** All addresses but page 0, so that NULL stays invalid. */
static void make_space(struct kva_memory memory)
{
    static const struct kva_range busy[] = {
        {.start = 0xa0000, .size = 0x60000}, /* the VGA's memory and the firmware's */
        {.start = 0xfee00000, .size = PAGE}, /* the local APIC */
    };
    struct kva_config config = {.first = PAGE, .last = UINT32_MAX, .quantum = PAGE, .memory = memory};

    config.engine = &kva_engine_rb;
    config.busy = busy;
    config.busy_count = LENGTH(busy);
    config.on_misuse = config.on_corruption = on_fault;
    must(kva_space_init(&space, &config));
    must(kva_reserve(&space, (uintptr_t)image_start, (uintptr_t)(image_end - image_start), NULL, NULL));
}

/* ---------------------------------------------------------------------------------------------------- use */

static void use_space(void)
{
    static const struct kva_request requests[] = {
        {.size = 10000},                                                               /* three pages */
        {.size = HUGE_PAGE, .align = HUGE_PAGE, .min = 0xc0000000, .max = UINT32_MAX}, /* high up */
        {.size = 4 * PAGE, .policy = KVA_HIGHEST},                                     /* a stack */
    };
    uint64_t starts[LENGTH(requests)];

    for (size_t i = 0; i < LENGTH(requests); i++)
        must(kva_alloc(&space, &requests[i], &starts[i]));
    print("addresses\n");
    must(kva_space_dump(&space, print_line, NULL));
    for (size_t i = 0; i < LENGTH(requests); i++)
        must(kva_free(&space, starts[i]));
    print_line(NULL, kva_status_text(kva_free(&space, starts[0])), 0); /* a mistake: refused */
    must(kva_space_check(&space, NULL));
}

static void use_frames(void)
{
    static const struct kva_frames_request requests[] = {
        {.order = 0},                         /* a page table */
        {.order = 10},                        /* a huge page */
        {.count = 100, .max = 0xfff},         /* a buffer of a device that reaches 16 MiB */
        {.count = 1300, .type = KVA_MOVABLE}, /* a program */
    };
    uint64_t firsts[LENGTH(requests)];

    for (size_t i = 0; i < LENGTH(requests); i++)
        must(kva_frames_alloc(frames, &requests[i], &firsts[i]));
    print("frames\n");
    memset((void *)(uintptr_t)(firsts[0] << PAGE_SHIFT), 0, PAGE); /* a frame is real memory */
    must(kva_frames_picture(frames, 0, print_line, NULL));
    for (size_t i = 0; i < LENGTH(requests); i++)
        must(kva_frames_free(frames, firsts[i]));
    print_line(NULL, kva_status_text(kva_frames_free(frames, firsts[0])), 0); /* a mistake: refused */
    must(kva_frames_check(frames, NULL));
}

/** Called by start.S, on a stack of 16 KiB. */
_Noreturn void kernel_main(uint32_t magic, const struct loader *loader)
{
    if (magic != LOADER_MAGIC || !(loader->flags & HAS_MAP)) {
        print("kernel: no Multiboot loader, or it has no map of the memory\n");
        leave(FAILED);
    }
    struct kva_memory memory = kva_arena_init(&arena, block, sizeof(block));
    make_frames(loader, memory);
    make_space(memory);
    use_space();
    use_frames();
    print("kernel: all is well\n");
    leave(WELL);
}
