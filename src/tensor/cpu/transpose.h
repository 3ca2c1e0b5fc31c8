#ifndef RAGLAN_TENSOR_CPU_TRANSPOSE_H
#define RAGLAN_TENSOR_CPU_TRANSPOSE_H
/* 16 x 16 dwords turned in registers. */
#include "tensor/cpu/vec.h"

/* Four rounds: dwords, then pairs of them within 128 bits, then the 128-bit quarters twice. */
INLINE void transpose(__m512i v[16]) {
    __m512i t[16], u[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        u[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        u[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        u[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        u[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; i++) { /* u[4 g + i], quarter q: column 4 q + i of rows 4 g.. */
        __m512i a = _mm512_shuffle_i32x4(u[i], u[4 + i], 0x88),
                b = _mm512_shuffle_i32x4(u[8 + i], u[12 + i], 0x88);
        __m512i c = _mm512_shuffle_i32x4(u[i], u[4 + i], 0xdd),
                d = _mm512_shuffle_i32x4(u[8 + i], u[12 + i], 0xdd);
        v[i] = _mm512_shuffle_i32x4(a, b, 0x88);
        v[4 + i] = _mm512_shuffle_i32x4(c, d, 0x88);
        v[8 + i] = _mm512_shuffle_i32x4(a, b, 0xdd);
        v[12 + i] = _mm512_shuffle_i32x4(c, d, 0xdd);
    }
}

#endif
