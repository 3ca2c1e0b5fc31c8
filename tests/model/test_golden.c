/* Whole models against PyTorch: loss, every gradient, ten optimizer steps, as
 * tests/golden/models.json keeps them (make_models.py beside it writes it). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cmocka_all.h"
#include "model/generator.h"
#include "model/retriever.h"
#include "util/json.h"

/* A gradient may differ by this of (its size + the tensor's root mean square): f32 through some
 * forty operators, and the file's six digits. Losses drift apart over ten steps. */
#define TOLERANCE 1e-4

static json_t *file;

static int read_file(void **state) {
    (void)state;
    return json_read(TEST_DIR "/golden/models.json", &file) == OK ? 0 : -1;
}

static int drop_file(void **state) {
    (void)state;
    json_decref(file);
    return 0;
}

/* ---- reading ---- */

static int64_t int_at(const json_t *list, size_t i) {
    MUST(i < json_array_size(list), "models.json: a list is too short");
    return json_integer_value(json_array_get(list, i));
}

static const json_t *of(const json_t *j, const char *key) {
    const json_t *v = json_object_get(j, key);
    MUST(v, "models.json: no '%s'", key);
    return v;
}

static int32_t *ids_of(arena *a, const json_t *list, int64_t *n) {
    *n = (int64_t)json_array_size(list);
    int32_t *ids = ARENA_ARRAY(a, int32_t, *n + 1);
    for (int64_t i = 0; i < *n; i++) ids[i] = (int32_t)int_at(list, (size_t)i);
    return ids;
}

/* Texts one behind the other. */
typedef struct texts {
    int32_t *ids;
    spans at;
} texts;

static texts texts_of(arena *a, const json_t *list) {
    int64_t n_texts = (int64_t)json_array_size(list), n_ids = 0;
    span *at = ARENA_ARRAY(a, span, n_texts);
    texts t = {ARENA_ARRAY(a, int32_t, 256), {n_texts, at}};
    for (int64_t i = 0; i < n_texts; i++) {
        int64_t n;
        int32_t *ids = ids_of(a, json_array_get(list, (size_t)i), &n);
        memcpy(t.ids + n_ids, ids, (size_t)n * sizeof *ids);
        at[i] = (span){n_ids, n_ids + n};
        n_ids += n;
    }
    return t;
}

/* ---- comparing ---- */

/* Parameters as the file says: base + size * sin(0.731 i^2 + the sum of the name's bytes). */
static void fill(params *p, const json_t *parameters) {
    assert_int_equal(params_tensors(p), json_object_size(parameters));
    for (int64_t i = 0; i < params_tensors(p); i++) {
        const char *name;
        tensor *t = params_at(p, i, &name);
        const json_t *j = of(parameters, name);
        assert_int_equal(t->rows, json_int(j, "rows", -1));
        assert_int_equal(t->rows * t->cols, json_array_size(of(j, "d")));
        double phase = 0;
        for (const char *c = name; *c; c++) phase += (unsigned char)*c;
        for (int64_t k = 0; k < t->rows * t->cols; k++)
            t->v[k] = (float)(json_num(j, "base", 0) +
                              json_num(j, "size", 0) * sin(0.731 * (double)(k * k) + phase));
    }
    params_touch(p);
}

static int compare_gradients(const params *p, const json_t *parameters) {
    int n_wrong = 0;
    for (int64_t i = 0; i < params_tensors(p); i++) {
        const char *name;
        const tensor *t = params_at(p, i, &name);
        const json_t *want = of(of(parameters, name), "d");
        size_t n = json_array_size(want);
        double squares = 0;
        for (size_t k = 0; k < n; k++)
            squares += pow(json_number_value(json_array_get(want, k)), 2);
        for (size_t k = 0; k < n; k++) {
            double w = json_number_value(json_array_get(want, k));
            if (fabs(t->d[k] - w) <= TOLERANCE * (fabs(w) + sqrt(squares / (double)n)) + 1e-7)
                continue;
            n_wrong++;
            fprintf(stderr, "gradient of %s[%zu] = %.8g, PyTorch %.8g\n", name, k, (double)t->d[k],
                    w);
        }
    }
    return n_wrong;
}

