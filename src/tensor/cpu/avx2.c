/* AVX2 with FMA: products in f32, and everything else on vectors of 8 (rows.h).
 *
 * Packing. A block is 8 lines by 8 of k in 8 registers, loaded along k or across it, and
 * transposed in registers where the panel wants the other order.
 *
 * Kernel. 6 rows by 16 columns of c in 12 of the 16 registers; each element of k costs 2 loads
 * of b, 6 broadcasts of a and 12 multiply-adds. A panel of 24 rows is four such blocks over one
 * panel of b, in L1 by then. */
#include "tensor/cpu/rows.h"

#include <pthread.h>

enum { A_LINES = 24, B_LINES = 16, STEP = 16 };

/* The first n <= 8 of x, n <= 0: zeros. */
INLINE vf load_first(const float *x, int64_t n) {
    return n >= LANES ? v_load(x) : n > 0 ? v_load_n(x, n) : v_set(0);
}

INLINE void transpose(vf v[8]) {
    vf t[8], u[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) { /* u[i + c], half h: column 4 h + c of rows i.. */
        u[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        u[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        u[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        u[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        v[i] = _mm256_permute2f128_ps(u[i], u[4 + i], 0x20);
        v[4 + i] = _mm256_permute2f128_ps(u[i], u[4 + i], 0x31);
    }
}

/* One block: `lines` and k elements exist (of 8 and 8), the rest is zero. */
INLINE void pack_block(const float *x, int64_t ld, bool along_k, int64_t lines, int64_t k,
                       bool want_along, char *to, int64_t stride) {
    vf v[8];
    int64_t rows = along_k ? lines : k, cols = along_k ? k : lines;
    for (int i = 0; i < 8; i++) v[i] = i < rows ? load_first(x + i * ld, cols) : v_set(0);
    if (along_k != want_along) transpose(v);
    for (int i = 0; i < 8; i++) v_store((float *)(to + i * stride), v[i]);
}

INLINE void pack(int64_t lines, int64_t k, const float *x, int64_t ld, bool along_k,
                 bool want_along, int64_t panel, char *panels, int64_t panel_bytes) {
    int64_t blocks = (lines + panel - 1) / panel * (panel / 8), steps = (k + STEP - 1) / STEP * 2;
    for (int64_t at = 0; at < blocks * steps; at++) { /* follow the source's rows */
        int64_t block = along_k ? at / steps : at % blocks;
        int64_t step = along_k ? at % steps : at / blocks;
        int64_t i = block * 8, p = step * 8, within = i % panel;
        const float *from = along_k ? x + i * ld + p : x + p * ld + i;
        char *to = panels + i / panel * panel_bytes + p / STEP * panel * 64;
        to += want_along ? within * 64 + p % STEP * 4 : within * 4 + p % STEP * panel * 4;
        int64_t stride = want_along ? 64 : panel * 4;
        if (lines - i >= 8 && k - p >= 8)
            pack_block(from, ld, along_k, 8, 8, want_along, to, stride);
        else
            pack_block(from, ld, along_k, lines - i, k - p, want_along, to, stride);
    }
}

static void pack_a(int64_t lines, int64_t k, const gemm_lines *x, char *panels,
                   int64_t panel_bytes) {
    if (x->along_k)
        pack(lines, k, x->at, x->ld, true, true, A_LINES, panels, panel_bytes);
    else
        pack(lines, k, x->at, x->ld, false, true, A_LINES, panels, panel_bytes);
}

static void pack_b(int64_t lines, int64_t k, const gemm_lines *x, char *panels,
                   int64_t panel_bytes) {
    if (x->along_k)
        pack(lines, k, x->at, x->ld, true, false, B_LINES, panels, panel_bytes);
    else
        pack(lines, k, x->at, x->ld, false, false, B_LINES, panels, panel_bytes);
}

INLINE void store_sum(float *c, int64_t n, vf sum, bool add) {
    if (n <= 0) return;
    if (add) sum += load_first(c, n);
    if (n >= LANES)
        v_store(c, sum);
    else
        v_store_n(c, sum, n);
}

/* `rows` is a constant wherever this is called, so the loops unroll and c stays in registers. */
INLINE void kernel_rows(int rows, int64_t k, const float *a, const float *b, int64_t cols, float *c,
                        int64_t ldc, bool add) {
    vf sum[6][2];
    for (int r = 0; r < rows; r++) {
        sum[r][0] = sum[r][1] = v_set(0);
        _mm_prefetch(c + r * ldc, _MM_HINT_T0); /* to have come by the last product */
    }
    for (int64_t p = 0; p < k; p += STEP, a += A_LINES * STEP) {
        int64_t here = k - p < STEP ? k - p : STEP;
        for (int64_t s = 0; s < here; s++, b += B_LINES) {
            vf b0 = v_load(b), b1 = v_load(b + 8);
#pragma GCC unroll 6
            for (int r = 0; r < rows; r++) {
                vf x = v_set(a[r * STEP + s]);
                sum[r][0] = v_fma(x, b0, sum[r][0]);
                sum[r][1] = v_fma(x, b1, sum[r][1]);
            }
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++, c += ldc) {
        store_sum(c, cols, sum[r][0], add);
        store_sum(c + 8, cols - 8, sum[r][1], add);
    }
}

static void kernel(int64_t k, const char *a, const char *b, int64_t rows, int64_t cols, float *c,
                   int64_t ldc, bool add) {
    const float *x = (const float *)a, *y = (const float *)b;
    for (; rows >= 6; rows -= 6, x += 6 * STEP, c += 6 * ldc)
        kernel_rows(6, k, x, y, cols, c, ldc, add);
    for (; rows >= 2; rows -= 2, x += 2 * STEP, c += 2 * ldc)
        kernel_rows(2, k, x, y, cols, c, ldc, add);
    if (rows) kernel_rows(1, k, x, y, cols, c, ldc, add);
}

static const gemm_kind gemm_avx2 = {.mr = A_LINES,
                                    .nr = B_LINES,
                                    .elem = 4,
                                    .pack_a = pack_a,
                                    .pack_b = pack_b,
                                    .kernel = kernel,
                                    .finish = finish};
static const row_kind rows_avx2 = {.dot = dot, .soften = soften, .mix = mix, .slopes = slopes};

static void matmul_avx2(const matmul *mm) {
    gemm_run(&gemm_avx2, mm);
}
static void attention_forward_avx2(const attention *at) {
    attention_forward(&gemm_avx2, &rows_avx2, at);
}
static void attention_backward_avx2(const attention *at) {
    attention_backward(&gemm_avx2, &rows_avx2, at);
}

static backend table;
static void fill(void) {
    table.name = "avx2";
    table.matmul = matmul_avx2;
    table.attention_forward = attention_forward_avx2;
    table.attention_backward = attention_backward_avx2;
    fill_rows(&table);
}

const backend *backend_avx2(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill);
    return &table;
}
