/* The retriever's configuration and parameters, and its one forward pass: BERT's where it is one,
 * else the recurring transformer's. There texts are sorted by how many windows they have, so those
 * still being read are always the first rows of the state. */
#include "model/retriever.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/read.h"

retriever_config retriever_defaults(void) {
    return (retriever_config){.dim = 256,
                              .embedding_dim = 256,
                              .window = 80,
                              .n_blocks = 1,
                              .n_heads = 4,
                              .bag = true,
                              .unit = true,
                              .title = true};
}

retriever_config retriever_of_bert(const bert_config *c, bool unit) {
    return (retriever_config){.arch = RETRIEVER_BERT,
                              .vocab = c->vocab,
                              .dim = c->dim,
                              .embedding_dim = c->dim,
                              .window = c->max_tokens,
                              .n_blocks = c->n_blocks,
                              .n_heads = c->n_heads,
                              .dropout = c->dropout,
                              .unit = unit,
                              .title = true,
                              .bert = *c};
}

static json_t *bert_json(const bert_config *c) {
    return json_pack("{s:I, s:I, s:I, s:f, s:s, s:i, s:i}", "ffn", (json_int_t)c->ffn, "positions",
                     (json_int_t)c->positions, "types", (json_int_t)c->types, "norm_eps",
                     (double)c->eps, "pooling", c->pools_first ? "cls" : "mean", "cls", c->first,
                     "sep", c->last);
}

json_t *retriever_config_json(const retriever_config *c) {
    json_t *j = json_pack("{s:I, s:I, s:I, s:I, s:i, s:i, s:f, s:b, s:b, s:b}", "vocab_size",
                          (json_int_t)c->vocab, "dim", (json_int_t)c->dim, "embedding_dim",
                          (json_int_t)c->embedding_dim, "window", (json_int_t)c->window,
                          "num_blocks", c->n_blocks, "num_heads", c->n_heads, "dropout",
                          (double)c->dropout, "bag", c->bag, "unit", c->unit, "title", c->title);
    if (c->arch == RETRIEVER_BERT) {
        json_object_set_new(j, "architecture", json_string("bert"));
        json_object_set_new(j, "bert", bert_json(&c->bert));
    }
    return j;
}

/* The part of its own; the rest is c's. */
static status bert_config_read(const json_t *j, const retriever_config *c, bert_config *out) {
    *out = (bert_config){.vocab = c->vocab,
                         .dim = c->dim,
                         .ffn = json_int(j, "ffn", 0),
                         .positions = json_int(j, "positions", 0),
                         .types = json_int(j, "types", 0),
                         .n_blocks = c->n_blocks,
                         .n_heads = c->n_heads,
                         .eps = (float)json_num(j, "norm_eps", 0),
                         .dropout = c->dropout,
                         .pools_first = !strcmp(json_str(j, "pooling", "mean"), "cls"),
                         .first = (int32_t)json_int(j, "cls", -1),
                         .last = (int32_t)json_int(j, "sep", -1),
                         .max_tokens = c->window};
    return bert_check(out);
}

status retriever_config_read(const json_t *j, retriever_config *out) {
    retriever_config c = {
        .vocab = json_int(j, "vocab_size", 0),
        .dim = json_int(j, "dim", 0),
        .embedding_dim = json_int(j, "embedding_dim", 0),
        .window = json_int(j, "window", 0),
        .n_blocks = (int)json_int(j, "num_blocks", -1),
        .n_heads = (int)json_int(j, "num_heads", 0),
        .dropout = (float)json_num(j, "dropout", 0),
        .bag = json_flag(j, "bag", true),
        .unit = json_flag(j, "unit", true),
        .title = json_flag(j, "title", true),
    };
    if (c.vocab < 1 || c.dim < 1 || c.embedding_dim < 1 || c.window < 1 || c.n_blocks < 0 ||
        c.n_heads < 1 || c.dim % c.n_heads)
        FAIL(ERR_FORMAT,
             "retriever configuration: vocab_size %ld, dim %ld, embedding_dim %ld, window %ld, "
             "num_blocks %d, num_heads %d; "
             "wanted positive sizes and a dim that is a multiple of num_heads",
             (long)c.vocab, (long)c.dim, (long)c.embedding_dim, (long)c.window, c.n_blocks,
             c.n_heads);
    const char *arch = json_str(j, "architecture", "recurring");
    if (!strcmp(arch, "bert")) {
        c.arch = RETRIEVER_BERT;
        TRY(bert_config_read(json_object_get(j, "bert"), &c, &c.bert));
    } else if (strcmp(arch, "recurring")) {
        FAIL(ERR_FORMAT, "retriever configuration: architecture '%s', wanted recurring or bert",
             arch);
    }
    *out = c;
    return OK;
}

