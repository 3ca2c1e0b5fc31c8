/* Products in 8-bit integers: what they mean, and that every set of instructions, cut and number of
 * threads gives the same bytes (the sums are integers, so nothing less is asked). */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "cmocka_all.h"
#include "tensor/tensor.h"
#include "util/par.h"
#include "util/rng.h"

static const char *const families[] = {"ref", "avx2", "avx512", "bf16", "amx"};
enum { N_FAMILIES = sizeof families / sizeof *families };

/* The 8-bit backend over a family, NULL where this processor lacks it. */
static const backend *int8_of(const char *name) {
    const backend *base;
    return backend_find(name, &base) ? NULL : backend_int8(base);
}

static void one_weight_and_one_row_are_rounded_as_the_formula_says(void **state) {
    (void)state;
    /* row: 4 is 127 steps, so 1 is 31.75 steps and becomes 32; columns: 2 and 0.5 are 127 steps */
    float x[3] = {4, 1, -2}, w[6] = {2, 0.5f, -1, 0.25f, 0, -0.5f}, bias[2] = {10, 20}, y[2];
    for (int i = 0; i < N_FAMILIES; i++) {
        const backend *be = int8_of(families[i]);
        if (!be) continue;
        matmul mm = {.m = 1, .n = 2, .k = 3, .a = x, .lda = 3, .b = w, .ldb = 2, .c = y, .ldc = 2};
        mm.bias = bias;
        mm.packs = pack_new();
        be->matmul(&mm);
        pack_free(mm.packs);
        /* rounded row 127 32 -64; columns 127 -64 0 and 127 64 -127 */
        float left = (127 * 127 - 32 * 64), right = (127 * 127 + 32 * 64 + 64 * 127);
        assert_float_equal(y[0], left * (4 / 127.0f * (2 / 127.0f)) + 10, 1e-6);
        assert_float_equal(y[1], right * (4 / 127.0f * (0.5f / 127.0f)) + 20, 1e-6);
    }
}

typedef struct shape {
    int64_t m, n, k;
} shape;
static const shape shapes[] = {{1, 1, 1},    {1, 33, 64},   {2, 31, 3},     {3, 32, 65},
                               {16, 64, 63}, {17, 100, 96}, {33, 257, 130}, {130, 96, 1030}};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

/* A product of made-up data: c [m, n], caller frees. */
static float *product(const backend *be, shape s, bool b_t, activation act, bool is_leaf) {
    rng r = rng_new(7);
    int64_t lda = s.k + 3, ldb = (b_t ? s.k : s.n) + 2, rows = b_t ? s.n : s.k;
    float *a = xmalloc((size_t)(s.m * lda) * sizeof *a);
    float *b = xmalloc((size_t)(rows * ldb) * sizeof *b);
    float *bias = xmalloc((size_t)s.n * sizeof *bias);
    float *c = xcalloc((size_t)(s.m * s.n), sizeof *c);
    for (int64_t i = 0; i < s.m * lda; i++) a[i] = (float)rng_normal(&r);
    for (int64_t i = 0; i < rows * ldb; i++) b[i] = (float)rng_normal(&r);
    for (int64_t i = 0; i < s.n; i++) bias[i] = (float)rng_normal(&r);
    matmul mm = {.m = s.m, .n = s.n, .k = s.k, .a = a, .lda = lda, .b = b, .ldb = ldb, .b_t = b_t};
    mm.c = c, mm.ldc = s.n, mm.bias = bias, mm.act = act;
    mm.packs = is_leaf ? pack_new() : NULL;
    be->matmul(&mm);
    pack_free(mm.packs);
    free(a);
    free(b);
    free(bias);
    return c;
}

static void every_family_gives_the_bytes_of_ref(void **state) {
    (void)state;
    for (int i = 1; i < N_FAMILIES; i++)
        for (int j = 0; j < 2 * N_SHAPES; j++) {
            const backend *be = int8_of(families[i]);
            if (!be) continue;
            shape s = shapes[j / 2];
            float *law = product(int8_of("ref"), s, j % 2, ACT_RELU, true);
            float *got = product(be, s, j % 2, ACT_RELU, true);
            if (memcmp(law, got, (size_t)(s.m * s.n) * sizeof *got))
                fail_msg("%s differs at %dx%dx%d, b_t %d", families[i], (int)s.m, (int)s.n,
                         (int)s.k, j % 2);
            free(law);
            free(got);
        }
}

