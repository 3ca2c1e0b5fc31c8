/* Products with 512-bit vectors: included by avx512.c (f32) and bf16.c (PRODUCT_BF16). The two
 * differ in how a block is loaded and in one instruction, because both see memory as dwords: a
 * dword is one float, or a pair of bf16 neighbours in k.
 *
 * Packing. A block is 16 lines by 64 bytes of k: 16 registers of 16 dwords. Loaded along k,
 * register i is line i; loaded across, it is dword i of k for 16 lines. Panels of a want the first,
 * panels of b the second: where the source runs the other way, the block is transposed in
 * registers. Rounding to bf16 happens here, to nearest even; denormals become zero, as the
 * instruction has it.
 *
 * Kernel. 8 rows by 32 columns of c in 16 registers; each dword of k costs 2 loads of b, 8
 * broadcasts of a and 16 multiply-adds, so that the arithmetic units are busy while the load
 * units have room. A panel of 32 rows is four such blocks over one panel of b, in L1 by then. The
 * lines of c are asked for before the first product and have come from memory by the last. */
#include "tensor/cpu/cpu_int.h"

#include "tensor/cpu/transpose.h"
#include "tensor/cpu/vec.h"

enum { LINES = 32 }; /* of a panel, of a and b alike */
#ifdef PRODUCT_BF16
enum { ELEM = 2 };
#else
enum { ELEM = 4 };
#endif
enum { STEP = 64 / ELEM };

INLINE __mmask16 first(int64_t n) {
    return n >= 16 ? 0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1);
}

#ifdef PRODUCT_BF16
INLINE __mmask32 first_of_32(int64_t n) {
    return (__mmask32)first(n - 16) << 16 | first(n);
}
#endif

/* Element i of floats, or of bf16 when narrow. */
INLINE const void *element(const void *x, int64_t i, bool narrow) {
    return (const char *)x + i * (narrow ? 2 : 4);
}

/* 16 dwords from 64 bytes of k of one line; k elements exist. */
INLINE __m512i load_along(const void *x, int64_t k, bool narrow) {
#ifdef PRODUCT_BF16
    if (narrow) return _mm512_maskz_loadu_epi16(first_of_32(k), x);
    __m512 lo = _mm512_maskz_loadu_ps(first(k), x),
           hi = _mm512_maskz_loadu_ps(first(k - 16), element(x, 16, false));
    return (__m512i)_mm512_cvtne2ps_pbh(hi, lo);
#else
    (void)narrow;
    return _mm512_castps_si512(_mm512_maskz_loadu_ps(first(k), x));
#endif
}

/* Dword i of k of 16 lines. */
INLINE __m512i load_across(const void *x, int64_t ld, int64_t i, int64_t lines, int64_t k,
                           bool narrow) {
#ifdef PRODUCT_BF16
    const __m512i pairs =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const void *even_at = element(x, 2 * i * ld, narrow);
    const void *odd_at = element(x, (2 * i + 1) * ld, narrow);
    __mmask16 even_has = 2 * i < k ? first(lines) : 0, odd_has = 2 * i + 1 < k ? first(lines) : 0;
    __m512i both;
    if (narrow) {
        both = _mm512_castsi256_si512(_mm256_maskz_loadu_epi16(even_has, even_at));
        both = _mm512_inserti64x4(both, _mm256_maskz_loadu_epi16(odd_has, odd_at), 1);
    } else
        both = (__m512i)_mm512_cvtne2ps_pbh(_mm512_maskz_loadu_ps(odd_has, odd_at),
                                            _mm512_maskz_loadu_ps(even_has, even_at));
    return _mm512_permutexvar_epi16(pairs, both);
#else
    __mmask16 has = i < k ? first(lines) : 0;
    return _mm512_castps_si512(_mm512_maskz_loadu_ps(has, element(x, i * ld, narrow)));
#endif
}

/* One block: `lines` and k elements exist (of 16 and STEP), the rest is zero. Register i of the
 * wanted order goes to `to + i * stride`. */
INLINE void pack_block(const void *x, int64_t ld, bool along_k, bool narrow, int64_t lines,
                       int64_t k, bool want_along, char *to, int64_t stride) {
    __m512i v[16];
    for (int i = 0; i < 16; i++) {
        if (!along_k)
            v[i] = load_across(x, ld, i, lines, k, narrow);
        else
            v[i] = i < lines ? load_along(element(x, i * ld, narrow), k, narrow)
                             : _mm512_setzero_si512();
    }
    if (along_k != want_along) transpose(v);
    for (int i = 0; i < 16; i++) _mm512_store_si512(to + i * stride, v[i]);
}

