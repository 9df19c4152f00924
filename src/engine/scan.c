/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The scan engine: the contract of engine.h on one sorted array, for spaces of a dozen segments. It is the
 * simplest engine; read it first.
 *
 *      index     0            1          2            3            count
 *      entries   | 0x0 busy A | 0x3 free | 0x9 busy B | 0xa free | (end)
 *
 * An entry holds the start of a segment. The segment ends before the next entry's start, or at the end of the
 * address map; so the array cannot express a gap or an overlap (I1). An operation consists of three steps:
 * FIND an index in the array, CUT a segment in two by inserting an entry, JOIN two segments by removing one.
 *
 * COST. O(n) for every operation, with a few passes over the array, but O(k n) for clear, which makes each of
 * k segments free by itself.
 *
 * MEMORY. The array doubles when it is full, before an operation changes anything (E1, E2).
 */
#include "../base/memory.h"
#include "engine.h"

#include <kva/engine.h>

struct entry {
    uint64_t start;
    void *owner;
    enum kva_state state;
    unsigned epoch; /* of a deferred or absent segment */
};

struct scan_map {
    struct kva_address_map common; /* first: the engine's functions receive a pointer to it */
    struct entry *entries;
    size_t count;
    size_t capacity;
    size_t found; /* the hole of the place found last */
};

/** The entries of the first array, about as many as rb's first slab has nodes. */
enum { FIRST_CAPACITY = 64 };

static struct scan_map *scan_of(struct kva_address_map *map)
{
    return (struct scan_map *)map;
}

static const struct scan_map *scan_of_const(const struct kva_address_map *map)
{
    return (const struct scan_map *)map;
}

static uint64_t last_of(const struct scan_map *scan, size_t index)
{
    return index + 1 < scan->count ? scan->entries[index + 1].start - 1 : scan->common.last;
}

static uint64_t entry_bytes(const struct scan_map *scan, size_t index)
{
    return last_of(scan, index) - scan->entries[index].start + 1;
}

/** The index of the segment that holds `address`. */
static size_t index_of(const struct scan_map *scan, uint64_t address)
{
    size_t index = 0;

    while (index + 1 < scan->count && scan->entries[index + 1].start <= address)
        index++;
    return index;
}

/* -------------------------------------------------------------------------------------------- memory */

/** Ensure room for `more` further entries; false if the source refuses. */
static bool reserve_entries(struct scan_map *scan, size_t more)
{
    struct kva_ledger *ledger = &scan->common.ledger;
    size_t most = SIZE_MAX / sizeof(struct entry) / 2;
    size_t capacity = scan->capacity ? scan->capacity : FIRST_CAPACITY;

    if (more > most - scan->count)
        return false;
    if (scan->count + more <= scan->capacity)
        return true;
    while (capacity < scan->count + more)
        capacity *= 2;
    struct entry *entries = ledger_take(ledger, capacity * sizeof(struct entry));
    if (!entries) { /* the source may still have enough for these entries alone */
        capacity = scan->count + more;
        entries = ledger_take(ledger, capacity * sizeof(struct entry));
    }
    if (!entries)
        return false;
    if (scan->entries) {
        memcpy(entries, scan->entries, scan->count * sizeof(struct entry));
        ledger_give(ledger, scan->entries, scan->capacity * sizeof(struct entry));
    }
    scan->entries = entries;
    scan->capacity = capacity;
    return true;
}

static enum kva_status scan_prepare(struct kva_address_map *map, size_t operations)
{
    if (operations > SIZE_MAX / KVA_SEGMENTS_PER_OPERATION)
        return KVA_ENOMEM;
    bool ready = reserve_entries(scan_of(map), operations * KVA_SEGMENTS_PER_OPERATION) &&
                 index_is_ready(map, operations);
    return ready ? KVA_OK : KVA_ENOMEM;
}

