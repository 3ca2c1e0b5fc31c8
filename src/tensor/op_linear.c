/* Linear layers: y = act(x w + b), and y = x w^T for tied tables.
 *
 * With p = x w + b and dp = dy * act'(p):  dx = dp w^T,  dw = x^T dp,  db = columns of dp.
 * Bias and activation ride in the product's last pass. The slope comes from y, but for GELU
 * whose p must be kept: in training it is made by a product and an activation apart.
 * A half's slope rides in the product that makes its gradient: dp is what arrives.
 *
 * What a layer adds to its residual stream is dropped and added a block of rows at a time, when
 * the product has just made them. */
#include "tensor/tensor_int.h"

#include <string.h>

typedef struct linear_record {
    record r;
    tensor *x, *w, *b;
    tensor *beside; /* another weight, whose columns of the result follow those of w; or NULL */
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

/* ---- products ---- */

/* What backward reads, in one of two types: columns of the gradient before the activation. */
typedef struct slope_in {
    const float *dp;
    const bf16 *dp16;
    int64_t ld;
} slope_in;
static slope_in columns_of(slope_in in, int64_t col) {
    return (slope_in){in.dp ? in.dp + col : NULL, in.dp16 ? in.dp16 + col : NULL, in.ld};
}

/* y [T, width of w] from column col on = act(x w + b). */
static matmul forward_of(const tensor *x, const tensor *w, bool w_t, const tensor *y, float *p,
                         int64_t col) {
    return (matmul){.m = x->rows,
                    .n = w_t ? w->rows : w->cols,
                    .k = x->cols,
                    .a = x->v,
                    .a16 = x->h,
                    .lda = x->cols,
                    .b = w->v,
                    .ldb = w->cols,
                    .b_t = w_t,
                    .c = p ? p + col : NULL,
                    .c16 = y->h ? y->h + col : NULL,
                    .ldc = y->cols,
                    .packs = w->packs,
                    .version = w->version};
}

/* dp w^T, or dp w where w is transposed; the result is still to be named. */
static matmul backward_of(const tensor *w, bool w_t, int64_t rows, slope_in in) {
    return (matmul){.m = rows,
                    .n = w_t ? w->cols : w->rows,
                    .k = w_t ? w->rows : w->cols,
                    .a = in.dp,
                    .a16 = in.dp16,
                    .lda = in.ld,
                    .b = w->v,
                    .ldb = w->cols,
                    .b_t = !w_t,
                    .packs = w->packs,
                    .version = w->version};
}

static void linear_back_x(graph *g, linear_record *l, slope_in in) {
    tensor *x = l->x;
    bool fresh = true;
    bf16 *dx16 = x->h ? graph_grad_half(g, x) : NULL;
    float *dx = x->h ? NULL : graph_grad_fresh(g, x, &fresh);
    if (!dx && !dx16) return;
    matmul mm = backward_of(l->w, l->w_t, x->rows, in), more;
    mm.c = dx, mm.c16 = dx16, mm.ldc = x->cols;
    mm.accumulate = !fresh;
    mm.act = x->act;
    if (x->act != ACT_NONE) mm.y16 = x->h;
    if (l->beside) {
        more = backward_of(l->beside, false, x->rows, columns_of(in, l->w->cols));
        if (dx16) mm.plus = &more;
    }
    g->be->matmul(&mm);
    if (!l->beside || dx16) return;
    more.c = dx, more.ldc = x->cols;
    more.accumulate = true;
    g->be->matmul(&more);
}

/* dw [D, F] (+)= x^T dp, or dw [F, D] (+)= dp^T x where w is transposed. */
static void linear_back_w(graph *g, const tensor *x, tensor *w, bool w_t, slope_in in) {
    bool fresh;
    float *dw = graph_grad_fresh(g, w, &fresh);
    if (!dw) return;
    matmul mm = {.m = w->rows,
                 .n = w->cols,
                 .k = x->rows,
                 .a = x->v,
                 .a16 = x->h,
                 .lda = x->cols,
                 .a_t = true,
                 .b = in.dp,
                 .b16 = in.dp16,
                 .ldb = in.ld,
                 .c = dw,
                 .ldc = w->cols,
                 .accumulate = !fresh};
    if (w_t) {
        mm.a = in.dp, mm.a16 = in.dp16, mm.lda = in.ld;
        mm.b = x->v, mm.b16 = x->h, mm.ldb = x->cols;
    }
    g->be->matmul(&mm);
}

static void linear_back_from(graph *g, linear_record *l, slope_in in) {
    const tensor *y = l->r.y;
    linear_back_x(g, l, in);
    linear_back_w(g, l->x, l->w, l->w_t, in);
    if (l->beside) linear_back_w(g, l->x, l->beside, false, columns_of(in, l->w->cols));
    if (graph_wants(g, l->b))
        vec_add_columns(g, y->rows, y->cols, in.dp, in.dp16, graph_grad(g, l->b));
}

static void linear_back(graph *g, record *r) {
    linear_record *l = (linear_record *)r;
    tensor *y = r->y;
    if (l->act != ACT_NONE && !y->h) apply_slope(g, y->rows * y->cols, l->act, l->p, y->v, y->d);
    linear_back_from(g, l, (slope_in){y->d, y->dh, y->cols});
}

static void check_linear(const tensor *x, const tensor *w, bool w_t, const tensor *b) {
    int64_t width = w_t ? w->rows : w->cols;
    MUST(x->cols == (w_t ? w->cols : w->rows), "linear: x is " SHAPE ", w is " SHAPE "%s", OF(x),
         OF(w), w_t ? ", transposed" : "");
    MUST(!b || (b->rows == 1 && b->cols == width), "linear: bias is " SHAPE ", w is " SHAPE, OF(b),
         OF(w));
}

static tensor *linear(graph *g, tensor *x, tensor *w, bool w_t, tensor *b, activation act,
                      bool half) {
    check_linear(x, w, w_t, b);
    int64_t width = w_t ? w->rows : w->cols;
    bool wanted = graph_wants(g, x) || graph_wants(g, w) || graph_wants(g, b);
    bool apart = wanted && act == ACT_GELU;
    half = half && g->be->round && !apart;
    tensor *y = half ? graph_half(g, x->rows, width) : graph_result(g, x->rows, width);
    if (half) y->act = act;
    float *p = apart ? ARENA_ARRAY(g->arena, float, x->rows *width) : y->v;
    matmul mm = forward_of(x, w, w_t, y, p, 0);
    mm.bias = b ? b->v : NULL;
    mm.act = apart ? ACT_NONE : act;
    g->be->matmul(&mm);
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

tensor *t_linear_two(graph *g, tensor *x, tensor *w, tensor *beside) {
    check_linear(x, w, false, NULL);
    check_linear(x, beside, false, NULL);
    int64_t width = w->cols + beside->cols;
    tensor *y = g->be->round ? graph_half(g, x->rows, width) : graph_result(g, x->rows, width);
    matmul mm = forward_of(x, w, false, y, y->v, 0),
           more = forward_of(x, beside, false, y, y->v, w->cols);
    g->be->matmul(&mm);
    g->be->matmul(&more);
    if (graph_wants(g, x) || graph_wants(g, w) || graph_wants(g, beside)) {
        linear_record *l = RECORD(g, linear_record, y, linear_back);
        l->x = x, l->w = w, l->beside = beside;
    }
    return y;
}

/* ---- onto a residual stream ---- */

typedef struct onto_record {
    linear_record l;
    tensor *base;
    dropout_mask drop; /* least 0: none */
} onto_record;

typedef struct onto_job {
    const backend *be;
    int64_t cols;
    const dropout_mask *drop;
    const float *base, *from;
    float *to;
    bf16 *to16;
} onto_job;

/* Rows of x w + b are there: base + dropout of them in their place. */
static void onto_rows(void *arg, int64_t begin, int64_t end) {
    const onto_job *j = arg;
    int64_t at = begin * j->cols, n = (end - begin) * j->cols;
    float *y = j->to + at;
    if (j->drop->least)
        j->be->drop(at, n, j->drop, j->base + at, y, y);
    else
        j->be->add(n, j->base + at, y);
}

/* The gradient before dropout, in bf16 where products want that. */
static void onto_back_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const onto_job *j = arg;
    if (!j->drop->least) {
        j->be->round(end - begin, j->from + begin, j->to16 + begin);
        return;
    }
    if (!j->to16) {
        j->be->drop(begin, end - begin, j->drop, NULL, j->from + begin, j->to + begin);
        return;
    }
    enum { NEAR = 1024 };
    float kept[NEAR];
    for (int64_t i = begin; i < end; i += NEAR) {
        int64_t n = end - i < NEAR ? end - i : NEAR;
        j->be->drop(i, n, j->drop, NULL, j->from + i, kept);
        j->be->round(n, kept, j->to16 + i);
    }
}

static void onto_back(graph *g, record *r) {
    onto_record *o = (onto_record *)r;
    tensor *y = r->y;
    int64_t n = y->rows * y->cols, room = g->be->round ? (n + 1) / 2 : n;
    bool as_is = !g->be->round && !o->drop.least;
    float *made = as_is ? NULL : graph_take(g, room);
    onto_job j = {.be = g->be, .drop = &o->drop, .from = y->d, .to = made};
    if (g->be->round) j.to16 = (bf16 *)made;
    if (made) par_range(n, PIECE, onto_back_piece, &j);
    linear_back_from(g, &o->l, (slope_in){as_is ? y->d : j.to16 ? NULL : made, j.to16, y->cols});
    if (made) graph_give(g, made, room);
    graph_hand_grad(g, y, o->base);
}

tensor *t_linear_onto(graph *g, tensor *base, tensor *x, tensor *w, tensor *b, float dropout) {
    check_linear(x, w, false, b);
    MUST(base->rows == x->rows && base->cols == w->cols, "linear: base is " SHAPE ", w is " SHAPE,
         OF(base), OF(w));
    tensor *y = graph_result(g, x->rows, w->cols);
    dropout_mask drop = graph_dropout(g, dropout);
    onto_job j = {.be = g->be, .cols = w->cols, .drop = &drop, .base = base->v, .to = y->v};
    matmul mm = forward_of(x, w, false, y, y->v, 0);
    mm.bias = b ? b->v : NULL;
    mm.then = onto_rows;
    mm.then_arg = &j;
    g->be->matmul(&mm);
    if (graph_wants(g, base) || graph_wants(g, x) || graph_wants(g, w) || graph_wants(g, b)) {
        onto_record *o = RECORD(g, onto_record, y, onto_back);
        o->l.x = x, o->l.w = w, o->l.b = b;
        o->base = base, o->drop = drop;
    }
    return y;
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
