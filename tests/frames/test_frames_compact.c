/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Compaction by one thread: the number of moves, what the owner of a run may do meanwhile, and when a request
 * compacts. Every frame has a tag, its contents; the move callback moves the tags.
 */
#include "../../ports/test/failing_memory.h"
#include "../common/frames_model.h"

#include "frames/frames_set.h"

#include <stdlib.h>
#include <string.h>

enum { FRAMES_MOST = 4096, BASE = 0x40000 };

/** A set whose first zone begins at BASE, the contents of its frames, and the behaviour of their owner. */
static struct kva_failing_memory set_memory; /* malloc, on any host */
static struct kva_frames *frames;
static unsigned tags[FRAMES_MOST]; /* 0: not in use */
static bool is_pinned[FRAMES_MOST];
static struct {
    unsigned asked;
    unsigned moved;
    uint64_t last_from;
    /** NULL: move all runs that are not pinned. */
    enum kva_frames_moved (*act)(uint64_t from, uint64_t to, uint64_t count);
} owner;
static unsigned misuses;
static struct test_rng rng;

static void note_misuse(void *context, const struct kva_fault *fault)
{
    (void)context;
    (void)fault;
    misuses++;
}

static unsigned *tag_of(uint64_t frame)
{
    check_that(frame >= BASE && frame < BASE + FRAMES_MOST, "frame %#" PRIx64 " is outside the set", frame);
    return &tags[frame - BASE];
}

/** Move the contents to frames without contents. */
static enum kva_frames_moved move_tags(uint64_t from, uint64_t to, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        check_that(*tag_of(from + i) != 0 && *tag_of(to + i) == 0,
                   "%#" PRIx64 " must be in use and %#" PRIx64 " free for a move", from + i, to + i);
        *tag_of(to + i) = *tag_of(from + i);
        *tag_of(from + i) = 0;
    }
    owner.moved++;
    return KVA_FRAMES_MOVED;
}

static enum kva_frames_moved move(void *context, uint64_t from, uint64_t to, uint64_t count)
{
    assert_ptr_equal(context, &owner);
    owner.asked++;
    owner.last_from = from;
    if (is_pinned[from - BASE])
        return KVA_FRAMES_PINNED;
    return owner.act ? owner.act(from, to, count) : move_tags(from, to, count);
}

static void create(const struct kva_frames_config *wanted)
{
    struct kva_frames_config config = *wanted;

    memset(tags, 0, sizeof(tags));
    memset(is_pinned, 0, sizeof(is_pinned));
    memset(&owner, 0, sizeof(owner));
    misuses = 0;
    config.memory = kva_failing_memory_init(&set_memory);
    config.move = move;
    config.move_context = &owner;
    config.on_misuse = note_misuse;
    assert_int_equal(kva_frames_create(&config, &frames), KVA_OK);
}

/** A set of one zone of `blocks` blocks. */
static void create_zone(unsigned block_order, uint64_t blocks)
{
    struct kva_frames_zone zone = {BASE, BASE + (blocks << block_order), 0};

    create(&(struct kva_frames_config){.zones = &zone, .zone_count = 1, .block_order = block_order});
}

static void destroy(void)
{
    struct kva_fault fault;

    for (size_t z = 0; z < frames->zone_count; z++) {
        for (uint32_t block = 0; block < frames->zones[z].rows.blocks; block++)
            assert_true((block_header(&frames->zones[z].headers[block]) & MOVING_MASK) == 0);
    }
    check_that(kva_frames_check(frames, &fault) == KVA_OK, "%s at %#" PRIx64, fault.what, fault.address);
    assert_int_equal(kva_frames_destroy(frames), KVA_OK);
}

/** Reserve frames as one movable run. */
static void use(uint64_t first, uint64_t count)
{
    assert_int_equal(kva_frames_reserve(frames, first, count, KVA_MOVABLE, NULL), KVA_OK);
    for (uint64_t i = 0; i < count; i++)
        *tag_of(first + i) = (unsigned)(first - BASE) + 1;
}

/** Reserve the runs of a picture, from a frame on: Rr: a movable run; U: an unmovable one. */
static void draw(uint64_t first, const char *picture)
{
    for (uint64_t i = 0; picture[i] != '\0'; i++) {
        uint64_t count = 1;
        while (picture[i] == 'R' && picture[i + count] == 'r')
            count++;
        if (picture[i] == 'R')
            use(first + i, count);
        else if (picture[i] == 'U')
            assert_int_equal(kva_frames_reserve(frames, first + i, 1, KVA_UNMOVABLE, NULL), KVA_OK);
    }
}

/** The frames from `first` on look like the picture. */
static void expect_drawn(uint64_t first, const char *picture, int line)
{
    char found[257];
    size_t count = strlen(picture);

    for (size_t i = 0; i < count; i++) {
        struct kva_frames_found what;
        assert_int_equal(kva_frames_find(frames, first + i, &what), KVA_OK);
        found[i] = what.state == KVA_FRAMES_FREE ? '.' : what.state == KVA_FRAMES_ABSENT ? '#' : 'r';
        if (what.state == KVA_FRAMES_USED && what.first == first + i)
            found[i] = what.type == KVA_MOVABLE ? 'R' : 'U';
    }
    found[count] = '\0';
    check_that(strcmp(found, picture) == 0, "line %d: found %s, expected %s", line, found, picture);
}

#define expect_picture(first, picture) expect_drawn(first, picture, __LINE__)

static struct kva_frames_compacted compact(unsigned order, uint64_t most)
{
    struct kva_frames_compacted done;
    unsigned asked = owner.asked, moved = owner.moved;

    assert_int_equal(kva_frames_compact(frames, 0, order, most, &done), KVA_OK);
    assert_int_equal(done.moved_runs, owner.moved - moved);
    assert_true(done.pinned_runs <= owner.asked - asked - done.moved_runs);
    return done;
}

static uint64_t free_blocks(void)
{
    struct kva_frames_stats stats;

    assert_int_equal(kva_frames_stats_read(frames, KVA_FRAMES_ALL_ZONES, &stats), KVA_OK);
    return stats.free_blocks;
}

