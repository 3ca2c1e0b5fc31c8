/* Operators on narrow rows (tensor/narrow.h): linear layers, attention, the norm.
 *
 * A product goes by blocks of 32 x 32 sums, as gemm.c's do, and reads the same packed weights; but
 * its left side lies in rows, so a tile is loaded with the row's stride. Columns are taken in groups
 * whose panels stay in L2 while all rows go by.
 *
 * Attention is a task for each span and head. Scores of 32 queries exist at a time; their
 * exponentials are written as bf16 rows, the next product's left side, and divided by their sum
 * when that product is done. */
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "tensor/cpu/cpu_int.h"
#include "tensor/cpu/narrow_int.h"
#include "tensor/cpu/pieces.h"
#include "tensor/cpu/transpose.h"
#include "tensor/cpu/vec.h"
#include "util/par.h"

enum {
    SIDE = 32,           /* of a block of sums */
    GROUP = 512 << 10,   /* bytes of panels that share L2 with the rows */
    K_BYTES = 1024,      /* of a row in one pass, where sums may be added to: 32 rows stay in L1 */
    TASK_FLOP = 1 << 21, /* a smaller task costs more to hand out than it gains */
};

bool narrow_fits(int64_t dim, int64_t ffn, int64_t n_heads) {
    return dim % 64 == 0 && ffn % 64 == 0 && dim % n_heads == 0 && dim / n_heads % SIDE == 0;
}

/* ---- VDPBF16PS on rows ---- */

/* 8 rows by 32 columns; `rows` is a constant where this is called. */
INLINE void some_rows(int rows, int64_t k, const uint16_t *a, int64_t lda, const char *b, float *c,
                      int64_t ldc, bool add) {
    __m512 sum[8][2];
    for (int r = 0; r < rows; r++) {
        sum[r][0] = add ? _mm512_loadu_ps(c + r * ldc) : _mm512_setzero_ps();
        sum[r][1] = add ? _mm512_loadu_ps(c + r * ldc + 16) : _mm512_setzero_ps();
    }
    for (int64_t p = 0; p < k; p += 2, b += 128) {
        __m512i b0 = _mm512_loadu_si512(b), b1 = _mm512_loadu_si512(b + 64);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            int32_t pair;
            memcpy(&pair, a + r * lda + p, sizeof pair);
            __m512i x = _mm512_set1_epi32(pair);
            sum[r][0] = _mm512_dpbf16_ps(sum[r][0], (__m512bh)x, (__m512bh)b0);
            sum[r][1] = _mm512_dpbf16_ps(sum[r][1], (__m512bh)x, (__m512bh)b1);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
        _mm512_storeu_ps(c + r * ldc, sum[r][0]);
        _mm512_storeu_ps(c + r * ldc + 16, sum[r][1]);
    }
}

void narrow_block_bf16(int64_t k, const uint16_t *a, int64_t lda, const char *b, int64_t rows,
                       float *c, int64_t ldc, bool add) {
    for (; rows >= 8; rows -= 8, a += 8 * lda, c += 8 * ldc)
        some_rows(8, k, a, lda, b, c, ldc, add);
    for (; rows >= 4; rows -= 4, a += 4 * lda, c += 4 * ldc)
        some_rows(4, k, a, lda, b, c, ldc, add);
    for (; rows >= 1; rows -= 1, a += lda, c += ldc) some_rows(1, k, a, lda, b, c, ldc, add);
}

/* ---- what becomes of sums ---- */

/* x Phi(x), Phi(x) - 1/2 as an odd polynomial on [-4, 4]: the greatest error of the result up to
 * |x| = 8 is 2e-4, a tenth of what rounding to bf16 takes from a value near 1. */
INLINE __m512 gelu(__m512 x) {
    __m512 y = _mm512_max_ps(v_set(-4), _mm512_min_ps(v_set(4), x)), t = y * y;
    __m512 p = v_set(2.28391386e-8f);
    p = v_fma(p, t, v_set(-1.6018937e-6f));
    p = v_fma(p, t, v_set(4.80294621e-5f));
    p = v_fma(p, t, v_set(-8.14841304e-4f));
    p = v_fma(p, t, v_set(8.77712853e-3f));
    p = v_fma(p, t, v_set(-6.45859689e-2f));
    p = v_fma(p, t, v_set(3.97895575e-1f));
    return x * v_fma(p, y, v_set(.5f));
}

