/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/** For zlib: windows of any size, and gzip's frame. */
#define GZIP_WINDOW (15 + 16)

/** Result of a refill. */
enum refilled { REFILLED, REFILLED_END, REFILLED_BROKEN, REFILLED_FAILED };

/* ----------------------------------------------------------------------------------------------- the file */

/** Read a block of the file. *count is 0 at the end. */
static enum refilled read_raw(struct input *input, size_t *count)
{
    errno = 0;
    *count = fread(input->raw, 1, INPUT_BLOCK, input->file);
    if (*count == 0 && ferror(input->file))
        return REFILLED_FAILED;
    return *count == 0 ? REFILLED_END : REFILLED;
}

/** Pass zlib the next block. */
static enum refilled feed(struct input *input)
{
    size_t count;
    enum refilled refilled = read_raw(input, &count);
    input->zlib.next_in = input->raw;
    input->zlib.avail_in = (uInt)count;
    return refilled;
}

/** A member has ended: start the next. Bytes after the last member are padding, which gzip skips as well. */
static enum refilled next_member(struct input *input)
{
    if (input->zlib.avail_in == 0) {
        enum refilled refilled = feed(input);
        if (refilled != REFILLED)
            return refilled;
    }
    if (input->zlib.next_in[0] != 0x1f)
        return REFILLED_END;
    input->between = false;
    return inflateReset(&input->zlib) == Z_OK ? REFILLED : REFILLED_BROKEN;
}

/** Decompress until the block is not empty. */
static enum refilled decompress(struct input *input)
{
    input->zlib.next_out = input->block;
    input->zlib.avail_out = (uInt)INPUT_BLOCK;
    while (input->zlib.avail_out == INPUT_BLOCK) {
        enum refilled refilled = REFILLED;
        if (input->between)
            refilled = next_member(input);
        else if (input->zlib.avail_in == 0 && (refilled = feed(input)) == REFILLED_END)
            refilled = REFILLED_BROKEN; /* a member must end before the file does */
        if (refilled != REFILLED)
            return refilled;
        int status = inflate(&input->zlib, Z_NO_FLUSH);
        input->between = status == Z_STREAM_END;
        if (status == Z_MEM_ERROR) {
            errno = ENOMEM;
            return REFILLED_FAILED;
        }
        if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR &&
            input->zlib.avail_out == INPUT_BLOCK)
            return REFILLED_BROKEN; /* else return the text first; the error recurs */
    }
    input->end = INPUT_BLOCK - input->zlib.avail_out;
    return REFILLED;
}

static enum refilled refill(struct input *input)
{
    input->at = 0;
    input->end = 0;
    if (input->broken)
        return REFILLED_END;
    if (input->compressed)
        return decompress(input);
    return read_raw(input, &input->end);
}

/* ---------------------------------------------------------------------------------------------- beginning */

/** The file begins as gzip does: decompress it into a second block. */
static bool begin_compressed(struct input *input, size_t count)
{
    input->block = malloc(INPUT_BLOCK);
    if (input->block == NULL)
        return false;
    if (inflateInit2(&input->zlib, GZIP_WINDOW) != Z_OK) {
        errno = ENOMEM;
        return false;
    }
    input->compressed = true;
    input->zlib.next_in = input->raw;
    input->zlib.avail_in = (uInt)count;
    enum refilled refilled = decompress(input);
    input->broken = refilled == REFILLED_BROKEN;
    return refilled != REFILLED_FAILED;
}

/** Read the first block, and keep its beginning. */
static bool begin(struct input *input)
{
    size_t count;
    if (read_raw(input, &count) == REFILLED_FAILED)
        return false;
    if (count >= 2 && input->raw[0] == 0x1f && input->raw[1] == 0x8b) {
        if (!begin_compressed(input, count))
            return false;
    } else {
        input->block = input->raw;
        input->end = count;
    }
    input->head_length = input->end < INPUT_HEAD ? input->end : INPUT_HEAD;
    memcpy(input->head, input->block, input->head_length);
    return true;
}

bool input_init(struct input *input, FILE *file)
{
    *input = (struct input){.file = file, .raw = malloc(INPUT_BLOCK), .head = malloc(INPUT_HEAD)};
    if (input->raw != NULL && input->head != NULL && begin(input))
        return true;
    int reason = errno;
    input_fini(input);
    errno = reason;
    return false;
}

void input_fini(struct input *input)
{
    if (input->compressed)
        inflateEnd(&input->zlib);
    if (input->block != input->raw)
        free(input->block);
    free(input->raw);
    free(input->head);
    *input = (struct input){0};
}

/* -------------------------------------------------------------------------------------------------- lines */

/** Consume `count` bytes of the block, and append those that fit to the line. */
static void take(struct input *input, size_t count, char *buffer, size_t room, size_t *length, bool *fits)
{
    size_t copied = count < room - *length ? count : room - *length;
    memcpy(buffer + *length, input->block + input->at, copied);
    *length += copied;
    *fits = *fits && copied == count;
    input->at += count;
}

/** The rest has no line feed. */
static enum input_line last_line(struct input *input, enum refilled why, size_t length, bool fits)
{
    if (why == REFILLED_FAILED)
        return INPUT_FAILED;
    if (why == REFILLED_BROKEN)
        input->broken = true;
    if (!fits)
        return INPUT_LONG;
    if (length != 0)
        return INPUT_LAST;
    return INPUT_END;
}

enum input_line input_line(struct input *input, char *buffer, size_t room, size_t *length)
{
    bool fits = true;
    *length = 0;
    for (;;) {
        enum refilled refilled = input->at < input->end ? REFILLED : refill(input);
        if (refilled != REFILLED)
            return last_line(input, refilled, *length, fits);
        const unsigned char *from = input->block + input->at;
        const unsigned char *feed_at = memchr(from, '\n', input->end - input->at);
        size_t count = feed_at == NULL ? input->end - input->at : (size_t)(feed_at - from);
        take(input, count, buffer, room, length, &fits);
        if (feed_at == NULL)
            continue;
        input->at++;
        return fits ? INPUT_LINE : INPUT_LONG;
    }
}
