/* Care for the files that a manifest names: merging, checking, sweeping up. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "search/manifest_int.h"
#include "search/vectors_int.h"

/* ---- compact ---- */

static const char **names_of(const manifest_segment *s, int n) {
    const char **names = xcalloc((size_t)n + 1, sizeof *names);
    for (int i = 0; i < n; i++) names[i] = s[i].file;
    return names;
}

static status compact_lexical(const char *folder, const manifest *old, manifest *m) {
    char name[SEGMENT_NAME];
    const char **names = names_of(old->lexical, old->n_lexical);
    status st = lexical_merge(folder, names, old->n_lexical, manifest_deleted(old), name);
    free(names);
    return st ? st : manifest_add_lexical(folder, m, name);
}

static status compact_vectors(const char *folder, const manifest *old, manifest *m) {
    char name[SEGMENT_NAME];
    const char **names = names_of(old->vectors, old->n_vectors);
    status st = vectors_merge(folder, names, old->n_vectors, manifest_deleted(old), name);
    free(names);
    return st ? st : manifest_add_vectors(folder, m, name);
}

/* Written by an older raglan: a merge, even of one, writes it anew. */
static bool has_old_vectors(const char *folder, const manifest *m) {
    bool old = false;
    for (int i = 0; i < m->n_vectors && !old; i++) {
        vectors v;
        if (vectors_open(folder, m->vectors[i].file, &m->key, &v) != OK) continue;
        old = !v.codes;
        vectors_close(&v);
    }
    err_clear();
    return old;
}

status manifest_compact(const char *folder, manifest *m) {
    if (m->n_lexical <= 1 && m->n_vectors <= 1 && !m->n_deleted && !has_old_vectors(folder, m))
        return OK;
    manifest next = *m;
    next.lexical = next.vectors = NULL;
    next.deleted = NULL;
    next.n_deleted = 0;
    manifest_drop_lexical(&next);
    manifest_drop_vectors(&next);
    status st = m->n_lexical ? compact_lexical(folder, m, &next) : OK;
    if (!st && m->n_vectors) st = compact_vectors(folder, m, &next);
    if (!st) st = manifest_write(folder, &next);
    if (st) {
        manifest_clear(&next);
        return st;
    }
    manifest_clear(m);
    *m = next;
    return manifest_sweep(folder, m);
}

/* ---- check ---- */

static status check_ids(const char *file, const manifest_segment *s, const int64_t *ids,
                        int64_t n) {
    if (n != s->n || ids[0] != s->first_id || ids[n - 1] != s->last_id)
        FAIL(ERR_FORMAT, "%s: holds %" PRId64 " passages, the manifest says %" PRId64, file, n,
             s->n);
    for (int64_t i = 1; i < n; i++)
        if (ids[i] <= ids[i - 1])
            FAIL(ERR_FORMAT, "%s: ids do not ascend at %" PRId64, file, ids[i]);
    return OK;
}

static status check_lexical(const char *folder, const manifest_segment *s) {
    lexical_segment x;
    TRY(lexical_segment_open(folder, s->file, &x));
    status st = segment_verify(&x.file);
    if (!st) st = check_ids(s->file, s, x.ids, x.n);
    lexical_segment_close(&x);
    return st;
}

static status check_vectors(const char *folder, const manifest_segment *s, const vectors_key *key) {
    vectors v;
    TRY(vectors_open(folder, s->file, key, &v));
    status st = segment_verify(v.file);
    if (!st) st = check_ids(s->file, s, v.ids, v.n);
    vectors_close(&v);
    return st;
}

status manifest_check(const char *folder, const manifest *m,
                      void (*report)(void *arg, const char *sentence), void *arg,
                      int64_t *n_faults) {
    *n_faults = 0;
    for (int i = 0; i < m->n_lexical + m->n_vectors; i++) {
        bool is_lexical = i < m->n_lexical;
        status st = is_lexical ? check_lexical(folder, &m->lexical[i])
                               : check_vectors(folder, &m->vectors[i - m->n_lexical], &m->key);
        if (!st) continue;
        report(arg, err_msg());
        (*n_faults)++;
    }
    err_clear();
    return OK;
}

/* ---- sweep ---- */

static bool names_it(const manifest_segment *s, int n, const char *file) {
    for (int i = 0; i < n; i++)
        if (strcmp(s[i].file, file) == 0) return true;
    return false;
}

/* A segment that m does not name, or one that was never finished. */
static bool is_litter(const manifest *m, const char *file) {
    if (strcmp(file, "lexical.seg.new") == 0 || strcmp(file, "vectors.seg.new") == 0) return true;
    if (manifest_is_segment(file, "lexical")) return !names_it(m->lexical, m->n_lexical, file);
    if (manifest_is_segment(file, "vectors")) return !names_it(m->vectors, m->n_vectors, file);
    return false;
}

status manifest_sweep(const char *folder, const manifest *m) {
    DIR *d = opendir(folder);
    if (!d && errno == ENOENT) return OK;
    if (!d) FAIL(ERR_IO, "%s: cannot list: %s", folder, strerror(errno));
    status st = OK;
    for (struct dirent *e; !st && (e = readdir(d));) {
        if (!is_litter(m, e->d_name)) continue;
        char *path = xasprintf("%s/%s", folder, e->d_name);
        st = file_remove(path);
        free(path);
    }
    closedir(d);
    return st;
}
