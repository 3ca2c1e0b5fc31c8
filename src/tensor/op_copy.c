/* The copying reader's output (pointer-generator, See et al. 2017, eq. 8-9).
 *
 *   a = softmax(x e^T)[target],  b = sum of c[j] over source rows j that hold the target,
 *   c = softmax over the span's source rows of cq . ck / sqrt(C),  s = sigmoid(gate)
 *   p = s a + (1 - s) b,  loss = mean of -log p
 *
 * Gradients follow from the shares of the two ways, A = s a / p and B = (1 - s) b / p:
 *   the vocabulary gets A times its cross-entropy gradient,  d gate = -((1 - s) A - s B),
 *   d score[j] = B (c[j] - [source j holds the target] c[j] / b)
 * all divided by the number of rows. Shares are computed from logarithms, so that a target
 * that both ways find unlikely has a gradient still.
 *
 * c is kept: its size is output rows times source rows, small beside the vocabulary. */
#include "tensor/tensor_int.h"

#include <math.h>
#include <string.h>

typedef struct copying {
    const backend *be;
    copy_head h;
    int64_t *at; /* [questions] where a question's c begins, -1: it has nothing to copy */
    int64_t n_c;
    float *c;              /* [output rows, source rows] of each question, one after another */
    const int32_t *target; /* of all rows, or NULL */
    float *copied;         /* [T] b; 0 where nothing is copied */
    uint8_t *copies;       /* [T] the row's question has something to copy */
    float *share;          /* [T] B / rows for seed 1, 0 without a target */
    float *ds;             /* like c, while backward runs */
    float seed;
    float *dcq, *dck;
} copying;

static double softplus(double x) {
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static bool has_source(const copy_head *h, span keys) {
    for (int64_t j = keys.begin; j < keys.end; j++)
        if (h->source_id[j] >= 0) return true;
    return false;
}

/* ---- copy probabilities of questions begin..end-1 ---- */

static void copy_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    copying *o = arg;
    int64_t width = o->h.cq->cols;
    float scale = 1 / sqrtf((float)width);
    for (int64_t i = begin; i < end; i++) {
        if (o->at[i] < 0) continue;
        span rows = o->h.q_spans.at[i], keys = o->h.kv_spans.at[i];
        int64_t m = rows.end - rows.begin, n = keys.end - keys.begin;
        const int32_t *source = o->h.source_id + keys.begin;
        float *c = o->c + o->at[i];
        o->be->matmul(&(matmul){.m = m,
                                .n = n,
                                .k = width,
                                .a = o->h.cq->v + rows.begin * width,
                                .lda = width,
                                .b = o->h.ck->v + keys.begin * width,
                                .ldb = width,
                                .b_t = true,
                                .c = c,
                                .ldc = n,
                                .packs = o->h.packs ? o->h.packs[i] : NULL});
        for (int64_t t = 0; t < m; t++)
            for (int64_t j = 0; j < n; j++)
                c[t * n + j] = source[j] < 0 ? -INFINITY : scale * c[t * n + j];
        o->be->softmax(m, n, c, NULL);
        for (int64_t t = 0; t < m; t++) {
            double sum = 0;
            int32_t target = o->target ? o->target[rows.begin + t] : -1;
            for (int64_t j = 0; j < n; j++)
                sum += target >= 0 && source[j] == target ? c[t * n + j] : 0;
            o->copied[rows.begin + t] = (float)sum;
            o->copies[rows.begin + t] = true;
        }
    }
}

