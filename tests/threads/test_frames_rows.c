/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * All schedules of threads that set and clear bits of one row, with a point before each atomic step. At the
 * end each summary has the right bits (F10). A search that no change disturbed, by the row's counts, finds a
 * block that is in the row throughout.
 *
 * The row has three levels here. The blocks lie in two words of one summary, which is not the first one:
 *
 *      level 2   | . W |
 *      level 1   | ... | w0 w1 ... |                 word W
 *      level 0         | a b ... | c d ... |         words w0 and w1
 */
#include "common/schedules.h"

#include <string.h>

#include "base/sync.h"

/* A point before each step of src/frames/frames_rows.h. */
static void point(void);

#undef atomic_load
#undef atomic_load_explicit
#undef atomic_fetch_or
#undef atomic_fetch_and
#undef atomic_fetch_add
#define atomic_load(at) (point(), *(at))
#define atomic_load_explicit(at, order) (point(), *(at))
#define atomic_fetch_or(at, bits) (point(), atomic_fetch_or_explicit(at, bits, memory_order_seq_cst))
#define atomic_fetch_and(at, bits) (point(), atomic_fetch_and_explicit(at, bits, memory_order_seq_cst))
#define atomic_fetch_add(at, count) (point(), atomic_fetch_add_explicit(at, count, memory_order_seq_cst))

#include "frames/frames_rows.h"

enum { THREADS_MOST = 3, STEPS_MOST = 3, BLOCKS = 2 * ROW_BITS * ROW_BITS, WORDS_MOST = 2 * ROW_BITS + 5 };

/** The block of a letter; a capital letter sets its bit, a small one clears it. */
static uint32_t block_of_letter(char letter)
{
    static const uint32_t blocks[] = {0, 1, ROW_BITS, ROW_BITS + 1};

    return ROW_BITS * ROW_BITS + blocks[(letter | 0x20) - 'a'];
}

struct scenario {
    const char *name;
    unsigned threads;
    unsigned changes;
    const char *before;               /* the blocks in the row at the start */
    const char *thread[THREADS_MOST]; /* the steps of each thread; '?': a search for the row's first block */
    char stays;                       /* a block that is in the row during each search; 0: no searches */
};

static struct play {
    const struct scenario *scenario;
    struct kva_threads threads;
    struct frames_rows rows;
    _Atomic uintptr_t words[WORDS_MOST];
    uint64_t undisturbed; /* searches */
} play;

static void point(void)
{
    play.threads.point(play.threads.context);
}

/** Counts as frames_find.c does. A disturbed search proves nothing. */
static void search(void)
{
    uintptr_t ended = atomic_load(rows_ended(&play.rows));
    uint32_t found = row_next(&play.rows, 0, 0, BLOCKS);

    if (atomic_load(rows_began(&play.rows)) != ended)
        return;
    play.undisturbed++;
    check_that(found <= block_of_letter(play.scenario->stays), "%s: a search missed a block of the row",
               play.scenario->name);
}

static void do_steps(const char *steps)
{
    for (; *steps; steps++) {
        if (*steps == '?')
            search();
        else if (*steps < 'a')
            row_set(&play.rows, 0, block_of_letter(*steps));
        else
            row_clear(&play.rows, 0, block_of_letter(*steps));
    }
}

static void set_up(void *context, struct kva_turns *turns)
{
    (void)context;
    play.threads = kva_turns_threads(turns);
    rows_init(&play.rows, 1, BLOCKS);
    assert_int_equal(play.rows.levels, 3);
    assert_true(play.rows.count <= WORDS_MOST);
    memset((void *)play.words, 0, sizeof play.words);
    play.rows.words = play.words;
    do_steps(play.scenario->before);
}

static void body(void *context, unsigned thread)
{
    (void)context;
    do_steps(play.scenario->thread[thread]);
}

static uintptr_t word_at(unsigned level, size_t at)
{
    return *row_word(&play.rows, 0, level, at);
}

static void look_back(void *context, uint64_t schedule)
{
    (void)context;
    for (unsigned level = 1; level < play.rows.levels; level++) {
        for (size_t at = 0; at < play.rows.size[level - 1]; at++) {
            bool has = word_at(level, at >> ROW_SHIFT) >> (at & (ROW_BITS - 1)) & 1;
            check_that(has == (word_at(level - 1, at) != 0),
                       "%s, schedule %" PRIu64
                       ": the summary bit of word %zu of level %u is %d, which is wrong",
                       play.scenario->name, schedule, at, level - 1, has);
        }
    }
}

static const struct scenario scenarios[] = {
    {.name = "a word is emptied and filled", .threads = 2, .before = "A", .thread = {"a", "B"}},
    {.name = "a word is emptied, filled, and emptied again",
     .threads = 3,
     .changes = 3,
     .before = "A",
     .thread = {"a", "Bb", "C"}},
    {.name = "two words are emptied, and one is filled meanwhile",
     .threads = 3,
     .changes = 3,
     .before = "AC",
     .thread = {"a", "B", "c"}},
    {.name = "two words are emptied and filled",
     .threads = 3,
     .changes = 3,
     .before = "AC",
     .thread = {"aA", "cD", "B"}},
    {.name = "a search in a word that another thread considers empty",
     .threads = 2,
     .changes = 4,
     .before = "A",
     .thread = {"a", "B?"},
     .stays = 'B'},
    {.name = "the same, and the summary is considered empty as well",
     .threads = 3,
     .changes = 3,
     .before = "AC",
     .thread = {"a", "B?", "c"},
     .stays = 'B'},
};

static void summaries_are_right_at_the_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        const struct schedules schedules = {.name = scenarios[i].name,
                                            .threads = scenarios[i].threads,
                                            .changes = scenarios[i].changes,
                                            .set_up = set_up,
                                            .body = body,
                                            .look_back = look_back};
        play.scenario = &scenarios[i];
        play.undisturbed = 0;
        (void)schedules_run(&schedules);
        check_that(scenarios[i].stays == 0 || play.undisturbed > 0,
                   "%s: an undisturbed search expected, none found", scenarios[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(summaries_are_right_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
