/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The grammar of one call in a strace log:
 *
 *      call      name "(" arguments ")" blanks "= " result {" (" tampering ")"} [" <" seconds ">"]
 *                name "(" anything (" <unfinished ...>" | " <unavailable>") ")" blanks "= ?" ...
 *                (the process was killed in the call)
 *      name      a word, or "???" or "????" if strace did not learn it
 *      result    value | "-1 " error | "?" [" " error] [" <unavailable>"]
 *      error     ERROR [" (" text ")"] | "(errno " number ")"
 *      tampering "INJECTED" (strace made up the result, and the call did not take place), "INJECTED: ...",
 *                "DELAYED"
 *      mmap      address ", " length ", " prot ", " flags ", " descriptor ", " offset      (mmap2 likewise)
 *      munmap    address ", " length
 *      mremap    address ", " length ", " length ", " flags [", " address]
 *      brk       address
 *      mprotect  address ", " length ", " prot
 *      fork      nothing; vfork likewise
 *      execve, clone, clone3: the arguments are skipped, except "flags=" flags of a clone. With -e raw the
 *      flags of clone are its first argument, and those of clone3 do not show: it is assumed to create a
 *      thread, as it nearly always does
 *      address   "NULL" | number
 *      flags     word {"|" word}, a word: a name, a number, or number "<<" name; a comment may follow
 *
 * A call that succeeded must also be one that the kernel lets succeed: page-aligned addresses, lengths above
 * 0, ranges that do not wrap. So the player need not check again.
 */
#include "text.h"

#include <string.h>

/** The least page of a logged system; larger pages are multiples of it. */
#define PAGE ((uint64_t)4096)

/* -------------------------------------------------------------------------------------------------- names */

static const struct {
    const char *name;
    enum strace_call call;
    uint8_t flags;
} calls[] = {
    {"mmap", STRACE_MMAP, 0},     {"mmap2", STRACE_MMAP, 0},
    {"munmap", STRACE_MUNMAP, 0}, {"mremap", STRACE_MREMAP, 0},
    {"brk", STRACE_BRK, 0},       {"mprotect", STRACE_MPROTECT, 0},
    {"execve", STRACE_EXECVE, 0}, {"execveat", STRACE_EXECVE, 0},
    {"fork", STRACE_FORK, 0},     {"vfork", STRACE_FORK, STRACE_SHARED_VM},
    {"clone", STRACE_FORK, 0},    {"clone3", STRACE_FORK, 0},
};

/** A flag that matters to the replay: its name, and its bit for logs with numbers. */
struct flag_name {
    const char *name;
    uint64_t bit;
    uint8_t flag;
};

static const struct flag_name mmap_flags[] = {
    {"MAP_FIXED", 0x10, STRACE_FIXED},
    {"MAP_FIXED_NOREPLACE", 0x100000, STRACE_NOREPLACE},
    {NULL, 0, 0},
};

static const struct flag_name mremap_flags[] = {
    {"MREMAP_MAYMOVE", 1, STRACE_MAYMOVE},
    {"MREMAP_FIXED", 2, STRACE_FIXED},
    {"MREMAP_DONTUNMAP", 4, STRACE_DONTUNMAP},
    {NULL, 0, 0},
};

static const struct flag_name clone_flags[] = {
    {"CLONE_VM", 0x100, STRACE_SHARED_VM},
    {NULL, 0, 0},
};

/** Protection bits change no range: all are accepted. */
static const struct flag_name prot_flags[] = {{NULL, 0, 0}};

const char *strace_call_name(enum strace_call call)
{
    if (call == STRACE_EXIT)
        return "exit";
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (calls[i].call == call)
            return calls[i].name;
    return "other";
}

/** Skip a name; returns its length, 0 without a name (a digit begins no name). */
static size_t skip_word(struct cursor *cursor)
{
    size_t begin = cursor->at;
    if (text_is_digit(text_byte(cursor)))
        return 0;
    while (text_is_word(text_byte(cursor)))
        cursor->at++;
    return cursor->at - begin;
}

static bool word_is(const struct cursor *cursor, size_t begin, size_t length, const char *name)
{
    return strlen(name) == length && memcmp(cursor->text->bytes + begin, name, length) == 0;
}

