/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva: address ranges, handed out the way the best kernels do.
 *
 * A SPACE tiles the addresses [first, last] with SEGMENTS. Each segment is free, busy, or deferred
 * (given back, but not yet reusable):
 *
 *      first                                                                    last
 *      | busy A | free          | busy B | deferred | free | busy C |    free       |
 *      0x1000   0x3000          0x9000   0xa000     0xb000 0xc000   0xd000
 *
 * A REQUEST is a size, an alignment, a window [min, max], a policy and an owner. The answer is unique:
 *
 *      lowest    the smallest address a with a % align == 0, min <= a, a + size - 1 <= max, and
 *                [a, a + size - 1] wholly free
 *      highest   the largest such a
 *
 * so every engine gives the same addresses for the same calls, and KVA_ENOSPC is said only when no such
 * a exists. The addresses themselves are never touched: all bookkeeping lives in node memory that the
 * caller supplies. They may stand for anything: virtual or physical memory, I/O addresses, a file, sectors.
 *
 * CONVENTIONS
 *   Arguments   The object first, then inputs, then outputs.
 *   Units       Addresses, sizes and alignments are in address units ("bytes" below, whatever they stand
 *               for), 64 bits wide on every host. Ranges are inclusive: [start, last]. A space may begin
 *               at 0 and end at 2^64 - 1; address 0 is an ordinary answer.
 *   Quantum     Every segment starts on a multiple of the space's quantum and is a multiple of it long.
 *               Sizes are rounded UP to the quantum; alignments below it count as the quantum.
 *   Outputs     Are written only when the function returns KVA_OK, unless its block says otherwise.
 *   Failure     Whatever the status, if it is not KVA_OK then no segment has changed, unless the block
 *               says otherwise. "Nothing" in a Failure row means: the space is as it was, byte for byte.
 *   n           In a Cost row: the number of segments. Costs are those of the rb and bt engines; the scan
 *               engine takes O(n) wherever they say O(log n).
 *   Locking     A space that is made with kva_config.threads, as kva_space_create does by itself, locks for itself: any
 *               thread may call at any time. One that is made without takes no lock, and pays nothing for it: one thread at
 *               a time may use it. Different spaces are independent. In a Locking row,
 *                 Space   with threads, takes the space's lock and drops it before it returns; without, the caller
 *                         serializes the call with every other one on the same space;
 *                 Query   as Space; without threads, it may also run beside other Query calls;
 *                 Sole    with threads or without, no other call on the same space may run;
 *                 None    needs nothing.
 *               Flush and reclaim callbacks run without the space's lock. A space's memory source and hooks are called with
 *               it, by one thread at a time.
 *   Errors      Three classes. The environment's (no space, no memory) are a status. The caller's bugs
 *               (from KVA_ENULL on) are a status, and are reported to the misuse hook if there is one to be
 *               had (not where the space itself is NULL or not initialised), with the name of the argument or field
 *               that is bad. Corruption is reported to the corruption hook, which by default stops the program.
 *   Zero        In a request and in a configuration, a field may be left at 0 where its comment says what 0 stands for.
 *               So `(struct kva_request){.size = 4096}` is a whole request.
 */
#ifndef KVA_KVA_H
#define KVA_KVA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kva/export.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KVA_VERSION_MAJOR 0
#define KVA_VERSION_MINOR 1
#define KVA_VERSION_PATCH 0

/* ------------------------------------------------------------------------------------------- status */

/** What a call answers. The numbers are stable; new ones are added at the end of their class. */
enum kva_status {
    KVA_OK = 0,

    /* The environment's: ordinary answers that a correct program must expect. */
    KVA_ENOSPC = 1, /* no free range satisfies the request */
    KVA_ENOMEM = 2, /* no memory: for the operation's bookkeeping, or (kva/vm.h) from the system */
    KVA_EEXIST = 3, /* the range asked for is not wholly free */
    KVA_ENOENT = 4, /* no such segment, engine or callback */
    KVA_EBUSY = 5,  /* something of it is still in use: it lives on, and nothing has changed */
    KVA_ELIMIT = 6, /* a limit of the system on mappings (kva/vm.h; Linux: vm.max_map_count) */

    /* The caller's bugs: reported to the misuse hook as well. */
    KVA_ENULL = 32,     /* a required pointer is NULL, or the space is not initialised */
    KVA_EINVAL = 33,    /* a field holds a value that is none of its kind */
    KVA_ESIZE = 34,     /* a size of 0 */
    KVA_EALIGN = 35,    /* an alignment that is no power of two, nor 0; an address that misses the quantum */
    KVA_EWRAP = 36,     /* a size, rounded up, or a range's end would pass 2^64 - 1 */
    KVA_EWINDOW = 37,   /* a window with min > max, or wholly outside the space */
    KVA_ERANGE = 38,    /* a range that reaches outside the space or outside its segment */
    KVA_EUNKNOWN = 39,  /* free: the address lies outside the space */
    KVA_EINTERIOR = 40, /* free: the address lies inside a busy segment, not at its start */
    KVA_EDOUBLE = 41,   /* free: the address is free already */
    KVA_EDEFERRED = 42, /* free: the address was given back already and waits for a flush */
    KVA_EREENTRY = 43,  /* a call that a callback of the space must not make */

    /* Corruption. */
    KVA_ECORRUPT = 64 /* a broken invariant: memory was overwritten, or kva has a bug */
};

