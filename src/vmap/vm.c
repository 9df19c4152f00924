/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * vmap: address ranges joined to real pages. This file creates, purges and destroys an instance.
 *
 * CONCEPTS     The space knows which addresses are taken; the page source makes pages usable and takes them
 *              away. vmap knows what each range holds, and defers expensive calls: an area is opened by one
 *              call and closed with others in batches. Between a free and the next request of its size it is
 *              not closed. docs/theory/vmap.md draws it.
 *
 * STRUCTURE    src/README.md has the order of the rooms, vm_instance.h the instance, vm_area.h the lookup of
 *              areas, vm_district.c areas on requested nodes of memory, vm_check.c the invariants.
 *
 * LOCKING      vm_instance.h has the locks, vm_area.h the proof of the lookup without the main lock. Long
 *              work is done in slices. Reclaim callbacks run under the reclaim lock only. kva_vfree_ready
 *              takes no lock: it pushes onto a stack that the next call on the instance empties.
 *
 * FAILURE      Prepare, then commit: first the descriptor, then the addresses, then the pages; each step
 *              undoes those before it. Giving back takes no memory and cannot fail: pages that the system
 *              refuses to close become failed unmaps (kva/pages.h).
 *
 * COST         An allocation and a free that the cache serves touch the current CPU's record, the descriptor
 *              and the table's entry: no tree, no contended lock, no system call. Otherwise they cost the
 *              space's O(log n) twice, one call to open, and a share of a purge.
 *
 * NOT DONE     No area of more than 2^32 - 1 pages. Frames have no nodes. One thread at a time takes
 *              addresses.
 *
 * SOURCE. The names vmalloc, vzalloc, vmalloc_huge, vfree, vrealloc, vmap, vunmap and map_ram are those of
 * Linux's calls for the same purposes (include/linux/vmalloc.h). To unmap freed areas late, in batches, is
 * Linux's idea (its lazy purge). The code was written afresh.
 */
#include "../base/limit.h"
#include "vm_cache.h"
#include "vm_check.h"
#include "vm_district.h"
#include "vm_ended.h"
#include "vm_frames.h"
#include "vm_pcpu.h"
#include "vm_ready.h"
#include "vm_retire.h"

/* ---------------------------------------------------------------------------------------------- arguments */

/** The first mandatory function that a page source lacks; NULL if it has all. */
static const char *missing_in_pages(const struct kva_pages *pages)
{
    const struct {
        bool is_there;
        const char *field;
    } functions[] = {
        {pages->reserve, "pages.reserve"},
        {pages->release, "pages.release"},
        {pages->open, "pages.open"},
        {pages->close, "pages.close"},
        {pages->map, "pages.map"},
        {pages->unmap, "pages.unmap"},
        {pages->create_frames, "pages.create_frames"},
        {pages->discard_frames, "pages.discard_frames"},
        {pages->destroy_frames, "pages.destroy_frames"},
        {pages->open_piece, "pages.open_piece"},
        {pages->close_piece, "pages.close_piece"},
        {pages->trim, "pages.trim"},
        {pages->alloc_zeroed, "pages.alloc_zeroed"},
        {pages->free_zeroed, "pages.free_zeroed"},
        {pages->stats, "pages.stats"},
        {pages->this_cpu, "pages.this_cpu"},
    };

    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        if (!functions[i].is_there)
            return functions[i].field;
    }
    return NULL;
}

static const char *null_in_vm_config(const struct kva_vm_config *config)
{
    if (!config->memory.take || !config->memory.give)
        return config->memory.take ? "memory.give" : "memory.take";
    if (!config->engine)
        return "engine";
    const char *missing = missing_in_pages(&config->pages);
    const struct kva_threads *threads = threads_asked(config->threads, config->one_thread);
    return missing || !threads ? missing : kva_missing_in_threads(threads);
}