static void check_head(const copy_head *h) {
    int64_t rows = h->x->rows;
    MUST(h->x->cols == h->e->cols, "copy: x is " SHAPE ", e is " SHAPE, OF(h->x), OF(h->e));
    MUST(h->gate->rows == rows && h->gate->cols == 1, "copy: x is " SHAPE ", gate is " SHAPE,
         OF(h->x), OF(h->gate));
    MUST(h->cq->rows == rows && h->cq->cols == h->ck->cols,
         "copy: x is " SHAPE ", cq " SHAPE ", ck " SHAPE, OF(h->x), OF(h->cq), OF(h->ck));
    MUST(h->q_spans.n == h->kv_spans.n, "copy: %" PRId64 " row spans, %" PRId64 " source spans",
         h->q_spans.n, h->kv_spans.n);
    spans_check("copy, rows", h->q_spans, rows);
    spans_check("copy, sources", h->kv_spans, h->ck->rows);
    for (int64_t j = 0; j < h->ck->rows; j++)
        MUST(h->source_id[j] < h->e->rows, "copy: source id %d, e is " SHAPE, (int)h->source_id[j],
             OF(h->e));
}

static copying make_copying(graph *g, const copy_head *h, const int32_t *target) {
    check_head(h);
    int64_t rows = h->x->rows, n_questions = h->q_spans.n;
    copying o = {
        .be = g->be, .h = *h, .target = target, .at = ARENA_ARRAY(g->arena, int64_t, n_questions)};
    for (int64_t i = 0; i < n_questions; i++) {
        span r = h->q_spans.at[i], k = h->kv_spans.at[i];
        o.at[i] = has_source(h, k) ? o.n_c : -1;
        if (o.at[i] >= 0) o.n_c += (r.end - r.begin) * (k.end - k.begin);
    }
    o.c = ARENA_ARRAY(g->arena, float, o.n_c);
    o.copied = arena_push(g->arena, (size_t)rows * sizeof *o.copied);
    o.copies = arena_push(g->arena, (size_t)rows);
    o.share = arena_push(g->arena, (size_t)rows * sizeof *o.share);
    par_range(n_questions, 1, copy_piece, &o);
    return o;
}

/* ---- the loss ---- */

typedef struct copy_record {
    record r;
    vocab words;
    copying o;
    float *weight; /* [rows with target] A / rows for seed 1 */
    float *d_gate; /* [T] for seed 1 */
} copy_record;

/* Row t, target with log-probability log_a among the words: returns log p and the two shares. */
static double mix(const copying *o, int64_t t, double log_a, double *by_word, double *by_copy) {
    *by_word = 1;
    *by_copy = 0;
    if (!o->copies[t]) return log_a;
    double gate = o->h.gate->v[t];
    double word = log_a - softplus(-gate), copy = log(o->copied[t]) - softplus(gate);
    double most = word > copy ? word : copy;
    double log_p = most + log(exp(word - most) + exp(copy - most));
    *by_word = exp(word - log_p);
    *by_copy = exp(copy - log_p);
    return log_p;
}

/* d score = B (c - match c / b), scaled as the scores are; then two products. */
static void copy_back_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    copying *o = arg;
    int64_t width = o->h.cq->cols;
    float scale = o->seed / sqrtf((float)width);
    for (int64_t i = begin; i < end; i++) {
        if (o->at[i] < 0) continue;
        span rows = o->h.q_spans.at[i], keys = o->h.kv_spans.at[i];
        int64_t m = rows.end - rows.begin, n = keys.end - keys.begin;
        const int32_t *source = o->h.source_id + keys.begin;
        const float *c = o->c + o->at[i];
        float *ds = o->ds + o->at[i];
        for (int64_t t = 0; t < m; t++) {
            float share = scale * o->share[rows.begin + t], b = o->copied[rows.begin + t];
            int32_t target = o->target[rows.begin + t];
            for (int64_t j = 0; j < n; j++) {
                float match = b > 0 && source[j] == target ? c[t * n + j] / b : 0;
                ds[t * n + j] = share * (c[t * n + j] - match);
            }
        }
        matmul mm = {.n = width, .a = ds, .lda = n, .ldb = width, .ldc = width, .accumulate = true};
        if (o->dcq) {
            mm.m = m, mm.k = n, mm.b = o->h.ck->v + keys.begin * width,
            mm.c = o->dcq + rows.begin * width;
            o->be->matmul(&mm);
        }
        if (o->dck) {
            mm.m = n, mm.k = m, mm.a_t = true;
            mm.b = o->h.cq->v + rows.begin * width, mm.c = o->dck + keys.begin * width;
            o->be->matmul(&mm);
        }
    }
}

