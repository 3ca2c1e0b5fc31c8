#ifndef RAGLAN_TENSOR_TENSOR_H
#define RAGLAN_TENSOR_TENSOR_H
/* Tensors and the tape: the engine's narrow front.
 *
 * A tensor is a row-major matrix of f32 with, when wanted, a gradient of the same shape.
 * A batch of sequences is ONE matrix [tokens, width] and a list of spans (row ranges): no
 * padding exists, so none can leak into attention, pooling or loss. Operators run at once
 * and record themselves; graph_backward walks the records from last to first.
 *
 * Everything that an operator makes lives in the graph's arena and is gone at graph_reset:
 * one arena a step, no allocation once the first steps have committed its pages.
 * Parameters are leaf tensors that outlive graphs (nn/params.h owns them).
 *
 * Results are the same bytes at any number of threads. A wrong shape is our mistake: MUST. */
#include "util/mem.h"
#include "tensor/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tensor {
    int64_t rows, cols;
    float *v;            /* [rows, cols] values */
    float *d;            /* leaf: [rows, cols] gradient, added to by backward; NULL: none wanted.
                            A result's d is the engine's own and exists only during backward. */
    pack_cache *packs;   /* leaf weights only: the backend's packed copies (see backend.h) */
    uint64_t version;    /* leaf: bumped by whoever changes v, so that packs are renewed */
    bool tracked;        /* set by the engine: a result that backward passes through */
    struct tensor *base; /* set by t_rows: the tensor whose rows these are */
    bf16 *h;             /* a half (see below): its values, v is NULL */
    bf16 *dh;            /* of a half: its gradient instead of d, ... */
    activation act;      /* ... times the slope of act at h: the gradient before this activation */
} tensor;

/* Rows begin..end-1. Lists of spans are borrowed by the operators until graph_reset. */
typedef struct span {
    int64_t begin, end;
} span;
typedef struct spans {
    int64_t n;
    const span *at;
} spans;

typedef struct graph graph;

/* training: record and make gradients, dropout active. Otherwise values only.
 * arena is borrowed; backend NULL means backend_cpu(). */
graph *graph_new(arena *a, const backend *be, bool training);
void graph_free(graph *g); /* empties its part of the arena too: free the arena after it */
/* Forgets all tensors and records, arena back to where graph_new found it. seed drives this
 * step's dropout. */
void graph_reset(graph *g, uint64_t seed);
/* From now on backward makes the parts of a net (t_recomputed) again instead of keeping them. */
void graph_recompute(graph *g);
arena *graph_arena(graph *g); /* for index arrays that must live as long as the step */
bool graph_is_training(const graph *g);

/* Adds scale * d loss / d leaf to the gradient of every leaf that wants one; loss [1,1];
 * scale 1, or 1/n when accumulating over n graphs. May be called again in the same graph,
 * for another result: gradients add up. */
void graph_backward(graph *g, tensor *loss, float scale);
/* The same from any result, seeded with seed [rows, cols] (gradient cache, Gao et al. 2021). */
void graph_backward_from(graph *g, tensor *y, const float *seed);

/* Activation recomputation (Chen et al. 2016, sec. 3): after graph_recompute only the result of
 * make(g, arg) is kept, and what led to it is made again when backward comes there: the same
 * gradients to the byte, one more forward pass, memory for the inside of one part at a time.
 * Otherwise, and within another part, plainly make(g, arg). `bytes` of arg are copied; what they
 * point to must live until graph_reset, and be there before the part: not made in it. */
typedef tensor *graph_part(graph *g, const void *arg);
tensor *t_recomputed(graph *g, graph_part *make, const void *arg, size_t bytes);

/* ---- sources ---- */
tensor *t_const(graph *g, int64_t rows, int64_t cols, const float *v); /* borrowed, no gradient */
/* The same of bf16 where the graph's backend makes halves (see below), else of floats. */
tensor *t_const_half(graph *g, int64_t rows, int64_t cols, const void *v);
/* [n, D]; ids borrowed; an id < 0 gives a zero row. */
tensor *t_embed(graph *g, tensor *table, const int32_t *ids, int64_t n);
/* x + positions: sinusoidal as the origin has them (MLX SinusoidalPositionalEncoding: sines in
 * the first half, cosines in the second, frequencies geometric from 1 to 1e-4, times sqrt(2/D)). */
