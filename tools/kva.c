/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The program kva. This file finds the command and passes the rest of the command line to it.
 */
#define _GNU_SOURCE
#include "common/commands.h"
#include "common/exit.h"

#include <kva/kva.h>

#include <argp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    const char *title; /* argv[0] of the command, which begins its messages */
    int (*run)(int argc, char **argv);
    const char *about;
} commands[] = {
    {"test", "kva test", kva_cmd_test, "run the vmalloc test suite, or drive the page-frame allocator"},
    {"replay", "kva replay", kva_cmd_replay, "play a recorded log of memory calls on each engine"},
    {"bench", "kva bench", kva_cmd_bench, "measure single operations"},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *out)
{
    fputs("Usage: kva COMMAND [ARGUMENT...]\n"
          "       kva help COMMAND\n"
          "       kva --help | --version\n"
          "\n"
          "Tests, replays and measures allocators of address ranges, memory and page frames.\n"
          "\n"
          "Commands:\n",
          out);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-8s  %s\n", commands[i].name, commands[i].about);
    fputs("  help      explain a command\n", out);
}

static void print_version(FILE *out, struct argp_state *state)
{
    (void)state;
    fprintf(out, "kva %d.%d.%d\n", KVA_VERSION_MAJOR, KVA_VERSION_MINOR, KVA_VERSION_PATCH);
}

/* The index of a command; COMMANDS if no command has that name. */
static size_t find_command(const char *name)
{
    size_t i = 0;
    while (i < COMMANDS && strcmp(commands[i].name, name) != 0)
        i++;
    return i;
}

static int complain_about_command(const char *name)
{
    fprintf(stderr, "kva: there is no command '%.60s': the commands are", name);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(stderr, " %s,", commands[i].name);
    fputs(" help\n", stderr);
    return TOOL_USAGE;
}

static int run_command(const char *name, int argc, char **argv)
{
    size_t index = find_command(name);
    if (index == COMMANDS)
        return complain_about_command(name);
    /* argv predates const in C; no command writes to the title. */
    argv[0] = (char *)(uintptr_t)commands[index].title;
    return commands[index].run(argc, argv);
}

/* `kva help`; `kva help COMMAND`, which is `kva COMMAND --help`. */
static int help(int argc, char **argv)
{
    if (argc > 2) {
        fputs("kva: help takes one command; for kva test frames, run kva test frames --help\n", stderr);
        return TOOL_USAGE;
    }
    if (argc == 2 && strcmp(argv[1], "help") != 0) {
        char option[] = "--help";
        char *line[] = {argv[0], option, NULL};
        return run_command(argv[1], 2, line);
    }
    print_usage(stdout);
    return tool_finish(TOOL_OK);
}

int main(int argc, char **argv)
{
    atexit(tool_finish_at_exit); /* 32 registrations always succeed */
    argp_err_exit_status = TOOL_USAGE;
    argp_program_version_hook = print_version;
    if (argc < 2) {
        print_usage(stderr);
        return TOOL_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        print_version(stdout, NULL);
        return tool_finish(TOOL_OK);
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-?") == 0) {
        print_usage(stdout);
        return tool_finish(TOOL_OK);
    }
    if (strcmp(word, "help") == 0)
        return help(argc - 1, argv + 1);
    return run_command(word, argc - 1, argv + 1);
}
