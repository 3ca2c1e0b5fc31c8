/* The thread pool.
 *
 * Idea: the caller publishes a job, works on it itself, and helpers join if they are awake in
 * time; nobody waits for a sleeper. One word says who is inside the job:
 *
 *     state = CLOSED                no job; its fields belong to the caller
 *     state = k                     job open, k helpers inside
 *     state = CLOSED | k            all indices handed out, k helpers still finishing
 *
 * A helper enters with state -> state + 1, only while open, and leaves with -1; the caller
 * sets CLOSED when no index is left and waits until nobody is inside. Indices are handed out
 * by one atomic counter. `epoch` counts jobs: helpers watch it for a few microseconds, then
 * sleep on a condition variable. With more threads than processors nobody spins. */
#include "util/par.h"
#include "util/log.h"
#include "util/mem.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLOSED      0x40000000
#define SPIN_S      30e-6
#define MAX_THREADS 1024

static struct {
    pthread_mutex_t caller; /* held by whoever runs a job or changes the pool */
    int n_threads;          /* 0: not chosen yet; helpers are n_threads - 1 */
    pthread_t *helpers;     /* NULL: not started */
    int n_helpers;
    double spin_s;

    /* the job */
    void (*fn)(void *arg, int64_t i, int worker);
    void *arg;
    int64_t n;
    atomic_int_least64_t next;
    atomic_int state;

    pthread_mutex_t lock; /* guards the two sleeps */
    pthread_cond_t wake, finished;
    atomic_uint epoch;
    atomic_int sleepers, caller_sleeps;
    atomic_bool quit;
} pool = {
    .caller = PTHREAD_MUTEX_INITIALIZER,
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .wake = PTHREAD_COND_INITIALIZER,
    .finished = PTHREAD_COND_INITIALIZER,
    .state = CLOSED,
};

/* This thread's number inside a job; -1 outside: how a nested call knows that it is one. */
static _Thread_local int worker_here = -1;

/* ---- how many processors ---- */

/* Processors that one cgroup v2 folder allows ("max 100000" or "150000 100000"), rounded up;
 * 0 when it sets no limit. */
static int folder_limit(const char *folder) {
    char path[4200], quota[32];
    double period = 0;
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", folder);
    FILE *f = fopen(path, "re");
    if (!f) return 0;
    int fields = fscanf(f, "%31s %lf", quota, &period);
    fclose(f);
    double share = fields == 2 && period > 0 ? atof(quota) / period : 0; /* atof("max") is 0 */
    return share > 0 ? (int)(share + .999) : 0;
}

/* The smallest limit of this process's cgroup and the folders above it; 0: none. */
static int cgroup_limit(void) {
    char line[4096] = "";
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f) return 0;
    while (fgets(line, sizeof line, f) && strncmp(line, "0::", 3) != 0) line[0] = 0;
    fclose(f);
    if (strncmp(line, "0::", 3) != 0) return 0;
    char *folder = line + 3;
    folder[strcspn(folder, "\n")] = 0;
    int least = folder_limit("");
    for (char *slash; (slash = strrchr(folder, '/')); *slash = 0) {
        int limit = folder_limit(folder);
        if (limit && (!least || limit < least)) least = limit;
    }
    return least;
}

static int processors(void) {
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    int limit = cgroup_limit();
    if (limit && limit < n) n = limit;
    return n < 1 ? 1 : n;
}

/* ---- helpers ---- */

static void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static void work(int worker) {
    for (int64_t i; (i = atomic_fetch_add_explicit(&pool.next, 1, memory_order_relaxed)) < pool.n;)
        pool.fn(pool.arg, i, worker);
}

static bool enter(void) {
    int state = atomic_load(&pool.state);
    while (!(state & CLOSED))
        if (atomic_compare_exchange_weak(&pool.state, &state, state + 1)) return true;
    return false;
}

static void leave(void) {
    if (atomic_fetch_sub(&pool.state, 1) - 1 != CLOSED) return;
    if (!atomic_load(&pool.caller_sleeps)) return;
    pthread_mutex_lock(&pool.lock);
    pthread_cond_signal(&pool.finished);
    pthread_mutex_unlock(&pool.lock);
}

/* Returns when a job later than `seen` was published (or the pool ends). Either this thread
 * sees the new epoch, or the publisher sees it in `sleepers`: both are sequentially consistent. */
static void await_job(unsigned seen) {
    for (double end = now_s() + pool.spin_s; pool.spin_s > 0;) {
        for (int i = 0; i < 64; i++) {
            if (atomic_load(&pool.epoch) != seen) return;
            pause_briefly();
        }
        if (now_s() >= end) break;
    }
    pthread_mutex_lock(&pool.lock);
    atomic_fetch_add(&pool.sleepers, 1);
    while (atomic_load(&pool.epoch) == seen) pthread_cond_wait(&pool.wake, &pool.lock);
    atomic_fetch_sub(&pool.sleepers, 1);
    pthread_mutex_unlock(&pool.lock);
}

