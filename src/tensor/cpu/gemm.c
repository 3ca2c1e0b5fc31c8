/* The matrix product's outer loops, common to all families (a family brings the packing and
 * the kernel of one panel by one panel; see gemm_kind).
 *
 * Idea (Goto & van de Geijn 2008, "Anatomy of High-Performance Matrix Multiplication"), with
 * the sizes of our shapes in mind: m is thousands of tokens or a few, n and k are widths, or
 * k is the tokens (weight gradients).
 *
 *   op(b) is packed first, once: a leaf weight's panels are cached, anything else is packed by
 *   all threads. Then tasks, each a block of rows (and of columns, where rows are few) of c:
 *
 *     for k in steps of KC            op(a)'s block is packed into this thread's scratch: it and
 *                                     everything below stays in L2
 *       for columns in steps of NC    as many panels of b as share L2 with it
 *         for each panel of a         in L1 meanwhile
 *           for each panel of b       streams from L2
 *             kernel                  c in registers over KC, then added to memory
 *
 * Where k is long and b is no weight, c is small and both factors are large (weight gradients):
 * there a task takes its block of c through all of k and packs what it needs of both. Its sums stay in
 * L2, one panel by one panel side by side: rows of a wide c would share a few sets of it. Several tasks pack the same lines then, which costs less than a core's reading of what
 * another has just written; blocks are cut so that both together cost least.
 *
 * Either factor may lie in memory as bf16: packing then only moves it. A result in bf16 is rounded
 * once, so all of k is one pass, and a task has fewer rows where k is long.
 *
 * How c is cut changes no result: each element is summed over k in the same order by one
 * thread. So the cut may look at the thread count. */
#include "tensor/cpu/cpu_int.h"
#include "tensor/cpu/pieces.h"
#include "util/par.h"

#include <xmmintrin.h>

enum {
    KC_CACHED = 2048,    /* bytes of k in one pass, packed, where b's panels are there ... */
    KC_FRESH = 1024,     /* ... and where they are made on the way */
    K_LONG = KC_FRESH,   /* bytes of k beyond which a task packs its own part of b */
    MC = 512,            /* most rows of a task ... */
    A_BYTES = 1 << 20,   /* ... and bytes of op(a), packed, in one pass */
    B_BYTES = 512 << 10, /* of op(b) panels that share L2 with the rest */
    FAR_BYTES = 4 << 20, /* a larger bf16 result leaves L2 before it is read */
    C_BYTES = 1 << 20,   /* of a block of c through all of k */
    PACK_COST = 128,     /* packing an element takes as long as so many multiply-adds */
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
    gemm_lines b = gemm_lines_at(mm->b, mm->b16, mm->ldb, mm->b_t, j, k);
    int64_t panel_bytes = b_panel_bytes(g, mm->k);
    char *to = p->panels + j / g->nr * panel_bytes + k * g->nr * g->elem;
    g->pack_b(least(p->lines, mm->n - j), least(PACK_K, mm->k - k), &b, to, panel_bytes);
}

