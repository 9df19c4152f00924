/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The nodes that pages come from. On any machine whose kernel supports nodes, the tests check the kernel's
 * policy for addresses, and the number of mappings. On a machine with two nodes they also touch pages, and
 * ask the kernel on which node each page is.
 */
#define _GNU_SOURCE
#include "../common/harness.h"
#include "../common/vmap.h"

#include <kva/pcpu.h>
#include <kva/report.h>
#include <kva/vmap.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GIB (UINT64_C(1) << 30)

static size_t page;

static const struct kva_vm_nodes none = {KVA_VM_NODES_ANY, 0};
static const struct kva_vm_nodes preferred_0 = {KVA_VM_NODES_PREFERRED, 1};
static const struct kva_vm_nodes bound_0 = {KVA_VM_NODES_BOUND, 1};
static const struct kva_vm_nodes interleaved_0 = {KVA_VM_NODES_INTERLEAVED, 1};

/* -------------------------------------------------------------------------------------- the kernel's view */

enum { MEMS_ALLOWED = 4, OF_ADDRESS = 2, MOST_NODES = 1024 };

struct mask {
    unsigned long words[MOST_NODES / (8 * sizeof(unsigned long))];
};

static long ask_policy(int *mode, struct mask *mask, const void *address, unsigned long flags)
{
    memset(mask, 0, sizeof *mask);
    return syscall(SYS_get_mempolicy, mode, mask, MOST_NODES + 1UL, address, flags);
}

/** The nodes that the program may use; 0: the kernel has no nodes, or does not report them. */
static uint64_t nodes_here(void)
{
    struct mask mask;

    if (ask_policy(NULL, &mask, NULL, MEMS_ALLOWED) != 0)
        return 0;
    return sizeof(long) == 8 ? mask.words[0] : mask.words[0] | (uint64_t)mask.words[1] << 32;
}

/** Whether the kernel reports nodes. If not, print what is left out. */
static bool kernel_reports_nodes(const char *what)
{
    if (nodes_here() == 0)
        print_message("left out, because the kernel has no nodes, or does not report them: %s\n", what);
    return nodes_here() != 0;
}

/** The policy of an address, as the kernel numbers it: 0 none, 1 preferred, 2 bound, 3 interleaved. */
static int policy_at(const void *address)
{
    struct mask mask;
    int mode = -1;

    assert_int_equal(ask_policy(&mode, &mask, address, OF_ADDRESS), 0);
    return mode;
}

/** The node of a page that was touched. */
static int node_of(const void *address)
{
    void *pages[] = {(void *)((uintptr_t)address & ~(uintptr_t)(page - 1))};
    int node = -1;

    assert_int_equal(syscall(SYS_move_pages, 0, 1UL, pages, NULL, &node, 0), 0);
    return node;
}

/* ----------------------------------------------------------------------------------------------- requests */

static struct kva_vm_request request_of(size_t bytes, struct kva_vm_nodes nodes)
{
    struct kva_vm_request request = kva_vm_request_of(bytes);

    request.node = nodes;
    return request;
}

static void *take(struct kva_vm *vm, size_t bytes, struct kva_vm_nodes nodes)
{
    const struct kva_vm_request request = request_of(bytes, nodes);
    void *memory = NULL;
    enum kva_status status = kva_vm_alloc(vm, &request, &memory);

    check_that(status == KVA_OK, "%zu bytes, policy %d, set %#" PRIx64 ": %s", bytes, (int)nodes.policy,
               nodes.set, kva_status_name(status));
    return memory;
}

static void give(struct kva_vm *vm, void *memory)
{
    assert_int_equal(kva_vfree(vm, memory), KVA_OK);
}

static void make(struct test_vm *test, enum kva_mechanism mechanism)
{
    struct kva_vm_config config = test_vm_config(test, mechanism);

    test_vm_create(test, &config);
}

static struct kva_vm_area area_of(struct kva_vm *vm, const void *memory)
{
    struct kva_vm_area area;

    assert_int_equal(kva_vm_find(vm, memory, &area), KVA_OK);
    return area;
}

/* ------------------------------------------------------------------------------- on any machine: statuses */

/** A request for node 0 succeeds on every kernel, with or without nodes, and leaves no district after a
 *  purge. */
static void test_node_0_exists(void **state)
{
    const struct kva_vm_nodes specs[] = {none, preferred_0, bound_0, interleaved_0};
    enum kva_mechanism mechanism;

    (void)state;
    if ((nodes_here() | 1) != nodes_here() && nodes_here() != 0)
        return; /* a machine without node 0 */
    for_each_mechanism (mechanism, k) {
        for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
            struct test_vm test;
            struct kva_vm_config config = test_vm_config(&test, mechanism);
            config.node = specs[i];
            test_vm_create(&test, &config);
            for (size_t n = 0; n < sizeof specs / sizeof specs[0]; n++) {
                unsigned char *memory = take(test.vm, 3 * page, specs[n]);
                memory[0] = memory[3 * page - 1] = 1;
                test_vm_expect_sound(&test, "live");
                give(test.vm, memory);
            }
            test_vm_expect_sound(&test, "cached");
            assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
            assert_int_equal(test_vm_stats(test.vm).districts, 0);
            test_vm_destroy(&test);
        }
    }
}

static void test_missing_nodes(void **state)
{
    const uint64_t far = UINT64_C(1) << 63;
    const struct kva_vm_nodes specs[] = {
        {KVA_VM_NODES_PREFERRED, far}, {KVA_VM_NODES_BOUND, far | 1}, {KVA_VM_NODES_INTERLEAVED, far | 1}};
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        struct test_vm test;
        make(&test, mechanism);
        for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
            const struct kva_vm_request request = request_of(page, specs[i]);
            void *memory = &test;
            assert_int_equal(kva_vm_alloc(test.vm, &request, &memory), KVA_ENOENT);
            assert_ptr_equal(memory, &test);
            assert_int_equal(test_vm_stats(test.vm).districts, 0);
            struct kva_vm_config config = test_vm_config(&(struct test_vm){0}, mechanism);
            struct kva_vm *vm = NULL;
            config.node = specs[i];
            config.memory = kva_memory_host();
            config.pages = kva_pages_host(mechanism);
            assert_int_equal(kva_vm_create(&config, &vm), KVA_ENOENT);
            assert_null(vm);
        }
        test_vm_expect_sound(&test, "after refusals");
        test_vm_destroy(&test);
    }
}

