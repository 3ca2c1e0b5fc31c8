/* Peak of arithmetic and of reading memory.
 *
 * Each loop below repeats one multiply-add instruction on independent accumulators: 14 vector
 * registers (latency 4 to 6 cycles on two ports needs 8 to 12), or 4 tiles (AMX: latency 52,
 * one result every 16 cycles). Written in assembly so that what is measured is what stands
 * here, whatever the compiler's flags. The factors are random numbers within -1..1, as real
 * factors are: what a unit draws, and so the rate of the tiles, depends on the bits that it is fed.
 *
 * A kind's peak is the fastest of the loops that can do its work and that the family may use. */
#include "tensor/peak.h"

#include <stdlib.h>
#include <string.h>

#include "tensor/cpu/cpu_int.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/par.h"
#include "util/rng.h"

enum { ROUNDS = 8 };

typedef struct loop {
    peak_kind kind;
    unsigned needs; /* of cpu_family_features */
    double ops;     /* of one turn */
    void (*run)(int64_t turns, const uint32_t *factors);
} loop;

/* Factors: pairs of bf16 within -1..1, which are floats in that range, too, and any bytes. */
enum { N_FACTORS = 4 * 16 * 16 };
static const uint32_t *random_factors(void) {
    static _Alignas(64) uint32_t x[N_FACTORS];
    rng r = rng_new(1);
    for (int i = 0; i < N_FACTORS; i++) {
        float high = 2 * (float)rng_uniform(&r) - 1, low = 2 * (float)rng_uniform(&r) - 1;
        uint32_t bits[2];
        memcpy(&bits[0], &high, sizeof high);
        memcpy(&bits[1], &low, sizeof low);
        x[i] = (bits[0] & 0xffff0000) | bits[1] >> 16;
    }
    return x;
}

#if defined(__x86_64__)
/* ---- vectors ---- */

/* Accumulators 0..13, factors in 14 and 15. */
#define TIMES_14(X)                                                                                \
    X("0")                                                                                         \
    X("1") X("2") X("3") X("4") X("5") X("6") X("7") X("8") X("9") X("10") X("11") X("12") X("13")

#define VECTOR_LOOP(name, width, MULTIPLY_ADD)                                                     \
    static void name(int64_t turns, const uint32_t *factors) {                                     \
        __asm__ volatile("vzeroall\n\t"                                                            \
                         "vmovups (%1), %%" width "14\n\t"                                         \
                         "vmovups 64(%1), %%" width "15\n"                                         \
                         "1:\n\t" TIMES_14(MULTIPLY_ADD) "dec %0\n\t"                              \
                                                         "jnz 1b\n\t"                              \
                                                         "vzeroupper"                              \
                         : "+r"(turns)                                                             \
                         : "r"(factors)                                                            \
                         : "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", \
                           "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",    \
                           "xmm15");                                                               \
    }

#define FMA_256(i)  "vfmadd231ps %%ymm14, %%ymm15, %%ymm" i "\n\t"
#define FMA_512(i)  "vfmadd231ps %%zmm14, %%zmm15, %%zmm" i "\n\t"
#define BF16_512(i) "vdpbf16ps %%zmm14, %%zmm15, %%zmm" i "\n\t"
#define VNNI_512(i) "vpdpbusd %%zmm14, %%zmm15, %%zmm" i "\n\t"
#define VNNI_256(i) "%{vex%} vpdpbusd %%ymm14, %%ymm15, %%ymm" i "\n\t"
/* Without VNNI bytes take three instructions; the sums of the first two go nowhere but into the
 * register that the next turn overwrites, so only the last depends on itself. */
#define BYTES_256(i)                                                                               \
    "vpmaddubsw %%ymm14, %%ymm15, %%ymm13\n\t"                                                     \
    "vpmaddwd %%ymm13, %%ymm15, %%ymm13\n\t"                                                       \
    "vpaddd %%ymm13, %%ymm" i ", %%ymm" i "\n\t"

VECTOR_LOOP(fma_256, "ymm", FMA_256)
VECTOR_LOOP(fma_512, "zmm", FMA_512)
VECTOR_LOOP(bf16_512, "zmm", BF16_512)
VECTOR_LOOP(vnni_512, "zmm", VNNI_512)
VECTOR_LOOP(vnni_256, "ymm", VNNI_256)
VECTOR_LOOP(bytes_256, "ymm", BYTES_256)

/* ---- tiles ---- */

