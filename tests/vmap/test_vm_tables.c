/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The tables in which an instance and its page source keep what they know of pages. They take what areas
 * need, wherever these lie: no more locked memory, data, resident memory or core; and they go when the areas
 * go. Nothing runs into them: the first area has a closed page in front, and the tables themselves lie
 * between closed pages.
 *
 * What changes the process is done in a child. What needs the system's own word on memory is left out where
 * that is another program's (test_is_on_its_own).
 */
#define _GNU_SOURCE
#include "../common/harness.h"
#include "../common/vmap.h"

#include <kva/vmap.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../ports/linux/rows.h"
#include "../../ports/linux/tables.h"

static size_t page; /* bytes */

static struct kva_vm *instance(enum kva_mechanism mechanism, uint64_t reserve)
{
    struct kva_vm_config config = {.reservation = reserve, .pages = kva_pages_host(mechanism)};
    struct kva_vm *vm;

    return kva_vm_create(&config, &vm) == KVA_OK ? vm : NULL;
}

/** The largest reserve that an instance takes by default. */
static uint64_t most_reservation(void)
{
    return sizeof(void *) == 8 ? UINT64_C(1) << 40 : UINT64_C(512) << 20;
}

/** An area of some bytes, so far behind the reserve's beginning, or the next that is free. */
static enum kva_status take_at(struct kva_vm *vm, uint64_t offset, size_t size, unsigned char **memory)
{
    struct kva_vm_request request = kva_vm_request_of(size);
    void *taken = NULL;

    request.min = (uintptr_t)(test_vm_stats(vm).reservation_first + offset);
    enum kva_status status = kva_vm_alloc(vm, &request, &taken);
    *memory = taken;
    return status;
}

/* ------------------------------------------------------------------------------------------- rows of bits */

enum { TEST_BITS = 3 * ROW_PART_BITS + 100, PIECES = 6 };

struct row_model {
    struct sparse rows;
    struct sparse_part *directory;
    uint64_t *pieces;
    uint32_t next; /* piece that is taken next */
    bool bit[2][TEST_BITS];
};

static enum kva_status next_piece(void *context, void *handle, uint32_t *piece)
{
    struct row_model *model = handle;

    (void)context;
    if (model->next == PIECES)
        return KVA_ENOMEM;
    *piece = model->next++;
    return KVA_OK;
}

static void count_piece(void *context, void *handle, uint32_t piece)
{
    unsigned *count = context;

    (void)handle;
    *count += piece != 0;
}

static uint64_t model_changes(const bool *bit, uint64_t from, uint64_t end)
{
    uint64_t changes = 0;

    for (uint64_t i = from; i < end; i++)
        changes += bit[i] != (i > 0 && bit[i - 1]);
    return changes;
}

static void expect_same_answers(const struct row_model *model, unsigned row, uint64_t from, uint64_t end)
{
    const bool *bit = model->bit[row];
    enum row is = row == 0 ? ROW_ACCESSIBLE : ROW_PARTIAL_UNMAP;
    uint64_t count = 0;
    uint64_t first = end;
    uint64_t last[2] = {from, from};
    uint64_t run = from;

    for (uint64_t i = from; i < end; i++) {
        count += bit[i];
        first = bit[i] && first == end ? i : first;
        last[bit[i]] = i + 1;
        run += run == i && bit[i] == bit[from];
    }
    assert_int_equal(row_count(&model->rows, is, from, end), count);
    assert_int_equal(row_first(&model->rows, is, from, end), first);
    assert_int_equal(row_last_end(&model->rows, is, true, from, end), last[true]);
    assert_int_equal(row_last_end(&model->rows, is, false, from, end), last[false]);
    assert_int_equal(row_count_changes(&model->rows, is, from, end), model_changes(bit, from, end));
    assert_int_equal(row_end_of_run(&model->rows, is, from, end), run);
    assert_int_equal(row_bit(&model->rows, is, from), bit[from]);
}

/** A bit near the ends of parts more often than elsewhere. */
static uint64_t some_bit(struct test_rng *rng)
{
    uint64_t at = test_below(rng, TEST_BITS);

    if (test_one_in(rng, 2))
        at = ROW_PART_BITS * (1 + test_below(rng, 3)) + test_below(rng, 9) - 4;
    return at;
}

/** Rows against arrays of bool: ranges within a part, over one end and over two, where there are pieces
 *  and where there are none. */
