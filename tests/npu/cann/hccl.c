/* libhccl.so: collectives among processes of this machine.
 *
 * Simulated: communicators by root info; all-reduce, all-gather, reduce-scatter, broadcast, barrier, in all widths, the reductions
 * in every type that torch_npu offers. The data goes through POSIX shared memory, piece by piece. A collective leaves its line in the profile (tasks.c), a barrier none.
 * Not simulated: anything asynchronous (a call returns when it is done), links and their times, point-to-point calls
 * and all-to-all, a rank that dies (the others wait until somebody ends them, as on the real thing). */
#include "cannsim.h"
#include <pthread.h>
#include <sys/mman.h>

enum { PIECE = 1 << 20, ROOT_INFO = 4108, FAILED = 1 };
enum { SUM, PROD, MAX, MIN };
struct shared { volatile int ready; pthread_barrier_t barrier; char pieces[] __attribute__((aligned(64))); };
struct comm { char name[128]; uint32_t n, rank; struct shared *shared; };

int cannsim_communicators; /* kernels.py looks whether there are any */
static void (*note)(const char *name, const char *group, uint64_t count, int type, const int32_t *stream, int64_t launched);
static int done(const char *name, struct comm *c, uint64_t count, int type, const void *stream, int64_t launched) {
    if (note) note(name, c->name, count, type, stream, launched);
    return 0;
}
static int64_t now(void) { return clock_ns(CLOCK_MONOTONIC_RAW); }

/* --- communicators: the root info is the name of the shared memory --- */
int HcclGetRootInfo(char *info) {
    static int count;
    memset(info, 0, ROOT_INFO);
    sprintf(info, "/cannsim-hccl-%d-%d", getpid(), __atomic_fetch_add(&count, 1, __ATOMIC_RELAXED));
    return 0;
}
int HcclCommInitRootInfoConfig(uint32_t n, const char *info, uint32_t rank, const void *config, struct comm **out) {
    struct comm *c = calloc(1, sizeof *c);
    size_t size = sizeof(struct shared) + (size_t)n * PIECE;
    snprintf(c->name, sizeof c->name, "%s", info), c->n = n, c->rank = rank;
    int file = shm_open(c->name, O_RDWR | O_CREAT, 0600); /* whoever comes first */
    if (file < 0 || ftruncate(file, size)) return perror(c->name), FAILED;
    c->shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (c->shared == MAP_FAILED) return perror(c->name), FAILED;
    if (!rank) {
        pthread_barrierattr_t between_processes;
        pthread_barrierattr_init(&between_processes);
        pthread_barrierattr_setpshared(&between_processes, PTHREAD_PROCESS_SHARED);
        pthread_barrier_init(&c->shared->barrier, &between_processes, n);
        __atomic_store_n(&c->shared->ready, 1, __ATOMIC_RELEASE);
    }
    while (!__atomic_load_n(&c->shared->ready, __ATOMIC_ACQUIRE)) usleep(1000);
    pthread_barrier_wait(&c->shared->barrier);
    if (!rank) shm_unlink(c->name); /* all have it */
    *out = c;
    note = dlsym(dlopen("libascendcl.so", RTLD_NOW), "cannsim_collective");
    cannsim_communicators++;
    return 0;
}
int HcclCommInitRootInfo(uint32_t n, const char *info, uint32_t rank, struct comm **out) {
    return HcclCommInitRootInfoConfig(n, info, rank, NULL, out);
}
OK(HcclCommDestroy) /* kept: the other ranks may still be waiting in it */
int HcclGetCommName(const struct comm *c, char *name) { strcpy(name, c->name); return 0; }
int HcclGetCommAsyncError(const struct comm *c, int *error) { *error = 0; return 0; }
int HcclGetRankId(const struct comm *c, uint32_t *rank) { *rank = c->rank; return 0; }
int HcclGetRankSize(const struct comm *c, uint32_t *n) { *n = c->n; return 0; }
const char *HcclGetErrorString(int error) { return "the simulated HCCL has no error messages"; }

