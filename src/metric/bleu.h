#ifndef RAGLAN_METRIC_BLEU_H
#define RAGLAN_METRIC_BLEU_H
/* BLEU (Papineni et al. 2002) as sacreBLEU computes it (Post 2018): corpus level, n-grams up to 4,
 * tokenizer 13a, case kept, exponential smoothing. Texts of fewer than 4 words have no 4-gram and
 * score 0 unless the effective order is used. */
#include "util/mem.h"

enum { BLEU_ORDER = 4 };

/* Sums over the segments of a corpus; begin with {0}. */
typedef struct bleu_stats {
    int64_t correct[BLEU_ORDER]; /* n-grams that a reference has too */
    int64_t total[BLEU_ORDER];   /* n-grams of the hypotheses */
    int64_t hyp_len, ref_len; /* tokens; of the reference closest in length, ties to the shorter */
} bleu_stats;

/* Adds one segment with its n_refs >= 1 references. */
void bleu_add(bleu_stats *s, const char *hypothesis, const char *const *refs, int64_t n_refs);

typedef struct bleu_score {
    double score;                  /* in [0, 100] */
    double precisions[BLEU_ORDER]; /* in [0, 100], smoothed */
    double brevity_penalty;
} bleu_score;

/* effective_order: only the orders that the hypotheses have at all (for single sentences). */
bleu_score bleu_of(const bleu_stats *s, bool effective_order);

/* "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"; the version is that of the
 * sacreBLEU these numbers are checked against. */
void bleu_signature(int64_t n_refs, bool effective_order, buf *out);

/* sacreBLEU's JSON printout, the score to one decimal. */
void bleu_print(const bleu_stats *s, int64_t n_refs, bool effective_order, buf *out);

/* Replaces out by the tokens of a segment, joined by spaces (tokenizer 13a, after mteval-v13a). */
void bleu_tokenize(const char *s, size_t n, buf *out);

#endif
