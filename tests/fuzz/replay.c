/* Runs a fuzz target over files and folders of inputs, without a fuzzer: what was found once
 * is tried in every build. usage: replay_NAME PATH... */
#include <stdio.h>
#include <stdlib.h>

#include "util/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* A copy of exactly n bytes on the heap: the address sanitizer sees a read past the end. */
static status replay(void *arg, const char *path) {
    file_map m;
    TRY(file_map_open(path, &m)); /* as it lies on disk: a .gz is an input, not a wrapping */
    uint8_t *bytes = xmalloc(m.size);
    for (size_t i = 0; i < m.size; i++) bytes[i] = m.at[i];
    LLVMFuzzerTestOneInput(bytes, m.size);
    free(bytes);
    file_map_close(&m);
    ++*(int *)arg;
    return OK;
}

int main(int argc, char **argv) {
    int n = 0;
    for (int i = 1; i < argc; i++) {
        if (!file_walk(argv[i], replay, &n)) continue;
        fprintf(stderr, "%s\n", err_msg());
        return 1;
    }
    printf("%d inputs replayed\n", n);
    return n == 0; /* an empty corpus tests nothing */
}
