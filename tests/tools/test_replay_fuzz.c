/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Broken logs of all kinds: windows of the traces, with lines and bytes changed at random. Strict reading
 * must end with a log, or with an error that has a place. Tolerant reading must end with a log if at least
 * one line is understood. Both read the same from a log that both accept. Every engine must play the log
 * alike. The sanitizers find other errors.
 */
#define _GNU_SOURCE /* fmemopen, memrchr */
#include "common/harness.h"
#include "replay/player.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW 12000 /* bytes: about a hundred lines */

static const char *const names[] = {"gcc", "python", "postgres", "redis"};

#define TRACES (sizeof names / sizeof names[0])

struct trace {
    char *bytes;
    size_t length;
};

/** The traces are in ../traces, as seen from this file. */
static struct trace load(const char *name)
{
    char path[4096];
    const char *slash = strrchr(__FILE__, '/');
    assert_non_null(slash);
    snprintf(path, sizeof path, "%.*s/../traces/%s.strace", (int)(slash - __FILE__), __FILE__, name);
    FILE *in = fopen(path, "r");
    check_that(in != NULL, "cannot open %s", path);
    assert_int_equal(fseek(in, 0, SEEK_END), 0);
    struct trace trace = {.length = (size_t)ftell(in)};
    rewind(in);
    trace.bytes = malloc(trace.length);
    assert_non_null(trace.bytes);
    assert_int_equal(fread(trace.bytes, 1, trace.length, in), trace.length);
    fclose(in);
    return trace;
}

/** Copy a window of whole lines of a trace; returns its length. The buffer has WINDOW bytes. */
static size_t cut(const struct trace *trace, struct test_rng *rng, char *buffer)
{
    size_t begin = (size_t)test_below(rng, trace->length - WINDOW);
    memcpy(buffer, trace->bytes + begin, WINDOW);
    const char *first = memchr(buffer, '\n', WINDOW);
    const char *last = memrchr(buffer, '\n', WINDOW);
    size_t length = (size_t)(last - first);
    memmove(buffer, first + 1, length);
    return length;
}

/** Exchange two blocks of about a line: a call may be resumed before it begins. */
static void swap_blocks(char *buffer, size_t length, struct test_rng *rng)
{
    char block[128];
    size_t a = (size_t)test_below(rng, length - sizeof block);
    size_t b = (size_t)test_below(rng, length - sizeof block);
    memcpy(block, buffer + a, sizeof block);
    memmove(buffer + a, buffer + b, sizeof block);
    memcpy(buffer + b, block, sizeof block);
}

/** Change digits into other digits: most such logs can still be read, but make little sense. */
static void change_digits(char *buffer, size_t length, struct test_rng *rng)
{
    static const char hex[] = "0123456789abcdef";
    for (int tries = 0; tries < 40; tries++) {
        size_t at = (size_t)test_below(rng, length);
        if (buffer[at] >= '0' && buffer[at] <= '9')
            buffer[at] = hex[test_below(rng, test_one_in(rng, 4) ? 16 : 10)];
    }
}

/** Remove some whole lines. */
static size_t drop_lines(char *buffer, size_t length, struct test_rng *rng)
{
    size_t at = (size_t)test_below(rng, length);
    char *begin = memrchr(buffer, '\n', at);
    char *end = memchr(buffer + at, '\n', length - at);
    if (begin == NULL || end == NULL)
        return length;
    memmove(begin, end, length - (size_t)(end - buffer));
    return length - (size_t)(end - begin);
}

static size_t mutate(char *buffer, size_t length, struct test_rng *rng)
{
    uint64_t times = test_below(rng, 4);
    for (uint64_t i = 0; i < times; i++) {
        switch (test_below(rng, 5)) {
        case 0:
            buffer[test_below(rng, length)] = (char)test_below(rng, 256);
            break;
        case 1:
            swap_blocks(buffer, length, rng);
            break;
        case 2:
            length = drop_lines(buffer, length, rng);
            break;
        default:
            change_digits(buffer, length, rng);
        }
    }
    return length;
}

