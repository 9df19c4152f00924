/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** kva_pages.reserve and .release: see pages_life.c. */
#ifndef KVA_PORTS_LINUX_PAGES_LIFE_H
#define KVA_PORTS_LINUX_PAGES_LIFE_H

#include <kva/pages.h>

/** The context points to an enum kva_mechanism. */
enum kva_status kva_port_begin(void *context, struct kva_stretch *wish);
void kva_port_end(void *context, void *handle);

#endif
