/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Turns lines into operations: prefixes, halves of calls, events. The grammar of a call is in call.c.
 *
 *      line --prefix--> process, time, body --+-- "name(... <unfinished ...>"   begin_half: wait
 *                                             +-- "<... name resumed>..."       end_half: join, then deliver
 *                                             +-- "name(...) = result"          deliver
 *                                             +-- "+++ ... +++"                 event
 *                                             +-- "--- ... ---"                 signal
 *                                             +-- "strace: Process N attached"  note
 *                                             +-- anything else                 odd: skip or refuse
 *
 * If strace writes to the terminal instead of a file, two things are odd. Its notes may break a line in two
 * ("vfork(strace: Process 7264 attached", then " <unfinished ...>"): the parts are joined. And while only one
 * process is left, its lines have no "[pid N]": they belong to the first process, whose number is the first
 * one in brackets that no note and no fork has introduced.
 *
 * With -z strace writes the second half of a call without its prefix, right after the first. Such a line
 * begins with text that can follow an argument.
 */
#include "strace.h"

#include "../common/grow.h"
#include "format.h"
#include "input.h"
#include "pidmap.h"
#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)

/** Fewer seconds than this (1973) count from the line before (strace -r), not from the epoch. No process has
 *  a number as high as this: Linux ends at 2^22. */
#define EARLIEST UINT64_C(100000000)

/** The first half of a call. */
struct half {
    char *line; /* a copy of the whole line */
    size_t length;
    size_t begin; /* the call's text in it: [begin, end) */
    size_t end;
    uint64_t number; /* of the line */
    size_t slot;     /* the operation reserved for it, or the entry of its beginning; or NO_SLOT */
    enum strace_call call;
};

#define NO_SLOT SIZE_MAX

#define CUT_OFF "expected a line feed: the log is cut off here"

/** State of a process. */
struct process {
    struct process *next; /* all of them */
    struct half half;     /* line is NULL: no call waits for its end */
    uint32_t pid;
    bool introduced; /* by a fork or a note */
};

/** State that the prefixes of lines change. An odd line does not change it. */
struct prefixes {
    uint64_t time_ns;
    uint64_t clock_ns; /* the last time of day, and the days that have passed */
    uint64_t days;
    uint32_t main_pid; /* the number of the process whose lines may lack it; 0: unknown */
    bool unnumbered;   /* there was a line without a process number */
    bool timed;        /* there was a line with a time */
};

struct reader {
    struct input input;
    struct strace_log *log;
    struct strace_error *error;
    bool strict;
    enum strace_odd odd; /* the kind of the current line, if it is odd */
    uint64_t understood; /* lines that are not odd */
    bool in_summary;     /* inside the table of strace -C */
    struct pidmap by_pid;
    struct process *processes;
    char *buffer; /* STRACE_LINE_MAX bytes */
    struct text_line line;
    uint32_t pid;            /* of the current line; by_pid has a process only if it has state */
    struct process *carried; /* a note broke its line; the next line continues it */
    struct process *begun;   /* its call began last, in line `begun_line`; the next line may continue it */
    uint64_t begun_line;
    struct prefixes prefix;
};

/* ------------------------------------------------------------------------------------------------ helpers */

/** The system refused. */
static bool refuse(struct strace_error *error, const char *what)
{
    *error = (struct strace_error){.refused = true};
    snprintf(error->message, sizeof error->message, "%s", what);
    return false;
}

/** The current line from byte `column` on, as a text. */
static struct text rest_of_line(const struct reader *reader, size_t column)
{
    struct text text = {.bytes = reader->line.bytes + column, .length = reader->line.length - column};
    text.split = NO_SPLIT;
    text.piece[0].line = reader->line;
    text.piece[0].column = column;
    return text;
}

/** Count an odd line, which reader->error describes, and continue. */
static bool skip(struct reader *reader, enum strace_odd odd)
{
    struct strace_skipped *skipped = &reader->log->skipped[odd];
    if (skipped->lines == 0 || reader->error->line < skipped->first.line)
        skipped->first = *reader->error;
    skipped->lines++;
    *reader->error = (struct strace_error){0};
    return true;
}

/** The state of a process, created if there is none. NULL: no memory. */
static struct process *process_of(struct reader *reader, uint32_t pid)
{
    void **place = pidmap_at(&reader->by_pid, pid);
    struct process *process;
    if (place == NULL)
        return NULL;
    if (*place != NULL)
        return *place;
    process = calloc(1, sizeof *process);
    if (process == NULL)
        return NULL;
    process->pid = pid;
    process->next = reader->processes;
    reader->processes = process;
    *place = process;
    return process;
}

