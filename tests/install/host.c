/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * Loads plug-ins (plugin.c), each with its own kva that no other sees, and runs each in a thread.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

static int (*run)(void);
static int result;

static void *call(void *nothing)
{
    result = run();
    return nothing;
}

int main(int count, char **names)
{
    for (int i = 1; i < count; i++) {
        void *plugin = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        if (plugin)
            *(void **)&run = dlsym(plugin, "plugin_run");
        if (run == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
        pthread_t thread;
        if (pthread_create(&thread, NULL, call, NULL) || pthread_join(thread, NULL) || result) {
            fprintf(stderr, "%s: step %d failed\n", names[i], result);
            return 1;
        }
        run = NULL;
    }
    return 0;
}
