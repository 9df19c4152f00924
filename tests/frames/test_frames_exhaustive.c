/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Every layout of 8 to 10 frames in blocks of 4: every offset of the zone to the block, one hole of every
 * length anywhere, two zones that share a block at every cut. In each layout, every set of frames in use (2^8
 * to 2^10), and for each set every request: orders 0 to 3, counts 1 to 10, alignments 1 to 8, every window.
 * The model checks each result.
 *
 *      zone       o = 1, 8 frames           two zones cut at 3             a hole of 2 at 4
 *      blocks     .   |   |   |             .   |   |   |                  .   |   |   |
 *      frames      ********                  aaabbbbb                       ****  **
 *
 * Layouts with two zones, with holes, or with 9 or 10 frames are so many that only every n-th request is
 * made; the choice shifts from state to state, so each request is made in many states.
 */
#include "../common/frames_model.h"

#include <stdio.h>

enum { ORDERS = 4, COUNTS = 10, ALIGNS = 4, SHAPES = ORDERS + COUNTS * ALIGNS, BLOCK_ORDER = 2 };

struct layout {
    uint64_t start;
    uint64_t count;     /* frames, of both zones */
    uint64_t cut;       /* the second zone's first frame, from the start; 0: one zone */
    bool upper_first;   /* the configuration lists the upper zone first */
    uint64_t hole;      /* from the start */
    uint64_t hole_size; /* 0: none */
};

static struct frames_model model;
static uint64_t visited;
static uint64_t turn; /* counts all cases, visited or not */
static char name[96];

static void create(const struct layout *layout)
{
    uint64_t cut = layout->start + layout->cut;
    struct kva_frames_zone zones[2] = {{layout->start, layout->start + layout->count, 0}};
    struct kva_frames_range hole = {layout->start + layout->hole, layout->hole_size};
    struct kva_frames_config config = {.zones = zones, .zone_count = 1, .block_order = BLOCK_ORDER};

    if (layout->cut != 0) {
        config.zone_count = 2;
        zones[layout->upper_first] = (struct kva_frames_zone){layout->start, cut, 0};
        zones[!layout->upper_first] = (struct kva_frames_zone){cut, layout->start + layout->count, 1};
    }
    if (layout->hole_size != 0) {
        config.holes = &hole;
        config.hole_count = 1;
    }
    snprintf(name, sizeof(name),
             "frames %" PRIu64 "-%" PRIu64 ", cut %" PRIu64 "%s, hole %" PRIu64 "+%" PRIu64, layout->start,
             layout->start + layout->count, layout->cut, layout->upper_first ? " upper first" : "",
             layout->hole, layout->hole_size);
    frames_model_create(&model, &config, name);
}

/** The request number `shape`, in the window [min, max]. */
static struct kva_frames_request request_of(const struct layout *layout, uint64_t shape, uint64_t min,
                                            uint64_t max)
{
    struct kva_frames_request r = {
        .type = turn % 3 == 0 ? KVA_UNMOVABLE : KVA_MOVABLE, .min = min, .max = max};

    if (shape < ORDERS) {
        r.order = (unsigned)shape;
    } else {
        r.count = 1 + (shape - ORDERS) % COUNTS;
        r.align = UINT64_C(1) << (shape - ORDERS) / COUNTS;
    }
    if (layout->cut != 0) {
        r.node = (unsigned)(turn / 2 % 2);
        r.flags = turn / 4 % 2 != 0 ? KVA_FRAMES_THIS_NODE : 0;
    }
    return r;
}

static void ask(const struct layout *layout, uint64_t shape, uint64_t min, uint64_t max, uint64_t stride)
{
    uint64_t first;

    if (turn++ % stride != 0)
        return;
    struct kva_frames_request r = request_of(layout, shape, min, max);
    if (frames_model_alloc(&model, &r, &first) == KVA_OK)
        (void)frames_model_free(&model, first);
    visited++;
}

/** Every shape, without a window and in every window. */
static void ask_all(const struct layout *layout, uint64_t stride)
{
    uint64_t last = layout->start + layout->count - 1;

    for (uint64_t shape = 0; shape < SHAPES; shape++) {
        ask(layout, shape, 0, 0, stride);
        for (uint64_t min = layout->start; min <= last; min++) {
            for (uint64_t max = min > 0 ? min : 1; max <= last; max++)
                ask(layout, shape, min, max, stride);
        }
    }
}

/** Make exactly the frames of a set be in use. */
static void use(const struct layout *layout, unsigned set)
{
    for (unsigned i = 0; i < layout->count; i++) {
        uint64_t frame = layout->start + i;
        unsigned char state = model.entries[frames_model_entry_of(&model, frame, NULL)].state;
        if (state == FRAME_START && (set >> i & 1) == 0)
            (void)frames_model_free(&model, frame);
        else if (state == FRAME_FREE && (set >> i & 1) != 0)
            (void)frames_model_reserve(&model, frame, 1, (i + set) % 5 == 0 ? KVA_UNMOVABLE : KVA_MOVABLE);
    }
}

