/* Parameters and AdamW's moments to and from safetensors. A model is loaded whole or not at
 * all: every tensor is compared before the first value is written. */
#include "nn/params_int.h"
#include "nn/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void st_add_params(st_writer *w, const params *p) {
    for (int64_t i = 0; i < p->n; i++) {
        const tensor *t = p->at[i].t;
        st_writer_add(w, p->at[i].name, "F32", 2, (int64_t[]){t->rows, t->cols}, t->v);
    }
}

void st_add_moments(st_writer *w, const params *p, const adamw *o) {
    MUST(p->grad, "moments of parameters built without gradients");
    char step[32];
    snprintf(step, sizeof step, "%" PRId64, o->step);
    st_writer_meta(w, "adamw_step", step);
    for (int64_t i = 0; i < p->n; i++) {
        const param *x = &p->at[i];
        int64_t shape[2] = {x->t->rows, x->t->cols};
        char *m = xasprintf("m.%s", x->name), *v = xasprintf("v.%s", x->name);
        st_writer_add(w, m, "F32", 2, shape, p->m + x->at);
        st_writer_add(w, v, "F32", 2, shape, p->v + x->at);
        free(m);
        free(v);
    }
}

/* The tensor `prefix` + name must be there, hold floats and have x's shape. */
static status match(const st_file *f, const char *prefix, const param *x, const char *path,
                    const st_tensor **out) {
    char *name = xasprintf("%s%s", prefix, x->name);
    const st_tensor *t = st_find(f, name);
    status st = OK;
    if (!t)
        st = err_set(ERR_FORMAT, __FILE__, __LINE__,
                     "%s: tensor '%s' [%" PRId64 ", %" PRId64 "] of this model is not in the file",
                     path, name, x->t->rows, x->t->cols);
    free(name);
    if (st) return st;
    if (t->n_dims != 2 || t->shape[0] != x->t->rows || t->shape[1] != x->t->cols) {
        char found[200] = "";
        for (int d = 0, n = 0; d < t->n_dims; d++)
            n += snprintf(found + n, sizeof found - (size_t)n, d ? ", %" PRId64 : "%" PRId64,
                          t->shape[d]);
        FAIL(ERR_FORMAT,
             "%s: tensor '%s' is [%s], this model wants [%" PRId64 ", %" PRId64 "]: "
             "the file belongs to another configuration",
             path, t->name, found, x->t->rows, x->t->cols);
    }
    if (t->dtype[0] != 'F' && t->dtype[0] != 'B')
        FAIL(ERR_FORMAT, "%s: tensor '%s' holds %s, wanted F32, F16 or BF16", path, t->name,
             t->dtype);
    *out = t;
    return OK;
}

static const param *find_param(const params *p, const char *name) {
    for (int64_t i = 0; i < p->n; i++)
        if (!strcmp(p->at[i].name, name)) return &p->at[i];
    return NULL;
}

/* The first tensor of the file that the model does not know. Called when counts differ. */
static status name_foreign(const st_file *f, const params *p, const char *path) {
    for (int64_t i = 0; i < st_count(f); i++)
        if (!find_param(p, st_at(f, i)->name))
            FAIL(ERR_FORMAT,
                 "%s: tensor '%s' is in the file, but this model has none of that name: "
                 "the file belongs to another configuration",
                 path, st_at(f, i)->name);
    return OK;
}

/* Every tensor of the model in the file, by the model's order; caller frees. */
static status match_all(const st_file *f, const params *p, const char *path,
                        const st_tensor ***out) {
    MUST(p->is_built, "values before params_build");
    const st_tensor **found = xcalloc((size_t)p->n + 1, sizeof *found);
    status st = OK;
    for (int64_t i = 0; i < p->n && !st; i++) st = match(f, "", &p->at[i], path, &found[i]);
    if (!st && st_count(f) != p->n) st = name_foreign(f, p, path);
    if (st)
        free(found);
    else
        *out = found;
    return st;
}

status st_load_params(const st_file *f, params *p, const char *path) {
    const st_tensor **found;
    TRY(match_all(f, p, path, &found));
    status st = OK;
    for (int64_t i = 0; i < p->n && !st; i++)
        st = st_copy_f32(found[i], p->at[i].t->v, param_size(&p->at[i]));
    if (!st) params_touch(p);
    free(found);
    return st;
}

static void close_file(void *f) {
    st_close(f);
}

status st_map_params(st_file *f, params *p, const char *path) {
    MUST(!p->grad && !p->file, "parameters of a training, or mapped already");
    const st_tensor **found;
    TRY(match_all(f, p, path, &found));
    bool fits = true; /* as f32 in memory */
    for (int64_t i = 0; i < p->n; i++)
        fits &= !strcmp(found[i]->dtype, "F32") && (uintptr_t)found[i]->at % sizeof(float) == 0;
    status st = OK;
    if (fits) {
        for (int64_t i = 0; i < p->n; i++) p->at[i].t->v = (float *)(uintptr_t)found[i]->at;
        free(p->value);
        p->value = NULL;
        p->file = f;
        p->close_file = close_file;
        params_touch(p);
    } else {
        st = st_load_params(f, p, path);
        if (!st) st_close(f);
    }
    free(found);
    return st;
}

status st_load_moments(const st_file *f, params *p, adamw *o, const char *path) {
    MUST(p->grad, "moments into parameters built without gradients");
    const char *step = st_meta(f, "adamw_step");
    if (!step) FAIL(ERR_FORMAT, "%s: no optimizer state is in this file", path);
    const st_tensor **found = xcalloc(2 * (size_t)p->n + 1, sizeof *found);
    status st = OK;
    for (int64_t i = 0; i < p->n && !st; i++) {
        st = match(f, "m.", &p->at[i], path, &found[2 * i]);
        if (!st) st = match(f, "v.", &p->at[i], path, &found[2 * i + 1]);
    }
    for (int64_t i = 0; i < p->n && !st; i++) {
        const param *x = &p->at[i];
        st = st_copy_f32(found[2 * i], p->m + x->at, param_size(x));
        if (!st) st = st_copy_f32(found[2 * i + 1], p->v + x->at, param_size(x));
    }
    if (!st) o->step = strtoll(step, NULL, 10);
    free(found);
    return st;
}
