/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Given ranges: reserved, taken offline, brought online; and the drain. These calls are rare, and take the
 * locks of all CPUs: a request that fails at the same time has not missed the frames that they leave free.
 */
#include "frames_find.h"
#include "frames_span.h"

/** Change a range under the locks of all CPUs. Returns the obstacle. */
static struct frames_obstacle change_range(const struct kva_frames *frames, struct frames_zone *zone,
                                           uint64_t first, uint64_t count, enum frames_change change,
                                           enum frames_kind kind)
{
    struct frames_obstacle obstacle;

    kva_cpus_take(&frames->locks);
    (void)kva_span_change(frames, zone, first, first + count, change, kind,
                          &cpu_of(frames, 0)->counts[zone - frames->zones], &obstacle);
    kva_cpus_drop(&frames->locks);
    return obstacle;
}

/** Take or hide a range of free frames. */
static enum kva_status claim_range(struct kva_frames *frames, const char *where, uint64_t first,
                                   uint64_t count, enum frames_change change, enum frames_kind kind,
                                   enum kva_status in_use, uint64_t *obstacle)
{
    enum kva_status status;
    const char *field;
    struct frames_zone *zone = kva_zone_of_range(frames, first, count, &status, &field);

    if (!zone)
        return refuse(frames, status, where, first, field);
    struct frames_obstacle in_the_way = change_range(frames, zone, first, count, change, kind);
    if (in_the_way.frame == KVA_NO_FRAME)
        return KVA_OK;
    if (in_the_way.is_absent)
        return refuse(frames, KVA_ERANGE, where, in_the_way.frame, "count");
    if (obstacle)
        *obstacle = in_the_way.frame;
    return in_use;
}

enum kva_status kva_frames_reserve(struct kva_frames *frames, uint64_t first, uint64_t count,
                                   enum kva_frames_type type, uint64_t *obstacle)
{
    if (!frames)
        return KVA_ENULL;
    if (type != KVA_MOVABLE && type != KVA_UNMOVABLE)
        return refuse(frames, KVA_EINVAL, __func__, first, "type");
    return claim_range(frames, __func__, first, count, CHANGE_TAKE, kind_of_type(type), KVA_EEXIST, obstacle);
}

enum kva_status kva_frames_offline(struct kva_frames *frames, uint64_t first, uint64_t count,
                                   uint64_t *obstacle)
{
    if (!frames)
        return KVA_ENULL;
    return claim_range(frames, __func__, first, count, CHANGE_HIDE, KIND_UNUSED, KVA_EBUSY, obstacle);
}

enum kva_status kva_frames_online(struct kva_frames *frames, uint64_t first, uint64_t count,
                                  uint64_t *obstacle)
{
    enum kva_status status;
    const char *field;

    if (!frames)
        return KVA_ENULL;
    struct frames_zone *zone = kva_zone_of_range(frames, first, count, &status, &field);
    if (!zone)
        return refuse(frames, status, __func__, first, field);
    struct frames_obstacle in_the_way = change_range(frames, zone, first, count, CHANGE_SHOW, KIND_UNUSED);
    if (in_the_way.frame == KVA_NO_FRAME)
        return KVA_OK;
    if (obstacle)
        *obstacle = in_the_way.frame;
    return KVA_EEXIST;
}

enum kva_status kva_frames_drain(struct kva_frames *frames)
{
    if (!frames)
        return KVA_ENULL;
    kva_drain(frames);
    return KVA_OK;
}
