/* Attention over ragged spans, for all families: a task is one span and one head, and works
 * with the family's own product (gemm_kind) on its own scratch, so that scores exist for a
 * block of QUERIES rows at a time and nowhere else.
 *
 *   forward    S = Q K^T;  P = softmax(scale S) over the keys seen;  out = P V
 *   backward   P again from S and the saved log-sum-exp (Dao et al. 2022);
 *              dP = dO V^T;  dS = scale P (dP - dO . out);
 *              dQ += dS K;  dK += dS^T Q;  dV += P^T dO
 *
 * The keys of a span are packed once and serve all its queries. A span of few queries (a step
 * of decoding) reads its keys in place instead: packing would cost more than the products.
 *
 * Backward adds to dK and dV: spans whose keys come one after another are separate tasks; where
 * key spans overlap, one task a head takes all spans in order, so that sums are the same at
 * any number of threads. */
#include "tensor/cpu/cpu_int.h"
#include "tensor/cpu/pieces.h"
#include "util/par.h"

#include <math.h>
#include <string.h>

enum {
    QUERIES = 96, /* of a block: whole panels in every family */
    FEW = 4,      /* queries below which keys are not packed */
};

typedef struct job {
    const gemm_kind *g;
    const row_kind *r;
    const attention *at;
    float scale;
    bool together; /* backward: key spans overlap */
} job;

/* One span and head. */
typedef struct place {
    int64_t m, n, width; /* queries, keys, columns of the head */
    int64_t q0, k0, col; /* first query row, first key row, first column */
} place;

static place place_of(const attention *at, int64_t span_at, int64_t head) {
    span q = at->q_spans[span_at], kv = at->kv_spans[span_at];
    int64_t width = at->width / at->n_heads;
    return (place){q.end - q.begin, kv.end - kv.begin, width, q.begin, kv.begin, head * width};
}

/* Panels of a [rows x cols] block as a factor: `as_a` with its rows or (turned) its columns as
 * lines, and likewise for b. */
static void pack_as_a(const gemm_kind *g, int64_t rows, int64_t cols, const float *x, int64_t ld,
                      bool turned, char *panels) {
    int64_t lines = turned ? cols : rows, k = turned ? rows : cols;
    gemm_lines from = {.at = x, .ld = ld, .along_k = !turned};
    g->pack_a(lines, k, &from, panels, (int64_t)gemm_a_bytes(g, g->mr, k));
}
static void pack_as_b(const gemm_kind *g, int64_t rows, int64_t cols, const float *x, int64_t ld,
                      bool turned, char *panels) {
    int64_t lines = turned ? rows : cols, k = turned ? cols : rows;
    gemm_lines from = {.at = x, .ld = ld, .along_k = turned};
    g->pack_b(lines, k, &from, panels, (int64_t)gemm_b_bytes(g, k, g->nr));
}

/* ---- forward ---- */

static void forward_few(const job *w, const place *p, int64_t head) {
    const attention *at = w->at;
    float *s = scratch_take(SCRATCH_ROWS, (size_t)p->n * sizeof *s);
    const float *k = at->k + p->k0 * at->k_stride + p->col,
                *v = at->v + p->k0 * at->v_stride + p->col;
    for (int64_t j = 0; j < p->m; j++) {
        int64_t row = p->q0 + j, seen = keys_seen(at, p->m, p->n, j);
        const float *q = at->q + row * at->q_stride + p->col;
        float *out = at->out + row * at->width + p->col;
        for (int64_t t = 0; t < seen; t++) s[t] = w->r->dot(p->width, q, k + t * at->k_stride);
        at->lse[row * at->n_heads + head] = w->r->soften(seen, w->scale, s);
        w->r->mix(seen, p->width, s, v, at->v_stride, out);
    }
}

static void forward_span(const job *w, const place *p, int64_t head) {
    const attention *at = w->at;
    const gemm_kind *g = w->g;
    int64_t rows = least(QUERIES, p->m), ld = (p->n + 15) / 16 * 16;
    char *k_b = NULL, *v_b = NULL, *q_a = NULL, *p_a = NULL;
    float *s = NULL;
    for (cutter c = {0};; c = (cutter){scratch_take(SCRATCH_ROWS, c.used), 0}) {
        k_b = cut(&c, gemm_b_bytes(g, p->width, p->n));
        v_b = cut(&c, gemm_b_bytes(g, p->n, p->width));
        q_a = cut(&c, gemm_a_bytes(g, rows, p->width));
        p_a = cut(&c, gemm_a_bytes(g, rows, p->n));
        s = cut(&c, (size_t)(rows * ld) * sizeof *s);
        if (c.at) break;
    }
    const float *k = at->k + p->k0 * at->k_stride + p->col,
                *v = at->v + p->k0 * at->v_stride + p->col;
    pack_as_b(g, p->n, p->width, k, at->k_stride, true, k_b);
    pack_as_b(g, p->n, p->width, v, at->v_stride, false, v_b);
    for (int64_t j = 0; j < p->m; j += rows) {
        int64_t m = least(rows, p->m - j), row = p->q0 + j;
        pack_as_a(g, m, p->width, at->q + row * at->q_stride + p->col, at->q_stride, false, q_a);
        gemm_block(g, m, p->n, p->width, q_a, k_b, s, ld, false);
        for (int64_t i = 0; i < m; i++) {
            int64_t seen = keys_seen(at, p->m, p->n, j + i);
            at->lse[(row + i) * at->n_heads + head] = w->r->soften(seen, w->scale, s + i * ld);
            memset(s + i * ld + seen, 0, (size_t)(p->n - seen) * sizeof *s);
        }
        pack_as_a(g, m, p->n, s, ld, false, p_a);
        gemm_block(g, m, p->width, p->n, p_a, v_b, at->out + row * at->width + p->col, at->width,
                   false);
    }
}