static void scan_destroy(struct kva_address_map *map)
{
    struct scan_map *scan = scan_of(map);

    kva_nodes_fini(&map->ledger); /* the slabs that the space took on this ledger, after the array */
    if (scan->entries)
        ledger_give(&map->ledger, scan->entries, scan->capacity * sizeof(struct entry));
    end_map(map, sizeof *scan);
}

static enum kva_status scan_create(const struct kva_address_map *common, struct kva_address_map **map)
{
    struct scan_map *scan = new_map(common, sizeof *scan);

    if (!scan)
        return KVA_ENOMEM;
    scan->entries = NULL;
    scan->count = 0;
    scan->capacity = 0;
    if (!reserve_entries(scan, 1)) {
        scan_destroy(&scan->common);
        return KVA_ENOMEM;
    }
    scan->entries[0] = (struct entry){common->first, NULL, KVA_FREE, 0};
    scan->count = 1;
    scan->common.tally.segments[KVA_FREE] = 1;
    scan->common.tally.bytes[KVA_FREE] = common->last - common->first + 1;
    hole_gained(&scan->common, common->first, common->last, common->first, common->last);
    *map = &scan->common;
    return KVA_OK;
}

/* ----------------------------------------------------------------------------------- the three steps */

/** Find: the index of the busy segment that starts at `start`. */
static bool find_busy_entry(const struct scan_map *scan, uint64_t start, size_t *index)
{
    *index = index_of(scan, start);
    return scan->entries[*index].start == start && scan->entries[*index].state == KVA_BUSY;
}

/** Cut: the segment at `index` ends before `at`, which lies inside it; a second one of its state starts
 *  there. */
static void cut(struct scan_map *scan, size_t index, uint64_t at)
{
    struct entry *entry = &scan->entries[index];

    memmove(entry + 1, entry, (scan->count - index) * sizeof *entry);
    entry[1].start = at;
    scan->count++;
    scan->common.tally.segments[entry->state]++;
}

/** Join: the segment at `index` takes over the addresses of the one after it. */
static void join(struct scan_map *scan, size_t index)
{
    struct entry *next = &scan->entries[index + 1];

    scan->common.tally.segments[next->state]--;
    memmove(next, next + 1, (scan->count - index - 2) * sizeof *next);
    scan->count--;
}

static void set_entry_state(struct scan_map *scan, size_t index, enum kva_state state, void *owner)
{
    struct entry *entry = &scan->entries[index];
    struct kva_tally *tally = &scan->common.tally;

    kva_tally_move_bytes(tally, entry->state, state, entry_bytes(scan, index));
    tally->segments[entry->state]--;
    tally->segments[state]++;
    entry->state = state;
    entry->owner = owner;
}

static bool is_free(const struct scan_map *scan, size_t index)
{
    return index < scan->count && scan->entries[index].state == KVA_FREE;
}

/** Make the segment at `index` free, and join it with free neighbours (I3). */
static void make_free(struct scan_map *scan, size_t index)
{
    bool joins_before = index > 0 && is_free(scan, index - 1);

    hole_gained(&scan->common, scan->entries[index - joins_before].start,
                last_of(scan, index + is_free(scan, index + 1)), scan->entries[index].start,
                last_of(scan, index));
    set_entry_state(scan, index, KVA_FREE, NULL);
    if (is_free(scan, index + 1))
        join(scan, index);
    if (joins_before)
        join(scan, index - 1);
}

/* --------------------------------------------------------------------------------- taking and giving */

/** Record [start, last] in the hole at `index` as the place found last. */
static void found_at(struct scan_map *scan, size_t index, uint64_t start, uint64_t last,
                     struct kva_place *place)
{
    *place = (struct kva_place){start, last, scan->entries[index].start, last_of(scan, index)};
    scan->found = index;
}

static enum kva_status scan_search(struct kva_address_map *map, const struct kva_demand *demand,
                                   struct kva_place *place)
{
    struct scan_map *scan = scan_of(map);
    bool lowest = demand->policy == KVA_LOWEST;
    size_t step = lowest ? 1 : SIZE_MAX; /* one up, or one down, which wraps from 0 past all indices */

