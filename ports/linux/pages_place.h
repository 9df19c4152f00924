/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Addresses for a reservation: see pages_place.c. */
#ifndef KVA_PORTS_LINUX_PAGES_PLACE_H
#define KVA_PORTS_LINUX_PAGES_PLACE_H

#include <kva/pages.h>

/** Reserve as much of spec->bytes as the system grants, halving bytes and frames; NULL if that is too little.
 *  The first address is a multiple of align. *front: the closed bytes before it, a page or none. */
char *kva_port_reserve_addresses(struct kva_reservation *spec, uint64_t page, uint64_t align, uint64_t *front,
                                 uint64_t *calls);

#endif
