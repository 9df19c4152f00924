/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * From lines to operations: prefixes, halves of calls, events. The grammar of a call is in call.c.
 *
 *      line --prefix--> process, time, body --+-- "name(... <unfinished ...>"   begin_half: wait
 *                                             +-- "<... name resumed>..."       end_half: join, then deliver
 *                                             +-- "name(...) = result"          deliver
 *                                             +-- "+++ ... +++"                 event
 *                                             +-- "--- ... ---"                 signal
 *                                             +-- "strace: Process N attached"  note
 *
 * When strace writes to the terminal instead of a file, two things are odd. Its notes may break a line in two
 * ("vfork(strace: Process 7264 attached", then " <unfinished ...>"): the line is carried over. And while only
 * one process is left, its lines have no "[pid N]": they are taken for the first process's, whose number is
 * the first one in brackets that no note and no fork has introduced.
 */
#define _POSIX_C_SOURCE 200809L /* getc_unlocked */

#include "strace.h"
#include "pidmap.h"
#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)

/** Seconds below this are not those of a clock (they would lie in 1973) but since the line before: strace -r. */
#define EARLIEST UINT64_C(100000000)

/** The first half of a call. */
struct half {
    char *line; /* a copy of the whole line */
    size_t length;
    size_t begin; /* the call's text in it: [begin, end) */
    size_t end;
    uint64_t number; /* of the line */
    size_t slot;     /* its place among the operations, kept free for it; NO_SLOT when it comes at the end */
    enum strace_call call;
};

#define NO_SLOT SIZE_MAX

/** What the reader knows about a process. */
struct process {
    struct process *next; /* all of them, to be freed at the end */
    struct half half;     /* line is NULL when no call waits for its end */
    uint32_t pid;
    bool introduced; /* by a fork or a note */
};

struct reader {
    FILE *in;
    struct strace_log *log;
    struct strace_error *error;
    struct pidmap by_pid;
    struct process *processes;
    char *buffer; /* STRACE_LINE_MAX bytes */
    struct text_line line;
    struct process *process; /* whose line it is */
    struct process *carried; /* whose line was broken by a note; the next line goes on with it */
    uint64_t time_ns;
    uint64_t clock_ns; /* the last time of day, and how many days have passed */
    uint64_t days;
    uint32_t main_pid; /* the number of the process that has none in its lines; 0: not known yet */
    bool unnumbered;   /* there was a line without a process */
};

/* ----------------------------------------------------------------------------------------------- helpers */

/** The environment refused. */
static bool refuse(struct strace_error *error, const char *what)
{
    *error = (struct strace_error){.refused = true};
    snprintf(error->message, sizeof error->message, "%s", what);
    return false;
}

/** A cursor at byte `column` of the current line, as a text of its own. */
static struct text rest_of_line(const struct reader *reader, size_t column)
{
    struct text text = {.bytes = reader->line.bytes + column, .length = reader->line.length - column};
    text.split = NO_SPLIT;
    text.piece[0].line = reader->line;
    text.piece[0].column = column;
    return text;
}

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

/** A place for one more operation, all zero; NULL: no memory. */
static struct strace_op *append(struct reader *reader)
{
    struct strace_log *log = reader->log;
    if (log->count == log->room) {
        size_t room = log->room == 0 ? 1024 : log->room * 2;
        struct strace_op *ops = realloc(log->ops, room * sizeof *ops);
        if (ops == NULL) {
            refuse(reader->error, "no memory for the log");
            return NULL;
        }
        log->ops = ops;
        log->room = room;
    }
    log->ops[log->count] = (struct strace_op){0};
    return &log->ops[log->count++];
}

/** Note that a process exists. */
static bool introduce(struct reader *reader, uint64_t pid)
{
    struct process *process = process_of(reader, (uint32_t)pid);
    if (process == NULL)
        return refuse(reader->error, "no memory for the log");
    process->introduced = true;
    return true;
}

/* ---------------------------------------------------------------------------------------------- prefixes */