static void copy_back(graph *g, record *r) {
    copy_record *k = (copy_record *)r;
    copying *o = &k->o;
    float seed = r->y->d[0];
    float *weight = ARENA_ARRAY(g->arena, float, k->words.n);
    for (int64_t i = 0; i < k->words.n; i++) weight[i] = seed * k->weight[i];
    vocab_backward(g, &k->words, weight);
    if (graph_wants(g, o->h.gate))
        vec_add_scaled(g->be, o->h.x->rows, seed, k->d_gate, graph_grad(g, o->h.gate));
    o->seed = seed;
    o->ds = graph_take(g, o->n_c);
    o->dcq = graph_grad(g, o->h.cq);
    o->dck = graph_grad(g, o->h.ck);
    int64_t n = o->h.q_spans.n;
    if (spans_disjoint(o->h.kv_spans) && spans_disjoint(o->h.q_spans))
        par_range(n, 1, copy_back_piece, o);
    else
        copy_back_piece(o, 0, n, 0);
    graph_give(g, o->ds, o->n_c);
}

tensor *t_copy_cross_entropy(graph *g, const copy_head *h, const int32_t *target) {
    copying o = make_copying(g, h, target);
    vocab words;
    vocab_forward(g, &words, h->x, h->e, target, h->softcap);
    float *weight = ARENA_ARRAY(g->arena, float, words.n);
    float *d_gate = arena_push(g->arena, (size_t)h->x->rows * sizeof *d_gate);
    double sum = 0, n = (double)words.n;
    for (int64_t i = 0; i < words.n; i++) {
        int64_t t = words.row ? words.row[i] : i;
        double by_word, by_copy, s = 1 / (1 + exp(-h->gate->v[t]));
        sum -= mix(&o, t, words.log_p[i], &by_word, &by_copy);
        weight[i] = (float)(by_word / n);
        o.share[t] = (float)(by_copy / n);
        if (o.copies[t]) d_gate[t] = (float)((s * by_copy - (1 - s) * by_word) / n);
    }
    tensor *y = graph_loss(g, words.n ? sum / n : 0);
    bool wanted = graph_wants(g, h->x) || graph_wants(g, h->e) || graph_wants(g, h->gate) ||
                  graph_wants(g, h->cq) || graph_wants(g, h->ck);
    if (words.n && wanted) {
        copy_record *k = RECORD(g, copy_record, y, copy_back);
        k->words = words, k->o = o, k->weight = weight, k->d_gate = d_gate;
    }
    return y;
}

/* ---- probabilities ---- */

tensor *t_copy_probabilities(graph *g, const copy_head *h) {
    copying o = make_copying(g, h, NULL);
    int64_t rows = h->x->rows, cols = h->e->rows;
    tensor *y = graph_result(g, rows, cols);
    float *tanh = h->softcap > 0 ? graph_take(g, rows * cols) : NULL;
    vocab_softmax(g, h->x->v, rows, h->e, h->softcap, y->v, tanh, NULL, NULL);
    if (tanh) graph_give(g, tanh, rows * cols);
    for (int64_t i = 0; i < h->q_spans.n; i++) {
        if (o.at[i] < 0) continue;
        span at = h->q_spans.at[i], keys = h->kv_spans.at[i];
        const float *c = o.c + o.at[i];
        for (int64_t t = at.begin; t < at.end; t++) {
            float s = (float)(1 / (1 + exp(-h->gate->v[t]))), *p = y->v + t * cols;
            for (int64_t w = 0; w < cols; w++) p[w] *= s;
            for (int64_t j = keys.begin; j < keys.end; j++, c++)
                if (h->source_id[j] >= 0) p[h->source_id[j]] += (1 - s) * *c;
        }
    }
    return y;
}
