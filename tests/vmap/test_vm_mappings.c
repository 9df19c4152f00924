/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Changes that owners make to the pages of their areas and do not undo: protection, other files mapped over
 * them, holes, advice, locks. The owner of a live area may make them. Once the area is freed, kva_vm_check
 * reports them (V10), until a purge has replaced the pages or the change is undone. Pages that the check does
 * not report are as good as new for the next owner.
 *
 * The library's own changes to its pages must pass the check at any time.
 */
#define _GNU_SOURCE
#include "../common/harness.h"
#include "../common/vmap.h"

#include <kva/vmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#define MADV_KEEPONFORK 19
#endif

static size_t page; /* bytes */
static int file;    /* at least as long as the areas here */
enum { MOST_PAGES = 300 };

/* ---------------------------------------------------------------------------------------------- tampering */

/** A change by an owner; false where the system does not allow it. */
typedef bool tamper(unsigned char *memory, size_t bytes);

static bool map_over(unsigned char *memory, size_t bytes, int flags, int descriptor)
{
    return mmap(memory, bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED, descriptor, 0) == memory;
}

static bool make_readable(unsigned char *memory, size_t bytes)
{
    return mprotect(memory, bytes, PROT_READ) == 0;
}

static bool make_executable(unsigned char *memory, size_t bytes)
{
    return mprotect(memory, bytes, PROT_READ | PROT_WRITE | PROT_EXEC) == 0;
}

static bool make_code(unsigned char *memory, size_t bytes)
{
    return mprotect(memory, bytes, PROT_READ | PROT_EXEC) == 0;
}

static bool make_inaccessible(unsigned char *memory, size_t bytes)
{
    return mprotect(memory, bytes, PROT_NONE) == 0;
}

static bool make_usual(unsigned char *memory, size_t bytes)
{
    return mprotect(memory, bytes, PROT_READ | PROT_WRITE) == 0;
}

/** Only the last page. */
static bool make_last_readable(unsigned char *memory, size_t bytes)
{
    return mprotect(memory + bytes - page, page, PROT_READ) == 0;
}

static bool map_a_file(unsigned char *memory, size_t bytes)
{
    return map_over(memory, bytes, MAP_SHARED, file);
}

static bool map_a_private_file(unsigned char *memory, size_t bytes)
{
    return map_over(memory, bytes, MAP_PRIVATE, file);
}

static bool map_shared_memory(unsigned char *memory, size_t bytes)
{
    return map_over(memory, bytes, MAP_SHARED | MAP_ANONYMOUS, -1);
}