INLINE __m512 activate(activation act, __m512 x) {
    return act == ACT_GELU ? gelu(x) : act == ACT_RELU ? _mm512_max_ps(x, v_set(0)) : x;
}

INLINE void store_bf16(uint16_t *y, __m512 low, __m512 high) {
    _mm512_storeu_si512(y, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

typedef struct linear {
    const narrow_kind *kind;
    narrow_rows x;
    int64_t n, k;       /* w [k, n] */
    const char *b;      /* bf16: panels [n / SIDE][k / 2][SIDE][2] */
    int8_weights bytes; /* the same of bytes */
    const float *bias;  /* [n] or NULL */
    activation act;
    uint16_t *y; /* or: */
    float *wide;
    bool adds;    /* to what stands in wide */
    int64_t ld;   /* of y or wide */
    int64_t cols; /* of one task */
} linear;

/* A block of sums, floats or integers, waiting to be finished: what tiles stored is read after the
 * next product has been issued, which runs meanwhile. */
typedef struct block {
    int64_t rows, i, j; /* rows 0: nothing waits */
    const void *sums;   /* [SIDE, SIDE] */
} block;

/* Columns 16 half.. of the `cols` that a block has. */
INLINE __mmask16 columns_of(int64_t cols, int half) {
    int64_t n = cols - 16 * half;
    return n >= 16 ? 0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1);
}

INLINE void store_wide(const linear *l, float *to, __mmask16 here, __m512 v) {
    if (l->adds) v += _mm512_maskz_loadu_ps(here, to);
    _mm512_mask_storeu_ps(to, here, v);
}

INLINE void finish_as(const linear *l, const block *b, activation act) {
    __m512 zero = _mm512_setzero_ps();
    __m512 add0 = l->bias ? v_load(l->bias + b->j) : zero,
           add1 = l->bias ? v_load(l->bias + b->j + 16) : zero;
    __mmask16 here0 = columns_of(l->n - b->j, 0), here1 = columns_of(l->n - b->j, 1);
    bool bytes = l->kind->bytes;
    __m512 by0 = zero, by1 = zero;
    __m512i less0 = _mm512_setzero_si512(), less1 = less0;
    if (bytes) {
        __m512i offset = _mm512_set1_epi32(l->kind->offset);
        by0 = v_load(l->bytes.scale + b->j);
        by1 = v_load(l->bytes.scale + b->j + 16);
        less0 = _mm512_mullo_epi32(offset, _mm512_loadu_si512(l->bytes.sum + b->j));
        less1 = _mm512_mullo_epi32(offset, _mm512_loadu_si512(l->bytes.sum + b->j + 16));
    }
    const char *sums = b->sums;
    for (int64_t r = 0; r < b->rows; r++, sums += 4 * SIDE) {
        int64_t at = (b->i + r) * l->ld + b->j;
        __m512 v0 = _mm512_load_ps(sums), v1 = _mm512_load_ps(sums + 64);
        if (bytes) {
            __m512 scale = v_set(l->x.scale[b->i + r]);
            v0 = _mm512_cvtepi32_ps(_mm512_sub_epi32((__m512i)v0, less0)) * (scale * by0);
            v1 = _mm512_cvtepi32_ps(_mm512_sub_epi32((__m512i)v1, less1)) * (scale * by1);
        }
        v0 = activate(act, v0 + add0);
        v1 = activate(act, v1 + add1);
        if (l->y)
            store_bf16(l->y + at, v0, v1);
        else {
            store_wide(l, l->wide + at, here0, v0);
            store_wide(l, l->wide + at + 16, here1, v1);
        }
    }
}

static void finish(const linear *l, const block *b) {
    if (b->rows == 0) return;
    if (l->act == ACT_GELU)
        finish_as(l, b, ACT_GELU);
    else if (l->act == ACT_RELU)
        finish_as(l, b, ACT_RELU);
    else
        finish_as(l, b, ACT_NONE);
}

/* ---- linear layers ---- */

/* Columns j0..j1-1 of a group, whose sums need finishing: one pass over k. */
static void finished_columns(const linear *l, int64_t j0, int64_t j1) {
    const narrow_kind *kind = l->kind;
    _Alignas(64) float sums[2][SIDE * SIDE];
    block waits = {0};
    for (int64_t i = 0, turn = 0; i < l->x.rows; i += SIDE)
        for (int64_t j = j0; j < j1; j += SIDE) {
            block next = {least(SIDE, l->x.rows - i), i, j, sums[turn ^= 1]};
            if (kind->bytes)
                kind->bytes(l->k, (const uint8_t *)l->x.at + i * l->k, l->bytes.panels + j * l->k,
                            next.rows, (int32_t *)sums[turn]);
            else
                kind->block(l->k, (const uint16_t *)l->x.at + i * l->x.ld, l->x.ld,
                            l->b + j * l->k * 2, next.rows, sums[turn], SIDE, false);
            finish(l, &waits);
            waits = next;
        }
    finish(l, &waits);
}

/* Columns j0..j1-1 of bare sums, which are added up where they belong. */
static void added_columns(const linear *l, int64_t j0, int64_t j1) {
    int64_t step = l->x.rows <= SIDE ? l->k : K_BYTES / 2;
    const uint16_t *x = l->x.at;
    for (int64_t k0 = 0; k0 < l->k; k0 += step)
        for (int64_t i = 0; i < l->x.rows; i += SIDE)
            for (int64_t j = j0; j < j1; j += SIDE)
                l->kind->block(least(step, l->k - k0), x + i * l->x.ld + k0, l->x.ld,
                               l->b + (j * l->k + k0 * SIDE) * 2, least(SIDE, l->x.rows - i),
                               l->wide + i * l->ld + j, l->ld, true);
}

static void linear_task(void *arg, int64_t at, int worker) {
    (void)worker;
    const linear *l = arg;
    int64_t begin = at * l->cols, end = least(begin + l->cols, l->n);
    bool added = l->adds && !l->kind->bytes;
    int64_t deep = added ? least(l->k, K_BYTES / 2) * 2 : l->kind->bytes ? l->k : 2 * l->k;
    int64_t group = most(SIDE, GROUP / (deep * SIDE) * SIDE);
    for (int64_t j = begin; j < end; j += group)
        (added ? added_columns : finished_columns)(l, j, least(j + group, end));
}

static void run(linear *l, const tensor *w) {
    matmul mm = {.n = w->cols,
                 .k = w->rows,
                 .b = w->v,
                 .ldb = w->cols,
                 .packs = w->packs,
                 .version = w->version};
    bool whole = w->cols % SIDE == 0 || (l->wide && !l->adds);
    MUST(w->packs && w->rows == l->x.cols && whole, "rows of %ld times [%ld, %ld]", (long)l->x.cols,
         (long)w->rows, (long)w->cols);
    l->n = w->cols;
    l->k = w->rows;
    if (l->kind->bytes)
        l->bytes = int8_cached(&mm);
    else
        l->b = gemm_cached(l->kind->g, &mm);
    int64_t flop = 2 * most(l->x.rows, 16) * l->n * l->k;
    int64_t tasks = most(1, least(par_threads(), flop / TASK_FLOP));
    l->cols = round_up(cuts(l->n, tasks), SIDE);
    par_for(cuts(l->n, l->cols), linear_task, l);
}

void narrow_linear(const narrow_kind *k, narrow_rows x, const tensor *w, const tensor *b,
                   activation act, uint16_t *y, int64_t ld) {
    MUST(act == ACT_NONE || act == ACT_RELU || act == ACT_GELU, "narrow rows have no activation %d",
         act);
    linear l = {.kind = k, .x = x, .bias = b ? b->v : NULL, .act = act, .y = y, .ld = ld};
    run(&l, w);
}

void narrow_linear_wide(const narrow_kind *k, narrow_rows x, const tensor *w, float *y) {
    linear l = {.kind = k, .x = x, .wide = y, .ld = w->cols};
    run(&l, w);
}

void narrow_linear_add(const narrow_kind *k, narrow_rows x, const tensor *w, float *y) {
    linear l = {.kind = k, .x = x, .wide = y, .adds = true, .ld = w->cols};
    run(&l, w);
}

/* ---- bytes ---- */

size_t narrow_room(const narrow_kind *k, int64_t rows, int64_t cols) {
    return k->bytes ? (size_t)((rows + NARROW_SPARE) * (cols + 4)) : 0;
}

INLINE __m512 widen(const uint16_t *x) {
    return (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)x)),
                                     16);
}