/** Name a status.
 *
 *  In:      status  any value
 *  Returns: "KVA_ENOSPC" and so on; "KVA_E?" for a value that is no status. Never NULL
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API const char *kva_status_name(enum kva_status status);

/** Say in a few words what a status means, for an error message.
 *
 *  In:      status  any value
 *  Returns: "no free range satisfies the request" and so on. Never NULL
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API const char *kva_status_text(enum kva_status status);

/** What went wrong, where: handed to the hooks, and filled in by kva_space_check. */
struct kva_fault {
    enum kva_status status; /* a caller's bug, or KVA_ECORRUPT */
    const char *where;      /* the function that found it */
    const char *what;       /* the status in words, or the invariant: "I3: two adjacent free segments" */
    uint64_t address;       /* the address in question; 0 where there is none */
    /** A caller's bug: the argument, or the field of the request or of the configuration, that has the bad value: "align",
     *  "busy[i].start". NULL where no single value is bad, but what the address holds, or when the call was made */
    const char *field;
    size_t index; /* the i of such a field; else 0 */
};

/** A hook: called with the fault before the call that found it returns. It must not call back into the space.
 *  A misuse hook may print, count or stop the program. A corruption hook must not return: kva would go on, on a
 *  structure that is known to be broken. (A test may let it return, to read what was found, and then drop the
 *  space.) */
typedef void kva_hook(void *context, const struct kva_fault *fault);

/* ------------------------------------------------------------------------------------------- memory */

/** Where a space takes the memory for its nodes. The caller supplies one; every call gets `context`.
 *
 *  take   returns `bytes` bytes aligned for any object (max_align_t), or NULL when there are none. `bytes`
 *         is any number. The rb and bt engines ask for some hundred bytes once, then rarely, for chunks that grow from
 *         4 KiB to 2 MiB, and ask again for less when they are refused; the scan engine for arrays that double.
 *  give   takes back one block that take returned, with the same `bytes`.
 *
 *  Neither may call back into the space. Memory is given back when the space ends (or its init fails), last
 *  taken first, and not before; but for what a refused kva_preload took, and arrays that scan has outgrown. */
struct kva_memory {
    void *(*take)(void *context, size_t bytes);
    void (*give)(void *context, void *block, size_t bytes);
    void *context;
};

/** A fixed block of memory that serves as a kva_memory: for kernels and programs without a heap. */
struct kva_arena {
    unsigned char *next; /* private */
    size_t left;         /* private */
};

/** Make a memory source out of a fixed block, for one space after the other. It reuses what is given back if
 *  that was taken last: so all of it once a space has ended, but nothing of what two spaces took by turns, and no
 *  array that the scan engine has outgrown.
 *
 *  In:      block   at least `bytes` bytes, any alignment; must outlive every space that draws on it. NULL
 *                   makes a source that always refuses
 *           bytes   any number; the rb engine wants 64 bytes a segment and 4 KiB to begin with
 *  Out:     arena   the state behind the source; must outlive it, too
 *  Returns: the source, to be put in kva_config.memory. With a NULL arena, a source without functions,
 *           which kva_space_init refuses with KVA_ENULL
 *  Cost:    O(1)
 *  Locking: None; spaces that share an arena are one space as far as locking goes
 *  Failure: cannot fail
 */
KVA_API struct kva_memory kva_arena_init(struct kva_arena *arena, void *block, size_t bytes);

/* ------------------------------------------------------------------------------------------ threads */

/** What a space needs of its surroundings to serve many threads: how to wait, and who and where the caller is. Each call
 *  gets `context`; all may run on any number of threads at once.
 *
 *  wait   returns when *word may differ from `value`; may return early, and must not miss a wake: it looks at the
 *         word and goes to sleep in one step, as a futex does. Where there is nothing to sleep on (bare metal), a
 *         few pause instructions and a return serve: the caller looks again.
 *  wake   wakes one thread that waits on the word, or all of them. With a wait that returns by itself: nothing.
 *  cpu    a number that is likely that of the CPU that the caller runs on. Any number will do: CPUs need not be numbered
 *         densely, and the thread may have moved by the time it is used
 *  self   an identity of the calling thread, not 0, and no other live thread's
 *  point  NULL, or called wherever another thread could be affected: before a lock is taken, behind one that is dropped, at
 *         each atomic step. It may wait, but not call the space. For tests, which hang schedulers here
 *  alone  NULL, or a flag of the host's that is not 0 while the process has but one thread: locks are then taken by plain
 *         steps, which cost a fraction of atomic ones
 *  cpus   how many CPUs are worth a pool each; 0 stands for kva_config.cpus. Numbers from `cpu` are taken modulo this */
struct kva_threads {
    void (*wait)(void *context, const uint32_t *word, uint32_t value);
    void (*wake)(void *context, const uint32_t *word, bool all);
    unsigned (*cpu)(void *context);
    uintptr_t (*self)(void *context);
    void (*point)(void *context);
    const char *alone;
    unsigned cpus;
    void *context;
};

/** Hosted builds: the host's threads, for kva_config.threads. On Linux futexes, and the CPU's number where restartable
 *  sequences leave it (glibc 2.35), or else by a call.
 *
 *  Returns: the table, which lives for ever and may be shared by any number of spaces
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API const struct kva_threads *kva_threads_host(void);

/* ------------------------------------------------------------------------------------------ engines */

/** An engine: how a space finds and keeps its segments. All keep one contract and give the same answers;
 *  they differ in speed, in memory, and in how easy they are to read. */
struct kva_engine;

/** Free ranges in an augmented red-black tree and an address-ordered list, busy ones in a second tree: the
 *  design that Linux took up in 2019 for vmalloc ("keep track of free blocks for vmap allocation"), made
 *  exact under alignment and windows. O(log n). 64 bytes a segment. The one for a kernel: small code, little stack. */
KVA_API extern const struct kva_engine kva_engine_rb;

/** One sorted array, searched linearly: the oracle that the others are tested against, and the version to
 *  read first. O(n). 24 to 48 bytes a segment. */
