/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Instances, children and facts from the kernel, for the tests of vmap. */
#define _DEFAULT_SOURCE
#include "vmap.h"

#include <kva/report.h>
#include <signal.h>
#include <stdio.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

bool test_under_valgrind(void)
{
    static int known = -1;

    if (known < 0) {
        const char *preload = getenv("LD_PRELOAD");
        known = preload != NULL && strstr(preload, "vgpreload") != NULL;
    }
    return known == 1;
}

/** An emulator accepts advice that no kernel knows. */
bool test_is_emulated(void)
{
    size_t page = test_page();
    void *probe = mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(probe, MAP_FAILED);
    bool granted = madvise(probe, page, 0x7fff) == 0;
    munmap(probe, page);
    return granted;
}

/** gcc defines a macro, clang a feature. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TEST_TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) && !defined(TEST_TSAN)
#define TEST_TSAN 1
#endif
#ifndef TEST_TSAN
#define TEST_TSAN 0
#endif

static const char *surrounding_program(void)
{
    if (TEST_ASAN || TEST_TSAN)
        return "a sanitizer";
    if (test_under_valgrind())
        return "valgrind";
    return test_is_emulated() ? "an emulator" : NULL;
}

bool test_is_on_its_own(const char *what)
{
    const char *other = surrounding_program();

    if (other != NULL && what != NULL)
        print_message("left out under %s, which has mappings, memory and limits of its own: %s\n", other,
                      what);
    return other == NULL;
}

bool test_can_reach_map_limit(const char *what)
{
    uint64_t allowed = test_number_in("/proc/sys/vm/max_map_count", 0);
    bool is_usual = allowed >= 16384 && allowed <= 200000;

    if (!test_is_on_its_own(what))
        return false;
    if (!is_usual)
        print_message("left out, because the limit on mappings is %" PRIu64 " here: %s\n", allowed, what);
    return is_usual;
}

size_t test_page(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* ---------------------------------------------------------------------------------------------- instances */

const char *test_mechanism_name(enum kva_mechanism mechanism)
{
    return mechanism == KVA_MECHANISM_GUARDS ? "guard regions" : "protected mappings";
}

static bool kernel_has(enum kva_mechanism mechanism)
{
    struct kva_vm_config config = {.reservation = 16 * TEST_MIB, .pages = kva_pages_host(mechanism)};
    struct kva_vm *vm;
    enum kva_status status = kva_vm_create(&config, &vm);

    if (status == KVA_OK)
        assert_int_equal(kva_vm_destroy(vm, NULL, NULL), KVA_OK);
    else
        assert_int_equal(status, KVA_ENOENT);
    return status == KVA_OK;
}

bool test_mechanism(size_t index, enum kva_mechanism *mechanism)
{
    static int guards = -1;

    if (guards < 0) {
        guards = kernel_has(KVA_MECHANISM_GUARDS);
        if (!guards)
            print_message("no guard regions here: only protected mappings are tested\n");
    }
    *mechanism = guards && index == 0 ? KVA_MECHANISM_GUARDS : KVA_MECHANISM_MAPPINGS;
    return index < (guards ? 2 : 1);
}

void test_count_fault(void *context, const struct kva_fault *fault)
{
    struct test_hooks *hooks = context;

    if (fault->status == KVA_ECORRUPT) {
        print_error("corruption: %s: %s at %#" PRIx64 "\n", fault->where, fault->what, fault->address);
        hooks->corruptions++;
        return;
    }
    hooks->misuses++;
    hooks->last = *fault;
}

struct kva_vm_config test_vm_config(struct test_vm *test, enum kva_mechanism mechanism)
{
    struct kva_vm_config config = {0};
    struct kva_pages host = kva_pages_host(mechanism);

    memset(test, 0, sizeof(*test));
    config.reservation = 64 * TEST_MIB;
    config.frames_part = 32 * TEST_MIB;
    config.seed = test_seed();
    config.cpus = 2;
    config.memory = kva_failing_memory_init(&test->memory);
    config.pages = kva_failing_pages_init(&test->pages, &host);
    config.on_misuse = test_count_fault;
    config.on_corruption = test_count_fault;
    config.hook_context = &test->hooks;
    return config;
}

void test_vm_create(struct test_vm *test, const struct kva_vm_config *config)
{
    enum kva_status status = kva_vm_create(config, &test->vm);
    check_that(status == KVA_OK, "an instance expected, %s returned", kva_status_name(status));
}

