#ifndef RAGLAN_METRIC_PORTER_H
#define RAGLAN_METRIC_PORTER_H
/* The Porter stemmer (Porter 1980, "An algorithm for suffix stripping") with the extensions that
 * NLTK turns on by default, because that is what rouge-score's use_stemmer runs. Search uses
 * Snowball's; this one exists to reproduce published ROUGE figures. */
#include <stddef.h>

/* Stems word[0..n) of lower-case ASCII letters and digits in place; returns the new length, which
 * is never greater than n. */
size_t porter_stem(char *word, size_t n);

#endif
