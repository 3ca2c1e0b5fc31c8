/* floor: data. Any bytes as a file of each format, and of the one it is told to be: read or skipped
 * with a sentence, never an error of the call. One collection serves all inputs of a run. */
#include "data/ingest.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static char home[64];
static store *s;

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where) {
    (void)st, (void)kind, (void)where;
    return remove(path);
}

static void end(void) {
    store_close(s);
    nftw(home, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void begin(void) {
    snprintf(home, sizeof home, "/tmp/raglan-fuzz-XXXXXX");
    log_level_set(LOG_ERROR);
    if (!mkdtemp(home) || store_open(home, STORE_WRITE, &s)) abort();
    atexit(end);
}

static void ingest_as(const char *format, const char *path) {
    ingest_report r = {0};
    const char *paths[] = {path};
    if (ingest_paths(s, paths, 1, &(ingest_options){format, -1}, &r))
        MUST(false, "as %s: %s", format, err_msg());
    for (int64_t i = 0; i < r.n_skips; i++) MUST(r.skips[i].reason[0], "no sentence");
    ingest_report_clear(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    static const char *const formats[] = {"auto",     "text",    "jsonl", "squad",
                                          "triviaqa", "nq_open", "dpr",   "beir"};
    int fd = memfd_create("input", 0);
    char path[64];
    if (!s) begin();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd < 0 || write(fd, bytes, n) != (ssize_t)n) abort();
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) ingest_as(formats[i], path);
    close(fd);
    return 0;
}
