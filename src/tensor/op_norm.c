/* Norms of rows.
 *
 *   layer norm (Ba et al. 2016)             y = (x - mean) / sqrt(var + 1e-5) * gain + bias
 *   RMS norm (Zhang & Sennrich 2019)        y = x / sqrt(mean(x^2) + 1e-6) * gain
 *   unit length                             y = x / |x|,  dx = (dy - y (y . dy)) / |x|
 *
 * Rows are worked on in fixed pieces. Gains and biases are shared by all rows: each piece sums
 * its own part and the parts are added in order of the rows. */
#include "tensor/tensor_int.h"

#include <math.h>
#include <string.h>

#define FEW_ROWS   4
#define BACK_ROWS  16
#define LEAST_ROWS 64 /* a piece of backward: fewer and the parts to be added outweigh the work */

typedef struct norm_record {
    record r;
    tensor *x, *gain, *bias;
    float *stat; /* [T, 2] from forward */
} norm_record;

typedef struct norm_job {
    const backend *be;
    bool layer; /* else RMS */
    int64_t cols, grain;
    float eps; /* of the layer norm */
    const float *x, *gain, *bias, *dy;
    const bf16 *dy16; /* [T, D] instead of dy, ... */
    float *y, *stat, *dx;
    bf16 *half;              /* [T, D] instead of y, ... */
    float *rows;             /* ... through [workers, BACK_ROWS or FEW_ROWS, D] */
    float *dgains, *dbiases; /* [pieces, D] parts, or NULL */
} norm_job;

static void norm_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    norm_job *j = arg;
    int64_t at = begin * j->cols;
    if (j->layer)
        j->be->layer_norm(end - begin, j->cols, j->eps, j->x + at, j->gain, j->bias, j->y + at,
                          j->stat + 2 * begin);
    else
        j->be->rms_norm(end - begin, j->cols, j->x + at, j->gain, j->y + at, j->stat + 2 * begin);
}

/* A few rows at a time, which stay in L1 until they are rounded. */
static void norm_half_piece(void *arg, int64_t begin, int64_t end, int worker) {
    norm_job *j = arg;
    float *y = j->rows + worker * FEW_ROWS * j->cols;
    for (int64_t r = begin; r < end; r += FEW_ROWS) {
        int64_t n = end - r < FEW_ROWS ? end - r : FEW_ROWS, at = r * j->cols;
        j->be->layer_norm(n, j->cols, j->eps, j->x + at, j->gain, j->bias, y, j->stat + 2 * r);
        j->be->round(n * j->cols, y, j->half + at);
    }
}

static void norm_back_piece(void *arg, int64_t begin, int64_t end, int worker) {
    norm_job *j = arg;
    int64_t part = begin / j->grain * j->cols, step = j->dy16 ? BACK_ROWS : end - begin;
    float *dgain = j->dgains ? j->dgains + part : NULL;
    float *dbias = j->dbiases ? j->dbiases + part : NULL;
    if (dgain) memset(dgain, 0, (size_t)j->cols * sizeof *dgain);
    if (dbias) memset(dbias, 0, (size_t)j->cols * sizeof *dbias);
    for (int64_t r = begin; r < end; r += step) {
        int64_t at = r * j->cols, n = end - r < step ? end - r : step;
        float *wide = j->rows ? j->rows + worker * BACK_ROWS * j->cols : NULL,
              *dx = j->dx ? j->dx + at : NULL;
        const float *x = j->x + at, *stat = j->stat + 2 * r, *dy = j->dy16 ? wide : j->dy + at;
        if (j->dy16) j->be->widen(n * j->cols, j->dy16 + at, wide);
        if (j->layer)
            j->be->layer_norm_back(n, j->cols, x, j->gain, stat, dy, dx, dgain, dbias);
        else
            j->be->rms_norm_back(n, j->cols, x, j->gain, stat, dy, dx, dgain);
    }
}

static void add_parts(graph *g, tensor *t, float *parts, int64_t n_parts) {
    if (!parts) return;
    vec_add_columns(g, n_parts, t->cols, parts, NULL, graph_grad(g, t));
    graph_give(g, parts, n_parts * t->cols);
}

static void norm_back(graph *g, record *r) {
    norm_record *n = (norm_record *)r;
    int64_t rows = r->y->rows, cols = r->y->cols;
    int64_t grain = rows_grain(cols) > LEAST_ROWS ? rows_grain(cols) : LEAST_ROWS;
    int64_t n_parts = (rows + grain - 1) / grain;
    norm_job j = {.be = g->be,
                  .layer = n->bias,
                  .cols = cols,
                  .grain = grain,
                  .x = n->x->v,
                  .gain = n->gain ? n->gain->v : NULL,
                  .dy = r->y->d,
                  .dy16 = r->y->dh,
                  .stat = n->stat,
                  .dx = graph_grad(g, n->x),
                  .dgains = graph_wants(g, n->gain) ? graph_take(g, n_parts * cols) : NULL,
                  .dbiases = graph_wants(g, n->bias) ? graph_take(g, n_parts * cols) : NULL};
    int64_t room = par_threads() * BACK_ROWS * cols;
    if (j.dy16) j.rows = graph_take(g, room);
    par_range(rows, grain, norm_back_piece, &j);
    if (j.dy16) graph_give(g, j.rows, room);
    add_parts(g, n->gain, j.dgains, n_parts);
    add_parts(g, n->bias, j.dbiases, n_parts);
}

