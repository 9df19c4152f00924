/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Threads that run one at a time, in every possible order. At each point of struct kva_threads the running
 * thread passes its turn to a thread that can run. Which one is a choice. After a run, the last choice that
 * has another option takes it, until no choice has one:
 *
 *      struct kva_turns *turns = kva_turns_create(2);
 *      kva_turns_begin(turns, 0);
 *      do {
 *          ... set up a space with kva_turns_threads(turns) ...
 *          kva_turns_run(turns, body, context);     body(context, 0) and body(context, 1), interleaved
 *          ... look at the result ...
 *      } while (kva_turns_next(turns));
 *
 * A thread that waits on a word can run as soon as the word differs. If no thread can run and not all have
 * ended, they wait for each other: the program stops with a message.
 */
#ifndef KVA_PORTS_TEST_TURNS_H
#define KVA_PORTS_TEST_TURNS_H

#include <kva/threads.h>

struct kva_turns;

/** `threads` threads, 1 to 8, until kva_turns_destroy. */
struct kva_turns *kva_turns_create(unsigned threads);
void kva_turns_destroy(struct kva_turns *turns);

/** A table for kva_config.threads. The CPU of a thread is its number. Other threads take no turns. */
struct kva_threads kva_turns_threads(struct kva_turns *turns);

/** The CPU of all other threads: 0 at first. */
void kva_turns_set_cpu(struct kva_turns *turns, unsigned cpu);

/** Begin with the first order. With `most` > 0, only orders count in which threads that could go on lose
 *  their turns at most that often. */
void kva_turns_begin(struct kva_turns *turns, unsigned most);

/** Run body(context, thread) in every thread, in the present order. */
void kva_turns_run(struct kva_turns *turns, void (*body)(void *context, unsigned thread), void *context);

/** Go on to the next order; false when there is none. */
bool kva_turns_next(struct kva_turns *turns);

#endif
