/* What the families of kernels promise beyond agreement with ref on small shapes
 * (test_parity.c): choice by name, shapes larger than every block of the driver, the same
 * bytes at any number of threads, packed copies that follow their weight, one model read by
 * several threads, and the ends of the functions on vectors. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cmocka_all.h"
#include "tensor/tensor.h"
#include "util/par.h"
#include "util/rng.h"

static const char *const names[] = {"avx2", "avx512", "bf16", "amx"};
enum { N_NAMES = sizeof names / sizeof *names };

/* Calls check with each family that this processor has. */
static void with_each_family(void (*check)(const backend *be)) {
    for (int i = 0; i < N_NAMES; i++) {
        const backend *be;
        status s = backend_find(names[i], &be);
        if (s == ERR_BACKEND)
            print_message("%s: skipped, this processor lacks it\n", names[i]);
        else
            check(be);
    }
}

/* Values in [-1, 1), the same for the same seed; freed by free(). */
static float *noise(uint64_t seed, int64_t n) {
    rng r = rng_new(seed);
    float *x = xmalloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = (float)(2 * rng_uniform(&r) - 1);
    return x;
}

static void assert_near(const char *what, const backend *be, int64_t n, const float *got,
                        const float *want, double tolerance) {
    for (int64_t i = 0; i < n; i++)
        if (got[i] != want[i] &&
            !(fabs((double)got[i] - want[i]) <= tolerance * (1 + fabs((double)want[i]))))
            fail_msg("%s: %s[%lld] = %.8g, wanted %.8g", be->name, what, (long long)i,
                     (double)got[i], (double)want[i]);
}

/* ---- choice ---- */

static void a_family_is_found_by_its_name(void **state) {
    (void)state;
    const backend *be = NULL;
    assert_int_equal(backend_find("ref", &be), OK);
    assert_ptr_equal(be, backend_ref());
    for (int i = 0; i < N_NAMES; i++) {
        be = NULL;
        status s = backend_find(names[i], &be);
        if (s == OK)
            assert_string_equal(be->name, names[i]);
        else
            assert_non_null(strstr(err_msg(), names[i]));
    }
}

static void an_unknown_family_is_told_with_the_known_ones(void **state) {
    (void)state;
    const backend *be = NULL;
    assert_int_equal(backend_find("sse9", &be), ERR_ARG);
    assert_string_equal(err_msg(), "RAGLAN_CPU: 'sse9' is no known family of kernels; use one of: "
                                   "ref, avx2, avx512, bf16, amx");
    assert_null(be);
}

static void without_a_wish_amx_is_taken_where_it_is(void **state) {
    (void)state;
    const backend *amx, *be = NULL;
    char *before = getenv("RAGLAN_CPU") ? xstrdup(getenv("RAGLAN_CPU")) : NULL;
    unsetenv("RAGLAN_CPU");
    assert_int_equal(backend_find(NULL, &be), OK);
    if (backend_find("amx", &amx) == OK)
        assert_ptr_equal(be, amx);
    else
        assert_string_not_equal(be->name, "amx");
    if (before) setenv("RAGLAN_CPU", before, 1);
    free(before);
}

static void the_environment_forces_a_family(void **state) {
    (void)state;
    const backend *be = NULL;
    char *before = getenv("RAGLAN_CPU") ? xstrdup(getenv("RAGLAN_CPU")) : NULL;
    setenv("RAGLAN_CPU", "ref", 1);
    assert_int_equal(backend_find(NULL, &be), OK);
    assert_string_equal(be->name, "ref");
    setenv("RAGLAN_CPU", "none", 1);
    assert_int_equal(backend_find(NULL, &be), ERR_ARG);
    if (before)
        setenv("RAGLAN_CPU", before, 1);
    else
        unsetenv("RAGLAN_CPU");
    free(before);
}

/* ---- shapes larger than blocks ---- */

typedef struct large {
    int64_t m, n, k;
    bool a_t, b_t, accumulate, leaf;
    activation act; /* ACT_NONE: no bias either */
} large;

/* Tasks of 512 rows, 1 MiB of c or 512 KiB of b at a time, 1 to 2 KiB of k in a pass: each shape
 * crosses some. */
