/* libascendcl.so, the profiling entry points (msprof).
 *
 * Simulated: a session makes PROF_<n>_<time>_CANNSIM<pid>/host, and device_<id> beside it, in the folder it is given, as msprof does, and has
 * libms_tools_ext write its mstx calls there, and tasks.c its tasks, where the session asked for tasks; what was asked for (init, configuration, start, stop, finalize) is logged
 * as `acl` lines (see mstx.c).
 * Not simulated: the data in CANN's own format, and all that is not in those two files (counters, memory, the system):
 * MsprofReport... are accepted and dropped. */
#include "cannsim.h"
#include <sys/stat.h>

void cannsim_tasks(const char *folder, uint64_t types);
static char folder[4096];
static uint64_t types_wanted;
/* The log belongs to libms_tools_ext.so, which torch_npu loads only when it needs it. */
static void *in_mstx(const char *name) {
    void *library = dlopen("libms_tools_ext.so", RTLD_NOW);
    return library ? dlsym(library, name) : NULL;
}
static void note(const char *call, const char *text) {
    void (*log)(const char *, const char *) = in_mstx("cannsim_note");
    if (log) log(call, text);
}
static void session(const char *path) {
    void (*set)(const char *) = in_mstx("cannsim_session");
    if (set) set(path);
    cannsim_tasks(path, types_wanted);
}
/* The times in host/: CLOCK_MONOTONIC_RAW; this file tells by how much it lies behind the wall clock. */
static void write_start_info(void) {
    char path[4200];
    snprintf(path, sizeof path, "%s/start_info", folder);
    FILE *file = fopen(path, "w");
    if (!file) return perror(path);
    long long wall = clock_ns(CLOCK_REALTIME), raw = clock_ns(CLOCK_MONOTONIC_RAW);
    fprintf(file, "{\"collectionTimeBegin\": \"%lld\", \"clockMonotonicRaw\": \"%lld\"}\n", wall / 1000, raw);
    fclose(file);
}
int aclprofInit(const char *path, size_t n) {
    static int count;
    char now[32];
    struct tm local;
    time_t seconds = time(NULL);
    strftime(now, sizeof now, "%Y%m%d%H%M%S", localtime_r(&seconds, &local));
    snprintf(folder, sizeof folder, "%.*s", (int)n, path);
    mkdir(folder, 0750);
    snprintf(folder, sizeof folder, "%.*s/PROF_%06d_%s000_CANNSIM%d", (int)n, path, ++count, now, getpid());
    mkdir(folder, 0750);
    strcat(folder, "/host");
    note("aclprofInit", folder);
    return mkdir(folder, 0750);
}
void *aclprofCreateConfig(uint32_t *devices, uint32_t n, int metrics, const void *events, uint64_t types) {
    char text[96], path[4200];
    types_wanted = types;
    for (uint32_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/../device_%u", folder, devices[i]);
        mkdir(path, 0750);
    }
    snprintf(text, sizeof text, "device=%u devices=%u metrics=%d types=0x%llx", n ? devices[0] : 0, n, metrics, (unsigned long long)types);
    note("aclprofCreateConfig", text);
    return folder;
}
int aclprofStart(const void *config) {
    note("aclprofStart", folder);
    write_start_info();
    session(folder);
    return 0;
}
int aclprofStop(const void *config) { session(NULL); note("aclprofStop", folder); return 0; }
int aclprofFinalize(void) { note("aclprofFinalize", folder); return 0; }
int aclprofSetConfig(int kind, const char *text, size_t n) { note("aclprofSetConfig", text); return 0; }
OK(aclprofDestroyConfig) OK(aclprofWarmup) OK(aclprofRegisterDeviceCallback) OK(aclprofMarkEx) OK(aclprofGetStepTimestamp)
OK(aclprofDestroyStepInfo)
void *aclprofCreateStepInfo(void) { return NULL; }

OK(MsprofRegisterCallback) OK(MsprofReportApi) OK(MsprofReportCompactInfo) OK(MsprofReportAdditionalInfo)
uint64_t MsprofSysCycleTime(void) { return clock_ns(CLOCK_MONOTONIC); }
uint64_t MsprofGetHashId(const char *s, size_t n) { /* FNV-1a */
    uint64_t hash = 14695981039346656037ull;
    while (n--) hash = (hash ^ (uint8_t)*s++) * 1099511628211ull;
    return hash;
}
/* libascend_hal.so, the driver: version 0 makes torch_npu stay on the host's clock */
int halGetAPIVersion(int *version) { *version = 0; return 0; }
int halGetDeviceInfo(uint32_t d, int module, int what, int64_t *value) { *value = 0; return 1; }
