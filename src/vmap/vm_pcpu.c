/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Per-CPU objects.
 *
 * OFFSETS     An object is a range of offsets, and a space over the offsets allocates them: the code that
 *             allocates addresses, with its exactness, its alignments and its checks of a wrong free. Each
 *             chunk has a stride of offsets, one unit and one page:
 *
 *             offsets   | chunk 0        |f| chunk 1        |f| chunk 2 ...
 *                       0             unit stride
 *
 *             Page f is always busy, so that no object crosses the end of a chunk. It is a whole page so that
 *             an offset has the alignment of its address.
 *
 * CHUNKS      A chunk's areas are congruent: CPU c's unit lies at the base + distance[c], in every chunk. So
 *             the address of an object's copy is its address for CPU 0 + distance[c].
 *
 *             chunk k   base                       base + distance[2]
 *                       | cpu 0 | cpu 1 |g|        | cpu 2 | cpu 3 |g|
 *
 * ABSENT      The offsets of a chunk without memory are busy. To make the chunk present, they are freed; to
 *             make it absent again, they are reserved. One chunk without objects is kept; a second one is
 *             made absent.
 *
 * COST        Absent chunks are on one list, present ones without objects on another, and each area of a
 *             chunk keeps the chunk's number in its owner word. So no step depends on the number of chunks,
 *             except the search of the offsets, which is O(log n).
 *
 * SOURCE. Chunks of congruent areas, one unit a CPU, and addresses at a fixed distance per CPU are those of
 * Linux's per-CPU allocator (mm/percpu.c, T. Heo). The code was written afresh.
 */
#include "vm_pcpu.h"

#include "vm_area.h"
#include "vm_congruent.h"
#include "vm_district.h"
#include "vm_retire.h"

#include <kva/pcpu.h>

/** Offsets are multiples of this: malloc's alignment on 64-bit hosts. */
enum { QUANTUM = 16 };

/** The default bytes of a chunk for each CPU: some hundred objects of typical size. */
static const size_t default_unit = (size_t)64 << 10;

/** The end of a list of chunks. */
static const size_t no_chunk = SIZE_MAX;

struct chunk {
    uintptr_t base; /* CPU 0's unit; 0: absent */
    size_t objects;
    size_t next; /* on the list of absent chunks, or of empty ones */
    size_t prev; /* on the list of empty chunks */
};

struct kva_pcpu {
    struct kva_vm *vm;
    struct kva_pcpu *next;  /* of the instance's allocators */
    struct kva_pcpu **link; /* the pointer to this one */
    struct kva_space offsets;
    struct chunk *chunks;
    size_t chunk_count; /* absent ones included */
    size_t chunk_room;  /* entries of `chunks` */
    size_t absent;      /* the list of chunks without memory */
    size_t empty;       /* the list of present chunks without objects */
    unsigned growing;   /* threads that are allocating memory for a chunk */
    size_t objects;
    size_t unit;
    size_t stride;
    unsigned cpus;
    unsigned per_group;
    unsigned groups;
    size_t bytes;               /* of this block of memory */
    struct kva_part *parts;     /* the groups' areas */
    struct kva_stripes stripes; /* the nodes of their pages; step 0: the instance's */
    void **areas;               /* the groups' areas in the chunk that is being made */
    uintptr_t distance[];       /* of CPU c's unit from CPU 0's */
};

/* --------------------------------------------------------------------------------------------- allocators */

struct shape {
    size_t unit;
    const struct kva_vm_nodes *nodes; /* the caller's nodes of each group; NULL: none */
    unsigned cpus;
    unsigned per_group;
    unsigned groups;
};

static enum kva_status validate_nodes(const struct shape *shape, struct kva_bad *bad)
{
    for (unsigned i = 0; i < shape->groups; i++) {
        const char *field = bad_in_nodes(&shape->nodes[i], "nodes[i].policy", "nodes[i].set");
        if (field) {
            *bad = (struct kva_bad){field, i};
            return KVA_EINVAL;
        }
    }
    return KVA_OK;
}

/** Derive the shape from the config. The sums below cannot wrap: no chunk is longer than the reservation. */
static enum kva_status shape_of(const struct kva_vm *vm, const struct kva_pcpu_config *config,
                                struct shape *shape, struct kva_bad *bad)
{
    unsigned groups = config->groups != 0 ? config->groups : 1;
    uint64_t unit;

