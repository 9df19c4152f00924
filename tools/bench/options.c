/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#define _GNU_SOURCE
#include "options.h"

#include "../common/number.h"
#include "fatal.h"

#include <kva/engine.h>
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SEED 1
#define DEFAULT_REPS 7
#define DEFAULT_TURN_MS 150
#define DEFAULT_OPERATIONS 10000000
#define DEFAULT_BASE "rb"

/* With a mapping for each area and each guard page, these take 100,000 mappings; by default a process may
 * have 65,530 (vm.max_map_count). */
#define DEFAULT_AREAS 50000

/* Longer turns, and more operations at four bytes each, are taken for typing errors. */
#define TURN_MS_LIMIT 60000
#define OPERATIONS_LIMIT 1000000000

/* The workloads outside the list of workload.c. */
#define EVICTIONS "evictions"
#define VMALLOC "vmalloc"
#define THREADS "threads"
#define FRAMES "frames"

/* The most sizes. A longer list is refused. */
#define SIZES_MAX 32

enum key {
    KEY_BASE = 256,
    KEY_SEED,
    KEY_REPS,
    KEY_TURN,
    KEY_OPERATIONS,
    KEY_AREAS,
    KEY_UNCAPPED,
    KEY_JSON,
};

static const struct argp_option argp_options[] = {
    {"engine", 'e', "LIST", 0, "Engines to measure: all (the default), or names separated by commas", 0},
    {"base", KEY_BASE, "ENGINE", 0, "The base engine of ratios; default: rb", 0},
    {"n", 'n', "N,...", 0, "Sizes instead of the workload's own, 1 to 1e7", 0},
    {"seed", KEY_SEED, "N", 0, "Seed of the random numbers; default: 1", 0},
    {"reps", KEY_REPS, "N", 0, "Timed turns for each engine, 1 to 100; default: 7", 0},
    {"turn", KEY_TURN, "MS", 0, "Length of a turn in milliseconds; default: 150", 0},
    {"operations", KEY_OPERATIONS, "N", 0, "Operations of the workload longest, an even number; default: 1e7",
     0},
    {"areas", KEY_AREAS, "N", 0, "Live areas in vmalloc's case many, 1 to 1e7; default: 50000", 0},
    {"uncapped", KEY_UNCAPPED, NULL, 0, "Run slow engines even at sizes that take hours", 0},
    {"json", KEY_JSON, NULL, 0, "Write JSON instead of tables", 0},
    {"output", 'o', "FILE", 0, "Write to FILE instead of standard output", 0},
    {0},
};

/* -------------------------------------------------------------------------------------------------- lists */

/** Call `each` for the parts of a list that is separated by commas. */
static void for_each_part(const char *list, void (*each)(const struct argp_state *, const char *),
                          const struct argp_state *state)
{
    char *copy = strdup(list);
    if (copy == NULL)
        bench_fatal(TOOL_REFUSED, "no memory");
    char *rest = copy;
    for (char *part; (part = strsep(&rest, ",")) != NULL;)
        each(state, part);
    free(copy);
}

static void choose_engines(const struct argp_state *state, const char *text, struct engines *engines)
{
    struct engines known;
    char message[ENGINES_MESSAGE];
    engines_all(&known);
    const char *wrong = engines_parse(text, &known, engines, message);
    if (wrong != NULL)
        argp_error(state, "%s", wrong);
}

/** Parse the base engine. */
static const char *base_or_usage(const struct argp_state *state, const char *text)
{
    struct engines base;
    choose_engines(state, text, &base);
    if (base.count != 1)
        argp_error(state, "--base takes one engine");
    return base.name[0];
}

/** Parse the number of operations, which come in pairs. */
static uint64_t operations_or_usage(const struct argp_state *state, const char *text)
{
    uint64_t count = number_or_usage(state, "--operations", text, 2, OPERATIONS_LIMIT);
    if (count % 2 != 0)
        argp_error(state, "--operations takes an even number, not '%s': a free and an allocation make a pair",
                   text);
    return count;
}

static void add_size(const struct argp_state *state, const char *text)
{
    struct bench_options *options = state->input;
    if (options->size_count == SIZES_MAX)
        argp_error(state, "--n: more than %d sizes", SIZES_MAX);
    options->sizes[options->size_count++] = (size_t)number_or_usage(state, "--n", text, 1, SIZE_LIMIT);
}