static enum kva_status validate_vm_config(const struct kva_vm_config *config, struct kva_bad *bad)
{
    const struct kva_pages *pages = &config->pages;
    const char *missing = null_in_vm_config(config);

    if (missing)
        return bad_field(bad, KVA_ENULL, missing);
    if (config->huge < KVA_HUGE_ASKED || config->huge > KVA_HUGE_LARGE)
        return bad_field(bad, KVA_EINVAL, "huge");
    const char *field = bad_in_nodes(&config->node, "node.policy", "node.set");
    if (field)
        return bad_field(bad, KVA_EINVAL, field);
    if (!is_power_of_two(pages->page) || pages->page <= KEY_BITS)
        return bad_field(bad, KVA_EALIGN, "pages.page");
    if (pages->huge != 0 && (!is_power_of_two(pages->huge) || pages->huge < pages->page))
        return bad_field(bad, KVA_EALIGN, "pages.huge");
    return config->max != 0 && config->min > config->max ? bad_field(bad, KVA_EWINDOW, "max") : KVA_OK;
}

/** The default size of a reservation. On a 64-bit host: more than the memory of most machines, and
 *  little of 128 TiB of addresses; on a 32-bit host: a fair part of 3 GiB. */
static uint64_t default_reservation(void)
{
    return sizeof(void *) == 8 ? UINT64_C(1) << 40 : UINT64_C(512) << 20;
}

static uint64_t limit_of(uint64_t asked, unsigned cpus)
{
    if (asked == KVA_VM_NONE)
        return 0;
    return asked != 0 ? asked : default_limit(cpus);
}

/** The largest reservation: pages are counted in 32 bits, and a 32-bit host has little address space. */
static uint64_t most_reservation(uint64_t page)
{
    uint64_t by_count = (UINT64_C(1) << 31) * page;

    return sizeof(void *) == 8 ? by_count : min_u64(by_count, UINT64_C(1) << 31);
}

/** What to request from the page source: whole pages, aligned to huge pages. KVA_ENOSPC if even the least is
 *  more than an instance can have. */
static enum kva_status reservation_of(const struct kva_vm_config *config, struct kva_reservation *reservation,
                                      struct kva_bad *bad)
{
    uint64_t page = config->pages.page;
    uint64_t bytes = max_u64(config->reservation != 0 ? config->reservation : default_reservation(),
                             config->reservation_least);

    if (config->reservation_least > most_reservation(page))
        return KVA_ENOSPC;
    *reservation = (struct kva_reservation){
        .min = config->min, .max = config->max != 0 ? config->max : UINTPTR_MAX, .strict = config->hardened};
    reservation->align = max_u64(page, config->pages.huge);
    if (!align_up(min_u64(bytes, most_reservation(page)), page, &reservation->bytes))
        return bad_field(bad, KVA_EWRAP, "reservation");
    uint64_t least = config->reservation_least != 0 ? config->reservation_least : UINT64_C(16) << 20;
    reservation->least = min_u64(least, reservation->bytes);
    uint64_t frames = config->frames_part != 0 ? config->frames_part : reservation->bytes / 4;
    if (!align_up(frames, page, &reservation->frames) || reservation->frames >= reservation->bytes)
        return bad_field(bad, KVA_ESIZE, "frames_part");
    return KVA_OK;
}

/* ----------------------------------------------------------------------------------------------- creation */

/** The pages of the largest cacheable area: one with a bin of its own may fill a CPU's share, any other a
 *  quarter of it. */
static uint32_t largest_cached(const struct kva_vm *vm)
{
    uint64_t limit = vm->cache_share >> vm->page_shift;

    return (uint32_t)min_u64(max_u64(limit / 4, min_u64(limit, KVA_VM_CLASSES)), UINT32_MAX);
}

/** The pages of a grain (vm_park.c): those that one page table maps. Linux takes some 100 to 200 ns to drop a
 *  touched page, so a slice takes up to some 100 us; the call for it adds 1.3 us. A grain holds 256 areas of
 *  one page with their guards, whose descriptors and segments take some 200 ns each. Without threads no
 *  thread waits, and a run may have any length. */