KVA_API extern const struct kva_engine kva_engine_scan;

/** One B+tree of the ranges in use, laid out for the cache; a hole is what lies between two of them. O(log n) with few
 *  misses; 14 bytes a live range, 29 with owners. Two to eight times as fast as rb. In hosted builds it uses the best vector
 *  instructions that the machine has. Where a leaf is divided or merged, it takes up to 6 KiB of the stack. */
KVA_API extern const struct kva_engine kva_engine_bt;

/** The bt engine in one of its forms.
 *
 *  In:      instructions   the vector instructions that it uses: "scalar" (none), "avx2", "avx512" or "neon"
 *  Returns: the engine; NULL when this build has no such form, this machine cannot run it, or instructions is NULL
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API const struct kva_engine *kva_engine_bt_form(const char *instructions);

/** Hosted builds: the engine of a program that names none. kva_space_create and kva_vm_create take it where they are given
 *  none, or kva_engine_bt.
 *
 *  Returns: kva_engine_bt; or the form of it that the environment variable KVA_SIMD asks for ("scalar", or "avx2"), if
 *           this machine can run that
 *  Cost:    O(1)
 *  Locking: None; it reads the environment
 *  Failure: cannot fail
 */
KVA_API const struct kva_engine *kva_engine_host(void);

/** Find an engine by its name. A program that calls this, or kva_engine_name, links all engines; one that names its engine by
 *  symbol links that one alone (and bt, if it calls kva_space_create or kva_vm_create).
 *
 *  In:      name    "rb", "bt" or "scan"; or one form of bt that this machine can run: "bt-scalar", "bt-avx2",
 *                   "bt-avx512", "bt-neon"
 *  Returns: the engine, or NULL when there is none of that name
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API const struct kva_engine *kva_engine_by_name(const char *name);

/** Enumerate the engines in this build, the one for most programs first: bt in hosted builds, rb in freestanding ones.
 *
 *  In:      index   0 for the first, and so on
 *  Returns: the engine's name, or NULL past the last
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API const char *kva_engine_name(size_t index);

/* ------------------------------------------------------------------------------------ words of a call */

enum kva_state {
    KVA_FREE = 0,     /* may be handed out */
    KVA_BUSY = 1,     /* handed out */
    KVA_DEFERRED = 2, /* given back with kva_free_deferred; reusable after the next flush */
    KVA_POOLED = 3    /* free, and kept in a pool: handed out before anyone hears "no space" */
};

/** One tile of the space: the addresses [start, last], both included. */
struct kva_segment {
    uint64_t start;
    uint64_t last;
    void *owner; /* as given with the request; NULL for a free or pooled segment */
    enum kva_state state;
};

enum kva_policy {
    KVA_LOWEST = 0, /* the smallest address that fits */
    KVA_HIGHEST = 1 /* the largest address that fits */
};

/** What an allocation asks for. Fields that are left at 0 stand for the usual values, which kva_request_of spells out. */
struct kva_request {
    uint64_t size;  /* 1 .. 2^64 - 1 bytes; rounded up to the quantum */
    uint64_t align; /* a power of two, 1 .. 2^63, or 0 for 1; below the quantum it counts as the quantum */
    uint64_t min;   /* the window, both ends included; it is cut to the space and need not be aligned to */
    uint64_t max;   /*   anything. min = max = 0 stands for the whole space, whatever its ends; to take
                                 address 0 and no other, call kva_reserve */
    void *owner;    /* the caller's, any value; kept with the segment, never followed */
    enum kva_policy policy; /* KVA_LOWEST or KVA_HIGHEST */
};

/** The usual request: `size` bytes, anywhere, lowest address, no alignment beyond the quantum, no owner. */
static inline struct kva_request kva_request_of(uint64_t size)
{
    struct kva_request request;
    request.size = size;
    request.align = 1;
    request.min = 0;
    request.max = UINT64_MAX;
    request.owner = NULL;
    request.policy = KVA_LOWEST;
    return request;
}

/** A range that is busy before the space begins: firmware, a kernel image, what a loader mapped. */
struct kva_range {
    uint64_t start; /* a multiple of the quantum */
    uint64_t size;  /* 1 ..; rounded up to the quantum */
    void *owner;
};

/** One of several ranges at fixed distances from a common base; see kva_alloc_congruent. */
struct kva_part {
    uint64_t offset; /* from the base: 0 for the first part, then ascending without overlap */
    uint64_t size;   /* 1 ..; rounded up to the quantum */
};

/* --------------------------------------------------------------------------------------- the space */

struct kva_space;

/** Called ONCE per flush with the smallest range that covers all deferred segments, before they become
 *  free: drop what still refers to them (a TLB, an IOTLB, a fence, an interpreter's cache).
 *  Only queries may be made on the space from here; calls that would change it return KVA_EREENTRY.
 *  With threads: one flush is in here at a time, and the space is not locked. What other threads park meanwhile waits for
 *  the next flush. The callback must not wait for another thread that allocates or flushes: that one may wait for it. */
typedef void kva_flush_callback(void *context, uint64_t start, uint64_t last);

/** Called when nothing fits, after a flush: make room for `size` bytes (as asked for; for a congruent request
 *  from the first part's start to the last one's end) and return true, or return false. It may call on this very
 *  space whatever an ordinary caller may, but end it or change the list of callbacks; a request that fails inside
 *  is not reclaimed for again. What it defers is flushed, whatever it returns.
 *  With threads: one thread at a time asks, and the space is not locked. Others that find no room meanwhile wait, and try
 *  again before they ask; so the callback must not wait for them, nor two callbacks each want room in the other's space. */
