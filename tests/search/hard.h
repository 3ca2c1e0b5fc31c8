#ifndef RAGLAN_TESTS_SEARCH_HARD_H
#define RAGLAN_TESTS_SEARCH_HARD_H
/* Vectors that are hard to rank by approximate scores. */
#include <math.h>

#include "util/rng.h"

enum hard_kind {
    HARD_NORMAL,
    HARD_NEAR,       /* all within some units of the last place of one another */
    HARD_DUPLICATES, /* ten different rows */
    HARD_CONSTANT,   /* each row one number */
    HARD_RANGES,     /* 1e-20 to 1e20 within a row */
    HARD_OUTLIER,    /* one component a thousand times the others */
    HARD_TINY,       /* denormal numbers and zeros */
    HARD_HUGE,       /* sums overflow to infinities, and to what is no number */
    HARD_ZERO,
    HARD_KINDS
};

static inline float hard_value(rng *r, enum hard_kind kind, int64_t row, int64_t d) {
    float x = (float)rng_normal(r);
    rng twin = rng_new((uint64_t)(row % 10 * 1000 + d));
    switch (kind) {
    case HARD_NEAR:
        return (float)(d % 7 - 3) + (float)rng_below(r, 3) * 0x1p-22f;
    case HARD_DUPLICATES:
        return (float)rng_normal(&twin);
    case HARD_CONSTANT:
        return (float)(row % 5) - 2;
    case HARD_RANGES:
        return x * powf(10, (float)(rng_below(r, 41) - 20));
    case HARD_OUTLIER:
        return d == 0 ? 1000 * x : x;
    case HARD_TINY:
        return (float)rng_below(r, 4) * 1e-45f;
    case HARD_HUGE:
        return x * 1e38f;
    case HARD_ZERO:
        return 0;
    default:
        return x;
    }
}

static inline void hard_rows(rng *r, enum hard_kind kind, int64_t n, int64_t dim, float *rows) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t d = 0; d < dim; d++) {
            float x = hard_value(r, kind, i, d);
            rows[i * dim + d] = isfinite(x) ? x : 3e38f;
        }
}
#endif