void test_vm_destroy(struct test_vm *test)
{
    assert_int_equal(kva_vm_destroy(test->vm, NULL, NULL), KVA_OK);
    assert_int_equal(test->hooks.misuses, 0);
    assert_int_equal(test->hooks.corruptions, 0);
    test_vm_expect_nothing_lost(test, "ended");
    test->vm = NULL;
}

void test_vm_expect_nothing_lost(const struct test_vm *test, const char *what)
{
    const struct kva_failing_pages *pages = &test->pages;

    check_that(test->memory.blocks == 0, "%s: %zu blocks of memory were not given back", what,
               test->memory.blocks);
    check_that(pages->reservations == 0 && pages->frame_sets == 0 && pages->tables == 0,
               "%s: %" PRIu64 " reservations, %" PRIu64 " frame sets, %" PRIu64 " tables", what,
               pages->reservations, pages->frame_sets, pages->tables);
    check_that(pages->open_pages == 0 && pages->mapped_pages == 0,
               "%s: %" PRIu64 " pages open, %" PRIu64 " mapped", what, pages->open_pages,
               pages->mapped_pages);
}

void test_vm_forgive(struct test_vm *test)
{
    memset(&test->hooks.last, 0, sizeof(test->hooks.last));
    test->hooks.misuses = 0;
}

void test_vm_expect_sound(const struct test_vm *test, const char *what)
{
    struct kva_fault fault = {.what = ""};
    enum kva_status status = kva_vm_check(test->vm, &fault);

    check_that(status == KVA_OK, "%s: %s at %#" PRIx64, what, fault.what, fault.address);
    check_that(test->hooks.corruptions == 0, "%s: %u calls of the corruption hook, none expected", what,
               test->hooks.corruptions);
}

struct kva_vm_stats test_vm_stats(const struct kva_vm *vm)
{
    struct kva_vm_stats stats;
    assert_int_equal(kva_vm_stats_read(vm, &stats), KVA_OK);
    return stats;
}

struct text {
    char *bytes;
    size_t length;
    size_t room;
};

static void add_line(void *context, const char *line, size_t length)
{
    struct text *text = context;

    assert_int_equal(strlen(line), length);
    assert_null(strchr(line, '\n'));
    if (text->room - text->length < length + 2) {
        text->room = 2 * text->room + length + 2;
        text->bytes = realloc(text->bytes, text->room);
        assert_non_null(text->bytes);
    }
    memcpy(text->bytes + text->length, line, length);
    text->length += length;
    text->bytes[text->length++] = '\n';
    text->bytes[text->length] = '\0';
}

char *test_vm_report(const struct kva_vm *vm)
{
    struct text text = {NULL, 0, 0};

    assert_int_equal(kva_vm_report(vm, add_line, &text), KVA_OK);
    assert_non_null(text.bytes); /* the totals, at least */
    return text.bytes;
}

/* ----------------------------------------------------------------------------------------------- the host */

size_t test_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    size_t lines = 0;

    assert_non_null(maps);
    for (int c; (c = fgetc(maps)) != EOF;)
        lines += c == '\n';
    fclose(maps);
    return lines;
}

bool test_next_mapping(FILE *maps, struct test_mapping *mapping)
{
    char line[1024];

    while (fgets(line, sizeof line, maps) != NULL) {
        char *at;
        mapping->first = strtoull(line, &at, 16);
        if (*at != '-') /* a detail of the previous mapping */
            continue;
        mapping->last = strtoull(at + 1, &at, 16) - 1;
        snprintf(mapping->about, sizeof mapping->about, "%.63s", at);
        mapping->anonymous = 0;
        mapping->flags[0] = '\0';
        return true;
    }
    return false;
}

void test_mapping_details(FILE *smaps, struct test_mapping *mapping)
{
    static const char anonymous[] = "Anonymous:";
    char *line = mapping->flags;

    while (fgets(line, sizeof mapping->flags, smaps) != NULL && strncmp(line, "VmFlags:", 8) != 0) {
        if (strncmp(line, anonymous, sizeof anonymous - 1) == 0)
            mapping->anonymous = strtoull(line + sizeof anonymous - 1, NULL, 10);
    }
}

uint64_t test_number_in(const char *path, unsigned index)
{
    char text[256] = "";
    FILE *file = fopen(path, "r");
    uint64_t number = 0;

    if (file == NULL)
        return 0;
    char *at = fgets(text, sizeof(text), file);
    fclose(file);
    for (unsigned i = 0; at != NULL && i <= index; i++)
        number = strtoull(at, &at, 10);
    return number;
}