/** Frames in use have contents, free ones have none. Returns the sum of the tags. */
static uint64_t sum_of_tags(uint64_t count)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < count; i++) {
        struct kva_frames_found found;
        assert_int_equal(kva_frames_find(frames, BASE + i, &found), KVA_OK);
        check_that((found.state == KVA_FRAMES_USED) == (tags[i] != 0), "frame %" PRIu64 ": state %d, tag %u",
                   i, (int)found.state, tags[i]);
        sum += tags[i];
    }
    return sum;
}

/** The blocks marked to be skipped, as a set of bits. */
static unsigned skipped_blocks(void)
{
    unsigned set = 0;

    for (uint32_t block = 0; block < frames->zones[0].rows.blocks; block++)
        set |= (unsigned)((block_header(&frames->zones[0].headers[block]) & SKIP_MASK) != 0) << block;
    return set;
}

/* --------------------------------------------------------------------------------------- the fewest moves */

enum { BLOCKS = 24 };

static int compare_counts(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

    return x < y ? -1 : x > y;
}

/** The best result that compaction of single frames can have. */
struct best {
    uint64_t moves;
    uint64_t free_blocks;
};

/** Reserve frames at random, in some blocks more than in others. Compaction is best if it keeps the
 *  fullest blocks, as few as can hold all frames in use. */
static struct best use_some(unsigned block_order)
{
    unsigned used[BLOCKS] = {0}, size = 1U << block_order, sum = 0;
    struct best best = {0};

    for (unsigned block = 0; block < BLOCKS; block++) {
        uint64_t full = test_one_in(&rng, 4) ? 0 : 1 + test_below(&rng, 4);
        for (unsigned i = 0; i < size; i++) {
            if (test_below(&rng, 5) >= full)
                continue;
            use(BASE + (uint64_t)block * size + i, 1);
            used[block]++;
        }
        sum += used[block];
    }
    qsort(used, BLOCKS, sizeof(used[0]), compare_counts);
    best.free_blocks = BLOCKS - (sum + size - 1) / size;
    for (unsigned block = 0; block < best.free_blocks; block++)
        best.moves += used[block];
    return best;
}

static void single_frames_take_the_fewest_moves(void **state)
{
    (void)state;
    for (uint64_t turns = test_scaled(300); turns > 0; turns--) {
        unsigned order = 1 + (unsigned)test_below(&rng, 7);
        create_zone(order, BLOCKS);
        struct best best = use_some(order);
        uint64_t before = free_blocks();
        uint64_t sum = sum_of_tags((uint64_t)BLOCKS << order);
        struct kva_frames_compacted done = compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
        check_that(done.moved_frames == best.moves, "%" PRIu64 " moves, %" PRIu64 " expected",
                   done.moved_frames, best.moves);
        check_that(free_blocks() == best.free_blocks, "%" PRIu64 " free blocks, %" PRIu64 " expected",
                   free_blocks(), best.free_blocks);
        assert_int_equal(done.freed_blocks, best.free_blocks - before);
        assert_true(done.is_finished && done.pinned_runs == 0);
        assert_int_equal(sum_of_tags((uint64_t)BLOCKS << order), sum);
        done = compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
        assert_true(done.moved_frames == 0 && done.is_finished);
        destroy();
    }
}

/* Compaction in slices takes as many moves, and frees as many blocks. */
static void slices_reach_the_result_of_one_call(void **state)
{
    static const uint64_t slices[] = {1, 7, 100};
    (void)state;

    for (uint64_t turn = 0; turn < test_scaled(90); turn++) {
        uint64_t slice = slices[turn % 3], moves = 0;
        bool is_finished = false;
        create_zone(5, BLOCKS);
        struct best best = use_some(5);
        for (unsigned calls = 0; !is_finished; calls++) {
            struct kva_frames_compacted done = compact(KVA_FRAMES_ALL_BLOCKS, slice);
            check_that(done.moved_frames <= slice, "%" PRIu64 " moves in a slice of %" PRIu64,
                       done.moved_frames, slice);
            check_that(done.is_finished == (done.moved_frames < slice),
                       "is_finished is %d after %" PRIu64 " moves in a slice of %" PRIu64, done.is_finished,
                       done.moved_frames, slice);
            moves += done.moved_frames;
            is_finished = done.is_finished;
            assert_true(calls <= best.moves);
        }
        check_that(moves == best.moves && free_blocks() == best.free_blocks,
                   "slices of %" PRIu64 ": %" PRIu64 " moves, %" PRIu64 " expected; %" PRIu64
                   " free blocks, %" PRIu64 " expected",
                   slice, moves, best.moves, free_blocks(), best.free_blocks);
        destroy();
    }
}

/** Pin some of the frames in use. Blocks with pinned frames stay in use, so fewer can become free. */
static struct best pin_some(unsigned block_order, unsigned one_in, struct best best)
{
    unsigned used[BLOCKS] = {0}, loose = 0;

    for (unsigned block = 0; block < BLOCKS; block++) {
        bool keeps = false;
        used[loose] = 0;
        for (unsigned i = block << block_order; i < (block + 1) << block_order; i++) {
            used[loose] += tags[i] != 0;
            is_pinned[i] = tags[i] != 0 && test_one_in(&rng, one_in);
            keeps = keeps || is_pinned[i];
        }
        loose += !keeps;
    }
    qsort(used, loose, sizeof(used[0]), compare_counts);
    if (loose < best.free_blocks)
        best.free_blocks = loose;
    best.moves = 0;
    for (unsigned block = 0; block < best.free_blocks; block++)
        best.moves += used[block];
    return best;
}

/* One frame in a hundred is pinned. The fewest moves are those of an owner that knows which. Some frames
 * are moved in vain, and some twice. */
