/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "script.h"

#include "../common/grow.h"
#include "copy.h"
#include "pidmap.h"

#include <kva/engine.h>
#include <kva/ranges.h>
#include <stdlib.h>
#include <string.h>

/** One address space. */
struct room {
    struct room *next;  /* all that exist */
    struct room **link; /* the pointer to this one: the list's head, or `next` of its predecessor */
    struct kva_space ours;
    struct kva_space logged; /* owner of a busy segment: its struct shift */
    uint32_t number;         /* the space in the script */
    uint32_t users;          /* its processes */
    uint64_t break_now;      /* in the log; not rounded */
    uint64_t heap_first;     /* the heap's first address, and the first one after the heap; logged */
    uint64_t heap_end;
    bool heap_known;
    struct task *under_way; /* its tasks with a call under way */
    size_t count_under_way; /* their number, at most SCRIPT_UNDER_WAY */
};

/** The distance from a mapping in the log to ours, modulo 2^64. It is the owner of segments; a split
 *  shares it. All of them exist until the end. */
struct shift {
    uint64_t distance;
};

#define SHIFTS 255 /* a chunk of 2 KiB */

struct shift_chunk {
    struct shift_chunk *next;
    struct shift shifts[SHIFTS];
};

struct task {
    struct task *next; /* all of them */
    struct room *room; /* NULL: it has ended */
    struct task *next_under_way;
    size_t under_way; /* the operation that has begun and is not yet played, or NO_OP */
    size_t played;    /* the operation that was played before its turn, or NO_OP */
};

#define NO_OP SIZE_MAX

struct resolver {
    const struct strace_log *log;
    struct script *script;
    struct script_counts *counts;
    struct room *rooms;
    struct room *first; /* for threads that no line introduces; NULL: it has ended */
    struct task *tasks;
    struct pidmap by_pid;
    struct shift_chunk *chunks;
    size_t shifts_used; /* in the first chunk */
    size_t op;          /* the current operation */
    bool has_execve;
    bool wrong;
    char *message;
};

/* ------------------------------------------------------------------------------------------------ failure */

static bool no_memory(struct resolver *r)
{
    snprintf(r->message, 256, "no memory to resolve the log");
    return false;
}

/** Check the status of a call that may fail only for lack of memory. */
static bool good(struct resolver *r, enum kva_status status, const char *what, uint64_t address)
{
    if (status == KVA_OK)
        return true;
    if (status == KVA_ENOMEM)
        return no_memory(r);
    r->wrong = true;
    snprintf(r->message, 256, "line %lu of the log: %s at 0x%llx returned %s (%s)",
             (unsigned long)r->log->ops[r->op].line, what, (unsigned long long)address,
             kva_status_name(status), kva_status_text(status));
    return false;
}

/** Count a note, and keep it. */
static bool note(struct resolver *r, enum script_note_kind kind, uint64_t times)
{
    struct script *script = r->script;
    uint64_t *const counts[] = {&r->counts->unknown, &r->counts->implied, &r->counts->displaced,
                                &r->counts->refused};
    if (times == 0)
        return true;
    *counts[kind] += times;
    struct script_note *notes =
        with_room(script->notes, script->note_count, &script->note_room, sizeof *notes);
    if (notes == NULL)
        return no_memory(r);
    script->notes = notes;
    script->notes[script->note_count++] = (struct script_note){.op = (uint32_t)r->op, .kind = (uint8_t)kind};
    return true;
}

/* -------------------------------------------------------------------------------------------------- steps */

/** Add a step; sets `op`. */
static bool add_step(struct resolver *r, struct step step)
{
    struct script *script = r->script;
    struct step *steps = with_room(script->steps, script->count, &script->room, sizeof *steps);
    if (steps == NULL)
        return no_memory(r);
    step.op = (uint32_t)r->op;
    script->steps = steps;
    script->calls += step.kind < STEP_CALLS ? 1 : 0;
    script->steps[script->count++] = step;
    return true;
}

static bool emit(struct resolver *r, enum step_kind kind, uint32_t space, uint64_t start, uint64_t size,
                 enum kva_status status)
{
    return add_step(
        r,
        (struct step){
            .kind = (uint8_t)kind, .status = (uint8_t)status, .space = space, .start = start, .size = size});
}

