/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Taking areas: the short way through the cache, the long way through the space, and what to do when either space,
 * memory or mappings are short.
 *
 *      kva_vmalloc --bin not empty--> the area on top of it, as it is
 *           |
 *      request -> wish               arguments are checked here
 *           |
 *      bin, once more                for the forms with flags
 *           |
 *      descriptor, addresses, pages  each may be refused; then what came before is undone
 *           |  refused
 *      purge, attempt again; ask a reclaim callback, attempt again; ...
 */
#include "vm.h"

/* ---------------------------------------------------------------------------------------------- arguments */

enum kva_status kva_pages_of(const struct kva_vm *vm, size_t size, unsigned *flags, uint32_t *pages)
{
    uint64_t unit = page_of(vm);
    uint64_t bytes;

    if (size == 0)
        return KVA_ESIZE;
    bool pays = vm->pages.huge != 0 && vm->huge != KVA_HUGE_NEVER && size >= vm->pages.huge;
    if (!pays)
        *flags &= ~(unsigned)KVA_VM_HUGE;
    if (*flags & KVA_VM_HUGE)
        unit = vm->pages.huge;
    if (!align_up(size, unit, &bytes) || bytes > SIZE_MAX)
        return KVA_EWRAP;
    /* What no reserve can hold need not fit 32 bits: the largest count of them is refused all the same. */
    *pages = (uint32_t)min_u64(bytes >> vm->page_shift, UINT32_MAX);
    return KVA_OK;
}

/** Cut a request's window to the private part. The guard page may lie behind the window. */
static enum kva_status cut_window(const struct kva_vm *vm, const struct kva_vm_request *request,
                                  struct kva_wish *wish)
{
    uint64_t last = vm->frames_first - 1;

    if (request->min > request->max || request->max < vm->first || request->min > last)
        return KVA_EWINDOW;
    wish->min = max_u64(request->min, vm->first);
    if (!add_checked(request->max, bytes_of_pages(vm, vm->guard), &wish->max))
        wish->max = last;
    wish->max = min_u64(wish->max, last);
    wish->anywhere = request->min <= vm->first && request->max >= last;
    return KVA_OK;
}

static enum kva_status wish_of(const struct kva_vm *vm, const struct kva_vm_request *request,
                               struct kva_wish *wish)
{
    const unsigned known = KVA_VM_ZERO | KVA_VM_HUGE | KVA_VM_NO_BLOCK;

    if (!is_power_of_two(request->align))
        return KVA_EALIGN;
    if (request->flags & ~known)
        return KVA_EINVAL;
    *wish = (struct kva_wish){.size = request->size, .flags = request->flags, .caller = request->caller};
    wish->owner = request->owner;
    wish->align = max_u64(request->align, page_of(vm));
    enum kva_status status = cut_window(vm, request, wish);
    if (status != KVA_OK)
        return status;
    if (vm->huge == KVA_HUGE_LARGE && wish->anywhere)
        wish->flags |= KVA_VM_HUGE;
    status = kva_pages_of(vm, request->size, &wish->flags, &wish->pages);
    wish->bytes = bytes_of_pages(vm, (uint64_t)wish->pages + vm->guard);
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

/** Whether a request fits without a flush. */
static bool fits_now(const struct kva_vm *vm, const struct kva_request *request)
{
    const struct kva_tiling *tiling = vm->space->tiling;
    struct kva_demand demand = {request->size, request->align, request->min, request->max, KVA_LOWEST};
    struct kva_place place;

    return tiling->engine->search(tiling, &demand, &place) == KVA_OK;
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
        if (fits_now(vm, request))
            return kva_alloc(vm->space, request, start);
    }
    request->min = wish->min;
    request->max = wish->max;
    return kva_alloc(vm->space, request, start);
}

enum kva_status kva_place_area(struct kva_vm *vm, const struct kva_wish *wish, uint64_t *start)
{
    struct kva_request request = {wish->bytes, wish->align, wish->min, wish->max, NULL, KVA_LOWEST};