typedef struct tile_shapes {
    uint8_t palette, start, zero[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_shapes;

/* Two tiles of the one factor by two of the other, as in amx.c. The thread's own shapes (those of
 * amx.c, once it has multiplied) are put back afterwards. */
#define TILE_LOOP(name, MULTIPLY_ADD)                                                              \
    static void name(int64_t turns, const uint32_t *factors) {                                     \
        tile_shapes before, all = {.palette = 1};                                                  \
        for (int i = 0; i < 8; i++) all.row_bytes[i] = 64, all.rows[i] = 16;                       \
        __asm__ volatile("sttilecfg %0" : "=m"(before));                                           \
        __asm__ volatile("ldtilecfg %0" ::"m"(all));                                               \
        __asm__ volatile("tileloadd (%0,%1,1), %%tmm4\n\t"                                         \
                         "tileloadd 1024(%0,%1,1), %%tmm5\n\t"                                     \
                         "tileloadd 2048(%0,%1,1), %%tmm6\n\t"                                     \
                         "tileloadd 3072(%0,%1,1), %%tmm7" ::"r"(factors),                         \
                         "r"((int64_t)64)                                                          \
                         : "memory");                                                              \
        __asm__ volatile("1:\n\t" MULTIPLY_ADD("4", "6", "0") MULTIPLY_ADD("4", "7", "1")          \
                             MULTIPLY_ADD("5", "6", "2") MULTIPLY_ADD("5", "7", "3") "dec %0\n\t"  \
                                                                                     "jnz 1b"      \
                         : "+r"(turns)                                                             \
                         :                                                                         \
                         : "cc");                                                                  \
        __asm__ volatile("ldtilecfg %0" ::"m"(before));                                            \
    }

#define TILE_BF16(a, b, c) "tdpbf16ps %%tmm" b ", %%tmm" a ", %%tmm" c "\n\t"
#define TILE_INT8(a, b, c) "tdpbusd %%tmm" b ", %%tmm" a ", %%tmm" c "\n\t"

TILE_LOOP(tiles_bf16, TILE_BF16)
TILE_LOOP(tiles_int8, TILE_INT8)

static const loop loops[] = {
    {PEAK_F32, CPU_AVX2, 14 * 8 * 2, fma_256},
    {PEAK_F32, CPU_AVX512, 14 * 16 * 2, fma_512},
    {PEAK_BF16, CPU_BF16, 14 * 32 * 2, bf16_512},
    {PEAK_BF16, CPU_AMX, 4 * 16 * 16 * 32 * 2, tiles_bf16},
    {PEAK_INT8, CPU_AVX2, 14 * 32 * 2, bytes_256},
    {PEAK_INT8, CPU_AVX_VNNI, 14 * 32 * 2, vnni_256},
    {PEAK_INT8, CPU_VNNI, 14 * 64 * 2, vnni_512},
    {PEAK_INT8, CPU_AMX_INT8, 4 * 16 * 16 * 64 * 2, tiles_int8},
};
enum { N_LOOPS = sizeof loops / sizeof *loops };
#else
enum { N_LOOPS = 0 };
static const loop loops[1];
#endif

/* What any processor does: 16 sums side by side, as the compiler likes them. */
static void plain(int64_t turns, const uint32_t *factors) {
    float sum[16] = {0}, x;
    memcpy(&x, factors, sizeof x);
    volatile float sink;
    for (int64_t t = 0; t < turns; t++)
        for (int i = 0; i < 16; i++) sum[i] += x * sum[i];
    for (int i = 0; i < 16; i++) sink = sum[i];
    (void)sink;
}
static const loop plain_loop = {.ops = 16 * 2, .run = plain};

/* ---- measuring ---- */

typedef struct rounds {
    const loop *l;
    int64_t turns;
    const uint32_t *factors;
} rounds;

static void run_one(void *arg, int64_t i, int worker) {
    (void)i;
    (void)worker;
    const rounds *r = arg;
    r->l->run(r->turns, r->factors);
}

static double timed(const rounds *r) {
    double begun = now_s();
    par_for(par_threads(), run_one, (void *)r);
    return now_s() - begun;
}

/* The turns of a round are found by doubling; then the best round counts. */
static double rate(const loop *l, double seconds) {
    rounds r = {l, 1024, random_factors()};
    double least = timed(&r);
    while (least < seconds / ROUNDS) {
        r.turns *= 2;
        least = timed(&r);
    }
    for (int i = 1; i < ROUNDS; i++) {
        double s = timed(&r);
        if (s < least) least = s;
    }
    return l->ops * (double)r.turns * par_threads() / least;
}

typedef struct peak {
    const loop *l; /* the fastest; NULL: none of the kind runs here */
    double ops;    /* a second */
} peak;

static peak fastest(peak_kind k, double seconds) {
    peak best = {0};
    for (int i = 0; i < N_LOOPS; i++) {
        if (loops[i].kind != k || (loops[i].needs & ~cpu_family_features())) continue;
        double r = rate(&loops[i], seconds);
        if (r > best.ops) best = (peak){&loops[i], r};
    }
    return best;
}

static peak found[PEAK_KINDS];

double peak_ops(peak_kind k, double seconds) {
    peak best = fastest(k, seconds);
    if (!best.l && k == PEAK_BF16) best = fastest(PEAK_F32, seconds);
    if (!best.l) best = (peak){&plain_loop, rate(&plain_loop, seconds)};
    found[k] = best;
    return best.ops;
}

double peak_again(peak_kind k, double seconds) {
    peak p = found[k];
    MUST(p.l, "peak %d has not been measured", (int)k);
    double a_thread = p.ops / par_threads();
    rounds r = {p.l, 1 + (int64_t)(seconds * a_thread / p.l->ops), random_factors()};
    return p.l->ops * (double)r.turns * par_threads() / timed(&r);
}

/* ---- memory ---- */

enum { READ_PIECE = 1 << 20 };

static void read_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const uint64_t *x = (const uint64_t *)arg + begin;
    uint64_t sum[8] = {0}; /* independent, so that loads do not wait for sums */
    for (int64_t i = 0; i + 8 <= end - begin; i += 8)
        for (int j = 0; j < 8; j++) sum[j] += x[i + j];
    for (int j = 1; j < 8; j++) sum[0] += sum[j];
    __asm__ volatile("" ::"r"(sum[0])); /* the sum is used, says this */
}

double peak_read(size_t bytes, int n_rounds) {
    char *x = xmalloc(bytes);
    memset(x, 1, bytes);
    int64_t n = (int64_t)(bytes / sizeof(uint64_t));
    double least = 0;
    for (int i = 0; i <= n_rounds; i++) { /* the first one warms up */
        double begun = now_s();
        par_range(n, READ_PIECE / (int64_t)sizeof(uint64_t), read_piece, x);
        double s = now_s() - begun;
        if (i == 1 || s < least) least = s;
    }
    free(x);
    return (double)bytes / least;
}
