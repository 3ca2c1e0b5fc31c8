/* Exact dense search over mapped rows.
 *
 * A dot product is summed in 16 lanes which are then added pairwise, in plain IEEE
 * multiplications and additions (no fused ones): so it has the same bits with SSE, AVX2 or
 * AVX-512, for one query or a batch. The vectors are GCC's; the loops over rows are compiled
 * once for each instruction set and chosen when the program starts.
 *
 * Rows are cut into pieces that fit the second-level cache; threads take pieces, and each
 * worker keeps its own best k for every query. Because the order of hits is total, merging these
 * gives the same answer whoever took which piece. */
#include "search/flat.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "util/par.h"

enum {
    LANES = 16,
    TILE = 4,                /* queries that share one pass over a row */
    PIECE_BYTES = 256 << 10, /* of rows */
    GROUP = 256              /* queries that share one reading of all rows */
};

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef float lanes_8 __attribute__((vector_size(8 * sizeof(float))));
typedef float lanes_4 __attribute__((vector_size(4 * sizeof(float))));

typedef struct part {
    vectors v;
    uint64_t *gone; /* [ceil(v.n / 64)] bit set: deleted */
} part;

struct flat {
    part *parts;
    int n_parts;
    int64_t n, dim;
};

/* ---- kernels ---- */

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define FOR_EACH_CPU __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EACH_CPU
#endif

/* Adds the lanes pairwise: the upper half to the lower, until one is left. */
static inline __attribute__((always_inline)) float sum_of(const lanes *sum) {
    lanes_8 a, b;
    lanes_4 c, d;
    memcpy(&a, sum, sizeof a);
    memcpy(&b, (const char *)sum + sizeof a, sizeof b);
    a += b;
    memcpy(&c, &a, sizeof c);
    memcpy(&d, (const char *)&a + sizeof c, sizeof d);
    c += d;
    return (c[0] + c[2]) + (c[1] + c[3]);
}

/* Scores of n rows with one query: out[i] = sum over d of q[d] * rows[i, d]. dim >= 1. */
FOR_EACH_CPU static void dot_1(const float *q, const float *rows, int64_t n, int64_t dim,
                               float *out) {
    int64_t whole = dim - dim % LANES;
    for (int64_t i = 0; i < n; i++) {
        const float *row = rows + i * dim;
        lanes sum = {0}, a, b;
        for (int64_t d = 0; d < whole; d += LANES) {
            memcpy(&a, q + d, sizeof a);
            memcpy(&b, row + d, sizeof b);
            sum += a * b;
        }
        for (int64_t d = whole; d < dim; d++) sum[d - whole] += q[d] * row[d];
        out[i] = sum_of(&sum);
    }
}

/* The same for TILE queries [TILE, dim]; out [TILE, n]. Each row is loaded once. */
FOR_EACH_CPU static void dot_tile(const float *q, const float *rows, int64_t n, int64_t dim,
                                  float *out) {
    int64_t whole = dim - dim % LANES;
    for (int64_t i = 0; i < n; i++) {
        const float *row = rows + i * dim;
        lanes sum[TILE] = {{0}}, a, b;
        for (int64_t d = 0; d < whole; d += LANES) {
            memcpy(&b, row + d, sizeof b);
#pragma GCC unroll 4 /* keeps the sums in registers */
            for (int t = 0; t < TILE; t++) {
                memcpy(&a, q + t * dim + d, sizeof a);
                sum[t] += a * b;
            }
        }
#pragma GCC unroll 4
        for (int t = 0; t < TILE; t++) {
            for (int64_t d = whole; d < dim; d++) sum[t][d - whole] += q[t * dim + d] * row[d];
            out[t * n + i] = sum_of(&sum[t]);
        }
    }
}

/* ---- open and close ---- */

static inline bool is_gone(const part *p, int64_t at) {
    return p->gone[at / 64] >> (at % 64) & 1;
}

static status open_parts(flat *ix, const char *folder, const char *const *names, int n,
                         const vectors_key *want, id_list deleted) {
    for (int i = 0; i < n; i++) {
        part *p = &ix->parts[i];
        TRY(vectors_open(folder, names[i],
                         want    ? want
                         : i > 0 ? &ix->parts[0].v.key
                                 : NULL,
                         &p->v));
        ix->n_parts = i + 1;
        ix->n += p->v.n;
        ix->dim = p->v.key.dim;
        p->gone = xcalloc((size_t)(p->v.n / 64 + 1), sizeof *p->gone);
        for (int64_t j = 0; j < deleted.n; j++) {
            int64_t at = id_find(p->v.ids, p->v.n, deleted.at[j]);
            if (at >= 0) p->gone[at / 64] |= 1ull << (at % 64);
        }
    }
    return OK;
}

status flat_open(const char *folder, const char *const *names, int n_names, const vectors_key *want,
                 id_list deleted, flat **out) {
    flat *ix = xcalloc(1, sizeof *ix);
    ix->parts = xcalloc((size_t)n_names + 1, sizeof *ix->parts);
    status st = open_parts(ix, folder, names, n_names, want, deleted);
    if (st)
        flat_close(ix);
    else
        *out = ix;
    return st;
}

void flat_close(flat *ix) {
    if (!ix) return;
    for (int i = 0; i < ix->n_parts; i++) {
        vectors_close(&ix->parts[i].v);
        free(ix->parts[i].gone);
    }
    free(ix->parts);
    free(ix);
}

int64_t flat_count(const flat *ix) {
    return ix->n;
}

int64_t flat_dim(const flat *ix) {
    return ix->dim;
}

