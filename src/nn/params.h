#ifndef RAGLAN_NN_PARAMS_H
#define RAGLAN_NN_PARAMS_H
/* A model's parameters: named leaf tensors over flat arrays (values, gradients, AdamW's two
 * moments), so that clipping, the optimizer and the checkpoint are each one loop. A model that is
 * only read has no gradients, and a file's own bytes may be its values (st_map_params). */
#include "tensor/tensor.h"
#include "util/rng.h"

typedef enum init_kind {
    INIT_ZERO,
    INIT_ONE,
    INIT_NORMAL,     /* deviation = scale */
    INIT_UNIFORM,    /* [-scale, scale] */
    INIT_EYE,        /* scale on the main diagonal */
    INIT_NORMAL_EYE, /* normal of deviation scale, plus 1/2 on the main diagonal */
} init_kind;

typedef struct param_options {
    init_kind init;
    float scale;
    float lr;      /* factor on the learning rate; 0 is taken as 1 */
    bool no_decay; /* norms, biases, embeddings, temperatures */
    float min;     /* lower bound kept after each step when has_min */
    bool has_min;
    bool is_hidden; /* a matrix between hidden layers, which adamw.muon trains otherwise */
} param_options;

typedef struct params params;
params *params_new(void);
void params_free(params *p);
/* Registers a tensor; names are unique ("encoder.0.attend.wq"). The tensor is filled by
 * params_build and lives as long as p. */
tensor *params_add(params *p, const char *name, int64_t rows, int64_t cols, param_options o);
/* Allocates the flat arrays and draws the initial values, each tensor from its own stream
 * (forked by name: adding a tensor changes no other's values). with_grad: also gradients and
 * moments. */
status params_build(params *p, uint64_t seed, bool with_grad);
/* As a seed: nothing is drawn and no page is touched, because the values come from a file
 * (st_map_params, st_load_params). */
#define PARAMS_BLANK UINT64_MAX
tensor *params_find(const params *p, const char *name); /* NULL when absent */
int64_t params_count(const params *p);                  /* scalars */
int64_t params_tensors(const params *p);
tensor *params_at(const params *p, int64_t i, const char **name);
void params_zero_grad(params *p);
void params_touch(params *p); /* values were changed from outside: renew packs */

/* AdamW (Loshchilov & Hutter 2019) over the flat arrays, with Muon for hidden matrices if wished. */
typedef struct adamw {
    float lr, beta1, beta2, eps, weight_decay;
    float clip;           /* bound on the gradient's norm; 0: none */
    bool bias_correction; /* the origin has none */
    bool muon;    /* hidden matrices are trained by Muon (muon.c) at the same rate and decay */
    int64_t step; /* steps taken */
} adamw;
adamw adamw_default(void); /* 3e-4, .9, .999, 1e-8, 1e-5, clip 1, corrected */
/* One step with adamw.lr times each parameter's own factor; gradients are zeroed. Returns the
 * gradient norm before clipping (NaN when not finite: then nothing is changed). */
double adamw_step(adamw *o, params *p, const backend *be);

/* Linear warm-up over `warmup` steps from exactly 0, then constant; or flat to `flat` of `total`
 * and linear down to `floor` times lr. */
typedef struct schedule {
    float lr;
    int64_t warmup, total;
    float flat;  /* share of total with constant lr; 1: constant for ever (the origin) */
    float floor; /* last lr as a share of lr */
} schedule;
float schedule_lr(const schedule *s, int64_t step);

#endif