/** Whether a set has a frame in the layout's hole: such a state does not exist. */
static bool meets_hole(const struct layout *layout, unsigned set)
{
    return (set >> layout->hole & ((1U << layout->hole_size) - 1)) != 0;
}

static void play(const struct layout *layout, uint64_t stride)
{
    create(layout);
    for (unsigned set = 0; set < 1U << layout->count; set++) {
        if (meets_hole(layout, set))
            continue;
        use(layout, set);
        ask_all(layout, stride * test_stride());
        if (set % 16 == 0)
            frames_model_compare(&model);
    }
    frames_model_compare(&model);
    frames_model_destroy(&model);
}

static void begin_visit(void)
{
    visited = 0;
    turn = 0;
}

static void end_visit(const char *what)
{
    print_message("%" PRIu64 " of %" PRIu64 " requests in %s\n", visited, turn, what);
    assert_true(visited > 0);
}

/* The strides have no common factor with the numbers of shapes and windows. */
static void one_zone(void **state)
{
    (void)state;
    begin_visit();
    for (uint64_t count = 8; count <= 10; count++) {
        for (uint64_t offset = 0; offset < 4; offset++) {
            struct layout layout = {.start = 4 + offset, .count = count};
            play(&layout, count == 8 ? 1 : 7);
        }
    }
    end_visit("one zone");
}

static void zones_that_share_a_block(void **state)
{
    (void)state;
    begin_visit();
    for (uint64_t offset = 0; offset < 4; offset++) {
        for (uint64_t cut = 1; cut < 8; cut++) {
            struct layout layout = {.start = offset, .count = 8, .cut = cut, .upper_first = cut % 2 != 0};
            play(&layout, 5);
        }
    }
    end_visit("two zones");
}

static void a_hole_anywhere(void **state)
{
    (void)state;
    begin_visit();
    for (uint64_t offset = 0; offset < 4; offset++) {
        for (uint64_t hole = 0; hole < 8; hole++) {
            for (uint64_t size = 1; hole + size <= 8; size++) {
                struct layout layout = {.start = 8 + offset, .count = 8, .hole = hole, .hole_size = size};
                play(&layout, 5);
            }
        }
    }
    end_visit("zones with a hole");
}

/* ------------------------------------------------------------------------------------------------- ranges */

/** Reserve the run [a, b), free its part [c, d), look up the rest, and free it. */
static void free_part(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    if (frames_model_reserve(&model, a, b - a, turn % 2) != KVA_OK)
        return;
    turn++;
    if (frames_model_free_range(&model, c, d - c) != KVA_OK) {
        (void)frames_model_free(&model, a);
        return;
    }
    for (uint64_t frame = a; frame < b; frame++)
        frames_model_find(&model, frame);
    if (c > a)
        (void)frames_model_free(&model, a);
    if (d < b)
        (void)frames_model_free(&model, d);
    visited++;
}

/** Split the run [a, b), which only its first frame identifies; compare all frames, and free them one by
 *  one. */
static void split(uint64_t a, uint64_t b)
{
    if (frames_model_reserve(&model, a, b - a, turn % 2) != KVA_OK)
        return;
    turn++;
    for (uint64_t frame = b; frame-- > a;)
        assert_int_equal(frames_model_split(&model, frame), frame == a ? KVA_OK : KVA_EINTERIOR);
    frames_model_compare(&model);
    for (uint64_t frame = a; frame < b; frame++)
        assert_int_equal(frames_model_free(&model, frame), KVA_OK);
    visited++;
}

/** Every range of a layout, and one frame on both sides: reserved, freed in every part, split, taken
 *  offline and brought online. The model predicts which calls succeed. */
static void play_ranges(const struct layout *layout)
{
    uint64_t low = layout->start - 1;
    uint64_t high = layout->start + layout->count + 1;

    create(layout);
    for (uint64_t a = low; a < high; a++) {
        for (uint64_t b = a + 1; b <= high; b++) {
            for (uint64_t c = a; c < b; c++) {
                for (uint64_t d = c + 1; d <= b; d++)
                    free_part(a, b, c, d);
            }
            split(a, b);
            if (frames_model_offline(&model, a, b - a) == KVA_OK) {
                frames_model_compare(&model);
                (void)frames_model_online(&model, a, b - a);
            } else if (frames_model_online(&model, a, b - a) == KVA_OK) {
                frames_model_compare(&model);
                (void)frames_model_offline(&model, a, b - a);
            }
        }
        frames_model_compare(&model);
    }
    frames_model_destroy(&model);
}

static void every_part_of_every_range(void **state)
{
    (void)state;
    begin_visit();
    for (uint64_t offset = 0; offset < 4; offset++) {
        for (uint64_t cut = 0; cut < 8; cut++) {
            struct layout layout = {.start = 4 + offset, .count = 8, .cut = cut};
            play_ranges(&layout);
        }
        for (uint64_t hole = 0; hole < 8; hole++) {
            struct layout layout = {
                .start = 4 + offset, .count = 8, .hole = hole, .hole_size = 1 + hole % 2 * (hole < 7)};
            play_ranges(&layout);
        }
    }
    end_visit("parts of ranges");
}

