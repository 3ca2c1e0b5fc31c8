/* Figures of rankings whose every rank is known. */
#include <math.h>

#include "collection.h"
#include "metric/trec.h"
#include "util/par.h"
#include "util/stop.h"

static json_t *retrieval(collection *k, const judgements *j, search_mode mode) {
    ranked r;
    json_t *part;
    SUCCEEDS(eval_rank(&k->in, k->u, mode, &r));
    SUCCEEDS(eval_retrieval(&k->in, j, mode, &r, NULL, &part));
    ranked_clear(&r);
    return part;
}

/* q1, q2, q3 stand at ranks 1, 2 and 4, q 4 nowhere, q5 at 2; the others do not count. */
static void figures_follow_from_known_ranks(void **state) {
    (void)state;
    collection k;
    collection_open(&k);
    judgements *j = judgements_of(k.u, k.q);
    json_t *part = retrieval(&k, j, SEARCH_BM25);
    figure_is(part, "", "questions", 5);
    figure_is(part, "", "success@1", 1 / 5.);
    figure_is(part, "", "success@5", 4 / 5.);
    figure_is(part, "", "success@100", 4 / 5.);
    figure_is(part, "", "mrr@10", (1 + .5 + .25 + 0 + .5) / 5);
    figure_is(part, "", "ndcg@10", (1 + 1 / log2(3) + 1 / log2(5) + 0 + 1 / log2(3)) / 5);
    figure_is(part, "", "recall@20", 4 / 5.);
    json_t *kinds = json_object_get(part, "by_kind");
    assert_int_equal(json_object_size(kinds), 2); /* q5 has no kind, unanswerable is left out */
    figure_is(kinds, "one_hop", "questions", 3);
    figure_is(kinds, "one_hop", "mrr@10", (1 + .5 + .25) / 3);
    figure_is(kinds, "two_hop", "mrr@10", 0);
    figure_is(part, "latency_ms", "questions", 5);
    assert_true(figure(part, "latency_ms", "p95") >= figure(part, "latency_ms", "p50"));
    json_t *ci = json_object_get(json_object_get(part, "ci95"), "mrr@10");
    assert_true(json_real_value(json_array_get(ci, 0)) < .45);
    assert_true(json_real_value(json_array_get(ci, 1)) > .45);
    json_decref(part);
    judgements_free(j);
    collection_close(&k);
}

/* d1 holds the answer of q 4 too, at rank 1, but is only where its way begins. */
static void a_two_hop_question_wants_its_last_document(void **state) {
    (void)state;
    collection k;
    collection_open(&k);
    judgements *j = judgements_of(k.u, k.q);
    assert_string_equal(k.q->at[3].id, "q 4");
    assert_int_equal(judgement_of(j, 3, 5), 1); /* d6 */
    assert_true(judgement_of(j, 3, 0) < 0);     /* d1 */
    judgements_free(j);
    collection_close(&k);
}

static void equal_scores_rank_by_name_as_in_trec_eval(void **state) {
    (void)state;
    collection k;
    collection_open(&k);
    ranked r;
    buf name = {0};
    SUCCEEDS(eval_rank(&k.in, k.u, SEARCH_BM25, &r));
    assert_int_equal(r.count[4], 2);
    assert_true(r.score[4 * EVAL_DEPTH] == r.score[4 * EVAL_DEPTH + 1]);
    eval_unit_name(k.u, r.unit[4 * EVAL_DEPTH], &name);
    assert_string_equal(name.at, "t2:0-46");
    assert_int_equal(r.count[6], 0); /* no word of it is in any document */
    buf_clear(&name);
    ranked_clear(&r);
    collection_close(&k);
}

static void write_judgements(const collection *k, const judgements *j, const char *path) {
    file_writer *w;
    SUCCEEDS(file_writer_open(path, &w));
    SUCCEEDS(judgements_write(j, k->q, w));
    SUCCEEDS(file_writer_commit(w, NULL));
}

