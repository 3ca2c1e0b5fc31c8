#ifndef RAGLAN_NN_READ_H
#define RAGLAN_NN_READ_H
/* Layers without a tape: attend and feed of layers.h on narrow rows (tensor/narrow.h), for a chunk
 * of rows at a time.
 *
 * A chunk of rows has a desk, where its residual stream stays while the layers go by. Desks belong
 * to one model and are kept between calls, one for each thread. Rows of several chunks have nothing
 * to do with each other, so how rows are cut changes no result. */
#include "nn/layers.h"
#include "tensor/narrow.h"

typedef struct desk {
    const struct desks *of;
    int64_t rows; /* room; there are NARROW_SPARE more */
    float *x;     /* [rows, D] the residual stream */
    bf16 *xs;     /* [rows, D] x, normed */
    bf16 *h;      /* [rows, F]; or queries, keys, values [rows, 3D], and what they mix [rows, D] */
    void *room;   /* for rows of bytes */
} desk;

typedef struct desks {
    const narrow_kind *kind;
    int64_t dim, ffn;
    int64_t half, n_positions; /* of the angles of rotary positions */
    float *sines, *cosines;    /* [n_positions, half] */
    int n;
    desk at[]; /* [n] */
} desks;

/* Desks of *kept, made anew where they do not fit; *kept owns them. */
desks *desks_of(desks **kept, const narrow_kind *k, int64_t dim, int64_t ffn);
/* Angles for positions 0..n-1 in heads of this width. */
void desks_turn(desks *d, int64_t head_width, int64_t n);
void desks_free(desks *d); /* NULL is a no-op */
/* A worker's desk, with room for these rows: what stood on a smaller one is lost. */
desk *desk_at(desks *d, int worker, int64_t rows);

/* Cuts n texts, spans one after another, into chunks of at most `most` rows (a longer text is one) as
 * even as the threads can share them. chunks [n] of texts; returns how many. */
int64_t read_cut(spans texts, int64_t most, span *chunks);

/* bf16 rows as a product's left side. */
narrow_rows desk_factor(const desk *d, int64_t rows, int64_t cols, const bf16 *x);
/* d->x [rows, D] through a layer; self-attention in each span; position NULL: no rotary positions. */
void read_attend(const attend_layer *l, desk *d, int64_t rows, spans s, const int32_t *position);
void read_feed(const feed_layer *l, desk *d, int64_t rows);
/* d->xs = norm(d->x). */
void read_norm(desk *d, int64_t rows, const tensor *gain, const tensor *bias);
/* The same, and into d->x. */
void read_norm_after(desk *d, int64_t rows, const tensor *gain, const tensor *bias);

#endif