/** Append an operation, all zero. NULL: no memory. */
static struct strace_op *append(struct reader *reader)
{
    struct strace_log *log = reader->log;
    struct strace_op *ops = with_room(log->ops, log->count, &log->room, sizeof *ops);
    if (ops == NULL) {
        refuse(reader->error, "no memory for the log");
        return NULL;
    }
    log->ops = ops;
    log->ops[log->count] = (struct strace_op){0};
    return &log->ops[log->count++];
}

/** Record that a process exists. */
static bool introduce(struct reader *reader, uint64_t pid)
{
    struct process *process = process_of(reader, (uint32_t)pid);
    if (process == NULL)
        return refuse(reader->error, "no memory for the log");
    process->introduced = true;
    return true;
}

/* ----------------------------------------------------------------------------------------------- prefixes */

/** Skip blanks before a number: strace -r pads its times. Returns whether there were any. */
static bool skip_padding(struct cursor *cursor)
{
    struct cursor ahead = *cursor;
    text_blanks(&ahead);
    bool padded = ahead.at != cursor->at && text_is_digit(text_byte(&ahead));
    if (padded)
        cursor->at = ahead.at;
    return padded;
}

/** Whether the number at the cursor is a time, not a process. It is if '.' or ':' follows. It also is if
 *  it is in whole seconds: padded, as times without a process are, or higher than any process number. */
static bool is_time(struct cursor ahead, bool padded)
{
    uint64_t value = 0;
    size_t begin = ahead.at;
    for (; text_is_digit(text_byte(&ahead)) && value <= UINT32_MAX; ahead.at++)
        value = value * 10 + (uint64_t)(text_byte(&ahead) - '0');
    if (ahead.at == begin || text_byte(&ahead) == '.' || text_byte(&ahead) == ':')
        return true;
    return text_byte(&ahead) == ' ' && (padded || (value >= EARLIEST && value <= UINT32_MAX));
}

/** The process of a line "[pid N]": 0 if it is the one whose lines may lack the number. */
static uint64_t main_or(struct reader *reader, uint64_t pid)
{
    struct prefixes *prefix = &reader->prefix;
    struct process *known = pidmap_get(&reader->by_pid, (uint32_t)pid);
    if (!prefix->unnumbered)
        return pid;
    if (prefix->main_pid == 0 && (known == NULL || !known->introduced))
        prefix->main_pid = (uint32_t)pid;
    return pid == prefix->main_pid ? 0 : pid;
}

/** "[pid N] ", "[pid N<name>] ", "N ", "N<name> ", or nothing. */
static bool read_pid(struct reader *reader, struct cursor *cursor, uint64_t *pid)
{
    bool padded = skip_padding(cursor);
    bool brackets = text_accept(cursor, "[pid");
    *pid = 0;
    if (!brackets && (!text_is_digit(text_byte(cursor)) || is_time(*cursor, padded))) {
        reader->prefix.unnumbered = true;
        return true;
    }
    if (brackets)
        text_blanks(cursor);
    size_t begin = cursor->at;
    if (!text_decimal(cursor, "a process number", pid))
        return false;
    if (*pid == 0 || *pid > UINT32_MAX)
        return text_wrong(cursor, begin, "expected a process number from 1 to 2^32 - 1");
    text_skip_name(cursor);
    if (brackets && !text_expect(cursor, "]"))
        return false;
    if (!text_expect(cursor, " "))
        return false;
    text_blanks(cursor);
    if (brackets)
        *pid = main_or(reader, *pid);
    return true;
}

/** The digits after the point of a time, as nanoseconds: at most nine count. */
static bool read_fraction(struct cursor *cursor, uint64_t *ns)
{
    uint64_t unit = SECOND / 10;
    size_t begin = cursor->at;
    *ns = 0;
    for (; text_is_digit(text_byte(cursor)); cursor->at++, unit /= 10)
        *ns += unit * (uint64_t)(text_byte(cursor) - '0');
    return cursor->at != begin || text_fail(cursor, "a fraction of a second");
}

/** What follows the first number of a time of day: ":MM:SS[.fraction]". The day changes when the clock
 *  goes back by more than half a day. */
static bool read_clock(struct reader *reader, struct cursor *cursor, uint64_t hours)
{
    uint64_t minutes, seconds, fraction = 0;
    if (!text_expect(cursor, ":") || !text_decimal(cursor, "minutes", &minutes) ||
        !text_expect(cursor, ":") || !text_decimal(cursor, "seconds", &seconds))
        return false;
    if (hours > 23 || minutes > 59 || seconds > 60)
        return text_fail(cursor, "a time of day before this");
    if (text_accept(cursor, ".") && !read_fraction(cursor, &fraction))
        return false;
    uint64_t now = ((hours * 60 + minutes) * 60 + seconds) * SECOND + fraction;
    if (now + 12 * 3600 * SECOND < reader->prefix.clock_ns)
        reader->prefix.days++;
    reader->prefix.clock_ns = now;
    reader->prefix.time_ns = reader->prefix.days * 24 * 3600 * SECOND + now;
    return true;
}

