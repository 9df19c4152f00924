/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * COMPARISON
 *   Times are of one run of a test, averaged over repeats and workers. If a budget cut loops short, times are
 *   scaled to the full count (see runner.c) and marked with "~". A ratio is how many times as fast as the
 *   reference an engine is: the reference's time divided by its time. The reference is the list walk, if it
 *   is among the engines, else the first engine. Cycles are those of the slowest worker, which is the length
 *   of the whole run; they are scaled if tests are.
 *
 *   A test that an engine cannot run has "-". The engine's total then covers fewer tests, and is compared
 *   only with a reference that ran the same tests. The total of a run with a given time is that time, and is
 *   not compared.
 */
#include "report.h"

#include "../common/clock.h"
#include "../common/exit.h"
#include "../common/json.h"
#include "../common/table.h"

#include <stdio.h>
#include <string.h>

/* --------------------------------------------------------------------------------------------------- sums */

static bool is_chosen(const struct plan *plan, size_t test)
{
    return (plan->params.run_test_mask & suite_tests[test].id) != 0;
}

/* Whether the engine ran a test. */
static bool has_run(const struct plan *plan, const struct report *report, size_t test)
{
    return is_chosen(plan, test) && suite_can_run(&report->kind, test);
}

static bool ran_the_same(const struct plan *plan, const struct report *a, const struct report *b)
{
    for (size_t test = 0; test < SUITE_TESTS; test++)
        if (has_run(plan, a, test) != has_run(plan, b, test))
            return false;
    return true;
}

static uint64_t average_usec(const struct result *result)
{
    uint64_t repeats = result_repeats(result);
    return repeats == 0 ? 0 : result->ns / repeats / 1000;
}

/* Loops in one run, rounded down: L as requested, or fewer if the budget cut them. A test without a loop
 * counts as one. */
static uint64_t loops_per_run(const struct result *result)
{
    uint64_t runs = result->passed + result->xfailed;
    return runs == 0 || result->loops_wanted == 0 ? 1 : result->loops_done / runs;
}

static double usec_of_full_run(const struct result *result)
{
    uint64_t repeats = result_repeats(result);
    return repeats == 0 ? 0 : result_full_ns(result) / (double)repeats / 1000;
}

/* A figure of the table: the mean over all workers of the microseconds of a full run. */
struct figure {
    double value;
    bool scaled;
    bool failed;     /* in some run: the time is meaningless */
    bool none;       /* not run */
    bool incomplete; /* a total of other tests than the reference's */
};

/* The quotient of two times; negative: there is none. */
static double ratio_of(const struct figure *reference, const struct figure *figure)
{
    bool comparable = !figure->failed && !figure->none && !figure->incomplete && !reference->failed &&
                      !reference->none && figure->value > 0;
    return comparable ? reference->value / figure->value : -1;
}

static struct figure usec_of_test(const struct report *report, size_t test)
{
    struct figure figure = {0};
    size_t workers = 0; /* that reached it before their time was over */
    for (size_t i = 0; i < report->workers; i++) {
        const struct result *result = &report->worker[i].results[test];
        workers += result_repeats(result) > 0;
        figure.value += usec_of_full_run(result);
        figure.scaled |= result_is_cut(result);
        figure.failed |= result->failed != 0;
    }
    figure.none = workers == 0;
    figure.value /= workers > 0 ? (double)workers : 1;
    return figure;
}

/* The worker's measured cycles, with the scaling of its tests. */
static double cycles_of_worker(const struct worker_report *worker)
{
    double cycles = (double)worker->cycles;
    for (size_t i = 0; i < SUITE_TESTS; i++)
        cycles += result_full_cycles(&worker->results[i]) - (double)worker->results[i].cycles;
    return cycles;
}

static struct figure cycles_of_run(const struct plan *plan, const struct report *report,
                                   const struct report *reference)
{
    bool comparable = plan->time_ns == 0 && ran_the_same(plan, report, reference);
    struct figure figure = {.incomplete = !comparable};
    for (size_t i = 0; i < report->workers; i++) {
        double cycles = cycles_of_worker(&report->worker[i]);
        if (cycles > figure.value)
            figure.value = cycles;
    }
    for (size_t test = 0; test < SUITE_TESTS; test++) {
        struct figure usec = usec_of_test(report, test);
        figure.scaled |= usec.scaled;
        figure.failed |= usec.failed;
    }
    return figure;
}

