/* The tape itself: what backward adds up, what a step's memory does, and that threads are
 * invisible. The network under test is a small reader that uses most operators. */
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "cmocka_all.h"
#include "tensor/tensor_int.h"
#include "util/par.h"
#include "util/rng.h"

enum { V = 101, D = 48, F = 96, T = 400, H = 4, N_SPANS = 7, N_WEIGHTS = 9 };

typedef struct net {
    tensor w[N_WEIGHTS];
    float *values, *grads;
    int64_t n;
} net;

static net net_new(arena *a) {
    const int64_t shapes[N_WEIGHTS][2] = {{V, D}, {1, D}, {1, D}, {D, 3 * D}, {D, D},
                                          {D, F}, {1, F}, {F, D}, {1, 1}};
    net m = {.n = 0};
    for (int i = 0; i < N_WEIGHTS; i++) m.n += shapes[i][0] * shapes[i][1];
    m.values = arena_push(a, (size_t)m.n * sizeof(float));
    m.grads = arena_push(a, (size_t)m.n * sizeof(float));
    rng random = rng_new(3);
    for (int64_t i = 0; i < m.n; i++) m.values[i] = (float)(0.1 * rng_normal(&random));
    int64_t at = 0;
    for (int i = 0; i < N_WEIGHTS; i++) {
        m.w[i] = (tensor){
            .rows = shapes[i][0], .cols = shapes[i][1], .v = m.values + at, .d = m.grads + at};
        at += shapes[i][0] * shapes[i][1];
    }
    return m;
}

static int32_t token(int64_t t) {
    return (int32_t)(rng_hash(11, (uint64_t)t) % V);
}

/* Ids, positions, targets and spans of rows first..first+T-1 of an endless text. */
typedef struct batch {
    int32_t *id, *position, *target;
    spans s, wide; /* wide: each with the end of the one before, so they overlap */
} batch;

static batch batch_new(graph *g, int64_t first) {
    arena *a = graph_arena(g);
    span *at = ARENA_ARRAY(a, span, N_SPANS), *wide = ARENA_ARRAY(a, span, N_SPANS);
    batch b = {.id = ARENA_ARRAY(a, int32_t, T),
               .position = ARENA_ARRAY(a, int32_t, T),
               .target = ARENA_ARRAY(a, int32_t, T),
               .s = {N_SPANS, at},
               .wide = {N_SPANS, wide}};
    for (int64_t i = 0; i < N_SPANS; i++) at[i] = (span){i * T / N_SPANS, (i + 1) * T / N_SPANS};
    for (int64_t t = 0; t < T; t++) {
        b.id[t] = token(first + t);
        b.position[t] = (int32_t)(t - at[t * N_SPANS / T].begin);
        b.target[t] = t % 3 ? token(first + t + 1) : -1;
    }
    for (int64_t i = 0; i < N_SPANS; i++) wide[i] = (span){i ? at[i].begin - 9 : 0, at[i].end};
    return b;
}

static tensor *net_loss(graph *g, net *m, int64_t first) {
    batch b = batch_new(g, first);
    tensor *x = t_add_sinusoid(g, t_embed(g, &m->w[0], b.id, T), b.position);
    tensor *n = t_layer_norm(g, x, &m->w[1], &m->w[2]);
    tensor *qkv =
        t_rotary(g, t_linear(g, n, &m->w[3], NULL, ACT_NONE), 0, 2 * D, D / H, b.position);
    tensor *att = t_attention(g, (columns){qkv, 0}, (columns){qkv, D}, (columns){qkv, 2 * D}, D, H,
                              b.s, b.s, true);
    x = t_add(g, x, t_dropout(g, t_linear(g, att, &m->w[4], NULL, ACT_NONE), 0.1f));
    tensor *ff = t_linear(g, t_rms_norm(g, x, NULL), &m->w[5], &m->w[6], ACT_GELU);
    x = t_add(g, x, t_linear(g, ff, &m->w[7], NULL, ACT_NONE));
    tensor *near =
        t_attention(g, (columns){x, 0}, (columns){x, 0}, (columns){x, 0}, D, H, b.s, b.wide, false);
    x = t_mul(g, t_add(g, x, near), t_activate(g, t_cols(g, x, 0, 1), ACT_SIGMOID));
    tensor *words = t_linear_cross_entropy(g, x, &m->w[0], b.target, 15);
    copy_head head = {.x = x,
                      .e = &m->w[0],
                      .gate = t_cols(g, x, 3, 4),
                      .cq = t_cols(g, x, 4, 12),
                      .ck = t_cols(g, x, 12, 20),
                      .q_spans = b.s,
                      .kv_spans = b.wide,
                      .source_id = b.id};
    tensor *copied = t_copy_cross_entropy(g, &head, b.target);

    tensor *pooled = t_normalize(g, t_pool_mean(g, x, b.wide));
    int32_t *own = ARENA_ARRAY(graph_arena(g), int32_t, N_SPANS);
    int64_t *turned = ARENA_ARRAY(graph_arena(g), int64_t, N_SPANS);
    for (int i = 0; i < N_SPANS; i++) own[i] = i, turned[i] = (i + 1) % N_SPANS;
    tensor *other = t_gather(g, pooled, turned, N_SPANS);
    tensor *pairs = t_contrastive(g, pooled, other, &m->w[8], own, NULL, true);
    tensor *losses[] = {words, pairs, copied};
    const float weights[] = {1, 0.5f, 2};
    return t_sum(g, losses, weights, 3);
}