static void pack_all(const void *kind, const matmul *mm, char *panels) {
    packing p = {.g = kind, .mm = mm, .panels = panels};
    p.lines = round_up(PACK_LINES, p.g->nr);
    p.line_cuts = cuts(mm->n, p.lines);
    par_for(p.line_cuts * cuts(mm->k, PACK_K), pack_task, &p);
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
    const char *b;      /* panels of all columns and all of k; NULL: each task packs its own */
    const char *plus;   /* the same of mm->plus */
    int64_t kc;         /* how much of k in one pass */
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

static bool is_far(const matmul *mm) {
    return mm->c16 && mm->m * mm->n * (int64_t)sizeof(bf16) > FAR_BYTES;
}

/* The block of c at row i, column j. */
static gemm_end end_at(const matmul *mm, int64_t i, int64_t j, bool add) {
    int64_t at = i * mm->ldc + j;
    return (gemm_end){.c = mm->c16 ? NULL : mm->c + at,
                      .c16 = mm->c16 ? mm->c16 + at : NULL,
                      .far = is_far(mm),
                      .ldc = mm->ldc,
                      .add = add,
                      .bias = mm->bias ? mm->bias + j : NULL,
                      .act = mm->act,
                      .y16 = mm->y16 ? mm->y16 + at : NULL};
}

/* What a block of c is the product of, over kc of k. The first `whole` rows of a are read as they
 * lie, whole panels; the others are packed. */
typedef struct factors {
    int64_t kc, whole;
    const bf16 *rows;
    int64_t lda;
    const char *panels; /* of all rows */
    const char *b;
    int64_t b_step; /* bytes between panels */
} factors;

static void block_of(const gemm_kind *g, const factors *f, int64_t i, int64_t j, int64_t rows,
                     int64_t cols, float *c, int64_t ldc, bool add) {
    const char *b = f->b + j / g->nr * f->b_step;
    if (i < f->whole)
        g->kernel_rows(f->kc, f->rows + i * f->lda, f->lda, b, g->mr, c, ldc, add);
    else
        g->kernel(f->kc, f->panels + i / g->mr * a_panel_bytes(g, f->kc), b, rows, cols, c, ldc,
                  add);
}

/* Rows i0.., columns j0.. of c, from k on; plus: what is added in the same pass, or NULL. held: room
 * for the sums of all passes, [m / mr][n / nr][mr, nr]; NULL: they are added in c. */
static void multiply(const product *p, int64_t i0, int64_t m, int64_t j0, int64_t n, int64_t k,
                     const factors *f, const factors *plus, float *held) {
    const gemm_kind *g = p->g;
    const matmul *mm = p->mm;
    bool first = k == 0, last = k + f->kc == mm->k;
    bool finishes = held ? last : mm->c16 || (last && (mm->bias || mm->act != ACT_NONE));
    bool add = mm->accumulate || (!first && !held); /* to c */
    _Alignas(64) float sums[2][BLOCK_MAX];
    finishing waits = {.cols = 0};
    int64_t nc = most(g->nr, B_BYTES / most(1, b_panel_bytes(g, f->kc)) * g->nr);
    for (int64_t jc = 0, turn = 0; jc < n; jc += nc) {
        int64_t end = least(jc + nc, n);
        for (int64_t i = 0; i < m; i += g->mr) {
            for (int64_t j = jc; j < end; j += g->nr) {
                int64_t rows = least(g->mr, m - i), cols = least(g->nr, end - j);
                int64_t ldc = held || finishes ? g->nr : mm->ldc;
                float *c = held ? held + (i / g->mr * cuts(n, g->nr) + j / g->nr) * g->mr * g->nr
                           : finishes ? sums[turn ^= 1]
                                      : mm->c + (i0 + i) * mm->ldc + j0 + j;
                block_of(g, f, i, j, rows, cols, c, ldc, held ? !first : add && !finishes);
                if (plus) block_of(g, plus, i, j, rows, cols, c, ldc, true);
                if (!finishes) continue;
                finish(g, &waits);
                waits = (finishing){rows, cols, c, end_at(mm, i0 + i, j0 + j, add)};
            }
        }
    }
    finish(g, &waits);
}

/* Rows of bf16 side by side are what tiles load, where nothing is to be filled with zeros. */
static bool reads_rows(const gemm_kind *g, const matmul *mm) {
    return g->kernel_rows && mm->a16 && !mm->a_t && mm->n % g->nr == 0 &&
           mm->k == gemm_k_padded(g, mm->k);
}

/* Rows i0.. of op(a) and columns j0.. of op(b) over k..k+kc-1. b: its panels, of all columns and all
 * of k; NULL: they are packed here. */
static factors factors_of(const gemm_kind *g, const matmul *mm, const char *b, int64_t i0,
                          int64_t m, int64_t j0, int64_t n, int64_t k, int64_t kc,
                          enum scratch_slot room) {
    factors f = {.kc = kc, .lda = mm->lda, .b_step = b_panel_bytes(g, b ? mm->k : kc)};
    if (reads_rows(g, mm)) {
        f.whole = m / g->mr * g->mr;
        f.rows = mm->a16 + i0 * mm->lda + k;
    }
    if (f.whole < m) {
        char *panels = scratch_take(room, gemm_a_bytes(g, m, kc));
        gemm_lines from = gemm_lines_at(mm->a, mm->a16, mm->lda, !mm->a_t, i0 + f.whole, k);
        int64_t step = a_panel_bytes(g, kc);
        g->pack_a(m - f.whole, kc, &from, panels + f.whole / g->mr * step, step);
        f.panels = panels;
    }
    if (b) {
        f.b = b + j0 / g->nr * f.b_step + k * g->nr * g->elem;
    } else {
        char *panels = scratch_take(SCRATCH_B, gemm_b_bytes(g, kc, n));
        gemm_lines from = gemm_lines_at(mm->b, mm->b16, mm->ldb, mm->b_t, j0, k);
        g->pack_b(n, kc, &from, panels, f.b_step);
        f.b = panels;
    }
    return f;
}

static void product_task(void *arg, int64_t i, int worker) {
    (void)worker;
    const product *p = arg;
    const gemm_kind *g = p->g;
    const matmul *mm = p->mm;
    int64_t i0 = i / p->col_cuts * p->rows, j0 = i % p->col_cuts * p->cols;
    int64_t m = least(p->rows, mm->m - i0), n = least(p->cols, mm->n - j0);
    factors plus = {0};
    if (mm->plus)
        plus = factors_of(g, mm->plus, p->plus, i0, m, j0, n, 0, mm->plus->k, SCRATCH_ROWS);
    float *held = NULL;
    if (!p->b)
        held = scratch_take(SCRATCH_C,
                            (size_t)(round_up(m, g->mr) * round_up(n, g->nr)) * sizeof *held);
    int64_t k = 0;
    do {
        int64_t kc = least(p->kc, mm->k - k);
        factors f = factors_of(g, mm, p->b, i0, m, j0, n, k, kc, SCRATCH_A);
        multiply(p, i0, m, j0, n, k, &f, mm->plus ? &plus : NULL, held);
        k += kc;
    } while (k < mm->k);
    if (is_far(mm)) _mm_sfence(); /* other threads may read it from here on */
    if (mm->then && p->col_cuts == 1) mm->then(mm->then_arg, i0, i0 + m);
}

static void run_tasks(product *p) {
    const matmul *mm = p->mm;
    p->col_cuts = cuts(mm->n, p->cols);
    par_for(cuts(mm->m, p->rows) * p->col_cuts, product_task, p);
    if (mm->then && p->col_cuts > 1) mm->then(mm->then_arg, 0, mm->m);
}

/* Cuts c into tasks: blocks of rows as long as they can be had, else columns too. */
static void cut_rows(product *p) {
    const gemm_kind *g = p->g;
    const matmul *mm = p->mm;
    int64_t flop = 2 * most(mm->m, FEW) * mm->n * gemm_k_padded(g, mm->k);
    int64_t wanted = most(1, least(TASKS_A_THREAD * par_threads(), flop / TASK_FLOP));
    int64_t rows = least(MC, most(1, A_BYTES / (least(p->kc, mm->k) * g->elem + 1)));
    p->rows = round_up(least(rows, cuts(mm->m, wanted)), g->mr);
    p->cols = round_up(cuts(mm->n, most(1, wanted / cuts(mm->m, p->rows))), g->nr);
}

/* Cuts c into blocks for tasks that pack for themselves: of all that fit, those whose longest share
 * of a thread, products and packing, is least. */
static void cut_blocks(product *p) {
    const gemm_kind *g = p->g;
    const matmul *mm = p->mm;
    int64_t m = round_up(mm->m, g->mr), n = round_up(mm->n, g->nr), best = INT64_MAX;
    int64_t threads = most(1, least(par_threads(), 2 * m * n * mm->k / TASK_FLOP));
    for (int64_t row_cuts = 1; row_cuts <= m / g->mr; row_cuts *= 2) {
        for (int64_t col_cuts = 1; col_cuts <= n / g->nr; col_cuts *= 2) {
            int64_t rows = round_up(cuts(m, row_cuts), g->mr),
                    cols = round_up(cuts(n, col_cuts), g->nr);
            if (rows * cols * (int64_t)sizeof(float) > C_BYTES) continue;
            int64_t turns = cuts(cuts(m, rows) * cuts(n, cols), threads);
            int64_t cost = turns * (rows * cols + PACK_COST * (rows + cols));
            if (cost < best) best = cost, p->rows = rows, p->cols = cols;
        }
    }
}

void gemm_run(const gemm_kind *g, const matmul *mm) {
    MUST(!mm->accumulate || (!mm->bias && mm->act == ACT_NONE),
         "accumulate takes no bias and no activation");
    MUST(g->round || (!mm->a16 && !mm->b16 && !mm->c16), "these kernels take no bf16");
    MUST(!mm->c16 || mm->packs, "a bf16 result is that of a leaf weight");
    MUST(!mm->c16 || !mm->accumulate, "a bf16 result is not added to");
    MUST(!mm->plus || (mm->c16 && mm->plus->packs), "`plus` is for a bf16 result and leaf weights");
    if (mm->m <= 0 || mm->n <= 0) return;
    product p = {.g = g, .mm = mm};
    if (mm->packs) {
        p.b = gemm_cached(g, mm);
        if (mm->plus) p.plus = gemm_cached(g, mm->plus);
        p.kc = mm->c16 ? most(1, mm->k) : KC_CACHED / g->elem; /* sums are rounded once */
        cut_rows(&p);
    } else if (p.kc = KC_FRESH / g->elem, mm->k * g->elem > K_LONG) {
        cut_blocks(&p);
    } else {
        char *panels = scratch_take(SCRATCH_B, gemm_b_bytes(g, mm->k, mm->n));
        pack_all(g, mm, panels);
        p.b = panels;
        cut_rows(&p);
    }
    run_tasks(&p);
}
