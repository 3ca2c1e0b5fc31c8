/* The reference backend: what every operator means, in loops that can be checked against the
 * formula by eye. One thread, sums in f64 rounded once to f32; faster families are measured
 * against it (tests/tensor/test_parity.c), so clarity wins over speed everywhere here.
 *
 * Formulas with a source: GELU in its exact form (Hendrycks & Gimpel 2016), squared ReLU
 * (So et al. 2021), layer norm (Ba et al. 2016), RMS norm (Zhang & Sennrich 2019), attention
 * (Vaswani et al. 2017) with the log-sum-exp saved for backward (Dao et al. 2022),
 * AdamW (Loshchilov & Hutter 2019). */
#include "tensor/cpu/cpu_int.h"
#include "tensor/tensor.h"
#include "util/rng.h"

#include <math.h>
#include <string.h>

#define RMS_NORM_EPS 1e-6
#define SUM_PIECE    65536 /* sum_squares adds pieces of this many elements in order */

/* ---- activations ---- */

static double act_value(activation act, double x) {
    switch (act) {
    case ACT_NONE:
        return x;
    case ACT_RELU:
        return x > 0 ? x : 0;
    case ACT_RELU2:
        return x > 0 ? x * x : 0;
    case ACT_GELU:
        return 0.5 * x * (1 + erf(x * M_SQRT1_2));
    case ACT_SIGMOID:
        return 1 / (1 + exp(-x));
    case ACT_TANH:
        return tanh(x);
    }
    MUST(false, "activation %d is unknown", (int)act);
}

/* Slope at x, where y = act(x). All but GELU need y alone. */
static double act_slope(activation act, double x, double y) {
    switch (act) {
    case ACT_NONE:
        return 1;
    case ACT_RELU:
        return y > 0 ? 1 : 0;
    case ACT_RELU2:
        return 2 * sqrt(y);
    case ACT_GELU:
        return 0.5 * (1 + erf(x * M_SQRT1_2)) +
               x * exp(-0.5 * x * x) * 0.5 * M_SQRT1_2 * M_2_SQRTPI;
    case ACT_SIGMOID:
        return y * (1 - y);
    case ACT_TANH:
        return 1 - y * y;
    }
    MUST(false, "activation %d is unknown", (int)act);
}

static void activate_ref(int64_t n, activation act, const float *x, float *y) {
    for (int64_t i = 0; i < n; i++) y[i] = (float)act_value(act, x[i]);
}

static void activate_back_ref(int64_t n, activation act, const float *x, const float *y,
                              const float *dy, float *dx) {
    MUST(x || act != ACT_GELU, "the slope of GELU needs x");
    for (int64_t i = 0; i < n; i++) dx[i] += (float)(dy[i] * act_slope(act, x ? x[i] : 0, y[i]));
}

/* ---- products ---- */

static void matmul_ref(const matmul *mm) {
    MUST(!mm->accumulate || (!mm->bias && mm->act == ACT_NONE),
         "accumulate takes no bias and no activation");
    /* Element (i, p) of op(a) lies at a[i * ai + p * ap]; (p, j) of op(b) at b[p * bp + j * bj]. */
    int64_t ai = mm->a_t ? 1 : mm->lda, ap = mm->a_t ? mm->lda : 1;
    int64_t bp = mm->b_t ? 1 : mm->ldb, bj = mm->b_t ? mm->ldb : 1;
    for (int64_t i = 0; i < mm->m; i++) {
        for (int64_t j = 0; j < mm->n; j++) {
            const float *a = mm->a + i * ai, *b = mm->b + j * bj;
            float *c = mm->c + i * mm->ldc + j;
            double sum = 0;
            for (int64_t p = 0; p < mm->k; p++) sum += (double)a[p * ap] * b[p * bp];
            if (mm->accumulate)
                *c += (float)sum;
            else
                *c = (float)act_value(mm->act, mm->bias ? sum + mm->bias[j] : sum);
        }
    }
    if (mm->then) mm->then(mm->then_arg, 0, mm->m);
}

/* ---- attention ---- */

static double dot(int64_t n, const float *x, const float *y) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * y[i];
    return sum;
}

/* One query row and head: out = softmax(q k^T / sqrt(K)) v in two passes over the keys. */
static void attend(const attention *at, int64_t row, span keys, int64_t seen, int64_t head) {
    int64_t width = at->width / at->n_heads, col = head * width;
    double scale = 1 / sqrt((double)width);
    const float *q = at->q + row * at->q_stride + col;
    float *out = at->out + row * at->width + col;
    double max = -INFINITY, sum = 0;
    for (int64_t t = 0; t < seen; t++) {
        double s = scale * dot(width, q, at->k + (keys.begin + t) * at->k_stride + col);
        if (s > max) max = s;
    }
    for (int64_t t = 0; t < seen; t++)
        sum += exp(scale * dot(width, q, at->k + (keys.begin + t) * at->k_stride + col) - max);
    at->lse[row * at->n_heads + head] = seen ? (float)(max + log(sum)) : -INFINITY;
    for (int64_t c = 0; c < width; c++) out[c] = 0;
    for (int64_t t = 0; t < seen; t++) {
        const float *k = at->k + (keys.begin + t) * at->k_stride + col;
        const float *v = at->v + (keys.begin + t) * at->v_stride + col;
        double p = exp(scale * dot(width, q, k) - max) / sum;
        for (int64_t c = 0; c < width; c++) out[c] += (float)(p * v[c]);
    }
}

