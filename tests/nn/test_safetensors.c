/* safetensors: what is written comes back, and every way of being wrong has its sentence. */
#include "nn/safetensors.h"
#include "util/hash.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[] = "/tmp/raglan-st-XXXXXX", path[64];

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/a.safetensors", folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

/* Writes header and data as a file; returns what st_open says. */
static status open_bytes(const char *header, const void *data, size_t n) {
    buf b = {0};
    size_t h = strlen(header);
    for (int i = 0; i < 8; i++) buf_putc(&b, (char)(h >> 8 * i & 255));
    buf_puts(&b, header);
    buf_add(&b, data, n);
    assert_int_equal(file_write(path, b.at, b.len), OK);
    buf_clear(&b);
    st_file *f = NULL;
    status st = st_open(path, &f);
    if (st) assert_null(f);
    st_close(f);
    return st;
}

static params *model(int64_t cols, uint64_t seed) {
    params *p = params_new();
    params_add(p, "in.w", 3, cols, (param_options){.init = INIT_NORMAL, .scale = 1});
    params_add(p, "out.b", 1, 2, (param_options){.init = INIT_UNIFORM, .scale = 1});
    assert_int_equal(params_build(p, seed, true), OK);
    return p;
}

static void parameters_come_back_bit_for_bit(void **state) {
    (void)state;
    params *p = model(5, 1), *q = model(5, 2);
    assert_memory_not_equal(params_find(p, "in.w")->v, params_find(q, "in.w")->v, 60);
    st_writer *w = st_writer_new();
    st_writer_meta(w, "type", "retriever");
    st_add_params(w, p);
    char hex[41], foretold[41], found[41];
    st_writer_sha1(w, foretold);
    assert_int_equal(st_writer_save(w, path, hex), OK);
    assert_string_equal(hex, foretold);

    st_file *f;
    assert_int_equal(st_open(path, &f), OK);
    st_file_sha1(f, found);
    assert_string_equal(hex, found);
    assert_string_equal(st_meta(f, "type"), "retriever");
    assert_null(st_meta(f, "none"));
    assert_int_equal(st_count(f), 2);
    assert_int_equal((uintptr_t)st_at(f, 0)->at % 64, 0);
    uint64_t version = params_find(q, "in.w")->version;
    assert_int_equal(st_load_params(f, q, path), OK);
    assert_memory_equal(params_find(p, "in.w")->v, params_find(q, "in.w")->v, 60);
    assert_memory_equal(params_find(p, "out.b")->v, params_find(q, "out.b")->v, 8);
    assert_true(params_find(q, "in.w")->version > version);
    st_close(f);
    st_writer_free(w);
    params_free(p);
    params_free(q);
}

static void moments_come_back_with_their_step(void **state) {
    (void)state;
    params *p = model(5, 1), *q = model(5, 1);
    adamw o = adamw_default(), r = adamw_default();
    for (int step = 0; step < 3; step++) {
        for (int i = 0; i < 15; i++) params_find(p, "in.w")->d[i] = (float)(i - 7);
        adamw_step(&o, p, backend_ref());
    }
    st_writer *w = st_writer_new();
    st_add_moments(w, p, &o);
    assert_int_equal(st_writer_save(w, path, NULL), OK);
    st_writer_free(w);
    st_file *f;
    assert_int_equal(st_open(path, &f), OK);
    assert_int_equal(st_count(f), 4);
    assert_int_equal(st_load_moments(f, q, &r, path), OK);
    assert_int_equal(r.step, 3);
    /* The same values and moments take the same fourth step. */
    memcpy(params_find(q, "in.w")->v, params_find(p, "in.w")->v, 60);
    adamw_step(&o, p, backend_ref());
    adamw_step(&r, q, backend_ref());
    assert_memory_equal(params_find(q, "in.w")->v, params_find(p, "in.w")->v, 60);
    st_close(f);
    params_free(p);
    params_free(q);
}

/* Saves w, opens it and returns what loading it into p says. */
static status load_into(st_writer *w, params *p) {
    assert_int_equal(st_writer_save(w, path, NULL), OK);
    st_file *f;
    assert_int_equal(st_open(path, &f), OK);
    status st = st_load_params(f, p, path);
    st_close(f);
    return st;
}

