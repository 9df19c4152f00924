/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The engines by name. No other file refers to this list, so a program that names its engine by symbol
 *  links only that one. */
#include "../base/text.h"
#include "engine.h"

#include <kva/engine.h>

/* The default first: bt; in freestanding builds rb, because bt has no vector instructions there, and takes
 * kilobytes of a possibly small stack when it splits a leaf. */
#if __STDC_HOSTED__ && !defined(KVA_FREESTANDING)
static const struct kva_engine *const engines[] = {&kva_engine_bt, &kva_engine_rb, &kva_engine_scan};
#else
static const struct kva_engine *const engines[] = {&kva_engine_rb, &kva_engine_bt, &kva_engine_scan};
#endif

enum { ENGINES = sizeof engines / sizeof engines[0] };

const struct kva_engine *kva_engine_by_name(const char *name)
{
    for (size_t i = 0; name && i < ENGINES; i++) {
        if (same_text(engines[i]->name, name))
            return engines[i];
    }
    return name ? kva_engine_bt_form(text_after(name, "bt-")) : NULL;
}

const char *kva_engine_name(size_t index)
{
    return index < ENGINES ? engines[index]->name : NULL;
}
