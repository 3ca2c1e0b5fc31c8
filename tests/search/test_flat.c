/* Exact dense search against the plainest loop. */
#include "search/flat.h"

#include <math.h>

#include "hard.h"
#include "help.h"
#include "search/vectors_int.h"
#include "util/par.h"

static const hit_filter NO_FILTER = {0};
static const id_list NOTHING = {0};

/* Rows of small whole numbers: their products are exact in f32, so the plain loop has the
 * same bits, and equal scores are frequent. */
static float *whole_rows(uint64_t seed, int64_t n, int64_t dim) {
    rng r = rng_new(seed);
    float *rows = xmalloc((size_t)(n * dim + 1) * sizeof *rows);
    for (int64_t i = 0; i < n * dim; i++) rows[i] = (float)(rng_below(&r, 7) - 3);
    return rows;
}

static float *real_rows(uint64_t seed, int64_t n, int64_t dim) {
    rng r = rng_new(seed);
    float *rows = xmalloc((size_t)(n * dim + 1) * sizeof *rows);
    for (int64_t i = 0; i < n * dim; i++) rows[i] = (float)rng_normal(&r);
    return rows;
}

/* Rows first..last-1 with ids 2 * i + 1. */
static void write_rows(const char *folder, const float *rows, int64_t first, int64_t last,
                       int64_t dim, char name[SEGMENT_NAME]) {
    vectors_key key = {.model = "m", .tokenizer = "t", .dim = dim};
    vectors_writer *w;
    SUCCEEDS(vectors_writer_open(folder, &key, &w));
    for (int64_t i = first; i < last; i++) {
        int64_t id = 2 * i + 1;
        SUCCEEDS(vectors_writer_add(w, &id, rows + i * dim, 1));
    }
    SUCCEEDS(vectors_writer_finish(w, name));
    vectors_writer_close(w);
}

static double naive_dot(const float *a, const float *b, int64_t dim) {
    double s = 0;
    for (int64_t d = 0; d < dim; d++) s += (double)a[d] * b[d];
    return s;
}

static void results_are_those_of_the_plain_loop_with_ties_by_id(void **state) {
    (void)state;
    const int64_t dims[] = {1, 3, 16, 17, 64, 100};
    for (int t = 0; t < 6; t++) {
        int64_t dim = dims[t], n = 500, k = 30;
        char *folder = make_folder(), name[SEGMENT_NAME];
        float *rows = whole_rows(t + 1, n, dim), *q = whole_rows(t + 100, 9, dim);
        hit want[500], got[9 * 30];
        flat *ix;
        write_rows(folder, rows, 0, n, dim, name);
        SUCCEEDS(flat_open(folder, (const char *[]){name}, 1, NULL, NOTHING, &ix));
        SUCCEEDS(flat_search(ix, q, 9, dim, k, NO_FILTER, got));
        for (int64_t i = 0; i < 9; i++) {
            for (int64_t j = 0; j < n; j++)
                want[j] = (hit){2 * j + 1, (float)naive_dot(q + i * dim, rows + j * dim, dim)};
            hits_sort(want, n);
            for (int64_t j = 0; j < k; j++) {
                assert_int_equal(got[i * k + j].id, want[j].id);
                assert_true(got[i * k + j].score == want[j].score);
            }
        }
        flat_close(ix);
        free(rows);
        free(q);
        free(folder);
    }
}

static void batches_segments_and_threads_do_not_change_a_bit(void **state) {
    (void)state;
    int64_t dim = 50, n = 5000, k = 20, n_query = 300; /* more than one group of queries */
    char *folder = make_folder(), whole[SEGMENT_NAME], parts[2][SEGMENT_NAME];
    float *rows = real_rows(1, n, dim), *q = real_rows(2, n_query, dim);
    hit *one = xcalloc((size_t)(n_query * k), sizeof *one);
    hit *many = xcalloc((size_t)(n_query * k), sizeof *many);
    flat *a, *b;
    write_rows(folder, rows, 0, n, dim, whole);
    write_rows(folder, rows, 0, 1234, dim, parts[0]);
    write_rows(folder, rows, 1234, n, dim, parts[1]);
    SUCCEEDS(flat_open(folder, (const char *[]){whole}, 1, NULL, NOTHING, &a));
    SUCCEEDS(flat_open(folder, (const char *[]){parts[0], parts[1]}, 2, NULL, NOTHING, &b));
    assert_int_equal(flat_count(b), n);
    par_threads_set(1);
    for (int64_t i = 0; i < n_query; i++)
        SUCCEEDS(flat_search(a, q + i * dim, 1, dim, k, NO_FILTER, one + i * k));
    par_threads_set(4);
    SUCCEEDS(flat_search(b, q, n_query, dim, k, NO_FILTER, many));
    par_threads_set(0);
    for (int64_t i = 0; i < n_query * k; i++) {
        assert_int_equal(one[i].id, many[i].id);
        assert_true(one[i].score == many[i].score);
    }
    flat_close(a);
    flat_close(b);
    free(rows);
    free(q);
    free(one);
    free(many);
    free(folder);
}

