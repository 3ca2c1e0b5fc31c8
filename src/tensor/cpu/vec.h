/* One vocabulary for vectors of 8 (AVX2) or 16 (AVX-512) floats, so that whatever is not a
 * product is written once (rows.h). Plain arithmetic uses the compiler's operators on vf.
 *
 * exp, tanh and the normal distribution are short polynomials with errors of a few units in
 * the last place: exp and tanh after Cephes (Moshier 1989), Phi after Abramowitz & Stegun 7.1.26.
 */
#ifndef RAGLAN_TENSOR_VEC_H
#define RAGLAN_TENSOR_VEC_H
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include "util/rng.h"

#define INLINE static inline __attribute__((always_inline))

/* clang-format off */
#ifdef __AVX512F__
enum { LANES = 16 };
typedef __m512 vf;
typedef __mmask16 vmask;
INLINE vf v_set(float x) { return _mm512_set1_ps(x); }
INLINE vf v_load(const float *x) { return _mm512_loadu_ps(x); }
INLINE void v_store(float *x, vf v) { _mm512_storeu_ps(x, v); }
INLINE vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); } /* a b + c */
/* Where either is NaN, the second. */
INLINE vf v_max(vf a, vf b) { return _mm512_max_ps(a, b); }
INLINE vf v_min(vf a, vf b) { return _mm512_min_ps(a, b); }
INLINE vf v_sqrt(vf a) { return _mm512_sqrt_ps(a); }
INLINE vf v_abs(vf a) { return _mm512_abs_ps(a); }
INLINE vf v_round(vf a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT); }
INLINE vf v_ldexp(vf a, vf n) { return _mm512_scalef_ps(a, n); } /* a 2^n */
INLINE vmask v_less(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
INLINE vf v_choose(vmask m, vf a, vf b) { return _mm512_mask_blend_ps(m, b, a); } /* m ? a : b */
/* The first n of x, 0 < n <= LANES, zeros behind. */
INLINE vf v_load_n(const float *x, int64_t n) {
    return _mm512_maskz_loadu_ps((__mmask16)(0xffffu >> (16 - n)), x);
}
INLINE void v_store_n(float *x, vf v, int64_t n) {
    _mm512_mask_storeu_ps(x, (__mmask16)(0xffffu >> (16 - n)), v);
}
INLINE __m512i v_mix(__m512i z) { /* rng_mix */
    z = _mm512_mullo_epi64(z ^ _mm512_srli_epi64(z, 30), _mm512_set1_epi64((int64_t)0xbf58476d1ce4e5b9u));
    z = _mm512_mullo_epi64(z ^ _mm512_srli_epi64(z, 27), _mm512_set1_epi64((int64_t)0x94d049bb133111ebu));
    return z ^ _mm512_srli_epi64(z, 31);
}
/* Which of the 2 * LANES elements from 4 * i on are kept (backend.h, dropout_mask); start is
 * rng_mix(stream + RNG_GOLDEN). */
INLINE void v_kept(uint64_t start, uint64_t i, uint32_t least, vmask kept[2]) {
    __m512i n = _mm512_add_epi64(_mm512_set1_epi64((int64_t)(i + 1)), _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0));
    __m512i z = _mm512_mullo_epi64(n, _mm512_set1_epi64((int64_t)RNG_GOLDEN));
    z = v_mix(_mm512_add_epi64(z, _mm512_set1_epi64((int64_t)start)));
    __mmask32 all = _mm512_cmpge_epu16_mask(z, _mm512_set1_epi16((int16_t)least));
    kept[0] = (__mmask16)all;
    kept[1] = (__mmask16)(all >> 16);
}
INLINE float v_sum(vf a) { return _mm512_reduce_add_ps(a); }
INLINE float v_largest(vf a) { return _mm512_reduce_max_ps(a); }
#else
enum { LANES = 8 };
typedef __m256 vf;
typedef __m256 vmask;
INLINE vf v_set(float x) { return _mm256_set1_ps(x); }
INLINE vf v_load(const float *x) { return _mm256_loadu_ps(x); }
INLINE void v_store(float *x, vf v) { _mm256_storeu_ps(x, v); }
INLINE vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); } /* a b + c */
/* Where either is NaN, the second. */
INLINE vf v_max(vf a, vf b) { return _mm256_max_ps(a, b); }
INLINE vf v_min(vf a, vf b) { return _mm256_min_ps(a, b); }
INLINE vf v_sqrt(vf a) { return _mm256_sqrt_ps(a); }
INLINE vf v_abs(vf a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.f), a); }
INLINE vf v_round(vf a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE vf v_power_of_2(__m256i n) { /* n in -126..127 */
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
INLINE vf v_ldexp(vf a, vf n) { /* a 2^n, in two factors since 2^128 is none */
    __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    return a * v_power_of_2(half) * v_power_of_2(_mm256_sub_epi32(whole, half));
}
INLINE vmask v_less(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
INLINE vf v_choose(vmask m, vf a, vf b) { return _mm256_blendv_ps(b, a, m); } /* m ? a : b */
INLINE __m256i v_first(int64_t n) {
    static const int32_t ones[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(ones + 8 - n));
}
/* The first n of x, 0 < n <= LANES, zeros behind. */
INLINE vf v_load_n(const float *x, int64_t n) { return _mm256_maskload_ps(x, v_first(n)); }
INLINE void v_store_n(float *x, vf v, int64_t n) { _mm256_maskstore_ps(x, v_first(n), v); }
INLINE __m256i v_times(__m256i a, uint64_t b) { /* 64 bits out of three products of 32 */
    __m256i by = _mm256_set1_epi64x((int64_t)b), low = _mm256_mul_epu32(a, by);
    __m256i cross = _mm256_add_epi64(_mm256_mul_epu32(_mm256_srli_epi64(a, 32), by),
                                     _mm256_mul_epu32(a, _mm256_srli_epi64(by, 32)));
    return _mm256_add_epi64(low, _mm256_slli_epi64(cross, 32));
}
INLINE __m256i v_mix(__m256i z) { /* rng_mix */
    z = v_times(z ^ _mm256_srli_epi64(z, 30), 0xbf58476d1ce4e5b9u);
    z = v_times(z ^ _mm256_srli_epi64(z, 27), 0x94d049bb133111ebu);
    return z ^ _mm256_srli_epi64(z, 31);
}
/* Which of the 2 * LANES elements from 4 * i on are kept (backend.h, dropout_mask); start is
 * rng_mix(stream + RNG_GOLDEN). */
INLINE void v_kept(uint64_t start, uint64_t i, uint32_t least, vmask kept[2]) {
    __m256i n = _mm256_add_epi64(_mm256_set1_epi64x((int64_t)(i + 1)), _mm256_set_epi64x(3, 2, 1, 0));
    __m256i z = v_mix(_mm256_add_epi64(v_times(n, RNG_GOLDEN), _mm256_set1_epi64x((int64_t)start)));
    z = _mm256_cmpeq_epi16(_mm256_max_epu16(z, _mm256_set1_epi16((int16_t)least)), z);
    kept[0] = _mm256_castsi256_ps(_mm256_cvtepi16_epi32(_mm256_castsi256_si128(z)));
    kept[1] = _mm256_castsi256_ps(_mm256_cvtepi16_epi32(_mm256_extracti128_si256(z, 1)));
}
INLINE float v_sum(vf a) {
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
INLINE float v_largest(vf a) {
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}
#endif
/* clang-format on */

/* Infinity above 88.7; below -87.3, where denormals would begin (and cost 100 cycles), 0. */
INLINE vf v_exp(vf x) {
    vmask gone = v_less(x, v_set(-87.3f));
    x = v_min(v_set(89), v_max(v_set(-87.3f), x));
    vf n = v_round(x * v_set(1.44269504f));
    vf r = v_fma(n, v_set(-0.693359375f), x); /* ln 2 in two parts */
    r = v_fma(n, v_set(2.12194440e-4f), r);
    vf y = v_set(1.9875691500e-4f);
    y = v_fma(y, r, v_set(1.3981999507e-3f));
    y = v_fma(y, r, v_set(8.3334519073e-3f));
    y = v_fma(y, r, v_set(4.1665795894e-2f));
    y = v_fma(y, r, v_set(1.6666665459e-1f));
    y = v_fma(y, r, v_set(5.0000001201e-1f));
    y = v_fma(y, r * r, r) + v_set(1);
    return v_choose(gone, v_set(0), v_ldexp(y, n));
}

INLINE vf v_sigmoid(vf x) {
    return v_set(1) / (v_set(1) + v_exp(-x));
}

INLINE vf v_tanh(vf x) {
    vf z = x * x, small = v_set(-5.70498872745e-3f);
    small = v_fma(small, z, v_set(2.06390887954e-2f));
    small = v_fma(small, z, v_set(-5.37397155531e-2f));
    small = v_fma(small, z, v_set(1.33314422036e-1f));
    small = v_fma(small, z, v_set(-3.33332819422e-1f));
    small = v_fma(small * z, x, x);
    vf large = v_set(1) - v_set(2) / (v_exp(x + x) + v_set(1));
    return v_choose(v_less(v_abs(x), v_set(.625f)), small, large);
}

/* Phi(x), the normal distribution, and its density's core exp(-x^2 / 2). */
INLINE vf v_normal(vf x, vf *bell) {
    vf z = v_abs(x) * v_set(0.70710678f), t = v_set(1) / v_fma(z, v_set(0.3275911f), v_set(1));
    vf e = v_exp(z * -z), q = v_set(1.061405429f);
    q = v_fma(q, t, v_set(-1.453152027f));
    q = v_fma(q, t, v_set(1.421413741f));
    q = v_fma(q, t, v_set(-0.284496736f));
    q = v_fma(q, t, v_set(0.254829592f));
    q = v_set(.5f) * q * t * e; /* Phi(-|x|) */
    *bell = e;
    return v_choose(v_less(x, v_set(0)), q, v_set(1) - q);
}
#endif