static void foreign_shapes_are_named_with_both(void **state) {
    (void)state;
    params *p = model(5, 1), *q = model(6, 1);
    st_writer *w = st_writer_new();
    st_add_params(w, p);
    assert_int_equal(load_into(w, q), ERR_FORMAT);
    assert_non_null(strstr(err_msg(), "'in.w' is [3, 5], this model wants [3, 6]"));

    st_writer_add(w, "more", "F32", 1, (int64_t[]){1}, params_find(p, "in.w")->v);
    assert_int_equal(load_into(w, p), ERR_FORMAT);
    assert_non_null(strstr(err_msg(), "'more' is in the file, but this model has none"));
    st_writer_free(w);

    w = st_writer_new();
    st_writer_add(w, "in.w", "F32", 2, (int64_t[]){3, 5}, params_find(p, "in.w")->v);
    assert_int_equal(load_into(w, p), ERR_FORMAT);
    assert_non_null(strstr(err_msg(), "'out.b' [1, 2] of this model is not in the file"));
    st_writer_free(w);
    params_free(p);
    params_free(q);
}

static void halves_and_bf16_are_widened(void **state) {
    (void)state;
    /* 1, -2, the smallest subnormal, infinity; 1, -3 */
    const uint16_t half[4] = {0x3c00, 0xc000, 0x0001, 0x7c00}, brain[2] = {0x3f80, 0xc040};
    st_writer *w = st_writer_new();
    st_writer_add(w, "h", "F16", 1, (int64_t[]){4}, half);
    st_writer_add(w, "b", "BF16", 2, (int64_t[]){2, 1}, brain);
    st_writer_add(w, "i", "I64", 1, (int64_t[]){1}, half);
    st_writer_add(w, "none", "F32", 2, (int64_t[]){0, 7}, half);
    assert_int_equal(st_writer_save(w, path, NULL), OK);
    st_writer_free(w);
    st_file *f;
    assert_int_equal(st_open(path, &f), OK);
    float x[4];
    assert_int_equal(st_copy_f32(st_find(f, "h"), x, 4), OK);
    assert_true(x[0] == 1 && x[1] == -2 && x[2] == 0x1p-24f && isinf(x[3]));
    assert_int_equal(st_copy_f32(st_find(f, "b"), x, 2), OK);
    assert_true(x[0] == 1 && x[1] == -3);
    assert_int_equal(st_copy_f32(st_find(f, "none"), x, 0), OK);
    assert_int_equal(st_copy_f32(st_find(f, "i"), x, 1), ERR_FORMAT);
    assert_int_equal(st_copy_f32(st_find(f, "b"), x, 3), ERR_FORMAT);
    assert_non_null(strstr(err_msg(), "has 2 values, wanted 3"));
    st_close(f);
}

static void a_seal_finds_every_flipped_bit(void **state) {
    (void)state;
    const float x[3] = {1, 2, 3};
    st_writer *w = st_writer_new();
    st_writer_meta(w, "extra", "{\"step\": 12}");
    st_writer_add(w, "x", "F32", 1, (int64_t[]){3}, x);
    st_writer_seal(w);
    assert_int_equal(st_writer_save(w, path, NULL), OK);
    st_writer_free(w);
    st_file *f;
    assert_int_equal(st_open(path, &f), OK);
    assert_int_equal(st_verify(f, path), OK);
    st_close(f);

    buf whole = {0};
    assert_int_equal(file_read(path, 0, &whole), OK);
    char *digit = strstr(whole.at + 8, "12}"); /* in the metadata, then in the data */
    assert_non_null(digit);
    size_t places[] = {(size_t)(digit - whole.at), whole.len - 1, whole.len - 12};
    for (int i = 0; i < 3; i++) {
        whole.at[places[i]] ^= 1;
        assert_int_equal(file_write(path, whole.at, whole.len), OK);
        whole.at[places[i]] ^= 1;
        assert_int_equal(st_open(path, &f), OK);
        assert_int_equal(st_verify(f, path), ERR_FORMAT);
        assert_non_null(strstr(err_msg(), "damaged"));
        st_close(f);
    }
    buf_clear(&whole);
}