/** Blanks in front of a number: strace -r fills up its times. */
static void skip_padding(struct cursor *cursor)
{
    struct cursor ahead = *cursor;
    text_blanks(&ahead);
    if (text_is_digit(text_peek(&ahead)))
        cursor->at = ahead.at;
}

/** "[pid N] ", "N ", or nothing. Digits before '.' or ':' are a time. */
static bool read_pid(struct reader *reader, struct cursor *cursor, uint64_t *pid)
{
    struct cursor ahead = *cursor;
    bool brackets = text_accept(cursor, "[pid");
    size_t begin;
    *pid = 0;
    while (text_is_digit(text_peek(&ahead)))
        ahead.at++;
    if (!brackets && (ahead.at == cursor->at || text_peek(&ahead) == '.' || text_peek(&ahead) == ':')) {
        reader->unnumbered = true;
        return true;
    }
    if (brackets)
        text_blanks(cursor);
    begin = cursor->at;
    if (!text_decimal(cursor, "a process number", pid))
        return false;
    if (*pid == 0 || *pid > UINT32_MAX)
        return text_wrong(cursor, begin, "expected a process number from 1 to 2^32 - 1");
    if (brackets && !text_expect(cursor, "]"))
        return false;
    if (!text_expect(cursor, " "))
        return false;
    text_blanks(cursor);
    if (!brackets || !reader->unnumbered)
        return true;
    struct process *known = pidmap_get(&reader->by_pid, (uint32_t)*pid);
    if (reader->main_pid == 0 && (known == NULL || !known->introduced))
        reader->main_pid = (uint32_t)*pid;
    if (*pid == reader->main_pid)
        *pid = 0;
    return true;
}

/** The digits behind the point of a time, as nanoseconds: at most nine count. */
static bool read_fraction(struct cursor *cursor, uint64_t *ns)
{
    uint64_t unit = SECOND / 10;
    size_t begin = cursor->at;
    *ns = 0;
    for (; text_is_digit(text_peek(cursor)); cursor->at++, unit /= 10)
        *ns += unit * (uint64_t)(text_peek(cursor) - '0');
    return cursor->at != begin || text_fail(cursor, "a fraction of a second");
}

/** What follows the first number of a time of day: ":MM:SS[.fraction]". The day changes where the clock goes
 *  back by more than half a day. */
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
    if (now + 12 * 3600 * SECOND < reader->clock_ns)
        reader->days++;
    reader->clock_ns = now;
    reader->time_ns = reader->days * 24 * 3600 * SECOND + now;
    return true;
}

/** "1795416714.948664 ", "     0.000123 ", "12:31:54.948664 ", "12:31:54 ", or nothing. */
static bool read_time(struct reader *reader, struct cursor *cursor)
{
    uint64_t number, fraction;
    size_t begin = cursor->at;
    if (!text_is_digit(text_peek(cursor)))
        return true;
    if (!text_decimal(cursor, "a time", &number))
        return false;
    if (text_peek(cursor) == ':') {
        if (!read_clock(reader, cursor, number))
            return false;
    } else {
        if (!text_expect(cursor, ".") || !read_fraction(cursor, &fraction))
            return false;
        if (number >= UINT64_MAX / SECOND)
            return text_wrong(cursor, begin, "expected a time before the year 2554");
        bool relative = number < EARLIEST;
        reader->time_ns = (relative ? reader->time_ns : 0) + number * SECOND + fraction;
    }
    reader->log->timed = true;
    return text_expect(cursor, " ");
}

/* -------------------------------------------------------------------------------------------- operations */

/** Whether a call stands in the order where it began. */
static bool takes_effect_early(enum strace_call call)
{
    return call == STRACE_MUNMAP || call == STRACE_FORK;
}

