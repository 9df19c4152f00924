/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The version of the linked library. */
#include <kva/kva.h>

uint32_t kva_version(void)
{
    return KVA_VERSION;
}
