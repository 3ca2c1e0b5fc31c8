/* Sums, products and scales, element by element.
 *
 *   z = x + y    dx = dz         dy = dz, or the sum of its columns for y [1, D]
 *   z = x * y    dx = dz * y     dy = dz * x, or the sum of its rows for y [T, 1]
 *   z = s x      dx = s dz */
#include "tensor/tensor_int.h"

#include <string.h>

typedef struct pair_record {
    record r;
    tensor *x, *y;
    const float *dz; /* while backward runs */
    float *to;       /* the gradient being added to */
    const float *by;
} pair_record;

/* ---- add ---- */

static bool is_row(const tensor *x, const tensor *y) {
    return y->rows == 1 && x->rows != 1 && y->cols == x->cols;
}

static bool same_shape(const tensor *x, const tensor *y) {
    return x->rows == y->rows && x->cols == y->cols;
}

static void add_back(graph *g, record *r) {
    pair_record *p = (pair_record *)r;
    tensor *z = r->y;
    if (same_shape(p->x, p->y))
        graph_add_grad(g, p->y, z->d);
    else if (graph_wants(g, p->y))
        vec_add_columns(g, z->rows, z->cols, z->d, NULL, graph_grad(g, p->y));
    graph_hand_grad(g, z, p->x);
}

typedef struct add_job {
    const backend *be;
    int64_t cols;
    const float *x, *y;
    float *z;
} add_job;

static void add_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    add_job *j = arg;
    for (int64_t i = begin; i < end; i++) j->z[i] = j->x[i] + j->y[i];
}

static void add_row_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    add_job *j = arg;
    for (int64_t r = begin; r < end; r++) {
        memcpy(j->z + r * j->cols, j->x + r * j->cols, (size_t)j->cols * sizeof *j->z);
        j->be->add(j->cols, j->y, j->z + r * j->cols);
    }
}

tensor *t_add(graph *g, tensor *x, tensor *y) {
    MUST(same_shape(x, y) || is_row(x, y), "add: x is " SHAPE ", y is " SHAPE, OF(x), OF(y));
    tensor *z = graph_result(g, x->rows, x->cols);
    add_job j = {g->be, x->cols, x->v, y->v, z->v};
    if (same_shape(x, y))
        par_range(x->rows * x->cols, PIECE, add_piece, &j);
    else
        par_range(x->rows, rows_grain(x->cols), add_row_piece, &j);
    if (graph_wants(g, x) || graph_wants(g, y)) {
        pair_record *p = RECORD(g, pair_record, z, add_back);
        p->x = x;
        p->y = y;
    }
    return z;
}

/* ---- multiply ---- */

static void mul_back_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    pair_record *p = arg;
    for (int64_t i = begin; i < end; i++) p->to[i] += p->dz[i] * p->by[i];
}

static void mul_back_x_by_factor(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    pair_record *p = arg;
    int64_t cols = p->x->cols;
    for (int64_t r = begin; r < end; r++)
        for (int64_t c = 0; c < cols; c++) p->to[r * cols + c] += p->dz[r * cols + c] * p->by[r];
}

static void mul_back_factor(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    pair_record *p = arg;
    int64_t cols = p->x->cols;
    for (int64_t r = begin; r < end; r++)
        p->to[r] += (float)vec_dot(cols, p->dz + r * cols, p->x->v + r * cols);
}

static void mul_back(graph *g, record *r) {
    pair_record *p = (pair_record *)r;
    int64_t rows = r->y->rows, cols = r->y->cols;
    bool same = same_shape(p->x, p->y);
    p->dz = r->y->d;
    if (graph_wants(g, p->x)) {
        p->to = graph_grad(g, p->x);
        p->by = p->y->v;
        if (same)
            par_range(rows * cols, PIECE, mul_back_piece, p);
        else
            par_range(rows, rows_grain(cols), mul_back_x_by_factor, p);
    }
    if (graph_wants(g, p->y)) {
        p->to = graph_grad(g, p->y);
        p->by = p->x->v;
        if (same)
            par_range(rows * cols, PIECE, mul_back_piece, p);
        else
            par_range(rows, rows_grain(cols), mul_back_factor, p);
    }
}

static void mul_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    add_job *j = arg;
    for (int64_t i = begin; i < end; i++) j->z[i] = j->x[i] * j->y[i];
}

static void mul_factor_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    add_job *j = arg;
    for (int64_t r = begin; r < end; r++)
        for (int64_t c = 0; c < j->cols; c++)
            j->z[r * j->cols + c] = j->x[r * j->cols + c] * j->y[r];
}

tensor *t_mul(graph *g, tensor *x, tensor *y) {
    MUST(same_shape(x, y) || (y->rows == x->rows && y->cols == 1),
         "mul: x is " SHAPE ", y is " SHAPE, OF(x), OF(y));
    tensor *z = graph_result(g, x->rows, x->cols);
    add_job j = {g->be, x->cols, x->v, y->v, z->v};
    if (same_shape(x, y))
        par_range(x->rows * x->cols, PIECE, mul_piece, &j);
    else
        par_range(x->rows, rows_grain(x->cols), mul_factor_piece, &j);
    if (graph_wants(g, x) || graph_wants(g, y)) {
        pair_record *p = RECORD(g, pair_record, z, mul_back);
        p->x = x;
        p->y = y;
    }
    return z;
}

/* ---- scale ---- */

typedef struct scale_record {
    record r;
    tensor *x;
    float s;
} scale_record;

static void scale_back(graph *g, record *r) {
    scale_record *s = (scale_record *)r;
    vec_add_scaled(g->be, r->y->rows * r->y->cols, s->s, r->y->d, graph_grad(g, s->x));
}

tensor *t_scale(graph *g, tensor *x, float s) {
    tensor *y = graph_result(g, x->rows, x->cols);
    vec_scale(x->rows * x->cols, s, x->v, y->v);
    if (graph_wants(g, x)) {
        scale_record *r = RECORD(g, scale_record, y, scale_back);
        r->x = x;
        r->s = s;
    }
    return y;
}

/* ---- weighted sum of losses ---- */

typedef struct sum_record {
    record r;
    tensor **losses;
    float *weights;
    int64_t n;
} sum_record;

static void sum_back(graph *g, record *r) {
    sum_record *s = (sum_record *)r;
    for (int64_t i = 0; i < s->n; i++) {
        float d = s->weights[i] * r->y->d[0];
        graph_add_grad(g, s->losses[i], &d);
    }
}

tensor *t_sum(graph *g, tensor *const *losses, const float *weights, int64_t n) {
    double sum = 0;
    bool wanted = false;
    for (int64_t i = 0; i < n; i++) {
        MUST(losses[i]->rows == 1 && losses[i]->cols == 1, "sum: loss %" PRId64 " is " SHAPE, i,
             OF(losses[i]));
        sum += (double)weights[i] * losses[i]->v[0];
        wanted |= graph_wants(g, losses[i]);
    }
    tensor *y = graph_loss(g, sum);
    if (wanted) {
        sum_record *s = RECORD(g, sum_record, y, sum_back);
        s->losses = ARENA_ARRAY(g->arena, tensor *, n);
        s->weights = ARENA_ARRAY(g->arena, float, n);
        s->n = n;
        memcpy(s->losses, losses, (size_t)n * sizeof *losses);
        memcpy(s->weights, weights, (size_t)n * sizeof *weights);
    }
    return y;
}
