/* DPR's, CuratedTREC's and KILT's judgement of a passage. */
#include "cmocka_all.h"

#include <string.h>

#include "data_path.h"
#include "metric/has_answer.h"
#include "util/file.h"

static bool has(has_rule rule, const char *passage, const char *answer) {
    buf form = {0};
    answer_set *set = answer_set_new(rule, &answer, 1, NULL);
    has_prepare(rule, passage, strlen(passage), &form);
    bool hit = has_answer(set, &form);
    answer_set_free(set);
    buf_clear(&form);
    return hit;
}

static void tokens_must_stand_in_a_row(void **state) {
    (void)state;
    const char *passage = "It was Sir Isaac Newton's law, published in 1687.";
    assert_true(has(HAS_TOKENS, passage, "isaac newton"));
    assert_true(has(HAS_TOKENS, passage, "Newton's law"));
    assert_true(has(HAS_TOKENS, passage, "1687 ."));
    assert_false(has(HAS_TOKENS, passage, "Sir Newton"));
    assert_false(has(HAS_TOKENS, passage, "Newtons"));
}

static void parts_of_tokens_do_not_count(void **state) {
    (void)state;
    assert_false(has(HAS_TOKENS, "the theatre", "heat"));
    assert_false(has(HAS_TOKENS, "in 1687", "168"));
    assert_false(has(HAS_TOKENS, "cat", "cat cat"));
    assert_true(has(HAS_TOKENS, "a_b", "_")); /* an underscore is a token of its own */
}

static void accents_are_part_of_letters(void **state) {
    (void)state;
    assert_true(has(HAS_TOKENS, "a café", "cafe\xCC\x81")); /* composed or not is the same */
    assert_false(has(HAS_TOKENS, "a café", "cafe"));
    assert_true(has(HAS_TOKENS, "ΟΔΟΣ", "οδος"));
}

static void an_answer_without_tokens_is_dropped(void **state) {
    (void)state;
    const char *answers[] = {" ", "\xE2\x80\x8B", "owl"}; /* blank, zero-width space */
    int64_t n_dropped = -1;
    answer_set *set = answer_set_new(HAS_TOKENS, answers, 3, &n_dropped);
    assert_int_equal(n_dropped, 2);
    buf form = {0};
    has_prepare(HAS_TOKENS, "a cat", 5, &form);
    assert_false(has_answer(set, &form));
    has_prepare(HAS_TOKENS, "an OWL!", 7, &form);
    assert_true(has_answer(set, &form));
    has_prepare(HAS_TOKENS, "", 0, &form);
    assert_false(has_answer(set, &form));
    answer_set_free(set);
    buf_clear(&form);
}

static void expressions_ignore_case(void **state) {
    (void)state;
    assert_true(has(HAS_REGEX, "Built in\n1889, in PARIS", "paris|london"));
    assert_true(has(HAS_REGEX, "x\n1889 y", "^18\\d\\d\\b")); /* ^ matches at each line */
    assert_true(has(HAS_REGEX, "ÉCOLE", "école"));
    assert_false(has(HAS_REGEX, "1989", "18\\d\\d"));
}

static void an_expression_that_does_not_compile_is_a_miss(void **state) {
    (void)state;
    const char *answers[] = {"(unclosed", "cat"};
    int64_t n_dropped;
    answer_set *set = answer_set_new(HAS_REGEX, answers, 2, &n_dropped);
    assert_int_equal(n_dropped, 1);
    answer_set_free(set);
    assert_false(has(HAS_REGEX, "(unclosed", "(unclosed"));
}

static void kilt_looks_for_the_normal_form(void **state) {
    (void)state;
    assert_true(has(HAS_SUBSTRING, "He played for the U.S. team.", "US Team"));
    assert_true(has(HAS_SUBSTRING, "theatre", "heat")); /* a substring, not tokens */
    assert_false(has(HAS_SUBSTRING, "theatre", "the")); /* nothing is left of the answer */
}

/* The patterns are written for Perl and Java. */
static void the_expressions_of_curated_trec_compile(void **state) {
    (void)state;
    NEEDS_DATA();
    reader *r;
    assert_int_equal(reader_open(data_path("curatedtrec/curated-train.tsv"), &r), OK);
    buf line = {0};
    bool more;
    int n = 0, bad = 0;
    while (reader_line(r, &line, &more) == OK && more) {
        const char *pattern = strrchr(line.at, '\t');
        if (!pattern) continue;
        int64_t n_dropped;
        pattern++;
        answer_set_free(answer_set_new(HAS_REGEX, &pattern, 1, &n_dropped));
        n++;
        bad += (int)n_dropped;
    }
    reader_close(r);
    buf_clear(&line);
    assert_int_equal(n, 428);
    assert_int_equal(bad, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_must_stand_in_a_row),
        cmocka_unit_test(parts_of_tokens_do_not_count),
        cmocka_unit_test(accents_are_part_of_letters),
        cmocka_unit_test(an_answer_without_tokens_is_dropped),
        cmocka_unit_test(expressions_ignore_case),
        cmocka_unit_test(an_expression_that_does_not_compile_is_a_miss),
        cmocka_unit_test(kilt_looks_for_the_normal_form),
        cmocka_unit_test(the_expressions_of_curated_trec_compile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
