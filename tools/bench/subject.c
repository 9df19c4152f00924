/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "subject.h"

#include "fatal.h"

#include <kva/engine.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void subject_wrong(const struct subject *subject, const char *call, uint64_t address,
                             enum kva_status status)
{
    bench_fatal(TOOL_WRONG,
                "engine %s, n = %zu: %s(0x%" PRIx64 ") returned %s (%s), which no correct engine can",
                subject->engine, subject->n, call, address, kva_status_name(status), kva_status_text(status));
}

_Noreturn void subject_misplaced(const struct subject *subject, uint64_t expected, uint64_t got)
{
    bench_fatal(TOOL_WRONG,
                "engine %s, n = %zu: the lowest fit is 0x%" PRIx64 ", but kva_alloc returned 0x%" PRIx64,
                subject->engine, subject->n, expected, got);
}

/* ---------------------------------------------------------------------------------------- create, destroy */

static uint64_t *table_of(size_t n)
{
    uint64_t *table = malloc(n * sizeof(*table));
    if (table == NULL)
        bench_fatal(TOOL_REFUSED, "no memory for a table of %zu addresses", n);
    memset(table, 0xff, n * sizeof(*table)); /* NO_ADDRESS, byte by byte */
    return table;
}

static void open_space(struct subject *subject, const struct kva_config *kind)
{
    struct kva_config config = *kind;
    config.quantum = PAGE;
    config.engine = kva_engine_by_name(subject->engine);
    config.memory = kva_memory_host();
    enum kva_status status = kva_space_init(&subject->space, &config);
    if (status == KVA_ENOMEM)
        bench_fatal(TOOL_REFUSED, "no memory for a space on engine %s", subject->engine);
    if (status != KVA_OK)
        subject_wrong(subject, "kva_space_init", 0, status);
}

struct subject *subject_create(const char *engine, const struct kva_config *kind, size_t n, uint64_t seed)
{
    struct subject *subject = calloc(1, sizeof(*subject));
    if (subject == NULL)
        bench_fatal(TOOL_REFUSED, "no memory for a subject");
    subject->engine = engine;
    subject->last = kind->last;
    subject->n = n;
    subject->live = table_of(n);
    subject->expected = NO_ADDRESS;
    subject->batch_count = 1;
    subject->batch_limit = BATCH;
    rng_seed(&subject->rng, seed);
    open_space(subject, kind);
    return subject;
}

struct subject *subject_moved(struct subject *subject, const struct kva_config *kind)
{
    struct subject *moved = subject_create(subject->engine, kind, subject->n, 0);
    struct kva_segment segment;
    memcpy(moved->live, subject->live, subject->n * sizeof(*moved->live));
    moved->rng = subject->rng;
    moved->draw = subject->draw;
    moved->may_miss = subject->may_miss;
    moved->requests = subject->requests;
    moved->no_fit = subject->no_fit;
    for (enum kva_status s = kva_first(&subject->space, &segment); s == KVA_OK;
         s = kva_next(&subject->space, &segment)) {
        if (segment.state != KVA_BUSY)
            continue;
        s = kva_reserve(&moved->space, segment.start, segment.last - segment.start + 1, segment.owner, NULL);
        if (s != KVA_OK)
            subject_wrong(moved, "kva_reserve", segment.start, s);
    }
    subject_destroy(subject);
    return moved;
}

void subject_destroy(struct subject *subject)
{
    struct kva_fault fault;
    if (kva_space_check(&subject->space, &fault) != KVA_OK)
        bench_fatal(TOOL_WRONG, "engine %s, n = %zu: the space is corrupt at 0x%" PRIx64 ": %s",
                    subject->engine, subject->n, fault.address, fault.what);
    kva_space_abandon(&subject->space);
    free(subject->order);
    free(subject->live);
    free(subject);
}

void subject_need_order(struct subject *subject)
{
    subject->order = table_of(subject->n);
}

/* ------------------------------------------------------------------------------------------------ samples */

/** FNV-1a over 64-bit words: depends on the order and on every bit of every address. */
static uint64_t fingerprint_of(const struct subject *subject)
{
    uint64_t print = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < subject->n; i++)
        print = (print ^ subject->live[i]) * UINT64_C(0x100000001b3);
    return print;
}

/** Bytes from the start of the lowest busy range to the end of the highest, of which there is at least
 *  one. Each is the outermost segment, or the next one if that is free. */
static uint64_t used_bytes(const struct subject *subject)
{
    struct kva_segment lowest;
    struct kva_segment highest;
    enum kva_status status = kva_find(&subject->space, 0, &lowest);
    if (status != KVA_OK)
        subject_wrong(subject, "kva_find", 0, status);
    status = kva_find(&subject->space, subject->last, &highest);
    if (status != KVA_OK)
        subject_wrong(subject, "kva_find", subject->last, status);
    uint64_t start = lowest.state == KVA_FREE ? lowest.last + 1 : lowest.start;
    uint64_t end = highest.state == KVA_FREE ? highest.start : highest.last + 1;
    return end - start;
}

