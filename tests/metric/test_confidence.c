/* Bootstrap intervals and the calibration of confidences. */
#include "cmocka_all.h"

#include <math.h>

#include "metric/bootstrap.h"
#include "metric/calibration.h"

static void an_interval_is_as_wide_as_theory_says(void **state) {
    (void)state;
    double x[400]; /* half 0, half 1: the mean's deviation is .5 / sqrt(400) = .025 */
    for (int i = 0; i < 400; i++) x[i] = i % 2;
    interval v = bootstrap_mean(x, 400, 0.95, 2000, 7);
    assert_float_equal(v.low, 0.5 - 1.96 * 0.025, 0.006);
    assert_float_equal(v.middle, 0.5, 0.004);
    assert_float_equal(v.high, 0.5 + 1.96 * 0.025, 0.006);
}

static void the_same_seed_gives_the_same_interval(void **state) {
    (void)state;
    double x[50];
    for (int i = 0; i < 50; i++) x[i] = i * i % 7;
    interval a = bootstrap_mean(x, 50, 0.95, 500, 1), b = bootstrap_mean(x, 50, 0.95, 500, 1);
    interval c = bootstrap_mean(x, 50, 0.95, 500, 2);
    assert_true(a.low == b.low && a.high == b.high);
    assert_true(a.low != c.low || a.high != c.high);
}

static void constants_have_no_width(void **state) {
    (void)state;
    double x[3] = {4, 4, 4};
    interval v = bootstrap_mean(x, 3, 0.9, 100, 1);
    assert_true(v.low == 4 && v.middle == 4 && v.high == 4);
    v = bootstrap_mean(x, 0, 0.9, 100, 1);
    assert_true(v.low == 0 && v.high == 0);
}

static void a_paired_difference_sees_what_single_means_hide(void **state) {
    (void)state;
    double a[100], b[100];
    for (int i = 0; i < 100; i++) {
        b[i] = i % 10;
        a[i] = b[i] + 0.5; /* always a little better */
    }
    interval v = bootstrap_difference(a, b, 100, 0.95, 500, 3);
    assert_float_equal(v.low, 0.5, 1e-12);
    assert_float_equal(v.high, 0.5, 1e-12);
    assert_true(bootstrap_mean(a, 100, 0.95, 500, 3).low <
                bootstrap_mean(b, 100, 0.95, 500, 3).high);
}

static const double confidence[] = {0.95, 0.9, 0.9, 0.6, 0.55, 0.1};
static const bool right[] = {true, true, false, true, false, false};

static void ece_weighs_the_gap_of_each_bin(void **state) {
    (void)state;
    /* bins of .2: [.8,1] 2 of 3 right at .9167, [.6,.8) 1 of 1 at .6, [.4,.6) 0 of 1 at .55,
     * [0,.2) 0 of 1 at .1 */
    assert_float_equal(calibration_ece(confidence, right, 6, 5), (0.75 + 0.4 + 0.55 + 0.1) / 6,
                       1e-12);
    const double sure[] = {1, 1, 0};
    const bool all_as_said[] = {true, true, false};
    assert_float_equal(calibration_ece(sure, all_as_said, 3, 10), 0, 1e-12);
    assert_float_equal(calibration_ece(NULL, NULL, 0, 10), 0, 0);
}

static void auroc_counts_pairs_and_halves_ties(void **state) {
    (void)state;
    /* of 3 x 3 pairs: .95 beats 3; .9 beats 2 and ties 1; .6 beats 2 */
    assert_float_equal(calibration_auroc(confidence, right, 6), 7.5 / 9, 1e-12);
    const double same[] = {0.5, 0.5};
    const bool mixed[] = {true, false}, both[] = {true, true};
    assert_float_equal(calibration_auroc(same, mixed, 2), 0.5, 1e-12);
    assert_true(isnan(calibration_auroc(same, both, 2)));
}

static void coverage_goes_as_far_as_the_accuracy_holds(void **state) {
    (void)state;
    assert_float_equal(calibration_coverage(confidence, right, 6, 0.9), 1.0 / 6, 1e-12);
    assert_float_equal(calibration_coverage(confidence, right, 6, 0.75), 4.0 / 6,
                       1e-12); /* 3 of 4 */
    assert_float_equal(calibration_coverage(confidence, right, 6, 0.5), 1, 1e-12);
    const bool none[] = {false, false};
    assert_float_equal(calibration_coverage(confidence, none, 2, 0.9), 0, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_interval_is_as_wide_as_theory_says),
        cmocka_unit_test(the_same_seed_gives_the_same_interval),
        cmocka_unit_test(constants_have_no_width),
        cmocka_unit_test(a_paired_difference_sees_what_single_means_hide),
        cmocka_unit_test(ece_weighs_the_gap_of_each_bin),
        cmocka_unit_test(auroc_counts_pairs_and_halves_ties),
        cmocka_unit_test(coverage_goes_as_far_as_the_accuracy_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