static void test_rows(void **state)
{
    struct test_rng rng = test_rng_of(7101);
    struct row_model *model = calloc(1, sizeof *model);

    (void)state;
    assert_non_null(model);
    model->directory = calloc(4, sizeof *model->directory);
    model->pieces = calloc(PIECES, SPARSE_PIECE);
    assert_true(model->directory && model->pieces);
    model->next = 1;
    sparse_init(&model->rows, model->pieces, model->directory);
    for (uint64_t i = 0, rounds = test_scaled(400); i < rounds; i++) {
        uint64_t a = some_bit(&rng);
        uint64_t b = some_bit(&rng);
        uint64_t from = min_u64(a, b);
        uint64_t end = max_u64(a, b) + 1;
        unsigned row = (unsigned)test_below(&rng, 2);
        bool value = test_one_in(&rng, 2);
        if (i == rounds / 4) /* parts 0 and 2 first, the others later */
            assert_int_equal(sparse_ensure(&model->rows, 0, 1, next_piece, NULL, model), KVA_OK);
        if (i == rounds / 3)
            assert_int_equal(sparse_ensure(&model->rows, 2, 3, next_piece, NULL, model), KVA_OK);
        if (i == rounds / 2)
            assert_int_equal(sparse_ensure(&model->rows, 0, 4, next_piece, NULL, model), KVA_OK);
        row_set_range(&model->rows, row == 0 ? ROW_ACCESSIBLE : ROW_PARTIAL_UNMAP, from, end, value);
        for (uint64_t k = from; k < end; k++)
            model->bit[row][k] = value && sparse_has(&model->rows, k / ROW_PART_BITS);
        a = some_bit(&rng);
        b = some_bit(&rng);
        expect_same_answers(model, row, min_u64(a, b), max_u64(a, b) + 1);
    }
    for (size_t i = 0; i < PIECE_WORDS; i++)
        assert_int_equal(model->pieces[i], 0); /* piece 0 is nobody's */
    free(model->pieces);
    free(model->directory);
    free(model);
}

/** A refused piece changes nothing but what came before it; what is counted as used stays when the rest
 *  goes. */
static void test_sparse_table(void **state)
{
    struct row_model *model = calloc(1, sizeof *model);
    struct sparse_part directory[8] = {{0}};
    unsigned given = 0;

    (void)state;
    assert_non_null(model);
    model->next = PIECES - 2;
    sparse_init(&model->rows, model, directory);
    assert_int_equal(sparse_ensure(&model->rows, 3, 7, next_piece, NULL, model), KVA_ENOMEM);
    assert_int_equal(model->rows.taken, 2);
    assert_true(sparse_has(&model->rows, 3) && sparse_has(&model->rows, 4) && !sparse_has(&model->rows, 5));
    assert_int_equal(sparse_ensure(&model->rows, 3, 5, next_piece, NULL, model), KVA_OK);
    assert_int_equal(sparse_place(&model->rows, 3 * 10 + 7, 10), (PIECES - 2) * 10 + 7);
    assert_int_equal(sparse_place(&model->rows, 5 * 10 + 7, 10), 7);
    sparse_count(&model->rows, 4, 2, 0);
    sparse_count(&model->rows, 4, 0, 1);
    sparse_hide(&model->rows, 0);
    assert_true(!sparse_has(&model->rows, 3) && sparse_has(&model->rows, 4));
    sparse_give_ended(&model->rows, true, count_piece, &given, NULL); /* somebody reads: all is as it was */
    assert_int_equal(given, 0);
    assert_int_equal(sparse_place(&model->rows, 3 * 10 + 7, 10), (PIECES - 2) * 10 + 7);
    sparse_hide(&model->rows, 0);
    sparse_give_ended(&model->rows, false, count_piece, &given, NULL);
    assert_int_equal(given, 1);
    assert_true(!sparse_has(&model->rows, 3) && sparse_has(&model->rows, 4));
    sparse_count(&model->rows, 4, 0, 1);
    sparse_hide(&model->rows, 5);
    sparse_give_ended(&model->rows, false, count_piece, &given, NULL);
    assert_int_equal(given, 1);
    sparse_hide(&model->rows, 4);
    sparse_give_ended(&model->rows, false, count_piece, &given, NULL);
    assert_int_equal(given, 2);
    assert_int_equal(model->rows.taken, 0);
    free(model);
}

/* -------------------------------------------------------------------------------------- the host's pieces */

static int poke(void *address)
{
    test_poke(address, 1);
    return 0;
}

static bool write_faults(void *address)
{
    struct test_child child = test_in_child(poke, address);

    return child.signal == SIGSEGV || child.signal == SIGBUS;
}

static int peek(void *address)
{
    (void)test_try_lookup(address);
    return 0;
}

static bool read_faults(void *address)
{
    struct test_child child = test_in_child(peek, address);

    return child.signal == SIGSEGV || child.signal == SIGBUS;
}

static char *piece_at(const struct tables *tables, uint32_t piece)
{
    return tables->pieces + (size_t)piece * KVA_VM_PIECE;
}

/** Pieces: the lowest first, zero whatever was there before, closed when they are not in use; and both
 *  ends closed for ever. */
