/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Spans and their directory; see span.h. */
#include "span.h"

#include "../base/memory.h"

static const uint32_t kind_objects[KVA_SPAN_KINDS] = {32, 128, KVA_SPAN_QUANTA};

/** The smallest kind of descriptor with room for `count` objects. */
static unsigned descriptor_kind(uint32_t count)
{
    unsigned kind = 0;

    while (kind_objects[kind] < count)
        kind++;
    return kind;
}

/** The words of a row of bits. */
static uint32_t words_in_row(uint32_t objects)
{
    return (objects + 63) / 64;
}

/* --------------------------------------------------------------------------------------------- directory */

enum { FIRST_SLOTS = 64 };

void kva_spans_init(struct kva_pools *pools, struct kva_ledger *ledger)
{
    for (unsigned c = 0; c < pools->cpus; c++) {
        for (uint32_t i = 0; i < KVA_POOL_QUANTA; i++)
            list_init(&pools->cpu[c].with_free[i]);
    }
    for (unsigned epoch = 0; epoch < KVA_EPOCHS; epoch++)
        list_init(&pools->deferred_spans[epoch]);
    list_init(&pools->limbo);
    pools->taken_out.start = UINT64_MAX; /* no span starts there */
    for (unsigned kind = 0; kind < KVA_SPAN_KINDS; kind++) {
        uint32_t objects = kind_objects[kind];
        size_t bits = (2 + KVA_EPOCHS) * words_in_row(objects) * sizeof(uint64_t);
        size_t bytes = sizeof(struct kva_span) + objects * sizeof(struct kva_object_state) + bits;
        kva_nodes_init(&pools->span_nodes[kind], ledger, round_to_line(bytes));
    }
}

/** Fibonacci hashing: 2^64 over the golden ratio. The upper half of the product depends on all bits. */
static size_t hash_slot(const struct kva_directory *directory, uint64_t number)
{
    return (size_t)(number * UINT64_C(0x9e3779b97f4a7c15) >> 32) & directory->mask;
}

struct kva_span *kva_span_find(const struct kva_pools *pools, uint64_t address)
{
    const struct kva_directory *directory = atomic_load_explicit(&pools->directory, memory_order_acquire);
    uint64_t start = align_down(address, pools->span_bytes);

    if (!directory)
        return NULL;
    for (size_t i = hash_slot(directory, start >> pools->span_shift);; i = (i + 1) & directory->mask) {
        struct kva_span *span = atomic_load_explicit(&directory->slot[i], memory_order_acquire);
        if (!span || span->start == start)
            return span;
    }
}

/** Insert into the first slot that is empty or taken out. There is one, and no span with this number. */
static void insert(const struct kva_pools *pools, struct kva_directory *directory, struct kva_span *span)
{
    size_t i = hash_slot(directory, span->start >> pools->span_shift);

    for (;; i = (i + 1) & directory->mask) {
        struct kva_span *other = atomic_load_explicit(&directory->slot[i], memory_order_relaxed);
        if (other && other != &pools->taken_out)
            continue;
        directory->used += !other;
        atomic_store_explicit(&directory->slot[i], span, memory_order_release);
        return;
    }
}

static void put_in(struct kva_pools *pools, struct kva_span *span)
{
    insert(pools, atomic_load_explicit(&pools->directory, memory_order_relaxed), span);
    pools->spans++;
}

static void take_out(struct kva_pools *pools, struct kva_span *span)
{
    struct kva_directory *directory = atomic_load_explicit(&pools->directory, memory_order_relaxed);
    size_t i = hash_slot(directory, span->start >> pools->span_shift);

    while (atomic_load_explicit(&directory->slot[i], memory_order_relaxed) != span)
        i = (i + 1) & directory->mask;
    atomic_store_explicit(&directory->slot[i], &pools->taken_out, memory_order_release);
    pools->spans--;
}

/** The pointer in a list to its first directory with at least `slots`; the last pointer, NULL, if there is
 *  none. */
