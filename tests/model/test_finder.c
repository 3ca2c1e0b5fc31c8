/* Embedding and finding: vectors as single texts have them, hits as corpus indexes, and a reader's
 * input out of them. */
#include <math.h>

#include "cmocka_all.h"
#include "data/collection.h"
#include "model/finder.h"
#include "util/stop.h"

enum { N_DOCS = 5, DIM = 16 };
static const doc docs[N_DOCS] = {
    {"orlen", "Orlen", "The Orlen is a river of the north. It was mapped by Ada Quill in 1820."},
    {"belmora", "Belmora", "Belmora is a harbour at the river Orlen, where ferries wait for fog."},
    {"quill", "Ada Quill the painter", "Ada Quill was a painter of ships and died in 1851."},
    {"fog", "", "Fog hides ships, ferries and the two lighthouses of the grey harbour."},
    {"sheep", "Sheep", "Sheep eat grass."},
};
static const store_question questions[] = {
    {.id = "1",
     .question = "Who mapped the Orlen?",
     .answers = "[\"Ada Quill\"]",
     .split = SPLIT_TEST},
    {.id = "2", .question = "  ", .split = SPLIT_TEST},
    {.id = "3", .question = "grass", .answers = "[\"sheep\"]", .split = SPLIT_TEST},
};
enum { N_QUESTIONS = sizeof questions / sizeof *questions };

typedef struct fixture {
    collection k;
    retriever *m;
    search *index;
    finder f;
    qa_set *set;
} fixture;

static void index_of(fixture *x) {
    const corpus *c = x->k.c;
    manifest m;
    manifest_init(&m);
    char name[SEGMENT_NAME];
    lexical_builder *b;
    SUCCEEDS(lexical_builder_open(x->k.home, NULL, &b));
    for (int64_t i = 0; i < c->n; i++) {
        buf text = {0};
        tokens_text(x->k.t, c->tokens + c->text[i].begin, c->text[i].end - c->text[i].begin, &text,
                    NULL);
        SUCCEEDS(lexical_builder_add(b, c->id[i], NULL, 0, text.at, text.len));
        buf_clear(&text);
    }
    SUCCEEDS(lexical_builder_finish(b, name));
    lexical_builder_close(b);
    SUCCEEDS(manifest_add_lexical(x->k.home, &m, name));

    vectors_key key = {.model = "m", .tokenizer = "t", .dim = DIM};
    vectors_writer *w;
    float *rows = xmalloc((size_t)(c->n * DIM) * sizeof *rows);
    SUCCEEDS(embed_passages(x->m, c, NULL, c->n, rows, NULL, NULL));
    SUCCEEDS(vectors_writer_open(x->k.home, &key, &w));
    SUCCEEDS(vectors_writer_add(w, c->id, rows, c->n));
    SUCCEEDS(vectors_writer_finish(w, name));
    vectors_writer_close(w);
    free(rows);
    m.key = key;
    SUCCEEDS(manifest_add_vectors(x->k.home, &m, name));
    SUCCEEDS(manifest_write(x->k.home, &m));
    manifest_clear(&m);
    SUCCEEDS(search_open(x->k.home, &key, &x->index));
}

static fixture fixture_new(void) {
    fixture x = {.k = collection_new(docs, N_DOCS, questions, N_QUESTIONS, 400, 12)};
    retriever_config c = retriever_defaults();
    c.vocab = tokenizer_size(x.k.t);
    c.dim = c.embedding_dim = DIM;
    c.n_blocks = 1;
    float *idf = corpus_idf(x.k.c, c.vocab);
    x.m = retriever_new(&c, idf, 1, false);
    free(idf);
    index_of(&x);
    x.f = (finder){.index = x.index, .m = x.m, .passages = finder_passages(x.k.c)};
    x.set = questions_of(&x.k, SPLIT_TEST, 0);
    return x;
}

static void fixture_free(fixture *x) {
    qa_set_free(x->set);
    search_close(x->index);
    retriever_free(x->m);
    collection_free(&x->k);
}

static void passages_are_embedded_with_their_titles(void **state) {
    (void)state;
    fixture x = fixture_new();
    const corpus *c = x.k.c;
    int32_t ids[EMBED_TITLE_MAX + 12];
    for (int title = 0; title < 2; title++) {
        x.m->c.title = title;
        for (int64_t i = 0; i < c->n; i++) {
            int64_t n_title = title ? c->title[i].end - c->title[i].begin : 0,
                    n_text = c->text[i].end - c->text[i].begin;
            if (n_title > EMBED_TITLE_MAX) n_title = EMBED_TITLE_MAX;
            assert_int_equal(embed_passage_ids(x.m, c, i, ids), n_title + n_text);
            if (n_title)
                assert_memory_equal(ids, c->tokens + c->title[i].begin, (size_t)n_title * 4);
            assert_memory_equal(ids + n_title, c->tokens + c->text[i].begin, (size_t)n_text * 4);
        }
    }
    fixture_free(&x);
}

