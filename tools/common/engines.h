/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Lists of engines on the command line, the same for every command: "all", or names separated by commas.
 *
 * The engines are the library's, by their names. "all" leaves out the forms of bt that the machine can run
 * (bt-avx2 and so on); they can be named. kva test and kva bench vmalloc also drive the allocators of
 * target.h. The other commands use operations that those lack: highest fit, reserving, resizing, statistics.
 */
#ifndef KVA_TOOLS_ENGINES_H
#define KVA_TOOLS_ENGINES_H

#include <stdbool.h>
#include <stddef.h>

/** The most engines of any build, including those of target.h. */
#define ENGINES_MAX 12

/** A list of engines. The names have static storage. */
struct engines {
    const char *name[ENGINES_MAX];
    size_t count;
};

/** The library's engines, the default first. */
void engines_all(struct engines *all);

/** Add a name, if there is room. */
void engines_add(struct engines *engines, const char *name);

bool engines_contain(const struct engines *engines, const char *name);

/** "rb, scan". Returns `text`. */
#define ENGINES_TEXT 160
const char *engines_text(char text[ENGINES_TEXT], const struct engines *engines);

/** Read a list: "all", which is `known`, or names of `known` and of forms of bt, each at most once, in order.
 *  Returns NULL, or what is wrong, in `message`; *chosen is undefined then. */
#define ENGINES_MESSAGE 256
const char *engines_parse(const char *text, const struct engines *known, struct engines *chosen,
                          char message[ENGINES_MESSAGE]);

#endif
