/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The reader of strace logs: every form of a line that it must understand, and for every way in which a log
 * can be broken, the line, the column and the words of the complaint.
 */
#define _GNU_SOURCE /* fmemopen */
#include "common/harness.h"
#include "replay/strace.h"

#include <stdlib.h>
#include <string.h>

static bool read_bytes(const char *bytes, size_t length, struct strace_log *log, struct strace_error *error)
{
    FILE *in = fmemopen((void *)(uintptr_t)bytes, length, "r");
    assert_non_null(in);
    bool good = strace_read(in, log, error);
    fclose(in);
    return good;
}

/** Read a log that must be good. */
static struct strace_log read_good(const char *text)
{
    struct strace_log log;
    struct strace_error error;
    bool good = read_bytes(text, strlen(text), &log, &error);
    check_that(good, "%s -> line %" PRIu64 ", column %zu: %s", text, error.line, error.column, error.message);
    return log;
}

static void check_op(const struct strace_op *op, enum strace_call call, enum strace_outcome outcome,
                     uint64_t result)
{
    assert_int_equal(op->call, call);
    assert_int_equal(op->outcome, outcome);
    assert_int_equal(op->result, result);
}

/* --------------------------------------------------------------------------------------------- good lines */

static void test_mmap(void **state)
{
    (void)state;
    struct strace_log log = read_good(
        "13927 1795401547.274299 mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = "
        "0x7f19e36fe000\n"
        "13927 1795401547.274529 mmap(0x7f19e3537000, 1400832, PROT_READ|PROT_EXEC, "
        "MAP_PRIVATE|MAP_FIXED|MAP_DENYWRITE, 3, 0x26000) = 0x7f19e3537000\n");
    assert_int_equal(log.count, 2);
    check_op(&log.ops[0], STRACE_MMAP, STRACE_DONE, 0x7f19e36fe000);
    assert_int_equal(log.ops[0].address, 0);
    assert_int_equal(log.ops[0].length, 8192);
    assert_int_equal(log.ops[0].pid, 13927);
    assert_int_equal(log.ops[0].time_ns, UINT64_C(1795401547274299000));
    assert_int_equal(log.ops[0].flags, 0);
    check_op(&log.ops[1], STRACE_MMAP, STRACE_DONE, 0x7f19e3537000);
    assert_int_equal(log.ops[1].flags, STRACE_FIXED);
    assert_int_equal(log.ops[1].line, 2);
    assert_true(log.timed);
    strace_log_fini(&log);
}

