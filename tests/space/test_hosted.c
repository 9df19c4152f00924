/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Spaces that the library creates: create, destroy, the host's node memory, and how corruption ends a
 * program. */
#define _GNU_SOURCE
#include "../common/harness.h"
#include "../common/picture.h"
#include "../common/vmap.h"

#include <kva/deferred.h>
#include <kva/engine.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/engine.h"
#include "../../ports/test/failing_memory.h"

#define MIB (UINT64_C(1) << 20)

static void a_configuration_with_only_an_end(void **state)
{
    struct kva_config config = {0};
    struct kva_space *space = NULL;
    struct kva_request request = kva_request_of(100);
    uint64_t start;
    (void)state;

    config.last = 999;
    assert_int_equal(kva_space_create(&config, &space), KVA_OK);
    assert_non_null(space);
    assert_int_equal(kva_alloc(space, &request, &start), KVA_OK);
    assert_int_equal(start, 0);

    assert_int_equal(kva_space_destroy(space), KVA_EBUSY); /* the space is unchanged and still usable */
    test_expect_sound(space, 0, 999);
    assert_int_equal(kva_resize(space, 0, 200), KVA_OK);
    assert_int_equal(kva_free(space, 0), KVA_OK);
    assert_int_equal(kva_space_destroy(space), KVA_OK);
}

static void bad_configurations_make_no_space(void **state)
{
    struct kva_failing_memory memory;
    struct kva_config config = {0};
    struct kva_space *const untouched = (struct kva_space *)(void *)&memory;
    struct kva_space *space = untouched;
    (void)state;

    config.last = 999;
    assert_int_equal(kva_space_create(NULL, &space), KVA_ENULL);
    assert_int_equal(kva_space_create(&config, NULL), KVA_ENULL);
    config.quantum = 3;
    assert_int_equal(kva_space_create(&config, &space), KVA_EALIGN);
    config.quantum = 0;
    config.first = 1000;
    assert_int_equal(kva_space_create(&config, &space), KVA_ERANGE);
    config.first = 0;
    config.memory = kva_failing_memory_init(&memory);
    config.memory.give = NULL; /* half a source is an error, not a request for the host's */
    assert_int_equal(kva_space_create(&config, &space), KVA_ENULL);
    config.memory = kva_failing_memory_init(&memory);
    kva_failing_memory_fail(&memory, 1, true);
    assert_int_equal(kva_space_create(&config, &space), KVA_ENOMEM);
    assert_int_equal(memory.blocks, 0);
    assert_ptr_equal(space, untouched);
    assert_int_equal(kva_space_destroy(NULL), KVA_ENULL);
}

static void the_callers_source_is_used(void **state)
{
    struct kva_failing_memory memory;
    struct kva_config config = {0};
    struct kva_space *space;
    (void)state;

    config.last = UINT64_MAX;
    config.memory = kva_failing_memory_init(&memory);
    assert_int_equal(kva_space_create(&config, &space), KVA_OK);
    assert_true(memory.blocks > 0);
    assert_int_equal(kva_space_destroy(space), KVA_OK);
    assert_int_equal(memory.blocks, 0);
}

/* Two steps end a space that is not empty: abandon its contents, then free the space itself. */
static void an_abandoned_space_can_be_destroyed(void **state)
{
    struct kva_config config = {.last = UINT64_MAX};
    struct kva_space *space;
    (void)state;

    assert_int_equal(kva_space_create(&config, &space), KVA_OK);
    assert_int_equal(kva_reserve(space, 5, 5, NULL, NULL), KVA_OK);
    assert_int_equal(kva_space_destroy(space), KVA_EBUSY);
    assert_int_equal(kva_space_abandon(space), KVA_OK);
    assert_int_equal(kva_space_destroy(space), KVA_OK);
}

static void count_flush(void *context, uint64_t start, uint64_t last)
{
    (void)start;
    (void)last;
    (*(unsigned *)context)++;
}

/* 32 MiB for each binary digit of the number of CPUs that are online. */
static void the_limit_grows_with_the_processors(void **state)
{
    struct kva_config config = {0};
    struct kva_space *space;
    unsigned flushes = 0;
    uint64_t limit = 0;
    (void)state;

    for (long rest = sysconf(_SC_NPROCESSORS_ONLN); rest > 0; rest /= 2)
        limit += 32 * MIB;
    config.last = UINT64_MAX;
    config.flush = count_flush;
    config.flush_context = &flushes;
    assert_int_equal(kva_space_create(&config, &space), KVA_OK);
    assert_int_equal(kva_reserve(space, 0, limit, NULL, NULL), KVA_OK);
    assert_int_equal(kva_reserve(space, limit, 1, NULL, NULL), KVA_OK);
    assert_int_equal(kva_free_deferred(space, 0), KVA_OK);
    assert_int_equal(flushes, 0);
    assert_int_equal(kva_free_deferred(space, limit), KVA_OK);
    assert_int_equal(flushes, 1);
    assert_int_equal(kva_space_destroy(space), KVA_OK);
}

