/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "workload.h"

#include <string.h>

static const struct workload *const workloads[] = {
    &workload_churn,   &workload_ownerless,  &workload_holes,    &workload_aligned,
    &workload_windows, &workload_shapes,     &workload_policies, &workload_ranges,
    &workload_needle,  &workload_fill_drain, &workload_hot,      &workload_longest,
};

const struct phase replace_phase = {
    .prepare = subject_replace_prepare,
    .run = subject_replace_run,
    .finish = subject_replace_finish,
};

const struct phase lifo_phase = {.prepare = subject_lifo_prepare, .run = subject_lifo_run};

const struct workload *workload_at(size_t index)
{
    return index < sizeof(workloads) / sizeof(workloads[0]) ? workloads[index] : NULL;
}

const struct workload *workload_by_name(const char *name)
{
    const struct workload *workload;
    for (size_t i = 0; (workload = workload_at(i)) != NULL; i++)
        if (strcmp(workload->name, name) == 0)
            return workload;
    return NULL;
}

static struct kva_config kind_of(const struct workload *workload, size_t n)
{
    struct kva_config kind = {
        .last = workload->last == NULL ? SPACE_LAST : workload->last(n),
        .without_owners = workload->without_owners,
    };
    memcpy(kind.align_class, workload->align_class, sizeof(kind.align_class));
    return kind;
}

struct subject *workload_open_phase(const struct workload *workload, const struct phase *phase,
                                    const char *engine, size_t n, uint64_t seed)
{
    struct kva_config kind = kind_of(workload, n);
    kind.best_fit = phase->best_fit || phase->best_fit_setup;
    struct subject *subject = subject_create(engine, &kind, n, seed);
    subject->draw = phase->draw;
    workload->setup(subject);
    if (kind.best_fit == phase->best_fit)
        return subject;
    kind.best_fit = phase->best_fit;
    return subject_moved(subject, &kind);
}

struct subject *workload_open(const struct workload *workload, const char *engine, size_t n, uint64_t seed)
{
    if (workload->apart)
        return workload_open_phase(workload, &workload->phases[0], engine, n, seed);
    struct kva_config kind = kind_of(workload, n);
    struct subject *subject = subject_create(engine, &kind, n, seed);
    subject->draw = workload->draw;
    workload->setup(subject);
    return subject;
}
