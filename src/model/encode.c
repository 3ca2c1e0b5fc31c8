/* Reading without gradients: generator_encode's formula a few pairs at a time.
 *
 * Over all rows of a question at once each layer writes its result to memory and reads it back
 * (800 rows of 4 x 256 floats are 3 MB), and the results of all layers lie side by side. Pairs do not
 * see each other before the decoder does, so a task here is one chunk of pairs in one block: its
 * results stay in this worker's graph, in L2, and only its rows [rows, D] are kept between blocks.
 * All chunks pass a block before any enters the next, so that the block's weights stay near too.
 * What the decoder wants of the rows is made in the task after the last block. Each row's arithmetic
 * is that of generator_encode, in the same order: the same bytes, however the chunks are cut. */
#include <stdlib.h>
#include <string.h>

#include "model/decode_int.h"
#include "util/par.h"

enum { CHUNK_ROWS = 160 }; /* most, but for a longer pair: 1.2 MB of results at width 256 */

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
    const reader_batch *b;
    const read_rows *out;
    float *x;     /* [n_rows, D] */
    span *chunks; /* pairs */
    int block;
} reading;

static void keep(const tensor *t, float *to, int64_t row) {
    memcpy(to + row * t->cols, t->v, (size_t)(t->rows * t->cols) * sizeof *to);
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

/* Chunks of at most CHUNK_ROWS rows, as many as the threads share evenly: how rows are cut changes
 * no result. */
static int64_t cut(const reader_batch *b, span *chunks) {
    int64_t threads = par_threads(), wanted = (b->n_rows + CHUNK_ROWS - 1) / CHUNK_ROWS;
    wanted = (wanted + threads - 1) / threads * threads;
    int64_t most = (b->n_rows + wanted - 1) / (wanted > 0 ? wanted : 1), n = 0;
    for (int64_t i = 0; i < b->n_pairs; i++) {
        bool fits = n > 0 && b->pairs[i].end - b->pairs[chunks[n - 1].begin].begin <= most;
        if (fits)
            chunks[n - 1].end = i + 1;
        else
            chunks[n++] = (span){i, i + 1};
    }
    return n;
}

void generator_read(generator *m, const backend *be, arena *a, const reader_batch *b,
                    const read_rows *out) {
    reading r = {.m = m,
                 .b = b,
                 .out = out,
                 .x = ARENA_ARRAY(a, float, b->n_rows * m->c.dim),
                 .chunks = ARENA_ARRAY(a, span, b->n_pairs)};
    graphs_of(m, be);
    int64_t n = cut(b, r.chunks);
    for (; r.block <= m->c.n_encoder; r.block++) par_for(n, read_chunk, &r);
}
