/* Cross-entropy over a vocabulary, without a matrix of logits.
 *
 *   p = softmax(x e^T),  loss = mean over rows with a target of -log p[target]
 *   dl = w (p - onehot),  dx = dl e,  de = dl^T x          (w = seed / rows)
 *   softcap: the logit l becomes cap tanh(l / cap), dl gains the factor 1 - tanh^2
 *
 * Rows without a target are left out before the product. The others come in blocks whose
 * probabilities take 64 MiB at most; the last block made stays, the others are made again in
 * backward: one block means nothing is computed twice, many mean bounded memory (the idea of
 * Wijmans et al. 2024, cut over rows only, so that packed copies of e serve every block).
 * The weight w is put on the narrow side, x and dx, and saves a pass over [rows, V]. */
#include "tensor/tensor_int.h"

#include <math.h>
#include <string.h>

typedef struct vocab_job {
    const backend *be;
    int64_t cols;
    float softcap;
    float *p, *tanh, *log_p;
    const int32_t *target;
} vocab_job;

static void softmax_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    vocab_job *j = arg;
    for (int64_t i = begin; i < end; i++) {
        float *p = j->p + i * j->cols, *th = j->tanh + i * j->cols, lse;
        if (j->softcap > 0) {
            for (int64_t w = 0; w < j->cols; w++) p[w] /= j->softcap;
            j->be->activate(j->cols, ACT_TANH, p, th);
            for (int64_t w = 0; w < j->cols; w++) p[w] = j->softcap * th[w];
        }
        float logit = j->target ? p[j->target[i]] : 0;
        j->be->softmax(1, j->cols, p, &lse);
        if (j->target) j->log_p[i] = logit - lse;
    }
}

void vocab_softmax(graph *g, const float *x, int64_t n, tensor *e, float softcap, float *p,
                   float *tanh, const int32_t *target, float *log_p) {
    g->be->matmul(&(matmul){.m = n,
                            .n = e->rows,
                            .k = e->cols,
                            .a = x,
                            .lda = e->cols,
                            .b = e->v,
                            .ldb = e->cols,
                            .b_t = true,
                            .c = p,
                            .ldc = e->rows,
                            .packs = e->packs,
                            .version = e->version});
    vocab_job j = {g->be, e->rows, softcap, p, tanh ? tanh : p, log_p, target};
    par_range(n, rows_grain(e->rows), softmax_piece, &j);
}

/* Makes the probabilities of the block that begins at row `begin`; returns its length. */
static int64_t make_block(graph *g, vocab *o, int64_t begin) {
    int64_t n = o->n - begin < o->block ? o->n - begin : o->block;
    if (o->made == begin) return n;
    vocab_softmax(g, o->rows + begin * o->x->cols, n, o->e, o->softcap, o->p, o->tanh,
                  o->target + begin, o->log_p + begin);
    o->made = begin;
    return n;
}

/* Rows with a target; a copy of them unless they are all of x. */
static void pick_rows(graph *g, vocab *o, const int32_t *target) {
    tensor *x = o->x;
    for (int64_t t = 0; t < x->rows; t++) {
        MUST(target[t] < o->e->rows, "cross_entropy: target %d at %" PRId64 ", the table is " SHAPE,
             (int)target[t], t, OF(o->e));
        o->n += target[t] >= 0;
    }
    o->rows = x->v;
    o->target = target;
    if (o->n == x->rows) return;
    int64_t *row = ARENA_ARRAY(g->arena, int64_t, o->n), n = 0;
    int32_t *picked = ARENA_ARRAY(g->arena, int32_t, o->n);
    float *rows = ARENA_ARRAY(g->arena, float, o->n * x->cols);
    for (int64_t t = 0; t < x->rows; t++) {
        if (target[t] < 0) continue;
        row[n] = t;
        picked[n] = target[t];
        memcpy(rows + n++ * x->cols, x->v + t * x->cols, (size_t)x->cols * sizeof *rows);
    }
    o->row = row;
    o->target = picked;
    o->rows = rows;
}

void vocab_forward(graph *g, vocab *o, tensor *x, tensor *e, const int32_t *target, float softcap) {
    MUST(x->cols == e->cols, "cross_entropy: x is " SHAPE ", e is " SHAPE, OF(x), OF(e));
    *o = (vocab){.x = x, .e = e, .softcap = softcap, .made = -1};
    pick_rows(g, o, target);
    o->block = g->vocab_floats / e->rows > 0 ? g->vocab_floats / e->rows : 1;
    if (o->block > o->n) o->block = o->n;
    o->log_p = ARENA_ARRAY(g->arena, float, o->n);
    o->p = ARENA_ARRAY(g->arena, float, o->block * e->rows);
    o->tanh = softcap > 0 ? ARENA_ARRAY(g->arena, float, o->block * e->rows) : NULL;
    for (int64_t begin = 0; begin < o->n; begin += o->block) make_block(g, o, begin);
}

