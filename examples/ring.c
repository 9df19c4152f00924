/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A mirrored ring buffer: the same frames mapped twice, one after the other, so that data that wraps around
 * is contiguous.
 *
 *      frames      0 1 2 3
 *      addresses   0 1 2 3 0 1 2 3
 *                        |===|           data across the end of the ring: one memcpy
 *
 * kva_vmap maps frames in any order and any number of times; here each of them twice.
 */
#include <kva/vmap.h>
#include <stdio.h>
#include <string.h>

#define FRAMES 4

struct ring {
    unsigned char *bytes; /* `size` bytes, and the same bytes again */
    size_t size;          /* a power of two */
    size_t head;          /* bytes written so far */
    size_t tail;          /* bytes read so far */
};

/* Map the frames in order, twice: 0 1 2 3 0 1 2 3. */
static enum kva_status ring_create(struct kva_vm *vm, struct kva_vm_frames *frames, struct ring *ring)
{
    uint64_t numbers[2 * FRAMES];
    struct kva_vm_area area;
    enum kva_status status = kva_vm_frames_alloc(frames, FRAMES, numbers);
    if (status != KVA_OK)
        return status;
    memcpy(numbers + FRAMES, numbers, FRAMES * sizeof(numbers[0]));
    ring->bytes = kva_vmap(vm, frames, numbers, 2 * FRAMES);
    if (ring->bytes == NULL)
        return kva_vm_status(vm);
    ring->head = ring->tail = 0;
    status = kva_vm_find(vm, ring->bytes, &area);
    ring->size = status == KVA_OK ? (area.last - area.start + 1) / 2 : 0;
    return status;
}

/* The caller writes at most as many bytes as are free, and reads at most as many as are there. */
static void ring_write(struct ring *ring, const void *bytes, size_t count)
{
    memcpy(ring->bytes + (ring->head & (ring->size - 1)), bytes, count);
    ring->head += count;
}

static void ring_read(struct ring *ring, void *bytes, size_t count)
{
    memcpy(bytes, ring->bytes + (ring->tail & (ring->size - 1)), count);
    ring->tail += count;
}

/* Send messages of 100 bytes through the ring until it has gone round ten times. Returns how many lay across
 * its end; -1 if one was damaged. */
static int send_messages(struct ring *ring)
{
    unsigned char sent[100], received[sizeof(sent)];
    int across = 0;
    for (unsigned number = 0; ring->head < 10 * ring->size; number++) {
        memset(sent, (int)(number & 255), sizeof(sent));
        across += (ring->head & (ring->size - 1)) > ring->size - sizeof(sent);
        ring_write(ring, sent, sizeof(sent));
        ring_read(ring, received, sizeof(received));
        if (memcmp(sent, received, sizeof(sent)) != 0)
            return -1;
    }
    return across;
}

int main(void)
{
    struct kva_vm *vm;
    struct kva_vm_frames *frames;
    struct ring ring;

    if (kva_vm_create(NULL, &vm) != KVA_OK)
        return 1;
    if (kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = FRAMES}, &frames) != KVA_OK ||
        ring_create(vm, frames, &ring) != KVA_OK)
        return 1;
    ring.bytes[0] = 42;
    printf("byte 0 again, one ring further: %d\n", ring.bytes[ring.size]);
    printf("messages across the end, all intact: %d\n", send_messages(&ring));
    kva_vunmap(vm, ring.bytes);
    return kva_vm_destroy(vm, NULL, NULL) == KVA_OK ? 0 : 1; /* the frame set ends with the instance */
}
