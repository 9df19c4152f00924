/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "frames.h"

#include "fatal.h"
#include "sheet.h"

#include <string.h>

/* A crew that got a smaller share of its CPUs shared them with other programs. */
#define SHARE_LEAST 0.9

/* --------------------------------------------------------------------------------------------- one thread */

static bool is_mixed(const struct frames_row *row)
{
    return strcmp(row->what, FRAMES_MIXED) == 0;
}

/* Only a churn has a shape. */
static void describe_shape(struct sheet *sheet, const struct frames_row *row)
{
    const struct frames_shape *shape = &row->shape;
    double refused = shape->requests == 0 ? -1 : (double)shape->refused / (double)shape->requests;
    sheet_absent(sheet, row->percent == 0 || row->places);
    sheet_count(sheet, "free blocks", "huge_free", shape->huge_free);
    sheet_count(sheet, "of", "huge_possible", shape->huge_possible);
    sheet_count(sheet, "taken", "huge_taken", shape->huge_taken);
    sheet_count(sheet, "asked", "huge_asked", shape->huge_asked);
    sheet_measure(sheet, "refused %", NULL, refused < 0 ? -1 : 100 * refused, 1, 3);
    sheet_measure(sheet, NULL, "refused", refused, 1, 0);
}

static void describe_times(struct sheet *sheet, const struct frames_row *row)
{
    sheet_text(sheet, "contender", "contender", row->contender);
    sheet_times(sheet, "ns", &row->times);
    sheet_measure(sheet, row->places ? "x plain" : "x buddy", "ratio", row->times.ratio, 1, 2);
}

static void describe_json(struct sheet *sheet, const void *item)
{
    const struct frames_row *row = item;
    sheet_text(sheet, NULL, "case", row->what);
    sheet_count(sheet, NULL, "frames", row->frames);
    sheet_flag(sheet, "places", row->places);
    if (is_mixed(row))
        sheet_null(sheet, "order");
    else
        sheet_count(sheet, NULL, "order", row->order);
    if (row->percent == 0)
        sheet_null(sheet, "used_percent");
    else
        sheet_count(sheet, NULL, "used_percent", row->percent);
    describe_times(sheet, row);
    describe_shape(sheet, row);
}

static void describe_calls(struct sheet *sheet, const void *item)
{
    const struct frames_row *row = item;
    sheet_text(sheet, "case", NULL, row->what);
    sheet_count(sheet, "order", NULL, row->order);
    describe_times(sheet, row);
}

static void describe_place(struct sheet *sheet, const void *item)
{
    const struct frames_row *row = item;
    sheet_text(sheet, "case", NULL, row->what);
    if (is_mixed(row))
        sheet_cell(sheet, 'r', "order", "0..9");
    else
        sheet_cell(sheet, 'r', "order", "%u", row->order);
    sheet_cell(sheet, 'r', "used", "%u %%", row->percent);
    describe_times(sheet, row);
}

static void describe_churn(struct sheet *sheet, const void *item)
{
    const struct frames_row *row = item;
    sheet_text(sheet, "orders", NULL, is_mixed(row) ? "0..9" : "0");
    sheet_cell(sheet, 'r', "used", "%u %%", row->percent);
    describe_times(sheet, row);
    describe_shape(sheet, row);
}

/* The number of rows, from the first on, that belong to the same table. */
static size_t rows_of_table(const struct frames_row *rows, size_t count)
{
    size_t same = 1;
    while (same < count && rows[same].places == rows->places &&
           (rows->places || (rows[same].percent == 0) == (rows->percent == 0)) &&
           rows[same].frames == rows->frames)
        same++;
    return same;
}

