/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "copy.h"

#include <stdlib.h>

enum kva_status copy_space(const struct kva_space *space, const struct kva_config *config,
                           struct kva_space *copy)
{
    struct kva_config with_busy = *config;
    struct kva_stats stats;
    struct kva_segment segment;
    size_t count = 0;
    enum kva_status status = kva_stats_read(space, &stats);
    if (status != KVA_OK)
        return status;
    /* One more than needed: malloc(0) may return NULL. */
    struct kva_range *ranges = malloc(((size_t)stats.busy_segments + 1) * sizeof *ranges);
    if (ranges == NULL)
        return KVA_ENOMEM;
    for (status = kva_first(space, &segment); status == KVA_OK; status = kva_next(space, &segment))
        if (segment.state == KVA_BUSY)
            ranges[count++] =
                (struct kva_range){segment.start, segment.last - segment.start + 1, segment.owner};
    with_busy.busy = ranges;
    with_busy.busy_count = count;
    status = kva_space_init(copy, &with_busy);
    free(ranges);
    return status;
}
