/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The output of `kva test frames`: text and JSON. */
#include "frames_report.h"

#include "../common/exit.h"
#include "../common/json.h"
#include "../common/table.h"

#include <inttypes.h>
#include <stdio.h>

void traffic_report_plan(const struct traffic_plan *plan)
{
    char text[NUMBER_ROOM];
    printf("Mode: frames %s threads=%" PRIu64 " frames=%" PRIu64 " cpus=%u\n", plan->mode, plan->threads,
           plan->frames, plan->cpus);
    printf("Time: %s seconds for all shapes\n", format_fixed(text, (double)plan->time_ns / 1e9, 3));
    printf("Seed: %" PRIu64 "\n", plan->seed);
}

static bool print_operations(const struct traffic_report *report)
{
    char text[NUMBER_ROOM];
    struct table *table = table_create("lrr");
    table_row(table, (const char *const[]){"operation", "done", "refused"});
    table_rule(table);
    for (unsigned kind = 0; kind < TRAFFIC_KINDS; kind++) {
        table_cell(table, "%s", traffic_name((enum traffic_kind)kind));
        table_cell(table, "%s", format_count(text, report->done[kind]));
        table_cell(table, "%s", format_count(text, report->refused[kind]));
    }
    bool printed = table_print(table, stdout, 0);
    table_destroy(table);
    return printed;
}

/* Percentage of the frames. */
static unsigned used_at_most(const struct traffic_report *report)
{
    return (unsigned)(report->used_at_most * 100 / report->present);
}

bool traffic_report_shape(const struct traffic_report *report)
{
    printf("\nShape: %s (%s), blocks of %u frames\n", report->shape.name, report->shape.about,
           1U << report->shape.block_order);
    bool printed = print_operations(report);
    printf("Summary: %s failed: %d rounds: %" PRIu64 " operations: %" PRIu64 " frames: %" PRIu64
           " used at most: %u %% moved: %" PRIu64 " runs, %" PRIu64 " frames bookkeeping: %" PRIu64
           " bytes\n",
           report->shape.name, report->fault[0] != '\0', report->rounds, report->operations, report->present,
           used_at_most(report), report->moved_runs, report->moved_frames, report->bytes);
    return printed;
}

int traffic_report_fault(const struct traffic_report *report)
{
    if (report->fault[0] == '\0')
        return TOOL_OK;
    fprintf(stderr, "kva test frames: %s, round %" PRIu64 ": %s\n", report->shape.name, report->rounds + 1,
            report->fault);
    return TOOL_WRONG;
}

/* --------------------------------------------------------------------------------------------------- JSON */

static json_t *json_operations(const struct traffic_report *report, bool *good)
{
    json_t *array = json_array();
    for (unsigned kind = 0; kind < TRAFFIC_KINDS; kind++) {
        json_t *object = json_object();
        json_put(object, "name", json_string(traffic_name((enum traffic_kind)kind)), good);
        json_put(object, "done", json_count(report->done[kind]), good);
        json_put(object, "refused", json_count(report->refused[kind]), good);
        json_add(array, object, good);
    }
    return array;
}

static json_t *json_zones(const struct traffic_shape *shape, bool *good)
{
    json_t *array = json_array();
    for (size_t i = 0; i < shape->zone_count; i++) {
        json_t *object = json_object();
        json_put(object, "start", json_address(shape->zones[i].start), good);
        json_put(object, "end", json_address(shape->zones[i].end), good);
        json_put(object, "node", json_count(shape->zones[i].node), good);
        json_add(array, object, good);
    }
    return array;
}

static json_t *json_shape(const struct traffic_report *report, bool *good)
{
    json_t *object = json_object();
    json_put(object, "name", json_string(report->shape.name), good);
    json_put(object, "block_order", json_count(report->shape.block_order), good);
    json_put(object, "zones", json_zones(&report->shape, good), good);
    json_put(object, "frames", json_count(report->present), good);
    json_put(object, "bookkeeping_bytes", json_count(report->bytes), good);
    json_put(object, "used_at_most", json_count(report->used_at_most), good);
    json_put(object, "moved_runs", json_count(report->moved_runs), good);
    json_put(object, "moved_frames", json_count(report->moved_frames), good);
    json_put(object, "rounds", json_count(report->rounds), good);
    json_put(object, "operations", json_operations(report, good), good);
    json_put(object, "fault", report->fault[0] == '\0' ? json_null() : json_string(report->fault), good);
    return object;
}

bool traffic_report_json(const struct traffic_plan *plan, const struct traffic_report *reports, size_t count)
{
    bool good = true;
    json_t *document = json_begin("kva test frames", &plan->seed, &good);
    json_t *shapes = json_array();
    for (size_t i = 0; i < count; i++)
        json_add(shapes, json_shape(&reports[i], &good), &good);
    json_put(document, "mode", json_string(plan->mode), &good);
    json_put(document, "threads", json_count(plan->threads), &good);
    json_put(document, "cpus", json_count(plan->cpus), &good);
    json_put(document, "time_nanoseconds", json_count(plan->time_ns), &good);
    json_put(document, "shapes", shapes, &good);
    return json_end(document, stdout, good);
}