typedef bool kva_reclaim_callback(void *context, struct kva_space *space, uint64_t size);

/** Private: a list of registered callbacks. */
struct kva_link {
    struct kva_link *next;
};
struct kva_callbacks {
    struct kva_link *first; /* in the order in which they were registered */
    uintptr_t inside;       /* the thread inside one of them; 0: none */
};

/** A reclaim callback's registration; the caller's memory, to be kept until it is removed. */
struct kva_reclaim {
    kva_reclaim_callback *callback;
    void *context;
    struct kva_link link; /* private */
};

/** The most alignment classes that a space can declare. */
#define KVA_ALIGN_CLASSES 4

/** What a space is made with. Zero-initialise it, then set at least `last`, `engine` and `memory`;
 *  kva_space_create needs only `last`. */
struct kva_config {
    uint64_t first;                  /* lowest address; a multiple of the quantum */
    uint64_t last;                   /* highest address, included; last + 1 is a multiple of the quantum */
    uint64_t quantum;                /* a power of two, 1 .. 2^63; 0 stands for 1 */
    const struct kva_engine *engine; /* kva_space_create: NULL for kva_engine_host() */
    struct kva_memory memory;        /* where nodes come from */
    const struct kva_range *busy;    /* ranges that are busy from the start, in any order */
    size_t busy_count;
    uint64_t align_class[KVA_ALIGN_CLASSES]; /* alignments that requests will often have: powers of two above
                                                the quantum, in any order; 0: none. The bt engine finds room
                                                at these in O(log n) */
    bool without_owners; /* keep no owners: they read back as NULL. The bt engine saves 8 bytes a segment */
    kva_flush_callback *flush; /* NULL: deferred segments need no work before they are free */
    void *flush_context;
    uint64_t deferred_limit; /* bytes that may wait for a flush; 0 stands for the default, see
                                 kva_set_deferred_limit */
    unsigned cpus;           /* for that default; 0 stands for 1 (kva_space_create asks the system) */

    /** NULL: kva_space_create takes kva_threads_host(), unless one_thread says that only one thread at a time will use the
     *  space; kva_space_init takes no locks then. */
    const struct kva_threads *threads;
    bool one_thread; /* no locks, whatever `threads` is */

    uint64_t
        pool_bytes; /* 0: no pools, and every answer is the lowest (highest) address. Else: see POOLS below */
    kva_hook *on_misuse; /* NULL: the status alone tells */

    /** NULL: stop the program by a trap instruction; with kva_space_create, after one line on standard error: see
     *  kva_corruption_host */
    kva_hook *on_corruption;
    void *hook_context;
};

/** POOLS. With kva_config.pool_bytes, a space keeps ranges of 1 to 256 quanta at hand for each CPU (one CPU, without threads),
 *  so that most allocations and frees of such sizes take no lock of the space's and no search.
 *
 *  What they serve   Requests WITHOUT a window (min 0, and max 0 or 2^64 - 1), KVA_LOWEST, and an alignment of at most the
 *                    quantum; a quarter of a span at most, which is 1024 quanta long, or less in a space that is smaller than
 *                    four of them. A space of fewer than 16 quanta has no pools. A request with any other window, even one as
 *                    large as the space, is served as if there were no pools
 *  What changes      Their answers are free ranges, but not the lowest. KVA_ENOSPC and KVA_EEXIST are said exactly when they
 *                    would be without pools: all that pools hold goes back first. KVA_ENOMEM may be said instead, if there
 *                    is no memory to give it back in pieces
 *  What is seen      What pools hold are KVA_POOLED segments, one for each range; they may lie side by side
 *  Bound             pool_bytes is what the CPUs' pools may hold in all. Beyond that, ranges of one size lie together in spans
 *                    that are partly in use: KVA_POOLED, too
 *  Idle pools        are emptied by the busy ones, now and then; or all at once with kva_pools_drain */

/** Set up a space in the caller's memory.
 *
 *  In:      config  see above; not referred to after the call, except by what it points to
 *  Out:     space   the caller's memory, any content; on failure it holds an uninitialised space, on
 *                   which every call returns KVA_ENULL
 *  Returns: KVA_OK
 *           KVA_ENULL    space, config, memory.take, memory.give or engine is NULL, or busy is with busy_count > 0, or
 *                        a function of threads other than point
 *                        (of these and the next four, the misuse hook is told the field: "memory.take", "quantum",
 *                        "align_class[i]", "busy[i].start" ...)
 *           KVA_EALIGN   quantum or an alignment class is no power of two; first, last + 1 or a busy start
 *                        misses the quantum
 *           KVA_ERANGE   first > last, or a busy range reaches outside
 *           KVA_ESIZE    a busy range of size 0
 *           KVA_EWRAP    a busy range that passes 2^64 - 1
 *           KVA_EEXIST   two busy ranges overlap
 *           KVA_ENOMEM   no node memory
 *  Cost:    O(1 + busy_count log busy_count)
 *  Locking: Sole
 *  Failure: all memory is given back
 */
KVA_API enum kva_status kva_space_init(struct kva_space *space, const struct kva_config *config);

