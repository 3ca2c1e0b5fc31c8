/* Counting words: what a word is, and what stays when there are too many. */
#include "text/words_int.h"

#include <stdio.h>
#include <string.h>

#include "cmocka_all.h"

static int64_t count_of(const words *w, const char *s) {
    for (int64_t i = 0; i < w->n; i++)
        if (w->at[i].n == (int32_t)strlen(s) && memcmp(w->text.at + w->at[i].at, s, strlen(s)) == 0)
            return w->at[i].count;
    return 0;
}

static void words_are_counted_between_blanks(void **state) {
    (void)state;
    static const char text[] = "the cat\tthe\n\ndog.\r\nthe\0cat \xe2\x96\x85the";
    words w;
    words_init(&w, 1 << 20, 1);
    words_add(&w, text, sizeof text - 1);
    words_add(&w, "cat", 3);
    assert_int_equal(w.n, 3);
    assert_int_equal(count_of(&w, "the"), 4);
    assert_int_equal(count_of(&w, "cat"), 3);
    assert_int_equal(count_of(&w, "dog."), 1);
    words_clear(&w);
}

static void a_long_run_is_cut_between_characters(void **state) {
    (void)state;
    buf b = {0};
    words w;
    words_init(&w, 1 << 20, 1);
    for (int i = 0; i < 100; i++) buf_puts(&b, "\xe6\x97\xa5"); /* 300 bytes */
    words_add(&w, b.at, b.len);
    assert_int_equal(w.n, 2);
    assert_int_equal(w.at[0].n, 255); /* 85 characters */
    assert_int_equal(w.at[1].n, 45);
    words_clear(&w);
    buf_clear(&b);
}

static void memory_is_bounded_and_frequent_words_stay(void **state) {
    (void)state;
    words w;
    words_init(&w, 10000, 1);
    for (int i = 0; i < 100000; i++) {
        char text[64];
        snprintf(text, sizeof text, "often rare%d seldom%d", i, i / 1000);
        words_add(&w, text, strlen(text));
    }
    assert_true(w.text.len <= 10000);
    assert_true(w.n > 300); /* a sample of the rare ones is there */
    assert_int_equal(count_of(&w, "often"), 100000);
    words_clear(&w);
}

static int64_t n_chosen(const words *w, int64_t enough) {
    word_choice c = words_choose(w, enough);
    int64_t n = 0;
    for (int64_t i = 0; i < w->n; i++) n += word_is_chosen(c, &w->at[i]);
    return n;
}

static void the_most_frequent_words_are_chosen(void **state) {
    (void)state;
    words w;
    words_init(&w, 1 << 20, 1);
    for (int i = 0; i < 1000; i++) { /* 100 words ten times, 900 once */
        char text[64];
        snprintf(text, sizeof text, "once%d often%d", i % 900, i % 100);
        words_add(&w, text, strlen(text));
    }
    assert_int_equal(w.n, 1000);
    assert_int_equal(n_chosen(&w, 1000), 1000);
    assert_int_equal(n_chosen(&w, 100 + 100), 200); /* the frequent, and the 100 met twice */
    assert_in_range(n_chosen(&w, 500), 450, 550);   /* and some of those met once */
    words_clear(&w);
}

static void words_met_once_alone_are_still_words(void **state) {
    (void)state;
    words w;
    words_init(&w, 1 << 20, 1);
    for (int i = 0; i < 1000; i++) {
        char text[64];
        snprintf(text, sizeof text, "once%d", i);
        words_add(&w, text, strlen(text));
    }
    assert_in_range(n_chosen(&w, 300), 250, 350);
    words_clear(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_counted_between_blanks),
        cmocka_unit_test(a_long_run_is_cut_between_characters),
        cmocka_unit_test(memory_is_bounded_and_frequent_words_stay),
        cmocka_unit_test(the_most_frequent_words_are_chosen),
        cmocka_unit_test(words_met_once_alone_are_still_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
