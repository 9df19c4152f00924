/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The model of frames_model.h. It is linear code on purpose. */
#include "frames_model.h"

#include <stdio.h>
#include <string.h>

#define UNTOUCHED UINT64_C(0x5ca1ab1e0ddba11)

/** A set of statuses: bit s represents status s. */
#define ONE(status) (UINT64_C(1) << (status))

/** As check_that; the message names the call. */
#define expect(model, condition, ...)                                                                        \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            fail_call(model, __LINE__, #condition, __VA_ARGS__);                                             \
    } while (0)

__attribute__((format(__printf__, 4, 5))) static void
fail_call(const struct frames_model *model, int line, const char *condition, const char *format, ...)
{
    const struct frames_model_call *call = &model->call;
    const struct kva_frames_request *r = &call->request;
    char text[256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    test_fail(__FILE__, line, condition,
              "%s, call %" PRIu64 ": %s(first %#" PRIx64 ", count %" PRIu64 "; order %u count %" PRIu64
              " align %#" PRIx64 " window %#" PRIx64 "-%#" PRIx64 " node %u type %d flags %u): %s",
              model->name, model->calls, call->name, call->first, call->count, r->order, r->count, r->align,
              r->min, r->max, r->node, (int)r->type, r->flags, text);
}

/* ------------------------------------------------------------------------------------- create and destroy */

static void note_misuse(void *context, const struct kva_fault *fault)
{
    struct frames_model *model = context;

    model->misuses++;
    model->fault = *fault;
}

static void note_corruption(void *context, const struct kva_fault *fault)
{
    const struct frames_model *model = context;

    expect(model, false, "%s found: %s at %#" PRIx64, fault->where, fault->what, fault->address);
}

static enum kva_frames_moved move_run(void *context, uint64_t from, uint64_t to, uint64_t count);

static void add_zones(struct frames_model *model, const struct kva_frames_config *config)
{
    size_t at = 0;

    check_that(config->zone_count <= FRAMES_MODEL_ZONES, "%zu zones", config->zone_count);
    for (size_t i = 0; i < config->zone_count; i++) {
        const struct kva_frames_zone *zone = &config->zones[i];
        check_that(zone->end - zone->start <= FRAMES_MODEL_FRAMES - at, "zone %zu is too large", i);
        model->zones[i] = (struct frames_model_zone){zone->start, zone->end, zone->node, at};
        at += (size_t)(zone->end - zone->start);
    }
    model->zone_count = config->zone_count;
    model->entry_count = at;
    memset(model->entries, 0, at * sizeof(model->entries[0]));
}

static void add_holes(struct frames_model *model, const struct kva_frames_config *config)
{
    for (size_t i = 0; i < config->hole_count; i++) {
        for (uint64_t f = 0; f < config->holes[i].count; f++)
            model->entries[frames_model_entry_of(model, config->holes[i].first + f, NULL)].state =
                FRAME_ABSENT;
    }
}

void frames_model_create(struct frames_model *model, const struct kva_frames_config *config, const char *name)
{
    struct kva_frames_config own = *config;

    memset(model, 0, offsetof(struct frames_model, entries));
    model->name = name;
    model->call.name = "create";
    model->block_order = config->block_order != 0 ? config->block_order : 9;
    model->distances = config->distances;
    model->node_count = config->node_count;
    add_zones(model, config);
    add_holes(model, config);
    own.memory = kva_failing_memory_init(&model->memory);
    own.on_misuse = note_misuse;
    own.on_corruption = note_corruption;
    own.hook_context = model;
    model->moves = config->move != NULL;
    own.move = config->move ? move_run : NULL;
    own.move_context = model;
    size_t bytes = kva_frames_bytes(&own);
    enum kva_status status = kva_frames_create(&own, &model->frames);
    expect(model, status == KVA_OK, "KVA_OK expected; %s, field %s found", kva_status_name(status),
           model->fault.field ? model->fault.field : "-");
    expect(model, model->memory.takes == 1 && model->memory.bytes == bytes, "%zu bytes were taken, not %zu",
           model->memory.bytes, bytes);
    model->memory.give_is_a_bug = true;
}

void frames_model_destroy(struct frames_model *model)
{
    model->call = (struct frames_model_call){.name = "destroy"};
    model->memory.give_is_a_bug = false;
    expect(model, kva_frames_destroy(model->frames) == KVA_OK, "KVA_OK expected");
    expect(model, model->memory.blocks == 0, "memory was not given back");
    expect(model, model->memory.takes == 1, "1 take of memory expected, %" PRIu64 " found",
           model->memory.takes);
    model->frames = NULL;
}

/* ------------------------------------------------------------------------------------- frames and entries */

size_t frames_model_entry_of(const struct frames_model *model, uint64_t frame, size_t *zone)
{
    for (size_t i = 0; i < model->zone_count; i++) {
        if (frame >= model->zones[i].start && frame < model->zones[i].end) {
            if (zone)
                *zone = i;
            return model->zones[i].at + (size_t)(frame - model->zones[i].start);
        }
    }
    return SIZE_MAX;
}

uint64_t frames_model_frame_of(const struct frames_model *model, size_t entry)
{
    size_t zone = 0;

    while (zone + 1 < model->zone_count && model->zones[zone + 1].at <= entry)
        zone++;
    return model->zones[zone].start + (entry - model->zones[zone].at);
}

static bool is_used(const struct frames_model *model, size_t entry)
{
    unsigned char state = model->entries[entry].state;

    return state == FRAME_START || state == FRAME_INSIDE;
}

/** The entry after the last one of a zone. */
static size_t zone_limit(const struct frames_model *model, size_t zone)
{
    return model->zones[zone].at + (size_t)(model->zones[zone].end - model->zones[zone].start);
}

/** The entry after the run that contains an entry. */
static size_t run_limit(const struct frames_model *model, size_t entry)
{
    size_t zone = 0;
    size_t limit;

    (void)frames_model_entry_of(model, frames_model_frame_of(model, entry), &zone);
    limit = zone_limit(model, zone);
    for (entry++; entry < limit && model->entries[entry].state == FRAME_INSIDE;)
        entry++;
    return entry;
}

uint64_t frames_model_tally_of(const struct frames_model *model, size_t zone, enum frames_model_state state)
{
    uint64_t count = 0;

    for (size_t i = model->zones[zone].at; i < zone_limit(model, zone); i++)
        count += model->entries[i].state == state;
    return count;
}

uint64_t frames_model_tally(const struct frames_model *model, enum frames_model_state state)
{
    uint64_t count = 0;

    for (size_t zone = 0; zone < model->zone_count; zone++)
        count += frames_model_tally_of(model, zone, state);
    return count;
}

/* ------------------------------------------------------------------------------------------------- places */

uint64_t frames_model_count_of(const struct kva_frames_request *request)
{
    return request->count != 0 ? request->count : UINT64_C(1) << request->order;
}

static uint64_t align_of(const struct kva_frames_request *request)
{
    uint64_t align = request->align != 0 ? request->align : 1;
    uint64_t group = UINT64_C(1) << request->order;

    return align > group ? align : group;
}

static bool has_window(const struct kva_frames_request *request)
{
    return request->min != 0 || request->max != 0;
}

static bool in_window(const struct kva_frames_request *request, uint64_t frame)
{
    return !has_window(request) || (frame >= request->min && frame <= request->max);
}

static bool may_take_from(const struct frames_model *model, size_t zone,
                          const struct kva_frames_request *request)
{
    return (request->flags & KVA_FRAMES_THIS_NODE) == 0 || model->zones[zone].node == request->node;
}

/** How many runs of a shape fit into a zone without overlap, but at most `enough`. Each is placed as low as
 * possible; no other choice leaves more places. */
static uint64_t places_in(const struct frames_model *model, size_t zone,
                          const struct kva_frames_request *request, uint64_t enough)
{
    uint64_t count = frames_model_count_of(request);
    uint64_t align = align_of(request);
    uint64_t places = 0;
    uint64_t length = 0; /* free frames that end before `frame` and are not part of a counted run */
    uint64_t frame = model->zones[zone].start;

    for (size_t i = model->zones[zone].at; i < zone_limit(model, zone) && places < enough; i++, frame++) {
        if (model->entries[i].state != FRAME_FREE || !in_window(request, frame)) {
            length = 0;
            continue;
        }
        length++;
        uint64_t waste =
            (UINT64_C(0) - (frame + 1 - length)) & (align - 1); /* before the first aligned frame */
        if (count <= length && waste <= length - count) {
            places++;
            length = 0;
        }
    }
    return places;
}

bool frames_model_has_place(const struct frames_model *model, size_t zone,
                            const struct kva_frames_request *request)
{
    return may_take_from(model, zone, request) && places_in(model, zone, request, 1) != 0;
}

uint64_t frames_model_most(const struct frames_model *model, const struct kva_frames_request *request)
{
    uint64_t places = 0;

    for (size_t i = 0; i < model->zone_count; i++) {
        if (may_take_from(model, i, request))
            places += places_in(model, i, request, UINT64_MAX);
    }
    return places;
}

/** The distance of a zone from a node; the node itself comes before all others. */
static unsigned distance_of(const struct frames_model *model, unsigned node, size_t zone)
{
    unsigned to = model->zones[zone].node;

    if (to == node)
        return 0;
    return 1 + (model->distances ? model->distances[(size_t)node * model->node_count + to] : 0);
}

static bool is_before(const struct frames_model *model, unsigned node, size_t a, size_t b)
{
    unsigned far_a = distance_of(model, node, a);
    unsigned far_b = distance_of(model, node, b);

    return far_a < far_b || (far_a == far_b && a < b);
}

/** Whether a block of a zone is all free and contains a place for a request. */
static bool has_block_for(const struct frames_model *model, size_t zone,
                          const struct kva_frames_request *request)
{
    const struct frames_model_zone *z = &model->zones[zone];
    uint64_t size = UINT64_C(1) << model->block_order;
    uint64_t run = 0; /* free frames in the window, from the beginning of a block */

    if (!may_take_from(model, zone, request) || frames_model_count_of(request) > size ||
        align_of(request) > size)
        return false;
    for (uint64_t frame = z->start; frame < z->end; frame++) {
        bool is_free = model->entries[z->at + (frame - z->start)].state == FRAME_FREE;
        bool begins = (frame & (size - 1)) == 0;
        run = is_free && in_window(request, frame) && (begins || run > 0) ? begins ? 1 : run + 1 : 0;
        if (run == size)
            return true;
    }
    return false;
}

static bool holds_no_block(const struct frames_model *model, size_t zone)
{
    struct kva_frames_stats stats = {.held_blocks = 1};

    (void)kva_frames_stats_read(model->frames, zone, &stats);
    return stats.held_blocks == 0;
}

/** A run was taken from `zone`. The zones that come before it are unchanged: none of them has an unused block
 * for it, unless CPUs hold blocks there. (Their other free frames are used only when no zone has any in
 * blocks of the run's type.) */
static void expect_nearest(const struct frames_model *model, size_t zone,
                           const struct kva_frames_request *request)
{
    for (size_t i = 0; i < model->zone_count; i++) {
        if (is_before(model, request->node, i, zone) && has_block_for(model, i, request))
            expect(model, !holds_no_block(model, i),
                   "it was taken from zone %zu, but zone %zu comes first and has a block", zone, i);
    }
}

/* --------------------------------------------------------------------------------------- around each call */

static void begin(struct frames_model *model, const char *name, uint64_t first, uint64_t count)
{
    model->call = (struct frames_model_call){.name = name, .first = first, .count = count};
    model->misuses = 0;
    model->calls++;
}

static bool is_misuse(enum kva_status status)
{
    return status >= KVA_ENULL && status < KVA_ECORRUPT;
}

/** The status is in `allowed`, and the hook was called accordingly. */
static void expect_status(const struct frames_model *model, enum kva_status status, uint64_t allowed,
                          const char *where)
{
    char names[128] = "";
    size_t used = 0;

    for (unsigned s = 0; s < 64 && (allowed & ONE(status)) == 0; s++) {
        if (allowed & ONE(s) && used < sizeof(names))
            used += (size_t)snprintf(names + used, sizeof(names) - used, " %s",
                                     kva_status_name((enum kva_status)s));
    }
    expect(model, status < 64 && allowed & ONE(status), "%s returned, one of%s expected",
           kva_status_name(status), names);
    expect(model, model->misuses == (is_misuse(status) ? 1 : 0),
           "%s: %d calls of the hook expected, %u found", kva_status_name(status), is_misuse(status) ? 1 : 0,
           model->misuses);
    if (is_misuse(status)) {
        expect(model, model->fault.status == status, "the hook received %s, %s expected",
               kva_status_name(model->fault.status), kva_status_name(status));
        expect(model, strcmp(model->fault.where, where) == 0, "the hook received %s, %s expected",
               model->fault.where, where);
    }
}

/* ------------------------------------------------------------------------------------------------- blocks */

static uint64_t block_of(const struct frames_model *model, uint64_t frame)
{
    return frame >> model->block_order;
}

/** The entries [low, high) of a block in its zone. */
struct piece {
    size_t low;
    size_t high;
};

static struct piece piece_of(const struct frames_model *model, size_t zone, uint64_t frame)
{
    const struct frames_model_zone *z = &model->zones[zone];
    uint64_t first = block_of(model, frame) << model->block_order;
    uint64_t last = first + ((UINT64_C(1) << model->block_order) - 1);
    struct piece piece;

    piece.low = first > z->start ? z->at + (size_t)(first - z->start) : z->at;
    piece.high = last < z->end ? z->at + (size_t)(last - z->start) + 1 : zone_limit(model, zone);
    return piece;
}

/** How many entries of a piece are in use. */
static size_t used_in(const struct frames_model *model, struct piece piece)
{
    size_t count = 0;

    for (size_t i = piece.low; i < piece.high; i++)
        count += is_used(model, i);
    return count;
}

/** Step from a piece to the next one of its zone, if that begins before `end`. */
static bool next_piece(const struct frames_model *model, size_t zone, uint64_t end, struct piece *piece)
{
    if (piece->high >= end)
        return false;
    *piece = piece_of(model, zone, frames_model_frame_of(model, piece->high));
    return true;
}

/** A run of a type is about to be put into entries [at, at + count): the type of blocks may change. */
static void join_types(struct frames_model *model, size_t at, uint64_t count, unsigned type)
{
    size_t zone = 0;
    uint64_t frame = frames_model_frame_of(model, at);
    bool strays = false;

    (void)frames_model_entry_of(model, frame, &zone);
    struct piece piece = piece_of(model, zone, frame);
    do {
        unsigned char *side = &model->entries[piece.low].side;
        if (used_in(model, piece) == 0)
            *side = SIDE_MOVABLE;
        else
            model->changed += *side == SIDE_MOVABLE && type == KVA_UNMOVABLE;
        strays |= *side == SIDE_UNMOVABLE && type == KVA_MOVABLE;
        if (type == KVA_UNMOVABLE)
            *side = SIDE_UNMOVABLE;
    } while (next_piece(model, zone, at + count, &piece));
    model->strayed += strays;
}

void frames_model_doubt(struct frames_model *model)
{
    struct piece piece;

    for (size_t zone = 0; zone < model->zone_count; zone++) {
        for (size_t i = model->zones[zone].at; i < zone_limit(model, zone); i = piece.high) {
            piece = piece_of(model, zone, frames_model_frame_of(model, i));
            if (model->entries[i].side == SIDE_MOVABLE)
                model->entries[i].side = SIDE_UNKNOWN;
        }
    }
    model->lost_some = true;
}

/* ----------------------------------------------------------------------------------------------- allocate */

enum kva_frames_type frames_model_type(unsigned number)
{
    enum kva_frames_type type = KVA_UNMOVABLE;
    unsigned bits = number;

    _Static_assert(sizeof(type) == sizeof(bits), "an enumeration is an int");
    memcpy(&type, &bits, sizeof(type));
    return type;
}

static bool is_node(const struct frames_model *model, unsigned node)
{
    for (size_t i = 0; i < model->zone_count; i++) {
        if (model->zones[i].node == node)
            return true;
    }
    return model->distances && node < model->node_count; /* a node without memory has distances */
}

static bool meets_a_zone(const struct frames_model *model, uint64_t min, uint64_t max)
{
    for (size_t i = 0; i < model->zone_count; i++) {
        if (min < model->zones[i].end && max >= model->zones[i].start)
            return true;
    }
    return false;
}

/** All statuses that the errors of a request allow. */
static uint64_t wrongs_of(const struct frames_model *model, const struct kva_frames_request *request)
{
    uint64_t wrongs = 0;

    if (request->order > 63 || (request->order != 0 && request->count != 0) ||
        (unsigned)request->type > KVA_MOVABLE ||
        (request->flags & ~(unsigned)(KVA_FRAMES_THIS_NODE | KVA_FRAMES_COMPACT)) != 0 ||
        !is_node(model, request->node))
        wrongs |= ONE(KVA_EINVAL);
    if ((request->align & (request->align - 1)) != 0)
        wrongs |= ONE(KVA_EALIGN);
    if (has_window(request) &&
        (request->min > request->max || !meets_a_zone(model, request->min, request->max)))
        wrongs |= ONE(KVA_EWINDOW);
    return wrongs;
}

static void write_run(struct frames_model *model, size_t at, uint64_t count, unsigned type)
{
    join_types(model, at, count, type);
    for (uint64_t i = 0; i < count; i++)
        model->entries[at + i].state = i == 0 ? FRAME_START : FRAME_INSIDE;
}

/** The set has taken a run for a request: check it and record it. Returns its zone. */
static size_t take_run(struct frames_model *model, const struct kva_frames_request *request, uint64_t first)
{
    uint64_t count = frames_model_count_of(request);
    size_t zone = 0;
    size_t at = frames_model_entry_of(model, first, &zone);

    expect(model, at != SIZE_MAX, "%#" PRIx64 " lies in no zone", first);
    expect(model, count <= model->zones[zone].end - first, "%#" PRIx64 " passes the zone's end", first);
    expect(model, (first & (align_of(request) - 1)) == 0, "%#" PRIx64 " is not aligned", first);
    expect(model, in_window(request, first) && in_window(request, first + count - 1),
           "%#" PRIx64 " lies outside the window", first);
    expect(model, may_take_from(model, zone, request), "%#" PRIx64 " lies on another node", first);
    for (uint64_t i = 0; i < count; i++)
        expect(model, model->entries[at + i].state == FRAME_FREE, "frame %#" PRIx64 " was not free",
               first + i);
    write_run(model, at, count, (unsigned)request->type);
    model->elsewhere += model->zones[zone].node != request->node;
    return zone;
}

enum kva_status frames_model_alloc(struct frames_model *model, const struct kva_frames_request *request,
                                   uint64_t *first)
{
    uint64_t taken = UNTOUCHED;
    uint64_t wrongs = wrongs_of(model, request);
    uint64_t allowed = wrongs;

    begin(model, "alloc", 0, 0);
    model->call.request = *request;
    if (wrongs == 0) {
        allowed = ONE(KVA_ENOSPC);
        for (size_t i = 0; i < model->zone_count; i++) {
            if (frames_model_has_place(model, i, request))
                allowed = ONE(KVA_OK);
        }
        if (model->moves && (request->flags & KVA_FRAMES_COMPACT) != 0)
            allowed |= ONE(KVA_OK); /* there may be a place once runs have been moved */
    }
    enum kva_status status = kva_frames_alloc(model->frames, request, &taken);
    expect_status(model, status, allowed, "kva_frames_alloc");
    if (status == KVA_OK) {
        expect_nearest(model, take_run(model, request, taken), request);
        *first = taken;
    } else {
        expect(model, taken == UNTOUCHED, "the output was written");
    }
    return status;
}

/** Each run that is placed blocks at most two places of the best arrangement, and only one if places do not
 * overlap. So at least this many runs, placed one after the other, find a place wherever each is put. */
static uint64_t surely(const struct frames_model *model, const struct kva_frames_request *request)
{
    uint64_t most = frames_model_most(model, request);

    return frames_model_count_of(request) <= align_of(request) ? most : most / 2 + most % 2;
}

enum kva_status frames_model_alloc_many(struct frames_model *model, const struct kva_frames_request *request,
                                        size_t runs, uint64_t *firsts)
{
    uint64_t allowed = wrongs_of(model, request);
    bool may_move = model->moves && (request->flags & KVA_FRAMES_COMPACT) != 0;

    begin(model, "alloc_many", 0, runs);
    model->call.request = *request;
    if (allowed == 0)
        allowed = (may_move || runs <= frames_model_most(model, request) ? ONE(KVA_OK) : 0) |
                  (runs > surely(model, request) ? ONE(KVA_ENOSPC) : 0);
    enum kva_status status = kva_frames_alloc_many(model->frames, request, runs, firsts);
    expect_status(model, status, allowed, "kva_frames_alloc_many");
    for (size_t i = 0; status == KVA_OK && i < runs; i++)
        (void)take_run(model, request, firsts[i]);
    if (status == KVA_ENOSPC)
        frames_model_doubt(model);
    return status;
}

/* --------------------------------------------------------------------------------------------- compaction */

/** How many frames at the beginning of a range are in a state. */
static uint64_t length_of_state(const struct frames_model *model, size_t at, uint64_t count,
                                enum frames_model_state state)
{
    uint64_t i = 0;

    while (i < count && model->entries[at + i].state == state)
        i++;
    return i;
}

/** The alignment of `from`, at most a run's length rounded up to a power of two: `to` must have it as
 * well. */
static uint64_t kept_alignment(uint64_t from, uint64_t count)
{
    uint64_t align = 1;

    while (align < count && (from & align) == 0)
        align <<= 1;
    return align;
}

/** Whether the call is a request that no block can serve. */
static bool may_evacuate(const struct frames_model *model)
{
    const struct kva_frames_request *request = &model->call.request;
    uint64_t size = UINT64_C(1) << model->block_order;

    return strcmp(model->call.name, "compact") != 0 &&
           (frames_model_count_of(request) > size || align_of(request) > size);
}

/** Whether the call under way has taken a run at this entry that the model has not recorded yet. */
static bool is_not_known(const struct frames_model *model, size_t at)
{
    return strcmp(model->call.name, "alloc_many") == 0 && model->entries[at].state == FRAME_FREE;
}

/** The move is permitted: its run, and its target. */
static void expect_move(const struct frames_model *model, uint64_t from, uint64_t to, uint64_t count)
{
    size_t zone = 0;
    size_t zone_to = 0;
    size_t at = frames_model_entry_of(model, from, &zone);
    size_t at_to = frames_model_entry_of(model, to, &zone_to);

    expect(model, at != SIZE_MAX && model->entries[at].state == FRAME_START, "%#" PRIx64 " is no run", from);
    expect(model, run_limit(model, at) - at == count, "%#" PRIx64 " has not %" PRIu64 " frames", from, count);
    expect(model, at + count <= piece_of(model, zone, from).high || may_evacuate(model),
           "the run at %#" PRIx64 " passes the end of its block", from);
    for (size_t i = at; i < at + count;) {
        struct piece piece = piece_of(model, zone, from + (i - at));
        expect(model, model->entries[piece.low].side != SIDE_UNMOVABLE, "%#" PRIx64 " cannot be moved", from);
        i = piece.high;
    }
    expect(model, at_to != SIZE_MAX && zone == zone_to && count <= model->zones[zone].end - to,
           "%#" PRIx64 " would move to %#" PRIx64 ", outside its zone", from, to);
    expect(model, length_of_state(model, at_to, count, FRAME_FREE) == count,
           "%#" PRIx64 " would move to %#" PRIx64 ", which is in use", from, to);
    expect(model, (to & (kept_alignment(from, count) - 1)) == 0,
           "%#" PRIx64 " would move to %#" PRIx64 ", which is less aligned", from, to);
}

static enum kva_frames_moved move_run(void *context, uint64_t from, uint64_t to, uint64_t count)
{
    struct frames_model *model = context;
    uint64_t chance = (from * 31 + to + model->calls) * UINT64_C(0x9e3779b97f4a7c15) >> 61;
    size_t at = frames_model_entry_of(model, from, NULL);

    if (is_not_known(model, at))
        return KVA_FRAMES_GONE;
    expect_move(model, from, to, count);
    if (chance < 2 && !model->willing) {
        model->refused_moves++;
        return chance == 0 ? KVA_FRAMES_PINNED : KVA_FRAMES_BUSY;
    }
    write_run(model, frames_model_entry_of(model, to, NULL), count, KVA_MOVABLE);
    for (uint64_t i = 0; i < count; i++)
        model->entries[at + i].state = FRAME_FREE;
    model->moved_runs++;
    model->moved_frames += count;
    return KVA_FRAMES_MOVED;
}

static uint64_t free_blocks_of(const struct frames_model *model)
{
    struct kva_frames_stats stats;

    (void)kva_frames_stats_read(model->frames, KVA_FRAMES_ALL_ZONES, &stats);
    return stats.free_blocks;
}

enum kva_status frames_model_compact(struct frames_model *model, size_t zone, unsigned order, uint64_t most)
{
    struct kva_frames_compacted done = {.moved_runs = UNTOUCHED};
    uint64_t allowed = ONE(model->moves ? KVA_OK : KVA_ENOENT);
    uint64_t runs = model->moved_runs;
    uint64_t frames = model->moved_frames;
    uint64_t refused = model->refused_moves;

    if ((zone >= model->zone_count && zone != KVA_FRAMES_ALL_ZONES) ||
        (order > model->block_order && order != KVA_FRAMES_ALL_BLOCKS))
        allowed = ONE(KVA_EINVAL) | (model->moves ? 0 : ONE(KVA_ENOENT));
    uint64_t free_blocks = free_blocks_of(model);
    begin(model, "compact", zone, most);
    model->call.request.order = order;
    enum kva_status status = kva_frames_compact(model->frames, zone, order, most, &done);
    expect_status(model, status, allowed, "kva_frames_compact");
    if (status != KVA_OK) {
        expect(model, done.moved_runs == UNTOUCHED, "the output was written");
        return status;
    }
    runs = model->moved_runs - runs;
    frames = model->moved_frames - frames;
    refused = model->refused_moves - refused;
    expect(model, done.moved_runs == runs && done.moved_frames == frames && done.pinned_runs == refused,
           "%" PRIu64 " runs, %" PRIu64 " frames, %" PRIu64 " in vain, not %" PRIu64 ", %" PRIu64
           ", %" PRIu64,
           done.moved_runs, done.moved_frames, done.pinned_runs, runs, frames, refused);
    expect(model, free_blocks_of(model) == free_blocks + done.freed_blocks,
           "%" PRIu64 " free blocks were %" PRIu64 ", and %" PRIu64 " were freed", free_blocks_of(model),
           free_blocks, done.freed_blocks);
    return status;
}

/* ------------------------------------------------------------------------------------------- given ranges */

/** All statuses that the errors of a range that must lie in one zone allow; if there are none, its first
 * entry. */
static uint64_t wrongs_of_range(const struct frames_model *model, uint64_t first, uint64_t count, size_t *at)
{
    size_t zone = 0;

    if (count == 0)
        return ONE(KVA_ESIZE);
    if (count > UINT64_MAX - first)
        return ONE(KVA_EWRAP);
    *at = frames_model_entry_of(model, first, &zone);
    if (*at == SIZE_MAX || count > model->zones[zone].end - first)
        return ONE(KVA_ERANGE);
    return 0;
}

/** For reserve, offline and online: which statuses are right, and which frame is the obstacle. */
struct range_case {
    uint64_t allowed;
    uint64_t obstacle; /* UNTOUCHED: none is reported */
    size_t at;
};

/** The whole range must be free. A hole in it is misuse, a frame in use an obstacle; if there are both,
 * either may be reported. */
static struct range_case case_of_free_range(const struct frames_model *model, uint64_t first, uint64_t count,
                                            enum kva_status if_used)
{
    struct range_case it = {.obstacle = UNTOUCHED};

    it.allowed = wrongs_of_range(model, first, count, &it.at);
    if (it.allowed != 0)
        return it;
    for (uint64_t i = 0; i < count; i++) {
        if (is_used(model, it.at + (size_t)i) && it.obstacle == UNTOUCHED)
            it.obstacle = first + i;
        if (model->entries[it.at + i].state == FRAME_ABSENT)
            it.allowed = ONE(KVA_ERANGE);
    }
    if (it.obstacle != UNTOUCHED)
        it.allowed |= ONE(if_used);
    if (it.allowed == 0)
        it.allowed = ONE(KVA_OK);
    return it;
}

/** The whole range must be absent. */
static struct range_case case_of_hole(const struct frames_model *model, uint64_t first, uint64_t count)
{
    struct range_case it = {.obstacle = UNTOUCHED};

    it.allowed = wrongs_of_range(model, first, count, &it.at);
    if (it.allowed != 0)
        return it;
    uint64_t absent = length_of_state(model, it.at, count, FRAME_ABSENT);
    it.allowed = ONE(absent < count ? KVA_EEXIST : KVA_OK);
    if (absent < count)
        it.obstacle = first + absent;
    return it;
}

static void expect_range(const struct frames_model *model, const struct range_case *it,
                         enum kva_status status, uint64_t obstacle, const char *where)
{
    expect_status(model, status, it->allowed, where);
    expect(model, is_misuse(status) || obstacle == it->obstacle,
           "the obstacle is %#" PRIx64 ", not %#" PRIx64, obstacle, it->obstacle);
    expect(model, !is_misuse(status) || obstacle == UNTOUCHED, "the obstacle was written: %#" PRIx64,
           obstacle);
}

enum kva_status frames_model_reserve(struct frames_model *model, uint64_t first, uint64_t count,
                                     unsigned type)
{
    uint64_t obstacle = UNTOUCHED;
    struct range_case it = case_of_free_range(model, first, count, KVA_EEXIST);

    if (type > KVA_MOVABLE) /* the contents of the range are checked last */
        it.allowed = ONE(KVA_EINVAL) | (it.allowed & ~(ONE(KVA_OK) | ONE(KVA_EEXIST)));
    begin(model, "reserve", first, count);
    model->call.request.type = frames_model_type(type);
    enum kva_status status =
        kva_frames_reserve(model->frames, first, count, frames_model_type(type), &obstacle);
    expect_range(model, &it, status, obstacle, "kva_frames_reserve");
    if (status == KVA_OK)
        write_run(model, it.at, count, type);
    return status;
}

static void write_state(struct frames_model *model, size_t at, uint64_t count, enum frames_model_state state)
{
    for (uint64_t i = 0; i < count; i++)
        model->entries[at + i].state = (unsigned char)state;
}

enum kva_status frames_model_offline(struct frames_model *model, uint64_t first, uint64_t count)
{
    uint64_t obstacle = UNTOUCHED;
    struct range_case it = case_of_free_range(model, first, count, KVA_EBUSY);

    begin(model, "offline", first, count);
    enum kva_status status = kva_frames_offline(model->frames, first, count, &obstacle);
    expect_range(model, &it, status, obstacle, "kva_frames_offline");
    if (status == KVA_OK)
        write_state(model, it.at, count, FRAME_ABSENT);
    return status;
}

enum kva_status frames_model_online(struct frames_model *model, uint64_t first, uint64_t count)
{
    uint64_t obstacle = UNTOUCHED;
    struct range_case it = case_of_hole(model, first, count);

    begin(model, "online", first, count);
    enum kva_status status = kva_frames_online(model->frames, first, count, &obstacle);
    expect_range(model, &it, status, obstacle, "kva_frames_online");
    if (status == KVA_OK)
        write_state(model, it.at, count, FRAME_FREE);
    return status;
}

void frames_model_drain(struct frames_model *model)
{
    begin(model, "drain", 0, 0);
    expect_status(model, kva_frames_drain(model->frames), ONE(KVA_OK), "kva_frames_drain");
}

/* --------------------------------------------------------------------------------------------------- free */

/** The result of a free of a frame. */
static enum kva_status status_of_free(const struct frames_model *model, uint64_t first)
{
    size_t at = frames_model_entry_of(model, first, NULL);

    if (at == SIZE_MAX || model->entries[at].state == FRAME_ABSENT)
        return KVA_EUNKNOWN;
    if (model->entries[at].state == FRAME_FREE)
        return KVA_EDOUBLE;
    return model->entries[at].state == FRAME_INSIDE ? KVA_EINTERIOR : KVA_OK;
}

static void drop_run(struct frames_model *model, uint64_t first)
{
    size_t at = frames_model_entry_of(model, first, NULL);

    write_state(model, at, run_limit(model, at) - at, FRAME_FREE);
}

enum kva_status frames_model_free(struct frames_model *model, uint64_t first)
{
    begin(model, "free", first, 0);
    enum kva_status status = kva_frames_free(model->frames, first);
    expect_status(model, status, ONE(status_of_free(model, first)), "kva_frames_free");
    expect(model, !is_misuse(status) || model->fault.address == first,
           "the hook received %#" PRIx64 ", %#" PRIx64 " expected", model->fault.address, first);
    if (status == KVA_OK)
        drop_run(model, first);
    return status;
}

enum kva_status frames_model_free_many(struct frames_model *model, const uint64_t *firsts, size_t runs)
{
    size_t done = SIZE_MAX;
    size_t i = 0;
    enum kva_status right = KVA_OK;

    begin(model, "free_many", runs > 0 ? firsts[0] : 0, runs);
    enum kva_status status = kva_frames_free_many(model->frames, firsts, runs, &done);
    while (i < runs && (right = status_of_free(model, firsts[i])) == KVA_OK)
        drop_run(model, firsts[i++]);
    expect_status(model, status, ONE(right), "kva_frames_free_many");
    expect(model, done == i, "%zu were done, not %zu", done, i);
    return status;
}

enum kva_status frames_model_free_range(struct frames_model *model, uint64_t first, uint64_t count)
{
    size_t at = frames_model_entry_of(model, first, NULL);
    enum kva_status of_first = status_of_free(model, first);
    uint64_t allowed = 0;

    if (count == 0)
        allowed |= ONE(KVA_ESIZE);
    else if (count > UINT64_MAX - first)
        allowed |= ONE(KVA_EWRAP);
    if (of_first == KVA_EUNKNOWN || of_first == KVA_EDOUBLE)
        allowed |= ONE(of_first);
    else if (allowed == 0)
        allowed = ONE(count > run_limit(model, at) - at ? KVA_ERANGE : KVA_OK);
    begin(model, "free_range", first, count);
    enum kva_status status = kva_frames_free_range(model->frames, first, count);
    expect_status(model, status, allowed, "kva_frames_free_range");
    if (status == KVA_OK) {
        size_t limit = run_limit(model, at);
        if (at + count < limit)
            model->entries[at + count].state = FRAME_START;
        write_state(model, at, count, FRAME_FREE);
    }
    return status;
}

enum kva_status frames_model_split(struct frames_model *model, uint64_t first)
{
    begin(model, "split", first, 0);
    enum kva_status status = kva_frames_split(model->frames, first);
    expect_status(model, status, ONE(status_of_free(model, first)), "kva_frames_split");
    expect(model, !is_misuse(status) || model->fault.address == first,
           "the hook received %#" PRIx64 ", %#" PRIx64 " expected", model->fault.address, first);
    if (status == KVA_OK) {
        size_t at = frames_model_entry_of(model, first, NULL);
        write_state(model, at, run_limit(model, at) - at, FRAME_START);
    }
    return status;
}

/* --------------------------------------------------------------------------------------------------- look */

static size_t in_state(const struct frames_model *model, struct piece piece, enum frames_model_state state)
{
    size_t count = 0;

    for (size_t i = piece.low; i < piece.high; i++)
        count += model->entries[i].state == state;
    return count;
}

/** A block is unmovable from its first unmovable run until it is empty. */
static bool is_type_right(const struct frames_model *model, struct piece piece, enum kva_frames_type type)
{
    if (used_in(model, piece) == 0)
        return type == KVA_MOVABLE;
    switch (model->entries[piece.low].side) {
    case SIDE_MOVABLE:
        return type == KVA_MOVABLE;
    case SIDE_UNMOVABLE:
        return type == KVA_UNMOVABLE;
    default:
        return true;
    }
}

/** The type of a block; where the model does not know it, that of the set. */
static enum kva_frames_type type_of_piece(const struct frames_model *model, struct piece piece)
{
    struct kva_frames_found found = {.type = KVA_MOVABLE};

    if (!is_type_right(model, piece, KVA_UNMOVABLE))
        return KVA_MOVABLE;
    if (!is_type_right(model, piece, KVA_MOVABLE))
        return KVA_UNMOVABLE;
    (void)kva_frames_find(model->frames, frames_model_frame_of(model, piece.low), &found);
    return found.type;
}

/** The entries [low, high) that kva_frames_find must return for an entry: its run, or its gap within the
 * piece. */
static struct piece extent_of(const struct frames_model *model, size_t at, struct piece piece)
{
    struct piece extent = {at, at + 1};
    unsigned char state = model->entries[at].state;

    if (is_used(model, at)) {
        while (model->entries[extent.low].state == FRAME_INSIDE)
            extent.low--;
        extent.high = run_limit(model, at);
        return extent;
    }
    while (extent.low > piece.low && model->entries[extent.low - 1].state == state)
        extent.low--;
    while (extent.high < piece.high && model->entries[extent.high].state == state)
        extent.high++;
    return extent;
}

static enum kva_frames_state state_of(const struct frames_model *model, size_t at)
{
    if (is_used(model, at))
        return KVA_FRAMES_USED;
    return model->entries[at].state == FRAME_FREE ? KVA_FRAMES_FREE : KVA_FRAMES_ABSENT;
}

void frames_model_find(struct frames_model *model, uint64_t frame)
{
    struct kva_frames_found found = {.first = UNTOUCHED};
    size_t zone = 0;
    size_t at = frames_model_entry_of(model, frame, &zone);

    begin(model, "find", frame, 0);
    enum kva_status status = kva_frames_find(model->frames, frame, &found);
    expect_status(model, status, ONE(at == SIZE_MAX ? KVA_ENOENT : KVA_OK), "kva_frames_find");
    if (at == SIZE_MAX) {
        expect(model, found.first == UNTOUCHED, "the output was written");
        return;
    }
    struct piece piece = piece_of(model, zone, frame);
    struct piece extent = extent_of(model, at, piece);
    expect(model, found.state == state_of(model, at), "the state is %d, not %d", (int)found.state,
           (int)state_of(model, at));
    expect(model, found.first == frames_model_frame_of(model, extent.low),
           "the first is %#" PRIx64 ", not %#" PRIx64, found.first, frames_model_frame_of(model, extent.low));
    expect(model, found.count == extent.high - extent.low, "the count is %" PRIu64 ", not %" PRIu64,
           found.count, (uint64_t)(extent.high - extent.low));
    expect(model, found.zone == zone && found.node == model->zones[zone].node,
           "zone %zu, node %u found; zone %zu, node %u expected", found.zone, found.node, zone,
           model->zones[zone].node);
    expect(model, is_type_right(model, piece, found.type), "the type is %d", (int)found.type);
}

/** Look up every run, free gap and hole of a zone, by its first frame and by its last. */
static void compare_frames(struct frames_model *model, size_t zone)
{
    for (size_t i = model->zones[zone].at; i < zone_limit(model, zone);) {
        uint64_t frame = frames_model_frame_of(model, i);
        struct piece extent = extent_of(model, i, piece_of(model, zone, frame));
        frames_model_find(model, frame);
        frames_model_find(model, frame + (extent.high - i - 1));
        i = extent.high;
    }
}

/* --------------------------------------------------------------------------------------------- statistics */

/** The model's statistics of a zone. A block that an end of the zone cuts is never all free. */
static void add_stats_of(const struct frames_model *model, size_t zone, struct kva_frames_stats *stats)
{
    struct piece piece;

    for (size_t i = model->zones[zone].at; i < zone_limit(model, zone); i = piece.high) {
        piece = piece_of(model, zone, frames_model_frame_of(model, i));
        size_t size = piece.high - piece.low;
        size_t free_here = in_state(model, piece, FRAME_FREE);
        size_t absent = in_state(model, piece, FRAME_ABSENT);
        stats->blocks++;
        stats->free_frames += free_here;
        stats->absent_frames += absent;
        stats->used_frames += size - free_here - absent;
        stats->free_blocks += free_here == (size_t)1 << model->block_order;
        if (free_here + absent == size)
            continue;
        if (type_of_piece(model, piece) == KVA_MOVABLE)
            stats->movable_blocks++;
        else
            stats->unmovable_blocks++;
    }
}

#define EXACT(field, right)                                                                                  \
    expect(model, got.field == (right), #field " is %" PRIu64 ", not %" PRIu64, (uint64_t)got.field,         \
           (uint64_t)(right))
#define EQUAL(field) EXACT(field, want->field)

static void compare_stats(struct frames_model *model, size_t zone, const struct kva_frames_stats *want)
{
    struct kva_frames_stats got;

    begin(model, "stats_read", zone, 0);
    expect(model, kva_frames_stats_read(model->frames, zone, &got) == KVA_OK, "KVA_OK expected");
    EQUAL(free_frames);
    EQUAL(used_frames);
    EQUAL(absent_frames);
    EQUAL(blocks);
    EQUAL(free_blocks);
    EQUAL(movable_blocks);
    EQUAL(unmovable_blocks);
    expect(model, got.held_blocks <= got.blocks, "%" PRIu64 " of %" PRIu64 " blocks are held",
           got.held_blocks, got.blocks);
    expect(model, got.memory_bytes == model->memory.bytes, "memory_bytes is %" PRIu64 ", not %zu",
           got.memory_bytes, (size_t)model->memory.bytes);
    if (zone != KVA_FRAMES_ALL_ZONES)
        return;
    if (!model->lost_some) {
        EXACT(elsewhere_runs, model->elsewhere);
        EXACT(changed_blocks, model->changed);
        EXACT(strayed_runs, model->strayed);
    }
    EXACT(moved_runs, model->moved_runs);
    EXACT(moved_frames, model->moved_frames);
    expect(model,
           got.elsewhere_runs >= model->before.elsewhere_runs &&
               got.changed_blocks >= model->before.changed_blocks &&
               got.strayed_runs >= model->before.strayed_runs,
           "a count that only grows has decreased");
    model->before = got;
}

/** The largest aligned group of free frames that starts at an entry of a piece, as an order. */
static unsigned group_at(const struct frames_model *model, struct piece piece, size_t at)
{
    uint64_t frame = frames_model_frame_of(model, at);
    unsigned order = 0;

    while (order < model->block_order) {
        size_t size = (size_t)2 << order;
        if ((frame & (size - 1)) != 0 || size > piece.high - at)
            break;
        if (length_of_state(model, at, size, FRAME_FREE) < size)
            break;
        order++;
    }
    return order;
}

static void add_orders_of(const struct frames_model *model, size_t zone, struct kva_frames_orders *orders)
{
    struct piece piece;

    for (size_t i = model->zones[zone].at; i < zone_limit(model, zone); i = piece.high) {
        piece = piece_of(model, zone, frames_model_frame_of(model, i));
        uint64_t *groups = orders->unused;
        if (used_in(model, piece) > 0)
            groups = type_of_piece(model, piece) == KVA_MOVABLE ? orders->movable : orders->unmovable;
        for (size_t at = piece.low; at < piece.high;) {
            unsigned order = 0;
            if (model->entries[at].state == FRAME_FREE) {
                order = group_at(model, piece, at);
                groups[order]++;
            }
            at += (size_t)1 << order;
        }
    }
}

static void compare_orders(struct frames_model *model, size_t zone, const struct kva_frames_orders *want)
{
    struct kva_frames_orders got;

    begin(model, "orders_read", zone, 0);
    expect(model, kva_frames_orders_read(model->frames, zone, &got) == KVA_OK, "KVA_OK expected");
    EQUAL(block_order);
    for (unsigned order = 0; order <= KVA_FRAMES_BLOCK_ORDER; order++) {
        model->call.count = order;
        EQUAL(unmovable[order]);
        EQUAL(movable[order]);
        EQUAL(unused[order]);
    }
}

/* ------------------------------------------------------------------------------------------------ picture */

/** The characters of a picture, as its lines arrive. */
struct picture {
    const struct frames_model *model;
    uint64_t block; /* the number of the zone's first block */
    size_t count;
    char blocks[FRAMES_MODEL_FRAMES];
};

/** A line: the number of a block's first frame, and 64 characters, except in the last line. The callback must
 * not call the set. */
static void take_line(void *context, const char *text, size_t length)
{
    struct picture *picture = context;
    const struct frames_model *model = picture->model;
    char start[32];
    uint64_t frame = (picture->block + picture->count) << model->block_order;
    size_t used = (size_t)snprintf(start, sizeof(start), "0x%016" PRIx64 " ", frame);

    expect(model, length > used && length <= used + 64 && memcmp(text, start, used) == 0,
           "a line is %.*s; up to 64 characters after %s expected", (int)length, text, start);
    expect(model, picture->count % 64 == 0, "a line before the last one is too short");
    memcpy(picture->blocks + picture->count, text + used, length - used);
    picture->count += length - used;
}

static char character_of(const struct frames_model *model, struct piece piece)
{
    size_t used = used_in(model, piece);
    size_t present = piece.high - piece.low - in_state(model, piece, FRAME_ABSENT);
    size_t tenths = present > 0 ? used * 10 / present : 0;

    if (used == 0)
        return present > 0 ? '.' : ':';
    if (type_of_piece(model, piece) == KVA_UNMOVABLE)
        return used == present ? 'U' : 'u';
    if (used == present)
        return 'M';
    return tenths == 9 ? 'm' : (char)('0' + (int)tenths);
}

static void count_line(void *context, const char *text, size_t length)
{
    (void)text;
    *(size_t *)context += length > 0;
}

static void compare_picture(struct frames_model *model, size_t zone)
{
    static struct picture picture;
    struct piece piece = {model->zones[zone].at, model->zones[zone].at};
    size_t block = 0;

    picture.model = model;
    picture.block = block_of(model, model->zones[zone].start);
    picture.count = 0;
    begin(model, "picture", zone, 0);
    expect(model, kva_frames_picture(model->frames, zone, take_line, &picture) == KVA_OK, "KVA_OK expected");
    while (next_piece(model, zone, zone_limit(model, zone), &piece)) {
        char want = character_of(model, piece);
        expect(model, block < picture.count && picture.blocks[block] == want,
               "block %zu of %zu is %c, not %c", block, picture.count, picture.blocks[block], want);
        block++;
    }
    expect(model, block == picture.count, "%zu blocks, not %zu", picture.count, block);
}

void frames_model_compare(struct frames_model *model)
{
    struct kva_frames_stats all_stats = {0};
    struct kva_frames_orders all_orders = {.block_order = model->block_order};
    struct kva_fault fault = {.what = "-"};
    size_t lines = 0;

    begin(model, "check", 0, 0);
    enum kva_status status = kva_frames_check(model->frames, &fault);
    expect(model, status == KVA_OK, "%s: %s at %#" PRIx64, kva_status_name(status), fault.what,
           fault.address);
    for (size_t zone = 0; zone < model->zone_count; zone++) {
        struct kva_frames_stats stats = {0};
        struct kva_frames_orders orders = {.block_order = model->block_order};
        compare_frames(model, zone);
        add_stats_of(model, zone, &stats);
        compare_stats(model, zone, &stats);
        add_orders_of(model, zone, &orders);
        compare_orders(model, zone, &orders);
        compare_picture(model, zone);
        add_stats_of(model, zone, &all_stats);
        add_orders_of(model, zone, &all_orders);
    }
    compare_stats(model, KVA_FRAMES_ALL_ZONES, &all_stats);
    compare_orders(model, KVA_FRAMES_ALL_ZONES, &all_orders);
    begin(model, "dump", 0, 0);
    expect(model, kva_frames_dump(model->frames, count_line, &lines) == KVA_OK, "KVA_OK expected");
    expect(model, lines == 6 * model->zone_count, "%zu lines", lines);
}
