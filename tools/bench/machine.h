/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A description of the machine and the build: without it a figure says nothing.
 *
 * What the system does not tell is "unknown"; nothing here can fail.
 */
#ifndef KVA_TOOLS_BENCH_MACHINE_H
#define KVA_TOOLS_BENCH_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MACHINE_TEXT 160
#define MACHINE_CACHES 8

struct machine {
    char cpu[MACHINE_TEXT];
    long cpus; /* online */
    bool virtual_machine;
    char cache[MACHINE_CACHES][MACHINE_TEXT]; /* "L1 Data 32K", ... */
    size_t cache_count;
    char kernel[MACHINE_TEXT];
    char huge_pages[MACHINE_TEXT]; /* the kernel's policy for transparent huge pages */
    const char *compiler;
    const char *flags;
    bool optimized;
    bool sanitized;
    int check_level; /* the library's; negative: unknown */
    int pinned_to;   /* the CPU that the run is bound to; negative: refused */
};

/** Bind the calling thread to the highest CPU that it may use: on most machines the lowest ones serve more
 *  interrupts. Returns its number, or -1 when the system refuses. */
int machine_pin(void);

/** How many CPUs the program could use before it was bound; 1 when the system does not tell. */
size_t machine_cpus(void);

/** Bind the calling thread to one of those: 0 is the highest, 1 the next below, and behind the lowest it
 *  goes on with the highest. False when the system refuses. */
bool machine_pin_to(size_t index);

/** How often the system has taken the CPU away from this thread since it began. */
uint64_t machine_preemptions(void);

void machine_describe(struct machine *machine, int pinned_to);

#endif
