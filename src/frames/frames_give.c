/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Giving frames back: whole runs, many of them, parts.
 *
 * Most runs lie in one block and are given back under its lock. For a run that goes on in the next block
 * (CONT), the blocks are locked one by one, upwards. All stay locked until the end of the run is found, and
 * only then does anything change:
 *
 *      | ... first ####### | ################# | ##### next ... |
 *            CONT            WHOLE, CONT         inside, then the end
 */
#include "frames_give.h"

#include "frames_isolate.h"

/* ------------------------------------------------------------------------------------- whole runs */

/** Give back a run that begins at a position of a locked block and goes on in the next one, and drop the
 *  lock. */
static void give_long(const struct kva_frames *frames, struct frames_zone *zone, uint32_t block,
                      uint32_t position)
{
    uint32_t end;
    uint32_t last = lock_rest(frames, zone, block, position, &end);

    for (uint32_t b = block; b <= last; b++) {
        uint64_t before = block_header(&zone->headers[b]);
        uint64_t h = give_frames(frames, words_of(frames, zone, b), before, b == block ? position : 0,
                                 b == last ? end : frames->size);
        prepare_block(frames, zone, b, before, h);
    }
    unlock_blocks(frames, zone, block, last);
}

/** The frames of a run that begins at `bit` of word w and ends in it; 0 if there is none, or the block has
 *  runs that are not plain. */
static inline uint64_t run_in_word(const struct kva_frames *frames, const struct frames_word *word,
                                   uint32_t w, uint64_t h, uint64_t bit)
{
    uint64_t not_inside = ~inside_bits(word) & (0 - (bit << 1)); /* above the bit */

    if (!has_plain_runs(h) || (word->taken & word->first & bit) == 0)
        return 0;
    if (not_inside == 0 && w + 1 < frames->words && (inside_bits(word + 1) & 1))
        return 0;
    return (not_inside & (0 - not_inside)) - bit;
}

/** Note the free of a run that is about to be moved: it becomes free when the batch ends. */
static enum kva_status give_isolated(const struct kva_frames *frames, struct frames_zone *zone,
                                     uint32_t block, uint64_t h, struct frames_move *move)
{
    enum kva_status status = move->is_given ? KVA_EDOUBLE : KVA_OK;

    move->is_given = true;
    unlock_block(frames, zone, block, h);
    return status;
}

/** Give back the run that begins at a position of a locked block, and drop the lock. */
static enum kva_status give_run(const struct kva_frames *frames, struct frames_zone *zone, uint32_t block,
                                uint32_t position, uint64_t before)
{
    struct frames_word *words = words_of(frames, zone, block);
    uint64_t h = before;

    enum kva_status status = state_status(words, h, position);
    uint32_t end = status == KVA_OK ? end_in_block(frames, words, h, position) : 0;
    if (status == KVA_OK && (h & MOVING_MASK)) {
        struct frames_move *move = kva_find_isolated(frames, first_frame(frames, zone, block) + position,
                                                     first_frame(frames, zone, block) + position + 1);
        if (move)
            return give_isolated(frames, zone, block, h, move);
    }
    if (status == KVA_OK && end == frames->size && (h & CONT_MASK)) {
        give_long(frames, zone, block, position);
        return KVA_OK;
    }
    if (status == KVA_OK)
        h = give_frames(frames, words, h, position, end);
    commit_block(frames, zone, block, before, h);
    return status;
}

/** Give back a run that lies in one word, and drop the lock. One half of the word is masked, the other
 *  subtracted from: a compiler would join two equal operations into one of 16 bytes, whose load spans the two
 *  pending stores of 8 that took the run, cannot be store-forwarded and stalls. */
FRAMES_HOT void give_in_word(const struct kva_frames *frames, struct frames_zone *zone, uint32_t block,
                             uint32_t position, struct frames_word *word, uint64_t run, uint32_t count,
                             uint64_t before)
{
    uint64_t h = with_lower_hint(frames, with_given(before, count), position);

    word->taken &= ~run;
    word->first -= UINT64_C(1) << position % 64;
    if (is_held(h)) {
        unlock_block(frames, zone, block, h);
    } else {
        h = with_more_room(frames, words_of(frames, zone, block), h, position, position + count);
        commit_block(frames, zone, block, before, without_kind_if_unused(h));
    }
}

/** The same for a run of any length in the word. The free of a single frame, the most frequent one, has its
 *  own copy, in which the mask does not depend on the contents of the word. */
