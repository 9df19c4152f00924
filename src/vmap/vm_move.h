/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Moves of frames of a movable set. */
#ifndef KVA_VMAP_VM_MOVE_H
#define KVA_VMAP_VM_MOVE_H

#include "vm_names.h"

#include <kva/frames.h>

/** kva_frames_config.move of a movable set, which is the context: move the frames of one request from `count`
 *  places from `from` on to the free places from `to` on. */
enum kva_frames_moved kva_move_frames(void *context, uint64_t from, uint64_t to, uint64_t count);

/** After a fork, in the child: movable sets are lost, and their maps become closed areas. */
void kva_lose_movable(struct kva_vm *vm);

#endif
