/* Checkpoints: sets that appear whole or not at all, and a sentence for every kind of damage. */
#include "model/checkpoint.h"
#include "util/par.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static char home[64];

static void empty_home(void) {
    DIR *d = opendir(home);
    for (struct dirent *e; (e = readdir(d));) {
        char path[400];
        snprintf(path, sizeof path, "%s/%s", home, e->d_name);
        unlink(path);
    }
    closedir(d);
}

static int set_up(void **state) {
    (void)state;
    strcpy(home, "/tmp/raglan-ckpt-XXXXXX");
    return mkdtemp(home) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    empty_home();
    return rmdir(home);
}

static int64_t count_files(const char *ending) {
    int64_t n = 0;
    DIR *d = opendir(home);
    for (struct dirent *e; (e = readdir(d));) {
        size_t have = strlen(e->d_name), want = strlen(ending);
        n += have >= want && !strcmp(e->d_name + have - want, ending) && e->d_name[0] != '.';
    }
    closedir(d);
    return n;
}

static params *model(int64_t cols) {
    params *p = params_new();
    params_add(p, "w", 8, cols, (param_options){.init = INIT_NORMAL, .scale = 1});
    assert_int_equal(params_build(p, 42, true), OK);
    return p;
}

/* One optimizer step, so that each save differs, and the set after it; score NAN: not evaluated. */
static status save(params *p, adamw *o, const char *config, double score, char id[41]) {
    tensor *w = params_find(p, "w");
    for (int64_t i = 0; i < w->rows * w->cols; i++) w->d[i] = (float)(i % 7) - 3;
    adamw_step(o, p, backend_ref());
    json_t *meta = json_pack("{s:{s:s}, s:{s:s}, s:I, s:I}", "config", "kind", config, "hashes",
                             "tokenizer", "t1", "step", o->step, "total_steps", (json_int_t)100);
    if (!isnan(score)) json_object_set_new(meta, "dev_score", json_real(score));
    json_t *extra = json_pack("{s:I}", "position", o->step);
    status st = checkpoint_save(home, "retriever", p, o, meta, extra, id);
    json_decref(meta);
    json_decref(extra);
    return st;
}

static char *file_of(const char *id, const char *suffix) {
    return xasprintf("%s/%s.retriever%s", home, id, suffix);
}

/* Changes one byte of a file; the bit set in `mask` flips. */
static void flip(const char *id, const char *suffix, size_t from_end, char mask) {
    char *path = file_of(id, suffix);
    buf b = {0};
    assert_int_equal(file_read(path, 0, &b), OK);
    b.at[b.len - 1 - from_end] ^= mask;
    assert_int_equal(file_write(path, b.at, b.len), OK);
    buf_clear(&b);
    free(path);
}

static void cut(const char *id, const char *suffix) {
    char *path = file_of(id, suffix);
    assert_int_equal(truncate(path, file_size(path) / 2), 0);
    free(path);
}

static void a_saved_set_comes_back_whole(void **state) {
    (void)state;
    empty_home();
    params *p = model(5), *q = model(5);
    adamw o = adamw_default(), r = adamw_default();
    char id[41];
    assert_int_equal(save(p, &o, "a", .5, id), OK);

    checkpoint c;
    assert_int_equal(checkpoint_find(home, "retriever", NULL, CHECKPOINT_NEWEST, &c), OK);
    assert_string_equal(c.identifier, id);
    assert_string_equal(c.type, "retriever");
    assert_int_equal(c.generation, 1);
    assert_int_equal(c.step, 1);
    assert_int_equal(c.total_steps, 100);
    assert_true(c.dev_score == .5);
    assert_true(!c.finished && c.is_newest && c.is_best && c.has_state);
    assert_string_equal(json_str(json_object_get(c.meta, "config"), "kind", ""), "a");

    json_t *extra;
    assert_int_equal(checkpoint_load(home, &c, q), OK);
    assert_memory_equal(params_find(p, "w")->v, params_find(q, "w")->v, 160);
    assert_int_equal(checkpoint_load_state(home, &c, q, &r, &extra), OK);
    assert_int_equal(r.step, 1);
    assert_int_equal(json_int(extra, "position", 0), 1);
    json_decref(extra);
    checkpoint_clear(&c);
    params_free(p);
    params_free(q);
}

