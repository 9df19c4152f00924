/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Lock-free lookups while another thread changes the space all the time. Each result must have been true at
 * one moment. The space is laid out so that a result that was never true is recognisable by itself:
 *
 *      cell 0                      cell 1                      cell 2
 *      | pin |..=A=..=B====......| | pin |=C=.........=D=....| | pin | ...
 *
 * A pin, the first quantum of each cell, stays busy. All other busy ranges lie within one cell, and their
 * owner is the cell's number. A hole never reaches over a pin. A result that mixes two moments, two leaves or
 * two nodes therefore has another cell's owner, or wrong ends. The trees with tiny nodes split and merge all
 * the time.
 */
#include "common/place.h"

#include <kva/deferred.h>
#include <kva/engine.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "space/enter.h"

#define QUANTUM UINT64_C(0x1000)
#define FIRST UINT64_C(0x100000000)

enum { CELLS = 64, CELL_QUANTA = 16, POOLED_QUANTA = 16384 };

struct stage {
    struct kva_space space;
    struct test_place place;
    uint64_t stride; /* from a cell to the next */
    uint64_t lookups;
    _Atomic bool ended;
    uint64_t found;    /* lock-free lookups that succeeded */
    uint64_t refusals; /*   and that gave up */
};

/** cmocka's assertions are for the test's own thread; any other failure stops the program where it is
 *  found. */
#define must(condition)                                                                                      \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            print_error("%s:%d: must hold: %s\n", __FILE__, __LINE__, #condition);                           \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

static uint64_t cell_of(const struct stage *stage, uint64_t address)
{
    return (address - FIRST) / stage->stride;
}

static uint64_t start_of_cell(const struct stage *stage, uint64_t cell)
{
    return FIRST + cell * stage->stride;
}

static void *owner_of_cell(uint64_t cell)
{
    return (void *)(uintptr_t)(0x1000 + cell);
}

/* ---------------------------------------------------------------------------- the thread that looks up */

static void must_be_possible(const struct stage *stage, uint64_t address, const struct kva_segment *segment)
{
    uint64_t cell = cell_of(stage, address);
    uint64_t pin = start_of_cell(stage, cell);

    must(segment->start <= address && address <= segment->last);
    must(segment->start % QUANTUM == 0 && segment->last % QUANTUM == QUANTUM - 1);
    if (segment->state == KVA_FREE) {
        must(segment->owner == NULL);
        must(segment->start > pin && segment->last - pin < stage->stride);
        return;
    }
    must(segment->owner == owner_of_cell(cell));
    must(segment->start >= pin && segment->last - pin < CELL_QUANTA * QUANTUM);
    must(segment->start > pin || (segment->last == pin + QUANTUM - 1 && segment->state == KVA_BUSY));
}

static uint64_t some_address(const struct stage *stage, struct test_rng *rng)
{
    uint64_t draw = test_random(rng);
    uint64_t most = draw % 8 == 0 ? stage->stride : CELL_QUANTA * QUANTUM;

    return start_of_cell(stage, (draw >> 8) % CELLS) + (draw >> 16) % most;
}

static void *look_around(void *argument)
{
    struct stage *stage = argument;
    const struct kva_address_map *map = stage->space.map;
    struct test_rng rng = test_rng_of(2);

    for (uint64_t i = 0; i < stage->lookups; i++) {
        uint64_t address = some_address(stage, &rng);
        struct kva_segment segment;
        if (map->engine->try_lookup(map, address, &segment)) {
            must_be_possible(stage, address, &segment);
            stage->found++;
        } else {
            stage->refusals++;
        }
        must(kva_find(&stage->space, address, &segment) == KVA_OK);
        must_be_possible(stage, address, &segment);
    }
    atomic_store_explicit(&stage->ended, true, memory_order_relaxed);
    return NULL;
}

/* ----------------------------------------------------------------------------- the thread that changes */

