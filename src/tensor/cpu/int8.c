/* Products in 8-bit integers, for inference: twice bf16's rate where there are units for them, and
 * a quarter of f32's bytes where a product waits for its weights (a step of decoding).
 *
 *   c[i][j] = act(sx[i] * sw[j] * sum over p of xq[i][p] * wq[p][j] + bias[j])
 *
 * Each output channel j of the weight has its own scale sw = max |w| / 127, made once with the
 * packed copy; each row i of the activations has sx = max |x| / 127, made on the way (per-channel
 * weights, dynamic activations: Dettmers et al. 2022, sec. 2). Both are rounded to nearest even,
 * symmetric, within -127..127. Sums are exact integers, so all families give the same bytes here,
 * up to their formulas of the activation.
 *
 * A precision is a backend: backend_int8 is another one's table with this product in place of its
 * own wherever the right side stays and has packs: weights, the copy keys of a question. Everything
 * else stays what it was.
 *
 *   a  rows of bytes [m, kp], kp = k rounded up to 64: a tile register takes 16 rows of 64 bytes,
 *      VNNI broadcasts four bytes of one row
 *   b  panels [kp / 4][32 columns][4 of k], what TDPBSSD and VPDPBUSD want; behind the panels the
 *      scales sw [n] and the columns' sums [n]
 *
 * AMX: 2 x 2 tiles of sums, so that 4 loads feed 4 products, as in amx.c. VNNI multiplies unsigned
 * by signed bytes: rows are moved up by 128, and 128 times a column's sum comes off at the end.
 * AVX2 multiplies |x| by w with x's sign: 2 * 127 * 127 fits the 16 bits of VPMADDUBSW. A task
 * rounds its rows once; a block of them stays in L1 while panels of b stream from L2. */
#include "tensor/cpu/narrow_int.h"
#include "tensor/cpu/pieces.h"
#include "util/par.h"

#include <immintrin.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

enum {
    COLS = 32,           /* of a panel of b */
    ROWS = 32,           /* of a block of sums */
    STEP = 64,           /* k is filled with zeros to a multiple */
    MC = 128,            /* most rows of a task */
    B_BYTES = 512 << 10, /* of b's panels that stay in L2 while rows go by */
    TASK_OPS = 1 << 21,  /* a smaller task costs more to hand out than it gains */
    TASKS_A_THREAD = 4,
    FEW = 16, /* rows: fewer take as long, the time that b takes to be read */
};

/* Inlined into functions of each instruction set, where the compiler makes vectors of it. */
#define INLINE static inline __attribute__((always_inline))
#define AVX2   __attribute__((target("avx2,fma")))
#define VNNI   __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define TILES  __attribute__((target("amx-tile,amx-int8")))

/* What a set of instructions does its own way. */
typedef struct int8_kind {
    int offset; /* added to each byte of a */
    /* q [rows, kp] and scale [rows] from x [rows, k]. */
    void (*round_rows)(int64_t rows, int64_t k, const float *x, int64_t ld, uint8_t *q, int64_t kp,
                       float *scale);
    /* sums [ROWS, COLS] of `rows` rows. a is readable to a whole number of ROWS. */
    void (*kernel)(int64_t kp, const uint8_t *a, const int8_t *b, int64_t rows, int32_t *sums);
    /* c = (sums - offset * column) * (sx * sw) + bias */
    void (*scale)(int64_t rows, int64_t cols, const int32_t *sums, const float *sx, const float *sw,
                  const int32_t *column, const float *bias, float *c, int64_t ldc);
} int8_kind;

/* ---- what all sets of instructions share ---- */

/* The greatest |x|. Without their sign, floats are ordered as their bits are, and the compiler makes
 * vectors of a maximum of integers. */
INLINE float greatest(int64_t n, const float *x) {
    int32_t top = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits &= INT32_MAX;
        top = bits > top ? bits : top;
    }
    float size;
    memcpy(&size, &top, sizeof size);
    return size;
}

/* To nearest even, by adding 1.5 * 2^23, beside which a float has no room for fractions: the whole
 * number is then in its last bits, and no conversion keeps the compiler from making vectors. */