/* Blocks of all sizes, live at the same time, are aligned, writable throughout, and disjoint. */
static void blocks_of_the_host_are_aligned_and_disjoint(void **state)
{
    static const size_t sizes[] = {1,       100,           4096,    (2 << 20) - 1,
                                   2 << 20, (2 << 20) + 1, 4 << 20, (4 << 20) + 4096};
    enum { COUNT = sizeof(sizes) / sizeof(sizes[0]) };
    struct kva_memory memory = kva_memory_host();
    unsigned char *blocks[COUNT];
    (void)state;

    for (size_t i = 0; i < COUNT; i++) {
        blocks[i] = memory.take(memory.context, sizes[i]);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % _Alignof(max_align_t), 0);
        memset(blocks[i], (int)i + 1, sizes[i]);
    }
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(blocks[i][0], i + 1);
        assert_int_equal(blocks[i][sizes[i] / 2], i + 1);
        assert_int_equal(blocks[i][sizes[i] - 1], i + 1);
    }
    for (size_t i = 0; i < COUNT; i++)
        memory.give(memory.context, blocks[i], sizes[i]);
}

static void absurd_sizes_are_refused(void **state)
{
    struct kva_memory memory = kva_memory_host();
    size_t huge_page = (size_t)2 << 20;
    (void)state;
    assert_null(memory.take(memory.context, SIZE_MAX - huge_page + 1));
    assert_null(memory.take(memory.context, SIZE_MAX / huge_page * huge_page - 2 * huge_page));
}

/* ---------------------------------------------------------------------------------------- the environment */

/** The form of a hosted space with the given engine, or NULL, when the environment asks for a form. */
static const char *form_chosen(const struct kva_engine *engine, const char *asked)
{
    struct kva_config config = {.last = 99, .engine = engine};
    struct kva_space *space;

    if (asked)
        assert_int_equal(setenv("KVA_SIMD", asked, 1), 0);
    else
        assert_int_equal(unsetenv("KVA_SIMD"), 0);
    assert_int_equal(kva_space_create(&config, &space), KVA_OK);
    const char *name = space->map->engine->name;
    assert_int_equal(kva_space_destroy(space), KVA_OK);
    return name;
}

/* The requested form is used where the machine supports it; otherwise, and for unknown words, the best
 * form. */
static void the_environment_selects_a_form(void **state)
{
    static const struct kva_engine *const engines[] = {NULL, &kva_engine_bt};
    bool has_avx2 = kva_engine_by_name("bt-avx2") != NULL;
    (void)state;

    for (size_t e = 0; e < 2; e++) {
        const struct kva_engine *engine = engines[e];
        const char *best = form_chosen(engine, NULL);
        assert_memory_equal(best, "bt-", 3);
        assert_string_equal(form_chosen(engine, "scalar"), "bt-scalar");
        assert_string_equal(form_chosen(engine, "avx2"), has_avx2 ? "bt-avx2" : best);
        assert_string_equal(form_chosen(engine, "avx512"), best);
        assert_string_equal(form_chosen(engine, ""), best);
        assert_string_equal(form_chosen(engine, "scalars"), best);
        assert_string_equal(form_chosen(engine, "scala"), best);
    }
    /* The environment does not change an engine without forms, or an explicit form. */
    assert_string_equal(form_chosen(&kva_engine_rb, "scalar"), "rb");
    assert_string_equal(form_chosen(kva_engine_bt_form("scalar"), "avx2"), "bt-scalar");
    assert_int_equal(unsetenv("KVA_SIMD"), 0);
}

/* --------------------------------------------------------------------------------------------- corruption */

/** An engine that has lost a segment: a lookup finds it by its address, but it cannot be released. */
static enum kva_status release_nothing(struct kva_address_map *map, uint64_t start)
{
    (void)map;
    (void)start;
    return KVA_ENOENT;
}

static struct kva_engine broken_engine;

static const struct kva_engine *break_engine(void)
{
    broken_engine = kva_engine_scan;
    broken_engine.free = release_nothing;
    return &broken_engine;
}

static void say_own_words(void *context, const struct kva_fault *fault)
{
    (void)fault;
    fputs(context, stderr);
    _exit(0);
}

static int corrupt_a_space(void *context)
{
    struct kva_config config = {.last = 0xffff, .quantum = 0x1000, .engine = break_engine()};
    struct kva_space *space;

    config.on_corruption = context ? say_own_words : NULL;
    config.hook_context = context;
    child_that(kva_space_create(&config, &space) == KVA_OK);
    child_that(kva_reserve(space, 0x3000, 0x1000, NULL, NULL) == KVA_OK);
    (void)kva_free(space, 0x3000);
    return 1; /* not reached */
}

