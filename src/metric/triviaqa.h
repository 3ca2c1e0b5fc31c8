#ifndef RAGLAN_METRIC_TRIVIAQA_H
#define RAGLAN_METRIC_TRIVIAQA_H
/* Scores of a TriviaQA prediction file, as the official triviaqa_evaluation.py gives them.
 *
 * gold         triviaqa-rc's qa folder: {"Data": [...], "Domain", "VerifiedEval", ...}
 * predictions  {key: "text"}; the key is "QuestionId" in the Wikipedia domain and
 *              "QuestionId--Filename" for each evidence page in the Web domain
 * Where VerifiedEval is true only what is marked as part of it counts. A page without a Filename
 * has no key and is left out. */
#include "util/mem.h"

typedef struct triviaqa_scores {
    double exact_match, f1; /* in [0, 100] */
    int64_t common;         /* keys that gold and predictions share */
    int64_t denominator;    /* keys of gold; those without a prediction score 0 */
    int64_t pred_len, gold_len;
} triviaqa_scores;

/* ERR_FORMAT names file, line and question. gold is read twice, so it cannot be "-". */
status triviaqa_score(const char *gold, const char *predictions, triviaqa_scores *out);

/* One line of JSON with the official keys. */
void triviaqa_print(const triviaqa_scores *s, buf *out);

#endif