static void attention_forward_ref(const attention *at) {
    for (int64_t i = 0; i < at->n_spans; i++) {
        span q = at->q_spans[i], keys = at->kv_spans[i];
        int64_t m = q.end - q.begin, n = keys.end - keys.begin;
        for (int64_t j = 0; j < m; j++)
            for (int64_t h = 0; h < at->n_heads; h++)
                attend(at, q.begin + j, keys, keys_seen(at, m, n, j), h);
    }
}

/* With p = exp(s - lse): ds = p * (dout . v - dout . out); the scale applies to dq and dk. */
static void attend_back(const attention *at, int64_t row, span keys, int64_t seen, int64_t head) {
    int64_t width = at->width / at->n_heads, col = head * width;
    double scale = 1 / sqrt((double)width), lse = at->lse[row * at->n_heads + head];
    const float *q = at->q + row * at->q_stride + col;
    const float *dout = at->dout + row * at->width + col;
    double mean = dot(width, dout, at->out + row * at->width + col);
    for (int64_t t = 0; t < seen; t++) {
        int64_t k_at = (keys.begin + t) * at->k_stride + col,
                v_at = (keys.begin + t) * at->v_stride + col;
        double p = exp(scale * dot(width, q, at->k + k_at) - lse);
        double ds = scale * p * (dot(width, dout, at->v + v_at) - mean);
        for (int64_t c = 0; c < width; c++) {
            if (at->dq) at->dq[row * at->q_stride + col + c] += (float)(ds * at->k[k_at + c]);
            if (at->dk) at->dk[k_at + c] += (float)(ds * q[c]);
            if (at->dv) at->dv[v_at + c] += (float)(p * dout[c]);
        }
    }
}

static void attention_backward_ref(const attention *at) {
    for (int64_t i = 0; i < at->n_spans; i++) {
        span q = at->q_spans[i], keys = at->kv_spans[i];
        int64_t m = q.end - q.begin, n = keys.end - keys.begin;
        for (int64_t j = 0; j < m; j++)
            for (int64_t h = 0; h < at->n_heads; h++)
                attend_back(at, q.begin + j, keys, keys_seen(at, m, n, j), h);
    }
}

/* ---- norms and softmax ---- */

/* stat[r] = mean, 1 / deviation. */
static void layer_norm_ref(int64_t rows, int64_t cols, float eps, const float *x, const float *gain,
                           const float *bias, float *y, float *stat) {
    for (int64_t r = 0; r < rows; r++, x += cols, y += cols, stat += 2) {
        double mean = 0, var = 0;
        for (int64_t c = 0; c < cols; c++) mean += x[c];
        mean /= (double)cols;
        for (int64_t c = 0; c < cols; c++) var += (x[c] - mean) * (x[c] - mean);
        double inv = 1 / sqrt(var / (double)cols + (double)eps);
        for (int64_t c = 0; c < cols; c++) y[c] = (float)((x[c] - mean) * inv * gain[c] + bias[c]);
        stat[0] = (float)mean;
        stat[1] = (float)inv;
    }
}

/* With n = (x - mean) * inv and h = dy * gain: dx = inv * (h - avg(h) - n * avg(h * n)). */
static void layer_norm_back_ref(int64_t rows, int64_t cols, const float *x, const float *gain,
                                const float *stat, const float *dy, float *dx, float *dgain,
                                float *dbias) {
    for (int64_t r = 0; r < rows; r++, x += cols, dy += cols, stat += 2) {
        double mean = stat[0], inv = stat[1], sum_h = 0, sum_hn = 0;
        for (int64_t c = 0; c < cols; c++) {
            double n = (x[c] - mean) * inv, h = (double)dy[c] * gain[c];
            sum_h += h;
            sum_hn += h * n;
            if (dgain) dgain[c] += (float)(dy[c] * n);
            if (dbias) dbias[c] += dy[c];
        }
        for (int64_t c = 0; dx && c < cols; c++) {
            double n = (x[c] - mean) * inv, h = (double)dy[c] * gain[c];
            dx[r * cols + c] +=
                (float)(inv * (h - sum_h / (double)cols - n * sum_hn / (double)cols));
        }
    }
}

/* stat[r] = 1 / root mean square, unused. */
static void rms_norm_ref(int64_t rows, int64_t cols, const float *x, const float *gain, float *y,
                         float *stat) {
    for (int64_t r = 0; r < rows; r++, x += cols, y += cols, stat += 2) {
        double inv = 1 / sqrt(dot(cols, x, x) / (double)cols + RMS_NORM_EPS);
        for (int64_t c = 0; c < cols; c++) y[c] = (float)(x[c] * inv * (gain ? gain[c] : 1));
        stat[0] = (float)inv;
        stat[1] = 0;
    }
}

