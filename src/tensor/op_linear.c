/* Linear layers: y = act(x w + b), and y = x w^T for tied tables.
 *
 * With p = x w + b and dp = dy * act'(p):  dx = dp w^T,  dw = x^T dp,  db = columns of dp.
 * Bias and activation ride in the product's last pass. The slope comes from y, but for GELU
 * whose p must be kept: in training it is made by a product and an activation apart.
 * A half's slope rides in the product that makes its gradient: dp is what arrives. */
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

/* What backward reads: the gradient before the activation, in one of two types. */
typedef struct slope_in {
    const float *dp;
    const bf16 *dp16;
    int64_t width;
} slope_in;

/* dx (+)= dp w^T, or dp w where w is transposed. */
static void linear_back_x(graph *g, linear_record *l, slope_in in) {
    tensor *x = l->x;
    bool fresh = true;
    bf16 *dx16 = x->is_read_once ? graph_grad_half(g, x) : NULL;
    float *dx = x->is_read_once ? NULL : graph_grad_fresh(g, x, &fresh);
    if (!dx && !dx16) return;
    g->be->matmul(&(matmul){.m = x->rows,
                            .n = x->cols,
                            .k = in.width,
                            .a = in.dp,
                            .a16 = in.dp16,
                            .lda = in.width,
                            .b = l->w->v,
                            .ldb = l->w->cols,
                            .b_t = !l->w_t,
                            .c = dx,
                            .c16 = dx16,
                            .ldc = x->cols,
                            .accumulate = !fresh,
                            .act = x->act,
                            .y16 = x->act != ACT_NONE ? x->h : NULL,
                            .packs = l->w->packs,
                            .version = l->w->version});
}

/* dw [D, F] (+)= x^T dp, or dw [F, D] (+)= dp^T x where w is transposed. */
static void linear_back_w(graph *g, linear_record *l, slope_in in) {
    bool fresh;
    float *dw = graph_grad_fresh(g, l->w, &fresh);
    if (!dw) return;
    matmul mm = {.m = l->w->rows,
                 .n = l->w->cols,
                 .k = l->x->rows,
                 .a = l->x->v,
                 .a16 = l->x->h,
                 .lda = l->x->cols,
                 .a_t = true,
                 .b = in.dp,
                 .b16 = in.dp16,
                 .ldb = in.width,
                 .c = dw,
                 .ldc = l->w->cols,
                 .accumulate = !fresh};
    if (l->w_t) {
        mm.a = in.dp, mm.a16 = in.dp16, mm.lda = in.width;
        mm.b = l->x->v, mm.b16 = l->x->h, mm.ldb = l->x->cols;
    }
    g->be->matmul(&mm);
}

static void linear_back(graph *g, record *r) {
    linear_record *l = (linear_record *)r;
    tensor *y = r->y;
    if (l->act != ACT_NONE && !y->h) apply_slope(g, y->rows * y->cols, l->act, l->p, y->v, y->d);
    slope_in in = {y->d, y->dh, y->cols};
    linear_back_x(g, l, in);
    linear_back_w(g, l, in);
    if (graph_wants(g, l->b))
        vec_add_columns(g, y->rows, y->cols, in.dp, in.dp16, graph_grad(g, l->b));
}

static tensor *linear(graph *g, tensor *x, tensor *w, bool w_t, tensor *b, activation act,
                      bool half) {
    int64_t width = w_t ? w->rows : w->cols;
    MUST(x->cols == (w_t ? w->cols : w->rows), "linear: x is " SHAPE ", w is " SHAPE "%s", OF(x),
         OF(w), w_t ? ", transposed" : "");
    MUST(!b || (b->rows == 1 && b->cols == width), "linear: bias is " SHAPE ", w is " SHAPE, OF(b),
         OF(w));
    bool wanted = graph_wants(g, x) || graph_wants(g, w) || graph_wants(g, b);
    bool apart = wanted && act == ACT_GELU;
    half = half && g->be->round && !apart;
    tensor *y = half ? graph_half(g, x->rows, width, true) : graph_result(g, x->rows, width);
    if (half) y->act = act;
    float *p = apart ? ARENA_ARRAY(g->arena, float, x->rows *width) : y->v;
    g->be->matmul(&(matmul){.m = x->rows,
                            .n = width,
                            .k = x->cols,
                            .a = x->v,
                            .a16 = x->h,
                            .lda = x->cols,
                            .b = w->v,
                            .ldb = w->cols,
                            .b_t = w_t,
                            .c = p,
                            .c16 = y->h,
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
    return linear(g, x, w, false, b, act, false);
}

tensor *t_linear_half(graph *g, tensor *x, tensor *w, tensor *b, activation act) {
    return linear(g, x, w, false, b, act, true);
}

tensor *t_linear_t(graph *g, tensor *x, tensor *w) {
    return linear(g, x, w, true, NULL, ACT_NONE, false);
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