INLINE int32_t round_one(float x) {
    int32_t bits;
    float shifted = x + 0x1.8p23f;
    memcpy(&bits, &shifted, sizeof bits);
    return bits - 0x4b400000;
}

INLINE void round_row(int64_t n, const float *restrict x, float inverse, int offset,
                      uint8_t *restrict q) {
    for (int64_t i = 0; i < n; i++) q[i] = (uint8_t)(round_one(x[i] * inverse) + offset);
}

INLINE void round_rows(int64_t rows, int64_t k, const float *x, int64_t ld, int offset, uint8_t *q,
                       int64_t kp, float *scale) {
    for (int64_t i = 0; i < rows; i++, x += ld, q += kp) {
        float top = greatest(k, x);
        scale[i] = top / 127;
        round_row(k, x, top > 0 ? 127 / top : 0, offset, q);
        memset(q + k, 0, (size_t)(kp - k)); /* whatever stands there meets zeros of b */
    }
}

INLINE void scale_block(int64_t rows, int64_t cols, const int32_t *sums, int offset,
                        const float *sx, const float *sw, const int32_t *column, const float *bias,
                        float *c, int64_t ldc) {
    for (int64_t i = 0; i < rows; i++, c += ldc, sums += COLS)
        for (int64_t j = 0; j < cols; j++) {
            float y = (float)(sums[j] - offset * column[j]) * (sx[i] * sw[j]);
            c[j] = bias ? y + bias[j] : y;
        }
}

#define SHARED(target, name, offset)                                                               \
    target static void round_##name(int64_t rows, int64_t k, const float *x, int64_t ld,           \
                                    uint8_t *q, int64_t kp, float *scale) {                        \
        round_rows(rows, k, x, ld, offset, q, kp, scale);                                          \
    }                                                                                              \
    target static void scale_##name(int64_t rows, int64_t cols, const int32_t *sums,               \
                                    const float *sx, const float *sw, const int32_t *column,       \
                                    const float *bias, float *c, int64_t ldc) {                    \
        if (cols == COLS && bias)                                                                  \
            scale_block(rows, COLS, sums, offset, sx, sw, column, bias, c, ldc);                   \
        else if (cols == COLS)                                                                     \
            scale_block(rows, COLS, sums, offset, sx, sw, column, NULL, c, ldc);                   \
        else                                                                                       \
            scale_block(rows, cols, sums, offset, sx, sw, column, bias, c, ldc);                   \
    }
SHARED(, ref, 0)
SHARED(AVX2, avx2, 0)
SHARED(VNNI, signed, 0)
SHARED(VNNI, vnni, 128)

/* ---- kernels ---- */

static void kernel_ref(int64_t kp, const uint8_t *a, const int8_t *b, int64_t rows, int32_t *sums) {
    for (int64_t i = 0; i < rows; i++, a += kp)
        for (int64_t j = 0; j < COLS; j++) {
            int32_t sum = 0;
            for (int64_t p = 0; p < kp; p++)
                sum += (int8_t)a[p] * b[p / 4 * 4 * COLS + 4 * j + p % 4];
            sums[i * COLS + j] = sum;
        }
}

/* `rows` is a constant where this is called: 2 rows by 32 columns in 8 registers. */
AVX2 INLINE void rows_avx2(int rows, int64_t kp, const uint8_t *a, const int8_t *b, int32_t *sums) {
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i sum[2][4];
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < 4; j++) sum[r][j] = _mm256_setzero_si256();
    for (int64_t p = 0; p < kp; p += 4, b += 4 * COLS)
        for (int r = 0; r < rows; r++) {
            int32_t four;
            memcpy(&four, a + r * kp + p, sizeof four);
            __m256i x = _mm256_set1_epi32(four), size = _mm256_abs_epi8(x);
            for (int j = 0; j < 4; j++) {
                __m256i w = _mm256_load_si256((const __m256i *)(b + 32 * j));
                __m256i pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(w, x));
                sum[r][j] = _mm256_add_epi32(sum[r][j], _mm256_madd_epi16(pairs, ones));
            }
        }
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < 4; j++)
            _mm256_store_si256((__m256i *)(sums + r * COLS + 8 * j), sum[r][j]);
}

