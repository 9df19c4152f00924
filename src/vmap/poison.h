/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Under AddressSanitizer: mark mapped memory that no code may touch: cached and parked areas, and in a live
 * area the bytes from the requested size to the end of the last page. In other builds, these functions do
 * nothing.
 */
#ifndef KVA_VMAP_POISON_H
#define KVA_VMAP_POISON_H

#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KVA_POISONS 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(KVA_POISONS)
#define KVA_POISONS 1
#endif

#ifndef KVA_POISONS
#define KVA_POISONS 0
#endif

#if KVA_POISONS

void __asan_poison_memory_region(void const volatile *memory, size_t bytes);
void __asan_unpoison_memory_region(void const volatile *memory, size_t bytes);

static inline void poison(const void *memory, size_t bytes)
{
    __asan_poison_memory_region(memory, bytes);
}

static inline void unpoison(const void *memory, size_t bytes)
{
    __asan_unpoison_memory_region(memory, bytes);
}

#else

static inline void poison(const void *memory, size_t bytes)
{
    (void)memory;
    (void)bytes;
}

static inline void unpoison(const void *memory, size_t bytes)
{
    (void)memory;
    (void)bytes;
}

#endif

#endif