static void report_rows(const struct frames_row *rows, size_t count, FILE *out)
{
    char frames[NUMBER_ROOM];
    for (size_t done = 0, same; done < count; done += same, rows += same) {
        bool churn = rows->percent > 0;
        same = rows_of_table(rows, count - done);
        fprintf(out, "\nframes %s (n = %s frames; times in ns)\n",
                rows->places ? "places"
                : churn      ? "churn"
                             : "calls",
                format_count(frames, rows->frames));
        sheet_print(rows->places ? describe_place
                    : churn      ? describe_churn
                                 : describe_calls,
                    rows, same, sizeof(*rows), out);
        if (rows->places)
            fputs("  zones: four zones on two nodes, with holes and with borders inside blocks. window: the "
                  "same, for frames below\n  a limit inside a zone.\n",
                  out);
        else if (churn)
            fputs("  free blocks: wholly free blocks, of those that all free frames would make. taken: "
                  "requests of order 9 that\n  succeeded, of those asked. refused: share of failed requests "
                  "of the churn with mixed orders.\n",
                  out);
    }
}

/* ------------------------------------------------------------------------------------------- many threads */

static void describe_crew(struct sheet *sheet, const void *item)
{
    const struct frames_crew *crew = item;
    sheet_text(sheet, "case", "case", crew->what);
    sheet_count(sheet, NULL, "frames", crew->frames);
    sheet_cell(sheet, 'r', "threads", "%zu%s", crew->threads, crew->alone ? " alone" : "");
    sheet_count(sheet, NULL, "threads", crew->threads);
    sheet_flag(sheet, "alone", crew->alone);
    sheet_text(sheet, "contender", "contender", crew->contender);
    sheet_measure(sheet, "M op/s", NULL, 1000 / crew->times.median_ns, 1, 2);
    sheet_times(sheet, NULL, &crew->times);
    sheet_measure(sheet, "x one", "times_one_thread", crew->over_one, 1, 2);
    sheet_measure(sheet, "x buddy", "ratio", crew->times.ratio, 1, 2);
    sheet_measure(sheet, "CPU ns/op", "cpu_ns", crew->cpu.median_ns, 1, 1);
    sheet_measure(sheet, "x one by CPU", "times_one_thread_by_cpu", crew->over_one_cpu, 1, 2);
    sheet_share(sheet, "of the CPUs", "cpu_share", crew->share);
}

static void note_on_others(const struct frames_results *results, FILE *out)
{
    double least = 1;
    for (size_t i = 0; i < results->crew_count; i++) {
        const struct frames_crew *crew = &results->crews[i];
        if (strcmp(crew->contender, FRAMES_KVA) == 0 && crew->share < least)
            least = crew->share;
    }
    if (least < SHARE_LEAST)
        fprintf(
            out,
            "  Other programs had up to %.0f %% of the CPUs: clock times are unreliable. Use the figures by "
            "CPU time.\n",
            100 * (1 - least));
}

static void report_crews(const struct frames_results *results, FILE *out)
{
    char frames[NUMBER_ROOM];
    const struct frames_crew *crews = results->crews;
    for (size_t done = 0, same; done < results->crew_count; done += same, crews += same) {
        for (same = 1; done + same < results->crew_count && crews[same].frames == crews->frames;)
            same++;
        fprintf(out, "\nframes threads (n = %s frames, a quarter used)\n",
                format_count(frames, crews->frames));
        sheet_print(describe_crew, crews, same, sizeof(*crews), out);
    }
    fputs(
        "  alone: the program has no other thread. 1: one thread works beside an idle one; it is the base of "
        "\"x one\".\n  handover: each frame is freed by another CPU; CPU ns/op is the time within both "
        "calls.\n",
        out);
    note_on_others(results, out);
}

/* --------------------------------------------------------------------------------------------- compaction */

static double ns_of(const struct times *times)
{
    return times->turns == 0 ? -1 : times->median_ns;
}