    for (size_t index = lowest ? 0 : scan->count - 1; index < scan->count; index += step) {
        if (!is_free(scan, index) ||
            !kva_fit_in_hole(scan->entries[index].start, last_of(scan, index), demand, &place->start))
            continue;
        found_at(scan, index, place->start, place->start + (demand->size - 1), place);
        return KVA_OK;
    }
    return KVA_ENOSPC;
}

static enum kva_status scan_locate(struct kva_address_map *map, uint64_t start, uint64_t last,
                                   struct kva_place *place)
{
    struct scan_map *scan = scan_of(map);
    size_t index = index_of(scan, start);

    if (!is_free(scan, index) || last_of(scan, index) < last)
        return KVA_EEXIST;
    found_at(scan, index, start, last, place);
    return KVA_OK;
}

static enum kva_status scan_occupy(struct kva_address_map *map, const struct kva_place *place, void *owner)
{
    struct scan_map *scan = scan_of(map);
    size_t index = scan->found;
    bool cut_left = place->start > scan->entries[index].start;
    bool cut_right = place->last < last_of(scan, index);

    if (!reserve_entries(scan, (size_t)cut_left + cut_right) || !index_is_ready(map, 1))
        return KVA_ENOMEM;
    hole_lost(map, scan->entries[index].start, last_of(scan, index), place->start, place->last);
    if (cut_right)
        cut(scan, index, place->last + 1);
    if (cut_left)
        cut(scan, index++, place->start);
    set_entry_state(scan, index, KVA_BUSY, map->owners ? owner : NULL);
    return KVA_OK;
}

static enum kva_status scan_free(struct kva_address_map *map, uint64_t start)
{
    size_t index;

    if (!find_busy_entry(scan_of(map), start, &index))
        return KVA_ENOENT;
    make_free(scan_of(map), index);
    return KVA_OK;
}

static enum kva_status scan_punch(struct kva_address_map *map, uint64_t start, uint64_t first, uint64_t last)
{
    struct scan_map *scan = scan_of(map);
    size_t index;

    if (!find_busy_entry(scan, start, &index))
        return KVA_ENOENT;
    if (!reserve_entries(scan, 2) || !index_is_ready(map, 1))
        return KVA_ENOMEM;
    cut(scan, index, last + 1);
    cut(scan, index, first);
    make_free(scan, index + 1);
    return KVA_OK;
}

static enum kva_status scan_trim(struct kva_address_map *map, uint64_t start, uint64_t first)
{
    struct scan_map *scan = scan_of(map);
    size_t index;

    if (!find_busy_entry(scan, start, &index))
        return KVA_ENOENT;
    if (index > 0 && is_free(scan, index - 1)) {
        hole_gained(map, scan->entries[index - 1].start, first - 1, start, first - 1);
        scan->entries[index].start = first;
        kva_tally_move_bytes(&map->tally, KVA_BUSY, KVA_FREE, first - start);
        return KVA_OK;
    }
    if (!reserve_entries(scan, 1))
        return KVA_ENOMEM;
    cut(scan, index, first);
    make_free(scan, index);
    return KVA_OK;
}

/** Extend the busy segment at `index` to `last`, into the hole after it. */
static enum kva_status enlarge_entry(struct scan_map *scan, size_t index, uint64_t last)
{
    uint64_t more = last - last_of(scan, index);

    if (!is_free(scan, index + 1) || last_of(scan, index + 1) < last)
        return KVA_ENOSPC;
    uint64_t hole_start = scan->entries[index + 1].start;
    hole_lost(&scan->common, hole_start, last_of(scan, index + 1), hole_start, last);
    kva_tally_move_bytes(&scan->common.tally, KVA_FREE, KVA_BUSY, more);
    if (last_of(scan, index + 1) == last)
        join(scan, index);
    else
        scan->entries[index + 1].start = last + 1;
    return KVA_OK;
}

