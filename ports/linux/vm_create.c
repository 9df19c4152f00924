/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Instances of vmap with a hosted program's memory, pages, CPUs and symbols. */
#include "gnu.h"

#include <kva/threads.h>
#include <kva/vm.h>

#include <dlfcn.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../src/base/text.h"
#include "../port.h"
#include "system.h"

uint64_t kva_port_random(void)
{
    uint64_t bits = 0;

    /* The system call: the C library may keep a state for each thread, and take memory for it. */
    if (syscall(SYS_getrandom, &bits, sizeof bits, GRND_NONBLOCK) == (long)sizeof bits)
        return bits;
    /* Early after the start of the machine: the 16 random bytes that the kernel gives each program. */
    const void *given = (const void *)getauxval(AT_RANDOM);
    if (given)
        memcpy(&bits, given, sizeof bits);
    return bits;
}

/** The last part of a path. */
static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

size_t kva_port_symbol(void *context, const void *address, char *text, size_t bytes)
{
    Dl_info info;

    (void)context;
    if (bytes == 0 || dladdr(address, &info) == 0)
        return 0;
    bool has_name = info.dli_sname && info.dli_saddr;
    uintptr_t from = (uintptr_t)(has_name ? info.dli_saddr : info.dli_fbase);
    struct kva_text name = text_of(text, bytes);
    text_put(&name, has_name ? info.dli_sname : base_name(info.dli_fname ? info.dli_fname : "?"));
    text_put(&name, "+");
    text_put_hex(&name, (uintptr_t)address - from, 1);
    return name.length;
}

/**
 * Memory for bookkeeping. Blocks of 64 KiB or more return to the system as soon as they are given back:
 * kva_vm_purge gives back what an instance no longer needs, and malloc would keep it. They are mapped here,
 * or, if they are whole huge pages, by kva_memory_host. Smaller ones come from malloc.
 */
static const size_t least_mapped = (size_t)64 << 10;

static bool is_mapped_here(size_t bytes)
{
    return bytes >= least_mapped && bytes % HOST_HUGE_BYTES != 0;
}

static void *take_bookkeeping(void *context, size_t bytes)
{
    const struct kva_memory host = kva_memory_host();

    (void)context;
    if (!is_mapped_here(bytes))
        return host.take(host.context, bytes);
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return block == MAP_FAILED ? NULL : block;
}

static void give_bookkeeping(void *context, void *block, size_t bytes)
{
    const struct kva_memory host = kva_memory_host();

    (void)context;
    if (is_mapped_here(bytes))
        (void)munmap(block, bytes);
    else
        host.give(host.context, block, bytes);
}

enum kva_status kva_vm_create(const struct kva_vm_config *config, struct kva_vm **vm)
{
    static const struct kva_vm_config usual;
    struct kva_vm_config hosted = config ? *config : usual;
    bool is_below = hosted.memory.take || hosted.memory.give; /* perhaps the program's malloc uses it */

    if (!is_below)
        hosted.memory = (struct kva_memory){take_bookkeeping, give_bookkeeping, NULL};
    if (!hosted.pages.reserve && hosted.pages.page == 0)
        hosted.pages = kva_pages_host(KVA_MECHANISM_BEST);
    if (!hosted.symbol && !is_below) /* dladdr takes a lock under which the dynamic linker calls malloc */
        hosted.symbol = kva_port_symbol;
    if (!hosted.on_corruption)
        hosted.on_corruption = kva_corruption_host;
    hosted.engine = kva_port_engine(hosted.engine);
    if (hosted.cpus == 0)
        hosted.cpus = kva_port_cpus();
    if (!hosted.threads)
        hosted.threads = kva_threads_host();
    if (hosted.hardened && hosted.seed == 0)
        hosted.seed = kva_port_random();
    return kva_vm_create_from(&hosted, vm);
}