/** A source without bind has node 0 only. */
static void test_source_without_nodes(void **state)
{
    struct test_vm test;
    struct kva_vm_config config = test_vm_config(&test, KVA_MECHANISM_MAPPINGS);
    const struct kva_vm_nodes node_1 = {KVA_VM_NODES_PREFERRED, 2};
    void *memory;

    (void)state;
    config.pages.bind = NULL;
    test_vm_create(&test, &config);
    give(test.vm, take(test.vm, page, bound_0));
    const struct kva_vm_request request = request_of(page, node_1);
    assert_int_equal(kva_vm_alloc(test.vm, &request, &memory), KVA_ENOENT);
    test_vm_destroy(&test);
}

/** Grants every node. */
static enum kva_status grant(void *context, void *reservation, uint64_t start, uint64_t bytes,
                             const struct kva_vm_nodes *nodes)
{
    (void)context;
    (void)reservation;
    (void)start;
    (void)bytes;
    (void)nodes;
    return KVA_OK;
}

static void test_255_values_of_nodes(void **state)
{
    struct test_vm test;
    struct kva_vm_config config = test_vm_config(&test, KVA_MECHANISM_MAPPINGS);
    void *memory[256];

    (void)state;
    config.pages.bind = grant;
    config.pages.has_nodes = NULL; /* all nodes exist */
    config.pages.huge = 0;
    test_vm_create(&test, &config);
    for (uint64_t set = 1; set <= 255; set++)
        memory[set] = take(test.vm, page, (struct kva_vm_nodes){KVA_VM_NODES_BOUND, set});
    test_vm_expect_sound(&test, "255 values");
    const struct kva_vm_request request =
        request_of(page, (struct kva_vm_nodes){KVA_VM_NODES_INTERLEAVED, 256});
    assert_int_equal(kva_vm_alloc(test.vm, &request, &memory[0]), KVA_ENOSPC);
    give(test.vm, take(test.vm, page, (struct kva_vm_nodes){KVA_VM_NODES_BOUND, 7}));
    for (uint64_t set = 1; set <= 255; set++) {
        assert_int_equal(area_of(test.vm, memory[set]).node.set, set);
        give(test.vm, memory[set]);
    }
    test_vm_destroy(&test);
}

/** 300 groups of CPUs with few distinct values of nodes: values are counted, not groups. With 256 values the
 *  request is refused, and uses up no number. */
static void test_many_groups_with_few_values(void **state)
{
    enum { GROUPS = 300 };
    static struct kva_vm_nodes nodes[GROUPS];
    const struct kva_pcpu_config shape = {.cpus = GROUPS, .groups = GROUPS, .unit = page, .nodes = nodes};
    struct test_vm test;
    struct kva_vm_config config = test_vm_config(&test, KVA_MECHANISM_MAPPINGS);
    struct kva_pcpu *pcpu;
    void *object;

    (void)state;
    config.pages.bind = grant;
    config.pages.has_nodes = NULL; /* all nodes exist */
    config.pages.huge = 0;
    config.reservation = 256 * TEST_MIB * (page / 4096);
    test_vm_create(&test, &config);
    for (unsigned values = 256; values >= 2; values = values == 256 ? 255 : values == 255 ? 2 : 0) {
        for (unsigned i = 0; i < GROUPS; i++)
            nodes[i] = (struct kva_vm_nodes){KVA_VM_NODES_BOUND, i % values + 1};
        assert_int_equal(kva_pcpu_create(test.vm, &shape, &pcpu), KVA_OK);
        enum kva_status status = kva_pcpu_alloc(pcpu, 16, 16, &object);
        check_that(status == (values > 255 ? KVA_ENOSPC : KVA_OK), "%u values: %s expected, %s returned",
                   values, values > 255 ? "KVA_ENOSPC" : "KVA_OK", kva_status_name(status));
        test_vm_expect_sound(&test, "many groups");
        for (unsigned i = 0; status == KVA_OK && i < GROUPS; i++)
            assert_int_equal(area_of(test.vm, kva_pcpu_of(pcpu, object, i)).node.set, i % values + 1);
        if (status == KVA_OK)
            assert_int_equal(kva_pcpu_free(pcpu, object), KVA_OK);
        assert_int_equal(kva_pcpu_destroy(pcpu), KVA_OK);
        assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
        assert_int_equal(test_vm_stats(test.vm).districts, 0);
    }
    test_vm_destroy(&test);
}

/** A refused request leaves no district and uses up no number: after a thousand of them, 255 values fit. */
static void test_refusals_use_no_number(void **state)
{
    const struct kva_part parts[] = {{0, 2 * page}, {16 * page, page}};
    struct test_vm test;
    struct kva_vm_config config = test_vm_config(&test, KVA_MECHANISM_MAPPINGS);
    void *memory[256];

    (void)state;
    config.pages.bind = grant;
    config.pages.has_nodes = NULL; /* all nodes exist */
    config.pages.huge = 0;
    test_vm_create(&test, &config);
    for (uint64_t set = 1001; set <= 2000; set++) {
        struct kva_vm_request request = request_of(page, (struct kva_vm_nodes){KVA_VM_NODES_BOUND, set});
        request.flags = set % 2 == 0 ? KVA_VM_NO_BLOCK : 0; /* nothing is purged in this case */
        kva_failing_pages_fail(&test.pages, 1, true);
        assert_int_equal(kva_vm_alloc(test.vm, &request, memory), KVA_ENOMEM);
        assert_int_equal(test_vm_stats(test.vm).districts, 0);
    }
    test_vm_expect_sound(&test, "refused");
    enum kva_status status = KVA_ENOMEM;
    for (uint64_t n = 1; status != KVA_OK; n++) {
        const struct kva_vm_request request =
            request_of(0, (struct kva_vm_nodes){KVA_VM_NODES_BOUND, 3000 + n});
        kva_failing_pages_fail(&test.pages, n, true);
        status = kva_vm_alloc_congruent(test.vm, &request, parts, 2, memory);
        assert_true(status == KVA_OK || status == KVA_ENOMEM);
        assert_int_equal(test_vm_stats(test.vm).districts, status == KVA_OK);
        test_vm_expect_sound(&test, "a part refused");
    }
    kva_failing_pages_fail(&test.pages, 0, false);
    for (uint64_t set = 1; set <= 254; set++)
        memory[set + 1] = take(test.vm, page, (struct kva_vm_nodes){KVA_VM_NODES_BOUND, set});
    const struct kva_vm_request request = request_of(page, (struct kva_vm_nodes){KVA_VM_NODES_BOUND, 255});
    assert_int_equal(kva_vm_alloc(test.vm, &request, &(void *){NULL}), KVA_ENOSPC);
    for (size_t i = 0; i < 256; i++)
        give(test.vm, memory[i]);
    test_vm_destroy(&test);
}

