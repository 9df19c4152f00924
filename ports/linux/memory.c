/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The Linux port: node memory and CPU count.
 *
 * Nodes are reached at random, one line here and one there: what that costs beyond the cache misses is
 * misses of the TLB. A million nodes span 16,000 pages of 4 KiB, more than any TLB holds, but only 31 of
 * 2 MiB. So large chunks are mapped on their own, aligned to a huge page and marked for one.
 */
#include "gnu.h"

#include <kva/memory.h>

#include <stdlib.h>

#include "../port.h"
#include "system.h"

static void *map_huge(size_t bytes)
{
    uint64_t calls = 0; /* not counted */
    char *mapping = map_aligned(bytes, HOST_HUGE_BYTES, 0, PROT_READ | PROT_WRITE, &calls);

    if (mapping)
        (void)advise_memory(mapping, bytes, MADV_HUGEPAGE, &calls); /* a wish: small pages serve as well */
    return mapping;
}

/** Whole pages only: munmap would not do with less. */
static bool is_mapped(size_t bytes)
{
    return bytes >= HOST_HUGE_BYTES && bytes % HOST_HUGE_BYTES == 0;
}

static void *host_take(void *context, size_t bytes)
{
    (void)context;
    return is_mapped(bytes) ? map_huge(bytes) : malloc(bytes);
}

static void host_give(void *context, void *block, size_t bytes)
{
    (void)context;
    if (is_mapped(bytes))
        (void)munmap(block, bytes);
    else
        free(block);
}

struct kva_memory kva_memory_host(void)
{
    struct kva_memory memory = {host_take, host_give, NULL};
    return memory;
}

unsigned kva_port_cpus(void)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (unsigned)online : 1;
}