/** Add a call that succeeds whatever is busy in a range, and reports `bytes` busy bytes. */
static bool emit_over(struct resolver *r, enum step_kind kind, uint32_t space, uint64_t start, uint64_t size,
                      uint64_t bytes)
{
    return add_step(r, (struct step){.kind = (uint8_t)kind,
                                     .status = KVA_OK,
                                     .space = space,
                                     .start = start,
                                     .size = size,
                                     .bytes = bytes});
}

/** Take the highest range that fits: below the mmap base, then anywhere. *taken: whether one fits. */
static bool take_highest(struct resolver *r, struct room *room, uint64_t size, uint64_t *start, bool *taken)
{
    struct kva_request request = kva_request_of(size);
    request.policy = KVA_HIGHEST;
    *taken = true;
    for (enum step_kind kind = STEP_ALLOC; kind <= STEP_ALLOC_HIGH; kind++) {
        request.max = kind == STEP_ALLOC ? SCRIPT_MMAP_BASE - 1 : SCRIPT_LAST;
        *start = 0;
        enum kva_status status = kva_alloc(&room->ours, &request, start);
        if (status != KVA_ENOSPC && !good(r, status, "kva_alloc", size))
            return false;
        if (!emit(r, kind, room->number, *start, size, status) || status == KVA_OK)
            return status == KVA_OK;
    }
    *taken = false;
    return true;
}

/** Take a range at a given address. *taken: whether it was free, and inside the space. */
static bool take_at(struct resolver *r, struct room *room, uint64_t start, uint64_t size, bool *taken)
{
    *taken = false;
    if (start < SCRIPT_FIRST || start > SCRIPT_LAST || size - 1 > SCRIPT_LAST - start)
        return true;
    enum kva_status status = kva_reserve(&room->ours, start, size, NULL, NULL);
    if (status != KVA_EEXIST && !good(r, status, "kva_reserve", start))
        return false;
    *taken = status == KVA_OK;
    return emit(r, STEP_RESERVE, room->number, start, size, status);
}

/* ----------------------------------------------------------------------------------- the logged addresses */

static uint64_t distance_of(const struct kva_segment *segment)
{
    return ((const struct shift *)segment->owner)->distance;
}

/** Find the mapping that holds a logged address. False: there is none. */
static bool find_logged(const struct room *room, uint64_t address, struct kva_segment *segment)
{
    return kva_find(&room->logged, address, segment) == KVA_OK && segment->state == KVA_BUSY;
}

/** Our address for a logged one: shifted with its mapping; unchanged without one. */
static uint64_t translate(const struct room *room, uint64_t address)
{
    struct kva_segment segment;
    return find_logged(room, address, &segment) ? address + distance_of(&segment) : address;
}

/** Parts of logged mappings that one call frees: the first and the last busy address, and the busy bytes. */
struct batch {
    uint64_t start;
    uint64_t last;
    uint64_t distance; /* to ours, of all of it */
    uint64_t bytes;    /* 0: empty */
};

/** Free a batch in our space, where only its mappings are busy between its ends. */
static bool give_batch(struct resolver *r, struct room *room, const struct batch *batch)
{
    uint64_t ours = batch->start + batch->distance;
    uint64_t size = batch->last - batch->start + 1;
    uint64_t bytes = 0;
    if (batch->bytes == 0)
        return true;
    return good(r, kva_clear(&room->ours, ours, size, &bytes), "kva_clear", ours) &&
           emit_over(r, STEP_CLEAR, room->number, ours, size, bytes);
}

/** Whether a batch can include a part of a mapping: it is at the same distance, and our space is free
 *  between them. */
static bool goes_on(const struct room *room, const struct batch *batch, const struct batch *part)
{
    struct kva_segment between;
    if (batch->bytes == 0 || batch->distance != part->distance)
        return false;
    if (part->start == batch->last + 1)
        return true;
    return kva_find(&room->ours, batch->last + 1 + batch->distance, &between) == KVA_OK &&
           between.state == KVA_FREE && between.last == part->start + part->distance - 1;
}

