/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva/engine.h: the engines, which find and keep the segments of a space. Kernels need this header to name
 * their engine; kva_space_create and kva_vm_create choose one by default.
 *
 *      engine  structure                       search    bytes a segment     for
 *      bt      one B+tree, vector code         O(log n)  15, 29 with owners  most programs
 *      rb      two red-black trees and a list  O(log n)  64                  kernels: small code, small stack
 *      scan    one sorted array                O(n)      24 to 48            a dozen ranges; the oracle
 *
 * All keep one contract and return the same addresses for the same calls. They differ in speed, in memory,
 * and in how easy they are to read.
 */
#ifndef KVA_ENGINE_H
#define KVA_ENGINE_H

#include <stddef.h>

#include <kva/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/** An engine: the type is private. */
struct kva_engine;

/** One B+tree of the live ranges, laid out for the cache; the gaps between them are the holes. O(log n)
 *  with few cache misses. 15 bytes a live range, 29 with owners. Under churn 2.6 to 5.7 times as fast as
 *  rb (docs/benchmarks.md). In hosted builds it uses the best vector instructions of the machine. Splitting
 *  or merging a leaf takes up to 6 KiB of the stack. */
KVA_API extern const struct kva_engine kva_engine_bt;

/** Holes in an augmented red-black tree and a list in address order, live ranges in a second tree: the
 *  design that Linux adopted in 2019 for vmalloc ("keep track of free blocks for vmap allocation"), made
 *  exact for alignments and windows. O(log n). 64 bytes a segment. For kernels: small code, little stack. */
KVA_API extern const struct kva_engine kva_engine_rb;

/** One sorted array, searched linearly: the oracle for tests of the others, and the one to read first.
 *  O(n). 24 to 48 bytes a segment. */
KVA_API extern const struct kva_engine kva_engine_scan;

/** Find an engine by its name. A program that calls this, or kva_engine_name, links all engines. One that
 *  names its engine by symbol links that one alone (and bt, if it calls kva_space_create or kva_vm_create).
 *
 *  In:      name    "rb", "bt" or "scan"; or one form of bt: "bt-scalar", "bt-avx2", "bt-avx512", "bt-neon"
 *  Returns: the engine; NULL when there is none of that name, this machine cannot run it, or name is NULL
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API const struct kva_engine *kva_engine_by_name(const char *name);

/** Enumerate the engines in this build, the one for most programs first: bt in hosted builds, rb in
 *  freestanding ones.
 *
 *  In:      index   0 for the first, and so on
 *  Returns: the engine's name, or NULL past the last
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API const char *kva_engine_name(size_t index);

/** Find one form of the bt engine.
 *
 *  In:      instructions   the vector instructions that it uses: "scalar" (none), "avx2", "avx512" or "neon"
 *  Returns: the engine; NULL when this build has no such form, this machine cannot run it, or instructions is
 *           NULL
 *  Cost:    O(1)
 *  Locking: None
 *  Failure: cannot fail
 */
KVA_API const struct kva_engine *kva_engine_bt_form(const char *instructions);

/** Hosted builds: the default engine. kva_space_create and kva_vm_create also use it in place of
 *  kva_engine_bt.
 *
 *  Returns: kva_engine_bt; or the form of it that the environment variable KVA_SIMD names ("scalar", "avx2",
 *           "avx512", "neon"), if this machine can run it
 *  Cost:    O(1)
 *  Locking: None; it reads the environment
 *  Failure: cannot fail
 */
KVA_API const struct kva_engine *kva_engine_host(void);

#ifdef __cplusplus
}
#endif

#endif