/* ---- parameters ---- */

static void fill_idf(retriever *m, const float *idf) {
    for (int64_t i = 0; i < m->c.vocab; i++)
        m->token_weight->v[2 * i] = m->token_weight->v[2 * i + 1] = idf[i];
}

/* The tensors of our own encoder. */
static void add_params(retriever *m) {
    const retriever_config *c = &m->c;
    layer_options o = {.dim = c->dim,
                       .ffn = 4 * c->dim,
                       .n_heads = c->n_heads,
                       .act = ACT_RELU,
                       .has_memory = true,
                       .dropout = c->dropout};

    m->embedding = params_add(m->p, "embedding", c->vocab, c->dim,
                              (param_options){.init = INIT_NORMAL,
                                              .scale = 1.0f / sqrtf((float)c->dim),
                                              .lr = c->bag ? 10 : 1,
                                              .no_decay = true});
    if (c->bag)
        m->token_weight = params_add(
            m->p, "token_weight", c->vocab, 2,
            (param_options){
                .init = INIT_ONE, .lr = 10, .no_decay = true, .has_min = true, .min = 0});
    m->marker = params_add(m->p, "marker", 2, c->dim,
                           (param_options){.init = INIT_NORMAL, .scale = 0.02f, .no_decay = true});
    m->attends = xcalloc((size_t)c->n_blocks + 1, sizeof *m->attends);
    m->feeds = xcalloc((size_t)c->n_blocks + 1, sizeof *m->feeds);
    for (int i = 0; i < c->n_blocks; i++) {
        char name[64];
        snprintf(name, sizeof name, "blocks.%d.attend", i);
        m->attends[i] = attend_new(m->p, name, &o);
        snprintf(name, sizeof name, "blocks.%d.feed", i);
        m->feeds[i] = feed_new(m->p, name, &o);
    }
    m->norm =
        params_add(m->p, "norm", 1, c->dim, (param_options){.init = INIT_ONE, .no_decay = true});
    m->norm_bias = params_add(m->p, "norm_bias", 1, c->dim,
                              (param_options){.init = INIT_ZERO, .no_decay = true});
    if (c->bag)
        m->mix = params_add(m->p, "mix", c->dim, c->dim, (param_options){.init = INIT_ZERO});
    m->out = params_add(
        m->p, "out", c->dim, c->embedding_dim,
        c->bag && c->embedding_dim == c->dim
            ? (param_options){.init = INIT_EYE, .scale = 1}
            : (param_options){.init = INIT_NORMAL, .scale = 1.0f / sqrtf((float)c->dim)});
}

retriever *retriever_new(const retriever_config *c, const float *idf, uint64_t seed,
                         bool with_grad) {
    retriever *m = xcalloc(1, sizeof *m);
    m->c = *c;
    m->p = params_new();
    if (c->arch == RETRIEVER_BERT) {
        m->c.bert.dropout = c->dropout;
        m->bert = bert_new(m->p, &m->c.bert);
    } else {
        add_params(m);
    }
    /* temperature .05 at the start; training keeps it from falling below .01 */
    m->log_scale =
        params_add(m->p, "log_scale", 1, 1, (param_options){.init = INIT_ONE, .no_decay = true});
    if (params_build(m->p, seed, with_grad)) {
        retriever_free(m);
        return NULL;
    }
    m->log_scale->v[0] = logf(20);
    if (c->bag && idf) fill_idf(m, idf);
    params_touch(m->p);
    return m;
}

