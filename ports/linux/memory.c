/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The Linux port: node memory and CPU count.
 *
 * Nodes are accessed at random, which costs cache misses and, on top, TLB misses. A million nodes span 16,000
 * pages of 4 KiB, more than any TLB holds, but only 31 of 2 MiB. So blocks of whole huge pages are mapped by
 * themselves, aligned to a huge page, with the advice to use one; malloc serves the others.
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
        (void)advise_memory(mapping, bytes, MADV_HUGEPAGE, &calls); /* a hint: small pages serve as well */
    return mapping;
}

/** Whole huge pages only: munmap takes no less than a page. */
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
