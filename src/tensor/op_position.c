/* Positions: sinusoids added to embeddings, rotations of queries and keys.
 *
 * Sinusoids (Vaswani et al. 2017, sec. 3.5) as the origin has them: frequency i of D/2 is
 * 1e-4^(i / (D/2 - 1)), sines fill the first half of a row, cosines the second, all times
 * sqrt(2/D). Rotary (Su et al. 2021, sec. 3.2.2): in a head of width K the pair
 * (x[i], x[i + K/2]) turns by position * 10000^(-2i/K); its backward turns the other way.
 *
 * Sines and cosines are computed in f64, once for each position that occurs when positions
 * are smaller than the number of rows, else once for each row. A graph without training keeps the
 * table of positions: a reader makes it once, not for each block and question. */
#include "tensor/tensor_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct angles {
    int64_t half;
    const float *sin, *cos; /* [positions or rows, half] */
    const int32_t *position;
    bool by_position;
} angles;

/* Angles of positions 0..rows-1, sines first. */
typedef struct angle_table {
    int64_t half, rows;
    double last; /* frequency [half - 1]: which of the two kinds it is */
    float at[];  /* [2, rows, half] */
} angle_table;

typedef struct angle_job {
    angles *a;
    const double *frequency; /* [half] */
    float *sin, *cos;
} angle_job;

static void angle_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    angle_job *j = arg;
    int64_t half = j->a->half;
    for (int64_t r = begin; r < end; r++) {
        double position = j->a->by_position ? (double)r : j->a->position[r];
        for (int64_t i = 0; i < half; i++) {
            double turn = position * j->frequency[i];
            j->sin[r * half + i] = (float)sin(turn);
            j->cos[r * half + i] = (float)cos(turn);
        }
    }
}

static angles make_angles(graph *g, int64_t n, const int32_t *position, int64_t half,
                          const double *frequency) {
    int32_t least = 0, most = 0;
    for (int64_t t = 0; t < n; t++) {
        least = position[t] < least ? position[t] : least;
        most = position[t] > most ? position[t] : most;
    }
    angles a = {.half = half, .position = position, .by_position = least >= 0 && most < n};
    int64_t rows = a.by_position ? most + 1 : n;
    angle_table *kept = a.by_position ? g->angles : NULL;
    bool has =
        kept && kept->half == half && kept->rows >= rows && kept->last == frequency[half - 1];
    if (!has && a.by_position && !g->training) {
        free(g->angles);
        g->angles = kept = xmalloc(sizeof *kept + (size_t)(2 * rows * half) * sizeof *kept->at);
        *kept = (angle_table){half, rows, frequency[half - 1]};
    } else if (!has)
        kept = NULL;
    float *at = kept ? kept->at : ARENA_ARRAY(g->arena, float, 2 * rows * half);
    int64_t cos_at = (kept ? kept->rows : rows) * half;
    angle_job j = {.a = &a, .frequency = frequency, .sin = at, .cos = at + cos_at};
    if (!has) par_range(rows, rows_grain(16 * half), angle_piece, &j);
    a.sin = j.sin;
    a.cos = j.cos;
    return a;
}

static int64_t angle_row(const angles *a, int64_t t) {
    return (a->by_position ? a->position[t] : t) * a->half;
}

/* ---- x + sinusoids ---- */

typedef struct sinusoid_record {
    record r;
    tensor *x;
    float *y;
    angles a;
    float scale;
} sinusoid_record;

static void sinusoid_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    sinusoid_record *s = arg;
    int64_t half = s->a.half;
    for (int64_t t = begin; t < end; t++) {
        const float *x = s->x->v + t * 2 * half, *sines = s->a.sin + angle_row(&s->a, t);
        const float *cosines = s->a.cos + angle_row(&s->a, t);
        float *y = s->y + t * 2 * half;
        for (int64_t i = 0; i < half; i++) {
            y[i] = x[i] + s->scale * sines[i];
            y[half + i] = x[half + i] + s->scale * cosines[i];
        }
    }
}

static void sinusoid_back(graph *g, record *r) {
    graph_add_grad(g, ((sinusoid_record *)r)->x, r->y->d);
}

tensor *t_add_sinusoid(graph *g, tensor *x, const int32_t *position) {
    MUST(x->cols % 2 == 0, "sinusoid: x is " SHAPE ", wanted an even width", OF(x));
    int64_t half = x->cols / 2;
    double *frequency = ARENA_ARRAY(g->arena, double, half);
    for (int64_t i = 0; i < half; i++)
        frequency[i] = half > 1 ? pow(1e-4, (double)i / (double)(half - 1)) : 1;
    tensor *y = graph_result(g, x->rows, x->cols);
    sinusoid_record s = {.x = x,
                         .y = y->v,
                         .a = make_angles(g, x->rows, position, half, frequency),
                         .scale = (float)sqrt(2 / (double)x->cols)};
    par_range(x->rows, rows_grain(x->cols), sinusoid_piece, &s);
    if (graph_wants(g, x)) RECORD(g, sinusoid_record, y, sinusoid_back)->x = x;
    return y;
}

