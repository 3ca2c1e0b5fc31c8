/* Training an open collection: a run that is interrupted again and again, on another number of
 * threads and with --checkpoint every other time, ends in the same bytes as one that is left alone.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "data/sample.h"
#include "rag/train.h"
#include "succeeds.h"
#include "temp.h"
#include "util/log.h"
#include "util/stop.h"

static char *sample_dir;

static int write_sample(void **state) {
    (void)state;
    log_level_set(LOG_ERROR);
    sample_dir = xstrdup(temp_path("sample"));
    sample_report report;
    return sample_write(sample_dir, &(sample_options){.articles = 24, .seed = 1}, &report) == OK
               ? 0
               : -1;
}

static int drop_sample(void **state) {
    (void)state;
    free(sample_dir);
    return 0;
}

static rag *open_home(const char *home, int threads) {
    rag *r;
    SUCCEEDS(rag_open(home, &(rag_options){.write = true, .threads = threads}, &r));
    return r;
}

/* A new home that holds the sample. */
static char *make_home(void) {
    static int n;
    char *name = xasprintf("home%d", n++), *home = xstrdup(temp_path(name));
    free(name);
    rag *r = open_home(home, 0);
    rag_ingest_report report = {0};
    SUCCEEDS(rag_ingest(r, (const char *[]){sample_dir}, 1, NULL, NULL, &report));
    assert_true(report.documents.added == 24 && report.questions.added > 20);
    rag_ingest_report_clear(&report);
    rag_close(r);
    return home;
}

enum { N_STEPS = 20 };

static train_request small_request(void) {
    train_request q = train_request_none;
    q.vocab_size = 600;
    q.dim = 16;
    q.num_blocks = 1;
    q.num_heads = 2;
    q.batch_size = 8;
    q.num_iters = N_STEPS;
    q.steps_per_eval = 5;
    q.steps_per_report = 1;
    q.top_k = 3;
    q.dropout = .1;
    q.command = "raglan train";
    return q;
}

typedef status (*train_fn)(rag *r, const train_request *q);

/* ---- being interrupted ---- */

/* Asks for a stop when the training log has grown by so many lines. */
typedef struct interrupter {
    pthread_t thread;
    const char *log;
    int lines;
    atomic_bool is_over;
} interrupter;

static int count_lines(const char *path) {
    FILE *f = fopen(path, "r");
    int n = 0;
    for (int c; f && (c = fgetc(f)) != EOF;) n += c == '\n';
    if (f) fclose(f);
    return n;
}

static void *interrupt(void *arg) {
    interrupter *i = arg;
    int before = count_lines(i->log);
    while (!i->is_over && count_lines(i->log) < before + i->lines) usleep(500);
    if (!i->is_over) stop_request();
    return NULL;
}

/* Is there a checkpoint of some steps, but not of all? */
static bool is_midway(const char *home, const char *type) {
    checkpoint c = {0};
    SUCCEEDS(checkpoint_find(home, type, NULL, CHECKPOINT_NEWEST, &c));
    bool midway = c.step > 0 && !c.finished;
    checkpoint_clear(&c);
    return midway;
}

/* Trains, each time for some steps more before Ctrl+C, until it is done; how often that came in the
 * middle. */
static int train_in_pieces(const char *home, const char *type, train_fn train, int threads,
                           const train_request *first) {
    char *log = xasprintf("%s/logs/%s.tsv", home, type);
    int n_midway = 0;
    for (int n = 0;; n++) {
        interrupter i = {.log = log, .lines = n + 2}; /* the first time one is the heading */
        rag *r = open_home(home, threads);
        train_request q = *first;
        if (n > 0) { /* what the first said comes from the checkpoint */
            q = small_request();
            q.batch_size = -1;
        }
        q.recompute = n % 2; /* --checkpoint changes no byte */
        assert_int_equal(pthread_create(&i.thread, NULL, interrupt, &i), 0);
        status st = train(r, &q);
        i.is_over = true;
        pthread_join(i.thread, NULL);
        stop_reset();
        rag_close(r);
        if (st == OK) break;
        if (st != ERR_STOPPED) fail_msg("%s", err_msg());
        n_midway += is_midway(home, type);
    }
    free(log);
    return n_midway;
}

