/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Taking areas: the short way through the cache, the long way through the space, and what to do when either space,
 * memory or mappings are short.
 *
 *      kva_vmalloc --bin not empty--> the area on top of it, as it is       under this CPU's lock
 *           |
 *      request -> wish               arguments are checked here           no lock
 *           |
 *      bins of all CPUs              for the forms with flags, too        each CPU's lock
 *           |                                                             from here on: the instance's lock
 *      descriptor, addresses, pages  each may be refused; then what came before is undone
 *           |  refused
 *      purge, attempt again; ask a reclaim callback, attempt again; ...
 */
#include "vm.h"

/* ---------------------------------------------------------------------------------------------- arguments */

enum kva_status kva_pages_of(const struct kva_vm *vm, size_t size, unsigned *flags, uint32_t *pages,
                             struct kva_bad *bad)
{
    uint64_t unit = page_of(vm);
    uint64_t bytes;

    if (size == 0)
        return bad_field(bad, KVA_ESIZE, "size");
    bool pays = vm->pages.huge != 0 && vm->huge != KVA_HUGE_NEVER && size >= vm->pages.huge;
    if (!pays)
        *flags &= ~(unsigned)KVA_VM_HUGE;
    if (*flags & KVA_VM_HUGE)
        unit = vm->pages.huge;
    if (!align_up(size, unit, &bytes) || bytes > SIZE_MAX)
        return bad_field(bad, KVA_EWRAP, "size");
    /* What no reserve can hold need not fit 32 bits: the largest count of them is refused all the same. */
    *pages = (uint32_t)min_u64(bytes >> vm->page_shift, UINT32_MAX);
    return KVA_OK;
}

/** Cut a request's window to the private part. The guard page may lie after the window. A window that was left out, [0, 0], is
 *  all of the part. */
static enum kva_status cut_window(const struct kva_vm *vm, const struct kva_vm_request *request,
                                  struct kva_wish *wish, struct kva_bad *bad)
{
    uint64_t last = vm->frames_first - 1;
    uint64_t max = (request->min | request->max) == 0 ? UINT64_MAX : request->max;

    if (request->min > max || max < vm->first)
        return bad_field(bad, KVA_EWINDOW, "max");
    if (request->min > last)
        return bad_field(bad, KVA_EWINDOW, "min");
    wish->min = max_u64(request->min, vm->first);
    if (!add_checked(max, bytes_of_pages(vm, vm->guard), &wish->max))
        wish->max = last;
    wish->max = min_u64(wish->max, last);
    wish->anywhere = request->min <= vm->first && max >= last;
    return KVA_OK;
}

static enum kva_status wish_of(const struct kva_vm *vm, const struct kva_vm_request *request,
                               struct kva_wish *wish, struct kva_bad *bad)
{
    const unsigned known = KVA_VM_ZERO | KVA_VM_HUGE | KVA_VM_NO_BLOCK;

    if (!has_one_bit_at_most(request->align)) /* 0 stands for 1, which counts as the page */
        return bad_field(bad, KVA_EALIGN, "align");
    if (request->flags & ~known)
        return bad_field(bad, KVA_EINVAL, "flags");
    *wish = (struct kva_wish){.size = request->size, .flags = request->flags, .caller = request->caller};
    wish->owner = request->owner;
    wish->guard = vm->guard;
    wish->align = max_u64(request->align, page_of(vm));
    enum kva_status status = cut_window(vm, request, wish, bad);
    if (status != KVA_OK)
        return status;
    if (vm->huge == KVA_HUGE_LARGE && wish->anywhere)
        wish->flags |= KVA_VM_HUGE;
    status = kva_pages_of(vm, request->size, &wish->flags, &wish->pages, bad);
    wish->bytes = bytes_of_pages(vm, (uint64_t)wish->pages + wish->guard);
    if (wish->flags & KVA_VM_HUGE)
        wish->align = max_u64(wish->align, vm->pages.huge);
    return status;
}

/* ------------------------------------------------------------------------------------------------ placing */

