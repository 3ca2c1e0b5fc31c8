/* raglan score, as a shell sees it. */
#include "cmocka_all.h"
#include "program.h"

#define score(line) raglan("score " line)

static void write_files(void) {
    temp_text("gold.json", "{\"data\": [{\"paragraphs\": [{\"qas\": [{\"id\": \"q\", \"answers\": "
                           "[{\"text\": \"red owl\"}]}, {\"id\": \"r\", \"answers\": []}]}]}]}");
    temp_text("said.json", "{\"q\": \"the red owl\", \"r\": \"\"}");
    temp_text("trivia.json", "{\"Data\": [{\"Answer\": {\"NormalizedAliases\": [\"owl\"]}, "
                             "\"QuestionId\": \"q\"}], \"Domain\": \"Wikipedia\"}");
    temp_text("qrels", "1 0 a 1\n2 0 b 1\n");
    temp_text("run", "1 Q0 x 1 2 mine\n1 Q0 a 2 1 mine\n");
    temp_text("gold.txt", "the red owl sat here\nit slept\n");
    temp_text("other.txt", "a red owl sat here\nit was asleep\n");
    temp_text("said.txt", "a red owl sat there\nit slept\n");
    temp_text("short.txt", "a red owl sat there\n");
}

static void each_task_prints_its_scorers_keys(void **state) {
    (void)state;
    write_files();
    assert_int_equal(score("squad2 gold.json said.json"), 0);
    assert_memory_equal(out, "{\n  \"exact\": 100.0,\n  \"f1\": 100.0,\n  \"total\": 2,\n", 48);
    assert_int_equal(score("triviaqa trivia.json said.json"), 0);
    assert_string_equal(out, "{\"exact_match\": 0.0, \"f1\": 66.66666666666666, \"common\": 1, "
                             "\"denominator\": 1, \"pred_len\": 2, \"gold_len\": 1}\n");
    assert_int_equal(score("trec qrels run -m recip_rank -m map"), 0);
    assert_string_equal(out, "map                   \tall\t0.5000\n"
                             "recip_rank            \tall\t0.5000\n");
    assert_int_equal(score("trec -qc -M1 -l 1 -m P.1 qrels run"), 0);
    assert_string_equal(out, "P_1                   \t1\t0.0000\n"
                             "P_1                   \t2\t0.0000\n"
                             "P_1                   \tall\t0.0000\n");
}

static void texts_may_have_several_references(void **state) {
    (void)state;
    write_files();
    assert_int_equal(score("bleu gold.txt other.txt said.txt"), 0);
    assert_non_null(strstr(out, "\"signature\": \"nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp|"));
    assert_int_equal(score("rouge gold.txt other.txt said.txt"), 0);
    /* 4 of 5 and 2 of 2 tokens */
    assert_memory_equal(out, "score_type,low,mid,high\nrouge1-R,0.800000,0.900000,1.000000\n", 60);
    assert_non_null(strstr(err, "stemmer off"));
    assert_int_equal(score("rouge gold.txt short.txt"), 1);
    assert_non_null(strstr(err, "short.txt ends after line 1, gold.txt goes on"));
}

static void wrong_usage_is_exit_2(void **state) {
    (void)state;
    write_files();
    assert_int_equal(score("squat gold.json said.json"), 2);
    assert_non_null(strstr(err, "the nearest is squad "));
    assert_int_equal(score("squad -q gold.json said.json"), 2);
    assert_non_null(strstr(err, "option 'q' is not for the squad score"));
    assert_int_equal(score("squad gold.json said.json more"), 2);
    assert_int_equal(score("trec -m ndgc qrels run"), 2);
    assert_non_null(
        strstr(err, "-m: found 'ndgc', wanted a measure of trec_eval; the nearest is ndcg "));
    assert_int_equal(score("trec -m P.0 qrels run"), 2);
    assert_non_null(strstr(err, "wanted 1 or more each"));
    assert_string_equal(out, "");
}

static void bad_files_are_exit_1(void **state) {
    (void)state;
    write_files();
    assert_int_equal(score("squad gold.json said.json"), 1);
    assert_non_null(strstr(err, "question 'r' has no answers"));
    assert_int_equal(score("trec run qrels"), 1);
    assert_non_null(strstr(err, "run:1: more than 4 fields"));
    assert_int_equal(score("triviaqa trivia.json nowhere.json"), 1);
    assert_non_null(strstr(err, "nowhere.json"));
    assert_string_equal(out, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_task_prints_its_scorers_keys),
        cmocka_unit_test(texts_may_have_several_references),
        cmocka_unit_test(wrong_usage_is_exit_2),
        cmocka_unit_test(bad_files_are_exit_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