/** Seconds with or without a fraction: of a clock, or since the line before. */
static bool read_seconds(struct reader *reader, struct cursor *cursor, size_t begin, uint64_t number)
{
    uint64_t fraction = 0;
    if (text_accept(cursor, ".") && !read_fraction(cursor, &fraction))
        return false;
    if (number >= UINT64_MAX / SECOND)
        return text_wrong(cursor, begin, "expected a time before the year 2554");
    bool relative = number < EARLIEST;
    reader->prefix.time_ns = (relative ? reader->prefix.time_ns : 0) + number * SECOND + fraction;
    return true;
}

/** "(+     0.000098) ": -r beside another time adds the time since the line before. */
static bool skip_relative(struct cursor *cursor)
{
    uint64_t ignored;
    if (!text_accept(cursor, "(+"))
        return true;
    text_blanks(cursor);
    if (!text_decimal(cursor, "seconds", &ignored))
        return false;
    if (text_accept(cursor, ".") && !read_fraction(cursor, &ignored))
        return false;
    return text_expect(cursor, ") ");
}

/** "1795416714.948664 ", "     0.000123 ", "12:31:54.948664 ", "12:31:54 ", "1795416714 ", or nothing. */
static bool read_time(struct reader *reader, struct cursor *cursor)
{
    uint64_t number;
    size_t begin = cursor->at;
    if (!text_is_digit(text_byte(cursor)))
        return true;
    if (!text_decimal(cursor, "a time", &number))
        return false;
    bool good = text_byte(cursor) == ':' ? read_clock(reader, cursor, number)
                                         : read_seconds(reader, cursor, begin, number);
    if (!good || !text_expect(cursor, " "))
        return false;
    reader->prefix.timed = true;
    return skip_relative(cursor);
}

/** Skip "[   9] " and "[00007f95810bfca3] " (or '?' for digits): the number of the call (-n), and the calling
 *  instruction (-i). */
static void skip_fields(struct cursor *cursor)
{
    struct cursor ahead = *cursor;
    while (text_accept(&ahead, "[")) {
        while (text_is_word(text_byte(&ahead)) || text_byte(&ahead) == ' ' || text_byte(&ahead) == '?')
            ahead.at++;
        if (!text_accept(&ahead, "] "))
            return;
        cursor->at = ahead.at;
    }
}

/* --------------------------------------------------------------------------------------------- operations */

/** The number of a line, as operations store it. */
static uint32_t line_of(uint64_t line)
{
    return (uint32_t)(line > UINT32_MAX ? UINT32_MAX : line);
}

/** Whether a call's place in the order is its beginning. */
static bool takes_effect_early(enum strace_call call)
{
    return call == STRACE_MUNMAP || call == STRACE_FORK;
}

/** Store an operation: in the place reserved for it, or after all others; the entry of its beginning, if
 *  any, then refers to it. */
static bool keep(struct reader *reader, const struct strace_op *op, size_t slot, uint64_t line)
{
    bool at_end = slot == NO_SLOT || reader->log->ops[slot].call == STRACE_UNDER_WAY;
    struct strace_op *place = at_end ? append(reader) : &reader->log->ops[slot];
    if (place == NULL)
        return false;
    if (slot != NO_SLOT && at_end)
        reader->log->ops[slot].result = reader->log->count - 1;
    uint64_t time_ns = at_end ? reader->prefix.time_ns : place->time_ns;
    *place = *op;
    place->time_ns = time_ns;
    place->pid = reader->pid;
    place->line = line_of(line);
    return true;
}

/** Read a whole call. */
static bool parse(struct reader *reader, const struct text *text, struct strace_op *op)
{
    *op = (struct strace_op){0};
    if (strace_parse_call(text, op, reader->error))
        return true;
    if (op->call != STRACE_OTHER)
        reader->odd = STRACE_ODD_CALL;
    return false;
}

/** Store a call that began in `line`, unless it changes no address space. */
static bool deliver(struct reader *reader, const struct strace_op *op, size_t slot, uint64_t line)
{
    if (op->call == STRACE_OTHER) {
        reader->log->others++;
        return true;
    }
    if (op->call == STRACE_FORK && op->outcome == STRACE_DONE && !introduce(reader, op->result))
        return false;
    return keep(reader, op, slot, line);
}

/** A call that never returned. */
static bool deliver_never(struct reader *reader, enum strace_call call, size_t slot, uint64_t line)
{
    return deliver(reader, &(struct strace_op){.call = (uint8_t)call, .outcome = STRACE_NEVER}, slot, line);
}

/* ------------------------------------------------------------------------------------------------- halves */

static void drop_half(struct half *half)
{
    free(half->line);
    half->line = NULL;
}

