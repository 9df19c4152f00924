/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The reader of strace logs: every form of a line that it must understand, and for every kind of error the
 * line, the column and the words of the message. A strict reader refuses a broken log; a tolerant one skips
 * the line, and counts it by kind.
 */
#define _GNU_SOURCE /* fmemopen, fopencookie */
#include "common/harness.h"
#include "replay/strace.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static bool read_as(bool strict, const char *bytes, size_t length, struct strace_log *log,
                    struct strace_error *error)
{
    FILE *in = fmemopen((void *)(uintptr_t)bytes, length, "r");
    assert_non_null(in);
    bool good = strace_read(in, strict, log, error);
    fclose(in);
    return good;
}

static bool read_strictly(const char *bytes, size_t length, struct strace_log *log,
                          struct strace_error *error)
{
    return read_as(true, bytes, length, log, error);
}

/** Read a log that may have odd lines. */
static struct strace_log read_tolerantly(const char *text)
{
    struct strace_log log;
    struct strace_error error;
    bool good = read_as(false, text, strlen(text), &log, &error);
    check_that(good, "%s -> line %" PRIu64 ", column %zu: %s", text, error.line, error.column, error.message);
    return log;
}

/** Read a log without odd lines: both readers read the same. */
static struct strace_log read_good(const char *text)
{
    struct strace_log tolerant = read_tolerantly(text);
    struct strace_log log;
    struct strace_error error;
    bool good = read_strictly(text, strlen(text), &log, &error);
    check_that(good, "%s -> line %" PRIu64 ", column %zu: %s", text, error.line, error.column, error.message);
    assert_int_equal(log.count, tolerant.count);
    if (log.count != 0)
        assert_memory_equal(log.ops, tolerant.ops, log.count * sizeof *log.ops);
    assert_int_equal(log.lines, tolerant.lines);
    assert_int_equal(log.others, tolerant.others);
    assert_int_equal(log.timed, tolerant.timed);
    check_that(strace_skipped_lines(&tolerant) == 0, "%" PRIu64 " lines skipped of: %s",
               strace_skipped_lines(&tolerant), text);
    strace_log_fini(&tolerant);
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

/** Flags by name, by number, and with strace's comments on unknown bits. */
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

/** munmap and fork are placed where they began, all other calls where they ended; mremap and brk have an
 *  entry where they began. */
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
    assert_int_equal(log.count, 4);
    check_op(&log.ops[0], STRACE_MUNMAP, STRACE_DONE, 0);
    check_op(&log.ops[1], STRACE_UNDER_WAY, STRACE_DONE, 2); /* refers to the next operation */
    check_op(&log.ops[2], STRACE_BRK, STRACE_DONE, 0x3000);
    check_op(&log.ops[3], STRACE_MMAP, STRACE_DONE, 0x1000);
    assert_int_equal(log.ops[0].time_ns, UINT64_C(1000000001100000000));
    assert_int_equal(log.ops[1].time_ns, UINT64_C(1000000001300000000));
    assert_int_equal(log.ops[1].pid, 3);
    assert_int_equal(log.ops[2].time_ns, UINT64_C(1000000001400000000));
    assert_int_equal(log.ops[3].pid, 2);
    assert_int_equal(log.ops[3].line, 2);
    assert_int_equal(log.resumed, 4);
    assert_int_equal(log.others, 1);
    strace_log_fini(&log);
}

/** An execve by a thread that is not the first: it continues with the first thread's number. */
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

/** strace on a terminal: numbers in brackets only while there are several processes, and notes in the
 *  middle of lines. */
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

/** strace -r: each time counts from the line before, and is padded with blanks. */
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

/** The text of an error in parentheses is optional. */
static void test_errors_without_words(void **state)
{
    (void)state;
    struct strace_log log = read_good("brk(NULL) = -1 ENOMEM\nmunmap(0x1, 1) = -1 EINVAL <0.000007>\n");
    check_op(&log.ops[0], STRACE_BRK, STRACE_FAILED, 0);
    check_op(&log.ops[1], STRACE_MUNMAP, STRACE_FAILED, 0);
    strace_log_fini(&log);
}

/** Times in whole seconds: of a clock or since the line before, with and without a process. Also two times
 *  in a line. */
static void test_whole_seconds(void **state)
{
    (void)state;
    struct strace_log log = read_good("7 1795700357 brk(NULL) = 0x1000\n"
                                      "7 1795700359 brk(NULL) = 0x1000 <0>\n"
                                      "7     2 brk(NULL) = 0x1000\n"
                                      "1795700362 brk(NULL) = 0x1000\n"
                                      "     3 brk(NULL) = 0x1000\n"
                                      "7 1795700366.500000 (+     1.500000) brk(NULL) = 0x1000\n"
                                      "7 1795700367 (+     1) brk(NULL) = 0x1000 <0.000000012>\n");
    static const unsigned tenths[] = {0, 20, 40, 50, 80, 95, 100};
    for (size_t i = 0; i < log.count; i++)
        assert_int_equal((log.ops[i].time_ns - log.ops[0].time_ns) / 100000000, tenths[i]);
    assert_int_equal(log.ops[2].pid, 7);
    assert_int_equal(log.ops[3].pid, 0);
    assert_int_equal(log.ops[4].pid, 0);
    strace_log_fini(&log);
}