/** The part of a known mapping that lies in a logged range. */
static struct batch part_within(const struct kva_segment *segment, uint64_t start, uint64_t last)
{
    struct batch part = {.start = segment->start > start ? segment->start : start,
                         .last = segment->last < last ? segment->last : last,
                         .distance = distance_of(segment)};
    part.bytes = part.last - part.start + 1;
    return part;
}

/** Free all known parts of a logged range; *parts is their number. */
static bool give_logged(struct resolver *r, struct room *room, uint64_t start, uint64_t size, uint64_t *parts)
{
    struct kva_segment segment;
    struct batch batch = {0};
    uint64_t last = start + (size - 1);
    *parts = 0;
    for (enum kva_status s = kva_first_in(&room->logged, start, last, &segment); s == KVA_OK;
         s = kva_next_in(&room->logged, last, &segment)) {
        if (segment.state != KVA_BUSY)
            continue;
        struct batch part = part_within(&segment, start, last);
        ++*parts;
        if (goes_on(room, &batch, &part)) {
            batch.last = part.last;
            batch.bytes += part.bytes;
            continue;
        }
        if (!give_batch(r, room, &batch))
            return false;
        batch = part;
    }
    return give_batch(r, room, &batch) &&
           good(r, kva_clear(&room->logged, start, size, NULL), "giving back", start);
}

static bool play_under_way(struct resolver *r, struct room *room, uint64_t start, uint64_t size);

/** The log maps a range that should be free: play the calls under way that give it up, then free the parts
 *  that the log has not unmapped. */
static bool clear_logged(struct resolver *r, struct room *room, uint64_t start, uint64_t size)
{
    uint64_t parts;
    return play_under_way(r, room, start, size) && give_logged(r, room, start, size, &parts) &&
           note(r, NOTE_IMPLIED, parts);
}

static struct shift *new_shift(struct resolver *r, uint64_t distance)
{
    if (r->chunks == NULL || r->shifts_used == SHIFTS) {
        struct shift_chunk *chunk = malloc(sizeof *chunk);
        if (chunk == NULL)
            return NULL;
        chunk->next = r->chunks;
        r->chunks = chunk;
        r->shifts_used = 0;
    }
    struct shift *shift = &r->chunks->shifts[r->shifts_used++];
    shift->distance = distance;
    return shift;
}

/** Record that the log's mapping at `logged` is ours at `ours`. The logged range is free. */
static bool know(struct resolver *r, struct room *room, uint64_t logged, uint64_t ours, uint64_t size)
{
    struct shift *shift = new_shift(r, ours - logged);
    if (shift == NULL)
        return no_memory(r);
    return good(r, kva_reserve(&room->logged, logged, size, shift, NULL), "noting a mapping", logged);
}

/** Take `wanted` if it is free, else the highest range, for a mapping at `logged`, which is free.
 *  *displaced: the highest had to replace `wanted`. `wanted` 0: take the highest. */
static bool take_for(struct resolver *r, struct room *room, uint64_t logged, uint64_t wanted, uint64_t size,
                     bool *displaced)
{
    bool taken = false;
    uint64_t start = wanted;
    *displaced = false;
    if (wanted != 0 && !take_at(r, room, wanted, size, &taken))
        return false;
    if (!taken) {
        *displaced = wanted != 0;
        if (!take_highest(r, room, size, &start, &taken))
            return false;
    }
    return taken ? know(r, room, logged, start, size) : note(r, NOTE_REFUSED, 1);
}

/** As take_for, for a place that the program required. */
static bool take_fixed(struct resolver *r, struct room *room, uint64_t logged, uint64_t wanted, uint64_t size)
{
    bool displaced;
    return take_for(r, room, logged, wanted, size, &displaced) && note(r, NOTE_DISPLACED, displaced ? 1 : 0);
}

/** Whether our range is inside our space, and is the image of the logged range: nothing else is busy in
 *  it, and all that is known of the logged range is at that distance. */