uint64_t kva_vm_random_below(struct kva_vm *vm, uint64_t bound)
{
    /* SplitMix64 (Steele, Lea and Flood, 2014), and the bits masked and drawn again until they are below. */
    uint64_t mask = bound - 1;

    for (unsigned shift = 1; shift < 64; shift *= 2)
        mask |= mask >> shift;
    for (;;) {
        uint64_t z = vm->random += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        z = (z ^ (z >> 31)) & mask;
        if (z < bound)
            return z;
    }
}

/** A random place for a hardened area: the lowest that fits above a random page of the part that areas are strewn over;
 *  failing that, anywhere. */
static enum kva_status place_at_random(struct kva_vm *vm, const struct kva_wish *wish,
                                       struct kva_request *request, uint64_t *start)
{
    uint64_t first = is_in_frames_part(vm, wish->min) ? vm->scatter_frames : vm->scatter;
    uint64_t last = min_u64(first + (KVA_VM_SCATTER - 1), wish->max);
    uint64_t room = last - first + 1;

    if (wish->bytes <= room) {
        request->min = first + kva_vm_random_below(vm, room - wish->bytes + 1);
        request->max = last;
        enum kva_status status = kva_alloc(vm->space, request, start);
        if (status != KVA_ENOSPC)
            return status;
    }
    request->min = wish->min;
    request->max = wish->max;
    return kva_alloc(vm->space, request, start);
}

enum kva_status kva_place_area(struct kva_vm *vm, const struct kva_wish *wish, uint64_t *start)
{
    struct kva_request request = {wish->bytes, wish->align, wish->min, wish->max, NULL, KVA_LOWEST};

    if (wish->max < wish->min || wish->max - wish->min < wish->bytes - 1)
        return KVA_ENOSPC;
    if (vm->hardened && wish->anywhere)
        return place_at_random(vm, wish, &request, start);
    return kva_alloc(vm->space, &request, start);
}

/** Have pieces for `count` entries of a table from entry `at` on, `each` of them in a piece. */
static enum kva_status ready_table(struct kva_vm *vm, struct sparse *table, uint64_t at, uint64_t count,
                                   uint64_t each)
{
    return sparse_ensure(table, at / each, (at + (count - 1)) / each + 1, vm->pages.piece, vm->pages.context,
                         vm->stretch);
}

enum kva_status kva_ready_tables(struct kva_vm *vm, uint64_t start, uint64_t areas, uint64_t frames)
{
    enum kva_status status =
        ready_table(vm, &vm->table, slot_number(vm, (uintptr_t)start), areas, PIECE_SLOTS);

    if (status != KVA_OK || frames == 0)
        return status;
    return ready_table(vm, &vm->numbers, frame_page(vm, start), frames, PIECE_NUMBERS);
}

void kva_publish_area(struct kva_vm *vm, struct kva_descriptor *area, uintptr_t key)
{
    uint32_t longest = area->pages + area->guard;

    if (longest > atomic_load_explicit(&vm->longest, memory_order_relaxed))
        atomic_store_explicit(&vm->longest, longest, memory_order_relaxed);
    atomic_store_explicit(&area->key, key, memory_order_release);
    slot_fill(vm, start_of(area), area);
}

struct kva_descriptor *kva_enter_area(struct kva_vm *vm, const struct kva_wish *wish, uint64_t start)
{
    struct kva_descriptor *area = kva_nodes_pop(&vm->areas);

    area->next = NULL;
    area->prev = NULL;
    area->size = wish->size;
    area->caller = wish->caller;
    area->by.owner = wish->owner;
    area->of.frames = NULL;
    area->pages = wish->pages;
    area->flags = flags_of_area(wish->flags);
    area->guard = wish->guard;
    area->align_shift = (uint8_t)lowest_bit(wish->align);
    kva_publish_area(vm, area, key_of((uintptr_t)start, wish->kind, KVA_VM_LIVE));
    count_in(&vm->all, area_bytes(vm, area));
    vm->slow_allocations += is_counted(kind_of(area));
    return area;
}

/* --------------------------------------------------------------------------------------- when it is short */

/** Whether purging or reclaiming may help. */
static bool is_short(enum kva_status status)
{
    return status == KVA_ENOSPC || status == KVA_ENOMEM || status == KVA_ELIMIT;
}

