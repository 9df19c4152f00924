/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * THE OPERATIONS
 *   A worker has slots. Each operation concerns a random slot, and depends on what the slot has: nothing, a
 *   run, or frames that the worker took offline. Rows of the table at the end are drawn by weight. Each row
 *   has two sets of weights: one for a worker that fills its slots, one for a worker that empties them.
 *   Workers change between the two, so the set is sometimes full and sometimes nearly empty. A new operation
 *   is a function and a row.
 *
 * WHAT IS VERIFIED
 *   An allocated run is aligned, in the window, on the required node, in one zone, and had no owner
 *   (frames_table.h). Each status is one that the call may return; if only one is right, it is that one.
 *   Wrong frees must be refused with the status that kva/frames.h names, and change nothing. Only
 *   frames_inspect.c tries double frees, while no worker runs, because another worker may get the frames at
 *   any moment. Runs have contents, and movable runs are moved meanwhile: see frames_move.c.
 */
#include "frames_traffic.h"

#include "frames_move.h"

#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The most runs of one call. */
#define MANY 32

/* ------------------------------------------------------------------------------------------------- faults */

bool traffic_fail(struct traffic *traffic, const char *format, ...)
{
    char fault[FRAMES_FAULT];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fault, sizeof(fault), format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&traffic->fault_lock);
    if (traffic->fault[0] == '\0')
        memcpy(traffic->fault, fault, sizeof(fault));
    pthread_mutex_unlock(&traffic->fault_lock);
    atomic_store(&traffic->failed, true);
    return false;
}

bool traffic_expect(struct traffic *traffic, const char *call, uint64_t first, uint64_t count,
                    enum kva_status status, enum kva_status wanted)
{
    if (status == wanted)
        return true;
    return traffic_fail(traffic, "%s of %" PRIu64 " frames from 0x%" PRIx64 " on returned %s, not %s", call,
                        count, first, kva_status_name(status), kva_status_name(wanted));
}

static bool change(struct traffic *traffic, uint64_t first, uint64_t count, uint32_t from, uint32_t to)
{
    char fault[FRAMES_FAULT];
    return traffic_table_change(&traffic->table, first, count, from, to, fault) ||
           traffic_fail(traffic, "%s", fault);
}

bool traffic_check(struct traffic *traffic)
{
    struct kva_fault fault;
    if (kva_frames_check(traffic->frames, &fault) == KVA_OK)
        return true;
    return traffic_fail(traffic, "kva_frames_check: %s, at 0x%" PRIx64, fault.what, fault.address);
}

/* Count the operation as refused. Always true. */
static bool refuse(struct traffic_worker *worker, enum traffic_kind kind)
{
    worker->done[kind]--; /* traffic_step has added one */
    worker->refused[kind]++;
    return true;
}

/* ----------------------------------------------------------------------------------------------- requests */

static bool one_in(struct rng *rng, uint64_t n)
{
    return rng_below(rng, n) == 0;
}

/* Half of all requests are of order 0, a quarter of order 1 ...; one in 64 has any order up to a few
 * blocks (in small blocks, up to 512 frames), and one in 4096 any order. */
static unsigned some_order(struct traffic_worker *worker)
{
    unsigned block_order = worker->traffic->table.shape.block_order;
    unsigned most = (block_order > 7 ? block_order : 7) + 2;
    unsigned order = 0;
    if (one_in(&worker->rng, 4096))
        return (unsigned)rng_below(&worker->rng, 64);
    if (one_in(&worker->rng, 64))
        return (unsigned)rng_below(&worker->rng, most + 1);
    while (order < most && one_in(&worker->rng, 2))
        order++;
    return order;
}

static void choose_count(struct traffic_worker *worker, struct kva_frames_request *request)
{
    uint64_t block = UINT64_C(1) << worker->traffic->table.shape.block_order;
    request->count = 1 + rng_below(&worker->rng, one_in(&worker->rng, 8) ? 3 * block : 48);
    if (one_in(&worker->rng, 2))
        request->align = UINT64_C(1) << rng_below(&worker->rng, 8);
}

