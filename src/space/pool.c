/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Magazines, and operations on all pools; see pool.h. */
#include "pool.h"

#include "../base/memory.h"

/* ------------------------------------------------------------------------------------------ set up */

uint32_t kva_pools_span_quanta(const struct kva_config *config)
{
    unsigned shift = lowest_bit(config->quantum ? config->quantum : 1);
    uint64_t last = (config->last - config->first) >> shift; /* one less than the quanta of the space */
    uint64_t most = last / 4 + (last % 4 == 3);              /* a quarter of them */
    uint32_t quanta = KVA_SPAN_QUANTA;

    while (quanta > most || quanta > (UINT64_C(1) << 63) >> shift)
        quanta /= 2;
    return config->pool_bytes > 0 && quanta >= 4 ? quanta : 0;
}

static unsigned count_cpus(const struct kva_space *space, const struct kva_config *config)
{
    const struct kva_threads *threads = threads_of(space);
    unsigned cpus = threads && threads->cpus ? threads->cpus : config->cpus;

    return threads && cpus > 0 ? cpus : 1; /* one thread needs one pool */
}

enum kva_status kva_pools_create(struct kva_space *space, const struct kva_config *config)
{
    struct kva_address_map *map = space->map;
    uint32_t quanta = kva_pools_span_quanta(config);
    unsigned cpus = count_cpus(space, config);
    size_t bytes;

    if (quanta == 0)
        return KVA_OK;
    if (!size_of_array(sizeof(struct kva_pools) + KVA_LINE, cpus, sizeof(struct kva_cpu), &bytes))
        return KVA_ENOMEM;
    struct kva_pools *pools = kva_nodes_block(&map->ledger, bytes);
    if (!pools)
        return KVA_ENOMEM;
    memset(pools, 0, bytes);
    pools->quantum_shift = lowest_bit(map->quantum);
    pools->span_shift = lowest_bit(quanta) + pools->quantum_shift;
    pools->span_bytes = (uint64_t)1 << pools->span_shift;
    pools->span_quanta = quanta;
    pools->most_quanta = quanta / 4;
    pools->cpus = cpus;
    pools->share =
        (uint32_t)min_u64(divide(config->pool_bytes, cpus).quotient >> pools->quantum_shift, KVA_HELD_MOST);
    pools->owners = map->owners;
    pools->cpu = (struct kva_cpu *)(void *)((unsigned char *)pools + round_to_line(sizeof *pools));
    kva_spans_init(pools, &map->ledger);
    kva_nodes_init(&pools->magazine_nodes, &map->ledger, round_to_line(sizeof(struct kva_magazine)));
    space->shared->pools = pools;
    space->shared->locks.cpus = pools->cpu;
    space->shared->locks.cpu_bytes = sizeof(struct kva_cpu);
    space->shared->locks.cpu_count = cpus;
    return KVA_OK;
}

/* --------------------------------------------------------------------------------------------- locks */

/** Take the space's lock and a CPU's. */
static void lock_both(const struct kva_space *space, struct kva_cpu *cpu)
{
    lock_space(space);
    lock_take(&cpu->lock, threads_of(space));
}

static void unlock_both(const struct kva_space *space, struct kva_cpu *cpu)
{
    cpu_unlock(space, cpu);
    unlock_space(space);
}

/** Whether the caller runs inside the flush callback. Needs no lock: a thread sees its own writes. */
static bool is_flusher(const struct kva_space *space)
{
    uintptr_t flusher = atomic_load_explicit(&space->shared->flusher, memory_order_relaxed);

    return flusher != 0 && flusher == thread_self(threads_of(space));
}

/* ------------------------------------------------------------------------------- spill, refill, decay */

/** Order a magazine for a spill: foreign objects first, so that they do not stay long, then the CPU's own;
 *  among each, the oldest first. */
