/* How near to each other a passage holds a question's tokens. */
#include "search/nearness.h"

#include "help.h"

static near_question question(void) {
    near_question q = {0};
    near_add(&q, 5, 1);
    near_add(&q, 6, 2);
    near_add(&q, 5, 9); /* there already */
    near_add(&q, 7, 4);
    return q;
}

static void each_token_counts_once(void **state) {
    (void)state;
    near_question q = question();
    assert_int_equal(q.n, 3);
    assert_float_equal(nearness(&q, (int32_t[]){5, 5, 1, 6, 5}, 5), 1 + 2, 0);
    assert_float_equal(nearness(&q, (int32_t[]){1, 2, 3}, 3), 0, 0);
    assert_float_equal(nearness(&q, NULL, 0), 0, 0);
    near_question none = {0};
    assert_float_equal(nearness(&none, (int32_t[]){5, 6}, 2), 0, 0);
}

/* 5 at the beginning, 7 at distance: within the window's twelve tokens, or one too far. */
static void only_what_lies_in_one_window_adds_up(void **state) {
    (void)state;
    near_question q = question();
    int32_t ids[40] = {5};
    ids[NEAR_WINDOW - 1] = 7;
    assert_float_equal(nearness(&q, ids, 40), 1 + 4, 0);
    ids[NEAR_WINDOW - 1] = 0;
    ids[NEAR_WINDOW] = 7;
    assert_float_equal(nearness(&q, ids, 40), 4, 0);
    ids[NEAR_WINDOW + 3] = 6; /* 5 has left, 6 and 7 are together */
    assert_float_equal(nearness(&q, ids, 40), 4 + 2, 0);
}

/* The same by looking at every window from its beginning. */
static double by_hand(const near_question *q, const int32_t *ids, int n) {
    double best = 0;
    for (int begin = 0; begin < n; begin++) {
        double sum = 0;
        for (int i = 0; i < q->n; i++)
            for (int k = begin; k < n && k < begin + NEAR_WINDOW; k++)
                if (ids[k] == q->id[i]) {
                    sum += q->weight[i];
                    break;
                }
        if (sum > best) best = sum;
    }
    return best;
}

static void it_is_the_best_of_all_windows(void **state) {
    (void)state;
    uint32_t x = 1;
    for (int round = 0; round < 200; round++) {
        near_question q = {0};
        int32_t ids[50];
        for (int i = 0; i < 6; i++) near_add(&q, i, (float)(1 << i));
        for (int i = 0; i < 50; i++) {
            x = x * 1664525u + 1013904223u;
            ids[i] = (int32_t)(x >> 16) % 25;
        }
        assert_float_equal(nearness(&q, ids, 50), by_hand(&q, ids, 50), 0);
    }
}

static void a_long_question_is_looked_at_in_part(void **state) {
    (void)state;
    near_question q = {0};
    for (int32_t i = 0; i < NEAR_MOST + 9; i++) near_add(&q, i, 1);
    assert_int_equal(q.n, NEAR_MOST);
    assert_float_equal(nearness(&q, (int32_t[]){NEAR_MOST - 1, NEAR_MOST}, 2), 1, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_token_counts_once),
        cmocka_unit_test(only_what_lies_in_one_window_adds_up),
        cmocka_unit_test(it_is_the_best_of_all_windows),
        cmocka_unit_test(a_long_question_is_looked_at_in_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