FRAMES_HOT enum kva_status give_any_in_word(const struct kva_frames *frames, struct frames_zone *zone,
                                            uint32_t block, uint32_t position, struct frames_word *word,
                                            uint64_t run, uint64_t before)
{
    uint32_t at = position % 64;

    if (run == UINT64_C(1) << at)
        give_in_word(frames, zone, block, position, word, UINT64_C(1) << at, 1, before);
    else
        give_in_word(frames, zone, block, position, word, run, highest_bit(run) + 1 - at, before);
    return KVA_OK;
}

/** Give back a run that is a whole block, and drop the lock. Returns false if it is none. */
FRAMES_HOT bool give_whole(const struct kva_frames *frames, struct frames_zone *zone, uint32_t block,
                           uint32_t position, uint64_t before)
{
    if (position != 0 || (before & (WHOLE_MASK | CONT_MASK | MOVING_MASK)) != (uint64_t)WHOLE_FIRST
                                                                                  << WHOLE_AT)
        return false;
    uint64_t h = with_given(before & ~(WHOLE_MASK | HINT_MASK), frames->size);
    if (is_held(h))
        unlock_block(frames, zone, block, h);
    else
        commit_block(frames, zone, block, before, with_kind(with_all_free(frames, h), KIND_UNUSED));
    return true;
}

/** Give back any run, whose block is locked. */
FRAMES_APART enum kva_status give_any(const struct kva_frames *frames, struct frames_zone *zone,
                                      uint64_t first, uint64_t h)
{
    uint32_t block = block_of(frames, zone, first);
    uint32_t position = position_of(frames, first);

    if (give_whole(frames, zone, block, position, h))
        return KVA_OK;
    struct frames_word *word = word_of(frames, zone, first);
    uint64_t run = run_in_word(frames, word, position / 64, h, UINT64_C(1) << position % 64);
    if (run == 0)
        return give_run(frames, zone, block, position, h);
    return give_any_in_word(frames, zone, block, position, word, run, h);
}

enum kva_status kva_give_run(const struct kva_frames *frames, uint64_t first)
{
    struct frames_zone *zone = zone_of(frames, first);

    if (!zone)
        return KVA_EUNKNOWN;
    return give_any(frames, zone, first, lock_block(frames, zone, block_of(frames, zone, first)));
}

/** Give back the run that begins with a frame, if there is one, and report misuse. */
FRAMES_APART enum kva_status free_with_care(const struct kva_frames *frames, struct frames_zone *zone,
                                            uint64_t first, uint64_t h)
{
    enum kva_status status = zone ? give_any(frames, zone, first, h) : KVA_EUNKNOWN;

    return status == KVA_OK ? KVA_OK : refuse(frames, status, "kva_frames_free", first, "first");
}

FRAMES_APART enum kva_status free_after_wait(const struct kva_frames *frames, struct frames_zone *zone,
                                             uint64_t first)
{
    return free_with_care(frames, zone, first, lock_block(frames, zone, block_of(frames, zone, first)));
}

enum kva_status kva_frames_free(struct kva_frames *frames, uint64_t first)
{
    if (!frames)
        return KVA_ENULL;
    struct frames_zone *zone = zone_of(frames, first);
    if (!zone)
        return free_with_care(frames, NULL, first, 0);
    uint32_t block = block_of(frames, zone, first);
    uint32_t position = position_of(frames, first);
    struct frames_word *word = word_of(frames, zone, first);
    __builtin_prefetch(word, 1);
    if (!block_lock_at_once(&zone->headers[block], &frames->locking))
        return free_after_wait(frames, zone, first);
    uint64_t h = block_header(&zone->headers[block]);
    uint64_t run = run_in_word(frames, word, position / 64, h, UINT64_C(1) << position % 64);
    if (run != 0)
        return give_any_in_word(frames, zone, block, position, word, run, h);
    if (give_whole(frames, zone, block, position, h))
        return KVA_OK;
    return free_with_care(frames, zone, first, h);
}

/* ------------------------------------------------------------------------------------- many at once */

/** Whether a frame lies in a block of a zone. */
static inline bool is_in_block(const struct kva_frames *frames, const struct frames_zone *zone,
                               uint32_t block, uint64_t frame)
{
    return frame >= zone->start && frame < zone->end && block_of(frames, zone, frame) == block;
}

/** The bits of the first entries of the list that lie among the `size` frames from `begin` on; and their
 *  number. */
FRAMES_HOT uint64_t gather(const uint64_t *firsts, size_t runs, uint64_t begin, uint64_t size, size_t *count)
{
    uint64_t bits = 0;
    size_t i = 0;

    for (uint64_t at; i < runs && (at = firsts[i] - begin) < size; i++)
        bits |= UINT64_C(1) << (at & 63);
    *count = i;
    return bits;
}

