/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Shared by the tests of movable frames: an instance with such a set, whose page source moves frames on any
 * host (moving_pages.h) and is watched (failing_pages.h); the places of frames; and sets with scattered free
 * places.
 */
#ifndef KVA_TESTS_COMMON_MOVABLE_H
#define KVA_TESTS_COMMON_MOVABLE_H

#include "moving_pages.h"
#include "vmap.h"

#include <kva/frames.h>

struct test_movable {
    struct test_vm test;
    struct kva_moving_pages moving;
    struct kva_vm *vm;
    struct kva_vm_frames *frames;
    uint64_t count; /* frames of the set */
    uint64_t block; /* frames of a block */
    size_t page;
};

/** The number of frames of a block on this host. */
uint64_t test_block(void);

/** A config for `movable`, with eight times the addresses for all frames of a set of so many blocks. */
struct kva_vm_config test_movable_config(struct test_movable *movable, enum kva_mechanism mechanism,
                                         uint64_t blocks);

/** Create the instance and the set. */
void test_movable_create(struct test_movable *movable, const struct kva_vm_config *config);

/** Destroy them. No live area may map a frame. */
void test_movable_destroy(struct test_movable *movable);

/** test_movable_config and test_movable_create. */
void test_movable_begin(struct test_movable *movable, enum kva_mechanism mechanism, uint64_t blocks);

/** The place of an allocated frame, which is mapped for the purpose. */
uint64_t test_movable_place(const struct test_movable *movable, uint64_t number);

/** As kva_vm_frames_stats_read, which must succeed. */
struct kva_frames_stats test_frames_stats(const struct kva_vm_frames *frames);

/** The word at the beginning of a page, which identifies the frame. */
uint64_t test_word(const void *memory);
void test_put_word(void *memory, uint64_t word);

/** Allocate all frames of the set, write number + 1 at the beginning and at the end of each, and free those
 * for whose place `keep` returns false. Returns how many are left; their numbers are in `kept`, in the order
 * of their places. */
size_t test_movable_scatter(struct test_movable *movable, bool (*keep)(uint64_t place, uint64_t block),
                            uint64_t *kept);

/** Map frames with the contents of test_movable_scatter, and check all of them. Returns the map. */
unsigned char *test_movable_map(const struct test_movable *movable, const uint64_t *numbers, size_t count);

/** Fail unless a map maps frames with the contents of test_movable_scatter. */
void test_movable_expect(const struct test_movable *movable, const unsigned char *map,
                         const uint64_t *numbers, size_t count);

#endif
