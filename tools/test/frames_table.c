/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Shapes, and the table of their frames. */
#include "frames_table.h"

#include "../common/grow.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------- shapes */

static void add_zone(struct traffic_shape *shape, unsigned node, uint64_t start, uint64_t end)
{
    shape->zones[shape->zone_count++] = (struct kva_frames_zone){.start = start, .end = end, .node = node};
}

static void add_hole(struct traffic_shape *shape, uint64_t first, uint64_t count)
{
    shape->holes[shape->hole_count++] = (struct kva_frames_range){.first = first, .count = count};
}

/* With s a sixteenth of the frames, and b a block:
 *
 *      zone 1, node 0       zone 2, node 0   zone 3, node 1         zone 0, node 1            zone 4, node 0
 *      |hole             h|h               |              hole|    |     hole, 5b     |       |            |
 *      0x13               5s + 0x1b        8s + 3           10s    2^32 + 5    + 6s + 6       2^64 - b - 4
 *
 * Zones 1 and 2 share a block, and so do 2 and 3; the hole between 1 and 2 is in both. Zone 4 ends with
 * the highest frame number. */
static void add_zones(struct traffic_shape *shape, uint64_t frames)
{
    uint64_t s = frames / 16, b = UINT64_C(1) << shape->block_order;
    uint64_t far = (UINT64_C(1) << 32) + 5;
    add_zone(shape, 1, far, far + 6 * s + 1);
    add_zone(shape, 0, 0x13, 5 * s + 0x1b);
    add_zone(shape, 0, 5 * s + 0x1b, 8 * s + 3);
    add_zone(shape, 1, 8 * s + 3, 10 * s);
    add_zone(shape, 0, UINT64_MAX - b - 3, UINT64_MAX);
    add_hole(shape, far + s, 3 * b + 7);
    add_hole(shape, far + s + b, 4 * b); /* overlaps the previous one */
    add_hole(shape, 0x13, b);
    add_hole(shape, 5 * s + 0x1b - 9, 20);
    add_hole(shape, 10 * s - 5, 5);
    shape->node_count = 2;
}

void traffic_shape_make(struct traffic_shape *shape, size_t index, uint64_t frames)
{
    static const struct {
        const char *name;
        const char *about;
        unsigned block_order;
        bool plain;
    } kinds[FRAMES_SHAPES] = {
        {"plain", "one zone", 9, true},
        {"zones", "five zones on two nodes, with holes and uneven ends", 9, false},
        {"small", "the same zones in small blocks", 3, false},
    };
    *shape = (struct traffic_shape){.name = kinds[index].name, .about = kinds[index].about};
    shape->block_order = kinds[index].block_order;
    shape->node_count = 1;
    if (kinds[index].plain)
        add_zone(shape, 0, 0, frames);
    else
        add_zones(shape, frames);
}

/* -------------------------------------------------------------------------------------------------- words */

size_t traffic_table_zone(const struct traffic_table *table, uint64_t frame)
{
    const struct traffic_shape *shape = &table->shape;
    size_t i = 0;
    while (i < shape->zone_count && (frame < shape->zones[i].start || frame >= shape->zones[i].end))
        i++;
    return i;
}

static _Atomic uint32_t *word_of(const struct traffic_table *table, size_t zone, uint64_t frame)
{
    return &table->owner[zone][(size_t)(frame - table->shape.zones[zone].start)];
}

uint32_t traffic_table_owner(const struct traffic_table *table, uint64_t frame)
{
    size_t zone = traffic_table_zone(table, frame);
    return zone == table->shape.zone_count ? OWNER_HOLE : atomic_load(word_of(table, zone, frame));
}

_Atomic uint32_t *traffic_table_holder(const struct traffic_table *table, uint64_t frame)
{
    size_t zone = traffic_table_zone(table, frame);
    return &table->holder[zone][(size_t)(frame - table->shape.zones[zone].start)];
}

uint32_t *traffic_table_contents(const struct traffic_table *table, uint64_t frame)
{
    size_t zone = traffic_table_zone(table, frame);
    return &table->contents[zone][(size_t)(frame - table->shape.zones[zone].start)];
}

/* Holes may overlap, and cross the ends of zones. */
static void mark_hole(struct traffic_table *table, const struct kva_frames_range *hole)
{
    for (uint64_t i = 0; i < hole->count; i++) {
        uint64_t frame = hole->first + i;
        _Atomic uint32_t *word = word_of(table, traffic_table_zone(table, frame), frame);
        table->present -= atomic_load(word) != OWNER_HOLE;
        atomic_store(word, OWNER_HOLE);
    }
}