static bool map_fresh(unsigned char *memory, size_t bytes)
{
    return map_over(memory, bytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
}

/** One page only, so that nothing else is mapped there. */
static bool make_a_hole(unsigned char *memory, size_t bytes)
{
    (void)bytes;
    return munmap(memory, page) == 0;
}

static bool lock_pages(unsigned char *memory, size_t bytes)
{
    return mlock(memory, bytes) == 0;
}

static bool unlock_pages(unsigned char *memory, size_t bytes)
{
    return munlock(memory, bytes) == 0;
}

#define ADVISE(name, advice)                                                                                 \
    static bool name(unsigned char *memory, size_t bytes)                                                    \
    {                                                                                                        \
        return madvise(memory, bytes, advice) == 0;                                                          \
    }

ADVISE(keep_from_children, MADV_DONTFORK)
ADVISE(leave_to_children, MADV_DOFORK)
ADVISE(keep_from_cores, MADV_DONTDUMP)
ADVISE(leave_to_cores, MADV_DODUMP)
ADVISE(wipe_for_children, MADV_WIPEONFORK)
ADVISE(keep_for_children, MADV_KEEPONFORK)
ADVISE(merge, MADV_MERGEABLE)
ADVISE(keep_apart, MADV_UNMERGEABLE)
ADVISE(want_huge_pages, MADV_HUGEPAGE)
ADVISE(want_small_pages, MADV_NOHUGEPAGE)
ADVISE(read_at_random, MADV_RANDOM)
ADVISE(read_in_order, MADV_SEQUENTIAL)
ADVISE(read_as_usual, MADV_NORMAL)

static const char protection[] = "V10: unowned pages of the reservation have another protection";
static const char a_file[] = "V10: unowned pages of the reservation map a file that is not kva's";
static const char a_hole[] = "V10: unowned pages of the reservation are not mapped";
static const char advice[] = "V10: unowned pages of the reservation are locked or advised";

static const struct tampering {
    const char *name;
    tamper *change;
    tamper *undo;
    const char *words; /* the beginning of the check's message */
    size_t where;      /* the page that it reports: 0 the first, 1 the last */
} tamperings[] = {
    {"read only", make_readable, make_usual, protection, 0},
    {"executable", make_executable, make_usual, protection, 0},
    {"code", make_code, make_usual, protection, 0},
    {"inaccessible", make_inaccessible, make_usual, protection, 0},
    {"last page read only", make_last_readable, make_usual, protection, 1},
    {"a file", map_a_file, map_fresh, a_file, 0},
    {"a private file", map_a_private_file, map_fresh, a_file, 0},
    {"shared memory", map_shared_memory, map_fresh, a_file, 0},
    {"a hole", make_a_hole, map_fresh, a_hole, 0},
    {"DONTFORK", keep_from_children, leave_to_children, advice, 0},
    {"DONTDUMP", keep_from_cores, leave_to_cores, advice, 0},
    {"WIPEONFORK", wipe_for_children, keep_for_children, advice, 0},
    {"MERGEABLE", merge, keep_apart, advice, 0},
    {"HUGEPAGE", want_huge_pages, map_fresh, advice, 0},
    {"NOHUGEPAGE", want_small_pages, map_fresh, advice, 0},
    {"RANDOM", read_at_random, read_as_usual, advice, 0},
    {"SEQUENTIAL", read_in_order, read_as_usual, advice, 0},
    {"locked", lock_pages, unlock_pages, advice, 0},
};

enum { TAMPERINGS = sizeof(tamperings) / sizeof(tamperings[0]) };

/** The pages of the changed areas: some small, some large enough for mappings of their own. */
static const size_t lengths[] = {1, 16, MOST_PAGES};

/* ---------------------------------------------------------------------------------------------- the check */

static void expect_sound(const struct kva_vm *vm, const char *what)
{
    struct kva_fault fault = {.what = ""};

    check_that(kva_vm_check(vm, &fault) == KVA_OK, "%s: the check reports %s at %#" PRIx64, what, fault.what,
               fault.address);
}

/** The check reports this page, in a message that begins with `words`. */
static void expect_reported(const struct kva_vm *vm, const unsigned char *address, const char *words,
                            const char *what)
{
    struct kva_fault fault = {.what = ""};

    check_that(kva_vm_check(vm, &fault) == KVA_ECORRUPT, "%s: the check reports nothing", what);
    check_that(strncmp(fault.what, words, strlen(words)) == 0 && fault.address == (uintptr_t)address,
               "%s: the check reports %s at %#" PRIx64 "; %s at %p expected", what, fault.what, fault.address,
               words, (const void *)address);
    assert_string_equal(fault.where, "kva_vm_check");
    assert_int_equal(fault.status, KVA_ECORRUPT);
}

/** Whether the kernel's list of mappings is about this program, and complete. */
static bool kernel_reports(const char *what)
{
    return test_is_on_its_own(what) && access("/proc/self/smaps", R_OK) == 0;
}

static const struct {
    const char *name;
    uint64_t cache_bytes;
} waits[] = {{"cached", 0}, {"parked", KVA_VM_NONE}};

/** A live area's owner may change it; once it is freed, and idle, the check reports the change; after the
 *  change is undone, the check succeeds. */
static void tamper_and_undo(enum kva_mechanism mechanism, const struct tampering *tampering, size_t pages,
                            size_t wait)
{
    struct test_vm test;
    struct kva_vm_config config = test_vm_config(&test, mechanism);
    char what[128];

    config.cache_bytes = waits[wait].cache_bytes;
    test_vm_create(&test, &config);
    snprintf(what, sizeof(what), "%s, %s, %zu pages, %s", test_mechanism_name(mechanism), tampering->name,
             pages, waits[wait].name);
    void *before = kva_vmalloc(test.vm, page);
    unsigned char *memory = kva_vmalloc(test.vm, pages * page);
    void *above = kva_vmalloc(test.vm, page);
    assert_true(before && memory && above);
    memory[0] = 1;
    if (tampering->change(memory, pages * page)) {
        expect_sound(test.vm, what);
        assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
        expect_reported(test.vm, memory + tampering->where * (pages - 1) * page, tampering->words, what);
        assert_true(tampering->undo(memory, pages * page));
        expect_sound(test.vm, what);
        assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
        expect_sound(test.vm, what);
    } else {
        print_message("left out, because the system refuses it: %s\n", what);
        assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
    }
    assert_int_equal(kva_vfree(test.vm, before), KVA_OK);
    assert_int_equal(kva_vfree(test.vm, above), KVA_OK);
    test_vm_destroy(&test);
}

static void test_changes_that_owners_leave_are_reported(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    if (!kernel_reports("changes of owners to their pages"))
        return;
    for_each_mechanism (mechanism, k) {
        for (size_t i = 0; i < TAMPERINGS; i++) {
            for (size_t n = 0; n < sizeof(lengths) / sizeof(lengths[0]); n++) {
                tamper_and_undo(mechanism, &tamperings[i], lengths[n], 0);
                tamper_and_undo(mechanism, &tamperings[i], lengths[n], 1);
            }
        }
    }
}

/* ----------------------------------------------------------------------------------------- the next owner */

/** Whether the mapping at an address has the usual protection, no file, and none of these attributes; read
 *  in another way than the library reads it. */
static bool is_as_new(const unsigned char *address)
{
    static const char *const strange[] = {" lo", " dc", " dd", " wf", " mg", " hg", " nh", " rr", " sr"};
    FILE *smaps = fopen("/proc/self/smaps", "r");
    struct test_mapping mapping;
    bool as_new = false;

    assert_non_null(smaps);
    while (test_next_mapping(smaps, &mapping)) {
        if ((uintptr_t)address < mapping.first || (uintptr_t)address > mapping.last)
            continue;
        test_mapping_details(smaps, &mapping);
        as_new = strncmp(mapping.about, " rw-p ", 6) == 0 && strstr(mapping.about, " 00:00 0") != NULL;
        for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++)
            as_new = as_new && strstr(mapping.flags, strange[i]) == NULL;
    }
    fclose(smaps);
    return as_new;
}

