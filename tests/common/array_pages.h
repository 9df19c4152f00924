/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A page source for tests of very many very small instances: its pages are 64 bytes each, in an array. No
 * system is called, and nothing faults; but what closed pages hold is overwritten. There are no frames.
 */
#ifndef KVA_TESTS_COMMON_ARRAY_PAGES_H
#define KVA_TESTS_COMMON_ARRAY_PAGES_H

#include <kva/pages.h>

enum { KVA_ARRAY_PAGE = 64, KVA_ARRAY_PAGES = 64, KVA_ARRAY_PIECES = 8 };

struct kva_array_pages {
    _Alignas(KVA_ARRAY_PAGE) unsigned char front[KVA_ARRAY_PAGE]; /* the closed page in front */
    unsigned char memory[KVA_ARRAY_PAGES * KVA_ARRAY_PAGE];
    unsigned char *tables; /* all pieces, open at all times */
    uint32_t pieces;       /* of them */
    bool is_taken[KVA_ARRAY_PIECES];
};

/** The source; it serves one instance at a time. */
struct kva_pages kva_array_pages_of(struct kva_array_pages *pages);

#endif