/* The greatest |x|: without their sign, bf16 are ordered as their bits are. */
INLINE float greatest(int64_t n, const uint16_t *x) {
    __m512i top = _mm512_setzero_si512(), size = _mm512_set1_epi16(0x7fff);
    for (int64_t i = 0; i < n; i += 32)
        top = _mm512_max_epu16(top, _mm512_and_si512(size, _mm512_loadu_si512(x + i)));
    __m256i half = _mm256_max_epu16(_mm512_castsi512_si256(top), _mm512_extracti64x4_epi64(top, 1));
    __m512i wide = _mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16);
    return v_largest((__m512)wide);
}

narrow_rows narrow_factor(const narrow_kind *k, int64_t rows, int64_t cols, const uint16_t *x,
                          void *room) {
    if (!k->bytes) return (narrow_rows){rows, cols, narrow_ld(cols), x, NULL};
    uint8_t *q = room;
    float *scale = (float *)(q + (rows + NARROW_SPARE) * cols);
    __m128i flip = _mm_set1_epi8((char)k->offset);
    for (int64_t i = 0; i < rows; i++, x += narrow_ld(cols)) {
        float top = greatest(cols, x);
        __m512 inverse = v_set(top > 0 ? 127 / top : 0);
        scale[i] = top / 127;
        for (int64_t j = 0; j < cols; j += 16) {
            __m128i b = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(widen(x + j) * inverse));
            _mm_storeu_si128((__m128i *)(q + i * cols + j), _mm_xor_si128(b, flip));
        }
    }
    return (narrow_rows){rows, cols, cols, q, scale};
}

