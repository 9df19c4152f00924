/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The Linux page source alone, without an instance over it: its counts, against the kernel's own list of
 * mappings, and its behaviour when the kernel refuses.
 *
 * The linker binds this program's calls of mmap, mprotect, madvise, fallocate, open and syscall, and the
 * source's own of mbind, to the functions below (--wrap). They pass a call on, unless the test's rule refuses
 * it. A test can thus refuse single calls, and end the refusals. Calls of the C library and of a sanitizer
 * are not wrapped.
 */
#define _GNU_SOURCE
#include "../common/harness.h"
#include "../common/vmap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

static size_t page; /* bytes */

/* --------------------------------------------------------------------------------------------- the kernel */

enum call { MMAP, MPROTECT, MADVISE, FALLOCATE, MBIND };

/** Whether to refuse a call. `what` is its protection, advice or mode; `flags` are mmap's. NULL refuses
 *  none. */
typedef bool rule(enum call call, void *at, int what, int flags);

static rule *refuses;
static int refusal = ENOMEM;
static bool no_files;  /* no /proc and /sys, or no free descriptor */
static unsigned opens; /* attempts to open a file */
static unsigned looks; /* reads of the list of mappings */
static unsigned tries; /* calls with MAP_FIXED_NOREPLACE */
static int only_node = -1;

static bool refused(enum call call, void *at, int what, int flags)
{
    if (refuses == NULL || !refuses(call, at, what, flags))
        return false;
    errno = refusal;
    return true;
}

/* The linker replaces calls of `name` by __wrap_name, and __real_name by `name`. A host with 32-bit offsets
 * calls the names with 64. */
void *__real_mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset);
void *__real_mmap64(void *at, size_t bytes, int protection, int flags, int file, off64_t offset);
int __real_mprotect(void *at, size_t bytes, int protection);
int __real_madvise(void *at, size_t bytes, int advice);
int __real_fallocate(int file, int mode, off_t offset, off_t bytes);
int __real_fallocate64(int file, int mode, off64_t offset, off64_t bytes);
int __real_kva_port_set_nodes(void *at, size_t bytes, const struct kva_vm_nodes *nodes, uint64_t *calls);
int __wrap_kva_port_set_nodes(void *at, size_t bytes, const struct kva_vm_nodes *nodes, uint64_t *calls);
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
int __real_open(const char *path, int flags, ...);
int __real_open64(const char *path, int flags, ...);

void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset)
{
    tries += (flags & MAP_FIXED_NOREPLACE) != 0;
    return refused(MMAP, at, protection, flags) ? MAP_FAILED
                                                : __real_mmap(at, bytes, protection, flags, file, offset);
}

void *__wrap_mmap64(void *at, size_t bytes, int protection, int flags, int file, off64_t offset)
{
    tries += (flags & MAP_FIXED_NOREPLACE) != 0;
    return refused(MMAP, at, protection, flags) ? MAP_FAILED
                                                : __real_mmap64(at, bytes, protection, flags, file, offset);
}

int __wrap_mprotect(void *at, size_t bytes, int protection)
{
    return refused(MPROTECT, at, protection, 0) ? -1 : __real_mprotect(at, bytes, protection);
}

int __wrap_madvise(void *at, size_t bytes, int advice)
{
    return refused(MADVISE, at, advice, 0) ? -1 : __real_madvise(at, bytes, advice);
}

int __wrap_kva_port_set_nodes(void *at, size_t bytes, const struct kva_vm_nodes *nodes, uint64_t *calls)
{
    return refused(MBIND, at, (int)nodes->policy, 0) ? refusal
                                                     : __real_kva_port_set_nodes(at, bytes, nodes, calls);
}

int __wrap_fallocate(int file, int mode, off_t offset, off_t bytes)
{
    return refused(FALLOCATE, NULL, mode, 0) ? -1 : __real_fallocate(file, mode, offset, bytes);
}

int __wrap_fallocate64(int file, int mode, off64_t offset, off64_t bytes)
{
    return refused(FALLOCATE, NULL, mode, 0) ? -1 : __real_fallocate64(file, mode, offset, bytes);
}

/** Count an attempt to open a file. Returns whether it may succeed. */
static bool may_open(const char *path)
{
    opens++;
    looks += strcmp(path, "/proc/self/maps") == 0;
    errno = ENOENT;
    return !no_files;
}

/** Files are created with this mode; no call here asks for another. */
int __wrap_open(const char *path, int flags, ...)
{
    return may_open(path) ? __real_open(path, flags, 0600) : -1;
}

int __wrap_open64(const char *path, int flags, ...)
{
    return may_open(path) ? __real_open64(path, flags, 0600) : -1;
}

/** The nodes that the program may use: `only_node`, if that is not negative. */
long __wrap_syscall(long number, ...)
{
    va_list list;
    long arguments[6];

    va_start(list, number);
    for (unsigned i = 0; i < 6; i++)
        arguments[i] = va_arg(list, long);
    va_end(list);
    if (number != SYS_get_mempolicy || only_node < 0)
        return __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                              arguments[5]);
    const unsigned bits = 8 * sizeof(unsigned long);
    ((unsigned long *)arguments[1])[(unsigned)only_node / bits] = 1UL << (unsigned)only_node % bits;
    return 0;
}

/** As at the limit on mappings: calls that split a mapping are refused. */
static bool refuse_splitting(enum call call, void *at, int what, int flags)
{
    (void)at;
    return call == MMAP && what == PROT_NONE && (flags & MAP_FIXED) != 0;
}

/** Every way to close pages is refused. */
static bool refuse_closing(enum call call, void *at, int what, int flags)
{
    return refuse_splitting(call, at, what, flags) || (call == MADVISE && what == 102) ||
           (call == MPROTECT && what == PROT_NONE);
}

/** Every call but the removal of markers is refused. */
static bool refuse_all(enum call call, void *at, int what, int flags)
{
    (void)at;
    (void)flags;
    return call == MMAP || call == MPROTECT || (call == MADVISE && what != 103);
}

static bool refuse_punching(enum call call, void *at, int what, int flags)
{
    (void)at;
    (void)what;
    (void)flags;
    return call == FALLOCATE;
}

/* ------------------------------------------------------------------------------------------ a reservation */

struct source {
    struct kva_pages pages;
    struct kva_reservation reservation;
};

static struct source source_with(enum kva_mechanism mechanism, uint64_t mib, uint64_t frames_mib, bool strict)
{
    struct source source = {
        .pages = kva_pages_host(mechanism),
        .reservation = {.bytes = mib * TEST_MIB,
                        .least = mib * TEST_MIB,
                        .max = UINT64_MAX,
                        .frames = frames_mib * TEST_MIB,
                        .strict = strict},
    };
    source.reservation.align = source.pages.page;
    assert_int_equal(source.pages.reserve(source.pages.context, &source.reservation), KVA_OK);
    return source;
}

static struct source source_of(enum kva_mechanism mechanism, uint64_t mib, uint64_t frames_mib)
{
    return source_with(mechanism, mib, frames_mib, false);
}

static void end(const struct source *source)
{
    source->pages.release(source->pages.context, source->reservation.handle);
}

static uint64_t address(const struct source *source, uint64_t number)
{
    return source->reservation.first + number * page;
}

static unsigned char *memory(const struct source *source, uint64_t number)
{
    return (unsigned char *)(uintptr_t)address(source, number);
}

static enum kva_status open_some(const struct source *source, uint64_t number, uint64_t count)
{
    return source->pages.open(source->pages.context, source->reservation.handle, address(source, number),
                              count * page, false);
}

static void open_and_touch(const struct source *source, uint64_t number, uint64_t count)
{
    assert_int_equal(open_some(source, number, count), KVA_OK);
    for (uint64_t i = 0; i < count; i++)
        memory(source, number + i)[0] = 1;
}

static void close_some(const struct source *source, uint64_t number, uint64_t count)
{
    source->pages.close(source->pages.context, source->reservation.handle, address(source, number),
                        count * page);
}

static struct kva_pages_stats stats_of(const struct source *source)
{
    struct kva_pages_stats stats;

    source->pages.stats(source->pages.context, source->reservation.handle, &stats);
    return stats;
}

/** Count the mappings in the reservation, by the kernel's list. */
static uint64_t mappings_in(const struct source *source)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    struct test_mapping mapping;
    uint64_t count = 0;
    uint64_t first = source->reservation.first;

    if (maps == NULL)
        return UINT64_MAX;
    while (test_next_mapping(maps, &mapping))
        count += mapping.first < first + source->reservation.bytes && mapping.last >= first;
    fclose(maps);
    return count;
}

/** Whether the kernel may not write to a page. Valgrind would report the attempt. */
static bool is_closed(void *at)
{
    _Static_assert(sizeof(struct utsname) <= 4096, "it fits in any page");
    return test_under_valgrind() || (uname(at) != 0 && errno == EFAULT);
}

/* ------------------------------------------------------------------------------------------ failed unmaps */

/** Stores of a stale pointer after a failed unmap are not visible to the next owner of the page. If the
 *  contents cannot be dropped, the page cannot be opened. */
static void test_pages_of_failed_unmaps_are_zero(void **state)
{
    static const uint64_t counts[] = {1, 3, 100, 600};
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        for (size_t i = 0; i < 4; i++) {
            struct source source = source_of(mechanism, 16, 1);
            open_and_touch(&source, 5, counts[i]);
            refuses = refuse_closing;
            close_some(&source, 5, counts[i]);
            refuses = NULL;
            assert_int_equal(stats_of(&source).failed_unmaps, 1);
            for (uint64_t p = 0; p < counts[i]; p++) {
                assert_int_equal(memory(&source, 5 + p)[0], 0);
                memory(&source, 5 + p)[0] = 77;
            }
            refuses = refuse_all;
            enum kva_status status = open_some(&source, 5, counts[i]);
            refuses = NULL;
            check_that(status == KVA_ENOMEM, "%s, %" PRIu64 " pages: KVA_ENOMEM expected, %s returned",
                       test_mechanism_name(mechanism), counts[i], kva_status_name(status));
            assert_int_equal(open_some(&source, 5, counts[i]), KVA_OK);
            for (uint64_t p = 0; p < counts[i]; p++)
                check_that(memory(&source, 5 + p)[0] == 0, "%s: page %" PRIu64 " of %" PRIu64 " is not zero",
                           test_mechanism_name(mechanism), p, counts[i]);
            close_some(&source, 5, counts[i]);
            assert_true(is_closed(memory(&source, 5)));
            end(&source);
        }
    }
}

/** A page of a failed unmap that is closed again faults. The other pages of the failed unmap read as zero
 *  when opened. */
static void test_failed_unmaps_among_others(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        struct source source = source_of(mechanism, 16, 1);
        open_and_touch(&source, 0, 40);
        refuses = refuse_closing;
        close_some(&source, 10, 10);
        refuses = NULL;
        memory(&source, 12)[0] = 77;
        close_some(&source, 5, 6); /* closes page 10 again */
        assert_true(is_closed(memory(&source, 10)));
        assert_int_equal(open_some(&source, 5, 10), KVA_OK);
        for (uint64_t p = 5; p < 15; p++)
            assert_int_equal(memory(&source, p)[0], 0);
        for (uint64_t p = 20; p < 40; p++)
            assert_int_equal(memory(&source, p)[0], 1);
        end(&source);
    }
}

