/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * THEORY
 *   A BLOCK is 2^order frames, and begins at a multiple of 2^order. Its BUDDY is the other half of the
 *   enclosing block of twice the size: its number differs in the bit 2^order only.
 *
 *      order 2    |               0               |               4               |
 *      order 1    |       0       |       2       |       4       |       6       |
 *      order 0    |   0   |   1   |   2   |   3   |   4   |   5   |   6   |   7   |
 *
 *   Free blocks are kept on doubly linked lists, one for each order. A request takes the first block of the
 *   lowest sufficient order that has one, and halves it down to the requested order; the upper halves go onto
 *   their lists. A freed block is merged with its buddy while the buddy is free.
 *
 * BOOKKEEPING
 *   It lies outside the frames: for each frame two links, used if a free block begins there, and a byte for
 *   the block that begins there. So a free needs only the number.
 *
 *      order        a block in use
 *      order | 64   a free block
 *      INSIDE       no block
 *
 * INVARIANTS
 *   (Y1) Each frame lies in one block. The byte of its first frame has the order; the others are INSIDE.
 *   (Y2) A block is on the list of its order if and only if it is free.
 *   (Y3) Below the largest order, no two buddies are both free.
 *   By (Y3) an aligned group of free frames, up to the largest order, lies in one block: a request fails only
 *   when there is no such group.
 *
 * NOT DONE
 *   Types of frames, lists for each CPU, and other later additions to buddy systems.
 *
 * SOURCE
 *   K. C. Knowlton, "A fast storage allocator", CACM 8 (10), 1965; D. E. Knuth, The Art of Computer
 *   Programming, volume 1, section 2.5, algorithms R and S.
 */
#define _GNU_SOURCE
#include "buddy.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define INSIDE 0xff
#define FREE 64

/* The end of a list. No frame has this number. */
#define NONE UINT32_MAX

#define ORDERS (BUDDY_ORDER_MAX + 1)

struct links {
    uint32_t next;
    uint32_t previous; /* NONE: the first of its list */
};

struct buddy {
    pthread_mutex_t mutex;
    uint32_t frames;
    uint32_t list[ORDERS]; /* the first free block of each order, or NONE */
    struct links *links;
    unsigned char *begins; /* a byte for each frame: see BOOKKEEPING */
};

static uint32_t frames_of(unsigned order)
{
    return UINT32_C(1) << order;
}

/* -------------------------------------------------------------------------------------------------- lists */

static void push(struct buddy *buddy, uint32_t block, unsigned order)
{
    uint32_t next = buddy->list[order];
    buddy->links[block] = (struct links){.next = next, .previous = NONE};
    if (next != NONE)
        buddy->links[next].previous = block;
    buddy->list[order] = block;
    buddy->begins[block] = (unsigned char)(order | FREE);
}

static void unlink_block(struct buddy *buddy, uint32_t block, unsigned order)
{
    struct links links = buddy->links[block];
    if (links.previous == NONE)
        buddy->list[order] = links.next;
    else
        buddy->links[links.previous].next = links.next;
    if (links.next != NONE)
        buddy->links[links.next].previous = links.previous;
}

/* ---------------------------------------------------------------------------------------- create, destroy */

/* The largest order of a block that begins at `first` and ends in the set. */
static unsigned order_at(uint32_t first, uint32_t frames)
{
    unsigned order = BUDDY_ORDER_MAX;
    while (first % frames_of(order) != 0 || frames_of(order) > frames - first)
        order--;
    return order;
}

/* Free all blocks from the top down, so that the lowest block is the first of its list. */
static void free_all(struct buddy *buddy)
{
    uint32_t whole = buddy->frames - buddy->frames % frames_of(BUDDY_ORDER_MAX);
    memset(buddy->begins, INSIDE, buddy->frames);
    for (unsigned order = 0; order < ORDERS; order++)
        buddy->list[order] = NONE;
    for (uint32_t first = whole; first < buddy->frames;) {
        unsigned order = order_at(first, buddy->frames);
        push(buddy, first, order);
        first += frames_of(order);
    }
    for (uint32_t first = whole; first > 0;) {
        first -= frames_of(BUDDY_ORDER_MAX);
        push(buddy, first, BUDDY_ORDER_MAX);
    }
}

enum kva_status buddy_create(uint64_t frames, struct buddy **buddy)
{
    if (frames == 0 || frames > UINT32_MAX - 1)
        return KVA_EINVAL;
    struct buddy *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return KVA_ENOMEM;
    made->frames = (uint32_t)frames;
    made->links = calloc((size_t)frames, sizeof(*made->links));
    made->begins = malloc((size_t)frames);
    if (made->links == NULL || made->begins == NULL || pthread_mutex_init(&made->mutex, NULL) != 0) {
        free(made->links);
        free(made->begins);
        free(made);
        return KVA_ENOMEM;
    }
    free_all(made);
    *buddy = made;
    return KVA_OK;
}

void buddy_destroy(struct buddy *buddy)
{
    pthread_mutex_destroy(&buddy->mutex);
    free(buddy->links);
    free(buddy->begins);
    free(buddy);
}

size_t buddy_bytes(const struct buddy *buddy)
{
    return sizeof(*buddy) + buddy->frames * (sizeof(*buddy->links) + sizeof(*buddy->begins));
}

/* ------------------------------------------------------------------------------------------ take and give */

/* Returns NONE if no block is large enough. */
static uint32_t take(struct buddy *buddy, unsigned order)
{
    unsigned at = order;
    while (at < ORDERS && buddy->list[at] == NONE)
        at++;
    if (at == ORDERS)
        return NONE;
    uint32_t block = buddy->list[at];
    unlink_block(buddy, block, at);
    while (at > order) {
        at--;
        push(buddy, block + frames_of(at), at);
    }
    buddy->begins[block] = (unsigned char)order;
    return block;
}

enum kva_status buddy_alloc(struct buddy *buddy, unsigned order, uint64_t *first)
{
    if (order > BUDDY_ORDER_MAX)
        return KVA_EINVAL;
    pthread_mutex_lock(&buddy->mutex);
    uint32_t block = take(buddy, order);
    pthread_mutex_unlock(&buddy->mutex);
    if (block == NONE)
        return KVA_ENOSPC;
    *first = block;
    return KVA_OK;
}

/*      |  block  |  buddy, free |          |  buddy, free |  block  |
 *      |         block          |          |         block          |
 *
 * Merging clears the byte of the upper half. A buddy that reaches beyond the end of the set is never a free
 * block of this order. */
static void give(struct buddy *buddy, uint32_t block, unsigned order)
{
    while (order < BUDDY_ORDER_MAX) {
        uint32_t other = block ^ frames_of(order);
        if (other >= buddy->frames || buddy->begins[other] != (order | FREE))
            break;
        unlink_block(buddy, other, order);
        buddy->begins[block > other ? block : other] = INSIDE;
        block = block < other ? block : other;
        order++;
    }
    push(buddy, block, order);
}

enum kva_status buddy_free(struct buddy *buddy, uint64_t first)
{
    enum kva_status status = KVA_OK;
    if (first >= buddy->frames)
        return KVA_EUNKNOWN;
    pthread_mutex_lock(&buddy->mutex);
    unsigned char begins = buddy->begins[first];
    if (begins == INSIDE)
        status = KVA_EINTERIOR;
    else if ((begins & FREE) != 0)
        status = KVA_EDOUBLE;
    else
        give(buddy, (uint32_t)first, begins);
    pthread_mutex_unlock(&buddy->mutex);
    return status;
}
