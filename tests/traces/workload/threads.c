/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/*
 * What threads.strace shows: threads that map, move and unmap at the same time, so that one gets the
 * addresses that another gives up while the calls of both are under way.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#define THREADS 4
#define ROUNDS 25
#define PAGE ((size_t)4096)

static void *work(void *seed)
{
    unsigned *random = seed;
    for (int i = 0; i < ROUNDS; i++) {
        size_t size = PAGE * (size_t)(1 + rand_r(random) % 4);
        void *from = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        void *to = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (from == MAP_FAILED || to == MAP_FAILED)
            break;
        if (mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to)
            munmap(to, size);
    }
    return NULL;
}

int main(void)
{
    static unsigned seeds[THREADS] = {1, 2, 3, 4};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, work, &seeds[i]) != 0)
            return 1;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
