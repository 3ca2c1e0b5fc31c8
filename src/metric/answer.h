#ifndef RAGLAN_METRIC_ANSWER_H
#define RAGLAN_METRIC_ANSWER_H
/* Short answers against gold answers: normal forms, exact match, F1.
 *
 * Two conventions, close but not the same:
 *   SQuAD (Rajpurkar et al. 2016, evaluate-v1.1.py; also DPR, FiD, Atlas): lower-case, delete
 *     ASCII punctuation, replace the words a, an, the by a space, join the words by one space.
 *   TriviaQA (Joshi et al. 2017, triviaqa_evaluation.py): underscores and punctuation (ASCII's
 *     and U+2018 U+2019 U+00B4) become spaces, then the same.
 * Letters, word borders and spaces are Unicode's, as Python has them. */
#include "util/mem.h"

typedef enum answer_rule { ANSWER_SQUAD, ANSWER_TRIVIAQA } answer_rule;

/* Replaces out by the normal form of s. */
void answer_normalize(answer_rule rule, const char *s, size_t n, buf *out);

/* Over two normal forms: 2PR/(P+R) of their bags of words. 0 where nothing is shared, also when
 * both are empty. */
double answer_bag_f1(const char *prediction, const char *gold);

typedef struct answer_score {
    double em; /* 1 or 0 */
    double f1; /* in [0, 1] */
} answer_score;

/* The best em and the best f1 of a prediction over n_gold gold answers (0, 0 if there are none). */
answer_score answer_best(answer_rule rule, const char *prediction, const char *const *gold,
                         int64_t n_gold);

/* The same by SQuAD 2.0's rules (Rajpurkar et al. 2018): gold answers with an empty normal form
 * are dropped; if none is left the right answer is the empty one; against an empty side F1 is 1
 * if both are empty, else 0. */
answer_score answer_best_squad2(const char *prediction, const char *const *gold, int64_t n_gold);

#endif