/* ---- backward ---- */

typedef struct rows_job {
    const backend *be;
    const vocab *o;
    const float *weight, *from;
    float *to;
} rows_job;

/* p - onehot, times the softcap's slope, in place of p. */
static void slope_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const vocab *o = ((rows_job *)arg)->o;
    int64_t cols = o->e->rows;
    for (int64_t i = begin; i < end; i++) {
        float *p = o->p + i * cols;
        p[o->target[o->made + i]] -= 1;
        if (!o->tanh) continue;
        const float *th = o->tanh + i * cols;
        for (int64_t w = 0; w < cols; w++) p[w] *= 1 - th[w] * th[w];
    }
}

static void weigh_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    rows_job *j = arg;
    int64_t cols = j->o->x->cols;
    for (int64_t i = begin; i < end; i++)
        for (int64_t c = 0; c < cols; c++)
            j->to[i * cols + c] = j->weight[i] * j->from[i * cols + c];
}

static void scatter_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    rows_job *j = arg;
    int64_t cols = j->o->x->cols;
    for (int64_t i = begin; i < end; i++) {
        int64_t t = j->o->row ? j->o->row[i] : i;
        j->be->add_scaled(cols, j->weight[i], j->from + i * cols, j->to + t * cols);
    }
}

void vocab_backward(graph *g, vocab *o, const float *weight) {
    if (o->n == 0) return;
    int64_t d = o->x->cols, v = o->e->rows, grain = rows_grain(d);
    bool fresh;
    float *de = graph_grad_fresh(g, o->e, &fresh), *dx = graph_grad(g, o->x);
    float *weighed = de ? graph_take(g, o->n * d) : NULL; /* rows of x times their weight */
    float *pulled = dx ? graph_take(g, o->n * d) : NULL;  /* rows of dx before it */
    if (de) par_range(o->n, grain, weigh_piece, &(rows_job){g->be, o, weight, o->rows, weighed});
    for (int64_t begin = (o->n - 1) / o->block * o->block; begin >= 0; begin -= o->block) {
        int64_t n = make_block(g, o, begin);
        par_range(n, rows_grain(v), slope_piece, &(rows_job){.o = o});
        o->made = -1; /* p holds slopes now */
        matmul mm = {.n = d, .a = o->p, .lda = v, .ldb = d, .ldc = d};
        if (dx) {
            mm.m = n, mm.k = v, mm.b = o->e->v, mm.c = pulled + begin * d;
            mm.packs = o->e->packs, mm.version = o->e->version;
            g->be->matmul(&mm);
        }
        if (de) {
            mm.m = v, mm.k = n, mm.a_t = true, mm.b = weighed + begin * d, mm.c = de;
            mm.packs = NULL, mm.accumulate = !fresh;
            g->be->matmul(&mm);
            fresh = false;
        }
    }
    if (dx) {
        par_range(o->n, grain, scatter_piece, &(rows_job){g->be, o, weight, pulled, dx});
        graph_give(g, pulled, o->n * d);
    }
    if (de) graph_give(g, weighed, o->n * d);
}

/* ---- the operator ---- */

typedef struct cross_entropy_record {
    record r;
    vocab o;
} cross_entropy_record;

static void cross_entropy_back(graph *g, record *r) {
    cross_entropy_record *c = (cross_entropy_record *)r;
    float *weight = ARENA_ARRAY(g->arena, float, c->o.n);
    for (int64_t i = 0; i < c->o.n; i++) weight[i] = r->y->d[0] / (float)c->o.n;
    vocab_backward(g, &c->o, weight);
}

tensor *t_linear_cross_entropy(graph *g, tensor *x, tensor *e, const int32_t *target,
                               float softcap) {
    vocab o;
    vocab_forward(g, &o, x, e, target, softcap);
    double sum = 0;
    for (int64_t i = 0; i < o.n; i++) sum -= o.log_p[i];
    tensor *y = graph_loss(g, o.n ? sum / (double)o.n : 0);
    if (o.n && (graph_wants(g, x) || graph_wants(g, e)))
        RECORD(g, cross_entropy_record, y, cross_entropy_back)->o = o;
    return y;
}
