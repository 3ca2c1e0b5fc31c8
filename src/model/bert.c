/* BERT's parameters and its one forward pass. No sequence is padded: [CLS] and [SEP] are laid
 * around each text as its rows are gathered. */
#include "model/bert.h"

#include <stdio.h>
#include <stdlib.h>

#include "nn/read.h"

static bool in(int64_t n, int64_t most) {
    return n >= 1 && n <= most;
}

status bert_check(const bert_config *c) {
    bool fits = in(c->vocab, 1 << 24) && in(c->dim, 1 << 14) && in(c->ffn, 1 << 16) &&
                in(c->n_blocks, 1 << 10) && in(c->n_heads, c->dim) && in(c->types, 1 << 10) &&
                in(c->positions, 1 << 20) && c->dim % c->n_heads == 0 && c->max_tokens >= 3 &&
                c->max_tokens <= c->positions;
    if (!fits)
        FAIL(ERR_FORMAT,
             "BERT of vocab_size %ld, dim %ld in %d heads, ffn %ld, %d blocks, %ld token types, "
             "%ld tokens at %ld positions; wanted sizes that are positive and not absurd, heads of "
             "a "
             "whole width, and at least 3 tokens, each with a position",
             (long)c->vocab, (long)c->dim, c->n_heads, (long)c->ffn, c->n_blocks, (long)c->types,
             (long)c->max_tokens, (long)c->positions);
    if (c->first < 0 || c->first >= c->vocab || c->last < 0 || c->last >= c->vocab)
        FAIL(ERR_FORMAT, "BERT's [CLS] and [SEP] are pieces %d and %d, wanted two of 0 to %ld",
             c->first, c->last, (long)c->vocab - 1);
    if (!(c->eps > 0 && c->eps < 1))
        FAIL(ERR_FORMAT, "BERT's layer_norm_eps is %g, wanted more than 0", (double)c->eps);
    return OK;
}

/* ---- parameters ---- */

static const param_options matrix = {.init = INIT_NORMAL, .scale = .02f};
static const param_options table = {.init = INIT_NORMAL, .scale = .02f, .no_decay = true};
static const param_options one = {.init = INIT_ONE, .no_decay = true};
static const param_options zero = {.init = INIT_ZERO, .no_decay = true};

static tensor *add(params *p, int block, const char *part, int64_t rows, int64_t cols,
                   param_options o) {
    char name[64];
    snprintf(name, sizeof name, "blocks.%d.%s", block, part);
    return params_add(p, name, rows, cols, o);
}

static bert_block block_new(params *p, int i, int64_t d, int64_t f) {
    return (bert_block){.wqkv = add(p, i, "wqkv", d, 3 * d, matrix),
                        .bqkv = add(p, i, "bqkv", 1, 3 * d, zero),
                        .wo = add(p, i, "wo", d, d, matrix),
                        .bo = add(p, i, "bo", 1, d, zero),
                        .norm_attend = add(p, i, "norm_attend", 1, d, one),
                        .bias_attend = add(p, i, "bias_attend", 1, d, zero),
                        .w1 = add(p, i, "w1", d, f, matrix),
                        .b1 = add(p, i, "b1", 1, f, zero),
                        .w2 = add(p, i, "w2", f, d, matrix),
                        .b2 = add(p, i, "b2", 1, d, zero),
                        .norm_feed = add(p, i, "norm_feed", 1, d, one),
                        .bias_feed = add(p, i, "bias_feed", 1, d, zero)};
}

bert *bert_new(params *p, const bert_config *c) {
    bert *m = xcalloc(1, sizeof *m);
    m->c = *c;
    m->word = params_add(p, "word", c->vocab, c->dim, table);
    m->position = params_add(p, "position", c->positions, c->dim, table);
    m->type = params_add(p, "type", c->types, c->dim, table);
    m->norm = params_add(p, "norm", 1, c->dim, one);
    m->norm_bias = params_add(p, "norm_bias", 1, c->dim, zero);
    m->blocks = xcalloc((size_t)c->n_blocks, sizeof *m->blocks);
    for (int i = 0; i < c->n_blocks; i++) m->blocks[i] = block_new(p, i, c->dim, c->ffn);
    return m;
}

