/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * System calls on memory. Each adds itself to the caller's count. A file that includes this includes gnu.h
 * first.
 */
#ifndef KVA_PORTS_LINUX_SYSTEM_H
#define KVA_PORTS_LINUX_SYSTEM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../src/base/arith.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18 /* Linux 4.14 */
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24 /* MADV_DONTNEED, also for locked pages: Linux 5.18 */
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13; include/uapi/asm-generic/mman-common.h */
#define MADV_GUARD_REMOVE 103
#endif

/** kva_memory_host maps whole multiples of this, the size of a huge page on most machines. */
enum { HOST_HUGE_BYTES = 2 << 20 };

static inline uint64_t page_size(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

/** Private memory, zero; NULL if the system refuses. */
static inline char *map_memory(void *at, uint64_t bytes, int protection, int flags, uint64_t *calls)
{
    ++*calls;
    void *mapping = mmap(at, (size_t)bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return mapping == MAP_FAILED ? NULL : mapping;
}

/** Inaccessible addresses. */
static inline char *map_inaccessible(void *at, uint64_t bytes, int flags, uint64_t *calls)
{
    return map_memory(at, bytes, PROT_NONE, MAP_NORESERVE | flags, calls);
}

/** Replace all that is mapped there by fresh memory. */
static inline bool replace_memory(void *at, size_t bytes, int protection, uint64_t *calls)
{
    return map_memory(at, bytes, protection, MAP_NORESERVE | MAP_FIXED, calls) != NULL;
}

static inline bool protect_memory(void *at, size_t bytes, int protection, uint64_t *calls)
{
    ++*calls;
    return mprotect(at, bytes, protection) == 0;
}

static inline bool advise_memory(void *at, size_t bytes, int advice, uint64_t *calls)
{
    ++*calls;
    return madvise(at, bytes, advice) == 0;
}

/** Discard the contents of memory, even of locked memory. */
static inline bool discard_memory(void *at, size_t bytes, uint64_t *calls)
{
    return advise_memory(at, bytes, MADV_DONTNEED, calls) ||
           advise_memory(at, bytes, MADV_DONTNEED_LOCKED, calls);
}

/** Map a part of a file over a range that threads may be using. ThreadSanitizer takes a call of mmap for a
 *  store to the whole range, which would race with these threads. So the system call is made directly, where
 *  it takes the same arguments as the function. */
static inline bool map_file_in_use(void *at, size_t bytes, int file, off_t offset, uint64_t *calls)
{
    const int protection = PROT_READ | PROT_WRITE;
    const int flags = MAP_SHARED | MAP_FIXED;

    ++*calls;
#if defined(__LP64__) && (defined(__x86_64__) || defined(__aarch64__))
    return syscall(SYS_mmap, at, bytes, (long)protection, (long)flags, (long)file, offset) != -1;
#else
    return mmap(at, bytes, protection, flags, file, offset) != MAP_FAILED;
#endif
}

/** Map `bytes` at a multiple of align, and `front` bytes before them. All are whole pages. This maps as much
 *  more as the alignment may cost, where `front` finds room, and unmaps the rest:
 *
 *      | unmapped | front | bytes ...             | unmapped |
 *      mapping            the first multiple of align from mapping + front on
 */
static inline char *map_aligned(uint64_t bytes, uint64_t align, uint64_t front, int protection,
                                uint64_t *calls)
{
    uint64_t whole;

    if (!add_checked(bytes, align, &whole) || whole > SIZE_MAX)
        return NULL;
    char *mapping = map_memory(NULL, whole, protection, MAP_NORESERVE, calls);
    if (!mapping)
        return NULL;
    size_t before = (size_t)front + (size_t)(-((uintptr_t)mapping + front) & (align - 1));
    if (before > front)
        (void)munmap(mapping, before - (size_t)front);
    if (before < align)
        (void)munmap(mapping + before + bytes, (size_t)(align - before));
    *calls += (before > front) + (uint64_t)(before < align);
    return mapping + before;
}

#endif
