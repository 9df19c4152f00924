/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * `kva test frames` on allocators that are wrong. The linker puts the functions below in the place of three of the set's
 * (--wrap); each defect must be found out and be put into the right words, and without one nothing is found.
 */
#include "common/harness.h"

#include <string.h>

#include "tools/test/frames_run.h"

enum defect {
    NONE,
    HANDS_OUT_TWICE,
    MISSES_THE_ALIGNMENT,
    REFUSES,
    LOSES_FREES,
    TAKES_DOUBLE_FREES,
    FINDS_TOO_MUCH
};

static enum defect defect;

enum kva_status __real_kva_frames_alloc(struct kva_frames *frames, const struct kva_frames_request *request,
                                        uint64_t *first);
enum kva_status __real_kva_frames_free(struct kva_frames *frames, uint64_t first);
enum kva_status __real_kva_frames_find(const struct kva_frames *frames, uint64_t frame,
                                       struct kva_frames_found *found);
enum kva_status __wrap_kva_frames_alloc(struct kva_frames *frames, const struct kva_frames_request *request,
                                        uint64_t *first);
enum kva_status __wrap_kva_frames_free(struct kva_frames *frames, uint64_t first);
enum kva_status __wrap_kva_frames_find(const struct kva_frames *frames, uint64_t frame,
                                       struct kva_frames_found *found);

/** For four frames: eight are taken, and the four after the first are handed out, which nobody else has. */
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

enum kva_status __wrap_kva_frames_alloc(struct kva_frames *frames, const struct kva_frames_request *request,
                                        uint64_t *first)
{
    if (defect == REFUSES && request->order == 1)
        return KVA_ENOSPC;
    if (defect == MISSES_THE_ALIGNMENT && request->order == 2)
        return alloc_off_alignment(frames, request, first);
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
        assert_true(report.rounds > 0 && report.operations > 0 && report.used_at_most > 0);
    }
}

static void each_defect_is_found(void **state)
{
    static const struct {
        enum defect defect;
        const char *words;
    } defects[] = {
        {HANDS_OUT_TWICE, "was handed out twice: to worker 0, and to worker 0, which has it still"},
        {MISSES_THE_ALIGNMENT, "off its alignment"},
        {REFUSES, "kva_frames_alloc of 2 frames from 0x0 on returned KVA_ENOSPC, not KVA_OK"},
        {LOSES_FREES, "free frames, not "},
        {TAKES_DOUBLE_FREES, "returned KVA_OK, not KVA_EDOUBLE"},
        {FINDS_TOO_MUCH, "kva_frames_find of 0x"},
    };
    struct traffic_report report;

    (void)state;
    for (size_t i = 0; i < sizeof(defects) / sizeof(defects[0]); i++) {
        defect = defects[i].defect;
        run(i % FRAMES_SHAPES, 1, &report);
        check_that(strstr(report.fault, defects[i].words) != NULL, "'%s' and not '%s'", report.fault,
                   defects[i].words);
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
