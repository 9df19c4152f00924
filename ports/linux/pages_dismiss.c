/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Closing pages whose owner has changed how they are mapped. They are strange (pages_unmaps.h) from the
 * beginning, and closed as others are. A fresh mapping ends that; any other close leaves a debt, and the
 * pages stay strange until it is paid.
 */
#include "gnu.h"

#include "pages_dismiss.h"

#include "pages_close.h"
#include "pages_unmaps.h"
#include "pages_retry.h"

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