/* A batch's loss with its gradients added to the parameters. */
typedef double (*loss_fn)(void *model, graph *g, const json_t *inputs);

static void check(const json_t *j, params *p, loss_fn loss, void *model) {
    arena *a = arena_new(0);
    graph *g = graph_new(a, backend_ref(), true);
    fill(p, of(j, "parameters"));
    params_zero_grad(p);
    assert_float_equal(loss(model, g, of(j, "inputs")), json_num(j, "loss", NAN), TOLERANCE);
    assert_int_equal(compare_gradients(p, of(j, "parameters")), 0);

    const json_t *o = of(file, "adamw"), *losses = of(j, "losses");
    adamw opt = {.lr = (float)json_num(o, "lr", 0),
                 .beta1 = (float)json_num(o, "beta1", 0),
                 .beta2 = (float)json_num(o, "beta2", 0),
                 .eps = (float)json_num(o, "eps", 0),
                 .weight_decay = (float)json_num(o, "decay", 0),
                 .clip = (float)json_num(o, "clip", 0),
                 .bias_correction = true};
    params_zero_grad(p);
    for (size_t step = 0; step < 10; step++) {
        graph_reset(g, 0);
        double got = loss(model, g, of(j, "inputs")),
               want = json_number_value(json_array_get(losses, step));
        if (!(fabs(got - want) <= 1e-3 * fabs(want)))
            fail_msg("loss of step %zu is %.8g, PyTorch %.8g", step, got, want);
        adamw_step(&opt, p, backend_ref());
    }
    graph_free(g);
    arena_free(a);
}

/* ---- the retriever ---- */

static retriever *retriever_of(const json_t *inputs, bool bag) {
    retriever_config c = {.vocab = json_int(inputs, "vocab", 0),
                          .dim = json_int(inputs, "dim", 0),
                          .embedding_dim = json_int(inputs, "embedding_dim", 0),
                          .window = json_int(inputs, "window", 0),
                          .n_blocks = (int)json_int(inputs, "blocks", 0),
                          .n_heads = (int)json_int(inputs, "heads", 0),
                          .bag = bag,
                          .unit = bag};
    return retriever_new(&c, NULL, 1, true);
}

static tensor *encode(retriever *m, graph *g, const json_t *list, text_kind kind) {
    texts t = texts_of(graph_arena(g), list);
    return retriever_encode(m, g, t.ids, t.at, kind, true);
}

static double contrastive(void *model, graph *g, const json_t *inputs) {
    retriever *m = model;
    arena *a = graph_arena(g);
    tensor *q = encode(m, g, of(inputs, "questions"), TEXT_QUESTION),
           *c = encode(m, g, of(inputs, "passages"), TEXT_PASSAGE);
    uint8_t *masked = arena_push(a, (size_t)(q->rows * c->rows));
    const json_t *list = of(inputs, "masked");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *at = json_array_get(list, i);
        masked[int_at(at, 0) * c->rows + int_at(at, 1)] = 1;
    }
    int64_t n;
    tensor *loss =
        t_contrastive(g, q, c, m->log_scale, ids_of(a, of(inputs, "positive"), &n), masked, true);
    graph_backward(g, loss, 1);
    return loss->v[0];
}

static void retriever_agrees_with_pytorch(void **state) {
    (void)state;
    const json_t *j = of(file, "retriever");
    retriever *m = retriever_of(of(j, "inputs"), true);
    check(j, m->p, contrastive, m);
    retriever_free(m);
}

static double published(void *model, graph *g, const json_t *inputs) {
    retriever *m = model;
    arena *a = graph_arena(g);
    texts first = texts_of(a, of(inputs, "questions"));
    tensor *q = retriever_encode(m, g, first.ids, (spans){1, first.at.at}, TEXT_QUESTION, true),
           *c = encode(m, g, of(inputs, "passages"), TEXT_PASSAGE);
    uint8_t *positive = arena_push(a, (size_t)c->rows);
    const json_t *list = of(inputs, "positives");
    for (size_t i = 0; i < json_array_size(list); i++) positive[int_at(list, i)] = 1;
    tensor *scores = t_scale(g, t_linear_t(g, q, c), 1.0f / (float)m->c.embedding_dim),
           *loss = t_published_loss(g, scores, positive);
    graph_backward(g, loss, 1);
    return loss->v[0];
}

