#ifndef RAGLAN_TRAIN_RETRIEVER_TASK_H
#define RAGLAN_TRAIN_RETRIEVER_TASK_H
/* Training the retriever: what a step learns from, for the loop in trainer.h.
 *
 * Contrastive (default; DPR, Karpukhin et al. 2020; crops after Contriever, Izacard et al. 2022):
 *   a batch of (query, passage) pairs, the other passages of the batch as negatives. Queries are
 *   crops of the passages themselves, later half of them labelled questions, each of which brings
 *   lexical hard negatives. Pairs known to be positive are masked. The first `bag_share` of the
 *   steps trains the bag of embeddings alone, which is fast; then the transformer joins.
 * A step of several slices sees all of their pairs as one batch: the loss of a larger batch in the
 * memory of one slice, for one more forward pass (gradient cache).
 * Published (docs/published.md): each question of a step against batch_size sampled passages. */
#include "data/corpus.h"
#include "model/embedder.h"
#include "search/lexical.h"
#include "train/trainer.h"

typedef enum retriever_loss { LOSS_CONTRASTIVE, LOSS_PUBLISHED } retriever_loss;

typedef struct retriever_task_options {
    retriever_loss loss;
    int64_t batch_size;     /* pairs a slice; published: passages a question */
    int64_t block_batch;    /* pairs a slice once the transformer joins; 0: batch_size */
    int64_t accumulate;     /* slices a step; published: questions a step */
    int64_t hard_negatives; /* passages a labelled question */
    float label_share;      /* of a batch, once labels are used */
    float crop_share;       /* share of the steps that learn from crops alone */
    float label_epochs;     /* so often each labelled question is met, where that fills a 32nd
                               of the batches */
    float bag_share;        /* share of the steps without the transformer */
    int64_t dev_questions, dev_passages; /* at most so many while training */
    bool recompute;                      /* make layers again in backward (graph_recompute) */
    uint64_t seed;                       /* of the order of questions */
} retriever_task_options;
retriever_task_options retriever_task_defaults(void);

typedef struct retriever_task retriever_task;
/* Everything is borrowed and must outlive the task. lex: BM25 over the corpus (hard negatives,
 * the baseline on dev). train, dev may be empty: then crops alone, no dev figures. */
status retriever_task_new(retriever *m, const corpus *c, const tokenizer *t, const qa_set *train,
                          const qa_set *dev, const lexical *lex, const retriever_task_options *o,
                          retriever_task **out);
void retriever_task_free(retriever_task *t);
/* Fills type, self, p and the functions; config and hashes are the caller's. */
void retriever_task_trainee(retriever_task *t, trainee *out);
#endif
