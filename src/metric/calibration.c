/* Calibration, see calibration.h. */
#include "metric/calibration.h"

#include <math.h>
#include <stdlib.h>

#include "util/mem.h"

double calibration_ece(const double *confidence, const bool *right, int64_t n, int bins) {
    MUST(bins >= 1, "bins=%d", bins);
    double *gap = xcalloc((size_t)bins, sizeof *gap),
           sum = 0; /* of a bin: right answers - confidence */
    for (int64_t i = 0; i < n; i++) {
        int bin = (int)(confidence[i] * bins);
        bin = bin < 0 ? 0 : bin >= bins ? bins - 1 : bin;
        gap[bin] += (right[i] ? 1.0 : 0.0) - confidence[i];
    }
    for (int b = 0; b < bins; b++) sum += fabs(gap[b]);
    free(gap);
    return n ? sum / (double)n : 0;
}

typedef struct answer {
    double confidence;
    bool right;
} answer;

static int by_confidence(const void *a, const void *b) {
    double x = ((const answer *)a)->confidence, y = ((const answer *)b)->confidence;
    return (x < y) - (x > y);
}

/* The answers, most confident first; caller frees. */
static answer *sorted_answers(const double *confidence, const bool *right, int64_t n) {
    answer *a = xcalloc((size_t)n + 1, sizeof *a);
    for (int64_t i = 0; i < n; i++) a[i] = (answer){confidence[i], right[i]};
    qsort(a, (size_t)n, sizeof *a, by_confidence);
    return a;
}

/* The end of the group of equal confidence that begins at i; *n_right counts its right answers. */
static int64_t group_end(const answer *a, int64_t n, int64_t i, int64_t *n_right) {
    int64_t end = i;
    for (*n_right = 0; end < n && a[end].confidence == a[i].confidence; end++)
        *n_right += a[end].right;
    return end;
}

double calibration_auroc(const double *confidence, const bool *right, int64_t n) {
    answer *a = sorted_answers(confidence, right, n);
    double pairs = 0; /* (right, wrong) with the right one above; a tie is half a pair */
    int64_t right_above = 0, n_wrong = 0, here;
    for (int64_t i = 0, end; i < n; i = end) {
        end = group_end(a, n, i, &here);
        int64_t wrong = end - i - here;
        pairs += (double)wrong * ((double)right_above + 0.5 * (double)here);
        right_above += here;
        n_wrong += wrong;
    }
    free(a);
    return right_above && n_wrong ? pairs / ((double)right_above * (double)n_wrong) : NAN;
}

double calibration_coverage(const double *confidence, const bool *right, int64_t n,
                            double accuracy) {
    answer *a = sorted_answers(confidence, right, n);
    int64_t covered = 0, n_right = 0, here;
    for (int64_t i = 0; i < n;) {
        i = group_end(a, n, i, &here);
        n_right += here;
        if ((double)n_right >= accuracy * (double)i) covered = i;
    }
    free(a);
    return n ? (double)covered / (double)n : 0;
}