/** Any change of a cell, whatever its result. */
static void change(struct stage *stage, struct test_rng *rng)
{
    struct kva_space *space = &stage->space;
    uint64_t cell = test_below(rng, CELLS);
    uint64_t at = 1 + test_below(rng, CELL_QUANTA - 1); /* after the pin */
    uint64_t start = start_of_cell(stage, cell) + at * QUANTUM;
    uint64_t quanta = 1 + test_below(rng, CELL_QUANTA - at);
    struct kva_segment segment;

    must(kva_find(space, start, &segment) == KVA_OK);
    if (segment.state == KVA_FREE) {
        (void)kva_reserve(space, start, quanta * QUANTUM, owner_of_cell(cell), NULL);
        return;
    }
    switch (test_below(rng, 6)) {
    case 0:
    case 1:
        (void)kva_free(space, segment.start);
        break;
    case 2:
        (void)kva_free_deferred(space, segment.start);
        break;
    case 3:
        (void)kva_resize(space, start, quanta * QUANTUM);
        break;
    case 4:
        (void)kva_free_range(space, start, quanta * QUANTUM);
        break;
    default:
        if (test_one_in(rng, 8))
            (void)kva_flush(space);
        break;
    }
}

static void set_up(struct stage *stage, const struct kva_engine *engine, uint64_t stride)
{
    struct kva_config config = {.first = FIRST,
                                .last = FIRST + CELLS * stride - 1,
                                .quantum = QUANTUM,
                                .engine = engine,
                                .memory = kva_memory_host(),
                                .threads = kva_threads_host(),
                                .deferred_limit = UINT64_MAX};

    memset(stage, 0, sizeof *stage);
    stage->stride = stride;
    stage->lookups = test_scaled(200000);
    assert_int_equal(kva_space_init(&stage->space, &config), KVA_OK);
    for (uint64_t cell = 0; cell < CELLS; cell++)
        assert_int_equal(
            kva_reserve(&stage->space, start_of_cell(stage, cell), QUANTUM, owner_of_cell(cell), NULL),
            KVA_OK);
}

/** Another thread looks up while this one changes the space. */
static void run(struct stage *stage)
{
    struct test_rng rng = test_rng_of(1);
    pthread_t looker;

    assert_int_equal(pthread_create(&looker, NULL, look_around, stage), 0);
    while (!atomic_load_explicit(&stage->ended, memory_order_relaxed))
        change(stage, &rng);
    assert_int_equal(pthread_join(looker, NULL), 0);
    assert_int_equal(kva_space_check(&stage->space, NULL), KVA_OK);
    assert_int_equal(kva_space_abandon(&stage->space), KVA_OK);
}

static void each_result_was_true_at_one_moment(void **state)
{
    const struct kva_engine *engine;
    /* Cells a few quanta apart, for leaves in the compact form; and terabytes apart, for the wide form. */
    static const uint64_t strides[] = {CELL_QUANTA * QUANTUM, UINT64_C(1) << 46};

    (void)state;
    for_each_engine (engine, e) {
        if (!engine->has_try_lookup) /* rb, scan */
            continue;
        for (size_t i = 0; i < sizeof(strides) / sizeof(strides[0]); i++) {
            static struct stage stage;
            set_up(&stage, engine, strides[i]);
            run(&stage);
            print_message("%-10s %9" PRIu64 " lock-free results, %7" PRIu64 " refusals\n",
                          test_engine_name(e), stage.found, stage.refusals);
            assert_true(stage.found > 0);
        }
    }
}

/* --------------------------------------------------------------------------------------------- with pools */

/** The owner of a range is its size in quanta. A piece of a span that is not busy has no owner. */
static void *look_at_sizes(void *argument)
{
    struct stage *stage = argument;
    struct test_rng rng = test_rng_of(4);
    const struct test_place *place = &stage->place;

    for (uint64_t i = 0; i < stage->lookups; i++) {
        uint64_t address = place->first + test_below(&rng, POOLED_QUANTA) * place->quantum;
        struct kva_segment segment;
        must(kva_find(&stage->space, address, &segment) == KVA_OK);
        must(segment.start <= address && address <= segment.last);
        uintptr_t size = (uintptr_t)((segment.last - segment.start) / place->quantum + 1);
        must(segment.owner == (segment.state == KVA_BUSY ? (void *)size : NULL));
    }
    atomic_store_explicit(&stage->ended, true, memory_order_relaxed);
    return NULL;
}

/** Allocate and free ranges, pooled and others, up to 64 at a time; now and then free all of them, and the
 *  spans with them. */
