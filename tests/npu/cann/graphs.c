/* libascendcl.so, ACL graphs (aclmdlRI...): what is captured, and when it is done again.
 *
 * Simulated: one capture at a time, replays, groups of tasks and their update. What a graph holds is in graphs.py: a graph is a number
 * here, and so is a group.
 * Not simulated: captures of several streams apart, errors of what must not be captured, conditions, a replay that waits in the middle for an
 * event: vllm-ascend updates the lengths for attention while the graph waits, so here a replay has those of the one before, and its
 * results are wrong. While a graph is captured each operator is computed as well, which a real device does not do. */
#include "cannsim.h"

enum { NONE, ACTIVE }; /* aclmdlRICaptureStatus */
static int64_t last, capturing; /* numbers of graphs; 0: none */
static void (*told)(int what, int64_t number);
enum { CAPTURE, CAPTURED, REPLAY, GROUP, GROUPED, UPDATE, UPDATED, DESTROY };

void cannsim_graphs(void (*tell)(int, int64_t)) { told = tell; } /* by graphs.py */
int cannsim_capturing(void) { return capturing != 0; }

void cannsim_call(const char *name, int64_t began); /* tasks.c */
static int64_t now(void) { return clock_ns(CLOCK_MONOTONIC_RAW); }

int aclmdlRICaptureBegin(void *stream, int mode) {
    cannsim_call("aclmdlRICaptureBegin", now());
    told(CAPTURE, capturing = ++last);
    return 0;
}
int aclmdlRICaptureGetInfo(void *stream, int *status, int64_t *graph) {
    *status = capturing ? ACTIVE : NONE;
    if (graph) *graph = capturing;
    return 0;
}
int aclmdlRICaptureEnd(void *stream, int64_t *graph) {
    told(CAPTURED, *graph = capturing);
    capturing = 0;
    cannsim_call("aclmdlRICaptureEnd", now());
    return 0;
}
int aclmdlRIExecuteAsync(int64_t graph, void *stream) {
    int64_t began = now();
    told(REPLAY, graph);
    cannsim_call("aclmdlRIExecuteAsync", began);
    return 0;
}
int aclmdlRIDestroy(int64_t graph) { told(DESTROY, graph); return 0; }
int aclmdlRICaptureThreadExchangeMode(int *mode) { return 0; }
int aclmdlRICaptureTaskGrpBegin(void *stream) { told(GROUP, ++last); return 0; }
int aclmdlRICaptureTaskGrpEnd(void *stream, int64_t *group) { told(GROUPED, *group = last); return 0; }
int aclmdlRICaptureTaskUpdateBegin(void *stream, int64_t group) { told(UPDATE, group); return 0; }
int aclmdlRICaptureTaskUpdateEnd(void *stream) { told(UPDATED, 0); return 0; }
