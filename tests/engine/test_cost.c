/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The cost that kva.h promises for the rb engine: O(log n).
 *
 * The same operations are timed in a space of few segments and in one of 256 times as many. Where the cost is
 * logarithmic the ratio is below 2, and cache misses may bring it to 30; where it is linear, they come on top
 * of 256. A ratio of 100 tells the two apart on any machine, however busy: the best of several runs counts.
 *
 * At check levels 2 and 3 each operation verifies more than O(log n); there is nothing to measure there.
 */
#define _GNU_SOURCE
#include "../common/harness.h"

#include <string.h>
#include <time.h>

#include "../../ports/test/failing_memory.h"
#include "base/check.h"

#define FEW 1000U
#define MANY (256 * FEW)
#define ROUNDS 2000U
#define RUNS 7
#define STEP UINT64_C(0x4000)
#define SIZE UINT64_C(0x1000)

struct fixture {
    struct kva_space space;
    struct kva_failing_memory memory;
    uint64_t segments;
};

/** `segments` busy segments of SIZE, each followed by a hole of three times that. */
static void set_up(struct fixture *f, uint64_t segments)
{
    struct kva_config config = {0};

    memset(f, 0, sizeof(*f));
    f->segments = segments;
    config.last = (segments + 1) * STEP - 1;
    config.engine = &kva_engine_rb;
    config.memory = kva_failing_memory_init(&f->memory);
    config.deferred_limit = UINT64_MAX;
    assert_int_equal(kva_space_init(&f->space, &config), KVA_OK);
    for (uint64_t i = 0; i < segments; i++)
        assert_int_equal(kva_reserve(&f->space, i * STEP, SIZE, NULL, NULL), KVA_OK);
    assert_int_equal(kva_preload(&f->space, 16), KVA_OK);
}

static uint64_t some_start(const struct fixture *f, uint64_t i)
{
    return i * UINT64_C(7919) % f->segments * STEP;
}

/* Each leaves the space as it was. */

static void find(struct fixture *f, uint64_t i)
{
    struct kva_segment segment;
    assert_int_equal(kva_find(&f->space, some_start(f, i) + 2 * SIZE, &segment), KVA_OK);
}

static void free_and_reserve(struct fixture *f, uint64_t i)
{
    assert_int_equal(kva_free(&f->space, some_start(f, i)), KVA_OK);
    assert_int_equal(kva_reserve(&f->space, some_start(f, i), SIZE, NULL, NULL), KVA_OK);
}

static void resize(struct fixture *f, uint64_t i)
{
    assert_int_equal(kva_resize(&f->space, some_start(f, i), 2 * SIZE), KVA_OK);
    assert_int_equal(kva_resize(&f->space, some_start(f, i), SIZE), KVA_OK);
}

static void alloc_of(struct fixture *f, uint64_t size, uint64_t min, enum kva_policy policy)
{
    struct kva_request request = kva_request_of(size);
    uint64_t start;
    request.min = min;
    request.policy = policy;
    assert_int_equal(kva_alloc(&f->space, &request, &start), KVA_OK);
    assert_int_equal(kva_free(&f->space, start), KVA_OK);
}

/* Only the hole at the very end holds this, or the very first one: the others must not be visited. */
static void alloc_what_only_the_end_holds(struct fixture *f, uint64_t i)
{
    (void)i;
    alloc_of(f, STEP, 0, KVA_LOWEST);
}

static void alloc_in_a_window(struct fixture *f, uint64_t i)
{
    alloc_of(f, SIZE, some_start(f, i), i % 2 ? KVA_LOWEST : KVA_HIGHEST);
}

static void fail_to_alloc(struct fixture *f, uint64_t i)
{
    struct kva_request request = kva_request_of(3 * STEP);
    uint64_t start;
    (void)i;
    assert_int_equal(kva_alloc(&f->space, &request, &start), KVA_ENOSPC);
}

static void defer_and_flush(struct fixture *f, uint64_t i)
{
    assert_int_equal(kva_free_deferred(&f->space, some_start(f, i)), KVA_OK);
    assert_int_equal(kva_flush(&f->space), KVA_OK);
    assert_int_equal(kva_reserve(&f->space, some_start(f, i), SIZE, NULL, NULL), KVA_OK);
}

static void reserve_in_vain(struct fixture *f, uint64_t i)
{
    struct kva_segment conflict;
    assert_int_equal(kva_reserve(&f->space, some_start(f, i), SIZE, NULL, &conflict), KVA_EEXIST);
}

static void statistics(struct fixture *f, uint64_t i)
{
    struct kva_stats stats;
    (void)i;
    assert_int_equal(kva_stats_read(&f->space, &stats), KVA_OK);
    assert_int_equal(stats.busy_segments, f->segments);
}

typedef void job(struct fixture *f, uint64_t i);

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/** The shortest time of several runs. */
static double best_time(struct fixture *f, job *work)
{
    double best = 1e9;

    for (int run = 0; run < RUNS; run++) {
        double begin = seconds();
        for (uint64_t i = 0; i < ROUNDS; i++)
            work(f, i);
        double took = seconds() - begin;
        best = took < best ? took : best;
    }
    return best;
}

static void cost_grows_with_the_logarithm(void **state)
{
    static const struct {
        const char *name;
        job *work;
    } works[] = {
        {"find", find},
        {"free, reserve", free_and_reserve},
        {"resize", resize},
        {"alloc what only the end holds", alloc_what_only_the_end_holds},
        {"alloc in a window", alloc_in_a_window},
        {"fail to alloc", fail_to_alloc},
        {"defer, flush, reserve", defer_and_flush},
        {"reserve in vain", reserve_in_vain},
        {"statistics", statistics},
    };
    static struct fixture few, many;
    (void)state;

    if (KVA_CHECK_LEVEL >= 2) {
        print_message("check level %d: not measured\n", KVA_CHECK_LEVEL);
        skip();
    }
    set_up(&few, FEW);
    set_up(&many, MANY);
    for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
        double a = best_time(&few, works[i].work), b = best_time(&many, works[i].work);
        print_message("%-30s %7.1f ns in %u segments, %7.1f ns in %u\n", works[i].name, a / ROUNDS * 1e9, FEW,
                      b / ROUNDS * 1e9, MANY);
        check_that(b < 100 * a, "%s: %g s in %u segments, %g s in %u", works[i].name, a, FEW, b, MANY);
    }
    assert_int_equal(kva_space_abandon(&few.space), KVA_OK);
    assert_int_equal(kva_space_abandon(&many.space), KVA_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cost_grows_with_the_logarithm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
