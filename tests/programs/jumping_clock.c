/* Preloaded: every fifth reading of the wall clock is a year early, as after a wall clock that was set back. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    static unsigned readings;
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, now);
    if (status == 0 && clock == CLOCK_REALTIME && __atomic_add_fetch(&readings, 1, __ATOMIC_RELAXED) % 5 == 0)
        now->tv_sec -= 365 * 24 * 3600;
    return status;
}
