/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Reports: a line for each area, and totals; as text, and as JSON. */
#include "vm_words.h"

/** The longest lines: that of an area in JSON has some 170 characters of its own, a caller's name of
 *  KVA_SYMBOL_BYTES, of which each may need six when escaped, and numbers of 20; a line of statistics, a name
 *  of 30 and a number. */
enum { LINE_BYTES = 1024 };

static const char *const kinds[] = {"vmalloc", "vmap", "map_ram", "percpu"};
static const char *const states[] = {"live", "later", "cached", "parked", "quarantined"};

struct writer {
    kva_dump_line *line;
    void *context;
    char room[LINE_BYTES];
    struct kva_text text;
};

static void begin_line(struct writer *writer)
{
    writer->text = text_of(writer->room, sizeof writer->room);
}

static void end_line(struct writer *writer)
{
    writer->line(writer->context, writer->room, writer->text.length);
}

/* --------------------------------------------------------------------------------------------------- text */

static void put_range(struct kva_text *text, const struct kva_vm_area *area)
{
    text_put_hex(text, area->start, KVA_ADDRESS_DIGITS);
    text_put(text, "-");
    text_put_hex(text, area->last + area->guard, KVA_ADDRESS_DIGITS);
}

static void put_area(struct kva_text *text, const struct kva_vm *vm, const struct kva_vm_area *area)
{
    put_range(text, area);
    text_put(text, " ");
    text_put_decimal(text, area->size);
    text_put(text, " ");
    put_code(text, vm, area->caller);
    text_put(text, " pages=");
    text_put_decimal(text, area->pages);
    text_put(text, " ");
    text_put(text, kinds[area->kind]);
    text_put(text, " ");
    text_put(text, states[area->state]);
    if (area->flags & KVA_VM_HUGE)
        text_put(text, " huge");
    if (area->flags & KVA_VM_ZERO)
        text_put(text, " zero");
    if (area->owner) {
        text_put(text, " owner ");
        text_put_hex(text, (uintptr_t)area->owner, KVA_ADDRESS_DIGITS);
    }
}

static void put_total(struct kva_text *text, uint64_t areas, const char *what, uint64_t bytes)
{
    text_put_decimal(text, areas);
    text_put(text, what);
    text_put_decimal(text, bytes);
    text_put(text, " bytes");
}

static void put_totals(struct kva_text *text, const struct kva_vm_stats *stats)
{
    text_put(text, "total: ");
    put_total(text, stats->live_areas, stats->live_areas == 1 ? " live area, " : " live areas, ",
              stats->live_bytes);
    text_put(text, "; ");
    put_total(text, stats->cached_areas, " cached, ", stats->cached_bytes);
    text_put(text, "; ");
    put_total(text, stats->parked_areas, " parked, ", stats->parked_bytes);
    if (stats->later_areas > 0) {
        text_put(text, "; ");
        put_total(text, stats->later_areas, " later, ", stats->later_bytes);
    }
    if (stats->quarantined_areas > 0) {
        text_put(text, "; ");
        put_total(text, stats->quarantined_areas, " quarantined, ", stats->quarantined_bytes);
    }
}

enum kva_status kva_vm_report(const struct kva_vm *vm, kva_dump_line *line, void *context)
{
    struct writer writer = {.line = line, .context = context};
    struct kva_vm_area area = {0};
    struct kva_vm_stats stats;

    if (!vm)
        return KVA_ENULL;
    if (!line)
        return refuse_look(vm, __func__, "line");
    while (kva_vm_next(vm, &area) == KVA_OK) {
        begin_line(&writer);
        put_area(&writer.text, vm, &area);
        end_line(&writer);
    }
    (void)kva_vm_stats_read(vm, &stats);
    begin_line(&writer);
    put_totals(&writer.text, &stats);
    end_line(&writer);
    return KVA_OK;
}

/* --------------------------------------------------------------------------------------------------- JSON */

static void put_hex_field(struct kva_text *text, const char *name, uint64_t value)
{
    text_put(text, name);
    text_put(text, ": \"");
    text_put_hex(text, value, 1);
    text_put(text, "\"");
}

static void put_number_field(struct kva_text *text, const char *name, uint64_t value)
{
    text_put(text, name);
    text_put(text, ": ");
    text_put_decimal(text, value);
}

static void put_flags(struct kva_text *text, unsigned flags)
{
    text_put(text, ", \"flags\": [");
    if (flags & KVA_VM_HUGE)
        text_put(text, flags & KVA_VM_ZERO ? "\"huge\", " : "\"huge\"");
    if (flags & KVA_VM_ZERO)
        text_put(text, "\"zero\"");
    text_put(text, "]");
}