static void the_number_of_threads_changes_no_byte(void **state) {
    (void)state;
    shape s = {300, 500, 256};
    const int threads[] = {1, 2, 3, 5};
    float *first = NULL;
    for (int i = 0; i < 4; i++) {
        par_threads_set(threads[i]);
        float *c = product(backend_int8(backend_cpu()), s, false, ACT_GELU, true);
        if (first) assert_memory_equal(first, c, (size_t)(s.m * s.n) * sizeof *c);
        free(first);
        first = c;
    }
    free(first);
    par_threads_set(0);
}

/* The same rows, because they are drawn first, alone and with others. */
static void a_row_does_not_depend_on_its_company(void **state) {
    (void)state;
    int64_t n = 70, k = 100, m = 40;
    rng r = rng_new(3);
    float *a = xmalloc((size_t)(m * k) * sizeof *a), *b = xmalloc((size_t)(n * k) * sizeof *b);
    float *all = xmalloc((size_t)(m * n) * sizeof *all), *one = xmalloc((size_t)n * sizeof *one);
    for (int64_t i = 0; i < m * k; i++) a[i] = (float)rng_normal(&r);
    for (int64_t i = 0; i < n * k; i++) b[i] = (float)rng_normal(&r);
    matmul mm = {.m = m, .n = n, .k = k, .a = a, .lda = k, .b = b, .ldb = n, .c = all, .ldc = n};
    mm.packs = pack_new();
    const backend *be = backend_int8(backend_cpu());
    be->matmul(&mm);
    mm.m = 1, mm.c = one;
    for (int64_t i = 0; i < m; i++) {
        mm.a = a + i * k;
        be->matmul(&mm);
        assert_memory_equal(one, all + i * n, (size_t)n * sizeof *one);
    }
    pack_free(mm.packs);
    free(a);
    free(b);
    free(all);
    free(one);
}

static void it_stays_near_the_product_in_f32(void **state) {
    (void)state;
    shape s = {64, 96, 512};
    float *exact = product(backend_ref(), s, false, ACT_NONE, true);
    float *got = product(int8_of("ref"), s, false, ACT_NONE, true);
    double error = 0, size = 0;
    for (int64_t i = 0; i < s.m * s.n; i++) {
        error += pow((double)got[i] - exact[i], 2);
        size += pow(exact[i], 2);
    }
    assert_true(sqrt(error / size) < 0.015); /* two factors with steps of 3 / 127 deviations */
    free(exact);
    free(got);
}

static void what_is_no_weight_is_multiplied_as_before(void **state) {
    (void)state;
    shape s = {5, 40, 64};
    float *base = product(backend_cpu(), s, true, ACT_NONE, false);
    float *got = product(backend_int8(backend_cpu()), s, true, ACT_NONE, false);
    assert_memory_equal(base, got, (size_t)(s.m * s.n) * sizeof *got);
    free(base);
    free(got);
}

static void a_precision_is_a_backend(void **state) {
    (void)state;
    const backend *be;
    assert_int_equal(backend_precise(PRECISION_AUTO, &be), OK);
    assert_ptr_equal(be, backend_cpu());
    assert_int_equal(backend_precise(PRECISION_F32, &be), OK);
    assert_false(be->rounds_to_bf16);
    assert_int_equal(backend_precise(PRECISION_INT8, &be), OK);
    assert_ptr_equal(be, backend_int8(backend_cpu()));
    assert_ptr_equal(be, backend_int8(be));
    status st = backend_precise(PRECISION_BF16, &be);
    if (backend_cpu()->rounds_to_bf16)
        assert_ptr_equal(be, backend_cpu());
    else {
        assert_int_equal(st, ERR_BACKEND);
        assert_non_null(strstr(err_msg(), "use f32 or int8"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_weight_and_one_row_are_rounded_as_the_formula_says),
        cmocka_unit_test(every_family_gives_the_bytes_of_ref),
        cmocka_unit_test(the_number_of_threads_changes_no_byte),
        cmocka_unit_test(a_row_does_not_depend_on_its_company),
        cmocka_unit_test(it_stays_near_the_product_in_f32),
        cmocka_unit_test(what_is_no_weight_is_multiplied_as_before),
        cmocka_unit_test(a_precision_is_a_backend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
