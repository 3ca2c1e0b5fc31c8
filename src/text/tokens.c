/* The growing list of pieces that an encoder fills. */
#include "text/tokenizer.h"

#include <stdlib.h>

void tokens_reset(tokens *t) {
    t->n = 0;
}

void tokens_clear(tokens *t) {
    free(t->id);
    free(t->begin);
    free(t->end);
    *t = (tokens){0};
}

void tokens_add(tokens *t, int32_t id, int64_t begin, int64_t end) {
    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 64;
        t->id = xrealloc(t->id, (size_t)t->cap * sizeof *t->id);
        t->begin = xrealloc(t->begin, (size_t)t->cap * sizeof *t->begin);
        t->end = xrealloc(t->end, (size_t)t->cap * sizeof *t->end);
    }
    t->id[t->n] = id;
    t->begin[t->n] = begin;
    t->end[t->n++] = end;
}