/* From one random frame of a zone to a later one; or everything up to one, as for devices; or a window
 * outside all zones: some shapes have no frame below 19. */
static void choose_window(struct traffic_worker *worker, struct kva_frames_request *request)
{
    const struct traffic_shape *shape = &worker->traffic->table.shape;
    const struct kva_frames_zone *zone = &shape->zones[rng_below(&worker->rng, shape->zone_count)];
    request->max = rng_between(&worker->rng, zone->start, zone->end - 1);
    if (one_in(&worker->rng, 2))
        request->min = rng_between(&worker->rng, zone->start, request->max);
    if (one_in(&worker->rng, 64))
        *request = (struct kva_frames_request){.min = 1, .max = 5};
}

static struct kva_frames_request some_request(struct traffic_worker *worker)
{
    struct kva_frames_request request = {0};
    if (one_in(&worker->rng, 8))
        choose_count(worker, &request);
    else
        request.order = some_order(worker);
    if (one_in(&worker->rng, 8))
        choose_window(worker, &request);
    request.node = (unsigned)rng_below(&worker->rng, worker->traffic->table.shape.node_count);
    request.flags = one_in(&worker->rng, 8) ? KVA_FRAMES_THIS_NODE : 0;
    request.flags |= one_in(&worker->rng, 4) ? KVA_FRAMES_COMPACT : 0;
    request.type = one_in(&worker->rng, 3) ? KVA_UNMOVABLE : KVA_MOVABLE;
    return request;
}

static bool has_window(const struct kva_frames_request *request)
{
    return request->min != 0 || request->max != 0;
}

static bool meets_a_zone(const struct traffic_shape *shape, const struct kva_frames_request *request)
{
    for (size_t i = 0; i < shape->zone_count; i++)
        if (request->min < shape->zones[i].end && request->max >= shape->zones[i].start)
            return true;
    return !has_window(request);
}

/* The expected status of a refusal. */
static enum kva_status wanted_refusal(const struct traffic *traffic, const struct kva_frames_request *request)
{
    return meets_a_zone(&traffic->table.shape, request) ? KVA_ENOSPC : KVA_EWINDOW;
}

static uint64_t frames_of(const struct kva_frames_request *request)
{
    return request->count != 0 ? request->count : UINT64_C(1) << request->order;
}

/* Lock and unlock records of other slots than the operation's. */
static void hold(struct traffic_worker *worker, struct traffic_held *held)
{
    if (held != worker->held[worker->at])
        traffic_hold(held);
}

static void drop(struct traffic_worker *worker, struct traffic_held *held)
{
    if (held != worker->held[worker->at])
        traffic_drop(held);
}

/* Enter allocated frames in a locked, empty record. */
static bool record(struct traffic_worker *worker, struct traffic_held *held, uint64_t first, uint64_t count,
                   uint32_t owner, enum kva_frames_type type)
{
    held->first = first;
    held->count = count;
    held->owner = owner;
    held->is_movable = type == KVA_MOVABLE;
    held->contents = (uint32_t)rng_next(&worker->rng);
    if (!change(worker->traffic, first, count, OWNER_NONE, owner))
        return false;
    if (owner != OWNER_OFFLINE)
        traffic_publish(worker->traffic, held);
    return true;
}

