/* Dev figures of retrieval against ranks counted one by one. */
#include <math.h>

#include "cmocka_all.h"
#include "train/dev_retrieval.h"
#include "train/taught.h"

enum { N_DOCS = 40, N_QUESTIONS = 12 };
static char texts[N_DOCS][64], ids[N_DOCS][16], asked[N_QUESTIONS][64], answers[N_QUESTIONS][32];
static doc docs[N_DOCS];
static store_question questions[N_QUESTIONS];

typedef struct fixture {
    collection k;
    lexical *lex;
    qa_set *dev;
    retriever *m;
} fixture;

/* Document i says "w<i % 7> w<i % 5> name<i>"; question i asks for name<3 i> by one of its words,
 * so that others match as well; the last two have no passage. */
static fixture fixture_new(void) {
    for (int i = 0; i < N_DOCS; i++) {
        snprintf(ids[i], sizeof ids[i], "d%d", i);
        snprintf(texts[i], sizeof texts[i], "w%d w%d name%d", i % 7, i % 5, i);
        docs[i] = (doc){ids[i], "", texts[i]};
    }
    for (int i = 0; i < N_QUESTIONS; i++) {
        int of = i < 10 ? 3 * i : 900 + i;
        snprintf(asked[i], sizeof asked[i], "which w%d is it", of % 7);
        snprintf(answers[i], sizeof answers[i], "[\"name%d\"]", of);
        questions[i] = (store_question){
            .id = ids[i], .question = asked[i], .answers = answers[i], .split = SPLIT_DEV};
    }
    fixture f = {.k = collection_new(docs, N_DOCS, questions, N_QUESTIONS, 500, 40)};
    f.lex = lexical_of(&f.k);
    f.dev = questions_of(&f.k, SPLIT_DEV, 0);
    retriever_config c = retriever_defaults();
    c.vocab = tokenizer_size(f.k.t);
    c.dim = c.embedding_dim = 8;
    c.n_blocks = 0;
    f.m = retriever_new(&c, NULL, 1, false);
    return f;
}

static void fixture_free(fixture *f) {
    retriever_free(f->m);
    qa_set_free(f->dev);
    lexical_close(f->lex);
    collection_free(&f->k);
}

static dev_retrieval *pool(const fixture *f, int64_t n_questions, int64_t n_passages) {
    dev_retrieval *d = NULL;
    SUCCEEDS(dev_retrieval_new(f->k.c, f->dev, f->lex, n_questions, n_passages, 1, &d));
    return d;
}

typedef struct sums {
    double mrr, success5, success20;
} sums;

/* With every passage in the pool: figures of the scores that `add` mixes from dense and BM25. */
static sums by_hand(const fixture *f, double dense_weight, double words_weight) {
    const corpus *c = f->k.c;
    float passages[N_DOCS][8], q[8], words[N_DOCS];
    SUCCEEDS(embed_passages(f->m, c, NULL, N_DOCS, &passages[0][0], NULL, NULL));
    sums s = {0};
    int n = 0;
    for (int64_t i = 0; i < f->dev->n; i++) {
        const qa *x = &f->dev->at[i];
        if (x->relevant.end == x->relevant.begin) continue;
        n++;
        embed_texts(f->m, f->dev->tokens, &x->tokens, 1, TEXT_QUESTION, q);
        SUCCEEDS(lexical_score_ids(f->lex, x->question, strlen(x->question), &bm25_default, c->id,
                                   N_DOCS, words));
        double score[N_DOCS];
        for (int p = 0; p < N_DOCS; p++) {
            double dot = 0;
            for (int k = 0; k < 8; k++) dot += (double)q[k] * (double)passages[p][k];
            score[p] = dense_weight * dot + words_weight * (double)words[p];
        }
        int64_t own = f->dev->relevant[x->relevant.begin];
        int rank = 1;
        for (int p = 0; p < N_DOCS; p++) rank += p != own && score[p] >= score[own] - 1e-6;
        s.mrr += rank <= 10 ? 1.0 / rank : 0;
        s.success5 += rank <= 5;
        s.success20 += rank <= 20;
    }
    return (sums){s.mrr / n, s.success5 / n, s.success20 / n};
}

static double figure(const json_t *j, const char *name) {
    return json_num(j, name, NAN);
}

