/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A cache whose memory can be moved. Objects of 1 to 8 pages come and go until free memory lies in pieces,
 * and a large contiguous buffer cannot be had. kva_vm_frames_compact moves frames together while they are
 * mapped: the objects keep their addresses and their contents, and the buffer is one mapping, on huge pages
 * where the system lets it.
 *
 *      addresses   |A A|g|B|g|C C C|g|          the same before and after: pointers stay valid
 *      places      |A.B..CA.|..C..C..|   before: scattered
 *      places      |ACBC.CA.|........|   after: a block is free
 *
 * In the pictures that it prints, each character is a block: . is free, 0 to 8 is how many tenths of it are
 * used, m and M are nearly full and full.
 */
#include <fcntl.h>
#include <kva/vmap.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 512, FRAMES = 32 * BLOCK, BUFFER = 4 * BLOCK, LARGEST = 8 };

static struct object {
    unsigned char *bytes; /* NULL: removed */
    size_t frames;
    uint64_t number[LARGEST];
} objects[FRAMES];

static size_t count, page_bytes;
static uint64_t state = 1;

static size_t below(size_t bound)
{
    state = state * 6364136223846793005 + 1442695040888963407;
    return (size_t)(state >> 33) % bound;
}

static void print(void *context, const char *line, size_t length)
{
    (void)context;
    (void)length;
    puts(line);
}

/* Allocate and map an object, and write its index at the start of each of its pages. Returns 0 if the memory
 * is full. */
static int enter(struct kva_vm *vm, struct kva_vm_frames *frames, struct object *object)
{
    object->frames = 1 + below(LARGEST);
    if (kva_vm_frames_alloc(frames, object->frames, object->number) != KVA_OK)
        return 0;
    object->bytes = kva_vmap(vm, frames, object->number, object->frames);
    if (object->bytes == NULL)
        kva_vm_frames_free(frames, object->number, object->frames);
    for (size_t i = 0; object->bytes != NULL && i < object->frames; i++)
        *(size_t *)(void *)(object->bytes + i * page_bytes) = (size_t)(object - objects);
    return object->bytes != NULL;
}

static void leave(struct kva_vm *vm, struct kva_vm_frames *frames, struct object *object)
{
    kva_vunmap(vm, object->bytes);
    kva_vm_frames_free(frames, object->number, object->frames);
    object->bytes = NULL;
}

static size_t count_intact(void)
{
    size_t intact = 0;
    for (size_t i = 0; i < count; i++) {
        size_t right = 0;
        for (size_t k = 0; objects[i].bytes != NULL && k < objects[i].frames; k++)
            right += *(size_t *)(void *)(objects[i].bytes + k * page_bytes) == i;
        intact += objects[i].bytes == NULL || right == objects[i].frames;
    }
    return intact;
}

/* `read` makes the kernel write to the buffer, and the kernel does not wait while a frame is moved. So the
 * buffer is pinned during the call. */
static int load(struct kva_vm *vm, unsigned char *buffer, size_t bytes)
{
    int file = open("/proc/self/exe", O_RDONLY);
    if (file < 0 || kva_vm_pin(vm, buffer, bytes) != KVA_OK)
        return 0;
    ssize_t got = read(file, buffer, bytes);
    kva_vm_unpin(vm, buffer, bytes);
    close(file);
    return got > 4 && memcmp(buffer + 1, "ELF", 3) == 0;
}

int main(void)
{
    static const struct kva_vm_frames_config config = {.count = FRAMES, .movable = true};
    static uint64_t numbers[BUFFER];
    struct kva_frames_compacted done;
    struct kva_vm_frames *frames;
    struct kva_vm *vm;
    void *buffer;

    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    if (kva_vm_create(NULL, &vm) != KVA_OK || kva_vm_frames_create(vm, &config, &frames) != KVA_OK)
        return 1;
    /* Fill the memory with objects; then remove seven of eight, at random. */
    while (count < FRAMES && enter(vm, frames, &objects[count]))
        count++;
    for (size_t i = 0; i < count; i++)
        if (below(8) != 0)
            leave(vm, frames, &objects[i]);
    kva_vm_frames_picture(frames, print, NULL);
    printf("a buffer of %d frames: %s\n", BUFFER,
           kva_status_name(kva_vm_frames_alloc_run(frames, BUFFER, BLOCK, numbers)));

    kva_vm_frames_compact(frames, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX, &done);
    kva_vm_frames_picture(frames, print, NULL);
    printf("frames were moved: %s; objects that are intact: %s\n", done.moved_frames > 0 ? "yes" : "no",
           count_intact() == count ? "all" : "not all");
    enum kva_status status = kva_vm_frames_alloc_run(frames, BUFFER, BLOCK, numbers);
    printf("a buffer of %d frames: %s\n", BUFFER, kva_status_name(status));
    if (status == KVA_OK && kva_vm_map(vm, frames, numbers, BUFFER, KVA_VM_HUGE, &buffer) == KVA_OK) {
        printf("read into it, pinned: %s\n", load(vm, buffer, BUFFER * page_bytes) ? "yes" : "no");
        kva_vunmap(vm, buffer);
    } /* otherwise the system cannot move mapped frames */
    for (size_t i = 0; i < count; i++)
        if (objects[i].bytes != NULL)
            leave(vm, frames, &objects[i]);
    return kva_vm_destroy(vm, NULL, NULL) == KVA_OK ? 0 : 1; /* the set ends with the instance */
}