static void put_foreign_first(struct kva_magazine *magazine, uint32_t here)
{
    struct kva_object own[KVA_MAGAZINE];
    uint32_t owns = 0;
    uint32_t foreign = 0;

    for (uint32_t i = 0; i < magazine->count; i++) {
        if (magazine->object[i].span->home == here)
            own[owns++] = magazine->object[i];
        else
            magazine->object[foreign++] = magazine->object[i];
    }
    memcpy(magazine->object + foreign, own, owns * sizeof own[0]);
}

/** Move `count` objects of a magazine to their spans: foreign ones, then the oldest. Requires the CPU's lock
 *  and the space's. */
static void spill(struct kva_space *space, struct kva_cpu *cpu, struct kva_magazine *magazine, uint32_t count)
{
    put_foreign_first(magazine, (uint32_t)(cpu - space->shared->pools->cpu));
    for (uint32_t i = 0; i < count; i++) {
        cpu->held -= magazine->object[i].span->quanta;
        kva_span_give(space, &magazine->object[i]);
    }
    magazine->count -= count;
    memmove(magazine->object, magazine->object + count, magazine->count * sizeof magazine->object[0]);
}

static void empty_cpu(struct kva_space *space, struct kva_cpu *cpu)
{
    for (uint32_t i = 0; i < KVA_POOL_QUANTA && cpu->held > 0; i++) {
        if (cpu->magazine[i])
            spill(space, cpu, cpu->magazine[i], cpu->magazine[i]->count);
    }
}

/** The CPU holds its share: make room for `quanta` more, or for an eighth of the share if that is more, so
 *  that not every object needs it. The magazines in turn give back half of their objects. */
static void spill_to_share(struct kva_space *space, struct kva_cpu *cpu, uint32_t quanta)
{
    uint32_t share = space->shared->pools->share;
    uint32_t goal = share - (quanta > share / 8 ? quanta : share / 8);

    while (cpu->held > goal) {
        struct kva_magazine *magazine = cpu->magazine[cpu->next_victim++ % KVA_POOL_QUANTA];
        if (magazine)
            spill(space, cpu, magazine, (magazine->count + 1) / 2);
    }
}

/** Empty all magazines into their spans. Requires all locks. */
static void empty_magazines(struct kva_space *space)
{
    struct kva_pools *pools = space->shared->pools;

    for (unsigned i = 0; i < pools->cpus; i++)
        empty_cpu(space, &pools->cpu[i]);
}

/** Once in KVA_DECAY refills and spills, look at the next CPU in turn: if no thread has used its pool since
 *  the last look, empty it. Its lock is only tried: a pool in use is not idle, and CPUs' locks are taken in
 *  the order of their numbers. */
static void decay(struct kva_space *space, struct kva_cpu *cpu)
{
    struct kva_pools *pools = space->shared->pools;

    if (++cpu->events % KVA_DECAY != 0)
        return;
    struct kva_cpu *victim = &pools->cpu[pools->next_victim++ % pools->cpus];
    if (victim == cpu || !lock_try(&victim->lock, threads_of(space)))
        return;
    if (victim->uses == victim->uses_seen)
        empty_cpu(space, victim);
    victim->uses_seen = victim->uses;
    cpu_unlock(space, victim);
}

/** Let spans and tables in limbo be reused, if each other CPU's lock is free and can be taken: then no search
 *  that may read them is still under way (span.h, THE DIRECTORY, point 3). */
static void try_to_end_limbo(struct kva_space *space, const struct kva_cpu *cpu)
{
    struct kva_pools *pools = space->shared->pools;

    if (!kva_spans_in_limbo(pools))
        return;
    for (unsigned i = 0; i < pools->cpus; i++) {
        if (&pools->cpu[i] == cpu)
            continue;
        if (!lock_try(&pools->cpu[i].lock, threads_of(space)))
            return;
        cpu_unlock(space, &pools->cpu[i]);
    }
    kva_spans_end_limbo(pools);
}

/** How many objects a refill moves: a batch, but at most a sixteenth of the share, so that one size does not
 *  take the room of all; at least one, for which there is room. */
