/* Operators against PyTorch: results and gradients kept in tests/golden/ops.json, made by
 * make_golden.py beside it. An element may differ by 1e-5 of (its size + the output's root
 * mean square): what f32 and the file's seven digits allow. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cmocka_all.h"
#include "tensor/tensor.h"
#include "util/json.h"

#define TOLERANCE 1e-5

enum { MAX_INPUTS = 6 };

/* A case of the file: inputs as leaves in the file's order, integer lists by name. */
typedef struct golden {
    arena *a;
    graph *g;
    json_t *json;
    tensor in[MAX_INPUTS];
    int n_in;
} golden;

static float *floats(arena *a, const json_t *list) {
    size_t n = json_array_size(list);
    float *v = ARENA_ARRAY(a, float, n);
    for (size_t i = 0; i < n; i++) v[i] = (float)json_number_value(json_array_get(list, i));
    return v;
}

static const json_t *ints(const golden *c, const char *name) {
    const json_t *list = json_object_get(json_object_get(c->json, "ints"), name);
    MUST(list, "ops.json: no integers '%s'", name);
    return list;
}

static int64_t int_at(const json_t *list, size_t i) {
    return json_integer_value(json_array_get(list, i));
}

static int32_t *ids(const golden *c, const char *name) {
    const json_t *list = ints(c, name);
    int32_t *v = ARENA_ARRAY(c->a, int32_t, json_array_size(list));
    for (size_t i = 0; i < json_array_size(list); i++) v[i] = (int32_t)int_at(list, i);
    return v;
}

static uint8_t *flags(const golden *c, const char *name) {
    const json_t *list = ints(c, name);
    uint8_t *v = arena_push(c->a, json_array_size(list));
    for (size_t i = 0; i < json_array_size(list); i++) v[i] = int_at(list, i) != 0;
    return v;
}

static spans span_list(const golden *c, const char *name) {
    const json_t *list = ints(c, name);
    int64_t n = (int64_t)json_array_size(list) / 2;
    span *at = ARENA_ARRAY(c->a, span, n);
    for (int64_t i = 0; i < n; i++)
        at[i] = (span){int_at(list, (size_t)(2 * i)), int_at(list, (size_t)(2 * i + 1))};
    return (spans){n, at};
}

/* ---- how each case is made here ---- */

#define MAKE(name) static tensor *name(golden *c)

static tensor *linear(golden *c, activation act) {
    return t_linear(c->g, &c->in[0], &c->in[1], &c->in[2], act);
}
MAKE(linear_relu) {
    return linear(c, ACT_RELU);
}
MAKE(linear_relu2) {
    return linear(c, ACT_RELU2);
}
MAKE(linear_gelu) {
    return linear(c, ACT_GELU);
}
MAKE(linear_sigmoid) {
    return linear(c, ACT_SIGMOID);
}
MAKE(linear_tanh) {
    return linear(c, ACT_TANH);
}
MAKE(linear_t) {
    return t_linear_t(c->g, &c->in[0], &c->in[1]);
}
MAKE(add) {
    return t_add(c->g, &c->in[0], &c->in[1]);
}
MAKE(mul) {
    return t_mul(c->g, &c->in[0], &c->in[1]);
}
MAKE(layer_norm) {
    return t_layer_norm(c->g, &c->in[0], &c->in[1], &c->in[2]);
}
MAKE(rms_norm) {
    return t_rms_norm(c->g, &c->in[0], &c->in[1]);
}
MAKE(normalize) {
    return t_normalize(c->g, &c->in[0]);
}
MAKE(embed) {
    return t_embed(c->g, &c->in[0], ids(c, "ids"), (int64_t)json_array_size(ints(c, "ids")));
}
MAKE(sinusoid) {
    return t_add_sinusoid(c->g, &c->in[0], ids(c, "position"));
}
MAKE(rotary) {
    return t_rotary(c->g, &c->in[0], 1, 9, 4, ids(c, "position"));
}
MAKE(attend) {
    return t_attention(c->g, (columns){&c->in[0], 0}, (columns){&c->in[1], 0},
                       (columns){&c->in[2], 0}, 4, int_at(ints(c, "heads"), 0),
                       span_list(c, "q_spans"), span_list(c, "kv_spans"),
                       int_at(ints(c, "causal"), 0));
}
MAKE(pool_mean) {
    return t_pool_mean(c->g, &c->in[0], span_list(c, "spans"));
}
MAKE(pool_sum) {
    return t_pool_sum(c->g, &c->in[0], &c->in[1], span_list(c, "spans"));
}
MAKE(cross_entropy) {
    return t_linear_cross_entropy(c->g, &c->in[0], &c->in[1], ids(c, "target"), 0);
}
MAKE(cross_entropy_capped) {
    return t_linear_cross_entropy(c->g, &c->in[0], &c->in[1], ids(c, "target"), 2);
}
MAKE(contrastive) {
    return t_contrastive(c->g, &c->in[0], &c->in[1], &c->in[2], ids(c, "positive"),
                         flags(c, "masked"), true);
}
MAKE(published) {
    return t_published_loss(c->g, &c->in[0], flags(c, "flags"));
}
MAKE(marginal) {
    return t_marginal_nll(c->g, &c->in[0], span_list(c, "spans"), flags(c, "flags"));
}
MAKE(copy) {
    copy_head h = {.x = &c->in[0],
                   .e = &c->in[1],
                   .gate = &c->in[2],
                   .cq = &c->in[3],
                   .ck = &c->in[4],
                   .q_spans = span_list(c, "q_spans"),
                   .kv_spans = span_list(c, "kv_spans"),
                   .source_id = ids(c, "source_id")};
    return t_copy_cross_entropy(c->g, &h, ids(c, "target"));
}

