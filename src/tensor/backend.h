#ifndef RAGLAN_TENSOR_BACKEND_H
#define RAGLAN_TENSOR_BACKEND_H
/* Backends: one struct of function pointers, the arithmetic under the operators.
 *
 * cpu/ref.c in plain loops is the law. Each faster family (one file an instruction set)
 * starts from the entries of the one below it and replaces what it does better; it is
 * checked against ref within the tolerance that it declares. RAGLAN_CPU=ref|avx2|avx512|
 * bf16|amx forces a family, else the best that this processor has is taken.
 * ref, avx2 and avx512 multiply in f32; bf16 and amx round both factors of a product to
 * bf16 and add in f32. Within a family the same input gives the same bytes at any number of
 * threads. */
#include "util/err.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum activation {
    ACT_NONE,
    ACT_RELU,
    ACT_RELU2,
    ACT_GELU,
    ACT_SIGMOID,
    ACT_TANH
} activation;

/* The upper 16 bits of an f32, rounded to nearest even; what is below 2^-126 becomes zero. */
typedef uint16_t bf16;

/* Packed copies of a right side that stays as it is (a leaf weight; while a question is answered,
 * its copy keys) in the order a family's product reads them (and of its transpose), made
 * at first use and again when `version` has moved. Opaque; freed by pack_free. */
typedef struct pack_cache pack_cache;
pack_cache *pack_new(void);
void pack_free(pack_cache *p);
void pack_forget(pack_cache *p); /* pack again at next use; the memory stays */

/* c [m, n] = act(op(a) op(b) + bias), or += with `accumulate` (then no bias, no activation).
 * op(a) is [m, k]: stored [m, k] with row stride lda, or [k, m] when a_t. Likewise op(b) [k, n].
 * bias [n] or NULL. c may not overlap a or b. Where b stays from call to call, packs and
 * version let a family keep its packed copy. Each c element sums over k in one fixed order.
 * A backend with `round` also takes bf16 in place of a, and of a b without packs: the products are
 * those of floats. With packs it can round the result itself, into c16 in place of c (without
 * `accumulate`); then, with y16 [m, n] that act gave, c16 = act'(y16) * op(a) op(b). There
 * `plus` may add another product of the same m and n, of bf16 and a leaf weight like the first (its a16,
 * lda, b, packs and their kin count), before it is rounded.
 * `then` is called for ranges of rows of c, each row once, when they are complete; from the
 * thread that made them, while they are near, where a task makes whole rows. Ranges begin at
 * multiples of 4 rows. */
typedef struct matmul {
    int64_t m, n, k;
    const float *a;
    const bf16 *a16;
    int64_t lda;
    bool a_t;
    const float *b;
    const bf16 *b16;
    int64_t ldb;
    bool b_t;
    float *c;
    bf16 *c16;
    int64_t ldc; /* of y16 too */
    bool accumulate;
    const float *bias;
    activation act;
    const bf16 *y16;
    pack_cache *packs;
    uint64_t version;
    const struct matmul *plus;
    void (*then)(void *arg, int64_t begin, int64_t end);
    void *then_arg;
} matmul;

/* Attention over ragged spans (tensor.h t_attention). Strides are in elements; q, k, v point at
 * their first column. lse [Tq, H]: log-sum-exp of each query row and head, saved for backward.
 * A backend with `round` also takes all of it in bf16: q16 is set, and the rest with it. */
typedef struct attention {
    const float *q, *k, *v;
    const bf16 *q16, *k16, *v16;
    int64_t q_stride, k_stride, v_stride;
    int64_t width, n_heads;
    int64_t n_spans;
    const struct span *q_spans, *kv_spans;
    bool causal;
    float *out; /* [Tq, width]; backward reads it */
    bf16 *out16;
    float *lse;        /* [Tq, n_heads] */
    const float *dout; /* backward: [Tq, width] */
    const bf16 *dout16;
    float *dq, *dk, *dv;      /* backward: added to, same strides as q, k, v; NULL: not wanted */
    bf16 *dq16, *dk16, *dv16; /* written, none is NULL; key spans lie one after another */
} attention;

typedef struct adamw_args {
    float lr, beta1, beta2, eps, decay; /* decay: decoupled, p -= lr * decay * p */
    float grad_scale;                   /* clipping factor, 1 when within the bound */
    float correct1, correct2;           /* 1 - beta^t, or 1 for no bias correction (the origin) */
} adamw_args;

/* Which elements of a matrix are kept (Srivastava et al. 2014): element i is dropped when the
 * (i % 4)th 16 bits of rng_hash(stream, i / 4) are below `least`, else multiplied by `scale`. */
