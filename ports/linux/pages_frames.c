/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Frames: pages of a file in memory (memfd), mapped anywhere in the frames' part of a reservation. */
#include "gnu.h"

#include "pages_frames.h"

#include <fcntl.h>

#include "pages_close.h"
#include "pages_count.h"
#include "pages_pieces.h"
#include "pages_retry.h"
#include "uninterrupted.h"

enum kva_status kva_port_create_frames(void *context, void *handle, uint64_t count, bool movable,
                                       void **frame_set)
{
    struct reservation *reservation = handle;
    struct uninterrupted section;
    int file = memfd_create("kva", MFD_CLOEXEC);

    (void)context;
    retry_some(reservation);
    reservation->stats.calls.frames += 2;
    if (file < 0)
        return KVA_ENOMEM;
    begin_uninterrupted(&section);
    bool is_made = ftruncate(file, (off_t)(count * reservation->page)) == 0;
    end_uninterrupted(&section);
    if (!is_made) {
        (void)close(file);
        return KVA_ENOMEM;
    }
    *frame_set = frame_set_of(file, movable);
    return KVA_OK;
}

void kva_port_destroy_frames(void *context, void *handle, void *frame_set)
{
    struct reservation *reservation = handle;

    (void)context;
    retry_some(reservation);
    reservation->stats.calls.frames++;
    (void)close(file_of(frame_set));
}

/** Write zeroes, page by page. A page that cannot be written has no memory: it is a hole, which reads as
 *  zero, or it lies beyond RLIMIT_FSIZE. */
static void write_zeroes(int file, off_t from, off_t bytes)
{
    static const char zeroes[4096];
    struct uninterrupted section;

    begin_uninterrupted(&section);
    for (off_t at = from; at < from + bytes; at += (off_t)sizeof zeroes)
        (void)!pwrite(file, zeroes, sizeof zeroes, at);
    end_uninterrupted(&section);
}

/** Reset the node policy that the program gave a piece of a file. The policy belongs to the file, by offsets,
 *  and outlives both maps and holes; any map can set it. The kernel skips a mapping that has the new policy
 *  already, and a fresh map has the default one. So it gets another one first. False: the system allows no
 *  more mappings. */
static bool forget_nodes_of_piece(struct reservation *reservation, int file, off_t from, size_t bytes)
{
    static const struct kva_vm_nodes any = {KVA_VM_NODES_ANY, 0};
    const uint64_t nodes = reservation->bindings.machine.nodes;
    const struct kva_vm_nodes other = {KVA_VM_NODES_PREFERRED, nodes & (0 - nodes)};
    uint64_t *calls = &reservation->stats.calls.frames;

    *calls += 2;
    void *map = mmap(NULL, bytes, PROT_NONE, MAP_SHARED, file, from);
    if (map == MAP_FAILED)
        return false;
    (void)kva_port_set_nodes(map, bytes, &other, calls);
    (void)kva_port_set_nodes(map, bytes, &any, calls);
    (void)munmap(map, bytes);
    return true;
}

/** With one node, or no choice of nodes, there is no policy to reset. 32-bit hosts have no room for a map of
 *  a large set. */
static void forget_nodes(struct reservation *reservation, int file, off_t from, off_t bytes)
{
    const struct machine *machine = &reservation->bindings.machine;
    const off_t most = (off_t)1 << (sizeof(void *) == 8 ? 40 : 28);

    kva_port_ask_machine(&reservation->bindings.machine, &reservation->stats.calls.nodes);
    if (!machine->has_several || !machine->can_choose || machine->nodes == 0)
        return;
    for (off_t end = from + bytes; from < end; from += most) {
        if (!forget_nodes_of_piece(reservation, file, from, (size_t)(end - from < most ? end - from : most)))
            return;
    }
}

