/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The entry point for libFuzzer, on frame sets; scripts/fuzz.sh builds it. */
#include "play_frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    (void)play_frames(bytes, count);
    return 0;
}
