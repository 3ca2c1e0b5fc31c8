#ifndef RAGLAN_TESTS_TRAIN_TAUGHT_H
#define RAGLAN_TESTS_TRAIN_TAUGHT_H
/* What the tests of both tasks share: BM25 over a collection, parameters to compare. */
#include "data/collection.h"
#include "nn/params.h"
#include "search/lexical.h"

/* BM25 over the passages, in the folder of the collection. */
static inline lexical *lexical_of(const collection *k) {
    const corpus *c = k->c;
    lexical_builder *b;
    lexical *lex;
    char name[SEGMENT_NAME];
    const char *names[] = {name};
    SUCCEEDS(lexical_builder_open(k->home, NULL, &b));
    for (int64_t i = 0; i < c->n; i++) {
        buf text = {0};
        tokens_text(k->t, c->tokens + c->text[i].begin, c->text[i].end - c->text[i].begin, &text,
                    NULL);
        SUCCEEDS(lexical_builder_add(b, c->id[i], NULL, 0, text.at, text.len));
        buf_clear(&text);
    }
    SUCCEEDS(lexical_builder_finish(b, name));
    lexical_builder_close(b);
    SUCCEEDS(lexical_open(k->home, names, 1, (id_list){0}, &lex));
    return lex;
}

/* All parameters (or their gradients) in a row; the caller frees. */
static inline float *flat_copy(const params *p, bool gradients) {
    float *out = xmalloc((size_t)params_count(p) * sizeof *out), *at = out;
    for (int64_t i = 0; i < params_tensors(p); i++) {
        const tensor *t = params_at(p, i, NULL);
        memcpy(at, gradients ? t->d : t->v, (size_t)(t->rows * t->cols) * sizeof *at);
        at += t->rows * t->cols;
    }
    return out;
}
#endif
