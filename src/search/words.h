#ifndef RAGLAN_SEARCH_WORDS_H
#define RAGLAN_SEARCH_WORDS_H
/* Words: text into index terms. A word is a run of letters, marks and numbers; it is brought
 * to NFKC, lower-cased and stemmed by Snowball (Porter 2001; libstemmer's one door). An
 * ideograph or kana is a word of its own, because those scripts put no blanks between words.
 * No stop words: BM25's idf makes them cheap, and "The Who" stays searchable. */
#include "util/mem.h"

/* A term longer than this many bytes is cut (at a character): base64 lumps and the like. */
enum { WORD_BYTES_MAX = 128 };

typedef struct words words;
/* language: a Snowball name ("english", "german", ...) or "none" for no stemming. One per thread.
 * ERR_ARG names the languages there are. */
status words_new(const char *language, words **out);
void words_free(words *w);

/* Calls fn for each term of the text in order. term is borrowed until the next one, not
 * NUL-terminated. Malformed UTF-8 bytes end a word, as punctuation does. */
typedef void (*word_fn)(void *arg, const char *term, size_t n);
void words_each(words *w, const char *text, size_t n, word_fn fn, void *arg);

/* The same in two steps, for callers that see each word many times and stem it once:
 * words_split gives normalised but unstemmed words; words_stem one word's term (borrowed
 * until the next call). */
void words_split(words *w, const char *text, size_t n, word_fn fn, void *arg);
const char *words_stem(words *w, const char *word, size_t n, size_t *n_term);
#endif
