/* A tool that NVTX loads (NVTX_INJECTION64_PATH), as nsys is one: writes a line for each call to the file NVTX_TOOL_LOG.
 *
 * The interface is NVTX 3's public one for tools (nvtxDetail/nvtxTypes.h of the NVTX headers): the export table "callbacks" gives, for each
 * module of functions, the addresses of its function pointers. Modules 1 (no domains) and 5 (domains) are filled in here. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*function)(void);
typedef struct { size_t size; int (*table)(int module, function ***table, unsigned *size); } callbacks;
typedef struct {
    uint16_t version, size; uint32_t category; int32_t color_type; uint32_t color; int32_t payload_type, reserved;
    uint64_t payload; int32_t message_type; const char *message;
} attributes; /* message_type 1: text; 3: a registered string, which is a text here as well */

static FILE *file;
static uint64_t ids;
static int depth;
static int say(const char *call, const char *domain, const char *message, uint64_t id) {
    fprintf(file, "%s\t%s\t%s\t%lu\n", call, domain ? domain : "", message ? message : "", (unsigned long)id);
    return fflush(file);
}
static int push(const char *message) { say("push", "", message, depth); return depth++; }
static int pop(void) { say("pop", "", "", --depth); return depth; }
static uint64_t start(const char *message) { say("start", "", message, ++ids); return ids; }
static void end(uint64_t id) { say("end", "", "", id); }
static void mark(const char *message) { say("mark", "", message, 0); }

static void *create(const char *name) { return strdup(name); }
static void *registered(void *domain, const char *text) { return strdup(text); }
static int domain_push(const char *domain, const attributes *a) { say("push", domain, a->message, depth); return depth++; }
static int domain_pop(const char *domain) { say("pop", domain, "", --depth); return depth; }
static uint64_t domain_start(const char *domain, const attributes *a) { say("start", domain, a->message, ++ids); return ids; }
static void domain_end(const char *domain, uint64_t id) { say("end", domain, "", id); }
static void domain_mark(const char *domain, const attributes *a) { say("mark", domain, a->message, 0); }

int InitializeInjectionNvtx2(const void *(*export_table)(uint32_t)) {
    const callbacks *all = export_table(1);
    function **table;
    unsigned size;
    file = fopen(getenv("NVTX_TOOL_LOG"), "a");
    if (!file || !all || !all->table(1, &table, &size)) return 0;
    *table[2] = (function)mark, *table[5] = (function)start, *table[7] = (function)end, *table[9] = (function)push, *table[11] = (function)pop;
    if (!all->table(5, &table, &size)) return 0;
    *table[1] = (function)domain_mark, *table[2] = (function)domain_start, *table[3] = (function)domain_end;
    *table[4] = (function)domain_push, *table[5] = (function)domain_pop;
    *table[10] = (function)registered, *table[12] = (function)create;
    return 1;
}
