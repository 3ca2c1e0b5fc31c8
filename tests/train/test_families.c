/* The same training on every family of kernels that runs here: from the same values and batches, a
 * small retriever's losses follow ref's, within what the family's products round. Three batches take
 * turns, so that they are learnt by heart: where losses stay high, small differences grow with the steps. */
#include "cmocka_all.h"

#include <math.h>
#include <stdlib.h>

#include "model/retriever.h"
#include "util/par.h"
#include "util/rng.h"

enum { STEPS = 30, BATCHES = 3, VOCAB = 60, PAIRS = 8, Q_LEN = 5, P_LEN = 9 };

/* A question's tokens stand in its passage, between others. */
static void draw_batch(rng *r, int32_t *q, int32_t *p) {
    for (int64_t i = 0; i < PAIRS; i++) {
        for (int64_t j = 0; j < P_LEN; j++) p[i * P_LEN + j] = (int32_t)rng_below(r, VOCAB);
        for (int64_t j = 0; j < Q_LEN; j++)
            q[i * Q_LEN + j] = p[i * P_LEN + (int64_t)rng_below(r, P_LEN)];
    }
}

static void train(const backend *be, float *losses) {
    retriever_config c = {.vocab = VOCAB,
                          .dim = 32,
                          .embedding_dim = 16,
                          .window = 16,
                          .n_blocks = 2,
                          .n_heads = 2,
                          .unit = true};
    retriever *m = retriever_new(&c, NULL, 1, true);
    adamw opt = adamw_default();
    opt.lr = 1e-4f;
    arena *a = arena_new(0);
    graph *g = graph_new(a, be, true);
    rng r = {0};
    span q_at[PAIRS], p_at[PAIRS];
    int32_t q[PAIRS * Q_LEN], p[PAIRS * P_LEN], positive[PAIRS];
    for (int32_t i = 0; i < PAIRS; i++) {
        q_at[i] = (span){i * Q_LEN, (i + 1) * Q_LEN};
        p_at[i] = (span){i * P_LEN, (i + 1) * P_LEN};
        positive[i] = i;
    }
    for (int step = 0; step < STEPS; step++) {
        if (step % BATCHES == 0) r = rng_new(5); /* the same batches again */
        draw_batch(&r, q, p);
        graph_reset(g, (uint64_t)step);
        tensor *x = retriever_encode(m, g, q, (spans){PAIRS, q_at}, TEXT_QUESTION, true);
        tensor *y = retriever_encode(m, g, p, (spans){PAIRS, p_at}, TEXT_PASSAGE, true);
        tensor *loss = t_contrastive(g, x, y, m->log_scale, positive, NULL, false);
        losses[step] = loss->v[0];
        graph_backward(g, loss, 1);
        adamw_step(&opt, m->p, be);
    }
    graph_free(g);
    arena_free(a);
    retriever_free(m);
}

static const struct {
    const char *name;
    float tolerance; /* of any step's loss */
} families[] = {{"avx2", 1e-5f}, {"avx512", 1e-5f}, {"bf16", .03f}, {"amx", .03f}};
enum { N_FAMILIES = sizeof families / sizeof *families };

static void every_family_trains_along_the_curve_of_ref(void **state) {
    (void)state;
    float law[STEPS], got[STEPS];
    train(backend_ref(), law);
    assert_true(law[STEPS - 1] < .1f * law[0]); /* there is a curve to follow */
    for (int i = 0; i < N_FAMILIES; i++) {
        const backend *be;
        if (backend_find(families[i].name, &be)) continue;
        train(be, got);
        float most = 0;
        for (int step = 0; step < STEPS; step++) most = fmaxf(most, fabsf(got[step] - law[step]));
        print_message("%s: loss %.4f -> %.4f, at most %.2g from ref\n", families[i].name, got[0],
                      got[STEPS - 1], most);
        assert_true(most < families[i].tolerance);
    }
}

static void the_curve_is_the_same_bytes_for_any_number_of_threads(void **state) {
    (void)state;
    const int threads[] = {1, 2, 3, 5};
    for (int i = 0; i < N_FAMILIES; i++) {
        const backend *be;
        if (backend_find(families[i].name, &be)) continue;
        float first[STEPS], got[STEPS];
        for (int t = 0; t < 4; t++) {
            par_threads_set(threads[t]);
            train(be, t ? got : first);
            if (t) assert_memory_equal(first, got, sizeof got);
        }
    }
    par_threads_set(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_trains_along_the_curve_of_ref),
        cmocka_unit_test(the_curve_is_the_same_bytes_for_any_number_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
