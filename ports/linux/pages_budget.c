/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The budget of mappings.
 *
 * A process may have vm.max_map_count mappings. An opening that would exceed those that are left is refused
 * before the kernel refuses it; a close that would exceed them uses markers, or leaves failed unmaps
 * (pages_join.c). How many are left is known from a LOOK at all mappings of the process: when the reservation
 * begins, when it has taken an eighth of them, before a refusal, and up to ten times a second while no plenty
 * is left. Without /proc, or a file descriptor to read it, the limit is unknown, and only the kernel refuses.
 *
 *      0                                                 3/4            15/16       max_map_count
 *      |------ others ------|------- the reservation -----|---------------|---------------|
 *                                                       plenty          limit
 *
 * Up to the limit the reservation takes mappings that it needs. It takes those that it can do without
 * (pages_join.c) only while a quarter is left to the rest of the program.
 */
#include "gnu.h"

#include "pages_budget.h"

#include <time.h>

#include "../../src/base/arith.h"
#include "maps.h"

/** How many mappings the process may have, by the last successful read; 0: there was none. */
static uint64_t mappings_allowed(struct look *look)
{
    uint64_t allowed = read_number("/proc/sys/vm/max_map_count");

    if (allowed != 0)
        look->allowed = allowed;
    return look->allowed;
}

static uint64_t milliseconds(void)
{
    struct timespec time = {0, 0};

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

/** The pages of the process, and those that count as data. They are quick to read, and nearly every change of
 *  the mappings changes one of them. */
static struct sizes read_sizes(void)
{
    struct sizes sizes = {0, 0};
    struct reader reader;

    if (!reader_open(&reader, "/proc/self/statm"))
        return sizes;
    (void)reader_number(&reader, 10, &sizes.all);
    for (unsigned i = 0; i < 5; i++) /* resident shared text lib data */
        (void)(reader_skip(&reader, ' ') && reader_number(&reader, 10, &sizes.data));
    reader_close(&reader);
    return sizes;
}

/** How long a look is valid, in ms. It takes 0.1 us for each mapping, or many times that in an emulator;
 *  where other threads change mappings all the time, looks take a twentieth of the time. */
static uint64_t lifetime(const struct look *look)
{
    return max_u64(100, 20 * look->took);
}

/** Whether the last look is still right about the mappings of others. */
static bool is_fresh(const struct look *look, struct sizes sizes)
{
    return look->mappings != 0 && sizes.all != 0 && sizes.all == look->sizes.all &&
           sizes.data == look->sizes.data && milliseconds() - look->time <= lifetime(look);
}

/** How many mappings the process has: others by the last successful look, its own as counted now. */
static uint64_t mappings_now(struct budget *budget)
{
    struct look *look = &budget->look;
    struct sizes sizes = read_sizes();
    uint64_t began = milliseconds();
    uint64_t mappings = is_fresh(look, sizes) ? 0 : kva_maps_count();
    uint64_t ended = milliseconds();

    if (mappings != 0)
        *look = (struct look){look->allowed, mappings, budget->taken, ended, ended - began, sizes};
    uint64_t now = look->mappings + budget->taken; /* its own are always known */
    return now - min_u64(now, look->own);
}

/** Let the reservation take the rest, less a sixteenth for the program. Others take mappings and give them
 *  back, so the result is good for an eighth of the rest; then there is another look. */
void kva_port_budget_look(struct budget *budget)
{
    const uint64_t least = 64;    /* so that the last mappings do not take a look each */
    const uint64_t usual = 65530; /* vm.max_map_count on most systems */
    uint64_t allowed = mappings_allowed(&budget->look);

    budget->looked = milliseconds();
    if (allowed == 0) { /* unknown: try again after some more */
        budget->good_for = budget->taken + least;
        budget->plenty = usual - usual / 4;
        return;
    }
    uint64_t now = mappings_now(budget);
    uint64_t left = allowed - min_u64(allowed, now + allowed / 16);
    budget->limit = budget->taken + left;
    budget->plenty = budget->taken + allowed - min_u64(budget->taken + allowed, now + allowed / 4 + least);
    budget->good_for = budget->taken + min_u64(left, max_u64(left / 8, least));
}

bool kva_port_has_plenty(struct budget *budget, uint64_t more)
{
    uint64_t then = budget->taken + more;

    if (then <= budget->plenty ? then > budget->good_for
                               : milliseconds() - budget->looked > lifetime(&budget->look))
        kva_port_budget_look(budget);
    return then <= budget->plenty;
}

/** The kernel returns ENOMEM for a lack of memory and of mappings, so this counts the mappings. Within 8 of
 *  the limit it was the limit: one call may need as many as 2 more, and other threads come and go. */
enum kva_status kva_port_why_refused(struct budget *budget)
{
    uint64_t allowed = mappings_allowed(&budget->look);

    return allowed != 0 && mappings_now(budget) + 8 >= allowed ? KVA_ELIMIT : KVA_ENOMEM;
}
