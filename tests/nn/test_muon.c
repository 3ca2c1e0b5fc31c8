/* Muon: what a step of a hidden matrix looks like, and that nothing else is touched. */
#include "nn/params.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "util/par.h"
#include "util/rng.h"

static params *build(int64_t rows, int64_t cols) {
    params *p = params_new();
    params_add(p, "w", rows, cols, (param_options){.init = INIT_ZERO, .is_hidden = true});
    params_add(p, "table", rows, cols, (param_options){.init = INIT_ZERO});
    assert_int_equal(params_build(p, 42, true), OK);
    rng r = rng_new(7);
    tensor *w = params_find(p, "w"), *table = params_find(p, "table");
    for (int64_t i = 0; i < rows * cols; i++) /* rows and columns of very different sizes */
        w->d[i] = table->d[i] =
            (float)(rng_normal(&r) * (1 + 9.0 * (double)(i / cols) / (double)rows));
    return p;
}

static adamw muon(void) {
    adamw o = adamw_default();
    o.lr = 1;
    o.weight_decay = 0;
    o.muon = true;
    return o;
}

/* Of w [rows, cols] the smaller side's products with itself: a step has all singular values near
 * .2 sqrt(max), so they are near that squared on the diagonal, near zero elsewhere. */
static void assert_orthogonal_step(int64_t rows, int64_t cols) {
    params *p = build(rows, cols);
    adamw o = muon();
    assert_true(adamw_step(&o, p, backend_ref()) > 0);
    const float *w = params_find(p, "w")->v;
    bool tall = rows > cols;
    int64_t n = tall ? cols : rows, m = tall ? rows : cols;
    double unit = .04 * (double)m;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j <= i; j++) {
            double sum = 0;
            for (int64_t k = 0; k < m; k++)
                sum += tall ? w[k * cols + i] * w[k * cols + j] : w[i * cols + k] * w[j * cols + k];
            if (i == j)
                assert_true(sum / unit > .4 && sum / unit < 1.5);
            else
                assert_true(fabs(sum / unit) < .35);
        }
    params_free(p);
}

static void a_step_is_orthogonal_whatever_the_gradient_s_scale(void **state) {
    (void)state;
    assert_orthogonal_step(8, 8);
    assert_orthogonal_step(8, 40);
    assert_orthogonal_step(33, 5);
    assert_orthogonal_step(1, 7);
}

static void a_step_goes_against_the_gradient_and_decays(void **state) {
    (void)state;
    params *p = build(6, 9);
    tensor *w = params_find(p, "w");
    float d[54];
    memcpy(d, w->d, sizeof d);
    adamw o = muon();
    adamw_step(&o, p, backend_ref());
    double along = 0;
    for (int i = 0; i < 54; i++) along += d[i] * w->v[i];
    assert_true(along < 0);

    float before = w->v[3];
    o.weight_decay = .5f; /* no gradient: momentum alone, and a half of what was there goes */
    params_zero_grad(p);
    adamw_step(&o, p, backend_ref());
    params *q = build(6, 9);
    adamw plain = muon();
    adamw_step(&plain, q, backend_ref());
    params_zero_grad(q);
    adamw_step(&plain, q, backend_ref());
    assert_float_equal(w->v[3], params_find(q, "w")->v[3] - .5f * before, 1e-5);
    params_free(p);
    params_free(q);
}

static void other_parameters_are_left_to_adamw(void **state) {
    (void)state;
    params *p = build(4, 6), *q = build(4, 6);
    adamw with = muon(), without = muon();
    without.muon = false;
    adamw_step(&with, p, backend_ref());
    adamw_step(&without, q, backend_ref());
    size_t bytes = 24 * sizeof(float);
    assert_memory_equal(params_find(p, "table")->v, params_find(q, "table")->v, bytes);
    assert_memory_not_equal(params_find(p, "w")->v, params_find(q, "w")->v, bytes);
    params_free(p);
    params_free(q);
}

static void a_zero_gradient_moves_nothing(void **state) {
    (void)state;
    params *p = build(5, 5);
    params_zero_grad(p);
    adamw o = muon();
    adamw_step(&o, p, backend_ref());
    for (int i = 0; i < 25; i++) assert_true(params_find(p, "w")->v[i] == 0);
    params_free(p);
}

static void threads_do_not_change_a_byte(void **state) {
    (void)state;
    float first[96 * 130];
    for (int threads = 1; threads <= 5; threads += 2) {
        par_threads_set(threads);
        params *p = build(96, 130);
        adamw o = muon();
        adamw_step(&o, p, backend_cpu());
        if (threads == 1)
            memcpy(first, params_find(p, "w")->v, sizeof first);
        else
            assert_memory_equal(first, params_find(p, "w")->v, sizeof first);
        params_free(p);
    }
    par_threads_set(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_is_orthogonal_whatever_the_gradient_s_scale),
        cmocka_unit_test(a_step_goes_against_the_gradient_and_decays),
        cmocka_unit_test(other_parameters_are_left_to_adamw),
        cmocka_unit_test(a_zero_gradient_moves_nothing),
        cmocka_unit_test(threads_do_not_change_a_byte),
    };
    return cmocka_run_group_tests_name("muon", tests, NULL, NULL);
}