/** End a space that holds no busy segment; deferred ones are flushed first.
 *
 *  In/Out:  space   initialised; afterwards every call on it returns KVA_ENULL
 *  Returns: KVA_OK
 *           KVA_ENULL      space is NULL or not initialised
 *           KVA_EBUSY      there are busy segments: free them, or call kva_space_abandon
 *           KVA_EREENTRY   called from inside a flush or reclaim callback
 *  Cost:    O(m log n) for m deferred segments, and one give per chunk of node memory
 *  Locking: Sole
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_space_fini(struct kva_space *space);

/** End a space whatever it holds: the addresses are forgotten, not freed, and no callback is called.
 *
 *  In/Out:  space   initialised; afterwards every call on it returns KVA_ENULL
 *  Returns: KVA_OK
 *           KVA_ENULL      space is NULL or not initialised
 *           KVA_EREENTRY   called from inside a flush or reclaim callback
 *  Cost:    one give per chunk of node memory
 *  Locking: Sole
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_space_abandon(struct kva_space *space);

/** Hosted builds: take memory for a space, and set it up.
 *
 *  The space locks for itself, as an instance of kva_vm_create does, unless config->one_thread is set.
 *
 *  In:      config  as for kva_space_init; engine may be left NULL for kva_engine_host(), memory zero for the host's own
 *                   (huge pages where they pay), cpus for the number that are online, on_corruption for kva_corruption_host,
 *                   threads for kva_threads_host(). The space itself is taken from config.memory, too: with a source of
 *                   the caller's own, neither this call nor any other on the space uses the program's heap or stdio, so
 *                   the space can serve a malloc
 *  Out:     space   the new space
 *  Returns: as kva_space_init, and KVA_ENOMEM when there is no memory for the space itself
 *  Cost:    as kva_space_init
 *  Locking: None
 *  Failure: all memory is given back
 */
KVA_API enum kva_status kva_space_create(const struct kva_config *config, struct kva_space **space);

/** Hosted builds: end a space that kva_space_create made, or free one that has ended already.
 *
 *  In:      space   afterwards a dangling pointer
 *  Returns: KVA_OK
 *           KVA_ENULL                   space is NULL
 *           KVA_EBUSY, KVA_EREENTRY     as kva_space_fini: the space lives on
 *  Cost:    as kva_space_fini
 *  Locking: Sole
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_space_destroy(struct kva_space *space);

/** Hosted builds: the host's node memory, for kva_config.memory. malloc for small chunks; from 2 MiB on,
 *  mappings that ask for huge pages.
 *
 *  Returns: the source; it may be shared by any number of spaces
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API struct kva_memory kva_memory_host(void);

/** Hosted builds: the host's corruption hook, for kva_config.on_corruption. It writes one line to standard error, and stops
 *  the program by a trap instruction:
 *
 *      kva: kva_free: I6: a busy segment is found by one way and not by another, at 0x0000000000003000
 *
 *  kva_space_create and kva_vm_create take it where they are given none; kva_space_init and kva_vm_create_from do not.
 *
 *  In:      context  not used
 *           fault    what is broken, and where
 *  Returns: not at all
 *  Cost:    one system call
 *  Locking: None; async-signal-safe: it uses neither the heap nor stdio
 *  Failure: where nothing can be written, it stops the program all the same
 */
KVA_API void kva_corruption_host(void *context, const struct kva_fault *fault);

/** Move the ends of a space outwards. What is added is free.
 *
 *  In/Out:  space
 *  In:      first   the new lowest address: at most the old one, a multiple of the quantum
 *           last    the new highest address: at least the old one; last + 1 a multiple of the quantum
 *  Returns: KVA_OK (also when nothing changes)
 *           KVA_ENULL      space is NULL or not initialised
 *           KVA_EALIGN     first or last + 1 misses the quantum
 *           KVA_ERANGE     it would shrink at either end
 *           KVA_EREENTRY   called from inside the flush callback
 *           KVA_ENOMEM     no node memory
 *  Cost:    O(log n)
 *  Locking: Space
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_space_grow(struct kva_space *space, uint64_t first, uint64_t last);

/* -------------------------------------------------------------------------------------- take and give */

/** Take the lowest (or highest) free range that satisfies a request.
 *
 *  When nothing fits and segments are deferred, they are flushed and the search is repeated; then the
 *  reclaim callbacks are asked in the order of their registration, with a search after each that gave something.
 *
 *  In/Out:  space
 *  In:      request  see struct kva_request
 *  Out:     start    first address of the range
 *  Returns: KVA_OK
 *           KVA_ENOSPC     nothing fits: no such range exists
 *           KVA_ENOMEM     no node memory
 *           KVA_ENULL      space, request or start is NULL, or the space is not initialised
 *           KVA_EINVAL     policy is neither KVA_LOWEST nor KVA_HIGHEST
 *           KVA_ESIZE      size is 0
 *           KVA_EALIGN     align is neither 0 nor a power of two
 *           KVA_EWRAP      size, rounded up to the quantum, passes 2^64 - 1
 *           KVA_EWINDOW    min > max, or the window and the space do not meet
 *                          (of these six, the misuse hook is told the field)
 *           KVA_EREENTRY   called from inside the flush callback
 *  Cost:    O(log n) when align is at most the quantum. Beyond that O((k + 1) log n), where k counts the
 *           holes in the window before the answer that are long enough (size) yet too short to hold size
 *           bytes at every offset (size + align - quantum); see docs/theory/rb.md. With the bt engine k = 0
 *           at a declared alignment class. Flushing and reclaiming come on top: whatever other threads do, there are
 *           at most four searches and four flushes, and for each reclaim callback one search and two flushes more. With
 *           pools, each search but the first follows a drain: O(p log n) for p pooled segments
 *  Locking: Space; dropped while callbacks run. KVA_ENOSPC is returned only when all that was parked before the call, by any
 *           thread, has become free, and is true of one moment of the call: with pools, the search follows a drain, and
 *           all CPUs' locks are held for both
 *  Failure: nothing was taken. On KVA_ENOSPC deferred segments have become free and callbacks have run; on
 *           KVA_ENOMEM they may have
 */
KVA_API enum kva_status kva_alloc(struct kva_space *space, const struct kva_request *request,
                                  uint64_t *start);