/* The table comes first: a frame with two owners matters more than a wrong place. */
static bool verify(struct traffic_worker *worker, const struct kva_frames_request *request, uint64_t first,
                   struct traffic_held *held)
{
    struct traffic *traffic = worker->traffic;
    uint64_t count = frames_of(request);
    uint64_t align = request->align != 0 ? request->align : UINT64_C(1) << request->order;
    if (!record(worker, held, first, count, worker->owner, request->type))
        return false;
    const struct kva_frames_zone *zone =
        &traffic->table.shape.zones[traffic_table_zone(&traffic->table, first)];
    const char *wrong = NULL;
    if ((first & (align - 1)) != 0)
        wrong = "off its alignment";
    else if (has_window(request) && (first < request->min || first + (count - 1) > request->max))
        wrong = "outside its window";
    else if ((request->flags & KVA_FRAMES_THIS_NODE) != 0 && zone->node != request->node)
        wrong = "on another node";
    if (wrong == NULL)
        return true;
    return traffic_fail(traffic,
                        "a request (order %u, count %" PRIu64 ", align %" PRIu64 ", window 0x%" PRIx64
                        "-0x%" PRIx64 ", node %u) returned 0x%" PRIx64 ": %s",
                        request->order, request->count, request->align, request->min, request->max,
                        request->node, first, wrong);
}

/* -------------------------------------------------------------------------------------- allocate and free */

static bool take(struct traffic_worker *worker, struct traffic_held *held)
{
    struct traffic *traffic = worker->traffic;
    struct kva_frames_request request = some_request(worker);
    uint64_t first;
    enum kva_status status = kva_frames_alloc(traffic->frames, &request, &first);
    if (status != KVA_OK)
        return traffic_expect(traffic, "kva_frames_alloc", 0, frames_of(&request), status,
                              wanted_refusal(traffic, &request)) &&
               refuse(worker, TRAFFIC_TAKE);
    return verify(worker, &request, first, held);
}

/* Lock up to MANY records of slots that have runs, or that are empty, and return their number. They
 * differ, because the search goes once round from a random slot. */
static size_t find_slots(struct traffic_worker *worker, bool used, struct traffic_held *slot[MANY])
{
    size_t found = 0, looked = 0, wanted = (size_t)rng_between(&worker->rng, 2, MANY);
    size_t at = (size_t)rng_below(&worker->rng, worker->slots);
    for (; looked < 4 * MANY && looked < worker->slots && found < wanted; looked++) {
        struct traffic_held *held = worker->held[(at + looked) % worker->slots];
        if (held->count == 0 ? used : !used || held->owner == OWNER_OFFLINE)
            continue;
        hold(worker, held);
        slot[found++] = held;
    }
    return found;
}

static void drop_slots(struct traffic_worker *worker, struct traffic_held *slot[MANY], size_t count)
{
    for (size_t i = 0; i < count; i++)
        drop(worker, slot[i]);
}

static bool take_runs(struct traffic_worker *worker, struct traffic_held *slot[MANY], size_t runs)
{
    struct traffic *traffic = worker->traffic;
    uint64_t firsts[MANY];
    struct kva_frames_request request = some_request(worker);
    if (one_in(&worker->rng, 2))
        request.order = 0;
    enum kva_status status = kva_frames_alloc_many(traffic->frames, &request, runs, firsts);
    if (status != KVA_OK)
        return traffic_expect(traffic, "kva_frames_alloc_many", 0, frames_of(&request), status,
                              wanted_refusal(traffic, &request)) &&
               refuse(worker, TRAFFIC_TAKE_MANY);
    for (size_t i = 0; i < runs; i++)
        if (!verify(worker, &request, firsts[i], slot[i]))
            return false;
    return true;
}

static bool take_many(struct traffic_worker *worker, struct traffic_held *held)
{
    struct traffic_held *slot[MANY];
    size_t runs = find_slots(worker, false, slot);
    (void)held;
    bool good = take_runs(worker, slot, runs);
    drop_slots(worker, slot, runs);
    return good;
}

/* A random range of a zone, mostly short. */
static struct kva_frames_range some_range(struct traffic_worker *worker)
{
    const struct traffic_shape *shape = &worker->traffic->table.shape;
    const struct kva_frames_zone *zone = &shape->zones[rng_below(&worker->rng, shape->zone_count)];
    uint64_t first = rng_between(&worker->rng, zone->start, zone->end - 1);
    uint64_t most = one_in(&worker->rng, 16) ? UINT64_C(2) << shape->block_order : 8;
    uint64_t left = zone->end - first;
    return (struct kva_frames_range){.first = first,
                                     .count = 1 + rng_below(&worker->rng, most < left ? most : left)};
}

