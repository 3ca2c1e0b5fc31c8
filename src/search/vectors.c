/* Reading vector segments, and merging several into one. Sections of the file:
 *
 *   ids     [n]       int64, ascending
 *   rows    [n, dim]  f32
 *   codes   [blocks, SCAN_ROWS * width]  bytes: 64 rows a block, the last one filled up
 *   bounds  [blocks]  code_bound
 *   meta              JSON {"version", "model", "tokenizer", "dim", "passages"}
 *
 * Version 1 had neither codes nor bounds; it can still be read. */
#include "search/vectors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "search/vectors_int.h"
#include "util/json.h"

bool vectors_key_equal(const vectors_key *a, const vectors_key *b) {
    return a->dim == b->dim && strcmp(a->model, b->model) == 0 &&
           strcmp(a->tokenizer, b->tokenizer) == 0;
}

static status parse_meta(const segment *s, vectors *v, int64_t *version) {
    const void *text;
    int64_t n;
    json_t *meta = NULL;
    TRY(segment_get(s, "meta", 1, -1, &text, &n));
    TRY(json_parse(text, (size_t)n, s->path, &meta));
    *version = json_int(meta, "version", -1);
    snprintf(v->key.model, sizeof v->key.model, "%s", json_str(meta, "model", ""));
    snprintf(v->key.tokenizer, sizeof v->key.tokenizer, "%s", json_str(meta, "tokenizer", ""));
    v->key.dim = json_int(meta, "dim", -1);
    v->n = json_int(meta, "passages", -1);
    json_decref(meta);
    if (*version < 1 || *version > VECTORS_VERSION)
        FAIL(ERR_FORMAT, "%s: version %" PRId64 ", wanted 1 to %d; run `raglan index`", s->path,
             *version, VECTORS_VERSION);
    if (v->key.dim < 1 || v->key.dim > VECTORS_DIM_MAX || v->n < 0 || v->n > INT64_MAX >> 24)
        FAIL(ERR_FORMAT, "%s: impossible shape [%" PRId64 ", %" PRId64 "]", s->path, v->n,
             v->key.dim);
    return OK;
}

status vectors_parse(const segment *s, const vectors_key *want, vectors *v) {
    int64_t version, blocks;
    TRY(parse_meta(s, v, &version));
    blocks = codes_blocks(v->n);
    TRY(segment_get(s, "ids", sizeof *v->ids, v->n, (const void **)&v->ids, NULL));
    TRY(segment_get(s, "rows", sizeof *v->rows, v->n * v->key.dim, (const void **)&v->rows, NULL));
    if (version > 1) {
        TRY(segment_get(s, "codes", (size_t)(SCAN_ROWS * codes_width(v->key.dim)), blocks,
                        (const void **)&v->codes, NULL));
        TRY(segment_get(s, "bounds", sizeof *v->bounds, blocks, (const void **)&v->bounds, NULL));
    }
    if (want && !vectors_key_equal(want, &v->key))
        FAIL(ERR_STATE,
             "%s: made by model %.8s with tokenizer %.8s (%" PRId64 " dims), but the model in use "
             "is %.8s with tokenizer %.8s (%" PRId64 " dims); run `raglan index`",
             s->path, v->key.model, v->key.tokenizer, v->key.dim, want->model, want->tokenizer,
             want->dim);
    return OK;
}

status vectors_open(const char *folder, const char *name, const vectors_key *want, vectors *out) {
    segment *s = xcalloc(1, sizeof *s);
    vectors v = {.file = s};
    status st = segment_open(folder, name, "vectors", s);
    if (!st) st = vectors_parse(s, want, &v);
    if (st)
        vectors_close(&v);
    else
        *out = v;
    return st;
}

void vectors_close(vectors *v) {
    if (v->file) segment_close(v->file);
    free(v->file);
    *v = (vectors){0};
}

status vectors_verify(const char *folder, const char *name) {
    vectors v;
    TRY(vectors_open(folder, name, NULL, &v));
    status st = segment_verify(v.file);
    vectors_close(&v);
    return st;
}

/* ---- writing from parts ---- */

static status put_meta(segment_writer *w, const vectors_key *key, int64_t n) {
    json_t *meta = json_pack("{s:i, s:s, s:s, s:I, s:I}", "version", VECTORS_VERSION, "model",
                             key->model, "tokenizer", key->tokenizer, "dim", (json_int_t)key->dim,
                             "passages", (json_int_t)n);
    char *line = json_line(meta);
    status st = segment_begin(w, "meta");
    if (!st) st = segment_add(w, line, strlen(line));
    free(line);
    json_decref(meta);
    return st;
}

/* Rows one after the other, whatever stretch they lie in, 64 at a time. */
typedef struct row_reader {
    const vectors_stretch *parts;
    int64_t n_parts, dim;
    int64_t part, at;
    float *rows; /* [SCAN_ROWS, dim] */
} row_reader;