static void come_and_go(struct stage *stage)
{
    struct test_rng rng = test_rng_of(3);
    uint64_t held[64];
    bool is_held[64] = {false};

    while (!atomic_load_explicit(&stage->ended, memory_order_relaxed)) {
        size_t slot = (size_t)test_below(&rng, 64);
        uint64_t quanta = test_one_in(&rng, 4) ? 257 + test_below(&rng, 64) : 1 + test_below(&rng, 256);
        struct kva_request request = kva_request_of(quanta * stage->place.quantum);
        if (is_held[slot])
            assert_int_equal(kva_free(&stage->space, held[slot]), KVA_OK);
        request.owner = (void *)(uintptr_t)quanta;
        is_held[slot] = kva_alloc(&stage->space, &request, &held[slot]) == KVA_OK;
        if (!test_one_in(&rng, 200))
            continue;
        for (size_t k = 0; k < 64; k++) {
            if (is_held[k])
                assert_int_equal(kva_free(&stage->space, held[k]), KVA_OK);
            is_held[k] = false;
        }
        assert_int_equal(kva_pools_drain(&stage->space), KVA_OK);
    }
}

static void idle_pieces_of_a_span_have_no_owner(void **state)
{
    const struct kva_engine *engine;

    (void)state;
    for_each_engine (engine, e) {
        static struct stage stage;
        struct test_place place = test_place(test_seed() % TEST_PLACES + e, POOLED_QUANTA);
        struct kva_config config = {.first = place.first,
                                    .last = place.first + (POOLED_QUANTA * place.quantum - 1),
                                    .quantum = place.quantum,
                                    .engine = engine,
                                    .memory = kva_memory_host(),
                                    .threads = kva_threads_host(),
                                    .pool_bytes = 4096 * place.quantum};
        pthread_t looker;

        memset(&stage, 0, sizeof stage);
        stage.place = place;
        stage.lookups = test_scaled(50000);
        assert_int_equal(kva_space_init(&stage.space, &config), KVA_OK);
        assert_int_equal(pthread_create(&looker, NULL, look_at_sizes, &stage), 0);
        come_and_go(&stage);
        assert_int_equal(pthread_join(looker, NULL), 0);
        assert_int_equal(kva_space_check(&stage.space, NULL), KVA_OK);
        assert_int_equal(kva_space_abandon(&stage.space), KVA_OK);
    }
}

/* A lookup takes neither the lock of the space nor that of another CPU: here the lock of the space is held
 * throughout. */
static void a_lookup_waits_for_no_lock(void **state)
{
    (void)state;
    for (uint64_t pool_bytes = 0; pool_bytes <= 4096 * QUANTUM; pool_bytes += 4096 * QUANTUM) {
        struct kva_config config = {.first = FIRST,
                                    .last = FIRST + 16384 * QUANTUM - 1,
                                    .quantum = QUANTUM,
                                    .engine = &kva_engine_bt,
                                    .memory = kva_memory_host(),
                                    .threads = kva_threads_host(),
                                    .pool_bytes = pool_bytes};
        struct kva_request request = kva_request_of(QUANTUM);
        struct kva_segment segment;
        struct kva_space space;
        uint64_t start;
        uint64_t large;

        assert_int_equal(kva_space_init(&space, &config), KVA_OK);
        assert_int_equal(kva_alloc(&space, &request, &start), KVA_OK);
        request.size = 1024 * QUANTUM;
        assert_int_equal(kva_alloc(&space, &request, &large), KVA_OK);
        lock_space(&space);
        alarm(test_patience(20));
        assert_int_equal(kva_find(&space, start, &segment), KVA_OK);
        assert_int_equal(segment.state, KVA_BUSY);
        assert_int_equal(kva_find(&space, large + QUANTUM, &segment), KVA_OK);
        assert_int_equal(segment.start, large);
        assert_int_equal(kva_find(&space, config.last, &segment), KVA_OK);
        assert_int_equal(segment.state, KVA_FREE);
        alarm(0);
        unlock_space(&space);
        assert_int_equal(kva_space_abandon(&space), KVA_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_result_was_true_at_one_moment),
        cmocka_unit_test(idle_pieces_of_a_span_have_no_owner),
        cmocka_unit_test(a_lookup_waits_for_no_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
