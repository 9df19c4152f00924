/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The Linux page source.
 *
 * A stretch begins as one inaccessible mapping. Of each page it is known whether it is SHUT, which means that it lies in
 * such a mapping, or OPEN: of the private part, in a mapping that is readable and writable; of the frames' part, in a
 * mapping of a pool. For the private part there are two mechanisms:
 *
 *   GUARD REGIONS   Of the pages that are not shut, those that nobody has opened carry a marker (MADV_GUARD_INSTALL),
 *                   which faults like an inaccessible page but splits no mapping:
 *
 *                   shut       |                                             | shut         | L        | shut
 *                   ...........|  A   |m|   B      |m|m m m m m m m m m m m m|..............|          |....
 *                              ^ one mapping, a grain long                    ^             ^ another
 *
 *                   To open a small area among markers is to remove them (MADV_GUARD_REMOVE). Where it is shut, all that is
 *                   shut of its GRAIN is mapped read-write by one call, and what the area does not cover is marked by
 *                   another. A grain is what one page table maps: 512 pages.
 *                   A large area (L) becomes a mapping of its own, and needs no markers.
 *
 *   MAPPINGS        Each area is a mapping of its own.
 *
 * WHAT IS LARGE   Measured on Linux 6.18: a marker costs 15 ns to put and 17 ns to remove per page, on top of 0.4 us a
 *                 call, and pages that were touched and carry markers have a page table to be walked. Opening an area,
 *                 touching it and closing it again takes, in us, beside what mmap, touch and munmap take:
 *
 *                     pages       1     16     64    256   1024   16384
 *                     markers   3.6    3.9    5.6   12.7   36.6     -
 *                     mapping   4.8    4.5    4.7    5.8    6.3    6.4
 *                     mmap      4.8    4.4    4.4    4.9    5.6    6.3
 *
 *                 So from 64 pages on it is a mapping. Each takes up to two of the mappings that a process may have:
 *                 they may use an eighth of them, and where that is spent, large areas are opened as small ones are.
 *
 * CLOSING         A large run is replaced by a shut mapping, which gives its page tables back, too. A small one gets
 *                 markers, which drop the pages. Whatever makes mappings fewer is shut, together with what is idle beside it.
 *
 *                 At the limit on mappings the kernel refuses a part of that, and a close cannot fail. With M mappings of
 *                 vm.max_map_count, Linux allows
 *
 *                                                        M < max       M = max        M = max + 1, or more
 *                     mmap, anywhere                     yes           yes            no
 *                     mmap over a whole mapping          yes           yes            no
 *                     mmap over an end of a mapping      yes           yes            no
 *                     mmap in the middle of one          yes           no             no
 *                     mprotect of whole mappings         yes           yes            yes
 *                     mprotect of a part of one          while M < max after each split, else no
 *                     markers, MADV_DONTNEED             yes           yes            yes
 *
 *                 (One mmap more than the limit is Linux's own arithmetic. M is larger still where an administrator has lowered
 *                 the limit.) So what is to be closed goes down this list until a call is accepted:
 *
 *                     replaced     a shut mapping; final
 *                     marked       final in the private part
 *                     DENIED       PROT_NONE, as whole mappings. It faults, but it is still the old mapping
 *                     WEAK         dropped, and it can still be touched. Frames cannot even be dropped: a stale write
 *                                  reaches the frame
 *
 *                 Denied and weak pages are DEBTS, and so are frames' pages with markers. A debt is a bit in a row; it still
 *                 counts as open. Every call tries to pay some, by closing them once more; `settle` tries all. To open
 *                 pages with debts is to permit access again and to drop what they hold.
 *
 * THE SPARE       At max + 1 nothing that is replaced makes the mappings fewer, since nothing can be replaced; and to unmap a part
 *                 of the stretch would let another thread's mmap take its place. So each stretch keeps two pages elsewhere
 *                 that are two mappings, by their protection:
 *
 *                     up    | PROT_NONE | PROT_READ |         down   |      PROT_NONE      |
 *
 *                 Down, the process has one mapping less, which is enough for one mmap over whole mappings. This makes
 *                 mappings fewer by one or two, and the spare goes up again. It goes up by a split, which the kernel refuses
 *                 at the limit, so that it never takes the process above it.
 *
 * LIMITS          A process may have vm.max_map_count mappings. A call that would exceed what is left is refused before
 *                 the kernel does, and a close that would falls back to markers. What is left is found by a look at all
 *                 mappings of the process: when the stretch begins, when it has taken an eighth of what was left, and before
 *                 any refusal. Without /proc, or a file descriptor to read it by, the limit is not known, and the kernel's
 *                 refusal is the first.
 *
 * THE CLOSED PAGE IN FRONT of the stretch is a part of its mapping, so that nothing else can come to lie there. Where a window has
 *                 no room for it, page 0 of the stretch stays shut instead.
 *
 * BOOKKEEPING     is in one other mapping (tables.h), with the instance's tables. The rows of bits about pages (rows.h) have memory
 *                 where pages are not shut. What a change writes to is there before the change begins: prepare_rows.
 *
 * COUNTING        The stretch's own mappings are counted by their ends: one more than there are
 *
 *                    edges   between shut pages and others
 *                    seams   between open pages of which the kernel may have made two mappings (*)
 *
 *                       shut      open          open           shut
 *                    ...........|         *               |...........      2 edges, 1 seam: 4 mappings at most
 *
 *                 Where a map of frames meets another there is a seam, whatever the frames are.
 *                 The kernel merges a fresh mapping with its neighbours unless pages of both were touched before they met,
 *                 or, in a child of fork, unless the neighbour comes from the parent. It does not tell, so where it may not
 *                 have merged them there is a seam. Thus there are never more mappings than are counted, but for those that
 *                 the program splits itself (mlock, madvise), and for shut mappings that lie side by side, because one of them was
 *                 denied once and remembers its pages. A look counts all these as the program's, and when all is shut it is
 *                 made one mapping again.
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64 /* pools of more than 2 GiB on 32-bit hosts */
#include <kva/vm.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "../../src/base/arith.h"
#include "../port.h"
#include "maps.h"
#include "reader.h"
#include "rows.h"
#include "tables.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13; include/uapi/asm-generic/mman-common.h */
#define MADV_GUARD_REMOVE 103
#endif
#ifndef PR_GET_MEMORY_MERGE
#define PR_GET_MEMORY_MERGE 68 /* Linux 6.4 */
#endif

/** MADV_DONTNEED for locked pages, too: Linux 5.18. */
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

enum { GRAIN_PAGES = 512, LARGE_PAGES = 64, APART = 64 };

/** A word of `blocks` stands for so many pages of 4 KiB that all blocks of 512 GiB are 512 words: to look through them takes
 *  less than one call. */
enum { BLOCK_PAGES = 4096 };

/** The bytes of a row with a bit for each block, and one behind the last. */
static uint64_t blocks_bytes(uint64_t pages)
{
    return (pages / BLOCK_PAGES / 64 + 2) * sizeof(uint64_t);
}

_Static_assert(sizeof(struct utsname) <= 4096, "the probe below fits in any page");

/** What a look at the process' mappings has found, and when. Where there is nothing to look at (no /proc, or no file descriptor
 *  left), what the last one has found is still the best that is known. */
struct look {
    uint64_t allowed;  /* mappings of the process; 0: not known */
    uint64_t mappings; /* of the process; 0: there was no look yet */
    uint64_t own;      /* as counted then */
    uint64_t good_for; /* so many of the stretch's own; then look again */
    uint64_t time;     /* in ms */
    struct sizes {
        uint64_t all;
        uint64_t data;
    } sizes;
};

struct stretch {
    char *first;    /* a multiple of a grain; page 0 begins here */
    uint64_t bytes; /* from there */
    uint64_t front; /* bytes in front of that, closed: a page, or none where page 0 stays closed instead */
    uint64_t private_bytes; /* then come the frames */
    uint64_t page;
    uint64_t pages;  /* of the private part */
    bool guards;     /* the mechanism */
    bool has_huge;   /* or had */
    bool has_denied; /* private pages have been denied: mappings may merge less than fresh ones do */
    unsigned apart;  /* so many openings get a mapping each, since markers were refused */
    char *spare;     /* two pages; NULL: there is none */
    bool spare_is_up;
    struct tables tables;
    struct sparse rows; /* bits for each page:
                             open    not shut
                             used    private: opened, and not closed since
                             huge    private: in a mapping that wants huge pages
                             seams   open, as the one before, but maybe in another mapping
                             weak    closed, but a touch may not fault (stats.weak_pages counts them)
                             owed    closed, and it faults, but its mapping is yet to be replaced */
    uint64_t seam_count;
    uint64_t owed_count;
    uint64_t *blocks;   /* a bit for each block of pages: one of them may be weak or owed */
    uint64_t next_debt; /* the page from which the next call looks for debts */
    struct look look;
    struct kva_pages_stats stats;
};

/** How a source differs from the next: its context points to one of these. */
struct option {
    enum kva_mechanism mechanism;
};

