/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The places of place.h. */
#include "place.h"

/** floor(UINT64_MAX / q) is one less than 2^64 / q. */
static bool fits(uint64_t quanta, uint64_t quantum)
{
    return quanta - 1 <= UINT64_MAX / quantum;
}

static uint64_t largest_quantum(uint64_t quanta)
{
    uint64_t quantum = UINT64_C(1) << 63;

    while (!fits(quanta, quantum))
        quantum /= 2;
    return quantum;
}

struct test_place test_place(uint64_t number, uint64_t quanta)
{
    const uint64_t quantums[] = {1, 2, 0x1000, largest_quantum(quanta)};
    struct test_place place = {.first = 0, .quantum = quantums[number % 4]};
    uint64_t top = 0 - quanta * place.quantum; /* modulo 2^64: 0 for all addresses */

    if (number / 4 % 3 == 1)
        place.first = top;
    else if (number / 4 % 3 == 2 && top > UINT64_C(1) << 62)
        place.first = UINT64_C(1) << 62;
    return place;
}

uint64_t test_place_bytes(const struct test_place *place, uint64_t quanta)
{
    return quanta <= UINT64_MAX / place->quantum ? quanta * place->quantum : UINT64_MAX;
}
