/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Broken logs of all kinds: windows cut out of the shipped traces, with lines and bytes changed at random.
 * Whatever comes of it, reading must end with a log or with an error that has a place, and a log that was
 * read must be played alike by every engine. What this cannot see by itself, the sanitizers see.
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

/** Cut a window of whole lines out of a trace; its length. The buffer has room for WINDOW bytes. */
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

/** Exchange two lines' worth of bytes: what is resumed may come before it begins. */
static void swap_blocks(char *buffer, size_t length, struct test_rng *rng)
{
    char block[128];
    size_t a = (size_t)test_below(rng, length - sizeof block);
    size_t b = (size_t)test_below(rng, length - sizeof block);
    memcpy(block, buffer + a, sizeof block);
    memmove(buffer + a, buffer + b, sizeof block);
    memcpy(buffer + b, block, sizeof block);
}

/** Change digits into other digits: most such logs can still be read, and make little sense. */
static void change_digits(char *buffer, size_t length, struct test_rng *rng)
{
    static const char hex[] = "0123456789abcdef";
    for (int tries = 0; tries < 40; tries++) {
        size_t at = (size_t)test_below(rng, length);
        if (buffer[at] >= '0' && buffer[at] <= '9')
            buffer[at] = hex[test_below(rng, test_one_in(rng, 4) ? 16 : 10)];
    }
}

/** Take some lines out, whole. */
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

/** Play a log on every engine; the default one has resolved it. */
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

/** Read what may be a log. True if it was one. */
static bool try_log(char *buffer, size_t length)
{
    struct strace_log log;
    struct strace_error error;
    FILE *in = fmemopen(buffer, length, "r");
    assert_non_null(in);
    bool good = strace_read(in, true, &log, &error);
    fclose(in);
    if (!good) {
        assert_false(error.refused);
        assert_true(error.column >= 1 && error.line >= 1 && error.message[0] != '\0');
        assert_true(error.caret < sizeof error.excerpt);
        return false;
    }
    play(&log);
    strace_log_fini(&log);
    return true;
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
    assert_true(read > 0 && refused > 0); /* else the mutations are too wild, or too tame */
}

/** Every beginning of a log is refused, or is a log: none is played half. */
static void test_beginnings(void **state)
{
    (void)state;
    struct trace trace = load("gcc");
    unsigned logs = 0;
    struct strace_log whole;
    struct strace_error error;
    FILE *in = fmemopen(trace.bytes, trace.length, "r");
    assert_non_null(in);
    assert_true(strace_read(in, true, &whole, &error));
    fclose(in);
    for (size_t length = 1; length < 3000; length++) {
        struct strace_log log;
        bool ends = trace.bytes[length - 1] == '\n';
        in = fmemopen(trace.bytes, length, "r");
        assert_non_null(in);
        bool good = strace_read(in, true, &log, &error);
        fclose(in);
        /* between two lines a call may be under way: that is no end of a log, either */
        check_that(good ? ends : strstr(error.message, ends ? "never ends" : "cut off") != NULL,
                   "%zu bytes: %s", length, error.message);
        logs += good ? 1 : 0;
        for (size_t i = 0; i < log.count; i++)
            assert_true(log.ops[i].line == whole.ops[i].line && log.ops[i].call == whole.ops[i].call &&
                        log.ops[i].result == whole.ops[i].result);
        strace_log_fini(&log);
    }
    assert_true(logs > 10);
    strace_log_fini(&whole);
    free(trace.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mutations), cmocka_unit_test(test_beginnings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