static void pinned_frames_cost_few_moves(void **state)
{
    uint64_t moves = 0, fewest = 0;
    (void)state;

    for (uint64_t turns = 20 + test_scaled(40); turns > 0; turns--) {
        create_zone(5, BLOCKS);
        struct best best = pin_some(5, 100, use_some(5));
        uint64_t before = free_blocks();
        struct kva_frames_compacted done = compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
        assert_true(done.is_finished);
        assert_int_equal(done.freed_blocks, free_blocks() - before);
        assert_int_equal(free_blocks(), best.free_blocks);
        moves += done.moved_frames;
        fewest += best.moves;
        destroy();
    }
    print_message("%" PRIu64 " moves; at least %" PRIu64 " needed\n", moves, fewest);
    check_that(moves * 2 <= fewest * 3, "%" PRIu64 " moves, more than 3/2 of the necessary %" PRIu64, moves,
               fewest);
}

/* A pinned run keeps the emptiest block in use, so another block is emptied into it. */
static void a_pinned_block_becomes_a_target(void **state)
{
    static const unsigned moves[] = {3, 1 + 3, 2};
    (void)state;

    for (unsigned pinned = 0; pinned < 3; pinned++) {
        create_zone(3, 3);
        draw(BASE, "R.......R.......RR......");
        is_pinned[8 * pinned] = true;
        struct kva_frames_compacted done = compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
        assert_true(done.is_finished && done.freed_blocks == 2);
        assert_int_equal(done.moved_frames, moves[pinned]);
        assert_int_equal(done.pinned_runs, pinned < 2);
        done = compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
        assert_true(done.moved_frames == 0 && done.pinned_runs == 0 && done.is_finished);
        destroy();
    }
}

/* Three of twelve equally full blocks have no pinned frame (P: pinned). At their turn, there is room only
 * in blocks that are sources as well, and not fuller. */
static void pinned_blocks_among_equally_full_ones(void **state)
{
    static const char picture[] = "RPP.RPP.PRR.RRR.PPR.PPP.PPR.RRR.RRP.RRR.RRP.RPR.";
    (void)state;

    create_zone(2, 12);
    for (unsigned i = 0; i < sizeof(picture) - 1; i++) {
        if (picture[i] != '.')
            use(BASE + i, 1);
        is_pinned[i] = picture[i] == 'P';
    }
    struct kva_frames_compacted done = compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
    assert_true(done.is_finished);
    assert_int_equal(done.freed_blocks, 3);
    destroy();
}

/** Compact in slices to the end; returns the number of moves. */
static uint64_t compact_to_the_end(uint64_t slice)
{
    uint64_t moves = 0;
    struct kva_frames_compacted done;

    do {
        done = compact(KVA_FRAMES_ALL_BLOCKS, slice);
        moves += done.moved_frames;
    } while (!done.is_finished);
    return moves;
}

/* However many runs are pinned, only blocks with pinned frames stay in use, and as many more as the frames
 * in use need: single frames fit wherever a frame is free. Another call frees no more blocks. */
static void only_blocks_with_pinned_frames_stay(void **state)
{
    static const uint64_t slices[] = {UINT64_MAX, UINT64_MAX, 1, 10};
    static const unsigned one_in[] = {2, 10, 40, 150, 500};
    (void)state;

    for (uint64_t turn = 0, turns = test_scaled(400); turn < turns; turn++) {
        unsigned order = 1 + (unsigned)test_below(&rng, 7);
        create_zone(order, BLOCKS);
        struct best best = pin_some(order, one_in[turn % 5], use_some(order));
        uint64_t sum = sum_of_tags((uint64_t)BLOCKS << order);
        uint64_t moves = compact_to_the_end(slices[turn % 4]);
        check_that(free_blocks() == best.free_blocks,
                   "turn %" PRIu64 ", order %u: %" PRIu64 " free blocks, %" PRIu64 " expected; %" PRIu64
                   " moves",
                   turn, order, free_blocks(), best.free_blocks, moves);
        assert_int_equal(sum_of_tags((uint64_t)BLOCKS << order), sum);
        assert_int_equal(compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX).freed_blocks, 0);
        assert_int_equal(skipped_blocks(), 0);
        destroy();
    }
}

/* ----------------------------------------------------------------------------------- the rule, as a whole */

/* Unmovable runs, and runs that cross the end of their block, stay; moved runs keep their alignment. */
static void unmovable_and_crossing_runs_stay(void **state)
{
    (void)state;
    create_zone(3, 4);
    draw(BASE, "RU......R...RR......RRRR");
    assert_int_equal(compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX).moved_frames, 3);
    expect_picture(BASE, "UU..............RRR.RRRR........");
    destroy();

    create_zone(3, 4);
    draw(BASE, "..Rr....RRRRR...Rrrrrrrr.......R");
    draw(BASE, "");
    (void)compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
    expect_picture(BASE, "........RRRRRR"
                         "RrRrrrrrrr........");
    destroy();
}

/* A run that continues in the next block keeps its block in use, and the owner is not asked to move it. */
static void a_crossing_run_keeps_its_block_in_use(void **state)
{
    (void)state;
    create_zone(2, 4);
    draw(BASE, "R.RrrR..R.RRR...");
    (void)compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
    struct kva_frames_found found;
    assert_int_equal(kva_frames_find(frames, BASE + 3, &found), KVA_OK);
    assert_true(found.first == BASE + 2 && found.count == 3);
    assert_int_equal(free_blocks(), 1);
    destroy();
}

/** The marks at the moment when the owner is asked to move a run. */
static unsigned skipped_before;

static enum kva_frames_moved look_at_hints(uint64_t from, uint64_t to, uint64_t count)
{
    skipped_before = skipped_blocks();
    return move_tags(from, to, count);
}

