/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Looking at an instance: find, iterate, count, check. Nothing here changes it. */
#include "vm.h"

/* --------------------------------------------------------------------------------------- find and iterate */

struct kva_descriptor *kva_area_around(const struct kva_vm *vm, uintptr_t address)
{
    struct kva_segment segment;

    if (kva_find(vm->space, address, &segment) != KVA_OK || segment.state == KVA_FREE)
        return NULL;
    return slot_read(vm, (uintptr_t)segment.start);
}

/** What the library keeps in the word for the owner is no user's. */
static bool has_owner(const struct kva_descriptor *area)
{
    return is_live(area) && (kind_of(area) == KVA_VM_VMALLOC || kind_of(area) == KVA_VM_VMAP);
}

/** Whether it is known what code freed an area. It is not of a short-lived map that can be found again. */
static bool has_freed_by(const struct kva_descriptor *area)
{
    return !is_live(area) && state_of(area) != KVA_VM_ENDED;
}

void kva_describe_area(const struct kva_vm *vm, const struct kva_descriptor *area, struct kva_vm_area *out)
{
    *out = (struct kva_vm_area){
        .start = start_of(area),
        .last = start_of(area) + (area_bytes(vm, area) - 1),
        .guard = (uintptr_t)bytes_of_pages(vm, area->guard),
        .size = area->size,
        .pages = area->pages,
        .kind = (enum kva_vm_kind)kind_of(area),
        .state = told_state(area),
        .flags = area->flags,
        .caller = area->caller,
        .freed_by = has_freed_by(area) ? area->by.freed_by : NULL,
        .owner = has_owner(area) ? area->by.owner : NULL,
    };
}

enum kva_status kva_vm_find(const struct kva_vm *vm, const void *address, struct kva_vm_area *area)
{
    if (!vm)
        return KVA_ENULL;
    if (!area)
        return refuse_null(vm, __func__, "area");
    kva_locks_freeze(&vm->locks);
    const struct kva_descriptor *found = kva_area_around(vm, (uintptr_t)address);
    if (found)
        kva_describe_area(vm, found, area);
    kva_locks_thaw(&vm->locks);
    return found ? KVA_OK : KVA_ENOENT;
}

/** The first area whose segment begins at or behind an address; NULL if there is none. */
static const struct kva_descriptor *area_from(const struct kva_vm *vm, uint64_t address)
{
    struct kva_segment segment;

    enum kva_status status = kva_find(vm->space, address, &segment);
    while (status == KVA_OK && (segment.state == KVA_FREE || segment.start < address))
        status = kva_next(vm->space, &segment);
    return status == KVA_OK ? slot_read(vm, (uintptr_t)segment.start) : NULL;
}

/** Where the segment ends that an area lies in. */
static uint64_t end_of_segment(const struct kva_vm *vm, const struct kva_vm_area *area)
{
    const struct kva_descriptor *around = kva_area_around(vm, area->start);

    if (around)
        return start_of(around) + segment_bytes(vm, around);
    return area->last + 1 + area->guard;
}

enum kva_status kva_look_next(const struct kva_vm *vm, struct kva_vm_area *area)
{
    bool begins = area->pages == 0;
    const struct kva_descriptor *next = area_from(vm, begins ? vm->first : end_of_segment(vm, area));

    if (!next)
        return KVA_ENOENT;
    kva_describe_area(vm, next, area);
    return KVA_OK;
}

enum kva_status kva_vm_next(const struct kva_vm *vm, struct kva_vm_area *area)
{
    if (!vm)
        return KVA_ENULL;
    if (!area)
        return refuse_null(vm, __func__, "area");
    kva_locks_freeze(&vm->locks);
    enum kva_status status = kva_look_next(vm, area);
    kva_locks_thaw(&vm->locks);
    return status;
}

/* --------------------------------------------------------------------------------------------- statistics */

static void count_states(const struct kva_vm *vm, const struct kva_count *cached, struct kva_vm_stats *stats)
{
    stats->later_areas = vm->later.areas;
    stats->later_bytes = vm->later.bytes;
    stats->cached_areas = cached->areas;
    stats->cached_bytes = cached->bytes;
    stats->parked_areas = vm->parked.areas;
    stats->parked_bytes = vm->parked.bytes;
    stats->quarantined_areas = vm->quarantined.areas;
    stats->quarantined_bytes = vm->quarantined.bytes;
    stats->ram_live = vm->ram.live;
    stats->ram_parked = vm->ram.ended.areas;
    stats->live_areas = vm->all.areas - vm->later.areas - cached->areas - vm->parked.areas -
                        vm->quarantined.areas - vm->ram.ended.areas;
    stats->live_bytes = vm->all.bytes - vm->later.bytes - cached->bytes - vm->parked.bytes -
                        vm->quarantined.bytes - vm->ram.ended.bytes;
}

