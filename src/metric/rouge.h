#ifndef RAGLAN_METRIC_ROUGE_H
#define RAGLAN_METRIC_ROUGE_H
/* ROUGE (Lin 2004) as Google's rouge-score computes it: lower-cased runs of a-z and 0-9 are the
 * tokens, so that accented letters split words. Without stemming by default, while papers mostly
 * turn it on: say which. The package named `rouge` computes something else. */
#include "util/mem.h"

typedef enum rouge_type { ROUGE_1, ROUGE_2, ROUGE_L, ROUGE_LSUM, ROUGE_TYPES } rouge_type;

extern const char *const rouge_names[ROUGE_TYPES]; /* "rouge1" ... */

typedef struct rouge_score {
    double precision, recall, f; /* in [0, 1] */
} rouge_score;

/* All types for one pair of texts. ROUGE_LSUM takes each line of either text as a sentence. stem:
 * Porter's stemmer on tokens longer than 3. The longest common subsequence costs
 * tokens x tokens steps, and for ROUGE_LSUM as many int32 of memory for a pair of lines. */
void rouge_all(const char *target, const char *prediction, bool stem, rouge_score out[ROUGE_TYPES]);

/* The best by F, type by type, over n_targets >= 1 references. */
void rouge_best(const char *const *targets, int64_t n_targets, const char *prediction, bool stem,
                rouge_score out[ROUGE_TYPES]);

#endif
