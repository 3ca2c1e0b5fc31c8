/* Layers without a tape: the desks, and the formulas of layers.h on narrow rows. What a layer adds
 * goes straight into the residual stream, as its last product is made. */
#include "nn/read.h"

#include <math.h>
#include <stdlib.h>

#include "util/mem.h"
#include "util/par.h"

/* ---- desks ---- */

/* Elements of a row of h. */
static int64_t widest(const desks *d) {
    int64_t mixing = narrow_ld(3 * d->dim) + narrow_ld(d->dim);
    return narrow_ld(d->ffn) > mixing ? narrow_ld(d->ffn) : mixing;
}

static void clear(desk *d) {
    free(d->x);
    free(d->xs);
    free(d->h);
    free(d->room);
    *d = (desk){0};
}

void desks_free(desks *d) {
    for (int i = 0; d && i < d->n; i++) clear(&d->at[i]);
    if (d) free(d->sines);
    free(d);
}

desks *desks_of(desks **kept, const narrow_kind *k, int64_t dim, int64_t ffn) {
    int n = par_threads();
    desks *d = *kept;
    if (d && d->kind == k && d->dim == dim && d->ffn == ffn && d->n >= n) return d;
    desks_free(d);
    *kept = d = xcalloc(1, sizeof *d + (size_t)n * sizeof *d->at);
    d->kind = k;
    d->dim = dim;
    d->ffn = ffn;
    d->n = n;
    return d;
}

void desks_turn(desks *d, int64_t head_width, int64_t n) {
    int64_t half = head_width / 2;
    if (half == d->half && n <= d->n_positions) return;
    free(d->sines);
    d->half = half;
    d->n_positions = n;
    d->sines = xmalloc((size_t)(2 * n * half) * sizeof *d->sines + 1);
    d->cosines = d->sines + n * half;
    for (int64_t t = 0; t < n; t++)
        for (int64_t i = 0; i < half; i++) {
            double turn = (double)t * pow(1e4, -(double)i / (double)half);
            d->sines[t * half + i] = (float)sin(turn);
            d->cosines[t * half + i] = (float)cos(turn);
        }
}

desk *desk_at(desks *all, int worker, int64_t rows) {
    desk *d = &all->at[worker];
    if (d->of && rows <= d->rows) return d;
    clear(d);
    size_t n = (size_t)(rows + NARROW_SPARE);
    d->of = all;
    d->rows = rows;
    d->x = xcalloc(n * (size_t)all->dim, sizeof *d->x);
    d->xs = xcalloc(n * (size_t)narrow_ld(all->dim), sizeof *d->xs);
    d->h = xcalloc(n * (size_t)widest(all), sizeof *d->h);
    d->room = xcalloc(1, narrow_room(all->kind, rows, widest(all)) + 1);
    return d;
}

int64_t read_cut(spans texts, int64_t most, span *chunks) {
    if (texts.n == 0) return 0;
    int64_t rows = texts.at[texts.n - 1].end - texts.at[0].begin, threads = par_threads(), n = 0;
    int64_t wanted = ((rows + most - 1) / most + threads - 1) / threads * threads;
    most = rows > 0 ? (rows + wanted - 1) / wanted : 0;
    for (int64_t i = 0; i < texts.n; i++) {
        if (n == 0 || texts.at[i].end - texts.at[chunks[n - 1].begin].begin > most)
            chunks[n++] = (span){i, i};
        chunks[n - 1].end = i + 1;
    }
    return n;
}

narrow_rows desk_factor(const desk *d, int64_t rows, int64_t cols, const bf16 *x) {
    return narrow_factor(d->of->kind, rows, cols, x, d->room);
}

/* ---- layers ---- */

static const float eps = 1e-5f; /* t_layer_norm's */

void read_norm(desk *d, int64_t rows, const tensor *gain, const tensor *bias) {
    narrow_norm(rows, d->of->dim, eps, d->x, NULL, gain, bias, d->xs);
}

void read_norm_after(desk *d, int64_t rows, const tensor *gain, const tensor *bias) {
    narrow_norm_after(rows, d->of->dim, eps, d->x, NULL, gain, bias, d->xs);
}

void read_attend(const attend_layer *l, desk *d, int64_t rows, spans s, const int32_t *position) {
    const narrow_kind *k = d->of->kind;
    int64_t dim = l->o.dim, ld = narrow_ld(3 * dim);
    bf16 *q = d->h, *kv = q + dim, *mixed = q + (rows + NARROW_SPARE) * ld;
    read_norm(d, rows, l->norm_x, l->norm_x_bias);
    narrow_rows x = desk_factor(d, rows, dim, d->xs);
    narrow_linear(k, x, l->wq, NULL, ACT_NONE, q, ld);
    narrow_linear(k, x, l->wkv, NULL, ACT_NONE, kv, ld);
    if (position) /* queries and keys stand side by side */
        narrow_rotate(rows, 2 * dim, q, ld, d->of->half, d->of->sines, d->of->cosines, position);
    narrow_attention(k, (narrow_view){q, ld}, s, (narrow_view){kv, ld}, s, dim, l->o.n_heads,
                     mixed);
    narrow_linear_add(k, desk_factor(d, rows, dim, mixed), l->wo, d->x);
}

void read_feed(const feed_layer *l, desk *d, int64_t rows) {
    const narrow_kind *k = d->of->kind;
    int64_t dim = l->o.dim, ffn = l->o.ffn;
    narrow_norm(rows, dim, eps, d->x, l->b2, l->norm, l->norm_bias, d->xs);
    narrow_linear(k, desk_factor(d, rows, dim, d->xs), l->w1, l->b1, l->o.act, d->h,
                  narrow_ld(ffn));
    narrow_linear_add(k, desk_factor(d, rows, ffn, d->h), l->w2, d->x);
}