/** Flags by name, by number, with what strace says about bits that it does not know. */
static void test_flags(void **state)
{
    (void)state;
    static const struct {
        const char *flags;
        unsigned expected;
    } cases[] = {
        {"MAP_PRIVATE|MAP_ANONYMOUS|MAP_GROWSDOWN|MAP_STACK", 0},
        {"MAP_PRIVATE|MAP_FIXED", STRACE_FIXED},
        {"MAP_PRIVATE|MAP_FIXED_NOREPLACE", STRACE_NOREPLACE},
        {"MAP_PRIVATE|0x10", STRACE_FIXED},
        {"0x100022", STRACE_NOREPLACE},
        {"MAP_PRIVATE|0x4000000 /* MAP_??? */", 0},
        {"MAP_PRIVATE|MAP_HUGETLB|30<<MAP_HUGE_SHIFT", 0},
        {"0x22 /* MAP_PRIVATE|MAP_ANONYMOUS */", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        snprintf(text, sizeof text, "mmap(0x5000, 10, PROT_NONE, %s, 4</lib/x->y>, 0) = 0x5000\n",
                 cases[i].flags);
        struct strace_log log = read_good(text);
        assert_int_equal(log.count, 1);
        check_that(log.ops[0].flags == cases[i].expected, "%s -> %u", cases[i].flags, log.ops[0].flags);
        strace_log_fini(&log);
    }
}

static void test_other_calls(void **state)
{
    (void)state;
    struct strace_log log =
        read_good("munmap(0x7f0000, 43835) = 0\n"
                  "mremap(0x7f0000, 4096, 9000, MREMAP_MAYMOVE) = 0x800000\n"
                  "mremap(0x7f0000, 4096, 8192, MREMAP_MAYMOVE|MREMAP_FIXED, 0x900000) = 0x900000\n"
                  "brk(NULL)                               = 0x203da000\n"
                  "brk(0x203fb123) = 0x203fb123 <0.000012>\n"
                  "mprotect(0x539000, 12288, PROT_READ) = 0\n"
                  "execve(\"/bin/x\", [\"x\", \") = 0\"], 0x7ff /* 3 vars */) = 0\n"
                  "vfork() = 7\n"
                  "fork() = 8\n"
                  "clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7) = 9\n"
                  "clone3({flags=CLONE_VM|CLONE_FS, stack=0x7} => {parent_tid=[10]}, 88) = 10\n"
                  "openat(AT_FDCWD, \"/a) = \", O_RDONLY) = 3</a>\n");
    static const enum strace_call calls[] = {STRACE_MUNMAP, STRACE_MREMAP,   STRACE_MREMAP, STRACE_BRK,
                                             STRACE_BRK,    STRACE_MPROTECT, STRACE_EXECVE, STRACE_FORK,
                                             STRACE_FORK,   STRACE_FORK,     STRACE_FORK};
    assert_int_equal(log.count, sizeof calls / sizeof calls[0]);
    for (size_t i = 0; i < log.count; i++)
        assert_int_equal(log.ops[i].call, calls[i]);
    assert_int_equal(log.others, 1);
    assert_int_equal(log.ops[0].length, 43835);
    assert_int_equal(log.ops[1].flags, STRACE_MAYMOVE);
    assert_int_equal(log.ops[1].new_length, 9000);
    assert_int_equal(log.ops[2].new_address, 0x900000);
    assert_int_equal(log.ops[4].address, 0x203fb123);
    assert_int_equal(log.ops[7].flags, STRACE_SHARED_VM);
    assert_int_equal(log.ops[8].flags, 0);
    assert_int_equal(log.ops[9].flags, 0);
    check_op(&log.ops[10], STRACE_FORK, STRACE_DONE, 10);
    assert_int_equal(log.ops[10].flags, STRACE_SHARED_VM);
    assert_false(log.timed);
    strace_log_fini(&log);
}

static void test_outcomes(void **state)
{
    (void)state;
    struct strace_log log =
        read_good("mmap(NULL, 0, PROT_NONE, MAP_PRIVATE, 3, 0) = -1 EINVAL (Invalid argument)\n"
                  "munmap(0x1, 0) = -1 EINVAL (Invalid argument)\n"
                  "brk(0x5000) = ?\n"
                  "vfork() = ? ERESTARTNOINTR (To be restarted)\n"
                  "mmap(NULL, 1, PROT_NONE, MAP_PRIVATE, 3, 0 <detached ...>\n"
                  "1 munmap(0x1000, 1 <unfinished ...>\n"
                  "1 +++ killed by SIGKILL (core dumped) +++\n"
                  "--- SIGCHLD {si_signo=SIGCHLD} ---\n"
                  "+++ exited with 0 +++\n");
    check_op(&log.ops[0], STRACE_MMAP, STRACE_FAILED, 0);
    check_op(&log.ops[1], STRACE_MUNMAP, STRACE_FAILED, 0);
    check_op(&log.ops[2], STRACE_BRK, STRACE_NEVER, 0);
    check_op(&log.ops[3], STRACE_FORK, STRACE_NEVER, 0);
    check_op(&log.ops[4], STRACE_MMAP, STRACE_NEVER, 0);
    check_op(&log.ops[5], STRACE_MUNMAP, STRACE_NEVER, 0);
    check_op(&log.ops[6], STRACE_EXIT, STRACE_DONE, 0);
    check_op(&log.ops[7], STRACE_EXIT, STRACE_DONE, 0);
    assert_int_equal(log.count, 8);
    assert_int_equal(log.signals, 1);
    strace_log_fini(&log);
}

/** munmap and fork stand where they began, all else where it ended. */
static void test_halves(void **state)
{
    (void)state;
    struct strace_log log =
        read_good("1 1000000001.1 munmap(0x1000, 4096 <unfinished ...>\n"
                  "2 1000000001.2 mmap(NULL, 1, PROT_NONE, MAP_SHARED, -1, 0 <unfinished ...>\n"
                  "3 1000000001.3 brk(0x3000 <unfinished ...>\n"
                  "4 1000000001.35 futex(0x3000, 1, <unfinished ...>\n"
                  "3 1000000001.4 <... brk resumed>) = 0x3000\n"
                  "2 1000000001.5 <... mmap resumed> ) = 0x1000\n"
                  "4 1000000001.55 <... futex resumed>) = ?\n"
                  "1 1000000001.6 <... munmap resumed>) = 0\n");
    assert_int_equal(log.count, 3);
    check_op(&log.ops[0], STRACE_MUNMAP, STRACE_DONE, 0);
    check_op(&log.ops[1], STRACE_BRK, STRACE_DONE, 0x3000);
    check_op(&log.ops[2], STRACE_MMAP, STRACE_DONE, 0x1000);
    assert_int_equal(log.ops[0].time_ns, UINT64_C(1000000001100000000));
    assert_int_equal(log.ops[1].time_ns, UINT64_C(1000000001400000000));
    assert_int_equal(log.ops[2].pid, 2);
    assert_int_equal(log.ops[2].line, 2);
    assert_int_equal(log.resumed, 4);
    assert_int_equal(log.others, 1);
    strace_log_fini(&log);
}

/** An execve by a thread that is not the first: it goes on under the first one's number. */
static void test_superseded(void **state)
{
    (void)state;
    struct strace_log log = read_good("1 futex(0x7 <unfinished ...>\n"
                                      "2 execve(\"x\", [\"x\"], 0x7 /* 1 var */ <unfinished ...>\n"
                                      "1 +++ superseded by execve in pid 2 +++\n"
                                      "1 <... execve resumed>) = 0\n");
    assert_int_equal(log.count, 2);
    check_op(&log.ops[0], STRACE_EXIT, STRACE_DONE, 0);
    assert_int_equal(log.ops[0].pid, 2);
    check_op(&log.ops[1], STRACE_EXECVE, STRACE_DONE, 0);
    assert_int_equal(log.ops[1].pid, 1);
    strace_log_fini(&log);
}

/** What strace writes to a terminal: numbers in brackets, only while there are several processes, and notes
 *  in the middle of lines. */
static void test_terminal(void **state)
{
    (void)state;
    struct strace_log log = read_good("brk(NULL) = 0x1000\n"
                                      "vfork(strace: Process 72 attached\n"
                                      " <unfinished ...>\n"
                                      "[pid    72] brk(NULL) = 0x2000\n"
                                      "[pid    71] <... vfork resumed>) = 72\n"
                                      "[pid    72] +++ exited with 0 +++\n"
                                      "clone(child_stack=NULL, flags=SIGCHLDstrace: Process 73 attached\n"
                                      ", child_tidptr=0x7) = 73\n"
                                      "strace: Process 73 detached\n"
                                      "brk(0x2000) = 0x2000\n");
    assert_int_equal(log.count, 6);
    check_op(&log.ops[1], STRACE_FORK, STRACE_DONE, 72);
    assert_int_equal(log.ops[1].pid, 0);
    assert_int_equal(log.ops[2].pid, 72);
    assert_int_equal(log.ops[3].call, STRACE_EXIT);
    check_op(&log.ops[4], STRACE_FORK, STRACE_DONE, 73);
    assert_int_equal(log.ops[5].pid, 0);
    strace_log_fini(&log);
}

static void test_times(void **state)
{
    (void)state;
    struct strace_log log = read_good("23:59:58 brk(NULL) = 0x1000\n"
                                      "23:59:59.5 brk(NULL) = 0x1000\n"
                                      "7 00:00:01.000001 brk(NULL) = 0x1000\n"
                                      "[pid 7] 12:00:00.25 brk(NULL) = 0x1000\n");
    assert_int_equal(log.ops[1].time_ns - log.ops[0].time_ns, UINT64_C(1500000000));
    assert_int_equal(log.ops[2].time_ns - log.ops[1].time_ns, UINT64_C(1500001000));
    assert_int_equal(log.ops[3].time_ns - log.ops[2].time_ns, UINT64_C(43199249999000));
    strace_log_fini(&log);
}

/** strace -r: each time counts from the line before, and blanks fill it up. */
static void test_relative_times(void **state)
{
    (void)state;
    struct strace_log log = read_good("     0.000000 brk(NULL) = 0x1000\n"
                                      "     1.500000 read(3) = 0\n"
                                      "12345.000001 brk(NULL) = 0x1000\n"
                                      "7         0.250000 brk(NULL) = 0x1000\n");
    assert_int_equal(log.ops[1].time_ns - log.ops[0].time_ns, UINT64_C(12346500001000));
    assert_int_equal(log.ops[2].time_ns - log.ops[1].time_ns, UINT64_C(250000000));
    assert_int_equal(log.ops[2].pid, 7);
    strace_log_fini(&log);
}

/** An error's words in parentheses may be missing. */
static void test_errors_without_words(void **state)
{
    (void)state;
    struct strace_log log = read_good("brk(NULL) = -1 ENOMEM\nmunmap(0x1, 1) = -1 EINVAL <0.000007>\n");
    check_op(&log.ops[0], STRACE_BRK, STRACE_FAILED, 0);
    check_op(&log.ops[1], STRACE_MUNMAP, STRACE_FAILED, 0);
    strace_log_fini(&log);
}

/* -------------------------------------------------------------------------------------------- broken logs */

#define GOOD "1 brk(NULL) = 0x1000\n"

static const struct {
    const char *text;
    unsigned line;
    unsigned column;
    const char *words;
} broken[] = {
    /* the log as a whole */
    {"1 brk(NULL) = 0x1000", 1, 21, "cut off"},
    {GOOD "1 brk(NU", 2, 9, "cut off"},
    {GOOD "\n", 2, 1, "expected the name of a call"},
    {GOOD "1 munmap(0x1000, 1 <unfinished ...>\n" GOOD, 3, 3, "line 2"},
    {GOOD "1 munmap(0x1000, 1 <unfinished ...>\n2 brk(NULL) = 0x1000\n", 2, 19, "never ends"},
    {"1 munmap(0x1000, 1 <unfinished ...>\n1 brk(NULL <unfinished ...>\n", 2, 3, "line 1"},
    {GOOD "1 <... brk resumed>) = 0x1000\n", 2, 8, "no beginning"},
    {"1 brk(NULL <unfinished ...>\n1 <... mmap resumed>) = 0x1000\n", 2, 8, "line 1"},
    {"1 brk(NULL <unfinished ...>\n1 <... brk done>) = 0x1000\n", 2, 11, "' resumed>'"},
    /* an error in either half of a call */
    {"1 brk(NOLL <unfinished ...>\n1 <... brk resumed>) = 0x1000\n", 1, 7, "found 'NOLL'"},
    {"1 brk(NULL <unfinished ...>\n1 <... brk resumed>) = 12\n", 2, 24, "an address"},
    {"1 brk(NULL <unfinished ...>\n1 <... brk resumed>\n", 2, 20, "found the end of the line"},
    /* prefixes */
    {"[pid x] brk(NULL) = 0x1000\n", 1, 6, "a process number"},
    {"[pid 0] brk(NULL) = 0x1000\n", 1, 6, "from 1 to 2^32 - 1"},
    {"[pid 3 brk(NULL) = 0x1000\n", 1, 7, "']'"},
    {"4294967296 brk(NULL) = 0x1000\n", 1, 1, "from 1 to 2^32 - 1"},
    {"99999999999999999999 brk(NULL) = 0x1000\n", 1, 1, "fits 64 bits"},
    {"1x brk(NULL) = 0x1000\n", 1, 1, "a process number"},
    {"1 12.x brk(NULL) = 0x1000\n", 1, 6, "a fraction of a second"},
    {"1 99999999999.5 brk(NULL) = 0x1000\n", 1, 3, "the year 2554"},
    {"1 24:00:00 brk(NULL) = 0x1000\n", 1, 11, "a time of day"},
    {"1 12:00 brk(NULL) = 0x1000\n", 1, 8, "':'"},
    {"1 12.5brk(NULL) = 0x1000\n", 1, 7, "' '"},
    /* bodies */
    {"1 \n", 1, 3, "the name of a call"},
    {"1 brk\n", 1, 6, "'('"},
    {"1 \x01\x02\n", 1, 3, "found '?'"},
    {"1 +++ vanished +++\n", 1, 7, "'exited with'"},
    {"1 +++ exited with x +++\n", 1, 19, "an exit code"},
    {"1 +++ exited with 0\n", 1, 20, "' +++'"},
    {"1 +++ exited with 0 +++!\n", 1, 24, "the end of the line"},
    {"1 +++ killed by SIGKILL\n", 1, 24, "' +++'"},
    {"1 +++ superseded by execve in pid 2 +++\n", 1, 35, "a thread"},
    {"1 --- SIGCHLD {\n", 1, 16, "' ---'"},
    {"strace: something is wrong\n", 1, 1, "'strace: Process '"},
    {"strace: Process 0 attached\n", 1, 17, "from 1 to 2^32 - 1"},
    {"strace: Process 7 vanished\n", 1, 18, "' attached'"},
    {"vfork(strace: Process 7 attached\nbrk(NULL) = 0x1000\n", 2, 1, "')'"},
    /* other calls need a result, too */
    {"1 read(3, \"\", 1\n", 1, 16, "a result"},
    {"1 execve(\"x\")\n", 1, 14, "a result"},
    /* arguments */
    {"mmap(0xg, 1, PROT_NONE, MAP_PRIVATE, -1, 0) = 0x1000\n", 1, 6, "an address"},
    {"mmap(0x, 1, PROT_NONE, MAP_PRIVATE, -1, 0) = 0x1000\n", 1, 6, "an address"},
    {"mmap(NULL 1, PROT_NONE, MAP_PRIVATE, -1, 0) = 0x1000\n", 1, 10, "', '"},
    {"mmap(NULL, many, PROT_NONE, MAP_PRIVATE, -1, 0) = 0x1000\n", 1, 12, "a length"},
    {"mmap(NULL, 18446744073709551616, PROT_NONE, MAP_PRIVATE, -1, 0) = 0x1000\n", 1, 12, "fits 64 bits"},
    {"mmap(NULL, 1, PORT_NONE, MAP_PRIVATE, -1, 0) = 0x1000\n", 1, 15, "a flag PROT_"},
    {"mmap(NULL, 1, PROT_, MAP_PRIVATE, -1, 0) = 0x1000\n", 1, 20, "the name of a flag"},
    {"mmap(NULL, 1, PROT_NONE, MAP_PRIVATE|, -1, 0) = 0x1000\n", 1, 38, "a flag MAP_"},
    {"mmap(NULL, 1, PROT_NONE, 3<<, -1, 0) = 0x1000\n", 1, 29, "the name of a shift"},
    {"mmap(NULL, 1, PROT_NONE, MAP_PRIVATE /* ?, -1, 0) = 0x1000\n", 1, 59, "', '"},
    {"mmap(NULL, 1, PROT_NONE, MAP_PRIVATE, x, 0) = 0x1000\n", 1, 39, "a file descriptor"},
    {"mmap(NULL, 1, PROT_NONE, MAP_PRIVATE, 3</x, 0) = 0x1000\n", 1, 56, "'>'"},
    {"mmap(NULL, 1, PROT_NONE, MAP_PRIVATE, -1, y) = 0x1000\n", 1, 43, "an offset"},
    {"mmap(NULL, 1, PROT_NONE, MAP_PRIVATE, -1, 0, 0) = 0x1000\n", 1, 44, "')'"},
    {"mremap(0x1000, 1, 1, MREMAP_FIXED) = 0x1000\n", 1, 34, "the new address"},
    {"mremap(0x1000, 1, 1, MAP_FIXED) = 0x1000\n", 1, 22, "a flag MREMAP_"},
    {"clone(child_stack=NULL) = 7\n", 1, 7, "'flags='"},
    {"clone(xflags=0) = 7\n", 1, 7, "'flags='"},
    /* results */
    {"brk(NULL) 0x1000\n", 1, 11, "'= '"},
    {"brk(NULL) =0x1000\n", 1, 11, "'= '"},
    {"brk(NULL) = 0x1000 \n", 1, 19, "the end of the line"},
    {"brk(NULL) = 0x1000\r\n", 1, 19, "carriage return"},
    {GOOD "\r\n", 2, 1, "tr -d '\\r'"},
    {"   brk(NULL) = 0x1000\n", 1, 1, "found ' '"},
    {"brk(NULL) = -1\n", 1, 15, "' E'"},
    {"brk(NULL) = -1 ENOMEM!\n", 1, 22, "the end of the line"},
    {"brk(NULL) = -1 ENOMEM (Cannot\n", 1, 30, "')'"},
    {"brk(NULL) = 0x1000 <0.1\n", 1, 24, "'>'"},
    {"munmap(0x1000, 1) = 1\n", 1, 21, "0, -1 or ?"},
    {"fork() = x\n", 1, 10, "a process number"},
    {"fork() = 0\n", 1, 10, "from 1 to 2^32 - 1"},
    /* what no kernel lets succeed */
    {"mmap(NULL, 0, PROT_NONE, MAP_PRIVATE, -1, 0) = 0x1000\n", 1, 12, "above 0"},
    {"mmap(NULL, 1, PROT_NONE, MAP_PRIVATE, -1, 0) = 0x1001\n", 1, 48, "multiple of 4096"},
    {"mmap(NULL, 4097, PROT_NONE, MAP_PRIVATE, -1, 0) = 0xfffffffffffff000\n", 1, 12, "below 2^64"},
    {"mmap(NULL, 18446744073709551615, PROT_NONE, MAP_PRIVATE, -1, 0) = 0x0\n", 1, 12, "below 2^64"},
    {"mmap(0x2000, 1, PROT_NONE, MAP_FIXED, -1, 0) = 0x1000\n", 1, 48, "MAP_FIXED asks"},
    {"munmap(0x1800, 1) = 0\n", 1, 8, "multiple of 4096"},
    {"munmap(0x1000, 0) = 0\n", 1, 16, "above 0"},
    {"mremap(0x1001, 1, 1, 0) = 0x1000\n", 1, 8, "multiple of 4096"},
    {"mremap(0x1000, 1, 0, 0) = 0x1000\n", 1, 19, "above 0"},
    {"mremap(0x1000, 1, 1, MREMAP_FIXED, 0x3000) = 0x1000\n", 1, 46, "MREMAP_FIXED asks"},
    {"brk(NULL) = 0xffffffffffffffff\n", 1, 13, "below the last page"},
};

static void test_broken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        const char *text = broken[i].text;
        struct strace_log log;
        struct strace_error error;
        check_that(!read_bytes(text, strlen(text), &log, &error), "was read: %s", text);
        check_that(error.line == broken[i].line && error.column == broken[i].column &&
                       strstr(error.message, broken[i].words) != NULL && !error.refused,
                   "%s -> line %" PRIu64 ", column %zu: %s", text, error.line, error.column, error.message);
        check_that(log.ops == NULL && log.count == 0, "something is left of: %s", text);
    }
}

