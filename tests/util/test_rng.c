/* Random numbers: the published sequence, and distributions by their moments. */
#include "util/rng.h"

#include <math.h>
#include <string.h>

#include "cmocka_all.h"

/* First outputs of xoshiro256** from the state 1, 2, 3, 4, as the authors' code gives them. */
static void the_sequence_is_the_published_one(void **state) {
    (void)state;
    rng r = {{1, 2, 3, 4}};
    assert_true(rng_next(&r) == 11520);
    assert_true(rng_next(&r) == 0);
    assert_true(rng_next(&r) == 1509978240);
    assert_true(rng_next(&r) == 1215971899390074240);
}

/* splitmix64 from 0: e220a8397b1dcdaf is its well-known first output. */
static void the_seed_goes_through_splitmix64(void **state) {
    (void)state;
    assert_true(rng_new(0).s[0] == 0xe220a8397b1dcdafu);
    assert_true(rng_new(0).s[1] == 0x6e789e6aa1b965f4u);
}

static void below_is_uniform_and_in_range(void **state) {
    (void)state;
    rng r = rng_new(42);
    int seen[7] = {0};
    for (int i = 0; i < 70000; i++) {
        int64_t x = rng_below(&r, 7);
        assert_in_range(x, 0, 6);
        seen[x]++;
    }
    for (int i = 0; i < 7; i++) assert_in_range(seen[i], 9600, 10400); /* 4.3 deviations */
    assert_int_equal(rng_below(&r, 1), 0);
    assert_true(rng_below(&r, INT64_MAX) >= 0);
}

static void uniform_and_normal_have_their_moments(void **state) {
    (void)state;
    rng r = rng_new(7);
    enum { N = 100000 };
    double u = 0, sum = 0, squares = 0;
    for (int i = 0; i < N; i++) {
        double x = rng_uniform(&r), y = rng_normal(&r);
        assert_true(x >= 0 && x < 1);
        u += x;
        sum += y;
        squares += y * y;
    }
    assert_true(fabs(u / N - .5) < .004);
    assert_true(fabs(sum / N) < .013);
    assert_true(fabs(squares / N - 1) < .018);
}

static void a_shuffle_keeps_the_items(void **state) {
    (void)state;
    rng r = rng_new(3);
    int64_t items[50], sum = 0;
    int moved = 0;
    for (int i = 0; i < 50; i++) items[i] = i;
    rng_shuffle(&r, items, 50);
    for (int i = 0; i < 50; i++) sum += items[i], moved += items[i] != i;
    assert_int_equal(sum, 49 * 50 / 2);
    assert_true(moved > 40);
    rng_shuffle(&r, items, 0);
}

static void forks_differ_by_name_and_repeat_by_seed(void **state) {
    (void)state;
    rng a = rng_new(1), b = rng_new(1), c = rng_new(1);
    rng dropout = rng_fork(&a, "dropout"), again = rng_fork(&b, "dropout"),
        other = rng_fork(&c, "order");
    assert_memory_equal(&dropout, &again, sizeof again);
    assert_memory_equal(&a, &b, sizeof b); /* the parent moved by one draw whatever the name */
    assert_memory_equal(&a, &c, sizeof c);
    assert_true(rng_next(&dropout) != rng_next(&other));
}

static void a_copied_state_continues_alike(void **state) {
    (void)state;
    rng r = rng_new(5);
    rng_normal(&r);
    rng saved = r;
    double x = rng_normal(&r);
    assert_true(x == rng_normal(&saved)); /* nothing is cached outside the state */
}

static void the_stateless_hash_depends_on_seed_and_index(void **state) {
    (void)state;
    double mean = 0;
    for (uint64_t i = 0; i < 10000; i++) mean += (double)(rng_hash(42, i) >> 11) * 0x1p-53 / 10000;
    assert_true(fabs(mean - .5) < .012);
    assert_true(rng_hash(1, 0) != rng_hash(2, 0));
    assert_true(rng_hash(1, 0) != rng_hash(1, 1));
    assert_true(rng_hash(1, 5) == rng_hash(1, 5));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sequence_is_the_published_one),
        cmocka_unit_test(the_seed_goes_through_splitmix64),
        cmocka_unit_test(below_is_uniform_and_in_range),
        cmocka_unit_test(uniform_and_normal_have_their_moments),
        cmocka_unit_test(a_shuffle_keeps_the_items),
        cmocka_unit_test(forks_differ_by_name_and_repeat_by_seed),
        cmocka_unit_test(a_copied_state_continues_alike),
        cmocka_unit_test(the_stateless_hash_depends_on_seed_and_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
