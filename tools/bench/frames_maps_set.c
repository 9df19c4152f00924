/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#define _GNU_SOURCE
#include "frames_maps_set.h"

#include "fatal.h"

#include <kva/vmap.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Frames of one map: objects of a program have more than one page. */
#define OBJECT 64u

#define BLOCK_BYTES 512u /* the unit of st_blocks */

void maps_must(enum kva_status status, const char *what)
{
    if (status != KVA_OK)
        bench_fatal(status == KVA_ENOMEM || status == KVA_ELIMIT ? TOOL_REFUSED : TOOL_WRONG,
                    "frames, maps: %s: %s", what, kva_status_text(status));
}

void *maps_memory(size_t count, size_t bytes)
{
    void *memory = calloc(count, bytes);
    if (memory == NULL)
        bench_fatal(TOOL_REFUSED, "no memory for %zu frames", count);
    return memory;
}

/* -------------------------------------------------------------------------------------------------- /proc */

/* Parse the range of a line of /proc/self/maps, or of the first line of a mapping in /proc/self/smaps. */
static bool read_range(const char *line, uintptr_t *start, uintptr_t *end)
{
    char *at;
    *start = (uintptr_t)strtoull(line, &at, 16);
    if (at == line || *at != '-')
        return false;
    *end = (uintptr_t)strtoull(at + 1, &at, 16);
    return *at == ' ';
}

uint64_t maps_count_mappings(uintptr_t first, uintptr_t last)
{
    FILE *list = fopen("/proc/self/maps", "re");
    uint64_t count = 0;
    uintptr_t start, end;
    char *line = NULL;
    size_t room = 0;
    while (list != NULL && getline(&line, &room, list) > 0)
        if (read_range(line, &start, &end) && start <= last && end > first)
            count++;
    free(line);
    if (list != NULL)
        fclose(list);
    return count;
}

uint64_t maps_huge_bytes(uintptr_t first, uintptr_t last)
{
    FILE *list = fopen("/proc/self/smaps", "re");
    const char *name = "ShmemPmdMapped:";
    uint64_t sum = 0;
    uintptr_t start, end;
    bool inside = false;
    char *line = NULL;
    size_t room = 0;
    while (list != NULL && getline(&line, &room, list) > 0) {
        if (read_range(line, &start, &end))
            inside = start <= last && end > first;
        else if (inside && strncmp(line, name, strlen(name)) == 0)
            sum += 1024 * strtoull(line + strlen(name), NULL, 10);
    }
    free(line);
    if (list != NULL)
        fclose(list);
    return sum;
}

/* The bytes of a memory file, by the name of its descriptor in /proc/self/fd; 0 for other files. */
static uint64_t bytes_of_file(const char *name)
{
    char path[64], target[64];
    struct stat file;
    snprintf(path, sizeof(path), "/proc/self/fd/%.32s", name);
    ssize_t length = readlink(path, target, sizeof(target));
    bool is_memory = length > 7 && memcmp(target, "/memfd:", 7) == 0;
    return is_memory && stat(path, &file) == 0 ? (uint64_t)file.st_blocks * BLOCK_BYTES : 0;
}

uint64_t maps_file_bytes(void)
{
    DIR *files = opendir("/proc/self/fd");
    const struct dirent *file;
    uint64_t sum = 0;
    while (files != NULL && (file = readdir(files)) != NULL)
        sum += bytes_of_file(file->d_name);
    if (files != NULL)
        closedir(files);
    return sum;
}

/* ------------------------------------------------------------------------------------------------ the set */

struct kva_vm *maps_vm(void)
{
    struct kva_vm *vm;
    maps_must(kva_vm_create(NULL, &vm), "an instance");
    return vm;
}

static void shuffle(struct maps_set *set)
{
    for (size_t left = (size_t)set->count; left > 1; left--) {
        size_t other = (size_t)rng_below(&set->rng, left);
        uint64_t number = set->number[left - 1];
        set->number[left - 1] = set->number[other];
        set->number[other] = number;
    }
}

static void thin(struct maps_set *set, unsigned percent)
{
    maps_must(kva_vm_frames_alloc(set->frames, (size_t)set->count, set->number), "all frames");
    shuffle(set);
    set->used = (size_t)(set->count * percent / 100);
    maps_must(kva_vm_frames_free(set->frames, set->number + set->used, (size_t)set->count - set->used),
              "a free of frames");
}

/* Map all frames in use. Each page records the number of its frame. */
static void map_all(struct maps_set *set)
{
    for (size_t done = 0, count; done < set->used; done += count) {
        void *memory;
        count = set->used - done < OBJECT ? set->used - done : OBJECT;
        maps_must(kva_vm_map(set->vm, set->frames, set->number + done, count, 0, &memory), "a map");
        for (size_t i = 0; i < count; i++) {
            struct maps_page *page = (void *)((char *)memory + i * set->bytes);
            page->number = set->number[done + i];
            set->page[done + i] = page;
        }
    }
}

struct maps_set *maps_set_create(uint64_t frames, unsigned percent, bool mapped, uint64_t seed)
{
    struct kva_vm_frames_config config = {.count = frames, .movable = true};
    struct maps_set *set = maps_memory(1, sizeof(*set));
    set->vm = maps_vm();
    set->count = frames;
    set->bytes = (size_t)sysconf(_SC_PAGESIZE);
    set->number = maps_memory((size_t)frames, sizeof(*set->number));
    set->page = maps_memory((size_t)frames, sizeof(struct maps_page *));
    rng_seed(&set->rng, seed);
    maps_must(kva_vm_frames_create(set->vm, &config, &set->frames), "a movable set");
    thin(set, percent);
    if (mapped)
        map_all(set);
    return set;
}

void maps_set_destroy(struct maps_set *set)
{
    for (size_t i = 0; i < set->used; i++)
        if (set->page[i] != NULL && set->page[i]->number != set->number[i])
            bench_fatal(TOOL_WRONG, "frames, maps: a page maps another frame than before");
    maps_must(kva_vm_check(set->vm, NULL), "a check");
    for (size_t i = 0; i < set->used; i += OBJECT)
        if (set->page[i] != NULL)
            maps_must(kva_vunmap(set->vm, set->page[i]), "an unmap");
    maps_must(kva_vm_frames_destroy(set->frames), "destroying a set");
    maps_must(kva_vm_destroy(set->vm, NULL, NULL), "destroying an instance");
    free(set->number);
    free(set->page);
    free(set);
}

/* The number of blocks that can be allocated now. They are freed again. */
static uint64_t count_runs(struct maps_set *set)
{
    uint64_t runs = 0;
    uint64_t *numbers = maps_memory((size_t)set->count, sizeof(*numbers));
    enum kva_status status;
    while ((status = kva_vm_frames_alloc_run(set->frames, FRAMES_BLOCK, FRAMES_BLOCK,
                                             numbers + runs * FRAMES_BLOCK)) == KVA_OK)
        runs++;
    if (status != KVA_ENOSPC)
        maps_must(status, "a run");
    maps_must(kva_vm_frames_free(set->frames, numbers, (size_t)(runs * FRAMES_BLOCK)), "a free of runs");
    free(numbers);
    return runs;
}

struct maps_state maps_set_state(struct maps_set *set)
{
    struct kva_frames_stats stats;
    maps_must(kva_vm_frames_stats_read(set->frames, &stats), "statistics");
    return (struct maps_state){.mappings = maps_count_mappings(0, UINTPTR_MAX),
                               .bytes = maps_file_bytes(),
                               .free_blocks = stats.free_blocks,
                               .runs_taken = count_runs(set)};
}