static struct kva_directory **large_enough(struct kva_directory **list, size_t slots)
{
    while (*list && (*list)->mask < slots - 1)
        list = &(*list)->next;
    return list;
}

/** An empty directory of at least `slots`: a spare one, or a new one. NULL if the source has no memory, or if
 *  one that is large enough is in limbo: this bounds their number (span.h, MEMORY). */
static struct kva_directory *empty_directory(struct kva_space *space, size_t slots)
{
    struct kva_pools *pools = space->shared->pools;
    struct kva_directory **spare = large_enough(&pools->spare_directories, slots);
    struct kva_directory *directory = *spare;
    size_t bytes;

    if (directory) {
        slots = directory->mask + 1;
        *spare = directory->next;
    }
    if (!size_of_array(sizeof(struct kva_directory), slots, sizeof directory->slot[0], &bytes))
        return NULL;
    if (!directory && !*large_enough(&pools->old_directories, slots))
        directory = kva_nodes_block(&space->map->ledger, bytes);
    if (directory) {
        memset(directory, 0, bytes);
        directory->mask = slots - 1;
    }
    return directory;
}

/** Replace the directory, `old` (NULL: none yet), by one with room for twice the present spans. False if
 *  there is none. */
static bool replace_directory(struct kva_space *space, struct kva_directory *old)
{
    struct kva_pools *pools = space->shared->pools;
    size_t slots = FIRST_SLOTS;

    while (slots < 4 * (pools->spans + 1))
        slots *= 2;
    struct kva_directory *fresh = empty_directory(space, slots);
    if (!fresh)
        return false;
    for (size_t i = 0; old && i <= old->mask; i++) {
        struct kva_span *span = atomic_load_explicit(&old->slot[i], memory_order_relaxed);
        if (span && span != &pools->taken_out)
            insert(pools, fresh, span);
    }
    atomic_store_explicit(&pools->directory, fresh, memory_order_release);
    if (old) {
        old->next = pools->old_directories;
        pools->old_directories = old;
    }
    return true;
}

/** Ensure a slot for one more span. At most half of the slots are in use, so that searches are short and end
 *  at an empty slot. */
static bool make_slot(struct kva_space *space)
{
    struct kva_directory *directory =
        atomic_load_explicit(&space->shared->pools->directory, memory_order_relaxed);

    return (directory && directory->used <= directory->mask / 2) || replace_directory(space, directory);
}

/* ------------------------------------------------------------------------------------------------- spans */

/** Lay out the arrays in a span's node. All objects are free. */
static void lay_out_span(struct kva_span *span)
{
    uint32_t objects = kind_objects[descriptor_kind(span->count)];
    uint32_t words = words_in_row(objects);

    span->state = (struct kva_object_state *)(void *)(span + 1);
    span->is_free = (uint64_t *)(void *)(span->state + objects);
    memset(span->state, 0, objects * sizeof span->state[0]);
    memset(span->is_free, 0, (2 + KVA_EPOCHS) * words * sizeof span->is_free[0]);
    span->is_gone = span->is_free + words;
    span->is_deferred[0] = span->is_gone + words;
    span->is_deferred[1] = span->is_deferred[0] + words;
    for (uint32_t i = 0; i < span->count; i++)
        bit_set(span->is_free, i);
}

static void count_tree_segment(struct kva_space *space, uint64_t busy_before)
{
    space->shared->pools->tree_segments += space->map->tally.segments[KVA_BUSY] - busy_before;
}

/** Find the place of a new span, and take the memory for it. */
static bool prepare_span(struct kva_space *space, unsigned kind, struct kva_place *place)
{
    struct kva_address_map *map = space->map;
    struct kva_pools *pools = space->shared->pools;
    const struct kva_demand demand = {.size = pools->span_bytes,
                                      .align = pools->span_bytes,
                                      .min = map->first,
                                      .max = map->last,
                                      .policy = KVA_LOWEST};

    return map->last - map->first >= pools->span_bytes - 1 &&
           map->engine->search(map, &demand, place) == KVA_OK &&
           kva_nodes_ensure(&pools->span_nodes[kind], 1) && make_slot(space) &&
           map->engine->prepare(map, 2) == KVA_OK;
}

