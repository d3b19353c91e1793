/* libascendcl.so, the runtime: devices, memory, streams, events.
 *
 * Simulated: the number of devices (CANNSIM_DEVICES, 1 if not set), their memory (host memory; CANNSIM_MEM_MB of all
 * together, 4096 if not set), one id per stream, the time at which an event was recorded, the current device of each thread.
 * Not simulated: anything asynchronous. Whatever is asked of a stream is done before the call returns, so streams are
 * always idle, events always complete, and waiting never waits. Peer access, IPC and physical memory are accepted and do
 * nothing. The arithmetic is not here: aclInit runs load.py, which gives the device torch's CPU kernels. */
#include "cannsim.h"
#include <malloc.h>
#include <sys/mman.h>

enum { NO_CONTEXT = 107002, NO_MEMORY = 207001, DEVICES = 16 };

/* --- start --- */
int aclInit(const char *config) { /* at torch_npu's first use of the device: nothing of ours is imported, nothing hooked */
    int (*ensure)(void) = dlsym(RTLD_DEFAULT, "PyGILState_Ensure");
    void (*release)(int) = dlsym(RTLD_DEFAULT, "PyGILState_Release");
    int (*run)(const char *) = dlsym(RTLD_DEFAULT, "PyRun_SimpleString");
    const char *home = getenv("ASCEND_HOME_PATH");
    if (!ensure || !release || !run || !home) return 0; /* not in Python: nobody needs arithmetic */
    char source[13000];
    snprintf(source, sizeof source,
             "exec(compile(open('%s/load.py').read(), '%s/load.py', 'exec'), {'__name__': 'cannsim_load', '__file__': '%s/load.py'})",
             home, home, home);
    int state = ensure(), failed = run(source); /* an expression leaves nothing in __main__ */
    release(state);
    return failed ? 500000 : 0;
}
OK(aclFinalize) OK(aclmdlInitDump) OK(aclmdlSetDump) OK(aclmdlFinalizeDump)
OK(aclAppLog) /* CANN's own log */
const char *aclGetRecentErrMsg(void) { return "the simulated CANN has no error messages"; }
int aclsysGetVersionStr(const char *package, char *out) { strcpy(out, "8.3.RC1"); return 0; }

/* --- devices --- */
static __thread int device = -1;
int cannsim_device(void) { return device < 0 ? 0 : device; } /* of this thread */
static char contexts[DEVICES]; /* a context is the address of its device's byte */
const char *aclrtGetSocName(void) { const char *name = getenv("CANNSIM_SOC"); return name ? name : "Ascend910B3"; }
int aclrtGetDeviceCount(uint32_t *n) { long long d = setting("CANNSIM_DEVICES", 1); *n = d < DEVICES ? d : DEVICES; return 0; }
int aclrtSetDevice(int32_t d) { device = d; return 0; }
int aclrtGetDevice(int32_t *d) { *d = device; return device < 0 ? NO_CONTEXT : 0; }
int aclrtResetDevice(int32_t d) { device = -1; return 0; }
int aclrtGetCurrentContext(void **c) { *c = device < 0 ? NULL : &contexts[device]; return device < 0 ? NO_CONTEXT : 0; }
int aclrtSetCurrentContext(void *c) { device = (char *)c - contexts; return 0; }
int aclGetDeviceCapability(uint32_t d, int what, int64_t *value) { *value = 0; return 0; }
int aclrtDeviceCanAccessPeer(int32_t *can, int32_t d, int32_t peer) { *can = 1; return 0; }
int aclrtDeviceGetBareTgid(int32_t *pid) { *pid = getpid(); return 0; }
OK(aclrtDeviceEnablePeerAccess) OK(aclrtSynchronizeDevice) OK(aclrtSynchronizeDeviceWithTimeout)
OK(aclrtSetDeviceSatMode) OK(aclrtProcessReport)
OK(aclrtSetOpExecuteTimeOut) OK(aclrtSetOpWaitTimeout) OK(aclrtGetLastError) OK(aclrtPeekAtLastError) OK(aclSetCompileopt)
size_t aclGetCompileoptSize(int option) { return sizeof "disable"; } /* of just-in-time compilation, the one that is asked for */
int aclGetCompileopt(int option, char *value, size_t n) { snprintf(value, n, "disable"); return 0; }
static int64_t options[64];
int aclrtSetSysParamOpt(int option, int64_t value) { options[option & 63] = value; return 0; }
int aclrtCtxSetSysParamOpt(int option, int64_t value) { options[option & 63] = value; return 0; }
int aclrtGetSysParamOpt(int option, int64_t *value) { *value = options[option & 63]; return 0; }