/** Cut the busy segment at `index` after `last`; the rest joins the hole after it, or becomes a new one. */
static enum kva_status shrink_entry(struct scan_map *scan, size_t index, uint64_t last)
{
    if (is_free(scan, index + 1)) {
        hole_gained(&scan->common, last + 1, last_of(scan, index + 1), last + 1, last_of(scan, index));
        kva_tally_move_bytes(&scan->common.tally, KVA_BUSY, KVA_FREE, last_of(scan, index) - last);
        scan->entries[index + 1].start = last + 1;
        return KVA_OK;
    }
    if (!reserve_entries(scan, 1))
        return KVA_ENOMEM;
    cut(scan, index, last + 1);
    make_free(scan, index + 1);
    return KVA_OK;
}

static enum kva_status scan_resize(struct kva_address_map *map, uint64_t start, uint64_t last)
{
    struct scan_map *scan = scan_of(map);
    size_t index;

    if (!find_busy_entry(scan, start, &index))
        return KVA_ENOENT;
    if (last > last_of(scan, index))
        return enlarge_entry(scan, index, last);
    return last < last_of(scan, index) ? shrink_entry(scan, index, last) : KVA_OK;
}

/** Downwards, because a join moves the entries after it. */
static void scan_clear(struct kva_address_map *map, uint64_t first, uint64_t last)
{
    struct scan_map *scan = scan_of(map);

    for (size_t i = scan->count; i-- > 0;) {
        if (scan->entries[i].state == KVA_BUSY && scan->entries[i].start >= first && last_of(scan, i) <= last)
            make_free(scan, i);
    }
}

static enum kva_status scan_own(struct kva_address_map *map, uint64_t start, void *owner)
{
    struct scan_map *scan = scan_of(map);
    size_t index;

    if (!find_busy_entry(scan, start, &index))
        return KVA_ENOENT;
    scan->entries[index].owner = map->owners ? owner : NULL;
    return KVA_OK;
}

static enum kva_status scan_defer(struct kva_address_map *map, uint64_t start, unsigned epoch, uint64_t *last)
{
    struct scan_map *scan = scan_of(map);
    size_t index;

    if (!find_busy_entry(scan, start, &index))
        return KVA_ENOENT;
    scan->entries[index].state = state_of_epoch(epoch);
    scan->entries[index].epoch = epoch;
    kva_tally_defer(&map->tally, epoch, entry_bytes(scan, index));
    *last = last_of(scan, index);
    return KVA_OK;
}

/** One pass: up to `most` entries deferred in the epoch become free, and a free entry after a free one is
 *  dropped. */
static void scan_free_deferred(struct kva_address_map *map, unsigned epoch, uint64_t most)
{
    struct scan_map *scan = scan_of(map);
    struct kva_tally *tally = &map->tally;
    uint64_t freed = 0;
    size_t kept = 0;

    for (size_t i = 0; i < scan->count; i++) {
        struct entry entry = scan->entries[i];
        if (entry.state == KVA_DEFERRED && entry.epoch == epoch && freed < most) {
            bool joins_before = kept > 0 && scan->entries[kept - 1].state == KVA_FREE;
            hole_gained(map, joins_before ? scan->entries[kept - 1].start : entry.start,
                        last_of(scan, i + is_free(scan, i + 1)), entry.start, last_of(scan, i));
            kva_tally_move_bytes(tally, KVA_DEFERRED, KVA_FREE, entry_bytes(scan, i));
            entry = (struct entry){entry.start, NULL, KVA_FREE, 0};
            freed++;
        }
        if (entry.state != KVA_FREE || kept == 0 || scan->entries[kept - 1].state != KVA_FREE)
            scan->entries[kept++] = entry;
    }
    tally->segments[KVA_FREE] += freed - (scan->count - kept);
    tally->segments[KVA_DEFERRED] -= freed;
    tally->deferred[epoch] -= freed;
    scan->count = kept;
}

static enum kva_status scan_undefer(struct kva_address_map *map, uint64_t start)
{
    struct scan_map *scan = scan_of(map);
    size_t index = index_of(scan, start);
    struct entry *entry = &scan->entries[index];