/** No byte sequence but a log is one; zero bytes are shown as '?'. */
static void test_binary(void **state)
{
    (void)state;
    static const char bytes[] = "\x7f"
                                "ELF\0\0\0\n";
    struct strace_log log;
    struct strace_error error;
    assert_false(read_bytes(bytes, sizeof bytes - 1, &log, &error));
    assert_int_equal(error.line, 1);
    assert_int_equal(error.column, 1);
    assert_string_equal(error.excerpt, "?ELF???");
}

static void test_empty(void **state)
{
    (void)state;
    struct strace_log log;
    struct strace_error error;
    FILE *in = fopen("/dev/null", "r");
    assert_non_null(in);
    assert_false(strace_read(in, &log, &error));
    fclose(in);
    assert_int_equal(error.line, 0);
    assert_string_equal(error.message, "the log is empty");
}

/** A line without an end does not take memory without an end. */
static void test_long_line(void **state)
{
    (void)state;
    size_t length = STRACE_LINE_MAX + 2;
    char *bytes = malloc(length);
    struct strace_log log;
    struct strace_error error;
    assert_non_null(bytes);
    memset(bytes, 'a', length);
    bytes[length - 1] = '\n';
    assert_false(read_bytes(bytes, length, &log, &error));
    assert_int_equal(error.line, 1);
    assert_int_equal(error.column, STRACE_LINE_MAX + 1);
    assert_non_null(strstr(error.message, "at most 262144 bytes"));
    bytes[0] = 'b'; /* one byte less fits, and is read: it is the text that is wrong then */
    bytes[length - 2] = '\n';
    assert_false(read_bytes(bytes, length - 1, &log, &error));
    assert_non_null(strstr(error.message, "expected '('"));
    free(bytes);
}

