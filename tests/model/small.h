#ifndef RAGLAN_TESTS_MODEL_SMALL_H
#define RAGLAN_TESTS_MODEL_SMALL_H
/* Models small enough for a test, with parameters drawn at random all over, whatever they begin
 * as: a good part of them is zero at first, and much of what could go wrong would not show. */
#include <math.h>
#include <string.h>
#include "cmocka_all.h"
#include "model/generator.h"
#include "model/retriever.h"

static inline void randomize(params *p, uint64_t seed, double size) {
    rng r = rng_new(seed);
    for (int64_t i = 0; i < params_tensors(p); i++) {
        tensor *t = params_at(p, i, NULL);
        for (int64_t k = 0; k < t->rows * t->cols; k++) {
            bool is_gain = t->rows == 1 && t->v[k] == 1;
            t->v[k] = (float)(is_gain + size * rng_normal(&r));
        }
    }
    params_touch(p);
}

enum { SMALL_VOCAB = 40 };

static inline retriever *small_retriever(bool bag) {
    retriever_config c = {.vocab = SMALL_VOCAB,
                          .dim = 8,
                          .embedding_dim = 6,
                          .window = 4,
                          .n_blocks = 2,
                          .n_heads = 2,
                          .bag = bag,
                          .unit = bag};
    retriever *m = retriever_new(&c, NULL, 3, true);
    randomize(m->p, 4, .3);
    return m;
}

/* Reader's traits in which every token is its own lower case. */
static inline token_traits small_traits(arena *a, int64_t vocab) {
    int32_t *fold = ARENA_ARRAY(a, int32_t, vocab);
    uint8_t *bits = arena_push(a, (size_t)vocab);
    for (int32_t i = 0; i < vocab; i++) fold[i] = i, bits[i] = (uint8_t)(i % TRAIT_COUNT);
    return (token_traits){.vocab = vocab, .bits = bits, .fold = fold, .bos = 1, .eos = 2};
}

static inline generator *small_generator(int64_t vocab) {
    generator_config c = {.vocab = vocab,
                          .dim = 8,
                          .n_encoder = 1,
                          .n_decoder = 2,
                          .n_heads = 2,
                          .copy = true,
                          .limits = {.question = 8, .title = 3, .passage = 12, .answer = 6}};
    generator *m = generator_new(&c, 5, true);
    randomize(m->p, 6, .7);
    return m;
}

static inline int32_t *random_ids(arena *a, rng *r, int64_t vocab, int64_t n) {
    int32_t *ids = ARENA_ARRAY(a, int32_t, n + 1);
    for (int64_t i = 0; i < n; i++) ids[i] = (int32_t)(3 + rng_below(r, vocab - 3));
    return ids;
}

/* A question of random length over random passages, some of them empty. */
static inline reader_question random_question(arena *a, rng *r, int64_t vocab, int64_t n_passages) {
    reader_question q = {.n_ids = rng_below(r, 8), .n_passages = n_passages};
    q.ids = random_ids(a, r, vocab, q.n_ids);
    reader_passage *p = arena_push(a, (size_t)(n_passages + 1) * sizeof *p);
    for (int64_t i = 0; i < n_passages; i++) {
        p[i].n_title = rng_below(r, 3);
        p[i].title = random_ids(a, r, vocab, p[i].n_title);
        p[i].n_ids = rng_below(r, 10);
        p[i].ids = random_ids(a, r, vocab, p[i].n_ids);
    }
    q.passages = p;
    return q;
}

/* The families of this processor that read on narrow rows, and each of them with bytes. */
static inline int narrow_families(const backend *out[4]) {
    static const char *const names[] = {"bf16", "amx"};
    int n = 0;
    for (int i = 0; i < 2; i++)
        if (!backend_find(names[i], &out[n]) && out[n]->narrow) n++;
    for (int i = 0, found = n; i < found; i++) out[n++] = backend_int8(out[i]);
    err_clear();
    return n;
}
#endif