static uint32_t batch_of(const struct kva_pools *pools, const struct kva_cpu *cpu, uint32_t quanta)
{
    uint64_t room = min_u64(pools->share - cpu->held, pools->share / 16);
    uint32_t count = 1;

    while (count < KVA_BATCH && (count + 1) * quanta <= room)
        count++;
    return count;
}

static struct kva_magazine *magazine_of(struct kva_pools *pools, struct kva_cpu *cpu, uint32_t quanta)
{
    struct kva_magazine **magazine = &cpu->magazine[quanta - 1];

    if (!*magazine && kva_nodes_ensure(&pools->magazine_nodes, 1)) {
        *magazine = kva_nodes_pop(&pools->magazine_nodes);
        (*magazine)->count = 0;
    }
    return *magazine;
}

/** Move a batch of objects into an empty magazine, if there are any; the lowest one is allocated first.
 *  Requires the CPU's lock and the space's. */
static void refill(struct kva_space *space, struct kva_cpu *cpu, uint32_t quanta)
{
    struct kva_pools *pools = space->shared->pools;
    struct kva_magazine *magazine = magazine_of(pools, cpu, quanta);
    struct kva_object batch[KVA_BATCH];

    if (!magazine || quanta > pools->share)
        return;
    if (cpu->held + quanta > pools->share)
        spill_to_share(space, cpu, quanta);
    try_to_end_limbo(space, cpu);
    uint32_t count = kva_spans_take(space, cpu, quanta, batch, batch_of(pools, cpu, quanta));
    cpu->held += count * quanta;
    decay(space, cpu);
    for (uint32_t i = 0; i < count; i++)
        magazine->object[i] = batch[count - 1 - i];
    magazine->count = count;
}

/* -------------------------------------------------------------------------------------- allocate, free */

/** Whether the pools can serve a request: no window, no filter, lowest first, up to the largest object.
 *  `max` 0 means no limit, and `align` 0 means 1. */
static bool is_poolable(const struct kva_space *space, const struct kva_request *request)
{
    const struct kva_pools *pools = space->shared->pools;

    return request->min == 0 && request->max - 1 >= UINT64_MAX - 1 && request->policy == KVA_LOWEST &&
           request->size - 1 < (uint64_t)pools->most_quanta << pools->quantum_shift &&
           has_one_bit_at_most(request->align) && request->align >> pools->quantum_shift <= 1 &&
           (request->phase | request->nocross) == 0 && !request->filter &&
           (request->flags & ~(unsigned)KVA_NO_BLOCK) == 0 && !is_flusher(space);
}

/** Make an object live. It was in the caller's magazine, so no other thread has it. */
static void make_live(const struct kva_space *space, const struct kva_object *object, void *owner)
{
    struct kva_object_state *state = state_of_object(object);

    atomic_store_explicit(&state->owner, space->shared->pools->owners ? owner : NULL, memory_order_release);
    sync_point(threads_of(space));
    atomic_store_explicit(&state->live, 1, memory_order_release);
}

/** Allocate an object from a CPU's magazine, if there is one. */
static inline bool take_from_magazine(const struct kva_space *space, struct kva_cpu *cpu, uint32_t quanta,
                                      void *owner, uint64_t *start)
{
    struct kva_magazine *magazine = cpu->magazine[quanta - 1];

    if (!magazine || magazine->count == 0)
        return false;
    const struct kva_object *object = &magazine->object[--magazine->count];
    cpu->held -= quanta;
    cpu->live_quanta += quanta;
    cpu->live_segments++;
    cpu->uses++;
    make_live(space, object, owner);
    *start = object_start(object);
    return true;
}

bool kva_pool_alloc(struct kva_space *space, const struct kva_request *request, uint64_t *start)
{
    const struct kva_pools *pools = space->shared->pools;

    if (!is_poolable(space, request))
        return false;
    uint32_t quanta = (uint32_t)((request->size - 1) >> pools->quantum_shift) + 1;
    struct kva_cpu *cpu = cpu_lock(space);
    bool some = take_from_magazine(space, cpu, quanta, request->owner, start);
    cpu_unlock(space, cpu);
    if (some)
        return true;
    lock_both(space, cpu);
    if (!cpu->magazine[quanta - 1] || cpu->magazine[quanta - 1]->count == 0)
        refill(space, cpu, quanta);
    some = take_from_magazine(space, cpu, quanta, request->owner, start);
    unlock_both(space, cpu);
    return some;
}

