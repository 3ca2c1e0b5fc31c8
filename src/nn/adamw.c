/* AdamW (Loshchilov & Hutter 2019, algorithm 2) and the learning-rate schedule. The gradient's
 * norm is global over all parameters and summed in f64 in fixed pieces, so a step gives the same
 * bytes at any number of threads; the clipping factor rides along in the update, which saves a
 * pass over the gradients. */
#include "nn/params_int.h"

#include <math.h>

adamw adamw_default(void) {
    return (adamw){.lr = 3e-4f,
                   .beta1 = .9f,
                   .beta2 = .999f,
                   .eps = 1e-8f,
                   .weight_decay = 1e-5f,
                   .clip = 1,
                   .bias_correction = true};
}

static void keep_above(float *x, int64_t n, float least) {
    for (int64_t i = 0; i < n; i++)
        if (x[i] < least) x[i] = least;
}

double adamw_step(adamw *o, params *p, const backend *be) {
    MUST(p->grad, "adamw_step on parameters built without gradients");
    double norm = sqrt(be->sum_squares(p->flat, p->grad));
    if (!isfinite(norm)) {
        params_zero_grad(p);
        return NAN;
    }
    o->step++;
    adamw_args a = {.beta1 = o->beta1, .beta2 = o->beta2, .eps = o->eps};
    a.grad_scale = o->clip > 0 && norm > o->clip ? (float)(o->clip / norm) : 1;
    a.correct1 = o->bias_correction ? (float)(1 - pow(o->beta1, (double)o->step)) : 1;
    a.correct2 = o->bias_correction ? (float)(1 - pow(o->beta2, (double)o->step)) : 1;
    for (int64_t i = 0; i < p->n; i++) {
        const param *x = &p->at[i];
        a.lr = o->lr * x->o.lr;
        a.decay = x->o.no_decay ? 0 : o->weight_decay;
        if (o->muon && x->o.is_hidden)
            muon_step(be, &a, x->t->rows, x->t->cols, p->grad + x->at, p->m + x->at,
                      p->value + x->at, p->scratch);
        else
            be->adamw(param_size(x), &a, p->grad + x->at, p->m + x->at, p->v + x->at,
                      p->value + x->at);
        if (x->o.has_min) keep_above(x->t->v, param_size(x), x->o.min);
    }
    params_zero_grad(p);
    params_touch(p);
    return norm;
}

float schedule_lr(const schedule *s, int64_t step) {
    double share = 1, level = 1;
    if (step < s->warmup) share = (double)step / (double)s->warmup;
    double total = (double)s->total, bend = s->flat * total;
    if (s->flat < 1 && s->total > 0 && (double)step > bend) {
        double gone = fmin(((double)step - bend) / (total - bend), 1);
        level = 1 - gone * (1 - (double)s->floor);
    }
    return (float)(s->lr * fmin(share, level));
}