/** Fields of other options of strace: -i, -n, both, -Y. */
static void test_fields(void **state)
{
    (void)state;
    struct strace_log log =
        read_good("7 [00007f12681efc47] brk(NULL) = 0x1000\n"
                  "7  1795700357.25 [   9] [00007f5247c2fad7] brk(NULL) = 0x1000\n"
                  "7<a b> [ 12] brk(NULL <unfinished ...>\n"
                  "8<?\?\?> [ 11] [????????????????] +++ exited with 0 +++\n"
                  "7<a b> [ 12] <... brk resumed>) = 0x2000\n"
                  "[pid     9<sh>] [  56] clone(child_stack=NULL, flags=SIGCHLD) = 10<sh> <0.000111>\n"
                  "7 clone(child_stack=NULL, flags=SIGCHLD) = 11 /* 3 in strace's PID NS */\n"
                  "[  12] brk(NULL) = 0x3000\n");
    assert_int_equal(log.count, 8);
    assert_int_equal(log.ops[0].pid, 7);
    check_op(&log.ops[0], STRACE_BRK, STRACE_DONE, 0x1000);
    check_op(&log.ops[1], STRACE_BRK, STRACE_DONE, 0x1000);
    check_op(&log.ops[4], STRACE_BRK, STRACE_DONE, 0x2000);
    assert_int_equal(log.ops[4].pid, 7);
    check_op(&log.ops[5], STRACE_FORK, STRACE_DONE, 10);
    check_op(&log.ops[6], STRACE_FORK, STRACE_DONE, 11);
    check_op(&log.ops[7], STRACE_BRK, STRACE_DONE, 0x3000);
    assert_int_equal(log.ops[7].pid, 0);
    strace_log_fini(&log);
}

/** If a process may map address 0, the call returns it, and strace writes no 0x. */
static void test_address_0(void **state)
{
    (void)state;
    struct strace_log log =
        read_good("mmap(NULL, 8192, PROT_READ, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0) = 0\n"
                  "munmap(NULL, 8192) = 0\n");
    assert_int_equal(log.count, 2);
    check_op(&log.ops[0], STRACE_MMAP, STRACE_DONE, 0);
    strace_log_fini(&log);
}

/** strace -e raw: numbers only. The flags of a clone are its first argument; those of clone3 do not show. */
static void test_raw(void **state)
{
    (void)state;
    struct strace_log log = read_good("7 mmap(0, 0x2000, 0x3, 0x22, 0xffffffff, 0) = 0x7f93d313d000\n"
                                      "7 mmap(0x7000, 0x1000, 0x3, 0x32, 0xffffffff, 0) = 0x7000\n"
                                      "7 mremap(0x7000, 0x1000, 0x2000, 0x1, 0) = 0x8000\n"
                                      "7 clone(0x1200011, 0, 0, 0x7f67b06e3a10, 0) = 0x23e7\n"
                                      "7 clone(0x3d0f00, 0x7f00, 0x7f67b06e3a10, 0) = 0x23e8\n"
                                      "7 clone3(0x7ffe0000, 0x58) = 0x23e9\n"
                                      "7 munmap(0x7000, 0x10) = -1 (errno 524)\n");
    assert_int_equal(log.count, 7);
    assert_int_equal(log.ops[0].length, 0x2000);
    assert_int_equal(log.ops[0].flags, 0);
    assert_int_equal(log.ops[1].flags, STRACE_FIXED);
    check_op(&log.ops[2], STRACE_MREMAP, STRACE_DONE, 0x8000);
    assert_int_equal(log.ops[2].flags, STRACE_MAYMOVE);
    check_op(&log.ops[3], STRACE_FORK, STRACE_DONE, 0x23e7);
    assert_int_equal(log.ops[3].flags, 0);
    assert_int_equal(log.ops[4].flags, STRACE_SHARED_VM);
    assert_int_equal(log.ops[5].flags, STRACE_SHARED_VM);
    check_op(&log.ops[6], STRACE_MUNMAP, STRACE_FAILED, 0);
    strace_log_fini(&log);
}

/** Calls with which strace tampered: a call with a made-up result counts as failed. */
static void test_tampering(void **state)
{
    (void)state;
    struct strace_log log = read_good(
        "mremap(0x1000, 4096, 8192, MREMAP_MAYMOVE) = -1 ENOMEM (Cannot allocate memory) (INJECTED)\n"
        "munmap(0x1001, 0) = 0 (INJECTED)\n"
        "munmap(0x1000, 1) = 0 (INJECTED: args)\n"
        "munmap(0x1000, 1) = 0 (INJECTED: args, retval) (DELAYED) <0.000010>\n"
        "munmap(0x1000, 1) = 0 (DELAYED)\n"
        "munmap(0x1000, 1) = -1 ENOMEM (INJECTED)\n"
        "brk(NULL) = ? (DELAYED)\n");
    static const enum strace_outcome outcomes[] = {STRACE_FAILED, STRACE_FAILED, STRACE_DONE, STRACE_FAILED,
                                                   STRACE_DONE,   STRACE_FAILED, STRACE_NEVER};
    assert_int_equal(log.count, sizeof outcomes / sizeof outcomes[0]);
    for (size_t i = 0; i < log.count; i++)
        assert_int_equal(log.ops[i].outcome, outcomes[i]);
    strace_log_fini(&log);
}

