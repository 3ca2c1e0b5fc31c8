/* Percentile bootstrap, see bootstrap.h. */
#include "metric/bootstrap.h"

#include <math.h>
#include <stdlib.h>

#include "util/mem.h"
#include "util/rng.h"

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Quantile q of sorted x[n], linear between neighbours (numpy's default). */
static double quantile(const double *x, int64_t n, double q) {
    double at = q * (double)(n - 1);
    int64_t below = (int64_t)floor(at), above = below + 1 < n ? below + 1 : below;
    return x[below] + (at - (double)below) * (x[above] - x[below]);
}

interval bootstrap_mean(const double *x, int64_t n, double level, int resamples, uint64_t seed) {
    MUST(n >= 0 && resamples > 0 && level > 0 && level < 1, "n=%lld resamples=%d level=%g",
         (long long)n, resamples, level);
    if (!n) return (interval){0, 0, 0};
    rng r = rng_new(seed);
    double *means = xcalloc((size_t)resamples, sizeof *means);
    for (int b = 0; b < resamples; b++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++) sum += x[rng_below(&r, n)];
        means[b] = sum / (double)n;
    }
    qsort(means, (size_t)resamples, sizeof *means, ascending);
    double tail = (1 - level) / 2;
    interval out = {quantile(means, resamples, tail), quantile(means, resamples, 0.5),
                    quantile(means, resamples, 1 - tail)};
    free(means);
    return out;
}

interval bootstrap_difference(const double *a, const double *b, int64_t n, double level,
                              int resamples, uint64_t seed) {
    double *d = xcalloc((size_t)n + 1, sizeof *d);
    for (int64_t i = 0; i < n; i++) d[i] = a[i] - b[i];
    interval out = bootstrap_mean(d, n, level, resamples, seed);
    free(d);
    return out;
}
