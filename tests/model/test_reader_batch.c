/* What a reader is fed, row by row. */
#include "cmocka_all.h"
#include "model/reader_batch.h"

/* 4 "the", 5 "The", 6 "1820", 7 "x": 5 folds to 4. */
enum { VOCAB = 16, EOS = 2 };
static const uint8_t bits[VOCAB] = {[4] = TRAIT_WORD_START,
                                    [5] = TRAIT_WORD_START | TRAIT_CAPITAL,
                                    [6] = TRAIT_WORD_START | TRAIT_DIGIT};
static const int32_t fold[VOCAB] = {0, 1, 2, 3, 4, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const token_traits traits = {
    .vocab = VOCAB, .bits = bits, .fold = fold, .bos = 1, .eos = EOS};
static const reader_limits wide = {.question = 10, .title = 10, .passage = 10, .answer = 10};

#define IDS(...)                                                                                   \
    (const int32_t[]){__VA_ARGS__}, sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t)

static reader_passage passage(const int32_t *title, int64_t n_title, const int32_t *ids,
                              int64_t n_ids, span answer) {
    return (reader_passage){
        .title = title, .n_title = n_title, .ids = ids, .n_ids = n_ids, .answer = answer};
}

static void assert_ids(const int32_t *got, const int32_t *want, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (got[i] != want[i]) fail_msg("row %d is %d, wanted %d", (int)i, got[i], want[i]);
}

enum { QUESTION, TITLE, PASSAGE };
/* Of a pair whose title stands partly in the question. */
static int32_t feature(int segment, int match, int trait) {
    int partly = 1;
    return ((partly * READER_SEGMENTS + segment) * READER_MATCHES + match) * TRAIT_COUNT + trait;
}

static void rows_say_what_a_token_is_and_whether_the_other_side_has_it(void **state) {
    (void)state;
    arena *a = arena_new((size_t)1 << 20);
    reader_passage p = passage(IDS(7, 8), IDS(9, 4, 6, 10, 11), (span){2, 4});
    reader_question q = {.passages = &p, .n_passages = 1};
    const int32_t question[] = {5, 6, 8, 11, 3};
    q.ids = question;
    q.n_ids = 5;
    reader_batch b = reader_batch_new(a, &traits, &wide, &q, 1);
    assert_int_equal(b.n_rows, 14);
    assert_ids(b.ids, (int32_t[]){5, 6, 8, 11, 3, EOS, 7, 8, EOS, 9, 4, 6, 10, 11}, 14);
    int word = TRAIT_WORD_START, capital = word | TRAIT_CAPITAL, digit = word | TRAIT_DIGIT;
    int32_t want[] = {
        feature(QUESTION, 2, capital), /* "The 1820": the passage has "the 1820" */
        feature(QUESTION, 2, digit),   feature(QUESTION, 1, 0), /* in the title */
        feature(QUESTION, 1, 0),       feature(QUESTION, 0, 0),   feature(QUESTION, 0, 0), /* EOS */
        feature(TITLE, 0, 0),          feature(TITLE, 1, 0),      feature(TITLE, 0, 0),    /* EOS */
        feature(PASSAGE, 0, 0),        feature(PASSAGE, 2, word), feature(PASSAGE, 2, digit),
        feature(PASSAGE, 0, 0),        feature(PASSAGE, 1, 0),
    };
    assert_ids(b.feature, want, 14);
    assert_ids(b.source_id, (int32_t[]){-1, -1, -1, -1, -1, -1, 7, 8, -1, 9, 4, 6, 10, 11}, 14);
    for (int32_t i = 0; i < 14; i++) {
        assert_int_equal(b.position[i], i);
        assert_int_equal(b.rank[i], 0);
        assert_int_equal(b.is_start[i], i == 11); /* "1820 x": passage tokens 2 and 3 */
        assert_int_equal(b.is_end[i], i == 12);
    }
    assert_int_equal(b.n_cut, 0);
    arena_free(a);
}

