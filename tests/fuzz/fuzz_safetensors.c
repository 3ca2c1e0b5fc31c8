/* floor: nn. Any bytes through the safetensors reader; of a file that it takes, every value is
 * read, so that a wrong pointer meets the address sanitizer. */
#include "nn/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void read_all(const st_file *f, const char *path) {
    uint64_t sum = 0;
    for (int64_t i = 0; i < st_count(f); i++) {
        const st_tensor *t = st_at(f, i);
        for (size_t j = 0; j < t->bytes; j++) sum += t->at[j];
        size_t elements = t->bytes / (t->dtype[0] == 'F' && t->dtype[1] == '3' ? 4 : 2);
        float *x = xmalloc(elements * sizeof *x + 1);
        if (st_copy_f32(t, x, (int64_t)elements) == OK && elements) sum += x[0] > 0;
        free(x);
        MUST(st_find(f, t->name), "'%s' is listed and not found, sum %llu", t->name,
             (unsigned long long)sum);
    }
    (void)st_verify(f, path);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    int fd = memfd_create("safetensors", MFD_CLOEXEC);
    MUST(fd >= 0 && write(fd, bytes, n) == (ssize_t)n, "no memory file for %zu bytes", n);
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    st_file *f;
    if (st_open(path, &f) == OK) {
        read_all(f, path);
        st_close(f);
    }
    close(fd);
    return 0;
}