static void an_empty_home_has_none(void **state) {
    (void)state;
    empty_home();
    checkpoint c = {.step = 7};
    assert_int_equal(checkpoint_find(home, "retriever", NULL, CHECKPOINT_BEST, &c), OK);
    assert_null(c.meta);
    assert_int_equal(checkpoint_find("/nonexistent", "retriever", NULL, CHECKPOINT_BEST, &c), OK);
    assert_null(c.meta);
    assert_int_equal(checkpoint_find(home, "retriever", "abcd", CHECKPOINT_BEST, &c), ERR_ARG);
    assert_non_null(strstr(err_msg(), "no retriever checkpoint 'abcd'; there is none"));
}

static void newest_and_best_are_kept(void **state) {
    (void)state;
    empty_home();
    params *p = model(5);
    adamw o = adamw_default();
    const double score[5] = {.5, .7, .6, .7, NAN};
    const int64_t best[5] = {1, 2, 2, 4, 4}, sets[5] = {1, 1, 2, 1, 2};
    for (int i = 0; i < 5; i++) {
        char id[41];
        assert_int_equal(save(p, &o, "a", score[i], id), OK);
        checkpoint c;
        assert_int_equal(checkpoint_find(home, "retriever", NULL, CHECKPOINT_BEST, &c), OK);
        assert_int_equal(c.generation, best[i]); /* a tie goes to the later */
        checkpoint_clear(&c);
        assert_int_equal(checkpoint_find(home, "retriever", NULL, CHECKPOINT_NEWEST, &c), OK);
        assert_int_equal(c.generation, i + 1);
        assert_string_equal(c.identifier, id);
        checkpoint_clear(&c);
        assert_int_equal(count_files(".metadata"), sets[i]);
        assert_int_equal(count_files(".safetensors"), sets[i] + 1);
        assert_int_equal(count_files(".state.safetensors"), 1);
    }
    params_free(p);
}

static void scores_of_another_configuration_do_not_compete(void **state) {
    (void)state;
    empty_home();
    params *p = model(5);
    adamw o = adamw_default();
    char id[41];
    assert_int_equal(save(p, &o, "a", .9, id), OK);
    assert_int_equal(save(p, &o, "b", .1, id), OK);
    checkpoint c;
    assert_int_equal(checkpoint_find(home, "retriever", NULL, CHECKPOINT_BEST, &c), OK);
    assert_string_equal(c.identifier, id);
    checkpoint_clear(&c);
    assert_int_equal(count_files(".metadata"), 1);
    params_free(p);
}

static void an_identifier_may_be_shortened(void **state) {
    (void)state;
    empty_home();
    params *p = model(5);
    adamw o = adamw_default();
    char first[41], second[41], prefix[8] = "";
    assert_int_equal(save(p, &o, "a", .9, first), OK);
    assert_int_equal(save(p, &o, "a", .1, second), OK);
    memcpy(prefix, first, 7);
    checkpoint c;
    assert_int_equal(checkpoint_find(home, "retriever", prefix, CHECKPOINT_NEWEST, &c), OK);
    assert_string_equal(c.identifier, first);
    assert_false(c.has_state);
    checkpoint_clear(&c);
    prefix[3] = 0;
    assert_int_equal(checkpoint_find(home, "retriever", prefix, CHECKPOINT_NEWEST, &c), ERR_ARG);
    assert_non_null(strstr(err_msg(), "at least 4 digits"));
    assert_int_equal(checkpoint_find(home, "retriever", "zzzz", CHECKPOINT_NEWEST, &c), ERR_ARG);
    first[12] = second[12] = 0;
    assert_non_null(strstr(err_msg(), first));
    assert_non_null(strstr(err_msg(), second));
    params_free(p);
}