static void describe_compaction(struct sheet *sheet, const void *item)
{
    const struct compaction_row *row = item;
    uint64_t freed = row->after.huge_free - row->before.huge_free;
    double each =
        row->after.huge_free <= row->before.huge_free ? -1 : (double)row->moved_frames / (double)freed;
    double one = ns_of(&row->one);
    sheet_text(sheet, "set-up", "set_up", row->state);
    sheet_count(sheet, NULL, "frames", row->frames);
    sheet_text(sheet, "orders", NULL, row->mixed ? "0..9" : "0");
    sheet_flag(sheet, "mixed", row->mixed);
    sheet_cell(sheet, 'r', "used", "%u %%", row->percent);
    sheet_count(sheet, NULL, "used_percent", row->percent);
    sheet_text(sheet, "contender", "contender", row->contender);
    sheet_count(sheet, "free", "huge_free_before", row->before.huge_free);
    sheet_count(sheet, "after", "huge_free_after", row->after.huge_free);
    sheet_count(sheet, "of", "huge_possible", row->after.huge_possible);
    sheet_count(sheet, "taken", "huge_taken_before", row->before.huge_taken);
    sheet_count(sheet, "after", "huge_taken_after", row->after.huge_taken);
    sheet_count(sheet, NULL, "huge_asked", row->after.huge_asked);
    sheet_count(sheet, NULL, "moved_runs", row->moved_runs);
    sheet_count(sheet, "frames moved", "moved_frames", row->moved_frames);
    sheet_count(sheet, NULL, "refused_runs", row->pinned_runs);
    sheet_measure(sheet, "a block", "frames_per_block", each, 1, 1);
    sheet_count(sheet, NULL, "fewest_frames", row->fewest);
    sheet_measure(sheet, "x fewest", "over_fewest", compaction_excess(row), 1, 4);
    sheet_measure(sheet, "ns/run", "ns", ns_of(&row->run), 1, 1);
    sheet_measure(sheet, "alone", "function_ns", ns_of(&row->alone), 1, 1);
    sheet_measure(sheet, "less that", "bookkeeping_ns", compaction_bookkeeping(row), 1, 1);
    sheet_measure(sheet, "us one", NULL, one < 0 ? -1 : one, 1000, 2);
    sheet_measure(sheet, NULL, "one_ns", one, 1, 0);
}

static void report_compaction(const struct compaction_results *results, FILE *out)
{
    char frames[NUMBER_ROOM];
    const struct compaction_row *rows = results->rows;
    for (size_t done = 0, same; done < results->count; done += same, rows += same) {
        for (same = 1; done + same < results->count && rows[same].frames == rows->frames;)
            same++;
        fprintf(out, "\nframes compaction (n = %s frames)\n", format_count(frames, rows->frames));
        sheet_print(describe_compaction, rows, same, sizeof(*rows), out);
    }
    fputs(
        "  free: wholly free blocks, before and after, of those that all free frames would make. taken: of a "
        "hundred\n  requests of order 9, before and after. x fewest: frames moved, over the fewest that free "
        "as many blocks.\n  alone: the part of a run's time in the function that changes its owner's "
        "reference; no contents are copied.\n  us one: a request of order 9 for which compaction makes "
        "room.\n",
        out);
}

/* --------------------------------------------------------------------------------------------------- maps */

#define MEBIBYTE 1048576.0

static void describe_times_of_map(struct sheet *sheet, const char *head, const struct times *times)
{
    sheet_times(sheet, head, times);
    sheet_measure(sheet, "x", "ratio", times->ratio, 1, 2);
}

