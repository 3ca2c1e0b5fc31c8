/* Parameters over flat arrays. A tensor begins at a multiple of 64 bytes, so the arrays hold
 * small gaps; in gradients and moments those stay zero, which lets the gradient norm and the
 * clearing of gradients run over each array as a whole. */
#include "nn/params_int.h"

#include "util/par.h"

#include <stdlib.h>
#include <string.h>

#define ALIGN 16 /* floats in 64 bytes */

params *params_new(void) {
    return xcalloc(1, sizeof(params));
}

void params_free(params *p) {
    if (!p) return;
    for (int64_t i = 0; i < p->n; i++) {
        pack_free(p->at[i].t->packs);
        free(p->at[i].t);
        free(p->at[i].name);
    }
    free(p->at);
    free(p->value);
    if (p->file) p->close_file(p->file);
    free(p->grad);
    free(p->m);
    free(p->v);
    free(p->scratch);
    free(p);
}

tensor *params_add(params *p, const char *name, int64_t rows, int64_t cols, param_options o) {
    MUST(!p->is_built, "'%s' added after params_build", name);
    MUST(rows > 0 && cols > 0, "'%s' is [%lld, %lld]", name, (long long)rows, (long long)cols);
    MUST(!params_find(p, name), "two parameters named '%s'", name);
    GROW(p->at, p->n, p->cap);
    tensor *t = xcalloc(1, sizeof *t);
    t->rows = rows;
    t->cols = cols;
    if (o.lr == 0) o.lr = 1;
    p->at[p->n++] = (param){.name = xstrdup(name), .t = t, .o = o};
    return t;
}

/* Lays the tensors out one after another. ERR_MEM when the sizes cannot be counted in bytes. */
static status lay_out(params *p) {
    const int64_t most = INT64_MAX / 64;
    p->flat = 0;
    for (int64_t i = 0; i < p->n; i++) {
        param *x = &p->at[i];
        if (x->t->rows > most / x->t->cols || p->flat > most - param_size(x) - ALIGN)
            FAIL(ERR_MEM, "parameter '%s' of [%lld, %lld] is too large for memory", x->name,
                 (long long)x->t->rows, (long long)x->t->cols);
        x->at = p->flat;
        p->flat += (param_size(x) + ALIGN - 1) / ALIGN * ALIGN;
    }
    return OK;
}

/* An array of p->flat floats, zeroed unless it is blank. */
static status take(const params *p, bool is_blank, float **out) {
    size_t bytes = (size_t)(p->flat > 0 ? p->flat : ALIGN) * sizeof(float);
    float *x = aligned_alloc(64, bytes);
    if (!x)
        FAIL(ERR_MEM, "no memory for %lld parameters (%.1f MB an array): choose a smaller model",
             (long long)params_count(p), (double)bytes / 1e6);
    if (!is_blank) memset(x, 0, bytes);
    *out = x;
    return OK;
}

typedef struct drawing {
    params *p;
    uint64_t seed;
} drawing;

/* Every stream starts from the seed alone and is told apart by the tensor's name. */
static void draw(void *arg, int64_t i, int worker) {
    (void)worker;
    const drawing *d = arg;
    const param *x = &d->p->at[i];
    rng root = rng_new(d->seed), r = rng_fork(&root, x->name);
    float *v = x->t->v, scale = x->o.scale;
    int64_t n = param_size(x), cols = x->t->cols;
    switch (x->o.init) {
    case INIT_ZERO:
        break;
    case INIT_ONE:
        for (int64_t j = 0; j < n; j++) v[j] = 1;
        break;
    case INIT_NORMAL:
        for (int64_t j = 0; j < n; j++) v[j] = scale * (float)rng_normal(&r);
        break;
    case INIT_UNIFORM:
        for (int64_t j = 0; j < n; j++) v[j] = scale * (float)(2 * rng_uniform(&r) - 1);
        break;
    case INIT_NORMAL_EYE:
        for (int64_t j = 0; j < n; j++) v[j] = scale * (float)rng_normal(&r);
        for (int64_t j = 0; j < x->t->rows && j < cols; j++) v[j * cols + j] += 0.5f;
        break;
    case INIT_EYE:
        for (int64_t j = 0; j < x->t->rows && j < cols; j++) v[j * cols + j] = scale;
        break;
    }
}

status params_build(params *p, uint64_t seed, bool with_grad) {
    MUST(!p->is_built, "params_build twice");
    TRY(lay_out(p));
    bool is_blank = seed == PARAMS_BLANK;
    TRY(take(p, is_blank, &p->value));
    if (with_grad) {
        TRY(take(p, false, &p->grad));
        TRY(take(p, false, &p->m));
        TRY(take(p, false, &p->v));
        int64_t most = 0;
        for (int64_t i = 0; i < p->n; i++) {
            const tensor *t = p->at[i].t;
            int64_t size = p->at[i].o.is_hidden ? muon_scratch_size(t->rows, t->cols) : 0;
            if (size > most) most = size;
        }
        if (most) p->scratch = xmalloc((size_t)most * sizeof(float));
    }
    for (int64_t i = 0; i < p->n; i++) {
        param *x = &p->at[i];
        x->t->v = p->value + x->at;
        x->t->d = with_grad ? p->grad + x->at : NULL;
        x->t->packs = pack_new();
    }
    p->is_built = true;
    if (!is_blank) par_for(p->n, draw, &(drawing){p, seed});
    params_touch(p);
    return OK;
}

tensor *params_find(const params *p, const char *name) {
    for (int64_t i = 0; i < p->n; i++)
        if (!strcmp(p->at[i].name, name)) return p->at[i].t;
    return NULL;
}

int64_t params_count(const params *p) {
    int64_t n = 0;
    for (int64_t i = 0; i < p->n; i++) n += param_size(&p->at[i]);
    return n;
}

int64_t params_tensors(const params *p) {
    return p->n;
}

tensor *params_at(const params *p, int64_t i, const char **name) {
    MUST(i >= 0 && i < p->n, "parameter %lld of %lld", (long long)i, (long long)p->n);
    if (name) *name = p->at[i].name;
    return p->at[i].t;
}

void params_zero_grad(params *p) {
    if (p->grad) memset(p->grad, 0, (size_t)p->flat * sizeof(float));
}

void params_touch(params *p) {
    for (int64_t i = 0; i < p->n; i++) p->at[i].t->version++;
}
