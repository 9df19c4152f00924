/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Nodes of memory: two system calls, which the C library does not wrap. Their numbers and constants are part
 * of the kernel's interface and never change. Not every C library comes with <linux/mempolicy.h>.
 *
 * A kernel without NUMA returns ENOSYS, and many containers forbid the calls (EPERM). Then /sys lists the
 * nodes: usually one, and there is no choice.
 *
 * The only node may have any number, where node 0 has no memory, or the program may not use it. A request for
 * node 0 then means the only node. The kernel knows no node 0 then, so it is not called.
 */
#include "gnu.h"

#include "numa.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../src/base/arith.h"
#include "reader.h"

/** include/uapi/linux/mempolicy.h */
enum { DEFAULT = 0, PREFERRED = 1, BIND = 2, INTERLEAVE = 3 }; /* MPOL_... */
enum { MEMS_ALLOWED = 4 };                                     /* MPOL_F_MEMS_ALLOWED, a flag */

/** The kernel refuses to fill a mask that is shorter than its own, which has 1024 bits at most (NODES_SHIFT).
 *  It takes the number of bits plus one. */
enum { MASK_BITS = 1024, LONG_BITS = 8 * sizeof(unsigned long), MASK_LONGS = MASK_BITS / LONG_BITS };

static bool read_allowed(unsigned long *mask, uint64_t *calls)
{
    ++*calls;
    return syscall(SYS_get_mempolicy, NULL, mask, (unsigned long)MASK_BITS + 1, NULL,
                   (unsigned long)MEMS_ALLOWED) == 0;
}

/** Read a list of ranges of numbers, such as "0-1,3", into a mask. */
static void read_list(const char *path, unsigned long *mask)
{
    struct reader reader;
    uint64_t first;
    uint64_t last;

    if (!reader_open(&reader, path))
        return;
    while (reader_number(&reader, 10, &first)) {
        last = first;
        if (reader_take(&reader) == '-') {
            (void)reader_number(&reader, 10, &last);
            (void)reader_take(&reader);
        }
        for (uint64_t node = first; node <= last && node < MASK_BITS; node++)
            mask[node / LONG_BITS] |= 1UL << node % LONG_BITS;
    }
    reader_close(&reader);
}

void kva_port_ask_machine(struct machine *machine, uint64_t *calls)
{
    unsigned long mask[MASK_LONGS] = {0};
    unsigned count = 0;

    if (machine->was_asked)
        return;
    machine->can_choose = read_allowed(mask, calls);
    if (!machine->can_choose)
        read_list("/sys/devices/system/node/has_memory", mask);
    for (unsigned node = 0; node < MASK_BITS; node++) {
        bool is_there = (mask[node / LONG_BITS] >> node % LONG_BITS & 1) != 0;
        count += is_there;
        if (is_there && node < 64)
            machine->nodes |= UINT64_C(1) << node;
    }
    machine->has_several = count > 1;
    if (!machine->has_several && (machine->nodes & 1) == 0) {
        machine->can_choose = false;
        machine->nodes |= 1;
    }
    machine->was_asked = true;
}

int kva_port_set_nodes(void *at, size_t bytes, const struct kva_vm_nodes *nodes, uint64_t *calls)
{
    static const int modes[] = {DEFAULT, PREFERRED, BIND, INTERLEAVE}; /* by enum kva_vm_nodes_policy */
    unsigned long mask[64 / LONG_BITS];
    bool any = nodes->policy == KVA_VM_NODES_ANY;

    for (unsigned i = 0; i < 64 / LONG_BITS; i++)
        mask[i] = (unsigned long)(nodes->set >> i * (LONG_BITS % 64));
    ++*calls;
    if (syscall(SYS_mbind, at, (unsigned long)bytes, (long)modes[nodes->policy], any ? NULL : mask,
                any ? 0UL : 65UL, 0UL) == 0)
        return 0;
    return errno;
}
