/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Faults, and their descriptions.
 *
 * A SCENE sets something up in a new instance and returns an address. A child plays it and touches the
 * address. With a guard page or purged memory it must die, on each mechanism, on a read and on a write. Live
 * memory must not kill it, nor, unless the instance is hardened, freed memory before a purge.
 *
 * The SENTENCE of kva_vm_fault_describe is written out here for each case. The fault reporter must write
 * exactly this sentence, once, before the child ends as it would without a reporter.
 */
#define _DEFAULT_SOURCE
#include "../common/harness.h"
#include "../common/vmap.h"

#include <kva/pcpu.h>
#include <kva/report.h>
#include <kva/vmap.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static size_t page; /* bytes */

/* ------------------------------------------------------------------------------------------------- scenes */

/** Set up something, in a child, and return the address to touch. */
typedef unsigned char *scene(struct kva_vm *vm);

static unsigned char *live(struct kva_vm *vm, size_t pages)
{
    unsigned char *memory = kva_vmalloc(vm, pages * page);

    child_that(memory != NULL);
    memset(memory, 0x11, pages * page);
    return memory;
}

static void purge(struct kva_vm *vm)
{
    child_that(kva_vm_purge(vm) == KVA_OK);
}

static void give(struct kva_vm *vm, void *memory)
{
    child_that(kva_vfree(vm, memory) == KVA_OK);
}

static struct kva_vm_frames *frames_of(struct kva_vm *vm, size_t count, uint64_t *numbers)
{
    struct kva_vm_frames *frames;

    child_that(kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = count}, &frames) == KVA_OK);
    child_that(kva_vm_frames_alloc(frames, count, numbers) == KVA_OK);
    return frames;
}

static unsigned char *map(struct kva_vm *vm, size_t count)
{
    uint64_t numbers[128];
    struct kva_vm_frames *frames = frames_of(vm, count, numbers);
    unsigned char *memory = kva_vmap(vm, frames, numbers, count);

    child_that(memory != NULL);
    memset(memory, 0x22, count * page);
    return memory;
}

static unsigned char *map_ram(struct kva_vm *vm, size_t count)
{
    uint64_t numbers[128];
    struct kva_vm_frames *frames = frames_of(vm, count, numbers);
    unsigned char *memory = kva_map_ram(vm, frames, numbers, count);

    child_that(memory != NULL);
    memset(memory, 0x33, count * page);
    return memory;
}

static unsigned char *guard_of_one_page(struct kva_vm *vm)
{
    return live(vm, 1) + page;
}

static unsigned char *end_of_guard(struct kva_vm *vm)
{
    unsigned char *memory = live(vm, 3);
    (void)live(vm, 1);
    return memory + 4 * page - 1;
}

/** An area longer than what one page table maps. */
static unsigned char *guard_of_a_large_area(struct kva_vm *vm)
{
    return live(vm, 1024) + 1024 * page;
}

static unsigned char *guard_of_a_used_area(struct kva_vm *vm)
{
    give(vm, live(vm, 5));
    return live(vm, 5) + 5 * page;
}

static unsigned char *guard_after_a_purge(struct kva_vm *vm)
{
    unsigned char *first = live(vm, 2);
    unsigned char *second = live(vm, 7);
    (void)live(vm, 1);
    give(vm, first);
    give(vm, second);
    purge(vm);
    return live(vm, 4) + 4 * page; /* across the places of both */
}

static unsigned char *guard_after_shrinking(struct kva_vm *vm)
{
    unsigned char *memory = kva_vrealloc(vm, live(vm, 8), 3 * page, 0);
    return memory + 3 * page;
}

static unsigned char *tail_after_shrinking(struct kva_vm *vm)
{
    unsigned char *memory = kva_vrealloc(vm, live(vm, 8), 3 * page, 0);
    return memory + 7 * page;
}

static unsigned char *guard_after_growing(struct kva_vm *vm)
{
    unsigned char *memory = live(vm, 2);
    child_that(kva_vrealloc(vm, memory, 9 * page, 0) == memory); /* the pages after it are free */
    memset(memory, 0x44, 9 * page);
    return memory + 9 * page;
}

static unsigned char *guard_of_a_congruent_area(struct kva_vm *vm)
{
    const struct kva_part parts[] = {{0, 2 * page}, {3 * page, page}, {8 * page, page}};
    struct kva_vm_request request = kva_vm_request_of(1);
    void *memory[3];

    child_that(kva_vm_alloc_congruent(vm, &request, parts, 3, memory) == KVA_OK);
    memset(memory[0], 0x55, 2 * page);
    memset(memory[1], 0x55, page);
    return (unsigned char *)memory[0] + 2 * page;
}

static unsigned char *guard_of_a_map(struct kva_vm *vm)
{
    return map(vm, 4) + 4 * page;
}

static unsigned char *guard_of_a_long_ram_map(struct kva_vm *vm)
{
    return map_ram(vm, KVA_MAP_RAM_MOST + 1) + (KVA_MAP_RAM_MOST + 1) * page;
}

static unsigned char *after_a_ram_map(struct kva_vm *vm)
{
    return map_ram(vm, 3) + 3 * page; /* the next page is free */
}

