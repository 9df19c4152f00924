/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A page source for tests with very many very small instances: its pages are 64 bytes each, in an array. It
 * calls no system and nothing faults, but it overwrites the contents of closed pages. It has no frames.
 */
#ifndef KVA_TESTS_COMMON_ARRAY_PAGES_H
#define KVA_TESTS_COMMON_ARRAY_PAGES_H

#include <kva/pages.h>

enum { KVA_ARRAY_PAGE = 64, KVA_ARRAY_PAGES = 64, KVA_ARRAY_PIECES = 8 };

struct kva_array_pages {
    _Alignas(KVA_ARRAY_PAGE) unsigned char front[KVA_ARRAY_PAGE]; /* the closed page before the first */
    unsigned char memory[KVA_ARRAY_PAGES * KVA_ARRAY_PAGE];
    unsigned char *tables; /* all pieces, always open */
    uint32_t pieces;       /* how many there are */
    bool is_taken[KVA_ARRAY_PIECES];
};

/** The source; it serves one instance at a time. */
struct kva_pages kva_array_pages_of(struct kva_array_pages *pages);

#endif