/** After a purge the check reports remaining changes; pages that it does not report are as new. At check
 *  level 3 the purge itself reports them. */
static bool tamper_and_purge(enum kva_mechanism mechanism, const struct tampering *tampering, size_t pages,
                             bool hardened)
{
    struct test_vm test;
    struct kva_vm_config config = test_vm_config(&test, mechanism);
    struct kva_fault fault;

    config.hardened = hardened;
    config.quarantine_bytes = KVA_VM_NONE;
    test_vm_create(&test, &config);
    void *before = kva_vmalloc(test.vm, page);
    unsigned char *memory = kva_vmalloc(test.vm, pages * page);
    bool done = tampering->change(memory, pages * page);
    assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
    assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
    bool reported = kva_vm_check(test.vm, &fault) == KVA_ECORRUPT;
    assert_int_equal(test.hooks.corruptions, reported && KVA_CHECK_LEVEL >= 3);
    if (reported) {
        check_that(done && memcmp(fault.what, "V10: ", 5) == 0, "%s: %s", tampering->name, fault.what);
        assert_in_range(fault.address, (uintptr_t)memory, (uintptr_t)memory + (pages - 1) * page);
    } else if (!hardened) {
        struct kva_vm_request request = kva_vm_request_of(pages * page);
        void *next;
        request.min = (uintptr_t)memory;
        assert_int_equal(kva_vm_alloc(test.vm, &request, &next), KVA_OK);
        assert_ptr_equal(next, memory);
        check_that(is_as_new(memory) && is_as_new(memory + (pages - 1) * page),
                   "%s, %zu pages: changed, but the check reports nothing", tampering->name, pages);
        memset(memory, 1, pages * page);
        assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
    }
    assert_int_equal(kva_vfree(test.vm, before), KVA_OK);
    test.hooks.corruptions = 0;
    assert_int_equal(kva_vm_abandon(test.vm, NULL, NULL), KVA_OK);
    return reported;
}

