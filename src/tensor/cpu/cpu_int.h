#ifndef RAGLAN_TENSOR_CPU_INT_H
#define RAGLAN_TENSOR_CPU_INT_H
/* Between the files of this folder: what the processor has, how a family describes its
 * matrix product to the common driver (gemm.c), packed weights, and scratch memory. */
#include "tensor/tensor.h"

/* ---- what the processor has (cpu.c) ---- */
enum {
    CPU_AVX2 = 1,       /* AVX2, FMA, F16C */
    CPU_AVX512 = 2,     /* AVX-512 F, BW, DQ, VL */
    CPU_BF16 = 4,       /* AVX512-BF16: VDPBF16PS and conversion */
    CPU_FAST_BF16 = 16, /* ... at twice the rate of f32 */
    CPU_AMX = 8,        /* AMX-TILE, AMX-BF16, and the kernel's leave to use the tiles */
    CPU_VNNI = 32,      /* AVX512-VNNI: VPDPBUSD */
    CPU_AMX_INT8 = 64,  /* the tiles multiply bytes */
    CPU_AVX_VNNI = 128, /* VPDPBUSD without AVX-512 */
};
/* Sets of instructions that both the processor and the operating system offer. */
unsigned cpu_features(void);
/* Those of them that the chosen family (backend_cpu) may use. */
unsigned cpu_family_features(void);

/* Each family's table; to be used only where its instructions are. */
const backend *backend_avx2(void);
const backend *backend_avx512(void);
const backend *backend_bf16(void);
const backend *backend_amx(void);

/* ---- products (gemm.c) ----
 *
 * A "line" is a row of op(a) or a column of op(b). Both factors are cut into panels of some
 * lines over the whole of k, each in the order in which the kernel reads it, elements rounded
 * to the family's type, edges filled with zeros:
 *
 *   a panel  [k / step][mr][step]    step = 64 bytes of k: one cache line a line
 *   b panel  [k / group][nr][group]  group = 4 bytes of k: 1 float, or 2 bf16 as VDPBF16PS and
 *                                    TDPBF16PS want them
 *
 * so k may be cut at any multiple of step by moving both pointers by k * lines * elem. */

/* Lines to be packed: element p of line i is at[i * ld + p] when along_k, else at[p * ld + i]. */
typedef struct gemm_lines {
    const void *at; /* floats, or bf16 */
    bool is_bf16;   /* never for families of f32 */
    int64_t ld;
    bool along_k;
} gemm_lines;

/* What becomes of a block's complete sums; c, c16, y16, bias point at the block's first column. */
typedef struct gemm_end {
    float *c;
    bf16 *c16; /* instead of c */
    bool far;  /* c16 is too large to be near when it is read: may be written past the caches */
    int64_t ldc;
    bool add;          /* to what earlier passes left in c */
    const float *bias; /* NULL: none */
    activation act;
    const bf16 *y16; /* c16 = act'(y16) * sums */
} gemm_end;

typedef struct gemm_kind {
    int mr, nr; /* lines of a panel of a and of b */
    int elem;   /* bytes of a packed element: 4 f32, 2 bf16 */
    /* Packs `lines` lines of k elements into consecutive panels, panel_bytes apart. */
    void (*pack_a)(int64_t lines, int64_t k, const gemm_lines *x, char *panels,
                   int64_t panel_bytes);
    void (*pack_b)(int64_t lines, int64_t k, const gemm_lines *x, char *panels,
                   int64_t panel_bytes);
    /* c [rows <= mr, cols <= nr] = (or, with add, +=) the product of one panel of each. */
    void (*kernel)(int64_t k, const char *a, const char *b, int64_t rows, int64_t cols, float *c,
                   int64_t ldc, bool add);
    /* The same from rows of bf16 as they lie, lda apart; a and c have 16 rows where
     * `rows` is less, or all mr of them; all nr columns count, k is whole steps. NULL: this family has none. */
    void (*kernel_rows)(int64_t k, const bf16 *a, int64_t lda, const char *b, int64_t rows,
                        float *c, int64_t ldc, bool add);
    /* c = act(c, with add, + sums [rows, lds] + bias). */
    void (*finish)(int64_t rows, int64_t cols, const float *sums, int64_t lds, const gemm_end *e);
    /* As in backend.h; NULL for families of f32. */
    void (*round)(int64_t n, const float *x, bf16 *y);
    void (*widen)(int64_t n, const bf16 *x, float *y);
} gemm_kind;