static bool is_image(const struct room *room, uint64_t logged, uint64_t ours, uint64_t size)
{
    struct kva_segment segment;
    struct kva_segment image;
    uint64_t last = logged + (size - 1);
    uint64_t busy = 0;
    if (ours < SCRIPT_FIRST || ours > SCRIPT_LAST || size - 1 > SCRIPT_LAST - ours)
        return false;
    for (enum kva_status s = kva_first_in(&room->logged, logged, last, &segment); s == KVA_OK;
         s = kva_next_in(&room->logged, last, &segment)) {
        if (segment.state != KVA_BUSY)
            continue;
        if (distance_of(&segment) != ours - logged)
            return false;
        busy += part_within(&segment, logged, last).bytes;
    }
    last = ours + (size - 1);
    for (enum kva_status s = kva_first_in(&room->ours, ours, last, &image); s == KVA_OK;
         s = kva_next_in(&room->ours, last, &image))
        if (image.state == KVA_BUSY)
            busy -= (image.last < last ? image.last : last) - (image.start > ours ? image.start : ours) + 1;
    return busy == 0;
}

/** Map over whatever is in a logged range: with one call if the range's image is ours; else its known
 *  parts are freed first. */
static bool take_over(struct resolver *r, struct room *room, uint64_t logged, uint64_t wanted, uint64_t size)
{
    uint64_t bytes = 0;
    uint64_t parts;
    if (!is_image(room, logged, wanted, size))
        return give_logged(r, room, logged, size, &parts) && take_fixed(r, room, logged, wanted, size);
    struct shift *shift = new_shift(r, wanted - logged);
    if (shift == NULL)
        return no_memory(r);
    return good(r, kva_reserve_over(&room->ours, wanted, size, NULL, &bytes), "kva_reserve_over", wanted) &&
           emit_over(r, STEP_RESERVE_OVER, room->number, wanted, size, bytes) &&
           good(r, kva_reserve_over(&room->logged, logged, size, shift, NULL), "noting a mapping", logged);
}

/** Grow the mapping that ends at `last` in the log by `more` bytes, which the log has free. *grown: false
 *  if there is no such mapping, or if our space has no room after it. */
static bool grow_at(struct resolver *r, struct room *room, uint64_t last, uint64_t more, bool *grown)
{
    struct kva_segment segment;
    *grown = false;
    if (!find_logged(room, last, &segment) || segment.last != last)
        return true;
    uint64_t ours = segment.start + distance_of(&segment);
    uint64_t size = last - segment.start + 1 + more;
    enum kva_status status = kva_resize(&room->ours, ours, size);
    if (status != KVA_ENOSPC && !good(r, status, "kva_resize", ours))
        return false;
    if (!emit(r, STEP_RESIZE, room->number, ours, size, status))
        return false;
    *grown = status == KVA_OK;
    return !*grown ||
           good(r, kva_resize(&room->logged, segment.start, size), "growing a mapping", segment.start);
}

/* -------------------------------------------------------------------------------------------------- rooms */

static struct kva_config config_of(uint64_t first, uint64_t last)
{
    return (struct kva_config){.first = first,
                               .last = last,
                               .quantum = SCRIPT_PAGE,
                               .engine = kva_engine_host(),
                               .memory = kva_memory_host()};
}

/** Create a room without spaces, and add it to the list. NULL: no memory. */
static struct room *new_room(struct resolver *r)
{
    struct room *room = calloc(1, sizeof *room);
    if (room == NULL)
        return NULL;
    room->number = r->script->spaces++;
    room->next = r->rooms;
    room->link = &r->rooms;
    if (room->next != NULL)
        room->next->link = &room->next;
    r->rooms = room;
    return room;
}

/** Create an empty address space. NULL: failed. */
static struct room *begin_room(struct resolver *r)
{
    struct kva_config ours = config_of(SCRIPT_FIRST, SCRIPT_LAST);
    struct kva_config logged = config_of(0, UINT64_MAX);
    struct room *room = new_room(r);
    if (room == NULL) {
        no_memory(r);
        return NULL;
    }
    if (!good(r, kva_space_init(&room->ours, &ours), "kva_space_init", SCRIPT_FIRST) ||
        !good(r, kva_space_init(&room->logged, &logged), "kva_space_init", 0) ||
        !emit(r, STEP_BEGIN, room->number, 0, 0, KVA_OK))
        return NULL;
    if (r->first == NULL)
        r->first = room;
    return room;
}

