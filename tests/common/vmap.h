/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Shared by the tests of vmap: small instances on each mechanism that the kernel has, their state as seen
 * from outside, children that are expected to die, and the kernel's data on mappings and resident memory.
 */
#ifndef KVA_TESTS_COMMON_VMAP_H
#define KVA_TESTS_COMMON_VMAP_H

#include "harness.h"

#include <stdio.h>

#include <kva/vm.h>

#include "../../ports/test/failing_memory.h"
#include "../../ports/test/failing_pages.h"

#define TEST_KIB (UINT64_C(1) << 10)
#define TEST_MIB (UINT64_C(1) << 20)

/** Whether the library poisons memory that must not be touched: then only the requested bytes may be used. */
#if defined(__SANITIZE_ADDRESS__)
#define TEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEST_ASAN 1
#endif
#endif
#ifndef TEST_ASAN
#define TEST_ASAN 0
#endif

/** Whether the program runs under valgrind, which needs memory and mappings of its own. */
bool test_under_valgrind(void);

/** Whether the kernel is emulated by a program that lacks some of its features (qemu-user). */
bool test_is_emulated(void);

/** Whether the kernel's data on mappings and memory describe the test alone, and its limits are enforced. If
 * not, print that `what` is left out, and why; NULL: print nothing. */
bool test_is_on_its_own(const char *what);

/** Whether a test can bring a process to its limit on mappings: test_is_on_its_own, and the limit is neither
 * too low for the test nor so high that it takes too long. If not, print that `what` is left out. */
bool test_can_reach_map_limit(const char *what);

size_t test_page(void);

/* ---------------------------------------------------------------------------------------------- instances */

/** The mechanisms that the running kernel has, one by one; false after the last. */
bool test_mechanism(size_t index, enum kva_mechanism *mechanism);

const char *test_mechanism_name(enum kva_mechanism mechanism);

/** `for_each_mechanism (mechanism, index)`: the body runs once for each mechanism. */
#define for_each_mechanism(mechanism, index)                                                                 \
    for (size_t index = 0; test_mechanism(index, &(mechanism)); index++)

/** The calls of the hooks. */
struct test_hooks {
    unsigned misuses;
    unsigned corruptions;
    struct kva_fault last; /* misuse */
};

kva_hook test_count_fault;

/** An instance with sources that count and fail on demand, and hooks that record. */
struct test_vm {
    struct kva_vm *vm;
    struct kva_failing_memory memory;
    struct kva_failing_pages pages;
    struct test_hooks hooks;
};

/** A config for `test`: 64 MiB of addresses, half of them for frames; sources and hooks are set. */
struct kva_vm_config test_vm_config(struct test_vm *test, enum kva_mechanism mechanism);

/** Create the instance; fails the test if that fails. */
void test_vm_create(struct test_vm *test, const struct kva_vm_config *config);

/** Destroy it. Fails the test if areas are left, a hook was called since test_vm_forgive, or there is a
 * leak. */
void test_vm_destroy(struct test_vm *test);

/** Fail unless all that an instance took from its sources was given back. */
void test_vm_expect_nothing_lost(const struct test_vm *test, const char *what);

/** Reset the record of the misuse hook. */
void test_vm_forgive(struct test_vm *test);

/** Fail unless kva_vm_check passes. */
void test_vm_expect_sound(const struct test_vm *test, const char *what);

struct kva_vm_stats test_vm_stats(const struct kva_vm *vm);

/** The report of an instance as one text; the caller frees it. */
char *test_vm_report(const struct kva_vm *vm);

/* ----------------------------------------------------------------------------------------------- the host */

/** How many mappings the process has. */
size_t test_mappings(void);

/** One of them. */
struct test_mapping {
    uint64_t first, last;
    char about[64];     /* the text after the addresses: " rw-p 00000000 00:00 0 ...", possibly truncated */
    uint64_t anonymous; /* kilobytes that were written to; only with details */
    char flags[256];    /* its attributes: "VmFlags: rd wr ..."; only with details */
};

/** Read the next mapping from /proc/self/maps or smaps; false after the last. */
bool test_next_mapping(FILE *maps, struct test_mapping *mapping);

/** Then read its details from smaps. */
void test_mapping_details(FILE *smaps, struct test_mapping *mapping);

/** Number `index`, from 0, of a file's first line; 0 if there is none. */
uint64_t test_number_in(const char *path, unsigned index);

/** Bytes of resident memory, of mapped addresses, and of data (RLIMIT_DATA). */
uint64_t test_resident(void);
uint64_t test_addresses(void);
uint64_t test_data(void);

/** Mappings that only count: every second page of a range is a separate one. */
struct test_crowd {
    unsigned char *first; /* NULL: there are none */
    size_t bytes;
};

/** Add mappings until about `left` more are allowed; none if fewer are allowed already. */
struct test_crowd test_crowd_in(uint64_t left);

void test_leave(const struct test_crowd *crowd);

/* ----------------------------------------------------------------------------------------------- children */

/** Read a byte without a sanitizer's check. */
unsigned char test_read_byte(const void *address);
void test_write_byte(void *address, unsigned char value);

/** How a child has ended, and its standard error. */
struct test_child {
    int signal; /* that terminated it; 0: none */
    int code;   /* its exit code, if it exited */
    char text[4096];
};

/** The work of a child; the result is its exit code. cmocka's checks do not work here. */
typedef int test_child_work(void *context);

/** Fork a child that does the work, with the default action for all signals, and report how it ends. It is
 * killed after 60 seconds. */
struct test_child test_in_child(test_child_work *work, void *context);

/** In a child: on failure print the condition and its place, and exit with code 99. */
#define child_that(condition)                                                                                \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            test_child_fail(__FILE__, __LINE__, #condition);                                                 \
    } while (0)

_Noreturn void test_child_fail(const char *file, int line, const char *condition);

/** In a child: whether even the kernel cannot read a byte. */
bool test_is_closed(const void *address);

/** Fail unless a child exited with code 0. */
void test_expect_success(const struct test_child *child, const char *what);

/** Run work that locks pages in a child on each mechanism, which `context` points to. It exits with 77 where
 * the system does not permit that, which is then printed. */
void test_locking_on_each_mechanism(test_child_work *work);

#endif