/** All nodes exist but node 63. */
static bool has_nodes(void *context, void *reservation, const struct kva_vm_nodes *nodes)
{
    (void)context;
    (void)reservation;
    return nodes->set >> 63 == 0;
}

static bool count_call(void *context, struct kva_vm *vm, size_t size)
{
    (void)vm;
    (void)size;
    ++*(unsigned *)context;
    return false;
}

/** A request for a missing node returns KVA_ENOENT, also if there are no addresses or too many groups. It
 *  purges nothing and calls no reclaim callback. */
static void test_missing_nodes_before_addresses(void **state)
{
    static struct kva_vm_nodes nodes[300];
    const struct kva_pcpu_config shape = {.cpus = 300, .groups = 300, .unit = page, .nodes = nodes};
    struct kva_vm_request request = request_of(page, (struct kva_vm_nodes){KVA_VM_NODES_BOUND, UINT64_MAX});
    unsigned asked = 0;
    struct kva_vm_reclaim reclaim = {.callback = count_call, .context = &asked};
    struct test_vm test;
    struct kva_vm_config config = test_vm_config(&test, KVA_MECHANISM_MAPPINGS);
    struct kva_pcpu *pcpu;
    void *memory[2];

    (void)state;
    config.pages.bind = grant;
    config.pages.has_nodes = has_nodes;
    config.pages.huge = 0;
    config.cache_bytes = KVA_VM_NONE;
    test_vm_create(&test, &config);
    struct kva_vm_stats stats = test_vm_stats(test.vm);
    size_t rest = (size_t)(stats.reservation_last + 1 - stats.reservation_first - 32 * TEST_MIB);
    memory[0] = take(test.vm, rest - 4 * page, none);
    memory[1] = take(test.vm, page, none);
    give(test.vm, memory[1]);
    assert_int_equal(test_vm_stats(test.vm).parked_areas, 1);
    assert_int_equal(kva_vm_reclaim_add(test.vm, &reclaim), KVA_OK);
    assert_int_equal(kva_vm_alloc(test.vm, &request, &memory[1]), KVA_ENOENT);
    request.size = rest;
    assert_int_equal(kva_vm_alloc(test.vm, &request, &memory[1]), KVA_ENOENT);
    for (unsigned i = 0; i < 300; i++)
        nodes[i] = (struct kva_vm_nodes){KVA_VM_NODES_BOUND, i < 299 ? i + 1 : UINT64_MAX};
    assert_int_equal(kva_pcpu_create(test.vm, &shape, &pcpu), KVA_OK);
    assert_int_equal(kva_pcpu_alloc(pcpu, 16, 16, &memory[1]), KVA_ENOENT);
    assert_int_equal(asked, 0);
    assert_int_equal(test_vm_stats(test.vm).retries, 0);
    assert_int_equal(test_vm_stats(test.vm).parked_areas, 1);
    request.node = bound_0;
    assert_int_equal(kva_vm_alloc(test.vm, &request, &memory[1]), KVA_ENOSPC);
    assert_int_equal(asked, 1);
    assert_int_equal(kva_vm_reclaim_remove(test.vm, &reclaim), KVA_OK);
    assert_int_equal(kva_pcpu_destroy(pcpu), KVA_OK);
    give(test.vm, memory[0]);
    test_vm_destroy(&test);
}

/* ---------------------------------------------------------------------------------------------- districts */

/** Areas of the same nodes lie together, whatever is allocated in between. No other areas lie among them. */
static void test_areas_lie_together(void **state)
{
    enum { AREAS = 200 };
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        struct test_vm test;
        unsigned char *with[AREAS];
        unsigned char *without[AREAS];
        make(&test, mechanism);
        for (size_t i = 0; i < AREAS; i++) {
            with[i] = take(test.vm, page, i % 2 == 0 ? bound_0 : interleaved_0);
            without[i] = take(test.vm, page, none);
        }
        uint64_t beginnings = 2;
        for (size_t i = 2; i < AREAS; i++) {
            beginnings += with[i] != with[i - 2] + 2 * page;
            assert_ptr_equal(without[i], without[i - 1] + 2 * page);
        }
        test_vm_expect_sound(&test, "all live");
        struct kva_vm_stats stats = test_vm_stats(test.vm);
        assert_in_range(stats.districts, 2, 4);
        assert_int_equal(beginnings, stats.districts);
        assert_true(stats.district_bytes >= 2 * AREAS * page);
        for (size_t i = 0; i < AREAS; i++) {
            struct kva_vm_area area = area_of(test.vm, with[i]);
            assert_int_equal(area.node.policy, i % 2 == 0 ? KVA_VM_NODES_BOUND : KVA_VM_NODES_INTERLEAVED);
            assert_int_equal(area.node.set, 1);
            assert_int_equal(area_of(test.vm, without[i]).node.policy, KVA_VM_NODES_ANY);
            give(test.vm, with[i]);
            give(test.vm, without[i]);
        }
        assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
        assert_int_equal(test_vm_stats(test.vm).districts, 0);
        assert_int_equal(test_vm_stats(test.vm).district_bytes, 0);
        test_vm_destroy(&test);
    }
}