static void put_area_json(struct kva_text *text, const struct kva_vm *vm, const struct kva_vm_area *area)
{
    char caller[KVA_SYMBOL_BYTES];

    name_code(caller, vm, area->caller);
    put_hex_field(text, "{\"start\"", area->start);
    put_hex_field(text, ", \"end\"", (uint64_t)area->last + area->guard + 1);
    put_number_field(text, ", \"size\"", area->size);
    put_number_field(text, ", \"pages\"", area->pages);
    text_put(text, ", \"caller\": ");
    text_put_json(text, caller);
    text_put(text, ", \"kind\": ");
    text_put_json(text, kinds[area->kind]);
    text_put(text, ", \"state\": ");
    text_put_json(text, states[area->state]);
    put_flags(text, area->flags);
    put_hex_field(text, ", \"owner\"", (uintptr_t)area->owner);
    text_put(text, "}");
}

/** One line of the object of statistics. */
static void put_stat(struct writer *writer, const char *name, uint64_t value, bool is_last)
{
    begin_line(writer);
    text_put(&writer->text, "\"");
    text_put(&writer->text, name);
    put_number_field(&writer->text, "\"", value);
    text_put(&writer->text, is_last ? "}}" : ",");
    end_line(writer);
}

static void put_stats(struct writer *writer, const struct kva_vm_stats *stats)
{
    const struct kva_vm_calls *calls = &stats->pages.calls;
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"reserve_first", stats->reserve_first},
        {"reserve_last", stats->reserve_last},
        {"live_areas", stats->live_areas},
        {"live_bytes", stats->live_bytes},
        {"later_areas", stats->later_areas},
        {"later_bytes", stats->later_bytes},
        {"cached_areas", stats->cached_areas},
        {"cached_bytes", stats->cached_bytes},
        {"parked_areas", stats->parked_areas},
        {"parked_bytes", stats->parked_bytes},
        {"quarantined_areas", stats->quarantined_areas},
        {"quarantined_bytes", stats->quarantined_bytes},
        {"ram_live", stats->ram_live},
        {"ram_parked", stats->ram_parked},
        {"frames_taken", stats->frames_taken},
        {"allocations", stats->allocations},
        {"frees", stats->frees},
        {"cache_hits", stats->cache_hits},
        {"cache_misses", stats->cache_misses},
        {"ram_hits", stats->ram_hits},
        {"ram_misses", stats->ram_misses},
        {"purges", stats->purges},
        {"purged_runs", stats->purged_runs},
        {"retries", stats->retries},
        {"grown_in_place", stats->grown_in_place},
        {"moved", stats->moved},
        {"memory_bytes", stats->memory_bytes},
        {"table_bytes", stats->table_bytes},
        {"calls_reserve", calls->reserve},
        {"calls_open", calls->open},
        {"calls_close", calls->close},
        {"calls_map", calls->map},
        {"calls_unmap", calls->unmap},
        {"calls_pool", calls->pool},
        {"calls_tables", calls->tables},
        {"weak_closes", stats->pages.weak_closes},
        {"weak_pages", stats->pages.weak_pages},
        {"mappings", stats->pages.mappings},
        {"mappings_limit", stats->pages.mappings_limit},
    };
    const size_t count = sizeof rows / sizeof rows[0];

    for (size_t i = 0; i < count; i++)
        put_stat(writer, rows[i].name, rows[i].value, i + 1 == count);
}

/** What joins the areas to the statistics; between them stands how pages are had, the only text among
 *  numbers. */
static void put_middle(struct writer *writer, const struct kva_vm_stats *stats)
{
    begin_line(writer);
    text_put(&writer->text, "], \"stats\": {\"mechanism\": ");
    text_put_json(&writer->text, stats->pages.mechanism ? stats->pages.mechanism : "");
    text_put(&writer->text, ",");
    end_line(writer);
}

enum kva_status kva_vm_report_json(const struct kva_vm *vm, kva_dump_line *line, void *context)
{
    struct writer writer = {.line = line, .context = context};
    struct kva_vm_area area = {0};
    struct kva_vm_stats stats;

    if (!vm)
        return KVA_ENULL;
    if (!line)
        return refuse_look(vm, __func__, "line");
    begin_line(&writer);
    text_put(&writer.text, "{\"areas\": [");
    end_line(&writer);
    bool more = kva_vm_next(vm, &area) == KVA_OK;
    while (more) {
        begin_line(&writer);
        put_area_json(&writer.text, vm, &area);
        more = kva_vm_next(vm, &area) == KVA_OK;
        text_put(&writer.text, more ? "," : "");
        end_line(&writer);
    }
    (void)kva_vm_stats_read(vm, &stats);
    put_middle(&writer, &stats);
    put_stats(&writer, &stats);
    return KVA_OK;
}
