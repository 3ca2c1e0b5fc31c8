/* Reading without gradients: generator_encode's formula a few pairs at a time. Pairs do not see each
 * other before the decoder does, so a task here is a chunk of pairs, and what the decoder wants of
 * the rows is made in the task after the last block.
 *
 * Where the backend has narrow rows (nn/read.h) a chunk goes through all blocks at a thread's desk.
 * Its rows are rounded to bf16 between products, as the products round them in the graph, and queries
 * and keys once more where they are turned: keys, values and places differ from the graph's by .5 %
 * of their size. A chunk is long, because it waits for the blocks' weights, 6 MB each at width
 * 512, to come by.
 *
 * Elsewhere a chunk is in one block: its results stay in this worker's graph, in L2, and only its rows
 * [rows, D] are kept between blocks. All chunks pass a block before any enters the next, so that
 * the block's weights stay near too. The same bytes as generator_encode's.
 *
 * Either way each row's arithmetic does not depend on how the chunks are cut. */
#include <stdlib.h>
#include <string.h>

#include "model/decode_int.h"
#include "nn/read.h"
#include "util/par.h"

/* Most rows of a chunk, but for a longer pair. */
enum {
    GRAPH_CHUNK = 160, /* 1.2 MB of results at width 256 */
    NARROW_CHUNK = 400,
};

/* A graph for each worker; its memory stays with the generator. */
struct read_graphs {
    const backend *be;
    int n;
    struct {
        arena *a;
        graph *g;
    } at[];
};

void read_graphs_free(read_graphs *r) {
    for (int i = 0; r && i < r->n; i++) {
        graph_free(r->at[i].g);
        arena_free(r->at[i].a);
    }
    free(r);
}

static read_graphs *graphs_of(generator *m, const backend *be) {
    int n = par_threads();
    if (m->reading && m->reading->be == be && m->reading->n >= n) return m->reading;
    read_graphs_free(m->reading);
    read_graphs *r = m->reading = xcalloc(1, sizeof *r + (size_t)n * sizeof *r->at);
    r->be = be;
    for (; r->n < n; r->n++) {
        r->at[r->n].a = arena_new(0);
        r->at[r->n].g = graph_new(r->at[r->n].a, be, false);
    }
    return r;
}

typedef struct reading {
    generator *m;
    const backend *be;
    const reader_batch *b;
    const read_rows *out;
    float *x;     /* [n_rows, D] */
    span *chunks; /* pairs */
    int block;
} reading;

static void keep(const tensor *t, void *to, int64_t row) {
    size_t bytes = (size_t)t->cols * (t->h ? sizeof *t->h : sizeof *t->v);
    memcpy((char *)to + (size_t)row * bytes, t->h ? (void *)t->h : t->v, (size_t)t->rows * bytes);
}

/* What the decoder wants of rows that have passed all blocks. */
static void keep_rows(const reading *r, graph *g, tensor *x, int64_t row) {
    generator *m = r->m;
    x = t_layer_norm(g, x, m->norm_in, m->norm_in_bias);
    for (int i = 0; i < m->c.n_decoder; i++)
        keep(attend_keys(g, &m->look[i], x, NULL, true), r->out->kv[i], row);
    if (m->c.copy) keep(t_linear(g, x, m->copy_k, NULL, ACT_NONE), r->out->copy_keys, row);
    keep(t_linear(g, x, m->place, NULL, ACT_NONE), r->out->place, row);
}

static void read_chunk(void *arg, int64_t at, int worker) {
    const reading *r = arg;
    generator *m = r->m;
    const reader_batch *b = r->b;
    graph *g = m->reading->at[worker].g;
    span pairs = r->chunks[at];
    int64_t n = pairs.end - pairs.begin, row = b->pairs[pairs.begin].begin;
    int64_t rows = b->pairs[pairs.end - 1].end - row;
    tensor *x = r->block == 0 ? reader_embed(m, g, b, (span){row, row + rows})
                              : t_const(g, rows, m->c.dim, r->x + row * m->c.dim);
    if (r->block == m->c.n_encoder)
        keep_rows(r, g, x, row);
    else {
        span *own = ARENA_ARRAY(graph_arena(g), span, n);
        for (int64_t i = 0; i < n; i++) {
            span p = b->pairs[pairs.begin + i];
            own[i] = (span){p.begin - row, p.end - row};
        }
        x = attend(g, &m->read[r->block], x, NULL, (spans){n, own}, (spans){n, own}, false,
                   b->position + row, NULL);
        keep(feed(g, &m->read_feed[r->block], x), r->x, row);
    }
    graph_reset(g, 0);
}