static size_t reference_index(const struct report *reports, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(reports[i].kind.name, "list") == 0)
            return i;
    return 0;
}

/* --------------------------------------------------------------------------------------------------- text */

void suite_report_plan(const struct plan *plan)
{
    char text[NUMBER_ROOM];
    printf("Mode: %s", plan->params.mode);
    for (size_t i = 0; i < PARAMS_KEYS; i++)
        printf(" %s=%llu", params_keys[i].name, (unsigned long long)params_value(&plan->params, i));
    if (plan->memory == TARGET_RANGES)
        printf("\nRange: 0x%llx-0x%llx, quantum %llu\n", (unsigned long long)SUITE_FIRST,
               (unsigned long long)SUITE_LAST, (unsigned long long)SUITE_PAGE);
    else
        printf("\nMemory: pages of %llu bytes, %llu %s\n", (unsigned long long)SUITE_PAGE,
               (unsigned long long)plan->nodes, plan->nodes == 1 ? "node" : "nodes");
    if (plan->budget_ns != 0)
        printf("Budget: %s seconds for each test of a worker\n",
               format_fixed(text, (double)plan->budget_ns / 1e9, 3));
    if (plan->time_ns != 0)
        printf("Time: %s seconds for each engine\n", format_fixed(text, (double)plan->time_ns / 1e9, 3));
    if (plan->held != 0)
        printf("Held: %llu areas, with holes between them\n", (unsigned long long)plan->held);
    printf("Seed: %llu\n", (unsigned long long)plan->seed);
}

/* What cut loops short. With a time, it is called that even if there is a budget as well. */
static const char *cutter(const struct plan *plan)
{
    return plan->time_ns != 0 ? "time" : "budget";
}

static void print_summary(const struct plan *plan, const struct result *result, size_t test)
{
    uint64_t repeats = plan->time_ns != 0 ? result_repeats(result) : plan->params.test_repeat_count;
    printf("Summary: %s passed: %llu failed: %llu xfailed: %llu repeat: %llu loops: %llu avg: %llu usec",
           suite_tests[test].name, (unsigned long long)result->passed, (unsigned long long)result->failed,
           (unsigned long long)result->xfailed, (unsigned long long)repeats,
           (unsigned long long)loops_per_run(result), (unsigned long long)average_usec(result));
    if (result_is_cut(result))
        printf(" (cut by the %s: %llu of %llu loops in all)", cutter(plan),
               (unsigned long long)result->loops_done, (unsigned long long)result->loops_wanted);
    putchar('\n');
}

/* A worker whose time is over may not have reached all tests. */
static void print_test(const struct plan *plan, const struct result *result, size_t test)
{
    if (result_repeats(result) > 0)
        print_summary(plan, result, test);
    else
        printf("Not reached: %s\n", suite_tests[test].name);
}

/* The requested tests that the kind cannot run. */
static void print_left_out(const struct plan *plan, const struct report *report)
{
    for (size_t test = 0; test < SUITE_TESTS; test++)
        if (is_chosen(plan, test) && !has_run(plan, report, test))
            printf("Left out: %s (%s cannot do it; see kva test --help)\n", suite_tests[test].name,
                   report->kind.name);
}

void suite_report_engine(const struct plan *plan, const struct report *report)
{
    printf("\nEngine: %s (%s)\n", report->kind.name, report->kind.about);
    for (size_t i = 0; i < report->workers; i++) {
        const struct worker_report *worker = &report->worker[i];
        for (unsigned j = 0; j < worker->tests; j++)
            print_test(plan, &worker->results[worker->order[j]], worker->order[j]);
        print_left_out(plan, report);
        printf("All test took worker%zu=%llu cycles\n", i, (unsigned long long)worker->cycles);
    }
}

static void add_figures(struct table *table, const struct figure *figures, size_t count, size_t reference)
{
    char text[NUMBER_ROOM];
    for (size_t i = 0; i < count; i++) {
        const struct figure *figure = &figures[i];
        if (figure->failed || figure->none)
            table_cell(table, "%s", figure->failed ? "failed" : "-");
        else
            table_cell(table, "%s%s", figure->scaled ? "~" : "", format_fixed(text, figure->value, 0));
        if (i != reference)
            table_cell(table, "%s", format_fixed(text, ratio_of(&figures[reference], figure), 2));
    }
}