void subject_sample(const struct subject *subject, struct sample *sample)
{
    struct kva_stats stats;
    enum kva_status status = kva_stats_read(&subject->space, &stats);
    if (status != KVA_OK)
        subject_wrong(subject, "kva_stats_read", 0, status);
    sample->live = stats.busy_segments;
    sample->live_bytes = stats.busy_bytes;
    sample->memory_bytes = stats.memory_bytes;
    sample->used_bytes = used_bytes(subject);
    sample->fingerprint = fingerprint_of(subject);
    sample->requests = subject->requests;
    sample->no_fit = subject->no_fit;
}

/* -------------------------------------------------------------------------------- dense copies of victims */

/** The dense entry of live range `home`: the one that it has in this batch, or a new one.
 *  Open addressing; the multiplier is 2^32 / golden ratio, and the high bits of the product are well
 *  mixed. */
static uint32_t dense_entry(struct subject *subject, uint32_t home)
{
    struct batch *batch = &subject->batch;
    uint32_t at = (home * UINT32_C(0x9e3779b1)) >> 23; /* 32 - 23 bits: BATCH_BUCKETS is 2^9 */
    _Static_assert(BATCH_BUCKETS == 1u << 9, "the shift above follows the number of buckets");
    for (; batch->bucket[at] != 0; at = (at + 1) % BATCH_BUCKETS)
        if (batch->home[batch->bucket[at] - 1] == home)
            return batch->bucket[at] - 1;
    uint32_t entry = batch->entries++;
    batch->bucket[at] = entry + 1;
    batch->home[entry] = home;
    batch->address[entry] = subject->live[home];
    return entry;
}

/* --------------------------------------------------------------------------- replacing random live ranges */

void subject_replace_prepare(struct subject *subject, size_t count)
{
    struct batch *batch = &subject->batch;
    batch->entries = 0;
    memset(batch->bucket, 0, sizeof(batch->bucket));
    for (size_t i = 0; i < count; i++) {
        uint32_t victim = (uint32_t)rng_below(&subject->rng, subject->n);
        subject->draw(subject, &batch->step[i]);
        batch->step[i].slot = (uint16_t)dense_entry(subject, victim);
    }
}

/** Allocate into *address. NO_ADDRESS if there is no fit and the workload permits that. */
static inline void replace_take(struct subject *subject, const struct step *step, uint64_t *address)
{
    struct kva_request request = step_request(step);
    enum kva_status status = kva_alloc(&subject->space, &request, address);
    subject->requests++;
    if (status == KVA_OK)
        return;
    if (status != KVA_ENOSPC || !subject->may_miss)
        subject_wrong(subject, "kva_alloc", request.size, status);
    *address = NO_ADDRESS;
    subject->no_fit++;
}

void subject_replace_run(struct subject *subject, size_t begin, size_t end)
{
    struct batch *batch = &subject->batch;
    for (size_t i = begin; i < end; i++) {
        uint64_t *address = &batch->address[batch->step[i].slot];
        if (*address != NO_ADDRESS)
            subject_give(subject, *address);
        replace_take(subject, &batch->step[i], address);
    }
}

void subject_replace_finish(struct subject *subject, size_t count)
{
    const struct batch *batch = &subject->batch;
    (void)count; /* entries are copied, not steps */
    for (uint32_t entry = 0; entry < batch->entries; entry++)
        subject->live[batch->home[entry]] = batch->address[entry];
}

static void replace_many(struct subject *subject, uint64_t pairs)
{
    while (pairs > 0) {
        size_t count = pairs < BATCH ? (size_t)pairs : BATCH;
        subject_replace_prepare(subject, count);
        subject_replace_run(subject, 0, count);
        subject_replace_finish(subject, count);
        pairs -= count;
    }
}

void subject_replace_twice(struct subject *subject)
{
    replace_many(subject, 2 * (uint64_t)subject->n);
}

void subject_replace_setup(struct subject *subject)
{
    struct step step = step_of_pages(1);
    for (size_t i = 0; i < subject->n; i++) {
        subject->draw(subject, &step);
        replace_take(subject, &step, &subject->live[i]);
    }
    subject_replace_twice(subject);
}

/* --------------------------------------------------------------------------------------------- LIFO pairs */

void subject_lifo_prepare(struct subject *subject, size_t count)
{
    for (size_t i = 0; i < count; i++)
        subject->draw(subject, &subject->batch.step[i]);
}

void subject_lifo_run(struct subject *subject, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        struct kva_request request = step_request(&subject->batch.step[i]);
        uint64_t address = subject_take(subject, &request);
        if (subject->expected != NO_ADDRESS && address != subject->expected)
            subject_misplaced(subject, subject->expected, address);
        subject_give(subject, address);
    }
}
