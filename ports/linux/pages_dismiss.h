/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** kva_pages.dismiss: see pages_dismiss.c. */
#ifndef KVA_PORTS_LINUX_PAGES_DISMISS_H
#define KVA_PORTS_LINUX_PAGES_DISMISS_H

#include <stdint.h>

void kva_port_dismiss(void *context, void *handle, uint64_t start, uint64_t bytes);

#endif
