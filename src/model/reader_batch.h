#ifndef RAGLAN_MODEL_READER_BATCH_H
#define RAGLAN_MODEL_READER_BATCH_H
/* What a reader (the generator) is fed: every (question, passage) pair as one sequence
 *
 *     question tokens  EOS  title tokens  EOS  passage tokens
 *
 * without padding, the passages of a question side by side, so that the rows of one question
 * are one span: fusion-in-decoder (Izacard & Grave 2021) is then attention over that span.
 * Each row also carries what makes small readers learn to read at all: whether its token
 * occurs on the other side of the pair, how it is written, and how much of the title the question
 * holds (DrQA, Chen et al. 2017). */
#include "tensor/tensor.h"

/* Facts of the vocabulary, made once from the tokenizer; borrowed by whoever reads. */
typedef struct token_traits {
    int64_t vocab;
    const uint8_t *bits; /* [V] TRAIT_* */
    const int32_t *fold; /* [V] id of the lower-case form, where there is one, else itself */
    int32_t bos, eos;
} token_traits;
enum { TRAIT_DIGIT = 1, TRAIT_CAPITAL = 2, TRAIT_WORD_START = 4, TRAIT_COUNT = 8 };

enum {
    READER_PASSAGES =
        4, /* passages that a reader is trained on, and answers from, unless told otherwise */
    READER_MAX_RANK = 32,
    READER_SEGMENTS = 3,
    READER_MATCHES = 3,
    READER_COVERAGES = 3,
    READER_FEATURES = READER_COVERAGES * READER_SEGMENTS * READER_MATCHES * TRAIT_COUNT
};

typedef struct reader_passage {
    const int32_t *title, *ids;
    int64_t n_title, n_ids;
    span answer; /* tokens of `ids` that hold an answer; empty: none */
} reader_passage;

typedef struct reader_question {
    const int32_t *ids;
    int64_t n_ids;
    const reader_passage *passages;
    int64_t n_passages;
    const int32_t *answer; /* target tokens without EOS; training only */
    int64_t n_answer;      /* 0: the answer is not there, the target is EOS alone */
} reader_question;

/* Limits on what is fed; more is cut at the end and counted in n_cut. */
typedef struct reader_limits {
    int64_t question, title, passage, answer; /* tokens */
} reader_limits;

typedef struct reader_batch {
    int64_t n_questions, n_pairs, n_rows;
    int32_t *ids, *position, *feature, *rank; /* [n_rows] */
    int32_t *source_id;                       /* [n_rows] token that may be copied, or -1 */
    uint8_t *is_start, *is_end;               /* [n_rows] an answer begins / ends here */
    span *pairs;                              /* [n_pairs] rows */
    span *questions;                          /* [n_questions] rows */
    span *pairs_of;                           /* [n_questions] pairs */
    /* decoder side: BOS answer -> answer EOS; behind a cut answer nothing is known: target -1 */
    int64_t n_out;
    int32_t *in_ids, *in_position, *target; /* [n_out] */
    span *outs;                             /* [n_questions] rows of the decoder */
    int64_t n_cut;                          /* tokens left out */
} reader_batch;

/* Everything in arena a. */
reader_batch reader_batch_new(arena *a, const token_traits *tr, const reader_limits *limits,
                              const reader_question *q, int64_t n);
#endif
