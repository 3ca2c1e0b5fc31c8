#ifndef RAGLAN_METRIC_CALIBRATION_H
#define RAGLAN_METRIC_CALIBRATION_H
/* Does the confidence of an answer say whether it is right? Over n answers, each with a confidence
 * in [0, 1] and whether it was right. */
#include "util/err.h"

/* Expected calibration error (Guo et al. 2017, section 2): the answers are put into `bins` bins of
 * equal width by confidence; the mean distance between a bin's accuracy and its mean confidence,
 * weighted by the bin's size. In [0, 1], 0 is best and also the value of n = 0. */
double calibration_ece(const double *confidence, const bool *right, int64_t n, int bins);

/* Area under the ROC curve: the chance that a right answer has more confidence than a wrong one,
 * ties counted half. .5 is chance; NAN where all are right or all are wrong. */
double calibration_auroc(const double *confidence, const bool *right, int64_t n);

/* The greatest share of questions that can be answered, most confident first, with at least this
 * accuracy among them (.90: "coverage at 90"). Answers of equal confidence go together. */
double calibration_coverage(const double *confidence, const bool *right, int64_t n,
                            double accuracy);

#endif
