/* Gradients of arithmetic, linear layers, norms, shapes and positions: odd sizes throughout. */
#include "check_grad.h"

#define MAKE(name) static tensor *name(graph *g, tensor *const *in)

/* Values away from 0, where ReLU has its kink. */
static void away_from_zero(tensor *in) {
    for (int64_t i = 0; i < in->rows * in->cols; i++) in->v[i] += in->v[i] < 0 ? -0.2f : 0.2f;
}
/* Biases that keep sums of five products off 0: half of them above, half below. */
static void strong_bias(tensor *in) {
    for (int64_t i = 0; i < in[2].cols; i++) in[2].v[i] = i % 2 ? 5 : -5;
}

MAKE(add) {
    return t_add(g, in[0], in[1]);
}
MAKE(add_self) {
    return t_add(g, in[0], in[0]);
}
MAKE(mul) {
    return t_mul(g, in[0], in[1]);
}
MAKE(mul_self) {
    return t_mul(g, in[0], in[0]);
}
MAKE(scale) {
    return t_scale(g, in[0], -1.5f);
}
MAKE(relu) {
    return t_activate(g, in[0], ACT_RELU);
}
MAKE(relu2) {
    return t_activate(g, in[0], ACT_RELU2);
}
MAKE(gelu) {
    return t_activate(g, in[0], ACT_GELU);
}
MAKE(sigmoid) {
    return t_activate(g, in[0], ACT_SIGMOID);
}
MAKE(hyperbolic) {
    return t_activate(g, in[0], ACT_TANH);
}
MAKE(dropout) {
    return t_dropout(g, in[0], 0.4f);
}

MAKE(linear_onto) {
    return t_linear_onto(g, in[0], in[1], in[2], in[3], 0);
}

MAKE(linear_onto_itself) {
    return t_linear_onto(g, in[0], in[0], in[1], NULL, 0.4f);
}

MAKE(linear_two) {
    return t_linear_two(g, in[0], in[1], in[2]);
}

static const grad_case elementwise[] = {
    CASE("add", add, .in = {{3, 7}, {3, 7}}),
    CASE("add a row to all", add, .in = {{5, 3}, {1, 3}}),
    CASE("add, one row", add, .in = {{1, 3}, {1, 3}}),
    CASE("add to itself", add_self, .in = {{2, 3}}),
    CASE("mul", mul, .in = {{3, 7}, {3, 7}}),
    CASE("mul by a factor a row", mul, .in = {{5, 3}, {5, 1}}),
    CASE("mul by itself", mul_self, .in = {{2, 3}}),
    CASE("scale", scale, .in = {{3, 5}}),
    CASE("relu", relu, .in = {{3, 5}}, .prepare = away_from_zero),
    CASE("squared relu", relu2, .in = {{3, 5}}, .prepare = away_from_zero),
    CASE("gelu", gelu, .in = {{3, 5}}),
    CASE("sigmoid", sigmoid, .in = {{3, 5}}),
    CASE("tanh", hyperbolic, .in = {{3, 5}}),
    CASE("dropout", dropout, .in = {{3, 9}}),
    CASE("linear onto", linear_onto, .in = {{3, 9}, {3, 5}, {5, 9}, {1, 9}}),
    CASE("linear with dropout onto its own x", linear_onto_itself, .in = {{3, 9}, {9, 9}}),
    CASE("linear by two weights", linear_two, .in = {{3, 5}, {5, 2}, {5, 4}}),
};

static void elementwise_operators_have_right_gradients(void **state) {
    (void)state;
    GRAD_CHECK_ALL(elementwise);
}

/* ---- linear ---- */

MAKE(linear_plain) {
    return t_linear(g, in[0], in[1], NULL, ACT_NONE);
}
MAKE(linear_bias) {
    return t_linear(g, in[0], in[1], in[2], ACT_NONE);
}
MAKE(linear_relu) {
    return t_linear(g, in[0], in[1], in[2], ACT_RELU);
}
MAKE(linear_relu2) {
    return t_linear(g, in[0], in[1], in[2], ACT_RELU2);
}
MAKE(linear_gelu) {
    return t_linear(g, in[0], in[1], in[2], ACT_GELU);
}
MAKE(linear_tanh) {
    return t_linear(g, in[0], in[1], NULL, ACT_TANH);
}
MAKE(linear_t) {
    return t_linear_t(g, in[0], in[1]);
}
MAKE(linear_square) {
    return t_linear(g, in[0], in[0], NULL, ACT_NONE);
}

static const grad_case linear[] = {
    CASE("linear", linear_plain, .in = {{3, 5}, {5, 7}}),
    CASE("linear, one row", linear_plain, .in = {{1, 5}, {5, 2}}),
    CASE("linear, bias", linear_bias, .in = {{3, 5}, {5, 7}, {1, 7}}),
    CASE("linear, relu", linear_relu, .in = {{3, 5}, {5, 7}, {1, 7}}, .prepare = strong_bias),
    CASE("linear, squared relu", linear_relu2, .in = {{3, 5}, {5, 7}, {1, 7}},
         .prepare = strong_bias),
    CASE("linear, gelu", linear_gelu, .in = {{3, 5}, {5, 7}, {1, 7}}),
    CASE("linear, tanh", linear_tanh, .in = {{3, 5}, {5, 7}}),
    CASE("linear by a transposed table", linear_t, .in = {{3, 5}, {7, 5}}),
    CASE("linear of itself by itself", linear_square, .in = {{3, 3}}),
};

