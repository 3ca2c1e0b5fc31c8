/* Values in bf16 (tensor.h, "halves"): the same products as floats that are rounded on the way,
 * attention and whole layers that agree with floats as well as bf16 can, and the same bytes at
 * any number of threads. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cmocka_all.h"
#include "tensor/tensor.h"
#include "util/par.h"
#include "util/rng.h"

/* Calls check with each family that takes bf16 here. */
static void with_each_family(void (*check)(const backend *be)) {
    static const char *const names[] = {"bf16", "amx"};
    for (int i = 0; i < 2; i++) {
        const backend *be;
        if (backend_find(names[i], &be))
            print_message("%s: skipped, this processor lacks it\n", names[i]);
        else
            check(be);
    }
}

static arena *memory;
static int make_memory(void **state) {
    (void)state;
    memory = arena_new(0);
    return 0;
}
static int free_memory(void **state) {
    (void)state;
    arena_free(memory);
    return 0;
}

/* Values in [-1, 1), the same for the same seed. */
static float *noise(uint64_t seed, int64_t n) {
    rng r = rng_new(seed);
    float *x = ARENA_ARRAY(memory, float, n);
    for (int64_t i = 0; i < n; i++) x[i] = (float)(2 * rng_uniform(&r) - 1);
    return x;
}
static bf16 *rounded(const backend *be, int64_t n, const float *x) {
    bf16 *y = ARENA_ARRAY(memory, bf16, n);
    be->round(n, x, y);
    return y;
}
static float *widened(const backend *be, int64_t n, const bf16 *x) {
    float *y = ARENA_ARRAY(memory, float, n);
    be->widen(n, x, y);
    return y;
}

/* Root mean square of the difference, as a share of that of what is wanted. */
static double distance(int64_t n, const float *got, const float *want) {
    double error = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        error += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        size += (double)want[i] * want[i];
    }
    return sqrt(error / size);
}
static void assert_near(const char *what, const backend *be, int64_t n, const float *got,
                        const float *want, double most) {
    double off = distance(n, got, want);
    if (!(off <= most)) fail_msg("%s: %s is off by %g of its size", be->name, what, off);
}

/* ---- rounding ---- */

static void check_rounding(const backend *be) {
    static const float x[] = {1, -2, 1.00390625f, 1.01171875f, 1.005f, 1e-39f, INFINITY};
    static const uint16_t want[] = {0x3f80, 0xc000, 0x3f80, 0x3f82, 0x3f81, 0, 0x7f80};
    enum { N = sizeof x / sizeof *x };
    bf16 *y = rounded(be, N, x);
    for (int i = 0; i < N; i++)
        if (y[i] != want[i]) fail_msg("%s: %g gave %04x", be->name, (double)x[i], y[i]);
    float *back = widened(be, N, y);
    assert_true(back[0] == 1 && back[1] == -2 && back[3] == 1.015625f && back[6] == INFINITY);
}

static void a_half_is_rounded_to_nearest_even(void **state) {
    (void)state;
    with_each_family(check_rounding);
}

/* ---- products ---- */

enum { M = 71, N = 50, K = 67 }; /* of no block a multiple */

static void check_factors_of(const backend *be, int64_t m, int64_t n, int64_t k) {
    for (int way = 0; way < 4; way++) {
        bool a_t = way & 1, b_t = way & 2;
        float *a = noise(1, m * k), *b = noise(2, k * n);
        float *c = noise(3, m * n), *c_half = noise(3, m * n);
        matmul mm = {.m = m, .n = n, .k = k, .a_t = a_t, .b_t = b_t, .ldc = n, .accumulate = true};
        mm.lda = a_t ? m : k, mm.ldb = b_t ? k : n;
        mm.a = a, mm.b = b, mm.c = c;
        be->matmul(&mm);
        mm.a = NULL, mm.a16 = rounded(be, m * k, a);
        mm.b = NULL, mm.b16 = rounded(be, k * n, b), mm.c = c_half;
        be->matmul(&mm);
        assert_memory_equal(c, c_half, (size_t)(m * n) * sizeof *c);
    }
}

static void check_factors(const backend *be) {
    check_factors_of(be, M, N, K);
    check_factors_of(be, M, 64,
                     96); /* rows that tiles read as they lie, and some that they cannot */
    check_factors_of(be, 40, 70, 900); /* long sums */
}

static void factors_in_bf16_give_the_products_of_floats(void **state) {
    (void)state;
    with_each_family(check_factors);
}

