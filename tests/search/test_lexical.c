/* Lexical search: BM25 against a naive reading of the formula, segments, deletion, damage. */
#include "search/lexical.h"

#include <math.h>

#include "help.h"
#include "search/lexical_int.h"
#include "util/par.h"

static const hit_filter NO_FILTER = {0};
static const id_list NOTHING = {0};

/* ---- building from arrays ---- */

typedef struct corpus {
    int64_t *ids;
    char **texts;
    int n;
} corpus;

static corpus random_corpus(uint64_t seed, int n, int max_words, int vocabulary) {
    rng r = rng_new(seed);
    buf text = {0};
    corpus c = {xcalloc((size_t)n, sizeof *c.ids), xcalloc((size_t)n, sizeof *c.texts), n};
    for (int i = 0; i < n; i++) {
        c.ids[i] = 3 * i + rng_below(&r, 3); /* ascending, with gaps */
        random_text(&r, (int)rng_below(&r, max_words + 1), vocabulary, &text);
        c.texts[i] = xstrdup(text.at ? text.at : "");
    }
    buf_clear(&text);
    return c;
}

static void corpus_free(corpus *c) {
    for (int i = 0; i < c->n; i++) free(c->texts[i]);
    free(c->texts);
    free(c->ids);
}

/* Passages first..last-1 of c, leaving out the ids in `without`. */
static void build(const char *folder, const corpus *c, int first, int last, id_list without,
                  const lexical_build_options *o, char name[SEGMENT_NAME]) {
    lexical_builder *b;
    SUCCEEDS(lexical_builder_open(folder, o, &b));
    for (int i = first; i < last; i++)
        if (id_find(without.at, without.n, c->ids[i]) < 0)
            SUCCEEDS(lexical_builder_add(b, c->ids[i], NULL, 0, c->texts[i], strlen(c->texts[i])));
    SUCCEEDS(lexical_builder_finish(b, name));
    lexical_builder_close(b);
}

static lexical *open_names(const char *folder, const char *const *names, int n, id_list deleted) {
    lexical *ix = NULL;
    SUCCEEDS(lexical_open(folder, names, n, deleted, &ix));
    return ix;
}

static int64_t query(const lexical *ix, const char *q, int64_t k, hit *hits) {
    int64_t n = -1;
    SUCCEEDS(lexical_search(ix, q, strlen(q), &bm25_default, k, NO_FILTER, hits, &n));
    return n;
}

/* ---- the formula, read aloud ---- */

/* Occurrences of a word in a blank-separated text; *length counts all words. */
static int count_in(const char *text, const char *word, int *length) {
    int n = 0;
    char *copy = xstrdup(text), *rest = copy, *token;
    *length = 0;
    while ((token = strtok_r(rest, " ", &rest))) {
        ++*length;
        n += strcmp(token, word) == 0;
    }
    free(copy);
    return n;
}

/* score(q, d) of lexical.h in doubles; the query's words may repeat. */
static double naive_score(const corpus *c, const char *q, int d, const bm25 *p) {
    double total = 0, score = 0;
    int length, of_d;
    for (int i = 0; i < c->n; i++) {
        count_in(c->texts[i], "", &length);
        total += length;
    }
    char *copy = xstrdup(q), *rest = copy, *word;
    while ((word = strtok_r(rest, " ", &rest))) {
        double df = 0;
        for (int i = 0; i < c->n; i++) df += count_in(c->texts[i], word, &length) > 0;
        double tf = count_in(c->texts[d], word, &of_d);
        double idf = log(1 + (c->n - df + .5) / (df + .5));
        if (tf > 0) score += idf * tf / (tf + p->k1 * (1 - p->b + p->b * of_d / (total / c->n)));
    }
    free(copy);
    return score;
}