static void test_unreported_pages_are_as_new(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    if (!kernel_reports("changes of owners to their pages, after a purge"))
        return;
    for_each_mechanism (mechanism, k) {
        unsigned reported = 0;
        for (size_t i = 0; i < TAMPERINGS; i++) {
            for (size_t n = 0; n < sizeof(lengths) / sizeof(lengths[0]); n++) {
                if (tamperings[i].words == a_hole)
                    continue; /* a neighbour may have been mapped there */
                reported += tamper_and_purge(mechanism, &tamperings[i], lengths[n], false);
                reported += tamper_and_purge(mechanism, &tamperings[i], lengths[n], true);
            }
        }
        /* Markers leave the mapping as it is, but separate mappings are replaced. */
        check_that((reported > 0) == (mechanism == KVA_MECHANISM_GUARDS),
                   "changes should be reported exactly with guard regions, %u were", reported);
    }
}

/** After a purge nothing remains of a marked area, whatever its owner has changed; before it the check
 *  does not report the changes. At check level 3 the purge checks as well. */
static void tamper_with_marked(enum kva_mechanism mechanism, const struct tampering *tampering, size_t pages,
                               bool hardened)
{
    struct test_vm test;
    struct kva_vm_config config = test_vm_config(&test, mechanism);
    struct kva_vm_request request = kva_vm_request_of(pages * page);
    void *area;
    void *next;

    config.hardened = hardened;
    config.quarantine_bytes = KVA_VM_NONE;
    test_vm_create(&test, &config);
    void *before = kva_vmalloc(test.vm, page);
    request.flags = KVA_VM_FOREIGN;
    assert_int_equal(kva_vm_alloc(test.vm, &request, &area), KVA_OK);
    void *above = kva_vmalloc(test.vm, page);
    unsigned char *memory = area;
    memset(memory, 1, pages * page);
    (void)tampering->change(memory, pages * page);
    assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
    expect_sound(test.vm, tampering->name);
    assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
    expect_sound(test.vm, tampering->name);
    assert_int_equal(test.hooks.corruptions, 0);
    assert_int_equal(test_vm_stats(test.vm).pages.failed_unmap_pages, 0);
    request.flags = 0;
    request.min = (uintptr_t)memory;
    request.max = (uintptr_t)memory + (pages * page - 1);
    assert_int_equal(kva_vm_alloc(test.vm, &request, &next), KVA_OK);
    assert_ptr_equal(next, memory);
    check_that(is_as_new(memory) && is_as_new(memory + (pages - 1) * page), "%s, %zu pages: not as new",
               tampering->name, pages);
    for (size_t at = 0; at < pages * page; at += page / 2)
        assert_int_equal(memory[at], 0);
    memset(memory, 1, pages * page);
    assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
    assert_int_equal(kva_vfree(test.vm, before), KVA_OK);
    assert_int_equal(kva_vfree(test.vm, above), KVA_OK);
    test_vm_destroy(&test);
}

static void test_marked_areas_are_replaced(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    if (!kernel_reports("changes of owners to pages of marked areas"))
        return;
    for_each_mechanism (mechanism, k) {
        for (size_t i = 0; i < TAMPERINGS; i++) {
            for (size_t n = 0; n < sizeof(lengths) / sizeof(lengths[0]); n++) {
                if (tamperings[i].words == a_hole)
                    continue; /* marked areas must not have holes */
                tamper_with_marked(mechanism, &tamperings[i], lengths[n], false);
                tamper_with_marked(mechanism, &tamperings[i], lengths[n], true);
            }
        }
    }
}

/** A marked area that was parked before a fork; the child maps memory where it finds room. */
struct leftover {
    struct kva_vm *vm;
    unsigned char *memory;
    size_t bytes;
    const struct tampering *tampering;
};

/** The child's own mapping must survive all calls of the child on the instance. Here it asks for the
 *  addresses of the parked area. */