AVX2 static void kernel_avx2(int64_t kp, const uint8_t *a, const int8_t *b, int64_t rows,
                             int32_t *sums) {
    for (; rows >= 2; rows -= 2, a += 2 * kp, sums += 2 * COLS) rows_avx2(2, kp, a, b, sums);
    if (rows) rows_avx2(1, kp, a, b, sums);
}

/* 8 rows by 32 columns in 16 registers: each four of k cost 2 loads, 8 broadcasts, 16 products. */
VNNI INLINE void rows_vnni(int rows, int64_t kp, const uint8_t *a, const int8_t *b, int32_t *sums) {
    __m512i sum[8][2];
    for (int r = 0; r < rows; r++) sum[r][0] = sum[r][1] = _mm512_setzero_si512();
    for (int64_t p = 0; p < kp; p += 4, b += 4 * COLS) {
        __m512i b0 = _mm512_load_si512(b), b1 = _mm512_load_si512(b + 64);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            int32_t four;
            memcpy(&four, a + r * kp + p, sizeof four);
            __m512i x = _mm512_set1_epi32(four);
            sum[r][0] = _mm512_dpbusd_epi32(sum[r][0], x, b0);
            sum[r][1] = _mm512_dpbusd_epi32(sum[r][1], x, b1);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
        _mm512_store_si512(sums + r * COLS, sum[r][0]);
        _mm512_store_si512(sums + r * COLS + 16, sum[r][1]);
    }
}

VNNI static void kernel_vnni(int64_t kp, const uint8_t *a, const int8_t *b, int64_t rows,
                             int32_t *sums) {
    for (; rows >= 8; rows -= 8, a += 8 * kp, sums += 8 * COLS) rows_vnni(8, kp, a, b, sums);
    for (; rows >= 4; rows -= 4, a += 4 * kp, sums += 4 * COLS) rows_vnni(4, kp, a, b, sums);
    for (; rows >= 1; rows -= 1, a += kp, sums += COLS) rows_vnni(1, kp, a, b, sums);
}

/* Sums in tiles 0 1 / 2 3, a in 4 5, b in 6 7, loaded past L1 (amx.c). */
TILES static void kernel_amx(int64_t kp, const uint8_t *a, const int8_t *b, int64_t rows,
                             int32_t *sums) {
    bool low = rows > 16;
    amx_configure();
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t p = 0; p < kp; p += STEP, b += STEP * COLS) {
        _tile_loadd(4, a + p, kp);
        _tile_stream_loadd(6, b, 4 * COLS);
        _tile_dpbssd(0, 4, 6);
        _tile_stream_loadd(7, b + 64, 4 * COLS);
        _tile_dpbssd(1, 4, 7);
        if (low) {
            _tile_loadd(5, a + 16 * kp + p, kp);
            _tile_dpbssd(2, 5, 6);
            _tile_dpbssd(3, 5, 7);
        }
    }
    _tile_stored(0, sums, 4 * COLS);
    _tile_stored(1, sums + 16, 4 * COLS);
    if (!low) return;
    _tile_stored(2, sums + 16 * COLS, 4 * COLS);
    _tile_stored(3, sums + 16 * COLS + 16, 4 * COLS);
}

static const int8_kind kind_ref = {0, round_ref, kernel_ref, scale_ref};
static const int8_kind kind_avx2 = {0, round_avx2, kernel_avx2, scale_avx2};
static const int8_kind kind_vnni = {128, round_vnni, kernel_vnni, scale_vnni};
static const int8_kind kind_amx = {0, round_signed, kernel_amx, scale_signed};

/* ---- packed weights ---- */

/* The parts of a packed copy. */
static int8_weights parts_of(char *at, int64_t n, int64_t kp) {
    int64_t wide = round_up(n, COLS);
    char *scale = at + wide * kp;
    return (int8_weights){(int8_t *)at, (float *)scale, (int32_t *)(scale + wide * 4)};
}

typedef struct packing {
    const matmul *mm;
    int8_weights to;
    int64_t kp;
} packing;