static void scores_are_the_formula_on_a_hand_made_text(void **state) {
    (void)state;
    char *folder = make_folder(), name[SEGMENT_NAME];
    char *texts[] = {"the cat sat", "the dog sat on the mat", "a cat and a cat"};
    int64_t ids[] = {10, 20, 30};
    corpus c = {ids, texts, 3};
    build(folder, &c, 0, 3, NOTHING, &(lexical_build_options){.language = "none"}, name);
    lexical *ix = open_names(folder, (const char *[]){name}, 1, NOTHING);
    /* N 3, df(cat) 2, idf = ln(1 + 1.5 / 2.5) = .47000; average length 14/3.
     * id 10: tf 1, length 3: 1 / (1 + .9 (.6 + .4 * 3 / 4.6667)) = .56452
     * id 30: tf 2, length 5: 2 / (2 + .9 (.6 + .4 * 5 / 4.6667)) = .68359 */
    hit hits[3];
    assert_int_equal(query(ix, "Cat!", 3, hits), 2);
    assert_int_equal(hits[0].id, 30);
    assert_int_equal(hits[1].id, 10);
    assert_float_equal(hits[0].score, .47000 * .68359, 1e-4);
    assert_float_equal(hits[1].score, .47000 * .56452, 1e-4);
    assert_float_equal(lexical_idf(ix, "CAT", 3), .47000, 1e-5);
    assert_float_equal(lexical_idf(ix, "unicorn", 7), log(1 + 3.5 / .5), 1e-5);
    lexical_close(ix);
    free(folder);
}

static void scores_are_the_formula_on_random_collections(void **state) {
    (void)state;
    const bm25 settings[] = {bm25_default, {1.2, .75}, {0, 0}, {2, 1}};
    for (uint64_t seed = 1; seed <= 4; seed++) {
        char *folder = make_folder(), name[SEGMENT_NAME];
        corpus c = random_corpus(seed, 300, 40, 60);
        build(folder, &c, 0, c.n, NOTHING, NULL, name);
        lexical *ix = open_names(folder, (const char *[]){name}, 1, NOTHING);
        const char *q = "w0 w3 w3 w17 w59 w999";
        const bm25 *p = &settings[seed - 1];
        hit hits[300];
        int64_t n;
        SUCCEEDS(lexical_search(ix, q, strlen(q), p, 300, NO_FILTER, hits, &n));
        int64_t positive = 0;
        for (int d = 0; d < c.n; d++) {
            double want = naive_score(&c, q, d, p);
            positive += want > 0;
            for (int64_t i = 0; i < n; i++)
                if (hits[i].id == c.ids[d]) assert_float_equal(hits[i].score, want, 1e-4);
        }
        assert_int_equal(n, positive);
        for (int64_t i = 1; i < n; i++) assert_true(hit_before(hits[i - 1], hits[i]));
        lexical_close(ix);
        corpus_free(&c);
        free(folder);
    }
}

static void scores_of_given_ids_have_the_same_bits(void **state) {
    (void)state;
    char *folder = make_folder(), names[2][SEGMENT_NAME];
    corpus c = random_corpus(7, 900, 30, 50);
    build(folder, &c, 0, 500, NOTHING, NULL, names[0]);
    build(folder, &c, 500, 900, NOTHING, NULL, names[1]);
    lexical *ix = open_names(folder, (const char *[]){names[0], names[1]}, 2, NOTHING);
    const char *q = "w1 w4 w30 w2";
    hit hits[900];
    int64_t n = query(ix, q, 900, hits), ids[900], unknown = 1 << 20;
    float scores[900], none;
    for (int64_t i = 0; i < n; i++) ids[i] = hits[i].id; /* by score: no order of ids */
    SUCCEEDS(lexical_score_ids(ix, q, strlen(q), &bm25_default, ids, n, scores));
    assert_in_range(n, 100, 900);
    for (int64_t i = 0; i < n; i++) assert_true(scores[i] == hits[i].score);
    SUCCEEDS(lexical_score_ids(ix, q, strlen(q), &bm25_default, &unknown, 1, &none));
    assert_true(none == 0);
    lexical_close(ix);
    corpus_free(&c);
    free(folder);
}

static bool keep_even(void *arg, int64_t id) {
    (void)arg;
    return id % 2 == 0;
}

