/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The isolation step alone, on one block whose frames are drawn. A picture shows the work range only, one
 * character per frame:
 *
 *      .     free                           #     in a hole
 *      R r   a run: its first frame, the others
 *      I i   the same, isolated             T t   room for a run, isolated
 *      >     the last run continues in the next block
 *
 * A picture that begins with r begins inside a run of the previous block.
 *
 * OUTSIDE THE WORK RANGE (the rest of the block, the blocks before and after it, and the memory after the
 * zone's last block) the states are noise: each state in turn, and random ones. The step must have the same
 * result whatever the noise, and must not change it, so nothing outside matters. In a last turn the states of
 * the zone's blocks are an allocation of their own, so that AddressSanitizer and Valgrind report a read
 * beyond them.
 */
#include "../../ports/test/failing_memory.h"
#include "../common/harness.h"

#include "frames/frames_find.h"
#include "frames/frames_isolate.h"

#include <stdlib.h>
#include <string.h>

enum { FRAMES_MOST = 256, NOISES = 6, ALONE = NOISES - 1 };

/** A zone, and one of its blocks. */
struct scene {
    uint64_t start;
    uint64_t end;
    unsigned block_order;
    uint64_t frame; /* one frame of the block */
};

static struct kva_failing_memory set_memory; /* malloc, on any host */
static struct kva_frames *frames;
static struct frames_zone *zone;
/** The states of the zone's blocks and, unless `noise` is ALONE, of one block before and one after them. */
static struct frames_word *memory;
static struct frames_word *copy;
static size_t memory_words;
static struct test_rng rng;

static enum kva_frames_moved move_nothing(void *context, uint64_t from, uint64_t to, uint64_t count)
{
    (void)context;
    check_that(false, "%" PRIu64 " frames are moved from %#" PRIx64 " to %#" PRIx64, count, from, to);
    return KVA_FRAMES_PINNED;
}

/* -------------------------------------------------------------------------------------------------- noise */

static uint64_t noise_word(unsigned noise, bool first)
{
    if (noise < 4)
        return (noise >> first & 1) != 0 ? UINT64_MAX : 0;
    return test_random(&rng);
}

static void *get(size_t count, size_t size)
{
    void *block = calloc(count, size);

    assert_non_null(block);
    return block;
}

/** Make a set of one zone, with noise in the states of all its frames and around them. */
static void set_up(const struct scene *scene, unsigned noise)
{
    struct kva_frames_zone one = {scene->start, scene->end, 0};
    struct kva_frames_config config = {.zones = &one,
                                       .zone_count = 1,
                                       .block_order = scene->block_order,
                                       .memory = kva_failing_memory_init(&set_memory),
                                       .move = move_nothing};
    size_t around = noise == ALONE ? 0 : 1;

    assert_int_equal(kva_frames_create(&config, &frames), KVA_OK);
    zone = &frames->zones[0];
    memory_words = (zone->rows.blocks + 2 * around) * (size_t)frames->words;
    memory = get(memory_words, sizeof(*memory));
    copy = get(memory_words, sizeof(*copy));
    for (size_t w = 0; w < memory_words; w++)
        memory[w] = (struct frames_word){noise_word(noise, false), noise_word(noise, true)};
    for (size_t w = 0; frames->size < 64 && w < memory_words; w++)
        set_states(&memory[w], frames->size, 64, false, true); /* bits without a frame */
    zone->words = memory + around * frames->words;
}

static void tear_down(void)
{
    free(memory);
    free(copy);
    assert_int_equal(kva_frames_destroy(frames), KVA_OK);
}

/* ----------------------------------------------------------------------------------------------- pictures */

static bool is_run(char c)
{
    return c == 'R' || c == 'r';
}

/** Whether one run covers the whole block. */
static enum frames_whole whole_in(const char *picture, uint32_t count)
{
    if (count != frames->size || !is_run(picture[0]))
        return WHOLE_NOT;
    for (uint32_t i = 1; i < count; i++) {
        if (picture[i] != 'r')
            return WHOLE_NOT;
    }
    return picture[0] == 'R' ? WHOLE_FIRST : WHOLE_INSIDE;
}

/** Give the work range the states of a picture; returns the header. */
static uint64_t draw(const char *picture, uint32_t block, struct frames_work work)
{
    struct frames_word *words = words_of(frames, zone, block);
    uint32_t count = work.end - work.from;
    enum frames_whole whole = whole_in(picture, count);
    uint64_t used = 0;
    uint64_t free_frames = 0;

    check_that(strspn(picture, ".#Rr") == count, "%s is not a picture of %" PRIu32 " frames", picture, count);
    for (uint32_t i = 0; i < count; i++) {
        bool taken = is_run(picture[i]) && whole == WHOLE_NOT;
        bool first = (picture[i] == 'R' || picture[i] == '#') && whole == WHOLE_NOT;
        set_states(words, work.from + i, work.from + i + 1, taken, first);
        used += is_run(picture[i]);
        free_frames += picture[i] == '.';
    }
    return (uint64_t)KIND_MOVABLE << KIND_AT | free_frames << FREE_AT | used << USED_AT |
           (uint64_t)whole << WHOLE_AT | (uint64_t)(picture[count] == '>') << CONT_AT;
}

/** The states of the work range as a picture; mark_isolated() and expect_room() add the isolated runs. */
static void picture_of(char *picture, uint32_t block, struct frames_work work, uint64_t h)
{
    const struct frames_word *words = words_of(frames, zone, block);
    uint32_t count = work.end - work.from;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = work.from + i;
        unsigned state = (unsigned)(words[at / 64].taken >> at % 64 & 1) * 2 +
                         (unsigned)(words[at / 64].first >> at % 64 & 1);
        picture[i] = ".#rR"[state];
        if (whole_of(h) != WHOLE_NOT)
            picture[i] = i == 0 && whole_of(h) == WHOLE_FIRST ? 'R' : 'r';
    }
    picture[count] = '\0';
}

