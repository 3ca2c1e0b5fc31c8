#ifndef RAGLAN_METRIC_PYTEXT_H
#define RAGLAN_METRIC_PYTEXT_H
/* Text and numbers with Python's meaning, because the field's scorers are Python: what
 * str.lower(), str.split(), the \w of `re` and repr(float) do, to the character. */
#include "util/mem.h"

/* Appends s lower-cased as str.lower() does: full mapping, so that U+0130 gives two code points
 * and a capital sigma that ends a word becomes the final sigma. Malformed bytes become U+FFFD. */
void py_add_lower(buf *b, const char *s, size_t n);

bool py_is_space(int32_t c); /* str.isspace(): what split() and strip() cut at */
bool py_is_word(int32_t c);  /* \w: str.isalnum() or '_'; a combining mark is none */

/* The whitespace-separated words of s, as split() gives them: *i moves past the word, false at
 * the end. The word is s[*begin, *end). */
bool py_next_word(const char *s, size_t n, size_t *i, size_t *begin, size_t *end);

/* Appends the shortest decimal that reads back as x, in repr's dress: 86.0, 0.1, 1e-05, nan. */
void py_add_number(buf *b, double x);

#endif
