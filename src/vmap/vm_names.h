/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Frame sets, and the numbers and places of their frames.
 *
 * Callers know a frame by its NUMBER, which never changes; its contents lie at a PLACE in the set. In a set
 * that is not movable, both are equal. In a movable set, the places are a permutation of the numbers (V14):
 * when a frame moves to a free place, the numbers of both places are swapped. So no number has to be
 * allocated, and a free number stands for a free place.
 *
 *      number      0   1   2   3                          0   1   2   3
 *                  |   |    \ /                           |    \ /  |
 *                  |   |     X         frame 2 moves      |     X   |
 *                  |   |    / \        to place 2         |    / \  |        the numbers of places 2 and 3
 *      place       0   1   2   3       -------->          0   1   2   3      are swapped
 *
 * MAPPED PAGES. Each number of a movable set has a chain of the pages that map its frame, in live and ended
 * maps: when the frame moves, they are remapped. A chain links pages by their numbers in the frames part,
 * plus one; 0 ends it.
 *
 *      head of number 7 --> page 12 <--> page 530 <--> page 13 --> 0
 */
#ifndef KVA_VMAP_VM_NAMES_H
#define KVA_VMAP_VM_NAMES_H

#include "vm_stock.h"
#include "vm_table.h"

/** An entry for each number of a movable set. All zero: a frame that has never moved and is not mapped. */
struct kva_movable {
    uint32_t place;  /* of the frame with this number, XOR the number */
    uint32_t number; /* of the frame at this place, XOR the place */
    uint32_t head;   /* the first page that maps it, plus one; 0: none */
    uint32_t pins;   /* above 0, the frame stays at its place */
};

/** An entry for each page of the frames part; used while the page maps a movable frame. */
struct kva_page_link {
    uint32_t next;
    uint32_t prev; /* 0: the page is the first of its chain */
};

struct kva_vm_frames {
    struct kva_vm *vm;
    struct kva_vm_frames *next;  /* of the instance's frame sets */
    struct kva_vm_frames **link; /* the pointer to this one */
    void *frame_set;             /* the page source's handle */
    struct kva_stock stock;
    uint32_t *uses;              /* a table: 0 for a free number; else 1 + the live maps of the frame */
    struct kva_movable *movable; /* a table; NULL: the set is not movable */
    bool is_lost;                /* movable, and inherited by a child of fork, which cannot keep its maps */
    unsigned compacting;         /* threads that are compacting it */
    bool is_refused;             /* the system refused a move in the current slice */
    unsigned ranges_moved;       /* ranges of pages remapped in the current slice */
    uint64_t count;
    uint64_t taken;
    uint64_t pending; /* frames counted for maps that are still being made, once per map */
    /** The live and pending maps of all frames: the sum of `uses`, less `taken`. */
    uint64_t mapped;
};

static inline uint64_t place_of(const struct kva_vm_frames *frames, uint64_t number)
{
    return frames->movable ? number ^ frames->movable[number].place : number;
}

static inline uint64_t number_at(const struct kva_vm_frames *frames, uint64_t place)
{
    return frames->movable ? place ^ frames->movable[place].number : place;
}

/** Swap the numbers of `count` places from `from` on and from `to` on, after their frames were swapped. */
void kva_swap_places(struct kva_vm_frames *frames, uint64_t from, uint64_t to, uint64_t count);

/** Allocate the tables of a movable set: KVA_OK or KVA_ENOMEM. */
enum kva_status kva_ready_names(struct kva_vm_frames *frames);

/** Free the tables of a movable set. */
void kva_end_names(struct kva_vm_frames *frames);

/** Free the links of all pages, at the end of the instance. */
void kva_end_links(struct kva_vm *vm);

/** Link the pages from an address on into the chains of their noted frames; or unlink them. Neither does
 *  anything for a set that is not movable, or is lost. */
void kva_link_pages(struct kva_vm_frames *frames, uint64_t start, size_t count);
void kva_unlink_pages(struct kva_vm_frames *frames, uint64_t start, size_t count);

/** The first page that maps a frame, and the next one: a page's number plus one; 0: none. */
static inline uint32_t first_page_of(const struct kva_vm_frames *frames, uint64_t number)
{
    return frames->movable[number].head;
}

static inline uint32_t page_after(const struct kva_vm *vm, uint32_t page)
{
    return vm->links[page - 1].next;
}

/** The address of a page of a chain. */
static inline uint64_t address_of_page(const struct kva_vm *vm, uint32_t page)
{
    return vm->frames_first + bytes_of_pages(vm, page - 1);
}

/** V14: NULL, or how it is broken. `pages` is the number of pages in live and ended maps of the set. */
const char *kva_check_names(const struct kva_vm_frames *frames, uint64_t pages);

#endif