    if (wish->max - wish->min < wish->bytes - 1)
        return KVA_ENOSPC;
    if ((wish->flags & KVA_VM_NO_BLOCK) && !fits_now(vm, &request))
        return KVA_ENOSPC;
    if (vm->hardened && wish->anywhere)
        return place_at_random(vm, wish, &request, start);
    return kva_alloc(vm->space, &request, start);
}

struct kva_descriptor *kva_enter_area(struct kva_vm *vm, const struct kva_wish *wish, uint64_t start)
{
    struct kva_descriptor *area = kva_nodes_pop(&vm->areas);

    *area = (struct kva_descriptor){.start = (uintptr_t)start, .size = wish->size};
    area->caller = wish->caller;
    area->owner = wish->owner;
    area->pages = wish->pages;
    area->kind = (uint8_t)wish->kind;
    area->flags = (uint8_t)wish->flags;
    area->guard = vm->guard;
    area->align_shift = (uint8_t)__builtin_ctzll(wish->align);
    *table_slot(vm, area->start) = area;
    count_in(&vm->all, area_bytes(vm, area));
    vm->slow_allocations += is_counted(area->kind);
    return area;
}

/* --------------------------------------------------------------------------------------- when it is short */

/** Whether purging or reclaiming may help. */
static bool is_short(enum kva_status status)
{
    return status == KVA_ENOSPC || status == KVA_ENOMEM || status == KVA_ELIMIT;
}

/** Ask one callback, and purge what it has freed. */
static bool ask(struct kva_vm *vm, const struct kva_vm_reclaim *entry, size_t size)
{
    vm->reclaiming = true;
    bool gave = entry->callback(entry->context, vm, size);
    vm->reclaiming = false;
    return kva_purge_idle(vm) || gave;
}

enum kva_status kva_obtain(struct kva_vm *vm, size_t size, unsigned flags, kva_vm_attempt *attempt,
                           void *context)
{
    const struct kva_vm_reclaim *entry = vm->reclaiming ? NULL : vm->reclaim;
    enum kva_status status = attempt(vm, context);

    if (!is_short(status) || (flags & KVA_VM_NO_BLOCK))
        return status;
    vm->retries++;
    for (bool more = kva_purge_idle(vm);; entry = entry->next) {
        if (more)
            status = attempt(vm, context);
        if (!is_short(status) || !entry)
            return status;
        more = ask(vm, entry, size);
    }
}

static struct kva_vm_reclaim **find_reclaim(struct kva_vm *vm, const struct kva_vm_reclaim *reclaim)
{
    struct kva_vm_reclaim **link = &vm->reclaim;

    while (*link && *link != reclaim)
        link = &(*link)->next;
    return link;
}

enum kva_status kva_vm_add_reclaim(struct kva_vm *vm, struct kva_vm_reclaim *reclaim)
{
    if (!vm)
        return KVA_ENULL;
    if (vm->reclaiming)
        return refuse(vm, KVA_EREENTRY, __func__, 0);
    if (!reclaim || !reclaim->callback)
        return refuse(vm, KVA_ENULL, __func__, 0);
    struct kva_vm_reclaim **link = find_reclaim(vm, reclaim);
    if (*link)
        return refuse(vm, KVA_EEXIST, __func__, 0);
    reclaim->next = NULL;
    *link = reclaim;
    return KVA_OK;
}

enum kva_status kva_vm_remove_reclaim(struct kva_vm *vm, struct kva_vm_reclaim *reclaim)
{
    if (!vm)
        return KVA_ENULL;
    if (vm->reclaiming)
        return refuse(vm, KVA_EREENTRY, __func__, 0);
    if (!reclaim)
        return refuse(vm, KVA_ENULL, __func__, 0);
    struct kva_vm_reclaim **link = find_reclaim(vm, reclaim);
    if (!*link)
        return refuse(vm, KVA_ENOENT, __func__, 0);
    *link = reclaim->next;
    return KVA_OK;
}

/* ----------------------------------------------------------------------------------------------- one area */