/* clang-format off */
static const struct {
    const char *header, *sentence;
} wrong[] = {
    {"{'a': {'dtype': 'F32', 'shape': [2], 'data_offsets': [0, 16]}}",    "cut short"},
    {"{'a': {'dtype': 'F32', 'shape': [2], 'data_offsets': [-8, 0]}}",    "cut short"},
    {"{'a': {'dtype': 'F32', 'shape': [3], 'data_offsets': [0, 8]}}",     "its shape wants 12"},
    {"{'a': {'dtype': 'F64', 'shape': [1], 'data_offsets': [0, 8]}}",     "dtype 'F64'"},
    {"{'a': {'dtype': 'F32', 'shape': [-2], 'data_offsets': [0, 8]}}",    "no whole number"},
    {"{'a': {'dtype': 'F32', 'shape': [2.0], 'data_offsets': [0, 8]}}",   "no whole number"},
    {"{'a': {'dtype': 'F32', 'shape': [1,1,1,1,1,1,1,1,2], 'data_offsets': [0, 8]}}",        "at most 8"},
    {"{'a': {'dtype': 'F32', 'shape': [4611686018427387904, 8], 'data_offsets': [0, 8]}}",   "larger than memory"},
    {"{'a': {'dtype': 'F32', 'shape': [4611686018427387904], 'data_offsets': [0, 8]}}",      "larger than memory"},
    {"{'a': {'dtype': 'F32', 'shape': [2]}}",                             "no data_offsets"},
    {"{'a': {'dtype': 'F32', 'shape': [2], 'data_offsets': [0]}}",        "no data_offsets"},
    {"{'a': {'dtype': 'F32', 'data_offsets': [0, 8]}}",                   "no shape"},
    {"{'a': 7}",                                                          "dtype ''"},
    {"{'a': {'dtype': 'F32', 'shape': [1], 'data_offsets': [4, 8]}}",     "follows a gap"},
    {"{'a': {'dtype': 'F32', 'shape': [1], 'data_offsets': [0, 4]}}",     "4 bytes after the last tensor"},
    {"{'a': {'dtype': 'F32', 'shape': [2], 'data_offsets': [0, 8]},"
     " 'b': {'dtype': 'F32', 'shape': [1], 'data_offsets': [4, 8]}}",     "overlaps"},
    {"[1]",                                                               "no JSON object"},
    {"{'a': ",                                                            "line 1"},
};
/* clang-format on */

static void every_wrong_header_has_its_sentence(void **state) {
    (void)state;
    const char data[8] = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char header[200];
        snprintf(header, sizeof header, "%s", wrong[i].header);
        for (char *c = header; *c; c++)
            if (*c == '\'') *c = '"';
        assert_int_equal(open_bytes(header, data, 8), ERR_FORMAT);
        if (!strstr(err_msg(), wrong[i].sentence))
            fail_msg("'%s' lacks '%s'", err_msg(), wrong[i].sentence);
        assert_non_null(strstr(err_msg(), path));
    }
    assert_int_equal(open_bytes("{}", data, 0), OK);

    st_file *f;
    assert_int_equal(file_write(path, "abc", 3), OK);
    assert_int_equal(st_open(path, &f), ERR_FORMAT);
    assert_int_equal(file_write(path, "\377\377\377\377\377\377\377\377{}", 10), OK);
    assert_int_equal(st_open(path, &f), ERR_FORMAT);
    assert_non_null(strstr(err_msg(), "does not fit a file of 10"));
    assert_int_equal(st_open("/nonexistent/x", &f), ERR_IO);
}

static void no_prefix_of_a_good_file_is_taken(void **state) {
    (void)state;
    const float x[4] = {1, 2, 3, 4};
    st_writer *w = st_writer_new();
    st_writer_add(w, "x", "F32", 2, (int64_t[]){2, 2}, x);
    assert_int_equal(st_writer_save(w, path, NULL), OK);
    st_writer_free(w);
    int64_t n = file_size(path);
    assert_int_equal(n % 64, 16);
    while (n-- > 0) {
        assert_int_equal(truncate(path, n), 0);
        st_file *f;
        assert_int_equal(st_open(path, &f), ERR_FORMAT);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_come_back_bit_for_bit),
        cmocka_unit_test(moments_come_back_with_their_step),
        cmocka_unit_test(foreign_shapes_are_named_with_both),
        cmocka_unit_test(halves_and_bf16_are_widened),
        cmocka_unit_test(a_seal_finds_every_flipped_bit),
        cmocka_unit_test(every_wrong_header_has_its_sentence),
        cmocka_unit_test(no_prefix_of_a_good_file_is_taken),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
