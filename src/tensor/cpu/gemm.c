/* The matrix product's outer loops, common to all families (a family brings the packing and
 * the kernel of one panel by one panel; see gemm_kind).
 *
 * Idea (Goto & van de Geijn 2008, "Anatomy of High-Performance Matrix Multiplication"), with
 * the sizes of our shapes in mind: m is thousands of tokens or a few, n and k are widths, or
 * k is the tokens (weight gradients).
 *
 *   op(b) is packed first, once: a leaf weight's panels are cached, anything else is packed by
 *   all threads, KL of k at a time so that it stays near. Then tasks, each a block of rows
 *   (and of columns, where rows are few) of c:
 *
 *     for k in steps of KC            op(a)'s block is packed into this thread's scratch: it and
 *                                     everything below stays in L2
 *       for columns in steps of NC    as many panels of b as share L2 with it
 *         for each panel of a         in L1 meanwhile
 *           for each panel of b       streams from L2
 *             kernel                  c in registers over KC, then added to memory
 *
 * Either factor may lie in memory as bf16: packing then only moves it. A result in bf16 is rounded
 * once, so all of k is one pass, and a task has fewer rows where k is long.
 *
 * How c is cut changes no result: each element is summed over k in the same order by one
 * thread. So the cut may look at the thread count. */
#include "tensor/cpu/cpu_int.h"
#include "tensor/cpu/pieces.h"
#include "util/par.h"

enum {
    KC_CACHED = 2048,  /* bytes of k in one pass, packed, where b's panels are there ... */
    KC_FRESH = 512,    /* ... and where they are made on the way and c is the result of long sums */
    MC = 256,          /* most rows of a task ... */
    A_BYTES = 1 << 20, /* ... and bytes of op(a), packed, in one pass */
    B_BYTES = 512 << 10, /* of op(b) panels that share L2 with the rest */
    KL_BYTES = 1 << 19,  /* of op(b) packed at a time when it is not cached */
    PACK_LINES = 256,    /* a task of parallel packing: lines ... */
    PACK_K = 256,        /* ... by k */
    TASK_FLOP = 1 << 21, /* a smaller task costs more to hand out than it gains */
    TASKS_A_THREAD = 4,
    FEW = 8,             /* rows: fewer take as long, the time that b takes to be read */
    BLOCK_MAX = 32 * 32, /* mr * nr of any family */
};

int64_t gemm_k_padded(const gemm_kind *g, int64_t k) {
    return round_up(k, 64 / g->elem);
}
static int64_t a_panel_bytes(const gemm_kind *g, int64_t k) {
    return gemm_k_padded(g, k) * g->mr * g->elem;
}
static int64_t b_panel_bytes(const gemm_kind *g, int64_t k) {
    return gemm_k_padded(g, k) * g->nr * g->elem;
}
size_t gemm_a_bytes(const gemm_kind *g, int64_t m, int64_t k) {
    return (size_t)(cuts(m, g->mr) * a_panel_bytes(g, k));
}
size_t gemm_b_bytes(const gemm_kind *g, int64_t k, int64_t n) {
    return (size_t)(cuts(n, g->nr) * b_panel_bytes(g, k));
}

gemm_lines gemm_lines_at(const float *x, const bf16 *x16, int64_t ld, bool along_k, int64_t line,
                         int64_t k) {
    int64_t first = along_k ? line * ld + k : k * ld + line;
    const void *at = x16 ? (const void *)(x16 + first) : x + first;
    return (gemm_lines){.at = at, .is_bf16 = x16, .ld = ld, .along_k = along_k};
}

/* ---- packing op(b) on all threads ---- */

typedef struct packing {
    const gemm_kind *g;
    const matmul *mm;
    int64_t k0, k; /* this range of k */
    int64_t lines; /* of one task: whole panels */
    int64_t line_cuts;
    char *panels;
} packing;

static void pack_task(void *arg, int64_t i, int worker) {
    (void)worker;
    const packing *p = arg;
    const gemm_kind *g = p->g;
    const matmul *mm = p->mm;
    int64_t j = i % p->line_cuts * p->lines, k = i / p->line_cuts * PACK_K;
    gemm_lines b = gemm_lines_at(mm->b, mm->b16, mm->ldb, mm->b_t, j, p->k0 + k);
    int64_t panel_bytes = b_panel_bytes(g, p->k);
    char *to = p->panels + j / g->nr * panel_bytes + k * g->nr * g->elem;
    g->pack_b(least(p->lines, mm->n - j), least(PACK_K, p->k - k), &b, to, panel_bytes);
}

