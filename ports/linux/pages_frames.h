/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Pools of frames and their maps: kva_pages.pool, .drop, .drain, .descriptor, .map and .unmap. */
#ifndef KVA_PORTS_LINUX_PAGES_FRAMES_H
#define KVA_PORTS_LINUX_PAGES_FRAMES_H

#include <kva/vm.h>

enum kva_status kva_port_make_pool(void *context, void *handle, uint64_t count, bool movable, void **pool);
void kva_port_drop_pool(void *context, void *handle, void *pool);
void kva_port_drain_pool(void *context, void *handle, void *pool, uint64_t frame, uint64_t count);
intptr_t kva_port_descriptor(void *context, void *pool);
enum kva_status kva_port_map_frames(void *context, void *handle, uint64_t start, void *pool, uint64_t frame,
                                    uint64_t count);
void kva_port_unmap_frames(void *context, void *handle, uint64_t start, uint64_t bytes);

/** A pool is a file in memory. Its handle is the file descriptor's number, and one: 0 is a descriptor, NULL
 *  is no handle. */
static inline int file_of(const void *pool)
{
    return (int)((intptr_t)pool - 1);
}

#endif
