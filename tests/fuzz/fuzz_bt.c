/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The entry point for libFuzzer; scripts/fuzz.sh builds it. */
#include "play.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    (void)play_bytes(bytes, count);
    return 0;
}
