/* Everything that is not a product, written once over vec.h and included by avx2.c and
 * avx512.c. All of it is bound by memory: one pass over the data where the formula allows,
 * cut for the threads into pieces by size alone, so that sums come out the same for any
 * number of threads. Formulas: ref.c. */
#include "tensor/cpu/cpu_int.h"
#include "tensor/cpu/activation.h"
#include "tensor/cpu/vec.h"
#include "util/par.h"

#include <string.h>

enum {
    GRAIN = 1 << 14,     /* elements of a piece of element-wise work */
    SUM_PIECE = 1 << 16, /* elements of a piece of sum_squares */
    NORM_PIECES = 32,    /* at most: partial sums of a norm's gradients */
    TABLE_COLS = 32,     /* columns of an embedding table's gradient that one task adds to */
};

static int64_t rows_of(int64_t cols) { /* of a piece */
    return cols >= GRAIN ? 1 : GRAIN / (cols ? cols : 1);
}

/* For each vector of n floats: full ones, then the rest with n_here < LANES. The body sees i and
 * LOAD(x), STORE(x, v) at it. */
#define LOAD(x)     (full ? v_load((x) + i) : v_load_n((x) + i, n_here))
#define STORE(x, v) (full ? v_store((x) + i, v) : v_store_n((x) + i, v, n_here))
#define EACH(n, ...)                                                                               \
    do {                                                                                           \
        int64_t i = 0;                                                                             \
        for (; i + LANES <= (n); i += LANES) {                                                     \
            enum { full = 1, n_here = LANES };                                                     \
            __VA_ARGS__                                                                            \
        }                                                                                          \
        if (i < (n)) {                                                                             \
            enum { full = 0 };                                                                     \
            int64_t n_here = (n)-i;                                                                \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    } while (0)

/* ---- activations ---- */

typedef struct slices { /* element-wise work over flat arrays */
    activation act;
    const float *x, *y_in, *dy;
    float s;
    float *y;
    float *m, *v;
    const adamw_args *adamw;
} slices;

static void activate_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const slices *s = arg;
    const float *x = s->x + begin;
    float *y = s->y + begin;
#define CALL(act) EACH(end - begin, STORE(y, act_value(act, LOAD(x)));)
    FOR_ACTIVATION(s->act, CALL)
#undef CALL
}

static void activate(int64_t n, activation act, const float *x, float *y) {
    par_range(n, GRAIN, activate_piece, &(slices){.act = act, .x = x, .y = y});
}

static void activate_back_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const slices *s = arg;
    const float *y = s->y_in + begin, *x = s->x ? s->x + begin : y, *dy = s->dy + begin;
    float *dx = s->y + begin;
#define CALL(act)                                                                                  \
    EACH(end - begin, STORE(dx, v_fma(LOAD(dy), act_slope(act, LOAD(x), LOAD(y)), LOAD(dx)));)
    FOR_ACTIVATION(s->act, CALL)
#undef CALL
}

static void activate_back(int64_t n, activation act, const float *x, const float *y,
                          const float *dy, float *dx) {
    MUST(x || act != ACT_GELU, "the slope of GELU needs x");
    slices s = {.act = act, .x = x, .y_in = y, .dy = dy, .y = dx};
    par_range(n, GRAIN, activate_back_piece, &s);
}

/* gemm_kind.finish of floats. */
static void finish(int64_t rows, int64_t cols, const float *sums, int64_t lds, const gemm_end *e) {
    const float *bias = e->bias;
    float *c = e->c;
    bool add = e->add;
    for (int64_t r = 0; r < rows; r++, c += e->ldc, sums += lds) {
#define CALL(act)                                                                                  \
    EACH(cols, vf x = LOAD(sums); if (bias) x += LOAD(bias); if (add) x += LOAD(c);                \
         STORE(c, act_value(act, x));)
        FOR_ACTIVATION(e->act, CALL)
#undef CALL
    }
}