/* ---- memory ---- */

static void a_step_takes_no_memory_that_an_earlier_step_did_not(void **state) {
    (void)state;
    arena *a = arena_new(0);
    net m = net_new(a);
    graph *g = graph_new(a, backend_ref(), true);
    size_t before = arena_mark(a), peak = 0;
    for (int step = 0; step < 5; step++) {
        graph_reset(g, (uint64_t)step);
        assert_int_equal(arena_mark(a), before);
        graph_backward(g, net_loss(g, &m, 0), 1);
        if (step == 0) peak = arena_peak(a);
        assert_int_equal(arena_peak(a), peak);
    }
    graph_free(g);
    arena_free(a);
}

static void without_training_nothing_is_recorded(void **state) {
    (void)state;
    arena *a = arena_new(0);
    net m = net_new(a);
    graph *g = graph_new(a, backend_ref(), true);
    float trained = net_loss(g, &m, 0)->v[0];
    size_t with_records = arena_mark(a);
    graph_free(g);
    g = graph_new(a, backend_ref(), false);
    tensor *loss = net_loss(g, &m, 0);
    assert_true(arena_mark(a) < with_records);
    assert_false(loss->tracked);
    assert_true(loss->v[0] != trained); /* dropout is off */
    graph_free(g);
    arena_free(a);
}

/* ---- what adds up ---- */

static void gradients_accumulate_over_graphs_with_scale(void **state) {
    (void)state;
    arena *a = arena_new(0);
    net m = net_new(a);
    float *sum = arena_push(a, (size_t)m.n * sizeof(float));
    graph *g = graph_new(a, backend_ref(), true);
    for (int part = 0; part < 2; part++) {
        graph_reset(g, 0);
        memset(m.grads, 0, (size_t)m.n * sizeof(float));
        graph_backward(g, net_loss(g, &m, part * T), 1);
        for (int64_t i = 0; i < m.n; i++) sum[i] += 0.5f * m.grads[i];
    }
    memset(m.grads, 0, (size_t)m.n * sizeof(float));
    for (int part = 0; part < 2; part++) {
        graph_reset(g, 0);
        graph_backward(g, net_loss(g, &m, part * T), 0.5f);
    }
    for (int64_t i = 0; i < m.n; i++)
        assert_true(fabsf(m.grads[i] - sum[i]) <= 1e-6f + 1e-5f * fabsf(sum[i]));
    graph_free(g);
    arena_free(a);
}

/* y = a x twice over: 3 from the one walk and 4 from the other, nothing counted again. */
static void two_walks_in_one_graph_add_up(void **state) {
    (void)state;
    arena *a = arena_new((size_t)1 << 24);
    graph *g = graph_new(a, backend_ref(), true);
    float v[] = {2}, d[] = {0};
    const float one[] = {1};
    tensor x = {.rows = 1, .cols = 1, .v = v, .d = d};
    tensor *shared = t_scale(g, &x, 1);
    tensor *three = t_scale(g, shared, 3), *four = t_scale(g, t_rows(g, shared, 0, 1), 4);
    graph_backward_from(g, three, one);
    assert_true(d[0] == 3);
    graph_backward_from(g, four, one);
    assert_true(d[0] == 7);
    graph_free(g);
    arena_free(a);
}