void retriever_free(retriever *m) {
    if (!m) return;
    graph_free(m->inference);
    arena_free(m->inference_arena);
    params_free(m->p);
    bert_free(m->bert);
    desks_free(m->desks);
    free(m->attends);
    free(m->feeds);
    free(m);
}

/* ---- the recurring transformer ---- */

/* Texts in the order of their number of windows, most first, so that those which still have a
 * window left are always the first rows of the state. */
typedef struct window_plan {
    int64_t n_texts, n_windows; /* most windows of a text */
    int64_t *order;             /* [n_texts] text at each place */
    int64_t *place;             /* [n_texts] place of each text */
    int64_t *n_active;          /* [n_windows] texts that have window w */
    span *state;                /* [n_texts] rows of the state, by place */
    int64_t state_rows;
} window_plan;

static int64_t windows_of(span s, int64_t window) {
    return (s.end - s.begin + window - 1) / window;
}

static span window_of(span text, int64_t w, int64_t window) {
    int64_t begin = text.begin + w * window, end = begin + window;
    return (span){begin, end < text.end ? end : text.end};
}

static window_plan plan_windows(arena *a, spans texts, int64_t window) {
    window_plan p = {.n_texts = texts.n, .n_windows = 1};
    for (int64_t i = 0; i < texts.n; i++) {
        int64_t n = windows_of(texts.at[i], window);
        if (n > p.n_windows) p.n_windows = n;
    }
    p.order = ARENA_ARRAY(a, int64_t, texts.n);
    p.place = ARENA_ARRAY(a, int64_t, texts.n);
    p.n_active = arena_push(a, (size_t)p.n_windows * sizeof *p.n_active);
    p.state = ARENA_ARRAY(a, span, texts.n);

    /* counting sort by windows, stable; empty texts come last */
    int64_t at = 0;
    for (int64_t n = p.n_windows; n >= 0; n--) {
        for (int64_t i = 0; i < texts.n; i++)
            if (windows_of(texts.at[i], window) == n) {
                p.order[at] = i;
                p.place[i] = at++;
            }
        if (n > 0) p.n_active[n - 1] = at;
    }
    for (int64_t i = 0; i < texts.n; i++) {
        span first = window_of(texts.at[p.order[i]], 0, window);
        p.state[i] = (span){p.state_rows, p.state_rows + first.end - first.begin};
        p.state_rows = p.state[i].end;
    }
    return p;
}

/* Rows of window w of the first n texts, and their spans in the gathered order. */
static tensor *gather_window(graph *g, tensor *x, const window_plan *p, spans texts, int64_t w,
                             int64_t window, span *out) {
    arena *a = graph_arena(g);
    int64_t n = p->n_active[w], rows = 0;
    for (int64_t i = 0; i < n; i++) {
        span s = window_of(texts.at[p->order[i]], w, window);
        out[i] = (span){rows, rows + s.end - s.begin};
        rows = out[i].end;
    }
    int64_t *row = ARENA_ARRAY(a, int64_t, rows + 1), at = 0;
    for (int64_t i = 0; i < n; i++) {
        span s = window_of(texts.at[p->order[i]], w, window);
        for (int64_t r = s.begin; r < s.end; r++) row[at++] = r;
    }
    return t_gather(g, x, row, rows);
}

/* x through the blocks, reading y; y NULL: reading itself. The memory y is fed unchanged to
 * every block, as published. */
