/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * vmap: address ranges joined to real pages. The life of an instance.
 *
 * CONCEPTS     The space below knows which addresses are taken; the page source knows how to make pages
 *              usable and how to take them away. vmap knows what a range holds, and puts off what is
 *              expensive. An area is opened by one call and closed in batches; between a free and the next
 *              request of that size, it is not closed at all. docs/theory/vmap.md draws it.
 *
 * STRUCTURE    src/README.md has the order of the rooms, vm_instance.h the instance, vm_area.h how areas are
 *              found, vm_check.c the invariants.
 *
 * COST         An allocation and a free that the cache serves touch this CPU's record, the descriptor and the
 *              table's entry, and nothing else: no tree, no lock that others want, no call. What the cache
 *              does not serve costs the space's O(log n) twice, one call to open, and its share of a purge.
 *
 * FAILURE      Prepare, then commit: the descriptor first, then the addresses, then the pages; each step
 *              undoes those before it. Giving back takes no memory and cannot fail: what cannot be unmapped
 *              is zeroed by the next open, and counted (failed_unmaps).
 *
 * LOCKING      vm_instance.h has the locks, vm_area.h why a free may look without the instance's. Everything
 *              slow is done in slices, and callbacks run without any lock but the one that keeps them apart.
 *              kva_vfree_ready takes none: it pushes onto a stack, which the next call empties.
 *
 * NODES        What asks for nodes of memory lies in districts: vm_district.c.
 *
 * NOT DONE     No area of more than 2^32 - 1 pages; frames have no nodes. One thread at a time takes
 *              addresses.
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

/* ------------------------------------------------------------------------------------------ arguments */

/** The function that a page source lacks; NULL if it has all that it must have. */
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

/** The bytes that are asked for when the config does not say: on a 64-bit host far more than any machine has
 *  memory, and little of 128 TiB; on a 32-bit one a fair part of 3 GiB. */
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

/** The most that is reserved: pages are counted in 32 bits, pointers have as many as they have. */
static uint64_t most_reservation(uint64_t page)
{
    uint64_t by_count = (UINT64_C(1) << 31) * page;

    return sizeof(void *) == 8 ? by_count : min_u64(by_count, UINT64_C(1) << 31);
}

/** What to ask the page source for: whole pages, and whole huge ones as its alignment. KVA_ENOSPC if not even
 *  the least can be had. */
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

/* ---------------------------------------------------------------------------------------------- beginning */

/** The largest area that is cached: one that has a bin of its own may fill a CPU's share, others a quarter of
 *  it. */
static uint32_t largest_cached(const struct kva_vm *vm)
{
    uint64_t limit = vm->cache_share >> vm->page_shift;

    return (uint32_t)min_u64(max_u64(limit / 4, min_u64(limit, KVA_VM_CLASSES)), UINT32_MAX);
}

/** What is closed under one hold of the lock: the pages that one page table maps. To drop a page that was
 *  touched takes Linux some 100 to 200 ns, so this takes up to some 100 us, and of a call for each, which
 *  takes 1.3 us beside, it makes little. Areas of one page and their guards come to 256 in a slice, and their
 *  descriptors and segments to some 200 ns each. Without threads nobody waits, and a run may have any
 *  length. */
enum { SLICE_PAGES = 512 };

/** The cache, what is parked, the quarantine, ended maps. */
static void set_up_idle(struct kva_vm *vm, const struct kva_vm_config *config)
{
    /* What memory can hold fits a size, which 32-bit hosts can divide. */
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

/** Reserve addresses, with tables and a space over them. */
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

/** Where there is no memory for the tables of a reservation, there may be for those of half of it. */
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

/** One block of memory holds the instance and its CPUs' records, which begin on cache lines:
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

/* --------------------------------------------------------------------------------------------------- end */

/** Whether an area is still somebody's. A per-CPU chunk without objects is not. */
static bool is_leak(const struct kva_vm *vm, const struct kva_vm_area *area)
{
    if (area->state != KVA_VM_LIVE && area->state != KVA_VM_LATER)
        return false;
    return area->kind != KVA_VM_PCPU || !kva_pcpu_is_empty(vm, area->start);
}

/** Report what is still somebody's; returns whether there was any. */
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

/** Free what is ready: then the areas that are live or later are somebody's. */
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

/** End an instance, whatever is live in it. */
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

/* -------------------------------------------------------------------------------------------- giving back */

/** Empty the node caches, if no node is in use. */
static void restart_nodes(struct kva_vm *vm)
{
    if (vm->areas.in_use > 0 || vm->records.in_use > 0)
        return;
    kva_nodes_fini(&vm->ledger);
    set_up_nodes(vm);
}

/** Give back what the bookkeeping does not need. Calls that read it hold a CPU's lock, but for
 *  kva_vm_fault_describe: if that is looking, what it may have found stays. With all CPUs' locks. */
static void give_back_bookkeeping(struct kva_vm *vm)
{
    bool is_read = kva_trim_tables(vm);

    if (vm->all.areas > 0 || is_read)
        return;
    restart_nodes(vm);
    if (vm->districts.count == 0)
        kva_renew_places(vm);
}

/** Level 3: with all locks held, whether what nobody owns is mapped as it should be. */
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
    kva_cpus_take(&vm->locks); /* no free looks at a table or a descriptor now */
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
