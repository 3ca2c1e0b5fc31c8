/* Attention in bf16 (halves, tensor.h), for the families that multiply it: a task is one span and
 * one head, as in attention.c, whose formulas these are. Spans are short and heads narrow, so the
 * products are small, and what counts is what lies between them:
 *
 *   - q, dout and all that is made here are rows of bf16 that tiles read as they lie;
 *   - softmax and its slope read f32 scores and leave bf16 rows, filled with zeros up to whole
 *     steps, so nothing is packed again but what has to be turned;
 *   - forward divides by the sum of the row when the result is rounded;
 *   - dout . out of a row and head is one product of pairs;
 *   - a span of few queries (a step of decoding) packs nothing.
 *
 * Gradients are summed over the whole span in scratch and rounded once. */
#include "tensor/cpu/cpu_int.h"
#include "tensor/cpu/pieces.h"
#include "tensor/cpu/vec.h"
#include "util/par.h"

#include <math.h>
#include <string.h>

enum {
    QUERIES = 96, /* of a block: whole panels */
    LINES = 32,   /* of a panel; columns of a step of k */
    FEW = 4,      /* queries below which keys are not packed */
};

typedef struct job {
    const gemm_kind *g;
    const attention *at;
    float scale;
} job;

/* One span and head. */
typedef struct place {
    int64_t m, n, width, head; /* queries, keys, columns of the head */
    int64_t q_at, k_at, v_at;  /* first elements of q, k, v */
    int64_t row, out_at;       /* first query row; first element of out */
} place;

static place place_of(const attention *at, int64_t i) {
    int64_t head = i % at->n_heads, width = at->width / at->n_heads, col = head * width;
    span q = at->q_spans[i / at->n_heads], kv = at->kv_spans[i / at->n_heads];
    return (place){.m = q.end - q.begin,
                   .n = kv.end - kv.begin,
                   .width = width,
                   .head = head,
                   .q_at = q.begin * at->q_stride + col,
                   .k_at = kv.begin * at->k_stride + col,
                   .v_at = kv.begin * at->v_stride + col,
                   .row = q.begin,
                   .out_at = q.begin * at->width + col};
}

/* ---- rows ---- */

