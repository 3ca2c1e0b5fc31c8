/* The retriever: what its vectors are, and that nothing but the text decides them. */
#include "model/embedder.h"
#include "small.h"
#include "util/par.h"

/* Twelve texts of 0 to 11 tokens, out of order: 0 to 3 windows of 4. */
enum { N_TEXTS = 12 };
typedef struct material {
    arena *a;
    int32_t *ids;
    span at[N_TEXTS];
} material;

static material make_texts(void) {
    material t = {.a = arena_new((size_t)1 << 24)};
    rng r = rng_new(9);
    t.ids = random_ids(t.a, &r, SMALL_VOCAB, 66);
    for (int64_t i = 0, at = 0; i < N_TEXTS; i++) {
        int64_t n = 5 * i % N_TEXTS;
        t.at[i] = (span){at, at + n};
        at += n;
    }
    return t;
}

/* Vectors of n texts in one batch; the caller frees. */
static float *encode(retriever *m, const int32_t *ids, const span *at, int64_t n, text_kind kind,
                     bool use_blocks) {
    arena *a = arena_new((size_t)1 << 26);
    graph *g = graph_new(a, NULL, false);
    tensor *v = retriever_encode(m, g, ids, (spans){n, at}, kind, use_blocks);
    assert_int_equal(v->rows, n);
    assert_int_equal(v->cols, m->c.embedding_dim);
    float *out = xmalloc((size_t)(n * m->c.embedding_dim) * sizeof *out);
    memcpy(out, v->v, (size_t)(n * m->c.embedding_dim) * sizeof *out);
    graph_free(g);
    arena_free(a);
    return out;
}

static void assert_close(const float *x, const float *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) assert_float_equal(x[i], y[i], 2e-3);
}

static void untrained_retriever_is_an_idf_weighted_bag_of_embeddings(void **state) {
    (void)state;
    retriever_config c = {.vocab = 3,
                          .dim = 2,
                          .embedding_dim = 2,
                          .window = 4,
                          .n_blocks = 1,
                          .n_heads = 1,
                          .bag = true,
                          .unit = true};
    retriever *m = retriever_new(&c, (float[]){1, 3, 2}, 1, false);
    memcpy(m->embedding->v, (float[]){1, 0, 0, 1, 5, 5}, 6 * sizeof(float));
    params_touch(m->p);
    /* 1 * (1, 0) + 1 * (1, 0) + 3 * (0, 1) = (2, 3) */
    float *v = encode(m, (int32_t[]){0, 1, 0}, &(span){0, 3}, 1, TEXT_QUESTION, true);
    assert_close(v, (float[]){2 / sqrtf(13), 3 / sqrtf(13)}, 2);
    free(v);
    retriever_free(m);
}

/* Without blocks the published model is the projected mean of the normed embeddings. */
static void published_configuration_takes_the_plain_mean(void **state) {
    (void)state;
    retriever_config c = {
        .vocab = 3, .dim = 4, .embedding_dim = 1, .window = 4, .n_blocks = 0, .n_heads = 1};
    retriever *m = retriever_new(&c, NULL, 1, false);
    float table[] = {1, -1, 1, -1, 2, 2, -2, -2, 0, 0, 0, 0};
    memcpy(m->embedding->v, table, sizeof table);
    memset(m->marker->v, 0, 8 * sizeof(float));
    memcpy(m->out->v, (float[]){1, 10, 100, 1000}, 4 * sizeof(float));
    params_touch(m->p);
    float *v = encode(m, (int32_t[]){0, 1}, &(span){0, 2}, 1, TEXT_PASSAGE, true);
    double want = 0;
    for (int t = 0; t < 2; t++) {
        /* sines at frequencies 1 and 1e-4, then cosines, times sqrt(2 / 4) */
        double x[4], mean = 0, var = 0, place[4] = {sin(t), sin(1e-4 * t), cos(t), cos(1e-4 * t)};
        for (int i = 0; i < 4; i++) x[i] = (double)table[4 * t + i] + sqrt(.5) * place[i];
        for (int i = 0; i < 4; i++) mean += x[i] / 4;
        for (int i = 0; i < 4; i++) var += (x[i] - mean) * (x[i] - mean) / 4;
        for (int i = 0; i < 4; i++) want += .5 * (x[i] - mean) / sqrt(var + 1e-5) * pow(10, i);
    }
    assert_true(fabs(v[0] - want) < .01 * fabs(want)); /* bf16 products are welcome */
    free(v);
    retriever_free(m);
}