/* A block is marked only after all of it has been examined; at the end no block is marked. */
static void skip_marks_are_set_last_and_cleared(void **state)
{
    (void)state;
    create_zone(3, 4);
    draw(BASE, "R.......RR......RRRRRRR.RRRRRR..");
    owner.act = look_at_hints;
    is_pinned[0] = true;
    struct kva_frames_compacted done = compact(KVA_FRAMES_ALL_BLOCKS, 1);
    assert_int_equal(skipped_before, 1);
    assert_true(!done.is_finished && done.pinned_runs == 1 && owner.asked >= 2);
    check_that((skipped_blocks() & 1) != 0, "hints %#x", skipped_blocks());
    unsigned asked = owner.asked;
    done = compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
    assert_true(done.is_finished && done.pinned_runs == 0);
    assert_int_equal(owner.asked - asked, done.moved_runs);
    assert_int_equal(skipped_blocks(), 0);
    assert_int_equal(compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX).pinned_runs, 0);
    destroy();
}

/* A slice that ends inside a block does not mark it. */
static void skip_marks_wait_for_the_end_of_the_block(void **state)
{
    char picture[257];
    (void)state;

    memset(picture, '.', 256);
    for (unsigned block = 0; block < 4; block++)
        memset(picture + (size_t)64 * block, 'R', block == 2 ? 40 : 41);
    picture[256] = '\0';
    create_zone(6, 4);
    draw(BASE, picture);
    struct kva_frames_compacted done = compact(KVA_FRAMES_ALL_BLOCKS, 1);
    assert_true(!done.is_finished && owner.moved > 0 && owner.moved < 40);
    assert_int_equal(skipped_blocks(), 0);
    destroy();
}

/* A block with a run that stays is not emptied further, because the other moves would be in vain. The
 * owner has by then been asked for the runs of the same batch. */
static void a_run_that_stays_ends_work_on_its_block(void **state)
{
    (void)state;
    create_zone(7, 3);
    for (uint64_t i = 0; i < 3 * 128; i += 2)
        use(BASE + i, 1);
    for (uint64_t i = 0; i < 3 * 128; i += 128)
        is_pinned[i] = true;
    struct kva_frames_compacted done = compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
    assert_true(done.is_finished && done.pinned_runs > 0 && done.freed_blocks == 0);
    check_that(owner.asked <= 3 * 32, "the owner was asked %u times, at most %u expected", owner.asked,
               3 * 32);
    destroy();
}

/* ---------------------------------------------------------------------------------- what the owner may do */

/** A block with two runs, which fit into the second block. */
static void create_one_to_move(void)
{
    create_zone(3, 3);
    draw(BASE, "Rr......RrRR....");
}

static enum kva_frames_moved stay_busy(uint64_t from, uint64_t to, uint64_t count)
{
    (void)from, (void)to, (void)count;
    return KVA_FRAMES_BUSY;
}

static enum kva_frames_moved stay_gone(uint64_t from, uint64_t to, uint64_t count)
{
    (void)from, (void)to, (void)count;
    return KVA_FRAMES_GONE;
}

/* Runs that stay are unchanged; busy ones count as pinned, gone ones do not. */
static void runs_that_stay_are_unchanged(void **state)
{
    (void)state;
    create_one_to_move();
    memset(is_pinned, true, sizeof(is_pinned));
    assert_int_equal(compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX).pinned_runs, 4);
    memset(is_pinned, false, sizeof(is_pinned));
    owner.act = stay_busy;
    assert_int_equal(compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX).pinned_runs, 4);
    owner.act = stay_gone;
    assert_int_equal(compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX).pinned_runs, 0);
    assert_int_equal(owner.asked, 4 + 4 + 1);
    expect_picture(BASE, "Rr......RrRR............");
    owner.act = NULL;
    assert_int_equal(compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX).moved_frames, 2);
    expect_picture(BASE, "........RrRRRr..........");
    destroy();
}

static enum kva_frames_moved outcome_after_free;

/** Free the run that is being moved: this succeeds once, and only as a whole. */
static enum kva_frames_moved give_back(uint64_t from, uint64_t to, uint64_t count)
{
    struct kva_frames_found found;
    size_t done;

    assert_int_equal(kva_frames_find(frames, from + count - 1, &found), KVA_OK);
    assert_true(found.state == KVA_FRAMES_USED && found.first == from && found.count == count);
    assert_int_equal(kva_frames_find(frames, to, &found), KVA_OK);
    assert_true(found.state == KVA_FRAMES_USED && found.first == to && found.count == count);
    assert_int_equal(kva_frames_free_range(frames, from, 1), KVA_EBUSY);
    assert_int_equal(kva_frames_free_range(frames, from + count - 1, 1), KVA_EBUSY);
    assert_int_equal(kva_frames_free_range(frames, from, count), KVA_EBUSY);
    assert_int_equal(kva_frames_split(frames, from), KVA_EBUSY);
    assert_int_equal(misuses, 0);
    assert_int_equal(kva_frames_free(frames, from), KVA_OK);
    assert_int_equal(misuses, 0);
    assert_int_equal(kva_frames_free(frames, from), KVA_EDOUBLE);
    assert_int_equal(kva_frames_free_many(frames, &from, 1, &done), KVA_EDOUBLE);
    assert_int_equal(kva_frames_split(frames, from), KVA_EDOUBLE);
    assert_int_equal(misuses, 3);
    assert_int_equal(kva_frames_find(frames, from, &found), KVA_OK);
    assert_int_equal(found.state, KVA_FRAMES_USED);
    assert_int_equal(kva_frames_free(frames, from + 1), KVA_EINTERIOR);
    return outcome_after_free;
}

static void runs_freed_while_they_are_moved(void **state)
{
    (void)state;
    for (int outcome = KVA_FRAMES_PINNED; outcome <= KVA_FRAMES_GONE; outcome++) {
        create_one_to_move();
        owner.act = give_back;
        outcome_after_free = (enum kva_frames_moved)outcome;
        struct kva_frames_compacted done = compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
        assert_int_equal(owner.asked, 1);
        assert_int_equal(done.pinned_runs, 0); /* it has left its block anyway */
        assert_int_equal(done.freed_blocks, 1);
        expect_picture(BASE, "........RrRR............");
        assert_int_equal(kva_frames_free(frames, BASE), KVA_EDOUBLE);
        destroy();
    }
}

