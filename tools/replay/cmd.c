/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The command `kva replay`: read a log, resolve it, observe it on each engine, measure, report.
 *
 * The whole log is read and resolved before the first call is played, so no figure includes parsing, and a
 * refused log leaves nothing half done. The rounds of the engines are interleaved (A B, B A, A B ...), so
 * that a change of the machine's speed affects all of them alike.
 */
#define _GNU_SOURCE
#include "../common/commands.h"

#include "../common/clock.h"
#include "../common/exit.h"
#include "../common/number.h"
#include "../common/progress.h"
#include "format.h"
#include "report.h"

#include <kva/engine.h>
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/** Without --repeat: rounds until ROUNDS_NS have passed, but at least ROUNDS_MIN and at most ROUNDS_MAX.
 *  The median of 3 withstands one disturbed round. */
#define ROUNDS_NS UINT64_C(1000000000)
#define ROUNDS_MIN 3
#define ROUNDS_MAX 2000

#define REPEAT_MAX 1000000
#define SAMPLES_DEFAULT 10

/** With more segments than this in one space, scan is played only on request. Its calls visit half of
 *  them, at about a nanosecond each: from here on they take ten times as long as those of the other
 *  engines, and nearly all of the time of a run. */
#define SCAN_SEGMENTS 2048

enum { OPTION_JSON = 256, OPTION_SAMPLES, OPTION_STRICT };

struct command {
    const char *file;
    struct engines engines;
    bool engines_given; /* by --engine */
    bool strict;
    bool verbose;
    size_t repeat; /* 0: until ROUNDS_NS have passed */
    size_t samples;
    bool json;
};

/* ------------------------------------------------------------------------------------------- command line */

