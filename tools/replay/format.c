/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "format.h"

#include "text.h"

#include <string.h>

/** Lines that are examined: the formats below show in the first few. */
#define LINES 40

/* ----------------------------------------------------------------------------------------- by first bytes */

static const struct {
    const char *bytes;
    size_t length;
    const char *name;
} magics[] = {
    {"\x28\xb5\x2f\xfd", 4, "a file compressed by zstd"},
    {"\xfd"
     "7zXZ",
     5, "a file compressed by xz"},
    {"BZh", 3, "a file compressed by bzip2"},
    {"\x04\x22\x4d\x18", 4, "a file compressed by lz4"},
    {"\x1f\x9d", 2, "a file compressed by compress"},
    {"PK\x03\x04", 4, "a zip archive"},
    {"PERFILE2", 8, "a recording of perf (perf.data)"},
    {"\x17\x08"
     "Dtracing",
     10, "a recording of trace-cmd (trace.dat)"},
    {"\x7f"
     "ELF",
     4, "a program (ELF)"},
};

const char *format_of_bytes(const char *head, size_t length)
{
    for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++)
        if (length >= magics[i].length && memcmp(head, magics[i].bytes, magics[i].length) == 0)
            return magics[i].name;
    return NULL;
}

/* ----------------------------------------------------------------------------------------------- by lines */

/** Part of the text: [at, end). The functions below skip what they find, and return whether they found it. */
struct scan {
    const char *at;
    const char *end;
};

static bool accept(struct scan *scan, const char *literal)
{
    size_t length = strlen(literal);
    if ((size_t)(scan->end - scan->at) < length || memcmp(scan->at, literal, length) != 0)
        return false;
    scan->at += length;
    return true;
}

static bool blanks(struct scan *scan)
{
    const char *begin = scan->at;
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\t'))
        scan->at++;
    return scan->at != begin;
}

static bool decimal(struct scan *scan)
{
    const char *begin = scan->at;
    while (scan->at < scan->end && text_is_digit(*scan->at))
        scan->at++;
    return scan->at != begin;
}

static bool hexadecimal(struct scan *scan)
{
    const char *begin = scan->at;
    while (scan->at < scan->end && (text_is_digit(*scan->at) || (*scan->at >= 'a' && *scan->at <= 'f')))
        scan->at++;
    return scan->at != begin;
}

/** "1929.576103" */
static bool seconds(struct scan *scan)
{
    return decimal(scan) && accept(scan, ".") && decimal(scan);
}

/** Skip to the end of the first `literal`. */
static bool find(struct scan *scan, const char *literal)
{
    for (; scan->at < scan->end; scan->at++)
        if (accept(scan, literal))
            return true;
    return false;
}

/** " [001]  1929.576103: ", with at most one word of flags before the time; *before: its beginning. */
static bool event_head(struct scan *scan, const char **before)
{
    while (find(scan, " [")) {
        *before = scan->at - 2;
        if (!decimal(scan) || !accept(scan, "]") || !blanks(scan))
            continue;
        struct scan ahead = *scan;
        if (!seconds(&ahead)) {
            ahead = *scan;
            while (ahead.at < ahead.end && *ahead.at != ' ')
                ahead.at++;
            if (!blanks(&ahead) || !seconds(&ahead))
                continue;
        }
        if (accept(&ahead, ":"))
            return true;
    }
    return false;
}

/** "  hello 17652 [001]  1929.576103:   syscalls:sys_enter_mmap: ...": a blank before the process number.
 *  In a trace of the kernel, "bash-1977  [000] .... 17284.993652: ...", it is a '-'. */
static bool is_event(struct scan line, char before_number)
{
    const char *begin = line.at;
    const char *at;
    if (!event_head(&line, &at))
        return false;
    while (at > begin && at[-1] == ' ')
        at--;
    while (at > begin && (text_is_digit(at[-1]) || at[-1] == '/')) /* some have "process/thread" */
        at--;
    return at > begin && at[-1] == before_number;
}

static bool is_perf_script(struct scan line)
{
    return is_event(line, ' ');
}

static bool is_ftrace(struct scan line)
{
    return accept(&line, "# tracer: ") || is_event(line, '-');
}

/** "     0.010 ( 0.003 ms): cat/1234 mmap(len: 8192, ...) = 0x7f..." */
static bool is_perf_trace(struct scan line)
{
    blanks(&line);
    if (!seconds(&line) || !accept(&line, " ("))
        return false;
    blanks(&line);
    return accept(&line, "): ") || (seconds(&line) && accept(&line, " ms): "));
}