/** Play a log on every engine; the default engine has resolved it. */
static void play(const struct strace_log *log)
{
    const struct kva_engine *engine;
    struct script script;
    char message[256] = "";
    bool wrong;
    check_that(script_resolve(log, &script, message, &wrong), "%s", message);
    for_each_engine (engine, index) {
        struct player *player = player_create(log, &script, engine);
        struct sample samples[4];
        struct observed observed;
        assert_non_null(player);
        enum played played = player_observe(player, samples, 4, &observed, message);
        check_that(played == PLAYED_OK, "%s: %s", test_engine_name(index), message);
        player_destroy(player);
    }
    script_fini(&script);
}

static bool read_log(char *buffer, size_t length, bool strict, struct strace_log *log,
                     struct strace_error *error)
{
    FILE *in = fmemopen(buffer, length, "r");
    assert_non_null(in);
    bool good = strace_read(in, strict, log, error);
    fclose(in);
    return good;
}

/** A strict reader accepted the log: the tolerant one read the same, and skipped nothing. */
static void check_same(const struct strace_log *strict, const struct strace_log *tolerant)
{
    assert_int_equal(strace_skipped_lines(tolerant), 0);
    assert_int_equal(strict->count, tolerant->count);
    assert_int_equal(strict->others, tolerant->others);
    assert_int_equal(strict->signals, tolerant->signals);
    if (strict->count != 0)
        assert_memory_equal(strict->ops, tolerant->ops, strict->count * sizeof *strict->ops);
}

/** A strict reader refused the log, at `place`: the tolerant one skipped a line there or before. */
static void check_skipped(const struct strace_log *log, const struct strace_error *place)
{
    bool skipped_it = false;
    for (enum strace_odd odd = 0; odd < STRACE_ODDS; odd++) {
        const struct strace_skipped *skipped = &log->skipped[odd];
        if (skipped->lines == 0)
            continue;
        assert_true(skipped->first.line >= 1 && skipped->first.line <= log->lines);
        assert_true(skipped->first.column >= 1 && skipped->first.message[0] != '\0');
        skipped_it = skipped_it || skipped->first.line <= place->line;
    }
    assert_true(skipped_it);
}

/** Read a text in both ways. True: the strict reader accepted it. */
static bool try_log(char *buffer, size_t length)
{
    struct strace_log strict, tolerant;
    struct strace_error error, ignored;
    bool good = read_log(buffer, length, true, &strict, &error);
    /* the mutations leave some of a hundred lines unchanged */
    assert_true(read_log(buffer, length, false, &tolerant, &ignored));
    if (good) {
        check_same(&strict, &tolerant);
    } else {
        assert_false(error.refused);
        assert_true(error.column >= 1 && error.line >= 1 && error.message[0] != '\0');
        assert_true(error.caret < sizeof error.excerpt);
        check_skipped(&tolerant, &error);
    }
    play(&tolerant);
    strace_log_fini(&tolerant);
    strace_log_fini(&strict);
    return good;
}

static void test_mutations(void **state)
{
    (void)state;
    struct test_rng rng = test_rng_of(71);
    uint64_t read = 0;
    uint64_t refused = 0;
    char *buffer = malloc(WINDOW);
    assert_non_null(buffer);
    for (size_t i = 0; i < TRACES; i++) {
        struct trace trace = load(names[i]);
        for (uint64_t n = test_scaled(600); n > 0; n--) {
            size_t length = mutate(buffer, cut(&trace, &rng, buffer), &rng);
            if (try_log(buffer, length))
                read++;
            else
                refused++;
        }
        free(trace.bytes);
    }
    free(buffer);
    print_message("%" PRIu64 " logs were played, %" PRIu64 " refused\n", read, refused);
    assert_true(read > 0 && refused > 0); /* else the mutations change too much or too little */
}

