/* Bags of n-grams as sorted lists, see ngram.h. */
#include "metric/ngram.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b) {
    const ngram *x = a, *y = b;
    int order = memcmp(x->at, y->at, x->len < y->len ? x->len : y->len);
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

ngram *ngram_words(const char *text, int64_t *n) {
    ngram *words = NULL;
    int64_t cap = 0;
    *n = 0;
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, " ");
        GROW(words, *n, cap);
        words[(*n)++] = (ngram){at, len};
        at += len + (at[len] == ' ');
    }
    return words;
}

bool ngram_equal(ngram a, ngram b) {
    return a.len == b.len && !memcmp(a.at, b.at, a.len);
}

ngrams ngrams_of(const char *text, int order) {
    ngrams g = {0};
    g.list = ngram_words(text, &g.n);
    g.n = g.n < order ? 0 : g.n - order + 1;
    for (int64_t i = 0; i < g.n; i++) { /* stretch each word over the words behind it */
        ngram last = g.list[i + order - 1];
        g.list[i].len = (size_t)(last.at + last.len - g.list[i].at);
    }
    if (g.n) qsort(g.list, (size_t)g.n, sizeof *g.list, compare);
    return g;
}

void ngrams_clear(ngrams *g) {
    free(g->list);
    *g = (ngrams){0};
}

int64_t ngrams_shared(const ngrams *a, const ngrams *b) {
    int64_t shared = 0;
    for (int64_t i = 0, j = 0; i < a->n && j < b->n;) {
        int order = compare(&a->list[i], &b->list[j]);
        shared += order == 0;
        i += order <= 0;
        j += order >= 0;
    }
    return shared;
}

/* How often g is in the bag from *j on; *j moves past it. */
static int64_t take(const ngrams *bag, int64_t *j, ngram g) {
    int64_t n = 0;
    for (; *j < bag->n; (*j)++) {
        int order = compare(&bag->list[*j], &g);
        if (order > 0) break;
        n += order == 0;
    }
    return n;
}

int64_t ngrams_shared_any(const ngrams *a, const ngrams *b, int64_t n_b) {
    int64_t *at = xcalloc((size_t)n_b + 1, sizeof *at), shared = 0; /* a place in each bag of b */
    for (int64_t i = 0; i < a->n;) {
        ngram g = a->list[i];
        int64_t mine = take(a, &i, g), most = 0;
        for (int64_t r = 0; r < n_b; r++) {
            int64_t theirs = take(&b[r], &at[r], g);
            if (theirs > most) most = theirs;
        }
        shared += mine < most ? mine : most;
    }
    free(at);
    return shared;
}