static const struct {
    const char *name;
    tensor *(*make)(golden *c);
} makers[] = {
    {"linear_relu", linear_relu},
    {"linear_relu2", linear_relu2},
    {"linear_gelu", linear_gelu},
    {"linear_sigmoid", linear_sigmoid},
    {"linear_tanh", linear_tanh},
    {"linear_t", linear_t},
    {"add_row", add},
    {"mul_factor", mul},
    {"layer_norm", layer_norm},
    {"rms_norm", rms_norm},
    {"normalize", normalize},
    {"embed", embed},
    {"sinusoid", sinusoid},
    {"rotary", rotary},
    {"attention_self", attend},
    {"attention_causal", attend},
    {"attention_cross", attend},
    {"attention_cache", attend},
    {"pool_mean", pool_mean},
    {"pool_sum", pool_sum},
    {"cross_entropy", cross_entropy},
    {"cross_entropy_capped", cross_entropy_capped},
    {"contrastive", contrastive},
    {"published", published},
    {"marginal", marginal},
    {"copy", copy},
};

/* ---- comparing ---- */

static int compare(const char *name, const char *what, const float *got, const json_t *want) {
    size_t n = json_array_size(want);
    double squares = 0;
    int n_wrong = 0;
    for (size_t i = 0; i < n; i++) squares += pow(json_number_value(json_array_get(want, i)), 2);
    for (size_t i = 0; i < n; i++) {
        double w = json_number_value(json_array_get(want, i));
        if (fabs(got[i] - w) <= TOLERANCE * (fabs(w) + sqrt(squares / (double)n)) + 1e-7) continue;
        n_wrong++;
        fprintf(stderr, "%s: %s[%zu] = %.8g, PyTorch %.8g\n", name, what, i, (double)got[i], w);
    }
    return n_wrong;
}

static int check_case(const json_t *file, const char *name, tensor *(*make)(golden *c)) {
    golden c = {.a = arena_new((size_t)1 << 26), .json = json_object_get(file, name)};
    MUST(c.json, "ops.json: no case '%s'", name);
    const char *input;
    json_t *matrix;
    json_object_foreach(json_object_get(c.json, "in"), input, matrix) {
        tensor *t = &c.in[c.n_in++];
        t->rows = json_int(matrix, "rows", 0);
        t->cols = json_int(matrix, "cols", 0);
        t->v = floats(c.a, json_object_get(matrix, "v"));
        t->d = arena_push(c.a, (size_t)(t->rows * t->cols) * sizeof(float));
    }
    c.g = graph_new(c.a, backend_ref(), true);
    tensor *y = make(&c);
    const json_t *want = json_object_get(c.json, "y");
    assert_int_equal(y->rows, json_int(want, "rows", -1));
    assert_int_equal(y->cols, json_int(want, "cols", -1));
    int n_wrong = compare(name, "y", y->v, json_object_get(want, "v"));
    graph_backward_from(c.g, y, floats(c.a, json_object_get(c.json, "weights")));
    int i = 0;
    json_object_foreach(json_object_get(c.json, "d"), input, matrix) n_wrong +=
        compare(name, input, c.in[i++].d, matrix);
    graph_free(c.g);
    arena_free(c.a);
    return n_wrong;
}

static json_t *read_file(void) {
    json_t *file = NULL;
    status s = json_read(TEST_DIR "/golden/ops.json", &file);
    MUST(s == OK, "%s", err_msg());
    return file;
}

static void operators_agree_with_pytorch(void **state) {
    (void)state;
    json_t *file = read_file();
    int n_wrong = 0;
    size_t n_cases = sizeof makers / sizeof *makers;
    for (size_t i = 0; i < n_cases; i++)
        n_wrong += check_case(file, makers[i].name, makers[i].make);
    assert_int_equal(n_wrong, 0);
    assert_int_equal(json_object_size(file),
                     n_cases + 1); /* every case of the file was run; adamw is below */
    json_decref(file);
}

/* Five steps: lr 0.05, betas 0.9 and 0.98, decay 0.1, bias-corrected. */
static void adamw_agrees_with_pytorch(void **state) {
    (void)state;
    json_t *file = read_file(), *c = json_object_get(file, "adamw");
    arena *a = arena_new((size_t)1 << 20);
    float *p = floats(a, json_object_get(c, "start")),
          *grads = floats(a, json_object_get(c, "grads"));
    float m[6] = {0}, v[6] = {0};
    for (int step = 1; step <= 5; step++) {
        adamw_args args = {.lr = 0.05f,
                           .beta1 = 0.9f,
                           .beta2 = 0.98f,
                           .eps = 1e-8f,
                           .decay = 0.1f,
                           .grad_scale = 1};
        args.correct1 = (float)(1 - pow(0.9, step));
        args.correct2 = (float)(1 - pow(0.98, step));
        backend_ref()->adamw(6, &args, grads + 6 * (step - 1), m, v, p);
    }
    assert_int_equal(compare("adamw", "p", p, json_object_get(c, "end")), 0);
    arena_free(a);
    json_decref(file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operators_agree_with_pytorch),
        cmocka_unit_test(adamw_agrees_with_pytorch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
