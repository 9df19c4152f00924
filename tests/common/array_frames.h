/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * array_pages.h, with frames that can be moved. Two pages of an array cannot map one frame. Therefore the
 * content of a frame, one word, is stored outside the array; kva_array_frames_word finds it through the page
 * that maps the frame.
 *
 *      pages    | private ...        | 3 | . | 3 | 0 | . |        the frame that each maps
 *      words    | 17 |  0 |  0 | 42 |                             of each frame
 */
#ifndef KVA_TESTS_COMMON_ARRAY_FRAMES_H
#define KVA_TESTS_COMMON_ARRAY_FRAMES_H

#include "array_pages.h"

enum { KVA_ARRAY_FRAMES = 256, KVA_ARRAY_BLOCK = 4 /* pages of a huge page */ };

struct kva_array_frames {
    _Alignas(KVA_ARRAY_BLOCK *KVA_ARRAY_PAGE) struct kva_array_pages array;
    uint64_t count; /* of the only frame set; 0: there is none */
    uint64_t words[KVA_ARRAY_FRAMES];
    uint64_t mapped[KVA_ARRAY_PAGES]; /* for each page: the frame + 1, or 0 */
};

/** The source; it serves one instance at a time, with one frame set. */
struct kva_pages kva_array_frames_of(struct kva_array_frames *frames);

/** The word of the frame that a page maps; NULL if it maps none. */
uint64_t *kva_array_frames_word(struct kva_array_frames *frames, const void *address);

#endif
