/* Every family of kernels against ref (the idea of ggml's test-backend-ops): one table of
 * cases, each filled from its own seed, run by ref and by the family, outputs compared.
 *
 * An element may differ by tolerance * (its size + the root mean square of the output, taken
 * as 0.1 at least: a single element can be 0 by chance). A family declares a tolerance for
 * each kind of output: products, where bf16 rounds both factors; gradients of attention,
 * differences of such products; and everything else, which is f32 in all families. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cmocka_all.h"
#include "tensor/tensor.h"
#include "util/par.h"
#include "util/rng.h"

typedef enum kind { PRODUCT, DIFFERENCE, OTHER, N_KINDS } kind;

static const struct family {
    const char *name;
    double tolerance[N_KINDS];
} families[] = {
    {"avx2", {1e-5, 1e-5, 1e-5}},
    {"avx512", {1e-5, 1e-5, 1e-5}},
    {"bf16", {2e-2, 6e-2, 1e-5}},
    {"amx", {2e-2, 6e-2, 1e-5}},
};

/* ---- one run of one case ---- */

enum { MAX_OUTPUTS = 6 };

typedef struct run {
    const backend *be;
    rng random;
    arena *a;
    struct output {
        const char *name;
        const float *v;
        int64_t n;
        kind kind;
    } out[MAX_OUTPUTS];
    int n_out;
} run;

static float *noise(run *r, int64_t n, double size) {
    float *x = ARENA_ARRAY(r->a, float, n);
    for (int64_t i = 0; i < n; i++) x[i] = (float)(size * rng_normal(&r->random));
    return x;
}

static void output(run *r, const char *name, const float *v, int64_t n, kind k) {
    MUST(r->n_out < MAX_OUTPUTS, "case with more than %d outputs", MAX_OUTPUTS);
    r->out[r->n_out++] = (struct output){name, v, n, k};
}

/* ---- matmul ---- */

enum { PLAIN, ACCUMULATE, BIAS, FUSED, PACKED, N_MODES };

typedef struct sizes {
    int64_t m, n, k;
} sizes;

static void fill_matmul(run *r, matmul *mm, sizes s, int mode, bool a_t, bool b_t) {
    int64_t pad = mode == FUSED ? 5 : 0; /* rows that are parts of longer ones */
    *mm = (matmul){.m = s.m, .n = s.n, .k = s.k, .a_t = a_t, .b_t = b_t};
    mm->lda = (a_t ? s.m : s.k) + pad;
    mm->ldb = (b_t ? s.k : s.n) + pad;
    mm->ldc = s.n + pad;
    mm->a = noise(r, (a_t ? s.k : s.m) * mm->lda,
                  1 / sqrt((double)s.k + 1e-9)); /* so that c is about 1 */
    mm->b = noise(r, (b_t ? s.n : s.k) * mm->ldb, 1);
    mm->c = noise(r, s.m * mm->ldc, 1); /* overwritten, added to, or between rows kept */
    mm->accumulate = mode == ACCUMULATE;
    mm->bias = mode == BIAS || mode == FUSED ? noise(r, s.n, 1) : NULL;
}

static void case_matmul(run *r, sizes s, int mode, bool a_t, bool b_t, activation act) {
    matmul mm;
    fill_matmul(r, &mm, s, mode, a_t, b_t);
    mm.act = act;
    mm.packs = mode == PACKED ? pack_new() : NULL;
    r->be->matmul(&mm);
    if (mode == PACKED) { /* once more from the packed copy, then after a change of the weight */
        r->be->matmul(&mm);
        float *first = ARENA_ARRAY(r->a, float, s.m *mm.ldc);
        memcpy(first, mm.c, (size_t)(s.m * mm.ldc) * sizeof(float));
        output(r, "first", first, s.m * mm.ldc, PRODUCT);
        mm.b = noise(r, (b_t ? s.n : s.k) * mm.ldb, 1);
        mm.version++;
        r->be->matmul(&mm);
    }
    output(r, "c", mm.c, s.m * mm.ldc, PRODUCT);
    pack_free(mm.packs);
}

/* ---- attention ---- */

typedef struct attention_case {
    const char *name;
    int64_t width, n_heads, q_rows, k_rows;
    int64_t n_spans;
    span q[6], kv[6];
    bool causal, packed; /* packed: q, k, v side by side in one matrix */
} attention_case;

