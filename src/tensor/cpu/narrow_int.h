#ifndef RAGLAN_TENSOR_CPU_NARROW_INT_H
#define RAGLAN_TENSOR_CPU_NARROW_INT_H
/* What a family brings to operators on narrow rows (narrow.c). */
#include "tensor/cpu/cpu_int.h"
#include "tensor/narrow.h"

struct narrow_kind {
    const gemm_kind *g; /* whose packed weights are read: panels of 32 columns, bf16 */
    /* c [32, 32] (or, with add, +=) `rows` rows of a, lda apart, times a panel of b. c and a have 32
     * rows, whatever `rows` is. */
    void (*block)(int64_t k, const uint16_t *a, int64_t lda, const char *b, int64_t rows, float *c,
                  int64_t ldc, bool add);
    /* Linear layers in bytes: int8.c's kernel, and what it wants added to the bytes of a; NULL: in
     * bf16. */
    void (*bytes)(int64_t k, const uint8_t *a, const int8_t *b, int64_t rows, int32_t *sums);
    int offset;
};

void narrow_block_bf16(int64_t k, const uint16_t *a, int64_t lda, const char *b, int64_t rows,
                       float *c, int64_t ldc, bool add);
extern const narrow_kind narrow_bf16, narrow_amx;

/* A weight as int8.c packs it: panels [n / 32][k / 4][32][4], k a multiple of 64; scale and sum of
 * each column. Kept with the weight. */
typedef struct int8_weights {
    int8_t *panels;
    float *scale;
    int32_t *sum;
} int8_weights;
int8_weights int8_cached(const matmul *mm);

#endif
