#ifndef RAGLAN_METRIC_NGRAM_H
#define RAGLAN_METRIC_NGRAM_H
/* Bags of n-grams: what F1, BLEU and ROUGE-N count. An n-gram of a text whose words are joined by
 * single spaces is a stretch of that text, so a bag is a sorted list of stretches. */
#include "util/mem.h"

typedef struct ngram {
    const char *at; /* borrowed from the text */
    size_t len;
} ngram;

typedef struct ngrams {
    ngram *list; /* [n] in byte order, repeats side by side; owned */
    int64_t n;
} ngrams;

/* The n-grams of this order (1: words) of a text without leading, trailing or double spaces. */
ngrams ngrams_of(const char *text, int order);
void ngrams_clear(ngrams *g);

/* How many n-grams two bags share, each as often as the poorer one has it. */
int64_t ngrams_shared(const ngrams *a, const ngrams *b);

/* The same where each n-gram may be had from the bag of b[0..n_b-1] that has it most often. */
int64_t ngrams_shared_any(const ngrams *a, const ngrams *b, int64_t n_b);

/* The words in the order of the text (not sorted); caller frees. */
ngram *ngram_words(const char *text, int64_t *n);
bool ngram_equal(ngram a, ngram b);

#endif
