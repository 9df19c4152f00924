/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Reading numbers from the text files of /proc and /sys. The program's malloc may use the library, so there
 * is no stdio: only a file descriptor, and a buffer on the caller's stack that holds as much as the kernel
 * returns at once.
 */
#ifndef KVA_PORTS_LINUX_READER_H
#define KVA_PORTS_LINUX_READER_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

struct reader {
    int file;
    bool failed; /* a read failed: the rest of the text is unknown */
    size_t at;   /* the current character of the text */
    size_t length;
    char text[4096];
};

/** False if there is no such file, or no file descriptor left; then there is nothing to close. */
static inline bool reader_open(struct reader *reader, const char *path)
{
    reader->file = open(path, O_RDONLY | O_CLOEXEC);
    reader->failed = false;
    reader->at = reader->length = 0;
    return reader->file >= 0;
}

static inline void reader_close(const struct reader *reader)
{
    (void)close(reader->file);
}

/** Provide a current character; false at the end of the file. */
static inline bool reader_fill(struct reader *reader)
{
    if (reader->at < reader->length)
        return true;
    ssize_t length = read(reader->file, reader->text, sizeof reader->text);
    reader->failed = length < 0;
    reader->at = 0;
    reader->length = length > 0 ? (size_t)length : 0;
    return length > 0;
}

/** The current character; a line feed at the end of the file. */
static inline char reader_current(struct reader *reader)
{
    return reader_fill(reader) ? reader->text[reader->at] : '\n';
}

/** The current character. Steps over it, but not over the end of a line. */
static inline char reader_take(struct reader *reader)
{
    char next = reader_current(reader);

    reader->at += next != '\n';
    return next;
}

/** The value of a digit; 16 for any other character. */
static inline unsigned digit_of(char character)
{
    if (character >= '0' && character <= '9')
        return (unsigned)(character - '0');
    return character >= 'a' && character <= 'f' ? (unsigned)(character - 'a') + 10 : 16;
}

/** Read a number that begins here, in base 10 or 16; false if there is none. */
static inline bool reader_number(struct reader *reader, unsigned base, uint64_t *number)
{
    bool any = false;

    *number = 0;
    for (; reader_fill(reader); reader->at++) {
        unsigned digit = digit_of(reader->text[reader->at]);
        if (digit >= base)
            break;
        *number = *number * base + digit;
        any = true;
    }
    return any;
}

/** Step past the next such character; false at the end of the file. */
static inline bool reader_skip(struct reader *reader, char character)
{
    while (reader_fill(reader)) {
        const char *from = reader->text + reader->at;
        const char *found = memchr(from, character, reader->length - reader->at);
        reader->at = found ? (size_t)(found - reader->text) + 1 : reader->length;
        if (found)
            return true;
    }
    return false;
}

/** The number that a file begins with; 0 if it cannot be read. */
static inline uint64_t read_number(const char *path)
{
    struct reader reader;
    uint64_t number;

    if (!reader_open(&reader, path))
        return 0;
    (void)reader_number(&reader, 10, &number);
    reader_close(&reader);
    return number;
}

#endif