/** A refused close splits no mapping, so none is counted, even for short runs. */
static void test_refused_closes_split_nothing(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        for (uint64_t count = 1; count <= 4; count++) {
            struct source source = source_of(mechanism, 16, 1);
            open_and_touch(&source, 0, 40);
            uint64_t counted = stats_of(&source).mappings;
            refuses = refuse_closing;
            close_some(&source, 10, count);
            refuses = NULL;
            assert_int_equal(stats_of(&source).failed_unmap_pages, count);
            check_that(stats_of(&source).mappings == counted,
                       "%s, %" PRIu64 " pages: %" PRIu64 " mappings, not %" PRIu64,
                       test_mechanism_name(mechanism), count, (uint64_t)stats_of(&source).mappings, counted);
            end(&source);
        }
    }
}

/** Every way to close pages is refused but mprotect. */
static bool refuse_replacing(enum call call, void *at, int what, int flags)
{
    return refuse_closing(call, at, what, flags) && call != MPROTECT;
}

/* ------------------------------------------------------------------------------------------ foreign pages */

static bool refuse_mmap(enum call call, void *at, int what, int flags)
{
    (void)at;
    (void)what;
    (void)flags;
    return call == MMAP;
}

/** Whether children inherit the mapping of an address, which MADV_DONTFORK prevents. */
static bool is_inherited(const void *at)
{
    FILE *smaps = fopen("/proc/self/smaps", "r");
    struct test_mapping mapping;
    bool found = false;

    assert_non_null(smaps);
    while (!found && test_next_mapping(smaps, &mapping)) {
        found = (uintptr_t)at >= mapping.first && (uintptr_t)at <= mapping.last;
        if (found)
            test_mapping_details(smaps, &mapping);
    }
    fclose(smaps);
    assert_true(found);
    return strstr(mapping.flags, " dc") == NULL;
}

static void dismiss_some(const struct source *source, uint64_t number, uint64_t count)
{
    source->pages.dismiss(source->pages.context, source->reservation.handle, address(source, number),
                          count * page);
}

/** The owner has advised the kernel about pages, and the kernel refuses to replace them. They cannot be
 *  opened before they are replaced, whatever closed them. */
static void test_foreign_pages_are_replaced_before_use(void **state)
{
    static const uint64_t counts[] = {1, 3, 100, 600};
    static rule *const rules[] = {refuse_closing, refuse_replacing, refuse_mmap, refuse_splitting};
    enum kva_mechanism mechanism;

    (void)state;
    if (!test_is_on_its_own("replacing foreign pages"))
        return;
    for_each_mechanism (mechanism, k) {
        for (size_t i = 0; i < 4 * sizeof rules / sizeof rules[0]; i++) {
            uint64_t count = counts[i % 4];
            struct source source = source_of(mechanism, 16, 1);
            open_and_touch(&source, 2, 3 + count + 3);
            assert_int_equal(__real_madvise(memory(&source, 5), (size_t)count * page, MADV_DONTFORK), 0);
            refuses = rules[i / 4];
            dismiss_some(&source, 5, count);
            assert_int_equal(memory(&source, 4)[0] + memory(&source, 5 + count)[0], 2);
            bool replaced = is_inherited(memory(&source, 5)) && is_inherited(memory(&source, 4 + count));
            assert_true(!replaced || rules[i / 4] != refuse_mmap);
            refuses = refuse_mmap;
            close_some(&source, 5, count); /* it retries the replacement, which fails without mmap */
            enum kva_status status = open_some(&source, 5, count);
            refuses = NULL;
            if (!replaced) {
                check_that(status == KVA_ENOMEM || status == KVA_ELIMIT,
                           "%s, %" PRIu64 " pages: KVA_ENOMEM or KVA_ELIMIT expected, %s returned",
                           test_mechanism_name(mechanism), count, kva_status_name(status));
                source.pages.retry_unmaps(source.pages.context, source.reservation.handle);
                assert_true(is_closed(memory(&source, 5)) && is_closed(memory(&source, 4 + count)));
                status = open_some(&source, 5, count);
            }
            assert_int_equal(status, KVA_OK);
            for (uint64_t p = 5; p < 5 + count; p++)
                assert_int_equal(memory(&source, p)[0], 0);
            check_that(is_inherited(memory(&source, 5)) && is_inherited(memory(&source, 4 + count)),
                       "%s, %" PRIu64 " pages, rule %zu: children do not inherit them",
                       test_mechanism_name(mechanism), count, i / 4);
            assert_int_equal(stats_of(&source).failed_unmap_pages, 0);
            end(&source);
        }
    }
}

/** Foreign pages that are opened and closed by turns leave no mappings. */
static void test_dismissals_leave_no_mappings(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    if (!test_is_on_its_own("the mappings that dismissals leave"))
        return;
    for_each_mechanism (mechanism, k) {
        struct source source = source_of(mechanism, 16, 1);
        open_and_touch(&source, 0, 1);
        for (uint64_t round = 0; round < 100; round++) {
            open_and_touch(&source, 2 + 3 * round, 2);
            assert_int_equal(__real_madvise(memory(&source, 2 + 3 * round), page, MADV_DONTFORK), 0);
            dismiss_some(&source, 2 + 3 * round, 2);
        }
        assert_in_range(mappings_in(&source), 1, 6);
        assert_true(mappings_in(&source) <= stats_of(&source).mappings);
        end(&source);
    }
}

/* -------------------------------------------------------------------------------------------------- nodes */

static bool refuse_mbind(enum call call, void *at, int what, int flags)
{
    (void)at;
    (void)what;
    (void)flags;
    return call == MBIND;
}

/** The policy of an address, as the kernel numbers it; -1: the kernel does not report it. */
static int policy_of(const void *at)
{
    unsigned long mask[1024 / (8 * sizeof(unsigned long))];
    int mode = -1;

    return syscall(SYS_get_mempolicy, &mode, mask, 1025UL, at, 2UL) == 0 ? mode : -1;
}

static enum kva_status bind_to(const struct source *source, uint64_t number, uint64_t count,
                               const struct kva_vm_nodes *nodes)
{
    return source->pages.bind(source->pages.context, source->reservation.handle, address(source, number),
                              count * page, nodes);
}

static enum kva_status bind_some(const struct source *source, uint64_t number, uint64_t count,
                                 enum kva_vm_nodes_policy policy)
{
    const struct kva_vm_nodes nodes = {policy, policy == KVA_VM_NODES_ANY ? 0 : 1};

    return bind_to(source, number, count, &nodes);
}

/** Replaced pages lose their policy. If the kernel refuses to set it again, the pages cannot be opened before
 *  it is set. */
static void test_lost_policies_come_back(void **state)
{
    static const uint64_t counts[] = {1, 3, 100, 600};
    enum kva_mechanism mechanism;

    (void)state;
    if (policy_of(&page) < 0) {
        print_message("left out, because the kernel does not report policies: lost policies\n");
        return;
    }
    for_each_mechanism (mechanism, k) {
        for (size_t i = 0; i < 4; i++) {
            struct source source = source_of(mechanism, 16, 1);
            assert_int_equal(bind_some(&source, 0, 1024, KVA_VM_NODES_BOUND), KVA_OK);
            assert_int_equal(bind_some(&source, 1024, 1024, KVA_VM_NODES_INTERLEAVED), KVA_OK);
            open_and_touch(&source, 5, counts[i]);
            open_and_touch(&source, 1300, counts[i]);
            refuses = refuse_mbind;
            dismiss_some(&source, 5, counts[i]); /* replaces the mapping */
            dismiss_some(&source, 1300, counts[i]);
            assert_int_equal(open_some(&source, 5, counts[i]), KVA_ENOMEM);
            assert_int_equal(open_some(&source, 1300, counts[i]), KVA_ENOMEM);
            assert_true(is_closed(memory(&source, 5)) && is_closed(memory(&source, 1300)));
            uint64_t counted = stats_of(&source).mappings;
            assert_true(mappings_in(&source) <= counted);
            refuses = NULL;
            open_and_touch(&source, 5, counts[i]);
            assert_int_equal(policy_of(memory(&source, 5)), 2);
            assert_int_equal(policy_of(memory(&source, 4 + counts[i])), 2);
            open_and_touch(&source, 1300, counts[i]);
            assert_int_equal(policy_of(memory(&source, 1300)), 3);
            assert_true(mappings_in(&source) <= stats_of(&source).mappings);
            assert_true(stats_of(&source).mappings < counted + 4);
            end(&source);
        }
    }
}

/** A refused bind changes nothing. A bind over a part of another leaves the rest, and its undo restores
 *  nothing. */
static void test_overlapping_binds(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    if (policy_of(&page) < 0) {
        print_message("left out, because the kernel does not report policies: overlapping binds\n");
        return;
    }
    for_each_mechanism (mechanism, k) {
        struct source source = source_of(mechanism, 16, 1);
        const struct {
            uint64_t number, count;
            enum kva_vm_nodes_policy policy;
        } binds[] = {{0, 3000, KVA_VM_NODES_BOUND},  {512, 512, KVA_VM_NODES_INTERLEAVED},
                     {700, 10, KVA_VM_NODES_ANY},    {0, 513, KVA_VM_NODES_PREFERRED},
                     {600, 300, KVA_VM_NODES_BOUND}, {0, 3000, KVA_VM_NODES_ANY}};
        unsigned char expected[3000] = {0};
        for (size_t i = 0; i < sizeof binds / sizeof binds[0]; i++) {
            const uint64_t places[] = {0, 511, 512, 513, 600, 699, 700, 709, 710, 899, 900, 1023, 1024, 2999};
            refuses = refuse_mbind;
            assert_int_equal(bind_some(&source, binds[i].number, binds[i].count, binds[i].policy),
                             KVA_ENOMEM);
            refuses = NULL;
            for (size_t p = 0; p < sizeof places / sizeof places[0]; p++)
                assert_int_equal(policy_of(memory(&source, places[p])), expected[places[p]]);
            assert_int_equal(bind_some(&source, binds[i].number, binds[i].count, binds[i].policy), KVA_OK);
            memset(expected + binds[i].number, (int)binds[i].policy, (size_t)binds[i].count);
            for (size_t p = 0; p < sizeof places / sizeof places[0]; p++) {
                open_and_touch(&source, places[p], 1);
                assert_int_equal(policy_of(memory(&source, places[p])), expected[places[p]]);
            }
            close_some(&source, 0, 3000);
            for (size_t p = 0; p < sizeof places / sizeof places[0]; p++)
                assert_int_equal(policy_of(memory(&source, places[p])), expected[places[p]]);
            assert_true(!test_is_on_its_own(NULL) || mappings_in(&source) <= stats_of(&source).mappings);
        }
        end(&source);
    }
}

/** A machine with one node of any number: the node can be requested by its number and as node 0, and no call
 *  binds. */
