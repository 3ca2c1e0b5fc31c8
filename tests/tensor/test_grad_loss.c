/* Gradients of the losses, and values that can be worked out by hand. */
#include "check_grad.h"
#include "tensor/tensor_int.h"

#define MAKE(name)   static tensor *name(graph *g, tensor *const *in)
#define SPANS(array) ((spans){sizeof(array) / sizeof *(array), array})

/* ---- cross-entropy ---- */

static const int32_t targets[] = {3, -1, 0, 6, -1, 3}, all_targets[] = {3, 1, 0, 6, 2, 3},
                     no_targets[] = {-1, -1};
static const int32_t five_targets[] = {3, 1, 0, -1, 2, 6};

MAKE(cross_entropy) {
    return t_linear_cross_entropy(g, in[0], in[1], all_targets, 0);
}
MAKE(cross_entropy_some) {
    return t_linear_cross_entropy(g, in[0], in[1], targets, 0);
}
MAKE(cross_entropy_capped) {
    return t_linear_cross_entropy(g, in[0], in[1], targets, 1.5f);
}
MAKE(cross_entropy_tied) {
    static const int32_t ids[] = {0, 3, 3, 5, 6, 1};
    return t_linear_cross_entropy(g, t_embed(g, in[0], ids, 6), in[0], targets, 0);
}
MAKE(cross_entropy_none) {
    return t_linear_cross_entropy(g, in[0], in[1], no_targets, 0);
}

MAKE(cross_entropy_blocks) {
    g->vocab_floats = 2 * 7; /* two rows at a time */
    return t_linear_cross_entropy(g, in[0], in[1], five_targets, 0);
}
MAKE(cross_entropy_capped_blocks) {
    g->vocab_floats = 2 * 7;
    return t_linear_cross_entropy(g, in[0], in[1], five_targets, 1.5f);
}

/* ---- copying ---- */

static const span answers[] = {{0, 2}, {2, 3}, {3, 5}, {5, 6}}; /* row 6 is in no span */
static const span sources[] = {
    {0, 4}, {4, 4}, {2, 7}, {7, 9}}; /* empty; overlapping; nothing copiable */
static const int32_t source_id[] = {3, 1, 3, -1, 0, 6, 2, -1, -1};
static const int32_t copy_targets[] = {3, 1, 0, 2, 5, 3, 4},
                     some_copied[] = {3, -1, 0, -1, -1, 3, 4};

static copy_head head(tensor *const *in, float softcap) {
    return (copy_head){.x = in[0],
                       .e = in[1],
                       .gate = in[2],
                       .cq = in[3],
                       .ck = in[4],
                       .q_spans = SPANS(answers),
                       .kv_spans = SPANS(sources),
                       .source_id = source_id,
                       .softcap = softcap};
}
MAKE(copy) {
    copy_head h = head(in, 0);
    return t_copy_cross_entropy(g, &h, copy_targets);
}
MAKE(copy_some) {
    copy_head h = head(in, 2);
    return t_copy_cross_entropy(g, &h, some_copied);
}

/* ---- scores ---- */

static const int32_t positive[] = {1, 4, 1, 0};
static const uint8_t masked[4 * 5] = {
    [2] = 1, [3] = 1, [1 * 5 + 4] = 1 /* its own: ignored */, [3 * 5 + 1] = 1};
static const uint8_t right[] = {0, 1, 0, 0, 1, 0, 1}, third[] = {0, 0, 1, 0};
static const span choices[] = {{0, 3}, {3, 4}, {4, 7}};

MAKE(contrastive) {
    return t_contrastive(g, in[0], in[1], in[2], positive, NULL, false);
}
MAKE(contrastive_both) {
    return t_contrastive(g, in[0], in[1], in[2], positive, masked, true);
}
MAKE(published) {
    return t_published_loss(g, in[0], right);
}
MAKE(published_clamped) {
    return t_published_loss(g, t_scale(g, in[0], 30), right);
}
MAKE(marginal) {
    return t_marginal_nll(g, in[0], SPANS(choices), right);
}
MAKE(sum) {
    tensor *losses[] = {t_published_loss(g, in[0], right), t_published_loss(g, in[0], third),
                        in[1]};
    const float weights[] = {0.5f, 2, -3};
    return t_sum(g, losses, weights, 3);
}