/* Common words are skipped where they cannot change the best k; scoring every id cannot skip. */
static void skipping_common_words_changes_no_bit(void **state) {
    (void)state;
    char *folder = make_folder(), names[2][SEGMENT_NAME];
    corpus c = random_corpus(47, 12000, 40, 400);
    static hit all[12000];
    static float scores[12000];
    build(folder, &c, 0, 9000, NOTHING, NULL, names[0]);
    build(folder, &c, 9000, c.n, NOTHING, NULL, names[1]);
    int64_t gone[] = {c.ids[5], c.ids[8000], c.ids[11000]};
    lexical *ix = open_names(folder, (const char *[]){names[0], names[1]}, 2, (id_list){gone, 3});
    const char *queries[] = {"w390 w0 w1 w2", "w0 w1 w2 w3 w4 w5 w250",
                             "w399 w398 w397 w396 w0 w0"};
    for (int i = 0; i < 6; i++) {
        const char *q = queries[i / 2];
        hit_filter filter = {.fn = i % 2 ? keep_even : NULL};
        hit hits[10];
        int64_t n, left = 0;
        SUCCEEDS(lexical_score_ids(ix, q, strlen(q), &bm25_default, c.ids, c.n, scores));
        for (int d = 0; d < c.n; d++)
            if (scores[d] > 0 && id_find(gone, 3, c.ids[d]) < 0 &&
                (!filter.fn || filter.fn(NULL, c.ids[d])))
                all[left++] = (hit){c.ids[d], scores[d]};
        hits_sort(all, left);
        SUCCEEDS(lexical_search(ix, q, strlen(q), &bm25_default, 10, filter, hits, &n));
        assert_int_equal(n, 10);
        for (int j = 0; j < 10; j++) {
            assert_int_equal(hits[j].id, all[j].id);
            assert_true(hits[j].score == all[j].score);
        }
    }
    lexical_close(ix);
    corpus_free(&c);
    free(folder);
}

/* ---- segments ---- */

static void several_segments_search_as_one(void **state) {
    (void)state;
    char *folder = make_folder(), whole[SEGMENT_NAME], parts[3][SEGMENT_NAME];
    corpus c = random_corpus(11, 1000, 30, 80);
    build(folder, &c, 0, 1000, NOTHING, NULL, whole);
    build(folder, &c, 0, 1, NOTHING, NULL, parts[0]);
    build(folder, &c, 1, 700, NOTHING, NULL, parts[1]);
    build(folder, &c, 700, 1000, NOTHING, NULL, parts[2]);
    lexical *one = open_names(folder, (const char *[]){whole}, 1, NOTHING);
    lexical *many = open_names(folder, (const char *[]){parts[0], parts[1], parts[2]}, 3, NOTHING);
    assert_int_equal(lexical_count(many), 1000);
    const char *queries[] = {"w0", "w5 w6 w7 w0", "w79 w40"};
    for (int i = 0; i < 3; i++) {
        hit a[50], b[50];
        int64_t n = query(one, queries[i], 50, a);
        assert_int_equal(query(many, queries[i], 50, b), n);
        for (int64_t j = 0; j < n; j++) {
            assert_int_equal(a[j].id, b[j].id);
            assert_true(a[j].score == b[j].score);
        }
    }
    lexical_close(one);
    lexical_close(many);
    corpus_free(&c);
    free(folder);
}

static void merging_segments_gives_the_bytes_of_one_build(void **state) {
    (void)state;
    char *folder = make_folder(), parts[3][SEGMENT_NAME], whole[SEGMENT_NAME], merged[SEGMENT_NAME];
    corpus c = random_corpus(13, 900, 30, 80);
    build(folder, &c, 0, 300, NOTHING, NULL, parts[0]);
    build(folder, &c, 300, 301, NOTHING, NULL, parts[1]);
    build(folder, &c, 301, 900, NOTHING, NULL, parts[2]);
    build(folder, &c, 0, 900, NOTHING, NULL, whole);
    /* The name is the hash of the content. The order of segments does not matter. */
    SUCCEEDS(
        lexical_merge(folder, (const char *[]){parts[2], parts[0], parts[1]}, 3, NOTHING, merged));
    assert_string_equal(merged, whole);
    corpus_free(&c);
    free(folder);
}

static void merging_without_deleted_ids_gives_the_bytes_of_building_without_them(void **state) {
    (void)state;
    char *folder = make_folder(), parts[2][SEGMENT_NAME], without[SEGMENT_NAME],
         merged[SEGMENT_NAME];
    corpus c = random_corpus(17, 400, 30, 80);
    int64_t gone[] = {c.ids[0], c.ids[7], c.ids[250], c.ids[399]};
    build(folder, &c, 0, 200, NOTHING, NULL, parts[0]);
    build(folder, &c, 200, 400, NOTHING, NULL, parts[1]);
    build(folder, &c, 0, 400, (id_list){gone, 4}, NULL, without);
    SUCCEEDS(
        lexical_merge(folder, (const char *[]){parts[0], parts[1]}, 2, (id_list){gone, 4}, merged));
    assert_string_equal(merged, without);
    corpus_free(&c);
    free(folder);
}