struct taking {
    const struct kva_wish *wish;
    struct kva_descriptor *area;
};

static enum kva_status attempt_area(struct kva_vm *vm, void *context)
{
    struct taking *taking = context;
    const struct kva_wish *wish = taking->wish;
    uint64_t start;

    if (!kva_nodes_ensure(&vm->areas, 1))
        return KVA_ENOMEM;
    enum kva_status status = kva_place_area(vm, wish, &start);
    if (status != KVA_OK)
        return status;
    status = vm->pages.open(vm->pages.context, vm->stretch, start, bytes_of_pages(vm, wish->pages),
                            (wish->flags & KVA_VM_HUGE) != 0);
    if (status != KVA_OK)
        (void)kva_free(vm->space, start);
    else
        taking->area = kva_enter_area(vm, wish, start);
    return status;
}

/** Make a cached area the caller's; `link` points to it. It remembers no alignment. */
static struct kva_descriptor *revive(struct kva_vm *vm, struct kva_descriptor **link, size_t size,
                                     unsigned flags, const void *caller, void *owner)
{
    struct kva_descriptor *area = cache_pop(vm, link);

    vm->hits++;
    area->state = KVA_VM_LIVE;
    area->flags = (uint8_t)flags;
    area->align_shift = 0;
    area->size = size;
    area->caller = caller;
    area->owner = owner;
    unpoison(memory_of(area), size);
    return area;
}

/** What points to a cached area that a wish can have; NULL if there is none among those on top. */
static struct kva_descriptor **find_cached(struct kva_vm *vm, const struct kva_wish *wish)
{
    struct kva_descriptor **link = &vm->bin[bin_of(wish->pages)].head;

    for (unsigned looked = 0; *link && looked < KVA_VM_CACHE_DEPTH; looked++) {
        if ((*link)->pages == wish->pages && ((*link)->start & (wish->align - 1)) == 0)
            return link;
        link = &(*link)->next;
    }
    return NULL;
}

enum kva_status kva_take_area(struct kva_vm *vm, const struct kva_vm_request *request, const char *where,
                              struct kva_descriptor **area, bool *fresh)
{
    struct kva_wish wish;
    enum kva_status status = wish_of(vm, request, &wish);

    if (status != KVA_OK)
        return refuse(vm, status, where, request->min);
    bool cacheable = wish.anywhere && wish.pages <= vm->cache_pages && !(wish.flags & KVA_VM_HUGE);
    struct kva_descriptor **cached = cacheable ? find_cached(vm, &wish) : NULL;
    *fresh = !cached;
    if (cached) {
        *area = revive(vm, cached, wish.size, wish.flags, wish.caller, wish.owner);
        (*area)->align_shift = (uint8_t)__builtin_ctzll(wish.align);
        return KVA_OK;
    }
    struct taking taking = {.wish = &wish};
    status = kva_obtain(vm, wish.size, wish.flags, attempt_area, &taking);
    if (status != KVA_OK)
        return refuse(vm, status, where, request->min);
    vm->misses += cacheable;
    *area = taking.area;
    poison((char *)memory_of(*area) + wish.size, area_bytes(vm, *area) - wish.size);
    return KVA_OK;
}

static enum kva_status take_memory(struct kva_vm *vm, const struct kva_vm_request *request, const char *where,
                                   void **memory)
{
    struct kva_descriptor *area;
    bool fresh;

    free_ready_for(vm, request->flags);
    enum kva_status status = kva_take_area(vm, request, where, &area, &fresh);
    if (status != KVA_OK)
        return status;
    if (!fresh && (vm->zero_always || (request->flags & KVA_VM_ZERO)))
        memset(memory_of(area), 0, request->size);
    *memory = memory_of(area);
    return KVA_OK;
}

