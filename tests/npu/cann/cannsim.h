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
#endif
