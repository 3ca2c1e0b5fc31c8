/* The generator's configuration, parameters and training pass (decode.c has the other one, a token
 * at a time). */
#include "model/generator.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "nn/read.h"

generator_config generator_defaults(void) {
    return (generator_config){.dim = 256,
                              .n_encoder = 3,
                              .n_decoder = 1,
                              .n_heads = 4,
                              .dropout = 0.1f,
                              .spans = true,
                              .copy = true,
                              .limits = {.question = 40, .title = 16, .passage = 96, .answer = 32}};
}

json_t *generator_config_json(const generator_config *c) {
    return json_pack("{s:I, s:I, s:i, s:i, s:i, s:f, s:b, s:b, s:I, s:I, s:I, s:I}", "vocab_size",
                     (json_int_t)c->vocab, "dim", (json_int_t)c->dim, "num_blocks", c->n_encoder,
                     "decoder_blocks", c->n_decoder, "num_heads", c->n_heads, "dropout",
                     (double)c->dropout, "spans", c->spans, "copy", c->copy, "question_tokens",
                     (json_int_t)c->limits.question, "title_tokens", (json_int_t)c->limits.title,
                     "passage_tokens", (json_int_t)c->limits.passage, "answer_tokens",
                     (json_int_t)c->limits.answer);
}

status generator_config_read(const json_t *j, generator_config *out) {
    generator_config c = {
        .vocab = json_int(j, "vocab_size", 0),
        .dim = json_int(j, "dim", 0),
        .n_encoder = (int)json_int(j, "num_blocks", -1),
        .n_decoder = (int)json_int(j, "decoder_blocks", -1),
        .n_heads = (int)json_int(j, "num_heads", 0),
        .dropout = (float)json_num(j, "dropout", 0),
        .spans = json_flag(j, "spans", false),
        .copy = json_flag(j, "copy", true),
        .limits = {json_int(j, "question_tokens", 0), json_int(j, "title_tokens", 0),
                   json_int(j, "passage_tokens", 0), json_int(j, "answer_tokens", 0)},
    };
    if (c.vocab < 1 || c.dim < 1 || c.n_encoder < 0 || c.n_decoder < 1 || c.n_heads < 1 ||
        c.dim % c.n_heads || (c.dim / c.n_heads) % 2 || c.limits.question < 1 ||
        c.limits.passage < 1 || c.limits.answer < 1)
        FAIL(ERR_FORMAT,
             "generator configuration: vocab_size %ld, dim %ld, num_blocks %d, decoder_blocks %d, "
             "num_heads %d, question_tokens %ld, passage_tokens %ld, answer_tokens %ld; wanted "
             "positive sizes, a dim that is a multiple of num_heads, and heads of even width",
             (long)c.vocab, (long)c.dim, c.n_encoder, c.n_decoder, c.n_heads,
             (long)c.limits.question, (long)c.limits.passage, (long)c.limits.answer);
    *out = c;
    return OK;
}

/* ---- parameters ---- */

static tensor *vector(params *p, const char *name, int64_t n, init_kind init) {
    return params_add(p, name, 1, n, (param_options){.init = init, .no_decay = true});
}

static tensor *normal(params *p, const char *name, int64_t rows, int64_t cols, float scale,
                      bool no_decay) {
    return params_add(p, name, rows, cols,
                      (param_options){.init = INIT_NORMAL, .scale = scale, .no_decay = no_decay});
}

static void add_blocks(generator *m, const layer_options *o) {
    char name[64];
    m->read = xcalloc((size_t)m->c.n_encoder + 1, sizeof *m->read);
    m->read_feed = xcalloc((size_t)m->c.n_encoder + 1, sizeof *m->read_feed);
    for (int i = 0; i < m->c.n_encoder; i++) {
        snprintf(name, sizeof name, "encoder.%d.attend", i);
        m->read[i] = attend_new(m->p, name, o);
        snprintf(name, sizeof name, "encoder.%d.feed", i);
        m->read_feed[i] = feed_new(m->p, name, o);
    }
    m->write = xcalloc((size_t)m->c.n_decoder, sizeof *m->write);
    m->look = xcalloc((size_t)m->c.n_decoder, sizeof *m->look);
    m->write_feed = xcalloc((size_t)m->c.n_decoder, sizeof *m->write_feed);
    for (int i = 0; i < m->c.n_decoder; i++) {
        snprintf(name, sizeof name, "decoder.%d.write", i);
        m->write[i] = attend_new(m->p, name, o);
        snprintf(name, sizeof name, "decoder.%d.look", i);
        m->look[i] = attend_new(m->p, name, o);
        snprintf(name, sizeof name, "decoder.%d.feed", i);
        m->write_feed[i] = feed_new(m->p, name, o);
    }
}