static void damaged_parameters_are_refused(void **state) {
    (void)state;
    params *p = model(5), *q = model(6);
    for (int kind = 0; kind < 2; kind++) {
        empty_home();
        adamw o = adamw_default();
        char id[41];
        checkpoint c;
        assert_int_equal(save(p, &o, "a", .5, id), OK);
        assert_int_equal(checkpoint_find(home, "retriever", NULL, CHECKPOINT_NEWEST, &c), OK);
        assert_int_equal(checkpoint_load(home, &c, q), ERR_FORMAT); /* foreign shapes */
        assert_non_null(strstr(err_msg(), "'w' is [8, 5], this model wants [8, 6]"));
        if (kind)
            cut(id, ".safetensors");
        else
            flip(id, ".safetensors", 30, 4);
        float kept = params_find(p, "w")->v[0];
        assert_int_equal(checkpoint_load(home, &c, p), ERR_FORMAT);
        assert_non_null(strstr(err_msg(), "cannot be used"));
        assert_non_null(strstr(err_msg(), "--new_model"));
        assert_non_null(strstr(err_msg(), kind ? "cut short" : "damaged"));
        assert_true(params_find(p, "w")->v[0] == kept);
        checkpoint_clear(&c);
    }
    params_free(p);
    params_free(q);
}

/* A model that is only read, of the shape of model(cols). */
static params *blank(int64_t cols) {
    params *p = params_new();
    params_add(p, "w", 8, cols, (param_options){.init = INIT_NORMAL, .scale = 1});
    assert_int_equal(params_build(p, PARAMS_BLANK, false), OK);
    return p;
}

static status map(const checkpoint *c, params **out) {
    *out = blank(5);
    return checkpoint_map(home, c, *out);
}

static void a_mapped_model_is_hashed_until_its_file_is_known_and_when_it_changes(void **state) {
    (void)state;
    empty_home();
    params *p = model(5), *q;
    adamw o = adamw_default();
    char id[41];
    checkpoint c;
    assert_int_equal(save(p, &o, "a", .5, id), OK);
    assert_int_equal(checkpoint_find(home, "retriever", NULL, CHECKPOINT_NEWEST, &c), OK);
    assert_int_equal(map(&c, &q), OK);
    assert_memory_equal(params_find(q, "w")->v, params_find(p, "w")->v, 40 * sizeof(float));
    params_free(q);
    assert_int_equal(count_files(".verified"), 0); /* too young to be relied on */

    usleep(2100000);
    assert_int_equal(map(&c, &q), OK);
    params_free(q);
    assert_int_equal(count_files(".verified"), 1);
    assert_int_equal(map(&c, &q), OK);
    assert_memory_equal(params_find(q, "w")->v, params_find(p, "w")->v, 40 * sizeof(float));
    params_free(q);

    flip(id, ".safetensors", 30, 4);
    assert_int_equal(map(&c, &q), ERR_FORMAT);
    assert_non_null(strstr(err_msg(), "damaged"));
    params_free(q);
    assert_int_equal(checkpoint_verify(home, &c), ERR_FORMAT);
    flip(id, ".safetensors", 30, 4);
    assert_int_equal(map(&c, &q), OK);
    params_free(q);
    assert_int_equal(save(p, &o, "a", .6, id), OK); /* the older set goes with its note */
    assert_int_equal(count_files(".verified"), 0);
    checkpoint_clear(&c);
    params_free(p);
}

