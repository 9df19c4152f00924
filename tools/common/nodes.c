/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Nodes as /sys lists them. */
#include "nodes.h"

#include <stdio.h>
#include <stdlib.h>

uint64_t nodes_in_list(const char *list)
{
    uint64_t count = 0;

    for (;;) {
        char *end;
        unsigned long long first = strtoull(list, &end, 10);
        if (end == list)
            return 0;
        unsigned long long last = first;
        if (*end == '-') {
            list = end + 1;
            last = strtoull(list, &end, 10);
        }
        if (end == list || last < first)
            return 0;
        count += last - first + 1;
        if (*end != ',')
            return *end == '\0' || *end == '\n' ? count : 0;
        list = end + 1;
    }
}

uint64_t nodes_count(void)
{
    char list[4096] = "";
    FILE *file = fopen("/sys/devices/system/node/has_memory", "r");

    if (file == NULL)
        return 1;
    const char *line = fgets(list, sizeof list, file);
    (void)fclose(file);
    uint64_t count = line == NULL ? 0 : nodes_in_list(line);
    return count == 0 ? 1 : count;
}