static void an_id_in_two_segments_cannot_be_merged(void **state) {
    (void)state;
    char *folder = make_folder(), name[SEGMENT_NAME], merged[SEGMENT_NAME];
    corpus c = random_corpus(19, 10, 30, 80);
    build(folder, &c, 0, 10, NOTHING, NULL, name);
    FAILS(ERR_FORMAT, "is indexed twice",
          lexical_merge(folder, (const char *[]){name, name}, 2, NOTHING, merged));
    corpus_free(&c);
    free(folder);
}

static void segments_of_two_languages_are_refused(void **state) {
    (void)state;
    char *folder = make_folder(), a[SEGMENT_NAME], b[SEGMENT_NAME];
    corpus c = random_corpus(23, 20, 30, 80);
    lexical *ix = NULL;
    build(folder, &c, 0, 10, NOTHING, NULL, a);
    build(folder, &c, 10, 20, NOTHING, &(lexical_build_options){.language = "german"}, b);
    FAILS(ERR_FORMAT, "stemmed as german, the others as english",
          lexical_open(folder, (const char *[]){a, b}, 2, NOTHING, &ix));
    assert_null(ix);
    corpus_free(&c);
    free(folder);
}

/* ---- what does not change the bytes ---- */

static void memory_and_threads_do_not_change_the_file(void **state) {
    (void)state;
    char *folder = make_folder(), name[SEGMENT_NAME], other[SEGMENT_NAME];
    corpus c = random_corpus(29, 20000, 60, 3000); /* several pieces */
    par_threads_set(1);
    build(folder, &c, 0, c.n, NOTHING, NULL, name);
    par_threads_set(3);
    build(folder, &c, 0, c.n, NOTHING, NULL, other);
    assert_string_equal(other, name);
    /* 1 MiB of postings: several spilled runs */
    build(folder, &c, 0, c.n, NOTHING, &(lexical_build_options){.memory_bytes = 1 << 20}, other);
    assert_string_equal(other, name);
    assert_int_equal(count_files(folder), 1); /* no run is left */
    par_threads_set(0);
    corpus_free(&c);
    free(folder);
}

static void a_title_counts_as_text_in_front(void **state) {
    (void)state;
    char *folder = make_folder(), with_title[SEGMENT_NAME], in_text[SEGMENT_NAME];
    lexical_builder *b;
    SUCCEEDS(lexical_builder_open(folder, NULL, &b));
    SUCCEEDS(lexical_builder_add(b, 1, "Marie Curie", 11, "won two prizes", 14));
    SUCCEEDS(lexical_builder_finish(b, with_title));
    lexical_builder_close(b);
    SUCCEEDS(lexical_builder_open(folder, NULL, &b));
    SUCCEEDS(lexical_builder_add(b, 1, NULL, 0, "Marie Curie won two prizes", 26));
    SUCCEEDS(lexical_builder_finish(b, in_text));
    lexical_builder_close(b);
    assert_string_equal(with_title, in_text);
    free(folder);
}

static void ids_must_ascend(void **state) {
    (void)state;
    char *folder = make_folder();
    lexical_builder *b;
    SUCCEEDS(lexical_builder_open(folder, NULL, &b));
    SUCCEEDS(lexical_builder_add(b, 5, NULL, 0, "a", 1));
    FAILS(ERR_ARG, "passage 5 comes after passage 5; ids must ascend",
          lexical_builder_add(b, 5, NULL, 0, "b", 1));
    FAILS(ERR_ARG, "ids must ascend", lexical_builder_add(b, -1, NULL, 0, "b", 1));
    lexical_builder_close(b);
    assert_int_equal(count_files(folder), 0);
    free(folder);
}

/* ---- the disk ---- */

