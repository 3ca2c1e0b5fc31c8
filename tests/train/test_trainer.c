/* The training loop: resumed runs end in the bytes of uninterrupted ones, whatever stopped them;
 * what a run says, keeps, refuses and survives. */
#include "train/toy.h"
#include "train/trainer_int.h"
#include "util/log.h"
#include "util/par.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <cmocka.h>

static char whole[41]; /* identifier of 60 steps without interruption */

/* One command: a fresh process's model, trained by o with the toy's knobs. */
static status train_with(toy knobs, const train_options *o, char id[41]) {
    toy y = toy_new();
    params *p = y.p;
    y = knobs;
    y.p = p;
    trainee t = toy_trainee(&y);
    stop_reset();
    status st = train_run(&t, o, id);
    stop_reset();
    toy_trainee_free(&t);
    return st;
}

static const toy plain = {.stop_after = -1, .refuse_at = -1, .nan_from = -1};

static status train(const train_options *o, char id[41]) {
    return train_with(plain, o, id);
}

static checkpoint newest(const char *home) {
    checkpoint c;
    assert_int_equal(checkpoint_find(home, "toy", NULL, CHECKPOINT_NEWEST, &c), OK);
    assert_non_null(c.meta);
    return c;
}

static int set_up(void **state) {
    (void)state;
    char *home = toy_home();
    train_options o = toy_options(home, 60);
    status st = train(&o, whole);
    toy_remove(home);
    free(home);
    return st;
}

static char *read_text(const char *home, const char *name) {
    char *path = xasprintf("%s/%s", home, name);
    buf b = {0};
    assert_int_equal(file_read(path, 0, &b), OK);
    free(path);
    return buf_steal(&b);
}

/* ---- resuming ---- */

static void the_same_seed_gives_the_same_bytes(void **state) {
    (void)state;
    char *home = toy_home(), id[41];
    train_options o = toy_options(home, 60);
    assert_int_equal(train(&o, id), OK);
    assert_string_equal(id, whole);
    checkpoint c = newest(home);
    assert_true(c.finished);
    assert_int_equal(c.step, 60);
    assert_true(c.dev_score > .05);
    checkpoint_clear(&c);
    o.new_model = true;
    o.seed = 43;
    assert_int_equal(train(&o, id), OK);
    assert_string_not_equal(id, whole);
    toy_remove(home);
    free(home);
}

static void a_stopped_run_resumes_to_the_same_bytes(void **state) {
    (void)state;
    /* after the first step, a skipped one (3, 58), just before, at and after an evaluation, the
     * last */
    const int64_t stops[] = {0, 18, 19, 42, 58, 59};
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++) {
        char *home = toy_home(), id[41];
        train_options o = toy_options(home, 60);
        toy y = plain;
        y.stop_after = stops[i];
        status st = train_with(y, &o, id);
        if (stops[i] == 59)
            assert_int_equal(st, OK); /* nothing was left to stop */
        else {
            assert_int_equal(st, ERR_STOPPED);
            checkpoint c = newest(home);
            assert_int_equal(c.step, stops[i] + 1);
            assert_false(c.finished);
            checkpoint_clear(&c);
            assert_int_equal(train(&o, id), OK);
        }
        assert_string_equal(id, whole);
        toy_remove(home);
        free(home);
    }
}

static void a_run_stopped_again_and_again_resumes_to_the_same_bytes(void **state) {
    (void)state;
    char *home = toy_home(), id[41];
    train_options o = toy_options(home, 60);
    toy y = plain;
    int64_t restarts = 0;
    for (y.stop_after = 5; train_with(y, &o, id) == ERR_STOPPED; y.stop_after += 7) restarts++;
    assert_int_equal(restarts, 8);
    assert_string_equal(id, whole);
    checkpoint c = newest(home);
    json_t *extra;
    toy z = toy_new();
    adamw opt = adamw_default();
    assert_int_equal(checkpoint_load_state(home, &c, z.p, &opt, &extra), OK);
    assert_int_equal(json_int(json_object_get(extra, "trainee"), "seen", 0), 60);
    assert_int_equal(opt.step, 48); /* every fifth step has nothing to learn from */
    json_decref(extra);
    params_free(z.p);
    checkpoint_clear(&c);
    toy_remove(home);
    free(home);
}