static void published_retriever_agrees_with_pytorch(void **state) {
    (void)state;
    const json_t *j = of(file, "published_retriever");
    retriever *m = retriever_of(of(j, "inputs"), false);
    check(j, m->p, published, m);
    retriever_free(m);
}

/* ---- the generator ---- */

static generator *generator_of(const json_t *inputs, bool copy) {
    const json_t *l = of(inputs, "limits");
    generator_config c = {.vocab = json_int(inputs, "vocab", 0),
                          .dim = json_int(inputs, "dim", 0),
                          .n_encoder = (int)json_int(inputs, "blocks", 0),
                          .n_decoder = (int)json_int(inputs, "blocks", 0),
                          .n_heads = (int)json_int(inputs, "heads", 0),
                          .copy = copy,
                          .limits = {json_int(l, "question", 0), json_int(l, "title", 0),
                                     json_int(l, "passage", 0), json_int(l, "answer", 0)}};
    return generator_new(&c, 1, true);
}

static token_traits traits(arena *a, const json_t *inputs) {
    int64_t n;
    int32_t *bits = ids_of(a, of(inputs, "bits"), &n);
    uint8_t *small = arena_push(a, (size_t)n);
    for (int64_t i = 0; i < n; i++) small[i] = (uint8_t)bits[i];
    return (token_traits){
        .vocab = n, .bits = small, .fold = ids_of(a, of(inputs, "fold"), &n), .bos = 1, .eos = 2};
}

static reader_question question_of(arena *a, const json_t *item) {
    reader_question q = {0};
    q.ids = ids_of(a, of(item, "ids"), &q.n_ids);
    q.answer = ids_of(a, of(item, "answer"), &q.n_answer);
    const json_t *list = of(item, "passages");
    q.n_passages = (int64_t)json_array_size(list);
    reader_passage *p = arena_push(a, (size_t)(q.n_passages + 1) * sizeof *p);
    for (int64_t i = 0; i < q.n_passages; i++) {
        const json_t *j = json_array_get(list, (size_t)i), *at = of(j, "at");
        p[i].title = ids_of(a, of(j, "title"), &p[i].n_title);
        p[i].ids = ids_of(a, of(j, "ids"), &p[i].n_ids);
        p[i].answer = (span){int_at(at, 0), int_at(at, 1)};
    }
    q.passages = p;
    return q;
}

static double reading(void *model, graph *g, const json_t *inputs) {
    generator *m = model;
    arena *a = graph_arena(g);
    const json_t *items = of(inputs, "items");
    int64_t n = (int64_t)json_array_size(items);
    reader_question *q = ARENA_ARRAY(a, reader_question, n);
    for (int64_t i = 0; i < n; i++) q[i] = question_of(a, json_array_get(items, (size_t)i));
    token_traits tr = traits(a, inputs);
    reader_batch b = reader_batch_new(a, &tr, &m->c.limits, q, n);
    tensor *loss = generator_loss(m, g, &b, (float)json_num(inputs, "place_weight", 0), NULL);
    graph_backward(g, loss, 1);
    return loss->v[0];
}

static void check_generator(const char *name, bool copy) {
    const json_t *j = of(file, name);
    generator *m = generator_of(of(j, "inputs"), copy);
    check(j, m->p, reading, m);
    generator_free(m);
}

static void generator_agrees_with_pytorch(void **state) {
    (void)state;
    check_generator("generator", true);
}

static void generator_without_copying_agrees_with_pytorch(void **state) {
    (void)state;
    check_generator("plain_generator", false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retriever_agrees_with_pytorch),
        cmocka_unit_test(published_retriever_agrees_with_pytorch),
        cmocka_unit_test(generator_agrees_with_pytorch),
        cmocka_unit_test(generator_without_copying_agrees_with_pytorch),
    };
    return cmocka_run_group_tests(tests, read_file, drop_file);
}