/** List a span that has free objects from now on. */
static void list_span(struct kva_pools *pools, struct kva_span *span)
{
    struct kva_cpu *home = &pools->cpu[span->home];

    list_insert_after(&home->with_free[span->quanta - 1], &span->link);
    home->spans_with_free++;
}

static void unlist_span(struct kva_pools *pools, struct kva_span *span)
{
    list_remove(&span->link);
    pools->cpu[span->home].spans_with_free--;
}

/** Occupy the span's place in the tree, except the rest at its end. */
static void occupy_for(struct kva_space *space, const struct kva_span *span, const struct kva_place *place)
{
    struct kva_address_map *map = space->map;
    uint64_t busy = map->tally.segments[KVA_BUSY];
    uint64_t used = span->count * span->bytes;

    (void)map->engine->occupy(map, place, NULL);
    if (used < space->shared->pools->span_bytes)
        (void)map->engine->resize(map, span->start, span->start + (used - 1));
    count_tree_segment(space, busy);
    space->shared->pools->quanta += span->count * (uint32_t)span->quanta;
}

/** Make a span for a CPU, if there is room and memory for it. */
static struct kva_span *make_span(struct kva_space *space, const struct kva_cpu *cpu, uint32_t quanta)
{
    struct kva_pools *pools = space->shared->pools;
    uint32_t count = pools->span_quanta / quanta;
    unsigned kind = descriptor_kind(count);
    struct kva_place place;

    if (!prepare_span(space, kind, &place))
        return NULL;
    struct kva_span *span = kva_nodes_pop(&pools->span_nodes[kind]);
    *span = (struct kva_span){.start = place.start,
                              .bytes = quanta * space->map->quantum,
                              .quanta = (uint16_t)quanta,
                              .count = (uint16_t)count,
                              .home = (uint32_t)(cpu - pools->cpu),
                              .free = count};
    lay_out_span(span);
    list_span(pools, span);
    begin_compound(space);
    put_in(pools, span);
    occupy_for(space, span, &place);
    end_compound(space);
    pools->objects += count;
    pools->empty_spans++;
    return span;
}

/** Requires that all objects are gone. */
static void end_span(struct kva_pools *pools, struct kva_span *span)
{
    take_out(pools, span);
    list_insert_after(&pools->limbo, &span->link);
}

bool kva_spans_in_limbo(const struct kva_pools *pools)
{
    return !list_is_empty(&pools->limbo) || pools->old_directories;
}

void kva_spans_end_limbo(struct kva_pools *pools)
{
    while (!list_is_empty(&pools->limbo)) {
        struct kva_span *span = kva_container_of(pools->limbo.next, struct kva_span, link);
        list_remove(&span->link);
        kva_nodes_push(&pools->span_nodes[descriptor_kind(span->count)], span);
    }
    while (pools->old_directories) {
        struct kva_directory *directory = pools->old_directories;
        pools->old_directories = directory->next;
        directory->next = pools->spare_directories;
        pools->spare_directories = directory;
    }
}

/* ------------------------------------------------------------------------------- free objects out and in */

/** The first span with free objects of a size that is at home with a CPU; NULL: none. */
static struct kva_span *first_span(const struct kva_cpu *cpu, uint32_t quanta)
{
    const struct kva_list *list = &cpu->with_free[quanta - 1];

    return list_is_empty(list) ? NULL : kva_container_of(list->next, struct kva_span, link);
}

/** The next of the other CPUs, in turn. */
static const struct kva_cpu *next_host(const struct kva_pools *pools, struct kva_cpu *cpu)
{
    uint32_t here = (uint32_t)(cpu - pools->cpu);

    return &pools->cpu[(here + 1 + cpu->next_host++ % (pools->cpus - 1)) % pools->cpus];
}

/** Give a span with free objects a new home. */
static struct kva_span *adopt(struct kva_pools *pools, const struct kva_cpu *cpu, struct kva_span *span)
{
    unlist_span(pools, span);
    span->home = (uint32_t)(cpu - pools->cpu);
    list_span(pools, span);
    return span;
}

