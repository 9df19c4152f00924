/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Programs kept from coverage-guided fuzzing are played in each run of the tests, without a fuzzer, and so
 * are random ones. On spaces (play.h) and on frame sets (play_frames.h).
 */
#define _DEFAULT_SOURCE
#include "../common/harness.h"
#include "play.h"
#include "play_frames.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 1 << 14 };

typedef size_t player(const uint8_t *bytes, size_t count);

static size_t play_file(player *play, const char *folder, const char *name)
{
    static uint8_t bytes[MOST];
    char path[4096];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    check_that(file != NULL, "cannot open %s", path);
    size_t count = fread(bytes, 1, sizeof(bytes), file);
    (void)fclose(file);
    return play(bytes, count);
}

static void play_folder(player *play, const char *path)
{
    DIR *folder = opendir(path);
    size_t operations = 0;
    size_t files = 0;

    check_that(folder != NULL, "cannot open %s", path);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        operations += play_file(play, path, entry->d_name);
        files++;
    }
    closedir(folder);
    print_message("%zu programs, %zu operations\n", files, operations);
    assert_true(files > 0);
}

/** Make the header of a program enable the calls of ranges.h and evict.h: without alignment classes, that is
 * in the fourth byte or the fifth. */
static void want_ranges(uint8_t *bytes)
{
    bytes[2] &= 0xfd;
    bytes[3] |= 12;
    bytes[4] |= 12;
}

/** Random programs whose first byte has these bits set. */
static void play_random(player *play, uint64_t programs, uint64_t stream, uint8_t set, bool ranges)
{
    enum { BYTES = 1500 };
    size_t operations = 0;
    uint8_t bytes[BYTES];
    struct test_rng rng = test_rng_of(stream);

    for (uint64_t i = 0; i < programs; i++) {
        for (size_t k = 0; k < BYTES; k++)
            bytes[k] = (uint8_t)test_random(&rng);
        bytes[0] |= set;
        if (ranges)
            want_ranges(bytes);
        operations += play(bytes, BYTES);
    }
    print_message("%" PRIu64 " programs, %zu operations\n", programs, operations);
}

static void the_corpus(void **state)
{
    (void)state;
    play_folder(play_bytes, KVA_CORPUS);
}

static void random_programs(void **state)
{
    (void)state;
    play_random(play_bytes, test_scaled(80), 700, 0, false);
}

/* All headers enable shapes, policies and filters; by chance only every fourth does. */
static void random_programs_with_choices(void **state)
{
    (void)state;
    play_random(play_bytes, test_scaled(80), 702, 0xc0, false);
}

/* With the calls of ranges.h and evict.h. */
static void random_programs_with_ranges(void **state)
{
    (void)state;
    play_random(play_bytes, test_scaled(80), 703, 0, true);
    play_random(play_bytes, test_scaled(80), 704, 0xc0, true);
}

static void the_corpus_of_frames(void **state)
{
    (void)state;
    play_folder(play_frames, KVA_CORPUS_FRAMES);
}

static void random_programs_of_frames(void **state)
{
    (void)state;
    play_random(play_frames, test_scaled(60), 701, 0, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_corpus),
        cmocka_unit_test(random_programs),
        cmocka_unit_test(random_programs_with_choices),
        cmocka_unit_test(random_programs_with_ranges),
        cmocka_unit_test(the_corpus_of_frames),
        cmocka_unit_test(random_programs_of_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
