#ifndef RAGLAN_TESTS_SEARCH_HELP_H
#define RAGLAN_TESTS_SEARCH_HELP_H
/* What the tests of the search floor share: a folder of their own, and words at random. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "succeeds.h"
#include "temp.h"
#include "util/file.h"
#include "util/rng.h"

/* A new, empty folder among the test's temporary files; caller frees the name. */
static inline char *make_folder(void) {
    static int n;
    char *name = xasprintf("folder%d", n++);
    char *path = xstrdup(temp_path(name));
    free(name);
    assert_int_equal(mkdir(path, 0777), 0);
    return path;
}

static inline status count_one(void *arg, const char *path) {
    (void)path;
    ++*(int *)arg;
    return OK;
}

static inline int count_files(const char *folder) {
    int n = 0;
    assert_int_equal(file_walk(folder, count_one, &n), OK);
    return n;
}

/* Writing beyond so many bytes of a file fails, as on a full disk; -1: no limit. */
static inline void limit_file_size(int64_t bytes) {
    struct rlimit r;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &r), 0);
    signal(SIGXFSZ, SIG_IGN);
    r.rlim_cur = bytes < 0 ? r.rlim_max : (rlim_t)bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

/* Flips one bit of folder/name. */
static inline void flip_bit(const char *folder, const char *name, long offset) {
    char *path = xasprintf("%s/%s", folder, name);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, offset, SEEK_SET), 0);
    int c = fgetc(f);
    assert_int_equal(fseek(f, offset, SEEK_SET), 0);
    assert_int_not_equal(fputc(c ^ 4, f), EOF);
    assert_int_equal(fclose(f), 0);
    free(path);
}

/* A text of n words "w0".."w<vocabulary-1>", small numbers far more often, as in language. */
static inline void random_text(rng *r, int n, int vocabulary, buf *out) {
    buf_reset(out);
    for (int i = 0; i < n; i++) {
        double u = rng_uniform(r);
        buf_printf(out, "%sw%d", i ? " " : "", (int)(u * u * u * vocabulary));
    }
}
#endif
