/* AMX: products of bf16 tiles, added in f32. All that is not a product is AVX-512's, and the
 * panels are those of bf16.c.
 *
 * A tile register holds 16 rows of 64 bytes. TDPBF16PS multiplies a tile of a (16 lines x 32 of
 * k) by a tile of b (16 pairs of k x 16 lines) into a tile of c (16 x 16 f32) in 16 cycles;
 * loading a tile takes 8 from L1. So c is kept as 2 x 2 tiles: 4 loads feed 4 products, and
 * every step of 32 of k reads 4 KiB for 64 cycles of arithmetic. A panel of a (32 x KC) stays
 * in L1 while panels of b stream from L2 at half of what it can deliver. They are loaded past L1, where
 * they would push out what the next panel reads again. */
#include "tensor/cpu/narrow_int.h"

#include <immintrin.h>
#include <pthread.h>
#include <string.h>

enum { LINES = 32, TILE = 1024, STEP_BYTES = 2 * TILE };

/* The tile shapes are registers of the thread: set before its first product. A constant, because the
 * compiler is told of the first 8 bytes alone that the instruction reads. */
void amx_configure(void) {
    static _Thread_local bool done;
    static const struct {
        uint8_t palette, start, zero[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } shapes = {.palette = 1,
                .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
                .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
    if (done) return;
    _tile_loadconfig(&shapes);
    done = true;
}

static void tiles_zero(void) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

/* c's tiles as they are to be added to: c's own values, or zero. */
static void tiles_begin(const float *c, int64_t ldc, bool add) {
    int64_t stride = ldc * 4;
    if (!add) {
        tiles_zero();
        return;
    }
    _tile_loadd(0, c, stride);
    _tile_loadd(1, c + 16, stride);
    _tile_loadd(2, c + 16 * ldc, stride);
    _tile_loadd(3, c + 16 * ldc + 16, stride);
}

/* low: the lower two as well. */
static void tiles_end(float *c, int64_t ldc, bool low) {
    int64_t stride = ldc * 4;
    _tile_stored(0, c, stride);
    _tile_stored(1, c + 16, stride);
    if (!low) return;
    _tile_stored(2, c + 16 * ldc, stride);
    _tile_stored(3, c + 16 * ldc + 16, stride);
}

/* c's tiles are 0 1 / 2 3, a's 4 5, b's 6 7; what lies beyond rows or columns is left out. */
static void multiply(int64_t k, const char *a, const char *b, bool low, bool right) {
    for (int64_t p = 0; p < k; p += 32, a += STEP_BYTES, b += STEP_BYTES) {
        _tile_loadd(4, a, 64);
        _tile_stream_loadd(6, b, 128);
        _tile_dpbf16ps(0, 4, 6);
        if (right) {
            _tile_stream_loadd(7, b + 64, 128);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (low) {
            _tile_loadd(5, a + TILE, 64);
            _tile_dpbf16ps(2, 5, 6);
            if (right) _tile_dpbf16ps(3, 5, 7);
        }
    }
}

static void kernel(int64_t k, const char *a, const char *b, int64_t rows, int64_t cols, float *c,
                   int64_t ldc, bool add) {
    amx_configure();
    if (rows == LINES && cols == LINES) {
        tiles_begin(c, ldc, add);
        multiply(k, a, b, true, true);
        tiles_end(c, ldc, true);
        return;
    }
    /* a block with an edge adds up in tiles as well, so that a row's sums do not depend on the others */
    _Alignas(64) float whole[LINES * LINES];
    __mmask16 m0 = cols >= 16 ? 0xffff : (__mmask16)((1u << cols) - 1);
    __mmask16 m1 = cols <= 16 ? 0 : (__mmask16)((1u << (cols - 16)) - 1);
    for (int64_t r = 0; add && r < LINES; r++) {
        bool is_row = r < rows;
        _mm512_store_ps(whole + r * LINES, _mm512_maskz_loadu_ps(is_row ? m0 : 0, c + r * ldc));
        _mm512_store_ps(whole + r * LINES + 16,
                        _mm512_maskz_loadu_ps(is_row ? m1 : 0, c + r * ldc + 16));
    }
    tiles_begin(whole, LINES, add);
    multiply(k, a, b, rows > 16, cols > 16);
    tiles_end(whole, LINES, true);
    for (int64_t r = 0; r < rows; r++, c += ldc) {
        _mm512_mask_storeu_ps(c, m0, _mm512_load_ps(whole + r * LINES));
        _mm512_mask_storeu_ps(c + 16, m1, _mm512_load_ps(whole + r * LINES + 16));
    }
}

/* ---- rows as they lie (narrow.h) ---- */

/* 1.3 times the speed of fetching b into L1 ahead of its use. */
static inline __attribute__((always_inline)) void
multiply_rows(int64_t k, const uint16_t *a, int64_t lda, const char *b, bool low) {
    for (int64_t p = 0; p < k; p += 32, a += 32, b += STEP_BYTES) {
        _tile_loadd(4, a, 2 * lda);
        _tile_stream_loadd(6, b, 128);
        _tile_dpbf16ps(0, 4, 6);
        _tile_stream_loadd(7, b + 64, 128);
        _tile_dpbf16ps(1, 4, 7);
        if (low) {
            _tile_loadd(5, a + 16 * lda, 2 * lda);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
    }
}

static void block_rows(int64_t k, const uint16_t *a, int64_t lda, const char *b, int64_t rows,
                       float *c, int64_t ldc, bool add) {
    bool low = rows > 16;
    amx_configure();
    tiles_begin(c, ldc, add);
    if (low)
        multiply_rows(k, a, lda, b, true);
    else
        multiply_rows(k, a, lda, b, false);
    tiles_end(c, ldc, low);
}

static gemm_kind gemm_amx;
const narrow_kind narrow_amx = {.g = &gemm_amx, .block = block_rows};

static void matmul_amx(const matmul *mm) {
    gemm_run(&gemm_amx, mm);
}
static void attention_forward_amx(const attention *at) {
    if (at->q16)
        attention16_forward(&gemm_amx, at);
    else
        attention_forward(&gemm_amx, &rows_avx512, at);
}
static void attention_backward_amx(const attention *at) {
    if (at->q16)
        attention16_backward(&gemm_amx, at);
    else
        attention_backward(&gemm_amx, &rows_avx512, at);
}

static backend table;
static void fill(void) {
    gemm_amx = gemm_bf16;
    gemm_amx.kernel = kernel;
    gemm_amx.kernel_rows = block_rows;
    table = *backend_bf16();
    table.name = "amx";
    table.narrow = &narrow_amx;
    table.matmul = matmul_amx;
    table.attention_forward = attention_forward_amx;
    table.attention_backward = attention_backward_amx;
}

const backend *backend_amx(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill);
    return &table;
}
