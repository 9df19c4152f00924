/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The functions that a call enters: the program of scripts/count-passes.sh. The library is compiled with
 * -finstrument-functions for it, so each function calls the hook below when it is entered.
 *
 * Each call is made many times in the steady state. The most frequent of these passes is printed, one line
 * "CALL ADDRESS" for each function entered. Two passes count as equal if they enter equally many functions.
 */
#include <kva/vm.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 1000, MOST = 4096, SIZES = 16 };

static struct pass {
    size_t calls;
    void *entered[MOST]; /* in the order of entry */
} passes[ROUNDS], *current;

void __cyg_profile_func_enter(void *function, void *site);
void __cyg_profile_func_exit(void *function, void *site);

void __cyg_profile_func_enter(void *function, void *site)
{
    (void)site;
    if (!current)
        return;
    if (current->calls == MOST)
        abort();
    current->entered[current->calls++] = function;
}

void __cyg_profile_func_exit(void *function, void *site)
{
    (void)function;
    (void)site;
}

static void check(enum kva_status status)
{
    if (status == KVA_OK)
        return;
    fprintf(stderr, "passes: %s\n", kva_status_text(status));
    exit(1);
}

/** Watch one call, number `round` of its kind. */
#define WATCH(round, call) (current = &passes[round], current->calls = 0, (call), current = NULL)

static size_t functions_of(const struct pass *pass)
{
    size_t functions = 0;

    for (size_t i = 0; i < pass->calls; i++) {
        size_t before = 0;
        while (pass->entered[before] != pass->entered[i])
            before++;
        functions += before == i;
    }
    return functions;
}

static void print_commonest(const char *call, size_t rounds)
{
    static size_t functions[ROUNDS];
    size_t often[MOST + 1] = {0};
    size_t best = 0;

    for (size_t i = 0; i < rounds; i++) {
        functions[i] = functions_of(&passes[i]);
        often[functions[i]]++;
    }
    for (size_t i = 0; i < rounds; i++)
        best = often[functions[i]] > often[functions[best]] ? i : best;
    for (size_t i = 0; i < passes[best].calls; i++)
        printf("%s %p\n", call, passes[best].entered[i]);
}

/** A small generator of our own, so that every machine uses the same sizes and the same victims. */
static unsigned some(unsigned below)
{
    static unsigned state = 1;

    state = state * 1103515245u + 12345u;
    return (state >> 16) % below;
}

static struct kva_request request_of_some(void)
{
    return kva_request_of(4096 * (1 + some(SIZES)));
}

/** Fill a space with ranges of some sizes; then repeatedly free one and allocate another. */
static void churn(struct kva_space *space, bool watch_free)
{
    static uint64_t starts[ROUNDS];

    for (size_t i = 0; i < ROUNDS; i++) {
        struct kva_request request = request_of_some();
        check(kva_alloc(space, &request, &starts[i]));
    }
    for (size_t i = 0; i < ROUNDS; i++) {
        uint64_t *victim = &starts[some(ROUNDS)];
        struct kva_request request = request_of_some();
        enum kva_status status = KVA_OK;
        if (watch_free)
            WATCH(i, status = kva_free(space, *victim));
        else
            status = kva_free(space, *victim);
        check(status);
        if (watch_free)
            status = kva_alloc(space, &request, victim);
        else
            WATCH(i, status = kva_alloc(space, &request, victim));
        check(status);
    }
}

/** A space without threads and pools. */
static void watch_space(const char *call, bool watch_free)
{
    struct kva_config config = {.last = UINT32_MAX, .quantum = 4096, .one_thread = true};
    struct kva_space *space;

    check(kva_space_create(&config, &space));
    churn(space, watch_free);
    print_commonest(call, ROUNDS);
    kva_space_abandon(space);
    check(kva_space_destroy(space));
}

static size_t area_size(size_t round)
{
    return 4096 * (1 + round % SIZES);
}

/** An instance with the defaults: threads, a cache, guard pages. */
static void watch_areas(void)
{
    static void *areas[ROUNDS];
    struct kva_vm *vm;
    enum kva_status status = KVA_OK;

    check(kva_vm_create(NULL, &vm));
    for (size_t i = 0; i < ROUNDS; i++) {
        WATCH(i, areas[i] = kva_vmalloc(vm, area_size(i)));
        check(areas[i] ? KVA_OK : KVA_ENOMEM);
    }
    print_commonest("vmalloc-first", 1);
    print_commonest("vmalloc-fresh", ROUNDS);
    for (size_t i = 0; i < ROUNDS; i++) {
        WATCH(i, status = kva_vfree(vm, areas[i]));
        check(status);
        areas[i] = kva_vmalloc(vm, area_size(i));
    }
    print_commonest("vfree", ROUNDS);
    for (size_t i = 0; i < ROUNDS; i++) {
        check(kva_vfree(vm, areas[i]));
        WATCH(i, areas[i] = kva_vmalloc(vm, area_size(i)));
        check(areas[i] ? KVA_OK : KVA_ENOMEM);
    }
    print_commonest("vmalloc-cached", ROUNDS);
    check(kva_vm_abandon(vm, NULL, NULL));
}

int main(void)
{
    watch_space("alloc", false);
    watch_space("free", true);
    watch_areas();
    return 0;
}
