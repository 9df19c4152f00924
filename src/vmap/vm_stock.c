/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The stock of a frame set's places: see vm_stock.h. */
#include "vm_stock.h"

/* --------------------------------------------------------------------------------------------------- sets */

unsigned kva_stock_block_order(const struct kva_vm *vm)
{
    const unsigned usual = 9;

    if (vm->pages.huge <= page_of(vm))
        return usual;
    return (unsigned)min_u64(lowest_bit(vm->pages.huge) - vm->page_shift, KVA_FRAMES_BLOCK_ORDER);
}

/** The bookkeeping lies in the page source's zeroed tables, because it may be large. */
static void *alloc_zeroed(void *context, size_t bytes)
{
    const struct kva_vm *vm = context;

    return vm->pages.alloc_zeroed(vm->pages.context, bytes);
}

static void free_zeroed(void *context, void *table, size_t bytes)
{
    const struct kva_vm *vm = context;

    vm->pages.free_zeroed(vm->pages.context, table, bytes);
}

/** Make a set. It has no lock of its own: the main lock protects it. */
static enum kva_status make_set(struct kva_vm *vm, struct kva_stock *stock, unsigned set)
{
    const struct kva_frames_zone zone = {.start = stock_start(stock, set), .end = stock_end(stock, set)};
    const struct kva_frames_config config = {
        .zones = &zone,
        .zone_count = 1,
        .block_order = kva_stock_block_order(vm),
        .memory = {alloc_zeroed, free_zeroed, vm},
        .move = stock->move,
        .move_context = stock->move_context,
        .on_corruption = vm->ledger.hooks.on_corruption,
        .hook_context = vm->ledger.hooks.context,
    };
    return kva_frames_create(&config, &stock->sets[set]);
}

/** Make a set and all before it, where they are missing. */
static enum kva_status ready_set(struct kva_vm *vm, struct kva_stock *stock, unsigned set)
{
    enum kva_status status = KVA_OK;

    for (unsigned i = 0; i <= set && status == KVA_OK; i++) {
        if (!stock->sets[i])
            status = make_set(vm, stock, i);
    }
    return status;
}

/** The set that holds a place. */
static unsigned set_of(uint64_t place)
{
    uint64_t above = place >> KVA_STOCK_SHIFT;

    return above == 0 ? 0 : highest_bit(above) + 1;
}

static uint64_t free_in(const struct kva_stock *stock, unsigned set)
{
    return stock_end(stock, set) - stock_start(stock, set) - stock->taken[set];
}

/** The number of places from the first on that are consecutive and in one set. */
static size_t consecutive_places(const uint64_t *places, size_t count)
{
    size_t run = 1;

    while (run < count && places[run] == places[0] + run && set_of(places[run]) == set_of(places[0]))
        run++;
    return run;
}

static void give_all(struct kva_stock *stock, const uint64_t *places, size_t count)
{
    for (size_t i = 0, run; i < count; i += run) {
        run = consecutive_places(&places[i], count - i);
        kva_stock_give(stock, places[i], run);
    }
}

/* --------------------------------------------------------------------------------------------------- take */

static enum kva_frames_type type_of(const struct kva_stock *stock)
{
    return stock->move ? KVA_MOVABLE : KVA_UNMOVABLE;
}

/** Take consecutive places: one run of one set. */
static enum kva_status take_run(struct kva_vm *vm, struct kva_stock *stock, uint64_t count, uint64_t align,
                                uint64_t *first)
{
    struct kva_frames_request request = {.count = count, .align = align, .type = type_of(stock)};

    if (is_power_of_two(count) && count == align) /* a request by order is faster */
        request = (struct kva_frames_request){.order = lowest_bit(count), .type = type_of(stock)};
    for (unsigned set = 0; set < KVA_STOCK_SETS; set++) {
        uint64_t start;
        if (free_in(stock, set) < count || !align_up(stock_start(stock, set), max_u64(align, 1), &start) ||
            start > stock_end(stock, set) - count)
            continue;
        enum kva_status status = ready_set(vm, stock, set);
        if (status == KVA_OK)
            status = kva_frames_alloc(stock->sets[set], &request, first);
        if (status == KVA_OK)
            stock->taken[set] += count;
        if (status != KVA_ENOSPC)
            return status;
    }
    return KVA_ENOSPC;
}

