/* The scanner: which records a path asks for, and what it refuses. */
#include "util/json.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "cmocka_all.h"
#include "temp.h"

/* Writes "which@line:bytes|" for each record. */
static status note(void *arg, const char *bytes, size_t n, int which, int64_t line) {
    assert_int_equal(bytes[n], 0);
    buf_printf(arg, "%d@%lld:%s|", which, (long long)line, bytes);
    return OK;
}

static status scan_file(const char *file, const char *path, size_t max_record, buf *out) {
    reader *r;
    assert_int_equal(reader_open(file, &r), OK);
    buf_reset(out);
    buf_add(out, "", 0);
    status st = json_scan(r, path, max_record, note, out);
    reader_close(r);
    return st;
}

static void assert_records(const char *text, const char *path, const char *wanted) {
    buf out = {0};
    assert_int_equal(scan_file(temp_text("in.json", text), path, 0, &out), OK);
    assert_string_equal(out.at, wanted);
    buf_clear(&out);
}

/* What was delivered before the break, and the sentence after "in.json:". */
static void assert_broken(const char *text, const char *path, const char *wanted,
                          const char *sentence) {
    buf out = {0};
    assert_int_equal(scan_file(temp_text("in.json", text), path, 0, &out), ERR_FORMAT);
    assert_string_equal(out.at, wanted);
    const char *found = strstr(err_msg(), "in.json:");
    assert_non_null(found);
    assert_string_equal(found + 8, sentence);
    buf_clear(&out);
}

static void the_empty_path_asks_for_the_values_themselves(void **state) {
    (void)state;
    assert_records("{\"a\": 1}\n\n[2, \"]\"]\n\"x\" 3 true", "",
                   "0@1:{\"a\": 1}|0@3:[2, \"]\"]|0@4:\"x\"|0@4:3|0@4:true|");
    assert_records("", "", "");
    assert_records("  \n\t ", "", "");
    assert_records("\xEF\xBB\xBF{}", "", "0@1:{}|");
}

static void a_star_asks_for_the_elements(void **state) {
    (void)state;
    assert_records("[1,{\"a\":[2]},\n [], \"\\\"]\"]", "*",
                   "0@1:1|0@1:{\"a\":[2]}|0@2:[]|0@2:\"\\\"]\"|");
    assert_records("{\"*\": 1}", "*", ""); /* a star is no key */
    assert_records("[]", "*", "");
}

static void steps_lead_through_keys_and_arrays(void **state) {
    (void)state;
    const char *text =
        "{\"version\": \"1.1\", \"data\": [\n"
        "{\"title\": \"A\", \"paragraphs\": [{\"context\": \"x\"}, {\"context\": \"y\"}]},\n"
        "{\"paragraphs\": [], \"title\": \"B\"}], \"other\": {\"data\": [1]}}";
    assert_records(text, "version", "0@1:\"1.1\"|");
    assert_records(text, "data.*.title", "0@2:\"A\"|0@3:\"B\"|");
    assert_records(text, "data.*.title|data.*.paragraphs.*",
                   "0@2:\"A\"|1@2:{\"context\": \"x\"}|1@2:{\"context\": \"y\"}|0@3:\"B\"|");
    assert_records(text, "other.data.*", "0@3:1|");
    assert_records(text, "data.title", "");
}

static void alternatives_serve_either_shape(void **state) {
    (void)state;
    assert_records("[1,2]", "*|data.*", "0@1:1|0@1:2|");
    assert_records("{\"data\":[1,2]}", "*|data.*", "1@1:1|1@1:2|");
}

static void records_may_lie_inside_records(void **state) {
    (void)state;
    assert_records("[{\"t\": 5, \"u\": [6, 7]}, 8]", "*|*.t|*.u.*",
                   "1@1:5|2@1:6|2@1:7|0@1:{\"t\": 5, \"u\": [6, 7]}|0@1:8|");
    assert_records("[1]", "*|*", "0@1:1|1@1:1|");
}

static void escaped_keys_are_read(void **state) {
    (void)state;
    assert_records("{\"\\u0064ata\": 1, \"da\\\\ta\": 2}", "data", "0@1:1|");
}

static void records_cross_windows_of_the_reader(void **state) {
    (void)state;
    enum { N = 200000 };
    buf text = {0}, out = {0};
    buf_puts(&text, "[\"");
    for (int i = 0; i < N; i++) buf_puts(&text, i % 7 ? "a" : "\\\"");
    size_t length = text.len; /* from the quote to the last letter, and the closing quote */
    buf_puts(&text, "\", 7]");
    assert_int_equal(scan_file(temp_file("in.json", text.at, text.len), "*", 0, &out), OK);
    assert_int_equal(out.len, 4 + length + 1 + strlen("0@1:7|"));
    assert_memory_equal(out.at + 4, text.at + 1, length);
    buf_clear(&text), buf_clear(&out);
}