/** The bits of word w of a block that lie in the work range. */
static uint64_t bits_of(uint32_t w, struct frames_work work)
{
    uint64_t bits = 0;

    for (uint32_t i = 0; i < 64; i++)
        bits |= (uint64_t)(w * 64 + i >= work.from && w * 64 + i < work.end) << i;
    return bits;
}

/** All memory outside the work range is unchanged. */
static void expect_untouched(uint32_t block, struct frames_work work)
{
    size_t begin = (size_t)(words_of(frames, zone, block) - memory);

    for (size_t w = 0; w < memory_words; w++) {
        bool is_mine = w >= begin && w < begin + frames->words;
        uint64_t others = is_mine ? ~bits_of((uint32_t)(w - begin), work) : UINT64_MAX;
        uint64_t changed = (memory[w].taken ^ copy[w].taken) | (memory[w].first ^ copy[w].first);
        check_that((changed & others) == 0, "word %zu has changed outside of the work range", w);
    }
}

/* --------------------------------------------------------------------------------------------------- runs */

/** Mark a run of the batch in a picture. The run lies in the zone and in the block, and was not marked
 *  before. */
static void mark_isolated(char *picture, const struct frames_move *move, uint64_t begin,
                          struct frames_work work)
{
    uint64_t at = move->from - begin - work.from;

    check_that(move->from >= begin + work.from && move->from + (move->count - 1) < begin + work.end,
               "isolated frame %#" PRIx64 " lies outside the work range", move->from);
    assert_true(move->to == KVA_NO_FRAME && !move->is_given);
    for (uint64_t i = 0; i < move->count; i++) {
        check_that(picture[at + i] == (i == 0 ? 'R' : 'r'), "isolated frame %" PRIu64 " is %c in the picture",
                   at + i, picture[at + i]);
        picture[at + i] = i == 0 ? 'I' : 'i';
    }
    check_that(picture[at + move->count] != 'r', "the run at %" PRIu64 " is longer than was isolated", at);
}

