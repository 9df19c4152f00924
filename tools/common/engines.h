/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Lists of engines on the command line, the same for every command: "all", or names with commas in between.
 *
 * The engines are those of the library, by their names there, and by name alone the forms of bt that the
 * machine can run (bt-avx2 and so on). kva test drives others beside them, to compare: they stand in
 * target.h. The other commands play and measure all that the library can do (highest fits, reserving a place,
 * resizing, statistics), and those can do none of that.
 */
#ifndef KVA_TOOLS_ENGINES_H
#define KVA_TOOLS_ENGINES_H

#include <stdbool.h>
#include <stddef.h>

/** No build has more engines than this, those of target.h included. */
#define ENGINES_MAX 12

/** Some engines. The names live for ever. */
struct engines {
    const char *name[ENGINES_MAX];
    size_t count;
};

/** The library's engines, its default one first. */
void engines_all(struct engines *all);

/** Add a name, as far as there is room. */
void engines_add(struct engines *engines, const char *name);

bool engines_contain(const struct engines *engines, const char *name);

/** "rb, scan". Returns `text`. */
#define ENGINES_TEXT 160
const char *engines_text(char text[ENGINES_TEXT], const struct engines *engines);

/** Read a list: "all", which is `known`, or names of those and of forms of bt, each at most once, in the
 *  order given. Returns NULL, or what is wrong, in `message`; *chosen is undefined then. */
#define ENGINES_MESSAGE 256
const char *engines_parse(const char *text, const struct engines *known, struct engines *chosen,
                          char message[ENGINES_MESSAGE]);

#endif
