/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Moving frames under their maps: kva_pages.move. See pages_move.c. */
#ifndef KVA_PORTS_LINUX_PAGES_MOVE_H
#define KVA_PORTS_LINUX_PAGES_MOVE_H

#include <kva/pages.h>

enum kva_status kva_port_move_frames(void *context, void *handle, const struct kva_pages_move *move);

#endif
