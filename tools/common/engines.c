/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#include "engines.h"

#include <kva/engine.h>

#include <stdio.h>
#include <string.h>

/* Characters of a wrong name that a message shows. */
#define SHOWN 40

/* Names that only kva test knows. */
static const char *const peers[] = {"list", "bt-lock", "bt-pools", "bt-mutex",
                                    "mmap", "malloc",  "jemalloc", "mimalloc"};

void engines_add(struct engines *engines, const char *name)
{
    if (engines->count < ENGINES_MAX)
        engines->name[engines->count++] = name;
}

void engines_all(struct engines *all)
{
    const char *name;
    all->count = 0;
    for (size_t i = 0; (name = kva_engine_name(i)) != NULL; i++)
        engines_add(all, name);
}

/** The engine named by the `length` bytes at `text`; NULL: none. */
static const char *find(const struct engines *engines, const char *text, size_t length)
{
    for (size_t i = 0; i < engines->count; i++)
        if (strlen(engines->name[i]) == length && memcmp(engines->name[i], text, length) == 0)
            return engines->name[i];
    return NULL;
}

/** The same among the forms of bt that this machine can run. */
static const char *find_form(const char *text, size_t length)
{
    static const char *const forms[] = {"bt-scalar", "bt-avx2", "bt-avx512", "bt-neon"};

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        if (strlen(forms[i]) == length && memcmp(forms[i], text, length) == 0 &&
            kva_engine_by_name(forms[i]) != NULL)
            return forms[i];
    return NULL;
}

bool engines_contain(const struct engines *engines, const char *name)
{
    return find(engines, name, strlen(name)) != NULL;
}

const char *engines_text(char text[ENGINES_TEXT], const struct engines *engines)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < engines->count && used < ENGINES_TEXT; i++)
        used +=
            (size_t)snprintf(text + used, ENGINES_TEXT - used, "%s%s", i == 0 ? "" : ", ", engines->name[i]);
    return text;
}

static bool is_peer(const char *text, size_t length)
{
    struct engines all = {.count = 0};
    for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++)
        engines_add(&all, peers[i]);
    return find(&all, text, length) != NULL;
}

/** The message for an unknown engine; it lists the known ones. */
static const char *unknown(const struct engines *known, const char *text, size_t length,
                           char message[ENGINES_MESSAGE])
{
    char names[ENGINES_TEXT];
    const char *where = "";
    /* "list" is known to kva test only, "mmap" only on pages. */
    if (is_peer(text, length))
        where = !engines_contain(known, "list")  ? " is for kva test only"
                : engines_contain(known, "mmap") ? " is for --memory ranges only"
                                                 : " is for --memory pages only";
    snprintf(message, ENGINES_MESSAGE, "%s'%.*s'%s: the engines are %s, or all",
             *where == '\0' ? "there is no engine " : "", length < SHOWN ? (int)length : SHOWN, text, where,
             engines_text(names, known));
    return message;
}

const char *engines_parse(const char *text, const struct engines *known, struct engines *chosen,
                          char message[ENGINES_MESSAGE])
{
    if (strcmp(text, "all") == 0) {
        *chosen = *known;
        return NULL;
    }
    for (chosen->count = 0;;) {
        size_t length = strcspn(text, ",");
        const char *name = find(known, text, length);
        if (name == NULL)
            name = find_form(text, length);
        if (name == NULL)
            return unknown(known, text, length, message);
        if (engines_contain(chosen, name)) {
            snprintf(message, ENGINES_MESSAGE, "engine '%s' is named twice", name);
            return message;
        }
        if (chosen->count == ENGINES_MAX) {
            snprintf(message, ENGINES_MESSAGE, "more than %d engines", ENGINES_MAX);
            return message;
        }
        engines_add(chosen, name);
        if (text[length] == '\0')
            return NULL;
        text += length + 1;
    }
}