/* One text, one operator after the other, as retriever.h says it. */
static tensor *stack(retriever *m, graph *g, tensor *x, tensor *y) {
    span *own = arena_push(graph_arena(g), 2 * sizeof *own);
    own[0].end = x->rows;
    own[1].end = y ? y->rows : x->rows;
    for (int i = 0; i < m->c.n_blocks; i++) {
        x = attend(g, &m->attends[i], x, y, (spans){1, own}, (spans){1, own + 1}, false, NULL,
                   NULL);
        x = feed(g, &m->feeds[i], x);
    }
    return t_layer_norm(g, x, m->norm, m->norm_bias);
}

static float *by_hand(retriever *m, const int32_t *ids, int64_t n, text_kind kind) {
    arena *a = arena_new((size_t)1 << 24);
    graph *g = graph_new(a, NULL, false);
    int32_t position[N_TEXTS];
    for (int32_t i = 0; i < n; i++) position[i] = i;
    tensor *x = t_add_sinusoid(g, t_embed(g, m->embedding, ids, n), position);
    x = t_add(g, x, t_rows(g, m->marker, kind, kind + 1));
    int64_t w = m->c.window;
    tensor *state = stack(m, g, t_rows(g, x, 0, n < w ? n : w), NULL);
    for (int64_t begin = w; begin < n; begin += w) {
        state = stack(m, g, state, t_rows(g, x, begin, begin + w < n ? begin + w : n));
        state = stack(m, g, state, NULL);
    }
    tensor *v = t_pool_mean(g, state, (spans){1, &(span){0, state->rows}});
    v = t_linear(g, v, m->out, NULL, ACT_NONE);
    float *out = xmalloc((size_t)m->c.embedding_dim * sizeof *out);
    memcpy(out, v->v, (size_t)m->c.embedding_dim * sizeof *out);
    graph_free(g);
    arena_free(a);
    return out;
}

/* Up to one window there is no recursion, from one token more on there is. */
static void texts_of_any_number_of_windows_recur_as_by_hand(void **state) {
    (void)state;
    retriever *m = small_retriever(false);
    material t = make_texts();
    for (int64_t n = 1; n <= 11; n++) {
        float *got = encode(m, t.ids, &(span){0, n}, 1, TEXT_PASSAGE, true),
              *want = by_hand(m, t.ids, n, TEXT_PASSAGE);
        assert_close(got, want, m->c.embedding_dim);
        free(got);
        free(want);
    }
    arena_free(t.a);
    retriever_free(m);
}

static void only_the_text_decides_its_vector(void **state) {
    (void)state;
    for (int bag = 0; bag < 2; bag++) {
        retriever *m = small_retriever(bag);
        material t = make_texts();
        int64_t e = m->c.embedding_dim;
        size_t row = (size_t)e * sizeof(float);
        float *all = encode(m, t.ids, t.at, N_TEXTS, TEXT_QUESTION, true);
        span back[N_TEXTS];
        for (int i = 0; i < N_TEXTS; i++) back[i] = t.at[N_TEXTS - 1 - i];
        float *reversed = encode(m, t.ids, back, N_TEXTS, TEXT_QUESTION, true);
        for (int i = 0; i < N_TEXTS; i++) {
            float *alone = encode(m, t.ids, &t.at[i], 1, TEXT_QUESTION, true);
            assert_memory_equal(alone, all + i * e, row);
            assert_memory_equal(alone, reversed + (N_TEXTS - 1 - i) * e, row);
            free(alone);
        }
        free(all);
        free(reversed);
        arena_free(t.a);
        retriever_free(m);
    }
}

enum { N = 24, E = 48 }; /* texts, width of a vector */

/* 64 wide, in windows of 40. */
static retriever *wider_retriever(int n_heads, double deviation) {
    retriever_config c = {.vocab = 500,
                          .dim = 64,
                          .embedding_dim = E,
                          .window = 40,
                          .n_blocks = 2,
                          .n_heads = n_heads,
                          .bag = true,
                          .unit = true};
    retriever *m = retriever_new(&c, NULL, 3, false);
    randomize(m->p, 4, deviation);
    return m;
}

