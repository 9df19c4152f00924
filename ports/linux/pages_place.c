/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Where a reservation lies: one inaccessible mapping, anywhere or in a window.
 *
 * In a window it takes the lowest gap in the list of the process's mappings. Without the list (no /proc, or
 * no file descriptor to read it) it tries places one by one.
 */
#include "gnu.h"

#include "pages_place.h"

#include <errno.h>
#include <sys/auxv.h>

#include "maps.h"
#include "system.h"

/** The lowest multiple of align with `front` bytes between `from` and it. */
static bool place_after(uint64_t from, uint64_t front, uint64_t align, uint64_t *place)
{
    return add_checked(from, front, &from) && align_up(from, align, place);
}

/** The lowest gap for `bytes` at a multiple of align, with `front` before them, from `place` on, by the list
 *  of mappings: false if there is none. *any: whether the list had a line. */
static bool find_in_list(struct kva_maps *maps, uint64_t front, uint64_t bytes, uint64_t align,
                         uint64_t *place, bool *any)
{
    struct kva_mapping mapping;
    uint64_t last;

    *any = false;
    while (kva_maps_next(maps, &mapping)) {
        *any = true;
        if (last_of_range(*place, bytes, &last) && last < mapping.start)
            break;
        if (mapping.end > *place - front && !place_after(mapping.end, front, align, place))
            return false;
    }
    return true;
}

/** The lowest such gap in [min, max]: KVA_OK; KVA_ENOSPC: there is none; KVA_ENOENT: the list cannot be read,
 *  without /proc or a free file descriptor. */
static enum kva_status find_gap(uint64_t min, uint64_t max, uint64_t front, uint64_t bytes, uint64_t align,
                                uint64_t *at)
{
    struct kva_maps maps;
    uint64_t last = 0;
    bool any = false;

    if (!place_after(min, front, align, at))
        return KVA_ENOSPC;
    if (!kva_maps_open(&maps, false))
        return KVA_ENOENT;
    bool fits = find_in_list(&maps, front, bytes, align, at, &any);
    kva_maps_close(&maps);
    if (!any) /* every process has a mapping */
        return KVA_ENOENT;
    return fits && last_of_range(*at, bytes, &last) && last <= max ? KVA_OK : KVA_ENOSPC;
}

/** Reserve at this address, or fail. */
static char *reserve_at(uint64_t at, uint64_t bytes, uint64_t *calls)
{
    char *mapping = map_inaccessible((void *)(uintptr_t)at, bytes, MAP_FIXED_NOREPLACE, calls);

    if (!mapping || (uintptr_t)mapping == at)
        return mapping;
    (void)munmap(mapping, (size_t)bytes); /* before Linux 4.17 the address is a mere hint */
    errno = EEXIST;
    return NULL;
}

/** The highest address of a window that a program can have. The stack is near the end of these, and AT_RANDOM
 *  points into it. */
static uint64_t highest_address(uint64_t min, uint64_t max)
{
    uint64_t stack = getauxval(AT_RANDOM);
    uint64_t highest = 1;

    while (highest < stack)
        highest = 2 * highest + 1;
    return stack == 0 || min > highest ? max : min_u64(max, highest);
}

/** Whether a call was refused because of its address: it is taken, or it is one of the lowest, which the
 *  system keeps. */
static bool is_about_the_place(int error)
{
    return error == EEXIST || error == EPERM;
}

/** Without the list of mappings: try places, lowest first. If there are few, each is tried, and the result is
 *  the same as with the list. Otherwise they are spread evenly, so that no gap longer than a step is missed:
 *
 *      min                                                              max
 *       | x-------x-------x-------x-------x---- ... ----x-------x----x   |
 *         lowest   a step                                       highest   a place needs some room
 */
static char *reserve_by_trial(const struct kva_reservation *spec, uint64_t front, uint64_t min,
                              uint64_t align, uint64_t *calls)
{
    const uint64_t most = 4096; /* 1 ms if all are taken, with a closed page in front and without */
    uint64_t max = highest_address(min, spec->max);
    uint64_t place;

    if (!place_after(min, front, align, &place) || max < spec->bytes - 1)
        return NULL;
    uint64_t highest = align_down(max - (spec->bytes - 1), align);
    if (place > highest)
        return NULL;
    uint64_t step = align_down((highest - place) / most, align) + align;
    for (;;) {
        char *mapping = reserve_at(place - front, spec->bytes + front, calls);
        if (mapping)
            return mapping + front;
        if (!is_about_the_place(errno) || place == highest)
            return NULL;
        place = highest - place > step ? place + step : highest;
    }
}

/** Between the look and the call another thread may take the place: then look again. */
static char *reserve_in_window(const struct kva_reservation *spec, uint64_t front, uint64_t align,
                               uint64_t *calls)
{
    const unsigned most = 8;
    const uint64_t lowest = 65536; /* default of vm.mmap_min_addr: no program maps below it */
    uint64_t min = max_u64(spec->min, lowest);
    uint64_t at;

    for (unsigned tries = 0; tries < most; tries++) {
        enum kva_status status = find_gap(min, spec->max, front, spec->bytes, align, &at);
        if (status == KVA_ENOENT)
            return reserve_by_trial(spec, front, min, align, calls);
        if (status != KVA_OK)
            return NULL;
        char *mapping = reserve_at(at - front, spec->bytes + front, calls);
        if (mapping)
            return mapping + front;
        if (errno != EEXIST)
            return NULL;
    }
    return NULL;
}

static bool is_anywhere(const struct kva_reservation *spec)
{
    return spec->min == 0 && spec->max >= UINTPTR_MAX;
}

/** Reserve spec->bytes with a closed page in front; or, where a window has no room for that, without it, and
 *  page 0 must stay closed. NULL: neither is possible. */
static char *reserve_bytes(const struct kva_reservation *spec, uint64_t page, uint64_t align, uint64_t *front,
                           uint64_t *calls)
{
    *front = page;
    if (is_anywhere(spec))
        return map_aligned(spec->bytes, align, page, PROT_NONE, calls);
    char *first = reserve_in_window(spec, page, align, calls);
    if (first || spec->bytes - page <= spec->frames)
        return first;
    *front = 0;
    return reserve_in_window(spec, 0, align, calls);
}

char *kva_port_reserve_addresses(struct kva_reservation *spec, uint64_t page, uint64_t align, uint64_t *front,
                                 uint64_t *calls)
{
    for (;;) {
        char *first = reserve_bytes(spec, page, align, front, calls);
        if (first)
            return first;
        uint64_t half = align_down(spec->bytes / 2, page);
        if (half < spec->least || half < 2 * page)
            return NULL;
        spec->bytes = half;
        spec->frames = max_u64(align_down(spec->frames / 2, page), page);
    }
}
