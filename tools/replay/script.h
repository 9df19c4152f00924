/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Resolves a log to a script: a list of calls on kva spaces, with all addresses and statuses known. A player
 * runs it on any engine, with only those calls in the timed part.
 *
 * THE SPACES. Each address space of the log becomes a kva space of the addresses that a process of x86-64
 * Linux may map, [SCRIPT_FIRST, SCRIPT_LAST], in pages of 4096. A mapping without a fixed place takes the
 * highest range that fits below SCRIPT_MMAP_BASE, as the kernel does.
 *
 * TWO SETS OF ADDRESSES. The addresses in the log differ from ours: the kernel's base is random, programs are
 * mapped before their first line in the log, and a kva space may choose other places. So the resolver keeps
 * two kva spaces for each address space:
 *
 *      logged   the log's addresses      | A |     | B   |                 | C |
 *                                          |         |                       |     owner: distance to ours
 *      ours     the script's addresses     | A |     | B   |    | C |
 *
 *      M1  Each busy segment of `logged` corresponds to exactly one busy segment of `ours`, and vice versa:
 *          of the same size, at the distance that its owner holds (modulo 2^64).
 *
 * So kva_find on `logged` gives the place of an operation of the log.
 *
 * THE OPERATIONS
 *   mmap      NULL: the highest range. A hint: that range if it is free, else the highest. MAP_FIXED: that
 *             range, over whatever is there (kva_reserve_over). A hint or fixed address inside a known
 *             mapping is shifted with that mapping; any other is used unchanged. If a fixed place is busy in
 *             `ours` alone, the highest range that fits replaces it ("displaced"), and the log's mappings at
 *             the place are freed first.
 *   munmap    Frees every known part of the range (kva_clear; one call for parts at one distance). A range
 *             without a known part, such as the program's own image, changes nothing ("unknown").
 *   mremap    Shrinks by freeing the tail. Grows in place if possible (kva_resize); else takes a new range
 *             and frees the old one.
 *   brk       The first one shows where the heap begins. Grows with kva_resize, shrinks as munmap does.
 *   mprotect  Changes no range: skipped.
 *   Others    If the log maps addresses that it has not unmapped, a call outside the log unmapped them. They
 *             are freed first ("implied").
 *
 * CALLS UNDER WAY. If other lines interrupt an mremap, the log has its beginning and its end, and the call
 * took effect in between. Its new place was free at that moment, so every earlier use of that place came
 * first. Another call may take its old place before its end, and came after it:
 *
 *      thread 1   mremap(A, ...   <------------ took effect ----------->   ... = B
 *      thread 2          munmap(B) = 0                  mmap(...) = A
 *
 * So it is played at its end, or right before a call that takes its old place. The same holds for a brk that
 * lowers the break. If the call itself takes the old place of a third call under way, that one is played
 * first. A kernel cannot run calls that need each other's places in a circle; in a damaged log, one of the
 * places is implied to be free.
 *
 * At most SCRIPT_UNDER_WAY calls of an address space are under way at a time. A log with more is damaged or
 * made up, because each needs a thread that waits in mremap or brk. A call that begins beyond that number is
 * played at its end, and its old place is implied to be free if another call takes it. So the search for
 * calls under way, and their nesting, are bounded.
 *
 * PROCESSES. execve begins a new address space, fork copies one, CLONE_VM and vfork share it; it ends with
 * its last process. A process that no line of the log introduces begins a space of its own if its first line
 * is brk(NULL) or execve, as every new program's is; else it counts as a thread of the first process. In a
 * log without execve, a brk(NULL) that returns anything but the current break begins another program.
 */
#ifndef KVA_TOOLS_REPLAY_SCRIPT_H
#define KVA_TOOLS_REPLAY_SCRIPT_H

#include "strace.h"

#include <kva/kva.h>

#define SCRIPT_PAGE UINT64_C(4096)

/** The lowest address that a program may map: the default of Linux's vm.mmap_min_addr. */
#define SCRIPT_FIRST UINT64_C(0x10000)

/** 47 bits of user addresses on x86-64, except the last page, which Linux never maps. */
#define SCRIPT_LAST UINT64_C(0x7fffffffefff)

/** Mappings grow down from here: the kernel keeps at least 128 MiB at the top for the stack. */
#define SCRIPT_MMAP_BASE (SCRIPT_LAST + 1 - (UINT64_C(128) << 20))

/** The most calls under way in an address space; see CALLS UNDER WAY. */
#define SCRIPT_UNDER_WAY 1024

enum step_kind {
    STEP_ALLOC,              /* kva_alloc: highest below the mmap base; `start` is the expected address */
    STEP_ALLOC_HIGH,         /* kva_alloc: highest anywhere, after STEP_ALLOC failed */
    STEP_RESERVE,            /* kva_reserve */
    STEP_RESERVE_OVER,       /* kva_reserve_over; `bytes` are busy there */
    STEP_CLEAR,              /* kva_clear; `bytes` are busy there */
    STEP_RESIZE,             /* kva_resize */
    STEP_CALLS,              /* before: timed calls on a space. From here: untimed steps */
    STEP_BEGIN = STEP_CALLS, /* create `space`, empty */
    STEP_FORK,               /* create `space` as a copy of space number `start` */
    STEP_END                 /* destroy `space`, whatever it holds */
};

struct step {
    uint64_t start;
    uint64_t size;
    uint64_t bytes; /* the busy bytes that the call must report; 0 for calls that do not report any */
    uint32_t space;
    uint32_t op;    /* the index of its operation in the log */
    uint8_t kind;   /* enum step_kind */
    uint8_t status; /* enum kva_status: the expected result */
};

/** Counts of the log's operations. */
struct script_counts {
    uint64_t mmaps; /* played, by kind */
    uint64_t munmaps;
    uint64_t mremaps;
    uint64_t brks;
    uint64_t mprotects; /* skipped */
    uint64_t failed;    /* failed in the log, or never returned: skipped */
    uint64_t unknown;   /* munmap or mremap of addresses that the log has not mapped */
    uint64_t implied;   /* segments given back because the log maps others over them */
    uint64_t displaced; /* fixed, growing or forked mappings whose place was busy in our space alone */
    uint64_t refused;   /* mappings for which our space had no room */
    uint64_t processes; /* process numbers seen, threads included */
};

/** Kinds of notes. The counts of the same names count them. */
enum script_note_kind { NOTE_UNKNOWN, NOTE_IMPLIED, NOTE_DISPLACED, NOTE_REFUSED };

struct script_note {
    uint32_t op;  /* the index of its operation in the log */
    uint8_t kind; /* enum script_note_kind */
};

struct script {
    struct step *steps;
    size_t count;
    size_t room;
    size_t calls;    /* steps below STEP_CALLS */
    uint32_t spaces; /* steps refer to spaces 0 .. spaces - 1 */
    struct script_counts counts;
    struct script_note *notes;
    size_t note_count;
    size_t note_room;
};

/** Resolve a log. False: the script is empty, and `message` has the reason. *wrong is true if a space
 *  returned an unexpected status; false: no memory. */
bool script_resolve(const struct strace_log *log, struct script *script, char message[256], bool *wrong);

/** Free a script, which is then empty. */
void script_fini(struct script *script);

/** Name a kind of notes: "unknown" and so on. */
const char *script_note_name(enum script_note_kind kind);

/** The name of the function that a step calls: "kva_alloc" and so on. */
const char *step_name(enum step_kind kind);

#endif