static void test_one_node_of_any_number(void **state)
{
    static const unsigned numbers[] = {0, 1, 5, 63, 64, 1000};
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
            if (numbers[i] == 0 && policy_of(&page) < 0)
                continue; /* the kernel would be called, and has no nodes */
            struct source source = source_of(mechanism, 16, 1);
            const struct kva_vm_nodes zero = {KVA_VM_NODES_BOUND, 1};
            const struct kva_vm_nodes that = {KVA_VM_NODES_PREFERRED, UINT64_C(1) << numbers[i] % 64};
            const struct kva_vm_nodes both = {KVA_VM_NODES_INTERLEAVED, zero.set | that.set};
            const struct kva_vm_nodes other = {KVA_VM_NODES_BOUND, UINT64_C(1) << 7};
            only_node = (int)numbers[i];
            refuses = numbers[i] == 0 ? NULL : refuse_mbind;
            enum kva_status as_zero = bind_to(&source, 0, 100, &zero);
            enum kva_status as_that = bind_to(&source, 100, 100, numbers[i] < 64 ? &that : &zero);
            enum kva_status as_both = bind_to(&source, 200, 100, numbers[i] < 64 ? &both : &zero);
            enum kva_status as_other = bind_to(&source, 300, 100, &other);
            refuses = NULL;
            only_node = -1;
            assert_int_equal(as_zero, KVA_OK);
            assert_int_equal(as_that, KVA_OK);
            assert_int_equal(as_both, KVA_OK);
            assert_int_equal(as_other, KVA_ENOENT);
            open_and_touch(&source, 50, 300);
            end(&source);
        }
    }
}

/** A lost policy is restored where pages are opened or closed. Open pages keep what their owner has made of
 *  them, even a hole. */
static void test_lost_policies_leave_owners_alone(void **state)
{
    const struct kva_vm_nodes own = {KVA_VM_NODES_INTERLEAVED, 1};
    enum kva_mechanism mechanism;

    (void)state;
    if (policy_of(&page) < 0) {
        print_message("left out, because the kernel does not report policies: policies of owners\n");
        return;
    }
    for_each_mechanism (mechanism, k) {
        struct source source = source_of(mechanism, 16, 1);
        uint64_t calls = 0;
        assert_int_equal(bind_some(&source, 0, 2048, KVA_VM_NODES_BOUND), KVA_OK);
        uint64_t counted = stats_of(&source).mappings;
        open_and_touch(&source, 5, 3);
        open_and_touch(&source, 100, 3);
        open_and_touch(&source, 200, 3);
        assert_int_equal(__real_kva_port_set_nodes(memory(&source, 5), 3 * page, &own, &calls), 0);
        refuses = refuse_mbind;
        dismiss_some(&source, 100, 3);
        dismiss_some(&source, 200, 3);
        refuses = NULL;
        open_and_touch(&source, 101, 1);
        assert_int_equal(policy_of(memory(&source, 101)), 2);
        assert_int_equal(policy_of(memory(&source, 5)), 3);
        source.pages.retry_unmaps(source.pages.context, source.reservation.handle);
        assert_int_equal(policy_of(memory(&source, 200)), 2);
        assert_int_equal(policy_of(memory(&source, 7)), 3);
        refuses = refuse_mbind;
        dismiss_some(&source, 101, 1);
        refuses = NULL;
        munmap(memory(&source, 6), page); /* no later mapping of this test can be placed there */
        enum kva_status status = open_some(&source, 300, 3);
        assert_int_equal(status, KVA_OK);
        assert_int_equal(policy_of(memory(&source, 300)), 2);
        close_some(&source, 0, 2048);
        source.pages.retry_unmaps(source.pages.context, source.reservation.handle);
        assert_int_equal(stats_of(&source).mappings, counted);
        assert_true(!test_is_on_its_own(NULL) || mappings_in(&source) <= counted);
        end(&source);
    }
}

/** Neighbours of the same nodes count as one, and a common end counts once. Binding and undoing accumulates
 *  no mappings. */
static void test_adjacent_binds(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    if (policy_of(&page) < 0) {
        print_message("left out, because the kernel does not report policies: adjacent binds\n");
        return;
    }
    for_each_mechanism (mechanism, k) {
        struct source source = source_of(mechanism, 16, 1);
        uint64_t before = stats_of(&source).mappings;
        for (uint64_t i = 0; i < 20; i++) {
            assert_int_equal(bind_some(&source, 100 * (7 * i % 20), 100, KVA_VM_NODES_BOUND), KVA_OK);
            assert_true(mappings_in(&source) <= stats_of(&source).mappings);
        }
        assert_int_equal(stats_of(&source).mappings, before + 2);
        assert_int_equal(bind_some(&source, 500, 100, KVA_VM_NODES_ANY), KVA_OK);
        assert_int_equal(stats_of(&source).mappings, before + 4);
        assert_int_equal(bind_some(&source, 550, 100, KVA_VM_NODES_INTERLEAVED), KVA_OK);
        assert_int_equal(stats_of(&source).mappings, before + 5);
        for (unsigned i = 0; i < 100; i++) {
            assert_int_equal(bind_some(&source, 0, 2000, KVA_VM_NODES_PREFERRED), KVA_OK);
            assert_int_equal(bind_some(&source, 100, 100, KVA_VM_NODES_INTERLEAVED), KVA_OK);
            assert_int_equal(stats_of(&source).mappings, before + 4);
        }
        assert_int_equal(bind_some(&source, 0, 2000, KVA_VM_NODES_ANY), KVA_OK);
        assert_int_equal(stats_of(&source).mappings, before);
        end(&source);
    }
}

/** Where the end of a binding vanishes between open pages that were touched, the kernel keeps two
 *  mappings. */
static void test_binds_among_open_pages(void **state)
{
    static const enum kva_vm_nodes_policy last[] = {KVA_VM_NODES_BOUND, KVA_VM_NODES_ANY};
    enum kva_mechanism mechanism;

    (void)state;
    if (!test_is_on_its_own("binding among open pages") || policy_of(&page) < 0)
        return;
    for_each_mechanism (mechanism, k) {
        for (unsigned i = 0; i < 2; i++) {
            struct source source = source_of(mechanism, 16, 1);
            assert_int_equal(bind_some(&source, 0, 100, KVA_VM_NODES_BOUND), KVA_OK);
            assert_int_equal(bind_some(&source, 100, 100, KVA_VM_NODES_INTERLEAVED), KVA_OK);
            for (uint64_t at = 50; at < 300; at += 50) {
                open_and_touch(&source, at - 1, 1);
                open_and_touch(&source, at, 1);
                close_some(&source, at - 1, 1);
                close_some(&source, at, 1);
            }
            assert_true(mappings_in(&source) <= stats_of(&source).mappings);
            assert_int_equal(bind_some(&source, 100, 100, KVA_VM_NODES_BOUND), KVA_OK);
            assert_true(mappings_in(&source) <= stats_of(&source).mappings);
            assert_int_equal(bind_some(&source, 0, 250, last[i]), KVA_OK);
            assert_true(mappings_in(&source) <= stats_of(&source).mappings);
            assert_int_equal(bind_some(&source, 0, 300, KVA_VM_NODES_ANY), KVA_OK);
            assert_true(mappings_in(&source) <= stats_of(&source).mappings);
            end(&source);
        }
    }
}

/* ------------------------------------------------------------------------------------------------- counts */

static void expect_counted(const struct source *source, const char *what)
{
    uint64_t counted = stats_of(source).mappings;
    uint64_t there = mappings_in(source);

    check_that(there <= counted, "%s: %" PRIu64 " mappings, but only %" PRIu64 " counted", what, there,
               counted);
}

struct frames {
    struct source source;
    void *frame_set;
    uint64_t first; /* number of the first page for frames */
};

static struct frames frames_with(enum kva_mechanism mechanism, bool strict)
{
    struct frames frames = {.source = source_with(mechanism, 16, 8, strict)};
    struct source *source = &frames.source;

    assert_int_equal(source->pages.create_frames(source->pages.context, source->reservation.handle, 64, false,
                                                 &frames.frame_set),
                     KVA_OK);
    frames.first = (source->reservation.bytes - source->reservation.frames) / page;
    return frames;
}

static struct frames frames_of(enum kva_mechanism mechanism)
{
    return frames_with(mechanism, false);
}

static void map_some(const struct frames *frames, uint64_t number, uint64_t frame, uint64_t count)
{
    const struct source *source = &frames->source;

    assert_int_equal(source->pages.map(source->pages.context, source->reservation.handle,
                                       address(source, frames->first + number), frames->frame_set, frame,
                                       count),
                     KVA_OK);
}

static void unmap_some(const struct frames *frames, uint64_t number, uint64_t count)
{
    const struct source *source = &frames->source;

    source->pages.unmap(source->pages.context, source->reservation.handle,
                        address(source, frames->first + number), count * page);
}

/** Failed unmaps, and maps over their pages, neither accumulate mappings nor subtract too many. */
static void test_failed_unmaps_do_not_add_up(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        struct frames frames = frames_of(mechanism);
        const struct source *source = &frames.source;
        uint64_t before = stats_of(source).mappings;
        refuses = refuse_closing;
        for (unsigned i = 0; i < 5; i++) {
            map_some(&frames, 3, i, 4);
            unmap_some(&frames, 3, 4);
        }
        assert_int_equal(stats_of(source).failed_unmaps, 5);
        assert_int_equal(stats_of(source).failed_unmap_pages, 4);
        assert_int_equal(stats_of(source).mappings, before + 2);
        map_some(&frames, 3, 40, 1); /* three pages of the old map remain */
        assert_in_range(stats_of(source).mappings, before + 3, before + 4);
        if (test_is_on_its_own(NULL))
            expect_counted(source, "first page mapped again");
        assert_int_equal(stats_of(source).failed_unmap_pages, 3);
        map_some(&frames, 6, 20, 1);
        refuses = NULL;
        unmap_some(&frames, 4, 1); /* closes page 5 as well */
        assert_int_equal(stats_of(source).failed_unmap_pages, 0);
        if (test_is_on_its_own(NULL))
            expect_counted(source, "pieces");
        unmap_some(&frames, 3, 4);
        assert_int_equal(stats_of(source).mappings, before);
        source->pages.destroy_frames(source->pages.context, source->reservation.handle, frames.frame_set);
        end(source);
    }
}

/** Pages that can be closed by mprotect only fault, and the new mapping is counted. They are replaced later,
 *  and read as zero when opened, before or after that. */
static void test_closed_by_protection(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        struct frames frames = frames_of(mechanism);
        const struct source *source = &frames.source;
        open_and_touch(source, 100, 100);
        map_some(&frames, 0, 0, 10);
        refuses = refuse_replacing;
        close_some(source, 120, 30);
        close_some(source, 160, 4);
        unmap_some(&frames, 3, 2);
        for (uint64_t p = 120; p < 150; p++)
            assert_true(is_closed(memory(source, p)));
        assert_true(is_closed(memory(source, 163)));
        assert_true(is_closed(memory(source, frames.first + 3)));
        assert_true(is_closed(memory(source, frames.first + 4)));
        assert_int_equal(stats_of(source).failed_unmap_pages, 0);
        assert_int_equal(stats_of(source).failed_unmaps, 0);
        if (test_is_on_its_own(NULL))
            expect_counted(source, "closed by protection");
        assert_int_equal(open_some(source, 130, 10), KVA_OK);
        for (uint64_t p = 130; p < 140; p++)
            assert_int_equal(memory(source, p)[0], 0);
        refuses = NULL;
        source->pages.retry_unmaps(source->pages.context, source->reservation.handle);
        assert_int_equal(open_some(source, 120, 10), KVA_OK);
        assert_int_equal(memory(source, 120)[0] + memory(source, 129)[0], 0);
        assert_int_equal(memory(source, 119)[0] + memory(source, 150)[0], 2);
        if (test_is_on_its_own(NULL))
            expect_counted(source, "replaced later");
        close_some(source, 0, 2048);
        unmap_some(&frames, 0, 10);
        assert_int_equal(stats_of(source).mappings, 1);
        if (test_is_on_its_own(NULL))
            assert_int_equal(mappings_in(source), 1);
        source->pages.destroy_frames(source->pages.context, source->reservation.handle, frames.frame_set);
        end(source);
    }
}

