/* Measures of rankings; trec_eval's files, options and printout. */
#include "cmocka_all.h"

#include <math.h>
#include <string.h>

#include "data_path.h"
#include "metric/ranking.h"
#include "metric/trec.h"
#include "temp.h"
#include "util/file.h"

/* Ranks 1..5 hold relevances 0 2 1 -1(not judged) 0; four documents are judged relevant. */
static const int rel[] = {0, 2, 1, -1, 0}, judged[] = {2, 2, 1, 1, 0, 0};
static const ranking five = {rel, 5, judged, 6, 1};

static void measures_of_a_list_are_these(void **state) {
    (void)state;
    assert_int_equal(rank_relevant(&five), 4);
    assert_float_equal(rank_success(&five, 1), 0, 0);
    assert_float_equal(rank_success(&five, 2), 1, 0);
    assert_float_equal(rank_precision(&five, 3), 2.0 / 3, 1e-12);
    assert_float_equal(rank_precision(&five, 10), 0.2, 1e-12); /* of 10, though only 5 are there */
    assert_float_equal(rank_recall(&five, 2), 0.25, 1e-12);
    assert_float_equal(rank_recall(&five, RANK_ALL), 0.5, 1e-12);
    assert_float_equal(rank_reciprocal(&five, 10), 0.5, 1e-12);
    assert_float_equal(rank_reciprocal(&five, 1), 0, 0);
    assert_float_equal(rank_average_precision(&five, RANK_ALL), (1.0 / 2 + 2.0 / 3) / 4, 1e-12);
    double dcg = 2 / log2(3) + 1 / log2(4), ideal = 2 + 2 / log2(3) + 1 / log2(4) + 1 / log2(5);
    assert_float_equal(rank_ndcg(&five, 10), dcg / ideal, 1e-12);
    assert_float_equal(rank_ndcg(&five, 2), (2 / log2(3)) / (2 + 2 / log2(3)), 1e-12);
}

static void the_level_says_what_is_relevant(void **state) {
    (void)state;
    ranking r = five;
    r.level = 2;
    assert_int_equal(rank_relevant(&r), 2);
    assert_float_equal(rank_recall(&r, 5), 0.5, 1e-12);
    assert_float_equal(rank_precision(&r, 5), 0.2, 1e-12);
}

static void nothing_relevant_and_nothing_found_are_zero(void **state) {
    (void)state;
    ranking none = {rel, 5, NULL, 0, 1}, empty = {NULL, 0, judged, 6, 1};
    assert_float_equal(
        rank_recall(&none, 5) + rank_average_precision(&none, 5) + rank_ndcg(&none, 5), 0, 0);
    assert_float_equal(rank_success(&empty, 5) + rank_ndcg(&empty, 5) + rank_reciprocal(&empty, 5),
                       0, 0);
}

static void assert_evaluates(const char *qrels, const char *run, const trec_options *o,
                             const char *want) {
    trec_qrels *q = NULL;
    trec_run *r = NULL;
    buf out = {0};
    assert_int_equal(trec_qrels_parse("qrels", qrels, strlen(qrels), &q), OK);
    assert_int_equal(trec_run_parse("run", run, strlen(run), &r), OK);
    assert_int_equal(trec_evaluate(q, r, o, &out), OK);
    assert_string_equal(out.at, want);
    buf_clear(&out);
    trec_qrels_free(q);
    trec_run_free(r);
}

static void equal_scores_are_ranked_by_descending_document(void **state) {
    (void)state;
    const char *measures[] = {"recip_rank"};
    trec_options o = {.level = 1, .measures = measures, .n_measures = 1};
    assert_evaluates("1 0 d1 1\n", "1 Q0 d1 1 5.0 t\n1 Q0 d9 2 5.0 t\n1 Q0 d5 3 5.0 t\n", &o,
                     "recip_rank            \tall\t0.3333\n");
}

static void the_rank_column_is_ignored(void **state) {
    (void)state;
    const char *measures[] = {"recip_rank"};
    trec_options o = {.level = 1, .measures = measures, .n_measures = 1};
    assert_evaluates("1 0 a 1\n1 0 b 0\n", "1 Q0 b 1 1.5 t\n1 Q0 a 2 2.5 t\n", &o,
                     "recip_rank            \tall\t1.0000\n");
}

