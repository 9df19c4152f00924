/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The mappings of the process, one by one, as /proc/self/maps and /proc/self/smaps list them. This uses
 * neither the heap nor stdio: only a file descriptor, and a buffer on the caller's stack.
 */
#ifndef KVA_PORTS_LINUX_MAPS_H
#define KVA_PORTS_LINUX_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reader.h"

/** Attributes of a mapping besides its protection, from madvise, mlock, userfaultfd, mseal and others. */
enum kva_attribute {
    KVA_ATTRIBUTE_LOCKED = 1,
    KVA_ATTRIBUTE_HUGE = 2, /* MADV_HUGEPAGE */
    KVA_ATTRIBUTE_MERGEABLE = 4,
    KVA_ATTRIBUTE_OTHER = 8, /* any other that a fresh mapping does not have */
    KVA_ATTRIBUTE_OWN = 16   /* not inherited by a child of fork: MADV_DONTFORK */
};

struct kva_mapping {
    uint64_t start;
    uint64_t end; /* after the last byte */
    bool readable;
    bool writable;
    bool executable;
    bool shared;
    unsigned major; /* of the file's device */
    unsigned minor;
    uint64_t inode;      /* of the file; 0: none */
    unsigned attributes; /* enum kva_attribute; 0 where the list does not have them */
};

struct kva_maps {
    struct reader reader;
    bool with_attributes;
};

/** Begin with the first mapping, with attributes, or without, which takes far less time. False if there is no
 *  such file, or no descriptor. */
bool kva_maps_open(struct kva_maps *maps, bool with_attributes);

/** The next mapping, in the order of addresses; false after the last one. */
bool kva_maps_next(struct kva_maps *maps, struct kva_mapping *mapping);

void kva_maps_close(struct kva_maps *maps);

/** How many mappings the process has; 0 if that cannot be read. */
uint64_t kva_maps_count(void);

#endif