INLINE __mmask16 first(int64_t n) {
    return n >= 16 ? 0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1);
}
INLINE __mmask32 first_of_32(int64_t n) {
    return (__mmask32)first(n - 16) << 16 | first(n);
}
INLINE void store_32(bf16 *to, __mmask32 has, vf low, vf high) {
    _mm512_mask_storeu_epi16(to, has, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

/* p [ld] = exp(scale s - their largest) of the first `seen` scores, then zeros. Returns the log-sum-exp
 * and 1 / the sum; no score: -infinity and 0. */
static float soften(int64_t seen, int64_t ld, float scale, const float *s, bf16 *p, float *inv) {
    vf most = v_set(-INFINITY), sum = v_set(0), times = v_set(scale);
    for (int64_t i = 0; i < seen; i += 16)
        most = _mm512_mask_max_ps(most, first(seen - i), most, v_load(s + i));
    float max = scale * v_largest(most);
    vf minus = v_set(-max);
    for (int64_t i = 0; i < ld; i += 32) {
        vf low = v_exp(v_fma(v_load(s + i), times, minus)),
           high = v_exp(v_fma(v_load(s + i + 16), times, minus));
        low = _mm512_maskz_mov_ps(first(seen - i), low);
        high = _mm512_maskz_mov_ps(first(seen - i - 16), high);
        sum += low + high;
        store_32(p + i, UINT32_MAX, low, high);
    }
    float total = v_sum(sum);
    *inv = seen > 0 ? 1 / total : 0;
    return seen > 0 ? max + logf(total) : -INFINITY;
}

INLINE vf slope_of(vf p, vf dp, vf scale, vf mean) {
    return scale * p * (dp - mean);
}

/* p = exp(scale s - lse) and ds = scale p (dp - mean), then zeros. */
static void slopes(int64_t seen, int64_t ld, float scale, float lse, float mean, const float *s,
                   const float *dp, bf16 *p, bf16 *ds) {
    vf times = v_set(scale), minus = v_set(-lse), m = v_set(mean);
    for (int64_t i = 0; i < ld; i += 32) {
        __mmask16 m0 = first(seen - i), m1 = first(seen - i - 16);
        vf low = v_exp(v_fma(v_load(s + i), times, minus)),
           high = v_exp(v_fma(v_load(s + i + 16), times, minus));
        low = _mm512_maskz_mov_ps(m0, low);
        high = _mm512_maskz_mov_ps(m1, high);
        store_32(p + i, UINT32_MAX, low, high);
        low = _mm512_maskz_mov_ps(m0, slope_of(low, v_load(dp + i), times, m));
        high = _mm512_maskz_mov_ps(m1, slope_of(high, v_load(dp + i + 16), times, m));
        store_32(ds + i, UINT32_MAX, low, high);
    }
}

static float dot(int64_t n, const bf16 *x, const bf16 *y) {
    vf sum = v_set(0);
    for (int64_t i = 0; i < n; i += 32) {
        __mmask32 has = first_of_32(n - i);
        sum = _mm512_dpbf16_ps(sum, (__m512bh)_mm512_maskz_loadu_epi16(has, x + i),
                               (__m512bh)_mm512_maskz_loadu_epi16(has, y + i));
    }
    return v_sum(sum);
}

/* to [cols] = factor * x. */
static void round_row(int64_t cols, float factor, const float *x, bf16 *to) {
    vf f = v_set(factor);
    for (int64_t i = 0; i < cols; i += 32)
        store_32(to + i, first_of_32(cols - i), f * v_load(x + i), f * v_load(x + i + 16));
}

/* ---- products ---- */

static int64_t whole(int64_t n) {
    return round_up(n, LINES);
}

/* c [m, whole(n)] = (+=) rows of a [m, k] times panels of b. room: a panel of a, where rows cannot be
 * read as they lie. */
static void multiply(const gemm_kind *g, int64_t m, int64_t n, int64_t k, const bf16 *a,
                     int64_t lda, char *room, const char *b, float *c, int64_t ldc) {
    int64_t b_step = (int64_t)gemm_b_bytes(g, k, LINES),
            a_step = (int64_t)gemm_a_bytes(g, LINES, k);
    for (int64_t i = 0; i < m; i += LINES, a += LINES * lda, c += LINES * ldc) {
        int64_t rows = least(LINES, m - i);
        bool lies = g->kernel_rows && k % LINES == 0 && rows % 16 == 0;
        if (!lies) {
            gemm_lines from = {.at = a, .is_bf16 = true, .ld = lda, .along_k = true};
            g->pack_a(rows, k, &from, room, a_step);
        }
        for (int64_t j = 0; j < n; j += LINES) {
            const char *panel = b + j / LINES * b_step;
            if (lies)
                g->kernel_rows(k, a, lda, panel, rows, c + j, ldc, false);
            else
                g->kernel(k, room, panel, rows, LINES, c + j, ldc, false);
        }
    }
}

/* Panels of x [rows, cols] as a right side: its rows are k, or (turned) its columns. */
static void pack_b(const gemm_kind *g, int64_t rows, int64_t cols, const bf16 *x, int64_t ld,
                   bool turned, char *panels) {
    int64_t lines = turned ? rows : cols, k = turned ? cols : rows;
    gemm_lines from = {.at = x, .is_bf16 = true, .ld = ld, .along_k = turned};
    g->pack_b(lines, k, &from, panels, (int64_t)gemm_b_bytes(g, k, LINES));
}

/* ---- forward ---- */

/* Sums of 16 vectors, in their order. */
INLINE vf sums_of(const vf v[16]) {
    vf two[8], four[4], eight[2];
    for (int i = 0; i < 8; i++)
        two[i] =
            _mm512_unpacklo_ps(v[2 * i], v[2 * i + 1]) + _mm512_unpackhi_ps(v[2 * i], v[2 * i + 1]);
    for (int i = 0; i < 4; i++) { /* in each 128 bits one part of each of four sums */
        __m512d a = _mm512_castps_pd(two[2 * i]), b = _mm512_castps_pd(two[2 * i + 1]);
        four[i] = (vf)_mm512_unpacklo_pd(a, b) + (vf)_mm512_unpackhi_pd(a, b);
    }
    for (int i = 0; i < 2; i++)
        eight[i] = _mm512_shuffle_f32x4(four[2 * i], four[2 * i + 1], 0x88) +
                   _mm512_shuffle_f32x4(four[2 * i], four[2 * i + 1], 0xdd);
    return _mm512_shuffle_f32x4(eight[0], eight[1], 0x88) +
           _mm512_shuffle_f32x4(eight[0], eight[1], 0xdd);
}

/* s [whole(n)] = q . k of each of n keys; what lies behind them is the last one's. */
static void scores(int64_t n, int64_t width, const bf16 *q, const bf16 *k, int64_t ld, float *s) {
    for (int64_t t = 0; t < whole(n); t += 16) {
        vf sum[16];
        for (int r = 0; r < 16; r++) sum[r] = v_set(0);
        for (int64_t i = 0; i < width; i += 32) {
            __mmask32 has = first_of_32(width - i);
            __m512bh x = (__m512bh)_mm512_maskz_loadu_epi16(has, q + i);
            for (int r = 0; r < 16; r++) {
                const bf16 *key = k + least(t + r, n - 1) * ld + i;
                sum[r] = _mm512_dpbf16_ps(sum[r], x, (__m512bh)_mm512_maskz_loadu_epi16(has, key));
            }
        }
        v_store(s + t, sums_of(sum));
    }
}

/* to [width] = factor * p V: rows of v in pairs, woven into one another. */
static void mix(int64_t n, int64_t width, float factor, const bf16 *p, const bf16 *v, int64_t ld,
                bf16 *to) {
    for (int64_t j = 0; j < width; j += 32) {
        __mmask32 has = first_of_32(width - j);
        vf low = v_set(0), high = v_set(0); /* of each 8 columns the first four, the others */
        for (int64_t t = 0; t < n; t += 2) {
            int32_t pair;
            memcpy(&pair, p + t, sizeof pair);
            __m512bh by = (__m512bh)_mm512_set1_epi32(pair);
            __m512i even = _mm512_maskz_loadu_epi16(has, v + t * ld + j),
                    odd = _mm512_maskz_loadu_epi16(has, v + least(t + 1, n - 1) * ld + j);
            low = _mm512_dpbf16_ps(low, by, (__m512bh)_mm512_unpacklo_epi16(even, odd));
            high = _mm512_dpbf16_ps(high, by, (__m512bh)_mm512_unpackhi_epi16(even, odd));
        }
        const __m512i front =
            _mm512_set_epi32(23, 22, 21, 20, 7, 6, 5, 4, 19, 18, 17, 16, 3, 2, 1, 0);
        const __m512i back = _mm512_add_epi32(front, _mm512_set1_epi32(8));
        vf f = v_set(factor);
        store_32(to + j, has, f * _mm512_permutex2var_ps(low, front, high),
                 f * _mm512_permutex2var_ps(low, back, high));
    }
}

/* Keys and values are read where they lie. */
static void forward_few(const job *w, const place *p) {
    const attention *at = w->at;
    int64_t ld = whole(p->n);
    float *s = scratch_take(SCRATCH_ROWS, (size_t)ld * (sizeof(float) + sizeof(bf16))), inv;
    bf16 *prob = (bf16 *)(s + ld);
    for (int64_t j = 0; j < p->m; j++) {
        int64_t seen = keys_seen(at, p->m, p->n, j);
        scores(p->n, p->width, at->q16 + p->q_at + j * at->q_stride, at->k16 + p->k_at,
               at->k_stride, s);
        at->lse[(p->row + j) * at->n_heads + p->head] = soften(seen, ld, w->scale, s, prob, &inv);
        mix(p->n, p->width, inv, prob, at->v16 + p->v_at, at->v_stride,
            at->out16 + p->out_at + j * at->width);
    }
}

static void forward_span(const job *w, const place *p) {
    const attention *at = w->at;
    const gemm_kind *g = w->g;
    int64_t rows = whole(least(QUERIES, p->m)), ld = whole(p->n), wide = whole(p->width);
    char *k_b = NULL, *v_b = NULL, *room = NULL;
    float *s = NULL, *out = NULL, inv[QUERIES];
    bf16 *prob = NULL;
    for (cutter c = {0};; c = (cutter){scratch_take(SCRATCH_ROWS, c.used), 0}) {
        k_b = cut(&c, gemm_b_bytes(g, p->width, p->n));
        v_b = cut(&c, gemm_b_bytes(g, ld, p->width));
        room = cut(&c, gemm_a_bytes(g, LINES, most(ld, p->width)));
        s = cut(&c, (size_t)(rows * ld) * sizeof *s);
        prob = cut(&c, (size_t)(rows * ld) * sizeof *prob);
        out = cut(&c, (size_t)(rows * wide) * sizeof *out);
        if (c.at) break;
    }
    pack_b(g, p->n, p->width, at->k16 + p->k_at, at->k_stride, true, k_b);
    pack_b(g, p->n, p->width, at->v16 + p->v_at, at->v_stride, false, v_b);
    for (int64_t j = 0; j < p->m; j += rows) {
        int64_t m = least(rows, p->m - j);
        multiply(g, m, p->n, p->width, at->q16 + p->q_at + j * at->q_stride, at->q_stride, room,
                 k_b, s, ld);
        for (int64_t i = 0; i < m; i++)
            at->lse[(p->row + j + i) * at->n_heads + p->head] = soften(
                keys_seen(at, p->m, p->n, j + i), ld, w->scale, s + i * ld, prob + i * ld, &inv[i]);
        multiply(g, whole(m), p->width, ld, prob, ld, room, v_b, out, wide);
        bf16 *to = at->out16 + p->out_at + j * at->width;
        for (int64_t i = 0; i < m; i++)
            round_row(p->width, inv[i], out + i * wide, to + i * at->width);
    }
}

static void forward_task(void *arg, int64_t i, int worker) {
    (void)worker;
    const job *w = arg;
    const attention *at = w->at;
    place p = place_of(at, i);
    if (p.m > 0 && p.n > 0) {
        (p.m < FEW ? forward_few : forward_span)(w, &p);
        return;
    }
    for (int64_t j = 0; j < p.m; j++) { /* without keys */
        at->lse[(p.row + j) * at->n_heads + p.head] = -INFINITY;
        memset(at->out16 + p.out_at + j * at->width, 0, (size_t)p.width * sizeof *at->out16);
    }
}

static job job_of(const gemm_kind *g, const attention *at) {
    MUST(g->mr == LINES && g->nr == LINES, "attention in bf16 wants panels of %d lines", LINES);
    return (job){.g = g, .at = at, .scale = 1 / sqrtf((float)(at->width / at->n_heads))};
}

void attention16_forward(const gemm_kind *g, const attention *at) {
    job w = job_of(g, at);
    par_for(at->n_spans * at->n_heads, forward_task, &w);
}

/* ---- backward ---- */

/* What backward of a span works in. */
typedef struct desk {
    char *k_turned, *v_turned, *k_b; /* panels of a right side */
    char *rows_b, *turned,
        *room;           /* of a block: dout or q; p or ds with its rows as k; multiply's */
    float *s, *dp;       /* [rows, ld] */
    bf16 *p, *ds;        /* [rows, ld] */
    float *dq, *dk, *dv; /* [rows, wide], [ld, wide] */
} desk;

static desk desk_of(const gemm_kind *g, const place *p, int64_t rows, int64_t ld, int64_t wide) {
    desk d;
    for (cutter c = {0};; c = (cutter){scratch_take(SCRATCH_ROWS, c.used), 0}) {
        size_t scores = (size_t)(rows * ld);
        d.k_turned = cut(&c, gemm_b_bytes(g, p->width, p->n));
        d.v_turned = cut(&c, gemm_b_bytes(g, p->width, p->n));
        d.k_b = cut(&c, gemm_b_bytes(g, ld, p->width));
        d.rows_b = cut(&c, gemm_b_bytes(g, rows, p->width));
        d.turned = cut(&c, gemm_a_bytes(g, p->n, rows));
        d.room = cut(&c, gemm_a_bytes(g, LINES, most(ld, p->width)));
        d.s = cut(&c, scores * sizeof *d.s);
        d.dp = cut(&c, scores * sizeof *d.dp);
        d.p = cut(&c, scores * sizeof *d.p);
        d.ds = cut(&c, scores * sizeof *d.ds);
        d.dq = cut(&c, (size_t)(rows * wide) * sizeof *d.dq);
        d.dk = cut(&c, (size_t)(ld * wide) * sizeof *d.dk);
        d.dv = cut(&c, (size_t)(ld * wide) * sizeof *d.dv);
        if (c.at) return d;
    }
}

/* sum [n, wide] (+)= x^T y: x [m, ld] of this block, y [m, width] rows of q or dout. */
static void add_turned(const gemm_kind *g, const desk *d, const place *p, int64_t m, const bf16 *x,
                       int64_t ld, const bf16 *y, int64_t y_ld, float *sum, int64_t wide,
                       bool add) {
    gemm_lines from = {.at = x, .is_bf16 = true, .ld = ld, .along_k = false};
    g->pack_a(p->n, m, &from, d->turned, (int64_t)gemm_a_bytes(g, LINES, m));
    pack_b(g, m, p->width, y, y_ld, false, d->rows_b);
    gemm_block(g, p->n, p->width, m, d->turned, d->rows_b, sum, wide, add);
}

static void backward_span(const job *w, const place *p) {
    const attention *at = w->at;
    const gemm_kind *g = w->g;
    int64_t rows = whole(least(QUERIES, p->m)), ld = whole(p->n), wide = whole(p->width);
    desk d = desk_of(g, p, rows, ld, wide);
    pack_b(g, p->n, p->width, at->k16 + p->k_at, at->k_stride, true, d.k_turned);
    pack_b(g, p->n, p->width, at->v16 + p->v_at, at->v_stride, true, d.v_turned);
    pack_b(g, p->n, p->width, at->k16 + p->k_at, at->k_stride, false, d.k_b);
    for (int64_t j = 0; j < p->m; j += rows) {
        int64_t m = least(rows, p->m - j), q_at = p->q_at + j * at->q_stride;
        const bf16 *q = at->q16 + q_at, *dout = at->dout16 + p->out_at + j * at->width,
                   *out = at->out16 + p->out_at + j * at->width;
        multiply(g, m, p->n, p->width, q, at->q_stride, d.room, d.k_turned, d.s, ld);
        multiply(g, m, p->n, p->width, dout, at->width, d.room, d.v_turned, d.dp, ld);
        for (int64_t i = 0; i < m; i++) {
            float mean = dot(p->width, dout + i * at->width, out + i * at->width);
            float lse = at->lse[(p->row + j + i) * at->n_heads + p->head];
            slopes(keys_seen(at, p->m, p->n, j + i), ld, w->scale, lse, mean, d.s + i * ld,
                   d.dp + i * ld, d.p + i * ld, d.ds + i * ld);
        }
        add_turned(g, &d, p, m, d.p, ld, dout, at->width, d.dv, wide, j > 0);
        add_turned(g, &d, p, m, d.ds, ld, q, at->q_stride, d.dk, wide, j > 0);
        multiply(g, whole(m), p->width, ld, d.ds, ld, d.room, d.k_b, d.dq, wide);
        for (int64_t i = 0; i < m; i++)
            round_row(p->width, 1, d.dq + i * wide, at->dq16 + q_at + i * at->q_stride);
    }
    for (int64_t i = 0; i < p->n; i++) {
        round_row(p->width, 1, d.dk + i * wide, at->dk16 + p->k_at + i * at->k_stride);
        round_row(p->width, 1, d.dv + i * wide, at->dv16 + p->v_at + i * at->v_stride);
    }
}

static void backward_task(void *arg, int64_t i, int worker) {
    (void)worker;
    const job *w = arg;
    place p = place_of(w->at, i);
    if (p.m > 0 && p.n > 0) backward_span(w, &p);
}

void attention16_backward(const gemm_kind *g, const attention *at) {
    job w = job_of(g, at);
    for (int64_t i = 0, end = 0; i < at->n_spans; i++) {
        span kv = at->kv_spans[i];
        if (kv.begin == kv.end) continue;
        MUST(kv.begin >= end,
             "attention in bf16 writes the gradients of keys: their spans may not overlap");
        end = kv.end;
    }
    par_for(at->n_spans * at->n_heads, backward_task, &w);
}