/** Whether anything is idle at this moment, so that a purge would give it back. */
static bool has_idle(const struct kva_vm *vm)
{
    kva_cpus_take(&vm->locks);
    bool has = vm->parked.areas > 0 || vm->quarantine.head || kva_cache_sums(vm).cached.areas > 0 ||
               vm->ram.ended.areas > 0;
    kva_cpus_drop(&vm->locks);
    return has;
}

/** "No space" is to be true of one moment. While this thread purged slice by slice, others may have taken what it gave back, and
 *  freed what they had. Then the last attempt follows a purge in one step: what they free after that is free too late. There is
 *  no further round, so that others cannot keep this thread at work, however much they free. */
static enum kva_status attempt_for_good(struct kva_vm *vm, kva_attempt *attempt, void *context,
                                        enum kva_status status)
{
    if (!vm->locks.threads || status != KVA_ENOSPC || !has_idle(vm))
        return status;
    kva_purge_frozen(vm);
    return attempt(vm, context);
}

static bool relieve(void *instance)
{
    return kva_purge_idle(instance);
}

static bool call(void *instance, struct kva_link *link, uint64_t size)
{
    const struct kva_vm_reclaim *entry = kva_container_of(link, struct kva_vm_reclaim, link);

    return entry->callback(entry->context, instance, (size_t)size);
}

/** Purge and attempt; with threads, attempt after each slice of what is parked, so that nobody waits for all of it who could
 *  do with a part. */
static enum kva_status purge_and_attempt(struct kva_vm *vm, kva_attempt *attempt, void *context,
                                         enum kva_status status)
{
    const bool others = vm->locks.threads;
    const uintptr_t ticket = vm->tickets;

    while (others && is_short(status) && kva_purge_some(vm, ticket)) {
        status = attempt(vm, context);
        if (is_short(status))
            main_yield(&vm->locks);
    }
    if (!is_short(status))
        return status;
    if (kva_purge_idle(vm) || others)
        status = attempt(vm, context);
    return attempt_for_good(vm, attempt, context, status);
}

enum kva_status kva_obtain(struct kva_vm *vm, size_t size, unsigned flags, kva_attempt *attempt,
                           void *context)
{
    const struct kva_shortage shortage = {
        &vm->reclaim, &vm->locks, vm, context, size, attempt, is_short, relieve, call,
    };
    enum kva_status status = attempt(vm, context);

    if (!is_short(status) || (flags & KVA_VM_NO_BLOCK))
        return status;
    vm->retries++;
    status = purge_and_attempt(vm, attempt, context, status);
    if (!is_short(status) || !vm->reclaim.first || is_reclaiming(vm))
        return status;
    status = kva_callbacks_ask(&shortage, status);
    return attempt_for_good(vm, attempt, context, status);
}

typedef enum kva_status change_list(struct kva_callbacks *callbacks, const struct kva_locks *locks,
                                    struct kva_link *link);

/** `missing` is what the caller has left out of a registration; NULL: nothing. */
static enum kva_status change_reclaim(struct kva_vm *vm, struct kva_vm_reclaim *reclaim, const char *missing,
                                      change_list *change, const char *where)
{
    enum kva_status status = KVA_EREENTRY;

    vm_enter(vm);
    if (!is_reclaiming(vm))
        status = missing ? KVA_ENULL : change(&vm->reclaim, &vm->locks, &reclaim->link);
    (void)finish_of(vm, status, where, 0, status == KVA_ENULL ? &(struct kva_bad){missing, 0} : NULL);
    vm_leave(vm);
    return status;
}

enum kva_status kva_vm_add_reclaim(struct kva_vm *vm, struct kva_vm_reclaim *reclaim)
{
    const char *missing = !reclaim ? "reclaim" : !reclaim->callback ? "reclaim.callback" : NULL;

    return vm ? change_reclaim(vm, reclaim, missing, kva_callbacks_add, __func__) : KVA_ENULL;
}

enum kva_status kva_vm_remove_reclaim(struct kva_vm *vm, struct kva_vm_reclaim *reclaim)
{
    const char *missing = reclaim ? NULL : "reclaim";

    return vm ? change_reclaim(vm, reclaim, missing, kva_callbacks_remove, __func__) : KVA_ENULL;
}

/* ----------------------------------------------------------------------------------------------- one area */

struct taking {
    const struct kva_wish *wish;
    struct kva_descriptor *area;
};

