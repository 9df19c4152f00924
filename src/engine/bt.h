/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The bt engine's data: one B+tree of the ranges in use. A hole is not stored: it is what lies between two
 * neighbours.
 *
 * LEAF, 8 cache lines, or 16 if the space keeps owners. Up to 59 entries in order, in one of two forms. The
 * compact one counts in quanta from `base`; the wide one holds addresses, half as many, for ranges that lie
 * too far apart:
 *
 *      compact   | base parked count wide | start[59] 32 bits | last[59] 32 bits | owner[59] |
 *      wide      | base parked count wide | start[30] 64 bits | last[30] 64 bits | owner[59] |
 *
 *   59 entries of 8 bytes, less one, is what is left of 512 bytes behind the header: a full leaf and one more
 *   entry make two halves of 30, which the wide form holds, so a split always succeeds with one new leaf.
 *
 * TERRITORY. Each leaf answers for the addresses [low, high]. For all but the first leaf, low is the start of
 * its first entry; so the hole BEHIND an entry, up to the next leaf's first start, belongs to that entry's
 * leaf, and no hole is ever divided between two leaves:
 *
 *          leaf 0                               leaf 1                       leaf 2
 *      |...|=A=|....|==B==|.........|       |=C=|..|=D=|........|        |=E=|.......|
 *      first                                low                          low         last
 *
 *   Gap g of a leaf with n entries is the hole, perhaps of 0 bytes, before entry g; gap n is the one behind the
 *   last entry. Only the first leaf can have bytes in its gap 0.
 *
 * INNER NODE. Up to 64 children; what is known of each child stands in arrays of its own, so that a search
 * reads only the lines that it compares:
 *
 *      | count deferred | size[64] | low[64] | child[64] | largest[64] | largest for class 1 [64] | ...
 *                         entries    first     the node    largest hole  longest aligned run
 *                         or nodes   address               below         below
 */
#ifndef KVA_ENGINE_BT_H
#define KVA_ENGINE_BT_H

#include "../base/memory.h"
#include "nodes.h"

#ifndef BT_ENTRIES /* the tests build this engine with tiny nodes as well */
#define BT_ENTRIES 59
#define BT_CHILDREN 64
#endif

enum {
    BT_WIDE_ENTRIES = (BT_ENTRIES + 1) / 2,
    BT_CLASSES = 1 + KVA_ALIGN_CLASSES, /* class 0 is the quantum */
    /* Siblings that hold no more than this together become one. Three quarters: what comes out of a merge
     * has room for a quarter before it splits again. */
    BT_MERGE_ENTRIES = BT_ENTRIES * 3 / 4,
    BT_MERGE_CHILDREN = BT_CHILDREN * 3 / 4,
};
_Static_assert(BT_ENTRIES < 64 && BT_CHILDREN <= 64, "one bit of a 64-bit word for each entry and child");
_Static_assert(BT_ENTRIES % 2 == 1, "a full leaf and one more entry make two equal halves");

struct bt_compact {
    uint32_t start[BT_ENTRIES]; /* quanta from base */
    uint32_t last[BT_ENTRIES];  /* the last quantum, included */
};

struct bt_wide {
    uint64_t start[BT_WIDE_ENTRIES];
    uint64_t last[BT_WIDE_ENTRIES];
};

struct bt_leaf {
    uint64_t base;   /* what the compact form counts from */
    uint64_t parked; /* bit i: entry i is deferred */
    uint32_t count;
    bool is_wide;
    union {
        struct bt_compact compact;
        struct bt_wide wide;
    };
    void *owner[]; /* BT_ENTRIES of them, if the space keeps owners */
};

struct bt_inner {
    uint64_t deferred; /* bit i: something below child i is deferred */
    size_t count;
    uint8_t size[BT_CHILDREN]; /* entries of a leaf, children of an inner node */
    uint64_t low[BT_CHILDREN];
    void *child[BT_CHILDREN];
    uint64_t largest[][BT_CHILDREN]; /* by class; bytes, saturated at 2^64 - 1; 0: none */
};

/** What a parent knows of a child, apart from where it begins. */
struct bt_summary {
    uint64_t largest[BT_CLASSES];
    bool deferred;
};

struct bt_tiling {
    struct kva_tiling common; /* first: the engine's functions are handed a pointer to it */
    struct kva_nodes leaves;
    struct kva_nodes inners;
    void *root;
    unsigned height; /* inner levels above the leaves */
    unsigned shift;  /* log2 of the quantum */
    unsigned classes;
    uint64_t align[BT_CLASSES]; /* ascending; align[0] is the quantum */
    struct bt_summary top;      /* of the root */
};

#endif
