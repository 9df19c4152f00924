/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The tables that an instance and its page source keep about pages. Tables take memory for existing areas
 * only, wherever these lie: locked memory, data, resident memory and core files stay small. They are given
 * back with the areas. Stray writes do not reach them: the first area has a closed page in front, and the
 * tables lie between closed pages.
 *
 * Tests that change the process run in a child. Tests that need the system's figures on memory are left out
 * where these describe another program (test_is_on_its_own).
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

static struct kva_vm *instance(enum kva_mechanism mechanism, uint64_t reservation)
{
    struct kva_vm_config config = {.reservation = reservation, .pages = kva_pages_host(mechanism)};
    struct kva_vm *vm;

    return kva_vm_create(&config, &vm) == KVA_OK ? vm : NULL;
}

/** The largest default reservation. */
static uint64_t most_reservation(void)
{
    return sizeof(void *) == 8 ? UINT64_C(1) << 40 : UINT64_C(512) << 20;
}

/** Allocate an area at `offset` in the reservation, or at the next free address. */
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
    uint32_t next; /* the next piece */
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

static void expect_same_bits(const struct row_model *model, unsigned row, uint64_t from, uint64_t end)
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

/** A random bit; those near the ends of parts are more frequent. */
static uint64_t some_bit(struct test_rng *rng)
{
    uint64_t at = test_below(rng, TEST_BITS);

    if (test_one_in(rng, 2))
        at = ROW_PART_BITS * (1 + test_below(rng, 3)) + test_below(rng, 9) - 4;
    return at;
}

/** Compare rows with arrays of bool: ranges within a part and over one or two ends, with and without
 *  pieces. */
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
        expect_same_bits(model, row, min_u64(a, b), max_u64(a, b) + 1);
    }
    for (size_t i = 0; i < PIECE_WORDS; i++)
        assert_int_equal(model->pieces[i], 0); /* piece 0 is never written */
    free(model->pieces);
    free(model->directory);
    free(model);
}

/** If a piece is refused, the pieces taken before it remain. Used pieces remain when the others are given
 *  back. */
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
    sparse_give_ended(&model->rows, true, count_piece, &given, NULL); /* with a reader, nothing changes */
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

static int write_byte(void *address)
{
    test_write_byte(address, 1);
    return 0;
}

static bool write_faults(void *address)
{
    struct test_child child = test_in_child(write_byte, address);

    return child.signal == SIGSEGV || child.signal == SIGBUS;
}

static int read_byte(void *address)
{
    (void)test_read_byte(address);
    return 0;
}

static bool read_faults(void *address)
{
    struct test_child child = test_in_child(read_byte, address);

    return child.signal == SIGSEGV || child.signal == SIGBUS;
}

static char *piece_at(const struct tables *tables, uint32_t piece)
{
    return tables->pieces + (size_t)piece * KVA_VM_PIECE;
}

/** Pieces are taken lowest first, read as zero whatever they held before, and are closed when not in use.
 *  Both ends are always closed. */
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
    memset(piece_at(&tables, 1), 0x22, 2 * KVA_VM_PIECE); /* the given pieces */
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
    assert_true(kva_port_tables_take(&tables, &piece)); /* also before a trim */
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

/** If the system refuses to open a piece, nothing changes. Later a piece can be taken. */
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
    child_that(last >= 20 && last <= 24); /* pieces that were open from the beginning come first */
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

enum { SCATTERED = 3000 };

/** The distance of areas that each need their own piece of the table. */
static uint64_t apart(void)
{
    return KVA_VM_PIECE / sizeof(void *) * (uint64_t)page;
}

/** Allocate up to `most` areas of one page, `step` apart. Returns their number. */
static size_t scatter(struct kva_vm *vm, uint64_t step, unsigned char **areas, size_t most)
{
    struct kva_vm_stats stats = test_vm_stats(vm);
    uint64_t room = (stats.reservation_last - stats.reservation_first) / 4 * 3 - apart();
    size_t count = 0;

    while (count < most && count * step < room) {
        enum kva_status status = take_at(vm, count * step, page, &areas[count]);
        check_that(status == KVA_OK, "area %zu: KVA_OK expected, %s returned", count,
                   kva_status_name(status));
        areas[count][0] = (unsigned char)count;
        count++;
    }
    return count;
}

/* -------------------------------------------------------------------------------------------------- costs */

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

/** In a process that locks all its memory, as real-time programs do, an instance takes little of it. */
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

/** If data is limited, areas can use most of it. */
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