/** Take several ranges at fixed distances from one base, all or none: parts[i] becomes the busy segment
 *  that starts at base + parts[i].offset. This is how a kernel lays out per-CPU areas for several nodes.
 *
 *  In/Out:  space
 *  In:      request  align, window, policy and owner are used; size is not read. The window holds all
 *                    parts; align holds for the base
 *           parts    see struct kva_part; each offset a multiple of align and of the quantum
 *           count    1 ..
 *  Out:     base     the lowest (highest) base at which every part is free
 *  Returns: as kva_alloc, and
 *           KVA_ENULL      parts is NULL
 *           KVA_EINVAL     count is 0, the first offset is not 0, or parts overlap or do not ascend
 *           KVA_EALIGN     an offset is no multiple of align or of the quantum
 *           KVA_EWRAP      offset + size of a part passes 2^64 - 1
 *  Cost:    O(count (s + 1)) searches as of kva_alloc, for s moves of the base; each move passes a hole that no
 *           base further on can use
 *  Locking: Space
 *  Failure: as kva_alloc
 */
KVA_API enum kva_status kva_alloc_congruent(struct kva_space *space, const struct kva_request *request,
                                            const struct kva_part *parts, size_t count, uint64_t *base);

/** Take exactly [start, start + size - 1].
 *
 *  In/Out:  space
 *  In:      start     a multiple of the quantum
 *           size      1 ..; rounded up to the quantum
 *           owner     kept with the segment
 *  Out:     conflict  on KVA_EEXIST, the lowest busy segment in the way; may be NULL. With threads, perhaps one that has
 *                     been parked since, and is KVA_DEFERRED
 *  Returns: KVA_OK
 *           KVA_EEXIST     part of the range is busy. Where only deferred segments are in the way, they
 *                          are flushed and the range is taken; but with threads, what another thread has parked there
 *                          since the call began was busy meanwhile, and counts as such
 *           KVA_ENOMEM     no node memory
 *           KVA_ENULL      space is NULL or not initialised
 *           KVA_ESIZE      size is 0
 *           KVA_EALIGN     start misses the quantum
 *           KVA_EWRAP      the end passes 2^64 - 1
 *           KVA_ERANGE     part of the range lies outside the space
 *           KVA_EREENTRY   called from inside the flush callback
 *  Cost:    O((d + 1) log n) for d deferred segments in the way. Flushing comes on top: whatever other threads do, there
 *           are at most three looks at the range and two flushes. So do, with pools, two drains at most: O(p log n) for p
 *           pooled segments
 *  Locking: Space; dropped during a flush. With pools, all CPUs' locks at once for the last look
 *  Failure: nothing has changed; except that KVA_ENOMEM, and with threads KVA_EEXIST, may come after a flush
 */
KVA_API enum kva_status kva_reserve(struct kva_space *space, uint64_t start, uint64_t size, void *owner,
                                    struct kva_segment *conflict);

/** Give a busy segment back. It merges with the free segments that it touches.
 *
 *  In/Out:  space
 *  In:      start   the start of a busy segment
 *  Returns: KVA_OK
 *           KVA_ENULL       space is NULL or not initialised
 *           KVA_EUNKNOWN    start lies outside the space
 *           KVA_EINTERIOR   start lies inside a busy segment
 *           KVA_EDOUBLE     start is free already
 *           KVA_EDEFERRED   start lies in a deferred segment
 *           KVA_EREENTRY    called from inside the flush callback
 *  Cost:    O(log n); never takes memory
 *  Locking: Space
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_free(struct kva_space *space, uint64_t start);

/** Give part of one busy segment back; what is left on either side stays busy with the same owner.
 *
 *  In/Out:  space
 *  In:      start   a multiple of the quantum, inside a busy segment
 *           size    1 ..; rounded up to the quantum
 *  Returns: KVA_OK
 *           KVA_ENULL       space is NULL or not initialised
 *           KVA_ESIZE       size is 0
 *           KVA_EALIGN      start misses the quantum
 *           KVA_EWRAP       the end passes 2^64 - 1
 *           KVA_EUNKNOWN    start lies outside the space
 *           KVA_EDOUBLE     start is free already
 *           KVA_EDEFERRED   start lies in a deferred segment
 *           KVA_ERANGE      the range reaches beyond the segment
 *           KVA_ENOMEM      no node memory; cannot happen for a whole segment, for an end of one that touches a
 *                           free segment, or after kva_preload. (Of a range that a pool has handed out it cannot happen for
 *                           all of it, or after kva_preload)
 *           KVA_EREENTRY    called from inside the flush callback
 *  Cost:    O(log n)
 *  Locking: Space
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_free_range(struct kva_space *space, uint64_t start, uint64_t size);

/** Change the size of a busy segment where it stands: give the tail back, or grow into free space behind.
 *
 *  In/Out:  space
 *  In:      start   the start of a busy segment
 *           size    the new size, 1 ..; rounded up to the quantum
 *  Returns: KVA_OK (also when nothing changes)
 *           KVA_ENOSPC     what lies behind is not free, or ends too soon. Nothing is flushed for this
 *           KVA_ENOMEM     no node memory. At the same size: cannot happen. Shrinking: cannot happen when the space
 *                          behind is free. Growing: only with bt, where ranges lie 2^31 quanta apart. Neither after
 *                          kva_preload. (A range that a pool has handed out may need memory to shrink or to grow,
 *                          but not after kva_preload; and with pools, growing may return this instead of KVA_ENOSPC
 *                          if there is no memory to drain them)
 *           KVA_ENULL      space is NULL or not initialised
 *           KVA_EUNKNOWN, KVA_EINTERIOR, KVA_EDOUBLE, KVA_EDEFERRED, KVA_EREENTRY   as kva_free
 *           KVA_ESIZE      size is 0
 *           KVA_EWRAP      the end passes 2^64 - 1
 *  Cost:    O(log n). With pools, growing that finds no room drains them, O(p log n) for p pooled segments, and tries again
 *  Locking: Space; with pools, all CPUs' locks for a drain
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_resize(struct kva_space *space, uint64_t start, uint64_t size);

/* ------------------------------------------------------------------------------ deferred free, reclaim */