/** Create a copy of an address space. NULL: failed. */
static struct room *fork_room(struct resolver *r, const struct room *parent)
{
    struct kva_config ours = config_of(SCRIPT_FIRST, SCRIPT_LAST);
    struct kva_config logged = config_of(0, UINT64_MAX);
    struct room *room = new_room(r);
    if (room == NULL) {
        no_memory(r);
        return NULL;
    }
    room->break_now = parent->break_now;
    room->heap_first = parent->heap_first;
    room->heap_end = parent->heap_end;
    room->heap_known = parent->heap_known;
    if (!good(r, copy_space(&parent->ours, &ours, &room->ours), "copying a space", SCRIPT_FIRST) ||
        !good(r, copy_space(&parent->logged, &logged, &room->logged), "copying a space", 0) ||
        !emit(r, STEP_FORK, room->number, parent->number, 0, KVA_OK))
        return NULL;
    return room;
}

static void free_room(struct room *room)
{
    kva_space_abandon(&room->ours);
    kva_space_abandon(&room->logged);
    free(room);
}

/** Remove the call that a task has under way, if any. */
static void end_under_way(struct task *task)
{
    struct task **link = &task->room->under_way;
    if (task->under_way == NO_OP)
        return;
    while (*link != task)
        link = &(*link)->next_under_way;
    *link = task->next_under_way;
    task->under_way = NO_OP;
    task->room->count_under_way--;
}

/** A process leaves its address space, which ends with its last process. */
static bool leave_room(struct resolver *r, struct task *task)
{
    struct room *room = task->room;
    if (room != NULL)
        end_under_way(task);
    task->room = NULL;
    if (room == NULL || --room->users != 0)
        return true;
    *room->link = room->next;
    if (room->next != NULL)
        room->next->link = room->link;
    if (r->first == room)
        r->first = NULL;
    bool fine = emit(r, STEP_END, room->number, 0, 0, KVA_OK);
    free_room(room);
    return fine;
}

static bool enter_room(struct task *task, struct room *room)
{
    if (room == NULL)
        return false;
    task->room = room;
    room->users++;
    return true;
}

/* ---------------------------------------------------------------------------------------------- processes */

/** The task of a process, created if there is none. NULL: no memory. */
static struct task *task_of(struct resolver *r, uint32_t pid)
{
    void **place = pidmap_at(&r->by_pid, pid);
    if (place == NULL || *place != NULL)
        return place == NULL ? NULL : *place;
    struct task *task = calloc(1, sizeof *task);
    if (task == NULL)
        return NULL;
    task->next = r->tasks;
    task->under_way = NO_OP;
    task->played = NO_OP;
    r->tasks = task;
    r->counts->processes++;
    *place = task;
    return task;
}

/** Choose an address space for a process that no line has introduced. */
static bool guess_room(struct resolver *r, struct task *task, const struct strace_op *op)
{
    bool fresh = op->call == STRACE_EXECVE || (op->call == STRACE_BRK && op->address == 0);
    if (fresh || r->first == NULL)
        return enter_room(task, begin_room(r));
    return enter_room(task, r->first);
}

/** The child's number may have belonged to a process whose end the log does not show. */
static bool play_fork(struct resolver *r, const struct task *parent, const struct strace_op *op)
{
    struct task *child = task_of(r, (uint32_t)op->result);
    if (child == NULL)
        return no_memory(r);
    if (child == parent)
        return true;
    if (!leave_room(r, child))
        return false;
    return enter_room(child, (op->flags & STRACE_SHARED_VM) != 0 ? parent->room : fork_room(r, parent->room));
}

static bool play_execve(struct resolver *r, struct task *task)
{
    return leave_room(r, task) && enter_room(task, begin_room(r));
}

/* --------------------------------------------------------------------------------------------- operations */

/** A length or address in whole pages. The reader has checked that this does not wrap for mappings; a hint
 *  that wraps becomes 0, which is no hint. */
static uint64_t page_up(uint64_t value)
{
    return (value + (SCRIPT_PAGE - 1)) & ~(SCRIPT_PAGE - 1);
}