static enum kva_frames_moved give_others_back(uint64_t from, uint64_t to, uint64_t count)
{
    if (owner.asked == 1) { /* free one isolated run and one other, as a list */
        uint64_t firsts[] = {BASE + 3, BASE + 8};
        size_t done;
        assert_int_equal(kva_frames_free_many(frames, firsts, 2, &done), KVA_OK);
        assert_int_equal(done, 2);
        return move_tags(from, to, count);
    }
    return from == BASE + 3 ? KVA_FRAMES_GONE : move_tags(from, to, count);
}

/* Other runs of the batch, and runs of other blocks, are freed meanwhile. */
static void runs_freed_before_their_turn(void **state)
{
    (void)state;
    create_zone(3, 2);
    draw(BASE, "R..R.R..RRRR....");
    owner.act = give_others_back;
    struct kva_frames_compacted done = compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
    assert_true(done.moved_runs == 2 && done.pinned_runs == 0 && done.freed_blocks == 1);
    struct kva_frames_stats stats;
    assert_int_equal(kva_frames_stats_read(frames, KVA_FRAMES_ALL_ZONES, &stats), KVA_OK);
    assert_true(stats.used_frames == 5 && stats.moved_runs == 2 && stats.moved_frames == 2);
    expect_picture(BASE, "........");
    destroy();
}

static enum kva_frames_moved call_the_set(uint64_t from, uint64_t to, uint64_t count)
{
    struct kva_frames_request one = {.type = KVA_MOVABLE, .flags = KVA_FRAMES_COMPACT};
    struct kva_frames_request group = {.order = 3, .type = KVA_MOVABLE, .flags = KVA_FRAMES_COMPACT};
    struct kva_frames_stats stats;
    uint64_t first;

    assert_int_equal(kva_frames_compact(frames, 0, 0, 1, NULL), KVA_EREENTRY);
    assert_int_equal(misuses, 1);
    assert_int_equal(kva_frames_alloc(frames, &one, &first), KVA_OK);
    assert_int_equal(kva_frames_free(frames, first), KVA_OK);
    assert_int_equal(kva_frames_alloc(frames, &group, &first), KVA_ENOSPC);
    assert_int_equal(owner.asked, 1);
    assert_int_equal(kva_frames_stats_read(frames, 0, &stats), KVA_OK);
    assert_int_equal(kva_frames_drain(frames), KVA_OK);
    assert_int_equal(kva_frames_check(frames, NULL), KVA_OK);
    return move_tags(from, to, count);
}

/* The callback may call the set, except to compact. */
static void the_owner_calls_the_set(void **state)
{
    (void)state;
    create_zone(3, 2);
    draw(BASE, "Rr......RrRR....");
    owner.act = call_the_set;
    assert_int_equal(compact(KVA_FRAMES_ALL_BLOCKS, UINT64_MAX).freed_blocks, 1);
    assert_int_equal(owner.asked, 1);
    destroy();
}

/* ---------------------------------------------------------------------------------------- the call itself */

static void without_a_move_callback(void **state)
{
    struct kva_frames_zone zone = {BASE, BASE + 32, 0};
    struct kva_frames_config config = {.zones = &zone,
                                       .zone_count = 1,
                                       .block_order = 3,
                                       .memory = kva_failing_memory_init(&set_memory),
                                       .on_misuse = note_misuse};
    struct kva_frames_request group = {.order = 3, .flags = KVA_FRAMES_COMPACT};
    struct kva_frames_compacted done = {.moved_runs = 77};
    uint64_t first;
    (void)state;

    misuses = 0;
    assert_int_equal(kva_frames_create(&config, &frames), KVA_OK);
    assert_int_equal(kva_frames_compact(frames, 0, 3, UINT64_MAX, &done), KVA_ENOENT);
    assert_int_equal(done.moved_runs, 77);
    for (uint64_t i = 0; i < 32; i += 4)
        assert_int_equal(kva_frames_reserve(frames, BASE + i, 1, KVA_MOVABLE, NULL), KVA_OK);
    assert_int_equal(kva_frames_alloc(frames, &group, &first), KVA_ENOSPC);
    assert_int_equal(misuses, 0);
    destroy();
}

static void wrong_arguments(void **state)
{
    struct kva_frames_compacted done = {.moved_runs = 77};
    (void)state;

    create_zone(3, 2);
    assert_int_equal(kva_frames_compact(NULL, 0, 0, 1, &done), KVA_ENULL);
    assert_int_equal(misuses, 0);
    assert_int_equal(kva_frames_compact(frames, 1, 0, 1, &done), KVA_EINVAL);
    assert_int_equal(kva_frames_compact(frames, SIZE_MAX - 1, 0, 1, &done), KVA_EINVAL);
    assert_int_equal(kva_frames_compact(frames, 0, 4, 1, &done), KVA_EINVAL);
    assert_int_equal(kva_frames_compact(frames, 0, KVA_FRAMES_ALL_BLOCKS - 1, 1, &done), KVA_EINVAL);
    assert_int_equal(misuses, 4);
    assert_int_equal(done.moved_runs, 77);
    assert_int_equal(kva_frames_compact(frames, KVA_FRAMES_ALL_ZONES, 3, 1, NULL), KVA_OK);
    destroy();
}

/* The set takes all its memory at once. When that fails, nothing remains allocated. */
static void no_memory(void **state)
{
    struct kva_failing_memory memory;
    struct kva_frames_zone zone = {BASE, BASE + 64, 0};
    struct kva_frames_config config = {.zones = &zone, .zone_count = 1, .block_order = 3, .move = move};
    struct kva_frames *set = NULL;
    (void)state;

    config.memory = kva_failing_memory_init(&memory);
    kva_failing_memory_fail(&memory, 1, true);
    assert_int_equal(kva_frames_create(&config, &set), KVA_ENOMEM);
    assert_null(set);
    kva_failing_memory_fail(&memory, 2, true);
    assert_int_equal(kva_frames_create(&config, &set), KVA_OK);
    assert_int_equal(kva_frames_reserve(set, BASE, 1, KVA_MOVABLE, NULL), KVA_OK);
    assert_int_equal(kva_frames_compact(set, 0, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX, NULL), KVA_OK);
    assert_int_equal(kva_frames_destroy(set), KVA_OK);
    assert_int_equal(memory.takes, 2);
    assert_int_equal(memory.blocks, 0);
}

