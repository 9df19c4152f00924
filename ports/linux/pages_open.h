/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** kva_pages.open and .close: see pages_open.c. */
#ifndef KVA_PORTS_LINUX_PAGES_OPEN_H
#define KVA_PORTS_LINUX_PAGES_OPEN_H

#include <kva/status.h>
#include <stdbool.h>

enum kva_status kva_port_open(void *context, void *handle, uint64_t start, uint64_t bytes, bool huge);
void kva_port_close(void *context, void *handle, uint64_t start, uint64_t bytes);

#endif
