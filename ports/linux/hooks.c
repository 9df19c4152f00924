/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The corruption hook of a hosted program that sets none: it writes one line on standard error, and stops the
 * program by a trap.
 *
 *      kva: kva_free: I6: a busy segment is found by one lookup and not by another, at 0x0000000000003000
 *
 * The program's memory is known to be broken, and any lock may be held. So there is one write, of text on the
 * stack, without the heap and stdio.
 */
#include "gnu.h"

#include <kva/status.h>

#include <errno.h>
#include <unistd.h>

#include "../../src/base/text.h"

/** Room for any message of the library with its names; a longer one is cut. */
enum { SENTENCE_BYTES = 256 };

static void write_to_stderr(const char *text, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDERR_FILENO, text, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return; /* a failure cannot be reported */
        text += written;
        length -= (size_t)written;
    }
}

void kva_corruption_host(void *context, const struct kva_fault *fault)
{
    char room[SENTENCE_BYTES];
    struct kva_text line = text_of(room, sizeof room - 1); /* and the line feed */

    (void)context;
    text_put(&line, "kva: ");
    text_put(&line, fault->where);
    text_put(&line, ": ");
    text_put(&line, fault->what);
    text_put(&line, ", at ");
    text_put_hex(&line, fault->address, 16);
    room[line.length] = '\n';
    write_to_stderr(room, line.length + 1);
    __builtin_trap();
}