/* Whether a range meets a permanent hole. */
static bool meets_a_hole(const struct traffic_table *table, const struct kva_frames_range *range)
{
    for (size_t i = 0; i < table->shape.hole_count; i++) {
        const struct kva_frames_range *hole = &table->shape.holes[i];
        if (range->first < hole->first + hole->count && hole->first < range->first + range->count)
            return true;
    }
    return false;
}

/* Reserve a range or take it offline: these differ only in their statuses. KVA_ERANGE may come from frames
 * that another worker took offline. */
static bool claim(struct traffic_worker *worker, struct traffic_held *held, enum traffic_kind kind)
{
    struct traffic *traffic = worker->traffic;
    struct kva_frames_range range = some_range(worker);
    enum kva_frames_type type = one_in(&worker->rng, 2) ? KVA_MOVABLE : KVA_UNMOVABLE;
    bool takes = kind == TRAFFIC_RESERVE;
    const char *call = takes ? "kva_frames_reserve" : "kva_frames_offline";
    uint64_t obstacle = range.first;
    enum kva_status status =
        takes ? kva_frames_reserve(traffic->frames, range.first, range.count, type, &obstacle)
              : kva_frames_offline(traffic->frames, range.first, range.count, &obstacle);
    if (obstacle - range.first >= range.count)
        return traffic_fail(traffic, "%s: the obstacle 0x%" PRIx64 " lies outside the range", call, obstacle);
    if (status == KVA_ERANGE || status == (takes ? KVA_EEXIST : KVA_EBUSY))
        return refuse(worker, kind);
    if (meets_a_hole(&traffic->table, &range))
        return traffic_expect(traffic, call, range.first, range.count, status, KVA_ERANGE);
    return traffic_expect(traffic, call, range.first, range.count, status, KVA_OK) &&
           record(worker, held, range.first, range.count, takes ? worker->owner : OWNER_OFFLINE, type);
}

static bool reserve(struct traffic_worker *worker, struct traffic_held *held)
{
    return claim(worker, held, TRAFFIC_RESERVE);
}

static bool take_offline(struct traffic_worker *worker, struct traffic_held *held)
{
    return claim(worker, held, TRAFFIC_OFFLINE);
}

/* Called before the free, so that the next owner finds the words at 0, and no record refers to the run if
 * it is being moved. */
static bool disown(struct traffic *traffic, struct traffic_held *held)
{
    uint64_t count = held->count;
    bool has_contents = held->owner != OWNER_OFFLINE && held->owner != OWNER_CHECKS;
    if (has_contents && !traffic_verify_contents(traffic, held))
        return false;
    traffic_withdraw(traffic, held);
    held->count = 0;
    return change(traffic, held->first, count, held->owner, OWNER_NONE);
}

bool traffic_give(struct traffic *traffic, struct traffic_held *held)
{
    uint64_t count = held->count;
    if (count == 0)
        return true;
    if (!disown(traffic, held))
        return false;
    if (held->owner == OWNER_OFFLINE)
        return traffic_expect(traffic, "kva_frames_online", held->first, count,
                              kva_frames_online(traffic->frames, held->first, count, NULL), KVA_OK);
    return traffic_expect(traffic, "kva_frames_free", held->first, count,
                          kva_frames_free(traffic->frames, held->first), KVA_OK);
}

static bool give(struct traffic_worker *worker, struct traffic_held *held)
{
    return traffic_give(worker->traffic, held);
}

/* A frame outside all zones. */
#define NOWHERE (UINT64_C(1) << 50)