static const attention_case attentions[] = {
    {"self",
     64,
     4,
     37,
     37,
     3,
     {{0, 16}, {16, 17}, {17, 37}},
     {{0, 16}, {16, 17}, {17, 37}},
     false,
     true},
    {"self, one head of odd width",
     7,
     1,
     20,
     20,
     2,
     {{0, 9}, {9, 20}},
     {{0, 9}, {9, 20}},
     false,
     false},
    {"self, heads of 3", 15, 5, 20, 20, 2, {{0, 9}, {9, 20}}, {{0, 9}, {9, 20}}, true, true},
    {"causal", 64, 2, 70, 70, 2, {{0, 3}, {3, 70}}, {{0, 3}, {3, 70}}, true, true},
    {"cross, overlapping keys",
     48,
     2,
     12,
     150,
     3,
     {{0, 5}, {5, 6}, {6, 12}},
     {{0, 150}, {40, 130}, {7, 8}},
     false,
     false},
    {"empty keys, rows in no span",
     16,
     2,
     9,
     5,
     3,
     {{0, 2}, {4, 6}, {8, 9}},
     {{0, 5}, {2, 2}, {3, 5}},
     false,
     false},
    {"causal with a cache",
     32,
     1,
     4,
     90,
     3,
     {{0, 1}, {1, 2}, {2, 4}},
     {{0, 33}, {33, 80}, {80, 90}},
     true,
     false},
    {"causal, fewer keys than queries",
     32,
     2,
     9,
     4,
     2,
     {{0, 6}, {6, 9}},
     {{0, 3}, {3, 4}},
     true,
     false},
    {"fusion in decoder",
     128,
     2,
     20,
     400,
     2,
     {{0, 11}, {11, 20}},
     {{0, 200}, {200, 400}},
     false,
     false},
    {"long", 64, 1, 300, 300, 1, {{0, 300}}, {{0, 300}}, false, true},
};

static void case_attention(run *r, const attention_case *c) {
    int64_t stride = c->packed ? 3 * c->width : c->width + 3;
    float *x = noise(r, (c->q_rows + c->k_rows) * stride * 3, 1);
    attention at = {.q = x,
                    .width = c->width,
                    .n_heads = c->n_heads,
                    .n_spans = c->n_spans,
                    .q_spans = c->q,
                    .kv_spans = c->kv,
                    .causal = c->causal,
                    .q_stride = stride,
                    .k_stride = stride,
                    .v_stride = stride};
    at.k = c->packed ? x + c->width : noise(r, c->k_rows * stride, 1);
    at.v = c->packed ? x + 2 * c->width : noise(r, c->k_rows * stride, 1);
    at.out = arena_push(r->a, (size_t)(c->q_rows * c->width) * sizeof(float));
    at.lse = arena_push(r->a, (size_t)(c->q_rows * c->n_heads) * sizeof(float));
    r->be->attention_forward(&at);
    output(r, "out", at.out, c->q_rows * c->width, PRODUCT);
    output(r, "lse", at.lse, c->q_rows * c->n_heads, PRODUCT);

    at.dout = noise(r, c->q_rows * c->width, 1);
    float *d = noise(r, (c->q_rows + c->k_rows) * stride, 0.1); /* added to */
    at.dq = d;
    at.dk = c->packed ? d + c->width : noise(r, c->k_rows * stride, 0.1);
    at.dv = c->packed ? d + 2 * c->width : noise(r, c->k_rows * stride, 0.1);
    r->be->attention_backward(&at);
    output(r, "dq", d, c->q_rows * stride, DIFFERENCE);
    if (!c->packed) {
        output(r, "dk", at.dk, c->k_rows * stride, DIFFERENCE);
        output(r, "dv", at.dv, c->k_rows * stride, DIFFERENCE);
        float *alone = noise(r, c->k_rows * stride, 0.1);
        at.dq = at.dk = NULL;
        at.dv = alone;
        r->be->attention_backward(&at);
        output(r, "dv alone", alone, c->k_rows * stride, DIFFERENCE);
    }
}

/* ---- rows ---- */

