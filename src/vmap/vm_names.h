/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Pools of frames, and where a frame is. Users know a frame by its NUMBER, which never changes; its contents
 * lie at a PLACE in the pool. In a pool that is not movable both are the same. In a movable one the places
 * are a permutation of the numbers: when a frame moves to a free place, the two numbers are swapped, so that
 * no number has to be allocated, and a free number stands for a free place.
 *
 *      number      0   1   2   3                          0   1   2   3
 *                  |   |    \ /                           |    \ /  |
 *                  |   |     X         frame 2 moves      |     X   |
 *                  |   |    / \        to place 2         |    / \  |        the numbers of places 2 and 3
 *      place       0   1   2   3       -------->          0   1   2   3      are swapped
 *
 * SHOWN PAGES. Each number of a movable pool has a chain of the pages that show the frame, in whichever live
 * or ended maps: they are mapped anew when it moves. A chain is linked by the numbers of pages in the frames
 * part, plus one: 0 is none.
 *
 *      head of number 7 --> page 12 <--> page 530 <--> page 13 --> 0
 */
#ifndef KVA_VMAP_VM_NAMES_H
#define KVA_VMAP_VM_NAMES_H

#include "vm_stock.h"
#include "vm_table.h"

/** Of a movable pool, an entry for each number. All zero: a frame that has never moved and that no page
 *  shows. */
struct kva_movable {
    uint32_t place;  /* of the frame with this number: their XOR */
    uint32_t number; /* of the frame at the place that is this number: their XOR */
    uint32_t head;   /* the first page that shows it, plus one */
    uint32_t pins;   /* it stays where it is while there are any */
};

/** Of a page of the frames part that shows a movable frame. */
struct kva_page_link {
    uint32_t next;
    uint32_t prev; /* 0: this page is the first of its chain */
};

struct kva_vm_frames {
    struct kva_vm *vm;
    struct kva_vm_frames *next;  /* of the instance's pools */
    struct kva_vm_frames **link; /* what points to this one */
    void *frame_set;             /* the page source's */
    struct kva_stock stock;
    uint32_t *uses;              /* a table: 0 for a free number; else 1 + the live maps of the frame */
    struct kva_movable *movable; /* a table; NULL: the pool is not movable */
    bool is_lost;                /* movable, and inherited by a child of fork, which cannot have the maps */
    unsigned compacting;         /* threads that are compacting it */
    bool is_refused;             /* the system has refused a move in the slice under way */
    unsigned ranges_moved;       /* of pages, that were mapped anew in the slice under way */
    uint64_t count;
    uint64_t taken;
    uint64_t pending; /* frames that are counted for maps which are not there yet, once for each map */
    uint64_t
        mapped; /* the live maps of all frames, and those pending: what `uses` adds up to, less `taken` */
};

static inline uint64_t place_of(const struct kva_vm_frames *frames, uint64_t number)
{
    return frames->movable ? number ^ frames->movable[number].place : number;
}

static inline uint64_t number_at(const struct kva_vm_frames *frames, uint64_t place)
{
    return frames->movable ? place ^ frames->movable[place].number : place;
}

/** The frames at `count` places from `from` on, and those at `count` places from `to` on, have changed their
 *  places. */
void kva_swap_places(struct kva_vm_frames *frames, uint64_t from, uint64_t to, uint64_t count);

/** Take the memory for a movable pool's tables: KVA_OK or KVA_ENOMEM. */
enum kva_status kva_ready_names(struct kva_vm_frames *frames);

/** Give it back. */
void kva_end_names(struct kva_vm_frames *frames);

/** Give back the links of all pages, with the instance. */
void kva_end_links(struct kva_vm *vm);

/** The pages from an address on show their noted frames from now on; or no longer, and do not follow them any
 *  more. Nothing is done for a pool that is not movable, or is lost. */
void kva_link_pages(struct kva_vm_frames *frames, uint64_t start, size_t count);
void kva_unlink_pages(struct kva_vm_frames *frames, uint64_t start, size_t count);

/** The first page that shows a frame, and the next one, as a page's number plus one; 0: there is none. */
static inline uint32_t first_page_of(const struct kva_vm_frames *frames, uint64_t number)
{
    return frames->movable[number].head;
}

static inline uint32_t page_after(const struct kva_vm *vm, uint32_t page)
{
    return vm->links[page - 1].next;
}

/** The address of such a page. */
static inline uint64_t address_of_page(const struct kva_vm *vm, uint32_t page)
{
    return vm->frames_first + bytes_of_pages(vm, page - 1);
}

/** V14: NULL, or how it is broken. `pages` is how many pages of live and ended maps show frames of the
 *  pool. */
const char *kva_check_names(const struct kva_vm_frames *frames, uint64_t pages);

#endif
