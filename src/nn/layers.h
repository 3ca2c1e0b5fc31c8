#ifndef RAGLAN_NN_LAYERS_H
#define RAGLAN_NN_LAYERS_H
/* The two layers that every raglan model is made of, pre-norm (Xiong et al. 2020):
 *
 *   attend   x + Wo attention(norm(x) Wq, norm(y) Wk, norm(y) Wv)
 *   feed     x + W2 act(W1 norm(x) + b1) + b2
 *
 * With y absent an attend layer is self-attention; with y given the same weights read another
 * sequence (the recurring retriever uses one layer both ways, each side with its own norm of
 * the input). Output projections begin at zero, so a new stack is the identity. In training a
 * layer is a part that may be made again instead of kept (graph_recompute). */
#include "nn/params.h"

typedef struct layer_options {
    int64_t dim, ffn;
    int n_heads;
    activation act;
    bool has_memory; /* the attend layer is also used with y: it owns a norm for it */
    float dropout;   /* on what a layer adds */
    bool matches;    /* queries and keys begin near the identity, so that a token attends to tokens
                        like    it from the first step (mimetic initialization, Trockman & Kolter 2023) */
} layer_options;

typedef struct attend_layer {
    layer_options o;
    tensor *norm_x, *norm_x_bias; /* [1, D] */
    tensor *norm_y, *norm_y_bias; /* [1, D], NULL without memory */
    tensor *wq;                   /* [D, D] */
    tensor *wkv;                  /* [D, 2D]: keys, then values */
    tensor *wo;                   /* [D, D] */
} attend_layer;

typedef struct feed_layer {
    layer_options o;
    tensor *norm, *norm_bias; /* [1, D] */
    tensor *w1, *b1;          /* [D, F], [1, F] */
    tensor *w2, *b2;          /* [F, D], [1, D] */
} feed_layer;

/* Registers the layer's tensors as "<name>.norm_x", "<name>.wq", ... */
attend_layer attend_new(params *p, const char *name, const layer_options *o);
feed_layer feed_new(params *p, const char *name, const layer_options *o);

/* position: rotary positions of x's rows (and of y's, in y_position); NULL for none.
 *   x [Tx, D], y [Ty, D] or NULL; q_spans over x's rows, kv_spans over y's (x's when y is NULL). */
tensor *attend(graph *g, const attend_layer *l, tensor *x, tensor *y, spans q_spans, spans kv_spans,
               bool causal, const int32_t *position, const int32_t *y_position);
tensor *feed(graph *g, const feed_layer *l, tensor *x);

/* The same in pieces, for decoding with a cache: keys and values [Ty, 2D] made once and kept, a half
 * (tensor.h). */
tensor *attend_keys(graph *g, const attend_layer *l, tensor *y, const int32_t *position,
                    bool is_memory);
tensor *attend_cached(graph *g, const attend_layer *l, tensor *x, tensor *kv, spans q_spans,
                      spans kv_spans, bool causal, const int32_t *position);

#endif
