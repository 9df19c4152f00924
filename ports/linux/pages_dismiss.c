/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Closing foreign pages (pages_unmaps.h). They are noted as foreign first, and closed as others are. A fresh
 * mapping ends that; after any other close they are unfinished unmaps, and stay foreign until a retry or an
 * opening gives them one.
 */
#include "gnu.h"

#include "pages_dismiss.h"

#include "pages_close.h"
#include "pages_retry.h"
#include "pages_unmaps.h"

void kva_port_dismiss(void *context, void *handle, uint64_t start, uint64_t bytes)
{
    struct reservation *reservation = handle;
    const struct run all = run_at(reservation, start, bytes);

    (void)context;
    for (struct run run = {all.from, all.from}; run.end < all.end;) {
        run = alike(reservation, run.end, all.end);
        if (!is_inaccessible(reservation, run))
            kva_port_note_foreign(reservation, run);
    }
    kva_port_close_run(reservation, all);
    retry_some(reservation);
}
