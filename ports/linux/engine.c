/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The engine of a hosted program that names none, or bt without a form. The environment (KVA_SIMD) may name
 *  a form. */
#include <kva/engine.h>

#include <stdlib.h>

#include "../port.h"

const struct kva_engine *kva_engine_host(void)
{
    const struct kva_engine *asked_for = kva_engine_bt_form(getenv("KVA_SIMD"));

    return asked_for ? asked_for : &kva_engine_bt;
}

const struct kva_engine *kva_port_engine(const struct kva_engine *named)
{
    return named && named != &kva_engine_bt ? named : kva_engine_host();
}
