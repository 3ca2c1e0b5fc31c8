#ifndef RAGLAN_TESTS_DATA_INGEST_HELP_H
#define RAGLAN_TESTS_DATA_INGEST_HELP_H
/* A collection for one test, filled from files, and what became of them. */
#include "cmocka_all.h"
#include "data/ingest.h"
#include "temp.h"
#include "util/json.h"
#include "util/log.h"

static store *home;
static arena *memory;

static inline int open_home(void **state) {
    (void)state;
    static int n;
    char name[32];
    snprintf(name, sizeof name, "home%d", n++);
    log_level_set(LOG_ERROR);
    memory = arena_new(0);
    return store_open(temp_path(name), STORE_WRITE, &home);
}

static inline int close_home(void **state) {
    (void)state;
    store_close(home);
    arena_free(memory);
    return 0;
}

/* Counts and reasons of one call on one path. */
typedef struct took {
    status st;
    ingest_counts documents, questions;
    int64_t n_skips;
    char reason[512]; /* of the first skip */
} took;

static inline took ingest_as(const char *format, int split, const char *path) {
    took t = {0};
    ingest_report r = {0};
    const char *paths[] = {path};
    t.st = ingest_paths(home, paths, 1, &(ingest_options){format, split}, &r);
    t.documents = r.documents;
    t.questions = r.questions;
    t.n_skips = r.n_skips;
    snprintf(t.reason, sizeof t.reason, "%s", r.n_skips ? r.skips[0].reason : "");
    ingest_report_clear(&r);
    return t;
}

static inline took ingest_path_as_is(const char *path) {
    return ingest_as(NULL, -1, path);
}

/* "added unchanged replaced skipped" */
static inline const char *counts(ingest_counts c) {
    static char text[4][64];
    static int next;
    char *t = text[next++ % 4];
    snprintf(t, sizeof text[0], "%d %d %d %d", (int)c.added, (int)c.unchanged, (int)c.replaced,
             (int)c.skipped);
    return t;
}

static inline store_document document(const char *id) {
    store_document d = {0};
    bool found = false;
    assert_int_equal(store_find_document(home, id, memory, &d, &found), OK);
    assert_true(found);
    return d;
}

/* The document that a uri names. */
static inline store_document document_at(const char *uri) {
    int64_t *keys, n;
    store_document d = {0};
    bool found = false;
    assert_int_equal(store_resolve(home, uri, memory, &keys, &n), OK);
    assert_int_equal(n, 1);
    assert_int_equal(store_get_document(home, keys[0], memory, &d, &found), OK);
    assert_true(found);
    return d;
}

static inline store_question question(const char *id) {
    store_question q = {0};
    bool found = false;
    assert_int_equal(store_find_question(home, id, memory, &q, &found), OK);
    assert_true(found);
    return q;
}

/* Writes a file in a folder that is made. */
static inline const char *put_file(const char *name, const char *text) {
    char folder[512];
    snprintf(folder, sizeof folder, "%s", temp_path(name));
    *strrchr(folder, '/') = 0;
    assert_int_equal(file_make_folders(folder), OK);
    return temp_text(name, text);
}

/* $RAGLAN_TEST_DATA/below; the test is skipped where it is unset. */
static inline const char *real_data(const char *below) {
    static char path[512];
    const char *root = getenv("RAGLAN_TEST_DATA");
    if (!root) {
        print_message("skipped: RAGLAN_TEST_DATA is not set\n");
        skip();
    }
    snprintf(path, sizeof path, "%s/%s", root, below);
    return path;
}

#define test(f) cmocka_unit_test_setup_teardown(f, open_home, close_home)
#endif
