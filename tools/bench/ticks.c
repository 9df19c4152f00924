/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "ticks.h"

#include "histogram.h"

#include <stddef.h>

/* Long enough that the two readings, some 50 ns apart, change only the sixth digit. */
#define CALIBRATION_NS UINT64_C(50000000)

/* Enough for a median; they take less than a millisecond. */
#define COST_READINGS 10000

double ticks_calibrate(void)
{
    uint64_t start_ns = clock_ns();
    uint64_t start = ticks_now();
    uint64_t now_ns;
    do
        now_ns = clock_ns();
    while (now_ns - start_ns < CALIBRATION_NS);
    return (double)(now_ns - start_ns) / (double)(ticks_now() - start);
}

uint64_t ticks_cost(void)
{
    struct histogram histogram;
    histogram_init(&histogram);
    uint64_t before = ticks_now();
    for (size_t i = 0; i < COST_READINGS; i++) {
        uint64_t after = ticks_now();
        histogram_add(&histogram, after - before);
        before = after;
    }
    return histogram_quantile(&histogram, 0.5);
}