/** Punch a hole into the file; where the program must not, write zeroes. */
void kva_port_discard_frames(void *context, void *handle, void *frame_set, uint64_t frame, uint64_t count)
{
    struct reservation *reservation = handle;
    off_t from = (off_t)(frame * reservation->page);
    off_t bytes = (off_t)(count * reservation->page);

    (void)context;
    retry_some(reservation);
    reservation->stats.calls.frames++;
    if (fallocate(file_of(frame_set), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, bytes) != 0)
        write_zeroes(file_of(frame_set), from, bytes);
    forget_nodes(reservation, file_of(frame_set), from, bytes);
}

intptr_t kva_port_descriptor(void *context, void *frame_set)
{
    (void)context;
    return file_of(frame_set);
}

bool kva_port_keep_from_child(struct reservation *reservation, struct run run)
{
    return advise(reservation, run, MADV_DONTFORK, &reservation->stats.calls.map);
}

/** Map frames over other maps, or over closed pages. `now`: the ends of mappings in the run (pages_count.h).
 *  *mapped: whether they are mapped. False: they are not, or they are movable and a child would inherit the
 *  map. */
static bool map_set_frames(struct reservation *reservation, struct run run, const void *frame_set,
                           uint64_t frame, uint64_t now, bool *mapped)
{
    reservation->stats.calls.map++;
    void *mapping = mmap(run_address(reservation, run), run_bytes(reservation, run), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_FIXED, file_of(frame_set), (off_t)(frame * reservation->page));
    *mapped = mapping != MAP_FAILED;
    if (!*mapped)
        return false;
    kva_port_note_run(reservation, run, true, now);
    return !is_movable_set(frame_set) || kva_port_keep_from_child(reservation, run);
}

enum kva_status kva_port_map_frames(void *context, void *handle, uint64_t start, void *frame_set,
                                    uint64_t frame, uint64_t count)
{
    struct reservation *reservation = handle;
    struct run run = run_at(reservation, start, count * reservation->page);

    (void)context;
    retry_some(reservation);
    uint64_t now = is_all_inaccessible(reservation, run) ? ends_if_inaccessible(reservation, run)
                                                         : kva_port_ends_in(reservation, run);
    if (!has_room_for_ends(&reservation->budget, now, 2)) /* each end is an edge or a seam */
        return KVA_ELIMIT;
    enum kva_status status = kva_port_prepare_rows(reservation, run);
    if (status != KVA_OK)
        return status;
    bool was_inaccessible = is_all_inaccessible(reservation, run);
    bool mapped;
    if (map_set_frames(reservation, run, frame_set, frame, now, &mapped))
        return KVA_OK;
    if (mapped && !was_inaccessible) /* what it mapped before is not known here */
        return KVA_OK;
    status = kva_port_why_refused(&reservation->budget);
    if (mapped)
        kva_port_close_frames(reservation, run);
    return status;
}

void kva_port_unmap_frames(void *context, void *handle, uint64_t start, uint64_t bytes)
{
    (void)context;
    kva_port_close_frames(handle, run_at(handle, start, bytes));
    retry_some(handle);
}

/** Huge page by huge page, so that a refusal of one does not keep others from it. The kernel refuses
 *  (EINVAL) where no page of a huge page is present yet, as with frames that were just taken: so one is
 *  made present. */
void kva_port_collapse(void *context, void *handle, uint64_t start, uint64_t bytes)
{
    struct reservation *reservation = handle;

    (void)context;
    if (reservation->huge == 0)
        reservation->huge = huge_page(reservation->page);
    const uint64_t huge = reservation->huge;
    if (huge == 0)
        return;
    for (struct run run = run_at(reservation, start, huge); bytes >= huge; bytes -= huge) {
        const struct run first = {run.from, run.from + 1};
        (void)advise(reservation, first, MADV_POPULATE_READ, &reservation->stats.calls.map);
        (void)advise(reservation, run, MADV_COLLAPSE, &reservation->stats.calls.map);
        run = (struct run){run.end, run.end + length(run)};
    }
}
