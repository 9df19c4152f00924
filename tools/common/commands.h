/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The commands of the program kva. Each gets what follows its name on the command line, with argv[0] set to
 * "kva <command>" for messages, and returns an exit code (see exit.h). argp's own usage errors leave with
 * TOOL_USAGE; main sees to that.
 */
#ifndef KVA_TOOLS_COMMANDS_H
#define KVA_TOOLS_COMMANDS_H

int kva_cmd_test(int argc, char **argv);
int kva_cmd_replay(int argc, char **argv);
int kva_cmd_bench(int argc, char **argv);

#endif
