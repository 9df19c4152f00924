#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# The shared library imports only the symbols listed here. test_below_malloc.c sees the calls that happen at
# run time; this test sees all imports. In particular:
#
#   no stdio             it takes memory and locks
#   no __tls_get_addr    glibc's takes memory when a thread first uses thread-local data: the initial-exec model avoids it.
#                        Other C libraries allocate it when a thread begins or a library is loaded
#   malloc, free         for kva_memory_host and no other file: its object alone may name them
#   dladdr               for the names that kva_vm_create uses by default
set -eu

allowed='
    malloc free dladdr
    memcpy memmove memset memcmp bcmp memchr strlen strncmp strrchr
    mmap mmap64 munmap mprotect madvise open open64 close read write pread pread64 pwrite pwrite64 lseek lseek64
    fallocate fallocate64 ftruncate ftruncate64 memfd_create fstat fstat64 __fstat64_time64 msync munlock
    syscall personality prctl clock_gettime __clock_gettime64 uname sched_getcpu sysconf getauxval __getauxval getenv
    sigaction raise sigemptyset sigfillset sigaddset sigismember sigprocmask sigpending
    sigtimedwait __sigtimedwait64 __sigtimedwait_time64 pthread_setcancelstate
    getpid sched_yield nanosleep __nanosleep64 __nanosleep_time64
    __errno_location __libc_single_threaded __rseq_offset __rseq_size
    __stack_chk_fail __stack_chk_guard __memcpy_chk __memmove_chk __memset_chk __read_chk
    __cxa_finalize __gmon_start__ _ITM_deregisterTMCloneTable _ITM_registerTMCloneTable
    '
echo '#include <limits.h>' | "$CC" -E -dM - | grep -q ' __GLIBC__ ' || allowed="$allowed __tls_get_addr"
"$NM" -D --undefined-only "$KVA_SHARED" | sed 's/.* //; s/@.*//' | sort -u > imports
test -s imports
for name in $allowed; do echo "$name"; done | sort > list
surplus=$(comm -23 imports list)
if [ -n "$surplus" ]; then
    echo "The shared library needs more than it may: $surplus"
    exit 1
fi

# A function that is bound at its first call is resolved then, by the dynamic linker, which may take memory.
if ! "$READELF" -d "$KVA_SHARED" | grep -q BIND_NOW; then
    echo "The shared library is bound lazily"
    exit 1
fi

# The object of each port's file is checked on its own for calls of the heap.
for file in "$KVA_SOURCE"/ports/linux/*.c; do
    [ "${file##*/}" = memory.c ] && continue
    "$CC" -std=c11 -O1 -fPIC -I"$KVA_SOURCE/include" -c "$file" -o object.o
    if "$NM" --undefined-only object.o | grep -E ' (malloc|calloc|realloc|free|aligned_alloc|posix_memalign)$'; then
        echo "$file calls the heap"
        exit 1
    fi
done