enum { SLICE_PAGES = 512 };

/** The fields of the cache, the parked ring, the quarantine and the ended maps. */
static void set_up_idle(struct kva_vm *vm, const struct kva_vm_config *config)
{
    /* A size in memory fits size_t, by which 32-bit hosts can divide. */
    uint64_t cache = config->hardened ? 0 : limit_of(config->cache_bytes, vm->cpus);

    vm->cache_share = (size_t)min_u64(cache, SIZE_MAX) / vm->locks.cpu_count;
    vm->cache_pages = largest_cached(vm);
    vm->fast_bytes = config->zero_always || config->hardened ? 0 : KVA_VM_CLASSES * (size_t)page_of(vm);
    vm->parked.ring.next = vm->parked.ring.prev = &vm->parked.ring;
    vm->parked.limit = limit_of(config->lazy_bytes, vm->cpus);
    vm->parked.slice_bytes = vm->locks.threads ? bytes_of_pages(vm, SLICE_PAGES) : UINT64_C(1) << 61;
    vm->quarantine.tail = &vm->quarantine.head;
    vm->quarantine.limit = config->hardened ? limit_of(config->quarantine_bytes, vm->cpus) : 0;
    vm->ended.ring.next = vm->ended.ring.prev = &vm->ended.ring;
}

static void set_up_fields(struct kva_vm *vm, const struct kva_vm_config *config)
{
    vm->cpus = config->cpus != 0 ? config->cpus : 1;
    while (page_of(vm) < config->pages.page)
        vm->page_shift++;
    vm->guard = config->without_guards ? 0 : 1;
    vm->hardened = config->hardened;
    vm->zero_always = config->zero_always;
    list_init(&vm->plans);
    kva_init_districts(vm, &config->node);
    vm->random = config->seed;
    vm->pages = config->pages;
    vm->huge = config->huge;
    vm->grace = config->grace;
    vm->symbol = config->symbol;
    vm->symbol_context = config->symbol_context;
    vm->ledger.memory = config->memory;
    vm->ledger.hooks = (struct kva_hooks){config->on_misuse, config->on_corruption, config->hook_context};
    set_up_idle(vm, config);
}

static void set_up_nodes(struct kva_vm *vm)
{
    kva_nodes_init(&vm->areas, &vm->ledger, KVA_LINE);
    kva_nodes_init(&vm->records, &vm->ledger, round_to_line(sizeof(struct kva_later)));
}

/** Reserve addresses, and make tables and a space over them. */
static enum kva_status reserve(struct kva_vm *vm, const struct kva_vm_config *config,
                               struct kva_reservation *reservation)
{
    kva_ask_for_tables(vm, reservation);
    enum kva_status status = vm->pages.reserve(vm->pages.context, reservation);

    if (status != KVA_OK)
        return status;
    vm->reservation = reservation->handle;
    vm->first = (uintptr_t)reservation->first;
    vm->bytes = (size_t)reservation->bytes;
    vm->frames_first = reservation->first + (reservation->bytes - reservation->frames);
    kva_init_tables(vm, reservation);
    if (config->node.policy != KVA_VM_NODES_ANY)
        status = kva_bind_pages(vm, vm->first, vm->frames_first - vm->first, &config->node);
    if (status == KVA_OK)
        status = kva_init_places(vm, config);
    if (status != KVA_OK)
        vm->pages.release(vm->pages.context, vm->reservation);
    return status;
}

/** Without memory for the tables of a reservation, try half of it, down to the least. */
static enum kva_status build_instance(struct kva_vm *vm, const struct kva_vm_config *config,
                                      struct kva_reservation *reservation)
{
    const uint64_t page = page_of(vm);