void gemm_pack_b(const gemm_kind *g, const matmul *mm, int64_t k0, int64_t k, char *panels) {
    packing p = {.g = g, .mm = mm, .k0 = k0, .k = k, .panels = panels};
    p.lines = round_up(PACK_LINES, g->nr);
    p.line_cuts = cuts(mm->n, p.lines);
    par_for(p.line_cuts * cuts(k, PACK_K), pack_task, &p);
}

static void pack_all(const void *kind, const matmul *mm, char *panels) {
    gemm_pack_b(kind, mm, 0, mm->k, panels);
}

const char *gemm_cached(const gemm_kind *g, const matmul *mm) {
    return pack_get(mm->packs, PACK_FLOAT, g, mm, gemm_b_bytes(g, mm->k, mm->n), pack_all);
}

/* ---- blocks of c ---- */

void gemm_block(const gemm_kind *g, int64_t m, int64_t n, int64_t k, const char *a, const char *b,
                float *c, int64_t ldc, bool add) {
    for (int64_t i = 0; i < m; i += g->mr)
        for (int64_t j = 0; j < n; j += g->nr)
            g->kernel(k, a + i / g->mr * a_panel_bytes(g, k), b + j / g->nr * b_panel_bytes(g, k),
                      least(g->mr, m - i), least(g->nr, n - j), c + i * ldc + j, ldc, add);
}

typedef struct product {
    const gemm_kind *g;
    const matmul *mm;
    const char *b;      /* panels of k0..k0+k-1 */
    int64_t k0, k, kc;  /* this range of k, and how much of it in one pass */
    int64_t rows, cols; /* of one task: whole panels */
    int64_t col_cuts;
} product;

/* A block whose sums are complete but for bias and activation. The kernel leaves it in a small
 * buffer, which, unlike 32 rows of a wide c, stays in L1; it is finished after the next kernel
 * has been issued, when its stores have reached the cache. */
typedef struct finishing {
    int64_t rows, cols; /* cols 0: nothing waits */
    const float *sums;  /* [rows, nr] */
    gemm_end end;
} finishing;

static void finish(const gemm_kind *g, const finishing *f) {
    if (f->cols) g->finish(f->rows, f->cols, f->sums, g->nr, &f->end);
}

/* The block of c at row i, column j. */
static gemm_end end_at(const matmul *mm, int64_t i, int64_t j, bool add) {
    int64_t at = i * mm->ldc + j;
    return (gemm_end){.c = mm->c16 ? NULL : mm->c + at,
                      .c16 = mm->c16 ? mm->c16 + at : NULL,
                      .ldc = mm->ldc,
                      .add = add,
                      .bias = mm->bias ? mm->bias + j : NULL,
                      .act = mm->act,
                      .y16 = mm->y16 ? mm->y16 + at : NULL};
}

/* Rows i0.., columns j0.. of c over k..k+kc-1 of this product's range: a is packed, b's panels
 * are long (the whole range). */
static void multiply(const product *p, int64_t i0, int64_t m, int64_t j0, int64_t n, int64_t k,
                     int64_t kc, const char *a) {
    const gemm_kind *g = p->g;
    const matmul *mm = p->mm;
    int64_t a_step = a_panel_bytes(g, kc), b_step = b_panel_bytes(g, p->k);
    bool add = mm->accumulate || p->k0 + k > 0, last = p->k0 + k + kc == mm->k;
    bool finishes = mm->c16 || (last && (mm->bias || mm->act != ACT_NONE));
    _Alignas(64) float sums[2][BLOCK_MAX];
    finishing waits = {.cols = 0};
    int64_t nc = most(g->nr, B_BYTES / most(1, b_panel_bytes(g, kc)) * g->nr);
    for (int64_t jc = j0, turn = 0; jc < j0 + n; jc += nc) {
        int64_t end = least(jc + nc, j0 + n);
        for (int64_t i = 0; i < m; i += g->mr) {
            for (int64_t j = jc; j < end; j += g->nr) {
                int64_t rows = least(g->mr, m - i), cols = least(g->nr, end - j);
                const char *a_at = a + i / g->mr * a_step;
                const char *b_at = p->b + j / g->nr * b_step + k * g->nr * g->elem;
                if (!finishes) {
                    float *c = mm->c + (i0 + i) * mm->ldc + j;
                    g->kernel(kc, a_at, b_at, rows, cols, c, mm->ldc, add);
                    continue;
                }
                float *to = sums[turn ^= 1];
                g->kernel(kc, a_at, b_at, rows, cols, to, g->nr, false);
                finish(g, &waits);
                waits = (finishing){rows, cols, to, end_at(mm, i0 + i, j, add)};
            }
        }
    }
    finish(g, &waits);
}

