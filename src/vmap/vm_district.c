/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Districts. Binding a range of pages to nodes of memory costs two mappings, one at each end. So areas of the
 * same nodes lie together, in a range that is bound once, while it is closed:
 *
 *      the space      |A |B  | free                      | district | district      | frames
 *                     areas without requested nodes       one busy segment each
 *
 *      the districts' space                              |C|D|      |E     |        | (nothing lies outside)
 *                                                        node 1      node 0
 *
 * In the space, a district is one busy segment. The areas in all districts have segments of a second space
 * over the same addresses, which is searched inside districts only. Districts are taken from the upper end of
 * the private part, away from the other areas. Each new one for the same nodes is as large as those before
 * together, within bounds: the number of districts, and of their mappings, grows with the logarithm of their
 * contents.
 *
 * NUMBERS    Requested nodes are numbered from 1; number 0 is the instance's own. Descriptors and the cache
 *            keep the number. A number is never withdrawn, so a request finds its number without the lock. It
 *            is promised when a district is taken, and given when that attempt succeeds. If the attempt
 *            fails, the district is given back, and the number can be promised again.
 *
 * STRIPES    A district for the chunks of a per-CPU allocator has one stripe per group of CPUs, bound to the
 *            group's nodes. A chunk's areas lie one step apart:
 *
 *                | group 0: chunk 0 |g| chunk 1 |g| ...  | group 1: chunk 0 |g| chunk 1 |g| ...  |
 *                |<------------------ step ------------->|
 */
#include "vm_district.h"

struct kva_district *kva_lookup_district(const struct kva_vm *vm, uint64_t address)
{
    const struct kva_districts *districts = &vm->districts;
    size_t low = 0;

    for (size_t high = districts->count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (districts->list[middle].end > address)
            high = middle;
        else
            low = middle + 1;
    }
    return low < districts->count && districts->list[low].start <= address ? &districts->list[low] : NULL;
}

/** Whether the system has the nodes, as far as the page source knows before it binds them. */
static bool are_there(const struct kva_vm *vm, const struct kva_vm_nodes *nodes)
{
    if (!vm->pages.bind) /* all memory is node 0 */
        return (nodes->set & ~UINT64_C(1)) == 0;
    return !vm->pages.has_nodes || vm->pages.has_nodes(vm->pages.context, vm->reservation, nodes);
}

enum kva_status kva_bind_pages(struct kva_vm *vm, uint64_t start, uint64_t bytes,
                               const struct kva_vm_nodes *nodes)
{
    if (!vm->pages.bind)
        return are_there(vm, nodes) ? KVA_OK : KVA_ENOENT;
    return vm->pages.bind(vm->pages.context, vm->reservation, start, bytes, nodes);
}

/* ------------------------------------------------------------------------------------------------- memory */

/** Prepare for one more district: an entry of the list, and the second space. */
static enum kva_status prepare_districts(struct kva_vm *vm)
{
    struct kva_districts *districts = &vm->districts;
    struct kva_memory *source = &vm->ledger.memory;

    if (!districts->space.map && kva_space_init(&districts->space, &vm->space_config) != KVA_OK)
        return KVA_ENOMEM;
    if (districts->count < districts->room)
        return KVA_OK;
    size_t room = districts->room == 0 ? 16 : 2 * districts->room;
    struct kva_district *list = source->take(source->context, room * sizeof *list);
    if (!list)
        return KVA_ENOMEM;
    if (districts->room > 0) {
        memcpy(list, districts->list, districts->count * sizeof *list);
        source->give(source->context, districts->list, districts->room * sizeof *list);
    }
    districts->list = list;
    districts->room = room;
    return KVA_OK;
}

/* ------------------------------------------------------------------------------------------------ numbers */

/** Promise nodes a number if they have none; it becomes valid when the attempt succeeds. */
static enum kva_status number_one(struct kva_vm *vm, const struct kva_vm_nodes *nodes)
{
    struct kva_districts *districts = &vm->districts;

    if (number_among(vm, nodes, districts->promised) != KVA_VM_NODES_NEW)
        return KVA_OK;
    if (!are_there(vm, nodes))
        return KVA_ENOENT;
    if (districts->promised == KVA_VM_NODES_MOST)
        return KVA_ENOSPC;
    districts->nodes[districts->promised++] = *nodes;
    return KVA_OK;
}

/** KVA_ENOENT takes precedence: no purge can provide a missing node. */
static enum kva_status number_all(struct kva_vm *vm, const struct kva_stripes *stripes)
{
    enum kva_status status = KVA_OK;

    for (unsigned i = 0; i < stripes->groups && status != KVA_ENOENT; i++) {
        enum kva_status one = number_one(vm, &stripes->nodes[i]);
        status = one != KVA_OK ? one : status;
    }
    return status;
}

/* ----------------------------------------------------------------------------------------------- creation */

