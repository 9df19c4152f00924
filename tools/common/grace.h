/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Grace periods, from liburcu. A build without it has none, and says so.
 *
 * Threads that free after a grace period stand between grace_enter and grace_leave.
 */
#ifndef KVA_TOOLS_GRACE_H
#define KVA_TOOLS_GRACE_H

#include <kva/vm.h>

/** NULL, or why there are no grace periods in this build. */
const char *grace_is_missing(void);

/** For kva_vm_config.grace: all zero in a build without. */
struct kva_grace grace_of_host(void);

void grace_enter(void);
void grace_leave(void);

/** Return when all has been freed that was given so far. */
void grace_barrier(void);

/** Call give(context, addr, size) after a grace period. What has to be remembered lies in `record`, at least
 *  sizeof(struct kva_later) bytes; if that is NULL, in memory of its own, and if there is none, this
 *  waits. KVA_ENOENT in a build without liburcu. */
enum kva_status grace_free(void (*give)(void *context, uint64_t addr, uint64_t size), void *context,
                           uint64_t addr, uint64_t size, void *record);

#endif
