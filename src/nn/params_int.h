#ifndef RAGLAN_NN_PARAMS_INT_H
#define RAGLAN_NN_PARAMS_INT_H
/* The inside of params, shared by params.c, adamw.c, muon.c and st_params.c. */
#include "nn/params.h"

typedef struct param {
    char *name;
    tensor *t;  /* once built v lies in `value`, or in the mapped file, and d in `grad` */
    int64_t at; /* first element in the flat arrays, a multiple of 16 (64 bytes) */
    param_options o;
} param;

struct params {
    param *at;
    int64_t n, cap;
    bool is_built;
    int64_t flat; /* elements of each flat array, gaps of alignment included */
    float *value; /* [flat]; NULL when the values are a file's own bytes: */
    void *file;   /* its mapping, given back by close_file; NULL: none */
    void (*close_file)(void *file);
    float *grad, *m, *v; /* [flat] each, gaps are zero for ever; NULL without gradients */
    float *scratch; /* what muon_step needs for the largest hidden matrix; NULL: there is none */
};

/* One Muon step of a matrix; a->beta* are not used. scratch: muon_scratch_size floats. */
void muon_step(const backend *be, const adamw_args *a, int64_t rows, int64_t cols,
               const float *grad, float *m, float *p, float *scratch);
int64_t muon_scratch_size(int64_t rows, int64_t cols);

static inline int64_t param_size(const param *x) {
    return x->t->rows * x->t->cols;
}

#endif