static void write_run(collection *k, const char *path) {
    file_writer *w;
    ranked r;
    SUCCEEDS(eval_rank(&k->in, k->u, SEARCH_BM25, &r));
    SUCCEEDS(file_writer_open(path, &w));
    SUCCEEDS(ranked_write(&r, k->u, k->q, "tag", w));
    SUCCEEDS(file_writer_commit(w, NULL));
    ranked_clear(&r);
}

/* trec_eval -c: questions without a hit and without a relevant passage count. */
static void the_files_score_the_same_in_trec_eval(void **state) {
    (void)state;
    collection k;
    collection_open(&k);
    judgements *j = judgements_of(k.u, k.q);
    write_judgements(&k, j, temp_path("qrels"));
    write_run(&k, temp_path("run"));
    judgements_free(j);
    trec_qrels *q;
    trec_run *r;
    SUCCEEDS(trec_qrels_read(temp_path("qrels"), &q));
    SUCCEEDS(trec_run_read(temp_path("run"), &r));
    const char *measures[] = {"num_q", "recip_rank", "ndcg_cut.10", "success.1,5", "recall.20"};
    buf out = {0};
    SUCCEEDS(trec_evaluate(
        q, r, &(trec_options){.complete = true, .level = 1, .measures = measures, .n_measures = 5},
        &out));
    assert_string_equal(out.at, "num_q                 \tall\t5\n"
                                "recip_rank            \tall\t0.4500\n"
                                "recall_20             \tall\t0.8000\n"
                                "ndcg_cut_10           \tall\t0.5385\n"
                                "success_1             \tall\t0.2000\n"
                                "success_5             \tall\t0.8000\n");
    buf_clear(&out);
    trec_qrels_free(q);
    trec_run_free(r);
    collection_close(&k);
}

static void a_run_names_passages_by_document_and_bytes(void **state) {
    (void)state;
    collection k;
    collection_open(&k);
    write_run(&k, temp_path("run"));
    buf b = {0};
    SUCCEEDS(file_read(temp_path("run"), 0, &b));
    assert_non_null(strstr(b.at, "q1 Q0 d1:0-58 1 "));
    assert_non_null(strstr(b.at, "\nq%204 Q0 d1:0-58 1 "));
    assert_null(strstr(b.at, "\nq7 "));
    buf_clear(&b);
    collection_close(&k);
}

static void judgements_come_back_from_their_file(void **state) {
    (void)state;
    collection k;
    collection_open(&k);
    judgements *given = judgements_of(k.u, k.q), *read;
    write_judgements(&k, given, temp_path("qrels"));
    SUCCEEDS(judgements_read(temp_path("qrels"), k.u, k.q, &read));
    assert_false(k.u->documents);
    for (int64_t i = 0; i < k.q->n; i++) {
        assert_int_equal(given->counts[i], read->counts[i]);
        for (int64_t p = 0; p < k.c->n; p++)
            assert_int_equal(judgement_of(given, i, p), judgement_of(read, i, p));
    }
    judgements_free(given);
    judgements_free(read);
    collection_close(&k);
}

/* As BEIR writes them: q1's documents are judged anew, the one ranked third is the best. */
static void judgements_of_documents_decide(void **state) {
    (void)state;
    collection k;
    collection_open(&k);
    temp_text("beir.tsv", "query-id\tcorpus-id\tscore\nq1\td3\t2\nq1\td2\t1\nq1\tgone\t1\n");
    judgements *j;
    SUCCEEDS(judgements_read(temp_path("beir.tsv"), k.u, k.q, &j));
    assert_true(k.u->documents);
    json_t *part = retrieval(&k, j, SEARCH_BM25);
    figure_is(part, "", "questions", 1);
    figure_is(part, "", "success@1", 0);
    figure_is(part, "", "mrr@10", .5);
    figure_is(part, "", "recall@20", 2 / 3.); /* "gone" is lost */
    double ideal = 2 + 1 / log2(3) + 1 / log2(4);
    figure_is(part, "", "ndcg@10", (1 / log2(3) + 2 / log2(4)) / ideal);
    json_decref(part);
    judgements_free(j);
    collection_close(&k);
}

