/* floor: text. A tokenizer.json that comes from anywhere; with what is taken, the file's own bytes
 * are encoded, and the pieces must tile them. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void encode(const tokenizer *t, const char *text, size_t n) {
    tokens list = {0};
    buf spelled = {0};
    tokenizer_encode(t, text, n, &list);
    for (int64_t i = 0; i < list.n; i++) {
        int64_t before = i ? list.end[i - 1] : 0;
        MUST(list.id[i] >= 0 && list.id[i] < tokenizer_size(t), "id %d", list.id[i]);
        MUST(list.begin[i] == before && list.end[i] >= before,
             "piece %lld is %lld..%lld after %lld", (long long)i, (long long)list.begin[i],
             (long long)list.end[i], (long long)before);
    }
    MUST(list.n == 0 || list.end[list.n - 1] == (int64_t)n, "pieces end before %zu", n);
    tokenizer_decode(t, list.id, list.n, &spelled);
    buf_clear(&spelled);
    tokens_clear(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    int fd = memfd_create("tokenizer", MFD_CLOEXEC);
    MUST(fd >= 0 && write(fd, bytes, n) == (ssize_t)n, "no memory file for %zu bytes", n);
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    tokenizer *t;
    if (n && bytes[0] == '{' &&
        tokenizer_open(path, &t) == OK) { /* SentencePiece's own is not it */
        encode(t, (const char *)bytes, n);
        tokenizer_close(t);
    }
    close(fd);
    return 0;
}