/** Read "name(": the call, and the flags that its name implies. */
static bool read_name(struct cursor *cursor, enum strace_call *call, uint8_t *flags)
{
    size_t begin = cursor->at;
    *call = STRACE_OTHER;
    *flags = 0;
    if (text_accept(cursor, "???")) {
        text_accept(cursor, "?");
        return text_expect(cursor, "(");
    }
    size_t length = skip_word(cursor);
    if (length == 0)
        return text_fail(cursor, "the name of a call, '<...', '+++' or '---'");
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        if (!word_is(cursor, begin, length, calls[i].name))
            continue;
        *call = calls[i].call;
        *flags = calls[i].flags;
    }
    return text_expect(cursor, "(");
}

bool strace_parse_name(struct cursor *cursor, enum strace_call *call)
{
    uint8_t flags;
    return read_name(cursor, call, &flags);
}

/* ---------------------------------------------------------------------------------------------- arguments */

static bool read_address(struct cursor *cursor, uint64_t *address)
{
    if (text_accept(cursor, "NULL")) {
        *address = 0;
        return true;
    }
    return text_number(cursor, "an address (0x... or NULL)", address);
}

/** One word of a set of flags: a name that begins with `prefix`, or a number. */
static bool read_flag(struct cursor *cursor, const char *prefix, const struct flag_name *names,
                      uint8_t *flags)
{
    size_t begin = cursor->at;
    uint64_t number;
    if (text_is_digit(text_byte(cursor))) {
        if (!text_number(cursor, "a flag", &number))
            return false;
        if (text_accept(cursor, "<<"))
            return skip_word(cursor) != 0 || text_fail(cursor, "the name of a shift");
        for (; names->name != NULL; names++)
            if ((number & names->bit) != 0)
                *flags |= names->flag;
        return true;
    }
    if (!text_accept(cursor, prefix)) {
        char expected[64];
        snprintf(expected, sizeof expected, "a flag %s... or a number", prefix);
        return text_fail(cursor, expected);
    }
    if (skip_word(cursor) == 0)
        return text_fail(cursor, "the name of a flag");
    for (; names->name != NULL; names++)
        if (word_is(cursor, begin, cursor->at - begin, names->name))
            *flags |= names->flag;
    return true;
}

/** A set of flags, and the comment that strace writes after unknown bits. */
static bool read_flags(struct cursor *cursor, const char *prefix, const struct flag_name *names,
                       uint8_t *flags)
{
    do
        if (!read_flag(cursor, prefix, names, flags))
            return false;
    while (text_accept(cursor, "|"));
    if (!text_accept(cursor, " /* "))
        return true;
    while (!text_at_end(cursor) && !text_accept(cursor, " */"))
        cursor->at++;
    return true;
}

/** A file descriptor: -1 or a number (-e raw writes 0xffffffff), with the file's name in <> (strace -y).
 *  Names may have '>' as part of "->", so the name ends at ">, ". */
static bool read_descriptor(struct cursor *cursor)
{
    uint64_t number;
    text_accept(cursor, "-");
    if (!text_number(cursor, "a file descriptor", &number))
        return false;
    if (!text_accept(cursor, "<"))
        return true;
    while (!text_at_end(cursor) && !text_sees(cursor, ">, "))
        cursor->at++;
    return text_expect(cursor, ">");
}

#define EXPECT_COMMA(cursor)                                                                                 \
    do {                                                                                                     \
        if (!text_expect(cursor, ", "))                                                                      \
            return false;                                                                                    \
    } while (0)

/** Positions of arguments, for the checks that need the outcome. */
struct places {
    size_t address;
    size_t length;
    size_t new_length;
    size_t new_address;
    size_t result;
};

static bool read_mmap(struct cursor *cursor, struct strace_op *op, struct places *places)
{
    uint64_t offset;
    uint8_t ignored = 0;
    places->address = cursor->at;
    if (!read_address(cursor, &op->address))
        return false;
    EXPECT_COMMA(cursor);
    places->length = cursor->at;
    if (!text_number(cursor, "a length", &op->length))
        return false;
    EXPECT_COMMA(cursor);
    if (!read_flags(cursor, "PROT_", prot_flags, &ignored))
        return false;
    EXPECT_COMMA(cursor);
    if (!read_flags(cursor, "MAP_", mmap_flags, &op->flags))
        return false;
    EXPECT_COMMA(cursor);
    if (!read_descriptor(cursor))
        return false;
    EXPECT_COMMA(cursor);
    return text_number(cursor, "an offset", &offset);
}

