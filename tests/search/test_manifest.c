/* The manifest: reading back, atomic change, deletion, compaction, checking, sweeping. */
#include "search/manifest.h"

#include <inttypes.h>

#include "help.h"
#include "util/hash.h"
#include "util/json.h"

static const vectors_key KEY = {.model = "model-a", .tokenizer = "tokenizer-a", .dim = 3};

static void add_lexical(const char *folder, manifest *m, int64_t first, int64_t last) {
    lexical_builder *b;
    char name[SEGMENT_NAME];
    SUCCEEDS(lexical_builder_open(folder, NULL, &b));
    for (int64_t id = first; id < last; id++) {
        char *text = xasprintf("passage number%d of all", (int)id);
        SUCCEEDS(lexical_builder_add(b, id, NULL, 0, text, strlen(text)));
        free(text);
    }
    SUCCEEDS(lexical_builder_finish(b, name));
    lexical_builder_close(b);
    SUCCEEDS(manifest_add_lexical(folder, m, name));
}

static void add_vectors(const char *folder, manifest *m, int64_t first, int64_t last) {
    vectors_writer *w;
    char name[SEGMENT_NAME];
    SUCCEEDS(vectors_writer_open(folder, &KEY, &w));
    for (int64_t id = first; id < last; id++) {
        float row[3] = {(float)id, 1, 2};
        SUCCEEDS(vectors_writer_add(w, &id, row, 1));
    }
    SUCCEEDS(vectors_writer_finish(w, name));
    vectors_writer_close(w);
    SUCCEEDS(manifest_add_vectors(folder, m, name));
}

/* Passages 1..29 in two segments of each kind; 7 and 25 are deleted. */
static void make_index(const char *folder, manifest *m) {
    int64_t gone[] = {25, 7, 7, 1000};
    manifest_init(m);
    add_lexical(folder, m, 1, 20);
    add_lexical(folder, m, 20, 30);
    add_vectors(folder, m, 1, 11);
    add_vectors(folder, m, 11, 30);
    manifest_delete(m, gone, 4);
    SUCCEEDS(manifest_write(folder, m));
}

static void a_folder_without_one_has_an_empty_manifest(void **state) {
    (void)state;
    manifest m;
    SUCCEEDS(manifest_read("/nonexistent/index", &m));
    assert_int_equal(m.generation, 0);
    assert_int_equal(m.n_lexical, 0);
    assert_int_equal(manifest_last_lexical(&m), -1);
    assert_true(m.fuse.lambda == fusion_default.lambda);
    manifest_clear(&m);
}

static void what_is_written_is_read_back(void **state) {
    (void)state;
    char *folder = make_folder();
    manifest m, back;
    make_index(folder, &m);
    strcpy(m.cut, "context 64");
    m.fuse = (fusion){FUSION_RRF, .7, .1, 3, .2};
    m.is_tuned = true;
    SUCCEEDS(manifest_write(folder, &m));
    SUCCEEDS(manifest_read(folder, &back));
    assert_int_equal(back.generation, 2);
    assert_string_equal(back.cut, "context 64");
    assert_string_equal(back.language, "english");
    assert_true(vectors_key_equal(&back.key, &KEY));
    assert_int_equal(back.n_lexical, 2);
    assert_string_equal(back.lexical[1].file, m.lexical[1].file);
    assert_int_equal(back.lexical[1].n, 10);
    assert_int_equal(back.lexical[1].first_id, 20);
    assert_int_equal(manifest_last_lexical(&back), 29);
    assert_int_equal(manifest_last_vector(&back), 29);
    assert_int_equal(back.n_deleted, 2); /* sorted, once each, the unknown one left out */
    assert_int_equal(back.deleted[0], 7);
    assert_int_equal(back.deleted[1], 25);
    assert_true(back.fuse.mode == FUSION_RRF && back.fuse.lambda == .7 && back.fuse.share == .1 &&
                back.fuse.reach == 3 && back.fuse.near == .2 && back.is_tuned);
    manifest_clear(&m);
    manifest_clear(&back);
    free(folder);
}

/* "sum" once weighed BM25 divided by the question's best: its weights mean nothing here. */
static void weights_of_another_formula_are_left_behind(void **state) {
    (void)state;
    char *folder = make_folder(), *path = xasprintf("%s/manifest.json", folder);
    manifest m, back;
    make_index(folder, &m);
    json_t *j = json_load_file(path, 0, NULL);
    json_object_set_new(j, "fusion",
                        json_pack("{s:s, s:f, s:f, s:i, s:b}", "mode", "sum", "lambda", .7, "share",
                                  .1, "reach", 3, "tuned", 1));
    json_object_del(j, "checksum");
    char *text = json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS), *hex;
    hex = xasprintf("%016" PRIx64, hash64(text, strlen(text)));
    json_object_set_new(j, "checksum", json_string(hex));
    assert_int_equal(json_dump_file(j, path, 0), 0);
    SUCCEEDS(manifest_read(folder, &back));
    assert_true(back.fuse.lambda == fusion_default.lambda);
    assert_false(back.is_tuned);
    json_decref(j);
    free(text);
    free(hex);
    manifest_clear(&m);
    manifest_clear(&back);
    free(path);
    free(folder);
}

static void an_empty_delta_appends_nothing(void **state) {
    (void)state;
    char *folder = make_folder();
    manifest m;
    manifest_init(&m);
    add_lexical(folder, &m, 0, 0);
    add_vectors(folder, &m, 0, 0);
    manifest_delete(&m, NULL, 0);
    assert_int_equal(m.n_lexical + m.n_vectors, 0);
    SUCCEEDS(manifest_write(folder, &m));
    SUCCEEDS(manifest_compact(folder, &m));
    manifest_clear(&m);
    free(folder);
}