/* Tokens of N texts of none to three windows, and where each stands. */
static int32_t *ragged_texts(arena *a, span at[N]) {
    rng r = rng_new(5);
    int64_t n = 0;
    for (int i = 0; i < N; i++) {
        at[i].begin = n;
        at[i].end = n += i == 7 ? 0 : rng_below(&r, i % 4 ? 40 : 120);
    }
    return random_ids(a, &r, 500, n);
}

/* The same where the fast kernels cut work into pieces: 64 wide, texts of up to three windows. */
static void only_the_text_decides_its_vector_at_larger_sizes(void **state) {
    (void)state;
    retriever *m = wider_retriever(4, .05);
    arena *a = arena_new((size_t)1 << 20);
    span at[N];
    int32_t *ids = ragged_texts(a, at);
    float *all = encode(m, ids, at, N, TEXT_PASSAGE, true);
    for (int i = 0; i < N; i++) {
        float *alone = encode(m, ids, &at[i], 1, TEXT_PASSAGE, true);
        assert_memory_equal(alone, all + i * E, E * sizeof(float));
        free(alone);
    }
    free(all);
    arena_free(a);
    retriever_free(m);
}

/* What the embedder makes of texts of none to three windows, of which those of one are read on narrow
 * rows: the graph's vectors within rounding, and the same bytes alone, together and by 1 or 3 threads. */
static void narrow_rows_give_the_vectors_of_the_graph(void **state) {
    (void)state;
    static const char *const names[] = {"bf16", "amx"};
    retriever *m = wider_retriever(2, .1);
    arena *a = arena_new((size_t)1 << 20);
    span at[N];
    int32_t *ids = ragged_texts(a, at);
    static float want[N * E], got[N * E], alone[E];
    embed_precisely(m, backend_ref());
    embed_texts(m, ids, at, N, TEXT_PASSAGE, want);
    for (int f = 0; f < 4; f++) {
        const backend *be;
        if (backend_find(names[f / 2], &be) || !be->narrow) continue;
        embed_precisely(m, f % 2 ? backend_int8(be) : be);
        par_threads_set(3);
        embed_texts(m, ids, at, N, TEXT_PASSAGE, got);
        par_threads_set(1);
        for (int i = 0; i < N; i++) {
            double like = 0;
            for (int k = 0; k < E; k++) like += (double)got[i * E + k] * (double)want[i * E + k];
            bool is_empty = at[i].end == at[i].begin;
            assert_true(is_empty ? like == 0 : like > (f % 2 ? .997 : .9998));
            embed_texts(m, ids, &at[i], 1, TEXT_PASSAGE, alone);
            assert_memory_equal(alone, got + i * E, sizeof alone);
        }
        par_threads_set(0);
    }
    err_clear();
    arena_free(a);
    retriever_free(m);
}

static void empty_texts_have_zero_vectors(void **state) {
    (void)state;
    int32_t ids[] = {7, 8};
    span at[] = {{0, 0}, {0, 2}, {2, 2}};
    for (int bag = 0; bag < 2; bag++) {
        retriever *m = small_retriever(bag);
        int64_t e = m->c.embedding_dim;
        float *v = encode(m, ids, at, 3, TEXT_PASSAGE, true),
              *none = encode(m, ids, at, 1, TEXT_PASSAGE, true);
        double length = 0;
        for (int64_t i = 0; i < e; i++) {
            assert_true(v[i] == 0 && v[2 * e + i] == 0 && none[i] == 0);
            length += (double)v[e + i] * (double)v[e + i];
        }
        if (bag)
            assert_float_equal(length, 1, 1e-5);
        else
            assert_true(length > 0);
        free(v);
        free(none);
        retriever_free(m);
    }
}

static void questions_and_passages_are_told_apart(void **state) {
    (void)state;
    for (int bag = 0; bag < 2; bag++) {
        retriever *m = small_retriever(bag);
        int32_t ids[] = {7, 8, 9};
        size_t row = (size_t)m->c.embedding_dim * sizeof(float);
        float *q = encode(m, ids, &(span){0, 3}, 1, TEXT_QUESTION, true),
              *p = encode(m, ids, &(span){0, 3}, 1, TEXT_PASSAGE, true);
        assert_memory_not_equal(q, p, row);
        free(q);
        free(p);
        retriever_free(m);
    }
}

