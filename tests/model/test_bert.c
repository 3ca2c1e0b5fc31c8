/* BERT encoders: a tiny one of random weights that transformers computed vectors and gradients of
 * (tests/golden/bert, make_bert.py beside it), read as `raglan import hf` reads it; and the
 * published all-MiniLM-L6-v2, where RAGLAN_TEST_MINILM names its folder. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cmocka_all.h"
#include "model/embedder.h"
#include "small.h"
#include "temp.h"
#include "text/tokenizer.h"
#include "util/json.h"
#include "util/par.h"
#include "util/rng.h"

#define FOLDER TEST_DIR "/golden/bert"

/* ---- reading a folder as import does ---- */

static tokenizer *tokenizer_of(const char *folder) {
    buf json = {0};
    tokenizer *t = NULL;
    const char *path = temp_path("tokenizer.json");
    if (tokenizer_read_folder(folder, &json) || file_write(path, json.at, json.len) ||
        tokenizer_open(path, &t))
        fail_msg("%s", err_msg());
    buf_clear(&json);
    return t;
}

static retriever *retriever_from(const char *folder, const tokenizer *t, bool with_grad) {
    bert_config c;
    bool unit;
    if (bert_read_config(folder, &c, &unit)) fail_msg("%s", err_msg());
    c.first = tokenizer_find(t, "[CLS]");
    c.last = tokenizer_find(t, "[SEP]");
    retriever_config config = retriever_of_bert(&c, unit);
    retriever *m = retriever_new(&config, NULL, 1, with_grad);
    if (bert_read_weights(folder, m->bert)) fail_msg("%s", err_msg());
    params_touch(m->p);
    return m;
}

/* Tokens of a list of texts, one behind the other. */
typedef struct texts {
    tokens ids;
    span *at;
    int64_t n;
} texts;

static texts texts_of(const tokenizer *t, const json_t *list) {
    texts x = {.n = (int64_t)json_array_size(list)};
    x.at = xcalloc((size_t)x.n, sizeof *x.at);
    for (int64_t i = 0; i < x.n; i++) {
        const char *s = json_string_value(json_array_get(list, (size_t)i));
        int64_t begin = x.ids.n;
        tokenizer_encode(t, s, strlen(s), &x.ids);
        x.at[i] = (span){begin, x.ids.n};
    }
    return x;
}

static void texts_clear(texts *x) {
    tokens_clear(&x->ids);
    free(x->at);
}

/* Rows of v against a list of lists. */
static void compare(const char *what, const float *v, const json_t *want, double tolerance) {
    for (size_t i = 0; i < json_array_size(want); i++) {
        const json_t *row = json_array_get(want, i);
        size_t n = json_array_size(row);
        for (size_t j = 0; j < n; j++) {
            double w = json_number_value(json_array_get(row, j)), got = v[i * n + j];
            if (!(fabs(got - w) <= tolerance))
                fail_msg("%s: text %zu, value %zu is %.8g, transformers %.8g", what, i, j, got, w);
        }
    }
}

/* In f32 throughout: the families that multiply in bf16 have another tolerance. */
static const backend *f32_backend(void) {
    const backend *be = backend_cpu();
    if (!be->rounds_to_bf16) return be;
    return backend_find("avx512", &be) ? backend_ref() : be;
}

/* ---- the tiny one ---- */

typedef struct fixture {
    json_t *expected;
    tokenizer *t;
    retriever *m;
    texts x;
    arena *a;
    graph *g;
} fixture;

static fixture setup(bool training) {
    fixture f = {.t = tokenizer_of(FOLDER), .a = arena_new(0)};
    if (json_read(FOLDER "/expected.json", &f.expected)) fail_msg("%s", err_msg());
    f.m = retriever_from(FOLDER, f.t, training);
    f.x = texts_of(f.t, json_object_get(f.expected, "texts"));
    f.g = graph_new(f.a, f32_backend(), training);
    return f;
}

static void clear(fixture *f) {
    graph_free(f->g);
    arena_free(f->a);
    texts_clear(&f->x);
    retriever_free(f->m);
    tokenizer_close(f->t);
    json_decref(f->expected);
}

static tensor *encoded(fixture *f) {
    return retriever_encode(f->m, f->g, f->x.ids.id, (spans){f->x.n, f->x.at}, TEXT_PASSAGE, true);
}

static void a_folder_tokenizes_as_its_own_library(void **state) {
    (void)state;
    fixture f = setup(false);
    const json_t *ids = json_object_get(f.expected, "ids");
    for (int64_t i = 0; i < f.x.n; i++) {
        const json_t *row = json_array_get(ids, (size_t)i);
        assert_int_equal(f.x.at[i].end - f.x.at[i].begin, json_array_size(row));
        for (size_t j = 0; j < json_array_size(row); j++)
            assert_int_equal(f.x.ids.id[f.x.at[i].begin + (int64_t)j],
                             json_integer_value(json_array_get(row, j)));
    }
    clear(&f);
}