static tensor *stack(retriever *m, graph *g, tensor *x, tensor *y, spans x_spans, spans y_spans) {
    for (int i = 0; i < m->c.n_blocks; i++) {
        x = attend(g, &m->attends[i], x, y, x_spans, y ? y_spans : x_spans, false, NULL, NULL);
        x = feed(g, &m->feeds[i], x);
    }
    return t_layer_norm(g, x, m->norm, m->norm_bias);
}

/* Mean of the last state of each text [n_texts, D], in the texts' own order. */
static tensor *recur(retriever *m, graph *g, tensor *x, spans texts) {
    arena *a = graph_arena(g);
    window_plan p = plan_windows(a, texts, m->c.window);
    span *memory = ARENA_ARRAY(a, span, texts.n);

    tensor *first = gather_window(g, x, &p, texts, 0, m->c.window, memory);
    tensor *state = stack(m, g, first, NULL, (spans){p.n_texts, p.state}, (spans){0});
    for (int64_t w = 1; w < p.n_windows; w++) {
        int64_t n = p.n_active[w], rows = p.state[n - 1].end;
        memory = ARENA_ARRAY(a, span, n);
        tensor *y = gather_window(g, x, &p, texts, w, m->c.window, memory);
        spans active = {n, p.state};
        tensor *next = stack(m, g, t_rows(g, state, 0, rows), y, active, (spans){n, memory});
        next = stack(m, g, next, NULL, active, (spans){0});
        state = rows == p.state_rows
                    ? next
                    : t_concat(g, (tensor *[]){next, t_rows(g, state, rows, p.state_rows)}, 2);
    }
    return t_gather(g, t_pool_mean(g, state, (spans){p.n_texts, p.state}), p.place, p.n_texts);
}

/* ---- encoding ---- */

static int32_t *positions_in(arena *a, spans texts, int64_t n_tokens) {
    int32_t *position = arena_push(a, (size_t)n_tokens * sizeof *position);
    for (int64_t i = 0; i < texts.n; i++)
        for (int64_t t = texts.at[i].begin; t < texts.at[i].end; t++)
            position[t] = (int32_t)(t - texts.at[i].begin);
    return position;
}

static tensor *bag_of(retriever *m, graph *g, tensor *e, const int32_t *ids, int64_t n_tokens,
                      spans texts, text_kind kind) {
    tensor *w = t_cols(g, t_embed(g, m->token_weight, ids, n_tokens), kind, kind + 1);
    return t_normalize(g, t_pool_sum(g, e, w, texts));
}

static tensor *state_of(retriever *m, graph *g, tensor *e, int64_t n_tokens, spans texts,
                        text_kind kind) {
    arena *a = graph_arena(g);
    tensor *x = t_add_sinusoid(g, e, positions_in(a, texts, n_tokens));
    x = t_add(g, x, t_rows(g, m->marker, kind, kind + 1));
    return recur(m, g, x, texts);
}

tensor *retriever_encode(retriever *m, graph *g, const int32_t *ids, spans texts, text_kind kind,
                         bool use_blocks) {
    if (m->bert) {
        tensor *v = bert_encode(m->bert, g, ids, texts);
        return m->c.unit ? t_normalize(g, v) : v;
    }
    int64_t n_tokens = 0;
    for (int64_t i = 0; i < texts.n; i++)
        if (texts.at[i].end > n_tokens) n_tokens = texts.at[i].end;
    tensor *e = t_embed(g, m->embedding, ids, n_tokens);

    tensor *x;
    if (!m->c.bag)
        x = state_of(m, g, e, n_tokens, texts, kind);
    else {
        x = bag_of(m, g, e, ids, n_tokens, texts, kind);
        if (use_blocks && m->c.n_blocks > 0)
            x = t_add(
                g, x,
                t_linear(g, state_of(m, g, e, n_tokens, texts, kind), m->mix, NULL, ACT_NONE));
    }
    x = t_linear(g, x, m->out, NULL, ACT_NONE);
    return m->c.unit ? t_normalize(g, x) : x;
}
