/* AVX512-BF16: products of bf16 pairs, added in f32 (VDPBF16PS), twice the rate of f32 where
 * the processor has two such units. Packing and kernel: product512.h; the panels are also
 * what AMX tiles load (amx.c). All that is not a product is AVX-512's. */
#define PRODUCT_BF16
#include "tensor/cpu/product512.h"

#include "tensor/cpu/narrow_int.h"

#include <pthread.h>

const gemm_kind gemm_bf16 = {.mr = LINES,
                             .nr = LINES,
                             .elem = ELEM,
                             .pack_a = pack_a,
                             .pack_b = pack_b,
                             .kernel = kernel,
                             .finish = finish_avx512};

static void matmul_bf16(const matmul *mm) {
    gemm_run(&gemm_bf16, mm);
}
static void attention_forward_bf16(const attention *at) {
    attention_forward(&gemm_bf16, &rows_avx512, at);
}
static void attention_backward_bf16(const attention *at) {
    attention_backward(&gemm_bf16, &rows_avx512, at);
}

const narrow_kind narrow_bf16 = {.g = &gemm_bf16, .block = narrow_block_bf16};

static backend table;
static void fill(void) {
    table = *backend_avx512();
    table.name = "bf16";
    table.rounds_to_bf16 = true;
    table.narrow = &narrow_bf16;
    table.matmul = matmul_bf16;
    table.attention_forward = attention_forward_bf16;
    table.attention_backward = attention_backward_bf16;
}

const backend *backend_bf16(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill);
    return &table;
}
