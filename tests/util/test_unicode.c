/* Unicode: well-formedness, positions in code points, classes, forms. */
#include "util/unicode.h"

#include <string.h>

#include "cmocka_all.h"

static int64_t invalid(const char *s) {
    return utf8_invalid_at(s, strlen(s));
}

static void malformed_bytes_are_found(void **state) {
    (void)state;
    assert_int_equal(invalid("plain"), -1);
    assert_int_equal(invalid("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x8d"), -1);
    assert_int_equal(utf8_invalid_at("a\0b", 3), -1);
    assert_int_equal(invalid("ab\x80"), 2);           /* continuation alone */
    assert_int_equal(invalid("a\xc3"), 1);            /* cut */
    assert_int_equal(invalid("\xc0\xaf"), 0);         /* overlong, two bytes */
    assert_int_equal(invalid("\xe0\x80\xaf"), 0);     /* overlong, three */
    assert_int_equal(invalid("\xf0\x80\x80\xaf"), 0); /* overlong, four */
    assert_int_equal(invalid("x\xed\xa0\x80"), 1);    /* surrogate */
    assert_int_equal(invalid("\xf4\x90\x80\x80"), 0); /* beyond U+10FFFF */
    assert_int_equal(invalid("\xff"), 0);
    assert_int_equal(invalid("\xed\x9f\xbf\xf4\x8f\xbf\xbf"), -1); /* the last good ones */
}

static void code_points_go_in_and_out(void **state) {
    (void)state;
    static const int32_t points[] = {0,      'a',    0x7F,   0x80,    0x7FF,   0x800,
                                     0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF};
    for (int k = 0; k < 11; k++) {
        buf b = {0};
        utf8_put(&b, points[k]);
        assert_int_equal(utf8_invalid_at(b.at, b.len), -1);
        size_t i = 0;
        assert_int_equal(utf8_next(b.at, b.len, &i), points[k]);
        assert_int_equal(i, b.len);
        buf_clear(&b);
    }
    buf b = {0};
    utf8_put(&b, 0xD800);
    utf8_put(&b, 0x110000);
    assert_string_equal(b.at, "\xef\xbf\xbd\xef\xbf\xbd");
    buf_clear(&b);
}

static void offsets_count_code_points(void **state) {
    (void)state;
    const char *s = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x8dz";
    size_t n = strlen(s);
    assert_int_equal(utf8_length(s, n), 5);
    static const size_t wanted[] = {0, 1, 3, 6, 10, 11, 11};
    for (int k = 0; k < 7; k++) assert_int_equal(utf8_offset(s, n, k), wanted[k]);
}

static void classes_follow_the_general_category(void **state) {
    (void)state;
    assert_int_equal(utf8_class('a'), CHAR_LETTER);
    assert_int_equal(utf8_class(0x4E2D), CHAR_LETTER); /* Lo */
    assert_int_equal(utf8_class(0x0301), CHAR_MARK);   /* combining acute */
    assert_int_equal(utf8_class('7'), CHAR_NUMBER);
    assert_int_equal(utf8_class(0x2167), CHAR_NUMBER); /* roman eight, Nl */
    assert_int_equal(utf8_class(' '), CHAR_SPACE);
    assert_int_equal(utf8_class(0x2028), CHAR_SPACE);   /* Zl */
    assert_int_equal(utf8_class('\n'), CHAR_CONTROL);   /* Cc */
    assert_int_equal(utf8_class(0x200D), CHAR_CONTROL); /* Cf */
    assert_int_equal(utf8_class(0x0378), CHAR_CONTROL); /* unassigned */
    assert_int_equal(utf8_class('_'), CHAR_PUNCT);
    assert_int_equal(utf8_class(0x2019), CHAR_PUNCT);
    assert_int_equal(utf8_class('$'), CHAR_SYMBOL);
    assert_int_equal(utf8_class('^'), CHAR_SYMBOL);
}

static void assert_lower(const char *s, size_t n, const char *wanted) {
    buf b = {0};
    utf8_add_lower(&b, s, n);
    assert_string_equal(b.at, wanted);
    buf_clear(&b);
}

static void lower_case_is_simple_and_mends_bytes(void **state) {
    (void)state;
    assert_lower("Z\xc3\xbcRICH \xc3\x84\xce\xa9", 12, "z\xc3\xbcrich \xc3\xa4\xcf\x89");
    assert_lower("A\xff"
                 "B\xc3",
                 4,
                 "a\xef\xbf\xbd"
                 "b\xef\xbf\xbd");
    assert_true(utf8_is_upper('A') && utf8_is_upper(0xC4) && utf8_is_upper(0x1C5));
    assert_false(utf8_is_upper('a') || utf8_is_upper('1') || utf8_is_upper(0xE4));
}

static void assert_form(utf8_form form, const char *s, const char *wanted) {
    buf b = {0};
    utf8_add_form(&b, s, strlen(s), form);
    buf_add(&b, "", 0);
    assert_string_equal(b.at, wanted);
    buf_clear(&b);
}

static void forms_compose_and_decompose(void **state) {
    (void)state;
    assert_form(UTF8_NFD, "", "");
    assert_form(UTF8_NFD, "plain text", "plain text");
    assert_form(UTF8_NFD, "caf\xc3\xa9!", "cafe\xcc\x81!");
    assert_form(UTF8_NFC, "cafe\xcc\x81!", "caf\xc3\xa9!"); /* the ASCII e joins */
    assert_form(UTF8_NFC, "\xcc\x81x", "\xcc\x81x");        /* a mark with nothing before it */
    assert_form(UTF8_NFC, "q\xcc\xa3\xcc\x87", "q\xcc\xa3\xcc\x87"); /* canonical order stays */
    assert_form(UTF8_NFC, "q\xcc\x87\xcc\xa3", "q\xcc\xa3\xcc\x87"); /* and is made */
    assert_form(UTF8_NFC, "\xef\xac\x81", "\xef\xac\x81");           /* a ligature is kept */
    assert_form(UTF8_NFKC, "o\xef\xac\x81sh", "ofish");              /* or taken apart */
    assert_form(UTF8_NFKD, "\xc2\xbd",
                "1\xe2\x81\x84"
                "2");
    assert_form(UTF8_NFKC, "\xef\xbc\xa1\xef\xbc\xa2 \xe2\x91\xa0",
                "AB 1");                                               /* full width, circled */
    assert_form(UTF8_NFD, "\xea\xb0\x80", "\xe1\x84\x80\xe1\x85\xa1"); /* Hangul */
    assert_form(UTF8_NFC, "\xe1\x84\x80\xe1\x85\xa1", "\xea\xb0\x80");
    assert_form(UTF8_NFC, "a\xff\xcc\x81", "a\xef\xbf\xbd\xcc\x81"); /* mended first */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_bytes_are_found),
        cmocka_unit_test(code_points_go_in_and_out),
        cmocka_unit_test(offsets_count_code_points),
        cmocka_unit_test(classes_follow_the_general_category),
        cmocka_unit_test(lower_case_is_simple_and_mends_bytes),
        cmocka_unit_test(forms_compose_and_decompose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