static bool play_mmap(struct resolver *r, struct room *room, const struct strace_op *op)
{
    uint64_t size = page_up(op->length);
    uint64_t wanted = op->address == 0 ? 0 : page_up(translate(room, op->address));
    bool displaced;
    r->counts->mmaps++;
    if ((op->flags & STRACE_FIXED) != 0)
        return take_over(r, room, op->result, wanted, size);
    if (!clear_logged(r, room, op->result, size))
        return false;
    /* A kernel before 4.17 treats MAP_FIXED_NOREPLACE as a hint. */
    if ((op->flags & STRACE_NOREPLACE) != 0 && op->result == op->address)
        return take_fixed(r, room, op->result, wanted, size);
    return take_for(r, room, op->result, wanted, size, &displaced);
}

static bool play_munmap(struct resolver *r, struct room *room, const struct strace_op *op)
{
    uint64_t parts;
    r->counts->munmaps++;
    return give_logged(r, room, op->address, page_up(op->length), &parts) &&
           note(r, NOTE_UNKNOWN, parts == 0 ? 1 : 0);
}

/** mremap that grew in place: ours grows too, or moves if there is no room after it. */
static bool grow_mapping(struct resolver *r, struct room *room, uint64_t old, uint64_t old_size,
                         uint64_t size)
{
    uint64_t parts;
    uint64_t wanted;
    bool grown;
    if (!clear_logged(r, room, old + old_size, size - old_size))
        return false;
    if (!grow_at(r, room, old + old_size - 1, size - old_size, &grown) || grown)
        return grown;
    wanted = translate(room, old);
    return give_logged(r, room, old, old_size, &parts) && note(r, NOTE_UNKNOWN, parts == 0 ? 1 : 0) &&
           take_fixed(r, room, old, wanted, size);
}

/** A mapping that moves may first try to grow in place, as the kernel does, if it is one whole segment. It
 *  is then known by its new logged address. *grown: it grew. */
static bool grow_then_rename(struct resolver *r, struct room *room, const struct strace_op *op,
                             uint64_t old_size, uint64_t size, bool *grown)
{
    struct kva_segment segment;
    *grown = false;
    if (size <= old_size || !find_logged(room, op->address, &segment) || segment.start != op->address ||
        segment.last != op->address + (old_size - 1))
        return true;
    uint64_t ours = segment.start + distance_of(&segment);
    enum kva_status status = kva_resize(&room->ours, ours, size);
    if (status != KVA_ENOSPC && !good(r, status, "kva_resize", ours))
        return false;
    if (!emit(r, STEP_RESIZE, room->number, ours, size, status))
        return false;
    if (status != KVA_OK)
        return true;
    *grown = true;
    return good(r, kva_free(&room->logged, segment.start), "renaming a mapping", segment.start) &&
           know(r, room, op->result, ours, size);
}

/** mremap to another address: take the new range, then free the old one. */
static bool move_mapping(struct resolver *r, struct room *room, const struct strace_op *op, uint64_t old_size,
                         uint64_t size)
{
    bool fixed = (op->flags & STRACE_FIXED) != 0;
    bool keeps_old = old_size == 0 || (op->flags & STRACE_DONTUNMAP) != 0;
    uint64_t wanted = fixed ? translate(room, op->result) : 0;
    uint64_t parts;
    bool grown = false;
    if (!fixed && !clear_logged(r, room, op->result, size))
        return false;
    if (!fixed && !keeps_old && !grow_then_rename(r, room, op, old_size, size, &grown))
        return false;
    if (grown)
        return true;
    if (!(fixed ? take_over(r, room, op->result, wanted, size)
                : take_fixed(r, room, op->result, wanted, size)))
        return false;
    if (keeps_old)
        return true;
    return give_logged(r, room, op->address, old_size, &parts) && note(r, NOTE_UNKNOWN, parts == 0 ? 1 : 0);
}

