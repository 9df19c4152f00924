/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * A memory source that fails on demand. Each block has a header in front of it:
 *
 *      | mark, size, older, newer (padded to the strictest alignment) | the caller's bytes ... |
 *
 * The headers form a list, so that tests can look at all outstanding blocks. All blocks have the same offset
 * from a cache line, with any malloc: the number of nodes in a block must not differ from one round of a test
 * to the next.
 */
#include "failing_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lines.h"

#define MARK_TAKEN UINT64_C(0x6b76612d74616b65)
#define MARK_GIVEN UINT64_C(0x6b76612d67697665)
#define FILL_TAKEN 0xa5
#define FILL_GIVEN 0x5a

struct kva_failing_block {
    _Alignas(max_align_t) uint64_t mark;
    size_t size;
    struct kva_failing_block *older;
    struct kva_failing_block *newer;
};

static bool must_fail(const struct kva_failing_memory *memory, size_t bytes)
{
    if (memory->largest != 0 && bytes > memory->largest)
        return true;
    if (memory->fail_at == 0)
        return false;
    return memory->takes == memory->fail_at || (memory->from_then_on && memory->takes > memory->fail_at);
}

static void link_block(struct kva_failing_memory *memory, struct kva_failing_block *block)
{
    block->newer = NULL;
    block->older = memory->newest;
    if (block->older != NULL)
        block->older->newer = block;
    memory->newest = block;
}

static void unlink_block(struct kva_failing_memory *memory, struct kva_failing_block *block)
{
    if (block->older != NULL)
        block->older->newer = block->newer;
    if (block->newer != NULL)
        block->newer->older = block->older;
    else
        memory->newest = block->older;
}

static void *take(void *context, size_t bytes)
{
    struct kva_failing_memory *memory = context;
    struct kva_failing_block *block = NULL;

    memory->takes++;
    if (!must_fail(memory, bytes) && bytes <= SIZE_MAX - sizeof *block)
        block = lines_take(sizeof *block + bytes);
    if (block == NULL) {
        memory->refused++;
        return NULL;
    }
    block->mark = MARK_TAKEN;
    block->size = bytes;
    link_block(memory, block);
    memory->blocks++;
    memory->bytes += bytes;
    memset(block + 1, FILL_TAKEN, bytes);
    return block + 1;
}

static void stop(const char *why)
{
    fprintf(stderr, "failing_memory: %s\n", why);
    abort();
}

static void give(void *context, void *bytes_of_block, size_t bytes)
{
    struct kva_failing_memory *memory = context;
    struct kva_failing_block *block = (struct kva_failing_block *)bytes_of_block - 1;

    if (memory->give_is_a_bug)
        stop("a block was given back while give_is_a_bug is set");
    if (block->mark != MARK_TAKEN)
        stop("a block was given back that is not outstanding");
    if (block->size != bytes)
        stop("a block was given back with another size than it was taken with");
    memory->gives++;
    memory->blocks--;
    memory->bytes -= bytes;
    unlink_block(memory, block);
    block->mark = MARK_GIVEN;
    memset(block + 1, FILL_GIVEN, bytes);
    lines_give(block);
}

struct kva_memory kva_failing_memory_init(struct kva_failing_memory *memory)
{
    struct kva_memory source = {.take = take, .give = give, .context = memory};
    memset(memory, 0, sizeof(*memory));
    return source;
}

void kva_failing_memory_fail(struct kva_failing_memory *memory, uint64_t n, bool from_then_on)
{
    memory->fail_at = n == 0 ? 0 : memory->takes + n;
    memory->from_then_on = from_then_on;
}

struct kva_failing_block *kva_failing_memory_next(const struct kva_failing_memory *memory,
                                                  const struct kva_failing_block *block)
{
    return block == NULL ? memory->newest : block->older;
}

unsigned char *kva_failing_block_bytes(struct kva_failing_block *block, size_t *count)
{
    *count = block->size;
    return (unsigned char *)(block + 1);
}