/** Pages closed by mprotect join the shut mapping, which then counts as touched. The kernel does not merge
 *  pages that are opened in it with touched neighbours. */
static void test_denied_pages_merge_less(void **state)
{
    struct source source = source_of(KVA_MECHANISM_MAPPINGS, 16, 1);

    (void)state;
    open_and_touch(&source, 350, 50);
    open_and_touch(&source, 100, 50);
    refuses = refuse_replacing;
    close_some(&source, 100, 50);
    refuses = NULL;
    open_and_touch(&source, 300, 50);
    if (test_is_on_its_own(NULL))
        expect_counted(&source, "opened beside");
    close_some(&source, 300, 100);
    assert_int_equal(stats_of(&source).mappings, 1);
    if (test_is_on_its_own(NULL))
        assert_int_equal(mappings_in(&source), 1);
    end(&source);
}

static enum kva_status open_huge(const struct source *source, uint64_t number, uint64_t count)
{
    return source->pages.open(source->pages.context, source->reservation.handle, address(source, number),
                              count * page, true);
}

/** The same with huge pages: their attribute stays with a mapping that is not replaced. */
static void test_huge_pages_do_not_add_up(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        struct source source = source_of(mechanism, 64, 16);
        uint64_t huge = source.pages.huge / page;
        uint64_t before = stats_of(&source).mappings;
        if (huge == 0) {
            end(&source);
            continue;
        }
        for (unsigned i = 0; i < 5; i++) {
            refuses = i == 0 ? NULL : refuse_closing; /* else a retry would close it first */
            assert_int_equal(open_huge(&source, 2 * huge, 2 * huge), KVA_OK);
            refuses = refuse_closing;
            close_some(&source, 2 * huge, 2 * huge);
            refuses = NULL;
            assert_in_range(stats_of(&source).mappings, before + 1, before + 4);
        }
        assert_int_equal(open_huge(&source, 2 * huge, 2 * huge), KVA_OK);
        close_some(&source, 2 * huge, huge); /* the rest keeps the attribute */
        assert_int_equal(open_some(&source, 0, 2 * huge), KVA_OK);
        assert_int_equal(open_some(&source, 2 * huge, 3), KVA_OK);
        if (test_is_on_its_own(NULL))
            expect_counted(&source, "half of a huge opening");
        close_some(&source, 0, 4 * huge);
        assert_int_equal(stats_of(&source).mappings, before);
        end(&source);
    }
}

/** Random opens and closes of areas of all sizes; some pages are touched, some closes refused. The pages of
 *  area i begin at 200 * i. */
struct walk {
    struct source source;
    uint64_t length[512]; /* 0: closed */
    uint64_t refusals;    /* one close in so many is refused; 0: none */
    uint64_t missed;      /* the most mappings that were not counted */
};

static void compare(struct walk *walk)
{
    uint64_t counted = stats_of(&walk->source).mappings;
    uint64_t there = mappings_in(&walk->source);

    if (there > counted && there - counted > walk->missed)
        walk->missed = there - counted;
}

static void random_steps(struct walk *walk, struct test_rng *rng, unsigned steps)
{
    for (unsigned step = 0; step < steps; step++) {
        uint64_t i = test_below(rng, 512);
        uint64_t at = 200 * i;
        if (walk->length[i] == 0) {
            uint64_t count = 1 + test_below(rng, test_one_in(rng, 2) ? 5 : 199);
            if (open_some(&walk->source, at, count) != KVA_OK)
                continue;
            walk->length[i] = count;
            for (uint64_t p = 0; test_one_in(rng, 2) && p < count; p += 1 + test_below(rng, 4))
                memory(&walk->source, at + p)[0] = 1;
            continue;
        }
        if (walk->refusals > 0 && test_one_in(rng, walk->refusals))
            refuses = refuse_closing;
        close_some(&walk->source, at, walk->length[i] + test_below(rng, 2));
        refuses = NULL;
        walk->length[i] = 0;
        if (step % 64 == 0)
            compare(walk);
    }
    compare(walk);
}

/** Close all pages once more. */
static void close_all(const struct source *source)
{
    close_some(source, 0, (source->reservation.bytes - source->reservation.frames) / page);
}

static void test_all_mappings_are_counted(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    if (!test_is_on_its_own("counting mappings"))
        return;
    for_each_mechanism (mechanism, k) {
        for (unsigned round = 0; round < 4; round++) {
            struct walk *walk = calloc(1, sizeof(*walk));
            struct test_rng rng = test_rng_of(40 + round);
            assert_non_null(walk);
            walk->source = source_of(mechanism, 500, 1);
            walk->refusals = round < 2 ? 0 : 7;
            random_steps(walk, &rng, (unsigned)test_scaled(20000));
            check_that(walk->missed == 0, "%s, round %u: %" PRIu64 " mappings are not counted",
                       test_mechanism_name(mechanism), round, walk->missed);
            close_all(&walk->source);
            assert_int_equal(stats_of(&walk->source).mappings, 1);
            assert_int_equal(mappings_in(&walk->source), 1);
            end(&walk->source);
            free(walk);
        }
    }
}

/** A child of fork continues with a reservation whose grains were mostly opened and touched by the parent. */
static int random_steps_in_child(void *context)
{
    struct walk *walk = context;
    struct test_rng rng = test_rng_of(50);

    random_steps(walk, &rng, 20000);
    child_that(walk->missed == 0);
    close_all(&walk->source);
    child_that(stats_of(&walk->source).mappings == 1 && mappings_in(&walk->source) == 1);
    return 0;
}

static void test_child_counts_mappings(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    if (!test_is_on_its_own("counting mappings in a child"))
        return;
    for_each_mechanism (mechanism, k) {
        struct walk *walk = calloc(1, sizeof(*walk));
        struct test_rng rng = test_rng_of(51);
        assert_non_null(walk);
        walk->source = source_of(mechanism, 500, 1);
        /* Open one page in each grain. */
        for (uint64_t at = 0; at + 512 < 512 * 200; at += 512) {
            open_and_touch(&walk->source, at + 199 - at % 200, 1);
        }
        random_steps(walk, &rng, 3000);
        struct test_child child = test_in_child(random_steps_in_child, walk);
        test_expect_success(&child, test_mechanism_name(mechanism));
        expect_counted(&walk->source, "the parent");
        end(&walk->source);
        free(walk);
    }
}

/** Large areas may take a share of the mappings. Freed areas return their part of it. */
static int spend_the_share(void *context)
{
    struct source source = source_of(*(enum kva_mechanism *)context, 4096, 1);
    uint64_t share = stats_of(&source).mappings_limit / 8;
    uint64_t count = share / 2 + 500;

    for (uint64_t i = 0; i < count; i++) /* the last ones are opened as small areas */
        child_that(open_some(&source, 200 * i, 100) == KVA_OK);
    child_that(stats_of(&source).mappings + 2 > share);
    child_that(mappings_in(&source) <= stats_of(&source).mappings);
    for (uint64_t i = 0; i < count; i += 2)
        close_some(&source, 200 * i, 101);
    child_that(stats_of(&source).mappings < share * 5 / 8);
    for (uint64_t i = 0; i < count; i += 2)
        child_that(open_some(&source, 200 * i, 90) == KVA_OK);
    for (uint64_t i = 0; i < count; i++)
        close_some(&source, 200 * i, 101);
    child_that(stats_of(&source).mappings < 20);
    child_that(mappings_in(&source) <= stats_of(&source).mappings);
    end(&source);
    return 0;
}

static void test_share_is_returned(void **state)
{
    enum kva_mechanism mechanism = KVA_MECHANISM_GUARDS;
    uint64_t allowed = test_number_in("/proc/sys/vm/max_map_count", 0);

    (void)state;
    if (!test_mechanism(1, &mechanism) || !test_is_on_its_own("the share of large areas") || allowed > 200000)
        return;
    if (sizeof(void *) < 8) {
        print_message("left out, because the address space is too small: the share of large areas\n");
        return;
    }
    mechanism = KVA_MECHANISM_GUARDS;
    struct test_child child = test_in_child(spend_the_share, &mechanism);
    test_expect_success(&child, "the share");
}

/** One call closes a range, however many areas lie in it. */
static void test_one_call_closes_a_range(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        struct source source = source_of(mechanism, 64, 1);
        for (uint64_t i = 0; i < 20; i++)
            open_and_touch(&source, 20 + 200 * i, 100);
        uint64_t calls = stats_of(&source).calls.close;
        close_some(&source, 0, 4200);
        assert_int_equal(stats_of(&source).calls.close, calls + 1);
        assert_int_equal(stats_of(&source).mappings, 1);
        for (uint64_t i = 0; i < 20; i++)
            assert_true(is_closed(memory(&source, 20 + 200 * i)) &&
                        is_closed(memory(&source, 119 + 200 * i)));
        end(&source);
    }
}

/* ------------------------------------------------------------------------------------------------- limits */

/** A reservation that was made without room for mappings, or lost the room to other mappings, gets it when
 *  they end. */
static int make_room(void *context)
{
    struct test_crowd crowd = test_crowd_in(100);
    struct source source = source_of(*(enum kva_mechanism *)context, 64, 1);

    child_that(open_some(&source, 5, 1) == KVA_ELIMIT);
    munmap(crowd.first, crowd.bytes);
    child_that(open_some(&source, 5, 1) == KVA_OK);
    child_that(stats_of(&source).mappings_limit > 1000);
    crowd = test_crowd_in(100);
    enum kva_status status = KVA_OK;
    for (uint64_t i = 1; status == KVA_OK && i < 16; i++)
        status = open_some(&source, 5 + i * 600, 1);
    child_that(status == KVA_OK); /* so many mappings are kept for this case */
    munmap(crowd.first, crowd.bytes);
    child_that(open_some(&source, 16 * 600, 1) == KVA_OK);
    end(&source);
    return 0;
}

/** Two strict reservations that are made together do not both take the whole limit of the process. */
static int reserve_twice(void *context)
{
    enum kva_mechanism mechanism = *(enum kva_mechanism *)context;
    uint64_t allowed = test_number_in("/proc/sys/vm/max_map_count", 0);
    struct test_crowd crowd = test_crowd_in(allowed / 16 + 6000);
    struct source sources[2] = {source_with(mechanism, 256, 1, true), source_with(mechanism, 256, 1, true)};
    uint64_t opened = 0;

    for (uint64_t i = 0; i < 4000; i++) {
        for (unsigned s = 0; s < 2; s++) {
            enum kva_status status = open_some(&sources[s], 3 * i, 1);
            child_that(status == KVA_OK || status == KVA_ELIMIT);
            opened += status == KVA_OK;
        }
    }
    child_that(test_mappings() < allowed - allowed / 32);
    child_that(opened > 2800 && opened < 3200);
    end(&sources[0]);
    for (uint64_t i = 0; i < 1000; i++)
        child_that(open_some(&sources[1], 3 * (4000 + i), 1) == KVA_OK);
    end(&sources[1]);
    munmap(crowd.first, crowd.bytes);
    return 0;
}