typedef struct dropout_mask {
    uint64_t stream;
    uint32_t least; /* p * 2^16; 0: all are kept, as they are */
    float scale;    /* 1 / (1 - p) */
} dropout_mask;

typedef struct backend {
    const char *name;    /* "ref", "avx2", ... */
    bool rounds_to_bf16; /* products in bf16 */
    const struct narrow_kind *narrow; /* reading without a tape (narrow.h); NULL: it has none */

    /* y = x as bf16, and back; round is NULL where bf16 is taken nowhere. */
    void (*round)(int64_t n, const float *x, bf16 *y);
    void (*widen)(int64_t n, const bf16 *x, float *y);

    void (*matmul)(const matmul *mm);
    void (*attention_forward)(const attention *at);
    void (*attention_backward)(const attention *at);

    /* Rows of [rows, cols], contiguous. Norms save what backward needs in stat [rows, 2];
     * backward adds to dx, dgain and dbias, any of which may be NULL. */
    void (*layer_norm)(int64_t rows, int64_t cols, float eps, const float *x, const float *gain,
                       const float *bias, float *y, float *stat);
    void (*layer_norm_back)(int64_t rows, int64_t cols, const float *x, const float *gain,
                            const float *stat, const float *dy, float *dx, float *dgain,
                            float *dbias);
    void (*rms_norm)(int64_t rows, int64_t cols, const float *x, const float *gain, float *y,
                     float *stat);
    void (*rms_norm_back)(int64_t rows, int64_t cols, const float *x, const float *gain,
                          const float *stat, const float *dy, float *dx, float *dgain);
    void (*activate)(int64_t n, activation act, const float *x, float *y);
    /* dx += dy * act'(.), where y = act(x); x may be NULL where the slope follows from y. */
    void (*activate_back)(int64_t n, activation act, const float *x, const float *y,
                          const float *dy, float *dx);
    /* Softmax of each row in place; returns the log-sum-exp of each row in lse (may be NULL). */
    void (*softmax)(int64_t rows, int64_t cols, float *x, float *lse);

    void (*add)(int64_t n, const float *x, float *y);                 /* y += x */
    void (*add_scaled)(int64_t n, float s, const float *x, float *y); /* y += s x */
    /* y = base + kept x, elements first..first+n-1 of a matrix, first a multiple of 4; base may be
     * y, or NULL for zeros. */
    void (*drop)(int64_t first, int64_t n, const dropout_mask *d, const float *base, const float *x,
                 float *y);
    /* The pairs (x[i], x[half + i]) turned by angles of these sines and cosines, back with sign -1;
     * y =, or with add += the result. */
    void (*rotate)(int64_t half, const float *sin, const float *cos, float sign, const float *x,
                   float *y, bool add);
    void (*embed)(int64_t n, int64_t cols, const float *table, const int32_t *id, float *y);
    /* table_d[id[i]] += dy[i], duplicates in order of i. */
    void (*embed_back)(int64_t n, int64_t cols, const int32_t *id, const float *dy,
                       int64_t table_rows, float *table_d);
    double (*sum_squares)(int64_t n, const float *x); /* fixed pieces, f64 */
    void (*adamw)(int64_t n, const adamw_args *a, const float *grad, float *m, float *v, float *p);
} backend;

const backend *backend_cpu(void); /* chosen once: RAGLAN_CPU, else the best here */
const backend *backend_ref(void);
/* A family by name (NULL: what RAGLAN_CPU says, else the best here); ERR_BACKEND where this
 * processor lacks it, ERR_ARG for an unknown name (lists the known). A program asks this first,
 * so that a wrong RAGLAN_CPU is a sentence; backend_cpu can only abort. */
status backend_find(const char *name, const backend **out);

/* What a model that is only read multiplies in. A precision is a backend: hand it to graph_new. */
typedef enum precision {
    PRECISION_AUTO, /* backend_cpu: bf16 where that is the fast way, else f32 */
    PRECISION_F32,
    PRECISION_BF16,
    PRECISION_INT8, /* right sides that stay, by output channel, activations by row (cpu/int8.c);
                       the other products as AUTO */
} precision;
/* ERR_BACKEND where the chosen family has no bf16. */
status backend_precise(precision p, const backend **out);
const char *precision_name(precision p);          /* "auto", "f32", "bf16", "int8" */
const backend *backend_int8(const backend *base); /* base, with packs: 8-bit products */

#ifdef __cplusplus
}
#endif
#endif