/** With all locks held, so that the sums are exact. */
static void sum_up(const struct kva_vm *vm, struct kva_vm_stats *stats)
{
    struct kva_vm_cpu_sums sums = kva_cache_sums(vm);
    struct kva_stats space;

    *stats = (struct kva_vm_stats){
        .reserve_first = vm->first,
        .reserve_last = vm->first + (vm->bytes - 1),
        .allocations = sums.hits + vm->slow_allocations,
        .frees = sums.frees + vm->slow_frees,
        .cache_hits = sums.hits,
        .cache_misses = vm->misses,
        .ram_hits = vm->ram.hits,
        .ram_misses = vm->ram.misses,
        .purges = vm->purges,
        .purged_runs = vm->purged_runs,
        .retries = vm->retries,
        .grown_in_place = vm->grown,
        .moved = vm->moved,
        .table_bytes = (vm->table.taken + vm->numbers.taken) * KVA_VM_PIECE,
    };
    count_states(vm, &sums.cached, stats);
    for (const struct kva_frames *frames = vm->pools; frames; frames = frames->next)
        stats->frames_taken += frames->taken;
    (void)kva_stats_read(vm->space, &space);
    stats->memory_bytes = vm->taken_bytes + vm->ledger.bytes + space.memory_bytes;
    vm->pages.stats(vm->pages.context, vm->stretch, &stats->pages);
}

enum kva_status kva_vm_stats_read(const struct kva_vm *vm, struct kva_vm_stats *stats)
{
    if (!vm)
        return KVA_ENULL;
    if (!stats)
        return refuse_null(vm, __func__, "stats");
    kva_locks_freeze(&vm->locks);
    sum_up(vm, stats);
    kva_locks_thaw(&vm->locks);
    return KVA_OK;
}

/* -------------------------------------------------------------------------------------------------- check */

/** What a walk over the segments finds, to be held against the counts. */
struct walk {
    struct kva_count all;
    struct kva_count state[KVA_VM_QUARANTINED + 1]; /* parked: without ended maps */
    struct kva_count ended;
    uint64_t ram_live;
    uint64_t parked_ram; /* bytes */
};

static bool same_count(const struct kva_count *a, const struct kva_count *b)
{
    return a->areas == b->areas && a->bytes == b->bytes;
}

static bool is_part_right(const struct kva_vm *vm, const struct kva_descriptor *area)
{
    bool private_memory = kind_of(area) == KVA_VM_VMALLOC || kind_of(area) == KVA_VM_PCPU;

    return private_memory == !is_in_frames_part(vm, start_of(area));
}

/** Short-lived maps have counts of their own. */
static void count_short_map(const struct kva_vm *vm, const struct kva_descriptor *area, struct walk *walk)
{
    walk->ram_live += is_live(area);
    walk->parked_ram += state_of(area) == KVA_VM_PARKED ? area_bytes(vm, area) : 0;
}

static void count_area(const struct kva_vm *vm, const struct kva_descriptor *area, struct walk *walk)
{
    bool has_ended = state_of(area) == KVA_VM_ENDED;

    count_in(&walk->all, area_bytes(vm, area));
    count_in(has_ended ? &walk->ended : &walk->state[told_state(area)], area_bytes(vm, area));
    if (is_short_map(vm, kind_of(area), area->pages))
        count_short_map(vm, area, walk);
}

static const char *check_segment(const struct kva_vm *vm, const struct kva_segment *segment,
                                 struct walk *walk)
{
    const struct kva_descriptor *area = slot_read(vm, (uintptr_t)segment->start);

    if (!area || start_of(area) != segment->start)
        return "V1: a segment has no descriptor";
    if (segment_bytes(vm, area) != segment->last - segment->start + 1)
        return "V1: a segment is not as long as its area and its guard";
    if ((told_state(area) == KVA_VM_PARKED) != (area->prev != NULL))
        return "V2: a parked area is not on the list, or another one is";
    if (!is_part_right(vm, area))
        return "V5: an area lies in the wrong part of the reserve";
    count_area(vm, area, walk);
    return NULL;
}

/** A bin: whether each area in it belongs there and is cached. Ends with the first that does not, and with more than there
 *  can be, so that a ring is not walked for ever. */