static void scores_are_close_to_exact_sums(void **state) {
    (void)state;
    int64_t dim = 333, n = 50;
    char *folder = make_folder(), name[SEGMENT_NAME];
    float *rows = real_rows(3, n, dim), *q = real_rows(4, 1, dim), scores[51];
    int64_t ids[51];
    flat *ix;
    write_rows(folder, rows, 0, n, dim, name);
    SUCCEEDS(flat_open(folder, (const char *[]){name}, 1, NULL, NOTHING, &ix));
    for (int64_t i = 0; i <= n; i++) ids[i] = 2 * (n - i) + 1; /* the first is unknown */
    SUCCEEDS(flat_score_ids(ix, q, dim, ids, n + 1, scores));
    assert_true(isnan(scores[0]));
    for (int64_t i = 1; i <= n; i++)
        assert_float_equal(scores[i], naive_dot(q, rows + (n - i) * dim, dim), 1e-3);
    hit best;
    SUCCEEDS(flat_search(ix, q, 1, dim, 1, NO_FILTER, &best));
    for (int64_t i = 1; i <= n; i++)
        if (ids[i] == best.id) assert_true(scores[i] == best.score);
    flat_close(ix);
    free(rows);
    free(q);
    free(folder);
}

static void k_beyond_the_collection_pads(void **state) {
    (void)state;
    char *folder = make_folder(), name[SEGMENT_NAME];
    float rows[] = {1, 0, 0, 1}, q[] = {2, 1};
    hit hits[4];
    flat *ix;
    write_rows(folder, rows, 0, 2, 2, name);
    SUCCEEDS(flat_open(folder, (const char *[]){name}, 1, NULL, NOTHING, &ix));
    SUCCEEDS(flat_search(ix, q, 1, 2, 4, NO_FILTER, hits));
    assert_int_equal(hits[0].id, 1);
    assert_true(hits[0].score == 2);
    assert_int_equal(hits[1].id, 3);
    assert_int_equal(hits[2].id, -1);
    assert_int_equal(hits[3].id, -1);
    assert_true(hits[3].score == -INFINITY);
    FAILS(ERR_ARG, "a question's vector has 3 dims, the index 2",
          flat_search(ix, q, 1, 3, 4, NO_FILTER, hits));
    FAILS(ERR_ARG, "top_k is 0", flat_search(ix, q, 1, 2, 0, NO_FILTER, hits));
    flat_close(ix);
    free(folder);
}

static void an_empty_index_pads_everything(void **state) {
    (void)state;
    float q[] = {1, 2};
    hit hits[2];
    flat *ix;
    SUCCEEDS(flat_open("nowhere", NULL, 0, NULL, NOTHING, &ix));
    SUCCEEDS(flat_search(ix, q, 1, 2, 2, NO_FILTER, hits));
    assert_int_equal(hits[0].id, -1);
    assert_null(flat_row(ix, 1));
    flat_close(ix);
}

static bool above_ten(void *arg, int64_t id) {
    (void)arg;
    return id > 10;
}

static void deleted_and_filtered_rows_are_never_found(void **state) {
    (void)state;
    char *folder = make_folder(), name[SEGMENT_NAME];
    float *rows = whole_rows(5, 100, 8), q[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    int64_t gone[] = {1, 21, 22, 199};
    hit hits[100];
    flat *ix;
    write_rows(folder, rows, 0, 100, 8, name);
    SUCCEEDS(flat_open(folder, (const char *[]){name}, 1, NULL, (id_list){gone, 4}, &ix));
    SUCCEEDS(flat_search(ix, q, 1, 8, 100, (hit_filter){.fn = above_ten}, hits));
    for (int i = 0; i < 93; i++) { /* 100 - ids 1 3 5 7 9 - 21 - 199 */
        assert_true(hits[i].id > 10);
        assert_true(id_find(gone, 4, hits[i].id) < 0);
    }
    assert_int_equal(hits[93].id, -1);
    assert_null(flat_row(ix, 21));
    assert_non_null(flat_row(ix, 23));
    flat_close(ix);
    free(rows);
    free(folder);
}

/* The best k of all rows by their scores: what any search must return. */
static void rank_all(const flat *ix, const float *q, int64_t n, int64_t dim, int64_t k, hit *want) {
    int64_t *ids = xmalloc((size_t)n * sizeof *ids), found = 0;
    float *scores = xmalloc((size_t)n * sizeof *scores);
    hit *all = xmalloc((size_t)n * sizeof *all);
    for (int64_t i = 0; i < n; i++) ids[i] = 2 * i + 1;
    SUCCEEDS(flat_score_ids(ix, q, dim, ids, n, scores));
    for (int64_t i = 0; i < n; i++)
        if (!isnan(scores[i])) all[found++] = (hit){ids[i], scores[i]};
    hits_sort(all, found);
    for (int64_t i = 0; i < k; i++) want[i] = i < found ? all[i] : (hit){-1, -INFINITY};
    free(ids);
    free(scores);
    free(all);
}

static void assert_same_hits(const hit *got, const hit *want, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(got[i].id, want[i].id);
        assert_true(got[i].score == want[i].score);
    }
}

