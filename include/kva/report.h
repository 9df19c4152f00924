/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * kva/report.h: an instance (kva/vm.h) in words: one line for each area, and a sentence about an address that
 * faulted.
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
 *  A line has the range with its guard page, the size as asked for, the caller, the pages, the kind and the
 *  state. Where they apply, these follow: "huge", "zero", "foreign", "failed-unmap" (its guard page is a
 *  failed unmap: see WHERE MAPPINGS RUN SHORT in kva/vm.h), "nodes preferred 0x..." (or bound, interleaved;
 *  and the set), and "owner 0x...".
 *
 *  In:      vm
 *           line      called for each line
 *           context   passed to it
 *  Returns: KVA_OK, or KVA_ENULL when vm or line is NULL
 *  Cost:    O(n log n)
 *  Locking: Look, once for each line. line may look at the instance, and with threads change it: the lines
 *           then continue as kva_vm_next does
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_vm_report(const struct kva_vm *vm, kva_dump_line *line, void *context);

/* ------------------------------------------------------------------------------------------------- faults */

/** Describe in one sentence how an address that faulted relates to an instance:
 *
 *      read 12 bytes past the end of the 3-page area 0x7f0000000000, allocated at load_table+0x1c, freed: no
 *      write 1 byte before the 1-page area 0x7f0000004000, allocated at main+0x52, freed: no
 *      write 40 bytes into the 1-page area 0x7f0000004000, allocated at main+0x52, freed: yes, at main+0x71
 *      read of 0x7f0000800000, in the reservation of a kva instance, where there is no area now or recently
 *
 *  "past the end" counts from the end of the last page: 1 byte past is the guard page's first. "before"
 *  counts from the first byte: p[-1] is 1 byte before. The sentence names
 *
 *      in an area's pages     that area
 *      in a guard page        the nearer one of the area before it and the area after it
 *      elsewhere              the area that was purged there last; else the nearest one, present or purged;
 *                             of two at the same distance, the present one. None more than 256 pages away
 *
 *  It knows the last KVA_VM_HISTORY areas that were purged.
 *
 *  In:      vm
 *           address   that faulted
 *           write     whether it was written to
 *           bytes     of text
 *  Out:     text      the sentence, without a line feed, cut to fit, with a zero byte
 *  Returns: its length; 0 if the address lies neither in the reservation nor in the closed page in front of
 *           it, a pointer is NULL, or bytes is 0. Then text is empty, if there is any
 *  Cost:    O(pages of the longest area that there was + KVA_VM_HISTORY)
 *  Locking: None; async-signal-safe if kva_vm_config.symbol is (see its default). If this or another
 *           thread is in the middle of a change of the instance, the sentence may be wrong. A kva_vm_purge
 *           that comes meanwhile keeps the memory of the bookkeeping
 *  Failure: cannot fail
 */
KVA_API size_t kva_vm_fault_describe(const struct kva_vm *vm, const void *address, bool write, char *text,
                                     size_t bytes);

/** How many purged areas kva_vm_fault_describe knows: an instance keeps them in 8 KiB. */
#define KVA_VM_HISTORY 256

/** Hosted builds: report faults in an instance. From now on a SIGSEGV or SIGBUS at an address in the
 *  reservation, or in the closed page in front of it, writes the sentence above and a line feed to standard
 *  error. Then the signal takes its usual effect: the handler that was there before is called, or the program
 *  ends. Where the processor does not report whether it was a write (it does on x86 and 64-bit Arm), the
 *  sentence has "read". The handler runs on the alternate signal stack, where the thread has one
 *  (sigaltstack). The list of reported instances is the library's only state outside instances.
 *
 *  In:      vm
 *  Returns: KVA_OK
 *           KVA_ENULL    vm is NULL
 *           KVA_EEXIST   the instance is on the list already
 *           KVA_ENOSPC   the list is full: it holds 64 instances
 *           KVA_ENOMEM   the system refused a signal handler
 *  Cost:    O(list); a call or two with the first instance
 *  Locking: Sole, among calls of these two functions for any instance
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_fault_reporter_add(struct kva_vm *vm);

/** Hosted builds: stop reporting faults in an instance. Call this before kva_vm_destroy or kva_vm_abandon.
 *
 *  In:      vm
 *  Returns: KVA_OK
 *           KVA_ENULL    vm is NULL
 *           KVA_ENOENT   the instance is not on the list
 *  Cost:    O(list). With the last instance, the handlers that were there before are restored, unless others
 *           have been set since
 *  Locking: Sole, among calls of these two functions for any instance
 *  Failure: nothing has changed
 */
KVA_API enum kva_status kva_fault_reporter_remove(struct kva_vm *vm);

#ifdef __cplusplus
}
#endif

#endif
