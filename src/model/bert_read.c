/* BERT without a tape: the formula of bert_encode on narrow rows (tensor/narrow.h), a chunk of texts
 * at a time through all blocks.
 *
 * A chunk is a task: its rows, 2 MB of them at width 384, stay in the worker's L2 while a block's
 * weights (3.5 MB in bf16) come by from L3, so a chunk is as long as the rows allow. A lone chunk,
 * one question, has no other to run beside: there each operator is cut for the threads instead. */
#include <stdlib.h>
#include <string.h>

#include "model/bert.h"
#include "tensor/narrow.h"
#include "util/par.h"

enum { CHUNK_ROWS = 256 }; /* most, but for a longer text */

/* What a chunk works in; kept between calls. */
typedef struct desk {
    int64_t rows; /* room */
    float *x, *y; /* [rows, D] the residual stream; what is added to it */
    uint16_t *xs; /* [rows, D] x in bf16 */
    uint16_t *h;  /* [rows, F], or [rows, 3D] and [rows, D] behind it */
    void *room;   /* for rows of bytes */
} desk;

struct bert_desks {
    const narrow_kind *kind;
    int n;
    desk at[];
};

static void desk_clear(desk *d) {
    free(d->x);
    free(d->y);
    free(d->xs);
    free(d->h);
    free(d->room);
    *d = (desk){0};
}

void bert_desks_free(bert_desks *d) {
    for (int i = 0; d && i < d->n; i++) desk_clear(&d->at[i]);
    free(d);
}

static int64_t widest(const bert_config *c) {
    return c->ffn > 4 * c->dim ? c->ffn : 4 * c->dim;
}

static void desk_reserve(const bert_config *c, const narrow_kind *k, int64_t rows, desk *d) {
    if (rows <= d->rows) return;
    desk_clear(d);
    size_t n = (size_t)(rows + NARROW_SPARE);
    d->rows = rows;
    d->x = xcalloc(n * (size_t)c->dim, sizeof *d->x);
    d->y = xcalloc(n * (size_t)c->dim, sizeof *d->y);
    d->xs = xcalloc(n * (size_t)c->dim, sizeof *d->xs);
    d->h = xcalloc(n * (size_t)widest(c), sizeof *d->h);
    d->room = xcalloc(1, narrow_room(k, rows, widest(c)) + 1);
}

static bert_desks *desks_of(bert *m, const narrow_kind *k) {
    int n = par_threads();
    if (m->desks && m->desks->kind == k && m->desks->n >= n) return m->desks;
    bert_desks_free(m->desks);
    m->desks = xcalloc(1, sizeof *m->desks + (size_t)n * sizeof *m->desks->at);
    m->desks->kind = k;
    m->desks->n = n;
    return m->desks;
}

/* ---- a chunk ---- */

typedef struct reading {
    const bert *m;
    const narrow_kind *kind;
    const int32_t *ids;
    const span *texts;
    const span *chunks; /* of texts */
    bert_desks *desks;
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

static void block(const reading *r, const bert_block *b, desk *d, int64_t rows, spans s) {
    const bert_config *c = &r->m->c;
    const narrow_kind *k = r->kind;
    int64_t dim = c->dim, ffn = c->ffn;
    uint16_t *qkv = d->h, *mixed = d->h + (rows + NARROW_SPARE) * 3 * dim;
    narrow_linear(k, narrow_factor(k, rows, dim, d->xs, d->room), b->wqkv, b->bqkv, ACT_NONE, qkv);
    narrow_attention(k, qkv, dim, c->n_heads, s, mixed);
    narrow_linear_wide(k, narrow_factor(k, rows, dim, mixed, d->room), b->wo, d->y);
    narrow_add_norm(rows, dim, c->eps, d->x, d->y, b->bo, b->norm_attend, b->bias_attend, d->xs);
    narrow_linear(k, narrow_factor(k, rows, dim, d->xs, d->room), b->w1, b->b1, ACT_GELU, d->h);
    narrow_linear_wide(k, narrow_factor(k, rows, ffn, d->h, d->room), b->w2, d->y);
    narrow_add_norm(rows, dim, c->eps, d->x, d->y, b->b2, b->norm_feed, b->bias_feed, d->xs);
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
    desk *d = &r->desks->at[worker];
    desk_reserve(&m->c, r->kind, rows > CHUNK_ROWS ? rows : CHUNK_ROWS, d);
    for (int64_t i = 0; i < n; i++)
        embed_text(m, r->ids + r->texts[chunk.begin + i].begin, s[i].end - s[i].begin,
                   d->x + s[i].begin * m->c.dim);
    narrow_add_norm(rows, m->c.dim, m->c.eps, d->x, NULL, NULL, m->norm, m->norm_bias, d->xs);
    for (int i = 0; i < m->c.n_blocks; i++) block(r, &m->blocks[i], d, rows, (spans){n, s});
    for (int64_t i = 0; i < n; i++)
        pool(m, d->x + s[i].begin * m->c.dim, s[i].end - s[i].begin,
             r->out + (chunk.begin + i) * m->c.dim);
}

bool bert_read(bert *m, const backend *be, const int32_t *ids, spans texts, float *out) {
    if (!be->narrow || !narrow_fits(m->c.dim, m->c.ffn, m->c.n_heads)) return false;
    span *chunks = xmalloc((size_t)(texts.n + 1) * sizeof *chunks);
    int64_t n = 0, rows = 0;
    for (int64_t i = 0; i < texts.n; i++) {
        int64_t more = rows_of(m, texts.at[i]);
        if (n == 0 || rows + more > CHUNK_ROWS) chunks[n++] = (span){i, i}, rows = 0;
        chunks[n - 1].end = i + 1;
        rows += more;
    }
    reading r = {m, be->narrow, ids, texts.at, chunks, desks_of(m, be->narrow), out};
    par_for(n, read_chunk, &r);
    free(chunks);
    return true;
}