static void linear_layers_have_right_gradients(void **state) {
    (void)state;
    GRAD_CHECK_ALL(linear);
}

/* ---- norms ---- */

MAKE(layer_norm_eps) {
    return t_layer_norm_eps(g, in[0], in[1], in[2], 1e-12f);
}
MAKE(layer_norm) {
    return t_layer_norm(g, in[0], in[1], in[2]);
}
MAKE(rms_norm) {
    return t_rms_norm(g, in[0], in[1]);
}
MAKE(rms_norm_plain) {
    return t_rms_norm(g, in[0], NULL);
}
MAKE(normalize) {
    return t_normalize(g, in[0]);
}

static const grad_case norms[] = {
    CASE("layer norm", layer_norm, .in = {{4, 7}, {1, 7}, {1, 7}}),
    CASE("layer norm, BERT's eps", layer_norm_eps, .in = {{3, 6}, {1, 6}, {1, 6}}),
    CASE("layer norm, one row", layer_norm, .in = {{1, 5}, {1, 5}, {1, 5}}),
    CASE("rms norm", rms_norm, .in = {{4, 7}, {1, 7}}),
    CASE("rms norm without gain", rms_norm_plain, .in = {{3, 7}}),
    CASE("unit length", normalize, .in = {{4, 7}}),
};

static void norms_have_right_gradients(void **state) {
    (void)state;
    GRAD_CHECK_ALL(norms);
}

/* ---- shape, look-up, positions, pooling ---- */

static const int32_t ids[] = {2, 0, -1, 2, 4};
static const int64_t repeated[] = {3, 0, 3, 1, 3};
static const int32_t near[] = {0, 1, 2, 1, 0}, far[] = {900, 3, 1, 0, 77};
static const span some[] = {{0, 2}, {2, 2}, {2, 3}, {4, 6}},
                  overlapping[] = {{0, 4}, {2, 6}, {2, 3}};

MAKE(embed) {
    return t_embed(g, in[0], ids, 5);
}
MAKE(rows) {
    return t_rows(g, in[0], 1, 4);
}
MAKE(rows_of_rows) {
    return t_mul(g, t_rows(g, t_rows(g, in[0], 1, 5), 1, 3), t_rows(g, in[0], 2, 4));
}
MAKE(cols) {
    return t_cols(g, in[0], 2, 5);
}
MAKE(gather) {
    return t_gather(g, in[0], repeated, 5);
}
MAKE(concat) {
    tensor *parts[] = {in[0], in[1], in[0]};
    return t_concat(g, parts, 3);
}
MAKE(sinusoid) {
    return t_add_sinusoid(g, in[0], near);
}
MAKE(rotary_all) {
    return t_rotary(g, in[0], 0, in[0]->cols, 4, near);
}
MAKE(rotary_some) {
    return t_rotary(g, in[0], 1, 9, 4, far);
}
MAKE(pool_mean) {
    return t_pool_mean(g, in[0], (spans){4, some});
}
MAKE(pool_mean_overlapping) {
    return t_pool_mean(g, in[0], (spans){3, overlapping});
}
MAKE(pool_sum) {
    return t_pool_sum(g, in[0], NULL, (spans){4, some});
}
MAKE(pool_weighted) {
    return t_pool_sum(g, in[0], in[1], (spans){3, overlapping});
}

static const grad_case moves[] = {
    CASE("embed", embed, .in = {{5, 3}}),
    CASE("rows", rows, .in = {{5, 3}}),
    CASE("rows of rows", rows_of_rows, .in = {{5, 3}}),
    CASE("cols", cols, .in = {{3, 7}}),
    CASE("gather", gather, .in = {{4, 3}}),
    CASE("concat", concat, .in = {{2, 3}, {3, 3}}),
    CASE("sinusoid", sinusoid, .in = {{5, 6}}),
    CASE("rotary", rotary_all, .in = {{5, 8}}),
    CASE("rotary on a part", rotary_some, .in = {{5, 11}}),
    CASE("pool mean", pool_mean, .in = {{6, 3}}),
    CASE("pool mean, overlapping", pool_mean_overlapping, .in = {{6, 3}}),
    CASE("pool sum", pool_sum, .in = {{6, 3}}),
    CASE("pool sum, weights, overlapping", pool_weighted, .in = {{6, 3}, {6, 1}}),
};

static void moving_operators_have_right_gradients(void **state) {
    (void)state;
    GRAD_CHECK_ALL(moves);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elementwise_operators_have_right_gradients),
        cmocka_unit_test(linear_layers_have_right_gradients),
        cmocka_unit_test(norms_have_right_gradients),
        cmocka_unit_test(moving_operators_have_right_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