    shape->cpus = config->cpus != 0 ? config->cpus : vm->cpus;
    if (groups > shape->cpus)
        return bad_field(bad, KVA_EINVAL, "groups");
    shape->per_group = (shape->cpus - 1) / groups + 1;
    shape->groups = (shape->cpus - 1) / shape->per_group + 1;
    if (!align_up(config->unit != 0 ? config->unit : default_unit, page_of(vm), &unit))
        return bad_field(bad, KVA_EWRAP, "unit");
    if (unit > vm->bytes / shape->cpus)
        return KVA_ENOSPC;
    shape->unit = (size_t)unit;
    shape->nodes = config->nodes;
    return shape->nodes ? validate_nodes(shape, bad) : KVA_OK;
}

/** One block of memory holds the allocator and its arrays, those of pointers first, the parts at its end:
 *
 *      | struct kva_pcpu | distance[cpus] | areas[groups] | pad | nodes[groups] | parts[groups] |
 */
static uint64_t bytes_of_pcpu(const struct shape *shape)
{
    uint64_t bytes = sizeof(struct kva_pcpu) + shape->cpus * (uint64_t)sizeof(uintptr_t) +
                     shape->groups * (uint64_t)(sizeof(struct kva_part) + sizeof(void *)) +
                     (shape->nodes ? shape->groups * (uint64_t)sizeof(struct kva_vm_nodes) : 0);

    return align_up(bytes, sizeof(struct kva_part), &bytes) ? bytes : UINT64_MAX;
}

/** The parts of a chunk and the distances of its units:
 *
 *      | unit | unit |g| unit | unit |g| unit |g|        5 CPUs in groups of 2
 *
 *  Groups with nodes lie one step apart: vm_district.c, STRIPES. */
static void lay_out_chunk(struct kva_pcpu *pcpu)
{
    uint64_t guard = bytes_of_pages(pcpu->vm, pcpu->vm->guard);
    uint64_t offset = 0;

    for (unsigned group = 0; group < pcpu->groups; group++) {
        unsigned first = group * pcpu->per_group;
        unsigned count = pcpu->cpus - first < pcpu->per_group ? pcpu->cpus - first : pcpu->per_group;
        pcpu->parts[group] = (struct kva_part){offset, (uint64_t)count * pcpu->unit};
        for (unsigned i = 0; i < count; i++)
            pcpu->distance[first + i] = (uintptr_t)offset + i * pcpu->unit;
        offset += pcpu->stripes.step != 0 ? pcpu->stripes.step : pcpu->parts[group].size + guard;
    }
}

/** The number of chunks in a district: enough that its two mappings per group are few, but no more than fit a
 *  sixteenth of the private part. */
static uint64_t chunks_of_district(const struct kva_vm *vm, uint64_t chunk_bytes)
{
    const uint64_t room = (vm->frames_first - vm->first) >> 4;
    unsigned shift = 6; /* 64 of them */

    while (shift > 0 && chunk_bytes > room >> shift)
        shift--;
    return UINT64_C(1) << shift;
}

/** Copy the groups' nodes, and set the step between groups. */
static void set_up_stripes(struct kva_pcpu *pcpu, const struct kva_vm_nodes *nodes)
{
    const struct kva_vm *vm = pcpu->vm;
    uint64_t group_bytes = (uint64_t)pcpu->per_group * pcpu->unit + bytes_of_pages(vm, vm->guard);
    struct kva_vm_nodes *own = (struct kva_vm_nodes *)(void *)pcpu->parts - pcpu->groups;

    if (!nodes)
        return;
    memcpy(own, nodes, pcpu->groups * sizeof *own);
    pcpu->stripes = (struct kva_stripes){.groups = pcpu->groups, .nodes = own};
    (void)align_up(chunks_of_district(vm, pcpu->groups * group_bytes) * group_bytes,
                   max_u64(vm->pages.huge, page_of(vm)), &pcpu->stripes.step);
}

static struct kva_pcpu *take_pcpu(struct kva_vm *vm, const struct shape *shape)
{
    struct kva_memory *source = &vm->ledger.memory;
    uint64_t bytes = bytes_of_pcpu(shape);
    struct kva_pcpu *pcpu = bytes <= SIZE_MAX ? source->take(source->context, (size_t)bytes) : NULL;

