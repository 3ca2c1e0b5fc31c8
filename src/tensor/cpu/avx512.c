/* AVX-512: products in f32 (product512.h), everything else on vectors of 16 (rows.h). */
#include "tensor/cpu/product512.h"
#include "tensor/cpu/rows.h"

#include <pthread.h>

void finish_avx512(int64_t rows, int64_t cols, const float *sums, int64_t lds, const gemm_end *e) {
    finish(rows, cols, sums, lds, e);
}

static const gemm_kind gemm_avx512 = {.mr = LINES,
                                      .nr = LINES,
                                      .elem = ELEM,
                                      .pack_a = pack_a,
                                      .pack_b = pack_b,
                                      .kernel = kernel,
                                      .finish = finish};

const row_kind rows_avx512 = {.dot = dot, .soften = soften, .mix = mix, .slopes = slopes};

static void matmul_avx512(const matmul *mm) {
    gemm_run(&gemm_avx512, mm);
}
static void attention_forward_avx512(const attention *at) {
    attention_forward(&gemm_avx512, &rows_avx512, at);
}
static void attention_backward_avx512(const attention *at) {
    attention_backward(&gemm_avx512, &rows_avx512, at);
}

static backend table;
static void fill(void) {
    table.name = "avx512";
    table.matmul = matmul_avx512;
    table.attention_forward = attention_forward_avx512;
    table.attention_backward = attention_backward_avx512;
    fill_rows(&table);
}

const backend *backend_avx512(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill);
    return &table;
}
