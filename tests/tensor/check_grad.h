#ifndef RAGLAN_TESTS_TENSOR_CHECK_GRAD_H
#define RAGLAN_TESTS_TENSOR_CHECK_GRAD_H
/* Gradients against differences.
 *
 * The loss is an f64 sum of fixed random weights times the operator's result; its slope along
 * each input element is taken by the five-point rule with step h = 1/64,
 *   (8 f(+h) - 8 f(-h) - f(+2h) + f(-2h)) / 12h,
 * exact for polynomials up to the fourth degree, so that f32 rounding (about 1e-7 / h) is what
 * remains. Each case runs in four ways, which take different paths through the tape:
 * inputs that are leaves, results, views of results, and results used twice. */
#include <math.h>
#include <stdio.h>
#include "cmocka_all.h"
#include "tensor/tensor.h"
#include "util/rng.h"

enum { MAX_INPUTS = 6 };
enum way { LEAVES, RESULTS, VIEWS, TWICE, N_WAYS };

typedef struct shape {
    int64_t rows, cols;
} shape;

typedef struct grad_case {
    const char *name;
    tensor *(*make)(graph *g, tensor *const *in);
    shape in[MAX_INPUTS];        /* ends at rows 0; drawn from [-1, 1) */
    void (*prepare)(tensor *in); /* changes the drawn values, away from kinks; or NULL */
    double tolerance;            /* of the largest gradient; 0: 2e-4 */
} grad_case;
/* CASE("mul", mul, .in = {{3, 7}, {3, 7}}) */
#define CASE(name_, make_, ...)                                                                    \
    { .name = name_, .make = make_, __VA_ARGS__ }

typedef struct grad_run {
    const grad_case *c;
    graph *g;
    int n_in;
    tensor in[MAX_INPUTS];
    tensor *given[MAX_INPUTS];
    float *weights;
} grad_run;

static tensor *grad_make(grad_run *r, enum way way) {
    graph_reset(r->g, 7);
    for (int i = 0; i < r->n_in; i++) {
        r->given[i] = &r->in[i];
        if (way != LEAVES) r->given[i] = t_scale(r->g, r->given[i], 1);
        if (way == VIEWS) {
            tensor *parts[] = {r->given[i], r->given[i], &r->in[i]};
            r->given[i] = t_rows(r->g, t_concat(r->g, parts, 3), r->in[i].rows, 2 * r->in[i].rows);
        }
    }
    tensor *y = r->c->make(r->g, r->given);
    return way == TWICE ? t_add(r->g, y, t_scale(r->g, r->c->make(r->g, r->given), -0.5f)) : y;
}

static double grad_loss(grad_run *r, enum way way) {
    tensor *y = grad_make(r, way);
    double sum = 0;
    for (int64_t i = 0; i < y->rows * y->cols; i++) sum += (double)r->weights[i] * y->v[i];
    return sum;
}

static double grad_slope(grad_run *r, enum way way, float *x) {
    const float h = 1 / 64.0f, was = *x;
    const float steps[] = {h, -h, 2 * h, -2 * h};
    const double factors[] = {8, -8, -1, 1};
    double slope = 0;
    for (int k = 0; k < 4; k++) {
        *x = was + steps[k];
        slope += factors[k] * grad_loss(r, way);
    }
    *x = was;
    return slope / (12 * (double)h);
}

static int grad_compare(grad_run *r, enum way way) {
    static const char *ways[] = {"leaves", "results", "views", "used twice"};
    const float before = 0.25f; /* what the gradient holds already must stay in it */
    int n_wrong = 0;
    for (int i = 0; i < r->n_in; i++)
        for (int64_t k = 0; k < r->in[i].rows * r->in[i].cols; k++) r->in[i].d[k] = before;
    graph_backward_from(r->g, grad_make(r, way), r->weights);
    for (int i = 0; i < r->n_in; i++) {
        int64_t n = r->in[i].rows * r->in[i].cols;
        double largest = 0.1;
        for (int64_t k = 0; k < n; k++)
            largest = fmax(largest, fabs((double)r->in[i].d[k] - before));
        for (int64_t k = 0; k < n; k++) {
            double slope = grad_slope(r, way, &r->in[i].v[k]), got = (double)r->in[i].d[k] - before;
            double tolerance = r->c->tolerance > 0 ? r->c->tolerance : 2e-4;
            if (fabs(slope - got) <= tolerance * largest) continue;
            if (n_wrong++ < 5)
                fprintf(stderr, "%s (%s): input %d, element %lld: gradient %.6g, slope %.6g\n",
                        r->c->name, ways[way], i, (long long)k, got, slope);
        }
    }
    return n_wrong;
}

/* Runs one case in all ways; returns the number of wrong elements. */
static int grad_check(const grad_case *c) {
    arena *a = arena_new((size_t)1 << 30);
    rng random = rng_new(20);
    grad_run r = {.c = c};
    for (; r.n_in < MAX_INPUTS && c->in[r.n_in].rows; r.n_in++) {
        tensor *t = &r.in[r.n_in];
        int64_t n = c->in[r.n_in].rows * c->in[r.n_in].cols;
        *t = (tensor){.rows = c->in[r.n_in].rows, .cols = c->in[r.n_in].cols};
        t->v = ARENA_ARRAY(a, float, n);
        t->d = ARENA_ARRAY(a, float, n);
        for (int64_t k = 0; k < n; k++) t->v[k] = (float)(2 * rng_uniform(&random) - 1);
    }
    if (c->prepare) c->prepare(r.in);
    r.weights = ARENA_ARRAY(a, float, 4096);
    for (int64_t k = 0; k < 4096; k++) r.weights[k] = (float)(2 * rng_uniform(&random) - 1);
    r.g = graph_new(a, backend_ref(), true);
    int n_wrong = 0;
    for (enum way way = 0; way < N_WAYS; way++) n_wrong += grad_compare(&r, way);
    graph_free(r.g);
    arena_free(a);
    return n_wrong;
}

#define GRAD_CHECK_ALL(cases)                                                                      \
    do {                                                                                           \
        int n_wrong_ = 0;                                                                          \
        for (size_t i_ = 0; i_ < sizeof(cases) / sizeof *(cases); i_++)                            \
            n_wrong_ += grad_check(&(cases)[i_]);                                                  \
        assert_int_equal(n_wrong_, 0);                                                             \
    } while (0)

#endif
