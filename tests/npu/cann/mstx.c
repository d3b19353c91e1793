/* libms_tools_ext.so: mstx, and the log of every call.
 *
 * Simulated: ids, domains, marks, ranges. Each call is one JSON object on a line of its own, with the keys
 *   call (start, end, mark, domain, acl), domain ("default" where none was given), message, stream (its id, 0: none),
 *   id (of the range; 0: none), pid, tid, ns (CLOCK_MONOTONIC, Python's time.monotonic_ns) and raw_ns
 *   (CLOCK_MONOTONIC_RAW, what torch_npu's profiler goes by);
 *   for `acl`, domain is the name of the profiling entry point.
 * It goes to the file that CANNSIM_LOG names (appended, whole lines also from several processes), and while a profiling session runs to its
 * PROF_.../host/mstx.jsonl too. CANNSIM_LOG=off: to neither; a call then costs two readings of the clock, so that a
 * caller can be timed.
 * A message that msprof or MSPTI refuses (first character = + - or @, or 255 bytes and more) is in CANNSIM_LOG only:
 * read in CANN's public source, not seen.
 * Not simulated: what else CANN would drop (its own filters, full buffers), and device times:
 * a call with a stream is stamped when it is made, not when the device reaches it. A message is cut at 60 KB. */
#include "cannsim.h"
#include <pthread.h>
#include <sys/syscall.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int log_file = -1, session_file = -1, off;
static uint64_t last_id;
static __thread long thread_id;
static void in_child(void) { thread_id = 0; }
static void begin(void) {
    const char *path = getenv("CANNSIM_LOG");
    off = path && !strcmp(path, "off");
    if (path && *path && !off && (log_file = open_to_append(path)) < 0)
        perror("CANNSIM_LOG"), abort(); /* a test must not pass for want of a log */
    pthread_atfork(NULL, NULL, in_child);
}
static char *quote(char *to, char *end, const char *s) {
    *to++ = '"';
    for (; s && *s && to < end - 8; s++) {
        if (*s == '"' || *s == '\\') *to++ = '\\', *to++ = *s;
        else if ((unsigned char)*s < 32) to += sprintf(to, "\\u%04x", *s);
        else *to++ = *s;
    }
    *to++ = '"';
    return to;
}
static int is_refused(const char *message) { return message && (!*message || strchr("=+-@", *message) || strlen(message) > 254); }
static void record(const char *call, const char *domain, const char *message, const int32_t *stream, uint64_t id) {
    int64_t ns = clock_ns(CLOCK_MONOTONIC), raw = clock_ns(CLOCK_MONOTONIC_RAW);
    pthread_once(&once, begin);
    if (off || (log_file < 0 && session_file < 0)) return;
    if (!thread_id) thread_id = syscall(SYS_gettid);
    char line[65536], *to = line, *end = line + sizeof line - 200;
    to += sprintf(to, "{\"call\": \"%s\", \"domain\": ", call);
    to = quote(to, line + 2000, domain ? domain : "default");
    to += sprintf(to, ", \"message\": ");
    to = quote(to, end, message);
    to += sprintf(to, ", \"stream\": %d, \"id\": %llu, \"pid\": %d, \"tid\": %ld, \"ns\": %lld, \"raw_ns\": %lld}\n", stream ? *stream : 0,
                  (unsigned long long)id, getpid(), thread_id, (long long)ns, (long long)raw);
    for (int i = 0, files[] = {log_file, is_refused(message) ? -1 : session_file}; i < 2; i++)
        if (files[i] >= 0 && write(files[i], line, to - line) != to - line) perror("cannsim: cannot write the log"), abort();
}
/* by libascendcl at aclprofStart; NULL at aclprofStop */
void cannsim_session(const char *folder) { change_file(&session_file, folder, "mstx.jsonl"); }
void cannsim_note(const char *call, const char *text) { record("acl", call, text, NULL, 0); }

static uint64_t start(const char *domain, const char *message, const int32_t *stream) {
    uint64_t id = __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED);
    record("start", domain, message, stream, id);
    return id;
}
/* A domain is its name; CANN's handle is as opaque to torch_npu. */
char *mstxDomainCreateA(const char *name) { char *domain = strdup(name); record("domain", domain, NULL, NULL, 0); return domain; }
void mstxDomainDestroy(char *domain) {} /* kept: a late call may still name it */
void mstxDomainMarkA(char *domain, const char *message, int32_t *stream) { record("mark", domain, message, stream, 0); }
uint64_t mstxDomainRangeStartA(char *domain, const char *message, int32_t *stream) { return start(domain, message, stream); }
void mstxDomainRangeEnd(char *domain, uint64_t id) { record("end", domain, NULL, NULL, id); }
void mstxMarkA(const char *message, int32_t *stream) { record("mark", NULL, message, stream, 0); }
uint64_t mstxRangeStartA(const char *message, int32_t *stream) { return start(NULL, message, stream); }
void mstxRangeEnd(uint64_t id) { record("end", NULL, NULL, NULL, id); }
void *mstxMemHeapRegister(void *domain, const void *what) { return domain; } /* for memory checkers: accepted */
OK(mstxMemHeapUnregister) OK(mstxMemRegionsRegister) OK(mstxMemRegionsUnregister)
