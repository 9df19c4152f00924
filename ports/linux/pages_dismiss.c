/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Closing pages whose owner has changed how they are mapped. They are strange (pages_debts.h) from the
 * beginning, and closed as others are. A fresh mapping ends that; any other close leaves a debt, and the
 * pages stay strange until it is paid.
 */
#include "gnu.h"

#include "pages_dismiss.h"

#include "pages_close.h"
#include "pages_debts.h"
#include "pages_settle.h"

void kva_port_dismiss(void *context, void *handle, uint64_t start, uint64_t bytes)
{
    struct stretch *stretch = handle;
    const struct run all = run_at(stretch, start, bytes);

    (void)context;
    for (struct run run = {all.from, all.from}; run.end < all.end;) {
        run = alike(stretch, run.end, all.end);
        if (!is_shut(stretch, run))
            kva_port_note_strange(stretch, run);
    }
    kva_port_close_run(stretch, all);
    pay_some(stretch);
}