/** The half of the current line's process that waits for its end. NULL: there is none. */
static struct half *waiting_half(const struct reader *reader)
{
    struct process *process = pidmap_get(&reader->by_pid, reader->pid);
    return process != NULL && process->half.line != NULL ? &process->half : NULL;
}

/** A process has ended or was detached: its waiting call, if any, never returns. */
static bool abandon_half(struct reader *reader, struct half *half)
{
    if (half == NULL)
        return true;
    bool good = deliver_never(reader, half->call, half->slot, half->number);
    drop_half(half);
    return good;
}

/** Point the error to a call without an end. */
static bool never_ends(struct reader *reader, const struct half *half)
{
    struct text text = {.bytes = half->line, .length = half->length, .split = NO_SPLIT};
    text.piece[0].line = (struct text_line){half->line, half->length, half->number};
    struct cursor cursor = {.text = &text, .error = reader->error};
    return text_wrong(&cursor, half->end,
                      "this call never ends: expected its rest before the end of the log");
}

/** The log has no end of a waiting call. */
static bool skip_half(struct reader *reader, struct half *half)
{
    never_ends(reader, half);
    return skip(reader, STRACE_ODD_UNFINISHED) && abandon_half(reader, half);
}

/** The process begins a call at the cursor. If another of its calls waits, its end is missing. */
static bool no_half(struct reader *reader, const struct cursor *cursor)
{
    struct half *half = waiting_half(reader);
    if (half == NULL)
        return true;
    if (!reader->strict)
        return skip_half(reader, half);
    return text_wrong(cursor, cursor->at,
                      "expected the rest of the call that this process began in line %llu",
                      (unsigned long long)half->number);
}

/** Append an entry for a call that begins here, if it needs one; *slot is its place. */
static bool begin_op(struct reader *reader, enum strace_call call, size_t *slot)
{
    bool both_ways = call == STRACE_MREMAP || call == STRACE_BRK;
    *slot = NO_SLOT;
    if (!both_ways && !takes_effect_early(call))
        return true;
    struct strace_op *op = append(reader);
    if (op == NULL)
        return false;
    *slot = reader->log->count - 1;
    op->time_ns = reader->prefix.time_ns;
    if (both_ways) {
        op->call = STRACE_UNDER_WAY;
        op->pid = reader->pid;
        op->line = line_of(reader->line.number);
        op->result = STRACE_NO_END;
    }
    return true;
}

/** Store the first half of a call: the text from the cursor up to `cut` bytes before the line's end. */
static bool begin_half(struct reader *reader, struct cursor *cursor, size_t cut)
{
    const struct text *text = cursor->text;
    struct cursor begin = *cursor;
    enum strace_call call;
    if (!strace_parse_name(cursor, &call) || !no_half(reader, &begin))
        return false;
    struct process *process = process_of(reader, reader->pid);
    if (process == NULL)
        return refuse(reader->error, "no memory for the log");
    struct half *half = &process->half;
    char *line = malloc(reader->line.length + 1); /* malloc(0) may return NULL */
    if (line == NULL)
        return refuse(reader->error, "no memory for the log");
    if (!begin_op(reader, call, &half->slot)) {
        free(line);
        return false;
    }
    memcpy(line, reader->line.bytes, reader->line.length);
    half->line = line;
    half->call = call;
    half->length = reader->line.length;
    half->begin = text->piece[0].column + begin.at;
    half->end = text->piece[0].column + text->length - cut;
    half->number = reader->line.number;
    reader->begun = process;
    reader->begun_line = reader->line.number;
    return true;
}

/** Join a waiting half with the rest of the line, from the cursor on, and deliver the whole. If that
 *  fails, the half still waits. */
static bool join(struct reader *reader, struct half *half, const struct cursor *cursor)
{
    size_t first = half->end - half->begin;
    size_t second = cursor->text->length - cursor->at;
    char *bytes = malloc(first + second + 1);
    if (bytes == NULL)
        return refuse(reader->error, "no memory for the log");
    memcpy(bytes, half->line + half->begin, first);
    memcpy(bytes + first, cursor->text->bytes + cursor->at, second);

    struct text text = {.bytes = bytes, .length = first + second, .split = first};
    text.piece[0].line = (struct text_line){half->line, half->length, half->number};
    text.piece[0].column = half->begin;
    text.piece[1].line = reader->line;
    text.piece[1].column = cursor->text->piece[0].column + cursor->at;
    struct strace_op op;
    bool good = parse(reader, &text, &op) && deliver(reader, &op, half->slot, half->number);
    free(bytes);
    if (good)
        drop_half(half);
    return good;
}

/** Join a waiting half with a line that does not name its process. If the two are not a call, the line is
 *  text that came in between, and the half still waits for its end. */
static bool join_next(struct reader *reader, struct process *process, const struct cursor *cursor)
{
    reader->pid = process->pid;
    if (join(reader, &process->half, cursor))
        return true;
    reader->odd = STRACE_ODD_TEXT;
    return false;
}

