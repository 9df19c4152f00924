/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Binding private pages to nodes: see pages_bind.c. */
#ifndef KVA_PORTS_LINUX_PAGES_BIND_H
#define KVA_PORTS_LINUX_PAGES_BIND_H

#include "pages_reservation.h"

/** kva_pages.has_nodes and kva_pages.bind. */
bool kva_port_has_nodes(void *context, void *handle, const struct kva_vm_nodes *nodes);
enum kva_status kva_port_bind(void *context, void *handle, uint64_t start, uint64_t bytes,
                              const struct kva_vm_nodes *nodes);

/** Bind the lost pieces of a run's gap (pages_nodes.c), before its owner gets the run. */
enum kva_status kva_port_regain_run(struct reservation *reservation, struct run run);

static inline enum kva_status bind_before_use(struct reservation *reservation, struct run run)
{
    return reservation->bindings.lost == 0 ? KVA_OK : kva_port_regain_run(reservation, run);
}

/** Bind the lost pieces of all gaps. */
void kva_port_regain_all(struct reservation *reservation);

#endif
