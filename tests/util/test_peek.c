/* reader_peek: looking at what comes next, plain and gzip, without taking it. */
#include "cmocka_all.h"
#include "temp.h"
#include "util/file.h"

#include <zlib.h>

static void check_peek(const char *path, size_t n, size_t first) {
    reader *r = NULL;
    const char *head;
    size_t n_head, got;
    char *all = xmalloc(n + 1);
    assert_int_equal(reader_open(path, &r), OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(reader_peek(r, &head, &n_head), OK);
        assert_int_equal(n_head, first);
        for (size_t k = 0; k < n_head; k++) assert_int_equal(head[k], 'a' + k % 23);
    }
    assert_int_equal(reader_read(r, all, 5, &got), OK);
    assert_int_equal(reader_peek(r, &head, &n_head), OK); /* in the middle too */
    assert_int_equal(n_head, n - 5 < 65536 ? n - 5 : 65536);
    assert_int_equal(head[0], 'a' + 5);
    assert_int_equal(reader_read(r, all + 5, n + 1, &got), OK);
    assert_int_equal(got, n - 5);
    for (size_t k = 0; k < n; k++) assert_int_equal(all[k], 'a' + k % 23);
    reader_close(r);
    free(all);
}

static const size_t sizes[] = {7, 65535, 65536, 65537, 300000};

static void what_is_peeked_at_is_read_afterwards(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n = sizes[i], first = n < 65536 ? n : 65536;
        char *text = xmalloc(n), path[512];
        for (size_t k = 0; k < n; k++) text[k] = (char)('a' + k % 23);
        check_peek(temp_file("plain", text, n), n, first);
        snprintf(path, sizeof path, "%s", temp_path("packed"));
        gzFile z = gzopen(path, "wb");
        assert_int_equal(gzwrite(z, text, (unsigned)n), n);
        gzclose(z);
        check_peek(path, n, first);
        free(text);
    }
}

static void an_empty_file_has_nothing_to_peek_at(void **state) {
    (void)state;
    reader *r = NULL;
    const char *head;
    size_t n = 1;
    assert_int_equal(reader_open(temp_text("empty", ""), &r), OK);
    assert_int_equal(reader_peek(r, &head, &n), OK);
    assert_int_equal(n, 0);
    reader_close(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_peeked_at_is_read_afterwards),
        cmocka_unit_test(an_empty_file_has_nothing_to_peek_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