static void product_task(void *arg, int64_t i, int worker) {
    (void)worker;
    const product *p = arg;
    const gemm_kind *g = p->g;
    const matmul *mm = p->mm;
    int64_t i0 = i / p->col_cuts * p->rows, j0 = i % p->col_cuts * p->cols;
    int64_t m = least(p->rows, mm->m - i0), n = least(p->cols, mm->n - j0);
    char *a = scratch_take(SCRATCH_A, gemm_a_bytes(g, m, least(p->kc, p->k)));
    int64_t k = 0;
    do {
        int64_t kc = least(p->kc, p->k - k), at = p->k0 + k;
        gemm_lines from = gemm_lines_at(mm->a, mm->a16, mm->lda, !mm->a_t, i0, at);
        g->pack_a(m, kc, &from, a, a_panel_bytes(g, kc));
        multiply(p, i0, m, j0, n, k, kc, a);
        k += kc;
    } while (k < p->k);
}

/* Cuts c into tasks: blocks of rows as long as they can be had, else columns too. */
static void run_tasks(product *p) {
    const gemm_kind *g = p->g;
    const matmul *mm = p->mm;
    int64_t flop = 2 * most(mm->m, FEW) * mm->n * gemm_k_padded(g, p->k);
    int64_t wanted = most(1, least(TASKS_A_THREAD * par_threads(), flop / TASK_FLOP));
    int64_t rows = least(MC, most(1, A_BYTES / (least(p->kc, p->k) * g->elem + 1)));
    p->rows = round_up(least(rows, cuts(mm->m, wanted)), g->mr);
    int64_t row_cuts = cuts(mm->m, p->rows);
    p->cols = round_up(cuts(mm->n, most(1, wanted / row_cuts)), g->nr);
    p->col_cuts = cuts(mm->n, p->cols);
    par_for(row_cuts * p->col_cuts, product_task, p);
}

void gemm_run(const gemm_kind *g, const matmul *mm) {
    MUST(!mm->accumulate || (!mm->bias && mm->act == ACT_NONE),
         "accumulate takes no bias and no activation");
    MUST(g->round || (!mm->a16 && !mm->b16 && !mm->c16), "these kernels take no bf16");
    MUST(!mm->c16 || mm->packs, "a bf16 result is that of a leaf weight");
    MUST(!mm->c16 || !mm->accumulate, "a bf16 result is not added to");
    if (mm->m <= 0 || mm->n <= 0) return;
    product p = {.g = g, .mm = mm, .k = mm->k};
    if (mm->packs) {
        p.b = gemm_cached(g, mm);
        p.kc = mm->c16 ? most(1, mm->k) : KC_CACHED / g->elem; /* sums are rounded once */
        run_tasks(&p);
        return;
    }
    p.kc = KC_FRESH / g->elem;
    int64_t line_bytes = round_up(mm->n, g->nr) * g->elem;
    int64_t kl = round_up(most(p.kc, KL_BYTES / line_bytes), p.kc);
    char *panels = scratch_take(SCRATCH_B, gemm_b_bytes(g, least(kl, mm->k), mm->n));
    p.b = panels;
    do {
        p.k = least(kl, mm->k - p.k0);
        gemm_pack_b(g, mm, p.k0, p.k, panels);
        run_tasks(&p);
        p.k0 += p.k;
    } while (p.k0 < mm->k);
}
