/* BERT without a tape: the formula of bert_encode on narrow rows (tensor/narrow.h), a chunk of texts
 * at a time through all blocks.
 *
 * A chunk is a task: its rows, 2 MB of them at width 384, stay in the worker's L2 while a block's
 * weights (3.5 MB in bf16) come by from L3, so a chunk is as long as the rows allow. A lone chunk,
 * one question, has no other to run beside: there each operator is cut for the threads instead. */
#include <stdlib.h>
#include <string.h>

#include "model/bert.h"
#include "nn/read.h"
#include "util/par.h"

enum { CHUNK_ROWS = 256 }; /* most, but for a longer text */

/* ---- a chunk ---- */

typedef struct reading {
    const bert *m;
    const int32_t *ids;
    const span *texts;
    const span *chunks; /* of texts */
    desks *desks;
    float *out;
} reading;

static int64_t rows_of(const bert *m, span text) {
    int64_t n = text.end - text.begin, room = m->c.max_tokens - 2;
    return 2 + (n < room ? n : room);
}

/* word + position + type 0 of one text. */
static void embed_text(const bert *m, const int32_t *ids, int64_t rows, float *x) {
    int64_t d = m->c.dim;
    for (int64_t t = 0; t < rows; t++, x += d) {
        int32_t id = t == 0 ? m->c.first : t == rows - 1 ? m->c.last : ids[t - 1];
        const float *word = m->word->v + id * d, *position = m->position->v + t * d;
        for (int64_t j = 0; j < d; j++) x[j] = word[j] + position[j] + m->type->v[j];
    }
}

static void block(const bert_config *c, const bert_block *b, desk *d, int64_t rows, spans s) {
    const narrow_kind *k = d->of->kind;
    int64_t dim = c->dim, ffn = c->ffn, ld = narrow_ld(3 * dim);
    bf16 *qkv = d->h, *mixed = d->h + (rows + NARROW_SPARE) * ld;
    narrow_linear(k, desk_factor(d, rows, dim, d->xs), b->wqkv, b->bqkv, ACT_NONE, qkv, ld);
    narrow_attention(k, (narrow_view){qkv, ld}, s, (narrow_view){qkv + dim, ld}, s, dim, c->n_heads,
                     mixed);
    narrow_linear_add(k, desk_factor(d, rows, dim, mixed), b->wo, d->x);
    narrow_norm_after(rows, dim, c->eps, d->x, b->bo, b->norm_attend, b->bias_attend, d->xs);
    narrow_linear(k, desk_factor(d, rows, dim, d->xs), b->w1, b->b1, ACT_GELU, d->h,
                  narrow_ld(ffn));
    narrow_linear_add(k, desk_factor(d, rows, ffn, d->h), b->w2, d->x);
    narrow_norm_after(rows, dim, c->eps, d->x, b->b2, b->norm_feed, b->bias_feed, d->xs);
}

/* The mean of a text's rows, or the first. */
static void pool(const bert *m, const float *x, int64_t rows, float *out) {
    int64_t dim = m->c.dim, n = m->c.pools_first ? 1 : rows;
    memset(out, 0, (size_t)dim * sizeof *out);
    for (int64_t t = 0; t < n; t++, x += dim)
        for (int64_t j = 0; j < dim; j++) out[j] += x[j];
    for (int64_t j = 0; j < dim; j++) out[j] /= (float)n;
}

static void read_chunk(void *arg, int64_t at, int worker) {
    const reading *r = arg;
    const bert *m = r->m;
    span chunk = r->chunks[at];
    int64_t n = chunk.end - chunk.begin, rows = 0;
    span s[CHUNK_ROWS]; /* a text has two rows at least */
    for (int64_t i = 0; i < n; i++, rows = s[i - 1].end)
        s[i] = (span){rows, rows + rows_of(m, r->texts[chunk.begin + i])};
    desk *d = desk_at(r->desks, worker, rows > CHUNK_ROWS ? rows : CHUNK_ROWS);
    for (int64_t i = 0; i < n; i++)
        embed_text(m, r->ids + r->texts[chunk.begin + i].begin, s[i].end - s[i].begin,
                   d->x + s[i].begin * m->c.dim);
    narrow_norm_after(rows, m->c.dim, m->c.eps, d->x, NULL, m->norm, m->norm_bias, d->xs);
    for (int i = 0; i < m->c.n_blocks; i++) block(&m->c, &m->blocks[i], d, rows, (spans){n, s});
    for (int64_t i = 0; i < n; i++)
        pool(m, d->x + s[i].begin * m->c.dim, s[i].end - s[i].begin,
             r->out + (chunk.begin + i) * m->c.dim);
}

bool bert_read(bert *m, const backend *be, const int32_t *ids, spans texts, float *out) {
    if (!be->narrow || !narrow_fits(m->c.dim, m->c.ffn, m->c.n_heads)) return false;
    span *rows = xmalloc((size_t)(texts.n + 1) * sizeof *rows),
         *chunks = xmalloc((size_t)(texts.n + 1) * sizeof *chunks);
    for (int64_t i = 0, at = 0; i < texts.n; at = rows[i++].end)
        rows[i] = (span){at, at + rows_of(m, texts.at[i])};
    int64_t n = read_cut((spans){texts.n, rows}, CHUNK_ROWS, chunks);
    free(rows);
    desks *d = desks_of(&m->desks, be->narrow, m->c.dim, m->c.ffn);
    reading r = {m, ids, texts.at, chunks, d, out};
    par_for(n, read_chunk, &r);
    free(chunks);
    return true;
}