/* Two scores far below the clamp, the others near each other. */
static void spread(tensor *in) {
    for (int i = 0; i < 7; i++) in->v[i] = i == 1 ? -1 : 0.01f * (float)i;
}

static const grad_case cases[] = {
    CASE("cross-entropy", cross_entropy, .in = {{6, 3}, {7, 3}}),
    CASE("cross-entropy, some rows", cross_entropy_some, .in = {{6, 3}, {7, 3}}),
    CASE("cross-entropy, softcap", cross_entropy_capped, .in = {{6, 3}, {7, 3}}),
    CASE("cross-entropy, tied table", cross_entropy_tied, .in = {{7, 3}}),
    CASE("cross-entropy, blocks of rows", cross_entropy_blocks, .in = {{6, 3}, {7, 3}}),
    CASE("cross-entropy, blocks, softcap", cross_entropy_capped_blocks, .in = {{6, 3}, {7, 3}}),
    CASE("cross-entropy, no row", cross_entropy_none, .in = {{2, 3}, {7, 3}}),
    CASE("copy", copy, .in = {{7, 3}, {7, 3}, {7, 1}, {7, 5}, {9, 5}}),
    CASE("copy, some rows, softcap", copy_some, .in = {{7, 3}, {7, 3}, {7, 1}, {7, 5}, {9, 5}}),
    CASE("contrastive", contrastive, .in = {{4, 3}, {5, 3}, {1, 1}}),
    CASE("contrastive, masked, both ways", contrastive_both, .in = {{4, 3}, {5, 3}, {1, 1}}),
    CASE("published", published, .in = {{1, 7}}),
    CASE("published, clamped", published_clamped, .in = {{1, 7}}, .prepare = spread,
         .tolerance = 2e-3 /* steep: 30 x */),
    CASE("marginal", marginal, .in = {{7, 1}}),
    CASE("weighted sum", sum, .in = {{1, 4}, {1, 1}}),
};

static void losses_have_right_gradients(void **state) {
    (void)state;
    GRAD_CHECK_ALL(cases);
}

/* ---- values by hand ---- */

typedef struct bench {
    arena *a;
    graph *g;
} bench;

static bench open_bench(void) {
    bench b = {.a = arena_new((size_t)1 << 24)};
    b.g = graph_new(b.a, backend_ref(), false);
    return b;
}

static void close_bench(bench b) {
    graph_free(b.g);
    arena_free(b.a);
}

static void equal_logits_cost_the_log_of_the_vocabulary(void **state) {
    (void)state;
    bench b = open_bench();
    const float x[2] = {1, 1}, e[8 * 1] = {2, 2, 2, 2, 2, 2, 2, 2};
    const int32_t target[] = {5, -1};
    tensor *loss =
        t_linear_cross_entropy(b.g, t_const(b.g, 2, 1, x), t_const(b.g, 8, 1, e), target, 0);
    assert_float_equal(loss->v[0], log(8), 1e-6);
    close_bench(b);
}

static void a_symmetric_contrastive_loss_is_the_mean_of_both_ways(void **state) {
    (void)state;
    bench b = open_bench();
    /* scores [[2, 0], [1, 3]] at scale 1 */
    const float q[] = {1, 0, 0, 1}, c[] = {2, 1, 0, 3}, zero[] = {0};
    const int32_t own[] = {0, 1};
    tensor *loss = t_contrastive(b.g, t_const(b.g, 2, 2, q), t_const(b.g, 2, 2, c),
                                 t_const(b.g, 1, 1, zero), own, NULL, true);
    double rows = log(1 + exp(0 - 2)) + log(1 + exp(1 - 3)),
           cols = log(1 + exp(1 - 2)) + log(1 + exp(0 - 3));
    assert_float_equal(loss->v[0], (rows / 2 + cols / 2) / 2, 1e-6);
    close_bench(b);
}

static void the_published_loss_divides_by_all_entries(void **state) {
    (void)state;
    bench b = open_bench();
    const float equal[4] = {7, 7, 7, 7}, far[4] = {100, 0, 0, 0};
    const uint8_t two[] = {1, 0, 1, 0}, second[] = {0, 1, 0, 0};
    assert_float_equal(t_published_loss(b.g, t_const(b.g, 1, 4, equal), two)->v[0], log(4) / 4,
                       1e-6);
    assert_float_equal(t_published_loss(b.g, t_const(b.g, 1, 4, far), second)->v[0], 18.0 / 4,
                       1e-6);
    close_bench(b);
}