/** Whether the waiting half begins with the name in [begin, end) of the text. */
static bool same_name(const struct half *half, const struct text *text, size_t begin, size_t end)
{
    size_t length = end - begin;
    return half->end - half->begin > length &&
           memcmp(half->line + half->begin, text->bytes + begin, length) == 0 &&
           half->line[half->begin + length] == '(';
}

/** "<... name resumed>": the text after it ends the waiting call. */
static bool end_half(struct reader *reader, struct cursor *cursor)
{
    struct half *half = waiting_half(reader);
    size_t name = cursor->at;
    while (text_is_word(text_byte(cursor)) || text_byte(cursor) == '?')
        cursor->at++;
    size_t end = cursor->at;
    if (!text_expect(cursor, " resumed>"))
        return false;
    reader->odd = STRACE_ODD_RESUMED;
    if (half == NULL)
        return text_wrong(cursor, name, "this call is resumed, but the log has no beginning of it");
    if (!same_name(half, cursor->text, name, end))
        return text_wrong(cursor, name, "expected the name of the call that this process began in line %llu",
                          (unsigned long long)half->number);
    reader->odd = STRACE_ODD_TEXT;
    reader->log->resumed++;
    bool good = join(reader, half, cursor);
    drop_half(half);
    return good;
}

/* ------------------------------------------------------------------------------------------------- bodies */

/** Another thread's execve has ended this thread, the first of its process. That thread gets its number. */
static bool superseded(struct reader *reader, struct cursor *cursor)
{
    uint64_t pid;
    size_t begin = cursor->at;
    if (!text_decimal(cursor, "a process number", &pid) || !text_expect(cursor, " +++"))
        return false;
    struct process *heir = pid <= UINT32_MAX ? pidmap_get(&reader->by_pid, (uint32_t)pid) : NULL;
    if (heir == NULL || heir->pid == reader->pid || heir->half.line == NULL)
        return text_wrong(cursor, begin, "expected a thread that waits for its execve to end");
    if (!abandon_half(reader, waiting_half(reader)))
        return false;
    struct process *leader = process_of(reader, reader->pid);
    if (leader == NULL)
        return refuse(reader->error, "no memory for the log");
    leader->half = heir->half;
    heir->half.line = NULL;
    reader->pid = heir->pid; /* this number does not occur any more */
    return keep(reader, &(struct strace_op){.call = STRACE_EXIT}, NO_SLOT, reader->line.number);
}

/** The end of a process. */
static bool ended(struct reader *reader)
{
    return abandon_half(reader, waiting_half(reader)) &&
           keep(reader, &(struct strace_op){.call = STRACE_EXIT}, NO_SLOT, reader->line.number);
}

/** "+++ exited with N +++", "+++ killed by SIGNAL [(core dumped)] +++", "+++ superseded by ... +++". */
static bool read_event(struct reader *reader, struct cursor *cursor)
{
    uint64_t code;
    if (text_accept(cursor, "exited with ")) {
        if (!text_decimal(cursor, "an exit code", &code) || !text_expect(cursor, " +++"))
            return false;
    } else if (text_accept(cursor, "killed by ")) {
        if (!text_ends_with(cursor->text, " +++"))
            return text_fail_at(cursor, cursor->text->length, "' +++'");
        cursor->at = cursor->text->length;
    } else if (text_accept(cursor, "superseded by execve in pid ")) {
        return superseded(reader, cursor);
    } else {
        return text_fail(cursor, "'exited with', 'killed by' or 'superseded by execve in pid'");
    }
    if (!text_at_end(cursor))
        return text_fail(cursor, "the end of the line");
    return ended(reader);
}

/** "--- SIGCHLD {...} ---". */
static bool read_signal(struct reader *reader, const struct cursor *cursor)
{
    if (!text_ends_with(cursor->text, " ---") || cursor->text->length < 8)
        return text_fail_at(cursor, cursor->text->length, "' ---'");
    reader->log->signals++;
    return true;
}

/** "strace: Process N attached", optionally "with N threads", or "... detached". Other notes ("strace:
 *  ...") are odd: the log may lack what strace complains about. */
static bool read_note(struct reader *reader, struct cursor *cursor)
{
    uint64_t pid, threads;
    size_t begin;
    if (!text_expect(cursor, "strace: Process "))
        return false;
    begin = cursor->at;
    if (!text_decimal(cursor, "a process number", &pid))
        return false;
    if (pid == 0 || pid > UINT32_MAX)
        return text_wrong(cursor, begin, "expected a process number from 1 to 2^32 - 1");
    if (!text_accept(cursor, " attached") && !text_accept(cursor, " detached"))
        return text_fail(cursor, "' attached' or ' detached'");
    if (text_accept(cursor, " with ") &&
        (!text_decimal(cursor, "a number of threads", &threads) || !text_expect(cursor, " threads")))
        return false;
    if (!text_at_end(cursor))
        return text_fail(cursor, "the end of the line");
    return introduce(reader, pid);
}