/* Free runs, sometimes with a wrong number among them: the call then frees only those before it. */
static bool give_runs(struct traffic_worker *worker, struct traffic_held *slot[MANY], size_t runs)
{
    struct traffic *traffic = worker->traffic;
    uint64_t firsts[MANY + 1] = {0};
    size_t done = SIZE_MAX;
    size_t wrong_at = one_in(&worker->rng, 8) ? (size_t)rng_below(&worker->rng, runs + 1) : SIZE_MAX;
    bool is_wrong = wrong_at != SIZE_MAX;
    for (size_t i = 0, at = 0; i < runs + is_wrong; i++)
        firsts[i] = i == wrong_at ? NOWHERE : slot[at++]->first;
    for (size_t i = 0; i < runs; i++)
        if (!disown(traffic, slot[i]))
            return false;
    enum kva_status status = kva_frames_free_many(traffic->frames, firsts, runs + is_wrong, &done);
    if (!traffic_expect(traffic, "kva_frames_free_many", firsts[0], runs, status,
                        is_wrong ? KVA_EUNKNOWN : KVA_OK))
        return false;
    if (done != (is_wrong ? wrong_at : runs))
        return traffic_fail(traffic, "kva_frames_free_many: freed %zu of %zu, with the wrong number at %zu",
                            done, runs, wrong_at);
    if (!is_wrong)
        return true;
    status = kva_frames_free_many(traffic->frames, &firsts[wrong_at + 1], runs - wrong_at, NULL);
    return traffic_expect(traffic, "kva_frames_free_many", firsts[wrong_at], runs - wrong_at, status, KVA_OK);
}

static bool give_many(struct traffic_worker *worker, struct traffic_held *held)
{
    struct traffic_held *slot[MANY];
    size_t runs = find_slots(worker, true, slot);
    (void)held;
    bool good = give_runs(worker, slot, runs);
    drop_slots(worker, slot, runs);
    return good;
}

/* A run cannot be divided while it is being moved: retry. */
static enum kva_status free_range(struct traffic *traffic, uint64_t first, uint64_t count)
{
    enum kva_status status;
    while ((status = kva_frames_free_range(traffic->frames, first, count)) == KVA_EBUSY)
        sched_yield();
    return status;
}

/* Enter the part of a run that is left: `count` frames, from frame `from` on. */
static void keep_part(struct traffic *traffic, struct traffic_held *held, const struct traffic_held *was,
                      uint64_t from, uint64_t count)
{
    held->first = was->first + from;
    held->count = count;
    held->owner = was->owner;
    held->is_movable = was->is_movable;
    held->contents = was->contents + (uint32_t)from;
    if (count != 0)
        traffic_publish(traffic, held);
}

/* Free frames [before, before + part) of a run; the frames after them go into `rest`. */
static bool cut(struct traffic *traffic, struct traffic_held *held, struct traffic_held *rest,
                uint64_t before, uint64_t part)
{
    struct traffic_held was = {.first = held->first,
                               .count = held->count,
                               .owner = held->owner,
                               .is_movable = held->is_movable,
                               .contents = held->contents};
    traffic_withdraw(traffic, held);
    if (!traffic_verify_contents(traffic, held) ||
        !change(traffic, was.first + before, part, was.owner, OWNER_NONE) ||
        !traffic_expect(traffic, "kva_frames_free_range", was.first + before, part,
                        free_range(traffic, was.first + before, part), KVA_OK))
        return false;
    keep_part(traffic, held, &was, 0, before);
    if (before + part < was.count)
        keep_part(traffic, rest, &was, before + part, was.count - before - part);
    return true;
}

/* Free the head of a run, its tail, or a part between, if a slot is empty for the rest. */
static bool give_part(struct traffic_worker *worker, struct traffic_held *held)
{
    struct traffic_held *rest = worker->held[rng_below(&worker->rng, worker->slots)];
    uint64_t before = rng_below(&worker->rng, held->count);
    uint64_t part = 1 + rng_below(&worker->rng, held->count - before);
    if (before != 0 && rest->count != 0)
        part = held->count - before;
    if (before == 0)
        rest = held;
    hold(worker, rest);
    bool good = cut(worker->traffic, held, rest, before, part);
    drop(worker, rest);
    return good;
}

