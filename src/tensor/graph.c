/* The tape: a list of records, walked from last to first (Wengert 1964; Griewank & Walther
 * 2008, ch. 3, reverse mode).
 *
 * Gradients of results live shortly. A record whose result has no gradient does not lead to
 * the loss and is skipped. After a record has run, its result's buffer is spare and goes to
 * the next taker of that size, so a deep network's backward cycles through a few buffers
 * that stay in cache. It also makes a second walk in the same graph right: it starts
 * from nothing but its own seed, and gradients of leaves add up.
 *
 * With graph_recompute a part of the net (t_recomputed) is one record. Its results lie in an arena
 * of their own that is empty again as soon as the part is done, forward and backward; backward
 * makes them anew on a tape of their own and walks that. Only the values move there: gradients
 * keep to the step's arena, whose spare buffers outlive the part.
 *
 * A view (t_rows) has no record: asking for its gradient gives a part of its base's. The
 * base's record is older than any reader of the view, hence walked later. */
#include "tensor/tensor_int.h"

#include <stdlib.h>
#include <string.h>

graph *graph_new(arena *a, const backend *be, bool training) {
    graph *g = xcalloc(1, sizeof *g);
    g->arena = a;
    g->mark = arena_mark(a);
    g->be = be ? be : backend_cpu();
    g->training = training;
    g->vocab_floats = (int64_t)16 << 20; /* 64 MiB */
    return g;
}

void graph_free(graph *g) {
    if (!g) return;
    arena_reset(g->arena, g->mark);
    arena_free(g->part);
    free(g->angles);
    free(g);
}

void graph_reset(graph *g, uint64_t seed) {
    arena_reset(g->arena, g->mark);
    g->seed = seed;
    g->n_dropout = 0;
    g->last = NULL;
    g->spares = g->no_spares = NULL;
}

void graph_recompute(graph *g) {
    if (!g->part) g->part = arena_new(0);
}

arena *graph_arena(graph *g) {
    return g->arena;
}

bool graph_is_training(const graph *g) {
    return g->training;
}

tensor *graph_result(graph *g, int64_t rows, int64_t cols) {
    tensor *t = arena_push(g->arena, sizeof *t);
    t->rows = rows;
    t->cols = cols;
    t->v = ARENA_ARRAY(g->arena, float, rows *cols);
    return t;
}

tensor *graph_half(graph *g, int64_t rows, int64_t cols) {
    tensor *t = arena_push(g->arena, sizeof *t);
    t->rows = rows;
    t->cols = cols;
    t->h = ARENA_ARRAY(g->arena, bf16, rows * cols);
    return t;
}

tensor *graph_loss(graph *g, double sum) {
    tensor *t = graph_result(g, 1, 1);
    t->v[0] = (float)sum;
    return t;
}

bool graph_wants(const graph *g, const tensor *t) {
    return g->training && t && (t->d || t->tracked);
}

void *graph_record(graph *g, size_t bytes, tensor *y, void (*back)(graph *g, record *r)) {
    record *r = arena_push(g->arena, bytes);
    r->before = g->last;
    r->y = y;
    r->back = back;
    g->last = r;
    y->tracked = true;
    return r;
}

/* ---- gradient buffers ---- */

float *graph_take(graph *g, int64_t n) {
    for (spare **at = &g->spares; *at; at = &(*at)->next) {
        spare *s = *at;
        if (s->n != n) continue;
        *at = s->next;
        s->next = g->no_spares;
        g->no_spares = s;
        return s->at;
    }
    return ARENA_ARRAY(g->arena, float, n);
}

void graph_give(graph *g, float *at, int64_t n) {
    spare *s = g->no_spares;
    if (s)
        g->no_spares = s->next;
    else
        s = arena_take(g->arena, sizeof *s);
    *s = (spare){.next = g->spares, .n = n, .at = at};
    g->spares = s;
}

/* Floats that hold n bf16. */
static int64_t halves(int64_t n) {
    return (n + 1) / 2;
}

bf16 *graph_grad_half(graph *g, tensor *t) {
    if (!graph_wants(g, t)) return NULL;
    MUST(!t->dh, "a half of " SHAPE " is read twice", OF(t));
    t->dh = (bf16 *)graph_take(g, halves(t->rows * t->cols));
    return t->dh;
}

