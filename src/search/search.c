/* One question against everything the manifest names. */
#include "search/search.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct search {
    manifest m;
    lexical *lexical;
    flat *flat; /* NULL: vectors stay closed */
};

/* ---- open and close ---- */

static const char **names_of(const manifest_segment *s, int n) {
    const char **names = xcalloc((size_t)n + 1, sizeof *names);
    for (int i = 0; i < n; i++) names[i] = s[i].file;
    return names;
}

static status open_all(search *s, const char *folder, const vectors_key *want) {
    const manifest *m = &s->m;
    const char **names = names_of(m->lexical, m->n_lexical);
    status st = lexical_open(folder, names, m->n_lexical, manifest_deleted(m), &s->lexical);
    free(names);
    if (st || !want) return st;
    names = names_of(m->vectors, m->n_vectors);
    st = flat_open(folder, names, m->n_vectors, want, manifest_deleted(m), &s->flat);
    free(names);
    return st;
}

status search_open(const char *folder, const vectors_key *want, search **out) {
    search *s = xcalloc(1, sizeof *s);
    manifest_init(&s->m);
    status st = manifest_read(folder, &s->m);
    if (!st) st = open_all(s, folder, want);
    if (st)
        search_close(s);
    else
        *out = s;
    return st;
}

void search_close(search *s) {
    if (!s) return;
    lexical_close(s->lexical);
    flat_close(s->flat);
    manifest_clear(&s->m);
    free(s);
}

const manifest *search_manifest(const search *s) {
    return &s->m;
}

const lexical *search_lexical(const search *s) {
    return s->lexical;
}

const flat *search_flat(const search *s) {
    return s->flat;
}

search_options search_defaults(const search *s, search_mode mode, int64_t k) {
    return (search_options){.mode = mode, .k = k, .lexical = bm25_default, .fuse = s->m.fuse};
}

/* ---- candidates ---- */

typedef struct id_set {
    int64_t *at;
    int64_t n, cap;
} id_set;

static void add_id(id_set *s, int64_t id) {
    GROW(s->at, s->n, s->cap);
    s->at[s->n++] = id;
}