/** Whether all these frames of word w are single ones in use. False if the block has runs that are not
 *  plain. */
static inline bool are_singles(const struct kva_frames *frames, const struct frames_word *words, uint32_t w,
                               uint64_t h, uint64_t bits)
{
    uint64_t inside_after = inside_bits(&words[w]) >> 1;

    if (w + 1 < frames->words)
        inside_after |= inside_bits(&words[w + 1]) << 63;
    return (words[w].taken & words[w].first & ~inside_after & bits) == bits && has_plain_runs(h);
}

/** Give back the single frames of one block that the list begins with, all entries of a word at once. Returns
 *  how many; 0 if the first entry needs kva_give_run. */
static size_t give_singles(const struct kva_frames *frames, const uint64_t *firsts, size_t runs)
{
    struct frames_zone *zone = zone_of(frames, firsts[0]);

    if (!zone)
        return 0;
    uint32_t block = block_of(frames, zone, firsts[0]);
    struct frames_word *words = words_of(frames, zone, block);
    uint64_t before = lock_block(frames, zone, block);
    uint64_t h = before;
    size_t count = 0;
    while (count < runs && is_in_block(frames, zone, block, firsts[count])) {
        uint32_t w = position_of(frames, firsts[count]) / 64;
        size_t entries;
        uint64_t bits = gather(&firsts[count], runs - count, first_frame(frames, zone, block) + w * 64,
                               min_u64(frames->size, 64), &entries);
        if (count_bits(bits) != entries || !are_singles(frames, words, w, h, bits))
            break;
        words[w].taken &= ~bits;
        words[w].first &= ~bits;
        h = with_room_in_word(frames, words, with_given(h, entries), w);
        count += entries;
    }
    commit_block(frames, zone, block, before, without_kind_if_unused(h));
    return count;
}

enum kva_status kva_frames_free_many(struct kva_frames *frames, const uint64_t *firsts, size_t runs,
                                     size_t *done)
{
    enum kva_status status = KVA_OK;
    size_t given = 0;

    if (done)
        *done = 0;
    if (!frames)
        return KVA_ENULL;
    if (!firsts && runs > 0)
        return refuse(frames, KVA_ENULL, __func__, KVA_NO_FRAME, "firsts");
    while (given < runs && status == KVA_OK) {
        size_t singles = give_singles(frames, &firsts[given], runs - given);
        if (singles == 0)
            status = kva_give_run(frames, firsts[given]);
        given += singles + (singles == 0 && status == KVA_OK);
    }
    if (done)
        *done = given;
    if (status == KVA_OK)
        return KVA_OK;
    struct kva_bad bad = {"firsts[i]", given};
    return kva_report_misuse(&frames->hooks, status, __func__, firsts[given], &bad);
}

/* --------------------------------------------------------------------------------------------- parts */

/** The frames [first, end) of a run, and the blocks [low, high] to be locked: those of the part, and those
 *  beside it that change with it. */
struct part {
    struct frames_zone *zone;
    uint64_t first;
    uint64_t end;
    uint32_t low;
    uint32_t high;
};

/** Whether a frame of a locked block is inside a run. */
static bool is_inside(const struct kva_frames *frames, const struct part *part, uint64_t frame)
{
    uint32_t block = block_of(frames, part->zone, frame);
    uint64_t h = block_header(&part->zone->headers[block]);
    uint32_t position = position_of(frames, frame);

    if (whole_of(h) != WHOLE_NOT)
        return position > 0 || whole_of(h) == WHOLE_INSIDE;
    return inside_bits(&words_of(frames, part->zone, block)[position / 64]) >> position % 64 & 1;
}

/** KVA_OK if frames [at, end) of a locked block are all inside a run. */
static enum kva_status inside_status(const struct kva_frames *frames, const struct part *part, uint64_t at,
                                     uint64_t end)
{
    uint32_t block = block_of(frames, part->zone, at);
    uint32_t from = position_of(frames, at);
    uint32_t until = from + (uint32_t)(end - at);
    uint64_t h = block_header(&part->zone->headers[block]);
    bool inside = whole_of(h) == WHOLE_NOT
                      ? end_of_inside(words_of(frames, part->zone, block), from, until) == until
                      : from > 0 || whole_of(h) == WHOLE_INSIDE;

    return inside ? KVA_OK : KVA_ERANGE;
}