/** Keep an operation: in the place that was kept for it, or behind all others. */
static bool keep(struct reader *reader, const struct strace_op *op, size_t slot, uint64_t line)
{
    struct strace_op *place = slot == NO_SLOT ? append(reader) : &reader->log->ops[slot];
    if (place == NULL)
        return false;
    uint64_t time_ns = slot == NO_SLOT ? reader->time_ns : place->time_ns;
    *place = *op;
    place->time_ns = time_ns;
    place->pid = reader->process->pid;
    place->line = (uint32_t)(line > UINT32_MAX ? UINT32_MAX : line);
    return true;
}

/** Read a whole call, and keep it unless it changes no address space. */
static bool deliver(struct reader *reader, const struct text *text, size_t slot)
{
    struct strace_op op = {0};
    if (!strace_parse_call(text, &op, reader->error))
        return false;
    if (op.call == STRACE_OTHER) {
        reader->log->others++;
        return true;
    }
    if (op.call == STRACE_FORK && op.outcome == STRACE_DONE && !introduce(reader, op.result))
        return false;
    return keep(reader, &op, slot, text->piece[0].line.number);
}

/** A call that never returned. */
static bool deliver_never(struct reader *reader, enum strace_call call, size_t slot, uint64_t line)
{
    struct strace_op op = {.call = (uint8_t)call, .outcome = STRACE_NEVER};
    if (call != STRACE_OTHER)
        return keep(reader, &op, slot, line);
    reader->log->others++;
    return true;
}

/* ------------------------------------------------------------------------------------------------- halves */

/** Keep the first half of a call: the text from the cursor up to `end` bytes before the line's end. */
static bool begin_half(struct reader *reader, struct cursor *cursor, size_t cut)
{
    const struct text *text = cursor->text;
    struct half *half = &reader->process->half;
    size_t begin = cursor->at;
    if (half->line != NULL)
        return text_wrong(cursor, cursor->at,
                          "expected the rest of the call that this process began in line %llu",
                          (unsigned long long)half->number);
    if (!strace_parse_name(cursor, &half->call))
        return false;
    half->slot = NO_SLOT;
    if (takes_effect_early(half->call)) {
        struct strace_op *op = append(reader);
        if (op == NULL)
            return false;
        op->time_ns = reader->time_ns;
        half->slot = reader->log->count - 1;
    }
    half->line = malloc(reader->line.length + 1); /* at least a byte: malloc(0) may be NULL */
    if (half->line == NULL)
        return refuse(reader->error, "no memory for the log");
    memcpy(half->line, reader->line.bytes, reader->line.length);
    half->length = reader->line.length;
    half->begin = text->piece[0].column + begin;
    half->end = text->piece[0].column + text->length - cut;
    half->number = reader->line.number;
    return true;
}

static void drop_half(struct half *half)
{
    free(half->line);
    half->line = NULL;
}

/** Join the waiting half with the rest of the line, from the cursor on, and deliver the whole. */
static bool join(struct reader *reader, const struct cursor *cursor)
{
    struct half *half = &reader->process->half;
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
    bool good = deliver(reader, &text, half->slot);
    free(bytes);
    drop_half(half);
    return good;
}

/** Whether the waiting half begins with the name that stands in [begin, end) of the text. */
static bool same_name(const struct half *half, const struct text *text, size_t begin, size_t end)
{
    size_t length = end - begin;
    return half->end - half->begin > length &&
           memcmp(half->line + half->begin, text->bytes + begin, length) == 0 &&
           half->line[half->begin + length] == '(';
}

/** "<... name resumed>": what follows ends the call that waits. */
static bool end_half(struct reader *reader, struct cursor *cursor)
{
    struct half *half = &reader->process->half;
    size_t name = cursor->at;
    while (text_is_word(text_peek(cursor)))
        cursor->at++;
    size_t end = cursor->at;
    if (!text_expect(cursor, " resumed>"))
        return false;
    if (half->line == NULL)
        return text_wrong(cursor, name, "this call is resumed, but the log has no beginning of it");
    if (!same_name(half, cursor->text, name, end))
        return text_wrong(cursor, name, "expected the name of the call that this process began in line %llu",
                          (unsigned long long)half->number);
    reader->log->resumed++;
    return join(reader, cursor);
}

