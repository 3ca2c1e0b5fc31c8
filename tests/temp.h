#ifndef RAGLAN_TESTS_TEMP_H
#define RAGLAN_TESTS_TEMP_H
/* A folder of its own for a test program, under TMPDIR or /tmp: made on first use, removed
 * with all it holds when the program ends. Include it after cmocka.h. */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char temp_root[256];
static pid_t temp_owner; /* a forked child that exits leaves the folder to its parent */

static int temp_remove_one(const char *path, const struct stat *s, int kind, struct FTW *where) {
    (void)s, (void)kind, (void)where;
    return remove(path);
}

static void temp_remove(void) {
    if (getpid() == temp_owner) nftw(temp_root, temp_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The path of `name` in the folder; the last eight results stay valid. */
static inline const char *temp_path(const char *name) {
    static char paths[8][512];
    static int next;
    if (!temp_root[0]) {
        const char *base = getenv("TMPDIR");
        snprintf(temp_root, sizeof temp_root, "%s/raglan-test-XXXXXX", base ? base : "/tmp");
        if (!mkdtemp(temp_root)) abort();
        temp_owner = getpid();
        atexit(temp_remove);
    }
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", temp_root, name);
    return path;
}

/* Writes a file into the folder and returns its path. */
static inline const char *temp_file(const char *name, const void *bytes, size_t n) {
    const char *path = temp_path(name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f) != 0) abort();
    return path;
}

static inline const char *temp_text(const char *name, const char *text) {
    return temp_file(name, text, strlen(text));
}
#endif