static void a_dropped_step_is_taken_anew(void **state) {
    (void)state;
    char *home = toy_home(), id[41];
    train_options o = toy_options(home, 60);
    toy y = plain;
    y.refuse_at = 30;
    assert_int_equal(train_with(y, &o, id), ERR_STOPPED);
    checkpoint c = newest(home);
    assert_int_equal(c.step, 30);
    checkpoint_clear(&c);
    assert_int_equal(train(&o, id), OK);
    assert_string_equal(id, whole);
    toy_remove(home);
    free(home);
}

static void an_interrupted_evaluation_is_made_up_for(void **state) {
    (void)state;
    char *home = toy_home(), id[41];
    train_options o = toy_options(home, 60);
    toy y = plain;
    y.stop_in_evaluation = true;
    assert_int_equal(train_with(y, &o, id), ERR_STOPPED);
    checkpoint c = newest(home);
    assert_int_equal(c.step, 20);
    assert_true(isnan(c.dev_score));
    checkpoint_clear(&c);
    assert_int_equal(train(&o, id), OK);
    assert_string_equal(id, whole);
    char *table = read_text(home, "logs/toy.tsv");
    assert_non_null(strstr(table, "\n20\t"));
    assert_non_null(strstr(strstr(table, "\n20\t") + 1, "\n20\t")); /* steps, then the evaluation */
    free(table);
    toy_remove(home);
    free(home);
}

static void a_stop_before_the_first_step_loses_nothing(void **state) {
    (void)state;
    char *home = toy_home(), id[41];
    train_options o = toy_options(home, 60);
    toy y = plain;
    y.refuse_at = 0;
    assert_int_equal(train_with(y, &o, id), ERR_STOPPED);
    assert_int_equal(train(&o, id), OK);
    assert_string_equal(id, whole);
    toy_remove(home);
    free(home);
}

static void a_killed_run_resumes_to_the_same_bytes(void **state) {
    (void)state;
    char *home = toy_home(), id[41];
    train_options o = toy_options(home, 60);
    o.save_every_s = 1e-3;
    int64_t reached = 0;
    for (int round = 0; round < 8; round++) {
        pid_t child = fork();
        if (child == 0) {
            log_level_set(LOG_ERROR);
            toy y = plain;
            y.step_us = 4000;
            _exit(train_with(y, &o, id) != OK);
        }
        usleep((useconds_t)(30000 + 9100 * round));
        kill(child, SIGKILL);
        int how;
        waitpid(child, &how, 0);
        checkpoint c;
        assert_int_equal(checkpoint_find(home, "toy", NULL, CHECKPOINT_NEWEST, &c), OK);
        assert_true(c.step >= reached); /* what was saved is never lost */
        reached = c.step;
        checkpoint_clear(&c);
    }
    assert_true(reached > 0);
    o.num_iters_given = false;
    assert_int_equal(train(&o, id), OK);
    assert_string_equal(id, whole);
    toy_remove(home);
    free(home);
}

/* ---- totals, fine-tuning, settings ---- */

static void an_unfinished_run_keeps_its_own_total(void **state) {
    (void)state;
    char *home = toy_home(), id[41];
    train_options o = toy_options(home, 60);
    toy y = plain;
    y.stop_after = 25;
    assert_int_equal(train_with(y, &o, id), ERR_STOPPED);
    o.num_iters = 1000;
    o.num_iters_given = true;
    assert_int_equal(train(&o, id), OK);
    assert_string_equal(id, whole);
    toy_remove(home);
    free(home);
}

