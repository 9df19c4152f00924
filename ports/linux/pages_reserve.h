/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** kva_pages.reserve and .release: see pages_reserve.c. */
#ifndef KVA_PORTS_LINUX_PAGES_RESERVE_H
#define KVA_PORTS_LINUX_PAGES_RESERVE_H

#include <kva/pages.h>

/** The context points to an enum kva_mechanism. */
enum kva_status kva_port_reserve(void *context, struct kva_reservation *spec);
void kva_port_release(void *context, void *handle);

#endif
