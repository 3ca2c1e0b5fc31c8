/* Scores of SQuAD and TriviaQA prediction files. */
#include "cmocka_all.h"

#include <string.h>

#include "data_path.h"
#include "metric/squad.h"
#include "metric/triviaqa.h"
#include "temp.h"
#include "util/file.h"

static const char gold1[] =
    "{\"version\": \"1.1\", \"data\": [{\"title\": \"T\", \"paragraphs\": [{\"context\": \"c\", "
    "\"qas\": ["
    "{\"id\": \"q1\", \"question\": \"?\", \"answers\": [{\"text\": \"the cat\", \"answer_start\": "
    "0}]},"
    "{\"id\": \"q2\", \"question\": \"?\", \"answers\": [{\"text\": \"red owl\", \"answer_start\": "
    "0},"
    "                                                  {\"text\": \"owl\", \"answer_start\": 4}]},"
    "{\"id\": \"q3\", \"question\": \"?\", \"answers\": [{\"text\": \"dog\", \"answer_start\": "
    "0}]}]}]}]}";

static void assert_squad1(const char *gold, const char *predictions, const char *want) {
    squad_scores s;
    buf out = {0};
    status st =
        squad1_score(temp_text("gold.json", gold), temp_text("predictions.json", predictions), &s);
    if (st) print_message("%s\n", err_msg());
    assert_int_equal(st, OK);
    squad1_print(&s, &out);
    assert_string_equal(out.at, want);
    buf_clear(&out);
}

static void squad1_takes_the_mean_of_the_best(void **state) {
    (void)state;
    /* q1 right; q2: F1 of "big owl" is 2/3 against "owl", 1/2 against "red owl"; q3 wrong */
    assert_squad1(gold1, "{\"q1\": \"Cat!\", \"q2\": \"big owl\", \"q3\": \"fox\"}",
                  "{\"exact_match\": 33.333333333333336, \"f1\": 55.55555555555555}\n");
}

static void a_missing_prediction_stays_in_the_denominator(void **state) {
    (void)state;
    assert_squad1(gold1, "{\"q1\": \"cat\", \"other\": \"dog\"}",
                  "{\"exact_match\": 33.333333333333336, \"f1\": 33.333333333333336}\n");
    squad_scores s;
    assert_int_equal(squad1_score(temp_path("gold.json"), temp_path("predictions.json"), &s), OK);
    assert_int_equal(s.missing, 2);
}

static const char gold2[] =
    "{\"data\": [{\"paragraphs\": [{\"qas\": ["
    "{\"id\": \"a\", \"answers\": [{\"text\": \"cat\"}], \"is_impossible\": false},"
    "{\"id\": \"b\", \"answers\": [{\"text\": \"red owl\"}], \"is_impossible\": false},"
    "{\"id\": \"n\", \"answers\": [], \"is_impossible\": true},"
    "{\"id\": \"m\", \"answers\": [], \"is_impossible\": true}]}]}]}";

static void squad2_tells_the_two_kinds_apart(void **state) {
    (void)state;
    squad_scores s;
    buf out = {0};
    const char *predictions = "{\"a\": \"cat\", \"b\": \"owl\", \"n\": \"\", \"m\": \"dog\"}";
    assert_int_equal(squad2_score(temp_text("gold.json", gold2),
                                  temp_text("predictions.json", predictions), NULL, 1.0, &s),
                     OK);
    squad2_print(&s, &out);
    assert_string_equal(out.at, "{\n"
                                "  \"exact\": 50.0,\n"
                                "  \"f1\": 66.66666666666666,\n"
                                "  \"total\": 4,\n"
                                "  \"HasAns_exact\": 50.0,\n"
                                "  \"HasAns_f1\": 83.33333333333333,\n"
                                "  \"HasAns_total\": 2,\n"
                                "  \"NoAns_exact\": 50.0,\n"
                                "  \"NoAns_f1\": 50.0,\n"
                                "  \"NoAns_total\": 2\n"
                                "}\n");
    buf_clear(&out);
}