/* ---- softmax ---- */

static float sum_of(int64_t n, const float *x) {
    vf total = v_set(0);
    EACH(n, total += LOAD(x););
    return v_sum(total);
}

static float dot(int64_t n, const float *x, const float *y) {
    vf total = v_set(0);
    EACH(n, total = v_fma(LOAD(x), LOAD(y), total););
    return v_sum(total);
}

static float largest(int64_t n, const float *x) {
    vf max = v_set(-INFINITY);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) max = v_max(max, v_load(x + i));
    float most = v_largest(max);
    for (; i < n; i++) most = x[i] > most ? x[i] : most;
    return most;
}

/* x = softmax(scale x); returns the log-sum-exp. n = 0: -infinity. */
static float soften(int64_t n, float scale, float *x) {
    if (n <= 0) return -INFINITY;
    float max = scale * largest(n, x);
    vf minus = v_set(-max), times = v_set(scale);
    EACH(n, STORE(x, v_exp(v_fma(LOAD(x), times, minus))););
    float sum = sum_of(n, x);
    vf inv = v_set(1 / sum);
    EACH(n, STORE(x, LOAD(x) * inv););
    return max + logf(sum);
}

/* row_kind.slopes: backward of soften. */
static void slopes(int64_t n, float scale, float lse, float mean, float *s, float *dp) {
    vf times = v_set(scale), minus = v_set(-lse), m = v_set(mean);
    EACH(n, vf p = v_exp(v_fma(LOAD(s), times, minus)); STORE(dp, times * p * (LOAD(dp) - m));
         STORE(s, p););
}

/* row_kind.mix: y = sum of s[r] * row r of x. */
static void mix(int64_t n, int64_t cols, const float *s, const float *x, int64_t ld, float *y) {
    EACH(cols, vf sum = v_set(0);
         for (int64_t r = 0; r < n; r++) sum = v_fma(v_set(s[r]), LOAD(x + r * ld), sum);
         STORE(y, sum););
}

typedef struct by_rows {
    int64_t rows, cols, piece;
    float eps; /* layer norm */
    const float *x, *gain, *bias, *dy;
    float *y, *stat, *dgain, *dbias; /* in backward: dgain, dbias [pieces, cols] */
    const int32_t *id;
} by_rows;

static void softmax_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const by_rows *s = arg;
    for (int64_t r = begin; r < end; r++) {
        float lse = soften(s->cols, 1, s->y + r * s->cols);
        if (s->stat) s->stat[r] = lse;
    }
}

static void softmax(int64_t n, int64_t cols, float *x, float *lse) {
    par_range(n, rows_of(cols), softmax_piece, &(by_rows){.cols = cols, .y = x, .stat = lse});
}

/* ---- norms ---- */

static void layer_norm_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const by_rows *s = arg;
    int64_t cols = s->cols;
    for (int64_t r = begin; r < end; r++) {
        const float *x = s->x + r * cols, *gain = s->gain, *bias = s->bias;
        float *y = s->y + r * cols, mean = sum_of(cols, x) / (float)cols;
        vf m = v_set(mean), square = v_set(0);
        EACH(cols, vf d = LOAD(x) - m; STORE(y, d););
        EACH(cols, vf d = LOAD(y); square = v_fma(d, d, square););
        float inv = 1 / sqrtf(v_sum(square) / (float)cols + s->eps);
        vf scale = v_set(inv);
        EACH(cols, STORE(y, v_fma(LOAD(y) * scale, LOAD(gain), LOAD(bias))););
        s->stat[2 * r] = mean;
        s->stat[2 * r + 1] = inv;
    }
}

static void layer_norm(int64_t n, int64_t cols, float eps, const float *x, const float *gain,
                       const float *bias, float *y, float *stat) {
    by_rows s = {
        .cols = cols, .eps = eps, .x = x, .gain = gain, .bias = bias, .y = y, .stat = stat};
    par_range(n, rows_of(cols), layer_norm_piece, &s);
}

