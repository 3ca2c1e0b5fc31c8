/* Pooling: one row from each span.
 *
 *   sum    y[i] = sum over t in span i of w[t] x[t]     dx[t] += w[t] dy[i],  dw[t] += x[t] . dy[i]
 *   mean   the same with w = 1 / length
 *
 * Spans run in parallel; where they overlap, backward takes them one after another. */
#include "tensor/tensor_int.h"

#include <string.h>

typedef struct pool_record {
    record r;
    const backend *be;
    tensor *x, *w; /* w NULL: ones */
    spans s;
    bool mean;
    float *y;
    const float *dy;
    float *dx, *dw;
} pool_record;

static float pool_weight(const pool_record *p, span at, int64_t t) {
    if (p->mean) return 1 / (float)(at.end - at.begin);
    return p->w ? p->w->v[t] : 1;
}

static void pool_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    pool_record *p = arg;
    int64_t cols = p->x->cols;
    for (int64_t i = begin; i < end; i++) {
        span at = p->s.at[i];
        float *y = p->y + i * cols;
        memset(y, 0, (size_t)cols * sizeof *y);
        for (int64_t t = at.begin; t < at.end; t++)
            p->be->add_scaled(cols, pool_weight(p, at, t), p->x->v + t * cols, y);
    }
}

static void pool_back_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    pool_record *p = arg;
    int64_t cols = p->x->cols;
    for (int64_t i = begin; i < end; i++) {
        span at = p->s.at[i];
        const float *dy = p->dy + i * cols;
        for (int64_t t = at.begin; t < at.end; t++) {
            if (p->dx) p->be->add_scaled(cols, pool_weight(p, at, t), dy, p->dx + t * cols);
            if (p->dw) p->dw[t] += (float)vec_dot(cols, p->x->v + t * cols, dy);
        }
    }
}

static void pool_back(graph *g, record *r) {
    pool_record *p = (pool_record *)r;
    p->dy = r->y->d;
    p->dx = graph_grad(g, p->x);
    p->dw = p->w ? graph_grad(g, p->w) : NULL;
    if (spans_disjoint(p->s))
        par_range(p->s.n, 1, pool_back_piece, p);
    else
        pool_back_piece(p, 0, p->s.n, 0);
}

static tensor *pool(graph *g, tensor *x, tensor *w, spans s, bool mean) {
    spans_check("pool", s, x->rows);
    MUST(!w || (w->rows == x->rows && w->cols == 1), "pool: x is " SHAPE ", weights are " SHAPE,
         OF(x), OF(w));
    tensor *y = graph_result(g, s.n, x->cols);
    pool_record p = {.be = g->be, .x = x, .w = w, .s = s, .mean = mean, .y = y->v};
    par_range(s.n, 1, pool_piece, &p);
    if (graph_wants(g, x) || graph_wants(g, w)) {
        pool_record *kept = RECORD(g, pool_record, y, pool_back);
        p.r = kept->r;
        *kept = p;
    }
    return y;
}

tensor *t_pool_mean(graph *g, tensor *x, spans s) {
    return pool(g, x, NULL, s, true);
}

tensor *t_pool_sum(graph *g, tensor *x, tensor *w, spans s) {
    return pool(g, x, w, s, false);
}