bool traffic_table_init(struct traffic_table *table, const struct traffic_shape *shape)
{
    bool made = true;
    *table = (struct traffic_table){.shape = *shape};
    for (size_t i = 0; i < shape->zone_count; i++) {
        uint64_t count = shape->zones[i].end - shape->zones[i].start;
        table->present += count;
        table->owner[i] = zeroed_array(count, sizeof(*table->owner[i]));
        table->holder[i] = zeroed_array(count, sizeof(*table->holder[i]));
        table->contents[i] = zeroed_array(count, sizeof(*table->contents[i]));
        made = made && table->owner[i] != NULL && table->holder[i] != NULL && table->contents[i] != NULL;
    }
    for (size_t i = 0; made && i < shape->hole_count; i++)
        mark_hole(table, &shape->holes[i]);
    if (!made)
        traffic_table_fini(table);
    return made;
}

void traffic_table_fini(struct traffic_table *table)
{
    for (size_t i = 0; i < table->shape.zone_count; i++) {
        free(table->owner[i]);
        free(table->holder[i]);
        free(table->contents[i]);
        table->owner[i] = table->holder[i] = NULL;
        table->contents[i] = NULL;
    }
}

/* Describe an owner: "worker 3", "compaction". Returns `text`. */
static const char *owner_text(char text[32], uint32_t owner)
{
    static const struct {
        uint32_t owner;
        const char *text;
    } names[] = {{OWNER_NONE, "no owner"},
                 {OWNER_CHECKS, "the checks"},
                 {OWNER_MOVES, "compaction"},
                 {OWNER_OFFLINE, "offline"},
                 {OWNER_HOLE, "in a hole"}};
    snprintf(text, 32, "worker %" PRIu32, owner - 1);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (owner == names[i].owner)
            snprintf(text, 32, "%s", names[i].text);
    return text;
}

static void explain(char fault[FRAMES_FAULT], uint64_t frame, uint32_t found, uint32_t from, uint32_t to)
{
    char one[32], other[32];
    if (from != OWNER_NONE)
        snprintf(fault, FRAMES_FAULT, "frame 0x%" PRIx64 " belonged to %s; the table now has %s", frame,
                 owner_text(one, from), owner_text(other, found));
    else if (found == OWNER_HOLE || found == OWNER_OFFLINE)
        snprintf(fault, FRAMES_FAULT, "frame 0x%" PRIx64 " was handed out to %s, but is %s", frame,
                 owner_text(one, to), owner_text(other, found));
    else
        snprintf(fault, FRAMES_FAULT,
                 "frame 0x%" PRIx64 " was handed out twice: to %s, and to %s, which still has it", frame,
                 owner_text(one, to), owner_text(other, found));
}

bool traffic_table_change(struct traffic_table *table, uint64_t first, uint64_t count, uint32_t from,
                          uint32_t to, char fault[FRAMES_FAULT])
{
    size_t zone = traffic_table_zone(table, first);
    if (zone == table->shape.zone_count || count > table->shape.zones[zone].end - first) {
        snprintf(fault, FRAMES_FAULT, "%" PRIu64 " frames from 0x%" PRIx64 " on do not lie in one zone",
                 count, first);
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint32_t found = from;
        if (!atomic_compare_exchange_strong(word_of(table, zone, first + i), &found, to)) {
            explain(fault, first + i, found, from, to);
            return false;
        }
    }
    return true;
}

/* ------------------------------------------------------------------------------------------------- counts */

/* Whether all of [first, first + 2^order) is free; if not, count its free halves, quarters ... Frames
 * outside the zone are not free. */
static bool count_group(const struct traffic_table *table, size_t zone, uint64_t first, unsigned order,
                        struct traffic_count *count)
{
    if (order == 0) {
        const struct kva_frames_zone *own = &table->shape.zones[zone];
        bool inside = first >= own->start && first < own->end;
        return inside && atomic_load(word_of(table, zone, first)) == OWNER_NONE;
    }
    bool low = count_group(table, zone, first, order - 1, count);
    bool high = count_group(table, zone, first + (UINT64_C(1) << (order - 1)), order - 1, count);
    if (low && high)
        return true;
    count->groups[order - 1] += (uint64_t)low + high;
    return false;
}

static void count_groups(const struct traffic_table *table, size_t zone, struct traffic_count *count)
{
    unsigned order = table->shape.block_order;
    uint64_t last_block = (table->shape.zones[zone].end - 1) >> order;
    for (uint64_t block = table->shape.zones[zone].start >> order; block <= last_block; block++)
        count->groups[order] += count_group(table, zone, block << order, order, count);
}

void traffic_table_count(const struct traffic_table *table, size_t zone, struct traffic_count *count)
{
    uint64_t row = 0;
    for (uint64_t frame = table->shape.zones[zone].start; frame < table->shape.zones[zone].end; frame++) {
        uint32_t owner = atomic_load(word_of(table, zone, frame));
        bool absent = owner == OWNER_HOLE || owner == OWNER_OFFLINE;
        row = owner == OWNER_NONE ? row + 1 : 0;
        count->longest = row > count->longest ? row : count->longest;
        count->free += owner == OWNER_NONE;
        count->absent += absent;
        count->used += owner != OWNER_NONE && !absent;
    }
    count_groups(table, zone, count);
}
