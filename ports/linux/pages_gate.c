/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The gate: a userfaultfd that no thread reads. A thread that touches a held page waits in the kernel until a
 * UFFDIO_WAKE. Then it tries again, with the mapping of that moment.
 *
 *      stores  write protection of shared memory (Linux 6.1 on x86-64, 6.10 on ARM64). It also holds for
 *              pages that are not in the page tables: the kernel puts markers there
 *      loads   faults on pages that are in the file (MINOR) or are not (MISSING), once none is in the page
 *              tables
 *
 * A range is registered only while it is held, so that its mapping merges with its neighbours at all other
 * times. The kernel splits and merges mappings when a range is registered and unregistered.
 *
 * NEIGHBOURS that are registered alike become one mapping, as others do. To let go of a part of it would
 * split it, which takes a mapping; so a caller lets go of all of it (pages_move.c).
 *
 * A RANGE OF SEVERAL MAPPINGS, as an owner may make of a map, is registered mapping by mapping, so that a
 * refusal may leave a part of it registered. Before Linux 6.3 the kernel protects a single mapping only, and
 * such a range cannot be held.
 *
 * WITHOUT PRIVILEGE a userfaultfd holds threads in user mode only (UFFD_USER_MODE_ONLY): a system call that
 * touches such a page returns EFAULT.
 *
 * A CHILD OF FORK inherits the descriptor, and with it a gate that holds its parent's threads, not its own.
 * So the gate knows the process that opened it, by a word that a child reads as 0: in another namespace
 * process numbers may repeat.
 */
#include "gnu.h"

#include "pages_gate.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>

#include "system.h"
#include "uninterrupted.h"
#include "userfault.h"

/* ---------------------------------------------------------------------------------------- open and close */

static int gate_file(const struct gate *gate)
{
    return (int)gate->file - 1;
}

void kva_port_gate_close(struct gate *gate)
{
    if (gate->file != 0)
        (void)close(gate_file(gate));
    gate->file = 0;
}

/** An ioctl. C libraries disagree on the type of its second argument. */
static bool control(int file, unsigned long request, void *argument)
{
    return syscall(SYS_ioctl, (long)file, request, argument) == 0;
}

/** A new userfaultfd; negative if the system refuses it, or lacks it. */
static int new_file(uint64_t *calls)
{
#ifdef SYS_userfaultfd
    ++*calls;
    return (int)syscall(SYS_userfaultfd, (long)O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
#else
    (void)calls;
    errno = ENOSYS;
    return -1;
#endif
}

/** Whether a userfaultfd has all that is needed here. Some kernels accept a request for features that they
 *  lack, but none reports them. */
static bool can_hold(int file, uint64_t *calls)
{
    const uint64_t features =
        UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_MISSING_SHMEM;
    struct uffdio_api api = {.api = UFFD_API, .features = features};

    ++*calls;
    errno = ENOSYS; /* for a kernel that lacks a feature and does not fail */
    return control(file, UFFDIO_API, &api) && (api.features & features) == features;
}

/** Whether a refused call may be granted later: the program has too many files, or the system no memory. */
static bool is_passing(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == EAGAIN || error == EINTR;
}

static void open_file(struct gate *gate, uint64_t *calls)
{
    int file = new_file(calls);

    if (file >= 0 && can_hold(file, calls)) {
        gate->file = (uint64_t)file + 1;
        return;
    }
    gate->refused = !is_passing(errno);
    if (file >= 0)
        (void)close(file);
}

enum kva_status kva_port_gate_open(struct gate *gate, uint64_t *calls)
{
    uint64_t process = (uint64_t)getpid();

    if (*gate->owner != process) {
        kva_port_gate_close(gate); /* the parent's */
        gate->refused = false;
        *gate->owner = process;
    }
    if (gate->file == 0 && !gate->refused)
        open_file(gate, calls);
    if (gate->file != 0)
        return KVA_OK;
    return gate->refused ? KVA_ENOENT : KVA_ENOMEM;
}

/* ------------------------------------------------------------------------------------------ hold and wake */

/** Repeat a call while the kernel puts it off, which it does while the mappings of the process change. The
 *  bound is for a broken kernel. */
static bool ask_kernel(const struct gate *gate, unsigned long request, void *argument, uint64_t *calls)
{
    const unsigned most = 1000;

    for (unsigned tries = 0; tries < most; tries++) {
        ++*calls;
        if (control(gate_file(gate), request, argument))
            return true;
        if (errno != EAGAIN && errno != EINTR)
            return false;
        (void)sched_yield();
    }
    return false;
}

/** Repeat a call until it is granted. False: it never will be. */
static bool insist(const struct gate *gate, unsigned long request, void *argument, uint64_t *calls)
{
    for (unsigned tries = 0;; tries++) {
        ++*calls;
        if (control(gate_file(gate), request, argument))
            return true;
        if (!is_passing(errno))
            return false;
        wait_to_try_again(tries);
    }
}

static struct uffdio_range range_of(struct gated range)
{
    return (struct uffdio_range){range.start, range.bytes};
}

static bool register_range(const struct gate *gate, struct gated range, uint64_t modes, uint64_t *calls)
{
    struct uffdio_register entry = {.range = range_of(range), .mode = modes};

    return ask_kernel(gate, UFFDIO_REGISTER, &entry, calls);
}

/** The kernel checks all of a range before it registers any: after EINVAL or EBUSY nothing is held. */
bool kva_port_hold_stores(const struct gate *gate, struct gated range, bool *touched, uint64_t *calls)
{
    struct uffdio_writeprotect change = {range_of(range), UFFDIO_WRITEPROTECT_MODE_WP};

    *touched = true;
    if (register_range(gate, range, UFFDIO_REGISTER_MODE_WP, calls))
        return ask_kernel(gate, UFFDIO_WRITEPROTECT, &change, calls);
    *touched = errno != EINVAL && errno != EBUSY;
    return false;
}

/** The page tables are emptied after the range is registered, so that every later load is a fault. In a
 *  registered range a fault maps no pages around its own. */
bool kva_port_hold_loads(const struct gate *gate, struct gated range, uint64_t *calls)
{
    const uint64_t modes =
        UFFDIO_REGISTER_MODE_WP | UFFDIO_REGISTER_MODE_MINOR | UFFDIO_REGISTER_MODE_MISSING;

    return register_range(gate, range, modes, calls) &&
           discard_memory((void *)(uintptr_t)range.start, (size_t)range.bytes, calls);
}

bool kva_port_wake(const struct gate *gate, struct gated range, uint64_t *calls)
{
    struct uffdio_range woken = range_of(range);

    return insist(gate, UFFDIO_WAKE, &woken, calls);
}

/** Unregistering also removes the protection, and wakes on some kernels. */
bool kva_port_let_go(const struct gate *gate, struct gated range, uint64_t *calls)
{
    struct uffdio_range left = range_of(range);

    return insist(gate, UFFDIO_UNREGISTER, &left, calls) && kva_port_wake(gate, range, calls);
}