/** The message, the line, and a caret under the column, also for a column far to the right. */
static void test_error_text(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    struct strace_log log;
    struct strace_error error;
    static const char line[] =
        "mmap(NULL, 1, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE|MAP_POPULATE|"
        "MAP_STACK|MAP_LOCKED, x, 0) = 0x1000\n";
    assert_false(read_bytes("munmap(0, 1)\t\n", 14, &log, &error));
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    strace_error_print(out, "a.log", &error);
    assert_false(read_bytes(line, sizeof line - 1, &log, &error));
    strace_error_print(out, "b.log", &error);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(
        text, "a.log:1:13: expected '= ', found '?'\n"
              "    munmap(0, 1)?\n"
              "                ^\n"
              "b.log:1:101: expected a file descriptor, found 'x'\n"
              "    RIVATE|MAP_ANONYMOUS|MAP_NORESERVE|MAP_POPULATE|MAP_STACK|MAP_LOCKED, x, 0) = 0x1000\n"
              "                                                                          ^\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mmap),           cmocka_unit_test(test_flags),
        cmocka_unit_test(test_other_calls),    cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_halves),         cmocka_unit_test(test_superseded),
        cmocka_unit_test(test_terminal),       cmocka_unit_test(test_times),
        cmocka_unit_test(test_relative_times), cmocka_unit_test(test_errors_without_words),
        cmocka_unit_test(test_broken),         cmocka_unit_test(test_binary),
        cmocka_unit_test(test_empty),          cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_error_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
