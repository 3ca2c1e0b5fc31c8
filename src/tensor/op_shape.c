/* Rows, columns, gathering, stacking: values move, nothing is computed. */
#include "tensor/tensor_int.h"

#include <string.h>

#define COLUMNS 64 /* columns a piece where rows may repeat and so must be added in order */

/* ---- a view of rows begin..end-1: no record (see graph.c) ---- */

tensor *t_rows(graph *g, tensor *x, int64_t begin, int64_t end) {
    MUST(0 <= begin && begin <= end && end <= x->rows, "rows: %" PRId64 "..%" PRId64 " of " SHAPE,
         begin, end, OF(x));
    MUST(x->v, "rows of a half");
    tensor *y = arena_push(g->arena, sizeof *y);
    y->rows = end - begin;
    y->cols = x->cols;
    y->v = x->v + begin * x->cols;
    y->base = x;
    y->tracked = graph_wants(g, x);
    return y;
}

/* ---- a copy of columns begin..end-1 ---- */

typedef struct cols_record {
    record r;
    tensor *x;
    int64_t begin;
} cols_record;

typedef struct cols_job {
    const backend *be;
    int64_t wide, narrow, begin;
    const float *from;
    float *to;
} cols_job;

static void cols_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    cols_job *j = arg;
    for (int64_t r = begin; r < end; r++)
        memcpy(j->to + r * j->narrow, j->from + r * j->wide + j->begin,
               (size_t)j->narrow * sizeof *j->to);
}

static void cols_back_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    cols_job *j = arg;
    for (int64_t r = begin; r < end; r++)
        j->be->add(j->narrow, j->from + r * j->narrow, j->to + r * j->wide + j->begin);
}

static void cols_back(graph *g, record *r) {
    cols_record *c = (cols_record *)r;
    cols_job j = {g->be, c->x->cols, r->y->cols, c->begin, r->y->d, graph_grad(g, c->x)};
    par_range(r->y->rows, rows_grain(r->y->cols), cols_back_piece, &j);
}

tensor *t_cols(graph *g, tensor *x, int64_t begin, int64_t end) {
    MUST(0 <= begin && begin <= end && end <= x->cols, "cols: %" PRId64 "..%" PRId64 " of " SHAPE,
         begin, end, OF(x));
    tensor *y = graph_result(g, x->rows, end - begin);
    cols_job j = {g->be, x->cols, y->cols, begin, x->v, y->v};
    par_range(x->rows, rows_grain(y->cols), cols_piece, &j);
    if (graph_wants(g, x)) {
        cols_record *c = RECORD(g, cols_record, y, cols_back);
        c->x = x;
        c->begin = begin;
    }
    return y;
}

/* ---- y[i] = x[row[i]] ---- */

typedef struct gather_record {
    record r;
    tensor *x;
    const int64_t *row;
} gather_record;

typedef struct gather_job {
    const backend *be;
    int64_t n, cols;
    const int64_t *row;
    const float *from;
    float *to;
} gather_job;

static void gather_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    gather_job *j = arg;
    for (int64_t i = begin; i < end; i++)
        memcpy(j->to + i * j->cols, j->from + j->row[i] * j->cols, (size_t)j->cols * sizeof *j->to);
}

static void gather_back_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    gather_job *j = arg;
    for (int64_t i = 0; i < j->n; i++)
        j->be->add(end - begin, j->from + i * j->cols + begin, j->to + j->row[i] * j->cols + begin);
}

static void gather_back(graph *g, record *r) {
    gather_record *a = (gather_record *)r;
    gather_job j = {g->be, r->y->rows, r->y->cols, a->row, r->y->d, graph_grad(g, a->x)};
    par_range(j.cols, COLUMNS, gather_back_piece, &j);
}

tensor *t_gather(graph *g, tensor *x, const int64_t *row, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        MUST(0 <= row[i] && row[i] < x->rows, "gather: row %" PRId64 " of " SHAPE, row[i], OF(x));
    tensor *y = graph_result(g, n, x->cols);
    gather_job j = {g->be, n, x->cols, row, x->v, y->v};
    par_range(n, rows_grain(x->cols), gather_piece, &j);
    if (graph_wants(g, x)) {
        gather_record *a = RECORD(g, gather_record, y, gather_back);
        a->x = x;
        a->row = row;
    }
    return y;
}

/* ---- one under another ---- */

typedef struct concat_record {
    record r;
    tensor **parts;
    int64_t n;
} concat_record;

static void concat_back(graph *g, record *r) {
    concat_record *c = (concat_record *)r;
    const float *dy = r->y->d;
    for (int64_t i = 0; i < c->n; i++) {
        graph_add_grad(g, c->parts[i], dy);
        dy += c->parts[i]->rows * c->parts[i]->cols;
    }
}

tensor *t_concat(graph *g, tensor *const *parts, int64_t n) {
    MUST(n > 0, "concat of nothing has no width");
    int64_t rows = 0;
    bool wanted = false;
    for (int64_t i = 0; i < n; i++) {
        MUST(parts[i]->cols == parts[0]->cols,
             "concat: part %" PRId64 " is " SHAPE ", part 0 is " SHAPE, i, OF(parts[i]),
             OF(parts[0]));
        rows += parts[i]->rows;
        wanted |= graph_wants(g, parts[i]);
    }
    tensor *y = graph_result(g, rows, parts[0]->cols);
    float *to = y->v;
    for (int64_t i = 0; i < n; i++) {
        vec_copy(parts[i]->rows * y->cols, parts[i]->v, to);
        to += parts[i]->rows * y->cols;
    }
    if (wanted) {
        concat_record *c = RECORD(g, concat_record, y, concat_back);
        c->parts = ARENA_ARRAY(g->arena, tensor *, n);
        c->n = n;
        memcpy(c->parts, parts, (size_t)n * sizeof *parts);
    }
    return y;
}
