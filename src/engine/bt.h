/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The data of the bt engine: a B+tree of the ranges in use. Holes are not stored: a hole is the gap between
 * two neighbouring entries.
 *
 * LEAF: 7 cache lines, or 14 if the space keeps owners. It has up to 47 entries in order, in one of two
 * forms. The compact form counts quanta from `base`. The wide form holds addresses, and half as many entries,
 * for ranges too far apart for the compact form.
 *
 *      compact   | start[48] 32 bits | last[48] 32 bits | base deferred[3] count wide version | owners
 *      wide      | start[24] 64 bits | last[24] 64 bits | base deferred[3] count wide version | owners
 *
 *   48 places are 3 vectors of 16 lanes, 6 of 8 or 12 of 4, and 3 lines. One place stays empty, so a full
 *   leaf and one more entry make two halves of 24, which fit the wide form: a split needs one new leaf and
 *   always succeeds.
 *
 * OWNERS do not move with the entries of a leaf. The owner of entry i is owner[slot[i]]; only slots move.
 *
 *      | unused | 8 bytes apart | slot[48] 8 bits | owner[47] |
 *
 * BOUNDS. Each leaf covers the addresses [low, high]. For every leaf but the first, low is the start of its
 * first entry. So the hole AFTER an entry, up to the start of the next leaf, belongs to the leaf of that
 * entry, and no hole is divided between two leaves.
 *
 *          leaf 0                               leaf 1                       leaf 2
 *      |...|=A=|....|==B==|.........|       |=C=|..|=D=|........|        |=E=|.......|
 *      first                                low                          low         last
 *
 *   Gap g of a leaf with n entries is the hole before entry g, possibly of 0 bytes; gap n is the one after
 *   the last entry. Only the first leaf can have bytes in its gap 0.
 *
 * INNER NODE: up to 64 children. Each property of the children has an array of its own, so a search reads
 * only the lines that it compares.
 *
 *      | low[64] | child[64] | deferred[3] count | size[64] | largest[64] | largest for class 1 [64] | ...
 *        first     the node                        entries    largest hole  longest aligned run
 *        address                                   or nodes   below         below
 *
 * docs/theory/bt.md draws the nodes to scale, and each operation on an example.
 *
 * SOURCE. B-trees: R. Bayer and E. McCreight, 1972; B+trees: D. Comer, 1979; prefetched nodes of several
 * lines: S. Chen, P. Gibbons and T. Mowry, 2001. docs/theory/bt.md has the titles and the differences. The
 * maximum cached for each subtree is that of rb.c.
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
    /** Places that a merge, or a division between neighbours, leaves free in a leaf. */
    BT_SPARE = (BT_ENTRIES + 15) / 16,
    /** Leaves that hold at most this many entries together are merged. */
    BT_MERGE_ENTRIES = BT_ENTRIES - BT_SPARE,
    BT_CLASSES = 1 + KVA_ALIGN_CLASSES, /* class 0 is the quantum */
    /** Inner nodes that hold at most this many children together are merged. The rest is room before a
     *  split. */
    BT_MERGE_CHILDREN = BT_CHILDREN * 3 / 4,
};
_Static_assert(BT_ENTRIES < 64 && BT_CHILDREN <= 64, "one bit of a 64-bit word for each entry and child");
_Static_assert(BT_ENTRIES % 2 == 1, "a full leaf and one more entry make two equal halves");

struct bt_compact {
    uint32_t start[BT_SLOTS]; /* the first quantum, counted from base */
    uint32_t last[BT_SLOTS];  /* the last quantum, counted from base */
};

struct bt_wide {
    uint64_t start[BT_WIDE_ENTRIES];
    uint64_t last[BT_WIDE_ENTRIES];
};

struct bt_owners {
    uint64_t unused; /* bit s: owner[s] belongs to no entry */
    /** The load that shifts the slots starts one byte early; it must not overlap `unused`, which was just
     *  written. */
    uint8_t apart[8];
    uint8_t slot[BT_SLOTS]; /* entry i's owner is owner[slot[i]] */
    void *owner[BT_ENTRIES];
};

struct bt_leaf {
    _Alignas(KVA_LINE) union {
        struct bt_compact compact;
        struct bt_wide wide;
    };
    uint64_t base;                     /* of the compact form; a multiple of the quantum */
    uint64_t deferred[KVA_EPOCHS_ALL]; /* bit i: entry i belongs to this epoch; at most one epoch has it */
    uint32_t count;
    bool is_wide;
    _Atomic uint32_t version; /* of the entries; bt_version.h */
};

struct bt_inner {
    _Alignas(KVA_LINE) uint64_t low[BT_CHILDREN];
    void *child[BT_CHILDREN];
    uint64_t deferred[KVA_EPOCHS_ALL]; /* bit i: an entry below child i belongs to this epoch */
    size_t count;
    /** The child's entries or children. On a line of its own, because it changes with nearly every
     *  operation, and lookups without the lock read the lines above. */
    _Alignas(KVA_LINE) uint8_t size[BT_CHILDREN];
    _Alignas(KVA_LINE) uint64_t largest[][BT_CHILDREN]; /* by class; bytes, saturated at 2^64 - 1; 0: none */
};

/** What a parent caches of a child, besides its first address and its size. */
struct bt_summary {
    uint64_t largest[BT_CLASSES];
    bool deferred[KVA_EPOCHS_ALL];
};

/** One step of a descent: a node and the index of a child. */
struct bt_step {
    void *node;
    unsigned index;
};

/** The longest path: a tree of fewer than 2^64 entries with 16 children a node on average is lower. */
enum { BT_PATH = 16 };

/** The path from the root to a leaf, and the addresses [low, high] that the leaf covers. */
struct bt_path {
    void *leaf;
    uint64_t low;
    uint64_t high;
    struct bt_step step[BT_PATH]; /* step[0] is in the root */
};

/** The path to a place, its gap, and the hole there. */
struct bt_cursor {
    struct bt_path path;
    unsigned gap; /* in the leaf at the end of the path */
    uint64_t hole_start;
    uint64_t hole_last;
};

struct bt_map {
    struct kva_address_map common; /* first: the engine's functions receive a pointer to it */
    struct kva_nodes leaves;
    struct kva_nodes inners;
    void *root;
    unsigned height;        /* inner levels above the leaves */
    unsigned shift;         /* log2 of the quantum */
    _Atomic uint32_t shape; /* the version of all but the leaves' entries; bt_version.h */
    unsigned classes;
    uint64_t align[BT_CLASSES];    /* ascending; align[0] is the quantum */
    unsigned char apart[KVA_LINE]; /* lookups without the lock read the lines above */
    struct bt_summary top;         /* of the root */
    struct bt_cursor found;        /* the place found last */
};

#endif
