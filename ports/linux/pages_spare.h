/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The spare: a mapping in reserve, for a process that has one mapping more than it may.
 *
 * In that state the kernel refuses every mmap, so no replacement can make the mappings fewer; and to unmap a
 * part of the reservation would let another thread's mmap take its place. So each reservation keeps two pages
 * elsewhere, which are two mappings because of their protections:
 *
 *      up    | PROT_NONE | PROT_READ |         down   |      PROT_NONE      |
 *
 * With the spare down the process has one mapping less, which is enough for one mmap over whole mappings.
 * That makes mappings fewer by one or two, and the spare goes up again: by a split, which the kernel refuses
 * at the limit, so the spare never takes the process above it.
 */
#ifndef KVA_PORTS_LINUX_PAGES_SPARE_H
#define KVA_PORTS_LINUX_PAGES_SPARE_H

#include "system.h"

struct spare {
    char *pages; /* NULL: there is no spare */
    uint64_t page;
    bool is_up;
};

/** Put the spare up, or take it down. */
static inline void set_spare(struct spare *spare, bool up, uint64_t *calls)
{
    if (spare->pages && spare->is_up != up &&
        protect_memory(spare->pages + spare->page, (size_t)spare->page, up ? PROT_READ : PROT_NONE, calls))
        spare->is_up = up;
}

/** The spare is shared memory, so that no other mapping merges with it. A reservation works without one. */
static inline void take_spare(struct spare *spare, uint64_t page, uint64_t *calls)
{
    void *pages = mmap(NULL, (size_t)(2 * page), PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    ++*calls;
    *spare = (struct spare){pages == MAP_FAILED ? NULL : pages, page, false};
    set_spare(spare, true, calls);
}

static inline void give_spare(const struct spare *spare)
{
    if (spare->pages)
        (void)munmap(spare->pages, (size_t)(2 * spare->page));
}

#endif
