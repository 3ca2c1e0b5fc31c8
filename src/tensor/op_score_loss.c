/* Losses over scores: contrastive, published, marginal.
 *
 * Each makes d loss / d score in forward, while the probabilities are at hand, and keeps it;
 * backward multiplies by the seed. */
#include "tensor/tensor_int.h"

#include <math.h>
#include <string.h>

/* ---- contrastive (van den Oord et al. 2018, InfoNCE; symmetric: Radford et al. 2021) ----
 *
 *   s = exp(log_scale) q c^T,  p = softmax of each row of s,  loss = mean_i -log p[i, positive[i]]
 *   ds = (p - onehot) / B,  dq = exp(log_scale) ds c,  dc = exp(log_scale) ds^T q,
 *   d log_scale = sum of ds * s
 *
 * Symmetric: row i of u [B, B] is column positive[i] of s, with its own positive at i; the
 * same loss over u, and both halved. A left-out pair has s = -inf, hence p = 0. */

typedef struct contrastive_record {
    record r;
    tensor *q, *c, *log_scale;
    float *ds; /* [B, C] for seed 1 */
    double d_log_scale;
} contrastive_record;

static void contrastive_back(graph *g, record *r) {
    contrastive_record *k = (contrastive_record *)r;
    int64_t b = k->q->rows, n = k->c->rows, d = k->q->cols;
    float seed = r->y->d[0];
    if (graph_wants(g, k->log_scale))
        graph_grad(g, k->log_scale)[0] += (float)(seed * k->d_log_scale);
    float *ds = graph_take(g, b * n);
    vec_scale(b * n, seed * expf(k->log_scale->v[0]), k->ds, ds);
    bool fresh;
    matmul mm = {.n = d, .lda = n, .ldb = d, .ldc = d, .a = ds};
    if ((mm.c = graph_grad_fresh(g, k->q, &fresh))) {
        mm.m = b, mm.k = n, mm.b = k->c->v, mm.accumulate = !fresh;
        g->be->matmul(&mm);
    }
    if ((mm.c = graph_grad_fresh(g, k->c, &fresh))) {
        mm.m = n, mm.k = b, mm.b = k->q->v, mm.a_t = true, mm.accumulate = !fresh;
        g->be->matmul(&mm);
    }
    graph_give(g, ds, b * n);
}

typedef struct rows_job {
    const backend *be;
    int64_t cols;
    float *p; /* [rows, cols] scores, then scale * (softmax - onehot) */
    const int32_t *right;
    float scale;
    double *loss; /* [rows] -log p[right] */
} rows_job;

static void rows_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    rows_job *j = arg;
    for (int64_t i = begin; i < end; i++) {
        float *p = j->p + i * j->cols, lse;
        int64_t right = j->right ? j->right[i] : i;
        double score = p[right];
        j->be->softmax(1, j->cols, p, &lse);
        j->loss[i] = lse - score;
        p[right] -= 1;
        for (int64_t c = 0; c < j->cols; c++) p[c] *= j->scale;
    }
}

/* Sum over rows of p [rows, cols] of -log softmax at right[i] (NULL: at i); p becomes
 * scale * (softmax - onehot). */
static double rows_loss(graph *g, int64_t rows, int64_t cols, float *p, const int32_t *right,
                        float scale) {
    rows_job j = {g->be, cols, p, right, scale, ARENA_ARRAY(g->arena, double, rows)};
    par_range(rows, rows_grain(cols), rows_piece, &j);
    double sum = 0;
    for (int64_t i = 0; i < rows; i++) sum += j.loss[i];
    return sum;
}

static double columns_loss(graph *g, int64_t b, int64_t n, const float *s, const int32_t *positive,
                           float *ds) {
    float *u = ARENA_ARRAY(g->arena, float, b *b);
    for (int64_t i = 0; i < b; i++)
        for (int64_t j = 0; j < b; j++) u[i * b + j] = s[j * n + positive[i]];
    double sum = rows_loss(g, b, b, u, NULL, 0.5f / (float)b);
    for (int64_t i = 0; i < b; i++)
        for (int64_t j = 0; j < b; j++) ds[j * n + positive[i]] += u[i * b + j];
    return sum;
}

typedef struct scores_job {
    int64_t cols;
    float scale;
    const int32_t *positive;
    const uint8_t *masked;
    float *s;        /* [B, C] products, then scores */
    const float *ds; /* [B, C] */
    double *sum;     /* [B] of ds * s in a row */
} scores_job;

static void scores_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    scores_job *j = arg;
    for (int64_t i = begin; i < end; i++) {
        const uint8_t *masked = j->masked ? j->masked + i * j->cols : NULL;
        for (int64_t c = 0; c < j->cols; c++) {
            bool out = masked && masked[c] && c != j->positive[i];
            j->s[i * j->cols + c] = out ? -INFINITY : j->scale * j->s[i * j->cols + c];
        }
    }
}

static void sums_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    scores_job *j = arg;
    for (int64_t i = begin; i < end; i++) {
        j->sum[i] = 0;
        for (int64_t c = i * j->cols; c < (i + 1) * j->cols; c++)
            if (j->s[c] > -INFINITY) j->sum[i] += (double)j->ds[c] * j->s[c];
    }
}