static void check_results(const backend *be) {
    bf16 c16[M * (N + 2)];
    float *a = noise(4, M * K), *b = noise(5, K * N), *c = noise(6, M * (N + 2));
    matmul mm = {.m = M, .n = N, .k = K, .a = a, .lda = K, .b = b, .ldb = N, .ldc = N + 2};
    mm.bias = noise(7, N), mm.act = ACT_RELU, mm.packs = pack_new();
    mm.c = c;
    be->matmul(&mm);
    mm.c = NULL, mm.c16 = c16;
    memset(c16, 0x55, sizeof c16);
    be->matmul(&mm);
    for (int i = 0; i < M; i++) {
        assert_memory_equal(c16 + i * (N + 2), rounded(be, N, c + i * (N + 2)), 2 * N);
        assert_true(c16[i * (N + 2) + N] == 0x5555); /* between rows nothing is written */
    }
    mm.bias = NULL, mm.act = ACT_NONE, mm.c = c, mm.c16 = NULL;
    be->matmul(&mm);
    bf16 *y16 = rounded(be, M * (N + 2), noise(8, M * (N + 2)));
    mm.act = ACT_RELU, mm.y16 = y16, mm.c = NULL, mm.c16 = c16;
    be->matmul(&mm);
    float *y = widened(be, M * (N + 2), y16), *got = widened(be, M * (N + 2), c16);
    bf16 *plain = rounded(be, M * (N + 2), c);
    float *sums = widened(be, M * (N + 2), plain);
    for (int64_t i = 0; i < M * (N + 2); i++)
        if (i % (N + 2) < N) assert_true(got[i] == (y[i] > 0 ? sums[i] : 0));
    pack_free(mm.packs);
}

static void a_result_in_bf16_is_the_float_rounded_with_its_activation_or_slope(void **state) {
    (void)state;
    with_each_family(check_results);
}

static void check_plus(const backend *be) {
    enum { WIDE = 64, LONG = 96 };
    bf16 c16[M * WIDE];
    float *c = noise(1, M * WIDE);
    matmul one = {.m = M, .n = WIDE, .k = LONG, .lda = LONG, .ldb = WIDE, .ldc = WIDE, .c = c};
    one.a16 = rounded(be, M * LONG, noise(10, M * LONG));
    one.b = noise(11, LONG * WIDE), one.packs = pack_new();
    matmul two = one;
    two.k = K, two.lda = K, two.a16 = rounded(be, M * K, noise(12, M * K));
    two.b = noise(13, WIDE * K), two.ldb = K, two.b_t = true, two.packs = pack_new();
    be->matmul(&one);
    two.accumulate = true;
    be->matmul(&two);
    one.c = NULL, one.c16 = c16, one.plus = &two;
    be->matmul(&one);
    assert_memory_equal(c16, rounded(be, M * WIDE, c), sizeof c16);
    pack_free(one.packs);
    pack_free(two.packs);
}

static void two_products_are_added_before_they_are_rounded(void **state) {
    (void)state;
    with_each_family(check_plus);
}

/* ---- attention ---- */

enum { T = 230, HEADS = 3 };

static void check_heads(const backend *be, int64_t d_head) {
    /* more queries than a block; few, with an odd number of keys; none; no keys; rows in no span at the end */
    static const span q[] = {{0, 130}, {130, 132}, {132, 132}, {132, 140}, {140, 220}},
                      kv[] = {{0, 91}, {91, 150}, {150, 160}, {160, 160}, {160, 225}};
    static float lse[T * HEADS], lse16[T * HEADS];
    int64_t width = HEADS * d_head;
    bf16 *x16 = rounded(be, 4 * T * width, noise(9, 4 * T * width));
    float *x = widened(be, 4 * T * width, x16);
    float *out = arena_push(memory, T * width * sizeof *out),
          *d = arena_push(memory, 3 * T * width * sizeof *d);
    bf16 *out16 = arena_push(memory, T * width * sizeof *out16),
         *d16 = arena_push(memory, 3 * T * width * sizeof *d16);
    attention at = {
        .q_stride = width, .k_stride = width, .v_stride = width, .width = width, .n_heads = HEADS};
    at.n_spans = 5, at.q_spans = q, at.kv_spans = kv;
    attention half = at;
    at.q = x, at.k = x + T * width, at.v = x + 2 * T * width, at.dout = x + 3 * T * width;
    at.out = out, at.lse = lse, at.dq = d, at.dk = d + T * width, at.dv = d + 2 * T * width;
    half.q16 = x16, half.k16 = x16 + T * width, half.v16 = x16 + 2 * T * width;
    half.dout16 = x16 + 3 * T * width, half.out16 = out16, half.lse = lse16;
    half.dq16 = d16, half.dk16 = d16 + T * width, half.dv16 = d16 + 2 * T * width;
    be->attention_forward(&at);
    be->attention_forward(&half);
    assert_near("out", be, 220 * width, widened(be, 220 * width, out16), out, 5e-3);
    be->attention_backward(&at);
    be->attention_backward(&half);
    assert_near("gradients", be, 3 * T * width, widened(be, 3 * T * width, d16), d, 2e-2);
}

static void check_attention(const backend *be) {
    check_heads(be, 16);
    check_heads(be, 32);
    check_heads(be, 64);
}

static void attention_in_bf16_agrees_with_floats(void **state) {
    (void)state;
    with_each_family(check_attention);
}

/* ---- operators ---- */

