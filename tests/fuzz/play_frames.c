/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The player of play_frames.h. */
#include "play_frames.h"

#include "../common/frames_play.h"

struct program {
    const uint8_t *next;
    const uint8_t *end;
    unsigned bits; /* the number of unread bits in the byte before `next` */
};

static unsigned draw_bit(struct program *program)
{
    if (program->bits == 0 && program->next < program->end) {
        program->next++;
        program->bits = 8;
    }
    return program->bits > 0 ? (unsigned)program->next[-1] >> --program->bits & 1 : 0;
}

static uint64_t draw_bits(void *context, uint64_t bound)
{
    uint64_t number = 0;

    if (bound < 2)
        return 0;
    for (uint64_t most = bound - 1; most > 0; most >>= 1)
        number = number << 1 | draw_bit(context);
    return number % bound;
}

static bool has_ended(void *context)
{
    const struct program *program = context;

    return program->next == program->end;
}

size_t play_frames(const uint8_t *bytes, size_t count)
{
    struct program program = {bytes, bytes + count, 0};
    struct frames_draw draw = {draw_bits, has_ended, &program};

    uint64_t moved = 0;

    return (size_t)frames_play(&draw, 2 * count, &moved);
}
