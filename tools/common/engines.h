/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Lists of engines on the command line, the same for every command: "all", or names with commas in between.
 *
 * The engines are those of the library, by their names there, and by name alone the forms of bt that the machine can
 * run (bt-avx2 and so on). Beside them stands the list walk of bench/list,
 * "list", where a command can drive it: kva test can. The others play and measure all that the library can
 * do (highest fits, reserving a place, resizing, statistics), and the list walk can do none of that.
 */
#ifndef KVA_TOOLS_ENGINES_H
#define KVA_TOOLS_ENGINES_H

#include <stdbool.h>
#include <stddef.h>

/** No build has more engines than this, the list walk included. */
#define ENGINES_MAX 8

/** The list walk's name. */
#define ENGINES_LIST_WALK "list"

/** Some engines. The names live for ever. */
struct engines {
    const char *name[ENGINES_MAX];
    size_t count;
};

/** All engines: the list walk first, if it is to be among them, then the library's, its default one first. */
void engines_all(struct engines *all, bool with_list_walk);

bool engines_contain(const struct engines *engines, const char *name);

/** "rb, scan". Returns `text`. */
#define ENGINES_TEXT 128
const char *engines_text(char text[ENGINES_TEXT], const struct engines *engines);

/** Read a list: "all", or names, each at most once, in the order given. Returns NULL, or what is wrong, in
 *  `message`; *chosen is undefined then. */
#define ENGINES_MESSAGE 256
const char *engines_parse(const char *text, bool with_list_walk, struct engines *chosen,
                          char message[ENGINES_MESSAGE]);

#endif