static enum kva_status attempt_area(void *instance, void *context)
{
    struct kva_vm *vm = instance;
    struct taking *taking = context;
    const struct kva_wish *wish = taking->wish;
    uint64_t start;

    if (!kva_nodes_ensure(&vm->areas, 1))
        return KVA_ENOMEM;
    enum kva_status status = kva_place_area(vm, wish, &start);
    if (status != KVA_OK)
        return status;
    status = kva_ready_tables(vm, start, 1, 0);
    if (status == KVA_OK)
        status = vm->pages.open(vm->pages.context, vm->stretch, start, bytes_of_pages(vm, wish->pages),
                                (wish->flags & KVA_VM_HUGE) != 0);
    if (status != KVA_OK)
        (void)kva_free(vm->space, start);
    else
        taking->area = kva_enter_area(vm, wish, start);
    return status;
}

/** Take addresses and pages for a wish, with the lock. */
static enum kva_status take_fresh(struct kva_vm *vm, const struct kva_wish *wish, bool cacheable,
                                  const char *where, uint64_t at, struct kva_taken *taken)
{
    struct taking taking = {.wish = wish};

    vm_enter(vm);
    enum kva_status status = kva_obtain(vm, wish->size, wish->flags, attempt_area, &taking);
    if (status == KVA_OK) {
        vm->misses += cacheable;
        *taken = (struct kva_taken){memory_of(taking.area), area_bytes(vm, taking.area), true};
        poison(taken->memory + wish->size, taken->bytes - wish->size);
    }
    status = finish(vm, status, where, at);
    vm_leave(vm);
    return status;
}

enum kva_status kva_take_area(struct kva_vm *vm, const struct kva_vm_request *request, const char *where,
                              struct kva_taken *taken)
{
    struct kva_wish wish;
    struct kva_bad bad;
    enum kva_status status = wish_of(vm, request, &wish, &bad);

    if (status != KVA_OK)
        return refuse_unlocked(vm, status, where, request->min, &bad);
    bool cacheable = wish.anywhere && wish.pages <= vm->cache_pages && !(wish.flags & KVA_VM_HUGE);
    if (cacheable && kva_cache_take(vm, &wish, taken))
        return KVA_OK;
    return take_fresh(vm, &wish, cacheable, where, request->min, taken);
}

static enum kva_status take_memory(struct kva_vm *vm, const struct kva_vm_request *request, const char *where,
                                   void **memory)
{
    struct kva_taken taken;

    free_ready_unlocked(vm, request->flags);
    enum kva_status status = kva_take_area(vm, request, where, &taken);
    if (status != KVA_OK)
        return status;
    if (!taken.fresh && (vm->zero_always || (request->flags & KVA_VM_ZERO)))
        memset(taken.memory, 0, request->size);
    *memory = taken.memory;
    return KVA_OK;
}

enum kva_status kva_vm_alloc(struct kva_vm *vm, const struct kva_vm_request *request, void **memory)
{
    if (!vm)
        return KVA_ENULL;
    if (!request || !memory)
        return refuse_pointer(vm, __func__, 0, request ? "memory" : "request");
    struct kva_vm_request with_caller = *request;
    if (!with_caller.caller)
        with_caller.caller = CALLER();
    return take_memory(vm, &with_caller, __func__, memory);
}

/** The short forms: a size, an alignment, flags. */
static void *take_short(struct kva_vm *vm, size_t size, size_t align, unsigned flags, const char *where,
                        const void *caller)
{
    struct kva_vm_request request = kva_vm_request_of(size);
    void *memory = NULL;

    if (!vm)
        return NULL;
    request.align = align;
    request.flags = flags;
    request.caller = caller;
    return take_memory(vm, &request, where, &memory) == KVA_OK ? memory : NULL;
}

/** The area on top of this CPU's bin for `size` bytes, which is one of KVA_VM_CLASSES; NULL if there is none. */
static inline void *take_top(struct kva_vm *vm, size_t size, const void *caller)
{
    struct kva_vm_cpu *cpu = vm_cpu_here(vm);
    struct kva_descriptor **top = &cpu->bin[((size - 1) >> vm->page_shift) + 1].head;
    void *memory = NULL;

    lock_take(&cpu->lock, vm->locks.threads);
    if (*top)
        memory = cache_revive(vm, cpu, top, size, 1, 0, caller, NULL).memory;
    lock_drop(&cpu->lock, vm->locks.threads);
    return memory;
}