static void a_damaged_manifest_is_refused(void **state) {
    (void)state;
    char *folder = make_folder(), *path = xasprintf("%s/manifest.json", folder);
    manifest m, back;
    buf text = {0};
    make_index(folder, &m);
    SUCCEEDS(file_read(path, 0, &text));
    char *number = strstr(text.at, "\"passages\": 19");
    assert_non_null(number);
    number[strlen("\"passages\": 1")] = '8';
    SUCCEEDS(file_write(path, text.at, text.len));
    FAILS(ERR_FORMAT, "run `raglan check --repair`", manifest_read(folder, &back));
    SUCCEEDS(file_write(path, text.at, text.len / 2));
    FAILS(ERR_FORMAT, "manifest.json", manifest_read(folder, &back));
    buf_clear(&text);
    manifest_clear(&m);
    free(path);
    free(folder);
}

static void names_that_leave_the_folder_are_refused(void **state) {
    (void)state;
    char *folder = make_folder();
    manifest m, back;
    make_index(folder, &m);
    strcpy(m.lexical[0].file, "../../etc/passwd");
    SUCCEEDS(manifest_write(folder, &m));
    FAILS(ERR_FORMAT, "'../../etc/passwd' is not the name of a lexical segment",
          manifest_read(folder, &back));
    manifest_clear(&m);
    free(folder);
}

static void compaction_leaves_one_segment_a_kind_and_no_deleted(void **state) {
    (void)state;
    char *folder = make_folder();
    manifest m;
    make_index(folder, &m);
    assert_int_equal(count_files(folder), 5);
    SUCCEEDS(manifest_compact(folder, &m));
    assert_int_equal(count_files(folder), 3); /* one of each kind and the manifest */
    assert_int_equal(m.generation, 2);
    assert_int_equal(m.n_deleted, 0);
    assert_int_equal(m.n_lexical, 1);
    assert_int_equal(m.lexical[0].n, 27);
    assert_int_equal(m.vectors[0].n, 27);
    SUCCEEDS(manifest_compact(folder, &m)); /* nothing to do is nothing done */
    assert_int_equal(m.generation, 2);
    manifest_clear(&m);
    free(folder);
}

static void compaction_of_deleted_passages_only_leaves_nothing(void **state) {
    (void)state;
    char *folder = make_folder();
    manifest m;
    int64_t gone[] = {1, 2};
    manifest_init(&m);
    add_lexical(folder, &m, 1, 3);
    manifest_delete(&m, gone, 2);
    SUCCEEDS(manifest_compact(folder, &m));
    assert_int_equal(m.n_lexical, 0);
    assert_int_equal(count_files(folder), 1);
    manifest_clear(&m);
    free(folder);
}

static void note(void *arg, const char *sentence) {
    buf_puts(arg, sentence);
    buf_putc(arg, '\n');
}

static void checking_names_what_is_damaged_or_missing(void **state) {
    (void)state;
    char *folder = make_folder();
    manifest m;
    buf faults = {0};
    int64_t n;
    make_index(folder, &m);
    SUCCEEDS(manifest_check(folder, &m, note, &faults, &n));
    assert_int_equal(n, 0);
    flip_bit(folder, m.vectors[1].file, 200);
    char *path = xasprintf("%s/%s", folder, m.lexical[0].file);
    assert_int_equal(unlink(path), 0);
    SUCCEEDS(manifest_check(folder, &m, note, &faults, &n));
    assert_int_equal(n, 2);
    assert_non_null(strstr(faults.at, path));
    assert_non_null(strstr(faults.at, m.vectors[1].file));
    assert_non_null(strstr(faults.at, "is damaged"));
    free(path);
    buf_clear(&faults);
    manifest_clear(&m);
    free(folder);
}

static void sweeping_removes_what_nobody_names_and_nothing_else(void **state) {
    (void)state;
    char *folder = make_folder();
    manifest m;
    make_index(folder, &m);
    const char *litter[] = {"lexical-00000000deadbeef.seg", "vectors-00000000deadbeef.seg",
                            "lexical.seg.new"};
    const char *stays[] = {"notes.txt", "vectors-0123456789abcdef.part"};
    for (int i = 0; i < 3; i++) {
        char *path = xasprintf("%s/%s", folder, litter[i]);
        SUCCEEDS(file_write(path, "x", 1));
        free(path);
    }
    for (int i = 0; i < 2; i++) {
        char *path = xasprintf("%s/%s", folder, stays[i]);
        SUCCEEDS(file_write(path, "x", 1));
        free(path);
    }
    assert_int_equal(count_files(folder), 10);
    SUCCEEDS(manifest_sweep(folder, &m));
    assert_int_equal(count_files(folder), 7);
    SUCCEEDS(manifest_sweep("/nonexistent/index", &m));
    manifest_clear(&m);
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_without_one_has_an_empty_manifest),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(weights_of_another_formula_are_left_behind),
        cmocka_unit_test(an_empty_delta_appends_nothing),
        cmocka_unit_test(a_damaged_manifest_is_refused),
        cmocka_unit_test(names_that_leave_the_folder_are_refused),
        cmocka_unit_test(compaction_leaves_one_segment_a_kind_and_no_deleted),
        cmocka_unit_test(compaction_of_deleted_passages_only_leaves_nothing),
        cmocka_unit_test(checking_names_what_is_damaged_or_missing),
        cmocka_unit_test(sweeping_removes_what_nobody_names_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
