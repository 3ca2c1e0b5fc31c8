#ifndef RAGLAN_TEXT_WORDS_INT_H
#define RAGLAN_TEXT_WORDS_INT_H
/* Words of a text and how often each occurs: all that a tokenizer learns from, as pieces never
 * cross blanks. A text of any length goes by once; memory is that of its distinct words, and
 * bounded. Private to src/text. */
#include "util/mem.h"

typedef struct word {
    int64_t at; /* in words.text */
    int32_t n;  /* bytes, at most WORD_BYTES */
    int64_t count;
    uint64_t hash;
} word;

enum { WORD_BYTES = 256 }; /* longer runs without a blank are cut, between two characters */

typedef struct words {
    buf text;
    word *at; /* [n] in order of first occurrence */
    int64_t n, cap;
    int32_t *slot; /* [n_slots] index into at, or -1; a power of two, at most half full */
    int64_t n_slots;
    int64_t max_bytes;    /* of text */
    uint64_t seed, limit; /* a new word is taken if its ticket is at most limit */
    int64_t rare;         /* thinning drops words seen less often than this */
    int64_t seen_bytes;   /* of all words met */
} words;

void words_init(words *w, int64_t max_bytes, uint64_t seed);
void words_clear(words *w);
/* Counts the words of text. Blank: space, tab, line ends, NUL, and the two marks that
 * SentencePiece keeps for itself, U+2581 and U+2585. */
void words_add(words *w, const char *text, size_t n);

/* The `enough` most frequent words, or about so many: all that were seen `least` times or more,
 * and of those seen once less a part, by their hash. All words where there are no more. */
typedef struct word_choice {
    int64_t least;
    uint64_t ticket;
} word_choice;
word_choice words_choose(const words *w, int64_t enough);
bool word_is_chosen(word_choice c, const word *w);

#endif