static void test_pieces(void **state)
{
    const struct tables_spec spec = {.page = page, .pieces = 40, .given = 2, .own = 100};
    struct tables tables;
    uint32_t piece;

    (void)state;
    assert_true(kva_port_tables_make(&tables, &spec));
    assert_int_equal(*tables.is_first_process, 1);
    assert_true(read_faults(tables.mapping));
    assert_true(read_faults(tables.mapping + tables.bytes - 1));
    assert_int_equal(*piece_at(&tables, 0), 0);
    memset(tables.own, 0x11, (size_t)spec.own);
    memset(piece_at(&tables, 1), 0x22, 2 * KVA_VM_PIECE); /* given */
    if (page <= KVA_VM_PIECE) {
        assert_true(write_faults(piece_at(&tables, 0)));
        assert_true(read_faults(piece_at(&tables, 30)));
    }
    for (uint32_t i = 3; i < 43; i++) {
        assert_true(kva_port_tables_take(&tables, &piece));
        assert_int_equal(piece, i);
        memset(piece_at(&tables, piece), 0x33, KVA_VM_PIECE);
    }
    assert_false(write_faults(piece_at(&tables, 42) + KVA_VM_PIECE - 1));
    for (uint32_t i = 10; i < 43; i++)
        kva_port_tables_give(&tables, i);
    kva_port_tables_give(&tables, 5);
    assert_true(kva_port_tables_take(&tables, &piece)); /* before a trim, too */
    assert_int_equal(piece, 5);
    for (size_t i = 0; i < KVA_VM_PIECE; i++)
        assert_int_equal(piece_at(&tables, 5)[i], 0);
    kva_port_tables_trim(&tables);
    if (page <= KVA_VM_PIECE)
        assert_true(read_faults(piece_at(&tables, 10)));
    for (uint32_t i = 10; i < 20; i++) {
        assert_true(kva_port_tables_take(&tables, &piece));
        assert_int_equal(piece, i);
        for (size_t k = 0; k < KVA_VM_PIECE; k += 64)
            assert_int_equal(piece_at(&tables, i)[k], 0);
    }
    assert_int_equal(piece_at(&tables, 9)[0], 0x33);
    kva_port_tables_end(&tables);
}

static bool limit_data(uint64_t value)
{
    struct rlimit was;

    if (getrlimit(RLIMIT_DATA, &was) != 0)
        return false;
    was.rlim_cur = (rlim_t)value;
    return setrlimit(RLIMIT_DATA, &was) == 0;
}

/** A piece that the system does not let us open is refused, and everything stays as it was; later there is
 *  one. */
static int be_refused_a_piece(void *context)
{
    const struct tables_spec spec = {.page = page, .pieces = 100, .own = 100};
    struct tables tables;
    uint32_t piece;
    uint32_t last = 0;

    (void)context;
    child_that(kva_port_tables_make(&tables, &spec));
    child_that(limit_data(test_data() + 20 * (uint64_t)KVA_VM_PIECE));
    while (kva_port_tables_take(&tables, &piece)) {
        child_that(piece == last + 1);
        last = piece;
        memset(piece_at(&tables, piece), 1, KVA_VM_PIECE);
    }
    child_that(last >= 20 && last <= 24); /* what was open from the beginning came first */
    child_that(limit_data(RLIM_INFINITY));
    child_that(kva_port_tables_take(&tables, &piece) && piece == last + 1);
    child_that(*piece_at(&tables, piece) == 0);
    return 0;
}

static void test_refused_pieces(void **state)
{
    (void)state;
    if (page > KVA_VM_PIECE || !test_is_on_its_own("what counts as data"))
        return;
    struct test_child child = test_in_child(be_refused_a_piece, NULL);
    test_expect_success(&child, "a refused piece");
}

enum { STREWN = 3000 };

/** How far apart areas lie of which each wants a piece of the table of its own. */
static uint64_t apart(void)
{
    return KVA_VM_PIECE / sizeof(void *) * (uint64_t)page;
}

/** Areas of a page each, so far apart; the number of those that could be had, at most. */
static size_t strew(struct kva_vm *vm, uint64_t step, unsigned char **areas, size_t most)
{
    struct kva_vm_stats stats = test_vm_stats(vm);
    uint64_t room = (stats.reservation_last - stats.reservation_first) / 4 * 3 - apart();
    size_t count = 0;

    while (count < most && count * step < room) {
        enum kva_status status = take_at(vm, count * step, page, &areas[count]);
        check_that(status == KVA_OK, "area %zu: %s", count, kva_status_name(status));
        areas[count][0] = (unsigned char)count;
        count++;
    }
    return count;
}

/* ----------------------------------------------------------------------------------------- what they cost */

static int lock_all(void *context)
{
    enum kva_mechanism mechanism = *(enum kva_mechanism *)context;

    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
        return 77;
    uint64_t before = test_resident();
    if (mechanism == KVA_MECHANISM_GUARDS)
        mechanism = KVA_MECHANISM_BEST; /* locked pages take no markers */
    struct kva_vm *vm = instance(mechanism, 0);
    if (!vm)
        return 77; /* it may not lock so many addresses */
    child_that(test_resident() <= before + TEST_MIB);
    unsigned char *memory = kva_vmalloc(vm, page);
    child_that(memory != NULL);
    memory[0] = 1;
    child_that(test_resident() <= before + TEST_MIB);
    child_that(kva_vfree(vm, memory) == KVA_OK && kva_vm_purge(vm) == KVA_OK);
    child_that(test_resident() <= before + TEST_MIB);
    child_that(kva_vm_check(vm, NULL) == KVA_OK && kva_vm_destroy(vm, NULL, NULL) == KVA_OK);
    return 0;
}

/** Where all memory is locked, as real-time programs do: an instance takes little of it. */
static void test_locked_memory(void **state)
{
    (void)state;
    if (test_is_on_its_own("how much memory is locked"))
        test_locking_on_each_mechanism(lock_all);
}

