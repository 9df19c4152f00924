/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The Linux port: node memory and CPU count.
 *
 * Nodes are reached at random, one line here and one there: what that costs beyond the cache misses is
 * misses of the TLB. A million nodes span 16,000 pages of 4 KiB, more than any TLB holds, but only 31 of
 * 2 MiB. So large chunks are mapped on their own, aligned to a huge page and marked for one.
 */
#define _GNU_SOURCE
#include <kva/kva.h>

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../port.h"

static const size_t huge_page = (size_t)2 << 20;

/** Map `bytes`, a multiple of the page size, aligned to a huge page: map one more than that, and unmap what
 *  sticks out.
 *
 *      |--- before ---|=========== bytes ===========|-- after --|
 *      mapping        aligned                                   mapping + bytes + huge_page
 */
static void *map_huge(size_t bytes)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

    if (bytes > SIZE_MAX - huge_page)
        return NULL;
    char *mapping = mmap(NULL, bytes + huge_page, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (mapping == MAP_FAILED)
        return NULL;
    size_t before = (size_t)(-(uintptr_t)mapping & (huge_page - 1));
    char *aligned = mapping + before;
    if (before > 0)
        (void)munmap(mapping, before);
    if (before < huge_page)
        (void)munmap(aligned + bytes, huge_page - before);
    (void)madvise(aligned, bytes, MADV_HUGEPAGE); /* a wish: small pages serve as well */
    return aligned;
}

/** Whole pages only: munmap would not do with less. */
static bool is_mapped(size_t bytes)
{
    return bytes >= huge_page && bytes % huge_page == 0;
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