INLINE void pack(int64_t lines, int64_t k, const void *x, int64_t ld, bool along_k, bool narrow,
                 bool want_along, char *panels, int64_t panel_bytes) {
    int64_t blocks = (lines + LINES - 1) / LINES * (LINES / 16), steps = (k + STEP - 1) / STEP;
    for (int64_t at = 0; at < blocks * steps;
         at++) { /* follow the source: its rows are what streams */
        int64_t block = along_k ? at / steps : at % blocks,
                step = along_k ? at % steps : at / blocks;
        int64_t i = block * 16, p = step * STEP, within = i % LINES;
        const void *from = element(x, along_k ? i * ld + p : p * ld + i, narrow);
        char *to =
            panels + i / LINES * panel_bytes + step * LINES * 64 + within * (want_along ? 64 : 4);
        int64_t stride = want_along ? 64 : LINES * 4;
        if (lines - i >= 16 && k - p >= STEP)
            pack_block(from, ld, along_k, narrow, 16, STEP, want_along, to, stride);
        else
            pack_block(from, ld, along_k, narrow, lines - i, k - p, want_along, to, stride);
    }
}

/* One loop for each way the source runs and each type it may have. */
INLINE void pack_lines(int64_t lines, int64_t k, const gemm_lines *x, bool want_along, char *panels,
                       int64_t panel_bytes) {
#ifdef PRODUCT_BF16
    if (x->is_bf16 && x->along_k)
        pack(lines, k, x->at, x->ld, true, true, want_along, panels, panel_bytes);
    else if (x->is_bf16)
        pack(lines, k, x->at, x->ld, false, true, want_along, panels, panel_bytes);
    else
#endif
        if (x->along_k)
        pack(lines, k, x->at, x->ld, true, false, want_along, panels, panel_bytes);
    else
        pack(lines, k, x->at, x->ld, false, false, want_along, panels, panel_bytes);
}

static void pack_a(int64_t lines, int64_t k, const gemm_lines *x, char *panels,
                   int64_t panel_bytes) {
    pack_lines(lines, k, x, true, panels, panel_bytes);
}

static void pack_b(int64_t lines, int64_t k, const gemm_lines *x, char *panels,
                   int64_t panel_bytes) {
    pack_lines(lines, k, x, false, panels, panel_bytes);
}

/* sum += x b, dword by dword. */
INLINE __m512 multiply_add(__m512 sum, __m512i x, __m512i b) {
#ifdef PRODUCT_BF16
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)b);
#else
    return _mm512_fmadd_ps(_mm512_castsi512_ps(x), _mm512_castsi512_ps(b), sum);
#endif
}

/* `rows` is a constant wherever this is called, so the loops unroll and c stays in registers. */
INLINE void kernel_rows(int rows, int64_t k, const char *a, const char *b, int64_t cols, float *c,
                        int64_t ldc, bool add) {
    __m512 sum[8][2];
    for (int r = 0; r < rows; r++) {
        sum[r][0] = sum[r][1] = _mm512_setzero_ps();
        _mm_prefetch(c + r * ldc, _MM_HINT_T0);
        _mm_prefetch(c + r * ldc + 16, _MM_HINT_T0);
    }
    int64_t dwords = (k * ELEM + 3) / 4;
    for (int64_t p = 0; p < dwords; p += 16, a += LINES * 64) {
        int64_t here = dwords - p < 16 ? dwords - p : 16;
        for (int64_t s = 0; s < here; s++, b += LINES * 4) {
            __m512i b0 = _mm512_load_si512(b), b1 = _mm512_load_si512(b + 64);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) {
                __m512i x = _mm512_set1_epi32(((const int32_t *)(a + r * 64))[s]);
                sum[r][0] = multiply_add(sum[r][0], x, b0);
                sum[r][1] = multiply_add(sum[r][1], x, b1);
            }
        }
    }
    __mmask16 m0 = first(cols), m1 = first(cols - 16);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++, c += ldc) {
        if (add) {
            sum[r][0] = _mm512_add_ps(sum[r][0], _mm512_maskz_loadu_ps(m0, c));
            sum[r][1] = _mm512_add_ps(sum[r][1], _mm512_maskz_loadu_ps(m1, c + 16));
        }
        _mm512_mask_storeu_ps(c, m0, sum[r][0]);
        _mm512_mask_storeu_ps(c + 16, m1, sum[r][1]);
    }
}

static void kernel(int64_t k, const char *a, const char *b, int64_t rows, int64_t cols, float *c,
                   int64_t ldc, bool add) {
    for (; rows >= 8; rows -= 8, a += 8 * 64, c += 8 * ldc)
        kernel_rows(8, k, a, b, cols, c, ldc, add);
    for (; rows >= 4; rows -= 4, a += 4 * 64, c += 4 * ldc)
        kernel_rows(4, k, a, b, cols, c, ldc, add);
    for (; rows >= 1; rows -= 1, a += 64, c += ldc) kernel_rows(1, k, a, b, cols, c, ldc, add);
}