static int use_little_data(void *context)
{
    enum kva_mechanism mechanism = *(enum kva_mechanism *)context;
    uint64_t before = test_data();

    child_that(limit_data(before + 32 * TEST_MIB));
    struct kva_vm *vm = instance(mechanism, most_reservation());
    child_that(vm != NULL);
    struct kva_vm_stats stats = test_vm_stats(vm);
    child_that(stats.reservation_last - stats.reservation_first + 1 == most_reservation());
    child_that(test_data() <= before + TEST_MIB);
    unsigned areas = 0;
    for (unsigned char *memory; (memory = kva_vmalloc(vm, TEST_MIB)) != NULL; areas++)
        memory[0] = 1;
    child_that(kva_vm_status(vm) == KVA_ENOMEM);
    child_that(areas >= 28); /* of 32 MiB */
    child_that(kva_vm_check(vm, NULL) == KVA_OK);
    return 0;
}

/** Where data is limited, it is the areas that take it. */
static void test_limited_data(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    if (!test_is_on_its_own("limits on the process' data"))
        return;
    for_each_mechanism (mechanism, k) {
        struct test_child child = test_in_child(use_little_data, &mechanism);
        test_expect_success(&child, test_mechanism_name(mechanism));
    }
}

/** Bytes of the mappings outside [first, last] that a core would hold: those in which some page was
 *  written to, unless they are left out ("dd"). */
static uint64_t core_bytes(uint64_t first, uint64_t last)
{
    FILE *smaps = fopen("/proc/self/smaps", "r");
    struct test_mapping mapping;
    uint64_t sum = 0;

    if (smaps == NULL)
        return 0;
    while (test_next_mapping(smaps, &mapping)) {
        test_mapping_details(smaps, &mapping);
        bool is_outside = mapping.last < first || mapping.first > last;
        if (mapping.anonymous > 0 && strstr(mapping.flags, " dd") == NULL && is_outside)
            sum += mapping.last - mapping.first + 1;
    }
    fclose(smaps);
    return sum;
}

static int core_of_little(void *context)
{
    static unsigned char *areas[1000];
    uint64_t before = core_bytes(0, 0);
    struct kva_vm *vm = instance(*(enum kva_mechanism *)context, most_reservation());
    struct kva_vm_frames *frames;
    uint64_t number;

    child_that(vm != NULL && before > 0);
    struct kva_vm_stats stats = test_vm_stats(vm);
    unsigned char *memory = kva_vmalloc(vm, page);
    child_that(memory != NULL);
    memory[0] = 1;
    child_that(core_bytes(0, 0) >= before + page);         /* what is in the area */
    child_that(core_bytes(0, 0) <= before + 4 * TEST_MIB); /* a grain is 2 MiB */
    child_that(kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = UINT64_C(1) << 22},
                                    &frames) == KVA_OK);
    child_that(kva_vm_frames_alloc(frames, 1, &number) == KVA_OK && kva_vmap(vm, frames, &number, 1) != NULL);
    child_that(strew(vm, 5 * apart(), areas, 1000) > 0); /* 64 MiB of tables, on a 64-bit host */
    child_that(core_bytes(stats.reservation_first, stats.reservation_last) <= before + 4 * TEST_MIB);
    return 0;
}

static void test_cores(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    if (!test_is_on_its_own("what a core holds"))
        return;
    for_each_mechanism (mechanism, k) {
        struct test_child child = test_in_child(core_of_little, &mechanism);
        test_expect_success(&child, test_mechanism_name(mechanism));
    }
}

/** Whether the system writes cores as files into the folder that a program runs in. */
static bool has_core_files(void)
{
    char pattern[8] = "";
    FILE *file = fopen("/proc/sys/kernel/core_pattern", "r");
    struct rlimit limit;

    if (file != NULL && fgets(pattern, sizeof pattern, file) == NULL)
        pattern[0] = '\0';
    if (file != NULL)
        fclose(file);
    return strcmp(pattern, "core\n") == 0 && getrlimit(RLIMIT_CORE, &limit) == 0 &&
           limit.rlim_max == RLIM_INFINITY;
}

static int dump_core(void *context)
{
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    struct kva_vm *vm = instance(KVA_MECHANISM_BEST, 0);

    child_that(chdir(context) == 0 && setrlimit(RLIMIT_CORE, &all) == 0 && vm != NULL);
    unsigned char *memory = kva_vmalloc(vm, page);
    child_that(memory != NULL);
    memcpy(memory, "what an area holds", 19);
    (void)signal(SIGABRT, SIG_DFL);
    abort();
}

static bool file_holds(const char *path, const char *text)
{
    int file = open(path, O_RDONLY);
    struct stat status = {0};

    assert_true(file >= 0 && fstat(file, &status) == 0);
    void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    assert_true(bytes != MAP_FAILED);
    bool holds = memmem(bytes, (size_t)status.st_size, text, strlen(text) + 1) != NULL;
    (void)munmap(bytes, (size_t)status.st_size);
    (void)close(file);
    return holds;
}