static void vectors_are_those_of_transformers(void **state) {
    (void)state;
    fixture f = setup(false);
    assert_int_equal(f.m->c.bert.max_tokens, 12);
    assert_true(f.m->c.unit);
    compare("mean", encoded(&f)->v, json_object_get(f.expected, "mean"), 1e-5);
    f.m->bert->c.pools_first = true;
    f.m->c.unit = false;
    compare("cls", encoded(&f)->v, json_object_get(f.expected, "cls"), 2e-5);
    clear(&f);
}

static void compare_gradients(bool recompute) {
    fixture f = setup(true);
    if (recompute) graph_recompute(f.g);
    tensor *v = encoded(&f);
    float *seed = ARENA_ARRAY(f.a, float, v->rows * v->cols);
    for (int64_t i = 0; i < v->rows * v->cols; i++) seed[i] = (float)sin(1 + (double)i);
    graph_backward_from(f.g, v, seed);
    retriever *want =
        retriever_from(FOLDER, f.t, false); /* holds gradients as if they were weights */
    if (bert_read_weights(FOLDER "/gradient", want->bert)) fail_msg("%s", err_msg());
    for (int64_t i = 0; i < params_tensors(f.m->p); i++) {
        const char *name;
        const tensor *got = params_at(f.m->p, i, &name), *w = params_at(want->p, i, NULL);
        double squares = 0;
        int64_t n = got->rows * got->cols;
        if (!strcmp(name, "log_scale")) continue;
        for (int64_t k = 0; k < n; k++) squares += (double)w->v[k] * (double)w->v[k];
        for (int64_t k = 0; k < n; k++) {
            double room = 1e-4 * (fabs((double)w->v[k]) + sqrt(squares / (double)n)) + 1e-6;
            if (!(fabs((double)(got->d[k] - w->v[k])) <= room))
                fail_msg("gradient of %s[%ld] is %.8g, transformers %.8g", name, (long)k,
                         (double)got->d[k], (double)w->v[k]);
        }
    }
    retriever_free(want);
    clear(&f);
}

static void gradients_are_those_of_transformers(void **state) {
    (void)state;
    compare_gradients(false);
    compare_gradients(true);
}

static void vectors_do_not_depend_on_what_stands_beside_a_text(void **state) {
    (void)state;
    fixture f = setup(false);
    float all[16 * 8], one[8];
    embed_texts(f.m, f.x.ids.id, f.x.at, f.x.n, TEXT_PASSAGE, all);
    for (int64_t i = 0; i < f.x.n; i++) {
        embed_texts(f.m, f.x.ids.id, &f.x.at[i], 1, TEXT_QUESTION, one);
        for (int j = 0; j < 8; j++) assert_true(one[j] == all[i * 8 + j]);
    }
    clear(&f);
}

static void the_configuration_comes_back_from_json(void **state) {
    (void)state;
    fixture f = setup(false);
    json_t *j = retriever_config_json(&f.m->c);
    retriever_config c;
    if (retriever_config_read(j, &c)) fail_msg("%s", err_msg());
    assert_int_equal(c.arch, RETRIEVER_BERT);
    assert_int_equal(c.bert.ffn, 12);
    assert_int_equal(c.bert.first, 2);
    assert_int_equal(c.bert.max_tokens, 12);
    assert_float_equal(c.bert.eps, 1e-12, 1e-15);
    json_t *again = retriever_config_json(&c);
    assert_true(json_equal(j, again));
    json_object_set_new(j, "architecture", json_string("perceptron"));
    assert_int_equal(retriever_config_read(j, &c), ERR_FORMAT);
    assert_non_null(strstr(err_msg(), "architecture 'perceptron', wanted recurring or bert"));
    json_decref(j);
    json_decref(again);
    clear(&f);
}

/* ---- bad folders ---- */

static void write_json(const char *name, const char *text) {
    char *path = xstrdup(temp_path(name));
    *strrchr(path, '/') = 0;
    assert_int_equal(file_make_folders(path), OK);
    free(path);
    assert_int_equal(file_write(temp_path(name), text, strlen(text)), OK);
}

#define SIZES                                                                                      \
    "\"vocab_size\": 29, \"hidden_size\": 8, \"num_hidden_layers\": 2, \"num_attention_heads\": "  \
    "2, "                                                                                          \
    "\"intermediate_size\": 12, \"max_position_embeddings\": 20"