/** Without free descriptors, the last known limit applies. */
static int keep_the_limit(void *context)
{
    enum kva_mechanism mechanism = *(enum kva_mechanism *)context;
    struct test_crowd crowd = test_crowd_in(100);
    struct source source = source_of(mechanism, 64, 1);

    child_that(open_some(&source, 5, 1) == KVA_ELIMIT);
    no_files = true;
    child_that(open_some(&source, 5, 1) == KVA_ELIMIT);
    no_files = false;
    munmap(crowd.first, crowd.bytes);
    child_that(open_some(&source, 5, 1) == KVA_OK);
    end(&source);
    return 0;
}

/** Refusals are cheap: all mappings are counted once, and again only after a change. */
static int count_looks(void *context)
{
    enum kva_mechanism mechanism = *(enum kva_mechanism *)context;
    struct test_crowd crowd = test_crowd_in(100);
    struct source source = source_of(mechanism, 64, 1);

    child_that(open_some(&source, 5, 1) == KVA_ELIMIT);
    looks = 0;
    for (unsigned i = 0; i < 20; i++)
        child_that(open_some(&source, 5, 1) == KVA_ELIMIT);
    child_that(looks <= 4); /* a slow machine may need several */
    munmap(crowd.first, crowd.bytes);
    child_that(open_some(&source, 5, 1) == KVA_OK);
    looks = 0;
    refuses = refuse_all; /* the system is out of memory */
    for (unsigned i = 0; i < 20; i++)
        child_that(open_some(&source, 1000, 600) == KVA_ENOMEM);
    refuses = NULL;
    child_that(looks <= 4);
    looks = 0;
    for (uint64_t i = 0; i < 2000; i++) {
        child_that(open_some(&source, 1000, 600) == KVA_OK);
        close_some(&source, 1000, 600);
    }
    child_that(looks == 0);
    end(&source);
    return 0;
}

static void test_limit_on_mappings(void **state)
{
    static test_child_work *const works[] = {make_room, reserve_twice, count_looks, keep_the_limit};
    static const char *const names[] = {"room again", "two reservations", "looks", "no descriptor"};
    enum kva_mechanism mechanism;

    (void)state;
    if (!test_can_reach_map_limit("the limit on mappings"))
        return;
    for_each_mechanism (mechanism, k) {
        for (unsigned i = 0; i < 4; i++) {
            /* Small areas take no mappings with KVA_MECHANISM_GUARDS. */
            enum kva_mechanism used = i == 1 ? KVA_MECHANISM_MAPPINGS : mechanism;
            struct test_child child = test_in_child(works[i], &used);
            test_expect_success(&child, names[i]);
        }
    }
}

/* ------------------------------------------------------------------------------- at the limit on mappings */

/** The program's own mappings, made after the reservation: `crowd` brings the process near the limit; single
 *  ones, which do not merge, bring it to an exact distance. */
struct press {
    struct test_crowd crowd;
    void *single[512];
    size_t count;
};

