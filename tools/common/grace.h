/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Grace periods, from liburcu. A build without liburcu has none; grace_is_missing reports that.
 *
 * A thread that frees after a grace period calls grace_enter first and grace_leave last.
 */
#ifndef KVA_TOOLS_GRACE_H
#define KVA_TOOLS_GRACE_H

#include <kva/vm.h>

/** NULL, or why there are no grace periods in this build. */
const char *grace_is_missing(void);

/** For kva_vm_config.grace: all zero without liburcu. */
struct kva_grace grace_of_host(void);

void grace_enter(void);
void grace_leave(void);

/** Wait until everything passed to grace_free so far is freed. */
void grace_barrier(void);

/** Call give(context, addr, size) after a grace period. The pending call is recorded in `record`, at least
 *  sizeof(struct kva_later) bytes. If `record` is NULL, memory is allocated for it; if there is none, the
 *  call waits for the grace period. KVA_ENOENT in a build without liburcu. */
enum kva_status grace_free(void (*give)(void *context, uint64_t addr, uint64_t size), void *context,
                           uint64_t addr, uint64_t size, void *record);

#endif