/** Bytes of the mappings outside [first, last] that a core contains: those with a written page, unless
 *  excluded ("dd"). */
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

static int expect_small_core(void *context)
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
    child_that(core_bytes(0, 0) >= before + page);         /* the contents of the area */
    child_that(core_bytes(0, 0) <= before + 4 * TEST_MIB); /* a grain is 2 MiB */
    child_that(kva_vm_frames_create(vm, &(struct kva_vm_frames_config){.count = UINT64_C(1) << 22},
                                    &frames) == KVA_OK);
    child_that(kva_vm_frames_alloc(frames, 1, &number) == KVA_OK && kva_vmap(vm, frames, &number, 1) != NULL);
    child_that(scatter(vm, 5 * apart(), areas, 1000) > 0); /* 64 MiB of tables, on a 64-bit host */
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
        struct test_child child = test_in_child(expect_small_core, &mechanism);
        test_expect_success(&child, test_mechanism_name(mechanism));
    }
}

/** Whether the system writes cores as files into the working directory. */
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

/** The core of a program with one small area is small, and contains the area. */
static void test_core_file(void **state)
{
    char folder[] = "/tmp/kva-core-XXXXXX";
    char path[64] = "";
    struct stat status = {0};

    (void)state;
    if (!test_is_on_its_own("cores"))
        return;
    if (!has_core_files()) {
        print_message(
            "left out, because this system does not write cores into the working directory: a core file\n");
        return;
    }
    assert_non_null(mkdtemp(folder));
    struct test_child child = test_in_child(dump_core, folder);
    assert_int_equal(child.signal, SIGABRT);
    (void)snprintf(path, sizeof path, "%s/core", folder);
    if (stat(path, &status) != 0) { /* kernel.core_uses_pid, or a file system without room */
        print_message("left out, because no core was written: a core file\n");
    } else {
        check_that((uint64_t)status.st_size < 32 * TEST_MIB, "a core below 32 MiB expected, %llu bytes found",
                   (unsigned long long)status.st_size);
        assert_true(file_holds(path, "what an area holds"));
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

/* ---------------------------------------------------------------------------------------------- addresses */

/** Count the process' mappings outside the reservation. */
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

/** All calls of the page source for an instance. */
static uint64_t calls_of(const struct kva_vm *vm)
{
    struct kva_vm_calls calls = test_vm_stats(vm).pages.calls;

    return calls.reserve + calls.open + calls.close + calls.map + calls.unmap + calls.frames + calls.tables;
}

/** The first area takes no call for tables: the pieces that it needs are open from the beginning. Later areas
 *  take at most one call for each piece. A purge that gives nothing back takes none. */
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
        /* Including those of the rows. */
        assert_in_range(test_vm_stats(vm).pages.calls.tables, tables, tables + 4);
        tables = test_vm_stats(vm).pages.calls.tables;
        assert_int_equal(kva_vm_purge(vm), KVA_OK);
        assert_int_equal(test_vm_stats(vm).pages.calls.tables, tables);
        assert_int_equal(kva_vm_abandon(vm, NULL, NULL), KVA_OK);
    }
}

struct inherited {
    struct kva_vm *vm;
    unsigned char **areas;
    size_t count;
    size_t mappings;
};

/** In a child of fork, the parent's areas are found, and tables grow and shrink. */
static int inherit(void *context)
{
    struct inherited *inherited = context;
    unsigned char *more[200];

    for (size_t i = 0; i < inherited->count; i++)
        child_that(kva_vm_usable_size(inherited->vm, inherited->areas[i]) == page);
    for (size_t i = 0; i < 200; i++)
        child_that(take_at(inherited->vm, (300 + i) * apart(), page, &more[i]) == KVA_OK);
    child_that(mappings_elsewhere(inherited->vm) <= inherited->mappings + 8);
    for (size_t i = 0; i < 200; i++)
        child_that(kva_vfree(inherited->vm, more[i]) == KVA_OK);
    for (size_t i = 0; i < inherited->count; i++)
        child_that(kva_vfree(inherited->vm, inherited->areas[i]) == KVA_OK);
    child_that(kva_vm_purge(inherited->vm) == KVA_OK && kva_vm_check(inherited->vm, NULL) == KVA_OK);
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
        struct inherited inherited = {.vm = instance(mechanism, 1024 * apart()), .areas = areas};
        assert_non_null(inherited.vm);
        inherited.count = scatter(inherited.vm, apart(), areas, 200);
        inherited.mappings = mappings_elsewhere(inherited.vm);
        struct test_child child = test_in_child(inherit, &inherited);
        test_expect_success(&child, test_mechanism_name(mechanism));
        assert_int_equal(kva_vm_check(inherited.vm, NULL), KVA_OK);
        gather(inherited.vm, areas, 0, inherited.count);
        assert_int_equal(kva_vm_destroy(inherited.vm, NULL, NULL), KVA_OK);
    }
}

