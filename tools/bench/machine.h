/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A description of the machine and the build, without which a figure is meaningless. Values that the system
 * does not report are "unknown"; no function here fails.
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

/** Bind the calling thread to the highest CPU that it may use, because on most machines the lowest ones serve
 *  more interrupts. Returns its number, or -1 if the system refuses. */
int machine_pin(void);

/** The number of CPUs that the program could use before it was bound; 1 if the system does not report it. */
size_t machine_cpus(void);

/** Bind the calling thread to one of those CPUs: 0 is the highest, 1 the next lower one; after the lowest
 *  comes the highest again. False if the system refuses. */
bool machine_pin_to(size_t index);

/** How often the system has preempted the calling thread since the thread began. */
uint64_t machine_preemptions(void);

void machine_describe(struct machine *machine, int pinned_to);

#endif
