/* Scan kernels: inner products of bytes, compared where they arise.
 *
 * What bounds them. One query is one multiply-add for each byte read: memory, as long as the
 * loop needs less than a cycle for 64 bytes. A batch reads each block once for all its queries,
 * from L1 (a block of 64 rows is 64 * width bytes, 4 KiB at 64 dimensions): there the units that
 * multiply are the bound, and for narrow rows the comparing of what they made. No sum is ever
 * written to memory for its own sake.
 *
 *   avx2, avx512       VPMADDUBSW, VPMADDWD, VPADDD: three instructions for 4 multiply-adds a lane;
 *                      the first adds pairs in 16 bits, so that queries stop at 63: 2 * 255 * 63 fits
 *   avx_vnni, vnni     VPDPBUSD: one instruction for the same
 *   amx                TDPBSUD: 16 queries by 16 rows by 64 dimensions, 16 cycles */
#include "tensor/scan.h"

#include <string.h>

#include "tensor/cpu/cpu_int.h"

static scan_found *note(scan_found *to, uint64_t rows, const int32_t *dots, int32_t query,
                        int first) {
    for (; rows; rows &= rows - 1) {
        int r = __builtin_ctzll(rows);
        *to++ = (scan_found){query, first + r, dots[r]};
    }
    return to;
}

static int64_t find_ref(const scan_job *s) {
    scan_found *to = s->found;
    for (int64_t i = 0; i < s->n; i++) {
        int32_t dots[SCAN_ROWS] = {0};
        uint64_t reach = 0;
        for (int64_t d = 0; d < s->width; d++)
            for (int r = 0; r < SCAN_ROWS; r++)
                dots[r] += s->block[d / 4 * 4 * SCAN_ROWS + 4 * r + d % 4] * s->q[i * s->width + d];
        for (int r = 0; r < SCAN_ROWS; r++) reach |= (uint64_t)(dots[r] >= s->limit[i]) << r;
        to = note(to, reach & s->rows, dots, (int32_t)i, 0);
    }
    return to - s->found;
}

#if defined(__x86_64__)
#include <immintrin.h>

#define JOIN_2(a, b) a##b
#define JOIN(a, b)   JOIN_2(a, b)

/* ---- vectors of 32 bytes ---- */

#define AVX2          __attribute__((target("avx2")))
#define GET_256(p)    _mm256_loadu_si256((const __m256i *)(p))
#define PUT_256(p, v) _mm256_store_si256((__m256i *)(p), v)
#define REACH_256(v, least)                                                                        \
    (uint64_t)(uint8_t) ~_mm256_movemask_ps(                                                       \
        _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(least), v)))

#define LANES   8
#define Q       2
#define vi      __m256i
#define v_get   GET_256
#define v_zero  _mm256_setzero_si256
#define v_each  _mm256_set1_epi32
#define v_put   PUT_256
#define v_reach REACH_256

#define FIND   find_avx2
#define TARGET AVX2
#define v_add_dots(sum, rows, q)                                                                   \
    _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(rows, q), _mm256_set1_epi16(1)))
#include "tensor/cpu/scan_block.h"

#define FIND       find_avx_vnni
#define TARGET     __attribute__((target("avx2,avxvnni")))
#define v_add_dots _mm256_dpbusd_avx_epi32
#include "tensor/cpu/scan_block.h"

#undef LANES
#undef Q
#undef vi
#undef v_get
#undef v_zero
#undef v_each
#undef v_put
#undef v_reach

/* ---- vectors of 64 bytes ---- */

#define REACH_512(v, least) (uint64_t) _mm512_cmpge_epi32_mask(v, _mm512_set1_epi32(least))

#define LANES   16
#define Q       4
#define vi      __m512i
#define v_get   _mm512_loadu_si512
#define v_zero  _mm512_setzero_si512
#define v_each  _mm512_set1_epi32
#define v_put   _mm512_store_si512
#define v_reach REACH_512

#define FIND   find_avx512
#define TARGET __attribute__((target("avx512f,avx512bw")))
#define v_add_dots(sum, rows, q)                                                                   \
    _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(rows, q), _mm512_set1_epi16(1)))
#include "tensor/cpu/scan_block.h"

#define FIND       find_vnni
#define TARGET     __attribute__((target("avx512f,avx512bw,avx512vnni")))
#define v_add_dots _mm512_dpbusd_epi32
#include "tensor/cpu/scan_block.h"

