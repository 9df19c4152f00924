/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** All locks of a set at once: nothing changes until they are dropped. */
#ifndef KVA_FRAMES_FREEZE_H
#define KVA_FRAMES_FREEZE_H

#include "frames_set.h"

void kva_freeze(const struct kva_frames *frames);
void kva_thaw(const struct kva_frames *frames);

/** Free all locks in the child of a fork, where no other thread exists. */
void kva_unfreeze_in_child(struct kva_frames *frames);

#endif