/** The line of a call whose process was killed: arguments may be missing. */
static void test_broken_off(void **state)
{
    (void)state;
    struct strace_log log =
        read_good("1 mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE, 3, 0) = ? <unavailable>\n"
                  "2 brk(NULL)                               = ? <unavailable>\n"
                  "3 munmap(0x1000, 4096 <unfinished ...>)   = ?\n"
                  "4 mremap(0x1000 <unavailable>) = ? <unavailable>\n"
                  "5 mmap( <unavailable>) = ?\n"
                  "6 clone(child_stack=0x7 <unfinished ...>) = ?\n"
                  "7 mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE, 3, 0 <unfinished ...>) = ?\n"
                  "8 clone3({flags=CLONE_VM|CLONE_FS, stack=0x7} <unfinished ...>\n"
                  "8 <... clone3 resumed> <unfinished ...>) = ?\n"
                  "9 ?\?\?\?( <unavailable>) = ? <unavailable>\n"
                  "9 ?\?\?\?( <unfinished ...>\n"
                  "9 <... ?\?\?\? resumed> <unavailable>) = ? <unavailable>\n"
                  "9 read(3,  <unfinished ...>) = ?\n");
    static const enum strace_call calls[] = {STRACE_MMAP, STRACE_BRK,  STRACE_MUNMAP, STRACE_MREMAP,
                                             STRACE_MMAP, STRACE_FORK, STRACE_MMAP,   STRACE_FORK};
    assert_int_equal(log.count, sizeof calls / sizeof calls[0]);
    for (size_t i = 0; i < log.count; i++)
        check_op(&log.ops[i], calls[i], STRACE_NEVER, 0);
    assert_int_equal(log.others, 3);
    strace_log_fini(&log);
}

/** Calls whose names strace did not learn because the task was killed; and the mode of a process. */
static void test_unnamed(void **state)
{
    (void)state;
    struct strace_log log = read_good("[ Process PID=7 runs in 32 bit mode. ]\n"
                                      "strace: [ Process PID=10 runs in 32 bit mode. ]\n"
                                      "7 ?\?\?( <unfinished ...>\n"
                                      "8 ?\?\?( <unfinished ...>\n"
                                      "7 <... ??? resumed>) = ?\n"
                                      "8 +++ killed by SIGKILL +++\n"
                                      "strace: Process 9 attached with 3 threads\n"
                                      "7 ?\?\?() = ?\n");
    assert_int_equal(log.count, 1);
    assert_int_equal(log.others, 3);
    strace_log_fini(&log);
}

/** strace -z: the second half follows directly, without its prefix. */
static void test_broken_by_z(void **state)
{
    (void)state;
    struct strace_log log = read_good("7 munmap(0x1000, 4096 <unfinished ...>\n"
                                      ")                                       = 0\n"
                                      "8 mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE, 3, 0 <unfinished ...>\n"
                                      ") = 0x3000\n"
                                      "8 clone(child_stack=NULL, flags=SIGCHLD <unfinished ...>\n"
                                      ", child_tidptr=0x7) = 9\n");
    assert_int_equal(log.count, 3);
    check_op(&log.ops[0], STRACE_MUNMAP, STRACE_DONE, 0);
    assert_int_equal(log.ops[0].pid, 7);
    check_op(&log.ops[1], STRACE_MMAP, STRACE_DONE, 0x3000);
    assert_int_equal(log.ops[1].pid, 8);
    check_op(&log.ops[2], STRACE_FORK, STRACE_DONE, 9);
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
    /* other calls also need a result */
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
    {"munmap(0x1000, 1 <unfinished ...>) = 0\n", 1, 18, "')'"},
    {"brk(NULL) = 0x1000 <unavailable>\n", 1, 21, "seconds"},
    {"fork() = x\n", 1, 10, "a process number"},
    {"fork() = 0\n", 1, 10, "from 1 to 2^32 - 1"},
    /* calls that a kernel does not let succeed */
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

/** A strict reader refuses each log. A tolerant one skips a line at the same place or before; if nothing
 *  is left, it reports the first line. */
static void test_broken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        const char *text = broken[i].text;
        struct strace_log log;
        struct strace_error error;
        check_that(!read_strictly(text, strlen(text), &log, &error), "no error: %s", text);
        check_that(error.line == broken[i].line && error.column == broken[i].column &&
                       strstr(error.message, broken[i].words) != NULL && !error.refused,
                   "%s -> line %" PRIu64 ", column %zu: %s", text, error.line, error.column, error.message);
        check_that(log.ops == NULL && log.count == 0, "the log is not empty after: %s", text);
        if (read_as(false, text, strlen(text), &log, &error))
            strace_log_fini(&log);
        else
            check_that(error.line != 0 && strstr(error.message, "no line is output of strace") != NULL,
                       "%s -> %s", text, error.message);
    }
}

/* ---------------------------------------------------------------------------------------------- odd lines */

#define MAP "1 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, -1, 0) = 0x7f0000000000\n"