tensor *t_add_sinusoid(graph *g, tensor *x, const int32_t *position);

/* ---- halves ----
 *
 * Where products round their factors to bf16 anyway (a backend with `round`), a result that goes
 * into nothing but products can be rounded by who makes it: half the bytes to write and read, and
 * a factor that needs only be copied into panels. t_layer_norm_half, t_linear_half
 * and t_linear_two give such a result, elsewhere floats.
 * A half may be x of t_linear and of its kin, of t_rotary, or all three of q, k and v of an
 * attention; these two then give a half too. It has one reader, which also makes its gradient in bf16, and in
 * training the weight it meets is a leaf. */

/* Bytes of an element of a half, or of the floats in its place. */
static inline size_t half_bytes(const backend *be) {
    return be->round ? sizeof(bf16) : sizeof(float);
}

/* ---- linear algebra ---- */
/* act(x w + b): x [T, D], w [D, F], b [1, F] or NULL. */
tensor *t_linear(graph *g, tensor *x, tensor *w, tensor *b, activation act);
tensor *t_linear_half(graph *g, tensor *x, tensor *w, tensor *b, activation act); /* w a leaf */
/* [x w | x beside], so that x has one reader; a half. Leaf weights. */
tensor *t_linear_two(graph *g, tensor *x, tensor *w, tensor *beside);
/* base + dropout(x w + b): what a layer adds to its residual stream. */
tensor *t_linear_onto(graph *g, tensor *base, tensor *x, tensor *w, tensor *b, float dropout);
tensor *t_linear_t(graph *g, tensor *x, tensor *w); /* x w^T: w [F, D] (tied tables) */
tensor *t_add(graph *g, tensor *x, tensor *y);      /* same shape, or y [1, D]: to every row */
tensor *t_mul(graph *g, tensor *x, tensor *y);      /* same shape, or y [T, 1]: a factor a row */
tensor *t_scale(graph *g, tensor *x, float s);
tensor *t_activate(graph *g, tensor *x, activation act);
tensor *t_dropout(graph *g, tensor *x, float p); /* x itself outside training or at p = 0 */

/* ---- shape ---- */
tensor *t_rows(graph *g, tensor *x, int64_t begin, int64_t end); /* a view: values and gradient */
tensor *t_cols(graph *g, tensor *x, int64_t begin, int64_t end); /* a copy */
tensor *t_gather(graph *g, tensor *x, const int64_t *row, int64_t n); /* [n, D]; rows may repeat */
tensor *t_concat(graph *g, tensor *const *parts, int64_t n);          /* one under another */

/* ---- norms ---- */
tensor *t_layer_norm(graph *g, tensor *x, tensor *gain, tensor *bias); /* [1, D] each; eps 1e-5 */
tensor *t_layer_norm_eps(graph *g, tensor *x, tensor *gain, tensor *bias, float eps);
tensor *t_layer_norm_half(graph *g, tensor *x, tensor *gain, tensor *bias);
tensor *t_rms_norm(graph *g, tensor *x, tensor *gain); /* gain NULL: 1; eps 1e-6 */
tensor *t_normalize(graph *g, tensor *x); /* rows to unit length; a zero row stays zero */

/* ---- attention ---- */
/* Rotary positions (Su et al. 2021, base 10000, halves rotated) on columns begin..end-1, cut in
 * heads of head_width; the other columns are copied. */
tensor *t_rotary(graph *g, tensor *x, int64_t begin, int64_t end, int64_t head_width,
                 const int32_t *position);