static void case_layer_norm(run *r, int64_t rows, int64_t cols) {
    float *x = noise(r, rows * cols, 3), *gain = noise(r, cols, 1), *bias = noise(r, cols, 1);
    float *y = noise(r, rows * cols, 1), *stat = noise(r, 2 * rows, 1),
          *dy = noise(r, rows * cols, 1);
    float *dx = noise(r, rows * cols, 1), *dgain = noise(r, cols, 1), *dbias = noise(r, cols, 1);
    for (int64_t i = 0; i < rows * cols; i++) x[i] += 2;
    float eps = rows % 2 ? 1e-5f : 1e-12f; /* ours, BERT's */
    r->be->layer_norm(rows, cols, eps, x, gain, bias, y, stat);
    r->be->layer_norm_back(rows, cols, x, gain, stat, dy, dx, dgain, dbias);
    r->be->layer_norm_back(rows, cols, x, gain, stat, dy, NULL, NULL, dbias);
    r->be->layer_norm_back(rows, cols, x, gain, stat, dy, dx, NULL, NULL);
    output(r, "y", y, rows * cols, OTHER);
    output(r, "dx", dx, rows * cols, OTHER);
    output(r, "dgain", dgain, cols, OTHER);
    output(r, "dbias", dbias, cols, OTHER);
}

static void case_rms_norm(run *r, int64_t rows, int64_t cols) {
    float *x = noise(r, rows * cols, 3), *gain = noise(r, cols, 1);
    float *y = noise(r, rows * cols, 1), *stat = noise(r, 2 * rows, 1),
          *dy = noise(r, rows * cols, 1);
    float *dx = noise(r, rows * cols, 1), *dgain = noise(r, cols, 1),
          *plain = noise(r, rows * cols, 1);
    r->be->rms_norm(rows, cols, x, gain, y, stat);
    r->be->rms_norm_back(rows, cols, x, gain, stat, dy, dx, dgain);
    r->be->rms_norm_back(rows, cols, x, gain, stat, dy, NULL, dgain);
    r->be->rms_norm(rows, cols, x, NULL, plain, stat);
    r->be->rms_norm_back(rows, cols, x, NULL, stat, dy, dx, NULL);
    output(r, "y", y, rows * cols, OTHER);
    output(r, "plain", plain, rows * cols, OTHER);
    output(r, "dx", dx, rows * cols, OTHER);
    output(r, "dgain", dgain, cols, OTHER);
}

static void case_softmax(run *r, int64_t rows, int64_t cols) {
    float *x = noise(r, rows * cols, 4), *lse = noise(r, rows, 1);
    for (int64_t i = 0; i < rows * cols; i++)
        if (i % 5 == 1 && cols > 1) x[i] = -INFINITY; /* masked */
    for (int64_t i = 0; i < cols; i++) x[i] += 1000;  /* a row that overflows without its maximum */
    float *again = ARENA_ARRAY(r->a, float, rows *cols);
    memcpy(again, x, (size_t)(rows * cols) * sizeof *x);
    r->be->softmax(rows, cols, x, lse);
    r->be->softmax(rows, cols, again, NULL);
    output(r, "p", x, rows * cols, OTHER);
    output(r, "again", again, rows * cols, OTHER);
    output(r, "lse", lse, rows, OTHER);
}

/* ---- elements ---- */

static void case_activate(run *r, activation act, int64_t n) {
    float *x = noise(r, n, 2), *y = noise(r, n, 1), *dy = noise(r, n, 1), *dx = noise(r, n, 1);
    const float ends[] = {0,  -0.0f, 30,    -30,
                          90, -90,   1e-6f, -1e-6f}; /* where exp and tanh run out */
    for (int64_t i = 0; i < n && i < 8; i++) x[n - 1 - i] = ends[i];
    r->be->activate(n, act, x, y);
    r->be->activate_back(n, act, x, y, dy, dx);
    if (act != ACT_GELU) r->be->activate_back(n, act, NULL, y, dy, dx);
    output(r, "y", y, n, OTHER);
    output(r, "dx", dx, n, OTHER);
}

static void case_vectors(run *r, int64_t n) {
    float *x = noise(r, n, 1), *y = noise(r, n, 1), *z = noise(r, n, 1), *squares = noise(r, 1, 1);
    r->be->add(n, x, y);
    r->be->add_scaled(n, -0.7f, x, z);
    squares[0] = (float)r->be->sum_squares(n, x);
    float *dropped = noise(r, n, 1), *added = noise(r, n, 1);
    dropout_mask d = {.stream = 5, .least = 0x6000, .scale = 1.6f};
    r->be->drop(4 * n, n, &d, NULL, x, dropped);
    r->be->drop(0, n, &d, added, x, added);
    output(r, "dropped", dropped, n, OTHER);
    output(r, "added", added, n, OTHER);
    float *turned = noise(r, n, 1), *angle = noise(r, n, 1);
    r->be->rotate(n / 2, angle, angle + n / 2, 1, x, turned, false);
    r->be->rotate(n / 2, angle, angle + n / 2, -1, y, turned, true);
    output(r, "turned", turned, n, OTHER);
    output(r, "add", y, n, OTHER);
    output(r, "add_scaled", z, n, OTHER);
    output(r, "sum_squares", squares, 1, OTHER);
}

