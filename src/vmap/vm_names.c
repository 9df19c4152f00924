/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Numbers, places and chains of pages: see vm_names.h. */
#include "vm_names.h"

/* ------------------------------------------------------------------------------------- numbers and places */

static void set_place(struct kva_movable *movable, uint64_t number, uint64_t place)
{
    movable[number].place = movable[place].number = (uint32_t)(number ^ place);
}

void kva_swap_places(struct kva_vm_frames *frames, uint64_t from, uint64_t to, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t moved = number_at(frames, from + i);
        uint64_t other = number_at(frames, to + i);
        set_place(frames->movable, moved, to + i);
        set_place(frames->movable, other, from + i);
    }
}

/* ------------------------------------------------------------------------------------------------- memory */

static uint64_t bytes_of_links(const struct kva_vm *vm)
{
    uint64_t end = (uint64_t)vm->first + vm->bytes;

    return ((end - vm->frames_first) >> vm->page_shift) * sizeof(struct kva_page_link);
}

static uint64_t bytes_of_names(const struct kva_vm_frames *frames)
{
    return frames->count * sizeof *frames->movable;
}

/** The links belong to the instance: a page maps one frame of one set at a time. */
enum kva_status kva_ready_names(struct kva_vm_frames *frames)
{
    struct kva_vm *vm = frames->vm;

    if (!vm->links)
        vm->links = vm->pages.alloc_zeroed(vm->pages.context, bytes_of_links(vm));
    if (vm->links)
        frames->movable = vm->pages.alloc_zeroed(vm->pages.context, bytes_of_names(frames));
    return frames->movable ? KVA_OK : KVA_ENOMEM;
}

void kva_end_names(struct kva_vm_frames *frames)
{
    const struct kva_pages *pages = &frames->vm->pages;

    if (frames->movable)
        pages->free_zeroed(pages->context, frames->movable, bytes_of_names(frames));
    frames->movable = NULL;
}

void kva_end_links(struct kva_vm *vm)
{
    if (vm->links)
        vm->pages.free_zeroed(vm->pages.context, vm->links, bytes_of_links(vm));
    vm->links = NULL;
}

/* ------------------------------------------------------------------------------------------- mapped pages */

static void link_page(struct kva_vm_frames *frames, uint32_t page, uint32_t number)
{
    struct kva_page_link *links = frames->vm->links;
    uint32_t next = frames->movable[number].head;

    links[page - 1] = (struct kva_page_link){.next = next, .prev = 0};
    if (next != 0)
        links[next - 1].prev = page;
    frames->movable[number].head = page;
}

static void unlink_page(struct kva_vm_frames *frames, uint32_t page, uint32_t number)
{
    struct kva_page_link *links = frames->vm->links;
    const struct kva_page_link link = links[page - 1];

    if (link.prev != 0)
        links[link.prev - 1].next = link.next;
    else
        frames->movable[number].head = link.next;
    if (link.next != 0)
        links[link.next - 1].prev = link.prev;
}

typedef void change_page(struct kva_vm_frames *frames, uint32_t page, uint32_t number);

static void change_pages(struct kva_vm_frames *frames, uint64_t start, size_t count, change_page *change)
{
    const struct kva_vm *vm = frames->vm;

    if (!frames->movable || frames->is_lost)
        return;
    for (struct noted noted = noted_from(start, count); next_noted(vm, &noted);) {
        const uint32_t first = (uint32_t)frame_page(vm, noted.start) + 1;
        for (size_t i = 0; i < noted.count; i++)
            change(frames, first + (uint32_t)i, noted.numbers[i]);
    }
}

void kva_link_pages(struct kva_vm_frames *frames, uint64_t start, size_t count)
{
    change_pages(frames, start, count, link_page);
}

void kva_unlink_pages(struct kva_vm_frames *frames, uint64_t start, size_t count)
{
    change_pages(frames, start, count, unlink_page);
}

/* ------------------------------------------------------------------------------------------------- checks */

/** The number of pages in a number's chain; `most` + 1 if one of them does not belong there. */
static uint64_t count_pages_in_chain(const struct kva_vm_frames *frames, uint64_t number, uint64_t most)
{
    const struct kva_vm *vm = frames->vm;
    uint64_t count = 0;
    uint32_t before = 0;

    for (uint32_t page = first_page_of(frames, number); page != 0 && count <= most;
         page = page_after(vm, page)) {
        size_t one = 1;
        bool right =
            vm->links[page - 1].prev == before && *numbers_at(vm, address_of_page(vm, page), &one) == number;
        count = right ? count + 1 : most + 1;
        before = page;
    }
    return count;
}

const char *kva_check_names(const struct kva_vm_frames *frames, uint64_t pages)
{
    if (!frames->movable)
        return NULL;
    for (uint64_t number = 0; number < stock_used_end(&frames->stock); number++) {
        uint64_t place = place_of(frames, number);
        if (place >= frames->count || number_at(frames, place) != number)
            return "V14: the places of frames are not a permutation of their numbers";
        uint64_t mapped = count_pages_in_chain(frames, number, pages);
        if (mapped > pages)
            return "V14: a chain of pages is broken, or holds pages of no map";
        pages -= mapped;
    }
    return pages == 0 ? NULL : "V14: a page of a map is missing from the chain of its frame";
}
