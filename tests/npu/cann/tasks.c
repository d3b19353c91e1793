/* libascendcl.so, the tasks of the device: what its operators leave in a profile.
 *
 * Simulated: a launch goes through torch_npu's own task queue, as that of a real operator does: it is put in by the caller's thread, and
 * made by the thread that takes it out (by the caller where TASK_QUEUE_ENABLE=0). There one line is written to the session's
 * PROF_.../host/tasks.jsonl, with the keys name, kind (of the task), basic (1 where its operator's
 * type may be told), pid, tid (of the thread that made the launch), launched and done (the launch on the
 * host), device, stream, start and end (on the device), id (the connection); times are CLOCK_MONOTONIC_RAW. A stream is a queue: a task starts when
 * it has been launched and the one before it is through, and lasts as long as its CPU kernel did. A collective (kind
 * COMMUNICATION, with the keys group, count, type of the data) is its own launch: it lasts while its call does.
 * A launch that is captured into a graph has the key captured and no task; a task of a replay has the key replayed and the connection of
 * that launch, or 0 if no session saw it. Calls that begin and end a capture, or replay, are lines of the kind CALL. That a replayed task
 * has this connection is what vllm-ascend's guide says of a session through the capture; no real database was there to compare.
 * Not simulated: a device beside the host. The arithmetic is done before the launch is put into the queue, so a task lies after its result,
 * nothing waits for it, and a synchronized host may be ahead of the device's time. */
#include "cannsim.h"
#include <sys/syscall.h>

enum { TASKS = 0x2, TASKS_L0 = 0x800 }; /* of aclprofCreateConfig's types: Level1 and Level2, Level0 */
enum { STREAMS = 4096, CLONE = 2 };
struct task { char name[96], kind[16]; int32_t device, stream; int64_t took; uint64_t captured; };
static int session_file = -1;
static int session_basic; /* whether the session asked for more than the names of operators */
static uint64_t last_id;

void cannsim_tasks(const char *folder, uint64_t types) { /* by aclprofStart; NULL at aclprofStop */
    if (folder) session_basic = !!(types & TASKS);
    change_file(&session_file, types & (TASKS | TASKS_L0) ? folder : NULL, "tasks.jsonl");
}
int cannsim_device(void); /* runtime.c */
int cannsim_tasks_wanted(void) { return session_file >= 0; }

static int64_t *through(int32_t stream) { /* when its last task ends */
    static int64_t times[STREAMS];
    return &times[stream % STREAMS];
}
uint64_t cannsim_new_id(void) { return __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED); }
static void write_line(const char *name, const char *kind, int32_t device, int32_t stream, const int64_t times[4], uint64_t id,
                       const char *more) {
    char line[1024];
    if (session_file < 0) return;
    int n = snprintf(line, sizeof line,
                     "{\"name\": \"%s\", \"kind\": \"%s\", \"basic\": %d, \"pid\": %d, \"tid\": %ld, \"launched\": %lld, \"done\": %lld, "
                     "\"device\": %d, \"stream\": %d, \"start\": %lld, \"end\": %lld, \"id\": %llu%s}\n",
                     name, kind, session_basic, getpid(), syscall(SYS_gettid), (long long)times[0], (long long)times[1], device, stream,
                     (long long)times[2], (long long)times[3], (unsigned long long)id, more);
    if (write(session_file, line, n) != n && session_file >= 0) perror("cannsim: cannot write tasks.jsonl"), abort();
}
static void launch(const struct task *t) {
    int64_t launched = clock_ns(CLOCK_MONOTONIC_RAW), *last = through(t->stream);
    int64_t done = clock_ns(CLOCK_MONOTONIC_RAW), start = *last > done ? *last : done;
    if (t->captured) { /* into a graph: it runs nothing now */
        write_line(t->name, t->kind, t->device, t->stream, (int64_t[]){launched, done, 0, 0}, t->captured, ", \"captured\": 1");
        return;
    }
    *last = start + t->took;
    write_line(t->name, t->kind, t->device, t->stream, (int64_t[]){launched, done, start, *last}, cannsim_new_id(), "");
}
/* By graphs.py, for each task of a replay: it has the connection of its launch in the capture, 0 if that was in no session. */
void cannsim_replayed(const char *name, const char *kind, int32_t device, const int32_t *stream, int64_t took, uint64_t captured) {
    int64_t now = clock_ns(CLOCK_MONOTONIC_RAW), *last = through(stream ? *stream : 0), start = *last > now ? *last : now;
    *last = start + took;
    write_line(name, kind, device, stream ? *stream : 0, (int64_t[]){now, now, start, *last}, captured, ", \"replayed\": 1");
}
/* By graphs.c: a call on the host that launches no task of its own. */
void cannsim_call(const char *name, int64_t began) {
    int64_t now = clock_ns(CLOCK_MONOTONIC_RAW);
    write_line(name, "CALL", 0, 0, (int64_t[]){began, now, 0, 0}, cannsim_new_id(), "");
}
/* By libhccl, when a collective is through: what its thread has done since `launched` was on the device. */
void cannsim_collective(const char *name, const char *group, uint64_t count, int type, const int32_t *stream, int64_t launched) {
    char more[256];
    int64_t end = clock_ns(CLOCK_MONOTONIC_RAW), *last = through(stream ? *stream : 0);
    snprintf(more, sizeof more, ", \"group\": \"%s\", \"count\": %llu, \"type\": %d", group, (unsigned long long)count, type);
    if (*last < end) *last = end;
    write_line(name, "COMMUNICATION", cannsim_device(), stream ? *stream : 0, (int64_t[]){launched, end, launched, end}, cannsim_new_id(), more);
}

/* torch_npu::OpCommand::RunOpApiV2(const std::string &, const std::function<int()> &, bool): its two arguments as libstdc++ lays them out.
 * C++ would need a C++ compiler here for these four lines. */
#define RUN_OP_API "_ZN6at_npu6native9OpCommand10RunOpApiV2ERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEERKSt8functionIFivEEb"
struct string { const char *text; size_t size; char rest[16]; };
struct function { struct task *task; void *unused; int (*manage)(void *, void *, int); int (*call)(void *); };
static int manage(struct function *to, struct function *from, int what) {
    if (what == CLONE) to->task = from->task;
    return 0;
}
static int call(struct function *f) {
    launch(f->task);
    free(f->task);
    return 0;
}
void cannsim_launch(const char *name, const char *kind, int32_t device, const int32_t *stream, int64_t took, uint64_t captured) {
    static void (*run)(const struct string *, const struct function *, int);
    if (!run) {
        void *library = dlopen("libtorch_npu.so", RTLD_NOW | RTLD_NOLOAD);
        if (library) run = dlsym(library, RUN_OP_API);
        if (!run) fputs("cannsim: launching through the task queue of this torch_npu is not simulated\n", stderr), abort();
    }
    struct task *task = malloc(sizeof *task);
    snprintf(task->name, sizeof task->name, "%s", name);
    snprintf(task->kind, sizeof task->kind, "%s", kind);
    task->device = device, task->stream = stream ? *stream : 0, task->took = took, task->captured = captured;
    char text[sizeof task->name]; /* its own: the task may be through before `run` is */
    strcpy(text, task->name);
    struct string label = {text, strlen(text)};
    struct function f = {task, NULL, (void *)manage, (void *)call};
    run(&label, &f, 0);
}