static tensor *norm(graph *g, tensor *x, tensor *gain, tensor *bias, float eps, bool half) {
    half = half && g->be->round;
    tensor *y = half ? graph_half(g, x->rows, x->cols) : graph_result(g, x->rows, x->cols);
    norm_job j = {.be = g->be,
                  .layer = bias,
                  .cols = x->cols,
                  .eps = eps,
                  .x = x->v,
                  .gain = gain ? gain->v : NULL,
                  .bias = bias ? bias->v : NULL,
                  .y = y->v,
                  .half = y->h,
                  .stat = ARENA_ARRAY(g->arena, float, 2 * x->rows)};
    if (half) j.rows = ARENA_ARRAY(g->arena, float, par_threads() * FEW_ROWS * x->cols);
    par_range(x->rows, rows_grain(x->cols), half ? norm_half_piece : norm_piece, &j);
    if (graph_wants(g, x) || graph_wants(g, gain) || graph_wants(g, bias)) {
        norm_record *n = RECORD(g, norm_record, y, norm_back);
        n->x = x, n->gain = gain, n->bias = bias, n->stat = j.stat;
    }
    return y;
}

static void check_row(const char *op, const tensor *x, const tensor *row) {
    MUST(row->rows == 1 && row->cols == x->cols, "%s: x is " SHAPE ", its gain or bias " SHAPE, op,
         OF(x), OF(row));
}

tensor *t_layer_norm(graph *g, tensor *x, tensor *gain, tensor *bias) {
    return t_layer_norm_eps(g, x, gain, bias, 1e-5f);
}

tensor *t_layer_norm_eps(graph *g, tensor *x, tensor *gain, tensor *bias, float eps) {
    check_row("layer_norm", x, gain);
    check_row("layer_norm", x, bias);
    return norm(g, x, gain, bias, eps, false);
}

tensor *t_layer_norm_half(graph *g, tensor *x, tensor *gain, tensor *bias) {
    check_row("layer_norm", x, gain);
    check_row("layer_norm", x, bias);
    return norm(g, x, gain, bias, 1e-5f, true);
}

tensor *t_rms_norm(graph *g, tensor *x, tensor *gain) {
    if (gain) check_row("rms_norm", x, gain);
    return norm(g, x, gain, NULL, 0, false);
}

/* ---- unit length ---- */

typedef struct unit_record {
    record r;
    tensor *x;
    float *inv; /* [T] 1 / length, 0 for a zero row */
    const float *from, *dy;
    float *to;
} unit_record;

static void unit_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    unit_record *u = arg;
    int64_t cols = u->x->cols;
    for (int64_t r = begin; r < end; r++) {
        const float *x = u->x->v + r * cols;
        double length = sqrt(vec_dot(cols, x, x));
        u->inv[r] = length > 0 ? (float)(1 / length) : 0;
        for (int64_t c = 0; c < cols; c++) u->to[r * cols + c] = x[c] * u->inv[r];
    }
}

static void unit_back_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    unit_record *u = arg;
    int64_t cols = u->x->cols;
    for (int64_t r = begin; r < end; r++) {
        const float *y = u->from + r * cols, *dy = u->dy + r * cols;
        float along = (float)vec_dot(cols, y, dy);
        for (int64_t c = 0; c < cols; c++)
            u->to[r * cols + c] += (dy[c] - y[c] * along) * u->inv[r];
    }
}

static void unit_back(graph *g, record *r) {
    unit_record *u = (unit_record *)r;
    u->from = r->y->v;
    u->dy = r->y->d;
    u->to = graph_grad(g, u->x);
    par_range(r->y->rows, rows_grain(r->y->cols), unit_back_piece, u);
}

tensor *t_normalize(graph *g, tensor *x) {
    tensor *y = graph_result(g, x->rows, x->cols);
    unit_record u = {.x = x, .inv = ARENA_ARRAY(g->arena, float, x->rows), .to = y->v};
    par_range(x->rows, rows_grain(x->cols), unit_piece, &u);
    if (graph_wants(g, x)) {
        unit_record *kept = RECORD(g, unit_record, y, unit_back);
        kept->x = x;
        kept->inv = u.inv;
    }
    return y;
}
