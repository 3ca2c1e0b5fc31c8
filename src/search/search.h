#ifndef RAGLAN_SEARCH_SEARCH_H
#define RAGLAN_SEARCH_SEARCH_H
/* Search: everything a manifest names, opened; one question in, the best passages out.
 *
 * Hybrid: the best `per_side` of BM25 and of the dense side, and where smoothing is on their
 * neighbours, are all scored exactly on both sides, then fused; the best of them are looked at for
 * how near to each other they hold the question's tokens. */
#include "search/flat.h"
#include "search/manifest.h"
#include "search/nearness.h"

typedef struct search search;
/* want: the model and tokenizer that questions will be embedded with; vectors of another key
 * are ERR_STATE ("... run `raglan index`"). NULL: lexical only, vectors stay closed. An absent or
 * empty manifest opens as an empty index. */
status search_open(const char *folder, const vectors_key *want, search **out);
void search_close(search *s);
const manifest *search_manifest(const search *s);
const lexical *search_lexical(const search *s);
const flat *search_flat(const search *s); /* NULL when vectors stay closed */

/* What an index does not hold of its passages. */
typedef struct passage_source {
    /* The passages before and after `id` in its document, nearest first is not needed: writes at
     * most 2 * reach ids, returns how many; 0 for an unknown id. NULL: no smoothing. */
    int (*neighbours)(void *arg, int64_t id, int reach, int64_t *ids);
    /* The tokens of a passage, *n 0 for an unknown id; they stay until the next call. NULL: no
     * nearness. */
    status (*tokens)(void *arg, int64_t id, const int32_t **ids, int64_t *n);
    void *arg;
} passage_source;

typedef enum search_mode { SEARCH_BM25, SEARCH_DENSE, SEARCH_HYBRID } search_mode;
typedef struct search_options {
    search_mode mode;
    int64_t k;         /* >= 1 */
    int64_t per_side;  /* candidates of each side for hybrid; 0: the greater of 100 and k */
    bm25 lexical;      /* search_defaults: bm25_default */
    fusion fuse;       /* search_defaults: the manifest's */
    hit_filter filter; /* the same on both sides */
    passage_source passages;
    const near_question *near; /* the question's tokens as passages.tokens has them; NULL: no
                                  nearness */
} search_options;
search_options search_defaults(const search *s, search_mode mode, int64_t k);

/* question [n] bytes; vector [dim] its embedding (may be NULL for SEARCH_BM25). hits [k]; best
 * first, *n_hits <= k. ERR_STATE: the mode needs vectors and there are none. Thread-safe where
 * o->passages is. */
status search_run(const search *s, const char *question, size_t n, const float *vector,
                  const search_options *o, hit *hits, int64_t *n_hits);

/* The hybrid candidates with both scores, fused, for tuning. The pool owns its
 * arrays. `relevant` is NULL: the caller may set it (and owns it). */
status search_pool(const search *s, const char *question, size_t n, const float *vector,
                   const search_options *o, fusion_pool *out);
void search_pool_clear(fusion_pool *pool);
#endif
