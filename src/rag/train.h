#ifndef RAGLAN_RAG_TRAIN_H
#define RAGLAN_RAG_TRAIN_H
/* Training on an open collection: gathers what a model learns from, merges options with the
 * checkpoint's, runs the loop, and leaves the collection ready to be used. */
#include "rag/rag_int.h"
#include "train/generator_task.h"
#include "train/retriever_task.h"

/* What was asked for; a number below 0 (NAN for the fractions) was not given: then the checkpoint's
 * value holds when training goes on from one, else the default. */
typedef struct train_request {
    /* tokenizer and passages */
    int64_t vocab_size, context_size, context_overlap;
    tokenizer_kind kind;
    bool lower_case;
    /* architecture */
    int64_t dim, num_blocks, num_heads, embedding_dim;
    int title; /* -1: not given */
    /* the run */
    int64_t batch_size, accumulate, num_iters, lr_warmup, steps_per_report, steps_per_eval,
        patience, seed;
    int64_t top_k; /* passages fetched for each question before generator training */
    int64_t hard_negatives;
    double learning_rate, weight_decay, minutes, dropout,
        deadline_s;   /* deadline_s: now_s() at which all must be done; NAN: none */
    int loss;         /* retriever_loss, -1: not given */
    int full_answers; /* -1: not given */
    bool recompute;   /* make layers again in backward instead of keeping them: memory for time */
    bool new_model, visualisation;
    const char *identifier;
    const char *command; /* how the user said it, to repeat */
    bool may_skip;       /* nothing to learn from is a warning, not a failure */
    bool published;      /* defaults of the published form instead of our own */
} train_request;
extern const train_request train_request_none; /* nothing given */

status rag_train_retriever(rag *r, const train_request *q);
status rag_train_generator(rag *r, const train_request *q);
/* Trains what is missing, unfinished or stale, in order; skips with a sentence what has no
 * data; ends with the index. minutes bounds all of it. */
status rag_train_all(rag *r, const train_request *q);
#endif
