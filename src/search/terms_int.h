#ifndef RAGLAN_SEARCH_TERMS_INT_H
#define RAGLAN_SEARCH_TERMS_INT_H
/* Terms: byte strings into dense numbers 0, 1, 2... in order of first appearance. An open-addressed
 * hash table over one text buffer; no deletion. */
#include "util/mem.h"

typedef struct terms {
    buf text;        /* all strings, one after another */
    uint64_t *begin; /* [n + 1] into text */
    uint64_t *hash;  /* [n] */
    uint32_t n, cap;
    uint32_t *slots; /* [n_slots], a term's number + 1, 0: free; n_slots a power of two */
    uint64_t n_slots;
} terms;
/* Of a zeroed struct; the number of the string, new or known. */
uint32_t terms_intern(terms *t, const char *s, size_t n);
static inline const char *terms_at(const terms *t, uint32_t i, size_t *n) {
    *n = t->begin[i + 1] - t->begin[i];
    return t->text.at + t->begin[i];
}
void terms_reset(terms *t); /* empty, memory kept */
void terms_clear(terms *t);
size_t terms_bytes(const terms *t); /* memory in use */
/* Writes the n numbers of `of` so that their strings ascend bytewise. */
void terms_sort(const terms *t, uint32_t *of, uint32_t n);
/* Bytewise order of two strings: <0, 0, >0. */
int terms_compare(const char *a, size_t n_a, const char *b, size_t n_b);
#endif