static const char two_qrels[] = "# a comment\nq1\t0\ta\t1\nq2 0 b 1\n\n";
static const char one_run[] = "q1 Q0 a 1 1 mine\nq1 Q0 x 2 0.5 mine\nq9 Q0 a 1 1 mine\n";

static void queries_that_the_run_lacks_count_when_complete(void **state) {
    (void)state;
    const char *measures[] = {"num_q", "map", "runid"};
    trec_options o = {.level = 1, .measures = measures, .n_measures = 3};
    assert_evaluates(two_qrels, one_run, &o,
                     "runid                 \tall\tmine\n"
                     "num_q                 \tall\t1\n"
                     "map                   \tall\t1.0000\n");
    o.complete = o.per_query = true;
    assert_evaluates(two_qrels, one_run, &o,
                     "map                   \tq1\t1.0000\n"
                     "map                   \tq2\t0.0000\n"
                     "runid                 \tall\tmine\n"
                     "num_q                 \tall\t2\n"
                     "map                   \tall\t0.5000\n");
}

static void parameters_are_sorted_and_named(void **state) {
    (void)state;
    const char *measures[] = {"P.3,1", "success.2", "utility.1,0,0,0"};
    trec_options o = {.level = 1, .max_ret = 1, .measures = measures, .n_measures = 3};
    assert_evaluates(two_qrels, one_run, &o,
                     "P_1                   \tall\t1.0000\n"
                     "P_3                   \tall\t0.3333\n"
                     "utility_1,0,0,0       \tall\t1.0000\n"
                     "success_2             \tall\t1.0000\n");
}

static void assert_no_qrels(const char *text, const char *part) {
    trec_qrels *q = NULL;
    assert_int_equal(trec_qrels_parse("qrels", text, strlen(text), &q), ERR_FORMAT);
    if (!strstr(err_msg(), part)) fail_msg("'%s' does not say '%s'", err_msg(), part);
}

static void assert_no_run(const char *text, const char *part) {
    trec_run *r = NULL;
    assert_int_equal(trec_run_parse("run", text, strlen(text), &r), ERR_FORMAT);
    if (!strstr(err_msg(), part)) fail_msg("'%s' does not say '%s'", err_msg(), part);
}

static void bad_lines_get_a_sentence(void **state) {
    (void)state;
    assert_no_qrels("1 0 a 1\n1 0 b\n", "qrels:2: fewer than 4 fields");
    assert_no_qrels("1 0 a b 1\n", "qrels:1: more than 4 fields");
    assert_no_qrels("1 0 a 1.5\n", "relevance is '1.5', wanted an integer");
    assert_no_qrels("1 0 a 99999999999\n", "wanted an integer");
    assert_no_qrels("1 0 a 1\n2 0 a 1\n1 0 a 0\n", "document 'a' stands twice in query '1'");
    assert_no_qrels("", "no lines found");
    assert_no_run("1 Q0 a 1 2.0\n", "run:1: 5 fields");
    assert_no_run("1 Q0 a 1 best t\n", "score is 'best', wanted a number");
    assert_no_run("1 Q0 a 1 nan t\n", "score is 'nan'");
    assert_no_run("1 Q0 a 1 2 t\n1 Q0 a 2 1 t\n", "document 'a' stands twice in query '1'");
    assert_no_run("# nothing\n", "no lines found");
}

static void assert_no_measure(const char *measure, const char *part) {
    trec_qrels *q = NULL;
    trec_run *r = NULL;
    buf out = {0};
    trec_options o = {.level = 1, .measures = &measure, .n_measures = 1};
    assert_int_equal(trec_qrels_parse("q", two_qrels, strlen(two_qrels), &q), OK);
    assert_int_equal(trec_run_parse("r", one_run, strlen(one_run), &r), OK);
    assert_int_equal(trec_evaluate(q, r, &o, &out), ERR_ARG);
    if (!strstr(err_msg(), part)) fail_msg("'%s' does not say '%s'", err_msg(), part);
    trec_qrels_free(q);
    trec_run_free(r);
}