enum { HARD_N = 1500, HARD_QUERIES = 20, HARD_K = 30 };

static void check_hard(enum hard_kind of_rows, enum hard_kind of_query, int64_t dim, rng *r) {
    static float rows[HARD_N * 300], q[HARD_QUERIES * 300];
    static hit want[HARD_QUERIES * HARD_K], got[HARD_QUERIES * HARD_K];
    char *folder = make_folder(), name[SEGMENT_NAME];
    flat *ix;
    hard_rows(r, of_rows, HARD_N, dim, rows);
    hard_rows(r, of_query, HARD_QUERIES, dim, q);
    write_rows(folder, rows, 0, HARD_N, dim, name);
    SUCCEEDS(flat_open(folder, (const char *[]){name}, 1, NULL, NOTHING, &ix));
    for (int64_t i = 0; i < HARD_QUERIES; i++)
        rank_all(ix, q + i * dim, HARD_N, dim, HARD_K, want + i * HARD_K);
    for (int threads = 1; threads <= 5; threads += threads < 3 ? 1 : 2) {
        par_threads_set(threads);
        SUCCEEDS(flat_search(ix, q, HARD_QUERIES, dim, HARD_K, NO_FILTER, got));
        assert_same_hits(got, want, HARD_QUERIES * HARD_K);
    }
    SUCCEEDS(flat_search(ix, q, 1, dim, HARD_K, NO_FILTER, got));
    assert_same_hits(got, want, HARD_K);
    par_threads_set(0);
    flat_close(ix);
    free(folder);
}

static void the_ranking_is_that_of_all_scores_whatever_the_data(void **state) {
    (void)state;
    const int64_t dims[] = {1, 2, 7, 17, 64, 101, 299};
    rng r = rng_new(11);
    int turn = 0;
    for (int of_rows = 0; of_rows < HARD_KINDS; of_rows++)
        for (int of_query = 0; of_query < HARD_KINDS; of_query++)
            if (of_query == of_rows || of_query == HARD_NORMAL || of_query == HARD_HUGE)
                check_hard((enum hard_kind)of_rows, (enum hard_kind)of_query, dims[turn++ % 7], &r);
}

static void top_k_beyond_every_list_is_exact_too(void **state) {
    (void)state;
    int64_t n = 3000, dim = 24, k = 2990;
    char *folder = make_folder(), name[SEGMENT_NAME];
    float *rows = real_rows(8, n, dim), *q = real_rows(9, 1, dim);
    hit *want = xcalloc((size_t)k, sizeof *want), *got = xcalloc((size_t)k, sizeof *got);
    flat *ix;
    write_rows(folder, rows, 0, n, dim, name);
    SUCCEEDS(flat_open(folder, (const char *[]){name}, 1, NULL, NOTHING, &ix));
    rank_all(ix, q, n, dim, k, want);
    SUCCEEDS(flat_search(ix, q, 1, dim, k, NO_FILTER, got));
    assert_same_hits(got, want, k);
    flat_close(ix);
    free(rows);
    free(q);
    free(want);
    free(got);
    free(folder);
}