    set_up_nodes(vm);
    enum kva_status status = reserve(vm, config, reservation);
    while (status == KVA_ENOMEM && reservation->bytes / 2 >= reservation->least &&
           reservation->bytes >= 4 * page) {
        reservation->bytes = align_down(reservation->bytes / 2, page);
        reservation->frames = max_u64(align_down(reservation->frames / 2, page), page);
        status = reserve(vm, config, reservation);
    }
    return status;
}

/** One block of memory holds the instance and its CPU records, which start on cache lines:
 *
 *      | pad | struct kva_vm | CPU 0 | CPU 1 | ... |
 */
static struct kva_vm *take_instance(const struct kva_vm_config *config)
{
    const struct kva_threads *threads = threads_asked(config->threads, config->one_thread);
    unsigned cpus = 1;

    if (threads)
        cpus = threads->cpus != 0 ? threads->cpus : config->cpus != 0 ? config->cpus : 1;
    const size_t own = (size_t)round_to_line(sizeof(struct kva_vm));
    uint64_t bytes = own + cpus * (uint64_t)sizeof(struct kva_vm_cpu) + KVA_LINE;
    void *taken = bytes <= SIZE_MAX ? config->memory.take(config->memory.context, (size_t)bytes) : NULL;
    if (!taken)
        return NULL;
    memset(taken, 0, (size_t)bytes);
    struct kva_vm *vm = (void *)round_to_line((uintptr_t)taken);
    vm->taken = taken;
    vm->taken_bytes = (size_t)bytes;
    vm->locks.threads = threads;
    vm->locks.cpus = (char *)vm + own;
    vm->locks.cpu_bytes = sizeof(struct kva_vm_cpu);
    vm->locks.cpu_count = cpus;
    return vm;
}

static void give_instance(const struct kva_vm *vm)
{
    const struct kva_memory memory = vm->ledger.memory;

    memory.give(memory.context, vm->taken, vm->taken_bytes);
}

enum kva_status kva_vm_create_from(const struct kva_vm_config *config, struct kva_vm **vm)
{
    struct kva_reservation reservation;

    if (!config || !vm)
        return KVA_ENULL;
    struct kva_hooks hooks = {config->on_misuse, config->on_corruption, config->hook_context};
    struct kva_bad bad;
    enum kva_status status = validate_vm_config(config, &bad);
    if (status == KVA_OK)
        status = reservation_of(config, &reservation, &bad);
    if (status != KVA_OK)
        return is_misuse(status) ? kva_report_misuse(&hooks, status, __func__, config->min, &bad) : status;
    struct kva_vm *made = take_instance(config);
    if (!made)
        return KVA_ENOMEM;
    set_up_fields(made, config);
    status = build_instance(made, config, &reservation);
    if (status == KVA_OK)
        *vm = made;
    else
        give_instance(made);
    return status;
}

/* -------------------------------------------------------------------------------------------- destruction */

/** Whether an area is still allocated. A per-CPU chunk without objects is not. */
static bool is_leak(const struct kva_vm *vm, const struct kva_vm_area *area)
{
    if (area->state != KVA_VM_LIVE && area->state != KVA_VM_LATER)
        return false;
    return area->kind != KVA_VM_PCPU || !kva_pcpu_is_empty(vm, area->start);
}

/** Report the areas that are still allocated; returns whether there were any. */
static bool report_leaks(struct kva_vm *vm, kva_vm_leak *leak, void *context)
{
    struct kva_vm_area area = {0};
    bool any = false;

    while ((leak || !any) && kva_vm_next(vm, &area) == KVA_OK) {
        if (!is_leak(vm, &area))
            continue;
        any = true;
        if (leak)
            leak(context, &area);
    }
    return any;
}

static void unpoison_all(struct kva_vm *vm)
{
    struct kva_vm_area area = {0};

    while (KVA_POISONS && kva_vm_next(vm, &area) == KVA_OK)
        unpoison((void *)area.start, area.last - area.start + 1);
}

