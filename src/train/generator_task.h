#ifndef RAGLAN_TRAIN_GENERATOR_TASK_H
#define RAGLAN_TRAIN_GENERATOR_TASK_H
/* Training the generator: questions with the passages that the trained retriever finds for
 * them, fetched once before training, as published.
 *
 * A passage that answers is put among them where retrieval missed it, always at first and
 * `gold_last` of the time at the end; in `empty_share` of the cases every answering passage is
 * taken out and the right answer is the empty one, so that the model learns to say that it is
 * not there. The target is spelled as the first passage at hand spells it, hence can be copied. */
#include "model/finder.h"
#include "model/generator.h"
#include "train/trainer.h"

typedef struct generator_task_options {
    int64_t batch_size;     /* questions a slice */
    int64_t accumulate;     /* slices a step: their gradients add up */
    int64_t n_passages;     /* passages a question while training */
    int64_t early_passages; /* fewer in the first early_share of the steps: more questions in the
                               same time */
    float early_share;
    float gold_last; /* share of missed questions that still get a gold passage at the end */
    float cloze_first, cloze_last; /* share of cloze questions (train/cloze.h) at the beginning, and
                                      from half of the run on */
    float word_dropout;            /* share of a labelled question's tokens left out in a step */
    float empty_share;
    float place_weight;    /* of the start and end losses */
    bool full_answers;     /* learn the sentence instead of the short answer, as published */
    bool recompute;        /* make layers again in backward (graph_recompute) */
    int64_t dev_questions; /* at most so many while training */
    uint64_t seed;         /* of the order of questions */
} generator_task_options;
generator_task_options generator_task_defaults(void);

typedef struct generator_task generator_task;
/* Everything is borrowed. dev may be empty: no dev figures. ERR_STATE when no train question has an
 * answer that some passage holds. */
status generator_task_new(generator *m, const token_traits *tr, const corpus *c, const tokenizer *t,
                          const qa_set *train, top_passages train_top, const qa_set *dev,
                          top_passages dev_top, const lexical *lex, const generator_task_options *o,
                          generator_task **out);
void generator_task_free(generator_task *k);
/* Fills type, self, p and the functions; config and hashes are the caller's. */
void generator_task_trainee(generator_task *k, trainee *out);

#endif