static void rms_norm_back_ref(int64_t rows, int64_t cols, const float *x, const float *gain,
                              const float *stat, const float *dy, float *dx, float *dgain) {
    for (int64_t r = 0; r < rows; r++, x += cols, dy += cols, stat += 2) {
        double inv = stat[0], sum_hn = 0;
        for (int64_t c = 0; c < cols; c++) {
            double n = x[c] * inv;
            sum_hn += (double)dy[c] * (gain ? gain[c] : 1) * n;
            if (dgain) dgain[c] += (float)(dy[c] * n);
        }
        for (int64_t c = 0; dx && c < cols; c++) {
            double n = x[c] * inv, h = (double)dy[c] * (gain ? gain[c] : 1);
            dx[r * cols + c] += (float)(inv * (h - n * sum_hn / (double)cols));
        }
    }
}

static void softmax_ref(int64_t rows, int64_t cols, float *x, float *lse) {
    for (int64_t r = 0; r < rows; r++, x += cols) {
        double max = -INFINITY, sum = 0;
        for (int64_t c = 0; c < cols; c++) max = x[c] > max ? x[c] : max;
        for (int64_t c = 0; c < cols; c++) sum += exp(x[c] - max);
        for (int64_t c = 0; c < cols; c++) x[c] = (float)(exp(x[c] - max) / sum);
        if (lse) lse[r] = (float)(max + log(sum));
    }
}

/* ---- vectors, tables, optimizer ---- */

static void add_ref(int64_t n, const float *x, float *y) {
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

static void add_scaled_ref(int64_t n, float s, const float *x, float *y) {
    for (int64_t i = 0; i < n; i++) y[i] += s * x[i];
}

static void drop_ref(int64_t first, int64_t n, const dropout_mask *d, const float *base,
                     const float *x, float *y) {
    for (int64_t i = 0; i < n; i++) {
        uint64_t at = (uint64_t)(first + i), bits = rng_hash(d->stream, at / 4) >> 16 * (at % 4);
        float kept = (bits & 0xffff) < d->least ? 0 : d->scale * x[i];
        y[i] = base ? base[i] + kept : kept;
    }
}

static void rotate_ref(int64_t half, const float *sin, const float *cos, float sign, const float *x,
                       float *y, bool add) {
    for (int64_t i = 0; i < half; i++) {
        float s = sign * sin[i], low = x[i] * cos[i] - x[half + i] * s;
        float high = x[half + i] * cos[i] + x[i] * s;
        y[i] = add ? y[i] + low : low;
        y[half + i] = add ? y[half + i] + high : high;
    }
}

static void embed_ref(int64_t n, int64_t cols, const float *table, const int32_t *id, float *y) {
    for (int64_t i = 0; i < n; i++, y += cols) {
        if (id[i] < 0)
            memset(y, 0, (size_t)cols * sizeof *y);
        else
            memcpy(y, table + id[i] * cols, (size_t)cols * sizeof *y);
    }
}

static void embed_back_ref(int64_t n, int64_t cols, const int32_t *id, const float *dy,
                           int64_t table_rows, float *table_d) {
    for (int64_t i = 0; i < n; i++, dy += cols) {
        MUST(id[i] < table_rows, "id %d of a table of %lld rows", (int)id[i],
             (long long)table_rows);
        if (id[i] >= 0) add_ref(cols, dy, table_d + id[i] * cols);
    }
}

static double sum_squares_ref(int64_t n, const float *x) {
    double sum = 0;
    for (int64_t i = 0; i < n; i += SUM_PIECE)
        sum += dot(n - i < SUM_PIECE ? n - i : SUM_PIECE, x + i, x + i);
    return sum;
}

static void adamw_ref(int64_t n, const adamw_args *a, const float *grad, float *m, float *v,
                      float *p) {
    for (int64_t i = 0; i < n; i++) {
        float g = grad[i] * a->grad_scale;
        m[i] = a->beta1 * m[i] + (1 - a->beta1) * g;
        v[i] = a->beta2 * v[i] + (1 - a->beta2) * g * g;
        float step = (m[i] / a->correct1) / (sqrtf(v[i] / a->correct2) + a->eps);
        p[i] -= a->lr * a->decay * p[i] + a->lr * step;
    }
}

const backend *backend_ref(void) {
    static const backend ref = {
        .name = "ref",
        .matmul = matmul_ref,
        .attention_forward = attention_forward_ref,
        .attention_backward = attention_backward_ref,
        .layer_norm = layer_norm_ref,
        .layer_norm_back = layer_norm_back_ref,
        .rms_norm = rms_norm_ref,
        .rms_norm_back = rms_norm_back_ref,
        .activate = activate_ref,
        .activate_back = activate_back_ref,
        .softmax = softmax_ref,
        .add = add_ref,
        .add_scaled = add_scaled_ref,
        .drop = drop_ref,
        .rotate = rotate_ref,
        .embed = embed_ref,
        .embed_back = embed_back_ref,
        .sum_squares = sum_squares_ref,
        .adamw = adamw_ref,
    };
    return &ref;
}