/* Exchange the slot's record, so that mostly another worker frees a run than allocated it. */
static bool swap(struct traffic_worker *worker, struct traffic_held *held)
{
    struct traffic *traffic = worker->traffic;
    size_t place = (size_t)rng_below(&worker->rng, TRAFFIC_EXCHANGE);
    pthread_mutex_lock(&traffic->lock[place]);
    worker->held[worker->at] = traffic->exchange[place];
    traffic->exchange[place] = held;
    pthread_mutex_unlock(&traffic->lock[place]);
    return true;
}

/* ----------------------------------------------------------------------------------------- look and count */

static bool look(struct traffic_worker *worker, struct traffic_held *held)
{
    struct traffic *traffic = worker->traffic;
    uint64_t frame = held->first + rng_below(&worker->rng, held->count);
    size_t zone = traffic_table_zone(&traffic->table, frame);
    bool offline = held->owner == OWNER_OFFLINE;
    struct kva_frames_found found;
    enum kva_status status = kva_frames_find(traffic->frames, frame, &found);
    if (!traffic_expect(traffic, "kva_frames_find", frame, 1, status, KVA_OK))
        return false;
    if (found.state == (offline ? KVA_FRAMES_ABSENT : KVA_FRAMES_USED) && found.zone == zone &&
        found.node == traffic->table.shape.zones[zone].node &&
        (offline || (found.first == held->first && found.count == held->count)))
        return offline || traffic_verify_contents(traffic, held);
    return traffic_fail(traffic,
                        "kva_frames_find of 0x%" PRIx64 ", of a run of %" PRIu64 " from 0x%" PRIx64
                        " on: state %d, %" PRIu64 " frames from 0x%" PRIx64 " on, zone %zu, node %u",
                        frame, held->count, held->first, (int)found.state, found.count, found.first,
                        found.zone, found.node);
}

/* While other workers run, only the sum of the three is known. */
static bool read_counts(struct traffic_worker *worker, struct traffic_held *held)
{
    struct traffic *traffic = worker->traffic;
    const struct traffic_shape *shape = &traffic->table.shape;
    size_t zone = (size_t)rng_below(&worker->rng, shape->zone_count);
    uint64_t all = shape->zones[zone].end - shape->zones[zone].start;
    struct kva_frames_stats stats;
    enum kva_status status = kva_frames_stats_read(traffic->frames, zone, &stats);
    (void)held;
    if (!traffic_expect(traffic, "kva_frames_stats_read", shape->zones[zone].start, all, status, KVA_OK))
        return false;
    if (stats.free_frames + stats.used_frames + stats.absent_frames == all)
        return true;
    return traffic_fail(traffic,
                        "zone %zu: %" PRIu64 " free, %" PRIu64 " used, %" PRIu64 " absent, of %" PRIu64, zone,
                        stats.free_frames, stats.used_frames, stats.absent_frames, all);
}

static bool check(struct traffic_worker *worker, struct traffic_held *held)
{
    (void)held;
    return traffic_check(worker->traffic);
}

static bool drain(struct traffic_worker *worker, struct traffic_held *held)
{
    (void)held;
    return traffic_expect(worker->traffic, "kva_frames_drain", 0, 0,
                          kva_frames_drain(worker->traffic->frames), KVA_OK);
}

