/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The command `kva test`: its command line, and the run.
 */
#define _GNU_SOURCE
#include "../common/commands.h"

#include "../common/clock.h"
#include "../common/exit.h"
#include "../common/nodes.h"
#include "../common/number.h"
#include "frames_cmd.h"
#include "report.h"

#include <kva/engine.h>
#include <argp.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPTION_JSON = 256, OPTION_SEED, OPTION_BUDGET, OPTION_HELD, OPTION_MEMORY, OPTION_TIME };

/* A mode and each key twice: enough to report a repeated key. */
#define MAX_ARGUMENTS (1 + 2 * PARAMS_KEYS)

struct command {
    struct plan plan;
    const char *engines; /* the argument of --engine */
    struct target_kind kinds[TARGET_KINDS];
    size_t kind_count;
    bool json;
    char *arguments[MAX_ARGUMENTS];
    size_t argument_count;
};

static const struct argp_option options[] = {
    {"engine", 'e', "LIST", 0,
     "Engines to run, one after the other: all, or names separated by commas (default: bt)", 0},
    {"memory", OPTION_MEMORY, "KIND", 0,
     "Test on pages, real memory (the default), or on ranges, addresses without memory", 0},
    {"budget", OPTION_BUDGET, "SECONDS", 0,
     "End the loop of each test after its share of SECONDS per worker; the output marks loops that were cut",
     0},
    {"time", OPTION_TIME, "TIME", 0,
     "Run each engine for TIME (90s, 2m, 1h): repeat all tests, and cut the last loops", 0},
    {"held", OPTION_HELD, "N", 0,
     "First allocate N areas with holes between them, as on a booted system (default: 0, an empty "
     "range)",
     0},
    {"seed", OPTION_SEED, "N", 0, "Repeat the run that printed this seed", 0},
    {"json", OPTION_JSON, NULL, 0, "Write one JSON document instead of text", 0},
    {0},
};

/* A budget of up to 1,000 hours, in nanoseconds. */
static bool parse_budget(const char *text, uint64_t *ns)
{
    char *end;
    double seconds = strtod(text, &end);
    if (end == text || *end != '\0' || !(seconds >= 0.001) || !(seconds <= 3600000))
        return false;
    *ns = (uint64_t)(seconds * 1e9);
    return true;
}

/* At first twice as many areas of up to 8 pages are allocated: 2^23 * 2 * 2^15 bytes, a 64th of the range. */
#define MAX_HELD (UINT64_C(1) << 23)

static void add_argument(struct command *command, char *argument, struct argp_state *state)
{
    if (command->argument_count == MAX_ARGUMENTS)
        argp_error(state, "too many arguments");
    else
        command->arguments[command->argument_count++] = argument;
}

static void choose_memory(struct command *command, const char *text, struct argp_state *state)
{
    if (strcmp(text, "pages") == 0)
        command->plan.memory = TARGET_PAGES;
    else if (strcmp(text, "ranges") == 0)
        command->plan.memory = TARGET_RANGES;
    else
        argp_error(state, "--memory takes pages or ranges, not '%.40s'", text);
}

