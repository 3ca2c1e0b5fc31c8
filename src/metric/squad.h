#ifndef RAGLAN_METRIC_SQUAD_H
#define RAGLAN_METRIC_SQUAD_H
/* Scores of a SQuAD prediction file, as evaluate-v1.1.py and evaluate-v2.0.py give them.
 *
 * gold         {"data": [{"paragraphs": [{"qas": [{"id", "answers": [{"text"}]}]}]}]}, read as a
 *              stream, so that it may be of any size
 * predictions  {"id": "text"}; one for an id that is not in gold is left alone
 * All three may be gzipped. Missing predictions score 0 and stay in the denominator; for v2.0 the
 * official script cannot score such a file at all (KeyError). */
#include "util/mem.h"

/* Percentages over one group of questions. */
typedef struct squad_part {
    double exact, f1; /* in [0, 100] */
    int64_t total;
} squad_part;

typedef struct squad_scores {
    squad_part all, has_answer, no_answer; /* the last two for v2.0 */
    int64_t missing;                       /* questions without a prediction */
    bool has_best;                         /* a na-prob file was given: */
    double best_exact, best_exact_thresh, best_f1, best_f1_thresh;
} squad_scores;

/* ERR_FORMAT names file, line and question, for a question without answers too. */
status squad1_score(const char *gold, const char *predictions, squad_scores *out);

/* na_prob: {"id": probability that there is no answer}, or NULL. A prediction whose probability is
 * above threshold (official default 1.0: none) counts as "no answer". */
status squad2_score(const char *gold, const char *predictions, const char *na_prob,
                    double threshold, squad_scores *out);

/* The official printout: v1.1 one line of JSON, v2.0 indented by two; both end in a newline. */
void squad1_print(const squad_scores *s, buf *out);
void squad2_print(const squad_scores *s, buf *out);

#endif