static int map_and_purge(void *context)
{
    const struct leftover *left = context;
    struct kva_fault fault = {.what = ""};

    child_that(kva_vm_fork_child(left->vm) == KVA_OK);
    unsigned char *own =
        mmap(left->memory, left->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    child_that(own != MAP_FAILED);
    memset(own, 1, left->bytes);
    child_that(kva_vm_purge(left->vm) == KVA_OK);
    for (size_t at = 0; at < left->bytes; at += page)
        child_that(own[at] == 1);
    if (kva_vm_check(left->vm, &fault) != KVA_OK) {
        fprintf(stderr, "%s: %s at %#" PRIx64 "\n", left->tampering->name, fault.what, fault.address);
        return 1;
    }
    return 0;
}

/** As above, but the purge comes after a fork, in a program with or without threads. */
static void tamper_and_fork(enum kva_mechanism mechanism, const struct tampering *tampering, size_t pages,
                            bool one_thread)
{
    struct test_vm test;
    struct kva_vm_config config = test_vm_config(&test, mechanism);

    config.one_thread = one_thread;
    config.cache_bytes = KVA_VM_NONE;
    test_vm_create(&test, &config);
    void *parked = kva_vmalloc(test.vm, MOST_PAGES * page);
    unsigned char *memory = kva_vmalloc(test.vm, pages * page);
    void *above = kva_vmalloc(test.vm, page);
    struct leftover left = {test.vm, memory, pages * page, tampering};
    assert_true(parked && memory && above);
    memset(memory, 1, pages * page);
    assert_int_equal(kva_vm_mark_foreign(test.vm, memory), KVA_OK);
    (void)tampering->change(memory, pages * page);
    assert_int_equal(kva_vfree(test.vm, parked), KVA_OK);
    assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
    assert_int_equal(test_vm_stats(test.vm).parked_areas, 2);
    assert_int_equal(kva_vm_fork_prepare(test.vm), KVA_OK);
    struct test_child child = test_in_child(map_and_purge, &left);
    assert_int_equal(kva_vm_fork_parent(test.vm), KVA_OK);
    test_expect_success(&child, tampering->name);
    expect_sound(test.vm, tampering->name);
    assert_int_equal(kva_vfree(test.vm, above), KVA_OK);
    test_vm_destroy(&test);
}

static void test_marked_areas_and_forks(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    if (!kernel_reports("marked areas that are parked at a fork"))
        return;
    for_each_mechanism (mechanism, k) {
        for (size_t i = 0; i < TAMPERINGS; i++) {
            for (size_t n = 0; n < sizeof(lengths) / sizeof(lengths[0]); n++) {
                if (tamperings[i].words == a_hole)
                    continue; /* marked areas must not have holes */
                tamper_and_fork(mechanism, &tamperings[i], lengths[n], n % 2 == 0);
            }
        }
    }
}

/* ------------------------------------------------------------------------------------ pages outside areas */

/** Guards and holes never have an owner. */
static void test_guards_and_holes(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    if (!kernel_reports("changes of guards and holes"))
        return;
    for_each_mechanism (mechanism, k) {
        struct test_vm test;
        struct kva_vm_config config = test_vm_config(&test, mechanism);
        test_vm_create(&test, &config);
        unsigned char *memory = kva_vmalloc(test.vm, 100 * page);
        unsigned char *hole = memory + 5000 * page;
        assert_true(make_readable(memory + 100 * page, page));
        expect_reported(test.vm, memory + 100 * page, protection, "a guard");
        assert_true(make_inaccessible(memory + 100 * page, page));
        assert_true(map_over(hole, page, MAP_SHARED, file));
        expect_reported(test.vm, hole, protection, "a file in a hole");
        assert_true(make_inaccessible(hole, page));
        expect_reported(test.vm, hole, a_file, "an inaccessible file in a hole");
        assert_int_equal(munmap(hole, page), 0);
        expect_reported(test.vm, hole, a_hole, "a hole in a hole");
        assert_true(map_fresh(hole, page) && make_inaccessible(hole, page));
        assert_true(keep_from_children(hole, page));
        expect_reported(test.vm, hole, advice, "advice in a hole");
        assert_true(leave_to_children(hole, page));
        expect_sound(test.vm, "undone");
        assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
        test_vm_destroy(&test);
    }
}

/* ------------------------------------------------------------------------------------------------- frames */

struct maps {
    struct test_vm test;
    struct kva_vm_frames *frames;
    uint64_t numbers[MOST_PAGES];
};

static void set_up_maps(struct maps *maps, enum kva_mechanism mechanism)
{
    struct kva_vm_config config = test_vm_config(&maps->test, mechanism);

    config.cpus = 1;
    test_vm_create(&maps->test, &config);
    assert_int_equal(kva_vm_frames_create(maps->test.vm, &(struct kva_vm_frames_config){.count = MOST_PAGES},
                                          &maps->frames),
                     KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(maps->frames, MOST_PAGES, maps->numbers), KVA_OK);
}

/** Undo a change to a map of the first frames of the set. */
static void map_frames_again(const struct maps *maps, unsigned char *memory, size_t bytes)
{
    assert_true(map_over(memory, bytes, MAP_SHARED, (int)kva_vm_frames_descriptor(maps->frames)));
}

/** Change a map of kva_vmap or of kva_map_ram, between two others that stay live. */
static void tamper_with_map(struct maps *maps, const struct tampering *tampering, size_t pages, bool ram)
{
    void *(*map)(struct kva_vm *, struct kva_vm_frames *, const uint64_t *, size_t) =
        ram ? kva_map_ram : kva_vmap;
    enum kva_status (*unmap)(struct kva_vm *, void *) = ram ? kva_unmap_ram : kva_vunmap;
    struct kva_vm *vm = maps->test.vm;
    const char *words = tampering->change == map_fresh ? a_file : tampering->words;
    void *before = map(vm, maps->frames, maps->numbers, 3);
    unsigned char *memory = map(vm, maps->frames, maps->numbers, pages);
    void *above = map(vm, maps->frames, maps->numbers, 2);

    assert_true(before && memory && above);
    assert_true(tampering->change(memory, pages * page));
    expect_sound(vm, tampering->name);
    assert_int_equal(unmap(vm, memory), KVA_OK);
    expect_reported(vm, memory + tampering->where * (pages - 1) * page, words, tampering->name);
    map_frames_again(maps, memory, pages * page);
    expect_sound(vm, tampering->name);
    assert_int_equal(unmap(vm, before), KVA_OK);
    assert_int_equal(unmap(vm, above), KVA_OK);
    expect_sound(vm, tampering->name);
    assert_int_equal(kva_vm_purge(vm), KVA_OK);
    expect_sound(vm, tampering->name);
}

static void test_changed_maps(void **state)
{
    static const struct tampering fresh = {"private memory", map_fresh, NULL, NULL, 0};
    enum kva_mechanism mechanism;

    (void)state;
    if (!kernel_reports("changes of owners to their maps"))
        return;
    for_each_mechanism (mechanism, k) {
        struct maps maps;
        set_up_maps(&maps, mechanism);
        for (size_t i = 0; i < 2 * TAMPERINGS; i++) {
            const struct tampering *tampering = &tamperings[i / 2];
            bool private_only = tampering->change == wipe_for_children || tampering->change == merge ||
                                tampering->change == want_huge_pages || tampering->change == lock_pages;
            if (private_only)
                continue;
            tamper_with_map(&maps, tampering, 4, i % 2 != 0);
            tamper_with_map(&maps, tampering, MOST_PAGES, i % 2 != 0);
        }
        tamper_with_map(&maps, &fresh, 4, false);
        tamper_with_map(&maps, &fresh, 4, true);
        test_vm_destroy(&maps.test);
    }
}

/** A long map of which a purge has closed only the first part. */
static void test_a_purge_that_stops_halfway(void **state)
{
    enum kva_mechanism mechanism;
    const size_t count = 3000; /* of 4 KiB: one piece of 8 MiB, and more */
    uint64_t *numbers = malloc(count * sizeof(*numbers));

    (void)state;
    assert_non_null(numbers);
    for_each_mechanism (mechanism, k) {
        struct test_vm test;
        struct kva_vm_config config = test_vm_config(&test, mechanism);
        struct kva_vm_frames *frames;
        config.cache_bytes = KVA_VM_NONE;
        test_vm_create(&test, &config);
        assert_int_equal(
            kva_vm_frames_create(test.vm, &(struct kva_vm_frames_config){.count = count}, &frames), KVA_OK);
        assert_int_equal(kva_vm_frames_alloc(frames, count, numbers), KVA_OK);
        void *map = kva_vmap(test.vm, frames, numbers, count);
        assert_non_null(map);
        assert_int_equal(kva_vunmap(test.vm, map), KVA_OK);
        kva_failing_pages_fail(&test.pages, 1, false); /* one slice is purged, which suffices */
        void *memory = kva_vmalloc(test.vm, page);
        assert_non_null(memory);
        struct kva_vm_stats stats = test_vm_stats(test.vm);
        assert_int_equal(stats.parked_areas, 1);
        assert_true(test.pages.mapped_pages < count || page > 4096);
        expect_sound(test.vm, "half of a purge");
        assert_int_equal(kva_vfree(test.vm, memory), KVA_OK);
        test_vm_destroy(&test);
    }
    free(numbers);
}

/* ------------------------------------------------------------------------------ what must pass a check */

/** An instance with areas in every state; also in huge pages, where there are any. */
static int be_busy(void *context)
{
    struct kva_vm_config *config = context;
    struct kva_vm *vm;
    struct kva_vm_frames *frames;
    uint64_t numbers[100];
    struct kva_fault fault = {.what = ""};

    child_that(kva_vm_create(config, &vm) == KVA_OK);
    child_that(kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = 100}, &frames) == KVA_OK);
    child_that(kva_vm_frames_alloc(frames, 100, numbers) == KVA_OK);
    for (size_t i = 0; i < 200; i++) {
        unsigned char *memory = kva_vmalloc(vm, (i * 7 % 150 + 1) * page);
        unsigned char *huge = i % 50 == 0 ? kva_vmalloc_huge(vm, 4 * TEST_MIB) : NULL;
        void *map = kva_vmap(vm, frames, numbers + i % 50, i % 40 + 1);
        void *ram = kva_map_ram(vm, frames, numbers + i % 50, i % 40 + 1);
        child_that(memory != NULL && map != NULL && ram != NULL);
        memory[0] = 1;
        child_that(kva_vfree(vm, huge) == KVA_OK);
        child_that(i % 3 == 0 || kva_vfree(vm, memory) == KVA_OK);
        child_that(i % 5 == 0 || kva_vunmap(vm, map) == KVA_OK);
        child_that(i % 4 == 0 || kva_unmap_ram(vm, ram) == KVA_OK);
        child_that(i % 70 != 0 || kva_vm_purge(vm) == KVA_OK);
        if (i % 10 == 0 && kva_vm_check(vm, &fault) != KVA_OK) {
            fprintf(stderr, "%zu: %s at %#" PRIx64 "\n", i, fault.what, fault.address);
            return 1;
        }
    }
    child_that(kva_vm_abandon(vm, NULL, NULL) == KVA_OK);
    return 0;
}