static unsigned char *between_units(struct kva_vm *vm)
{
    const struct kva_pcpu_config config = {.cpus = 4, .groups = 2, .unit = page};
    struct kva_pcpu *pcpu;
    void *object;

    child_that(kva_pcpu_create(vm, &config, &pcpu) == KVA_OK);
    child_that(kva_pcpu_alloc(pcpu, 64, 8, &object) == KVA_OK);
    memset(kva_pcpu_of(pcpu, object, 3), 0x66, 64);
    return (unsigned char *)object + 2 * page; /* after the two CPUs of the first group */
}

static unsigned char *never_used(struct kva_vm *vm)
{
    struct kva_vm_stats stats;

    (void)live(vm, 1);
    child_that(kva_vm_stats_read(vm, &stats) == KVA_OK);
    return (unsigned char *)(uintptr_t)(stats.reservation_first +
                                        (stats.reservation_last - stats.reservation_first) / 4);
}

static unsigned char *never_used_frames(struct kva_vm *vm)
{
    struct kva_vm_stats stats;

    child_that(kva_vm_stats_read(vm, &stats) == KVA_OK);
    return (unsigned char *)(uintptr_t)stats.reservation_last;
}

static unsigned char *freed_and_purged(struct kva_vm *vm)
{
    unsigned char *memory = live(vm, 3);
    give(vm, memory);
    purge(vm);
    return memory;
}

static unsigned char *freed_and_purged_large(struct kva_vm *vm)
{
    unsigned char *memory = live(vm, 1500);
    (void)live(vm, 1);
    give(vm, memory);
    purge(vm);
    return memory + 1499 * page;
}

/** The middle one of three areas that are purged as one run. */
static unsigned char *freed_among_neighbours(struct kva_vm *vm)
{
    unsigned char *memory[4];

    for (size_t i = 0; i < 4; i++)
        memory[i] = live(vm, 200);
    give(vm, memory[0]);
    give(vm, memory[2]);
    give(vm, memory[1]);
    purge(vm);
    child_that(test_read_byte(memory[3]) == 0x11);
    return memory[1] + 100 * page;
}

static unsigned char *freed_later(struct kva_vm *vm)
{
    unsigned char *memory = live(vm, 3);
    struct kva_later record;

    child_that(kva_vfree_later(vm, memory, &record) == KVA_OK);
    kva_vfree_ready(&record);
    purge(vm);
    return memory + page;
}

static unsigned char *unmapped_and_purged(struct kva_vm *vm)
{
    unsigned char *memory = map(vm, 6);
    child_that(kva_vunmap(vm, memory) == KVA_OK);
    purge(vm);
    return memory + 5 * page;
}

static unsigned char *unmapped_ram_and_purged(struct kva_vm *vm)
{
    unsigned char *kept = map_ram(vm, 2);
    unsigned char *memory = map_ram(vm, 6);
    child_that(kva_unmap_ram(vm, memory) == KVA_OK);
    purge(vm);
    child_that(test_read_byte(kept) == 0x33);
    return memory + page;
}

static unsigned char *moved_away_and_purged(struct kva_vm *vm)
{
    unsigned char *memory = live(vm, 2);
    (void)live(vm, 1); /* in the way */
    child_that(kva_vrealloc(vm, memory, 5 * page, 0) != memory);
    purge(vm);
    return memory;
}

static unsigned char *units_and_purged(struct kva_vm *vm)
{
    const struct kva_pcpu_config config = {.cpus = 2, .unit = page};
    struct kva_pcpu *pcpu;
    void *object;

    child_that(kva_pcpu_create(vm, &config, &pcpu) == KVA_OK);
    child_that(kva_pcpu_alloc(pcpu, 64, 8, &object) == KVA_OK);
    child_that(kva_pcpu_free(pcpu, object) == KVA_OK);
    child_that(kva_pcpu_destroy(pcpu) == KVA_OK);
    purge(vm);
    return object;
}

static unsigned char *freed(struct kva_vm *vm)
{
    unsigned char *memory = live(vm, 3);
    give(vm, memory);
    return memory + 2 * page;
}

/** The freed addresses stay unused: new areas lie elsewhere. */
static unsigned char *freed_and_another_taken(struct kva_vm *vm)
{
    unsigned char *memory = live(vm, 3);
    give(vm, memory);
    for (size_t i = 0; i < 100; i++)
        (void)live(vm, 3);
    return memory;
}

static unsigned char *unmapped(struct kva_vm *vm)
{
    unsigned char *memory = map(vm, 3);
    child_that(kva_vunmap(vm, memory) == KVA_OK);
    return memory;
}

static unsigned char *unmapped_ram(struct kva_vm *vm)
{
    unsigned char *memory = map_ram(vm, 3);
    child_that(kva_unmap_ram(vm, memory) == KVA_OK);
    return memory;
}

static unsigned char *moved_away(struct kva_vm *vm)
{
    unsigned char *memory = live(vm, 2);
    child_that(kva_vmalloc_aligned(vm, page, 1) != NULL);
    unsigned char *moved = kva_vrealloc(vm, memory, 50 * page, 0);
    child_that(moved != NULL);
    return moved == memory ? memory + 50 * page : memory;
}

static unsigned char *last_byte(struct kva_vm *vm)
{
    return live(vm, 3) + 3 * page - 1;
}

static unsigned char *last_byte_of_a_map(struct kva_vm *vm)
{
    return map(vm, 3) + 3 * page - 1;
}