/** A core of a program with one small area is short, and holds what is in the area. */
static void test_core_file(void **state)
{
    char folder[] = "/tmp/kva-core-XXXXXX";
    char path[64] = "";
    struct stat status = {0};

    (void)state;
    if (!test_is_on_its_own("cores"))
        return;
    if (!has_core_files()) {
        print_message("left out: a core, which this system does not write into the program's folder\n");
        return;
    }
    assert_non_null(mkdtemp(folder));
    struct test_child child = test_in_child(dump_core, folder);
    assert_int_equal(child.signal, SIGABRT);
    (void)snprintf(path, sizeof path, "%s/core", folder);
    if (stat(path, &status) != 0) { /* kernel.core_uses_pid, or a file system without room */
        print_message("left out: a core, of which there is none\n");
    } else {
        check_that((uint64_t)status.st_size < 32 * TEST_MIB, "%llu bytes",
                   (unsigned long long)status.st_size);
        assert_true(file_holds(path, "what an area holds"));
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

/* ----------------------------------------------------------------------------------------- where they lie */

/** How many mappings the process has that are not the reserve's. */
static size_t mappings_elsewhere(const struct kva_vm *vm)
{
    struct kva_vm_stats stats = test_vm_stats(vm);
    FILE *maps = fopen("/proc/self/maps", "r");
    struct test_mapping mapping;
    size_t count = 0;

    assert_non_null(maps);
    while (test_next_mapping(maps, &mapping))
        count += mapping.first + page < stats.reservation_first || mapping.first > stats.reservation_last;
    fclose(maps);
    return count;
}

static void gather(struct kva_vm *vm, unsigned char **areas, size_t from, size_t count)
{
    for (size_t i = from; i < count; i++) {
        assert_int_equal(areas[i][0], (unsigned char)i);
        assert_int_equal(kva_vfree(vm, areas[i]), KVA_OK);
    }
}

/** All calls that were made for an instance. */
static uint64_t calls_of(const struct kva_vm *vm)
{
    struct kva_vm_calls calls = test_vm_stats(vm).pages.calls;

    return calls.reserve + calls.open + calls.close + calls.map + calls.unmap + calls.frames + calls.tables;
}

/** The first area takes no call for tables: what it needs is open from the beginning. Later ones take one
 *  for each piece, at most, and a flush that gives nothing back takes none. */
static void test_calls_for_tables(void **state)
{
    enum kva_mechanism mechanism;
    unsigned char *far[2];

    (void)state;
    for_each_mechanism (mechanism, k) {
        struct kva_vm *vm = instance(mechanism, 64 * apart());
        assert_non_null(vm);
        uint64_t before = calls_of(vm);
        uint64_t tables = test_vm_stats(vm).pages.calls.tables;
        unsigned char *memory = kva_vmalloc(vm, page);
        assert_non_null(memory);
        assert_in_range(calls_of(vm) - before, 1, 2);
        assert_int_equal(test_vm_stats(vm).pages.calls.tables, tables);
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(take_at(vm, 10 * (i + 1) * apart(), page, &far[i]), KVA_OK);
        assert_in_range(test_vm_stats(vm).pages.calls.tables, tables,
                        tables + 4); /* with those of the rows */
        tables = test_vm_stats(vm).pages.calls.tables;
        assert_int_equal(kva_vm_purge(vm), KVA_OK);
        assert_int_equal(test_vm_stats(vm).pages.calls.tables, tables);
        assert_int_equal(kva_vm_abandon(vm, NULL, NULL), KVA_OK);
    }
}

struct heirs {
    struct kva_vm *vm;
    unsigned char **areas;
    size_t count;
    size_t mappings;
};

/** In a child of fork: the parent's areas are found, and tables grow and shrink. */
static int inherit(void *context)
{
    struct heirs *heirs = context;
    unsigned char *more[200];

    for (size_t i = 0; i < heirs->count; i++)
        child_that(kva_vm_usable_size(heirs->vm, heirs->areas[i]) == page);
    for (size_t i = 0; i < 200; i++)
        child_that(take_at(heirs->vm, (300 + i) * apart(), page, &more[i]) == KVA_OK);
    child_that(mappings_elsewhere(heirs->vm) <= heirs->mappings + 8);
    for (size_t i = 0; i < 200; i++)
        child_that(kva_vfree(heirs->vm, more[i]) == KVA_OK);
    for (size_t i = 0; i < heirs->count; i++)
        child_that(kva_vfree(heirs->vm, heirs->areas[i]) == KVA_OK);
    child_that(kva_vm_purge(heirs->vm) == KVA_OK && kva_vm_check(heirs->vm, NULL) == KVA_OK);
    return 0;
}

static void test_tables_of_a_child(void **state)
{
    static unsigned char *areas[200];
    enum kva_mechanism mechanism;

    (void)state;
    if (sizeof(void *) < 8 || !test_is_on_its_own("how many mappings tables take"))
        return;
    for_each_mechanism (mechanism, k) {
        struct heirs heirs = {.vm = instance(mechanism, 1024 * apart()), .areas = areas};
        assert_non_null(heirs.vm);
        heirs.count = strew(heirs.vm, apart(), areas, 200);
        heirs.mappings = mappings_elsewhere(heirs.vm);
        struct test_child child = test_in_child(inherit, &heirs);
        test_expect_success(&child, test_mechanism_name(mechanism));
        assert_int_equal(kva_vm_check(heirs.vm, NULL), KVA_OK);
        gather(heirs.vm, areas, 0, heirs.count);
        assert_int_equal(kva_vm_destroy(heirs.vm, NULL, NULL), KVA_OK);
    }
}

/** Areas all over the reserve, in an order and at distances that leave the tables as scattered as can be:
 *  few mappings while they live, hardly any memory once they are gone; what is left of them is found all
 *  the time. */
static void test_strewn_areas(void **state)
{
    static unsigned char *areas[STREWN];
    enum kva_mechanism mechanism;

    (void)state;
    if (!test_is_on_its_own("how much is resident, and how many mappings tables take"))
        return;
    for_each_mechanism (mechanism, k) {
        struct kva_vm *vm = instance(mechanism, most_reservation());
        assert_non_null(vm);
        assert_int_equal(kva_vfree(vm, kva_vmalloc(vm, page)), KVA_OK);
        assert_int_equal(kva_vm_purge(vm), KVA_OK);
        uint64_t before = test_resident();
        uint64_t tables = test_vm_stats(vm).table_bytes;
        size_t mappings = mappings_elsewhere(vm);
        for (unsigned round = 0; round < 2; round++) { /* the second time pieces are used again */
            size_t count = strew(vm, apart() * (round + 3), areas, test_is_brief() ? STREWN / 10 : STREWN);
            assert_true(count >= 2);
            assert_in_range(mappings_elsewhere(vm), 1, mappings + 8);
            assert_true(test_vm_stats(vm).table_bytes >= tables + (count - 1) * KVA_VM_PIECE);
            assert_int_equal(kva_vm_check(vm, NULL), KVA_OK);
            gather(vm, areas, count / 2, count);
            assert_int_equal(kva_vm_purge(vm), KVA_OK);
            assert_int_equal(kva_vm_check(vm, NULL), KVA_OK);
            assert_in_range(test_vm_stats(vm).table_bytes, tables, tables + count / 2 * KVA_VM_PIECE);
            gather(vm, areas, 0, count / 2);
            assert_int_equal(kva_vm_purge(vm), KVA_OK);
            assert_int_equal(test_vm_stats(vm).table_bytes, tables);
            assert_in_range(test_resident(), 0, before + TEST_MIB);
            assert_in_range(mappings_elsewhere(vm), 1, mappings + 8);
            assert_in_range(test_mappings(), 1, mappings + 20);
        }
        assert_int_equal(kva_vm_check(vm, NULL), KVA_OK);
        assert_int_equal(kva_vm_destroy(vm, NULL, NULL), KVA_OK);
    }
}

/** One area of half the reserve, of which no page is touched. */
static void test_one_large_area(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    if (!test_is_on_its_own("how much is resident"))
        return;
    for_each_mechanism (mechanism, k) {
        struct kva_vm *vm = instance(mechanism, most_reservation());
        assert_non_null(vm);
        assert_int_equal(kva_vfree(vm, kva_vmalloc(vm, page)), KVA_OK);
        assert_int_equal(kva_vm_purge(vm), KVA_OK);
        uint64_t before = test_resident();
        unsigned char *memory = kva_vmalloc(vm, (size_t)(most_reservation() / 2));
        if (memory == NULL) { /* where the system forbids to promise so much */
            assert_int_equal(kva_vm_status(vm), KVA_ENOMEM);
            print_message("left out: an area of half the reserve\n");
        } else {
            assert_int_equal(kva_vm_usable_size(vm, memory), most_reservation() / 2);
            assert_int_equal(kva_vfree(vm, memory), KVA_OK);
        }
        assert_int_equal(kva_vm_purge(vm), KVA_OK);
        assert_in_range(test_resident(), 0, before + TEST_MIB);
        assert_int_equal(kva_vm_check(vm, NULL), KVA_OK);
        assert_int_equal(kva_vm_destroy(vm, NULL, NULL), KVA_OK);
    }
}

/** Maps whose numbers lie in several pieces of their table, long ones and short ones. */
static void test_many_numbers(void **state)
{
    enum { FRAMES = 50, MAP = 6000, MAPS = 6 };
    static uint64_t numbers[MAP];
    struct test_vm test;

    (void)state;
    struct kva_vm_config config = test_vm_config(&test, KVA_MECHANISM_BEST);
    config.reservation = 16 * (uint64_t)MAP * page;
    config.frames_part = config.reservation / 2;
    struct kva_vm_frames *frames;
    uint64_t taken[FRAMES];
    void *maps[MAPS];
    void *ram[MAPS];
    test_vm_create(&test, &config);
    assert_int_equal(kva_vm_frames_create(test.vm, &(struct kva_vm_frames_config){.count = FRAMES}, &frames),
                     KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(frames, FRAMES, taken), KVA_OK);
    for (size_t i = 0; i < MAP; i++)
        numbers[i] = taken[i % FRAMES];
    uint64_t tables = test_vm_stats(test.vm).table_bytes;
    for (size_t i = 0; i < MAPS; i++) {
        assert_int_equal(kva_vm_map(test.vm, frames, numbers, MAP, 0, &maps[i]), KVA_OK);
        ram[i] = kva_map_ram(test.vm, frames, taken, FRAMES);
        assert_non_null(ram[i]);
    }
    test_vm_expect_sound(&test, "mapped");
    assert_true(test_vm_stats(test.vm).table_bytes > tables);
    for (size_t i = 0; i < MAPS; i++) {
        assert_int_equal(kva_unmap_ram(test.vm, ram[i]), KVA_OK);
        assert_ptr_equal(kva_map_ram(test.vm, frames, taken, FRAMES),
                         ram[i]); /* found again, by its numbers */
        assert_int_equal(kva_unmap_ram(test.vm, ram[i]), KVA_OK);
        assert_int_equal(kva_vunmap(test.vm, maps[i]), KVA_OK);
        test_vm_expect_sound(&test, "unmapped");
    }
    assert_int_equal(kva_vm_frames_free(frames, taken, FRAMES), KVA_OK); /* nobody maps them any more */
    assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
    test_vm_expect_sound(&test, "flushed");
    assert_in_range(test_vm_stats(test.vm).table_bytes, 0, tables + KVA_VM_PIECE);
    assert_int_equal(kva_vm_frames_destroy(frames), KVA_OK);
    test_vm_destroy(&test);
}

/* ----------------------------------------------------------------------------------------------- refusals */

/** Areas that each want pieces, while call n of the source is refused. What is refused leaves nothing, and
 *  can be had at once afterwards. False when there were fewer than n calls. */
static bool refuse_one(enum kva_mechanism mechanism, uint64_t n)
{
    const size_t step = (size_t)apart();
    const struct kva_part parts[] = {{0, page}, {2 * step, page}, {4 * step, page}};
    struct test_vm test;
    struct kva_vm_config config = test_vm_config(&test, mechanism);
    struct kva_vm_request anywhere = kva_vm_request_of(1);
    uint64_t taken[2];
    struct kva_vm_frames *frames;
    unsigned refusals = 0;

    config.reservation = 32 * step;
    config.frames_part = 8 * step;
    config.reservation_least = config.reservation;
    config.cache_bytes = KVA_VM_NONE;
    test_vm_create(&test, &config);
    assert_int_equal(kva_vm_frames_create(test.vm, &(struct kva_vm_frames_config){.count = 2}, &frames),
                     KVA_OK);
    assert_int_equal(kva_vm_frames_alloc(frames, 2, taken), KVA_OK);
    kva_failing_pages_fail(&test.pages, n, false);
    test.pages.status = n % 2 == 0 ? KVA_ENOMEM : KVA_ELIMIT;
    for (unsigned i = 0; i < 12; i++) {
        struct kva_vm_stats before = test_vm_stats(test.vm);
        struct kva_vm_request request = kva_vm_request_of(page);
        void *memory[3] = {NULL, NULL, NULL};
        enum kva_status status = KVA_OK;
        for (unsigned tries = 0; tries < 2; tries++) {
            request.min = (uintptr_t)before.reservation_first + (7 + i) * step;
            request.flags = KVA_VM_NO_BLOCK; /* or it would be tried again by the library */
            if (i < 6)
                status = kva_vm_alloc(test.vm, &request, &memory[0]);
            else if (i < 8)
                status = kva_vm_map(test.vm, frames, taken, 2, KVA_VM_NO_BLOCK, &memory[0]);
            else if (i == 8)
                status = kva_vm_alloc_congruent(test.vm, &anywhere, parts, 3, memory);
            else
                status = kva_vm_map_ram(test.vm, frames, taken, 2, &memory[0]);
            test_vm_expect_sound(&test, "refused or not");
            if (status == KVA_OK)
                break;
            assert_int_equal(status, test.pages.status);
            assert_int_equal(test_vm_stats(test.vm).live_bytes, before.live_bytes);
            assert_int_equal(test_vm_stats(test.vm).allocations, before.allocations);
            refusals++;
        }
        assert_int_equal(status, KVA_OK);
    }
    bool was_refused = test.pages.refused == 1;
    assert_true(refusals <= 1);
    assert_int_equal(kva_vm_abandon(test.vm, NULL, NULL), KVA_OK);
    test_vm_expect_nothing_lost(&test, "ended");
    assert_int_equal(test.pages.pieces, 0);
    return was_refused;
}

static void test_each_piece_refused(void **state)
{
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        uint64_t n = 1;
        while (refuse_one(mechanism, n))
            n++;
        assert_true(n > 20);
    }
}

/* --------------------------------------------------------------------------------------- what is in front */

static void expect_closed_front(const struct kva_vm *vm, unsigned char *first, const char *what)
{
    struct kva_vm_stats stats = test_vm_stats(vm);

    check_that((uintptr_t)first == stats.reservation_first, "%s: first at %p", what, (void *)first);
    check_that(write_faults(first - 1) && read_faults(first - 1), "%s: the byte before the first area", what);
    check_that(write_faults(first - page), "%s: the page before the first area", what);
    check_that(!write_faults(first), "%s: the first byte", what);
    check_that(write_faults((unsigned char *)(uintptr_t)stats.reservation_last), "%s: the last byte", what);
}

/** A touch in front of the first area faults, in large and small reserves, anywhere and in windows that
 *  leave room for nothing else. */
static void test_in_front_of_the_first_area(void **state)
{
    const uint64_t mib[] = {1, 16, 64, 1024};
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        for (size_t i = 0; i < sizeof mib / sizeof mib[0]; i++) {
            struct kva_vm_config config = {.reservation = mib[i] * TEST_MIB,
                                           .reservation_least = TEST_MIB / 2,
                                           .pages = kva_pages_host(mechanism)};
            struct kva_vm *vm;
            if (sizeof(void *) < 8 && mib[i] > 512)
                continue;
            assert_int_equal(kva_vm_create(&config, &vm), KVA_OK);
            expect_closed_front(vm, kva_vmalloc(vm, page), "anywhere");
            struct kva_vm_stats stats = test_vm_stats(vm);
            assert_int_equal(kva_vm_abandon(vm, NULL, NULL), KVA_OK);

            config.min =
                (uintptr_t)stats.reservation_first; /* a window with room for that, and nothing in front */
            config.max = (uintptr_t)stats.reservation_last;
            assert_int_equal(kva_vm_create(&config, &vm), KVA_OK);
            assert_int_equal(test_vm_stats(vm).reservation_first, stats.reservation_first + page);
            assert_int_equal(test_vm_stats(vm).reservation_last, stats.reservation_last);
            expect_closed_front(vm, kva_vmalloc(vm, page), "in a window");
            assert_int_equal(kva_vm_check(vm, NULL), KVA_OK);
            assert_int_equal(kva_vm_abandon(vm, NULL, NULL), KVA_OK);
        }
    }
}