void bert_free(bert *m) {
    if (!m) return;
    desks_free(m->desks);
    free(m->blocks);
    free(m);
}

/* ---- encoding ---- */

/* What is read: "[CLS] text [SEP]" of each text, one behind the other. */
typedef struct input {
    int32_t *ids, *position; /* [n] */
    int64_t n;
    span *at; /* [texts.n] */
} input;

static input lay_out(const bert *m, arena *a, const int32_t *ids, spans texts) {
    int64_t most = 0, room = m->c.max_tokens - 2;
    for (int64_t i = 0; i < texts.n; i++) {
        int64_t n = texts.at[i].end - texts.at[i].begin;
        most += 2 + (n < room ? n : room);
    }
    input in = {.ids = ARENA_ARRAY(a, int32_t, most),
                .position = ARENA_ARRAY(a, int32_t, most),
                .at = ARENA_ARRAY(a, span, texts.n)};
    for (int64_t i = 0; i < texts.n; i++) {
        int64_t begin = in.n, n = texts.at[i].end - texts.at[i].begin;
        in.ids[in.n++] = m->c.first;
        for (int64_t j = 0; j < n && j < room; j++) in.ids[in.n++] = ids[texts.at[i].begin + j];
        in.ids[in.n++] = m->c.last;
        for (int64_t j = begin; j < in.n; j++) in.position[j] = (int32_t)(j - begin);
        in.at[i] = (span){begin, in.n};
    }
    return in;
}

typedef struct block_part {
    const bert *m;
    const bert_block *b;
    tensor *x;
    spans s;
} block_part;

static tensor *make_block(graph *g, const void *arg) {
    const block_part *p = arg;
    const bert *m = p->m;
    const bert_block *b = p->b;
    tensor *x = p->x;
    spans s = p->s;
    int64_t d = m->c.dim;
    tensor *qkv = t_linear(g, x, b->wqkv, b->bqkv, ACT_NONE);
    tensor *y = t_attention(g, (columns){qkv, 0}, (columns){qkv, d}, (columns){qkv, 2 * d}, d,
                            m->c.n_heads, s, s, false);
    y = t_dropout(g, t_linear(g, y, b->wo, b->bo, ACT_NONE), m->c.dropout);
    x = t_layer_norm_eps(g, t_add(g, x, y), b->norm_attend, b->bias_attend, m->c.eps);
    y = t_linear(g, t_linear(g, x, b->w1, b->b1, ACT_GELU), b->w2, b->b2, ACT_NONE);
    y = t_dropout(g, y, m->c.dropout);
    return t_layer_norm_eps(g, t_add(g, x, y), b->norm_feed, b->bias_feed, m->c.eps);
}

static tensor *first_rows(graph *g, tensor *x, spans s) {
    int64_t *row = ARENA_ARRAY(graph_arena(g), int64_t, s.n);
    for (int64_t i = 0; i < s.n; i++) row[i] = s.at[i].begin;
    return t_gather(g, x, row, s.n);
}

tensor *bert_encode(const bert *m, graph *g, const int32_t *ids, spans texts) {
    input in = lay_out(m, graph_arena(g), ids, texts);
    spans s = {texts.n, in.at};
    tensor *x =
        t_add(g, t_embed(g, m->word, in.ids, in.n), t_embed(g, m->position, in.position, in.n));
    x = t_add(g, x, t_rows(g, m->type, 0, 1));
    x = t_dropout(g, t_layer_norm_eps(g, x, m->norm, m->norm_bias, m->c.eps), m->c.dropout);
    for (int i = 0; i < m->c.n_blocks; i++)
        x = t_recomputed(g, make_block, &(block_part){m, &m->blocks[i], x, s}, sizeof(block_part));
    return m->c.pools_first ? first_rows(g, x, s) : t_pool_mean(g, x, s);
}