/** KVA_OK if the part lies in one run that is not being moved. */
static enum kva_status part_status(const struct kva_frames *frames, const struct part *part)
{
    uint32_t block = block_of(frames, part->zone, part->first);
    uint64_t h = block_header(&part->zone->headers[block]);
    enum kva_status status =
        state_status(words_of(frames, part->zone, block), h, position_of(frames, part->first));
    uint64_t at = part->first + 1;

    if (status != KVA_OK && status != KVA_EINTERIOR)
        return status;
    bool is_moving = (h & MOVING_MASK) && kva_find_isolated(frames, part->first, part->first + 1);
    for (status = KVA_OK; at < part->end && status == KVA_OK;) {
        block = block_of(frames, part->zone, at);
        uint64_t rest = part->end - first_frame(frames, part->zone, block);
        uint64_t end = first_frame(frames, part->zone, block) + min_u64(frames->size, rest);
        status = inside_status(frames, part, at, end);
        at = end;
    }
    return status == KVA_OK && is_moving ? KVA_EBUSY : status;
}

/** Make the frame after the part the first one of the run that is left. */
static uint64_t begin_rest(const struct kva_frames *frames, struct frames_word *words, uint64_t h,
                           uint32_t position)
{
    h = spread_whole(frames, words, h);
    words[position / 64].first |= UINT64_C(1) << position % 64;
    return h;
}

/** Give the part back, block by block, and drop the locks. */
static void give_part(const struct kva_frames *frames, const struct part *part, bool goes_on)
{
    for (uint32_t block = part->low; block <= part->high; block++) {
        struct frames_word *words = words_of(frames, part->zone, block);
        uint64_t before = block_header(&part->zone->headers[block]);
        uint64_t begin = first_frame(frames, part->zone, block);
        uint64_t h = before;
        if (part->first - begin == frames->size) { /* the block before the part */
            h &= ~CONT_MASK;
        } else {
            uint32_t from = part->first > begin ? (uint32_t)(part->first - begin) : 0;
            uint32_t end = part->end > begin ? (uint32_t)min_u64(frames->size, part->end - begin) : 0;
            if (end > from)
                h = give_frames(frames, words, h, from, end);
            if (goes_on && end < frames->size)
                h = begin_rest(frames, words, h, end);
        }
        prepare_block(frames, part->zone, block, before, h);
    }
    unlock_blocks(frames, part->zone, part->low, part->high);
}

/** The part with its blocks, and the block before or after it if it begins or ends with a block. */
static struct part part_of(const struct kva_frames *frames, struct frames_zone *zone, uint64_t first,
                           uint64_t end)
{
    struct part part = {zone, first, end, block_of(frames, zone, first), block_of(frames, zone, end - 1)};

    if (position_of(frames, first) == 0 && part.low > 0)
        part.low--;
    if (position_of(frames, end) == 0 && end < zone->end)
        part.high++;
    return part;
}

/** Give a part back; KVA_ERANGE if `part` is not all of it, because it reaches beyond the zone. */
static enum kva_status free_part(const struct kva_frames *frames, const struct part *part, bool is_all)
{
    for (uint32_t block = part->low; block <= part->high; block++)
        (void)lock_block(frames, part->zone, block);
    enum kva_status status = part_status(frames, part);
    if (status == KVA_OK && !is_all)
        status = KVA_ERANGE;
    if (status == KVA_OK) {
        give_part(frames, part, part->end < part->zone->end && is_inside(frames, part, part->end));
        return KVA_OK;
    }
    unlock_blocks(frames, part->zone, part->low, part->high);
    return status;
}

enum kva_status kva_frames_free_range(struct kva_frames *frames, uint64_t first, uint64_t count)
{
    if (!frames)
        return KVA_ENULL;
    struct frames_zone *zone = zone_of(frames, first);
    enum kva_status status = KVA_OK;
    const char *field = "first";
    if (count == 0)
        status = KVA_ESIZE;
    else if (count > UINT64_MAX - first)
        status = KVA_EWRAP;
    if (status != KVA_OK)
        return refuse(frames, status, __func__, first, "count");
    if (zone) {
        /* A part beyond the zone's end is too long, but a first frame that is free or absent decides: check
         * that one. */
        bool fits = count <= zone->end - first;
        struct part part = part_of(frames, zone, first, fits ? first + count : first + 1);
        status = free_part(frames, &part, fits);
    } else {
        status = KVA_EUNKNOWN;
    }
    if (status == KVA_ERANGE)
        field = "count";
    return status == KVA_OK || status == KVA_EBUSY ? status : refuse(frames, status, __func__, first, field);
}
