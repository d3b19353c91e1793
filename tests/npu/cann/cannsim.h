/* What the simulated CANN libraries share. Nothing here is Huawei's: names and signatures are those that torch_npu calls. */
#ifndef CANNSIM_H
#define CANNSIM_H
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define OK(name) int name(void) { return 0; } /* accepted, does nothing: the simulated device has no such thing to set */

static inline int64_t clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
static inline long long setting(const char *name, long long otherwise) {
    const char *value = getenv(name);
    return value && *value ? atoll(value) : otherwise;
}
static inline int open_to_append(const char *path) { return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600); }
/* A file of the profiling session, in its folder (NULL: none), in place of the one before. */
static inline void change_file(int *file, const char *folder, const char *name) {
    char path[4200];
    int next = -1, before = *file;
    if (folder) {
        snprintf(path, sizeof path, "%s/%s", folder, name);
        if ((next = open_to_append(path)) < 0) perror(path);
    }
    *file = next;
    if (before >= 0) usleep(1000), close(before); /* another thread may be writing its line */
}
#endif
