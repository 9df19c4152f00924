/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Holding back threads that touch maps of frames: see pages_gate.c. */
#ifndef KVA_PORTS_LINUX_PAGES_GATE_H
#define KVA_PORTS_LINUX_PAGES_GATE_H

#include <stdbool.h>
#include <stdint.h>

/** A userfaultfd, opened when it is first needed. */
struct gate {
    uint64_t file;   /* its descriptor, and one; 0: none */
    uint64_t *owner; /* the process that has opened it, or was refused it; reads as 0 in a child of fork */
    bool refused;    /* for good */
};

/** Have a gate that is this process' own. False: the system has none for us. */
bool kva_port_gate_open(struct gate *gate, uint64_t *calls);

void kva_port_gate_close(struct gate *gate);

/** A range of addresses: whole pages. */
struct gated {
    uint64_t start;
    uint64_t bytes;
};

/** From now on, threads that store to the range wait. False: refused; all is as before. */
bool kva_port_hold_stores(const struct gate *gate, struct gated range, uint64_t *calls);

/** The same of threads that load, or store. Stores are held already. False: refused; stores are still. */
bool kva_port_hold_loads(const struct gate *gate, struct gated range, uint64_t *calls);

/** Hold nobody any more in a range, which may have been replaced, or never held. Cannot fail. */
void kva_port_let_go(const struct gate *gate, struct gated range, uint64_t *calls);

/** Wake who waits, to try again. */
void kva_port_wake(const struct gate *gate, struct gated range, uint64_t *calls);

#endif