static const large shapes[] = {
    {600, 70, 40, false, false, false, true, ACT_RELU},    /* several tasks of rows */
    {40, 560, 1100, false, false, false, true, ACT_TANH},  /* passes over k before the activation */
    {40, 560, 1100, false, true, true, true, ACT_NONE},    /* the same, added and turned */
    {40, 30, 2600, true, false, true, false, ACT_NONE},    /* a weight gradient */
    {33, 520, 1500, true, false, false, false, ACT_RELU},  /* the same with an activation */
    {300, 2100, 520, true, false, false, false, ACT_NONE}, /* ... and several blocks of c */
    {3, 1030, 700, false, false, false, true, ACT_SIGMOID}, /* few rows: tasks of columns */
    {1, 520, 600, false, true, false, true, ACT_NONE},      /* a step of decoding */
    {20, 17, 0, false, false, false, false, ACT_SIGMOID},   /* sums of nothing */
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

/* c [m, n] by `be`; the caller frees. Columns beyond n (2 a row) must stay as they were. */
static float *product_of(const backend *be, const large *s) {
    int64_t lda = (s->a_t ? s->m : s->k) + 3, ldb = (s->b_t ? s->k : s->n) + 1, ldc = s->n + 2;
    float *a = noise(1, (s->a_t ? s->k : s->m) * lda + 1);
    float *b = noise(2, (s->b_t ? s->n : s->k) * ldb + 1);
    float *c = noise(3, s->m * ldc), *bias = noise(4, s->n);
    for (int64_t i = 0; i < s->m; i++) c[i * ldc + s->n] = c[i * ldc + s->n + 1] = 77;
    matmul mm = {.m = s->m, .n = s->n, .k = s->k};
    mm.a = a, mm.lda = lda, mm.a_t = s->a_t;
    mm.b = b, mm.ldb = ldb, mm.b_t = s->b_t;
    mm.c = c, mm.ldc = ldc, mm.accumulate = s->accumulate;
    mm.act = s->act;
    mm.bias = s->act == ACT_NONE ? NULL : bias;
    mm.packs = s->leaf ? pack_new() : NULL;
    be->matmul(&mm);
    for (int64_t i = 0; i < s->m; i++) {
        assert_true(c[i * ldc + s->n] == 77 && c[i * ldc + s->n + 1] == 77);
        memmove(c + i * s->n, c + i * ldc, (size_t)s->n * sizeof *c);
    }
    pack_free(mm.packs);
    free(a);
    free(b);
    free(bias);
    return c;
}

static float *wanted[N_SHAPES]; /* by ref, which takes its time: once for all families */

static void check_large(const backend *be) {
    for (int i = 0; i < N_SHAPES; i++) {
        const large *s = &shapes[i];
        float *got = product_of(be, s);
        /* Sums of k products of numbers below 1, each off by 2^-8 at most in bf16: as a random
         * walk. */
        double step = be->rounds_to_bf16 ? 1. / 256 : 1e-6;
        assert_near("c", be, s->m * s->n, got, wanted[i], step * sqrt((double)s->k + 1));
        free(got);
    }
}

static void products_agree_with_ref_on_shapes_larger_than_their_blocks(void **state) {
    (void)state;
    for (int i = 0; i < N_SHAPES; i++) wanted[i] = product_of(backend_ref(), &shapes[i]);
    with_each_family(check_large);
    for (int i = 0; i < N_SHAPES; i++) free(wanted[i]);
}

static void check_company(const backend *be) {
    for (int way = 0; way < 4; way++) {
        large many = {40, 70, 3000, false, way & 1, false, way & 2, ACT_NONE}, alone = many;
        alone.m = 1;
        float *c = product_of(be, &many), *row = product_of(be, &alone);
        assert_memory_equal(c, row, (size_t)many.n * sizeof *c);
        free(c);
        free(row);
    }
}

static void a_row_of_long_sums_is_the_same_alone_and_among_others(void **state) {
    (void)state;
    with_each_family(check_company);
}

/* ---- threads ---- */

enum { T = 200, D = 96 };

/* Everything that is cut for threads, into one array of floats; the caller frees. */
static float *all_results(const backend *be, int64_t *n) {
    static const span q[] = {{0, 70}, {70, 75}, {75, 200}}, kv[] = {{0, 130}, {60, 200}, {10, 50}};
    int64_t sizes[] = {T * D, 2 * T, T * D, T * D, D, D, T * D, T * D, T * D, T * D, 2};
    int64_t total = 0, at = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) total += sizes[i];
    float *x = noise(5, 3 * T * D), *dy = noise(6, T * D), *gain = noise(7, D),
          *all = noise(8, total);
    float *out[11];
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; at += sizes[i++]) out[i] = all + at;
    int32_t ids[T];
    for (int i = 0; i < T; i++) ids[i] = i * i % 7;
    be->layer_norm(T, D, 1e-5f, x, gain, gain, out[0], out[1]);
    be->layer_norm_back(T, D, x, gain, out[1], dy, out[2], out[4], out[5]);
    attention t = {
        .q = x, .k = x + T * D, .v = x + 2 * T * D, .q_stride = D, .k_stride = D, .v_stride = D};
    t.width = D, t.n_heads = 3, t.n_spans = 3, t.q_spans = q, t.kv_spans = kv;
    float lse[3 * T];
    t.out = out[3], t.lse = lse, t.dout = dy, t.dq = out[6], t.dk = out[7], t.dv = out[8];
    be->attention_forward(&t);
    be->attention_backward(&t);
    be->embed_back(T, D, ids, dy, T, out[9]);
    double squares = be->sum_squares(3 * T * D, x);
    memcpy(out[10], &squares, sizeof squares);
    free(x);
    free(dy);
    free(gain);
    *n = total;
    return all;
}

