#ifndef RAGLAN_TRAIN_RETRIEVER_TASK_INT_H
#define RAGLAN_TRAIN_RETRIEVER_TASK_INT_H
/* The inside of a retriever's training: retriever_pairs.c (what a step sees), retriever_task.c (what
 * it computes). */
#include "train/dev_retrieval.h"
#include "train/epochs.h"
#include "train/retriever_task.h"

enum { HARD_POOL = 20, HARD_UNKNOWN = -2 /* not sought yet */ };

struct retriever_task {
    retriever *m;
    const corpus *c;
    const tokenizer *t;
    const qa_set *train, *dev;
    const lexical *lex;
    retriever_task_options o;
    dev_retrieval *figures;
    epochs labelled; /* train questions with a relevant passage */
    int64_t longest; /* tokens of the longest passage with its title */
    int64_t *hard;   /* [train->n, HARD_POOL] corpus indexes, -1 pads */
    uint64_t *text;  /* [c->n] hash of each passage's tokens: equal ones are duplicates */
    arena *a;        /* of the graph */
    arena *inputs;   /* of the step's pairs */
    graph *g;
};

typedef struct texts {
    int32_t *ids;
    span *at;
    int64_t n, n_ids;
} texts;

typedef struct pairs {
    texts query, passage;
    int64_t *question; /* [query.n] train question, -1: a crop */
    int64_t *source;   /* [passage.n] corpus index */
    int32_t *positive; /* [query.n] column */
    uint8_t *masked;   /* [query.n, passage.n] */
} pairs;

/* Room for n texts of n_ids tokens in all, and the end of one whose tokens were written. */
texts texts_new(arena *a, int64_t n, int64_t n_ids);
void texts_end(texts *t, int64_t n_ids);

/* n pairs, n_labels of them labelled questions from number `label` of the run on, in k->inputs. */
status make_pairs(retriever_task *k, int64_t n, int64_t n_labels, int64_t label, rng *r,
                  pairs *out);

#endif