/* Compact a slice: for a random order or all blocks, in a random zone or all zones. */
static bool compact(struct traffic_worker *worker, struct traffic_held *held)
{
    struct traffic *traffic = worker->traffic;
    const struct traffic_shape *shape = &traffic->table.shape;
    size_t zone = (size_t)rng_below(&worker->rng, shape->zone_count + 1);
    unsigned order = one_in(&worker->rng, 2) ? KVA_FRAMES_ALL_BLOCKS
                                             : (unsigned)rng_below(&worker->rng, shape->block_order + 1);
    uint64_t most = 1 + rng_below(&worker->rng, 512);
    struct kva_frames_compacted done = {0};
    (void)held;
    zone = zone == shape->zone_count ? KVA_FRAMES_ALL_ZONES : zone;
    enum kva_status status = kva_frames_compact(traffic->frames, zone, order, most, &done);
    if (!traffic_expect(traffic, "kva_frames_compact", 0, most, status, KVA_OK))
        return false;
    if (done.moved_frames >= done.moved_runs && (done.moved_frames != 0) == (done.moved_runs != 0))
        return true;
    return traffic_fail(traffic, "kva_frames_compact moved %" PRIu64 " frames in %" PRIu64 " runs",
                        done.moved_frames, done.moved_runs);
}

/* -------------------------------------------------------------------------------------------- wrong calls */

/* Wrong calls on frames outside all zones, in a hole or offline. */
static bool wrong_nowhere(struct traffic_worker *worker, uint64_t first)
{
    struct traffic *traffic = worker->traffic;
    struct kva_frames *frames = traffic->frames;
    struct kva_frames_request request = {.align = 3};
    uint64_t taken;
    return traffic_expect(traffic, "kva_frames_free", first, 1, kva_frames_free(frames, first),
                          KVA_EUNKNOWN) &&
           traffic_expect(traffic, "kva_frames_free_range", first, 1, kva_frames_free_range(frames, first, 1),
                          KVA_EUNKNOWN) &&
           traffic_expect(traffic, "kva_frames_reserve", first, 1,
                          kva_frames_reserve(frames, first, 1, KVA_MOVABLE, NULL), KVA_ERANGE) &&
           traffic_expect(traffic, "kva_frames_offline", first, 1, kva_frames_offline(frames, first, 1, NULL),
                          KVA_ERANGE) &&
           traffic_expect(traffic, "kva_frames_alloc", 0, 1, kva_frames_alloc(frames, &request, &taken),
                          KVA_EALIGN);
}

/* Wrong calls on a run of the worker: from its inside, beyond its end, of no frames, and calls that need
 * free frames. */
static bool wrong_on_run(struct traffic_worker *worker, const struct traffic_held *held)
{
    struct traffic *traffic = worker->traffic;
    struct kva_frames *frames = traffic->frames;
    uint64_t first = held->first, obstacle = KVA_NO_FRAME;
    uint64_t inside = first + rng_below(&worker->rng, held->count);
    uint64_t beyond = held->count - (inside - first) + 1;
    enum kva_status wraps = beyond > UINT64_MAX - inside ? KVA_EWRAP : KVA_ERANGE;
    if (inside != first && !traffic_expect(traffic, "kva_frames_free", inside, 1,
                                           kva_frames_free(frames, inside), KVA_EINTERIOR))
        return false;
    return traffic_expect(traffic, "kva_frames_free_range", inside, beyond,
                          free_range(traffic, inside, beyond), wraps) &&
           traffic_expect(traffic, "kva_frames_free_range", first, 0, kva_frames_free_range(frames, first, 0),
                          KVA_ESIZE) &&
           traffic_expect(traffic, "kva_frames_reserve", inside, 1,
                          kva_frames_reserve(frames, inside, 1, KVA_MOVABLE, &obstacle), KVA_EEXIST) &&
           traffic_expect(traffic, "kva_frames_offline", inside, 1,
                          kva_frames_offline(frames, inside, 1, NULL), KVA_EBUSY) &&
           traffic_expect(traffic, "kva_frames_online", inside, 1, kva_frames_online(frames, inside, 1, NULL),
                          KVA_EEXIST) &&
           (obstacle == inside ||
            traffic_fail(traffic, "kva_frames_reserve of 0x%" PRIx64 " met 0x%" PRIx64, inside, obstacle));
}