/** Isolate all runs of a block, batch after batch. */
static void isolate_all(char *picture, uint32_t block, uint64_t *h, uint32_t shortest)
{
    struct frames_compaction *compaction = frames->compaction;
    struct frames_work work = work_range(frames, zone, block);
    uint32_t position = 0;
    bool at_end = false;
    unsigned runs = 0;

    picture_of(picture, block, work, *h);
    for (unsigned calls = 0; !at_end; calls++) {
        compaction->count = 0;
        at_end = kva_isolate_runs(frames, zone, block, h, &position, shortest);
        check_that(position >= work.from && position <= work.end,
                   "position %" PRIu32 " is outside the work range", position);
        check_that(at_end || compaction->count == BATCH_MOVES, "stopped after %u runs, before the end",
                   compaction->count);
        for (unsigned i = 0; i < compaction->count; i++)
            mark_isolated(picture, &compaction->moves[i], first_frame(frames, zone, block), work);
        runs += compaction->count;
        assert_true(calls <= FRAMES_MOST / BATCH_MOVES);
    }
    compaction->count = 0;
    assert_true(((*h & MOVING_MASK) != 0) == (runs > 0));
}

static void isolate_with(const struct scene *scene, const char *before, uint32_t shortest, const char *after,
                         unsigned noise)
{
    char found[FRAMES_MOST + 1];

    set_up(scene, noise);
    uint32_t block = block_of(frames, zone, scene->frame);
    struct frames_work work = work_range(frames, zone, block);
    uint64_t h = draw(before, block, work);
    uint64_t h_before = h;
    memcpy(copy, memory, memory_words * sizeof(*memory));
    isolate_all(found, block, &h, shortest);
    expect_untouched(block, work);
    check_that((h & ~MOVING_MASK) == h_before, "%s: header %#" PRIx64 " becomes %#" PRIx64, before, h_before,
               h);
    check_that(memcmp(memory, copy, memory_words * sizeof(*memory)) == 0, "%s: a state has changed", before);
    check_that(strcmp(found, after) == 0, "block of %#" PRIx64 ", noise %u: %s becomes %s, %s expected",
               scene->frame, noise, before, found, after);
    tear_down();
}

/** Isolate the runs of at least `shortest` frames, whatever the noise. */
static void isolate(const struct scene *scene, const char *before, uint32_t shortest, const char *after)
{
    for (unsigned noise = 0; noise < NOISES; noise++)
        isolate_with(scene, before, shortest, after, noise);
}

/* --------------------------------------------------------------------------------------------------- room */

/** A run that needs room, at frame `from`. */
struct wanted {
    uint64_t from;
    uint64_t count;
};

static void expect_room(const struct frames_move *move, struct frames_work work, uint64_t begin, char *after)
{
    uint64_t at = move->to - begin - work.from;

    check_that(move->to >= begin + work.from && move->to + (move->count - 1) < begin + work.end,
               "room at %#" PRIx64 " is outside the work range", move->to);
    for (uint64_t i = 0; i < move->count; i++) {
        check_that(after[at + i] == (i == 0 ? 'R' : 'r'), "room at %" PRIu64 " is %c in the picture", at + i,
                   after[at + i]);
        after[at + i] = i == 0 ? 'T' : 't';
    }
}

static void add_wanted(const struct wanted *wanted, unsigned count)
{
    frames->compaction->count = 0;
    for (unsigned i = 0; i < count; i++)
        add_move(frames->compaction, wanted[i].from, wanted[i].count);
}

static void room_with(const struct scene *scene, const char *before, const struct wanted *wanted,
                      unsigned count, const char *after, unsigned noise)
{
    char found[FRAMES_MOST + 1];
    uint64_t taken = 0;

    set_up(scene, noise);
    uint32_t block = block_of(frames, zone, scene->frame);
    struct frames_work work = work_range(frames, zone, block);
    uint64_t h = draw(before, block, work);
    uint64_t h_before = h;
    memcpy(copy, memory, memory_words * sizeof(*memory));
    add_wanted(wanted, count);
    unsigned placed = kva_isolate_room(frames, zone, block, &h, 0);
    assert_true(placed <= count);
    expect_untouched(block, work);
    picture_of(found, block, work, h);
    for (unsigned i = 0; i < count; i++) {
        assert_true((frames->compaction->moves[i].to != KVA_NO_FRAME) == (i < placed));
        if (i < placed)
            expect_room(&frames->compaction->moves[i], work, first_frame(frames, zone, block), found);
        taken += i < placed ? wanted[i].count : 0;
    }
    frames->compaction->count = 0;
    check_that(strcmp(found, after) == 0, "block of %#" PRIx64 ", noise %u: %s becomes %s, %s expected",
               scene->frame, noise, before, found, after);
    check_that(free_of(h) == free_of(h_before) - taken && used_of(h) == used_of(h_before) + taken &&
                   (h & CONT_MASK) == (h_before & CONT_MASK),
               "header %#" PRIx64 " becomes %#" PRIx64, h_before, h);
    tear_down();
}