/** Whether a CPU can spare the first of its spans of a size: it has another one, and at least half of this
 *  one is free, so that few objects of the old home stay in it. If a CPU gave up its last span, two CPUs that
 *  use one size would share it for ever. */
static bool is_spare_span(const struct kva_span *span)
{
    return span->link.next != span->link.prev && 2 * span->free >= span->count;
}

/** Any span with free objects of a size; NULL: none. */
static struct kva_span *any_span(const struct kva_pools *pools, uint32_t quanta)
{
    struct kva_span *span = NULL;

    for (unsigned c = 0; c < pools->cpus && !span; c++)
        span = first_span(&pools->cpu[c], quanta);
    return span;
}

/** The CPU's own span; else one that the next other CPU can spare; else a new one; else, without room for
 *  that, any CPU's. */
static struct kva_span *span_with_free(struct kva_space *space, struct kva_cpu *cpu, uint32_t quanta)
{
    struct kva_pools *pools = space->shared->pools;
    struct kva_span *span = first_span(cpu, quanta);

    if (span || pools->cpus == 1)
        return span ? span : make_span(space, cpu, quanta);
    span = first_span(next_host(pools, cpu), quanta);
    if (span && is_spare_span(span))
        return adopt(pools, cpu, span);
    span = make_span(space, cpu, quanta);
    if (span)
        return span;
    span = any_span(pools, quanta);
    return span ? adopt(pools, cpu, span) : NULL;
}

/** Take the lowest free object; returns its index. */
static uint32_t take_lowest(struct kva_pools *pools, struct kva_span *span)
{
    uint32_t index = (uint32_t)bits_lowest(span->is_free);

    bit_clear(span->is_free, index);
    pools->empty_spans -= span->free == span->count;
    if (--span->free == 0)
        unlist_span(pools, span);
    return index;
}

uint32_t kva_spans_take(struct kva_space *space, struct kva_cpu *cpu, uint32_t quanta,
                        struct kva_object *objects, uint32_t most)
{
    uint32_t count = 0;

    while (count < most) {
        struct kva_span *span = span_with_free(space, cpu, quanta);
        if (!span)
            break;
        while (count < most && span->free > 0)
            objects[count++] = (struct kva_object){span, take_lowest(space->shared->pools, span)};
    }
    return count;
}

/** Make the free objects [first, last] gone. */
static void mark_gone(struct kva_pools *pools, struct kva_span *span, uint32_t first, uint32_t last)
{
    uint32_t count = last - first + 1;

    pools->empty_spans -= span->free == span->count;
    for (uint32_t i = first; i <= last; i++) {
        bit_clear(span->is_free, i);
        bit_set(span->is_gone, i);
    }
    span->free -= count;
    span->gone += count;
    pools->objects -= count;
    pools->quanta -= count * (uint32_t)span->quanta;
    if (span->free == 0)
        unlist_span(pools, span);
    if (span->gone == span->count)
        end_span(pools, span);
}

/** Find the segment of the tree that holds an object, which is not gone, and the span's objects in it,
 *  [*first, *last]. */
static void find_tree_segment(const struct kva_space *space, const struct kva_object *object,
                              struct kva_segment *segment, uint32_t *first, uint32_t *last)
{
    const struct kva_span *span = object->span;

    core_find(space->map, object_start(object), segment);
    *first = object->index;
    *last = object->index;
    while (*first > 0 && span->start + (*first - 1) * span->bytes >= segment->start)
        --*first;
    while (*last + 1 < span->count && span->start + (*last + 1) * span->bytes <= segment->last)
        ++*last;
}

/** If all objects in the tree segment of an object are free, free that segment. Takes no memory. */
static void free_if_unused(struct kva_space *space, const struct kva_object *object)
{
    struct kva_pools *pools = space->shared->pools;
    struct kva_segment segment;
    uint32_t first;
    uint32_t last;

    find_tree_segment(space, object, &segment, &first, &last);
    for (uint32_t i = first; i <= last; i++) {
        if (!bit_is_set(object->span->is_free, i))
            return;
    }
    uint64_t busy = space->map->tally.segments[KVA_BUSY];
    begin_compound(space);
    (void)core_free(space->map, segment.start);
    count_tree_segment(space, busy);
    mark_gone(pools, object->span, first, last);
    end_compound(space);
}