static void a_finished_run_is_fine_tuned_by_so_many_more_steps(void **state) {
    (void)state;
    char *home = toy_home(), id[41], again[41];
    train_options o = toy_options(home, 60);
    assert_int_equal(train(&o, id), OK);
    assert_int_equal(train(&o, again), OK); /* not asked for more: nothing to do */
    assert_string_equal(id, again);
    o.num_iters = 30;
    o.num_iters_given = true;
    assert_int_equal(train(&o, again), OK);
    assert_string_not_equal(id, again);
    checkpoint c = newest(home);
    assert_int_equal(c.step, 90);
    assert_int_equal(c.total_steps, 90);
    assert_string_equal(json_str(json_object_get(c.meta, "hashes"), "parent", ""), id);
    json_t *extra;
    toy z = toy_new();
    adamw opt = adamw_default();
    assert_int_equal(checkpoint_load_state(home, &c, z.p, &opt, &extra), OK);
    assert_int_equal(opt.step, 24); /* a fresh optimizer */
    json_decref(extra);
    params_free(z.p);
    checkpoint_clear(&c);

    /* Fine-tuning, too, is resumed to the same bytes. */
    char *other = toy_home(), resumed[41];
    train_options q = toy_options(other, 60);
    assert_int_equal(train(&q, resumed), OK);
    q.num_iters = 30;
    q.num_iters_given = true;
    toy y = plain;
    y.stop_after = 12;
    assert_int_equal(train_with(y, &q, resumed), ERR_STOPPED);
    assert_int_equal(train(&q, resumed), OK);
    assert_string_equal(resumed, again);
    toy_remove(home);
    toy_remove(other);
    free(home);
    free(other);
}

static void a_named_older_checkpoint_is_fine_tuned(void **state) {
    (void)state;
    char *home = toy_home(), id[41];
    train_options o = toy_options(home, 60);
    toy y = plain;
    y.worse_after = 1; /* best at step 20 */
    assert_int_equal(train_with(y, &o, id), OK);
    checkpoint best;
    assert_int_equal(checkpoint_find(home, "toy", NULL, CHECKPOINT_BEST, &best), OK);
    assert_int_equal(best.step, 20);
    o.identifier = best.identifier;
    o.num_iters = 10;
    assert_int_equal(train(&o, id), OK);
    checkpoint c = newest(home);
    assert_int_equal(c.step, 30);
    checkpoint_clear(&c);
    checkpoint_clear(&best);
    toy_remove(home);
    free(home);
}

static void settings_of_a_run_can_be_read_back(void **state) {
    (void)state;
    char *home = toy_home(), id[41];
    json_t *config, *settings;
    bool finished;
    assert_int_equal(train_peek(home, "toy", NULL, &config, &settings, &finished), OK);
    assert_true(!config && !settings && !finished);
    train_options o = toy_options(home, 60);
    o.run = json_pack("{s:f, s:i, s:i}", "learning_rate", .1, "batch_size", 32, "num_iters", 7);
    toy y = plain;
    y.stop_after = 25;
    assert_int_equal(train_with(y, &o, id), ERR_STOPPED);
    assert_int_equal(train_peek(home, "toy", NULL, &config, &settings, &finished), OK);
    assert_int_equal(json_int(config, "dim", 0), TOY_WIDTH);
    assert_true(json_num(settings, "learning_rate", 0) == .1);
    assert_int_equal(json_int(settings, "batch_size", 0), 32);
    assert_int_equal(json_int(settings, "num_iters", 0), 60);
    assert_int_equal(json_int(settings, "steps_per_eval", 0), 20);
    assert_false(finished);
    json_decref(config);
    json_decref(settings);
    json_decref(o.run);
    toy_remove(home);
    free(home);
}

static void another_architecture_is_refused_with_both_values(void **state) {
    (void)state;
    char *home = toy_home(), id[41], before[41];
    train_options o = toy_options(home, 60);
    assert_int_equal(train(&o, before), OK);
    toy y = toy_new();
    trainee t = toy_trainee(&y);
    json_object_set_new(t.config, "dim", json_integer(16));
    assert_int_equal(train_run(&t, &o, id), ERR_ARG);
    assert_non_null(strstr(err_msg(), "dim is 8 there and 16 here"));
    assert_null(strstr(err_msg(), "kind is"));
    assert_non_null(strstr(err_msg(), "--new_model"));
    json_object_set_new(t.config, "dim", json_integer(TOY_WIDTH));
    json_object_set_new(t.hashes, "tokenizer", json_string("t2"));
    assert_int_equal(train_run(&t, &o, id), ERR_STATE);
    assert_non_null(strstr(err_msg(), "tokenizer t1"));
    assert_non_null(strstr(err_msg(), "t2"));
    toy_trainee_free(&t);
    checkpoint c = newest(home);
    assert_string_equal(c.identifier, before);
    checkpoint_clear(&c);
    toy_remove(home);
    free(home);
}