/** The beginning of a note that strace wrote into the middle of a call; 0: none. */
static size_t find_note(const struct text *text)
{
    static const char note[] = "strace: Process ";
    size_t length = sizeof note - 1;
    if (!text_ends_with(text, " attached"))
        return 0;
    for (size_t at = text->length; at > length; at--)
        if (memcmp(text->bytes + at - length, note, length) == 0)
            return at - length;
    return 0;
}

#define UNFINISHED " <unfinished ...>"
#define DETACHED " <detached ...>"

/** A call, or its first half. */
static bool read_call(struct reader *reader, struct cursor *cursor)
{
    const struct text *text = cursor->text;
    struct strace_op op;
    enum strace_call call;
    size_t note = find_note(text);
    if (text_ends_with(text, UNFINISHED))
        return begin_half(reader, cursor, strlen(UNFINISHED));
    if (text_ends_with(text, DETACHED))
        return strace_parse_name(cursor, &call) && deliver_never(reader, call, NO_SLOT, reader->line.number);
    if (note != 0) {
        struct cursor inside = {.text = text, .at = note, .error = cursor->error};
        if (!begin_half(reader, cursor, text->length - note))
            return false;
        reader->carried = reader->begun;
        return read_note(reader, &inside);
    }
    return parse(reader, text, &op) && no_half(reader, cursor) &&
           deliver(reader, &op, NO_SLOT, reader->line.number);
}

/** The rest of a line that a note broke: the call still waits, or ends here. */
static bool read_carried(struct reader *reader, struct cursor *cursor)
{
    struct process *process = reader->carried;
    reader->carried = NULL;
    if (text_accept(cursor, UNFINISHED))
        return text_at_end(cursor) || text_fail(cursor, "the end of the line");
    return join_next(reader, process, cursor);
}

static bool read_body(struct reader *reader, const struct text *text)
{
    struct cursor cursor = {.text = text, .error = reader->error};
    if (text_accept(&cursor, "+++ "))
        return read_event(reader, &cursor);
    if (text_accept(&cursor, "--- "))
        return read_signal(reader, &cursor);
    if (text_accept(&cursor, "<... "))
        return end_half(reader, &cursor);
    return read_call(reader, &cursor);
}

/** "[ Process PID=N runs in 32 bit mode. ]", with "strace: " before it in newer versions. It has no effect on
 *  addresses. */
static bool is_mode(struct cursor cursor)
{
    text_accept(&cursor, "strace: ");
    return text_sees(&cursor, "[ Process PID=") && text_ends_with(cursor.text, " mode. ]");
}

/** Whether the line seems to continue the call that began in the line before, without naming its process
 *  (-z). */
static bool goes_on(const struct reader *reader, const struct cursor *cursor)
{
    return reader->begun != NULL && reader->begun->half.line != NULL &&
           reader->begun_line + 1 == reader->line.number &&
           (text_byte(cursor) == ')' || text_sees(cursor, ", "));
}

static bool read_line(struct reader *reader)
{
    struct text whole = rest_of_line(reader, 0);
    struct cursor cursor = {.text = &whole, .error = reader->error};
    uint64_t pid;
    if (reader->carried != NULL)
        return read_carried(reader, &cursor);
    if (is_mode(cursor))
        return true;
    if (text_sees(&cursor, "strace: ")) {
        reader->odd = STRACE_ODD_NOTE;
        return read_note(reader, &cursor);
    }
    if (goes_on(reader, &cursor))
        return join_next(reader, reader->begun, &cursor);
    if (!read_pid(reader, &cursor, &pid) || !read_time(reader, &cursor))
        return false;
    skip_fields(&cursor);
    reader->pid = (uint32_t)pid;
    struct text body = rest_of_line(reader, cursor.at);
    return read_body(reader, &body);
}

/* ---------------------------------------------------------------------------------------------- odd lines */

/** "  0.00 " or "100.00 ": the beginning of a row of the table. The times of calls have other
 *  numbers of digits. */
static bool is_share(const struct cursor *cursor)
{
    const char *bytes = cursor->text->bytes;
    return cursor->text->length > 7 && (bytes[0] == ' ' || bytes[0] == '1') &&
           (bytes[1] == ' ' || text_is_digit(bytes[1])) && text_is_digit(bytes[2]) && bytes[3] == '.' &&
           text_is_digit(bytes[4]) && text_is_digit(bytes[5]) && bytes[6] == ' ';
}

/** Whether the line belongs to the table of strace -C, at the end of a log: a head, rules, and rows
 *  "  0.00    0.000000           0         3    brk". */