void *kva_vmalloc(struct kva_vm *vm, size_t size)
{
    if (vm && size - 1 < vm->fast_bytes && !has_ready(vm)) { /* 0 - 1 is the largest size */
        void *memory = take_top(vm, size, CALLER());
        if (memory)
            return memory;
    }
    return take_short(vm, size, 1, 0, __func__, CALLER());
}

void *kva_vzalloc(struct kva_vm *vm, size_t size)
{
    return take_short(vm, size, 1, KVA_VM_ZERO, __func__, CALLER());
}

void *kva_vmalloc_huge(struct kva_vm *vm, size_t size)
{
    return take_short(vm, size, 1, KVA_VM_HUGE, __func__, CALLER());
}

void *kva_vmalloc_aligned(struct kva_vm *vm, size_t size, size_t align)
{
    return take_short(vm, size, align, 0, __func__, CALLER());
}

/* ------------------------------------------------------------------------------------------ several at once */

/**
 * Congruent areas. The space takes all the ranges at once; then page by page of the plan they are opened:
 *
 *      plan   | part 0 + guard |    | part 1 + guard |       | part 2 + guard |
 *             opened, entered       opened, entered          refused: close, free, drop what came before
 */
struct congruence {
    const struct kva_wish *wish; /* of the base: alignment and window */
    const struct kva_part *parts;
    struct kva_part *plan; /* the parts with their guards */
    size_t count;
    uint64_t base;
};

/** The parts with their guards. */
struct plan {
    struct kva_list link;
    size_t bytes; /* of all of this */
    struct kva_part part[];
};

static enum kva_status enter_part(struct kva_vm *vm, const struct congruence *congruence, size_t i)
{
    struct kva_wish wish = *congruence->wish;
    uint64_t start = congruence->base + congruence->plan[i].offset;

    wish.size = (size_t)congruence->parts[i].size;
    wish.pages = (uint32_t)(congruence->plan[i].size >> vm->page_shift) - wish.guard;
    enum kva_status status = kva_ready_tables(vm, start, 1, 0);
    if (status == KVA_OK)
        status = vm->pages.open(vm->pages.context, vm->stretch, start, bytes_of_pages(vm, wish.pages), false);
    if (status == KVA_OK) {
        struct kva_descriptor *area = kva_enter_area(vm, &wish, start);
        poison((char *)memory_of(area) + wish.size, area_bytes(vm, area) - wish.size);
    }
    return status;
}

/** Take the addresses of all parts: at the lowest base that fits; hardened, above a random page if there is room. */
static enum kva_status place_parts(struct kva_vm *vm, struct congruence *congruence)
{
    const struct kva_wish *wish = congruence->wish;
    struct kva_request request = {1, wish->align, wish->min, wish->max, NULL, KVA_LOWEST};

    if (vm->hardened && wish->anywhere) {
        request.min = vm->scatter + kva_vm_random_below(vm, min_u64(KVA_VM_SCATTER, wish->max - vm->scatter));
        if (kva_alloc_congruent(vm->space, &request, congruence->plan, congruence->count,
                                &congruence->base) == KVA_OK)
            return KVA_OK;
        request.min = wish->min;
    }
    return kva_alloc_congruent(vm->space, &request, congruence->plan, congruence->count, &congruence->base);
}

static enum kva_status attempt_congruent(void *instance, void *context)
{
    struct kva_vm *vm = instance;
    struct congruence *congruence = context;
    size_t i = 0;

    if (!kva_nodes_ensure(&vm->areas, congruence->count))
        return KVA_ENOMEM;
    enum kva_status status = place_parts(vm, congruence);
    if (status != KVA_OK)
        return status;
    while (i < congruence->count && (status = enter_part(vm, congruence, i)) == KVA_OK)
        i++;
    if (status == KVA_OK)
        return KVA_OK;
    for (size_t k = congruence->count; k-- > i;)
        (void)kva_free(vm->space, congruence->base + congruence->plan[k].offset);
    while (i-- > 0)
        kva_drop_area(vm, slot_read(vm, (uintptr_t)(congruence->base + congruence->plan[i].offset)));
    return status;
}