generator *generator_new(const generator_config *c, uint64_t seed, bool with_grad) {
    generator *m = xcalloc(1, sizeof *m);
    m->c = *c;
    m->p = params_new();
    int64_t d = c->dim;
    float fan_in = 1.0f / sqrtf((float)d);
    m->embedding = normal(m->p, "embedding", c->vocab, d, fan_in, true);
    m->feature = normal(m->p, "feature", READER_FEATURES, d, fan_in, true);
    m->rank = params_add(m->p, "rank", READER_MAX_RANK, d,
                         (param_options){.init = INIT_ZERO, .no_decay = true});
    layer_options o = {.dim = d,
                       .ffn = 4 * d,
                       .n_heads = c->n_heads,
                       .act = ACT_RELU,
                       .matches = true,
                       .dropout = c->dropout};
    add_blocks(m, &o);
    m->norm_in = vector(m->p, "norm_in", d, INIT_ONE);
    m->norm_in_bias = vector(m->p, "norm_in_bias", d, INIT_ZERO);
    m->norm_out = vector(m->p, "norm_out", d, INIT_ONE);
    m->norm_out_bias = vector(m->p, "norm_out_bias", d, INIT_ZERO);
    m->place = normal(m->p, "place", d, 2, fan_in, false);
    if (c->copy) {
        m->gate = params_add(m->p, "gate", d, 1, (param_options){.init = INIT_ZERO});
        m->gate_bias = vector(m->p, "gate_bias", 1, INIT_ZERO);
        m->copy_q = normal(m->p, "copy_q", d, d, fan_in, false);
        m->copy_k = normal(m->p, "copy_k", d, d, fan_in, false);
    }
    if (params_build(m->p, seed, with_grad)) {
        generator_free(m);
        return NULL;
    }
    return m;
}

void generator_free(generator *m) {
    if (!m) return;
    decoding_free(m->decoding);
    read_graphs_free(m->reading);
    desks_free(m->desks);
    params_free(m->p);
    free(m->read);
    free(m->read_feed);
    free(m->write);
    free(m->look);
    free(m->write_feed);
    free(m);
}

/* ---- forward ---- */

tensor *reader_embed(generator *m, graph *g, const reader_batch *b, span rows) {
    int64_t at = rows.begin, n = rows.end - at;
    tensor *x = t_embed(g, m->embedding, b->ids + at, n);
    x = t_add(g, x, t_embed(g, m->feature, b->feature + at, n));
    return t_add(g, x, t_embed(g, m->rank, b->rank + at, n));
}

tensor *generator_encode(generator *m, graph *g, const reader_batch *b) {
    tensor *x = reader_embed(m, g, b, (span){0, b->n_rows});
    spans pairs = {b->n_pairs, b->pairs};
    for (int i = 0; i < m->c.n_encoder; i++) {
        x = attend(g, &m->read[i], x, NULL, pairs, pairs, false, b->position, NULL);
        x = feed(g, &m->read_feed[i], x);
    }
    return t_layer_norm(g, x, m->norm_in, m->norm_in_bias);
}

/* Decoder over whole answers at once (teacher forcing). */
static tensor *write_all(generator *m, graph *g, tensor *memory, const reader_batch *b) {
    spans outs = {b->n_questions, b->outs}, rows = {b->n_questions, b->questions};
    tensor *x = t_embed(g, m->embedding, b->in_ids, b->n_out);
    for (int i = 0; i < m->c.n_decoder; i++) {
        x = attend(g, &m->write[i], x, NULL, outs, outs, true, b->in_position, NULL);
        x = attend(g, &m->look[i], x, memory, outs, rows, false, NULL, NULL);
        x = feed(g, &m->write_feed[i], x);
    }
    return t_layer_norm(g, x, m->norm_out, m->norm_out_bias);
}

tensor *generator_loss(generator *m, graph *g, const reader_batch *b, float place_weight,
                       double parts[2]) {
    tensor *memory = generator_encode(m, g, b);
    tensor *x = write_all(m, g, memory, b);
    tensor *words;
    if (m->c.copy) {
        copy_head h = {.x = x,
                       .e = m->embedding,
                       .gate = t_linear(g, x, m->gate, m->gate_bias, ACT_NONE),
                       .cq = t_linear(g, x, m->copy_q, NULL, ACT_NONE),
                       .ck = t_linear(g, memory, m->copy_k, NULL, ACT_NONE),
                       .q_spans = {b->n_questions, b->outs},
                       .kv_spans = {b->n_questions, b->questions},
                       .source_id = b->source_id};
        words = t_copy_cross_entropy(g, &h, b->target);
    } else
        words = t_linear_cross_entropy(g, x, m->embedding, b->target, 0);
    if (parts) parts[0] = words->v[0], parts[1] = 0;
    if (place_weight <= 0) return words;

    tensor *score = t_linear(g, memory, m->place, NULL, ACT_NONE);
    spans rows = {b->n_questions, b->questions};
    tensor *start = t_marginal_nll(g, t_cols(g, score, 0, 1), rows, b->is_start);
    tensor *end = t_marginal_nll(g, t_cols(g, score, 1, 2), rows, b->is_end);
    if (parts) parts[1] = start->v[0] + end->v[0];
    return t_sum(g, (tensor *[]){words, start, end}, (float[]){1, place_weight, place_weight}, 3);
}
