/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The bytes of a log, line by line: as they stand in the file, or decompressed where the file is one of gzip.
 *
 * Which of the two it is, the first bytes of the file tell, not its name. Several members of gzip, one after
 * another, are one log.
 *
 * MEMORY. Two blocks of INPUT_BLOCK bytes, INPUT_HEAD bytes, and what zlib needs (about 48 KiB).
 */
#ifndef KVA_TOOLS_REPLAY_INPUT_H
#define KVA_TOOLS_REPLAY_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <zlib.h>

/** What is read or decompressed at a time. */
#define INPUT_BLOCK ((size_t)1 << 16)

/** How much of the beginning is kept, for those who want to know what kind of file it is. */
#define INPUT_HEAD ((size_t)4096)

enum input_line {
    INPUT_LINE,  /* a line that ends in a line feed */
    INPUT_LAST,  /* what stands after the last line feed, at least a byte */
    INPUT_LONG,  /* the beginning of a line with more bytes than there is room for; the rest is skipped */
    INPUT_END,   /* nothing is left */
    INPUT_FAILED /* the system refused: errno tells why */
};

struct input {
    FILE *file;
    unsigned char *raw;   /* a block of the file */
    unsigned char *block; /* the text to return next: `raw` itself, or what was decompressed */
    size_t at;            /* [at, end) of the block */
    size_t end;
    char *head; /* the first bytes of the text */
    size_t head_length;
    z_stream zlib;
    bool compressed;
    bool between; /* compressed: a member has ended, and the next has not begun */
    bool broken;  /* the compressed data is cut off or damaged: the text ends there */
};

/** Begin to read a file, which stays the caller's. False: errno tells why; the input needs no input_fini. */
bool input_init(struct input *input, FILE *file);
void input_fini(struct input *input);

/** Read the next line, without its line feed; *length is never above `room`. The bytes of INPUT_LONG are the
 *  first `room` of the line. */
enum input_line input_line(struct input *input, char *buffer, size_t room, size_t *length);

#endif