/** Park a busy segment until the next flush: it cannot be used any more, and is not handed out yet.
 *  Flushes by itself once more than the limit is parked.
 *
 *  In/Out:  space
 *  In:      start   the start of a busy segment
 *  Returns: as kva_free
 *  Cost:    O(log n); never takes memory. A flush comes on top
 *  Locking: Space; dropped during a flush. Does not wait for one that another thread has begun
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_free_deferred(struct kva_space *space, uint64_t start);

/** Give all deferred segments back, after ONE call of the flush callback with the range that covers them.
 *  With none deferred the callback is not called.
 *
 *  In/Out:  space
 *  Returns: KVA_OK
 *           KVA_ENULL      space is NULL or not initialised
 *           KVA_EREENTRY   called from inside the flush callback
 *  Cost:    O(m log n) for m deferred segments; never takes memory
 *  Locking: Space; dropped while the callback runs, and between slices of some ten segments. On return, all that was parked
 *           before the call is free, whichever thread has flushed it
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_flush(struct kva_space *space);

/** Set how many bytes may wait before kva_free_deferred flushes by itself.
 *
 *  The default is 32 MiB times the number of binary digits of the CPU count (1 CPU: 32 MiB, 2: 64, 4: 96,
 *  64: 224): Linux's choice for lazily unmapped areas, a batch that grows with the price of a flush.
 *
 *  In/Out:  space
 *  In:      bytes   flush when MORE than this waits: 0 flushes at each deferred free, UINT64_MAX never
 *  Returns: KVA_OK
 *           KVA_ENULL      space is NULL or not initialised
 *           KVA_EREENTRY   called from inside the flush callback
 *  Cost:    O(1); takes effect at the next kva_free_deferred
 *  Locking: Space
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_set_deferred_limit(struct kva_space *space, uint64_t bytes);

/** Register a callback to be asked for space when a request would fail.
 *
 *  In/Out:  space
 *           reclaim   the caller's memory, callback and context set; kept until it is removed
 *  Returns: KVA_OK
 *           KVA_ENULL    space, reclaim or its callback is NULL, or the space is not initialised
 *           KVA_EEXIST   this registration is on the list already
 *           KVA_EREENTRY   called from inside a flush or reclaim callback
 *  Cost:    O(callbacks)
 *  Locking: Space; waits for a reclaim under way
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_reclaim_add(struct kva_space *space, struct kva_reclaim *reclaim);

/** Remove a reclaim callback.
 *
 *  In/Out:  space
 *           reclaim   as registered
 *  Returns: KVA_OK
 *           KVA_ENULL    space or reclaim is NULL, or the space is not initialised
 *           KVA_ENOENT   it is not registered
 *           KVA_EREENTRY   called from inside a flush or reclaim callback
 *  Cost:    O(callbacks)
 *  Locking: Space; waits for a reclaim under way: behind it, the callback does not run any more
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_reclaim_remove(struct kva_space *space, struct kva_reclaim *reclaim);

/** Give back to the space what its pools keep and do not need: what CPUs hold, and spans that are wholly free.
 *
 *  In/Out:  space
 *  Returns: KVA_OK (also when there are no pools)
 *           KVA_ENULL      space is NULL or not initialised
 *           KVA_EREENTRY   called from inside the flush callback
 *  Cost:    O(p log n) for p pooled segments; never takes memory
 *  Locking: Space, and all CPUs' locks
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_pools_drain(struct kva_space *space);

/** Before a fork of a program with threads: wait until no flush or reclaim is under way, and lock all of the space, so that
 *  the child finds it whole. In the three handlers of pthread_atfork, call these three for each space that the child will
 *  use. Without threads they do nothing.
 *
 *  In/Out:  space
 *  Returns: KVA_OK, and the space is locked
 *           KVA_ENULL      space is NULL or not initialised
 *           KVA_EREENTRY   called from inside a flush or reclaim callback
 *  Cost:    O(CPUs). A flush under way comes on top
 *  Locking: Space, all CPUs' locks, and the reclaim lock: held until the fork is over
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_space_fork_prepare(struct kva_space *space);

/** After a fork, in the parent: unlock what kva_space_fork_prepare has locked.
 *
 *  In/Out:  space
 *  Returns: KVA_OK, or KVA_ENULL when space is NULL or not initialised
 *  Cost:    O(CPUs)
 *  Locking: ends kva_space_fork_prepare's
 *  Failure: cannot fail
 */
KVA_API enum kva_status kva_space_fork_parent(struct kva_space *space);

/** After a fork, in the child: likewise, where the threads that waited for the locks are no more.
 *
 *  In/Out:  space
 *  Returns: KVA_OK, or KVA_ENULL when space is NULL or not initialised
 *  Cost:    O(CPUs)
 *  Locking: ends kva_space_fork_prepare's
 *  Failure: cannot fail
 */
KVA_API enum kva_status kva_space_fork_child(struct kva_space *space);

