#ifndef RAGLAN_METRIC_BOOTSTRAP_H
#define RAGLAN_METRIC_BOOTSTRAP_H
/* How sure a mean over questions is: percentile bootstrap (Efron 1979). Deterministic in the seed,
 * at any number of threads. */
#include "util/err.h"

typedef struct interval {
    double low, middle, high; /* quantiles of the means of the resamples; middle is their median */
} interval;

/* The interval that holds `level` (say .95) of the means of `resamples` samples drawn from x[n]
 * with replacement. n = 0 gives zeros. Cost: resamples x n draws. */
interval bootstrap_mean(const double *x, int64_t n, double level, int resamples, uint64_t seed);

/* The same of mean(a) - mean(b), for two systems on the same n questions: they differ at this
 * level when the interval leaves 0 out. */
interval bootstrap_difference(const double *a, const double *b, int64_t n, double level,
                              int resamples, uint64_t seed);

#endif