static void a_set_of_documents_is_all_that_is_searched(void **state) {
    (void)state;
    int64_t n = 1000, dim = 16, k = 60, found = 0;
    char *folder = make_folder(), name[SEGMENT_NAME];
    float *rows = real_rows(12, n, dim), *q = real_rows(13, 3, dim);
    const id_range ranges[] = {{0, 2}, {101, 140}, {151, 152}, {1900, 5000}}; /* odd ids */
    const id_ranges set = {ranges, 4}, none = {ranges, 0};
    int64_t gone[] = {101, 1999};
    hit got[3 * 60], want[1000];
    flat *ix;
    write_rows(folder, rows, 0, n, dim, name);
    SUCCEEDS(flat_open(folder, (const char *[]){name}, 1, NULL, (id_list){gone, 2}, &ix));
    SUCCEEDS(flat_search(ix, q, 3, dim, k, hit_filter_within(&set), got));
    rank_all(ix, q, n, dim, n, want);
    for (int64_t i = 0; i < n && want[i].id >= 0; i++)
        if (id_ranges_have(&set, want[i].id)) want[found++] = want[i];
    assert_int_equal(found, 1 + 19 + 1 + 49); /* 1; 103..139; 151; 1901..1997 */
    assert_same_hits(got, want, k);
    SUCCEEDS(flat_search(ix, q, 1, dim, k, hit_filter_within(&none), got));
    assert_int_equal(got[0].id, -1);
    flat_close(ix);
    free(rows);
    free(q);
    free(folder);
}

/* A segment as version 1 wrote it: no codes, no bounds. */
static void write_version_1(const char *folder, const int64_t *ids, const float *rows, int64_t n,
                            int64_t dim, char name[SEGMENT_NAME]) {
    segment_writer *w;
    char *meta = xasprintf("{\"version\": 1, \"model\": \"m\", \"tokenizer\": \"t\", \"dim\": %d, "
                           "\"passages\": %d}",
                           (int)dim, (int)n);
    SUCCEEDS(segment_writer_open(folder, "vectors", &w));
    SUCCEEDS(segment_begin(w, "ids"));
    SUCCEEDS(segment_add(w, ids, (size_t)n * sizeof *ids));
    SUCCEEDS(segment_begin(w, "rows"));
    SUCCEEDS(segment_add(w, rows, (size_t)(n * dim) * sizeof *rows));
    SUCCEEDS(segment_begin(w, "meta"));
    SUCCEEDS(segment_add(w, meta, strlen(meta)));
    SUCCEEDS(segment_commit(w, name));
    free(meta);
}

static void files_of_version_1_are_searched_and_written_anew_by_a_merge(void **state) {
    (void)state;
    int64_t n = 200, dim = 10;
    char *folder = make_folder(), old[SEGMENT_NAME], fresh[SEGMENT_NAME], merged[SEGMENT_NAME];
    float *rows = real_rows(14, n, dim), *q = real_rows(15, 1, dim);
    int64_t ids[200];
    hit got[20], want[20];
    flat *ix;
    for (int64_t i = 0; i < n; i++) ids[i] = 2 * i + 1;
    write_version_1(folder, ids, rows, n, dim, old);
    SUCCEEDS(flat_open(folder, (const char *[]){old}, 1, NULL, NOTHING, &ix));
    rank_all(ix, q, n, dim, 20, want);
    SUCCEEDS(flat_search(ix, q, 1, dim, 20, NO_FILTER, got));
    assert_same_hits(got, want, 20);
    flat_close(ix);
    write_rows(folder, rows, 0, n, dim, fresh);
    SUCCEEDS(vectors_merge(folder, (const char *[]){old}, 1, NOTHING, merged));
    assert_string_equal(merged, fresh);
    free(rows);
    free(q);
    free(folder);
}

static void segments_of_two_models_are_refused(void **state) {
    (void)state;
    char *folder = make_folder(), a[SEGMENT_NAME], b[SEGMENT_NAME];
    float rows[] = {1, 0, 0, 1};
    flat *ix = NULL;
    write_rows(folder, rows, 0, 2, 2, a);
    write_rows(folder, rows, 0, 1, 4, b);
    FAILS(ERR_STATE, "run `raglan index`",
          flat_open(folder, (const char *[]){a, b}, 2, NULL, NOTHING, &ix));
    assert_null(ix);
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_those_of_the_plain_loop_with_ties_by_id),
        cmocka_unit_test(batches_segments_and_threads_do_not_change_a_bit),
        cmocka_unit_test(scores_are_close_to_exact_sums),
        cmocka_unit_test(k_beyond_the_collection_pads),
        cmocka_unit_test(an_empty_index_pads_everything),
        cmocka_unit_test(deleted_and_filtered_rows_are_never_found),
        cmocka_unit_test(the_ranking_is_that_of_all_scores_whatever_the_data),
        cmocka_unit_test(top_k_beyond_every_list_is_exact_too),
        cmocka_unit_test(a_set_of_documents_is_all_that_is_searched),
        cmocka_unit_test(files_of_version_1_are_searched_and_written_anew_by_a_merge),
        cmocka_unit_test(segments_of_two_models_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
