/* Figures of answers that are given here, and what the generator of a test says at all. */
#include "collection.h"
#include "metric/answer.h"
#include "util/par.h"
#include "util/stop.h"

/* q7 has no answer to compare with: not asked. */
static const answered given[N_QUESTIONS] = {
    {true, "Basalt.", .9, .05, 0, 1, 1}, {true, "granite cart", .6, .1, 2, 0, 2 / 3.},
    {true, "", .5, .5, 3, 0, 0},         {true, "slate", .8, .1, 5, 1, 1},
    {true, "chalk", .7, .2, 7, 1, 1},    {true, "", .95, .95, 0, 1, 1},
    {false, "", 0, 0, -1, 0, 0},
};

static answered_set given_answers(void) {
    answered_set s = {.n = N_QUESTIONS, .a = arena_new(0)};
    s.at = xmalloc(sizeof given);
    memcpy(s.at, given, sizeof given);
    return s;
}

static json_t *answers(collection *k, const answered_set *s) {
    json_t *part;
    judgements *j = judgements_of(k->u, k->q);
    SUCCEEDS(eval_answers(&k->in, j, s, NULL, &part));
    judgements_free(j);
    return part;
}

static void figures_follow_from_known_answers(void **state) {
    (void)state;
    collection k;
    collection_open(&k);
    answered_set s = given_answers();
    json_t *part = answers(&k, &s);
    figure_is(part, "", "questions", 6);
    figure_is(part, "", "answerable", 5);
    figure_is(part, "", "em", 60);
    figure_is(part, "", "f1", 100 * (1 + 2 / 3. + 0 + 1 + 1) / 5);
    json_t *kinds = json_object_get(part, "by_kind");
    figure_is(kinds, "one_hop", "questions", 3);
    figure_is(kinds, "one_hop", "em", 100 / 3.);
    figure_is(kinds, "two_hop", "em", 100);
    figure_is(kinds, "unanswerable", "em", 100);
    json_t *ci = json_object_get(json_object_get(part, "ci95"), "em");
    assert_true(json_real_value(json_array_get(ci, 0)) < 60);
    assert_true(json_real_value(json_array_get(ci, 1)) > 60);
    assert_null(json_object_get(part, "oracle_passage"));
    json_decref(part);
    answered_clear(&s);
    collection_close(&k);
}

/* By confidence: .95 .9 .8 .7 are right, .6 and .5 wrong. */
static void confidence_is_judged_with_unanswerable_questions(void **state) {
    (void)state;
    collection k;
    collection_open(&k);
    answered_set s = given_answers();
    json_t *part = answers(&k, &s);
    figure_is(part, "no_answer", "HasAns_exact", 60);
    figure_is(part, "no_answer", "NoAns_exact", 100);
    figure_is(part, "no_answer", "auroc", 1);
    figure_is(part, "no_answer", "coverage_at_90", 4 / 6.);
    figure_is(part, "no_answer", "ece", (.15 + .2 + .3 + .6 + .5) / 6);
    json_decref(part);
    s.at[5].asked = false; /* the unanswerable one: nothing to tell apart any more */
    part = answers(&k, &s);
    json_t *none = json_object_get(part, "no_answer");
    assert_null(json_object_get(none, "NoAns_exact"));
    assert_null(json_object_get(none, "auroc"));
    figure_is(part, "no_answer", "coverage_at_90", 3 / 5.);
    json_decref(part);
    answered_clear(&s);
    collection_close(&k);
}

/* Four answers are given; those of q1 and q 4 name a relevant passage first, q5's names the other
 * document of the same text. Five questions have a relevant passage. */
static void an_answer_is_cited_right_or_wrong(void **state) {
    (void)state;
    collection k;
    collection_open(&k);
    answered_set s = given_answers();
    json_t *part = answers(&k, &s);
    figure_is(part, "citation", "precision", 2 / 4.);
    figure_is(part, "citation", "recall", 2 / 5.);
    s.at[5].text = "slate"; /* an answer where there is none: whatever it names is wrong */
    json_decref(part);
    part = answers(&k, &s);
    figure_is(part, "citation", "precision", 2 / 5.);
    json_decref(part);
    answered_clear(&s);
    collection_close(&k);
}

static const char *signature(const json_t *part) {
    return json_str(json_object_get(part, "bleu"), "signature", "");
}

static void words_are_compared_with_the_best_answer(void **state) {
    (void)state;
    collection k;
    collection_open(&k);
    answered_set s = given_answers();
    json_t *part = answers(&k, &s);
    figure_is(part, "rouge", "rouge1", (1 + 2 / 3. + 0 + 1 + 1) / 5);
    assert_memory_equal(signature(part), "nrefs:var|case:mixed|eff:yes|tok:13a|smooth:exp|", 48);
    json_decref(part);
    s.at[1].asked = false; /* the one with two answers */
    part = answers(&k, &s);
    assert_memory_equal(signature(part), "nrefs:1|case:mixed|", 19);
    json_decref(part);
    answered_clear(&s);
    collection_close(&k);
}

static char *predictions_of(const collection *k, const answered_set *s) {
    file_writer *w;
    buf b = {0};
    SUCCEEDS(file_writer_open(temp_path("predictions"), &w));
    SUCCEEDS(answered_write(s, k->q, w));
    SUCCEEDS(file_writer_commit(w, NULL));
    SUCCEEDS(file_read(temp_path("predictions"), 0, &b));
    return buf_steal(&b);
}

