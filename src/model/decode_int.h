#ifndef RAGLAN_MODEL_DECODE_INT_H
#define RAGLAN_MODEL_DECODE_INT_H
/* Between the files of decoding: reading (encode.c), the batch of questions (decode.c), the choice of
 * next tokens (decode_choose.c), the best span (decode_place.c). */
#include "model/generator.h"
#include "util/rng.h"

/* What is kept of passage rows while their question is being answered. */
typedef struct read_rows {
    void **kv;        /* [n_decoder] [rows, 2D] keys and values of each block: halves (tensor.h) */
    float *copy_keys; /* [rows, D]; unused without copying */
    float *place;     /* [rows, 2] start and end scores */
} read_rows;
/* Fills rows 0..b->n_rows-1 of out; scratch from a. */
void generator_read(generator *m, const backend *be, arena *a, const reader_batch *b,
                    const read_rows *out);

/* One line of tokens in the making. */
typedef struct sequence {
    int32_t *ids; /* [slots] chosen so far */
    int64_t n;
    double log_prob;
    bool is_done, is_cut;
} sequence;

/* One question in the making. */
typedef struct asking {
    bool is_used;
    decode_options o;
    int64_t max;  /* tokens of its answer */
    decoded *out; /* the caller's */
    span rows;    /* of its passages */
    rng draw;
    bool has_begun;
    pack_cache *copy_keys; /* packed, kept for the next question too */
} asking;

struct decoding {
    generator *m;
    const token_traits *tr;
    const backend *be;
    int64_t n_places, n_beams, slots; /* questions, beams of each, slots of a sequence's cache */
    arena *a;                         /* of an admission, then of a step */
    graph *step;
    asking *at;     /* [n_places] */
    sequence *seq;  /* [n_places * n_beams], a question's best first */
    void **cache;   /* [n_decoder] [n_places * n_beams * slots, 2D], halves */
    int64_t n_rows; /* there is room for */
    read_rows rows;
    int32_t *source_id; /* [n_rows] */
};

/* Keys and values of a row, and where those of row `row` stand. */
static inline size_t kv_bytes(const decoding *d) {
    return (size_t)(2 * d->m->c.dim) * half_bytes(d->be);
}
static inline void *kv_at(const decoding *d, void *kv, int64_t row) {
    return (char *)kv + (size_t)row * kv_bytes(d);
}
/* On the logit of "not in these documents". */
static inline float empty_bias(const decoding *d, const asking *q) {
    return d->m->empty_bias + q->o.empty_bias;
}
/* Chooses the next tokens of the live sequences row[0..n), p [n, V]. */
void choose_next(decoding *d, float *p, const int64_t *row, int64_t n);
/* What the place scores say: each passage's share, and the best span of at most `most` tokens. */
void place_answer(const reader_batch *b, int64_t question, const float *score, int64_t most,
                  decoded *out);
#endif
