/* Fusion: the arithmetic, and the choice of weights. */
#include "search/fusion.h"

#include "help.h"
#include "util/par.h"

/* The last has no vector: its dense score counts 0. */
static candidate THREE[] = {
    {.id = 1, .bm25 = 4, .dense = .2f, .has_dense = true},
    {.id = 5, .bm25 = 2, .dense = .8f, .has_dense = true},
    {.id = 9, .bm25 = 0, .dense = .5f, .has_dense = false},
};

static void the_sum_weighs_bm25_and_dense(void **state) {
    (void)state;
    fusion_pool p = {.c = THREE, .n = 3};
    fusion_score(&(fusion){.mode = FUSION_SUM, .lambda = 1}, &p);
    assert_float_equal(THREE[0].score, 4.2, 1e-6);
    assert_float_equal(THREE[1].score, 2.8, 1e-6);
    assert_float_equal(THREE[2].score, 0, 1e-6);
    fusion_score(&(fusion){.mode = FUSION_SUM, .lambda = 5}, &p);
    assert_float_equal(THREE[0].score, 5, 1e-6);
    assert_float_equal(THREE[1].score, 6, 1e-6);
}

static void without_a_lexical_hit_the_dense_score_decides(void **state) {
    (void)state;
    candidate c[] = {{.id = 1, .dense = -.5f, .has_dense = true},
                     {.id = 2, .dense = .25f, .has_dense = true}};
    fusion_pool p = {.c = c, .n = 2};
    fusion_score(&(fusion){.lambda = 2}, &p);
    assert_float_equal(c[0].score, -1, 1e-6);
    assert_float_equal(c[1].score, .5, 1e-6);
}

static void rank_fusion_adds_reciprocal_ranks_where_there_is_a_rank(void **state) {
    (void)state;
    fusion_pool p = {.c = THREE, .n = 3};
    fusion_score(&(fusion){.mode = FUSION_RRF}, &p);
    assert_float_equal(THREE[0].score, 1. / 61 + 1. / 62, 1e-7);
    assert_float_equal(THREE[1].score, 1. / 62 + 1. / 61, 1e-7);
    assert_float_equal(THREE[2].score, 0, 1e-7);
}

static void the_best_neighbour_lends_a_share_of_its_own_score(void **state) {
    (void)state;
    /* 1 - 5 are neighbours, 5 - 9 too; shares are of scores before smoothing. */
    const int32_t begin[] = {0, 1, 3, 4}, neighbour[] = {1, 0, 2, 1};
    fusion_pool p = {.c = THREE, .n = 3, .begin = begin, .neighbour = neighbour};
    fusion_score(&(fusion){.lambda = 1, .share = .1}, &p);
    assert_float_equal(THREE[0].score, 4.2 + .28, 1e-6);
    assert_float_equal(THREE[1].score, 2.8 + .42, 1e-6);
    assert_float_equal(THREE[2].score, 0 + .28, 1e-6);
}

static void nearness_counts_in_the_sum_alone(void **state) {
    (void)state;
    float near[] = {0, 10, 20};
    fusion_pool p = {.c = THREE, .n = 3, .near = near};
    fusion_score(&(fusion){.lambda = 1, .near = .2}, &p);
    assert_float_equal(THREE[0].score, 4.2, 1e-6);
    assert_float_equal(THREE[1].score, 2.8 + 2, 1e-6);
    assert_float_equal(THREE[2].score, 0 + 4, 1e-6);
    fusion_score(&(fusion){.mode = FUSION_RRF, .near = .2}, &p);
    assert_float_equal(THREE[1].score, 1. / 62 + 1. / 61, 1e-7);
}

/* The last of 51 is as near as can be, but nobody looks. */
static void nearness_is_for_the_best_fifty(void **state) {
    (void)state;
    candidate c[NEAR_DEPTH + 1];
    float near[NEAR_DEPTH + 1] = {0};
    for (int i = 0; i <= NEAR_DEPTH; i++) c[i] = (candidate){.id = i, .bm25 = 100 - (float)i};
    near[NEAR_DEPTH] = near[NEAR_DEPTH - 1] = 1000;
    fusion_score(&(fusion){.near = 1}, &(fusion_pool){.c = c, .n = NEAR_DEPTH + 1, .near = near});
    assert_float_equal(c[NEAR_DEPTH - 1].score, 51 + 1000, 1e-4);
    assert_float_equal(c[NEAR_DEPTH].score, 50, 1e-4);
}

static void the_top_is_sorted_with_ties_to_the_smaller_id(void **state) {
    (void)state;
    candidate c[] = {{.id = 3, .score = 1}, {.id = 4, .score = 2}, {.id = 8, .score = 2}};
    fusion_pool p = {.c = c, .n = 3};
    hit hits[5];
    assert_int_equal(fusion_top(&p, 5, hits), 3);
    assert_int_equal(hits[0].id, 4);
    assert_int_equal(hits[1].id, 8);
    assert_int_equal(hits[2].id, 3);
    assert_int_equal(fusion_top(&p, 1, hits), 1);
    assert_int_equal(hits[0].id, 4);
}

/* ---- tuning ---- */

/* 40 questions of 20 candidates; the relevant one is first by bm25 in 20 of them, by the dense
 * score in the others, and the side that is wrong puts a decoy in front by a little. */