static int corrupt_a_space_without_hooks(void *context)
{
    static struct kva_space space;
    struct kva_config config = {.last = 0xffff, .quantum = 0x1000, .engine = break_engine()};

    (void)context;
    config.memory = kva_memory_host();
    child_that(kva_space_init(&space, &config) == KVA_OK);
    child_that(kva_reserve(&space, 0x3000, 0x1000, NULL, NULL) == KVA_OK);
    (void)kva_free(&space, 0x3000);
    return 1; /* not reached */
}

static int corrupt_an_instance(void *context)
{
    struct kva_vm_config config = {.reservation = 64 * MIB, .engine = break_engine()};
    struct kva_vm *vm;

    config.on_corruption = context ? say_own_words : NULL;
    config.hook_context = context;
    child_that(kva_vm_create(&config, &vm) == KVA_OK);
    child_that(kva_vfree(vm, kva_vmalloc(vm, 1)) == KVA_OK);
    (void)kva_vm_purge(vm);
    return 1; /* not reached */
}

/* By default one line reports what is broken, where, and at which address; then the program aborts. */
static void corruption_is_reported_before_the_abort(void **state)
{
    static const char line[] =
        "kva: kva_free: I6: a busy segment is found by one lookup and not by another, at 0x";
    static const char in_vmap[] = "kva: release_place: V1: an area has no segment, at 0x";
    (void)state;
    struct test_child child = test_in_child(corrupt_a_space, NULL);
    assert_int_not_equal(child.signal, 0);
    check_that(strncmp(child.text, line, strlen(line)) == 0, "\"%s\" expected, found: %s", line, child.text);
    check_that(strncmp(child.text + strlen(line), "0000000000003000\n", 17) == 0,
               "address 0x3000 expected, found: %s", child.text);

    child = test_in_child(corrupt_an_instance, NULL);
    assert_int_not_equal(child.signal, 0);
    check_that(strncmp(child.text, in_vmap, strlen(in_vmap)) == 0, "\"%s\" expected, found: %s", in_vmap,
               child.text);
}

/* The program's own hook is called instead. */
static void the_programs_hook_is_called_instead(void **state)
{
    char words[] = "own words";
    (void)state;
    struct test_child child = test_in_child(corrupt_a_space, words);
    test_expect_success(&child, "a space");
    assert_string_equal(child.text, words);
    child = test_in_child(corrupt_an_instance, words);
    test_expect_success(&child, "an instance");
    assert_string_equal(child.text, words);
}

/* A space of kva_space_init cannot write to standard error: without a hook the program aborts silently. */
static void without_a_hook_the_program_aborts(void **state)
{
    (void)state;
    struct test_child child = test_in_child(corrupt_a_space_without_hooks, NULL);
    assert_int_not_equal(child.signal, 0);
    if (!test_is_emulated()) /* qemu-user prints a line of its own */
        assert_string_equal(child.text, "");
}

static int report_at_length(void *context)
{
    char where[200], what[200];

    (void)context;
    memset(where, 'a', sizeof(where) - 1);
    memset(what, 'b', sizeof(what) - 1);
    where[sizeof(where) - 1] = what[sizeof(what) - 1] = '\0';
    kva_corruption_host(NULL, &(struct kva_fault){.where = where, .what = what, .address = 1});
    return 1; /* not reached */
}

static int report_to_a_closed_file(void *context)
{
    (void)context;
    (void)close(2);
    kva_corruption_host(NULL, &(struct kva_fault){.where = "here", .what = "this"});
    return 1; /* not reached */
}

/* Any text, and a closed standard error: always one line at most, and the program aborts. */
static void the_default_hook_prints_one_line_at_most(void **state)
{
    (void)state;
    struct test_child child = test_in_child(report_at_length, NULL);
    assert_int_not_equal(child.signal, 0);
    check_that(strncmp(child.text, "kva: aaaa", 9) == 0, "\"kva: aaaa\" expected, found: %s", child.text);
    const char *feed = strchr(child.text, '\n');
    assert_non_null(feed);
    check_that(feed[-1] == 'b' && feed - child.text > 200 + 9,
               "a line of more than 209 bytes that ends with b expected, found: %s", child.text);
    child = test_in_child(report_to_a_closed_file, NULL);
    assert_int_not_equal(child.signal, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(corruption_is_reported_before_the_abort),
        cmocka_unit_test(the_programs_hook_is_called_instead),
        cmocka_unit_test(without_a_hook_the_program_aborts),
        cmocka_unit_test(the_default_hook_prints_one_line_at_most),
        cmocka_unit_test(a_configuration_with_only_an_end),
        cmocka_unit_test(bad_configurations_make_no_space),
        cmocka_unit_test(the_callers_source_is_used),
        cmocka_unit_test(an_abandoned_space_can_be_destroyed),
        cmocka_unit_test(the_limit_grows_with_the_processors),
        cmocka_unit_test(blocks_of_the_host_are_aligned_and_disjoint),
        cmocka_unit_test(absurd_sizes_are_refused),
        cmocka_unit_test(the_environment_selects_a_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