static void check_threads(const backend *be) {
    static const int threads[] = {1, 2, 3, 5};
    float *first = NULL, *first_product[N_SHAPES] = {0};
    for (int i = 0; i < 4; i++) {
        par_threads_set(threads[i]);
        int64_t n;
        float *all = all_results(be, &n);
        if (first && memcmp(first, all, (size_t)n * sizeof *all) != 0)
            fail_msg("%s: %d threads give other bytes than 1", be->name, threads[i]);
        if (first) free(all);
        if (!first) first = all;
        for (int k = 0; k < N_SHAPES; k++) {
            float *c = product_of(be, &shapes[k]);
            size_t bytes = (size_t)(shapes[k].m * shapes[k].n) * sizeof *c;
            if (first_product[k] && memcmp(first_product[k], c, bytes) != 0)
                fail_msg("%s: product %d by %d threads has other bytes", be->name, k, threads[i]);
            if (first_product[k]) free(c);
            if (!first_product[k]) first_product[k] = c;
        }
    }
    free(first);
    for (int k = 0; k < N_SHAPES; k++) free(first_product[k]);
    par_threads_set(0);
}

static void any_number_of_threads_gives_the_same_bytes(void **state) {
    (void)state;
    with_each_family(check_threads);
}

/* ---- packed weights ---- */

static float one_product(const backend *be, pack_cache *packs, const float *w, uint64_t version,
                         bool turned) {
    float x = 1, y = 0;
    be->matmul(&(matmul){.m = 1,
                         .n = 1,
                         .k = 1,
                         .a = &x,
                         .lda = 1,
                         .b = w,
                         .ldb = 1,
                         .b_t = turned,
                         .c = &y,
                         .ldc = 1,
                         .packs = packs,
                         .version = version});
    return y;
}

static void check_renewal(const backend *be) {
    pack_cache *packs = pack_new();
    float w = 2, other = 8;
    assert_true(one_product(be, packs, &w, 0, false) == 2);
    assert_true(one_product(be, packs, &w, 0, true) == 2);
    w = 4;
    assert_true(one_product(be, packs, &w, 1, false) == 4);
    assert_true(one_product(be, packs, &w, 1, true) == 4);
    assert_true(one_product(be, packs, &other, 1, false) == 8); /* another place, same version */
    assert_true(one_product(be, packs, &w, 1, false) == 4);
    pack_free(packs);
}

static void a_packed_copy_follows_its_weight(void **state) {
    (void)state;
    with_each_family(check_renewal);
    pack_free(NULL);
}

static void a_packed_copy_serves_one_family_after_another(void **state) {
    (void)state;
    pack_cache *packs = pack_new();
    float w = 3;
    for (int i = 0; i < 2 * N_NAMES; i++) {
        const backend *be;
        if (backend_find(names[i % N_NAMES], &be) == OK)
            assert_true(one_product(be, packs, &w, 0, false) == 3);
    }
    pack_free(packs);
}

