/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Reading the kernel's list of mappings. Each begins with a line like
 *
 *      7f2c40000000-7f2c40021000 rw-p 00001000 08:01 131093 /usr/lib/libexample.so
 *      start        end          rwxp offset   device inode path
 *
 * In /proc/self/smaps lines with a name and a colon follow, the last of them a list of two letters each:
 *
 *      VmFlags: rd wr mr mw me ac
 */
#define _GNU_SOURCE
#include "maps.h"

#include <string.h>

static const char list[] = "/proc/self/maps";

bool kva_maps_open(struct kva_maps *maps, bool with_attributes)
{
    maps->with_attributes = with_attributes;
    maps->has_next = false;
    return reader_open(&maps->reader, with_attributes ? "/proc/self/smaps" : list);
}

void kva_maps_close(struct kva_maps *maps)
{
    reader_close(&maps->reader);
}

/** Read a line, without its line feed; false at the end of the file. */
static bool read_line(struct kva_maps *maps)
{
    size_t length = 0;
    bool any = false;

    while (reader_fill(&maps->reader)) {
        char next = maps->reader.text[maps->reader.at++];
        any = true;
        if (next == '\n')
            break;
        if (length < sizeof maps->line - 1)
            maps->line[length++] = next;
    }
    maps->line[length] = '\0';
    return any;
}

/** Read a number, and step over it. */
static uint64_t number_at(const char **at, unsigned base)
{
    uint64_t number = 0;

    for (; digit_of(**at) < base; ++*at)
        number = number * base + digit_of(**at);
    return number;
}

/** Step over a byte; whether it was that one. */
static bool step_over(const char **at, char byte)
{
    if (**at != byte)
        return false;
    ++*at;
    return true;
}

/** Read the line on which a mapping begins; false if it is another line. */
static bool parse_header(const char *at, struct kva_mapping *mapping)
{
    *mapping = (struct kva_mapping){.start = number_at(&at, 16)};
    if (!step_over(&at, '-'))
        return false;
    mapping->end = number_at(&at, 16);
    if (!step_over(&at, ' ') || strlen(at) < 5)
        return false;
    mapping->readable = at[0] == 'r';
    mapping->writable = at[1] == 'w';
    mapping->executable = at[2] == 'x';
    mapping->shared = at[3] == 's';
    at += 5;
    (void)number_at(&at, 16); /* the offset */
    (void)step_over(&at, ' ');
    mapping->major = (unsigned)number_at(&at, 16);
    (void)step_over(&at, ':');
    mapping->minor = (unsigned)number_at(&at, 16);
    (void)step_over(&at, ' ');
    mapping->inode = number_at(&at, 10);
    return true;
}

/** What two letters stand for (Documentation/filesystems/proc.rst of Linux). Those that say what a mapping may do, how it is
 *  accounted and that it may carry guard markers are not in here. */
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
        {"dc", KVA_ATTRIBUTE_OTHER},                                  /* MADV_DONTFORK */
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

static unsigned parse_flags(const char *at)
{
    unsigned attributes = 0;

    while (step_over(&at, ' '))
        continue;
    for (; at[0] != '\0' && at[1] != '\0'; at += at[2] == ' ' ? 3 : 2)
        attributes |= attribute_of(at);
    return attributes;
}

/** Read the lines that belong to a mapping, until its attributes or the next mapping come. */
static void read_attributes(struct kva_maps *maps, struct kva_mapping *mapping)
{
    static const char name[] = "VmFlags:";

    while (!maps->has_next && read_line(maps)) {
        if (strncmp(maps->line, name, sizeof name - 1) == 0) {
            mapping->attributes = parse_flags(maps->line + sizeof name - 1);
            return;
        }
        maps->has_next = parse_header(maps->line, &maps->next);
    }
}

bool kva_maps_next(struct kva_maps *maps, struct kva_mapping *mapping)
{
    while (!maps->has_next) {
        if (!read_line(maps))
            return false;
        maps->has_next = parse_header(maps->line, &maps->next);
    }
    *mapping = maps->next;
    maps->has_next = false;
    if (maps->with_attributes)
        read_attributes(maps, mapping);
    return true;
}

uint64_t kva_maps_count(void)
{
    struct reader reader;
    uint64_t lines = 0;

    if (!reader_open(&reader, list))
        return 0;
    while (reader_skip(&reader, '\n'))
        lines++;
    reader_close(&reader);
    return lines;
}