/** Number `index` of /proc/self/statm, in bytes. */
static uint64_t statm(unsigned index)
{
    return test_number_in("/proc/self/statm", index) * test_page();
}

/** From the page tables. Before Linux 6.2 the kernel's counters, in statm, lag by up to 64 pages for each
 * kind of page and thread. They are used where the file is missing. */
static uint64_t resident_now(void)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    uint64_t kib = 0;
    char line[256];

    while (file && kib == 0 && fgets(line, sizeof(line), file))
        kib = strncmp(line, "Rss:", 4) == 0 ? strtoull(line + 4, NULL, 10) : 0;
    if (file)
        fclose(file);
    return kib != 0 ? kib * TEST_KIB : statm(1);
}

/** The value of two equal readings in a row: while the kernel's thread for huge pages waits for the process'
 * mappings, a reading starts again in their middle, and may omit some (seen on Linux 6.1). */
uint64_t test_resident(void)
{
    uint64_t before = resident_now();
    uint64_t now = resident_now();

    for (unsigned i = 0; i < 20 && now != before; i++) {
        before = now;
        now = resident_now();
    }
    return now;
}

uint64_t test_addresses(void)
{
    return statm(0);
}

uint64_t test_data(void)
{
    return statm(5);
}

/* ----------------------------------------------------------------------------------------------- children */

__attribute__((noinline, no_sanitize("address", "undefined"))) unsigned char
test_read_byte(const void *address)
{
    return *(const volatile unsigned char *)address;
}

__attribute__((noinline, no_sanitize("address", "undefined"))) void test_write_byte(void *address,
                                                                                    unsigned char value)
{
    *(volatile unsigned char *)address = value;
}

void test_child_fail(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: %s\n", file, line, condition);
    fflush(stderr);
    _exit(99);
}

/** cmocka handles some signals, and a sanitizer may: the child restores the default, to die as a plain
 * program does. */
static _Noreturn void be_child(test_child_work *work, void *context, int out)
{
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

    for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
        signal(deadly[i], SIG_DFL);
    dup2(out, STDERR_FILENO);
    close(out);
    alarm(test_patience(60));
    _exit(work(context));
}

static void read_all(int in, char *text, size_t room)
{
    char rest[256];
    size_t length = 0;
    ssize_t got;

    while (length < room - 1 && (got = read(in, text + length, room - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = '\0';
    while (read(in, rest, sizeof(rest)) > 0)
        continue;
}

struct test_child test_in_child(test_child_work *work, void *context)
{
    struct test_child child = {0};
    int ends[2];
    int status;

    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        be_child(work, context, ends[1]);
    }
    close(ends[1]);
    read_all(ends[0], child.text, sizeof(child.text));
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    child.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    child.code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    return child;
}

void test_expect_success(const struct test_child *child, const char *what)
{
    check_that(child->signal == 0 && child->code == 0, "%s: signal %d, code %d: %s", what, child->signal,
               child->code, child->text);
}

void test_locking_on_each_mechanism(test_child_work *work)
{
    enum kva_mechanism mechanism;

    if (!test_is_on_its_own("locked pages"))
        return;
    for_each_mechanism (mechanism, k) {
        struct test_child child = test_in_child(work, &mechanism);
        if (child.code == 77)
            print_message("left out: locked pages, which the system does not allow\n");
        else
            test_expect_success(&child, test_mechanism_name(mechanism));
    }
}

/* ----------------------------------------------------------------------------------------------- mappings */

struct test_crowd test_crowd_in(uint64_t left)
{
    struct test_crowd crowd = {NULL, 0};
    uint64_t allowed = test_number_in("/proc/sys/vm/max_map_count", 0);
    uint64_t now = test_mappings();
    size_t page = test_page();

    if (allowed <= now + left)
        return crowd;
    crowd.bytes = (size_t)(allowed - now - left) * page;
    crowd.first = mmap(NULL, crowd.bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (crowd.first == MAP_FAILED)
        return (struct test_crowd){NULL, 0};
    for (size_t at = 0; at < crowd.bytes; at += 2 * page)
        mprotect(crowd.first + at, page, PROT_READ);
    return crowd;
}

void test_leave(const struct test_crowd *crowd)
{
    if (crowd->first != NULL)
        munmap(crowd->first, crowd->bytes);
}

bool test_is_closed(const void *address)
{
    int ends[2];

    child_that(pipe(ends) == 0);
    bool refused = write(ends[1], address, 1) < 0 && errno == EFAULT;
    close(ends[0]);
    close(ends[1]);
    return refused;
}
