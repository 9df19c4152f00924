/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva/report.h: an instance (kva/vm.h) in words: one line for each area, and a sentence about an address that faulted.
 */
#ifndef KVA_REPORT_H
#define KVA_REPORT_H

#include <kva/vm.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Write one line for each area, in address order, then totals:
 *
 *      0x00007f0000000000-0x00007f0000003fff 12288 load_table+0x1c pages=3 vmalloc live
 *      0x00007f0000004000-0x00007f0000005fff 4096 0x000055d0c2a41136 pages=1 vmalloc cached
 *      total: 1 live area, 12288 bytes; 1 cached, 4096 bytes; 0 parked, 0 bytes
 *
 *  (the range with its guard page, the size as asked for, the caller, the pages, the kind, the state, then "huge",
 *  "zero", "foreign", "weak" (its guard can be touched: see WHERE MAPPINGS RUN SHORT), "nodes preferred 0x..." (or bound,
 *  interleaved: the set) and "owner 0x..." where they apply).
 *
 *  In:      vm
 *           line      called for each line
 *           context   handed to it
 *  Returns: KVA_OK, or KVA_ENULL when vm or line is NULL
 *  Cost:    O(n log n)
 *  Locking: Look, once for each line; line may look at the instance, and with threads change it, too: the lines then follow as
 *           kva_vm_next says
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_report(const struct kva_vm *vm, kva_dump_line *line, void *context);

/* ------------------------------------------------------------------------------------------------- faults */

/** Say in one sentence what an address that faulted has to do with an instance:
 *
 *      read 12 bytes past the end of the 3-page area 0x7f0000000000, allocated at load_table+0x1c, freed: no
 *      write 1 byte before the 1-page area 0x7f0000004000, allocated at main+0x52, freed: no
 *      write 40 bytes into the 1-page area 0x7f0000004000, allocated at main+0x52, freed: yes, at main+0x71
 *      read of 0x7f0000800000, in the reserve of an instance of kva, where no area is or was of late
 *
 *  "past the end" counts from the end of the last page, so 1 byte past is the guard page's first; "before" counts from the
 *  first byte, so p[-1] is 1 byte before. Which area is named:
 *
 *      in an area's pages     that area
 *      in a guard page        the nearer one of the area that it belongs to and the area after it
 *      where nothing is       the area that was purged there last; else the nearest one, there or purged, of two at the same
 *                             distance the one that is there. No area is named that is more than 256 pages away
 *
 *  The last KVA_VM_HISTORY areas that were purged are remembered for this.
 *
 *  In:      vm
 *           address   that faulted
 *           write     whether it was written to
 *           bytes     of text
 *  Out:     text      the sentence, without a line feed, cut to fit, with a zero byte
 *  Returns: its length; 0 (and an empty text) if the address lies neither in the reserve nor in the closed page in front of
 *           it, or a pointer is NULL
 *  Cost:    O(pages of the longest area that there was + KVA_VM_HISTORY)
 *  Locking: None; async-signal-safe, if config.symbol is (see there for the default). Should the instance be in the middle of a
 *           change, by this thread or another, the sentence may be wrong. A kva_vm_purge that comes meanwhile keeps the memory
 *           of the bookkeeping
 *  Failure: cannot fail
 */
KVA_API size_t kva_vm_fault_describe(const struct kva_vm *vm, const void *address, bool write, char *text,
                                     size_t bytes);

/** How many purged areas kva_vm_fault_describe knows: an instance remembers them in 8 KiB. */
#define KVA_VM_HISTORY 256

/** Hosted builds: from now on a SIGSEGV or SIGBUS at an address in the reserve writes the sentence above and a line feed to
 *  standard error, and then takes its usual way: the handler that was there before is called, or the program ends by
 *  the signal. Where the processor does not say whether it was a write (it does on x86 and 64-bit Arm), the sentence
 *  says "read". The handler runs on the alternate signal stack, where the thread has one (sigaltstack). The list of
 *  instances that are reported on is the library's only state outside instances.
 *
 *  In:      vm
 *  Returns: KVA_OK
 *           KVA_ENULL    vm is NULL
 *           KVA_EEXIST   it is on the list already
 *           KVA_ENOSPC   the list is full: it holds 64 instances
 *           KVA_ENOMEM   the system refused a signal handler
 *  Cost:    O(list); a call or two with the first instance
 *  Locking: Sole, among these two functions for whatever instance
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_fault_reporter_add(struct kva_vm *vm);

/** Hosted builds: no longer report on an instance. To be called before kva_vm_destroy
 *  or kva_vm_abandon.
 *
 *  In:      vm
 *  Returns: KVA_OK, KVA_ENULL (vm is NULL), KVA_ENOENT (it is not on the list)
 *  Cost:    O(list); the handlers that were there before are put back with the last, unless others have been set since
 *  Locking: Sole, among these two functions for whatever instance
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_fault_reporter_remove(struct kva_vm *vm);

#ifdef __cplusplus
}
#endif

#endif
