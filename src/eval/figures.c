/* Means, intervals, kinds and times: what both parts of an evaluation share. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/eval_int.h"
#include "metric/bootstrap.h"

static int kind_find(kinds *k, const char *name) {
    for (int i = 0; i < k->n; i++)
        if (strcmp(k->name[i], name) == 0) return i;
    GROW(k->name, k->n, k->cap);
    k->name[k->n] = name;
    return k->n++;
}

kinds kinds_of(const qa_set *q) {
    kinds k = {.of = xmalloc((size_t)(q->n + 1) * sizeof *k.of)};
    for (int64_t i = 0; i < q->n; i++) k.of[i] = *q->at[i].kind ? kind_find(&k, q->at[i].kind) : -1;
    return k;
}

void kinds_clear(kinds *k) {
    free(k->name);
    free(k->of);
}

double mean_of(const double *x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    return n ? sum / (double)n : 0;
}

json_t *interval_json(const double *x, int64_t n, double scale, uint64_t seed) {
    interval i = bootstrap_mean(x, n, .95, RESAMPLES, seed);
    return json_pack("[f, f]", scale * i.low, scale * i.high);
}

/* ---- times ---- */

void timings_add(timings *t, double seconds) {
    GROW(t->at, t->n, t->cap);
    t->at[t->n++] = seconds;
}

static int by_time(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The least time that this share of all runs did not exceed. */
static double quantile(const timings *t, double share) {
    int64_t i = (int64_t)ceil(share * (double)t->n) - 1;
    return t->n ? t->at[i < 0 ? 0 : i] : 0;
}

json_t *timings_json(timings *t) {
    if (t->n) qsort(t->at, (size_t)t->n, sizeof *t->at, by_time);
    json_t *j =
        json_pack("{s:f, s:f}", "p50", 1e3 * quantile(t, .50), "p95", 1e3 * quantile(t, .95));
    free(t->at);
    *t = (timings){0};
    return j;
}

/* i is chosen when i * n / of reaches a new whole number: n of the `of` first, evenly. */
bool is_sampled(int64_t i, int64_t n, int64_t of) {
    if (n >= of) return true;
    return i == 0 || i * n / of != (i - 1) * n / of;
}
