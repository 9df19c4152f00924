/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#define _GNU_SOURCE
#include "counted.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct counted counted;

static void step(uint64_t steps)
{
    if (counted.is_on)
        counted.steps += steps;
}

static void call(void)
{
    if (counted.is_on)
        counted.calls++;
}

/** The compiler calls it at the beginning of each basic block. */
void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
    step(1);
}

/* ------------------------------------------------------------------------------------ memcpy, memset, ... */

enum { LINE = 64 };

void *counted_memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *counted_memmove(void *to, const void *from, size_t bytes);
void *counted_memset(void *to, int byte, size_t bytes);
int counted_memcmp(const void *a, const void *b, size_t bytes);

void *counted_memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    step(bytes / LINE);
    return memcpy(to, from, bytes);
}

void *counted_memmove(void *to, const void *from, size_t bytes)
{
    step(bytes / LINE);
    return memmove(to, from, bytes);
}

void *counted_memset(void *to, int byte, size_t bytes)
{
    step(bytes / LINE);
    return memset(to, byte, bytes);
}

int counted_memcmp(const void *a, const void *b, size_t bytes)
{
    step(bytes / LINE);
    return memcmp(a, b, bytes);
}

/* ------------------------------------------------------------------------------------------- system calls */

/** A system call of the library: it calls __wrap_NAME; __real_NAME is the C library's. */
#define WRAP(type, name, parameters, arguments)                                                              \
    type __real_##name parameters;                                                                           \
    type __wrap_##name parameters;                                                                           \
    type __wrap_##name parameters                                                                            \
    {                                                                                                        \
        call();                                                                                              \
        return __real_##name arguments;                                                                      \
    }

WRAP(void *, mmap, (void *at, size_t bytes, int protection, int flags, int file, off_t offset),
     (at, bytes, protection, flags, file, offset))
WRAP(void *, mmap64, (void *at, size_t bytes, int protection, int flags, int file, off64_t offset),
     (at, bytes, protection, flags, file, offset))
WRAP(int, munmap, (void *at, size_t bytes), (at, bytes))
WRAP(int, mprotect, (void *at, size_t bytes, int protection), (at, bytes, protection))
WRAP(int, madvise, (void *at, size_t bytes, int advice), (at, bytes, advice))
WRAP(int, fallocate, (int file, int mode, off_t offset, off_t bytes), (file, mode, offset, bytes))
WRAP(int, fallocate64, (int file, int mode, off64_t offset, off64_t bytes), (file, mode, offset, bytes))
WRAP(int, memfd_create, (const char *name, unsigned flags), (name, flags))
WRAP(int, ftruncate, (int file, off_t bytes), (file, bytes))
WRAP(int, ftruncate64, (int file, off64_t bytes), (file, bytes))
WRAP(ssize_t, read, (int file, void *to, size_t bytes), (file, to, bytes))
WRAP(int, close, (int file), (file))

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);

int __wrap_open(const char *path, int flags, ...)
{
    call();
    return __real_open(path, flags); /* the library creates no file */
}

int __wrap_open64(const char *path, int flags, ...)
{
    call();
    return __real_open64(path, flags);
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

/** System calls without a function in the C library: memory policies, waits for a lock. None has more than
 * six arguments; a call with fewer passes arbitrary values for the rest, which the kernel ignores. */
long __wrap_syscall(long number, ...)
{
    long arguments[6];
    va_list list;

    call();
    va_start(list, number);
    for (size_t i = 0; i < 6; i++)
        arguments[i] = va_arg(list, long);
    va_end(list);
    return __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                          arguments[5]);
}