static uint64_t page_size(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* ----------------------------------------------------------------------------------------------- limits */

/** The number that a file of /proc or /sys consists of; 0 if there is none. */
static uint64_t read_number(const char *path)
{
    struct reader reader;
    uint64_t number;

    if (!reader_open(&reader, path))
        return 0;
    (void)reader_number(&reader, 10, &number);
    reader_close(&reader);
    return number;
}

/** How many mappings the process may have: as last read, where it cannot be read now; 0 if it never could be. */
static uint64_t mappings_allowed(struct stretch *stretch)
{
    uint64_t allowed = read_number("/proc/sys/vm/max_map_count");

    if (allowed != 0)
        stretch->look.allowed = allowed;
    return stretch->look.allowed;
}

/** The list of the process' mappings, in address order: "start-end rest" in each line. */
static bool open_list(struct reader *list)
{
    return reader_open(list, "/proc/self/maps");
}

/** How many mappings the process has: the lines of the list. 0 if that cannot be read. */
static uint64_t count_mappings(void)
{
    struct reader list;
    uint64_t lines = 0;

    if (!open_list(&list))
        return 0;
    while (reader_skip(&list, '\n'))
        lines++;
    reader_close(&list);
    return lines;
}

static uint64_t milliseconds(void)
{
    struct timespec time = {0, 0};

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

/** Pages of addresses that the process has, and those that count as data: read at once, and hardly a mapping comes or goes
 *  without a change of one of them. */
static struct sizes read_sizes(void)
{
    struct sizes sizes = {0, 0};
    struct reader reader;

    if (!reader_open(&reader, "/proc/self/statm"))
        return sizes;
    (void)reader_number(&reader, 10, &sizes.all);
    for (unsigned i = 0; i < 5; i++) /* resident shared text lib data */
        (void)(reader_skip(&reader, ' ') && reader_number(&reader, 10, &sizes.data));
    reader_close(&reader);
    return sizes;
}

/** Whether the last look still tells how many mappings others have: it takes 0.1 us for each mapping there is, too much for
 *  each of many refusals. */
static bool is_fresh(const struct look *look, struct sizes sizes)
{
    const uint64_t most = 100; /* ms */

    return look->mappings != 0 && sizes.all != 0 && sizes.all == look->sizes.all &&
           sizes.data == look->sizes.data && milliseconds() - look->time <= most;
}

/** How many mappings the process has, or had when they could be counted last, and the stretch's own since. */
static uint64_t mappings_now(struct stretch *stretch)
{
    struct look *look = &stretch->look;
    struct sizes sizes = read_sizes();
    uint64_t mappings = is_fresh(look, sizes) ? 0 : count_mappings();

    if (mappings != 0) {
        look->mappings = mappings;
        look->own = stretch->stats.mappings;
        look->sizes = sizes;
        look->time = milliseconds();
    }
    uint64_t now = look->mappings + stretch->stats.mappings; /* what is its own is known at any time */
    return now <= look->own ? 0 : now - look->own;
}

/** Find out what the stretch may use of the process' mappings: what is left, less a sixteenth for all that the program does
 *  besides. Others take mappings and give them back, so the answer is good for an eighth of what is left, and then there is
 *  another look. */
static void look_again(struct stretch *stretch)
{
    const uint64_t least = 64; /* so that the last ones are not counted one by one */
    struct kva_pages_stats *stats = &stretch->stats;
    uint64_t allowed = mappings_allowed(stretch);

    if (allowed == 0) { /* not known: try again when there are some more */
        stretch->look.good_for = stats->mappings + least;
        return;
    }
    uint64_t kept = mappings_now(stretch) + allowed / 16;
    uint64_t left = allowed > kept ? allowed - kept : 0;
    stats->mappings_limit = stats->mappings + left;
    stretch->look.good_for = stats->mappings + min_u64(left, max_u64(left / 8, least));
}

static bool has_room_for(struct stretch *stretch, uint64_t more)
{
    const struct kva_pages_stats *stats = &stretch->stats;

    if (stats->mappings + more > stretch->look.good_for)
        look_again(stretch);
    return stats->mappings_limit == 0 || stats->mappings + more <= stats->mappings_limit;
}

/** A call on mappings was refused: for want of memory, or of mappings? The kernel says ENOMEM to both, so they are
 *  counted. Within 8 of the limit it is the limit: one call may need as many as 2 more, and threads come and go. */
static enum kva_status why_refused(struct stretch *stretch)
{
    uint64_t allowed = mappings_allowed(stretch);

    return allowed != 0 && mappings_now(stretch) + 8 >= allowed ? KVA_ELIMIT : KVA_ENOMEM;
}

/* -------------------------------------------------------------------------------------------- reserving */

static void *map_shut(void *at, uint64_t bytes, int flags)
{
    return mmap(at, (size_t)bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
}

/** Whether a page faults, by letting the kernel write to it: it answers EFAULT where the program would die. */
static bool faults(void *page)
{
    return uname(page) != 0 && errno == EFAULT;
}

/** Whether the kernel knows guard regions, and lets us have them. Its word is not enough: QEMU's user emulation says yes to
 *  any advice, and does nothing. */
static enum kva_status probe_guards(uint64_t page, bool *has, uint64_t *calls)
{
    void *probe = mmap(NULL, (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ++*calls;
    if (probe == MAP_FAILED)
        return KVA_ENOMEM;
    *has = madvise(probe, (size_t)page, MADV_GUARD_INSTALL) == 0 && faults(probe) &&
           madvise(probe, (size_t)page, MADV_GUARD_REMOVE) == 0;
    (void)munmap(probe, (size_t)page);
    *calls += 4;
    return KVA_OK;
}

/** Which mechanism an option asks for: KVA_OK, KVA_ENOENT where it is missing, or KVA_ENOMEM if that cannot be found out. */
static enum kva_status choose_mechanism(const struct option *option, uint64_t page, bool *guards,
                                        uint64_t *calls)
{
    *guards = false;
    if (option->mechanism == KVA_MECHANISM_MAPPINGS)
        return KVA_OK;
    enum kva_status status = probe_guards(page, guards, calls);
    if (status != KVA_OK)
        return status;
    return option->mechanism == KVA_MECHANISM_GUARDS && !*guards ? KVA_ENOENT : KVA_OK;
}

/** The lowest multiple of align that has `front` bytes in front of it from `from` on. */
static bool place_behind(uint64_t from, uint64_t front, uint64_t align, uint64_t *place)
{
    return add_checked(from, front, &from) && align_up(from, align, place);
}

/** The lowest gap of `bytes` at a multiple of align, and `front` in front of them, from `place` on, in the list of mappings: false
 *  if there is none. *any says whether there was a line to be read. */
static bool find_in_list(struct reader *list, uint64_t front, uint64_t bytes, uint64_t align, uint64_t *place,
                         bool *any)
{
    uint64_t start;
    uint64_t end;
    uint64_t last;

    for (*any = false; reader_number(list, 16, &start) && reader_skip(list, '-');) {
        *any = true;
        if (last_of_range(*place, bytes, &last) && last < start)
            return true;
        if (reader_number(list, 16, &end) && end > *place - front && !place_behind(end, front, align, place))
            return false;
        (void)reader_skip(list, '\n');
    }
    return true;
}

/** Where a gap of `bytes`, and `front` in front of them, lies in [min, max], the bytes at a multiple of align: the lowest, as the list
 *  of mappings has it. KVA_OK;
 *  KVA_ENOSPC where there is none; KVA_ENOENT where the list cannot be read: without /proc, or a free file descriptor. */
static enum kva_status find_gap(uint64_t min, uint64_t max, uint64_t front, uint64_t bytes, uint64_t align,
                                uint64_t *at)
{
    struct reader list;
    uint64_t last;
    bool any;

    if (!place_behind(min, front, align, at))
        return KVA_ENOSPC;
    if (!open_list(&list))
        return KVA_ENOENT;
    bool fits = find_in_list(&list, front, bytes, align, at, &any);
    reader_close(&list);
    if (!any) /* no process is without a mapping */
        return KVA_ENOENT;
    return fits && last_of_range(*at, bytes, &last) && last <= max ? KVA_OK : KVA_ENOSPC;
}

/** The lowest address that Linux lets a program map by default (vm.mmap_min_addr). */
static const uint64_t lowest_address = 65536;

/** Reserve just there, or nowhere. */
static char *reserve_at(uint64_t at, uint64_t bytes, uint64_t *calls)
{
    void *mapping = map_shut((void *)(uintptr_t)at, bytes, MAP_FIXED_NOREPLACE);

    ++*calls;
    if (mapping == MAP_FAILED)
        return NULL;
    if ((uintptr_t)mapping == at)
        return mapping;
    (void)munmap(mapping, (size_t)bytes); /* a kernel before 4.17 takes the flag for a mere hint */
    errno = EEXIST;
    return NULL;
}

/** The highest address of a window, but for what lies above all that a program can have: the stack is near the end of that,
 *  and the 16 random bytes that the kernel gives each program are in it. */
static uint64_t highest_address(uint64_t min, uint64_t max)
{
    uint64_t stack = getauxval(AT_RANDOM);
    uint64_t highest = 1;

    while (highest < stack)
        highest = 2 * highest + 1;
    return stack == 0 || min > highest ? max : min_u64(max, highest);
}

/** Whether a call was refused for what it was to be: taken already, or one of the lowest, which the system keeps for itself. */
static bool is_about_the_place(int error)
{
    return error == EEXIST || error == EPERM;
}

/** Without the list of mappings: try places, lowest first. Where there are few, each is tried, so that the answer is the same
 *  as with the list. Else they are spread evenly, so that no gap is missed that is longer than a step:
 *
 *      min                                                              max
 *       | x-------x-------x-------x-------x---- ... ----x-------x----x   |
 *         lowest   a step                                       highest   a place needs some room
 */
static char *reserve_by_trial(const struct kva_stretch *wish, uint64_t front, uint64_t min, uint64_t align,
                              uint64_t *calls)
{
    const uint64_t most = 4096; /* where all are taken, 1 ms, with a closed page in front and without */
    uint64_t max = highest_address(min, wish->max);
    uint64_t place;

    if (!place_behind(min, front, align, &place) || max < wish->bytes - 1)
        return NULL;
    uint64_t highest = align_down(max - (wish->bytes - 1), align);
    if (place > highest)
        return NULL;
    uint64_t step = align_down((highest - place) / most, align) + align;
    for (;;) {
        char *mapping = reserve_at(place - front, wish->bytes + front, calls);
        if (mapping)
            return mapping + front;
        if (!is_about_the_place(errno) || place == highest)
            return NULL;
        place = highest - place > step ? place + step : highest;
    }
}

/** Between the look and the call another thread may take the place: then there is another look. */
static char *reserve_in_window(const struct kva_stretch *wish, uint64_t front, uint64_t align,
                               uint64_t *calls)
{
    const unsigned most = 8;
    uint64_t min = max_u64(wish->min, lowest_address);
    uint64_t at;

    for (unsigned tries = 0; tries < most; tries++) {
        enum kva_status status = find_gap(min, wish->max, front, wish->bytes, align, &at);
        if (status == KVA_ENOENT)
            return reserve_by_trial(wish, front, min, align, calls);
        if (status != KVA_OK)
            return NULL;
        char *mapping = reserve_at(at - front, wish->bytes + front, calls);
        if (mapping)
            return mapping + front;
        if (errno != EEXIST)
            return NULL;
    }
    return NULL;
}

/** Anywhere: take as much more as the alignment may cost, and give back what sticks out. What is in front makes no more of it, as
 *  both are whole pages:
 *
 *      | given back | front | bytes ...            | given back |
 *                           ^ the first multiple of align behind one page
 */
static char *reserve_anywhere(const struct kva_stretch *wish, uint64_t front, uint64_t align, uint64_t *calls)
{
    uint64_t bytes;

    if (!add_checked(wish->bytes, align, &bytes) || bytes > SIZE_MAX)
        return NULL;
    char *mapping = map_shut(NULL, bytes, 0);
    ++*calls;
    if (mapping == MAP_FAILED)
        return NULL;
    size_t before = (size_t)front + (size_t)(-((uintptr_t)mapping + front) & (align - 1));
    if (before > front)
        (void)munmap(mapping, before - (size_t)front);
    if (before < align)
        (void)munmap(mapping + before + wish->bytes, (size_t)(align - before));
    *calls += (before > front) + (uint64_t)(before < align);
    return mapping + before;
}

static bool is_anywhere(const struct kva_stretch *wish)
{
    return wish->min == 0 && wish->max >= UINTPTR_MAX;
}

/** Reserve the wish with a closed page in front; or, where a window leaves no room for that, without, and then page 0 is to stay
 *  closed. *front: the bytes in front. NULL: neither can be. */
static char *reserve_bytes(const struct kva_stretch *wish, uint64_t page, uint64_t align, uint64_t *front,
                           uint64_t *calls)
{
    *front = page;
    if (is_anywhere(wish))
        return reserve_anywhere(wish, page, align, calls);
    char *first = reserve_in_window(wish, page, align, calls);
    if (first || wish->bytes - page <= wish->frames)
        return first;
    *front = 0;
    return reserve_in_window(wish, 0, align, calls);
}

/** Reserve as much of the wish as the system grants, halving it; NULL if that is too little. */
static char *reserve_most(struct kva_stretch *wish, uint64_t page, uint64_t align, uint64_t *front,
                          uint64_t *calls)
{
    for (;;) {
        char *first = reserve_bytes(wish, page, align, front, calls);
        if (first)
            return first;
        uint64_t half = align_down(wish->bytes / 2, page);
        if (half < wish->least || half < 2 * page)
            return NULL;
        wish->bytes = half;
        wish->frames = max_u64(align_down(wish->frames / 2, page), page);
    }
}

/** Tables for a stretch of known size: the instance's pieces, and those of the rows. The directory of the rows and the blocks are
 *  there from the beginning. */
static bool make_tables(struct stretch *stretch, struct kva_stretch *wish)
{
    uint64_t pages = stretch->bytes / stretch->page;
    uint64_t directory = sparse_directory_bytes(rows_bytes(pages));
    struct tables_wish tables = {
        .page = stretch->page,
        .pieces = wish->pieces + sparse_parts(rows_bytes(pages)),
        .given = wish->given,
        .own = directory + blocks_bytes(pages),
    };

    if (!kva_port_tables_make(&stretch->tables, &tables))
        return false;
    sparse_init(&stretch->rows, stretch->tables.pieces, stretch->tables.own);
    stretch->blocks = (uint64_t *)(void *)((char *)stretch->tables.own + directory);
    wish->tables = stretch->tables.pieces;
    return true;
}

/** Take a mapping more, or give it back; see THE SPARE. */
static void set_spare(struct stretch *stretch, bool up, uint64_t *calls)
{
    char *second = stretch->spare + stretch->page;

    if (!stretch->spare || stretch->spare_is_up == up)
        return;
    ++*calls;
    if (mprotect(second, (size_t)stretch->page, up ? PROT_READ : PROT_NONE) == 0)
        stretch->spare_is_up = up;
}

/** The spare is shared memory, which no other mapping merges with. A stretch may do without one. */
static void take_spare(struct stretch *stretch)
{
    void *spare = mmap(NULL, (size_t)(2 * stretch->page), PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    ++stretch->stats.calls.reserve;
    stretch->spare = spare == MAP_FAILED ? NULL : spare;
    set_spare(stretch, true, &stretch->stats.calls.reserve);
}

static void give_stretch(struct stretch *stretch)
{
    if (stretch->spare)
        (void)munmap(stretch->spare, (size_t)(2 * stretch->page));
    kva_port_tables_end(&stretch->tables);
    (void)munmap(stretch, sizeof *stretch);
}

/** Pages of its own, which read as zero: the library may lie below the program's malloc. */
static struct stretch *take_record(void)
{
    void *record =
        mmap(NULL, sizeof(struct stretch), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return record == MAP_FAILED ? NULL : record;
}

/** The bookkeeping of a stretch of known size. */
static struct stretch *take_stretch(struct kva_stretch *wish, uint64_t page, bool guards)
{
    struct stretch *stretch = take_record();

    if (!stretch)
        return NULL;
    stretch->bytes = wish->bytes;
    stretch->private_bytes = wish->bytes - wish->frames;
    stretch->page = page;
    stretch->pages = stretch->private_bytes / page;
    stretch->guards = guards;
    stretch->stats.mechanism = guards ? "guard regions" : "protected mappings";
    stretch->stats.mappings = 1;
    if (!make_tables(stretch, wish)) {
        (void)munmap(stretch, sizeof *stretch);
        return NULL;
    }
    take_spare(stretch);
    look_again(stretch);
    return stretch;
}

static enum kva_status reserve(void *context, struct kva_stretch *wish)
{
    uint64_t page = page_size();
    uint64_t align = max_u64(wish->align, GRAIN_PAGES * page);
    uint64_t calls = 0;
    uint64_t front;
    bool guards;

    enum kva_status status = choose_mechanism(context, page, &guards, &calls);
    if (status != KVA_OK)
        return status;
    char *first = reserve_most(wish, page, align, &front, &calls);
    if (!first)
        return KVA_ENOSPC;
    struct stretch *stretch = take_stretch(wish, page, guards);
    if (!stretch) {
        (void)munmap(first - front, (size_t)(wish->bytes + front));
        return KVA_ENOMEM;
    }
    stretch->first = first;
    stretch->front = front;
    stretch->stats.calls.reserve += calls;
    wish->first = (uintptr_t)first + (page - front);
    wish->bytes -= page - front;
    wish->handle = stretch;
    return KVA_OK;
}

static void release(void *context, void *handle)
{
    struct stretch *stretch = handle;

    (void)context;
    char *mapping = stretch->first - stretch->front;
    size_t bytes = (size_t)(stretch->bytes + stretch->front);
    give_stretch(stretch); /* first: at the limit on mappings it makes the room that the other may need */
    (void)munmap(mapping, bytes);
}

/* ------------------------------------------------------------------------------------------ runs of pages */

/** Pages of one part, by number: [from, end). */
struct run {
    uint64_t from;
    uint64_t end;
};

static struct run run_at(const struct stretch *stretch, uint64_t start, uint64_t bytes)
{
    uint64_t from = (start - (uintptr_t)stretch->first) / stretch->page;
    struct run run = {from, from + bytes / stretch->page};

    return run;
}

static uint64_t length(struct run run)
{
    return run.end > run.from ? run.end - run.from : 0;
}

static struct run common(struct run a, struct run b)
{
    struct run run = {max_u64(a.from, b.from), min_u64(a.end, b.end)};

    return run;
}

/** The pages from `from` on that are alike, shut or not, as far as `end`. */
static struct run alike(const struct stretch *stretch, uint64_t from, uint64_t end)
{
    struct run run = {from, row_end_of_run(&stretch->rows, ROW_OPEN, from, end)};

    return run;
}

static bool is_of_frames(const struct stretch *stretch, struct run run)
{
    return run.from >= stretch->pages;
}

/** All from the first open page in a range to the last. */
static struct run open_in(const struct stretch *stretch, struct run range)
{
    struct run run = {row_first(&stretch->rows, ROW_OPEN, range.from, range.end),
                      row_last_end(&stretch->rows, ROW_OPEN, true, range.from, range.end)};

    return run;
}

static bool is_all_shut(const struct stretch *stretch, struct run run)
{
    return row_first(&stretch->rows, ROW_OPEN, run.from, run.end) == run.end;
}

/** Whether a run whose pages are all alike is shut. */
static bool is_shut(const struct stretch *stretch, struct run run)
{
    return !row_bit(&stretch->rows, ROW_OPEN, run.from);
}

static char *start_of(const struct stretch *stretch, struct run run)
{
    return stretch->first + run.from * stretch->page;
}

static size_t bytes_of(const struct stretch *stretch, struct run run)
{
    return (size_t)(length(run) * stretch->page);
}

/** Put or remove markers, or another advice; nothing to do for an empty run. */
static bool advise(struct stretch *stretch, struct run run, int advice, uint64_t *calls)
{
    if (length(run) == 0)
        return true;
    ++*calls;
    return madvise(start_of(stretch, run), bytes_of(stretch, run), advice) == 0;
}

static bool protect(struct stretch *stretch, struct run run, int protection, uint64_t *calls)
{
    ++*calls;
    return mprotect(start_of(stretch, run), bytes_of(stretch, run), protection) == 0;
}

/** Replace a run by fresh pages that may be touched or not. */
static bool replace(struct stretch *stretch, struct run run, int protection, uint64_t *calls)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;

    ++*calls;
    return mmap(start_of(stretch, run), bytes_of(stretch, run), protection, flags, -1, 0) != MAP_FAILED;
}

static enum kva_status take_piece(void *context, void *handle, uint32_t *number)
{
    struct stretch *stretch = handle;

    (void)context;
    return kva_port_tables_take(&stretch->tables, number) ? KVA_OK : why_refused(stretch);
}

static void give_piece(void *context, void *handle, uint32_t number)
{
    struct stretch *stretch = handle;

    (void)context;
    kva_port_tables_give(&stretch->tables, number);
}

/** Have rows for a run of pages and the page behind it, before anything is changed: from then on bits about them can be set. */
static enum kva_status prepare_rows(struct stretch *stretch, struct run run)
{
    return sparse_ensure(&stretch->rows, run.from / ROW_BITS, run.end / ROW_BITS + 1, take_piece, NULL,
                         stretch);
}

/* -------------------------------------------------------------------------------------------------- debts */

/** How a page is closed that is not shut. */
enum debt {
    NO_DEBT, /* by a marker, in the private part; or it is not closed */
    OWED,    /* it faults */
    WEAK     /* it may not fault */
};

static bool has_debts(const struct stretch *stretch)
{
    return stretch->stats.weak_pages + stretch->owed_count > 0;
}

static struct run blocks_of(struct run run)
{
    struct run blocks = {run.from / BLOCK_PAGES, length(run) == 0 ? 0 : (run.end - 1) / BLOCK_PAGES + 1};

    return blocks;
}

/** Where there are debts: whether a page of the run is weak or owed. */
static bool is_among_debts(const struct stretch *stretch, struct run run)
{
    struct run blocks = blocks_of(run);

    if (bits_first(stretch->blocks, blocks.from, blocks.end) >= blocks.end)
        return false;
    return row_first(&stretch->rows, ROW_WEAK, run.from, run.end) < run.end ||
           row_first(&stretch->rows, ROW_OWED, run.from, run.end) < run.end;
}

/** Whether a page of the run is weak or owed. Hardly ever is there any such page. */
static inline bool is_in_debt(const struct stretch *stretch, struct run run)
{
    return has_debts(stretch) && is_among_debts(stretch, run);
}

static void note_debt(struct stretch *stretch, struct run run, enum debt debt)
{
    struct run blocks = blocks_of(run);
    stretch->stats.weak_pages -= row_count(&stretch->rows, ROW_WEAK, run.from, run.end);
    stretch->owed_count -= row_count(&stretch->rows, ROW_OWED, run.from, run.end);
    row_set(&stretch->rows, ROW_WEAK, run.from, run.end, debt == WEAK);
    row_set(&stretch->rows, ROW_OWED, run.from, run.end, debt == OWED);
    stretch->stats.weak_pages += debt == WEAK ? length(run) : 0;
    stretch->owed_count += debt == OWED ? length(run) : 0;
    if (debt != NO_DEBT)
        bits_set(stretch->blocks, blocks.from, blocks.end, true);
}

static inline void forget_debt(struct stretch *stretch, struct run run)
{
    if (is_in_debt(stretch, run))
        note_debt(stretch, run, NO_DEBT);
}

/** The first page from `from` on, and before `end`, that is weak or owed; `end` if there is none. */
static uint64_t first_debt(const struct stretch *stretch, uint64_t from, uint64_t end)
{
    return min_u64(row_first(&stretch->rows, ROW_WEAK, from, end),
                   row_first(&stretch->rows, ROW_OWED, from, end));
}

/** Where the weak and owed pages end that begin at `from`, before `end`. */
static uint64_t end_of_debt(const struct stretch *stretch, uint64_t from, uint64_t end)
{
    for (;;) {
        bool is_weak = from < end && row_bit(&stretch->rows, ROW_WEAK, from);
        if (from >= end || !(is_weak || row_bit(&stretch->rows, ROW_OWED, from)))
            return from;
        from = row_end_of_run(&stretch->rows, is_weak ? ROW_WEAK : ROW_OWED, from, end);
    }
}

/** The first run of weak and owed pages from a page on, in one part; an empty one if there is none. */
static struct run find_debt(struct stretch *stretch, uint64_t from)
{
    uint64_t pages = stretch->bytes / stretch->page;
    uint64_t count = pages / BLOCK_PAGES + 1;

    for (uint64_t block = from / BLOCK_PAGES; (block = bits_first(stretch->blocks, block, count)) < count;
         block++) {
        uint64_t first = max_u64(from, block * BLOCK_PAGES);
        uint64_t end = min_u64((block + 1) * BLOCK_PAGES, pages);
        uint64_t at = first_debt(stretch, first, end);
        if (at < end)
            return (struct run){at, end_of_debt(stretch, at, at < stretch->pages ? stretch->pages : pages)};
        if (first == block * BLOCK_PAGES)
            bits_set(stretch->blocks, block, block + 1, false);
    }
    return (struct run){pages, pages};
}

/* ----------------------------------------------------------------------------------------------- mappings */

static bool before_is_open(const struct stretch *stretch, struct run run)
{
    return run.from > 0 && row_bit(&stretch->rows, ROW_OPEN, run.from - 1);
}

static bool behind_is_open(const struct stretch *stretch, struct run run)
{
    return row_bit(&stretch->rows, ROW_OPEN, run.end);
}

static uint64_t seams_in(const struct stretch *stretch, struct run run)
{
    if (stretch->seam_count == 0 || row_first(&stretch->rows, ROW_SEAMS, run.from, run.end + 1) > run.end)
        return 0;
    return row_count(&stretch->rows, ROW_SEAMS, run.from, run.end + 1);
}

/** The ends of mappings in a run and at both of its ends: where open meets shut, and the seams. */
static uint64_t ends_in(const struct stretch *stretch, struct run run)
{
    return row_count_changes(&stretch->rows, ROW_OPEN, run.from, run.end + 1) + seams_in(stretch, run);
}

/** The same of a run whose pages are all alike. */
static uint64_t ends_of(const struct stretch *stretch, struct run run)
{
    bool is_open = !is_shut(stretch, run);

    return (before_is_open(stretch, run) != is_open) + (uint64_t)(behind_is_open(stretch, run) != is_open) +
           seams_in(stretch, run);
}

/** How many of a run's two ends are ends of mappings when all of it is shut. */
static uint64_t ends_if_shut(const struct stretch *stretch, struct run run)
{
    return before_is_open(stretch, run) + (uint64_t)behind_is_open(stretch, run);
}

/** Whether an end of a fresh mapping stays one, though what it meets there is open, too. */
struct seams {
    bool before;
    bool behind;
};

/** The seams of a run, all alike, that is about to become a fresh read-write mapping. The kernel merges it with what it
 *  meets,
 *
 *    - but for what a child has from its parent (it could be merged with fresh mappings alone, but those are not told apart),
 *    - but for what may come from a mapping that was denied, and is not fresh,
 *    - but for frames, which may be of any pool,
 *    - but for what has the attribute of huge pages,
 *    - but on both sides only if these were one mapping before: their pages may have been touched before they met.
 */
static struct seams seams_of_fresh(const struct stretch *stretch, struct run run)
{
    bool before = before_is_open(stretch, run);
    bool behind = behind_is_open(stretch, run);
    if (is_of_frames(stretch, run))
        return (struct seams){before, behind};
    bool is_child = *stretch->tables.is_first_process == 0;
    bool any = is_child || stretch->has_denied; /* maybe none is merged */
    bool were_one = !is_shut(stretch, run) && seams_in(stretch, run) == 0;
    struct seams seams = {
        .before = before && (any || row_bit(&stretch->rows, ROW_HUGE, run.from - 1)),
        .behind = behind && (any || run.end == stretch->pages || row_bit(&stretch->rows, ROW_HUGE, run.end) ||
                             (before && !were_one)),
    };

    return seams;
}

static uint64_t ends_if_fresh(const struct stretch *stretch, struct run run, struct seams seams)
{
    return (uint64_t)(seams.before || !before_is_open(stretch, run)) +
           (uint64_t)(seams.behind || !behind_is_open(stretch, run));
}

/** Whether the ends of mappings may become so many instead of `now`. */
static bool has_room_for_ends(struct stretch *stretch, uint64_t now, uint64_t then)
{
    return then <= now || has_room_for(stretch, then - now);
}

static void set_seam(struct stretch *stretch, uint64_t at)
{
    stretch->seam_count += !row_bit(&stretch->rows, ROW_SEAMS, at);
    row_set(&stretch->rows, ROW_SEAMS, at, at + 1, true);
}

/** Note that a run, all of it open, may have become a mapping of its own among open ones: an attribute may have. */
static void fence(struct stretch *stretch, struct run run)
{
    stretch->stats.mappings -= ends_in(stretch, run);
    if (before_is_open(stretch, run) && row_bit(&stretch->rows, ROW_OPEN, run.from))
        set_seam(stretch, run.from);
    if (behind_is_open(stretch, run) && row_bit(&stretch->rows, ROW_OPEN, run.end - 1))
        set_seam(stretch, run.end);
    stretch->stats.mappings += ends_in(stretch, run);
}

/** Note that a run, with `now` ends of mappings in it, has become shut, or a fresh mapping. */
static void note_run(struct stretch *stretch, struct run run, bool is_open, uint64_t now)
{
    struct seams seams = {false, false};

    if (is_open)
        seams = seams_of_fresh(stretch, run);
    stretch->stats.mappings -= now;
    stretch->stats.mappings += is_open ? ends_if_fresh(stretch, run, seams) : ends_if_shut(stretch, run);
    row_set(&stretch->rows, ROW_OPEN, run.from, run.end, is_open);
    uint64_t gone = seams_in(stretch, run);
    if (gone > 0) {
        stretch->seam_count -= gone;
        row_set(&stretch->rows, ROW_SEAMS, run.from, run.end + 1, false);
    }
    if (seams.before)
        set_seam(stretch, run.from);
    if (seams.behind)
        set_seam(stretch, run.end);
    if (stretch->has_huge && !is_of_frames(stretch, run))
        row_set(&stretch->rows, ROW_HUGE, run.from, run.end, false);
    forget_debt(stretch, run);
}

/** Whether large areas may still take mappings of their own. */
static bool has_share(const struct stretch *stretch)
{
    const struct kva_pages_stats *stats = &stretch->stats;
    const uint64_t share = 8; /* of the mappings that there may be */

    return stats->mappings_limit == 0 || stats->mappings + 2 <= stats->mappings_limit / share;
}

/** Whether a run is to be opened or closed as a mapping of its own. */
static bool as_mapping(const struct stretch *stretch, struct run run)
{
    return !stretch->guards || (length(run) >= LARGE_PAGES && has_share(stretch));
}

/* ------------------------------------------------------------------------------------------------ closing */

/** Which calls a close counts among. */
static uint64_t *closing_calls(struct stretch *stretch, struct run run)
{
    struct kva_vm_calls *calls = &stretch->stats.calls;

    return is_of_frames(stretch, run) ? &calls->unmap : &calls->close;
}

/** Replace a run by a shut mapping, with the mapping that the spare gives back. Only what lies between shut pages surely is whole
 *  mappings, so that it becomes fewer of them. */
static bool replace_with_spare(struct stretch *stretch, struct run run, uint64_t *calls)
{
    if (before_is_open(stretch, run) || behind_is_open(stretch, run) || !stretch->spare_is_up)
        return false;
    set_spare(stretch, false, calls);
    return replace(stretch, run, PROT_NONE, calls);
}

/** Replace a run, with whatever is in it, and `now` ends of mappings, by a shut one, if the kernel allows it. */
static bool shut_at_any_price(struct stretch *stretch, struct run run, uint64_t now)
{
    uint64_t *calls = closing_calls(stretch, run);

    if (!replace(stretch, run, PROT_NONE, calls) && !replace_with_spare(stretch, run, calls))
        return false;
    note_run(stretch, run, false, now);
    return true;
}

/** The same, if there is room for what it makes of the mappings. */
static bool shut(struct stretch *stretch, struct run run, uint64_t now)
{
    return has_room_for_ends(stretch, now, ends_if_shut(stretch, run)) &&
           shut_at_any_price(stretch, run, now);
}

/** Replace an open run by a fresh open one; whether that could be. */
static bool renew(struct stretch *stretch, struct run run, uint64_t *calls)
{
    uint64_t now = ends_of(stretch, run);

    if (!has_room_for_ends(stretch, now, ends_if_fresh(stretch, run, seams_of_fresh(stretch, run))) ||
        !replace(stretch, run, PROT_READ | PROT_WRITE, calls))
        return false;
    note_run(stretch, run, true, now);
    return true;
}

/** Put markers on a run. Locked pages take none, so these are replaced first. */
static bool mark_even_locked(struct stretch *stretch, struct run run)
{
    uint64_t *calls = &stretch->stats.calls.close;

    return advise(stretch, run, MADV_GUARD_INSTALL, calls) ||
           (renew(stretch, run, calls) && advise(stretch, run, MADV_GUARD_INSTALL, calls));
}

/** Drop what is in an open run; its pages can still be touched. Also refused to locked pages, where the others are not. */
static bool drop(struct stretch *stretch, struct run run, uint64_t *calls)
{
    return advise(stretch, run, MADV_DONTNEED, calls) || renew(stretch, run, calls) ||
           advise(stretch, run, MADV_DONTNEED_LOCKED, calls);
}

/** Whether no mapping ends inside a run. */
static bool is_one_mapping(const struct stretch *stretch, struct run run)
{
    return length(run) < 2 || row_count_changes(&stretch->rows, ROW_OPEN, run.from + 1, run.end) +
                                      row_count(&stretch->rows, ROW_SEAMS, run.from + 1, run.end) ==
                                  0;
}

/** Let a run fault by its protection. At the limit the kernel allows that for whole mappings, and makes them fewer if it
 *  merges them with shut ones. If it refuses that for one of several, those before it are denied: then all are owed. */
static bool deny(struct stretch *stretch, struct run run)
{
    uint64_t *calls = closing_calls(stretch, run);
    bool is_private = !is_of_frames(stretch, run);

    bool done = protect(stretch, run, PROT_NONE, calls);
    if (!done && is_one_mapping(stretch, run))
        return false;
    if (done && is_private)
        (void)(advise(stretch, run, MADV_DONTNEED, calls) ||
               advise(stretch, run, MADV_DONTNEED_LOCKED, calls));
    stretch->has_denied = stretch->has_denied || is_private;
    fence(stretch, run);
    note_debt(stretch, run, OWED);
    return done;
}

/** Let a run be touched again that was closed by other means than markers. */
static bool permit(struct stretch *stretch, struct run run, uint64_t *calls)
{
    if (protect(stretch, run, PROT_READ | PROT_WRITE, calls))
        return true;
    if (!deny(stretch, run)) /* what was permitted of it */
        note_debt(stretch, run, WEAK);
    return false;
}

/** Note a run as weak. Of frames there is nothing to drop: they are the pool's. */
static void leave_weak(struct stretch *stretch, struct run run)
{
    stretch->stats.weak_closes++;
    if (!is_of_frames(stretch, run))
        (void)drop(stretch, run, closing_calls(stretch, run));
    note_debt(stretch, run, WEAK);
}

/** Drop what is in an open private run and let it fault: with markers, or by whatever else the kernel allows. */
static void close_open(struct stretch *stretch, struct run run)
{
    uint64_t *calls = &stretch->stats.calls.close;

    if (stretch->guards &&
        (!is_in_debt(stretch, run) || protect(stretch, run, PROT_READ | PROT_WRITE, calls)) &&
        mark_even_locked(stretch, run)) {
        forget_debt(stretch, run);
        return;
    }
    if (!shut_at_any_price(stretch, run, ends_of(stretch, run)) && !deny(stretch, run))
        leave_weak(stretch, run);
}

/** A shut run has no page tables, and no markers to be removed one by one. So what is large is shut if that makes no
 *  mapping more, or its share allows one; what is small if it makes fewer; and whole grains leave few ends anyway. */
static bool pays_to_shut(const struct stretch *stretch, struct run run, struct run wide, uint64_t now)
{
    uint64_t ends = ends_if_shut(stretch, wide);

    if (ends < now || length(run) >= GRAIN_PAGES)
        return true;
    return (ends == now && length(run) >= LARGE_PAGES) || as_mapping(stretch, run);
}

/** The pages before a run, `most` at most, that are open and nobody's (markers, or less), if what is before them is shut. */
static uint64_t idle_before(const struct stretch *stretch, struct run run, uint64_t most)
{
    uint64_t low = run.from > most ? run.from - most : 0;
    struct run idle = {row_last_end(&stretch->rows, ROW_USED, true, low, run.from), run.from};

    idle.from = max_u64(idle.from, row_last_end(&stretch->rows, ROW_OPEN, false, low, run.from));
    return before_is_open(stretch, idle) ? 0 : length(idle);
}

/** The same behind it. */
static uint64_t idle_behind(const struct stretch *stretch, struct run run, uint64_t most)
{
    uint64_t high = min_u64(run.end + most, stretch->pages);

    if (!behind_is_open(stretch, run))
        return 0;
    struct run idle = {run.end, row_end_of_run(&stretch->rows, ROW_OPEN, run.end, high)};
    idle.end = row_first(&stretch->rows, ROW_USED, idle.from, idle.end);
    return behind_is_open(stretch, idle) ? 0 : length(idle);
}

/** What to shut in order to close a run: also what is idle beside it, if that makes mappings fewer. Not so much beside a small
 *  run that the next small area would find its grain shut. */
static struct run worth_shutting(const struct stretch *stretch, struct run run)
{
    uint64_t most = length(run) >= LARGE_PAGES ? GRAIN_PAGES : LARGE_PAGES;
    struct run wide = {run.from - idle_before(stretch, run, most), run.end + idle_behind(stretch, run, most)};

    return wide;
}

/** Close what is open in a private range, by one call if it can be: all from the first open page to the last is shut. */
static void close_run(struct stretch *stretch, struct run range)
{
    struct run all = open_in(stretch, range);

    if (length(all) == 0)
        return;
    row_set(&stretch->rows, ROW_USED, all.from, all.end, false);
    struct run wide = worth_shutting(stretch, all);
    uint64_t now = ends_in(stretch, wide);
    if (pays_to_shut(stretch, all, wide, now) &&
        has_room_for_ends(stretch, now, ends_if_shut(stretch, wide)) &&
        (shut_at_any_price(stretch, wide, now) || deny(stretch, wide)))
        return;
    for (struct run run = {all.from, all.from}; run.end < all.end;) {
        run = alike(stretch, run.end, all.end);
        if (!is_shut(stretch, run))
            close_open(stretch, run);
    }
}

/** Close a piece of frames, which no seam divides. Markers on it do not outlive the mapping, so it stays owed. */
static void close_piece(struct stretch *stretch, struct run piece)
{
    if (shut_at_any_price(stretch, piece, ends_of(stretch, piece)) || deny(stretch, piece))
        return;
    if (stretch->guards && advise(stretch, piece, MADV_GUARD_INSTALL, &stretch->stats.calls.unmap))
        note_debt(stretch, piece, OWED);
    else
        leave_weak(stretch, piece);
}

/** Close what is mapped in a range of frames, by one call if it can be; else each piece of it by itself. */
static void close_frames(struct stretch *stretch, struct run range)
{
    struct run all = open_in(stretch, range);

    if (length(all) == 0 || shut_at_any_price(stretch, all, ends_in(stretch, all)) || deny(stretch, all))
        return;
    for (struct run piece = {all.from, all.from}; piece.end < all.end;) {
        piece = alike(stretch, piece.end, all.end);
        piece.end = row_first(&stretch->rows, ROW_SEAMS, piece.from + 1, piece.end);
        if (!is_shut(stretch, piece))
            close_piece(stretch, piece);
    }
}

/** Close once more what is not closed for good; go on after it. What is shut meanwhile, at an end of it, owes nothing. A refusal
 *  is not counted again. */
static void pay(struct stretch *stretch, struct run debt)
{
    struct run all = open_in(stretch, debt);
    uint64_t weak_closes = stretch->stats.weak_closes;

    stretch->next_debt = debt.end;
    forget_debt(stretch, (struct run){debt.from, all.from});
    forget_debt(stretch, (struct run){all.end, debt.end});
    if (is_of_frames(stretch, debt))
        close_frames(stretch, debt);
    else
        close_run(stretch, debt);
    stretch->stats.weak_closes = weak_closes;
}

/** When all is shut, make one mapping of it again. */
static void smooth(struct stretch *stretch)
{
    struct run all = {0, stretch->bytes / stretch->page};

    if (replace(stretch, all, PROT_NONE, &stretch->stats.calls.close))
        stretch->has_denied = false;
}

/** A part of every call: try to pay a few debts, some microseconds for them, and put the spare up. */
static void pay_now(struct stretch *stretch)
{
    const unsigned most = 2;

    set_spare(stretch, true, &stretch->stats.calls.close);
    if (stretch->has_denied && stretch->stats.mappings == 1)
        smooth(stretch);
    for (unsigned i = 0; i < most && has_debts(stretch); i++) {
        struct run debt = find_debt(stretch, stretch->next_debt);
        if (length(debt) == 0)
            debt = find_debt(stretch, 0);
        pay(stretch, debt);
    }
}

static inline void pay_some(struct stretch *stretch)
{
    if (has_debts(stretch) || stretch->has_denied || !stretch->spare_is_up)
        pay_now(stretch);
}

/** Pay all that can be paid: what is paid makes room for more, maybe. */
static void settle(void *context, void *handle)
{
    struct stretch *stretch = handle;
    uint64_t before;

    (void)context;
    do {
        before = stretch->stats.weak_pages + stretch->owed_count;
        pay_some(stretch);
        for (struct run debt = find_debt(stretch, 0); length(debt) > 0; debt = find_debt(stretch, debt.end))
            pay(stretch, debt);
    } while (has_debts(stretch) && stretch->stats.weak_pages + stretch->owed_count < before);
}

static void close_pages(void *context, void *handle, uint64_t start, uint64_t bytes)
{
    (void)context;
    close_run(handle, run_at(handle, start, bytes));
    pay_some(handle);
}

/* ------------------------------------------------------------------------------------------------ opening */

/** The kernel has refused to open a shut run: halfway, maybe, when a part of it was split off, or open already. It is shut anew,
 *  which merges all that. */
static void close_half_open(struct stretch *stretch, struct run run, uint64_t now)
{
    uint64_t *calls = &stretch->stats.calls.open;

    if (replace(stretch, run, PROT_NONE, calls) || protect(stretch, run, PROT_NONE, calls))
        return;
    note_run(stretch, run, true, now);
    close_open(stretch, run);
}

/** Open a shut run: map it read-write, and mark what `range` leaves of it. Locked pages take no markers: where the kernel
 *  locks all that is mapped (mlockall), the range becomes a mapping of its own, and so do the next ones. */
static enum kva_status open_shut(struct stretch *stretch, struct run run, struct run range)
{
    struct run head = {run.from, min_u64(range.from, run.end)};
    struct run tail = {max_u64(range.end, run.from), run.end};
    uint64_t *calls = &stretch->stats.calls.open;

    uint64_t now = ends_of(stretch, run);
    if (!has_room_for_ends(stretch, now, ends_if_fresh(stretch, run, seams_of_fresh(stretch, run))))
        return KVA_ELIMIT;
    if (!protect(stretch, run, PROT_READ | PROT_WRITE, calls)) {
        enum kva_status status = why_refused(stretch);
        close_half_open(stretch, run, now);
        return status;
    }
    note_run(stretch, run, true, now);
    if (advise(stretch, head, MADV_GUARD_INSTALL, calls) && advise(stretch, tail, MADV_GUARD_INSTALL, calls))
        return KVA_OK;
    if (shut(stretch, run, ends_of(stretch, run))) {
        stretch->apart = APART;
        return open_shut(stretch, common(run, range), range);
    }
    close_open(stretch, run);
    return why_refused(stretch);
}

static bool makes_more_fresh(const struct stretch *stretch, struct run run)
{
    return ends_if_fresh(stretch, run, seams_of_fresh(stretch, run)) > ends_of(stretch, run);
}

/** Let pages with debts be touched, and drop what they hold. If they cannot be made usable after all, a touch may not fault. */
static bool permit_and_drop(struct stretch *stretch, struct run run, uint64_t *calls)
{
    if (!permit(stretch, run, calls))
        return false;
    note_debt(stretch, run, WEAK);
    return drop(stretch, run, calls);
}

/** Make marked pages usable. Those with debts may be denied, or have been touched: access is permitted, and what they hold is
 *  dropped. Many pages are replaced, which takes as long for any number. Without guards there are no markers. */
static enum kva_status unmark(struct stretch *stretch, struct run run)
{
    uint64_t *calls = &stretch->stats.calls.open;

    if (stretch->guards && length(run) >= LARGE_PAGES &&
        (has_share(stretch) || !makes_more_fresh(stretch, run)) && renew(stretch, run, calls))
        return KVA_OK;
    if (is_in_debt(stretch, run) && !permit_and_drop(stretch, run, calls))
        return why_refused(stretch);
    if (stretch->guards && !advise(stretch, run, MADV_GUARD_REMOVE, calls))
        return why_refused(stretch);
    forget_debt(stretch, run);
    return KVA_OK;
}

/** What to look at in order to open a range: the grains that it touches, if it is not to be a mapping of its own. */
static struct run window_of(struct stretch *stretch, struct run range)
{
    if (as_mapping(stretch, range))
        return range;
    if (stretch->apart > 0) {
        stretch->apart--;
        return range;
    }
    struct run grains = {range.from / GRAIN_PAGES * GRAIN_PAGES,
                         ((range.end - 1) / GRAIN_PAGES + 1) * GRAIN_PAGES};
    grains.end = min_u64(grains.end, stretch->pages);
    return grains;
}

static enum kva_status open_run(struct stretch *stretch, struct run range)
{
    struct run window = window_of(stretch, range);
    enum kva_status status = prepare_rows(stretch, window);

    for (struct run run = {window.from, window.from}; status == KVA_OK && run.end < window.end;) {
        run = alike(stretch, run.end, window.end);
        struct run part = common(run, range);
        if (length(part) == 0)
            continue;
        status = is_shut(stretch, run) ? open_shut(stretch, run, range) : unmark(stretch, part);
        if (status != KVA_OK)
            close_run(stretch, (struct run){range.from, max_u64(run.from, range.from)});
    }
    return status;
}

/** Ask for huge pages. The run becomes a mapping with an attribute of its own; or an end of it does, where the kernel refuses the
 *  rest. A wish: small pages serve as well. */
static void want_huge(struct stretch *stretch, struct run run)
{
    if (!has_room_for(stretch, 2))
        return;
    if (advise(stretch, run, MADV_HUGEPAGE, &stretch->stats.calls.open)) {
        row_set(&stretch->rows, ROW_HUGE, run.from, run.end, true);
        stretch->has_huge = true;
    }
    fence(stretch, run);
}

static enum kva_status open_pages(void *context, void *handle, uint64_t start, uint64_t bytes, bool huge)
{
    struct stretch *stretch = handle;
    struct run run = run_at(stretch, start, bytes);

    (void)context;
    pay_some(stretch);
    if (huge) /* a page table, even of markers, keeps a huge page out: shut it first */
        close_run(stretch, run);
    enum kva_status status = open_run(stretch, run);
    if (status != KVA_OK)
        return status;
    row_set(&stretch->rows, ROW_USED, run.from, run.end, true);
    if (huge)
        want_huge(stretch, run);
    return KVA_OK;
}

/* ------------------------------------------------------------------------------------------------- frames */

/** A pool is a file in memory. Its handle is the file descriptor's number, and one: 0 is a descriptor, NULL is no handle. */
static void *handle_of(int file)
{
    return (void *)((intptr_t)file + 1);
}

static int file_of(const void *pool)
{
    return (int)((intptr_t)pool - 1);
}

static enum kva_status make_pool(void *context, void *handle, uint64_t count, void **pool)
{
    struct stretch *stretch = handle;
    int file = memfd_create("kva", MFD_CLOEXEC);

    (void)context;
    pay_some(stretch);
    stretch->stats.calls.pool += 2;
    if (file < 0)
        return KVA_ENOMEM;
    if (ftruncate(file, (off_t)(count * stretch->page)) != 0) {
        (void)close(file);
        return KVA_ENOMEM;
    }
    *pool = handle_of(file);
    return KVA_OK;
}

static void drop_pool(void *context, void *handle, void *pool)
{
    struct stretch *stretch = handle;

    (void)context;
    pay_some(stretch);
    stretch->stats.calls.pool++;
    (void)close(file_of(pool));
}

/** Write zeroes, page by page. What cannot be written has no memory: it is a hole, and reads as zero already. */
static void write_zeroes(const struct stretch *stretch, int file, uint64_t frame, uint64_t count)
{
    static const char zeroes[4096];

    for (uint64_t at = frame * stretch->page; at < (frame + count) * stretch->page; at += sizeof zeroes)
        (void)!pwrite(file, zeroes, sizeof zeroes, (off_t)at);
}

/** A memfd can punch holes, unless the program is forbidden to. */
static void drain_pool(void *context, void *handle, void *pool, uint64_t frame, uint64_t count)
{
    struct stretch *stretch = handle;
    int file = file_of(pool);

    (void)context;
    pay_some(stretch);
    stretch->stats.calls.pool++;
    if (fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(frame * stretch->page),
                  (off_t)(count * stretch->page)) != 0)
        write_zeroes(stretch, file, frame, count);
}

static intptr_t descriptor(void *context, void *pool)
{
    (void)context;
    return file_of(pool);
}

static enum kva_status map_frames(void *context, void *handle, uint64_t start, void *pool, uint64_t frame,
                                  uint64_t count)
{
    struct stretch *stretch = handle;
    struct run run = run_at(stretch, start, count * stretch->page);

    (void)context;
    pay_some(stretch);
    uint64_t now = is_all_shut(stretch, run) ? ends_if_shut(stretch, run) : ends_in(stretch, run);
    if (!has_room_for_ends(stretch, now, 2)) /* each end is one, or a seam */
        return KVA_ELIMIT;
    enum kva_status status = prepare_rows(stretch, run);
    if (status != KVA_OK)
        return status;
    stretch->stats.calls.map++;
    void *mapping = mmap(start_of(stretch, run), bytes_of(stretch, run), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_FIXED, file_of(pool), (off_t)(frame * stretch->page));
    if (mapping == MAP_FAILED)
        return why_refused(stretch);
    note_run(stretch, run, true, now);
    return KVA_OK;
}

static void unmap_frames(void *context, void *handle, uint64_t start, uint64_t bytes)
{
    (void)context;
    close_frames(handle, run_at(handle, start, bytes));
    pay_some(handle);
}

/* --------------------------------------------------------------------------------------------------- check */

/** A comparison under way. */
struct comparison {
    const struct stretch *stretch;
    const struct kva_pages_view *view;
    uint64_t at;      /* all pages before this are as they should be; where one is not, it is the one here */
    struct stat pool; /* of the pool that was seen last */
    bool has_asked_for_locks;
    bool locks_all;
};

static bool is_locked(void *page, uint64_t bytes)
{
    return msync(page, (size_t)bytes, MS_INVALIDATE) != 0 && errno == EBUSY;
}

/** Whether the program has locked all that it has (mlockall), which is not about the stretch: then our own bookkeeping is
 *  locked, or what is mapped from now on. */
static bool locks_all(const struct stretch *stretch)
{
    void *fresh = map_shut(NULL, stretch->page, 0);
    bool locked = is_locked(stretch->tables.is_first_process, stretch->page);

    if (fresh == MAP_FAILED)
        return locked;
    locked = locked || is_locked(fresh, stretch->page);
    (void)munmap(fresh, (size_t)stretch->page);
    return locked;
}

/** The same, found out once. */
static bool is_all_locked(struct comparison *comparison)
{
    if (!comparison->has_asked_for_locks)
        comparison->locks_all = locks_all(comparison->stretch);
    comparison->has_asked_for_locks = true;
    return comparison->locks_all;
}

/** Whether the program can execute all that it can read: the kernel adds that to each mapping then. */
static bool executes_all(void)
{
    return (personality(0xffffffff) & READ_IMPLIES_EXEC) != 0;
}

/** Whether a mapping has attributes other than those that we, or the program as a whole, have given it. */
static bool has_strange_attributes(struct comparison *comparison, unsigned attributes, bool wants_huge)
{
    unsigned rest = attributes & ~(wants_huge ? (unsigned)KVA_ATTRIBUTE_HUGE : 0);

    if ((rest & KVA_ATTRIBUTE_LOCKED) && is_all_locked(comparison))
        rest &= ~(unsigned)KVA_ATTRIBUTE_LOCKED;
    if ((rest & KVA_ATTRIBUTE_MERGEABLE) && prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0) == 1)
        rest &= ~(unsigned)KVA_ATTRIBUTE_MERGEABLE;
    return rest != 0;
}

static bool is_mapped_from(const struct stat *file, const struct kva_mapping *mapping)
{
    return file->st_ino == mapping->inode && major(file->st_dev) == mapping->major &&
           minor(file->st_dev) == mapping->minor;
}

/** Whether a mapping shows frames of one of the pools: mostly of that which the mapping before has shown. */
static bool shows_frames(struct comparison *comparison, const struct kva_mapping *mapping)
{
    const struct kva_pages_view *view = comparison->view;
    const void *pool;

    if (!mapping->shared || mapping->inode == 0)
        return false;
    if (is_mapped_from(&comparison->pool, mapping))
        return true;
    for (size_t i = 0; (pool = view->pool(view->context, i)); i++) {
        if (fstat(file_of(pool), &comparison->pool) == 0 && is_mapped_from(&comparison->pool, mapping))
            return true;
    }
    return false;
}

static bool is_anonymous(const struct kva_mapping *mapping)
{
    return !mapping->shared && mapping->inode == 0;
}

/** How pages that are nobody's should be mapped. */
struct expected {
    bool is_open;
    bool has_frames;
    bool wants_huge;
};

/** What is wrong with a mapping; NULL if nothing is. */
static const char *what_is_wrong(struct comparison *comparison, const struct kva_mapping *mapping,
                                 struct expected expected)
{
    if (mapping->readable != expected.is_open || mapping->writable != expected.is_open ||
        (mapping->executable && !(expected.is_open && executes_all())))
        return "V10: pages of the reserve that nobody owns have another protection than kva gave them";
    if (expected.has_frames ? !shows_frames(comparison, mapping) : !is_anonymous(mapping))
        return "V10: a file is mapped over pages of the reserve that nobody owns, and not by kva";
    if (has_strange_attributes(comparison, mapping->attributes, expected.wants_huge))
        return "V10: pages of the reserve that nobody owns are locked, or advised of, and not by kva";
    return NULL;
}

/** The pages from number `from` on, as far as `end`, that should be mapped alike: *known says whether we know how. A close
 *  that the kernel has not wholly granted may have left anything. */
static uint64_t next_alike(const struct stretch *stretch, uint64_t from, uint64_t end, enum kva_pages_use use,
                           struct expected *expected, bool *known)
{
    bool is_private = from < stretch->pages;

    *known = !row_bit(&stretch->rows, ROW_WEAK, from) && !row_bit(&stretch->rows, ROW_OWED, from);
    end = row_end_of_run(&stretch->rows, ROW_WEAK, from, end);
    end = row_end_of_run(&stretch->rows, ROW_OWED, from, end);
    *expected = (struct expected){use == KVA_PAGES_MAPPED, use == KVA_PAGES_MAPPED, false};
    if (!is_private)
        return end;
    expected->is_open = row_bit(&stretch->rows, ROW_OPEN, from);
    expected->wants_huge = row_bit(&stretch->rows, ROW_HUGE, from);
    end = row_end_of_run(&stretch->rows, ROW_OPEN, from, min_u64(end, stretch->pages));
    return row_end_of_run(&stretch->rows, ROW_HUGE, from, end);
}

/** Compare pages that are nobody's, from `at` on, with the one mapping that they lie in. */
static const char *compare_idle(struct comparison *comparison, uint64_t end, enum kva_pages_use use,
                                const struct kva_mapping *mapping)
{
    const struct stretch *stretch = comparison->stretch;
    struct run run = run_at(stretch, comparison->at, end - comparison->at);
    const char *wrong = NULL;

    while (run.from < run.end) {
        struct expected expected;
        bool known;
        uint64_t next = next_alike(stretch, run.from, run.end, use, &expected, &known);
        wrong = known ? what_is_wrong(comparison, mapping, expected) : NULL;
        if (wrong)
            break;
        run.from = next;
    }
    comparison->at = (uintptr_t)start_of(stretch, run);
    return wrong;
}

/** Compare all pages up to `end` with the mapping that they lie in, or NULL: with none. */
static const char *compare(struct comparison *comparison, uint64_t end, const struct kva_mapping *mapping)
{
    const struct kva_pages_view *view = comparison->view;
    const char *wrong = NULL;
    uint64_t next;

    while (comparison->at < end && !wrong) {
        enum kva_pages_use use = view->use(view->context, comparison->at, &next);
        next = min_u64(next, end);
        if (use == KVA_PAGES_OWNED)
            comparison->at = next;
        else if (mapping)
            wrong = compare_idle(comparison, next, use, mapping);
        else
            wrong = "V10: pages of the reserve that nobody owns are not mapped";
    }
    return wrong;
}

/** Compare the stretch with the list of mappings. A list that ends early, or is empty, tells nothing of what is missing. */
static const char *compare_with(struct comparison *comparison, uint64_t end, struct kva_maps *maps)
{
    struct kva_mapping mapping;
    const char *wrong = NULL;
    bool any = false;

    while (!wrong && comparison->at < end && kva_maps_next(maps, &mapping)) {
        any = true;
        if (mapping.end <= comparison->at)
            continue;
        wrong = compare(comparison, min_u64(mapping.start, end), NULL);
        if (!wrong)
            wrong = compare(comparison, min_u64(mapping.end, end), &mapping);
    }
    return wrong || !any || maps->reader.failed ? wrong : compare(comparison, end, NULL);
}

static const char *check_pages(void *context, void *handle, const struct kva_pages_view *view,
                               uint64_t *address)
{
    const struct stretch *stretch = handle;
    struct comparison comparison = {.stretch = stretch, .view = view, .at = (uintptr_t)stretch->first};
    struct kva_maps maps;

    (void)context;
    if (!kva_maps_open(&maps, true) && !kva_maps_open(&maps, false))
        return NULL;
    const char *wrong = compare_with(&comparison, comparison.at + stretch->bytes, &maps);
    kva_maps_close(&maps);
    *address = comparison.at;
    return wrong;
}

/* -------------------------------------------------------------------------------------- tables and the rest */

/** A table with a closed page on either side, which no core holds. The closed pages lie between mappings that are not, so nothing
 *  runs into it, nor from it into something else. */
static void *take_table(void *context, uint64_t bytes)
{
    const uint64_t page = page_size();
    uint64_t whole;

    (void)context;
    if (!align_up(bytes, page, &whole) || whole > SIZE_MAX - 2 * page)
        return NULL;
    char *mapping = map_shut(NULL, whole + 2 * page, 0);
    if (mapping == MAP_FAILED)
        return NULL;
    (void)madvise(mapping, (size_t)(whole + 2 * page), MADV_DONTDUMP);
    if (mprotect(mapping + page, (size_t)whole, PROT_READ | PROT_WRITE) == 0)
        return mapping + page;
    (void)munmap(mapping, (size_t)(whole + 2 * page));
    return NULL;
}

static void give_table(void *context, void *table, uint64_t bytes)
{
    const uint64_t page = page_size();
    uint64_t whole;

    (void)context;
    if (align_up(bytes, page, &whole))
        (void)munmap((char *)table - page, (size_t)(whole + 2 * page));
}

/** Shut what is open and nobody's in private pages that no area reaches into. */
static void shut_idle(struct stretch *stretch, struct run part)
{
    for (struct run run = part; run.from < part.end; run.from = run.end) {
        run.from = row_first(&stretch->rows, ROW_OPEN, run.from, part.end);
        if (run.from == part.end)
            return;
        run = alike(stretch, run.from, part.end);
        (void)shut(stretch, run, ends_of(stretch, run));
    }
}

/** Whether all pages of a part of the rows are shut: then no row has anything to say of them. */
static bool is_idle(const struct stretch *stretch, struct run part)
{
    return is_all_shut(stretch, part) && !is_in_debt(stretch, part);
}

/** Give back the rows of pages that are all shut. A grain that is open though no area is in it is shut for that, unless it lies
 *  at the beginning, where the next small areas will be. */
static void trim_rows(struct stretch *stretch)
{
    for (uint64_t i = max_u64(stretch->rows.from, 1); i < stretch->rows.end; i++) {
        struct run part = {i * ROW_BITS, (i + 1) * ROW_BITS};
        if (!sparse_has(&stretch->rows, i))
            continue;
        if (row_first(&stretch->rows, ROW_USED, part.from, part.end) == part.end)
            shut_idle(stretch, common(part, (struct run){0, stretch->pages}));
        if (is_idle(stretch, part))
            sparse_drop(&stretch->rows, i, give_piece, NULL, stretch);
    }
}

static void trim(void *context, void *handle)
{
    struct stretch *stretch = handle;

    (void)context;
    trim_rows(stretch);
    kva_port_tables_trim(&stretch->tables);
}

static unsigned this_cpu(void *context)
{
    (void)context;
    return kva_port_this_cpu();
}

static void read_stats(void *context, void *handle, struct kva_pages_stats *stats)
{
    const struct stretch *stretch = handle;

    (void)context;
    *stats = stretch->stats;
    stats->calls.tables = stretch->tables.calls;
}

/** The size of a huge page that anonymous memory may have; 0 if there are none, or none that grains would fill. */
static uint64_t huge_page(uint64_t page)
{
    uint64_t huge = read_number("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");

    return is_power_of_two(huge) && huge % (GRAIN_PAGES * page) == 0 ? huge : 0;
}

struct kva_pages kva_pages_host(enum kva_mechanism mechanism)
{
    static struct option options[] = {{KVA_MECHANISM_BEST}, {KVA_MECHANISM_GUARDS}, {KVA_MECHANISM_MAPPINGS}};
    struct kva_pages none = {.page = 1}; /* not all zero, which would stand for the host's best */

    if (mechanism < KVA_MECHANISM_BEST || mechanism > KVA_MECHANISM_MAPPINGS)
        return none;
    struct kva_pages pages = {
        .reserve = reserve,
        .release = release,
        .open = open_pages,
        .close = close_pages,
        .map = map_frames,
        .unmap = unmap_frames,
        .pool = make_pool,
        .drain = drain_pool,
        .drop = drop_pool,
        .piece = take_piece,
        .unpiece = give_piece,
        .trim = trim,
        .table = take_table,
        .untable = give_table,
        .this_cpu = this_cpu,
        .stats = read_stats,
        .settle = settle,
        .check = check_pages,
        .descriptor = descriptor,
        .page = page_size(),
        .context = &options[mechanism],
    };
    pages.huge = huge_page(pages.page);
    return pages;
}
