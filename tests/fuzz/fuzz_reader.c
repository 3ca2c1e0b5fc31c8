/* floor: util. Any bytes as a file, plain or gzip: lines and blocks must give the same bytes,
 * damage must come with a sentence. */
#include "util/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define MOST                                                                                       \
    ((size_t)1 << 22) /* of inflated bytes: a small input may unfold to a thousand times its size  \
                       */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    int fd = memfd_create("input", 0);
    char path[64];
    reader *r;
    buf whole = {0}, line = {0};
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd < 0 || write(fd, bytes, n) != (ssize_t)n) abort();
    status st = file_read(path, MOST, &whole);
    if (st) MUST(err_msg()[0], "no sentence");
    if (reader_open(path, &r) == OK) {
        size_t at = 0;
        bool more = true;
        while (at < MOST && reader_line(r, &line, &more) == OK && more) {
            MUST(at + line.len <= whole.len && memcmp(line.at, whole.at + at, line.len) == 0,
                 "line %lld differs", (long long)reader_line_number(r));
            at += line.len;
            at += at < whole.len && whole.at[at] == '\r';
            at += at < whole.len && whole.at[at] == '\n';
        }
        MUST(st || more == false || at >= MOST, "the file was read, its lines were not");
        reader_close(r);
    }
    buf_clear(&whole);
    buf_clear(&line);
    close(fd);
    return 0;
}
