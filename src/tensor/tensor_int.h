#ifndef RAGLAN_TENSOR_TENSOR_INT_H
#define RAGLAN_TENSOR_TENSOR_INT_H
/* What the operators share: the graph's inside, records, gradients on demand, and the few
 * vector loops that run in parallel pieces.
 *
 * An operator makes its result (graph_result), computes it, and when graph_wants says so
 * records a struct that begins with a `record`. Its backward reads y->d and adds to the
 * gradients of its inputs, which graph_grad makes when first asked for: a buffer is taken
 * late, touched at once, and goes to the next taker when its record is done. */
#include <inttypes.h>
#include "tensor/tensor.h"
#include "util/par.h"

#define SHAPE "[%" PRId64 ", %" PRId64 "]"
#define OF(t) (t)->rows, (t)->cols

typedef struct record record;
struct record {
    record *before;
    tensor *y;
    void (*back)(graph *g, record *r);
};

/* A gradient buffer that nobody holds at the moment. */
typedef struct spare {
    struct spare *next;
    int64_t n;
    float *at;
} spare;

struct graph {
    arena *arena;
    size_t mark; /* of the arena at graph_new */
    arena *part; /* with graph_recompute: the values of one part at a time; else NULL */
    const backend *be;
    bool training;
    uint64_t seed;
    int64_t vocab_floats; /* probabilities over a vocabulary held at a time */
    uint64_t n_dropout;   /* dropout operators so far: each has its own stream */
    record *last;
    spare *spares, *no_spares;  /* buffers to take; empty list nodes */
    struct angle_table *angles; /* without training: kept from reset to reset (op_position.c) */
};

/* A new [rows, cols] with values undefined. */
tensor *graph_result(graph *g, int64_t rows, int64_t cols);
/* The same as a half. */
tensor *graph_half(graph *g, int64_t rows, int64_t cols);
/* The next dropout operator's mask; least is 0 outside training or at p = 0. */
dropout_mask graph_dropout(graph *g, float p);
/* True when t's gradient is wanted; t may be NULL. */
bool graph_wants(const graph *g, const tensor *t);
/* A zeroed record of `bytes` for result y, walked by backward. */
void *graph_record(graph *g, size_t bytes, tensor *y, void (*back)(graph *g, record *r));
#define RECORD(g, type, y, back) ((type *)graph_record((g), sizeof(type), (y), (back)))

/* During backward: t's gradient [rows, cols], zeroed when new; NULL when none is wanted. */
float *graph_grad(graph *g, tensor *t);
/* The same for who writes all of it: *fresh says that it is new and undefined, so write; else
 * add. */
float *graph_grad_fresh(graph *g, tensor *t, bool *fresh);
/* The gradient of a half, undefined, to be written; NULL when none is wanted. */
bf16 *graph_grad_half(graph *g, tensor *t);
/* t's gradient += dy [rows, cols], when wanted. */
void graph_add_grad(graph *g, tensor *t, const float *dy);
/* The same for y's own gradient, at the end of y's record: where x has none yet y's buffer becomes
 * x's, since nobody reads it any more, and the residual path of a deep network costs nothing. */
void graph_hand_grad(graph *g, tensor *y, tensor *x);
/* n floats, undefined, to be given back (or kept until graph_reset). */
float *graph_take(graph *g, int64_t n);
void graph_give(graph *g, float *at, int64_t n);

/* ---- parallel pieces (vec.c); the cut depends on sizes alone ---- */
#define PIECE 16384               /* elements a piece of work, about 10 microseconds */
int64_t rows_grain(int64_t cols); /* rows a piece */
void vec_zero(int64_t n, float *y);
void vec_copy(int64_t n, const float *x, float *y);
void vec_scale(int64_t n, float s, const float *x, float *y);                         /* y = s x */
void vec_add(const backend *be, int64_t n, const float *x, float *y);                 /* y += x */
void vec_add_scaled(const backend *be, int64_t n, float s, const float *x, float *y); /* y += s x */
/* y [cols] += sums of columns of x, or of x16 where it is set */
void vec_add_columns(graph *g, int64_t rows, int64_t cols, const float *x, const bf16 *x16,
                     float *y);
double vec_dot(int64_t n, const float *x, const float *y); /* f64, one thread */

/* ---- softmax(x e^T) over a vocabulary, for losses (op_cross_entropy.c) ---- */

/* The rows that have a target, and their probabilities a block of rows at a time. */
typedef struct vocab {
    tensor *x, *e;
    float softcap;
    int64_t n;             /* rows with a target */
    const int64_t *row;    /* [n] their places in x; NULL: all of x */
    const int32_t *target; /* [n] */
    const float *rows;     /* [n, D] x at those rows */
    float *log_p;          /* [n] of the target */
    int64_t block, made;   /* rows a block; first row of the one in p, or -1 */
    float *p;              /* [block, V] */
    float *tanh;           /* [block, V] tanh(logit / softcap); NULL without softcap */
} vocab;
/* Finds the rows and computes log_p. */
void vocab_forward(graph *g, vocab *o, tensor *x, tensor *e, const int32_t *target, float softcap);
/* Adds to the gradients of x and e: d loss / d log_p[i] = -weight[i]. */
void vocab_backward(graph *g, vocab *o, const float *weight);
/* p [n, V] = softmax(x e^T) of n rows; tanh as above; log_p of target[i] where target is not
 * NULL. */
void vocab_softmax(graph *g, const float *x, int64_t n, tensor *e, float softcap, float *p,
                   float *tanh, const int32_t *target, float *log_p);

/* Spans lie in 0..rows-1 (MUST, naming `op`); disjoint: ascending without overlap. */
void spans_check(const char *op, spans s, int64_t rows);
bool spans_disjoint(spans s);
bool spans_cover(spans s, int64_t rows); /* disjoint and every row in one */

/* A loss result holding `sum` (NaN and infinity are passed on, for the trainer to see). */
tensor *graph_loss(graph *g, double sum);

#endif