static void case_embed(run *r, int64_t n, int64_t cols) {
    enum { TABLE = 23 };
    float *table = noise(r, TABLE * cols, 1), *y = noise(r, n * cols, 1),
          *dy = noise(r, n * cols, 1);
    float *d = noise(r, TABLE * cols, 1);
    int32_t *id = ARENA_ARRAY(r->a, int32_t, n);
    for (int64_t i = 0; i < n; i++) id[i] = (int32_t)rng_below(&r->random, TABLE + 1) - 1;
    r->be->embed(n, cols, table, id, y);
    r->be->embed_back(n, cols, id, dy, TABLE, d);
    output(r, "y", y, n * cols, OTHER);
    output(r, "d", d, TABLE * cols, OTHER);
}

static void case_adamw(run *r, int64_t n) {
    adamw_args a = {1e-2f, 0.9f, 0.98f, 1e-8f, 0.1f, 0.5f, 0.19f, 0.04f};
    float *grad = noise(r, n, 1), *m = noise(r, n, 0.1), *v = noise(r, n, 0.1), *p = noise(r, n, 1);
    for (int64_t i = 0; i < n; i++) v[i] *= v[i];
    r->be->adamw(n, &a, grad, m, v, p);
    output(r, "m", m, n, OTHER);
    output(r, "v", v, n, OTHER);
    output(r, "p", p, n, OTHER);
}

/* ---- the table ---- */

static const sizes products[] = {
    {1, 1, 1},     {1, 17, 33},    {2, 3, 5},    {7, 1, 64},   {16, 16, 32},
    {17, 33, 31},  {5, 100, 7},    {31, 15, 65}, {64, 48, 96}, {33, 70, 129},
    {97, 129, 40}, {130, 20, 300}, {0, 3, 5},    {3, 0, 5},    {3, 5, 0},
};
enum {
    N_PRODUCTS = sizeof products / sizeof *products,
    N_ATTENTIONS = sizeof attentions / sizeof *attentions
};
static const int64_t rows_sizes[][2] = {{1, 1},  {3, 2},   {5, 7},   {2, 16}, {33, 17},
                                        {4, 64}, {3, 100}, {9, 257}, {2, 768}};
enum { N_ROWS = sizeof rows_sizes / sizeof *rows_sizes };
static const int64_t lengths[] = {1, 7, 16, 33, 100, 1027};
enum { N_LENGTHS = sizeof lengths / sizeof *lengths };

/* Each list numbers its cases from 0 and returns false beyond the last; it says its name in `name`.
 */
static bool next_matmul(run *r, int i, char name[64]) {
    static const activation acts[] = {ACT_NONE, ACT_RELU,    ACT_RELU2,
                                      ACT_GELU, ACT_SIGMOID, ACT_TANH};
    if (i >= N_PRODUCTS * N_MODES * 4) return false;
    sizes s = products[i / (N_MODES * 4)];
    int mode = i / 4 % N_MODES;
    activation act = mode == FUSED ? acts[i % 6] : ACT_NONE;
    snprintf(name, 64, "matmul %dx%dx%d, mode %d%s%s", (int)s.m, (int)s.n, (int)s.k, mode,
             i & 1 ? ", a_t" : "", i & 2 ? ", b_t" : "");
    case_matmul(r, s, mode, i & 1, i & 2, act);
    return true;
}

static bool next_attention(run *r, int i, char name[64]) {
    if (i >= N_ATTENTIONS) return false;
    snprintf(name, 64, "attention: %s", attentions[i].name);
    case_attention(r, &attentions[i]);
    return true;
}

static bool next_rows(run *r, int i, char name[64]) {
    static const char *names[] = {"layer_norm", "rms_norm", "softmax", "embed"};
    static void (*const runs[])(run *, int64_t, int64_t) = {case_layer_norm, case_rms_norm,
                                                            case_softmax, case_embed};
    if (i >= 4 * N_ROWS) return false;
    const int64_t *s = rows_sizes[i / 4];
    snprintf(name, 64, "%s %dx%d", names[i % 4], (int)s[0], (int)s[1]);
    runs[i % 4](r, s[0], s[1]);
    return true;
}