static void patience_ends_a_run_that_gets_no_better(void **state) {
    (void)state;
    char *home = toy_home(), id[41];
    train_options o = toy_options(home, 1000);
    o.patience = 2;
    toy y = plain;
    y.worse_after = 3;
    assert_int_equal(train_with(y, &o, id), OK);
    checkpoint c = newest(home), best;
    assert_int_equal(c.step, 100); /* best at 60, two evaluations more */
    assert_true(c.finished);
    assert_int_equal(checkpoint_find(home, "toy", NULL, CHECKPOINT_BEST, &best), OK);
    assert_int_equal(best.step, 60);
    checkpoint_clear(&c);
    checkpoint_clear(&best);
    toy_remove(home);
    free(home);
}

/* ---- trouble ---- */

static void a_few_steps_that_are_not_finite_are_left_out(void **state) {
    (void)state;
    char *home = toy_home(), id[41];
    train_options o = toy_options(home, 60);
    toy y = plain;
    y.nan_from = 20;
    y.nan_steps = 6;
    assert_int_equal(train_with(y, &o, id), OK);
    checkpoint c = newest(home);
    assert_int_equal(c.step, 60);
    assert_true(c.dev_score > 0);
    checkpoint_clear(&c);
    toy_remove(home);
    free(home);
}

static void a_diverged_run_ends_and_keeps_the_last_good_checkpoint(void **state) {
    (void)state;
    char *home = toy_home(), id[41];
    train_options o = toy_options(home, 100);
    toy y = plain;
    y.nan_from = 41;
    y.nan_steps = 1000;
    assert_int_equal(train_with(y, &o, id), ERR_STATE);
    assert_non_null(strstr(err_msg(), "toy diverged"));
    assert_non_null(strstr(err_msg(), "--learning_rate"));
    checkpoint c = newest(home);
    assert_int_equal(c.step, 40);
    c.identifier[12] = 0;
    assert_non_null(strstr(err_msg(), c.identifier));
    checkpoint_clear(&c);
    toy_remove(home);
    free(home);
}

static void a_run_of_skipped_steps_can_be_stopped(void **state) {
    (void)state;
    char *home = toy_home(), id[41];
    train_options o = toy_options(home, 1000000);
    o.steps_per_eval = 0;
    toy y = plain;
    y.skips_all = true;
    y.stop_after = 11;
    assert_int_equal(train_with(y, &o, id), ERR_STOPPED);
    checkpoint c = newest(home);
    assert_int_equal(c.step, 12);
    checkpoint_clear(&c);
    toy_remove(home);
    free(home);
}

/* File sizes are limited as if the disk were full while steps 15..44 are taken: the save of
 * the evaluations at 20 and 40 fails, that of 60 works. */
static struct rlimit unlimited;
static int64_t full_from, full_until;
static status step_on_a_full_disk(void *self, int64_t step, int64_t total, rng *r,
                                  step_result *out) {
    struct rlimit tight = {64, unlimited.rlim_max};
    if (step == full_from) setrlimit(RLIMIT_FSIZE, &tight);
    if (step == full_until) setrlimit(RLIMIT_FSIZE, &unlimited);
    return toy_step(self, step, total, r, out);
}

static status train_on_a_full_disk(const train_options *o, int64_t from, int64_t until,
                                   char id[41]) {
    toy y = toy_new();
    trainee t = toy_trainee(&y);
    t.step = step_on_a_full_disk;
    full_from = from;
    full_until = until;
    getrlimit(RLIMIT_FSIZE, &unlimited);
    signal(SIGXFSZ, SIG_IGN);
    status st = train_run(&t, o, id);
    setrlimit(RLIMIT_FSIZE, &unlimited);
    toy_trainee_free(&t);
    return st;
}

static void training_outlives_a_disk_that_was_full(void **state) {
    (void)state;
    char *home = toy_home(), id[41];
    train_options o = toy_options(home, 60);
    assert_int_equal(train_on_a_full_disk(&o, 15, 45, id), OK);
    assert_string_equal(id, whole);
    toy_remove(home);
    free(home);
}

