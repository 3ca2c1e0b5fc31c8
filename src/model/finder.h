#ifndef RAGLAN_MODEL_FINDER_H
#define RAGLAN_MODEL_FINDER_H
/* From a question to its passages, and from passages to a reader's input: what asking,
 * evaluating and training the generator have in common. */
#include "data/corpus.h"
#include "model/embedder.h"
#include "model/reader_batch.h"
#include "search/search.h"

typedef struct finder {
    const search *index;
    retriever *m;            /* NULL: BM25 alone */
    passage_source passages; /* tokens in the collection's tokenizer */
    const tokenizer *reads;  /* m's own, where it was imported; NULL: the collection's */
} finder;

/* The passages of a corpus, which many threads may look at. */
passage_source finder_passages(const corpus *c);

/* How to search for a question of tokens ids [n_ids]; `near` is filled and borrowed by the options.
 * Tokens are worth what m has learned that they say about a question; an imported one has not. */
search_options finder_options(const finder *f, search_mode mode, int64_t k, const int32_t *ids,
                              int64_t n_ids, near_question *near);

/* The best mode there is: hybrid with a retriever and its vectors, else BM25. */
search_mode finder_mode(const finder *f);

/* A question's vector out [embedding_dim] by f->m; ids: its tokens in the collection's tokenizer. */
void finder_embed(const finder *f, const char *question, const int32_t *ids, int64_t n_ids,
                  float *out);
/* Those of questions first..first+n-1 of a set, out [n, embedding_dim]. */
void finder_embed_set(const finder *f, const qa_set *set, int64_t first, int64_t n, float *out);

/* Best k passages of a question whose vector is there (NULL for BM25); hits [k]. ids: its tokens. An
 * empty question finds nothing. As thread-safe as f->passages. */
status finder_search(const finder *f, const char *question, const int32_t *ids, int64_t n_ids,
                     const float *vector, search_mode mode, int64_t k, hit *hits, int64_t *n_hits);
/* The same with its embedding. */
status finder_run(const finder *f, const char *question, const int32_t *ids, int64_t n_ids,
                  search_mode mode, int64_t k, hit *hits, int64_t *n_hits);

/* Best passages of each question of a set: [n, k] corpus indexes, best first, -1 pads. */
typedef struct top_passages {
    int64_t *at;
    int64_t k;
} top_passages;
/* Caller frees out->at. Shows progress under `label`. ERR_STOPPED after Ctrl+C. */
status finder_run_all(const finder *f, const corpus *c, const qa_set *set, search_mode mode,
                      int64_t k, const char *label, top_passages *out);

/* The traits of a tokenizer's pieces; arrays in a. */
token_traits traits_of(const tokenizer *t, arena *a);

/* Passages (corpus indexes) as a reader takes them: tokens borrowed from the corpus, the array in
 * a. */
reader_passage *reader_passages_of(arena *a, const corpus *c, const int64_t *passages, int64_t n);
/* Reader input of question q of a set with n passages; tokens borrowed from both. */
reader_question reader_question_of(arena *a, const corpus *c, const qa_set *set, int64_t q,
                                   const int64_t *passages, int64_t n);
#endif