static inline bool magazine_has_room(const struct kva_space *space, const struct kva_cpu *cpu,
                                     uint32_t quanta)
{
    const struct kva_magazine *magazine = cpu->magazine[quanta - 1];

    return magazine && magazine->count < KVA_MAGAZINE && cpu->held + quanta <= space->shared->pools->share;
}

/** Make room in a magazine that is full, or whose CPU holds its share. Requires the CPU's lock and the
 *  space's. */
static void make_magazine_room(struct kva_space *space, struct kva_cpu *cpu, struct kva_magazine *magazine,
                               uint32_t quanta)
{
    if (magazine->count == KVA_MAGAZINE)
        spill(space, cpu, magazine, KVA_BATCH);
    if (cpu->held + quanta > space->shared->pools->share)
        spill_to_share(space, cpu, quanta);
    decay(space, cpu);
}

/** Count an object that is no longer live. */
static void count_given(struct kva_cpu *cpu, uint32_t quanta)
{
    cpu->live_quanta -= quanta;
    cpu->live_segments--;
    cpu->uses++;
}

static void put(struct kva_cpu *cpu, struct kva_magazine *magazine, const struct kva_object *object)
{
    magazine->object[magazine->count++] = *object;
    cpu->held += object->span->quanta;
}

/** Put a live object into the CPU's magazine, which has room for it; false if it is no longer live. */
static bool give_to_magazine(const struct kva_space *space, struct kva_cpu *cpu,
                             const struct kva_object *object)
{
    uint32_t quanta = object->span->quanta;

    if (!object_clear_live(space, object))
        return false;
    count_given(cpu, quanta);
    put(cpu, cpu->magazine[quanta - 1], object);
    return true;
}

/** The same without room: make some. If the CPU has no magazine of the size, the object goes to its span.
 *  Requires the CPU's lock and the space's. */
static bool give_with_room(struct kva_space *space, struct kva_cpu *cpu, const struct kva_object *object)
{
    uint32_t quanta = object->span->quanta;
    struct kva_magazine *magazine = cpu->magazine[quanta - 1];

    if (!object_clear_live(space, object))
        return false;
    count_given(cpu, quanta);
    if (!magazine) {
        kva_span_give(space, object);
        return true;
    }
    if (!magazine_has_room(space, cpu, quanta))
        make_magazine_room(space, cpu, magazine, quanta);
    put(cpu, magazine, object);
    return true;
}

/** Find the object, gone or not, that starts at an address. */
static bool starts_at(const struct kva_pools *pools, uint64_t start, struct kva_object *object)
{
    return kva_object_at(pools, start, object) && object_start(object) == start;
}

bool kva_pool_free(struct kva_space *space, uint64_t start)
{
    const struct kva_pools *pools = space->shared->pools;
    struct kva_object object;
    bool given = false;

    if (is_flusher(space))
        return false;
    struct kva_cpu *cpu = cpu_lock(space);
    bool found = starts_at(pools, start, &object);
    bool room = found && magazine_has_room(space, cpu, object.span->quanta);
    if (room)
        given = give_to_magazine(space, cpu, &object);
    cpu_unlock(space, cpu);
    if (!found || room)
        return given;
    lock_both(space, cpu);
    given = starts_at(pools, start, &object) && give_with_room(space, cpu, &object);
    unlock_both(space, cpu);
    return given;
}

/* -------------------------------------------------------------------------- freed under the space's lock */

bool kva_pool_free_to_span(struct kva_space *space, const struct kva_object *object)
{
    if (!kva_object_count_out(space, object))
        return false;
    kva_span_give(space, object);
    return true;
}

/** Another thread may free the object meanwhile, and allocate it again. The new allocation then has this
 *  owner, as if it had been set afterwards; or its own, as if this one had been set before. */