static void blocks_can_be_left_out_of_a_bag(void **state) {
    (void)state;
    retriever *m = small_retriever(true);
    int32_t ids[] = {7, 8, 9, 7, 30};
    size_t row = (size_t)m->c.embedding_dim * sizeof(float);
    float *with = encode(m, ids, &(span){0, 5}, 1, TEXT_QUESTION, true),
          *without = encode(m, ids, &(span){0, 5}, 1, TEXT_QUESTION, false);
    assert_memory_not_equal(with, without, row);
    memset(m->mix->v, 0, (size_t)(m->c.dim * m->c.dim) * sizeof(float));
    params_touch(m->p);
    float *unmixed = encode(m, ids, &(span){0, 5}, 1, TEXT_QUESTION, true);
    assert_memory_equal(unmixed, without, row);
    free(with);
    free(without);
    free(unmixed);
    retriever_free(m);
}

/* Three optimizer steps on one batch; the caller frees the parameters. */
static float *train(int threads, bool recompute) {
    par_threads_set(threads);
    retriever *m = small_retriever(true);
    material t = make_texts();
    arena *a = arena_new((size_t)1 << 26);
    graph *g = graph_new(a, NULL, true);
    if (recompute) graph_recompute(g);
    adamw o = adamw_default();
    int32_t positive[N_TEXTS];
    for (int32_t i = 0; i < N_TEXTS; i++) positive[i] = i;
    for (int step = 0; step < 3; step++) {
        graph_reset(g, (uint64_t)step);
        spans s = {N_TEXTS, t.at};
        tensor *q = retriever_encode(m, g, t.ids, s, TEXT_QUESTION, true),
               *c = retriever_encode(m, g, t.ids, s, TEXT_PASSAGE, true);
        tensor *loss = t_contrastive(g, q, c, m->log_scale, positive, NULL, true);
        graph_backward(g, loss, 1);
        adamw_step(&o, m->p, backend_cpu());
    }
    float *out = xmalloc((size_t)params_count(m->p) * sizeof *out), *at = out;
    for (int64_t i = 0; i < params_tensors(m->p); i++) {
        const tensor *x = params_at(m->p, i, NULL);
        memcpy(at, x->v, (size_t)(x->rows * x->cols) * sizeof *at);
        at += x->rows * x->cols;
    }
    graph_free(g);
    arena_free(a);
    arena_free(t.a);
    retriever_free(m);
    return out;
}

static void steps_are_the_same_bytes_whatever_the_threads_and_kept_or_made_again(void **state) {
    (void)state;
    retriever *m = small_retriever(true);
    size_t bytes = (size_t)params_count(m->p) * sizeof(float);
    retriever_free(m);
    float *one = train(1, false);
    for (int i = 0; i < 4; i++) {
        float *many = train((int[]){2, 3, 5, 2}[i], i == 3);
        assert_memory_equal(one, many, bytes);
        free(many);
    }
    free(one);
    par_threads_set(0);
}

static void configuration_survives_json(void **state) {
    (void)state;
    retriever_config c = retriever_defaults(), back;
    c.vocab = 1234;
    c.dropout = .1f;
    c.title = false;
    json_t *j = retriever_config_json(&c);
    assert_int_equal(retriever_config_read(j, &back), OK);
    json_t *again = retriever_config_json(&back);
    assert_true(json_equal(j, again));
    assert_int_equal(back.dim, c.dim);
    assert_false(back.title);
    json_object_set_new(j, "num_heads", json_integer(3));
    assert_int_equal(retriever_config_read(j, &back), ERR_FORMAT);
    assert_non_null(strstr(err_msg(), "num_heads 3"));
    json_decref(j);
    json_decref(again);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(untrained_retriever_is_an_idf_weighted_bag_of_embeddings),
        cmocka_unit_test(published_configuration_takes_the_plain_mean),
        cmocka_unit_test(texts_of_any_number_of_windows_recur_as_by_hand),
        cmocka_unit_test(only_the_text_decides_its_vector),
        cmocka_unit_test(only_the_text_decides_its_vector_at_larger_sizes),
        cmocka_unit_test(narrow_rows_give_the_vectors_of_the_graph),
        cmocka_unit_test(empty_texts_have_zero_vectors),
        cmocka_unit_test(questions_and_passages_are_told_apart),
        cmocka_unit_test(blocks_can_be_left_out_of_a_bag),
        cmocka_unit_test(steps_are_the_same_bytes_whatever_the_threads_and_kept_or_made_again),
        cmocka_unit_test(configuration_survives_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