/** Take node memory now, so that the next operations need none.
 *
 *  In/Out:  space
 *  In:      operations   how many calls of kva_alloc, kva_reserve, kva_free_range, kva_resize or
 *                        kva_space_grow are to follow; a congruent allocation counts once for each part.
 *                        Calls that give segments back may come in between
 *  Returns: KVA_OK        none of them will return KVA_ENOMEM (with pools: unless it has to drain them)
 *           KVA_ENOMEM    the source refused; what it had given for this call is given back
 *           KVA_ENULL     space is NULL or not initialised
 *           KVA_EREENTRY  called from inside the flush callback
 *  Cost:    O(operations)
 *  Locking: Space
 *  Failure: no segment has changed
 */
KVA_API enum kva_status kva_preload(struct kva_space *space, size_t operations);

/* ------------------------------------------------------------------------------------------ look and check */

/** Find the segment that holds an address.
 *
 *  In:      space
 *           address   any
 *  Out:     segment   what holds it: free, busy or deferred
 *  Returns: KVA_OK
 *           KVA_ENOENT   the address lies outside the space
 *           KVA_ENULL    space or segment is NULL, or the space is not initialised
 *  Cost:    O(log n); O(1) for a busy segment that a pool has handed out
 *  Locking: with bt, mostly none (with pools, the lock of the caller's CPU): the answer held at one moment of the call, and nobody's
 *           allocation or free elsewhere is waited for. If the tree was changed close by, twice, or the segment is deferred or
 *           pooled and of a size that pools serve, or with another engine: Query
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_find(const struct kva_space *space, uint64_t address,
                                 struct kva_segment *segment);

/** Begin an iteration in address order: the lowest segment.
 *
 *      struct kva_segment segment;
 *      for (enum kva_status s = kva_first(space, &segment); s == KVA_OK; s = kva_next(space, &segment))
 *          use(&segment);
 *
 *  In:      space
 *  Out:     segment
 *  Returns: KVA_OK, or KVA_ENULL when space or segment is NULL, or the space is not initialised
 *  Cost:    O(log n)
 *  Locking: Query
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_first(const struct kva_space *space, struct kva_segment *segment);

/** Go on with an iteration. The space may change in between: the answer is the segment that now holds the
 *  address behind segment->last, wherever it begins.
 *
 *  In:      space
 *  In/Out:  segment   the one that the last step gave
 *  Returns: KVA_OK
 *           KVA_ENOENT   that was the highest segment
 *           KVA_ENULL    space or segment is NULL, or the space is not initialised
 *  Cost:    O(log n)
 *  Locking: Query
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_next(const struct kva_space *space, struct kva_segment *segment);

/** What a space holds. Bytes saturate at 2^64 - 1, which only all 2^64 addresses in one state exceed. */
struct kva_stats {
    uint64_t free_bytes;
    uint64_t busy_bytes;
    uint64_t deferred_bytes;
    uint64_t largest_free; /* bytes of the largest free segment; 0 when none is free */
    uint64_t free_segments;
    uint64_t busy_segments;
    uint64_t deferred_segments;
    uint64_t flushes;      /* how often deferred segments were given back */
    uint64_t memory_bytes; /* held for bookkeeping, whether used or kept for later */
    uint64_t pooled_bytes; /* kept in pools */
    uint64_t pooled_segments;
};

/** Read the statistics.
 *
 *  In:      space
 *  Out:     stats
 *  Returns: KVA_OK, or KVA_ENULL when space or stats is NULL, or the space is not initialised
 *  Cost:    O(1), with pools O(CPUs) (scan: O(n), for largest_free)
 *  Locking: Query; with pools, all CPUs' locks at once, so that the sums are exact
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_stats_read(const struct kva_space *space, struct kva_stats *stats);

/** Verify every invariant of the space and of its engine.
 *
 *  In:      space
 *  Out:     fault   on KVA_ECORRUPT: which invariant is broken, and at which address; may be NULL
 *  Returns: KVA_OK
 *           KVA_ECORRUPT   see fault; the corruption hook is not called
 *           KVA_ENULL      space is NULL or not initialised
 *  Cost:    O(n log n)
 *  Locking: Query
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_space_check(const struct kva_space *space, struct kva_fault *fault);

/** Called by kva_space_dump with one line of text, without a line feed; `text` ends with a zero byte. */
typedef void kva_dump_line(void *context, const char *text, size_t length);

/** Write one line per segment, in address order:
 *
 *      0x0000000000001000-0x0000000000002fff 8192 busy owner 0x00007ffd5c3e0010
 *      0x0000000000003000-0x0000000000008fff 24576 free
 *
 *  In:      space
 *           line      called for each line
 *           context   handed to it
 *  Returns: KVA_OK, or KVA_ENULL when space or line is NULL, or the space is not initialised
 *  Cost:    O(n log n)
 *  Locking: Query, once for each segment; line may query the space, and with threads change it, too: the lines then
 *           follow as kva_next says
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_space_dump(const struct kva_space *space, kva_dump_line *line, void *context);

/* ----------------------------------------------------------------------------------------- private part */

/** A space, declared in full so that it can live in the caller's memory without a heap. Everything in it is
 *  private and may change in any version. It must not be copied or moved. */
struct kva_space {
    struct kva_tiling *tiling; /* the segments, kept by the engine; NULL when not initialised */
    struct kva_shared *shared; /* what threads and pools need; NULL: none of either */
    int stage;                 /* of the flush under way */
    struct kva_callbacks reclaim;
    kva_flush_callback *flush;
    void *flush_context;
    uint64_t deferred_limit;
    uint64_t deferred_start; /* the range that the next flush will cover; start > last: none */
    uint64_t deferred_last;
    uint64_t flush_start; /* the range that the flush under way covers */
    uint64_t flush_last;
    uint64_t begun;   /* flushes */
    uint64_t flushes; /* that have ended */
    unsigned colour;  /* of what is parked now */
};

#ifdef __cplusplus
}
#endif

#endif