/** Round the parts to pages and add their guards. */
static enum kva_status plan_parts(const struct kva_vm *vm, struct congruence *congruence, struct kva_bad *bad)
{
    for (size_t i = 0; i < congruence->count; i++) {
        const struct kva_part *part = &congruence->parts[i];
        uint64_t bytes;

        if (part->size == 0 || !align_up(part->size, page_of(vm), &bytes) || bytes > SIZE_MAX) {
            *bad = (struct kva_bad){"parts[i].size", i};
            return part->size == 0 ? KVA_ESIZE : KVA_EWRAP;
        }
        if (bytes > vm->bytes)
            return KVA_ENOSPC;
        congruence->plan[i] = (struct kva_part){part->offset, bytes + bytes_of_pages(vm, vm->guard)};
    }
    uint64_t extent = 0;
    return kva_validate_parts(congruence->plan, congruence->count, congruence->wish->align, page_of(vm),
                              &extent, bad);
}

/** Memory for a plan. It is on a list as long as the call is under way, so that the child of a fork finds it. */
static struct plan *take_plan(struct kva_vm *vm, size_t count)
{
    struct kva_memory *source = &vm->ledger.memory;
    size_t bytes;

    if (!size_of_array(sizeof(struct plan), count, sizeof(struct kva_part), &bytes))
        return NULL;
    struct plan *plan = source->take(source->context, bytes);
    if (plan) {
        plan->bytes = bytes;
        list_insert_after(&vm->plans, &plan->link);
    }
    return plan;
}

static void give_plan(struct kva_vm *vm, struct plan *plan)
{
    struct kva_memory *source = &vm->ledger.memory;

    list_remove(&plan->link);
    source->give(source->context, plan, plan->bytes);
}

void kva_congruent_forget_plans(struct kva_vm *vm)
{
    while (!list_is_empty(&vm->plans))
        give_plan(vm, kva_container_of(vm->plans.next, struct plan, link));
}

enum kva_status kva_take_congruent(struct kva_vm *vm, const struct kva_vm_request *request,
                                   const struct kva_part *parts, size_t count, enum kva_vm_kind kind,
                                   void **memory, struct kva_bad *bad)
{
    struct kva_vm_request base = *request;
    struct kva_wish wish;

    base.size = 1; /* not read: the parts have sizes */
    enum kva_status status = wish_of(vm, &base, &wish, bad);
    if (status == KVA_OK && (request->flags & ~(unsigned)KVA_VM_ZERO) != 0)
        status = bad_field(bad, KVA_EINVAL, "flags");
    if (status == KVA_OK && count == 0)
        status = bad_field(bad, KVA_EINVAL, "count");
    if (status != KVA_OK)
        return status;
    wish.kind = kind;
    struct congruence congruence = {.wish = &wish, .parts = parts, .count = count};
    struct plan *plan = take_plan(vm, count);
    if (!plan)
        return KVA_ENOMEM;
    congruence.plan = plan->part;
    status = plan_parts(vm, &congruence, bad);
    if (status == KVA_OK)
        status = kva_obtain(vm, (size_t)congruence.plan[0].size, wish.flags, attempt_congruent, &congruence);
    for (size_t i = 0; status == KVA_OK && i < count; i++)
        memory[i] = (void *)(uintptr_t)(congruence.base + parts[i].offset);
    give_plan(vm, plan);
    return status;
}

enum kva_status kva_vm_alloc_congruent(struct kva_vm *vm, const struct kva_vm_request *request,
                                       const struct kva_part *parts, size_t count, void **memory)
{
    if (!vm)
        return KVA_ENULL;
    if (!request || !parts || !memory)
        return refuse_pointer(vm, __func__, 0, !request ? "request" : !parts ? "parts" : "memory");
    struct kva_vm_request with_caller = *request;
    if (!with_caller.caller)
        with_caller.caller = CALLER();
    struct kva_bad bad = {NULL, 0};
    vm_enter(vm);
    free_ready_for(vm, request->flags);
    enum kva_status status = kva_take_congruent(vm, &with_caller, parts, count, KVA_VM_VMALLOC, memory, &bad);
    status = finish_of(vm, status, __func__, request->min, &bad);
    vm_leave(vm);
    return status;
}
