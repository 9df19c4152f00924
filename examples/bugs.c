/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Three bugs, and kva's reports of them: `bugs past`, `bugs purged`, `bugs stale`; no argument: reports. */
#include <kva/report.h>
#include <kva/vm.h>
#include <stdio.h>
#include <string.h>

static void print(void *context, const char *line, size_t length)
{
    (void)context;
    (void)length;
    puts(line);
}

char *load_table(struct kva_vm *vm);

/** Not static, so that the dynamic linker knows its name and reports can print it. */
char *load_table(struct kva_vm *vm)
{
    return kva_vmalloc(vm, 10000); /* 3 pages of 4 KiB, and a guard page after them */
}

int main(int count, char **words)
{
    const char *bug = count > 1 ? words[1] : "";
    struct kva_vm *vm;

    if (kva_vm_create(NULL, &vm) != KVA_OK || kva_fault_reporter_add(vm) != KVA_OK)
        return 1;
    char *table = load_table(vm);
    char *text = kva_vzalloc(vm, 5000);
    if (!table || !text || kva_vfree(vm, text) != KVA_OK)
        return 1;
    if (strcmp(bug, "past") == 0) {
        table[3 * 4096 + 11] = 'x'; /* in the guard page */
    } else if (strcmp(bug, "purged") == 0) {
        kva_vfree(vm, table);
        kva_vm_purge(vm);
        table[100] = 'x'; /* no longer mapped */
    } else if (strcmp(bug, "stale") == 0) {
        kva_vfree(vm, table);
        table[100] = 'x'; /* freed, but still mapped */
    } else {
        kva_vm_report(vm, print, NULL);
        kva_space_dump(kva_vm_space(vm), print, NULL);
    }
    kva_fault_reporter_remove(vm);
    return kva_vm_abandon(vm, NULL, NULL) == KVA_OK ? 0 : 1;
}
