/* Sources: constants, table look-ups, dropout's noise. */
#include "tensor/tensor_int.h"

#include <string.h>
#include "util/rng.h"

tensor *t_const(graph *g, int64_t rows, int64_t cols, const float *v) {
    tensor *t = arena_push(g->arena, sizeof *t);
    t->rows = rows;
    t->cols = cols;
    t->v = (float *)v; /* never written: no operator works in place */
    return t;
}

tensor *t_const_half(graph *g, int64_t rows, int64_t cols, const void *v) {
    tensor *t = t_const(g, rows, cols, v);
    if (!g->be->round) return t;
    t->h = (bf16 *)v;
    t->v = NULL;
    return t;
}

/* ---- y[i] = table[ids[i]] ---- */

typedef struct embed_record {
    record r;
    tensor *table;
    const int32_t *ids;
} embed_record;

static void embed_back(graph *g, record *r) {
    embed_record *e = (embed_record *)r;
    tensor *table = e->table;
    g->be->embed_back(r->y->rows, table->cols, e->ids, r->y->d, table->rows, graph_grad(g, table));
}

tensor *t_embed(graph *g, tensor *table, const int32_t *ids, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        MUST(ids[i] < table->rows, "embed: id %d at %" PRId64 ", the table is " SHAPE, (int)ids[i],
             i, OF(table));
    tensor *y = graph_result(g, n, table->cols);
    g->be->embed(n, table->cols, table->v, ids, y->v);
    if (graph_wants(g, table)) {
        embed_record *e = RECORD(g, embed_record, y, embed_back);
        e->table = table;
        e->ids = ids;
    }
    return y;
}

/* ---- dropout (Srivastava et al. 2014), inverted: kept elements are divided by 1 - p ----
 * The mask is a hash of (step's seed, operator's number, element): backward makes it again
 * instead of storing it, and no thread needs a generator. */

typedef struct dropout_record {
    record r;
    const backend *be;
    tensor *x;
    dropout_mask d;
    const float *onto, *from; /* of the pass under way; onto NULL: zeros */
    float *to;
} dropout_record;

static void dropout_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    dropout_record *d = arg;
    d->be->drop(begin, end - begin, &d->d, d->onto ? d->onto + begin : NULL, d->from + begin,
                d->to + begin);
}

static void dropout_back(graph *g, record *r) {
    dropout_record *d = (dropout_record *)r;
    bool fresh;
    d->to = graph_grad_fresh(g, d->x, &fresh);
    d->onto = fresh ? NULL : d->to;
    d->from = r->y->d;
    if (d->to) par_range(r->y->rows * r->y->cols, PIECE, dropout_piece, d);
}

dropout_mask graph_dropout(graph *g, float p) {
    if (!g->training || p == 0) return (dropout_mask){.scale = 1};
    MUST(p > 0 && p < 1, "dropout: p = %g, wanted 0 <= p < 1", (double)p);
    return (dropout_mask){.stream = rng_hash(g->seed, g->n_dropout++),
                          .least = (uint32_t)((double)p * 0x1p16),
                          .scale = 1 / (1 - p)};
}

tensor *t_dropout(graph *g, tensor *x, float p) {
    if (!g->training || p == 0) return x;
    tensor *y = graph_result(g, x->rows, x->cols);
    dropout_record d = {.be = g->be, .x = x, .d = graph_dropout(g, p), .from = x->v, .to = y->v};
    par_range(x->rows * x->cols, PIECE, dropout_piece, &d);
    if (graph_wants(g, x)) {
        dropout_record *kept = RECORD(g, dropout_record, y, dropout_back);
        d.r = kept->r;
        *kept = d;
    }
    return y;
}