/* --- arithmetic: HcclDataType by number --- */
static size_t width(int type) {
    static const int widths[] = {1, 2, 4, 2, 4, 8, 8, 1, 2, 4, 8, 2};
    if (type < 0 || type >= (int)(sizeof widths / sizeof *widths)) fprintf(stderr, "cannsim: HCCL type %d is not simulated\n", type), abort();
    return widths[type];
}
static float widened(uint16_t bfloat) {
    uint32_t bits = (uint32_t)bfloat << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
static uint16_t narrowed(float value) { /* to the nearest, ties to even */
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
#define JOIN(a, b) (op == SUM ? (a) + (b) : op == PROD ? (a) * (b) : op == MAX ? ((a) > (b) ? (a) : (b)) : ((a) < (b) ? (a) : (b)))
#define CASE(number, T) case number: for (size_t i = 0; i < n; i++) ((T *)to)[i] = JOIN(((T *)to)[i], ((const T *)from)[i]); return;
static void reduce(void *to, const void *from, size_t n, int type, int op) {
    switch (type) {
        CASE(0, int8_t) CASE(1, int16_t) CASE(2, int32_t) CASE(3, _Float16) CASE(4, float) CASE(5, int64_t)
        CASE(6, uint64_t) CASE(7, uint8_t) CASE(8, uint16_t) CASE(9, uint32_t) CASE(10, double)
    }
    uint16_t *a = to;
    for (size_t i = 0; i < n; i++) a[i] = narrowed(JOIN(widened(a[i]), widened(((const uint16_t *)from)[i])));
}

/* --- collectives: each rank puts a piece down, all wait, each takes what it wants, all wait before the next piece --- */
static void wait_for_all(struct comm *c) { pthread_barrier_wait(&c->shared->barrier); }
static char *piece(struct comm *c, uint32_t rank) { return c->shared->pieces + (size_t)rank * PIECE; }
#define PIECES(length) for (size_t at = 0, m; at < (length) && (m = (length) - at < PIECE ? (length) - at : PIECE); at += PIECE)

static void all_reduce(const char *from, char *to, uint64_t n, int type, int op, struct comm *c) {
    PIECES(n * width(type)) {
        memcpy(piece(c, c->rank), from + at, m);
        wait_for_all(c);
        memcpy(to + at, piece(c, 0), m); /* in the order of the ranks on each of them: the same sum everywhere */
        for (uint32_t rank = 1; rank < c->n; rank++) reduce(to + at, piece(c, rank), m / width(type), type, op);
        wait_for_all(c);
    }
}
int HcclAllReduce(const char *from, char *to, uint64_t n, int type, int op, struct comm *c, void *stream) {
    int64_t launched = now();
    all_reduce(from, to, n, type, op, c);
    return done("hcom_allReduce_", c, n, type, stream, launched);
}
int HcclReduceScatter(const char *from, char *to, uint64_t n, int type, int op, struct comm *c, void *stream) {
    int64_t launched = now();
    size_t mine = n * width(type);
    char *whole = malloc(mine * c->n);
    all_reduce(from, whole, n * c->n, type, op, c);
    memcpy(to, whole + c->rank * mine, mine);
    free(whole);
    return done("hcom_reduceScatter_", c, n, type, stream, launched);
}
int HcclAllGather(const char *from, char *to, uint64_t n, int type, struct comm *c, void *stream) {
    int64_t launched = now();
    size_t mine = n * width(type);
    PIECES(mine) {
        memcpy(piece(c, c->rank), from + at, m);
        wait_for_all(c);
        for (uint32_t rank = 0; rank < c->n; rank++) memcpy(to + rank * mine + at, piece(c, rank), m);
        wait_for_all(c);
    }
    return done("hcom_allGather_", c, n, type, stream, launched);
}
int HcclBroadcast(char *data, uint64_t n, int type, uint32_t root, struct comm *c, void *stream) {
    int64_t launched = now();
    PIECES(n * width(type)) {
        if (c->rank == root) memcpy(piece(c, root), data + at, m);
        wait_for_all(c);
        if (c->rank != root) memcpy(data + at, piece(c, root), m);
        wait_for_all(c);
    }
    return done("hcom_broadcast_", c, n, type, stream, launched);
}
int HcclBarrier(struct comm *c, void *stream) { wait_for_all(c); return 0; }