    if (!pcpu)
        return NULL;
    *pcpu = (struct kva_pcpu){.vm = vm, .unit = shape->unit, .cpus = shape->cpus, .bytes = (size_t)bytes};
    pcpu->absent = no_chunk;
    pcpu->empty = no_chunk;
    pcpu->stride = shape->unit + (size_t)page_of(vm);
    pcpu->per_group = shape->per_group;
    pcpu->groups = shape->groups;
    pcpu->areas = (void **)&pcpu->distance[shape->cpus];
    pcpu->parts = (struct kva_part *)(void *)((char *)pcpu + pcpu->bytes) - shape->groups;
    set_up_stripes(pcpu, shape->nodes);
    lay_out_chunk(pcpu);
    return pcpu;
}

/** With the lock held. */
static enum kva_status create_pcpu(struct kva_vm *vm, const struct shape *shape, struct kva_pcpu **pcpu)
{
    struct kva_pcpu *made = take_pcpu(vm, shape);

    if (!made)
        return KVA_ENOMEM;
    made->stripes.owner = made->stripes.step != 0 ? ++vm->districts.owners : 0;
    made->next = vm->pcpus;
    made->link = &vm->pcpus;
    if (made->next)
        made->next->link = &made->next;
    vm->pcpus = made;
    *pcpu = made;
    return KVA_OK;
}

enum kva_status kva_pcpu_create(struct kva_vm *vm, const struct kva_pcpu_config *config,
                                struct kva_pcpu **pcpu)
{
    static const struct kva_pcpu_config usual;
    struct shape shape;

    if (!vm)
        return KVA_ENULL;
    if (!pcpu)
        return refuse_null(vm, __func__, 0, "pcpu");
    struct kva_bad bad = {NULL, 0};
    enum kva_status status = shape_of(vm, config ? config : &usual, &shape, &bad);
    main_take(&vm->locks);
    if (status == KVA_OK)
        status = create_pcpu(vm, &shape, pcpu);
    status = finish(vm, status, __func__, 0, &bad);
    main_drop(&vm->locks);
    return status;
}

static void give_pcpu(struct kva_pcpu *pcpu)
{
    struct kva_memory *source = &pcpu->vm->ledger.memory;

    if (pcpu->chunk_count > 0)
        (void)kva_space_abandon(&pcpu->offsets);
    if (pcpu->chunks)
        source->give(source->context, pcpu->chunks, pcpu->chunk_room * sizeof *pcpu->chunks);
    source->give(source->context, pcpu, pcpu->bytes);
}

void kva_pcpu_end(struct kva_vm *vm)
{
    while (vm->pcpus) {
        struct kva_pcpu *pcpu = vm->pcpus;
        vm->pcpus = pcpu->next;
        give_pcpu(pcpu);
    }
}

static void list_empty(struct kva_pcpu *pcpu, size_t k)
{
    pcpu->chunks[k].next = pcpu->empty;
    pcpu->chunks[k].prev = no_chunk;
    if (pcpu->empty != no_chunk)
        pcpu->chunks[pcpu->empty].prev = k;
    pcpu->empty = k;
}

static void unlist_empty(struct kva_pcpu *pcpu, size_t k)
{
    const struct chunk *chunk = &pcpu->chunks[k];

    if (chunk->prev != no_chunk)
        pcpu->chunks[chunk->prev].next = chunk->next;
    else
        pcpu->empty = chunk->next;
    if (chunk->next != no_chunk)
        pcpu->chunks[chunk->next].prev = chunk->prev;
}

static void list_absent(struct kva_pcpu *pcpu, size_t k)
{
    pcpu->chunks[k] = (struct chunk){.base = 0, .next = pcpu->absent};
    pcpu->absent = k;
}

/** Retire the areas of an empty chunk, and make it absent. */
static void retire_chunk(struct kva_pcpu *pcpu, size_t k, const void *by)
{
    struct kva_vm *vm = pcpu->vm;
    uintptr_t base = pcpu->chunks[k].base;

    for (unsigned group = 0; group < pcpu->groups; group++)
        kva_retire_area(vm, area_starting_at(vm, base + (uintptr_t)pcpu->parts[group].offset), by);
    unlist_empty(pcpu, k);
    list_absent(pcpu, k);
}

