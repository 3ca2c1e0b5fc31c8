#ifndef RAGLAN_SEARCH_HITS_H
#define RAGLAN_SEARCH_HITS_H
/* Hits: what every search returns, and the one rule of order: higher score first, equal
 * scores by the smaller id. The order is total, so the best k of a set do not depend on who
 * looked at which part of it: threads may each keep their own and merge. */
#include "util/err.h"

typedef struct hit {
    int64_t id; /* passage id, >= 0; never a position */
    float score;
} hit;

/* Is a before b? */
static inline bool hit_before(hit a, hit b) {
    return a.score > b.score || (a.score == b.score && a.id < b.id);
}

/* The best k seen so far, kept as a heap whose top is the worst of them. The caller owns
 * `at` (room for k hits). A NaN score is never kept. */
typedef struct topk {
    hit *at; /* [k] */
    int64_t n, k;
} topk;
void topk_add(topk *t, hit h);
/* What a score must reach to have a chance: a cheap test before looking up an id. */
static inline float topk_bound(const topk *t) {
    return t->n == t->k && t->k > 0 ? t->at[0].score : -__builtin_inff();
}
/* First of scores[i..n) that is at least bound, or n; sixteen at a time. */
int64_t scores_next(const float *scores, int64_t i, int64_t n, float bound);
void topk_sort(topk *t); /* best first; the heap is used up */
void hits_sort(hit *hits, int64_t n);

/* A set of passages as ranges of ids: a document's passages are one range, so a set of documents
 * is a short list. */
typedef struct id_range {
    int64_t begin, end; /* begin <= id < end */
} id_range;
typedef struct id_ranges {
    const id_range *at; /* [n] ascending, disjoint; borrowed */
    int64_t n;
} id_ranges;
bool id_ranges_have(const id_ranges *r, int64_t id);

/* A filter on passages: false leaves the passage out. Must be thread-safe. NULL fn keeps all. */
typedef struct hit_filter {
    bool (*fn)(void *arg, int64_t id);
    void *arg;
    const id_ranges *within; /* fn is false outside: what need not be looked at. NULL: anywhere */
} hit_filter;
/* Keeps a set; borrowed as long as the filter is used. */
hit_filter hit_filter_within(const id_ranges *r);

/* Deleted passages: ids in ascending order, borrowed by whoever is handed it at open. */
typedef struct id_list {
    const int64_t *at;
    int64_t n;
} id_list;
/* Index of the first id of an ascending list that is at least `id`, n where there is none. */
int64_t id_first(const int64_t *ids, int64_t n, int64_t id);
/* Index of id in an ascending list, or -1. */
int64_t id_find(const int64_t *ids, int64_t n, int64_t id);
#endif