/** The cache keeps areas of different nodes apart, and serves requests for each. */
static void test_cache_does_not_mix(void **state)
{
    const struct kva_vm_nodes specs[] = {none, preferred_0, bound_0, interleaved_0};
    enum { SPECS = sizeof specs / sizeof specs[0] };
    struct test_vm test;
    void *memory[SPECS];
    void *again;

    (void)state;
    struct kva_vm_config config = test_vm_config(&test, KVA_MECHANISM_BEST);
    config.one_thread = true;
    test_vm_create(&test, &config);
    for (size_t first = 0; first < SPECS; first++) {
        for (size_t i = 0; i < SPECS; i++)
            memory[i] = take(test.vm, page, specs[i]);
        for (size_t i = 0; i < SPECS; i++)
            give(test.vm, memory[(first + i) % SPECS]);
        for (size_t i = 0; i < SPECS; i++) {
            uint64_t hits = test_vm_stats(test.vm).cache_hits;
            again = i == 0 ? kva_vmalloc(test.vm, page) : take(test.vm, page, specs[i]);
            assert_ptr_equal(again, memory[i]);
            assert_int_equal(test_vm_stats(test.vm).cache_hits, hits + 1);
        }
        test_vm_expect_sound(&test, "served");
        for (size_t i = 0; i < SPECS; i++)
            give(test.vm, memory[i]);
    }
    test_vm_destroy(&test);
}

/** A request for the instance's own nodes is a request without nodes. */
static void test_own_nodes_take_no_district(void **state)
{
    struct test_vm test;
    struct kva_vm_config config = test_vm_config(&test, KVA_MECHANISM_BEST);

    (void)state;
    config.node = bound_0;
    test_vm_create(&test, &config);
    void *memory = take(test.vm, page, bound_0);
    assert_int_equal(test_vm_stats(test.vm).districts, 0);
    assert_int_equal(area_of(test.vm, memory).node.policy, KVA_VM_NODES_ANY);
    give(test.vm, memory);
    test_vm_destroy(&test);
}

/** An area grows within its district, or moves to a district of the same nodes. */
static void test_growing_keeps_the_nodes(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        struct test_vm test;
        make(&test, mechanism);
        char *memory = take(test.vm, page, bound_0);
        strcpy(memory, "kept");
        for (size_t pages = 2; pages <= 3000; pages = pages * 3 / 2 + 1) {
            void *moved;
            assert_int_equal(kva_vm_realloc(test.vm, memory, pages * page, 0, &moved), KVA_OK);
            memory = moved;
            memory[pages * page - 1] = 1;
            assert_string_equal(memory, "kept");
            assert_int_equal(area_of(test.vm, memory).node.policy, KVA_VM_NODES_BOUND);
            if (nodes_here() != 0) {
                assert_int_equal(policy_at(memory), 2);
                assert_int_equal(policy_at(memory + pages * page - 1), 2);
            }
            test_vm_expect_sound(&test, "grown");
        }
        assert_true(test_vm_stats(test.vm).moved > 0 && test_vm_stats(test.vm).grown_in_place > 0);
        void *moved;
        assert_int_equal(kva_vm_realloc(test.vm, memory, page, 0, &moved), KVA_OK);
        assert_ptr_equal(moved, memory);
        test_vm_expect_sound(&test, "shrunk");
        give(test.vm, memory);
        test_vm_destroy(&test);
    }
}

/** A request with nodes and a window, an alignment, huge pages, or KVA_VM_NO_BLOCK. */
static void test_requests_with_nodes(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        struct test_vm test;
        make(&test, mechanism);
        uint64_t first = test_vm_stats(test.vm).reservation_first;
        struct kva_vm_request request = request_of(5 * page, bound_0);
        unsigned char *memory;
        void *out;
        request.min = (uintptr_t)first + 7 * page;
        request.max = (uintptr_t)first + 12 * page - 1;
        assert_int_equal(kva_vm_alloc(test.vm, &request, &out), KVA_OK);
        assert_ptr_equal(out, (char *)(uintptr_t)first + 7 * page);
        memset(out, 1, 5 * page);
        assert_int_equal(kva_vm_alloc(test.vm, &request, &(void *){NULL}), KVA_ENOSPC);
        void *plain = take(test.vm, page, none);
        test_vm_expect_sound(&test, "in a window");
        request = request_of(page, bound_0);
        request.align = 64 * page;
        assert_int_equal(kva_vm_alloc(test.vm, &request, (void **)&memory), KVA_OK);
        assert_int_equal((uintptr_t)memory % (64 * page), 0);
        give(test.vm, memory);
        request = request_of(4 * TEST_MIB, interleaved_0);
        request.flags = KVA_VM_HUGE | KVA_VM_NO_BLOCK | KVA_VM_ZERO;
        assert_int_equal(kva_vm_alloc(test.vm, &request, (void **)&memory), KVA_OK);
        assert_int_equal(memory[0] | memory[4 * TEST_MIB - 1], 0);
        memset(memory, 1, 4 * TEST_MIB);
        if (nodes_here() != 0)
            assert_int_equal(policy_at(memory + 3 * TEST_MIB), 3);
        test_vm_expect_sound(&test, "huge");
        give(test.vm, memory);
        give(test.vm, plain);
        give(test.vm, out);
        test_vm_destroy(&test);
    }
}

/** The calls of bind from `first` to `last` are refused: a per-CPU district is half bound by then. */
static struct {
    enum kva_status (*bind)(void *context, void *reservation, uint64_t start, uint64_t bytes,
                            const struct kva_vm_nodes *nodes);
    unsigned calls, first, last;
} refusal;

static enum kva_status refuse_some(void *context, void *reservation, uint64_t start, uint64_t bytes,
                                   const struct kva_vm_nodes *nodes)
{
    refusal.calls++;
    if (refusal.calls >= refusal.first && refusal.calls <= refusal.last)
        return KVA_ELIMIT;
    return refusal.bind(context, reservation, start, bytes, nodes);
}

static void expect_policy(const unsigned char *memory, size_t bytes, int policy)
{
    for (size_t at = 0; nodes_here() != 0 && at < bytes; at += page)
        check_that(policy_at(memory + at) == policy, "page %zu of %zu: policy %d, not %d", at / page,
                   bytes / page, policy_at(memory + at), policy);
}

/** The source first binds, then refuses to undo the binding. No area gets these addresses until the undo
 *  succeeds. After that they are as all others. */