static void retire_empty_chunks(struct kva_pcpu *pcpu, const void *by)
{
    while (pcpu->empty != no_chunk)
        retire_chunk(pcpu, pcpu->empty, by);
}

void kva_pcpu_forget_growing(struct kva_vm *vm)
{
    for (struct kva_pcpu *pcpu = vm->pcpus; pcpu; pcpu = pcpu->next)
        pcpu->growing = 0;
}

void kva_pcpu_trim(struct kva_vm *vm)
{
    for (struct kva_pcpu *pcpu = vm->pcpus; pcpu; pcpu = pcpu->next)
        retire_empty_chunks(pcpu, NULL);
}

bool kva_pcpu_is_empty(const struct kva_vm *vm, uintptr_t start)
{
    const struct kva_descriptor *area = area_starting_at(vm, start);
    const struct kva_pcpu *pcpu = area->of.pcpu;

    return pcpu->chunks[area->by.chunk].objects == 0;
}

static void destroy_pcpu(struct kva_pcpu *pcpu, const void *by)
{
    retire_empty_chunks(pcpu, by);
    *pcpu->link = pcpu->next;
    if (pcpu->next)
        pcpu->next->link = pcpu->link;
    give_pcpu(pcpu);
}

enum kva_status kva_pcpu_destroy(struct kva_pcpu *pcpu)
{
    enum kva_status status = KVA_OK;

    if (!pcpu)
        return KVA_ENULL;
    struct kva_vm *vm = pcpu->vm;
    main_take(&vm->locks);
    if (pcpu->objects > 0)
        status = KVA_EBUSY;
    else if (pcpu->growing > 0)
        status = KVA_EREENTRY;
    else
        destroy_pcpu(pcpu, CALLER());
    status = finish(vm, status, __func__, 0, NULL);
    kva_purge_excess(vm);
    main_drop(&vm->locks);
    return status;
}

/* ------------------------------------------------------------------------------------------------- chunks */

/** Make room for one more chunk in the array. */
static bool grow_chunks(struct kva_pcpu *pcpu)
{
    struct kva_memory *source = &pcpu->vm->ledger.memory;
    size_t room = pcpu->chunk_room == 0 ? 16 : pcpu->chunk_room * 2;

    if (pcpu->chunk_count < pcpu->chunk_room)
        return true;
    size_t bytes;
    if (!mul_checked(room, sizeof(struct chunk), &bytes))
        return false;
    struct chunk *chunks = source->take(source->context, bytes);
    if (!chunks)
        return false;
    if (pcpu->chunks) {
        memcpy(chunks, pcpu->chunks, pcpu->chunk_count * sizeof *chunks);
        source->give(source->context, pcpu->chunks, pcpu->chunk_room * sizeof *chunks);
    }
    pcpu->chunks = chunks;
    pcpu->chunk_room = room;
    return true;
}

/** Extend the offsets by one free stride; the first one creates their space. */
static enum kva_status extend_offsets(struct kva_pcpu *pcpu)
{
    uint64_t end = (uint64_t)(pcpu->chunk_count + 1) * pcpu->stride;
    struct kva_config config = {
        .last = end - 1,
        .quantum = QUANTUM,
        .engine = pcpu->vm->space_config.engine,
        .memory = pcpu->vm->ledger.memory,
        .without_owners = true,
        .on_corruption = pcpu->vm->ledger.hooks.on_corruption,
        .hook_context = pcpu->vm->ledger.hooks.context,
    };

    if (pcpu->chunk_count > 0)
        return kva_space_grow(&pcpu->offsets, 0, end - 1);
    return kva_space_init(&pcpu->offsets, &config);
}

/** Preload nodes for so many changes of the offsets. */
static enum kva_status prepare_offsets(struct kva_pcpu *pcpu, size_t operations)
{
    return pcpu->offsets.map->engine->prepare(pcpu->offsets.map, operations);
}

/** Allocate offsets, in a present chunk: those of absent chunks are busy. */
static enum kva_status alloc_offset(struct kva_pcpu *pcpu, const struct kva_request *request,
                                    uint64_t *offset)
{
    struct kva_bad bad; /* unused: the request is valid */
    enum kva_status status = kva_core_alloc(pcpu->offsets.map, request, offset, &bad);

    if (status == KVA_OK)
        verify_change(&pcpu->offsets, __func__, *offset);
    return status;
}

