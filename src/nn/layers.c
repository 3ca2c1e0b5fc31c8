/* Layers: parameters under "<name>.<part>", and each formula of layers.h as one function. */
#include "nn/layers.h"

#include <math.h>
#include <stdio.h>

static tensor *add(params *p, const char *name, const char *part, int64_t rows, int64_t cols,
                   param_options o) {
    char full[128];
    snprintf(full, sizeof full, "%s.%s", name, part);
    return params_add(p, full, rows, cols, o);
}

static const param_options one = {.init = INIT_ONE, .no_decay = true};
static const param_options zero_vector = {.init = INIT_ZERO, .no_decay = true};
static const param_options zero_matrix = {.init = INIT_ZERO, .is_hidden = true};

/* A matrix that keeps the variance of what goes in. */
static param_options fan_in(int64_t n) {
    return (param_options){.init = INIT_NORMAL, .scale = 1.0f / sqrtf((float)n), .is_hidden = true};
}

attend_layer attend_new(params *p, const char *name, const layer_options *o) {
    MUST(o->dim % o->n_heads == 0, "dim %ld is no multiple of %d heads", (long)o->dim, o->n_heads);
    attend_layer l = {.o = *o};
    l.norm_x = add(p, name, "norm_x", 1, o->dim, one);
    l.norm_x_bias = add(p, name, "norm_x_bias", 1, o->dim, zero_vector);
    if (o->has_memory) {
        l.norm_y = add(p, name, "norm_y", 1, o->dim, one);
        l.norm_y_bias = add(p, name, "norm_y_bias", 1, o->dim, zero_vector);
    }
    param_options matching = fan_in(o->dim);
    if (o->matches) matching.init = INIT_NORMAL_EYE;
    l.wq = add(p, name, "wq", o->dim, o->dim, matching);
    l.wkv = add(p, name, "wkv", o->dim, 2 * o->dim, matching);
    l.wo = add(p, name, "wo", o->dim, o->dim, zero_matrix);
    return l;
}

feed_layer feed_new(params *p, const char *name, const layer_options *o) {
    feed_layer l = {.o = *o};
    l.norm = add(p, name, "norm", 1, o->dim, one);
    l.norm_bias = add(p, name, "norm_bias", 1, o->dim, zero_vector);
    l.w1 = add(p, name, "w1", o->dim, o->ffn, fan_in(o->dim));
    l.b1 = add(p, name, "b1", 1, o->ffn, zero_vector);
    l.w2 = add(p, name, "w2", o->ffn, o->dim, zero_matrix);
    l.b2 = add(p, name, "b2", 1, o->dim, zero_vector);
    return l;
}

static tensor *norm_x(graph *g, const attend_layer *l, tensor *x) {
    return t_layer_norm_half(g, x, l->norm_x, l->norm_x_bias);
}

/* Columns 0..turned-1 of x, queries and keys, turned by their positions, if these are given. */
static tensor *turn(graph *g, const attend_layer *l, tensor *x, int64_t turned,
                    const int32_t *position) {
    return position ? t_rotary(g, x, 0, turned, l->o.dim / l->o.n_heads, position) : x;
}

/* What the projection w makes of normed rows for attention. */
static tensor *project(graph *g, const attend_layer *l, tensor *h, tensor *w,
                       const int32_t *position) {
    return turn(g, l, t_linear_half(g, h, w, NULL, ACT_NONE), l->o.dim, position);
}

/* Queries, keys and values of the same rows [T, 3D]. */
static tensor *project_all(graph *g, const attend_layer *l, tensor *h, const int32_t *position) {
    return turn(g, l, t_linear_two(g, h, l->wq, l->wkv), 2 * l->o.dim, position);
}

/* x plus what queries q read from keys and values, side by side in kv. */
static tensor *read_keys(graph *g, const attend_layer *l, tensor *x, tensor *q, columns kv,
                         spans q_spans, spans kv_spans, bool causal) {
    columns values = {kv.of, kv.col + l->o.dim};
    tensor *mixed = t_attention(g, (columns){q, 0}, kv, values, l->o.dim, l->o.n_heads, q_spans,
                                kv_spans, causal);
    return t_linear_onto(g, x, mixed, l->wo, NULL, l->o.dropout);
}

/* The memory y, normed where the layer has a norm for it. */
static tensor *norm_y(graph *g, const attend_layer *l, tensor *y) {
    return l->norm_y ? t_layer_norm_half(g, y, l->norm_y, l->norm_y_bias) : y;
}

typedef struct attend_part {
    const attend_layer *l;
    tensor *x, *y;
    spans q_spans, kv_spans;
    bool causal;
    const int32_t *position, *y_position;
} attend_part;

static tensor *make_attend(graph *g, const void *arg) {
    const attend_part *a = arg;
    const attend_layer *l = a->l;
    tensor *h = norm_x(g, l, a->x), *q;
    columns kv = {NULL, 0};
    if (a->y) {
        kv.of = project(g, l, norm_y(g, l, a->y), l->wkv, a->y_position);
        q = project(g, l, h, l->wq, a->position);
    } else {
        q = project_all(g, l, h, a->position);
        kv = (columns){q, l->o.dim};
    }
    return read_keys(g, l, a->x, q, kv, a->q_spans, a->kv_spans, a->causal);
}

tensor *attend(graph *g, const attend_layer *l, tensor *x, tensor *y, spans q_spans, spans kv_spans,
               bool causal, const int32_t *position, const int32_t *y_position) {
    attend_part a = {l, x, y, q_spans, kv_spans, causal, position, y_position};
    return t_recomputed(g, make_attend, &a, sizeof a);
}

tensor *attend_keys(graph *g, const attend_layer *l, tensor *y, const int32_t *position,
                    bool is_memory) {
    tensor *h = is_memory ? norm_y(g, l, y) : norm_x(g, l, y);
    return project(g, l, h, l->wkv, position);
}

tensor *attend_cached(graph *g, const attend_layer *l, tensor *x, tensor *kv, spans q_spans,
                      spans kv_spans, bool causal, const int32_t *position) {
    tensor *q = project(g, l, norm_x(g, l, x), l->wq, position);
    return read_keys(g, l, x, q, (columns){kv, 0}, q_spans, kv_spans, causal);
}

typedef struct feed_part {
    const feed_layer *l;
    tensor *x;
} feed_part;

static tensor *make_feed(graph *g, const void *arg) {
    const feed_layer *l = ((const feed_part *)arg)->l;
    tensor *x = ((const feed_part *)arg)->x;
    tensor *h = t_layer_norm_half(g, x, l->norm, l->norm_bias);
    tensor *wide = t_linear_half(g, h, l->w1, l->b1, l->o.act);
    return t_linear_onto(g, x, wide, l->w2, l->b2, l->o.dropout);
}

tensor *feed(graph *g, const feed_layer *l, tensor *x) {
    return t_recomputed(g, make_feed, &(feed_part){l, x}, sizeof(feed_part));
}