/** Note the places of a run. `split`: from now on they count as runs of one frame. */
static void note_run(const struct kva_stock *stock, uint64_t *places, size_t count, bool split)
{
    if (split)
        (void)kva_frames_split(stock->sets[set_of(places[0])], places[0]);
    for (size_t i = 1; i < count; i++)
        places[i] = places[0] + i;
}

/** Take whole blocks of a set while it has any and its bookkeeping can be allocated; returns the number of
 *  places taken. */
static size_t take_blocks(struct kva_vm *vm, struct kva_stock *stock, unsigned set, size_t count,
                          uint64_t *places)
{
    const unsigned order = kva_stock_block_order(vm);
    const struct kva_frames_request request = {.order = order, .type = type_of(stock)};
    const size_t block = (size_t)1 << order;
    size_t done = 0;

    if (count < block || free_in(stock, set) < block || ready_set(vm, stock, set) != KVA_OK)
        return 0;
    for (; count - done >= block; done += block) {
        if (kva_frames_alloc(stock->sets[set], &request, &places[done]) != KVA_OK)
            break;
        note_run(stock, &places[done], block, true);
    }
    stock->taken[set] += done;
    return done;
}

/** Take a block or more: as one run, else by blocks. Returns the number of places taken. */
static size_t take_large(struct kva_vm *vm, struct kva_stock *stock, size_t count, uint64_t *places)
{
    size_t done = 0;

    if (count >> kva_stock_block_order(vm) == 0)
        return 0;
    if (take_run(vm, stock, count, 1, places) == KVA_OK) {
        note_run(stock, places, count, true);
        return count;
    }
    for (unsigned set = 0; set < KVA_STOCK_SETS; set++)
        done += take_blocks(vm, stock, set, count - done, &places[done]);
    return done;
}

/** Take single places of a set that has so many free. */
static enum kva_status take_single_places(struct kva_vm *vm, struct kva_stock *stock, unsigned set,
                                          size_t count, uint64_t *places)
{
    const struct kva_frames_request request = {.type = type_of(stock)};
    enum kva_status status = ready_set(vm, stock, set);

    if (status == KVA_OK)
        status = kva_frames_alloc_many(stock->sets[set], &request, count, places);
    if (status == KVA_OK)
        stock->taken[set] += count;
    return status;
}

enum kva_status kva_stock_take(struct kva_vm *vm, struct kva_stock *stock, size_t count, uint64_t *places)
{
    size_t done = take_large(vm, stock, count, places);
    enum kva_status status = KVA_OK;

    for (unsigned set = 0; set < KVA_STOCK_SETS && done < count && status == KVA_OK; set++) {
        size_t part = (size_t)min_u64(count - done, free_in(stock, set));
        if (part > 0)
            status = take_single_places(vm, stock, set, part, &places[done]);
        done += status == KVA_OK ? part : 0;
    }
    if (status == KVA_OK && done < count)
        status = KVA_ENOSPC;
    if (status != KVA_OK)
        give_all(stock, places, done);
    return status;
}

/** A run that cannot move is split: its frames need not stay together. */
enum kva_status kva_stock_take_run(struct kva_vm *vm, struct kva_stock *stock, size_t count, uint64_t align,
                                   uint64_t *places)
{
    enum kva_status status = take_run(vm, stock, count, align, places);

    if (status == KVA_OK)
        note_run(stock, places, count, !stock->move);
    return status;
}

/* --------------------------------------------------------------------------------------------------- give */

/** Free places that make whole runs of a set, many at a time, because most runs are single places. The places
 *  after the first of a longer run are free once its first is freed. */