static bool next_elements(run *r, int i, char name[64]) {
    static const char *names[] = {"none",    "relu", "relu2",   "gelu",
                                  "sigmoid", "tanh", "vectors", "adamw"};
    if (i >= 8 * N_LENGTHS) return false;
    int64_t n = lengths[i / 8];
    snprintf(name, 64, "%s of %d", names[i % 8], (int)n);
    if (i % 8 == 6)
        case_vectors(r, n);
    else if (i % 8 == 7)
        case_adamw(r, n);
    else
        case_activate(r, (activation)(i % 8), n);
    return true;
}

/* ---- comparing ---- */

static double root_mean_square(const struct output *o) {
    double sum = 0;
    int64_t n = 0;
    for (int64_t i = 0; i < o->n; i++)
        if (isfinite(o->v[i])) sum += (double)o->v[i] * o->v[i], n++;
    return n ? fmax(0.1, sqrt(sum / (double)n)) : 0.1;
}

/* The worst element, as a multiple of what is allowed. */
static double worst(const struct output *want, const struct output *got, double tolerance,
                    int64_t *at) {
    double size = root_mean_square(want), most = 0;
    for (int64_t i = 0; i < want->n; i++) {
        double w = want->v[i], g = got->v[i];
        if (w == g) continue;
        double off =
            isfinite(w) && isfinite(g) ? fabs(w - g) / (tolerance * (fabs(w) + size)) : INFINITY;
        if (off > most) most = off, *at = i;
    }
    return most;
}

static int compare(const struct family *f, const char *name, const run *want, const run *got,
                   double *most) {
    int n_wrong = 0;
    for (int k = 0; k < want->n_out; k++) {
        int64_t at = 0;
        kind what = want->out[k].kind;
        double off = worst(&want->out[k], &got->out[k], f->tolerance[what], &at);
        if (off > most[what]) most[what] = off;
        if (off <= 1) continue;
        n_wrong++;
        fprintf(stderr, "%s: %s: %s[%lld] = %.8g, ref %.8g: %.1f times the tolerance\n", f->name,
                name, want->out[k].name, (long long)at, (double)got->out[k].v[at],
                (double)want->out[k].v[at], off);
    }
    return n_wrong;
}

static int check_cases(const struct family *f, const backend *be, bool (*next)(run *, int, char *),
                       double *most) {
    int n_wrong = 0;
    arena *a = arena_new((size_t)1 << 28);
    for (int i = 0;; i++) {
        char name[64];
        arena_reset(a, 0);
        run want = {.be = backend_ref(), .random = rng_new((uint64_t)i), .a = a};
        run got = {.be = be, .random = want.random, .a = a};
        if (!next(&want, i, name)) break;
        next(&got, i, name);
        n_wrong += compare(f, name, &want, &got, most);
    }
    arena_free(a);
    return n_wrong;
}

static void check_family(void **state) {
    const struct family *f = *state;
    const backend *be;
    status s = backend_find(f->name, &be);
    if (s == ERR_BACKEND) {
        print_message("%s: skipped, this processor lacks it\n", f->name);
        skip();
    }
    assert_int_equal(s, OK);
    assert_string_equal(be->name, f->name);
    assert_int_equal(be->rounds_to_bf16, f->tolerance[PRODUCT] > 1e-3);
    double most[N_KINDS] = {0};
    int n_wrong = 0;
    par_threads_set(3);
    n_wrong += check_cases(f, be, next_matmul, most);
    n_wrong += check_cases(f, be, next_attention, most);
    n_wrong += check_cases(f, be, next_rows, most);
    n_wrong += check_cases(f, be, next_elements, most);
    par_threads_set(0);
    print_message("%s: worst product %.2f, difference %.2f, other %.2f of the tolerance\n", f->name,
                  most[PRODUCT], most[DIFFERENCE], most[OTHER]);
    assert_int_equal(n_wrong, 0);
}

int main(void) {
    enum { N = sizeof families / sizeof *families };
    struct CMUnitTest tests[N];
    for (int i = 0; i < N; i++)
        tests[i] =
            (struct CMUnitTest){families[i].name, check_family, NULL, NULL, (void *)&families[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