static void rms_norm_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const by_rows *s = arg;
    int64_t cols = s->cols;
    for (int64_t r = begin; r < end; r++) {
        const float *x = s->x + r * cols, *gain = s->gain;
        float *y = s->y + r * cols, inv = 1 / sqrtf(dot(cols, x, x) / (float)cols + 1e-6f);
        vf scale = v_set(inv);
        if (gain)
            EACH(cols, STORE(y, LOAD(x) * scale * LOAD(gain)););
        else
            EACH(cols, STORE(y, LOAD(x) * scale););
        s->stat[2 * r] = inv;
        s->stat[2 * r + 1] = 0;
    }
}

static void rms_norm(int64_t n, int64_t cols, const float *x, const float *gain, float *y,
                     float *stat) {
    par_range(n, rows_of(cols), rms_norm_piece,
              &(by_rows){.cols = cols, .x = x, .gain = gain, .y = y, .stat = stat});
}

/* One row of either norm: n = (x - mean) * inv, h = dy * gain,
 * dx += inv * (h - avg(h) - n * avg(h n)); without `centred`, avg(h) is left out. */
INLINE void norm_row_back(int64_t cols, bool centred, const float *x, const float *gain, float mean,
                          float inv, const float *dy, float *dx, float *dgain, float *dbias) {
    vf m = v_set(mean), s = v_set(inv), one = v_set(1), sum_h = v_set(0), sum_hn = v_set(0);
    EACH(cols, vf d = LOAD(dy); vf n = (LOAD(x) - m) * s; vf h = d * (gain ? LOAD(gain) : one);
         sum_h += h; sum_hn = v_fma(h, n, sum_hn);
         if (dgain) STORE(dgain, v_fma(d, n, LOAD(dgain)));
         if (dbias) STORE(dbias, LOAD(dbias) + d););
    if (!dx) return;
    vf avg_h = v_set(centred ? v_sum(sum_h) / (float)cols : 0),
       avg_hn = v_set(v_sum(sum_hn) / (float)cols);
    EACH(cols, vf n = (LOAD(x) - m) * s; vf h = LOAD(dy) * (gain ? LOAD(gain) : one);
         STORE(dx, v_fma(s, h - avg_h - n * avg_hn, LOAD(dx))););
}

INLINE void norm_back_piece(const by_rows *s, bool centred, int64_t piece) {
    int64_t cols = s->cols, begin = piece * s->piece, end = begin + s->piece;
    float *dgain = s->dgain ? s->dgain + piece * cols : NULL,
          *dbias = s->dbias ? s->dbias + piece * cols : NULL;
    if (dgain) memset(dgain, 0, (size_t)cols * sizeof *dgain);
    if (dbias) memset(dbias, 0, (size_t)cols * sizeof *dbias);
    for (int64_t r = begin; r < (end < s->rows ? end : s->rows); r++) {
        float mean = centred ? s->stat[2 * r] : 0, inv = s->stat[2 * r + centred];
        norm_row_back(cols, centred, s->x + r * cols, s->gain, mean, inv, s->dy + r * cols,
                      s->y ? s->y + r * cols : NULL, dgain, dbias);
    }
}
static void layer_norm_back_piece(void *arg, int64_t i, int worker) {
    (void)worker;
    norm_back_piece(arg, true, i);
}
static void rms_norm_back_piece(void *arg, int64_t i, int worker) {
    (void)worker;
    norm_back_piece(arg, false, i);
}