/** Logs with odd lines of one kind; `kept` operations are delivered. `line` and `column` are those of the
 *  first odd line. */
static const struct {
    const char *text;
    enum strace_odd odd;
    unsigned lines;
    unsigned line;
    unsigned column;
    const char *words;
    unsigned kept;
} odd_logs[] = {
    {MAP "\n" MAP " \t\n", STRACE_ODD_BLANK, 2, 2, 1, "a blank line", 2},
    {"# a log\n  # of ours\n" MAP, STRACE_ODD_COMMENT, 2, 1, 1, "a comment", 1},
    {MAP "the program's own output\n" MAP, STRACE_ODD_TEXT, 1, 2, 4, "'('", 2},
    {MAP "12.5 percent done\n[x] y\n\x7f\x01\n" MAP, STRACE_ODD_TEXT, 3, 2, 13, "'('", 2},
    {MAP "1 mmap(NULL, x) = 0x1000\n" MAP, STRACE_ODD_CALL, 1, 2, 14, "a length", 2},
    {MAP "1 brk(NULL) = 0x1000 and more\n", STRACE_ODD_CALL, 1, 2, 21, "the end of the line", 1},
    {MAP "2 futex(0x1, 0 <unfinished ...>\n" MAP, STRACE_ODD_UNFINISHED, 1, 2, 15, "never ends", 2},
    {MAP "2 munmap(0x1000, 1 <unfinished ...>\n2 mmap(NULL, 1, PROT_NONE, MAP_PRIVATE, 3, 0) = 0x2000\n",
     STRACE_ODD_UNFINISHED, 1, 2, 19, "never ends", 3},
    {MAP "2 brk(0x1000 <unfinished ...>\n2 munmap(0x1000, 1 <unfinished ...>\n2 <... munmap resumed>) = 0\n",
     STRACE_ODD_UNFINISHED, 1, 2, 13, "never ends", 4},
    {"2 <... mmap resumed>) = 0x1000\n" MAP, STRACE_ODD_RESUMED, 1, 1, 8, "no beginning", 1},
    {MAP " > /usr/lib/libc.so.6(mmap+0x30) [0x109a00]\n > /bin/x(main+0xd5) [0x125e]\n", STRACE_ODD_STACK, 2,
     2, 1, "made with strace -k: record it without -k", 1},
    {MAP "% time     seconds  usecs/call     calls    errors syscall\n"
         "------ ----------- ----------- --------- --------- ----------------\n"
         "  0.00    0.000000           0        10           mmap\n"
         "100.00    0.000000           0        22         1 total\n" MAP,
     STRACE_ODD_SUMMARY, 4, 2, 1, "made with strace -C: record it without -C", 2},
    {MAP "strace: [ptrace] something went wrong\n", STRACE_ODD_NOTE, 1, 2, 1, "'strace: Process '", 1},
    {MAP "1 mmap(NULL, 40", STRACE_ODD_CUT, 1, 2, 16, "cut off", 1},
    {MAP "1 munmap(0x7f0000000000, 4096) =", STRACE_ODD_CUT, 1, 2, 33, "cut off", 1},
};

/** A tolerant reader skips the odd lines; a strict one refuses each log at the same place, except that it
 *  may report a call without an end at a later line. */
static void test_odd_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof odd_logs / sizeof odd_logs[0]; i++) {
        const char *text = odd_logs[i].text;
        struct strace_error error;
        struct strace_log log = read_tolerantly(text);
        const struct strace_skipped *skipped = &log.skipped[odd_logs[i].odd];
        check_that(skipped->lines == odd_logs[i].lines && strace_skipped_lines(&log) == odd_logs[i].lines,
                   "%s -> %" PRIu64 " %s, %" PRIu64 " in all", text, skipped->lines,
                   strace_odd_name(odd_logs[i].odd), strace_skipped_lines(&log));
        check_that(skipped->first.line == odd_logs[i].line && skipped->first.column == odd_logs[i].column &&
                       strstr(skipped->first.message, odd_logs[i].words) != NULL,
                   "%s -> line %" PRIu64 ", column %zu: %s", text, skipped->first.line, skipped->first.column,
                   skipped->first.message);
        check_that(log.count == odd_logs[i].kept, "%s -> %zu operations", text, log.count);
        strace_log_fini(&log);
        check_that(!read_strictly(text, strlen(text), &log, &error), "no error: %s", text);
        assert_true(odd_logs[i].odd == STRACE_ODD_UNFINISHED || error.line == odd_logs[i].line);
    }
}

/** An odd line has no effect: it sets no time, and no process without a number. */
static void test_odd_lines_have_no_effect(void **state)
{
    (void)state;
    struct strace_log log = read_tolerantly("strace: Process 7 attached\n"
                                            "[pid 8] brk(NULL) = 0x1000\n"
                                            "99999.5 bottles of beer\n"
                                            "some text\n"
                                            "[pid 8] brk(NULL) = 0x1000\n");
    assert_int_equal(log.count, 2);
    assert_int_equal(log.ops[1].pid, 8); /* else 8 would count as the process without a number */
    assert_int_equal(log.ops[1].time_ns, 0);
    assert_false(log.timed);
    assert_int_equal(log.skipped[STRACE_ODD_TEXT].lines, 2);
    strace_log_fini(&log);
}

