/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Reports as text: the free groups of each zone, and the picture of a zone. */
#include "../base/text.h"
#include "frames_freeze.h"

enum { NUMBER_WIDTH = 9, PICTURE_BLOCKS = 64 };

static void begin_zone_line(struct kva_line_writer *writer, size_t zone)
{
    line_begin(writer);
    text_put(&writer->text, "zone ");
    text_put_decimal(&writer->text, zone);
}

/** Write text in a column, aligned to the right. */
static void put_column(struct kva_line_writer *writer, const char *piece)
{
    size_t length = 0;

    while (piece[length])
        length++;
    text_put(&writer->text, " ");
    for (; length < NUMBER_WIDTH; length++)
        text_put(&writer->text, " ");
    text_put(&writer->text, piece);
}

static void put_number(struct kva_line_writer *writer, uint64_t number)
{
    char room[24];
    struct kva_text text = text_of(room, sizeof room);

    text_put_decimal(&text, number);
    put_column(writer, room);
}

/** Write a share in thousandths, as 0.125; a negative one as a dash. */
static void put_share(struct kva_line_writer *writer, int share)
{
    char room[8];
    struct kva_text text = text_of(room, sizeof room);

    if (share < 0) {
        put_column(writer, "-");
        return;
    }
    text_put(&text, share >= 1000 ? "1." : "0.");
    text_put(&text, share % 1000 < 100 ? "0" : "");
    text_put(&text, share % 1000 < 10 ? "0" : "");
    text_put_decimal(&text, (uint64_t)(share % 1000));
    put_column(writer, room);
}

/** The zone of a valid index in kva_frames_config.zones. */
static const struct frames_zone *zone_at(const struct kva_frames *frames, size_t index)
{
    const struct frames_zone *zone = frames->zones;

    while (zone->index != index)
        zone++;
    return zone;
}

/* --------------------------------------------------------------------------------------------- dump */

static void write_head(struct kva_line_writer *writer, const struct frames_zone *zone,
                       const struct kva_frames_stats *stats)
{
    begin_zone_line(writer, zone->index);
    text_put(&writer->text, " node ");
    text_put_decimal(&writer->text, zone->node);
    text_put(&writer->text, " frames ");
    text_put_hex(&writer->text, zone->start, 1);
    text_put(&writer->text, "-");
    text_put_hex(&writer->text, zone->end - 1, 1);
    text_put(&writer->text, ": ");
    text_put_decimal(&writer->text, stats->free_frames + stats->used_frames);
    text_put(&writer->text, " present, ");
    text_put_decimal(&writer->text, stats->free_frames);
    text_put(&writer->text, " free, ");
    text_put_decimal(&writer->text, stats->absent_frames);
    text_put(&writer->text, " absent");
    line_end(writer);
}

static void write_groups(struct kva_line_writer *writer, size_t zone, const char *name,
                         const uint64_t *groups, unsigned orders, uint64_t blocks)
{
    begin_zone_line(writer, zone);
    text_put(&writer->text, name);
    for (unsigned order = 0; order <= orders; order++)
        put_number(writer, groups[order]);
    text_put(&writer->text, "   blocks ");
    text_put_decimal(&writer->text, blocks);
    line_end(writer);
}

static void write_indexes(struct kva_line_writer *writer, size_t zone, const struct kva_frames_orders *orders)
{
    begin_zone_line(writer, zone);
    text_put(&writer->text, " unusable  ");
    for (unsigned order = 0; order <= orders->block_order; order++)
        put_share(writer, (int)kva_frames_unusable(orders, order));
    line_end(writer);
    begin_zone_line(writer, zone);
    text_put(&writer->text, " fragmented");
    for (unsigned order = 0; order <= orders->block_order; order++)
        put_share(writer, kva_frames_fragmentation(orders, order));
    line_end(writer);
}

enum kva_status kva_frames_dump(const struct kva_frames *frames, kva_dump_line *line, void *context)
{
    struct kva_line_writer writer = {.line = line, .context = context};
    struct kva_frames_orders orders;
    struct kva_frames_stats stats;

    if (!frames)
        return KVA_ENULL;
    if (!line)
        return refuse(frames, KVA_ENULL, __func__, KVA_NO_FRAME, "line");
    for (size_t z = 0; z < frames->zone_count; z++) {
        (void)kva_frames_stats_read(frames, z, &stats);
        (void)kva_frames_orders_read(frames, z, &orders);
        uint64_t unused = stats.blocks - stats.movable_blocks - stats.unmovable_blocks;
        write_head(&writer, zone_at(frames, z), &stats);
        write_groups(&writer, z, " unmovable ", orders.unmovable, orders.block_order, stats.unmovable_blocks);
        write_groups(&writer, z, " movable   ", orders.movable, orders.block_order, stats.movable_blocks);
        write_groups(&writer, z, " unused    ", orders.unused, orders.block_order, unused);
        write_indexes(&writer, z, &orders);
    }
    return KVA_OK;
}

/* ------------------------------------------------------------------------------------------ picture */

/** The tenths of a block's frames that are in use, rounded down. */
static unsigned tenths_of(uint64_t h)
{
    unsigned present = free_of(h) + used_of(h);

    return used_of(h) * 10 / present;
}

static char picture_of(uint64_t h)
{
    if (used_of(h) == 0)
        return free_of(h) == 0 ? ':' : '.';
    if (kind_of(h) == KIND_UNMOVABLE)
        return free_of(h) == 0 ? 'U' : 'u';
    if (free_of(h) == 0)
        return 'M';
    return tenths_of(h) == 9 ? 'm' : (char)('0' + tenths_of(h));
}

/** Write a line of the picture: up to 64 blocks, each read under its lock. */
static void write_blocks(struct kva_line_writer *writer, const struct kva_frames *frames,
                         const struct frames_zone *zone, uint32_t from)
{
    uint32_t end = (uint32_t)min_u64(zone->rows.blocks, (uint64_t)from + PICTURE_BLOCKS);

    line_begin(writer);
    text_put_hex(&writer->text, first_frame(frames, zone, from), 16);
    text_put(&writer->text, " ");
    for (uint32_t block = from; block < end; block++) {
        uint64_t h = lock_block(frames, zone, block);
        char piece[2] = {picture_of(h), '\0'};
        unlock_block(frames, zone, block, h);
        text_put(&writer->text, piece);
    }
    line_end(writer);
}

enum kva_status kva_frames_picture(const struct kva_frames *frames, size_t zone, kva_dump_line *line,
                                   void *context)
{
    struct kva_line_writer writer = {.line = line, .context = context};

    if (!frames)
        return KVA_ENULL;
    if (!line)
        return refuse(frames, KVA_ENULL, __func__, KVA_NO_FRAME, "line");
    if (zone >= frames->zone_count)
        return refuse(frames, KVA_EINVAL, __func__, KVA_NO_FRAME, "zone");
    const struct frames_zone *drawn = zone_at(frames, zone);
    for (uint64_t block = 0; block < drawn->rows.blocks; block += PICTURE_BLOCKS)
        write_blocks(&writer, frames, drawn, (uint32_t)block);
    return KVA_OK;
}
