/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Frame sets and their maps: kva_pages.create_frames, .destroy_frames, .discard_frames, .descriptor, .map,
 *  .unmap and .collapse. */
#ifndef KVA_PORTS_LINUX_PAGES_FRAMES_H
#define KVA_PORTS_LINUX_PAGES_FRAMES_H

#include <kva/status.h>

#include "pages_reservation.h"

enum kva_status kva_port_create_frames(void *context, void *handle, uint64_t count, bool movable,
                                       void **frame_set);
void kva_port_destroy_frames(void *context, void *handle, void *frame_set);
void kva_port_discard_frames(void *context, void *handle, void *frame_set, uint64_t frame, uint64_t count);
intptr_t kva_port_descriptor(void *context, void *frame_set);
enum kva_status kva_port_map_frames(void *context, void *handle, uint64_t start, void *frame_set,
                                    uint64_t frame, uint64_t count);
void kva_port_unmap_frames(void *context, void *handle, uint64_t start, uint64_t bytes);

/** Ask for huge pages for the frames that a range of whole huge pages maps. */
void kva_port_collapse(void *context, void *handle, uint64_t start, uint64_t bytes);

/** Keep maps of movable frames from children of fork. False: refused, or nothing is mapped in a part of the
 *  run. */
bool kva_port_keep_from_child(struct reservation *reservation, struct run run);

/** A frame set is a file in memory. Its handle is twice its file descriptor plus one, and one more if its
 *  frames are movable: descriptor 0 is valid, and NULL is no handle. */
static inline void *frame_set_of(int file, bool movable)
{
    return (void *)(((uintptr_t)file + 1) * 2 + movable);
}

static inline int file_of(const void *frame_set)
{
    return (int)((uintptr_t)frame_set / 2 - 1);
}

static inline bool is_movable_set(const void *frame_set)
{
    return ((uintptr_t)frame_set & 1) != 0;
}

#endif