static bool is_summary(struct reader *reader, struct cursor cursor)
{
    if (text_sees(&cursor, "% time ") || text_sees(&cursor, "System call usage summary"))
        return reader->in_summary = true;
    if (!reader->in_summary)
        return false;
    return reader->in_summary = text_sees(&cursor, "-----") || is_share(&cursor);
}

/** Whether the line is of an odd kind that shows at its beginning; *what describes it. */
static bool is_odd(struct reader *reader, const char **what)
{
    struct text whole = rest_of_line(reader, 0);
    struct cursor cursor = {.text = &whole};
    if (is_summary(reader, cursor)) {
        reader->odd = STRACE_ODD_SUMMARY;
        *what = "the log was made with strace -C: record it without -C, or cut off the table at its end";
        return true;
    }
    if (text_sees(&cursor, " > ")) {
        reader->odd = STRACE_ODD_STACK;
        *what = "the log was made with strace -k: record it without -k, or leave out the stack traces with "
                "grep -v '^ > '";
        return true;
    }
    while (text_byte(&cursor) == ' ' || text_byte(&cursor) == '\t')
        cursor.at++;
    reader->odd = text_at_end(&cursor) ? STRACE_ODD_BLANK : STRACE_ODD_COMMENT;
    *what = text_at_end(&cursor) ? "expected the name of a call, found a blank line"
                                 : "expected the name of a call, found a comment";
    return text_at_end(&cursor) || text_byte(&cursor) == '#';
}

static bool read_one(struct reader *reader)
{
    const char *what;
    if (reader->carried != NULL || !is_odd(reader, &what)) {
        reader->odd = STRACE_ODD_TEXT;
        return read_line(reader);
    }
    struct text whole = rest_of_line(reader, 0);
    struct cursor cursor = {.text = &whole, .error = reader->error};
    return text_wrong(&cursor, 0, "%s", what);
}

/** Report an error after the line's last byte. */
static bool wrong_at_end(struct reader *reader, const char *what)
{
    struct text text = rest_of_line(reader, 0);
    struct cursor cursor = {.text = &text, .error = reader->error};
    return text_wrong(&cursor, text.length, "%s", what);
}

/** Read a line, or skip it if it is odd; then it has no effect. A line without a line feed may be cut off,
 *  or be whole. */
static bool read_or_skip(struct reader *reader, bool has_feed)
{
    struct prefixes before = reader->prefix;
    if (!has_feed && reader->strict)
        return wrong_at_end(reader, CUT_OFF);
    bool good = read_one(reader);
    reader->understood += good ? 1 : 0;
    if (good || reader->strict || reader->error->refused)
        return good;
    reader->prefix = before;
    if (has_feed)
        return skip(reader, reader->odd);
    wrong_at_end(reader, CUT_OFF);
    return skip(reader, STRACE_ODD_CUT);
}

/* ------------------------------------------------------------------------------------------ the whole log */

/** A converted log may have carriage returns at the ends of lines. A strict reader refuses them. */
static bool check_line_end(struct reader *reader)
{
    size_t length = reader->line.length;
    if (length == 0 || reader->buffer[length - 1] != '\r')
        return true;
    reader->line.length--;
    return !reader->strict || wrong_at_end(reader, "expected a line feed, found a carriage return before it: "
                                                   "convert the log with tr -d '\\r'");
}

/** The end of the input. */
static bool read_end(struct reader *reader)
{
    reader->log->lines = reader->line.number - 1;
    reader->line.length = 0;
    if (!reader->input.broken || reader->log->skipped[STRACE_ODD_CUT].lines != 0)
        return true;
    wrong_at_end(reader, "the compressed log is cut off or damaged here");
    return !reader->strict && skip(reader, STRACE_ODD_CUT);
}

/** No call should wait at the end of the log. A strict reader reports the first that does. */
static bool check_complete(struct reader *reader)
{
    const struct half *first = NULL;
    for (struct process *p = reader->processes; p != NULL; p = p->next) {
        reader->pid = p->pid;
        if (p->half.line == NULL)
            continue;
        if (!reader->strict && !skip_half(reader, &p->half))
            return false;
        if (reader->strict && (first == NULL || p->half.number < first->number))
            first = &p->half;
    }
    return first == NULL || never_ends(reader, first);
}

/** Read all lines. */
static bool read_lines(struct reader *reader)
{
    for (;;) {
        reader->line.number++;
        enum input_line got =
            input_line(&reader->input, reader->buffer, STRACE_LINE_MAX, &reader->line.length);
        if (got == INPUT_FAILED)
            return refuse(reader->error, strerror(errno));
        if (got == INPUT_END)
            return read_end(reader);
        if (got == INPUT_LONG) {
            char what[64];
            snprintf(what, sizeof what, "expected a line of at most %zu bytes", STRACE_LINE_MAX);
            wrong_at_end(reader, what);
            if (reader->strict || !skip(reader, STRACE_ODD_LONG))
                return false;
        } else if (!check_line_end(reader) || !read_or_skip(reader, got == INPUT_LINE)) {
            return false;
        }
    }
}