typedef struct reader {
    const backend *be;
    const float *x, *w;
    pack_cache *packs;
    float y[8 * 64];
} reader;

static void *read_model(void *arg) {
    reader *r = arg;
    for (int i = 0; i < 20; i++)
        r->be->matmul(&(matmul){.m = 8,
                                .n = 64,
                                .k = 64,
                                .a = r->x,
                                .lda = 64,
                                .b = r->w,
                                .ldb = 64,
                                .c = r->y,
                                .ldc = 64,
                                .packs = r->packs});
    return NULL;
}

static void check_readers(const backend *be) {
    enum { N = 3 };
    float *x = noise(9, 8 * 64), *w = noise(10, 64 * 64);
    pack_cache *packs = pack_new();
    reader r[N];
    pthread_t threads[N];
    for (int i = 0; i < N; i++) {
        r[i] = (reader){.be = be, .x = x, .w = w, .packs = packs};
        assert_int_equal(pthread_create(&threads[i], NULL, read_model, &r[i]), 0);
    }
    for (int i = 0; i < N; i++) pthread_join(threads[i], NULL);
    for (int i = 1; i < N; i++) assert_memory_equal(r[i].y, r[0].y, sizeof r[0].y);
    pack_free(packs);
    free(x);
    free(w);
}

static void several_threads_read_one_model(void **state) {
    (void)state;
    with_each_family(check_readers);
}

/* ---- the ends of the functions ---- */

static void check_ends(const backend *be) {
    /* 21 values: two full vectors of 8 or one of 16, and a rest. */
    const float x[21] = {0,  -0.f, 1e-30f, -1e-30f, 1e-4f, -1e-4f,   .6249f,    .6251f, 3,    -3, 9,
                         -9, 20,   -20,    88,      -88,   INFINITY, -INFINITY, 200,    -200, -13};
    static const activation acts[] = {ACT_TANH, ACT_SIGMOID, ACT_GELU, ACT_RELU};
    for (int a = 0; a < 4; a++) {
        float got[21], want[21];
        int64_t n =
            acts[a] == ACT_GELU ? 16 : 21; /* GELU of -infinity is no number in ref either */
        be->activate(n, acts[a], x, got);
        backend_ref()->activate(n, acts[a], x, want);
        assert_near("activation", be, n, got, want, 1e-6);
        if (acts[a] == ACT_TANH) { /* small values keep their relative precision */
            assert_true(fabsf(got[4] - 1e-4f) < 1e-10f);
            assert_true(got[2] == 1e-30f && got[16] == 1 && got[17] == -1);
        }
    }
    float nan = NAN, y = 0;
    be->activate(1, ACT_SIGMOID, &nan, &y);
    assert_true(isnan(y));
    float s[19], lse;
    for (int i = 0; i < 19; i++) s[i] = i % 3 ? -INFINITY : 1000;
    be->softmax(1, 19, s, &lse);
    for (int i = 0; i < 19; i++) assert_true(i % 3 ? s[i] == 0 : fabsf(s[i] - 1 / 7.f) < 1e-7f);
    assert_true(fabsf(lse - (1000 + logf(7))) < 1e-3f);
}

static void functions_keep_their_ends(void **state) {
    (void)state;
    with_each_family(check_ends);
}

/* ---- memory ---- */

static void a_helper_thread_gives_its_scratch_back(void **state) {
    (void)state; /* the leak checker of the sanitizer build looks at what is left */
    for (int i = 2; i < 5; i++) {
        par_threads_set(i);
        free(product_of(backend_cpu(), &shapes[0]));
    }
    par_threads_set(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_family_is_found_by_its_name),
        cmocka_unit_test(an_unknown_family_is_told_with_the_known_ones),
        cmocka_unit_test(without_a_wish_amx_is_taken_where_it_is),
        cmocka_unit_test(the_environment_forces_a_family),
        cmocka_unit_test(products_agree_with_ref_on_shapes_larger_than_their_blocks),
        cmocka_unit_test(a_row_of_long_sums_is_the_same_alone_and_among_others),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bytes),
        cmocka_unit_test(a_packed_copy_follows_its_weight),
        cmocka_unit_test(a_packed_copy_serves_one_family_after_another),
        cmocka_unit_test(several_threads_read_one_model),
        cmocka_unit_test(functions_keep_their_ends),
        cmocka_unit_test(a_helper_thread_gives_its_scratch_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