/* ---- tiles ---- */

#define AMX __attribute__((target("avx512f,avx512bw,amx-tile,amx-int8")))

/* 16 queries by 64 rows: sums in tiles 0..3, queries in 4, rows in 5. The order of bytes in a
 * block is that of the instruction's second factor. */
AMX static void dots_amx(const scan_job *s, int64_t i, int32_t *dots) {
    const int8_t *q = s->q + i * s->width;
    const uint8_t *rows = s->block;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t d = 0; d < s->width; d += 64, rows += 64 * SCAN_ROWS) {
        _tile_loadd(4, q + d, s->width);
        _tile_loadd(5, rows, 4 * SCAN_ROWS);
        _tile_dpbsud(0, 4, 5);
        _tile_loadd(6, rows + 64, 4 * SCAN_ROWS);
        _tile_dpbsud(1, 4, 6);
        _tile_loadd(5, rows + 128, 4 * SCAN_ROWS);
        _tile_dpbsud(2, 4, 5);
        _tile_loadd(6, rows + 192, 4 * SCAN_ROWS);
        _tile_dpbsud(3, 4, 6);
    }
    _tile_stored(0, dots, 4 * SCAN_ROWS);
    _tile_stored(1, dots + 16, 4 * SCAN_ROWS);
    _tile_stored(2, dots + 32, 4 * SCAN_ROWS);
    _tile_stored(3, dots + 48, 4 * SCAN_ROWS);
}

/* Few queries would leave most of a tile empty: they are vnni's. */
AMX static int64_t find_amx(const scan_job *s) {
    enum { FEW = 4 };
    if (s->n <= FEW) return find_vnni(s);
    amx_configure();
    scan_found *to = s->found;
    _Alignas(64) int32_t dots[SCAN_QUERIES * SCAN_ROWS];
    for (int64_t i = 0; i < s->n; i += SCAN_QUERIES) {
        dots_amx(s, i, dots);
        for (int64_t t = 0; t < SCAN_QUERIES && i + t < s->n; t++) {
            const int32_t *at = dots + t * SCAN_ROWS;
            uint64_t reach = 0;
            for (int j = 0; j < 4; j++)
                reach |= REACH_512(_mm512_load_si512(at + 16 * j), s->limit[i + t]) << (16 * j);
            if (reach & s->rows) to = note(to, reach & s->rows, at, (int32_t)(i + t), 0);
        }
    }
    return to - s->found;
}
#endif

/* ---- which of them runs here ---- */

/* Best last. A kernel belongs to the lowest family that has its registers. */
static const struct choice {
    scan_kernel kernel;
    const char *family;
    unsigned needs;
} choices[] = {
    {{"ref", 127, find_ref}, "ref", 0},
#if defined(__x86_64__)
    {{"avx2", 63, find_avx2}, "avx2", CPU_AVX2},
    {{"avx_vnni", 127, find_avx_vnni}, "avx2", CPU_AVX_VNNI},
    {{"avx512", 63, find_avx512}, "avx512", CPU_AVX512},
    {{"vnni", 127, find_vnni}, "avx512", CPU_AVX512 | CPU_VNNI},
    {{"amx", 127, find_amx}, "amx", CPU_AMX_INT8 | CPU_VNNI},
#endif
};
enum { N_CHOICES = sizeof choices / sizeof *choices };

static bool is_here(const struct choice *c) {
    return (c->needs & ~cpu_features()) == 0;
}

static int rank_of(const char *family) {
    static const char *const ladder[] = {"ref", "avx2", "avx512", "bf16", "amx"};
    enum { N_RANKS = sizeof ladder / sizeof *ladder };
    int i = 0;
    while (i < N_RANKS && strcmp(ladder[i], family) != 0) i++;
    MUST(i < N_RANKS, "family '%s' has no place among the scans", family);
    return i;
}

const scan_kernel *scan_best(void) {
    int allowed = rank_of(backend_cpu()->name), i = N_CHOICES - 1;
    while (!is_here(&choices[i]) || rank_of(choices[i].family) > allowed) i--;
    return &choices[i].kernel;
}

const scan_kernel *scan_named(const char *name) {
    for (int i = 0; i < N_CHOICES; i++)
        if (strcmp(choices[i].kernel.name, name) == 0)
            return is_here(&choices[i]) ? &choices[i].kernel : NULL;
    return NULL;
}