    if (entry->start != start || entry->state != KVA_ABSENT)
        return KVA_ENOENT;
    entry->state = KVA_BUSY;
    kva_tally_undefer(&map->tally, entry_bytes(scan, index));
    return KVA_OK;
}

static enum kva_status scan_extend(struct kva_address_map *map, uint64_t first, uint64_t last)
{
    struct scan_map *scan = scan_of(map);
    bool new_below = first < map->first && !is_free(scan, 0);
    bool new_above = last > map->last && !is_free(scan, scan->count - 1);

    if (!reserve_entries(scan, (size_t)new_below + new_above))
        return KVA_ENOMEM;
    if (first < map->first)
        hole_gained(map, first, new_below ? map->first - 1 : last_of(scan, 0), first, map->first - 1);
    if (new_above)
        scan->entries[scan->count++] = (struct entry){map->last + 1, NULL, KVA_FREE, 0};
    if (new_below) {
        memmove(scan->entries + 1, scan->entries, scan->count * sizeof *scan->entries);
        scan->entries[0] = (struct entry){first, NULL, KVA_FREE, 0};
        scan->count++;
    }
    scan->entries[0].start = first;
    if (last > map->last)
        hole_gained(map, scan->entries[scan->count - 1].start, last, map->last + 1, last);
    map->tally.segments[KVA_FREE] += (uint64_t)new_below + new_above;
    map->tally.bytes[KVA_FREE] += (map->first - first) + (last - map->last);
    map->first = first;
    map->last = last;
    return KVA_OK;
}

/** Whether all addresses below `first` and above `last` are free. */
static bool ends_are_free(const struct scan_map *scan, uint64_t first, uint64_t last)
{
    size_t top = scan->count - 1;
    bool below = first == scan->common.first || (is_free(scan, 0) && last_of(scan, 0) >= first - 1);
    bool above = last == scan->common.last || (is_free(scan, top) && scan->entries[top].start <= last + 1);

    return below && above;
}

static enum kva_status scan_narrow(struct kva_address_map *map, uint64_t first, uint64_t last)
{
    struct scan_map *scan = scan_of(map);

    if (!ends_are_free(scan, first, last))
        return KVA_EBUSY;
    bool drop_lowest = first > map->first && last_of(scan, 0) == first - 1;
    bool drop_highest = last < map->last && scan->entries[scan->count - 1].start == last + 1;
    if (first > map->first)
        hole_lost(map, map->first, last_of(scan, 0), map->first, first - 1);
    if (last < map->last)
        hole_lost(map, max_u64(scan->entries[scan->count - 1].start, first), map->last, last + 1, map->last);
    scan->count -= (size_t)drop_lowest + drop_highest;
    if (drop_lowest)
        memmove(scan->entries, scan->entries + 1, scan->count * sizeof *scan->entries);
    scan->entries[0].start = first;
    map->tally.segments[KVA_FREE] -= (uint64_t)drop_lowest + drop_highest;
    map->tally.bytes[KVA_FREE] -= (first - map->first) + (map->last - last);
    map->first = first;
    map->last = last;
    return KVA_OK;
}

/* ------------------------------------------------------------------------------------------- looking */

static void show_entry(const struct scan_map *scan, size_t index, struct kva_segment *segment)
{
    segment->start = scan->entries[index].start;
    segment->last = last_of(scan, index);
    segment->owner = scan->entries[index].owner;
    segment->state = scan->entries[index].state;
}

static void scan_lookup(const struct kva_address_map *map, uint64_t address, struct kva_segment *segment)
{
    const struct scan_map *scan = scan_of_const(map);

    show_entry(scan, index_of(scan, address), segment);
}

static enum kva_status scan_next_deferred(const struct kva_address_map *map, unsigned epoch, uint64_t from,
                                          uint64_t to, struct kva_segment *segment)
{
    const struct scan_map *scan = scan_of_const(map);

    for (size_t i = index_of(scan, from); i < scan->count && scan->entries[i].start <= to; i++) {
        const struct entry *entry = &scan->entries[i];
        if (entry->state != state_of_epoch(epoch) || entry->epoch != epoch || entry->start < from)
            continue;
        show_entry(scan, i, segment);
        return KVA_OK;
    }
    return KVA_ENOENT;
}