/** Output of the program between the halves of a call does not separate them, although it looks like a
 *  line of the process without a number. */
static void test_text_between_halves(void **state)
{
    (void)state;
    struct strace_log log = read_tolerantly("strace: Process 8 attached\n"
                                            "mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE, 3, 0 <unfinished ...>\n"
                                            "some text (in parentheses)\n"
                                            "more <unfinished ...>\n"
                                            "[pid 8] brk(NULL) = 0x1000\n"
                                            "[pid 7] <... mmap resumed>) = 0x2000\n");
    assert_int_equal(log.count, 2);
    check_op(&log.ops[1], STRACE_MMAP, STRACE_DONE, 0x2000);
    assert_int_equal(log.skipped[STRACE_ODD_TEXT].lines, 2);
    assert_int_equal(strace_skipped_lines(&log), 2);
    strace_log_fini(&log);
}

/** Output of the program directly after a first half, which looks like its second half, as with -z or
 *  after a note: the call still waits. */
static void test_text_like_a_second_half(void **state)
{
    (void)state;
    struct strace_log log =
        read_tolerantly("1 mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE, 3, 0 <unfinished ...>\n"
                        ") of parentheses\n"
                        "1 <... mmap resumed>) = 0x1000\n"
                        "2 munmap(0x1000, 4096 <unfinished ...>\n"
                        ", and so on\n"
                        "2 <... munmap resumed>) = 0\n"
                        "3 vfork(strace: Process 7 attached\n"
                        ") said the child\n"
                        "3 <... vfork resumed>) = 7\n");
    assert_int_equal(log.count, 3);
    check_op(&log.ops[0], STRACE_MMAP, STRACE_DONE, 0x1000);
    check_op(&log.ops[1], STRACE_MUNMAP, STRACE_DONE, 0);
    check_op(&log.ops[2], STRACE_FORK, STRACE_DONE, 7);
    assert_int_equal(log.resumed, 3);
    assert_int_equal(log.skipped[STRACE_ODD_TEXT].lines, 3);
    assert_int_equal(log.skipped[STRACE_ODD_TEXT].first.line, 2);
    assert_int_equal(strace_skipped_lines(&log), 3);
    strace_log_fini(&log);
}

/** Calls that never return are delivered as such, and the next calls of their processes as usual. */
static void test_unfinished(void **state)
{
    (void)state;
    struct strace_log log = read_tolerantly("1 mremap(0x1000, 4096, 8192, 0 <unfinished ...>\n"
                                            "2 munmap(0x5000, 4096 <unfinished ...>\n"
                                            "1 brk(NULL) = 0x9000\n"
                                            "3 read(3 <unfinished ...>\n");
    assert_int_equal(log.count, 4);
    check_op(&log.ops[0], STRACE_UNDER_WAY, STRACE_DONE, 2);
    check_op(&log.ops[1], STRACE_MUNMAP, STRACE_NEVER, 0);
    check_op(&log.ops[2], STRACE_MREMAP, STRACE_NEVER, 0);
    check_op(&log.ops[3], STRACE_BRK, STRACE_DONE, 0x9000);
    assert_int_equal(log.ops[1].pid, 2);
    assert_int_equal(log.others, 1);
    assert_int_equal(log.skipped[STRACE_ODD_UNFINISHED].lines, 3);
    assert_int_equal(log.skipped[STRACE_ODD_UNFINISHED].first.line, 1);
    strace_log_fini(&log);
}

/** A half whose end is not understood is dropped: its entry has no operation. */
static void test_end_not_understood(void **state)
{
    (void)state;
    struct strace_log log = read_tolerantly("1 mremap(0x1000, 4096, 8192, 0 <unfinished ...>\n"
                                            "1 <... mremap resumed>) = maybe\n"
                                            "2 munmap(0x1000, 4096 <unfinished ...>\n"
                                            "2 <... munmap resumed>) = 1\n"
                                            "1 brk(NULL) = 0x9000\n");
    assert_int_equal(log.count, 3);
    assert_int_equal(log.ops[0].call, STRACE_UNDER_WAY);
    assert_true(log.ops[0].result == STRACE_NO_END);
    assert_int_equal(log.ops[1].call, STRACE_OTHER);
    assert_int_equal(log.skipped[STRACE_ODD_CALL].lines, 2);
    strace_log_fini(&log);
}

/** A last line without a line feed is read if it is whole; so are lines with a carriage return. */
static void test_line_ends(void **state)
{
    (void)state;
    struct strace_log log = read_tolerantly("7 brk(NULL) = 0x1000\r\n\r\n7 brk(NULL) = 0x6158000");
    assert_int_equal(log.count, 2);
    check_op(&log.ops[0], STRACE_BRK, STRACE_DONE, 0x1000);
    check_op(&log.ops[1], STRACE_BRK, STRACE_DONE, 0x6158000);
    assert_int_equal(strace_skipped_lines(&log), 1);
    assert_int_equal(log.skipped[STRACE_ODD_BLANK].lines, 1);
    assert_int_equal(log.lines, 3);
    strace_log_fini(&log);
}

/** A generated log: an odd line for each of ODD_PROCESSES processes, then a call to play. */
struct odd_processes {
    unsigned next;
    size_t peak; /* the most bytes of the heap at the beginning of a line */
};