static int64_t next_rows(row_reader *r) {
    int64_t n = 0;
    while (n < SCAN_ROWS && r->part < r->n_parts) {
        const vectors_stretch *p = &r->parts[r->part];
        int64_t take = p->n - r->at < SCAN_ROWS - n ? p->n - r->at : SCAN_ROWS - n;
        memcpy(r->rows + n * r->dim, p->rows + r->at * r->dim,
               (size_t)(take * r->dim) * sizeof *r->rows);
        n += take;
        r->at += take;
        if (r->at < p->n) continue;
        r->part++;
        r->at = 0;
    }
    return n;
}

static status put_codes(segment_writer *w, row_reader *r, int64_t n) {
    size_t block_bytes = (size_t)(SCAN_ROWS * codes_width(r->dim));
    int64_t blocks = codes_blocks(n);
    code_bound *bounds = xmalloc((size_t)(blocks + 1) * sizeof *bounds);
    uint8_t *block = xmalloc(block_bytes);
    status st = segment_begin(w, "codes");
    for (int64_t i = 0; i < blocks && !st; i++) {
        codes_make(r->rows, next_rows(r), r->dim, block, &bounds[i]);
        st = segment_add(w, block, block_bytes);
    }
    if (!st) st = segment_begin(w, "bounds");
    if (!st) st = segment_add(w, bounds, (size_t)blocks * sizeof *bounds);
    free(bounds);
    free(block);
    return st;
}

static status put_all(segment_writer *w, const vectors_key *key, const vectors_stretch *parts,
                      int64_t n_parts) {
    int64_t n = 0;
    TRY(segment_begin(w, "ids"));
    for (int64_t i = 0; i < n_parts; i++) {
        TRY(segment_add(w, parts[i].ids, (size_t)parts[i].n * sizeof *parts[i].ids));
        n += parts[i].n;
    }
    TRY(segment_begin(w, "rows"));
    for (int64_t i = 0; i < n_parts; i++)
        TRY(segment_add(w, parts[i].rows, (size_t)(parts[i].n * key->dim) * sizeof(float)));
    row_reader r = {.parts = parts, .n_parts = n_parts, .dim = key->dim};
    r.rows = xmalloc((size_t)(SCAN_ROWS * key->dim) * sizeof *r.rows);
    status st = put_codes(w, &r, n);
    free(r.rows);
    return st ? st : put_meta(w, key, n);
}

status vectors_write(const char *folder, const vectors_key *key, const vectors_stretch *parts,
                     int64_t n_parts, char name[SEGMENT_NAME]) {
    segment_writer *w;
    TRY(segment_writer_open(folder, "vectors", &w));
    status st = put_all(w, key, parts, n_parts);
    if (st) {
        segment_abort(w);
        return st;
    }
    return segment_commit(w, name);
}

/* ---- merging ---- */

/* The rows of several segments in id order, as stretches that lie together in one file. */
typedef struct merge {
    vectors *v; /* [n] */
    int n;
    vectors_stretch *parts;
    int64_t n_parts, cap;
} merge;

static void take_row(merge *m, const vectors *v, int64_t at) {
    const float *row = v->rows + at * v->key.dim;
    vectors_stretch *last = m->n_parts ? &m->parts[m->n_parts - 1] : NULL;
    if (last && last->ids + last->n == v->ids + at) {
        last->n++;
        return;
    }
    GROW(m->parts, m->n_parts, m->cap);
    m->parts[m->n_parts++] = (vectors_stretch){v->ids + at, row, 1};
}

static status order_rows(merge *m, id_list deleted) {
    int64_t *next = xcalloc((size_t)m->n + 1, sizeof *next), before = -1;
    status st = OK;
    for (;;) {
        int best = -1;
        for (int i = 0; i < m->n; i++)
            if (next[i] < m->v[i].n &&
                (best < 0 || m->v[i].ids[next[i]] < m->v[best].ids[next[best]]))
                best = i;
        if (best < 0) break;
        int64_t at = next[best]++, id = m->v[best].ids[at];
        if (id <= before) {
            st = err_set(ERR_FORMAT, __FILE__, __LINE__,
                         "passage %" PRId64 " has two vectors; run `raglan check --repair`", id);
            break;
        }
        before = id;
        if (id_find(deleted.at, deleted.n, id) < 0) take_row(m, &m->v[best], at);
    }
    free(next);
    return st;
}

status vectors_merge(const char *folder, const char *const *names, int n_names, id_list deleted,
                     char name[SEGMENT_NAME]) {
    if (n_names < 1) FAIL(ERR_ARG, "%s: no segments to merge", folder);
    merge m = {.v = xcalloc((size_t)n_names, sizeof *m.v)};
    status st = OK;
    for (; m.n < n_names && !st; m.n++)
        st = vectors_open(folder, names[m.n], m.n > 0 ? &m.v[0].key : NULL, &m.v[m.n]);
    if (!st) st = order_rows(&m, deleted);
    if (!st) st = vectors_write(folder, &m.v[0].key, m.parts, m.n_parts, name);
    for (int i = 0; i < m.n; i++) vectors_close(&m.v[i]);
    free(m.v);
    free(m.parts);
    return st;
}
