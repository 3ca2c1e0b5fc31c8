/* Linear layers: y = act(x w + b), and y = x w^T for tied tables.
 *
 * With p = x w + b and dp = dy * act'(p):  dx = dp w^T,  dw = x^T dp,  db = columns of dp.
 * Bias and activation ride in the product's last pass. The slope comes from y, but for GELU
 * whose p must be kept: in training it is made by a product and an activation apart. */
#include "tensor/tensor_int.h"

#include <string.h>

typedef struct linear_record {
    record r;
    tensor *x, *w, *b;
    bool w_t;
    activation act;
    const float *p; /* [T, F] before GELU; else NULL */
} linear_record;

typedef struct slope_job {
    const backend *be;
    activation act;
    const float *x, *y, *dy;
    float *dx;
} slope_job;

static void slope_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    slope_job *j = arg;
    j->be->activate_back(end - begin, j->act, j->x ? j->x + begin : NULL, j->y + begin,
                         j->dy + begin, j->dx + begin);
}

static void add_slope(graph *g, int64_t n, activation act, const float *x, const float *y,
                      const float *dy, float *dx) {
    slope_job j = {g->be, act, x, y, dy, dx};
    par_range(n, PIECE, slope_piece, &j);
}

/* In place, a few KiB at a time: a second matrix of this width would cost more to write and
 * read than the slope does to compute. */
static void apply_slope_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    slope_job *j = arg;
    float dp[1024];
    const int64_t most = sizeof dp / sizeof *dp;
    for (int64_t i = begin; i < end; i += most) {
        int64_t n = end - i < most ? end - i : most;
        memset(dp, 0, (size_t)n * sizeof *dp);
        j->be->activate_back(n, j->act, j->x ? j->x + i : NULL, j->y + i, j->dx + i, dp);
        memcpy(j->dx + i, dp, (size_t)n * sizeof *dp);
    }
}

/* d, the gradient behind the activation, becomes the one before it. */
static void apply_slope(graph *g, int64_t n, activation act, const float *x, const float *y,
                        float *d) {
    slope_job j = {.be = g->be, .act = act, .x = x, .y = y, .dx = d};
    par_range(n, PIECE, apply_slope_piece, &j);
}

static void activate_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    slope_job *j = arg;
    j->be->activate(end - begin, j->act, j->x + begin, j->dx + begin);
}

static void make_activation(graph *g, int64_t n, activation act, const float *x, float *y) {
    slope_job j = {.be = g->be, .act = act, .x = x, .dx = y};
    par_range(n, PIECE, activate_piece, &j);
}

/* dx (+)= dp w^T, or dp w where w is transposed. */
static void linear_back_x(graph *g, linear_record *l, const float *dp, int64_t width) {
    bool fresh;
    float *dx = graph_grad_fresh(g, l->x, &fresh);
    if (!dx) return;
    g->be->matmul(&(matmul){.m = l->x->rows,
                            .n = l->x->cols,
                            .k = width,
                            .a = dp,
                            .lda = width,
                            .b = l->w->v,
                            .ldb = l->w->cols,
                            .b_t = !l->w_t,
                            .c = dx,
                            .ldc = l->x->cols,
                            .accumulate = !fresh,
                            .packs = l->w->packs,
                            .version = l->w->version});
}

/* dw [D, F] (+)= x^T dp, or dw [F, D] (+)= dp^T x where w is transposed. */
static void linear_back_w(graph *g, linear_record *l, const float *dp, int64_t width) {
    bool fresh;
    float *dw = graph_grad_fresh(g, l->w, &fresh);
    if (!dw) return;
    const float *a = l->w_t ? dp : l->x->v, *b = l->w_t ? l->x->v : dp;
    int64_t lda = l->w_t ? width : l->x->cols, ldb = l->w_t ? l->x->cols : width;
    g->be->matmul(&(matmul){.m = l->w->rows,
                            .n = l->w->cols,
                            .k = l->x->rows,
                            .a = a,
                            .lda = lda,
                            .a_t = true,
                            .b = b,
                            .ldb = ldb,
                            .c = dw,
                            .ldc = l->w->cols,
                            .accumulate = !fresh});
}

static void linear_back(graph *g, record *r) {
    linear_record *l = (linear_record *)r;
    tensor *y = r->y;
    float *dp = y->d;
    if (l->act != ACT_NONE) apply_slope(g, y->rows * y->cols, l->act, l->p, y->v, dp);
    linear_back_x(g, l, dp, y->cols);
    linear_back_w(g, l, dp, y->cols);
    if (graph_wants(g, l->b)) vec_add_columns(g->be, y->rows, y->cols, dp, graph_grad(g, l->b));
}

static tensor *linear(graph *g, tensor *x, tensor *w, bool w_t, tensor *b, activation act) {
    int64_t width = w_t ? w->rows : w->cols;
    MUST(x->cols == (w_t ? w->cols : w->rows), "linear: x is " SHAPE ", w is " SHAPE "%s", OF(x),
         OF(w), w_t ? ", transposed" : "");
    MUST(!b || (b->rows == 1 && b->cols == width), "linear: bias is " SHAPE ", w is " SHAPE, OF(b),
         OF(w));
    bool wanted = graph_wants(g, x) || graph_wants(g, w) || graph_wants(g, b);
    bool apart = wanted && act == ACT_GELU;
    tensor *y = graph_result(g, x->rows, width);
    float *p = apart ? ARENA_ARRAY(g->arena, float, x->rows *width) : y->v;
    g->be->matmul(&(matmul){.m = x->rows,
                            .n = width,
                            .k = x->cols,
                            .a = x->v,
                            .lda = x->cols,
                            .b = w->v,
                            .ldb = w->cols,
                            .b_t = w_t,
                            .c = p,
                            .ldc = width,
                            .bias = b ? b->v : NULL,
                            .act = apart ? ACT_NONE : act,
                            .packs = w->packs,
                            .version = w->version});
    if (apart) make_activation(g, x->rows * width, act, p, y->v);
    if (wanted) {
        linear_record *l = RECORD(g, linear_record, y, linear_back);
        l->x = x, l->w = w, l->b = b, l->w_t = w_t, l->act = act;
        l->p = apart ? p : NULL;
    }
    return y;
}

tensor *t_linear(graph *g, tensor *x, tensor *w, tensor *b, activation act) {
    return linear(g, x, w, false, b, act);
}

tensor *t_linear_t(graph *g, tensor *x, tensor *w) {
    return linear(g, x, w, true, NULL, ACT_NONE);
}

/* ---- activations alone ---- */

typedef struct activate_record {
    record r;
    tensor *x;
    activation act;
} activate_record;

static void activate_back(graph *g, record *r) {
    activate_record *a = (activate_record *)r;
    add_slope(g, r->y->rows * r->y->cols, a->act, a->x->v, r->y->v, r->y->d, graph_grad(g, a->x));
}

tensor *t_activate(graph *g, tensor *x, activation act) {
    tensor *y = graph_result(g, x->rows, x->cols);
    make_activation(g, x->rows * x->cols, act, x->v, y->v);
    if (graph_wants(g, x)) {
        activate_record *a = RECORD(g, activate_record, y, activate_back);
        a->x = x;
        a->act = act;
    }
    return y;
}
