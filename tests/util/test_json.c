/* JSON values: parsing, the fields of an object, writing that reads back. */
#include "util/json.h"

#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "temp.h"

static json_t *parsed(const char *text) {
    json_t *j = NULL;
    assert_int_equal(json_parse(text, strlen(text), "text", &j), OK);
    return j;
}

static void errors_name_what_line_and_column(void **state) {
    (void)state;
    json_t *j = NULL;
    assert_int_equal(json_parse("{\n  \"a\": ,\n}", 12, "shelf.json", &j), ERR_FORMAT);
    assert_memory_equal(err_msg(), "shelf.json: line 2, column ", 27);
    assert_null(j);
    assert_int_equal(json_parse("[\"\xff\"]", 5, "bytes", &j), ERR_FORMAT);
    assert_non_null(strstr(err_msg(), "unable to decode byte 0xff"));
    assert_int_equal(json_parse("", 0, "nothing", &j), ERR_FORMAT);
    assert_int_equal(json_parse("{} x", 4, "tail", &j), ERR_FORMAT);
}

static void an_integer_of_more_than_64_bits_is_its_digits(void **state) {
    (void)state;
    static const char text[] =
        "{\"big\": 13591449469826568799, \"least\":-99999999999999999999, \"s\": \"\\\"9999999999"
        "9999999999\", \"fits\": 9223372036854775807, \"real\": 9999999999999999999999.5e-3,"
        " \"list\": [1, 9223372036854775808]}";
    json_error_t e;
    json_t *o = json_load_record(text, strlen(text), 0, &e);
    assert_non_null(o);
    assert_string_equal(json_str(o, "big", ""), "13591449469826568799");
    assert_string_equal(json_str(o, "least", ""), "-99999999999999999999");
    assert_string_equal(json_str(o, "s", ""), "\"99999999999999999999");
    assert_true(json_int(o, "fits", 0) == INT64_MAX);
    assert_true(json_num(o, "real", 0) == 9999999999999999999999.5e-3);
    char *list = json_line(json_object_get(o, "list"));
    assert_string_equal(list, "[1, \"9223372036854775808\"]");
    free(list);
    json_decref(o);
    assert_null(json_load_record("[1e999]", 7, 0, &e));
    assert_string_equal(e.text, "real number overflow near '1e999'");
    assert_null(json_load_record("[99999999999999999999, \"x", 25, 0, &e));
}

static void fields_have_types_and_defaults(void **state) {
    (void)state;
    json_t *o = parsed("{\"s\": \"x\", \"i\": 9007199254740993, \"r\": 2.5, \"whole\": 1e3, "
                       "\"yes\": true, \"n\": null}");
    assert_string_equal(json_str(o, "s", "-"), "x");
    assert_string_equal(json_str(o, "i", "-"), "-");
    assert_string_equal(json_str(o, "absent", "-"), "-");
    assert_true(json_int(o, "i", 0) == 9007199254740993);
    assert_int_equal(json_int(o, "r", -1), -1);
    assert_int_equal(json_int(o, "whole", -1), 1000);
    assert_true(json_num(o, "r", 0) == 2.5);
    assert_true(json_num(o, "s", 7) == 7);
    assert_true(json_flag(o, "yes", false));
    assert_true(json_flag(o, "n", true));
    json_decref(o);
}

static void a_wanted_string_says_what_was_found(void **state) {
    (void)state;
    const char *s = "untouched";
    json_t *o = parsed("{\"id\": 7, \"text\": \"yes\", \"list\": []}"), *array = parsed("[]");
    assert_int_equal(json_want_str(o, "text", "a.jsonl:3", &s), OK);
    assert_string_equal(s, "yes");
    assert_int_equal(json_want_str(o, "id", "a.jsonl:3", &s), ERR_FORMAT);
    assert_string_equal(err_msg(), "a.jsonl:3: field 'id' is a number, wanted a string");
    assert_int_equal(json_want_str(o, "list", "a.jsonl:3", &s), ERR_FORMAT);
    assert_string_equal(err_msg(), "a.jsonl:3: field 'list' is an array, wanted a string");
    assert_int_equal(json_want_str(o, "uri", "a.jsonl:3", &s), ERR_FORMAT);
    assert_string_equal(err_msg(), "a.jsonl:3: field 'uri' is absent, wanted a string");
    assert_int_equal(json_want_str(array, "id", "a.jsonl:3", &s), ERR_FORMAT);
    assert_string_equal(err_msg(), "a.jsonl:3: is an array, wanted an object");
    assert_string_equal(s, "yes");
    json_decref(o), json_decref(array);
}

static void a_line_reads_back(void **state) {
    (void)state;
    static const char *const lines[] = {
        "{\"b\": [1, 2.5, -3], \"a\": {}, \"c\": []}",
        "\"quote \\\" slash \\\\ line \\n tab \\t bell \\u0007 \xc3\xa9 \xf0\x9f\x90\x8d\"",
        "[true, false, null, 9223372036854775807, 0.1, 1e+300, 1.0, -0.0, 0.30000000000000004]",
    };
    for (int i = 0; i < 3; i++) {
        json_t *j = parsed(lines[i]);
        char *line = json_line(j);
        assert_string_equal(line, lines[i]);
        json_decref(j);
        free(line);
    }
}

static void every_real_keeps_its_bits(void **state) {
    (void)state;
    static const double reals[] = {
        1.0 / 3,    5e-324,      1.7976931348623157e308, 123456789.123456789, 4e15,
        0x1p53 + 2, (double)0.1f};
    for (int i = 0; i < 7; i++) {
        json_t *j = json_real(reals[i]), *back;
        char *line = json_line(j);
        assert_int_equal(json_parse(line, strlen(line), "real", &back), OK);
        assert_true(json_is_real(back));
        assert_true(json_real_value(back) == reals[i]);
        json_decref(j), json_decref(back);
        free(line);
    }
}

static void a_saved_file_is_indented_and_reads_back(void **state) {
    (void)state;
    json_t *j = parsed("{\"name\": \"coat\", \"sizes\": [1, 2], \"empty\": {}}"), *back;
    const char *path = temp_path("saved.json");
    assert_int_equal(json_save(path, j), OK);
    buf text = {0};
    assert_int_equal(file_read(path, 0, &text), OK);
    assert_string_equal(
        text.at,
        "{\n  \"name\": \"coat\",\n  \"sizes\": [\n    1,\n    2\n  ],\n  \"empty\": {}\n}\n");
    assert_int_equal(json_read(path, &back), OK);
    assert_true(json_equal(j, back));
    assert_int_equal(json_read(temp_path("absent.json"), &back), ERR_IO);
    buf_clear(&text);
    json_decref(j), json_decref(back);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_name_what_line_and_column),
        cmocka_unit_test(an_integer_of_more_than_64_bits_is_its_digits),
        cmocka_unit_test(fields_have_types_and_defaults),
        cmocka_unit_test(a_wanted_string_says_what_was_found),
        cmocka_unit_test(a_line_reads_back),
        cmocka_unit_test(every_real_keeps_its_bits),
        cmocka_unit_test(a_saved_file_is_indented_and_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