/* ---- attention ---- */

typedef struct attending {
    const narrow_kind *kind;
    narrow_view q, kv;
    spans q_spans, kv_spans;
    int64_t width, head, n_heads; /* columns of all heads, of one */
    uint16_t *out;
    int64_t out_ld;
} attending;

/* Keys as the right side of scores, [keys / SIDE][head / 2][SIDE][2]: dwords turned by 16 x 16. */
static void pack_keys(int64_t n, int64_t head, const uint16_t *x, int64_t ld, char *to) {
    for (int64_t i = 0; i < n; i += 16)
        for (int64_t p = 0; p < head; p += 32) {
            __m512i v[16];
            for (int r = 0; r < 16; r++)
                v[r] =
                    i + r < n ? _mm512_loadu_si512(x + (i + r) * ld + p) : _mm512_setzero_si512();
            transpose(v);
            char *at = to + (i / SIDE * head * SIDE + p * SIDE) * 2 + i % SIDE * 4;
            for (int r = 0; r < 16; r++) _mm512_store_si512(at + r * SIDE * 4, v[r]);
        }
}

/* Values as the right side of the mixture, [head / SIDE][keys / 2][SIDE][2], `keys` n rounded up:
 * pairs of rows woven into one another, zeros behind. */
static void pack_values(int64_t n, int64_t keys, int64_t head, const uint16_t *x, int64_t ld,
                        char *to) {
    __m512i low, high;
    {
        int16_t order[64];
        for (int i = 0; i < 32; i++) {
            order[2 * i] = (int16_t)i;
            order[2 * i + 1] = (int16_t)(32 + i);
        }
        low = _mm512_loadu_si512(order);
        high = _mm512_loadu_si512(order + 32);
    }
    for (int64_t p = 0; p < head; p += SIDE)
        for (int64_t i = 0; i < keys; i += 2, to += 4 * SIDE) {
            __m512i even = i < n ? _mm512_loadu_si512(x + i * ld + p) : _mm512_setzero_si512();
            __m512i odd =
                i + 1 < n ? _mm512_loadu_si512(x + (i + 1) * ld + p) : _mm512_setzero_si512();
            _mm512_store_si512(to, _mm512_permutex2var_epi16(even, low, odd));
            _mm512_store_si512(to + 64, _mm512_permutex2var_epi16(even, high, odd));
        }
}