static bool read_munmap(struct cursor *cursor, struct strace_op *op, struct places *places)
{
    places->address = cursor->at;
    if (!read_address(cursor, &op->address))
        return false;
    EXPECT_COMMA(cursor);
    places->length = cursor->at;
    return text_number(cursor, "a length", &op->length);
}

static bool read_mprotect(struct cursor *cursor, struct strace_op *op, struct places *places)
{
    uint8_t ignored = 0;
    if (!read_munmap(cursor, op, places))
        return false;
    EXPECT_COMMA(cursor);
    return read_flags(cursor, "PROT_", prot_flags, &ignored);
}

static bool read_mremap(struct cursor *cursor, struct strace_op *op, struct places *places)
{
    if (!read_munmap(cursor, op, places))
        return false;
    EXPECT_COMMA(cursor);
    places->new_length = cursor->at;
    if (!text_number(cursor, "a length", &op->new_length))
        return false;
    EXPECT_COMMA(cursor);
    if (!read_flags(cursor, "MREMAP_", mremap_flags, &op->flags))
        return false;
    places->new_address = cursor->at;
    if (!text_accept(cursor, ", ")) {
        if ((op->flags & STRACE_FIXED) != 0)
            return text_fail(cursor, "', ' and the new address");
        return true;
    }
    places->new_address = cursor->at;
    return read_address(cursor, &op->new_address);
}

/** Find the parenthesis that ends the arguments: the last one before "= ". The search runs from the end,
 *  because strings among the arguments may contain anything. */
static bool find_arguments_end(const struct cursor *cursor, size_t *end)
{
    const char *bytes = cursor->text->bytes;
    size_t at = cursor->text->length;
    while (at > cursor->at) {
        size_t after = at;
        if (bytes[--at] != ')')
            continue;
        while (after < cursor->text->length && bytes[after] == ' ')
            after++;
        if (after < cursor->text->length && bytes[after] == '=') {
            *end = at;
            return true;
        }
    }
    return false;
}

static bool skip_arguments(struct cursor *cursor)
{
    return find_arguments_end(cursor, &cursor->at) ||
           text_fail_at(cursor, cursor->text->length, "') = ' and a result");
}

/** Whether `mark` ends at `end`, and begins at the cursor or after it. */
static bool ends_with_mark(const struct cursor *cursor, size_t end, const char *mark)
{
    size_t length = strlen(mark);
    return end - cursor->at >= length && memcmp(cursor->text->bytes + end - length, mark, length) == 0;
}

/** Skip arguments that strace broke off, "... <unfinished ...>) = ?": the process was killed in the call.
 *  They may be incomplete, and do not matter. */
static bool skip_broken_off(struct cursor *cursor)
{
    size_t end;
    if (!find_arguments_end(cursor, &end) ||
        (!ends_with_mark(cursor, end, " <unfinished ...>") && !ends_with_mark(cursor, end, " <unavailable>")))
        return false;
    struct cursor after = {.text = cursor->text, .at = end + 1};
    text_blanks(&after);
    if (!text_sees(&after, "= ?"))
        return false;
    cursor->at = end;
    return true;
}

/** The arguments of a clone or clone3 with -e raw. */
static bool read_raw_clone(struct cursor *cursor, struct strace_op *op)
{
    bool is_clone3 = cursor->text->bytes[5] == '3';
    if (is_clone3)
        op->flags |= STRACE_SHARED_VM;
    return (is_clone3 || read_flags(cursor, "", clone_flags, &op->flags)) && skip_arguments(cursor);
}

/** The flags of a clone: "flags=" begins an argument. */
static bool read_clone(struct cursor *cursor, struct strace_op *op)
{
    size_t begin = cursor->at;
    if (text_is_digit(text_byte(cursor)))
        return read_raw_clone(cursor, op);
    while (!text_at_end(cursor)) {
        bool fresh = cursor->at == begin || cursor->text->bytes[cursor->at - 1] == ' ' ||
                     cursor->text->bytes[cursor->at - 1] == '{';
        if (fresh && text_accept(cursor, "flags="))
            return read_flags(cursor, "", clone_flags, &op->flags) && skip_arguments(cursor);
        cursor->at++;
    }
    cursor->at = begin;
    return text_fail(cursor, "an argument 'flags='");
}