static void test_busy_instances_pass(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        for (unsigned way = 0; way < 5; way++) {
            struct kva_vm_config config = {.reservation = 512 * TEST_MIB, .cpus = 2, .seed = test_seed()};
            config.pages = kva_pages_host(mechanism);
            config.hardened = way == 1;
            config.without_guards = way == 2;
            config.cache_bytes = way == 3 ? KVA_VM_NONE : 0;
            config.one_thread = way == 4;
            struct test_child child = test_in_child(be_busy, &config);
            test_expect_success(&child, test_mechanism_name(mechanism));
        }
    }
}

/** When the program locks all of its memory, at any time, the check reports nothing. */
static int lock_everything(void *context)
{
    struct kva_vm_config config = {.reservation = 64 * TEST_MIB, .frames_part = 32 * TEST_MIB, .cpus = 1};
    static const int ways[] = {MCL_CURRENT, MCL_FUTURE, MCL_CURRENT | MCL_FUTURE};
    struct kva_vm *vm;

    config.pages = kva_pages_host(*(enum kva_mechanism *)context);
    child_that(kva_vm_create(&config, &vm) == KVA_OK);
    for (size_t i = 0; i < 3; i++) {
        void *before = kva_vmalloc(vm, 3 * page);
        void *kept = kva_vmalloc(vm, page);
        if (mlockall(ways[i]) != 0)
            return 77; /* not allowed here */
        void *memory = kva_vmalloc(vm, 5 * page);
        child_that(before != NULL && kept != NULL && memory != NULL);
        child_that(kva_vfree(vm, before) == KVA_OK && kva_vfree(vm, memory) == KVA_OK);
        child_that(kva_vm_check(vm, NULL) == KVA_OK);
        child_that(kva_vm_purge(vm) == KVA_OK);
        child_that(kva_vm_check(vm, NULL) == KVA_OK);
        child_that(munlockall() == 0);
        child_that(kva_vm_check(vm, NULL) == KVA_OK);
        child_that(kva_vfree(vm, kept) == KVA_OK);
    }
    child_that(kva_vm_destroy(vm, NULL, NULL) == KVA_OK);
    return 0;
}

