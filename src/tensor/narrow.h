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

typedef struct narrow_kind narrow_kind; /* backend.h has a pointer to it, or NULL */

/* Whether the model's widths are whole steps of the tiles. */
bool narrow_fits(int64_t dim, int64_t ffn, int64_t n_heads);

/* A product's left side, [rows, cols]. */
typedef struct narrow_rows {
    int64_t rows, cols;
    const void *at;     /* bf16, or bytes */
    const float *scale; /* [rows], of bytes */
} narrow_rows;

/* bf16 rows as the products of this kind want them: as they are, or rounded to bytes into `room`
 * (rows + NARROW_SPARE of cols bytes, each with 4 more for its scale). */
size_t narrow_room(const narrow_kind *k, int64_t rows, int64_t cols);
narrow_rows narrow_factor(const narrow_kind *k, int64_t rows, int64_t cols, const uint16_t *x,
                          void *room);

/* y = act(x w + b) [rows, w->cols]; act is ACT_NONE, ACT_RELU or ACT_GELU. */
void narrow_linear(const narrow_kind *k, narrow_rows x, const tensor *w, const tensor *b,
                   activation act, uint16_t *y);
/* y = x w, f32. */
void narrow_linear_wide(const narrow_kind *k, narrow_rows x, const tensor *w, float *y);
/* Self-attention in each span: qkv [T, 3 width] (queries, keys, values) to out [T, width]. */
void narrow_attention(const narrow_kind *k, const uint16_t *qkv, int64_t width, int64_t n_heads,
                      spans s, uint16_t *out);
/* x = norm(x + y + b) * gain + bias, in place and into `out` in bf16; y and b NULL: norm(x). */
void narrow_add_norm(int64_t rows, int64_t cols, float eps, float *x, const float *y,
                     const tensor *b, const tensor *gain, const tensor *bias, uint16_t *out);

#endif
