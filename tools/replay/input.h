/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The bytes of a log, line by line; a file of gzip is decompressed.
 *
 * The first bytes of the file decide that, not its name. Several consecutive members of gzip are one log.
 *
 * MEMORY. Two blocks of INPUT_BLOCK bytes, INPUT_HEAD bytes, and about 48 KiB for zlib.
 */
#ifndef KVA_TOOLS_REPLAY_INPUT_H
#define KVA_TOOLS_REPLAY_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <zlib.h>

/** Bytes that are read or decompressed at a time. */
#define INPUT_BLOCK ((size_t)1 << 16)

/** Bytes of the beginning that are kept, to find out the kind of the file. */
#define INPUT_HEAD ((size_t)4096)

enum input_line {
    INPUT_LINE,  /* a line that ends in a line feed */
    INPUT_LAST,  /* the bytes after the last line feed, at least one */
    INPUT_LONG,  /* the beginning of a line longer than the buffer; the rest is skipped */
    INPUT_END,   /* the end of the file */
    INPUT_FAILED /* the system refused: see errno */
};

struct input {
    FILE *file;
    unsigned char *raw;   /* a block of the file */
    unsigned char *block; /* the next text to return: `raw`, or decompressed bytes */
    size_t at;            /* [at, end) of the block */
    size_t end;
    char *head; /* the first bytes of the text */
    size_t head_length;
    z_stream zlib;
    bool compressed;
    bool between; /* compressed: between two members */
    bool broken;  /* the compressed data is cut off or damaged: the text ends there */
};

/** Start to read a file, which the caller still owns. False: see errno; do not call input_fini. */
bool input_init(struct input *input, FILE *file);
void input_fini(struct input *input);

/** Read the next line, without its line feed; *length is at most `room`. INPUT_LONG returns the first
 *  `room` bytes of the line. */
enum input_line input_line(struct input *input, char *buffer, size_t room, size_t *length);

#endif
