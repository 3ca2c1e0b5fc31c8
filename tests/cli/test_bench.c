/* raglan bench as a script reads it: one JSON object a line, the promised names, sane figures.
 * Sizes are tiny: that every row can be made is tested, not how fast it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "cmocka_all.h"
#include "temp.h"
#include "util/json.h"

enum { MOST_ROWS = 64 };
static json_t *rows[MOST_ROWS];
static int n_rows;

static int raglan(const char *line) {
    char command[1024];
    snprintf(command, sizeof command, "%s %s >%s 2>%s", RAGLAN_PROGRAM, line, temp_path("out"),
             temp_path("err"));
    int how = system(command);
    return WIFEXITED(how) ? WEXITSTATUS(how) : -1;
}

static void forget_rows(void) {
    while (n_rows) json_decref(rows[--n_rows]);
}

static void read_rows(void) {
    forget_rows();
    reader *r;
    assert_int_equal(reader_open(temp_path("out"), &r), OK);
    buf line = {0};
    for (bool more = true; reader_line(r, &line, &more) == OK && more;) {
        assert_true(n_rows < MOST_ROWS);
        assert_int_equal(json_parse(line.at, line.len, "a line of bench", &rows[n_rows]), OK);
        n_rows++;
    }
    buf_clear(&line);
    reader_close(r);
}

static const json_t *row(const char *name) {
    for (int i = 0; i < n_rows; i++)
        if (!strcmp(json_str(rows[i], "name", ""), name)) return rows[i];
    fail_msg("no row is called %s", name);
    return NULL;
}

static void every_promised_row_is_there(void **state) {
    (void)state;
    static const char *const names[][2] = {
        {"peak.f32", "GFLOP/s"},
        {"peak.bf16", "GFLOP/s"},
        {"peak.int8", "Gop/s"},
        {"peak.read", "GB/s"},
        {"matmul.f32.64x16x16", "GFLOP/s"},
        {"train.retriever.d16", "tokens/s"},
        {"train.generator.d16", "tokens/s"},
        {"embed.retriever_d16", "tokens/s"},
        {"search.flat.1000x64.q1", "ms"},
        {"search.flat.1000x64.q256", "queries/s"},
        {"lexical.500.build", "s"},
        {"lexical.500.p50", "ms"},
        {"lexical.500.p99", "ms"},
        {"answer.k10.d16", "ms"},
        {"answer.k10.d16.first", "ms"},
        {"answer.k10.d16.int8", "ms"},
        {"answer.k10.d16.int8.first", "ms"},
    };
    /* the family is forced, so that rows are the same on every processor */
    setenv("RAGLAN_CPU", "ref", 1);
    int code = raglan("bench --json --size tiny --dim 16 --threads 2");
    unsetenv("RAGLAN_CPU");
    assert_int_equal(code, 0);
    read_rows();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const json_t *r = row(names[i][0]);
        assert_string_equal(json_str(r, "unit", ""), names[i][1]);
    }
}

static void every_row_has_every_field(void **state) {
    (void)state;
    assert_int_equal(raglan("bench answer --json --size tiny --dim=16 --threads 1"), 0);
    read_rows();
    assert_int_equal(n_rows, 8); /* four peaks, four of the part */
    for (int i = 0; i < n_rows; i++) {
        assert_int_equal(json_object_size(rows[i]), 8);
        assert_true(json_num(rows[i], "value", -1) > 0);
        assert_true(json_num(rows[i], "flops", -1) >= 0);
        assert_true(json_num(rows[i], "peak_fraction", -1) >= 0);
        bool is_peak = !strncmp(json_str(rows[i], "name", ""), "peak.", 5);
        assert_true(is_peak == (json_num(rows[i], "peak_fraction_beside", -1) == 0));
        assert_int_equal(json_int(rows[i], "threads", 0), 1);
        assert_true(strlen(json_str(rows[i], "cpu", "")) > 0);
    }
    assert_true(json_num(row("answer.k10.d16"), "value", 0) >
                json_num(row("answer.k10.d16.first"), "value", 0));
}

static void a_wrong_family_is_said_before_anything_runs(void **state) {
    (void)state;
    setenv("RAGLAN_CPU", "AMX", 1);
    int code = raglan("bench answer --size tiny --dim 16");
    unsetenv("RAGLAN_CPU");
    assert_int_equal(code, 1);
    buf err = {0};
    assert_int_equal(file_read(temp_path("err"), 0, &err), OK);
    assert_non_null(strstr(err.at, "RAGLAN_CPU: 'AMX' is no known family of kernels"));
    buf_clear(&err);
}

static void a_wrong_part_or_width_is_wrong_usage(void **state) {
    (void)state;
    assert_int_equal(raglan("bench kernel"), 2);
    buf err = {0};
    assert_int_equal(file_read(temp_path("err"), 0, &err), OK);
    assert_non_null(strstr(err.at, "found 'kernel'"));
    assert_non_null(strstr(err.at, "the nearest is kernels"));
    buf_clear(&err);
    assert_int_equal(raglan("bench --dim 20"), 2);
    assert_int_equal(raglan("bench --dim 24"), 2); /* 8 heads of 3 columns cannot be turned */
    assert_int_equal(raglan("bench --size small"), 2);
}

static int free_rows(void **state) {
    (void)state;
    forget_rows();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_promised_row_is_there),
        cmocka_unit_test(every_row_has_every_field),
        cmocka_unit_test(a_wrong_family_is_said_before_anything_runs),
        cmocka_unit_test(a_wrong_part_or_width_is_wrong_usage),
    };
    return cmocka_run_group_tests(tests, NULL, free_rows);
}
