/* Bytes of rows and queries, and the arithmetic of the bound, which is rounded away from the
 * truth wherever it is rounded. See codes.h. */
#include "search/codes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "util/mem.h"

enum { ROW_MAX = 127, ZERO = 128, LANES = 16 };
/* No scale is smaller: its reciprocal is a number, and scores of such rows are lost in TINY. */
#define SCALE_MIN 1e-30f
/* More than all underflows of a sum of 65,536 products (2^-150 each) and of a bound. */
#define TINY 1e-36f
/* Of a sum of positive numbers in f64, and of its rounding to f32: a generous bound. */
#define UP (1 + 1e-6)

/* ---- the score ---- */

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef float lanes_8 __attribute__((vector_size(8 * sizeof(float))));
typedef float lanes_4 __attribute__((vector_size(4 * sizeof(float))));

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define FOR_EACH_CPU __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EACH_CPU
#endif

/* Adds the lanes pairwise: the upper half to the lower, until one is left. */
static inline __attribute__((always_inline)) float sum_of(const lanes *sum) {
    lanes_8 a, b;
    lanes_4 c, d;
    memcpy(&a, sum, sizeof a);
    memcpy(&b, (const char *)sum + sizeof a, sizeof b);
    a += b;
    memcpy(&c, &a, sizeof c);
    memcpy(&d, (const char *)&a + sizeof c, sizeof d);
    c += d;
    return (c[0] + c[2]) + (c[1] + c[3]);
}

FOR_EACH_CPU float codes_score(const float *q, const float *row, int64_t dim) {
    int64_t whole = dim - dim % LANES;
    lanes sum = {0}, a, b;
    for (int64_t d = 0; d < whole; d += LANES) {
        memcpy(&a, q + d, sizeof a);
        memcpy(&b, row + d, sizeof b);
        sum += a * b;
    }
    for (int64_t d = whole; d < dim; d++) sum[d - whole] += q[d] * row[d];
    return sum_of(&sum);
}

int64_t codes_width(int64_t dim) {
    return (dim + SCAN_DIMS - 1) / SCAN_DIMS * SCAN_DIMS;
}

int64_t codes_blocks(int64_t n) {
    return (n + SCAN_ROWS - 1) / SCAN_ROWS;
}

/* The scale that makes the largest of x `most`; infinity where there is none. */
static float scale_of(const float *x, int64_t n, int most) {
    float largest = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) return INFINITY;
        if (fabsf(x[i]) > largest) largest = fabsf(x[i]);
    }
    float scale = largest / (float)most;
    return scale > SCALE_MIN ? scale : SCALE_MIN;
}

/* x / scale as a whole number; the quotient of the largest may be rounded up past `most`. */
static int code_of(float x, float scale, int most) {
    float c = x / scale;
    int whole = (int)(c < 0 ? c - .5f : c + .5f);
    return whole > most ? most : whole < -most ? -most : whole;
}

/* The last term is for norms that f32 holds with fewer digits or not at all. */
static float norm_up(double sum_of_squares) {
    return (float)(sqrt(sum_of_squares) * UP) + 1e-37f;
}

/* ---- rows ---- */

static void row_make(const float *x, int64_t dim, uint8_t *at, code_bound *b) {
    double residual = 0, norm = 0, norm_coded = 0;
    for (int64_t d = 0; d < dim; d++) {
        int c = code_of(x[d], b->scale, ROW_MAX);
        double coded = (double)b->scale * c, lost = x[d] - coded;
        at[d / 4 * (4 * SCAN_ROWS) + d % 4] = (uint8_t)(c + ZERO);
        residual += lost * lost;
        norm += (double)x[d] * x[d];
        norm_coded += coded * coded;
    }
    b->residual = fmaxf(b->residual, norm_up(residual));
    b->norm = fmaxf(b->norm, norm_up(fmax(norm, norm_coded)));
}

void codes_make(const float *rows, int64_t n, int64_t dim, uint8_t *block, code_bound *bound) {
    code_bound b = {.scale = scale_of(rows, n * dim, ROW_MAX)};
    memset(block, ZERO, (size_t)(SCAN_ROWS * codes_width(dim)));
    if (isfinite(b.scale))
        for (int64_t r = 0; r < n; r++) row_make(rows + r * dim, dim, block + 4 * r, &b);
    else
        b = (code_bound){1, INFINITY, INFINITY};
    *bound = b;
}

/* ---- queries ---- */