/** Look for room for runs, whatever the noise. */
static void room(const struct scene *scene, const char *before, const struct wanted *wanted, unsigned count,
                 const char *after)
{
    for (unsigned noise = 0; noise < NOISES; noise++)
        room_with(scene, before, wanted, count, after, noise);
}

#define ROOM(scene, before, after, ...)                                                                      \
    do {                                                                                                     \
        static const struct wanted wanted_[] = {__VA_ARGS__};                                                \
        room(scene, before, wanted_, sizeof(wanted_) / sizeof(wanted_[0]), after);                           \
    } while (0)

/* ----------------------------------------------------------------------------------------------- the rule */

/* A zone in blocks of 8 with both ends inside blocks: frames [0x1003, 0x101d). */
static const struct scene first_block = {0x1003, 0x101d, 3, 0x1003};
static const struct scene middle_block = {0x1003, 0x101d, 3, 0x1008};
static const struct scene last_block = {0x1003, 0x101d, 3, 0x101c};

static void ends_of_the_zone_inside_blocks(void **state)
{
    (void)state;
    isolate(&first_block, "RrR.r", 1, "IiI.r");
    isolate(&first_block, "Rrrrr", 1, "Iiiii");
    isolate(&middle_block, "RR.Rr.Rr", 1, "II.Ii.Ii");
    isolate(&last_block, "R.RrR", 1, "I.IiI");
    isolate(&last_block, "Rrrrr", 1, "Iiiii");
    ROOM(&first_block, "..RR.", "TTRRT", {0x1017, 1}, {0x1018, 1}, {0x1019, 1}, {0x101a, 1});
    ROOM(&last_block, ".RR..", "TRRTt", {0x1009, 1}, {0x100b, 2}, {0x100b, 1});
}

/* After the zone's last block, the next block has no frame of the zone, or there is no memory. */
static void nothing_comes_after_the_last_block(void **state)
{
    static const struct scene ends_with_a_block = {0x40, 0x140, 6, 0x13f};
    static const struct scene ends_inside = {0x40, 0x13f, 6, 0x13e};
    char picture[65];
    (void)state;

    memset(picture, 'r', 64);
    picture[0] = 'R';
    picture[64] = '\0';
    isolate(&ends_with_a_block, picture, 65, picture);
    memset(picture, '.', 64);
    picture[63] = 'R';
    isolate(&ends_with_a_block, picture, 2, picture);
    picture[62] = 'R';
    picture[63] = '\0';
    isolate(&ends_inside, picture, 2, picture);
}

/* Two zones in one block: the frame may lie in either. */
static void two_zones_in_a_block(void **state)
{
    static const struct scene low = {0x20, 0x2b, 3, 0x2a};
    static const struct scene high = {0x2b, 0x38, 3, 0x2b};
    static const struct scene middle = {0x2a, 0x2d, 3, 0x2b};
    (void)state;

    isolate(&low, "R.R", 1, "I.I");
    isolate(&low, ".Rr", 1, ".Ii");
    isolate(&high, "RrRrr", 1, "IiIii");
    isolate(&middle, "RRR", 1, "III");
    isolate(&middle, "Rrr", 1, "Iii");
    ROOM(&low, "R..", "RTt", {0x31, 2}, {0x31, 1});
    ROOM(&high, "..RR.", "TTRRT", {0x1, 1}, {0x2, 1}, {0x3, 1}, {0x4, 1});
    ROOM(&middle, "...", "...", {0x4, 4});
    ROOM(&middle, "...", "Tt.", {0x4, 2}, {0x6, 2});
}