static int compare_ids(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void sort_unique(id_set *s) {
    if (s->n) qsort(s->at, (size_t)s->n, sizeof *s->at, compare_ids);
    int64_t kept = 0;
    for (int64_t i = 0; i < s->n; i++)
        if (!kept || s->at[kept - 1] != s->at[i]) s->at[kept++] = s->at[i];
    s->n = kept;
}

static status need_vectors(const search *s, const float *vector) {
    if (!s->flat || !flat_count(s->flat))
        FAIL(ERR_STATE, "the index has no vectors; run `raglan train retriever`, then "
                        "`raglan index`, or search with --mode bm25");
    MUST(vector, "a dense search wants the question's vector");
    return OK;
}

/* The union of the best of both sides, ascending. */
static status best_of_both(const search *s, const char *question, size_t n, const float *vector,
                           const search_options *o, id_set *ids) {
    int64_t k = o->per_side > 0 ? o->per_side : o->k > 100 ? o->k : 100, found = 0;
    hit *hits = xmalloc((size_t)k * sizeof *hits);
    status st = lexical_search(s->lexical, question, n, &o->lexical, k, o->filter, hits, &found);
    for (int64_t i = 0; i < found && !st; i++) add_id(ids, hits[i].id);
    if (!st) st = flat_search(s->flat, vector, 1, flat_dim(s->flat), k, o->filter, hits);
    for (int64_t i = 0; i < k && !st && hits[i].id >= 0; i++) add_id(ids, hits[i].id);
    free(hits);
    sort_unique(ids);
    return st;
}

static bool smooths(const search_options *o) {
    return o->passages.neighbours && o->fuse.share != 0 && o->fuse.reach > 0;
}

static bool is_searchable(const search *s, const search_options *o, int64_t id) {
    if (!lexical_has(s->lexical, id) && !flat_row(s->flat, id)) return false;
    return !o->filter.fn || o->filter.fn(o->filter.arg, id);
}

/* Neighbours of the candidates become candidates too: scored exactly, and able to win. */
static void add_neighbours(const search *s, const search_options *o, id_set *ids) {
    int64_t n = ids->n;
    int64_t *near = xmalloc(2 * (size_t)o->fuse.reach * sizeof *near);
    for (int64_t i = 0; i < n; i++) {
        int n_near = o->passages.neighbours(o->passages.arg, ids->at[i], o->fuse.reach, near);
        for (int j = 0; j < n_near; j++)
            if (is_searchable(s, o, near[j])) add_id(ids, near[j]);
    }
    free(near);
    sort_unique(ids);
}

/* Who is whose neighbour, as indices into the candidates. */
static void link_neighbours(const search_options *o, const id_set *ids, fusion_pool *pool) {
    int32_t *begin = xcalloc((size_t)ids->n + 1, sizeof *begin), *list = NULL, n = 0, cap = 0;
    int64_t *near = xmalloc(2 * (size_t)o->fuse.reach * sizeof *near);
    for (int64_t i = 0; i < ids->n; i++) {
        begin[i] = n;
        int n_near = o->passages.neighbours(o->passages.arg, ids->at[i], o->fuse.reach, near);
        for (int j = 0; j < n_near; j++) {
            int64_t at = id_find(ids->at, ids->n, near[j]);
            if (at < 0) continue;
            GROW(list, n, cap);
            list[n++] = (int32_t)at;
        }
    }
    begin[ids->n] = n;
    free(near);
    pool->begin = begin;
    pool->neighbour = list;
}

static status score_both(const search *s, const char *question, size_t n, const float *vector,
                         const search_options *o, const id_set *ids, candidate *c) {
    float *lexical_scores = xmalloc((size_t)(ids->n + 1) * sizeof *lexical_scores);
    float *dense_scores = xmalloc((size_t)(ids->n + 1) * sizeof *dense_scores);
    status st =
        lexical_score_ids(s->lexical, question, n, &o->lexical, ids->at, ids->n, lexical_scores);
    if (!st) st = flat_score_ids(s->flat, vector, flat_dim(s->flat), ids->at, ids->n, dense_scores);
    for (int64_t i = 0; i < ids->n && !st; i++) {
        bool has_dense = !isnan(dense_scores[i]);
        c[i] = (candidate){.id = ids->at[i],
                           .bm25 = lexical_scores[i],
                           .dense = has_dense ? dense_scores[i] : 0,
                           .has_dense = has_dense};
    }
    free(lexical_scores);
    free(dense_scores);
    return st;
}

static status look_near(const search_options *o, fusion_pool *pool) {
    hit ahead[NEAR_DEPTH];
    int64_t n_ahead = fusion_ahead(pool, ahead);
    pool->near = xcalloc((size_t)pool->n + 1, sizeof *pool->near);
    for (int64_t i = 0; i < n_ahead; i++) {
        const int32_t *ids;
        int64_t n, at = ahead[i].id;
        TRY(o->passages.tokens(o->passages.arg, pool->c[at].id, &ids, &n));
        pool->near[at] = (float)nearness(o->near, ids, n);
    }
    return OK;
}

static status score_pool(const search_options *o, fusion_pool *pool) {
    fusion_score(&o->fuse, pool);
    if (!o->passages.tokens || !o->near || o->fuse.near == 0 || o->fuse.mode != FUSION_SUM)
        return OK;
    TRY(look_near(o, pool));
    fusion_score(&o->fuse, pool);
    return OK;
}

status search_pool(const search *s, const char *question, size_t n, const float *vector,
                   const search_options *o, fusion_pool *out) {
    TRY(need_vectors(s, vector));
    id_set ids = {0};
    fusion_pool pool = {0};
    status st = best_of_both(s, question, n, vector, o, &ids);
    if (!st && smooths(o)) add_neighbours(s, o, &ids);
    pool.n = ids.n;
    pool.c = xcalloc((size_t)ids.n + 1, sizeof *pool.c);
    if (!st) st = score_both(s, question, n, vector, o, &ids, pool.c);
    if (!st && smooths(o)) link_neighbours(o, &ids, &pool);
    free(ids.at);
    if (!st) st = score_pool(o, &pool);
    if (st)
        search_pool_clear(&pool);
    else
        *out = pool;
    return st;
}

void search_pool_clear(fusion_pool *pool) {
    free(pool->c);
    free(pool->near);
    free((void *)(uintptr_t)pool->begin);
    free((void *)(uintptr_t)pool->neighbour);
    *pool = (fusion_pool){0};
}

/* ---- search ---- */

static status run_dense(const search *s, const float *vector, const search_options *o, hit *hits,
                        int64_t *n_hits) {
    TRY(need_vectors(s, vector));
    TRY(flat_search(s->flat, vector, 1, flat_dim(s->flat), o->k, o->filter, hits));
    int64_t n = 0;
    while (n < o->k && hits[n].id >= 0) n++;
    *n_hits = n;
    return OK;
}

static status run_hybrid(const search *s, const char *question, size_t n, const float *vector,
                         const search_options *o, hit *hits, int64_t *n_hits) {
    fusion_pool pool;
    TRY(search_pool(s, question, n, vector, o, &pool));
    *n_hits = fusion_top(&pool, o->k, hits);
    search_pool_clear(&pool);
    return OK;
}

status search_run(const search *s, const char *question, size_t n, const float *vector,
                  const search_options *o, hit *hits, int64_t *n_hits) {
    if (o->k < 1) FAIL(ERR_ARG, "top_k is %" PRId64 ", wanted at least 1", o->k);
    switch (o->mode) {
    case SEARCH_BM25:
        return lexical_search(s->lexical, question, n, &o->lexical, o->k, o->filter, hits, n_hits);
    case SEARCH_DENSE:
        return run_dense(s, vector, o, hits, n_hits);
    case SEARCH_HYBRID:
        return run_hybrid(s, question, n, vector, o, hits, n_hits);
    }
    FAIL(ERR_ARG, "search mode %d is unknown", (int)o->mode);
}
