/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The life of a stretch: its mechanism, its addresses, its bookkeeping; and the end of all that. */
#include "gnu.h"

#include "pages_life.h"

#include <errno.h>
#include <sys/utsname.h>

#include "pages_pieces.h"
#include "pages_place.h"

_Static_assert(sizeof(struct utsname) <= 4096, "the probe below fits in any page");

/** Whether a page faults, by letting the kernel write to it: it returns EFAULT where the program would
 *  die. */
static bool faults(void *page)
{
    return uname(page) != 0 && errno == EFAULT;
}

/** Whether the kernel knows guard regions, and lets us have them. Its word is not enough: QEMU's user
 *  emulation returns 0 for any advice, and does nothing. */
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

/** Whether it is to be guard regions: KVA_OK, KVA_ENOENT where they are missing, or KVA_ENOMEM if that cannot
 *  be found out. */
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

/** The bookkeeping of a stretch of known size. The record has pages of its own, which read as zero: the
 *  library may lie below the program's malloc. */
static struct stretch *take_stretch(struct kva_stretch *wish, uint64_t page, bool guards)
{
    uint64_t calls = 0; /* the record is not the stretch's */
    struct stretch *stretch = (void *)map_memory(NULL, sizeof *stretch, PROT_READ | PROT_WRITE, 0, &calls);

    if (!stretch)
        return NULL;
    stretch->bytes = wish->bytes;
    stretch->page = page;
    stretch->pages = (wish->bytes - wish->frames) / page;
    stretch->guards = guards;
    stretch->strict = wish->strict;
    stretch->stats.mechanism = guards ? "guard regions" : "protected mappings";
    stretch->budget.taken = 1;
    if (!kva_port_make_tables(stretch, wish)) {
        (void)munmap(stretch, sizeof *stretch);
        return NULL;
    }
    stretch->gate.owner = stretch->tables.own_process;
    take_spare(&stretch->spare, page, &stretch->stats.calls.reserve);
    kva_port_budget_look(&stretch->budget);
    return stretch;
}

enum kva_status kva_port_begin(void *context, struct kva_stretch *wish)
{
    const enum kva_mechanism *mechanism = context;
    uint64_t page = page_size();
    uint64_t align = max_u64(wish->align, GRAIN_PAGES * page);
    uint64_t calls = 0;
    uint64_t front;
    bool guards;

    enum kva_status status = choose_mechanism(*mechanism, page, &guards, &calls);
    if (status != KVA_OK)
        return status;
    char *first = kva_port_reserve(wish, page, align, &front, &calls);
    if (!first)
        return KVA_ENOSPC;
    struct stretch *stretch = take_stretch(wish, page, guards);
    if (!stretch) {
        (void)munmap(first - front, (size_t)(wish->bytes + front));
        return KVA_ENOMEM;
    }
    stretch->first = first;
    stretch->front = front;
    stretch->stats.calls.reserve += calls;
    wish->first = (uintptr_t)first + (page - front);
    wish->bytes -= page - front;
    wish->handle = stretch;
    return KVA_OK;
}

/** The bookkeeping goes first: at the limit on mappings it makes the room that the stretch's own end may
 *  need. */
void kva_port_end(void *context, void *handle)
{
    struct stretch *stretch = handle;
    char *mapping = stretch->first - stretch->front;
    size_t bytes = (size_t)(stretch->bytes + stretch->front);

    (void)context;
    kva_port_gate_close(&stretch->gate);
    give_spare(&stretch->spare);
    kva_port_end_bindings(&stretch->bindings);
    kva_port_tables_end(&stretch->tables);
    (void)munmap(stretch, sizeof *stretch);
    (void)munmap(mapping, bytes);
}