static void test_refused_undo_of_bind(void **state)
{
    const struct kva_vm_nodes nodes[] = {bound_0, interleaved_0};
    const struct kva_pcpu_config shape = {.cpus = 2, .groups = 2, .unit = page, .nodes = nodes};
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        for (unsigned refused = 1; refused <= 12; refused++) {
            struct test_vm test;
            struct kva_vm_config config = test_vm_config(&test, mechanism);
            struct kva_pcpu *pcpu;
            void *object;
            config.node = preferred_0;
            refusal.bind = config.pages.bind;
            config.pages.bind = refuse_some;
            refusal.first = refusal.last = 0;
            test_vm_create(&test, &config);
            refusal.first = refusal.calls + 2; /* after the calls of the first group */
            refusal.last = refusal.first + refused - 1;
            assert_int_equal(kva_pcpu_create(test.vm, &shape, &pcpu), KVA_OK);
            enum kva_status status = kva_pcpu_alloc(pcpu, 16, 16, &object);
            assert_true(status == KVA_OK || (status == KVA_ELIMIT && refused > 1));
            test_vm_expect_sound(&test, "half bound");
            struct kva_vm_stats stats = test_vm_stats(test.vm);
            size_t rest = (size_t)(stats.reservation_last + 1 - stats.reservation_first - 32 * TEST_MIB);
            unsigned char *plain = take(test.vm, rest - (size_t)stats.district_bytes - page, none);
            expect_policy(plain, rest - (size_t)stats.district_bytes - page, 1);
            give(test.vm, plain);
            if (status == KVA_OK)
                assert_int_equal(kva_pcpu_free(pcpu, object), KVA_OK);
            assert_int_equal(kva_pcpu_destroy(pcpu), KVA_OK);
            refusal.last = 0;
            assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
            assert_int_equal(test_vm_stats(test.vm).districts, 0);
            expect_policy((unsigned char *)(uintptr_t)stats.reservation_first, rest, 1);
            plain = take(test.vm, rest - page, none);
            expect_policy(plain, rest - page, 1);
            give(test.vm, plain);
            test_vm_destroy(&test);
        }
    }
}

/** Frees and purges give empty districts back without a call of kva_vm_purge, except one district for each
 *  value of nodes: alternating allocations and frees do not create and destroy districts. */
static void test_empty_districts_are_trimmed(void **state)
{
    enum { AREAS = 12, ROUNDS = 40 };
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        for (unsigned hardened = 0; hardened < 2; hardened++) {
            struct test_vm test;
            struct kva_vm_config config = test_vm_config(&test, mechanism);
            void *areas[AREAS];
            config.hardened = hardened == 1;
            config.lazy_bytes = config.cache_bytes = config.quarantine_bytes = KVA_VM_NONE;
            test_vm_create(&test, &config);
            for (size_t i = 0; i < AREAS; i++)
                areas[i] = take(test.vm, 300 * page, i % 2 == 0 ? bound_0 : interleaved_0);
            assert_true(test_vm_stats(test.vm).districts >= 4);
            for (size_t i = 0; i < AREAS; i++)
                give(test.vm, areas[i]);
            assert_int_equal(test_vm_stats(test.vm).parked_areas, 0);
            assert_int_equal(test_vm_stats(test.vm).districts, 2);
            uint64_t binds = test.pages.binds;
            for (unsigned round = 0; round < ROUNDS; round++)
                give(test.vm, take(test.vm, 3 * page, round % 2 == 0 ? bound_0 : interleaved_0));
            assert_int_equal(test.pages.binds, binds);
            for (unsigned round = 0; round < ROUNDS; round++) {
                const struct kva_vm_nodes nodes[] = {bound_0, none};
                const struct kva_pcpu_config shape = {.cpus = 2, .groups = 2, .unit = page, .nodes = nodes};
                struct kva_pcpu *pcpu;
                void *object;
                assert_int_equal(kva_pcpu_create(test.vm, &shape, &pcpu), KVA_OK);
                assert_int_equal(kva_pcpu_alloc(pcpu, 16, 16, &object), KVA_OK);
                assert_int_equal(kva_pcpu_free(pcpu, object), KVA_OK);
                assert_int_equal(kva_pcpu_destroy(pcpu), KVA_OK);
            }
            give(test.vm, take(test.vm, page, none));
            assert_int_equal(test_vm_stats(test.vm).districts, 2);
            test_vm_expect_sound(&test, "trimmed on the way");
            test_vm_destroy(&test);
        }
    }
}

/** When addresses are short, empty districts are given back, for requests without nodes and for other
 *  nodes. */
static void test_empty_districts_make_room(void **state)
{
    struct test_vm test;

    (void)state;
    make(&test, KVA_MECHANISM_BEST);
    struct kva_vm_stats stats = test_vm_stats(test.vm);
    size_t most = 31 * TEST_MIB;
    assert_true(stats.reservation_last - stats.reservation_first > most);
    for (unsigned round = 0; round < 3; round++) {
        give(test.vm, take(test.vm, 16 * TEST_MIB, bound_0));
        give(test.vm, take(test.vm, most, none));
        give(test.vm, take(test.vm, most, interleaved_0));
        test_vm_expect_sound(&test, "round");
    }
    test_vm_destroy(&test);
}

/** After each refusal by the page source or the memory source, the instance is sound. */
static void test_refusals(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        struct test_vm test;
        make(&test, mechanism);
        bool done = false;
        for (uint64_t n = 1; !done; n++) {
            const struct kva_vm_request request = request_of(3 * page, interleaved_0);
            void *memory;
            assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
            kva_failing_pages_fail(&test.pages, n, true);
            enum kva_status status = kva_vm_alloc(test.vm, &request, &memory);
            kva_failing_pages_fail(&test.pages, 0, false);
            test_vm_expect_sound(&test, "refused by the page source");
            done = status == KVA_OK;
            assert_true(done || status == KVA_ENOMEM);
            if (done)
                give(test.vm, memory);
            assert_in_range(n, 1, 20);
        }
        done = false;
        for (uint64_t n = 1; !done; n++) {
            const struct kva_vm_request request = request_of(3 * page, preferred_0);
            void *memory;
            assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
            kva_failing_memory_fail(&test.memory, n, true);
            enum kva_status status = kva_vm_alloc(test.vm, &request, &memory);
            kva_failing_memory_fail(&test.memory, 0, false);
            test_vm_expect_sound(&test, "refused memory");
            done = status == KVA_OK;
            assert_true(done || status == KVA_ENOMEM);
            if (done)
                give(test.vm, memory);
            assert_in_range(n, 1, 20);
        }
        test_vm_destroy(&test);
    }
}

