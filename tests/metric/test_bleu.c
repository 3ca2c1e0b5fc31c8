/* BLEU: the tokenizer and the scores of sacreBLEU 2.6.0. */
#include "cmocka_all.h"

#include <math.h>
#include <string.h>

#include "metric/bleu.h"

static void assert_tokens(const char *s, const char *want) {
    buf out = {0};
    bleu_tokenize(s, strlen(s), &out);
    assert_string_equal(out.at, want);
    buf_clear(&out);
}

static void tokens_are_those_of_13a(void **state) {
    (void)state;
    assert_tokens("Hello, world!", "Hello , world !");
    assert_tokens("It's 3.5 or 1,000.", "It's 3.5 or 1,000 .");
    assert_tokens("10-12 well-known", "10 - 12 well-known"); /* a dash behind a digit alone */
    assert_tokens("a/b (c) $5 50%", "a / b ( c ) $ 5 50 %");
    assert_tokens("&quot;R&amp;D&quot; &lt;x&gt;", "\" R & D \" < x >");
    assert_tokens("so <skipped>much co-\noperation\nhere  ", "so much cooperation here");
    assert_tokens("U.S...", "U . S . . .");
    assert_tokens("café, naïve.", "café , naïve .");
    assert_tokens("", "");
}

static bleu_stats stats_of(const char *hypothesis, const char *a, const char *b) {
    bleu_stats s = {0};
    const char *refs[] = {a, b};
    bleu_add(&s, hypothesis, refs, b ? 2 : 1);
    return s;
}

static void a_perfect_text_scores_100(void **state) {
    (void)state;
    bleu_stats s = stats_of("the cat sat on the mat .", "the cat sat on the mat.", NULL);
    assert_float_equal(bleu_of(&s, false).score, 100, 1e-9);
    assert_int_equal(s.total[0], 7);
    assert_int_equal(s.total[3], 4);
}

static void repeats_count_as_often_as_a_reference_has_them(void **state) {
    (void)state;
    /* Papineni et al. 2002: "the" seven times against references with two and one */
    bleu_stats s = stats_of("the the the the the the the", "The cat is on the mat",
                            "There is a cat on the mat");
    assert_int_equal(s.correct[0], 1); /* case is kept */
    s = stats_of("the the the", "the cat and the dog", "the owl");
    assert_int_equal(s.correct[0], 2);
    assert_int_equal(s.ref_len, 2); /* 2 and 5 words: the closer to 3 */
}

static void short_texts_are_punished(void **state) {
    (void)state;
    bleu_stats s = stats_of("a b c d", "a b c d e f", NULL);
    bleu_score b = bleu_of(&s, false);
    assert_float_equal(b.brevity_penalty, exp(1 - 6.0 / 4), 1e-12);
    assert_float_equal(b.score, 100 * exp(-0.5), 1e-9);
}

static void orders_without_a_match_are_smoothed(void **state) {
    (void)state;
    /* matches: 3 of 4, 1 of 3, 0 of 2, 0 of 1 -> 75, 33.3, 100/(2*2), 100/(4*1) */
    bleu_stats s = stats_of("a b x c", "a b c d", NULL);
    bleu_score b = bleu_of(&s, false);
    assert_float_equal(b.precisions[2], 25, 1e-12);
    assert_float_equal(b.precisions[3], 25, 1e-12);
    assert_float_equal(b.score, pow(75.0 * (100.0 / 3) * 25 * 25, 0.25), 1e-9);
    s = stats_of("x y", "a b", NULL);
    assert_float_equal(bleu_of(&s, false).score, 0, 0); /* no match at all */
}

static void orders_that_a_text_lacks_zero_it_unless_effective(void **state) {
    (void)state;
    bleu_stats s = stats_of("blue whale", "blue whale", NULL);
    assert_float_equal(bleu_of(&s, false).score, 0, 0);
    assert_float_equal(bleu_of(&s, true).score, 100, 1e-9);
}

static void the_printout_is_sacrebleus(void **state) {
    (void)state;
    bleu_stats s = {0};
    const char *one[] = {"The dog bit the man.", "The dog had bit the man."};
    const char *two[] = {"It was not unexpected.", "No one was surprised."};
    const char *three[] = {"The man bit him first.", "The man had bitten the dog."};
    bleu_add(&s, "The dog bit the man.", one, 2);
    bleu_add(&s, "It wasn't surprising.", two, 2);
    bleu_add(&s, "The man had just bitten him.", three, 2);
    buf out = {0};
    bleu_print(&s, 2, false, &out);
    assert_string_equal(
        out.at, "{\n"
                " \"name\": \"BLEU\",\n"
                " \"score\": 48.5,\n"
                " \"signature\": \"nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0\",\n"
                " \"verbose_score\": \"82.4/50.0/45.5/37.5 (BP = 0.943 ratio = 0.944 hyp_len = 17 "
                "ref_len = 18)\",\n"
                " \"nrefs\": \"2\",\n"
                " \"case\": \"mixed\",\n"
                " \"eff\": \"no\",\n"
                " \"tok\": \"13a\",\n"
                " \"smooth\": \"exp\",\n"
                " \"version\": \"2.6.0\"\n"
                "}\n");
    buf_clear(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_those_of_13a),
        cmocka_unit_test(a_perfect_text_scores_100),
        cmocka_unit_test(repeats_count_as_often_as_a_reference_has_them),
        cmocka_unit_test(short_texts_are_punished),
        cmocka_unit_test(orders_without_a_match_are_smoothed),
        cmocka_unit_test(orders_that_a_text_lacks_zero_it_unless_effective),
        cmocka_unit_test(the_printout_is_sacrebleus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