static void a_missing_folder_and_a_full_disk_are_one_sentence_each(void **state) {
    (void)state;
    char *folder = make_folder(), name[SEGMENT_NAME];
    corpus c = random_corpus(53, 2000, 60, 3000);
    lexical_builder *b;
    SUCCEEDS(lexical_builder_open("/nonexistent", NULL, &b));
    FAILS(ERR_IO, "/nonexistent/lexical.seg", lexical_builder_finish(b, name));
    lexical_builder_close(b);

    SUCCEEDS(lexical_builder_open(folder, NULL, &b));
    for (int i = 0; i < c.n; i++)
        SUCCEEDS(lexical_builder_add(b, c.ids[i], NULL, 0, c.texts[i], strlen(c.texts[i])));
    limit_file_size(10000);
    status st = lexical_builder_finish(b, name);
    limit_file_size(-1);
    assert_int_equal(st, ERR_IO);
    assert_non_null(strstr(err_msg(), folder));
    lexical_builder_close(b);
    assert_int_equal(count_files(folder), 0);
    corpus_free(&c);
    free(folder);
}

/* ---- edges ---- */

static void an_empty_index_finds_nothing(void **state) {
    (void)state;
    char *folder = make_folder(), name[SEGMENT_NAME];
    corpus none = {0};
    hit hits[5];
    lexical *ix = open_names(folder, NULL, 0, NOTHING); /* no segment at all */
    assert_int_equal(query(ix, "w1 w2", 5, hits), 0);
    lexical_close(ix);
    build(folder, &none, 0, 0, NOTHING, NULL, name); /* a segment of nothing */
    ix = open_names(folder, (const char *[]){name}, 1, NOTHING);
    assert_int_equal(lexical_count(ix), 0);
    assert_int_equal(query(ix, "w1 w2", 5, hits), 0);
    lexical_close(ix);
    free(folder);
}

static void odd_questions_are_answered(void **state) {
    (void)state;
    char *folder = make_folder(), name[SEGMENT_NAME];
    char *texts[] = {"alpha beta", "", "beta"};
    int64_t ids[] = {0, 1, INT64_MAX - 1};
    corpus c = {ids, texts, 3};
    build(folder, &c, 0, 3, NOTHING, NULL, name);
    lexical *ix = open_names(folder, (const char *[]){name}, 1, NOTHING);
    hit hits[100];
    int64_t n;
    assert_int_equal(query(ix, "", 100, hits), 0);
    assert_int_equal(query(ix, "... ?!", 100, hits), 0);
    assert_int_equal(query(ix, "gamma delta", 100, hits), 0);
    assert_int_equal(query(ix, "gamma beta", 100, hits), 2); /* k beyond the collection */
    assert_int_equal(hits[0].id, INT64_MAX - 1);
    assert_int_equal(query(ix, "beta", 1, hits), 1);
    FAILS(ERR_ARG, "top_k is 0, wanted at least 1",
          lexical_search(ix, "beta", 4, &bm25_default, 0, NO_FILTER, hits, &n));
    FAILS(ERR_ARG, "b in [0, 1]",
          lexical_search(ix, "beta", 4, &(bm25){1, 2}, 1, NO_FILTER, hits, &n));
    lexical_close(ix);
    free(folder);
}

static void equal_scores_go_to_the_smaller_id(void **state) {
    (void)state;
    char *folder = make_folder(), name[SEGMENT_NAME];
    char *texts[300];
    int64_t ids[300];
    for (int i = 0; i < 300; i++) {
        texts[i] = "same words everywhere";
        ids[i] = 1000 + i;
    }
    corpus c = {ids, texts, 300};
    build(folder, &c, 0, 300, NOTHING, NULL, name);
    lexical *ix = open_names(folder, (const char *[]){name}, 1, NOTHING);
    hit hits[5];
    assert_int_equal(query(ix, "words", 5, hits), 5);
    for (int i = 0; i < 5; i++) assert_int_equal(hits[i].id, 1000 + i);
    lexical_close(ix);
    free(folder);
}