static bool read_arguments(struct cursor *cursor, bool is_clone, struct strace_op *op, struct places *places)
{
    switch ((enum strace_call)op->call) {
    case STRACE_MMAP:
        return read_mmap(cursor, op, places);
    case STRACE_MUNMAP:
        return read_munmap(cursor, op, places);
    case STRACE_MREMAP:
        return read_mremap(cursor, op, places);
    case STRACE_BRK:
        places->address = cursor->at;
        return read_address(cursor, &op->address);
    case STRACE_MPROTECT:
        return read_mprotect(cursor, op, places);
    case STRACE_FORK:
        return !is_clone || read_clone(cursor, op);
    case STRACE_EXECVE:
    case STRACE_OTHER:
    case STRACE_EXIT:
    case STRACE_UNDER_WAY:
        break;
    }
    return skip_arguments(cursor);
}

/* ------------------------------------------------------------------------------------------------- result */

/** " ENAME (meaning)", the parenthesis optional; " (errno 512)" if strace has no name. */
static bool read_error_name(struct cursor *cursor)
{
    uint64_t number;
    if (text_accept(cursor, " (errno "))
        return text_decimal(cursor, "the number of an error", &number) && text_expect(cursor, ")");
    if (!text_expect(cursor, " E"))
        return false;
    skip_word(cursor);
    if (text_sees(cursor, " (INJECTED") || text_sees(cursor, " (DELAYED"))
        return true;
    if (!text_accept(cursor, " (")) /* tools that shorten logs may drop it */
        return true;
    while (!text_at_end(cursor) && text_byte(cursor) != ')')
        cursor->at++;
    return text_expect(cursor, ")");
}

/** Read how strace tampered with the call. If it made up the result, the call did not take place. */
static void read_tampering(struct cursor *cursor, struct strace_op *op)
{
    if (text_accept(cursor, " (INJECTED)") || text_accept(cursor, " (INJECTED: args, retval)"))
        op->outcome = STRACE_FAILED;
    else
        text_accept(cursor, " (INJECTED: args)");
    text_accept(cursor, " (DELAYED)");
}

/** The time that the call took (strace -T). */
static bool read_duration(struct cursor *cursor)
{
    uint64_t part;
    if (!text_accept(cursor, " <"))
        return true;
    if (!text_decimal(cursor, "seconds", &part))
        return false;
    if (text_accept(cursor, ".") && !text_decimal(cursor, "microseconds", &part))
        return false;
    return text_expect(cursor, ">");
}

/** Read the text after the result, up to the end of the line. */
static bool read_end(struct cursor *cursor, struct strace_op *op)
{
    read_tampering(cursor, op);
    if (!read_duration(cursor))
        return false;
    return text_at_end(cursor) || text_fail(cursor, "the end of the line");
}

/** A new process: its number (-e raw: hexadecimal), its name (-Y), and a comment on its number elsewhere. */
static bool read_child(struct cursor *cursor, uint64_t *pid)
{
    if (!text_number(cursor, "a process number, -1 or ?", pid))
        return false;
    text_skip_name(cursor);
    if (text_accept(cursor, " /* "))
        while (!text_at_end(cursor) && !text_accept(cursor, " */"))
            cursor->at++;
    return true;
}

/** Read the result, as far as it concerns the player. */
static bool read_value(struct cursor *cursor, struct strace_op *op)
{
    switch ((enum strace_call)op->call) {
    case STRACE_MMAP:
    case STRACE_MREMAP:
    case STRACE_BRK:
        if (!text_sees(cursor, "0")) /* mmap(2) at address 0 is written as 0 */
            return text_fail(cursor, "an address (0x...), -1 or ?");
        return text_number(cursor, "an address (0x...), -1 or ?", &op->result);
    case STRACE_FORK:
        return read_child(cursor, &op->result);
    case STRACE_MUNMAP:
    case STRACE_MPROTECT:
    case STRACE_EXECVE:
        return text_accept(cursor, "0") || text_fail(cursor, "0, -1 or ?");
    case STRACE_OTHER:
    case STRACE_EXIT:
    case STRACE_UNDER_WAY:
        break;
    }
    cursor->at = cursor->text->length; /* a skipped call may return anything */
    return true;
}

