/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * What kva requires of the implementation beyond the C standard, asserted at compile time; and what it
 * assumes for speed only.
 */
#ifndef KVA_BASE_ASSUMPTIONS_H
#define KVA_BASE_ASSUMPTIONS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

_Static_assert(CHAR_BIT == 8, "a byte has 8 bits");
_Static_assert(sizeof(uint64_t) == 8, "an address has 64 bits");
_Static_assert(sizeof(size_t) == 4 || sizeof(size_t) == 8, "a host is 32- or 64-bit");
_Static_assert(sizeof(uintptr_t) == sizeof(void *), "uintptr_t is exactly as wide as a pointer");
_Static_assert(sizeof(void *) == sizeof(size_t), "size_t spans the host's memory");
_Static_assert(_Alignof(void *) >= 2, "the lowest bit of a node's address is free for its colour");

/** The cache line of most machines, in bytes. On other machines kva is correct but slower. */
enum { KVA_LINE = 64 };

#endif
