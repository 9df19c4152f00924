/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * `kva test frames` on wrong allocators. The linker replaces five of the set's functions with those below
 * (--wrap), and a sixth is between compaction and the owners. Each defect must be found and described
 * correctly; without a defect nothing is found.
 */
#include "common/harness.h"

#include <string.h>

#include "tools/test/frames_move.h"
#include "tools/test/frames_run.h"

enum defect {
    NONE,
    HANDS_OUT_TWICE,
    MISSES_THE_ALIGNMENT,
    REFUSES,
    LOSES_FREES,
    TAKES_DOUBLE_FREES,
    FINDS_TOO_MUCH,
    MOVES_TWICE,
    MOVES_PARTS,
    MOVES_THE_UNMOVABLE,
    MOVES_WITHOUT_CONTENTS,
    KEEPS_THE_OLD_PLACE,
    GIVES_UP_THE_NEW_PLACE
};

static enum defect defect;

/** The traffic's move callback, and the old place of the run that this thread moved last. */
static kva_frames_move *real_move;
static _Thread_local struct kva_frames_range left;

enum kva_status __real_kva_frames_alloc(struct kva_frames *frames, const struct kva_frames_request *request,
                                        uint64_t *first);
enum kva_status __real_kva_frames_free(struct kva_frames *frames, uint64_t first);
enum kva_status __real_kva_frames_find(const struct kva_frames *frames, uint64_t frame,
                                       struct kva_frames_found *found);
enum kva_status __real_kva_frames_create(const struct kva_frames_config *config, struct kva_frames **frames);
enum kva_status __real_kva_frames_compact(struct kva_frames *frames, size_t zone, unsigned order,
                                          uint64_t most, struct kva_frames_compacted *done);
enum kva_status __wrap_kva_frames_create(const struct kva_frames_config *config, struct kva_frames **frames);
enum kva_status __wrap_kva_frames_compact(struct kva_frames *frames, size_t zone, unsigned order,
                                          uint64_t most, struct kva_frames_compacted *done);
enum kva_status __wrap_kva_frames_alloc(struct kva_frames *frames, const struct kva_frames_request *request,
                                        uint64_t *first);
enum kva_status __wrap_kva_frames_free(struct kva_frames *frames, uint64_t first);
enum kva_status __wrap_kva_frames_find(const struct kva_frames *frames, uint64_t frame,
                                       struct kva_frames_found *found);

/** For four frames: allocate eight, and return the four after the first. */
static enum kva_status alloc_off_alignment(struct kva_frames *frames,
                                           const struct kva_frames_request *request, uint64_t *first)
{
    struct kva_frames_request larger = *request;

    larger.order = 3;
    enum kva_status status = __real_kva_frames_alloc(frames, &larger, first);
    if (status == KVA_OK)
        *first += 1;
    return status;
}

/** Compaction then moves runs that it must not move. */
static enum kva_status alloc_as_movable(struct kva_frames *frames, const struct kva_frames_request *request,
                                        uint64_t *first)
{
    struct kva_frames_request movable = *request;

    movable.type = KVA_MOVABLE;
    return __real_kva_frames_alloc(frames, &movable, first);
}

enum kva_status __wrap_kva_frames_alloc(struct kva_frames *frames, const struct kva_frames_request *request,
                                        uint64_t *first)
{
    if (defect == REFUSES && request->order == 1)
        return KVA_ENOSPC;
    if (defect == MISSES_THE_ALIGNMENT && request->order == 2)
        return alloc_off_alignment(frames, request, first);
    if (defect == MOVES_THE_UNMOVABLE)
        return alloc_as_movable(frames, request, first);
    enum kva_status status = __real_kva_frames_alloc(frames, request, first);
    if (status == KVA_OK && defect == HANDS_OUT_TWICE)
        return __real_kva_frames_free(frames, *first);
    return status;
}

static bool is_a_run(const struct kva_frames *frames, uint64_t first)
{
    struct kva_frames_found found;

    return __real_kva_frames_find(frames, first, &found) == KVA_OK && found.state == KVA_FRAMES_USED &&
           found.first == first;
}

enum kva_status __wrap_kva_frames_free(struct kva_frames *frames, uint64_t first)
{
    if (defect == LOSES_FREES && is_a_run(frames, first))
        return KVA_OK;
    enum kva_status status = __real_kva_frames_free(frames, first);
    return status == KVA_EDOUBLE && defect == TAKES_DOUBLE_FREES ? KVA_OK : status;
}

enum kva_status __wrap_kva_frames_find(const struct kva_frames *frames, uint64_t frame,
                                       struct kva_frames_found *found)
{
    enum kva_status status = __real_kva_frames_find(frames, frame, found);
    found->count += defect == FINDS_TOO_MUCH;
    return status;
}

