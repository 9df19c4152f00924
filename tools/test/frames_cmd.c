/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The command `kva test frames`: its command line, and the run.
 */
#define _GNU_SOURCE
#include "frames_cmd.h"

#include "../common/clock.h"
#include "../common/exit.h"
#include "../common/number.h"
#include "frames_report.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { OPTION_FRAMES = 256, OPTION_JSON, OPTION_SEED, OPTION_THREADS, OPTION_TIME };

/* As for nr_threads. Owner words have 32 bits. */
#define THREADS_MOST 65535

struct command {
    struct traffic_plan plan;
    bool json;
};

static const struct argp_option options[] = {
    {"frames", OPTION_FRAMES, "N", 0,
     "Frames of each shape, 65536 to 268435456 (default: 65536, for stress 262144)", 0},
    {"threads", OPTION_THREADS, "N", 0, "Threads at once (default: two for each CPU)", 0},
    {"time", OPTION_TIME, "TIME", 0, "Run for TIME (90s, 2m, 1h; default: 1s, for stress 10s)", 0},
    {"seed", OPTION_SEED, "N", 0, "The seed of the random requests", 0},
    {"json", OPTION_JSON, NULL, 0, "Write one JSON document instead of text", 0},
    {0},
};

static const struct {
    const char *name;
    uint64_t time_ns;
    uint64_t frames;
} modes[] = {
    {"smoke", UINT64_C(1000000000), UINT64_C(1) << 16},
    {"stress", UINT64_C(10000000000), UINT64_C(1) << 18},
};

static bool choose_mode(struct traffic_plan *plan, const char *name)
{
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(name, modes[i].name) != 0)
            continue;
        plan->mode = modes[i].name;
        plan->time_ns = plan->time_ns != 0 ? plan->time_ns : modes[i].time_ns;
        plan->frames = plan->frames != 0 ? plan->frames : modes[i].frames;
        return true;
    }
    return false;
}

/* The mode is applied last, because options after it override it. */
static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct command *command = state->input;
    struct traffic_plan *plan = &command->plan;
    switch (key) {
    case OPTION_FRAMES:
        plan->frames = number_or_usage(state, "--frames", argument, FRAMES_LEAST, FRAMES_MOST);
        return 0;
    case OPTION_THREADS:
        plan->threads = number_or_usage(state, "--threads", argument, 1, THREADS_MOST);
        return 0;
    case OPTION_SEED:
        plan->seed = number_or_usage(state, "--seed", argument, 0, UINT64_MAX);
        return 0;
    case OPTION_TIME:
        if (!number_parse_duration(argument, &plan->time_ns))
            argp_error(state, "--time takes a time from 0.001s to 1000h, such as 90s, 2m or 1h, not '%.40s'",
                       argument);
        return 0;
    case OPTION_JSON:
        command->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num != 0)
            argp_error(state, "too many arguments");
        plan->mode = argument;
        return 0;
    case ARGP_KEY_END:
        if (!choose_mode(plan, plan->mode))
            argp_error(state, "the modes are smoke and stress, not '%.40s'", plan->mode);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp parser = {
    .options = options,
    .parser = parse_option,
    .args_doc = "[smoke|stress]",
    .doc =
        "Drive the page-frame allocator with random traffic from many threads, and verify all results."
        "\vThree shapes run for a third of the time each: one zone; five zones on two nodes, with holes and "
        "uneven ends; and these in small blocks. Compaction moves frames meanwhile. After each round no "
        "thread runs, and the set is compared with the frames that the threads hold.\n\n"
        "Exit status: 0 passed, 1 a fault was found, 2 wrong command line, 3 the system refused.",
};

/* Run a shape, and print its results. */
static int run_shape(const struct command *command, size_t index, struct traffic_report *report)
{
    const char *wrong = traffic_run(&command->plan, index, report);
    if (wrong == NULL && !command->json && !traffic_report_shape(report))
        wrong = "out of memory";
    fflush(stdout);
    if (wrong == NULL)
        return traffic_report_fault(report);
    fprintf(stderr, "kva test frames: %s: %s\n", report->shape.name, wrong);
    return TOOL_REFUSED;
}

/* A fault does not stop the run; a refusal of the system does. */
static int run(const struct command *command)
{
    struct traffic_report reports[FRAMES_SHAPES];
    int code = TOOL_OK;
    if (!command->json)
        traffic_report_plan(&command->plan);
    fflush(stdout); /* so that a killed run has printed its seed */
    for (size_t i = 0; i < FRAMES_SHAPES; i++) {
        int outcome = run_shape(command, i, &reports[i]);
        if (outcome == TOOL_REFUSED)
            return outcome;
        code = outcome != TOOL_OK ? outcome : code;
    }
    if (command->json && !traffic_report_json(&command->plan, reports, FRAMES_SHAPES)) {
        fputs("kva test frames: out of memory\n", stderr);
        return TOOL_REFUSED;
    }
    return code;
}

int frames_cmd(int argc, char **argv)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t counter = clock_ns() ^ ((uint64_t)getpid() << 32);
    struct command command = {.plan = {.mode = modes[0].name, .steps = 1000}};
    command.plan.seed = rng_splitmix(&counter) >> 32; /* short enough to type */
    command.plan.cpus = cpus < 1 ? 1 : cpus < KVA_FRAMES_CPUS ? (unsigned)cpus : KVA_FRAMES_CPUS;
    command.plan.threads = 2 * command.plan.cpus;
    error_t refused = argp_parse(&parser, argc, argv, 0, NULL, &command);
    if (refused != 0) {
        fprintf(stderr, "kva test frames: %s\n", strerror(refused));
        return TOOL_REFUSED;
    }
    return tool_finish(run(&command));
}