bool kva_pool_set_owner(const struct kva_space *space, const struct kva_object *object, void *owner)
{
    if (!object_is_live(object))
        return false;
    sync_point(threads_of(space));
    /* An exchange: a thread that reads the new owner also sees what preceded the write of the old one. */
    if (space->shared->pools->owners)
        (void)atomic_exchange_explicit(&state_of_object(object)->owner, owner, memory_order_acq_rel);
    return true;
}

enum kva_status kva_pools_leave(struct kva_space *space, uint64_t start, uint64_t last)
{
    enum kva_status status = KVA_OK;
    struct kva_segment segment;

    if (!pools_of(space))
        return KVA_OK;
    for (uint64_t at = start; status == KVA_OK; at = segment.last + 1) {
        kva_lookup(space, at, &segment);
        status = leave_pool(space, segment.start);
        if (segment.last >= last)
            break;
    }
    return status;
}

bool kva_pool_defer(struct kva_space *space, const struct kva_object *object)
{
    struct kva_pools *pools = space->shared->pools;
    struct kva_span *span = object->span;
    unsigned epoch = space->epoch;

    if (!kva_object_count_out(space, object))
        return false;
    bit_set(span->is_deferred[epoch], object->index);
    if (span->deferred[epoch]++ == 0)
        list_insert_before(&pools->deferred_spans[epoch], &span->deferred_link[epoch]);
    pools->deferred_segments[epoch]++;
    pools->deferred_quanta += span->quanta;
    return true;
}

/** Free the lowest object of a span that is deferred in an epoch. */
static void free_lowest_deferred(struct kva_space *space, struct kva_span *span, unsigned epoch)
{
    struct kva_pools *pools = space->shared->pools;
    uint32_t index = (uint32_t)bits_lowest(span->is_deferred[epoch]);

    bit_clear(span->is_deferred[epoch], index);
    if (--span->deferred[epoch] == 0)
        list_remove(&span->deferred_link[epoch]);
    pools->deferred_segments[epoch]--;
    pools->deferred_quanta -= span->quanta;
    kva_span_give(space, &(struct kva_object){span, index});
}

void kva_pools_free_deferred(struct kva_space *space, unsigned epoch, uint64_t most)
{
    struct kva_pools *pools = pools_of(space);

    for (; pools && !list_is_empty(&pools->deferred_spans[epoch]) && most > 0; most--)
        free_lowest_deferred(
            space, kva_container_of(pools->deferred_spans[epoch].next, struct kva_span, deferred_link[epoch]),
            epoch);
}

/* --------------------------------------------------------------------------------------------- all pools */

/** Takes all CPUs' locks: counts read one after the other need not have been true at one moment. */
bool kva_pools_hold_some(const struct kva_space *space)
{
    const struct kva_pools *pools = pools_of(space);

    if (!pools || pools->objects == 0)
        return false;
    kva_cpus_take(locks_of(space));
    uint64_t used =
        kva_pools_live(space).segments + pools->deferred_segments[0] + pools->deferred_segments[1];
    kva_cpus_drop(locks_of(space));
    return pools->objects > used;
}

enum kva_status kva_attempt_drained(struct kva_space *space, kva_attempt *attempt, void *operation)
{
    struct kva_pools *pools = pools_of(space);

    if (!pools)
        return attempt(space, operation);
    kva_cpus_take(locks_of(space));
    empty_magazines(space);
    enum kva_status drained = kva_spans_break_up(space);
    kva_spans_end_limbo(pools);
    enum kva_status status = attempt(space, operation);
    kva_cpus_drop(locks_of(space));
    return status == KVA_ENOSPC && drained != KVA_OK ? drained : status;
}

void kva_pools_give_back(struct kva_space *space)
{
    if (!pools_of(space))
        return;
    kva_cpus_take(locks_of(space));
    empty_magazines(space);
    kva_spans_trim(space);
    kva_spans_end_limbo(space->shared->pools);
    kva_cpus_drop(locks_of(space));
}