static unsigned char *last_byte_after_growing(struct kva_vm *vm)
{
    return guard_after_growing(vm) - 1;
}

struct entry {
    const char *name;
    scene *play;
};

#define ENTRY(name)                                                                                          \
    {                                                                                                        \
#name, name                                                                                          \
    }

static const struct entry faulting_always[] = {
    ENTRY(guard_of_one_page),
    ENTRY(end_of_guard),
    ENTRY(guard_of_a_large_area),
    ENTRY(guard_of_a_used_area),
    ENTRY(guard_after_a_purge),
    ENTRY(guard_after_shrinking),
    ENTRY(tail_after_shrinking),
    ENTRY(guard_after_growing),
    ENTRY(guard_of_a_congruent_area),
    ENTRY(guard_of_a_map),
    ENTRY(guard_of_a_long_ram_map),
    ENTRY(after_a_ram_map),
    ENTRY(between_units),
    ENTRY(never_used),
    ENTRY(never_used_frames),
    ENTRY(freed_and_purged),
    ENTRY(freed_and_purged_large),
    ENTRY(freed_among_neighbours),
    ENTRY(freed_later),
    ENTRY(unmapped_and_purged),
    ENTRY(unmapped_ram_and_purged),
    ENTRY(moved_away_and_purged),
    ENTRY(units_and_purged),
};

/** Areas are placed at random here, so growing in place is left out. */
static const struct entry faulting_when_hardened[] = {
    ENTRY(guard_of_one_page),
    ENTRY(guard_of_a_used_area),
    ENTRY(guard_of_a_large_area),
    ENTRY(guard_of_a_map),
    ENTRY(tail_after_shrinking),
    ENTRY(freed),
    ENTRY(freed_and_another_taken),
    ENTRY(unmapped),
    ENTRY(unmapped_ram),
    ENTRY(moved_away),
    ENTRY(freed_among_neighbours),
};

/** No cache and no parking, but not hardened: freed areas are purged at once. */
static const struct entry faulting_when_eager[] = {
    ENTRY(freed),
    ENTRY(unmapped),
    ENTRY(guard_of_one_page),
};

/** vm.h warns of stale pointers to freed areas: a free is cheap because it unmaps nothing. */
static const struct entry not_faulting[] = {
    ENTRY(last_byte), ENTRY(last_byte_of_a_map), ENTRY(last_byte_after_growing),
    ENTRY(freed),     ENTRY(unmapped),           ENTRY(unmapped_ram),
};

/* ------------------------------------------------------------------------------------------------ playing */

struct playing {
    struct kva_vm_config config;
    const struct entry *entry;
    bool write;
};

/** Grace periods end at once here. */
static void after(void *context, struct kva_later *record)
{
    (void)context;
    (void)record;
}

static int play(void *context)
{
    struct playing *playing = context;
    struct kva_vm *vm;

    child_that(kva_vm_create(&playing->config, &vm) == KVA_OK);
    unsigned char *address = playing->entry->play(vm);
    if (playing->write)
        test_write_byte(address, 1);
    else
        (void)test_read_byte(address);
    (void)kva_vm_abandon(vm, NULL, NULL); /* so that leak checkers find nothing */
    return 0;
}

/** Reads and writes alternate; under valgrind only every so many of them are tried, because each child
 *  takes seconds. */
static size_t step(void)
{
    return test_under_valgrind() ? 9 : 1;
}

static void play_all(const struct entry *entries, size_t count, const struct kva_vm_config *config,
                     int signal)
{
    for (size_t i = 0; i < 2 * count; i += step()) {
        struct playing playing = {*config, &entries[i / 2], i % 2 != 0};
        struct test_child child = test_in_child(play, &playing);
        check_that(child.signal == signal && (signal != 0 || child.code == 0),
                   "%s: signal %d expected, signal %d, code %d found: %s", playing.entry->name, signal,
                   child.signal, child.code, child.text);
    }
}

#define PLAY_ALL(entries, config, signal)                                                                    \
    play_all(entries, sizeof(entries) / sizeof((entries)[0]), config, signal)

static struct kva_vm_config usual(enum kva_mechanism mechanism)
{
    struct kva_vm_config config = {0};

    config.reservation = 64 * TEST_MIB;
    config.frames_part = 32 * TEST_MIB;
    config.pages = kva_pages_host(mechanism);
    config.grace.after = after;
    return config;
}

static void test_guards_and_purged_memory_fault(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, i) {
        struct kva_vm_config config = usual(mechanism);
        PLAY_ALL(faulting_always, &config, SIGSEGV);
    }
}

static void test_hardened_memory_faults_at_once(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, i) {
        struct kva_vm_config config = usual(mechanism);
        config.hardened = true;
        PLAY_ALL(faulting_when_hardened, &config, SIGSEGV);
    }
}

static void test_eager_memory_faults_at_once(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, i) {
        struct kva_vm_config config = usual(mechanism);
        config.cache_bytes = KVA_VM_NONE;
        config.lazy_bytes = KVA_VM_NONE;
        PLAY_ALL(faulting_when_eager, &config, SIGSEGV);
    }
}

static void test_live_and_waiting_memory_does_not_fault(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, i) {
        struct kva_vm_config config = usual(mechanism);
        PLAY_ALL(not_faulting, &config, 0);
    }
}