float *graph_grad_fresh(graph *g, tensor *t, bool *fresh) {
    *fresh = false;
    if (!graph_wants(g, t)) return NULL;
    MUST(!t->h, "the reader of a half of " SHAPE " makes no bf16 gradient", OF(t));
    if (t->base) return graph_grad(g, t->base) + (t->v - t->base->v);
    if (!t->d) {
        t->d = graph_take(g, t->rows * t->cols);
        *fresh = true;
    }
    return t->d;
}

float *graph_grad(graph *g, tensor *t) {
    bool fresh;
    float *d = graph_grad_fresh(g, t, &fresh);
    if (fresh) vec_zero(t->rows * t->cols, d);
    return d;
}

void graph_add_grad(graph *g, tensor *t, const float *dy) {
    bool fresh;
    float *d = graph_grad_fresh(g, t, &fresh);
    if (fresh)
        vec_copy(t->rows * t->cols, dy, d);
    else if (d)
        vec_add(g->be, t->rows * t->cols, dy, d);
}

void graph_hand_grad(graph *g, tensor *y, tensor *x) {
    if (graph_wants(g, x) && !x->base && !x->d) {
        x->d = y->d;
        y->d = NULL;
    } else {
        graph_add_grad(g, x, y->d);
    }
}

/* ---- backward ---- */

static void walk(graph *g, record *from) {
    for (record *r = from; r; r = r->before) {
        tensor *y = r->y;
        if (!y->d && !y->dh) continue;
        r->back(g, r);
        if (y->d) graph_give(g, y->d, y->rows * y->cols);
        if (y->dh) graph_give(g, (float *)y->dh, halves(y->rows * y->cols));
        y->d = NULL;
        y->dh = NULL;
    }
}

void graph_backward_from(graph *g, tensor *y, const float *seed) {
    MUST(g->training, "backward in a graph that was made without training");
    graph_add_grad(g, y, seed);
    walk(g, g->last);
}

void graph_backward(graph *g, tensor *loss, float scale) {
    MUST(loss->rows == 1 && loss->cols == 1, "a loss is [1, 1], this is " SHAPE, OF(loss));
    graph_backward_from(g, loss, &scale);
}

/* ---- parts that are made again ---- */

typedef struct part_record {
    record r;
    graph_part *make;
    const void *arg;
    uint64_t n_dropout; /* before it, so that the same elements are dropped again */
} part_record;

/* The part's result, all of it in the arena of parts; *last: its own tape. */
static tensor *make_part(graph *g, graph_part *make, const void *arg, record **last) {
    graph whole = *g;
    g->arena = g->part;
    g->last = NULL;
    g->spares = g->no_spares = NULL;
    tensor *y = make(g, arg);
    *last = g->last;
    g->arena = whole.arena;
    g->last = whole.last;
    g->spares = whole.spares;
    g->no_spares = whole.no_spares;
    return y;
}

static void part_back(graph *g, record *r) {
    part_record *p = (part_record *)r;
    uint64_t n_dropout = g->n_dropout;
    record *last;
    g->n_dropout = p->n_dropout;
    tensor *y = make_part(g, p->make, p->arg, &last);
    g->n_dropout = n_dropout;
    y->d = r->y->d;
    r->y->d = NULL;
    walk(g, last);
    arena_reset(g->part, 0);
}

tensor *t_recomputed(graph *g, graph_part *make, const void *arg, size_t bytes) {
    if (!g->training || !g->part || g->arena == g->part) return make(g, arg);
    uint64_t n_dropout = g->n_dropout;
    record *last;
    tensor *made = make_part(g, make, arg, &last);
    MUST(made->v, "the result of a part of " SHAPE " is a half", OF(made));
    tensor *y = graph_result(g, made->rows, made->cols);
    vec_copy(y->rows * y->cols, made->v, y->v);
    if (last) {
        part_record *p = RECORD(g, part_record, y, part_back);
        p->make = make;
        p->arg = memcpy(arena_take(g->arena, bytes), arg, bytes);
        p->n_dropout = n_dropout;
    }
    arena_reset(g->part, 0);
    return y;
}
