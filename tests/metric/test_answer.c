/* Normal forms, EM and F1 of short answers; Python's text functions under them. */
#include "cmocka_all.h"

#include <math.h>
#include <string.h>

#include "metric/answer.h"
#include "metric/pytext.h"

static void assert_lower(const char *s, const char *want) {
    buf b = {0};
    py_add_lower(&b, s, strlen(s));
    assert_string_equal(b.at, want);
    buf_clear(&b);
}

static void lower_is_pythons(void **state) {
    (void)state;
    assert_lower("The CAT", "the cat");
    assert_lower("ÀÉÎ ŁÓDŹ", "àéî łódź");
    assert_lower("İstanbul", "i\xCC\x87stanbul"); /* i and a combining dot above */
    assert_lower("STRASSE ß", "strasse ß");
    assert_lower("\xE2\x84\xAA", "k");                      /* the Kelvin sign */
    assert_lower("bad \xFF byte", "bad \xEF\xBF\xBD byte"); /* U+FFFD */
}

static void a_sigma_at_the_end_of_a_word_is_the_final_one(void **state) {
    (void)state;
    assert_lower("ΟΔΟΣ", "οδος");
    assert_lower("ΣΊΣΥΦΟΣ ΤΗΣ", "σίσυφος της");
    assert_lower("Σ", "σ");       /* nothing before it */
    assert_lower("ΑΣ.", "ας.");   /* the stop does not continue the word */
    assert_lower("ΑΣ.Α", "ασ.α"); /* but a letter behind it does */
}

static void assert_number(double x, const char *want) {
    buf b = {0};
    py_add_number(&b, x);
    assert_string_equal(b.at, want);
    buf_clear(&b);
}

static void numbers_are_printed_as_repr_does(void **state) {
    (void)state;
    assert_number(0, "0.0");
    assert_number(100, "100.0");
    assert_number(86.32373595505618, "86.32373595505618");
    assert_number(0.1, "0.1");
    assert_number(0.0001, "0.0001");
    assert_number(0.00001, "1e-05");
    assert_number(1e16, "1e+16");
    assert_number(123456789012345680.0, "1.2345678901234568e+17");
    assert_number(-2.5, "-2.5");
    assert_number(NAN, "nan");
}

static void assert_form(answer_rule rule, const char *s, const char *want) {
    buf b = {0};
    answer_normalize(rule, s, strlen(s), &b);
    assert_string_equal(b.at, want);
    buf_clear(&b);
}

static void squad_deletes_punctuation_and_articles(void **state) {
    (void)state;
    assert_form(ANSWER_SQUAD, "The U.S. Army", "us army");
    assert_form(ANSWER_SQUAD, "  a  cat,\tan owl & the-dog ", "cat owl thedog");
    assert_form(ANSWER_SQUAD, "Theatre and another anthem", "theatre and another anthem");
    assert_form(ANSWER_SQUAD, "1,000", "1000");
    assert_form(ANSWER_SQUAD, "The", "");
    assert_form(ANSWER_SQUAD, "", "");
}

static void word_borders_are_unicodes(void **state) {
    (void)state;
    assert_form(ANSWER_SQUAD, "« the » — a", "« » —");   /* other punctuation stays */
    assert_form(ANSWER_SQUAD, "théâtre à", "théâtre à"); /* accented letters are word characters */
    assert_form(ANSWER_SQUAD, "a\xCC\x81", "\xCC\x81");  /* a combining mark is not */
    assert_form(ANSWER_SQUAD, "the\xC2\xA0 end\xE3\x80\x80.", "end"); /* wide blanks are blanks */
}

static void triviaqa_makes_punctuation_spaces(void **state) {
    (void)state;
    assert_form(ANSWER_TRIVIAQA, "the-dog", "dog");
    assert_form(ANSWER_TRIVIAQA, "sunset_boulevard", "sunset boulevard");
    assert_form(ANSWER_TRIVIAQA, "‘don’t´", "don t");
    assert_form(ANSWER_TRIVIAQA, "1,000", "1 000");
}

static void f1_counts_shared_words_once_each(void **state) {
    (void)state;
    /* shared: "cat" once, "sat" once; precision 2/3, recall 2/4 */
    assert_float_equal(answer_bag_f1("cat cat sat", "cat sat on mat"), 4.0 / 7, 1e-12);
    assert_float_equal(answer_bag_f1("b a", "a b"), 1, 0);
    assert_float_equal(answer_bag_f1("x", "y"), 0, 0);
    assert_float_equal(answer_bag_f1("", ""), 0, 0);
}

static void the_best_gold_answer_counts(void **state) {
    (void)state;
    const char *gold[] = {"Santa Clara, California", "Levi's Stadium"};
    answer_score s = answer_best(ANSWER_SQUAD, "levis stadium", gold, 2);
    assert_true(s.em == 1 && s.f1 == 1);
    s = answer_best(ANSWER_SQUAD, "in Santa Clara", gold, 2); /* 2 of 3 and 2 of 3 */
    assert_true(s.em == 0);
    assert_float_equal(s.f1, 2.0 / 3, 1e-12);
    s = answer_best(ANSWER_SQUAD, "anything", NULL, 0);
    assert_true(s.em == 0 && s.f1 == 0);
}

static void squad2_rewards_silence_where_there_is_no_answer(void **state) {
    (void)state;
    const char *empty_gold[] = {"the", "!"}; /* nothing is left of them */
    answer_score s = answer_best_squad2("", NULL, 0);
    assert_true(s.em == 1 && s.f1 == 1);
    s = answer_best_squad2("a", empty_gold, 2);
    assert_true(s.em == 1 && s.f1 == 1);
    s = answer_best_squad2("cat", NULL, 0);
    assert_true(s.em == 0 && s.f1 == 0);
    const char *gold[] = {"cat"};
    s = answer_best_squad2("", gold, 1);
    assert_true(s.em == 0 && s.f1 == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lower_is_pythons),
        cmocka_unit_test(a_sigma_at_the_end_of_a_word_is_the_final_one),
        cmocka_unit_test(numbers_are_printed_as_repr_does),
        cmocka_unit_test(squad_deletes_punctuation_and_articles),
        cmocka_unit_test(word_borders_are_unicodes),
        cmocka_unit_test(triviaqa_makes_punctuation_spaces),
        cmocka_unit_test(f1_counts_shared_words_once_each),
        cmocka_unit_test(the_best_gold_answer_counts),
        cmocka_unit_test(squad2_rewards_silence_where_there_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
