#ifndef RAGLAN_SEARCH_FLAT_H
#define RAGLAN_SEARCH_FLAT_H
/* Exact dense search: the best k rows by inner product. The yardstick of every approximate
 * index, and fast enough alone up to some tens of millions of rows: one query reads a byte for each
 * dimension of each row at the speed of memory, a batch of queries reads them once for many. */
#include "search/vectors.h"

typedef struct flat flat;
/* Opens folder/names[i] (all of key `want`, else ERR_STATE; want may be NULL when there is one
 * key). Zero segments are an empty index. deleted is copied. */
status flat_open(const char *folder, const char *const *names, int n_names, const vectors_key *want,
                 id_list deleted, flat **out);
/* The same over one segment that is open already; takes it over, also on failure. */
status flat_of(vectors v, id_list deleted, flat **out);
void flat_close(flat *ix);
int64_t flat_count(const flat *ix); /* rows, deleted ones included */
int64_t flat_dim(const flat *ix);   /* 0 when there is no segment */
/* The row of a passage, borrowed until close; NULL when unknown or deleted. */
const float *flat_row(const flat *ix, int64_t id);

/* Nearest k passages to each query by inner product (exact).
 *
 *   q     [n_query, dim]  f32, borrowed
 *   hits  [n_query, k]    out: best first; where there are fewer than k, padded by
 *                         id -1 and score -INFINITY
 *
 * Ties go to the smaller id; same bits whatever the thread count and however queries are batched.
 * A filter with ranges reads only blocks in which they have rows.
 * Thread-safe. ERR_ARG if k < 1 or dim differs. */
status flat_search(const flat *ix, const float *q, int64_t n_query, int64_t dim, int64_t k,
                   hit_filter filter, hit *hits);

/* Inner products of one query with given passages, the same bits as flat_search's; NaN for an
 * unknown or deleted id. */
status flat_score_ids(const flat *ix, const float *q, int64_t dim, const int64_t *ids, int64_t n,
                      float *scores);
#endif
