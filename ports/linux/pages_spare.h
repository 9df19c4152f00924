/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The spare: a mapping in hand, for the time when a process has one more than it may.
 *
 * Then nothing that is replaced makes the mappings fewer, since nothing can be replaced; and to unmap a part
 * of the reservation would let another thread's mmap take its place. So each reservation keeps two pages
 * elsewhere that are two mappings, by their protection:
 *
 *      up    | PROT_NONE | PROT_READ |         down   |      PROT_NONE      |
 *
 * Down, the process has one mapping less, which is enough for one mmap over whole mappings. This makes
 * mappings fewer by one or two, and the spare goes up again. It goes up by a split, which the kernel refuses
 * at the limit, so that it never takes the process above it.
 */
#ifndef KVA_PORTS_LINUX_PAGES_SPARE_H
#define KVA_PORTS_LINUX_PAGES_SPARE_H

#include "system.h"

struct spare {
    char *pages; /* NULL: there is none */
    uint64_t page;
    bool is_up;
};

/** Take a mapping more, or give it back. */
static inline void set_spare(struct spare *spare, bool up, uint64_t *calls)
{
    if (spare->pages && spare->is_up != up &&
        protect_memory(spare->pages + spare->page, (size_t)spare->page, up ? PROT_READ : PROT_NONE, calls))
        spare->is_up = up;
}

/** The spare is shared memory, which no other mapping merges with. A reservation may do without one. */
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