void kva_span_give(struct kva_space *space, const struct kva_object *object)
{
    struct kva_pools *pools = space->shared->pools;
    struct kva_span *span = object->span;

    bit_set(span->is_free, object->index);
    if (span->free++ == 0)
        list_span(pools, span);
    bool is_empty = span->free == span->count;
    pools->empty_spans += is_empty;
    if (span->gone > 0 || (is_empty && pools->empty_spans > KVA_EMPTY_SPANS))
        free_if_unused(space, object);
}

/* ------------------------------------------------------------------------------------------------ objects */

bool kva_object_at(const struct kva_pools *pools, uint64_t address, struct kva_object *object)
{
    object->span = kva_span_find(pools, address);
    if (!object->span)
        return false;
    object->index =
        (uint32_t)((address - object->span->start) >> pools->quantum_shift) / object->span->quanta;
    return object->index < object->span->count;
}

/** kva_spans_next_deferred in one span, which has objects deferred in the epoch. */
static bool next_deferred_in_span(const struct kva_pools *pools, struct kva_span *span, unsigned epoch,
                                  uint64_t from, struct kva_object *object)
{
    uint64_t index = 0;

    if (from > span->start + (pools->span_bytes - 1))
        return false;
    if (from > span->start) /* the first object that starts at or above `from` */
        index = ((uint32_t)((from - 1 - span->start) >> pools->quantum_shift)) / span->quanta + 1;
    if (index >= span->count)
        return false;
    index = bits_first(span->is_deferred[epoch], index, span->count);
    *object = (struct kva_object){span, (uint32_t)index};
    return index < span->count;
}

bool kva_spans_next_deferred(const struct kva_pools *pools, unsigned epoch, uint64_t from,
                             struct kva_object *object)
{
    const struct kva_list *head = &pools->deferred_spans[epoch];
    struct kva_object lowest;
    bool any = false;

    for (const struct kva_list *link = head->next; link != head; link = link->next) {
        struct kva_span *span = kva_container_of(link, struct kva_span, deferred_link[epoch]);
        if ((any && span->start > object->span->start) ||
            !next_deferred_in_span(pools, span, epoch, from, &lowest))
            continue;
        *object = lowest;
        any = true;
    }
    return any;
}

bool kva_object_count_out(const struct kva_space *space, const struct kva_object *object)
{
    struct kva_pools *pools = space->shared->pools;

    if (!object_clear_live(space, object))
        return false;
    pools->moved_quanta -= object->span->quanta;
    pools->moved_segments--;
    return true;
}

struct kva_live kva_pools_live(const struct kva_space *space)
{
    const struct kva_pools *pools = space->shared->pools;
    struct kva_live live = {pools->moved_segments, pools->moved_quanta};

    for (unsigned i = 0; i < pools->cpus; i++) {
        live.segments += pools->cpu[i].live_segments;
        live.quanta += pools->cpu[i].live_quanta;
    }
    return live;
}

/* -------------------------------------------------------------------------------------- back to the tree */

static void trim_list(struct kva_space *space, const struct kva_list *list)
{
    const struct kva_list *link = list->next;

    while (link != list) {
        struct kva_span *span = kva_container_of(link, struct kva_span, link);
        link = link->next;
        if (span->free == span->count)
            free_if_unused(space, &(struct kva_object){span, 0});
    }
}

void kva_spans_trim(struct kva_space *space)
{
    const struct kva_pools *pools = space->shared->pools;

    for (unsigned c = 0; c < pools->cpus; c++) {
        const struct kva_cpu *cpu = &pools->cpu[c];
        for (uint32_t i = 0; i < KVA_POOL_QUANTA && cpu->spans_with_free > 0 && pools->empty_spans > 0; i++)
            trim_list(space, &cpu->with_free[i]);
    }
}