static void walking_a_whole_net_twice_doubles_the_gradient(void **state) {
    (void)state;
    arena *a = arena_new(0);
    net m = net_new(a);
    graph *g = graph_new(a, backend_ref(), true);
    tensor *loss = net_loss(g, &m, 0);
    graph_backward(g, loss, 1);
    float *once = ARENA_ARRAY(a, float, m.n);
    memcpy(once, m.grads, (size_t)m.n * sizeof(float));
    graph_backward(g, loss, 1);
    for (int64_t i = 0; i < m.n; i++)
        assert_true(fabsf(m.grads[i] - 2 * once[i]) <= 1e-6f + 1e-5f * fabsf(once[i]));
    graph_free(g);
    arena_free(a);
}

static void constants_and_leaves_without_d_get_no_gradient(void **state) {
    (void)state;
    arena *a = arena_new((size_t)1 << 24);
    graph *g = graph_new(a, backend_ref(), true);
    float v[] = {2}, w[] = {5}, d[] = {0};
    tensor x = {.rows = 1, .cols = 1, .v = v, .d = d}, frozen = {.rows = 1, .cols = 1, .v = w};
    tensor *y = t_mul(g, t_mul(g, &x, &frozen), t_const(g, 1, 1, w));
    graph_backward(g, y, 1);
    assert_true(d[0] == 25);
    assert_null(frozen.d);
    assert_false(t_mul(g, &frozen, &frozen)->tracked);
    graph_free(g);
    arena_free(a);
}

/* ---- dropout ---- */

static void dropout_keeps_the_mean_and_follows_the_seed(void **state) {
    (void)state;
    arena *a = arena_new((size_t)1 << 28);
    enum { N = 40000 };
    float *ones = arena_push(a, N * sizeof(float)), first[8];
    for (int i = 0; i < N; i++) ones[i] = 1;
    graph *g = graph_new(a, backend_ref(), true);
    graph_reset(g, 5);
    tensor *x = t_const(g, 1, N, ones), *y = t_dropout(g, x, 0.25f);
    double sum = 0;
    for (int i = 0; i < N; i++) {
        assert_true(y->v[i] == 0 || fabsf(y->v[i] - 4 / 3.0f) < 1e-6f);
        sum += y->v[i];
    }
    assert_float_equal(sum / N, 1, 0.02); /* 7 deviations */
    assert_true(memcmp(y->v, t_dropout(g, x, 0.25f)->v, N * sizeof(float)) != 0);
    memcpy(first, y->v, sizeof first);
    graph_reset(g, 5);
    assert_memory_equal(t_dropout(g, t_const(g, 1, N, ones), 0.25f)->v, first, sizeof first);
    assert_ptr_equal(t_dropout(g, x, 0), x);
    graph_free(g);
    arena_free(a);
}

/* ---- parts made again ---- */

static double dot(int64_t n, const float *x, const float *y) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * y[i];
    return sum;
}

enum { DEPTH = 6 };

typedef struct layer {
    net *m;
    tensor *x;
    batch *b;
} layer;

static tensor *make_layer(graph *g, const void *arg) {
    const layer *l = arg;
    net *m = l->m;
    tensor *h = t_layer_norm(g, l->x, &m->w[1], &m->w[2]);
    tensor *qkv = t_linear(g, h, &m->w[3], NULL, ACT_NONE);
    h = t_attention(g, (columns){qkv, 0}, (columns){qkv, D}, (columns){qkv, 2 * D}, D, H, l->b->s,
                    l->b->s, false);
    h = t_linear_onto(g, l->x, h, &m->w[4], NULL, 0.1f);
    h = t_linear(g, t_linear(g, h, &m->w[5], &m->w[6], ACT_GELU), &m->w[7], NULL, ACT_NONE);
    return t_add(g, l->x, t_dropout(g, h, 0.2f));
}

/* Gradients of a deep stack of the same layer, walked twice; bytes that all of it took. */
static size_t deep_gradients(const backend *be, bool again, float *grads) {
    arena *a = arena_new(0);
    net m = net_new(a);
    graph *g = graph_new(a, be, true);
    if (again) graph_recompute(g);
    size_t peak = 0;
    for (int step = 0; step < 3; step++) {
        graph_reset(g, 1);
        memset(m.grads, 0, (size_t)m.n * sizeof(float));
        batch b = batch_new(g, 0);
        tensor *x = t_embed(g, &m.w[0], b.id, T);
        for (int i = 0; i < DEPTH; i++)
            x = t_recomputed(g, make_layer, &(layer){&m, x, &b}, sizeof(layer));
        tensor *loss = t_linear_cross_entropy(g, t_dropout(g, x, 0.1f), &m.w[0], b.target, 0);
        graph_backward(g, loss, 1);
        graph_backward(g, loss, 0.5f);
        size_t now = arena_peak(a) + (g->part ? arena_peak(g->part) : 0);
        if (step == 0) peak = now;
        assert_int_equal(now, peak); /* later steps take nothing new */
    }
    memcpy(grads, m.grads, (size_t)m.n * sizeof(float));
    graph_free(g);
    arena_free(a);
    return peak;
}

