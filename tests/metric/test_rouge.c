/* ROUGE and its stemmer: the values of rouge-score and NLTK. */
#include "cmocka_all.h"

#include <string.h>

#include "data_path.h"
#include "metric/porter.h"
#include "metric/rouge.h"
#include "util/file.h"

static void assert_score(rouge_score s, double precision, double recall, double f) {
    assert_float_equal(s.precision, precision, 1e-9);
    assert_float_equal(s.recall, recall, 1e-9);
    assert_float_equal(s.f, f, 1e-9);
}

static void small_texts_have_these_scores(void **state) {
    (void)state;
    rouge_score s[ROUGE_TYPES];
    rouge_all("testing one two", "testing", false, s);
    assert_score(s[ROUGE_1], 1, 1.0 / 3, 0.5);
    assert_score(s[ROUGE_2], 0, 0, 0);
    rouge_all("testing one two", "testing one", false, s);
    assert_score(s[ROUGE_2], 1, 0.5, 2.0 / 3);
    assert_score(s[ROUGE_L], 1, 2.0 / 3, 0.8);
    rouge_all("one two three", "three two one", false, s);
    assert_score(s[ROUGE_1], 1, 1, 1);
    assert_score(s[ROUGE_L], 1.0 / 3, 1.0 / 3, 1.0 / 3);
}

static void an_empty_text_scores_zero(void **state) {
    (void)state;
    rouge_score s[ROUGE_TYPES];
    rouge_all("one two", "", false, s);
    for (int t = 0; t < ROUGE_TYPES; t++) assert_score(s[t], 0, 0, 0);
    rouge_all("", "!?", false, s);
    for (int t = 0; t < ROUGE_TYPES; t++) assert_score(s[t], 0, 0, 0);
}

static void tokens_are_ascii_runs_in_lower_case(void **state) {
    (void)state;
    rouge_score s[ROUGE_TYPES];
    rouge_all("Caf\xC3\xA9-Bar 12", "caf bar 12", false, s); /* the accented letter splits */
    assert_score(s[ROUGE_1], 1, 1, 1);
}

static void summaries_take_the_union_over_lines(void **state) {
    (void)state;
    rouge_score s[ROUGE_TYPES];
    rouge_all("w1 w2 w3 w4 w5", "w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5", false, s); /* Lin 2004, 3.2 */
    assert_score(s[ROUGE_LSUM], 0.4, 0.8, 0.8 * 0.4 * 2 / 1.2);
    rouge_all("a b", "a b\na b", false, s); /* each target word counts once */
    assert_score(s[ROUGE_LSUM], 0.5, 1, 2.0 / 3);
}

static void the_best_reference_counts(void **state) {
    (void)state;
    const char *targets[] = {"red owl", "blue whale"};
    rouge_score s[ROUGE_TYPES];
    rouge_best(targets, 2, "a blue whale", false, s);
    assert_score(s[ROUGE_1], 2.0 / 3, 1, 0.8);
}

static void stems_are_nltks(void **state) {
    (void)state;
    static const char *const pairs[][2] = {{"caresses", "caress"},
                                           {"ponies", "poni"},
                                           {"ties", "tie"},
                                           {"feed", "feed"},
                                           {"agreed", "agre"},
                                           {"plastered", "plaster"},
                                           {"motoring", "motor"},
                                           {"sing", "sing"},
                                           {"conflated", "conflat"},
                                           {"hopping", "hop"},
                                           {"falling", "fall"},
                                           {"filing", "file"},
                                           {"happy", "happi"},
                                           {"enjoy", "enjoy"},
                                           {"relational", "relat"},
                                           {"rational", "ration"},
                                           {"hopefulness", "hope"},
                                           {"vietnamization", "vietnam"},
                                           {"triplicate", "triplic"},
                                           {"adoption", "adopt"},
                                           {"probate", "probat"},
                                           {"cease", "ceas"},
                                           {"controlling", "control"},
                                           {"dying", "die"},
                                           {"skies", "sky"},
                                           {"news", "news"},
                                           {"owed", "owe"},
                                           {"syzygy", "syzygi"},
                                           {"by", "by"},
                                           {"geologist", "geologist"},
                                           {"analogies", "analog"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char word[32];
        snprintf(word, sizeof word, "%s", pairs[i][0]);
        word[porter_stem(word, strlen(word))] = 0;
        assert_string_equal(word, pairs[i][1]);
    }
}

static void stemming_makes_forms_meet(void **state) {
    (void)state;
    rouge_score s[ROUGE_TYPES];
    rouge_all("the runners relations", "the runner relational", false, s);
    assert_score(s[ROUGE_1], 1.0 / 3, 1.0 / 3, 1.0 / 3);
    rouge_all("the runners relations", "the runner relational", true, s);
    assert_score(s[ROUGE_1], 1, 1, 1); /* the, runner, relat */
}

static void read_lines(const char *name, char lines[2][1024]) {
    reader *r;
    buf line = {0};
    bool more;
    assert_int_equal(reader_open(data_path(name), &r), OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(reader_line(r, &line, &more), OK);
        snprintf(lines[i], 1024, "%s", line.at);
    }
    reader_close(r);
    buf_clear(&line);
}

/* Rows of expected.tsv: metric, stemmer, line, recall, precision, f, as ROUGE-1.5.5 gave them. */
static void the_values_of_rouge_1_5_5_are_met(void **state) {
    (void)state;
    NEEDS_DATA();
    char targets[2][1024], predictions[2][1024];
    read_lines("rouge/target.txt", targets);
    read_lines("rouge/prediction.txt", predictions);
    reader *r;
    buf line = {0};
    bool more;
    int n_rows = 0;
    assert_int_equal(reader_open(data_path("rouge/expected.tsv"), &r), OK);
    while (reader_line(r, &line, &more) == OK && more) {
        char metric[16], stemmer[8];
        int i;
        double recall, precision, f;
        if (sscanf(line.at, "%15s %7s %d %lf %lf %lf", metric, stemmer, &i, &recall, &precision,
                   &f) != 6)
            continue; /* the heading */
        rouge_score s[ROUGE_TYPES];
        rouge_all(targets[i - 1], predictions[i - 1], !strcmp(stemmer, "yes"), s);
        for (int t = 0; t < ROUGE_TYPES; t++) {
            if (strcmp(rouge_names[t], metric)) continue;
            assert_float_equal(s[t].recall, recall, 6e-6);
            assert_float_equal(s[t].precision, precision, 6e-6);
            assert_float_equal(s[t].f, f, 6e-6);
            n_rows++;
        }
    }
    reader_close(r);
    buf_clear(&line);
    assert_int_equal(n_rows, 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_texts_have_these_scores),
        cmocka_unit_test(an_empty_text_scores_zero),
        cmocka_unit_test(tokens_are_ascii_runs_in_lower_case),
        cmocka_unit_test(summaries_take_the_union_over_lines),
        cmocka_unit_test(the_best_reference_counts),
        cmocka_unit_test(stems_are_nltks),
        cmocka_unit_test(stemming_makes_forms_meet),
        cmocka_unit_test(the_values_of_rouge_1_5_5_are_met),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