/** In a hardened instance areas with nodes lie in districts too, at random places. */
static void test_hardened(void **state)
{
    enum { AREAS = 64 };
    struct test_vm test;
    struct kva_vm_config config = test_vm_config(&test, KVA_MECHANISM_BEST);
    unsigned char *memory[AREAS];
    size_t side_by_side = 0;

    (void)state;
    config.hardened = true;
    config.reservation = sizeof(void *) == 8 ? 16 * GIB : 256 * TEST_MIB;
    test_vm_create(&test, &config);
    for (size_t i = 0; i < AREAS; i++) {
        memory[i] = take(test.vm, page, bound_0);
        memory[i][0] = 1;
        side_by_side += i > 0 && memory[i] == memory[i - 1] + 2 * page;
        if (nodes_here() != 0)
            assert_int_equal(policy_at(memory[i]), 2);
    }
    assert_true(side_by_side < AREAS / 4);
    assert_in_range(test_vm_stats(test.vm).districts, 1, 3);
    test_vm_expect_sound(&test, "hardened");
    for (size_t i = 0; i < AREAS; i++)
        give(test.vm, memory[i]);
    test_vm_expect_sound(&test, "in quarantine");
    test_vm_destroy(&test);
}

static void note_line(void *context, const char *line, size_t length)
{
    (void)length;
    if (strstr(line, " vmalloc live foreign nodes interleaved 0x1 owner 0x"))
        ++*(unsigned *)context;
}

static void test_report_names_nodes(void **state)
{
    struct test_vm test;
    unsigned found = 0;

    (void)state;
    make(&test, KVA_MECHANISM_BEST);
    struct kva_vm_request request = request_of(page, interleaved_0);
    void *memory;
    request.owner = &test;
    request.flags = KVA_VM_FOREIGN;
    assert_int_equal(kva_vm_alloc(test.vm, &request, &memory), KVA_OK);
    assert_int_equal(kva_vm_report(test.vm, note_line, &found), KVA_OK);
    assert_int_equal(found, 1);
    give(test.vm, memory);
    test_vm_destroy(&test);
}

/* ---------------------------------------------------------------------------------- the kernel's policies */

/** Areas keep their policy while they are allocated, freed, purged and allocated again, in an instance with
 *  and without own nodes. The policy of a district ends with it. */
static void test_policy_stays(void **state)
{
    static const size_t lengths[] = {1, 16, 300};
    enum kva_mechanism mechanism;

    (void)state;
    if (!kernel_reports_nodes("the policies of mappings"))
        return;
    for_each_mechanism (mechanism, k) {
        for (unsigned own = 0; own < 2; own++) {
            struct test_vm test;
            struct kva_vm_config config = test_vm_config(&test, mechanism);
            const int usual = own == 1 ? 2 : 0;
            config.node = own == 1 ? bound_0 : none;
            config.cache_bytes = config.lazy_bytes = KVA_VM_NONE;
            test_vm_create(&test, &config);
            unsigned char *edge = take(test.vm, page, interleaved_0);
            for (size_t i = 0; i < 3 * sizeof lengths / sizeof lengths[0]; i++) {
                size_t bytes = lengths[i / 3] * page;
                unsigned char *plain = take(test.vm, bytes, none);
                unsigned char *with = take(test.vm, bytes, interleaved_0);
                memset(plain, 1, bytes);
                memset(with, 1, bytes);
                check_that(policy_at(plain) == usual && policy_at(plain + bytes - 1) == usual,
                           "%zu bytes without nodes: policy %d", bytes, policy_at(plain));
                check_that(policy_at(with) == 3 && policy_at(with + bytes - 1) == 3,
                           "%zu bytes with nodes: policy %d, not 3", bytes, policy_at(with));
                give(test.vm, plain);
                give(test.vm, with);
                assert_int_equal(policy_at(with), 3);
                assert_int_equal(policy_at(plain), usual);
            }
            give(test.vm, edge);
            assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
            assert_int_equal(policy_at(edge), usual);
            test_vm_destroy(&test);
        }
    }
}

/** Ten thousand areas of a page fit into the default limit, with every mechanism. Bound areas take at most
 *  ten more mappings than areas without nodes. */
static void test_ten_thousand_areas(void **state)
{
    enum { AREAS = 10000, HEAP = 64 }; /* mappings that the C library's heap may take for the bookkeeping */
    enum kva_mechanism mechanism;

    (void)state;
    if (sizeof(void *) < 8 || !test_is_on_its_own("ten thousand areas with a node"))
        return;
    for_each_mechanism (mechanism, k) {
        size_t taken[2];
        for (unsigned with = 0; with < 2; with++) {
            struct kva_vm_config config = {.pages = kva_pages_host(mechanism), .cache_bytes = KVA_VM_NONE};
            struct kva_vm *vm;
            unsigned char **areas = calloc(AREAS, sizeof *areas);
            assert_non_null(areas);
            assert_int_equal(kva_vm_create(&config, &vm), KVA_OK);
            size_t before = test_mappings();
            for (size_t i = 0; i < AREAS; i++) {
                areas[i] = take(vm, page, with == 0 ? none : i % 2 == 0 ? bound_0 : interleaved_0);
                areas[i][0] = 1;
            }
            taken[with] = test_mappings() - before;
            assert_true(test_mappings() - before <= test_vm_stats(vm).pages.mappings + HEAP);
            for (size_t i = 0; with == 1 && nodes_here() != 0 && i < AREAS; i += 97)
                assert_int_equal(policy_at(areas[i]), i % 2 == 0 ? 2 : 3);
            for (size_t i = 0; i < AREAS; i++)
                give(vm, areas[i]);
            assert_int_equal(kva_vm_purge(vm), KVA_OK);
            assert_int_equal(kva_vm_check(vm, NULL), KVA_OK);
            assert_in_range(test_mappings(), before - 8, before + HEAP);
            assert_int_equal(kva_vm_destroy(vm, NULL, NULL), KVA_OK);
            free(areas);
        }
        print_message("%s: %zu mappings without nodes, %zu with\n", test_mechanism_name(mechanism), taken[0],
                      taken[1]);
        assert_in_range(taken[1], 0, taken[0] + 10);
    }
}

/** The policy that the program sets itself for a marked area ends with the area. The instance's own nodes
 *  remain. */
