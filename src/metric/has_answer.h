#ifndef RAGLAN_METRIC_HAS_ANSWER_H
#define RAGLAN_METRIC_HAS_ANSWER_H
/* Does a passage hold an answer? The judgement behind retrieval's top-k accuracy (success@k).
 * The one door to PCRE2.
 *
 *   HAS_TOKENS     DPR (Karpukhin et al. 2020): both texts in NFD, cut into tokens (runs of
 *                  letters, digits and marks; any other single character that is neither space nor
 *                  control), lower-cased; the answer's tokens must stand in the passage in a row.
 *   HAS_REGEX      DPR for CuratedTREC: the answer is a regular expression, searched in the NFD
 *                  text, ignoring case; one that does not compile never matches.
 *   HAS_SUBSTRING  KILT (Petroni et al. 2021): SQuAD normal form inside SQuAD normal form.
 *
 * A passage is prepared once and then asked for many answer sets. */
#include "util/mem.h"

typedef enum has_rule { HAS_TOKENS, HAS_REGEX, HAS_SUBSTRING } has_rule;

/* Replaces out by the form of a passage's text that has_answer() reads. */
void has_prepare(has_rule rule, const char *text, size_t n, buf *out);

/* The gold answers of one question, made ready. Answers without any token (or with an empty
 * normal form) would match everything: they are left out and counted in *n_dropped (may be NULL),
 * as are expressions that do not compile. */
typedef struct answer_set answer_set;
answer_set *answer_set_new(has_rule rule, const char *const *answers, int64_t n,
                           int64_t *n_dropped);
void answer_set_free(answer_set *set); /* NULL is a no-op */

/* Whether any of the answers is in a passage prepared under the same rule. */
bool has_answer(const answer_set *set, const buf *passage);

#endif