/* ---- rotary ---- */

typedef struct rotary_record {
    record r;
    tensor *x;
    int64_t begin, end, head_width;
    angles a;
    const backend *be;
    float *rows; /* [workers, cols] between halves */
} rotary_record;

/* One direction of it, between floats or between halves. */
typedef struct turning {
    const rotary_record *o;
    const float *from;
    float *to;
    const bf16 *from16;
    bf16 *to16;
    float sign; /* -1 turns back */
    bool add;   /* to += rather than = */
} turning;

static void move(const turning *t, int64_t n, const float *from, float *to) {
    if (t->add)
        t->o->be->add(n, from, to);
    else
        memcpy(to, from, (size_t)n * sizeof *to);
}

static void turn_heads(const turning *t, int64_t r, const float *from, float *to) {
    const rotary_record *o = t->o;
    const float *sin = o->a.sin + angle_row(&o->a, r), *cos = o->a.cos + angle_row(&o->a, r);
    for (int64_t c = o->begin; c < o->end; c += o->head_width)
        o->be->rotate(o->a.half, sin, cos, t->sign, from + c, to + c, t->add);
}

static void turn_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const turning *t = arg;
    const rotary_record *o = t->o;
    int64_t cols = o->x->cols;
    for (int64_t r = begin; r < end; r++) {
        const float *from = t->from + r * cols;
        float *to = t->to + r * cols;
        move(t, o->begin, from, to);
        turn_heads(t, r, from, to);
        move(t, cols - o->end, from + o->end, to + o->end);
    }
}

static void turn_halves_piece(void *arg, int64_t begin, int64_t end, int worker) {
    const turning *t = arg;
    const rotary_record *o = t->o;
    int64_t cols = o->x->cols, turned = o->end - o->begin;
    float *row = o->rows + worker * cols;
    for (int64_t r = begin; r < end; r++) {
        const bf16 *from = t->from16 + r * cols;
        bf16 *to = t->to16 + r * cols;
        o->be->widen(turned, from + o->begin, row + o->begin);
        turn_heads(t, r, row, row);
        memcpy(to, from, (size_t)o->begin * sizeof *to);
        o->be->round(turned, row + o->begin, to + o->begin);
        memcpy(to + o->end, from + o->end, (size_t)(cols - o->end) * sizeof *to);
    }
}

static void rotary_back(graph *g, record *r) {
    rotary_record *o = (rotary_record *)r;
    turning t = {.o = o, .from = r->y->d, .from16 = r->y->dh, .sign = -1};
    bool fresh = true;
    if (t.from16)
        t.to16 = graph_grad_half(g, o->x);
    else
        t.to = graph_grad_fresh(g, o->x, &fresh);
    t.add = !fresh;
    par_range(o->x->rows, rows_grain(o->x->cols), t.from16 ? turn_halves_piece : turn_piece, &t);
}

tensor *t_rotary(graph *g, tensor *x, int64_t begin, int64_t end, int64_t head_width,
                 const int32_t *position) {
    MUST(0 <= begin && begin <= end && end <= x->cols,
         "rotary: columns %" PRId64 "..%" PRId64 " of " SHAPE, begin, end, OF(x));
    MUST(head_width > 0 && head_width % 2 == 0 && (end - begin) % head_width == 0,
         "rotary: %" PRId64 " columns in heads of %" PRId64 ", wanted whole heads of even width",
         end - begin, head_width);
    MUST(x->act == ACT_NONE, "rotary: a half behind an activation goes into products alone");
    int64_t pairs = head_width / 2;
    double *frequency = ARENA_ARRAY(g->arena, double, pairs);
    for (int64_t i = 0; i < pairs; i++) frequency[i] = pow(10000, -(double)i / (double)pairs);
    tensor *y = x->h ? graph_half(g, x->rows, x->cols) : graph_result(g, x->rows, x->cols);
    rotary_record o = {.x = x,
                       .begin = begin,
                       .end = end,
                       .head_width = head_width,
                       .a = make_angles(g, x->rows, position, pairs, frequency),
                       .be = g->be};
    if (x->h) o.rows = ARENA_ARRAY(g->arena, float, par_threads() * x->cols);
    turning t = {.o = &o, .from = x->v, .to = y->v, .from16 = x->h, .to16 = y->h, .sign = 1};
    par_range(x->rows, rows_grain(x->cols), x->h ? turn_halves_piece : turn_piece, &t);
    if (graph_wants(g, x)) {
        rotary_record *kept = RECORD(g, rotary_record, y, rotary_back);
        o.r = kept->r;
        *kept = o;
    }
    return y;
}