/** Without guards, areas are adjacent, and the last one before a hole still ends there. */
static int touch_without_guards(void *context)
{
    struct playing *playing = context;
    struct kva_vm *vm;

    child_that(kva_vm_create(&playing->config, &vm) == KVA_OK);
    unsigned char *a = live(vm, 2);
    unsigned char *b = live(vm, 3);
    child_that(b == a + 2 * page);
    (void)test_read_byte(a + 2 * page);
    test_write_byte(b + 3 * page, 1);
    return 0;
}

static void test_holes_fault_without_guards(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, i) {
        struct playing playing = {.config = usual(mechanism)};
        playing.config.without_guards = true;
        struct test_child child = test_in_child(touch_without_guards, &playing);
        check_that(child.signal == SIGSEGV, "SIGSEGV expected, code %d found: %s", child.code, child.text);
    }
}

/* ---------------------------------------------------------------------------------------------- sentences */

/** Names all addresses alike, because the linker's layout is unknown. */
static size_t symbol(void *context, const void *address, char *text, size_t bytes)
{
    (void)address;
    return (size_t)snprintf(text, bytes, "%s", (const char *)context);
}

static struct kva_vm_config with_symbols(enum kva_mechanism mechanism)
{
    static char here[] = "here+0x1";
    struct kva_vm_config config = usual(mechanism);

    config.symbol = symbol;
    config.symbol_context = here;
    return config;
}

static void expect_sentence(const struct kva_vm *vm, const unsigned char *address, bool write,
                            const char *expected)
{
    char text[256];
    size_t length = kva_vm_fault_describe(vm, address, write, text, sizeof(text));

    check_that(strcmp(text, expected) == 0, "found \"%s\", expected \"%s\"", text, expected);
    assert_int_equal(length, strlen(expected));
}

/** Format a sentence with an area's address into `text`. */
static const char *about(char text[256], const char *format, const void *start)
{
    snprintf(text, 256, format, (uintptr_t)start);
    return text;
}

/** The sentence describes an address as so many bytes "past the end of" an area, "before" it, or "into"
 *  it. */
static void expect_place(const struct kva_vm *vm, const unsigned char *address, size_t bytes,
                         const char *place, const void *start, size_t pages, bool freed)
{
    char text[256];

    snprintf(text, sizeof(text),
             "write %zu byte%s %s the %zu-page area 0x%" PRIxPTR ", allocated at here+0x1, freed: %s", bytes,
             bytes == 1 ? "" : "s", place, pages, (uintptr_t)start, freed ? "yes, at here+0x1" : "no");
    expect_sentence(vm, address, true, text);
}

static const char past_the_end[] = "past the end of";

static void test_sentences_of_areas(void **state)
{
    struct kva_vm_config config = with_symbols(KVA_MECHANISM_BEST);
    struct kva_vm *vm;
    char text[256];

    (void)state;
    assert_int_equal(kva_vm_create(&config, &vm), KVA_OK);
    unsigned char *memory = kva_vmalloc(vm, 3 * page);
    expect_sentence(vm, memory + 3 * page + 11, false,
                    about(text,
                          "read 12 bytes past the end of the 3-page area 0x%" PRIxPTR
                          ", allocated at here+0x1, freed: no",
                          memory));
    expect_sentence(vm, memory + 3 * page, true,
                    about(text,
                          "write 1 byte past the end of the 3-page area 0x%" PRIxPTR
                          ", allocated at here+0x1, freed: no",
                          memory));
    assert_int_equal(kva_vfree(vm, memory), KVA_OK);
    const char *freed_sentence =
        "write 40 bytes into the 3-page area 0x%" PRIxPTR ", allocated at here+0x1, freed: yes, at here+0x1";
    expect_sentence(vm, memory + 40, true, about(text, freed_sentence, memory)); /* cached */
    assert_int_equal(kva_vm_purge(vm), KVA_OK);
    expect_sentence(vm, memory + 40, true, about(text, freed_sentence, memory)); /* purged, remembered */
    unsigned char *far = memory + (256 + 4) * page;
    expect_sentence(vm, far, false,
                    about(text,
                          "read of 0x%" PRIxPTR
                          ", in the reservation of a kva instance, where there is no area now or recently",
                          far));
    assert_int_equal(kva_vm_destroy(vm, NULL, NULL), KVA_OK);
}