static void judgements_of_something_else_are_refused(void **state) {
    (void)state;
    collection k;
    collection_open(&k);
    judgements *j = NULL;
    temp_text("other", "q1 0 doc17 1\n");
    FAILS(ERR_FORMAT, "judges nothing of this collection, such as 'doc17'",
          judgements_read(temp_path("other"), k.u, k.q, &j));
    temp_text("queries", "n1 0 d1 1\n");
    FAILS(ERR_FORMAT, "judges none of these questions, such as 'q1'; found 'n1'",
          judgements_read(temp_path("queries"), k.u, k.q, &j));
    temp_text("broken", "q1 0 d1\tmany\n");
    FAILS(ERR_FORMAT, "broken", judgements_read(temp_path("broken"), k.u, k.q, &j));
    temp_text("empty", "");
    FAILS(ERR_FORMAT, "empty", judgements_read(temp_path("empty"), k.u, k.q, &j));
    assert_int_equal(judgements_read(temp_path("absent"), k.u, k.q, &j), ERR_IO);
    assert_null(j);
    collection_close(&k);
}

static void ids_fit_into_the_fields_of_a_trec_file(void **state) {
    (void)state;
    buf b = {0};
    eval_trec_id("#a b\tc#\xc3\xa9%", &b);
    assert_string_equal(b.at, "%23a%20b%09c#\xc3\xa9%");
    buf_clear(&b);
}

static void the_difference_to_bm25_has_an_interval(void **state) {
    (void)state;
    collection k;
    collection_open(&k);
    judgements *j = judgements_of(k.u, k.q);
    ranked r;
    json_t *part;
    SUCCEEDS(eval_rank(&k.in, k.u, SEARCH_BM25, &r));
    SUCCEEDS(eval_retrieval(&k.in, j, SEARCH_BM25, &r, &r, &part));
    char *difference = json_line(json_object_get(part, "minus_bm25"));
    assert_string_equal(difference, "{\"mrr@10\": 0.0, \"ci95\": {\"mrr@10\": [0.0, 0.0]}}");
    free(difference);
    json_decref(part);
    ranked_clear(&r);
    judgements_free(j);
    collection_close(&k);
}

static void figures_do_not_depend_on_threads(void **state) {
    (void)state;
    collection k;
    collection_open(&k);
    judgements *j = judgements_of(k.u, k.q);
    for (int mode = SEARCH_BM25; mode <= SEARCH_HYBRID; mode++) {
        par_threads_set(1);
        char *one = without_times(retrieval(&k, j, (search_mode)mode));
        par_threads_set(3);
        char *three = without_times(retrieval(&k, j, (search_mode)mode));
        assert_string_equal(one, three);
        free(one);
        free(three);
    }
    judgements_free(j);
    collection_close(&k);
}

static void ctrl_c_ends_a_ranking(void **state) {
    (void)state;
    collection k;
    collection_open(&k);
    ranked r;
    stop_request();
    FAILS(ERR_STOPPED, "stopped while searching by BM25", eval_rank(&k.in, k.u, SEARCH_BM25, &r));
    stop_reset();
    collection_close(&k);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_follow_from_known_ranks),
        cmocka_unit_test(a_two_hop_question_wants_its_last_document),
        cmocka_unit_test(equal_scores_rank_by_name_as_in_trec_eval),
        cmocka_unit_test(the_files_score_the_same_in_trec_eval),
        cmocka_unit_test(a_run_names_passages_by_document_and_bytes),
        cmocka_unit_test(judgements_come_back_from_their_file),
        cmocka_unit_test(judgements_of_documents_decide),
        cmocka_unit_test(judgements_of_something_else_are_refused),
        cmocka_unit_test(ids_fit_into_the_fields_of_a_trec_file),
        cmocka_unit_test(the_difference_to_bm25_has_an_interval),
        cmocka_unit_test(figures_do_not_depend_on_threads),
        cmocka_unit_test(ctrl_c_ends_a_ranking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
