/* The whole floor: an index on disk, one question, the best passages by each mode. */
#include "search/search.h"

#include <math.h>

#include "help.h"

static const vectors_key KEY = {.model = "model-a", .tokenizer = "tokenizer-a", .dim = 2};

/* Six passages of two documents: ids 1 2 3 | 10 11 12. */
static const struct {
    int64_t id;
    const char *text;
    float row[2];
} PASSAGES[] = {
    {1, "the river runs through the old town", {1, 0}},
    {2, "a bridge crosses it", {.8f, .6f}},
    {3, "the bridge was built of stone", {.6f, .8f}},
    {10, "stone is quarried in the hills", {0, 1}},
    {11, "the hills are green", {-.6f, .8f}},
    {12, "rain falls", {-1, 0}},
};
enum { N = sizeof PASSAGES / sizeof *PASSAGES };

/* Neighbours by the two documents above. */
static int neighbours_of(void *arg, int64_t id, int reach, int64_t *ids) {
    (void)arg;
    int n = 0;
    for (int64_t other = id - reach; other <= id + reach; other++)
        for (int i = 0; i < N; i++)
            if (PASSAGES[i].id == other && other != id && (other < 10) == (id < 10))
                ids[n++] = other;
    return n;
}

static void build(const char *folder, bool with_vectors, manifest *m) {
    lexical_builder *b;
    vectors_writer *w;
    char name[SEGMENT_NAME];
    manifest_init(m);
    SUCCEEDS(lexical_builder_open(folder, NULL, &b));
    for (int i = 0; i < N; i++)
        SUCCEEDS(lexical_builder_add(b, PASSAGES[i].id, NULL, 0, PASSAGES[i].text,
                                     strlen(PASSAGES[i].text)));
    SUCCEEDS(lexical_builder_finish(b, name));
    lexical_builder_close(b);
    SUCCEEDS(manifest_add_lexical(folder, m, name));
    if (with_vectors) {
        SUCCEEDS(vectors_writer_open(folder, &KEY, &w));
        for (int i = 0; i < N; i++)
            SUCCEEDS(vectors_writer_add(w, &PASSAGES[i].id, PASSAGES[i].row, 1));
        SUCCEEDS(vectors_writer_finish(w, name));
        vectors_writer_close(w);
        SUCCEEDS(manifest_add_vectors(folder, m, name));
    }
    SUCCEEDS(manifest_write(folder, m));
}

static int64_t ask(const search *s, const search_options *o, const char *question,
                   const float *vector, hit *hits) {
    int64_t n = -1;
    SUCCEEDS(search_run(s, question, strlen(question), vector, o, hits, &n));
    return n;
}

static void each_mode_ranks_by_its_own_scores(void **state) {
    (void)state;
    char *folder = make_folder();
    const float up[2] = {0, 1};
    manifest m;
    hit hits[10];
    search *s;
    build(folder, true, &m);
    SUCCEEDS(search_open(folder, &KEY, &s));

    search_options o = search_defaults(s, SEARCH_BM25, 10);
    assert_int_equal(ask(s, &o, "Which bridges?", NULL, hits), 2);
    assert_int_equal(hits[0].id, 2); /* the shorter passage */
    assert_int_equal(hits[1].id, 3);

    o = search_defaults(s, SEARCH_DENSE, 3);
    assert_int_equal(ask(s, &o, "Which bridges?", up, hits), 3);
    assert_int_equal(hits[0].id, 10);
    assert_int_equal(hits[1].id, 3); /* .8 twice: the smaller id */
    assert_int_equal(hits[2].id, 11);

    o = search_defaults(s, SEARCH_HYBRID, 10);
    o.fuse.lambda = 1; /* in so small a collection BM25's scores are about 1 */
    assert_int_equal(ask(s, &o, "Which bridges?", up, hits), 6);
    assert_int_equal(hits[0].id, 3); /* good on both sides */
    search_close(s);
    manifest_clear(&m);
    free(folder);
}

static void the_pool_scores_everybody_on_both_sides(void **state) {
    (void)state;
    char *folder = make_folder();
    const float up[2] = {0, 1};
    manifest m;
    fusion_pool pool;
    search *s;
    build(folder, true, &m);
    SUCCEEDS(search_open(folder, &KEY, &s));
    search_options o = search_defaults(s, SEARCH_HYBRID, 1);
    o.per_side = 1; /* bm25 brings 2, dense brings 10 */
    o.fuse.lambda = 1;
    SUCCEEDS(search_pool(s, "bridge", 6, up, &o, &pool));
    assert_int_equal(pool.n, 2);
    assert_int_equal(pool.c[0].id, 2);
    assert_true(pool.c[0].bm25 > 0);
    assert_float_equal(pool.c[0].dense, .6, 1e-6);
    double second = pool.c[0].bm25 + .6;
    assert_float_equal(pool.c[0].score, second, 1e-6);
    assert_int_equal(pool.c[1].id, 10);
    assert_true(pool.c[1].bm25 == 0);
    assert_float_equal(pool.c[1].score, 1, 1e-6);
    search_pool_clear(&pool);

    o.passages.neighbours = neighbours_of; /* 1 and 3 join 2, 11 and 12 join 10 */
    o.fuse.share = .1;
    SUCCEEDS(search_pool(s, "bridge", 6, up, &o, &pool));
    assert_int_equal(pool.n, 6);
    /* before smoothing 1 has 0; it gains from 2 or 3, whichever is better, 2 from 3 */
    double third = pool.c[2].bm25 + .8;
    assert_float_equal(pool.c[1].score, second + .1 * third, 1e-5);
    assert_float_equal(pool.c[0].score, .1 * (second > third ? second : third), 1e-5);
    search_pool_clear(&pool);
    search_close(s);
    manifest_clear(&m);
    free(folder);
}