static void a_damaged_state_is_refused(void **state) {
    (void)state;
    params *p = model(5);
    for (int kind = 0; kind < 3; kind++) {
        empty_home();
        adamw o = adamw_default();
        char id[41];
        checkpoint c;
        json_t *extra;
        assert_int_equal(save(p, &o, "a", .5, id), OK);
        assert_int_equal(checkpoint_find(home, "retriever", NULL, CHECKPOINT_NEWEST, &c), OK);
        if (kind == 0) flip(id, ".state.safetensors", 30, 1);
        if (kind == 1) cut(id, ".state.safetensors");
        if (kind == 2) { /* another checkpoint's */
            char other[41], *from, *to = file_of(id, ".state.safetensors");
            assert_int_equal(save(p, &o, "a", .4, other), OK);
            from = file_of(other, ".state.safetensors");
            assert_int_equal(rename(from, to), 0);
            free(from);
            free(to);
        }
        assert_int_equal(checkpoint_load_state(home, &c, p, &o, &extra), ERR_FORMAT);
        assert_non_null(strstr(err_msg(), "cannot be used"));
        checkpoint_clear(&c);
    }
    params_free(p);
}

static void damaged_metadata_is_named_and_left_alone(void **state) {
    (void)state;
    params *p = model(5);
    for (int kind = 0; kind < 2; kind++) {
        empty_home();
        adamw o = adamw_default();
        char id[41], next[41];
        checkpoint_list l;
        assert_int_equal(save(p, &o, "a", .5, id), OK);
        if (kind)
            cut(id, ".metadata");
        else
            flip(id, ".metadata", 20, 1);
        assert_int_equal(checkpoint_scan(home, NULL, &l), ERR_FORMAT);
        assert_non_null(strstr(err_msg(), id));
        assert_non_null(strstr(err_msg(), "delete this file"));
        /* A save beside it works and does not take the damaged one's parameters away. */
        assert_int_equal(save(p, &o, "a", .6, next), OK);
        assert_int_equal(count_files(".retriever.safetensors"), 2);
        char *path = file_of(id, ".metadata");
        assert_int_equal(unlink(path), 0);
        free(path);
        assert_int_equal(checkpoint_scan(home, "retriever", &l), OK);
        assert_int_equal(l.n, 1);
        assert_string_equal(l.at[0].identifier, next);
        checkpoint_list_clear(&l);
    }
    params_free(p);
}

static void incomplete_sets_are_swept_up_and_nothing_else(void **state) {
    (void)state;
    empty_home();
    params *p = model(5);
    adamw o = adamw_default();
    char id[41];
    const char *const orphan = "0123456789abcdef0123456789abcdef01234567";
    const char *const names[] = {".retriever.safetensors", ".retriever.state.safetensors",
                                 ".retriever.safetensors.new", ".retriever.metadata.new",
                                 ".generator.safetensors"};
    for (int i = 0; i < 5; i++) {
        char path[200];
        snprintf(path, sizeof path, "%s/%s%s", home, orphan, names[i]);
        assert_int_equal(file_write(path, "x", 1), OK);
    }
    char other[100];
    snprintf(other, sizeof other, "%s/notes.retriever.safetensors", home);
    assert_int_equal(file_write(other, "x", 1), OK);

    checkpoint_list l;
    assert_int_equal(checkpoint_scan(home, NULL, &l), OK);
    assert_int_equal(l.n, 0);
    assert_int_equal(save(p, &o, "a", .5, id), OK);
    assert_int_equal(count_files(""), 3 + 2); /* the set, the other type's, the stranger */
    assert_true(file_exists(other));
    params_free(p);
}