static void the_marginal_loss_leaves_out_spans_without_a_right_row(void **state) {
    (void)state;
    bench b = open_bench();
    const float x[] = {1, 1, 1, 1, 9};
    const uint8_t flags[] = {1, 1, 0, 0, 0};
    const span two[] = {{0, 4}, {4, 5}};
    tensor *loss = t_marginal_nll(b.g, t_const(b.g, 5, 1, x), SPANS(two), flags);
    assert_float_equal(loss->v[0], log(2), 1e-6);
    close_bench(b);
}

static void copy_probabilities_sum_to_one_and_agree_with_the_loss(void **state) {
    (void)state;
    bench b = open_bench();
    const int64_t rows[] = {7, 7, 7, 7, 9}, cols[] = {3, 3, 1, 5, 5};
    tensor *in[5];
    for (int i = 0; i < 5; i++) {
        float *v = ARENA_ARRAY(b.a, float, rows[i] * cols[i]);
        for (int64_t k = 0; k < rows[i] * cols[i]; k++) v[k] = sinf((float)(k + 10 * i));
        in[i] = t_const(b.g, rows[i], cols[i], v);
    }
    for (int capped = 0; capped < 2; capped++) {
        copy_head h = head(in, capped ? 2 : 0);
        tensor *p = t_copy_probabilities(b.g, &h);
        double loss = 0;
        for (int t = 0; t < 7; t++) {
            double sum = 0;
            for (int w = 0; w < 7; w++) sum += p->v[t * 7 + w];
            assert_float_equal(sum, 1, 1e-6);
            loss -= log(p->v[t * 7 + copy_targets[t]]) / 7;
        }
        assert_float_equal(t_copy_cross_entropy(b.g, &h, copy_targets)->v[0], loss, 1e-6);
    }
    close_bench(b);
}

/* Both ways give the target a probability of about e^-200: the loss says so, without infinity. */
static void a_hopeless_copy_target_has_a_finite_loss_and_gradient(void **state) {
    (void)state;
    arena *a = arena_new((size_t)1 << 24);
    graph *g = graph_new(a, backend_ref(), true);
    float x[] = {200}, e[] = {0, 1}, gate[] = {0}, q[] = {1}, k[] = {0}, d[5][2] = {{0}};
    const span one[] = {{0, 1}};
    const int32_t id[] = {1}, target[] = {0};
    tensor in[] = {{.rows = 1, .cols = 1, .v = x, .d = d[0]},
                   {.rows = 2, .cols = 1, .v = e, .d = d[1]},
                   {.rows = 1, .cols = 1, .v = gate, .d = d[2]},
                   {.rows = 1, .cols = 1, .v = q, .d = d[3]},
                   {.rows = 1, .cols = 1, .v = k, .d = d[4]}};
    copy_head h = {
        .x = &in[0], .e = &in[1], .gate = &in[2], .cq = &in[3], .ck = &in[4], .source_id = id};
    h.q_spans = h.kv_spans = SPANS(one);
    tensor *loss = t_copy_cross_entropy(g, &h, target);
    graph_backward(g, loss, 1);
    assert_float_equal(loss->v[0], 200 + log(2), 1e-3);
    assert_float_equal(d[0][0], 1, 1e-6); /* logit 1 is pushed down with full weight */
    assert_float_equal(d[1][0], -200, 1e-3);
    assert_float_equal(d[2][0], -0.5, 1e-6); /* the gate opens towards the vocabulary */
    graph_free(g);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_have_right_gradients),
        cmocka_unit_test(equal_logits_cost_the_log_of_the_vocabulary),
        cmocka_unit_test(a_symmetric_contrastive_loss_is_the_mean_of_both_ways),
        cmocka_unit_test(the_published_loss_divides_by_all_entries),
        cmocka_unit_test(the_marginal_loss_leaves_out_spans_without_a_right_row),
        cmocka_unit_test(copy_probabilities_sum_to_one_and_agree_with_the_loss),
        cmocka_unit_test(a_hopeless_copy_target_has_a_finite_loss_and_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