static enum kva_status reserve_offsets(struct kva_pcpu *pcpu, uint64_t start, uint64_t bytes)
{
    enum kva_status status = core_reserve(pcpu->offsets.map, start, start + (bytes - 1), NULL);

    if (status == KVA_OK)
        verify_change(&pcpu->offsets, __func__, start);
    return status;
}

/** Free the offsets that start at `start`: KVA_OK, KVA_ENOENT. */
static enum kva_status free_offsets(struct kva_pcpu *pcpu, uint64_t start)
{
    enum kva_status status = core_free(pcpu->offsets.map, start);

    if (status == KVA_OK)
        verify_change(&pcpu->offsets, __func__, start);
    return status;
}

/** Add the offsets of one more chunk, absent: its unit and the page after it are busy. */
static enum kva_status add_absent_chunk(struct kva_pcpu *pcpu)
{
    uint64_t start = (uint64_t)pcpu->chunk_count * pcpu->stride;
    const size_t operations = 3; /* grow, and two reservations */

    if (!grow_chunks(pcpu))
        return KVA_ENOMEM;
    if (pcpu->chunk_count > 0 && prepare_offsets(pcpu, operations) != KVA_OK)
        return KVA_ENOMEM;
    enum kva_status status = extend_offsets(pcpu);
    if (status != KVA_OK)
        return status;
    status = reserve_offsets(pcpu, start, pcpu->unit);
    if (status == KVA_OK)
        status = reserve_offsets(pcpu, start + pcpu->unit, pcpu->stride - pcpu->unit);
    if (status != KVA_OK) { /* only in a new space, for which nothing was preloaded */
        (void)kva_space_abandon(&pcpu->offsets);
        return status;
    }
    list_absent(pcpu, pcpu->chunk_count++);
    return KVA_OK;
}

/** Ensure that there is an absent chunk, and nodes for the two changes that follow: freeing its offsets, and
 *  allocating an object among them. */
static enum kva_status prepare_chunk(struct kva_pcpu *pcpu)
{
    const size_t operations = 2;
    enum kva_status status = pcpu->absent == no_chunk ? add_absent_chunk(pcpu) : KVA_OK;

    return status == KVA_OK ? prepare_offsets(pcpu, operations) : status;
}

/** Make an absent chunk present. Its memory was allocated, and all else was prepared. */
static void make_present(struct kva_pcpu *pcpu)
{
    size_t k = pcpu->absent;

    for (unsigned group = 0; group < pcpu->groups; group++) {
        struct kva_descriptor *area = area_starting_at(pcpu->vm, (uintptr_t)pcpu->areas[group]);
        area->of.pcpu = pcpu;
        area->by.chunk = k;
        if (pcpu->stripes.step != 0)
            area->nodes = (uint8_t)number_of_nodes(pcpu->vm, &pcpu->stripes.nodes[group]);
    }
    (void)free_offsets(pcpu, (uint64_t)k * pcpu->stride);
    pcpu->absent = pcpu->chunks[k].next;
    pcpu->chunks[k].base = (uintptr_t)pcpu->areas[0];
    list_empty(pcpu, k);
}

/** Make one more chunk present. Its memory is allocated first, because that may call a reclaim callback,
 *  which may use this allocator; the rest calls no callback. */
static enum kva_status supply_chunk(struct kva_pcpu *pcpu, const void *caller)
{
    struct kva_vm_request request = kva_vm_request_of(1);
    struct kva_bad bad; /* unused: the request is valid */

    request.caller = caller;
    pcpu->growing++;
    const struct kva_stripes *stripes = pcpu->stripes.step != 0 ? &pcpu->stripes : NULL;
    enum kva_status status = kva_take_congruent(pcpu->vm, &request, pcpu->parts, pcpu->groups, KVA_VM_PCPU,
                                                stripes, pcpu->areas, &bad);
    pcpu->growing--;
    if (status != KVA_OK)
        return status;
    status = prepare_chunk(pcpu);
    if (status == KVA_OK) {
        make_present(pcpu);
        return KVA_OK;
    }
    for (unsigned group = 0; group < pcpu->groups; group++)
        kva_drop_area(pcpu->vm, area_starting_at(pcpu->vm, (uintptr_t)pcpu->areas[group]));
    return status;
}

/** A chunk has lost its last object: keep it, or make it absent if another is empty. Without memory to
 *  reserve its offsets, it stays present. */