/** Short-lived maps side by side, 512 pages in each group. 17 groups lie over the end of a piece of the
 *  table; 33, over one of the numbers'. */
struct groups {
    size_t count;
    size_t maps;    /* in each */
    uint32_t pages; /* of a map */
};

enum { MOST_MAPS = 17 * 512 };

/** Make the maps, and leave one in each group: the first. */
static void map_and_unmap(struct kva_vm *vm, struct kva_vm_frames *frames, const uint64_t *numbers,
                          const struct groups *groups, bool is_first_round)
{
    static void *maps[MOST_MAPS];

    for (size_t i = 0; i < groups->count * groups->maps; i++) {
        if (i % groups->maps == 0 && !is_first_round)
            continue;
        maps[i] = kva_map_ram(vm, frames, numbers, groups->pages);
        assert_non_null(maps[i]);
        *(unsigned *)maps[i] = 1;
    }
    for (size_t i = 0; i < groups->count * groups->maps; i++) {
        if (i % groups->maps != 0)
            assert_int_equal(kva_unmap_ram(vm, maps[i]), KVA_OK);
    }
}

/** With one map left in each group, the rest of the pieces goes back at a flush, and is there again when
 *  maps come. */
static void test_flush_between_maps(void **state)
{
    const uint32_t pages = test_is_brief() ? 8 : 1;
    const struct groups layouts[] = {{17, 512 / pages, pages}, {33, 8, 64}};
    enum kva_mechanism mechanism;

    (void)state;
    for_each_mechanism (mechanism, k) {
        for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
            struct kva_vm *vm = instance(mechanism, 1024 * TEST_MIB);
            struct kva_vm_frames *frames;
            uint64_t numbers[64];
            if (!vm)
                continue;
            assert_int_equal(kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = 64}, &frames),
                             KVA_OK);
            assert_int_equal(kva_vm_frames_alloc(frames, 64, numbers), KVA_OK);
            for (unsigned round = 0; round < 3; round++) {
                map_and_unmap(vm, frames, numbers, &layouts[i], round == 0);
                assert_int_equal(kva_vm_purge(vm), KVA_OK);
                assert_int_equal(kva_vm_check(vm, NULL), KVA_OK);
            }
            assert_int_equal(kva_vm_abandon(vm, NULL, NULL), KVA_OK);
        }
    }
}