/* Tokens of passage 2 and 3: the question's 7 and 8 side by side, or far apart. */
static status tokens_of(void *arg, int64_t id, const int32_t **ids, int64_t *n) {
    static const int32_t together[] = {1, 7, 8, 1}, apart[14] = {7, [13] = 8};
    if (id == *(int64_t *)arg) FAIL(ERR_IO, "passage %d cannot be read", (int)id);
    *ids = id == 2 ? together : apart;
    *n = id == 2 ? 4 : id == 3 ? 14 : 0;
    return OK;
}

static void a_question_that_stands_together_scores_more(void **state) {
    (void)state;
    char *folder = make_folder();
    const float up[2] = {0, 1};
    int64_t broken = -1;
    manifest m;
    fusion_pool far, near;
    search *s;
    build(folder, true, &m);
    SUCCEEDS(search_open(folder, &KEY, &s));
    search_options o = search_defaults(s, SEARCH_HYBRID, 10);
    SUCCEEDS(search_pool(s, "bridge", 6, up, &o, &far));
    near_question words = {0};
    near_add(&words, 7, 2);
    near_add(&words, 8, 3);
    o.near = &words;
    o.passages.tokens = tokens_of;
    o.passages.arg = &broken;
    o.fuse.near = .5;
    SUCCEEDS(search_pool(s, "bridge", 6, up, &o, &near));
    assert_int_equal(near.n, far.n);
    for (int64_t i = 0; i < near.n; i++) {
        double gain = near.c[i].id == 2 ? .5 * (2 + 3) : near.c[i].id == 3 ? .5 * 3 : 0;
        assert_float_equal(near.c[i].score, far.c[i].score + gain, 1e-5);
    }
    search_pool_clear(&near);
    broken = 3;
    FAILS(ERR_IO, "passage 3 cannot be read", search_pool(s, "bridge", 6, up, &o, &near));
    search_pool_clear(&far);
    search_close(s);
    manifest_clear(&m);
    free(folder);
}

static bool not_three(void *arg, int64_t id) {
    (void)arg;
    return id != 3;
}

static void deleted_and_filtered_passages_are_in_no_mode(void **state) {
    (void)state;
    char *folder = make_folder();
    const float up[2] = {0, 1};
    manifest m;
    hit hits[10];
    search *s;
    int64_t gone[] = {10};
    build(folder, true, &m);
    manifest_delete(&m, gone, 1);
    SUCCEEDS(manifest_write(folder, &m));
    SUCCEEDS(search_open(folder, &KEY, &s));
    for (int mode = SEARCH_BM25; mode <= SEARCH_HYBRID; mode++) {
        search_options o = search_defaults(s, (search_mode)mode, 10);
        o.filter.fn = not_three;
        o.passages.neighbours = neighbours_of;
        int64_t n = ask(s, &o, "stone bridge hills", up, hits);
        assert_in_range(n, 2, 4); /* 2 and 11 by words; 1, 2, 11, 12 by vectors */
        for (int64_t i = 0; i < n; i++) assert_true(hits[i].id != 10 && hits[i].id != 3);
    }
    search_close(s);
    manifest_clear(&m);
    free(folder);
}

static void without_vectors_only_words_can_be_searched(void **state) {
    (void)state;
    char *folder = make_folder();
    const float up[2] = {0, 1};
    manifest m;
    hit hits[10];
    int64_t n;
    search *s;
    build(folder, false, &m);
    SUCCEEDS(search_open(folder, &KEY, &s));
    search_options o = search_defaults(s, SEARCH_BM25, 10);
    assert_int_equal(ask(s, &o, "rain", up, hits), 1);
    o = search_defaults(s, SEARCH_DENSE, 10);
    FAILS(ERR_STATE, "raglan train retriever", search_run(s, "rain", 4, up, &o, hits, &n));
    o = search_defaults(s, SEARCH_HYBRID, 10);
    FAILS(ERR_STATE, "raglan train retriever", search_run(s, "rain", 4, up, &o, hits, &n));
    o = search_defaults(s, SEARCH_BM25, 0);
    FAILS(ERR_ARG, "top_k is 0", search_run(s, "rain", 4, up, &o, hits, &n));
    search_close(s);
    manifest_clear(&m);
    free(folder);
}

static void another_models_vectors_are_refused(void **state) {
    (void)state;
    char *folder = make_folder();
    vectors_key other = KEY;
    strcpy(other.model, "model-b");
    manifest m;
    search *s = NULL;
    build(folder, true, &m);
    FAILS(ERR_STATE, "run `raglan index`", search_open(folder, &other, &s));
    assert_null(s);
    SUCCEEDS(search_open(folder, NULL, &s)); /* words need no model */
    assert_null(search_flat(s));
    search_close(s);
    manifest_clear(&m);
    free(folder);
}

static void no_index_is_an_empty_one(void **state) {
    (void)state;
    hit hits[3];
    search *s;
    SUCCEEDS(search_open("/nonexistent/index", &KEY, &s));
    search_options o = search_defaults(s, SEARCH_BM25, 3);
    assert_int_equal(ask(s, &o, "anything", NULL, hits), 0);
    assert_int_equal(search_manifest(s)->generation, 0);
    assert_int_equal(lexical_count(search_lexical(s)), 0);
    search_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mode_ranks_by_its_own_scores),
        cmocka_unit_test(the_pool_scores_everybody_on_both_sides),
        cmocka_unit_test(a_question_that_stands_together_scores_more),
        cmocka_unit_test(deleted_and_filtered_passages_are_in_no_mode),
        cmocka_unit_test(without_vectors_only_words_can_be_searched),
        cmocka_unit_test(another_models_vectors_are_refused),
        cmocka_unit_test(no_index_is_an_empty_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