static void describe_maps(struct sheet *sheet, const void *item)
{
    const struct maps_row *row = item;
    sheet_cell(sheet, 'r', "used", "%u %%", row->percent);
    sheet_count(sheet, NULL, "frames", row->frames);
    sheet_count(sheet, NULL, "used_percent", row->percent);
    sheet_flag(sheet, "mapped", row->mapped);
    sheet_count(sheet, "mappings", "mappings_before", row->before.mappings);
    sheet_count(sheet, "after", "mappings_after", row->after.mappings);
    sheet_measure(sheet, "MiB", NULL, (double)row->before.bytes, MEBIBYTE, 1);
    sheet_measure(sheet, "after", NULL, (double)row->after.bytes, MEBIBYTE, 1);
    sheet_count(sheet, NULL, "bytes_before", row->before.bytes);
    sheet_count(sheet, NULL, "bytes_after", row->after.bytes);
    sheet_count(sheet, "free", "huge_free_before", row->before.free_blocks);
    sheet_count(sheet, "after", "huge_free_after", row->after.free_blocks);
    sheet_count(sheet, "of", "huge_possible", row->possible);
    sheet_count(sheet, "taken", "huge_taken_before", row->before.runs_taken);
    sheet_count(sheet, "after", "huge_taken_after", row->after.runs_taken);
    sheet_count(sheet, "moved", "moved_frames", row->moved_frames);
    sheet_count(sheet, NULL, "refused_runs", row->pinned_runs);
    sheet_measure(sheet, "us each", NULL, ns_of(&row->each), 1000, 2);
    sheet_measure(sheet, NULL, "ns", ns_of(&row->each), 1, 1);
    sheet_measure(sheet, "us wait", NULL, ns_of(&row->gap), 1000, 0);
    sheet_measure(sheet, "without", NULL, ns_of(&row->quiet), 1000, 0);
    sheet_measure(sheet, NULL, "longest_wait_ns", ns_of(&row->gap), 1, 0);
    sheet_measure(sheet, NULL, "longest_wait_without_ns", ns_of(&row->quiet), 1, 0);
    sheet_count(sheet, "stores", "stores", row->stores);
}

static void describe_view(struct sheet *sheet, const void *item)
{
    const struct maps_view *view = item;
    sheet_count(sheet, "pages", "pages", view->pages);
    sheet_count(sheet, NULL, "frames", view->frames);
    sheet_text(sheet, "frames", "contender", view->contender);
    sheet_count(sheet, "mappings", "mappings", view->mappings);
    sheet_measure(sheet, "MiB huge", NULL, (double)view->huge_bytes, MEBIBYTE, 0);
    sheet_count(sheet, NULL, "huge_bytes", view->huge_bytes);
    describe_times_of_map(sheet, "ns/touch", &view->touch);
}

static void describe_cost(struct sheet *sheet, const void *item)
{
    const struct maps_cost *cost = item;
    sheet_text(sheet, "case", "case", cost->what);
    sheet_count(sheet, "pages", "pages", cost->pages);
    sheet_text(sheet, "set", "contender", cost->contender);
    describe_times_of_map(sheet, "ns", &cost->times);
    sheet_measure(sheet, "calls", "calls", cost->calls, 1, 2);
}

/* Explain the columns. Either all frames were mapped or none, depending on the system. */
static void note_on_maps(const struct maps_results *maps, FILE *out)
{
    if (maps->rows[0].mapped)
        fputs("  MiB: memory of the set. taken: requests for 512 aligned frames that succeeded. us wait: the "
              "longest time between\n  two stores of a thread that stores to random frames without pause. "
              "without: the same without a compaction.\n",
              out);
    else
        fputs("  This system cannot block stores to shared memory (userfaultfd with write protection), so "
              "mapped frames\n  cannot be moved. These frames were not mapped.\n",
              out);
}

static void report_maps(const struct maps_results *maps, FILE *out)
{
    char frames[NUMBER_ROOM];
    for (size_t i = 0; i < maps->row_count; i++) {
        size_t same = 1;
        while (i + same < maps->row_count && maps->rows[i + same].frames == maps->rows[i].frames)
            same++;
        fprintf(out, "\nframes maps: compaction (n = %s frames, %s)\n",
                format_count(frames, maps->rows[i].frames), maps->rows[i].mapped ? "mapped" : "not mapped");
        sheet_print(describe_maps, maps->rows + i, same, sizeof(*maps->rows), out);
        i += same - 1;
    }
    if (maps->row_count > 0)
        note_on_maps(maps, out);
    fputs("\nframes maps: views\n", out);
    sheet_print(describe_view, maps->views, maps->view_count, sizeof(*maps->views), out);
    fputs("\nframes maps: costs of mapping and unmapping\n", out);
    sheet_print(describe_cost, maps->costs, maps->cost_count, sizeof(*maps->costs), out);
}