/** A process has ended, or strace let go of it: what waits will never return. */
static bool abandon_half(struct reader *reader, struct process *process)
{
    struct half *half = &process->half;
    if (half->line == NULL)
        return true;
    bool good = deliver_never(reader, half->call, half->slot, half->number);
    drop_half(half);
    return good;
}

/* ------------------------------------------------------------------------------------------------- bodies */

/** An execve by another thread has ended this one, the first of its process, and takes over its number. */
static bool superseded(struct reader *reader, struct cursor *cursor)
{
    uint64_t pid;
    size_t begin = cursor->at;
    if (!text_decimal(cursor, "a process number", &pid) || !text_expect(cursor, " +++"))
        return false;
    struct process *leader = reader->process;
    struct process *heir = pid <= UINT32_MAX ? pidmap_get(&reader->by_pid, (uint32_t)pid) : NULL;
    if (heir == NULL || heir == leader || heir->half.line == NULL)
        return text_wrong(cursor, begin, "expected a thread that waits for its execve to end");
    if (!abandon_half(reader, leader))
        return false;
    leader->half = heir->half;
    heir->half.line = NULL;
    reader->process = heir; /* it is this number that will not be seen any more */
    return keep(reader, &(struct strace_op){.call = STRACE_EXIT}, NO_SLOT, reader->line.number);
}

/** The end of a process. */
static bool ended(struct reader *reader)
{
    return abandon_half(reader, reader->process) &&
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

/** "strace: Process N attached" or "... detached". Other notes ("strace: ...") are an error: what strace
 *  complains about may be missing in the log. */
static bool read_note(struct reader *reader, struct cursor *cursor)
{
    uint64_t pid;
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
    if (!text_at_end(cursor))
        return text_fail(cursor, "the end of the line");
    return introduce(reader, pid);
}

/** Where a note begins that strace wrote into the middle of a call, or 0. */
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
    enum strace_call call;
    size_t note = find_note(text);
    if (text_ends_with(text, UNFINISHED))
        return begin_half(reader, cursor, strlen(UNFINISHED));
    if (text_ends_with(text, DETACHED))
        return strace_parse_name(cursor, &call) && deliver_never(reader, call, NO_SLOT, reader->line.number);
    if (note != 0) {
        struct cursor inside = {.text = text, .at = note, .error = cursor->error};
        reader->carried = reader->process;
        return begin_half(reader, cursor, text->length - note) && read_note(reader, &inside);
    }
    if (reader->process->half.line != NULL)
        return text_wrong(cursor, 0, "expected the rest of the call that this process began in line %llu",
                          (unsigned long long)reader->process->half.number);
    return deliver(reader, text, NO_SLOT);
}