#define ODD_PROCESSES 100000U

static size_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static ssize_t write_odd_process(void *cookie, char *buffer, size_t room)
{
    struct odd_processes *odd = cookie;
    size_t held = heap_bytes();
    if (held > odd->peak)
        odd->peak = held;
    if (odd->next > ODD_PROCESSES)
        return 0;
    unsigned pid = ++odd->next;
    return snprintf(buffer, room, pid <= ODD_PROCESSES ? "%u x\n" : "%u brk(NULL) = 0x1000\n", pid);
}

/** The reader keeps nothing of odd lines, so their processes take no memory. (With a sanitizer's heap this
 *  checks nothing.) */
static void test_odd_processes(void **state)
{
    (void)state;
    struct odd_processes odd = {0};
    struct strace_log log;
    struct strace_error error;
    size_t before = heap_bytes();
    FILE *in = fopencookie(&odd, "r", (cookie_io_functions_t){.read = write_odd_process});
    assert_non_null(in);
    assert_true(strace_read(in, false, &log, &error));
    fclose(in);
    assert_int_equal(log.count, 1);
    assert_int_equal(log.skipped[STRACE_ODD_TEXT].lines, ODD_PROCESSES);
    check_that(odd.peak < before + ((size_t)1 << 21), "%zu bytes", odd.peak - before);
    strace_log_fini(&log);
}

/** A file of odd lines only is not a log: the error reports the first of them. */
static void test_nothing_understood(void **state)
{
    (void)state;
    static const char text[] = "\nbrk(NUL) = 0x1000\nwhatever\n";
    struct strace_log log;
    struct strace_error error;
    assert_false(read_as(false, text, sizeof text - 1, &log, &error));
    assert_int_equal(error.line, 1);
    assert_int_equal(error.column, 1);
    assert_string_equal(error.message, "no line is output of strace; the first line: expected the name of a "
                                       "call, found a blank line");
    assert_false(error.refused);
    assert_true(log.count == 0 && log.ops == NULL && strace_skipped_lines(&log) == 0);
}

/* ----------------------------------------------------------------------------------- files of other kinds */

static const struct {
    const char *text;
    const char *name;
} others[] = {
    {"           hello 17652 [001]  1929.576103:   syscalls:sys_enter_mmap: addr: 0x0, len: 0x2000\n",
     "the output of perf script"},
    {"\nperf 12/13 [000] 5.5: probe:x: (7f)\n", "the output of perf script"},
    {"# tracer: nop\n#\n", "a trace of the kernel"},
    {"            bash-18462   [000] .....  1948.585055: alloc_vmap_area: va_start: 18 size=2 align=1\n",
     "a trace of the kernel"},
    {"     kworker/0:1-12 [003] 17284.993652: free_vmap_area_noflush: va_start=0x0\n",
     "a trace of the kernel"},
    {"     0.010 ( 0.003 ms): cat/1234 mmap(len: 8192, prot: READ) = 0x7f19e36fe000\n",
     "a log of perf trace"},
    {"     0.000 (         ): sh/9 wait4(upid: -1) ...\n", "a log of perf trace"},
    {"Attaching 3 probes...\n@[mmap]: 7\n", "the output of bpftrace"},
    {"Attached 1 probe\n@[mmap]: 7\n", "the output of bpftrace"},
    {"7f19e3537000-7f19e36fe000 r-xp 00026000 fd:00 1234   /lib/x.so\n", "a list of mappings"},
    {"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n", "a list of mappings"},
    {"0xffffc90000000000-0xffffc90000005000   20480 irq_init+0x7/0x10 pages=4 vmalloc\n",
     "a list of the kernel's areas"},
    {"==1234== Memcheck, a memory error detector\n", "a log of valgrind"},
    {"--1234-- malloc(100) = 0x4a5d040\n", "a log of valgrind"},
    {"v 10400 3\nx 5 a.out\n", "a recording of heaptrack"},
    {"= Start\n@ ./prog:[0x1190] + 0x556d4a2494a0 0x64\n", "a log of mtrace"},
    {"@ ./prog:[0x11b5] - 0x556d4a2494a0\n", "a log of mtrace"},
    {"% time     seconds  usecs/call     calls    errors syscall\n------ -----\n", "a summary of strace -c"},
    {"\x28\xb5\x2f\xfd....\n", "a file compressed by zstd"},
    {"\xfd"
     "7zXZ\n",
     "a file compressed by xz"},
    {"BZh91AY&SY\n", "a file compressed by bzip2"},
    {"PERFILE2h\n", "a recording of perf"},
    {"\x7f"
     "ELF\x02\x01\n",
     "a program"},
};

static void test_other_formats(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        for (int strict = 0; strict <= 1; strict++) {
            struct strace_log log;
            struct strace_error error;
            assert_false(read_as(strict, others[i].text, strlen(others[i].text), &log, &error));
            check_that(
                strncmp(error.message, "this is ", 8) == 0 && strstr(error.message, others[i].name) != NULL &&
                    strstr(error.message, "; kva replay reads logs of strace") != NULL && error.line == 0,
                "%s -> %s", others[i].text, error.message);
        }
    }
}