static void add_workload(const struct argp_state *state, const char *text)
{
    struct bench_options *options = state->input;
    char names[256] = "";
    size_t used = 0;
    const struct workload *workload;
    if (strcmp(text, VMALLOC) == 0) {
        options->vmalloc_chosen = true;
        return;
    }
    if (strcmp(text, EVICTIONS) == 0) {
        options->evictions_chosen = true;
        return;
    }
    if (strcmp(text, THREADS) == 0) {
        options->threads_chosen = true;
        return;
    }
    if (strcmp(text, FRAMES) == 0) {
        options->frames_chosen = true;
        return;
    }
    for (size_t i = 0; (workload = workload_at(i)) != NULL; i++) {
        if (strcmp(workload->name, text) == 0) {
            options->workload_chosen[i] = true;
            return;
        }
        used +=
            (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i > 0 ? ", " : "", workload->name);
    }
    argp_error(state,
               "there is no workload '%s': the workloads are %s, " EVICTIONS ", " VMALLOC ", " THREADS
               ", " FRAMES,
               text, names);
}

/* --------------------------------------------------------------------------------------------------- argp */

static void choose_defaults(struct bench_options *options)
{
    bool chosen = options->vmalloc_chosen || options->threads_chosen || options->frames_chosen ||
                  options->evictions_chosen;
    for (size_t i = 0; workload_at(i) != NULL; i++)
        chosen |= options->workload_chosen[i];
    for (size_t i = 0; workload_at(i) != NULL; i++)
        options->workload_chosen[i] |= !chosen;
    options->vmalloc_chosen |= !chosen;
    options->threads_chosen |= !chosen;
    options->frames_chosen |= !chosen;
    options->evictions_chosen |= !chosen;
    if (options->engines.count == 0)
        engines_all(&options->engines);
}

static void choose_main_engine(struct bench_options *options)
{
    const char *preferred = kva_engine_name(0);
    options->main_engine =
        engines_contain(&options->engines, preferred) ? preferred : options->engines.name[0];
}

