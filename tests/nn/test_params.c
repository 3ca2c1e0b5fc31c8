/* Parameters, AdamW against its formula worked by hand, the schedule. */
#include "nn/params.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define NEAR(a, b, eps) assert_true(fabs((double)(a) - (double)(b)) <= (eps))

static params *build(bool with_extra) {
    params *p = params_new();
    params_add(p, "w", 3, 5, (param_options){.init = INIT_NORMAL, .scale = .5f});
    if (with_extra) params_add(p, "extra", 7, 1, (param_options){.init = INIT_UNIFORM, .scale = 1});
    params_add(p, "b", 1, 5, (param_options){.init = INIT_ONE, .no_decay = true});
    params_add(p, "eye", 2, 3, (param_options){.init = INIT_EYE, .scale = 2});
    assert_int_equal(params_build(p, 42, true), OK);
    return p;
}

static void tensors_are_aligned_and_counted(void **state) {
    (void)state;
    params *p = build(true);
    assert_int_equal(params_tensors(p), 4);
    assert_int_equal(params_count(p), 15 + 7 + 5 + 6);
    for (int64_t i = 0; i < 4; i++) {
        const char *name;
        tensor *t = params_at(p, i, &name);
        assert_ptr_equal(params_find(p, name), t);
        assert_int_equal((uintptr_t)t->v % 64, 0);
        assert_int_equal((uintptr_t)t->d % 64, 0);
    }
    assert_null(params_find(p, "none"));
    params_free(p);
    params_free(NULL);
}

static void initial_values_are_as_asked(void **state) {
    (void)state;
    params *p = build(true);
    const float eye[6] = {2, 0, 0, 0, 2, 0}, ones[5] = {1, 1, 1, 1, 1};
    assert_memory_equal(params_find(p, "eye")->v, eye, sizeof eye);
    assert_memory_equal(params_find(p, "b")->v, ones, sizeof ones);
    for (int i = 0; i < 7; i++) assert_true(fabsf(params_find(p, "extra")->v[i]) <= 1);
    params_free(p);

    p = params_new();
    tensor *t = params_add(p, "n", 100, 1000, (param_options){.init = INIT_NORMAL, .scale = .5f});
    assert_int_equal(params_build(p, 1, false), OK);
    assert_null(t->d);
    double sum = 0, squares = 0;
    for (int i = 0; i < 100000; i++) {
        sum += t->v[i];
        squares += t->v[i] * t->v[i];
    }
    NEAR(sum / 1e5, 0, .005); /* three standard errors */
    NEAR(sqrt(squares / 1e5), .5, .004);
    params_free(p);
}

static void another_tensor_changes_no_others_values(void **state) {
    (void)state;
    params *p = build(false), *q = build(true), *r = params_new();
    assert_memory_equal(params_find(p, "w")->v, params_find(q, "w")->v, 15 * sizeof(float));
    tensor *w = params_add(r, "w", 3, 5, (param_options){.init = INIT_NORMAL, .scale = .5f});
    assert_int_equal(params_build(r, 43, false), OK);
    assert_memory_not_equal(params_find(p, "w")->v, w->v, 15 * sizeof(float));
    params_free(p);
    params_free(q);
    params_free(r);
}

static void impossible_sizes_are_refused(void **state) {
    (void)state;
    params *p = params_new();
    params_add(p, "huge", INT64_MAX / 4, 8, (param_options){0});
    assert_int_equal(params_build(p, 1, true), ERR_MEM);
    assert_non_null(strstr(err_msg(), "'huge'"));
    params_free(p);
}

/* First step: m = .1 g, v = .001 g^2; corrected they are g and g^2, so the step is lr times the
 * sign of g, after the decay lr * decay * p. */
static void adamw_follows_its_formula(void **state) {
    (void)state;
    params *p = params_new();
    tensor *a = params_add(p, "a", 1, 1, (param_options){.init = INIT_ONE});
    tensor *b =
        params_add(p, "b", 1, 1, (param_options){.init = INIT_ONE, .no_decay = true, .lr = 10});
    assert_int_equal(params_build(p, 1, true), OK);
    adamw o = adamw_default();
    o.lr = .01f;
    o.weight_decay = .5f;
    uint64_t before = a->version;
    a->d[0] = .3f;
    b->d[0] = -.4f;
    NEAR(adamw_step(&o, p, backend_ref()), .5, 1e-6);
    assert_int_equal(o.step, 1);
    assert_true(a->version > before);
    NEAR(a->v[0], 1 - .01 * .5 - .01, 1e-6);
    NEAR(b->v[0], 1 + .1, 1e-6);
    assert_true(a->d[0] == 0 && b->d[0] == 0);

    /* Second step, gradient .1: m = .9 * .03 + .01 = .037, v = .999 * 9e-5 + 1e-5 = 9.991e-5. */
    a->d[0] = .1f;
    double at = a->v[0], m = .037 / (1 - .81), v = 9.991e-5 / (1 - .999 * .999);
    adamw_step(&o, p, backend_ref());
    NEAR(a->v[0], at - .01 * .5 * at - .01 * m / sqrt(v), 1e-6);
    params_free(p);
}

