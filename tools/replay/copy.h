/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#ifndef KVA_TOOLS_REPLAY_COPY_H
#define KVA_TOOLS_REPLAY_COPY_H

#include <kva/kva.h>

/** Create a space with the busy segments of another one, as fork does. `config` as for kva_space_init; its
 *  list of busy ranges is not read. Returns the status of kva_space_init, or KVA_ENOMEM. */
enum kva_status copy_space(const struct kva_space *space, const struct kva_config *config,
                           struct kva_space *copy);

#endif