static void runs_that_end_with_the_block_and_that_cross_it(void **state)
{
    static const struct scene scene = {0x1000, 0x1020, 3, 0x1008};
    (void)state;

    isolate(&scene, ".....Rrr", 1, ".....Iii");
    isolate(&scene, ".....Rrr>", 1, ".....Rrr");
    isolate(&scene, "R...R..R>", 1, "I...I..R");
    isolate(&scene, "rr..R..R", 1, "rr..I..I");
    isolate(&scene, "rrR..RRr>", 1, "rrI..IRr");
    isolate(&scene, "Rrrrrrrr", 1, "Iiiiiiii");
    isolate(&scene, "Rrrrrrrr>", 1, "Rrrrrrrr");
    isolate(&scene, "rrrrrrrr", 1, "rrrrrrrr");
    isolate(&scene, "rrrrrrrr>", 1, "rrrrrrrr");
    isolate(&scene, "rrrrrrrR", 1, "rrrrrrrI");
}

/* Free frames that continue in the next block are used up to the end of this one. */
static void room_that_ends_with_the_block(void **state)
{
    static const struct scene scene = {0x1000, 0x1020, 3, 0x1008};
    (void)state;

    ROOM(&scene, "RRRRR...", "RRRRRTtt", {0x1011, 3});
    ROOM(&scene, "RRRRR...", "RRRRR...", {0x1011, 4});
    ROOM(&scene, "RRRRRR..", "RRRRRRTt", {0x1012, 2}, {0x1014, 2});
    ROOM(&scene, "RRRRRRR.", "RRRRRRRT", {0x1012, 1}, {0x1013, 1});
    ROOM(&scene, "R.......", "R.......", {0x1010, 8});
    ROOM(&scene, ".......R>", "TttttttR", {0x1011, 7});
    ROOM(&scene, "........", "Tttttttt", {0x1010, 8}, {0x1011, 1});
}

static void a_hole_in_the_middle(void **state)
{
    static const struct scene scene = {0x1000, 0x1020, 3, 0x1008};
    (void)state;

    isolate(&scene, "RrR##RrR", 1, "IiI##IiI");
    isolate(&scene, "#RR##RR#", 1, "#II##II#");
    isolate(&scene, "rr####Rr>", 1, "rr####Rr");
    isolate(&scene, "########", 1, "########");
    ROOM(&scene, "R..##..R", "RTt##TtR", {0x1011, 2}, {0x1011, 2}, {0x1011, 1});
    ROOM(&scene, "...##...", "Ttt##Ttt", {0x1011, 3}, {0x1011, 3});
    ROOM(&scene, "R..##..R", "R..##..R", {0x1011, 3});
}

/* The first and the last frame of each block and of the zone are examined, and none twice. */
static void every_frame_is_examined(void **state)
{
    char before[FRAMES_MOST + 1];
    char after[FRAMES_MOST + 1];
    (void)state;

    for (unsigned order = 1; order <= 8; order++) {
        uint64_t size = UINT64_C(1) << order;
        for (uint64_t frame = size / 2; frame < 3 * size + (size + 1) / 2; frame += size / 2) {
            struct scene scene = {size / 2, 3 * size + (size + 1) / 2, order, frame};
            uint64_t from = frame / size * size < scene.start ? scene.start : frame / size * size;
            uint64_t end = (frame / size + 1) * size > scene.end ? scene.end : (frame / size + 1) * size;
            memset(before, 'R', (size_t)(end - from));
            memset(after, 'I', (size_t)(end - from));
            before[end - from] = after[end - from] = '\0';
            isolate(&scene, before, 1, after);
            memset(before, '.', (size_t)(end - from));
            memset(after, '.', (size_t)(end - from));
            before[0] = before[end - from - 1] = 'R';
            after[0] = after[end - from - 1] = 'I';
            isolate(&scene, before, 1, after);
        }
    }
}