enum { ROWS = 60, WIDTH = 32, N_LEAVES = 8 };

/* Norms, projections with and without rotations, attention, linear layers onto a residual stream; the
 * gradients of all leaves side by side in `gradient`. Returns the loss. */
static float layer(const backend *be, float *gradient) {
    static const int64_t shape[N_LEAVES][2] = {
        {ROWS, WIDTH},      {1, WIDTH},         {1, WIDTH},         {WIDTH, WIDTH},
        {WIDTH, 2 * WIDTH}, {WIDTH, 4 * WIDTH}, {4 * WIDTH, WIDTH}, {WIDTH, WIDTH}};
    static const span rows[] = {{0, 25}, {25, 60}};
    static const int32_t target[ROWS] = {1, 2, 3};
    size_t mark = arena_mark(memory);
    tensor leaf[N_LEAVES] = {0};
    int64_t at = 0;
    for (int i = 0; i < N_LEAVES; i++) {
        int64_t n = shape[i][0] * shape[i][1];
        leaf[i] = (tensor){.rows = shape[i][0], .cols = shape[i][1], .packs = pack_new()};
        leaf[i].v = noise((uint64_t)i, n);
        leaf[i].d = memset(gradient + at, 0, (size_t)n * sizeof *gradient);
        at += n;
    }
    int32_t position[ROWS];
    for (int i = 0; i < ROWS; i++) position[i] = i < 25 ? i : i - 25;
    arena *a = arena_new(0);
    graph *g = graph_new(a, be, true);
    tensor *h = t_layer_norm_half(g, &leaf[0], &leaf[1], &leaf[2]);
    tensor *qkv = t_linear_two(g, h, &leaf[3], &leaf[4]);
    spans s = {2, rows};
    h = t_attention(g, (columns){qkv, 0}, (columns){qkv, WIDTH}, (columns){qkv, 2 * WIDTH}, WIDTH,
                    4, s, s, false);
    tensor *x = t_linear_onto(g, &leaf[0], h, &leaf[7], NULL, 0);
    h = t_layer_norm_half(g, x, &leaf[1], &leaf[2]);
    tensor *wide = t_linear_half(g, h, &leaf[5], NULL, ACT_RELU);
    x = t_linear_onto(g, x, wide, &leaf[6], NULL, 0.1f);
    h = t_layer_norm_half(g, x, &leaf[1], &leaf[2]);
    tensor *q = t_rotary(g, t_linear_half(g, h, &leaf[3], NULL, ACT_NONE), 0, WIDTH, 8, position);
    h = t_layer_norm_half(g, x, &leaf[1], &leaf[2]);
    tensor *kv = t_linear_half(g, h, &leaf[4], NULL, ACT_NONE);
    h = t_attention(g, (columns){q, 0}, (columns){kv, 0}, (columns){kv, WIDTH}, WIDTH, 4, s, s,
                    true);
    tensor *y = t_linear_onto(g, x, h, &leaf[7], NULL, 0);
    tensor *loss = t_linear_cross_entropy(g, y, &leaf[3], target, 0);
    float value = loss->v[0];
    graph_backward(g, loss, 1);
    graph_free(g);
    arena_free(a);
    for (int i = 0; i < N_LEAVES; i++) pack_free(leaf[i].packs);
    arena_reset(memory, mark);
    return value;
}

enum { N_GRADIENTS = WIDTH * (ROWS + 2 + 2 * WIDTH + 2 * WIDTH + 8 * WIDTH) };
static float wide_gradient[N_GRADIENTS], half_gradient[N_GRADIENTS], again[N_GRADIENTS];

static void check_layer(const backend *be) {
    static const int threads[] = {1, 2, 3, 5};
    backend wide = *be;
    wide.round = NULL;
    float want = layer(&wide, wide_gradient), got = layer(be, half_gradient);
    assert_true(fabsf(got - want) < 2e-2f * want);
    assert_near("the gradient", be, N_GRADIENTS, half_gradient, wide_gradient, 2e-2);
    for (int i = 0; i < 4; i++) {
        par_threads_set(threads[i]);
        assert_true(layer(be, again) == got);
        assert_memory_equal(again, half_gradient, sizeof again);
    }
    par_threads_set(0);
}

static void a_layer_of_halves_trains_as_one_of_floats_on_any_number_of_threads(void **state) {
    (void)state;
    with_each_family(check_layer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_half_is_rounded_to_nearest_even),
        cmocka_unit_test(factors_in_bf16_give_the_products_of_floats),
        cmocka_unit_test(a_result_in_bf16_is_the_float_rounded_with_its_activation_or_slope),
        cmocka_unit_test(two_products_are_added_before_they_are_rounded),
        cmocka_unit_test(attention_in_bf16_agrees_with_floats),
        cmocka_unit_test(a_layer_of_halves_trains_as_one_of_floats_on_any_number_of_threads),
    };
    return cmocka_run_group_tests(tests, make_memory, free_memory);
}
