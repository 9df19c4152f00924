/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Closing pages, which cannot fail: see pages_close.c. */
#ifndef KVA_PORTS_LINUX_PAGES_CLOSE_H
#define KVA_PORTS_LINUX_PAGES_CLOSE_H

#include "pages_reservation.h"

/** Discard an accessible private run and make it fault: by markers, or in any other way that the kernel
 *  allows. */
void kva_port_close_accessible(struct reservation *reservation, struct run run);

/** Close the accessible pages of a private range. */
void kva_port_close_run(struct reservation *reservation, struct run range);

/** Close the maps in a range of frames' pages. */
void kva_port_close_frames(struct reservation *reservation, struct run range);

#endif