/* ---- on narrow rows ---- */

/* reader_embed's sum for one row, D wide. */
static void embed_row(const generator *m, const reader_batch *b, int64_t row, float *x) {
    const tensor *table[] = {m->embedding, m->feature, m->rank};
    int32_t id[] = {b->ids[row], b->feature[row], b->rank[row]};
    memset(x, 0, (size_t)m->c.dim * sizeof *x);
    for (int i = 0; i < 3; i++) {
        const float *from = table[i]->v + id[i] * m->c.dim;
        for (int64_t j = 0; id[i] >= 0 && j < m->c.dim; j++) x[j] += from[j];
    }
}

static void read_narrow_chunk(void *arg, int64_t at, int worker) {
    const reading *r = arg;
    const generator *m = r->m;
    const reader_batch *b = r->b;
    span chunk = r->chunks[at];
    int64_t row = b->pairs[chunk.begin].begin, rows = b->pairs[chunk.end - 1].end - row;
    int64_t dim = m->c.dim, n = chunk.end - chunk.begin;
    desk *d = desk_at(m->desks, worker, rows);
    const narrow_kind *k = d->of->kind;
    span *own = xmalloc((size_t)n * sizeof *own);
    for (int64_t i = 0; i < n; i++) {
        span p = b->pairs[chunk.begin + i];
        own[i] = (span){p.begin - row, p.end - row};
    }
    for (int64_t i = 0; i < rows; i++) embed_row(m, b, row + i, d->x + i * dim);
    for (int i = 0; i < m->c.n_encoder; i++) {
        read_attend(&m->read[i], d, rows, (spans){n, own}, b->position + row);
        read_feed(&m->read_feed[i], d, rows);
    }
    free(own);
    read_norm(d, rows, m->norm_in, m->norm_in_bias);
    narrow_rows x = desk_factor(d, rows, dim, d->xs);
    for (int i = 0; i < m->c.n_decoder; i++) {
        const tensor *w = m->look[i].wkv;
        if (r->be->round)
            narrow_linear(k, x, w, NULL, ACT_NONE, (bf16 *)r->out->kv[i] + row * 2 * dim, 2 * dim);
        else
            narrow_linear_wide(k, x, w, (float *)r->out->kv[i] + row * 2 * dim);
    }
    if (m->c.copy) narrow_linear_wide(k, x, m->copy_k, r->out->copy_keys + row * dim);
    narrow_linear_wide(k, x, m->place, r->out->place + row * 2);
}

/* Angles for all positions of a batch. */
static void turn(generator *m, const reader_batch *b) {
    int64_t n = 0;
    for (int64_t i = 0; i < b->n_pairs; i++) {
        int64_t rows = b->pairs[i].end - b->pairs[i].begin;
        n = rows > n ? rows : n;
    }
    desks_turn(m->desks, m->c.dim / m->c.n_heads, n);
}

void generator_read(generator *m, const backend *be, arena *a, const reader_batch *b,
                    const read_rows *out) {
    int64_t dim = m->c.dim;
    bool is_narrow = be->narrow && narrow_fits(dim, 4 * dim, m->c.n_heads);
    reading r = {.m = m, .be = be, .b = b, .out = out, .chunks = ARENA_ARRAY(a, span, b->n_pairs)};
    int64_t n =
        read_cut((spans){b->n_pairs, b->pairs}, is_narrow ? NARROW_CHUNK : GRAPH_CHUNK, r.chunks);
    if (is_narrow) {
        desks_of(&m->desks, be->narrow, dim, 4 * dim);
        turn(m, b);
        par_for(n, read_narrow_chunk, &r);
        return;
    }
    graphs_of(m, be);
    r.x = ARENA_ARRAY(a, float, b->n_rows *dim);
    for (; r.block <= m->c.n_encoder; r.block++) par_for(n, read_chunk, &r);
}