/** Of the areas on both sides of a guard page the nearer one is described, whatever their sizes and kinds. */
static void test_sentences_of_neighbours(void **state)
{
    struct kva_vm_config config = with_symbols(KVA_MECHANISM_BEST);
    const size_t pages[] = {1, 3, 1, 600, 70, 1};
    enum { AREAS = sizeof(pages) / sizeof(pages[0]) };
    unsigned char *area[AREAS];
    struct kva_vm *vm;

    (void)state;
    assert_int_equal(kva_vm_create(&config, &vm), KVA_OK);
    for (size_t i = 0; i < AREAS; i++)
        area[i] = kva_vmalloc(vm, pages[i] * page);
    for (size_t i = 1; i < AREAS; i++) {
        unsigned char *guard = area[i] - page;
        assert_ptr_equal(guard, area[i - 1] + pages[i - 1] * page);
        expect_place(vm, guard, 1, past_the_end, area[i - 1], pages[i - 1], false);
        expect_place(vm, guard + page / 2 - 1, page / 2, past_the_end, area[i - 1], pages[i - 1], false);
        expect_place(vm, guard + page / 2, page / 2, "before", area[i], pages[i], false);
        expect_place(vm, area[i] - 17, 17, "before", area[i], pages[i], false);
        expect_place(vm, area[i] - 1, 1, "before", area[i], pages[i], false);
        expect_place(vm, area[i], 0, "into", area[i], pages[i], false);
    }
    unsigned char *last = area[AREAS - 1] + page;
    expect_place(vm, last + page - 1, page, past_the_end, area[AREAS - 1], 1, false);
    expect_place(vm, last + page, page + 1, past_the_end, area[AREAS - 1], 1, false); /* after the guard */
    assert_int_equal(kva_vm_destroy(vm, NULL, NULL), KVA_EBUSY);
    assert_int_equal(kva_vm_abandon(vm, NULL, NULL), KVA_OK);
}

/** A long area that ends far before the address is not described; the one after the address is. */
static void test_sentences_in_holes(void **state)
{
    struct kva_vm_config config = with_symbols(KVA_MECHANISM_BEST);
    struct kva_vm_request request = kva_vm_request_of(2 * page);
    struct kva_vm *vm;
    void *memory;

    (void)state;
    assert_int_equal(kva_vm_create(&config, &vm), KVA_OK);
    unsigned char *low = kva_vmalloc(vm, 900 * page);
    request.min = (uintptr_t)low + 1600 * page;
    assert_int_equal(kva_vm_alloc(vm, &request, &memory), KVA_OK);
    unsigned char *high = memory;
    assert_ptr_equal(high, low + 1600 * page);
    expect_place(vm, low + 901 * page, page + 1, past_the_end, low, 900, false);
    expect_place(vm, low + 1155 * page, 255 * page + 1, past_the_end, low, 900, false);
    expect_place(vm, high - 1, 1, "before", high, 2, false);
    expect_place(vm, high - 255 * page, 255 * page, "before", high, 2, false);
    char text[256];
    expect_sentence(vm, low + 1200 * page, false,
                    about(text,
                          "read of 0x%" PRIxPTR
                          ", in the reservation of a kva instance, where there is no area now or recently",
                          low + 1200 * page));
    assert_int_equal(kva_vm_destroy(vm, NULL, NULL), KVA_EBUSY);
    assert_int_equal(kva_vm_abandon(vm, NULL, NULL), KVA_OK);
}

/** Addresses beside purged areas are described by them, where no other area is near. */
static void test_sentences_of_purged_neighbours(void **state)
{
    struct kva_vm_config config = with_symbols(KVA_MECHANISM_BEST);
    struct kva_vm *vm;
    unsigned char *area[5];

    (void)state;
    assert_int_equal(kva_vm_create(&config, &vm), KVA_OK);
    for (size_t i = 0; i < 5; i++)
        area[i] = kva_vmalloc(vm, 3 * page);
    assert_int_equal(kva_vfree(vm, area[1]), KVA_OK);
    assert_int_equal(kva_vfree(vm, area[2]), KVA_OK);
    expect_place(vm, area[2] - 1, 1, "before", area[2], 3, true); /* cached */
    assert_int_equal(kva_vm_purge(vm), KVA_OK);
    expect_place(vm, area[1] - 1, page, past_the_end, area[0], 3, false); /* a live area's guard */
    expect_place(vm, area[1] + page, page, "into", area[1], 3, true);
    expect_place(vm, area[1] + 3 * page, 1, past_the_end, area[1], 3, true);
    expect_place(vm, area[2] - 1, 1, "before", area[2], 3, true);
    expect_place(vm, area[3] - 1, 1, "before", area[3], 3, false);

    /* A present area is described rather than a purged one. */
    struct kva_vm_request request = kva_vm_request_of(2 * page);
    void *now;
    request.min = (uintptr_t)area[2];
    assert_int_equal(kva_vm_alloc(vm, &request, &now), KVA_OK);
    assert_ptr_equal(now, area[2]);
    expect_place(vm, area[2] - 1, 1, "before", now, 2, false);
    expect_place(vm, area[2] + 2 * page + 7, 8, past_the_end, now, 2, false);
    expect_place(vm, area[2] + 3 * page, 1, past_the_end, area[2], 3, true);
    assert_int_equal(kva_vm_destroy(vm, NULL, NULL), KVA_EBUSY);
    assert_int_equal(kva_vm_abandon(vm, NULL, NULL), KVA_OK);
}

