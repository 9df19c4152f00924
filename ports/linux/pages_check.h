/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** kva_pages.check: see pages_check.c. */
#ifndef KVA_PORTS_LINUX_PAGES_CHECK_H
#define KVA_PORTS_LINUX_PAGES_CHECK_H

#include <kva/pages.h>

const char *kva_port_check(void *context, void *handle, const struct kva_pages_view *view, uint64_t *address);

#endif
