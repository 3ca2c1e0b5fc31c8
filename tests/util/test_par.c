/* The thread pool: every index once, the same answer at any number of threads. */
#include "util/par.h"
#include "util/mem.h"
#include "util/rng.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmocka_all.h"

static const int thread_counts[] = {1, 2, 3, 5};
#define FOR_THREADS(i) for (size_t i = 0; i < sizeof thread_counts / sizeof *thread_counts; i++)

typedef struct tally {
    atomic_int *seen;
    atomic_int wrong_worker;
} tally;

static void count(void *arg, int64_t i, int worker) {
    tally *t = arg;
    atomic_fetch_add(&t->seen[i], 1);
    if (worker < 0 || worker >= par_threads()) atomic_fetch_add(&t->wrong_worker, 1);
}

static void every_index_runs_once(void **state) {
    (void)state;
    FOR_THREADS(k) {
        par_threads_set(thread_counts[k]);
        assert_int_equal(par_threads(), thread_counts[k]);
        for (int n = 0; n < 400; n += 37) {
            tally t = {.seen = xcalloc((size_t)n, sizeof *t.seen)};
            par_for(n, count, &t);
            for (int i = 0; i < n; i++) assert_int_equal(t.seen[i], 1);
            assert_int_equal(t.wrong_worker, 0);
            free(t.seen);
        }
    }
}

/* Many tiny jobs in a row: publishing, entering late, sleeping and waking. */
static void many_short_jobs_follow_each_other(void **state) {
    (void)state;
    FOR_THREADS(k) {
        par_threads_set(thread_counts[k]);
        atomic_int seen[4] = {0};
        tally t = {.seen = seen};
        for (int job = 0; job < 2000; job++) {
            par_for(4, count, &t);
            if (job % 500 == 0) usleep(2000); /* long enough for helpers to fall asleep */
        }
        for (int i = 0; i < 4; i++) assert_int_equal(seen[i], 2000);
    }
}

typedef struct sums {
    const double *x;
    double *piece;
    int64_t grain;
} sums;

static void sum_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    sums *s = arg;
    double sum = 0;
    for (int64_t i = begin; i < end; i++) sum += s->x[i];
    s->piece[begin / s->grain] = sum;
}

/* Cut by size, reduced in index order: the same bits whatever the number of threads. */
static void a_reduction_gives_the_same_bits_at_any_thread_count(void **state) {
    (void)state;
    enum { N = 10007, GRAIN = 64, PIECES = (N + GRAIN - 1) / GRAIN };
    double *x = xmalloc(N * sizeof *x), piece[PIECES], results[4];
    rng r = rng_new(1);
    for (int i = 0; i < N; i++) x[i] = rng_normal(&r) * 1e6;
    FOR_THREADS(k) {
        par_threads_set(thread_counts[k]);
        sums s = {x, piece, GRAIN};
        par_range(N, GRAIN, sum_piece, &s);
        results[k] = 0;
        for (int i = 0; i < PIECES; i++) results[k] += piece[i];
        assert_memory_equal(&results[k], &results[0], sizeof results[0]);
    }
    free(x);
}

typedef struct cover {
    atomic_int seen[103];
    atomic_int longest;
} cover;

static void mark(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    cover *c = arg;
    for (int64_t i = begin; i < end; i++) atomic_fetch_add(&c->seen[i], 1);
    int length = (int)(end - begin), longest = atomic_load(&c->longest);
    while (length > longest && !atomic_compare_exchange_weak(&c->longest, &longest, length)) {
    }
}

static void a_range_is_cut_into_pieces_of_the_grain(void **state) {
    (void)state;
    par_threads_set(3);
    cover c = {0};
    par_range(103, 10, mark, &c);
    for (int i = 0; i < 103; i++) assert_int_equal(c.seen[i], 1);
    assert_int_equal(c.longest, 10);
    par_range(0, 10, mark, &c);
    assert_int_equal(c.seen[0], 1);
}

static void inner(void *arg, int64_t i, int worker) {
    (void)i, (void)worker;
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void outer(void *arg, int64_t i, int worker) {
    (void)i, (void)worker;
    par_for(10, inner, arg);
}

static void nested_calls_run_inline(void **state) {
    (void)state;
    par_threads_set(3);
    atomic_int n = 0;
    par_for(20, outer, &n);
    assert_int_equal(n, 200);
}

static void *caller(void *arg) {
    for (int i = 0; i < 200; i++) par_for(10, inner, arg);
    return NULL;
}

static void two_threads_may_call_at_once(void **state) {
    (void)state;
    par_threads_set(3);
    atomic_int a = 0, b = 0;
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, caller, &a), 0);
    caller(&b);
    pthread_join(t, NULL);
    assert_int_equal(a, 2000);
    assert_int_equal(b, 2000);
}

static void zero_means_the_processors_of_the_process(void **state) {
    (void)state;
    par_threads_set(0);
    assert_in_range(par_threads(), 1, sysconf(_SC_NPROCESSORS_CONF));
}

/* A child has no helpers; jobs still end there. */
static void a_forked_child_works_alone(void **state) {
    (void)state;
#ifdef __SANITIZE_THREAD__
    print_message("skipped: the thread sanitizer forbids work after fork in a threaded program\n");
    skip();
#else
    par_threads_set(3);
    atomic_int n = 0;
    par_for(10, inner, &n);
    pid_t child = fork();
    if (child == 0) {
        par_for(10, inner, &n);
        _exit(atomic_load(&n) == 20 ? 0 : 1);
    }
    int how = -1;
    waitpid(child, &how, 0);
    assert_int_equal(how, 0);
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_index_runs_once),
        cmocka_unit_test(many_short_jobs_follow_each_other),
        cmocka_unit_test(a_reduction_gives_the_same_bits_at_any_thread_count),
        cmocka_unit_test(a_range_is_cut_into_pieces_of_the_grain),
        cmocka_unit_test(nested_calls_run_inline),
        cmocka_unit_test(two_threads_may_call_at_once),
        cmocka_unit_test(zero_means_the_processors_of_the_process),
        cmocka_unit_test(a_forked_child_works_alone),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    par_threads_set(1); /* ends the helpers */
    return failed;
}