/* One panel: the columns' scales, then their bytes, down the source's rows. */
static void pack_panel(void *arg, int64_t at, int worker) {
    (void)worker;
    const packing *p = arg;
    const matmul *mm = p->mm;
    int64_t j0 = at * COLS, cols = least(COLS, mm->n - j0);
    int64_t down = mm->b_t ? 1 : mm->ldb, across = mm->b_t ? mm->ldb : 1;
    const float *b = mm->b + j0 * across;
    float top[COLS] = {0}, inverse[COLS] = {0};
    int32_t sum[COLS] = {0};
    for (int64_t i = 0; i < mm->k; i++)
        for (int64_t j = 0; j < cols; j++) {
            float size = fabsf(b[i * down + j * across]);
            top[j] = size > top[j] ? size : top[j];
        }
    for (int64_t j = 0; j < cols; j++) inverse[j] = top[j] > 0 ? 127 / top[j] : 0;
    int8_t *to = p->to.panels + j0 * p->kp;
    memset(to, 0, (size_t)(COLS * p->kp));
    for (int64_t i = 0; i < mm->k; i++)
        for (int64_t j = 0; j < cols; j++) {
            int32_t q = round_one(b[i * down + j * across] * inverse[j]);
            to[i / 4 * 4 * COLS + 4 * j + i % 4] = (int8_t)q;
            sum[j] += q;
        }
    for (int64_t j = 0; j < COLS; j++) p->to.scale[j0 + j] = top[j] / 127;
    memcpy(p->to.sum + j0, sum, sizeof sum);
}

static void pack(const void *kind, const matmul *mm, char *at) {
    (void)kind;
    int64_t kp = round_up(mm->k, STEP);
    packing p = {mm, parts_of(at, mm->n, kp), kp};
    par_for(cuts(mm->n, COLS), pack_panel, &p);
}

int8_weights int8_cached(const matmul *mm) {
    static const char order = 0; /* of the panels: one for all sets of instructions */
    int64_t kp = round_up(mm->k, STEP);
    size_t bytes = (size_t)(round_up(mm->n, COLS) * (kp + 8));
    return parts_of((char *)pack_get(mm->packs, PACK_INT8, &order, mm, bytes, pack), mm->n, kp);
}

/* ---- the product ---- */

typedef struct product {
    const int8_kind *kind;
    const backend *base; /* for the activation */
    const matmul *mm;
    int8_weights b;
    int64_t kp;
    int64_t rows, cols, col_cuts; /* of one task: whole blocks */
} product;

/* A block of finished sums. Tiles are stored late: they are read after the next kernel has been
 * issued, which then runs meanwhile. */
typedef struct waiting {
    int64_t rows, i, j; /* rows 0: nothing waits */
    const int32_t *sums;
} waiting;

static void scale_waiting(const product *p, const float *sx, int64_t i0, int64_t end,
                          const waiting *w) {
    const matmul *mm = p->mm;
    if (w->rows == 0) return;
    p->kind->scale(w->rows, least(COLS, end - w->j), w->sums, sx + w->i, p->b.scale + w->j,
                   p->b.sum + w->j, mm->bias ? mm->bias + w->j : NULL,
                   mm->c + (i0 + w->i) * mm->ldc + w->j, mm->ldc);
}

/* Rows i0.., columns j0.. of c; a has been rounded. */
static void multiply(const product *p, const uint8_t *a, const float *sx, int64_t i0, int64_t m,
                     int64_t j0, int64_t n) {
    _Alignas(64) int32_t sums[2][ROWS * COLS];
    waiting w = {0};
    int64_t nc = most(COLS, B_BYTES / p->kp / COLS * COLS), end = j0 + n;
    for (int64_t jc = j0, turn = 0; jc < end; jc += nc)
        for (int64_t i = 0; i < m; i += ROWS)
            for (int64_t j = jc; j < least(jc + nc, end); j += COLS) {
                waiting next = {least(ROWS, m - i), i, j, sums[turn ^= 1]};
                p->kind->kernel(p->kp, a + i * p->kp, p->b.panels + j * p->kp, next.rows,
                                sums[turn]);
                scale_waiting(p, sx, i0, end, &w);
                w = next;
            }
    scale_waiting(p, sx, i0, end, &w);
}