/** Random words: the result is an error, or a log of a few calls, but never a refusal of the system. */
static void test_noise(void **state)
{
    (void)state;
    static const char *const words[] = {"brk(",
                                        "mmap(",
                                        "NULL",
                                        ") = ",
                                        "0x1000",
                                        "4096",
                                        ", ",
                                        "<... ",
                                        " resumed>",
                                        "\n",
                                        "7 ",
                                        "[pid",
                                        "] ",
                                        "+++ ",
                                        "1.5 ",
                                        "munmap(",
                                        "\r",
                                        "\0",
                                        "strace: Process ",
                                        " attached",
                                        " <unfinished ...>",
                                        "#",
                                        " > ",
                                        "0"};
    struct test_rng rng = test_rng_of(72);
    char buffer[1024];
    for (uint64_t n = test_scaled(20000); n > 0; n--) {
        struct strace_log log;
        struct strace_error error;
        size_t length = 0;
        for (uint64_t i = 1 + test_below(&rng, 60); i > 0; i--)
            length += (size_t)sprintf(buffer + length, "%s",
                                      words[test_below(&rng, sizeof words / sizeof words[0])]);
        if (length == 0)
            continue; /* fmemopen needs a byte */
        if (read_log(buffer, length, test_one_in(&rng, 4), &log, &error)) {
            play(&log);
            strace_log_fini(&log);
        } else {
            assert_true(!error.refused && error.message[0] != '\0');
        }
    }
}

/** A tolerant reader takes from the beginning of a log the operations of the whole log, except calls
 *  without an end, and at most one whose result, a number, may be cut. */
static void check_beginning(const struct strace_log *log, const struct strace_log *whole)
{
    unsigned cut = 0;
    for (size_t i = 0; i < log->count; i++) {
        const struct strace_op *op = &log->ops[i];
        if (op->outcome == STRACE_NEVER || op->call == STRACE_OTHER)
            continue;
        assert_true(op->line == whole->ops[i].line && op->call == whole->ops[i].call);
        cut += op->result != whole->ops[i].result && op->call != STRACE_UNDER_WAY ? 1 : 0;
    }
    assert_true(cut <= 1);
}

/** A strict reader refuses every beginning of a log, or accepts it whole. A tolerant reader takes all
 *  whole lines, and skips at most the last line, or calls under way. */
static void test_beginnings(void **state)
{
    (void)state;
    struct trace trace = load("gcc");
    unsigned logs = 0;
    struct strace_log whole;
    struct strace_error error;
    assert_true(read_log(trace.bytes, trace.length, true, &whole, &error));
    for (size_t length = 1; length < 3000; length++) {
        struct strace_log log;
        bool ends = trace.bytes[length - 1] == '\n';
        bool good = read_log(trace.bytes, length, true, &log, &error);
        /* at the end of a line a call may be under way: the log is not whole */
        check_that(good ? ends : strstr(error.message, ends ? "never ends" : "cut off") != NULL,
                   "%zu bytes: %s", length, error.message);
        logs += good ? 1 : 0;
        for (size_t i = 0; i < log.count; i++)
            assert_true(log.ops[i].line == whole.ops[i].line && log.ops[i].call == whole.ops[i].call &&
                        log.ops[i].result == whole.ops[i].result);
        strace_log_fini(&log);
        if (!read_log(trace.bytes, length, false, &log, &error)) {
            assert_null(memchr(trace.bytes, '\n', length)); /* not one whole line */
            continue;
        }
        check_beginning(&log, &whole);
        assert_true(strace_skipped_lines(&log) ==
                    log.skipped[STRACE_ODD_UNFINISHED].lines + log.skipped[STRACE_ODD_CUT].lines);
        assert_true(log.skipped[STRACE_ODD_CUT].lines <= (ends ? 0u : 1u));
        strace_log_fini(&log);
    }
    assert_true(logs > 10);
    strace_log_fini(&whole);
    free(trace.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mutations), cmocka_unit_test(test_noise),
                                       cmocka_unit_test(test_beginnings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