static void broken_files_are_refused_with_their_line(void **state) {
    (void)state;
    assert_broken("[1,\n2", "*", "0@1:1|0@2:2|", "2: the file ends, wanted ',' or ']'");
    assert_broken("[1,]", "*", "0@1:1|", "1: found ']', wanted a value");
    assert_broken("[1 2]", "*", "0@1:1|", "1: found '2', wanted ',' or ']'");
    assert_broken("{\"a\" 1}", "", "", "1: found '1', wanted ':' after a name");
    assert_broken("{\"a\": 1,}", "", "", "1: found '}', wanted a name in quotes");
    assert_broken("{a: 1}", "", "", "1: found 'a', wanted a name in quotes");
    assert_broken("\n{\"a\": \"b", "", "", "2: the file ends inside a string");
    assert_broken("{\"a\": \"b\nc\"}", "", "",
                  "1: a string holds the control byte 0x0a: is its closing quote missing?");
    assert_broken("1\n2\n]", "", "0@1:1|0@2:2|", "3: found ']', wanted a value");
    assert_broken("[nul]", "", "", "1: found 'nul', wanted a value");
    assert_broken("[01]", "", "", "1: found '01', wanted a value");
    assert_broken("[1.e5]", "", "", "1: found '1.e5', wanted a value");
    assert_broken("[-]", "", "", "1: found '-', wanted a value");
    assert_broken("[\"a\\", "", "", "1: the file ends inside a string");
    assert_broken("\x89PNG", "", "", "1: found byte 0x89, wanted a value");
    assert_broken("{\"\\x\": 1}", "a", "", "1: the name \"\\x\" has a wrong escape");
}

static void depth_is_limited_to_512(void **state) {
    (void)state;
    char text[1101];
    memset(text, '[', 512);
    memset(text + 512, ']', 512);
    text[1024] = 0;
    buf out = {0};
    assert_int_equal(scan_file(temp_text("in.json", text), "*", 0, &out), OK);
    memset(text, '[', 513);
    assert_broken(text, "*", "", "1: nested deeper than 512");
    buf_clear(&out);
}

static void a_record_over_the_limit_is_refused(void **state) {
    (void)state;
    buf out = {0};
    assert_int_equal(scan_file(temp_text("in.json", "[\"1234\", \"12345678901\"]"), "*", 12, &out),
                     ERR_FORMAT);
    assert_string_equal(out.at, "0@1:\"1234\"|");
    assert_non_null(strstr(err_msg(), "a record is larger than 12 bytes"));
    buf_clear(&out);
}

static status refuse(void *arg, const char *bytes, size_t n, int which, int64_t line) {
    (void)bytes, (void)n, (void)which, (void)line;
    if (++*(int *)arg == 2) FAIL(ERR_STOPPED, "that is enough");
    return OK;
}

static void the_callback_may_end_the_scan(void **state) {
    (void)state;
    reader *r;
    int n = 0;
    assert_int_equal(reader_open(temp_text("in.json", "[1,2,3]"), &r), OK);
    assert_int_equal(json_scan(r, "*", 0, refuse, &n), ERR_STOPPED);
    assert_int_equal(n, 2);
    reader_close(r);
}

static void a_truncated_gzip_stream_is_a_broken_file(void **state) {
    (void)state;
    static const uint8_t head[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
    buf out = {0};
    assert_int_equal(scan_file(temp_file("in.json.gz", head, sizeof head), "*", 0, &out),
                     ERR_FORMAT);
    buf_clear(&out);
}

static status count(void *arg, const char *bytes, size_t n, int which, int64_t line) {
    (void)bytes, (void)n, (void)which, (void)line;
    ++*(int64_t *)arg;
    return OK;
}

static void memory_does_not_grow_with_the_file(void **state) {
    (void)state;
    const char *path = temp_path("big.json");
    file_writer *w;
    assert_int_equal(file_writer_open(path, &w), OK);
    assert_int_equal(file_writer_printf(w, "{\"skipped\": [1"), OK);
    for (int i = 0; i < 200000; i++) assert_int_equal(file_writer_printf(w, ",{\"n\":%d}", i), OK);
    assert_int_equal(file_writer_printf(w, "], \"data\": [0"), OK);
    for (int i = 0; i < 200000; i++)
        assert_int_equal(file_writer_printf(w, ",{\"text\": \"number %d\", \"list\": [1,2,3]}", i),
                         OK);
    assert_int_equal(file_writer_printf(w, "]}"), OK);
    assert_int_equal(file_writer_commit(w, NULL), OK);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    reader *r;
    int64_t n = 0;
    assert_int_equal(reader_open(path, &r), OK);
    assert_int_equal(json_scan(r, "data.*", 0, count, &n), OK);
    reader_close(r);
    getrusage(RUSAGE_SELF, &after);
    assert_int_equal(n, 200001);
    assert_true(after.ru_maxrss - before.ru_maxrss < 2048); /* KiB, for a file of 11 MB */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_empty_path_asks_for_the_values_themselves),
        cmocka_unit_test(a_star_asks_for_the_elements),
        cmocka_unit_test(steps_lead_through_keys_and_arrays),
        cmocka_unit_test(alternatives_serve_either_shape),
        cmocka_unit_test(records_may_lie_inside_records),
        cmocka_unit_test(escaped_keys_are_read),
        cmocka_unit_test(records_cross_windows_of_the_reader),
        cmocka_unit_test(broken_files_are_refused_with_their_line),
        cmocka_unit_test(depth_is_limited_to_512),
        cmocka_unit_test(a_record_over_the_limit_is_refused),
        cmocka_unit_test(the_callback_may_end_the_scan),
        cmocka_unit_test(a_truncated_gzip_stream_is_a_broken_file),
        cmocka_unit_test(memory_does_not_grow_with_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