static void the_best_threshold_is_searched_in_order_of_probability(void **state) {
    (void)state;
    squad_scores s;
    const char *predictions = "{\"a\": \"cat\", \"b\": \"owl\", \"n\": \"\", \"m\": \"dog\"}";
    const char *na = "{\"a\": 0.1, \"b\": 0.3, \"n\": 0.2, \"m\": 0.8}";
    assert_int_equal(squad2_score(temp_text("gold.json", gold2),
                                  temp_text("predictions.json", predictions),
                                  temp_text("na.json", na), 1.0, &s),
                     OK);
    /* 2 for silence; a gives +1 at .1; n 0; b +0 (F1: +2/3) at .3; m -1 */
    assert_float_equal(s.best_exact, 75, 1e-12);
    assert_float_equal(s.best_exact_thresh, 0.1, 0);
    assert_float_equal(s.best_f1, 100 * (3 + 2.0 / 3) / 4, 1e-9);
    assert_float_equal(s.best_f1_thresh, 0.3, 0);
    /* at threshold .5 the wrong "dog" becomes the right silence */
    assert_int_equal(squad2_score(temp_path("gold.json"), temp_path("predictions.json"),
                                  temp_path("na.json"), 0.5, &s),
                     OK);
    assert_float_equal(s.all.exact, 75, 1e-12);
    assert_float_equal(s.no_answer.exact, 100, 0);
}

static void assert_sentence(const char *gold, const char *predictions, const char *part) {
    squad_scores s;
    assert_int_equal(
        squad1_score(temp_text("gold.json", gold), temp_text("predictions.json", predictions), &s),
        ERR_FORMAT);
    if (!strstr(err_msg(), part)) fail_msg("'%s' does not say '%s'", err_msg(), part);
}

static void bad_files_get_a_sentence(void **state) {
    (void)state;
    assert_sentence(gold2, "{\"a\": \"\"}", "question 'n' has no answers");
    assert_sentence(gold1, "[1, 2]", "not a JSON object");
    assert_sentence(gold1, "{\"q1\": 7}", "prediction for question 'q1' is not a string");
    assert_sentence("{\"data\": []}", "{}", "no questions found");
    assert_sentence("{\"data\": [{\"paragraphs\": [{\"qas\": [{\"answers\": []}]}]}]}", "{}",
                    "'id'");
    assert_sentence("{\"data\": [{\"paragraphs\": [{\"qas\": [", "{}", "gold.json");
    squad_scores s;
    assert_int_equal(squad1_score("/nowhere/gold.json", temp_text("predictions.json", "{}"), &s),
                     ERR_IO);
}

/* Rows of expected_scores.tsv: version, file, system, questions, predictions, exact_match, f1. */
static void the_scores_of_real_systems_are_the_official_ones(void **state) {
    (void)state;
    NEEDS_DATA();
    reader *r;
    buf line = {0};
    bool more;
    int n_rows = 0;
    assert_int_equal(reader_open(data_path("squad/expected_scores.tsv"), &r), OK);
    while (reader_line(r, &line, &more) == OK && more) {
        char version[16], file[128], system[256], exact[32], f1[32], got[64], want[80], path[160];
        int questions, predictions;
        if (sscanf(line.at, "%15[^\t]\t%127[^\t]\t%255[^\t]\t%d\t%d\t%31[^\t]\t%31s", version, file,
                   system, &questions, &predictions, exact, f1) != 7)
            continue; /* the heading */
        squad_scores s;
        snprintf(path, sizeof path, "squad/%s", file);
        if (!strcmp(version, "v1.1"))
            assert_int_equal(
                squad1_score(data_path("squad/dev-v1.1.first24.json.gz"), data_path(path), &s), OK);
        else
            assert_int_equal(squad2_score(data_path("squad/dev-v2.0.first24.json.gz"),
                                          data_path(path), NULL, 1.0, &s),
                             OK);
        snprintf(got, sizeof got, "%.6f %.6f", s.all.exact, s.all.f1);
        snprintf(want, sizeof want, "%s %s", exact, f1);
        assert_string_equal(got, want);
        assert_int_equal(s.all.total, questions);
        assert_int_equal(s.missing, questions - predictions);
        n_rows++;
    }
    reader_close(r);
    buf_clear(&line);
    assert_int_equal(n_rows, 8);
}

#define TRIVIA_ANSWER "\"Answer\": {\"NormalizedAliases\": [\"sunset blvd\", \"sunset boulevard\"]}"
#define TRIVIA_DATA                                                                                \
    "\"Data\": [{" TRIVIA_ANSWER                                                                   \
    ", \"QuestionId\": \"tc_1\", \"QuestionPartOfVerifiedEval\": true,"                            \
    "\"EntityPages\": [{\"Filename\": \"A.txt\", \"DocPartOfVerifiedEval\": true}],"               \
    "\"SearchResults\": [{\"Filename\": \"1/B.txt\", \"DocPartOfVerifiedEval\": false},"           \
    "                    {\"Filename\": \"1/B.txt\"}, {\"Title\": \"no file\"}]},"                 \
    "{" TRIVIA_ANSWER ", \"QuestionId\": \"tc_2\", \"QuestionPartOfVerifiedEval\": false,"         \
    "\"EntityPages\": [{\"Filename\": \"C.txt\"}], \"SearchResults\": []}]"

