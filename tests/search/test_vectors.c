/* Vectors: writing, resuming after a kill, reading, refusing, merging. */
#include "search/vectors.h"

#include <math.h>
#include <sys/wait.h>

#include "help.h"

static const vectors_key KEY = {.model = "model-a", .tokenizer = "tokenizer-a", .dim = 5};
static const id_list NOTHING = {0};

/* The row of passage id: anything, but always the same. */
static void row_of(int64_t id, float row[5]) {
    for (int d = 0; d < 5; d++) row[d] = (float)(id * 10 + d) / 7;
}

static void add_range(vectors_writer *w, int64_t first, int64_t last, int64_t step) {
    for (int64_t id = first; id < last; id += step) {
        float row[5];
        row_of(id, row);
        SUCCEEDS(vectors_writer_add(w, &id, row, 1));
    }
}

static void write_range(const char *folder, int64_t first, int64_t last, int64_t step,
                        char name[SEGMENT_NAME]) {
    vectors_writer *w;
    SUCCEEDS(vectors_writer_open(folder, &KEY, &w));
    add_range(w, first, last, step);
    SUCCEEDS(vectors_writer_finish(w, name));
    vectors_writer_close(w);
}

static void what_is_written_can_be_read(void **state) {
    (void)state;
    char *folder = make_folder(), name[SEGMENT_NAME];
    vectors v;
    write_range(folder, 100, 10100, 2, name); /* 5,000 rows: more than one batch */
    assert_int_equal(count_files(folder), 1); /* the part file is gone */
    SUCCEEDS(vectors_open(folder, name, &KEY, &v));
    assert_int_equal(v.n, 5000);
    assert_true(vectors_key_equal(&v.key, &KEY));
    assert_int_equal((uintptr_t)v.rows % 64, 0);
    for (int64_t i = 0; i < v.n; i++) {
        float want[5];
        row_of(100 + 2 * i, want);
        assert_int_equal(v.ids[i], 100 + 2 * i);
        assert_memory_equal(v.rows + 5 * i, want, sizeof want);
    }
    vectors_close(&v);
    SUCCEEDS(vectors_verify(folder, name));
    free(folder);
}

static void no_rows_make_a_valid_file(void **state) {
    (void)state;
    char *folder = make_folder(), name[SEGMENT_NAME];
    vectors v;
    write_range(folder, 0, 0, 1, name);
    SUCCEEDS(vectors_open(folder, name, &KEY, &v));
    assert_int_equal(v.n, 0);
    vectors_close(&v);
    free(folder);
}

static void a_stopped_writer_goes_on_to_the_same_bytes(void **state) {
    (void)state;
    char *folder = make_folder(), straight[SEGMENT_NAME], resumed[SEGMENT_NAME];
    vectors_writer *w;
    write_range(folder, 0, 9000, 1, straight);
    SUCCEEDS(vectors_writer_open(folder, &KEY, &w));
    add_range(w, 0, 1234, 1);
    vectors_writer_close(w); /* stopped in good order */
    SUCCEEDS(vectors_writer_open(folder, &KEY, &w));
    assert_int_equal(vectors_writer_count(w), 1234);
    assert_int_equal(vectors_writer_last_id(w), 1233);
    add_range(w, 1234, 9000, 1);
    SUCCEEDS(vectors_writer_finish(w, resumed));
    vectors_writer_close(w);
    assert_string_equal(resumed, straight); /* the name is the hash of the content */
    free(folder);
}

