/* Attention over ragged spans: softmax(q k^T / sqrt(K)) v in each head (Vaswani et al. 2017).
 *
 * The backend does the arithmetic and, like Dao et al. 2022, keeps one log-sum-exp for each
 * row and head instead of the probabilities: backward makes them again. Here are the rules
 * of the spans, and zeros for rows that no span covers. */
#include "tensor/tensor_int.h"

typedef struct attention_record {
    record r;
    columns q, k, v;
    attention at;
} attention_record;

static void attention_back(graph *g, record *r) {
    attention_record *a = (attention_record *)r;
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

    tensor *y = graph_result(g, q.of->rows, width);
    if (!spans_cover(q_spans, q.of->rows)) vec_zero(y->rows * width, y->v);
    attention at = {.q = q.of->v + q.col,
                    .k = k.of->v + k.col,
                    .v = v.of->v + v.col,
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
                    .lse = ARENA_ARRAY(g->arena, float, y->rows *n_heads)};
    g->be->attention_forward(&at);
    if (graph_wants(g, q.of) || graph_wants(g, k.of) || graph_wants(g, v.of)) {
        attention_record *a = RECORD(g, attention_record, y, attention_back);
        a->q = q, a->k = k, a->v = v, a->at = at;
    }
    return y;
}