/** There are no guards between short-lived maps. An area purged between two of them is described. */
static void test_sentences_of_short_lived_maps(void **state)
{
    struct kva_vm_config config = with_symbols(KVA_MECHANISM_BEST);
    struct kva_vm_frames *frames;
    struct kva_vm *vm;
    uint64_t numbers[8];
    char text[256];

    (void)state;
    config.cpus = 1;
    assert_int_equal(kva_vm_create(&config, &vm), KVA_OK);
    assert_int_equal(kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = 8}, &frames), KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(frames, 8, numbers), KVA_OK);
    unsigned char *first = kva_map_ram(vm, frames, numbers, 2);
    unsigned char *between = kva_map_ram(vm, frames, numbers, 3);
    unsigned char *second = kva_map_ram(vm, frames, numbers, 4);
    assert_ptr_equal(second, first + 5 * page);
    expect_place(vm, first - 1, 1, "before", first, 2, false);
    expect_place(vm, second + 4 * page, 1, past_the_end, second, 4, false);
    assert_int_equal(kva_unmap_ram(vm, between), KVA_OK);
    assert_int_equal(kva_vm_purge(vm), KVA_OK);
    expect_place(vm, between - 1, 2 * page - 1, "into", first, 2, false);
    expect_sentence(
        vm, between + 5, false,
        about(text, "read 5 bytes into the 3-page area 0x%" PRIxPTR ", allocated at here+0x1, freed: yes",
              between));
    expect_place(vm, second + 255 * page, 251 * page + 1, past_the_end, second, 4, false);
    expect_sentence(vm, second + 300 * page, true,
                    about(text,
                          "write of 0x%" PRIxPTR
                          ", in the reservation of a kva instance, where there is no area now or recently",
                          second + 300 * page));
    assert_int_equal(kva_vm_destroy(vm, NULL, NULL), KVA_EBUSY);
    assert_int_equal(kva_vm_abandon(vm, NULL, NULL), KVA_OK);
}

/** The area purged last at an address is described; the oldest of more than KVA_VM_HISTORY is forgotten. */
static void test_sentences_of_purged_areas(void **state)
{
    struct kva_vm_config config = with_symbols(KVA_MECHANISM_BEST);
    struct kva_vm *vm;
    char text[256];

    (void)state;
    config.cache_bytes = KVA_VM_NONE;
    config.lazy_bytes = KVA_VM_NONE;
    assert_int_equal(kva_vm_create(&config, &vm), KVA_OK);
    unsigned char *oldest = kva_vmalloc(vm, 2 * page);
    void *separator = kva_vmalloc(vm, page);
    assert_int_equal(kva_vfree(vm, oldest), KVA_OK);
    for (unsigned i = 0; i < KVA_VM_HISTORY - 1; i++) {
        unsigned char *memory = kva_vmalloc(vm, 5 * page); /* after the separator */
        assert_true(memory > (unsigned char *)separator);
        assert_int_equal(kva_vfree(vm, memory), KVA_OK);
    }
    expect_sentence(vm, oldest + 100, false,
                    about(text,
                          "read 100 bytes into the 2-page area 0x%" PRIxPTR
                          ", allocated at here+0x1, freed: yes, at here+0x1",
                          oldest));
    unsigned char *memory = kva_vmalloc(vm, 6 * page);
    assert_int_equal(kva_vfree(vm, memory), KVA_OK);
    expect_place(vm, oldest + page, 2 * page, "before", separator, 1, false);
    expect_sentence(vm, memory, false,
                    about(text,
                          "read 0 bytes into the 6-page area 0x%" PRIxPTR
                          ", allocated at here+0x1, freed: yes, at here+0x1",
                          memory));
    expect_sentence(vm, memory + 6 * page, true, /* the guard was freed with it */
                    about(text,
                          "write 1 byte past the end of the 6-page area 0x%" PRIxPTR
                          ", allocated at here+0x1, freed: yes, at here+0x1",
                          memory));
    assert_int_equal(kva_vfree(vm, separator), KVA_OK);
    assert_int_equal(kva_vm_destroy(vm, NULL, NULL), KVA_OK);
}

/** A sentence is cut to the buffer; outside the reservation, and for NULL pointers, it is empty. */
static void test_sentences_and_room(void **state)
{
    struct kva_vm_config config = with_symbols(KVA_MECHANISM_BEST);
    struct kva_vm *vm;
    char whole[256];
    char text[256];

    (void)state;
    assert_int_equal(kva_vm_create(&config, &vm), KVA_OK);
    unsigned char *memory = kva_vmalloc(vm, page);
    size_t length = kva_vm_fault_describe(vm, memory + page, false, whole, sizeof(whole));
    assert_int_equal(length, strlen(whole));
    for (size_t bytes = 1; bytes <= length + 1; bytes++) {
        memset(text, 'x', sizeof(text));
        size_t cut = kva_vm_fault_describe(vm, memory + page, false, text, bytes);
        assert_int_equal(cut, bytes - 1);
        assert_int_equal(strlen(text), cut);
        assert_memory_equal(text, whole, cut);
        assert_int_equal(text[bytes], 'x');
    }
    assert_true(kva_vm_fault_describe(vm, memory - 1, true, text, sizeof(text)) > 0);
    assert_non_null(strstr(text, "write 1 byte before the 1-page area ")); /* the first area */
    struct kva_vm_stats stats = test_vm_stats(vm);
    const uintptr_t outside[] = {0, (uintptr_t)stats.reservation_first - page - 1,
                                 (uintptr_t)stats.reservation_last + 1, UINTPTR_MAX};
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
        strcpy(text, "old");
        assert_int_equal(kva_vm_fault_describe(vm, (const void *)outside[i], false, text, sizeof(text)), 0);
        assert_string_equal(text, "");
    }
    strcpy(text, "old");
    assert_int_equal(kva_vm_fault_describe(NULL, memory, false, text, sizeof(text)), 0);
    assert_string_equal(text, "");
    assert_int_equal(kva_vm_fault_describe(vm, memory, false, NULL, sizeof(text)), 0);
    strcpy(text, "old");
    assert_int_equal(kva_vm_fault_describe(vm, memory, false, text, 0), 0);
    assert_string_equal(text, "old");
    assert_int_equal(kva_vfree(vm, memory), KVA_OK);
    assert_int_equal(kva_vm_destroy(vm, NULL, NULL), KVA_OK);
}