static void a_very_long_and_repetitive_passage_keeps_its_counts(void **state) {
    (void)state;
    char *folder = make_folder(), name[SEGMENT_NAME];
    buf text = {0};
    for (int i = 0; i < 70000; i++) buf_puts(&text, "again ");
    char *texts[] = {"once again", text.at};
    int64_t ids[] = {1, 2};
    corpus c = {ids, texts, 2};
    build(folder, &c, 0, 2, NOTHING, &(lexical_build_options){.language = "none"}, name);
    lexical *ix = open_names(folder, (const char *[]){name}, 1, NOTHING);
    float score;
    SUCCEEDS(lexical_score_ids(ix, "again", 5, &(bm25){1, 0}, &ids[1], 1, &score));
    /* idf ln(1 + .5 / 2.5), tf 70000: tf / (tf + 1) */
    assert_float_equal(score, log(1.2) * 70000 / 70001, 1e-6);
    lexical_close(ix);
    buf_clear(&text);
    free(folder);
}

/* ---- deletion and filters ---- */

static void deleted_and_filtered_passages_are_never_found(void **state) {
    (void)state;
    char *folder = make_folder(), name[SEGMENT_NAME];
    char *texts[200];
    int64_t ids[200];
    for (int i = 0; i < 200; i++) {
        texts[i] = i % 10 ? "common word" : "word";
        ids[i] = i;
    }
    corpus c = {ids, texts, 200};
    build(folder, &c, 0, 200, NOTHING, NULL, name);
    int64_t gone[] = {0, 20, 64, 199, 5000}; /* an unknown id is no harm */
    lexical *ix = open_names(folder, (const char *[]){name}, 1, (id_list){gone, 5});
    hit hits[200];
    int64_t n;
    assert_int_equal(query(ix, "word", 200, hits), 196);
    for (int i = 0; i < 196; i++) assert_true(id_find(gone, 5, hits[i].id) < 0);
    assert_false(lexical_has(ix, 20));
    assert_true(lexical_has(ix, 21));
    assert_false(lexical_has(ix, 5000));
    SUCCEEDS(
        lexical_search(ix, "word", 4, &bm25_default, 200, (hit_filter){.fn = keep_even}, hits, &n));
    assert_int_equal(n, 97); /* 100 even ones, 0, 20 and 64 deleted */
    lexical_close(ix);
    free(folder);
}

/* ---- damage ---- */

static void a_flipped_bit_is_found_anywhere_in_the_file(void **state) {
    (void)state;
    char *folder = make_folder(), name[SEGMENT_NAME];
    corpus c = random_corpus(31, 200, 30, 80);
    build(folder, &c, 0, 200, NOTHING, NULL, name);
    char *path = xasprintf("%s/%s", folder, name);
    int64_t size = file_size(path);
    SUCCEEDS(lexical_verify(folder, name));
    int found = 0, tried = 0;
    for (int64_t at = 0; at < size; at += 53) {
        flip_bit(folder, name, (long)at);
        found += lexical_verify(folder, name) != OK;
        tried++;
        flip_bit(folder, name, (long)at);
    }
    /* The zeros between sections, less than 64 bytes each, are nobody's. */
    assert_in_range(tried - found, 0, 8 * 64 / 53);
    SUCCEEDS(lexical_verify(folder, name));
    free(path);
    corpus_free(&c);
    free(folder);
}

static void a_damaged_file_never_leads_a_search_astray(void **state) {
    (void)state;
    char *folder = make_folder(), name[SEGMENT_NAME];
    corpus c = random_corpus(37, 200, 30, 80);
    build(folder, &c, 0, 200, NOTHING, NULL, name);
    char *path = xasprintf("%s/%s", folder, name);
    int64_t size = file_size(path);
    int opened = 0;
    for (int64_t at = 0; at < size; at += 19) {
        flip_bit(folder, name, (long)at);
        lexical *ix = NULL;
        if (lexical_open(folder, (const char *[]){name}, 1, NOTHING, &ix) == OK) {
            hit hits[10];
            int64_t n;
            opened++;
            /* Either an answer or a sentence; under ASan no bad access. */
            status st =
                lexical_search(ix, "w0 w1 w2 w3", 11, &bm25_default, 10, NO_FILTER, hits, &n);
            assert_true(st == OK || st == ERR_FORMAT);
        }
        lexical_close(ix);
        flip_bit(folder, name, (long)at);
    }
    assert_true(opened > 100);
    free(path);
    corpus_free(&c);
    free(folder);
}