static void chunk_is_empty(struct kva_pcpu *pcpu, size_t k, const void *by)
{
    bool is_second = pcpu->empty != no_chunk;

    list_empty(pcpu, k);
    if (is_second && reserve_offsets(pcpu, (uint64_t)k * pcpu->stride, pcpu->unit) == KVA_OK)
        retire_chunk(pcpu, k, by);
}

/* ------------------------------------------------------------------------------------------------ objects */

static enum kva_status validate_object(const struct kva_pcpu *pcpu, size_t size, size_t align,
                                       struct kva_bad *bad)
{
    if (size == 0 || size > pcpu->unit)
        return bad_field(bad, KVA_ESIZE, "size");
    return is_power_of_two(align) && align <= page_of(pcpu->vm) ? KVA_OK
                                                                : bad_field(bad, KVA_EALIGN, "align");
}

static enum kva_status take_offset(struct kva_pcpu *pcpu, size_t size, size_t align, const void *caller,
                                   uint64_t *offset)
{
    struct kva_request request = kva_request_of(size);
    enum kva_status status = KVA_ENOSPC;

    request.align = align;
    if (pcpu->chunk_count > 0)
        status = alloc_offset(pcpu, &request, offset);
    if (status != KVA_ENOSPC)
        return status;
    status = supply_chunk(pcpu, caller);
    return status == KVA_OK ? alloc_offset(pcpu, &request, offset) : status;
}

/** Clear every CPU's copy. */
static void clear_copies(const struct kva_pcpu *pcpu, uintptr_t object, size_t size)
{
    for (unsigned cpu = 0; cpu < pcpu->cpus; cpu++)
        memset((void *)(object + pcpu->distance[cpu]), 0, size);
}

/** With the lock held. */
static enum kva_status take_object(struct kva_pcpu *pcpu, size_t size, size_t align, const void *caller,
                                   uintptr_t *object, struct kva_bad *bad)
{
    uint64_t offset;
    enum kva_status status = validate_object(pcpu, size, align, bad);

    if (status == KVA_OK)
        status = take_offset(pcpu, size, align, caller, &offset);
    if (status != KVA_OK)
        return status;
    size_t k = (size_t)offset / pcpu->stride;
    *object = pcpu->chunks[k].base + (size_t)offset % pcpu->stride;
    if (pcpu->chunks[k].objects++ == 0)
        unlist_empty(pcpu, k);
    pcpu->objects++;
    return KVA_OK;
}

/** The copies are cleared without the lock: the caller owns the object by then. */
enum kva_status kva_pcpu_alloc(struct kva_pcpu *pcpu, size_t size, size_t align, void **object)
{
    uintptr_t address = 0;

    if (!pcpu)
        return KVA_ENULL;
    struct kva_vm *vm = pcpu->vm;
    if (!object)
        return refuse_null(vm, __func__, 0, "object");
    struct kva_bad bad = {NULL, 0};
    main_take(&vm->locks);
    enum kva_status status = take_object(pcpu, size, align, CALLER(), &address, &bad);
    status = finish(vm, status, __func__, 0, &bad);
    main_drop(&vm->locks);
    if (status != KVA_OK)
        return status;
    clear_copies(pcpu, address, size);
    *object = (void *)address;
    return KVA_OK;
}

/** Whether an area belongs to a present chunk, so that its allocator is known. */
static bool is_live_chunk(const struct kva_descriptor *area)
{
    return area_kind(area) == KVA_VM_PCPU && state_of(area) == KVA_VM_LIVE;
}

/** The chunk whose unit for CPU 0 holds an address; false if there is none. */
static bool find_chunk(const struct kva_pcpu *pcpu, uintptr_t address, size_t *k)
{
    const struct kva_descriptor *area = kva_lookup_area(pcpu->vm, address);

    if (!area || !is_live_chunk(area) || area->of.pcpu != pcpu || address - start_of(area) >= pcpu->unit)
        return false;
    *k = area->by.chunk;
    return pcpu->chunks[*k].base == start_of(area);
}

/** Why no object starts at an offset of a chunk. */
static enum kva_status why_not_freed(const struct kva_pcpu *pcpu, uint64_t offset)
{
    struct kva_segment segment;