static void vectors_of_many_are_those_of_each(void **state) {
    (void)state;
    fixture x = fixture_new();
    enum { N = 500 }; /* of about 20 tokens: several batches */
    int64_t index[N];
    rng r = rng_new(3);
    for (int i = 0; i < N; i++) index[i] = rng_below(&r, x.k.c->n);
    float *all = xmalloc(sizeof(float[N][DIM])), one[DIM];
    SUCCEEDS(embed_passages(x.m, x.k.c, index, N, all, NULL, NULL));
    for (int i = 0; i < N; i++) {
        SUCCEEDS(embed_passages(x.m, x.k.c, &index[i], 1, one, NULL, NULL));
        assert_memory_equal(one, all + i * DIM, sizeof one);
    }
    free(all);
    fixture_free(&x);
}

/* Spans with gaps, out of order, empty, one of them longer than a batch. */
static void texts_may_lie_anywhere(void **state) {
    (void)state;
    fixture x = fixture_new();
    enum { N_IDS = 20000, N = 6 };
    int32_t *ids = xmalloc(N_IDS * sizeof *ids);
    for (int i = 0; i < N_IDS; i++) ids[i] = 4 + i * 7 % 300;
    const span at[N] = {{10, 20}, {0, 10}, {30, 9000}, {9000, 9003}, {5, 5}, {19990, N_IDS}};
    float all[N][DIM], one[DIM];
    embed_texts(x.m, ids, at, N, TEXT_QUESTION, &all[0][0]);
    for (int i = 0; i < N; i++) {
        embed_texts(x.m, ids, &at[i], 1, TEXT_QUESTION, one);
        assert_memory_equal(one, all[i], sizeof one);
    }
    free(ids);
    fixture_free(&x);
}

/* A question of a megabyte is a question still: its beginning counts. */
static void what_is_beyond_the_longest_text_does_not_count(void **state) {
    (void)state;
    fixture x = fixture_new();
    enum { N_IDS = EMBED_TEXT_MAX + 1000 };
    int32_t *ids = xmalloc(N_IDS * sizeof *ids);
    for (int i = 0; i < N_IDS; i++) ids[i] = 4 + i % 300;
    const span at[] = {{0, N_IDS}, {N_IDS - 3, N_IDS}, {0, EMBED_TEXT_MAX}};
    float v[3][DIM], end[DIM];
    embed_texts(x.m, ids, at, 3, TEXT_QUESTION, &v[0][0]);
    assert_memory_equal(v[0], v[2], sizeof v[0]);
    embed_texts(x.m, ids + N_IDS - 3, &(span){0, 3}, 1, TEXT_QUESTION, end);
    assert_memory_equal(v[1], end, sizeof end);
    free(ids);
    fixture_free(&x);
}

static void embedding_stops_when_asked(void **state) {
    (void)state;
    fixture x = fixture_new();
    float *all = xmalloc((size_t)(x.k.c->n * DIM) * sizeof *all);
    stop_request();
    assert_int_equal(embed_passages(x.m, x.k.c, NULL, x.k.c->n, all, NULL, NULL), ERR_STOPPED);
    stop_reset();
    free(all);
    fixture_free(&x);
}

static void the_best_mode_uses_vectors_where_there_are_any(void **state) {
    (void)state;
    fixture x = fixture_new();
    assert_int_equal(finder_mode(&x.f), SEARCH_HYBRID);
    finder plain = {.index = x.index};
    assert_int_equal(finder_mode(&plain), SEARCH_BM25);
    fixture_free(&x);
}

/* Each token once, by what the model knows it to say in a question; another tokenizer's tokens are
 * not those of the passages. */
static void nearness_weighs_a_questions_tokens_as_the_model_does(void **state) {
    (void)state;
    fixture x = fixture_new();
    near_question near;
    const int32_t ids[] = {9, 7, 9};
    x.m->token_weight->v[2 * 7 + TEXT_QUESTION] = 2.5f;
    search_options o = finder_options(&x.f, SEARCH_HYBRID, 4, ids, 3, &near);
    assert_ptr_equal(o.near, &near);
    assert_int_equal(near.n, 2);
    assert_int_equal(near.id[1], 7);
    assert_float_equal(near.weight[1], 2.5, 0);
    assert_float_equal(near.weight[0], x.m->token_weight->v[2 * 9 + TEXT_QUESTION], 0);
    x.f.reads = x.k.t;
    assert_null(finder_options(&x.f, SEARCH_HYBRID, 4, ids, 3, &near).near);
    fixture_free(&x);
}