enum kva_status kva_vm_alloc(struct kva_vm *vm, const struct kva_vm_request *request, void **memory)
{
    if (!vm)
        return KVA_ENULL;
    if (!request || !memory)
        return refuse(vm, KVA_ENULL, __func__, 0);
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

void *kva_vmalloc(struct kva_vm *vm, size_t size)
{
    if (vm && size - 1 < vm->fast_bytes && !has_ready(vm)) { /* 0 - 1 is the largest size */
        struct kva_descriptor **top = &vm->bin[((size - 1) >> vm->page_shift) + 1].head;
        if (*top)
            return memory_of(revive(vm, top, size, 0, CALLER(), NULL));
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

static enum kva_status enter_part(struct kva_vm *vm, const struct congruence *congruence, size_t i)
{
    struct kva_wish wish = *congruence->wish;
    uint64_t start = congruence->base + congruence->plan[i].offset;

    wish.size = (size_t)congruence->parts[i].size;
    wish.pages = (uint32_t)(congruence->plan[i].size >> vm->page_shift) - vm->guard;
    enum kva_status status =
        vm->pages.open(vm->pages.context, vm->stretch, start, bytes_of_pages(vm, wish.pages), false);
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

static enum kva_status attempt_congruent(struct kva_vm *vm, void *context)
{
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
        kva_drop_area(vm, *table_slot(vm, (uintptr_t)(congruence->base + congruence->plan[i].offset)));
    return status;
}

/** Round the parts to pages and add their guards. */
static enum kva_status plan_parts(const struct kva_vm *vm, struct congruence *congruence)
{
    for (size_t i = 0; i < congruence->count; i++) {
        const struct kva_part *part = &congruence->parts[i];
        uint64_t bytes;

        if (part->size == 0)
            return KVA_ESIZE;
        if (!align_up(part->size, page_of(vm), &bytes) || bytes > SIZE_MAX)
            return KVA_EWRAP;
        if (bytes > vm->bytes)
            return KVA_ENOSPC;
        congruence->plan[i] = (struct kva_part){part->offset, bytes + bytes_of_pages(vm, vm->guard)};
    }
    return KVA_OK;
}

enum kva_status kva_take_congruent(struct kva_vm *vm, const struct kva_vm_request *request,
                                   const struct kva_part *parts, size_t count, enum kva_vm_kind kind,
                                   void **memory)
{
    struct kva_memory *source = &vm->ledger.memory;
    struct kva_vm_request base = *request;
    struct kva_wish wish;

    base.size = 1; /* not read: the parts have sizes */
    enum kva_status status = wish_of(vm, &base, &wish);
    if (status == KVA_OK && ((request->flags & ~(unsigned)KVA_VM_ZERO) != 0 || count == 0))
        status = KVA_EINVAL;
    if (status == KVA_OK && count > SIZE_MAX / sizeof *parts)
        status = KVA_ENOMEM;
    if (status != KVA_OK)
        return status;
    wish.kind = kind;
    struct congruence congruence = {.wish = &wish, .parts = parts, .count = count};
    size_t plan_bytes = count * sizeof *parts;
    congruence.plan = source->take(source->context, plan_bytes);
    if (!congruence.plan)
        return KVA_ENOMEM;
    status = plan_parts(vm, &congruence);
    if (status == KVA_OK)
        status = kva_obtain(vm, (size_t)congruence.plan[0].size, wish.flags, attempt_congruent, &congruence);
    for (size_t i = 0; status == KVA_OK && i < count; i++)
        memory[i] = (void *)(uintptr_t)(congruence.base + parts[i].offset);
    source->give(source->context, congruence.plan, plan_bytes);
    return status;
}

enum kva_status kva_vm_alloc_congruent(struct kva_vm *vm, const struct kva_vm_request *request,
                                       const struct kva_part *parts, size_t count, void **memory)
{
    if (!vm)
        return KVA_ENULL;
    if (!request || !parts || !memory)
        return refuse(vm, KVA_ENULL, __func__, 0);
    struct kva_vm_request with_caller = *request;
    if (!with_caller.caller)
        with_caller.caller = CALLER();
    free_ready_for(vm, request->flags);
    enum kva_status status = kva_take_congruent(vm, &with_caller, parts, count, KVA_VM_VMALLOC, memory);
    return finish(vm, status, __func__, request->min);
}