static bool do_wrong(struct traffic_worker *worker, struct traffic_held *held)
{
    const struct traffic_shape *shape = &worker->traffic->table.shape;
    if (held->count != 0)
        return held->owner == OWNER_OFFLINE ? wrong_nowhere(worker, held->first) : wrong_on_run(worker, held);
    if (shape->hole_count == 0 || one_in(&worker->rng, 2))
        return wrong_nowhere(worker, NOWHERE);
    const struct kva_frames_range *hole = &shape->holes[rng_below(&worker->rng, shape->hole_count)];
    return wrong_nowhere(worker, hole->first + rng_below(&worker->rng, hole->count));
}

/* ----------------------------------------------------------------------------------------- the operations */

enum situation { EMPTY, RUN, OFFLINE, SITUATIONS };

/* Weights for workers that fill and for workers that empty, each for a slot that is empty, has a run, or
 * has frames offline. */
static const struct {
    const char *name;
    bool (*step)(struct traffic_worker *worker, struct traffic_held *held);
    unsigned weight[2][SITUATIONS];
} rows[TRAFFIC_KINDS] = {
    [TRAFFIC_TAKE] = {"take", take, {{800, 0, 0}, {100, 0, 0}}},
    [TRAFFIC_TAKE_MANY] = {"take many", take_many, {{50, 0, 0}, {5, 0, 0}}},
    [TRAFFIC_RESERVE] = {"reserve", reserve, {{40, 0, 0}, {20, 0, 0}}},
    [TRAFFIC_GIVE] = {"give", give, {{0, 100, 0}, {0, 500, 0}}},
    [TRAFFIC_GIVE_MANY] = {"give many", give_many, {{0, 3, 0}, {0, 25, 0}}},
    [TRAFFIC_GIVE_PART] = {"give part", give_part, {{0, 60, 0}, {0, 80, 0}}},
    [TRAFFIC_SWAP] = {"swap", swap, {{100, 300, 100}, {400, 150, 50}}},
    [TRAFFIC_LOOK] = {"look", look, {{0, 400, 100}, {0, 200, 20}}},
    [TRAFFIC_WRONG] = {"wrong", do_wrong, {{20, 40, 100}, {100, 40, 20}}},
    [TRAFFIC_OFFLINE] = {"offline", take_offline, {{10, 0, 0}, {5, 0, 0}}},
    [TRAFFIC_ONLINE] = {"online", give, {{0, 0, 200}, {0, 0, 200}}},
    [TRAFFIC_DRAIN] = {"drain", drain, {{1, 0, 0}, {1, 0, 0}}},
    [TRAFFIC_COMPACT] = {"compact", compact, {{2, 1, 0}, {2, 1, 0}}},
    [TRAFFIC_COUNT] = {"count", read_counts, {{1, 0, 0}, {1, 0, 0}}},
    [TRAFFIC_CHECK] = {"check", check, {{1, 0, 0}, {1, 0, 0}}},
};

const char *traffic_name(enum traffic_kind kind)
{
    return rows[kind].name;
}

static enum traffic_kind draw(struct traffic_worker *worker, enum situation situation)
{
    unsigned sum = 0, kind = 0;
    for (unsigned i = 0; i < TRAFFIC_KINDS; i++)
        sum += rows[i].weight[!worker->fills][situation];
    uint64_t drawn = rng_below(&worker->rng, sum);
    while (drawn >= rows[kind].weight[!worker->fills][situation])
        drawn -= rows[kind++].weight[!worker->fills][situation];
    return (enum traffic_kind)kind;
}

bool traffic_step(struct traffic_worker *worker)
{
    worker->at = (size_t)rng_below(&worker->rng, worker->slots);
    struct traffic_held *held = worker->held[worker->at];
    traffic_hold(held);
    enum situation situation = held->count == 0 ? EMPTY : held->owner == OWNER_OFFLINE ? OFFLINE : RUN;
    enum traffic_kind kind = draw(worker, situation);
    if (one_in(&worker->rng, 16 * worker->slots)) /* long after the fill level has become stable */
        worker->fills = !worker->fills;
    worker->done[kind]++;
    bool good = rows[kind].step(worker, held);
    traffic_drop(held);
    return good;
}