static void refuses_config(const char *config, const char *pooling, const char *part) {
    write_json("hf/config.json", config);
    write_json("hf/1_Pooling/config.json", pooling);
    bert_config c;
    bool unit;
    assert_int_equal(bert_read_config(temp_path("hf"), &c, &unit), ERR_FORMAT);
    if (!strstr(err_msg(), part)) fail_msg("wanted '%s' in: %s", part, err_msg());
}

static void another_architecture_is_refused_by_name(void **state) {
    (void)state;
    const char *mean = "{\"pooling_mode_mean_tokens\": true}";
    refuses_config("{\"model_type\": \"roberta\"}", mean, "model_type is 'roberta', wanted 'bert'");
    refuses_config("{}", mean, "has no model_type");
    refuses_config("{\"model_type\": \"bert\", \"hidden_act\": \"silu\"}", mean,
                   "hidden_act is 'silu', wanted 'gelu'");
    refuses_config("{\"model_type\": \"bert\", \"position_embedding_type\": \"relative_key\"}",
                   mean, "position_embedding_type is 'relative_key'");
    refuses_config("{\"model_type\": \"bert\", " SIZES "}", "{\"pooling_mode_max_tokens\": true}",
                   "pooling_mode_max_tokens is on, wanted mean_tokens or cls_token");
    refuses_config("{\"model_type\": \"bert\", " SIZES "}", "{}", "0 pooling modes are on");
    refuses_config("{\"model_type\": ", mean, "config.json: line 1");
    write_json("hf/modules.json", "[{\"type\": \"sentence_transformers.models.Dense\"}]");
    refuses_config("{\"model_type\": \"bert\", " SIZES "}", mean, "module 0 is 'Dense'");
    bert_config c;
    bool unit;
    assert_int_equal(bert_read_config(temp_path("nowhere"), &c, &unit), ERR_ARG);
    assert_non_null(strstr(err_msg(), "nowhere/config.json is not there"));
    assert_int_equal(bert_check(&(bert_config){.vocab = 9, .dim = 8, .n_heads = 3}), ERR_FORMAT);
}

static void weights_of_other_shapes_are_refused(void **state) {
    (void)state;
    bert_config c;
    bool unit;
    if (bert_read_config(FOLDER, &c, &unit)) fail_msg("%s", err_msg());
    c.ffn = 16;
    params *p = params_new();
    bert *m = bert_new(p, &c);
    assert_int_equal(params_build(p, 1, false), OK);
    assert_int_equal(bert_read_weights(FOLDER, m), ERR_FORMAT);
    assert_non_null(strstr(err_msg(), "intermediate.dense.weight' has 2 dimensions, 12 by 8; "
                                      "config.json wants 16 by 8"));
    buf whole = {0};
    assert_int_equal(file_read(FOLDER "/model.safetensors", 0, &whole), OK);
    write_json("cut/x", "");
    assert_int_equal(file_write(temp_path("cut/model.safetensors"), whole.at, whole.len - 9), OK);
    assert_int_equal(bert_read_weights(temp_path("cut"), m), ERR_FORMAT);
    assert_non_null(strstr(err_msg(), "cut short or damaged"));
    assert_int_equal(bert_read_weights(temp_path("nowhere"), m), ERR_ARG);
    buf_clear(&whole);
    bert_free(m);
    params_free(p);
}

/* ---- published weights ---- */

/* ---- without a tape ---- */

enum { WIDTH = 128, TEXTS = 40 };

/* A BERT of random weights, large enough that attention is uneven and the norms have work. */
static retriever *random_bert(void) {
    bert_config c = {.vocab = 97,
                     .dim = WIDTH,
                     .ffn = 256,
                     .positions = 96,
                     .types = 1,
                     .n_blocks = 2,
                     .n_heads = 4,
                     .eps = 1e-12f,
                     .first = 1,
                     .last = 2,
                     .max_tokens = 80};
    retriever_config config = retriever_of_bert(&c, true);
    retriever *m = retriever_new(&config, NULL, 7, false);
    for (int i = 0; i < c.n_blocks; i++) {
        const bert_block *b = &m->bert->blocks[i];
        tensor *grown[] = {b->wqkv, b->wo, b->w1, b->w2, b->bqkv, b->b1, b->b2};
        for (size_t t = 0; t < sizeof grown / sizeof *grown; t++)
            for (int64_t j = 0; j < grown[t]->rows * grown[t]->cols; j++)
                grown[t]->v[j] = grown[t]->rows > 1 ? 5 * grown[t]->v[j] : .02f * (float)(j % 17);
    }
    params_touch(m->p);
    return m;
}