static void a_last_save_that_fails_is_the_runs_failure(void **state) {
    (void)state;
    char *home = toy_home(), id[41];
    train_options o = toy_options(home, 60);
    assert_int_equal(train_on_a_full_disk(&o, 45, 1000, id), ERR_IO);
    assert_non_null(strstr(err_msg(), "not saved"));
    checkpoint c = newest(home); /* the one before is intact, and goes on to the same end */
    assert_int_equal(c.step, 40);
    checkpoint_clear(&c);
    assert_int_equal(train(&o, id), OK);
    assert_string_equal(id, whole);
    toy_remove(home);
    free(home);
}

/* ---- saying ---- */

/* What a run that succeeds says; caller frees. */
static char *said_by(toy knobs, const train_options *o, char id[41]) {
    char *path = xasprintf("%s/stderr", o->home);
    fflush(stderr);
    int kept = dup(STDERR_FILENO);
    assert_non_null(freopen(path, "w", stderr));
    log_level_set(LOG_INFO);
    status st = train_with(knobs, o, id);
    log_level_set(LOG_ERROR);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    free(path);
    assert_int_equal(st, OK);
    return read_text(o->home, "stderr");
}

static void report_lines_go_to_stderr(void **state) {
    (void)state;
    char *home = toy_home(), id[41];
    train_options o = toy_options(home, 60);
    o.visualisation = true;
    char *text = said_by(plain, &o, id);
    float loss, rate;
    const char *line = strstr(text, "\nIter 30: ");
    assert_non_null(line);
    assert_int_equal(sscanf(line, "\nIter 30: Train loss %f, It/sec %f, tokens/s", &loss, &rate),
                     2);
    assert_true(loss > 0 && rate > 0);
    assert_non_null(strstr(line, "lr 0.3, grad "));
    assert_non_null(strstr(line, "(BM25 0.250)"));
    assert_non_null(strstr(line, " left\n"));
    assert_non_null(strstr(text, "Iter 20: Dev mrr@10 "));
    assert_non_null(strstr(text, "question: what is step 20?\n"));
    assert_non_null(strstr(text, ", best so far; "));
    assert_null(strstr(text, "in use is "));
    free(text);
    toy_remove(home);
    free(home);
}

static void fine_tuning_that_gains_nothing_names_what_is_in_use(void **state) {
    (void)state;
    char *home = toy_home(), before[41], id[41];
    train_options o = toy_options(home, 60);
    assert_int_equal(train(&o, before), OK);
    o.num_iters = 40;
    o.num_iters_given = true;
    toy worse = plain;
    worse.evaluations = worse.worse_after = 1;
    char *text = said_by(worse, &o, id);
    char *said =
        xasprintf("in use is toy checkpoint %.12s of step 60, which did better on dev\n", before);
    assert_non_null(strstr(text, said));
    assert_non_null(strstr(text, "Iter 80: Dev mrr@10 "));
    assert_non_null(strstr(text, ", best of this run; "));
    assert_null(strstr(text, "best so far"));
    free(said);
    free(text);
    toy_remove(home);
    free(home);
}

static void a_long_step_says_how_far_it_is_and_can_be_left(void **state) {
    (void)state;
    char path[] = "/tmp/raglan-pulse-XXXXXX";
    run r = {.step = 6, .before = 100, .step_begun_s = now_s() - 50};
    step_result s = {.run = &r, .loss = 1, .tokens = 5000};
    fflush(stderr);
    int kept = dup(STDERR_FILENO), fd = mkstemp(path);
    dup2(fd, STDERR_FILENO);
    log_level_set(LOG_INFO);
    status first = train_pulse(&s, .25), second = train_pulse(&s, .26); /* at once again: silent */
    log_level_set(LOG_ERROR);
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(fd);
    assert_int_equal(first, OK);
    assert_int_equal(second, OK);
    char *text = read_text("", path);
    assert_int_equal(strncmp(text, "Iter 106: Train loss 4.000, It/sec 0.00", 39), 0);
    assert_non_null(strstr(text, ": 25% of the next step\n"));
    assert_null(strstr(text, "26%"));
    free(text);
    unlink(path);

    stop_request();
    assert_int_equal(train_pulse(&s, .5), ERR_STOPPED); /* 50 s more to go */
    assert_int_equal(train_pulse(&s, .9), OK);          /* 6 s */
    stop_reset();
    assert_int_equal(train_pulse(&(step_result){0}, .5), OK); /* a step outside of a loop */
}

