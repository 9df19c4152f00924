/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Reading a space: find, iterate, count, dump. Nothing here changes it. */
#include "../base/text.h"
#include "lookup.h"

/** Find the segment that holds `address`. Requires the space's lock. */
static enum kva_status find_segment(const struct kva_space *space, uint64_t address,
                                    struct kva_segment *segment)
{
    struct kva_segment found;

    if (!core_holds(space->map, address))
        return KVA_ENOENT;
    kva_lookup(space, address, &found);
    if (found.state == KVA_ABSENT)
        return KVA_ENOENT;
    *segment = found;
    return KVA_OK;
}

/** The same; but if the address lies below the space, or is absent, the next segment above. */
static enum kva_status find_upwards(const struct kva_space *space, uint64_t address,
                                    struct kva_segment *segment)
{
    if (address > space->map->last)
        return KVA_ENOENT;
    lookup_upwards(space, max_u64(address, space->map->first), segment);
    return KVA_OK;
}

/** Find the segment without the space's lock. False with one thread, or if the lookup fails. */
static bool find_unlocked(const struct kva_space *space, uint64_t address, struct kva_segment *segment)
{
    struct kva_segment found;

    if (!is_initialised(space) || !threads_of(space) || !segment ||
        !kva_lookup_unlocked(space, address, &found))
        return false;
    *segment = found;
    return true;
}

enum kva_status kva_find(const struct kva_space *space, uint64_t address, struct kva_segment *segment)
{
    if (find_unlocked(space, address, segment))
        return KVA_OK;
    enum kva_status status = enter_with(space, __func__, address, segment, "segment");
    if (status != KVA_OK)
        return status;
    return leave(space, find_segment(space, address, segment));
}

enum kva_status kva_first(const struct kva_space *space, struct kva_segment *segment)
{
    enum kva_status status = enter_with(space, __func__, 0, segment, "segment");

    if (status != KVA_OK)
        return status;
    return leave(space, find_upwards(space, space->map->first, segment));
}

enum kva_status kva_next(const struct kva_space *space, struct kva_segment *segment)
{
    enum kva_status status = enter_with(space, __func__, 0, segment, "segment");

    if (status != KVA_OK)
        return status;
    if (segment->last >= space->map->last)
        return leave(space, KVA_ENOENT);
    return leave(space, find_upwards(space, segment->last + 1, segment));
}

static void read_space_stats(const struct kva_space *space, struct kva_stats *stats)
{
    uint64_t extent = 0;
    uint64_t pooled_bytes;
    uint64_t pooled_segments;
    struct kva_tally tally = kva_whole_tally(space, &pooled_bytes, &pooled_segments);

    bool any_free = space->map->engine->largest(space->map, &extent);
    *stats = (struct kva_stats){
        .free_bytes = bytes_in(&tally, KVA_FREE),
        .busy_bytes = bytes_in(&tally, KVA_BUSY),
        .deferred_bytes = bytes_in(&tally, KVA_DEFERRED),
        .largest_free = any_free ? add_saturated(extent, 1) : 0,
        .free_segments = tally.segments[KVA_FREE],
        .busy_segments = tally.segments[KVA_BUSY],
        .deferred_segments = tally.segments[KVA_DEFERRED],
        .pooled_bytes = pooled_bytes,
        .pooled_segments = pooled_segments,
        .flushes = space->flushes,
        .memory_bytes = space->map->ledger.bytes + (space->shared ? sizeof *space->shared : 0),
    };
}

enum kva_status kva_stats_read(const struct kva_space *space, struct kva_stats *stats)
{
    if (!is_initialised(space))
        return KVA_ENULL;
    if (!stats)
        return misuse_null(space, __func__, 0, "stats");
    freeze(space);
    read_space_stats(space, stats);
    thaw(space);
    return KVA_OK;
}

/* ----------------------------------------------------------------------------------------------- dump */

/** The longest line: two addresses, a size, a state, an owner, and the characters between them: 18 + 1 + 18 +
 *  1 + 20 + 1 + 8 + 7 + 18, and the zero byte. */
enum { DUMP_LINE_BYTES = 96, DIGITS = 16 };

static void put_size(struct kva_text *line, const struct kva_segment *segment)
{
    uint64_t extent = segment->last - segment->start;

    if (extent == UINT64_MAX)
        text_put(line, "18446744073709551616");
    else
        text_put_decimal(line, extent + 1);
}

static void put_segment(struct kva_text *line, const struct kva_segment *segment)
{
    static const char *const states[] = {" free", " busy", " deferred", " pooled"};

    text_put_hex(line, segment->start, DIGITS);
    text_put(line, "-");
    text_put_hex(line, segment->last, DIGITS);
    text_put(line, " ");
    put_size(line, segment);
    text_put(line, states[segment->state]);
    if (segment->owner) {
        text_put(line, " owner ");
        text_put_hex(line, (uintptr_t)segment->owner, DIGITS);
    }
}

enum kva_status kva_space_dump(const struct kva_space *space, kva_dump_line *write, void *context)
{
    struct kva_segment segment;

    if (!is_initialised(space))
        return KVA_ENULL;
    if (!write)
        return misuse_null(space, __func__, 0, "line");
    for (enum kva_status status = kva_first(space, &segment); status == KVA_OK;
         status = kva_next(space, &segment)) {
        char room[DUMP_LINE_BYTES];
        struct kva_text line = text_of(room, sizeof room);
        put_segment(&line, &segment);
        write(context, room, line.length);
    }
    return KVA_OK;
}
