/* floor: util. Any bytes through the JSON scanner, with paths that end at every level; each
 * record must be bytes that the parser can be asked about. */
#include "util/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static status look(void *arg, const char *bytes, size_t n, int which, int64_t line) {
    (void)arg;
    json_t *j;
    MUST(bytes[n] == 0 && n > 0 && which >= 0 && which < 5 && line >= 1,
         "record of %zu bytes, path %d, line %lld", n, which, (long long)line);
    if (json_parse(bytes, n, "record", &j) == OK) json_decref(j);
    return OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    int fd = memfd_create("input", 0);
    char path[64];
    reader *r;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd < 0 || write(fd, bytes, n) != (ssize_t)n) abort();
    if (reader_open(path, &r) == OK) {
        if (json_scan(r, "|*|data.*|data.*.a|*.a.*", 1000, look, NULL))
            MUST(err_msg()[0], "no sentence");
        reader_close(r);
    }
    close(fd);
    return 0;
}
