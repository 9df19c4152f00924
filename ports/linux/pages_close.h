/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Closing pages, which cannot fail: see pages_close.c. */
#ifndef KVA_PORTS_LINUX_PAGES_CLOSE_H
#define KVA_PORTS_LINUX_PAGES_CLOSE_H

#include "pages_reservation.h"

/** Drop what is in an open private run and let it fault: with markers, or by whatever else the kernel
 *  allows. */
void kva_port_close_accessible(struct reservation *reservation, struct run run);

/** Close what is open in a private range. */
void kva_port_close_run(struct reservation *reservation, struct run range);

/** Close what is mapped in a range of frames. */
void kva_port_close_frames(struct reservation *reservation, struct run range);

#endif