/** Choose the base, which must be among the engines. */
static void choose_base(const struct argp_state *state, struct bench_options *options)
{
    char names[ENGINES_TEXT];
    if (options->base == NULL)
        options->base =
            engines_contain(&options->engines, DEFAULT_BASE) ? DEFAULT_BASE : options->engines.name[0];
    else if (!engines_contain(&options->engines, options->base))
        argp_error(state, "--base: %s is not among the engines to be measured, %s; add it to --engine",
                   options->base, engines_text(names, &options->engines));
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct bench_options *options = state->input;
    switch (key) {
    case 'e':
        choose_engines(state, argument, &options->engines);
        break;
    case 'n':
        for_each_part(argument, add_size, state);
        break;
    case 'o':
        options->output = argument;
        break;
    case KEY_BASE:
        options->base = base_or_usage(state, argument);
        break;
    case KEY_SEED:
        options->seed = number_or_usage(state, "--seed", argument, 0, UINT64_MAX);
        break;
    case KEY_REPS:
        options->reps = (size_t)number_or_usage(state, "--reps", argument, 1, REPS_MAX);
        break;
    case KEY_TURN:
        options->turn_ns = 1000000 * number_or_usage(state, "--turn", argument, 1, TURN_MS_LIMIT);
        break;
    case KEY_OPERATIONS:
        options->operations = operations_or_usage(state, argument);
        break;
    case KEY_AREAS:
        options->areas = (size_t)number_or_usage(state, "--areas", argument, 1, SIZE_LIMIT);
        break;
    case KEY_UNCAPPED:
        options->uncapped = true;
        break;
    case KEY_JSON:
        options->json = true;
        break;
    case ARGP_KEY_ARG:
        add_workload(state, argument);
        break;
    case ARGP_KEY_END:
        choose_defaults(options);
        choose_main_engine(options);
        choose_base(state, options);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/** Compose the list of workloads and engines for --help from their descriptions. */
static char *help(int key, const char *text, void *input)
{
    (void)input;
    if (key != ARGP_KEY_HELP_EXTRA)
        return (char *)(uintptr_t)text; /* unchanged; argp compares the address */
    char *help_text = NULL;
    size_t size;
    FILE *out = open_memstream(&help_text, &size);
    if (out == NULL)
        return NULL;
    fputs("Workloads (with their default sizes):\n", out);
    const struct workload *workload;
    for (size_t i = 0; (workload = workload_at(i)) != NULL; i++) {
        fprintf(out, "\n%s: %s n is the number of %s:", workload->name, workload->purpose, workload->counts);
        for (size_t s = 0; s < WORKLOAD_SIZES && workload->sizes[s] != 0; s++)
            fprintf(out, " %zu%s", workload->sizes[s],
                    s + 1 < WORKLOAD_SIZES && workload->sizes[s + 1] != 0 ? "," : "");
        fputs(".\n", out);
    }
    fputs("\n" EVICTIONS
          ": Textures of 1 to 256 pages in a space that holds half of them. Random textures are requested; "
          "if a range does not fit, other textures lose theirs, the least recently requested first: one by "
          "one until it fits (lru), or those that the eviction scan selects (scan). Shows evictions and "
          "candidates per success, and their times. A turn has a ten-thousandth of --operations successes. "
          "n is the number of textures: 200, 10000; at least 2.\n",
          out);
    fputs("\n" VMALLOC ": Memory instead of addresses: allocates, touches and frees areas of 1 page to "
          "64 MiB, in steady state, cold, and beside 50,000 others (--areas); maps frames; runs kva test's "
          "eight tests of 2019 on the list walk and on kva; measures resident memory. Rows: kva (by default, "
          "without guard pages, with the mechanism for older kernels), list, mmap, malloc, and jemalloc and "
          "mimalloc if they are installed; ratios are to mmap. kva uses its default engine, or the first of "
          "--engine if that is not among them. Ends with a table of aims. n is the number of pages: 1, 4, "
          "16, 100, 512, 4096, 16384.\n",
          out);
    fputs("\n" THREADS ": 1, 2, 4, 16 and 64 threads on one space or one instance of vmalloc: a churn of "
          "pooled sizes; a find, alone and beside a churn; pairs of vmalloc. Rows: pools (a space with "
          "pools), lock (without pools), 2019 (the engine rb under one mutex), kva (vmalloc), mutex (an "
          "instance for one thread, under one mutex), alone (for one thread). Then the longest wait of an "
          "operation while another thread frees a million areas (a tenth of --operations). Ends with a table "
          "of aims. All rows but 2019 use kva's default engine, or the first of --engine if that is not "
          "among them. n is the number of live ranges: 10000; at least 64.\n",
          out);
    fputs(
        "\n" FRAMES ": Page frames, in blocks of 512: allocate and free at once, fill a set, free all, 64 "
        "frames by one call, a request that fails; a churn of single frames with a quarter, half and three "
        "quarters in use, and of mixed orders, order j with probability 2^-(j+1), with half and nine tenths "
        "in use, and the free blocks that each leaves; 1 to 16 threads; frames that another CPU frees; bits "
        "of bookkeeping per frame. Compaction of such sets, by counts (kva) and by two scanners: free "
        "blocks, moves over the fewest possible, the time of a move without a copy, and of a request for "
        "which compaction makes room. Movable frames, compacted while a thread stores to them through their "
        "maps: free blocks, mappings, the time of a move, the longest wait; maps of scattered frames, of "
        "runs and of huge pages; the cost of a map in a movable set. Rows: kva, and buddy (the binary buddy "
        "system under one lock), the base of ratios. Ends with a table of aims. Uses no engine. n is the "
        "number of frames: 1048576; at least 4096, in whole blocks.\n",
        out);
    char names[ENGINES_TEXT];
    struct engines all;
    engines_all(&all);
    fprintf(out,
            "\nEngines of this build: %s. Slow engines are skipped at large sizes, which a note reports. The "
            "list walk of kva test is not an engine here: it has no statistics and no check, and cannot "
            "reserve a range.\n\n"
            "Exit status: 0 done, 1 a wrong result, 2 wrong command line, 3 the system refused.\n",
            engines_text(names, &all));
    return fclose(out) == 0 ? help_text : NULL; /* argp frees it */
}

static const char documentation[] =
    "Measure the engines on workloads: time per operation, its distribution, memory per live range, and "
    "fragmentation."
    "\vRun it on an idle machine. kva-bench(1) and docs/benchmarks.md explain the columns.";

static const struct argp argp = {
    .options = argp_options,
    .parser = parse_option,
    .args_doc = "[WORKLOAD...]",
    .doc = documentation,
    .help_filter = help,
};

void bench_options_parse(struct bench_options *options, int argc, char **argv)
{
    static size_t sizes[SIZES_MAX];
    memset(options, 0, sizeof(*options));
    options->sizes = sizes;
    options->seed = DEFAULT_SEED;
    options->reps = DEFAULT_REPS;
    options->turn_ns = UINT64_C(1000000) * DEFAULT_TURN_MS;
    options->operations = DEFAULT_OPERATIONS;
    options->areas = DEFAULT_AREAS;
    options->out = stdout;
    argp_parse(&argp, argc, argv, 0, NULL, options);
    if (options->output != NULL && (options->out = fopen(options->output, "w")) == NULL)
        bench_fatal(TOOL_REFUSED, "%s: %s", options->output, strerror(errno));
}

bool bench_options_close(struct bench_options *options)
{
    if (options->out == stdout)
        return true;
    bool written = fflush(options->out) == 0 && !ferror(options->out);
    return fclose(options->out) == 0 && written;
}
