/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The player on small logs written by hand: the calls on the space that each log must become, and the final
 * state, the same on every engine.
 */
#define _GNU_SOURCE /* fmemopen, open_memstream */
#include "common/harness.h"
#include "replay/player.h"

#include <kva/engine.h>
#include <stdlib.h>
#include <string.h>

/** The place of a first mapping of `pages` pages: right below the mmap base. */
#define TOP(pages) (SCRIPT_MMAP_BASE - (pages)*SCRIPT_PAGE)

struct replay {
    struct strace_log log;
    struct script script;
};

static struct replay resolve(const char *text)
{
    struct replay replay;
    struct strace_error error;
    char message[256] = "";
    bool wrong;
    FILE *in = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    assert_non_null(in);
    bool good = strace_read(in, true, &replay.log, &error);
    fclose(in);
    check_that(good, "%s -> line %" PRIu64 ", column %zu: %s", text, error.line, error.column, error.message);
    check_that(script_resolve(&replay.log, &replay.script, message, &wrong), "%s -> %s", text, message);
    return replay;
}

static void replay_fini(struct replay *replay)
{
    script_fini(&replay->script);
    strace_log_fini(&replay->log);
}

/** Play on each engine; returns the state after the last call, which must be the same for all. */
static struct sample play_all(const struct replay *replay)
{
    const struct kva_engine *engine;
    struct sample first = {0};
    for_each_engine (engine, index) {
        struct player *player = player_create(&replay->log, &replay->script, engine);
        struct sample last;
        struct observed observed;
        char message[PLAYER_MESSAGE] = "";
        uint64_t ns;
        assert_non_null(player);
        enum played played = player_observe(player, &last, 1, &observed, message);
        check_that(played == PLAYED_OK, "%s: %s", test_engine_name(index), message);
        assert_int_equal(observed.sample_count, 1);
        assert_int_equal(last.calls, replay->script.calls);
        played = player_measure(player, &ns, message);
        check_that(played == PLAYED_OK, "%s: %s", test_engine_name(index), message);
        if (index == 0)
            first = last;
        assert_memory_equal(&first, &last, sizeof last);
        player_destroy(player);
    }
    return first;
}

struct expected {
    enum step_kind kind;
    uint64_t start;
    uint64_t pages;
    enum kva_status status;
    uint32_t space;
};

/** Compare the whole script with the expected steps. */
static void check_steps(const struct replay *replay, const struct expected *expected, size_t count)
{
    const struct script *script = &replay->script;
    for (size_t i = 0; i < script->count && i < count; i++) {
        const struct step *step = &script->steps[i];
        check_that(step->kind == expected[i].kind && step->start == expected[i].start &&
                       step->size == expected[i].pages * SCRIPT_PAGE && step->status == expected[i].status &&
                       step->space == expected[i].space,
                   "step %zu: kind %d, 0x%" PRIx64 ", %" PRIu64 " bytes, %" PRIu64 " busy, %s, space %u", i,
                   step->kind, step->start, step->size, step->bytes,
                   kva_status_name((enum kva_status)step->status), (unsigned)step->space);
    }
    assert_int_equal(script->count, count);
}

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define MAP(address, length, flags, result)                                                                  \
    "mmap(" address ", " length ", PROT_NONE, MAP_PRIVATE" flags ", -1, 0) = " result "\n"

/** A loader: one mapping, then fixed mappings over it. They are shifted with that mapping. */
static void test_fixed_replace(void **state)
{
    (void)state;
    struct replay replay = resolve(MAP("NULL", "0x10000", "", "0x7f1200000000") /* 16 pages */
                                   MAP("0x7f1200004000", "0x3800", "|MAP_FIXED", "0x7f1200004000")
                                       MAP("0x7f120000e000", "0x4000", "|MAP_FIXED", "0x7f120000e000"));
    const struct expected steps[] = {
        {STEP_BEGIN, 0, 0, KVA_OK, 0},
        {STEP_ALLOC, TOP(16), 16, KVA_OK, 0},
        {STEP_RESERVE_OVER, TOP(16) + 0x4000, 4, KVA_OK, 0},
        /* extends two pages beyond the mapping; they are free */
        {STEP_RESERVE_OVER, TOP(16) + 0xe000, 4, KVA_OK, 0},
    };
    check_steps(&replay, steps, COUNT_OF(steps));
    assert_int_equal(replay.script.steps[2].bytes, 4 * SCRIPT_PAGE);
    assert_int_equal(replay.script.steps[3].bytes, 2 * SCRIPT_PAGE);
    struct sample end = play_all(&replay);
    assert_int_equal(end.busy_segments, 4);
    assert_int_equal(end.busy_bytes, 18 * SCRIPT_PAGE);
    assert_int_equal(replay.script.counts.displaced, 0);
    assert_int_equal(replay.script.counts.implied, 0);
    replay_fini(&replay);
}

/** A fixed mapping that replaces several others and the hole between them, and one at a new address. */
static void test_fixed_across(void **state)
{
    (void)state;
    struct replay replay = resolve(MAP("0x400000", "0x2000", "|MAP_FIXED", "0x400000") MAP(
        "0x405000", "0x2000", "|MAP_FIXED", "0x405000") MAP("0x401000", "0x5000", "|MAP_FIXED", "0x401000"));
    const struct expected steps[] = {
        {STEP_BEGIN, 0, 0, KVA_OK, 0},
        {STEP_RESERVE_OVER, 0x400000, 2, KVA_OK, 0},
        {STEP_RESERVE_OVER, 0x405000, 2, KVA_OK, 0},
        {STEP_RESERVE_OVER, 0x401000, 5, KVA_OK, 0},
    };
    check_steps(&replay, steps, COUNT_OF(steps));
    assert_int_equal(replay.script.steps[3].bytes, 2 * SCRIPT_PAGE);
    assert_int_equal(play_all(&replay).busy_segments, 3);
    replay_fini(&replay);
}

