/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The list of the ranges that a flush is about to free, while another thread defers, frees, allocates and
 * flushes: on every schedule of two threads. In each flush the callback reads the same list twice; its ranges
 * are still deferred, and its ends are those passed to the callback. Each deferred range is on exactly one
 * list. Outside a callback there is no list.
 */
#include "../common/schedules.h"

#include <kva/deferred.h>
#include <kva/engine.h>
#include <string.h>

#include "../../ports/test/failing_memory.h"

#define QUANTUM UINT64_C(16)

enum { UNITS = 16, MOST_RANGES = 8 };

struct play {
    const struct kva_engine *engine;
    const char *const *script; /* of each thread */
    bool pools;
    struct kva_threads threads;
    struct kva_failing_memory memory;
    struct kva_space space;
    uint64_t start[UNITS]; /* of segment i */
    uint64_t was[UNITS];   /* a copy of start */
    unsigned deferred[UNITS];
    unsigned listed[UNITS]; /* how often */
    const char *wrong;      /* the first failure; only the test's own thread may fail the test */
};

static void expect(struct play *play, bool condition, const char *what)
{
    if (!condition && !play->wrong)
        play->wrong = what;
}

static unsigned read_list(struct play *play, struct kva_segment *list)
{
    struct kva_segment range = {0};
    unsigned count = 0;

    for (enum kva_status s = kva_flush_first(&play->space, &range); s == KVA_OK && count < MOST_RANGES;
         s = kva_flush_next(&play->space, &range))
        list[count++] = range;
    return count;
}

/** Each segment of the play is on the list as a whole or not on it. */
static void count_listed(struct play *play, const struct kva_segment *range)
{
    struct kva_segment found;

    for (unsigned i = 0; i < UNITS; i++)
        play->listed[i] += play->was[i] >= range->start && play->was[i] <= range->last;
    for (uint64_t at = range->start; at <= range->last; at += QUANTUM) {
        expect(play, kva_find(&play->space, at, &found) == KVA_OK && found.state == KVA_DEFERRED,
               "a listed range is not deferred");
    }
}

static void on_flush(void *context, uint64_t start, uint64_t last)
{
    struct play *play = context;
    struct kva_segment list[MOST_RANGES], again[MOST_RANGES];
    unsigned count = read_list(play, list);

    expect(play, count > 0 && list[0].start == start && list[count - 1].last == last,
           "the ends of the list differ from those passed to the callback");
    for (unsigned i = 0; i < count; i++) {
        expect(play, i == 0 || list[i].start > list[i - 1].last + 1, "two ranges touch, or are out of order");
        count_listed(play, &list[i]);
    }
    expect(play, read_list(play, again) == count, "the list has changed");
    for (unsigned i = 0; i < count; i++)
        expect(play, again[i].start == list[i].start && again[i].last == list[i].last,
               "the list has changed");
}

/** A script: dN: defer segment N; fN: free it; l: flush; a: allocate a quantum; q: ask for the list, which
 *  must fail. */
static void body(void *context, unsigned thread)
{
    struct play *play = context;
    struct kva_segment range;

    for (const char *at = play->script[thread]; *at; at++) {
        unsigned i = *at == 'd' || *at == 'f' ? (unsigned)(at[1] - '0') : 0;
        struct kva_request request = kva_request_of(QUANTUM);
        uint64_t start;
        switch (*at) {
        case 'd':
            expect(play, kva_free_deferred(&play->space, play->start[i]) == KVA_OK, "a deferred free failed");
            play->deferred[i]++;
            at++;
            break;
        case 'f':
            expect(play, kva_free(&play->space, play->start[i]) == KVA_OK, "a free failed");
            at++;
            break;
        case 'l':
            expect(play, kva_flush(&play->space) == KVA_OK, "a flush failed");
            break;
        case 'a':
            expect(play, kva_alloc(&play->space, &request, &start) == KVA_OK, "an allocation failed");
            break;
        default:
            expect(play, kva_flush_first(&play->space, &range) == KVA_ENOENT,
                   "a list was found outside the callback");
            break;
        }
    }
}

static void set_up(void *context, struct kva_turns *turns)
{
    struct play *play = context;
    struct kva_config config = {.first = 0x100,
                                .last = 0x100 + 4 * UNITS * QUANTUM - 1,
                                .quantum = QUANTUM,
                                .engine = play->engine,
                                .memory = kva_failing_memory_init(&play->memory),
                                .threads = &play->threads,
                                .pool_bytes = play->pools ? UNITS * QUANTUM : 0,
                                .flush = on_flush,
                                .flush_context = play,
                                .deferred_limit = UINT64_MAX};

    play->threads = kva_turns_threads(turns);
    play->wrong = NULL;
    memset(play->deferred, 0, sizeof play->deferred);
    memset(play->listed, 0, sizeof play->listed);
    assert_int_equal(kva_space_init(&play->space, &config), KVA_OK);
    for (unsigned i = 0; i < 8; i++) {
        struct kva_request request = kva_request_of(QUANTUM);
        assert_int_equal(kva_alloc(&play->space, &request, &play->start[i]), KVA_OK);
        play->was[i] = play->start[i];
    }
}

static void look_back(void *context, uint64_t schedule)
{
    struct play *play = context;

    assert_int_equal(kva_flush(&play->space), KVA_OK);
    check_that(play->wrong == NULL, "schedule %" PRIu64 ": %s", schedule, play->wrong);
    for (unsigned i = 0; i < 8; i++)
        check_that(play->listed[i] == play->deferred[i],
                   "schedule %" PRIu64 ": segment %u was deferred %u times, listed %u times", schedule, i,
                   play->deferred[i], play->listed[i]);
    assert_int_equal(kva_space_check(&play->space, NULL), KVA_OK);
    assert_int_equal(kva_space_abandon(&play->space), KVA_OK);
    assert_int_equal(play->memory.blocks, 0);
}

static void every_schedule_lists_each_deferred_range_once(void **state)
{
    static const char *const scripts[][2] = {
        {"d1d2d5l", "d3d0q"}, /* beside listed ranges, and between them */
        {"d1l", "d2ld3"},     /* two flushes */
        {"d4d6l", "f5qd7"},   /* free in between */
        {"d2l", "aqd3a"},     /* ranges allocated meanwhile are not on the list */
    };
    static const struct kva_engine *const engines[] = {&kva_engine_bt, &kva_engine_rb, &kva_engine_scan};
    static struct play play;
    (void)state;

    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        for (unsigned pools = 0; pools < 2; pools++) {
            play.engine = engines[(i + pools) % 3];
            play.script = scripts[i];
            play.pools = pools;
            const struct schedules schedules = {.name = scripts[i][0],
                                                .threads = 2,
                                                .changes = pools ? 2 : 3,
                                                .set_up = set_up,
                                                .body = body,
                                                .look_back = look_back,
                                                .context = &play};
            assert_true(schedules_run(&schedules) > 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_schedule_lists_each_deferred_range_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
