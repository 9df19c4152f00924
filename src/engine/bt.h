/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The bt engine's data: one B+tree of the ranges in use. A hole is not stored: it is what lies between two
 * neighbours.
 *
 * LEAF, 7 cache lines, or 14 if the space keeps owners. Up to 47 entries in order, in one of two forms. The compact one
 * counts in quanta from `base`; the wide one holds addresses, half as many, for ranges that lie too far apart:
 *
 *      compact   | start[48] 32 bits | last[48] 32 bits | base parked[3] count wide version | owners
 *      wide      | start[24] 64 bits | last[24] 64 bits | base parked[3] count wide version | owners
 *
 *   48 places are 3 vectors of 16, 6 of 8 or 12 of 4, and 3 lines. One stays empty, so that a full leaf and one more
 *   entry make two halves of 24, which the wide form holds: a split always succeeds with one new leaf.
 *
 * OWNERS of a leaf are not moved when its entries are: entry i's is owner[slot[i]], and only the slots move:
 *
 *      | unused | 8 bytes apart | slot[48] 8 bits | owner[47] |
 *
 * TERRITORY. Each leaf answers for the addresses [low, high]. For all but the first leaf, low is the start of
 * its first entry; so the hole AFTER an entry, up to the next leaf's first start, belongs to that entry's
 * leaf, and no hole is ever divided between two leaves:
 *
 *          leaf 0                               leaf 1                       leaf 2
 *      |...|=A=|....|==B==|.........|       |=C=|..|=D=|........|        |=E=|.......|
 *      first                                low                          low         last
 *
 *   Gap g of a leaf with n entries is the hole, perhaps of 0 bytes, before entry g; gap n is the one after the
 *   last entry. Only the first leaf can have bytes in its gap 0.
 *
 * INNER NODE. Up to 64 children; what is known of each child stands in arrays of its own, so that a search
 * reads only the lines that it compares:
 *
 *      | low[64] | child[64] | deferred[3] count | size[64] | largest[64] | largest for class 1 [64] | ...
 *        first     the node                        entries    largest hole  longest aligned run
 *        address                                   or nodes   below         below
 *
 * docs/theory/bt.md draws the nodes to scale, and each operation on an example.
 */
#ifndef KVA_ENGINE_BT_H
#define KVA_ENGINE_BT_H

#include "../base/memory.h"
#include "engine.h"

#include <kva/kva.h>

#ifndef BT_ENTRIES /* the tests build this engine with tiny nodes as well */
#define BT_ENTRIES 47
#define BT_CHILDREN 64
#endif

enum {
    BT_SLOTS = BT_ENTRIES + 1,
    BT_WIDE_ENTRIES = BT_SLOTS / 2,
    BT_SPARE =
        (BT_ENTRIES + 15) / 16, /* room that a merge, or a division between neighbours, leaves in a leaf */
    BT_MERGE_ENTRIES = BT_ENTRIES - BT_SPARE, /* leaves that hold no more than this together become one */
    BT_CLASSES = 1 + KVA_ALIGN_CLASSES,       /* class 0 is the quantum */
    /* Inner nodes that hold no more than this together become one. Three quarters: what comes out of a merge has
     * room for a quarter before it splits again. */
    BT_MERGE_CHILDREN = BT_CHILDREN * 3 / 4,
};
_Static_assert(BT_ENTRIES < 64 && BT_CHILDREN <= 64, "one bit of a 64-bit word for each entry and child");
_Static_assert(BT_ENTRIES % 2 == 1, "a full leaf and one more entry make two equal halves");

struct bt_compact {
    uint32_t start[BT_SLOTS]; /* quanta from base */
    uint32_t last[BT_SLOTS];  /* the last quantum, included */
};

struct bt_wide {
    uint64_t start[BT_WIDE_ENTRIES];
    uint64_t last[BT_WIDE_ENTRIES];
};

struct bt_owners {
    uint64_t unused; /* bit s: owner[s] belongs to no entry */
    /* The slots are shifted by a load that begins a byte early: it must not have to wait for `unused`, just written. */
    uint8_t apart[8];
    uint8_t slot[BT_SLOTS]; /* entry i's owner is owner[slot[i]] */
    void *owner[BT_ENTRIES];
};

struct bt_leaf {
    _Alignas(KVA_LINE) union {
        struct bt_compact compact;
        struct bt_wide wide;
    };
    uint64_t base;                     /* what the compact form counts from; a multiple of the quantum */
    uint64_t deferred[KVA_EPOCHS_ALL]; /* bit i: entry i is parked in this epoch; in one at most */
    uint32_t count;
    bool is_wide;
    _Atomic uint32_t version; /* of the entries: bt_version.h */
};

struct bt_inner {
    _Alignas(KVA_LINE) uint64_t low[BT_CHILDREN];
    void *child[BT_CHILDREN];
    uint64_t deferred[KVA_EPOCHS_ALL]; /* bit i: something below child i is parked in this epoch */
    size_t count;
    /* On a line of its own: it changes all the time, and lookups without the lock read those above. */
    _Alignas(KVA_LINE) uint8_t size[BT_CHILDREN];       /* entries of a leaf, children of an inner node */
    _Alignas(KVA_LINE) uint64_t largest[][BT_CHILDREN]; /* by class; bytes, saturated at 2^64 - 1; 0: none */
};

/** What a parent knows of a child, apart from where it begins. */
struct bt_summary {
    uint64_t largest[BT_CLASSES];
    bool deferred[KVA_EPOCHS_ALL];
};

/** One step of a descent: which child of which node. */
struct bt_step {
    void *node;
    unsigned index;
};

/** The longest path: trees of 64-bit counts with at least 16 children a node, on average, are lower. */
enum { BT_PATH = 16 };

/** The way from the root to a leaf, and the addresses [low, high] that the leaf answers for. */
struct bt_path {
    void *leaf;
    uint64_t low;
    uint64_t high;
    struct bt_step step[BT_PATH]; /* step[0] is in the root */
};

/** The way to a place: its gap, and the hole there, which is stored nowhere. */
struct bt_cursor {
    struct bt_path path;
    unsigned gap; /* in the leaf at the end of the path */
    uint64_t hole_start;
    uint64_t hole_last;
};

struct bt_map {
    struct kva_address_map common; /* first: the engine's functions are handed a pointer to it */
    struct kva_nodes leaves;
    struct kva_nodes inners;
    void *root;
    unsigned height;        /* inner levels above the leaves */
    unsigned shift;         /* log2 of the quantum */
    _Atomic uint32_t shape; /* version of all but the leaves' entries: bt_version.h */
    unsigned classes;
    uint64_t align[BT_CLASSES];    /* ascending; align[0] is the quantum */
    unsigned char apart[KVA_LINE]; /* lookups without the lock read the lines above */
    struct bt_summary top;         /* of the root */
    struct bt_cursor found;        /* the place that was found last */
};

#endif