/* ---- attention (attention.c), from a family's product and its functions of one row ---- */
typedef struct row_kind {
    float (*dot)(int64_t n, const float *x, const float *y);
    /* x = softmax(scale x); returns the log-sum-exp, -infinity for n = 0. */
    float (*soften)(int64_t n, float scale, float *x);
    /* y [cols] = sum over i < n of s[i] * x[i * ld ..]. */
    void (*mix)(int64_t n, int64_t cols, const float *s, const float *x, int64_t ld, float *y);
    /* s becomes p = exp(scale s - lse), dp becomes scale * p * (dp - mean). */
    void (*slopes)(int64_t n, float scale, float lse, float mean, float *s, float *dp);
} row_kind;
/* How many of a span's n keys query j of its m sees. */
static inline int64_t keys_seen(const attention *at, int64_t m, int64_t n, int64_t j) {
    int64_t seen = at->causal ? n - m + j + 1 : n;
    return seen > 0 ? seen : 0;
}
void attention_forward(const gemm_kind *g, const row_kind *r, const attention *at);
void attention_backward(const gemm_kind *g, const row_kind *r, const attention *at);
/* The same in bf16 (attention16.c). */
void attention16_forward(const gemm_kind *g, const attention *at);
void attention16_backward(const gemm_kind *g, const attention *at);

/* Parts of a family that another one takes over. */
void amx_configure(void); /* this thread's tiles: eight of 16 rows by 64 bytes */
extern const row_kind rows_avx512;
extern const gemm_kind gemm_bf16;
void finish_avx512(int64_t rows, int64_t cols, const float *sums, int64_t lds, const gemm_end *e);

/* k rounded up to whole steps. */
int64_t gemm_k_padded(const gemm_kind *g, int64_t k);
/* Bytes of all panels of op(a) [m, k] or op(b) [k, n]. */
size_t gemm_a_bytes(const gemm_kind *g, int64_t m, int64_t k);
size_t gemm_b_bytes(const gemm_kind *g, int64_t k, int64_t n);
/* The whole product on all threads. */
void gemm_run(const gemm_kind *g, const matmul *mm);
/* All of op(b), a leaf weight, in panels that are kept with it. */
const char *gemm_cached(const gemm_kind *g, const matmul *mm);
/* The lines of op(x) from `line` on, elements from k on: x, or x16 where it is set, with rows ld apart
 * that are lines (along_k) or elements. */
gemm_lines gemm_lines_at(const float *x, const bf16 *x16, int64_t ld, bool along_k, int64_t line,
                         int64_t k);
/* c [m, n] = (+=) panels times panels on this thread; panels as made with their own k. */
void gemm_block(const gemm_kind *g, int64_t m, int64_t n, int64_t k, const char *a, const char *b,
                float *c, int64_t ldc, bool add);

/* ---- memory (pack.c) ---- */
/* The packed copy of mm->b in `bytes` bytes as `pack` makes it, renewed when it is not of this
 * kind, version, place and shape. A weight keeps one copy for each way and orientation. Borrowed. */
enum pack_way { PACK_FLOAT, PACK_INT8, PACK_WAYS };
typedef void pack_fn(const void *kind, const matmul *mm, char *panels);
const char *pack_get(pack_cache *p, enum pack_way way, const void *kind, const matmul *mm,
                     size_t bytes, pack_fn *pack);

/* This thread's own memory, 64-byte-aligned, contents undefined, kept until the thread ends: no
 * allocation once the largest shape has been seen. Valid until the same slot is asked for again. */
enum scratch_slot { SCRATCH_A, SCRATCH_B, SCRATCH_ROWS, SCRATCH_C, N_SCRATCH };
void *scratch_take(enum scratch_slot slot, size_t bytes);

/* Pieces of one slot's memory: cut once from none, which counts `used`, then from that much. */
typedef struct cutter {
    char *at;
    size_t used;
} cutter;
static inline void *cut(cutter *c, size_t bytes) {
    void *p = c->at ? c->at + c->used : NULL;
    c->used += (bytes + 63) / 64 * 64;
    return p;
}

#endif
