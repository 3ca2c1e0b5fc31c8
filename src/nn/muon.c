/* Muon (Jordan et al. 2024): the step of a matrix between hidden layers is its momentum made
 * orthogonal, so that no direction of it learns at the cost of the others.
 *
 *   m <- .95 m + .05 g,  u = .95 m + .05 g (Nesterov)
 *   x <- u / |u|,  five times  x <- a x + (b s + c s s) x  with  s = x x^T   (Newton-Schulz)
 *   p <- p - lr (.2 sqrt(max(rows, cols)) x + decay p)
 *
 * The factor .2 sqrt(max) gives a step the size of AdamW's (Liu et al. 2025), so that both use
 * one learning rate. Products are the backend's: bf16 where it has them, enough here. */
#include "nn/params_int.h"

#include <math.h>
#include <string.h>

static const float A = 3.4445f, B = -4.7750f, C = 2.0315f, MOMENTUM = 0.95f;
enum { ROUNDS = 5 };

typedef struct muon_scratch {
    float *x, *y; /* [n, m], n <= m */
    float *s, *t; /* [n, n] */
} muon_scratch;

int64_t muon_scratch_size(int64_t rows, int64_t cols) {
    int64_t n = rows < cols ? rows : cols;
    return 2 * (rows * cols + n * n);
}

static void product(const backend *be, int64_t m, int64_t n, int64_t k, const float *a,
                    const float *b, bool b_t, float *c) {
    be->matmul(&(matmul){.m = m,
                         .n = n,
                         .k = k,
                         .a = a,
                         .lda = k,
                         .b = b,
                         .ldb = b_t ? k : n,
                         .b_t = b_t,
                         .c = c,
                         .ldc = n});
}

/* x [n, m] becomes orthogonal: its singular values go to about one. */
static void orthogonalize(const backend *be, int64_t n, int64_t m, muon_scratch *w) {
    float scale = (float)(1 / (sqrt(be->sum_squares(n * m, w->x)) + 1e-7));
    for (int64_t i = 0; i < n * m; i++) w->x[i] *= scale;
    for (int round = 0; round < ROUNDS; round++) {
        product(be, n, n, m, w->x, w->x, true, w->s);
        product(be, n, n, n, w->s, w->s, false, w->t);
        for (int64_t i = 0; i < n * n; i++) w->t[i] = B * w->s[i] + C * w->t[i];
        for (int64_t i = 0; i < n; i++) w->t[i * n + i] += A;
        product(be, n, m, n, w->t, w->x, false, w->y);
        float *swap = w->x;
        w->x = w->y;
        w->y = swap;
    }
}

void muon_step(const backend *be, const adamw_args *a, int64_t rows, int64_t cols,
               const float *grad, float *m, float *p, float *scratch) {
    int64_t size = rows * cols, n = rows < cols ? rows : cols, wide = rows < cols ? cols : rows;
    bool tall = rows > cols;
    muon_scratch w = {scratch, scratch + size, scratch + 2 * size, scratch + 2 * size + n * n};
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) {
            int64_t at = i * cols + j;
            float g = grad[at] * a->grad_scale;
            m[at] = MOMENTUM * m[at] + (1 - MOMENTUM) * g;
            w.x[tall ? j * rows + i : at] = MOMENTUM * m[at] + (1 - MOMENTUM) * g;
        }
    orthogonalize(be, n, wide, &w);
    float lr = a->lr * 0.2f * sqrtf((float)wide), keep = 1 - a->lr * a->decay;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            p[i * cols + j] = keep * p[i * cols + j] - lr * w.x[tall ? j * rows + i : i * cols + j];
}
