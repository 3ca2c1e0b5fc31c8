#ifndef RAGLAN_TRAIN_DEV_RETRIEVAL_H
#define RAGLAN_TRAIN_DEV_RETRIEVAL_H
/* Retrieval figures on dev questions while training: a fixed pool of passages (all that are
 * relevant to the questions, filled up with others), dense, BM25 and their sum side by side. */
#include "data/corpus.h"
#include "model/embedder.h"
#include "search/lexical.h"
#include "util/json.h"

typedef struct dev_retrieval dev_retrieval;
/* At most n_questions and n_passages of them, chosen by seed. Borrowed: everything. */
status dev_retrieval_new(const corpus *c, const qa_set *dev, const lexical *lex,
                         int64_t n_questions, int64_t n_passages, uint64_t seed,
                         dev_retrieval **out);
void dev_retrieval_free(dev_retrieval *d);
int64_t dev_retrieval_questions(const dev_retrieval *d);

/* figures: {"mrr@10", "success@5", "success@20" of the dense side; "hybrid_mrr@10",
 * "hybrid_success@5"}; baseline: {"mrr@10", "success@5", "success@20"} of BM25 on the same pool.
 * *score: the mean of dense and hybrid MRR@10: the latter alone moves too little to tell two models
 * apart. */
status dev_retrieval_run(dev_retrieval *d, retriever *m, double *score, json_t **figures,
                         json_t **baseline);

/* The i-th dev question (round and round) and its best n passages by the dense scores of the last
 * run: as text lines and as JSON {"question", "passages": [{"title", "text", "score",
 * "relevant"}]}. */
void dev_retrieval_show(const dev_retrieval *d, const retriever *m, const tokenizer *t, int64_t i,
                        int64_t n, buf *text, json_t **example);
#endif
