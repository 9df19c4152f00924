/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Holding back threads that touch maps of frames: see pages_gate.c. */
#ifndef KVA_PORTS_LINUX_PAGES_GATE_H
#define KVA_PORTS_LINUX_PAGES_GATE_H

#include <kva/status.h>
#include <stdbool.h>
#include <stdint.h>

/** A userfaultfd, opened when it is first needed. */
struct gate {
    uint64_t file;   /* its descriptor, and one; 0: none */
    uint64_t *owner; /* the process that has opened it, or was refused it; reads as 0 in a child of fork */
    bool refused;    /* for good */
};

/** Have a gate that is this process' own. KVA_ENOENT: the system has none for us; KVA_ENOMEM: it has no
 *  memory for one, or no descriptor. */
enum kva_status kva_port_gate_open(struct gate *gate, uint64_t *calls);

/** Whoever is held goes on, unless a child of fork has the gate, too. */
void kva_port_gate_close(struct gate *gate);

/** A range of addresses: whole pages. */
struct gated {
    uint64_t start;
    uint64_t bytes;
};

/** From now on, threads that store to the range wait. False: refused; *touched: a part of it may be held. */
bool kva_port_hold_stores(const struct gate *gate, struct gated range, bool *touched, uint64_t *calls);

/** What is done to a range whose stores are held, or have been. False: refused. */
typedef bool kva_gate_step(const struct gate *gate, struct gated range, uint64_t *calls);

/** Threads that load wait, too. False: some of them may. */
kva_gate_step kva_port_hold_loads;

/** Hold nobody any more. The range is not a part of a longer one that is held. It is asked for until it is
 *  granted; false: it never will be. */
kva_gate_step kva_port_let_go;

/** Wake who waits, to try again. */
kva_gate_step kva_port_wake;

#endif