/* 2^x for x <= 0, to 1e-4: its whole part goes into the exponent, 2^r for r in [0, 1) is a
 * polynomial; p is about to be rounded to 8 bits. */
INLINE __m512 exp2_rough(__m512 x) {
    __m512 r = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF);
    __m512 y = v_set(7.8024520e-2f);
    y = v_fma(y, r, v_set(2.2606716e-1f));
    y = v_fma(y, r, v_set(6.9583356e-1f));
    y = v_fma(y, r, v_set(9.9992522e-1f));
    return _mm512_scalef_ps(y, x); /* by 2^floor(x) */
}

/* p = exp(scale (s - max s)) of n scores in bf16, zeros up to `keys`; returns 1 / its sum. */
static float soften(int64_t n, int64_t keys, float scale, const float *s, uint16_t *p) {
    __m512 none = v_set(-INFINITY), max = none, total = v_set(0);
    for (int64_t i = 0; i < n; i += 16) {
        __mmask16 here = n - i >= 16 ? 0xffff : (__mmask16)((1u << (n - i)) - 1);
        max = _mm512_max_ps(max, _mm512_mask_loadu_ps(none, here, s + i));
    }
    __m512 by = v_set(scale * 1.44269504f), less = v_set(-scale * 1.44269504f * v_largest(max));
    for (int64_t i = 0; i < keys; i += 32) {
        int64_t left = n - i;
        __mmask32 here = left >= 32 ? 0xffffffffu : (1u << left) - 1;
        __m512 low = exp2_rough(v_fma(v_load(s + i), by, less)),
               high = exp2_rough(v_fma(v_load(s + i + 16), by, less));
        if (left < 32) {
            low = _mm512_maskz_mov_ps((__mmask16)here, low);
            high = _mm512_maskz_mov_ps((__mmask16)(here >> 16), high);
        }
        total += low + high;
        store_bf16(p + i, low, high);
    }
    return 1 / v_sum(total);
}

static void attend_task(void *arg, int64_t at, int worker) {
    (void)worker;
    const attending *a = arg;
    span qs = a->q_spans.at[at / a->n_heads], kvs = a->kv_spans.at[at / a->n_heads];
    int64_t m = qs.end - qs.begin, n = kvs.end - kvs.begin, keys = round_up(n, SIDE);
    int64_t head = a->head, col = at % a->n_heads * head, panels = keys * head * 2;
    const uint16_t *q = a->q.at + qs.begin * a->q.ld + col;
    const uint16_t *kv = a->kv.at + kvs.begin * a->kv.ld + col;
    uint16_t *out = a->out + qs.begin * a->out_ld + col;
    char *k_b = scratch_take(SCRATCH_ROWS, (size_t)(2 * panels + SIDE * keys * 6 + 4096));
    char *v_b = k_b + panels;
    float *scores = (float *)(v_b + panels);
    uint16_t *p = (uint16_t *)(scores + SIDE * keys);
    float inverse[SIDE], scale = 1 / sqrtf((float)head);
    _Alignas(64) float mixed[SIDE * SIDE];
    if (n <= 0) {
        for (int64_t i = 0; i < m; i++) memset(out + i * a->out_ld, 0, (size_t)head * sizeof *out);
        return;
    }
    pack_keys(n, head, kv, a->kv.ld, k_b);
    pack_values(n, keys, head, kv + a->width, a->kv.ld, v_b);
    for (int64_t i = 0; i < m; i += SIDE) {
        int64_t rows = least(SIDE, m - i);
        for (int64_t j = 0; j < keys; j += SIDE)
            a->kind->block(head, q + i * a->q.ld, a->q.ld, k_b + j * head * 2, rows, scores + j,
                           keys, false);
        for (int64_t r = 0; r < rows; r++)
            inverse[r] = soften(n, keys, scale, scores + r * keys, p + r * keys);
        for (int64_t j = 0; j < head; j += SIDE) {
            a->kind->block(keys, p, keys, v_b + j * keys * 2, rows, mixed, SIDE, false);
            for (int64_t r = 0; r < rows; r++) {
                __m512 by = v_set(inverse[r]);
                store_bf16(out + (i + r) * a->out_ld + j, by * v_load(mixed + r * SIDE),
                           by * v_load(mixed + r * SIDE + 16));
            }
        }
    }
}