static void short_runs_stay(void **state)
{
    static const struct scene scene = {0x1000, 0x1020, 4, 0x1010};
    (void)state;

    isolate(&scene, "RRrRrrRrrrR.RrRr", 2, "RIiIiiIiiiR.IiIi");
    isolate(&scene, "RRrRrrRrrrR.RrRr", 3, "RRrIiiIiiiR.RrRr");
    isolate(&scene, "RRrRrrRrrrR.RrRr", 4, "RRrRrrIiiiR.RrRr");
    isolate(&scene, "RRrRrrRrrrR.RrRr", 5, "RRrRrrRrrrR.RrRr");
}

/* A run keeps the alignment that it had, up to its length rounded up to a power of two. */
static void runs_keep_their_alignment(void **state)
{
    static const struct scene scene = {0x1000, 0x1020, 4, 0x1010};
    static const struct scene cut = {0x1003, 0x1020, 4, 0x1003};
    static const struct scene lowest = {0, 0x20, 4, 0x10};
    (void)state;

    ROOM(&scene, "R...............", "R...TtttTttt....", {0x1004, 4}, {0x1008, 4});
    ROOM(&scene, "R...............", "RTttt.TtttTttt..", {0x1001, 4}, {0x1002, 4}, {0x1006, 4});
    ROOM(&scene, "R...............", "R.TtTtt.........", {0x1002, 2}, {0x1006, 3});
    ROOM(&scene, "R...............", "RTt.Ttt.........", {0x1004, 3}, {0x1005, 2});
    ROOM(&scene, "R...............", "R.......Ttttt...", {0x1008, 5}, {0x1010, 5});
    ROOM(&lowest, "R...............", "R...Ttt.Ttt.....", {0, 3}, {0, 3});
    ROOM(&cut, ".............", ".TtttTttt....", {0x1014, 4}, {0x1018, 4});
    ROOM(&cut, "RRRRRRRRRR...", "RRRRRRRRRRTTT", {0x1014, 1}, {0x1018, 1}, {0x101c, 1}, {0x101d, 1});
}

/* ---------------------------------------------------------------------------------------------- at random */

/** The expected result of isolation, computed frame by frame. */
static void expect_isolated(const char *before, uint32_t count, uint32_t shortest, char *after)
{
    memcpy(after, before, count);
    after[count] = '\0';
    for (uint32_t i = 0; i < count; i++) {
        uint32_t end = i + 1;
        while (end < count && before[end] == 'r')
            end++;
        if (before[i] != 'R' || end - i < shortest || (end == count && before[count] == '>'))
            continue;
        memset(after + i, 'i', end - i);
        after[i] = 'I';
    }
}

/** A random zone, and a block of it; returns the number of frames of the work range. */
static uint32_t random_scene(struct scene *scene)
{
    scene->block_order = 1 + (unsigned)test_below(&rng, 8);
    uint64_t size = UINT64_C(1) << scene->block_order;
    scene->start = test_one_in(&rng, 4) ? UINT64_MAX - 4 * size : test_below(&rng, 3 * size);
    scene->end = scene->start + 1 + test_below(&rng, 4 * size);
    scene->frame = scene->start + test_below(&rng, scene->end - scene->start);
    uint64_t begin = scene->frame & ~(size - 1);
    uint64_t last = begin + (size - 1);
    begin = begin > scene->start ? begin : scene->start;
    last = last < scene->end ? last : scene->end - 1;
    return (uint32_t)(last - begin) + 1;
}

/** Runs, free frames and holes. The first run may begin in the previous block, the last one continue in
 *  the next. */
static void random_picture(const struct scene *scene, char *picture, uint32_t count)
{
    uint64_t size = UINT64_C(1) << scene->block_order;
    bool is_first = (scene->frame & ~(size - 1)) <= scene->start;
    bool is_last = (scene->frame | (size - 1)) >= scene->end - 1;
    uint64_t longest = 1 + test_below(&rng, 2 * size);
    char last = is_first ? '.' : 'r';

    for (uint32_t i = 0; i < count;) {
        char c = test_one_in(&rng, 2) ? 'R' : test_one_in(&rng, 5) ? '#' : '.';
        c = i == 0 && last == 'r' && test_one_in(&rng, 3) ? 'r' : c;
        uint64_t length = 1 + test_below(&rng, longest);
        for (uint32_t from = i; i < count && i - from < length; i++)
            picture[i] = c == 'R' && i > from ? 'r' : c;
    }
    bool goes_on = !is_last && is_run(picture[count - 1]) && test_one_in(&rng, 2);
    picture[count] = goes_on ? '>' : '\0';
    picture[count + goes_on] = '\0';
}

