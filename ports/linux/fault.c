/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The fault reporter: it describes a SIGSEGV or SIGBUS in an instance's reservation on standard error, and
 * then lets the signal take its usual way.
 *
 *      fault --> on_fault --an instance on the list--> a sentence on standard error
 *                   |
 *                   +-- an earlier handler ------> it is called, and decides
 *                   +-- the default action ------> it is restored. The access is repeated when the handler
 *                                                  returns, and then kills the program, with the address and
 *                                                  the core that it would have had
 *
 * The handler takes neither lock nor memory, so the list is an array of atomic pointers. Only one thread at a
 * time may change the list.
 */
#include "gnu.h"

#include <kva/report.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__aarch64__)
#include <asm/sigcontext.h>
#endif

enum { MOST_INSTANCES = 64 };

static struct kva_vm *_Atomic instances[MOST_INSTANCES];
static size_t installed; /* of these */

/** The signals, and their earlier actions. A signal stays ours if another handler was set after it, because
 *  that one may call ours. */
static struct signal {
    int number;
    bool ours;
    struct sigaction earlier;
} signals[] = {{.number = SIGSEGV}, {.number = SIGBUS}};

enum { SIGNALS = sizeof signals / sizeof signals[0] };

/* -------------------------------------------------------------------------------------------- the handler */

#if defined(__x86_64__) || defined(__i386__)

/** Bit 1 of the error code of a page fault is set for a write (Intel SDM, volume 3, "Page-Fault
 *  Exception"). */
static bool was_write(const ucontext_t *context)
{
    const int page_fault = 14;

    return context->uc_mcontext.gregs[REG_TRAPNO] == page_fault &&
           (context->uc_mcontext.gregs[REG_ERR] & 2) != 0;
}

#elif defined(__aarch64__)

/** The exception's syndrome is in one of the records after the registers. For a data abort from user mode
 *  (class 0x24), bit 6 is set for a write (Arm ARM, ESR_EL1). */
static bool was_write(const ucontext_t *context)
{
    const unsigned char *at = context->uc_mcontext.__reserved;
    const unsigned char *end = at + sizeof context->uc_mcontext.__reserved;
    const uint64_t data_abort = 0x24;
    struct _aarch64_ctx head;
    struct esr_context record;

    while ((size_t)(end - at) >= sizeof record) {
        memcpy(&head, at, sizeof head);
        if (head.magic == ESR_MAGIC) {
            memcpy(&record, at, sizeof record);
            return record.esr >> 26 == data_abort && (record.esr >> 6 & 1) != 0;
        }
        if (head.magic == 0 || head.size > (size_t)(end - at))
            break;
        at += head.size;
    }
    return false;
}

#else

static bool was_write(const ucontext_t *context)
{
    (void)context;
    return false;
}

#endif

/** Write the description by the first instance that knows the address. */
static void report(const void *address, bool write_fault)
{
    char text[512];

    for (size_t i = 0; i < MOST_INSTANCES; i++) {
        const struct kva_vm *vm = atomic_load_explicit(&instances[i], memory_order_acquire);
        size_t length = vm ? kva_vm_fault_describe(vm, address, write_fault, text, sizeof text - 1) : 0;
        if (length == 0)
            continue;
        text[length] = '\n';
        ssize_t written = write(STDERR_FILENO, text, length + 1);
        (void)written; /* a failure cannot be reported */
        return;
    }
}

/** Let the signal have its earlier effect. A fault recurs when the access is repeated. A signal that was sent
 *  is sent again, and arrives when this handler returns. */
static void take_usual_way(struct signal *signal, siginfo_t *info)
{
    bool was_sent = info->si_code <= 0;

    if (was_sent && signal->earlier.sa_handler == SIG_IGN)
        return;
    (void)sigaction(signal->number, &signal->earlier, NULL);
    signal->ours = false;
    if (was_sent)
        (void)raise(signal->number);
}

static void hand_on(struct signal *signal, siginfo_t *info, void *context)
{
    const struct sigaction earlier = signal->earlier;
    bool is_function =
        (earlier.sa_flags & SA_SIGINFO) || (earlier.sa_handler != SIG_DFL && earlier.sa_handler != SIG_IGN);

    if (is_function && (earlier.sa_flags & (int)SA_RESETHAND) != 0)
        signal->earlier = (struct sigaction){.sa_handler = SIG_DFL};
    if (!is_function)
        take_usual_way(signal, info);
    else if (earlier.sa_flags & SA_SIGINFO)
        earlier.sa_sigaction(signal->number, info, context);
    else
        earlier.sa_handler(signal->number);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    int error = errno;

    if (info->si_code > 0) /* from the kernel: a signal that was sent has no address */
        report(info->si_addr, was_write(context));
    errno = error;
    hand_on(number == SIGBUS ? &signals[1] : &signals[0], info, context);
}

/* ----------------------------------------------------------------------------------------------- the list */

/** Set our handler, with the mask and the flags of the earlier one, which it calls. */
static bool take_signal(struct signal *signal)
{
    struct sigaction action;

    if (signal->ours)
        return true;
    if (sigaction(signal->number, NULL, &signal->earlier) != 0)
        return false;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_fault;
    action.sa_mask = signal->earlier.sa_mask;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | (signal->earlier.sa_flags & (SA_NODEFER | SA_RESTART));
    signal->ours = sigaction(signal->number, &action, NULL) == 0;
    return signal->ours;
}

/** Restore the earlier action, unless another handler was set meanwhile. */
static void give_signal(struct signal *signal)
{
    struct sigaction now;

    if (!signal->ours || sigaction(signal->number, NULL, &now) != 0)
        return;
    if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_fault)
        signal->ours = sigaction(signal->number, &signal->earlier, NULL) != 0;
}

static bool take_signals(void)
{
    for (size_t i = 0; i < SIGNALS; i++) {
        if (take_signal(&signals[i]))
            continue;
        while (i-- > 0)
            give_signal(&signals[i]);
        return false;
    }
    return true;
}

/** An instance's place on the list; for NULL the first empty one; MOST_INSTANCES if there is none. */
static size_t find_instance(const struct kva_vm *vm)
{
    size_t i = 0;

    while (i < MOST_INSTANCES && atomic_load_explicit(&instances[i], memory_order_relaxed) != vm)
        i++;
    return i;
}

enum kva_status kva_fault_reporter_add(struct kva_vm *vm)
{
    size_t place = find_instance(NULL);

    if (!vm)
        return KVA_ENULL;
    if (find_instance(vm) < MOST_INSTANCES)
        return KVA_EEXIST;
    if (place == MOST_INSTANCES)
        return KVA_ENOSPC;
    if (!take_signals())
        return KVA_ENOMEM;
    atomic_store_explicit(&instances[place], vm, memory_order_release);
    installed++;
    return KVA_OK;
}

enum kva_status kva_fault_reporter_remove(struct kva_vm *vm)
{
    if (!vm)
        return KVA_ENULL;
    size_t place = find_instance(vm);
    if (place == MOST_INSTANCES)
        return KVA_ENOENT;
    atomic_store_explicit(&instances[place], NULL, memory_order_release);
    installed--;
    for (size_t i = 0; i < SIGNALS && installed == 0; i++)
        give_signal(&signals[i]);
    return KVA_OK;
}