/** Change the last word of a run that has been moved, unless its owner is using it. */
static void spoil_contents(struct traffic *traffic, uint64_t first, uint64_t count)
{
    uint32_t number = atomic_load(traffic_table_holder(&traffic->table, first));
    struct traffic_held *held = &traffic->held[number - (number != 0)];

    if (number == 0 || atomic_exchange_explicit(&held->locked, true, memory_order_acquire))
        return;
    if (held->first == first && held->count == count)
        traffic_table_contents(&traffic->table, first)[count - 1]++;
    traffic_drop(held);
}

/** Wrong compaction: its calls of the owners, and its use of their results. */
static enum kva_frames_moved wrong_move(void *context, uint64_t from, uint64_t to, uint64_t count)
{
    bool is_short = defect == MOVES_PARTS && count > 1;
    enum kva_frames_moved moved = real_move(context, from, to, is_short ? count - 1 : count);

    if (moved != KVA_FRAMES_MOVED)
        return moved;
    if (defect == MOVES_TWICE)
        (void)real_move(context, from, to, count);
    if (defect == MOVES_WITHOUT_CONTENTS)
        spoil_contents(context, to, count);
    left = (struct kva_frames_range){.first = from, .count = count};
    return defect == GIVES_UP_THE_NEW_PLACE ? KVA_FRAMES_PINNED : moved;
}

enum kva_status __wrap_kva_frames_create(const struct kva_frames_config *config, struct kva_frames **frames)
{
    struct kva_frames_config wrong = *config;

    real_move = config->move;
    wrong.move = wrong_move;
    return __real_kva_frames_create(&wrong, frames);
}

enum kva_status __wrap_kva_frames_compact(struct kva_frames *frames, size_t zone, unsigned order,
                                          uint64_t most, struct kva_frames_compacted *done)
{
    enum kva_status status = __real_kva_frames_compact(frames, zone, order, most, done);

    if (status == KVA_OK && done && done->moved_runs > 0 && defect == KEEPS_THE_OLD_PLACE)
        (void)kva_frames_reserve(frames, left.first, left.count, KVA_MOVABLE, NULL);
    return status;
}

static void run(size_t shape, uint64_t threads, struct traffic_report *report)
{
    struct traffic_plan plan = {.mode = "smoke",
                                .threads = threads,
                                .frames = FRAMES_LEAST,
                                .seed = test_seed(),
                                .time_ns = 60000000,
                                .steps = 20000,
                                .cpus = 2};

    assert_null(traffic_run(&plan, shape, report));
}

static void a_sound_allocator_passes(void **state)
{
    struct traffic_report report;

    (void)state;
    defect = NONE;
    for (size_t shape = 0; shape < FRAMES_SHAPES; shape++) {
        run(shape, 2, &report);
        check_that(report.fault[0] == '\0', "%s: %s", report.shape.name, report.fault);
        assert_true(report.moved_runs > 0 && report.moved_frames >= report.moved_runs);
        assert_true(report.rounds > 0 && report.operations > 0 && report.used_at_most > 0);
    }
}

static void each_defect_is_found(void **state)
{
    static const struct {
        enum defect defect;
        const char *words;
        const char *or_words; /* another possible message, if chance decides which check is first; or NULL */
    } defects[] = {
        {HANDS_OUT_TWICE, "was handed out twice: to worker 0, and to worker 0, which still has it", NULL},
        {MISSES_THE_ALIGNMENT, "off its alignment", NULL},
        {REFUSES, "kva_frames_alloc of 2 frames from 0x0 on returned KVA_ENOSPC, not KVA_OK", NULL},
        {LOSES_FREES, "free frames, not ", NULL},
        {TAKES_DOUBLE_FREES, "returned KVA_OK, not KVA_EDOUBLE", NULL},
        {FINDS_TOO_MUCH, "kva_frames_find of 0x", "a move to 0x"},
        {MOVES_TWICE, "was handed out twice: to compaction, and to worker 0, which still has it", NULL},
        {MOVES_PARTS, "frames of the run at 0x", NULL},
        {MOVES_THE_UNMOVABLE, "which is unmovable", NULL},
        {MOVES_WITHOUT_CONTENTS, "has lost its contents", NULL},
        {KEEPS_THE_OLD_PLACE, "free frames, not ", NULL},
        {GIVES_UP_THE_NEW_PLACE, "0x", NULL} /* chance decides which check is first */,
    };
    struct traffic_report report;

    (void)state;
    for (size_t i = 0; i < sizeof(defects) / sizeof(defects[0]); i++) {
        defect = defects[i].defect;
        run(i % FRAMES_SHAPES, 1, &report);
        const char *or_words = defects[i].or_words;
        bool found =
            strstr(report.fault, defects[i].words) != NULL || (or_words && strstr(report.fault, or_words));
        check_that(found, "found '%s', expected '%s'", report.fault, defects[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_allocator_passes),
        cmocka_unit_test(each_defect_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
