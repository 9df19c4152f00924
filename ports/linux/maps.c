/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Reading the kernel's list of mappings. Each mapping begins with a line like
 *
 *      7f2c40000000-7f2c40021000 rw-p 00001000 08:01 131093 /usr/lib/libexample.so
 *      start        end          rwxp offset   device inode path
 *
 * In /proc/self/smaps, lines with a name and a colon follow. The last of them is a list of two-letter flags:
 *
 *      VmFlags: rd wr mr mw me ac
 */
#include "gnu.h"

#include "maps.h"

#include <string.h>

static const char maps_file[] = "/proc/self/maps";

bool kva_maps_open(struct kva_maps *maps, bool with_attributes)
{
    maps->with_attributes = with_attributes;
    return reader_open(&maps->reader, with_attributes ? "/proc/self/smaps" : maps_file);
}

void kva_maps_close(struct kva_maps *maps)
{
    reader_close(&maps->reader);
}

/** Read the first line of a mapping, up to the path; false if it is another line. */
static bool read_header(struct reader *reader, struct kva_mapping *mapping)
{
    uint64_t numbers[3]; /* offset, major, minor */

    *mapping = (struct kva_mapping){.start = 0};
    if (!reader_number(reader, 16, &mapping->start) || reader_take(reader) != '-' ||
        !reader_number(reader, 16, &mapping->end) || reader_take(reader) != ' ')
        return false;
    mapping->readable = reader_take(reader) == 'r';
    mapping->writable = reader_take(reader) == 'w';
    mapping->executable = reader_take(reader) == 'x';
    mapping->shared = reader_take(reader) == 's';
    for (unsigned i = 0; i < 3; i++) {
        (void)reader_take(reader); /* the separator */
        (void)reader_number(reader, 16, &numbers[i]);
    }
    (void)reader_take(reader);
    (void)reader_number(reader, 10, &mapping->inode);
    mapping->major = (unsigned)numbers[1];
    mapping->minor = (unsigned)numbers[2];
    return true;
}

/** What two letters stand for (Documentation/filesystems/proc.rst of Linux). Flags of permissions, of
 *  accounting and of guard markers are left out. */
static unsigned attribute_of(const char *letters)
{
    static const struct {
        char letters[3];
        unsigned char attribute;
    } rows[] = {
        {"lo", KVA_ATTRIBUTE_LOCKED},    {"lf", KVA_ATTRIBUTE_LOCKED}, {"hg", KVA_ATTRIBUTE_HUGE},
        {"mg", KVA_ATTRIBUTE_MERGEABLE}, {"nh", KVA_ATTRIBUTE_OTHER}, /* MADV_NOHUGEPAGE */
        {"sr", KVA_ATTRIBUTE_OTHER},                                  /* MADV_SEQUENTIAL */
        {"rr", KVA_ATTRIBUTE_OTHER},                                  /* MADV_RANDOM */
        {"dc", KVA_ATTRIBUTE_OWN},                                    /* MADV_DONTFORK */
        {"dd", KVA_ATTRIBUTE_OTHER},                                  /* MADV_DONTDUMP */
        {"wf", KVA_ATTRIBUTE_OTHER},                                  /* MADV_WIPEONFORK */
        {"um", KVA_ATTRIBUTE_OTHER},                                  /* userfaultfd: missing pages, */
        {"uw", KVA_ATTRIBUTE_OTHER},                                  /*   write protection, */
        {"ui", KVA_ATTRIBUTE_OTHER},                                  /*   minor faults */
        {"sl", KVA_ATTRIBUTE_OTHER},                                  /* mseal */
        {"ht", KVA_ATTRIBUTE_OTHER},                                  /* MAP_HUGETLB */
        {"sf", KVA_ATTRIBUTE_OTHER},                                  /* MAP_SYNC */
        {"pf", KVA_ATTRIBUTE_OTHER},                                  /* a device's memory */
        {"io", KVA_ATTRIBUTE_OTHER},     {"gd", KVA_ATTRIBUTE_OTHER}, /* MAP_GROWSDOWN */
        {"mt", KVA_ATTRIBUTE_OTHER},                                  /* memory tags of 64-bit Arm */
        {"dp", KVA_ATTRIBUTE_OTHER},                                  /* MAP_DROPPABLE */
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (memcmp(rows[i].letters, letters, 2) == 0)
            return rows[i].attribute;
    }
    return 0;
}

/** Read the rest of a line: pairs of letters, and spaces. */
static unsigned read_flags(struct reader *reader)
{
    unsigned attributes = 0;
    char next;

    while ((next = reader_take(reader)) != '\n') {
        char letters[2] = {next, next == ' ' ? ' ' : reader_take(reader)};
        attributes |= attribute_of(letters);
    }
    return attributes;
}

/** Whether the line begins with a name. Steps over the part that matches. */
static bool begins_with(struct reader *reader, const char *name)
{
    while (*name != '\0' && reader_current(reader) == *name) {
        (void)reader_take(reader);
        name++;
    }
    return *name == '\0';
}

/** Read the lines of a mapping, until its attributes or the next mapping. Their names begin with capitals. */
static unsigned read_attributes(struct reader *reader)
{
    while (reader_fill(reader) && digit_of(reader_current(reader)) == 16) {
        bool found = begins_with(reader, "VmFlags:");
        unsigned attributes = found ? read_flags(reader) : 0;
        (void)reader_skip(reader, '\n');
        if (found)
            return attributes;
    }
    return 0;
}

bool kva_maps_next(struct kva_maps *maps, struct kva_mapping *mapping)
{
    struct reader *reader = &maps->reader;
    bool found = false;

    while (!found && reader_fill(reader)) {
        found = read_header(reader, mapping);
        (void)reader_skip(reader, '\n');
    }
    if (found && maps->with_attributes)
        mapping->attributes = read_attributes(reader);
    return found;
}

uint64_t kva_maps_count(void)
{
    struct reader reader;
    uint64_t lines = 0;

    if (!reader_open(&reader, maps_file))
        return 0;
    while (reader_skip(&reader, '\n'))
        lines++;
    reader_close(&reader);
    return lines;
}