/* --- memory --- */
static int64_t used; /* of all devices together */
static void use(int64_t n) { __atomic_add_fetch(&used, n, __ATOMIC_RELAXED); }
int aclrtGetMemInfo(int kind, size_t *free_bytes, size_t *total) {
    *total = (size_t)setting("CANNSIM_MEM_MB", 4096) << 20;
    *free_bytes = (size_t)used < *total ? *total - used : 0;
    return 0;
}
int aclrtMallocHost(void **p, size_t n) { return posix_memalign(p, 512, n ? n : 1) ? NO_MEMORY : 0; }
int aclrtMalloc(void **p, size_t n, int policy) {
    size_t rest, total;
    aclrtGetMemInfo(0, &rest, &total);
    if (n > rest || aclrtMallocHost(p, n)) return NO_MEMORY;
    use(malloc_usable_size(*p));
    return 0;
}
int aclrtMallocAlign32(void **p, size_t n, int policy) { return aclrtMalloc(p, n, policy); }
int aclrtFree(void *p) { if (p) use(-(int64_t)malloc_usable_size(p)); free(p); return 0; }
int aclrtFreeHost(void *p) { free(p); return 0; }
int aclrtMemset(void *p, size_t max, int32_t v, size_t n) { memset(p, v, n); return 0; }
int aclrtMemsetAsync(void *p, size_t max, int32_t v, size_t n, void *stream) { memset(p, v, n); return 0; }
int aclrtMemcpy(void *to, size_t max, const void *from, size_t n, int kind) { memmove(to, from, n); return 0; }
int aclrtMemcpyAsync(void *to, size_t max, const void *from, size_t n, int kind, void *stream) { memmove(to, from, n); return 0; }
int aclrtReserveMemAddress(void **p, size_t n, size_t align, void *hint, uint64_t flags) {
    *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return *p == MAP_FAILED ? NO_MEMORY : 0;
}
int aclrtMallocPhysical(int64_t **handle, size_t n, const void *properties, uint64_t flags) {
    *handle = malloc(sizeof **handle); /* a handle is the address of its size */
    **handle = n;
    use(n);
    return 0;
}
int aclrtFreePhysical(int64_t *handle) { use(-*handle); free(handle); return 0; }
OK(aclrtReleaseMemAddress) OK(aclrtMapMem) OK(aclrtUnmapMem)

/* --- streams and events --- */
static int32_t last_stream;
int aclrtCreateStreamWithConfig(int32_t **s, uint32_t priority, uint32_t flag) {
    *s = malloc(sizeof **s); /* a stream is the address of its id */
    **s = __atomic_add_fetch(&last_stream, 1, __ATOMIC_RELAXED);
    return 0;
}
int aclrtCreateStream(int32_t **s) { return aclrtCreateStreamWithConfig(s, 0, 0); }
int aclrtStreamGetId(const int32_t *s, int32_t *id) { *id = s ? *s : 0; return 0; }
int aclrtStreamQuery(void *s, int *complete) { *complete = 0; return 0; } /* 0: complete */
int aclrtDestroyStream(void *s) { return 0; } /* kept, so that a stream that was logged can still be looked up: a few bytes */
int aclrtDestroyStreamForce(void *s) { return 0; }
OK(aclrtSynchronizeStream) OK(aclrtSynchronizeStreamWithTimeout) OK(aclrtStreamWaitEvent) OK(aclrtSetStreamFailureMode)
OK(aclrtSetStreamOverflowSwitch)
/* an event is the address of its time */
int aclrtCreateEventExWithFlag(int64_t **e, uint32_t flag) { *e = calloc(1, sizeof **e); return 0; }
int aclrtCreateEventWithFlag(int64_t **e, uint32_t flag) { return aclrtCreateEventExWithFlag(e, flag); }
int aclrtDestroyEvent(void *e) { free(e); return 0; }
int aclrtRecordEvent(int64_t *e, void *stream) { *e = clock_ns(CLOCK_MONOTONIC); return 0; }
int aclrtQueryEventStatus(void *e, int *status) { *status = 1; return 0; } /* 1: complete */
int aclrtQueryEventWaitStatus(void *e, int *status) { *status = 0; return 0; } /* 0: complete */
int aclrtEventElapsedTime(float *ms, const int64_t *from, const int64_t *to) { *ms = (*to - *from) / 1e6f; return 0; }
OK(aclrtResetEvent) OK(aclrtSynchronizeEvent)

/* --- operators one by one (aclop): some of torch_npu's own, from its task thread. They may be described, and then fail. --- */
int aclopCompileAndExecute(const char *name) { fprintf(stderr, "cannsim: operator %s is not simulated\n", name); return 500000; }
int aclopCompileAndExecuteV2(const char *name) { return aclopCompileAndExecute(name); }
void *aclCreateTensorDesc(void) { return NULL; }
void *aclCreateDataBuffer(void) { return NULL; }
void *aclopCreateAttr(void) { return NULL; }
OK(aclDestroyTensorDesc) OK(aclDestroyDataBuffer) OK(aclopDestroyAttr) OK(aclSetTensorFormat) OK(aclSetTensorShape) OK(aclSetTensorDescName)
OK(aclSetTensorPlaceMent) OK(aclGetTensorDescType) OK(aclGetTensorDescFormat) OK(aclGetTensorDescNumDims) OK(aclGetTensorDescDimV2)
OK(aclopSetAttrBool) OK(aclopSetAttrDataType) OK(aclopSetAttrFloat) OK(aclopSetAttrInt) OK(aclopSetAttrString) OK(aclopSetAttrListBool)
OK(aclopSetAttrListFloat) OK(aclopSetAttrListInt) OK(aclopSetAttrListListInt)