/** A fixed place that is busy only in our space: the mapping goes elsewhere, and is found there later. */
static void test_displaced(void **state)
{
    (void)state;
    struct replay replay = resolve(MAP("NULL", "4096", "", "0x7f1200000000") /* ours: 0x7ffff7ffe000 */
                                   MAP("0x7ffff7ffe000", "4096", "|MAP_FIXED_NOREPLACE", "0x7ffff7ffe000")
                                       MAP("0x1000", "4096", "|MAP_FIXED", "0x1000") /* below our space */
                                   "munmap(0x7ffff7ffe000, 4096) = 0\n"
                                   "munmap(0x1000, 4096) = 0\n");
    const struct expected steps[] = {
        {STEP_BEGIN, 0, 0, KVA_OK, 0},
        {STEP_ALLOC, TOP(1), 1, KVA_OK, 0},
        {STEP_RESERVE, TOP(1), 1, KVA_EEXIST, 0},
        {STEP_ALLOC, TOP(2), 1, KVA_OK, 0},
        {STEP_ALLOC, TOP(3), 1, KVA_OK, 0},
        {STEP_CLEAR, TOP(2), 1, KVA_OK, 0},
        {STEP_CLEAR, TOP(3), 1, KVA_OK, 0},
    };
    check_steps(&replay, steps, COUNT_OF(steps));
    assert_int_equal(replay.script.counts.displaced, 2);
    assert_int_equal(play_all(&replay).busy_segments, 1);
    replay_fini(&replay);
}

/** Hints: free, taken, in the middle of a page, and outside the addresses that a process can map. */
static void test_hints(void **state)
{
    (void)state;
    struct replay replay = resolve(MAP("0xc000000000", "4096", "", "0xc000000000")
                                       MAP("0xc000000000", "4096", "", "0x7f1200000000")
                                           MAP("0xc000000fff", "4096", "", "0xc000001000")
                                               MAP("0xffffffffffffffff", "4096", "", "0x7f1200001000"));
    const struct expected steps[] = {
        {STEP_BEGIN, 0, 0, KVA_OK, 0},
        {STEP_RESERVE, 0xc000000000, 1, KVA_OK, 0},
        {STEP_RESERVE, 0xc000000000, 1, KVA_EEXIST, 0},
        {STEP_ALLOC, TOP(1), 1, KVA_OK, 0},
        {STEP_RESERVE, 0xc000001000, 1, KVA_OK, 0},
        {STEP_ALLOC, TOP(2), 1, KVA_OK, 0},
    };
    check_steps(&replay, steps, COUNT_OF(steps));
    play_all(&replay);
    assert_int_equal(replay.script.counts.displaced, 0);
    replay_fini(&replay);
}

/** munmap of the middle of one mapping, then of a range over the pieces, a hole and another mapping. */
static void test_munmap_across_holes(void **state)
{
    (void)state;
    struct replay replay = resolve(MAP("NULL", "0x6000", "", "0x7f0000010000") MAP(
        "0x7f0000008000", "0x2000", "|MAP_FIXED", "0x7f0000008000") "munmap(0x7f0000012000, 5000) = 0\n"
                                                                    "munmap(0x7f0000009000, 0xc000) = 0\n"
                                                                    "munmap(0x7f0000009000, 0xc000) = 0\n");
    const struct expected steps[] = {
        {STEP_BEGIN, 0, 0, KVA_OK, 0},
        {STEP_ALLOC, TOP(6), 6, KVA_OK, 0},
        {STEP_RESERVE_OVER, 0x7f0000008000, 2, KVA_OK, 0},
        {STEP_CLEAR, TOP(6) + 0x2000, 2, KVA_OK, 0},
        {STEP_CLEAR, 0x7f0000009000, 1, KVA_OK, 0},
        {STEP_CLEAR, TOP(6), 5, KVA_OK, 0}, /* both pieces, and the hole between them */
    };
    check_steps(&replay, steps, COUNT_OF(steps));
    assert_int_equal(replay.script.steps[5].bytes, 3 * SCRIPT_PAGE);
    struct sample end = play_all(&replay);
    assert_int_equal(end.busy_segments, 2);
    assert_int_equal(end.busy_bytes, 2 * SCRIPT_PAGE);
    assert_int_equal(replay.script.counts.unknown, 1);
    assert_int_equal(replay.script.counts.munmaps, 3);
    replay_fini(&replay);
}

/** Mappings of our space alone between two logged mappings stay, whether the log unmaps across them or
 *  maps over them. */
static void test_own_mappings_between_stay(void **state)
{
    (void)state;
    struct replay replay = resolve(
        MAP("0x400000", "0x1000", "|MAP_FIXED", "0x400000") MAP("0x402000", "0x1000", "|MAP_FIXED",
                                                                "0x402000")
            MAP("0x401000", "0x1000", "", "0x7f0000000000") "munmap(0x400000, 0x3000) = 0\n" MAP(
                "0x402000", "0x1000", "|MAP_FIXED", "0x402000")
                MAP("0x400000", "0x3000", "|MAP_FIXED", "0x400000") "munmap(0x7f0000000000, 0x1000) = 0\n");
    const struct expected steps[] = {
        {STEP_BEGIN, 0, 0, KVA_OK, 0},
        {STEP_RESERVE_OVER, 0x400000, 1, KVA_OK, 0},
        {STEP_RESERVE_OVER, 0x402000, 1, KVA_OK, 0},
        {STEP_RESERVE, 0x401000, 1, KVA_OK, 0},
        {STEP_CLEAR, 0x400000, 1, KVA_OK, 0},
        {STEP_CLEAR, 0x402000, 1, KVA_OK, 0},
        {STEP_RESERVE_OVER, 0x402000, 1, KVA_OK, 0},
        {STEP_CLEAR, 0x402000, 1, KVA_OK, 0},
        {STEP_RESERVE, 0x400000, 3, KVA_EEXIST, 0},
        {STEP_ALLOC, TOP(3), 3, KVA_OK, 0},
        {STEP_CLEAR, 0x401000, 1, KVA_OK, 0},
    };
    check_steps(&replay, steps, COUNT_OF(steps));
    assert_int_equal(play_all(&replay).busy_segments, 1);
    assert_int_equal(replay.script.counts.displaced, 1);
    replay_fini(&replay);
}