static bool check_bin(const struct kva_vm *vm, const struct kva_bin *bin, size_t i, struct kva_count *count)
{
    for (const struct kva_descriptor *area = bin->head; area; area = area->next) {
        if (bin_of(area->pages) != i || state_of(area) != KVA_VM_CACHED || count->areas > vm->all.areas)
            return false;
        count_in(count, area_bytes(vm, area));
    }
    return true;
}

static const char *check_cpu(const struct kva_vm *vm, const struct kva_vm_cpu *cpu, struct kva_count *cached)
{
    struct kva_count own = {0, 0};

    for (size_t i = 0; i < KVA_VM_BINS; i++) {
        if (!check_bin(vm, &cpu->bin[i], i, &own))
            return "V3: a cached area lies in another's bin, or a bin holds what is not cached";
    }
    if (!same_count(&own, &cpu->cached) || own.bytes > vm->cache_share)
        return "V3: a CPU's count is not what its bins hold, or more than its share";
    cached->areas += own.areas;
    cached->bytes += own.bytes;
    return NULL;
}

/** The parked list: linked both ways, by rising tickets. */
static bool check_parked(const struct kva_vm *vm, struct kva_count *count, uint64_t *span)
{
    const struct kva_descriptor *ring = &vm->parked_ring;

    for (const struct kva_descriptor *area = ring->next; area != ring; area = area->next) {
        bool rises = area->prev == ring || (intptr_t)(area->of.ticket - area->prev->of.ticket) > 0;
        if (state_of(area) != KVA_VM_PARKED || area->next->prev != area || !rises)
            return false;
        count_in(count, area_bytes(vm, area));
        *span += segment_bytes(vm, area);
    }
    return true;
}

static const char *check_lists(const struct kva_vm *vm, const struct walk *walk)
{
    struct kva_count cached = {0, 0};
    struct kva_count parked = {0, 0};
    uint64_t span = 0;

    for (unsigned i = 0; i < vm->locks.cpu_count; i++) {
        const char *broken = check_cpu(vm, vm_cpu(vm, i), &cached);
        if (broken)
            return broken;
    }
    if (!same_count(&cached, &walk->state[KVA_VM_CACHED]))
        return "V3: the bins do not hold all that is cached";
    if (!check_parked(vm, &parked, &span) || span != vm->parked_span ||
        !same_count(&parked, &walk->state[KVA_VM_PARKED]))
        return "V2: the parked list does not hold all that is parked";
    return NULL;
}

static const char *check_counts(const struct kva_vm *vm, const struct walk *walk)
{
    bool right = same_count(&vm->all, &walk->all) && same_count(&vm->later, &walk->state[KVA_VM_LATER]) &&
                 same_count(&vm->parked, &walk->state[KVA_VM_PARKED]) &&
                 same_count(&vm->quarantined, &walk->state[KVA_VM_QUARANTINED]) &&
                 same_count(&vm->ram.ended, &walk->ended) && vm->ram.live == walk->ram_live &&
                 vm->parked_ram == walk->parked_ram;

    return right ? NULL : "V4: the counts are not what a walk finds";
}

/** How many pages of live maps show frames of a pool. */
static uint64_t live_map_pages(const struct kva_vm *vm, const struct kva_frames *frames)
{
    struct kva_vm_area area = {0};
    uint64_t pages = 0;

    while (kva_look_next(vm, &area) == KVA_OK) {
        if (is_live_map(&area) && area_at(vm, area.start)->of.frames == frames)
            pages += area.pages;
    }
    return pages;
}

static const char *check_frames(const struct kva_vm *vm)
{
    for (const struct kva_frames *frames = vm->pools; frames; frames = frames->next) {
        uint64_t uses = 0;
        uint64_t taken = 0;
        for (uint64_t i = 0; i < frames->count && taken < frames->taken; i++) {
            taken += frames->uses[i] != 0;
            uses += frames->uses[i] != 0 ? frames->uses[i] - 1 : 0;
        }
        if (taken != frames->taken || uses != frames->shown ||
            uses != live_map_pages(vm, frames) + frames->pending)
            return "V7: the frames' counts are not those of the live maps";
    }
    return NULL;
}

/** Whether an area's owner may still have a say in how its pages are mapped. */
static bool is_owned(const struct kva_descriptor *area)
{
    return is_live(area) || state_of(area) == KVA_VM_LATER;
}

