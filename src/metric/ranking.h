#ifndef RAGLAN_METRIC_RANKING_H
#define RAGLAN_METRIC_RANKING_H
/* Measures of one ranked list against its judgements, with trec_eval's definitions.
 *
 * Two that are often confused: success@k is 1 if anything relevant is among the first k (DPR's
 * top-k accuracy); recall@k is the share of all relevant documents among the first k. */
#include "util/err.h"

#define RANK_ALL INT64_MAX /* as k: the whole list */

enum { RANK_NOT_POOLED = -1, RANK_UNJUDGED = -2 };

/* One query. All arrays are borrowed. */
typedef struct ranking {
    const int *rel; /* [n_ret] relevance at each rank, best first; negative: not judged */
    int64_t n_ret;
    const int *judged; /* [n_judged] relevance of every judged document, highest first */
    int64_t n_judged;
    int level; /* relevant means: relevance >= level (1 by default) */
} ranking;

int64_t rank_relevant(const ranking *r);             /* relevant documents there are */
int64_t rank_retrieved(const ranking *r, int64_t k); /* relevant documents in the first k */
double rank_success(const ranking *r, int64_t k);    /* 1 or 0 */
double rank_precision(const ranking *r, int64_t k);  /* of k, however short the list is */
double rank_recall(const ranking *r, int64_t k);     /* 0 where nothing is relevant */
double rank_reciprocal(const ranking *r,
                       int64_t k); /* 1 / rank of the first relevant one; MRR's part */
double rank_average_precision(const ranking *r, int64_t k); /* MAP's part */

/* nDCG (Jarvelin & Kekalainen 2002): gain = relevance, discount log2(rank + 1), the ideal list made
 * of all judged documents. Levels are gains here: `level` has no part. 0 without any gain. */
double rank_ndcg(const ranking *r, int64_t k);

#endif
