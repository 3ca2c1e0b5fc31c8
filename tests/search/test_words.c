/* Words: how text becomes index terms. */
#include "search/words.h"

#include "help.h"

static void join(void *arg, const char *term, size_t n) {
    buf *b = arg;
    if (b->len) buf_putc(b, '|');
    buf_add(b, term, n);
}

static void expect_n(const char *language, const char *text, size_t n, const char *want) {
    words *w;
    buf got = {0};
    SUCCEEDS(words_new(language, &w));
    words_each(w, text, n, join, &got);
    assert_string_equal(got.at ? got.at : "", want);
    buf_clear(&got);
    words_free(w);
}

static void expect(const char *language, const char *text, const char *want) {
    expect_n(language, text, strlen(text), want);
}

static void words_are_runs_of_letters_and_digits_in_lower_case(void **state) {
    (void)state;
    expect("none", "Hello, World-wide 3.14 (x86)!", "hello|world|wide|3|14|x86");
    expect("none", "", "");
    expect("none", " \t\n.,;", "");
}

static void english_words_are_stemmed(void **state) {
    (void)state;
    expect("english", "Running runners ran; the ponies' generalizations",
           "run|runner|ran|the|poni|general");
}

static void german_words_are_stemmed(void **state) {
    (void)state;
    expect("german", "Häuser aufeinander", "haus|aufeinand");
}

static void capital_letters_beyond_ascii_are_lowered(void **state) {
    (void)state;
    expect("none", "ÉCOLE Ωμέγα МОСКВА", "école|ωμέγα|москва");
}

static void composed_and_decomposed_letters_are_one_word(void **state) {
    (void)state;
    expect("none", "caf\xC3\xA9 cafe\xCC\x81", "café|café");
}

static void ligatures_and_full_width_letters_are_plain_letters(void **state) {
    (void)state;
    expect("none", "ﬁne ＡＢＣ１", "fine|abc1");
}

static void a_soft_hyphen_does_not_cut_a_word(void **state) {
    (void)state;
    expect("none", "co\xC2\xADoperate", "cooperate");
}

static void ideographs_are_words_of_their_own(void **state) {
    (void)state;
    expect("none", "東京tower タ", "東|京|tower|タ");
}

static void malformed_bytes_end_a_word(void **state) {
    (void)state;
    expect("none",
           "ab\xFF"
           "cd\xC3",
           "ab|cd");
    expect_n("none", "ab\0cd", 5, "ab|cd");
}

static void a_very_long_word_is_cut_at_a_character(void **state) {
    (void)state;
    buf text = {0}, want = {0};
    for (int i = 0; i < 1000; i++) buf_puts(&text, "é");
    for (int i = 0; i < WORD_BYTES_MAX / 2; i++) buf_puts(&want, "é");
    expect("none", text.at, want.at);
    buf_clear(&text);
    buf_clear(&want);
}

static void an_unknown_language_names_the_known_ones(void **state) {
    (void)state;
    words *w = NULL;
    FAILS(ERR_ARG, "no stemmer for language 'klingon'; there are: none", words_new("klingon", &w));
    assert_non_null(strstr(err_msg(), "english"));
    assert_null(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_runs_of_letters_and_digits_in_lower_case),
        cmocka_unit_test(english_words_are_stemmed),
        cmocka_unit_test(german_words_are_stemmed),
        cmocka_unit_test(capital_letters_beyond_ascii_are_lowered),
        cmocka_unit_test(composed_and_decomposed_letters_are_one_word),
        cmocka_unit_test(ligatures_and_full_width_letters_are_plain_letters),
        cmocka_unit_test(a_soft_hyphen_does_not_cut_a_word),
        cmocka_unit_test(ideographs_are_words_of_their_own),
        cmocka_unit_test(malformed_bytes_end_a_word),
        cmocka_unit_test(a_very_long_word_is_cut_at_a_character),
        cmocka_unit_test(an_unknown_language_names_the_known_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
