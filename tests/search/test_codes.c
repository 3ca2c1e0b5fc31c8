/* The bound on which exact search rests: no score lies outside its interval, no row that counts
 * is below its limit, whatever the data. */
#include "search/codes.h"

#include <math.h>

#include "hard.h"
#include "help.h"

enum { QUERIES = 5, DIM_MAX = 300 };

static const int64_t dims[] = {1, 2, 3, 15, 16, 17, 63, 64, 65, 129, 300};

/* The dot as the scan sees it. */
static int32_t plain_dot(const code_queries *c, int64_t i, const uint8_t *block, int64_t row) {
    int32_t sum = 0;
    for (int64_t d = 0; d < c->width; d++)
        sum += block[d / 4 * (4 * SCAN_ROWS) + 4 * row + d % 4] * c->q[i * c->width + d];
    return sum;
}

/* Of each pair: the score in its interval; the dot at its limit where the floor is the score. */
static void check_block(const float *q, const float *rows, int64_t dim, int query_max) {
    static uint8_t block[SCAN_ROWS * (DIM_MAX + SCAN_DIMS)];
    code_bound bound;
    code_queries c;
    codes_make(rows, SCAN_ROWS, dim, block, &bound);
    code_queries_init(&c, q, QUERIES, dim, query_max);
    for (int64_t r = 0; r < SCAN_ROWS; r++) {
        float score[SCAN_QUERIES] = {0};
        int32_t limit[SCAN_QUERIES];
        for (int64_t i = 0; i < QUERIES; i++)
            score[i] = codes_score(q + i * dim, rows + r * dim, dim);
        codes_limits(&c, &bound, score, limit);
        for (int64_t i = 0; i < QUERIES; i++) {
            float low, high;
            int32_t dot = plain_dot(&c, i, block, r);
            codes_range(&c, i, &bound, dot, &low, &high);
            assert_true(dot >= limit[i]);
            if (isnan(score[i])) assert_true(low == -INFINITY);
            if (!isnan(score[i])) assert_true(low <= score[i] && score[i] <= high);
        }
    }
    code_queries_clear(&c);
}

static void no_score_lies_outside_its_interval(void **state) {
    (void)state;
    static float q[QUERIES * DIM_MAX], rows[SCAN_ROWS * DIM_MAX];
    rng r = rng_new(1);
    for (int of_rows = 0; of_rows < HARD_KINDS; of_rows++)
        for (int of_query = 0; of_query < HARD_KINDS; of_query++)
            for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
                hard_rows(&r, (enum hard_kind)of_rows, SCAN_ROWS, dims[i], rows);
                hard_rows(&r, (enum hard_kind)of_query, QUERIES, dims[i], q);
                check_block(q, rows, dims[i], 63);
                check_block(q, rows, dims[i], 127);
            }
}

/* Rows that bytes hold exactly leave only the query's rounding, and the interval is narrow. */
static void unit_vectors_have_narrow_intervals(void **state) {
    (void)state;
    enum { DIM = 64 };
    static float q[QUERIES * DIM], rows[SCAN_ROWS * DIM];
    static uint8_t block[SCAN_ROWS * DIM];
    rng r = rng_new(2);
    code_bound bound;
    code_queries c;
    hard_rows(&r, HARD_NORMAL, SCAN_ROWS, DIM, rows);
    hard_rows(&r, HARD_NORMAL, QUERIES, DIM, q);
    for (int64_t i = 0; i < SCAN_ROWS * DIM; i++) rows[i] /= 8; /* about unit length */
    for (int64_t i = 0; i < QUERIES * DIM; i++) q[i] /= 8;
    codes_make(rows, SCAN_ROWS, DIM, block, &bound);
    code_queries_init(&c, q, QUERIES, DIM, 63);
    float low, high;
    codes_range(&c, 0, &bound, plain_dot(&c, 0, block, 0), &low, &high);
    assert_true(high - low < .1f); /* scores of such vectors spread by .125 around 0 */
    assert_true(bound.residual < .02f);
    code_queries_clear(&c);
}

static void rows_that_are_not_there_are_zeros(void **state) {
    (void)state;
    static uint8_t block[SCAN_ROWS * SCAN_DIMS];
    float row[3] = {1, -1, .5f};
    code_bound bound;
    codes_make(row, 1, 3, block, &bound);
    assert_int_equal(block[0], 255); /* 127 + 128 */
    assert_int_equal(block[1], 1);
    assert_int_equal(block[2], 192); /* 63.5 is rounded away from zero */
    for (int i = 3; i < SCAN_ROWS * SCAN_DIMS; i++) assert_int_equal(block[i], 128);
    assert_true(bound.scale == 1.f / 127);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_score_lies_outside_its_interval),
        cmocka_unit_test(unit_vectors_have_narrow_intervals),
        cmocka_unit_test(rows_that_are_not_there_are_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
