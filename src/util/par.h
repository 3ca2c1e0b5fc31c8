#ifndef RAGLAN_UTIL_PAR_H
#define RAGLAN_UTIL_PAR_H
/* Threads: the only way to run in parallel.
 *
 * par_for runs fn(arg, i, worker) for i in 0..n-1 on the pool and returns when all are done.
 * Who runs which i is not fixed, so results must not depend on `worker` (use it for
 * scratch only); cut work into pieces by size, never by thread count, and reduce in index
 * order: then the same seed gives the same bytes at any number of threads. Nested calls run
 * inline. A pool of POSIX threads that spin briefly, then sleep. */
#include "util/err.h"

void par_threads_set(int n); /* 0: all processors the process may use. Call while idle. */
int par_threads(void);
void par_for(int64_t n, void (*fn)(void *arg, int64_t i, int worker), void *arg);

/* The same over ranges: cuts 0..n-1 into pieces of `grain` items. */
void par_range(int64_t n, int64_t grain,
               void (*fn)(void *arg, int64_t begin, int64_t end, int worker), void *arg);
#endif
