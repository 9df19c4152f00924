/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
#define _GNU_SOURCE
#include "machine.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

/* The build system may define the flags and the check level with which it built the library. */
#ifndef KVA_BUILD_FLAGS
#define KVA_BUILD_FLAGS "unknown"
#endif
#ifdef KVA_CHECK_LEVEL
#define CHECK_LEVEL KVA_CHECK_LEVEL
#else
#define CHECK_LEVEL (-1)
#endif

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "unknown"
#endif

#ifdef __OPTIMIZE__
#define OPTIMIZED true
#else
#define OPTIMIZED false
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#else
#define SANITIZED false
#endif
#else
#define SANITIZED false
#endif

/* The CPUs that the program may use, read at the first call, before it bound itself to one. */
static const cpu_set_t *allowed_cpus(void)
{
    static cpu_set_t allowed;
    if (CPU_COUNT(&allowed) == 0 && sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
        CPU_ZERO(&allowed);
    return &allowed;
}

size_t machine_cpus(void)
{
    int count = CPU_COUNT(allowed_cpus());
    return count < 1 ? 1 : (size_t)count;
}

/* The number of the index-th CPU from the top, or -1. */
static int cpu_from_top(size_t index)
{
    size_t left = index % machine_cpus();
    for (int cpu = CPU_SETSIZE; cpu-- > 0;)
        if (CPU_ISSET((size_t)cpu, allowed_cpus()) && left-- == 0)
            return cpu;
    return -1;
}

static int pin(size_t index)
{
    int cpu = cpu_from_top(index);
    if (cpu < 0)
        return -1;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    return sched_setaffinity(0, sizeof(one), &one) == 0 ? cpu : -1;
}

int machine_pin(void)
{
    return pin(0);
}

bool machine_pin_to(size_t index)
{
    return pin(index) >= 0;
}

uint64_t machine_preemptions(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? (uint64_t)usage.ru_nivcsw : 0;
}

/** Read the first line of a file, without its line feed; "unknown" if there is none. */
static void first_line(const char *path, char text[MACHINE_TEXT])
{
    FILE *file = fopen(path, "r");
    if (file == NULL || fgets(text, MACHINE_TEXT, file) == NULL)
        snprintf(text, MACHINE_TEXT, "unknown");
    if (file != NULL)
        fclose(file);
    text[strcspn(text, "\n")] = 0;
}

/** The value after "key   : " in a line of /proc/cpuinfo; NULL if the line has another key. */
static const char *value_of(const char *line, const char *key)
{
    const char *colon = strstr(line, ": ");
    return strncmp(line, key, strlen(key)) == 0 && colon != NULL ? colon + 2 : NULL;
}

static void describe_cpu(struct machine *machine)
{
    char line[4096]; /* the list of features is long */
    const char *value;
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(machine->cpu, sizeof(machine->cpu), "unknown");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL && line[0] != '\n') {
        line[strcspn(line, "\n")] = 0;
        if ((value = value_of(line, "model name")) != NULL)
            snprintf(machine->cpu, sizeof(machine->cpu), "%.150s", value);
        if ((value = value_of(line, "flags")) != NULL)
            machine->virtual_machine = strstr(value, " hypervisor") != NULL;
    }
    if (file != NULL)
        fclose(file);
    machine->cpus = sysconf(_SC_NPROCESSORS_ONLN);
}

static void describe_caches(struct machine *machine)
{
    for (size_t i = 0; i < MACHINE_CACHES; i++) {
        static const char *const fields[] = {"level", "type", "size"};
        char text[3][MACHINE_TEXT];
        for (size_t field = 0; field < 3; field++) {
            char path[MACHINE_TEXT];
            snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu0/cache/index%zu/%s", i, fields[field]);
            first_line(path, text[field]);
        }
        if (strcmp(text[0], "unknown") == 0)
            break;
        snprintf(machine->cache[machine->cache_count++], MACHINE_TEXT, "L%.9s %.29s %.29s", text[0], text[1],
                 text[2]);
    }
}

static void describe_system(struct machine *machine)
{
    struct utsname name;
    snprintf(machine->kernel, sizeof(machine->kernel), "unknown");
    if (uname(&name) == 0)
        snprintf(machine->kernel, sizeof(machine->kernel), "%.40s %.60s %.40s", name.sysname, name.release,
                 name.machine);
    first_line("/sys/kernel/mm/transparent_hugepage/enabled", machine->huge_pages);
}

void machine_describe(struct machine *machine, int pinned_to)
{
    memset(machine, 0, sizeof(*machine));
    describe_cpu(machine);
    describe_caches(machine);
    describe_system(machine);
    machine->compiler = COMPILER;
    machine->flags = KVA_BUILD_FLAGS;
    machine->optimized = OPTIMIZED;
    machine->sanitized = SANITIZED;
    machine->check_level = CHECK_LEVEL;
    machine->pinned_to = pinned_to;
}