static void bad_measures_get_a_sentence(void **state) {
    (void)state;
    assert_no_measure("mapp", "measure 'mapp' is not known");
    assert_no_measure("P.", "no parameters behind its dot");
    assert_no_measure("P.0,5", "wanted 1 or more");
    assert_no_measure("P.5,5", "stands twice");
    assert_no_measure("P.five", "wanted numbers");
    assert_no_measure("map.5", "takes no parameters");
    assert_no_measure("ndcg.1", "relevance=gain pairs");
    assert_no_measure("utility.1,2", "wanted 4");
}

static void files_without_a_common_query_are_refused(void **state) {
    (void)state;
    trec_qrels *q = NULL;
    trec_run *r = NULL;
    buf out = {0};
    trec_options o = {.level = 1};
    assert_int_equal(trec_qrels_parse("q", "7 0 a 1", 7, &q), OK);
    assert_int_equal(trec_run_parse("r", one_run, strlen(one_run), &r), OK);
    assert_int_equal(trec_evaluate(q, r, &o, &out), ERR_FORMAT);
    assert_non_null(strstr(err_msg(), "no query is in both files"));
    trec_qrels_free(q);
    trec_run_free(r);
}

/* One expected output of trec_eval's own tests. */
static void assert_official(const char *qrels, const char *run, const char *expected,
                            trec_options o) {
    char path[128];
    trec_qrels *q = NULL;
    trec_run *r = NULL;
    buf out = {0}, want = {0};
    if (!o.level) o.level = 1;
    snprintf(path, sizeof path, "trec_eval/test/%s", qrels);
    assert_int_equal(trec_qrels_read(data_path(path), &q), OK);
    snprintf(path, sizeof path, "trec_eval/test/%s", run);
    assert_int_equal(trec_run_read(data_path(path), &r), OK);
    snprintf(path, sizeof path, "trec_eval/test/%s", expected);
    assert_int_equal(file_read(data_path(path), 0, &want), OK);
    assert_int_equal(trec_evaluate(q, r, &o, &out), OK);
    assert_string_equal(out.at, want.at);
    buf_clear(&out);
    buf_clear(&want);
    trec_qrels_free(q);
    trec_run_free(r);
}

static void the_printout_is_trec_evals(void **state) {
    (void)state;
    NEEDS_DATA();
    const char *all[] = {"all_trec", "relstring.20"};
    const char *params[] = {"iprec_at_recall..10,.20,.25,.75,.50",
                            "P.5,7,3",
                            "recall.20,2000",
                            "Rprec_mult.5.0,0.2,0.35",
                            "utility.2,-1,0,0",
                            "11pt_avg..25,.5,.75",
                            "ndcg.1=3,2=9,4=4.5",
                            "ndcg_cut.10,20,23.4",
                            "success.2,5,20"};
    trec_options official = {0}, every = {.measures = all, .n_measures = 1};
    assert_official("qrels.test", "results.test", "out.test", official);
    assert_official("qrels.test.with-comments", "results.test", "out.test", official);
    assert_official("qrels.comment.test", "results.comment.test.gz", "out.comment.test", official);
    assert_official("qrels.test", "results.test", "out.test.a", every);
    every.per_query = true;
    assert_official("qrels.test", "results.test", "out.test.aq", every);
    every.complete = true;
    assert_official("qrels.test", "results.trunc", "out.test.aqc", every);
    every.max_ret = 100;
    assert_official("qrels.test", "results.trunc", "out.test.aqcM", every);
    assert_official(
        "qrels.rel_level", "results.test", "out.test.aql",
        (trec_options){.per_query = true, .level = 2, .measures = all, .n_measures = 2});
    assert_official("qrels.test", "results.test", "out.test.meas_params",
                    (trec_options){.per_query = true, .measures = params, .n_measures = 9});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measures_of_a_list_are_these),
        cmocka_unit_test(the_level_says_what_is_relevant),
        cmocka_unit_test(nothing_relevant_and_nothing_found_are_zero),
        cmocka_unit_test(equal_scores_are_ranked_by_descending_document),
        cmocka_unit_test(the_rank_column_is_ignored),
        cmocka_unit_test(queries_that_the_run_lacks_count_when_complete),
        cmocka_unit_test(parameters_are_sorted_and_named),
        cmocka_unit_test(bad_lines_get_a_sentence),
        cmocka_unit_test(bad_measures_get_a_sentence),
        cmocka_unit_test(files_without_a_common_query_are_refused),
        cmocka_unit_test(the_printout_is_trec_evals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