/** Mappings that are adjacent in the log, but not in our space: one call for each. */
static void test_distances(void **state)
{
    (void)state;
    struct replay replay =
        resolve(MAP("NULL", "0x1000", "", "0x7f0000010000") MAP("0x400000", "0x1000", "", "0x7f0000011000")
                    MAP("NULL", "0x1000", "", "0x7f0000012000") //
                "munmap(0x7f0000010000, 0x3000) = 0\n");
    const struct expected steps[] = {
        {STEP_BEGIN, 0, 0, KVA_OK, 0},          {STEP_ALLOC, TOP(1), 1, KVA_OK, 0},
        {STEP_RESERVE, 0x400000, 1, KVA_OK, 0}, {STEP_ALLOC, TOP(2), 1, KVA_OK, 0},
        {STEP_CLEAR, TOP(1), 1, KVA_OK, 0},     {STEP_CLEAR, 0x400000, 1, KVA_OK, 0},
        {STEP_CLEAR, TOP(2), 1, KVA_OK, 0},
    };
    check_steps(&replay, steps, COUNT_OF(steps));
    assert_int_equal(play_all(&replay).busy_segments, 0);
    replay_fini(&replay);
}

/** mremap: shrink, grow in place, and move in the log because a mapping follows. */
static void test_mremap(void **state)
{
    (void)state;
    struct replay replay = resolve(
        MAP("NULL", "0x4000", "",
            "0x7f0000010000") "mremap(0x7f0000010000, 0x4000, 0x1000, MREMAP_MAYMOVE) = 0x7f0000010000\n"
                              "mremap(0x7f0000010000, 0x1000, 0x3000, 0) = 0x7f0000010000\n"
                              "mremap(0x7f0000010000, 0x3000, 0x8000, MREMAP_MAYMOVE) = 0x7f0000008000\n"
                              "munmap(0x7f0000008000, 0x8000) = 0\n");
    const struct expected steps[] = {
        {STEP_BEGIN, 0, 0, KVA_OK, 0},
        {STEP_ALLOC, TOP(4), 4, KVA_OK, 0},
        {STEP_CLEAR, TOP(4) + 0x1000, 3, KVA_OK, 0},
        {STEP_RESIZE, TOP(4), 3, KVA_OK, 0},
        /* after the base all is free: our mapping grows where the logged kernel moved it */
        {STEP_RESIZE, TOP(4), 8, KVA_OK, 0},
        {STEP_CLEAR, TOP(4), 8, KVA_OK, 0},
    };
    check_steps(&replay, steps, COUNT_OF(steps));
    assert_int_equal(play_all(&replay).busy_segments, 0);
    replay_fini(&replay);
}

static void test_mremap_move(void **state)
{
    (void)state;
    struct replay replay = resolve(MAP("NULL", "0x1000", "", "0x7f0000010000") MAP(
        "NULL", "0x2000", "",
        "0x7f000000e000") "mremap(0x7f000000e000, 0x2000, 0x3000, MREMAP_MAYMOVE) = 0x7f0000001000\n"
                          "mremap(0x7f0000001000, 0x3000, 0x3000, MREMAP_MAYMOVE|MREMAP_FIXED, "
                          "0x7f0000010000) = 0x7f0000010000\n"
                          "mremap(0x7f0000010000, 0x3000, 0x1000, MREMAP_MAYMOVE|MREMAP_DONTUNMAP) = "
                          "0x7f0000020000\n");
    const struct expected steps[] = {
        {STEP_BEGIN, 0, 0, KVA_OK, 0},
        {STEP_ALLOC, TOP(1), 1, KVA_OK, 0},
        {STEP_ALLOC, TOP(3), 2, KVA_OK, 0},
        {STEP_RESIZE, TOP(3), 3, KVA_ENOSPC, 0}, /* the first mapping is in the way */
        {STEP_ALLOC, TOP(6), 3, KVA_OK, 0},
        {STEP_CLEAR, TOP(3), 2, KVA_OK, 0},
        {STEP_RESERVE_OVER, TOP(1), 3, KVA_OK, 0}, /* over the first mapping and beyond */
        {STEP_CLEAR, TOP(6), 3, KVA_OK, 0},
        {STEP_ALLOC, TOP(2), 1, KVA_OK, 0}, /* the old mapping remains */
    };
    check_steps(&replay, steps, COUNT_OF(steps));
    assert_int_equal(play_all(&replay).busy_segments, 2);
    replay_fini(&replay);
}

/** A required place is taken even if the mapping could grow; and a part of a mapping cannot grow into the
 *  space after the whole mapping. */
static void test_mremap_no_growth(void **state)
{
    (void)state;
    struct replay replay = resolve(
        MAP("NULL", "0x3000", "",
            "0x7f0000010000") "mremap(0x7f0000010000, 0x1000, 0x2000, MREMAP_MAYMOVE) = 0x7f0000001000\n"
                              "mremap(0x7f0000011000, 0x2000, 0x3000, MREMAP_MAYMOVE|MREMAP_FIXED, "
                              "0x30000000) = 0x30000000\n");
    const struct expected steps[] = {
        {STEP_BEGIN, 0, 0, KVA_OK, 0},
        {STEP_ALLOC, TOP(3), 3, KVA_OK, 0},
        {STEP_ALLOC, TOP(5), 2, KVA_OK, 0},
        {STEP_CLEAR, TOP(3), 1, KVA_OK, 0},
        {STEP_RESERVE_OVER, 0x30000000, 3, KVA_OK, 0},
        {STEP_CLEAR, TOP(2), 2, KVA_OK, 0},
    };
    check_steps(&replay, steps, COUNT_OF(steps));
    assert_int_equal(play_all(&replay).busy_segments, 2);
    replay_fini(&replay);
}