/* "list us", "rb us", "list/rb", and so on. */
static void add_heading(struct table *table, const struct report *reports, size_t count, size_t reference)
{
    table_cell(table, "test");
    for (size_t i = 0; i < count; i++) {
        table_cell(table, "%s us", reports[i].kind.name);
        if (i != reference)
            table_cell(table, "%s/%s", reports[reference].kind.name, reports[i].kind.name);
    }
    table_rule(table);
}

bool suite_report_comparison(const struct plan *plan, const struct report *reports, size_t count)
{
    struct figure figures[TARGET_KINDS];
    size_t reference = reference_index(reports, count);
    bool scaled = false;
    char sides[2 * TARGET_KINDS + 1] = "l";
    for (size_t column = 1; column < 2 * count; column++) /* two for each kind, one for the reference */
        sides[column] = 'r';
    struct table *table = table_create(sides);
    add_heading(table, reports, count, reference);
    for (size_t test = 0; test <= SUITE_TESTS; test++) {
        bool total = test == SUITE_TESTS;
        if (total)
            table_rule(table);
        else if (!is_chosen(plan, test))
            continue;
        for (size_t i = 0; i < count; i++) {
            figures[i] = total ? cycles_of_run(plan, &reports[i], &reports[reference])
                               : usec_of_test(&reports[i], test);
            scaled |= figures[i].scaled;
        }
        table_cell(table, "%s", total ? "total cycles" : suite_tests[test].name);
        add_figures(table, figures, count, reference);
    }
    putchar('\n');
    bool printed = table_print(table, stdout, 0);
    table_destroy(table);
    if (scaled)
        printf("~ cut by the %s: scaled from the loops that were done to the full count\n", cutter(plan));
    return printed;
}

/* Refusals of the system are not failures of the engine. */
static bool is_of_environment(enum kva_status status)
{
    return status == KVA_ENOMEM || status == KVA_ELIMIT || status == KVA_ENOENT;
}

int suite_report_failures(const struct report *report)
{
    int code = TOOL_OK;
    for (size_t i = 0; i < report->workers; i++) {
        for (size_t test = 0; test < SUITE_TESTS; test++) {
            const struct failure *failure = &report->worker[i].results[test].failure;
            if (failure->what == NULL)
                continue;
            fprintf(stderr, "kva test: %s, worker %zu, %s: %s: %s (size %llu, align %llu, address 0x%llx)\n",
                    report->kind.name, i, suite_tests[test].name, failure->what,
                    kva_status_text(failure->status), (unsigned long long)failure->size,
                    (unsigned long long)failure->align, (unsigned long long)failure->addr);
            if (!is_of_environment(failure->status))
                code = TOOL_WRONG;
            else if (code == TOOL_OK)
                code = TOOL_REFUSED;
        }
    }
    if (report->ended != KVA_OK) {
        fprintf(stderr, "kva test: %s: at the end of the run: %s\n", report->kind.name,
                kva_status_text(report->ended));
        code = TOOL_WRONG;
    }
    return code;
}

/* --------------------------------------------------------------------------------------------------- JSON */

static json_t *json_parameters(const struct params *params, bool *good)
{
    json_t *object = json_object();
    for (size_t i = 0; i < PARAMS_KEYS; i++)
        json_put(object, params_keys[i].name, json_count(params_value(params, i)), good);
    return object;
}

static json_t *json_range(const struct target_range *range, bool *good)
{
    json_t *object = json_object();
    json_put(object, "first", json_address(range->first), good);
    json_put(object, "last", json_address(range->last), good);
    json_put(object, "quantum", json_count(range->quantum), good);
    return object;
}

static json_t *json_failure(const struct failure *failure, bool *good)
{
    json_t *object = json_object();
    json_put(object, "what", json_string(failure->what), good);
    json_put(object, "status", json_string(kva_status_name(failure->status)), good);
    json_put(object, "size", json_count(failure->size), good);
    json_put(object, "align", json_count(failure->align), good);
    json_put(object, "address", json_address(failure->addr), good);
    return object;
}

