/* Gradients of attention: self, cross, causal with and without a cache, many heads, packed
 * q k v, and the spans that hide mistakes: empty, of one row, overlapping keys, gaps. */
#include "check_grad.h"

#define MAKE(name)   static tensor *name(graph *g, tensor *const *in)
#define SPANS(array) ((spans){sizeof(array) / sizeof *(array), array})

static const span self[] = {{0, 3}, {3, 4}, {4, 4}, {4, 7}};
static const span questions[] = {{0, 2}, {3, 4}, {4, 5}}; /* row 2 is in no span */
static const span passages[] = {{0, 5}, {3, 8}, {6, 6}};  /* overlapping; one empty */
static const span steps[] = {{0, 1}, {1, 2}, {2, 4}},
                  cache[] = {{0, 4}, {4, 5}, {5, 8}}; /* last rows of longer texts */
static const span few_keys[] = {{0, 2}, {2, 4}, {4, 5}}, many_rows[] = {{0, 3}, {3, 5}, {5, 6}};

static columns at(tensor *of, int64_t col) {
    return (columns){of, col};
}

MAKE(self_attention) {
    return t_attention(g, at(in[0], 0), at(in[1], 0), at(in[2], 0), 6, 2, SPANS(self), SPANS(self),
                       false);
}
MAKE(self_packed) {
    return t_attention(g, at(in[0], 0), at(in[0], 6), at(in[0], 12), 6, 3, SPANS(self), SPANS(self),
                       false);
}
MAKE(same_columns) {
    return t_attention(g, at(in[0], 1), at(in[0], 1), at(in[0], 1), 4, 1, SPANS(self), SPANS(self),
                       false);
}
MAKE(causal_packed) {
    return t_attention(g, at(in[0], 0), at(in[0], 6), at(in[0], 12), 6, 2, SPANS(self), SPANS(self),
                       true);
}
MAKE(cross) {
    return t_attention(g, at(in[0], 0), at(in[1], 0), at(in[1], 5), 5, 1, SPANS(questions),
                       SPANS(passages), false);
}
MAKE(causal_cache) {
    return t_attention(g, at(in[0], 0), at(in[1], 0), at(in[2], 0), 4, 2, SPANS(steps),
                       SPANS(cache), true);
}
MAKE(causal_too_few) {
    return t_attention(g, at(in[0], 0), at(in[1], 0), at(in[2], 0), 4, 2, SPANS(many_rows),
                       SPANS(few_keys), true);
}

static const grad_case cases[] = {
    CASE("self", self_attention, .in = {{7, 6}, {7, 6}, {7, 6}}),
    CASE("self, one product for q k v", self_packed, .in = {{7, 18}}),
    CASE("self, q = k = v", same_columns, .in = {{7, 6}}),
    CASE("causal", causal_packed, .in = {{7, 18}}),
    CASE("cross, overlapping and empty keys", cross, .in = {{6, 5}, {8, 11}}),
    CASE("causal with a cache", causal_cache, .in = {{4, 4}, {8, 4}, {8, 4}}),
    CASE("causal with fewer keys than queries", causal_too_few, .in = {{6, 4}, {5, 4}, {5, 4}}),
};

static void attention_has_right_gradients(void **state) {
    (void)state;
    GRAD_CHECK_ALL(cases);
}

/* ---- values that can be said beforehand ---- */

static void a_query_with_one_key_copies_its_value(void **state) {
    (void)state;
    arena *a = arena_new((size_t)1 << 24);
    graph *g = graph_new(a, backend_ref(), false);
    const float q[] = {9, -3}, k[] = {1, 2, 5, 5}, v[] = {10, 20, 30, 40};
    const span rows[] = {{0, 1}}, keys[] = {{1, 2}};
    tensor *y = t_attention(g, at(t_const(g, 1, 2, q), 0), at(t_const(g, 2, 2, k), 0),
                            at(t_const(g, 2, 2, v), 0), 2, 1, SPANS(rows), SPANS(keys), false);
    assert_float_equal(y->v[0], 30, 1e-6);
    assert_float_equal(y->v[1], 40, 1e-6);
    graph_free(g);
    arena_free(a);
}

static void a_query_without_keys_or_span_gives_a_zero_row(void **state) {
    (void)state;
    arena *a = arena_new((size_t)1 << 24);
    graph *g = graph_new(a, backend_ref(), false);
    /* Dirty the arena: the zeros must not be luck. */
    float *dirt = arena_take(graph_arena(g), 4096);
    for (int i = 0; i < 1024; i++) dirt[i] = NAN;
    graph_reset(g, 0);
    const float x[] = {1, 2, 3, 4, 5, 6};
    const span rows[] = {{0, 1}, {2, 3}},
               keys[] = {{1, 1}, {0, 3}}; /* row 0: no key; row 1: no span */
    tensor *t = t_const(g, 3, 2, x);
    tensor *y = t_attention(g, at(t, 0), at(t, 0), at(t, 0), 2, 1, SPANS(rows), SPANS(keys), false);
    for (int i = 0; i < 4; i++) assert_true(y->v[i] == 0);
    assert_true(y->v[4] > 3 && y->v[4] <= 5);
    graph_free(g);
    arena_free(a);
}

static void causal_rows_equal_the_steps_of_a_cache(void **state) {
    (void)state;
    arena *a = arena_new((size_t)1 << 24);
    graph *g = graph_new(a, backend_ref(), false);
    float x[5 * 4];
    for (int i = 0; i < 20; i++) x[i] = sinf((float)i);
    const span all[] = {{0, 5}};
    tensor *t = t_const(g, 5, 4, x);
    tensor *whole =
        t_attention(g, at(t, 0), at(t, 0), at(t, 0), 4, 2, SPANS(all), SPANS(all), true);
    for (int64_t i = 0; i < 5; i++) {
        const span last[] = {{0, 1}}, seen[] = {{0, i + 1}};
        tensor *row = t_rows(g, t, i, i + 1);
        tensor *step =
            t_attention(g, at(row, 0), at(t, 0), at(t, 0), 4, 2, SPANS(last), SPANS(seen), true);
        for (int c = 0; c < 4; c++) assert_true(step->v[c] == whole->v[i * 4 + c]);
    }
    graph_free(g);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_has_right_gradients),
        cmocka_unit_test(a_query_with_one_key_copies_its_value),
        cmocka_unit_test(a_query_without_keys_or_span_gives_a_zero_row),
        cmocka_unit_test(causal_rows_equal_the_steps_of_a_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
