/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Making pages accessible, joined with their neighbours where mappings run short: see pages_join.c. */
#ifndef KVA_PORTS_LINUX_PAGES_JOIN_H
#define KVA_PORTS_LINUX_PAGES_JOIN_H

#include "pages_reservation.h"

/** Make an inaccessible private run accessible: KVA_OK, KVA_ELIMIT or KVA_ENOMEM. */
enum kva_status kva_port_make_accessible(struct reservation *reservation, struct run run);

#endif