static void test_foreign_policy_ends_with_the_area(void **state)
{
    static const size_t lengths[] = {1, 16, 300};
    enum kva_mechanism mechanism;

    (void)state;
    if (!kernel_reports_nodes("policies of marked areas"))
        return;
    for_each_mechanism (mechanism, k) {
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
            struct test_vm test;
            struct kva_vm_config config = test_vm_config(&test, mechanism);
            const unsigned long mask = 1;
            size_t bytes = lengths[i] * page;
            config.node = preferred_0;
            test_vm_create(&test, &config);
            void *before = take(test.vm, page, none);
            char *memory = take(test.vm, bytes, none);
            assert_int_equal(policy_at(memory), 1);
            assert_int_equal(syscall(SYS_mbind, memory, bytes, 2L, &mask, 65UL, 0UL), 0);
            assert_int_equal(kva_vm_mark_foreign(test.vm, memory), KVA_OK);
            assert_int_equal(policy_at(memory), 2);
            give(test.vm, memory);
            assert_int_equal(test_vm_stats(test.vm).cached_areas, 0);
            assert_int_equal(test_vm_stats(test.vm).parked_areas, 1);
            assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
            struct kva_vm_request request = kva_vm_request_of(bytes);
            void *next;
            request.min = (uintptr_t)memory;
            assert_int_equal(kva_vm_alloc(test.vm, &request, &next), KVA_OK);
            assert_ptr_equal(next, memory);
            assert_int_equal(policy_at(memory), 1);
            give(test.vm, memory);
            give(test.vm, before);
            test_vm_destroy(&test);
        }
    }
}

/* ------------------------------------------------------------------------------------------------ per CPU */

/** Groups with nodes keep their distances in all chunks, and each group has its policy. */
static void test_groups_have_nodes(void **state)
{
    enum { OBJECTS = 300, CPUS = 5 };
    const struct kva_vm_nodes nodes[] = {bound_0, none, interleaved_0};
    const int policies[CPUS] = {2, 2, 0, 0, 3};
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        for (unsigned hardened = 0; hardened < 2; hardened++) {
            const struct kva_pcpu_config shape = {.cpus = CPUS, .groups = 3, .unit = page, .nodes = nodes};
            struct test_vm test;
            struct kva_vm_config config = test_vm_config(&test, mechanism);
            struct kva_pcpu *pcpu;
            char *objects[OBJECTS];
            config.hardened = hardened == 1;
            test_vm_create(&test, &config);
            assert_int_equal(kva_pcpu_create(test.vm, &shape, &pcpu), KVA_OK);
            for (size_t i = 0; i < OBJECTS; i++) {
                assert_int_equal(kva_pcpu_alloc(pcpu, page / 2, 16, (void **)&objects[i]), KVA_OK);
                for (unsigned cpu = 0; cpu < CPUS; cpu++) {
                    char *copy = kva_pcpu_of(pcpu, objects[i], cpu);
                    memset(copy, 1, page / 2);
                    if (nodes_here() != 0)
                        assert_int_equal(policy_at(copy), policies[cpu]);
                }
            }
            assert_int_equal(area_of(test.vm, kva_pcpu_of(pcpu, objects[7], 4)).node.policy,
                             KVA_VM_NODES_INTERLEAVED);
            test_vm_expect_sound(&test, "objects");
            assert_in_range(test_vm_stats(test.vm).districts, 1, 8);
            for (size_t i = 0; i < OBJECTS; i++)
                assert_int_equal(kva_pcpu_free(pcpu, objects[i]), KVA_OK);
            assert_int_equal(kva_pcpu_destroy(pcpu), KVA_OK);
            test_vm_expect_sound(&test, "parked");
            assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
            assert_int_equal(test_vm_stats(test.vm).districts, 0);
            test_vm_destroy(&test);
        }
    }
}

/** Congruent areas of one request have its nodes. A bad value of nodes is reported to the misuse hook with
 *  its index. */
static void test_congruent_areas_have_nodes(void **state)
{
    struct test_vm test;
    const struct kva_part parts[] = {{0, 2 * page}, {16 * page, page}, {40 * page, 5 * page}};
    struct kva_vm_request request = request_of(0, interleaved_0);
    void *memory[3];

    (void)state;
    make(&test, KVA_MECHANISM_BEST);
    assert_int_equal(kva_vm_alloc_congruent(test.vm, &request, parts, 3, memory), KVA_OK);
    for (size_t i = 0; i < 3; i++) {
        assert_ptr_equal(memory[i], (char *)memory[0] + parts[i].offset);
        assert_int_equal(area_of(test.vm, memory[i]).node.policy, KVA_VM_NODES_INTERLEAVED);
        if (nodes_here() != 0)
            assert_int_equal(policy_at(memory[i]), 3);
    }
    test_vm_expect_sound(&test, "congruent");
    for (size_t i = 0; i < 3; i++)
        give(test.vm, memory[i]);
    const struct kva_vm_nodes bad[] = {none, {KVA_VM_NODES_PREFERRED, 6}};
    const struct kva_pcpu_config shape = {.cpus = 2, .groups = 2, .nodes = bad};
    struct kva_pcpu *pcpu;
    assert_int_equal(kva_pcpu_create(test.vm, &shape, &pcpu), KVA_EINVAL);
    assert_string_equal(test.hooks.last.field, "nodes[i].set");
    assert_int_equal(test.hooks.last.index, 1);
    test_vm_forgive(&test);
    test_vm_destroy(&test);
}

/* -------------------------------------------------------------------------------- machines with two nodes */

/** Find two nodes of the machine. If it has only one, print that, and return false. */
static bool two_nodes(int *a, int *b)
{
    uint64_t nodes = nodes_here();
    uint64_t rest = nodes & (nodes - 1);

    if (nodes == 0 || rest == 0) {
        print_message("left out, because the machine has one node, or none: the nodes of pages\n");
        return false;
    }
    *a = __builtin_ctzll(nodes);
    *b = __builtin_ctzll(rest);
    return true;
}

static struct kva_vm_nodes on(enum kva_vm_nodes_policy policy, int node)
{
    return (struct kva_vm_nodes){policy, UINT64_C(1) << node};
}

static void expect_pages_on(const unsigned char *memory, size_t bytes, int node)
{
    for (size_t at = 0; at < bytes; at += page)
        check_that(node_of(memory + at) == node, "page %zu of %zu: node %d, not %d", at / page, bytes / page,
                   node_of(memory + at), node);
}