static void test_a_program_that_locks_all_memory(void **state)
{
    (void)state;
    test_locking_on_each_mechanism(lock_everything);
}

/** The child has the parent's mappings, and changes only its own copy. */
static int check_in_a_child(void *context)
{
    struct maps *maps = context;
    struct kva_vm *vm = maps->test.vm;
    struct kva_fault fault = {.what = ""};

    child_that(kva_vm_check(vm, NULL) == KVA_OK);
    unsigned char *memory = kva_vmalloc(vm, 20 * page);
    child_that(memory != NULL && make_readable(memory, 20 * page) && kva_vm_check(vm, NULL) == KVA_OK);
    child_that(kva_vfree(vm, memory) == KVA_OK);
    child_that(kva_vm_check(vm, &fault) == KVA_ECORRUPT && fault.address == (uintptr_t)memory);
    child_that(make_usual(memory, 20 * page) && kva_vm_check(vm, NULL) == KVA_OK);
    child_that(kva_vm_purge(vm) == KVA_OK && kva_vm_check(vm, NULL) == KVA_OK);
    return 0;
}

static void test_forks(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    if (!kernel_reports("a check in a child of fork"))
        return;
    for_each_mechanism (mechanism, k) {
        struct maps maps;
        set_up_maps(&maps, mechanism);
        void *map = kva_vmap(maps.test.vm, maps.frames, maps.numbers, 10);
        void *memory = kva_vmalloc(maps.test.vm, 7 * page);
        assert_int_equal(kva_vunmap(maps.test.vm, map), KVA_OK);
        assert_int_equal(kva_vfree(maps.test.vm, memory), KVA_OK);
        struct test_child child = test_in_child(check_in_a_child, &maps);
        test_expect_success(&child, test_mechanism_name(mechanism));
        test_vm_destroy(&maps.test);
    }
}

