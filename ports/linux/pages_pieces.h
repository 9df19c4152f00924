/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Pieces of tables, for the instance and for the rows of bits about pages: see pages_pieces.c. */
#ifndef KVA_PORTS_LINUX_PAGES_PIECES_H
#define KVA_PORTS_LINUX_PAGES_PIECES_H

#include "pages_reservation.h"

/** Make the tables of a reservation of known size: pieces for the instance and for the rows. */
bool kva_port_make_tables(struct reservation *reservation, struct kva_reservation *spec);

/** Obtain the rows for a run of pages and the page after it, before anything changes: then their bits can be
 *  set. */
enum kva_status kva_port_prepare_rows(struct reservation *reservation, struct run run);

/* kva_pages.open_piece, .close_piece and .trim. */
enum kva_status kva_port_open_piece(void *context, void *handle, uint32_t *number);
void kva_port_close_piece(void *context, void *handle, uint32_t number);
void kva_port_trim(void *context, void *handle);

#endif