static void parts_made_again_give_the_same_bytes_in_less_memory(void **state) {
    (void)state;
    const char *families[] = {"ref", "avx2", "avx512", "bf16", "amx"};
    arena *a = arena_new(0);
    int64_t n = net_new(a).n;
    float *kept = ARENA_ARRAY(a, float, n), *again = ARENA_ARRAY(a, float, n);
    for (int f = 0; f < 5; f++) {
        const backend *be;
        if (backend_find(families[f], &be) == ERR_BACKEND) continue;
        size_t much = deep_gradients(be, false, kept), little = deep_gradients(be, true, again);
        assert_memory_equal(again, kept, (size_t)n * sizeof(float));
        assert_true(dot(n, kept, kept) > 0);
        assert_true(little < much / 2);
    }
    arena_free(a);
}

static tensor *make_nested(graph *g, const void *arg) {
    return t_recomputed(g, make_layer, arg, sizeof(layer));
}

/* A part in a part is made with it; without training nothing is made twice. */
static void a_part_in_a_part_and_one_without_training_are_plain(void **state) {
    (void)state;
    arena *a = arena_new(0);
    net m = net_new(a);
    float *want = ARENA_ARRAY(a, float, m.n);
    size_t mark = arena_mark(a);
    for (int kind = 0; kind < 3; kind++) {
        graph *g = graph_new(a, backend_ref(), kind < 2);
        graph_recompute(g);
        batch b = batch_new(g, 0);
        layer l = {&m, t_embed(g, &m.w[0], b.id, T), &b};
        tensor *y = t_recomputed(g, kind == 0 ? make_layer : make_nested, &l, sizeof l);
        memset(m.grads, 0, (size_t)m.n * sizeof(float));
        if (kind < 2) graph_backward(g, t_linear_cross_entropy(g, y, &m.w[0], b.target, 0), 1);
        if (kind == 0) memcpy(want, m.grads, (size_t)m.n * sizeof(float));
        if (kind == 1) assert_memory_equal(m.grads, want, (size_t)m.n * sizeof(float));
        if (kind == 2) assert_int_equal(arena_peak(g->part), 0);
        graph_free(g);
        arena_reset(a, mark);
    }
    arena_free(a);
}

/* ---- families ---- */

/* Loss at two points, gradients at the second, from weights with packed copies. */
static void visit(const char *family, float losses[2], float *grads) {
    const backend *be;
    assert_int_equal(backend_find(family, &be), OK);
    arena *a = arena_new(0);
    net m = net_new(a);
    graph *g = graph_new(a, be, true);
    for (int i = 0; i < N_WEIGHTS; i++) m.w[i].packs = pack_new();
    for (int point = 0; point < 2; point++) {
        graph_reset(g, 1);
        memset(m.grads, 0, (size_t)m.n * sizeof(float));
        tensor *loss = net_loss(g, &m, 0);
        graph_backward(g, loss, 1);
        losses[point] = loss->v[0];
        if (point == 0) { /* the same step for all families; the packed copies are out of date */
            for (int64_t i = 0; i < m.n; i++) m.values[i] *= 0.5f;
            for (int i = 0; i < N_WEIGHTS; i++) m.w[i].version++;
        }
    }
    memcpy(grads, m.grads, (size_t)m.n * sizeof(float));
    for (int i = 0; i < N_WEIGHTS; i++) pack_free(m.w[i].packs);
    graph_free(g);
    arena_free(a);
}

/* Gradients point the same way: 1 - cosine near 0, where bf16 products turn them a little. */
static void families_agree_on_a_whole_net(void **state) {
    (void)state;
    static const struct {
        const char *name;
        double loss, turn;
    } families[] = {
        {"avx2", 1e-5, 1e-7}, {"avx512", 1e-5, 1e-7}, {"bf16", 1e-2, 1e-3}, {"amx", 1e-2, 1e-3}};
    arena *a = arena_new(0);
    int64_t n = net_new(a).n;
    float *want = ARENA_ARRAY(a, float, n), *got = ARENA_ARRAY(a, float, n), want_loss[2], loss[2];
    visit("ref", want_loss, want);
    for (int f = 0; f < 4; f++) {
        const backend *be;
        if (backend_find(families[f].name, &be) == ERR_BACKEND) continue;
        visit(families[f].name, loss, got);
        for (int i = 0; i < 2; i++)
            assert_true(fabsf(loss[i] - want_loss[i]) <= families[f].loss * fabsf(want_loss[i]));
        double cosine = dot(n, want, got) / sqrt(dot(n, want, want) * dot(n, got, got));
        if (1 - cosine > families[f].turn)
            fail_msg("%s: 1 - cosine is %.3g", families[f].name, 1 - cosine);
    }
    arena_free(a);
}

