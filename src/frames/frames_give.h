/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Giving a run back, for the set itself. */
#ifndef KVA_FRAMES_GIVE_H
#define KVA_FRAMES_GIVE_H

#include "frames_set.h"

/** Give the run back that begins with a frame, whatever there is. Returns what kva_frames_free returns; no misuse is reported. */
enum kva_status kva_give_run(const struct kva_frames *frames, uint64_t first);

#endif