/** mremap of addresses that the log has not mapped creates a new mapping. */
static void test_mremap_unknown(void **state)
{
    (void)state;
    struct replay replay = resolve("mremap(0x7f0000010000, 0x1000, 0x2000, 0) = 0x7f0000010000\n"
                                   "mremap(0x5000000, 0x1000, 0x1000, MREMAP_MAYMOVE) = 0x7f0000020000\n"
                                   "mremap(0x6000000, 0, 0x1000, MREMAP_MAYMOVE) = 0x6000000\n");
    const struct expected steps[] = {
        {STEP_BEGIN, 0, 0, KVA_OK, 0},
        {STEP_RESERVE, 0x7f0000010000, 2, KVA_OK, 0},
        {STEP_ALLOC, TOP(1), 1, KVA_OK, 0},
        {STEP_ALLOC, TOP(2), 1, KVA_OK, 0},
    };
    check_steps(&replay, steps, COUNT_OF(steps));
    assert_int_equal(replay.script.counts.unknown, 2);
    play_all(&replay);
    replay_fini(&replay);
}

static void test_brk(void **state)
{
    (void)state;
    struct replay replay = resolve("brk(NULL) = 0x20000800\n"
                                   "brk(NULL) = 0x20000800\n"
                                   "brk(0x20003000) = 0x20003000\n"
                                   "brk(0x20005001) = 0x20005001\n"
                                   "brk(0x99999999) = 0x20005001\n"
                                   "brk(0x20002000) = 0x20002000\n"
                                   "brk(0x20001000) = 0x20001000\n");
    const struct expected steps[] = {
        {STEP_BEGIN, 0, 0, KVA_OK, 0},           {STEP_RESERVE, 0x20001000, 2, KVA_OK, 0},
        {STEP_RESIZE, 0x20001000, 5, KVA_OK, 0}, {STEP_CLEAR, 0x20002000, 4, KVA_OK, 0},
        {STEP_CLEAR, 0x20001000, 1, KVA_OK, 0},
    };
    check_steps(&replay, steps, COUNT_OF(steps));
    assert_int_equal(replay.script.counts.brks, 6);
    assert_int_equal(replay.script.counts.failed, 1);
    assert_int_equal(play_all(&replay).busy_segments, 0);
    replay_fini(&replay);
}

/** In a log without execve, a break that jumps begins another program; in a log with execve, execve does. */
static void test_programs(void **state)
{
    (void)state;
    struct replay replay = resolve("brk(NULL) = 0x1000000\n"
                                   "brk(0x1001000) = 0x1001000\n"
                                   "brk(NULL) = 0x2000000\n"
                                   "brk(0x2001000) = 0x2001000\n");
    const struct expected steps[] = {
        {STEP_BEGIN, 0, 0, KVA_OK, 0}, {STEP_RESERVE, 0x1000000, 1, KVA_OK, 0}, {STEP_END, 0, 0, KVA_OK, 0},
        {STEP_BEGIN, 0, 0, KVA_OK, 1}, {STEP_RESERVE, 0x2000000, 1, KVA_OK, 1},
    };
    check_steps(&replay, steps, COUNT_OF(steps));
    assert_int_equal(play_all(&replay).busy_segments, 1);
    replay_fini(&replay);

    replay = resolve("execve(\"a\", [], 0x7 /* 0 vars */) = 0\n" MAP(
        "NULL", "1", "", "0x7f0000010000") "execve(\"b\", [], 0x7 /* 0 vars */) = 0\n" MAP("NULL", "1", "",
                                                                                           "0x7f0000010000"));
    assert_int_equal(replay.script.spaces, 3); /* the space before the first execve is one of them */
    assert_int_equal(play_all(&replay).busy_segments, 1);
    assert_int_equal(replay.script.counts.implied, 0);
    replay_fini(&replay);
}

/** With execve in the log, a break that jumps (another thread has moved it) does not begin another
 *  program. */
static void test_break_jumps(void **state)
{
    (void)state;
    struct replay replay = resolve("execve(\"a\", [], 0x7 /* 0 vars */) = 0\n"
                                   "brk(NULL) = 0x1000000\n"
                                   "brk(NULL) = 0x1001000\n");
    const struct expected steps[] = {
        {STEP_BEGIN, 0, 0, KVA_OK, 0},
        {STEP_END, 0, 0, KVA_OK, 0},
        {STEP_BEGIN, 0, 0, KVA_OK, 1},
        {STEP_RESERVE, 0x1000000, 1, KVA_OK, 1},
    };
    check_steps(&replay, steps, COUNT_OF(steps));
    play_all(&replay);
    replay_fini(&replay);
}

/** Halves: the munmap of one thread is played at its beginning, before the mmap of another thread that
 *  gets the same addresses. */
static void test_resumed(void **state)
{
    (void)state;
    struct replay replay =
        resolve("1 brk(NULL) = 0x1000000\n"
                "1 " MAP("NULL", "4096", "",
                         "0x7f0000010000") "1 clone(child_stack=0x7, flags=CLONE_VM|CLONE_THREAD) = 2\n"
                                           "1 munmap(0x7f0000010000, 4096 <unfinished ...>\n"
                                           "2 " MAP("NULL", "4096", "",
                                                    "0x7f0000010000") "1 <... munmap resumed>) = 0\n"
                                                                      "2 +++ exited with 0 +++\n"
                                                                      "1 +++ exited with 0 +++\n");
    const struct expected steps[] = {
        {STEP_BEGIN, 0, 0, KVA_OK, 0},      {STEP_ALLOC, TOP(1), 1, KVA_OK, 0},
        {STEP_CLEAR, TOP(1), 1, KVA_OK, 0}, {STEP_ALLOC, TOP(1), 1, KVA_OK, 0},
        {STEP_END, 0, 0, KVA_OK, 0},
    };
    check_steps(&replay, steps, COUNT_OF(steps));
    assert_int_equal(replay.script.counts.implied, 0);
    assert_int_equal(replay.script.counts.processes, 2);
    assert_int_equal(play_all(&replay).busy_segments, 1);
    replay_fini(&replay);
}