/** A call of a function of the C library whose name is not that of a system call. */
static bool is_ltrace(struct scan line)
{
    static const char *const functions[] = {"__libc_start_main(",
                                            "malloc(",
                                            "calloc(",
                                            "realloc(",
                                            "free(",
                                            "strlen(",
                                            "strcmp(",
                                            "memcpy(",
                                            "memset(",
                                            "puts(",
                                            "printf(",
                                            "fprintf(",
                                            "SYS_mmap(",
                                            "SYS_brk(",
                                            "SYS_munmap("};
    struct scan ahead = line;
    if (accept(&ahead, "[pid ") && find(&ahead, "] "))
        line = ahead;
    else if (decimal(&line) || accept(&line, "."))
        find(&line, " ");
    ahead = line;
    if (find(&ahead, "->"))
        line = ahead;
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        if (accept(&line, functions[i]))
            return true;
    return accept(&line, "+++ exited (status ");
}

/** "Attaching 3 probes...", or "Attached 3 probes" in newer versions. */
static bool is_bpftrace(struct scan line)
{
    return (accept(&line, "Attaching ") || accept(&line, "Attached ")) && decimal(&line) &&
           accept(&line, " probe");
}

/** "7f19e3537000-7f19e36fe000 r-xp 00026000 fd:00 1234  /lib/x" */
static bool is_maps(struct scan line)
{
    return hexadecimal(&line) && accept(&line, "-") && hexadecimal(&line) &&
           (accept(&line, " r") || accept(&line, " -")) && (accept(&line, "w") || accept(&line, "-")) &&
           (accept(&line, "x") || accept(&line, "-")) && (accept(&line, "p ") || accept(&line, "s "));
}

/** "0xffffc90000000000-0xffffc90000005000   20480 caller+0x7/0x10 pages=4 vmalloc" */
static bool is_vmallocinfo(struct scan line)
{
    return accept(&line, "0x") && hexadecimal(&line) && accept(&line, "-0x") && hexadecimal(&line) &&
           blanks(&line) && decimal(&line) && accept(&line, " ");
}

/** "==1234== Memcheck, a memory error detector", and "--1234-- malloc(100) = 0x4a5d040" */
static bool is_valgrind(struct scan line)
{
    const char *mark = accept(&line, "==") ? "== " : accept(&line, "--") ? "-- " : "";
    return *mark != '\0' && decimal(&line) && accept(&line, mark);
}

/** "v 10400 3": the version, the first line. */
static bool is_heaptrack(struct scan line)
{
    return accept(&line, "v ") && hexadecimal(&line) && accept(&line, " ") && hexadecimal(&line) &&
           line.at == line.end;
}

/** "= Start", then "@ ./prog:[0x1190] + 0x556d4a2494a0 0x64" */
static bool is_mtrace(struct scan line)
{
    struct scan start = line;
    if (accept(&start, "= Start"))
        return start.at == start.end;
    return accept(&line, "@ ") && find(&line, "[0x") && hexadecimal(&line) && accept(&line, "] ") &&
           (accept(&line, "+ 0x") || accept(&line, "- 0x") || accept(&line, "< 0x") || accept(&line, "> 0x"));
}

/** "% time     seconds  usecs/call     calls    errors syscall" */
static bool is_summary(struct scan line)
{
    return accept(&line, "% time     seconds");
}

static const struct {
    bool (*is)(struct scan line);
    const char *name;
} forms[] = {
    {is_perf_script, "the output of perf script"},
    {is_ftrace, "a trace of the kernel (ftrace, trace-cmd report)"},
    {is_perf_trace, "a log of perf trace"},
    {is_bpftrace, "the output of bpftrace"},
    {is_maps, "a list of mappings (/proc/PID/maps)"},
    {is_vmallocinfo, "a list of the kernel's areas (/proc/vmallocinfo)"},
    {is_valgrind, "a log of valgrind"},
    {is_heaptrack, "a recording of heaptrack"},
    {is_mtrace, "a log of mtrace"},
    {is_summary, "a summary of strace -c, without the calls"},
    {is_ltrace, "a log of ltrace"},
};

static const char *format_of_line(struct scan line)
{
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (forms[i].is(line))
            return forms[i].name;
    return NULL;
}

const char *format_of_lines(const char *head, size_t length)
{
    struct scan rest = {.at = head, .end = head + length};
    for (int n = 0; n < LINES && rest.at < rest.end; n++) {
        struct scan line = rest;
        line.end = find(&rest, "\n") ? rest.at - 1 : rest.end;
        const char *name = format_of_line(line);
        if (name != NULL)
            return name;
    }
    return NULL;
}
