/* Matrix products alone, in the shapes that a training step and an answer are made of. */
#include <stdlib.h>
#include <string.h>

#include "eval/bench_int.h"

typedef struct product {
    const backend *be;
    matmul mm;
} product;

static void multiply(void *arg) {
    product *p = arg;
    p->be->matmul(&p->mm);
}

/* Weights are packed once (a leaf's packs), as between two steps of the optimizer; a weight
 * gradient, whose factors are both new, is not. */
static void time_product(const bench *b, const backend *be, int64_t m, int64_t n, int64_t k,
                         bool is_gradient) {
    rng r = rng_new(b->o.seed);
    float *x = xmalloc((size_t)(m * k) * sizeof *x), *y = xmalloc((size_t)(k * n) * sizeof *y),
          *z = xcalloc((size_t)(m * n), sizeof *z);
    for (int64_t i = 0; i < m * k; i++) x[i] = (float)rng_uniform(&r) - .5f;
    for (int64_t i = 0; i < k * n; i++) y[i] = (float)rng_uniform(&r) - .5f;
    product p = {be,
                 {.m = m, .n = n, .k = k, .a = x, .lda = k, .b = y, .ldb = n, .c = z, .ldc = n}};
    if (is_gradient) {
        p.mm.lda = m;
        p.mm.a_t = true;
    } else {
        p.mm.packs = pack_new();
    }
    peak_kind kind = be->rounds_to_bf16 ? PEAK_BF16 : PEAK_F32;
    timing t = bench_time(b, kind, multiply, &p);
    double flops = 2.0 * (double)m * (double)n * (double)k / t.s;
    bench_say(b, (bench_figure){flops / 1e9, "GFLOP/s", flops, b->ops[kind], t.peak},
              "matmul.%s.%ldx%ldx%ld", kind == PEAK_BF16 ? "bf16" : "f32", (long)m, (long)n,
              (long)k);
    pack_free(p.mm.packs);
    free(x);
    free(y);
    free(z);
}

static void time_family(const bench *b, const backend *be) {
    int64_t d = b->o.dim, tokens = b->o.size == BENCH_TINY ? 64 : 8192;
    time_product(b, be, tokens, d, d, false);
    time_product(b, be, tokens, 4 * d, d, false);
    time_product(b, be, tokens, d, 4 * d, false);
    time_product(b, be, d, 4 * d, tokens, true);   /* a weight gradient */
    time_product(b, be, 1, BENCH_VOCAB, d, false); /* one token's logits */
}

/* The best family of each type that runs here; the forced one alone where RAGLAN_CPU is set. */
status bench_kernels(const bench *b) {
    const backend *own = backend_cpu();
    const char *forced = getenv("RAGLAN_CPU");
    time_family(b, own);
    if ((forced && *forced) || !own->rounds_to_bf16) return OK;
    static const char *const single[] = {"avx512", "avx2", "ref"};
    for (int i = 0; i < 3; i++) {
        const backend *be;
        if (backend_find(single[i], &be) != OK) continue;
        time_family(b, be);
        break;
    }
    return OK;
}
