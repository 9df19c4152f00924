/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Reads logs of strace(1): the calls that change a process's address space, and the events that begin and end
 * processes.
 *
 *      4850 1795416714.948664 mmap(NULL, 8192, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7fd4d5109000
 *      4850 1795416714.949208 munmap(0x7fd4d50fe000, 41555 <unfinished ...>
 *      4851 1795416714.949300 brk(NULL)                 = 0x203da000
 *      4850 1795416714.949455 <... munmap resumed>)     = 0
 *      4851 1795416714.949512 +++ exited with 0 +++
 *
 * A line is [process] [time] [fields] text.
 *      process  "N", "N<name>" (-Y), "[pid N]", or nothing
 *      time     that of -ttt (seconds), -r (seconds since the line before), -t or -tt (of the day), or both
 *               ("1795416714.9 (+ 0.000098)"), with or without a fraction; or nothing
 *      fields   "[   9]" (-n, the number of the call), "[00007f95810bfca3]" (-i, the calling instruction); or
 *               nothing
 *      text     a call with its result, one half of a call, an event of a process (+++), or a signal (---)
 *
 * The reader checks only the outer shape of calls that are not listed below, and counts them.
 *
 * ODD LINES. Logs also have other lines: output of the program, a line that was cut off. The reader skips
 * them, counts them by kind, and keeps the first of each kind with its place. A strict reader refuses the log
 * at the first one, with its line and column, and delivers nothing. Both deliver the same from a log without
 * odd lines. Both refuse a log in which no line is understood.
 *
 * HALVES. If another process's line interrupts a call, strace writes the call in two halves. They are joined
 * and read as one text. The log shows when the call began and when it ended, not when it took effect. munmap,
 * and calls that create a process, stand in the order at their BEGINNING, because the addresses (and the
 * child) may appear in other lines before they end. All other calls stand at their END. mremap and brk may
 * both free addresses and take others: they stand at their end, and an entry of kind STRACE_UNDER_WAY at
 * their beginning refers to them. The resolver finds out between which of the other calls they took effect.
 *
 * MEMORY. One line of at most STRACE_LINE_MAX bytes, the first halves without an end so far (no more than the
 * log itself), 64 bytes for each call, 128 for an mremap or brk in two halves, about 150 for each process
 * that a call or a note introduces or that begins a call in two halves; and the memory of input.h. Odd lines
 * take none.
 */
#ifndef KVA_TOOLS_REPLAY_STRACE_H
#define KVA_TOOLS_REPLAY_STRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** A longer line is odd. strace -v -s 4096 writes up to 32 arguments of 4 KiB. */
#define STRACE_LINE_MAX ((size_t)1 << 18)

enum strace_call {
    STRACE_OTHER = 0, /* changes no address space; not kept */
    STRACE_MMAP,
    STRACE_MUNMAP,
    STRACE_MREMAP,
    STRACE_BRK,
    STRACE_MPROTECT,
    STRACE_EXECVE, /* the process continues with a new address space */
    STRACE_FORK,   /* fork, vfork, clone, clone3: `result` is the child */
    STRACE_EXIT,   /* the process has ended */
    /** A call that ends later begins here. `result`: the index of its operation, or STRACE_NO_END. */
    STRACE_UNDER_WAY
};

/** The call under way has no end in the log, or its end was not understood. */
#define STRACE_NO_END UINT64_MAX

enum strace_outcome {
    STRACE_DONE,   /* succeeded */
    STRACE_FAILED, /* "= -1 ENOMEM (...)" */
    STRACE_NEVER   /* "= ?", or its process ended or was detached before it returned */
};

/** Bits of strace_op.flags. */
enum strace_flag {
    STRACE_FIXED = 1,     /* MAP_FIXED, MREMAP_FIXED */
    STRACE_NOREPLACE = 2, /* MAP_FIXED_NOREPLACE */
    STRACE_MAYMOVE = 4,   /* MREMAP_MAYMOVE */
    STRACE_DONTUNMAP = 8, /* MREMAP_DONTUNMAP */
    STRACE_SHARED_VM = 16 /* clone with CLONE_VM, and vfork: the child shares the parent's address space */
};

/** One call. Fields that its kind does not have are 0. */
struct strace_op {
    uint64_t time_ns; /* when its line was written; 0 in a log without times */
    uint64_t address; /* mmap: the hint, 0 for NULL; brk: the break asked for, 0 for NULL */
    uint64_t length;  /* mremap: the old length */
    uint64_t new_length;
    uint64_t new_address; /* mremap with MREMAP_FIXED */
    uint64_t result;      /* mmap, mremap: the address; brk: the break; fork: the child */
    uint32_t pid;         /* 0 in a log without process numbers */
    uint32_t line;        /* its number in the log */
    uint8_t call;         /* enum strace_call */
    uint8_t outcome;      /* enum strace_outcome */
    uint8_t flags;        /* enum strace_flag */
};

/** Why a line is odd. */
enum strace_odd {
    STRACE_ODD_TEXT,       /* not a line of strace, such as output of the program */
    STRACE_ODD_CALL,       /* one of the calls above, with arguments or a result that are not understood */
    STRACE_ODD_UNFINISHED, /* the beginning of a call without an end: delivered as STRACE_NEVER */
    STRACE_ODD_RESUMED,    /* the end of a call without a beginning */
    STRACE_ODD_BLANK,      /* nothing but blanks */
    STRACE_ODD_COMMENT,    /* begins with # */
    STRACE_ODD_STACK,      /* a part of a stack trace, of strace -k */
    STRACE_ODD_SUMMARY,    /* a part of the table at the end, of strace -C */
    STRACE_ODD_NOTE,       /* a message of strace itself, except that it attached or detached a process */
    STRACE_ODD_LONG,       /* more than STRACE_LINE_MAX bytes */
    STRACE_ODD_CUT,        /* the last line, if it is cut off; and the place where compressed data is */
    STRACE_ODDS
};

/** An error in a log, and its place. */
struct strace_error {
    uint64_t line;     /* 1 for the first; 0 if it concerns the whole log */
    size_t column;     /* in bytes, 1 for the first */
    bool refused;      /* the system's fault (read error, no memory), not the log's */
    char message[256]; /* expected and found text */
    char excerpt[128]; /* part of the line, unprintable bytes as '?' */
    size_t caret;      /* the column's place in the excerpt, from 0 */
};

/** Skipped lines of one kind. */
struct strace_skipped {
    uint64_t lines;
    struct strace_error first;
};

/** The contents of a log. */
struct strace_log {
    struct strace_op *ops;
    size_t count;
    size_t room;
    uint64_t lines;
    uint64_t others;    /* skipped calls of other kinds */
    uint64_t signals;   /* --- lines */
    uint64_t resumed;   /* calls that came in two halves */
    bool timed;         /* lines have times */
    const char *format; /* the likely kind of a file without calls to play (format.h), or NULL */
    struct strace_skipped skipped[STRACE_ODDS];
};

/** Read a whole log, plain or compressed by gzip. False: see `error`; the log is empty. */
bool strace_read(FILE *in, bool strict, struct strace_log *log, struct strace_error *error);

/** The number of skipped lines. */
uint64_t strace_skipped_lines(const struct strace_log *log);

/** Name a kind of odd lines: "text" and so on. */
const char *strace_odd_name(enum strace_odd odd);

/** Write an error as text: "name:line:column: message", the line, and a caret below the column; or, for
 *  the whole log, "kva replay: name: message". */
void strace_error_print(FILE *out, const char *name, const struct strace_error *error);

/** Write the first of each kind of skipped lines as strace_error_print does, with the kind and the number
 *  of lines before the message. */
void strace_skipped_print(FILE *out, const char *name, const struct strace_log *log);

/** Free a log, which is then empty. */
void strace_log_fini(struct strace_log *log);

/** Name a call: "mmap" and so on. */
const char *strace_call_name(enum strace_call call);

#endif