static void *helper(void *arg) {
    worker_here = (int)(intptr_t)arg;
    for (unsigned seen = 0; !atomic_load(&pool.quit);) {
        await_job(seen);
        seen = atomic_load(&pool.epoch);
        if (!enter()) continue;
        work(worker_here);
        leave();
    }
    return NULL;
}

static void publish(int64_t wanted) {
    atomic_fetch_add(&pool.epoch, 1);
    int sleepers = atomic_load(&pool.sleepers);
    if (!sleepers) return;
    pthread_mutex_lock(&pool.lock);
    if (wanted >= sleepers)
        pthread_cond_broadcast(&pool.wake);
    else
        for (int64_t i = 0; i < wanted; i++) pthread_cond_signal(&pool.wake);
    pthread_mutex_unlock(&pool.lock);
}

/* Signals belong to the program's own threads: helpers are born with all of them blocked. */
static void start_helpers(void) {
    int n = pool.n_threads - 1;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pool.spin_s = pool.n_threads <= processors() ? SPIN_S : 0;
    pool.helpers = xcalloc((size_t)n, sizeof *pool.helpers);
    atomic_store(&pool.quit, false);
    atomic_store(&pool.epoch, 0);
    for (pool.n_helpers = 0; pool.n_helpers < n; pool.n_helpers++) {
        void *number = (void *)(intptr_t)(pool.n_helpers + 1);
        int e = pthread_create(&pool.helpers[pool.n_helpers], NULL, helper, number);
        if (e) {
            log_warn("thread %d of %d was refused (%s): going on with fewer", pool.n_helpers + 2,
                     pool.n_threads, strerror(e));
            break;
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void stop_helpers(void) {
    if (!pool.helpers) return;
    atomic_store(&pool.quit, true);
    publish(pool.n_helpers);
    for (int i = 0; i < pool.n_helpers; i++) pthread_join(pool.helpers[i], NULL);
    free(pool.helpers);
    pool.helpers = NULL;
    pool.n_helpers = 0;
}

/* ---- the interface ---- */

void par_threads_set(int n) {
    MUST(n >= 0, "n=%d", n);
    MUST(worker_here < 0, "called inside par_for");
    pthread_mutex_lock(&pool.caller);
    stop_helpers();
    pool.n_threads = n == 0 ? processors() : n > MAX_THREADS ? MAX_THREADS : n;
    pthread_mutex_unlock(&pool.caller);
}

int par_threads(void) {
    if (worker_here >= 0) return pool.n_threads; /* fixed while a job runs */
    pthread_mutex_lock(&pool.caller);
    if (!pool.n_threads) pool.n_threads = processors();
    int n = pool.n_threads;
    pthread_mutex_unlock(&pool.caller);
    return n;
}

static void await_helpers(void) {
    if (atomic_fetch_or(&pool.state, CLOSED) == 0) return;
    for (double end = now_s() + pool.spin_s; pool.spin_s > 0;) {
        for (int i = 0; i < 64; i++) {
            if (atomic_load(&pool.state) == CLOSED) return;
            pause_briefly();
        }
        if (now_s() >= end) break;
    }
    pthread_mutex_lock(&pool.lock);
    atomic_store(&pool.caller_sleeps, 1);
    while (atomic_load(&pool.state) != CLOSED) pthread_cond_wait(&pool.finished, &pool.lock);
    atomic_store(&pool.caller_sleeps, 0);
    pthread_mutex_unlock(&pool.lock);
}

void par_for(int64_t n, void (*fn)(void *arg, int64_t i, int worker), void *arg) {
    int outer = worker_here;
    /* Nested, or another thread of the program has the pool: run it here. */
    if (n <= 1 || outer >= 0 || pthread_mutex_trylock(&pool.caller) != 0) {
        for (int64_t i = 0; i < n; i++) fn(arg, i, outer < 0 ? 0 : outer);
        return;
    }
    if (!pool.n_threads) pool.n_threads = processors();
    if (pool.n_threads > 1 && !pool.helpers) start_helpers();
    pool.fn = fn;
    pool.arg = arg;
    pool.n = n;
    atomic_store(&pool.next, 0);
    worker_here = 0;
    if (pool.n_helpers) {
        atomic_store(&pool.state, 0);
        publish(n - 1);
    }
    work(0);
    if (pool.n_helpers) await_helpers();
    worker_here = -1;
    pthread_mutex_unlock(&pool.caller);
}

typedef struct pieces {
    int64_t n, grain;
    void (*fn)(void *arg, int64_t begin, int64_t end, int worker);
    void *arg;
} pieces;

static void run_piece(void *arg, int64_t i, int worker) {
    const pieces *p = arg;
    int64_t begin = i * p->grain, end = begin + p->grain;
    p->fn(p->arg, begin, end < p->n ? end : p->n, worker);
}

void par_range(int64_t n, int64_t grain,
               void (*fn)(void *arg, int64_t begin, int64_t end, int worker), void *arg) {
    MUST(grain >= 1, "grain=%lld", (long long)grain);
    pieces p = {n, grain, fn, arg};
    par_for(n <= 0 ? 0 : (n - 1) / grain + 1, run_piece, &p);
}
