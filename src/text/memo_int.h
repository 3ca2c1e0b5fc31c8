#ifndef RAGLAN_TEXT_MEMO_INT_H
#define RAGLAN_TEXT_MEMO_INT_H
/* A memo of words already encoded, shared by all threads that use a tokenizer: text repeats its
 * words, and looking one up costs a hundredth of encoding it. Private to src/text. */
#include "util/err.h"

enum { MEMO_WORD_BYTES = 48 }; /* longer words are rare and not kept */

typedef struct memo memo;
typedef struct memo_word {
    uint64_t hash;
    uint16_t n_bytes, n_pieces;
    const char *bytes;   /* [n_bytes] */
    const int32_t *id;   /* [n_pieces] */
    const uint16_t *end; /* [n_pieces] within the word */
} memo_word;

memo *memo_new(void);
void memo_free(memo *m);
/* The word, or NULL. Never waits. */
const memo_word *memo_find(memo *m, const char *bytes, size_t n, uint64_t hash);
/* Keeps a copy, unless the place is taken: the first to come stay, and frequent words come
 * first. */
void memo_add(memo *m, const memo_word *w);

#endif
