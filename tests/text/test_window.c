/* Windows: what they hold, where their edges lie. */
#include "text/window.h"

#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

/* Pieces of one word each: "a b c" -> [a][ b][ c]. */
static tokens words(const char *text) {
    tokens t = {0};
    int64_t n = (int64_t)strlen(text), begin = 0;
    for (int64_t i = 1; i <= n; i++) {
        if (i < n && !(text[i] == ' ' && text[i - 1] != ' ')) continue;
        tokens_add(&t, (int32_t)(100 + t.n), begin, i);
        begin = i;
    }
    return t;
}

static window_list cut(window_options o, const char *text, const tokens *doc, const tokens *title) {
    window_list l = {0};
    assert_int_equal(window_check(&o), OK);
    window_cut(&o, text, strlen(text), doc, title, &l);
    return l;
}

#define TWENTY "w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 x0 x1 x2 x3 x4 x5 x6 x7 x8 x9"

static void windows_follow_each_other_and_hold_every_piece(void **state) {
    (void)state;
    tokens t = words(TWENTY);
    window_list l = cut((window_options){.context_size = 8}, TWENTY, &t, NULL);
    assert_int_equal(l.n, 3);
    assert_int_equal(l.at[0].first, 0);
    assert_int_equal(l.at[0].n, 8);
    assert_int_equal(l.at[1].first, 8);
    assert_int_equal(l.at[2].first, 16);
    assert_int_equal(l.at[2].n, 4);
    assert_int_equal(l.n_title, 0);
    window_list_clear(&l);
    tokens_clear(&t);
}

static void byte_ranges_leave_out_the_blanks_around(void **state) {
    (void)state;
    const char *text = " a b c d e f g h  i ";
    tokens t = words(text);
    window_list l = cut((window_options){.context_size = 8}, text, &t, NULL);
    assert_int_equal(l.n, 2);
    assert_int_equal(l.at[0].begin, 1);
    assert_int_equal(l.at[0].end, 16); /* after h */
    assert_int_equal(l.at[1].begin, 18);
    assert_int_equal(l.at[1].end, 19);
    window_list_clear(&l);
    tokens_clear(&t);
}

static void overlap_repeats_the_end_of_the_window_before(void **state) {
    (void)state;
    tokens t = words(TWENTY);
    window_list l = cut((window_options){.context_size = 8, .overlap = 2}, TWENTY, &t, NULL);
    assert_int_equal(l.n, 3);
    assert_int_equal(l.at[1].first, 6);
    assert_int_equal(l.at[2].first, 12);
    assert_int_equal(l.at[2].first + l.at[2].n, 20); /* and no window of repeats alone */
    window_list_clear(&l);
    tokens_clear(&t);
}

static void a_title_counts_and_takes_at_most_a_quarter(void **state) {
    (void)state;
    tokens t = words(TWENTY), title = words("a very long title");
    window_list l = cut((window_options){.context_size = 8, .title = true}, TWENTY, &t, &title);
    assert_int_equal(l.n_title, 2);
    assert_int_equal(l.at[0].n, 6);
    assert_int_equal(l.at[1].first, 6);
    window_list_clear(&l);
    l = cut((window_options){.context_size = 8}, TWENTY, &t, &title);
    assert_int_equal(l.n_title, 0);
    window_list_clear(&l);
    tokens_clear(&t);
    tokens_clear(&title);
}

/* Eight one-byte words, then "\xe6\x97\xa5" spelled in three pieces of which the last has the
 * width. */
static void no_edge_falls_inside_a_character(void **state) {
    (void)state;
    const char *text = "abcdefg\xe6\x97\xa5z";
    tokens t = {0};
    for (int64_t i = 0; i < 7; i++) tokens_add(&t, 9, i, i + 1);
    tokens_add(&t, 1, 7, 7);
    tokens_add(&t, 2, 7, 7);
    tokens_add(&t, 3, 7, 10);
    tokens_add(&t, 9, 10, 11);
    window_list l = cut((window_options){.context_size = 8}, text, &t, NULL);
    assert_int_equal(l.n, 2);
    assert_int_equal(l.at[0].n, 7); /* not 8: piece 7 begins the character */
    assert_int_equal(l.at[1].first, 7);
    assert_int_equal(l.at[1].n, 4);
    assert_int_equal(l.at[1].begin, 7);
    window_list_clear(&l);
    tokens_clear(&t);
}

static void sentences_end_windows_in_their_second_half(void **state) {
    (void)state;
    const char *text = "One. a b c d end. Then 3.5 e f g h i j";
    tokens t = words(text);
    window_list l = cut((window_options){.context_size = 8, .sentences = true}, text, &t, NULL);
    assert_int_equal(l.at[0].n, 6); /* through "end.", not "One." */
    assert_int_equal(l.at[1].first, 6);
    assert_int_equal(l.at[1].n, 8); /* "3.5" ends nothing */
    window_list_clear(&l);
    l = cut((window_options){.context_size = 8}, text, &t, NULL);
    assert_int_equal(l.at[0].n, 8);
    window_list_clear(&l);
    tokens_clear(&t);
}

static void a_blank_document_has_no_windows(void **state) {
    (void)state;
    tokens none = {0};
    window_list l = cut((window_options){0}, " \n ", &none, NULL);
    assert_int_equal(l.n, 0);
    window_list_clear(&l);
}

static void options_out_of_range_are_named(void **state) {
    (void)state;
    window_options o = {.context_size = 7};
    assert_int_equal(window_check(&o), ERR_ARG);
    assert_string_equal(err_msg(), "context_size is 7 tokens, wanted 8 to 65536");
    o = (window_options){.context_size = 64, .overlap = 32};
    assert_int_equal(window_check(&o), ERR_ARG);
    assert_non_null(strstr(err_msg(), "context_overlap is 32"));
    o = (window_options){0};
    assert_int_equal(window_check(&o), OK);
    assert_int_equal(o.context_size, 64);
}

static void a_cut_is_described_by_all_it_depends_on(void **state) {
    (void)state;
    char *line = window_describe(&(window_options){.context_size = 64, .title = true}, "abc");
    assert_string_equal(
        line, "{\"tokenizer\": \"abc\", \"context_size\": 64, \"overlap\": 0, \"title\": true, "
              "\"sentences\": false}");
    free(line);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_follow_each_other_and_hold_every_piece),
        cmocka_unit_test(byte_ranges_leave_out_the_blanks_around),
        cmocka_unit_test(overlap_repeats_the_end_of_the_window_before),
        cmocka_unit_test(a_title_counts_and_takes_at_most_a_quarter),
        cmocka_unit_test(no_edge_falls_inside_a_character),
        cmocka_unit_test(sentences_end_windows_in_their_second_half),
        cmocka_unit_test(a_blank_document_has_no_windows),
        cmocka_unit_test(options_out_of_range_are_named),
        cmocka_unit_test(a_cut_is_described_by_all_it_depends_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
