/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Frames: pages of a file in memory, mapped anywhere in the frames' part of a stretch. */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64 /* pools of more than 2 GiB on 32-bit hosts */
#include "pages_frames.h"

#include <fcntl.h>

#include "pages_close.h"
#include "pages_count.h"
#include "pages_pieces.h"
#include "pages_settle.h"

enum kva_status kva_port_make_pool(void *context, void *handle, uint64_t count, void **pool)
{
    struct stretch *stretch = handle;
    int file = memfd_create("kva", MFD_CLOEXEC);

    (void)context;
    pay_some(stretch);
    stretch->stats.calls.pool += 2;
    if (file < 0)
        return KVA_ENOMEM;
    if (ftruncate(file, (off_t)(count * stretch->page)) != 0) {
        (void)close(file);
        return KVA_ENOMEM;
    }
    *pool = (void *)((intptr_t)file + 1); /* see file_of */
    return KVA_OK;
}

void kva_port_drop_pool(void *context, void *handle, void *pool)
{
    struct stretch *stretch = handle;

    (void)context;
    pay_some(stretch);
    stretch->stats.calls.pool++;
    (void)close(file_of(pool));
}

/** Write zeroes, page by page. What cannot be written has no memory: it is a hole, and reads as zero
 *  already. */
static void write_zeroes(int file, off_t from, off_t bytes)
{
    static const char zeroes[4096];

    for (off_t at = from; at < from + bytes; at += (off_t)sizeof zeroes)
        (void)!pwrite(file, zeroes, sizeof zeroes, at);
}

/** A memfd can punch holes, unless the program is forbidden to. */
void kva_port_drain_pool(void *context, void *handle, void *pool, uint64_t frame, uint64_t count)
{
    struct stretch *stretch = handle;
    off_t from = (off_t)(frame * stretch->page);
    off_t bytes = (off_t)(count * stretch->page);

    (void)context;
    pay_some(stretch);
    stretch->stats.calls.pool++;
    if (fallocate(file_of(pool), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, bytes) != 0)
        write_zeroes(file_of(pool), from, bytes);
}

intptr_t kva_port_descriptor(void *context, void *pool)
{
    (void)context;
    return file_of(pool);
}

enum kva_status kva_port_map_frames(void *context, void *handle, uint64_t start, void *pool, uint64_t frame,
                                    uint64_t count)
{
    struct stretch *stretch = handle;
    struct run run = run_at(stretch, start, count * stretch->page);

    (void)context;
    pay_some(stretch);
    uint64_t now = is_all_shut(stretch, run) ? ends_if_shut(stretch, run) : kva_port_ends_in(stretch, run);
    if (!has_room_for_ends(&stretch->budget, now, 2)) /* each end is one, or a seam */
        return KVA_ELIMIT;
    enum kva_status status = kva_port_prepare_rows(stretch, run);
    if (status != KVA_OK)
        return status;
    stretch->stats.calls.map++;
    void *mapping = mmap(start_of(stretch, run), bytes_of(stretch, run), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_FIXED, file_of(pool), (off_t)(frame * stretch->page));
    if (mapping == MAP_FAILED)
        return kva_port_why_refused(&stretch->budget);
    kva_port_note_run(stretch, run, true, now);
    return KVA_OK;
}

void kva_port_unmap_frames(void *context, void *handle, uint64_t start, uint64_t bytes)
{
    (void)context;
    kva_port_close_frames(handle, run_at(handle, start, bytes));
    pay_some(handle);
}