static void product_task(void *arg, int64_t at, int worker) {
    (void)worker;
    const product *p = arg;
    const matmul *mm = p->mm;
    int64_t i0 = at / p->col_cuts * p->rows, j0 = at % p->col_cuts * p->cols;
    int64_t m = least(p->rows, mm->m - i0), n = least(p->cols, mm->n - j0);
    uint8_t *a = scratch_take(SCRATCH_A, (size_t)(round_up(m, ROWS) * p->kp));
    float sx[MC];
    p->kind->round_rows(m, mm->k, mm->a + i0 * mm->lda, mm->lda, a, p->kp, sx);
    multiply(p, a, sx, i0, m, j0, n);
    for (int64_t i = i0; mm->act != ACT_NONE && i < i0 + m; i++) {
        float *c = mm->c + i * mm->ldc + j0;
        p->base->activate(n, mm->act, c, c);
    }
    if (mm->then && p->col_cuts == 1) mm->then(mm->then_arg, i0, i0 + m);
}

static void run(const int8_kind *kind, const backend *base, const matmul *mm) {
    bool ours = mm->packs && !mm->a_t && !mm->accumulate && mm->k > 0;
    if (!ours) {
        base->matmul(mm);
        return;
    }
    if (mm->m <= 0 || mm->n <= 0) return;
    product p = {.kind = kind, .base = base, .mm = mm, .kp = round_up(mm->k, STEP)};
    p.b = int8_cached(mm);
    int64_t ops = 2 * most(mm->m, FEW) * mm->n * p.kp;
    int64_t wanted = most(1, least(TASKS_A_THREAD * par_threads(), ops / TASK_OPS));
    p.rows = round_up(least(MC, cuts(mm->m, wanted)), ROWS);
    int64_t row_cuts = cuts(mm->m, p.rows);
    p.cols = round_up(cuts(mm->n, most(1, wanted / row_cuts)), COLS);
    p.col_cuts = cuts(mm->n, p.cols);
    par_for(row_cuts * p.col_cuts, product_task, &p);
    if (mm->then && p.col_cuts > 1) mm->then(mm->then_arg, 0, mm->m);
}

/* ---- one backend for each family ---- */

#define FAMILY(name, kind)                                                                         \
    static void matmul_##name(const matmul *mm) {                                                  \
        run(kind, backend_##name(), mm);                                                           \
    }
static const int8_kind *best_kind(unsigned wanted) {
    if ((wanted & CPU_AMX_INT8) && (cpu_features() & CPU_AMX_INT8)) return &kind_amx;
    return cpu_features() & CPU_VNNI ? &kind_vnni : &kind_avx2;
}
FAMILY(ref, &kind_ref)
FAMILY(avx2, &kind_avx2)
FAMILY(avx512, best_kind(0))
FAMILY(bf16, best_kind(0))
FAMILY(amx, best_kind(CPU_AMX_INT8))

static struct {
    const char *name;
    void (*matmul)(const matmul *mm);
    backend table;
    narrow_kind narrow;
} tables[] = {{.name = "ref", .matmul = matmul_ref},
              {.name = "avx2", .matmul = matmul_avx2},
              {.name = "avx512", .matmul = matmul_avx512},
              {.name = "bf16", .matmul = matmul_bf16},
              {.name = "amx", .matmul = matmul_amx}};

static void fill(void) {
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        const backend *base;
        if (backend_find(tables[i].name, &base)) continue; /* not here: never asked for */
        tables[i].table = *base;
        tables[i].table.matmul = tables[i].matmul;
        tables[i].table.round = NULL; /* rows are rounded to bytes, from floats */
        if (!base->narrow) continue;
        const int8_kind *kind = best_kind(base == backend_amx() ? CPU_AMX_INT8 : 0);
        tables[i].narrow = *base->narrow;
        tables[i].narrow.bytes = kind->kernel;
        tables[i].narrow.offset = kind->offset;
        tables[i].table.narrow = &tables[i].narrow;
    }
    err_clear();
}

const backend *backend_int8(const backend *base) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (!strcmp(tables[i].name, base->name)) return &tables[i].table;
    MUST(false, "no 8-bit products for family %s", base->name);
}