#define THREADS                                                                                              \
    "1 clone(child_stack=0x7, flags=CLONE_VM|CLONE_THREAD) = 2\n"                                            \
    "1 clone(child_stack=0x7, flags=CLONE_VM|CLONE_THREAD) = 3\n"

/** Compare a log with its steps; nothing in it may be unknown or implied. */
static void check_race(const char *text, const struct expected *steps, size_t count, uint64_t busy_pages)
{
    struct replay replay = resolve(text);
    check_steps(&replay, steps, count);
    assert_int_equal(replay.script.counts.unknown, 0);
    assert_int_equal(replay.script.counts.implied, 0);
    assert_int_equal(replay.script.note_count, 0);
    assert_int_equal(play_all(&replay).busy_bytes, busy_pages * SCRIPT_PAGE);
    replay_fini(&replay);
}

/** An mremap in two halves whose old place another thread gets meanwhile: it took effect before that. It
 *  has no room to grow. */
static void test_race_of_mremap(void **state)
{
    (void)state;
    const struct expected steps[] = {
        {STEP_BEGIN, 0, 0, KVA_OK, 0},      {STEP_ALLOC, TOP(1), 1, KVA_OK, 0},
        {STEP_ALLOC, TOP(3), 2, KVA_OK, 0}, {STEP_RESIZE, TOP(3), 4, KVA_ENOSPC, 0},
        {STEP_ALLOC, TOP(7), 4, KVA_OK, 0}, {STEP_CLEAR, TOP(3), 2, KVA_OK, 0},
        {STEP_ALLOC, TOP(3), 2, KVA_OK, 0}, {STEP_CLEAR, TOP(3), 2, KVA_OK, 0},
    };
    check_race(
        THREADS "1 " MAP("NULL", "0x1000", "", "0x7f0000080000") "1 " MAP(
            "NULL", "0x2000", "",
            "0x7f0000010000") "1 mremap(0x7f0000010000, 0x2000, 0x4000, MREMAP_MAYMOVE <unfinished ...>\n"
                              "2 " MAP("NULL", "0x2000", "",
                                       "0x7f0000010000") "1 <... mremap resumed>) = 0x7f0000001000\n"
                                                         "2 munmap(0x7f0000010000, 0x2000) = 0\n",
        steps, COUNT_OF(steps), 5);
}

/** The tail that a shrinking mapping frees, and the end of the heap that a brk frees. */
static void test_race_of_tails(void **state)
{
    (void)state;
    const struct expected steps[] = {
        {STEP_BEGIN, 0, 0, KVA_OK, 0},
        {STEP_ALLOC, TOP(4), 4, KVA_OK, 0},
        {STEP_CLEAR, TOP(4) + 0x1000, 3, KVA_OK, 0},
        {STEP_ALLOC, TOP(3), 3, KVA_OK, 0},
        {STEP_RESERVE, 0x1000000, 4, KVA_OK, 0},
        {STEP_CLEAR, 0x1002000, 2, KVA_OK, 0},
        {STEP_RESERVE, 0x1003000, 1, KVA_OK, 0},
    };
    check_race(
        THREADS "1 " MAP(
            "NULL", "0x4000", "",
            "0x7f0000010000") "1 mremap(0x7f0000010000, 0x4000, 0x1000, 0 <unfinished ...>\n"
                              "2 " MAP(
                                  "NULL", "0x3000", "",
                                  "0x7f0000011000") "1 <... mremap resumed>) = 0x7f0000010000\n"
                                                    "1 brk(NULL) = 0x1000000\n"
                                                    "1 brk(0x1004000) = 0x1004000\n"
                                                    "1 brk(0x1002000 <unfinished ...>\n"
                                                    "2 " MAP(
                                                        "0x1003000", "0x1000", "",
                                                        "0x1003000") "1 <... brk resumed>) = 0x1002000\n",
        steps, COUNT_OF(steps), 7);
}

/** A call under way that takes a place that another call under way frees. */
static void test_race_of_three(void **state)
{
    (void)state;
    const struct expected steps[] = {
        {STEP_BEGIN, 0, 0, KVA_OK, 0},
        {STEP_ALLOC, TOP(1), 1, KVA_OK, 0},
        {STEP_ALLOC, TOP(2), 1, KVA_OK, 0},
        {STEP_ALLOC, TOP(3), 1, KVA_OK, 0}, /* of thread 1 */
        {STEP_CLEAR, TOP(1), 1, KVA_OK, 0},
        {STEP_ALLOC, TOP(1), 1, KVA_OK, 0}, /* of thread 2, to where thread 1 was */
        {STEP_CLEAR, TOP(2), 1, KVA_OK, 0},
        {STEP_ALLOC, TOP(2), 1, KVA_OK, 0}, /* of thread 3, to where thread 2 was */
    };
    check_race(
        THREADS "1 " MAP("NULL", "0x1000", "", "0x7f000000a000") "1 " MAP(
            "NULL", "0x1000", "",
            "0x7f000000b000") "1 mremap(0x7f000000a000, 0x1000, 0x1000, MREMAP_MAYMOVE <unfinished ...>\n"
                              "2 mremap(0x7f000000b000, 0x1000, 0x1000, MREMAP_MAYMOVE <unfinished ...>\n"
                              "3 " MAP("NULL", "0x1000", "",
                                       "0x7f000000b000") "2 <... mremap resumed>) = 0x7f000000a000\n"
                                                         "1 <... mremap resumed>) = 0x7f000000c000\n",
        steps, COUNT_OF(steps), 3);
}

/** Cases in which an mremap is not played before its end: the same addresses in another address space,
 *  another place, a mapping that remains, a call that fails. */