/** Areas all over the reservation, so far apart that each needs its own piece. They take few mappings while
 *  they are live, and hardly any memory after they are freed. The remaining ones are always found. */
static void test_scattered_areas(void **state)
{
    static unsigned char *areas[SCATTERED];
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
        for (unsigned round = 0; round < 2; round++) { /* the second round reuses pieces */
            size_t count =
                scatter(vm, apart() * (round + 3), areas, test_is_brief() ? SCATTERED / 10 : SCATTERED);
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

/** One area of half the reservation, never touched. */
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
        if (memory == NULL) { /* the system does not permit so much */
            assert_int_equal(kva_vm_status(vm), KVA_ENOMEM);
            print_message(
                "left out, because the system does not permit so much: an area of half the reservation\n");
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

/** Long and short maps whose numbers lie in several pieces of their table. */
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
        /* Found again by its numbers. */
        assert_ptr_equal(kva_map_ram(test.vm, frames, taken, FRAMES), ram[i]);
        assert_int_equal(kva_unmap_ram(test.vm, ram[i]), KVA_OK);
        assert_int_equal(kva_vunmap(test.vm, maps[i]), KVA_OK);
        test_vm_expect_sound(&test, "unmapped");
    }
    assert_int_equal(kva_vm_frames_free(frames, taken, FRAMES), KVA_OK); /* no map refers to them */
    assert_int_equal(kva_vm_purge(test.vm), KVA_OK);
    test_vm_expect_sound(&test, "purged");
    assert_in_range(test_vm_stats(test.vm).table_bytes, 0, tables + KVA_VM_PIECE);
    assert_int_equal(kva_vm_frames_destroy(frames), KVA_OK);
    test_vm_destroy(&test);
}

/* ----------------------------------------------------------------------------------------------- refusals */

/** Allocate areas that each need pieces, while call n of the source is refused. A refused request leaves
 *  nothing, and succeeds when repeated. Returns false if there were fewer than n calls. */
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
            request.flags = KVA_VM_NO_BLOCK; /* else the library would retry */
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

/* -------------------------------------------------------------------------------------- the page in front */

static void expect_closed_front(const struct kva_vm *vm, unsigned char *first, const char *what)
{
    struct kva_vm_stats stats = test_vm_stats(vm);

    check_that((uintptr_t)first == stats.reservation_first,
               "%s: the first area is at %p, not at the beginning", what, (void *)first);
    check_that(write_faults(first - 1) && read_faults(first - 1),
               "%s: a touch of the byte before the first area does not fault", what);
    check_that(write_faults(first - page), "%s: a write to the page before the first area does not fault",
               what);
    check_that(!write_faults(first), "%s: a write to the first byte faults", what);
    check_that(write_faults((unsigned char *)(uintptr_t)stats.reservation_last),
               "%s: a write to the last byte does not fault", what);
}

/** A touch in front of the first area faults, in large and small reservations, at any address and in windows
 *  without further room. */
static void test_page_before_first_area(void **state)
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

            /* A window with room for the reservation and nothing else. */
            config.min = (uintptr_t)stats.reservation_first;
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

/** Neighbouring short-lived maps, 512 pages in each group. 17 groups cross the end of a piece of the table;
 *  33 groups cross one of the numbers' table. */
struct groups {
    size_t count;
    size_t maps;    /* of a group */
    uint32_t pages; /* of a map */
};

enum { MOST_MAPS = 17 * 512 };

/** Make the maps, and keep the first one of each group. */
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

/** With one map in each group, a purge gives the other pieces back; new maps take pieces again. */
static void test_purge_between_maps(void **state)
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

/** The closed page in front takes no huge page: the first huge page of the reservation can be allocated. */
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
        cmocka_unit_test(test_scattered_areas),
        cmocka_unit_test(test_one_large_area),
        cmocka_unit_test(test_many_numbers),
        cmocka_unit_test(test_each_piece_refused),
        cmocka_unit_test(test_page_before_first_area),
        cmocka_unit_test(test_purge_between_maps),
        cmocka_unit_test(test_first_huge_page),
    };
    page = test_page();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
