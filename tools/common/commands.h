/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The commands of the program kva. A command receives the words after its name, with argv[0] set to
 * "kva <command>" for messages, and returns an exit code (see exit.h). main makes argp exit with TOOL_USAGE
 * on its own usage errors.
 */
#ifndef KVA_TOOLS_COMMANDS_H
#define KVA_TOOLS_COMMANDS_H

int kva_cmd_test(int argc, char **argv);
int kva_cmd_replay(int argc, char **argv);
int kva_cmd_bench(int argc, char **argv);

#endif