static json_t *json_result(const struct result *result, size_t test, bool *good)
{
    json_t *object = json_object();
    json_put(object, "id", json_count(suite_tests[test].id), good);
    json_put(object, "name", json_string(suite_tests[test].name), good);
    json_put(object, "passed", json_count(result->passed), good);
    json_put(object, "failed", json_count(result->failed), good);
    json_put(object, "xfailed", json_count(result->xfailed), good);
    json_put(object, "loops_wanted", json_count(result->loops_wanted), good);
    json_put(object, "loops_done", json_count(result->loops_done), good);
    json_put(object, "nanoseconds", json_count(result->ns), good);
    json_put(object, "loop_nanoseconds", json_count(result->loop_ns), good);
    json_put(object, "cycles", json_count(result->cycles), good);
    json_put(object, "average_microseconds", json_count(average_usec(result)), good);
    if (result->failure.what != NULL)
        json_put(object, "failure", json_failure(&result->failure, good), good);
    return object;
}

/* One worker; its tests are in the order in which they ran. */
static json_t *json_worker(const struct worker_report *worker, size_t index, bool *good)
{
    json_t *object = json_object();
    json_t *tests = json_array();
    for (unsigned i = 0; i < worker->tests; i++)
        json_add(tests, json_result(&worker->results[worker->order[i]], worker->order[i], good), good);
    json_put(object, "worker", json_count(index), good);
    json_put(object, "cycles", json_count(worker->cycles), good);
    json_put(object, "rounds", json_count(worker->rounds), good);
    json_put(object, "tests", tests, good);
    return object;
}

/* A figure of the table, and its ratio to the reference; null: there is none. */
static void put_figure(json_t *object, const char *key, const struct figure *figure,
                       const struct figure *reference, bool *good)
{
    double ratio = ratio_of(reference, figure);
    json_put(object, key, figure->failed || figure->none ? json_null() : json_measure(figure->value), good);
    json_put(object, "scaled", json_boolean(figure->scaled), good);
    json_put(object, "ratio", ratio < 0 ? json_null() : json_measure(ratio), good);
}

static json_t *json_comparison(const struct plan *plan, const struct report *report,
                               const struct report *reference, bool *good)
{
    json_t *array = json_array();
    for (size_t test = 0; test < SUITE_TESTS; test++) {
        if (!is_chosen(plan, test))
            continue;
        struct figure mine = usec_of_test(report, test), theirs = usec_of_test(reference, test);
        json_t *object = json_object();
        json_put(object, "id", json_count(suite_tests[test].id), good);
        json_put(object, "name", json_string(suite_tests[test].name), good);
        json_put(object, "left_out", json_boolean(mine.none), good);
        put_figure(object, "microseconds", &mine, &theirs, good);
        json_add(array, object, good);
    }
    return array;
}

static json_t *json_engine(const struct plan *plan, const struct report *report,
                           const struct report *reference, bool *good)
{
    struct figure mine = cycles_of_run(plan, report, reference);
    struct figure theirs = cycles_of_run(plan, reference, reference);
    json_t *object = json_object();
    json_t *total = json_object();
    json_t *workers = json_array();
    for (size_t i = 0; i < report->workers; i++)
        json_add(workers, json_worker(&report->worker[i], i, good), good);
    put_figure(total, "cycles", &mine, &theirs, good);
    json_put(object, "name", json_string(report->kind.name), good);
    json_put(object, "range", json_range(&report->range, good), good);
    json_put(object, "ended", json_string(kva_status_name(report->ended)), good);
    json_put(object, "tests", json_comparison(plan, report, reference, good), good);
    json_put(object, "total", total, good);
    json_put(object, "workers", workers, good);
    return object;
}

bool suite_report_json(const struct plan *plan, const struct report *reports, size_t count)
{
    bool good = true;
    const struct report *reference = &reports[reference_index(reports, count)];
    json_t *document = json_begin("kva test", &plan->seed, &good);
    json_t *engines = json_array();
    for (size_t i = 0; i < count; i++)
        json_add(engines, json_engine(plan, &reports[i], reference, &good), &good);
    json_put(document, "mode", json_string(plan->params.mode), &good);
    json_put(document, "parameters", json_parameters(&plan->params, &good), &good);
    json_put(document, "memory", json_string(plan->memory == TARGET_PAGES ? "pages" : "ranges"), &good);
    json_put(document, "nodes", json_count(plan->nodes), &good);
    json_put(document, "held", json_count(plan->held), &good);
    json_put(document, "budget_nanoseconds", json_count(plan->budget_ns), &good);
    json_put(document, "time_nanoseconds", json_count(plan->time_ns), &good);
    json_put(document, "cycle_unit", json_string(clock_cycle_unit()), &good);
    json_put(document, "reference", json_string(reference->kind.name), &good);
    json_put(document, "engines", engines, &good);
    return json_end(document, stdout, good);
}
