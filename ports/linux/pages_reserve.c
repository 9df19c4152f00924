/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** kva_pages.reserve and .release: a reservation's mechanism, addresses and bookkeeping. */
#include "gnu.h"

#include "pages_reserve.h"

#include <errno.h>
#include <sys/utsname.h>

#include "pages_pieces.h"
#include "pages_place.h"

_Static_assert(sizeof(struct utsname) <= 4096, "the probe below fits in any page");

/** Whether a page faults: the kernel is made to write to it, and returns EFAULT where the program would
 *  die. */
static bool faults(void *page)
{
    return uname(page) != 0 && errno == EFAULT;
}

/** Whether the kernel has guard regions, and lets the program use them. Its return value is not enough:
 *  QEMU's user emulation returns 0 for any advice, and does nothing. */
static enum kva_status probe_guards(uint64_t page, bool *has, uint64_t *calls)
{
    void *probe = map_memory(NULL, page, PROT_READ | PROT_WRITE, 0, calls);

    if (!probe)
        return KVA_ENOMEM;
    *has = madvise(probe, (size_t)page, MADV_GUARD_INSTALL) == 0 && faults(probe) &&
           madvise(probe, (size_t)page, MADV_GUARD_REMOVE) == 0;
    (void)munmap(probe, (size_t)page);
    *calls += 4;
    return KVA_OK;
}

/** Whether to use guard regions: KVA_OK; KVA_ENOENT: they were asked for, and are missing; KVA_ENOMEM: this
 *  cannot be determined. */
static enum kva_status choose_mechanism(enum kva_mechanism mechanism, uint64_t page, bool *guards,
                                        uint64_t *calls)
{
    *guards = false;
    if (mechanism == KVA_MECHANISM_MAPPINGS)
        return KVA_OK;
    enum kva_status status = probe_guards(page, guards, calls);
    if (status != KVA_OK)
        return status;
    return mechanism == KVA_MECHANISM_GUARDS && !*guards ? KVA_ENOENT : KVA_OK;
}

/** The bookkeeping of a reservation of known size. It has pages of its own, which read as zero: the program's
 *  malloc may use the library. */
static struct reservation *take_reservation(struct kva_reservation *spec, uint64_t page, bool guards)
{
    uint64_t calls = 0; /* not counted */
    struct reservation *reservation =
        (void *)map_memory(NULL, sizeof *reservation, PROT_READ | PROT_WRITE, 0, &calls);

    if (!reservation)
        return NULL;
    reservation->bytes = spec->bytes;
    reservation->page = page;
    reservation->pages = (spec->bytes - spec->frames) / page;
    reservation->guards = guards;
    reservation->strict = spec->strict;
    reservation->stats.mechanism = guards ? "guard regions" : "protected mappings";
    reservation->budget.taken = 1;
    if (!kva_port_make_tables(reservation, spec)) {
        (void)munmap(reservation, sizeof *reservation);
        return NULL;
    }
    reservation->gate.owner = reservation->tables.own_process;
    take_spare(&reservation->spare, page, &reservation->stats.calls.reserve);
    kva_port_budget_look(&reservation->budget);
    return reservation;
}

enum kva_status kva_port_reserve(void *context, struct kva_reservation *spec)
{
    const enum kva_mechanism *mechanism = context;
    uint64_t page = page_size();
    uint64_t align = max_u64(spec->align, GRAIN_PAGES * page);
    uint64_t calls = 0;
    uint64_t front;
    bool guards;

    enum kva_status status = choose_mechanism(*mechanism, page, &guards, &calls);
    if (status != KVA_OK)
        return status;
    char *first = kva_port_reserve_addresses(spec, page, align, &front, &calls);
    if (!first)
        return KVA_ENOSPC;
    struct reservation *reservation = take_reservation(spec, page, guards);
    if (!reservation) {
        (void)munmap(first - front, (size_t)(spec->bytes + front));
        return KVA_ENOMEM;
    }
    reservation->first = first;
    reservation->front = front;
    reservation->stats.calls.reserve += calls;
    spec->first = (uintptr_t)first + (page - front);
    spec->bytes -= page - front;
    spec->handle = reservation;
    return KVA_OK;
}

/** The bookkeeping goes first: at the limit on mappings this makes the room that unmapping the reservation
 *  may need. */
void kva_port_release(void *context, void *handle)
{
    struct reservation *reservation = handle;
    char *mapping = reservation->first - reservation->front;
    size_t bytes = (size_t)(reservation->bytes + reservation->front);

    (void)context;
    kva_port_gate_close(&reservation->gate);
    give_spare(&reservation->spare);
    kva_port_end_bindings(&reservation->bindings);
    kva_port_tables_end(&reservation->tables);
    (void)munmap(reservation, sizeof *reservation);
    (void)munmap(mapping, bytes);
}