/** The rest of a line that a note broke: the call goes on to wait, or ends here. */
static bool read_carried(struct reader *reader, struct cursor *cursor)
{
    reader->process = reader->carried;
    reader->carried = NULL;
    if (text_accept(cursor, UNFINISHED))
        return text_at_end(cursor) || text_fail(cursor, "the end of the line");
    return join(reader, cursor);
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

static bool read_line(struct reader *reader)
{
    struct text whole = rest_of_line(reader, 0);
    struct cursor cursor = {.text = &whole, .error = reader->error};
    uint64_t pid;
    if (reader->carried != NULL)
        return read_carried(reader, &cursor);
    if (text_sees(&cursor, "strace: "))
        return read_note(reader, &cursor);
    skip_padding(&cursor);
    if (!read_pid(reader, &cursor, &pid) || !read_time(reader, &cursor))
        return false;
    reader->process = process_of(reader, (uint32_t)pid);
    if (reader->process == NULL)
        return refuse(reader->error, "no memory for the log");
    struct text body = rest_of_line(reader, cursor.at);
    return read_body(reader, &body);
}

/* ------------------------------------------------------------------------------------------ the whole log */

enum fetched { FETCHED_LINE, FETCHED_END, FETCHED_ERROR };

/** Refuse a line that ends as those of other systems do: the log has been converted on its way. */
static bool check_line_end(struct reader *reader)
{
    size_t length = reader->line.length;
    if (length == 0 || reader->buffer[length - 1] != '\r')
        return true;
    struct text text = rest_of_line(reader, 0);
    struct cursor cursor = {.text = &text, .at = length - 1, .error = reader->error};
    return text_wrong(
        &cursor, length - 1,
        "expected a line feed, found a carriage return before it: convert the log with tr -d '\\r'");
}

/** Fetch the next line into the buffer. */
static enum fetched fetch(struct reader *reader)
{
    size_t length = 0;
    int byte;
    reader->line.number++;
    while ((byte = getc_unlocked(reader->in)) != EOF && byte != '\n' && length < STRACE_LINE_MAX)
        reader->buffer[length++] = (char)byte;
    reader->line.length = length;
    if (byte == '\n')
        return check_line_end(reader) ? FETCHED_LINE : FETCHED_ERROR;
    if (byte == EOF && ferror(reader->in)) {
        refuse(reader->error, strerror(errno));
        return FETCHED_ERROR;
    }
    if (byte == EOF && length == 0)
        return FETCHED_END;
    struct text text = rest_of_line(reader, 0);
    struct cursor cursor = {.text = &text, .at = length, .error = reader->error};
    if (byte == EOF)
        text_wrong(&cursor, length, "expected a line feed: the log is cut off here");
    else
        text_wrong(&cursor, length, "expected a line of at most %zu bytes", STRACE_LINE_MAX);
    return FETCHED_ERROR;
}

/** No call may wait at the end of the log: the first one that does is reported. */
static bool check_complete(struct reader *reader)
{
    const struct half *first = NULL;
    for (const struct process *p = reader->processes; p != NULL; p = p->next)
        if (p->half.line != NULL && (first == NULL || p->half.number < first->number))
            first = &p->half;
    if (first == NULL)
        return true;
    struct text text = {.bytes = first->line, .length = first->length, .split = NO_SPLIT};
    text.piece[0].line = (struct text_line){first->line, first->length, first->number};
    struct cursor cursor = {.text = &text, .error = reader->error};
    return text_wrong(&cursor, first->end,
                      "this call never ends: expected its rest before the end of the log");
}

static bool read_lines(struct reader *reader)
{
    enum fetched fetched;
    while ((fetched = fetch(reader)) == FETCHED_LINE)
        if (!read_line(reader))
            return false;
    reader->log->lines = reader->line.number - 1;
    if (fetched == FETCHED_ERROR || !check_complete(reader))
        return false;
    if (reader->log->lines == 0) {
        *reader->error = (struct strace_error){.message = "the log is empty"};
        return false;
    }
    return true;
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

bool strace_read(FILE *in, struct strace_log *log, struct strace_error *error)
{
    struct reader reader = {.in = in, .log = log, .error = error};
    *log = (struct strace_log){0};
    *error = (struct strace_error){0};
    reader.buffer = malloc(STRACE_LINE_MAX);
    if (reader.buffer == NULL)
        return refuse(error, "no memory for the log");
    reader.line.bytes = reader.buffer;
    bool good = read_lines(&reader);
    free_processes(reader.processes);
    pidmap_fini(&reader.by_pid);
    free(reader.buffer);
    if (!good)
        strace_log_fini(log);
    return good;
}

void strace_log_fini(struct strace_log *log)
{
    free(log->ops);
    *log = (struct strace_log){0};
}

void strace_error_print(FILE *out, const char *name, const struct strace_error *error)
{
    if (error->line == 0) {
        fprintf(out, "kva replay: %s: %s\n", name, error->message);
        return;
    }
    fprintf(out, "%s:%llu:%zu: %s\n", name, (unsigned long long)error->line, error->column, error->message);
    fprintf(out, "    %s\n    %*s^\n", error->excerpt, (int)error->caret, "");
}