static void a_killed_writer_goes_on_to_the_same_bytes(void **state) {
    (void)state;
    char *folder = make_folder(), straight[SEGMENT_NAME], resumed[SEGMENT_NAME];
    vectors_writer *w;
    write_range(folder, 0, 9000, 1, straight);
    pid_t child = fork();
    if (child == 0) {
        if (vectors_writer_open(folder, &KEY, &w) == OK) add_range(w, 0, 6000, 1);
        _exit(0); /* as kill -9: nothing is flushed */
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    SUCCEEDS(vectors_writer_open(folder, &KEY, &w));
    int64_t kept = vectors_writer_count(w);
    assert_in_range(kept, 4096, 6000); /* at least the whole batch */
    add_range(w, kept, 9000, 1);
    SUCCEEDS(vectors_writer_finish(w, resumed));
    vectors_writer_close(w);
    assert_string_equal(resumed, straight);
    free(folder);
}

static status note_part(void *arg, const char *path) {
    if (strstr(path, ".part")) *(char **)arg = xstrdup(path);
    return OK;
}

static char *part_path(const char *folder) {
    char *found = NULL;
    SUCCEEDS(file_walk(folder, note_part, &found));
    assert_non_null(found);
    return found;
}

static void a_torn_or_damaged_batch_is_dropped_and_redone(void **state) {
    (void)state;
    char *folder = make_folder(), straight[SEGMENT_NAME], resumed[SEGMENT_NAME];
    write_range(folder, 0, 3000, 1, straight);
    for (int damage = 0; damage < 3; damage++) {
        vectors_writer *w;
        SUCCEEDS(vectors_writer_open(folder, &KEY, &w));
        add_range(w, 0, 1000, 1);
        SUCCEEDS(vectors_writer_sync(w));
        add_range(w, 1000, 2000, 1);
        vectors_writer_close(w);
        char *path = part_path(folder), *name = path + strlen(folder) + 1;
        int64_t size = file_size(path);
        if (damage == 0) assert_int_equal(truncate(path, size - 3), 0);
        if (damage == 1) flip_bit(folder, name, (long)size - 100);
        if (damage == 2) flip_bit(folder, name, 20); /* the head: nothing is kept */
        free(path);
        SUCCEEDS(vectors_writer_open(folder, &KEY, &w));
        int64_t kept = vectors_writer_count(w);
        assert_int_equal(kept, damage == 2 ? 0 : 1000);
        add_range(w, kept, 3000, 1);
        SUCCEEDS(vectors_writer_finish(w, resumed));
        vectors_writer_close(w);
        assert_string_equal(resumed, straight);
    }
    free(folder);
}

static void another_models_part_file_is_dropped(void **state) {
    (void)state;
    char *folder = make_folder();
    vectors_key other = KEY;
    strcpy(other.model, "model-b");
    vectors_writer *w;
    SUCCEEDS(vectors_writer_open(folder, &KEY, &w));
    add_range(w, 0, 100, 1);
    vectors_writer_close(w);
    SUCCEEDS(vectors_writer_open(folder, &other, &w));
    assert_int_equal(vectors_writer_count(w), 0);
    assert_int_equal(vectors_writer_last_id(w), -1);
    vectors_writer_close(w);
    assert_int_equal(count_files(folder), 1);
    free(folder);
}

static void a_full_disk_costs_no_row_that_was_synced(void **state) {
    (void)state;
    char *folder = make_folder(), straight[SEGMENT_NAME], resumed[SEGMENT_NAME];
    vectors_writer *w;
    FAILS(ERR_IO, "/nonexistent/vectors-", vectors_writer_open("/nonexistent", &KEY, &w));
    write_range(folder, 0, 3000, 1, straight);
    SUCCEEDS(vectors_writer_open(folder, &KEY, &w));
    add_range(w, 0, 1000, 1);
    SUCCEEDS(vectors_writer_sync(w));
    add_range(w, 1000, 2000, 1);
    limit_file_size(40000); /* 1,000 rows take 28,000 bytes */
    FAILS(ERR_IO, "cannot write", vectors_writer_sync(w));
    limit_file_size(-1);
    vectors_writer_close(w);
    SUCCEEDS(vectors_writer_open(folder, &KEY, &w));
    assert_int_equal(vectors_writer_count(w), 1000);
    add_range(w, 1000, 3000, 1);
    SUCCEEDS(vectors_writer_finish(w, resumed));
    vectors_writer_close(w);
    assert_string_equal(resumed, straight);
    free(folder);
}

static void bad_rows_are_refused(void **state) {
    (void)state;
    char *folder = make_folder();
    vectors_writer *w;
    float row[5] = {1, 2, 3, 4, 5};
    int64_t id = 7;
    SUCCEEDS(vectors_writer_open(folder, &KEY, &w));
    SUCCEEDS(vectors_writer_add(w, &id, row, 1));
    FAILS(ERR_ARG, "vector of passage 7 comes after that of 7", vectors_writer_add(w, &id, row, 1));
    id = 8;
    row[3] = NAN;
    FAILS(ERR_ARG, "vector of passage 8: dimension 3 is nan", vectors_writer_add(w, &id, row, 1));
    vectors_writer_close(w);
    free(folder);
}

static void vectors_of_another_model_are_refused_with_the_command(void **state) {
    (void)state;
    char *folder = make_folder(), name[SEGMENT_NAME];
    vectors_key other = KEY;
    strcpy(other.model, "model-b");
    vectors v;
    write_range(folder, 0, 10, 1, name);
    FAILS(ERR_STATE, "run `raglan index`", vectors_open(folder, name, &other, &v));
    assert_non_null(strstr(err_msg(), "made by model model-a"));
    SUCCEEDS(vectors_open(folder, name, NULL, &v));
    vectors_close(&v);
    free(folder);
}

static void a_flipped_bit_is_found(void **state) {
    (void)state;
    char *folder = make_folder(), name[SEGMENT_NAME];
    write_range(folder, 0, 1000, 1, name);
    flip_bit(folder, name, 12345); /* inside the rows */
    FAILS(ERR_FORMAT, "section 'rows' is damaged; run `raglan check --repair`",
          vectors_verify(folder, name));
    free(folder);
}

static void merging_gives_the_bytes_of_writing_what_is_left(void **state) {
    (void)state;
    char *folder = make_folder(), even[SEGMENT_NAME], odd[SEGMENT_NAME], all[SEGMENT_NAME],
         merged[SEGMENT_NAME];
    write_range(folder, 0, 100, 2, even); /* interleaved: the general case */
    write_range(folder, 1, 100, 2, odd);
    write_range(folder, 0, 100, 1, all);
    SUCCEEDS(vectors_merge(folder, (const char *[]){odd, even}, 2, NOTHING, merged));
    assert_string_equal(merged, all);
    int64_t evens[50];
    for (int i = 0; i < 50; i++) evens[i] = 2 * i;
    SUCCEEDS(vectors_merge(folder, (const char *[]){odd, even}, 2, (id_list){evens, 50}, merged));
    assert_string_equal(merged, odd);
    FAILS(ERR_FORMAT, "has two vectors",
          vectors_merge(folder, (const char *[]){all, even}, 2, NOTHING, merged));
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_can_be_read),
        cmocka_unit_test(no_rows_make_a_valid_file),
        cmocka_unit_test(a_stopped_writer_goes_on_to_the_same_bytes),
        cmocka_unit_test(a_killed_writer_goes_on_to_the_same_bytes),
        cmocka_unit_test(a_torn_or_damaged_batch_is_dropped_and_redone),
        cmocka_unit_test(another_models_part_file_is_dropped),
        cmocka_unit_test(a_full_disk_costs_no_row_that_was_synced),
        cmocka_unit_test(bad_rows_are_refused),
        cmocka_unit_test(vectors_of_another_model_are_refused_with_the_command),
        cmocka_unit_test(a_flipped_bit_is_found),
        cmocka_unit_test(merging_gives_the_bytes_of_writing_what_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