/* ------------------------------------------------------------------------------------------- the reporter */

/** Variants of a child. */
enum twist { PLAIN, OWN_HANDLER, REMOVED, SECOND_INSTANCE, OUTSIDE };

/** Whether a handler knows that the access was a write; if not, the reporter writes "read". An emulator of
 *  Arm processors leaves out the record that holds this. */
static bool knows_writes(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return true;
#elif defined(__aarch64__)
    return !test_is_emulated();
#else
    return false;
#endif
}

/** The address that a handler receives: on IBM Z, only that of the page. */
static unsigned char *as_received(unsigned char *address)
{
#if defined(__s390x__)
    return address - (uintptr_t)address % page;
#else
    return address;
#endif
}

struct report {
    struct kva_vm_config config;
    const struct entry *entry;
    bool write;
    enum twist twist;
};

static void own_handler(int number, siginfo_t *info, void *context)
{
    (void)context;
    _exit(number == SIGSEGV && info->si_addr != NULL ? 42 : 43);
}

static void install_own_handler(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_sigaction = own_handler;
    action.sa_flags = SA_SIGINFO;
    child_that(sigaction(SIGSEGV, &action, NULL) == 0);
}

/** Write the expected sentence, and fault. */
static int fault_with_reporter(void *context)
{
    struct report *report = context;
    struct kva_vm *vm;
    struct kva_vm *other;
    char text[256];

    if (report->twist == OWN_HANDLER)
        install_own_handler();
    child_that(kva_vm_create(&report->config, &vm) == KVA_OK);
    if (report->twist == SECOND_INSTANCE) {
        child_that(kva_vm_create(&report->config, &other) == KVA_OK);
        child_that(kva_fault_reporter_add(other) == KVA_OK);
    }
    child_that(kva_fault_reporter_add(vm) == KVA_OK);
    unsigned char *address = report->entry->play(vm);
    if (report->twist == OUTSIDE)
        address = (unsigned char *)16;
    if (report->twist == REMOVED)
        child_that(kva_fault_reporter_remove(vm) == KVA_OK);
    else if (kva_vm_fault_describe(vm, as_received(address), report->write && knows_writes(), text,
                                   sizeof(text)) > 0)
        fprintf(stderr, "%s\n", text);
    fflush(stderr);
    if (report->write)
        test_write_byte(address, 1);
    else
        (void)test_read_byte(address);
    return 0;
}

/** An emulator writes a message of its own at the end when its program dies. */
static void cut_emulator_message(struct test_child *child)
{
    char *word = strstr(child->text, "qemu: ");

    if (word != NULL && test_is_emulated())
        *word = '\0';
}

/** The child wrote the sentence, and the reporter wrote it again; without a sentence, nothing was written. */
static void expect_report(struct test_child *child, bool sentence, const char *name)
{
    cut_emulator_message(child);
    const char *line_end = strchr(child->text, '\n');

    if (!sentence) {
        check_that(child->text[0] == '\0', "%s: no text expected, found: %s", name, child->text);
        return;
    }
    check_that(line_end != NULL, "%s: a sentence expected, found: %s", name, child->text);
    size_t length = (size_t)(line_end - child->text) + 1; /* with the line feed */
    const char *rest = line_end + 1;
    size_t rest_length = strlen(rest);
    check_that(rest_length >= length && memcmp(rest + rest_length - length, child->text, length) == 0 &&
                   strchr(rest, '\n') == rest + rest_length - 1,
               "%s: the same sentence twice expected, found: %s", name, child->text);
}

static const struct entry reported[] = {
    ENTRY(guard_of_one_page), ENTRY(end_of_guard),   ENTRY(freed_and_purged),
    ENTRY(never_used),        ENTRY(guard_of_a_map), ENTRY(unmapped_and_purged),
    ENTRY(after_a_ram_map),   ENTRY(between_units),  ENTRY(freed_among_neighbours),
};

static void test_reporter_writes_the_sentence(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        for (size_t i = 0; i < 2 * sizeof(reported) / sizeof(reported[0]); i += step()) {
            struct report report = {with_symbols(mechanism), &reported[i / 2], i % 2 != 0, PLAIN};
            struct test_child child = test_in_child(fault_with_reporter, &report);
            check_that(child.signal == SIGSEGV, "%s: SIGSEGV expected, code %d found: %s", report.entry->name,
                       child.code, child.text);
            expect_report(&child, true, report.entry->name);
            assert_memory_equal(child.text, report.write && knows_writes() ? "write" : "read ", 5);
        }
    }
}