static void truncated_foreign_and_renamed_files_are_refused(void **state) {
    (void)state;
    char *folder = make_folder(), name[SEGMENT_NAME];
    corpus c = random_corpus(41, 50, 30, 80);
    lexical *ix = NULL;
    build(folder, &c, 0, 50, NOTHING, NULL, name);
    char *path = xasprintf("%s/%s", folder, name);
    const char *other = "lexical-0123456789abcdef.seg";
    char *other_path = xasprintf("%s/%s", folder, other);
    SUCCEEDS(file_write(other_path, "hello", 5));
    FAILS(ERR_FORMAT, "not a search segment", lexical_open(folder, &other, 1, NOTHING, &ix));
    assert_int_equal(rename(path, other_path), 0);
    FAILS(ERR_FORMAT, "its content is that of lexical-",
          lexical_open(folder, &other, 1, NOTHING, &ix));
    assert_int_equal(truncate(other_path, file_size(other_path) - 1), 0);
    FAILS(ERR_FORMAT, "truncated", lexical_open(folder, &other, 1, NOTHING, &ix));
    FAILS(ERR_IO, "is missing; run", lexical_open(folder, (const char *[]){name}, 1, NOTHING, &ix));
    free(path);
    free(other_path);
    corpus_free(&c);
    free(folder);
}

/* ---- threads ---- */

typedef struct crowd {
    const lexical *ix;
    const hit *want;
    int64_t n;
    int wrong[64];
} crowd;

static void one_of_the_crowd(void *arg, int64_t i, int worker) {
    (void)worker;
    crowd *c = arg;
    hit hits[20];
    int64_t n = 0;
    status st = lexical_search(c->ix, "w1 w2 w9", 8, &bm25_default, 20, NO_FILTER, hits, &n);
    c->wrong[i] = st != OK || n != c->n || memcmp(hits, c->want, (size_t)n * sizeof *hits) != 0;
}

static void many_threads_may_search_one_index(void **state) {
    (void)state;
    char *folder = make_folder(), name[SEGMENT_NAME];
    corpus c = random_corpus(43, 2000, 30, 80);
    build(folder, &c, 0, c.n, NOTHING, NULL, name);
    lexical *ix = open_names(folder, (const char *[]){name}, 1, NOTHING);
    hit want[20];
    memset(want, 0, sizeof want); /* the padding is compared too */
    crowd all = {.ix = ix, .want = want, .n = query(ix, "w1 w2 w9", 20, want)};
    par_threads_set(4);
    par_for(64, one_of_the_crowd, &all);
    par_threads_set(0);
    for (int i = 0; i < 64; i++) assert_false(all.wrong[i]);
    lexical_close(ix);
    corpus_free(&c);
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_the_formula_on_a_hand_made_text),
        cmocka_unit_test(scores_are_the_formula_on_random_collections),
        cmocka_unit_test(scores_of_given_ids_have_the_same_bits),
        cmocka_unit_test(skipping_common_words_changes_no_bit),
        cmocka_unit_test(several_segments_search_as_one),
        cmocka_unit_test(merging_segments_gives_the_bytes_of_one_build),
        cmocka_unit_test(merging_without_deleted_ids_gives_the_bytes_of_building_without_them),
        cmocka_unit_test(an_id_in_two_segments_cannot_be_merged),
        cmocka_unit_test(segments_of_two_languages_are_refused),
        cmocka_unit_test(memory_and_threads_do_not_change_the_file),
        cmocka_unit_test(a_title_counts_as_text_in_front),
        cmocka_unit_test(ids_must_ascend),
        cmocka_unit_test(a_missing_folder_and_a_full_disk_are_one_sentence_each),
        cmocka_unit_test(an_empty_index_finds_nothing),
        cmocka_unit_test(odd_questions_are_answered),
        cmocka_unit_test(equal_scores_go_to_the_smaller_id),
        cmocka_unit_test(a_very_long_and_repetitive_passage_keeps_its_counts),
        cmocka_unit_test(deleted_and_filtered_passages_are_never_found),
        cmocka_unit_test(a_flipped_bit_is_found_anywhere_in_the_file),
        cmocka_unit_test(a_damaged_file_never_leads_a_search_astray),
        cmocka_unit_test(truncated_foreign_and_renamed_files_are_refused),
        cmocka_unit_test(many_threads_may_search_one_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
