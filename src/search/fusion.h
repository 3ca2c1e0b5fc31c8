#ifndef RAGLAN_SEARCH_FUSION_H
#define RAGLAN_SEARCH_FUSION_H
/* Fusion: one ranking out of BM25 and dense scores of the same candidates. Pure functions.
 *
 * Sum (default; Bruch, Gai & Ingber 2023 find a weighted sum above rank fusion, with one robust
 * parameter):               s = bm25 + lambda * dense
 * Both are log odds, but for a factor: BM25 by its derivation, a dense score by its training. So
 * they add up as they are; divided by the question's best, a long question's BM25 would count less.
 *
 * Reciprocal ranks (Cormack, Clarke & Buettcher 2009):
 *                           s = 1 / (60 + rank_bm25) + 1 / (60 + rank_dense)
 *
 * Then document context: each passage gains `share` of the score of its best neighbour, of up to
 * `reach` on each side in its document. The best one rather than all: a sum would favour passages
 * that have many neighbours.
 *
 * To the sum of the best NEAR_DEPTH then comes `near` times their nearness (nearness.h). */
#include "search/hits.h"

typedef enum fusion_mode { FUSION_SUM, FUSION_RRF } fusion_mode;
const char *fusion_mode_name(fusion_mode mode); /* "weighted_sum" or "rrf" */
typedef struct fusion {
    fusion_mode mode;
    double lambda; /* weight of the dense score; default 6 */
    double share;  /* of the best neighbour's score; default .15 */
    int reach;     /* neighbours a side; default 5 */
    double near;   /* weight of the nearness of the question's words; default .1 */
} fusion;
extern const fusion fusion_default;
enum { NEAR_DEPTH = 50 };

/* One passage with both scores. has_dense false: there is no vector (counts 0 in the sum, no rank).
 */
typedef struct candidate {
    int64_t id;
    float bm25; /* 0: no word in common; no rank */
    float dense;
    bool has_dense;
    float score; /* out */
} candidate;

/* The candidates of one question and who is whose neighbour. Neighbours of c[i]: the indices
 * neighbour[begin[i] .. begin[i+1]) into c. begin NULL: no smoothing. */
typedef struct fusion_pool {
    candidate *c; /* [n] ascending ids */
    int64_t n;
    const int32_t *begin;     /* [n + 1] */
    const int32_t *neighbour; /* [begin[n]] */
    float *near;              /* [n] nearness, 0 where it was not looked at; NULL: nowhere */
    const uint8_t *relevant;  /* [n], for tuning; NULL elsewhere */
} fusion_pool;

/* Fills c[i].score; leaves the order (and so the neighbour indices) as it is. */
void fusion_score(const fusion *f, const fusion_pool *pool);

/* Indices of the candidates whose nearness counts, by the scores so far; returns how many. */
int64_t fusion_ahead(const fusion_pool *pool, hit ahead[NEAR_DEPTH]);

/* Best k by score, ties to the smaller id; hits [k]; returns how many. */
int64_t fusion_top(const fusion_pool *pool, int64_t k, hit *hits);

/* Chooses lambda and share over a fixed grid by MRR@10 on dev questions (pools with
 * `relevant`); the first of equals wins, lambda ascending, then share. Where that gains no
 * more over *f than two standard errors, *f stays as it is. mode, reach and near are taken
 * from *f, lambda and share written to it. A question with no relevant candidate counts 0. n
 * 0 leaves *f alone. */
typedef struct fusion_tuning {
    double mrr;         /* of the chosen setting */
    double mrr_default; /* of the setting that *f held before */
    double mrr_bm25, mrr_dense;
} fusion_tuning;
void fusion_tune(const fusion_pool *pools, int64_t n, fusion *f, fusion_tuning *out);
#endif