static void test_no_race(void **state)
{
    (void)state;
    const struct expected steps[] = {
        {STEP_BEGIN, 0, 0, KVA_OK, 0},      {STEP_ALLOC, TOP(2), 2, KVA_OK, 0},
        {STEP_FORK, 0, 0, KVA_OK, 1},       {STEP_CLEAR, TOP(2), 2, KVA_OK, 1},
        {STEP_ALLOC, TOP(2), 2, KVA_OK, 1}, /* in the child */
        {STEP_ALLOC, TOP(3), 1, KVA_OK, 0}, /* elsewhere */
        {STEP_ALLOC, TOP(5), 2, KVA_OK, 0}, /* the mremap */
        {STEP_CLEAR, TOP(2), 2, KVA_OK, 0}, {STEP_ALLOC, TOP(1), 1, KVA_OK, 0},
        {STEP_ALLOC, TOP(7), 2, KVA_OK, 0}, /* the mremap that keeps the old place */
    };
    check_race("1 " MAP("NULL", "0x2000", "", "0x7f0000010000") THREADS
               "1 fork() = 9\n"
               "9 munmap(0x7f0000010000, 0x2000) = 0\n"
               "1 mremap(0x7f0000010000, 0x2000, 0x2000, MREMAP_MAYMOVE <unfinished ...>\n"
               "9 " MAP("NULL", "0x2000", "", "0x7f0000010000") "2 " MAP(
                   "NULL", "0x1000", "",
                   "0x7f0000012000") "1 <... mremap resumed>) = 0x7f0000020000\n"
                                     "1 mremap(0x7f0000020000, 0x2000, 0x4000, 0 <unfinished ...>\n"
                                     "2 " MAP("NULL", "0x1000", "",
                                              "0x7f0000013000") "1 <... mremap resumed>) = -1 ENOMEM (Cannot "
                                                                "allocate memory)\n"
                                                                "1 mremap(0x7f0000020000, 0x2000, 0x2000, "
                                                                "MREMAP_MAYMOVE|MREMAP_DONTUNMAP "
                                                                "<unfinished ...>\n"
                                                                "1 <... mremap resumed>) = 0x7f0000030000\n",
               steps, COUNT_OF(steps), 2 + 1 + 2 + 1 + 2);
}

/** Two calls that need each other's place: a kernel does not do that, but a damaged log may have it. The
 *  resolver terminates, and one of the places is implied to be free. */
static void test_race_in_a_circle(void **state)
{
    (void)state;
    struct replay replay = resolve(THREADS "1 " MAP("NULL", "0x1000", "", "0x7f000000a000") "1 " MAP(
        "NULL", "0x1000", "",
        "0x7f000000b000") "1 mremap(0x7f000000a000, 0x1000, 0x1000, MREMAP_MAYMOVE <unfinished ...>\n"
                          "2 mremap(0x7f000000b000, 0x1000, 0x1000, MREMAP_MAYMOVE <unfinished ...>\n"
                          "1 <... mremap resumed>) = 0x7f000000b000\n"
                          "2 <... mremap resumed>) = 0x7f000000a000\n");
    assert_int_equal(replay.script.counts.mremaps, 2);
    assert_int_equal(replay.script.counts.implied, 1);
    assert_int_equal(replay.script.note_count, 1);
    assert_int_equal(replay.script.notes[0].kind, NOTE_IMPLIED);
    assert_int_equal(replay.log.ops[replay.script.notes[0].op].line, 6); /* of thread 2, played first */
    play_all(&replay);
    replay_fini(&replay);
}

/** A chain: mapping i is at place i. Thread i moves it to place i + 1, which thread i + 1 frees. All of
 *  these calls are under way when another thread gets place 0. */
static struct replay resolve_chain(unsigned links)
{
    char *text;
    size_t length;
    FILE *log = open_memstream(&text, &length);
    assert_non_null(log);
#define PLACE(i) (UINT64_C(0x7f0000000000) + (i)*SCRIPT_PAGE)
    for (unsigned i = 0; i < links; i++)
        fprintf(log, "1 mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE, -1, 0) = 0x%" PRIx64 "\n", PLACE(i));
    for (unsigned i = 0; i < links; i++)
        fprintf(log, "%u mremap(0x%" PRIx64 ", 4096, 4096, MREMAP_MAYMOVE <unfinished ...>\n", i + 2,
                PLACE(i));
    fprintf(log, "1 mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE, -1, 0) = 0x%" PRIx64 "\n", PLACE(0));
    for (unsigned i = 0; i < links; i++)
        fprintf(log, "%u <... mremap resumed>) = 0x%" PRIx64 "\n", i + 2, PLACE(i + 1));
    fclose(log);
    struct replay replay = resolve(text);
    free(text);
    return replay;
}

/** SCRIPT_UNDER_WAY calls under way are played when their places are needed; for further calls, a place is
 *  implied to be free. The depth of the stack is bounded. */
static void test_race_of_many(void **state)
{
    (void)state;
    struct replay replay = resolve_chain(SCRIPT_UNDER_WAY);
    assert_int_equal(replay.script.note_count, 0);
    assert_int_equal(play_all(&replay).busy_segments, SCRIPT_UNDER_WAY + 1);
    replay_fini(&replay);
    replay = resolve_chain(SCRIPT_UNDER_WAY + 1);
    assert_int_equal(replay.script.counts.implied, 1);
    replay_fini(&replay);
    replay = resolve_chain(60000);
    assert_int_equal(replay.script.counts.mremaps, 60000);
    assert_true(replay.script.counts.implied > 0);
    replay_fini(&replay);
}

/** A mapping over one that the log has not unmapped. */
static void test_implied(void **state)
{
    (void)state;
    struct replay replay =
        resolve(MAP("NULL", "0x3000", "", "0x7f0000010000") MAP("NULL", "0x1000", "", "0x7f0000011000"));
    const struct expected steps[] = {
        {STEP_BEGIN, 0, 0, KVA_OK, 0},
        {STEP_ALLOC, TOP(3), 3, KVA_OK, 0},
        {STEP_CLEAR, TOP(3) + 0x1000, 1, KVA_OK, 0},
        {STEP_ALLOC, TOP(2), 1, KVA_OK, 0},
    };
    check_steps(&replay, steps, COUNT_OF(steps));
    assert_int_equal(replay.script.counts.implied, 1);
    play_all(&replay);
    replay_fini(&replay);
}