static bool scan_largest(const struct kva_address_map *map, uint64_t *extent)
{
    const struct scan_map *scan = scan_of_const(map);
    bool any = false;

    *extent = 0;
    for (size_t i = 0; i < scan->count; i++) {
        if (is_free(scan, i)) {
            *extent = max_u64(*extent, entry_bytes(scan, i) - 1);
            any = true;
        }
    }
    return any;
}

/** I2, I3 and I6 at one entry. I1 holds by construction if the starts ascend from first (I6). */
static const char *check_entry(const struct scan_map *scan, size_t index)
{
    const struct entry *entry = &scan->entries[index];
    bool in_order = index > 0 ? entry[-1].start < entry->start : entry->start == scan->common.first;

    if (!in_order || entry->start > scan->common.last)
        return "I6: the array is out of order";
    if (!is_aligned(entry->start, scan->common.quantum))
        return "I2: a segment misses the quantum";
    if (entry->state > KVA_DEFERRED && entry->state != KVA_ABSENT)
        return "I6: an entry has an invalid state";
    if (entry->state == KVA_DEFERRED && entry->epoch >= KVA_EPOCHS)
        return "I7: a deferred segment belongs to no epoch";
    if (index > 0 && is_free(scan, index) && is_free(scan, index - 1))
        return "I3: two adjacent free segments";
    if (entry->state != KVA_ABSENT)
        return NULL;
    if (index == 0 || index + 1 == scan->count)
        return "I3: an end of the space is absent";
    return entry[-1].state == KVA_ABSENT ? "I3: two adjacent absent segments" : NULL;
}

static const char *scan_check(const struct kva_address_map *map, uint64_t *address)
{
    const struct scan_map *scan = scan_of_const(map);
    struct kva_tally tally = {{0}, {0}, {0}};

    for (size_t i = 0; i < scan->count; i++) {
        const char *broken = check_entry(scan, i);
        *address = scan->entries[i].start;
        if (broken)
            return broken;
        if (scan->entries[i].state == KVA_DEFERRED)
            tally.deferred[scan->entries[i].epoch]++;
        tally.segments[scan->entries[i].state]++;
        tally.bytes[scan->entries[i].state] += entry_bytes(scan, i);
    }
    *address = 0;
    if (memcmp(&tally, &map->tally, sizeof tally) != 0)
        return "I5: the tally differs from what a walk counts";
    return NULL;
}

static const char *scan_check_near(const struct kva_address_map *map, uint64_t at, uint64_t *address)
{
    const struct scan_map *scan = scan_of_const(map);
    size_t middle = index_of(scan, at);

    for (size_t i = middle > 0 ? middle - 1 : 0; i < scan->count && i <= middle + 1; i++) {
        const char *broken = check_entry(scan, i);
        *address = scan->entries[i].start;
        if (broken)
            return broken;
    }
    return NULL;
}

const struct kva_engine kva_engine_scan = {
    .name = "scan",
    .create = scan_create,
    .destroy = scan_destroy,
    .prepare = scan_prepare,
    .search = scan_search,
    .locate = scan_locate,
    .occupy = scan_occupy,
    .free = scan_free,
    .punch = scan_punch,
    .trim = scan_trim,
    .resize = scan_resize,
    .clear = scan_clear,
    .own = scan_own,
    .defer = scan_defer,
    .free_deferred = scan_free_deferred,
    .undefer = scan_undefer,
    .next_deferred = scan_next_deferred,
    .extend = scan_extend,
    .narrow = scan_narrow,
    .lookup = scan_lookup,
    .has_try_lookup = false,
    .try_lookup = no_try_lookup,
    .largest = scan_largest,
    .check = scan_check,
    .check_near = scan_check_near,
};