static void a_set_is_searched_as_single_questions_are(void **state) {
    (void)state;
    fixture x = fixture_new();
    enum { K = 4 };
    for (int mode = SEARCH_BM25; mode <= SEARCH_HYBRID; mode++) {
        top_passages top;
        SUCCEEDS(finder_run_all(&x.f, x.k.c, x.set, (search_mode)mode, K, "searching", &top));
        assert_int_equal(top.k, K);
        for (int64_t q = 0; q < x.set->n; q++) {
            const qa *asked = &x.set->at[q];
            hit hits[K];
            int64_t n;
            SUCCEEDS(finder_run(&x.f, asked->question, x.set->tokens + asked->tokens.begin,
                                asked->tokens.end - asked->tokens.begin, (search_mode)mode, K, hits,
                                &n));
            for (int64_t j = 0; j < K; j++)
                assert_int_equal(top.at[q * K + j], j < n ? corpus_find(x.k.c, hits[j].id) : -1);
            if (q == 1) assert_int_equal(n, 0); /* the blank one */
            if (mode == SEARCH_BM25 && q == 2) assert_int_equal(n, 1);
        }
        free(top.at);
    }
    fixture_free(&x);
}

static void a_search_that_cannot_be_says_so(void **state) {
    (void)state;
    fixture x = fixture_new();
    search *lexical_only;
    SUCCEEDS(search_open(x.k.home, NULL, &lexical_only));
    finder f = {.index = lexical_only, .m = x.m};
    top_passages top = {0};
    assert_int_equal(finder_run_all(&f, x.k.c, x.set, SEARCH_HYBRID, 3, "searching", &top),
                     ERR_STATE);
    assert_non_null(strstr(err_msg(), "no vectors"));
    assert_null(top.at);
    search_close(lexical_only);
    fixture_free(&x);
}

static void traits_tell_digits_capitals_and_words(void **state) {
    (void)state;
    static const doc one[] = {{"a", "", "The the The the 1820 1820 1820 end ends The Orlen"}};
    collection k = collection_new(one, 1, NULL, 0, 400, 64);
    arena *a = arena_new((size_t)1 << 20);
    token_traits tr = traits_of(k.t, a);
    assert_int_equal(tr.vocab, tokenizer_size(k.t));
    assert_int_equal(tr.bos, TOKEN_BOS);
    assert_int_equal(tr.eos, TOKEN_EOS);
    int32_t upper = tokenizer_find(k.t, "\xe2\x96\x81The"),
            lower = tokenizer_find(k.t, "\xe2\x96\x81the"), one_ = tokenizer_find(k.t, "1");
    assert_true(upper > 0 && lower > 0 && one_ > 0);
    assert_int_equal(tr.bits[upper], TRAIT_WORD_START | TRAIT_CAPITAL);
    assert_int_equal(tr.bits[lower], TRAIT_WORD_START);
    assert_int_equal(tr.bits[one_] & TRAIT_DIGIT, TRAIT_DIGIT);
    assert_int_equal(tr.fold[upper], lower);
    assert_int_equal(tr.fold[lower], lower);
    arena_free(a);
    collection_free(&k);
}

static void reader_questions_borrow_from_corpus_and_set(void **state) {
    (void)state;
    fixture x = fixture_new();
    arena *a = arena_new((size_t)1 << 20);
    const int64_t passages[] = {3, 0};
    reader_question q = reader_question_of(a, x.k.c, x.set, 2, passages, 2);
    assert_ptr_equal(q.ids, x.set->tokens + x.set->at[2].tokens.begin);
    assert_int_equal(q.n_passages, 2);
    assert_int_equal(q.n_answer, 0);
    for (int i = 0; i < 2; i++) {
        span text = x.k.c->text[passages[i]], title = x.k.c->title[passages[i]];
        assert_ptr_equal(q.passages[i].ids, x.k.c->tokens + text.begin);
        assert_int_equal(q.passages[i].n_ids, text.end - text.begin);
        assert_ptr_equal(q.passages[i].title, x.k.c->tokens + title.begin);
        assert_int_equal(q.passages[i].answer.end, 0);
    }
    arena_free(a);
    fixture_free(&x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passages_are_embedded_with_their_titles),
        cmocka_unit_test(vectors_of_many_are_those_of_each),
        cmocka_unit_test(texts_may_lie_anywhere),
        cmocka_unit_test(what_is_beyond_the_longest_text_does_not_count),
        cmocka_unit_test(embedding_stops_when_asked),
        cmocka_unit_test(the_best_mode_uses_vectors_where_there_are_any),
        cmocka_unit_test(nearness_weighs_a_questions_tokens_as_the_model_does),
        cmocka_unit_test(a_set_is_searched_as_single_questions_are),
        cmocka_unit_test(a_search_that_cannot_be_says_so),
        cmocka_unit_test(traits_tell_digits_capitals_and_words),
        cmocka_unit_test(reader_questions_borrow_from_corpus_and_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