/* For one group only the emptiest block is emptied. */
static void one_group_empties_one_block(void **state)
{
    (void)state;
    create_zone(3, 4);
    draw(BASE, "R.R.R.R.R.R.R.RRR.R...R.RRR.R.R.");
    struct kva_frames_compacted done = compact(3, UINT64_MAX);
    assert_true(done.moved_frames == 3 && done.freed_blocks == 1 && done.is_finished);
    expect_picture(BASE + 16, "........");
    done = compact(3, UINT64_MAX);
    assert_true(done.moved_frames == 0 && done.is_finished);
    destroy();
}

/* A smaller group is free before its block is empty. */
static void a_smaller_group_ends_compaction_early(void **state)
{
    (void)state;
    create_zone(7, 3);
    for (uint64_t i = 0; i < 3 * 128; i += 2)
        use(BASE + i, 1);
    struct kva_frames_compacted done = compact(2, UINT64_MAX);
    assert_true(done.is_finished && done.moved_frames > 0 && done.freed_blocks == 0);
    struct kva_frames_request group = {.order = 2, .type = KVA_MOVABLE};
    uint64_t first;
    assert_int_equal(kva_frames_alloc(frames, &group, &first), KVA_OK);
    destroy();
}

/* A zone is given by its index in the configuration, which is not the order of frames; or all zones. */
static void zones_by_their_index(void **state)
{
    static const struct kva_frames_zone zones[] = {{BASE + 24, BASE + 48, 0}, {BASE, BASE + 24, 0}};
    static const struct kva_frames_config config = {.zones = zones, .zone_count = 2, .block_order = 3};
    struct kva_frames_compacted done;
    (void)state;

    create(&config);
    draw(BASE, "R.......RR......RRR.....R.R.R...RR..R.R.RR..R.R.");
    assert_int_equal(kva_frames_compact(frames, 1, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX, &done), KVA_OK);
    assert_true(done.moved_frames == 3 && done.freed_blocks == 2 && done.is_finished);
    expect_picture(BASE + 24, "R.R.R...RR..R.R.RR..R.R.");
    assert_int_equal(kva_frames_compact(frames, 0, 3, UINT64_MAX, &done), KVA_OK);
    assert_true(done.moved_frames == 3 && done.freed_blocks == 1 && owner.last_from == BASE + 28);
    destroy();

    create(&config);
    draw(BASE, "R.R.R.R.RR..R.R.RR..R.R.R.R.R.R.RR..R.R.RR..R...");
    assert_int_equal(kva_frames_compact(frames, KVA_FRAMES_ALL_ZONES, 3, UINT64_MAX, &done), KVA_OK);
    assert_true(done.freed_blocks == 1 && done.is_finished);
    destroy();

    create(&config);
    draw(BASE, "RR......RRR.....RRRR....RR......RRR.....RRRR....");
    for (uint64_t calls = 1; calls <= 3; calls++) {
        assert_int_equal(kva_frames_compact(frames, KVA_FRAMES_ALL_ZONES, KVA_FRAMES_ALL_BLOCKS, 2, &done),
                         KVA_OK);
        assert_true(done.moved_frames == (calls < 3 ? 2 : 0) && done.is_finished == (calls == 3));
    }
    assert_int_equal(free_blocks(), 2);
    destroy();
}

/* A target has less contiguous room than its counts promise. Smaller runs use the rest of it. */
static void less_contiguous_room_than_counted(void **state)
{
    (void)state;
    create_zone(4, 3);
    draw(BASE, "....RRRRRRRRRRRRRRRR....RRRRRRRRR...Rrrr...R....");
    struct kva_frames_compacted done = compact(4, UINT64_MAX);
    assert_true(done.moved_frames == 6 && done.freed_blocks == 1);
    expect_picture(BASE, "RR..RRRRRRRRRRRRRRRRRrrrRRRRRRRR................");
    destroy();
}

/* ------------------------------------------------------------------------------------------ for a request */

static enum kva_status request(unsigned order, uint64_t count, unsigned flags, uint64_t *first)
{
    struct kva_frames_request r = {.order = order, .count = count, .type = KVA_MOVABLE, .flags = flags};

    return kva_frames_alloc(frames, &r, first);
}

static void requests_compact_instead_of_failing(void **state)
{
    uint64_t first;
    (void)state;

    create_zone(3, 4);
    draw(BASE, "R.R.R.R.R.R.R.RRR.R...R.RRR.R.R.");
    assert_int_equal(request(3, 0, 0, &first), KVA_ENOSPC);
    assert_int_equal(owner.asked, 0);
    assert_int_equal(request(0, 0, KVA_FRAMES_COMPACT, &first), KVA_OK);
    assert_int_equal(kva_frames_free(frames, first), KVA_OK);
    assert_int_equal(owner.asked, 0);
    assert_int_equal(request(3, 0, KVA_FRAMES_COMPACT, &first), KVA_OK);
    assert_int_equal(owner.moved, 3);
    destroy();

    create_zone(3, 4);
    draw(BASE, "R.R.R.R.R.R.R.RRR.R...R.RRR.R.R.");
    assert_int_equal(request(0, 5, 0, &first), KVA_ENOSPC);
    assert_int_equal(request(0, 5, KVA_FRAMES_COMPACT, &first), KVA_OK);
    destroy();
}