/** Bind each stripe until one is refused; *bound is the number of bytes before that one. */
static enum kva_status bind_stripes(struct kva_vm *vm, uint64_t start, const struct kva_stripes *stripes,
                                    uint64_t *bound)
{
    enum kva_status status = KVA_OK;

    *bound = 0;
    for (unsigned i = 0; status == KVA_OK && i < stripes->groups; i++) {
        *bound = i * stripes->step;
        if (number_among(vm, &stripes->nodes[i], vm->districts.promised) != 0)
            status = kva_bind_pages(vm, start + *bound, stripes->step, &stripes->nodes[i]);
    }
    return status;
}

/** Bind a range to the instance's own nodes again. False if the system refuses, which it should not. */
static bool unbind(struct kva_vm *vm, uint64_t start, uint64_t bytes)
{
    return bytes == 0 || kva_bind_pages(vm, start, bytes, &vm->districts.nodes[0]) == KVA_OK;
}

static struct kva_district *enter_district(struct kva_vm *vm, struct kva_district district)
{
    struct kva_districts *districts = &vm->districts;
    size_t at = districts->count;

    for (; at > 0 && districts->list[at - 1].start > district.start; at--)
        districts->list[at] = districts->list[at - 1];
    districts->list[at] = district;
    districts->count++;
    districts->bytes += district.end - district.start;
    return &districts->list[at];
}

/** Take addresses for a district and bind them. All else is prepared. */
static enum kva_status take_and_bind(struct kva_vm *vm, const struct kva_demand *demand,
                                     const struct kva_stripes *stripes, struct kva_district **district)
{
    struct kva_district taken = {.owner = stripes->owner};
    uint64_t bound;
    enum kva_status status = core_alloc(vm->space->map, demand, NULL, &taken.start);

    if (status != KVA_OK)
        return status;
    taken.end = taken.start + demand->size;
    taken.number = (uint8_t)number_among(vm, &stripes->nodes[0], vm->districts.promised);
    status = bind_stripes(vm, taken.start, stripes, &bound);
    if (status == KVA_OK) {
        *district = enter_district(vm, taken);
        vm->districts.fresh = taken.start;
    } else if (unbind(vm, taken.start, bound)) {
        (void)core_free(vm->space->map, taken.start);
    } else {
        taken.owner = KVA_DISTRICT_UNUSABLE;
        (void)enter_district(vm, taken);
    }
    verify_change(vm->space, "kva_take_district", taken.start);
    return status;
}

/** Districts consist of whole huge pages, so that their ends split none, unless only an exact fit is left. */
static uint64_t unit_of(const struct kva_vm *vm)
{
    return max_u64(vm->pages.huge, page_of(vm));
}

/** The usual size of a district: that of all before it for the same nodes, from 1/1024 to 1/16 of the private
 *  part; in whole units. */
static uint64_t usual_bytes(const struct kva_vm *vm, const struct kva_vm_nodes *nodes)
{
    const uint64_t all = vm->frames_first - vm->first;
    uint64_t before = 0;

    for (size_t i = 0; i < vm->districts.count; i++) {
        const struct kva_district *district = &vm->districts.list[i];
        if (district->owner == 0 && same_nodes(&vm->districts.nodes[district->number], nodes))
            before += district->end - district->start;
    }
    return max_u64(align_down(max_u64(all >> 10, min_u64(before, all >> 4)), unit_of(vm)), unit_of(vm));
}

/** Without room for the usual size, try half of it, and so on down to the demand's size. */
enum kva_status kva_take_district(struct kva_vm *vm, const struct kva_demand *demand,
                                  const struct kva_vm_nodes *nodes, struct kva_district **district)
{
    struct kva_stripes stripe = {.groups = 1, .nodes = nodes};
    struct kva_demand larger = *demand;
    enum kva_status status = number_all(vm, &stripe);

    if (status == KVA_OK)
        status = prepare_districts(vm);
    if (status != KVA_OK)
        return status;
    if (demand->max - demand->min < demand->size - 1)
        return KVA_ENOSPC;
    larger.policy = KVA_HIGHEST;
    larger.align = max_u64(demand->align, unit_of(vm));
    for (uint64_t bytes = usual_bytes(vm, nodes); bytes > demand->size;
         bytes = align_down(bytes / 2, unit_of(vm))) {
        stripe.step = larger.size = bytes;
        status = take_and_bind(vm, &larger, &stripe, district);
        if (status != KVA_ENOSPC)
            return status;
    }
    larger.align = demand->align;
    stripe.step = larger.size = demand->size;
    return take_and_bind(vm, &larger, &stripe, district);
}

enum kva_status kva_take_stripes(struct kva_vm *vm, const struct kva_stripes *stripes,
                                 struct kva_district **district)
{
    const struct kva_demand demand = {
        .size = stripes->groups * stripes->step,
        .align = unit_of(vm),
        .min = vm->first,
        .max = vm->frames_first - 1,
        .policy = KVA_HIGHEST,
    };
    enum kva_status status = number_all(vm, stripes);

    if (status == KVA_OK)
        status = prepare_districts(vm);
    if (status != KVA_OK)
        return status;
    return demand.size <= vm->frames_first - vm->first ? take_and_bind(vm, &demand, stripes, district)
                                                       : KVA_ENOSPC;
}

/* ------------------------------------------------------------------------------------------------ removal */