/* Without bias correction (the origin) it is lr * .1 g / sqrt(.001 g^2) = lr * 3.16228. */
static void adamw_without_correction_steps_as_the_origin(void **state) {
    (void)state;
    params *p = params_new();
    tensor *a = params_add(p, "a", 1, 1, (param_options){.init = INIT_ZERO});
    assert_int_equal(params_build(p, 1, true), OK);
    adamw o = adamw_default();
    o.lr = .01f;
    o.bias_correction = false;
    a->d[0] = .5f;
    adamw_step(&o, p, backend_ref());
    NEAR(a->v[0], -.0316228, 1e-6);
    params_free(p);
}

/* eps so large that a step is the clipped gradient itself, in millionths. */
static void gradients_are_clipped_to_the_global_norm(void **state) {
    (void)state;
    params *p = params_new();
    tensor *a = params_add(p, "a", 1, 1, (param_options){.init = INIT_ZERO});
    tensor *b = params_add(p, "b", 1, 1, (param_options){.init = INIT_ZERO});
    assert_int_equal(params_build(p, 1, true), OK);
    adamw o = {.lr = 1, .eps = 1e6f, .clip = 1};
    a->d[0] = 30;
    b->d[0] = 40;
    NEAR(adamw_step(&o, p, backend_ref()), 50, 1e-4);
    NEAR(a->v[0] * 1e6, -.6, 1e-4);
    NEAR(b->v[0] * 1e6, -.8, 1e-4);
    params_free(p);
}

static void a_gradient_that_is_not_finite_changes_nothing(void **state) {
    (void)state;
    params *p = build(false);
    tensor *w = params_find(p, "w");
    adamw o = adamw_default();
    const float bad[2] = {NAN, INFINITY};
    for (int i = 0; i < 2; i++) {
        float kept[15];
        memcpy(kept, w->v, sizeof kept);
        w->d[3] = bad[i];
        assert_true(isnan(adamw_step(&o, p, backend_ref())));
        assert_memory_equal(w->v, kept, sizeof kept);
        assert_int_equal(o.step, 0);
        assert_true(w->d[3] == 0);
    }
    params_free(p);
}

static void a_bounded_parameter_stays_above_its_bound(void **state) {
    (void)state;
    params *p = params_new();
    tensor *a = params_add(p, "scale", 1, 1,
                           (param_options){.init = INIT_ONE, .min = .95f, .has_min = true});
    assert_int_equal(params_build(p, 1, true), OK);
    adamw o = adamw_default();
    o.lr = .1f;
    a->d[0] = 1;
    adamw_step(&o, p, backend_ref());
    assert_true(a->v[0] == .95f);
    params_free(p);
}

static void schedule_warms_up_from_zero_and_comes_down_in_a_line(void **state) {
    (void)state;
    schedule origin = {.lr = .4f, .warmup = 200, .total = 1000, .flat = 1};
    NEAR(schedule_lr(&origin, 0), 0, 0);
    NEAR(schedule_lr(&origin, 50), .1, 1e-7);
    NEAR(schedule_lr(&origin, 200), .4, 1e-7);
    NEAR(schedule_lr(&origin, 999), .4, 1e-7);

    schedule line = {.lr = .4f, .warmup = 10, .total = 1000, .flat = .5f, .floor = .1f};
    NEAR(schedule_lr(&line, 5), .2, 1e-7);
    NEAR(schedule_lr(&line, 500), .4, 1e-7);
    NEAR(schedule_lr(&line, 750), .4 * .55, 1e-7);
    NEAR(schedule_lr(&line, 1000), .04, 1e-7);
    NEAR(schedule_lr(&line, 2000), .04, 1e-7);

    schedule open = {.lr = .4f, .flat = .5f}; /* no total yet: constant */
    NEAR(schedule_lr(&open, 0), .4, 1e-7);
    NEAR(schedule_lr(&open, 12345), .4, 1e-7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_are_aligned_and_counted),
        cmocka_unit_test(initial_values_are_as_asked),
        cmocka_unit_test(another_tensor_changes_no_others_values),
        cmocka_unit_test(impossible_sizes_are_refused),
        cmocka_unit_test(adamw_follows_its_formula),
        cmocka_unit_test(adamw_without_correction_steps_as_the_origin),
        cmocka_unit_test(gradients_are_clipped_to_the_global_norm),
        cmocka_unit_test(a_gradient_that_is_not_finite_changes_nothing),
        cmocka_unit_test(a_bounded_parameter_stays_above_its_bound),
        cmocka_unit_test(schedule_warms_up_from_zero_and_comes_down_in_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
