#ifndef RAGLAN_TENSOR_NARROW_H
#define RAGLAN_TENSOR_NARROW_H
/* Reading a model without a tape, on narrow rows.
 *
 * Between two products a graph writes f32 and the next product rounds and packs it again. Here what
 * one operator hands to the next is bf16 already (or bytes with a scale a row), row by row, which
 * is what the next product reads as it lies: half the bytes, and no pass of packing. The residual
 * stream alone stays f32.
 *
 * The work is meant to be cut into chunks of rows that stay in L2, each of which one thread takes
 * through all layers; called from no task, as for one question, an operator cuts its columns or
 * heads for all threads. A row's arithmetic depends on neither. Tiles read 32 rows at a time: all
 * matrices have NARROW_SPARE rows more than they count, whatever stands there.
 *
 * Differs from the graph's bf16 products in what is not exact there either: the probabilities of
 * attention are rounded before they are divided by their sum, GELU is good to 2e-4. */
#include "tensor/tensor.h"

enum { NARROW_SPARE = 32 };

/* Elements between two rows of a bf16 matrix of `cols` columns: a cache line more than it holds. The
 * rows of a tile would otherwise, widths being what they are, share a few sets of L1. */
static inline int64_t narrow_ld(int64_t cols) {
    return cols + 32;
}

typedef struct narrow_kind narrow_kind; /* backend.h has a pointer to it, or NULL */

/* Whether the model's widths are whole steps of the tiles. */
bool narrow_fits(int64_t dim, int64_t ffn, int64_t n_heads);

/* A product's left side, [rows, cols]. */
typedef struct narrow_rows {
    int64_t rows, cols, ld;
    const void *at;     /* bf16, or bytes */
    const float *scale; /* [rows], of bytes */
} narrow_rows;

/* bf16 rows, narrow_ld(cols) apart, as the products of this kind want them: as they are, or bytes in `room`
 * (rows + NARROW_SPARE of cols bytes, each with 4 more for its scale). */
size_t narrow_room(const narrow_kind *k, int64_t rows, int64_t cols);
narrow_rows narrow_factor(const narrow_kind *k, int64_t rows, int64_t cols, const uint16_t *x,
                          void *room);

/* y = act(x w + b) in bf16, rows `ld` apart; act is ACT_NONE, ACT_RELU or ACT_GELU. */
void narrow_linear(const narrow_kind *k, narrow_rows x, const tensor *w, const tensor *b,
                   activation act, uint16_t *y, int64_t ld);
/* y [rows, w->cols] = x w in f32, of exactly so many rows and any number of columns. */
void narrow_linear_wide(const narrow_kind *k, narrow_rows x, const tensor *w, float *y);
/* y += x w in f32. */
void narrow_linear_add(const narrow_kind *k, narrow_rows x, const tensor *w, float *y);

/* Queries [., width], and keys followed by values [., 2 width], in rows ld apart. */
typedef struct narrow_view {
    const uint16_t *at;
    int64_t ld;
} narrow_view;
/* Query span i reads key span i; out [rows of q, width], narrow_ld(width) apart. */
void narrow_attention(const narrow_kind *k, narrow_view q, spans q_spans, narrow_view kv,
                      spans kv_spans, int64_t width, int64_t n_heads, uint16_t *out);
/* Rotary positions (t_rotary) on heads of width 2 half side by side in columns 0..cols-1, in place;
 * sines and cosines [positions, half]; half is a multiple of 16. */
void narrow_rotate(int64_t rows, int64_t cols, uint16_t *x, int64_t ld, int64_t half,
                   const float *sines, const float *cosines, const int32_t *position);
/* Pre-norm: out = norm(x) * gain + bias, narrow_ld(cols) apart; then x += b (NULL: nothing), the bias of what is going to
 * be added to it. */
void narrow_norm(int64_t rows, int64_t cols, float eps, float *x, const tensor *b,
                 const tensor *gain, const tensor *bias, uint16_t *out);
/* Post-norm: x = norm(x + b) * gain + bias, in place and into `out`; b NULL: norm(x). */
void narrow_norm_after(int64_t rows, int64_t cols, float eps, float *x, const tensor *b,
                       const tensor *gain, const tensor *bias, uint16_t *out);

#endif