/** Free the ready areas. The areas that remain live or later are leaks. */
static enum kva_status begin_to_end(struct kva_vm *vm, const char *where)
{
    if (!vm)
        return KVA_ENULL;
    if (lock_unless_reclaiming(vm, where) != KVA_OK)
        return KVA_EREENTRY;
    kva_free_ready(vm);
    main_drop(&vm->locks);
    return KVA_OK;
}

/** Destroy an instance, even with live areas in it. */
static void end_instance(struct kva_vm *vm)
{
    main_take(&vm->locks);
    kva_pcpu_trim(vm);
    (void)kva_purge_idle(vm);
    main_drop(&vm->locks);
    unpoison_all(vm);
    kva_pcpu_end(vm);
    kva_end_ended(vm);
    kva_vm_frames_end(vm);
    end_places(vm);
    vm->pages.release(vm->pages.context, vm->reservation);
    kva_nodes_fini(&vm->ledger);
    give_instance(vm);
}

enum kva_status kva_vm_destroy(struct kva_vm *vm, kva_vm_leak *leak, void *context)
{
    enum kva_status status = begin_to_end(vm, __func__);

    if (status != KVA_OK)
        return status;
    if (report_leaks(vm, leak, context))
        return lock_and_refuse(vm, KVA_EBUSY, __func__, 0, NULL);
    end_instance(vm);
    return KVA_OK;
}

enum kva_status kva_vm_abandon(struct kva_vm *vm, kva_vm_leak *leak, void *context)
{
    enum kva_status status = begin_to_end(vm, __func__);

    if (status != KVA_OK)
        return status;
    if (leak)
        (void)report_leaks(vm, leak, context);
    end_instance(vm);
    return KVA_OK;
}

/* -------------------------------------------------------------------------------------------------- purge */

/** Free the slabs of descriptors and records, if none of them is in use. */
static void restart_nodes(struct kva_vm *vm)
{
    if (vm->areas.in_use > 0 || vm->records.in_use > 0)
        return;
    kva_nodes_fini(&vm->ledger);
    set_up_nodes(vm);
}

/** Give back bookkeeping that is not needed. With all CPUs' locks: other lookups hold one of them.
 *  kva_vm_fault_describe holds none: while it runs, what it may have found stays. */
static void give_back_bookkeeping(struct kva_vm *vm)
{
    bool is_read = kva_trim_tables(vm);

    if (vm->all.areas > 0 || is_read)
        return;
    restart_nodes(vm);
    if (vm->districts.count == 0)
        kva_renew_places(vm);
}

/** Level 3, with all locks held: check the mappings of pages without an owner. */
static void verify_mappings(const struct kva_vm *vm)
{
    uint64_t at = 0;
    const char *broken = KVA_CHECK_LEVEL >= 3 ? kva_check_mappings(vm, &at) : NULL;

    if (broken)
        kva_report_corruption(&vm->ledger.hooks, "kva_vm_purge", broken, at);
}

enum kva_status kva_vm_purge(struct kva_vm *vm)
{
    if (!vm)
        return KVA_ENULL;
    if (lock_unless_reclaiming(vm, __func__) != KVA_OK)
        return KVA_EREENTRY;
    kva_free_ready(vm);
    (void)kva_purge_idle(vm);
    if (vm->pages.retry_unmaps)
        vm->pages.retry_unmaps(vm->pages.context, vm->reservation);
    kva_cpus_take(&vm->locks); /* no free reads a table or a descriptor now */
    give_back_bookkeeping(vm);
    verify_mappings(vm);
    kva_cpus_drop(&vm->locks);
    vm->pages.trim(vm->pages.context, vm->reservation);
    main_drop(&vm->locks);
    return KVA_OK;
}

enum kva_status kva_vm_status(const struct kva_vm *vm)
{
    return vm ? (enum kva_status)atomic_load_explicit(&vm->status, memory_order_relaxed) : KVA_ENULL;
}

const struct kva_space *kva_vm_space(const struct kva_vm *vm)
{
    return vm ? vm->space : NULL;
}
