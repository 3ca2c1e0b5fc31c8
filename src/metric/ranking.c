/* Measures of one ranked list, see ranking.h. */
#include "metric/ranking.h"

#include <math.h>

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

int64_t rank_relevant(const ranking *r) {
    int64_t n = 0;
    for (int64_t i = 0; i < r->n_judged; i++) n += r->judged[i] >= r->level;
    return n;
}

int64_t rank_retrieved(const ranking *r, int64_t k) {
    int64_t n = 0;
    for (int64_t i = 0; i < least(k, r->n_ret); i++) n += r->rel[i] >= r->level;
    return n;
}

double rank_success(const ranking *r, int64_t k) {
    return rank_retrieved(r, k) > 0;
}

double rank_precision(const ranking *r, int64_t k) {
    return k > 0 ? (double)rank_retrieved(r, k) / (double)k : 0;
}

double rank_recall(const ranking *r, int64_t k) {
    int64_t n = rank_relevant(r);
    return n ? (double)rank_retrieved(r, k) / (double)n : 0;
}

double rank_reciprocal(const ranking *r, int64_t k) {
    for (int64_t i = 0; i < least(k, r->n_ret); i++)
        if (r->rel[i] >= r->level) return 1.0 / (double)(i + 1);
    return 0;
}

double rank_average_precision(const ranking *r, int64_t k) {
    int64_t n = rank_relevant(r), found = 0;
    double sum = 0;
    for (int64_t i = 0; i < least(k, r->n_ret); i++)
        if (r->rel[i] >= r->level) sum += (double)++found / (double)(i + 1);
    return n ? sum / (double)n : 0;
}

/* Gains of the first k, each divided by log2(rank + 1). */
static double discounted(const int *gain, int64_t n, int64_t k) {
    double sum = 0;
    for (int64_t i = 0; i < least(k, n); i++)
        if (gain[i] > 0) sum += gain[i] / log2((double)(i + 2));
    return sum;
}

double rank_ndcg(const ranking *r, int64_t k) {
    double ideal = discounted(r->judged, r->n_judged, k);
    return ideal > 0 ? discounted(r->rel, r->n_ret, k) / ideal : 0;
}