/* Texts of 0 to 84 tokens; the longest are cut to 78. */
static int64_t random_texts(int32_t ids[TEXTS * 84], span at[TEXTS]) {
    rng r = rng_new(11);
    int64_t n = 0;
    for (int i = 0; i < TEXTS; i++) {
        int64_t begin = n;
        for (int64_t j = rng_below(&r, 85); j > 0; j--) ids[n++] = 3 + (int32_t)rng_below(&r, 94);
        at[i] = (span){begin, n};
    }
    return n;
}

static double cosine(const float *a, const float *b) {
    double ab = 0, aa = 0, bb = 0;
    for (int j = 0; j < WIDTH; j++) {
        ab += (double)a[j] * b[j];
        aa += (double)a[j] * a[j];
        bb += (double)b[j] * b[j];
    }
    return ab / sqrt(aa * bb);
}

static void vectors_of_narrow_rows_are_those_of_the_graph(void **state) {
    (void)state;
    static int32_t ids[TEXTS * 84];
    static float want[TEXTS * WIDTH], got[TEXTS * WIDTH];
    span at[TEXTS];
    const backend *families[4];
    retriever *m = random_bert();
    random_texts(ids, at);
    embed_precisely(m, f32_backend());
    embed_texts(m, ids, at, TEXTS, TEXT_PASSAGE, want);
    for (int f = 0, n = narrow_families(families); f < n; f++) {
        bool bytes = f >= n / 2;
        memset(got, 0, sizeof got);
        assert_true(bert_read(m->bert, families[f], ids, (spans){TEXTS, at}, got));
        for (int i = 0; i < TEXTS; i++) {
            double c = cosine(got + i * WIDTH, want + i * WIDTH), least = bytes ? .998 : .9999;
            if (!(c >= least))
                fail_msg("%s%s: text %d of %ld tokens has a cosine of %.6f, wanted %.4f",
                         families[f]->name, bytes ? " in bytes" : "", i,
                         (long)(at[i].end - at[i].begin), c, least);
        }
    }
    retriever_free(m);
}

static void narrow_rows_do_not_depend_on_company_or_threads(void **state) {
    (void)state;
    static int32_t ids[TEXTS * 84];
    static float want[TEXTS * WIDTH], got[TEXTS * WIDTH];
    span at[TEXTS];
    const backend *families[4];
    retriever *m = random_bert();
    random_texts(ids, at);
    for (int f = 0, n = narrow_families(families); f < n; f++) {
        par_threads_set(1);
        bert_read(m->bert, families[f], ids, (spans){TEXTS, at}, want);
        for (int threads = 2; threads <= 5; threads += 3) {
            par_threads_set(threads);
            bert_read(m->bert, families[f], ids, (spans){TEXTS, at}, got);
            assert_memory_equal(got, want, sizeof got);
        }
        for (int i = 0; i < TEXTS; i++)
            bert_read(m->bert, families[f], ids, (spans){1, &at[i]}, got + i * WIDTH);
        assert_memory_equal(got, want, sizeof got);
    }
    par_threads_set(0);
    retriever_free(m);
}

static void minilm_gives_the_published_vectors(void **state) {
    (void)state;
    const char *folder = getenv("RAGLAN_TEST_MINILM");
    if (!folder) {
        print_message("RAGLAN_TEST_MINILM is unset: skipped\n");
        skip();
    }
    json_t *expected = NULL;
    if (json_read(FOLDER "/minilm.json", &expected)) fail_msg("%s", err_msg());
    tokenizer *t = tokenizer_of(folder);
    retriever *m = retriever_from(folder, t, false);
    texts x = texts_of(t, json_object_get(expected, "texts"));
    arena *a = arena_new(0);
    graph *g = graph_new(a, f32_backend(), false);
    tensor *v = retriever_encode(m, g, x.ids.id, (spans){x.n, x.at}, TEXT_PASSAGE, true);
    compare("MiniLM", v->v, json_object_get(expected, "vectors"), 1e-4);
    graph_free(g);
    arena_free(a);
    texts_clear(&x);
    retriever_free(m);
    tokenizer_close(t);
    json_decref(expected);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_tokenizes_as_its_own_library),
        cmocka_unit_test(vectors_are_those_of_transformers),
        cmocka_unit_test(gradients_are_those_of_transformers),
        cmocka_unit_test(vectors_do_not_depend_on_what_stands_beside_a_text),
        cmocka_unit_test(the_configuration_comes_back_from_json),
        cmocka_unit_test(another_architecture_is_refused_by_name),
        cmocka_unit_test(weights_of_other_shapes_are_refused),
        cmocka_unit_test(vectors_of_narrow_rows_are_those_of_the_graph),
        cmocka_unit_test(narrow_rows_do_not_depend_on_company_or_threads),
        cmocka_unit_test(minilm_gives_the_published_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