static void passages_of_a_question_lie_side_by_side(void **state) {
    (void)state;
    arena *a = arena_new((size_t)1 << 20);
    reader_passage two[] = {passage(NULL, 0, IDS(9), (span){0, 0}),
                            passage(IDS(7), IDS(8, 9), (span){0, 1})};
    const int32_t ids[] = {4}, answer[] = {8, 9};
    reader_question q[] = {
        {.ids = ids, .n_ids = 1, .passages = two, .n_passages = 2, .answer = answer, .n_answer = 2},
        {.ids = ids, .n_ids = 1},                       /* no passage */
        {.passages = two, .n_passages = 1, .n_ids = 0}, /* no question */
    };
    reader_batch b = reader_batch_new(a, &traits, &wide, q, 3);
    assert_int_equal(b.n_pairs, 3);
    assert_int_equal(b.n_rows, 4 + 6 + 3);
    assert_ids(b.ids, (int32_t[]){4, EOS, EOS, 9, 4, EOS, 7, EOS, 8, 9, EOS, EOS, 9}, 13);
    assert_ids(b.position, (int32_t[]){0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 0, 1, 2}, 13);
    assert_ids(b.rank, (int32_t[]){0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0}, 13);
    const span pairs[] = {{0, 4}, {4, 10}, {10, 13}}, questions[] = {{0, 10}, {10, 10}, {10, 13}},
               pairs_of[] = {{0, 2}, {2, 2}, {2, 3}}, outs[] = {{0, 3}, {3, 4}, {4, 5}};
    assert_memory_equal(b.pairs, pairs, sizeof pairs);
    assert_memory_equal(b.questions, questions, sizeof questions);
    assert_memory_equal(b.pairs_of, pairs_of, sizeof pairs_of);
    assert_memory_equal(b.outs, outs, sizeof outs);
    assert_ids(b.in_ids, (int32_t[]){1, 8, 9, 1, 1}, 5);
    assert_ids(b.in_position, (int32_t[]){0, 1, 2, 0, 0}, 5);
    assert_ids(b.target, (int32_t[]){8, 9, EOS, EOS, EOS}, 5);
    assert_int_equal(b.is_start[8], 1);
    assert_int_equal(b.is_end[8], 1);
    arena_free(a);
}

static void what_is_too_long_is_cut_and_counted(void **state) {
    (void)state;
    arena *a = arena_new((size_t)1 << 20);
    reader_limits l = {.question = 2, .title = 1, .passage = 3, .answer = 2};
    reader_passage p[] = {passage(IDS(7, 8), IDS(9, 10, 11, 12, 13), (span){2, 4}),
                          passage(IDS(7), IDS(9, 10, 11, 12), (span){1, 3})};
    const int32_t ids[] = {4, 5, 6}, answer[] = {11, 12, 13};
    reader_question q = {
        .ids = ids, .n_ids = 3, .passages = p, .n_passages = 2, .answer = answer, .n_answer = 3};
    reader_batch b = reader_batch_new(a, &traits, &l, &q, 1);
    assert_ids(b.ids, (int32_t[]){4, 5, EOS, 7, EOS, 9, 10, 11, 4, 5, EOS, 7, EOS, 9, 10, 11}, 16);
    assert_int_equal(b.n_rows, 16);
    assert_int_equal(b.n_cut, (1 + 1 + 2) + (1 + 0 + 1) + 1);
    for (int i = 0; i < 16; i++) { /* the first passage's answer is no longer whole */
        assert_int_equal(b.is_start[i], i == 14);
        assert_int_equal(b.is_end[i], i == 15);
    }
    assert_int_equal(b.n_out, 3); /* behind a cut answer nothing is to be learnt */
    assert_ids(b.in_ids, (int32_t[]){1, 11, 12}, 3);
    assert_ids(b.target, (int32_t[]){11, 12, -1}, 3);
    arena_free(a);
}

static void ranks_beyond_the_last_share_it(void **state) {
    (void)state;
    arena *a = arena_new((size_t)1 << 20);
    enum { N = READER_MAX_RANK + 3 };
    reader_passage p[N];
    const int32_t one[] = {9};
    for (int i = 0; i < N; i++) p[i] = passage(NULL, 0, one, 1, (span){0, 0});
    reader_question q = {.passages = p, .n_passages = N};
    reader_batch b = reader_batch_new(a, &traits, &wide, &q, 1);
    for (int i = 0; i < N; i++)
        assert_int_equal(b.rank[b.pairs[i].begin], i < READER_MAX_RANK ? i : READER_MAX_RANK - 1);
    arena_free(a);
}

static void an_empty_batch_is_a_batch(void **state) {
    (void)state;
    arena *a = arena_new((size_t)1 << 20);
    reader_batch b = reader_batch_new(a, &traits, &wide, NULL, 0);
    assert_int_equal(b.n_rows + b.n_pairs + b.n_out + b.n_questions, 0);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_say_what_a_token_is_and_whether_the_other_side_has_it),
        cmocka_unit_test(passages_of_a_question_lie_side_by_side),
        cmocka_unit_test(what_is_too_long_is_cut_and_counted),
        cmocka_unit_test(ranks_beyond_the_last_share_it),
        cmocka_unit_test(an_empty_batch_is_a_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