/* dx in place by rows; the gains' gradients as one partial sum a piece, added in order. */
static void norm_back(by_rows s, void (*piece)(void *, int64_t, int), const float *stat,
                      float *dgain, float *dbias) {
    if (s.rows <= 0) return;
    int64_t least = rows_of(s.cols), even = (s.rows + NORM_PIECES - 1) / NORM_PIECES;
    s.piece = even > least ? even : least;
    int64_t n = (s.rows + s.piece - 1) / s.piece;
    float *partial = scratch_take(SCRATCH_B, (size_t)(2 * n * s.cols) * sizeof *partial);
    s.stat = (float *)stat;
    s.dgain = dgain ? partial : NULL;
    s.dbias = dbias ? partial + n * s.cols : NULL;
    par_for(n, piece, &s);
    for (int64_t at = 0; at < n; at++) {
        const float *g = partial + at * s.cols, *b = g + n * s.cols;
        if (dgain) EACH(s.cols, STORE(dgain, LOAD(dgain) + LOAD(g)););
        if (dbias) EACH(s.cols, STORE(dbias, LOAD(dbias) + LOAD(b)););
    }
}

static void layer_norm_back(int64_t n, int64_t cols, const float *x, const float *gain,
                            const float *stat, const float *dy, float *dx, float *dgain,
                            float *dbias) {
    by_rows s = {.rows = n, .cols = cols, .x = x, .gain = gain, .dy = dy, .y = dx};
    norm_back(s, layer_norm_back_piece, stat, dgain, dbias);
}

static void rms_norm_back(int64_t n, int64_t cols, const float *x, const float *gain,
                          const float *stat, const float *dy, float *dx, float *dgain) {
    by_rows s = {.rows = n, .cols = cols, .x = x, .gain = gain, .dy = dy, .y = dx};
    norm_back(s, rms_norm_back_piece, stat, dgain, NULL);
}

/* ---- vectors ---- */

static void add_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const slices *s = arg;
    const float *x = s->x + begin;
    float *y = s->y + begin;
    vf scale = v_set(s->s);
    EACH(end - begin, STORE(y, v_fma(LOAD(x), scale, LOAD(y))););
}

static void add_scaled(int64_t n, float s, const float *x, float *y) {
    par_range(n, GRAIN, add_piece, &(slices){.s = s, .x = x, .y = y});
}

static void add(int64_t n, const float *x, float *y) {
    add_scaled(n, 1, x, y);
}

static void drop(int64_t first, int64_t n, const dropout_mask *d, const float *base, const float *x,
                 float *y) {
    uint64_t start = rng_mix(d->stream + RNG_GOLDEN);
    vf scale = v_set(d->scale), zero = v_set(0);
    for (int64_t at = 0; at < n; at += 2 * LANES) {
        vmask kept[2];
        v_kept(start, (uint64_t)(first + at) / 4, d->least, kept);
        for (int half = 0; half < 2; half++) {
            int64_t i = at + half * LANES, here = n - i;
            if (here <= 0) break;
            bool full = here >= LANES;
            vf v =
                v_choose(kept[half], scale * (full ? v_load(x + i) : v_load_n(x + i, here)), zero);
            if (base) v = (full ? v_load(base + i) : v_load_n(base + i, here)) + v;
            if (full)
                v_store(y + i, v);
            else
                v_store_n(y + i, v, here);
        }
    }
}

static void rotate(int64_t half, const float *sin, const float *cos, float sign, const float *x,
                   float *y, bool add) {
    const float *x_high = x + half;
    float *y_high = y + half;
    vf way = v_set(sign);
    EACH(half, vf s = way * LOAD(sin); vf c = LOAD(cos); vf low = LOAD(x); vf high = LOAD(x_high);
         vf turned = low * c - high * s; high = high * c + low * s;
         if (add) turned += LOAD(y), high += LOAD(y_high); STORE(y, turned); STORE(y_high, high););
}

typedef struct squares {
    const float *x;
    double *sum; /* one a piece */
} squares;

static void squares_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    enum { RUN = 512 }; /* f32 within a run, f64 above */
    const squares *s = arg;
    double sum = 0;
    for (int64_t i = begin; i < end; i += RUN)
        sum += dot(end - i < RUN ? end - i : RUN, s->x + i, s->x + i);
    s->sum[begin / SUM_PIECE] = sum;
}

