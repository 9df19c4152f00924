/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The programs that fuzzing has found worth keeping are played again in each run of the tests, without a fuzzer;
 * and so are random ones.
 */
#define _DEFAULT_SOURCE
#include "../common/harness.h"
#include "play.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 1 << 14 };

static size_t play_file(const char *folder, const char *name)
{
    static uint8_t bytes[MOST];
    char path[4096];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    check_that(file != NULL, "cannot open %s", path);
    size_t count = fread(bytes, 1, sizeof(bytes), file);
    (void)fclose(file);
    return play_bytes(bytes, count);
}

static void the_corpus(void **state)
{
    DIR *folder = opendir(KVA_CORPUS);
    size_t operations = 0;
    size_t files = 0;
    (void)state;

    check_that(folder != NULL, "cannot open %s", KVA_CORPUS);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        operations += play_file(KVA_CORPUS, entry->d_name);
        files++;
    }
    closedir(folder);
    print_message("%zu programs, %zu operations\n", files, operations);
    assert_true(files > 0);
}

static void random_programs(void **state)
{
    enum { BYTES = 1500 };
    uint64_t programs = test_scaled(80);
    size_t operations = 0;
    uint8_t bytes[BYTES];
    struct test_rng rng = test_rng_of(700);
    (void)state;

    for (uint64_t i = 0; i < programs; i++) {
        for (size_t k = 0; k < BYTES; k++)
            bytes[k] = (uint8_t)test_random(&rng);
        operations += play_bytes(bytes, BYTES);
    }
    print_message("%" PRIu64 " programs, %zu operations\n", programs, operations);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_corpus),
        cmocka_unit_test(random_programs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
