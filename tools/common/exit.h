/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * The exit codes of the program kva, the same for every command and documented in kva(1).
 */
#ifndef KVA_TOOLS_EXIT_H
#define KVA_TOOLS_EXIT_H

#include <stdio.h>

enum tool_exit {
    TOOL_OK = 0,      /* everything asked for was done, and all of it passed */
    TOOL_WRONG = 1,   /* a test failed, or the run found something wrong */
    TOOL_USAGE = 2,   /* the command line cannot be understood; nothing was done */
    TOOL_REFUSED = 3, /* the environment refused: no memory, no such file, a full disk */
};

/** The last step of a command: `code`, unless what it wrote did not all reach stdout. Says so, once. */
int tool_finish(int code);

/** For atexit: the same for the ways out that do not come by a command's last step, as argp's after
 *  --help. */
void tool_finish_at_exit(void);

#endif