static void free_whole_runs(struct kva_frames *set, uint64_t at, uint64_t end)
{
    uint64_t firsts[64];

    while (at < end) {
        const size_t count = (size_t)min_u64(end - at, sizeof firsts / sizeof firsts[0]);
        struct kva_frames_found found = {.count = 1};
        size_t done = 0;
        for (size_t i = 0; i < count; i++)
            firsts[i] = at + i;
        (void)kva_frames_free_many(set, firsts, count, &done);
        at += done;
        if (done < count && kva_frames_find(set, at, &found) == KVA_OK)
            at = found.first + found.count;
    }
}

/** If the run that holds a place reaches beyond [*first, *end), free the part of it inside, and cut the
 *  range. */
static void free_run_part(struct kva_frames *set, uint64_t place, uint64_t *first, uint64_t *end)
{
    struct kva_frames_found run;

    if (*first == *end || kva_frames_find(set, place, &run) != KVA_OK ||
        (run.first >= *first && run.first + run.count <= *end))
        return;
    const uint64_t from = max_u64(run.first, *first);
    const uint64_t to = min_u64(run.first + run.count, *end);
    (void)kva_frames_free_range(set, from, to - from);
    if (from == *first)
        *first = to;
    else
        *end = from;
}

/** The range may begin and end inside runs that were taken as such. */
static void give_to(struct kva_frames *set, uint64_t first, uint64_t end)
{
    free_run_part(set, first, &first, &end);
    free_run_part(set, end - 1, &first, &end);
    free_whole_runs(set, first, end);
}

void kva_stock_give(struct kva_stock *stock, uint64_t first, uint64_t count)
{
    for (uint64_t part; count > 0; first += part, count -= part) {
        const unsigned set = set_of(first);
        part = min_u64(count, stock_end(stock, set) - first);
        give_to(stock->sets[set], first, first + part);
        stock->taken[set] -= part;
    }
}

void kva_stock_end(struct kva_stock *stock)
{
    for (unsigned set = 0; set < KVA_STOCK_SETS; set++) {
        if (stock->sets[set])
            (void)kva_frames_destroy(stock->sets[set]);
        stock->sets[set] = NULL;
    }
}

static void add_stats(struct kva_frames_stats *sum, const struct kva_frames_stats *part)
{
    sum->free_frames += part->free_frames;
    sum->used_frames += part->used_frames;
    sum->blocks += part->blocks;
    sum->free_blocks += part->free_blocks;
    sum->movable_blocks += part->movable_blocks;
    sum->unmovable_blocks += part->unmovable_blocks;
    sum->held_blocks += part->held_blocks;
    sum->moved_runs += part->moved_runs;
    sum->moved_frames += part->moved_frames;
    sum->memory_bytes += part->memory_bytes;
}

void kva_stock_stats(const struct kva_vm *vm, const struct kva_stock *stock, struct kva_frames_stats *stats)
{
    const unsigned order = kva_stock_block_order(vm);
    const uint64_t left = stock->count - stock_used_end(stock);
    const uint64_t block = UINT64_C(1) << order;

    *stats = (struct kva_frames_stats){
        .free_frames = left, .blocks = (left + block - 1) >> order, .free_blocks = left >> order};
    for (unsigned set = 0; set < KVA_STOCK_SETS && stock->sets[set]; set++) {
        struct kva_frames_stats part;
        if (kva_frames_stats_read(stock->sets[set], 0, &part) == KVA_OK)
            add_stats(stats, &part);
    }
}

const char *kva_stock_check(const struct kva_stock *stock)
{
    for (unsigned set = 0; set < KVA_STOCK_SETS; set++) {
        struct kva_fault fault;
        struct kva_frames_stats stats = {0};
        if (!stock->sets[set]) {
            if (stock->taken[set] > 0)
                return "V13: places without bookkeeping are counted as taken";
            continue;
        }
        if (kva_frames_check(stock->sets[set], &fault) != KVA_OK)
            return fault.what;
        (void)kva_frames_stats_read(stock->sets[set], 0, &stats);
        if (stats.used_frames != stock->taken[set])
            return "V13: the count of taken places differs from the bookkeeping";
    }
    return NULL;
}