/* ---- wrong shapes ---- */

static void add_wrong(graph *g, tensor *x, tensor *w) {
    t_add(g, x, w);
}
static void linear_wrong(graph *g, tensor *x, tensor *w) {
    t_linear(g, x, w, NULL, ACT_NONE);
}
static void rows_wrong(graph *g, tensor *x, tensor *w) {
    (void)w;
    t_rows(g, x, 1, 4);
}

/* What a child process says before it aborts. */
static void dying_words(void (*fn)(graph *, tensor *, tensor *), char *words, size_t size) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        float v[15] = {0};
        graph *g = graph_new(arena_new((size_t)1 << 20), backend_ref(), false);
        fn(g, t_const(g, 3, 4, v), t_const(g, 5, 3, v));
        _exit(0);
    }
    close(ends[1]);
    size_t n = 0;
    for (ssize_t got; n < size - 1 && (got = read(ends[0], words + n, size - 1 - n)) > 0;)
        n += (size_t)got;
    words[n] = 0;
    close(ends[0]);
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how));
}

static void a_wrong_shape_is_told_with_both_shapes(void **state) {
    (void)state;
    static void (*const wrong[])(graph *, tensor *, tensor *) = {add_wrong, linear_wrong,
                                                                 rows_wrong};
    const char *told[] = {"add: x is [3, 4], y is [5, 3]", "linear: x is [3, 4], w is [5, 3]",
                          "rows: 1..4 of [3, 4]"};
    for (int i = 0; i < 3; i++) {
        char words[4096];
        dying_words(wrong[i], words, sizeof words);
        if (!strstr(words, told[i])) fail_msg("wanted '%s' in '%s'", told[i], words);
    }
}

/* ---- threads ---- */

static void any_number_of_threads_gives_the_same_bytes(void **state) {
    (void)state;
    const char *families[] = {"ref", "avx2", "avx512", "bf16", "amx"};
    const int threads[] = {1, 2, 3, 5};
    for (int f = 0; f < 5; f++) {
        const backend *be;
        if (backend_find(families[f], &be) == ERR_BACKEND) continue;
        arena *a = arena_new(0);
        net m = net_new(a);
        float *first = arena_push(a, (size_t)m.n * sizeof(float)), first_loss = 0;
        graph *g = graph_new(a, be, true);
        for (int i = 0; i < 4; i++) {
            par_threads_set(threads[i]);
            memset(m.grads, 0, (size_t)m.n * sizeof(float));
            graph_reset(g, 9);
            tensor *loss = net_loss(g, &m, 0);
            graph_backward(g, loss, 1);
            if (i == 0) {
                memcpy(first, m.grads, (size_t)m.n * sizeof(float));
                first_loss = loss->v[0];
                assert_true(isfinite(first_loss));
            }
            assert_memory_equal(&loss->v[0], &first_loss, sizeof first_loss);
            assert_memory_equal(m.grads, first, (size_t)m.n * sizeof(float));
        }
        par_threads_set(0);
        graph_free(g);
        arena_free(a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_takes_no_memory_that_an_earlier_step_did_not),
        cmocka_unit_test(without_training_nothing_is_recorded),
        cmocka_unit_test(gradients_accumulate_over_graphs_with_scale),
        cmocka_unit_test(two_walks_in_one_graph_add_up),
        cmocka_unit_test(walking_a_whole_net_twice_doubles_the_gradient),
        cmocka_unit_test(constants_and_leaves_without_d_get_no_gradient),
        cmocka_unit_test(parts_made_again_give_the_same_bytes_in_less_memory),
        cmocka_unit_test(a_part_in_a_part_and_one_without_training_are_plain),
        cmocka_unit_test(dropout_keeps_the_mean_and_follows_the_seed),
        cmocka_unit_test(families_agree_on_a_whole_net),
        cmocka_unit_test(a_wrong_shape_is_told_with_both_shapes),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