static bool play_mremap(struct resolver *r, struct room *room, const struct strace_op *op)
{
    uint64_t old_size = page_up(op->length);
    uint64_t size = page_up(op->new_length);
    uint64_t parts;
    r->counts->mremaps++;
    if (op->result != op->address || old_size == 0)
        return move_mapping(r, room, op, old_size, size);
    if (size > old_size)
        return grow_mapping(r, room, op->address, old_size, size);
    return size == old_size || give_logged(r, room, op->address + size, old_size - size, &parts);
}

/** The heap has grown: the segment at its end grows, or a new one follows it. */
static bool grow_heap(struct resolver *r, struct room *room, uint64_t end)
{
    uint64_t more = end - room->heap_end;
    bool grown = false;
    if (!clear_logged(r, room, room->heap_end, more))
        return false;
    if (room->heap_end > room->heap_first && !grow_at(r, room, room->heap_end - 1, more, &grown))
        return false;
    return grown || take_fixed(r, room, room->heap_end, room->heap_end, more);
}

/** Whether a brk(NULL) begins another program: it does not return the break, in a log without execve. */
static bool is_another_program(const struct resolver *r, const struct room *room, const struct strace_op *op)
{
    return room->heap_known && op->address == 0 && op->result != room->break_now && !r->has_execve;
}

static bool play_brk(struct resolver *r, struct task *task, const struct strace_op *op)
{
    uint64_t end = page_up(op->result);
    uint64_t parts;
    if (is_another_program(r, task->room, op) && !play_execve(r, task))
        return false;
    struct room *room = task->room;
    if (!room->heap_known) {
        room->heap_known = true;
        room->heap_first = end;
        room->heap_end = end;
    }
    if (op->address != 0 && op->result != op->address) {
        r->counts->failed++; /* it returned the old break */
        return true;
    }
    r->counts->brks++;
    room->break_now = op->result;
    if (end < room->heap_first)
        end = room->heap_first; /* the log began after the heap did */
    if (end > room->heap_end && !grow_heap(r, room, end))
        return false;
    if (end < room->heap_end && !give_logged(r, room, end, room->heap_end - end, &parts))
        return false;
    room->heap_end = end;
    return true;
}

/** Play a call that succeeded, of a task that has an address space. */
static bool play_call(struct resolver *r, struct task *task, const struct strace_op *op)
{
    switch ((enum strace_call)op->call) {
    case STRACE_MMAP:
        return play_mmap(r, task->room, op);
    case STRACE_MUNMAP:
        return play_munmap(r, task->room, op);
    case STRACE_MREMAP:
        return play_mremap(r, task->room, op);
    case STRACE_BRK:
        return play_brk(r, task, op);
    case STRACE_MPROTECT:
        r->counts->mprotects++;
        return true;
    case STRACE_EXECVE:
        return play_execve(r, task);
    case STRACE_FORK:
        return play_fork(r, task, op);
    case STRACE_EXIT:
    case STRACE_OTHER:
    case STRACE_UNDER_WAY:
        break;
    }
    return true;
}

/* ---------------------------------------------------------------------------------------- calls under way */

/** The range that a call frees when it takes effect. False: none. See CALLS UNDER WAY in script.h. */
static bool gives_up(const struct room *room, const struct strace_op *op, uint64_t *start, uint64_t *size)
{
    uint64_t old_size = page_up(op->length);
    uint64_t new_size = op->result != op->address ? 0 : page_up(op->new_length);
    *start = op->address + new_size;
    *size = old_size > new_size ? old_size - new_size : 0;
    if (op->call == STRACE_BRK) {
        *start = page_up(op->result);
        *size = op->address != 0 && op->result == op->address && *start < room->heap_end
                    ? room->heap_end - *start
                    : 0;
    }
    return *size != 0 && (op->flags & STRACE_DONTUNMAP) == 0;
}

/** The first task with a call under way that frees a part of a range. NULL: none. */
static struct task *find_under_way(const struct resolver *r, const struct room *room, uint64_t start,
                                   uint64_t size)
{
    for (struct task *task = room->under_way; task != NULL; task = task->next_under_way) {
        uint64_t given, given_size;
        if (gives_up(room, &r->log->ops[task->under_way], &given, &given_size) &&
            given <= start + (size - 1) && start <= given + (given_size - 1))
            return task;
    }
    return NULL;
}

