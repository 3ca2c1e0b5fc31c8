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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_counted_between_blanks),
        cmocka_unit_test(a_long_run_is_cut_between_characters),
        cmocka_unit_test(memory_is_bounded_and_frequent_words_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