static void assert_triviaqa(const char *gold, const char *predictions, const char *want) {
    triviaqa_scores s;
    buf out = {0};
    status st = triviaqa_score(temp_text("gold.json", gold),
                               temp_text("predictions.json", predictions), &s);
    if (st) print_message("%s\n", err_msg());
    assert_int_equal(st, OK);
    triviaqa_print(&s, &out);
    assert_string_equal(out.at, want);
    buf_clear(&out);
}

static void web_questions_are_scored_page_by_page(void **state) {
    (void)state;
    assert_triviaqa(
        "{" TRIVIA_DATA ", \"Domain\": \"Web\", \"VerifiedEval\": false}",
        "{\"tc_1--A.txt\": \"Sunset_Boulevard\", \"tc_1--1/B.txt\": \"sunset\", \"x\": \"\"}",
        "{\"exact_match\": 33.333333333333336, \"f1\": 55.55555555555555, \"common\": 2, "
        "\"denominator\": 3, \"pred_len\": 3, \"gold_len\": 3}\n");
}

static void verified_questions_alone_count_where_the_file_says_so(void **state) {
    (void)state;
    assert_triviaqa("{" TRIVIA_DATA ", \"Domain\": \"Web\", \"VerifiedEval\": true}",
                    "{\"tc_1--A.txt\": \"sunset blvd.\", \"tc_1--1/B.txt\": \"sunset\"}",
                    "{\"exact_match\": 100.0, \"f1\": 100.0, \"common\": 1, \"denominator\": 1, "
                    "\"pred_len\": 2, \"gold_len\": 1}\n");
}

static void wikipedia_questions_are_scored_by_their_id(void **state) {
    (void)state;
    assert_triviaqa("{" TRIVIA_DATA ", \"Domain\": \"Wikipedia\", \"VerifiedEval\": false}",
                    "{\"tc_2\": \"Sunset Boulevard\"}",
                    "{\"exact_match\": 50.0, \"f1\": 50.0, \"common\": 1, \"denominator\": 2, "
                    "\"pred_len\": 1, \"gold_len\": 2}\n");
}

static void bad_trivia_files_get_a_sentence(void **state) {
    (void)state;
    triviaqa_scores s;
    const char *predictions = temp_text("predictions.json", "{}");
    const char *gold =
        temp_text("gold.json", "{\"Data\": [{\"QuestionId\": \"q\"}], \"Domain\": \"Web\"}");
    assert_int_equal(triviaqa_score(gold, predictions, &s), ERR_FORMAT);
    assert_non_null(strstr(err_msg(), "question 'q' has no Answer"));
    assert_int_equal(triviaqa_score(temp_text("gold.json", "{}"), predictions, &s), ERR_FORMAT);
    assert_non_null(strstr(err_msg(), "no questions found"));
    assert_int_equal(triviaqa_score("-", predictions, &s), ERR_ARG);
}

static void the_official_trivia_sample_has_its_score(void **state) {
    (void)state;
    NEEDS_DATA();
    triviaqa_scores s;
    assert_int_equal(triviaqa_score(data_path("triviaqa/official_sample/triviaqa_sample.json"),
                                    data_path("triviaqa/official_sample/sample_predictions.json"),
                                    &s),
                     OK);
    /* one question, two pages, one of them predicted */
    assert_float_equal(s.exact_match, 50, 0);
    assert_float_equal(s.f1, 50, 0);
    assert_int_equal(s.common, 1);
    assert_int_equal(s.denominator, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(squad1_takes_the_mean_of_the_best),
        cmocka_unit_test(a_missing_prediction_stays_in_the_denominator),
        cmocka_unit_test(squad2_tells_the_two_kinds_apart),
        cmocka_unit_test(the_best_threshold_is_searched_in_order_of_probability),
        cmocka_unit_test(bad_files_get_a_sentence),
        cmocka_unit_test(the_scores_of_real_systems_are_the_official_ones),
        cmocka_unit_test(web_questions_are_scored_page_by_page),
        cmocka_unit_test(verified_questions_alone_count_where_the_file_says_so),
        cmocka_unit_test(wikipedia_questions_are_scored_by_their_id),
        cmocka_unit_test(bad_trivia_files_get_a_sentence),
        cmocka_unit_test(the_official_trivia_sample_has_its_score),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