static bool add_single(struct press *press)
{
    void *more = mmap(NULL, page, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (more == MAP_FAILED || press->count >= 512)
        return false;
    press->single[press->count++] = more;
    return true;
}

static void drop_single(struct press *press)
{
    child_that(press->count > 0 && munmap(press->single[--press->count], page) == 0);
}

/** Fill the limit on mappings, then remove `fewer` mappings. Linux lets mmap exceed the limit by one: when it
 *  refuses, there is one mapping too many. */
static void press_to(struct press *press, unsigned fewer)
{
    rule *kept = refuses;

    refuses = NULL;
    if (press->crowd.first == NULL)
        press->crowd = test_crowd_in(200);
    refuses = kept;
    while (add_single(press))
        continue;
    child_that(press->count < 512);
    for (unsigned i = 0; i < fewer; i++)
        drop_single(press);
}

/** Unmap all of the program's own mappings. */
static void end_pressure(struct press *press)
{
    while (press->count > 0)
        drop_single(press);
    munmap(press->crowd.first, press->crowd.bytes);
    press->crowd.first = NULL;
}

/** The reservation that is at the limit. Its spare mapping is out of reach, as if the limit had been
 *  lowered. */
static const struct source *pressed;

static bool refuse_outside(enum call call, void *at, int what, int flags)
{
    uint64_t first = pressed->reservation.first;

    (void)what;
    (void)flags;
    return call == MPROTECT && ((uintptr_t)at < first || (uintptr_t)at >= first + pressed->reservation.bytes);
}

/** The distances from the limit: mappings fewer than mmap allows. */
static const struct {
    const char *name;
    unsigned fewer;
    rule *rule;
} pressures[] = {
    {"one below the limit", 2, NULL},
    {"at the limit", 1, NULL},
    {"above the limit", 0, NULL},
    {"far above the limit", 0, refuse_outside},
};

enum { PRESSURES = sizeof(pressures) / sizeof(pressures[0]) };

/** The pages of a test. */
enum { PRIVATE_PAGES = 2000, FRAME_PAGES = 256, FRAMES = 64 };

struct pressed {
    struct frames frames;
    struct press press;
    unsigned char value[PRIVATE_PAGES]; /* first byte of a page; 0: closed */
    uint32_t frame[FRAME_PAGES];        /* number of its frame, plus 1; 0: closed */
    bool marks_frames;                  /* the kernel supports markers in shared memory (Linux 6.15) */
    bool merges;                        /* see merges_touched_with_untouched */
    bool counts;                        /* the kernel never has more mappings than are counted */
    int ends[2];                        /* of a pipe */
};

/** Whether a touch faults: the kernel reads a byte. */
static bool would_fault(const struct pressed *test, void *at)
{
    char byte;

    if (write(test->ends[1], at, 1) < 0)
        return true;
    child_that(read(test->ends[0], &byte, 1) == 1);
    return false;
}

static struct source *source_in(struct pressed *test)
{
    return &test->frames.source;
}

static unsigned char *frames_memory(struct pressed *test, uint64_t number)
{
    return memory(source_in(test), test->frames.first + number);
}

/** Each closed page faults, or is counted as a failed unmap; each open page holds its contents. Write to
 *  closed private pages that do not fault, as a stale pointer would. */
static void check_pages(struct pressed *test)
{
    struct source *source = source_in(test);
    uint64_t unclosed = 0;

    for (uint64_t i = 0; i < PRIVATE_PAGES; i++) {
        bool faults = would_fault(test, memory(source, i));
        child_that(test->value[i] == 0 || !faults);
        if (test->value[i] != 0)
            child_that(memory(source, i)[0] == test->value[i]);
        else if (!faults)
            memory(source, i)[0] = 0xee;
        unclosed += test->value[i] == 0 && !faults;
    }
    for (uint64_t i = 0; i < FRAME_PAGES; i++) {
        bool faults = would_fault(test, frames_memory(test, i));
        child_that(test->frame[i] == 0 || (!faults && frames_memory(test, i)[0] == test->frame[i]));
        unclosed += test->frame[i] == 0 && !faults;
    }
    child_that(unclosed <= stats_of(source).failed_unmap_pages);
}

static enum kva_status open_and_stamp(struct pressed *test, uint64_t at, uint64_t count, bool huge)
{
    struct source *source = source_in(test);
    enum kva_status status = source->pages.open(source->pages.context, source->reservation.handle,
                                                address(source, at), count * page, huge);

    child_that(status == KVA_OK || status == KVA_ELIMIT);
    for (uint64_t i = at; status == KVA_OK && i < at + count; i++) {
        child_that(memory(source, i)[0] == 0 && memory(source, i)[page - 1] == 0);
        memory(source, i)[page - 1] = 1;
        memory(source, i)[0] = test->value[i] = (unsigned char)(1 + i % 200);
    }
    return status;
}

static void close_any(struct pressed *test, uint64_t at, uint64_t count)
{
    close_some(source_in(test), at, count);
    memset(test->value + at, 0, (size_t)count);
}

static enum kva_status map_any(struct pressed *test, uint64_t at, uint64_t frame, uint64_t count)
{
    struct source *source = source_in(test);
    enum kva_status status =
        source->pages.map(source->pages.context, source->reservation.handle,
                          address(source, test->frames.first + at), test->frames.frame_set, frame, count);

    child_that(status == KVA_OK || status == KVA_ELIMIT);
    for (uint64_t i = 0; status == KVA_OK && i < count; i++)
        test->frame[at + i] = (uint32_t)(frame + i + 1);
    return status;
}

static void unmap_any(struct pressed *test, uint64_t at, uint64_t count)
{
    unmap_some(&test->frames, at, count);
    memset(test->frame + at, 0, (size_t)count * sizeof(test->frame[0]));
}

static void retry_unmaps_of(struct pressed *test)
{
    struct source *source = source_in(test);

    source->pages.retry_unmaps(source->pages.context, source->reservation.handle);
}

static bool has_markers_for_frames(void)
{
    void *shared = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(shared, MAP_FAILED);
    bool has = madvise(shared, page, 102) == 0;
    munmap(shared, page);
    return has;
}

/** Whether the kernel merges touched and untouched pages of the same protection into one mapping. (Linux 6.18
 *  does; 6.1 does not.) */
static bool merges_touched_with_untouched(void)
{
    char *pages = mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    assert_ptr_not_equal(pages, MAP_FAILED);
    size_t before = test_mappings();
    assert_int_equal(mprotect(pages + page, page, PROT_READ | PROT_WRITE), 0);
    pages[page] = 1;
    assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
    bool merges = test_mappings() <= before;
    munmap(pages, 3 * page);
    return merges;
}

/** A strict reservation gives back all it can at the limit; others give back less, to leave mappings to the
 *  program. */
static void begin_pressed(struct pressed *test, enum kva_mechanism mechanism, bool strict)
{
    test->frames = frames_with(mechanism, strict);
    test->counts = true;
    test->merges = merges_touched_with_untouched();
    test->marks_frames = has_markers_for_frames() && mechanism == KVA_MECHANISM_GUARDS;
    assert_int_equal(pipe(test->ends), 0);
    map_some(&test->frames, 0, 0, FRAMES);
    for (uint64_t i = 0; i < FRAMES; i++)
        frames_memory(test, i)[0] = (unsigned char)(i + 1);
    unmap_some(&test->frames, 0, FRAMES);
    pressed = source_in(test);
}

/** When the program's own mappings have gone, failed unmaps are completed. After all is closed, the
 *  reservation is one mapping, as at first. */
static void end_pressed(struct pressed *test)
{
    struct source *source = source_in(test);

    refuses = NULL;
    if (test->press.crowd.first != NULL)
        end_pressure(&test->press);
    retry_unmaps_of(test);
    child_that(stats_of(source).failed_unmap_pages == 0);
    check_pages(test);
    child_that(!test->counts || mappings_in(source) <= stats_of(source).mappings);
    close_all(source);
    memset(test->value, 0, sizeof(test->value));
    unmap_any(test, 0, FRAME_PAGES);
    retry_unmaps_of(test);
    check_pages(test);
    child_that(stats_of(source).mappings == 1);
    child_that(!test->counts || mappings_in(source) == 1);
    source->pages.destroy_frames(source->pages.context, source->reservation.handle, test->frames.frame_set);
    end(source);
}

static uint64_t failed_unmap_pages(struct pressed *test)
{
    return stats_of(source_in(test)).failed_unmap_pages;
}

/** Whole mappings can be unmapped at every distance from the limit. This leaves room for the program, even
 *  after frames alone, whose mappings never merge; but not if the limit was lowered. Then, if the kernel
 *  merges less, touched pages are closed by mprotect and keep their mapping until there is room. */
static void expect_whole_mappings_unmapped(struct pressed *test)
{
    unmap_any(test, 10, 4);
    child_that(would_fault(test, frames_memory(test, 10)));
    child_that(refuses != NULL || add_single(&test->press));
    unmap_any(test, 22, 2); /* neighbours map other frames */
    child_that(would_fault(test, frames_memory(test, 23)));
    unmap_any(test, 20, 6);
    unmap_any(test, 30, 9); /* two maps and the pages between them */
    close_any(test, 600, 3);
    close_any(test, 1100, 100);
    child_that(would_fault(test, memory(source_in(test), 1100)));
    child_that(failed_unmap_pages(test) == 0);
    check_pages(test);
    child_that((refuses != NULL && !test->merges) || add_single(&test->press));
}

/** The middle of each area of a row is closed. Without markers it can be touched. Opened again, which needs
 *  no room, it reads as zero. A close retries two failed unmaps at most, so most are not retried before they
 *  are opened. */
static void expect_middles_mapped(struct pressed *test, bool marks)
{
    for (uint64_t at = 400; at < 560; at += 20)
        close_any(test, at + 5, 4);
    child_that(failed_unmap_pages(test) == (marks ? 0 : 32));
    for (uint64_t at = 400; at < 560; at += 20) {
        check_pages(test); /* also writes to them */
        child_that(open_and_stamp(test, at + 5, 4, false) == KVA_OK);
    }
    child_that(failed_unmap_pages(test) == 0);
    check_pages(test);
}

/** Without room, a part in the middle of a mapping can only be closed by markers. */
static void expect_parts(struct pressed *test, enum kva_mechanism mechanism, unsigned fewer)
{
    bool marks = mechanism == KVA_MECHANISM_GUARDS;
    bool has_room = fewer > 1;

    press_to(&test->press, fewer);
    if (!has_room)
        expect_middles_mapped(test, marks);
    close_any(test, 830, 30);
    check_pages(test);
    uint64_t before = failed_unmap_pages(test);
    child_that(before == (marks || has_room ? 0 : 30));
    press_to(&test->press, fewer);
    unmap_any(test, 43, 2);
    child_that(failed_unmap_pages(test) == before + (test->marks_frames || has_room ? 0 : 2));
    check_pages(test);
    press_to(&test->press, fewer);
    unmap_any(test, 62, 6); /* the end of one map, and all of the next */
    child_that(would_fault(test, frames_memory(test, 64)) && would_fault(test, frames_memory(test, 67)));
    check_pages(test);
}

/** A piece of the tables reads as zero, even if its old contents could not be dropped. */
static void take_and_give_piece(struct source *source)
{
    void *context = source->pages.context;
    void *reservation = source->reservation.handle;
    uint32_t number;

    enum kva_status status = source->pages.open_piece(context, reservation, &number);
    if (status != KVA_OK) {
        child_that(status == KVA_ELIMIT || status == KVA_ENOMEM);
        return;
    }
    unsigned char *piece = (unsigned char *)source->reservation.tables + (size_t)number * KVA_VM_PIECE;
    for (size_t i = 0; i < KVA_VM_PIECE; i++)
        child_that(piece[i] == 0);
    memset(piece, 1, KVA_VM_PIECE);
    source->pages.close_piece(context, reservation, number);
    source->pages.trim(context, reservation);
}

/** Calls that need mappings may return an error, and then leave nothing. The other calls succeed. */
static void expect_refusals(struct pressed *test)
{
    struct source *source = source_in(test);
    void *context = source->pages.context;
    void *frame_set;
    struct kva_reservation other = {
        .bytes = 16 * TEST_MIB, .least = TEST_MIB, .max = UINT64_MAX, .align = page, .frames = page};
    size_t mappings = test_mappings();

    (void)open_and_stamp(test, 1500, 1, false);
    (void)open_and_stamp(test, 1600, 200, false);
    (void)map_any(test, 100, 3, 4);
    close_any(test, 1500, 1);
    close_any(test, 1600, 200);
    unmap_any(test, 100, 4);
    if (source->pages.huge == 512 * page)
        (void)open_and_stamp(test, 1024, 512, true);
    close_any(test, 1024, 512);
    child_that(test_mappings() <= mappings + 2); /* the markers of a grain may take them */
    mappings = test_mappings();
    child_that(source->pages.create_frames(context, source->reservation.handle, 10, false, &frame_set) ==
               KVA_OK);
    source->pages.discard_frames(context, source->reservation.handle, frame_set, 0, 10);
    source->pages.destroy_frames(context, source->reservation.handle, frame_set);
    unsigned char *table = source->pages.alloc_zeroed(context, 64 * page);
    if (table != NULL) {
        memset(table, 1, 64 * page);
        source->pages.free_zeroed(context, table, 64 * page);
    }
    for (unsigned i = 0; i < 2; i++)
        take_and_give_piece(source);
    enum kva_status status = source->pages.reserve(context, &other);
    if (status == KVA_OK)
        source->pages.release(context, other.handle);
    else
        child_that(status == KVA_ENOSPC || status == KVA_ENOMEM);
    child_that(test_mappings() == mappings);
    check_pages(test);
}

/** When there is room, a few calls of any kind complete all failed unmaps. */
static void expect_retries_complete(struct pressed *test)
{
    for (unsigned i = 0; failed_unmap_pages(test) > 0 && i < 8; i++)
        close_some(source_in(test), 1900, 1);
    child_that(failed_unmap_pages(test) == 0);
    check_pages(test);
}

static void play_pressure(enum kva_mechanism mechanism, unsigned pressure)
{
    struct pressed *test = calloc(1, sizeof(*test));

    child_that(test != NULL);
    begin_pressed(test, mechanism, true);
    child_that(open_and_stamp(test, 1100, 100, false) == KVA_OK &&
               open_and_stamp(test, 600, 3, false) == KVA_OK &&
               open_and_stamp(test, 800, 100, false) == KVA_OK);
    for (uint64_t at = 400; at < 560; at += 20)
        child_that(open_and_stamp(test, at, 15, false) == KVA_OK);
    child_that(map_any(test, 10, 0, 4) == KVA_OK && map_any(test, 20, 8, 2) == KVA_OK &&
               map_any(test, 22, 12, 2) == KVA_OK && map_any(test, 24, 16, 2) == KVA_OK &&
               map_any(test, 30, 20, 3) == KVA_OK && map_any(test, 35, 50, 4) == KVA_OK &&
               map_any(test, 40, 30, 8) == KVA_OK && map_any(test, 60, 40, 4) == KVA_OK &&
               map_any(test, 64, 1, 4) == KVA_OK);
    refuses = pressures[pressure].rule;
    press_to(&test->press, pressures[pressure].fewer);
    expect_whole_mappings_unmapped(test);
    expect_parts(test, mechanism, pressures[pressure].fewer);
    press_to(&test->press, pressures[pressure].fewer);
    expect_refusals(test);
    refuses = NULL;
    end_pressure(&test->press);
    expect_retries_complete(test);
    end_pressed(test);
    free(test);
}

static int play_all_pressures(void *context)
{
    for (unsigned pressure = 0; pressure < PRESSURES; pressure++) {
        fprintf(stderr, "%s: ", pressures[pressure].name);
        play_pressure(*(enum kva_mechanism *)context, pressure);
    }
    return 0;
}

/** One random call of the source. */
static void take_a_step(struct pressed *test, struct test_rng *rng)
{
    struct source *source = source_in(test);
    uint64_t at = test_below(rng, PRIVATE_PAGES);
    uint64_t most = test_one_in(rng, 3) ? 700 : test_one_in(rng, 2) ? 150 : 6;
    uint64_t count = 1 + test_below(rng, test_below(rng, most) + 1);
    uint64_t place = test_below(rng, FRAME_PAGES);
    uint64_t pages = 1 + test_below(rng, 8);
    bool over = test_one_in(rng, 3); /* over pages that map other frames; a refusal leaves them */

    count = count < PRIVATE_PAGES - at ? count : PRIVATE_PAGES - at;
    pages = pages < FRAME_PAGES - place ? pages : FRAME_PAGES - place;
    switch (test_below(rng, 8)) {
    case 0:
    case 1:
        for (uint64_t i = 0; i < count; i++) {
            if (test->value[at + i] != 0)
                count = i;
        }
        if (count > 0)
            (void)open_and_stamp(test, at, count, false);
        break;
    case 2:
    case 3:
        close_any(test, at, count);
        break;
    case 4:
    case 5:
        for (uint64_t i = 0; !over && i < pages; i++) {
            if (test->frame[place + i] != 0)
                pages = i;
        }
        if (pages > 0) /* sometimes the kernel can merge it with the map before */
            (void)map_any(test, place, (place + (test_one_in(rng, 2) ? 7 : 0)) % (FRAMES - 8), pages);
        break;
    case 6:
        unmap_any(test, place, pages);
        break;
    default:
        if (test_one_in(rng, 3))
            retry_unmaps_of(test);
        source->pages.discard_frames(source->pages.context, source->reservation.handle,
                                     test->frames.frame_set, FRAMES - 1, 1);
        break;
    }
}

/** A reservation that the kernel has merged with the program's mappings on both sides can be released above
 *  the limit: its other mappings are unmapped first. */
static int release_at_the_limit(void *context)
{
    enum kva_mechanism mechanism = *(enum kva_mechanism *)context;
    struct press *press = calloc(1, sizeof(*press));
    struct kva_reservation place = {
        .bytes = 16 * TEST_MIB, .least = 16 * TEST_MIB, .frames = TEST_MIB, .align = page};
    struct kva_pages pages = kva_pages_host(mechanism);
    const size_t room = 64 * TEST_MIB;

    child_that(press != NULL);
    unsigned char *around = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    child_that(around != MAP_FAILED);
    size_t before = (size_t)(-(uintptr_t)around & (512 * page - 1)) + 512 * page;
    child_that(munmap(around + before, (size_t)place.bytes) == 0);
    place.min = (uintptr_t)around + before;
    place.max = place.min + place.bytes - 1;
    child_that(pages.reserve(pages.context, &place) == KVA_OK);
    press_to(press, 0);
    pages.release(pages.context, place.handle);
    end_pressure(press);
    void *again = mmap(around + before, (size_t)place.bytes, PROT_READ,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    child_that(again == around + before);
    free(press);
    return 0;
}

/** Random calls at the limit. */
static void random_calls(struct pressed *test, uint64_t seed)
{
    struct test_rng rng = test_rng_of(seed);

    for (unsigned i = 0; i < 60; i++)
        take_a_step(test, &rng);
    check_pages(test);
    for (unsigned round = 0; round < 8; round++) {
        unsigned pressure = round % PRESSURES;
        refuses = pressures[pressure].rule;
        for (unsigned i = 0; i < 40; i++) {
            if (i % 8 == 0)
                press_to(&test->press, pressures[pressure].fewer);
            take_a_step(test, &rng);
        }
        check_pages(test);
        if (round % 3 == 2) { /* the program unmaps its mappings, and makes them again */
            end_pressure(&test->press);
            for (unsigned i = 0; i < 10; i++)
                take_a_step(test, &rng);
            check_pages(test);
        }
    }
    end_pressed(test);
}

static int random_calls_at_the_limit(void *context)
{
    for (unsigned strict = 0; strict < 2; strict++) {
        struct pressed *test = calloc(1, sizeof(*test));
        child_that(test != NULL);
        begin_pressed(test, *(enum kva_mechanism *)context, strict == 1);
        random_calls(test, 60);
        free(test);
    }
    return 0;
}

/** The reservation and its open pages are the parent's. */
static int random_calls_in_child(void *context)
{
    random_calls(context, 61);
    return 0;
}

/** All of the program's memory is locked while half of the pages are open: locked pages take no markers, and
 *  advice does not drop them. */
static int random_calls_when_locked(void *context)
{
    struct pressed *test = calloc(1, sizeof(*test));

    child_that(test != NULL);
    begin_pressed(test, *(enum kva_mechanism *)context, false);
    for (uint64_t at = 0; at + 40 < PRIVATE_PAGES; at += 80)
        child_that(open_and_stamp(test, at, 40, false) == KVA_OK);
    if (mlockall(MCL_CURRENT) != 0)
        return 77;
    test->counts = false; /* the program splits mappings */
    random_calls(test, 62);
    free(test);
    return 0;
}

/** All memory is locked after the reservation was made: the kernel refuses markers, but not mappings. */
static int open_locked(void *context)
{
    struct source source = source_of(*(enum kva_mechanism *)context, 64, 1);

    child_that(open_some(&source, 3, 2) == KVA_OK);
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
        return 77; /* not permitted here */
    for (uint64_t i = 0; i < 200; i++) {
        child_that(open_some(&source, 600 + 8 * i, 1 + i % 4) == KVA_OK);
        memory(&source, 600 + 8 * i)[0] = 1;
        child_that(is_closed(memory(&source, 600 + 8 * i + 1 + i % 4)));
    }
    child_that(mappings_in(&source) <= stats_of(&source).mappings);
    child_that(is_closed(memory(&source, 5)));
    close_some(&source, 3, 2);
    for (uint64_t i = 0; i < 200; i++)
        close_some(&source, 600 + 8 * i, 5);
    child_that(stats_of(&source).failed_unmaps == 0);
    for (uint64_t i = 0; i < 200; i++)
        child_that(is_closed(memory(&source, 600 + 8 * i)));
    child_that(is_closed(memory(&source, 3)));
    child_that(open_some(&source, 3, 4) == KVA_OK && memory(&source, 3)[0] == 0);
    munlockall();
    for (uint64_t i = 0; i < 200; i++)
        child_that(open_some(&source, 600 + 8 * i, 7) == KVA_OK && memory(&source, 600 + 8 * i)[0] == 0);
    end(&source);
    return 0;
}

/** A bind needs room only if it adds mappings: an old binding can be restored however few mappings are
 *  left. */
static int undo_binds(void *context)
{
    const uint64_t allowed = test_number_in("/proc/sys/vm/max_map_count", 0);
    enum { PARTS = 20 };

    for (uint64_t left = 0; left < 14; left++) {
        struct test_crowd crowd = test_crowd_in(allowed / 16 + left);
        struct source source = source_of(*(enum kva_mechanism *)context, 16, 1);
        bool is_bound = bind_some(&source, 0, 3000, KVA_VM_NODES_BOUND) == KVA_OK;
        int own = is_bound ? 2 : 0;
        uint64_t refused_at = PARTS;
        for (uint64_t i = 0; i < PARTS; i++) {
            enum kva_status status = bind_some(&source, 100 * i, 50, KVA_VM_NODES_INTERLEAVED);
            child_that(status == KVA_OK || status == KVA_ELIMIT);
            child_that(policy_of(memory(&source, 100 * i)) == (status == KVA_OK ? 3 : own));
            if (status != KVA_OK && refused_at == PARTS)
                refused_at = i;
        }
        child_that(refused_at < PARTS);
        for (uint64_t i = 0; i < PARTS; i++)
            child_that(bind_some(&source, 100 * i, 50, is_bound ? KVA_VM_NODES_BOUND : KVA_VM_NODES_ANY) ==
                       KVA_OK);
        for (uint64_t at = 0; at < 3000; at += 50)
            child_that(policy_of(memory(&source, at)) == own);
        child_that(bind_some(&source, 0, 3000, KVA_VM_NODES_ANY) == KVA_OK);
        child_that(stats_of(&source).mappings == 1);
        end(&source);
        munmap(crowd.first, crowd.bytes);
    }
    return 0;
}

/** An owner has mapped a file in the middle of areas that share a mapping, and no mapping is left to divide
 *  it. No stale write reaches the file. */
static int dismiss_a_file(void *context)
{
    const uint64_t allowed = test_number_in("/proc/sys/vm/max_map_count", 0);
    struct test_crowd crowd = test_crowd_in(allowed / 8);
    struct source source = source_of(*(enum kva_mechanism *)context, 16, 1);
    int file = memfd_create("owner", MFD_CLOEXEC);
    char byte = 1;

    child_that(file >= 0 && ftruncate(file, (off_t)page) == 0);
    child_that(open_some(&source, 0, 30) == KVA_OK);
    memset(memory(&source, 0), 1, 30 * page);
    child_that(__real_mmap(memory(&source, 10), page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file,
                           0) == memory(&source, 10));
    dismiss_some(&source, 10, 1);
    if (!is_closed(memory(&source, 10)))
        memory(&source, 10)[0] = 77;
    child_that(pread(file, &byte, 1, 0) == 1 && byte == 0);
    child_that(memory(&source, 9)[page - 1] == 1 && memory(&source, 11)[0] == 1);
    child_that(open_some(&source, 10, 1) == KVA_OK && memory(&source, 10)[0] == 0);
    memory(&source, 10)[0] = 78;
    child_that(pread(file, &byte, 1, 0) == 1 && byte == 0);
    close(file);
    end(&source);
    munmap(crowd.first, crowd.bytes);
    return 0;
}

/** Every call at each distance from the limit: closed pages fault or are counted as failed unmaps, nothing is
 *  lost, and when there is room, all failed unmaps are completed. */
static void test_calls_at_the_limit(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    if (!test_can_reach_map_limit("calls at the limit on mappings"))
        return;
    for_each_mechanism (mechanism, k) {
        struct test_child child = test_in_child(play_all_pressures, &mechanism);
        test_expect_success(&child, test_mechanism_name(mechanism));
        child = test_in_child(release_at_the_limit, &mechanism);
        test_expect_success(&child, test_mechanism_name(mechanism));
        child = test_in_child(random_calls_at_the_limit, &mechanism);
        test_expect_success(&child, test_mechanism_name(mechanism));
        struct pressed *test = calloc(1, sizeof(*test));
        assert_non_null(test);
        begin_pressed(test, mechanism, false);
        for (uint64_t at = 0; at + 40 < PRIVATE_PAGES; at += 80)
            assert_int_equal(open_and_stamp(test, at, 40, false), KVA_OK);
        child = test_in_child(random_calls_in_child, test);
        test_expect_success(&child, test_mechanism_name(mechanism));
        end_pressed(test);
        free(test);
    }
    test_locking_on_each_mechanism(random_calls_when_locked);
}

/** Run a child near the limit on mappings, for each mechanism. */
static void at_the_limit(const char *what, int (*work)(void *context))
{
    enum kva_mechanism mechanism;

    if (!test_can_reach_map_limit(what))
        return;
    for_each_mechanism (mechanism, k) {
        struct test_child child = test_in_child(work, &mechanism);
        test_expect_success(&child, test_mechanism_name(mechanism));
    }
}

static void test_binds_are_undone_at_the_limit(void **state)
{
    (void)state;
    if (policy_of(&page) < 0)
        print_message(
            "left out, because the kernel does not report policies: policies at the limit on mappings\n");
    else
        at_the_limit("policies at the limit on mappings", undo_binds);
}

static void test_files_of_owners_at_the_limit(void **state)
{
    (void)state;
    at_the_limit("dismissals at the limit on mappings", dismiss_a_file);
}

static void test_memory_locked_after_reserving(void **state)
{
    (void)state;
    test_locking_on_each_mechanism(open_locked);
}

/* ---------------------------------------------------------------------------------------------- reserving */

static unsigned large_maps; /* refused calls */

static bool refuse_two_large(enum call call, void *at, int what, int flags)
{
    (void)at;
    return call == MMAP && what == PROT_NONE && (flags & MAP_NORESERVE) != 0 && ++large_maps <= 2;
}

/** A reservation that is halved keeps a page for frames. */
static void test_halved_reservation_keeps_frames(void **state)
{
    struct source source = {
        .pages = kva_pages_host(KVA_MECHANISM_BEST),
        .reservation =
            {.bytes = 64 * TEST_MIB, .least = TEST_MIB, .align = page, .max = UINT64_MAX, .frames = page},
    };

    (void)state;
    large_maps = 0;
    refuses = refuse_two_large;
    enum kva_status status = source.pages.reserve(source.pages.context, &source.reservation);
    refuses = NULL;
    assert_int_equal(status, KVA_OK);
    assert_int_equal(source.reservation.bytes, 16 * TEST_MIB);
    assert_int_equal(source.reservation.frames, page);
    end(&source);
}

static void *taken_place;

/** Another thread takes the place that was found first. */
static bool take_the_place(enum call call, void *at, int what, int flags)
{
    if (call != MMAP || what != PROT_NONE || (flags & MAP_FIXED_NOREPLACE) == 0 || taken_place != NULL)
        return false;
    taken_place = at;
    (void)mmap(at, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    return false;
}

static void test_place_taken_after_the_search(void **state)
{
    struct source source = {
        .pages = kva_pages_host(KVA_MECHANISM_BEST),
        .reservation = {.bytes = 64 * TEST_MIB, .least = TEST_MIB, .align = page, .frames = page},
    };

    (void)state;
    const size_t room = 256 * TEST_MIB; /* any free addresses */
    void *gap = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(gap, MAP_FAILED);
    munmap(gap, room);
    source.reservation.min = (uintptr_t)gap;
    source.reservation.max = source.reservation.min + room - 1;
    refuses = take_the_place;
    enum kva_status status = source.pages.reserve(source.pages.context, &source.reservation);
    refuses = NULL;
    assert_int_equal(status, KVA_OK);
    assert_non_null(taken_place);
    assert_int_equal(source.reservation.bytes, 64 * TEST_MIB);
    end(&source);
    munmap(taken_place, page);
}

/* --------------------------------------------------- without the list of mappings, or without descriptors */

/** A window of free addresses, to reserve in. */
struct window {
    uint64_t first;
    uint64_t bytes;
};

static const uint64_t step = 2 * TEST_MIB; /* reservations begin at its multiples if pages are 4 KiB */

/** Find a free window. Its first address is a multiple of its size. */
static struct window window_of(uint64_t bytes)
{
    struct window window = {0, bytes};
    char *room =
        mmap(NULL, (size_t)(2 * bytes), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    assert_ptr_not_equal(room, MAP_FAILED);
    munmap(room, (size_t)(2 * bytes));
    window.first = ((uintptr_t)room + bytes - 1) & ~(bytes - 1);
    return window;
}

/** Map the addresses [from, from + bytes) of a window. */
static void occupy(const struct window *window, uint64_t from, uint64_t bytes)
{
    void *at = (void *)(uintptr_t)(window->first + from);
    void *mapping = mmap(at, (size_t)bytes, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

    assert_ptr_equal(mapping, at);
}

static void vacate(const struct window *window)
{
    munmap((void *)(uintptr_t)window->first, (size_t)window->bytes);
}

/** Reserve in [min, max] and release; `reservation` keeps the place. */
static enum kva_status place_in(uint64_t min, uint64_t max, uint64_t bytes, uint64_t least,
                                struct kva_reservation *reservation)
{
    struct kva_pages pages = kva_pages_host(KVA_MECHANISM_BEST);

    *reservation = (struct kva_reservation){
        .bytes = bytes, .least = least, .min = min, .max = max, .align = page, .frames = page};
    tries = 0;
    enum kva_status status = pages.reserve(pages.context, reservation);
    if (status == KVA_OK)
        pages.release(pages.context, reservation->handle);
    return status;
}

static enum kva_status place_without_files(uint64_t min, uint64_t max, uint64_t bytes, uint64_t least,
                                           struct kva_reservation *reservation)
{
    no_files = true;
    enum kva_status status = place_in(min, max, bytes, least, reservation);
    no_files = false;
    return status;
}

/** A window as large as the request has one place. */
static void test_fixed_place_without_the_list(void **state)
{
    struct window window = window_of(64 * TEST_MIB);
    uint64_t last = window.first + window.bytes - 1;
    struct kva_reservation reservation;

    (void)state;
    assert_int_equal(place_without_files(window.first, last, window.bytes, window.bytes, &reservation),
                     KVA_OK);
    /* The closed page in front is at window.first. */
    assert_int_equal(reservation.first, window.first + page);
    assert_int_equal(tries, 1);
    occupy(&window, 33 * TEST_MIB, page);
    assert_int_equal(place_without_files(window.first, last, window.bytes, window.bytes, &reservation),
                     KVA_ENOSPC);
    assert_int_equal(tries, 1);
    assert_int_equal(place_without_files(window.first, last, window.bytes, 32 * TEST_MIB, &reservation),
                     KVA_OK);
    /* Half of it, after the closed page. */
    assert_int_equal(reservation.first, window.first + page);
    assert_int_equal(reservation.bytes, 32 * TEST_MIB - page);
    assert_int_equal(place_without_files(window.first, last - 1, window.bytes, window.bytes, &reservation),
                     KVA_ENOSPC);
    assert_int_equal(tries, 0);
    vacate(&window);
}

/** In a window of few places the result is the same as with the list: the lowest gap, or KVA_ENOSPC. */
static void test_the_lowest_gap_without_the_list(void **state)
{
    struct test_rng rng = test_rng_of(11);
    struct window window = window_of(128 * TEST_MIB);
    uint64_t last = window.first + window.bytes - 1;
    uint64_t found = 0;

    (void)state;
    for (uint64_t i = 0; i < test_scaled(200); i++) {
        struct kva_reservation with;
        struct kva_reservation without;
        uint64_t bytes = (1 + test_below(&rng, 16)) * step;
        for (uint64_t at = 0; at < window.bytes; at += step) {
            if (test_one_in(&rng, 2 + i % 8))
                occupy(&window, at + test_below(&rng, step / page) * page, page);
        }
        uint64_t min = window.first + test_below(&rng, 20) * page;
        enum kva_status status = place_in(min, last, bytes, bytes, &with);
        assert_int_equal(place_without_files(min, last, bytes, bytes, &without), status);
        if (status == KVA_OK)
            assert_int_equal(without.first, with.first);
        found += status == KVA_OK;
        vacate(&window);
    }
    print_message("found %" PRIu64 " places\n", found);
    assert_in_range(found, test_scaled(200) / 4, test_scaled(200) - 1);
}

/** A window without an upper end, whose beginning is taken. */
static void test_an_open_window_without_the_list(void **state)
{
    struct window window = window_of(64 * TEST_MIB);
    struct kva_reservation reservation;

    (void)state;
    occupy(&window, 0, window.bytes);
    assert_int_equal(place_without_files(window.first, UINTPTR_MAX, 8 * TEST_MIB, 8 * TEST_MIB, &reservation),
                     KVA_OK);
    assert_true(reservation.first >= window.first + window.bytes);
    vacate(&window);
    assert_int_equal(place_without_files(0, UINTPTR_MAX / 2, 8 * TEST_MIB, 8 * TEST_MIB, &reservation),
                     KVA_OK);
    assert_true(reservation.first <= UINTPTR_MAX / 2);
}

static uint64_t taken_below;  /* places below it are reported as taken */
static uint64_t last_tried;   /* the last of these places */
static uint64_t longest_jump; /* between consecutive places */

static bool refuse_places(enum call call, void *at, int what, int flags)
{
    uint64_t place = (uintptr_t)at;

    (void)what;
    if (call != MMAP || (flags & MAP_FIXED_NOREPLACE) == 0 || place >= taken_below)
        return false;
    /* A new pass begins at the lowest place: that is no jump. */
    if (place > last_tried && place - last_tried > longest_jump)
        longest_jump = place - last_tried;
    last_tried = place;
    return true;
}

/** A window with more places than are tried: the tries are spread over the whole window, and then KVA_ENOSPC
 *  is returned. */
static void test_a_large_window_without_the_list(void **state)
{
    const uint64_t bytes = 64 * TEST_MIB;
    const uint64_t room = 64 * 1024 * TEST_MIB;
    struct kva_reservation reservation;

    (void)state;
    if (sizeof(void *) < 8) {
        print_message("left out, because the address space is too small: large windows\n");
        return;
    }
    if (test_under_valgrind()) {
        print_message("left out, because Valgrind takes addresses in large windows\n");
        return;
    }
    struct window window = window_of(bytes); /* at the end of the large window */
    uint64_t last = window.first + window.bytes - 1;
    uint64_t first = last - (room - 1);
    refuses = refuse_places;
    refusal = EEXIST;
    taken_below = window.first;
    enum kva_status at_the_end = place_without_files(first, last, bytes, bytes, &reservation);
    longest_jump = 0;
    last_tried = first;
    taken_below = UINT64_MAX;
    enum kva_status nowhere = place_without_files(first, last, bytes, bytes, &(struct kva_reservation){0});
    refuses = NULL;
    refusal = ENOMEM;
    assert_int_equal(at_the_end, KVA_OK);
    assert_int_equal(reservation.first, window.first + page);
    assert_int_equal(nowhere, KVA_ENOSPC);
    assert_int_equal(last_tried, window.first);
    assert_in_range(tries, 8000, 8200); /* first with room for a closed page in front, then without */
    assert_in_range(longest_jump, room / 4096, room / 4096 + step);
}

static unsigned races; /* places that are taken between the look and the call */

static bool refuse_raced_places(enum call call, void *at, int what, int flags)
{
    (void)at;
    (void)what;
    if (call != MMAP || (flags & MAP_FIXED_NOREPLACE) == 0 || races == 0)
        return false;
    races--;
    return true;
}

/** The beginning of the process' first mapping. */
static uint64_t first_mapping(void)
{
    FILE *list = fopen("/proc/self/maps", "r");
    struct test_mapping mapping;

    assert_non_null(list);
    assert_true(test_next_mapping(list, &mapping));
    (void)fclose(list);
    return mapping.first;
}

/** Another thread takes the place for a moment after the look. The source looks again, and finds the lowest
 *  place again; also in a gap before the first line of the list. */
static void test_place_taken_for_a_moment(void **state)
{
    const uint64_t bytes = 4 * TEST_MIB;
    struct window window = window_of(64 * TEST_MIB);
    /** The window is the 64 MiB from here on. The system reserves fewer low addresses than that. */
    const uint64_t below = 128 * TEST_MIB;
    struct kva_reservation reservation;

    (void)state;
    for (unsigned low = 0; low < 2; low++) {
        if (low && first_mapping() < below + window.bytes) {
            print_message("left out, because low addresses are mapped: a gap before the first mapping\n");
            continue;
        }
        uint64_t first = low ? below : window.first;
        refuses = refuse_raced_places;
        refusal = EEXIST;
        races = 2;
        looks = 0;
        enum kva_status status = place_in(first, first + window.bytes - 1, bytes, bytes, &reservation);
        refuses = NULL;
        refusal = ENOMEM;
        assert_int_equal(status, KVA_OK);
        assert_int_equal(reservation.first, first + step); /* the closed page lies before it */
        assert_int_equal(tries, 3);
        assert_true(looks >= 3);
    }
}

/** Without files no limit is known, and calls do not look for it each time. */
static void test_no_limit_without_files(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        no_files = true;
        struct source source = source_of(mechanism, 64, 1);
        opens = 0;
        for (uint64_t i = 0; i < 1000; i++)
            assert_int_equal(open_some(&source, 3 * i, 1), KVA_OK);
        no_files = false;
        assert_int_equal(stats_of(&source).mappings_limit, 0);
        assert_in_range(opens, 0, 200);
        end(&source);
    }
}

/* ------------------------------------------------------------------------------------------------- frames */

/** Discarded frames read as zero, even if no hole can be punched. */
static void test_discard_without_holes(void **state)
{
    struct frames frames = frames_of(KVA_MECHANISM_BEST);
    const struct source *source = &frames.source;

    (void)state;
    map_some(&frames, 0, 0, 64);
    memset(memory(source, frames.first), 7, 64 * page);
    refuses = refuse_punching;
    source->pages.discard_frames(source->pages.context, source->reservation.handle, frames.frame_set, 3, 40);
    refuses = NULL;
    for (size_t i = 0; i < 64 * page; i += page / 2)
        assert_int_equal(memory(source, frames.first)[i], i / page < 3 || i / page >= 43 ? 7 : 0);
    unmap_some(&frames, 0, 64);
    source->pages.destroy_frames(source->pages.context, source->reservation.handle, frames.frame_set);
    end(source);
}

static int set_up(void **state)
{
    (void)state;
    page = test_page();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_of_failed_unmaps_are_zero),
        cmocka_unit_test(test_failed_unmaps_among_others),
        cmocka_unit_test(test_foreign_pages_are_replaced_before_use),
        cmocka_unit_test(test_dismissals_leave_no_mappings),
        cmocka_unit_test(test_lost_policies_come_back),
        cmocka_unit_test(test_lost_policies_leave_owners_alone),
        cmocka_unit_test(test_overlapping_binds),
        cmocka_unit_test(test_adjacent_binds),
        cmocka_unit_test(test_binds_among_open_pages),
        cmocka_unit_test(test_one_node_of_any_number),
        cmocka_unit_test(test_refused_closes_split_nothing),
        cmocka_unit_test(test_failed_unmaps_do_not_add_up),
        cmocka_unit_test(test_closed_by_protection),
        cmocka_unit_test(test_denied_pages_merge_less),
        cmocka_unit_test(test_huge_pages_do_not_add_up),
        cmocka_unit_test(test_all_mappings_are_counted),
        cmocka_unit_test(test_child_counts_mappings),
        cmocka_unit_test(test_share_is_returned),
        cmocka_unit_test(test_one_call_closes_a_range),
        cmocka_unit_test(test_limit_on_mappings),
        cmocka_unit_test(test_calls_at_the_limit),
        cmocka_unit_test(test_binds_are_undone_at_the_limit),
        cmocka_unit_test(test_files_of_owners_at_the_limit),
        cmocka_unit_test(test_memory_locked_after_reserving),
        cmocka_unit_test(test_halved_reservation_keeps_frames),
        cmocka_unit_test(test_place_taken_after_the_search),
        cmocka_unit_test(test_fixed_place_without_the_list),
        cmocka_unit_test(test_the_lowest_gap_without_the_list),
        cmocka_unit_test(test_an_open_window_without_the_list),
        cmocka_unit_test(test_a_large_window_without_the_list),
        cmocka_unit_test(test_place_taken_for_a_moment),
        cmocka_unit_test(test_no_limit_without_files),
        cmocka_unit_test(test_discard_without_holes),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