/** Without the list of mappings the check reports no changes. */
static int check_without_descriptors(void *context)
{
    struct kva_vm_config config = {.reservation = 64 * TEST_MIB,
                                   .pages = kva_pages_host(*(enum kva_mechanism *)context)};
    const struct rlimit none = {0, 0};
    struct kva_vm *vm;

    child_that(kva_vm_create(&config, &vm) == KVA_OK);
    unsigned char *memory = kva_vmalloc(vm, page);
    child_that(memory != NULL && make_readable(memory, page) && kva_vfree(vm, memory) == KVA_OK);
    child_that(kva_vm_check(vm, NULL) == KVA_ECORRUPT);
    child_that(setrlimit(RLIMIT_NOFILE, &none) == 0);
    child_that(kva_vm_check(vm, NULL) == KVA_OK);
    return 0;
}

static void test_without_a_list(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    if (!kernel_reports("a check without descriptors"))
        return;
    for_each_mechanism (mechanism, k) {
        struct test_child child = test_in_child(check_without_descriptors, &mechanism);
        test_expect_success(&child, test_mechanism_name(mechanism));
    }
}

static int set_up(void **state)
{
    FILE *temporary = tmpfile();

    (void)state;
    page = test_page();
    file = temporary != NULL ? fileno(temporary) : -1;
    return file >= 0 && ftruncate(file, (off_t)(MOST_PAGES * page)) == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes_that_owners_leave_are_reported),
        cmocka_unit_test(test_unreported_pages_are_as_new),
        cmocka_unit_test(test_marked_areas_are_replaced),
        cmocka_unit_test(test_marked_areas_and_forks),
        cmocka_unit_test(test_guards_and_holes),
        cmocka_unit_test(test_changed_maps),
        cmocka_unit_test(test_a_purge_that_stops_halfway),
        cmocka_unit_test(test_busy_instances_pass),
        cmocka_unit_test(test_a_program_that_locks_all_memory),
        cmocka_unit_test(test_forks),
        cmocka_unit_test(test_without_a_list),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
