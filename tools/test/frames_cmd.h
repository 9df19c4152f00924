/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The command `kva test frames`, as kva_cmd_test hands it on: argv[0] is "kva test frames". Returns the
 *  exit code. */
#ifndef KVA_TOOLS_TEST_FRAMES_CMD_H
#define KVA_TOOLS_TEST_FRAMES_CMD_H

int frames_cmd(int argc, char **argv);

#endif