static const struct argp_option options[] = {
    {"engine", 'e', "LIST", 0,
     "Engines to play on: all, or names separated by commas (default: all, without scan above 2,048 "
     "segments)",
     0},
    {"repeat", 'r', "N", 0, "Play N times on each engine (default: for about a second in all)", 0},
    {"samples", OPTION_SAMPLES, "N", 0, "Lines of the table over time, 1 to 1000 (default: 10)", 0},
    {"strict", OPTION_STRICT, NULL, 0, "Refuse the log at the first line that is not understood", 0},
    {"verbose", 'v', NULL, 0, "Name each line that is unknown, implied, displaced or refused", 0},
    {"json", OPTION_JSON, NULL, 0, "Write one JSON document instead of text", 0},
    {0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct command *command = state->input;
    struct engines known;
    char message[ENGINES_MESSAGE];
    const char *wrong;
    switch (key) {
    case 'e':
        engines_all(&known);
        wrong = engines_parse(argument, &known, &command->engines, message);
        if (wrong != NULL)
            argp_error(state, "%s", wrong);
        command->engines_given = true;
        return 0;
    case 'r':
        command->repeat = (size_t)number_or_usage(state, "--repeat", argument, 1, REPEAT_MAX);
        return 0;
    case OPTION_SAMPLES:
        command->samples = (size_t)number_or_usage(state, "--samples", argument, 1, REPORT_SAMPLES);
        return 0;
    case OPTION_STRICT:
        command->strict = true;
        return 0;
    case 'v':
        command->verbose = true;
        return 0;
    case OPTION_JSON:
        command->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (command->file != NULL)
            argp_error(state, "only one file can be played");
        command->file = argument;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "name a file to play, or - for standard input");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp parser = {
    .options = options,
    .parser = parse_option,
    .args_doc = "FILE",
    .doc = "Play a recorded log of a program's mmap, munmap, mremap and brk calls on each engine.\v"
           "FILE is a log of\n"
           "  strace -f -ttt -e trace=mmap,munmap,mremap,brk,execve,fork,vfork,clone,clone3 -o FILE PROGRAM\n"
           "or - for standard input, plain or compressed by gzip. Other calls in it are skipped; process "
           "numbers and times are optional.\n"
           "\n"
           "Odd lines are skipped and counted by kind, and the first of each kind is shown:\n"
           "  text        not a line of strace, such as output of the program\n"
           "  call        a call to play whose arguments or result are not understood\n"
           "  unfinished  the beginning of a call whose end is not in the log\n"
           "  resumed     the end of a call whose beginning is not in the log\n"
           "  blank, comment\n"
           "  stack       part of a stack trace (strace -k)\n"
           "  summary     part of the table at the end (strace -C)\n"
           "  note        a message of strace\n"
           "  long        a line of more than 256 KiB\n"
           "  cut         the last line, or the compressed data, is cut off\n"
           "\n"
           "The engines are the library's. The list walk of kva test is not among them: it cannot take the "
           "highest fit, reserve a place, or resize, and a replay needs all three.\n"
           "\n"
           "Exit status: 0 played, all engines alike; 1 the log cannot be read, or engines differ; 2 wrong "
           "command line; 3 the system refused.",
};

/* ---------------------------------------------------------------------------------------------- measuring */

static int compare_ns(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int exit_code(enum played played)
{
    return played == PLAYED_OK ? TOOL_OK : played == PLAYED_WRONG ? TOOL_WRONG : TOOL_REFUSED;
}

static int complain(const char *engine, enum played played, const char *message)
{
    fprintf(stderr, "kva replay: %s: %s\n", engine, message);
    return exit_code(played);
}

static int refuse(const char *message)
{
    fprintf(stderr, "kva replay: %s\n", message);
    return TOOL_REFUSED;
}

/** Whether no more rounds are needed. */
static bool enough(const struct command *command, size_t rounds, uint64_t since)
{
    if (command->repeat != 0)
        return rounds == command->repeat;
    return rounds == ROUNDS_MAX || (rounds >= ROUNDS_MIN && clock_ns() - since >= ROUNDS_NS);
}

/** One round on every engine; the order alternates. */
static int measure_round(struct report *report, struct player *const *players, size_t round)
{
    char message[PLAYER_MESSAGE];
    for (size_t i = 0; i < report->engine_count; i++) {
        size_t at = round % 2 == 0 ? i : report->engine_count - 1 - i;
        struct engine_report *engine = &report->engines[at];
        enum played played = player_measure(players[at], &engine->rounds_ns[round], message);
        if (played != PLAYED_OK)
            return complain(engine->name, played, message);
        engine->rounds = round + 1;
    }
    return TOOL_OK;
}

/** Show the progress: the round's number; without --repeat also the percentage of the time or of ROUNDS_MAX,
 *  whichever is larger. */
static void show_round(struct progress *progress, const struct command *command, size_t round, uint64_t since)
{
    uint64_t of_time = 100 * (clock_ns() - since) / ROUNDS_NS;
    uint64_t of_rounds = 100 * (uint64_t)round / ROUNDS_MAX;
    uint64_t percent = of_time > of_rounds ? of_time : of_rounds;
    if (command->repeat != 0)
        progress_show(progress, "round %zu of %zu", round + 1, command->repeat);
    else
        progress_show(progress, "round %zu, %d %%", round + 1, percent < 100 ? (int)percent : 99);
}

static int measure(const struct command *command, struct report *report, struct player *const *players)
{
    struct progress progress;
    int code = TOOL_OK;
    uint64_t since = clock_ns();
    progress_begin(&progress);
    for (size_t round = 0; code == TOOL_OK && !enough(command, round, since); round++) {
        show_round(&progress, command, round, since);
        code = measure_round(report, players, round);
    }
    progress_clear(&progress);
    for (size_t i = 0; i < report->engine_count; i++)
        qsort(report->engines[i].rounds_ns, report->engines[i].rounds, sizeof(uint64_t), compare_ns);
    return code;
}

/** Remove an engine other than the first. */
static void leave_out(struct report *report, struct player **players, const char *name)
{
    for (size_t i = 1; i < report->engine_count; i++) {
        struct engine_report *engine = &report->engines[i];
        if (strcmp(engine->name, name) != 0)
            continue;
        player_destroy(players[i]);
        free(engine->rounds_ns);
        report->left_out = name;
        report->engine_count--;
        memmove(engine, engine + 1, (report->engine_count - i) * sizeof *engine);
        memmove(&players[i], &players[i + 1], (report->engine_count - i) * sizeof *players);
    }
}

/** Observe the replay on each engine. The samples of the first are kept; those of the others must equal them.
 *  A sample has no padding, so its bytes can be compared. */
static int observe(const struct command *command, struct report *report, struct player **players,
                   struct sample *spare)
{
    char message[PLAYER_MESSAGE];
    for (size_t i = 0; i < report->engine_count; i++) {
        struct engine_report *engine = &report->engines[i];
        struct sample *samples = i == 0 ? report->samples : spare;
        enum played played =
            player_observe(players[i], samples, command->samples, &engine->observed, message);
        if (played != PLAYED_OK)
            return complain(engine->name, played, message);
        if (i == 0 && !command->engines_given && engine->observed.peak_segments_one > SCAN_SEGMENTS)
            leave_out(report, players, "scan");
        report->sample_count = engine->observed.sample_count;
        if (memcmp(samples, report->samples, report->sample_count * sizeof *samples) != 0)
            return complain(engine->name, PLAYED_WRONG, "its spaces differ from the first engine's");
    }
    return TOOL_OK;
}

/* ------------------------------------------------------------------------------------------------ the run */

/** The memory of a run. */
struct stage {
    struct player *players[ENGINES_MAX];
    struct sample *samples; /* twice --samples: the second half is for comparison */
};

static bool set_stage(const struct command *command, struct report *report, struct stage *stage)
{
    size_t rounds = command->repeat != 0 ? command->repeat : ROUNDS_MAX;
    bool good = true;
    stage->samples = calloc(2 * command->samples, sizeof *stage->samples);
    report->samples = stage->samples;
    report->engine_count = command->engines.count;
    for (size_t i = 0; i < command->engines.count; i++) {
        struct engine_report *engine = &report->engines[i];
        engine->name = command->engines.name[i];
        engine->rounds_ns = calloc(rounds, sizeof *engine->rounds_ns);
        stage->players[i] = player_create(report->log, report->script, kva_engine_by_name(engine->name));
        good = good && engine->rounds_ns != NULL && stage->players[i] != NULL;
    }
    return good && stage->samples != NULL;
}

static void clear_stage(struct report *report, struct stage *stage)
{
    for (size_t i = 0; i < report->engine_count; i++) {
        free(report->engines[i].rounds_ns);
        player_destroy(stage->players[i]);
    }
    free(stage->samples);
}

static int play_and_report(const struct command *command, struct report *report)
{
    struct stage stage = {0};
    int code = set_stage(command, report, &stage) ? TOOL_OK : refuse("out of memory");
    if (code == TOOL_OK)
        code = observe(command, report, stage.players, stage.samples + command->samples);
    if (code == TOOL_OK)
        code = measure(command, report, stage.players);
    if (code == TOOL_OK && !(command->json ? report_json(report) : report_text(report)))
        code = refuse("out of memory");
    clear_stage(report, &stage);
    return code;
}

/** Report that the log has no call to play, its likely kind, and the skipped lines. */
static int nothing_to_play(const char *name, const struct strace_log *log)
{
    if (log->format != NULL)
        fprintf(stderr, "kva replay: %s: " FORMAT_MESSAGE "\n", name, log->format);
    else
        fprintf(stderr,
                "kva replay: %s: the log has no successful mmap, munmap, mremap or brk call to play\n", name);
    strace_skipped_print(stderr, name, log);
    return TOOL_WRONG;
}

/** Resolve a log, and play it. */
static int run_log(const struct command *command, const char *name, const struct strace_log *log)
{
    struct script script;
    struct report report = {.file = name, .log = log, .script = &script, .verbose = command->verbose};
    char message[256];
    bool wrong;
    int code;
    if (!script_resolve(log, &script, message, &wrong)) {
        fprintf(stderr, "kva replay: %s: %s\n", name, message);
        return wrong ? TOOL_WRONG : TOOL_REFUSED;
    }
    if (report_played(&script.counts) == 0) {
        code = nothing_to_play(name, log);
    } else {
        code = play_and_report(command, &report);
    }
    script_fini(&script);
    return code;
}

static int run(const struct command *command)
{
    bool is_stdin = strcmp(command->file, "-") == 0;
    const char *name = is_stdin ? "(standard input)" : command->file[0] == '\0' ? "''" : command->file;
    struct strace_log log;
    struct strace_error error;
    FILE *in = is_stdin ? stdin : fopen(command->file, "r");
    if (in == NULL) {
        fprintf(stderr, "kva replay: %s: %s\n", name, strerror(errno));
        return TOOL_REFUSED;
    }
    bool good = strace_read(in, command->strict, &log, &error);
    if (!is_stdin)
        fclose(in);
    if (!good) {
        strace_error_print(stderr, name, &error);
        return error.refused ? TOOL_REFUSED : TOOL_WRONG;
    }
    int code = run_log(command, name, &log);
    strace_log_fini(&log);
    return code;
}

int kva_cmd_replay(int argc, char **argv)
{
    struct command command = {.samples = SAMPLES_DEFAULT};
    engines_all(&command.engines);
    error_t refused = argp_parse(&parser, argc, argv, 0, NULL, &command);
    if (refused != 0) {
        fprintf(stderr, "kva replay: %s\n", strerror(refused));
        return TOOL_REFUSED;
    }
    return tool_finish(run(&command));
}
