#ifndef RAGLAN_SEARCH_CODES_H
#define RAGLAN_SEARCH_CODES_H
/* Vectors as bytes, a quarter of what there is to read, and how wrong they can be.
 *
 * A block of 64 rows shares one scale s: x is nearly s c, c whole numbers in -127..127, stored
 * as c + 128. A query has its own: q is nearly t b, b in -127..127, or -63..63 as some kernels
 * want. Then s t (c.b) is nearly x.q, and by Cauchy and Schwarz
 *
 *   |x.q - s t (c.b)|  =  |(x - s c).q + s c.(q - t b)|  <=  |x - s c| |q| + |s c| |q - t b|
 *
 * The two norms on the right that belong to rows are kept for each block as the largest of its
 * rows, measured when the bytes are made, so that the bound is a fact about these rows and not about
 * rounding in general. What is ranked is the f32 sum of codes_score, not the real number x.q; their
 * difference (Higham 2002, sec. 3.1: n u |x| |q|, n the additions in a row) and what gets lost
 * below the smallest f32 are added. Where anything overflows, the bound is infinite: such rows
 * are always looked at.
 *
 * So the f32 score of row r lies in estimate +- error, and a row whose estimate + error is below
 * k scores already known cannot be among the best k. That is a proof for each row left out,
 * whatever the data: bytes decide only how many rows f32 has to look at. */
#include "tensor/scan.h"

/* What holds for all rows of a block; stored as it is. */
typedef struct code_bound {
    float scale;
    float residual; /* largest |x - s c| */
    float norm;     /* largest of |x| and |s c| */
} code_bound;

/* The score: an inner product summed in 16 lanes which are then added pairwise, in plain IEEE
 * multiplications and additions (no fused ones), so that it has the same bits with SSE, AVX2 or
 * AVX-512. */
float codes_score(const float *q, const float *row, int64_t dim);

/* Bytes of a row: dim up to a multiple of SCAN_DIMS. */
int64_t codes_width(int64_t dim);
int64_t codes_blocks(int64_t n); /* of n rows */
/* One block [SCAN_ROWS * codes_width(dim)] of n <= SCAN_ROWS rows [n, dim]; the rest of it is
 * zeros. Same bytes on every processor. */
void codes_make(const float *rows, int64_t n, int64_t dim, uint8_t *block, code_bound *bound);

/* Some queries as the scan wants them. Arrays have room for n up to SCAN_QUERIES. */
typedef struct code_queries {
    int64_t n, width;
    int8_t *q;                      /* [n, width] */
    float *scale, *norm, *residual; /* [n] t, |q|, |q - t b| */
    int32_t *offset;                /* [n] 128 * sum of b: what storing c + 128 adds to each dot */
    float share;                    /* of 4 |x| |q| that f32 sums may be wrong by */
} code_queries;
void code_queries_init(code_queries *c, const float *q, int64_t n, int64_t dim, int query_max);
void code_queries_clear(code_queries *c);

/* The dot that a row of the block must reach to have a score of at least floor[i] [n]. */
void codes_limits(const code_queries *c, const code_bound *b, const float *floor, int32_t *limit);
/* Where the score of a row with this dot lies, ends included. */
void codes_range(const code_queries *c, int64_t i, const code_bound *b, int32_t dot, float *low,
                 float *high);
#endif
