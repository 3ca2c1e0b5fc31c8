#ifndef RAGLAN_DATA_NPY_H
#define RAGLAN_DATA_NPY_H
/* Arrays of int32 in NumPy's .npy format (version 1.0, C order, little-endian), row by row: the
 * number of rows need not be known beforehand, and memory does not grow with them. */
#include "util/mem.h"

typedef struct npy npy;
/* row: the lengths of the dimensions behind the first, [n_row] of them, at most 2. The array
 * appears under path when it is closed. */
status npy_open(const char *path, const int64_t *row, int n_row, npy **out);
status npy_add(npy *a, const int32_t *row); /* one row, whole */
int64_t npy_rows(const npy *a);
status npy_close(npy *a);
void npy_abort(npy *a); /* nothing appears; NULL is a no-op */
#endif
