/* AVX512-BF16: products of bf16 pairs, added in f32 (VDPBF16PS), twice the rate of f32 where
 * the processor has two such units. Packing and kernel: product512.h; the panels are also
 * what AMX tiles load (amx.c). All that is not a product is AVX-512's. */
#define PRODUCT_BF16
#include "tensor/cpu/product512.h"
#include "tensor/cpu/activation.h"

#include "tensor/cpu/narrow_int.h"

#include <pthread.h>

/* ---- bf16 in memory ---- */

static void round_bf16(int64_t n, const float *x, bf16 *y) {
    for (int64_t i = 0; i < n; i += 32) {
        _mm512_mask_storeu_epi16(y + i, first_of_32(n - i), load_along(x + i, n - i, false));
    }
}

INLINE __m512 widened(__mmask16 has, const bf16 *x) {
    __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(has, x));
    return _mm512_castsi512_ps(_mm512_slli_epi32(low, 16));
}

static void widen_bf16(int64_t n, const bf16 *x, float *y) {
    for (int64_t i = 0; i < n; i += 16)
        _mm512_mask_storeu_ps(y + i, first(n - i), widened(first(n - i), x + i));
}

/* 16 columns of a row from j on. */
INLINE __m512 finished(activation act, const float *sums, const gemm_end *e, int64_t r, int64_t j,
                       __mmask16 has) {
    __m512 x = _mm512_maskz_loadu_ps(has, sums);
    if (e->y16) {
        __m512 y = widened(has, e->y16 + r * e->ldc + j);
        return x * act_slope(act, y, y);
    }
    if (e->bias) x += _mm512_maskz_loadu_ps(has, e->bias + j);
    return act_value(act, x);
}

INLINE void finish_rows(activation act, int64_t rows, int64_t cols, const float *sums, int64_t lds,
                        const gemm_end *e) {
    __mmask16 m0 = first(cols), m1 = first(cols - 16);
    bf16 *to = e->c16;
    for (int64_t r = 0; r < rows; r++, sums += lds, to += e->ldc) {
        __m512 lo = finished(act, sums, e, r, 0, m0), hi = finished(act, sums + 16, e, r, 16, m1);
        __m512i both = (__m512i)_mm512_cvtne2ps_pbh(hi, lo);
        if (e->far && cols == LINES && (uintptr_t)to % 64 == 0)
            _mm512_stream_si512((void *)to, both);
        else
            _mm512_mask_storeu_epi16(to, first_of_32(cols), both);
    }
}

/* gemm_kind.finish: a block is a cache line a row. */
static void finish_bf16(int64_t rows, int64_t cols, const float *sums, int64_t lds,
                        const gemm_end *e) {
    if (!e->c16) {
        finish_avx512(rows, cols, sums, lds, e);
        return;
    }
#define CALL(act)                                                                                  \
    if (cols == LINES)                                                                             \
        finish_rows(act, rows, LINES, sums, lds, e);                                               \
    else                                                                                           \
        finish_rows(act, rows, cols, sums, lds, e);
    FOR_ACTIVATION(e->act, CALL)
#undef CALL
}

const gemm_kind gemm_bf16 = {.mr = LINES,
                             .nr = LINES,
                             .elem = ELEM,
                             .pack_a = pack_a,
                             .pack_b = pack_b,
                             .kernel = kernel,
                             .finish = finish_bf16,
                             .round = round_bf16,
                             .widen = widen_bf16};

static void matmul_bf16(const matmul *mm) {
    gemm_run(&gemm_bf16, mm);
}
static void attention_forward_bf16(const attention *at) {
    if (at->q16)
        attention16_forward(&gemm_bf16, at);
    else
        attention_forward(&gemm_bf16, &rows_avx512, at);
}
static void attention_backward_bf16(const attention *at) {
    if (at->q16)
        attention16_backward(&gemm_bf16, at);
    else
        attention_backward(&gemm_bf16, &rows_avx512, at);
}

const narrow_kind narrow_bf16 = {.g = &gemm_bf16, .block = narrow_block_bf16};

static backend table;
static void fill(void) {
    table = *backend_avx512();
    table.name = "bf16";
    table.rounds_to_bf16 = true;
    table.narrow = &narrow_bf16;
    table.round = round_bf16;
    table.widen = widen_bf16;
    table.matmul = matmul_bf16;
    table.attention_forward = attention_forward_bf16;
    table.attention_backward = attention_backward_bf16;
}

const backend *backend_bf16(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill);
    return &table;
}
