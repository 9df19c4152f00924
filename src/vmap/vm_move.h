/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Moving the frames of a movable pool. */
#ifndef KVA_VMAP_VM_MOVE_H
#define KVA_VMAP_VM_MOVE_H

#include "vm_names.h"

#include <kva/frames.h>

/** Move what lies at `count` places from `from` on, which one request has taken, to free places from `to` on:
 *  kva_frames_config.move of a movable pool, which is the context. */
enum kva_frames_moved kva_move_frames(void *context, uint64_t from, uint64_t to, uint64_t count);

/** After a fork, in the child: movable pools are lost, and their maps become closed areas. */
void kva_lose_movable(struct kva_vm *vm);

#endif