const float *flat_row(const flat *ix, int64_t id) {
    for (int i = 0; i < ix->n_parts; i++) {
        const part *p = &ix->parts[i];
        int64_t at = id_find(p->v.ids, p->v.n, id);
        if (at >= 0 && !is_gone(p, at)) return p->v.rows + at * ix->dim;
    }
    return NULL;
}

/* ---- search ---- */

/* One group of queries against all rows. */
typedef struct sweep {
    const flat *ix;
    const float *q; /* [n_query, dim] */
    int64_t n_query, k;
    hit_filter filter;
    int64_t piece_rows;
    int64_t *first_piece; /* [n_parts + 1] pieces before each part */
    topk *best;           /* [workers, n_query] */
    float *scores;        /* [workers, TILE, piece_rows] */
} sweep;

static void keep_best(const sweep *s, const part *p, int64_t first, int64_t n, const float *scores,
                      topk *best) {
    for (int64_t i = 0;; i++) {
        i = scores_next(scores, i, n, topk_bound(best));
        if (i == n) return;
        if (is_gone(p, first + i)) continue;
        int64_t id = p->v.ids[first + i];
        if (s->filter.fn && !s->filter.fn(s->filter.arg, id)) continue;
        topk_add(best, (hit){id, scores[i]});
    }
}

static void sweep_piece(void *arg, int64_t piece, int worker) {
    const sweep *s = arg;
    int at = 0;
    while (s->first_piece[at + 1] <= piece) at++;
    const part *p = &s->ix->parts[at];
    int64_t dim = s->ix->dim, first = (piece - s->first_piece[at]) * s->piece_rows;
    int64_t n = p->v.n - first < s->piece_rows ? p->v.n - first : s->piece_rows;
    const float *rows = p->v.rows + first * dim;
    float *scores = s->scores + worker * TILE * s->piece_rows;
    topk *best = s->best + worker * s->n_query;
    int64_t i = 0;
    for (; i + TILE <= s->n_query; i += TILE) {
        dot_tile(s->q + i * dim, rows, n, dim, scores);
        for (int t = 0; t < TILE; t++) keep_best(s, p, first, n, scores + t * n, &best[i + t]);
    }
    for (; i < s->n_query; i++) {
        dot_1(s->q + i * dim, rows, n, dim, scores);
        keep_best(s, p, first, n, scores, &best[i]);
    }
}

/* Merges the workers' best of one query into out [k], padded. */
static void merge_workers(const sweep *s, int64_t i_query, int workers, hit *out) {
    topk all = {.at = out, .k = s->k};
    for (int w = 0; w < workers; w++) {
        const topk *t = &s->best[w * s->n_query + i_query];
        for (int64_t i = 0; i < t->n; i++) topk_add(&all, t->at[i]);
    }
    topk_sort(&all);
    for (int64_t i = all.n; i < s->k; i++) out[i] = (hit){-1, -INFINITY};
}

static void sweep_run(sweep *s, hit *hits) {
    int workers = par_threads();
    int64_t lists = workers * s->n_query;
    int64_t most = s->k < s->ix->n ? s->k : s->ix->n; /* no list grows longer */
    hit *room = xmalloc((size_t)(lists * most + 1) * sizeof *room);
    s->best = xmalloc((size_t)lists * sizeof *s->best);
    s->scores = xmalloc((size_t)(workers * TILE * s->piece_rows) * sizeof *s->scores);
    for (int64_t i = 0; i < lists; i++) s->best[i] = (topk){.at = room + i * most, .k = most};
    par_for(s->first_piece[s->ix->n_parts], sweep_piece, s);
    for (int64_t i = 0; i < s->n_query; i++) merge_workers(s, i, workers, hits + i * s->k);
    free(room);
    free(s->best);
    free(s->scores);
}

static status check_dim(const flat *ix, int64_t dim) {
    if (ix->n_parts && dim != ix->dim)
        FAIL(ERR_ARG, "a question's vector has %" PRId64 " dims, the index %" PRId64, dim, ix->dim);
    return OK;
}

status flat_search(const flat *ix, const float *q, int64_t n_query, int64_t dim, int64_t k,
                   hit_filter filter, hit *hits) {
    if (k < 1) FAIL(ERR_ARG, "top_k is %" PRId64 ", wanted at least 1", k);
    TRY(check_dim(ix, dim));
    int64_t rows = PIECE_BYTES / (dim * (int64_t)sizeof(float));
    sweep s = {.ix = ix, .k = k, .filter = filter, .piece_rows = rows > 64 ? rows : 64};
    s.first_piece = xcalloc((size_t)ix->n_parts + 1, sizeof *s.first_piece);
    for (int i = 0; i < ix->n_parts; i++)
        s.first_piece[i + 1] =
            s.first_piece[i] + (ix->parts[i].v.n + s.piece_rows - 1) / s.piece_rows;
    for (int64_t i = 0; i < n_query; i += GROUP) {
        s.q = q + i * dim;
        s.n_query = n_query - i < GROUP ? n_query - i : GROUP;
        sweep_run(&s, hits + i * k);
    }
    free(s.first_piece);
    return OK;
}

status flat_score_ids(const flat *ix, const float *q, int64_t dim, const int64_t *ids, int64_t n,
                      float *scores) {
    TRY(check_dim(ix, dim));
    for (int64_t i = 0; i < n; i++) {
        const float *row = flat_row(ix, ids[i]);
        scores[i] = NAN;
        if (row) dot_1(q, row, 1, dim, &scores[i]);
    }
    return OK;
}
