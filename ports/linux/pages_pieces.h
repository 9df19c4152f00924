/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Pieces of tables, for the instance and for the rows of bits about pages: see pages_pieces.c. */
#ifndef KVA_PORTS_LINUX_PAGES_PIECES_H
#define KVA_PORTS_LINUX_PAGES_PIECES_H

#include "pages_stretch.h"

/** Tables for a stretch of known size: the instance's pieces, and those of the rows. */
bool kva_port_make_tables(struct stretch *stretch, struct kva_stretch *wish);

/** Have rows for a run of pages and the page after it, before anything is changed: from then on bits about
 *  them can be set. */
enum kva_status kva_port_prepare_rows(struct stretch *stretch, struct run run);

/* kva_pages.piece, .unpiece and .trim. */
enum kva_status kva_port_take_piece(void *context, void *handle, uint32_t *number);
void kva_port_give_piece(void *context, void *handle, uint32_t number);
void kva_port_trim(void *context, void *handle);

#endif
