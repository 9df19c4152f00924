/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Holding threads that touch maps of frames: see pages_gate.c. */
#ifndef KVA_PORTS_LINUX_PAGES_GATE_H
#define KVA_PORTS_LINUX_PAGES_GATE_H

#include <kva/status.h>
#include <stdbool.h>
#include <stdint.h>

/** A userfaultfd, opened on first use. */
struct gate {
    uint64_t file;   /* its descriptor, plus one; 0: none */
    uint64_t *owner; /* the process that opened it, or was refused it; reads as 0 in a child of fork */
    bool refused;    /* for good */
};

/** Open a gate of this process, unless it has one. KVA_ENOENT: the system refuses it for good; KVA_ENOMEM: no
 *  memory, or no descriptor. */
enum kva_status kva_port_gate_open(struct gate *gate, uint64_t *calls);

/** Close the gate: held threads go on, unless a child of fork has the gate as well. */
void kva_port_gate_close(struct gate *gate);

/** A range of addresses: whole pages. */
struct gated {
    uint64_t start;
    uint64_t bytes;
};

/** From now on, threads that store to the range wait. False: refused; *touched: a part of it may be held. */
bool kva_port_hold_stores(const struct gate *gate, struct gated range, bool *touched, uint64_t *calls);

/** A step for a range whose stores are held, or have been. False: refused. */
typedef bool kva_gate_step(const struct gate *gate, struct gated range, uint64_t *calls);

/** From now on, threads that load wait as well. False: refused; some of them may wait. */
kva_gate_step kva_port_hold_loads;

/** Hold no thread any more. The range must not be a part of a longer held one. This repeats until it is
 *  granted; false: it never will be. */
kva_gate_step kva_port_let_go;

/** Wake the waiting threads; they try again. */
kva_gate_step kva_port_wake;

#endif