/** Before the log maps a range: play all calls under way that free a part of it. Each of them may map a
 *  range and call this function again; the depth is at most SCRIPT_UNDER_WAY, because each is removed from
 *  the list first. */
static bool play_under_way(struct resolver *r, struct room *room, uint64_t start, uint64_t size)
{
    struct task *task;
    size_t turn = r->op;
    while ((task = find_under_way(r, room, start, size)) != NULL) {
        r->op = task->under_way;
        task->played = task->under_way;
        end_under_way(task);
        if (!play_call(r, task, &r->log->ops[task->played]))
            return false;
    }
    r->op = turn;
    return true;
}

/** A call begins that ends later. A call that fails or never returns has no effect. */
static bool begin_under_way(struct resolver *r, struct task *task, const struct strace_op *op)
{
    if (op->result >= r->log->count || r->log->ops[op->result].outcome != STRACE_DONE)
        return true;
    if (task->room == NULL && !guess_room(r, task, &r->log->ops[op->result]))
        return false;
    end_under_way(task);
    if (task->room->count_under_way == SCRIPT_UNDER_WAY)
        return true;
    task->room->count_under_way++;
    task->under_way = (size_t)op->result;
    task->next_under_way = task->room->under_way;
    task->room->under_way = task;
    return true;
}

/* ------------------------------------------------------------------------------------- the next operation */

static bool play_op(struct resolver *r, const struct strace_op *op)
{
    if (op->call == STRACE_OTHER)
        return true; /* a call whose end was not understood */
    struct task *task = task_of(r, op->pid);
    if (task == NULL)
        return no_memory(r);
    if (op->call == STRACE_UNDER_WAY)
        return begin_under_way(r, task, op);
    if (op->call == STRACE_EXIT)
        return leave_room(r, task);
    if (task->played == r->op)
        return true;
    if (task->under_way == r->op)
        end_under_way(task);
    if (op->outcome != STRACE_DONE) {
        r->counts->failed++;
        return true;
    }
    if (task->room == NULL && !guess_room(r, task, op))
        return false;
    return play_call(r, task, op);
}

/* ----------------------------------------------------------------------------------------- all operations */

static void free_resolver(struct resolver *r)
{
    while (r->rooms != NULL) {
        struct room *next = r->rooms->next;
        free_room(r->rooms);
        r->rooms = next;
    }
    while (r->tasks != NULL) {
        struct task *next = r->tasks->next;
        free(r->tasks);
        r->tasks = next;
    }
    while (r->chunks != NULL) {
        struct shift_chunk *next = r->chunks->next;
        free(r->chunks);
        r->chunks = next;
    }
    pidmap_fini(&r->by_pid);
}

bool script_resolve(const struct strace_log *log, struct script *script, char message[256], bool *wrong)
{
    bool fine = true;
    *script = (struct script){0};
    struct resolver r = {.log = log, .script = script, .counts = &script->counts, .message = message};
    for (size_t i = 0; i < log->count; i++)
        r.has_execve = r.has_execve || log->ops[i].call == STRACE_EXECVE;
    for (; fine && r.op < log->count; r.op++)
        fine = play_op(&r, &log->ops[r.op]);
    free_resolver(&r);
    *wrong = r.wrong;
    if (!fine)
        script_fini(script);
    return fine;
}

void script_fini(struct script *script)
{
    free(script->steps);
    free(script->notes);
    *script = (struct script){0};
}

const char *script_note_name(enum script_note_kind kind)
{
    static const char *const names[] = {"unknown", "implied", "displaced", "refused"};
    return names[kind];
}

const char *step_name(enum step_kind kind)
{
    switch (kind) {
    case STEP_ALLOC:
    case STEP_ALLOC_HIGH:
        return "kva_alloc";
    case STEP_RESERVE:
        return "kva_reserve";
    case STEP_RESERVE_OVER:
        return "kva_reserve_over";
    case STEP_CLEAR:
        return "kva_clear";
    case STEP_RESIZE:
        return "kva_resize";
    case STEP_BEGIN:
    case STEP_FORK:
    case STEP_END:
        break;
    }
    return "kva_space_init";
}