/** Give an empty district back; false if the system refuses to bind its pages to the instance's own nodes. */
static bool give_back_district(struct kva_vm *vm, size_t at)
{
    struct kva_districts *districts = &vm->districts;
    const struct kva_district district = districts->list[at];

    if (!unbind(vm, district.start, district.end - district.start))
        return false;
    (void)core_free(vm->space->map, district.start);
    verify_change(vm->space, "kva_trim_districts", district.start);
    districts->bytes -= district.end - district.start;
    districts->count--;
    memmove(&districts->list[at], &districts->list[at + 1], (districts->count - at) * sizeof district);
    return true;
}

bool kva_trim_districts(struct kva_vm *vm)
{
    bool any = false;

    for (size_t i = vm->districts.count; i-- > 0;)
        any = (vm->districts.list[i].areas == 0 && give_back_district(vm, i)) || any;
    return any;
}

/** Whether an empty district is the first empty one for its nodes. */
static bool is_spare_district(const struct kva_vm *vm, size_t at)
{
    const struct kva_district *list = vm->districts.list;

    for (size_t i = 0; i < at; i++) {
        if (list[i].areas == 0 && list[i].owner == 0 && list[i].number == list[at].number)
            return false;
    }
    return list[at].owner == 0;
}

void kva_trim_emptied(struct kva_vm *vm)
{
    if (!vm->districts.emptied)
        return;
    vm->districts.emptied = false;
    for (size_t i = vm->districts.count; i-- > 0;) {
        if (vm->districts.list[i].areas == 0 && !is_spare_district(vm, i))
            (void)give_back_district(vm, i);
    }
}

bool kva_has_empty_district(const struct kva_vm *vm)
{
    for (size_t i = 0; i < vm->districts.count; i++) {
        if (vm->districts.list[i].areas == 0)
            return true;
    }
    return false;
}

/** A failed attempt, which has undone its placements: give its district back. */
static void leave_fresh(struct kva_vm *vm)
{
    struct kva_districts *districts = &vm->districts;
    struct kva_district *fresh = districts->fresh != 0 ? kva_lookup_district(vm, districts->fresh) : NULL;

    if (fresh && !give_back_district(vm, (size_t)(fresh - districts->list)))
        fresh->owner = KVA_DISTRICT_UNUSABLE;
    districts->promised = atomic_load_explicit(&districts->numbered, memory_order_relaxed);
    kva_end_districts(vm, false);
}

enum kva_status kva_end_attempt(struct kva_vm *vm, enum kva_status status)
{
    if (status != KVA_OK)
        leave_fresh(vm);
    else if (vm->districts.fresh != 0)
        atomic_store_explicit(&vm->districts.numbered, vm->districts.promised, memory_order_release);
    vm->districts.fresh = 0;
    return status;
}

void kva_init_districts(struct kva_vm *vm, const struct kva_vm_nodes *own)
{
    vm->districts.nodes[0] = *own;
    vm->districts.promised = 1;
    atomic_store_explicit(&vm->districts.numbered, 1, memory_order_relaxed);
}

void kva_end_districts(struct kva_vm *vm, bool all)
{
    struct kva_districts *districts = &vm->districts;
    struct kva_memory *source = &vm->ledger.memory;

    if (districts->count > 0 && !all)
        return;
    if (districts->space.map)
        (void)kva_space_abandon(&districts->space);
    if (districts->room > 0)
        source->give(source->context, districts->list, districts->room * sizeof *districts->list);
    districts->space.map = NULL;
    districts->list = NULL;
    districts->room = districts->count = 0;
}

/* ------------------------------------------------------------------------------------------------- checks */

/** V12: a district is one segment of the space; each area that starts in it ends in it. */
static const char *check_district(const struct kva_vm *vm, const struct kva_district *district)
{
    struct kva_segment segment;
    size_t areas = 0;

    core_find(vm->space->map, district->start, &segment);
    if (segment.state == KVA_FREE || segment.start != district->start || segment.last + 1 != district->end)
        return "V12: a district is not one segment of the space";
    for (uint64_t at = district->start; at < district->end; at = segment.last + 1) {
        core_find(vm->districts.space.map, at, &segment);
        if (segment.state == KVA_FREE)
            continue;
        if (segment.start != at || segment.last >= district->end)
            return "V12: an area crosses the border of a district";
        areas++;
    }
    return areas == district->areas ? NULL : "V12: a district's count of areas is wrong";
}

const char *kva_check_districts(const struct kva_vm *vm, uint64_t *at)
{
    const char *broken = NULL;
    uint64_t bytes = 0;
    uint64_t end = 0;

    for (size_t i = 0; !broken && i < vm->districts.count; i++) {
        const struct kva_district *district = &vm->districts.list[i];
        *at = district->start;
        if (district->start < end)
            return "V12: two districts overlap, or are in the wrong order";
        broken = check_district(vm, district);
        bytes += district->end - district->start;
        end = district->end;
    }
    return broken || bytes == vm->districts.bytes ? broken
                                                  : "V12: the count of the districts' bytes is wrong";
}