static void train_at_once(const char *home, train_fn train, int threads, const train_request *q) {
    rag *r = open_home(home, threads);
    SUCCEEDS(train(r, q));
    rag_close(r);
}

static void assert_same_model(const char *home_a, const char *home_b, const char *type) {
    checkpoint a = {0}, b = {0};
    SUCCEEDS(checkpoint_find(home_a, type, NULL, CHECKPOINT_NEWEST, &a));
    SUCCEEDS(checkpoint_find(home_b, type, NULL, CHECKPOINT_NEWEST, &b));
    assert_true(a.finished && b.finished);
    assert_int_equal(a.step, N_STEPS);
    assert_int_equal(b.step, N_STEPS);
    assert_string_equal(a.identifier, b.identifier); /* the sha1 of the parameters' file */
    checkpoint_clear(&a);
    checkpoint_clear(&b);
}

static void compare_runs(const train_request *q) {
    char *whole = make_home(), *pieces = make_home();
    train_at_once(whole, rag_train_retriever, 1, q);
    assert_in_range(train_in_pieces(pieces, "retriever", rag_train_retriever, 3, q), 1, 400);
    assert_same_model(whole, pieces, "retriever");

    train_at_once(whole, rag_train_generator, 5, q);
    assert_in_range(train_in_pieces(pieces, "generator", rag_train_generator, 2, q), 1, 400);
    assert_same_model(whole, pieces, "generator");
    free(whole);
    free(pieces);
}

static void interrupted_runs_end_in_the_same_bytes(void **state) {
    (void)state;
    train_request q = small_request();
    compare_runs(&q);
}

static void interrupted_runs_of_large_steps_end_in_the_same_bytes(void **state) {
    (void)state;
    train_request q = small_request();
    q.batch_size = 3;
    q.accumulate = 3;
    compare_runs(&q);
}

/* The published form's settings hold on when the subcommand goes on with its run. */
static void published_runs_go_on_as_they_began(void **state) {
    (void)state;
    train_request q = small_request();
    q.published = true;
    compare_runs(&q);
}

/* Stopped in the generator's training, `all` leaves the retriever as it is. */
static void an_interrupted_train_all_goes_on_where_it_was(void **state) {
    (void)state;
    char *whole = make_home(), *pieces = make_home();
    train_request q = small_request();
    train_at_once(whole, rag_train_all, 2, &q);
    assert_in_range(train_in_pieces(pieces, "generator", rag_train_all, 2, &q), 1, 400);
    assert_same_model(whole, pieces, "retriever");
    assert_same_model(whole, pieces, "generator");
    free(whole);
    free(pieces);
}

/* ---- the published loss ---- */

static void the_published_loss_trains_through_the_same_door(void **state) {
    (void)state;
    char *home = make_home();
    rag *r = open_home(home, 0);
    train_request q = small_request();
    q.loss = LOSS_PUBLISHED;
    SUCCEEDS(rag_train_retriever(r, &q));
    checkpoint c = {0};
    SUCCEEDS(checkpoint_find(home, "retriever", NULL, CHECKPOINT_NEWEST, &c));
    const json_t *config = json_object_get(c.meta, "config");
    assert_false(json_flag(config, "bag", true));
    assert_false(json_flag(config, "unit", true));
    assert_false(json_flag(config, "title", true));
    assert_int_equal(json_int(config, "window", 0), 64); /* a passage is one window */
    checkpoint_clear(&c);
    rag_close(r);
    free(home);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interrupted_runs_end_in_the_same_bytes),
        cmocka_unit_test(interrupted_runs_of_large_steps_end_in_the_same_bytes),
        cmocka_unit_test(published_runs_go_on_as_they_began),
        cmocka_unit_test(an_interrupted_train_all_goes_on_where_it_was),
        cmocka_unit_test(the_published_loss_trains_through_the_same_door),
    };
    return cmocka_run_group_tests(tests, write_sample, drop_sample);
}
