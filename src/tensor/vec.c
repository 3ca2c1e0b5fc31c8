/* Vector loops in parallel pieces. The cut depends on sizes alone and every element belongs
 * to one piece, so the bytes do not depend on who runs it. */
#include "tensor/tensor_int.h"

#include <string.h>

#define COLUMNS   1024 /* whose sums down the rows stay in L1 */
#define PART_ROWS 512  /* a piece where a reduction runs down the rows */

typedef struct vec_job {
    const backend *be;
    int64_t cols;
    float s;
    const float *x;
    const bf16 *x16;
    float *y;
} vec_job;

int64_t rows_grain(int64_t cols) {
    return cols >= PIECE ? 1 : PIECE / (cols > 0 ? cols : 1);
}

static void zero_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    vec_job *j = arg;
    memset(j->y + begin, 0, (size_t)(end - begin) * sizeof *j->y);
}

void vec_zero(int64_t n, float *y) {
    vec_job j = {.y = y};
    par_range(n, 4 * PIECE, zero_piece, &j);
}

static void copy_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    vec_job *j = arg;
    memcpy(j->y + begin, j->x + begin, (size_t)(end - begin) * sizeof *j->y);
}

void vec_copy(int64_t n, const float *x, float *y) {
    vec_job j = {.x = x, .y = y};
    par_range(n, 4 * PIECE, copy_piece, &j);
}

static void scale_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    vec_job *j = arg;
    for (int64_t i = begin; i < end; i++) j->y[i] = j->s * j->x[i];
}

void vec_scale(int64_t n, float s, const float *x, float *y) {
    vec_job j = {.s = s, .x = x, .y = y};
    par_range(n, PIECE, scale_piece, &j);
}

static void add_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    vec_job *j = arg;
    j->be->add(end - begin, j->x + begin, j->y + begin);
}

void vec_add(const backend *be, int64_t n, const float *x, float *y) {
    vec_job j = {.be = be, .x = x, .y = y};
    par_range(n, PIECE, add_piece, &j);
}

static void add_scaled_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    vec_job *j = arg;
    j->be->add_scaled(end - begin, j->s, j->x + begin, j->y + begin);
}

void vec_add_scaled(const backend *be, int64_t n, float s, const float *x, float *y) {
    vec_job j = {.be = be, .s = s, .x = x, .y = y};
    par_range(n, PIECE, add_scaled_piece, &j);
}

/* Rows begin..end-1, as they lie in memory; f32 sums of up to 32 rows at a time, so that the error
 * grows with rows / 32, not rows. */
static void columns_piece(void *arg, int64_t begin, int64_t end, int worker) {
    (void)worker;
    vec_job *j = arg;
    float sum[COLUMNS], wide[COLUMNS], *part = j->y + begin / PART_ROWS * j->cols;
    memset(part, 0, (size_t)j->cols * sizeof *part);
    for (int64_t first = begin; first < end; first += 32)
        for (int64_t c = 0; c < j->cols; c += COLUMNS) {
            int64_t n = j->cols - c < COLUMNS ? j->cols - c : COLUMNS;
            memset(sum, 0, (size_t)n * sizeof *sum);
            for (int64_t r = first; r < end && r < first + 32; r++) {
                int64_t at = r * j->cols + c;
                if (j->x16) j->be->widen(n, j->x16 + at, wide);
                j->be->add(n, j->x16 ? wide : j->x + at, sum);
            }
            j->be->add(n, sum, part + c);
        }
}

void vec_add_columns(graph *g, int64_t rows, int64_t cols, const float *x, const bf16 *x16,
                     float *y) {
    int64_t n = (rows + PART_ROWS - 1) / PART_ROWS;
    float *parts = graph_take(g, n * cols);
    vec_job j = {.be = g->be, .cols = cols, .x = x, .x16 = x16, .y = parts};
    par_range(rows, PART_ROWS, columns_piece, &j);
    for (int64_t i = 0; i < n; i++) g->be->add(cols, parts + i * cols, y);
    graph_give(g, parts, n * cols);
}

double vec_dot(int64_t n, const float *x, const float *y) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * y[i];
    return sum;
}

/* ---- spans ---- */

void spans_check(const char *op, spans s, int64_t rows) {
    for (int64_t i = 0; i < s.n; i++) {
        span at = s.at[i];
        MUST(0 <= at.begin && at.begin <= at.end && at.end <= rows,
             "%s: span %" PRId64 " is %" PRId64 "..%" PRId64 ", the tensor has %" PRId64 " rows",
             op, i, at.begin, at.end, rows);
    }
}

bool spans_disjoint(spans s) {
    for (int64_t i = 1; i < s.n; i++)
        if (s.at[i].begin < s.at[i - 1].end) return false;
    return true;
}

bool spans_cover(spans s, int64_t rows) {
    int64_t covered = 0;
    for (int64_t i = 0; i < s.n; i++) covered += s.at[i].end - s.at[i].begin;
    return covered == rows && spans_disjoint(s);
}