/** Pages come from the requested node, for every owner of the addresses. */
static void test_pages_are_on_their_nodes(void **state)
{
    static const size_t lengths[] = {1, 16, 300};
    enum kva_mechanism mechanism;
    int a;
    int b;

    (void)state;
    if (!two_nodes(&a, &b))
        return;
    for_each_mechanism (mechanism, k) {
        struct test_vm test;
        struct kva_vm_config config = test_vm_config(&test, mechanism);
        config.node = on(KVA_VM_NODES_BOUND, b);
        test_vm_create(&test, &config);
        for (unsigned round = 0; round < 4; round++) {
            for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
                size_t bytes = lengths[i] * page;
                unsigned char *own = take(test.vm, bytes, none);
                unsigned char *bound = take(test.vm, bytes, on(KVA_VM_NODES_BOUND, a));
                unsigned char *spec = take(test.vm, bytes, on(KVA_VM_NODES_PREFERRED, a));
                memset(own, 1, bytes);
                memset(bound, 1, bytes);
                memset(spec, 1, bytes);
                expect_pages_on(own, bytes, b);
                expect_pages_on(bound, bytes, a);
                expect_pages_on(spec, bytes, a);
                give(test.vm, own);
                give(test.vm, bound);
                give(test.vm, spec);
            }
            if (round % 2 == 1)
                assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
        }
        test_vm_destroy(&test);
    }
}

static void test_interleaved_pages_take_turns(void **state)
{
    struct test_vm test;
    size_t count[2] = {0, 0};
    int a;
    int b;

    (void)state;
    if (!two_nodes(&a, &b))
        return;
    make(&test, KVA_MECHANISM_BEST);
    const struct kva_vm_nodes both = {KVA_VM_NODES_INTERLEAVED, UINT64_C(1) << a | UINT64_C(1) << b};
    unsigned char *memory = take(test.vm, 64 * page, both);
    memset(memory, 1, 64 * page);
    for (size_t i = 0; i < 64; i++)
        count[node_of(memory + i * page) == a]++;
    assert_int_equal(count[0], 32);
    assert_int_equal(count[1], 32);
    give(test.vm, memory);
    test_vm_destroy(&test);
}

/** Freed frames lose the policy that the program set for them. */
static void test_freed_frames_lose_policy(void **state)
{
    struct test_vm test;
    struct kva_vm_frames *frames;
    uint64_t numbers[8];
    int a;
    int b;

    (void)state;
    if (!two_nodes(&a, &b))
        return;
    make(&test, KVA_MECHANISM_BEST);
    assert_int_equal(kva_vm_frames_create(test.vm, &(struct kva_vm_frames_config){.count = 64}, &frames),
                     KVA_OK);
    for (unsigned round = 0; round < 2; round++) {
        const unsigned long mask = 1UL << (round == 0 ? b : a);
        assert_int_equal(kva_vm_frames_alloc(frames, 8, numbers), KVA_OK);
        unsigned char *map = kva_vmap(test.vm, frames, numbers, 8);
        assert_non_null(map);
        assert_int_equal(policy_at(map), 0);
        assert_int_equal(syscall(SYS_mbind, map, 8 * page, 2L, &mask, 65UL, 0UL), 0);
        memset(map, 1, 8 * page);
        expect_pages_on(map, 8 * page, round == 0 ? b : a);
        assert_int_equal(kva_vunmap(test.vm, map), KVA_OK);
        assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
        assert_int_equal(kva_vm_frames_free(frames, numbers, 8), KVA_OK);
    }
    assert_int_equal(kva_vm_frames_destroy(frames), KVA_OK);
    test_vm_destroy(&test);
}

static void test_copies_are_on_their_groups_nodes(void **state)
{
    struct test_vm test;
    struct kva_pcpu *pcpu;
    void *objects[40];
    int a;
    int b;

    (void)state;
    if (!two_nodes(&a, &b))
        return;
    const struct kva_vm_nodes nodes[] = {on(KVA_VM_NODES_BOUND, b), on(KVA_VM_NODES_BOUND, a)};
    const struct kva_pcpu_config shape = {.cpus = 4, .groups = 2, .unit = page, .nodes = nodes};
    make(&test, KVA_MECHANISM_BEST);
    assert_int_equal(kva_pcpu_create(test.vm, &shape, &pcpu), KVA_OK);
    for (size_t i = 0; i < 40; i++) {
        assert_int_equal(kva_pcpu_alloc(pcpu, page / 2, 16, &objects[i]), KVA_OK);
        for (unsigned cpu = 0; cpu < 4; cpu++)
            assert_int_equal(node_of(kva_pcpu_of(pcpu, objects[i], cpu)), cpu < 2 ? b : a);
    }
    for (size_t i = 0; i < 40; i++)
        assert_int_equal(kva_pcpu_free(pcpu, objects[i]), KVA_OK);
    assert_int_equal(kva_pcpu_destroy(pcpu), KVA_OK);
    test_vm_destroy(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_0_exists),
        cmocka_unit_test(test_missing_nodes),
        cmocka_unit_test(test_source_without_nodes),
        cmocka_unit_test(test_255_values_of_nodes),
        cmocka_unit_test(test_many_groups_with_few_values),
        cmocka_unit_test(test_refusals_use_no_number),
        cmocka_unit_test(test_missing_nodes_before_addresses),
        cmocka_unit_test(test_areas_lie_together),
        cmocka_unit_test(test_cache_does_not_mix),
        cmocka_unit_test(test_own_nodes_take_no_district),
        cmocka_unit_test(test_growing_keeps_the_nodes),
        cmocka_unit_test(test_requests_with_nodes),
        cmocka_unit_test(test_refused_undo_of_bind),
        cmocka_unit_test(test_empty_districts_are_trimmed),
        cmocka_unit_test(test_empty_districts_make_room),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_hardened),
        cmocka_unit_test(test_report_names_nodes),
        cmocka_unit_test(test_policy_stays),
        cmocka_unit_test(test_ten_thousand_areas),
        cmocka_unit_test(test_foreign_policy_ends_with_the_area),
        cmocka_unit_test(test_groups_have_nodes),
        cmocka_unit_test(test_congruent_areas_have_nodes),
        cmocka_unit_test(test_pages_are_on_their_nodes),
        cmocka_unit_test(test_interleaved_pages_take_turns),
        cmocka_unit_test(test_freed_frames_lose_policy),
        cmocka_unit_test(test_copies_are_on_their_groups_nodes),
    };

    page = test_page();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
