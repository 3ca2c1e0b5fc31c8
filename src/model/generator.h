#ifndef RAGLAN_MODEL_GENERATOR_H
#define RAGLAN_MODEL_GENERATOR_H
/* The generator: reads a question together with each of its passages, fuses them in the
 * decoder (Fusion-in-Decoder, Izacard & Grave 2021) and writes the answer, by its vocabulary or
 * by copying from the passages (pointer-generator, See et al. 2017): answers are mostly spans,
 * and a small model trained on a few documents can point at names it could never spell.
 *
 *   encoder  embedding + row features + rank, n_encoder blocks with rotary positions, each
 *            (question, passage) pair for itself
 *   decoder  n_decoder blocks: causal self-attention, attention over all rows of the question,
 *            feed-forward
 *   output   gate * softmax(vocabulary, tied) + (1 - gate) * copy attention over passage rows
 *   places   start and end scores of each row: an auxiliary loss that teaches the encoder where
 *            answers lie (marginal over places, Clark & Gardner 2018); the start scores also say
 *            which passage an answer is credited to, and the best start and end in one passage
 *            are given as a short answer (may_place)
 *
 * An answer that is not in the passages is the empty string: EOS first. */
#include "model/reader_batch.h"
#include "nn/layers.h"
#include "util/json.h"

typedef struct generator_config {
    int64_t vocab, dim;
    int n_encoder, n_decoder, n_heads;
    float dropout;
    bool spans; /* answers are short stretches of the passages: the best span may be given as one */
    bool copy;  /* without it: vocabulary alone */
    reader_limits limits;
} generator_config;

typedef struct generator {
    generator_config c;
    params *p;
    tensor *embedding;  /* [V, D], tied: input of both sides and output */
    tensor *feature;    /* [READER_FEATURES, D] */
    tensor *rank;       /* [READER_MAX_RANK, D] */
    attend_layer *read; /* [n_encoder] */
    feed_layer *read_feed;
    attend_layer *write, *look; /* [n_decoder] self, over the passages */
    feed_layer *write_feed;
    tensor *norm_in, *norm_in_bias, *norm_out, *norm_out_bias;
    tensor *gate, *gate_bias; /* [D, 1], [1, 1] */
    tensor *copy_q, *copy_k;  /* [D, C] */
    tensor *place;            /* [D, 2] start, end */
    float empty_bias; /* added to the logit of "not in these documents" at the first token; no
                         parameter: whoever loads the model sets what was fitted on dev */
    /* working memory of answering, made at first use */
    struct read_graphs *reading;
    struct desks *desks;
    struct decoding *decoding;
} generator;

generator_config generator_defaults(void);
json_t *generator_config_json(const generator_config *c);
status generator_config_read(const json_t *j, generator_config *out);
generator *generator_new(const generator_config *c, uint64_t seed, bool with_grad);
void generator_free(generator *m);

tensor *generator_encode(generator *m, graph *g, const reader_batch *b); /* [n_rows, D] */
/* Its first line, for some of the rows: what goes into the first block. */
tensor *reader_embed(generator *m, graph *g, const reader_batch *b, span rows);
/* Training loss of a batch: answer tokens + place_weight * (start + end). parts (may be NULL) gets
 * the two shares. */
tensor *generator_loss(generator *m, graph *g, const reader_batch *b, float place_weight,
                       double parts[2]);

typedef struct decode_options {
    int64_t max_tokens; /* 0: limits.answer */
    int n_beams;        /* 1: greedy or sampled */
    float temperature;  /* 0: greedy */
    int sample_top_k;   /* 0: the 1,024 most probable */
    uint64_t seed;
    bool may_place;    /* the best span is the answer (decoded.span_ids), unless there is none */
    float empty_bias;  /* added to generator.empty_bias */
    const backend *be; /* the precision (backend_precise); NULL: backend_cpu */
    /* Called with each token of a greedy or sampled answer as it is chosen; may be NULL. */
    void (*on_token)(void *arg, int32_t id);
    void *arg;
} decode_options;

typedef struct decoded {
    int32_t *ids; /* [n] without EOS */
    int64_t n;
    double log_prob; /* of the whole answer, EOS included, biases too; may_place: span_log_prob,
                              or empty_log_prob where there is none */
    double empty_log_prob; /* of EOS first, without any bias */
    double *passage_share; /* [n_passages] who to credit: softmax of the start scores over the rows
                              of passages, summed over each one's; sums to 1 where there are any */
    int64_t n_passages;
    bool is_cut;          /* the length cap ended it */
    int32_t *span_ids;    /* [n_span] the best stretch of one passage by start and end scores */
    int64_t n_span;       /* 0: there are no passage rows */
    double span_log_prob; /* of its start and end, each among all rows of the question */
    bool is_done;         /* all of the above is there */
} decoded;

/* The log-odds of "not in these documents", without any bias: what a threshold is laid on. */
double decoded_empty_logit(const decoded *d);

/* A batch of questions in different states: new ones are admitted as others end, and each step writes
 * one token of every answer. What a server turns; eval does, too. One thread at a time, and one
 * batch's admissions and steps of a generator at a time. Answers do not depend on the company. */
typedef struct decoding decoding;
typedef struct read_graphs read_graphs;
enum {
    DECODE_MOST = 32
}; /* places of generator_decode: beyond, weights are no longer what costs */
/* m and tr are borrowed until decoding_free. be: NULL for backend_cpu. n_beams is common to all. */
decoding *decoding_new(generator *m, const token_traits *tr, const backend *be, int64_t n_places,
                       int n_beams);
void decoding_free(decoding *d);          /* NULL is a no-op */
void read_graphs_free(read_graphs *r);    /* NULL is a no-op */
int64_t decoding_room(const decoding *d); /* free places */
/* Reads the passages of n questions, at most decoding_room, and gives each a place. q is free to go
 * afterwards; out[i] points to the caller's result, filled with memory of arena a when is_done. The
 * options' n_beams and be are the batch's. */
void decoding_admit(decoding *d, arena *a, const reader_question *q, int64_t n,
                    const decode_options *o, decoded *const *out);
/* One token of every answer in the making. Returns how many go on; with room, admit more first. */
int64_t decoding_step(decoding *d);

/* Answers for n questions, as many at once as is good; their results in arena a. Deterministic for
 * a given seed, whatever the batch. */
decoded *generator_decode(generator *m, arena *a, const token_traits *tr, const reader_question *q,
                          int64_t n, const decode_options *o);
#endif