/** The lines of ltrace look like calls; the format matters only if there is nothing to play. Output of a
 *  program that looks like another format does not change the format of the log. */
static void test_calls_of_libraries(void **state)
{
    (void)state;
    struct strace_log log = read_tolerantly("7 a.out->malloc(24) = 0x5581\n7 free(0x5581) = <void>\n");
    assert_int_equal(log.count, 0);
    assert_non_null(log.format);
    assert_string_equal(log.format, "a log of ltrace");
    strace_log_fini(&log);
    log = read_tolerantly(MAP "==12== Memcheck\n");
    assert_int_equal(log.count, 1);
    assert_int_equal(log.skipped[STRACE_ODD_TEXT].lines, 1);
    strace_log_fini(&log);
}

/* ---------------------------------------------------------------------------------------- compressed logs */

/** A log compressed by gzip; the caller frees *bytes. */
static void compress_log(const char *text, size_t length, char **bytes, size_t *compressed)
{
    z_stream zlib = {0};
    assert_int_equal(deflateInit2(&zlib, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    *compressed = deflateBound(&zlib, (uLong)length);
    *bytes = malloc(*compressed);
    assert_non_null(*bytes);
    zlib.next_in = (unsigned char *)(uintptr_t)text;
    zlib.avail_in = (uInt)length;
    zlib.next_out = (unsigned char *)*bytes;
    zlib.avail_out = (uInt)*compressed;
    assert_int_equal(deflate(&zlib, Z_FINISH), Z_STREAM_END);
    *compressed -= zlib.avail_out;
    deflateEnd(&zlib);
}

/** Lines that compress to more than a block, so that both kinds of block are read several times. */
static char *long_log(size_t lines, size_t *length)
{
    char *text = malloc(lines * 80);
    uint64_t random = 1;
    assert_non_null(text);
    *length = 0;
    for (size_t i = 0; i < lines; i++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        *length += (size_t)sprintf(text + *length, "7 munmap(0x%" PRIx64 "000, %" PRIu64 ") = 0\n",
                                   random >> 20, (random >> 40) + 1);
    }
    return text;
}

static void check_same_log(const struct strace_log *log, const char *text, size_t length)
{
    struct strace_log plain;
    struct strace_error error;
    assert_true(read_strictly(text, length, &plain, &error));
    assert_int_equal(log->count, plain.count);
    assert_int_equal(log->lines, plain.lines);
    assert_memory_equal(log->ops, plain.ops, plain.count * sizeof *plain.ops);
    strace_log_fini(&plain);
}

/** A compressed log, of one member or of two with padding, is the same log. */
static void test_compressed(void **state)
{
    (void)state;
    size_t length, half, first, second;
    char *text = long_log(20000, &length);
    char *one, *two;
    struct strace_log log;
    struct strace_error error;
    compress_log(text, length, &one, &first);
    assert_true(first > 2 * 65536);
    assert_true(read_strictly(one, first, &log, &error));
    check_same_log(&log, text, length);
    strace_log_fini(&log);
    free(one);

    half = length / 3; /* in the middle of a line */
    compress_log(text, half, &one, &first);
    compress_log(text + half, length - half, &two, &second);
    char *both = calloc(1, first + second + 512);
    assert_non_null(both);
    memcpy(both, one, first);
    memcpy(both + first, two, second);
    assert_true(read_strictly(both, first + second + 512, &log, &error));
    check_same_log(&log, text, length);
    strace_log_fini(&log);
    free(both);
    free(one);
    free(two);
    free(text);
}

/** Compressed data that is cut off or damaged: a tolerant reader reads the beginning, a strict one refuses
 *  it. */
static void test_damaged(void **state)
{
    (void)state;
    size_t length, compressed;
    char *text = long_log(20000, &length);
    char *bytes;
    struct strace_log log;
    struct strace_error error;
    compress_log(text, length, &bytes, &compressed);
    for (int damaged = 0; damaged <= 1; damaged++) {
        size_t upto = damaged ? compressed : compressed - 1000;
        if (damaged)
            memset(bytes + compressed / 2, 0xff, 100);
        assert_false(read_strictly(bytes, upto, &log, &error));
        assert_true(!error.refused && error.line > 1000);
        assert_true(read_as(false, bytes, upto, &log, &error));
        assert_true(log.count > 1000 && log.count < 20000);
        assert_int_equal(log.skipped[STRACE_ODD_CUT].lines, 1);
        strace_log_fini(&log);
    }
    assert_false(read_as(false, bytes, 12, &log, &error));
    assert_non_null(strstr(error.message, "the compressed log is cut off or damaged here"));
    free(bytes);
    free(text);
}

/** The end of damaged data is also reported between two lines: here a whole line has been decompressed. */
static void test_cut_between_lines(void **state)
{
    (void)state;
    static const char text[] = "7 brk(NULL) = 0x1000\n";
    size_t compressed;
    char *bytes;
    struct strace_log log;
    struct strace_error error;
    compress_log(text, sizeof text - 1, &bytes, &compressed);
    assert_true(read_as(false, bytes, compressed - 4, &log, &error)); /* without the length at its end */
    assert_int_equal(log.count, 1);
    assert_int_equal(log.skipped[STRACE_ODD_CUT].lines, 1);
    assert_int_equal(log.skipped[STRACE_ODD_CUT].first.line, 2);
    strace_log_fini(&log);
    assert_false(read_strictly(bytes, compressed - 4, &log, &error));
    assert_int_equal(error.line, 2);
    free(bytes);
}

/* ------------------------------------------------------------------------------------- the log as a whole */

/** A binary file is refused; zero bytes are shown as '?'. */
static void test_binary(void **state)
{
    (void)state;
    static const char bytes[] = "\x7f"
                                "FLE\0\0\0\n";
    struct strace_log log;
    struct strace_error error;
    assert_false(read_strictly(bytes, sizeof bytes - 1, &log, &error));
    assert_int_equal(error.line, 1);
    assert_int_equal(error.column, 1);
    assert_string_equal(error.excerpt, "?FLE???");
}

static void test_empty(void **state)
{
    (void)state;
    struct strace_log log;
    struct strace_error error;
    FILE *in = fopen("/dev/null", "r");
    assert_non_null(in);
    assert_false(strace_read(in, false, &log, &error));
    rewind(in);
    assert_false(strace_read(in, true, &log, &error));
    fclose(in);
    assert_int_equal(error.line, 0);
    assert_string_equal(error.message, "the log is empty");
}

/** A line of unlimited length does not take unlimited memory. */
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
    assert_false(read_strictly(bytes, length, &log, &error));
    assert_int_equal(error.line, 1);
    assert_int_equal(error.column, STRACE_LINE_MAX + 1);
    assert_non_null(strstr(error.message, "at most 262144 bytes"));
    bytes[0] = 'b'; /* one byte less fits: the text is then the error */
    bytes[length - 2] = '\n';
    assert_false(read_strictly(bytes, length - 1, &log, &error));
    assert_non_null(strstr(error.message, "expected '('"));
    free(bytes);
}

/** A tolerant reader skips it, whatever its length, and reads the next line. */
static void test_long_line_skipped(void **state)
{
    (void)state;
    size_t length = 3 * STRACE_LINE_MAX;
    char *bytes = malloc(length + sizeof GOOD);
    struct strace_log log;
    struct strace_error error;
    assert_non_null(bytes);
    memset(bytes, 'a', length);
    bytes[length - 1] = '\n';
    memcpy(bytes + length, GOOD, sizeof GOOD - 1);
    assert_true(read_as(false, bytes, length + sizeof GOOD - 1, &log, &error));
    assert_int_equal(log.count, 1);
    assert_int_equal(log.lines, 2);
    assert_int_equal(log.ops[0].line, 2);
    assert_int_equal(log.skipped[STRACE_ODD_LONG].lines, 1);
    assert_int_equal(log.skipped[STRACE_ODD_LONG].first.column, STRACE_LINE_MAX + 1);
    strace_log_fini(&log);
    /* without a line feed */
    memcpy(bytes, GOOD, sizeof GOOD - 1);
    bytes[length - 1] = 'a';
    assert_true(read_as(false, bytes, length, &log, &error));
    assert_int_equal(log.count, 1);
    assert_int_equal(log.skipped[STRACE_ODD_LONG].lines, 1);
    strace_log_fini(&log);
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
    assert_false(read_strictly("munmap(0, 1)\t\n", 14, &log, &error));
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    strace_error_print(out, "a.log", &error);
    assert_false(read_strictly(line, sizeof line - 1, &log, &error));
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

/** The first of each kind, with the kind and the number of lines. */
static void test_skipped_text(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    struct strace_log log = read_tolerantly("hello, world\n" MAP "\nbye, world\n");
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    strace_skipped_print(out, "a.log", &log);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, "a.log:1:6: text (2 lines): expected '(', found ','\n"
                              "    hello, world\n"
                              "         ^\n"
                              "a.log:3:1: blank (1 line): expected the name of a call, found a blank line\n"
                              "    \n"
                              "    ^\n");
    free(text);
    strace_log_fini(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mmap),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_other_calls),
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_halves),
        cmocka_unit_test(test_superseded),
        cmocka_unit_test(test_terminal),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_relative_times),
        cmocka_unit_test(test_errors_without_words),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_binary),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_error_text),
        cmocka_unit_test(test_whole_seconds),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_address_0),
        cmocka_unit_test(test_raw),
        cmocka_unit_test(test_tampering),
        cmocka_unit_test(test_broken_off),
        cmocka_unit_test(test_unnamed),
        cmocka_unit_test(test_broken_by_z),
        cmocka_unit_test(test_odd_lines),
        cmocka_unit_test(test_odd_lines_have_no_effect),
        cmocka_unit_test(test_text_like_a_second_half),
        cmocka_unit_test(test_unfinished),
        cmocka_unit_test(test_text_between_halves),
        cmocka_unit_test(test_end_not_understood),
        cmocka_unit_test(test_line_ends),
        cmocka_unit_test(test_odd_processes),
        cmocka_unit_test(test_nothing_understood),
        cmocka_unit_test(test_other_formats),
        cmocka_unit_test(test_calls_of_libraries),
        cmocka_unit_test(test_compressed),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_cut_between_lines),
        cmocka_unit_test(test_long_line_skipped),
        cmocka_unit_test(test_skipped_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
