/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Threads that run one at a time, in every order there is. At each point of struct kva_threads the thread
 * that runs hands its turn to one that could run, by a choice; after a run, the last choice that can be made
 * otherwise is, until none is left:
 *
 *      struct kva_turns *turns = kva_turns_create(2);
 *      kva_turns_begin(turns, 0);
 *      do {
 *          ... set up a space with kva_turns_threads(turns) ...
 *          kva_turns_run(turns, body, context);     body(context, 0) and body(context, 1), interleaved
 *          ... look at what came out ...
 *      } while (kva_turns_next(turns));
 *
 * A thread that waits on a word can run as soon as the word differs. If none can and not all have ended, they
 * wait for each other: the program stops, and says so.
 */
#ifndef KVA_PORTS_TEST_TURNS_H
#define KVA_PORTS_TEST_TURNS_H

#include <kva/threads.h>

struct kva_turns;

/** `threads` threads, 1 to 8, which live until kva_turns_destroy. */
struct kva_turns *kva_turns_create(unsigned threads);
void kva_turns_destroy(struct kva_turns *turns);

/** A table for kva_config.threads: a thread's CPU is its number. A thread that is none of them is let
 *  pass. */
struct kva_threads kva_turns_threads(struct kva_turns *turns);

/** The CPU of a thread that is none of them: 0 to begin with. */
void kva_turns_set_cpu(struct kva_turns *turns, unsigned cpu);

/** From the first order on; with `most` > 0, of those orders alone in which a thread that could go on
 *  loses its turn at most that often. */
void kva_turns_begin(struct kva_turns *turns, unsigned most);

/** Run body(context, thread) on every thread, in the present order. */
void kva_turns_run(struct kva_turns *turns, void (*body)(void *context, unsigned thread), void *context);

/** Go on to the next order; false when there is none. */
bool kva_turns_next(struct kva_turns *turns);

#endif