/* The emptied block lies in the window; targets lie anywhere in the zone. */
static void requests_with_a_window(void **state)
{
    uint64_t first;
    struct kva_frames_request r = {
        .order = 3, .type = KVA_MOVABLE, .min = BASE + 7, .max = BASE + 24, .flags = KVA_FRAMES_COMPACT};
    (void)state;

    create_zone(3, 4);
    draw(BASE, "R.......RR..RR..R.RR..R.R...R...");
    assert_int_equal(kva_frames_free(frames, BASE), KVA_OK);
    *tag_of(BASE) = 0;
    use(BASE, 1);
    assert_int_equal(kva_frames_alloc(frames, &r, &first), KVA_OK);
    check_that(first == BASE + 8 || first == BASE + 16, "a run in the window expected, %#" PRIx64 " found",
               first);
    assert_int_equal(owner.moved, 4);
    r.min = BASE + 9;
    r.max = BASE + 15;
    assert_int_equal(kva_frames_alloc(frames, &r, &first), KVA_ENOSPC);
    assert_int_equal(owner.asked, 4);
    destroy();
}

/* Compaction begins on the request's node, and continues on others, if allowed. */
static void requests_for_a_node(void **state)
{
    struct kva_frames_zone zones[] = {{BASE, BASE + 24, 0}, {BASE + 24, BASE + 48, 1}};
    struct kva_frames_request r = {
        .order = 3, .type = KVA_MOVABLE, .node = 1, .flags = KVA_FRAMES_COMPACT | KVA_FRAMES_THIS_NODE};
    uint64_t first;
    (void)state;

    create(&(struct kva_frames_config){.zones = zones, .zone_count = 2, .block_order = 3});
    draw(BASE, "R.R.R.R.R.R.R.R.R.R...R.R.R.R.R.R.R.R.R.R.R...R.");
    assert_int_equal(kva_frames_alloc(frames, &r, &first), KVA_OK);
    assert_int_equal(first, BASE + 40);
    assert_int_equal(kva_frames_alloc(frames, &r, &first), KVA_ENOSPC);
    r.flags = KVA_FRAMES_COMPACT;
    assert_int_equal(kva_frames_compact(frames, 1, 3, 0, NULL), KVA_OK);
    enum kva_status status = KVA_ENOSPC;
    for (unsigned i = 0; i < 3 && status != KVA_OK; i++) /* the last failure may still defer compaction */
        status = kva_frames_alloc(frames, &r, &first);
    assert_int_equal(status, KVA_OK);
    assert_int_equal(first, BASE + 16);
    destroy();
}

/* When memory is short, nothing moves, however fragmented it is. The index is that of
 * kva_frames_fragmentation. */
static void nothing_moves_where_memory_is_short(void **state)
{
    unsigned short_of = 0, fragmented = 0;
    (void)state;

    for (uint64_t turns = test_scaled(4000); turns > 0; turns--) {
        struct kva_frames_orders orders;
        unsigned block_order = 2 + (unsigned)test_below(&rng, 3);
        unsigned order = 1 + (unsigned)test_below(&rng, block_order);
        uint64_t blocks = 2 + test_below(&rng, 6), first;
        uint64_t full = 4 + test_below(&rng, 28);
        create_zone(block_order, blocks);
        for (uint64_t i = 0; i < blocks << block_order; i++) {
            if (test_below(&rng, 32) < full)
                use(BASE + i, 1);
        }
        assert_int_equal(kva_frames_orders_read(frames, 0, &orders), KVA_OK);
        int index = kva_frames_fragmentation(&orders, order);
        enum kva_status status = request(order, 0, KVA_FRAMES_COMPACT, &first);
        check_that(index > 0 || owner.asked == 0,
                   "the index is %d, so no run should be moved; the owner was asked %u times", index,
                   owner.asked);
        assert_true(index >= 0 || status == KVA_OK);
        short_of += index == 0;
        fragmented += owner.moved > 0 && status == KVA_OK;
        destroy();
    }
    print_message("memory was short %u times, fragmented %u times\n", short_of, fragmented);
    assert_true(short_of > 0 && fragmented > 0);
}

/** Which of the next requests for a group compact, as a set of bits. */
static uint64_t which_requests_compact(unsigned order, unsigned requests)
{
    uint64_t set = 0, first;

    for (unsigned i = 0; i < requests; i++) {
        unsigned asked = owner.asked;
        assert_int_equal(request(order, 0, KVA_FRAMES_COMPACT, &first), KVA_ENOSPC);
        set |= (uint64_t)(owner.asked > asked) << i;
    }
    return set;
}

/* After compaction in vain, the next 1, 3, 7, ... 63 requests of that order or a larger one do not
 * compact. */
static void requests_give_up_for_a_while(void **state)
{
    uint64_t first;
    (void)state;

    create_zone(3, 4);
    draw(BASE, "R.R.R.R.R.R.R.RRR.R...R.RRR.R.R.");
    memset(is_pinned, true, sizeof(is_pinned));
    assert_int_equal(which_requests_compact(3, 31), UINT64_C(1) | 1 << 2 | 1 << 6 | 1 << 14 | 1 << 30);
    assert_int_equal(which_requests_compact(3, 32), UINT64_C(1) << 31);
    assert_int_equal(which_requests_compact(3, 64), UINT64_C(1) << 63);
    assert_int_equal(which_requests_compact(3, 64), UINT64_C(1) << 63);
    /* A smaller order compacts; from then on it is the one that is deferred. */
    assert_int_equal(which_requests_compact(2, 2), 1);
    assert_int_equal(kva_frames_compact(frames, 0, 3, UINT64_MAX, NULL), KVA_OK);
    memset(is_pinned, false, sizeof(is_pinned));
    assert_int_equal(which_requests_compact(3, 62), 0);
    assert_int_equal(request(3, 0, KVA_FRAMES_COMPACT, &first), KVA_OK);
    assert_int_equal(kva_frames_free(frames, first), KVA_OK);
    destroy();
}

