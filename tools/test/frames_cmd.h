/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The command `kva test frames`, with argv[0] "kva test frames". Returns the exit code. */
#ifndef KVA_TOOLS_TEST_FRAMES_CMD_H
#define KVA_TOOLS_TEST_FRAMES_CMD_H

int frames_cmd(int argc, char **argv);

#endif