/* Read last the arguments that depend on the memory. */
static void finish_arguments(struct command *command, struct argp_state *state)
{
    char message[PARAMS_MESSAGE], about_engines[ENGINES_MESSAGE];
    const char *wrong = target_kinds_parse(command->engines, command->plan.memory, command->kinds,
                                           &command->kind_count, about_engines);
    if (wrong == NULL)
        wrong = params_parse(&command->plan.params, command->arguments, command->argument_count,
                             command->plan.cpus, suite_mask(command->plan.memory), message);
    if (wrong != NULL)
        argp_error(state, "%s", wrong);
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct command *command = state->input;
    switch (key) {
    case 'e':
        command->engines = argument;
        return 0;
    case OPTION_MEMORY:
        choose_memory(command, argument, state);
        return 0;
    case OPTION_BUDGET:
        if (!parse_budget(argument, &command->plan.budget_ns))
            argp_error(state, "--budget takes seconds, from 0.001 to 3600000, not '%.40s'", argument);
        return 0;
    case OPTION_TIME:
        if (!number_parse_duration(argument, &command->plan.time_ns))
            argp_error(state, "--time takes a time from 0.001s to 1000h, such as 90s, 2m or 1h, not '%.40s'",
                       argument);
        return 0;
    case OPTION_HELD:
        command->plan.held = number_or_usage(state, "--held", argument, 0, MAX_HELD);
        return 0;
    case OPTION_SEED:
        command->plan.seed = number_or_usage(state, "--seed", argument, 0, UINT64_MAX);
        return 0;
    case OPTION_JSON:
        command->json = true;
        return 0;
    case ARGP_KEY_ARG:
        add_argument(command, argument, state);
        return 0;
    case ARGP_KEY_END:
        finish_arguments(command, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* List the tests that a kind leaves out, a line for each reason; semicolons separate them. */
static void list_what_is_missing(FILE *out, const char *reasons)
{
    while (reasons != NULL && *reasons != '\0') {
        size_t length = strcspn(reasons, ";");
        fprintf(out, "            %.*s\n", (int)length, reasons);
        reasons += length + strspn(reasons + length, "; ");
    }
}

static void list_engines(FILE *out)
{
    struct target_kind kind;
    fputs("\nEngines on pages, and the tests that they leave out:\n", out);
    for (size_t i = 0; target_kind_at(TARGET_PAGES, i, &kind); i++) {
        fprintf(out, "  %-8s  %s\n", kind.name, kind.about);
        list_what_is_missing(out, kind.cannot);
    }
    fputs("  jemalloc and mimalloc need libjemalloc.so.2 and libmimalloc.so.2.\n"
          "\nEngines on ranges:\n",
          out);
    for (size_t i = 0; target_kind_at(TARGET_RANGES, i, &kind); i++)
        fprintf(out, "  %-8s  %s\n", kind.name, kind.about);
}

/* The lists in --help, after the options, generated from the tables. argp frees the text. */
static char *help_filter(int key, const char *text, void *input)
{
    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC)
        return (char *)(uintptr_t)text; /* unchanged: argp compares the pointers */
    char *buffer = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&buffer, &size);
    if (out == NULL)
        return NULL;
    fputs("Modes (the first argument):\n"
          "  performance  one worker, ascending order, 3 repeats\n"
          "  smoke        one worker, 10000 loops, 10 repeats\n"
          "  stress       one worker per CPU, each in its own order, 20 repeats\n"
          "\nKeys: their range, meaning and default:\n",
          out);
    for (size_t i = 0; i < PARAMS_KEYS; i++)
        fprintf(out, "  %-21s  %" PRIu64 "..%" PRIu64 ": %s\n", params_keys[i].name, params_keys[i].low,
                params_keys[i].high, params_keys[i].meaning);
    fputs("\nTests (with --memory ranges: those up to 128):\n", out);
    for (size_t i = 0; i < SUITE_TESTS; i++)
        fprintf(out, "  %4u  %s\n", suite_tests[i].id, suite_tests[i].name);
    list_engines(out);
    fputs("\nExit status: 0 passed, 1 a test failed, 2 wrong command line, 3 the system refused.\n", out);
    if (fclose(out) != 0) {
        free(buffer);
        return NULL;
    }
    return buffer;
}

static const struct argp parser = {
    .options = options,
    .parser = parse_option,
    .args_doc = "MODE [KEY=VALUE...]\nKEY=VALUE...",
    .doc = "Run the tests of the vmalloc suite: all thirteen on real memory, or the eight of 2019 on address "
           "ranges without memory. With the first word frames, drive the page-frame allocator: see "
           "kva test frames --help.\v",
    .help_filter = help_filter,
};

/* A seed that differs between runs, short enough to type. */
static uint64_t fresh_seed(void)
{
    uint64_t counter = clock_ns() ^ ((uint64_t)getpid() << 32);
    return rng_splitmix(&counter) >> 32;
}

/* Run one engine, and print its results unless --json. Returns an exit code. *made: the report is set. */
static int run_engine(const struct command *command, size_t index, struct report *report, bool *made)
{
    const struct target_kind *kind = &command->kinds[index];
    const char *wrong = runner_run(&command->plan, kind, report);
    *made = wrong == NULL;
    if (wrong != NULL) {
        fprintf(stderr, "kva test: %s: %s\n", kind->name, wrong);
        return TOOL_REFUSED;
    }
    if (!command->json) {
        suite_report_engine(&command->plan, report);
        fflush(stdout);
    }
    return suite_report_failures(report);
}

/* Print the output that follows all engines. */
static bool conclude(const struct command *command, const struct report *reports)
{
    bool told = true;
    if (command->json)
        told = suite_report_json(&command->plan, reports, command->kind_count);
    else if (command->kind_count > 1)
        told = suite_report_comparison(&command->plan, reports, command->kind_count);
    if (!told)
        fputs("kva test: out of memory\n", stderr);
    return told;
}

/* Run all engines in turn. A failed test does not stop the run; a refusal of the system does. */
static int run(const struct command *command)
{
    struct report reports[TARGET_KINDS];
    size_t done = 0;
    int code = TOOL_OK;
    bool made = true;
    if (!command->json) {
        suite_report_plan(&command->plan);
        fflush(stdout); /* so that a killed run has printed its seed */
    }
    while (made && done < command->kind_count) {
        int answer = run_engine(command, done, &reports[done], &made);
        if (made)
            done++;
        if (code == TOOL_OK || answer == TOOL_WRONG)
            code = answer;
    }
    if (made && !conclude(command, reports))
        code = TOOL_REFUSED;
    for (size_t i = 0; i < done; i++)
        report_fini(&reports[i]);
    return code;
}

/* `kva test frames ...` has its own options. */
static int run_frames(int argc, char **argv)
{
    static char title[] = "kva test frames";
    argv[1] = title;
    return frames_cmd(argc - 1, argv + 1);
}

int kva_cmd_test(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "frames") == 0)
        return run_frames(argc, argv);
    struct command command = {0};
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    command.plan.cpus = cpus < 1 ? 1 : (uint64_t)cpus;
    command.plan.nodes = nodes_count();
    command.plan.seed = fresh_seed();
    command.plan.memory = TARGET_PAGES;
    command.engines = kva_engine_name(0); /* the library's default */
    error_t refused = argp_parse(&parser, argc, argv, 0, NULL, &command);
    if (refused != 0) {
        fprintf(stderr, "kva test: %s\n", strerror(refused));
        return TOOL_REFUSED;
    }
    return tool_finish(run(&command));
}