static bool read_result(struct cursor *cursor, struct strace_op *op, struct places *places)
{
    text_blanks(cursor); /* "<... munmap resumed> )" in older versions */
    if (!text_expect(cursor, ")"))
        return false;
    text_blanks(cursor);
    if (!text_expect(cursor, "= "))
        return false;
    places->result = cursor->at;
    op->outcome = STRACE_DONE;
    if (op->call == STRACE_OTHER)
        return read_value(cursor, op);
    if (text_accept(cursor, "-1")) {
        op->outcome = STRACE_FAILED;
        return read_error_name(cursor) && read_end(cursor, op);
    }
    if (text_accept(cursor, "?")) {
        op->outcome = STRACE_NEVER;
        if (text_accept(cursor, " <unavailable>"))
            return read_end(cursor, op);
        return (text_at_end(cursor) || text_sees(cursor, " <") || text_sees(cursor, " (DELAYED)") ||
                read_error_name(cursor)) &&
               read_end(cursor, op);
    }
    return read_value(cursor, op) && read_end(cursor, op);
}

/* ------------------------------------------------------------------------- checks of calls that succeeded */

/** [address, address + length - 1], rounded out to pages, must not wrap. */
static bool check_range(const struct cursor *cursor, uint64_t address, size_t address_at, uint64_t length,
                        size_t length_at)
{
    if (address % PAGE != 0)
        return text_wrong(cursor, address_at, "expected a multiple of 4096 in a call that succeeded");
    if (length == 0)
        return text_wrong(cursor, length_at, "expected a length above 0 in a call that succeeded");
    if (length > UINT64_MAX - (PAGE - 1) || (length + PAGE - 1) / PAGE * PAGE - 1 > UINT64_MAX - address)
        return text_wrong(cursor, length_at,
                          "expected a range that ends below 2^64 in a call that succeeded");
    return true;
}

/** An old length of 0 requests a second mapping of shared pages. */
static bool check_mremap(const struct cursor *cursor, const struct strace_op *op, const struct places *places)
{
    if (!check_range(cursor, op->address, places->address, op->length == 0 ? 1 : op->length, places->length))
        return false;
    if ((op->flags & STRACE_FIXED) != 0 && op->new_address != op->result)
        return text_wrong(cursor, places->result, "expected the new address, as MREMAP_FIXED asks");
    return check_range(cursor, op->result, places->result, op->new_length, places->new_length);
}

static bool check_mmap(const struct cursor *cursor, const struct strace_op *op, const struct places *places)
{
    if ((op->flags & STRACE_FIXED) != 0 && op->address != op->result)
        return text_wrong(cursor, places->result, "expected the address asked for, as MAP_FIXED asks");
    return check_range(cursor, op->result, places->result, op->length, places->length);
}

/** A break may be any address, rounded up to a page, below 2^64. */
static bool check_brk(const struct cursor *cursor, const struct strace_op *op, const struct places *places)
{
    if (op->result > UINT64_MAX - (PAGE - 1))
        return text_wrong(cursor, places->result, "expected a break below the last page of 64 bits");
    return true;
}

static bool check_done(const struct cursor *cursor, const struct strace_op *op, const struct places *places)
{
    switch ((enum strace_call)op->call) {
    case STRACE_MMAP:
        return check_mmap(cursor, op, places);
    case STRACE_MUNMAP:
        return check_range(cursor, op->address, places->address, op->length, places->length);
    case STRACE_MREMAP:
        return check_mremap(cursor, op, places);
    case STRACE_BRK:
        return check_brk(cursor, op, places);
    case STRACE_FORK:
        if (op->result == 0 || op->result > UINT32_MAX)
            return text_wrong(cursor, places->result, "expected a process number from 1 to 2^32 - 1");
        return true;
    case STRACE_MPROTECT:
    case STRACE_EXECVE:
    case STRACE_OTHER:
    case STRACE_EXIT:
    case STRACE_UNDER_WAY:
        break;
    }
    return true;
}

bool strace_parse_call(const struct text *text, struct strace_op *op, struct strace_error *error)
{
    struct cursor cursor = {.text = text, .error = error};
    struct places places = {0};
    enum strace_call call;
    if (!read_name(&cursor, &call, &op->flags))
        return false;
    op->call = (uint8_t)call;
    bool is_clone = text->length > 5 && memcmp(text->bytes, "clone", 5) == 0;
    if (!skip_broken_off(&cursor) && !read_arguments(&cursor, is_clone, op, &places))
        return false;
    if (!read_result(&cursor, op, &places))
        return false;
    return op->outcome != STRACE_DONE || check_done(&cursor, op, &places);
}