/** fork copies the space, with the heap; later changes are separate. vfork and threads share the space. */
static void test_fork(void **state)
{
    (void)state;
    struct replay replay = resolve(
        "1 brk(NULL) = 0x1000000\n"
        "1 brk(0x1001000) = 0x1001000\n"
        "1 " MAP("NULL", "0x2000", "",
                 "0x7f0000010000") "1 fork() = 2\n"
                                   "2 munmap(0x7f0000010000, 0x1000) = 0\n"
                                   "2 brk(0x1002000) = 0x1002000\n"
                                   "1 munmap(0x7f0000010000, 0x2000) = 0\n"
                                   "2 vfork() = 3\n"
                                   "3 " MAP(
                                       "NULL", "0x1000", "",
                                       "0x7f0000010000") "3 execve(\"x\", [], 0x7 /* 0 vars */) = 0\n"
                                                         "3 " MAP(
                                                             "NULL", "0x1000", "",
                                                             "0x7f0000010000") "3 +++ exited with 0 +++\n"
                                                                               "2 munmap(0x7f0000010000, "
                                                                               "0x1000) = 0\n");
    const struct expected steps[] = {
        {STEP_BEGIN, 0, 0, KVA_OK, 0},
        {STEP_RESERVE, 0x1000000, 1, KVA_OK, 0},
        {STEP_ALLOC, TOP(2), 2, KVA_OK, 0},
        {STEP_FORK, 0, 0, KVA_OK, 1},
        {STEP_CLEAR, TOP(2), 1, KVA_OK, 1},
        {STEP_RESIZE, 0x1000000, 2, KVA_OK, 1},
        {STEP_CLEAR, TOP(2), 2, KVA_OK, 0},
        {STEP_ALLOC, TOP(2), 1, KVA_OK, 1}, /* the child of vfork maps into its parent's space */
        {STEP_BEGIN, 0, 0, KVA_OK, 2},
        {STEP_ALLOC, TOP(1), 1, KVA_OK, 2},
        {STEP_END, 0, 0, KVA_OK, 2},
        {STEP_CLEAR, TOP(2), 1, KVA_OK, 1},
    };
    check_steps(&replay, steps, COUNT_OF(steps));
    struct sample end = play_all(&replay);
    assert_int_equal(end.spaces, 2);
    assert_int_equal(end.busy_segments, 1 + 2);
    assert_int_equal(end.busy_bytes, (1 + 1 + 2) * SCRIPT_PAGE);
    replay_fini(&replay);
}

/** Processes that no line introduces: with brk(NULL) or execve first, a program; otherwise a thread. */
static void test_unintroduced(void **state)
{
    (void)state;
    struct replay replay =
        resolve("1 execve(\"a\", [], 0x7 /* 0 vars */) = 0\n"
                "1 brk(NULL) = 0x1000000\n"
                "2 brk(NULL) = 0x2000000\n"
                "3 execve(\"a\", [], 0x7 /* 0 vars */) = 0\n"
                "4 " MAP("NULL", "0x1000", "", "0x7f0000010000") "5 munmap(0x7f0000010000, 0x1000) = 0\n");
    /* the first execve ends the first process's space; 4 and 5 are threads in its new space */
    const struct expected steps[] = {
        {STEP_BEGIN, 0, 0, KVA_OK, 0}, {STEP_END, 0, 0, KVA_OK, 0},        {STEP_BEGIN, 0, 0, KVA_OK, 1},
        {STEP_BEGIN, 0, 0, KVA_OK, 2}, {STEP_BEGIN, 0, 0, KVA_OK, 3},      {STEP_END, 0, 0, KVA_OK, 3},
        {STEP_BEGIN, 0, 0, KVA_OK, 4}, {STEP_ALLOC, TOP(1), 1, KVA_OK, 1}, {STEP_CLEAR, TOP(1), 1, KVA_OK, 1},
    };
    check_steps(&replay, steps, COUNT_OF(steps));
    play_all(&replay);
    replay_fini(&replay);
}

/** Large mappings: no room below the mmap base, then anywhere, then nowhere. */
static void test_refused(void **state)
{
    (void)state;
    struct replay replay =
        resolve(MAP("NULL", "0x7ffff8000000", "", "0x10000") "munmap(0x10000, 0x7ffff8000000) = 0\n" MAP(
            "NULL", "0x7ffffffe0000", "", "0x10000")
                    MAP("NULL", "0x800000000000", "", "0x10000") "munmap(0x10000, 4096) = 0\n");
    const struct expected steps[] = {
        {STEP_BEGIN, 0, 0, KVA_OK, 0},
        {STEP_ALLOC, 0, 0x7ffff8000, KVA_ENOSPC, 0},
        {STEP_ALLOC_HIGH, 0x7fff000, 0x7ffff8000, KVA_OK, 0},
        {STEP_CLEAR, 0x7fff000, 0x7ffff8000, KVA_OK, 0},
        {STEP_ALLOC, 0, 0x7ffffffe0, KVA_ENOSPC, 0},
        {STEP_ALLOC_HIGH, 0x1f000, 0x7ffffffe0, KVA_OK, 0},
        {STEP_CLEAR, 0x1f000, 0x7ffffffe0, KVA_OK, 0}, /* implied */
        {STEP_ALLOC, 0, 0x800000000, KVA_ENOSPC, 0},
        {STEP_ALLOC_HIGH, 0, 0x800000000, KVA_ENOSPC, 0},
    };
    check_steps(&replay, steps, COUNT_OF(steps));
    const struct script_counts *counts = &replay.script.counts;
    assert_int_equal(counts->mmaps, 3);
    assert_int_equal(counts->refused, 1);
    assert_int_equal(counts->implied, 1);
    assert_int_equal(counts->unknown, 1);
    static const struct {
        enum script_note_kind kind;
        unsigned line;
    } notes[] = {{NOTE_IMPLIED, 4}, {NOTE_REFUSED, 4}, {NOTE_UNKNOWN, 5}};
    assert_int_equal(replay.script.note_count, COUNT_OF(notes));
    for (size_t i = 0; i < COUNT_OF(notes); i++) {
        assert_int_equal(replay.script.notes[i].kind, notes[i].kind);
        assert_int_equal(replay.log.ops[replay.script.notes[i].op].line, notes[i].line);
    }
    assert_int_equal(play_all(&replay).busy_segments, 0);
    replay_fini(&replay);
}