static void predictions_are_squads(void **state) {
    (void)state;
    collection k;
    collection_open(&k);
    answered_set s = given_answers();
    s.at[2].text = "\"quoted\"\n\xc3\xa9";
    char *text = predictions_of(&k, &s);
    assert_string_equal(text, "{\"q1\": \"Basalt.\",\n"
                              " \"q2\": \"granite cart\",\n"
                              " \"q3\": \"\\\"quoted\\\"\\n\xc3\xa9\",\n"
                              " \"q 4\": \"slate\",\n"
                              " \"q5\": \"chalk\",\n"
                              " \"q6\": \"\"}\n");
    free(text);
    for (int i = 0; i < N_QUESTIONS; i++) s.at[i].asked = false;
    text = predictions_of(&k, &s);
    assert_string_equal(text, "{}\n");
    free(text);
    answered_clear(&s);
    collection_close(&k);
}

static void nothing_to_compare_with_is_said(void **state) {
    (void)state;
    collection k;
    collection_open(&k);
    answered_set s = given_answers();
    for (int i = 0; i < N_QUESTIONS; i++) s.at[i].asked = false;
    judgements *j = judgements_of(k.u, k.q);
    json_t *part = NULL;
    FAILS(ERR_STATE, "7 questions, none with an answer", eval_answers(&k.in, j, &s, NULL, &part));
    assert_null(part);
    judgements_free(j);
    answered_clear(&s);
    collection_close(&k);
}

static void answers_are_scored_as_they_come(void **state) {
    (void)state;
    collection k;
    collection_open(&k);
    answered_set s;
    SUCCEEDS(eval_answer(&k.in, false, &s));
    for (int64_t i = 0; i < s.n; i++) {
        const qa *q = &k.q->at[i];
        assert_int_equal(s.at[i].asked, i != 6);
        if (!s.at[i].asked) continue;
        answer_score x = q->unanswerable
                             ? answer_best_squad2(s.at[i].text, NULL, 0)
                             : answer_best(ANSWER_SQUAD, s.at[i].text,
                                           (const char *const *)q->answers, q->n_answers);
        assert_true(s.at[i].em == x.em && s.at[i].f1 == x.f1);
        assert_true(s.at[i].confidence > 0 && s.at[i].confidence <= 1);
        assert_true(s.at[i].empty > 0 && s.at[i].empty <= 1);
        assert_true(s.at[i].cited >= 0 && s.at[i].cited < k.c->n);
    }
    answered_clear(&s);
    collection_close(&k);
}

/* q6 is unanswerable, q7 unknown; the others read their one relevant passage. */
static void the_oracle_reads_the_gold_passage_alone(void **state) {
    (void)state;
    static const int64_t gold[] = {0, 1, 3, 5, 6, -1, -1};
    collection k;
    collection_open(&k);
    answered_set s, oracle;
    SUCCEEDS(eval_answer(&k.in, true, &oracle));
    for (int64_t i = 0; i < oracle.n; i++) {
        assert_int_equal(oracle.at[i].asked, gold[i] >= 0);
        assert_int_equal(oracle.at[i].cited, gold[i]);
    }
    SUCCEEDS(eval_answer(&k.in, false, &s));
    judgements *j = judgements_of(k.u, k.q);
    json_t *part;
    SUCCEEDS(eval_answers(&k.in, j, &s, &oracle, &part));
    figure_is(part, "oracle_passage", "questions", 5);
    json_decref(part);
    judgements_free(j);
    answered_clear(&s);
    answered_clear(&oracle);
    collection_close(&k);
}

static void answers_do_not_depend_on_threads(void **state) {
    (void)state;
    collection k;
    collection_open(&k);
    k.in.mode = SEARCH_HYBRID;
    answered_set one, three;
    par_threads_set(1);
    SUCCEEDS(eval_answer(&k.in, false, &one));
    char *first = without_times(answers(&k, &one));
    par_threads_set(3);
    SUCCEEDS(eval_answer(&k.in, false, &three));
    char *second = without_times(answers(&k, &three));
    assert_string_equal(first, second);
    for (int64_t i = 0; i < one.n; i++) {
        assert_string_equal(one.at[i].text, three.at[i].text);
        assert_true(one.at[i].confidence == three.at[i].confidence);
        assert_true(one.at[i].empty == three.at[i].empty);
        assert_int_equal(one.at[i].cited, three.at[i].cited);
    }
    free(first);
    free(second);
    answered_clear(&one);
    answered_clear(&three);
    collection_close(&k);
}

static void ctrl_c_ends_answering(void **state) {
    (void)state;
    collection k;
    collection_open(&k);
    answered_set s;
    stop_request();
    FAILS(ERR_STOPPED, "stopped while answering from gold passages", eval_answer(&k.in, true, &s));
    stop_reset();
    collection_close(&k);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_follow_from_known_answers),
        cmocka_unit_test(confidence_is_judged_with_unanswerable_questions),
        cmocka_unit_test(an_answer_is_cited_right_or_wrong),
        cmocka_unit_test(words_are_compared_with_the_best_answer),
        cmocka_unit_test(predictions_are_squads),
        cmocka_unit_test(nothing_to_compare_with_is_said),
        cmocka_unit_test(answers_are_scored_as_they_come),
        cmocka_unit_test(the_oracle_reads_the_gold_passage_alone),
        cmocka_unit_test(answers_do_not_depend_on_threads),
        cmocka_unit_test(ctrl_c_ends_answering),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