static void two_sided_questions(fusion_pool pools[40], candidate c[40][20],
                                uint8_t relevant[40][20]) {
    for (int q = 0; q < 40; q++) {
        memset(relevant[q], 0, 20);
        for (int i = 0; i < 20; i++)
            c[q][i] = (candidate){.id = i, .bm25 = 1, .dense = .1f, .has_dense = true};
        bool lexical_wins = q % 2;
        relevant[q][7] = 1;
        c[q][7].bm25 = lexical_wins ? 10 : 8;
        c[q][7].dense = lexical_wins ? .4f : .7f;
        c[q][3].bm25 = lexical_wins ? 5 : 10; /* the decoy */
        c[q][3].dense = .5f;
        pools[q] = (fusion_pool){.c = c[q], .n = 20, .relevant = relevant[q]};
    }
}

static void tuning_finds_the_weight_that_serves_both_sides(void **state) {
    (void)state;
    static candidate c[40][20];
    static uint8_t relevant[40][20];
    fusion_pool pools[40];
    fusion f = {.mode = FUSION_SUM, .lambda = .1, .share = .05, .reach = 5};
    fusion_tuning t;
    two_sided_questions(pools, c, relevant);
    fusion_tune(pools, 40, &f, &t);
    /* dense questions: 8 + .7 l > 10 + .5 l, so l > 10; lexical ones: 10 + .4 l > 5 + .5 l, so l < 50
     */
    assert_float_equal(f.lambda, 11, 1e-9);
    assert_float_equal(f.share, 0, 1e-9); /* no neighbours: the first of equals */
    assert_int_equal(f.reach, 5);
    assert_float_equal(t.mrr, 1, 1e-9);
    assert_float_equal(t.mrr_default, .75, 1e-9);
    assert_float_equal(t.mrr_bm25, .75, 1e-9);
    assert_float_equal(t.mrr_dense, .75, 1e-9);
}

/* All but two of the questions are content with what was given: a gain that small may be luck. */
static void tuning_keeps_what_was_given_where_little_is_gained(void **state) {
    (void)state;
    static candidate c[40][20];
    static uint8_t relevant[40][20];
    fusion_pool pools[40];
    two_sided_questions(pools, c, relevant);
    for (int q = 4; q < 40; q += 2) /* dense questions become lexical ones */
        memcpy(c[q], c[1], sizeof c[q]);
    fusion f = {.mode = FUSION_SUM, .lambda = .1, .share = .05, .reach = 5};
    fusion_tuning t;
    fusion_tune(pools, 40, &f, &t);
    assert_float_equal(f.lambda, .1, 1e-9);
    assert_float_equal(f.share, .05, 1e-9);
    assert_float_equal(t.mrr, t.mrr_default, 1e-9);
    assert_float_equal(t.mrr, 39. / 40, 1e-9); /* two answers are second */
}

static void tuning_does_not_depend_on_threads(void **state) {
    (void)state;
    static candidate c[40][20];
    static uint8_t relevant[40][20];
    fusion_pool pools[40];
    fusion a = fusion_default, b = fusion_default;
    fusion_tuning ta, tb;
    two_sided_questions(pools, c, relevant);
    par_threads_set(1);
    fusion_tune(pools, 40, &a, &ta);
    par_threads_set(4);
    fusion_tune(pools, 40, &b, &tb);
    par_threads_set(0);
    assert_true(a.lambda == b.lambda && a.share == b.share && ta.mrr == tb.mrr);
}

static void tuning_without_questions_changes_nothing(void **state) {
    (void)state;
    fusion f = fusion_default;
    fusion_tuning t;
    fusion_tune(NULL, 0, &f, &t);
    assert_true(f.lambda == fusion_default.lambda && f.share == fusion_default.share);
    assert_true(t.mrr == 0);
}

static void a_question_without_a_relevant_candidate_counts_nothing(void **state) {
    (void)state;
    static candidate c[40][20];
    static uint8_t relevant[40][20];
    fusion_pool pools[40];
    fusion f = fusion_default;
    fusion_tuning t;
    two_sided_questions(pools, c, relevant);
    for (int q = 0; q < 10; q++) memset(relevant[q], 0, 20);
    fusion_tune(pools, 40, &f, &t);
    assert_float_equal(t.mrr, .75, 1e-9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sum_weighs_bm25_and_dense),
        cmocka_unit_test(without_a_lexical_hit_the_dense_score_decides),
        cmocka_unit_test(rank_fusion_adds_reciprocal_ranks_where_there_is_a_rank),
        cmocka_unit_test(the_best_neighbour_lends_a_share_of_its_own_score),
        cmocka_unit_test(nearness_counts_in_the_sum_alone),
        cmocka_unit_test(nearness_is_for_the_best_fifty),
        cmocka_unit_test(the_top_is_sorted_with_ties_to_the_smaller_id),
        cmocka_unit_test(tuning_finds_the_weight_that_serves_both_sides),
        cmocka_unit_test(tuning_keeps_what_was_given_where_little_is_gained),
        cmocka_unit_test(tuning_does_not_depend_on_threads),
        cmocka_unit_test(tuning_without_questions_changes_nothing),
        cmocka_unit_test(a_question_without_a_relevant_candidate_counts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