tensor *t_contrastive(graph *g, tensor *q, tensor *c, tensor *log_scale, const int32_t *positive,
                      const uint8_t *masked, bool symmetric) {
    MUST(q->cols == c->cols && q->rows > 0, "contrastive: q is " SHAPE ", c is " SHAPE, OF(q),
         OF(c));
    MUST(log_scale->rows == 1 && log_scale->cols == 1, "contrastive: log_scale is " SHAPE,
         OF(log_scale));
    int64_t b = q->rows, n = c->rows;
    for (int64_t i = 0; i < b; i++)
        MUST(0 <= positive[i] && positive[i] < n,
             "contrastive: positive[%" PRId64 "] = %d, c is " SHAPE, i, (int)positive[i], OF(c));
    float *s = ARENA_ARRAY(g->arena, float, b *n), *ds = ARENA_ARRAY(g->arena, float, b *n);
    g->be->matmul(&(matmul){.m = b,
                            .n = n,
                            .k = q->cols,
                            .a = q->v,
                            .lda = q->cols,
                            .b = c->v,
                            .ldb = c->cols,
                            .b_t = true,
                            .c = s,
                            .ldc = n});
    scores_job j = {n,  expf(log_scale->v[0]),           positive, masked, s,
                    ds, ARENA_ARRAY(g->arena, double, b)};
    par_range(b, rows_grain(n), scores_piece, &j);
    vec_copy(b * n, s, ds);
    double loss = rows_loss(g, b, n, ds, positive, (symmetric ? 0.5f : 1) / (float)b);
    if (symmetric) loss = 0.5 * (loss + columns_loss(g, b, n, s, positive, ds));
    tensor *y = graph_loss(g, loss / (double)b);
    if (graph_wants(g, q) || graph_wants(g, c) || graph_wants(g, log_scale)) {
        contrastive_record *k = RECORD(g, contrastive_record, y, contrastive_back);
        k->q = q, k->c = c, k->log_scale = log_scale, k->ds = ds;
        par_range(b, rows_grain(n), sums_piece, &j);
        for (int64_t i = 0; i < b; i++) k->d_log_scale += j.sum[i];
    }
    return y;
}

/* ---- losses whose gradient is one number a score ---- */

typedef struct scores_record {
    record r;
    tensor *scores;
    float *ds; /* of the scores' shape, for seed 1 */
} scores_record;

static void scores_back(graph *g, record *r) {
    scores_record *s = (scores_record *)r;
    vec_add_scaled(g->be, s->scores->rows * s->scores->cols, r->y->d[0], s->ds,
                   graph_grad(g, s->scores));
}

static tensor *scores_loss(graph *g, tensor *scores, double loss, float *ds) {
    tensor *y = graph_loss(g, loss);
    if (graph_wants(g, scores)) {
        scores_record *s = RECORD(g, scores_record, y, scores_back);
        s->scores = scores;
        s->ds = ds;
    }
    return y;
}

/* log of the sum of exp(x[i]) over those with flag (all when NULL); -inf when there is none. */
static double log_sum_exp(int64_t n, const float *x, const uint8_t *flag) {
    double max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++)
        if ((!flag || flag[i]) && x[i] > max) max = x[i];
    if (max == -INFINITY) return max;
    for (int64_t i = 0; i < n; i++)
        if (!flag || flag[i]) sum += exp(x[i] - max);
    return max + log(sum);
}

/* The published program's loss: with l = log-softmax, loss = -(1/C) sum over the p positives of
 * max(l, -18) / p. A clamped entry has no slope of its own. */
tensor *t_published_loss(graph *g, tensor *scores, const uint8_t *is_positive) {
    MUST(scores->rows == 1 && scores->cols > 0,
         "published_loss: scores are " SHAPE ", wanted [1, C]", OF(scores));
    const double least = -18;
    int64_t n = scores->cols, p = 0;
    for (int64_t i = 0; i < n; i++) p += is_positive[i] != 0;
    double lse = log_sum_exp(n, scores->v, NULL), loss = 0, moved = 0;
    float *ds = arena_push(g->arena, (size_t)n * sizeof *ds);
    for (int64_t i = 0; i < n; i++) {
        if (!is_positive[i]) continue;
        double l = scores->v[i] - lse, share = 1 / ((double)n * (double)p);
        loss -= share * (l > least ? l : least);
        if (l <= least) continue;
        ds[i] = (float)-share;
        moved += share;
    }
    for (int64_t i = 0; i < n; i++) ds[i] += (float)(moved * exp(scores->v[i] - lse));
    return scores_loss(g, scores, loss, ds);
}

/* Marginal likelihood (Clark & Gardner 2018): -log(sum of p over flagged rows) = lse(all) -
 * lse(flagged); ds = softmax over all - softmax over the flagged. */
tensor *t_marginal_nll(graph *g, tensor *scores, spans s, const uint8_t *is_positive) {
    MUST(scores->cols == 1, "marginal_nll: scores are " SHAPE ", wanted [T, 1]", OF(scores));
    spans_check("marginal_nll", s, scores->rows);
    float *ds = arena_push(g->arena, (size_t)scores->rows * sizeof *ds);
    double loss = 0, n_used = 0;
    for (int64_t i = 0; i < s.n; i++) {
        span at = s.at[i];
        int64_t n = at.end - at.begin;
        const float *x = scores->v + at.begin;
        double all = log_sum_exp(n, x, NULL), right = log_sum_exp(n, x, is_positive + at.begin);
        if (right == -INFINITY) continue;
        loss += all - right;
        n_used++;
        for (int64_t t = at.begin; t < at.end; t++)
            ds[t] +=
                (float)(exp(scores->v[t] - all) - (is_positive[t] ? exp(scores->v[t] - right) : 0));
    }
    if (n_used == 0) return graph_loss(g, 0);
    for (int64_t t = 0; t < scores->rows; t++) ds[t] /= (float)n_used;
    return scores_loss(g, scores, loss / n_used, ds);
}