/** Free the objects [first, last], which lie in one segment of the tree. KVA_ENOMEM: nothing has changed. */
static enum kva_status cut_out(struct kva_space *space, struct kva_span *span, uint32_t first, uint32_t last)
{
    struct kva_address_map *map = space->map;
    struct kva_segment segment;
    uint64_t start = span->start + first * span->bytes;
    uint64_t busy = map->tally.segments[KVA_BUSY];

    core_find(map, start, &segment);
    enum kva_status status =
        kva_core_free_part(map, &segment, start, span->start + last * span->bytes + (span->bytes - 1));
    count_tree_segment(space, busy);
    return status;
}

/** The last of the consecutive free objects from `first` on. They lie in one segment of the tree, because an
 *  object that is gone separates two such segments. */
static uint32_t end_of_run(const struct kva_span *span, uint32_t first)
{
    uint32_t last = first;

    while (last + 1 < span->count && bit_is_set(span->is_free, last + 1))
        last++;
    return last;
}

/** Give the lowest free objects of a span back to the tree. KVA_ENOMEM: nothing has changed. */
static enum kva_status break_off(struct kva_space *space, struct kva_span *span)
{
    uint32_t first = (uint32_t)bits_lowest(span->is_free);
    uint32_t last = end_of_run(span, first);

    begin_compound(space);
    enum kva_status status = cut_out(space, span, first, last);
    if (status == KVA_OK)
        mark_gone(space->shared->pools, span, first, last);
    end_compound(space);
    return status == KVA_OK ? KVA_OK : KVA_ENOMEM;
}

static enum kva_status break_up_spans_of(struct kva_space *space, const struct kva_cpu *cpu)
{
    for (uint32_t i = 1; i <= KVA_POOL_QUANTA && cpu->spans_with_free > 0; i++) {
        struct kva_span *span;
        while ((span = first_span(cpu, i))) {
            if (break_off(space, span) != KVA_OK)
                return KVA_ENOMEM;
        }
    }
    return KVA_OK;
}

enum kva_status kva_spans_break_up(struct kva_space *space)
{
    const struct kva_pools *pools = space->shared->pools;
    enum kva_status status = KVA_OK;

    for (unsigned c = 0; c < pools->cpus && status == KVA_OK; c++)
        status = break_up_spans_of(space, &pools->cpu[c]);
    return status;
}

/** An object has just gone, and divided its segment of the tree. Free each part on either side whose
 *  objects are all free: no later free of an object would. */
static void free_unused_beside(struct kva_space *space, struct kva_span *span, uint32_t index)
{
    if (index > 0 && !bit_is_set(span->is_gone, index - 1))
        free_if_unused(space, &(struct kva_object){span, index - 1});
    if (index + 1 < span->count && !bit_is_set(span->is_gone, index + 1))
        free_if_unused(space, &(struct kva_object){span, index + 1});
}

/** Cut the object out of its span, and reserve it as a segment of its own. Up to three changes (the cut, the
 *  segment, and the caller's next one) are prepared before the first. */
enum kva_status kva_span_move_to_tree(struct kva_space *space, const struct kva_object *object)
{
    struct kva_address_map *map = space->map;
    struct kva_span *span = object->span;
    uint64_t start = object_start(object);

    if (map->engine->prepare(map, 3) != KVA_OK)
        return KVA_ENOMEM;
    if (!kva_object_count_out(space, object))
        return KVA_EDOUBLE;
    begin_compound(space);
    (void)cut_out(space, span, object->index, object->index);
    sync_point(threads_of(space));
    (void)core_reserve(map, start, start + (span->bytes - 1),
                       object_owner(object)); /* it cannot be allocated again now */
    if (span->free++ == 0)
        list_span(space->shared->pools, span);
    space->shared->pools->empty_spans += span->free == span->count;
    mark_gone(space->shared->pools, span, object->index, object->index);
    end_compound(space);
    free_unused_beside(space, span, object->index);
    return KVA_OK;
}
