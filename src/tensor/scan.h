#ifndef RAGLAN_TENSOR_SCAN_H
#define RAGLAN_TENSOR_SCAN_H
/* Scanning rows of bytes for those that may matter: whole-number inner products of some queries
 * with a block of 64 rows, of which only those that reach a query's limit are written down.
 * search/codes.h says how vectors become bytes and why nothing is lost by it.
 *
 * All is whole numbers, so every kernel finds exactly what `ref` finds. A kernel belongs to a
 * family of backend.h and is taken where that family may be: RAGLAN_CPU=avx2 forbids the kernels
 * of avx512. */
#include "util/err.h"

enum {
    SCAN_ROWS = 64,    /* of a block */
    SCAN_DIMS = 64,    /* widths are multiples of it: zeros behind the vector's own */
    SCAN_QUERIES = 16, /* room for queries is a multiple of it: any values behind the last */
};

typedef struct scan_found {
    int32_t query, row; /* of those given, of the block */
    int32_t dot;
} scan_found;

/* One block against n queries.
 *
 *   q      [n up to SCAN_QUERIES, width]  not beyond the kernel's query_max
 *   block  [width / 4, SCAN_ROWS, 4]      0..255: dimension d of row r at [d / 4][r][d % 4]
 *   limit  [n]
 *   rows   bit r set: row r counts
 *   found  [n * SCAN_ROWS]                out: all (query, row) with dot >= limit[query], in no
 *                                         particular order
 *
 * Returns how many were found. */
typedef struct scan_job {
    int64_t n, width;
    const int8_t *q;
    const uint8_t *block;
    const int32_t *limit;
    uint64_t rows;
    scan_found *found;
} scan_job;

typedef struct scan_kernel {
    const char *name; /* "ref", "avx2", "avx_vnni", "avx512", "vnni", "amx" */
    int query_max;    /* a query's bytes lie in -query_max..query_max */
    int64_t (*find)(const scan_job *s);
} scan_kernel;

const scan_kernel *scan_best(void); /* of those that RAGLAN_CPU and the processor allow */
/* By name, for tests; NULL where this processor lacks it or nobody knows the name. */
const scan_kernel *scan_named(const char *name);

#endif