static void the_table_has_each_step_once(void **state) {
    (void)state;
    char *home = toy_home(), id[41];
    train_options o = toy_options(home, 60);
    o.save_every_s = 1e9;
    toy y = plain;
    y.nan_from = 45; /* dies at step 55 with the checkpoint of 40 and rows up to 50 */
    y.nan_steps = 100;
    assert_int_equal(train_with(y, &o, id), ERR_STATE);
    assert_int_equal(train(&o, id), OK);
    char *text = read_text(home, "logs/toy.tsv");
    assert_int_equal(
        strncmp(text, "step\tseconds\tloss\tlr\tgrad_norm\tit_per_s\ttokens_per_s\tdev\n", 55), 0);
    int64_t wanted[] = {10, 20, 20, 30, 40, 40, 50, 60, 60}; /* twice where dev was looked at */
    size_t n = 0;
    char *rest;
    for (char *row = strtok_r(text, "\n", &rest); row; row = strtok_r(NULL, "\n", &rest)) {
        if (!strncmp(row, "step", 4)) continue;
        assert_true(n < 9);
        assert_int_equal(strtoll(row, NULL, 10), wanted[n++]);
    }
    assert_int_equal(n, 9);
    free(text);
    toy_remove(home);
    free(home);
}

static void the_page_holds_its_data_and_loads_nothing(void **state) {
    (void)state;
    char *home = toy_home(), id[41];
    train_options o = toy_options(home, 60);
    assert_int_equal(train(&o, id), OK);
    char *path = xasprintf("%s/reports/toy.html", home);
    assert_false(file_exists(path)); /* not asked for */
    o.visualisation = true;
    o.new_model = true;
    assert_int_equal(train(&o, id), OK);
    char *page = read_text(home, "reports/toy.html"), *data = strstr(page, "const data = ");
    assert_non_null(data);
    assert_non_null(strstr(data, "\"mrr@10\": 0.25"));
    assert_non_null(strstr(data, "\\u003c/script>\\u003cb>&")); /* foreign text stays text */
    assert_non_null(strstr(data, "\"finished\": true"));
    assert_null(strstr(page, "{{D")); /* every place is filled */
    const char *const loads[] = {" src=", "<link", "@import", "url(", "fetch(", "XMLHttpRequest("};
    char *own = strstr(page, "<script>"); /* the library behind may speak of such, ours may not */
    for (size_t i = 0; i < sizeof loads / sizeof loads[0]; i++) {
        char *found = strstr(page, loads[i]);
        assert_true(!found || (found > own && found < data));
    }
    free(page);
    free(path);
    toy_remove(home);
    free(home);
}

/* ---- the clock ---- */

static void minutes_bound_the_whole_command(void **state) {
    (void)state;
    char *home = toy_home(), id[41];
    train_options o = toy_options(home, 100000);
    o.minutes = 2. / 60;
    toy y = plain;
    y.step_us = 3000;
    y.eval_us = 40000;
    double begun = now_s();
    assert_int_equal(train_with(y, &o, id), OK);
    double took = now_s() - begun;
    assert_true(took < 3);
    assert_true(took > .5);
    checkpoint c = newest(home);
    json_t *settings = json_object_get(c.meta, "run");
    int64_t n = json_int(settings, "num_iters", 0), every = json_int(settings, "steps_per_eval", 0);
    assert_int_equal(n, c.step);
    assert_true(c.finished);
    assert_true(n > 20 && n < 700);
    assert_true(every > 0);
    checkpoint_clear(&c);
    toy_remove(home);
    free(home);
}

static void minutes_and_steps_bound_a_run_together(void **state) {
    (void)state;
    for (int useful = 0; useful < 2; useful++) {
        char *home = toy_home(), id[41];
        train_options o = toy_options(home, useful ? 3000 : 9);
        o.num_iters_given = !useful;
        o.useful_iters = 9; /* without --num_iters: more would be no use */
        o.minutes = 1;      /* time for many more */
        double begun = now_s();
        assert_int_equal(train(&o, id), OK);
        assert_true(now_s() - begun < 30);
        checkpoint c = newest(home);
        assert_int_equal(c.step, 9);
        checkpoint_clear(&c);
        toy_remove(home);
        free(home);
    }
}