static void runs_at_random(void **state)
{
    char before[FRAMES_MOST + 2];
    char after[FRAMES_MOST + 1];
    (void)state;

    for (uint64_t turns = test_scaled(20000); turns > 0; turns--) {
        struct scene scene;
        uint32_t count = random_scene(&scene);
        uint32_t shortest = test_one_in(&rng, 2) ? 1 : 1 + (uint32_t)test_below(&rng, 9);
        random_picture(&scene, before, count);
        expect_isolated(before, count, shortest, after);
        isolate(&scene, before, shortest, after);
    }
}

/** The alignment of a run, up to its length rounded up to a power of two. */
static uint64_t own_alignment(const struct wanted *wanted)
{
    uint64_t align = 1;

    while (align < wanted->count && (wanted->from & align) == 0)
        align *= 2;
    return align;
}

/** The lowest place for a run in a picture; `count` if there is none. */
static uint32_t place_in(const char *picture, uint32_t count, uint64_t begin, const struct wanted *wanted)
{
    uint64_t align = own_alignment(wanted);
    for (uint32_t at = 0; wanted->count <= count && at <= count - wanted->count; at++) {
        uint32_t i = 0;
        while (i < wanted->count && picture[at + i] == '.')
            i++;
        if (i == wanted->count && ((begin + at) & (align - 1)) == 0)
            return at;
    }
    return count;
}

/** Place the runs one after the other, until one has no place. */
static void expect_rooms(const struct scene *scene, char *picture, uint32_t count,
                         const struct wanted *wanted, unsigned runs)
{
    uint64_t begin = scene->frame & ~((UINT64_C(1) << scene->block_order) - 1);

    begin = begin > scene->start ? begin : scene->start;
    for (unsigned i = 0; i < runs; i++) {
        uint32_t at = place_in(picture, count, begin, &wanted[i]);
        if (at == count)
            return;
        memset(picture + at, 't', (size_t)wanted[i].count);
        picture[at] = 'T';
    }
}

static void rooms_at_random(void **state)
{
    char before[FRAMES_MOST + 2];
    char after[FRAMES_MOST + 2];
    struct wanted wanted[BATCH_MOVES];
    (void)state;

    for (uint64_t turns = test_scaled(20000); turns > 0; turns--) {
        struct scene scene;
        uint32_t count = random_scene(&scene);
        unsigned runs = 1 + (unsigned)test_below(&rng, BATCH_MOVES);
        uint64_t longest = UINT64_C(1) << test_below(&rng, scene.block_order + 1);
        random_picture(&scene, before, count);
        for (unsigned i = 0; i < runs; i++)
            wanted[i] = (struct wanted){test_one_in(&rng, 8) ? 0 : test_below(&rng, 4096),
                                        1 + test_below(&rng, longest)};
        memcpy(after, before, sizeof(after));
        after[count] = '\0';
        expect_rooms(&scene, after, count, wanted, runs);
        room(&scene, before, wanted, runs, after);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_of_the_zone_inside_blocks),
        cmocka_unit_test(nothing_comes_after_the_last_block),
        cmocka_unit_test(two_zones_in_a_block),
        cmocka_unit_test(runs_that_end_with_the_block_and_that_cross_it),
        cmocka_unit_test(room_that_ends_with_the_block),
        cmocka_unit_test(a_hole_in_the_middle),
        cmocka_unit_test(every_frame_is_examined),
        cmocka_unit_test(short_runs_stay),
        cmocka_unit_test(runs_keep_their_alignment),
        cmocka_unit_test(runs_at_random),
        cmocka_unit_test(rooms_at_random),
    };
    rng = test_rng_of(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