static json_t *maps_to_json(const struct maps_results *maps, bool *good)
{
    json_t *object = json_object();
    json_put(object, "compaction",
             sheet_to_json(describe_maps, maps->rows, maps->row_count, sizeof(*maps->rows), good), good);
    json_put(object, "views",
             sheet_to_json(describe_view, maps->views, maps->view_count, sizeof(*maps->views), good), good);
    json_put(object, "costs",
             sheet_to_json(describe_cost, maps->costs, maps->cost_count, sizeof(*maps->costs), good), good);
    return object;
}

/* ------------------------------------------------------------------------------------------------- memory */

static void describe_memory(struct sheet *sheet, const void *item)
{
    const struct frames_memory *memory = item;
    sheet_count(sheet, "n", "frames", memory->frames);
    sheet_text(sheet, "contender", "contender", memory->contender);
    sheet_count(sheet, "bytes", "bytes", memory->bytes);
    sheet_measure(sheet, "bits/frame", "bits_per_frame", 8 * (double)memory->bytes / (double)memory->frames,
                  1, 2);
}

/* --------------------------------------------------------------------------------------------- all tables */

void frames_report(const struct frames_results *results, const struct bench_options *options)
{
    FILE *out = options->out;
    progress_clear(&bench_progress);
    fprintf(out, "\nframes: on %zu %s, blocks of %u, one thread is %s\n", results->cpus,
            results->cpus == 1 ? "CPU" : "CPUs", (unsigned)FRAMES_BLOCK,
            results->alone ? "alone: locks use plain instructions"
                           : "not alone: locks use atomic instructions");
    report_rows(results->rows, results->row_count, out);
    report_compaction(&results->compaction, out);
    report_crews(results, out);
    report_maps(&results->maps, out);
    fputs("\nframes bookkeeping\n", out);
    sheet_print(describe_memory, results->memory, results->memory_count, sizeof(*results->memory), out);
    aims_report(&results->aims, "frames", out);
    for (size_t i = 0; i < FRAMES_PLACES; i++) {
        char title[NUMBER_ROOM];
        snprintf(title, sizeof(title), "frames, %s:", frames_places[i].name);
        aims_report(&results->place_aims[i], title, out);
    }
    fflush(out);
}

json_t *frames_to_json(const struct frames_results *results, bool *good)
{
    json_t *object = json_object();
    json_put(object, "cpus", json_count(results->cpus), good);
    json_put(object, "block", json_count(FRAMES_BLOCK), good);
    json_put(object, "alone", json_boolean(results->alone), good);
    json_put(object, "rows",
             sheet_to_json(describe_json, results->rows, results->row_count, sizeof(struct frames_row), good),
             good);
    json_put(
        object, "crews",
        sheet_to_json(describe_crew, results->crews, results->crew_count, sizeof(struct frames_crew), good),
        good);
    json_put(object, "compaction",
             sheet_to_json(describe_compaction, results->compaction.rows, results->compaction.count,
                           sizeof(struct compaction_row), good),
             good);
    json_put(object, "maps", maps_to_json(&results->maps, good), good);
    json_put(object, "bookkeeping",
             sheet_to_json(describe_memory, results->memory, results->memory_count,
                           sizeof(struct frames_memory), good),
             good);
    json_put(object, "aims", aims_to_json(&results->aims, good), good);
    json_t *places = json_object();
    for (size_t i = 0; i < FRAMES_PLACES; i++)
        json_put(places, frames_places[i].name, aims_to_json(&results->place_aims[i], good), good);
    json_put(object, "place_aims", places, good);
    return object;
}