/** The file has another format. */
static bool other_format(struct strace_error *error, const char *format)
{
    *error = (struct strace_error){0};
    snprintf(error->message, sizeof error->message, FORMAT_MESSAGE, format);
    return false;
}

/** No line was understood: report the first. */
static bool show_first(struct reader *reader)
{
    const struct strace_error *first = NULL;
    for (size_t i = 0; i < STRACE_ODDS; i++) {
        const struct strace_skipped *skipped = &reader->log->skipped[i];
        if (skipped->lines != 0 && (first == NULL || skipped->first.line < first->line))
            first = &skipped->first;
    }
    *reader->error = first != NULL ? *first : (struct strace_error){0};
    if (first == NULL)
        strcpy(reader->error->message, "the log is empty");
    else
        snprintf(reader->error->message, sizeof reader->error->message,
                 "no line is output of strace; the first line: %.200s", first->message);
    return false;
}

static bool read_log(struct reader *reader)
{
    const struct input *input = &reader->input;
    const char *format = format_of_bytes(input->head, input->head_length);
    if (format != NULL)
        return other_format(reader->error, format);
    bool good = read_lines(reader) && check_complete(reader);
    format = format_of_lines(input->head, input->head_length);
    reader->log->format = format;
    if (reader->understood != 0 || reader->error->refused)
        return good;
    if (format != NULL)
        return other_format(reader->error, format);
    return good && show_first(reader);
}

static void free_processes(struct process *process)
{
    while (process != NULL) {
        struct process *next = process->next;
        drop_half(&process->half);
        free(process);
        process = next;
    }
}

bool strace_read(FILE *in, bool strict, struct strace_log *log, struct strace_error *error)
{
    struct reader reader = {.log = log, .error = error, .strict = strict};
    *log = (struct strace_log){0};
    *error = (struct strace_error){0};
    if (!input_init(&reader.input, in))
        return refuse(error, strerror(errno));
    reader.buffer = malloc(STRACE_LINE_MAX);
    reader.line.bytes = reader.buffer;
    bool good = reader.buffer == NULL ? refuse(error, "no memory for the log") : read_log(&reader);
    log->timed = reader.prefix.timed;
    free_processes(reader.processes);
    pidmap_fini(&reader.by_pid);
    free(reader.buffer);
    input_fini(&reader.input);
    if (!good)
        strace_log_fini(log);
    return good;
}

uint64_t strace_skipped_lines(const struct strace_log *log)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < STRACE_ODDS; i++)
        lines += log->skipped[i].lines;
    return lines;
}

const char *strace_odd_name(enum strace_odd odd)
{
    static const char *const names[STRACE_ODDS] = {
        [STRACE_ODD_TEXT] = "text",
        [STRACE_ODD_CALL] = "call",
        [STRACE_ODD_UNFINISHED] = "unfinished",
        [STRACE_ODD_RESUMED] = "resumed",
        [STRACE_ODD_BLANK] = "blank",
        [STRACE_ODD_COMMENT] = "comment",
        [STRACE_ODD_STACK] = "stack",
        [STRACE_ODD_SUMMARY] = "summary",
        [STRACE_ODD_NOTE] = "note",
        [STRACE_ODD_LONG] = "long",
        [STRACE_ODD_CUT] = "cut",
    };
    return names[odd];
}

void strace_log_fini(struct strace_log *log)
{
    free(log->ops);
    *log = (struct strace_log){0};
}

static void print_place(FILE *out, const char *name, const struct strace_error *error)
{
    fprintf(out, "%s:%llu:%zu: ", name, (unsigned long long)error->line, error->column);
}

static void print_excerpt(FILE *out, const struct strace_error *error)
{
    fprintf(out, "    %s\n    %*s^\n", error->excerpt, (int)error->caret, "");
}

void strace_error_print(FILE *out, const char *name, const struct strace_error *error)
{
    if (error->line == 0) {
        fprintf(out, "kva replay: %s: %s\n", name, error->message);
        return;
    }
    print_place(out, name, error);
    fprintf(out, "%s\n", error->message);
    print_excerpt(out, error);
}

void strace_skipped_print(FILE *out, const char *name, const struct strace_log *log)
{
    for (enum strace_odd odd = 0; odd < STRACE_ODDS; odd++) {
        const struct strace_skipped *skipped = &log->skipped[odd];
        if (skipped->lines == 0)
            continue;
        print_place(out, name, &skipped->first);
        fprintf(out, "%s (%llu line%s): %s\n", strace_odd_name(odd), (unsigned long long)skipped->lines,
                skipped->lines == 1 ? "" : "s", skipped->first.message);
        print_excerpt(out, &skipped->first);
    }
}
