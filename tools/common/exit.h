/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The exit codes of the program kva, the same for every command and documented in kva(1).
 */
#ifndef KVA_TOOLS_EXIT_H
#define KVA_TOOLS_EXIT_H

#include <stdio.h>

enum tool_exit {
    TOOL_OK = 0,      /* everything requested was done and passed */
    TOOL_WRONG = 1,   /* a test failed, or the run found an error */
    TOOL_USAGE = 2,   /* the command line is wrong; nothing was done */
    TOOL_REFUSED = 3, /* the system refused: no memory, no such file, a full disk */
};

/** The last step of a command: returns `code`, or reports once that stdout lost output. */
int tool_finish(int code);

/** For atexit: the same check for exits that bypass a command's last step, such as argp's after --help. */
void tool_finish_at_exit(void);

#endif
