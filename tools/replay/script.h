/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * From a log to a script: a flat list of calls on kva spaces, with all addresses and statuses known, that can
 * be played on any engine with nothing but those calls in the timed part.
 *
 * THE SPACES. Each address space of the log becomes a kva space of the addresses that a process of x86-64
 * Linux may map, [SCRIPT_FIRST, SCRIPT_LAST], in pages of 4096. A mapping without a fixed place takes the
 * highest range that fits below SCRIPT_MMAP_BASE, as the kernel does.
 *
 * TWO SETS OF ADDRESSES. The addresses in the log are not ours: the kernel's base is random, programs are
 * mapped before the log says so, and a space may legally answer otherwise. So each address space is kept
 * twice while the log is resolved, and both are kva spaces:
 *
 *      logged   what the log says      | A |     | B   |                 | C |
 *                                        |         |                       |       owner: distance to ours
 *      ours     what the script does     | A |     | B   |    | C |
 *
 *      M1  Each busy segment of `logged` stands for exactly one busy segment of `ours`, of the same size, at
 *          the distance that its owner holds (modulo 2^64); no segment of `ours` is without one.
 *
 * An operation of the log then finds its place with kva_find on `logged`.
 *
 * THE OPERATIONS
 *   mmap      NULL: highest. A hint: there, if it is free; else highest. MAP_FIXED: that place, whatever is
 *             there (kva_reserve_over). A hint or fixed address inside a known mapping goes
 *             to where that mapping is; any other is used as it stands. A fixed place that is taken in
 *             `ours` alone goes to the highest that fits ("displaced"), and what the log has there is given
 *             back first.
 *   munmap    Gives back every known part of the range, whatever lies between (kva_clear; one call for
 *             what is at one distance). A range with no known part (a program's own image, say) changes
 *             nothing ("unknown").
 *   mremap    Shrinks by giving the tail back; grows where it is if that is possible (kva_resize), or else
 *             takes a new range and gives the old one back.
 *   brk       The first one tells where the heap begins. Grows with kva_resize, shrinks as munmap does.
 *   mprotect  Changes no range: skipped.
 *   Others    A mapping that the log shows at addresses it has not unmapped: something unmapped them that the
 *             log does not show. They are given back first ("implied").
 *
 * CALLS UNDER WAY. The log has the beginning and the end of an mremap that other lines interrupt, and it took
 * effect at some moment in between. What it took was free then, so all that happened to its new place before
 * its end came first; what it gave up may be taken by another call before its end, so that came after:
 *
 *      thread 1   mremap(A, ...   <------------ took effect ----------->   ... = B
 *      thread 2          munmap(B) = 0                  mmap(...) = A
 *
 * So it is played at its end, or, when another call takes what it gives up, right before that call. The same
 * holds for a brk that lowers the break. It may itself take what yet another call under way gives up; that
 * one is then played first. Calls that need each other's place in a circle cannot happen in a kernel; in a
 * damaged log, one of the places is implied to be free.
 *
 * No more than SCRIPT_UNDER_WAY calls of an address space are under way at a time. There are at most as many
 * as threads that wait in mremap and brk, so a log with more is damaged, or made up. A call that begins
 * beyond that number is played at its end, and a place that it should have given up before is implied to be
 * free. So a call of the log looks at that many calls under way, at most, and is nested in that many.
 *
 * PROCESSES. execve begins a fresh address space, fork copies one, CLONE_VM and vfork share it, the end of
 * the last process in it ends it. A process that no line of the log introduces begins a space of its own if
 * its first line is brk(NULL) or execve, as every fresh program's is, and else counts as a thread of the
 * first process. In a log without any execve line, a brk(NULL) that answers something other than the current
 * break is taken for the beginning of another program.
 */
#ifndef KVA_TOOLS_REPLAY_SCRIPT_H
#define KVA_TOOLS_REPLAY_SCRIPT_H

#include "strace.h"

#include <kva/kva.h>

#define SCRIPT_PAGE UINT64_C(4096)

/** The lowest address that Linux lets a program map: the default of vm.mmap_min_addr. */
#define SCRIPT_FIRST UINT64_C(0x10000)

/** 47 bits of user addresses on x86-64, but for the last page, which Linux never maps. */
#define SCRIPT_LAST UINT64_C(0x7fffffffefff)

/** Mappings go downwards from here: the kernel leaves at least 128 MiB at the top for the stack. */
#define SCRIPT_MMAP_BASE (SCRIPT_LAST + 1 - (UINT64_C(128) << 20))

/** So many calls of an address space may be under way at a time; see CALLS UNDER WAY. */
#define SCRIPT_UNDER_WAY 1024

enum step_kind {
    STEP_ALLOC,              /* kva_alloc: highest below the mmap base; `start` is the expected answer */
    STEP_ALLOC_HIGH,         /* kva_alloc: highest anywhere, after STEP_ALLOC found nothing */
    STEP_RESERVE,            /* kva_reserve */
    STEP_RESERVE_OVER,       /* kva_reserve_over; `bytes` are busy there */
    STEP_CLEAR,              /* kva_clear; `bytes` are busy there */
    STEP_RESIZE,             /* kva_resize */
    STEP_CALLS,              /* above: calls on a space, timed. Below: the life of spaces, not timed */
    STEP_BEGIN = STEP_CALLS, /* `space` begins empty */
    STEP_FORK,               /* `space` begins as a copy of space number `start` */
    STEP_END                 /* `space` ends, whatever it holds */
};

struct step {
    uint64_t start;
    uint64_t size;
    uint64_t bytes; /* what the call must have found busy; 0 for those that do not say */
    uint32_t space;
    uint32_t op;    /* which operation of the log it comes from */
    uint8_t kind;   /* enum step_kind */
    uint8_t status; /* enum kva_status: what the call must return */
};

/** What became of the log's operations. */
struct script_counts {
    uint64_t mmaps; /* played, by kind */
    uint64_t munmaps;
    uint64_t mremaps;
    uint64_t brks;
    uint64_t mprotects; /* skipped */
    uint64_t failed;    /* failed in the log, or never returned: skipped */
    uint64_t unknown;   /* munmap or mremap of addresses that the log has not mapped */
    uint64_t implied;   /* segments given back because the log maps others over them */
    uint64_t displaced; /* fixed, growing or forked mappings whose place was taken in our space alone */
    uint64_t refused;   /* mappings for which our space had no room at all */
    uint64_t processes; /* process numbers seen, threads included */
};

/** What the log does not tell, or the space does otherwise: the counts of the same names, one by one. */
enum script_note_kind { NOTE_UNKNOWN, NOTE_IMPLIED, NOTE_DISPLACED, NOTE_REFUSED };

struct script_note {
    uint32_t op;  /* which operation of the log it is about */
    uint8_t kind; /* enum script_note_kind */
};

struct script {
    struct step *steps;
    size_t count;
    size_t room;
    size_t calls;    /* of the steps, those below STEP_CALLS */
    uint32_t spaces; /* steps refer to spaces 0 .. spaces - 1 */
    struct script_counts counts;
    struct script_note *notes;
    size_t note_count;
    size_t note_room;
};

/** Resolve a log. False: `message` says why (no memory, or a status that the space must not give), and the
 *  script is empty. *wrong tells the two apart: true when the space gave a wrong answer. */
bool script_resolve(const struct strace_log *log, struct script *script, char message[256], bool *wrong);

/** Give a script's memory back; it is empty then. */
void script_fini(struct script *script);

/** Name a kind of notes: "unknown" and so on. */
const char *script_note_name(enum script_note_kind kind);

/** The name of the function that a step calls: "kva_alloc" and so on. */
const char *step_name(enum step_kind kind);

#endif