/** Calls that failed or never returned are counted, and change nothing. */
static void test_skipped(void **state)
{
    (void)state;
    struct replay replay =
        resolve("mmap(NULL, 1, PROT_NONE, MAP_PRIVATE, 3, 0) = -1 ENOMEM (Cannot allocate memory)\n"
                "munmap(0x1000, 1) = ?\n"
                "mprotect(0x1000, 1, PROT_NONE) = 0\n"
                "fork() = -1 EAGAIN (Resource temporarily unavailable)\n");
    assert_int_equal(replay.script.calls, 0);
    assert_int_equal(replay.script.counts.failed, 3);
    assert_int_equal(replay.script.counts.mprotects, 1);
    replay_fini(&replay);
}

/** Samples: the crumbs are the small holes between mappings; the samples are spread over the calls. */
static void test_samples(void **state)
{
    (void)state;
    struct replay replay =
        resolve(MAP("0x400000", "0x4000", "|MAP_FIXED", "0x400000")
                    MAP("0x406000", "0x1000", "|MAP_FIXED", "0x406000") /* a hole of 2 pages */
                MAP("0x40d000", "0x1000", "|MAP_FIXED", "0x40d000")     /* of 6; 6 pages are busy */
                MAP("0x410000", "0x1000", "|MAP_FIXED", "0x410000") /* of 2; now 7 pages are busy */);
    struct player *player = player_create(&replay.log, &replay.script, kva_engine_by_name("rb"));
    struct sample samples[3];
    struct observed observed;
    char message[PLAYER_MESSAGE];
    assert_non_null(player);
    assert_int_equal(player_observe(player, samples, 3, &observed, message), PLAYED_OK);
    assert_int_equal(observed.sample_count, 3);
    assert_int_equal(samples[0].calls, 1);
    assert_int_equal(samples[1].calls, 2);
    assert_int_equal(samples[1].crumbs, 1);
    assert_int_equal(samples[1].crumb_bytes, 2 * SCRIPT_PAGE);
    assert_int_equal(samples[2].calls, 4);
    assert_int_equal(samples[2].crumbs, 3);
    assert_int_equal(samples[2].crumb_bytes, 10 * SCRIPT_PAGE);
    assert_int_equal(samples[2].free_segments, 5);
    assert_int_equal(samples[2].largest_hole, SCRIPT_LAST - 0x411000 + 1);
    uint64_t free_bytes = SCRIPT_LAST - SCRIPT_FIRST + 1 - 7 * SCRIPT_PAGE;
    assert_int_equal(samples[2].free_bytes, free_bytes);
    assert_true(sample_fragmentation(&samples[2]) ==
                1 - (double)samples[2].largest_hole / (double)free_bytes);
    assert_int_equal(observed.peak_segments, 4);
    assert_int_equal(observed.peak_segments_one, 9);
    assert_int_equal(observed.peak_busy_bytes, 7 * SCRIPT_PAGE);
    assert_int_equal(observed.least_largest_hole, samples[2].largest_hole);
    player_destroy(player);
    replay_fini(&replay);
}

/** A result that differs from the script is detected; this test changes the script. */
static void test_mismatch(void **state)
{
    (void)state;
    struct replay replay = resolve(MAP("NULL", "0x1000", "", "0x7f0000010000"));
    struct player *player;
    struct sample sample;
    struct observed observed;
    char message[PLAYER_MESSAGE] = "";
    uint64_t ns;
    replay.script.steps[1].start -= SCRIPT_PAGE;
    player = player_create(&replay.log, &replay.script, kva_engine_by_name("scan"));
    assert_non_null(player);
    assert_int_equal(player_observe(player, &sample, 1, &observed, message), PLAYED_WRONG);
    assert_string_equal(message, "line 1 of the log: kva_alloc, 4096 bytes: expected KVA_OK, 0x7ffff7ffd000, "
                                 "but it returned KVA_OK, 0x7ffff7ffe000");
    message[0] = '\0';
    assert_int_equal(player_measure(player, &ns, message), PLAYED_WRONG);
    assert_non_null(strstr(message, "0x7ffff7ffd000"));
    replay.script.steps[1].start += SCRIPT_PAGE;
    replay.script.steps[1].status = KVA_ENOSPC;
    assert_int_equal(player_measure(player, &ns, message), PLAYED_WRONG);
    assert_non_null(strstr(message, "expected KVA_ENOSPC"));
    player_destroy(player);
    replay_fini(&replay);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixed_replace),
        cmocka_unit_test(test_fixed_across),
        cmocka_unit_test(test_displaced),
        cmocka_unit_test(test_hints),
        cmocka_unit_test(test_munmap_across_holes),
        cmocka_unit_test(test_mremap),
        cmocka_unit_test(test_mremap_move),
        cmocka_unit_test(test_mremap_unknown),
        cmocka_unit_test(test_own_mappings_between_stay),
        cmocka_unit_test(test_distances),
        cmocka_unit_test(test_mremap_no_growth),
        cmocka_unit_test(test_break_jumps),
        cmocka_unit_test(test_brk),
        cmocka_unit_test(test_programs),
        cmocka_unit_test(test_resumed),
        cmocka_unit_test(test_race_of_mremap),
        cmocka_unit_test(test_race_of_tails),
        cmocka_unit_test(test_race_of_three),
        cmocka_unit_test(test_no_race),
        cmocka_unit_test(test_race_in_a_circle),
        cmocka_unit_test(test_race_of_many),
        cmocka_unit_test(test_implied),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_unintroduced),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_skipped),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_mismatch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