/* A success resets the deferral. */
static void requests_try_again_after_a_success(void **state)
{
    uint64_t first;
    (void)state;

    create_zone(3, 4);
    draw(BASE, "R.R.R.R.R.R.R.RRR.R...R.RRR.R.R.");
    memset(is_pinned, true, sizeof(is_pinned));
    assert_int_equal(which_requests_compact(3, 6), 1 | 1 << 2);
    memset(is_pinned, false, sizeof(is_pinned));
    assert_int_equal(request(3, 0, KVA_FRAMES_COMPACT, &first), KVA_OK);
    assert_int_equal(kva_frames_free(frames, first), KVA_OK);
    use(first, 1);
    for (uint64_t i = 2; i < 8; i += 2)
        use(first + i, 1);
    memset(is_pinned, true, sizeof(is_pinned));
    assert_int_equal(which_requests_compact(3, 4), 1 | 1 << 2);
    destroy();
}

/* ------------------------------------------------------------------------------------------- every layout */

static enum kva_frames_moved moved_by_the_model(void *context, uint64_t from, uint64_t to, uint64_t count)
{
    (void)context;
    check_that(false,
               "the model must replace this callback; it was called for %#" PRIx64 ", %#" PRIx64 ", %" PRIu64,
               from, to, count);
    return KVA_FRAMES_PINNED;
}

static struct frames_model model;

/** Reserve the frames of a set: neighbours are one run, unless `cuts` separates them; some runs are
 *  unmovable. */
static void use_set(uint64_t start, unsigned count, unsigned set, unsigned cuts)
{
    for (unsigned i = 0, end; i < count; i = end) {
        end = i + 1;
        if ((set >> i & 1) == 0)
            continue;
        while (end < count && (set >> end & 1) != 0 && (cuts >> end & 1) == 0)
            end++;
        unsigned type = (i + cuts) % 11 == 0 ? KVA_UNMOVABLE : KVA_MOVABLE;
        if (frames_model_reserve(&model, start + i, end - i, type) != KVA_OK && end > i + 1)
            (void)frames_model_reserve(&model, start + i, 1, type);
    }
}

static void compact_model(void)
{
    struct kva_frames_stats before, after;

    assert_int_equal(kva_frames_stats_read(model.frames, KVA_FRAMES_ALL_ZONES, &before), KVA_OK);
    (void)frames_model_compact(&model, KVA_FRAMES_ALL_ZONES, KVA_FRAMES_ALL_BLOCKS, UINT64_MAX);
    assert_int_equal(kva_frames_stats_read(model.frames, KVA_FRAMES_ALL_ZONES, &after), KVA_OK);
    assert_true(after.free_blocks >= before.free_blocks && after.used_frames == before.used_frames &&
                after.free_frames == before.free_frames);
    frames_model_compare(&model);
}

/** A zone of `count` frames in blocks of 4, or two zones that share a block, and at most one hole. */
static void compact_layout(uint64_t start, unsigned count, unsigned cut, unsigned hole, unsigned stride)
{
    struct kva_frames_zone zones[2] = {{start, start + count, 0}, {start + cut, start + count, 1}};
    struct kva_frames_range gap = {start + hole, 1};
    struct kva_frames_config config = {.zones = zones,
                                       .zone_count = cut > 0 ? 2 : 1,
                                       .block_order = 2,
                                       .holes = &gap,
                                       .hole_count = hole < count,
                                       .move = moved_by_the_model};

    if (cut > 0)
        zones[0].end = start + cut;
    frames_model_create(&model, &config, "a layout to compact");
    for (unsigned set = 0; set < 1U << count; set += stride) {
        model.willing = set % 3 != 0;
        use_set(start, count, set, (unsigned)test_below(&rng, 1U << count));
        compact_model();
        for (unsigned i = 0; i < count; i++) {
            if (model.entries[i].state == FRAME_START)
                (void)frames_model_free(&model, frames_model_frame_of(&model, i));
        }
    }
    frames_model_destroy(&model);
}

/* Each cut; one hole anywhere, or none; every stride-th set of frames in use. */
static void every_layout_compacted(void **state)
{
    unsigned stride = (unsigned)test_stride();
    (void)state;

    for (unsigned count = 8; count <= 10; count++) {
        for (uint64_t start = 4; start < 8; start++) {
            for (unsigned cut = 0; cut < count; cut++) {
                for (unsigned hole = 0; hole <= count; hole++)
                    compact_layout(start, count, cut, hole, 11 * stride);
            }
            compact_layout(start, count, 0, count, stride);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_frames_take_the_fewest_moves),
        cmocka_unit_test(slices_reach_the_result_of_one_call),
        cmocka_unit_test(pinned_frames_cost_few_moves),
        cmocka_unit_test(a_pinned_block_becomes_a_target),
        cmocka_unit_test(pinned_blocks_among_equally_full_ones),
        cmocka_unit_test(only_blocks_with_pinned_frames_stay),
        cmocka_unit_test(unmovable_and_crossing_runs_stay),
        cmocka_unit_test(a_crossing_run_keeps_its_block_in_use),
        cmocka_unit_test(skip_marks_are_set_last_and_cleared),
        cmocka_unit_test(skip_marks_wait_for_the_end_of_the_block),
        cmocka_unit_test(a_run_that_stays_ends_work_on_its_block),
        cmocka_unit_test(runs_that_stay_are_unchanged),
        cmocka_unit_test(runs_freed_while_they_are_moved),
        cmocka_unit_test(runs_freed_before_their_turn),
        cmocka_unit_test(the_owner_calls_the_set),
        cmocka_unit_test(without_a_move_callback),
        cmocka_unit_test(wrong_arguments),
        cmocka_unit_test(no_memory),
        cmocka_unit_test(one_group_empties_one_block),
        cmocka_unit_test(a_smaller_group_ends_compaction_early),
        cmocka_unit_test(zones_by_their_index),
        cmocka_unit_test(less_contiguous_room_than_counted),
        cmocka_unit_test(requests_compact_instead_of_failing),
        cmocka_unit_test(requests_with_a_window),
        cmocka_unit_test(requests_for_a_node),
        cmocka_unit_test(nothing_moves_where_memory_is_short),
        cmocka_unit_test(requests_give_up_for_a_while),
        cmocka_unit_test(requests_try_again_after_a_success),
        cmocka_unit_test(every_layout_compacted),
    };
    rng = test_rng_of(2);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