static void query_make(code_queries *c, int64_t i, const float *x, int64_t dim, int most) {
    float scale = scale_of(x, dim, most);
    c->scale[i] = 1;
    c->norm[i] = c->residual[i] = INFINITY;
    if (!isfinite(scale)) return;
    double residual = 0, norm = 0;
    int32_t sum = 0;
    for (int64_t d = 0; d < dim; d++) {
        int b = code_of(x[d], scale, most);
        double lost = x[d] - (double)scale * b;
        c->q[i * c->width + d] = (int8_t)b;
        sum += b;
        residual += lost * lost;
        norm += (double)x[d] * x[d];
    }
    c->scale[i] = scale;
    c->norm[i] = norm_up(norm);
    c->residual[i] = norm_up(residual);
    c->offset[i] = ZERO * sum;
}

void code_queries_init(code_queries *c, const float *q, int64_t n, int64_t dim, int query_max) {
    size_t room = (size_t)(n + SCAN_QUERIES - 1) / SCAN_QUERIES * SCAN_QUERIES;
    *c = (code_queries){.n = n, .width = codes_width(dim)};
    c->q = xcalloc(room, (size_t)c->width);
    c->scale = xcalloc(room, sizeof *c->scale);
    c->norm = xcalloc(room, sizeof *c->norm);
    c->residual = xcalloc(room, sizeof *c->residual);
    c->offset = xcalloc(room, sizeof *c->offset);
    /* a product, dim / 16 additions in a lane and 4 of lanes; twice that to be generous */
    c->share = ldexpf((float)(dim / LANES + 8), -23) / 4;
    for (int64_t i = 0; i < n; i++) query_make(c, i, q + i * dim, dim, query_max);
}

void code_queries_clear(code_queries *c) {
    free(c->q);
    free(c->scale);
    free(c->norm);
    free(c->residual);
    free(c->offset);
    *c = (code_queries){0};
}

/* ---- the bound ---- */

typedef int32_t whole_lanes __attribute__((vector_size(LANES * sizeof(int32_t))));

/* 4 |x| |q| is formed first: it overflows before any f32 sum of x.q can. All is f32, with 2^-20 of
 * what is added kept on the safe side, which covers some eight roundings of 2^-24 each. dot >= (floor - error) / (s t) becomes a whole number by rounding down once more
 * than needed; what is no number becomes "any dot will do". */
FOR_EACH_CPU void codes_limits(const code_queries *c, const code_bound *b, const float *floor,
                               int32_t *limit) {
    const float most = 1.06e9f; /* more than any dot: 65,536 * 127 * 127 */
    float per_scale = 1 / b->scale;
    lanes top = most - (lanes){0};
    for (int64_t i = 0; i < c->n; i += LANES) {
        lanes wanted, norm, residual, scale;
        whole_lanes offset;
        memcpy(&wanted, floor + i, sizeof wanted);
        memcpy(&norm, c->norm + i, sizeof norm);
        memcpy(&residual, c->residual + i, sizeof residual);
        memcpy(&scale, c->scale + i, sizeof scale);
        memcpy(&offset, c->offset + i, sizeof offset);
        lanes error =
            b->residual * norm + b->norm * residual + 4 * b->norm * norm * c->share + TINY;
        lanes size = (lanes)((whole_lanes)wanted & INT32_MAX); /* |wanted| */
        lanes x = (wanted - error - (size + error) * 0x1p-20f) * per_scale / scale;
        x += x - x; /* no number where the divisions overflowed */
        whole_lanes over = x > most, within = x > -most; /* no number: neither */
        x = (lanes)((over & (whole_lanes)top) | (~over & (whole_lanes)x));
        x = (lanes)((within & (whole_lanes)x) | (~within & (whole_lanes)-top));
        whole_lanes least = __builtin_convertvector(x - 1, whole_lanes) + offset;
        memcpy(limit + i, &least, sizeof least);
    }
}

void codes_range(const code_queries *c, int64_t i, const code_bound *b, int32_t dot, float *low,
                 float *high) {
    double norm = c->norm[i], residual = c->residual[i];
    double estimate = (double)b->scale * c->scale[i] * (dot - c->offset[i]);
    double error = b->residual * norm + b->norm * residual + 4 * b->norm * norm * c->share + TINY;
    /* else sums in f32 may overflow */
    bool is_bounded = error + b->norm * norm + fabs(estimate) < 8e37;
    error += (fabs(estimate) + error) * 0x1p-20;
    *low = is_bounded ? (float)(estimate - error) : -INFINITY;
    *high = is_bounded ? (float)(estimate + error) : INFINITY;
}