static void a_full_disk_leaves_the_old_set_intact(void **state) {
    (void)state;
    empty_home();
    params *p = model(500), *q = model(500); /* 16,000 bytes of parameters, 32,000 of state */
    adamw o = adamw_default();
    char id[41] = "", next[41] = "untouched";
    assert_int_equal(save(p, &o, "a", .5, id), OK);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit was, less;
    getrlimit(RLIMIT_FSIZE, &was);
    const rlim_t limits[3] = {100, 15000, 20000}; /* stops at parameters, again, at the state */
    for (int i = 0; i < 3; i++) {
        less = (struct rlimit){limits[i], was.rlim_max};
        setrlimit(RLIMIT_FSIZE, &less);
        status st = save(p, &o, "a", .6, next);
        setrlimit(RLIMIT_FSIZE, &was);
        assert_int_equal(st, ERR_IO);
        assert_non_null(strstr(err_msg(), "not saved (the one before it is intact)"));
        assert_string_equal(next, "untouched");
        assert_int_equal(count_files(""), 3);
        checkpoint c;
        json_t *extra;
        assert_int_equal(checkpoint_find(home, "retriever", NULL, CHECKPOINT_NEWEST, &c), OK);
        assert_string_equal(c.identifier, id);
        assert_int_equal(checkpoint_load(home, &c, q), OK);
        adamw r = adamw_default();
        assert_int_equal(checkpoint_load_state(home, &c, q, &r, &extra), OK);
        json_decref(extra);
        checkpoint_clear(&c);
    }
    assert_int_equal(save(p, &o, "a", .6, next), OK); /* space again */
    params_free(p);
    params_free(q);
}

/* A process that saves without pause is killed at any moment; what it leaves is always a whole
 * set, and its state belongs to its parameters. */
static void a_kill_at_any_moment_leaves_a_whole_set(void **state) {
    (void)state;
    empty_home();
    params *q = model(500);
    int64_t last = 0;
    for (int round = 0; round < 12; round++) {
        pid_t child = fork();
        if (child == 0) {
            params *p = model(500);
            adamw o = adamw_default();
            char id[41];
            for (int i = 0; i < 100000; i++)
                if (save(p, &o, "a", i % 3 ? (double)(i % 5) : NAN, id)) _exit(1);
            _exit(0);
        }
        usleep((useconds_t)(20000 + 7700 * round));
        kill(child, SIGKILL);
        int how;
        waitpid(child, &how, 0);
        assert_true(WIFSIGNALED(how));

        checkpoint c;
        assert_int_equal(checkpoint_find(home, "retriever", NULL, CHECKPOINT_NEWEST, &c), OK);
        if (!c.meta) continue; /* killed before its first save */
        assert_true(c.generation >= last);
        last = c.generation;
        adamw o = adamw_default();
        json_t *extra;
        assert_int_equal(checkpoint_load(home, &c, q), OK);
        assert_int_equal(checkpoint_load_state(home, &c, q, &o, &extra), OK);
        assert_int_equal(o.step, c.step);
        assert_int_equal(json_int(extra, "position", -1), c.step);
        json_decref(extra);
        checkpoint_clear(&c);
        assert_int_equal(checkpoint_find(home, "retriever", NULL, CHECKPOINT_BEST, &c), OK);
        assert_int_equal(checkpoint_load(home, &c, q), OK);
        checkpoint_clear(&c);
    }
    assert_true(last > 0);
    params_free(q);
}

int main(void) {
    par_threads_set(1); /* fork copies one thread only */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_saved_set_comes_back_whole),
        cmocka_unit_test(an_empty_home_has_none),
        cmocka_unit_test(newest_and_best_are_kept),
        cmocka_unit_test(scores_of_another_configuration_do_not_compete),
        cmocka_unit_test(an_identifier_may_be_shortened),
        cmocka_unit_test(damaged_parameters_are_refused),
        cmocka_unit_test(a_mapped_model_is_hashed_until_its_file_is_known_and_when_it_changes),
        cmocka_unit_test(a_damaged_state_is_refused),
        cmocka_unit_test(damaged_metadata_is_named_and_left_alone),
        cmocka_unit_test(incomplete_sets_are_swept_up_and_nothing_else),
        cmocka_unit_test(a_full_disk_leaves_the_old_set_intact),
        cmocka_unit_test(a_kill_at_any_moment_leaves_a_whole_set),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