/** The closed page takes no huge page: the first of the reserve can be had. */
static void test_first_huge_page(void **state)
{
    struct kva_vm *vm = instance(KVA_MECHANISM_BEST, 64 * TEST_MIB);
    uint64_t huge = kva_pages_host(KVA_MECHANISM_BEST).huge;

    (void)state;
    assert_non_null(vm);
    if (huge != 0 && huge <= 8 * TEST_MIB) {
        unsigned char *memory = kva_vmalloc_huge(vm, (size_t)huge);
        assert_int_equal((uintptr_t)memory, test_vm_stats(vm).reservation_first);
        assert_int_equal((uintptr_t)memory % huge, 0);
        assert_int_equal(kva_vfree(vm, memory), KVA_OK);
    }
    assert_int_equal(kva_vm_destroy(vm, NULL, NULL), KVA_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_sparse_table),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_refused_pieces),
        cmocka_unit_test(test_locked_memory),
        cmocka_unit_test(test_limited_data),
        cmocka_unit_test(test_cores),
        cmocka_unit_test(test_core_file),
        cmocka_unit_test(test_calls_for_tables),
        cmocka_unit_test(test_tables_of_a_child),
        cmocka_unit_test(test_strewn_areas),
        cmocka_unit_test(test_one_large_area),
        cmocka_unit_test(test_many_numbers),
        cmocka_unit_test(test_each_piece_refused),
        cmocka_unit_test(test_in_front_of_the_first_area),
        cmocka_unit_test(test_flush_between_maps),
        cmocka_unit_test(test_first_huge_page),
    };
    page = test_page();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
