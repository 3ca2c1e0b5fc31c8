/* Attention over ragged spans: softmax(q k^T / sqrt(K)) v in each head (Vaswani et al. 2017).
 *
 * The backend does the arithmetic and, like Dao et al. 2022, keeps one log-sum-exp for each
 * row and head instead of the probabilities: backward makes them again. Here are the rules
 * of the spans, and zeros for rows that no span covers. */
#include "tensor/tensor_int.h"

#include <string.h>

typedef struct attention_record {
    record r;
    columns q, k, v;
    attention at;
} attention_record;

/* Whether every row of t is in one span, and each span has a counterpart that is not empty. */
static bool all_paired(spans own, spans other, const tensor *t) {
    for (int64_t i = 0; i < own.n; i++)
        if (other.at[i].end == other.at[i].begin) return false;
    return spans_cover(own, t->rows);
}

/* Makes the gradients of the halves that q, k and v are columns of, zeros where none of the three
 * is written: rows of no pair of spans, columns beside them. One tensor may be all three. */
static void make_grads(graph *g, const attention_record *a, spans qs, spans kvs) {
    const columns *part[3] = {&a->q, &a->k, &a->v};
    for (int i = 0; i < 3; i++) {
        tensor *t = part[i]->of;
        if ((i > 0 && t == a->q.of) || (i > 1 && t == a->k.of)) continue;
        int64_t written = 0;
        bool paired = true;
        for (int j = i; j < 3; j++) {
            if (part[j]->of != t) continue;
            written += a->at.width;
            paired = paired && all_paired(j ? kvs : qs, j ? qs : kvs, t);
        }
        bf16 *d = graph_grad_half(g, t);
        MUST(d, "attention: of q, k and v, halves, only some want gradients");
        if (!paired || written < t->cols) memset(d, 0, (size_t)(t->rows * t->cols) * sizeof *d);
    }
}

static void halves_back(graph *g, attention_record *a, tensor *y) {
    attention at = a->at;
    make_grads(g, a, (spans){at.n_spans, at.q_spans}, (spans){at.n_spans, at.kv_spans});
    at.dout16 = y->dh;
    at.dq16 = a->q.of->dh + a->q.col;
    at.dk16 = a->k.of->dh + a->k.col;
    at.dv16 = a->v.of->dh + a->v.col;
    g->be->attention_backward(&at);
}

static void attention_back(graph *g, record *r) {
    attention_record *a = (attention_record *)r;
    if (r->y->h) {
        halves_back(g, a, r->y);
        return;
    }
    attention at = a->at;
    at.dout = r->y->d;
    at.dq = graph_wants(g, a->q.of) ? graph_grad(g, a->q.of) + a->q.col : NULL;
    at.dk = graph_wants(g, a->k.of) ? graph_grad(g, a->k.of) + a->k.col : NULL;
    at.dv = graph_wants(g, a->v.of) ? graph_grad(g, a->v.of) + a->v.col : NULL;
    g->be->attention_backward(&at);
}

static void check_columns(const char *name, columns c, int64_t width) {
    MUST(0 <= c.col && c.col + width <= c.of->cols,
         "attention: %s is columns %" PRId64 "..%" PRId64 " of " SHAPE, name, c.col, c.col + width,
         OF(c.of));
}

tensor *t_attention(graph *g, columns q, columns k, columns v, int64_t width, int64_t n_heads,
                    spans q_spans, spans kv_spans, bool causal) {
    check_columns("q", q, width);
    check_columns("k", k, width);
    check_columns("v", v, width);
    MUST(n_heads > 0 && width % n_heads == 0, "attention: width %" PRId64 " in %" PRId64 " heads",
         width, n_heads);
    MUST(k.of->rows == v.of->rows, "attention: k is " SHAPE ", v is " SHAPE, OF(k.of), OF(v.of));
    MUST(q_spans.n == kv_spans.n, "attention: %" PRId64 " query spans, %" PRId64 " key spans",
         q_spans.n, kv_spans.n);
    spans_check("attention, queries", q_spans, q.of->rows);
    spans_check("attention, keys", kv_spans, k.of->rows);

    bool half = q.of->h;
    MUST(half == (k.of->h != NULL) && half == (v.of->h != NULL),
         "attention: of q, k and v some are halves");
    MUST(q.of->act == ACT_NONE && k.of->act == ACT_NONE && v.of->act == ACT_NONE,
         "attention: a half behind an activation goes into products alone");
    int64_t rows = q.of->rows;
    tensor *y = half ? graph_half(g, rows, width) : graph_result(g, rows, width);
    if (!spans_cover(q_spans, rows)) {
        if (half)
            memset(y->h, 0, (size_t)(rows * width) * sizeof *y->h);
        else
            vec_zero(rows * width, y->v);
    }
    attention at = {.q = half ? NULL : q.of->v + q.col,
                    .k = half ? NULL : k.of->v + k.col,
                    .v = half ? NULL : v.of->v + v.col,
                    .q16 = half ? q.of->h + q.col : NULL,
                    .k16 = half ? k.of->h + k.col : NULL,
                    .v16 = half ? v.of->h + v.col : NULL,
                    .q_stride = q.of->cols,
                    .k_stride = k.of->cols,
                    .v_stride = v.of->cols,
                    .width = width,
                    .n_heads = n_heads,
                    .n_spans = q_spans.n,
                    .q_spans = q_spans.at,
                    .kv_spans = kv_spans.at,
                    .causal = causal,
                    .out = y->v,
                    .out16 = y->h,
                    .lse = ARENA_ARRAY(g->arena, float, y->rows *n_heads)};
    g->be->attention_forward(&at);
    if (graph_wants(g, q.of) || graph_wants(g, k.of) || graph_wants(g, v.of)) {
        attention_record *a = RECORD(g, attention_record, y, attention_back);
        a->q = q, a->k = k, a->v = v, a->at = at;
    }
    return y;
}
