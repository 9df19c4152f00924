/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Frames: pages of a file in memory, mapped anywhere in the frames' part of a stretch. */
#include "gnu.h"

#include "pages_frames.h"

#include <fcntl.h>

#include "pages_close.h"
#include "pages_count.h"
#include "pages_pieces.h"
#include "pages_settle.h"
#include "peace.h"

enum kva_status kva_port_make_pool(void *context, void *handle, uint64_t count, bool movable, void **pool)
{
    struct stretch *stretch = handle;
    struct peace peace;
    int file = memfd_create("kva", MFD_CLOEXEC);

    (void)context;
    pay_some(stretch);
    stretch->stats.calls.pool += 2;
    if (file < 0)
        return KVA_ENOMEM;
    begin_peace(&peace);
    bool is_made = ftruncate(file, (off_t)(count * stretch->page)) == 0;
    end_peace(&peace);
    if (!is_made) {
        (void)close(file);
        return KVA_ENOMEM;
    }
    *pool = pool_of(file, movable);
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

/** Write zeroes, page by page. What cannot be written has no memory: it is a hole, and reads as zero already;
 *  or it lies beyond RLIMIT_FSIZE. */
static void write_zeroes(int file, off_t from, off_t bytes)
{
    static const char zeroes[4096];
    struct peace peace;

    begin_peace(&peace);
    for (off_t at = from; at < from + bytes; at += (off_t)sizeof zeroes)
        (void)!pwrite(file, zeroes, sizeof zeroes, at);
    end_peace(&peace);
}

/** Forget what the program has said of the nodes of a piece of a file: that belongs to the file, by offsets,
 *  and outlives both maps and holes. It is said anew by any map. The kernel skips a mapping that has the
 *  policy already, and a fresh map has the default one by itself: so it gets another one first. False: the
 *  system allows no more mappings. */
static bool forget_nodes_of_piece(struct stretch *stretch, int file, off_t from, size_t bytes)
{
    static const struct kva_vm_nodes any = {KVA_VM_NODES_ANY, 0};
    const uint64_t nodes = stretch->bindings.machine.nodes;
    const struct kva_vm_nodes other = {KVA_VM_NODES_PREFERRED, nodes & (0 - nodes)};
    uint64_t *calls = &stretch->stats.calls.pool;

    *calls += 2;
    void *map = mmap(NULL, bytes, PROT_NONE, MAP_SHARED, file, from);
    if (map == MAP_FAILED)
        return false;
    (void)kva_port_set_nodes(map, bytes, &other, calls);
    (void)kva_port_set_nodes(map, bytes, &any, calls);
    (void)munmap(map, bytes);
    return true;
}

/** Where there is one node, or no choice, there is nothing to forget. 32-bit hosts have no room for a map of
 *  a large pool. */
static void forget_nodes(struct stretch *stretch, int file, off_t from, off_t bytes)
{
    const struct machine *machine = &stretch->bindings.machine;
    const off_t most = (off_t)1 << (sizeof(void *) == 8 ? 40 : 28);

    kva_port_ask_machine(&stretch->bindings.machine, &stretch->stats.calls.nodes);
    if (!machine->has_several || !machine->can_choose || machine->nodes == 0)
        return;
    for (off_t end = from + bytes; from < end; from += most) {
        if (!forget_nodes_of_piece(stretch, file, from, (size_t)(end - from < most ? end - from : most)))
            return;
    }
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
    forget_nodes(stretch, file_of(pool), from, bytes);
}

intptr_t kva_port_descriptor(void *context, void *pool)
{
    (void)context;
    return file_of(pool);
}

bool kva_port_keep_from_child(struct stretch *stretch, struct run run)
{
    return advise(stretch, run, MADV_DONTFORK, &stretch->stats.calls.map);
}

/** Show frames where others are shown, or nothing is. `now`: the ends of mappings in the run (pages_count.h).
 *  *mapped: whether they are; false is returned, too, where they are, but a child would inherit a map of
 *  movable ones. */
static bool show_pool_frames(struct stretch *stretch, struct run run, const void *pool, uint64_t frame,
                             uint64_t now, bool *mapped)
{
    stretch->stats.calls.map++;
    void *mapping = mmap(run_address(stretch, run), run_bytes(stretch, run), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_FIXED, file_of(pool), (off_t)(frame * stretch->page));
    *mapped = mapping != MAP_FAILED;
    if (!*mapped)
        return false;
    kva_port_note_run(stretch, run, true, now);
    return !pool_is_movable(pool) || kva_port_keep_from_child(stretch, run);
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
    bool was_shut = is_all_shut(stretch, run);
    bool mapped;
    if (show_pool_frames(stretch, run, pool, frame, now, &mapped))
        return KVA_OK;
    if (mapped && !was_shut) /* what it has shown before is not known here */
        return KVA_OK;
    status = kva_port_why_refused(&stretch->budget);
    if (mapped)
        kva_port_close_frames(stretch, run);
    return status;
}

void kva_port_unmap_frames(void *context, void *handle, uint64_t start, uint64_t bytes)
{
    (void)context;
    kva_port_close_frames(handle, run_at(handle, start, bytes));
    pay_some(handle);
}

/** One by one: what cannot be on a huge page does not keep the others from it. The kernel refuses (EINVAL)
 *  where no page of a huge page is there yet, as with frames that were just taken: so one is made. */
void kva_port_collapse(void *context, void *handle, uint64_t start, uint64_t bytes)
{
    struct stretch *stretch = handle;

    (void)context;
    if (stretch->huge == 0)
        stretch->huge = huge_page(stretch->page);
    const uint64_t huge = stretch->huge;
    if (huge == 0)
        return;
    for (struct run run = run_at(stretch, start, huge); bytes >= huge; bytes -= huge) {
        const struct run first = {run.from, run.from + 1};
        (void)advise(stretch, first, MADV_POPULATE_READ, &stretch->stats.calls.map);
        (void)advise(stretch, run, MADV_COLLAPSE, &stretch->stats.calls.map);
        run = (struct run){run.end, run.end + length(run)};
    }
}