static void figures_are_those_of_ranks_counted_one_by_one(void **state) {
    (void)state;
    fixture f = fixture_new();
    dev_retrieval *d = pool(&f, 100, 100);
    assert_int_equal(dev_retrieval_questions(d), 10); /* those with a passage */
    double score;
    json_t *got, *base;
    SUCCEEDS(dev_retrieval_run(d, f.m, &score, &got, &base));
    sums dense = by_hand(&f, 1, 0), words = by_hand(&f, 0, 1), both = by_hand(&f, 6, 1);
    assert_float_equal(figure(got, "mrr@10"), dense.mrr, 1e-6);
    assert_float_equal(figure(got, "success@5"), dense.success5, 1e-6);
    assert_float_equal(figure(got, "success@20"), dense.success20, 1e-6);
    assert_float_equal(figure(got, "hybrid_mrr@10"), both.mrr, 1e-6);
    assert_float_equal(figure(got, "hybrid_success@5"), both.success5, 1e-6);
    assert_float_equal(score, (dense.mrr + both.mrr) / 2, 1e-6);
    assert_float_equal(figure(base, "mrr@10"), words.mrr, 1e-6);
    assert_float_equal(figure(base, "success@5"), words.success5, 1e-6);
    assert_float_equal(figure(base, "success@20"), words.success20, 1e-6);
    assert_true(words.mrr > 0 && words.mrr < 1);
    json_decref(got);
    json_decref(base);
    dev_retrieval_free(d);
    fixture_free(&f);
}

/* Scores that are no numbers, and scores that are all the same, find nothing. */
static void a_broken_model_finds_nothing(void **state) {
    (void)state;
    for (int broken = 0; broken < 2; broken++) {
        fixture f = fixture_new();
        for (int64_t i = 0; i < f.m->out->rows * f.m->out->cols; i++)
            f.m->out->v[i] = broken ? NAN : 0;
        params_touch(f.m->p);
        dev_retrieval *d = pool(&f, 100, 100);
        double score;
        json_t *got, *base;
        SUCCEEDS(dev_retrieval_run(d, f.m, &score, &got, &base));
        assert_true(figure(got, "mrr@10") == 0);
        assert_true(figure(got, "success@20") == 0);
        assert_true(figure(base, "mrr@10") > 0);
        json_decref(got);
        json_decref(base);
        dev_retrieval_free(d);
        fixture_free(&f);
    }
}

/* A small pool holds what its questions need, hence is easier; the same seed chooses the same. */
static void a_small_pool_holds_the_relevant_passages(void **state) {
    (void)state;
    fixture f = fixture_new();
    double score[2];
    for (int i = 0; i < 2; i++) {
        dev_retrieval *d = pool(&f, 4, 5);
        assert_int_equal(dev_retrieval_questions(d), 4);
        json_t *got, *base;
        SUCCEEDS(dev_retrieval_run(d, f.m, &score[i], &got, &base));
        assert_true(figure(got, "success@5") == 1); /* five passages in all */
        json_decref(got);
        json_decref(base);
        dev_retrieval_free(d);
    }
    assert_true(score[0] == score[1]);
    fixture_free(&f);
}

static void examples_show_the_best_passages_of_the_last_run(void **state) {
    (void)state;
    fixture f = fixture_new();
    dev_retrieval *d = pool(&f, 100, 100);
    buf text = {0};
    json_t *example = NULL;
    dev_retrieval_show(d, f.m, f.k.t, 0, 3, &text, &example);
    assert_null(example); /* nothing was run yet */
    double score;
    json_t *got, *base;
    SUCCEEDS(dev_retrieval_run(d, f.m, &score, &got, &base));
    int n_relevant = 0;
    for (int64_t i = 0; i < 10; i++) {
        dev_retrieval_show(d, f.m, f.k.t, i, N_DOCS, &text, &example);
        const json_t *list = json_object_get(example, "passages");
        assert_int_equal(json_array_size(list), N_DOCS);
        for (size_t p = 0; p < N_DOCS; p++) {
            const json_t *at = json_array_get(list, p);
            n_relevant += json_flag(at, "relevant", false);
            if (p > 0)
                assert_true(figure(at, "score") <=
                            figure(json_array_get(list, p - 1), "score") + 1e-7);
        }
        json_decref(example);
    }
    assert_int_equal(n_relevant, 10); /* each question's own, once */
    assert_non_null(strstr(text.at, "question: which w"));
    buf_clear(&text);
    json_decref(got);
    json_decref(base);
    dev_retrieval_free(d);
    fixture_free(&f);
}

int main(void) {
    setenv("RAGLAN_CPU", "ref", 0); /* dense scores to the last digit, for ties */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_those_of_ranks_counted_one_by_one),
        cmocka_unit_test(a_broken_model_finds_nothing),
        cmocka_unit_test(a_small_pool_holds_the_relevant_passages),
        cmocka_unit_test(examples_show_the_best_passages_of_the_last_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