/* --------------------------------------------------------------------------------------------- compaction */

static enum kva_frames_moved moved_by_the_model(void *context, uint64_t from, uint64_t to, uint64_t count)
{
    (void)context;
    check_that(false,
               "the model must replace this callback; it was called for %#" PRIx64 ", %#" PRIx64 ", %" PRIu64,
               from, to, count);
    return KVA_FRAMES_PINNED;
}

/** The most blocks of a zone that can be free with these single frames in use: the frames first fill the
 *  blocks cut by the zone's ends, if those are in use already. */
static uint64_t most_free_blocks(uint64_t start, uint64_t end, unsigned set)
{
    uint64_t free_blocks = 0;
    uint64_t room = 0; /* in cut blocks in use */
    uint64_t used = 0;

    for (uint64_t block = start / 4; block <= (end - 1) / 4; block++) {
        uint64_t frames = 0;
        uint64_t here = 0;
        for (uint64_t f = block * 4; f < block * 4 + 4; f++) {
            frames += f >= start && f < end;
            here += f >= start && f < end && (set >> (f - start) & 1) != 0;
        }
        used += here;
        free_blocks += frames == 4;
        room += frames < 4 && here > 0 ? frames : 0;
    }
    used = used > room ? used - room : 0;
    return used > free_blocks * 4 ? 0 : free_blocks - (used + 3) / 4;
}

/* Every set of single frames in 14 frames of blocks of 4, compacted: as many blocks as possible become
 * free. */
static void every_state_compacted(void **state)
{
    (void)state;
    begin_visit();
    for (uint64_t offset = 0; offset < 4; offset++) {
        struct kva_frames_zone zone = {4 + offset, 4 + offset + 14, 0};
        struct kva_frames_config config = {
            .zones = &zone, .zone_count = 1, .block_order = BLOCK_ORDER, .move = moved_by_the_model};
        struct layout layout = {.start = zone.start, .count = 14};
        for (unsigned set = 0; set < 1U << 14; set++) {
            if (turn++ % test_stride() != 0)
                continue;
            struct kva_frames_stats stats;
            frames_model_create(&model, &config, "a zone to compact");
            model.willing = true;
            for (unsigned i = 0; i < layout.count; i++) {
                if ((set >> i & 1) != 0)
                    (void)frames_model_reserve(&model, layout.start + i, 1, KVA_MOVABLE);
            }
            (void)frames_model_compact(&model, 0, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
            assert_int_equal(kva_frames_stats_read(model.frames, 0, &stats), KVA_OK);
            uint64_t most = most_free_blocks(zone.start, zone.end, set);
            check_that(stats.free_blocks == most,
                       "frames %#" PRIx64 "-, in use %#x: %" PRIu64 " free blocks, %" PRIu64 " expected",
                       zone.start, set, stats.free_blocks, most);
            frames_model_compare(&model);
            frames_model_destroy(&model);
            visited++;
        }
    }
    end_visit("states to compact");
}

/** Two movable runs, [a, b) and [c, d), of which the second may be empty or unmovable, and the zone's
 *  first frame. */
static void compact_two(const struct kva_frames_config *config, uint64_t a, uint64_t b, uint64_t c,
                        uint64_t d)
{
    frames_model_create(&model, config, "two runs to compact");
    model.willing = turn++ % 2 == 0;
    (void)frames_model_reserve(&model, a, b - a, KVA_MOVABLE);
    if (d > c)
        (void)frames_model_reserve(&model, c, d - c, turn % 8 == 0 ? KVA_UNMOVABLE : KVA_MOVABLE);
    (void)frames_model_reserve(&model, config->zones[0].start, 1, KVA_MOVABLE);
    (void)frames_model_compact(&model, 0, turn % 3 == 0 ? BLOCK_ORDER : KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
    frames_model_compare(&model);
    frames_model_destroy(&model);
    visited++;
}

/* Runs of every length and place, over the ends of blocks as well; the model checks each move. */
static void every_two_runs_compacted(void **state)
{
    (void)state;
    begin_visit();
    for (uint64_t offset = 0; offset < 4; offset++) {
        struct kva_frames_zone zone = {4 + offset, 4 + offset + 14, 0};
        struct kva_frames_config config = {
            .zones = &zone, .zone_count = 1, .block_order = BLOCK_ORDER, .move = moved_by_the_model};
        for (uint64_t a = zone.start; a < zone.end; a++) {
            for (uint64_t b = a + 1; b <= zone.end; b++) {
                for (uint64_t c = b; c < zone.end; c++) {
                    for (uint64_t d = c; d <= zone.end; d++)
                        compact_two(&config, a, b, c, d);
                }
            }
        }
    }
    end_visit("pairs of runs to compact");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_zone),
        cmocka_unit_test(zones_that_share_a_block),
        cmocka_unit_test(a_hole_anywhere),
        cmocka_unit_test(every_part_of_every_range),
        cmocka_unit_test(every_state_compacted),
        cmocka_unit_test(every_two_runs_compacted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