/* A view of columns col..col+width-1, so that one product can make q, k and v together. */
typedef struct columns {
    tensor *of;
    int64_t col;
} columns;
/* Multi-head attention over ragged spans: the one attention operator. Result [q.of->rows, width].
 * With halves, in training, key spans lie one after another.
 *
 *   q_spans[i] attends to kv_spans[i]: softmax(q k^T / sqrt(width / n_heads)) v in each head.
 *   Self-attention: equal lists. Cross: lists over different tensors. Fusion-in-decoder:
 *   a question's decoder rows against the rows of all its passages. Recurrence: state rows
 *   against a window's rows. Key spans may overlap; query spans may not.
 *   causal: query j of m sees keys 0..n-m+j of n (so a step with a cache is m = 1).
 *   A query with no key, or in no span, gives a zero row. */
tensor *t_attention(graph *g, columns q, columns k, columns v, int64_t width, int64_t n_heads,
                    spans q_spans, spans kv_spans, bool causal);

/* ---- pooling ---- */
tensor *t_pool_mean(graph *g, tensor *x, spans s); /* [s.n, D]; an empty span gives zeros */
/* Sum over each span of w[t] * x[t]; w [T, 1] or NULL for ones. */
tensor *t_pool_sum(graph *g, tensor *x, tensor *w, spans s);

/* ---- losses: [1, 1], computed in f64 sums ---- */
/* Mean cross-entropy of softmax(x e^T) over rows with target >= 0; e [V, D]. Logits are made a
 * block of rows at a time and never stored. softcap > 0: cap * tanh(logit / cap). */
tensor *t_linear_cross_entropy(graph *g, tensor *x, tensor *e, const int32_t *target,
                               float softcap);
/* In-batch contrastive loss (InfoNCE): scores s = exp(log_scale) * q c^T over q [B, D], c [C, D].
 *   positive[i]  the column of row i's own c
 *   masked       [B, C] bytes, nonzero: leave this pair out (duplicates, known positives); NULL:
 *                none. A row's own positive is never left out.
 *   symmetric    adds the loss of each row's positive column against all rows, halves both */
tensor *t_contrastive(graph *g, tensor *q, tensor *c, tensor *log_scale, const int32_t *positive,
                      const uint8_t *masked, bool symmetric);
/* The published program's loss: log-softmax of scores [1, C], clamped below at -18; target
 * 1/p on the p positives; the negative mean over all C entries. */
tensor *t_published_loss(graph *g, tensor *scores, const uint8_t *is_positive);
/* Mean over spans of -log sum over flagged rows of softmax(scores within the span), scores
 * [T, 1]: marginal likelihood of any right place (Clark & Gardner 2018). Spans without a flag
 * are left out. */
tensor *t_marginal_nll(graph *g, tensor *scores, spans s, const uint8_t *is_positive);

/* The copying reader's output (pointer-generator, See et al. 2017): for output row t of question i
 *   p(w) = sigmoid(gate[t]) softmax(x e^T)[w] + (1 - sigmoid(gate[t])) sum over source rows j
 *          with source_id[j] == w of softmax_j(cq[t] . ck[j] / sqrt(width of cq)).
 *   q_spans[i]: rows of x, gate, cq; kv_spans[i]: rows of ck and source_id. A source row
 *   with an id < 0 is never copied: it takes no part in the softmax. A span without a row to copy
 *   means no copying there (gate taken as 1). */
typedef struct copy_head {
    tensor *x, *e;   /* [T, D], [V, D] */
    tensor *gate;    /* [T, 1] logits */
    tensor *cq, *ck; /* [T, C], [S, C] */
    spans q_spans, kv_spans;
    const int32_t *source_id; /* [S] */
    pack_cache *const *packs; /* [kv_spans.n] or NULL: ck of each span does not change from call to
                                 call, and its packed copy may be kept here */
    float softcap;
} copy_head;
/* Mean over targets >= 0. */
tensor *t_copy_cross_entropy(graph *g, const copy_head *h, const int32_t *target);
tensor *t_copy_probabilities(graph *g, const copy_head *h); /* [T, V]; values only, for decoding */

tensor *t_sum(graph *g, tensor *const *losses, const float *weights,
              int64_t n); /* weighted sum of [1, 1] */

#ifdef __cplusplus
}
#endif
#endif