static void forward_task(void *arg, int64_t i, int worker) {
    (void)worker;
    const job *w = arg;
    int64_t head = i % w->at->n_heads;
    place p = place_of(w->at, i / w->at->n_heads, head);
    if (p.m <= 0) return;
    (p.n > 0 && p.m >= FEW ? forward_span : forward_few)(w, &p, head);
}

void attention_forward(const gemm_kind *g, const row_kind *r, const attention *at) {
    job w = {.g = g, .r = r, .at = at, .scale = 1 / sqrtf((float)(at->width / at->n_heads))};
    par_for(at->n_spans * at->n_heads, forward_task, &w);
}

/* ---- backward ---- */

static void backward_span(const job *w, const place *p, int64_t head) {
    const attention *at = w->at;
    const gemm_kind *g = w->g;
    int64_t rows = least(QUERIES, p->m), ld = (p->n + 15) / 16 * 16, width = p->width;
    char *k_turned = NULL, *v_turned = NULL, *k_b = NULL, *rows_a = NULL, *rows_b = NULL,
         *s_a = NULL;
    float *s = NULL, *ds = NULL;
    for (cutter c = {0};; c = (cutter){scratch_take(SCRATCH_ROWS, c.used), 0}) {
        k_turned = cut(&c, gemm_b_bytes(g, width, p->n));
        v_turned = cut(&c, gemm_b_bytes(g, width, p->n));
        k_b = cut(&c, gemm_b_bytes(g, p->n, width));
        rows_a = cut(&c, gemm_a_bytes(g, rows, width));
        rows_b = cut(&c, gemm_b_bytes(g, rows, width));
        size_t straight = gemm_a_bytes(g, rows, p->n), turned = gemm_a_bytes(g, p->n, rows);
        s_a = cut(&c, straight > turned ? straight : turned);
        s = cut(&c, (size_t)(rows * ld) * sizeof *s);
        ds = cut(&c, (size_t)(rows * ld) * sizeof *ds);
        if (c.at) break;
    }
    int64_t k_at = p->k0 * at->k_stride + p->col, v_at = p->k0 * at->v_stride + p->col;
    pack_as_b(g, p->n, width, at->k + k_at, at->k_stride, true, k_turned);
    pack_as_b(g, p->n, width, at->v + v_at, at->v_stride, true, v_turned);
    if (at->dq) pack_as_b(g, p->n, width, at->k + k_at, at->k_stride, false, k_b);
    for (int64_t j = 0; j < p->m; j += rows) {
        int64_t m = least(rows, p->m - j), row = p->q0 + j, q_at = row * at->q_stride + p->col;
        const float *q = at->q + q_at, *dout = at->dout + row * at->width + p->col;
        const float *out = at->out + row * at->width + p->col;
        pack_as_a(g, m, width, q, at->q_stride, false, rows_a);
        gemm_block(g, m, p->n, width, rows_a, k_turned, s, ld, false);
        pack_as_a(g, m, width, dout, at->width, false, rows_a);
        gemm_block(g, m, p->n, width, rows_a, v_turned, ds, ld, false);
        for (int64_t i = 0; i < m; i++) {
            int64_t seen = keys_seen(at, p->m, p->n, j + i);
            size_t unseen = (size_t)(p->n - seen) * sizeof *s;
            float mean = w->r->dot(width, dout + i * at->width, out + i * at->width);
            float lse = at->lse[(row + i) * at->n_heads + head];
            w->r->slopes(seen, w->scale, lse, mean, s + i * ld, ds + i * ld);
            memset(s + i * ld + seen, 0, unseen);
            memset(ds + i * ld + seen, 0, unseen);
        }
        if (at->dv) {
            pack_as_a(g, m, p->n, s, ld, true, s_a);
            pack_as_b(g, m, width, dout, at->width, false, rows_b);
            gemm_block(g, p->n, width, m, s_a, rows_b, at->dv + v_at, at->v_stride, true);
        }
        if (at->dk) {
            pack_as_a(g, m, p->n, ds, ld, true, s_a);
            pack_as_b(g, m, width, q, at->q_stride, false, rows_b);
            gemm_block(g, p->n, width, m, s_a, rows_b, at->dk + k_at, at->k_stride, true);
        }
        if (at->dq) {
            pack_as_a(g, m, p->n, ds, ld, false, s_a);
            gemm_block(g, m, width, p->n, s_a, k_b, at->dq + q_at, at->q_stride, true);
        }
    }
}

static void backward_task(void *arg, int64_t i, int worker) {
    (void)worker;
    const job *w = arg;
    int64_t head = i % w->at->n_heads, begin = i / w->at->n_heads;
    int64_t end = w->together ? w->at->n_spans : begin + 1;
    for (int64_t at = begin; at < end; at++) {
        place p = place_of(w->at, at, head);
        if (p.m > 0 && p.n > 0) backward_span(w, &p, head);
    }
}

/* Whether each key span begins at or after the end of the one before. */
static bool one_after_another(int64_t n, const span *s) {
    for (int64_t i = 1; i < n; i++)
        if (s[i].begin < s[i - 1].end) return false;
    return true;
}

void attention_backward(const gemm_kind *g, const row_kind *r, const attention *at) {
    job w = {.g = g, .r = r, .at = at, .scale = 1 / sqrtf((float)(at->width / at->n_heads))};
    w.together = !one_after_another(at->n_spans, at->kv_spans) && (at->dk || at->dv);
    if (at->n_spans > 0) par_for((w.together ? 1 : at->n_spans) * at->n_heads, backward_task, &w);
}