/** Whose a page of an area, or of its guard, is. Of the area that was parked first, a part may be closed already. */
static enum kva_pages_use use_in_area(const struct kva_vm *vm, const struct kva_descriptor *area,
                                      uintptr_t address, uint64_t *end)
{
    uint64_t pages_end = start_of(area) + (uint64_t)area_bytes(vm, area);
    uint64_t closed_end = start_of(area) + (area == vm->parked_ring.next ? vm->head_closed : 0);

    if (address >= pages_end)
        return KVA_PAGES_IDLE;
    *end = address < closed_end ? min_u64(closed_end, pages_end) : pages_end;
    if (is_owned(area))
        return KVA_PAGES_OWNED;
    bool is_mapped = is_in_frames_part(vm, address) && told_state(area) == KVA_VM_PARKED;
    return is_mapped && address >= closed_end ? KVA_PAGES_MAPPED : KVA_PAGES_IDLE;
}

static enum kva_pages_use use_of_page(void *context, uint64_t address, uint64_t *end)
{
    const struct kva_vm *vm = context;
    struct kva_segment segment;

    if (kva_find(vm->space, address, &segment) != KVA_OK) { /* a page of the source's own */
        *end = address + page_of(vm);
        return KVA_PAGES_IDLE;
    }
    *end = segment.last + 1;
    if (segment.state == KVA_FREE)
        return KVA_PAGES_IDLE;
    const struct kva_descriptor *area = slot_read(vm, (uintptr_t)segment.start);
    return use_in_area(vm, area, (uintptr_t)address, end);
}

static void *pool_number(void *context, size_t number)
{
    const struct kva_vm *vm = context;
    const struct kva_frames *frames = vm->pools;

    while (frames && number-- > 0)
        frames = frames->next;
    return frames ? frames->pool : NULL;
}

const char *kva_check_mappings(const struct kva_vm *vm, uint64_t *address)
{
    const struct kva_pages_view view = {use_of_page, pool_number, without_const(vm)};

    return vm->pages.check ? vm->pages.check(vm->pages.context, vm->stretch, &view, address) : NULL;
}

/** Whether the directory knows how many entries a part of the table has. */
static bool is_part_counted(const struct kva_vm *vm, uint64_t part)
{
    const struct kva_descriptor *_Atomic *slot = (void *)vm->table.pieces;
    size_t at = sparse_place(&vm->table, (size_t)part * PIECE_SLOTS, PIECE_SLOTS);
    uint32_t entries = 0;

    for (size_t i = 0; i < PIECE_SLOTS; i++)
        entries += atomic_load_explicit(&slot[at + i], memory_order_relaxed) != NULL;
    return entries == vm->table.directory[part].used;
}

/** The entries of the table are those of areas, and all parts with entries have pieces. */
static const char *check_tables(const struct kva_vm *vm)
{
    uint64_t entries = 0;

    for (uint64_t part = vm->table.from; part < vm->table.end; part++) {
        if (!is_part_counted(vm, part))
            return "V11: a part of the table has other entries than its directory counts";
        entries += vm->table.directory[part].used;
    }
    return entries == vm->all.areas ? NULL
                                    : "V11: the table does not hold as many entries as there are areas";
}

static const char *check_all(const struct kva_vm *vm, uint64_t *at)
{
    struct walk walk = {0};
    struct kva_segment segment;
    const char *broken = NULL;

    for (enum kva_status status = kva_first(vm->space, &segment); status == KVA_OK && !broken;
         status = kva_next(vm->space, &segment)) {
        if (segment.state == KVA_FREE)
            continue;
        *at = segment.start;
        broken = check_segment(vm, &segment, &walk);
    }
    if (broken)
        return broken;
    *at = vm->first;
    broken = check_lists(vm, &walk);
    if (!broken)
        broken = kva_ram_check(vm);
    if (!broken)
        broken = kva_pcpu_check(vm);
    if (!broken)
        broken = check_counts(vm, &walk);
    if (!broken)
        broken = check_tables(vm);
    if (!broken)
        broken = check_frames(vm);
    return broken ? broken : kva_check_mappings(vm, at);
}

enum kva_status kva_vm_check(const struct kva_vm *vm, struct kva_fault *fault)
{
    uint64_t at = 0;

    if (!vm)
        return KVA_ENULL;
    kva_locks_freeze(&vm->locks);
    enum kva_status status = kva_space_check(vm->space, fault);
    const char *broken = status == KVA_OK ? check_all(vm, &at) : NULL;
    kva_locks_thaw(&vm->locks);
    if (!broken)
        return status;
    if (fault)
        *fault = (struct kva_fault){.status = KVA_ECORRUPT, .where = __func__, .what = broken, .address = at};
    return KVA_ECORRUPT;
}