    core_find(pcpu->offsets.map, offset, &segment);
    enum kva_status status = kva_status_of_start(&segment, offset);
    if (status != KVA_OK)
        return status;
    kva_report_corruption(&pcpu->vm->ledger.hooks, "kva_pcpu_free",
                          "I6: a busy segment is found by one lookup and not by another", offset);
    return KVA_ECORRUPT;
}

static enum kva_status give_object(struct kva_pcpu *pcpu, uintptr_t address, const void *by)
{
    size_t k;

    if (!find_chunk(pcpu, address, &k))
        return KVA_EUNKNOWN;
    uint64_t offset = (uint64_t)k * pcpu->stride + (address - pcpu->chunks[k].base);
    if (free_offsets(pcpu, offset) != KVA_OK)
        return why_not_freed(pcpu, offset);
    pcpu->objects--;
    if (--pcpu->chunks[k].objects == 0)
        chunk_is_empty(pcpu, k, by);
    return KVA_OK;
}

enum kva_status kva_pcpu_free(struct kva_pcpu *pcpu, void *object)
{
    if (!pcpu)
        return KVA_ENULL;
    if (!object)
        return KVA_OK;
    struct kva_vm *vm = pcpu->vm;
    main_take(&vm->locks);
    enum kva_status status = give_object(pcpu, (uintptr_t)object, CALLER());
    status = finish(vm, status, __func__, (uintptr_t)object, NULL);
    kva_purge_excess(vm);
    main_drop(&vm->locks);
    return status;
}

void *kva_pcpu_of(const struct kva_pcpu *pcpu, void *object, unsigned cpu)
{
    if (!pcpu || cpu >= pcpu->cpus)
        return NULL;
    return (char *)object + pcpu->distance[cpu];
}

void *kva_pcpu_here(const struct kva_pcpu *pcpu, void *object)
{
    if (!pcpu)
        return NULL;
    unsigned cpu = pcpu->vm->pages.this_cpu(pcpu->vm->pages.context);
    return kva_pcpu_of(pcpu, object, cpu % pcpu->cpus);
}

/* ------------------------------------------------------------------------------------------------- checks */

/** Whether a list holds exactly `count` chunks, all absent, or all present and empty. */
static bool is_list_right(const struct kva_pcpu *pcpu, size_t first, bool absent, size_t count)
{
    size_t prev = no_chunk;

    for (size_t k = first; k != no_chunk; prev = k, k = pcpu->chunks[k].next) {
        const struct chunk *chunk = &pcpu->chunks[k];
        if (count-- == 0 || chunk->objects > 0 || (chunk->base == 0) != absent ||
            (!absent && chunk->prev != prev))
            return false;
    }
    return count == 0;
}

/** Whether the areas of a present chunk name it. */
static bool is_chunk_known(const struct kva_pcpu *pcpu, size_t k)
{
    for (unsigned group = 0; group < pcpu->groups; group++) {
        uintptr_t start = pcpu->chunks[k].base + (uintptr_t)pcpu->parts[group].offset;
        const struct kva_descriptor *area = area_starting_at(pcpu->vm, start);
        if (!area || !is_live_chunk(area) || area->of.pcpu != pcpu || area->by.chunk != k)
            return false;
    }
    return true;
}

static const char *check_chunks(const struct kva_pcpu *pcpu)
{
    size_t absent = 0;
    size_t empty = 0;
    size_t objects = 0;

    for (size_t k = 0; k < pcpu->chunk_count; k++) {
        const struct chunk *chunk = &pcpu->chunks[k];
        if (chunk->base != 0 && !is_chunk_known(pcpu, k))
            return "V9: an area of a per-CPU chunk names another chunk";
        absent += chunk->base == 0;
        empty += chunk->base != 0 && chunk->objects == 0;
        objects += chunk->objects;
    }
    if (objects != pcpu->objects)
        return "V9: an allocator's count of objects differs from its chunks'";
    return is_list_right(pcpu, pcpu->absent, true, absent) && is_list_right(pcpu, pcpu->empty, false, empty)
               ? NULL
               : "V9: a per-CPU chunk is not on its list";
}

const char *kva_check_pcpu(const struct kva_vm *vm)
{
    const char *broken = NULL;

    for (const struct kva_pcpu *pcpu = vm->pcpus; pcpu && !broken; pcpu = pcpu->next)
        broken = check_chunks(pcpu);
    return broken;
}