static void test_reporter_leaves_other_handling_alone(void **state)
{
    static const struct entry guard = ENTRY(guard_of_one_page);
    static const struct {
        enum twist twist;
        int signal;
        int code;
        bool sentence;
    } cases[] = {
        {OWN_HANDLER, 0, 42, true},
        {REMOVED, SIGSEGV, 0, false},
        {SECOND_INSTANCE, SIGSEGV, 0, true},
        {OUTSIDE, SIGSEGV, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct report report = {with_symbols(KVA_MECHANISM_BEST), &guard, false, cases[i].twist};
        struct test_child child = test_in_child(fault_with_reporter, &report);
        check_that(child.signal == cases[i].signal, "case %zu: signal %d expected, %d found: %s", i,
                   cases[i].signal, child.signal, child.text);
        check_that(child.code == cases[i].code || (test_under_valgrind() && cases[i].code != 0),
                   "case %zu: code %d expected, %d found: %s", i, cases[i].code, child.code, child.text);
        expect_report(&child, cases[i].sentence, "a variant");
    }
}

/** A frame that the frame set's file no longer has: SIGBUS, and a sentence. */
static int fault_by_truncation(void *context)
{
    struct report *report = context;
    struct kva_vm *vm;
    uint64_t numbers[4];
    char text[256];

    child_that(kva_vm_create(&report->config, &vm) == KVA_OK);
    child_that(kva_fault_reporter_add(vm) == KVA_OK);
    struct kva_vm_frames *frames = frames_of(vm, 4, numbers);
    unsigned char *memory = kva_vmap(vm, frames, numbers, 4);
    child_that(memory != NULL);
    child_that(ftruncate((int)kva_vm_frames_descriptor(frames), (off_t)page) == 0);
    child_that(kva_vm_fault_describe(vm, memory + page, false, text, sizeof(text)) > 0);
    fprintf(stderr, "%s\n", text);
    (void)test_read_byte(memory + page);
    return 0;
}

static void test_reporter_knows_bus_errors(void **state)
{
    struct report report = {.config = with_symbols(KVA_MECHANISM_BEST)};

    (void)state;
    if (test_is_emulated()) {
        print_message("left out under an emulator, which does not pass on the address of a bus error\n");
        return;
    }
    struct test_child child = test_in_child(fault_by_truncation, &report);
    check_that(child.signal == SIGBUS, "SIGBUS expected, code %d found: %s", child.code, child.text);
    expect_report(&child, true, "truncated");
}

/** The list of instances: its statuses and its limit; the handlers are installed only while it has
 *  entries. */
static int fill_the_list(void *context)
{
    struct kva_vm_config config = *(const struct kva_vm_config *)context;
    struct sigaction before;
    struct sigaction after_all;
    struct kva_vm *vm[65];

    config.reservation = TEST_MIB;
    config.frames_part = TEST_MIB / 2;
    child_that(sigaction(SIGSEGV, NULL, &before) == 0);
    for (size_t i = 0; i < 65; i++)
        child_that(kva_vm_create(&config, &vm[i]) == KVA_OK);
    for (size_t i = 0; i < 64; i++)
        child_that(kva_fault_reporter_add(vm[i]) == KVA_OK);
    child_that(kva_fault_reporter_add(vm[64]) == KVA_ENOSPC);
    child_that(kva_fault_reporter_add(vm[7]) == KVA_EEXIST);
    child_that(kva_fault_reporter_add(NULL) == KVA_ENULL);
    child_that(kva_fault_reporter_remove(vm[64]) == KVA_ENOENT);
    child_that(kva_fault_reporter_remove(NULL) == KVA_ENULL);
    child_that(kva_fault_reporter_remove(vm[7]) == KVA_OK);
    child_that(kva_fault_reporter_remove(vm[7]) == KVA_ENOENT);
    child_that(kva_fault_reporter_add(vm[64]) == KVA_OK);
    for (size_t i = 0; i < 65; i++)
        child_that(kva_fault_reporter_remove(vm[i]) == (i == 7 ? KVA_ENOENT : KVA_OK));
    child_that(sigaction(SIGSEGV, NULL, &after_all) == 0);
    child_that(before.sa_handler == after_all.sa_handler && before.sa_flags == after_all.sa_flags);
    for (size_t i = 0; i < 65; i++)
        child_that(kva_vm_destroy(vm[i], NULL, NULL) == KVA_OK);
    return 0;
}

static void test_reporter_list(void **state)
{
    struct kva_vm_config config = usual(KVA_MECHANISM_BEST);
    struct test_child child = test_in_child(fill_the_list, &config);

    (void)state;
    test_expect_success(&child, "list");
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
        cmocka_unit_test(test_guards_and_purged_memory_fault),
        cmocka_unit_test(test_hardened_memory_faults_at_once),
        cmocka_unit_test(test_eager_memory_faults_at_once),
        cmocka_unit_test(test_live_and_waiting_memory_does_not_fault),
        cmocka_unit_test(test_holes_fault_without_guards),
        cmocka_unit_test(test_sentences_of_areas),
        cmocka_unit_test(test_sentences_of_neighbours),
        cmocka_unit_test(test_sentences_in_holes),
        cmocka_unit_test(test_sentences_of_purged_neighbours),
        cmocka_unit_test(test_sentences_of_short_lived_maps),
        cmocka_unit_test(test_sentences_of_purged_areas),
        cmocka_unit_test(test_sentences_and_room),
        cmocka_unit_test(test_reporter_writes_the_sentence),
        cmocka_unit_test(test_reporter_leaves_other_handling_alone),
        cmocka_unit_test(test_reporter_knows_bus_errors),
        cmocka_unit_test(test_reporter_list),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