static double sum_squares(int64_t n, const float *x) {
    int64_t pieces = (n + SUM_PIECE - 1) / SUM_PIECE;
    squares s = {x, scratch_take(SCRATCH_B, (size_t)pieces * sizeof *s.sum)};
    par_range(n, SUM_PIECE, squares_piece, &s);
    double sum = 0;
    for (int64_t i = 0; i < pieces; i++) sum += s.sum[i];
    return sum;
}

static void adamw_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const slices *s = arg;
    const adamw_args *a = s->adamw;
    const float *grad = s->dy + begin;
    float *m = s->m + begin, *v = s->v + begin, *p = s->y + begin;
    vf scale = v_set(a->grad_scale), beta1 = v_set(a->beta1), beta2 = v_set(a->beta2),
       rest1 = v_set(1 - a->beta1);
    vf rest2 = v_set(1 - a->beta2), lr = v_set(a->lr / a->correct1), root = v_set(1 / a->correct2);
    vf eps = v_set(a->eps), keep = v_set(1 - a->lr * a->decay);
    EACH(end - begin, vf g = LOAD(grad) * scale; vf m1 = v_fma(beta1, LOAD(m), rest1 * g);
         vf v1 = v_fma(beta2, LOAD(v), rest2 * g * g); STORE(m, m1); STORE(v, v1);
         STORE(p, LOAD(p) * keep - lr * m1 / (v_sqrt(v1 * root) + eps)););
}

static void adamw(int64_t n, const adamw_args *a, const float *grad, float *m, float *v, float *p) {
    par_range(n, GRAIN, adamw_piece, &(slices){.adamw = a, .dy = grad, .m = m, .v = v, .y = p});
}

/* ---- tables ---- */

static void embed_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const by_rows *s = arg;
    size_t bytes = (size_t)s->cols * sizeof(float);
    for (int64_t r = begin; r < end; r++) {
        if (s->id[r] < 0)
            memset(s->y + r * s->cols, 0, bytes);
        else
            memcpy(s->y + r * s->cols, s->x + s->id[r] * s->cols, bytes);
    }
}

static void embed(int64_t n, int64_t cols, const float *table, const int32_t *id, float *y) {
    par_range(n, rows_of(cols), embed_piece,
              &(by_rows){.cols = cols, .x = table, .id = id, .y = y});
}

/* Each task owns some columns of the whole table, and meets duplicates in order. */
static void embed_back_cols(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const by_rows *s = arg;
    for (int64_t r = 0; r < s->rows; r++) {
        const float *dy = s->dy + r * s->cols + begin;
        float *d = s->y + s->id[r] * s->cols + begin;
        if (s->id[r] >= 0) EACH(end - begin, STORE(d, LOAD(d) + LOAD(dy)););
    }
}

static void embed_back(int64_t n, int64_t cols, const int32_t *id, const float *dy,
                       int64_t table_rows, float *table_d) {
    for (int64_t i = 0; i < n; i++)
        MUST(id[i] < table_rows, "id %d of a table of %lld rows", (int)id[i],
             (long long)table_rows);
    par_range(cols, TABLE_COLS, embed_back_cols,
              &(by_rows){.rows = n, .cols = cols, .id = id, .dy = dy, .y = table_d});
}

static void fill_rows(backend *table) {
    table->layer_norm = layer_norm;
    table->layer_norm_back = layer_norm_back;
    table->rms_norm = rms_norm;
    table->rms_norm_back = rms_norm_back;
    table->activate = activate;
    table->activate_back = activate_back;
    table->softmax = softmax;
    table->add = add;
    table->add_scaled = add_scaled;
    table->drop = drop;
    table->rotate = rotate;
    table->embed = embed;
    table->embed_back = embed_back;
    table->sum_squares = sum_squares;
    table->adamw = adamw;
}
