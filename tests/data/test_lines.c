/* Lines, tab-separated fields and Python's lists of strings. */
#include "cmocka_all.h"
#include "data/lines.h"
#include "temp.h"

typedef struct seen {
    buf text; /* "number:line|" of each */
} seen;

static status take(void *arg, const char *bytes, size_t n, int64_t number) {
    seen *s = arg;
    if (bytes) assert_int_equal(strlen(bytes), n);
    buf_printf(&s->text, "%d:%s|", (int)number, bytes ? bytes : "(too long)");
    return OK;
}

static void lines_come_without_their_ends(void **state) {
    (void)state;
    seen s = {0};
    reader *r = NULL;
    assert_int_equal(
        reader_open(temp_text("l", "\xEF\xBB\xBFone\r\n\n \t\n0123456789\ntwo\n\nlast"), &r), OK);
    assert_int_equal(lines_each(r, 8, take, &s), OK);
    assert_string_equal(s.text.at, "1:one|4:(too long)|5:two|7:last|");
    reader_close(r);
    buf_clear(&s.text);
}

static void lines_longer_than_a_block_are_whole(void **state) {
    (void)state;
    size_t n = 300000;
    char *text = xmalloc(n);
    memset(text, 'x', n);
    text[200000] = '\n';
    seen s = {0};
    reader *r = NULL;
    assert_int_equal(reader_open(temp_file("l", text, n), &r), OK);
    assert_int_equal(lines_each(r, 0, take, &s), OK);
    assert_int_equal(s.text.len, n - 1 + 2 * 3);
    reader_close(r);
    buf_clear(&s.text);
    free(text);
}

/* The fields of a line, each in brackets. */
static const char *fields(const char *line) {
    static char out[256];
    int n = 0;
    out[0] = 0;
    for (const char *at = line; at;) {
        buf b = {0};
        tsv_field(&at, line + strlen(line), &b);
        n += snprintf(out + n, sizeof out - (size_t)n, "[%s]", b.at);
        buf_clear(&b);
    }
    return out;
}

static void quotes_are_read_as_csv(void **state) {
    (void)state;
    assert_string_equal(fields("a\tb c\t"), "[a][b c][]");
    assert_string_equal(fields("\"a\tb\"\tc"), "[a\tb][c]");
    assert_string_equal(fields("\"say \"\"hi\"\"\"\tc"), "[say \"hi\"][c]");
    assert_string_equal(fields("say \"hi\"\tc"), "[say \"hi\"][c]");
    assert_string_equal(fields("\"a\"b\tc"), "[ab][c]");
    assert_string_equal(fields("\"never ends\tc"), "[\"never ends][c]");
    assert_string_equal(fields(""), "[]");
}

static const char *list(const char *text) {
    static char out[256];
    char *json = NULL;
    if (!python_list(text, strlen(text), &json)) return "none";
    snprintf(out, sizeof out, "%s", json);
    free(json);
    return out;
}

static void python_lists_become_json(void **state) {
    (void)state;
    assert_string_equal(list("['a', \"it's\", 'b']"), "[\"a\", \"it's\", \"b\"]");
    assert_string_equal(list(" [ 'a' , ] "), "[\"a\"]");
    assert_string_equal(list("[]"), "[]");
    assert_string_equal(list("[u'\\xe9', 'IT\\'S', 'a\\\\b', '\\u200d\\U0001F600']"),
                        "[\"\xC3\xA9\", \"IT'S\", \"a\\\\b\", \"\xE2\x80\x8D\xF0\x9F\x98\x80\"]");
    assert_string_equal(list("['\\d+']"), "[\"\\\\d+\"]"); /* unknown escapes stand as they are */
}

static void what_is_no_list_is_refused(void **state) {
    (void)state;
    const char *const wrong[] = {"",       "[",        "['a'",        "['a' 'b']", "['a", "'a'",
                                 "['a']x", "['\\x1']", "['\\ud800']", "[1]",       "[,]", "['\\"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (strcmp(list(wrong[i]), "none") != 0) fail_msg("'%s' was read", wrong[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_without_their_ends),
        cmocka_unit_test(lines_longer_than_a_block_are_whole),
        cmocka_unit_test(quotes_are_read_as_csv),
        cmocka_unit_test(python_lists_become_json),
        cmocka_unit_test(what_is_no_list_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