void narrow_attention(const narrow_kind *k, narrow_view q, spans q_spans, narrow_view kv,
                      spans kv_spans, int64_t width, int64_t n_heads, uint16_t *out) {
    attending a = {
        k, q, kv, q_spans, kv_spans, width, width / n_heads, n_heads, out, narrow_ld(width)};
    par_for(q_spans.n * n_heads, attend_task, &a);
}

void narrow_rotate(int64_t rows, int64_t cols, uint16_t *x, int64_t ld, int64_t half,
                   const float *sines, const float *cosines, const int32_t *position) {
    for (int64_t t = 0; t < rows; t++, x += ld)
        for (int64_t at = 0; at < cols; at += 2 * half)
            for (int64_t i = 0; i < half; i += 16) {
                __m512 s = v_load(sines + position[t] * half + i),
                       c = v_load(cosines + position[t] * half + i);
                __m512 low = widen(x + at + i), high = widen(x + at + half + i);
                __m512i both = (__m512i)_mm512_cvtne2ps_pbh(v_fma(high, c, low * s),
                                                            v_fma(low, c, -(high * s)));
                _mm256_storeu_si256((__m256i *)(x + at + i), _mm512_castsi512_si256(both));
                _mm256_storeu_si256((__m256i *)(x + at + half + i),
                                    _mm512_extracti64x4_epi64(both, 1));
            }
}

/* ---- norms ---- */

/* Of one row; `keeps`: the result replaces x too. */
INLINE void norm_row(bool keeps, int64_t cols, float eps, float *x, const tensor *gain,
                     const tensor *bias, uint16_t *out) {
    __m512 sum = v_set(0), square = v_set(0);
    for (int64_t j = 0; j < cols; j += 16) sum += v_load(x + j);
    __m512 mean = v_set(v_sum(sum) / (float)cols);
    for (int64_t j = 0; j < cols; j += 16) {
        __m512 d = v_load(x + j) - mean;
        square = v_fma(d, d, square);
    }
    __m512 inverse = v_set(1 / sqrtf(v_sum(square) / (float)cols + eps));
    for (int64_t j = 0; j < cols; j += 32) {
        __m512 low =
            v_fma((v_load(x + j) - mean) * inverse, v_load(gain->v + j), v_load(bias->v + j));
        __m512 high = v_fma((v_load(x + j + 16) - mean) * inverse, v_load(gain->v + j + 16),
                            v_load(bias->v + j + 16));
        store_bf16(out + j, low, high);
        if (!keeps) continue;
        v_store(x + j, low);
        v_store(x + j + 16, high);
    }
}

static void add_row(int64_t cols, const float *b, float *x) {
    for (int64_t j = 0; j < cols; j += 16) v_store(x + j, v_load(x + j) + v_load(b + j));
}

void narrow_norm(int64_t rows, int64_t cols, float eps, float *x, const tensor *b,
                 const tensor *gain, const tensor *bias, uint16_t *out) {
    for (int64_t i = 0; i < rows; i++, x += cols, out += narrow_ld(cols)) {
        norm_row(false, cols, eps, x, gain, bias, out);
        if (b) add_row(cols, b->v, x);
    }
}

void narrow_norm_after(int64_t rows, int64_t cols, float eps, float *x, const tensor *b,
                       const tensor *gain, const tensor *bias, uint16_t *out) {
    for (int64_t i = 0; i < rows; i++, x += cols, out += narrow_ld(cols)) {
        if (b) add_row(cols, b->v, x);
        norm_row(true, cols, eps, x, gain, bias, out);
    }
}
