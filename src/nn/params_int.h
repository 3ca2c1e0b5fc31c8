#ifndef RAGLAN_NN_PARAMS_INT_H
#define RAGLAN_NN_PARAMS_INT_H
/* The inside of params, shared by params.c, adamw.c and safetensors.c. */
#include "nn/params.h"

typedef struct param {
    char *name;
    tensor *t;  /* v and d point into the flat arrays once built */
    int64_t at; /* first element in the flat arrays, a multiple of 16 (64 bytes) */
    param_options o;
} param;

struct params {
    param *at;
    int64_t n, cap;
    bool is_built;
    int64_t flat;        /* elements of each flat array, gaps of alignment included */
    float *value;        /* [flat] */
    float *grad, *m, *v; /* [flat] each, gaps are zero for ever; NULL without gradients */
};

static inline int64_t param_size(const param *x) {
    return x->t->rows * x->t->cols;
}

#endif