/* The steps that were tried out left no trace. */
static void a_fitted_run_equals_the_command_that_repeats_it(void **state) {
    (void)state;
    char *home = toy_home(), *other = toy_home(), id[41], again[41];
    train_options o = toy_options(home, 100000);
    o.lr.flat = 1; /* constant: a total that the clock lowers on the way moves no step */
    o.minutes = 1. / 60;
    toy y = plain;
    y.step_us = 5000;
    assert_int_equal(train_with(y, &o, id), OK);
    checkpoint c = newest(home);
    train_options q = toy_options(other, c.step);
    q.lr.flat = 1;
    assert_int_equal(train(&q, again), OK);
    assert_string_equal(id, again);
    checkpoint_clear(&c);
    toy_remove(home);
    toy_remove(other);
    free(home);
    free(other);
}

static void the_command_that_repeats_names_steps_instead_of_minutes(void **state) {
    (void)state;
    static const char *const said[][2] = {
        {"raglan train all --save_dir 'my  train all' --minutes 10 --gpu",
         "raglan train toy --save_dir 'my  train all' --gpu --num_iters 7 --steps_per_eval 3"},
        {"raglan train toy --minutes=10 --num-iters 5 --steps-per-eval=2 --dim 64",
         "raglan train toy --dim 64 --num_iters 7 --steps_per_eval 3"},
        {"raglan --target all", "raglan --target all --num_iters 7 --steps_per_eval 3"},
    };
    trainee t = {.type = "toy"};
    for (int i = 0; i < 3; i++) {
        run r = {.t = &t, .total = 7, .o = {.command = said[i][0], .steps_per_eval = 3}};
        char *command = fit_command(&r);
        assert_string_equal(command, said[i][1]);
        free(command);
    }
}

int main(void) {
    par_threads_set(1); /* fork copies one thread only */
    log_level_set(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_bytes),
        cmocka_unit_test(a_stopped_run_resumes_to_the_same_bytes),
        cmocka_unit_test(a_run_stopped_again_and_again_resumes_to_the_same_bytes),
        cmocka_unit_test(a_dropped_step_is_taken_anew),
        cmocka_unit_test(an_interrupted_evaluation_is_made_up_for),
        cmocka_unit_test(a_stop_before_the_first_step_loses_nothing),
        cmocka_unit_test(a_killed_run_resumes_to_the_same_bytes),
        cmocka_unit_test(an_unfinished_run_keeps_its_own_total),
        cmocka_unit_test(a_finished_run_is_fine_tuned_by_so_many_more_steps),
        cmocka_unit_test(a_named_older_checkpoint_is_fine_tuned),
        cmocka_unit_test(settings_of_a_run_can_be_read_back),
        cmocka_unit_test(another_architecture_is_refused_with_both_values),
        cmocka_unit_test(patience_ends_a_run_that_gets_no_better),
        cmocka_unit_test(a_few_steps_that_are_not_finite_are_left_out),
        cmocka_unit_test(a_diverged_run_ends_and_keeps_the_last_good_checkpoint),
        cmocka_unit_test(a_run_of_skipped_steps_can_be_stopped),
        cmocka_unit_test(training_outlives_a_disk_that_was_full),
        cmocka_unit_test(a_last_save_that_fails_is_the_runs_failure),
        cmocka_unit_test(report_lines_go_to_stderr),
        cmocka_unit_test(fine_tuning_that_gains_nothing_names_what_is_in_use),
        cmocka_unit_test(a_long_step_says_how_far_it_is_and_can_be_left),
        cmocka_unit_test(the_table_has_each_step_once),
        cmocka_unit_test(the_page_holds_its_data_and_loads_nothing),
        cmocka_unit_test(minutes_bound_the_whole_command),
        cmocka_unit_test(minutes_and_steps_bound_a_run_together),
        cmocka_unit_test(a_fitted_run_equals_the_command_that_repeats_it),
        cmocka_unit_test(the_command_that_repeats_names_steps_instead_of_minutes),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
